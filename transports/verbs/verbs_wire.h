/* SPDX-License-Identifier: BSD-3-Clause */
/* What two ranks tell each other over verbs: frames in the landing rings, and
 * records on the endpoint's socket.  Pure encoding, decoding and the checks that
 * need no state; knows no device, endpoint or matching, so that it can be fuzzed
 * alone.  Thread-safe.  Numbers are little-endian.
 *
 * A frame is a 64-byte header and its payload, written together into the
 * receiver's ring by one RDMA write with immediate data: frame number modulo 2^16
 * in the upper half, a code in the lower, mostly the place in the ring (in units of 64
 * bytes).  iWARP has no immediate data: there the same 32 bits follow the write in a
 * SEND of four bytes, and a SEND of none is the greeting of whoever connected.  Frames
 * are numbered from 0 per direction and taken in that order, over whichever rail
 * they come; a frame that does not fit before the ring's end lies at its start.
 *
 *   bytes  field         meaning
 *       0  magic         0x76 ('v')
 *       1  version       4
 *       2  kind          enum verbs_kind
 *       3  stream        < TRANSPORT_STREAMS
 *    4..7  number        of the message that this is about
 *    8..23 signature     what, count: of the frame's sender
 *   24..31 total         bytes of the whole message, as its sender sees it
 *   32..39 offset        of the bytes that this is about, in the message
 *   40..47 length        their number; EAGER, DATA: they are the payload
 *   48..51 taken         frames of the other direction that have been taken
 *   52..59 low[2]        per stream: all messages below have met their receive
 *   60..63 communicator  low 32 bits of its number
 *
 * A short message is one EAGER.  If it is like the one before it, and there is no credit
 * to tell of, it is bare: only the payload, and a code that tells the stream
 * (verbs_series.h).  So what fills a packet needs no second one.
 *
 * A long message is written by RDMA where a GRANT says, then a DONE per rail tells what
 * went over that rail; or, where the GRANT has no address, comes as DATA frames.  The
 * DONE of all of a message that was granted before it was sent, and went over one rail,
 * has no header: it rides on the last write as immediate data, numbered as any frame,
 * with a code that says which message it is.  A receiver that knows where the message
 * shall lie grants when the receive is posted; else, and if the grant is not there
 * when the send starts, or expects another message, the sender ANNOUNCEs and the
 * receiver answers GRANT (unless it has) or REFUSED.
 *
 * Records on the socket: OFFER from both sides (what I have), CONNECT from both
 * (the queue pairs, after both have paired the offers in the same way), READY
 * from both (mine can receive); DOWN when a rail has failed: which frames came; REJOIN
 * when it is connected anew (verbs_rejoin.c).
 * Where rdma_cm connects, CONNECT of the side that was dialled says to which port,
 * and with which word; a word, not the address, is what is believed. */
#ifndef VERBS_WIRE_H
#define VERBS_WIRE_H

#include "transports/transport.h"

enum {
    VERBS_HEADER   = 64,           /* bytes of a frame's header, and unit of the ring */
    VERBS_RAILS    = 8,            /* most rails of an endpoint */
    VERBS_FRAMES   = 256,          /* most frames under way; a power of two */
    VERBS_RING_LOW = 16 << 10,     /* bytes of a ring */
    VERBS_RING_HIGH = 2 << 20,
    VERBS_GRANT    = 8 + 4 * VERBS_RAILS,      /* payload of GRANT */
    VERBS_DEVICE   = 32,           /* bytes of a device's name, with the NUL */
    VERBS_NUMBER   = 4,            /* of the SEND that announces a frame */
    VERBS_NONCE    = 16            /* of the word that rdma_cm carries */
};
#define VERBS_TOTAL_HIGH ((uint64_t)1 << 43)

enum verbs_kind {
    VERBS_EAGER = 1,
    VERBS_ANNOUNCE,
    VERBS_GRANT_TO,
    VERBS_DATA,
    VERBS_DONE,
    VERBS_REFUSED,
    VERBS_CREDIT                   /* only taken and low count */
};

/* BARE: without a header. */
enum verbs_form { VERBS_HEADED, VERBS_BARE, VERBS_BARE_STEP, VERBS_FORMS };

struct verbs_frame {
    enum verbs_kind  kind;
    enum verbs_form  form;
    uint32_t         stream, number;
    struct signature signature;
    uint64_t         total, offset, length;
    uint32_t         taken, low[TRANSPORT_STREAMS];
    uint32_t         communicator;
};

struct verbs_grant {               /* address 0: through the ring */
    uint64_t address;
    uint32_t rkey[VERBS_RAILS];    /* 0 where the memory is not registered */
};

void verbs_frame_encode(const struct verbs_frame *frame, unsigned char wire[VERBS_HEADER]);
/* NULL and the frame, which then keeps every rule that can be stated without the
 * connection's state; or what is wrong. */
const char *verbs_frame_decode(const unsigned char wire[VERBS_HEADER],
                               struct verbs_frame *frame);
/* Bytes of the header, if there is one, and of the payload behind it. */
static inline size_t verbs_frame_head(const struct verbs_frame *frame)
{
    return frame->form == VERBS_HEADED ? VERBS_HEADER : 0;
}
static inline size_t verbs_frame_payload(const struct verbs_frame *frame)
{
    if (frame->kind == VERBS_EAGER || frame->kind == VERBS_DATA)
        return frame->length;
    return frame->kind == VERBS_GRANT_TO ? VERBS_GRANT : 0;
}

void verbs_grant_encode(const struct verbs_grant *grant, unsigned char wire[VERBS_GRANT]);
void verbs_grant_decode(const unsigned char wire[VERBS_GRANT], struct verbs_grant *grant);

/* ---- What announces a frame: number and code --------------------------------------- */

enum {
    VERBS_CODE_RIDES = VERBS_RING_HIGH / VERBS_HEADER,     /* below: a place */
    VERBS_CODE_BARE  = VERBS_CODE_RIDES + TRANSPORT_STREAMS * TRANSPORT_WINDOW,
    VERBS_CODES      = VERBS_CODE_BARE + TRANSPORT_STREAMS * VERBS_FORMS * 2
};
_Static_assert(VERBS_CODES <= 1 << 16, "a code fits the immediate data");

static inline uint32_t verbs_immediate(uint32_t frame, uint32_t code)
{
    return frame << 16 | code;
}

static inline uint32_t verbs_code_place(size_t place)
{
    return (uint32_t)(place / VERBS_HEADER);
}

/* A DONE that rides on a write.  Until it is there its receive is posted, so that the
 * window names it by its slot. */
static inline uint32_t verbs_code_riding(uint32_t stream, uint32_t number)
{
    return VERBS_CODE_RIDES + stream * TRANSPORT_WINDOW + number % TRANSPORT_WINDOW;
}

static inline bool verbs_code_rides(uint32_t code)
{
    return code >= VERBS_CODE_RIDES && code < VERBS_CODE_BARE;
}

/* A bare frame, behind the one before it or at the ring's start. */
static inline uint32_t verbs_code_bare(uint32_t stream, enum verbs_form form, bool start)
{
    return VERBS_CODE_BARE + (stream * VERBS_FORMS + form) * 2 + start;
}

/* False: it is none. */
static inline bool verbs_code_bared(uint32_t code, uint32_t *stream, enum verbs_form *form,
                                    bool *start)
{
    uint32_t at = (code - VERBS_CODE_BARE) / 2;

    *start = (code - VERBS_CODE_BARE) % 2;
    *stream = at / VERBS_FORMS;
    *form = (enum verbs_form)(at % VERBS_FORMS);
    return code >= VERBS_CODE_BARE && code < VERBS_CODES && *form != VERBS_HEADED;
}

/* ---- Records ------------------------------------------------------------ */

enum verbs_record { VERBS_OFFER = 1, VERBS_CONNECT, VERBS_READY, VERBS_DOWN, VERBS_REJOIN };
enum { VERBS_RECORD_HEAD = 8, VERBS_RECORD_MOST = 1024 };

enum verbs_link { VERBS_INFINIBAND = 1, VERBS_ROCE, VERBS_IWARP };
enum verbs_family { VERBS_GID_V4, VERBS_GID_V6, VERBS_GID_LOCAL, VERBS_FAMILIES };

struct verbs_gid { unsigned char bytes[16]; };

/* One port of one device, as its owner offers it.  iWARP has IP addresses for gids. */
struct verbs_offer_rail {
    char             device[VERBS_DEVICE];
    uint32_t         port, link;   /* enum verbs_link */
    uint32_t         mtu;          /* enum ibv_mtu */
    uint32_t         lid;
    uint32_t         rate;         /* Mbit/s */
    uint32_t         families;     /* which gids are there: bits 1 << enum verbs_family */
    struct verbs_gid gids[VERBS_FAMILIES];     /* InfiniBand: in place V6 */
};

struct verbs_offer {
    uint64_t                communicator;
    uint32_t                eager;         /* bytes; the lesser of both counts */
    uint32_t                ring, frames;  /* of the landing ring of who says this */
    uint32_t                nrails;
    struct verbs_offer_rail rails[VERBS_RAILS];
};

struct verbs_connect_rail {
    uint32_t      qpn, psn, rkey;
    uint32_t      port;            /* where rdma_cm listens; 0: it does not */
    unsigned char nonce[VERBS_NONCE];
};

struct verbs_connect {
    uint64_t ring;                 /* address of the landing ring */
    uint32_t nrails;
    struct verbs_connect_rail rails[VERBS_RAILS];
};

struct verbs_down {
    uint32_t rail;
    uint32_t taken;                /* all frames below have come, */
    uint64_t came[VERBS_FRAMES / 64];      /* and these, by number modulo VERBS_FRAMES */
};

enum verbs_step {
    VERBS_ASKS = 1,                /* my port is active again: make an offer */
    VERBS_OFFERS,                  /* with a queue pair and the port as it is now */
    VERBS_ANSWERS,                 /* with mine, which is connected to the one offered */
    VERBS_REFUSES,                 /* the offer */
    VERBS_USES                     /* the answer: the rail has been tried, and is up */
};

struct verbs_rejoin {
    uint32_t                  rail;
    enum verbs_step           step;
    struct verbs_connect_rail queue_pair;      /* OFFERS, ANSWERS; else zeros */
    struct verbs_offer_rail   port;
};

/* The bytes of a whole record; `wire` has room for VERBS_RECORD_MOST. */
size_t verbs_offer_encode(const struct verbs_offer *offer, unsigned char *wire);
size_t verbs_connect_encode(const struct verbs_connect *connect, unsigned char *wire);
size_t verbs_ready_encode(unsigned char *wire);
size_t verbs_down_encode(const struct verbs_down *down, unsigned char *wire);
size_t verbs_rejoin_encode(const struct verbs_rejoin *rejoin, unsigned char *wire);

/* Kind of a record and bytes that follow its head; or what is wrong. */
const char *verbs_record_decode(const unsigned char head[VERBS_RECORD_HEAD],
                                enum verbs_record *kind, size_t *length);
/* Of exactly the length that the head tells. */
const char *verbs_offer_decode(const unsigned char *body, struct verbs_offer *offer);
const char *verbs_connect_decode(const unsigned char *body, struct verbs_connect *connect);
const char *verbs_down_decode(const unsigned char *body, struct verbs_down *down);
const char *verbs_rejoin_decode(const unsigned char *body, struct verbs_rejoin *rejoin);

#endif
