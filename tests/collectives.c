/* SPDX-License-Identifier: BSD-3-Clause */
/* Every collective with real ranks: over each transport and mixtures of them,
 * each algorithm, type, operation, root, in place and not, in all three forms,
 * against an independent reference, with guards around every buffer. */
#include "effort.h"
#include "ranks.h"
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64, GUARD_BYTE = 0xa5, ALGORITHM_SETS = 12, NRANKS_MOST = 8 };

enum kind { ALLREDUCE, REDUCE, REDUCE_SCATTER_BLOCK, REDUCE_SCATTER, ALLGATHER, BCAST, BARRIER };
static const char *const kind_names[] = { "allreduce", "reduce", "reduce_scatter_block",
                                          "reduce_scatter", "allgather", "bcast", "barrier" };

enum form { BLOCKING, NONBLOCKING, PERSISTENT };

/* One call. */
struct trial {
    enum kind       kind;
    enum form       form;
    peal_datatype_t type;
    int             op;                    /* as in struct sample; -1 where nothing is combined */
    size_t          count;
    size_t          counts[NRANKS_MOST];   /* REDUCE_SCATTER */
    int             root;
    int             in_place;              /* 0 no, 1 PEAL_IN_PLACE, 2 by equal addresses */
};

/* A job's part of the whole. */
struct part {
    uint64_t seed;
    bool     all_types;                    /* every type with every operation */
    bool     large;
    bool     relays;                       /* messages that go on as they land ... */
    bool     past_caches;                  /* ... and stay in a result larger than the caches */
    int      hosts;                        /* as many are pretended; 0: none */
};

/* ---- Buffers with guards ---------------------------------------------------- */

/* `shareable`: of Peal's allocator, which other ways are taken for. */
static unsigned char *buffer_make(size_t bytes, bool shareable)
{
    void *whole = shareable ? NULL : malloc(bytes + 2 * GUARD);

    if (shareable ? peal_mem_alloc(bytes + 2 * GUARD, &whole) != PEAL_OK : !whole) {
        perror("memory");
        exit(2);
    }
    memset(whole, GUARD_BYTE, bytes + 2 * GUARD);
    return (unsigned char *)whole + GUARD;
}

static bool buffer_intact(const unsigned char *buffer, size_t bytes)
{
    for (size_t i = 0; i < GUARD; i++)
        if (buffer[-1 - (long)i] != GUARD_BYTE || buffer[bytes + i] != GUARD_BYTE)
            return false;
    return true;
}

static void buffer_free(unsigned char *buffer)
{
    if (buffer && peal_mem_free(buffer - GUARD) != PEAL_OK)
        free(buffer - GUARD);
}

/* ---- One call ---------------------------------------------------------------- */

struct buffers {
    struct sample  sample;
    size_t         size, in, out, at;      /* elements sent, received; our block starts at */
    unsigned char *send, *recv;            /* as allocated; recv NULL: not used */
    size_t         send_bytes, recv_bytes;
    bool           shareable;              /* they are of peal_mem_alloc */
    const void    *sendbuf;                /* as handed over */
    void          *recvbuf;
};

/* How many elements go in and come out, and where our block is. */
static void measure(const struct rank *me, const struct trial *t, struct buffers *b)
{
    size_t n = (size_t)me->nranks, rank = (size_t)me->rank;

    b->in = b->out = t->kind == BARRIER ? 0 : t->count;
    b->at = 0;
    if (t->kind == REDUCE_SCATTER_BLOCK) {
        b->in = n * t->count;
        b->at = rank * t->count;
    } else if (t->kind == ALLGATHER) {
        b->out = n * t->count;
        b->at = rank * t->count;
    } else if (t->kind == REDUCE_SCATTER) {
        b->in = 0;
        for (size_t i = 0; i < n; i++) {
            if (i == rank)
                b->at = b->in;
            b->in += t->counts[i];
        }
        b->out = t->counts[rank];
    }
    if (t->kind == REDUCE && me->rank != t->root)
        b->out = 0;
}

/* The addresses that the call is given, after where the bytes lie. */
static void place(const struct rank *me, const struct trial *t, struct buffers *b)
{
    bool spreads = t->kind == REDUCE_SCATTER || t->kind == REDUCE_SCATTER_BLOCK;
    bool in_place = t->in_place && t->kind != BCAST &&
                    (t->kind != REDUCE || me->rank == t->root);
    size_t most = b->in > b->out ? b->in : b->out;

    b->send_bytes = (in_place || t->kind == BCAST ? most : b->in) * b->size;
    b->send = buffer_make(b->send_bytes, b->shareable);
    b->sendbuf = b->send;
    b->recvbuf = NULL;
    b->recv = NULL;
    if (t->kind == BCAST) {
        b->recvbuf = b->send;
    } else if (in_place) {
        b->recvbuf = t->in_place == 2 && spreads ? b->send + b->at * b->size : b->send;
        if (t->in_place == 1)
            b->sendbuf = PEAL_IN_PLACE;
        else if (t->kind == ALLGATHER)
            b->sendbuf = b->send + b->at * b->size;
    } else if (t->kind != REDUCE || me->rank == t->root) {
        b->recv_bytes = b->out * b->size;
        b->recv = buffer_make(b->recv_bytes, b->shareable);
        b->recvbuf = b->recv;
    }
}

static void fill(const struct rank *me, const struct trial *t, struct buffers *b)
{
    unsigned char *to = b->send;

    if (t->kind == ALLGATHER && b->recvbuf == b->send)
        to += b->at * b->size;
    sample_input(&b->sample, me->rank, 0, b->in, to);
    if (b->recv)
        memset(b->recv, 0x5a, b->recv_bytes);
}

static int call(const struct trial *t, const struct buffers *b, peal_op_t op, peal_comm_t comm,
                peal_request_t *request)
{
    const void *s = b->sendbuf;
    void *r = b->recvbuf;
    size_t c = t->count;
    peal_datatype_t y = t->type;

    switch (t->kind) {
    case ALLREDUCE:
        return t->form == BLOCKING ? peal_allreduce(s, r, c, y, op, comm)
             : t->form == NONBLOCKING ? peal_iallreduce(s, r, c, y, op, comm, request)
             : peal_allreduce_init(s, r, c, y, op, comm, request);
    case REDUCE:
        return t->form == BLOCKING ? peal_reduce(s, r, c, y, op, t->root, comm)
             : t->form == NONBLOCKING ? peal_ireduce(s, r, c, y, op, t->root, comm, request)
             : peal_reduce_init(s, r, c, y, op, t->root, comm, request);
    case REDUCE_SCATTER_BLOCK:
        return t->form == BLOCKING ? peal_reduce_scatter_block(s, r, c, y, op, comm)
             : t->form == NONBLOCKING
                   ? peal_ireduce_scatter_block(s, r, c, y, op, comm, request)
             : peal_reduce_scatter_block_init(s, r, c, y, op, comm, request);
    case REDUCE_SCATTER:
        return t->form == BLOCKING ? peal_reduce_scatter(s, r, t->counts, y, op, comm)
             : t->form == NONBLOCKING
                   ? peal_ireduce_scatter(s, r, t->counts, y, op, comm, request)
             : peal_reduce_scatter_init(s, r, t->counts, y, op, comm, request);
    case ALLGATHER:
        return t->form == BLOCKING ? peal_allgather(s, r, c, y, comm)
             : t->form == NONBLOCKING ? peal_iallgather(s, r, c, y, comm, request)
             : peal_allgather_init(s, r, c, y, comm, request);
    case BCAST:
        return t->form == BLOCKING ? peal_bcast(r, c, y, t->root, comm)
             : t->form == NONBLOCKING ? peal_ibcast(r, c, y, t->root, comm, request)
             : peal_bcast_init(r, c, y, t->root, comm, request);
    default:
        return t->form == BLOCKING ? peal_barrier(comm)
             : t->form == NONBLOCKING ? peal_ibarrier(comm, request)
             : peal_barrier_init(comm, request);
    }
}

static void expected(const struct rank *me, const struct trial *t, const struct buffers *b,
                     unsigned char *out)
{
    if (t->kind == BCAST)
        sample_input(&b->sample, t->root, 0, b->out, out);
    else if (t->kind == ALLGATHER)
        for (int r = 0; r < me->nranks; r++)
            sample_input(&b->sample, r, 0, t->count, out + (size_t)r * t->count * b->size);
    else
        sample_combined(&b->sample, t->kind == ALLREDUCE || t->kind == REDUCE ? 0 : b->at,
                        b->out, out);
}

/* The input, where it must have stayed what it was. */
static bool input_intact(const struct rank *me, const struct trial *t, const struct buffers *b)
{
    bool spreads = t->kind == REDUCE_SCATTER || t->kind == REDUCE_SCATTER_BLOCK;
    bool in_place = b->sendbuf == PEAL_IN_PLACE || !b->recvbuf || b->recv != b->recvbuf;
    unsigned char *wanted;
    bool good = true;

    if (t->kind == BCAST || (t->kind != REDUCE && in_place && !(spreads && t->in_place == 2)) ||
        (t->kind == REDUCE && me->rank == t->root && in_place))
        return true;
    wanted = buffer_make(b->in * b->size, false);
    sample_input(&b->sample, me->rank, 0, b->in, wanted);
    if (in_place && spreads)               /* all but our own block */
        memcpy(wanted + b->at * b->size, b->send + b->at * b->size, b->out * b->size);
    good = memcmp(wanted, b->send, b->in * b->size) == 0;
    buffer_free(wanted);
    return good;
}

static void verify(struct rank *me, const struct trial *t, const struct buffers *b)
{
    unsigned char *wanted = buffer_make(b->out * b->size, false);
    size_t i = 0, bytes = b->out * b->size;

    expected(me, t, b, wanted);
    while (i < bytes && wanted[i] == ((unsigned char *)b->recvbuf)[i])
        i++;
    rank_check(me, i == bytes, "byte %zu of %zu is %02x instead of %02x (seed 0x%llx)", i, bytes,
               i < bytes ? ((unsigned char *)b->recvbuf)[i] : 0, wanted[i],
               (unsigned long long)b->sample.seed);
    buffer_free(wanted);
    rank_check(me, buffer_intact(b->send, b->send_bytes), "bytes around the send buffer changed");
    rank_check(me, !b->recv || buffer_intact(b->recv, b->recv_bytes),
               "bytes around the receive buffer changed");
    rank_check(me, input_intact(me, t, b), "the send buffer changed");
}

static bool run_request(struct rank *me, const struct trial *t, struct buffers *b,
                        peal_request_t *request)
{
    bool good = true;

    if (t->form == NONBLOCKING) {
        good = rank_status(me, peal_wait(request), PEAL_OK, "peal_wait");
        return rank_check(me, *request == PEAL_REQUEST_NULL, "the handle was not nulled") && good;
    }
    for (int round = 0; round < 2 && good; round++) {
        fill(me, t, b);
        good = rank_status(me, peal_start(request), PEAL_OK, "peal_start") &&
               rank_status(me, peal_wait(request), PEAL_OK, "peal_wait");
    }
    return rank_status(me, peal_request_free(request), PEAL_OK, "peal_request_free") && good;
}

static void run_trial(struct rank *me, peal_comm_t comm, const struct trial *t, uint64_t seed)
{
    struct buffers b = { .sample = { t->type, t->op, me->nranks, seed },
                         .size = peal_datatype_size(t->type),
                         /* None, some or all of the ranks'. */
                         .shareable = seed % 3 == 2 || (seed % 3 && seed >> (me->rank + 2) & 1) };
    peal_request_t request = PEAL_REQUEST_NULL;
    peal_op_t created[3], op = (peal_op_t)t->op;
    bool good = true;

    rank_doing(me, "%s of %zu %s, %s, root %d, in place %d, form %d", kind_names[t->kind],
               t->count, peal_datatype_name(t->type), sample_op_name(t->op), t->root,
               t->in_place, t->form);
    if (t->op >= PEAL_OPS) {
        good = rank_status(me, sample_ops_create(t->type, me->rank, created), PEAL_OK,
                           "peal_op_create");
        op = good ? created[t->op - PEAL_OPS] : PEAL_SUM;
    }
    measure(me, t, &b);
    place(me, t, &b);
    fill(me, t, &b);
    good = rank_status(me, call(t, &b, op, comm, &request), PEAL_OK, kind_names[t->kind]) && good;
    if (good && t->form != BLOCKING)
        good = run_request(me, t, &b, &request);
    else if (good && !t->in_place && t->kind != BCAST)  /* again, by a shorter way */
        good = rank_status(me, call(t, &b, op, comm, &request), PEAL_OK, "again");
    if (good)
        verify(me, t, &b);
    if (t->op >= PEAL_OPS)
        sample_ops_free(created);
    buffer_free(b.send);
    buffer_free(b.recv);
}

/* ---- Which calls --------------------------------------------------------------- */

static bool combines(enum kind kind)
{
    return kind <= REDUCE_SCATTER;
}

/* Blocks of a reduce_scatter that average `count`, some of them empty. */
static void spread_counts(struct trial *t, int nranks, uint64_t *random)
{
    for (int i = 0; i < nranks; i++)
        t->counts[i] = ranks_below(random, 4) ? (size_t)ranks_below(random, 2 * t->count + 1) : 0;
}

static void random_rest(struct trial *t, int nranks, uint64_t *random)
{
    t->form = (enum form)ranks_below(random, 3);
    if (t->kind == REDUCE_SCATTER)
        spread_counts(t, nranks, random);
    if (!combines(t->kind))
        t->op = -1;
}

static void every_type(struct rank *me, peal_comm_t comm, uint64_t *random)
{
    for (int kind = ALLREDUCE; kind <= BCAST; kind++)
        for (int type = 0; type < PEAL_DATATYPES; type++)
            for (int op = 0; op < (combines((enum kind)kind) ? (int)SAMPLE_OPS : 1); op++) {
                struct trial t = {
                    .kind = (enum kind)kind, .type = (peal_datatype_t)type, .op = op,
                    .count = (size_t)ranks_below(random, 40),
                    .root = (int)ranks_below(random, (uint64_t)me->nranks),
                    .in_place = (int)ranks_below(random, 3),
                };

                random_rest(&t, me->nranks, random);
                if (sample_allowed(t.type, t.op) && rank_failures(me) == 0)
                    run_trial(me, comm, &t, ranks_random(random));
            }
}

static void every_shape(struct rank *me, peal_comm_t comm, uint64_t *random)
{
    size_t n = (size_t)me->nranks;
    const size_t counts[] = { 0, 1, 2, 3, n - 1, n, n + 1, 1000 };

    for (int kind = ALLREDUCE; kind <= BARRIER; kind++) {
        int roots = kind == REDUCE || kind == BCAST ? me->nranks : 1;
        int places = kind < BCAST ? 3 : 1;

        for (int i = 0; i < 8 * roots * places; i++) {
            struct trial t = {
                .kind = (enum kind)kind, .count = counts[i % 8], .root = i / 8 % roots,
                .in_place = i / 8 / roots,
                .type = (peal_datatype_t)ranks_below(random, PEAL_DATATYPES),
            };

            do
                t.op = (int)ranks_below(random, SAMPLE_OPS);
            while (!sample_allowed(t.type, t.op));
            random_rest(&t, me->nranks, random);
            if (rank_failures(me) == 0)
                run_trial(me, comm, &t, ranks_random(random));
        }
    }
}

static void large_ones(struct rank *me, peal_comm_t comm, uint64_t *random, bool large)
{
    static const int ops[] = { PEAL_SUM, SAMPLE_ORDERED, PEAL_AVG };

    for (int kind = ALLREDUCE; kind < BARRIER; kind++) {
        bool whole = kind == ALLREDUCE || kind == REDUCE || kind == BCAST;
        struct trial t = {
            .kind = (enum kind)kind, .type = (peal_datatype_t)ranks_below(random, PEAL_DATATYPES),
            .op = ops[ranks_below(random, 3)], .count = 65537,
            .root = (int)ranks_below(random, (uint64_t)me->nranks),
            .in_place = (int)ranks_below(random, 3),
        };

        if (large && ranks_below(random, 3) == 0) {
            t.type = PEAL_FLOAT32;
            t.count = 1 << 20;
        }
        if (!whole)
            t.count /= (size_t)me->nranks;
        random_rest(&t, me->nranks, random);
        if (rank_failures(me) == 0)
            run_trial(me, comm, &t, ranks_random(random));
    }
}

/* Messages too large to be sent before they are wanted: they go on as they land.  In place, and
 * not. */
static void relayed(struct rank *me, peal_comm_t comm, uint64_t *random)
{
    static const struct { peal_datatype_t type; size_t count; } parts[] = {
        { PEAL_INT8, 65539 }, { PEAL_FLOAT32, 17001 }, { PEAL_UINT16, 40003 }
    };

    for (int kind = ALLREDUCE; kind < BARRIER; kind++) {
        bool whole = kind == ALLREDUCE || kind == REDUCE || kind == BCAST;
        int part = (int)ranks_below(random, 3);
        struct trial t = {
            .kind = (enum kind)kind, .type = parts[part].type, .op = PEAL_SUM,
            .count = parts[part].count * (whole ? (size_t)me->nranks : 1),
            .root = (int)ranks_below(random, (uint64_t)me->nranks),
            .in_place = (int)ranks_below(random, 2),
        };

        random_rest(&t, me->nranks, random);
        if (rank_failures(me) == 0)        /* the memory of none is shareable: see run_trial() */
            run_trial(me, comm, &t, 3 * ranks_below(random, UINT32_MAX));
    }
}

/* Sums that are made on the way in scratch, and kept in the result past the caches. */
static void past_caches(struct rank *me, peal_comm_t comm, uint64_t *random)
{
    struct trial t = { .kind = ALLREDUCE, .type = PEAL_FLOAT64, .op = PEAL_SUM,
                       .count = (16 << 20) / 8 + 11 };

    for (t.in_place = 0; t.in_place < 2 && rank_failures(me) == 0; t.in_place++)
        run_trial(me, comm, &t, 3 * ranks_below(random, UINT32_MAX));
}

/* Dealt to the hosts one after the other, in blocks, or most on one. */
static void pretend_host(const struct rank *me, const struct part *part)
{
    const int hosts[] = { me->rank % part->hosts, me->rank * part->hosts / me->nranks,
                          me->rank % 3 ? 0 : me->rank / 3 % part->hosts };

    ranks_pretend_host(hosts[part->seed % 3]);
}

/* All ranks draw the same numbers, so they make the same calls. */
static void body(struct rank *me)
{
    const struct part *part = me->context;
    uint64_t random = part->seed;
    peal_comm_t comm;

    if (part->hosts)
        pretend_host(me, part);
    if (!rank_comm(me, &comm))
        return;
    every_shape(me, comm, &random);
    if (part->all_types)
        every_type(me, comm, &random);
    large_ones(me, comm, &random, part->large);
    if (part->relays)
        relayed(me, comm, &random);
    if (part->past_caches)
        past_caches(me, comm, &random);
    rank_comm_free(me, &comm);
}

/* ---- Which jobs ------------------------------------------------------------------ */

/* Set k names the k-th algorithm of each collective: "allreduce:ring,bcast:...". */
static int algorithm_sets(char sets[ALGORITHM_SETS][256])
{
    char *report = NULL, *rest, *line, last[32] = "", collective[32], name[32];
    int at = 0, most = 0;

    if (peal_describe("algorithms", 0, &report))
        return -1;
    for (line = strtok_r(report, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (sscanf(line, "%31s %31s", collective, name) != 2 || !strcmp(name, "algorithm"))
            continue;
        at = strcmp(collective, last) ? 0 : at + 1;
        snprintf(last, sizeof last, "%s", collective);
        if (at >= ALGORITHM_SETS)
            return -1;
        if (at >= most)
            most = at + 1;
        snprintf(sets[at] + strlen(sets[at]), 256 - strlen(sets[at]), "%s%s:%s",
                 *sets[at] ? "," : "", collective, name);
    }
    free(report);
    return most;
}

static const struct road { const char *name, *transports; int per_process, hosts; } roads[] = {
    { "threads",     "self",     RANKS_MOST, 0 },
    { "shm",         "shm",      1, 0 },
    { "tcp",         "tcp",      1, 0 },
    { "threads+shm", "self,shm", 2, 0 },
    { "threads+tcp", "self,tcp", 2, 0 },
    { "default",     NULL,       3, 0 },
    { "2 hosts",     "shm,tcp",  1, 2 },
    { "3 hosts",     "shm,tcp",  1, 3 },
    { "given",       NULL,       1, 0 },   /* TEST_TRANSPORTS, and nothing else then */
};

int main(int argc, char **argv)
{
    static const int sizes[] = { 1, 2, 3, 4, 5, 8 };
    uint64_t seed = ranks_seed(argc, argv, 1), random = seed;
    const char *given = getenv("TEST_TRANSPORTS");
    const char *only = given ? "given" : argc > 2 ? argv[2] : NULL;
    /* For slow builds: each algorithm by name on 3 ranks only. */
    bool quick = effort_quick();
    static char sets[ALGORITHM_SETS][256];
    double started = ranks_now();
    int nsets = algorithm_sets(sets), bad = nsets < 1;

    setenv("PEAL_LOG", "error", 0);        /* not every algorithm fits every call */
    for (size_t r = 0; r < sizeof roads / sizeof *roads; r++) {
        const struct road *road = &roads[r];
        double begun = ranks_now();
        int failed = 0;

        if (only ? strcmp(only, road->name) != 0 : strcmp(road->name, "given") == 0)
            continue;
        for (size_t i = 0; i < 6; i++)
            for (int set = -1; set < nsets; set++) {
                peal_config_t config = PEAL_CONFIG_INIT;
                bool relays = sizes[i] > 1 && sizes[i] <= 5 && strcmp(road->name, "shm") == 0;
                struct part part = {
                    .seed = ranks_random(&random), .all_types = set == -1, .large = sizes[i] == 4,
                    .relays = relays, .hosts = road->hosts,
                    .past_caches = relays && set >= 0 && strstr(sets[set], "allreduce:ring,"),
                };
                char name[400];
                struct ranks_plan plan = {
                    .name = name, .nranks = sizes[i], .per_process = road->per_process,
                    .config = &config, .body = body, .context = &part, .seconds = 60,
                };

                /* Mixtures: only the sizes that mix; the large ones by fewer sets. */
                if ((r >= 3 && !given && sizes[i] != 4 && sizes[i] != 5 &&
                     !(road->hosts == 3 && sizes[i] == 8)) || (sizes[i] == 1 && set > 0) ||
                    (quick && set >= 0 && sizes[i] != 3))
                    continue;
                config.timeout = 20;
                config.transports = given ? given : road->transports;
                config.algorithms = set < 0 ? NULL : sets[set];
                snprintf(name, sizeof name, "%s, algorithms %s", road->name,
                         set < 0 ? "by default" : sets[set]);
                failed += ranks_run(&plan);
            }
        printf("%-12s %d ranks failed, %.1f s\n", road->name, failed, ranks_now() - begun);
        bad += failed;
    }
    return ranks_verdict("collectives", bad, started);
}
