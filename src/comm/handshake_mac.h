/* SPDX-License-Identifier: BSD-3-Clause */
/* A message authentication code of 32 bytes under the job's secret.
 *
 * With OpenSSL's libcrypto: HMAC-SHA256.  Without: four SipHash-2-4 values
 * under keys made from the secret, which has not been studied for 256 bits of
 * strength; only jobs whose ranks are threads of one process may use it.
 * Knows no message.  No state; any thread. */
#ifndef HANDSHAKE_MAC_H
#define HANDSHAKE_MAC_H

#include <stdbool.h>
#include <stddef.h>

enum { MAC_BYTES = 32, MAC_MOST = 640 };

struct mac_part { const void *bytes; size_t count; };

/* Is it good enough between processes? */
bool mac_is_strong(void);

/* Over the parts one after the other, MAC_MOST bytes at most.  `secret` has
 * JOB_SECRET bytes. */
int mac_make(const unsigned char *secret, const struct mac_part *parts, int count,
             unsigned char mac[MAC_BYTES]);

/* In a time that does not depend on where the two differ. */
bool mac_equal(const unsigned char *a, const unsigned char *b);

#endif
