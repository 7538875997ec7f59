/* SPDX-License-Identifier: BSD-3-Clause */
/* The four messages by which two ranks prove to each other that they know the
 * job's secret, before anything else is believed:
 *
 *   dialler                                               acceptor
 *   HELLO     version, purpose, job, nonce D        --->
 *             <---  CHALLENGE  nonce A, mac("peal accept", HELLO, nonce A)
 *   PROOF     claim, mac("peal dial", HELLO, CHALLENGE, claim)  --->
 *             <---  WELCOME  answer, mac("peal welcome", all of the above)
 *
 * mac is HMAC-SHA256 with the job's secret.  Both nonces are fresh, so nothing
 * can be replayed; the labels differ, so nothing can be sent back to its maker;
 * the claim names dialler and target, so a proof for one rank is of no use at
 * another.  The bytes that follow are neither encrypted nor authenticated.
 *
 * All messages have a fixed size; 388 bytes are read before the dialler is
 * believed.  Pure: no I/O, no allocation, no global state; any thread. */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

#include "comm/job.h"

enum {
    HANDSHAKE_VERSION   = 7,
    HANDSHAKE_NONCE     = 32,
    HANDSHAKE_MAC       = 32,
    HANDSHAKE_TEXT      = 200,
    RECORD_TURNS        = 16,
    HANDSHAKE_RECORD    = 142 + TRANSPORT_FABRICS * (TRANSPORT_NAME + 8) + 2 + RECORD_TURNS,
    HANDSHAKE_HELLO     = 8 + 4 + 4 + 8 + HANDSHAKE_NONCE,
    HANDSHAKE_CHALLENGE = 8 + 4 + HANDSHAKE_NONCE + HANDSHAKE_MAC,
    HANDSHAKE_CLAIM     = 4 + 4 + 4 + 2 + 2 + 8 + 4 + TRANSPORT_NAME + HANDSHAKE_RECORD,
    HANDSHAKE_PROOF     = HANDSHAKE_CLAIM + HANDSHAKE_MAC,
    HANDSHAKE_WELCOME   = 4 + 4 + HANDSHAKE_TEXT + HANDSHAKE_MAC,
    HANDSHAKE_MOST      = HANDSHAKE_PROOF         /* the largest of the four */
};

enum handshake_purpose {
    HANDSHAKE_JOIN = 1,           /* to rank 0: here I am */
    HANDSHAKE_TREE,               /* to a child in the control tree */
    HANDSHAKE_LINK                /* a socket for a communicator's transport */
};

/* Where a rank is and how it is dialled. */
struct record {
    struct where  where;
    uint16_t      nturns;         /* places in its host's ring that ranks there have, counted round;
                                     only these are sent, where.ring follows (ring_order.h) */
    uint8_t       turns[RECORD_TURNS];
    uint16_t      family, port;   /* 4 or 6; host byte order */
    unsigned char address[16];    /* the first 4 bytes for family 4 */
    unsigned char local[16];      /* name of its abstract Unix socket */
};

/* What the dialler says about itself. */
struct claim {
    uint32_t      rank, nranks, target;
    uint16_t      socket, nsockets;            /* LINK: which of how many */
    uint64_t      communicator;                /* LINK */
    uint32_t      set;                         /* LINK: the dialler's number of the set */
    char          transport[TRANSPORT_NAME];   /* LINK */
    struct record record;                      /* JOIN */
};

struct answer {
    int      status;
    uint32_t value;                            /* JOIN: seconds that rank 0 will wait */
    char     text[HANDSHAKE_TEXT];
};

/* What was said so far in one handshake; each side keeps its own. */
struct handshake {
    unsigned char hello[HANDSHAKE_HELLO];
    unsigned char challenge[HANDSHAKE_CHALLENGE];
    unsigned char proof[HANDSHAKE_PROOF];
};

/* PEAL_OK, or PEAL_ERR_UNSUPPORTED if this build has no library for the secret
 * and the job is not one of threads. */
int handshake_usable(bool threads_only);

/* Writers: the message is left in `shake`, respectively in `message`. */
void handshake_write_hello(struct handshake *shake, enum handshake_purpose purpose,
                           uint64_t job, const unsigned char nonce[HANDSHAKE_NONCE]);
void handshake_write_challenge(struct handshake *shake, const unsigned char *secret,
                               const unsigned char nonce[HANDSHAKE_NONCE]);
void handshake_write_proof(struct handshake *shake, const unsigned char *secret,
                           const struct claim *claim);
void handshake_write_welcome(const struct handshake *shake, const unsigned char *secret,
                             const struct answer *answer,
                             unsigned char message[HANDSHAKE_WELCOME]);

/* To a dialler of another version: a challenge without proof, from which it
 * learns our version. */
void handshake_write_version(struct handshake *shake);

/* Readers of messages of exactly the fixed size.  PEAL_ERR_PROTOCOL: not ours,
 * or nonsense; PEAL_ERR_UNSUPPORTED: another version; PEAL_ERR_AUTH: the other
 * side does not know the secret.  They set no error text: strangers may call
 * as often as they like; the caller knows the address and says it. */
int handshake_read_hello(struct handshake *shake, const unsigned char *message,
                         enum handshake_purpose *purpose, uint64_t *job);
int handshake_read_challenge(struct handshake *shake, const unsigned char *secret,
                             const unsigned char *message);
int handshake_read_proof(struct handshake *shake, const unsigned char *secret,
                         const unsigned char *message, struct claim *claim);
int handshake_read_welcome(const struct handshake *shake, const unsigned char *secret,
                           const unsigned char *message, struct answer *answer);

/* A record on its own, as the table of all ranks has it. */
void record_write(const struct record *record, unsigned char bytes[HANDSHAKE_RECORD]);
int record_read(const unsigned char bytes[HANDSHAKE_RECORD], struct record *record);

#endif
