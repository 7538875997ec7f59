/* SPDX-License-Identifier: BSD-3-Clause */
/* For builds without Nettle: four SipHash-2-4 values (Aumasson, Bernstein 2012)
 * under keys made from the secret.  Good enough between the threads of one
 * process, which is all that such a build allows. */
#include "comm/handshake_mac.h"

#include "base/status.h"

#include <stdint.h>
#include <string.h>

struct sip {
    uint64_t v[4];
    uint64_t word;               /* what has come of the next eight bytes */
    uint64_t bytes;              /* so far */
};

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

static void sip_word(struct sip *sip)
{
    sip->v[3] ^= sip->word;
    sip_rounds(sip->v, 2);
    sip->v[0] ^= sip->word;
    sip->word = 0;
}

static void sip_add(struct sip *sip, const unsigned char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        sip->word |= (uint64_t)text[i] << 8 * (sip->bytes % 8);
        if (++sip->bytes % 8 == 0)
            sip_word(sip);
    }
}

static uint64_t sip_end(struct sip *sip)
{
    sip->word |= sip->bytes << 56;
    sip_word(sip);
    sip->v[2] ^= 0xff;
    sip_rounds(sip->v, 4);
    return sip->v[0] ^ sip->v[1] ^ sip->v[2] ^ sip->v[3];
}

void mac_make(const unsigned char *secret, const struct mac_part *parts, int count,
              unsigned char mac[MAC_BYTES])
{
    uint64_t key[4];

    memcpy(key, secret, sizeof key);
    for (int i = 0; i < 4; i++) {
        uint64_t key0 = key[i] + (uint64_t)i, key1 = key[(i + 1) % 4], value;
        struct sip sip = { .v = { key0 ^ 0x736f6d6570736575u, key1 ^ 0x646f72616e646f6du,
                                  key0 ^ 0x6c7967656e657261u, key1 ^ 0x7465646279746573u } };

        for (int part = 0; part < count; part++)
            sip_add(&sip, parts[part].bytes, parts[part].count);
        value = sip_end(&sip);
        memcpy(mac + 8 * i, &value, 8);
    }
}

int mac_digest(const void *text, size_t bytes, unsigned char digest[MAC_BYTES])
{
    (void)text;
    (void)bytes;
    (void)digest;
    return status_fail(PEAL_ERR_UNSUPPORTED, "this build of Peal cannot use PEAL_SECRET: "
                       "configure found no Nettle (install nettle-dev and build again)");
}

bool mac_equal(const unsigned char *a, const unsigned char *b)
{
    volatile unsigned char differ = 0;

    for (int i = 0; i < MAC_BYTES; i++)
        differ |= a[i] ^ b[i];
    return differ == 0;
}
