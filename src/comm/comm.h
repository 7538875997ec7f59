/* SPDX-License-Identifier: BSD-3-Clause */
/* A communicator: a group of ranks, an engine with a link to each, and what is
 * known about its health.  Knows jobs, transports and the engine; knows no
 * collective (it carries the collectives' state as an opaque pointer).
 *
 * Used by one thread at a time, except comm_abort().  Calls of the job's
 * monitor thread only touch what `lock` protects. */
#ifndef COMM_H
#define COMM_H

#include "comm/job.h"
#include "comm/progress.h"
#include "executor/executor.h"

#include <pthread.h>

struct coll;

enum {
    COMM_HISTORY = 64,             /* calls that are remembered for comparison */
    COMM_BEHIND  = 8,              /* late ranks that are remembered for a text */
    COMM_TEXT    = 1600
};

struct comm_options {              /* peal_config_t with settings filled in */
    double timeout, init_timeout;
    bool   reproducible, progress;
    char   transports[128];
    char   algorithms[256];
};

/* A call as others can ask about it. */
struct comm_call {
    _Atomic uint64_t number, what, count;
};

struct peal_comm {
    struct engine       engine;
    struct coll        *coll;      /* the collectives' caches; freed through coll_free */
    struct job         *job;       /* NULL: one rank */
    struct job_member   member;
    uint64_t            id;
    int                 rank, nranks;
    int                *job_ranks; /* of each rank */
    int                 local_ranks;
    double              crowding;  /* most ranks for each core they may use, at least 1 */
    struct where        self;      /* where this rank lives, also without a job */
    struct comm_options options;
    struct progress    *progress;  /* PEAL_PROGRESS, once something was nonblocking; or NULL */
    uint32_t            children;  /* communicators made from this one */
    uint64_t            calls;     /* collectives started so far */
    struct comm_call    history[COMM_HISTORY];
    _Atomic uint64_t    last_call;
    void              (*describe)(struct signature, char *text, size_t bytes);
    uint64_t            probed_at; /* when we last asked the others */

    pthread_mutex_t     lock;      /* of everything below */
    bool                failed_told;   /* the failure came from the job */
    int                 status;    /* 0, or why the communicator is broken */
    char                text[COMM_TEXT];
    struct inbox       *inboxes;   /* sockets that came for a peer */
    uint64_t            behind_call;   /* the call that `behind` is about */
    int                 nbehind;
    struct { int rank; char text[160]; } behind[COMM_BEHIND];
};

/* How many ranks of the job with lower numbers there are on this host. */
int comm_local(const struct peal_comm *comm);

/* Fill options from a configuration (may be NULL) and the settings. */
int comm_options_fill(const peal_config_t *config, struct comm_options *options);

/* The communicator of all ranks of a job; job NULL: of one rank.  Takes over
 * the caller's reference to the job. */
int comm_create_world(struct job *job, const struct comm_options *options,
                      struct peal_comm **comm);

/* A communicator of some ranks of `parent`, which all call this with the same
 * members in the same order; `salt` tells apart groups made at once. */
int comm_create_group(struct peal_comm *parent, const int *members, int nmembers,
                      uint64_t salt, struct peal_comm **comm);

/* `orderly`: the ranks have agreed to part. */
void comm_free(struct peal_comm *comm, bool orderly);

/* Around every use of the engine, once there may be a progress thread. */
static inline void comm_enter(struct peal_comm *comm)
{
    if (comm->progress)
        progress_enter(comm->progress);
}

static inline void comm_leave(struct peal_comm *comm)
{
    if (comm->progress)
        progress_leave(comm->progress);
}

/* Something nonblocking is about to start: with PEAL_PROGRESS, have a thread. */
int comm_progress_start(struct peal_comm *comm);
static inline int comm_progress(struct peal_comm *comm)
{
    bool wanted = !comm->progress && comm->options.progress && comm->nranks > 1;

    return wanted ? comm_progress_start(comm) : PEAL_OK;
}
/* The communicator is about to go. */
void comm_still(struct peal_comm *comm);

/* Why the communicator is broken, with the text set, or PEAL_OK. */
int comm_why(struct peal_comm *comm);

/* The same; inline, as every call begins with it. */
static inline int comm_check(struct peal_comm *comm)
{
    return atomic_load_explicit(&comm->engine.failure, memory_order_acquire) ? comm_why(comm) : PEAL_OK;
}

/* Break the communicator here and tell the others; the first reason counts.
 * Returns the status that counts, with its text set. */
int comm_break(struct peal_comm *comm, int status, const char *text);

/* The communicator has seen `status` without knowing the whole story (a lost
 * connection): wait a moment for the job to tell it; as comm_break. */
int comm_break_when_told(struct peal_comm *comm, int status, const char *text);

/* From any thread: break it everywhere. */
void comm_abort(struct peal_comm *comm, const char *reason);

/* A new collective starts: its number, remembered for comparison. */
uint64_t comm_begin_call(struct peal_comm *comm, struct signature signature);

/* Ranks that are known not to have made that call, as text, "" if none. */
void comm_behind_text(struct peal_comm *comm, uint64_t call, char *text, size_t bytes);

/* Where a rank of the communicator lives. */
const struct where *comm_where(const struct peal_comm *comm, int rank);

/* The allowed transports: in the order of the setting if there is one, else of the
 * list; NULL after the last. */
const struct transport *comm_transport(const struct peal_comm *comm, int index);

/* "rank 3 (host b, pid 17)" */
void comm_peer_name(const struct peal_comm *comm, int rank, char *text, size_t bytes);

extern const struct setting comm_settings[];

#endif
