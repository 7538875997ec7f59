/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of jobs: ranks as threads or as processes, and a mailbox that
 * remembers what came.  Checks may be made by any rank. */
#ifndef JOB_RANKS_H
#define JOB_RANKS_H

#include "comm/job.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/types.h>

enum { RANKS = 1000, WORLD = 7, BOX_SETS = 256 };

/* Shared by all ranks, be they threads or processes. */
extern struct shared {
    pthread_barrier_t barrier;
    _Atomic uint64_t  killed_at;
    _Atomic int       wrong, left;
    uint64_t          met_at[RANKS];
} *shared;

#define check(condition, ...)                                              \
    do {                                                                   \
        if (!(condition)) {                                                \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                \
            fprintf(stderr, __VA_ARGS__);                                  \
            fputc('\n', stderr);                                           \
            atomic_fetch_add(&shared->wrong, 1);                           \
        }                                                                  \
    } while (0)

struct box {
    struct job_member member;
    pthread_mutex_t   lock;
    pthread_cond_t    changed;
    int               nsets, nsockets, sockets[BOX_SETS][TRANSPORT_SOCKETS];
    struct { int peer, count; bool dialled; char transport[TRANSPORT_NAME]; } sets[BOX_SETS];
    int               refused, refused_status;
    int               failed, failures;
    uint64_t          failed_at;
    char              text[2048];
    int               answer;                 /* to compare() */
    int               behind_rank;
};

/* `answer` is what it answers to compare(). */
void box_open(struct box *box, struct job *job, uint64_t communicator, int answer);
void box_close(struct box *box, struct job *job);

/* Until *counter >= wanted; the watchdog ends a wait in vain. */
void box_await(struct box *box, const int *counter, int wanted);

struct rank_of {
    struct job_options options;
    void (*body)(struct job_options *options, int extra);
    int extra;
    pthread_t thread;
    pid_t pid;
};

extern struct rank_of ranks[RANKS];

/* Prepare: loopback only, descriptors enough, shared memory. */
void ranks_begin(void);

/* Is this case wanted?  Prints its name and winds the watchdog up. */
bool ranks_case(const char *only, const char *name);

/* Options of `n` ranks of a new job, rank 0 listening. */
void ranks_describe(int n, int nranks, bool threads, double timeout);
void ranks_launch(int from, int to, bool threads);
void ranks_finish(int from, int to, bool threads);

/* A job of n ranks that all run `body`; prepared, or run to its end. */
void ranks_prepare(int n, bool threads, void (*body)(struct job_options *, int), int extra);
void ranks_run(int n, bool threads, void (*body)(struct job_options *, int), int extra);

/* In a rank: job_create() that must succeed; all ranks meet. */
struct job *ranks_meet(const struct job_options *options);
void ranks_barrier(void);

/* A body: the job must not come about, with the status `extra`. */
void body_refused(struct job_options *options, int extra);

#endif
