/* SPDX-License-Identifier: BSD-3-Clause */
/* Posting a work request (verbs_work.c), inline: what every short message goes through. */
#ifndef VERBS_POST_H
#define VERBS_POST_H

#include "transports/verbs/verbs.h"

void verbs_post_failed(struct rail *rail, int error);
void verbs_chain_add(struct chain *chain, struct rail *rail, const struct ibv_send_wr *wr);

/* What could not be posted, or not any more, is in the rail's list of work, as if it had been. */
static inline void verbs_post_now(struct rail *rail, struct ibv_send_wr *wrs)
{
    struct ibv_send_wr *bad;
    int error = rail->qp ? ibv_post_send(rail->qp, wrs, &bad) : 0;

    if (error)
        verbs_post_failed(rail, error);
}

/* The last of those that nobody else asks about is signaled too, often enough that
 * a full queue always has some.  Where that would not say that it has arrived, what
 * says so follows. */
static inline __attribute__((always_inline))
void verbs_post_inline(struct rail *rail, struct ibv_send_wr *wr,
                       const struct work *work)
{
    struct work *kept = &rail->work[rail->posted & (rail->depth - 1)];
    struct port *port = rail->endpoint->port;

    bool ask = work->kind != WORK_NOTHING && ((work->order && work->kind == WORK_FRAME) ||
                                              ++rail->unsignaled >= rail->depth / 4);

    *kept = *work;
    kept->signaled = work->kind == WORK_NOTHING || (ask && rail->adapter->place.acknowledged);
    if (kept->signaled) {
        rail->unsignaled = 0;
        wr->send_flags |= IBV_SEND_SIGNALED;
    }
    wr->wr_id = (uintptr_t)rail;
    rail->posted++;
    rail->flying += work->bytes;
    if (work->order)
        work->order->works++;
    if (port->chaining)
        verbs_chain_add(&port->chains[rail->index], rail, wr);
    else
        verbs_post_now(rail, wr);
    if (ask && !kept->signaled)
        verbs_arrival_ask(rail);
}

#endif
