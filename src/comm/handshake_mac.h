/* SPDX-License-Identifier: BSD-3-Clause */
/* A message authentication code of 32 bytes under the job's secret.  Which one
 * depends on the file that the Makefile chose: mac_libcrypto.c (HMAC-SHA256), or
 * mac_threads.c where there is no libcrypto, which only jobs whose ranks are
 * threads of one process may use.  Knows no message.  No state; any thread. */
#ifndef HANDSHAKE_MAC_H
#define HANDSHAKE_MAC_H

#include <stdbool.h>
#include <stddef.h>

enum { MAC_BYTES = 32, MAC_SECRET = 32, MAC_MOST = 640 };

struct mac_part { const void *bytes; size_t count; };

/* Is it good enough between processes? */
bool mac_is_strong(void);

/* Over the parts one after the other, MAC_MOST bytes at most.  `secret` has
 * MAC_SECRET bytes. */
int mac_make(const unsigned char *secret, const struct mac_part *parts, int count,
             unsigned char mac[MAC_BYTES]);

/* The same over one text. */
int mac_of(const unsigned char *secret, const unsigned char *text, size_t bytes,
           unsigned char mac[MAC_BYTES]);

/* A digest of a text, or PEAL_ERR_UNSUPPORTED. */
int mac_digest(const void *text, size_t bytes, unsigned char digest[MAC_BYTES]);

/* In a time that does not depend on where the two differ. */
bool mac_equal(const unsigned char *a, const unsigned char *b);

#endif
