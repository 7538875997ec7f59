/* SPDX-License-Identifier: BSD-3-Clause */
/* The timing loop of perf/compare.
 *
 *   side_by_side ORDERS ANSWERS VARIANTS BATCH_US CACHE_BYTES
 *
 * VARIANTS: names with commas between, for instance plain,persistent.  All
 * libraries of a comparison run at the same time, but each works only while it
 * carries out an order, so that they take turns every few milliseconds, and
 * whatever the machine does hits all alike.  Every rank reads each order from
 * the FIFO ORDERS (records of ORDER_BYTES, one for each rank); rank 0 answers
 * with lines to the FIFO ANSWERS, the last of which is "done".
 *
 *   open COLLECTIVE BYTES warm|cold    make and verify buffers for all variants
 *                                      calls VARIANT CALLS MICROSECONDS
 *   run MASK BATCHES SINGLES           time so many batches of each variant
 *                                      whose bit (in the order of VARIANTS) is set,
 *                                      then so many in which each call is timed
 *                                      times VARIANT MICROSECONDS...
 *                                      single VARIANT P99 LONGEST (of calls, if
 *                                      a batch is more than one)
 *   close                              verify once more, free the buffers
 *   end                                leave the library, exit
 *
 * BYTES counts the send buffer of a rank (bcast: the buffer).  Times are in
 * microseconds per call.  A batch is CALLS calls back to back after a barrier,
 * long enough to last BATCH_US (one call from 1 MiB up); its time is from the
 * first rank's start to the last one's end (all have one clock).  Single calls
 * have the time of the rank where their p99, or the longest, is greatest.  Each
 * turn begins with BATCH_US of calls that are not timed: the others have used the
 * caches, and connections that rest begin slowly.
 *
 * "warm" calls use the same buffers every time.  "cold" calls (from 1 MiB up)
 * rotate through sets of buffers, so that more than 4 x CACHE_BYTES of other
 * buffers, of all ranks together, pass before one is used again.  Where one
 * set is that large there is no warm call: no variant answers.
 *
 * Every element of the result is verified before the timing.  Before each batch
 * elements spread over the input change, and after the last of a turn those of the
 * result are verified.  At the end the result is wiped, and what a call more writes
 * is verified again. */
#include "side_by_side.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    ORDER_BYTES = 64, ANSWER_BYTES = 4000, BATCHES_MOST = 32, VARIANTS_MOST = 32,
    CALLS_MOST = 100000, SETS_MOST = 512, SPOTS = 64, WARMING_MOST = 16, LOOKS = 3,
    CHANGES_MOST = 1000, EXIT_WRONG_RESULT = 3
};

static const size_t large_bytes = 1 << 20;

static const char *const names[COLLECTIVES] = {
    "allreduce", "allgather", "bcast", "reduce_scatter", "reduce", "barrier"
};

/* One variant in the row that is open.  Those whose memory is of one kind call on
 * the same buffers. */
struct contender {
    const char *name;
    int kind, calls, next;             /* kind 0: not in this row; next: of the sets */
    int warming;                       /* batches that last BATCH_US */
    struct call sets[SETS_MOST];
};

static struct contender contenders[VARIANTS_MOST];
static int ncontenders, nsets;
static enum collective row_what;
static size_t row_bytes;
static double batch_us;
static size_t cache_bytes;
static int orders, answers;

static int rank, nranks;
static int change;                     /* what spots of the input have more than others */

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* Small whole numbers: sums of them are exact in float32 in any order, those of
 * ranks' changes too. */
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

static void element_verify(const struct call *call, size_t i, float want, const char *when)
{
    if (call->out[i] == want)
        return;
    fprintf(stderr, "wrong result: %s of %zu floats, rank %d, element %zu is %g instead of %g, "
            "%s the timing\n", names[call->what], call->n, rank, i, (double)call->out[i],
            (double)want, when);
    fflush(NULL);
    exit(EXIT_WRONG_RESULT);
}

static int has_result(const struct call *call)
{
    return call->what != BARRIER && (call->what != REDUCE || rank == 0);
}

/* Verify elements 0, step, 2 step, ... and the last. */
static void call_verify(const struct call *call, size_t step, const char *when)
{
    size_t out = length_out(call->what, call->n);

    for (size_t k = 0; has_result(call) && k < out + step; k += step) {
        size_t i = k < out ? k : out - 1;

        element_verify(call, i, expected(call->what, call->n, i), when);
    }
}

/* ---- Changes of the input ------------------------------------------------------- */

/* Spots are the same elements in every block, so that those of the input are those
 * of the result. */
static size_t spots_step(const struct call *call)
{
    return call->n / SPOTS + 1;
}

/* Who would hand out an old result is found by spots_verify. */
static void spots_change(const struct call *call)
{
    float *in = call->what != BCAST ? call->in : rank == 0 ? call->out : NULL;
    size_t length = length_in(call->what, call->n);

    change = change % CHANGES_MOST + 1;
    for (size_t block = 0; in && block < length; block += call->n)
        for (size_t k = 0; k < call->n; k += spots_step(call))
            in[block + k] = input(rank, block + k) + (float)change;
}

static void spots_verify(const struct call *call)
{
    int summands = call->what == ALLGATHER || call->what == BCAST ? 1 : nranks;
    size_t length = length_out(call->what, call->n);

    for (size_t block = 0; has_result(call) && block < length; block += call->n)
        for (size_t k = 0; k < call->n; k += spots_step(call))
            element_verify(call, block + k, expected(call->what, call->n, block + k) +
                           (float)(summands * change), "during");
}

/* ---- Batches -------------------------------------------------------------------- */

/* When a batch ended, and minus when it began: the greatest of either over the
 * ranks add up to the time from the first rank's start to the last one's end. */
enum { ENDED, BEGAN, TIMES };

/* The next set; only rows of one call in a batch have more than one. */
static struct call *batch_begin(struct contender *c)
{
    struct call *set = &c->sets[c->next];

    spots_change(set);
    c->next = (c->next + 1) % nsets;
    library_barrier();
    return set;
}

static void batch_run(struct contender *c, double times[TIMES])
{
    struct call *set = batch_begin(c);

    times[BEGAN] = -now_us();
    for (int i = 0; i < c->calls; i++)
        library_call(set);
    times[ENDED] = now_us();
}

/* Microseconds of `batches` batches, in times. */
static void batches_time(struct contender *c, double *times, int batches)
{
    double both[BATCHES_MOST * TIMES];

    for (int b = 0; b < batches; b++)
        batch_run(c, both + b * TIMES);
    library_max(both, batches * TIMES);
    for (int b = 0; b < batches; b++)
        times[b] = both[b * TIMES + ENDED] + both[b * TIMES + BEGAN];
}

static int longer(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* A batch with the clock read after each call: p99 and the longest. */
static void singles_time(struct contender *c, double found[2])
{
    static float calls[CALLS_MOST];
    struct call *set = batch_begin(c);
    double before = now_us();

    for (int i = 0; i < c->calls; i++) {
        double now;

        library_call(set);
        now = now_us();
        calls[i] = (float)(now - before);
        before = now;
    }
    qsort(calls, (size_t)c->calls, sizeof *calls, longer);
    found[0] = (double)calls[(int)ceil(0.99 * c->calls) - 1];
    found[1] = (double)calls[c->calls - 1];
    library_max(found, 2);
}

/* How many calls make a batch; all ranks agree.  Returns how long it takes; what
 * looks long enough is looked at again, lest one interruption decide. */
static double batch_size(struct contender *c)
{
    for (c->calls = 1;; ) {
        double us = INFINITY, times;

        for (int looks = 0; looks < LOOKS && us >= 0.7 * batch_us; looks++) {
            double again;

            batches_time(c, &again, 1);
            us = fmin(us, again);
        }
        if (us >= 0.7 * batch_us || row_bytes >= large_bytes || c->calls >= CALLS_MOST)
            return us;
        times = batch_us / (us > 1e-2 ? us : 1e-2);
        times = times > 10 ? 10 : times < 1.5 ? 1.5 : times;
        c->calls = (int)fmin(ceil(c->calls * times), CALLS_MOST);
    }
}

static void answer(const char *text)
{
    if (rank == 0 && write(answers, text, strlen(text)) != (ssize_t)strlen(text))
        library_failed("cannot answer");
}

/* ---- Rows ----------------------------------------------------------------------- */

/* Bytes of one set of buffers that a call reads or writes, all ranks together. */
static size_t set_bytes(size_t n)
{
    size_t blocks = row_what == BCAST || row_what == REDUCE ? 0 : length_in(row_what, n);

    return (blocks + length_out(row_what, n)) * sizeof(float) * (size_t)nranks;
}

/* Floats of a block; reduce_scatter divides its send buffer into one per rank. */
static size_t block_length(void)
{
    size_t n = row_bytes / sizeof(float);
    size_t blocks = row_what == REDUCE_SCATTER ? (size_t)nranks : 1;

    return n < blocks ? n > 0 : n / blocks;
}

static void sets_make(struct contender *c)
{
    size_t n = block_length();

    for (int s = 0; s < nsets; s++) {
        struct call *call = &c->sets[s];

        *call = (struct call){ .what = row_what, .n = n };
        if (row_bytes && row_what != BCAST)
            call->in = library_alloc(length_in(row_what, n) * sizeof(float));
        if (row_bytes)
            call->out = library_alloc(length_out(row_what, n) * sizeof(float));
    }
}

/* One that called on buffers of this kind before, or NULL. */
static struct contender *fellow(const struct contender *c)
{
    for (struct contender *other = contenders; other < c; other++)
        if (other->kind == c->kind)
            return other;
    return NULL;
}

static void contender_open(struct contender *c)
{
    const struct contender *other = fellow(c);
    char text[ANSWER_BYTES];
    double us;

    c->next = 0;
    if (other)
        memcpy(c->sets, other->sets, (size_t)nsets * sizeof *c->sets);
    else
        sets_make(c);
    library_barrier();                             /* nobody is still read from */
    for (int s = 0; s < nsets; s++) {
        call_fill(&c->sets[s]);
        library_prepare(&c->sets[s]);
        library_call(&c->sets[s]);
        call_verify(&c->sets[s], s ? length_out(row_what, c->sets->n) / SPOTS + 1 : 1, "before");
    }
    us = batch_size(c);
    c->warming = us < batch_us / WARMING_MOST ? WARMING_MOST : (int)ceil(batch_us / us);
    snprintf(text, sizeof text, "calls %s %d %.2f\n", c->name, c->calls, us);
    answer(text);
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

/* A set larger than the caches is cold at every call anyway. */
static void row_open(const char *collective, size_t bytes, int cold)
{
    size_t pass;

    row_what = collective_find(collective);
    row_bytes = bytes;
    pass = set_bytes(block_length());
    nsets = 1;
    if (cold && bytes >= large_bytes && pass <= 4 * cache_bytes)
        nsets = (int)(4 * cache_bytes / pass) + 2;
    nsets = nsets > SETS_MOST ? SETS_MOST : nsets;
    for (struct contender *c = contenders; c < contenders + ncontenders; c++) {
        c->kind = 0;
        if (cold ? bytes < large_bytes : bytes >= large_bytes && pass > 4 * cache_bytes)
            continue;
        c->kind = library_variant(c->name, row_what, bytes);
        if (c->kind)
            contender_open(c);
    }
}

static void contender_run(struct contender *c, int batches, int singles)
{
    double times[BATCHES_MOST], not_timed[TIMES], found[2];
    char text[ANSWER_BYTES];
    int length, last;

    for (int b = 0; b < c->warming; b++)
        batch_run(c, not_timed);
    batches_time(c, times, batches);
    length = snprintf(text, sizeof text, "times %s", c->name);
    for (int b = 0; b < batches; b++)
        length += snprintf(text + length, sizeof text - (size_t)length, " %.4f",
                           times[b] / c->calls);
    length += snprintf(text + length, sizeof text - (size_t)length, "\n");
    for (int s = 0; s < singles && c->calls > 1; s++) {
        singles_time(c, found);
        length += snprintf(text + length, sizeof text - (size_t)length, "single %s %.4f %.4f\n",
                           c->name, found[0], found[1]);
    }
    last = (c->next + nsets - 1) % nsets;
    spots_verify(&c->sets[last]);
    answer(text);
}

static void row_run(unsigned mask, int batches, int singles)
{
    batches = batches < BATCHES_MOST ? batches : BATCHES_MOST;
    singles = singles < BATCHES_MOST ? singles : BATCHES_MOST;
    for (int i = 0; i < ncontenders; i++) {
        struct contender *c = &contenders[i];

        if (!c->kind || !(mask >> i & 1))
            continue;
        library_variant(c->name, row_what, row_bytes);
        contender_run(c, batches, singles);
    }
}

/* The timed calls ran on buffers that earlier calls had written alike: a call on
 * wiped ones says whether they still write. */
static void row_close(void)
{
    for (struct contender *c = contenders; c < contenders + ncontenders; c++) {
        if (!c->kind)
            continue;
        library_variant(c->name, row_what, row_bytes);
        library_barrier();
        call_fill(&c->sets[c->next]);
        library_call(&c->sets[c->next]);
        call_verify(&c->sets[c->next], length_out(row_what, c->sets->n) / SPOTS + 1, "after");
        for (int s = 0; s < nsets; s++)
            library_release(&c->sets[s]);
    }
    library_barrier();
    for (struct contender *c = contenders; c < contenders + ncontenders; c++) {
        if (!c->kind || fellow(c))
            continue;
        library_variant(c->name, row_what, row_bytes);
        for (int s = 0; s < nsets; s++) {
            library_free(c->sets[s].in);
            library_free(c->sets[s].out);
        }
    }
}

/* ---- Orders --------------------------------------------------------------------- */

/* False: it was the last. */
static int order_follow(const char *order)
{
    char collective[32], buffers[8];
    unsigned mask;
    size_t bytes;
    int batches, singles;

    if (sscanf(order, "open %31s %zu %7s", collective, &bytes, buffers) == 3)
        row_open(collective, bytes, strcmp(buffers, "cold") == 0);
    else if (sscanf(order, "run %u %d %d", &mask, &batches, &singles) == 3)
        row_run(mask, batches, singles);
    else if (strcmp(order, "close") == 0)
        row_close();
    else if (strcmp(order, "end") != 0)
        library_failed("unknown order");
    library_barrier();                 /* rank 0 speaks for all */
    answer("done\n");
    return strcmp(order, "end") != 0;
}

static void begin(char **argv)
{
    static char list[1024];
    char *rest = list, *variant, text[512];

    orders = open(argv[1], O_RDWR | O_CLOEXEC);    /* no end of file while nobody writes */
    answers = open(argv[2], O_RDWR | O_CLOEXEC);
    if (orders < 0 || answers < 0)
        library_failed("cannot open its FIFOs");
    if (snprintf(list, sizeof list, "%s", argv[3]) >= (int)sizeof list)
        library_failed("the list of variants is too long");
    while ((variant = strsep(&rest, ","))) {
        if (ncontenders == VARIANTS_MOST)
            library_failed("too many variants");
        contenders[ncontenders++].name = variant;
    }
    batch_us = strtod(argv[4], NULL);
    cache_bytes = (size_t)strtoull(argv[5], NULL, 10);
    snprintf(text, sizeof text, "version %s\n", library_version());
    library_barrier();
    answer(text);
    answer("done\n");
}

int main(int argc, char **argv)
{
    char order[ORDER_BYTES + 1] = "";

    library_open(&argc, &argv, &rank, &nranks);
    if (argc != 6)
        library_failed("usage: side_by_side ORDERS ANSWERS VARIANTS BATCH_US CACHE_BYTES");
    begin(argv);
    do {
        if (read(orders, order, ORDER_BYTES) != ORDER_BYTES)
            library_failed("no order came");
    } while (order_follow(order));
    library_close();
    return 0;
}
