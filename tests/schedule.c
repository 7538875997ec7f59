/* SPDX-License-Identifier: BSD-3-Clause */
/* The builder: inferred order against a reference that compares all pairs,
 * scratch memory of slices, running out of memory, speed; and that
 * schedule_check() finds what it is there to find.
 *
 *   schedule [seed [cases]] */
#include "schedule/schedule.h"

#include "failing_memory.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OPS = 64, BYTES = 96, MOST_PARTS = 4 };

static uint64_t state;

static unsigned draw(unsigned below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((state >> 33) % below);
}

/* ---- Order --------------------------------------------------------------- */

static struct span random_span(size_t bytes)
{
    return (struct span){ (enum space)draw(SPACES), draw((unsigned)(BYTES - bytes + 1)), bytes };
}

static void append_random(struct schedule *s)
{
    size_t bytes = draw(8) ? 1 + draw(12) : 1 + draw(BYTES);
    struct span dst = random_span(bytes), src = draw(4) ? random_span(bytes) : dst;
    struct span parts[MOST_PARTS];
    int nparts = 2 + (int)draw(MOST_PARTS - 1);

    for (int i = 0; i < nparts; i++)
        parts[i] = random_span(bytes);
    switch (draw(7)) {
    case 0: schedule_send(s, (int)draw(3), src); break;
    case 1: schedule_recv(s, (int)draw(3), dst); break;
    case 2: schedule_recv_combine(s, (int)draw(3), dst, src, draw(2)); break;
    case 3: schedule_copy(s, dst, src); break;
    case 4: schedule_reduce(s, dst, parts, nparts); break;
    case 5: schedule_scale_before(s, dst, src); break;
    default: schedule_scale_after(s, dst, src);
    }
}

static bool overlap(struct span a, struct span b)
{
    return a.space == b.space && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

static int reads_of(const struct schedule *s, const struct op *op, struct span reads[MOST_PARTS])
{
    if (op->kind == OP_REDUCE)
        memcpy(reads, &s->parts[op->first_part], op->nparts * sizeof *reads);
    else
        reads[0] = op->src;
    return op->kind == OP_RECV ? 0 : op->kind == OP_REDUCE ? (int)op->nparts : 1;
}

static bool conflict(const struct schedule *s, const struct op *a, const struct op *b)
{
    struct span a_reads[MOST_PARTS], b_reads[MOST_PARTS];
    int na = reads_of(s, a, a_reads), nb = reads_of(s, b, b_reads);
    bool a_writes = a->kind != OP_SEND, b_writes = b->kind != OP_SEND;
    bool found = a_writes && b_writes && overlap(a->dst, b->dst);

    for (int i = 0; i < na; i++)
        found |= b_writes && overlap(a_reads[i], b->dst);
    for (int i = 0; i < nb; i++)
        found |= a_writes && overlap(b_reads[i], a->dst);
    return found;
}

/* Needs are conflicts, each once, and lead to every conflict by way of others. */
static bool order_right(const struct schedule *s)
{
    uint64_t before[OPS] = { 0 };        /* bit j of [i]: j surely ends before i starts */

    for (uint32_t i = 0; i < s->nops; i++) {
        const struct op *op = &s->ops[i];
        uint64_t direct = 0;

        for (uint32_t k = 0; k < op->nneeds; k++) {
            uint32_t need = s->needs[op->first_need + k];

            if (need >= i || direct >> need & 1 || !conflict(s, &s->ops[need], op)) {
                printf("FAIL order: %u needs %u\n", i, need);
                return false;
            }
            direct |= 1ull << need;
            before[i] |= before[need] | 1ull << need;
        }
        for (uint32_t j = 0; j < i; j++)
            if (conflict(s, &s->ops[j], op) && !(before[i] >> j & 1)) {
                printf("FAIL order: %u does not wait for %u\n", i, j);
                return false;
            }
    }
    return true;
}

static bool test_order(int cases)
{
    unsigned long needs = 0, ops = 0;

    for (int i = 0; i < cases; i++) {
        struct schedule s;
        bool right;

        schedule_init(&s, 3);
        for (int k = 0; k < OPS; k++)
            append_random(&s);
        schedule_finish(&s);
        right = !s.failed && order_right(&s);
        ops += s.nops;
        needs += s.nneeds;
        if (!right)
            schedule_print(&s, stdout);
        schedule_free(&s);
        if (!right)
            return false;
    }
    printf("order: %d random schedules, %lu operations, %.1f needs each\n", cases, ops,
           (double)needs / (double)ops);
    return true;
}

static bool test_memory(void)
{
    int failures = 0;

    if (!CAN_FAIL) {
        puts("SKIP: allocations cannot be made to fail under a sanitizer");
        return true;
    }
    for (long limit = 0; limit < 1000000; limit++) {
        struct schedule s;
        bool failed;

        allocations_left = limit;
        schedule_init(&s, 3);
        for (int k = 0; k < OPS; k++)
            append_random(&s);
        schedule_finish(&s);
        allocations_left = -1;
        failed = s.failed;
        if (!failed && !order_right(&s))
            return false;
        schedule_free(&s);
        if (!failed)
            break;
        failures++;
    }
    printf("memory: %d times out of memory\n", failures);
    return failures > 0;
}

/* ---- Slices -------------------------------------------------------------- */

static bool test_slices(void)
{
    struct span seen[100][2];

    for (int depth = 1; depth <= SCHEDULE_DEPTH; depth++) {
        struct schedule s;
        struct span header;

        schedule_init(&s, 1);
        header = schedule_scratch(&s, 10);
        for (int i = 0; i < 100; i++) {
            schedule_slice(&s, i, depth);
            seen[i][0] = schedule_scratch(&s, i == 99 ? 7 : 100);
            seen[i][1] = schedule_scratch(&s, i == 50 ? 1000 : 33);   /* one does not fit */
            for (int k = 0; k < 2; k++) {
                bool again = i >= depth && !((i == 50 || i == 99) && k == 1);

                if (overlap(seen[i][k], header) || overlap(seen[i][0], seen[i][1]) ||
                    seen[i][k].offset % 64 || seen[i][k].offset + seen[i][k].bytes > s.scratch ||
                    (again && i - depth != 50 && seen[i][k].offset != seen[i - depth][k].offset))
                    return printf("FAIL slices: depth %d, slice %d\n", depth, i) < 0;
            }
            for (int j = i >= depth ? i - depth + 1 : 0; j < i; j++)
                for (int k = 0; k < 4; k++)
                    if (overlap(seen[i][k / 2], seen[j][k % 2]))
                        return printf("FAIL slices: %d and %d share\n", j, i) < 0;
        }
        if (s.scratch != 64 + (size_t)depth * (128 + 64) + 1024)
            return printf("FAIL slices: depth %d takes %zu\n", depth, s.scratch) < 0;
        schedule_free(&s);
    }
    puts("slices: scratch is reused in turns");
    return true;
}

/* ---- Speed --------------------------------------------------------------- */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* 100,000 operations: on blocks in turn, on random spans, all on one span. */
static bool test_speed(int pattern)
{
    struct schedule s;
    double start = seconds(), took;

    schedule_init(&s, 2);
    for (unsigned i = 0; i < 50000; i++) {
        struct span a = { DST, i % 5000 * 64, 64 }, b = { DST, (i + 1) % 5000 * 64, 64 };

        if (pattern == 1) {
            a.offset = draw(1 << 20);
            b.offset = draw(1 << 20);
        } else if (pattern == 2) {
            a.offset = b.offset = 0;
        }
        schedule_send(&s, 1, a);
        schedule_recv_combine(&s, 1, b, b, false);
    }
    schedule_finish(&s);
    took = seconds() - start;
    printf("speed: pattern %d: %u operations, %u needs in %.3f s\n", pattern, s.nops, s.nneeds,
           took);
    schedule_free(&s);
    return took < 5;
}

/* ---- What check finds ---------------------------------------------------- */

static void add(unsigned char *dst, const unsigned char *a, const unsigned char *b, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        dst[i] = (unsigned char)(a[i] + b[i]);
}

/* Two ranks' schedules with 64 bytes of each space; frees the schedules. */
static bool expect(const char *what, struct schedule s[2], bool rendezvous, bool good)
{
    unsigned char bytes[2][SPACES][64] = { { { 0 } } };
    struct check_memory memory[2];
    struct check check = { .ranks = s, .memory = memory, .nranks = 2, .seed = draw(1000),
                           .rendezvous = rendezvous, .combine = add };
    char why[256] = "ended well";
    bool result;

    for (int r = 0; r < 2; r++)
        for (int space = 0; space < SPACES; space++) {
            memory[r].space[space] = bytes[r][space];
            memory[r].bytes[space] = 64;
        }
    result = schedule_check(&check, why, sizeof why);
    printf("%s check: %s: %s\n", result == good ? "ok  " : "FAIL", what, why);
    schedule_free(&s[0]);
    schedule_free(&s[1]);
    return result == good;
}

static void fresh(struct schedule s[2])
{
    schedule_init(&s[0], 2);
    schedule_init(&s[1], 2);
}

/* Rank 0 sends `count` messages, the first only after an answer to the last. */
static void late_first(struct schedule s[2], int count)
{
    fresh(s);
    schedule_recv(&s[0], 1, (struct span){ DST, 0, 1 });
    schedule_send(&s[0], 1, (struct span){ DST, 0, 1 });
    for (int i = 1; i < count; i++)
        schedule_send(&s[0], 1, (struct span){ SRC, 0, 1 });
    for (int i = 0; i < count; i++)
        schedule_recv(&s[1], 0, (struct span){ DST, i == count - 1, 1 });
    schedule_send(&s[1], 0, (struct span){ DST, 1, 1 });
}

static bool test_check(void)
{
    const struct span src = { SRC, 0, 8 }, dst = { DST, 0, 8 };
    struct schedule s[2];
    bool good = true;

    for (int rendezvous = 0; rendezvous < 2; rendezvous++) {
        fresh(s);
        for (int r = 0; r < 2; r++) {
            schedule_send(&s[r], 1 - r, dst);
            schedule_recv(&s[r], 1 - r, dst);
        }
        good &= expect(rendezvous ? "exchange in one place, unbuffered" :
                       "exchange in one place, buffered", s, rendezvous, !rendezvous);
        late_first(s, 256);
        good &= expect("within the window", s, rendezvous, true);
        late_first(s, 257);
        good &= expect("beyond the window", s, rendezvous, false);
    }
    fresh(s);
    for (int r = 0; r < 2; r++) {
        schedule_recv(&s[r], 1 - r, dst);
        schedule_send(&s[r], 1 - r, dst);
    }
    good &= expect("both wait first", s, false, false);
    fresh(s);
    schedule_send(&s[0], 1, src);
    good &= expect("no receive", s, false, false);
    fresh(s);
    schedule_recv(&s[0], 1, dst);
    good &= expect("no send", s, false, false);
    fresh(s);
    schedule_send(&s[0], 1, src);
    schedule_recv(&s[1], 0, (struct span){ DST, 0, 7 });
    good &= expect("sizes differ", s, false, false);
    fresh(s);
    schedule_copy(&s[0], (struct span){ DST, 60, 8 }, src);
    good &= expect("out of bounds", s, false, false);
    fresh(s);
    schedule_copy(&s[0], (struct span){ DST, SIZE_MAX - 64, 3 }, (struct span){ SRC, 0, 3 });
    good &= expect("far out of bounds", s, false, false);
    fresh(s);
    schedule_copy(&s[0], (struct span){ DST, 4, 8 }, dst);
    good &= expect("a copy onto a part of itself", s, false, false);
    fresh(s);
    schedule_scale_before(&s[0], dst, src);
    good &= expect("scaling without a function for it", s, false, false);
    return good;
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 1;
    int cases = argc > 2 ? atoi(argv[2]) : 2000;
    bool good;

    printf("seed %u\n", seed);
    state = seed;
    good = test_order(cases);
    good &= test_memory();
    good &= test_slices();
    for (int pattern = 0; pattern < 3; pattern++)
        good &= test_speed(pattern);
    good &= test_check();
    return good ? 0 : 1;
}
