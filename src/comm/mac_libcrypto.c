/* SPDX-License-Identifier: BSD-3-Clause */
/* The code under a secret by OpenSSL's libcrypto: HMAC-SHA256. */
#include "comm/handshake_mac.h"

#include "base/status.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

/* The monitor thread may still be at work when the process exits without
 * peal_comm_free: libcrypto must not clean up under it. */
static void stay(void)
{
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}

bool mac_is_strong(void)
{
    return true;
}

int mac_of(const unsigned char *secret, const unsigned char *text, size_t bytes,
                  unsigned char mac[MAC_BYTES])
{
    unsigned int made = 0;

    stay();
    if (!HMAC(EVP_sha256(), secret, MAC_SECRET, text, bytes, mac, &made) || made != MAC_BYTES)
        return status_fail(PEAL_ERR_SYSTEM, "libcrypto cannot compute HMAC-SHA256");
    return PEAL_OK;
}

bool mac_equal(const unsigned char *a, const unsigned char *b)
{
    return CRYPTO_memcmp(a, b, MAC_BYTES) == 0;
}

int mac_digest(const void *text, size_t bytes, unsigned char digest[MAC_BYTES])
{
    stay();
    if (EVP_Digest(text, bytes, digest, NULL, EVP_sha256(), NULL) != 1)
        return status_fail(PEAL_ERR_SYSTEM, "libcrypto could not compute SHA-256");
    return PEAL_OK;
}
