// SPDX-License-Identifier: Apache-2.0
// The room's door: bytes from anywhere by range, listings, and files written whole or not at all.
//
// A source is immutable after open and thread-safe: any number of ranges may be read at once. A read past the end is
// CORRUPT for its caller to word ("truncated"), a source that shrinks under us is IO, never a signal (so no mmap).
#ifndef HR_IO_IO_H
#define HR_IO_IO_H

#include "base/error.h"

typedef struct hr_source hr_source;
typedef struct hr_source_ops {
    hr_status (*read)(hr_source *source, uint64_t offset, size_t bytes, void *to,
                      hr_error *err); // all of it or an error
    void (*will_need)(hr_source *source, uint64_t offset,
                      uint64_t bytes); // a hint: start reading; never blocks long
    void (*close)(hr_source *source);
} hr_source_ops;
struct hr_source {
    const hr_source_ops *ops;
    _Atomic uint32_t refs;
    _Atomic uint64_t read_bytes; // asked for so far
    uint64_t bytes;              // size at open
    uint64_t version;            // mtime in ns or an etag's hash: tells that the file changed
    char *name;                  // as the user gave it: stands in every message
};

HR_USE_RESULT hr_status
hr__source_open(const char *uri, hr_source **out,
                hr_error *err); // a path or file://; other schemes UNSUPPORTED by name
HR_USE_RESULT hr_status hr__source_memory(const void *bytes, size_t count, const char *name,
                                          hr_source **out, hr_error *err); // borrows bytes
HR_USE_RESULT hr_status hr__source_read(hr_source *source, uint64_t offset, size_t bytes, void *to,
                                        hr_error *err);
void hr__source_will_need(hr_source *source, uint64_t offset, uint64_t bytes);
hr_source *hr__source_ref(hr_source *source);
void hr__source_unref(hr_source **source);

// Files of a path, glob (*, ?, [...], **) or folder (recursively; names starting with '.' or '_' are left out), sorted
// by bytes. Several patterns are joined in their order. NOT_FOUND names the pattern that matched nothing.
typedef struct hr_listing {
    char **paths;
    uint64_t *bytes;
    size_t count;
} hr_listing;
HR_USE_RESULT hr_status hr__list(const char *const *patterns, size_t count, const char *suffix,
                                 hr_listing *out, hr_error *err);
void hr__listing_free(hr_listing *listing);

// Written beside its place and renamed over it at commit (fsync'd); closed without commit leaves nothing.
typedef struct hr_sink hr_sink;
HR_USE_RESULT hr_status hr__sink_open(const char *path, hr_sink **out, hr_error *err);
HR_USE_RESULT hr_status hr__sink_write(hr_sink *sink, const void *bytes, size_t count,
                                       hr_error *err);
uint64_t hr__sink_bytes(const hr_sink *sink);
HR_USE_RESULT hr_status hr__sink_commit(hr_sink *sink, hr_error *err);
void hr__sink_close(hr_sink **sink);

#endif
