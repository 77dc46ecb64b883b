// SPDX-License-Identifier: Apache-2.0
// What arithmetic, comparison and mathematical functions mean in typed nodes. One row, one function.
//
// Half floats are computed in float32 and rounded back after each operation: for + - * / and sqrt that is the correctly
// rounded half (24 bits hold twice the 11 and two more). Constants that follow each other on an integer are joined,
// since integers wrap: x * 2 * 2 is one multiplication.
#include "expr/expr_graph.h"

#include <math.h>

enum { NUMBERS = 1u << HR_CLASS_NUMBER, TIMES = 1u << HR_CLASS_TIME, BOOLS = 1u << HR_CLASS_BOOL };

static bool is_half(hr_num num)
{
    return num == HR_NUM_F16 || num == HR_NUM_BF16;
}

// The constant of an integer node `x op literal`, or false.
static bool constant_of(const hr_graph *g, int32_t node, hr_arith op, int64_t *out)
{
    const hr_node *n = hr__graph_node(g, node);
    if (n->op != HR_NODE_ARITH || n->sub != (int8_t)op)
        return false;
    const hr_node *c = hr__graph_node(g, n->args[1]);
    if (!hr__node_is_literal(c))
        return false;
    *out = hr__node_literal_int(c);
    return true;
}

// x op constant for integers, joined with a constant that x brings along.
static hr_status integer_constant(hr_graph *g, hr_arith op, int32_t x, int64_t c, int32_t *out,
                                  hr_error *err)
{
    const hr_node n = *hr__graph_node(g, x);
    int64_t before;
    if (constant_of(g, x, op, &before)) {
        uint64_t a = (uint64_t)before, b = (uint64_t)c;
        c = (int64_t)(op == HR_ARITH_MUL ? a * b : a + b);
        x = n.args[0];
    }
    if (op == HR_ARITH_ADD ? c == 0 : c == 1) {
        *out = x;
        return HR_OK;
    }
    int32_t args[2] = {x, 0};
    HR_TRY(hr__graph_int(g, c, &args[1], err));
    HR_TRY(hr__graph_cast(g, args[1], n.num, &args[1], err));
    return hr__graph_op(g, HR_NODE_ARITH, (int)op, n.num, args, 2, out, err);
}

// Operands of one type and shape.
static hr_status arith(hr_graph *g, hr_arith op, const int32_t *args, int32_t *out, hr_error *err)
{
    int32_t a[2] = {args[0], args[1]};
    const hr_node *x = hr__graph_node(g, a[0]), *y = hr__graph_node(g, a[1]);
    hr_num num = x->num, in = is_half(num) ? HR_NUM_F32 : num;
    bool commutes = op != HR_ARITH_SUB && op != HR_ARITH_DIV && op != HR_ARITH_POW;
    if (commutes && hr__node_is_literal(x) && !hr__node_is_literal(y)) {
        a[0] = args[1];
        a[1] = args[0];
        x = hr__graph_node(g, a[0]);
        y = hr__graph_node(g, a[1]);
    }
    if (num < HR_NUM_INT_COUNT && hr__node_is_literal(y) && x->op != HR_NODE_LITERAL) {
        int64_t c = hr__node_literal_int(y);
        if (op == HR_ARITH_ADD || op == HR_ARITH_MUL)
            return integer_constant(g, op, a[0], c, out, err);
        if (op == HR_ARITH_SUB)
            return integer_constant(g, HR_ARITH_ADD, a[0], (int64_t)(0 - (uint64_t)c), out, err);
    }
    for (int i = 0; i < 2 && in != num; i++)
        HR_TRY(hr__graph_cast(g, a[i], in, &a[i], err));
    HR_TRY(hr__graph_op(g, HR_NODE_ARITH, (int)op, in, a, 2, out, err));
    return in == num ? HR_OK : hr__graph_cast(g, *out, num, out, err);
}

static hr_status unary(hr_graph *g, hr_unary op, int32_t arg, int32_t *out, hr_error *err)
{
    const hr_node *n = hr__graph_node(g, arg);
    hr_num num = n->num, in = is_half(num) ? HR_NUM_F32 : num;
    if (num < HR_NUM_INT_COUNT && op >= HR_UNARY_FLOOR) {
        *out = arg; // whole numbers are rounded already
        return HR_OK;
    }
    if (num < HR_NUM_INT_COUNT && op >= HR_UNARY_SQRT)
        in = num = HR_NUM_F64;
    HR_TRY(hr__graph_cast(g, arg, in, &arg, err));
    HR_TRY(hr__graph_op(g, HR_NODE_UNARY, (int)op, in, &arg, 1, out, err));
    return in == num ? HR_OK : hr__graph_cast(g, *out, num, out, err);
}

static hr_status bind_unary(hr_graph *g, const hr_function *f, const int32_t *args, int32_t count,
                            int32_t *out, hr_error *err)
{
    int32_t a = args[0];
    HR_TRY(hr__graph_unify(g, f->name, NUMBERS, &a, 1, err));
    if (hr__graph_node(g, a)->cls == HR_CLASS_NULL) {
        *out = a;
        return HR_OK;
    }
    return unary(g, (hr_unary)f->op, a, out, err);
}

static hr_status bind_arith(hr_graph *g, const hr_function *f, const int32_t *args, int32_t count,
                            int32_t *out, hr_error *err)
{
    int32_t a[2] = {args[0], args[count - 1]};
    bool order = f->op == HR_ARITH_MIN || f->op == HR_ARITH_MAX;
    if (count == 1) {
        hr_function minus = {.name = f->name, .op = HR_UNARY_NEG};
        return bind_unary(g, &minus, args, 1, out, err);
    }
    HR_TRY(hr__graph_unify(g, f->name, order ? NUMBERS | TIMES : NUMBERS, a, 2, err));
    const hr_node n = *hr__graph_node(g, a[0]);
    if (n.cls == HR_CLASS_NULL) {
        *out = a[0];
        return HR_OK;
    }
    if (n.cls == HR_CLASS_TIME)
        return hr__graph_op_like(g, HR_NODE_ARITH, f->op, a[0], a, 2, out, err);
    if (f->op == HR_ARITH_DIV && n.num < HR_NUM_INT_COUNT)
        for (int i = 0; i < 2; i++)
            HR_TRY(hr__graph_cast(g, a[i], HR_NUM_F64, &a[i], err));
    return arith(g, (hr_arith)f->op, a, out, err);
}

// // and %: the divisor of integers becomes null where it is zero, so the division itself knows no nulls.
static hr_status bind_divide(hr_graph *g, const hr_function *f, const int32_t *args, int32_t count,
                             int32_t *out, hr_error *err)
{
    int32_t a[2] = {args[0], args[1]};
    HR_TRY(hr__graph_unify(g, f->name, NUMBERS, a, 2, err));
    hr_node n = *hr__graph_node(g, a[0]), d = *hr__graph_node(g, a[1]);
    if (n.cls == HR_CLASS_NULL) {
        *out = a[0];
        return HR_OK;
    }
    if (n.num < HR_NUM_INT_COUNT && d.is_tensor && d.op != HR_NODE_BROADCAST)
        return HR_FAIL(
            err, HR_INVALID,
            "'%s': integers divided by a tensor of integers would need a null inside a row: "
            "cast one of them to float64",
            f->name);
    if (n.num < HR_NUM_INT_COUNT && !(hr__node_is_literal(&d) && hr__node_literal_int(&d) != 0)) {
        int32_t divisor = d.op == HR_NODE_BROADCAST ? d.args[0] : a[1];
        HR_TRY(hr__graph_op(g, HR_NODE_NULL_IF_ZERO, 0, n.num, &divisor, 1, &divisor, err));
        a[1] = divisor;
        HR_TRY(hr__graph_broadcast(g, f->name, a, 2, err));
    }
    hr_num in = is_half(n.num) ? HR_NUM_F32 : n.num;
    for (int i = 0; i < 2; i++)
        if (in != n.num)
            HR_TRY(hr__graph_cast(g, a[i], in, &a[i], err));
    HR_TRY(hr__graph_op(g, HR_NODE_DIVIDE, f->op, in, a, 2, out, err));
    return in == n.num ? HR_OK : hr__graph_cast(g, *out, n.num, out, err);
}

// Whole powers of integers stay integers, by squaring; they wrap like any product.
static hr_status integer_power(hr_graph *g, int32_t x, int64_t exponent, int32_t *out,
                               hr_error *err)
{
    int32_t result = -1, square = x;
    for (uint64_t e = (uint64_t)exponent; e; e >>= 1) {
        int32_t pair[2] = {square, square};
        if (e & 1 && result < 0) {
            result = square;
        } else if (e & 1) {
            int32_t product[2] = {result, square};
            HR_TRY(arith(g, HR_ARITH_MUL, product, &result, err));
        }
        if (e > 1)
            HR_TRY(arith(g, HR_ARITH_MUL, pair, &square, err));
    }
    if (result < 0) { // x ** 0 is 1 where x is not null
        HR_TRY(integer_constant(g, HR_ARITH_MUL, x, 0, &result, err));
        HR_TRY(integer_constant(g, HR_ARITH_ADD, result, 1, &result, err));
    }
    *out = result;
    return HR_OK;
}

static hr_status bind_power(hr_graph *g, const hr_function *f, const int32_t *args, int32_t count,
                            int32_t *out, hr_error *err)
{
    int32_t a[2] = {args[0], args[1]};
    const hr_node x = *hr__graph_node(g, a[0]), y = *hr__graph_node(g, a[1]);
    bool written = y.weak && y.cls == HR_CLASS_NUMBER && hr__node_is_literal(&y);
    if (written && y.num == HR_NUM_I64 && y.literal.i >= 0 && x.cls == HR_CLASS_NUMBER &&
        x.num < HR_NUM_INT_COUNT && !hr__node_is_null(&x))
        return integer_power(g, a[0], y.literal.i, out, err);
    HR_TRY(hr__graph_unify(g, f->name, NUMBERS, a, 2, err));
    if (hr__graph_node(g, a[0])->cls == HR_CLASS_NULL) {
        *out = a[0];
        return HR_OK;
    }
    for (int i = 0; i < 2; i++)
        if (hr__graph_node(g, a[i])->num < HR_NUM_INT_COUNT)
            HR_TRY(hr__graph_cast(g, a[i], HR_NUM_F64, &a[i], err));
    // As numpy: the square and the root are computed as such.
    double exponent = written ? hr__node_literal_float(&y) : 0;
    if (exponent == 2) {
        a[1] = a[0];
        return arith(g, HR_ARITH_MUL, a, out, err);
    }
    if (exponent == 0.5)
        return unary(g, HR_UNARY_SQRT, a[0], out, err);
    return arith(g, HR_ARITH_POW, a, out, err);
}

static hr_status bind_clip(hr_graph *g, const hr_function *f, const int32_t *args, int32_t count,
                           int32_t *out, hr_error *err)
{
    const hr_function most = {.name = f->name, .op = HR_ARITH_MAX};
    const hr_function least = {.name = f->name, .op = HR_ARITH_MIN};
    int32_t pair[2] = {args[0], args[1]};
    HR_TRY(bind_arith(g, &most, pair, 2, &pair[0], err));
    pair[1] = args[2];
    return bind_arith(g, &least, pair, 2, out, err);
}

// --- comparison ---

static hr_compare mirrored(hr_compare op)
{
    static const hr_compare mirror[HR_COMPARE_COUNT] = {
        HR_COMPARE_EQ, HR_COMPARE_NE, HR_COMPARE_GT, HR_COMPARE_GE, HR_COMPARE_LT, HR_COMPARE_LE};
    return mirror[op];
}

static hr_status null_bool(hr_graph *g, int32_t *out, hr_error *err)
{
    int32_t yes;
    HR_TRY(hr__graph_bool(g, true, &yes, err));
    return hr__graph_null_like(g, yes, out, err);
}

// Of one type and shape.
static hr_status compare_equal_types(hr_graph *g, hr_compare op, int32_t *a, int32_t *out,
                                     hr_error *err)
{
    if (hr__graph_node(g, a[0])->op == HR_NODE_LITERAL) {
        int32_t swap = a[0];
        a[0] = a[1];
        a[1] = swap;
        op = mirrored(op);
    }
    for (int i = 0; i < 2; i++)
        if (is_half(hr__graph_node(g, a[i])->num))
            HR_TRY(hr__graph_cast(g, a[i], HR_NUM_F32, &a[i], err));
    return hr__graph_op(g, HR_NODE_COMPARE, (int)op, HR_NUM_BOOL, a, 2, out, err);
}

// Signed with uint64 has no wider type: the sign is looked at first, then both are unsigned.
static hr_status compare_with_u64(hr_graph *g, const char *name, hr_compare op, int32_t *a,
                                  int32_t *out, hr_error *err)
{
    if (hr__graph_node(g, a[0])->num == HR_NUM_U64) {
        int32_t swap = a[0];
        a[0] = a[1];
        a[1] = swap;
        op = mirrored(op);
    }
    bool if_negative = op == HR_COMPARE_NE || op == HR_COMPARE_LT || op == HR_COMPARE_LE;
    int32_t sign[2] = {a[0], 0}, both[2], negative, result;
    HR_TRY(hr__graph_cast(g, sign[0], HR_NUM_I64, &sign[0], err));
    HR_TRY(hr__graph_int(g, 0, &sign[1], err));
    HR_TRY(hr__graph_cast(g, sign[1], HR_NUM_I64, &sign[1], err));
    HR_TRY(hr__graph_op(g, HR_NODE_COMPARE, if_negative ? HR_COMPARE_LT : HR_COMPARE_GE,
                        HR_NUM_BOOL, sign, 2, &negative, err));
    HR_TRY(hr__graph_cast(g, a[0], HR_NUM_U64, &both[0], err));
    both[1] = a[1];
    HR_TRY(hr__graph_broadcast(g, name, both, 2, err));
    HR_TRY(compare_equal_types(g, op, both, &result, err));
    both[0] = negative;
    both[1] = result;
    HR_TRY(hr__graph_broadcast(g, name, both, 2, err));
    return hr__graph_logic(g, if_negative ? HR_NODE_OR : HR_NODE_AND, 1, both[0], both[1], out,
                           err);
}

// A time stands as its integer against integers and ISO text. A text finer than the unit lies between two values: what
// is below it is at most its floor.
static hr_status time_operand(hr_graph *g, const hr_type *type, int32_t *node, hr_compare *op,
                              bool *decided, hr_error *err)
{
    hr_node n = *hr__graph_node(g, *node);
    int64_t value;
    bool rest;
    if (n.cls == HR_CLASS_TIME)
        return hr__graph_cast(g, *node, n.num, node, err);
    if (n.op != HR_NODE_TEXT)
        return HR_OK;
    HR_TRY(hr__time_parse(n.text->text, type, &value, &rest, err));
    if (rest) {
        *decided = *op == HR_COMPARE_EQ || *op == HR_COMPARE_NE;
        *op = *op == HR_COMPARE_LT ? HR_COMPARE_LE : *op == HR_COMPARE_GE ? HR_COMPARE_GT : *op;
    }
    return hr__graph_int(g, value, node, err);
}

static hr_status compare_times(hr_graph *g, const hr_function *f, int32_t *a, hr_compare op,
                               int32_t *out, hr_error *err)
{
    const hr_node x = *hr__graph_node(g, a[0]), y = *hr__graph_node(g, a[1]);
    bool decided = false;
    if (x.cls == HR_CLASS_TIME && y.cls == HR_CLASS_TIME) {
        HR_TRY(hr__graph_unify(g, f->name, TIMES, a, 2, err));
    } else if (x.cls != HR_CLASS_TIME) { // the time first
        int32_t swap = a[0];
        a[0] = a[1];
        a[1] = swap;
        op = mirrored(op);
    }
    const hr_node other = *hr__graph_node(g, a[1]);
    if (other.cls != HR_CLASS_TIME && other.op != HR_NODE_TEXT &&
        !(other.cls == HR_CLASS_NUMBER && other.num < HR_NUM_INT_COUNT))
        return hr__graph_refuse(g, f->name, a, 2, err);
    hr_type type = hr__graph_node(g, a[0])->type;
    HR_TRY(time_operand(g, &type, &a[1], &op, &decided, err));
    HR_TRY(time_operand(g, &type, &a[0], &op, &decided, err));
    if (decided) { // never equal: the answer is the same wherever there is a value
        int32_t same[2] = {a[0], a[0]};
        return compare_equal_types(g, op == HR_COMPARE_EQ ? HR_COMPARE_NE : HR_COMPARE_EQ, same,
                                   out, err);
    }
    HR_TRY(hr__graph_unify(g, f->name, NUMBERS, a, 2, err));
    return compare_equal_types(g, op, a, out, err);
}

static hr_status compare_bools(hr_graph *g, const hr_function *f, int32_t *a, int32_t *out,
                               hr_error *err)
{
    if (f->op != HR_COMPARE_EQ && f->op != HR_COMPARE_NE)
        return hr__graph_refuse(g, f->name, a, 2, err);
    HR_TRY(hr__graph_unify(g, f->name, BOOLS, a, 2, err));
    for (int i = 0; i < 2; i++) {
        const hr_node *n = hr__graph_node(g, a[i]);
        if (!hr__node_is_literal(n))
            continue;
        bool same = (n->literal.bytes[0] & 1) == (f->op == HR_COMPARE_EQ);
        if (same) {
            *out = a[1 - i];
            return HR_OK;
        }
        return hr__graph_negate(g, a[1 - i], out, err);
    }
    return hr__graph_op(g, HR_NODE_XOR, f->op == HR_COMPARE_EQ, HR_NUM_BOOL, a, 2, out, err);
}

static bool meets_u64(const hr_node *a, const hr_node *b)
{
    return a->num == HR_NUM_U64 && !a->weak && b->num < HR_NUM_INT_COUNT &&
           hr__num_is_signed(b->num) && (!b->weak || b->literal.i < 0);
}

static hr_status bind_compare(hr_graph *g, const hr_function *f, const int32_t *args, int32_t count,
                              int32_t *out, hr_error *err)
{
    int32_t a[2] = {args[0], args[1]};
    const hr_node x = *hr__graph_node(g, a[0]), y = *hr__graph_node(g, a[1]);
    if (x.cls == HR_CLASS_OTHER || y.cls == HR_CLASS_OTHER)
        return hr__graph_refuse(g, f->name, a, 2, err);
    if (x.cls == HR_CLASS_NULL || y.cls == HR_CLASS_NULL)
        return null_bool(g, out, err);
    if (x.cls == HR_CLASS_TIME || y.cls == HR_CLASS_TIME)
        return compare_times(g, f, a, (hr_compare)f->op, out, err);
    if (x.cls == HR_CLASS_TEXT && y.cls == HR_CLASS_TEXT)
        return hr__graph_text_compare(g, f->op, a[0], a[1], out, err);
    if (x.cls == HR_CLASS_BOOL && y.cls == HR_CLASS_BOOL)
        return compare_bools(g, f, a, out, err);
    if (x.cls == HR_CLASS_NUMBER && y.cls == HR_CLASS_NUMBER &&
        (meets_u64(&x, &y) || meets_u64(&y, &x)))
        return compare_with_u64(g, f->name, (hr_compare)f->op, a, out, err);
    HR_TRY(hr__graph_unify(g, f->name, NUMBERS, a, 2, err));
    return compare_equal_types(g, (hr_compare)f->op, a, out, err);
}

const hr_function hr__functions_math[] = {
    {"+", 2, 2, HR_BIND_ADD, HR_ARITH_ADD, bind_arith},
    {"-", 1, 2, HR_BIND_ADD, HR_ARITH_SUB, bind_arith},
    {"*", 2, 2, HR_BIND_MUL, HR_ARITH_MUL, bind_arith},
    {"/", 2, 2, HR_BIND_MUL, HR_ARITH_DIV, bind_arith},
    {"//", 2, 2, HR_BIND_MUL, HR_DIVIDE_FLOOR, bind_divide},
    {"%", 2, 2, HR_BIND_MUL, HR_DIVIDE_MOD, bind_divide},
    {"**", 2, 2, HR_BIND_POW, 0, bind_power},
    {"pow", 2, 2, HR_BIND_NONE, 0, bind_power},
    {"==", 2, 2, HR_BIND_COMPARE, HR_COMPARE_EQ, bind_compare},
    {"!=", 2, 2, HR_BIND_COMPARE, HR_COMPARE_NE, bind_compare},
    {"<", 2, 2, HR_BIND_COMPARE, HR_COMPARE_LT, bind_compare},
    {"<=", 2, 2, HR_BIND_COMPARE, HR_COMPARE_LE, bind_compare},
    {">", 2, 2, HR_BIND_COMPARE, HR_COMPARE_GT, bind_compare},
    {">=", 2, 2, HR_BIND_COMPARE, HR_COMPARE_GE, bind_compare},
    {"min", 2, 2, HR_BIND_NONE, HR_ARITH_MIN, bind_arith},
    {"max", 2, 2, HR_BIND_NONE, HR_ARITH_MAX, bind_arith},
    {"clip", 3, 3, HR_BIND_NONE, 0, bind_clip},
    {"abs", 1, 1, HR_BIND_NONE, HR_UNARY_ABS, bind_unary},
    {"sign", 1, 1, HR_BIND_NONE, HR_UNARY_SIGN, bind_unary},
    {"sqrt", 1, 1, HR_BIND_NONE, HR_UNARY_SQRT, bind_unary},
    {"exp", 1, 1, HR_BIND_NONE, HR_UNARY_EXP, bind_unary},
    {"expm1", 1, 1, HR_BIND_NONE, HR_UNARY_EXPM1, bind_unary},
    {"log", 1, 1, HR_BIND_NONE, HR_UNARY_LOG, bind_unary},
    {"log1p", 1, 1, HR_BIND_NONE, HR_UNARY_LOG1P, bind_unary},
    {"log2", 1, 1, HR_BIND_NONE, HR_UNARY_LOG2, bind_unary},
    {"log10", 1, 1, HR_BIND_NONE, HR_UNARY_LOG10, bind_unary},
    {"sin", 1, 1, HR_BIND_NONE, HR_UNARY_SIN, bind_unary},
    {"cos", 1, 1, HR_BIND_NONE, HR_UNARY_COS, bind_unary},
    {"tanh", 1, 1, HR_BIND_NONE, HR_UNARY_TANH, bind_unary},
    {"floor", 1, 1, HR_BIND_NONE, HR_UNARY_FLOOR, bind_unary},
    {"ceil", 1, 1, HR_BIND_NONE, HR_UNARY_CEIL, bind_unary},
    {"round", 1, 1, HR_BIND_NONE, HR_UNARY_ROUND, bind_unary},
    {"trunc", 1, 1, HR_BIND_NONE, HR_UNARY_TRUNC, bind_unary},
    {0},
};
