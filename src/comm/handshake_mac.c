/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/handshake_mac.h"

#include "base/status.h"

#include <string.h>

int mac_make(const unsigned char *secret, const struct mac_part *parts, int count,
             unsigned char mac[MAC_BYTES])
{
    unsigned char text[MAC_MOST];
    size_t bytes = 0;

    for (int i = 0; i < count; i++) {
        if (parts[i].count > sizeof(text) - bytes)
            return status_fail(PEAL_ERR_STATE, "a handshake message is too long to prove");
        memcpy(text + bytes, parts[i].bytes, parts[i].count);
        bytes += parts[i].count;
    }
    return mac_of(secret, text, bytes, mac);
}
