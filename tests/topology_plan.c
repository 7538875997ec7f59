/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans of machines made by hand, against what is known of them; of small random ones, against linear
 * programmes over all their rings and trees; NICs, spreading, wrong calls, running out of memory.
 *
 *   topology_plan [seed [cases]] */
#include "base/status.h"
#include "checks.h"
#include "effort.h"
#include "failing_memory.h"
#include "topology_best.h"
#include "topology_machines.h"
#include "topology/flow.h"
#include "topology/plan.h"

#include <math.h>
#include <stdint.h>

static uint64_t state;

static int draw(int below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)((state >> 33) % (unsigned)below);
}

/* ---- Known machines --------------------------------------------------------------------- */

static const int pairs_crosswise[16] = { 0, 0, 0, 2,  0, 0, 2, 0,  0, 2, 0, 0,  2, 0, 0, 0 };
static const int one_pair[9] = { 0, 4, 0,  4, 0, 0,  0, 0, 0 };
static const int two_islands[36] = {
    0, 3, 3, 0, 0, 0,  3, 0, 3, 0, 0, 0,  3, 3, 0, 0, 0, 0,
    0, 0, 0, 0, 3, 3,  0, 0, 0, 3, 0, 3,  0, 0, 0, 3, 3, 0
};
static const int path_of_three[9] = { 0, 1, 0,  1, 0, 1,  0, 1, 0 };

enum { ALL = -1 };

static const struct known {
    const char *name;
    struct machine machine;
    const int *nvlink;
    int    every;                      /* NVLinks between every two */
    int    nvswitch;                   /* NVLinks of each to NVSwitch */
    int    groups;
    double rings, trees;               /* GB/s that they must have */
} known[] = {
    { "DGX-1V", { 2, 8, 2, false, 12, 10, 20, 1 }, machine_cube_mesh, 0, 0, 1, 120, 480.0 / 7 },
    { "4 of all pairs NV4", { 4, 4, 1, false, 24, 16, 20, 1 }, NULL, 4, 0, 1, 240, 160 },
    { "8 of all pairs", { 2, 8, 1, false, 48, 40, 48, 1 }, NULL, 1, 0, 1, 336, 192 },
    { "6 of all pairs", { 2, 6, 1, false, 48, 40, 10, 0 }, NULL, 1, 0, 1, 50, 30 },
    { "16 of all pairs", { 2, 16, 2, false, 48, 40, 1, 0 }, NULL, 1, 0, 1, 15, 8 },
    { "8 behind NVSwitch", { 2, 8, 2, true, 48, 40, 20, 2 }, NULL, 0, 18, 1, 360, 360.0 * 8 / 14 },
    { "16 behind NVSwitch", { 2, 16, 2, true, 12, 10, 25, 1 }, NULL, 0, 6, 1, 150, 150.0 * 16 / 30 },
    { "72 behind NVSwitch", { 12, 72, 2, true, 48, 40, 50, 1 }, NULL, 0, 18, 1, 900,
      900.0 * 72 / 142 },
    { "32 on eight sockets", { 8, 32, 2, true, 24, 30, 0, 1 }, NULL, 0, 0, 32, 24, ALL },
    { "one switch per socket", { 2, 8, 4, false, 24, 10, 0, 1 }, NULL, 0, 0, 8, 10, 10 },
    { "GPUs on four sockets", { 4, 4, 0, false, 24, 12, 0, 0 }, NULL, 0, 0, 4, 24, 16 },
    { "pairs on switches", { 2, 6, 2, false, 12, 20, 0, 0 }, NULL, 0, 0, 6, 12, ALL },
    { "NVLink pairs across sockets", { 2, 4, 1, true, 12, 10, 25, 0 }, pairs_crosswise, 0, 0, 2, 24,
      24 },
    { "one NVLink pair of three", { 1, 3, 1, true, 24, 0, 14, 1 }, one_pair, 0, 0, 2, 24, 24 },
    { "two NVLink islands", { 2, 6, 1, true, 24, 30, 25, 0 }, two_islands, 0, 0, 2, ALL, ALL },
    { "no ring of NVLink", { 1, 3, 1, true, 10, 0, 20, 0 }, path_of_three, 0, 0, 1, 20, 20 },
    { "two GPUs", { 1, 2, 0, false, 12, 0, 25, 0 }, NULL, 2, 0, 1, 50, 50 }
};

static void build(struct topology *t, const struct known *k)
{
    int every[256];

    for (int i = 0; i < 256; i++)
        every[i] = k->every;
    machine_build(t, &k->machine);
    if (k->nvlink)
        machine_nvlink(t, &k->machine, k->nvlink);
    if (k->every)
        machine_nvlink(t, &k->machine, every);
    if (k->nvswitch)
        machine_nvswitch(t, &k->machine, k->nvswitch);
    check(topology_finish(t) == PEAL_OK, "%s: %s", k->name, status_text());
}

static const struct known *named(const char *name)
{
    size_t i = 0;

    while (strcmp(known[i].name, name))
        i++;
    return &known[i];
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-6 * fmax(fabs(a), fabs(b));
}

static bool same_plans(const struct topology_plan *a, const struct topology_plan *b)
{
    size_t bytes = (size_t)a->ngpus * sizeof(int);
    bool same = a->ngpus == b->ngpus && a->nrings == b->nrings && a->ntrees == b->ntrees &&
                !memcmp(a->port, b->port, bytes) && !strcmp(a->proof, b->proof);

    for (int i = 0; i < a->nrings && same; i++)
        same = !memcmp(a->rings[i].gpus, b->rings[i].gpus, bytes) &&
               !memcmp(&a->rings[i].bandwidth, &b->rings[i].bandwidth, sizeof(double));
    for (int i = 0; i < a->ntrees && same; i++)
        same = !memcmp(a->trees[i].parent, b->trees[i].parent, bytes);
    return same;
}

static void test_known(const struct known *k)
{
    struct topology t;
    struct topology_plan plan, again;
    int status;

    build(&t, k);
    status = plan_find(&t, 0, NULL, 0, 1, &plan);
    check(!status, "%s: %s", k->name, status_text());
    if (!status) {
        verify_plan(k->name, &t, &plan);
        printf("%-28s %2d GPUs, rings %d: %g of %g, trees %d: %g of %g, %.3f s; %s\n", k->name,
               plan.ngpus, plan.nrings, plan.ring_total, plan.bound, plan.ntrees, plan.tree_total,
               plan.tree_bound, plan.seconds, plan.proof);
        check(k->rings < 0 || near(plan.ring_total, k->rings), "%s: rings of %.9g GB/s in all, not %g",
              k->name, plan.ring_total, k->rings);
        check(k->trees < 0 || near(plan.tree_total, k->trees), "%s: trees of %.9g GB/s in all, not %g",
              k->name, plan.tree_total, k->trees);
        check(plan.optimal, "%s: not optimal: %s", k->name, plan.proof);
        check(plan.ngroups == k->groups, "%s: %d islands, not %d", k->name, plan.ngroups, k->groups);
        check(!plan_find(&t, 0, NULL, 0, 1, &again) && same_plans(&plan, &again),
              "%s: the same machine has another plan", k->name);
        topology_plan_free(&again);
    }
    topology_plan_free(&plan);
    topology_free(&t);
}

/* NVLink neighbours stay neighbours where a ring must leave NVLink. */
static void test_islands(void)
{
    struct topology t;
    struct topology_plan plan;

    build(&t, named("two NVLink islands"));
    check(!plan_find(&t, 0, NULL, 0, 1, &plan), "islands: %s", status_text());
    for (int i = 0; i < plan.nrings; i++) {
        int crossings = 0;

        for (int k = 0; k < plan.ngpus; k++)
            crossings += plan.group[plan.rings[i].gpus[k]] !=
                         plan.group[plan.rings[i].gpus[(k + 1) % plan.ngpus]];
        check(crossings == 2, "islands: ring %d leaves its island %d times", i, crossings);
    }
    topology_plan_free(&plan);
    /* Each by itself is as fast as NVLink. */
    for (int island = 0; island < 2; island++) {
        int gpus[3];

        for (int i = 0; i < 3; i++)
            gpus[i] = machine_gpu(&t, island * 3 + 2 - i);
        check(!plan_find(&t, 0, gpus, 3, 1, &plan), "island %d: %s", island, status_text());
        verify_plan("an island", &t, &plan);
        check(near(plan.ring_total, 150) && near(plan.tree_total, 112.5), "island %d: rings of %g "
              "GB/s, trees of %g", island, plan.ring_total, plan.tree_total);
        topology_plan_free(&plan);
    }
    topology_free(&t);
}

/* However little time: there is a ring and a tree, and what is said of them is true. */
static void test_no_time(void)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct topology t;
        struct topology_plan plan;

        build(&t, &known[i]);
        check(!plan_find(&t, 0, NULL, 0, 0, &plan), "no time, %s: %s", known[i].name, status_text());
        check(plan.nrings > 0 && plan.ntrees > 0, "no time, %s: %d rings, %d trees", known[i].name,
              plan.nrings, plan.ntrees);
        verify_plan(known[i].name, &t, &plan);
        topology_plan_free(&plan);
        topology_free(&t);
    }
}

/* ---- Random machines ----------------------------------------------------------------------- */

static void random_machine(struct topology *t, struct machine *m, bool sparse)
{
    int lanes[36] = { 0 };

    *m = (struct machine){
        .sockets = 1 + draw(2), .gpus = 3 + draw(4), .per_switch = draw(3), .roots = draw(2),
        .pci = 4 + draw(20), .smp = 3 + draw(12), .lane = 1 + draw(25), .nics = draw(2)
    };
    machine_build(t, m);
    for (int i = 0; i < m->gpus * m->gpus; i++)
        lanes[i] = draw(sparse ? 3 : 5) - (sparse ? 1 : 0);
    for (int i = 0; i < m->gpus * m->gpus; i++)
        lanes[i] = lanes[i] < 0 ? 0 : lanes[i];
    machine_nvlink(t, m, lanes);
    if (!draw(6))
        machine_nvswitch(t, m, 1 + draw(4));
}

static void test_random(int cases)
{
    int exact = 0;

    for (int i = 0; i < cases; i++) {
        struct topology t;
        struct topology_plan plan;
        struct machine m;
        char name[64];

        random_machine(&t, &m, i % 2);
        snprintf(name, sizeof name, "random machine %d of %d GPUs", i, m.gpus);
        check(!topology_finish(&t), "%s: %s", name, status_text());
        check(!plan_find(&t, 0, NULL, 0, 1, &plan), "%s: %s", name, status_text());
        verify_plan(name, &t, &plan);
        check(plan.optimal, "%s: %s", name, plan.proof);
        exact += verify_best(name, &t, &plan);
        topology_plan_free(&plan);
        topology_free(&t);
    }
    printf("%d random machines, of %d the trees too against all there are\n", cases, exact);
}

/* The most between two nodes is the least of all cuts between them. */
static void test_flow(int cases)
{
    for (int c = 0; c < cases; c++) {
        int n = 3 + draw(6), capacity[64] = { 0 };
        struct flow flow;
        double most, least = INFINITY, cut;

        flow_init(&flow, n);
        for (int i = 0; i < n * n; i++) {
            if (i / n == i % n || draw(5) < 3)
                continue;
            capacity[i] = 1 + draw(c % 2 ? 2 : 9);
            flow_arc(&flow, i / n, i % n, capacity[i]);
        }
        for (unsigned side = 1; side < 1u << n; side += 2) {
            if (side >> (n - 1) & 1)
                continue;
            cut = 0;
            for (int i = 0; i < n * n; i++)
                cut += (side >> i / n & 1) && !(side >> i % n & 1) ? capacity[i] : 0;
            least = fmin(least, cut);
        }
        most = flow_most(&flow, 0, n - 1);
        cut = 0;
        for (int i = 0; i < n * n; i++)
            cut += flow_side(&flow, i / n) && !flow_side(&flow, i % n) ? capacity[i] : 0;
        check(near(most, least) && near(cut, least) && !flow.failed, "flow %d of %d nodes: %g, its cut "
              "%g, the least cut %g", c, n, most, cut, least);
        flow_free(&flow);
    }
}

/* ---- NICs ---------------------------------------------------------------------------------- */

/* By GPU, the number of its port. */
static void expect_ports(const char *name, struct topology *t, const int *expected, int ngpus)
{
    int gpus[16], ports[16];

    check(!topology_finish(t), "%s: %s", name, status_text());
    for (int i = 0; i < ngpus; i++)
        gpus[i] = machine_gpu(t, i);
    check(!plan_ports(t, gpus, ngpus, ports), "%s: %s", name, status_text());
    for (int i = 0; i < ngpus; i++) {
        int number = ports[i] < 0 ? -1 : t->nodes[ports[i]].number;

        check(number == expected[i], "%s: gpu%d has port %d, not %d", name, i, number, expected[i]);
    }
    topology_free(t);
}

static int add_nic(struct topology *t, int up, int number, double speed)
{
    int nic = topology_node(t, TOPOLOGY_NIC, 0, up, number, NULL);
    int port = topology_node(t, TOPOLOGY_PORT, 0, nic, number, NULL);

    topology_link(t, up, nic, MEDIUM_PCI, 16, 48);
    topology_link(t, nic, port, MEDIUM_LANE, 0, speed);
    return nic;
}

static void test_ports(void)
{
    struct machine m = { .sockets = 2, .gpus = 8, .per_switch = 2, .pci = 48, .smp = 40, .nics = 2 };
    struct topology t;
    int gpu, other;

    machine_build(&t, &m);
    expect_ports("a NIC for each", &t, (int[]){ 0, 1, 2, 3, 4, 5, 6, 7 }, 8);
    m.nics = 1;
    machine_build(&t, &m);
    expect_ports("a NIC for two", &t, (int[]){ 0, 0, 1, 1, 2, 2, 3, 3 }, 8);
    m.nics = 0;
    machine_build(&t, &m);
    expect_ports("no NIC", &t, (int[]){ -1, -1, -1, -1, -1, -1, -1, -1 }, 8);

    /* On a socket all its NICs are as near. */
    m = (struct machine){ .sockets = 2, .gpus = 4, .per_switch = 1, .pci = 48, .smp = 40 };
    machine_build(&t, &m);
    for (int i = 0; i < 3; i++)
        add_nic(&t, topology_numa(&t, machine_gpu(&t, 0)), i, 25);
    add_nic(&t, topology_numa(&t, machine_gpu(&t, 3)), 3, 50);
    add_nic(&t, topology_numa(&t, machine_gpu(&t, 3)), 4, 25);
    expect_ports("the widest of the nearest", &t, (int[]){ 0, 1, 3, 3 }, 4);

    /* A slow port beside the GPU is left alone; one a little slower is not. */
    machine_build(&t, &m);
    add_nic(&t, t.nodes[machine_gpu(&t, 0)].parent, 0, 0.125);
    add_nic(&t, t.nodes[machine_gpu(&t, 1)].parent, 1, 12.5);
    add_nic(&t, topology_numa(&t, machine_gpu(&t, 3)), 2, 25);
    expect_ports("slow ports", &t, (int[]){ 1, 1, 2, 2 }, 4);

    /* Two ports of an adapter are taken after two adapters. */
    m = (struct machine){ .sockets = 1, .gpus = 2, .per_switch = 0, .pci = 48 };
    machine_build(&t, &m);
    other = add_nic(&t, 0, 0, 25);
    gpu = topology_node(&t, TOPOLOGY_PORT, 0, other, 1, NULL);
    topology_link(&t, other, gpu, MEDIUM_LANE, 0, 25);
    add_nic(&t, 0, 2, 25);
    expect_ports("adapters before ports", &t, (int[]){ 0, 2 }, 2);
}

/* GPU 0 could take either of two, GPU 1 only the one that GPU 0 would take first. */
static void test_ports_pushed(void)
{
    struct machine m = { .sockets = 1, .gpus = 2, .per_switch = 1, .pci = 48 };
    struct topology t;
    int first;

    machine_build(&t, &m);
    first = add_nic(&t, t.nodes[machine_gpu(&t, 1)].parent, 0, 25);
    topology_link(&t, t.nodes[machine_gpu(&t, 0)].parent, first, MEDIUM_PCI, 16, 48);
    add_nic(&t, t.nodes[machine_gpu(&t, 0)].parent, 1, 25);
    expect_ports("pushed to another", &t, (int[]){ 1, 0 }, 2);
}

static void test_spread(void)
{
    struct topology t;
    struct topology_plan plan;
    int entries[8] = { 0 };

    build(&t, named("8 behind NVSwitch"));
    check(!plan_find(&t, 0, NULL, 0, 1, &plan), "spread: %s", status_text());
    check(plan.nrings == 1 && !plan_spread(&t, &plan, 8) && plan.nrings == 8, "spread: %d rings",
          plan.nrings);
    for (int i = 0; i < plan.nrings; i++)
        entries[plan.rings[i].gpus[0]]++;
    for (int i = 0; i < 8; i++)
        check(entries[i] == 1, "spread: %d rings enter by gpu%d", entries[i], i);
    verify_plan("spread", &t, &plan);
    topology_plan_free(&plan);
    topology_free(&t);

    /* Four NICs for eight GPUs, and rings that pass from one GPU of a NIC to the other. */
    build(&t, named("DGX-1V"));
    check(!plan_find(&t, 0, NULL, 0, 1, &plan) && !plan_spread(&t, &plan, 8), "spread: %s", status_text());
    memset(entries, 0, sizeof entries);
    for (int i = 0; i < plan.nrings; i++)
        entries[t.nodes[plan.port[plan.rings[i].gpus[0]]].number]++;
    for (int i = 0; i < 4; i++)
        check(entries[i] == 2, "spread: %d of 8 rings enter by NIC %d of 4", entries[i], i);
    verify_plan("spread", &t, &plan);
    topology_plan_free(&plan);
    topology_free(&t);
}

/* ---- Wrong calls, no memory ------------------------------------------------------------------ */

static void test_wrong(void)
{
    struct topology t;
    struct topology_plan plan;
    int gpus[3], alone;

    build(&t, named("DGX-1V"));
    gpus[0] = machine_gpu(&t, 0);
    gpus[1] = t.nodes[gpus[0]].parent;
    check(plan_find(&t, 0, gpus, 2, 1, &plan) == PEAL_ERR_ARGUMENT, "a plan with a PCI switch");
    gpus[1] = gpus[0];
    check(plan_find(&t, 0, gpus, 2, 1, &plan) == PEAL_ERR_ARGUMENT, "a plan with a GPU twice");
    check(plan_find(&t, 0, gpus, 0, 1, &plan) == PEAL_ERR_ARGUMENT, "a plan of no GPU");
    check(plan_find(&t, 0, gpus, 1, 1, &plan) == PEAL_OK && plan.ngpus == 1 && !plan.nrings &&
          plan.optimal, "a plan of one GPU");
    topology_plan_free(&plan);
    topology_free(&t);

    topology_init(&t);
    for (int i = 0; i < 2; i++) {
        int numa = topology_node(&t, TOPOLOGY_NUMA, topology_host(&t, NULL), -1, 0, NULL);

        gpus[i] = topology_node(&t, TOPOLOGY_GPU, i, numa, 0, NULL);
        topology_link(&t, numa, gpus[i], MEDIUM_PCI, 16, 12);
    }
    check(!topology_finish(&t), "%s", status_text());
    check(plan_find(&t, 0, gpus, 2, 1, &plan) == PEAL_ERR_ARGUMENT && strstr(status_text(), "gpu0"),
          "a plan of GPUs that nothing joins: %s", status_text());
    alone = topology_count(&t, TOPOLOGY_GPU, 1);
    check(alone == 1 && !plan_find(&t, 1, NULL, 0, 1, &plan) && plan.gpus[0] == gpus[1],
          "a plan of the second host");
    topology_plan_free(&plan);
    topology_free(&t);
}

static void test_no_memory(void)
{
    struct topology t;
    struct topology_plan plan;
    int status = PEAL_ERR_MEMORY, n = 0;

    if (!CAN_FAIL) {
        printf("skipped: running out of memory, the sanitizers have malloc\n");
        return;
    }
    for (int k = 0; k < 2; k++) {
        build(&t, named(k ? "pairs on switches" : "16 behind NVSwitch"));
        for (n = 0; n < 100000; n++) {
            allocations_left = n;
            status = plan_find(&t, 0, NULL, 0, 1, &plan);
            if (!status)
                status = plan_spread(&t, &plan, 5);
            allocations_left = -1;
            topology_plan_free(&plan);
            if (status != PEAL_ERR_MEMORY)
                break;
        }
        check(status == PEAL_OK && n > 20, "no memory after %d allocations: %s", n, status_text());
        topology_free(&t);
    }
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    int cases = argc > 2 ? atoi(argv[2]) : effort_quick() ? 30 : 120;

    state = seed;
    printf("seed %llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        test_known(&known[i]);
    test_islands();
    test_no_time();
    test_flow(cases * 10);
    test_random(cases);
    test_ports();
    test_ports_pushed();
    test_spread();
    test_wrong();
    test_no_memory();
    printf("%d checks, %d failures\n", checks, failures);
    return failures != 0;
}
