// SPDX-License-Identifier: Apache-2.0
// Positions as text: what is printed is read back, and nothing else is.
#include "base/rng.h"
#include "base/unit.h"
#include "feed/feed.h"

#include <stdio.h>

static hr_position sample(void)
{
    return (hr_position){.epoch = 3,
                         .step = 41,
                         .row = 41984,
                         .seed = UINT64_MAX,
                         .plan_hash = UINT64_C(0x8123456789abcdef),
                         .shuffle = HR_SHUFFLE_WINDOW,
                         .window_rows = 16384,
                         .order_lanes = 8,
                         .unit = 2,
                         .unit_row = 5,
                         .order_row = 32768,
                         .more_units = 1};
}

static bool equal(const hr_position *a, const hr_position *b)
{
    return a->epoch == b->epoch && a->step == b->step && a->row == b->row && a->seed == b->seed &&
           a->plan_hash == b->plan_hash && a->shuffle == b->shuffle &&
           a->window_rows == b->window_rows && a->order_lanes == b->order_lanes &&
           a->unit == b->unit && a->unit_row == b->unit_row && a->order_row == b->order_row &&
           a->more_units == b->more_units;
}

static void position__comes_back_as_it_was_printed(void **state)
{
    char text[HR_POSITION_BYTES_MAX];
    hr_error err = HR_ERROR_INIT;
    hr_position p = sample(), back;
    assert_string_equal(
        hr_position_print(&p, text),
        "{\"headrace_position\": 1, \"plan\": \"8123456789abcdef\", \"seed\": "
        "\"18446744073709551615\", \"epoch\": 3, \"step\": 41, \"row\": 41984, \"shuffle\": "
        "\"window\", \"window_rows\": 16384, \"order_lanes\": 8, \"unit\": 2, \"unit_row\": 5, "
        "\"order_row\": 32768, \"more_units\": 1}");
    assert_ok(hr_position_parse(text, &back, &err), &err);
    assert_true(equal(&p, &back));
    p = (hr_position){.epoch = UINT32_MAX,
                      .step = INT64_MAX,
                      .row = INT64_MAX,
                      .seed = UINT64_MAX,
                      .plan_hash = UINT64_MAX,
                      .shuffle = HR_SHUFFLE_BLOCKS,
                      .unit = INT64_MAX,
                      .unit_row = INT64_MAX,
                      .order_row = INT64_MAX,
                      .more_units = UINT32_MAX};
    assert_true(strlen(hr_position_print(&p, text)) < HR_POSITION_BYTES_MAX);
    assert_ok(hr_position_parse(text, &back, &err), &err);
    assert_true(equal(&p, &back));
}

static void position__refuses_what_is_none(void **state)
{
    static const char *const garbage[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"headrace_position\": 2}",
        "{\"headrace_position\": 1}",
        "{\"headrace_position\": \"1\"}",
        "{\"headrace_position\": 1, \"headrace_position\": 1}",
    };
    hr_position out = {.epoch = 77};
    for (size_t i = 0; i < HR_COUNTOF(garbage); i++) {
        hr_error err = HR_ERROR_INIT;
        assert_int_equal(hr_position_parse(garbage[i], &out, &err), HR_INVALID);
        assert_message_has(&err, "position");
    }
    assert_int_equal(out.epoch, 77);
}

// A field changed, left out or added is refused in words, or is another position within the bounds.
static void position__survives_bytes_that_change(void **state)
{
    char text[HR_POSITION_BYTES_MAX];
    hr_position p = sample();
    int refused = 0;
    hr_position_print(&p, text);
    size_t bytes = strlen(text);
    for (uint64_t i = 0; i < 20000; i++) {
        char changed[HR_POSITION_BYTES_MAX];
        hr_error err = HR_ERROR_INIT;
        hr_position back;
        memcpy(changed, text, bytes + 1);
        size_t at = (size_t)hr__rng_below(1, 0, i, bytes);
        changed[at] = (char)hr__rng_below(1, 1, i, 256);
        if (i % 3 == 0)
            memmove(changed + at, changed + at + 1, bytes - at);
        if (hr_position_parse(changed, &back, &err) == HR_OK) {
            assert_true(back.order_row <= back.row && back.epoch >= 0 && back.unit >= 0);
        } else {
            refused++;
            assert_true(err.message[0] != 0);
        }
    }
    assert_true(refused > 10000);
}

static void position__refuses_numbers_out_of_bounds(void **state)
{
    static const struct {
        const char *from, *to, *word;
    } cases[] = {
        {"\"epoch\": 3", "\"epoch\": -3", "'epoch'"},
        {"\"epoch\": 3", "\"epoch\": 4294967296", "'epoch'"},
        {"\"step\": 41", "\"step\": 4.1", "'step'"},
        {"\"row\": 41984", "\"row\": 99", "'order_row'"},
        {"\"window_rows\": 16384", "\"window_rows\": 0", "'window_rows'"},
        {"\"window\"", "\"other\"", "'shuffle'"},
        {"\"18446744073709551615\"", "\"18446744073709551616\"", "'seed'"},
        {"\"18446744073709551615\"", "\"-1\"", "'seed'"},
        {"8123456789abcdef", "8123456789abcdeg", "'plan'"},
        {"\"unit\": 2", "\"unit\": 2, \"unity\": 2", "fields"},
        {"\"unit\": 2, ", "", "'unit'"},
    };
    char text[HR_POSITION_BYTES_MAX];
    hr_position p = sample(), back;
    hr_position_print(&p, text);
    for (size_t i = 0; i < HR_COUNTOF(cases); i++) {
        char changed[2 * HR_POSITION_BYTES_MAX];
        hr_error err = HR_ERROR_INIT;
        const char *at = strstr(text, cases[i].from);
        assert_non_null(at);
        int bytes = snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text,
                             cases[i].to, at + strlen(cases[i].from));
        assert_true(bytes > 0 && (size_t)bytes < sizeof changed);
        assert_int_equal(hr_position_parse(changed, &back, &err), HR_INVALID);
        assert_message_has(&err, cases[i].word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(position__comes_back_as_it_was_printed),
        cmocka_unit_test(position__refuses_what_is_none),
        cmocka_unit_test(position__survives_bytes_that_change),
        cmocka_unit_test(position__refuses_numbers_out_of_bounds),
    };
    return cmocka_run_group_tests_name("position", tests, NULL, NULL);
}
