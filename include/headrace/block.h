// SPDX-License-Identifier: Apache-2.0
/**
 * Blocks: immutable columns of equal length in the Arrow layout, and the Arrow C Data Interface in both directions.
 *
 * A block is reference-counted and may be shared between threads. What hr_block_column describes is borrowed from
 * the block and stays where it is until the last reference goes.
 */
#ifndef HEADRACE_BLOCK_H
#define HEADRACE_BLOCK_H

#include <headrace/schema.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hr_block hr_block;

/**
 * One column as it lies in memory. Row i of the column is row `offset + i` of the buffers (bits for validity and BOOL).
 *
 * type          data                                offsets                       child
 * fixed width   values                              NULL                          NULL
 * BOOL          bits                                NULL                          NULL
 * TENSOR        values, [rows, ...shape] row-major  NULL                          NULL
 * STRING...     bytes                               rows + 1, int32 (large: 64)   NULL
 * LIST          NULL                                rows + 1, int32 (large: 64)   the items, all of them
 * DICTIONARY    int32 codes                         NULL                          the values
 */
typedef struct hr_column {
    const hr_type *type;
    int64_t rows;
    int64_t offset;
    int64_t null_count;      /**< -1: not counted */
    const uint8_t *validity; /**< NULL: no nulls. Bit 1: there is a value */
    const void *offsets;
    const void *data;
    const struct hr_column *child;
} hr_column;

HR_API hr_block *hr_block_ref(const hr_block *block);
HR_API void hr_block_unref(hr_block **block);
HR_API int64_t hr_block_rows(const hr_block *block);
/** Borrowed from the block. */
HR_API const hr_schema *hr_block_schema(const hr_block *block);
/** Borrowed from the block; NULL when index is out of range. */
HR_API const hr_column *hr_block_column(const hr_block *block, int32_t index);
/** Bytes of the rows' own data: values, offsets, validity; a view counts its rows only. */
HR_API int64_t hr_block_bytes(const hr_block *block);
/** What hr_block_print makes of rows. */
typedef enum hr_print {
    HR_PRINT_TABLE = 0, /**< columns aligned under their names; values that are long are cut */
    HR_PRINT_JSON = 1,  /**< one object a line; bytes in base64, tensors as nested lists */
} hr_print;
/** The rows as text, freed with hr_text_free (runtime.h). LIMIT: over 1 GiB of it. */
HR_API HR_USE_RESULT hr_status hr_block_print(const hr_block *block, hr_print form, char **out,
                                              hr_error *err);
/** Rows [first, first + rows) as a new reference that shares the memory. INVALID: outside the block. */
HR_API HR_USE_RESULT hr_status hr_block_slice(const hr_block *block, int64_t first, int64_t rows,
                                              hr_block **out, hr_error *err);

/* The Arrow C Data Interface (https://arrow.apache.org/docs/format/CDataInterface.html) and C Stream Interface. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE           2
#define ARROW_FLAG_MAP_KEYS_SORTED    4
struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};
struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};
#endif
#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE
struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};
#endif

/** Describes a schema as an Arrow struct. Tensors become fixed_size_list with the extension arrow.fixed_shape_tensor.
 *  The caller releases *out. */
HR_API HR_USE_RESULT hr_status hr_schema_export(const hr_schema *schema, struct ArrowSchema *out,
                                                hr_error *err);
/** Reads an Arrow struct schema; does not release it. UNSUPPORTED names the field and its Arrow format. */
HR_API HR_USE_RESULT hr_status hr_schema_import(const struct ArrowSchema *schema, hr_schema **out,
                                                hr_error *err);
/** Shares the block as an Arrow struct array, no copy (BFLOAT16 columns excepted): out holds a reference. */
HR_API HR_USE_RESULT hr_status hr_block_export(const hr_block *block, struct ArrowArray *out,
                                               hr_error *err);
/** Takes an Arrow struct array (also on failure) as a block of `schema`, without a copy where the layout allows it.
 *  CORRUPT or INVALID: buffers missing, offsets that decrease, lengths that do not fit. */
HR_API HR_USE_RESULT hr_status hr_block_import(struct ArrowArray *array, const hr_schema *schema,
                                               hr_block **out, hr_error *err);

#ifdef __cplusplus
}
#endif
#endif
