/* SPDX-License-Identifier: BSD-3-Clause */
/* What all ways of showing have in common: one host cut out, its devices, the paths between. */
#include "topology/show.h"

#include "base/status.h"

#include <stdlib.h>
#include <string.h>

/* ---- One host of many ---------------------------------------------------------------- */

/* Nodes that belong to no host belong to those that are joined to them. */
static bool joined_to(const struct topology *t, int node, int host)
{
    for (int i = t->first[node]; i < t->first[node + 1]; i++) {
        const struct topology_link *link = &t->links[t->incident[i]];

        if (t->nodes[link->a + link->b - node].host == host)
            return true;
    }
    return false;
}

static int cut_out(const struct topology *t, int host, struct topology *one)
{
    int *place = malloc((size_t)(t->nnodes + 1) * sizeof *place);

    topology_init(one);
    if (!place)
        return status_fail(PEAL_ERR_MEMORY, "no memory to show %d nodes", t->nnodes);
    topology_host(one, t->hosts[host].name);
    for (int i = 0; i < t->nnodes; i++) {
        const struct topology_node *node = &t->nodes[i];

        place[i] = -1;
        if (node->host == host || (node->host < 0 && joined_to(t, i, host)))
            place[i] = topology_node(one, node->kind, 0, -1, node->number, node->name);
        if (place[i] < 0)
            continue;
        one->nodes[place[i]] = *node;
        one->nodes[place[i]].host = node->host < 0 ? -1 : 0;
        one->nodes[place[i]].parent = node->parent < 0 ? -1 : place[node->parent];
    }
    for (int i = 0; i < t->nlinks; i++) {
        const struct topology_link *link = &t->links[i];
        int made;

        if (place[link->a] < 0 || place[link->b] < 0)
            continue;
        made = topology_link(one, place[link->a], place[link->b], link->medium, link->lanes,
                             link->bandwidth);
        if (made >= 0)
            one->links[made].latency = link->latency;
    }
    for (int i = 0; i < t->nnotes; i++)
        topology_note(one, t->notes[i].missing, "%s", t->notes[i].text);
    free(place);
    return topology_finish(one);
}

/* How many of each kind a host has: hosts with the same are taken to be alike. */
static int count_alike(const struct topology *t, int host)
{
    int (*counts)[TOPOLOGY_KIND_COUNT] = calloc((size_t)t->nhosts, sizeof *counts);
    int alike = 0;

    if (!counts)
        return 1;
    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].host >= 0)
            counts[t->nodes[i].host][t->nodes[i].kind]++;
    for (int i = 0; i < t->nhosts; i++)
        alike += !memcmp(counts[i], counts[host], sizeof *counts);
    free(counts);
    return alike;
}

/* The hosts on the NVSwitch that this host shares with others. */
static int count_fabric(const struct topology *t, int host)
{
    bool *on = calloc((size_t)t->nhosts, sizeof *on);
    int n = 0;

    for (int i = 0; on && i < t->nnodes; i++) {
        if (t->nodes[i].kind != TOPOLOGY_NVSWITCH || t->nodes[i].host >= 0 ||
            !joined_to(t, i, host))
            continue;
        for (int k = t->first[i]; k < t->first[i + 1]; k++) {
            const struct topology_link *link = &t->links[t->incident[k]];
            int at = t->nodes[link->a + link->b - i].host;

            if (at >= 0)
                on[at] = true;
        }
    }
    for (int i = 0; on && i < t->nhosts; i++)
        n += on[i];
    free(on);
    return n ? n : 1;
}

/* ---- Devices and paths --------------------------------------------------------------- */

struct candidate {
    int kind, number, node;
};

static int order_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->kind == TOPOLOGY_GPU && x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

/* GPUs by their number; ports in the order of the tree, which is that of the source. */
static int list_devices(struct show *s)
{
    const struct topology *t = &s->host;
    struct candidate *all = malloc((size_t)(t->nnodes + 1) * sizeof *all);
    int n = 0;

    s->device_of = malloc((size_t)(t->nnodes + 1) * sizeof *s->device_of);
    s->devices = malloc(SHOW_DEVICES_MOST * sizeof *s->devices);
    if (!all || !s->device_of || !s->devices) {
        free(all);
        return status_fail(PEAL_ERR_MEMORY, "no memory to show %d nodes", t->nnodes);
    }
    for (int i = 0; i < t->nnodes; i++) {
        const struct topology_node *node = &t->nodes[i];

        s->device_of[i] = -1;
        if (node->kind == TOPOLOGY_GPU || node->kind == TOPOLOGY_PORT)
            all[n++] = (struct candidate){ (int)node->kind, node->number, i };
    }
    qsort(all, (size_t)n, sizeof *all, order_candidates);
    s->unlisted = n > SHOW_DEVICES_MOST ? n - SHOW_DEVICES_MOST : 0;
    for (int i = 0; i < n - s->unlisted; i++) {
        s->devices[i] = all[i].node;
        s->device_of[all[i].node] = i;
        if (all[i].kind == TOPOLOGY_GPU)
            s->ngpus++;
        else
            s->nports++;
    }
    free(all);
    return PEAL_OK;
}

static int find_paths(struct show *s)
{
    int n = s->ngpus + s->nports;

    s->paths = malloc(((size_t)n * (size_t)n + 1) * sizeof *s->paths);
    if (!s->paths)
        return status_fail(PEAL_ERR_MEMORY, "no memory to show the paths of %d devices", n);
    return paths_to(&s->host, s->devices, n, s->devices, n, CLASS_NET, s->paths);
}

int show_begin(struct show *s, const struct topology *t, int host, const char *source)
{
    int status;

    *s = (struct show){ .source = source };
    topology_init(&s->host);
    if (host < 0 || host >= t->nhosts)
        return status_fail(PEAL_ERR_ARGUMENT, "%s: there is no host %d in it", source, host);
    s->hosts = t->nhosts;
    s->alike = count_alike(t, host);
    s->fabric_hosts = count_fabric(t, host);
    status = cut_out(t, host, &s->host);
    if (!status)
        status = list_devices(s);
    if (!status)
        status = find_paths(s);
    if (!status)
        status = show_find_remarks(s);
    if (status)
        show_end(s);
    return status;
}

void show_end(struct show *s)
{
    topology_free(&s->host);
    free(s->devices);
    free(s->device_of);
    free(s->paths);
    free(s->remarks);
    *s = (struct show){ .source = NULL };
}

/* ---- Small questions ------------------------------------------------------------------- */

void show_label(const struct show *s, int node, char label[SHOW_LABEL])
{
    const struct topology_node *n = &s->host.nodes[node];
    char bus[20];

    topology_bus_print(n->bus, bus);
    if (n->kind == TOPOLOGY_GPU && n->number >= 0)
        snprintf(label, SHOW_LABEL, "GPU%d", n->number);
    else if (n->kind == TOPOLOGY_PORT && s->device_of[node] >= 0)
        snprintf(label, SHOW_LABEL, "NIC%d", s->device_of[node] - s->ngpus);
    else if ((n->kind == TOPOLOGY_SWITCH || n->kind == TOPOLOGY_ROOT) && n->bus != TOPOLOGY_NO_BUS)
        snprintf(label, SHOW_LABEL, "%s %s", topology_kind_name(n->kind), bus);
    else
        snprintf(label, SHOW_LABEL, "%s", n->name);
}

const struct topology_path *show_path(const struct show *s, int device, int other)
{
    return &s->paths[device * (s->ngpus + s->nports) + other];
}

const struct topology_path *show_step(const struct show *s, int i, int j)
{
    int a = s->device_of[s->plan->gpus[i]], b = s->device_of[s->plan->gpus[j]];

    return a < 0 || b < 0 ? NULL : show_path(s, a, b);
}

void show_class(const struct show *s, const struct topology_path *path, char text[16])
{
    bool fast = path->class == CLASS_NVLINK || path->class == CLASS_NVSWITCH;

    if (!fast) {
        snprintf(text, 16, "%s", class_name(path->class));
        return;
    }
    snprintf(text, 16, "%s", path->nhops && s->host.links[path->hops[0] / 2].medium == MEDIUM_XGMI ?
             "XG" : "NV");
    if (path->lanes > 0)
        snprintf(text + 2, 14, "%d", path->lanes);
}

int show_uplink(const struct topology *t, int node)
{
    int parent = t->nodes[node].parent, link = -1;
    static const enum topology_medium media[] = { MEDIUM_PCI, MEDIUM_LANE, MEDIUM_C2C };

    for (int i = 0; i < 3 && parent >= 0 && link < 0; i++)
        link = topology_link_between(t, node, parent, media[i]);
    return link;
}

int show_fast_links(const struct topology *t, int gpu, double *bandwidth)
{
    int lanes = 0;

    *bandwidth = 0;
    for (int i = t->first[gpu]; i < t->first[gpu + 1]; i++) {
        const struct topology_link *link = &t->links[t->incident[i]];

        if (link->medium != MEDIUM_NVLINK && link->medium != MEDIUM_XGMI)
            continue;
        lanes += link->lanes > 0 ? link->lanes : 1;
        *bandwidth += link->bandwidth;
    }
    return lanes;
}

/* ---- The order of the tree --------------------------------------------------------------- */

struct place {
    int number, node;                  /* NUMA: of the system; else the least of a GPU below */
};

static int order_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

/* Without recursion: a file may nest as deep as it likes. */
int *show_order(const struct topology *t)
{
    size_t room = (size_t)t->nnodes + 1;
    struct place *sorted = calloc(room, sizeof *sorted);
    int *next = malloc(room * sizeof *next), *child = malloc(room * sizeof *child);
    int *order = malloc(room * sizeof *order), at, n = 0;

    if (!sorted || !next || !child || !order) {
        free(order);
        order = NULL;
        goto out;
    }
    for (int i = 0; i < t->nnodes; i++) {
        sorted[i] = (struct place){ t->nodes[i].kind == TOPOLOGY_GPU ? t->nodes[i].number : 1 << 20,
                                    i };
        child[i] = next[i] = -1;
    }
    /* Parents come before their children. */
    for (int i = t->nnodes - 1; i >= 0; i--) {
        int up = t->nodes[i].parent;

        if (up >= 0 && sorted[i].number < sorted[up].number)
            sorted[up].number = sorted[i].number;
    }
    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].kind == TOPOLOGY_NUMA && t->nodes[i].number >= 0)
            sorted[i].number = t->nodes[i].number;
    qsort(sorted, (size_t)t->nnodes, sizeof *sorted, order_places);
    /* child[nnodes]: what hangs from nothing. */
    child[t->nnodes] = -1;
    for (int i = t->nnodes - 1; i >= 0; i--) {
        int node = sorted[i].node, up = t->nodes[node].parent;

        if (up < 0 && t->nodes[node].kind != TOPOLOGY_NUMA)
            continue;
        up = up < 0 ? t->nnodes : up;
        next[node] = child[up];
        child[up] = node;
    }
    at = child[t->nnodes];
    while (at >= 0) {
        order[n++] = at;
        if (child[at] >= 0) {
            at = child[at];
            continue;
        }
        while (at >= 0 && next[at] < 0)
            at = t->nodes[at].parent;
        at = at < 0 ? -1 : next[at];
    }
    order[n] = -1;
out:
    free(sorted);
    free(next);
    free(child);
    return order;
}
