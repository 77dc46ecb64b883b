// SPDX-License-Identifier: Apache-2.0
// Runs of valid values into the PLAIN encoding (Encodings.md, PLAIN = 0), and codes of dictionaries.
//
// A dictionary's codes are translated: blocks come with dictionaries of their own, a row group has one. The first use
// of a code in a block looks its value up in the chunk's dictionary, by its stored form; later uses are one load.
#include "format/parquet/pq_write.h"

#define UNKNOWN (-1)

static hr_status put_widened(const hr_column *column, int64_t at, int64_t count, hr_pqw_bytes *out,
                             hr_error *err)
{
    HR_TRY(HR_VEC_RESERVE(out, (size_t)count * 4, err));
    uint8_t *to = out->items + out->count;
    out->count += (size_t)count * 4;
    switch (column->type->id) {
    case HR_TYPE_INT8:
        for (int64_t i = 0; i < count; i++) {
            int32_t value = ((const int8_t *)column->data)[at + i];
            memcpy(to + 4 * i, &value, 4);
        }
        break;
    case HR_TYPE_UINT8:
        for (int64_t i = 0; i < count; i++) {
            int32_t value = ((const uint8_t *)column->data)[at + i];
            memcpy(to + 4 * i, &value, 4);
        }
        break;
    case HR_TYPE_INT16:
        for (int64_t i = 0; i < count; i++) {
            int32_t value = ((const int16_t *)column->data)[at + i];
            memcpy(to + 4 * i, &value, 4);
        }
        break;
    default:
        for (int64_t i = 0; i < count; i++) {
            int32_t value = ((const uint16_t *)column->data)[at + i];
            memcpy(to + 4 * i, &value, 4);
        }
        break;
    }
    return HR_OK;
}

static hr_status put_bf16(const hr_column *column, int64_t at, int64_t count, hr_pqw_bytes *out,
                          hr_error *err)
{
    HR_TRY(HR_VEC_RESERVE(out, (size_t)count * 4, err));
    const uint16_t *from = (const uint16_t *)column->data + at;
    uint8_t *to = out->items + out->count;
    for (int64_t i = 0; i < count; i++) {
        uint32_t value = (uint32_t)from[i] << 16;
        memcpy(to + 4 * i, &value, 4);
    }
    out->count += (size_t)count * 4;
    return HR_OK;
}

static hr_status put_seconds(const hr_pqw_leaf *leaf, const hr_column *column, int64_t at,
                             int64_t count, hr_pqw_bytes *out, hr_error *err)
{
    size_t each = (size_t)leaf->stored_bytes;
    HR_TRY(HR_VEC_RESERVE(out, (size_t)count * each, err));
    for (int64_t i = 0; i < count; i++) {
        int32_t narrow = 0;
        int64_t seconds = each == 4 ? ((const int32_t *)column->data)[at + i]
                                    : ((const int64_t *)column->data)[at + i],
                milliseconds;
        bool over = HR_MUL_OVERFLOWS(seconds, 1000, &milliseconds);
        if (each == 4)
            over = HR_MUL_OVERFLOWS((int32_t)seconds, 1000, &narrow);
        if (over)
            return HR_FAIL(err, HR_INVALID,
                           "column '%s': %lld seconds do not fit into the milliseconds that "
                           "Parquet keeps them in",
                           leaf->field->name, (long long)seconds);
        memcpy(out->items + out->count, each == 4 ? (void *)&narrow : (void *)&milliseconds, each);
        out->count += each;
    }
    return HR_OK;
}

static hr_status put_decimals(const hr_pqw_leaf *leaf, const hr_column *column, int64_t at,
                              int64_t count, hr_pqw_bytes *out, hr_error *err)
{
    int32_t source = leaf->source_bytes, stored = leaf->stored_bytes;
    HR_TRY(HR_VEC_RESERVE(out, (size_t)count * (size_t)stored, err));
    const uint8_t *from = (const uint8_t *)column->data + (size_t)at * (size_t)source;
    uint8_t *to = out->items + out->count;
    for (int64_t i = 0; i < count; i++, from += source, to += stored) {
        int32_t kept = HR_MIN(source, stored);
        uint8_t sign = from[source - 1] & 0x80 ? 0xff : 0;
        bool fits = (from[kept - 1] & 0x80) == (sign & 0x80);
        for (int32_t b = kept; b < source; b++)
            fits &= from[b] == sign;
        if (!fits)
            return HR_FAIL(err, HR_INVALID, "column '%s': a value has more than its %d digits",
                           leaf->field->name, leaf->type->precision);
        for (int32_t b = 0; b < stored; b++)
            to[stored - 1 - b] = b < source ? from[b] : sign;
    }
    out->count += (size_t)count * (size_t)stored;
    return HR_OK;
}

static hr_status put_bits(const hr_column *column, int64_t at, int64_t count, hr_pqw_bytes *out,
                          int64_t stored, hr_error *err)
{
    const uint8_t *from = column->data;
    size_t bytes = (size_t)((stored + count + 7) / 8);
    HR_TRY(HR_VEC_RESERVE(out, bytes - out->count, err));
    memset(out->items + out->count, 0, bytes - out->count);
    out->count = bytes;
    for (int64_t i = 0; i < count; i++) {
        uint8_t bit = from[(at + i) >> 3] >> ((at + i) & 7) & 1;
        out->items[(stored + i) >> 3] |= (uint8_t)(bit << ((stored + i) & 7));
    }
    return HR_OK;
}

static void text_at(const hr_column *column, int64_t at, int64_t *begin_out, int64_t *end_out)
{
    if (column->type->large) {
        const int64_t *offsets = column->offsets;
        *begin_out = offsets[at], *end_out = offsets[at + 1];
    } else {
        const int32_t *offsets = column->offsets;
        *begin_out = offsets[at], *end_out = offsets[at + 1];
    }
}

static hr_status put_text(const hr_pqw_leaf *leaf, const hr_column *column, int64_t at,
                          int64_t count, hr_pqw_bytes *out, hr_error *err)
{
    int64_t begin, end, unused;
    text_at(column, at, &begin, &unused);
    text_at(column, at + count - 1, &unused, &end);
    HR_TRY(HR_VEC_RESERVE(out, (size_t)(end - begin) + 4 * (size_t)count, err));
    uint8_t *to = out->items + out->count;
    for (int64_t i = 0; i < count; i++) {
        text_at(column, at + i, &begin, &end);
        if (end - begin > HR_PQW_PAGE_BYTES_MAX)
            return HR_FAIL(err, HR_LIMIT, "column '%s': a value has %lld bytes, allowed are %d",
                           leaf->field->name, (long long)(end - begin), HR_PQW_PAGE_BYTES_MAX);
        uint32_t bytes = (uint32_t)(end - begin);
        memcpy(to, &bytes, 4);
        if (bytes > 0)
            memcpy(to + 4, (const uint8_t *)column->data + begin, bytes);
        to += 4 + (size_t)bytes;
    }
    out->count = (size_t)(to - out->items);
    return HR_OK;
}

hr_status hr__pqw_values_put(const hr_pqw_leaf *leaf, const hr_column *column, int64_t first,
                             int64_t count, hr_pqw_bytes *out, int64_t *stored_inout, hr_error *err)
{
    int64_t at = column->offset + first;
    size_t each = (size_t)leaf->source_bytes;
    if (count == 0)
        return HR_OK;
    switch (leaf->form) {
    case HR_PQW_NULL:
        break;
    case HR_PQW_BOOL:
        HR_TRY(put_bits(column, at, count, out, *stored_inout, err));
        break;
    case HR_PQW_COPY:
        HR_TRY(hr__pqw_put(out, (const uint8_t *)column->data + (size_t)at * each,
                           (size_t)count * each, err));
        break;
    case HR_PQW_WIDEN:
        HR_TRY(put_widened(column, at, count, out, err));
        break;
    case HR_PQW_BF16:
        HR_TRY(put_bf16(column, at, count, out, err));
        break;
    case HR_PQW_SECONDS:
        HR_TRY(put_seconds(leaf, column, at, count, out, err));
        break;
    case HR_PQW_DECIMAL:
        HR_TRY(put_decimals(leaf, column, at, count, out, err));
        break;
    case HR_PQW_TEXT:
        HR_TRY(put_text(leaf, column, at, count, out, err));
        break;
    }
    *stored_inout += count;
    return HR_OK;
}

// --- dictionaries ---

hr_status hr__pqw_code_at(const hr_pqw_chunk *chunk, const hr_column *column, int64_t row,
                          int64_t *code_out, bool *valid_out, hr_error *err)
{
    const hr_column *values = column->child;
    int32_t code = ((const int32_t *)column->data)[column->offset + row];
    if (code < 0 || code >= values->rows)
        return HR_FAIL(err, HR_INVALID, "column '%s': dictionary code %d, entries %lld",
                       chunk->leaf.field->name, code, (long long)values->rows);
    *code_out = code;
    *valid_out = chunk->leaf.form != HR_PQW_NULL && hr__column_is_valid(values, code);
    return HR_OK;
}

// The chunk's code of a value of the block's dictionary: an entry that is there, or a new one.
static hr_status translate(hr_pqw_chunk *chunk, const hr_column *values, int64_t code,
                           hr_error *err)
{
    int64_t stored = chunk->dictionary_count;
    size_t begin = chunk->dictionary.count;
    uint64_t found;
    HR_TRY(hr__pqw_values_put(&chunk->leaf, values, code, 1, &chunk->dictionary, &stored, err));
    const uint8_t *key = chunk->dictionary.items + begin;
    size_t bytes = chunk->dictionary.count - begin;
    if (hr__map_get(chunk->entries, key, bytes, &found)) {
        chunk->dictionary.count = begin;
        chunk->translation.items[code] = (int64_t)found;
        return HR_OK;
    }
    if (chunk->dictionary.count > HR_PQW_PAGE_BYTES_MAX)
        return HR_FAIL(err, HR_LIMIT,
                       "column '%s': the dictionary of a row group is over %d bytes; write "
                       "smaller row groups, or the column as plain values",
                       chunk->leaf.field->name, HR_PQW_PAGE_BYTES_MAX);
    HR_TRY(hr__map_put(chunk->entries, key, bytes, (uint64_t)chunk->dictionary_count, err));
    chunk->translation.items[code] = chunk->dictionary_count++;
    return HR_OK;
}

hr_status hr__pqw_codes_put(hr_pqw_chunk *chunk, const hr_column *column, int64_t first,
                            int64_t count, hr_error *err)
{
    for (int64_t i = first; i < first + count; i++) {
        int64_t code;
        bool valid;
        HR_TRY(hr__pqw_code_at(chunk, column, i, &code, &valid, err));
        HR_ASSERT(valid);
        if (!chunk->leaf.dictionary) {
            HR_TRY(hr__pqw_values_put(&chunk->leaf, column->child, code, 1, &chunk->body,
                                      &chunk->stored_values, err));
            continue;
        }
        if (chunk->translation.items[code] == UNKNOWN)
            HR_TRY(translate(chunk, column->child, code, err));
        HR_TRY(HR_VEC_PUSH(&chunk->codes, (uint32_t)chunk->translation.items[code], err));
        chunk->stored_values++;
    }
    return HR_OK;
}
