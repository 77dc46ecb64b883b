// SPDX-License-Identifier: Apache-2.0
// What the runtime and a function's process say to each other, over one SEQPACKET pair. Neither trusts the other's
// bytes: lengths are checked before use, and blocks are read by the bounded reader of spans.
//
//   runtime                                   process
//   BEGIN {bytes} + fd of the payload   ->
//                                       <-    READY, or ERROR and its details
//   CALL {span, schema} (+ fd: a new input segment)  ->
//                                       <-    NEED {bytes}: the output segment is too small
//   SEGMENT {bytes} + fd, or REFUSE     ->
//                                       <-    RESULT {span, schema}, or ERROR and its details
//
// A segment holds a span and right behind it the schema as bytes:
//
//   0 ........ span_bytes | schema_at ....... schema_at + schema_bytes | unused
//
// The runtime makes both segments, so that they are charged before they are written. It writes the one and reads the
// other by file calls alone: a process that shrinks its segment gives a short read, never a signal.
#ifndef HR_EXEC_UDF_WIRE_H
#define HR_EXEC_UDF_WIRE_H

#include "base/os.h"
#include <assert.h>

#define HR_UDF_MAGIC             0x46555248u // "HRUF"
#define HR_UDF_SCHEMA_BYTES_MAX  ((uint64_t)16 << 20)
#define HR_UDF_SEGMENT_BYTES_MAX ((uint64_t)1 << 40)
#define HR_UDF_DETAILS_BYTES_MAX 65536
#define HR_UDF_TEXT_BYTES_MAX    HR_ERROR_MESSAGE_BYTES
#define HR_UDF_GRAIN_BYTES       ((uint64_t)1 << 16) // segments grow in steps of this at least
#define HR_UDF_DEATHS_MAX        3

typedef enum hr_udf_type {
    HR_UDF_BEGIN = 1,
    HR_UDF_READY = 2,
    HR_UDF_CALL = 3,
    HR_UDF_NEED = 4,
    HR_UDF_SEGMENT = 5,
    HR_UDF_REFUSE = 6,
    HR_UDF_RESULT = 7,
    HR_UDF_ERROR = 8,
} hr_udf_type;

typedef struct hr_udf_message {
    uint32_t magic;
    uint32_t type;
    uint64_t segment_bytes; // of the descriptor that comes with it, or (NEED) that is asked for
    uint64_t span_bytes;
    uint64_t schema_at, schema_bytes;
    uint32_t details_bytes; // ERROR: a packet of so many bytes follows
    uint32_t input_kept; // RESULT: the function holds on to its input: that segment is its own now
    int32_t status;      // ERROR
    uint32_t text_bytes; // ERROR: bytes of `text` that follow the fixed part
} hr_udf_message;
static_assert(sizeof(hr_udf_message) == 56, "the message is a contract of two processes");

// Sends a message, its text behind it and a descriptor with it (-1: none).
HR_USE_RESULT hr_status hr__udf_send(int fd, const hr_udf_message *message, const char *text,
                                     int pass_fd, hr_error *err);
// Receives one, checked: magic, type, lengths. *fd_out is -1 when none came. HR_END: the peer is gone. text: room for
// HR_UDF_TEXT_BYTES_MAX bytes and always ended by NUL.
HR_USE_RESULT hr_status hr__udf_receive(int fd, hr_udf_message *out, char *text, int *fd_out,
                                        hr_error *err);

// The details of the last failure of this process (hr__udf_get_details). NULL: it has none.
void hr__udf_set_details(const void *bytes, size_t count);

// Where the schema stands behind a span.
static inline uint64_t hr__udf_schema_at(uint64_t span_bytes)
{
    return (span_bytes + 63) & ~(uint64_t)63;
}

#endif
