/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the executor: one execution of a plan. */
#ifndef RUN_H
#define RUN_H

#include "executor/executor.h"
#include "executor/plan.h"

/* A message in flight. */
struct task {
    struct completion done;        /* first: the transport hands this back */
    struct run       *run;
    struct task      *next;        /* free list */
    uint32_t          step;
};

/* Sends that may be under way on the short way. */
enum { RUN_FLIGHTS = 8 };

struct run {
    const struct plan *plan;
    struct engine     *engine;     /* while active */
    struct run        *next;       /* in engine.runs, if it is there: */
    bool               listed;
    const struct binding *binding;
    uint64_t           call, deadline;         /* the owner's, see run_note() */
    bool               active, abandoned;
    bool               walking;    /* on the short way (walk.c); `walked` steps are done */
    bool               lent;       /* the memory that it begins with can be seen by peers */
    uint32_t           walked;
    uint32_t           expected;   /* steps before this one have been expected, if they can */
    uint32_t           flights[RUN_FLIGHTS];   /* walked steps whose sends have not ended */
    uint32_t           nflights;
    int                status;
    uint32_t           left;       /* steps not yet done */
    uint32_t          *waits;      /* per step: how many it still waits for */
    uint32_t          *ready;      /* queue: every step enters once */
    uint32_t           head, tail;
    uint32_t          *blocked;    /* ready, but the transport had no room */
    uint32_t           nblocked;
    uint32_t          *send_base, *recv_base;   /* per plan peer: numbers reserved */
    const void       **parts;      /* operands of one reduction */
    struct task       *tasks, *free_tasks;
    unsigned char     *scratch;
    void              *staged;              /* the same, if peers can see it; or NULL */
    bool               warm;                /* it was used before: its pages are not new */
    struct pace       *paces;               /* per plan peer: of copies that it alone reads there */
    struct run_fault   fault;
};

static inline unsigned char *run_at(const struct run *run, struct span span)
{
    unsigned char *base = span.space == TMP ? run->scratch : run->binding->space[span.space];

    return base + span.offset;
}

/* Is the step's result stored past the caches? */
static inline bool run_past(const struct run *run, const struct step *step)
{
    return step->streams && run->binding->past;
}

/* The message of a step, and its landing if it is received. */
static inline struct message run_message(const struct run *run, const struct step *step)
{
    const uint32_t *base = step->kind == OP_SEND ? run->send_base : run->recv_base;

    return (struct message){
        .stream = run->binding->stream,
        .number = step->sequence + base[step->peer_index],
        .signature = run->binding->signature,
    };
}

static inline struct landing run_landing(const struct run *run, const struct step *step)
{
    struct landing landing = {
        .dst = (char *)run_at(run, step->dst),
        .bytes = step->dst.bytes,
        .incoming_first = step->incoming_first,
        .streams = run_past(run, step),
    };

    if (step->kind == OP_COMBINE) {
        landing.how = &run->binding->how;
        landing.operand = (char *)run_at(run, step->src);
    }
    return landing;
}

/* ... and is sent on, and kept, in one pass. */
static inline struct landing run_landing_onward(const struct run *run, const struct step *step)
{
    struct landing landing = run_landing(run, step);
    const struct step *keep = &run->plan->steps[step->keep];

    landing.passes = step->passes;
    if (step->keep) {
        landing.keep = (char *)run_at(run, keep->dst);
        landing.streams = run_past(run, keep);
    }
    return landing;
}

/* Reduce, copy, scale. */
int  run_local(struct run *run, const struct step *step);
/* A step has returned a failure, with the calling thread's text; `peer` or -1.  The run
 * cannot go on, and takes the engine down. */
void run_failed(struct run *run, int status, int peer);

/* Start a message the long way: PEAL_OK, STATUS_AGAIN or an error. */
int  run_message_start(struct run *run, uint32_t index, struct link *link);

/* Start what can be started; returns how many steps that was. */
int run_advance(struct run *run);

/* A message of the run has ended. */
void run_completed(struct task *task);
/* Hand what has completed to its runs; returns how many that was (engine.c). */
int  engine_hear(struct engine *engine);

/* May message `n` be started, with respect to the window?  The transport relies
 * on it: what lies beyond could not be held by the receiver. */
static inline bool window_allows(const struct window *window, uint32_t n)
{
    return n - window->low < TRANSPORT_WINDOW;
}

static inline bool window_has(const struct window *window, uint32_t n)
{
    return window->started[n % TRANSPORT_WINDOW / 64] >> n % 64 & 1;
}

static inline void window_started(struct window *window, uint32_t n)
{
    if (n != window->low) {
        window->started[n % TRANSPORT_WINDOW / 64] |= UINT64_C(1) << n % 64;
        return;
    }
    for (window->low++; window_has(window, window->low); window->low++)
        window->started[window->low % TRANSPORT_WINDOW / 64] &=
            ~(UINT64_C(1) << window->low % 64);
}

/* walk.c.  The short way: the steps in the order of the program, each done before
 * the next is looked at, small messages straight between the user's memory and
 * the transport's, large ones straight out of memory that the peer can see, or
 * into it; only sends may be under way meanwhile.
 * PEAL_OK: the run has ended or has left; STATUS_AGAIN: a message has not come. */
int  run_walk(struct run *run);
/* A send has ended. */
void run_landed(struct run *run, const struct task *task);
/* Go on the long way: the other steps become ready, or wait, as usual; returns how
 * many were started. */
int  run_leave(struct run *run);

/* Into the engine's list of runs, if it is not there: a run that is alone and walks need not be,
 * and most of these end before. */
void run_enlist(struct run *run);
/* Take the run out of its engine. */
void run_end(struct run *run, int status);

static inline void run_ended(struct run *run, int status)
{
    run->active = run->walking = false;
    run->warm = true;
    run->status = status;
}

#endif
