// SPDX-License-Identifier: Apache-2.0
// The const table of formats, and how a file finds its own: by suffix, then by its first bytes.
#include "format/format.h"
#include "format/parquet/pq.h"
#include <string.h>

const hr_format *const hr__formats[] = {&hr__parquet_format, NULL};

static bool has_suffix(const hr_format *format, const char *name)
{
    size_t bytes = strlen(name);
    for (int i = 0; i < (int)HR_COUNTOF(format->suffixes) && format->suffixes[i]; i++) {
        size_t n = strlen(format->suffixes[i]);
        if (bytes >= n && strcmp(name + bytes - n, format->suffixes[i]) == 0)
            return true;
    }
    return false;
}

hr_status hr__format_open(hr_source *source, const hr_open_options *options, hr_reader **out,
                          hr_error *err)
{
    hr_text names;
    for (int i = 0; hr__formats[i]; i++)
        if (has_suffix(hr__formats[i], source->name))
            return hr__formats[i]->open(source, options, out, err);
    for (int i = 0; hr__formats[i]; i++)
        if (hr__formats[i]->probe(source))
            return hr__formats[i]->open(source, options, out, err);
    hr__text_init(&names, 256);
    for (int i = 0; hr__formats[i]; i++)
        hr__text_add(&names, "%s%s", i ? ", " : "", hr__formats[i]->name);
    hr_status status = HR_FAIL(err, HR_UNSUPPORTED, "%s: of no format that is known here (%s)",
                               source->name, hr__text_str(&names));
    hr__text_finish(&names);
    return status;
}

void hr__reader_close(hr_reader **reader)
{
    hr_reader *r = *reader;
    *reader = NULL;
    if (r)
        r->format->close(r);
}
