/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks on one host that share memory: what the files of this transport share.
 *
 * An endpoint's two sides map one anonymous page area (memfd), made by the side
 * that dialled and passed over the socket.  It holds a ring of 64-byte slots
 * and a ring of bytes per direction.  A message of up to 40 bytes is one slot:
 * one cache line, published by one store.  Up to the eager limit its bytes lie
 * in the byte ring.  Beyond, it is offered: the receiver, once it has a receive
 * for it, takes the bytes from the sender's memory itself (a mapping of it, or
 * process_vm_readv), or asks to have them streamed through the ring.
 *
 * The socket carries descriptors, wake-ups and, by its end, the peer's death.
 * Nothing that the peer writes is trusted: what is read from the shared area
 * is read once and checked.  A port and all of this is used by one thread. */
#ifndef SHM_H
#define SHM_H

#include "devices/distance.h"
#include "devices/pace.h"
#include "transports/matching.h"
#include "transports/pool.h"
#include "transports/transport.h"

#include <stdatomic.h>

enum {
    SHM_LINE     = 64,
    SHM_INLINE   = 40,             /* payload bytes in a slot */
    SHM_SLOTS    = 256,            /* per direction; a power of two */
    SHM_SHARES   = 256,            /* mapped allocations of a peer */
    SHM_EXPECTED = 32,             /* messages that may be expected at a time */
    SHM_RESERVED = 16,             /* of the slots, for what is no message */
    SHM_NOTICES  = 4 * TRANSPORT_WINDOW,
    SHM_WHY      = 256,            /* bytes of an error text */
    SHM_RING_LOW = 16 << 10, SHM_RING_HIGH = 64 << 20,
    SHM_PIECE    = 64 << 10,       /* most bytes that are streamed through the ring at once */
    SHM_MOVE     = 1 << 20         /* bytes moved per endpoint and progress(), about */
};

/* ---- The shared area ---------------------------------------------------- */

enum slot_kind {
    SLOT_SMALL,        /* payload: the message */
    SLOT_EAGER,        /* payload: struct slot_bytes; the message in the byte ring */
    SLOT_OFFER,        /* payload: struct slot_offer */
    SLOT_TAKEN,        /* the offer was taken, or is not wanted */
    SLOT_WANT,         /* payload: struct slot_want: stream the rest */
    SLOT_DATA,         /* payload: struct slot_bytes; a piece in the byte ring */
    SLOT_EXPECT,       /* payload: struct slot_offer: where the message is to lie */
    SLOT_PLACED        /* payload: struct slot_bytes; it lies there */
};

struct slot {
    _Atomic uint32_t mark;         /* 16 bits lap + 1, 4 kind, 4 stream, 8 payload bytes */
    uint32_t         number;
    struct signature signature;
    unsigned char    payload[SHM_INLINE];
};
_Static_assert(sizeof(struct slot) == SHM_LINE, "a slot is a cache line");

struct slot_bytes { uint64_t offset; uint32_t length, gap; };   /* gap: left free behind them */
struct slot_want  { uint64_t offset; uint32_t refused; };   /* may not read your memory */
/* address 0: not there to be read (yet), ask for it. */
struct slot_offer { uint64_t length, address, share_id, share_offset; uint32_t share; };
_Static_assert(sizeof(struct slot_offer) <= SHM_INLINE, "fits a slot");

/* What a side tells the other without a message.  The first line is written
 * seldom, and read with each slot; the others are written often, by their side only, and
 * read by the other one when it closes and when it has run out of room. */
struct shm_side {
    _Alignas(SHM_LINE)
    _Atomic uint32_t armed;        /* sleeps until: 1 a slot comes, 2 also room; 0: awake */
    _Atomic uint32_t closed;       /* its memory must not be believed any more */
    _Atomic uint32_t heavy;        /* it sleeps behind a heavy fence (base/fence.h) */
    _Alignas(SHM_LINE)
    _Atomic uint32_t placing;      /* it writes to the other side's memory */
    _Alignas(SHM_LINE)
    _Atomic uint64_t slots_taken;  /* from the other side's rings, since the start */
    _Atomic uint64_t bytes_taken;
    _Atomic uint32_t low[TRANSPORT_STREAMS];
    _Atomic uint32_t version;      /* changes after the four above */
};

struct shm_area {
    struct shm_side sides[2];                /* 0: who dialled */
    struct slot     slots[2][SHM_SLOTS];     /* [writer] */
    char            bytes[];                 /* ring bytes, twice: [writer] */
};

/* ---- This side ---------------------------------------------------------- */

/* What travels on the socket. */
enum record_kind { RECORD_HELLO = 0x6b01, RECORD_WAKE, RECORD_SHARE };
struct record {
    uint32_t kind, share;          /* SHARE: its place in the table; a descriptor comes along */
    uint64_t id, length;           /* SHARE; HELLO: the ring's bytes in `length` */
    uint64_t token, token_at;      /* HELLO: what its sender's memory holds, where */
};

struct outgoing {                  /* an offered send */
    struct also        also;       /* first; of the landing that it is relayed from, or of `keep` */
    struct outgoing   *next;       /* in endpoint.wanted, or free */
    struct endpoint   *to;         /* NULL: it has ended */
    const char        *bytes;
    size_t             length, sent;
    size_t             landed;     /* bytes that are there to be sent; all, unless it is relayed */
    struct landing     keep;       /* they are copied there, too, so many already; dst NULL: nowhere */
    size_t             kept;
    struct completion *done;
    uint32_t           stream, number;
    int                share;      /* its place in endpoint.shares, or -1 */
    bool               streams;    /* the peer wants it through the ring */
    bool               relayed;
    bool               spoiled;    /* some of it has not landed; the rest is not sent */
};

struct notice { uint8_t kind, stream, refused; uint32_t number; };

/* How the bytes of a held match are fetched (match->remote[REMOTE_HOW]). */
enum { REMOTE_ADDRESS, REMOTE_SHARE, REMOTE_ID, REMOTE_OFFSET, REMOTE_HOW };
enum { FETCH_NEW, FETCH_VIEW, FETCH_READ, FETCH_STREAM, FETCH_PLACED };

/* A message that is to lie in `memory`, here or (`where`) at the peer. */
struct expected {
    char             *memory;
    struct slot_offer where;
    struct message    message;
    size_t            length;
    bool              open;
};

struct endpoint {
    struct port     *port;
    struct endpoint *next;
    struct matching  matching;
    struct shm_area *area;         /* NULL: the peer's hello has not come */
    size_t           area_bytes, ring;
    int              me;           /* which side */
    int              numa[2];      /* by side: the node of its cores, or -1 */
    bool             light;        /* the peer's fences are heavy, ours may be light */
    int              socket;       /* -1: the peer has hung up */

    /* Writing: positions count up for ever. */
    uint64_t         slot_head, byte_head, slots_taken, bytes_taken;
    uint64_t         tail_then;    /* slot_tail when a SLOT_EAGER was put last */
    struct send_window window;
    struct pace      pace, keeping, placing;   /* of our copies to the ring; to there and to where
                                                  they are kept; to the peer's memory */
    struct distance  distance;     /* of the peer's core */
    bool             starved;      /* something waits for room ... */
    uint32_t         starved_at;   /* ... at this version */
    struct outgoing *outs[TRANSPORT_STREAMS][TRANSPORT_WINDOW];   /* offered */
    struct outgoing *wanted, **wanted_last;                       /* to be streamed, as far as landed */
    int              offered;      /* sends that the peer has not taken ... */
    int              relays;       /* ... of which so many are relayed */
    struct notice    notices[SHM_NOTICES];
    uint32_t         notice_head, notice_tail;
    struct { uint64_t id; int users; bool sent; } shares[SHM_SHARES];
    struct expected  there[SHM_EXPECTED];  /* by the peer, [number] */

    /* Reading. */
    uint64_t         slot_tail, byte_tail;
    uint32_t         published_low[TRANSPORT_STREAMS];
    int              pulls;        /* matches to be fetched by us */
    enum slot_kind   peeked;       /* what peek() has answered about ... */
    uint32_t         peeked_gap;   /* ... and the gap behind it */
    int              put_off;      /* times that an early message was left lying */
    struct { uint64_t id; char *base; size_t length; } views[SHM_SHARES];
    struct expected  here[SHM_EXPECTED];   /* by us, [number] */
    int              reads_left;   /* tries to read the peer's memory; 0: never */
    bool             reads;        /* it was read */
    uint32_t         pid;          /* of the peer */

    uint64_t         token, peer_token, peer_token_at;
    bool             greeted;      /* the peer's hello has come */
    int              broken;       /* a failure not yet reported, or 0 ... */
    char             why[SHM_WHY]; /* ... and its text */
    struct record    record;       /* being read */
    size_t           record_fill;
    int              record_fd;
    char             peer[96];     /* for error texts */
};

struct port {
    struct port_options options;
    struct endpoint    *endpoints;
    struct match_pool   pool;
    struct pool         outs;
    char               *bounce;    /* for process_vm_readv, when first needed */
    size_t              ring, eager;
    bool                reads_allowed, slept;
    bool                fences;    /* this process is registered for heavy fences */
    int                 unready;   /* endpoints without an area */
    int                 epoll;
    uint32_t            idle;      /* calls of progress() that found nothing */
    uint64_t            looked;    /* when the sockets were looked at last */
};

extern const struct setting shm_settings[];

/* Bytes that go into the ring without having been offered. */
static inline size_t shm_eager(const struct endpoint *to)
{
    return to->port->eager < to->ring / 4 ? to->port->eager : to->ring / 4;
}

/* shm.c: the endpoint cannot go on if `status` is a failure; the calling thread's text says
 * why.  progress() ends it; the first failure counts. */
void shm_break(struct endpoint *endpoint, int status);

/* shm_ring.c: the shared area's rings. */
size_t ring_area_bytes(size_t ring);
/* Is there room for a slot and `bytes` in the byte ring?  If not: starved. */
bool ring_room(struct endpoint *endpoint, size_t bytes);
/* For a notice: some slots are kept, or a peer would wait for it until our next call. */
bool ring_room_notice(struct endpoint *endpoint);
/* May a message of this number be sent?  If not: starved. */
bool ring_window(struct endpoint *endpoint, uint32_t stream, uint32_t number);
/* After ring_room(): a slot that holds all there is, in `payload`. */
void ring_put(struct endpoint *endpoint, enum slot_kind kind, const struct message *message,
              const void *payload, size_t payload_bytes);
/* Likewise a slot and `bytes`, of a message from `offset` on, in the byte ring; NULL: they are
 * there, see ring_place(). */
void ring_put_bytes(struct endpoint *endpoint, enum slot_kind kind,
                    const struct message *message, size_t offset, const void *bytes,
                    size_t length);
/* With each long message or piece: now and then, take the line of the next slot, which the peer's core has
 * read, by itself, and time that. */
void ring_distance(struct endpoint *endpoint);

/* May what is not a copy be stored now, and how?  False: let it be a copy, which is to be timed. */
static inline bool store_lets(struct pace *pace, size_t length, struct also *at)
{
    pace_passed(pace, length);
    at->strings = pace_by_strings(pace, length);
    return at->strings || (!pace_asks(pace, length) && pace_follow(pace, &at->past));
}

/* Where the next `length` bytes will lie, and how they are to be stored, if there is room and they
 * lie in one piece, for whoever can store them there; false: have ring_put_bytes() copy them. */
bool ring_place(struct endpoint *endpoint, size_t length, struct also *at);
/* Store to there, and to `keep`, for a ring_put_bytes() that follows; false: there is no room, or
 * not in one piece. */
bool ring_keep(struct endpoint *endpoint, const void *bytes, size_t length, void *keep);
/* Can so many bytes, and such a gap behind them, be in the byte ring? */
bool ring_holds(const struct endpoint *endpoint, const struct slot_bytes *bytes);
/* Land the next bytes of the byte ring; as matching_put(). */
bool ring_land(struct endpoint *endpoint, struct match *match, const struct slot_bytes *bytes);
/* The next slot, its mark read; NULL if there is none. */
struct slot *ring_next(struct endpoint *endpoint, uint32_t *mark);
/* The next `length` bytes of the byte ring if they lie in one piece, else NULL;
 * and past them and their gap. */
const char *ring_view(const struct endpoint *endpoint, size_t length);
void ring_pass(struct endpoint *endpoint, size_t length, uint32_t gap);
/* Let the peer know what was taken and matched. */
void ring_publish(struct endpoint *endpoint);
/* Something waits for room: true if some has come since it was found lacking. */
bool ring_fed(struct endpoint *endpoint);

/* shm_link.c: the socket and what is made with it. */
int  link_start(struct endpoint *endpoint, bool dialled);
/* Read what has come.  Sets endpoint.broken, or closes the socket, if it ends. */
void link_read(struct endpoint *endpoint);
void link_wake(struct endpoint *endpoint);
/* Let the peer map an allocation: its place in the table, or -1. */
int  link_share(struct endpoint *endpoint, const struct memory_share *share);
void link_stop(struct endpoint *endpoint);

/* shm_send.c */
int  shm_send(struct endpoint *to, const struct message *message, const void *bytes,
              size_t length, struct completion *done);
int  shm_send_keep(struct endpoint *to, const struct message *message, const void *bytes,
                   size_t length, void *keep, bool streams, struct completion *done);
/* The peer's words about an offer; PEAL_ERR_PROTOCOL if it cannot have them. */
int  send_taken(struct endpoint *endpoint, uint32_t stream, uint32_t number);
int  send_wanted(struct endpoint *endpoint, uint32_t stream, uint32_t number,
                 const struct slot_want *want);
/* Put what is wanted into the ring, as far as there is room; returns how much. */
int  send_stream(struct endpoint *endpoint);
/* A send that is to be offered: NULL, and STATUS_AGAIN or why not. */
struct outgoing *send_prepare(struct endpoint *to, const struct message *message,
                              const void *bytes, size_t length, struct completion *done,
                              int *status);
void send_offer(struct outgoing *out, const struct message *message,
                const struct memory_share *share);
/* Of a relayed one: the next `length` bytes lie in the ring, at ring_place(). */
void send_placed(struct outgoing *out, size_t length);
/* ... or lie at the place they were to land. */
void send_more(struct outgoing *out, size_t length);
void send_fail(struct endpoint *endpoint, int status);
bool send_pending(const struct endpoint *endpoint);

/* shm_relay.c */
int  shm_relay(struct endpoint *from, const struct message *message,
               const struct landing *landing, struct completion *landed,
               struct endpoint *to, const struct message *onward, struct completion *sent);
/* Land the next piece of a match, as matching_put(), and send it on if it is relayed. */
bool relay_put(struct endpoint *from, struct match *match, const char *piece, size_t length);
/* For who lands by itself: a place for the piece, if its landing is relayed; after the landing. */
void relay_before(const struct match *match, size_t length);
void relay_after(const struct landing *landing, size_t length, int status);

/* shm_short.c */
int  shm_put(struct endpoint *to, const struct message *message, const void *bytes,
             size_t length, struct completion *done);
int  shm_put_keep(struct endpoint *to, const struct message *message, const void *bytes,
                  size_t length, void *keep);
int  shm_peek(struct endpoint *from, const struct message *message, size_t length,
              const void **view);
int  shm_take(struct endpoint *from, const struct message *message, size_t length);

/* The next slot that is a message or wants work; or NULL, perhaps broken. */
struct slot *short_next(struct endpoint *from, uint32_t *mark);

/* shm_place.c */
void shm_expect(struct endpoint *from, const struct message *message, void *memory,
                size_t length);
int  shm_place(struct endpoint *to, const struct message *message, const void *bytes,
               size_t length, bool streams);
int  shm_place_begin(struct endpoint *to, const struct message *message, size_t length,
                     bool streams, struct also *at);
int  shm_place_end(struct endpoint *to, const struct message *message, size_t length, int status);
/* The peer says where it expects a message. */
void place_expected(struct endpoint *to, const struct message *message,
                    const struct slot_offer *where);
/* Where a message that the peer has placed lies, NULL if it was not expected. */
char *place_find(struct endpoint *from, const struct message *message, size_t length);
/* It has been met. */
void place_met(struct endpoint *from, const struct message *message);

/* shm_recv.c */
int  shm_recv(struct endpoint *from, const struct message *message,
              const struct landing *landing, struct completion *done);
/* Take slots, fetch offers, send notices.  Each returns how much it moved and
 * sets endpoint.broken on a failure. */
int  recv_slots(struct endpoint *endpoint);
/* Take one: PEAL_OK, or why it cannot be believed. */
int  recv_slot(struct endpoint *endpoint, const struct slot *slot, uint32_t mark);
/* Where an offer can be seen, or NULL: in what is mapped; or if its descriptor is still to be
 * read, which may end another mapping of the peer's. */
char *recv_seen(const struct endpoint *endpoint, const struct slot_offer *offer);
char *recv_view(struct endpoint *endpoint, const struct slot_offer *offer);
/* The peer is to be told that an offer was taken. */
void recv_taken(struct endpoint *endpoint, uint32_t stream, uint32_t number);
/* The peer has closed its port: what was seen in its memory is not believed. */
bool recv_closed(struct endpoint *endpoint);
/* Ours is closed: what we have offered is not there any more. */
void recv_close(struct endpoint *endpoint);
int  recv_fetch(struct endpoint *endpoint);
int  recv_notices(struct endpoint *endpoint);

#endif
