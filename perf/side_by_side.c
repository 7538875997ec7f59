/* SPDX-License-Identifier: BSD-3-Clause */
/* The timing loop of perf/compare.
 *
 *   side_by_side COLLECTIVE VARIANTS BATCH_US BUDGET_MS CACHE_BYTES BYTES...
 *
 * VARIANTS: names with commas between, for instance plain,persistent.  BYTES
 * counts the send buffer of a rank (bcast: the buffer).  Rank 0 prints
 *
 *   row VARIANT COLLECTIVE BYTES warm|cold MEDIAN P99 LEAST BATCHES CALLS
 *
 * in microseconds per call.  A batch is CALLS calls back to back after a
 * barrier, long enough to last BATCH_US (one call from 1 MiB up); its time is
 * that of the slowest rank; MEDIAN and P99 are over the batches.  There are as
 * many batches as BUDGET_MS allows, at least 21, or 5 where a call takes
 * longer than 10 ms.
 *
 * "warm" calls use the same buffers every time.  "cold" calls (from 1 MiB up)
 * rotate through sets of buffers, so that more than 4 x CACHE_BYTES of other
 * buffers, of all ranks together, pass before one is used again.  Where one
 * set is that large there is no warm call.
 *
 * Every element of the result is verified before the timing; then the result
 * is wiped, and after the timing elements spread over it are verified again. */
#include "side_by_side.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BATCHES_LEAST = 21, BATCHES_SLOW = 5, BATCHES_MOST = 201,
    CALLS_MOST = 100000, SETS_MOST = 512, SPOTS = 64,
    EXIT_WRONG_RESULT = 3
};

static const double slow_us = 1e4;
static const size_t large_bytes = 1 << 20;

static const char *const names[COLLECTIVES] = {
    "allreduce", "allgather", "bcast", "reduce_scatter", "reduce", "barrier"
};

struct timing {
    double batch_us, budget_us;
    size_t cache_bytes;
};

struct row {
    const char *variant;
    size_t bytes;
    int cold;
};

static int rank, nranks;

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* Small whole numbers: sums of them are exact in float32 in any order. */
static float input(int of_rank, size_t i)
{
    return (float)(of_rank + 1 + (int)(i % 61));
}

static size_t length_in(enum collective what, size_t n)
{
    return what == REDUCE_SCATTER ? n * (size_t)nranks : n;
}

static size_t length_out(enum collective what, size_t n)
{
    return what == ALLGATHER ? n * (size_t)nranks : n;
}

static float expected(enum collective what, size_t n, size_t i)
{
    int ranks = nranks * (nranks + 1) / 2;

    switch (what) {
    case ALLGATHER:
        return input((int)(i / n), i % n);
    case BCAST:
        return input(0, i);
    case REDUCE_SCATTER:
        i += (size_t)rank * n;
        break;
    default:
        break;
    }
    return (float)(ranks + nranks * (int)(i % 61));
}

static void call_fill(const struct call *call)
{
    size_t in = length_in(call->what, call->n), out = length_out(call->what, call->n);

    for (size_t i = 0, k = 0; call->in && i < in; i++, k = k == 60 ? 0 : k + 1)
        call->in[i] = input(rank, k);
    for (size_t i = 0; call->out && i < out; i++)
        call->out[i] = call->what == BCAST && rank == 0 ? input(0, i) : -1.0f;
}

/* Verify elements 0, step, 2 step, ... and the last. */
static void call_verify(const struct call *call, size_t step, const char *when)
{
    size_t out = length_out(call->what, call->n);

    if (call->what == BARRIER || (call->what == REDUCE && rank != 0))
        return;
    for (size_t k = 0; k < out + step; k += step) {
        size_t i = k < out ? k : out - 1;
        float want = expected(call->what, call->n, i);

        if (call->out[i] != want) {
            fprintf(stderr, "wrong result: %s of %zu floats, rank %d, element %zu is %g "
                    "instead of %g, %s the timing\n", names[call->what], call->n, rank, i,
                    (double)call->out[i], (double)want, when);
            fflush(NULL);
            exit(EXIT_WRONG_RESULT);
        }
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Rotates through the sets; *next is where the rotation stands. */
static double batch_run(struct call *sets, int nsets, int calls, int *next)
{
    double start;

    library_barrier();
    start = now_us();
    if (nsets == 1) {
        for (int i = 0; i < calls; i++)
            library_call(sets);
    } else {
        for (int i = 0; i < calls; i++) {
            library_call(&sets[*next]);
            *next = (*next + 1) % nsets;
        }
    }
    return now_us() - start;
}

/* How many calls make a batch; all ranks agree.  *batch_us: how long it takes;
 * what looks slow is looked at again, lest one interruption decide. */
static int batch_size(struct call *sets, int nsets, size_t bytes, const struct timing *timing,
                      int *next, double *batch_us)
{
    int calls = 1, looks = 3;

    for (;;) {
        double us = batch_run(sets, nsets, calls, next), times;

        library_max(&us, 1);
        if (us > slow_us && --looks > 0)
            continue;
        *batch_us = us;
        if (us >= 0.7 * timing->batch_us || bytes >= large_bytes || calls >= CALLS_MOST)
            return calls;
        times = timing->batch_us / (us > 1e-2 ? us : 1e-2);
        times = times > 10 ? 10 : times < 1.5 ? 1.5 : times;
        calls = (int)fmin(ceil(calls * times), CALLS_MOST);
    }
}

static int batch_count(double batch_us, const struct timing *timing)
{
    int least = batch_us > slow_us ? BATCHES_SLOW : BATCHES_LEAST;
    double wanted = timing->budget_us / (batch_us > 1 ? batch_us : 1);

    return wanted < least ? least : wanted > BATCHES_MOST ? BATCHES_MOST : (int)wanted;
}

static void report(const struct call *sets, const struct row *row, double *times, int batches,
                   int calls)
{
    qsort(times, (size_t)batches, sizeof *times, ascending);
    printf("row %s %s %zu %s %.4f %.4f %.4f %d %d\n", row->variant, names[sets->what],
           row->bytes, row->cold ? "cold" : "warm", times[batches / 2],
           times[(int)ceil(0.99 * batches) - 1], times[0], batches, calls);
    fflush(stdout);
}

static void measure_sets(struct call *sets, int nsets, const struct row *row,
                         const struct timing *timing)
{
    double times[BATCHES_MOST], batch_us;
    int calls, batches, next = 0;

    for (int s = 0; s < nsets; s++) {
        size_t step = s ? length_out(sets->what, sets->n) / SPOTS + 1 : 1;

        library_prepare(&sets[s]);
        library_call(&sets[s]);
        call_verify(&sets[s], step, "before");
    }
    library_barrier();                             /* nobody is still read from */
    for (int s = 0; s < nsets; s++)
        call_fill(&sets[s]);
    calls = batch_size(sets, nsets, row->bytes, timing, &next, &batch_us);
    batches = batch_count(batch_us, timing);
    /* The timed calls must write again, whatever the calls so far have left. */
    call_fill(&sets[next]);
    for (int b = 0; b < batches; b++)
        times[b] = batch_run(sets, nsets, calls, &next) / calls;
    library_max(times, batches);
    call_verify(&sets[(next + nsets - 1) % nsets], length_out(sets->what, sets->n) / SPOTS + 1,
                "after");
    if (rank == 0)
        report(sets, row, times, batches, calls);
    for (int s = 0; s < nsets; s++)
        library_release(&sets[s]);
}

/* Bytes of one set of buffers that a call reads or writes, all ranks together. */
static size_t set_bytes(enum collective what, size_t n)
{
    size_t blocks = what == BCAST || what == REDUCE ? 0 : length_in(what, n);

    return (blocks + length_out(what, n)) * sizeof(float) * (size_t)nranks;
}

/* Floats of a block; reduce_scatter divides its send buffer into one per rank. */
static size_t block_length(enum collective what, size_t bytes)
{
    size_t n = bytes / sizeof(float), blocks = what == REDUCE_SCATTER ? (size_t)nranks : 1;

    return n < blocks ? n > 0 : n / blocks;
}

static void measure(enum collective what, size_t bytes, int cold, const char *variant,
                    const struct timing *timing)
{
    struct row row = { variant, bytes, cold };
    struct call sets[SETS_MOST];
    size_t n = block_length(what, bytes), pass = set_bytes(what, n);
    int nsets = 1;

    if (cold && pass <= 4 * timing->cache_bytes)
        nsets = (int)(4 * timing->cache_bytes / pass) + 2;
    nsets = nsets > SETS_MOST ? SETS_MOST : nsets;
    for (int s = 0; s < nsets; s++) {
        struct call *call = &sets[s];

        *call = (struct call){ .what = what, .n = n };
        if (bytes && what != BCAST)
            call->in = library_alloc(length_in(what, n) * sizeof(float));
        if (bytes)
            call->out = library_alloc(length_out(what, n) * sizeof(float));
        call_fill(call);
    }
    measure_sets(sets, nsets, &row, timing);
    for (int s = 0; s < nsets; s++) {
        library_free(sets[s].in);
        library_free(sets[s].out);
    }
}

/* A set larger than the caches is cold at every call anyway. */
static void measure_size(enum collective what, size_t bytes, const char *variant,
                         const struct timing *timing)
{
    if (!library_variant(variant, what, bytes))
        return;
    if (bytes < large_bytes ||
        set_bytes(what, block_length(what, bytes)) <= 4 * timing->cache_bytes)
        measure(what, bytes, 0, variant, timing);
    if (bytes >= large_bytes)
        measure(what, bytes, 1, variant, timing);
}

static enum collective collective_find(const char *name)
{
    int what = 0;

    while (what < COLLECTIVES && strcmp(name, names[what]) != 0)
        what++;
    if (what == COLLECTIVES)
        library_failed("unknown collective");
    return (enum collective)what;
}

int main(int argc, char **argv)
{
    struct timing timing;
    enum collective what;

    library_open(&argc, &argv, &rank, &nranks);
    if (argc < 7)
        library_failed("usage: side_by_side COLLECTIVE VARIANTS BATCH_US BUDGET_MS "
                       "CACHE_BYTES BYTES...");
    what = collective_find(argv[1]);
    timing = (struct timing){ strtod(argv[3], NULL), strtod(argv[4], NULL) * 1e3,
                              (size_t)strtoull(argv[5], NULL, 10) };
    if (rank == 0)
        printf("version %s\n", library_version());
    for (int i = 6; i < argc; i++) {
        char list[256], *rest = list, *variant;

        snprintf(list, sizeof list, "%s", argv[2]);
        while ((variant = strsep(&rest, ",")))
            measure_size(what, (size_t)strtoull(argv[i], NULL, 10), variant, &timing);
    }
    library_close();
    return 0;
}
