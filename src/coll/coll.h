/* SPDX-License-Identifier: BSD-3-Clause */
/* From a call to a running schedule: finds the algorithm, gets its plan (cached
 * per communicator), binds buffers, starts and waits.  Knows no transport and
 * no algorithm by name.  Threading: as the communicator's. */
#ifndef COLL_H
#define COLL_H

#include "algorithms/algorithm.h"
#include "comm/comm.h"

/* A call as the user made it; arguments have been checked. */
struct coll_call {
    enum collective collective;
    const void     *sendbuf;           /* PEAL_IN_PLACE allowed where peal.h says so */
    void           *recvbuf;
    size_t          count;             /* as struct call; SENDRECV: elements sent */
    size_t          recvcount;         /* SENDRECV: elements received */
    const size_t   *counts;            /* REDUCE_SCATTER: per block, or NULL */
    peal_datatype_t type;
    peal_op_t       op;
    int             root;
    int             dest, source;      /* SENDRECV: -1 for none */
};

/* The count of the barrier that peal_comm_free makes, so that it meets no other. */
enum { COLL_LEAVING = 1 };

/* What a communicator needs for collectives; made on first use. */
int  coll_prepare(struct peal_comm *comm);
/* Before it is freed: completes the collectives that are active, and gives up
 * the messages: their failure is no failure of the communicator any more. */
int  coll_finish(struct peal_comm *comm);
/* After engine_break().  Requests live on without it until they are released. */
void coll_free(struct peal_comm *comm);

/* Blocking: start and wait. */
int coll_run(struct peal_comm *comm, const struct coll_call *call);
/* If it is one of the blocking calls made last, once more: then it needs neither checks nor
 * a look-up; *status is its outcome.  Else false, and nothing was done. */
bool coll_again(struct peal_comm *comm, const struct coll_call *call, int *status);

/* A request for the call; persistent ones are not started. */
int coll_request(struct peal_comm *comm, const struct coll_call *call, bool persistent,
                 struct peal_request **request);
/* If it is not persistent, and one of the messages made last but for its memory: without checks and
 * a look-up; *status is its outcome.  Else false, and nothing was done. */
bool coll_request_again(struct peal_comm *comm, const struct coll_call *call,
                        struct peal_request **request, int *status);
int coll_start(struct peal_request *request);
/* *done: the request has ended; its status is returned then. */
int coll_test(struct peal_request *request, bool *done);
int coll_wait(struct peal_request *request);
/* Progress on any of the requests' communicators; sleeps if nothing moves. */
int coll_wait_some(struct peal_request *const *requests, int count);
/* Are the active ones all of one communicator? */
bool coll_together(struct peal_request *const *requests, int count);
bool coll_active(const struct peal_request *request);
void coll_release(struct peal_request *request);       /* not active */
/* It has ended: true and it is released, unless it can be started again. */
bool coll_end(struct peal_request *request);

/* ---- Choosing (select.c) ------------------------------------------------- */

enum { SLICES_IN_FLIGHT = 4 };     /* of a call, with memory of their own for what is on its way */

struct coll_link {
    double latency;        /* seconds a message takes, besides its bytes ... */
    double overhead;       /* ... of which a core is busy */
    double bandwidth;      /* bytes per second that a rank sends ... */
    double ways;           /* ... to each of so many others at once: 1 or more */
    double slice;          /* bytes of a message above which it is cut ... */
    double least;          /* ... and below which it is not, to fill the rounds sooner */
    double most;           /* bytes of a slice of what all take from one rank's stage */
};

/* How the communicator's ranks lie and how fast their links are, the same on all of them. */
struct coll_speed {
    struct coll_link near, far;    /* within and between groups; equal if there is one */
    double ways;                   /* out of a group, each as fast as a far link: 1 or more */
    double crowding;               /* ranks for each core, at least 1 */
    double reduction;              /* bytes per second that a rank combines */
    bool   lends;                  /* a rank's memory can be seen by all others */
    struct layout *layout;         /* NULL: all links alike, every rank at its place */
};

struct coll_choice {
    const struct algorithm *algorithm;
    bool                    by_place;      /* it is told places for ranks */
    int                     nslices;
    double                  seconds;       /* as modelled */
};

/* May the algorithm be used for the call?  If not, `why` says so. */
bool select_allows(const struct algorithm *a, const struct call *c, bool reproducible,
                   const char **why);

/* Is it worth its price over such links?  What is not may still be forced. */
bool select_suits(const struct algorithm *a, const struct coll_speed *speed);

/* The cost of one algorithm, and how it would be run; seconds below 0: no memory to
 * find it. */
struct coll_choice select_price(const struct algorithm *a, const struct call *c,
                                bool reproducible, const struct coll_speed *speed);

/* The cheapest allowed one, or the one named `forced` (NULL: none) if allowed.
 * A pure function: equal arguments give equal choices on all ranks. */
int select_algorithm(const struct call *c, const char *forced, bool reproducible,
                     const struct coll_speed *speed, struct coll_choice *choice);

/* What shared memory and Ethernet give on ordinary machines, for explanations; a
 * communicator asks the transports that it uses. */
extern const struct reach select_near, select_far;

/* The speed of such links within and between groups, with the settings; they do not
 * lend, and there is no layout. */
struct coll_speed select_speed(const struct reach *near, const struct reach *far,
                               double crowding);
/* PEAL_STRICT */
bool select_strict(void);

/* The algorithm that a list such as "allreduce:ring,bcast:chain" names for the
 * collective; NULL if none.  PEAL_ERR_ARGUMENT for a list with unknown names. */
int select_parse(const char *list, const struct algorithm *forced[COLLECTIVES]);

/* ---- Signatures (signature.c) --------------------------------------------- */

struct signature signature_make(const struct coll_call *call, int nranks,
                                const struct arithmetic *how, const struct coll_choice *choice);
/* The same of that call of the communicator. */
struct signature signature_in_order(struct signature s, uint64_t call);
/* "allreduce of 100 float32, sum (ring)" */
void signature_describe(struct signature signature, char *text, size_t bytes);
/* Counts of n blocks as one number. */
uint64_t counts_hash(const size_t *counts, int n);

extern const struct setting coll_settings[];

#endif
