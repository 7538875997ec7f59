/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/device.h"

#include "base/status.h"

#include <string.h>

/* The one place where bytes from a peer enter the user's memory: what does not
 * fit is refused here, whatever the transport believed. */
static int landing_check(const struct landing *landing, size_t offset, size_t length)
{
    const struct arithmetic *how = landing->how;

    if (offset > landing->bytes || length > landing->bytes - offset)
        return status_fail(PEAL_ERR_PROTOCOL, "a peer sent bytes %zu to %zu of a message of "
                           "%zu bytes", offset, offset + length, landing->bytes);
    if (how && (offset % how->size || length % how->size))
        return status_fail(PEAL_ERR_PROTOCOL, "a peer cut a message within an element of "
                           "%zu bytes: bytes %zu to %zu", how->size, offset,
                           offset + length);
    return PEAL_OK;
}

int landing_put(const struct landing *landing, size_t offset, const void *piece,
                size_t length)
{
    const struct arithmetic *how = landing->how;
    int status = landing_check(landing, offset, length);

    if (status || length == 0)
        return status;
    if (!how) {
        memcpy(landing->dst + offset, piece, length);
        return PEAL_OK;
    }
    if (landing->incoming_first)
        return how->pair(how, landing->dst + offset, piece, landing->operand + offset,
                         length / how->size);
    return how->pair(how, landing->dst + offset, landing->operand + offset, piece,
                     length / how->size);
}
