// SPDX-License-Identifier: Apache-2.0
// Types of blocks into Parquet leaves (LogicalTypes.md). A column is a chain of lists with one leaf at its end.
//
//   block                        file
//   int8, int16, uint8..uint32   INT32, INTEGER(bits, signed)         uint64: INT64, INTEGER(64, unsigned)
//   float16                      FIXED(2), FLOAT16                    bfloat16: FLOAT
//   time32[s], timestamp[s]      in milliseconds: Parquet has no seconds
//   timestamp with a time zone   isAdjustedToUTC (the zone's name is not kept)
//   duration                     INT64
//   decimal                      the shortest FIXED that holds the precision, big-endian
//   list                         optional/required group (LIST) { repeated group list { optional element } }
//   tensor                       the same with a required element, flat in row-major order; the shape goes to the
//                                file's metadata under PQ_KEY_SHAPE_PREFIX (pq_writer.c)
//   dictionary                   its values, RLE_DICTIONARY
#include "format/parquet/pq_write.h"

// Bytes that hold any decimal of `precision` digits in two's complement: ceil((precision * log2(10) + 1) / 8).
static int32_t decimal_bytes(int32_t precision)
{
    // 10^p < 2^b with b = ceil(p * 3.3219281): the fraction is log2(10) * 10^7, rounded up.
    int64_t bits = ((int64_t)precision * 33219281 + 9999999) / 10000000 + 1;
    return (int32_t)((bits + 7) / 8);
}

static void set(hr_pqw_leaf *leaf, pq_type physical, hr_pqw_form form, hr_pqw_order order,
                int32_t source_bytes, int32_t stored_bytes)
{
    leaf->physical = physical;
    leaf->form = form;
    leaf->order = order;
    leaf->source_bytes = source_bytes;
    leaf->stored_bytes = stored_bytes;
}

static hr_status unsupported(const hr_pqw_leaf *leaf, const char *why, hr_error *err)
{
    char name[128];
    return HR_FAIL(err, HR_UNSUPPORTED, "column '%s': %s cannot be written to Parquet: %s",
                   leaf->field->name, hr_type_print(leaf->field->type, name, sizeof name), why);
}

static hr_status set_number(hr_pqw_leaf *leaf, hr_error *err)
{
    const hr_pqw_order s = HR_PQW_ORDER_SIGNED, u = HR_PQW_ORDER_UNSIGNED;
    switch (leaf->type->id) {
    case HR_TYPE_INT8:
        set(leaf, PQ_TYPE_INT32, HR_PQW_WIDEN, s, 1, 4);
        break;
    case HR_TYPE_INT16:
        set(leaf, PQ_TYPE_INT32, HR_PQW_WIDEN, s, 2, 4);
        break;
    case HR_TYPE_INT32:
        set(leaf, PQ_TYPE_INT32, HR_PQW_COPY, s, 4, 4);
        break;
    case HR_TYPE_INT64:
        set(leaf, PQ_TYPE_INT64, HR_PQW_COPY, s, 8, 8);
        break;
    case HR_TYPE_UINT8:
        set(leaf, PQ_TYPE_INT32, HR_PQW_WIDEN, u, 1, 4);
        break;
    case HR_TYPE_UINT16:
        set(leaf, PQ_TYPE_INT32, HR_PQW_WIDEN, u, 2, 4);
        break;
    case HR_TYPE_UINT32:
        set(leaf, PQ_TYPE_INT32, HR_PQW_COPY, u, 4, 4);
        break;
    case HR_TYPE_UINT64:
        set(leaf, PQ_TYPE_INT64, HR_PQW_COPY, u, 8, 8);
        break;
    case HR_TYPE_FLOAT16:
        set(leaf, PQ_TYPE_FIXED_LEN_BYTE_ARRAY, HR_PQW_COPY, HR_PQW_ORDER_HALF, 2, 2);
        break;
    case HR_TYPE_BFLOAT16:
        set(leaf, PQ_TYPE_FLOAT, HR_PQW_BF16, HR_PQW_ORDER_FLOAT, 2, 4);
        break;
    case HR_TYPE_FLOAT32:
        set(leaf, PQ_TYPE_FLOAT, HR_PQW_COPY, HR_PQW_ORDER_FLOAT, 4, 4);
        break;
    case HR_TYPE_FLOAT64:
        set(leaf, PQ_TYPE_DOUBLE, HR_PQW_COPY, HR_PQW_ORDER_FLOAT, 8, 8);
        break;
    default:
        return unsupported(leaf, "its values are of a kind that has no place there", err);
    }
    return HR_OK;
}

static hr_status set_time(hr_pqw_leaf *leaf)
{
    const hr_pqw_order s = HR_PQW_ORDER_SIGNED;
    bool seconds = leaf->type->unit == HR_SECOND;
    switch (leaf->type->id) {
    case HR_TYPE_DATE32:
        set(leaf, PQ_TYPE_INT32, HR_PQW_COPY, s, 4, 4);
        break;
    case HR_TYPE_TIME32:
        set(leaf, PQ_TYPE_INT32, seconds ? HR_PQW_SECONDS : HR_PQW_COPY, s, 4, 4);
        break;
    case HR_TYPE_TIMESTAMP:
        set(leaf, PQ_TYPE_INT64, seconds ? HR_PQW_SECONDS : HR_PQW_COPY, s, 8, 8);
        break;
    default: // TIME64, DURATION
        set(leaf, PQ_TYPE_INT64, HR_PQW_COPY, s, 8, 8);
        break;
    }
    return HR_OK;
}

static hr_status set_leaf(hr_pqw_leaf *leaf, hr_error *err)
{
    const hr_type *type = leaf->type;
    switch (type->id) {
    case HR_TYPE_NULL:
        set(leaf, PQ_TYPE_INT32, HR_PQW_NULL, HR_PQW_ORDER_NONE, 0, 4);
        return HR_OK;
    case HR_TYPE_BOOL:
        set(leaf, PQ_TYPE_BOOLEAN, HR_PQW_BOOL, HR_PQW_ORDER_UNSIGNED, 0, 0);
        return HR_OK;
    case HR_TYPE_DATE32:
    case HR_TYPE_TIME32:
    case HR_TYPE_TIME64:
    case HR_TYPE_TIMESTAMP:
    case HR_TYPE_DURATION:
        return set_time(leaf);
    case HR_TYPE_DECIMAL128:
    case HR_TYPE_DECIMAL256:
        if (type->scale < 0 || type->scale > type->precision)
            return unsupported(leaf, "its scale is not within 0 and its precision", err);
        set(leaf, PQ_TYPE_FIXED_LEN_BYTE_ARRAY, HR_PQW_DECIMAL, HR_PQW_ORDER_DECIMAL,
            type->id == HR_TYPE_DECIMAL128 ? 16 : 32, decimal_bytes(type->precision));
        return HR_OK;
    case HR_TYPE_FIXED_BINARY:
        if (type->width_bytes <= 0)
            return unsupported(leaf, "its values have no bytes", err);
        // A bound has the full width, so that long values have none.
        set(leaf, PQ_TYPE_FIXED_LEN_BYTE_ARRAY, HR_PQW_COPY,
            type->width_bytes <= HR_PQW_STAT_BYTES_MAX ? HR_PQW_ORDER_BYTES : HR_PQW_ORDER_NONE,
            type->width_bytes, type->width_bytes);
        return HR_OK;
    case HR_TYPE_BINARY:
    case HR_TYPE_STRING:
        set(leaf, PQ_TYPE_BYTE_ARRAY, HR_PQW_TEXT, HR_PQW_ORDER_BYTES, 0, 0);
        return HR_OK;
    default:
        return set_number(leaf, err);
    }
}

hr_status hr__pqw_leaf_init(hr_pqw_leaf *leaf, const hr_field *field, hr_error *err)
{
    const hr_type *type = field->type;
    *leaf = (hr_pqw_leaf){.field = field};
    bool optional = field->nullable;
    while (type->id == HR_TYPE_LIST || type->id == HR_TYPE_TENSOR) {
        if (leaf->nest++ == HR_PQW_NEST_MAX)
            return unsupported(leaf, "more than 8 lists within lists", err);
        leaf->max_rep++;
        leaf->max_def += optional + 1;
        optional = type->id == HR_TYPE_LIST;
        type = type->item;
    }
    if (type->id == HR_TYPE_DICTIONARY) {
        leaf->coded = true;
        type = type->item;
        // Readers do not look for a dictionary where the values are bits.
        leaf->dictionary = type->id != HR_TYPE_BOOL && type->id != HR_TYPE_NULL;
    }
    leaf->type = type;
    if (type->id == HR_TYPE_NULL && !optional)
        return unsupported(leaf, "it holds nothing but nulls and is not nullable", err);
    leaf->max_def += optional;
    return set_leaf(leaf, err);
}

// --- schema elements ---

typedef struct annotation {
    pq_logical logical;
    int converted; // -1: none
    int bits;
    bool flag; // signed, or adjusted to UTC
    pq_time_unit unit;
} annotation;

static annotation integer(int bits, bool is_signed, pq_converted converted)
{
    return (annotation){PQ_LOGICAL_INTEGER, converted, bits, is_signed, 0};
}

static annotation clock_of(const hr_type *type)
{
    annotation a = {PQ_LOGICAL_TIME, -1, 0, false, PQ_UNIT_NANOS};
    bool stamp = type->id == HR_TYPE_TIMESTAMP;
    if (stamp) {
        a.logical = PQ_LOGICAL_TIMESTAMP;
        a.flag = type->timezone != NULL;
    }
    if (type->unit == HR_SECOND || type->unit == HR_MILLISECOND) {
        a.unit = PQ_UNIT_MILLIS;
        a.converted = stamp ? PQ_CONVERTED_TIMESTAMP_MILLIS : PQ_CONVERTED_TIME_MILLIS;
    } else if (type->unit == HR_MICROSECOND) {
        a.unit = PQ_UNIT_MICROS;
        a.converted = stamp ? PQ_CONVERTED_TIMESTAMP_MICROS : PQ_CONVERTED_TIME_MICROS;
    }
    return a;
}

static annotation annotation_of(const hr_type *type)
{
    switch (type->id) {
    case HR_TYPE_NULL:
        return (annotation){PQ_LOGICAL_UNKNOWN, -1, 0, false, 0};
    case HR_TYPE_INT8:
        return integer(8, true, PQ_CONVERTED_INT_8);
    case HR_TYPE_INT16:
        return integer(16, true, PQ_CONVERTED_INT_16);
    case HR_TYPE_UINT8:
        return integer(8, false, PQ_CONVERTED_UINT_8);
    case HR_TYPE_UINT16:
        return integer(16, false, PQ_CONVERTED_UINT_16);
    case HR_TYPE_UINT32:
        return integer(32, false, PQ_CONVERTED_UINT_32);
    case HR_TYPE_UINT64:
        return integer(64, false, PQ_CONVERTED_UINT_64);
    case HR_TYPE_FLOAT16:
        return (annotation){PQ_LOGICAL_FLOAT16, -1, 0, false, 0};
    case HR_TYPE_DATE32:
        return (annotation){PQ_LOGICAL_DATE, PQ_CONVERTED_DATE, 0, false, 0};
    case HR_TYPE_TIME32:
    case HR_TYPE_TIME64:
    case HR_TYPE_TIMESTAMP:
        return clock_of(type);
    case HR_TYPE_DECIMAL128:
    case HR_TYPE_DECIMAL256:
        return (annotation){PQ_LOGICAL_DECIMAL, PQ_CONVERTED_DECIMAL, 0, false, 0};
    case HR_TYPE_STRING:
        return (annotation){PQ_LOGICAL_STRING, PQ_CONVERTED_UTF8, 0, false, 0};
    default:
        return (annotation){PQ_LOGICAL_NONE, -1, 0, false, 0};
    }
}

static void write_logical(hr_pqw_thrift *t, const annotation *a, const hr_type *type)
{
    hr__pqw_field_struct(t, PQ_ELEMENT_LOGICAL_TYPE);
    hr__pqw_field_struct(t, (int16_t)a->logical);
    switch (a->logical) {
    case PQ_LOGICAL_INTEGER:
        hr__pqw_field_i8(t, PQ_INT_BIT_WIDTH, (int8_t)a->bits);
        hr__pqw_field_bool(t, PQ_INT_IS_SIGNED, a->flag);
        break;
    case PQ_LOGICAL_DECIMAL:
        hr__pqw_field_i32(t, PQ_DECIMAL_SCALE, type->scale);
        hr__pqw_field_i32(t, PQ_DECIMAL_PRECISION, type->precision);
        break;
    case PQ_LOGICAL_TIME:
    case PQ_LOGICAL_TIMESTAMP:
        hr__pqw_field_bool(t, PQ_TIME_IS_ADJUSTED_TO_UTC, a->flag);
        hr__pqw_field_struct(t, PQ_TIME_UNIT);
        hr__pqw_field_empty(t, (int16_t)a->unit);
        hr__pqw_struct_end(t);
        break;
    default: // a name is all they have
        break;
    }
    hr__pqw_struct_end(t);
    hr__pqw_struct_end(t);
}

static void write_leaf(hr_pqw_thrift *t, const hr_pqw_leaf *leaf, const char *name, bool optional)
{
    const hr_type *type = leaf->type;
    annotation a = annotation_of(type);
    hr__pqw_struct_begin(t);
    hr__pqw_field_i32(t, PQ_ELEMENT_TYPE, leaf->physical);
    if (leaf->physical == PQ_TYPE_FIXED_LEN_BYTE_ARRAY)
        hr__pqw_field_i32(t, PQ_ELEMENT_TYPE_LENGTH, leaf->stored_bytes);
    hr__pqw_field_i32(t, PQ_ELEMENT_REPETITION_TYPE, optional ? PQ_OPTIONAL : PQ_REQUIRED);
    hr__pqw_field_binary(t, PQ_ELEMENT_NAME, name, strlen(name));
    if (a.converted >= 0)
        hr__pqw_field_i32(t, PQ_ELEMENT_CONVERTED_TYPE, a.converted);
    if (a.logical == PQ_LOGICAL_DECIMAL) {
        hr__pqw_field_i32(t, PQ_ELEMENT_SCALE, type->scale);
        hr__pqw_field_i32(t, PQ_ELEMENT_PRECISION, type->precision);
    }
    if (a.logical != PQ_LOGICAL_NONE)
        write_logical(t, &a, type);
    hr__pqw_struct_end(t);
}

static void write_group(hr_pqw_thrift *t, const char *name, pq_repetition repetition, bool list)
{
    hr__pqw_struct_begin(t);
    hr__pqw_field_i32(t, PQ_ELEMENT_REPETITION_TYPE, repetition);
    hr__pqw_field_binary(t, PQ_ELEMENT_NAME, name, strlen(name));
    hr__pqw_field_i32(t, PQ_ELEMENT_NUM_CHILDREN, 1);
    if (list) {
        hr__pqw_field_i32(t, PQ_ELEMENT_CONVERTED_TYPE, PQ_CONVERTED_LIST);
        hr__pqw_field_struct(t, PQ_ELEMENT_LOGICAL_TYPE);
        hr__pqw_field_empty(t, PQ_LOGICAL_LIST);
        hr__pqw_struct_end(t);
    }
    hr__pqw_struct_end(t);
}

int32_t hr__pqw_element_count(const hr_pqw_leaf *leaf)
{
    return 2 * leaf->nest + 1;
}

void hr__pqw_write_elements(hr_pqw_thrift *t, const hr_pqw_leaf *leaf)
{
    const hr_type *type = leaf->field->type;
    const char *name = leaf->field->name;
    bool optional = leaf->field->nullable;
    for (int32_t i = 0; i < leaf->nest; i++) {
        write_group(t, name, optional ? PQ_OPTIONAL : PQ_REQUIRED, true);
        write_group(t, "list", PQ_REPEATED, false);
        optional = type->id == HR_TYPE_LIST;
        name = "element";
        type = type->item;
    }
    write_leaf(t, leaf, name, optional);
}

void hr__pqw_write_path(hr_pqw_thrift *t, int16_t id, const hr_pqw_leaf *leaf)
{
    hr__pqw_field_list(t, id, PQ_WIRE_BINARY, (size_t)hr__pqw_element_count(leaf));
    hr__pqw_item_binary(t, leaf->field->name, strlen(leaf->field->name));
    for (int32_t i = 0; i < leaf->nest; i++) {
        hr__pqw_item_binary(t, "list", 4);
        hr__pqw_item_binary(t, "element", 7);
    }
}
