/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing to granted places: orders are cut into slices, which the rails take in
 * turn, each as much as its rate and what it has under way allow.  When all are
 * dealt out, a DONE on each rail follows its slices, or rides on the last: queue
 * pairs keep their order.  The end of the DONE is the end of the slices before it. */
#include "transports/verbs/verbs_ring.h"

#include <string.h>

enum { SPARE = 4 };                /* frames for which slices leave room on a rail */

static size_t slice_most(const struct endpoint *e)
{
    size_t most = (size_t)1 << 30;

    for (int i = 0; i < e->nrails; i++)
        if (e->rails[i].adapter->place.most < most)
            most = e->rails[i].adapter->place.most;
    return most & ~(size_t)4095;
}

static bool order_add(struct endpoint *e, struct sending *s, const struct verbs_grant *grant,
                      uint64_t offset, uint64_t length)
{
    struct order *o = verbs_order_take(e->port);
    uint64_t share = (length / VERBS_SLICES + 4096) & ~(uint64_t)4095;
    uint64_t most = slice_most(e), count;

    if (!o)
        return false;
    o->of = s;
    o->grant = *grant;
    o->offset = offset;
    o->length = length;
    o->slice = e->port->slice > share ? e->port->slice : share;
    if (o->slice > most)
        o->slice = most;
    count = (length + o->slice - 1) / o->slice;
    o->left = count == VERBS_SLICES ? UINT64_MAX : ((uint64_t)1 << count) - 1;
    *e->last_order = o;
    e->last_order = &o->next;
    return true;
}

uint64_t verbs_order_start(struct endpoint *e, struct sending *s, const struct verbs_frame *frame,
                       const struct verbs_grant *grant)
{
    uint64_t most = (uint64_t)slice_most(e) * (VERBS_SLICES - 1);

    for (uint64_t at = 0; at < frame->length; at += most) {
        struct verbs_grant part = *grant;
        uint64_t length = frame->length - at < most ? frame->length - at : most;

        part.address += at;
        if (!order_add(e, s, &part, frame->offset + at, length))
            return at;
    }
    verbs_activity(e);
    return frame->length;
}

static uint64_t slices_bytes(const struct order *o, uint64_t slices)
{
    uint64_t bytes = 0;

    for (; slices; slices &= slices - 1) {
        uint64_t at = (uint64_t)__builtin_ctzll(slices) * o->slice;

        bytes += o->length - at < o->slice ? o->length - at : o->slice;
    }
    return bytes;
}

/* The rail that would have sent the next slice first; NULL: none has room. */
static struct rail *rail_choose(struct endpoint *e, const struct order *o)
{
    uint64_t bytes = slices_bytes(o, o->left & -o->left);
    struct rail *best = NULL;
    double soonest = 0;

    for (int i = 0; i < e->nrails; i++) {
        struct rail *rail = &e->rails[i];
        uint32_t rate = rail->adapter->place.rate < rail->remote.rate ? rail->adapter->place.rate
                                                                      : rail->remote.rate;
        double when = (double)(rail->flying + bytes) / rate;

        if (rail->state != RAIL_UP || verbs_rail_room(rail) <= SPARE * verbs_frame_works(rail) ||
            !o->of->region->mr[rail->adapter->index] || o->grant.rkey[i] == 0 ||
            (best && when >= soonest))
            continue;
        best = rail;
        soonest = when;
    }
    return best;
}

void verbs_slice_fill(const struct rail *rail, const struct order *o, unsigned index,
                      struct ibv_send_wr *wr, struct ibv_sge *piece)
{
    uint64_t at = index * o->slice, length = o->length - at;

    if (length > o->slice)
        length = o->slice;
    piece->addr = (uintptr_t)o->of->bytes + o->offset + at;
    piece->length = (uint32_t)length;
    piece->lkey = o->of->region->mr[rail->adapter->index]->lkey;
    wr->wr.rdma.remote_addr = o->grant.address + at;
    wr->wr.rdma.rkey = o->grant.rkey[rail->index];
    /* Also because soft iWARP sends wrong bytes where up to 24 cross a page. */
    if (piece->length <= rail->most_inline)
        wr->send_flags |= IBV_SEND_INLINE;
}

void verbs_slice_post(struct rail *rail, struct order *o, unsigned index)
{
    struct ibv_sge piece;
    struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE, .sg_list = &piece, .num_sge = 1 };
    struct work work = { .kind = WORK_SLICE, .order = o, .slices = (uint64_t)1 << index };

    verbs_slice_fill(rail, o, index, &wr, &piece);
    work.bytes = piece.length;
    verbs_post(rail, &wr, &work);
}

/* False: something is still to be told. */
static bool order_tell(struct endpoint *e, struct order *o, int *moved)
{
    for (int i = 0; i < e->nrails; i++) {
        struct verbs_frame frame = o->of->frame;

        if (!o->dealt[i])
            continue;
        frame.kind = VERBS_DONE;
        frame.offset = o->offset;
        frame.length = slices_bytes(o, o->dealt[i]);
        if (e->queue || !verbs_frame_room(&e->rails[i]) || !verbs_frame_begin(e, &frame, false))
            return false;
        verbs_frame_end(e, &frame, i, o, o->dealt[i]);
        o->dealt[i] = 0;
        (*moved)++;
    }
    return true;
}

static void order_end(struct endpoint *e, struct order *o)
{
    struct sending *s = o->of;
    struct order **at = &e->dealt;

    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    s->ended += o->length;
    verbs_order_give(e->port, o);
    if (s->ended == s->length)
        verbs_sending_end(e, s, PEAL_OK);
}

/* Only the last slice is left, all others went over this rail, and the receiver knows
 * the message by its receive: then DONE need not be a write of its own. */
static bool order_rides(struct endpoint *e, const struct order *o, const struct rail *rail)
{
    static const struct verbs_frame done = { .kind = VERBS_DONE };
    uint64_t all = o->dealt[rail->index] | o->left, last = (o->length - 1) / o->slice;

    return o->of->posted && o->length == o->of->length && o->left == (uint64_t)1 << last &&
           all == (o->left << 1) - 1 && !e->queue && verbs_frame_room(rail) &&
           verbs_frame_begin(e, &done, false);
}

int verbs_orders_deal(struct endpoint *e)
{
    int moved = 0;

    for (struct order *o; !verbs_lost(e) && !e->repairing && (o = e->orders); ) {
        struct rail *rail;

        while (o->left && !e->repairing && !verbs_lost(e) && (rail = rail_choose(e, o))) {
            unsigned index = (unsigned)__builtin_ctzll(o->left);

            moved++;
            if (order_rides(e, o, rail)) {
                uint64_t slices = o->dealt[rail->index] | o->left;

                o->left = o->dealt[rail->index] = 0;
                verbs_frame_ride(rail, o, slices);
                break;
            }
            o->left &= o->left - 1;
            o->dealt[rail->index] |= (uint64_t)1 << index;
            verbs_slice_post(rail, o, index);
        }
        if (o->left || e->repairing || verbs_lost(e) || !order_tell(e, o, &moved) ||
            e->repairing)
            break;
        if (!(e->orders = o->next))
            e->last_order = &e->orders;
        o->next = e->dealt;
        e->dealt = o;
        if (o->works == 0)
            order_end(e, o);
    }
    return moved;
}

static bool order_in(const struct order *list, const struct order *o)
{
    while (list && list != o)
        list = list->next;
    return list != NULL;
}

void verbs_order_work_ended(struct endpoint *e, const struct work *work)
{
    struct order *o = work->order;

    if (--o->works == 0 && !order_in(e->orders, o))
        order_end(e, o);
}

/* The rail is down: what it has got and not told goes to the others. */
void verbs_order_repeat(struct endpoint *e, struct rail *from)
{
    for (struct order *o = e->orders; o; o = o->next) {
        o->left |= o->dealt[from->index];
        o->dealt[from->index] = 0;
    }
}
