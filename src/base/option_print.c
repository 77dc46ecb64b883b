// SPDX-License-Identifier: Apache-2.0
// Option rows as a reference: what each is, what it is when left alone, what is allowed, and where it may be given. For
// people in columns; for programs as JSON with the same words.
#include "base/option.h"

#include <string.h>

#define NAME_COLUMNS   18
#define VARIABLE_BYTES 64

static const char *const types[] = {"integer", "bytes", "seconds", "bool", "text", "choice"};

static bool is_number(const hr_option_row *row)
{
    return row->type <= HR_OPTION_SECONDS;
}

static bool is_bounded(const hr_option_row *row)
{
    return is_number(row) && (row->min != 0 || row->max != 0);
}

static void print_value(const hr_option_row *row, double value, hr_text *out)
{
    char bytes[32];
    if (row->type == HR_OPTION_BYTES && value >= 0 && value < 9e18)
        hr__text_add(out, "%s", hr__format_bytes((uint64_t)value, bytes));
    else
        hr__text_double(out, value);
}

static void print_choices(const hr_option_row *row, hr_text *out)
{
    for (int i = 0; row->choices && row->choices[i]; i++)
        hr__text_add(out, "%s%s", i ? ", " : "", row->choices[i]);
}

static void print_row(const hr_option_table *table, const hr_option_row *row, hr_text *out)
{
    char variable[VARIABLE_BYTES];
    hr__text_add(out, "  %-*s %s", NAME_COLUMNS, row->name, types[row->type]);
    if (is_bounded(row)) {
        hr__text_add(out, ", ");
        print_value(row, row->min, out);
        hr__text_add(out, " to ");
        print_value(row, row->max, out);
    }
    if (row->type == HR_OPTION_CHOICE) {
        hr__text_add(out, ", one of ");
        print_choices(row, out);
    }
    if (is_number(row) && row->default_value != 0) {
        hr__text_add(out, ", default ");
        print_value(row, row->default_value, out);
    }
    hr__text_add(out, ": %s\n", row->help);
    if (table->call_only && !row->flag && !row->keyword)
        return;
    hr__text_add(out, "  %-*s also", NAME_COLUMNS, "");
    if (!table->call_only)
        hr__text_add(out, " %s", hr__option_variable(row->name, variable, sizeof variable));
    if (row->flag)
        hr__text_add(out, "%s %s", table->call_only ? "" : ",", row->flag);
    if (row->keyword)
        hr__text_add(out, "%s in Python %s=", table->call_only && !row->flag ? "" : ",",
                     row->keyword);
    hr__text_char(out, '\n');
}

void hr__options_print(const hr_option_table *table, hr_text *out)
{
    hr__text_add(out, "%s: %s", table->name, table->struct_name);
    if (table->python)
        hr__text_add(out, ", in Python %s", table->python);
    hr__text_char(out, '\n');
    for (size_t i = 0; i < table->row_count; i++)
        print_row(table, &table->rows[i], out);
}

// "name": "text", or null.
static void json_text(hr_text *out, const char *name, const char *text)
{
    hr__text_add(out, ", \"%s\": ", name);
    if (text)
        hr__text_json(out, text, strlen(text));
    else
        hr__text_add(out, "null");
}

static void json_number(hr_text *out, const char *name, bool there, double value)
{
    hr__text_add(out, ", \"%s\": ", name);
    if (there)
        hr__text_double(out, value);
    else
        hr__text_add(out, "null");
}

static void json_row(const hr_option_table *table, const hr_option_row *row, hr_text *out)
{
    char variable[VARIABLE_BYTES];
    hr__text_add(out, "{\"name\": ");
    hr__text_json(out, row->name, strlen(row->name));
    json_text(out, "type", types[row->type]);
    if (row->type == HR_OPTION_CHOICE) {
        json_text(out, "default", row->choices[0]);
        hr__text_add(out, ", \"choices\": [");
        for (int i = 0; row->choices[i]; i++)
            hr__text_add(out, "%s\"%s\"", i ? ", " : "", row->choices[i]);
        hr__text_char(out, ']');
    } else if (row->type == HR_OPTION_BOOL) {
        hr__text_add(out, ", \"default\": false");
    } else {
        json_number(out, "default", is_number(row), row->default_value);
    }
    json_number(out, "min", is_bounded(row), row->min);
    json_number(out, "max", is_bounded(row), row->max);
    json_text(out, "help", row->help);
    json_text(out, "environment",
              table->call_only ? NULL : hr__option_variable(row->name, variable, sizeof variable));
    json_text(out, "flag", row->flag);
    json_text(out, "keyword", row->keyword);
    hr__text_char(out, '}');
}

void hr__options_print_json(const hr_option_table *table, hr_text *out)
{
    hr__text_add(out, "{\"name\": \"%s\", \"struct\": \"%s\"", table->name, table->struct_name);
    json_text(out, "python", table->python);
    hr__text_add(out, ", \"options\": [");
    for (size_t i = 0; i < table->row_count; i++) {
        hr__text_add(out, "%s", i ? ", " : "");
        json_row(table, &table->rows[i], out);
    }
    hr__text_add(out, "]}");
}
