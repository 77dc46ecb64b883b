// SPDX-License-Identifier: Apache-2.0
// Compression libraries behind one call: whole buffers of exactly known size, in and out. Thread-safe.
//
// The numbers are those of the Parquet format (CompressionCodec), so that a file's number is used as it stands.
#ifndef HR_FORMAT_CODEC_H
#define HR_FORMAT_CODEC_H

#include "base/error.h"

typedef enum hr_codec {
    HR_CODEC_NONE = 0,
    HR_CODEC_SNAPPY = 1,
    HR_CODEC_GZIP = 2,
    HR_CODEC_LZO = 3,
    HR_CODEC_BROTLI = 4,
    HR_CODEC_LZ4 = 5, // Hadoop's frames, or a bare block: the format never said which
    HR_CODEC_ZSTD = 6,
    HR_CODEC_LZ4_RAW = 7,
    HR_CODEC_COUNT,
} hr_codec;

// "zstd", "snappy", ...; "codec 42" is not ours: "unknown".
const char *hr__codec_name(int codec);
// UNSUPPORTED names the codec that this build does not have; CORRUPT a number that is none.
HR_USE_RESULT hr_status hr__codec_check(int codec, hr_error *err);
// False when no stream of `in_bytes` can hold `out_bytes`: asked before out is allocated.
bool hr__codec_can_hold(hr_codec codec, uint64_t in_bytes, uint64_t out_bytes);
// Fills out with exactly out_bytes, or CORRUPT. Streams that hold more or less are CORRUPT too.
HR_USE_RESULT hr_status hr__codec_decompress(hr_codec codec, const void *in, size_t in_bytes,
                                             void *out, size_t out_bytes, hr_error *err);
// The first bytes of what a stream holds, of all of it or of as much of its front as is there. Returns how many were
// made, at most `room`; what lies behind those is not looked at, and not checked. Fewer than asked for, or none: the
// front is too short, the stream is damaged, or this codec does not stop early: hr__codec_decompress says.
size_t hr__codec_prefix(hr_codec codec, const void *in, size_t in_bytes, void *out, size_t room);
// The room that hr__codec_compress wants at most; 0 for a codec that we do not write.
size_t hr__codec_bound(hr_codec codec, size_t in_bytes);
// level 0 is the codec's own default. LIMIT: `room` is too small.
HR_USE_RESULT hr_status hr__codec_compress(hr_codec codec, int level, const void *in,
                                           size_t in_bytes, void *out, size_t room,
                                           size_t *bytes_out, hr_error *err);

#endif
