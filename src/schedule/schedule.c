/* SPDX-License-Identifier: BSD-3-Clause */
/* The builder: appends operations and hands out scratch memory. */
#include "schedule/schedule.h"
#include "schedule/order.h"

#include <stdlib.h>

void schedule_init(struct schedule *s, int nranks)
{
    *s = (struct schedule){ .nranks = nranks };
    s->sent = calloc((size_t)nranks, sizeof *s->sent);
    s->received = calloc((size_t)nranks, sizeof *s->received);
    s->order = order_create();
    s->failed = s->sent == NULL || s->received == NULL || s->order == NULL;
}

void schedule_finish(struct schedule *s)
{
    order_free(s->order);
    s->order = NULL;
    s->peers = NULL;
}

void schedule_free(struct schedule *s)
{
    schedule_finish(s);
    free(s->ops);
    free(s->needs);
    free(s->parts);
    free(s->sent);
    free(s->received);
    *s = (struct schedule){ .nranks = 0 };
}

void schedule_peers(struct schedule *s, const int *peers)
{
    s->peers = peers;
}

static int rank_of(const struct schedule *s, int peer)
{
    return s->peers ? s->peers[peer] : peer;
}

/* Append an operation that reads op.src (of 0 bytes: nothing) or its parts. */
static void append(struct schedule *s, struct op op)
{
    bool done = true;

    op.first_need = s->nneeds;
    if (op.nparts == 0 && op.src.bytes)
        done = order_read(s, s->nops, op.src);
    for (uint32_t i = 0; i < op.nparts && done; i++)
        done = order_read(s, s->nops, s->parts[op.first_part + i]);
    if (op.dst.bytes && done)
        done = order_write(s, s->nops, op.dst);
    op.nneeds = s->nneeds - op.first_need;
    s->failed = !done || !array_push(&s->ops, &s->nops, &op, sizeof op);
}

void schedule_send(struct schedule *s, int peer, struct span src)
{
    if (src.bytes)
        schedule_send_always(s, peer, src);
}

void schedule_recv(struct schedule *s, int peer, struct span dst)
{
    if (dst.bytes)
        schedule_recv_always(s, peer, dst);
}

void schedule_send_always(struct schedule *s, int peer, struct span src)
{
    peer = rank_of(s, peer);
    if (!s->failed)
        append(s, (struct op){ .kind = OP_SEND, .peer = peer, .src = src,
                               .sequence = s->sent[peer]++ });
}

void schedule_recv_always(struct schedule *s, int peer, struct span dst)
{
    peer = rank_of(s, peer);
    if (!s->failed)
        append(s, (struct op){ .kind = OP_RECV, .peer = peer, .dst = dst,
                               .sequence = s->received[peer]++ });
}

void schedule_recv_combine(struct schedule *s, int peer, struct span dst,
                           struct span src, bool incoming_first)
{
    peer = rank_of(s, peer);
    if (!s->failed && dst.bytes)
        append(s, (struct op){ .kind = OP_COMBINE, .peer = peer, .dst = dst, .src = src,
                               .incoming_first = incoming_first,
                               .sequence = s->received[peer]++ });
}

static void local(struct schedule *s, enum op_kind kind, struct span dst, struct span src)
{
    if (!s->failed && dst.bytes)
        append(s, (struct op){ .kind = kind, .peer = -1, .dst = dst, .src = src });
}

void schedule_copy(struct schedule *s, struct span dst, struct span src)
{
    if (dst.space != src.space || dst.offset != src.offset)
        local(s, OP_COPY, dst, src);
}

void schedule_scale_before(struct schedule *s, struct span dst, struct span src)
{
    local(s, OP_BEFORE, dst, src);
}

void schedule_scale_after(struct schedule *s, struct span dst, struct span src)
{
    local(s, OP_AFTER, dst, src);
}

void schedule_reduce(struct schedule *s, struct span dst,
                     const struct span *parts, int nparts)
{
    uint32_t first = s->nparts;

    if (nparts == 1)
        schedule_copy(s, dst, parts[0]);
    if (s->failed || dst.bytes == 0 || nparts < 2)
        return;
    for (int i = 0; i < nparts; i++)
        if (!array_push(&s->parts, &s->nparts, &parts[i], sizeof *parts)) {
            s->failed = true;
            return;
        }
    append(s, (struct op){ .kind = OP_REDUCE, .peer = -1, .dst = dst, .src = parts[0],
                           .first_part = first, .nparts = (uint32_t)nparts });
}

/* ---- Scratch ------------------------------------------------------------
 *
 * Without slices, and in the first `depth` of them, scratch is new memory;
 * where each of these slices began is remembered.  Later slices take what
 * they need from the region of the slice `depth` before, as long as it
 * suffices: all slices but the last few are of a size, so it does, and where
 * it does not new memory is as right.  That a region is reused only when its
 * former user has done with it follows from the order of operations. */

struct span schedule_scratch(struct schedule *s, size_t bytes)
{
    size_t need = (bytes + 63) & ~(size_t)63;
    size_t *from = &s->scratch;
    struct span span;

    if (s->slice_end - s->slice_start >= need)
        from = &s->slice_start;
    span = (struct span){ TMP, *from, bytes };
    *from += need;
    return span;
}

struct span schedule_stage(struct schedule *s, size_t bytes)
{
    s->staged = true;
    return schedule_scratch(s, bytes);
}

void schedule_slice(struct schedule *s, int slice, int depth)
{
    int turn;

    depth = depth < 1 ? 1 : depth > SCHEDULE_DEPTH ? SCHEDULE_DEPTH : depth;
    turn = slice % depth;
    s->slice_start = s->slice_end = 0;
    if (slice <= depth)
        s->regions[slice] = s->scratch;
    if (slice >= depth) {
        s->slice_start = s->regions[turn];
        s->slice_end = s->regions[turn + 1];
    }
}
