// SPDX-License-Identifier: Apache-2.0
// Row groups that cannot hold a wanted row, by their chunks' statistics.
//
// Wrong is only to prune too much, so whatever is not surely understood keeps the row group: other types of literals,
// statistics without a column order, floats that are NaN, legacy minima of types whose order was never agreed.
// Bounds may be truncated or inexact: they stay bounds; only "all values equal this one" (NE) wants them exact.
#include "format/parquet/pq.h"
#include <math.h>
#include <string.h>

// A bound or literal on a common scale: numbers as long double (64 bits of mantissa hold every int64, uint64 and
// double), text as bytes.
typedef struct scalar {
    bool is_text;
    long double number;
    pq_bytes text;
} scalar;

static int compare(const scalar *a, const scalar *b)
{
    if (!a->is_text)
        return a->number < b->number ? -1 : a->number > b->number;
    int order = memcmp(a->text.data, b->text.data, HR_MIN(a->text.bytes, b->text.bytes));
    if (order)
        return order;
    return a->text.bytes < b->text.bytes ? -1 : a->text.bytes > b->text.bytes;
}

static bool read_bound(const pq_leaf *leaf, pq_bytes bound, scalar *out)
{
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    *out = (scalar){0};
    if (!bound.data || (leaf->stored_bytes && bound.bytes != (uint32_t)leaf->stored_bytes))
        return false;
    switch (leaf->item.id) {
    case HR_TYPE_INT8:
    case HR_TYPE_INT16:
    case HR_TYPE_INT32:
        memcpy(&i32, bound.data, 4);
        out->number = i32;
        return true;
    case HR_TYPE_UINT8:
    case HR_TYPE_UINT16:
    case HR_TYPE_UINT32:
        memcpy(&i32, bound.data, 4);
        out->number = (uint32_t)i32;
        return true;
    case HR_TYPE_INT64:
        memcpy(&i64, bound.data, 8);
        out->number = i64;
        return true;
    case HR_TYPE_UINT64:
        memcpy(&i64, bound.data, 8);
        out->number = (uint64_t)i64;
        return true;
    case HR_TYPE_FLOAT32:
        memcpy(&f32, bound.data, 4);
        out->number = f32;
        return !isnan(f32);
    case HR_TYPE_FLOAT64:
        memcpy(&f64, bound.data, 8);
        out->number = f64;
        return !isnan(f64);
    case HR_TYPE_STRING:
    case HR_TYPE_BINARY:
        out->is_text = true;
        out->text = bound;
        return true;
    default:
        return false;
    }
}

static bool read_literal(const hr_predicate_term *term, bool is_text, scalar *out)
{
    *out = (scalar){.is_text = is_text};
    switch (term->literal_id) {
    case HR_TYPE_INT64:
        out->number = term->i;
        return !is_text;
    case HR_TYPE_FLOAT64:
        out->number = term->f;
        return !is_text && !isnan(term->f);
    case HR_TYPE_STRING:
        if (!is_text || !term->text)
            return false;
        out->text = (pq_bytes){(const uint8_t *)term->text, (uint32_t)strlen(term->text)};
        return true;
    default:
        return false;
    }
}

// Legacy bounds were compared as signed bytes or numbers: right for signed integers and floats alone.
static bool legacy_is_safe(const pq_leaf *leaf)
{
    switch (leaf->item.id) {
    case HR_TYPE_INT8:
    case HR_TYPE_INT16:
    case HR_TYPE_INT32:
    case HR_TYPE_INT64:
    case HR_TYPE_FLOAT32:
    case HR_TYPE_FLOAT64:
        return true;
    default:
        return false;
    }
}

static bool outside(hr_compare_op op, bool has_min, bool has_max, const scalar *min,
                    const scalar *max, const scalar *wanted)
{
    switch (op) {
    case HR_OP_EQ:
        return (has_min && compare(wanted, min) < 0) || (has_max && compare(wanted, max) > 0);
    case HR_OP_LT:
        return has_min && compare(min, wanted) >= 0;
    case HR_OP_LE:
        return has_min && compare(min, wanted) > 0;
    case HR_OP_GT:
        return has_max && compare(max, wanted) <= 0;
    case HR_OP_GE:
        return has_max && compare(max, wanted) < 0;
    default:
        return false;
    }
}

static bool term_excludes(const pq_reader *r, const pq_group *group, const hr_predicate_term *term)
{
    if (term->column < 0 || term->column >= r->leaf_count)
        return false;
    const pq_leaf *leaf = &r->leaves[term->column];
    const pq_chunk *chunk = &group->chunks[leaf->chunk_index];
    const pq_statistics *s = &chunk->statistics;
    if (leaf->is_list || leaf->convert == PQ_CONVERT_NULL)
        return false;
    bool all_null = s->null_count >= 0 && s->null_count == group->rows;
    if (term->op == HR_OP_IS_NULL)
        return s->null_count == 0 || leaf->max_definition == 0;
    // A comparison with a null is never true.
    if (all_null)
        return true;
    if (term->op == HR_OP_IS_NOT_NULL)
        return false;
    bool ordered =
        r->file.column_orders && r->file.column_orders[leaf->chunk_index] == PQ_ORDER_TYPE_DEFINED;
    pq_bytes low = ordered ? s->min : (pq_bytes){0}, high = ordered ? s->max : (pq_bytes){0};
    bool legacy = !low.data && !high.data && legacy_is_safe(leaf);
    if (legacy) {
        low = s->legacy_min;
        high = s->legacy_max;
    }
    scalar min, max, wanted;
    bool has_min = read_bound(leaf, low, &min), has_max = read_bound(leaf, high, &max);
    bool is_text = leaf->item.id == HR_TYPE_STRING || leaf->item.id == HR_TYPE_BINARY;
    // Either bound NaN: the other one was made by the same comparison and is no better.
    if ((low.data && !has_min) || (high.data && !has_max) || !read_literal(term, is_text, &wanted))
        return false;
    bool is_float = leaf->item.id == HR_TYPE_FLOAT32 || leaf->item.id == HR_TYPE_FLOAT64;
    if (term->op == HR_OP_NE) // NaN is unequal to all, and no bound tells of it; text may be cut
        return !is_float && !is_text && has_min && has_max && !s->min_is_inexact &&
               !s->max_is_inexact && compare(&min, &max) == 0 && compare(&min, &wanted) == 0;
    return outside(term->op, has_min, has_max, &min, &max, &wanted);
}

bool hr__pq_prune(hr_reader *reader, int32_t fragment, const hr_predicate_term *terms,
                  int32_t term_count)
{
    const pq_reader *r = (const pq_reader *)reader;
    if (fragment < 0 || fragment >= r->file.group_count)
        return false;
    for (int32_t i = 0; i < term_count; i++)
        if (term_excludes(r, &r->file.groups[fragment], &terms[i]))
            return true;
    return false;
}
