/* SPDX-License-Identifier: BSD-3-Clause */
/* The code under a secret by GNU Nettle: HMAC-SHA256.  Not by OpenSSL, whose first
 * use costs a rank a millisecond and half a MiB; Nettle has nothing to set up. */
#include "comm/handshake_mac.h"

#include "base/status.h"

#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <string.h>

_Static_assert((int)MAC_BYTES == (int)SHA256_DIGEST_SIZE, "a code is a whole digest");

bool mac_is_strong(void)
{
    return true;
}

void mac_make(const unsigned char *secret, const struct mac_part *parts, int count,
              unsigned char mac[MAC_BYTES])
{
    struct hmac_sha256_ctx hmac;

    hmac_sha256_set_key(&hmac, MAC_SECRET, secret);
    for (int i = 0; i < count; i++)
        hmac_sha256_update(&hmac, parts[i].count, parts[i].bytes);
    hmac_sha256_digest(&hmac, NETTLE_LENGTH(MAC_BYTES) mac);
    explicit_bzero(&hmac, sizeof hmac);          /* it is as good as the secret */
}

int mac_digest(const void *text, size_t bytes, unsigned char digest[MAC_BYTES])
{
    struct sha256_ctx hash;

    sha256_init(&hash);
    sha256_update(&hash, bytes, text);
    sha256_digest(&hash, NETTLE_LENGTH(MAC_BYTES) digest);
    explicit_bzero(&hash, sizeof hash);
    return PEAL_OK;
}

bool mac_equal(const unsigned char *a, const unsigned char *b)
{
    return memeql_sec(a, b, MAC_BYTES);
}
