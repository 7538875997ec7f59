/* SPDX-License-Identifier: BSD-3-Clause */
/* All ranks' schedules of one collective, joined: which receive meets which
 * send, and which operations wait for which.  For whoever runs all ranks in one
 * process (check, draw).  Does not know time or memory; belongs to one thread. */
#ifndef JOINED_H
#define JOINED_H

#include "schedule/schedule.h"

#define JOINED_NONE UINT32_MAX

struct joined_op {
    const struct op *op;
    int      rank;
    uint32_t index;                   /* in the rank's schedule */
    uint32_t match;                   /* the other end of a message, or JOINED_NONE */
    uint32_t needs;                   /* operations that it still waits for */
    uint32_t first_waiter, nwaiters;  /* those that wait for it: into waiters */
};

struct joined {
    const struct schedule *ranks;
    int                    nranks;
    uint32_t               nops;
    struct joined_op      *ops;       /* of rank 0, 1, ... */
    uint32_t              *waiters;
    uint32_t              *lanes;     /* [from * nranks + to]: first of its sends in ... */
    uint32_t              *sends;     /* ... here, by sequence; nranks^2 + 1 lanes */
};

/* False, with the reason, if the ranks' messages do not fit each other. */
bool joined_create(struct joined *joined, const struct schedule ranks[], int nranks,
                   char *why, size_t why_bytes);
void joined_free(struct joined *joined);      /* accepts a zeroed one */

static inline size_t joined_lane(const struct joined *joined, int from, int to)
{
    return (size_t)from * (size_t)joined->nranks + (size_t)to;
}

/* Bytes that an operation moves. */
static inline size_t op_bytes(const struct op *op)
{
    return op->kind == OP_SEND ? op->src.bytes : op->dst.bytes;
}

static inline bool op_receives(const struct op *op)
{
    return op->kind == OP_RECV || op->kind == OP_COMBINE;
}

/* One operation as text: "send DST[0,64) to 3 #0". */
void op_text(const struct schedule *s, const struct op *op, char *text, size_t bytes);

#endif
