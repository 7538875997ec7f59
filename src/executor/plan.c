/* SPDX-License-Identifier: BSD-3-Clause */
#include "executor/plan.h"

#include "base/status.h"
#include "devices/device.h"
#include "executor/executor.h"

#include <stdlib.h>
#include <string.h>

static void *copy_array(const void *items, size_t count, size_t size)
{
    void *copy = malloc(count * size + 1);       /* + 1: never NULL for nothing */

    if (copy && count)
        memcpy(copy, items, count * size);
    return copy;
}

/* Who stores to the peers' memory does their work; right if they do his. */
static bool is_balanced(const struct plan *plan)
{
    size_t sent = 0, received = 0;

    for (uint32_t i = 0; i < plan->nsteps; i++)
        if (plan->steps[i].kind == OP_SEND)
            sent += plan->steps[i].src.bytes;
        else if (plan->steps[i].kind <= OP_COMBINE)
            received += plan->steps[i].dst.bytes;
    return sent <= received;
}

static void find_peers(struct plan *plan, const struct schedule *s)
{
    for (int peer = 0; peer < s->nranks; peer++)
        if (s->sent[peer] || s->received[peer]) {
            plan->peers[plan->npeers++] =
                (struct plan_peer){ peer, s->sent[peer], s->received[peer] };
            plan->nmessages += s->sent[peer] + s->received[peer];
        }
    plan->opening = plan->nsteps;
    for (uint32_t i = plan->nsteps; i-- > 0;) {
        struct step *step = &plan->steps[i];
        size_t bytes;

        if (step->kind > OP_COMBINE)
            continue;
        plan->opening = i;
        while (plan->peers[step->peer_index].peer != step->peer)
            step->peer_index++;
        bytes = step->kind == OP_SEND ? step->src.bytes : step->dst.bytes;
        plan->largest = bytes > plan->largest ? bytes : plan->largest;
    }
}

/* Turn needs round; the steps keep program order among equals. */
static void link_steps(struct plan *plan, const struct schedule *s)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < s->nneeds; i++)
        plan->steps[s->needs[i]].nnext++;
    for (uint32_t i = 0; i < s->nops; i++) {
        plan->steps[i].first_next = total;
        total += plan->steps[i].nnext;
        plan->steps[i].nnext = 0;
    }
    for (uint32_t i = 0; i < s->nops; i++) {
        const struct op *op = &s->ops[i];

        for (uint32_t n = 0; n < op->nneeds; n++) {
            struct step *before = &plan->steps[s->needs[op->first_need + n]];

            plan->nexts[before->first_next + before->nnext++] = i;
        }
        plan->waits[i] = op->nneeds;
    }
}

static bool span_same(struct span a, struct span b)
{
    return a.space == b.space && a.offset == b.offset && a.bytes == b.bytes;
}

/* The first step of that kind that takes what `step` leaves and waits for nothing else, or 0. */
static uint32_t find_taker(const struct plan *plan, const struct step *step, enum op_kind kind)
{
    const uint32_t *next = plan->nexts + step->first_next;

    for (uint32_t n = 0; n < step->nnext; n++)
        if (plan->steps[next[n]].kind == kind && plan->waits[next[n]] == 1 &&
            span_same(plan->steps[next[n]].src, step->dst))
            return next[n];
    return 0;
}

/* Receives whose message goes on as it has landed. */
static void find_onwards(struct plan *plan)
{
    for (uint32_t i = 0; i < plan->nsteps; i++) {
        struct step *step = &plan->steps[i];

        if (step->kind != OP_RECV && step->kind != OP_COMBINE)
            continue;
        step->onward = find_taker(plan, step, OP_SEND);
        if (!step->onward || step->dst.space != TMP)
            continue;
        step->keep = find_taker(plan, step, OP_COPY);
        step->passes = step->nnext == (step->keep ? 2u : 1u);
        step->keep = step->passes ? step->keep : 0;
    }
}

/* Bytes that are copied and sent, both at once: the send soon follows.  Few are still in the first
 * cache then. */
static void find_carriers(struct plan *plan)
{
    enum { SOON = 4, FEW = 4 << 10 };

    for (uint32_t i = 0; i < plan->nsteps; i++) {
        struct step *copy = &plan->steps[i];

        if (copy->kind != OP_COPY || copy->dst.bytes < FEW || plan->waits[i] > 0)
            continue;
        for (uint32_t k = i + 1; k < plan->nsteps && k <= i + SOON && !copy->carrier; k++) {
            struct step *send = &plan->steps[k];

            if (send->kind == OP_SEND && plan->waits[k] == 0 && !send->carried &&
                span_same(send->src, copy->src)) {
                copy->carrier = k;
                send->carried = i + 1;
            }
        }
    }
}

/* Sends that could go before anything has come: the steps up to the last of them.  And whether sends
 * follow receives. */
static int find_openers(struct plan *plan, const struct schedule *s)
{
    bool *heard = calloc(s->nops + 1u, sizeof *heard), received = false;

    if (!heard)
        return PEAL_ERR_MEMORY;
    for (uint32_t i = 0; i < s->nops; i++) {
        const struct op *op = &s->ops[i];

        heard[i] = op->kind == OP_RECV || op->kind == OP_COMBINE;
        received |= heard[i];
        plan->answers |= received && op->kind == OP_SEND;
        for (uint32_t n = 0; n < op->nneeds; n++)
            heard[i] |= heard[s->needs[op->first_need + n]];
        if (op->kind == OP_SEND && !heard[i])
            plan->openers = i + 1;
    }
    free(heard);
    return PEAL_OK;
}

static bool span_meets(struct span a, struct span b)
{
    return a.space == b.space && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

/* Does a later step read or change what `step` leaves?  Some wait only for what it reads, to use that
 * scratch again. */
static bool is_used(const struct plan *plan, const struct step *step)
{
    const uint32_t *next = plan->nexts + step->first_next;

    for (uint32_t n = 0; n < step->nnext; n++) {
        const struct step *later = &plan->steps[next[n]];

        if (span_meets(later->src, step->dst) || span_meets(later->dst, step->dst))
            return true;
        for (uint32_t i = 0; i < later->nparts; i++)
            if (span_meets(plan->parts[later->first_part + i], step->dst))
                return true;
    }
    return false;
}

/* Results that are not in the caches, or too large for them, and that no later step reads, need not
 * go through them; unless what lies there is being combined, and so has just been read. */
static void find_streams(struct plan *p)
{
    size_t end = 0;

    for (uint32_t i = 0; i < p->nsteps; i++) {
        const struct span *dst = &p->steps[i].dst;

        if (dst->space == DST && dst->offset + dst->bytes > end)
            end = dst->offset + dst->bytes;
    }
    p->onwards = p->places && end >= PLAN_ONWARD;
    if (end < PAST_LEAST)
        return;
    for (uint32_t i = 0; i < p->nsteps; i++) {
        struct step *step = &p->steps[i];

        step->streams = step->dst.space == DST && !is_used(p, step) &&
                        !(step->kind == OP_COMBINE && span_same(step->dst, step->src));
    }
}

/* What is copied to a stage is read by those who are sent it. */
static void find_readers(struct plan *p)
{
    for (uint32_t i = 0; i < p->nsteps; i++) {
        struct step *step = &p->steps[i];

        step->reader = READER_NONE;
        if (!p->staged || step->kind != OP_COPY || step->dst.space != TMP)
            continue;
        for (uint32_t n = 0; n < step->nnext; n++) {
            const struct step *next = &p->steps[p->nexts[step->first_next + n]];

            if (next->kind != OP_SEND)
                continue;
            step->reader = step->reader == READER_NONE || step->reader == next->peer_index
                         ? next->peer_index : READER_SEVERAL;
        }
    }
}

int plan_create(const struct schedule *s, struct plan **plan)
{
    struct plan *p = calloc(1, sizeof *p);

    if (!p)
        goto fail;
    p->nsteps = s->nops;
    p->scratch = s->scratch;
    p->staged = s->staged;
    p->steps = calloc(s->nops + 1u, sizeof *p->steps);
    p->nexts = calloc(s->nneeds + 1u, sizeof *p->nexts);
    p->waits = calloc(s->nops + 1u, sizeof *p->waits);
    p->peers = calloc((size_t)s->nranks + 1, sizeof *p->peers);
    p->parts = copy_array(s->parts, s->nparts, sizeof *s->parts);
    if (s->failed || !p->steps || !p->nexts || !p->waits || !p->peers || !p->parts)
        goto fail;
    for (uint32_t i = 0; i < s->nops; i++) {
        const struct op *op = &s->ops[i];

        p->steps[i] = (struct step){
            .kind = op->kind, .incoming_first = op->incoming_first, .peer = op->peer,
            .sequence = op->sequence, .dst = op->dst, .src = op->src,
            .first_part = op->first_part, .nparts = op->nparts,
        };
        if (op->nparts > p->most_parts)
            p->most_parts = op->nparts;
    }
    link_steps(p, s);
    find_peers(p, s);
    find_onwards(p);
    find_carriers(p);
    p->places = is_balanced(p);
    if (find_openers(p, s) != PEAL_OK)
        goto fail;
    find_streams(p);
    find_readers(p);
    *plan = p;
    return PEAL_OK;

fail:
    plan_free(p);
    return status_fail(PEAL_ERR_MEMORY, "no memory for a schedule of %u operations", s->nops);
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    free(plan->steps);
    free(plan->nexts);
    free(plan->waits);
    free(plan->peers);
    free(plan->parts);
    free(plan);
}

size_t plan_scratch(const struct plan *plan)
{
    return plan->scratch;
}
