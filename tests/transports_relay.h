/* SPDX-License-Identifier: BSD-3-Clause */
/* Parcels of the conformance suite: messages that one rank relays from another to a third,
 * with all that may become of them there.  Used by the thread of its node. */
#ifndef TRANSPORTS_RELAY_H
#define TRANSPORTS_RELAY_H

#include "devices/arithmetic.h"
#include "tests/transports_rig.h"

/* FAILING: words, of which one may be PARCEL_MAGIC, which is not combined. */
enum { PLAIN, SUM, MINUS, FAILING };
#define PARCEL_MAGIC UINT32_C(0x600dc0de)

struct parcel_ways {
    peal_op_t         minus, bad;
    struct arithmetic sum, difference, failing;
};
void parcel_ways(struct parcel_ways *ways);
void parcel_ways_free(struct parcel_ways *ways);

struct parcel {
    size_t         bytes;
    uint64_t       key;            /* of what its first rank sends */
    char          *dst, *keep, *operand;
    struct landing landing;
    struct op      landed, sent;
    struct message onward;
    int            from, to;
    bool           relayed;        /* else it is received, and then sent */
};

/* `bits` of its landing: 1 passes, 2 kept, 4 streams, 8 incoming first; 16 an operand of its own,
 * else 32: the operand is at `keep`, if there is one, else at dst. */
void parcel_make(struct parcel *p, const struct parcel_ways *ways, size_t bytes, int how,
                 uint64_t key, unsigned bits);
/* Relay it, or where that is not possible, receive it. */
void parcel_relay(struct node *node, struct parcel *p, const struct message *message, int from,
                  const struct message *onward, int to);
/* Wait until it has landed, and have it sent if it is not relayed; how it landed. */
int  parcel_wait(struct node *node, struct parcel *p);
/* `there` holds what is to come to the last rank. */
void parcel_verify(const struct parcel *p, const char *there, const char *what);
/* The same of its destination and what is kept, as far as it is to be there. */
void parcel_landed(const struct parcel *p);
void parcel_free(struct parcel *p);

/* transports_relay_ends.c: what differs, fails or goes away. */
void transports_relay_ends(const struct transport *transport, bool processes, uint64_t seed);

#endif
