/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections of the floors over the host's loopback. */
#ifndef FLOORS_LOOPBACK_H
#define FLOORS_LOOPBACK_H

/* Both ends of a TCP connection that sends at once (TCP_NODELAY) and, as Peal's
 * within a host, does not pace.  `buffer`: bytes of the kernel's buffers; 0: as it
 * likes. */
void loopback_connect(int ends[2], int buffer);

#endif
