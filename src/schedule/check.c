/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs all ranks' schedules of one collective in memory.  What could happen
 * next is a pool, out of which the seed's random numbers pick: so whatever
 * order inference forgot is sooner or later done in the wrong order. */
#include "schedule/joined.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW = 256 };     /* as TRANSPORT_WINDOW, which is not to be seen from here */

enum state { WAITING, HELD, READY, STARTED, MATCHED, DONE };

struct world {
    const struct check *check;
    struct joined       joined;
    unsigned char      *states;       /* enum state of each operation */
    unsigned char     **payloads;     /* of sends that ended before their receive */
    uint32_t           *lows;         /* per lane: oldest send not yet started */
    uint32_t           *pool, npool;  /* READY operations and MATCHED receives */
    uint32_t            ndone;
    uint64_t            random;
};

static unsigned char *bytes_of(const struct world *w, int rank, struct span span)
{
    return w->check->memory[rank].space[span.space] + span.offset;
}

static bool inside(const struct world *w, int rank, struct span span)
{
    const struct check_memory *memory = &w->check->memory[rank];

    return span.space < SPACES && span.bytes <= memory->bytes[span.space] &&
           span.offset <= memory->bytes[span.space] - span.bytes;
}

/* The same bytes, or no byte in common. */
static bool clean(struct span a, struct span b)
{
    return a.space != b.space || a.offset == b.offset ||
           a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
}

static bool spans_valid(const struct world *w, int rank, const struct op *op)
{
    const struct schedule *s = &w->check->ranks[rank];
    bool reads = op->kind != OP_RECV, writes = op->kind != OP_SEND;

    if ((reads && !inside(w, rank, op->src)) || (writes && !inside(w, rank, op->dst)))
        return false;
    if (reads && writes && (op->src.bytes != op->dst.bytes || !clean(op->dst, op->src)))
        return false;
    if ((op->kind == OP_BEFORE && !w->check->before) ||
        (op->kind == OP_AFTER && !w->check->after))
        return false;
    for (uint32_t i = 0; i < op->nparts; i++) {
        struct span part = s->parts[op->first_part + i];

        if (!inside(w, rank, part) || part.bytes != op->dst.bytes || !clean(op->dst, part))
            return false;
    }
    return true;
}

static void complete(struct world *w, uint32_t i);

static void pool_add(struct world *w, uint32_t i, enum state state)
{
    w->states[i] = (unsigned char)state;
    w->pool[w->npool++] = i;
}

/* All that operation i waited for has ended; a send may have to wait for the window. */
static void make_ready(struct world *w, uint32_t i)
{
    const struct joined_op *at = &w->joined.ops[i];

    if (at->op->kind == OP_SEND &&
        at->op->sequence >= w->lows[joined_lane(&w->joined, at->rank, at->op->peer)] + WINDOW)
        w->states[i] = HELD;
    else
        pool_add(w, i, READY);
}

/* A send has started: let those go that the window held back. */
static void move_window(struct world *w, const struct joined_op *at)
{
    size_t lane = joined_lane(&w->joined, at->rank, at->op->peer);
    const uint32_t *sends = &w->joined.sends[w->joined.lanes[lane]];
    uint32_t count = w->joined.lanes[lane + 1] - w->joined.lanes[lane];

    for (uint32_t *low = &w->lows[lane]; *low < count && w->states[sends[*low]] >= STARTED;) {
        uint32_t opened = (*low)++ + WINDOW;

        if (opened < count && w->states[sends[opened]] == HELD)
            pool_add(w, sends[opened], READY);
    }
}

static bool fold(struct world *w, int rank, const struct op *op)
{
    const struct span *parts = &w->check->ranks[rank].parts[op->first_part];
    unsigned char *sum = malloc(op->dst.bytes);      /* dst may be one of the parts */

    if (sum == NULL)
        return false;
    memcpy(sum, bytes_of(w, rank, parts[0]), op->dst.bytes);
    for (uint32_t i = 1; i < op->nparts; i++)
        w->check->combine(sum, sum, bytes_of(w, rank, parts[i]), op->dst.bytes);
    memcpy(bytes_of(w, rank, op->dst), sum, op->dst.bytes);
    free(sum);
    return true;
}

static bool start_send(struct world *w, uint32_t i)
{
    const struct joined_op *at = &w->joined.ops[i];

    if (!w->check->rendezvous) {
        w->payloads[i] = malloc(at->op->src.bytes);
        if (w->payloads[i] == NULL)
            return false;
        memcpy(w->payloads[i], bytes_of(w, at->rank, at->op->src), at->op->src.bytes);
    }
    w->states[i] = STARTED;
    move_window(w, at);
    if (w->states[at->match] == STARTED)
        pool_add(w, at->match, MATCHED);
    if (!w->check->rendezvous)
        complete(w, i);
    return true;
}

/* Both ends have started: the bytes arrive. */
static void transfer(struct world *w, uint32_t i)
{
    const struct joined_op *at = &w->joined.ops[i], *sender = &w->joined.ops[at->match];
    const struct op *op = at->op;
    unsigned char *dst = bytes_of(w, at->rank, op->dst);
    const unsigned char *payload = w->payloads[at->match];

    if (payload == NULL)
        payload = bytes_of(w, sender->rank, sender->op->src);
    if (op->kind == OP_RECV)
        memcpy(dst, payload, op->dst.bytes);
    else if (op->incoming_first)
        w->check->combine(dst, payload, bytes_of(w, at->rank, op->src), op->dst.bytes);
    else
        w->check->combine(dst, bytes_of(w, at->rank, op->src), payload, op->dst.bytes);
    free(w->payloads[at->match]);
    w->payloads[at->match] = NULL;
    complete(w, i);
    if (w->states[at->match] != DONE)
        complete(w, at->match);
}

static void complete(struct world *w, uint32_t i)
{
    const struct joined_op *at = &w->joined.ops[i];

    w->states[i] = DONE;
    w->ndone++;
    for (uint32_t k = 0; k < at->nwaiters; k++) {
        uint32_t waiter = w->joined.waiters[at->first_waiter + k];

        if (--w->joined.ops[waiter].needs == 0)
            make_ready(w, waiter);
    }
}

/* Do one thing out of the pool.  False: out of memory. */
static bool step(struct world *w, uint32_t i)
{
    const struct joined_op *at = &w->joined.ops[i];
    const struct op *op = at->op;

    switch (op->kind) {
    case OP_SEND:
        return start_send(w, i);
    case OP_RECV:
    case OP_COMBINE:
        if (w->states[i] == MATCHED)
            transfer(w, i);
        else if (w->states[at->match] >= STARTED)
            pool_add(w, i, MATCHED);
        else
            w->states[i] = STARTED;
        return true;
    case OP_REDUCE:
        if (!fold(w, at->rank, op))
            return false;
        break;
    case OP_COPY:
        memcpy(bytes_of(w, at->rank, op->dst), bytes_of(w, at->rank, op->src),
               op->dst.bytes);
        break;
    default:
        (op->kind == OP_BEFORE ? w->check->before : w->check->after)
            (bytes_of(w, at->rank, op->dst), bytes_of(w, at->rank, op->src),
             op->dst.bytes);
    }
    complete(w, i);
    return true;
}

/* xorshift64*; seeds that differ by little give unlike sequences. */
static uint32_t draw(struct world *w, uint32_t below)
{
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return (uint32_t)((w->random * 0x2545F4914F6CDD1Dull >> 32) * below >> 32);
}

static bool run(struct world *w, char *why, size_t why_bytes)
{
    char text[256];

    for (uint32_t i = 0; i < w->joined.nops; i++)
        if (w->joined.ops[i].needs == 0 && w->states[i] == WAITING)
            make_ready(w, i);
    while (w->npool) {
        uint32_t pick = draw(w, w->npool), i = w->pool[pick];

        w->pool[pick] = w->pool[--w->npool];
        if (!step(w, i)) {
            snprintf(why, why_bytes, "out of memory");
            return false;
        }
    }
    for (uint32_t i = 0; i < w->joined.nops; i++) {
        const struct joined_op *at = &w->joined.ops[i];

        if (w->states[i] != DONE && at->needs == 0) {
            op_text(&w->check->ranks[at->rank], at->op, text, sizeof text);
            snprintf(why, why_bytes, "deadlock: %u of %u operations ended; "
                     "rank %d operation %u (%s) did not", w->ndone, w->joined.nops,
                     at->rank, at->index, text);
            return false;
        }
    }
    return true;
}

static bool memory_valid(const struct world *w, char *why, size_t why_bytes)
{
    char text[256];

    for (uint32_t i = 0; i < w->joined.nops; i++) {
        const struct joined_op *at = &w->joined.ops[i];

        if (spans_valid(w, at->rank, at->op))
            continue;
        op_text(&w->check->ranks[at->rank], at->op, text, sizeof text);
        snprintf(why, why_bytes, "rank %d operation %u: %s: leaves its buffer, or its "
                 "spans do not fit each other", at->rank, at->index, text);
        return false;
    }
    return true;
}

bool schedule_check(const struct check *check, char *why, size_t why_bytes)
{
    struct world w = { .check = check,
                       .random = (check->seed + 1ull) * 0x9E3779B97F4A7C15ull };
    size_t nops, nlanes = (size_t)check->nranks * (size_t)check->nranks;
    bool good = false;

    if (!joined_create(&w.joined, check->ranks, check->nranks, why, why_bytes))
        return false;
    nops = (size_t)w.joined.nops + 1;
    w.states = calloc(nops, sizeof *w.states);
    w.payloads = calloc(nops, sizeof *w.payloads);
    w.pool = calloc(nops, sizeof *w.pool);
    w.lows = calloc(nlanes, sizeof *w.lows);
    if (!w.states || !w.payloads || !w.pool || !w.lows)
        snprintf(why, why_bytes, "out of memory");
    else
        good = memory_valid(&w, why, why_bytes) && run(&w, why, why_bytes);
    for (size_t i = 0; w.payloads && i < nops; i++)
        free(w.payloads[i]);
    free(w.states);
    free(w.payloads);
    free(w.pool);
    free(w.lows);
    joined_free(&w.joined);
    return good;
}
