// SPDX-License-Identifier: Apache-2.0
// Scheme to source: a const table.
#include "io/source.h"
#include <ctype.h>
#include <string.h>

static const hr_scheme schemes[] = {
    {"file", hr__file_open},
};

// The length of "scheme" in "scheme://...", or 0. A Windows-like "c:\\x" or "a:b" is a path.
static size_t scheme_bytes(const char *uri)
{
    size_t n = 0;
    while (isalnum((unsigned char)uri[n]) || uri[n] == '+' || uri[n] == '-' || uri[n] == '.')
        n++;
    return n > 0 && strncmp(uri + n, "://", 3) == 0 ? n : 0;
}

hr_status hr__uri_split(const char *uri, const hr_scheme **scheme_out, const char **rest_out,
                        hr_error *err)
{
    size_t n = scheme_bytes(uri);
    if (n == 0) {
        *scheme_out = &schemes[0];
        *rest_out = uri;
        return HR_OK;
    }
    for (size_t i = 0; i < HR_COUNTOF(schemes); i++) {
        if (strlen(schemes[i].name) == n && strncmp(schemes[i].name, uri, n) == 0) {
            *scheme_out = &schemes[i];
            *rest_out = uri + n + 3;
            return HR_OK;
        }
    }
    return HR_FAIL(err, HR_UNSUPPORTED, "%s: scheme '%.*s'; there are paths and file://", uri,
                   (int)n, uri);
}
