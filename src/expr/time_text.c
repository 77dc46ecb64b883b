// SPDX-License-Identifier: Apache-2.0
// ISO 8601 text to the integers that dates, times and timestamps are stored as.
//
//     2024-01-31   2024-01-31T10:20   2024-01-31 10:20:30.123456789Z   ...+02:00      for dates and timestamps
//     10:20   10:20:30.5                                                               for times
//
// Days come from the civil calendar by days_from_civil (http://howardhinnant.github.io/date_algorithms.html).
// A text finer than the unit is not an error here: the caller gets the floor and that something is left.
#include "expr/expr_graph.h"

#include <string.h>

typedef struct clock_text {
    const char *at;
    bool failed;
} clock_text;

static int64_t digits(clock_text *c, int count, int64_t most)
{
    int64_t value = 0;
    for (int i = 0; i < count && !c->failed; i++) {
        c->failed = *c->at < '0' || *c->at > '9';
        if (!c->failed)
            value = value * 10 + (*c->at++ - '0');
    }
    c->failed |= value > most;
    return value;
}

static bool take_char(clock_text *c, char wanted)
{
    bool found = !c->failed && *c->at == wanted;
    c->at += found;
    return found;
}

static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int64_t parse_date(clock_text *c)
{
    static const int8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t y = digits(c, 4, 9999);
    c->failed |= !take_char(c, '-');
    int64_t m = digits(c, 2, 12);
    c->failed |= !take_char(c, '-');
    int64_t d = digits(c, 2, 31);
    if (c->failed || m < 1 || d < 1) {
        c->failed = true;
        return 0;
    }
    bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    c->failed = d > month_days[m - 1] + (m == 2 && leap);
    return days_from_civil(y, m, d);
}

// Seconds of the day; nanoseconds apart.
static int64_t parse_clock(clock_text *c, int64_t *nanoseconds)
{
    int64_t seconds = digits(c, 2, 23) * 3600;
    *nanoseconds = 0;
    c->failed |= !take_char(c, ':');
    seconds += digits(c, 2, 59) * 60;
    if (!take_char(c, ':'))
        return seconds;
    seconds += digits(c, 2, 59);
    if (!take_char(c, '.'))
        return seconds;
    int64_t scale = 100000000, count = 0;
    for (; *c->at >= '0' && *c->at <= '9' && count < 9; count++, scale /= 10)
        *nanoseconds += (*c->at++ - '0') * scale;
    c->failed |= count == 0;
    return seconds;
}

// Z, +hh:mm or nothing; minutes to take away.
static int64_t parse_zone(clock_text *c, bool *given)
{
    bool plus, minus;
    *given = true;
    if (take_char(c, 'Z'))
        return 0;
    plus = take_char(c, '+');
    minus = !plus && take_char(c, '-');
    *given = plus || minus;
    if (!*given)
        return 0;
    int64_t minutes = digits(c, 2, 23) * 60;
    c->failed |= !take_char(c, ':');
    minutes += digits(c, 2, 59);
    return minus ? -minutes : minutes;
}

static hr_status wrong(const char *text, const hr_type *type, hr_error *err)
{
    char name[64];
    bool clock = type->id == HR_TYPE_TIME32 || type->id == HR_TYPE_TIME64;
    return HR_FAIL(err, HR_INVALID, "'%.60s' is no %s: write it as %s", text,
                   hr_type_print(type, name, sizeof name),
                   clock ? "'10:20:30.5'" : "'2024-01-31' or '2024-01-31T10:20:30.5'");
}

hr_status hr__time_parse(const char *text, const hr_type *type, int64_t *value_out, bool *rest_out,
                         hr_error *err)
{
    static const int64_t per_second[] = {1, 1000, 1000000, 1000000000};
    clock_text c = {text, false};
    int64_t seconds = 0, nanoseconds = 0, value;
    bool zone = false, clock = type->id == HR_TYPE_TIME32 || type->id == HR_TYPE_TIME64;
    if (type->id == HR_TYPE_DURATION)
        return HR_FAIL(err, HR_INVALID, "'%.60s': a duration compares with an integer of its unit",
                       text);
    if (clock) {
        seconds = parse_clock(&c, &nanoseconds);
    } else {
        seconds = parse_date(&c) * 86400;
        if (take_char(&c, 'T') || take_char(&c, ' ')) {
            seconds += parse_clock(&c, &nanoseconds);
            seconds -= parse_zone(&c, &zone) * 60;
        }
    }
    if (c.failed || *c.at || (zone && !type->timezone))
        return wrong(text, type, err);
    if (type->id == HR_TYPE_DATE32) {
        value = seconds / 86400 - (seconds % 86400 < 0);
        *rest_out = seconds != value * 86400 || nanoseconds;
    } else {
        int64_t unit = 1000000000 / per_second[type->unit];
        if (HR_MUL_OVERFLOWS(seconds, per_second[type->unit], &value) ||
            HR_ADD_OVERFLOWS(value, nanoseconds / unit, &value))
            return HR_FAIL(err, HR_INVALID, "'%.60s' does not fit in 64 bits of its unit", text);
        *rest_out = nanoseconds % unit != 0;
    }
    *value_out = value;
    return HR_OK;
}
