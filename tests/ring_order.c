/* SPDX-License-Identifier: BSD-3-Clause */
/* The plan's rings in the layout: on the machines of tests/topologies, what the schedules of a ring
 * allreduce send to GPUs that are next to each other on NVLink (XGMI, NVSwitch) and to others, with the
 * ranks of a host in the order of the ring, and in that of their numbers; and what one over all rings
 * sends.
 *
 *   ring_order [seed] */
#include "checks.h"
#include "coll/start.h"
#include "comm/job_state.h"
#include "comm/ring_order.h"
#include "topology/plan.h"
#include "topology/topology_source.h"
#include "topology_each.h"

#include <stdlib.h>
#include <string.h>

enum { GPUS = RECORD_TURNS, HOSTS = 2, RANKS = GPUS * HOSTS };

static uint64_t state;

static int draw(int below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)((state >> 33) % (unsigned)below);
}

/* Ranks of such hosts; rank r has the GPU gpus[r], counted as topology_nth() does. */
struct job_of {
    int            n, hosts, gpus[RANKS];
    struct record  records[RANKS];
    struct layout_plan plan;           /* that the last of them has found */
};

static struct layout *find_layout(struct job_of *j, const char *what)
{
    static struct job job;
    static struct peal_comm comm;
    static int job_ranks[RANKS];
    struct coll_speed speed = { .layout = NULL };

    job.records = j->records;
    job.plan = j->plan;
    comm.job = &job;
    comm.job_ranks = job_ranks;
    comm.nranks = j->n;
    comm.crowding = 1;
    memcpy(comm.options.transports, "shm,tcp", sizeof "shm,tcp");
    for (int r = 0; r < j->n; r++)
        job_ranks[r] = r;
    check(links_find(&comm, &speed) == PEAL_OK, "%s: %s", what, status_text());
    return speed.layout;
}

/* `like`: the rank on as good a machine with the same PEAL_GPU that has looked for both, or `r`. */
static void begin_rank(struct job_of *j, int r, int like, const struct topology *t)
{
    struct record found = j->records[like];

    if (like == r)
        check(ring_order_find(t, &found, &j->plan) == PEAL_OK, "rank %d: %s", r, status_text());
    found.where = (struct where){ .host = 7 + (uint64_t)(r % j->hosts), .process = (uint64_t)r + 1,
                                  .cores = 1, .plan = found.where.plan };
    j->records[r] = found;
}

/* Each rank names its GPU, by number, in any order. */
static void begin_named(struct job_of *j, const struct topology *t, int each)
{
    int order[GPUS];

    for (int i = 0; i < each; i++) {
        int k = draw(i + 1);

        order[i] = order[k];
        order[k] = i;
    }
    for (int r = 0; r < j->n; r++) {
        char word[32];

        j->gpus[r] = order[r / j->hosts];
        snprintf(word, sizeof word, "%d",
                 t->nodes[topology_nth(t, TOPOLOGY_GPU, 0, j->gpus[r])].number);
        setenv("PEAL_GPU", word, 1);
        begin_rank(j, r, r - r % j->hosts, t);
    }
    unsetenv("PEAL_GPU");
}

/* One each, of all, in the order of the ranks of a host. */
static void begin_in_turn(struct job_of *j, const struct topology *t)
{
    for (int r = 0; r < j->n; r++) {
        j->gpus[r] = r / j->hosts;
        begin_rank(j, r, 0, t);
    }
}

/* Of an allreduce, messages within hosts over NVLink and not, and between hosts. */
struct sent { int linked, others, between, channels; };

static struct sent count(struct job_of *j, const struct topology *t, const char *name, const char *what)
{
    struct layout *layout = find_layout(j, what);

    const struct algorithm *ring = algorithm_find(ALLREDUCE, name);
    struct call call = { .collective = ALLREDUCE, .nranks = j->n, .count = 1 << 20, .size = 4,
                         .commutative = true, .nslices = 1 };
    struct sent sent = { .channels = layout ? layout->channels.count : 0 };

    for (call.rank = 0; call.rank < j->n; call.rank++) {
        struct call c = call_among(&call, layout, true);
        struct schedule s;

        schedule_init(&s, j->n);
        schedule_peers(&s, c.order);
        ring->build(&s, &c);
        schedule_finish(&s);
        check(!s.failed, "no memory");
        for (uint32_t i = 0; i < s.nops; i++) {
            int peer = s.ops[i].peer;
            struct topology_path path;

            if (s.ops[i].kind != OP_SEND)
                continue;
            if (j->records[peer].where.host != j->records[call.rank].where.host) {
                sent.between++;
                continue;
            }
            check(!path_find(t, topology_nth(t, TOPOLOGY_GPU, 0, j->gpus[call.rank]),
                             topology_nth(t, TOPOLOGY_GPU, 0, j->gpus[peer]), &path), "no path");
            if (path.class == CLASS_NVLINK || path.class == CLASS_NVSWITCH)
                sent.linked++;
            else
                sent.others++;
        }
        schedule_free(&s);
    }
    layout_free(layout);
    return sent;
}

/* On these all of the ring is over NVLink, and the order of the GPUs' numbers, or another, is not. */
static const char *const all_linked[] = { "amd-mi250-16gcd", "amd-mi250-8gcd", "dgx1-v100", NULL };

static void test_job(const char *name, const struct topology *t, int each, int hosts, bool named)
{
    struct job_of j = { .n = each * hosts, .hosts = hosts };
    int messages = 2 * (j.n - 1);
    struct sent ring, numbers, all;
    char what[100];

    snprintf(what, sizeof what, "%s, %d of %d%s", name, hosts, each, named ? ", named" : "");
    if (named)
        begin_named(&j, t, each);
    else
        begin_in_turn(&j, t);
    numbers = count(&j, t, "ring", what);
    check(numbers.channels == 0, "%s: channels before anybody has met", what);
    check(ring_order_take(j.records, j.n) == PEAL_OK, "%s: %s", what, status_text());
    ring = count(&j, t, "ring", what);
    all = count(&j, t, "channels", what);
    printf("  %-40s %5d over NVLink, %4d not; by number %5d, %4d; over %2d channels %6d, %5d\n", what,
           ring.linked, ring.others, numbers.linked, numbers.others, all.channels, all.linked, all.others);
    /* Where a ring goes on to another host is decided by ports, not by this. */
    check(hosts > 1 || ring.others <= numbers.others, "%s: %d messages beside NVLink, by number %d", what,
          ring.others, numbers.others);
    check(ring.between == (hosts > 1 ? hosts * messages : 0), "%s: %d messages between hosts", what,
          ring.between);
    check(all.between == ring.between * (all.channels ? all.channels : 1), "%s: %d messages between hosts, "
          "over channels %d", what, ring.between, all.between);
    for (int i = 0; all_linked[i]; i++)
        check(strcmp(all_linked[i], name) ||
              (ring.others == 0 && all.others == 0 && all.channels >= 4 && numbers.others > 0),
              "%s: %d messages beside NVLink, over %d channels %d, by number %d", what, ring.others,
              all.channels, all.others, numbers.others);
}

static bool test_machine(const char *name, const char *file)
{
    struct topology t;
    int each;

    check(topology_read(file, &t) == PEAL_OK, "%s: %s", file, status_text());
    each = topology_count(&t, TOPOLOGY_GPU, 0);
    if (t.nhosts != 1 || each < 2 || each > GPUS) {
        printf("%s: skipped: %d hosts, %d GPUs on the first\n", name, t.nhosts, each);
        topology_free(&t);
        return false;
    }
    for (int hosts = 1; hosts <= HOSTS; hosts++) {
        test_job(name, &t, each, hosts, false);
        test_job(name, &t, each, hosts, true);
    }
    topology_free(&t);
    return true;
}

/* ---- What ranks bring ------------------------------------------------------------------ */

static struct topology words(const char *description)
{
    struct topology t;

    check(topology_read(description, &t) == PEAL_OK, "%s: %s", description, status_text());
    return t;
}

/* Of a list the plan is over the GPUs that it names: four in a ring 0 1 2 3 of 6, then all. */
static void test_lists(void)
{
    struct topology t = words("socket:1 gpu:6@v100 nvlink:ringx1");
    struct layout_plan ways;
    struct record r, turned;

    setenv("PEAL_GPU", "3,1,2,0", 1);
    check(ring_order_find(&t, &r, &ways) == PEAL_OK && r.nturns == 4, "a list of four: %d", r.nturns);
    setenv("PEAL_GPU", "0,1,2,3", 1);
    check(ring_order_find(&t, &turned, &ways) == PEAL_OK && r.where.plan == turned.where.plan,
          "the same four: other rings");
    for (int i = 0; i < 4; i++)
        check(r.turns[i] >= 1 && r.turns[i] <= 4, "a list of four: place %d", r.turns[i]);
    setenv("PEAL_GPU", "5", 1);
    check(ring_order_find(&t, &r, &ways) == PEAL_OK && r.nturns == 1 && r.turns[0] >= 1, "one GPU");
    setenv("PEAL_GPU", "6", 1);
    check(ring_order_find(&t, &r, &ways) == PEAL_ERR_ARGUMENT && r.nturns == 0, "no GPU 6");
    unsetenv("PEAL_GPU");
    check(ring_order_find(&t, &r, &ways) == PEAL_OK && r.nturns == 6, "all six: %d", r.nturns);
    check(ways.rings.count >= 2 && r.where.plan && r.where.plan != turned.where.plan,
          "all six: %d rings, those of four", ways.rings.count);
    topology_free(&t);
    t = words("socket:2 nic:2@100");
    check(ring_order_find(&t, &r, &ways) == PEAL_OK && r.nturns == 0 && ways.rings.count == 0 &&
          r.where.plan == 0, "no GPUs");
    topology_free(&t);
}

/* Rings are channels only where all hosts have the same. */
static void test_alike(void)
{
    struct topology some[2] = { words("socket:2 gpu:4@v100 nvlink:all-to-allx2 nic:4@100"),
                                words("socket:2 gpu:4@v100 nvlink:all-to-allx2 nic:2@100") };

    for (int mixed = 0; mixed < 2; mixed++) {
        struct job_of j = { .n = 8, .hosts = 2 };
        struct layout *layout;

        /* The last is of the first kind: what it has found is what the others look at. */
        for (int r = 0; r < j.n; r++)
            begin_rank(&j, r, r, &some[mixed && r % 2 == 0]);
        check(ring_order_take(j.records, j.n) == PEAL_OK, "%s", status_text());
        layout = find_layout(&j, "hosts alike or not");
        check(layout && (layout->channels.count > 1) == !mixed, "hosts %salike: %d channels",
              mixed ? "not " : "", layout ? layout->channels.count : -1);
        layout_free(layout);
    }
    topology_free(&some[0]);
    topology_free(&some[1]);
}

/* Each rank has what it brought itself, by its number among the ranks of its host. */
static void test_take(void)
{
    struct record records[RANKS];

    for (int r = 0; r < RANKS; r++) {
        records[r] = (struct record){ .where = { .host = (uint64_t)(r % 3) }, .nturns = 5 };
        for (int i = 0; i < 5; i++)
            records[r].turns[i] = (uint8_t)(r + 10 * i);
        if (r % 3 == 1)
            records[r].nturns = 0;
    }
    check(ring_order_take(records, RANKS) == PEAL_OK, "%s", status_text());
    for (int r = 0; r < RANKS; r++)
        check(records[r].where.ring == (r % 3 == 1 ? 0 : r + 10 * (r / 3 % 5)), "rank %d: place %d", r,
              records[r].where.ring);
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 1;

    printf("seed %u; messages of a ring allreduce within hosts\n", seed);
    state = seed;
    unsetenv("PEAL_GPU");
    unsetenv("CUDA_VISIBLE_DEVICES");
    test_lists();
    test_take();
    test_alike();
    check(each_machine(test_machine) >= 20, "few machines in tests/topologies");
    printf("ring_order: %s, %d checks, %d failed\n", failures ? "FAIL" : "ok", checks, failures);
    return failures ? 1 : 0;
}
