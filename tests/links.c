/* SPDX-License-Identifier: BSD-3-Clause */
/* What a communicator is told of its links (links.c), from tables of ranks that no job has:
 * its layout, the speeds within and between hosts, and prices that know that the ranks of a
 * host share its way out, and its cores; and what makes several hosts of one. */
#include "checks.h"
#include "coll/start.h"
#include "comm/job_state.h"
#include "comm/where.h"

#include <stdlib.h>
#include <string.h>

enum { RANKS = 8 };

/* What verbs says of every rank; 0: it cannot be used.  Do ranks have GPUs? */
static uint64_t fabric_word;
static bool with_gpus;

/* A communicator whose rank r is on host hosts[r], on the cores cores[r] of it (NULL: all
 * alike); each is a process.  The job's ranks are in the opposite order.  `numa`: not only the
 * cores are those, but the node too, and each rank has cores of its own. */
static struct coll_speed find_on(const int *hosts, const int *cores, bool numa)
{
    static struct record records[RANKS];
    static struct job job;
    static struct peal_comm comm;
    static int job_ranks[RANKS];
    struct coll_speed speed = { .layout = NULL };

    job.records = records;
    comm.job = &job;
    comm.job_ranks = job_ranks;
    comm.nranks = RANKS;
    comm.crowding = 1;
    memcpy(comm.options.transports, "shm,verbs,tcp", sizeof "shm,verbs,tcp");
    for (int r = 0; r < RANKS; r++) {
        job_ranks[r] = RANKS - 1 - r;
        records[job_ranks[r]].where = (struct where){
            .host = 1000 - (uint64_t)hosts[r], .process = (uint64_t)r + 1,
            .cores = numa ? 200 - (uint64_t)r : cores ? 100 - (uint64_t)cores[r] : 1,
            .numa = (uint16_t)(numa ? 9 - cores[r] : 0), .ring = (uint8_t)(with_gpus ? r + 1 : 0),
            .fabrics = { { "verbs", fabric_word } } };
    }
    if (links_find(&comm, &speed))
        check(false, "links_find: %s", status_text());
    return speed;
}

static struct coll_speed find(const int *hosts, const int *cores)
{
    return find_on(hosts, cores, false);
}

static void check_order(const struct layout *l, const int *order, const char *what)
{
    for (int i = 0; i < RANKS; i++)
        check((l && l->order ? l->order[i] : i) == order[i], "%s: place %d", what, i);
}

static void check_link(const struct coll_link *link, const struct reach *reach, const char *what)
{
    check(link->latency == reach->latency && link->bandwidth == reach->bandwidth,
          "%s: %g s, %g bytes/s", what, link->latency, link->bandwidth);
}

static void test_hosts(void)
{
    static const int one[RANKS] = { 0 }, dealt[RANKS] = { 0, 1, 0, 1, 0, 1, 0, 1 },
                     own[RANKS] = { 0, 1, 2, 3, 4, 5, 6, 7 },
                     late[RANKS] = { 0, 1, 2, 3, 4, 5, 5, 6 };
    static const int placed[RANKS] = { 0, 2, 4, 6, 1, 3, 5, 7 };
    struct coll_speed speed = find(one, NULL);

    check(speed.layout == NULL && speed.lends, "one host: a layout, or nothing lent");
    check_link(&speed.near, &select_near, "one host, near");
    check_link(&speed.far, &select_near, "one host, far");

    speed = find(dealt, NULL);
    check(layout_mixed(speed.layout) && !speed.lends, "two hosts: one layout, nothing lent");
    check_order(speed.layout, placed, "two hosts");
    check_link(&speed.near, &select_near, "two hosts, near");
    check_link(&speed.far, &select_far, "two hosts, far");
    layout_free(speed.layout);

    speed = find(own, NULL);
    check(speed.layout == NULL && !speed.lends, "a host for each: a layout, or something lent");
    check_link(&speed.near, &select_far, "a host for each, near");
    check_link(&speed.far, &select_far, "a host for each, far");

    /* The first group has nobody to measure. */
    speed = find(late, NULL);
    check(layout_mixed(speed.layout), "two of eight on a host: no groups");
    check_link(&speed.near, &select_near, "two of eight on a host, near");
    check_link(&speed.far, &select_far, "two of eight on a host, far");
    layout_free(speed.layout);
}

static void test_cores(void)
{
    static const int one[RANKS] = { 0 }, dealt[RANKS] = { 0, 1, 0, 1, 0, 1, 0, 1 };
    static const int hosts[RANKS] = { 0, 0, 0, 0, 1, 1, 1, 1 };
    static const int placed[RANKS] = { 0, 2, 4, 6, 1, 3, 5, 7 };
    static const int both[RANKS] = { 0, 2, 1, 3, 4, 6, 5, 7 };
    struct coll_speed speed = find(one, dealt);

    check(speed.layout && !layout_mixed(speed.layout), "two sockets: not one group");
    check_order(speed.layout, placed, "two sockets");
    layout_free(speed.layout);
    speed = find(hosts, dealt);
    check(layout_mixed(speed.layout), "two hosts of two sockets: no groups");
    check_order(speed.layout, both, "two hosts of two sockets");
    layout_free(speed.layout);
    /* Each rank has a core to itself. */
    speed = find_on(one, dealt, true);
    check(speed.layout && !layout_mixed(speed.layout), "cores of two sockets: not one group");
    check_order(speed.layout, placed, "cores of two sockets");
    layout_free(speed.layout);
    speed = find_on(hosts, dealt, true);
    check_order(speed.layout, both, "cores of two hosts of two sockets");
    layout_free(speed.layout);
}

/* Nothing is priced below what its hosts must send at the speed of one far link: an allreduce
 * at least 2 (k-1)/k of the buffer, for k hosts. */
static void test_shared_way(void)
{
    static const int dealt[RANKS] = { 0, 1, 0, 1, 0, 1, 0, 1 };
    struct coll_speed speed = find(dealt, NULL);
    struct call call = { .collective = ALLREDUCE, .nranks = RANKS, .count = 64 << 20, .size = 1,
                         .commutative = true, .nslices = 1 };
    double least = (double)call.count / select_far.bandwidth;

    for (const struct algorithm *const *a = algorithms; *a; a++)
        if ((*a)->collective == ALLREDUCE) {
            double seconds = select_price(*a, &call, false, &speed).seconds;

            check(seconds >= least, "allreduce %s: %g s, at least %g", (*a)->name, seconds, least);
        }
    layout_free(speed.layout);
}

/* Two hosts of four ranks and eight devices of 25 Gb/s each.  Ranks with a GPU use two devices each: what
 * one rank of a host sends to the other host alone is slower, what all send is not. */
static void test_devices(void)
{
    enum { DEVICES = 8, GIGABITS = 25 * DEVICES };
    static const int hosts[RANKS] = { 0, 0, 0, 0, 1, 1, 1, 1 };
    const struct algorithm *ring = algorithm_find(ALLREDUCE, "ring"),
                           *hierarchical = algorithm_find(ALLREDUCE, "hierarchical");
    struct call call = { .collective = ALLREDUCE, .nranks = RANKS, .count = 1 << 30, .size = 1,
                         .commutative = true, .nslices = 1 };
    double seconds[2][2], all = GIGABITS * 0.9e9 / 8;

    if (!transport_find("verbs")) {
        printf("skipped: devices: this build has no transport verbs\n");
        return;
    }
    fabric_word = 1 | (uint64_t)GIGABITS << 32 | (uint64_t)DEVICES << 56;
    for (int gpus = 0; gpus < 2; gpus++) {
        struct coll_speed speed;

        with_gpus = gpus;
        speed = find(hosts, NULL);
        check(speed.ways == (gpus ? 4 : 1) && speed.far.bandwidth * speed.ways == all,
              "%d: %g ways of %g bytes/s", gpus, speed.ways, speed.far.bandwidth);
        seconds[gpus][0] = select_price(ring, &call, false, &speed).seconds;
        seconds[gpus][1] = select_price(hierarchical, &call, false, &speed).seconds;
        layout_free(speed.layout);
    }
    printf("a GiB on 2 hosts of 4, 8 devices: ring %.1f and hierarchical %.1f ms by all devices, %.1f and "
           "%.1f by those near\n", seconds[0][0] * 1e3, seconds[0][1] * 1e3, seconds[1][0] * 1e3,
           seconds[1][1] * 1e3);
    check(seconds[1][0] > 2 * seconds[0][0] && seconds[1][1] < 1.4 * seconds[0][1],
          "devices: ring %g s, then %g; hierarchical %g, then %g", seconds[0][0], seconds[1][0],
          seconds[0][1], seconds[1][1]);
    fabric_word = 0;
    with_gpus = false;
}

/* What was the fastest, or nearly, where ranks share cores (docs/performance.md): a stage only of what
 * is large, for its root copies while other cores have nothing to do; in one host by a kernel's
 * connections (as tcp's reach() has them), which lend nothing, too.  With more than two cores: not
 * measured, to stay as it was. */
static void test_shared_cores(void)
{
    static const struct reach kernel = { .latency = 4e-6, .overhead = 6e-6, .bandwidth = 3e9,
                                         .slice = 512 << 10 };
    static const struct {
        enum collective collective;
        bool            lends;
        int             nranks, cores;
        size_t          bytes;
        const char     *name;
    } known[] = {
        { BCAST, true, 4, 2, 32 << 10, "binomial" }, { BCAST, true, 4, 2, 64 << 10, "binomial" },
        { BCAST, true, 4, 2, 256 << 10, "binomial" }, { BCAST, true, 4, 2, 512 << 10, "binomial" },
        { BCAST, true, 4, 2, 1 << 20, "staged" }, { BCAST, true, 6, 2, 64 << 10, "binomial" },
        { BCAST, true, 6, 2, 512 << 10, "staged" }, { BCAST, true, 8, 2, 64 << 10, "binomial" },
        { BCAST, true, 8, 2, 256 << 10, "staged" }, { BCAST, true, 8, 2, 1 << 20, "staged" },
        { BCAST, true, 4, 1, 64 << 10, "direct" }, { BCAST, true, 4, 1, 256 << 10, "staged" },
        { BCAST, true, 4, 1, 1 << 20, "staged" },
        { REDUCE, true, 4, 2, 4 << 10, "direct" }, { REDUCE, true, 4, 2, 16 << 10, "binomial" },
        { REDUCE, true, 4, 2, 64 << 10, "binomial" }, { REDUCE, true, 4, 2, 16 << 20, "binomial" },
        { BCAST, false, 4, 2, 8, "binomial" }, { BCAST, false, 4, 2, 1 << 20, "binomial" },
        { BCAST, false, 4, 4, 1 << 20, "double_tree" },
        { REDUCE, false, 4, 2, 8, "direct" }, { REDUCE, false, 4, 2, 4 << 10, "direct" },
        { REDUCE, false, 4, 2, 32 << 10, "binomial" }, { REDUCE, false, 4, 2, 4 << 20, "binomial" },
        { REDUCE, false, 4, 4, 4 << 20, "double_tree" }, { BCAST, false, 3, 2, 2 << 20, "double_tree" },
        { REDUCE, true, 3, 2, 2 << 20, "double_tree" }, { REDUCE, true, 5, 2, 1 << 20, "double_tree" },
        { BCAST, false, 5, 2, 128 << 10, "double_tree" }, { REDUCE, false, 6, 2, 1 << 20, "binomial" },
        { REDUCE, true, 8, 4, 1 << 20, "double_tree" },
        { ALLGATHER, false, 4, 2, 64 << 10, "doubling" }, { ALLGATHER, false, 5, 2, 64 << 10, "bruck" }
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct call call = { .collective = known[i].collective, .nranks = known[i].nranks,
                             .count = known[i].bytes, .size = 1, .commutative = true, .nslices = 1 };
        const struct reach *reach = known[i].lends ? &select_near : &kernel;
        struct coll_speed speed = select_speed(reach, reach, (double)known[i].nranks / known[i].cores);
        struct coll_choice choice = { .algorithm = NULL };

        speed.lends = known[i].lends;
        if (select_algorithm(&call, NULL, false, &speed, &choice))
            choice.algorithm = NULL;
        check(choice.algorithm && !strcmp(choice.algorithm->name, known[i].name),
              "%s of %zu bytes by %d ranks on %d cores%s: %s, not %s",
              collective_name(known[i].collective), known[i].bytes, known[i].nranks, known[i].cores,
              known[i].lends ? "" : ", by the kernel",
              choice.algorithm ? choice.algorithm->name : "nothing", known[i].name);
    }
}

/* Slices of what one rank stages: of 128 KiB for each that takes them, but then no more than 4 until
 * they have 512 KiB; and as PEAL_SLICE says. */
static void test_stage_slices(void)
{
    static const struct { int nranks; size_t bytes; int slices, told; } known[] = {
        { 4, 1 << 20, 2, 2 }, { 4, 4 << 20, 4, 10 }, { 4, 16 << 20, 10, 42 }, { 4, 64 << 20, 42, 170 },
        { 3, 4 << 20, 4, 16 }, { 3, 64 << 20, 64, 256 }, { 8, 4 << 20, 4, 4 }, { 8, 64 << 20, 18, 73 }
    };
    const struct algorithm *staged = algorithm_find(BCAST, "staged"),
                           *chain = algorithm_find(BCAST, "chain");

    for (int told = 0; told < 2; told++) {
        struct coll_speed speed = select_speed(&select_near, &select_near, 2);

        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            struct call call = { .collective = BCAST, .nranks = known[i].nranks, .nslices = 1,
                                 .count = known[i].bytes, .size = 1, .commutative = true };
            int expected = told ? known[i].told : known[i].slices, others = (int)(call.count >> 17),
                n = select_price(staged, &call, false, &speed).nslices,
                m = select_price(chain, &call, false, &speed).nslices;

            check(n == expected, "a stage of %zu bytes for %d ranks, %s: %d slices, not %d",
                  call.count, call.nranks, told ? "PEAL_SLICE=128K" : "by itself", n, expected);
            check(m == others, "a chain of %zu bytes: %d slices, not %d", call.count, m, others);
        }
        setenv("PEAL_SLICE", "128K", 1);
    }
    unsetenv("PEAL_SLICE");
}

/* Who is told that two hosts of one name do not share memory is told how that can be. */
static void check_reason(const struct where *a, const struct where *b)
{
    struct reach how;

    for (const struct transport *const *t = transports; *t; t++)
        if (!strcmp((*t)->name, "shm"))
            check((*t)->reach(a, b, &how) == PEAL_ERR_UNSUPPORTED &&
                  strstr(status_text(), "PEAL_HOSTID"), "shm: \"%s\"", status_text());
}

/* Ranks of one machine with different texts are on different hosts. */
static void test_hostid(void)
{
    static const char *const texts[] = { NULL, "", "a", "b", "a" };
    struct where where[5];

    for (int i = 0; i < 5; i++) {
        if (texts[i])
            setenv("PEAL_HOSTID", texts[i], 1);
        else
            unsetenv("PEAL_HOSTID");
        check(where_find(&where[i]) == PEAL_OK, "where_find: %s", status_text());
    }
    unsetenv("PEAL_HOSTID");
    check(where[0].host == where[1].host, "an empty text makes a host");
    check(where[0].host != where[2].host && where[2].host != where[3].host,
          "texts make no hosts");
    check(where[2].host == where[4].host, "a text makes two hosts");
    check_reason(&where[2], &where[3]);
}

int main(void)
{
    test_hosts();
    test_cores();
    test_shared_way();
    test_shared_cores();
    test_stage_slices();
    test_devices();
    test_hostid();
    printf("links: %s, %d checks, %d failed\n", failures ? "FAIL" : "ok", checks, failures);
    return failures ? 1 : 0;
}
