/* SPDX-License-Identifier: BSD-3-Clause */
/* Paths: the classes of a machine made by hand, and on random ones the best of all paths there are.
 *
 *   topology_paths [seed [cases]] */
#include "base/status.h"
#include "checks.h"
#include "effort.h"
#include "topology/paths.h"
#include "topology_machines.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static int draw(int below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)((state >> 33) % (unsigned)below);
}

/* ---- By hand -------------------------------------------------------------------------- */

static int named(const struct topology *t, const char *name)
{
    int node = -1;

    for (int i = 0; i < t->nnodes; i++)
        if (!strcmp(t->nodes[i].name, name))
            node = i;
    check(node >= 0, "there is no %s", name);
    return node;
}

/* Two sockets; the first with two host bridges, of which one has two switches in a row:
 * root0 - switch0 - { gpu0, switch1 - { gpu1, nic0 } }, root0 - gpu2, root1 - gpu3, numa1 - gpu4. */
static void build(struct topology *t)
{
    int numa[2], root[2], outer, inner, nic, port, nvswitch, rail;
    int gpus[5];

    topology_init(t);
    topology_host(t, NULL);
    for (int i = 0; i < 2; i++)
        numa[i] = topology_node(t, TOPOLOGY_NUMA, 0, -1, i, NULL);
    topology_link(t, numa[0], numa[1], MEDIUM_SMP, 0, 10);
    for (int i = 0; i < 2; i++) {
        root[i] = topology_node(t, TOPOLOGY_ROOT, 0, numa[0], i, NULL);
        topology_link(t, numa[0], root[i], MEDIUM_PCI, 0, 100);
    }
    outer = topology_node(t, TOPOLOGY_SWITCH, 0, root[0], 0, NULL);
    topology_link(t, root[0], outer, MEDIUM_PCI, 16, 24);
    inner = topology_node(t, TOPOLOGY_SWITCH, 0, outer, 1, NULL);
    topology_link(t, outer, inner, MEDIUM_PCI, 16, 12);
    for (int i = 0; i < 5; i++) {
        int up[5] = { outer, inner, root[0], root[1], numa[1] };

        gpus[i] = topology_node(t, TOPOLOGY_GPU, 0, up[i], i, NULL);
        topology_link(t, up[i], gpus[i], MEDIUM_PCI, 16, 24);
    }
    nic = topology_node(t, TOPOLOGY_NIC, 0, inner, 0, NULL);
    topology_link(t, inner, nic, MEDIUM_PCI, 8, 12);
    port = topology_node(t, TOPOLOGY_PORT, 0, nic, 1, NULL);
    topology_link(t, nic, port, MEDIUM_LANE, 0, 11);
    rail = topology_node(t, TOPOLOGY_RAIL, -1, -1, 0, NULL);
    topology_link(t, port, rail, MEDIUM_NETWORK, 0, 11);
    /* NVLink between 0 and 3, NVSwitch between 3 and 4, C2C at 4. */
    topology_link(t, gpus[0], gpus[3], MEDIUM_NVLINK, 2, 50);
    nvswitch = topology_node(t, TOPOLOGY_NVSWITCH, 0, -1, 0, NULL);
    topology_link(t, gpus[3], nvswitch, MEDIUM_NVLINK, 6, 150);
    topology_link(t, gpus[4], nvswitch, MEDIUM_NVLINK, 4, 100);
    topology_link(t, numa[1], gpus[4], MEDIUM_C2C, 0, 200);
    check(!topology_finish(t), "%s", status_text());
}

static void test_by_hand(void)
{
    static const struct { const char *from, *to; enum topology_class class; double bandwidth;
                          int nhops, lanes; } expected[] = {
        { "gpu0", "gpu0", CLASS_SELF, INFINITY, 0, 0 },
        { "gpu0", "gpu3", CLASS_NVLINK, 50, 1, 2 },
        { "gpu3", "gpu4", CLASS_NVSWITCH, 100, 2, 4 },
        { "gpu0", "gpu4", CLASS_SYS, 10, 5, 0 },       /* gpu3 forwards nothing */
        { "gpu0", "gpu1", CLASS_PXB, 12, 3, 0 },
        { "gpu1", "nic0", CLASS_PIX, 12, 2, 0 },
        { "gpu1", "port1", CLASS_PIX, 11, 3, 0 },
        { "gpu0", "port1", CLASS_PXB, 11, 4, 0 },
        { "gpu0", "gpu2", CLASS_PHB, 24, 3, 0 },
        { "gpu2", "gpu3", CLASS_NODE, 24, 4, 0 },
        { "gpu0", "numa0", CLASS_PHB, 24, 3, 0 },
        { "gpu4", "numa1", CLASS_PHB, 200, 1, 0 },     /* C2C is wider than PCI */
        { "gpu4", "numa0", CLASS_SYS, 10, 2, 0 },
        { "gpu0", "switch0", CLASS_PIX, 24, 1, 0 },
        { "gpu2", "rail0", CLASS_NET, 11, 6, 0 },
        { "nic0", "port1", CLASS_PIX, 11, 1, 0 },
        { "numa0", "numa1", CLASS_SYS, 10, 1, 0 },
        { "gpu4", "nvswitch0", CLASS_NVSWITCH, 100, 1, 4 }
    };
    struct topology t;

    build(&t);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        for (int back = 0; back < 2; back++) {
            const char *from = back ? expected[i].to : expected[i].from;
            const char *to = back ? expected[i].from : expected[i].to;
            struct topology_path path;

            check(!path_find(&t, named(&t, from), named(&t, to), &path), "%s", status_text());
            check(path.class == expected[i].class && path.nhops == expected[i].nhops &&
                  path.lanes == expected[i].lanes && path.bandwidth >= expected[i].bandwidth &&
                  path.bandwidth <= expected[i].bandwidth, "%s to %s: %s, %g GB/s, %d hops, %d lanes",
                  from, to, class_name(path.class), path.bandwidth, path.nhops, path.lanes);
        }
    topology_free(&t);
}

/* Two hosts: over the network; and nothing without it. */
static void test_hosts(void)
{
    struct machine m = { .sockets = 1, .gpus = 1, .per_switch = 1, .pci = 24, .nics = 1 };
    struct topology one, many;
    struct topology_path path;
    int gpus[2];

    machine_build(&one, &m);
    check(!topology_finish(&one), "%s", status_text());
    topology_init(&many);
    check(!topology_repeat(&many, &one, 2, 1), "%s", status_text());
    for (int i = 0; i < 2; i++)
        gpus[i] = topology_nth(&many, TOPOLOGY_GPU, i, 0);
    check(!path_find(&many, gpus[0], gpus[1], &path) && path.class == CLASS_NET && path.nhops == 8,
          "between hosts: %s, %d hops", class_name(path.class), path.nhops);
    check(!paths_to(&many, gpus, 1, gpus + 1, 1, CLASS_SYS, &path) && path.class == CLASS_NONE,
          "without the network: %s", class_name(path.class));
    topology_free(&one);
    topology_free(&many);
}

/* Host 1 is on the rails of both others; it is not a way from one to the other. */
static void test_rails(void)
{
    struct topology t;
    struct topology_path path;
    int gpus[3], rails[2];

    topology_init(&t);
    for (int i = 0; i < 2; i++)
        rails[i] = topology_node(&t, TOPOLOGY_RAIL, -1, -1, i, NULL);
    for (int i = 0; i < 3; i++) {
        int numa = topology_node(&t, TOPOLOGY_NUMA, topology_host(&t, NULL), -1, 0, NULL);

        gpus[i] = topology_node(&t, TOPOLOGY_GPU, i, numa, 0, NULL);
        topology_link(&t, numa, gpus[i], MEDIUM_PCI, 16, 12);
        for (int k = 0; k < 2; k++) {
            int nic, port;

            if (i != 1 && k != i / 2)
                continue;              /* host 0: rail 0, host 2: rail 1 */
            nic = topology_node(&t, TOPOLOGY_NIC, i, numa, k, NULL);
            port = topology_node(&t, TOPOLOGY_PORT, i, nic, k, NULL);
            topology_link(&t, numa, nic, MEDIUM_PCI, 16, 12);
            topology_link(&t, nic, port, MEDIUM_LANE, 0, 12);
            topology_link(&t, port, rails[k], MEDIUM_NETWORK, 0, 12);
        }
    }
    check(!topology_finish(&t), "%s", status_text());
    for (int i = 0; i < 3; i += 2)
        check(!path_find(&t, gpus[i], gpus[1], &path) && path.class == CLASS_NET,
              "host %d to host 1: %s", i, class_name(path.class));
    check(!path_find(&t, gpus[0], gpus[2], &path) && path.class == CLASS_NONE,
          "over two rails: %s", class_name(path.class));
    topology_free(&t);
}

/* A virtual adapter hangs from both sockets, and has two ports: no way between the sockets. */
static void test_adapter(void)
{
    struct machine m = { .sockets = 2, .gpus = 2, .pci = 24, .smp = 10 };
    struct topology t;
    struct topology_path path;
    int nic, ports[2];

    machine_build(&t, &m);
    nic = topology_node(&t, TOPOLOGY_NIC, 0, topology_numa(&t, machine_gpu(&t, 0)), 0, NULL);
    for (int i = 0; i < 2; i++) {
        ports[i] = topology_node(&t, TOPOLOGY_PORT, 0, nic, i, NULL);
        topology_link(&t, topology_numa(&t, machine_gpu(&t, i)), nic, MEDIUM_PCI, 16, 24);
        topology_link(&t, nic, ports[i], MEDIUM_LANE, 0, 12);
    }
    check(!topology_finish(&t), "%s", status_text());
    check(!path_find(&t, machine_gpu(&t, 0), machine_gpu(&t, 1), &path) && path.class == CLASS_SYS &&
          path.nhops == 3 && path.bandwidth <= 10, "between the sockets: %s, %g GB/s, %d hops",
          class_name(path.class), path.bandwidth, path.nhops);
    check(!path_find(&t, machine_gpu(&t, 1), ports[0], &path) && path.class == CLASS_PHB &&
          path.nhops == 3, "to the port: %s, %d hops", class_name(path.class), path.nhops);
    check(!path_find(&t, ports[0], ports[1], &path) && path.class == CLASS_PIX && path.nhops == 2,
          "between the ports: %s, %d hops", class_name(path.class), path.nhops);
    topology_free(&t);
}

/* A path of more hops than a path has room for is none. */
static void test_long(void)
{
    struct topology t;
    struct topology_path path;
    int up, gpu[2];

    for (int length = PATH_HOPS - 2; length <= PATH_HOPS + 2; length++) {
        topology_init(&t);
        topology_host(&t, NULL);
        up = topology_node(&t, TOPOLOGY_NUMA, 0, -1, 0, NULL);
        gpu[0] = topology_node(&t, TOPOLOGY_GPU, 0, up, 0, NULL);
        topology_link(&t, up, gpu[0], MEDIUM_PCI, 16, 12);
        for (int i = 2; i < length; i++) {
            int node = topology_node(&t, TOPOLOGY_SWITCH, 0, up, i, NULL);

            topology_link(&t, up, node, MEDIUM_PCI, 16, 12);
            up = node;
        }
        gpu[1] = topology_node(&t, TOPOLOGY_GPU, 0, up, 1, NULL);
        topology_link(&t, up, gpu[1], MEDIUM_PCI, 16, 12);
        check(!topology_finish(&t) && !path_find(&t, gpu[0], gpu[1], &path), "%s", status_text());
        check(length <= PATH_HOPS ? path.class == CLASS_PHB && path.nhops == length :
                                    path.class == CLASS_NONE,
              "a path of %d hops: %s, %d", length, class_name(path.class), path.nhops);
        topology_free(&t);
    }
}

/* ---- All paths ---------------------------------------------------------------------------- */

struct all {
    const struct topology *t;
    int from;
    bool seen[64];
    int nodes[64], links[64], length;  /* of the path so far; nodes[length] is where it is */
    struct topology_path *best;        /* by node */
};

/* Into an adapter and out again on the side of the host; or, over the network, on that of the ports. */
static bool through_adapter(const struct all *a)
{
    bool network = false;

    for (int i = 0; i < a->length; i++)
        network |= a->t->links[a->links[i]].medium == MEDIUM_NETWORK;
    for (int i = 1; i < a->length; i++) {
        bool in = a->t->links[a->links[i - 1]].medium == MEDIUM_LANE;
        bool out = a->t->links[a->links[i]].medium == MEDIUM_LANE;

        if (a->t->nodes[a->nodes[i]].kind == TOPOLOGY_NIC && in == out && (!in || network))
            return true;
    }
    return false;
}

/* The class of a whole path, from what it passes; CLASS_NONE: not allowed. */
static enum topology_class judge(const struct all *a)
{
    int media[MEDIUM_COUNT] = { 0 }, via[TOPOLOGY_KIND_COUNT] = { 0 };
    const struct topology_node *nodes = a->t->nodes;
    enum topology_kind first = nodes[a->from].kind, last = nodes[a->nodes[a->length]].kind;

    for (int i = 0; i < a->length; i++)
        media[a->t->links[a->links[i]].medium]++;
    for (int i = 1; i < a->length; i++)
        via[nodes[a->nodes[i]].kind]++;
    if (via[TOPOLOGY_GPU] || through_adapter(a))
        return CLASS_NONE;
    if (media[MEDIUM_NVLINK]) {
        if (media[MEDIUM_NVLINK] < a->length)
            return CLASS_NONE;
        return a->length == 1 && first == TOPOLOGY_GPU && last == TOPOLOGY_GPU ? CLASS_NVLINK :
                                                                                CLASS_NVSWITCH;
    }
    if (media[MEDIUM_NETWORK] || via[TOPOLOGY_PORT])
        return via[TOPOLOGY_RAIL] <= 1 ? CLASS_NET : CLASS_NONE;
    if (media[MEDIUM_SMP])
        return CLASS_SYS;
    if (via[TOPOLOGY_ROOT] > 1)
        return CLASS_NODE;
    if (via[TOPOLOGY_ROOT] || via[TOPOLOGY_NUMA] || media[MEDIUM_C2C] || first == TOPOLOGY_ROOT ||
        first == TOPOLOGY_NUMA || last == TOPOLOGY_ROOT || last == TOPOLOGY_NUMA)
        return CLASS_PHB;
    return via[TOPOLOGY_SWITCH] > 1 ? CLASS_PXB : CLASS_PIX;
}

static void walk(struct all *a)
{
    int at = a->nodes[a->length];

    if (a->length) {
        struct topology_path path = { .class = judge(a), .bandwidth = INFINITY, .nhops = a->length };
        struct topology_path *best = &a->best[at];

        for (int i = 0; i < a->length; i++)
            path.bandwidth = fmin(path.bandwidth, a->t->links[a->links[i]].bandwidth);
        if (path.class < best->class ||
            (path.class == best->class &&
             (path.bandwidth > best->bandwidth ||
              (path.bandwidth >= best->bandwidth && path.nhops < best->nhops))))
            *best = path;
    }
    for (int i = 0; i < a->t->nlinks; i++) {
        const struct topology_link *link = &a->t->links[i];
        int next = link->a == at ? link->b : link->b == at ? link->a : -1;

        if (next < 0 || a->seen[next] || (a->length && a->t->nodes[at].kind == TOPOLOGY_GPU))
            continue;
        a->seen[next] = true;
        a->links[a->length++] = i;
        a->nodes[a->length] = next;
        walk(a);
        a->length--;
        a->seen[next] = false;
    }
}

/* A machine with links where no machine has them, too; adapters with several places only where there is
 * no network, for beyond it paths may pass an adapter twice, which walk() does not try. */
static void random_machine(struct topology *t)
{
    struct machine m = {
        .sockets = 1 + draw(3), .gpus = 2 + draw(3), .per_switch = draw(3), .roots = draw(2),
        .pci = 5 + draw(4), .smp = 4 + draw(4), .nics = draw(2)
    };
    int rail, n;
    bool network = draw(2);

    machine_build(t, &m);
    n = t->nnodes;
    topology_node(t, TOPOLOGY_RAIL, -1, -1, 0, NULL);
    rail = topology_node(t, TOPOLOGY_RAIL, -1, -1, 1, NULL);
    if (draw(2))
        topology_node(t, TOPOLOGY_NVSWITCH, 0, -1, 0, NULL);
    for (int i = 0; i < n; i++) {
        enum topology_kind kind = t->nodes[i].kind;

        for (int k = 0; k < 2; k++)
            if (kind == TOPOLOGY_PORT && network && draw(3))
                topology_link(t, i, rail - k, MEDIUM_NETWORK, 0, 3 + draw(4));
        if (kind == TOPOLOGY_GPU && t->nnodes > rail + 1 && draw(3))
            topology_link(t, i, rail + 1, MEDIUM_NVLINK, 1, 5 + draw(9));
        if (kind == TOPOLOGY_GPU && !draw(3))
            topology_link(t, topology_numa(t, i), i, MEDIUM_C2C, 1, 4 + draw(9));
        for (int k = 0; k < i; k++)
            if (kind == TOPOLOGY_GPU && t->nodes[k].kind == TOPOLOGY_GPU && !draw(3))
                topology_link(t, k, i, MEDIUM_NVLINK, 1, 5 + draw(9));
        if (kind == TOPOLOGY_NIC && !network && draw(3))
            topology_link(t, draw(m.sockets), i, MEDIUM_PCI, 1, 4 + draw(9));
        if (kind == TOPOLOGY_SWITCH && !draw(4) && t->nodes[i - 1].kind != TOPOLOGY_GPU)
            topology_link(t, i - 1, i, MEDIUM_PCI, 1, 4 + draw(9));
        if (kind == TOPOLOGY_SWITCH && !draw(3))
            topology_link(t, topology_numa(t, i), i, MEDIUM_PCI, 1, 4 + draw(9));
    }
    check(!topology_finish(t), "%s", status_text());
}

static void test_random(int cases)
{
    static struct topology_path found[64], best[64];
    long compared = 0;

    for (int c = 0; c < cases; c++) {
        struct topology t;

        random_machine(&t);
        for (int from = 0; from < t.nnodes && t.nnodes <= 64; from++) {
            struct all a = { .t = &t, .from = from, .best = best };

            for (int i = 0; i < t.nnodes; i++)
                best[i] = (struct topology_path){ .class = CLASS_NONE };
            a.nodes[0] = from;
            a.seen[from] = true;
            walk(&a);
            check(!paths_from(&t, from, found), "%s", status_text());
            for (int i = 0; i < t.nnodes; i++, compared++)
                check(i == from ||
                      (found[i].class == best[i].class && found[i].nhops == best[i].nhops &&
                       !memcmp(&found[i].bandwidth, &best[i].bandwidth, sizeof(double))),
                      "random machine %d, %s to %s: %s, %g GB/s, %d hops; there is %s, %g, %d", c,
                      t.nodes[from].name, t.nodes[i].name, class_name(found[i].class),
                      found[i].bandwidth, found[i].nhops, class_name(best[i].class),
                      best[i].bandwidth, best[i].nhops);
        }
        topology_free(&t);
    }
    printf("%d random machines, %ld pairs against all paths\n", cases, compared);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    int cases = argc > 2 ? atoi(argv[2]) : effort_quick() ? 20 : 200;

    state = seed;
    printf("seed %llu\n", (unsigned long long)seed);
    test_by_hand();
    test_hosts();
    test_rails();
    test_adapter();
    test_long();
    test_random(cases);
    printf("%d checks, %d failures\n", checks, failures);
    return failures != 0;
}
