// SPDX-License-Identifier: Apache-2.0
/**
 * Types, fields and schemas.
 *
 * A schema is immutable and reference-counted: it may be shared between threads. Types and names that a schema
 * hands out are borrowed from it.
 */
#ifndef HEADRACE_SCHEMA_H
#define HEADRACE_SCHEMA_H

#include <headrace/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a value is. The numbers are part of the block format: they never change. */
typedef enum hr_type_id {
    HR_TYPE_NULL = 0, /**< no values at all: every row is null */
    HR_TYPE_BOOL = 1, /**< a bit */
    HR_TYPE_INT8 = 2,
    HR_TYPE_INT16 = 3,
    HR_TYPE_INT32 = 4,
    HR_TYPE_INT64 = 5,
    HR_TYPE_UINT8 = 6,
    HR_TYPE_UINT16 = 7,
    HR_TYPE_UINT32 = 8,
    HR_TYPE_UINT64 = 9,
    HR_TYPE_FLOAT16 = 10, /**< IEEE binary16 */
    HR_TYPE_BFLOAT16 =
        11, /**< the upper half of a binary32; Arrow has no name for it: exported as float32 */
    HR_TYPE_FLOAT32 = 12,
    HR_TYPE_FLOAT64 = 13,
    HR_TYPE_DATE32 = 14,       /**< days since 1970-01-01, int32 */
    HR_TYPE_TIME32 = 15,       /**< since midnight in `unit` (s, ms), int32 */
    HR_TYPE_TIME64 = 16,       /**< since midnight in `unit` (us, ns), int64 */
    HR_TYPE_TIMESTAMP = 17,    /**< since the epoch in `unit`, int64; `timezone` NULL: local */
    HR_TYPE_DURATION = 18,     /**< in `unit`, int64 */
    HR_TYPE_DECIMAL128 = 19,   /**< two's complement, 16 bytes, `precision` and `scale` */
    HR_TYPE_DECIMAL256 = 20,   /**< the same in 32 bytes */
    HR_TYPE_FIXED_BINARY = 21, /**< `width_bytes` bytes */
    HR_TYPE_BINARY = 22,
    HR_TYPE_STRING = 23, /**< UTF-8 */
    HR_TYPE_LIST = 24,   /**< of `item`, any length: a ragged tensor when the item is a number */
    HR_TYPE_TENSOR =
        25, /**< of `item` (a number), `ndim` and `shape` the same in each row, row-major */
    HR_TYPE_DICTIONARY = 26, /**< int32 codes into values of type `item` */
} hr_type_id;

typedef enum hr_time_unit {
    HR_SECOND = 0,
    HR_MILLISECOND = 1,
    HR_MICROSECOND = 2,
    HR_NANOSECOND = 3
} hr_time_unit;

#define HR_TENSOR_DIMS_MAX 8

/** A type. Only the members that its id speaks of mean anything; the others are zero. */
typedef struct hr_type {
    hr_type_id id;
    hr_time_unit unit;
    int32_t precision, scale;
    int32_t width_bytes;
    bool large;   /**< STRING, BINARY, LIST: offsets have 64 bits instead of 32 */
    bool ordered; /**< DICTIONARY: the order of the values means something */
    int32_t ndim; /**< TENSOR: 1 to HR_TENSOR_DIMS_MAX */
    int64_t shape[HR_TENSOR_DIMS_MAX];
    const char *timezone;
    const struct hr_type *item;
} hr_type;

typedef struct hr_field {
    const char *name;
    const hr_type *type;
    bool nullable;
} hr_field;

typedef struct hr_schema hr_schema;

/** Makes a schema of copies of the fields, types and names included. INVALID: an empty or repeated name, a type
 *  whose members do not fit. *out is a reference. */
HR_API HR_USE_RESULT hr_status hr_schema_make(const hr_field *fields, int32_t count,
                                              hr_schema **out, hr_error *err);
HR_API hr_schema *hr_schema_ref(const hr_schema *schema);
HR_API void hr_schema_unref(hr_schema **schema);
/** How many fields it has. */
HR_API int32_t hr_schema_count(const hr_schema *schema);
/** Borrowed; NULL when index is out of range. */
HR_API const hr_field *hr_schema_field(const hr_schema *schema, int32_t index);
/** The index of a name, or -1. */
HR_API int32_t hr_schema_find(const hr_schema *schema, const char *name);
/** Same names, types and nullability in the same order. */
HR_API bool hr_schema_equal(const hr_schema *a, const hr_schema *b);
/** "int32", "list<float32>", "tensor<int64>[80, 80, 4]", "timestamp[us, UTC]", "decimal(10, 2)": written to
 *  `buffer`, cut where it is too long. Returns buffer. */
HR_API const char *hr_type_print(const hr_type *type, char *buffer, size_t room);
/** Bytes of one row of a fixed-width type (a tensor's whole row); 0 for BOOL, NULL and variable-width types. */
HR_API int64_t hr_type_row_bytes(const hr_type *type);

#ifdef __cplusplus
}
#endif
#endif
