/* SPDX-License-Identifier: BSD-3-Clause */
/* How fast can collectives over shared memory be with no library around them?
 * Straight-line prototypes for the timing loop of perf/compare:
 *
 *   floor_shm RANKS ...        (the rest: side_by_side.c)
 *
 * line       up to 14 floats, in the cache line of the counter that says so
 * one8K ...  one shot: chunks of 8 or 64 KiB through slots; every reader adds
 *            or copies all of them
 * two8K ...  two shots: each rank adds its part of the vector, from the others'
 *            slots, into its result and a second slot, which the others copy
 * ...nt      stores to the result go around the caches; nts: to the second
 *            slots too; f: to the slots that are written first
 * direct     send and receive buffers lie in memory that all ranks map: each
 *            adds its part and stores it to all results (directnt: around the
 *            caches)
 *
 * ...pause  the same with the pause instruction while waiting
 *
 * ...slots  with room for many chunks, so that who only writes can go ahead of
 *           ranks that share its core
 * ...room   the same with twice as much room, more than the second cache holds:
 *           who reads finds the chunk in the last one
 *
 * Slots are cache-sized and used again after as many chunks. */
#include "processes.h"
#include "side_by_side.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 4, SLOT_FLOATS = (256 << 10) / sizeof(float),
    ROOM_FLOATS = SLOTS * SLOT_FLOATS, /* for the slots of a rank, and of those with `room` twice that */
    MANY_SLOTS = 60, MORE_SLOTS = 15,  /* no powers of 2, lest they begin in the same sets of a cache */
    ROOM_SLOTS = 247, MORE_ROOM_SLOTS = 31, PART_ROOM_SLOTS = 19,
    LINES = 64, LINE_FLOATS = 14
};

struct line {
    _Alignas(LINE) uint64_t number;
    float values[LINE_FLOATS];
};

struct place {                   /* of one rank */
    struct counter written, combined;
    struct line lines[LINES];
};

static const size_t arena_bytes = (size_t)1 << 30;

enum shape { IN_LINE, ONE_SHOT, TWO_SHOT, DIRECT };

/* Sizes in bytes for which a variant can be the best. */
static const struct variant {
    const char *name;
    enum shape shape;
    size_t chunk;                /* floats */
    size_t slots;
    int around, pauses;
    size_t least, most;
    int room, first_around;
} variants[] = {
    { "line", IN_LINE, 0, 0, 0, 0, 0, 56 },
    { "linepause", IN_LINE, 0, 0, 0, 1, 0, 56 },
    { "one8K", ONE_SHOT, 2 << 10, SLOTS, 0, 0, 0, 64 << 10 },
    { "one8Kslots", ONE_SHOT, 2 << 10, MANY_SLOTS, 0, 0, 0, 64 << 10 },
    { "one8Kroom", ONE_SHOT, 2 << 10, ROOM_SLOTS, 0, 0, 4 << 10, 64 << 10, 1 },
    { "one64K", ONE_SHOT, 16 << 10, SLOTS, 0, 0, 32 << 10, (size_t)-1 },
    { "one64Kslots", ONE_SHOT, 16 << 10, MORE_SLOTS, 0, 0, 128 << 10, 8 << 20 },
    { "one64Kroom", ONE_SHOT, 16 << 10, MORE_ROOM_SLOTS, 0, 0, 128 << 10, (size_t)-1, 1 },
    { "one64Kroomnt", ONE_SHOT, 16 << 10, MORE_ROOM_SLOTS, 1, 0, 1 << 20, (size_t)-1, 1 },
    { "one8Kroomf", ONE_SHOT, 2 << 10, ROOM_SLOTS, 0, 0, 4 << 10, 64 << 10, 1, 1 },
    { "one64Kroomf", ONE_SHOT, 16 << 10, MORE_ROOM_SLOTS, 0, 0, 128 << 10, (size_t)-1, 1, 1 },
    { "one64Kroomntf", ONE_SHOT, 16 << 10, MORE_ROOM_SLOTS, 1, 0, 1 << 20, (size_t)-1, 1, 1 },
    { "one64Knt", ONE_SHOT, 16 << 10, SLOTS, 1, 0, 1 << 20, (size_t)-1 },
    { "two8K", TWO_SHOT, 2 << 10, SLOTS, 0, 0, 512, 64 << 10 },
    { "two8Kntsf", TWO_SHOT, 2 << 10, SLOTS, 2, 0, 4 << 10, 64 << 10, 0, 1 },
    { "two32K", TWO_SHOT, 8 << 10, SLOTS, 0, 0, 64 << 10, 8 << 20 },
    { "two32Kroom", TWO_SHOT, 8 << 10, PART_ROOM_SLOTS, 0, 0, 64 << 10, 8 << 20, 1 },
    { "two32Kroomnt", TWO_SHOT, 8 << 10, PART_ROOM_SLOTS, 1, 0, 1 << 20, (size_t)-1, 1 },
    { "two32Kroomntsf", TWO_SHOT, 8 << 10, PART_ROOM_SLOTS, 2, 0, 64 << 10, (size_t)-1, 1, 1 },
    { "two128K", TWO_SHOT, 32 << 10, SLOTS, 0, 0, 1 << 20, 8 << 20 },
    { "two32Knt", TWO_SHOT, 8 << 10, SLOTS, 1, 0, 1 << 20, (size_t)-1 },
    { "two128Knt", TWO_SHOT, 32 << 10, SLOTS, 1, 0, 1 << 20, (size_t)-1 },
    { "two128Knts", TWO_SHOT, 32 << 10, SLOTS, 2, 0, 1 << 20, (size_t)-1 },
    { "direct", DIRECT, 0, 0, 0, 0, 0, 8 << 20 },
    { "directpause", DIRECT, 0, 0, 0, 1, 0, 64 << 10 },
    { "directnt", DIRECT, 0, 0, 1, 0, 1 << 20, (size_t)-1 },
};

static struct place *places;
static float *slots, *arena;
static size_t arena_used;
static int arena_blocks;
static const struct variant *variant;
static uint64_t sequence;        /* chunks so far; the same on all ranks */
static uint64_t acknowledged;    /* lines or chunks that all readers are known to have read */
static int me, ranks;

/* Floats from slot to slot: a rank's memory for first or for second slots is divided as
 * the variant has it, at cache lines. */
static size_t slot_floats(const struct variant *v)
{
    size_t all = (size_t)ROOM_FLOATS << v->room, line = LINE / sizeof(float);

    return all / v->slots / line * line;
}

static float *slot(int rank, int second, uint64_t chunk)
{
    return slots + ((size_t)rank * 2 + (size_t)second) * 2 * ROOM_FLOATS +
           chunk % variant->slots * slot_floats(variant);
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int reads(enum collective what, int rank)
{
    return what == BCAST ? rank != 0 : what == REDUCE ? rank == 0 : 1;
}

static int writes(enum collective what, int rank)
{
    return what == BCAST ? rank == 0 : what == REDUCE ? rank != 0 : 1;
}

/* Wait until every other rank that reads has combined `chunks` chunks; returns how
 * many all of them have. */
static uint64_t wait_combined(enum collective what, uint64_t chunks)
{
    uint64_t least = UINT64_MAX;

    for (int r = 0; r < ranks; r++) {
        uint64_t combined;

        if (r == me || !reads(what, r))
            continue;
        combined = counter_wait(&places[r].combined, chunks);
        least = combined < least ? combined : least;
    }
    return least == UINT64_MAX ? chunks : least;
}

/* Take `n` floats of rank `from`, which belong to `at` floats from the start. */
static void combine(struct call *call, int from, int first, const float *theirs, size_t at,
                    size_t n)
{
    float *out = call->out + at;

    switch (call->what) {
    case ALLREDUCE:
    case REDUCE:
        floats_add(out, first ? call->in + at : out, theirs, n, variant->around);
        break;
    case ALLGATHER:
        floats_copy(out + (size_t)from * call->n, theirs, n, variant->around);
        break;
    case BCAST:
        floats_copy(out, theirs, n, variant->around);
        break;
    default:
        break;
    }
}

static int chunks_combine(struct call *call, uint64_t number, size_t at, size_t n)
{
    int taken = 0;

    for (int i = 1; i < ranks; i++) {
        int r = (me + i) % ranks;

        if (!writes(call->what, r))
            continue;
        counter_wait(&places[r].written, number + 1);
        combine(call, r, taken++ == 0, slot(r, 0, number), at, n);
    }
    return taken;
}

static void one_shot(struct call *call)
{
    size_t n = call->n, chunk = variant->chunk, chunks = (n + chunk - 1) / chunk;
    const float *from = call->what == BCAST ? call->out : call->in;

    if (call->what == ALLGATHER)
        floats_copy(call->out + (size_t)me * n, call->in, n, variant->around);
    for (size_t k = 0; k < chunks + 1; k++) {
        uint64_t number = sequence + k;

        if (k < chunks && writes(call->what, me)) {
            if (number + 1 - acknowledged > variant->slots)
                acknowledged = wait_combined(call->what, number + 1 - variant->slots);
            floats_copy(slot(me, 0, number), from + k * chunk,
                        least_of(chunk, n - k * chunk), variant->first_around);
            counter_set(&places[me].written, number + 1);
        }
        if (k >= 1 && reads(call->what, me)) {
            chunks_combine(call, number - 1, (k - 1) * chunk,
                           least_of(chunk, n - (k - 1) * chunk));
            counter_set(&places[me].combined, number);
        }
    }
    sequence += chunks;
}

/* Where the part of a rank begins, in floats, in a vector of n, or of n blocks. */
static size_t part(const struct call *call, int rank)
{
    if (call->what == REDUCE_SCATTER)
        return (size_t)rank * call->n;
    return call->n * (size_t)rank / (size_t)ranks;
}

/* How many floats of the part of `rank` are in its chunk `k`. */
static size_t part_chunk(const struct call *call, int rank, size_t k)
{
    size_t n = part(call, rank + 1) - part(call, rank), at = k * variant->chunk;

    return at < n ? least_of(variant->chunk, n - at) : 0;
}

/* The slot holds a chunk for each other rank, in turn. */
static size_t slot_place(int writer, int reader)
{
    return (size_t)(reader < writer ? reader : reader - 1) * variant->chunk;
}

static void two_write(struct call *call, size_t k)
{
    uint64_t number = sequence + k;

    for (int i = 1; i < ranks; i++) {
        int r = (me + i) % ranks;

        floats_copy(slot(me, 0, number) + slot_place(me, r),
                    call->in + part(call, r) + k * variant->chunk, part_chunk(call, r, k),
                    variant->first_around);
    }
    counter_set(&places[me].written, number + 1);
}

static void two_add(struct call *call, size_t k)
{
    uint64_t number = sequence + k;
    size_t at = part(call, me) + k * variant->chunk, n = part_chunk(call, me, k);
    float *out = call->out + (call->what == REDUCE_SCATTER ? k * variant->chunk : at);
    const float *mine = call->in + at;
    int around = variant->around;

    if (call->what == REDUCE && me != 0)
        out = slot(me, 1, number);
    for (int i = 1; i < ranks; i++) {
        int r = (me + i) % ranks;
        const float *theirs = slot(r, 0, number) + slot_place(r, me);

        counter_wait(&places[r].written, number + 1);
        if (call->what == ALLREDUCE && i == ranks - 1)
            floats_add_twice(out, slot(me, 1, number), mine, theirs, n, around);
        else
            floats_add(out, mine, theirs, n, around && ranks == 2 && call->what != REDUCE);
        mine = out;
    }
    counter_set(&places[me].combined, number + 1);
}

static void two_gather(struct call *call, size_t k)
{
    uint64_t number = sequence + k;
    int takes = call->what == ALLREDUCE || (call->what == REDUCE && me == 0);

    for (int i = 1; i < ranks; i++) {
        int r = (me + i) % ranks;

        counter_wait(&places[r].combined, number + 1);
        if (takes)
            floats_copy(call->out + part(call, r) + k * variant->chunk, slot(r, 1, number),
                        part_chunk(call, r, k), variant->around);
    }
}

/* A slot is free again: who has added chunk k has seen all write k, and to
 * write k a rank has gathered k - 2. */
static void two_shot(struct call *call)
{
    size_t longest = part(call, 1), chunks;

    for (int r = 1; r < ranks; r++)
        if (part(call, r + 1) - part(call, r) > longest)
            longest = part(call, r + 1) - part(call, r);
    chunks = (longest + variant->chunk - 1) / variant->chunk;
    for (size_t k = 0; k < chunks + 2; k++) {
        if (k < chunks)
            two_write(call, k);
        if (k >= 1 && k - 1 < chunks)
            two_add(call, k - 1);
        if (k >= 2)
            two_gather(call, k - 2);
    }
    sequence += chunks;
}

static void line_combine(struct call *call, int from, int first, const float *values)
{
    if (call->what == REDUCE_SCATTER) {
        size_t at = (size_t)me * call->n;

        for (size_t i = 0; i < call->n; i++)
            call->out[i] = (first ? call->in[at + i] : call->out[i]) + values[at + i];
    } else {
        combine(call, from, first, values, 0, call->n);
    }
}

static void in_line(struct call *call)
{
    size_t n = call->what == REDUCE_SCATTER ? call->n * (size_t)ranks : call->n;
    struct line *mine = &places[me].lines[sequence % LINES];
    int taken = 0;

    sequence++;
    if (writes(call->what, me)) {
        if (sequence - acknowledged > LINES)
            acknowledged = wait_combined(call->what, sequence - LINES / 2);
        memcpy(mine->values, call->what == BCAST ? call->out : call->in, n * sizeof(float));
        __atomic_store_n(&mine->number, sequence, __ATOMIC_RELEASE);
    }
    if (call->what == ALLGATHER)
        memcpy(call->out + (size_t)me * n, call->in, n * sizeof(float));
    for (int i = 1; i < ranks && reads(call->what, me); i++) {
        int r = (me + i) % ranks;
        const struct line *theirs = &places[r].lines[(sequence - 1) % LINES];

        if (!writes(call->what, r))
            continue;
        number_wait(&theirs->number, sequence);
        line_combine(call, r, taken++ == 0, theirs->values);
    }
    if (reads(call->what, me))
        counter_set(&places[me].combined, sequence);
}

static float *at_rank(float *mine, int rank)
{
    size_t arena_floats = arena_bytes / sizeof(float);

    return mine + ((ptrdiff_t)rank - me) * (ptrdiff_t)arena_floats;
}

/* Of two ranks. */
static void direct(struct call *call)
{
    size_t at = part(call, me), n = part(call, me + 1) - at;
    int right = (me + 1) % ranks;

    counter_set(&places[me].written, ++sequence);
    for (int r = 0; r < ranks; r++)
        counter_wait(&places[r].written, sequence);
    floats_add_twice(call->out + at, at_rank(call->out, right) + at, call->in + at,
                     at_rank(call->in, right) + at, n, 2 * variant->around);
    counter_set(&places[me].combined, sequence);
    for (int r = 0; r < ranks; r++)
        counter_wait(&places[r].combined, sequence);
}

void library_call(struct call *call)
{
    if (call->what == BARRIER) {
        counter_set(&places[me].written, ++sequence);
        for (int r = 0; r < ranks; r++)
            counter_wait(&places[r].written, sequence);
        return;
    }
    switch (variant->shape) {
    case IN_LINE:  in_line(call); break;
    case ONE_SHOT: one_shot(call); break;
    case TWO_SHOT: two_shot(call); break;
    case DIRECT:   direct(call); break;
    }
}

static int variant_serves(const struct variant *v, enum collective what)
{
    if (what == BARRIER)
        return v->shape == IN_LINE;
    if (v->shape == IN_LINE && what == REDUCE_SCATTER && ranks > LINE_FLOATS)
        return 0;
    if (v->shape == ONE_SHOT && what == REDUCE_SCATTER)
        return 0;
    if (v->shape == TWO_SHOT)
        return (what == ALLREDUCE || what == REDUCE_SCATTER || what == REDUCE) &&
            (size_t)(ranks - 1) * v->chunk <= slot_floats(v);
    return v->shape != DIRECT || (what == ALLREDUCE && ranks == 2);
}

/* Counters go on from one variant to the next: everybody says that all chunks
 * so far are done with. */
static void variant_begin(void)
{
    floor_barrier();
    sequence = (sequence / LINES + 2) * LINES;
    acknowledged = sequence;
    counter_set(&places[me].written, sequence);
    counter_set(&places[me].combined, sequence);
    floor_barrier();
}

int library_variant(const char *name, enum collective what, size_t bytes)
{
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        const struct variant *v = &variants[i];

        if (strcmp(name, v->name) != 0 || bytes < v->least || bytes > v->most ||
            !variant_serves(v, what))
            continue;
        variant = v;
        floor_pauses = v->pauses;
        variant_begin();
        return v->shape == DIRECT ? 2 : 1;
    }
    return 0;
}

void library_open(int *argc, char ***argv, int *rank, int *nranks)
{
    if (*argc < 2)
        library_failed("usage: floor_shm RANKS ...");
    ranks = atoi((*argv)[1]);
    if (ranks < 1 || ranks > RANKS_MOST)
        library_failed("not a number of ranks");
    places = floor_map_shared((size_t)ranks * sizeof *places);
    slots = floor_map_shared((size_t)ranks * 2 * 2 * ROOM_FLOATS * sizeof *slots);
    arena = floor_map_shared((size_t)ranks * arena_bytes);
    floor_fork(ranks);
    *rank = me = floor_rank;
    *nranks = ranks;
    *argc -= 1;
    *argv += 1;
}

/* In the shared arena all ranks allocate alike, so that a buffer lies at the
 * same place in each rank's part. */
void *library_alloc(size_t bytes)
{
    void *memory = NULL;

    if (variant->shape == DIRECT) {
        memory = (char *)arena + (size_t)me * arena_bytes + arena_used;
        arena_used += (bytes + 4095) & ~(size_t)4095;
        arena_blocks++;
        if (arena_used > arena_bytes)
            library_failed("the shared arena is full");
    } else if (posix_memalign(&memory, 4096, bytes) != 0) {
        library_failed("no memory");
    }
    return memory;
}

void library_free(void *memory)
{
    if (variant->shape != DIRECT)
        free(memory);
    else if (memory && --arena_blocks == 0)
        arena_used = 0;
}
