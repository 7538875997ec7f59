/* SPDX-License-Identifier: BSD-3-Clause */
/* A message authentication code of 32 bytes under the job's secret.  Which one
 * depends on the file that the Makefile chose: mac_nettle.c (HMAC-SHA256), or
 * mac_threads.c where there is no Nettle, which only jobs whose ranks are threads
 * of one process may use.  Knows no message.  No state; any thread. */
#ifndef HANDSHAKE_MAC_H
#define HANDSHAKE_MAC_H

#include <stdbool.h>
#include <stddef.h>

enum { MAC_BYTES = 32, MAC_SECRET = 32 };

struct mac_part { const void *bytes; size_t count; };

/* Is it good enough between processes? */
bool mac_is_strong(void);

/* Over the parts one after the other.  `secret` has MAC_SECRET bytes. */
void mac_make(const unsigned char *secret, const struct mac_part *parts, int count,
              unsigned char mac[MAC_BYTES]);

/* The SHA-256 of a text, or PEAL_ERR_UNSUPPORTED. */
int mac_digest(const void *text, size_t bytes, unsigned char digest[MAC_BYTES]);

/* In a time that does not depend on where the two differ. */
bool mac_equal(const unsigned char *a, const unsigned char *b);

#endif
