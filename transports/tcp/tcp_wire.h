/* SPDX-License-Identifier: BSD-3-Clause */
/* The header in front of everything on a TCP socket: 64 bytes, little-endian.
 * Pure encoding, decoding and the checks that need no state; knows no socket,
 * endpoint or matching, so that it can be fuzzed alone.  Thread-safe.
 *
 *   bytes  field         meaning
 *    0..1  magic         0x5065 ("eP")
 *       2  version       1
 *       3  kind          enum tcp_kind
 *    4..7  communicator  low 32 bits of its number
 *    8..9  stream        < TRANSPORT_STREAMS
 *   10..11 zero
 *   12..15 number        of the message that this is about
 *   16..31 signature     what, count: of the header's sender
 *   32..39 total         bytes of the whole message, as its sender sees it
 *   40..47 offset        CHUNK: where the payload belongs; else 0
 *   48..51 length        bytes of payload that follow; READY: size of the chunks
 *   52..59 credit[2]     per stream: all messages below this number have met
 *                        their receive; a sender stays within TRANSPORT_WINDOW
 *   60..63 zero
 *
 * A short message is one EAGER, on socket 0.  A long one waits for READY, which
 * says what the receiver expects.  If READY has not come when the send starts,
 * or expects something else than the sender has, the message is first told with
 * ANNOUNCE; the receiver compares and answers READY (unless it has said so
 * already) or REFUSED.  The bytes follow as CHUNKs: number i covers
 * [i x chunk, (i + 1) x chunk) and goes over socket (number + i) modulo the
 * number of sockets, in order, so that the receiver knows exactly what may come
 * next on each.  ANNOUNCE takes the socket of chunk 0, so that it never comes
 * after the message's end.  READY, REFUSED and CREDIT take socket 0, and credit
 * counts in headers on socket 0 only: so it never overtakes an answer. */
#ifndef TCP_WIRE_H
#define TCP_WIRE_H

#include "transports/transport.h"

enum {
    TCP_HEADER     = 64,               /* bytes on the wire */
    TCP_MAGIC      = 0x5065,
    TCP_VERSION    = 1,
    TCP_CHUNK_LOW  = 4 << 10,          /* least and most bytes of a chunk, */
    TCP_CHUNK_HIGH = 16 << 20          /* both multiples of TCP_CHUNK_UNIT */
};
enum { TCP_CHUNK_UNIT = 64 };          /* holds a whole number of elements of any type */
/* No message is longer, so that offset + length can never wrap around. */
#define TCP_TOTAL_HIGH ((uint64_t)1 << 43)

enum tcp_kind {
    TCP_EAGER = 1,                     /* a whole message, payload follows */
    TCP_ANNOUNCE,                      /* "I have a long message": no payload */
    TCP_READY,                         /* "its receive is posted": no payload */
    TCP_REFUSED,                       /* "its receive differs; forget it": no payload */
    TCP_CHUNK,                         /* a piece of a long message follows */
    TCP_CREDIT                         /* only `credit` counts */
};

struct tcp_header {
    enum tcp_kind    kind;
    uint32_t         communicator;
    uint32_t         stream;
    uint32_t         number;
    struct signature signature;
    uint64_t         total, offset;
    uint32_t         length;
    uint32_t         credit[TRANSPORT_STREAMS];
};

void tcp_wire_encode(const struct tcp_header *header, unsigned char wire[TCP_HEADER]);

/* NULL and the header, which then keeps every rule that can be stated without
 * knowing the connection's state; or the reason why it is not one. */
const char *tcp_wire_decode(const unsigned char wire[TCP_HEADER], struct tcp_header *header);

#endif
