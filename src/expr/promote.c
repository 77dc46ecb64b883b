// SPDX-License-Identifier: Apache-2.0
// Type rules: which type two operands meet in, and how they get there.
//
// The rules are those of include/headrace/expr.h. A literal that was only written (`weak`) follows its partner where
// its value fits; everything else meets in the narrowest type that the rules give, by cast nodes. Times meet only their
// own type, or literals: integers of their unit and ISO text.
#include "expr/expr_graph.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

int hr__num_of_type(hr_type_id id)
{
    switch (id) {
    case HR_TYPE_BOOL:
        return HR_NUM_BOOL;
    case HR_TYPE_INT8:
        return HR_NUM_I8;
    case HR_TYPE_INT16:
        return HR_NUM_I16;
    case HR_TYPE_INT32:
    case HR_TYPE_DATE32:
    case HR_TYPE_TIME32:
        return HR_NUM_I32;
    case HR_TYPE_INT64:
    case HR_TYPE_TIME64:
    case HR_TYPE_TIMESTAMP:
    case HR_TYPE_DURATION:
        return HR_NUM_I64;
    case HR_TYPE_UINT8:
        return HR_NUM_U8;
    case HR_TYPE_UINT16:
        return HR_NUM_U16;
    case HR_TYPE_UINT32:
        return HR_NUM_U32;
    case HR_TYPE_UINT64:
        return HR_NUM_U64;
    case HR_TYPE_FLOAT16:
        return HR_NUM_F16;
    case HR_TYPE_BFLOAT16:
        return HR_NUM_BF16;
    case HR_TYPE_FLOAT32:
        return HR_NUM_F32;
    case HR_TYPE_FLOAT64:
        return HR_NUM_F64;
    default:
        return -1;
    }
}

const hr_type *hr__num_type(hr_num num)
{
    static const hr_type types[HR_NUM_COUNT] = {
        [HR_NUM_I8] = {.id = HR_TYPE_INT8},     [HR_NUM_I16] = {.id = HR_TYPE_INT16},
        [HR_NUM_I32] = {.id = HR_TYPE_INT32},   [HR_NUM_I64] = {.id = HR_TYPE_INT64},
        [HR_NUM_U8] = {.id = HR_TYPE_UINT8},    [HR_NUM_U16] = {.id = HR_TYPE_UINT16},
        [HR_NUM_U32] = {.id = HR_TYPE_UINT32},  [HR_NUM_U64] = {.id = HR_TYPE_UINT64},
        [HR_NUM_F32] = {.id = HR_TYPE_FLOAT32}, [HR_NUM_F64] = {.id = HR_TYPE_FLOAT64},
        [HR_NUM_F16] = {.id = HR_TYPE_FLOAT16}, [HR_NUM_BF16] = {.id = HR_TYPE_BFLOAT16},
        [HR_NUM_BOOL] = {.id = HR_TYPE_BOOL},
    };
    return &types[num];
}

bool hr__num_is_float(hr_num num)
{
    return num >= HR_NUM_F32 && num <= HR_NUM_BF16;
}

bool hr__num_is_signed(hr_num num)
{
    return num <= HR_NUM_I64;
}

hr_class hr__type_class(const hr_type *type)
{
    switch (type->id) {
    case HR_TYPE_NULL:
        return HR_CLASS_NULL;
    case HR_TYPE_BOOL:
        return HR_CLASS_BOOL;
    case HR_TYPE_DATE32:
    case HR_TYPE_TIME32:
    case HR_TYPE_TIME64:
    case HR_TYPE_TIMESTAMP:
    case HR_TYPE_DURATION:
        return HR_CLASS_TIME;
    case HR_TYPE_BINARY:
    case HR_TYPE_STRING:
        return HR_CLASS_TEXT;
    case HR_TYPE_DICTIONARY:
        return type->item->id == HR_TYPE_STRING || type->item->id == HR_TYPE_BINARY
                   ? HR_CLASS_TEXT
                   : HR_CLASS_OTHER;
    case HR_TYPE_TENSOR:
        return hr__type_class(type->item);
    default:
        return hr__num_of_type(type->id) >= 0 ? HR_CLASS_NUMBER : HR_CLASS_OTHER;
    }
}

// A float that holds an integer.
static hr_num float_for(hr_num integer, hr_num real)
{
    if (hr__num_bytes(integer) >= 4 || real == HR_NUM_F64)
        return HR_NUM_F64;
    return hr__num_bytes(integer) == 1 ? real : HR_NUM_F32;
}

hr_num hr__num_common(hr_num a, hr_num b)
{
    static const hr_num next_signed[4] = {HR_NUM_I16, HR_NUM_I32, HR_NUM_I64, HR_NUM_I64};
    if (a == b)
        return a;
    bool fa = hr__num_is_float(a), fb = hr__num_is_float(b);
    if (fa && fb) {
        if (hr__num_bytes(a) == hr__num_bytes(b)) // float16 and bfloat16
            return HR_NUM_F32;
        return hr__num_bytes(a) > hr__num_bytes(b) ? a : b;
    }
    if (fa || fb)
        return fa ? float_for(b, a) : float_for(a, b);
    if (hr__num_is_signed(a) == hr__num_is_signed(b))
        return HR_MAX(a, b);
    hr_num s = hr__num_is_signed(a) ? a : b, u = hr__num_is_signed(a) ? b : a;
    return hr__num_bytes(s) > hr__num_bytes(u) ? s : next_signed[u - HR_NUM_U8];
}

static bool int_fits(int64_t v, hr_num num)
{
    switch (num) {
    case HR_NUM_I8:
        return v >= INT8_MIN && v <= INT8_MAX;
    case HR_NUM_I16:
        return v >= INT16_MIN && v <= INT16_MAX;
    case HR_NUM_I32:
        return v >= INT32_MIN && v <= INT32_MAX;
    case HR_NUM_U8:
        return v >= 0 && v <= UINT8_MAX;
    case HR_NUM_U16:
        return v >= 0 && v <= UINT16_MAX;
    case HR_NUM_U32:
        return v >= 0 && v <= UINT32_MAX;
    case HR_NUM_U64:
        return v >= 0;
    case HR_NUM_F16:
        return v >= -65504 && v <= 65504;
    default:
        return true;
    }
}

static bool float_fits(double v, hr_num num)
{
    double most = num == HR_NUM_F16 ? 65504.0 : num == HR_NUM_F64 ? INFINITY : (double)FLT_MAX;
    return num != HR_NUM_BOOL && hr__num_is_float(num) && (!isfinite(v) || fabs(v) <= most);
}

// The type that a weak literal brings to a partner.
static hr_num weak_num(const hr_node *literal, hr_num partner)
{
    if (hr__node_is_null(literal))
        return partner;
    if (literal->num == HR_NUM_F64)
        return float_fits(literal->literal.f, partner) ? partner : HR_NUM_F64;
    return int_fits(literal->literal.i, partner) ? partner : HR_NUM_I64;
}

hr_status hr__graph_refuse(const hr_graph *g, const char *name, const int32_t *nodes, int32_t count,
                           hr_error *err)
{
    char text[512] = "";
    size_t at = 0;
    bool decimal = false, other = false, flag = false, time = false;
    for (int32_t i = 0; i < count; i++) {
        const hr_node *n = hr__graph_node(g, nodes[i]);
        char type[120];
        hr_type_print(&n->type, type, sizeof type);
        int wrote = snprintf(text + at, sizeof text - at, "%s%s", i ? ", " : "", type);
        at = HR_MIN(at + (size_t)HR_MAX(wrote, 0), sizeof text - 1);
        decimal |= n->type.id == HR_TYPE_DECIMAL128 || n->type.id == HR_TYPE_DECIMAL256;
        other |= n->cls == HR_CLASS_OTHER;
        flag |= n->cls == HR_CLASS_BOOL;
        time |= n->cls == HR_CLASS_TIME;
    }
    if (decimal)
        return HR_FAIL(err, HR_UNSUPPORTED,
                       "'%s' of (%s): decimals are not computed with; write "
                       "cast(x, float64) around them",
                       name, text);
    if (other)
        return HR_FAIL(err, HR_UNSUPPORTED,
                       "'%s' of (%s): such columns can only pass through or be "
                       "asked is_null",
                       name, text);
    return HR_FAIL(err, HR_INVALID, "'%s' does not take (%s)%s", name, text,
                   flag ? ": cast a bool to a number, as cast(x, int64), where one is meant"
                   : time
                       ? ": times meet only their own type, integers of their unit and ISO text; "
                         "cast(x, int64) gives the number"
                       : "");
}

// The class all operands have, nulls apart; -1: they do not go together.
static int common_class(const hr_graph *g, const int32_t *nodes, int32_t count)
{
    int cls = -1;
    bool time = false, mixed = false;
    for (int32_t i = 0; i < count; i++)
        time |= hr__graph_node(g, nodes[i])->cls == HR_CLASS_TIME;
    for (int32_t i = 0; i < count; i++) {
        const hr_node *n = hr__graph_node(g, nodes[i]);
        bool literal =
            n->op == HR_NODE_TEXT || (n->weak && n->cls == HR_CLASS_NUMBER && n->num == HR_NUM_I64);
        if (n->cls == HR_CLASS_NULL || (time && literal))
            continue;
        mixed |= cls >= 0 && cls != (int)n->cls;
        cls = (int)n->cls;
    }
    return mixed ? -1 : cls < 0 ? HR_CLASS_NULL : cls;
}

static hr_status unify_numbers(hr_graph *g, int32_t *nodes, int32_t count, hr_error *err)
{
    bool strong = false;
    hr_num num = HR_NUM_I64;
    for (int32_t i = 0; i < count; i++) {
        const hr_node *n = hr__graph_node(g, nodes[i]);
        if (n->cls != HR_CLASS_NUMBER || n->weak)
            continue;
        num = strong ? hr__num_common(num, n->num) : n->num;
        strong = true;
    }
    for (int32_t i = 0; i < count; i++) {
        const hr_node *n = hr__graph_node(g, nodes[i]);
        if (n->cls == HR_CLASS_NUMBER && n->weak)
            num = hr__num_common(num, strong ? weak_num(n, num) : n->num);
    }
    for (int32_t i = 0; i < count; i++) {
        bool weak = hr__graph_node(g, nodes[i])->weak;
        if (!strong && weak && hr__graph_node(g, nodes[i])->num == num)
            continue; // stays a written literal
        HR_TRY(hr__graph_cast(g, nodes[i], num, &nodes[i], err));
        if (!strong && weak) {
            hr_node again = *hr__graph_node(g, nodes[i]);
            again.weak = true;
            HR_TRY(hr__graph_add(g, &again, &nodes[i], err));
        }
    }
    return HR_OK;
}

// A literal among times: an integer of the unit, or ISO text.
static hr_status time_literal(hr_graph *g, const char *name, const hr_type *type, int32_t *node,
                              hr_error *err)
{
    hr_node n = *hr__graph_node(g, *node);
    int64_t value = n.literal.i;
    bool rest = false;
    hr_num num = (hr_num)hr__num_of_type(type->id);
    if (n.op == HR_NODE_TEXT)
        HR_TRY(hr__time_parse(n.text->text, type, &value, &rest, err));
    if (rest || !int_fits(value, num)) {
        char text[64];
        return HR_FAIL(err, HR_INVALID, "'%s': the literal does not fit in %s", name,
                       hr_type_print(type, text, sizeof text));
    }
    hr_node made = {
        .op = HR_NODE_LITERAL, .cls = HR_CLASS_TIME, .num = num, .type = *type, .row_values = 1};
    if (num == HR_NUM_I32) {
        int32_t narrow = (int32_t)value;
        memcpy(made.literal.bytes, &narrow, sizeof narrow);
    } else {
        made.literal.i = value;
    }
    return hr__graph_add(g, &made, node, err);
}

static bool same_time(const hr_type *a, const hr_type *b)
{
    return a->id == b->id && a->unit == b->unit && !a->timezone == !b->timezone;
}

static hr_status unify_times(hr_graph *g, const char *name, int32_t *nodes, int32_t count,
                             hr_error *err)
{
    int32_t like = -1;
    for (int32_t i = 0; i < count; i++) {
        const hr_node *n = hr__graph_node(g, nodes[i]);
        if (n->cls != HR_CLASS_TIME)
            continue;
        if (like >= 0 && !same_time(&n->type, &hr__graph_node(g, like)->type))
            return hr__graph_refuse(g, name, nodes, count, err);
        like = nodes[i];
    }
    hr_type type = hr__graph_node(g, like)->type;
    for (int32_t i = 0; i < count; i++) {
        const hr_node *n = hr__graph_node(g, nodes[i]);
        if (n->cls == HR_CLASS_NULL)
            HR_TRY(hr__graph_null_like(g, like, &nodes[i], err));
        else if (n->cls != HR_CLASS_TIME)
            HR_TRY(time_literal(g, name, &type, &nodes[i], err));
    }
    return HR_OK;
}

hr_status hr__graph_broadcast(hr_graph *g, const char *name, int32_t *nodes, int32_t count,
                              hr_error *err)
{
    int32_t tensor = -1;
    for (int32_t i = 0; i < count; i++) {
        const hr_node *n = hr__graph_node(g, nodes[i]);
        if (!n->is_tensor)
            continue;
        const hr_node *t = tensor < 0 ? n : hr__graph_node(g, tensor);
        if (t->type.ndim != n->type.ndim ||
            memcmp(t->type.shape, n->type.shape, sizeof t->type.shape[0] * (size_t)t->type.ndim) !=
                0)
            return hr__graph_refuse(g, name, nodes, count, err);
        tensor = nodes[i];
    }
    for (int32_t i = 0; tensor >= 0 && i < count; i++) {
        hr_node n = *hr__graph_node(g, nodes[i]);
        const hr_node *t = hr__graph_node(g, tensor);
        if (n.is_tensor || n.op == HR_NODE_LITERAL || n.cls == HR_CLASS_TEXT)
            continue;
        hr_node made = {.op = HR_NODE_BROADCAST,
                        .cls = n.cls,
                        .num = n.num,
                        .of = n.num,
                        .is_tensor = true,
                        .row_values = t->row_values,
                        .type = t->type,
                        .args = {nodes[i]},
                        .arg_count = 1};
        made.type.item = hr__num_type(n.num);
        HR_TRY(hr__graph_add(g, &made, &nodes[i], err));
    }
    return HR_OK;
}

hr_status hr__graph_unify(hr_graph *g, const char *name, unsigned classes, int32_t *nodes,
                          int32_t count, hr_error *err)
{
    int cls = common_class(g, nodes, count);
    if (cls < 0 || !(classes >> cls & 1 || cls == HR_CLASS_NULL))
        return hr__graph_refuse(g, name, nodes, count, err);
    if (cls == HR_CLASS_NULL)
        return HR_OK;
    if (cls == HR_CLASS_NUMBER) {
        HR_TRY(unify_numbers(g, nodes, count, err));
    } else if (cls == HR_CLASS_TIME) {
        HR_TRY(unify_times(g, name, nodes, count, err));
    } else {
        int32_t like = -1;
        for (int32_t i = 0; i < count && like < 0; i++)
            like = hr__graph_node(g, nodes[i])->cls == (hr_class)cls ? nodes[i] : -1;
        for (int32_t i = 0; i < count; i++)
            if (hr__graph_node(g, nodes[i])->cls == HR_CLASS_NULL)
                HR_TRY(hr__graph_null_like(g, like, &nodes[i], err));
    }
    return hr__graph_broadcast(g, name, nodes, count, err);
}
