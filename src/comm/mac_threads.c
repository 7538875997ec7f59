/* SPDX-License-Identifier: BSD-3-Clause */
/* For builds without libcrypto: four SipHash-2-4 values (Aumasson, Bernstein
 * 2012) under keys made from the secret.  Good enough between the threads of one
 * process, which is all that such a build allows. */
#include "comm/handshake_mac.h"

#include "base/status.h"

#include <stdint.h>
#include <string.h>

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

int mac_of(const unsigned char *secret, const unsigned char *text, size_t bytes,
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

int mac_digest(const void *text, size_t bytes, unsigned char digest[MAC_BYTES])
{
    (void)text;
    (void)bytes;
    (void)digest;
    return status_fail(PEAL_ERR_UNSUPPORTED, "this build of Peal cannot use PEAL_SECRET: "
                       "configure found no libcrypto (install libssl-dev and build again)");
}
