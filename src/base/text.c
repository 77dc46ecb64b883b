// SPDX-License-Identifier: Apache-2.0
// The bounded text builder, and the units that people read and write.
//
// A text ends where its ceiling is: once cut it takes nothing more, so that a short piece after a long one cannot make
// a sentence that nobody wrote. Numbers are printed with a point whatever the program's locale says.
#include "base/text.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 64

void hr__text_init(hr_text *text, size_t bytes_max)
{
    *text = (hr_text){.bytes_max = HR_MIN(bytes_max, SIZE_MAX / 4)};
}

void hr__text_finish(hr_text *text)
{
    hr__free(text->data);
    *text = (hr_text){0};
}

void hr__text_clear(hr_text *text)
{
    text->bytes = 0;
    text->cut = text->failed = false;
    if (text->data)
        text->data[0] = 0;
}

const char *hr__text_str(const hr_text *text)
{
    return text->data ? text->data : "";
}

static void fail(hr_text *text)
{
    hr__free(text->data);
    text->data = NULL;
    text->bytes = text->capacity_bytes = 0;
    text->failed = true;
}

// Makes room for up to `more` bytes and the NUL; returns how many of them may be written.
static size_t make_room(hr_text *text, size_t more)
{
    if (text->failed || text->cut)
        return 0;
    size_t room = text->bytes_max - text->bytes;
    if (more > room) {
        text->cut = true;
        more = room;
    }
    size_t need = text->bytes + more + 1;
    if (need > text->capacity_bytes) {
        size_t grown = HR_MAX(text->capacity_bytes * 2, (size_t)FIRST_BYTES);
        grown = HR_MAX(HR_MIN(grown, text->bytes_max + 1), need);
        if (hr__realloc(&text->data, grown, NULL) != HR_OK) {
            fail(text);
            return 0;
        }
        text->capacity_bytes = grown;
    }
    return more;
}

void hr__text_put(hr_text *text, const char *bytes, size_t count)
{
    count = make_room(text, count);
    if (text->failed || !text->data)
        return;
    if (count)
        memcpy(text->data + text->bytes, bytes, count);
    text->bytes += count;
    text->data[text->bytes] = 0;
}

void hr__text_char(hr_text *text, char c)
{
    hr__text_put(text, &c, 1);
}

void hr__text_add(hr_text *text, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int wanted = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (wanted >= 0 && (size_t)wanted < sizeof small) {
        hr__text_put(text, small, (size_t)wanted);
    } else if (wanted > 0) {
        size_t room = make_room(text, (size_t)wanted);
        if (room) {
            vsnprintf(text->data + text->bytes, room + 1, format, again);
            text->bytes += room;
        }
    }
    va_end(again);
}

// The bytes of the UTF-8 character at `s`, 0 when there is none (RFC 3629: no overlong forms, no surrogates).
static size_t utf8_bytes(const unsigned char *s, size_t left)
{
    unsigned char lead = s[0];
    size_t need = lead < 0x80 ? 1 : lead >= 0xC2 && lead < 0xE0 ? 2 : (lead & 0xF0) == 0xE0 ? 3 : 0;
    if (!need && lead >= 0xF0 && lead < 0xF5)
        need = 4;
    if (!need || need > left)
        return 0;
    for (size_t i = 1; i < need; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    bool bad = (lead == 0xE0 && s[1] < 0xA0) || (lead == 0xED && s[1] > 0x9F) ||
               (lead == 0xF0 && s[1] < 0x90) || (lead == 0xF4 && s[1] > 0x8F);
    return bad ? 0 : need;
}

static void json_escape(hr_text *text, unsigned char c)
{
    static const char from[] = "\"\\\n\r\t\b\f";
    static const char to[] = "\"\\nrtbf";
    const char *found = c ? strchr(from, c) : NULL;
    if (found) {
        char pair[2] = {'\\', to[found - from]};
        hr__text_put(text, pair, 2);
    } else {
        hr__text_add(text, "\\u%04x", c);
    }
}

void hr__text_json(hr_text *text, const char *bytes, size_t count)
{
    const unsigned char *s = (const unsigned char *)bytes;
    size_t at = 0, plain = 0; // bytes[plain..at) can be copied as they are
    hr__text_char(text, '"');
    while (at < count) {
        size_t step = utf8_bytes(s + at, count - at);
        bool escape = step == 1 && (s[at] < 0x20 || s[at] == '"' || s[at] == '\\' || s[at] == 0x7F);
        if (step && !escape) {
            at += step;
            continue;
        }
        hr__text_put(text, bytes + plain, at - plain);
        if (escape)
            json_escape(text, s[at]);
        else
            hr__text_put(text, "\xEF\xBF\xBD", 3);
        plain = ++at;
    }
    if (at > plain)
        hr__text_put(text, bytes + plain, at - plain);
    hr__text_char(text, '"');
}

// Copies a number as printf wrote it, with a point for whatever the locale put in its place.
static void put_number(hr_text *text, const char *number)
{
    char out[64];
    size_t count = 0;
    bool other = false;
    for (; *number && count + 1 < sizeof out; number++) {
        bool known = (*number >= '0' && *number <= '9') || strchr("+-e.", *number);
        if (known)
            out[count++] = *number;
        else if (!other)
            out[count++] = '.';
        other = !known;
    }
    hr__text_put(text, out, count);
}

void hr__text_double(hr_text *text, double value)
{
    if (!isfinite(value)) {
        hr__text_put(text, "null", 4);
        return;
    }
    // Any number that fifteen digits can name is printed by %.15g with as few as it needs; a subnormal has fewer
    // digits in it, so the search starts at one.
    char number[64];
    int digits = fabs(value) < DBL_MIN && value != 0 ? 1 : 15;
    for (; digits <= 17; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, value);
        if (strtod(number, NULL) == value)
            break;
    }
    put_number(text, number);
}

hr_status hr__text_take(hr_text *text, char **out, hr_error *err)
{
    if (text->failed)
        return HR_FAIL(err, HR_NOMEM, "out of memory: a text of up to %zu bytes", text->bytes_max);
    if (!text->data)
        HR_TRY(hr__strdup("", &text->data, err));
    *out = text->data;
    *text = (hr_text){.bytes_max = text->bytes_max};
    return HR_OK;
}

const char *hr__format_bytes(uint64_t bytes, char buffer[32])
{
    const double kib = 1024;
    double n = (double)bytes;
    if (bytes >= UINT64_C(1) << 40)
        snprintf(buffer, 32, "%.2f TiB", n / (kib * kib * kib * kib));
    else if (bytes >= UINT64_C(1) << 30)
        snprintf(buffer, 32, "%.2f GiB", n / (kib * kib * kib));
    else if (bytes >= UINT64_C(1) << 20)
        snprintf(buffer, 32, "%.1f MiB", n / (kib * kib));
    else if (bytes >= UINT64_C(1) << 10)
        snprintf(buffer, 32, "%.0f KiB", n / kib);
    else
        snprintf(buffer, 32, "%u B", (unsigned)bytes);
    return buffer;
}

const char *hr__format_seconds(double seconds, char buffer[32])
{
    double size = fabs(seconds);
    if (!(size < 1e15))
        snprintf(buffer, 32, "?");
    else if (size >= 1)
        snprintf(buffer, 32, "%.2fs", seconds);
    else if (size >= 1e-3)
        snprintf(buffer, 32, "%.2fms", seconds * 1e3);
    else
        snprintf(buffer, 32, "%.2fus", seconds * 1e6);
    return buffer;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

// The power of two that a unit means ("", "b", "k", "kb", "kib" and so on in any case), or -1.
static int unit_shift(const char *unit)
{
    static const char letters[] = "kmgt";
    int shift = 0;
    char lower = (char)(*unit | 0x20);
    const char *found = *unit ? strchr(letters, lower) : NULL;
    if (found) {
        shift = 10 * (int)(found - letters + 1);
        unit++;
        if ((*unit == 'i' || *unit == 'I') && (unit[1] == 'b' || unit[1] == 'B'))
            unit++;
    }
    if (*unit == 'b' || *unit == 'B')
        unit++;
    while (*unit == ' ')
        unit++;
    return *unit ? -1 : shift;
}

hr_status hr__parse_bytes(const char *text, uint64_t *out, hr_error *err)
{
    const char *at = text;
    uint64_t whole = 0, part = 0, scale = 1, bytes;
    bool fits = true;
    while (*at == ' ')
        at++;
    const char *first = at;
    for (; digit(*at); at++)
        fits = fits && !HR_MUL_OVERFLOWS(whole, UINT64_C(10), &whole) &&
               !HR_ADD_OVERFLOWS(whole, (uint64_t)(*at - '0'), &whole);
    size_t digits = (size_t)(at - first);
    if (*at == '.') {
        // Fifteen digits behind the point name a single byte of a TiB; further ones change nothing.
        for (at++; digit(*at); at++, digits++) {
            if (scale < UINT64_C(1000000000000000)) {
                part = part * 10 + (uint64_t)(*at - '0');
                scale *= 10;
            }
        }
    }
    while (*at == ' ')
        at++;
    int shift = unit_shift(at);
    if (!digits || shift < 0)
        return HR_FAIL(err, HR_INVALID,
                       "'%.64s' is not a size: expected a number and B, KiB, MiB, GiB or TiB, "
                       "as in 512MiB or 1.5G",
                       text);
    uint64_t fraction = (uint64_t)((double)part / (double)scale * (double)(UINT64_C(1) << shift));
    fits = fits && !HR_MUL_OVERFLOWS(whole, UINT64_C(1) << shift, &bytes) &&
           !HR_ADD_OVERFLOWS(bytes, fraction, &bytes) && bytes <= INT64_MAX;
    if (!fits)
        return HR_FAIL(err, HR_INVALID, "size '%.64s' is too large: at most 8388607 TiB", text);
    *out = bytes;
    return HR_OK;
}
