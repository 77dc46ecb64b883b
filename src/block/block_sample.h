// SPDX-License-Identifier: Apache-2.0
// For tests: a block with a column of every shape, filled from a seed, and blocks compared by what they print.
#ifndef HR_BLOCK_SAMPLE_H
#define HR_BLOCK_SAMPLE_H

#include "base/text.h"
#include "block/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE_COLUMNS = 20, SAMPLE_ENTRIES = 5 };

static inline uint32_t sample_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static inline hr_status sample_schema(hr_schema **out, hr_error *err)
{
    static const hr_type f32 = {.id = HR_TYPE_FLOAT32}, i64 = {.id = HR_TYPE_INT64};
    static const hr_type u8 = {.id = HR_TYPE_UINT8}, str = {.id = HR_TYPE_STRING};
    static const hr_type boolean = {.id = HR_TYPE_BOOL}, bf16 = {.id = HR_TYPE_BFLOAT16};
    static const hr_type i32 = {.id = HR_TYPE_INT32}, f64 = {.id = HR_TYPE_FLOAT64};
    static const hr_type f16 = {.id = HR_TYPE_FLOAT16}, nothing = {.id = HR_TYPE_NULL};
    static const hr_type big = {.id = HR_TYPE_STRING, .large = true};
    static const hr_type list_f32 = {.id = HR_TYPE_LIST, .item = &f32};
    static const hr_type list_str = {.id = HR_TYPE_LIST, .item = &str, .large = true};
    static const hr_type list_i64 = {.id = HR_TYPE_LIST, .item = &i64};
    static const hr_type lists = {.id = HR_TYPE_LIST, .item = &list_i64};
    static const hr_type list_bool = {.id = HR_TYPE_LIST, .item = &boolean};
    static const hr_type tensor = {.id = HR_TYPE_TENSOR, .item = &u8, .ndim = 2, .shape = {2, 3}};
    static const hr_type tensor_bf = {.id = HR_TYPE_TENSOR, .item = &bf16, .ndim = 1, .shape = {2}};
    static const hr_type dict = {.id = HR_TYPE_DICTIONARY, .item = &str};
    static const hr_type list_dict = {.id = HR_TYPE_LIST, .item = &dict};
    static const hr_type list_tensor = {.id = HR_TYPE_LIST, .item = &tensor};
    static const hr_type price = {.id = HR_TYPE_DECIMAL128, .precision = 10, .scale = 2};
    static const hr_type when = {
        .id = HR_TYPE_TIMESTAMP, .unit = HR_MICROSECOND, .timezone = "UTC"};
    static const hr_type uuid = {.id = HR_TYPE_FIXED_BINARY, .width_bytes = 3};
    static const hr_field fields[SAMPLE_COLUMNS] = {
        {"i32", &i32, false},         {"f64", &f64, true},         {"flag", &boolean, true},
        {"name", &str, true},         {"big", &big, false},        {"vec", &list_f32, true},
        {"tags", &list_str, false},   {"img", &tensor, true},      {"cat", &dict, true},
        {"deep", &lists, true},       {"nothing", &nothing, true}, {"price", &price, true},
        {"when", &when, false},       {"bf", &bf16, true},         {"labels", &list_dict, true},
        {"half", &f16, false},        {"uuid", &uuid, true},       {"flags", &list_bool, true},
        {"imgs", &list_tensor, true}, {"pair", &tensor_bf, false},
    };
    return hr_schema_make(fields, SAMPLE_COLUMNS, out, err);
}

// A list's rows have 0 to 3 items, a string's 0 to 7 bytes.
static inline void sample_offsets(hr_slot *slot, int64_t rows, uint64_t *state, uint32_t most)
{
    int64_t at = 0;
    for (int64_t i = 0; i < rows; i++) {
        bool valid = !slot->validity || (slot->validity[i / 8] >> (i % 8) & 1);
        at += valid ? sample_random(state) % (most + 1) : 0;
        if (slot->type->large)
            ((int64_t *)slot->offsets)[i + 1] = at;
        else
            ((int32_t *)slot->offsets)[i + 1] = (int32_t)at;
    }
}

static inline int64_t sample_slot_end(const hr_slot *slot, int64_t rows)
{
    return slot->type->large ? ((int64_t *)slot->offsets)[rows] : ((int32_t *)slot->offsets)[rows];
}

static inline void sample_fill(hr_slot *slot, int64_t rows, uint64_t *state)
{
    while (slot) {
        int64_t nulls = 0;
        for (int64_t i = 0; slot->validity && i < rows; i++) {
            bool valid = sample_random(state) % 4 != 0;
            nulls += !valid;
            slot->validity[i / 8] =
                (uint8_t)((slot->validity[i / 8] & ~(1u << (i % 8))) | (unsigned)valid << (i % 8));
        }
        slot->null_count = nulls;
        if (slot->type->id == HR_TYPE_STRING) {
            sample_offsets(slot, rows, state, 7);
            for (int64_t i = 0; i < sample_slot_end(slot, rows); i++)
                ((char *)slot->data)[i] = (char)('a' + sample_random(state) % 26);
        } else if (slot->type->id == HR_TYPE_LIST) {
            sample_offsets(slot, rows, state, 3);
            slot->child->written = sample_slot_end(slot, rows);
        } else if (slot->type->id == HR_TYPE_DICTIONARY) {
            for (int64_t i = 0; i < rows; i++)
                ((int32_t *)slot->data)[i] = (int32_t)(sample_random(state) % SAMPLE_ENTRIES);
            slot->child->written = SAMPLE_ENTRIES;
        } else if (slot->type->id == HR_TYPE_BOOL) {
            for (int64_t i = 0; i < (rows + 7) / 8; i++)
                ((uint8_t *)slot->data)[i] = (uint8_t)sample_random(state);
        } else if (slot->data) {
            // Odd bytes small, so that floats are finite and times have four-digit years.
            for (int64_t i = 0; i < rows * hr_type_row_bytes(slot->type); i++)
                ((uint8_t *)slot->data)[i] =
                    (uint8_t)(i % 8 == 7 ? 0 : sample_random(state) & 0x3b);
        }
        slot = slot->child;
        rows = slot ? slot->written : 0;
    }
}

// A builder over memory of its own.
static inline hr_status sample_build(hr_layout *layout, hr_builder *builder, void **memory,
                                     hr_error *err)
{
    HR_TRY(hr__alloc_aligned(layout->span_bytes, HR_ALIGN, memory, err));
    memset(*memory, 0xa5, layout->span_bytes); // what is not written shows
    return hr__builder_init(builder, layout, *memory, err);
}

// Seals what was filled, and checks all of it. The block takes the memory.
static inline hr_status sample_seal(hr_layout *layout, hr_builder *builder, void **memory,
                                    const hr_schema *schema, int64_t rows, hr_block **out,
                                    hr_error *err)
{
    hr__builder_seal(builder, rows);
    HR_TRY(hr__block_open(*memory, layout->span_bytes, schema, HR_VALIDATE_FULL, hr__free, *memory,
                          out, err));
    *memory = NULL;
    return HR_OK;
}

static inline void sample_release(hr_layout *layout, hr_builder *builder, void *memory)
{
    hr__free(memory);
    hr__builder_release(builder);
    hr__layout_release(layout);
}

static inline hr_status sample_block(int64_t rows, uint64_t seed, hr_block **out, hr_error *err)
{
    hr_schema *schema = NULL;
    hr_layout layout = {0};
    hr_builder builder = {0};
    void *memory = NULL;
    hr_status status;
    HR_GO(sample_schema(&schema, err));
    HR_GO(hr__layout_init(&layout, schema, rows, err));
    for (int32_t i = 0; i < layout.column_count; i++) {
        int64_t most = rows;
        for (int32_t n = i; n >= 0; n = layout.nodes[n].child) {
            hr_layout_node *node = &layout.nodes[n];
            node->rows = most;
            node->data_bytes = most * 7;
            if (n != i && (i == 6 || i == 14)) // nullable items, nullable codes
                node->has_validity = node->type->id != HR_TYPE_STRING || i == 6;
            most = node->type->id == HR_TYPE_DICTIONARY ? SAMPLE_ENTRIES : most * 3;
        }
    }
    HR_GO(hr__layout_finish(&layout, err));
    HR_GO(sample_build(&layout, &builder, &memory, err));
    for (int32_t i = 0; i < layout.column_count; i++)
        sample_fill(&builder.slots[i], rows, &seed);
    HR_GO(sample_seal(&layout, &builder, &memory, schema, rows, out, err));
out:
    sample_release(&layout, &builder, memory);
    hr_schema_unref(&schema);
    return status;
}

// The whole row as text, without the columns whose bit is in `skip`; the caller frees it with hr__free.
static inline char *sample_row(const hr_block *block, int64_t row, uint32_t skip)
{
    hr_text text;
    char *out = NULL;
    hr__text_init(&text, 1 << 20);
    for (int32_t i = 0; i < block->column_count; i++) {
        hr__text_char(&text, ' ');
        if (!(skip >> i & 1))
            hr__column_print_json(hr_block_column(block, i), row, &text);
    }
    if (hr__text_take(&text, &out, NULL))
        abort();
    hr__text_finish(&text);
    return out;
}

static inline bool sample_rows_match(const hr_block *a, int64_t row_a, const hr_block *b,
                                     int64_t row_b, uint32_t skip)
{
    char *x = sample_row(a, row_a, skip), *y = sample_row(b, row_b, skip);
    bool equal = strcmp(x, y) == 0;
    if (!equal)
        fprintf(stderr, "row %lld: %s\nrow %lld: %s\n", (long long)row_a, x, (long long)row_b, y);
    hr__free(x);
    hr__free(y);
    return equal;
}

static inline bool sample_rows_equal(const hr_block *a, int64_t row_a, const hr_block *b,
                                     int64_t row_b)
{
    return sample_rows_match(a, row_a, b, row_b, 0);
}

#endif
