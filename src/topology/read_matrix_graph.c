/* SPDX-License-Identifier: BSD-3-Clause */
/* A graph that nvidia-smi would print as this matrix.
 *
 * PCI.  Devices that are PIX to each other are under one switch; groups of these that are PXB, under a
 * switch above; PHB, under one root; NODE, on one NUMA node; the rest is SYS.  Between two GPUs with
 * NVLinks the matrix does not tell how PCI joins them; what joins both to a third (an adapter), and
 * their affinities, tells most of it.
 *
 * NVLinks.  A GPU has at most 18 (Hopper, Blackwell; Ampere 12, Volta 6), but NV18 to each of seven
 * others would be 126: where a GPU's row has more than 18 altogether it is an NVSwitch, to which the
 * GPU has as many as the largest of its cells.  NVSwitches that cannot be told so are the same for
 * two GPUs as direct links.
 *
 * Models.  The matrix names none.  The number of NVLinks does, nearly: an NVSwitch with 6 is of V100,
 * 12 of A100, 18 of H100 or later; direct ones 1 or 2 between two are of a Turing bridge, 4 of an
 * Ampere one, up to 4 of P100, up to 6 of V100, up to 12 of A100, more of H100.  It is noted. */
#include "topology/read_matrix.h"

#include "base/status.h"
#include "topology/topology_speeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum level { LEVEL_PIX, LEVEL_PXB, LEVEL_PHB, LEVEL_NODE, LEVELS };

static const enum topology_class reach[LEVELS] = { CLASS_PIX, CLASS_PXB, CLASS_PHB, CLASS_NODE };

struct graph {
    struct matrix *m;
    struct topology *t;
    int    host;
    int    group[LEVELS][MATRIX_MOST]; /* lowest device of the group that each is in */
    int    node[LEVELS][MATRIX_MOST];  /* of the group, by its lowest device; -1: not made */
    int    device[MATRIX_MOST];        /* node of each device */
    int    nroots, nswitches, nnics;
    double transfers;                  /* of PCI, assumed; 0: not known */
};

/* ---- Groups -------------------------------------------------------------------------- */

static void unite(int *group, int n, int a, int b)
{
    int low = group[a] < group[b] ? group[a] : group[b];
    int high = group[a] + group[b] - low;

    for (int i = 0; i < n && low != high; i++)
        if (group[i] == high)
            group[i] = low;
}

/* Is one of group a's devices SYS to one of group b's? */
static bool apart(const struct graph *g, int a, int b)
{
    const int *group = g->group[LEVEL_NODE];

    for (int i = 0; i < g->m->n; i++)
        for (int k = 0; k < g->m->n && group[i] == a; k++)
            if (group[k] == b && g->m->cells[i][k].class == CLASS_SYS)
                return true;
    return false;
}

/* 1: the affinities say so, 0: they deny it, -1: they say nothing. */
static int same_affinity(const struct matrix_device *a, const struct matrix_device *b)
{
    if (a->numa >= 0 && b->numa >= 0)
        return a->numa == b->numa;
    if (a->cpus[0] && b->cpus[0])
        return !strcmp(a->cpus, b->cpus);
    return -1;
}

/* GPUs that only NVLinks relate are on one NUMA node if their affinities are the same, or if there are
 * none and nothing is against it. */
static void unite_affinities(struct graph *g)
{
    int n = g->m->n, *group = g->group[LEVEL_NODE];
    bool assumed = false;

    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++) {
            int same;

            if (group[i] == group[k] || g->m->cells[i][k].class != CLASS_NVLINK)
                continue;
            same = same_affinity(&g->m->devices[i], &g->m->devices[k]);
            if (!same || apart(g, group[i], group[k]))
                continue;
            assumed |= same < 0;
            unite(group, n, i, k);
        }
    if (assumed)
        topology_note(g->t, true, "where NVLinks are, the matrix does not tell how PCI joins the "
                      "GPUs, and it has no affinities: one NUMA node is assumed");
}

static void make_groups(struct graph *g)
{
    int n = g->m->n;

    for (int level = 0; level < LEVELS; level++) {
        for (int i = 0; i < n; i++)
            g->group[level][i] = level ? g->group[level - 1][i] : i;
        for (int i = 0; i < n; i++)
            for (int k = 0; k < i; k++)
                if (g->m->cells[i][k].class >= CLASS_PIX && g->m->cells[i][k].class <= reach[level])
                    unite(g->group[level], n, i, k);
    }
    unite_affinities(g);
}

/* How many groups of the level below are in this one. */
static int parts(const struct graph *g, enum level level, int group)
{
    int n = 0;

    for (int i = 0; i < g->m->n; i++)
        n += g->group[level][i] == group &&
             (level == LEVEL_PIX || g->group[level - 1][i] == i);
    return n;
}

/* ---- Nodes ---------------------------------------------------------------------------- */

/* Of the affinities of a group's GPUs the one that they share. */
static void describe_numa(struct graph *g, int group, struct topology_node *numa)
{
    const int *groups = g->group[LEVEL_NODE];
    const char *cpus = NULL;

    for (int i = 0; i < g->m->n; i++) {
        const struct matrix_device *d = &g->m->devices[i];

        if (d->cpus[0] && groups[i] == group && (!cpus || !strcmp(cpus, d->cpus)))
            cpus = d->cpus;
        else if (d->cpus[0] && groups[i] == group)
            return;
    }
    for (int i = 0; i < g->m->n && cpus; i++)    /* then it is no node's but several's */
        if (groups[i] != group && !strcmp(g->m->devices[i].cpus, cpus))
            return;
    if (cpus)
        snprintf(numa->cpus, sizeof numa->cpus, "%s", cpus);
}

static int numa_number(const struct graph *g, int group, int *next)
{
    bool taken = false;
    int number = -1;

    for (int i = 0; i < g->m->n && number < 0; i++)
        if (g->group[LEVEL_NODE][i] == group)
            number = g->m->devices[i].numa;
    for (int i = 0; i < g->t->nnodes && number >= 0; i++)
        taken |= g->t->nodes[i].kind == TOPOLOGY_NUMA && g->t->nodes[i].number == number;
    return number < 0 || taken ? (*next)++ : number;
}

/* Groups with a number of their own first, so that the others get those that are left. */
static void build_numas(struct graph *g)
{
    int next = 0, first = g->t->nnodes;

    for (int i = 0; i < g->m->n; i++)
        if (g->m->devices[i].numa >= next)
            next = g->m->devices[i].numa + 1;
    for (int i = 0; i < g->m->n; i++) {
        int *node = &g->node[LEVEL_NODE][i];

        if (g->group[LEVEL_NODE][i] != i)
            continue;
        *node = topology_node(g->t, TOPOLOGY_NUMA, g->host, -1, numa_number(g, i, &next), NULL);
        if (*node < 0)
            return;
        describe_numa(g, i, &g->t->nodes[*node]);
    }
    for (int i = first; i < g->t->nnodes; i++)
        for (int k = first; k < i; k++)
            topology_link(g->t, k, i, MEDIUM_SMP, 0, speed_smp(&g->t->nodes[i]));
}

static double pci(const struct graph *g)
{
    return speed_pci(g->transfers, g->transfers > 0 ? 16 : 0);
}

static int add_switch(struct graph *g, int above)
{
    char name[TOPOLOGY_NAME];
    int node;

    if (above < 0)
        return -1;
    snprintf(name, sizeof name, "switch%d", g->nswitches++);
    node = topology_node(g->t, TOPOLOGY_SWITCH, g->host, above, -1, name);
    if (node >= 0)
        topology_link(g->t, above, node, MEDIUM_PCI, 0, pci(g));
    return node;
}

/* What a device hangs from; made when the first of a group comes. */
static int above(struct graph *g, int i)
{
    int phb = g->group[LEVEL_PHB][i], pxb = g->group[LEVEL_PXB][i], pix = g->group[LEVEL_PIX][i];
    int *root = &g->node[LEVEL_PHB][phb], *outer = &g->node[LEVEL_PXB][pxb];
    int *inner = &g->node[LEVEL_PIX][pix], numa = g->node[LEVEL_NODE][g->group[LEVEL_NODE][i]];
    int top;

    if (*root < 0) {
        char name[TOPOLOGY_NAME];
        int link;

        snprintf(name, sizeof name, "root%d", g->nroots++);
        *root = topology_node(g->t, TOPOLOGY_ROOT, g->host, numa, -1, name);
        if (*root < 0)
            return -1;
        link = topology_link(g->t, numa, *root, MEDIUM_PCI, 0,
                             pci(g) * parts(g, LEVEL_PHB, phb));
        if (link >= 0)
            g->t->links[link].latency = 0;
    }
    top = *root;
    if (parts(g, LEVEL_PXB, pxb) > 1) {
        if (*outer < 0)
            *outer = add_switch(g, top);
        top = *outer;
    }
    /* Below an outer switch also a device alone is under one of its own: PXB, not PIX. */
    if (parts(g, LEVEL_PIX, pix) > 1 || parts(g, LEVEL_PXB, pxb) > 1) {
        if (*inner < 0)
            *inner = add_switch(g, top);
        top = *inner;
    }
    return top;
}

static double port_speed(double transfers)
{
    return transfers >= 32 ? 50 : transfers >= 16 ? 25 : 12.5;
}

static void build_device(struct graph *g, int i)
{
    const struct matrix_device *d = &g->m->devices[i];
    int up = above(g, i), node, port;
    char name[TOPOLOGY_NAME];

    if (up < 0)
        return;
    if (d->gpu >= 0) {
        node = topology_node(g->t, TOPOLOGY_GPU, g->host, up, d->gpu, NULL);
    } else {
        snprintf(name, sizeof name, "nic%d", g->nnics++);
        node = topology_node(g->t, TOPOLOGY_NIC, g->host, up, -1, name);
    }
    g->device[i] = node;
    if (node < 0)
        return;
    topology_link(g->t, up, node, MEDIUM_PCI, 0, pci(g));
    if (d->gpu >= 0)
        return;
    port = topology_node(g->t, TOPOLOGY_PORT, g->host, node, 1, d->name);
    if (port < 0)
        return;
    g->t->nodes[port].speed = port_speed(g->transfers);
    topology_link(g->t, node, port, MEDIUM_LANE, 0, g->t->nodes[port].speed);
}

/* ---- NVLinks --------------------------------------------------------------------------- */

struct nvlinks { int most, sum, peers; };

static struct nvlinks nvlinks_of(const struct matrix *m, int i)
{
    struct nvlinks links = { 0, 0, 0 };

    for (int k = 0; k < m->n; k++) {
        int lanes = m->cells[i][k].class == CLASS_NVLINK ? m->cells[i][k].lanes : 0;

        links.most = lanes > links.most ? lanes : links.most;
        links.sum += lanes;
        links.peers += lanes > 0;
    }
    return links;
}

enum { LINKS_MOST = 18 };

static int capability_of(const struct matrix *m)
{
    int switched = 0, direct = 0, peers = 0;

    for (int i = 0; i < m->n; i++) {
        struct nvlinks links = nvlinks_of(m, i);

        if (links.sum > LINKS_MOST)
            switched = links.most > switched ? links.most : switched;
        else
            direct = links.sum > direct ? links.sum : direct;
        peers = links.peers > peers ? links.peers : peers;
    }
    if (switched)
        return switched <= 6 ? 70 : switched <= 12 ? 80 : 90;
    if (peers == 1 && direct <= 4)
        return direct <= 2 ? 75 : 86;
    return !direct ? 0 : direct <= 4 ? 60 : direct <= 6 ? 70 : direct <= 12 ? 80 : 90;
}

static void assume(struct graph *g, int capability)
{
    g->transfers = !capability ? 0 : capability < 80 ? 8 : capability < 90 ? 16 : 32;
    if (capability)
        topology_note(g->t, true, "a matrix names no models: by the number of NVLinks compute "
                      "capability %d.%d and PCI of %g GT/s are assumed", capability / 10,
                      capability % 10, g->transfers);
    else
        topology_note(g->t, true, "a matrix names no models: PCI of 8 GT/s and 16 lanes is assumed");
    for (int i = 0; i < g->m->n; i++)
        if (g->m->devices[i].gpu < 0) {
            topology_note(g->t, true, "a matrix has no speeds of adapters: ports of %g Gb/s are "
                          "assumed", 8 * port_speed(g->transfers));
            break;
        }
}

static void build_nvlinks(struct graph *g, int capability)
{
    double one = speed_nvlink(capability);
    int nvswitch = -1;

    for (int i = 0; i < g->m->n; i++) {
        struct nvlinks links = nvlinks_of(g->m, i);

        if (g->m->devices[i].gpu < 0 || g->device[i] < 0)
            continue;
        g->t->nodes[g->device[i]].capability = capability;
        if (links.sum > LINKS_MOST) {
            if (nvswitch < 0) {
                nvswitch = topology_node(g->t, TOPOLOGY_NVSWITCH, g->host, -1, -1, "nvswitch");
                topology_note(g->t, false, "NVSwitch: %s has NV%d to %d others, and %d NVLinks "
                              "are more than a GPU can have", g->m->devices[i].label, links.most,
                              links.peers, links.sum);
            }
            if (nvswitch >= 0)
                topology_link(g->t, g->device[i], nvswitch, MEDIUM_NVLINK, links.most,
                              links.most * one);
            continue;
        }
        for (int k = 0; k < i; k++)
            if (g->m->cells[i][k].class == CLASS_NVLINK && g->device[k] >= 0 &&
                nvlinks_of(g->m, k).sum <= LINKS_MOST)
                topology_link(g->t, g->device[k], g->device[i], MEDIUM_NVLINK,
                              g->m->cells[i][k].lanes, g->m->cells[i][k].lanes * one);
    }
}

/* ---- All -------------------------------------------------------------------------------- */

/* The class that the graph gives two devices that have no NVLinks. */
static enum topology_class class_in(const struct graph *g, int i, int k)
{
    for (int level = 0; level < LEVELS; level++)
        if (g->group[level][i] == g->group[level][k])
            return reach[level];
    return CLASS_SYS;
}

static void compare(struct graph *g)
{
    int odd = 0, one = 0, other = 0;

    for (int i = 0; i < g->m->n; i++)
        for (int k = 0; k < i; k++) {
            enum topology_class class = (enum topology_class)g->m->cells[i][k].class;

            if (class == CLASS_NVLINK || class == class_in(g, i, k))
                continue;
            odd++;
            one = k;
            other = i;
        }
    if (odd)
        topology_note(g->t, true, "no tree of switches gives all of the matrix: %d pairs are nearer "
                      "than it says, %s and %s the last", odd, g->m->devices[one].label,
                      g->m->devices[other].label);
}

void matrix_build(struct matrix *m, struct topology *t)
{
    struct graph *g = calloc(1, sizeof *g);
    int capability = capability_of(m);

    if (!g) {
        t->failed = status_fail(PEAL_ERR_MEMORY, "topology: no memory for a matrix");
        return;
    }
    *g = (struct graph){ .m = m, .t = t, .host = topology_host(t, "") };
    memset(g->node, -1, sizeof g->node);
    memset(g->device, -1, sizeof g->device);
    make_groups(g);
    assume(g, capability);
    build_numas(g);
    for (int i = 0; i < m->n && !t->failed; i++)
        build_device(g, i);
    build_nvlinks(g, capability);
    compare(g);
    free(g);
}
