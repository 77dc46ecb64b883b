// SPDX-License-Identifier: Apache-2.0
// Text: lowering and running what strings and binaries can do, be they plain, large or dictionary-encoded.
//
// A register of text is a view (pointer and length) a row, so every representation meets every other; bytes are copied
// once, into the output. Comparing a dictionary column with a literal looks at each value of the dictionary once
// and then only at codes. Order is that of bytes, which for UTF-8 is that of code points.
#include "expr/expr_run.h"

// --- lowering ---

hr_status hr__graph_text_compare(hr_graph *g, int compare, int32_t a, int32_t b, int32_t *out,
                                 hr_error *err)
{
    static const hr_compare mirror[HR_COMPARE_COUNT] = {
        HR_COMPARE_EQ, HR_COMPARE_NE, HR_COMPARE_GT, HR_COMPARE_GE, HR_COMPARE_LT, HR_COMPARE_LE};
    bool swap = hr__graph_node(g, a)->op == HR_NODE_TEXT;
    int32_t args[2] = {swap ? b : a, swap ? a : b};
    return hr__graph_op(g, HR_NODE_TEXT_COMPARE, swap ? (int)mirror[compare] : compare, HR_NUM_BOOL,
                        args, 2, out, err);
}

// The type that holds all operands: literals follow, binary wins, large wins.
hr_status hr__graph_text_op(hr_graph *g, hr_node_op op, const int32_t *args, int32_t count,
                            int32_t *out, hr_error *err)
{
    hr_node n = {.op = op,
                 .cls = HR_CLASS_TEXT,
                 .type = {.id = HR_TYPE_STRING},
                 .row_values = 1,
                 .arg_count = count};
    for (int32_t i = 0; i < count; i++) {
        const hr_node *a = hr__graph_node(g, args[i]);
        const hr_type *t = a->type.id == HR_TYPE_DICTIONARY ? a->type.item : &a->type;
        n.args[i] = args[i];
        if (a->cls == HR_CLASS_TEXT && t->id == HR_TYPE_BINARY)
            n.type.id = HR_TYPE_BINARY;
        n.type.large |= a->cls == HR_CLASS_TEXT && t->large;
    }
    return hr__graph_add(g, &n, out, err);
}

bool hr__text_by_code(const hr_node *nodes, const hr_node *n)
{
    return n->op == HR_NODE_TEXT_COMPARE && nodes[n->args[0]].op == HR_NODE_COLUMN &&
           nodes[n->args[0]].type.id == HR_TYPE_DICTIONARY && nodes[n->args[1]].op == HR_NODE_TEXT;
}

// --- views ---

static hr_view plain_view(const hr_column *c, int64_t row)
{
    int64_t begin, end;
    row += c->offset;
    if (c->type->large) {
        const int64_t *offsets = c->offsets;
        begin = offsets[row];
        end = offsets[row + 1];
    } else {
        const int32_t *offsets = c->offsets;
        begin = offsets[row];
        end = offsets[row + 1];
    }
    return (hr_view){(const char *)c->data + begin, end - begin};
}

static void plain_views(const hr_column *c, int64_t first, int64_t rows, hr_view *out)
{
    const char *data = c->data;
    if (c->type->large) {
        const int64_t *o = (const int64_t *)c->offsets + c->offset + first;
        for (int64_t i = 0; i < rows; i++)
            out[i] = (hr_view){data + o[i], o[i + 1] - o[i]};
    } else {
        const int32_t *o = (const int32_t *)c->offsets + c->offset + first;
        for (int64_t i = 0; i < rows; i++)
            out[i] = (hr_view){data + o[i], o[i + 1] - o[i]};
    }
}

void hr__text_views(const hr_column *c, int64_t first, int64_t rows, hr_view *out)
{
    if (c->type->id != HR_TYPE_DICTIONARY) {
        plain_views(c, first, rows, out);
        return;
    }
    const int32_t *codes = (const int32_t *)c->data + c->offset + first;
    for (int64_t i = 0; i < rows; i++) {
        // A code under a null may be anything.
        bool known = codes[i] >= 0 && codes[i] < c->child->rows;
        out[i] = known ? plain_view(c->child, codes[i]) : (hr_view){"", 0};
    }
}

void hr__text_dictionary_nulls(const hr_column *c, int64_t first, int64_t rows, uint64_t **valid,
                               uint64_t *room)
{
    const int32_t *codes = (const int32_t *)c->data + c->offset + first;
    if (c->type->id != HR_TYPE_DICTIONARY || !c->child->validity)
        return;
    if (!*valid) {
        memset(room, 0xff, (size_t)hr__words(rows) * 8);
        *valid = room;
    }
    for (int64_t i = 0; i < rows; i++)
        if (codes[i] >= 0 && codes[i] < c->child->rows && !hr__column_is_valid(c->child, codes[i]))
            (*valid)[i >> 6] &= ~(1ULL << (i & 63));
}

int64_t hr__text_column_bytes(const hr_column *c, int64_t rows)
{
    int64_t bytes = 0;
    if (rows == 0)
        return 0;
    if (c->type->id != HR_TYPE_DICTIONARY) {
        hr_view first = plain_view(c, 0), last = plain_view(c, rows - 1);
        return last.at + last.bytes - first.at;
    }
    const int32_t *codes = (const int32_t *)c->data + c->offset;
    for (int64_t i = 0; i < rows; i++)
        if (codes[i] >= 0 && codes[i] < c->child->rows)
            bytes += plain_view(c->child, codes[i]).bytes;
    return bytes;
}

// --- running ---

static int order(hr_view a, hr_view b)
{
    size_t n = (size_t)HR_MIN(a.bytes, b.bytes);
    int c = n ? memcmp(a.at, b.at, n) : 0;
    return c ? c : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static bool compares(hr_compare op, hr_view a, hr_view b)
{
    switch (op) {
    case HR_COMPARE_EQ:
    case HR_COMPARE_NE:
        return (a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.at, b.at, (size_t)a.bytes) == 0)) ==
               (op == HR_COMPARE_EQ);
    case HR_COMPARE_LT:
        return order(a, b) < 0;
    case HR_COMPARE_LE:
        return order(a, b) <= 0;
    case HR_COMPARE_GT:
        return order(a, b) > 0;
    default:
        return order(a, b) >= 0;
    }
}

static hr_view literal_view(const hr_node *n)
{
    return (hr_view){n->text->text, (int64_t)strlen(n->text->text)};
}

void hr__text_table(const hr_node *nodes, const hr_node *n, const hr_column *c, uint8_t *table)
{
    hr_view literal = literal_view(&nodes[n->args[1]]);
    for (int64_t i = 0; i < c->child->rows; i++)
        table[i] = compares((hr_compare)n->sub, plain_view(c->child, i), literal);
}

static void compare_by_code(hr_frame *f, const hr_node *n)
{
    const hr_column *c = &f->inputs[f->nodes[n->args[0]].column];
    const int32_t *codes = (const int32_t *)c->data + c->offset + f->row;
    hr_view literal = literal_view(&f->nodes[n->args[1]]);
    for (int64_t i = 0; i < f->rows; i++) {
        bool known = codes[i] >= 0 && codes[i] < c->child->rows;
        f->mask[i] = !known ? 0
                     : f->table
                         ? f->table[codes[i]]
                         : compares((hr_compare)n->sub, plain_view(c->child, codes[i]), literal);
    }
}

void hr__run_text_compare(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    hr__run_strict(f, out, args, 2);
    if (hr__text_by_code(f->nodes, n)) {
        compare_by_code(f, n);
    } else {
        const hr_view *a = args[0]->data, *b = args[1]->data;
        int sa = !args[0]->scalar, sb = !args[1]->scalar;
        const uint64_t *valid = out->valid;
        for (int64_t i = 0; i < f->rows; i++) // a null's view may point anywhere
            f->mask[i] =
                (!valid || hr__bit(valid, i)) && compares((hr_compare)n->sub, a[i * sa], b[i * sb]);
    }
    f->k->bits.from_bytes(out->data, 0, f->mask, (size_t)f->rows);
}

void hr__run_text_select(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    const hr_view *a = args[1]->data, *b = args[2]->data;
    int sa = !args[1]->scalar, sb = !args[2]->scalar;
    const uint64_t *bits = hr__run_bits(args[0], f->rows, f->bits[0]);
    const uint64_t *vc = args[0]->valid, *va = args[1]->valid, *vb = args[2]->valid;
    hr_view *to = out->data;
    memset(out->valid_room, 0xff, (size_t)hr__words(f->rows) * 8);
    for (int64_t i = 0; i < f->rows; i++) {
        bool first = hr__bit(bits, i) && (!vc || hr__bit(vc, i));
        const uint64_t *v = first ? va : vb;
        to[i] = first ? a[i * sa] : b[i * sb];
        if (v && !hr__bit(v, i))
            out->valid_room[i >> 6] &= ~(1ULL << (i & 63));
    }
    out->valid = va || vb ? out->valid_room : NULL;
}

void hr__run_text_fill(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    const hr_view *x = args[0]->data, *v = args[1]->data;
    int sx = !args[0]->scalar, sv = !args[1]->scalar;
    const uint64_t *vx = args[0]->valid, *vv = args[1]->valid;
    hr_view *to = out->data;
    for (int64_t i = 0; i < f->rows; i++)
        to[i] = !vx || hr__bit(vx, i) ? x[i * sx] : v[i * sv];
    out->valid = NULL;
    if (vx && vv) {
        for (int64_t w = 0; w < hr__words(f->rows); w++)
            out->valid_room[w] = vx[w] | vv[w];
        out->valid = out->valid_room;
    }
}
