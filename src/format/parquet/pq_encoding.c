// SPDX-License-Identifier: Apache-2.0
// Encodings to forms. What can be entered at any value stays as it is (PLAIN, codes, byte streams); what can only be
// read from its beginning (deltas, runs of booleans) is decoded here, once, so that passes may begin anywhere.
//
//   PLAIN                    FIXED, BITS, VAR_PLAIN (with the place of each 64th value)
//   RLE_DICTIONARY           CODES
//   RLE                      BITS
//   DELTA_BINARY_PACKED      FIXED
//   DELTA_LENGTH_BYTE_ARRAY  VAR_OFFSETS over the bytes where they are
//   DELTA_BYTE_ARRAY         VAR_OFFSETS or FIXED over bytes put together
//   BYTE_STREAM_SPLIT        SPLIT
#include "format/parquet/pq_page.h"
#include "kernel/kernel.h"
#include <inttypes.h>
#include <string.h>

#define JOINED_BYTES_MAX (1u << 28) // DELTA_BYTE_ARRAY: values of one page put together

static hr_status too_short(hr_error *err, const pq_page *page, size_t count)
{
    return HR_FAIL(err, HR_CORRUPT, "%s: %zu bytes for %" PRId64 " values",
                   hr__pq_encoding_name(page->encoding), count, page->dense);
}

static hr_status not_allowed(const pq_column *column, hr_error *err, int32_t encoding)
{
    return HR_FAIL(err, HR_CORRUPT, "values of %s in encoding %s (%d)",
                   hr__pq_type_name((int32_t)column->leaf->physical),
                   hr__pq_encoding_name(encoding), encoding);
}

static hr_status take_values(pq_column *column, pq_page *page, size_t bytes, void *out,
                             hr_error *err)
{
    HR_TRY(hr__scratch_take(column->fragment->scratch, bytes, &page->values_memory, err));
    page->held_bytes += bytes;
    *(void **)out = page->values_memory;
    return HR_OK;
}

static bool fits(int64_t values, size_t width, size_t bytes)
{
    return (uint64_t)values <= bytes / width;
}

// Checks all lengths once, so that later loops need not, and notes the place of every 64th value.
static hr_status plain_bytes(pq_column *column, pq_page *page, const uint8_t *bytes, size_t count,
                             hr_error *err)
{
    uint32_t *marks = NULL, length = 0;
    size_t at = 0;
    if (!fits(page->dense, 4, count))
        return too_short(err, page, count);
    HR_TRY(take_values(column, page, ((size_t)page->dense / PQ_MARK_EVERY + 2) * sizeof *marks,
                       &marks, err));
    for (int64_t i = 0; i < page->dense; i++) {
        if (i % PQ_MARK_EVERY == 0)
            marks[i / PQ_MARK_EVERY] = (uint32_t)at;
        if (count - at < 4)
            return too_short(err, page, count);
        memcpy(&length, bytes + at, 4);
        at += 4;
        if (length > count - at)
            return HR_FAIL(err, HR_CORRUPT, "value %" PRId64 " has %u bytes, %zu are left", i,
                           length, count - at);
        at += length;
    }
    page->form = PQ_FORM_VAR_PLAIN;
    page->index = marks;
    page->values_bytes = at;
    return HR_OK;
}

static hr_status plain(pq_column *column, pq_page *page, const uint8_t *bytes, size_t count,
                       hr_error *err)
{
    switch (column->leaf->physical) {
    case PQ_TYPE_BOOLEAN:
        page->form = PQ_FORM_BITS;
        return (uint64_t)page->dense <= (uint64_t)count * 8 ? HR_OK : too_short(err, page, count);
    case PQ_TYPE_BYTE_ARRAY:
        return plain_bytes(column, page, bytes, count, err);
    default:
        page->form = PQ_FORM_FIXED;
        return fits(page->dense, (size_t)column->leaf->stored_bytes, count)
                   ? HR_OK
                   : too_short(err, page, count);
    }
}

static hr_status codes(pq_column *column, pq_page *page, const uint8_t *bytes, size_t count,
                       hr_error *err)
{
    if (!column->dictionary.present)
        return HR_FAIL(err, HR_CORRUPT, "dictionary codes, and no dictionary page before them");
    if (column->leaf->physical == PQ_TYPE_BOOLEAN)
        return not_allowed(column, err, page->encoding);
    if (count < 1 || bytes[0] > 32)
        return HR_FAIL(err, HR_CORRUPT, "dictionary codes of %d bits, allowed 0 to 32",
                       count < 1 ? -1 : bytes[0]);
    page->form = PQ_FORM_CODES;
    page->bit_width = bytes[0];
    page->values = bytes + 1;
    page->values_bytes = count - 1;
    return HR_OK;
}

static hr_status run_booleans(pq_column *column, pq_page *page, const uint8_t *bytes, size_t count,
                              hr_error *err)
{
    const hr_kernels *k = hr__kernels();
    uint8_t *bits = NULL;
    uint32_t length = 0;
    pq_hybrid h;
    if (column->leaf->physical != PQ_TYPE_BOOLEAN)
        return not_allowed(column, err, page->encoding);
    if (count >= 4)
        memcpy(&length, bytes, 4);
    if (count < 4 || length > count - 4)
        return too_short(err, page, count);
    HR_TRY(take_values(column, page, (size_t)page->dense / 8 + 8, &bits, err));
    hr__hybrid_init(&h, bytes + 4, length, 1);
    for (size_t done = 0; done < (size_t)page->dense;) {
        if (!hr__hybrid_run(&h))
            return too_short(err, page, count);
        size_t n = (size_t)HR_MIN((size_t)page->dense - done, h.left);
        if (h.packed)
            k->bits.copy(bits, done, h.run, h.run_next, n);
        else
            k->bits.set(bits, done, n, h.value & 1);
        h.run_next += h.packed ? n : 0;
        h.left -= n;
        done += n;
    }
    page->form = PQ_FORM_BITS;
    page->values = bits;
    return HR_OK;
}

static hr_status delta_integers(pq_column *column, pq_page *page, const uint8_t *bytes,
                                size_t count, hr_error *err)
{
    size_t width = (size_t)column->leaf->stored_bytes, used = 0;
    uint8_t *out = NULL;
    if (column->leaf->physical != PQ_TYPE_INT32 && column->leaf->physical != PQ_TYPE_INT64)
        return not_allowed(column, err, page->encoding);
    HR_TRY(take_values(column, page, (size_t)page->dense * width, &out, err));
    HR_TRY(hr__pq_delta_read(bytes, count, width, page->dense, out, &used, err));
    page->form = PQ_FORM_FIXED;
    page->values = out;
    page->values_bytes = (size_t)page->dense * width;
    return HR_OK;
}

// Lengths in place to offsets: out[0] = 0. False: one is negative or the sum passes `limit`.
static bool lengths_to_offsets(uint32_t *out, int64_t count, uint64_t limit)
{
    uint64_t sum = 0;
    for (int64_t i = count; i > 0; i--)
        out[i] = out[i - 1];
    out[0] = 0;
    for (int64_t i = 1; i <= count; i++) {
        if ((int32_t)out[i] < 0)
            return false;
        sum += out[i];
        if (sum > limit)
            return false;
        out[i] = (uint32_t)sum;
    }
    return true;
}

static hr_status delta_lengths(pq_column *column, pq_page *page, const uint8_t *bytes, size_t count,
                               hr_error *err)
{
    uint32_t *offsets = NULL;
    size_t used = 0, n = (size_t)page->dense;
    if (column->leaf->physical != PQ_TYPE_BYTE_ARRAY)
        return not_allowed(column, err, page->encoding);
    HR_TRY(take_values(column, page, (n + 1) * sizeof *offsets, &offsets, err));
    HR_TRY(hr__pq_delta_read(bytes, count, 4, page->dense, offsets, &used, err));
    if (!lengths_to_offsets(offsets, page->dense, count - used))
        return HR_FAIL(err, HR_CORRUPT,
                       "DELTA_LENGTH_BYTE_ARRAY: lengths are negative or pass the %zu bytes there",
                       count - used);
    page->form = PQ_FORM_VAR_OFFSETS;
    page->index = offsets;
    page->values = bytes + used;
    page->values_bytes = offsets[n];
    return HR_OK;
}

// Sums up what the joined values take; checks each prefix against the value before it.
static hr_status joined_bytes(const pq_leaf *leaf, const pq_page *page, const uint32_t *prefix,
                              const uint32_t *suffix, size_t there, uint64_t *total_out,
                              hr_error *err)
{
    uint64_t total = 0, stored = 0, before = 0;
    for (int64_t i = 0; i < page->dense; i++) {
        uint64_t length = (uint64_t)prefix[i] + suffix[i];
        if ((int32_t)prefix[i] < 0 || (int32_t)suffix[i] < 0 || prefix[i] > before ||
            (leaf->stored_bytes && length != (uint64_t)leaf->stored_bytes))
            return HR_FAIL(err, HR_CORRUPT,
                           "DELTA_BYTE_ARRAY: value %" PRId64 " takes %u bytes of %" PRIu64
                           " before it and %u more",
                           i, prefix[i], before, suffix[i]);
        before = length;
        total += length;
        stored += suffix[i];
        if (stored > there)
            return too_short(err, page, there);
        if (total > JOINED_BYTES_MAX)
            return HR_FAIL(err, HR_LIMIT, "DELTA_BYTE_ARRAY: values of one page take more than %u",
                           JOINED_BYTES_MAX);
    }
    *total_out = total;
    return HR_OK;
}

static hr_status delta_bytes(pq_column *column, pq_page *page, const uint8_t *bytes, size_t count,
                             hr_error *err)
{
    const pq_leaf *leaf = column->leaf;
    hr_scratch *scratch = column->fragment->scratch;
    size_t n = (size_t)page->dense, used = 0, used_more = 0;
    uint32_t *prefix = NULL, *offsets = NULL;
    uint64_t total = 0;
    hr_status status = HR_OK;
    if (leaf->physical != PQ_TYPE_BYTE_ARRAY && leaf->physical != PQ_TYPE_FIXED_LEN_BYTE_ARRAY)
        return not_allowed(column, err, page->encoding);
    HR_TRY(hr__scratch_take(scratch, 2 * (n + 1) * sizeof *prefix, &prefix, err));
    uint32_t *suffix = prefix + n + 1;
    HR_GO(hr__pq_delta_read(bytes, count, 4, page->dense, prefix, &used, err));
    HR_GO(hr__pq_delta_read(bytes + used, count - used, 4, page->dense, suffix, &used_more, err));
    const uint8_t *from = bytes + used + used_more;
    HR_GO(joined_bytes(leaf, page, prefix, suffix, count - used - used_more, &total, err));
    size_t offsets_bytes = HR_ALIGN_UP((n + 1) * sizeof *offsets, HR_ALIGN);
    HR_GO(take_values(column, page, offsets_bytes + (size_t)total, &offsets, err));
    uint8_t *out = (uint8_t *)offsets + offsets_bytes;
    offsets[0] = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t *to = out + offsets[i];
        // A prefix of the first value is of length 0 (checked), so there is one before.
        if (prefix[i])
            memmove(to, out + offsets[i - 1], prefix[i]);
        if (suffix[i])
            memcpy(to + prefix[i], from, suffix[i]);
        from += suffix[i];
        offsets[i + 1] = offsets[i] + prefix[i] + suffix[i];
    }
    page->form = leaf->stored_bytes ? PQ_FORM_FIXED : PQ_FORM_VAR_OFFSETS;
    page->index = offsets;
    page->values = out;
    page->values_bytes = (size_t)total;
out:
    hr__scratch_give(scratch, prefix);
    return status;
}

static hr_status byte_streams(pq_column *column, pq_page *page, size_t count, hr_error *err)
{
    size_t width = (size_t)column->leaf->stored_bytes;
    if (width == 0 || column->leaf->physical == PQ_TYPE_INT96)
        return not_allowed(column, err, page->encoding);
    if ((uint64_t)page->dense * width > count)
        return too_short(err, page, count);
    page->form = PQ_FORM_SPLIT;
    return HR_OK;
}

hr_status hr__pq_values_read(pq_column *column, pq_page *page, const uint8_t *bytes, size_t count,
                             hr_error *err)
{
    page->form = PQ_FORM_NONE;
    page->values = bytes;
    page->values_bytes = count;
    if (page->dense == 0 || column->leaf->convert == PQ_CONVERT_NULL)
        return HR_OK;
    switch (page->encoding) {
    case PQ_ENCODING_PLAIN:
        return plain(column, page, bytes, count, err);
    case PQ_ENCODING_PLAIN_DICTIONARY:
    case PQ_ENCODING_RLE_DICTIONARY:
        return codes(column, page, bytes, count, err);
    case PQ_ENCODING_RLE:
        return run_booleans(column, page, bytes, count, err);
    case PQ_ENCODING_DELTA_BINARY_PACKED:
        return delta_integers(column, page, bytes, count, err);
    case PQ_ENCODING_DELTA_LENGTH_BYTE_ARRAY:
        return delta_lengths(column, page, bytes, count, err);
    case PQ_ENCODING_DELTA_BYTE_ARRAY:
        return delta_bytes(column, page, bytes, count, err);
    case PQ_ENCODING_BYTE_STREAM_SPLIT:
        return byte_streams(column, page, count, err);
    default:
        return not_allowed(column, err, page->encoding);
    }
}

static hr_status dictionary_bytes(pq_column *column, const uint8_t *bytes, size_t count,
                                  pq_dictionary *d, hr_error *err)
{
    const pq_leaf *leaf = column->leaf;
    size_t n = (size_t)d->entries, width = (size_t)leaf->value_bytes, at = 0;
    size_t offsets_bytes = HR_ALIGN_UP((n + 1) * sizeof(uint32_t), HR_ALIGN);
    size_t data_bytes = width ? n * width : count;
    HR_TRY(
        hr__scratch_take(column->fragment->scratch, offsets_bytes + data_bytes, &d->memory, err));
    uint32_t *offsets = d->memory, length = 0;
    uint8_t *data = (uint8_t *)d->memory + offsets_bytes;
    offsets[0] = 0;
    d->uniform = true;
    for (size_t i = 0; i < n; i++) {
        if (count - at >= 4)
            memcpy(&length, bytes + at, 4);
        if (count - at < 4 || length > count - at - 4)
            return HR_FAIL(err, HR_CORRUPT, "dictionary of %zu entries: entry %zu passes its end",
                           n, i);
        at += 4;
        if (width)
            HR_TRY(hr__pq_convert_bytes(leaf, data + i * width, bytes + at, length, err));
        else
            memcpy(data + offsets[i], bytes + at, length);
        at += length;
        offsets[i + 1] = offsets[i] + length;
        d->uniform &= length == offsets[1];
    }
    d->uniform_bytes = n ? offsets[1] : 0;
    d->offsets = offsets;
    d->values = data;
    return HR_OK;
}

hr_status hr__pq_dictionary_read(pq_column *column, int32_t entries, int32_t encoding,
                                 const uint8_t *bytes, size_t count, hr_error *err)
{
    const pq_leaf *leaf = column->leaf;
    pq_dictionary *d = &column->dictionary;
    if (d->present)
        return HR_FAIL(err, HR_CORRUPT, "a second dictionary page");
    if (encoding != PQ_ENCODING_PLAIN && encoding != PQ_ENCODING_PLAIN_DICTIONARY)
        return HR_FAIL(err, HR_CORRUPT, "a dictionary in encoding %s",
                       hr__pq_encoding_name(encoding));
    size_t least = leaf->physical == PQ_TYPE_BYTE_ARRAY ? 4 : (size_t)leaf->stored_bytes;
    if (leaf->convert == PQ_CONVERT_NULL) {
        d->present = true;
        return HR_OK;
    }
    if (entries < 0 || least == 0 || !fits(entries, least, count))
        return HR_FAIL(err, HR_CORRUPT, "dictionary of %d entries of %s in %zu bytes", entries,
                       hr__pq_type_name((int32_t)leaf->physical), count);
    d->entries = entries;
    if (leaf->physical == PQ_TYPE_BYTE_ARRAY) {
        HR_TRY(dictionary_bytes(column, bytes, count, d, err));
    } else {
        HR_TRY(hr__scratch_take(column->fragment->scratch,
                                (size_t)entries * (size_t)leaf->value_bytes, &d->memory, err));
        hr__pq_convert(leaf, d->memory, bytes, (size_t)entries);
        d->values = d->memory;
    }
    d->present = true;
    return HR_OK;
}
