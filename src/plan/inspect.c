// SPDX-License-Identifier: Apache-2.0
// What one file holds, as its format tells it.
#include "base/text.h"
#include "format/format.h"
#include <headrace/dataset.h>

hr_status hr_inspect(const char *path, bool json, char **out, hr_error *err)
{
    hr_status status;
    hr_source *source = NULL;
    hr_reader *reader = NULL;
    hr_text text;
    hr_open_options options = {.tensors_from_lists = true};
    hr__text_init(&text, (size_t)256 << 20);
    HR_GO(hr__source_open(path, &source, err));
    HR_GO(hr__format_open(source, &options, &reader, err));
    HR_GO(reader->format->inspect(reader, json, &text, err));
    status = hr__text_take(&text, out, err);
out:
    hr__text_finish(&text);
    hr__reader_close(&reader);
    hr__source_unref(&source);
    return status;
}
