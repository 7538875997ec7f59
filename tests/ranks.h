/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks for tests of the public API: starts them as processes, as threads of
 * one process, or as several processes of several threads; lets them meet;
 * watches that they end, and says where a rank hangs.  Knows peal.h only.
 *
 * A rank is a function.  What it finds wrong it reports with rank_check() and
 * its kin, which count; ranks_run() adds up.  A plan's ranks are always other
 * processes than the caller, so that the caller can kill what hangs. */
#ifndef RANKS_H
#define RANKS_H

#include "peal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { RANKS_MOST = 64 };

struct rank;

struct ranks_plan {
    const char          *name;         /* for messages */
    int                  nranks;
    int                  per_process;  /* ranks, each a thread, of a process; 0: 1 */
    bool                 environment;  /* meet by peal_init(), not by a unique id */
    const peal_config_t *config;       /* for rank_comm(); may be NULL */
    void               (*body)(struct rank *me);
    const void          *context;      /* for the body */
    size_t               shared;       /* bytes of zeroed memory that all ranks see */
    double               seconds;      /* after which what still runs is killed; 0: 60 */
    uint64_t             doomed;       /* bit r: rank r is meant to die of SIGKILL */
};

/* What a rank knows of itself. */
struct rank {
    int                      rank, nranks;
    const struct ranks_plan *plan;
    const void              *context;
    void                    *shared;
    struct ranks_board      *board;    /* of the harness */
};

/* Run them; returns how many ranks did not end well, each reported on stderr. */
int ranks_run(const struct ranks_plan *plan);

/* Make the communicator of all ranks, as the plan says; the status is returned. */
int rank_join(struct rank *me, const peal_config_t *config, peal_comm_t *comm);
/* The same with the plan's configuration; a failure is reported. */
bool rank_comm(struct rank *me, peal_comm_t *comm);
bool rank_comm_free(struct rank *me, peal_comm_t *comm);

/* Wait for all ranks, by other means than Peal; none may be dead. */
void rank_meet(struct rank *me);

/* What the rank does now, for the message about a rank that hangs. */
void rank_doing(struct rank *me, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Report, if `good` is false; returns `good`. */
bool rank_check(struct rank *me, bool good, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Report, with peal_last_error(), if `status` is not `wanted`. */
bool rank_status(struct rank *me, int status, int wanted, const char *what);
/* Does peal_last_error() contain the word? */
bool rank_error_says(struct rank *me, const char *word);

int rank_failures(const struct rank *me);
pid_t rank_pid(const struct rank *me, int rank);

/* ---- Things that the tests share ----------------------------------------- */

/* The plain ways to reach another rank, ended by a NULL name. */
struct ranks_road { const char *name, *transports; int per_process; };
extern const struct ranks_road ranks_roads[];
/* Run the plan over each road and each number of ranks (a list ended by 0),
 * with its configuration's transports replaced; returns the failures. */
int ranks_run_roads(const struct ranks_plan *plan, const int *sizes);

/* This process is on a host of that number, for all that Peal knows; before its ranks meet. */
void ranks_pretend_host(int host);

/* Zeroed memory that stays shared over fork(); never given back. */
void *ranks_share(size_t bytes);
int ranks_entries(const char *folder);  /* with "." and ".." */
double ranks_now(void);                /* seconds, monotonic */
/* A generator of repeatable numbers (splitmix64). */
uint64_t ranks_random(uint64_t *state);
uint64_t ranks_below(uint64_t *state, uint64_t limit);
/* The seed: argv[1], else the default; printed. */
uint64_t ranks_seed(int argc, char **argv, uint64_t fallback);
/* The last line of a test: what, failures, seconds; returns main's status. */
int ranks_verdict(const char *test, int failures, double started);

#endif
