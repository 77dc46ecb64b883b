// SPDX-License-Identifier: Apache-2.0
// Running logic, choice and null nodes. Bools are bits, so logic is whole words; a choice between values needs a byte
// mask, made from the bits at the last moment.
//
// A condition over rows that chooses between tensors copies whole rows (or the piece of a row); a condition that is
// a tensor itself chooses value by value.
#include "expr/expr_run.h"

const uint64_t *hr__run_bits(const hr_reg *reg, int64_t count, uint64_t *room)
{
    if (!reg->scalar)
        return reg->data;
    uint8_t bit = *(const uint8_t *)reg->data & 1;
    memset(room, bit ? 0xff : 0, (size_t)hr__words(count) * 8);
    return room;
}

static uint64_t word_of(const uint64_t *valid, int64_t w)
{
    return valid ? valid[w] : ~0ULL;
}

// Kleene over rows: an operand that decides alone decides also where the other is null.
static void logic(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args, bool all)
{
    int64_t count = hr__frame_count(f, n), words = hr__words(count);
    const uint64_t *a = hr__run_bits(args[0], count, f->bits[0]);
    const uint64_t *b = hr__run_bits(args[1], count, f->bits[1]);
    const uint64_t *va = args[0]->valid, *vb = args[1]->valid;
    uint64_t *to = out->data;
    if (n->sub || (!va && !vb)) {
        hr__run_strict(f, out, args, 2);
        for (int64_t w = 0; w < words; w++)
            to[w] = all ? a[w] & b[w] : a[w] | b[w];
        return;
    }
    for (int64_t w = 0; w < words; w++) {
        uint64_t wa = word_of(va, w), wb = word_of(vb, w);
        uint64_t decides = all ? (wa & ~a[w]) | (wb & ~b[w]) : (wa & a[w]) | (wb & b[w]);
        out->valid_room[w] = (wa & wb) | decides;
        to[w] = all ? ~decides : decides;
    }
    out->valid = out->valid_room;
}

void hr__run_and(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    logic(f, n, out, args, true);
}
void hr__run_or(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    logic(f, n, out, args, false);
}

void hr__run_xor(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    int64_t count = hr__frame_count(f, n), words = hr__words(count);
    const uint64_t *a = hr__run_bits(args[0], count, f->bits[0]);
    const uint64_t *b = hr__run_bits(args[1], count, f->bits[1]);
    uint64_t *to = out->data, flip = n->sub ? ~0ULL : 0;
    hr__run_strict(f, out, args, 2);
    for (int64_t w = 0; w < words; w++)
        to[w] = a[w] ^ b[w] ^ flip;
}

void hr__run_not(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    int64_t words = hr__words(hr__frame_count(f, n));
    const uint64_t *a = hr__run_bits(args[0], hr__frame_count(f, n), f->bits[0]);
    uint64_t *to = out->data;
    hr__run_strict(f, out, args, 1);
    for (int64_t w = 0; w < words; w++)
        to[w] = ~a[w];
}

void hr__run_is_null(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    int64_t words = hr__words(f->rows);
    uint64_t *to = out->data;
    out->valid = NULL;
    for (int64_t w = 0; w < words; w++)
        to[w] = ~word_of(args[0]->valid, w);
}

// Rows of tensors by a bit a row: row i of `out` from a or b.
static void choose_rows(hr_frame *f, const hr_node *n, void *out, const uint64_t *bits,
                        const hr_reg *a, const hr_reg *b)
{
    size_t width = hr__num_bytes(n->num);
    size_t values = (size_t)(f->piece ? f->values : n->row_values), bytes = values * width;
    for (int64_t i = 0; i < f->rows; i++) {
        const hr_reg *from = hr__bit(bits, i) ? a : b;
        char *to = (char *)out + (size_t)i * bytes;
        const char *in = (const char *)from->data + (from->scalar ? 0 : (size_t)i * bytes);
        if (from->scalar)
            f->k->fill.constant(to, in, width, values);
        else if (to != in)
            memcpy(to, in, bytes);
    }
}

// Values of `out` from a where the bit is 1, else from b.
static void choose(hr_frame *f, const hr_node *n, hr_reg *out, const uint64_t *bits, bool by_row,
                   const hr_reg *a, const hr_reg *b)
{
    int64_t count = hr__frame_count(f, n);
    if (n->is_tensor && by_row) {
        choose_rows(f, n, out->data, bits, a, b);
        return;
    }
    if (n->num == HR_NUM_BOOL) {
        const uint64_t *wa = hr__run_bits(a, count, f->bits[0]);
        const uint64_t *wb = hr__run_bits(b, count, f->bits[1]);
        uint64_t *to = out->data;
        for (int64_t w = 0; w < hr__words(count); w++)
            to[w] = (bits[w] & wa[w]) | (~bits[w] & wb[w]);
        return;
    }
    f->k->bits.to_bytes(f->mask, (const uint8_t *)bits, 0, (size_t)count);
    f->k->arith.select(out->data, f->mask, a->data, a->scalar, b->data, b->scalar, (size_t)count,
                       hr__num_bytes(n->num));
}

void hr__run_select(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    const hr_reg *c = args[0], *a = args[1], *b = args[2];
    int64_t count = hr__frame_count(f, n), row_words = hr__words(f->rows);
    bool by_row = !f->nodes[n->args[0]].is_tensor;
    const uint64_t *bits = hr__run_bits(c, by_row ? f->rows : count, f->bits[2]);
    if (c->valid && by_row) { // null counts as false
        for (int64_t w = 0; w < row_words; w++)
            f->bits[2][w] = bits[w] & c->valid[w];
        bits = f->bits[2];
    }
    out->valid = NULL;
    if (a->valid || b->valid) {
        for (int64_t w = 0; w < row_words; w++) {
            uint64_t va = word_of(a->valid, w), vb = word_of(b->valid, w);
            uint64_t chosen = word_of(c->valid, w); // a tensor's rows may take from both
            out->valid_room[w] = by_row ? (bits[w] & va) | (~bits[w] & vb) : (va | ~chosen) & vb;
        }
        out->valid = out->valid_room;
    }
    if (by_row || !c->valid) {
        choose(f, n, out, bits, by_row, a, b);
        return;
    }
    // Rows of a tensor condition that are null take nothing but `else`.
    int64_t per_row = f->piece ? f->values : n->row_values;
    if (bits != f->bits[2])
        memcpy(f->bits[2], bits, (size_t)hr__words(count) * 8);
    for (int64_t i = 0; i < f->rows; i++)
        if (!hr__bit(c->valid, i))
            f->k->bits.set((uint8_t *)f->bits[2], (size_t)(i * per_row), (size_t)per_row, false);
    choose(f, n, out, f->bits[2], false, a, b);
}

void hr__run_fill_null(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    const hr_reg *x = args[0], *v = args[1];
    int64_t count = hr__frame_count(f, n), row_words = hr__words(f->rows);
    out->valid = NULL;
    if (!x->valid) {
        if (x->scalar)
            f->k->fill.constant(out->data, x->data, hr__num_bytes(n->num), (size_t)count);
        else if (f->nodes[n->args[0]].op == HR_NODE_COLUMN && n->num != HR_NUM_BOOL)
            out->data = x->data; // the source itself: nothing to fill
        else if (n->num == HR_NUM_BOOL)
            memcpy(out->data, x->data, (size_t)hr__words(count) * 8);
        else
            memcpy(out->data, x->data, (size_t)count * hr__num_bytes(n->num));
        return;
    }
    choose(f, n, out, x->valid, true, x, v);
    if (v->valid) {
        for (int64_t w = 0; w < row_words; w++)
            out->valid_room[w] = x->valid[w] | v->valid[w];
        out->valid = out->valid_room;
    }
}
