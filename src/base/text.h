// SPDX-License-Identifier: Apache-2.0
// Bounded text builder: grows to its ceiling, then keeps what fits and remembers that it was cut. Always
// NUL-terminated. Caller-serialised. An allocation failure makes it empty and `failed`.
#ifndef HR_BASE_TEXT_H
#define HR_BASE_TEXT_H

#include "base/mem.h"

typedef struct hr_text {
    char *data; // never NULL to readers: use hr__text_str
    size_t bytes;
    size_t capacity_bytes;
    size_t bytes_max;
    bool cut, failed;
} hr_text;

void hr__text_init(hr_text *text, size_t bytes_max);
void hr__text_finish(hr_text *text);
void hr__text_clear(hr_text *text);
void hr__text_add(hr_text *text, const char *format, ...) HR_PRINTF(2, 3);
void hr__text_put(hr_text *text, const char *bytes, size_t count);
void hr__text_char(hr_text *text, char c);
void hr__text_json(hr_text *text, const char *bytes,
                   size_t count); // quoted and escaped; bad UTF-8 becomes U+FFFD
void hr__text_double(
    hr_text *text,
    double value); // shortest that reads back the same; JSON null for NaN and infinities
const char *hr__text_str(const hr_text *text);
HR_USE_RESULT hr_status hr__text_take(hr_text *text, char **out,
                                      hr_error *err); // moves it out; hr__free it

// "1.50 GiB", "97.7 MiB", "12 KiB", "5 B"; "1.20s", "3.45ms", "12.00us" (the guide's units). Return `buffer`.
const char *hr__format_bytes(uint64_t bytes, char buffer[32]);
const char *hr__format_seconds(double seconds, char buffer[32]);
// "1GiB", "512M", "1.5g", "1048576": binary multiples. INVALID says what was found and allowed.
HR_USE_RESULT hr_status hr__parse_bytes(const char *text, uint64_t *out, hr_error *err);

#endif
