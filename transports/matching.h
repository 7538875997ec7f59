/* SPDX-License-Identifier: BSD-3-Clause */
/* Which message meets which receive: the part of the transport contract that
 * is the same for every transport that matches in software.  One `matching`
 * serves the incoming direction of one endpoint; the `match_pool` of its port
 * holds the memory.  It knows headers, landings and completions; it does not
 * know how bytes travel.  Used by the thread of the port only.
 *
 * How a transport uses it:
 *
 *   recv()             matching_post().  If it gives back a match, the message
 *                      was announced earlier and still lies at the sender:
 *                      fetch it (LANDING), or tell the sender to forget it and
 *                      matching_drop() it (REFUSED).
 *   header came in     matching_arrive(), with held = false if the bytes follow
 *                      at once, true if they wait at the sender for our word.
 *                      Then, not held: matching_put() for each piece, wherever
 *                      the match stands (a buffer, the landing, or nowhere).
 *                      Held: LANDING: fetch; REFUSED: as above; EARLY: wait,
 *                      recv() will give the match back.
 *   bytes came in      matching_put(); at least once per message, with length
 *                      0 if the message is empty.  Once it returns true the
 *                      match is gone: forget the pointer.
 *   peer is lost       matching_fail(), after the last bytes were put: posted
 *                      receives and those in flight complete with the status;
 *                      forget all match pointers.  What had arrived whole
 *                      stays and is delivered to later receives; those that
 *                      find nothing complete with the status.
 *   close()            matching_clear(): nothing completes.
 *
 * The number of a message must lie in [low, low + TRANSPORT_WINDOW) with low =
 * matching_low(), the oldest number not yet matched; anything else that
 * arrives is PEAL_ERR_PROTOCOL.  A sender that runs ahead of its receiver must
 * therefore be told how far low has come: the receiver sends it along, the
 * sender keeps a `send_window` and answers STATUS_AGAIN when it is closed.
 * That bounds the early arrivals, and one stream can never clog the other. */
#ifndef MATCHING_H
#define MATCHING_H

#include "transports/transport.h"

enum match_state {
    MATCH_POSTED,      /* a receive waits */
    MATCH_EARLY,       /* a message waits (held: at the sender) or is coming in */
    MATCH_LANDING,     /* both are there and agree: bytes are landing */
    MATCH_REFUSED      /* both were there and differ: bytes are dropped */
};

struct match {
    enum match_state   state;
    uint32_t           stream, number;
    int                status;         /* what the receive will complete with */
    bool               told;           /* as of a completion: the text of that status is kept */
    bool               held;           /* the bytes wait at the sender */
    size_t             bytes, filled;  /* of the message; arrived so far */
    struct signature   signature;
    struct landing     landing;        /* POSTED, LANDING */
    struct completion *done;           /* POSTED, LANDING */
    char              *early;          /* bytes before (or while) they land, or NULL */
    uint64_t           remote[5];      /* the transport's: where a held message lies */
    struct match      *next, *previous;   /* in matching.moving; `next`: free list */
};

enum { MATCH_CLASSES = 11 };           /* buffers of 64 bytes to TRANSPORT_EAGER */

/* Matches and early buffers of one port.  Grows with the operations in flight;
 * keeps the matches and at most a megabyte of the buffers for the next ones. */
struct match_chunk;
struct match_buffer;
struct match_pool {
    struct match        *free;
    struct match_chunk  *chunks;
    struct match_buffer *buffers[MATCH_CLASSES];
    size_t               kept;         /* bytes in `buffers` */
};

void match_pool_init(struct match_pool *pool);
void match_pool_free(struct match_pool *pool);   /* after its matchings are cleared */

struct matching {
    struct match_pool       *pool;
    struct completion_queue *completions;
    const char              *peer;     /* for error texts; borrowed */
    int                      failure;  /* of the endpoint, or 0 */
    struct match            *moving;   /* LANDING and REFUSED ones, not finished */
    unsigned                 posted;   /* receives that have met nothing yet */
    struct matching_stream {
        uint32_t      low;             /* oldest number not yet matched */
        uint64_t      matched[TRANSPORT_WINDOW / 64];
        struct match *slots[TRANSPORT_WINDOW];   /* POSTED and EARLY, by number */
    } streams[TRANSPORT_STREAMS];
};

void matching_init(struct matching *matching, struct match_pool *pool,
                   struct completion_queue *completions, const char *peer);

/* A receive was posted.  PEAL_OK: taken; *match is NULL, or the held message
 * that the transport must now fetch or drop.  STATUS_AGAIN: the number is
 * beyond the window.  PEAL_ERR_STATE: posted twice.  PEAL_ERR_MEMORY. */
int matching_post(struct matching *matching, const struct message *message,
                  const struct landing *landing, struct completion *done,
                  struct match **match);

/* A message of `bytes` bytes has come.  PEAL_OK: *match->state says what to do
 * (see above).  PEAL_ERR_PROTOCOL: number, stream or length cannot be.
 * PEAL_ERR_MEMORY. */
int matching_arrive(struct matching *matching, const struct message *message,
                    size_t bytes, bool held, struct match **match);

/* Bytes [filled, filled + length) of the message lie at `piece`.  True: that was
 * all of it, the match is gone (completed, or stored for a later receive).
 * The caller has checked that length <= match->bytes - match->filled.  Pieces
 * are multiples of 64 bytes, except the last. */
bool matching_put(struct matching *matching, struct match *match, const void *piece,
                  size_t length);

/* The same for a transport that has written (only if landing.how is NULL) or
 * landed the bytes itself, in whatever order; `status` as from landing_put(). */
bool matching_landed(struct matching *matching, struct match *match, size_t length,
                     int status);

/* Forget a REFUSED match. */
void matching_drop(struct matching *matching, struct match *match);

/* The LANDING or REFUSED match with this number, or NULL: for transports whose
 * pieces name their message. */
struct match *matching_moving(const struct matching *matching, uint32_t stream,
                              uint32_t number);

/* The endpoint has failed with `status` (< 0), or its port closes. */
void matching_fail(struct matching *matching, int status);
void matching_clear(struct matching *matching);

/* The short way (transport.h, peek): is this the oldest message that nobody has
 * met, with no receive posted for it, nothing of it here, and nothing before it
 * still moving?  Then it may be handed over from where it lies, and skipped. */
static inline bool matching_open(const struct matching *matching, uint32_t stream,
                                 uint32_t number)
{
    const struct matching_stream *s = &matching->streams[stream];

    return s->low == number && !s->slots[number % TRANSPORT_WINDOW] && !matching->moving &&
           !matching->failure;
}

static inline void matching_skip(struct matching *matching, uint32_t stream)
{
    struct matching_stream *s = &matching->streams[stream];
    uint32_t at = ++s->low % TRANSPORT_WINDOW;

    /* Those after it may have met before. */
    for (; s->matched[at / 64] >> at % 64 & 1; at = ++s->low % TRANSPORT_WINDOW)
        s->matched[at / 64] &= ~((uint64_t)1 << at % 64);
}

/* The short way to a message that was put(), whole, before its receive: because it came as
 * a call of ours (UCX), or because whoever reads takes all that is there, and a sender that
 * runs ahead would else keep its receiver from the short way for ever.  Peek answers as
 * peek(); *view is for matching_take(). */
int  matching_peek(const struct matching *matching, const struct message *message,
                   size_t length, const void **view);
void matching_take(struct matching *matching, const struct message *message);

/* The same for transports that see messages where they lie, once matching_open() has said
 * no: PEAL_OK or STATUS_POST.  Is it this, and not what lies there, that was peeked at? */
static inline int matching_peek_early(const struct matching *matching,
                                      const struct message *message, size_t length,
                                      const void **view)
{
    return matching_peek(matching, message, length, view) == PEAL_OK ? PEAL_OK : STATUS_POST;
}

static inline bool matching_is_early(const struct matching *matching,
                                     const struct message *message)
{
    return matching->streams[message->stream].slots[message->number % TRANSPORT_WINDOW];
}

static inline uint32_t matching_low(const struct matching *matching, uint32_t stream)
{
    return matching->streams[stream].low;
}

/* The sender's view of its receiver's `low`, and which of the messages from there on it
 * has started; begins as zeros. */
struct send_window {
    uint32_t low[TRANSPORT_STREAMS];
    uint64_t started[TRANSPORT_STREAMS][TRANSPORT_WINDOW / 64];
};

static inline bool send_window_open(const struct send_window *window, uint32_t stream,
                                    uint32_t number)
{
    return number - window->low[stream] < TRANSPORT_WINDOW;
}

/* The receiver says that its low is now `low`.  False: that cannot be. */
static inline bool send_window_advance(struct send_window *window, uint32_t stream,
                                       uint32_t low)
{
    if (low - window->low[stream] > TRANSPORT_WINDOW)
        return false;
    window->low[stream] = low;
    return true;
}

static inline bool send_window_started(const struct send_window *window, uint32_t stream,
                                       uint32_t number)
{
    uint32_t at = number % TRANSPORT_WINDOW;

    return window->started[stream][at / 64] >> at % 64 & 1;
}

static inline void send_window_start(struct send_window *window, uint32_t stream,
                                     uint32_t number)
{
    uint32_t at = number % TRANSPORT_WINDOW;

    window->started[stream][at / 64] |= (uint64_t)1 << at % 64;
}

/* It was not started after all. */
static inline void send_window_forget(struct send_window *window, uint32_t stream,
                                      uint32_t number)
{
    uint32_t at = number % TRANSPORT_WINDOW;

    window->started[stream][at / 64] &= ~((uint64_t)1 << at % 64);
}

/* As send_window_advance(), of a window whose messages are noted as started: NULL, or
 * what is wrong. */
const char *send_window_credit(struct send_window *window, uint32_t stream, uint32_t low);

#endif
