// SPDX-License-Identifier: Apache-2.0
// For tests: columns from a seed, programs from text, outputs on the heap, and values read back as double, int or null.
#ifndef HR_EXPR_EXPR_SAMPLE_H
#define HR_EXPR_EXPR_SAMPLE_H

#include "base/text.h"
#include "expr/expr.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE_ROWS_MAX = 5000, SAMPLE_OFFSET = 5, SAMPLE_WORDS = 7, SAMPLE_TENSOR = 6 };

static const hr_type sample_item[] = {
    {.id = HR_TYPE_INT64}, {.id = HR_TYPE_FLOAT32}, {.id = HR_TYPE_STRING}, {.id = HR_TYPE_UINT8}};
static const hr_type sample_types[] = {
    {.id = HR_TYPE_INT8},
    {.id = HR_TYPE_INT16},
    {.id = HR_TYPE_INT32},
    {.id = HR_TYPE_INT64},
    {.id = HR_TYPE_UINT8},
    {.id = HR_TYPE_UINT16},
    {.id = HR_TYPE_UINT32},
    {.id = HR_TYPE_UINT64},
    {.id = HR_TYPE_FLOAT32},
    {.id = HR_TYPE_FLOAT64},
    {.id = HR_TYPE_FLOAT16},
    {.id = HR_TYPE_BOOL},
    {.id = HR_TYPE_STRING},
    {.id = HR_TYPE_DICTIONARY, .item = &sample_item[2]},
    {.id = HR_TYPE_DATE32},
    {.id = HR_TYPE_TIMESTAMP, .unit = HR_MICROSECOND},
    {.id = HR_TYPE_TENSOR, .item = &sample_item[0], .ndim = 2, .shape = {2, 3}},
    {.id = HR_TYPE_TENSOR, .item = &sample_item[1], .ndim = 2, .shape = {2, 3}},
    {.id = HR_TYPE_DECIMAL128, .precision = 20, .scale = 2},
    {.id = HR_TYPE_NULL},
};
// i.. are nullable, those with an n behind are not.
static const char *const sample_names[] = {"i8",  "i16", "i32", "i64", "u8",   "u16", "u32",
                                           "u64", "f32", "f64", "f16", "flag", "s",   "d",
                                           "day", "ts",  "ti",  "tf",  "dec",  "nil"};
enum { SAMPLE_TYPES = sizeof sample_types / sizeof *sample_types };

typedef struct sample {
    hr_schema *schema;
    hr_column columns[2 * SAMPLE_TYPES]; // the second half without nulls
    hr_column words;
    void *memory[4 * SAMPLE_TYPES];
    int32_t memory_count;
    int64_t rows;
} sample;

static inline uint32_t sample_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static inline void *sample_alloc(sample *s, size_t bytes)
{
    void *p = calloc(1, bytes + 64);
    if (!p)
        abort();
    s->memory[s->memory_count++] = p;
    return p;
}

// Small numbers, so that most things happen; a few are extreme.
static inline void sample_fill(void *data, const hr_type *type, int64_t count, uint64_t *seed)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t v = (int64_t)(sample_next(seed) % 21) - 10;
        bool extreme = sample_next(seed) % 16 == 0;
        switch (type->id) {
        case HR_TYPE_INT8:
        case HR_TYPE_UINT8:
            ((int8_t *)data)[i] = (int8_t)(extreme ? INT8_MIN : v);
            break;
        case HR_TYPE_INT16:
        case HR_TYPE_UINT16:
            ((int16_t *)data)[i] = (int16_t)(extreme ? INT16_MIN : v);
            break;
        case HR_TYPE_INT32:
        case HR_TYPE_UINT32:
        case HR_TYPE_DATE32:
            ((int32_t *)data)[i] = (int32_t)(extreme ? INT32_MIN : v);
            break;
        case HR_TYPE_FLOAT32:
            ((float *)data)[i] = extreme ? NAN : (float)v / 4;
            break;
        case HR_TYPE_FLOAT64:
            ((double *)data)[i] = extreme ? NAN : (double)v / 4;
            break;
        case HR_TYPE_FLOAT16:
            ((uint16_t *)data)[i] = extreme ? 0x7e00 : v < 0 ? 0xc000 : 0x3e00; // NaN, -2, 1.5
            break;
        case HR_TYPE_DECIMAL128:
            ((int64_t *)data)[2 * i] = extreme ? INT64_MIN : v;
            ((int64_t *)data)[2 * i + 1] = extreme ? 1 : v >> 63;
            break;
        default:
            ((int64_t *)data)[i] = extreme ? INT64_MIN : v;
        }
    }
}

static inline void sample_make_words(sample *s)
{
    static const char words[] = "abcbananazebra2024-01-01";
    static const int32_t offsets[SAMPLE_WORDS + 2] = {0, 0, 1, 3, 9, 14, 24, 24, 24};
    s->words = (hr_column){
        .type = &sample_item[2], .rows = SAMPLE_WORDS, .offsets = offsets, .data = words};
}

static inline hr_column sample_column(sample *s, const hr_type *type, bool nulls, uint64_t *seed)
{
    int64_t rows = s->rows + SAMPLE_OFFSET;
    hr_column c = {.type = type, .rows = s->rows, .offset = SAMPLE_OFFSET, .null_count = -1};
    if (nulls || type->id == HR_TYPE_NULL) {
        uint8_t *bits = sample_alloc(s, (size_t)rows / 8 + 1);
        for (int64_t i = 0; i < rows && type->id != HR_TYPE_NULL; i++)
            bits[i / 8] |= (uint8_t)((sample_next(seed) % 4 != 0) << (i % 8));
        c.validity = bits;
    }
    if (type->id == HR_TYPE_NULL)
        return c;
    void *data = sample_alloc(s, (size_t)rows * 64);
    c.data = data;
    if (type->id == HR_TYPE_TENSOR) {
        sample_fill(data, type->item, rows * SAMPLE_TENSOR, seed);
    } else if (type->id == HR_TYPE_DICTIONARY) {
        for (int64_t i = 0; i < rows; i++) // garbage under nulls
            ((int32_t *)data)[i] = c.validity && !(c.validity[i / 8] >> (i % 8) & 1)
                                       ? -7
                                       : (int32_t)(sample_next(seed) % SAMPLE_WORDS);
        c.child = &s->words;
    } else if (type->id == HR_TYPE_STRING) {
        int32_t *offsets = sample_alloc(s, (size_t)(rows + 1) * 4), at = 0;
        for (int64_t i = 0; i < rows; i++) {
            const int32_t *o = (const int32_t *)s->words.offsets + sample_next(seed) % SAMPLE_WORDS;
            memcpy((char *)data + at, (const char *)s->words.data + o[0], (size_t)(o[1] - o[0]));
            offsets[i] = at;
            at += o[1] - o[0];
        }
        offsets[rows] = at;
        c.offsets = offsets;
    } else if (type->id == HR_TYPE_BOOL) {
        for (int64_t i = 0; i < rows / 8 + 1; i++)
            ((uint8_t *)data)[i] = (uint8_t)sample_next(seed);
    } else {
        sample_fill(data, type, rows, seed);
    }
    return c;
}

static inline void sample_init(sample *s, int64_t rows, uint64_t seed)
{
    hr_field fields[2 * SAMPLE_TYPES];
    char names[SAMPLE_TYPES][16];
    memset(s, 0, sizeof *s);
    s->rows = rows;
    sample_make_words(s);
    for (int32_t i = 0; i < 2 * SAMPLE_TYPES; i++) {
        int32_t t = i % SAMPLE_TYPES;
        snprintf(names[t], sizeof names[t], "%sn", sample_names[t]);
        fields[i].name = i < SAMPLE_TYPES ? sample_names[t] : names[t];
        fields[i].type = &sample_types[t];
        fields[i].nullable = i < SAMPLE_TYPES || sample_types[t].id == HR_TYPE_NULL;
        s->columns[i] = sample_column(s, &sample_types[t], i < SAMPLE_TYPES, &seed);
    }
    if (hr_schema_make(fields, 2 * SAMPLE_TYPES, &s->schema, NULL) != HR_OK)
        abort();
}

static inline void sample_finish(sample *s)
{
    for (int32_t i = 0; i < s->memory_count; i++)
        free(s->memory[i]);
    hr_schema_unref(&s->schema);
}

// --- outputs ---

// A slot for an output of `rows` rows and var bytes; freed by sample_slot_finish.
static inline hr_slot sample_slot(const hr_field *field, int64_t rows, int64_t var_bytes)
{
    hr_slot slot = {.type = field->type, .rows = rows, .data_bytes = var_bytes, .null_count = -1};
    size_t bytes = (size_t)(hr_type_row_bytes(field->type) * rows + rows + var_bytes) + 64;
    slot.data = malloc(bytes);
    slot.offsets = calloc((size_t)rows + 1, 8);
    slot.validity = field->nullable ? malloc((size_t)rows / 8 + 9) : NULL;
    if (!slot.data || !slot.offsets)
        abort();
    memset(slot.data, 0xa5, bytes);
    if (slot.validity)
        memset(slot.validity, 0xa5, (size_t)rows / 8 + 9);
    return slot;
}

static inline void sample_slot_finish(hr_slot *slot)
{
    free(slot->data);
    free(slot->offsets);
    free(slot->validity);
}

static inline hr_column sample_slot_column(const hr_slot *slot)
{
    return (hr_column){.type = slot->type,
                       .rows = slot->rows,
                       .null_count = -1,
                       .validity = slot->validity,
                       .offsets = slot->offsets,
                       .data = slot->data};
}

// Value `v` of a row as text: "null", "1.5", "true", a string.
static inline const char *sample_value(const hr_column *c, int64_t row, char *buffer, size_t room)
{
    hr_text text;
    hr__text_init(&text, room - 1);
    if (hr__column_is_valid(c, row) && c->type->id != HR_TYPE_NULL)
        hr__column_print_json(c, row, &text);
    else
        hr__text_add(&text, "null");
    snprintf(buffer, room, "%s", hr__text_str(&text));
    hr__text_finish(&text);
    return buffer;
}

// The program of `assignments` and a filter (either may be NULL); the outputs are the assigned names alone.
static inline hr_status sample_program(const sample *s, const char *assignments, const char *filter,
                                       hr_program **out, hr_error *err)
{
    hr_chain *chain = NULL;
    hr_assignment *list = NULL;
    int32_t count = 0;
    hr_expr *predicate = NULL;
    const char *names[64];
    hr_status status;
    HR_GO(hr__chain_open(s->schema, &chain, err));
    if (filter) {
        HR_GO(hr_expr_parse(filter, &predicate, err));
        HR_GO(hr__chain_filter(chain, predicate, err));
    }
    if (assignments)
        HR_GO(hr__assignments_parse(assignments, &list, &count, err));
    for (int32_t i = 0; i < count; i++) {
        names[i] = list[i].name;
        HR_GO(hr__chain_assign(chain, list[i].name, list[i].expr, err));
    }
    HR_GO(hr__chain_select(chain, names, count, err));
    HR_GO(hr__chain_finish(chain, out, err));
out:
    hr__assignments_free(list, count);
    hr_expr_unref(&predicate);
    hr__chain_close(&chain);
    return status;
}

#endif
