// SPDX-License-Identifier: Apache-2.0
// Status names, the version, and the wording of errors.
//
// A message is made in a buffer of its own and copied, so that an argument may point into the very error that is
// written. Whatever bytes a hostile file put into a name, a message stays one line of whole UTF-8 characters: control
// characters become spaces, and a cut never leaves half a character behind.
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)

const char *hr_status_name(hr_status status)
{
    switch (status) {
    case HR_OK:
        return "OK";
    case HR_END:
        return "END";
    case HR_AGAIN:
        return "AGAIN";
    case HR_INVALID:
        return "INVALID";
    case HR_NOMEM:
        return "NOMEM";
    case HR_IO:
        return "IO";
    case HR_CORRUPT:
        return "CORRUPT";
    case HR_UNSUPPORTED:
        return "UNSUPPORTED";
    case HR_NOT_FOUND:
        return "NOT_FOUND";
    case HR_DENIED:
        return "DENIED";
    case HR_LIMIT:
        return "LIMIT";
    case HR_TIMEOUT:
        return "TIMEOUT";
    case HR_CANCELLED:
        return "CANCELLED";
    case HR_USER:
        return "USER";
    }
    return "?";
}

const char *hr_version(void)
{
    return STRINGIFY(HR_VERSION_MAJOR) "." STRINGIFY(HR_VERSION_MINOR) "." STRINGIFY(
        HR_VERSION_PATCH);
}

// The length without a UTF-8 character that the cut at `bytes` left unfinished.
static size_t whole_characters(const char *text, size_t bytes)
{
    size_t at = bytes;
    while (at > 0 && bytes - at < 4 && ((unsigned char)text[at - 1] & 0xC0) == 0x80)
        at--;
    if (at == 0)
        return bytes;
    unsigned char lead = (unsigned char)text[at - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    return need > bytes - (at - 1) ? at - 1 : bytes;
}

// Stores what snprintf made (it wanted `wanted` bytes) as the message.
static void keep(hr_error *err, char *text, int wanted)
{
    size_t bytes = wanted < 0 ? 0 : (size_t)wanted;
    if (bytes >= HR_ERROR_MESSAGE_BYTES)
        bytes = whole_characters(text, HR_ERROR_MESSAGE_BYTES - 1);
    for (size_t i = 0; i < bytes; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            text[i] = ' ';
    }
    memcpy(err->message, text, bytes);
    err->message[bytes] = 0;
}

hr_status hr__error_setv(hr_error *err, hr_status status, const char *format, va_list args)
{
    if (err) {
        char text[HR_ERROR_MESSAGE_BYTES];
        int wanted = vsnprintf(text, sizeof text, format, args);
        keep(err, text, wanted);
        err->status = status;
    }
    return status;
}

hr_status hr__error_set(hr_error *err, hr_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    hr__error_setv(err, status, format, args);
    va_end(args);
    return status;
}

void hr__error_context(hr_error *err, const char *format, ...)
{
    if (!err)
        return;
    char context[HR_ERROR_MESSAGE_BYTES], text[HR_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    // Two bounded copies: what does not fit is cut, which is what the header promises.
    size_t room = sizeof text, used = strnlen(context, room - 1);
    memcpy(text, context, used);
    int more = snprintf(text + used, room - used, ": %s", err->message);
    keep(err, text, more < 0 ? (int)used : (int)used + more);
}

static hr_status status_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return HR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return HR_DENIED;
    case ENOMEM:
        return HR_NOMEM;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
        return HR_LIMIT;
    case EINTR:
        return HR_CANCELLED;
    default:
        return HR_IO;
    }
}

hr_status hr__error_errno(hr_error *err, int errnum, const char *format, ...)
{
    hr_status status = status_of_errno(errnum);
    if (!err)
        return status;
    char what[HR_ERROR_MESSAGE_BYTES], reason[128];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return hr__error_set(err, status, "%s: %s%s", what, strerror_r(errnum, reason, sizeof reason),
                         errnum == EMFILE ? " in this process: raise its limit (ulimit -n)" : "");
}

hr_status hr__error_copy(hr_error *to, const hr_error *from)
{
    if (!from)
        return HR_OK;
    if (to && to != from)
        memcpy(to, from, sizeof *to);
    return from->status;
}
