/* SPDX-License-Identifier: BSD-3-Clause */
/* Every algorithm, on every number of ranks up to 33 and a sample of larger
 * ones, run by all ranks together in memory in random order.
 *
 *   algorithms [seed [effort]]     effort 1 takes seconds, 10 ten times as long
 *
 * Those that take places for ranks are given random layouts, too, with channels where groups allow it.
 * The drawings in src/algorithms/ are compared with what the schedules do. */
#include "algorithms/algorithm.h"
#include "random_layout.h"

#include <stdlib.h>
#include <string.h>

enum { ALL_CONFIGURATIONS = 8, ALL_RANKS = 33 };

enum mode {
    SUM,             /* commutative, associative */
    AFFINE,          /* associative only: x -> a x + b, one after the other */
    SYMMETRIC,       /* commutative only, as sums of floats are */
    LEFT,            /* neither: only the left fold gives the result */
    MODES
};

struct configuration {
    const struct algorithm *algorithm;
    int       n, root, form, nslices, depth;
    size_t    count, size, *counts;
    bool      rendezvous;
    enum mode mode;
    unsigned  seed;
    struct layout *layout;           /* NULL: none */
};

struct rank {
    struct call   call;
    unsigned char *input;                /* SRC, wherever it lies ... */
    const unsigned char *original;       /* ... and what it was, see input_bytes_of() */
    size_t         input_bytes, result_bytes;
    unsigned char *result;               /* DST; NULL: there is none */
};

static struct schedule     schedules[MOST_RANKS];
static struct check_memory memory[MOST_RANKS];
static struct rank         ranks[MOST_RANKS];
static unsigned long       cases;

/* Of copies only, where sanitizers find nothing and take a fifth of the test's time. */
#define UNCHECKED __attribute__((no_sanitize("address"), no_sanitize("undefined")))

UNCHECKED static uint32_t pair(enum mode mode, uint32_t a, uint32_t b)
{
    switch (mode) {
    case SUM:
        return a + b;
    case AFFINE:
        return ((a & 0xffff) * (b & 0xffff) & 0xffff) |
               ((a & 0xffff) * (b >> 16) + (a >> 16)) << 16;
    case SYMMETRIC:
        return (a ^ b) * 2654435761u + ((a & b) >> 3);
    default:
        return a * 31 + (b ^ a >> 7) * 17 + 1;
    }
}

static enum mode combining;

UNCHECKED static void pairs(enum mode mode, uint32_t *x, const uint32_t *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = pair(mode, x[i], y[i]);
}

static void combine(unsigned char *dst, const unsigned char *a, const unsigned char *b,
                    size_t bytes)
{
    uint32_t x[64], y[64];

    for (size_t i = 0, n; i < bytes; i += n) {
        n = bytes - i < sizeof x ? bytes - i : sizeof x;
        memcpy(x, a + i, n);
        memcpy(y, b + i, n);
        pairs(combining, x, y, n / 4);
        memcpy(dst + i, x, n);
    }
}

/* Byte i of a rank's input. */
static unsigned char input_byte(int rank, size_t i)
{
    uint32_t word = (uint32_t)(i / 4) * 2246822519u + (uint32_t)(rank + 1) * 3266489917u;

    word ^= word >> 15;
    word *= 2654435761u;
    word |= 1;
    return (unsigned char)(word >> i % 4 * 8);
}

static void *zeroed(size_t bytes)
{
    void *p = calloc(1, bytes + 1);

    if (p == NULL) {
        puts("out of memory");
        exit(1);
    }
    return p;
}

/* A rank's first input bytes, made once for as many as were ever wanted. */
static const unsigned char *input_bytes_of(int rank, size_t bytes)
{
    static struct { unsigned char *bytes; size_t made; } inputs[MOST_RANKS];

    if (bytes > inputs[rank].made || !inputs[rank].bytes) {
        free(inputs[rank].bytes);
        inputs[rank].bytes = zeroed(bytes);
        inputs[rank].made = bytes;
        for (size_t i = 0; i < bytes; i++)
            inputs[rank].bytes[i] = input_byte(rank, i);
    }
    return inputs[rank].bytes;
}

static size_t block_start(const struct configuration *f, int i)
{
    size_t start = 0;

    for (int k = 0; k < i; k++)
        start += f->counts ? f->counts[k] : f->count;
    return start * f->size;
}

/* Elements that all ranks' inputs have together, in the sense of the collective. */
static size_t total_bytes(const struct configuration *f)
{
    enum collective collective = f->algorithm->collective;

    if (collective == ALLGATHER || collective == REDUCE_SCATTER)
        return block_start(f, f->n);
    return collective == BARRIER ? 0 : f->count * f->size;
}

/* Lay out one rank's buffers: apart, or in place in one of the ways of peal.h. */
static void lay_out(const struct configuration *f, int r)
{
    enum collective collective = f->algorithm->collective;
    int form = f->form == 3 ? (r + (int)f->seed) % 3 : f->form;
    struct rank *k = &ranks[r];
    struct check_memory *m = &memory[r];
    struct call *c = &k->call;
    size_t all = total_bytes(f), own = f->count * f->size;
    bool has_dst = collective != BARRIER && (collective != REDUCE || r == f->root);

    if (collective == REDUCE_SCATTER)
        own = (f->counts ? f->counts[r] : f->count) * f->size;
    *c = (struct call){ .collective = collective, .rank = r, .nranks = f->n,
        .root = f->root, .count = f->count, .size = f->size, .counts = f->counts,
        .commutative = f->mode == SUM || f->mode == SYMMETRIC, .nslices = f->nslices,
        .past_caches = f->seed >> r % 16 & 1 };
    k->input_bytes = collective == ALLGATHER ? own : collective == BCAST ? 0 : all;
    k->result_bytes = collective == REDUCE_SCATTER ? own : has_dst ? all : 0;
    /* Ranks other than the root of a reduce may give one buffer twice, which stays as it is. */
    c->aliased = form > 0 && collective != BCAST && (has_dst || (collective == REDUCE && form == 2));
    if (c->aliased && collective == ALLGATHER)
        c->src_shift = own * (size_t)r;
    if (c->aliased && collective == REDUCE_SCATTER && form == 2)
        c->dst_shift = block_start(f, r);
    m->bytes[SRC] = c->aliased ? 0 : k->input_bytes;
    m->bytes[DST] = c->aliased && all > k->result_bytes ? all : k->result_bytes;
    for (int space = SRC; space <= DST; space++)
        m->space[space] = zeroed(m->bytes[space]);
    k->input = c->aliased ? m->space[DST] + c->src_shift : m->space[SRC];
    k->result = has_dst ? m->space[DST] + c->dst_shift : NULL;
    if (collective == BCAST && r == f->root) {
        k->input = k->result;
        k->input_bytes = all;
    }
    k->original = input_bytes_of(r, k->input_bytes);
    memcpy(k->input, k->original, k->input_bytes);
}

static bool combines(const struct algorithm *a)
{
    return a->collective == ALLREDUCE || a->collective == REDUCE ||
           a->collective == REDUCE_SCATTER;
}

static void build(const struct configuration *f, int r)
{
    bool by_place = f->algorithm->by_place &&
                    (!combines(f->algorithm) || ranks[r].call.commutative);
    struct call c = call_among(&ranks[r].call, f->layout, by_place);

    schedule_init(&schedules[r], f->n);
    schedule_peers(&schedules[r], c.order);
    for (c.slice = 0; c.slice < c.nslices; c.slice++) {
        if (f->depth)
            schedule_slice(&schedules[r], c.slice, f->depth);
        f->algorithm->build(&schedules[r], &c);
    }
    schedule_finish(&schedules[r]);
    memory[r].bytes[TMP] = schedules[r].scratch;
    memory[r].space[TMP] = zeroed(schedules[r].scratch);
}

/* What the result of all ranks should be; malloc'ed. */
static unsigned char *expected(const struct configuration *f)
{
    size_t all = total_bytes(f);
    unsigned char *want = zeroed(all);

    switch (f->algorithm->collective) {
    case BCAST:
        memcpy(want, ranks[f->root].original, all);
        break;
    case ALLGATHER:
        for (int r = 0; r < f->n; r++)
            memcpy(want + block_start(f, r), ranks[r].original, ranks[r].input_bytes);
        break;
    case BARRIER:
        break;
    default:
        memcpy(want, ranks[0].original, all);
        for (int r = 1; r < f->n; r++)
            combine(want, want, ranks[r].original, all);
    }
    return want;
}

/* Empty if the memory is right. */
static const char *verify(const struct configuration *f)
{
    unsigned char *want = expected(f);
    bool exact = f->mode != SYMMETRIC && (f->mode != LEFT || f->algorithm->left_fold);
    const char *why = "";

    for (int r = 0; r < f->n; r++) {
        const struct rank *k = &ranks[r];
        const unsigned char *right = want;
        bool messages = false;

        if (f->algorithm->collective == REDUCE_SCATTER)
            right = want + block_start(f, r);
        else if (!exact && f->algorithm->collective == ALLREDUCE)
            right = ranks[0].result;         /* at least all ranks agree */
        else if (!exact)
            right = k->result;
        if (k->result && memcmp(k->result, right, k->result_bytes) != 0)
            why = "wrong result";
        if ((!k->call.aliased || !k->result) && k->input != k->result &&
            memcmp(k->input, k->original, k->input_bytes) != 0)
            why = "input was changed";
        for (uint32_t i = 0; i < schedules[r].nops; i++)
            messages |= schedules[r].ops[i].peer >= 0;
        if (f->n > 1 && total_bytes(f) && !messages)
            why = "a rank exchanges no message";
    }
    free(want);
    return why;
}

static void clear(const struct configuration *f)
{
    for (int r = 0; r < f->n; r++) {
        for (int space = 0; space < SPACES; space++)
            free(memory[r].space[space]);
        schedule_free(&schedules[r]);
    }
}

static void run(const struct configuration *f)
{
    struct check check = { .ranks = schedules, .memory = memory, .nranks = f->n,
        .seed = f->seed, .rendezvous = f->rendezvous, .combine = combine };
    char why[512] = "";
    bool failed = false;

    combining = f->mode;
    for (int r = 0; r < f->n; r++) {
        lay_out(f, r);
        build(f, r);
        failed |= schedules[r].failed;
    }
    if (!failed && schedule_check(&check, why, sizeof why))
        snprintf(why, sizeof why, "%s", verify(f));
    cases++;
    if (failed || why[0]) {
        printf("FAIL %s %s: %d ranks, count %zu x %zu%s, root %d, form %d, slices %d "
               "(depth %d), %s, mode %d, seed %u: %s\n  on hosts",
               collective_name(f->algorithm->collective), f->algorithm->name, f->n, f->count,
               f->size, f->counts ? " (counts)" : "", f->root, f->form, f->nslices, f->depth,
               f->rendezvous ? "rendezvous" : "eager", f->mode, f->seed, why);
        for (int r = 0; r < f->n; r++)
            printf(" %d", f->layout ? f->layout->by_rank.of[r] : 0);
        printf(", %d channels, %d trees\n", f->layout ? f->layout->channels.count : 0,
               f->layout ? f->layout->trees.count : 0);
        exit(1);
    }
    clear(f);
}

/* The same without a layout or with a random one. */
static void run_laid_out(struct configuration f)
{
    f.layout = draw(3) ? random_layout(f.n) : NULL;
    run(&f);
    layout_free(f.layout);
}

static bool rooted(const struct algorithm *a)
{
    return a->collective == BCAST || a->collective == REDUCE;
}

/* Does the algorithm promise anything about this operation? */
static bool allowed(const struct algorithm *a, enum mode mode)
{
    if (!combines(a))
        return mode == SUM;
    return mode == SUM || (mode == AFFINE && a->ordered) || (mode == LEFT && a->left_fold) ||
           (mode == SYMMETRIC && a->collective == ALLREDUCE);
}

/* Fill in at random what is not prescribed, and run. */
static void run_random(struct configuration f)
{
    static const int slices[] = { 1, 1, 2, 3, 7 };
    static const size_t sizes[] = { 4, 8, 12, 1, 3 };
    size_t counts[MOST_RANKS];

    f.form = (int)draw(4);
    f.nslices = slices[draw(5)];
    f.depth = (int)draw(4);
    f.size = sizes[draw(combines(f.algorithm) ? 3 : 5)];
    f.rendezvous = draw(2);
    do
        f.mode = (enum mode)draw(MODES);
    while (!allowed(f.algorithm, f.mode));
    f.seed = draw(1u << 30);
    if (f.algorithm->collective == REDUCE_SCATTER && draw(2)) {
        for (int i = 0; i < f.n; i++)
            counts[i] = draw(3) ? draw((unsigned)f.count * 2 + 1) : 0;
        f.counts = counts;
    }
    run_laid_out(f);
}

/* All combinations of forms, slices, modes and kinds of sends. */
static void run_all(struct configuration f)
{
    static const int slices[] = { 1, 2, 3, 7 };

    f.size = 4;
    for (f.form = 0; f.form < 4; f.form++)
        for (int k = 0; k < 4; k++)
            for (int rendezvous = 0; rendezvous < 2; rendezvous++)
                for (int mode = 0; mode < MODES; mode++) {
                    if (!allowed(f.algorithm, (enum mode)mode))
                        continue;
                    f.nslices = slices[k];
                    f.depth = (int)draw(4);
                    f.rendezvous = rendezvous;
                    f.mode = (enum mode)mode;
                    f.seed = draw(1u << 30);
                    run_laid_out(f);
                }
}

static void test_algorithm(const struct algorithm *a, int effort)
{
    struct configuration f = { .algorithm = a };

    for (f.n = 1; f.n <= ALL_RANKS; f.n++) {
        size_t n = (size_t)f.n;
        size_t counts[] = { 0, 1, 2, 3, n - 1, n, n + 1, 97, 1009, 1100 * n + 13 };
        bool small = f.n <= ALL_CONFIGURATIONS;
        bool by_blocks = a->collective == ALLGATHER || a->collective == REDUCE_SCATTER;

        for (int i = 0; i < 10 - (by_blocks || f.n > 16); i++)
            for (f.root = 0; f.root < (rooted(a) ? f.n : 1); f.root++) {
                f.count = counts[i];
                if (small && (f.count < 1000 || !rooted(a)) &&
                    (f.root == 0 || f.root == f.n / 2 || effort > 1))
                    run_all(f);
                for (int k = 0; k < (small || !rooted(a) ? 3 : 1) * effort; k++)
                    run_random(f);
            }
    }
    for (int k = 0; k < 3 * effort; k++) {
        f.n = ALL_RANKS + (int)draw(MOST_RANKS - ALL_RANKS) + 1;
        f.root = rooted(a) ? (int)draw((unsigned)f.n) : 0;
        f.count = draw(2) ? draw(500) : draw(9);
        run_random(f);
    }
}

/* Index of a message's send in the sender's schedule. */
static uint32_t find_send(int from, int to, uint32_t sequence)
{
    const struct op *op = schedules[from].ops;
    uint32_t i = 0;

    while (op[i].kind != OP_SEND || op[i].peer != to || op[i].sequence != sequence)
        i++;
    return i;
}

/* A barrier: everybody's end comes after everybody's start. */
static bool test_barrier(const struct algorithm *a)
{
    for (int trial = 2; trial < 82; trial++) {
        int n = trial / 2;
        struct configuration f = { .algorithm = a, .n = n, .nslices = 1,
                                   .layout = trial % 2 ? random_layout(n) : NULL };
        uint64_t *heard[40];
        bool moved = true;

        for (int r = 0; r < n; r++) {
            lay_out(&f, r);
            build(&f, r);
            heard[r] = zeroed(schedules[r].nops * sizeof **heard + sizeof **heard);
        }
        while (moved) {
            moved = false;
            for (int r = 0; r < n; r++)
                for (uint32_t i = 0; i < schedules[r].nops; i++) {
                    const struct op *op = &schedules[r].ops[i];
                    uint64_t set = heard[r][i] | 1ull << r;

                    for (uint32_t k = 0; k < op->nneeds; k++)
                        set |= heard[r][schedules[r].needs[op->first_need + k]];
                    if (op->kind == OP_RECV)
                        set |= heard[op->peer][find_send(op->peer, r, op->sequence)];
                    moved |= set != heard[r][i];
                    heard[r][i] = set;
                }
        }
        for (int r = 0; r < n; r++) {
            uint64_t set = 1ull << r;

            for (uint32_t i = 0; i < schedules[r].nops; i++)
                set |= heard[r][i];
            free(heard[r]);
            if (set != (1ull << n) - 1) {
                printf("FAIL barrier %s: rank %d of %d has not heard of all\n", a->name, r, n);
                return false;
            }
        }
        clear(&f);
        layout_free(f.layout);
    }
    return true;
}

/* The drawing of an algorithm's schedules in place, as in its file's comment. */
static char *drawing(const struct algorithm *a, int ngroups, int each, size_t nblocks, int nchannels,
                     int ntrees)
{
    int n = ngroups * each;
    struct configuration f = { .algorithm = a, .n = n, .nslices = 1, .size = 4,
                               .count = nblocks, .form = 2 };
    struct layout_rings rings = { .count = nchannels };
    struct layout_trees trees = { .count = ntrees };
    uint64_t keys[2 * MOST_RANKS];
    char *text = NULL, *line;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    if (a->collective == ALLGATHER || a->collective == REDUCE_SCATTER)
        f.count = nblocks / (size_t)n;
    for (int r = 0; r < n; r++) {
        keys[2 * r] = (unsigned)(r / each);
        keys[2 * r + 1] = (unsigned)(r % each) + 1;
    }
    /* Forwards and backwards. */
    for (int k = 0; k < nchannels; k++) {
        rings.list[k].share = 1;
        for (int i = 0; i < each && i < LAYOUT_MEMBERS; i++)
            rings.list[k].place[i] = (uint8_t)(k % 2 ? each - 1 - i : i);
    }
    /* Tree k hangs from rank k as a chain: upwards, then from 0 on. */
    for (int k = 0; k < ntrees; k++) {
        trees.list[k].share = 1;
        for (int i = 0; i < each && i < LAYOUT_MEMBERS; i++)
            trees.list[k].parent[(k + i) % each] = (uint8_t)(i ? (k + i - 1) % each + 1 : 0);
    }
    if (layout_create(&(struct layout_keys){ .rows = keys, .count = 2, .positions = 2,
                                             .rings = nchannels ? &rings : NULL,
                                             .trees = ntrees ? &trees : NULL, .ring = 1 },
                      n, &f.layout))
        exit(1);
    for (int r = 0; r < n; r++) {
        lay_out(&f, r);
        build(&f, r);
    }
    schedule_draw(schedules, n, a->collective == BARRIER ? 0 : 4, out);
    fclose(out);
    clear(&f);
    layout_free(f.layout);
    out = open_memstream(&line, &bytes);
    for (char *rest = text, *next; (next = strsep(&rest, "\n")) != NULL;)
        if (*next)
            fprintf(out, " *   %s\n", next);
    fclose(out);
    free(text);
    return line;
}

/* ", N WHAT", if that is here. */
static void read_count(const char *text, const char *what, int *count)
{
    int number, end = 0;

    if (sscanf(text, ", %d %n", &number, &end) == 1 && !strncmp(text + end, what, strlen(what)))
        *count = number;
}

static bool test_drawing(const struct algorithm *a, const char *srcdir)
{
    static char source[1 << 16];
    char path[512], *text, *found;
    bool good;
    int ngroups = 1, each = 0, nblocks = 0, nchannels = 0, ntrees = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/src/algorithms/%s_%s.c", srcdir,
             collective_name(a->collective), a->name);
    file = fopen(path, "r");
    if (file == NULL)
        return printf("FAIL drawing: cannot read %s\n", path) < 0;
    source[fread(source, 1, sizeof source - 1, file)] = 0;
    fclose(file);
    found = strstr(source, " ranks, ");
    while (found && found > source && found[-1] != '\n')
        found--;
    if (found == NULL ||
        (sscanf(found, " * %d ranks, %d block", &each, &nblocks) != 2 &&
         sscanf(found, " * %dx%d ranks, %d block", &ngroups, &each, &nblocks) != 3))
        return printf("FAIL drawing: %s has no \"N ranks, N blocks:\" or \"NxN ...\"\n", path) < 0;
    for (char *c = found; *c && *c != ':'; c++)
        if (*c == ',') {
            read_count(c, "channels", &nchannels);
            read_count(c, "trees", &ntrees);
        }
    text = drawing(a, ngroups, each, (size_t)nblocks, nchannels, ntrees);
    good = strstr(source, text) != NULL;
    if (!good)
        printf("FAIL drawing: the comment of %s is not this:\n%s", path, text);
    free(text);
    return good;
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 1;
    int effort = argc > 2 ? atoi(argv[2]) : 1;
    const char *srcdir = getenv("srcdir") ? getenv("srcdir") : ".";
    bool good = true;

    printf("seed %u, effort %d\n", seed, effort);
    for (const struct algorithm *const *a = algorithms; *a; a++) {
        struct price alone = (*a)->price(1, NULL, 1e6);

        state = seed;
        cases = 0;
        test_algorithm(*a, effort);
        if ((*a)->collective == BARRIER)
            good &= test_barrier(*a);
        good &= test_drawing(*a, srcdir);
        if (alone.rounds != 0 || alone.busiest.messages != 0 || alone.all.messages != 0 ||
            alone.busiest.sent != 0 || alone.all.sent != 0 || alone.all.reduced != 0)
            good = printf("FAIL: one rank pays %g rounds, %g messages, %g sent\n",
                          alone.rounds, alone.all.messages, alone.all.sent) < 0;
        good &= algorithm_find((*a)->collective, (*a)->name) == *a;
        printf("%-14s %-21s %7lu cases  %s\n", collective_name((*a)->collective),
               (*a)->name, cases, (*a)->cost);
        fflush(stdout);
    }
    printf("%lu layouts with channels, %lu with trees\n", with_channels, with_trees);
    if (with_channels < 10000 || with_trees < 10000)
        good = printf("FAIL: too few\n") < 0;
    return good ? 0 : 1;
}
