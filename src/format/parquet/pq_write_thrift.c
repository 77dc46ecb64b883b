// SPDX-License-Identifier: Apache-2.0
// The Thrift compact protocol, outwards (apache/thrift, doc/specs/thrift-compact-protocol.md).
//
// A struct is a run of fields and a zero byte. A field's header holds its wire type and the difference of its id to
// the last one; a bool's value is in that type. Integers are zigzag varints, binaries have their length in front,
// a list has its item type and count in one byte or, from 15 items on, the count behind it.
#include "format/parquet/pq_write.h"

hr_status hr__pqw_put(hr_pqw_bytes *out, const void *bytes, size_t count, hr_error *err)
{
    if (count == 0)
        return HR_OK;
    HR_TRY(HR_VEC_RESERVE(out, count, err));
    memcpy(out->items + out->count, bytes, count);
    out->count += count;
    return HR_OK;
}

hr_status hr__pqw_varint(hr_pqw_bytes *out, uint64_t value, hr_error *err)
{
    uint8_t bytes[10];
    size_t count = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[count++] = (uint8_t)(value | 0x80);
    bytes[count++] = (uint8_t)value;
    return hr__pqw_put(out, bytes, count, err);
}

hr_pqw_thrift hr__pqw_thrift(hr_pqw_bytes *out, hr_error *err)
{
    return (hr_pqw_thrift){.out = out, .err = err, .status = HR_OK, .depth = -1};
}

void hr__pqw_raw(hr_pqw_thrift *t, const void *bytes, size_t count)
{
    if (t->status == HR_OK)
        t->status = hr__pqw_put(t->out, bytes, count, t->err);
}

static void byte(hr_pqw_thrift *t, uint8_t value)
{
    hr__pqw_raw(t, &value, 1);
}

static void varint(hr_pqw_thrift *t, uint64_t value)
{
    if (t->status == HR_OK)
        t->status = hr__pqw_varint(t->out, value, t->err);
}

static void zigzag(hr_pqw_thrift *t, int64_t value)
{
    varint(t, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

static void header(hr_pqw_thrift *t, int16_t id, pq_wire wire)
{
    HR_ASSERT(t->depth >= 0);
    int delta = id - t->last_id[t->depth];
    if (delta > 0 && delta <= 15) {
        byte(t, (uint8_t)(delta << 4 | wire));
    } else {
        byte(t, (uint8_t)wire);
        zigzag(t, id);
    }
    t->last_id[t->depth] = id;
}

void hr__pqw_struct_begin(hr_pqw_thrift *t)
{
    t->depth++;
    HR_ASSERT(t->depth < (int)HR_COUNTOF(t->last_id));
    t->last_id[t->depth] = 0;
}

void hr__pqw_struct_end(hr_pqw_thrift *t)
{
    byte(t, PQ_WIRE_STOP);
    t->depth--;
}

void hr__pqw_field_bool(hr_pqw_thrift *t, int16_t id, bool value)
{
    header(t, id, value ? PQ_WIRE_TRUE : PQ_WIRE_FALSE);
}

void hr__pqw_field_i8(hr_pqw_thrift *t, int16_t id, int8_t value)
{
    header(t, id, PQ_WIRE_BYTE);
    byte(t, (uint8_t)value);
}

void hr__pqw_field_i32(hr_pqw_thrift *t, int16_t id, int32_t value)
{
    header(t, id, PQ_WIRE_I32);
    zigzag(t, value);
}

void hr__pqw_field_i64(hr_pqw_thrift *t, int16_t id, int64_t value)
{
    header(t, id, PQ_WIRE_I64);
    zigzag(t, value);
}

void hr__pqw_field_binary(hr_pqw_thrift *t, int16_t id, const void *bytes, size_t count)
{
    header(t, id, PQ_WIRE_BINARY);
    hr__pqw_item_binary(t, bytes, count);
}

void hr__pqw_field_struct(hr_pqw_thrift *t, int16_t id)
{
    header(t, id, PQ_WIRE_STRUCT);
    hr__pqw_struct_begin(t);
}

void hr__pqw_field_empty(hr_pqw_thrift *t, int16_t id)
{
    hr__pqw_field_struct(t, id);
    hr__pqw_struct_end(t);
}

void hr__pqw_field_list(hr_pqw_thrift *t, int16_t id, pq_wire item, size_t count)
{
    header(t, id, PQ_WIRE_LIST);
    if (count < 15) {
        byte(t, (uint8_t)(count << 4 | item));
    } else {
        byte(t, (uint8_t)(0xf0 | item));
        varint(t, count);
    }
}

void hr__pqw_item_i32(hr_pqw_thrift *t, int32_t value)
{
    zigzag(t, value);
}

void hr__pqw_item_binary(hr_pqw_thrift *t, const void *bytes, size_t count)
{
    varint(t, count);
    hr__pqw_raw(t, bytes, count);
}
