// SPDX-License-Identifier: Apache-2.0
// Inside the room: what a scheme provides, and the base of every source.
#ifndef HR_IO_SOURCE_H
#define HR_IO_SOURCE_H

#include "io/io.h"

// One row a scheme (uri.c). `open` gets what stands after "scheme://", or the whole of a bare path.
typedef struct hr_scheme {
    const char *name;
    hr_status (*open)(const char *path, const char *name, hr_source **out, hr_error *err);
} hr_scheme;

// Splits a URI. A bare path has no scheme and is its own rest. UNSUPPORTED lists the schemes there are.
HR_USE_RESULT hr_status hr__uri_split(const char *uri, const hr_scheme **scheme_out,
                                      const char **rest_out, hr_error *err);
// A source of `bytes` zeroed bytes of struct that begin with hr_source; refs 1, name copied.
HR_USE_RESULT hr_status hr__source_make(size_t struct_bytes, const hr_source_ops *ops,
                                        const char *name, void *out, hr_error *err);
HR_USE_RESULT hr_status hr__file_open(const char *path, const char *name, hr_source **out,
                                      hr_error *err);
// Whether `path` (no '/' at either end) matches `pattern`: * and ? and [a-z] and [!a-z] within a name, ** over
// names. A leading dot of a name is matched by a dot alone.
bool hr__glob_match(const char *pattern, const char *path);

#endif
