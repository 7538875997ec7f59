/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/handshake_mac.h"

#include "comm/job.h"

#include <string.h>

#ifdef HAVE_LIBCRYPTO
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

bool mac_is_strong(void)
{
    return true;
}

static int mac_of(const unsigned char *secret, const unsigned char *text, size_t bytes,
                  unsigned char mac[MAC_BYTES])
{
    unsigned int made = 0;

    if (!HMAC(EVP_sha256(), secret, JOB_SECRET, text, bytes, mac, &made) || made != MAC_BYTES)
        return status_fail(PEAL_ERR_SYSTEM, "libcrypto cannot compute HMAC-SHA256");
    return PEAL_OK;
}

bool mac_equal(const unsigned char *a, const unsigned char *b)
{
    return CRYPTO_memcmp(a, b, MAC_BYTES) == 0;
}

#else

bool mac_is_strong(void)
{
    return false;
}

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], int rounds)
{
    while (rounds-- > 0) {
        v[0] += v[1]; v[1] = rotate(v[1], 13) ^ v[0]; v[0] = rotate(v[0], 32);
        v[2] += v[3]; v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3]; v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1]; v[1] = rotate(v[1], 17) ^ v[2]; v[2] = rotate(v[2], 32);
    }
}

static uint64_t siphash(uint64_t key0, uint64_t key1, const unsigned char *text, size_t bytes)
{
    uint64_t v[4] = { key0 ^ 0x736f6d6570736575u, key1 ^ 0x646f72616e646f6du,
                      key0 ^ 0x6c7967656e657261u, key1 ^ 0x7465646279746573u };
    size_t at = 0;

    for (bool last = false; !last; at += 8) {
        uint64_t word = 0;

        last = bytes - at < 8;
        memcpy(&word, text + at, last ? bytes - at : 8);
        if (last)
            word |= (uint64_t)bytes << 56;
        v[3] ^= word;
        sip_rounds(v, 2);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static int mac_of(const unsigned char *secret, const unsigned char *text, size_t bytes,
                  unsigned char mac[MAC_BYTES])
{
    uint64_t key[4];

    memcpy(key, secret, sizeof(key));
    for (int i = 0; i < 4; i++) {
        uint64_t value = siphash(key[i] + (uint64_t)i, key[(i + 1) % 4], text, bytes);

        memcpy(mac + 8 * i, &value, 8);
    }
    return PEAL_OK;
}

bool mac_equal(const unsigned char *a, const unsigned char *b)
{
    volatile unsigned char differ = 0;

    for (int i = 0; i < MAC_BYTES; i++)
        differ |= a[i] ^ b[i];
    return differ == 0;
}

#endif

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
