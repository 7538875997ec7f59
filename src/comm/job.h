/* SPDX-License-Identifier: BSD-3-Clause */
/* A job: the ranks that met at a rendezvous, from one rank's point of view.
 *
 * It owns this rank's listening sockets (the "door"), the authenticated
 * sockets to its neighbours in the control tree, and one thread (the "monitor")
 * that sleeps in poll(), accepts and dials connections, notices the death of
 * neighbours and passes control messages on.  It works while the application
 * computes.  It knows communicators only as numbers with a mailbox. */
#ifndef JOB_H
#define JOB_H

#include "transports/transport.h"

struct job;
struct layout_plan;

enum { JOB_SECRET = 32, JOB_ADDRESSES = 4 };

/* What a rank must know to find the others. */
struct job_options {
    int           rank, nranks;
    char          root[256];          /* "host:port" or "[v6]:port"; rank 0 binds it */
    int           root_listener;      /* rank 0: a listening socket already made, or -1 */
    uint64_t      id;                 /* of the job; 0: derived from the root's address */
    unsigned char secret[JOB_SECRET];
    bool          threads_only;       /* all ranks live in this process: no secret needed */
    double        timeout;            /* seconds for everybody to come */
    char          transports[128];    /* that may be used; empty: all */
};

/* Meet all ranks: returns when everybody's `where` is known here.  Errors:
 * PEAL_ERR_TIMEOUT naming the ranks that did not come, PEAL_ERR_AUTH,
 * PEAL_ERR_LAUNCH (two ranks with one number, different nranks), ...  nranks > 1. */
int job_create(const struct job_options *options, struct job **job);

/* References; the last release leaves the job: with `orderly` it first waits,
 * bounded by `deadline`, until all ranks of the job want to leave, so that
 * nobody takes it for dead; otherwise it closes at once. */
void job_hold(struct job *job);
void job_release(struct job *job, bool orderly, uint64_t deadline);

int job_rank(const struct job *job);
int job_size(const struct job *job);
uint64_t job_id(const struct job *job);
const struct where *job_where(const struct job *job, int rank);   /* of a job rank */
const struct layout_plan *job_plan(const struct job *job);         /* of this rank's host (ring_order.h) */

/* A communicator's mailbox.  The functions are called by the monitor thread;
 * they must not block nor call job_ functions. */
struct job_member {
    uint64_t communicator;
    void    *owner;
    /* A set of authenticated sockets from the job's rank `peer`, dialled by
     * us or by them, for this transport.  Ownership passes. */
    void (*sockets)(void *owner, int peer, const char *transport,
                    const int *sockets, int nsockets, bool dialled);
    /* The sockets we dialled for could not be had. */
    void (*refused)(void *owner, int peer, int status, const char *text);
    /* The communicator has failed, here or elsewhere; called once. */
    void (*failed)(void *owner, int status, const char *text);
    /* A rank is stuck in call number `call` with this signature.  Answer:
     *  0 we made the same call (or are too far ahead to remember);
     *  1 we have not made it yet: write into text what we did last;
     *  2 we made another one: write the other call's name into text. */
    int  (*compare)(void *owner, uint64_t call, struct signature signature,
                    char *text, size_t text_bytes);
    /* The answers of others to our stuck call: rank (of the job) has not made it. */
    void (*behind)(void *owner, int rank, uint64_t call, const char *text);
    struct job_member *next;          /* the job's */
    bool told;                        /* the job's: failed() was called */
};
void job_attach(struct job *job, struct job_member *member);
void job_detach(struct job *job, struct job_member *member);   /* waits for callbacks */

/* Ask for `count` sockets of a kind to the job's rank `peer`; the answer comes
 * to sockets() or refused() of both ends' member for the communicator.  Only
 * the lower rank of a pair may dial. */
int job_dial(struct job *job, uint64_t communicator, int peer, const char *transport,
             enum socket_kind kind, int count);

/* Tell all ranks of the job that this communicator failed (all ranks: its
 * failed() is called everywhere, here too).  communicator 0: all of them. */
void job_fail(struct job *job, uint64_t communicator, int status, const char *text);

/* Ask everybody whether they are in the same call.  `name` describes ours, for
 * the text of a mismatch. */
void job_probe(struct job *job, uint64_t communicator, uint64_t call,
               struct signature signature, const char *name);

extern const struct setting job_settings[];

#endif
