/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside coll: what blocking calls and requests share. */
#ifndef START_H
#define START_H

#include "coll/cache.h"
#include "coll/heat.h"

/* The latest blocking calls: a loop repeats them, one or a few in turn, and then they need no
 * look-up.  Each keeps its seat until another call takes its place, or until another is made
 * that is not among them, if its plan holds much memory. */
enum { RECENT_CALLS = 4, RECENT_BYTES = 64 << 10 };
struct recent {
    struct coll_call call;
    struct seat     *seat;             /* NULL: none */
    unsigned         then;             /* which one followed it the last time */
};

/* The latest messages that were begun as requests.  Others differ from them in their memory only:
 * these need no look-up either. */
enum { RECENT_MESSAGES = 4 };
struct recent_message {
    struct coll_call call;
    struct entry    *entry;            /* NULL: none; there while nothing is evicted, */
    unsigned         evicted;          /* as the cache counts it */
    struct signature signature;
};

struct coll {
    struct recent           recent[RECENT_CALLS];
    unsigned                latest, newest;    /* of them: made last; taken in last */
    struct recent_message   messages[RECENT_MESSAGES];
    unsigned                newest_message;    /* of them: taken in last */
    struct cache            cache;
    const struct algorithm *forced[COLLECTIVES];
    struct coll_speed       speed;
    bool                    strict;            /* close calls with tokens where needed */
    struct peal_request    *requests;          /* not released */
    struct peal_request    *free_requests;
    struct heat             heat;
};

/* How the communicator's ranks lie and how fast their links are (links.c); the layout is
 * the caller's to free. */
int links_find(const struct peal_comm *comm, struct coll_speed *speed);

/* A seat for a call, its run not started; `again`: to be started more than once.  If that fails
 * for want of something, the others would wait for this rank: they are told. */
int coll_seat(struct peal_comm *comm, const struct coll_call *user, bool again,
              struct seat **seat);

/* Start what coll_seat() has made, to be waited for later. */
int coll_launch(struct peal_comm *comm, struct seat *seat);

/* The engine said that `run` (NULL: none was started) cannot end well: find out
 * why, break the communicator everywhere, return the status that counts (story.c). */
int coll_broke(struct peal_comm *comm, const struct run *run, int status);

/* The communicator goes: its requests stay, without it (request.c). */
void requests_orphan(struct coll *coll);

#endif
