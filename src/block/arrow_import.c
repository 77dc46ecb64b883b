// SPDX-License-Identifier: Apache-2.0
// Arrow arrays read as blocks, in place.
//
// The block owns the Arrow array and releases it with its last reference. Buffers are used where they lie; what has
// to be copied hangs on the same owner: dictionary codes of another width or out of range under nulls, and buffers
// that are not aligned to their values. A copy begins at row 0, so it takes its validity along.
//
// Arrow does not tell how long a buffer is: lengths are taken from the array, and every offset and code is checked
// against the lengths of what it points into. UTF-8 is not checked: the producer runs in our process.
#include "block/wire.h"
#include "kernel/kernel.h"

#include <string.h>

// Stands for absent buffers of no rows: long enough for one offset and for a vector load.
static const _Alignas(HR_ALIGN) uint8_t no_bytes[2 * HR_ALIGN];

typedef struct copied copied;
struct copied {
    _Alignas(HR_ALIGN) copied *next;
};

typedef struct import_owner {
    struct ArrowArray array;
    copied *copies;
} import_owner;

static void release_owner(void *context)
{
    import_owner *owner = context;
    if (!owner)
        return;
    if (owner->array.release)
        owner->array.release(&owner->array);
    while (owner->copies) {
        copied *copy = owner->copies;
        owner->copies = copy->next;
        hr__free(copy);
    }
    hr__free(owner);
}

typedef struct importer {
    import_owner *owner;
    const char *field;
    char index_format;
} importer;

static hr_status open_copy(importer *in, int64_t bytes, void *out, hr_error *err)
{
    copied *copy = NULL;
    HR_TRY(hr__alloc_aligned(sizeof *copy + (size_t)bytes + HR_ALIGN, HR_ALIGN, &copy, err));
    copy->next = in->owner->copies;
    in->owner->copies = copy;
    memset((uint8_t *)(copy + 1) + bytes, 0, HR_ALIGN);
    *(void **)out = copy + 1;
    return HR_OK;
}

static bool is_aligned(const void *p, int64_t width)
{
    return (uintptr_t)p % (uintptr_t)HR_MIN(width, 8) == 0; // 16-byte values are read as bytes
}

// Moves the column's rows to row 0: the validity is copied, whoever calls copies the rest.
static hr_status rebase(importer *in, hr_column *c, hr_error *err)
{
    uint8_t *bits;
    if (c->validity && c->offset) {
        int64_t bytes = (c->rows + 7) / 8;
        HR_TRY(open_copy(in, bytes, &bits, err));
        memset(bits, 0, (size_t)bytes);
        hr__kernels()->bits.copy(bits, 0, c->validity, (size_t)c->offset, (size_t)c->rows);
        c->validity = bits;
    }
    c->offset = 0;
    return HR_OK;
}

static hr_status fail_buffers(const importer *in, const struct ArrowArray *a, const char *what,
                              hr_error *err)
{
    return HR_FAIL(err, HR_INVALID,
                   "column '%.100s': an Arrow array of %lld rows with %lld buffers: %s is missing",
                   in->field, (long long)a->length, (long long)a->n_buffers, what);
}

// Takes over length, offset and validity of an array whose rows [first, first + rows) are wanted.
static hr_status import_head(const importer *in, const struct ArrowArray *a, int64_t first,
                             int64_t rows, int64_t buffer_count, hr_column *c, hr_error *err)
{
    if (!a || !a->release)
        return HR_FAIL(err, HR_INVALID, "column '%.100s': an Arrow array is missing or released",
                       in->field);
    if (a->length < 0 || a->offset < 0 || a->null_count < -1 || a->null_count > a->length ||
        a->length > HR_SPAN_ROWS_MAX || a->offset > HR_SPAN_ROWS_MAX)
        return HR_FAIL(err, HR_INVALID,
                       "column '%.100s': Arrow length %lld, offset %lld, %lld nulls", in->field,
                       (long long)a->length, (long long)a->offset, (long long)a->null_count);
    if (first > a->length || rows > a->length - first)
        return HR_FAIL(err, HR_INVALID,
                       "column '%.100s': an Arrow array of %lld rows where %lld are needed",
                       in->field, (long long)a->length, (long long)(first + rows));
    c->rows = rows;
    c->offset = rows ? a->offset + first : 0;
    c->null_count = 0;
    c->validity = NULL;
    if (buffer_count == 0 || rows == 0)
        return HR_OK;
    if (a->n_buffers < buffer_count || !a->buffers)
        return fail_buffers(in, a, "a buffer", err);
    if (a->null_count == 0)
        return HR_OK;
    if (!a->buffers[0])
        return a->null_count < 0 ? HR_OK : fail_buffers(in, a, "the validity", err);
    c->validity = a->buffers[0];
    c->null_count = rows == a->length ? a->null_count : -1;
    return HR_OK;
}

static void import_empty(hr_column *c)
{
    for (; c; c = (hr_column *)c->child) {
        c->rows = c->offset = c->null_count = 0;
        c->validity = NULL;
        c->offsets = hr__type_has_offsets(c->type) ? no_bytes : NULL;
        c->data = c->type->id != HR_TYPE_LIST && c->type->id != HR_TYPE_NULL ? no_bytes : NULL;
    }
}

static hr_status import_offsets(importer *in, const struct ArrowArray *a, hr_column *c,
                                hr_error *err)
{
    int64_t width = c->type->large ? 8 : 4;
    const uint8_t *offsets = a->buffers[1];
    if (!offsets)
        return fail_buffers(in, a, "the offsets", err);
    c->offsets = offsets;
    if (is_aligned(offsets, width))
        return HR_OK;
    void *copy;
    HR_TRY(open_copy(in, (c->rows + 1) * width, &copy, err));
    memcpy(copy, offsets + c->offset * width, (size_t)((c->rows + 1) * width));
    c->offsets = copy;
    return rebase(in, c, err);
}

static hr_status import_bytes(importer *in, const struct ArrowArray *a, hr_column *c, hr_error *err)
{
    HR_TRY(import_offsets(in, a, c, err));
    c->data = a->buffers[2] ? a->buffers[2] : no_bytes;
    if (!a->buffers[2] && hr__column_offset(c, c->rows) != hr__column_offset(c, 0))
        return fail_buffers(in, a, "the data", err);
    return HR_OK;
}

static hr_status import_values(importer *in, const struct ArrowArray *a, hr_column *c,
                               hr_error *err)
{
    int64_t width = hr_type_row_bytes(c->type);
    const uint8_t *data = a->buffers[1];
    if (!data)
        return fail_buffers(in, a, "the data", err);
    c->data = data;
    bool bytewise = c->type->id == HR_TYPE_BOOL || c->type->id == HR_TYPE_FIXED_BINARY;
    if (bytewise || is_aligned(data, width))
        return HR_OK;
    void *copy;
    int64_t bytes, at;
    if (HR_MUL_OVERFLOWS(c->rows, width, &bytes) || HR_MUL_OVERFLOWS(c->offset, width, &at))
        return HR_FAIL(err, HR_INVALID, "column '%.100s': more than 2^63 bytes", in->field);
    HR_TRY(open_copy(in, bytes, &copy, err));
    memcpy(copy, data + at, (size_t)bytes);
    c->data = copy;
    return rebase(in, c, err);
}

// --- dictionaries ---

static int64_t index_bytes(char format)
{
    switch (format) {
    case 'c':
    case 'C':
        return 1;
    case 's':
    case 'S':
        return 2;
    case 'l':
    case 'L':
        return 8;
    default:
        return 4;
    }
}

static int64_t read_index(const uint8_t *at, char format)
{
    uint64_t value = 0;
    int64_t bytes = index_bytes(format);
    memcpy(&value, at, (size_t)bytes);
    switch (format) {
    case 'c':
        return (int8_t)value;
    case 's':
        return (int16_t)value;
    case 'i':
        return (int32_t)value;
    default: // an unsigned one past 2^63 becomes negative: refused as well
        return (int64_t)value;
    }
}

// Codes as int32, all of them in range: what stands under a null becomes 0.
static hr_status import_codes(importer *in, const struct ArrowArray *a, int64_t entries,
                              hr_column *c, hr_error *err)
{
    int64_t width = index_bytes(in->index_format);
    const uint8_t *codes = a->buffers[1];
    if (!codes)
        return fail_buffers(in, a, "the codes", err);
    c->data = codes;
    codes += c->offset * width;
    bool usable = width == 4 && is_aligned(codes, 4);
    for (int64_t i = 0; usable && i < c->rows; i++)
        usable = ((const uint32_t *)codes)[i] < (uint32_t)entries;
    if (usable)
        return HR_OK;
    int32_t *out;
    HR_TRY(open_copy(in, c->rows * 4, &out, err));
    for (int64_t i = 0; i < c->rows; i++) {
        int64_t code = read_index(codes + i * width, in->index_format);
        bool in_range = code >= 0 && code < entries;
        if (!in_range && hr__column_is_valid(c, i))
            return HR_FAIL(err, HR_CORRUPT,
                           "column '%.100s', row %lld: dictionary index %lld, entries %lld",
                           in->field, (long long)i, (long long)code, (long long)entries);
        out[i] = in_range ? (int32_t)code : 0;
    }
    c->data = out;
    return rebase(in, c, err);
}

// --- tensors ---

// Nulls inside a row: fine where the row itself is null, else there is no tensor to hand out. `base` and `per_row`
// say which of the array's items row r has: [base + (offset + r) * per_row, ... + per_row), array's offset included.
static hr_status check_items(const importer *in, const struct ArrowArray *a, const hr_column *c,
                             int64_t base, int64_t per_row, hr_error *err)
{
    const uint8_t *bits = a->n_buffers > 0 && a->buffers ? a->buffers[0] : NULL;
    if (a->null_count == 0 || !bits)
        return HR_OK;
    const hr_kernels *k = hr__kernels();
    size_t first = (size_t)(base + c->offset * per_row), count = (size_t)(c->rows * per_row);
    if (k->bits.count(bits, first, count) == count)
        return HR_OK;
    for (int64_t row = 0; row < c->rows; row++)
        if (hr__column_is_valid(c, row) && k->bits.count(bits, first + (size_t)(row * per_row),
                                                         (size_t)per_row) != (size_t)per_row)
            return HR_FAIL(
                err, HR_INVALID,
                "column '%.100s', row %lld: a null inside a fixed-size list, which cannot be in a "
                "tensor: fill the nulls, or cast to a list of any size",
                in->field, (long long)row);
    return HR_OK;
}

// Dimensions as the arrays nest: those of the type, or one flat list of all values (the extension's storage).
static hr_status storage_shape(const importer *in, const struct ArrowArray *a, const hr_type *type,
                               int64_t shape[HR_TENSOR_DIMS_MAX], int32_t *depth_out, hr_error *err)
{
    int32_t depth = 0;
    for (const struct ArrowArray *at = a; at && at->n_children == 1 && at->children; depth++) {
        at = at->children[0];
        if (depth == HR_TENSOR_DIMS_MAX)
            break;
    }
    memcpy(shape, type->shape, sizeof type->shape);
    if (depth == 1)
        shape[0] = hr__type_row_values(type);
    else if (depth != type->ndim)
        return HR_FAIL(err, HR_INVALID,
                       "column '%.100s': fixed-size lists %d deep for a tensor of %d dimensions",
                       in->field, (int)depth, (int)type->ndim);
    *depth_out = depth;
    return HR_OK;
}

static hr_status import_tensor(importer *in, const struct ArrowArray *a, hr_column *c,
                               hr_error *err)
{
    int64_t shape[HR_TENSOR_DIMS_MAX];
    int64_t base = 0, per_row = 1, used = 0;
    int32_t depth = 0;
    hr_column items;
    HR_TRY(storage_shape(in, a, c->type, shape, &depth, err));
    for (int32_t i = 0; i < depth; i++) {
        a = a->children[0];
        bool leaf = i + 1 == depth;
        // Of the child: rows are counted from its own offset.
        if (HR_MUL_OVERFLOWS(per_row, shape[i], &per_row) ||
            HR_MUL_OVERFLOWS(c->offset + c->rows, per_row, &used) ||
            HR_MUL_OVERFLOWS(base, shape[i], &base) || HR_ADD_OVERFLOWS(used, base, &used))
            return HR_FAIL(err, HR_INVALID, "column '%.100s': a tensor of more than 2^63 values",
                           in->field);
        HR_TRY(import_head(in, a, 0, used, leaf ? 2 : 1, &items, err));
        if (HR_ADD_OVERFLOWS(base, a->offset, &base) || base > INT64_MAX / 8)
            return HR_FAIL(err, HR_INVALID, "column '%.100s': a tensor of more than 2^63 values",
                           in->field);
        HR_TRY(check_items(in, a, c, base, per_row, err));
    }
    int64_t width = hr__type_value_bytes(c->type);
    const uint8_t *data = a->buffers[1];
    if (!data)
        return fail_buffers(in, a, "the data", err);
    data += base * width;
    c->data = data;
    if (is_aligned(data, width))
        return HR_OK;
    void *copy;
    HR_TRY(open_copy(in, c->rows * per_row * width, &copy, err));
    memcpy(copy, data + c->offset * per_row * width, (size_t)(c->rows * per_row * width));
    c->data = copy;
    return rebase(in, c, err);
}

// --- columns ---

static int64_t buffer_count(const hr_type *type)
{
    switch (type->id) {
    case HR_TYPE_NULL:
        return 0;
    case HR_TYPE_STRING:
    case HR_TYPE_BINARY:
        return 3;
    case HR_TYPE_TENSOR:
        return 1;
    default:
        return 2;
    }
}

// One array of the chain; *a moves on to what belongs to the column's child.
static hr_status import_node(importer *in, const struct ArrowArray **a, hr_column *c, hr_error *err)
{
    const struct ArrowArray *array = *a;
    switch (c->type->id) {
    case HR_TYPE_NULL:
        c->null_count = c->rows;
        return HR_OK;
    case HR_TYPE_STRING:
    case HR_TYPE_BINARY:
        return import_bytes(in, array, c, err);
    case HR_TYPE_LIST:
        if (array->n_children != 1 || !array->children)
            return HR_FAIL(err, HR_INVALID, "column '%.100s': an Arrow list of %lld children",
                           in->field, (long long)array->n_children);
        *a = array->children[0];
        return import_offsets(in, array, c, err);
    case HR_TYPE_DICTIONARY:
        if (!array->dictionary || array->dictionary->length < 0 ||
            array->dictionary->length > INT32_MAX)
            return HR_FAIL(err, HR_INVALID,
                           "column '%.100s': an Arrow dictionary that is missing or too long",
                           in->field);
        *a = array->dictionary;
        return import_codes(in, array, array->dictionary->length, c, err);
    case HR_TYPE_TENSOR:
        return import_tensor(in, array, c, err);
    default:
        return import_values(in, array, c, err);
    }
}

static hr_status import_column(importer *in, const struct ArrowArray *a, int64_t first,
                               int64_t rows, bool nullable, hr_column *column, hr_error *err)
{
    for (hr_column *c = column; c; c = (hr_column *)c->child) {
        const hr_type *number = c->type->id == HR_TYPE_TENSOR ? c->type->item : c->type;
        if (number->id == HR_TYPE_BFLOAT16)
            return HR_FAIL(err, HR_UNSUPPORTED,
                           "column '%.100s': Arrow has no bfloat16: import float32 and cast",
                           in->field);
        HR_TRY(import_head(in, a, first, rows, buffer_count(c->type), c, err));
        if (rows == 0) {
            import_empty(c);
            break;
        }
        HR_TRY(import_node(in, &a, c, err));
        first = 0;
        rows = a && c->child ? a->length : 0;
    }
    return hr__column_validate(column, in->field, nullable, false, err);
}

// A row that is null as a whole has no place in a block of columns.
static hr_status check_root(const struct ArrowArray *a, int32_t columns, hr_error *err)
{
    if (a->n_children != columns || (columns && !a->children))
        return HR_FAIL(err, HR_INVALID, "an Arrow struct of %lld columns for a schema of %d",
                       (long long)a->n_children, (int)columns);
    if (a->length < 0 || a->offset < 0 || a->length > HR_SPAN_ROWS_MAX ||
        a->offset > HR_SPAN_ROWS_MAX)
        return HR_FAIL(err, HR_INVALID, "an Arrow struct of length %lld at offset %lld",
                       (long long)a->length, (long long)a->offset);
    const uint8_t *bits = a->n_buffers > 0 && a->buffers ? a->buffers[0] : NULL;
    if (a->null_count == 0 || !bits)
        return HR_OK;
    size_t valid = hr__kernels()->bits.count(bits, (size_t)a->offset, (size_t)a->length);
    if ((int64_t)valid != a->length)
        return HR_FAIL(
            err, HR_INVALID,
            "an Arrow struct of which %lld rows of %lld are null as a whole: move the nulls into "
            "its columns, or drop the rows",
            (long long)(a->length - (int64_t)valid), (long long)a->length);
    return HR_OK;
}

hr_status hr_block_import(struct ArrowArray *array, const hr_schema *schema, hr_block **out,
                          hr_error *err)
{
    importer in = {0};
    hr_block *block = NULL;
    hr_status status;
    if (!array || !array->release)
        return HR_FAIL(err, HR_INVALID, "an Arrow array that is missing or released");
    status = hr__alloc_zero(1, sizeof *in.owner, &in.owner, err);
    if (status) {
        array->release(array);
        return status;
    }
    in.owner->array = *array;
    array->release = NULL;
    array = &in.owner->array;
    HR_GO(check_root(array, hr_schema_count(schema), err));
    HR_GO(hr__block_alloc(schema, array->length, &block, err));
    for (int32_t i = 0; i < block->column_count; i++) {
        const hr_field *field = hr_schema_field(schema, i);
        in.field = field->name;
        in.index_format = hr__schema_index_format(schema, i);
        HR_GO(import_column(&in, array->children[i], array->offset, array->length, field->nullable,
                            &block->columns[i], err));
    }
    block->release = release_owner;
    block->owner = in.owner;
    *out = block;
    return HR_OK;
out:
    hr_block_unref(&block);
    release_owner(in.owner);
    return status;
}
