// SPDX-License-Identifier: Apache-2.0
// Messages of the upper rooms as packets: they look the same in both directions.
#include "store/message.h"

#include "base/mem.h"
#include "store/store.h"

#include <string.h>

hr_status hr__message_frame(uint32_t type, const void *bytes, size_t count, uint8_t **packet_out,
                            size_t *bytes_out, hr_error *err)
{
    uint8_t *packet = NULL;
    if (type < HR_MESSAGE_UPPER || count > HR_MESSAGE_BYTES_MAX - sizeof type)
        return HR_FAIL(err, HR_INVALID,
                       "message of type %u with %zu bytes: allowed are types from %u on and %zu "
                       "bytes",
                       type, count, HR_MESSAGE_UPPER, HR_MESSAGE_BYTES_MAX - sizeof type);
    HR_TRY(hr__alloc(sizeof type + count, &packet, err));
    memcpy(packet, &type, sizeof type);
    if (count)
        memcpy(packet + sizeof type, bytes, count);
    *packet_out = packet;
    *bytes_out = sizeof type + count;
    return HR_OK;
}
