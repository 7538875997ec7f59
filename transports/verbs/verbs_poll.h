/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking completions (verbs_work.c), inline: what every look for a message goes through. */
#ifndef VERBS_POLL_H
#define VERBS_POLL_H

#include "transports/verbs/verbs_ring.h"

/* Of whatever kind. */
void verbs_completed(const struct ibv_wc *wc);

/* Mostly a frame has come, and no receives are to be posted again. */
static inline __attribute__((always_inline)) void verbs_heard(const struct ibv_wc *wc)
{
    struct rail *rail = (struct rail *)(uintptr_t)(wc->wr_id & ~(uint64_t)1);

    if (!(wc->wr_id & 1) || wc->status != IBV_WC_SUCCESS ||
        !rail->adapter->place.immediate ||
        wc->opcode != IBV_WC_RECV_RDMA_WITH_IMM || !(wc->wc_flags & IBV_WC_WITH_IMM) ||
        rail->emptied || rail->endpoint->failure ||
        rail->used + 1 >= rail->endpoint->frames_in / 4) {
        verbs_completed(wc);
        return;
    }
    rail->receives--;
    verbs_frame_came(rail, ntohl(wc->imm_data));
    rail->used++;
}

static inline __attribute__((always_inline)) int verbs_queue_poll(struct queue *q)
{
    enum { ROUNDS = 4 };               /* times VERBS_POLL, for fairness */
    struct ibv_wc wc[VERBS_POLL];
    int n = VERBS_POLL, moved = 0;

    for (int round = 0; round < ROUNDS && n == VERBS_POLL; round++) {
        n = ibv_poll_cq(q->cq, VERBS_POLL, wc);
        for (int k = 0; k < n; k++)
            verbs_heard(&wc[k]);
        moved += n > 0 ? n : 0;
    }
    return moved;
}

static inline __attribute__((always_inline)) int verbs_poll_inline(struct port *port)
{
    int moved = 0;

    for (int i = 0; i < port->nadapters; i++)
        for (int k = 0; k < port->adapters[i].nqueues; k++)
            moved += verbs_queue_poll(&port->adapters[i].queues[k]);
    return moved;
}

#endif
