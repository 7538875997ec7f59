/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks that are threads of one process, and a rank to itself: what the files of
 * this transport share.
 *
 * Two ports of one communicator share a `pair`, which is made by the first of
 * them that connects and freed when both are closed.  A sender hangs a note on
 * the receiver's side of the pair; the receiver lands the bytes straight from
 * the sender's memory and hangs the note back.  Short messages are copied into
 * the note, so that their sends complete at once; the notes belong to the pair,
 * so that these can be received after their sender has closed.
 *
 * A port whose connect() came before its peer's open() is told when any port of
 * the communicator opens (`met`): its owner then tries again.
 *
 * Locks: `registry.lock` guards which ports and pairs exist and is taken first;
 * pair.lock guards what hangs on its two sides.  Bytes are landed without a
 * lock: the receiver sets `reading`, and the sender's close() waits for it. */
#ifndef SELF_H
#define SELF_H

#include "transports/matching.h"
#include "transports/transport.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    NOTE_BYTES = 256,              /* messages up to this are copied */
    NOTE_CHUNK = 16
};

struct note {
    struct note       *next;
    struct message     message;
    const char        *bytes;      /* the sender's memory, or `copy` */
    size_t             length;
    struct completion *done;       /* NULL: completed already, `bytes` is `copy` */
    struct match      *match;      /* the receiver's, while it lands the bytes */
    char               copy[NOTE_BYTES];
};

struct note_list { struct note *first, **last; };

struct note_chunk {
    struct note_chunk *next;
    struct note        notes[NOTE_CHUNK];
};

struct side {                      /* one end of a pair; pair.lock, unless it says otherwise */
    struct port       *port;       /* NULL: not connected yet, or closed */
    bool               leaving;    /* in close(): takes nothing more */
    bool               closed;
    bool               gone;       /* registry.lock: its port exists no more */
    bool               reading;    /* the other side lands from this side's memory */
    struct note_list   arrived;    /* the other side's notes */
    struct note_list   taken;      /* this side's notes, coming back */
    int                held;       /* this side's notes that point to its memory */
    struct note_chunk *chunks;     /* all notes of this side; its thread, then the pair's end */
    atomic_bool        news;       /* lists or flags changed; read without the lock */
    atomic_bool        starved;    /* send() waits for the other side's low */
    _Atomic uint32_t   low[TRANSPORT_STREAMS];   /* of its matching */
};

struct pair {
    struct pair     *next;         /* registry.lock */
    uint64_t         communicator;
    int              ranks[2];     /* ranks[0] <= ranks[1] */
    pthread_mutex_t  lock;
    pthread_cond_t   moved;        /* `reading` ended, notes were taken, a side is leaving */
    struct side      sides[2];     /* sides[0] alone if the ranks are equal */
};

struct endpoint {
    struct port     *port;
    struct endpoint *next;
    struct pair     *pair;
    struct side     *mine, *theirs;
    struct matching  matching;
    struct note     *free;
    struct note_list pulls;        /* notes with a match: to be landed, in order */
    char             peer[24], why[96];    /* `why`: of matching.failure */
};

struct port {
    struct port_options options;
    struct port        *next;      /* registry.lock */
    bool                seeks;     /* registry.lock: connect() found no port of the peer */
    struct endpoint    *endpoints;
    struct match_pool   pool;
    int                 bell;      /* eventfd */
    bool                slept;     /* arm() was called after the last progress() */
    atomic_bool         armed;
    atomic_bool         met;       /* a port has opened since connect() found none */
};

static inline void list_init(struct note_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static inline void list_append(struct note_list *list, struct note *note)
{
    note->next = NULL;
    *list->last = note;
    list->last = &note->next;
}

static inline struct note *list_pop(struct note_list *list)
{
    struct note *note = list->first;

    if (note && !(list->first = note->next))
        list->last = &list->first;
    return note;
}

/* Append all of `from`, which becomes empty. */
static inline void list_move(struct note_list *to, struct note_list *from)
{
    if (!from->first)
        return;
    *to->last = from->first;
    to->last = from->last;
    list_init(from);
}

/* self_pair.c.  A port exists from enter to leave; after its endpoints are gone
 * it leaves, and with it its side of each of its pairs. */
void registry_enter(struct port *port);
void registry_leave(struct port *port);

/* The pair with a rank.  STATUS_AGAIN: the peer has not opened its port. */
int pair_find(struct port *port, int peer, struct pair **pair);

/* pair.lock is held.  Tell the owner of `side` that it has something to do. */
void side_notify(struct side *side);

#endif
