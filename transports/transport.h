/* SPDX-License-Identifier: BSD-3-Clause */
/* The transport contract: how bytes move between two ranks.  This is all that
 * the author of a transport must read, with devices/device.h for landing_put()
 * and base/.  A transport knows no collective, schedule or communicator, and no
 * other transport.
 *
 * Threading: one port and all its endpoints are used by one thread at a time.
 * Different ports are used by different threads at once.
 *
 * Messages.  The two ends of an endpoint number their messages per direction
 * and stream: 0, 1, 2, ... modulo 2^32.  Message n goes to the receive posted
 * with number n in the same stream, in whatever order the two were posted.
 * The sender starts n only after it has started all numbers up to
 * n - TRANSPORT_WINDOW, so at most TRANSPORT_WINDOW arrivals per direction and
 * stream can lie beyond the oldest number that the receiver has not matched; a
 * transport holds those (at most TRANSPORT_EAGER bytes of payload each: larger
 * ones must wait at the sender until the receive is posted) and never lets a
 * message that nobody has posted for block one that somebody waits for.
 *
 * Checks.  Every message carries its signature and length.  At the match the
 * receiving side compares both with what was posted; if they differ it completes
 * the receive with PEAL_ERR_MISMATCH and the sender's values in `theirs`, and
 * touches no destination byte.  Lengths, numbers and offsets that come from a
 * peer are checked before use, in release builds too: PEAL_ERR_PROTOCOL.
 *
 * Failure.  When a peer dies or its connection is lost, every operation posted
 * on the endpoint completes with PEAL_ERR_PEER, and so does each later one.
 * Data that had arrived before is still delivered.  Whenever a failure other than
 * a mismatch is returned or completed, the calling thread's status_text() says
 * why, however long ago and in whichever thread it was found. */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include "base/settings.h"
#include "base/status.h"
#include "devices/device.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRANSPORT_WINDOW  = 256,       /* messages; a power of two */
    TRANSPORT_EAGER   = 64 << 10,  /* most bytes sent before the receive is posted */
    TRANSPORT_STREAMS = 2,         /* streams 0 (collectives) and 1 (point to point) */
    TRANSPORT_SOCKETS = 8,         /* most sockets of one endpoint */
    TRANSPORT_NAME    = 16,        /* bytes of a transport's name, with the NUL */
    TRANSPORT_FABRICS = 4          /* transports that publish something about a rank */
};

struct report;                     /* base/report.h */
struct port;                       /* this rank's end of one transport, one communicator */
struct endpoint;                   /* a connection from a port to one peer */

/* Where a rank lives: exchanged once per job, equal on all ranks. */
struct where {
    uint64_t host;                 /* equal: same kernel and network namespace */
    uint64_t process;              /* equal (and same host): same process */
    uint32_t pid;                  /* in the rank's own pid namespace */
    uint32_t pid_namespace;        /* equal: `pid` means something to both */
    uint64_t cores;                /* equal: may run on the same set of cores, of where_cores() */
    uint16_t numa;                 /* node of those cores, from 1; 0: several, the only one, not known */
    uint8_t  ring;                 /* place of its GPU in a ring over those of the host, from 1, whose
                                      neighbours reach each other best (of their numbers where no ring
                                      joins them); 0: not known */
    uint64_t plan;                 /* equal: the hosts have the same rings and trees over such places;
                                      0: not known */
    char     hostname[64];         /* for people */
    struct fabric {                /* what transports publish about the rank: */
        char     transport[TRANSPORT_NAME];    /* empty: no more follow */
        uint64_t word;             /* see `fabric` below */
    } fabrics[TRANSPORT_FABRICS];
};

/* The word that the transport of this name has published about a rank; 0: none. */
uint64_t where_fabric(const struct where *where, const char *transport);
/* Fill in where->fabrics from the transports that `list` names; empty: from all. */
void where_publish(struct where *where, const char *list);

static inline int where_cores(const struct where *where)
{
    return (int)(where->cores & 0xffff);
}

/* What a call is, for comparison and for error texts.  Opaque here. */
struct signature { uint64_t what, count; };

static inline bool signature_equal(const struct signature *a, const struct signature *b)
{
    return a->what == b->what && a->count == b->count;
}

struct message {
    uint32_t         stream;       /* < TRANSPORT_STREAMS */
    uint32_t         number;
    struct signature signature;
};

/* Completions are handed back through the queue of the port, in the order in
 * which they happened; the owner takes them off after progress(), send() or
 * recv(). */
struct completion {
    int                status;     /* PEAL_OK or an error ... */
    bool               told;       /* ... of which the queue's `why` is the text */
    struct signature   theirs;     /* valid if status is PEAL_ERR_MISMATCH ... */
    size_t             their_bytes;/* ... the sender's signature and length */
    struct completion *next;
};
struct completion_queue {
    struct completion *first, **last;
    char              *why;        /* STATUS_TEXT bytes for the text of the first failure, or NULL: other
                                      failures may come before it is heard of, and another thread hear it */
};

static inline void completion_queue_init(struct completion_queue *q)
{
    q->first = NULL;
    q->last = &q->first;
    q->why = NULL;
}

static inline void completion_add(struct completion_queue *q, struct completion *done,
                                  int status, bool told)
{
    done->status = status;
    done->told = told;
    done->next = NULL;
    *q->last = done;
    q->last = &done->next;
}

/* The calling thread's text is about a failure: keep it, if it is the first. */
static inline bool completion_note(const struct completion_queue *q)
{
    return q->why && status_note(q->why);
}

/* For transports: `done` has ended with `status`. */
static inline void completion_done(struct completion_queue *q, struct completion *done,
                                   int status)
{
    bool told = status != PEAL_OK && status != PEAL_ERR_MISMATCH && completion_note(q);

    completion_add(q, done, status, told);
}

/* For the owner: the oldest completion, or NULL. */
static inline struct completion *completion_next(struct completion_queue *q)
{
    struct completion *done = q->first;

    if (done && !(q->first = done->next))
        q->last = &q->first;
    return done;
}

struct reach {                     /* how well a peer can be reached */
    double latency;                /* seconds, for a small message ... */
    double overhead;               /* ... of which a core is busy */
    double bandwidth;              /* bytes per second, of all devices together that a host has */
    int    devices;                /* how many, if ranks that know which are near leave the others to the
                                      other ranks of their host; else 0 */
    double ways;                   /* to how many others a rank sends at that bandwidth at once, over ways
                                      of their own; 0: they share it */
    size_t slice;                  /* bytes of a message above which slices are better */
};

/* What a port is opened for. */
struct port_options {
    uint64_t                 communicator;   /* the same on all its ranks */
    int                      rank, nranks;   /* in that communicator */
    const struct where      *where;          /* this rank's */
    int                      local_ranks;    /* ranks of the communicator on this host ... */
    bool                     crowded;        /* ... of which those near this one have too few cores */
    struct completion_queue *completions;    /* where completions go */
    /* For a transport with a choice of devices: the names of those that this rank should use
     * before others, "mlx5_0,mlx5_1"; empty: there is no difference, or none is known.  Looks at
     * the machine when it is first called.  May be NULL. */
    void                   (*near)(const struct port_options *options, char *list, size_t bytes);
    void                    *owner;          /* near()'s */
};

/* Where the sockets of an endpoint come from: connected stream sockets whose
 * other end has proved the job's secret, and is `peer` of this communicator.
 * Both ends get the same number of sockets, in the same order, nonblocking and
 * close-on-exec.  The two ends may be given theirs at different times. */
enum socket_kind {
    SOCKET_NONE,                   /* connect() is called without sockets */
    SOCKET_LOCAL,                  /* Unix domain, same host: may pass descriptors */
    SOCKET_INET                    /* TCP */
};

struct transport {
    const char           *name;
    const struct setting *settings;    /* a table of settings, or NULL */
    enum socket_kind      sockets;
    bool                  lends;       /* peek() sees peal_mem_alloc memory of the peer */
    size_t                walks;       /* bytes of a message for which the short way is good, if they
                                          are more than the executor thinks of any transport */

    /* PEAL_OK if the transport can work on this machine at all, else
     * PEAL_ERR_UNSUPPORTED with the reason. */
    int  (*usable)(void);

    /* How many sockets an endpoint wants, 1..TRANSPORT_SOCKETS (the dialling
     * side decides); not called for SOCKET_NONE. */
    int  (*socket_count)(void);

    /* May be NULL.  What reach() must know about this rank besides where it is, as
     * one word that every rank gets to see: its networks, for example.  0: this
     * transport cannot be used here.  Asked once per job that may use it, before
     * anybody connects.  `named`: the user has named it; one that cannot look without
     * disturbing the process answers 0 if not. */
    uint64_t (*fabric)(bool named);

    /* May be NULL.  For people: a row for each device that this transport knows, with
     * whether and how it would be used, and what is wrong with it. */
    void (*devices)(struct report *report);

    /* Can a rank at `peer` be reached from `self`, and how well?  PEAL_OK, or
     * PEAL_ERR_UNSUPPORTED with the reason.  Symmetric in the two, and a function of
     * nothing else: both ends must come to the same answer. */
    int  (*reach)(const struct where *self, const struct where *peer, struct reach *how);

    /* A port without endpoints.  Costs nothing until connect(). */
    int  (*open)(const struct port_options *options, struct port **port);

    /* Drop everything: no memory that was posted is touched after the return,
     * and no posted completion is queued.  Disconnects all endpoints.  With
     * `flush`, data already accepted from send() that the peer can still take
     * is first delivered (bounded by a second).  NULL is allowed. */
    void (*close)(struct port *port, bool flush);

    /* Make the endpoint for `peer`.  Takes over the sockets, also on failure;
     * `dialled`: this side opened them.  Returns at once: what the two ends
     * still have to tell each other happens in progress(), until then send()
     * may answer STATUS_AGAIN.  SOCKET_NONE: STATUS_AGAIN while the peer has
     * not opened its port; when it does, progress() finds something. */
    int  (*connect)(struct port *port, int peer, const struct where *where,
                    const int *sockets, int nsockets, bool dialled,
                    struct endpoint **endpoint);

    /* Start one transfer.  PEAL_OK: `done` will be queued exactly once, during
     * this call or a later progress(), and until then memory, message (copied)
     * and landing (copied; what it points to is not) belong to the transport.
     * A send is done when its memory may be written again; a receive when its
     * bytes have landed.  STATUS_AGAIN: no room, nothing was started.  A
     * transfer of 0 bytes is a message like any other.  recv() never answers
     * STATUS_AGAIN within the window. */
    int  (*send)(struct endpoint *to, const struct message *message,
                 const void *bytes, size_t length, struct completion *done);
    int  (*recv)(struct endpoint *from, const struct message *message,
                 const struct landing *landing, struct completion *done);

    /* May be NULL.  Send, and copy the message to `keep` (where it lies, or beside it), both by the time
     * that `done` is queued, so that it is read once; `streams`: past the caches.  As send(), but STATUS_AGAIN also where
     * that is of no use; then use send(). */
    int  (*send_keep)(struct endpoint *to, const struct message *message, const void *bytes,
                      size_t length, void *keep, bool streams, struct completion *done);

    /* May be NULL.  Receive, and send on what has landed: recv(from, message, landing, landed),
     * and when that has ended send(to, onward, landing->dst, landing->bytes, sent), in one, so
     * that both can be stored as it comes.  The destination is the transport's until both have
     * completed.  PEAL_OK: both were started; should the first fail, the second fails too, with
     * the endpoint that it was to go to, or never completes.  STATUS_AGAIN: neither was; use the
     * two calls.  Both endpoints are of one port.  recv() knows nothing of the landing's `passes`
     * and `keep`. */
    int  (*relay)(struct endpoint *from, const struct message *message,
                  const struct landing *landing, struct completion *landed,
                  struct endpoint *to, const struct message *onward, struct completion *sent);

    /* The short way, for small messages whose turn it is.  The owner must be able
     * to go the long way instead, at any moment: both see the same messages, and
     * one transfer may go the short way at one end and the long way at the other.
     *
     * Put: send and be done with the memory before the return.  PEAL_OK: `done` is
     * not queued.  STATUS_LATER: it could not be helped, `done` will be queued, as
     * after send().  STATUS_AGAIN: nothing was started, use send() (which may do it,
     * or say why not).
     *
     * Put_keep, which may be NULL: put, and copy the message to `keep`, so that it is read once.
     * PEAL_OK, or STATUS_AGAIN also where that is of no use.  `keep` may be where the message lies;
     * else the two do not overlap.
     *
     * Peek: has the message come?  PEAL_OK: yes, whole, with this signature and
     * length; *view is where it lies, until take(), which must follow before any
     * other call on the port but place_begin().  STATUS_AGAIN: nothing has come yet; peek again.
     * STATUS_POST: use recv(); so for a message that differs, comes in pieces, or
     * lies where it cannot be seen, for a failed peer, or if receives of the endpoint
     * are posted and unfinished.  Sends that peek() finds ended are completed.
     *
     * Take: done with the view.  PEAL_OK, or an error if what was seen there may not
     * have been the message: its sender has gone meanwhile.
     *
     * A transport without a short way has transport_put_never() and so on.
     *
     * Expect and place, of transports that lend: where the receiver's memory can be
     * seen, the sender may store the message there.  Expect: `memory` is where this
     * message is to lie, and nobody uses it until the message has come.  A hint.
     * Place: PEAL_OK: the message lies where it was expected, and peek() will say so;
     * STATUS_AGAIN: nothing was done, use send().  `streams`: store past the caches.
     *
     * The same in two parts, for a message that is made as it is stored: place_begin() says
     * where (STATUS_AGAIN: use place() or send()), the owner stores it there, which should take
     * no longer than a copy, and calls place_end(), with PEAL_OK, or with an error if what lies
     * there is not the message.  In between no call on the port but take(), of what was peeked
     * at before.  place_end() returns the error, or one of its own if the peer has gone. */
    int  (*put)(struct endpoint *to, const struct message *message, const void *bytes,
                size_t length, struct completion *done);
    int  (*put_keep)(struct endpoint *to, const struct message *message, const void *bytes,
                     size_t length, void *keep);
    int  (*peek)(struct endpoint *from, const struct message *message, size_t length,
                 const void **view);
    int  (*take)(struct endpoint *from, const struct message *message, size_t length);
    void (*expect)(struct endpoint *from, const struct message *message, void *memory,
                   size_t length);
    int  (*place)(struct endpoint *to, const struct message *message, const void *bytes,
                  size_t length, bool streams);
    int  (*place_begin)(struct endpoint *to, const struct message *message, size_t length,
                        bool streams, struct also *at);
    int  (*place_end)(struct endpoint *to, const struct message *message, size_t length,
                      int status);

    /* Move what can move; never blocks.  Returns how many things it moved
     * (bytes, headers, completions: anything), 0 if there was nothing to do. */
    int  (*progress)(struct port *port);

    /* A descriptor that becomes readable when progress() would find something,
     * provided arm() was called after the last progress(); valid for the
     * port's life, watched with poll() for POLLIN. */
    int  (*descriptor)(struct port *port);

    /* About to sleep on the descriptor.  PEAL_OK: nothing to do now, and
     * whatever comes will make it readable.  STATUS_AGAIN: something came,
     * call progress() instead of sleeping. */
    int  (*arm)(struct port *port);
};

int  transport_put_never(struct endpoint *to, const struct message *message,
                         const void *bytes, size_t length, struct completion *done);
int  transport_peek_never(struct endpoint *from, const struct message *message,
                          size_t length, const void **view);
int  transport_take_never(struct endpoint *from, const struct message *message,
                          size_t length);

/* For transports: a descriptor of epoll, for a port. */
int  transport_epoll(int *epoll);

extern const struct transport *const transports[];      /* best first, NULL-ended */

/* By name; NULL if there is none. */
const struct transport *transport_find(const char *name);

#endif
