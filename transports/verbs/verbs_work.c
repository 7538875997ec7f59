/* SPDX-License-Identifier: BSD-3-Clause */
/* Work requests and their completions.  Every completion belongs to a rail, whose
 * address is in its number; one that was sent tells about all before it. */
#include "transports/verbs/verbs_poll.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void verbs_rail_fail(struct rail *rail, int status, const char *format, ...)
{
    struct endpoint *e = rail->endpoint;
    char text[VERBS_WHY];
    va_list args;
    int others = 0;

    if ((rail->state != RAIL_UP && rail->state != RAIL_JOINING) || verbs_lost(e))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (verbs_socket_ended(e)) {       /* then there is no other way either */
        verbs_break(e, status, "%s", text);
        return;
    }
    verbs_rail_close(rail);
    for (int i = 0; i < e->nrails; i++)
        others += e->rails[i].state == RAIL_UP;
    if (e->stage < STAGE_READY || others == 0) {
        verbs_break(e, status, "%s", text);
        return;
    }
    if (rail->up_since)
        log_warn("verbs: %s; going on over %d other rail%s", text, others, others > 1 ? "s" : "");
    else
        log_info("verbs: %s; the rail cannot be used again yet", text);
    e->repairing++;
    verbs_activity(e);
}

void verbs_post_failed(struct rail *rail, int error)
{
    if (error > 0)
        verbs_rail_fail(rail, PEAL_ERR_SYSTEM, "ibv_post_send to %s over %s port %d failed: %s",
                        rail->endpoint->name, rail->adapter->place.device,
                        rail->adapter->place.port, strerror(error));
    else                               /* soft iWARP: the queue pair is not connected any more */
        verbs_rail_fail(rail, PEAL_ERR_PEER, "the connection of %s port %d to %s has ended: the "
                        "peer, its device or the way to it is gone", rail->adapter->place.device,
                        rail->adapter->place.port, rail->endpoint->name);
}

static void chain_post(struct chain *chain)
{
    for (unsigned i = 0; i < chain->n; i++) {
        chain->wrs[i].next = i + 1 < chain->n ? &chain->wrs[i + 1] : NULL;
        chain->wrs[i].sg_list = &chain->pieces[i];
    }
    if (chain->n > 0)
        verbs_post_now(chain->rail, chain->wrs);
    chain->n = 0;
}

void verbs_chain_add(struct chain *chain, struct rail *rail, const struct ibv_send_wr *wr)
{
    chain->rail = rail;
    chain->wrs[chain->n] = *wr;
    if (wr->num_sge > 0)
        chain->pieces[chain->n] = *wr->sg_list;
    if (++chain->n == VERBS_CHAIN)
        chain_post(chain);
}

void verbs_chain_begin(struct port *port)
{
    port->chaining = true;
}

void verbs_chain_end(struct port *port)
{
    port->chaining = false;
    for (int i = 0; i < VERBS_RAILS; i++)
        chain_post(&port->chains[i]);
}

void verbs_post(struct rail *rail, struct ibv_send_wr *wr, const struct work *work)
{
    verbs_post_inline(rail, wr, work);
}

static void sent(struct rail *rail)
{
    while (rail->ended != rail->posted) {
        const struct work *work = &rail->work[rail->ended++ & (rail->depth - 1)];

        rail->flying -= work->bytes;
        if (work->order)
            verbs_order_work_ended(rail->endpoint, work);
        if (work->signaled)
            break;
    }
}

/* Only a failure that is no consequence of the peer's end is worth telling beside it. */
static void failed(struct rail *rail, const struct ibv_wc *wc, const char *what)
{
    struct endpoint *e = rail->endpoint;
    char text[VERBS_WHY];

    snprintf(text, sizeof text, "%s %s over %s port %d (there: %s port %u) failed: %s (%d, vendor's "
             "code 0x%x): %s", what, e->name, rail->adapter->place.device,
             rail->adapter->place.port, rail->remote.device, rail->remote.port,
             ibv_wc_status_str(wc->status), wc->status, wc->vendor_err, verbs_cause(wc->status));
    if (wc->status != IBV_WC_WR_FLUSH_ERR && wc->status != IBV_WC_RETRY_EXC_ERR && !*e->seen)
        memcpy(e->seen, text, sizeof e->seen);
    verbs_rail_fail(rail, verbs_cause_status(wc->status), "%s", text);
}

/* A peer that sends knows that the rail can be used: its word on the socket is on the way. */
static void receives_again(struct rail *rail)
{
    if (rail->state == RAIL_JOINING)
        verbs_rejoin_up(rail);
    if (rail->state == RAIL_UP && verbs_rail_receives(rail) != PEAL_OK)
        verbs_rail_fail(rail, PEAL_ERR_SYSTEM, "%s", status_text());
}

static void received(struct rail *rail, const struct ibv_wc *wc)
{
    const char *wrong;

    rail->receives--;
    if (rail->emptied || (wc->status == IBV_WC_WR_FLUSH_ERR && rail->state == RAIL_CLOSING))
        return;
    if (wc->status != IBV_WC_SUCCESS) {
        failed(rail, wc, "receiving from");
        return;
    }
    wrong = verbs_announced(rail, wc);     /* before its place is used again */
    rail->used++;
    if (rail->used >= rail->endpoint->frames_in / 4)
        receives_again(rail);
    if (wrong)
        verbs_break(rail->endpoint, PEAL_ERR_PROTOCOL, "%s sent %s", rail->endpoint->name, wrong);
}

void verbs_completed(const struct ibv_wc *wc)
{
    struct rail *rail = (struct rail *)(uintptr_t)(wc->wr_id & ~(uint64_t)1);

    if (rail->endpoint->failure)
        return;
    if (wc->wr_id & 1)
        received(rail, wc);
    else if (rail->state == RAIL_UP && wc->status == IBV_WC_SUCCESS)
        sent(rail);
    else if (wc->status != IBV_WC_SUCCESS)
        failed(rail, wc, "an RDMA write to");
    else if (rail->state == RAIL_JOINING)
        verbs_rejoin_tried(rail);
}

int verbs_poll(struct port *port)
{
    return verbs_poll_inline(port);
}

void verbs_drain(struct adapter *a)
{
    for (int k = 0; k < a->nqueues; k++) {
        struct queue *q = &a->queues[k];

        for (int left = q->cq->cqe, n; left >= 0 && (n = verbs_queue_poll(q)) > 0; left -= n)
            continue;
    }
}
