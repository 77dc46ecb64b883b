// SPDX-License-Identifier: Apache-2.0
// Thrift's compact protocol, the parts that Parquet uses, over a bounded cursor.
//
// A struct is fields until a zero byte: {delta of id << 4 | type} (delta 0: a zigzag id follows), then the value. The
// field's type is always compared with the one that the caller expects: a footer that disagrees with the format is
// refused, not misread. Unknown fields are skipped with a stack of our own, since their depth is the file's choice.
#include "format/parquet/pq.h"

pq_thrift hr__thrift(const void *bytes, size_t count)
{
    return (pq_thrift){hr__cursor(bytes, count), NULL};
}

bool hr__thrift_failed(const pq_thrift *t)
{
    return t->cursor.failed;
}

bool hr__thrift_truncated(const pq_thrift *t)
{
    return t->cursor.failed && !t->what;
}

void hr__thrift_fail(pq_thrift *t, const char *what)
{
    if (!t->cursor.failed)
        t->what = what;
    t->cursor.failed = true;
}

// A varint that is too long is wrong, one that runs into the end may only be cut.
static uint64_t varint(pq_thrift *t)
{
    bool whole = hr__cursor_left(&t->cursor) >= 10;
    if (t->cursor.failed)
        return 0;
    uint64_t value = hr__cursor_varint(&t->cursor);
    if (t->cursor.failed && whole)
        t->what = "a number of more than 64 bits";
    return value;
}

static int64_t zigzag(pq_thrift *t)
{
    uint64_t v = varint(t);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

bool hr__thrift_field(pq_thrift *t, int16_t *id, pq_wire *wire)
{
    uint8_t head = hr__cursor_u8(&t->cursor);
    if (t->cursor.failed || head == PQ_WIRE_STOP)
        return false;
    if ((head & 15) > PQ_WIRE_UUID || (head & 15) == PQ_WIRE_STOP) {
        hr__thrift_fail(t, "a field of unknown type");
        return false;
    }
    int64_t next = head >> 4 ? *id + (head >> 4) : zigzag(t);
    if (next < INT16_MIN || next > INT16_MAX)
        hr__thrift_fail(t, "a field id of more than 16 bits");
    *id = (int16_t)next;
    *wire = (pq_wire)(head & 15);
    return !t->cursor.failed;
}

int32_t hr__thrift_i32(pq_thrift *t, pq_wire wire)
{
    if (wire == PQ_WIRE_BYTE)
        return (int8_t)hr__cursor_u8(&t->cursor);
    if (wire != PQ_WIRE_I32 && wire != PQ_WIRE_I16)
        hr__thrift_fail(t, "a field that should be an integer is not");
    int64_t value = zigzag(t);
    if (value < INT32_MIN || value > INT32_MAX)
        hr__thrift_fail(t, "an integer of more than 32 bits");
    return t->cursor.failed ? 0 : (int32_t)value;
}

int64_t hr__thrift_i64(pq_thrift *t, pq_wire wire)
{
    if (wire != PQ_WIRE_I64)
        hr__thrift_fail(t, "a field that should be a 64-bit integer is not");
    int64_t value = zigzag(t);
    return t->cursor.failed ? 0 : value;
}

bool hr__thrift_bool(pq_thrift *t, pq_wire wire)
{
    if (wire != PQ_WIRE_TRUE && wire != PQ_WIRE_FALSE)
        hr__thrift_fail(t, "a field that should be true or false is not");
    return wire == PQ_WIRE_TRUE && !t->cursor.failed;
}

const uint8_t *hr__thrift_binary(pq_thrift *t, pq_wire wire, uint32_t *bytes_out)
{
    *bytes_out = 0;
    if (wire != PQ_WIRE_BINARY)
        hr__thrift_fail(t, "a field that should be a string is not");
    uint64_t bytes = varint(t);
    if (bytes > INT32_MAX)
        hr__thrift_fail(t, "a string of more than 2 GiB");
    const uint8_t *data = hr__cursor_take(&t->cursor, (size_t)bytes);
    if (data)
        *bytes_out = (uint32_t)bytes;
    return data;
}

bool hr__thrift_struct(pq_thrift *t, pq_wire wire)
{
    if (wire != PQ_WIRE_STRUCT)
        hr__thrift_fail(t, "a field that should be a struct is not");
    return !t->cursor.failed;
}

// {count << 4 | type}, count 15: a varint follows. Every item takes at least a byte.
static uint32_t list_header(pq_thrift *t, pq_wire *item)
{
    uint8_t head = hr__cursor_u8(&t->cursor);
    uint64_t count = head >> 4;
    if (count == 15)
        count = varint(t);
    *item = (pq_wire)(head & 15);
    if (!t->cursor.failed && count > hr__cursor_left(&t->cursor)) {
        // Too many for the bytes at hand: wrong, unless more bytes are to come.
        t->cursor.failed = true;
    }
    return t->cursor.failed ? 0 : (uint32_t)count;
}

uint32_t hr__thrift_list(pq_thrift *t, pq_wire wire, pq_wire item)
{
    pq_wire found = PQ_WIRE_STOP;
    if (wire != PQ_WIRE_LIST)
        hr__thrift_fail(t, "a field that should be a list is not");
    uint32_t count = list_header(t, &found);
    bool both_bool = item <= PQ_WIRE_FALSE && found <= PQ_WIRE_FALSE;
    if (count > 0 && found != item && !both_bool)
        hr__thrift_fail(t, "a list of other items than the format has");
    return t->cursor.failed ? 0 : count;
}

typedef struct open_value {
    pq_wire item, value; // value: of a map
    uint64_t left;       // items to come; structs: unused
    bool is_struct, is_map, at_value;
    int16_t id;
} open_value;

// Skips a value without parts; opens one that has them. False: opened.
static bool skip_simple(pq_thrift *t, pq_wire wire, bool in_list, open_value *open)
{
    uint32_t bytes = 0;
    *open = (open_value){0};
    switch (wire) {
    case PQ_WIRE_TRUE:
    case PQ_WIRE_FALSE:
        if (in_list)
            hr__cursor_u8(&t->cursor);
        return true;
    case PQ_WIRE_BYTE:
        hr__cursor_u8(&t->cursor);
        return true;
    case PQ_WIRE_I16:
    case PQ_WIRE_I32:
    case PQ_WIRE_I64:
        varint(t);
        return true;
    case PQ_WIRE_DOUBLE:
        hr__cursor_take(&t->cursor, 8);
        return true;
    case PQ_WIRE_UUID:
        hr__cursor_take(&t->cursor, 16);
        return true;
    case PQ_WIRE_BINARY:
        hr__thrift_binary(t, wire, &bytes);
        return true;
    case PQ_WIRE_LIST:
    case PQ_WIRE_SET:
        open->left = list_header(t, &open->item);
        return false;
    case PQ_WIRE_MAP:
        open->is_map = true;
        open->left = varint(t);
        if (open->left > hr__cursor_left(&t->cursor))
            t->cursor.failed = true;
        if (open->left > 0) {
            uint8_t types = hr__cursor_u8(&t->cursor);
            open->item = (pq_wire)(types >> 4);
            open->value = (pq_wire)(types & 15);
        }
        return false;
    case PQ_WIRE_STRUCT:
        open->is_struct = true;
        return false;
    default:
        hr__thrift_fail(t, "a value of unknown type");
        return true;
    }
}

// The type of the next part of `top`; false: it has none left.
static bool next_part(pq_thrift *t, open_value *top, pq_wire *wire)
{
    if (top->is_struct)
        return hr__thrift_field(t, &top->id, wire);
    if (top->left == 0)
        return false;
    *wire = top->at_value ? top->value : top->item;
    if (top->is_map)
        top->at_value = !top->at_value;
    if (!top->at_value)
        top->left--;
    return true;
}

void hr__thrift_skip(pq_thrift *t, pq_wire wire)
{
    open_value stack[PQ_DEPTH_MAX];
    int depth = 0;
    if (skip_simple(t, wire, false, &stack[0]))
        return;
    while (depth >= 0 && !t->cursor.failed) {
        if (!next_part(t, &stack[depth], &wire)) {
            depth--;
            continue;
        }
        if (depth + 1 == PQ_DEPTH_MAX) {
            hr__thrift_fail(t, "structs nested deeper than 64");
            return;
        }
        if (!skip_simple(t, wire, !stack[depth].is_struct, &stack[depth + 1]))
            depth++;
    }
}
