/* SPDX-License-Identifier: BSD-3-Clause */
/* What the plans do for the links: allreduce schedules as Peal builds them, on every machine of
 * tests/topologies, alone and as several such hosts; the bytes on every link are added up, each way by
 * itself, and the busiest one says how fast the whole can be.
 *
 *   topology_load [--table] [seed]      --table: figures for docs/topology.md
 *
 * "All" rings and trees are the algorithms that use the channels and trees of a layout, in the layout that Peal
 * finds for such hosts.  Beside them one order of all ranks: a ring of the plan, host after host; the order of
 * their numbers; and shuffled. */
#include "topology_load.h"

#include "checks.h"
#include "effort.h"
#include "topology_each.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const struct algorithm allreduce_ring, allreduce_double_tree, allreduce_hierarchical,
                              allreduce_channels, allreduce_trees, allreduce_hierarchical_channels;

static const struct algorithm *const measured[] = { &allreduce_ring, &allreduce_double_tree,
                                                    &allreduce_hierarchical };
/* The same over channels and trees. */
static const struct algorithm *const over_all[] = { &allreduce_channels, &allreduce_trees,
                                                    &allreduce_hierarchical_channels };
enum { RING, DOUBLE_TREE, HIERARCHICAL, MEASURED };

/* More hosts have so many messages in a ring of all that only those of the first ranks are counted. */
enum { HOSTS_BUILT = 16, HOSTS_SAMPLED = 3 };

enum { RANKS_MOST = 128 * PLAN_GPUS_MOST };

/* Shuffled orders of few ranks may be good ones by chance. */
enum { SHUFFLES_ALONE = 8, SHUFFLES = 1, HOSTS_WHERE_ORDER_MATTERS = 16 };

/* Alone, a shuffled order is worse here: neighbours of the plan are nearer than others. */
static const char *const order_matters[] = {
    "amd-mi100-rome-4nic", "amd-mi250-16gcd", "amd-mi250-8gcd", "amd-vega20-8x-pcie", "dgx1-v100",
    "rtx3090-8x-pcie", NULL
};

static uint64_t state;
static int order[RANKS_MOST];
static bool table;

static int draw(int below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)((state >> 33) % (unsigned)below);
}

static bool about(double a, double b)
{
    return fabs(a - b) <= 1e-6 * fmax(fabs(a), fabs(b));
}

/* ---- Orders --------------------------------------------------------------------------- */

/* Host after host along the ring.  In a ring of rings every second host goes the other way where a
 * host is not left by the port by which it is entered, so that neighbours meet on one rail; a
 * hierarchical algorithm has the same GPU of all hosts at the same place instead. */
static void order_of_ring(const struct hosts *h, const struct topology_ring *ring, int algorithm)
{
    int m = h->each;
    bool turns = algorithm == RING && h->of_port[ring->gpus[0]] != h->of_port[ring->gpus[m - 1]];

    for (int host = 0; host < h->n; host++)
        for (int i = 0; i < m; i++)
            order[host * m + i] = host * m + ring->gpus[turns && host % 2 ? m - 1 - i : i];
}

static void order_of_file(const struct hosts *h)
{
    for (int i = 0; i < h->n * h->each; i++)
        order[i] = i;
}

static void order_shuffled(const struct hosts *h)
{
    order_of_file(h);
    for (int i = h->n * h->each - 1; i > 0; i--) {
        int k = draw(i + 1), rank = order[i];

        order[i] = order[k];
        order[k] = rank;
    }
}

/* ---- Counting -------------------------------------------------------------------------- */

struct figures {
    struct load_result one, all, file, shuffled;
    double ideal;
};

static struct load_result count_order(struct hosts *h, int algorithm)
{
    hosts_clear(h);
    hosts_load(h, sends_of(measured[algorithm], h->n, h->each), order, 1);
    return hosts_result(h);
}

/* The ring of the plan that is best alone. */
static struct load_result count_one(struct hosts *h, int algorithm)
{
    struct load_result best = { .bandwidth = 0 };

    for (int i = 0; i < h->plan.nrings; i++) {
        struct load_result r;

        order_of_ring(h, &h->plan.rings[i], algorithm);
        r = count_order(h, algorithm);
        if (r.bandwidth > best.bandwidth * (1 + 1e-9))
            best = r;
    }
    return best;
}

/* What the algorithm that uses all rings sends, as it is. */
static struct load_result count_all(struct hosts *h, int algorithm)
{
    struct sends sends = { .algorithm = over_all[algorithm], .nhosts = h->n, .each = h->each };
    struct layout *layout = hosts_layout(h);
    bool sampled = algorithm == RING && h->n > HOSTS_BUILT;
    struct load_result r;

    sends_in(&sends, layout, (sampled ? HOSTS_SAMPLED : h->n) * h->each);
    hosts_clear(h);
    order_of_file(h);
    hosts_load(h, &sends, order, 1);
    if (sampled)
        hosts_alternate(h);
    r = hosts_result(h);
    r.rings = layout && layout->channels.count ? layout->channels.count : 1;
    if (algorithm == DOUBLE_TREE)
        r.rings = layout->trees.count;
    layout_free(layout);
    free(sends.list);
    return r;
}

/* The mean, as the busiest link of the last. */
static struct load_result count_shuffled(struct hosts *h, int algorithm)
{
    int shuffles = h->n == 1 ? SHUFFLES_ALONE : SHUFFLES;
    struct load_result r = { .bandwidth = 0 };
    double sum = 0;

    for (int i = 0; i < shuffles; i++) {
        order_shuffled(h);
        r = count_order(h, algorithm);
        sum += r.bandwidth;
    }
    r.bandwidth = sum / shuffles;
    return r;
}

/* 2(n-1)/n of the buffer through the narrowest place: in a host the cut that bounds its rings, between
 * hosts the ports of one. */
static double ideal_inside(const struct hosts *h)
{
    return h->plan.bound * h->each / (2.0 * (h->each - 1));
}

static double ideal_between(const struct hosts *h)
{
    return h->n > 1 ? h->ports_total * h->n / (2.0 * (h->n - 1)) : INFINITY;
}

static struct figures count_figures(struct hosts *h, int algorithm)
{
    struct figures f = { .ideal = fmin(ideal_inside(h), ideal_between(h)) };

    f.one = count_one(h, algorithm);
    f.all = count_all(h, algorithm);
    order_of_file(h);
    f.file = count_order(h, algorithm);
    f.shuffled = count_shuffled(h, algorithm);
    return f;
}

/* ---- Judging --------------------------------------------------------------------------- */

/* Each way once over the border of each host, which is the least a ring can do. */
static void judge_ring(const char *name, const struct hosts *h, const struct figures *f)
{
    const struct topology_plan *plan = &h->plan;
    int n = h->n * h->each;
    double once = 2.0 * (n - 1) / n, alone = plan->ring_total * h->each / (2.0 * (h->each - 1));
    double widest = 0, even, reach = fmin(plan->ring_total, h->ports_total) / once;

    if (h->n == 1) {
        check(about(f->all.bandwidth, alone), "%s: all rings carry %g GB/s of the buffer, the plan "
              "promises %g", name, f->all.bandwidth, alone);
        return;
    }
    for (int i = 0; i < plan->nrings; i++)
        widest = fmax(widest, plan->rings[i].bandwidth / plan->ring_total);
    even = once * fmin(1, 1.0 / h->nports + widest);
    /* What rings carry in the host and what ports carry do not get into each other's way. */
    check(h->n < HOSTS_WHERE_ORDER_MATTERS || f->all.bandwidth >= 0.9 * reach, "%s, %d hosts: all rings carry "
          "%g GB/s of the buffer, the host's rings and ports would %g", name, h->n, f->all.bandwidth, reach);
    for (int all = 0; all < 2; all++) {
        const struct load_result *r = all ? &f->all : &f->one;

        check(about(r->leaving_least, once) && about(r->leaving_most, once) &&
              about(r->entering_most, once), "%s, %d hosts: %g to %g of the buffer leave a host, %g enter "
              "one; it should be %g", name, h->n, r->leaving_least, r->leaving_most, r->entering_most, once);
        check(r->port_most <= (all ? even : once) * (1 + 1e-9), "%s, %d hosts: %g of the buffer over one of "
              "%d ports", name, h->n, r->port_most, h->nports);
        check(r->mixed <= 0, "%s, %d hosts: the ring carries %g of the buffer from rail to rail", name,
              h->n, r->mixed);
    }
}

/* A piece of the buffer for each GPU, which goes over its own port. */
static void judge_hierarchical(const char *name, const struct hosts *h, const struct figures *f)
{
    int most = 0;
    double hosts = 2.0 * (h->n - 1) / h->n, port;

    for (int p = 0; p < h->nports; p++) {
        int users = 0;

        for (int g = 0; g < h->each; g++)
            users += h->of_port[g] == p;
        most = users > most ? users : most;
    }
    port = hosts * most / h->each;
    if (h->n == 1)
        return;
    for (int all = 0; all < 2; all++) {
        const struct load_result *r = all ? &f->all : &f->one;

        check(about(r->leaving_least, hosts) && about(r->leaving_most, hosts) &&
              about(r->entering_most, hosts), "%s, %d hosts: %g of the buffer leave a host, %g enter one; "
              "it should be %g", name, h->n, r->leaving_most, r->entering_most, hosts);
        check(about(r->port_most, port), "%s, %d hosts: %g of the buffer over one of %d ports; it should "
              "be %g", name, h->n, r->port_most, h->nports, port);
        check(h->each % h->nports || most * h->nports != h->each || about(port, hosts / h->nports),
              "%s: %g over a port", name, port);
        check(r->mixed <= 0, "%s, %d hosts: hierarchical carries %g of the buffer from rail to rail", name,
              h->n, r->mixed);
    }
}

/* In a host what the plan promises of its trees; between hosts each is joined to the same of two others at most
 * in either half, over one rail: that is four messages of half a share, or with few hosts less. */
static void judge_trees(const char *name, const struct hosts *h, const struct figures *f)
{
    const struct load_result *r = &f->all;
    const struct layout_trees *trees = &h->ways.trees;
    double part = 0, total = 0, most = h->n == 2 ? 1 : 2;

    for (int i = 0; i < trees->count; i++) {
        part = fmax(part, trees->list[i].share);
        total += trees->list[i].share;
    }
    part /= total;
    if (h->n == 1) {
        /* Shares are whole numbers. */
        check(fabs(r->bandwidth / h->plan.tree_total - 1) < 1e-3, "%s: the plan's trees carry %g GB/s, it promises %g",
              name, r->bandwidth, h->plan.tree_total);
        return;
    }
    check(r->leaving_most <= most * (1 + 1e-9) && r->entering_most <= most * (1 + 1e-9), "%s, %d hosts: %g of the "
          "buffer leave a host over trees, %g enter one; it should be %g at most", name, h->n, r->leaving_most,
          r->entering_most, most);
    check(r->mixed <= 0, "%s, %d hosts: trees carry %g of the buffer from rail to rail", name, h->n, r->mixed);
    /* Each tree hangs from the port that had the least before it. */
    check(r->port_most <= most * (1.0 / h->nports + part) * (1 + 1e-6), "%s, %d hosts: trees carry %g of the "
          "buffer over one of %d ports", name, h->n, r->port_most, h->nports);
    check(r->bandwidth >= f->one.bandwidth * (1 - 1e-9), "%s, %d hosts: %g GB/s over all trees, %g over double "
          "trees in the plan's order", name, h->n, r->bandwidth, f->one.bandwidth);
}

/* A double tree's own shape decides which order is good for it: its figures are for reading. */
static void judge(const char *name, const struct hosts *h, int algorithm, const struct figures *f)
{
    const char *a = measured[algorithm]->name;
    bool matters = h->n >= HOSTS_WHERE_ORDER_MATTERS;

    if (algorithm == DOUBLE_TREE) {
        judge_trees(name, h, f);
        return;
    }
    if (algorithm == RING)
        judge_ring(name, h, f);
    else
        judge_hierarchical(name, h, f);
    for (int i = 0; order_matters[i]; i++)
        matters |= h->n == 1 && !strcmp(order_matters[i], name);
    check(f->one.bandwidth >= f->file.bandwidth * (1 - 1e-9), "%s, %d hosts, %s: %g GB/s in the plan's "
          "order, %g in that of the file", name, h->n, a, f->one.bandwidth, f->file.bandwidth);
    check(f->all.bandwidth >= f->one.bandwidth * (1 - 1e-9), "%s, %d hosts, %s: %g GB/s over all rings, "
          "%g over one", name, h->n, a, f->all.bandwidth, f->one.bandwidth);
    check(!matters || f->one.bandwidth > f->shuffled.bandwidth * (1 + 1e-9), "%s, %d hosts, %s: %g GB/s in "
          "the plan's order is not better than shuffled, %g", name, h->n, a, f->one.bandwidth,
          f->shuffled.bandwidth);
    /* Several hosts do not close rings in a host, so that bound holds for one only. */
    check(f->all.bandwidth <= (h->n == 1 ? ideal_inside(h) : ideal_between(h)) * (1 + 1e-6),
          "%s, %d hosts, %s: %g GB/s, more than can be", name, h->n, a, f->all.bandwidth);
}

/* ---- Machines -------------------------------------------------------------------------- */

static void print_busiest(const struct hosts *h, const struct load_result *r)
{
    const struct topology_link *link = &h->many.links[r->hop / 2];
    int from = r->hop & 1 ? link->b : link->a, to = link->a + link->b - from;

    printf("host %d: %s %s -> %s", r->host, topology_medium_name(link->medium), h->many.nodes[from].name,
           h->many.nodes[to].name);
}

static void print_figures(const struct hosts *h, int algorithm, const struct figures *f)
{
    printf("  %3d hosts %-12s %6.1f in one order, %6.1f over all %2d, of %6.1f (file %.1f, "
           "shuffled %.1f); ", h->n, measured[algorithm]->name, f->one.bandwidth, f->all.bandwidth, f->all.rings,
           f->ideal, f->file.bandwidth, f->shuffled.bandwidth);
    print_busiest(h, &f->one);
    printf(", of all rings ");
    print_busiest(h, &f->all);
    puts("");
}

static void test_hosts(const char *name, struct hosts *h, int n)
{
    struct figures f[MEASURED];
    char why[256];

    if (!hosts_repeat(h, n, why, sizeof why)) {
        check(false, "%s, %d hosts: %s", name, n, why);
        return;
    }
    check(hosts_alike(h), "%s, %d hosts: the last one's paths are not those of the first", name, n);
    for (int a = 0; a < MEASURED; a++) {
        f[a] = count_figures(h, a);
        judge(name, h, a, &f[a]);
        if (!table)
            print_figures(h, a, &f[a]);
    }
    if (table)
        printf("| %s | %d | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |\n", name, n,
               f[RING].shuffled.bandwidth, f[RING].file.bandwidth, f[RING].one.bandwidth,
               f[RING].all.bandwidth, f[DOUBLE_TREE].one.bandwidth, f[DOUBLE_TREE].all.bandwidth,
               f[HIERARCHICAL].one.bandwidth, f[HIERARCHICAL].all.bandwidth, f[RING].ideal);
    hosts_single(h);
}

static bool test_machine(const char *name, const char *file)
{
    static const int numbers[] = { 1, 2, 16, 128 };
    struct hosts h;
    char why[256];

    if (!hosts_open(&h, file, why, sizeof why)) {
        if (!table)
            printf("%s: skipped: %s\n", name, why);
        return false;
    }
    if (!table)
        printf("%s: %d GPUs, %d rings, %d ports%s\n", name, h.each, h.plan.nrings, h.nports,
               h.port_added ? " (one of 25 GB/s added: the file has none that all GPUs reach)" : "");
    for (int i = 0; i < (effort_quick() ? 3 : 4); i++)
        test_hosts(name, &h, numbers[i]);
    hosts_close(&h);
    return true;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    int tested;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--table"))
            seed = strtoull(argv[i], NULL, 0);
        else
            table = true;
    state = seed;
    if (!table)
        printf("seed %llu; GB/s of the buffer\n", (unsigned long long)seed);
    tested = each_machine(test_machine);
    sends_forget();
    check(tested >= 20, "only %d machines in tests/topologies", tested);
    if (!table)
        printf("%d machines, %d checks, %d failures\n", tested, checks, failures);
    return failures != 0;
}
