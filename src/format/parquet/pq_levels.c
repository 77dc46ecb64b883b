// SPDX-License-Identifier: Apache-2.0
// Levels: which slots have a value, and where rows begin. With one repeated ancestor at most, repetition levels are
// bits, and so are the definition levels of flat columns: they are kept as the bitmaps that we want anyway, so that
// a run of many rows costs a word for 64 of them.
//
// The common shapes are recognised first: definition levels that are one run of the maximum (no nulls).
#include "format/parquet/pq_page.h"
#include "kernel/kernel.h"
#include <inttypes.h>
#include <string.h>

void hr__hybrid_init(pq_hybrid *h, const uint8_t *bytes, size_t count, unsigned width)
{
    *h = (pq_hybrid){.at = bytes, .end = bytes + count, .width = width};
}

bool hr__hybrid_run(pq_hybrid *h)
{
    while (h->left == 0) {
        hr_cursor c = hr__cursor(h->at, (size_t)(h->end - h->at));
        uint64_t head = hr__cursor_varint(&c);
        if (c.failed)
            return false;
        h->packed = head & 1;
        if (h->packed) {
            // A last run may be cut at the page's end: the values that are there count.
            uint64_t groups = head >> 1;
            size_t left = hr__cursor_left(&c);
            uint64_t bytes = groups > left ? left : groups * h->width;
            h->run_bytes = (size_t)HR_MIN(bytes, left);
            h->run = c.at;
            h->run_next = 0;
            h->left = h->width == 0 ? HR_MIN(groups, UINT32_MAX) * 8
                                    : HR_MIN(groups * 8, (uint64_t)h->run_bytes * 8 / h->width);
            c.at += h->run_bytes;
        } else {
            const uint8_t *value = hr__cursor_take(&c, (h->width + 7) / 8);
            if (!value)
                return false;
            h->value = 0;
            memcpy(&h->value, value, (h->width + 7) / 8);
            h->left = head >> 1;
        }
        h->at = c.at;
    }
    return true;
}

bool hr__hybrid_skip(pq_hybrid *h, uint64_t count)
{
    while (count > 0) {
        if (!hr__hybrid_run(h))
            return false;
        uint64_t n = HR_MIN(count, h->left);
        h->run_next += h->packed ? (size_t)n : 0;
        h->left -= n;
        count -= n;
    }
    return true;
}

bool hr__hybrid_read(pq_hybrid *h, uint32_t *out, size_t count)
{
    const hr_kernels *k = hr__kernels();
    while (count > 0) {
        if (!hr__hybrid_run(h))
            return false;
        size_t n = (size_t)HR_MIN(count, h->left);
        if (h->packed) {
            k->unpack.to_u32(out, h->run, h->run_bytes, h->width, h->run_next, n);
            h->run_next += n;
        } else {
            for (size_t i = 0; i < n; i++)
                out[i] = h->value;
        }
        h->left -= n;
        out += n;
        count -= n;
    }
    return true;
}

// Bits on their way into a bitmap, gathered in a word.
typedef struct bit_sink {
    uint8_t *out;
    uint64_t word, flip;
    unsigned filled; // of the word
} bit_sink;

// 1 to 64 bits, from the least. No branch: it would be one that nobody can foresee.
HR_INLINE void sink_put(bit_sink *s, uint64_t bits, unsigned count)
{
    bits = (bits ^ s->flip) & ~0ull >> (64 - count);
    s->word |= bits << s->filled;
    memcpy(s->out, &s->word, 8);
    unsigned filled = s->filled + count;
    s->word = filled < 64 ? s->word : bits >> 1 >> (63 - s->filled);
    s->out += filled / 64 * 8;
    s->filled = filled % 64;
}

// A whole run of at most 64 levels: how many, 0 when it is none of these. Bits above 1 go to `bad`.
HR_INLINE unsigned short_run(pq_hybrid *h, uint64_t *bits, uint8_t *bad)
{
    if (h->left > 0 || h->end - h->at < 9 || h->at[0] > 0x7f)
        return 0;
    bool packed = h->at[0] & 1;
    unsigned length = h->at[0] >> 1, count = packed ? length * 8 : length;
    uint64_t next;
    if (count - 1 > 63)
        return 0;
    memcpy(&next, h->at + 1, 8);
    *bad |= packed ? 0 : h->at[1] & 0xfe;
    *bits = packed ? next : 0 - (next & 1);
    h->at += 1 + (packed ? length : 1);
    return count;
}

// Up to 64 levels of a run of any length.
static bool long_run(pq_hybrid *h, size_t left, uint64_t *bits, unsigned *count)
{
    if (!hr__hybrid_run(h) || (!h->packed && h->value > 1))
        return false;
    size_t n = (size_t)HR_MIN(HR_MIN(left, h->left), 64);
    *bits = 0 - (uint64_t)h->value;
    if (h->packed) {
        size_t at = h->run_next / 8, shift = h->run_next % 8;
        *bits = 0;
        memcpy(bits, h->run + at, HR_MIN(h->run_bytes - at, 8));
        *bits >>= shift;
        n = HR_MIN(n, 64 - shift);
        h->run_next += n;
    }
    h->left -= n;
    *count = (unsigned)n;
    return true;
}

// Where nulls are spread over a column its runs are a dozen levels long, so that much hangs on those.
bool hr__hybrid_bits(pq_hybrid *h, size_t count, uint8_t level, uint8_t *out)
{
    bit_sink sink = {.out = out, .flip = level ? 0 : ~0ull};
    uint8_t bad = 0;
    for (size_t left = count; left > 0;) {
        uint64_t bits;
        unsigned n = left >= 64 ? short_run(h, &bits, &bad) : 0;
        if (n == 0 && !long_run(h, left, &bits, &n))
            return false;
        sink_put(&sink, bits, n);
        left -= n;
    }
    memcpy(sink.out, &sink.word, (sink.filled + 7) / 8);
    return bad == 0;
}

// Levels of up to two bits as bytes. False: too few, or one above max.
static bool levels_to_bytes(pq_hybrid *h, size_t count, uint8_t max, uint8_t *out)
{
    const hr_kernels *k = hr__kernels();
    uint8_t top = 0;
    for (size_t done = 0; done < count;) {
        if (!hr__hybrid_run(h))
            return false;
        size_t n = (size_t)HR_MIN(count - done, h->left);
        if (h->packed) {
            k->unpack.to_u8(out + done, h->run, h->run_bytes, h->width, h->run_next, n);
            for (size_t i = 0; i < n; i++)
                top = HR_MAX(top, out[done + i]);
            h->run_next += n;
        } else {
            if (h->value > max)
                return false;
            memset(out + done, (int)h->value, n);
        }
        h->left -= n;
        done += n;
    }
    return top <= max;
}

// The deprecated BIT_PACKED levels: most significant bit first, no header. Rewritten as one packed run.
static void reverse_packed(const uint8_t *bytes, size_t count, unsigned width, uint8_t *out)
{
    memset(out, 0, (count * width + 7) / 8);
    for (size_t i = 0; i < count; i++) {
        for (unsigned b = 0; b < width; b++) {
            size_t from = i * width + b, to = i * width + (width - 1 - b);
            uint8_t bit = (uint8_t)(bytes[from / 8] >> (7 - from % 8) & 1);
            out[to / 8] = (uint8_t)(out[to / 8] | bit << (to % 8));
        }
    }
}

static unsigned level_width(uint8_t max)
{
    return max > 1 ? 2 : max;
}

// Where the levels lie in a payload, as runs.
typedef struct level_streams {
    pq_hybrid repetition, definition;
    void *reversed; // BIT_PACKED ones, rewritten
    size_t used;
} level_streams;

size_t hr__pq_levels_bytes(const pq_leaf *leaf, const pq_page *page, const uint8_t *bytes,
                           size_t count)
{
    size_t at = 0;
    if (page->is_v2)
        return (size_t)page->repetition_bytes + page->definition_bytes;
    for (int part = 0; part < 2; part++) {
        uint8_t max = part == 0 ? leaf->is_list : leaf->max_definition;
        int32_t encoding = part == 0 ? page->repetition_encoding : page->definition_encoding;
        uint32_t length = 0;
        if (max == 0)
            continue;
        if (encoding == PQ_ENCODING_BIT_PACKED) {
            at += ((size_t)page->level_count * level_width(max) + 7) / 8;
            continue;
        }
        if (at + 4 > count)
            return at + 4;
        memcpy(&length, bytes + at, 4);
        at += 4 + (size_t)length;
    }
    return at;
}

// One kind of levels of a v1 page.
static hr_status v1_stream(pq_page *page, hr_cursor *c, uint8_t max, int32_t encoding,
                           uint8_t *reversed, pq_hybrid *out, hr_error *err)
{
    size_t packed = ((size_t)page->level_count * level_width(max) + 7) / 8;
    if (max == 0)
        return HR_OK;
    if (encoding == PQ_ENCODING_BIT_PACKED) {
        const uint8_t *bytes = hr__cursor_take(c, packed);
        if (!bytes)
            return HR_FAIL(err, HR_CORRUPT, "levels take %zu bytes, %zu are left", packed,
                           hr__cursor_left(c));
        reverse_packed(bytes, (size_t)page->level_count, level_width(max), reversed);
        *out = (pq_hybrid){.at = reversed,
                           .end = reversed,
                           .width = level_width(max),
                           .left = (uint64_t)page->level_count,
                           .packed = true,
                           .run = reversed,
                           .run_bytes = packed};
        return HR_OK;
    }
    if (encoding != PQ_ENCODING_RLE)
        return HR_FAIL(err, HR_CORRUPT, "levels in encoding %s, allowed RLE and BIT_PACKED",
                       hr__pq_encoding_name(encoding));
    uint32_t length = hr__cursor_u32(c);
    const uint8_t *bytes = hr__cursor_take(c, length);
    if (!bytes)
        return HR_FAIL(err, HR_CORRUPT, "levels take %u bytes, %zu are left", length,
                       hr__cursor_left(c));
    hr__hybrid_init(out, bytes, length, level_width(max));
    return HR_OK;
}

static hr_status find_streams(pq_column *column, pq_page *page, const uint8_t *bytes, size_t count,
                              level_streams *s, hr_error *err)
{
    const pq_leaf *leaf = column->leaf;
    size_t packed = ((size_t)page->level_count * 2 + 7) / 8 + 8;
    hr_cursor c = hr__cursor(bytes, count);
    if (page->is_v2) {
        const uint8_t *repetition = hr__cursor_take(&c, page->repetition_bytes);
        const uint8_t *definition = hr__cursor_take(&c, page->definition_bytes);
        if (!definition)
            return HR_FAIL(err, HR_CORRUPT, "levels take %u + %u bytes of %zu",
                           page->repetition_bytes, page->definition_bytes, count);
        hr__hybrid_init(&s->repetition, repetition, page->repetition_bytes, 1);
        hr__hybrid_init(&s->definition, definition, page->definition_bytes,
                        level_width(leaf->max_definition));
        s->used = hr__cursor_offset(&c);
        return HR_OK;
    }
    if ((leaf->is_list && page->repetition_encoding == PQ_ENCODING_BIT_PACKED) ||
        (leaf->max_definition && page->definition_encoding == PQ_ENCODING_BIT_PACKED))
        HR_TRY(hr__scratch_take(column->fragment->scratch, 2 * packed, &s->reversed, err));
    uint8_t *reversed = s->reversed;
    HR_TRY(v1_stream(page, &c, leaf->is_list, page->repetition_encoding, reversed, &s->repetition,
                     err));
    HR_TRY(v1_stream(page, &c, leaf->max_definition, page->definition_encoding,
                     reversed ? reversed + packed : NULL, &s->definition, err));
    s->used = hr__cursor_offset(&c);
    return HR_OK;
}

// True when the first run says that all levels are the maximum.
static bool all_present(const pq_leaf *leaf, const pq_page *page, pq_hybrid *definition)
{
    if (leaf->max_definition == 0 || page->level_count == 0)
        return true;
    pq_hybrid peek = *definition;
    return hr__hybrid_run(&peek) && !peek.packed && peek.value == leaf->max_definition &&
           peek.left >= (uint64_t)page->level_count;
}

static hr_status bad_levels(hr_error *err, const char *which, const pq_page *page, uint8_t max)
{
    return HR_FAIL(err, HR_CORRUPT, "%s levels: fewer than %d, or one above %u", which,
                   page->level_count, max);
}

static hr_status flat_levels(pq_column *column, pq_page *page, level_streams *s, hr_error *err)
{
    const hr_kernels *k = hr__kernels();
    size_t n = (size_t)page->level_count;
    page->slots = page->dense = page->level_count;
    if (all_present(column->leaf, page, &s->definition))
        return HR_OK;
    uint8_t *valid = NULL;
    HR_TRY(hr__scratch_take(column->fragment->scratch, n / 8 + 8, &valid, err));
    page->levels_memory = valid;
    page->held_bytes += n / 8 + 8;
    if (!hr__hybrid_bits(&s->definition, n, 1, valid))
        return bad_levels(err, "definition", page, 1);
    page->dense = (int64_t)k->bits.count(valid, 0, n);
    page->slot_valid = page->dense == page->slots ? NULL : valid;
    return HR_OK;
}

// Definition levels of a list whose rows or items may be missing: one pass over both kinds of levels.
static hr_status ragged_levels(pq_column *column, pq_page *page, const uint8_t *starts,
                               const uint8_t *levels, uint32_t *ends, uint8_t *row_valid,
                               uint8_t *slot_valid, hr_error *err)
{
    const uint8_t list = column->leaf->list_definition, max = column->leaf->max_definition;
    uint32_t slot = 0, row = 0, null_rows = 0, present = 0;
    for (int32_t i = 0; i < page->level_count; i++) {
        bool begins = starts[i / 8] >> (i % 8) & 1, has_slot = levels[i] > list;
        if (begins) {
            bool valid = levels[i] >= list;
            row_valid[row / 8] = (uint8_t)(row_valid[row / 8] | valid << (row % 8));
            null_rows += !valid;
            ends[row++] = slot;
        } else if (!has_slot) {
            return HR_FAIL(err, HR_CORRUPT,
                           "level %d: an item that continues a list is of an empty list", i);
        }
        if (has_slot) {
            bool valid = levels[i] == max;
            slot_valid[slot / 8] = (uint8_t)(slot_valid[slot / 8] | valid << (slot % 8));
            present += valid;
            slot++;
        }
    }
    ends[row] = slot;
    page->slots = slot;
    page->dense = present;
    page->row_valid = null_rows ? row_valid : NULL;
    page->slot_valid = present == slot ? NULL : slot_valid;
    return HR_OK;
}

// What the levels say of rows against what was known of them before.
static hr_status check_rows(const pq_leaf *leaf, const pq_page *page, hr_error *err)
{
    bool told = page->is_v2 || page->is_listed;
    bool even = page->continued < 0 || page->continued == page->ends[0];
    if (told && page->rows != page->begins)
        return HR_FAIL(err, HR_CORRUPT, "%" PRId64 " rows by its levels, %" PRId64 " by its %s",
                       page->begins, page->rows, page->is_listed ? "file's page index" : "header");
    if (page->ends[0] > 0 && (page->number == 0 || told))
        return HR_FAIL(err, HR_CORRUPT, "begins in the middle of a row");
    if (!even || (page->rows >= 0 && page->rows != page->begins))
        return HR_FAIL(err, HR_INVALID,
                       "rows before it, or its own, have not all %" PRId64
                       " items as the tensor has; read with lists=\"ragged\"",
                       leaf->row_values);
    return HR_OK;
}

hr_status hr__pq_starts_count(pq_column *column, const uint8_t *bytes, size_t size, int32_t count,
                              int64_t *rows_out, hr_error *err)
{
    hr_scratch *scratch = column->fragment->scratch;
    size_t n = (size_t)count;
    uint8_t *starts = NULL;
    pq_hybrid h;
    HR_TRY(hr__scratch_take(scratch, n / 8 + 8, &starts, err));
    hr__hybrid_init(&h, bytes, size, 1);
    *rows_out = -1;
    if (hr__hybrid_bits(&h, n, 0, starts))
        *rows_out = (int64_t)hr__kernels()->bits.count(starts, 0, n);
    hr__scratch_give(scratch, starts);
    return HR_OK;
}

static hr_status list_levels(pq_column *column, pq_page *page, level_streams *s, hr_error *err)
{
    const hr_kernels *k = hr__kernels();
    hr_scratch *scratch = column->fragment->scratch;
    size_t n = (size_t)page->level_count, bitmap = HR_ALIGN_UP(n / 8 + 8, HR_ALIGN);
    uint8_t *starts = NULL, *levels = NULL, *memory = NULL;
    hr_status status = HR_OK;
    HR_TRY(hr__scratch_take(scratch, bitmap, &starts, err));
    if (!hr__hybrid_bits(&s->repetition, n, 0, starts)) {
        status = bad_levels(err, "repetition", page, 1);
        goto out;
    }
    size_t rows = k->bits.count(starts, 0, n);
    bool whole = all_present(column->leaf, page, &s->definition);
    size_t ends_bytes = HR_ALIGN_UP((rows + 1) * sizeof(uint32_t), HR_ALIGN);
    size_t total = ends_bytes + (whole ? 0 : 2 * bitmap);
    HR_GO(hr__scratch_take(scratch, total, &memory, err));
    page->levels_memory = memory;
    page->held_bytes += total;
    uint32_t *ends = (uint32_t *)memory;
    page->ends = ends;
    page->slots = page->dense = page->level_count;
    if (whole) {
        k->bits.positions(ends, starts, 0, n, 0);
        ends[rows] = (uint32_t)n;
    } else {
        memset(memory + ends_bytes, 0, 2 * bitmap);
        HR_GO(hr__scratch_take(scratch, n + 1, &levels, err));
        if (!levels_to_bytes(&s->definition, n, column->leaf->max_definition, levels)) {
            status = bad_levels(err, "definition", page, column->leaf->max_definition);
            goto out;
        }
        HR_GO(ragged_levels(column, page, starts, levels, ends, memory + ends_bytes,
                            memory + ends_bytes + bitmap, err));
    }
    page->begins = (int64_t)rows;
    status = check_rows(column->leaf, page, err);
out:
    hr__scratch_give(scratch, starts);
    hr__scratch_give(scratch, levels);
    return status;
}

hr_status hr__pq_levels_read(pq_column *column, pq_page *page, const uint8_t *bytes, size_t count,
                             size_t *used_out, hr_error *err)
{
    level_streams s = {0};
    hr_status status = find_streams(column, page, bytes, count, &s, err);
    if (!status && column->leaf->is_list)
        status = list_levels(column, page, &s, err);
    else if (!status)
        status = flat_levels(column, page, &s, err);
    hr__scratch_give(column->fragment->scratch, s.reversed);
    *used_out = s.used;
    return status;
}
