/* SPDX-License-Identifier: BSD-3-Clause */
#include "schedule/joined.h"

#include <stdlib.h>

void joined_free(struct joined *joined)
{
    free(joined->ops);
    free(joined->waiters);
    free(joined->lanes);
    free(joined->sends);
    *joined = (struct joined){ .nranks = 0 };
}

/* Tell each operation who waits for it. */
static void join_needs(struct joined *joined)
{
    struct joined_op *first = joined->ops;
    uint32_t used = 0;

    for (int rank = 0; rank < joined->nranks; rank++) {
        const struct schedule *s = &joined->ranks[rank];

        for (uint32_t k = 0; k < s->nneeds; k++)
            first[s->needs[k]].nwaiters++;
        for (uint32_t i = 0; i < s->nops; i++) {
            first[i].first_waiter = used;
            used += first[i].nwaiters;
            first[i].nwaiters = 0;
        }
        for (uint32_t i = 0; i < s->nops; i++)
            for (uint32_t k = 0; k < s->ops[i].nneeds; k++) {
                struct joined_op *need = &first[s->needs[s->ops[i].first_need + k]];

                joined->waiters[need->first_waiter + need->nwaiters++] =
                    (uint32_t)(first - joined->ops) + i;
            }
        first += s->nops;
    }
}

/* Sort the sends by sender, receiver and sequence. */
static void join_lanes(struct joined *joined)
{
    uint32_t used = 0;

    for (int from = 0; from < joined->nranks; from++)
        for (int to = 0; to < joined->nranks; to++) {
            joined->lanes[joined_lane(joined, from, to)] = used;
            used += joined->ranks[from].sent[to];
        }
    joined->lanes[joined_lane(joined, joined->nranks, 0)] = used;
    for (uint32_t i = 0; i < joined->nops; i++) {
        const struct joined_op *at = &joined->ops[i];

        if (at->op->kind == OP_SEND)
            joined->sends[joined->lanes[joined_lane(joined, at->rank, at->op->peer)] +
                          at->op->sequence] = i;
    }
}

static bool join_messages(struct joined *joined, char *why, size_t why_bytes)
{
    char text[128];

    for (uint32_t i = 0; i < joined->nops; i++) {
        struct joined_op *at = &joined->ops[i], *other;

        if (!op_receives(at->op) ||
            at->op->sequence >= joined->ranks[at->op->peer].sent[at->rank])
            continue;
        at->match = joined->sends[joined->lanes[joined_lane(joined, at->op->peer, at->rank)] +
                                  at->op->sequence];
        other = &joined->ops[at->match];
        other->match = i;
        if (op_bytes(other->op) != op_bytes(at->op)) {
            op_text(&joined->ranks[at->rank], at->op, text, sizeof text);
            snprintf(why, why_bytes, "rank %d operation %u: %s: its message has %zu bytes",
                     at->rank, at->index, text, op_bytes(other->op));
            return false;
        }
    }
    for (uint32_t i = 0; i < joined->nops; i++) {
        struct joined_op *at = &joined->ops[i];

        if (at->match != JOINED_NONE || (at->op->kind != OP_SEND && !op_receives(at->op)))
            continue;
        op_text(&joined->ranks[at->rank], at->op, text, sizeof text);
        snprintf(why, why_bytes, "rank %d operation %u: %s: has no other end",
                 at->rank, at->index, text);
        return false;
    }
    return true;
}

/* Peers and needs are what the arrays are indexed with: believe none. */
static bool valid(const struct schedule *s, int nranks)
{
    if (s->failed || s->nranks != nranks)
        return false;
    for (uint32_t i = 0; i < s->nops; i++) {
        const struct op *op = &s->ops[i];
        bool message = op->kind == OP_SEND || op_receives(op);
        const uint32_t *counts = op->kind == OP_SEND ? s->sent : s->received;

        if (message && (op->peer < 0 || op->peer >= nranks ||
                        op->sequence >= counts[op->peer]))
            return false;
        for (uint32_t k = 0; k < op->nneeds; k++)
            if (s->needs[op->first_need + k] >= i)
                return false;
    }
    return true;
}

bool joined_create(struct joined *joined, const struct schedule ranks[], int nranks,
                   char *why, size_t why_bytes)
{
    uint32_t nneeds = 0, used = 0;

    *joined = (struct joined){ .ranks = ranks, .nranks = nranks };
    for (int rank = 0; rank < nranks; rank++) {
        if (!valid(&ranks[rank], nranks)) {
            snprintf(why, why_bytes, "rank %d: not a valid schedule", rank);
            return false;
        }
        joined->nops += ranks[rank].nops;
        nneeds += ranks[rank].nneeds;
    }
    joined->ops = calloc((size_t)joined->nops + 1, sizeof *joined->ops);
    joined->waiters = calloc((size_t)nneeds + 1, sizeof *joined->waiters);
    joined->lanes = calloc((size_t)nranks * (size_t)nranks + 1, sizeof *joined->lanes);
    joined->sends = calloc((size_t)joined->nops + 1, sizeof *joined->sends);
    if (!joined->ops || !joined->waiters || !joined->lanes || !joined->sends) {
        snprintf(why, why_bytes, "out of memory");
        goto fail;
    }
    for (int rank = 0; rank < nranks; rank++)
        for (uint32_t i = 0; i < ranks[rank].nops; i++)
            joined->ops[used++] = (struct joined_op){
                .op = &ranks[rank].ops[i], .rank = rank, .index = i,
                .match = JOINED_NONE, .needs = ranks[rank].ops[i].nneeds };
    join_needs(joined);
    join_lanes(joined);
    if (join_messages(joined, why, why_bytes))
        return true;
fail:
    joined_free(joined);
    return false;
}
