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

struct run {
    const struct plan *plan;
    struct engine     *engine;     /* while active */
    struct run        *next;       /* in engine.runs */
    struct binding     binding;
    bool               active, abandoned;
    int                status;
    uint32_t           left;       /* steps not yet done */
    uint32_t          *waits;      /* per step: how many it still waits for */
    uint32_t          *ready;      /* queue: every step enters once */
    uint32_t           head, tail;
    uint32_t          *blocked;    /* ready, but the transport had no room */
    uint32_t           nblocked;
    uint32_t          *send_base, *recv_base;   /* per plan peer: numbers reserved */
    uint32_t          *peer_index; /* per step: index into plan.peers */
    const void       **parts;      /* operands of one reduction */
    struct task       *tasks, *free_tasks;
    unsigned char     *scratch;
    struct run_fault   fault;
};

/* Start what can be started; returns how many steps that was. */
int run_advance(struct run *run);

/* A message of the run has ended. */
void run_completed(struct task *task);

/* Take the run out of its engine. */
void run_end(struct run *run, int status);

#endif
