// SPDX-License-Identifier: Apache-2.0
// Dense values out of a page's form, from anywhere in it, converted to the column's type on the way.
//
// The fast ways: stored values that need no conversion are copied once (from the file straight to their place, when the
// page was left there); codes are unpacked and gathered in chunks that stay in the first cache; short strings are
// copied 16 bytes at a time where both sides have room for it.
#include "format/parquet/pq_page.h"
#include "base/stats.h"
#include "kernel/kernel.h"
#include <inttypes.h>
#include <string.h>

#define CHUNK        1024
#define BUFFER_BYTES (256u << 10) // of values read ahead from the file; fits the second cache
#define DIRECT_BYTES (16u << 10)  // reads at least this large go straight to their place

// Julian day 2440588 is 1970-01-01.
static void from_int96(uint8_t *out, const uint8_t *in, size_t count)
{
    for (size_t i = 0; i < count; i++, in += 12, out += 8) {
        uint64_t nanos;
        uint32_t day;
        memcpy(&nanos, in, 8);
        memcpy(&day, in + 8, 4);
        // Unsigned, so that dates beyond the range wrap as pyarrow's do.
        uint64_t value = ((uint64_t)day - 2440588u) * 86400000000000u + nanos;
        memcpy(out, &value, 8);
    }
}

static void from_integer(uint8_t *out, size_t out_bytes, const uint8_t *in, size_t in_bytes,
                         size_t count)
{
    for (size_t i = 0; i < count; i++, in += in_bytes, out += out_bytes) {
        int64_t value = 0;
        int32_t narrow = 0;
        if (in_bytes == 4) {
            memcpy(&narrow, in, 4);
            value = narrow;
        } else {
            memcpy(&value, in, 8);
        }
        memset(out, value < 0 ? 0xff : 0, out_bytes);
        memcpy(out, &value, 8);
    }
}

// Big-endian two's complement to little-endian, sign extended.
static void from_big_endian(uint8_t *out, size_t out_bytes, const uint8_t *in, size_t in_bytes)
{
    memset(out, in_bytes > 0 && in[0] & 0x80 ? 0xff : 0, out_bytes);
    for (size_t i = 0; i < in_bytes; i++)
        out[i] = in[in_bytes - 1 - i];
}

void hr__pq_convert(const pq_leaf *leaf, void *out, const uint8_t *in, size_t count)
{
    size_t from = (size_t)leaf->stored_bytes, to = (size_t)leaf->value_bytes;
    switch (leaf->convert) {
    case PQ_CONVERT_NARROW:
        hr__kernels()->cast.to[HR_NUM_I32][to == 1 ? HR_NUM_U8 : HR_NUM_U16](out, in, count);
        break;
    case PQ_CONVERT_INT96:
        from_int96(out, in, count);
        break;
    case PQ_CONVERT_DECIMAL_INT:
        from_integer(out, to, in, from, count);
        break;
    case PQ_CONVERT_DECIMAL_FIXED:
        if (to == 16 && from <= 16)
            hr__kernels()->cast.decimal(out, in, from, count);
        else
            for (size_t i = 0; i < count; i++)
                from_big_endian((uint8_t *)out + i * to, to, in + i * from, from);
        break;
    default:
        memcpy(out, in, count * to);
    }
}

hr_status hr__pq_convert_bytes(const pq_leaf *leaf, uint8_t *out, const uint8_t *in, size_t count,
                               hr_error *err)
{
    if (count > (size_t)leaf->value_bytes)
        return HR_FAIL(err, HR_CORRUPT, "a decimal(%d, %d) of %zu bytes, allowed %d",
                       leaf->item.precision, leaf->item.scale, count, leaf->value_bytes);
    from_big_endian(out, (size_t)leaf->value_bytes, in, count);
    return HR_OK;
}

void hr__pq_cursor_finish(pq_column *column, pq_cursor *cursor)
{
    hr__scratch_give(column->fragment->scratch, cursor->buffer);
    *cursor = (pq_cursor){0};
}

static hr_status codes_end(hr_error *err, const pq_page *page)
{
    return HR_FAIL(err, HR_CORRUPT, "dictionary codes end before its %" PRId64 " values",
                   page->dense);
}

// The place of a value in a VAR_PLAIN page: from its mark, over at most 63 lengths (all checked before).
static size_t var_place(const pq_page *page, int64_t dense)
{
    if (dense >= page->dense)
        return page->values_bytes;
    size_t at = page->index[dense / PQ_MARK_EVERY];
    for (int64_t i = dense / PQ_MARK_EVERY * PQ_MARK_EVERY; i < dense; i++) {
        uint32_t length;
        memcpy(&length, page->values + at, 4);
        at += 4 + (size_t)length;
    }
    return at;
}

hr_status hr__pq_cursor_seek(pq_column *column, pq_cursor *cursor, const pq_page *page,
                             int64_t dense, hr_error *err)
{
    bool forward = cursor->page == page && cursor->dense <= dense;
    if (cursor->page != page)
        cursor->buffer_count = 0;
    if (page->form == PQ_FORM_CODES) {
        if (!forward)
            hr__hybrid_init(&cursor->codes, page->values, page->values_bytes, page->bit_width);
        if (!hr__hybrid_skip(&cursor->codes, (uint64_t)(dense - (forward ? cursor->dense : 0))))
            return codes_end(err, page);
    } else if (page->form == PQ_FORM_VAR_PLAIN && !(forward && cursor->dense == dense)) {
        cursor->var_at = var_place(page, dense);
    }
    cursor->page = page;
    cursor->dense = dense;
    return HR_OK;
}

static hr_status bad_code(pq_column *column, const uint32_t *codes, size_t count, hr_error *err)
{
    uint32_t worst = 0;
    for (size_t i = 0; i < count; i++)
        worst = HR_MAX(worst, codes[i]);
    return HR_FAIL(err, HR_CORRUPT, "dictionary index %u, entries %" PRId64, worst,
                   column->dictionary.entries);
}

static hr_status read_codes(pq_column *column, pq_cursor *cursor, size_t count, uint8_t *out,
                            hr_error *err)
{
    const hr_kernels *k = hr__kernels();
    const pq_dictionary *d = &column->dictionary;
    size_t width = (size_t)column->leaf->value_bytes;
    uint32_t codes[CHUNK];
    while (count > 0) {
        if (!hr__hybrid_run(&cursor->codes))
            return codes_end(err, cursor->page);
        pq_hybrid *h = &cursor->codes;
        size_t n = (size_t)HR_MIN(count, h->left);
        if (h->packed) {
            n = HR_MIN(n, CHUNK);
            k->unpack.to_u32(codes, h->run, h->run_bytes, h->width, h->run_next, n);
            if (!k->dict.gather(out, d->values, (size_t)d->entries, codes, n, width))
                return bad_code(column, codes, n, err);
            h->run_next += n;
        } else {
            if (h->value >= d->entries)
                return bad_code(column, &h->value, 1, err);
            k->fill.constant(out, d->values + (size_t)h->value * width, width, n);
        }
        h->left -= n;
        out += n * width;
        count -= n;
    }
    return HR_OK;
}

// Values that were left in the file: large reads go straight to their place, small ones through a buffer.
static hr_status read_from_file(pq_column *column, pq_cursor *cursor, size_t count, uint8_t *out,
                                hr_error *err)
{
    const pq_page *page = cursor->page;
    size_t from = (size_t)column->leaf->stored_bytes, to = (size_t)column->leaf->value_bytes;
    hr_source *source = column->fragment->reader->base.source;
    int64_t dense = cursor->dense;
    while (count > 0) {
        int64_t in_buffer = cursor->buffer_first + cursor->buffer_count - dense;
        hr_status status = HR_OK;
        if (dense < cursor->buffer_first || in_buffer <= 0) {
            bool direct = column->leaf->convert == PQ_CONVERT_COPY && count * from >= DIRECT_BYTES;
            size_t n = direct ? count : (size_t)HR_MIN(page->dense - dense, BUFFER_BYTES / from);
            uint64_t at = page->values_at + (uint64_t)dense * from;
            if (!direct && !cursor->buffer)
                HR_TRY(hr__scratch_take(column->fragment->scratch, BUFFER_BYTES, &cursor->buffer,
                                        err));
            hr_busy_mark mark = hr__busy_switch(HR_CAUSE_STORAGE);
            status = hr__source_read(source, at, n * from, direct ? out : cursor->buffer, err);
            hr__busy_leave(mark);
            if (status || direct)
                return status;
            cursor->buffer_first = dense;
            cursor->buffer_count = in_buffer = (int64_t)n;
        }
        size_t n = (size_t)HR_MIN((int64_t)count, in_buffer);
        const uint8_t *in = cursor->buffer + (size_t)(dense - cursor->buffer_first) * from;
        hr__pq_convert(column->leaf, out, in, n);
        out += n * to;
        dense += (int64_t)n;
        count -= n;
    }
    return HR_OK;
}

static hr_status read_split(pq_column *column, pq_cursor *cursor, size_t count, uint8_t *out,
                            hr_error *err)
{
    const pq_page *page = cursor->page;
    size_t from = (size_t)column->leaf->stored_bytes, to = (size_t)column->leaf->value_bytes;
    const uint8_t *in = page->values + cursor->dense;
    if (column->leaf->convert == PQ_CONVERT_COPY) {
        hr__kernels()->byte_split.join(out, in, (size_t)page->dense, from, count);
        return HR_OK;
    }
    size_t chunk = HR_MIN(BUFFER_BYTES / from, count);
    uint8_t *joined = NULL;
    HR_TRY(hr__scratch_take(column->fragment->scratch, chunk * from, &joined, err));
    for (size_t n; count > 0; count -= n, in += n, out += n * to) {
        n = HR_MIN(chunk, count);
        hr__kernels()->byte_split.join(joined, in, (size_t)page->dense, from, n);
        hr__pq_convert(column->leaf, out, joined, n);
    }
    hr__scratch_give(column->fragment->scratch, joined);
    return HR_OK;
}

// Decimals of any length.
static hr_status read_var_decimals(pq_column *column, pq_cursor *cursor, size_t count, uint8_t *out,
                                   hr_error *err)
{
    const pq_page *page = cursor->page;
    for (size_t i = 0; i < count; i++, out += column->leaf->value_bytes) {
        uint32_t length = 0;
        const uint8_t *in = NULL;
        if (page->form == PQ_FORM_VAR_PLAIN) {
            memcpy(&length, page->values + cursor->var_at, 4);
            in = page->values + cursor->var_at + 4;
            cursor->var_at += 4 + (size_t)length;
        } else {
            const uint32_t *offsets = page->index + cursor->dense + i;
            in = page->values + offsets[0];
            length = offsets[1] - offsets[0];
        }
        HR_TRY(hr__pq_convert_bytes(column->leaf, out, in, length, err));
    }
    return HR_OK;
}

hr_status hr__pq_read_fixed(pq_column *column, pq_cursor *cursor, size_t count, uint8_t *out,
                            hr_error *err)
{
    const pq_page *page = cursor->page;
    hr_status status = HR_OK;
    HR_ASSERT(count <= (uint64_t)(page->dense - cursor->dense));
    switch (page->form) {
    case PQ_FORM_FIXED:
        if (page->values)
            hr__pq_convert(
                column->leaf, out,
                page->values + (size_t)cursor->dense * (size_t)column->leaf->stored_bytes, count);
        else
            status = read_from_file(column, cursor, count, out, err);
        break;
    case PQ_FORM_CODES:
        status = read_codes(column, cursor, count, out, err);
        break;
    case PQ_FORM_SPLIT:
        status = read_split(column, cursor, count, out, err);
        break;
    case PQ_FORM_VAR_PLAIN:
    case PQ_FORM_VAR_OFFSETS:
        status = read_var_decimals(column, cursor, count, out, err);
        break;
    default:
        HR_ASSERT(count == 0);
    }
    cursor->dense += (int64_t)count;
    return status;
}

// Copies one short or long value; `wide` says that 16 bytes may be read and written at both.
static inline void copy_value(uint8_t *out, const uint8_t *in, size_t bytes, bool wide)
{
    if (HR_LIKELY(wide && bytes <= 16))
        memcpy(out, in, 16);
    else
        memcpy(out, in, bytes);
}

// Entries that are all equally long lie as values of that width: gathered like numbers.
static hr_status read_uniform_codes(pq_column *column, pq_cursor *cursor, size_t count,
                                    uint8_t *out, size_t room, uint32_t *ends, hr_error *err)
{
    const pq_dictionary *d = &column->dictionary;
    size_t bytes = d->uniform_bytes;
    uint32_t codes[CHUNK];
    HR_ASSERT(count <= (room - ends[0]) / bytes);
    out += ends[0];
    for (size_t done = 0, n; done < count; done += n, out += n * bytes) {
        n = HR_MIN(count - done, CHUNK);
        if (!hr__hybrid_read(&cursor->codes, codes, n))
            return codes_end(err, cursor->page);
        if (!hr__kernels()->dict.gather(out, d->values, (size_t)d->entries, codes, n, bytes))
            return bad_code(column, codes, n, err);
        for (size_t i = 0; i < n; i++)
            ends[done + i + 1] = ends[0] + (uint32_t)((done + i + 1) * bytes);
    }
    return HR_OK;
}

// Entries of a dictionary by code. Its bytes are padded in scratch memory, so reading 16 is always right.
static hr_status read_var_codes(pq_column *column, pq_cursor *cursor, size_t count, uint8_t *out,
                                size_t room, uint32_t *ends, hr_error *err)
{
    const pq_dictionary *d = &column->dictionary;
    uint32_t codes[CHUNK];
    size_t at = ends[0];
    if (d->uniform && d->uniform_bytes > 0)
        return read_uniform_codes(column, cursor, count, out, room, ends, err);
    for (size_t done = 0, n; done < count; done += n) {
        n = HR_MIN(count - done, CHUNK);
        if (!hr__hybrid_read(&cursor->codes, codes, n))
            return codes_end(err, cursor->page);
        if (!hr__kernels()->dict.check(codes, n, (size_t)d->entries))
            return bad_code(column, codes, n, err);
        for (size_t i = 0; i < n; i++) {
            uint32_t from = d->offsets[codes[i]], bytes = d->offsets[codes[i] + 1] - from;
            HR_ASSERT(bytes <= room - at);
            copy_value(out + at, d->values + from, bytes, room - at >= 16);
            at += bytes;
            ends[done + i + 1] = (uint32_t)at;
        }
    }
    return HR_OK;
}

// The source is scratch memory, which may be read 64 bytes past its end; lengths were checked when it was prepared.
static void read_var_plain(pq_cursor *cursor, size_t count, uint8_t *out, size_t room,
                           uint32_t *ends)
{
    const uint8_t *in = cursor->page->values;
    size_t from = cursor->var_at, at = ends[0];
    for (size_t i = 0; i < count; i++) {
        uint32_t bytes;
        memcpy(&bytes, in + from, 4);
        HR_ASSERT(bytes <= room - at);
        copy_value(out + at, in + from + 4, bytes, room - at >= 16);
        from += 4 + (size_t)bytes;
        at += bytes;
        ends[i + 1] = (uint32_t)at;
    }
    cursor->var_at = from;
}

hr_status hr__pq_read_var(pq_column *column, pq_cursor *cursor, size_t count, uint8_t *out,
                          size_t room, uint32_t *ends, hr_error *err)
{
    const pq_page *page = cursor->page;
    hr_status status = HR_OK;
    HR_ASSERT(count <= (uint64_t)(page->dense - cursor->dense));
    if (page->form == PQ_FORM_VAR_PLAIN) {
        read_var_plain(cursor, count, out, room, ends);
    } else if (page->form == PQ_FORM_CODES) {
        status = read_var_codes(column, cursor, count, out, room, ends, err);
    } else if (page->form == PQ_FORM_VAR_OFFSETS) {
        const uint32_t *offsets = page->index + cursor->dense;
        HR_ASSERT(offsets[count] - offsets[0] <= room - ends[0]);
        memcpy(out + ends[0], page->values + offsets[0], offsets[count] - offsets[0]);
        for (size_t i = 1; i <= count; i++)
            ends[i] = ends[0] + (offsets[i] - offsets[0]);
    } else {
        HR_ASSERT(count == 0);
    }
    cursor->dense += (int64_t)count;
    return status;
}

static hr_status code_bytes(pq_column *column, const pq_page *page, int64_t first, int64_t count,
                            int64_t *bytes_out, hr_error *err)
{
    const pq_dictionary *d = &column->dictionary;
    uint32_t codes[CHUNK];
    uint64_t total = 0;
    pq_hybrid h;
    hr__hybrid_init(&h, page->values, page->values_bytes, page->bit_width);
    if (!hr__hybrid_skip(&h, (uint64_t)first))
        return codes_end(err, page);
    while (count > 0) {
        if (!hr__hybrid_run(&h))
            return codes_end(err, page);
        size_t n = (size_t)HR_MIN((uint64_t)count, h.left);
        if (!h.packed) {
            if (h.value >= d->entries)
                return bad_code(column, &h.value, 1, err);
            total += (uint64_t)n * (d->offsets[h.value + 1] - d->offsets[h.value]);
        } else {
            n = HR_MIN(n, CHUNK);
            hr__kernels()->unpack.to_u32(codes, h.run, h.run_bytes, h.width, h.run_next, n);
            if (!hr__kernels()->dict.check(codes, n, (size_t)d->entries))
                return bad_code(column, codes, n, err);
            for (size_t i = 0; i < n; i++)
                total += d->offsets[codes[i] + 1] - d->offsets[codes[i]];
            h.run_next += n;
        }
        h.left -= n;
        count -= (int64_t)n;
    }
    if (total > INT64_MAX)
        return HR_FAIL(err, HR_LIMIT, "values of more than 2^63 bytes");
    *bytes_out = (int64_t)total;
    return HR_OK;
}

hr_status hr__pq_var_bytes(pq_column *column, const pq_page *page, int64_t first, int64_t count,
                           int64_t *bytes_out, hr_error *err)
{
    *bytes_out = 0;
    if (count == 0)
        return HR_OK;
    switch (page->form) {
    case PQ_FORM_VAR_PLAIN:
        *bytes_out = (int64_t)(var_place(page, first + count) - var_place(page, first)) - 4 * count;
        return HR_OK;
    case PQ_FORM_VAR_OFFSETS:
        *bytes_out = (int64_t)page->index[first + count] - page->index[first];
        return HR_OK;
    case PQ_FORM_CODES:
        if (column->dictionary.uniform) {
            *bytes_out = count * (int64_t)column->dictionary.uniform_bytes;
            return HR_OK;
        }
        return code_bytes(column, page, first, count, bytes_out, err);
    default:
        return HR_OK;
    }
}
