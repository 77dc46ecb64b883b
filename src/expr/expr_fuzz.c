// SPDX-License-Identifier: Apache-2.0
// Fuzzes the text form and everything behind it. Oracles: printing and parsing again gives the same tree; the tree
// evaluates over a block of every type, in one go and row by row, to the same values.
#include "expr/expr_sample.h"
#include "expr/expr_tree.h"

#define ROWS 70

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char printed[1 << 20];

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "expr_fuzz: %s\n", what);
    abort();
}

static void check_round_trip(const hr_expr *e)
{
    hr_expr *again = NULL;
    hr_expr_print(e, printed, sizeof printed);
    if (strlen(printed) == sizeof printed - 1)
        return; // cut
    check(hr_expr_parse(printed, &again, NULL) == HR_OK, "what was printed does not parse");
    check(hr__expr_equal(e, again), "what was printed is another tree");
    hr_expr_unref(&again);
}

static void same_row(const hr_column *a, const hr_column *b, int64_t row)
{
    char x[256], y[256];
    sample_value(a, row, x, sizeof x);
    sample_value(b, row, y, sizeof y);
    check(strcmp(x, y) == 0, "row by row gives another value");
}

static void run(hr_program *p, const sample *s)
{
    hr_eval *e = NULL;
    hr_column inputs[2 * SAMPLE_TYPES];
    check(hr__eval_open(p, &e, NULL) == HR_OK, "open");
    const hr_field *field = hr_schema_field(hr__program_schema(p), 0);
    bool computed = hr__program_passthrough(p, 0) < 0;
    int64_t bytes = computed ? hr__eval_var_bytes(e, 0, s->columns, ROWS) : 0;
    if (!computed || hr_type_row_bytes(field->type) > 4096 || bytes > 1 << 20) {
        hr__eval_close(&e);
        return;
    }
    hr_slot whole = sample_slot(field, ROWS, bytes), single = sample_slot(field, ROWS, bytes);
    hr_status status = hr__eval_columns(e, s->columns, ROWS, &whole, 0, NULL);
    check(status == HR_OK, "evaluation failed");
    for (int64_t row = 0; row < ROWS; row++) {
        for (int i = 0; i < 2 * SAMPLE_TYPES; i++) {
            inputs[i] = s->columns[i];
            inputs[i].offset += row;
            inputs[i].rows = 1;
        }
        check(hr__eval_column(e, 0, inputs, 1, &single, row, NULL) == HR_OK, "one row failed");
    }
    hr_column a = sample_slot_column(&whole), b = sample_slot_column(&single);
    for (int64_t row = 0; row < ROWS; row++)
        same_row(&a, &b, row);
    sample_slot_finish(&whole);
    sample_slot_finish(&single);
    hr__eval_close(&e);
}

static void filter(const hr_expr *e, const sample *s)
{
    hr_chain *chain = NULL;
    hr_program *p = NULL;
    hr_eval *eval = NULL;
    uint32_t selected[ROWS];
    int64_t count = 0;
    check(hr__chain_open(s->schema, &chain, NULL) == HR_OK, "chain");
    if (hr__chain_filter(chain, e, NULL) == HR_OK) {
        check(hr__chain_finish(chain, &p, NULL) == HR_OK, "finish");
        check(hr__eval_open(p, &eval, NULL) == HR_OK, "open");
        check(hr__eval_filter(eval, s->columns, ROWS, selected, &count, NULL) == HR_OK, "filter");
        for (int64_t i = 0; i < count; i++)
            check(selected[i] < ROWS && (i == 0 || selected[i] > selected[i - 1]), "selection");
    }
    hr__eval_close(&eval);
    hr__program_unref(&p);
    hr__chain_close(&chain);
}

static void evaluate(const hr_expr *e, const sample *s)
{
    static const char *const name[] = {"out"};
    hr_chain *chain = NULL;
    hr_program *p = NULL;
    check(hr__chain_open(s->schema, &chain, NULL) == HR_OK, "chain");
    if (hr__chain_assign(chain, name[0], e, NULL) == HR_OK) {
        check(hr__chain_select(chain, name, 1, NULL) == HR_OK, "select");
        check(hr__chain_finish(chain, &p, NULL) == HR_OK, "finish");
        run(p, s);
    }
    hr__program_unref(&p);
    hr__chain_close(&chain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sample s;
    hr_expr *e = NULL;
    hr_assignment *list = NULL;
    int32_t count = 0;
    if (!s.schema)
        sample_init(&s, ROWS, 1);
    if (size > 1 << 14)
        return 0;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    if (hr_expr_parse(text, &e, NULL) == HR_OK) {
        check_round_trip(e);
        evaluate(e, &s);
        filter(e, &s);
    }
    if (hr__assignments_parse(text, &list, &count, NULL) == HR_OK)
        hr__assignments_free(list, count);
    hr_expr_unref(&e);
    free(text);
    return 0;
}
