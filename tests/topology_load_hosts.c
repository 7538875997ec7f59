/* SPDX-License-Identifier: BSD-3-Clause */
/* Hosts like that of a file, and what goes over their links.  Hosts are alike, so the paths of the first
 * are those of all. */
#include "topology_load.h"

#include "base/status.h"
#include "comm/ring_order.h"
#include "topology/topology_source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double added_port = 25;   /* GB/s: 200 Gb/s */

static bool tell(char *why, size_t why_bytes, const char *text)
{
    snprintf(why, why_bytes, "%s", text);
    return false;
}

/* ---- One host ------------------------------------------------------------------------ */

/* The same with one more NIC on the first NUMA node. */
static int add_port(struct topology *t, const struct topology *one)
{
    int numa = topology_nth(one, TOPOLOGY_NUMA, 0, 0), nic, port;

    topology_init(t);
    topology_host(t, one->hosts[0].name);
    for (int i = 0; i < one->nnodes; i++) {
        const struct topology_node *node = &one->nodes[i];
        int at = topology_node(t, node->kind, node->host, node->parent, node->number, node->name);

        if (at >= 0)
            t->nodes[at] = *node;
    }
    for (int i = 0; i < one->nlinks; i++) {
        const struct topology_link *link = &one->links[i];
        int at = topology_link(t, link->a, link->b, link->medium, link->lanes, link->bandwidth);

        if (at >= 0)
            t->links[at].latency = link->latency;
    }
    nic = topology_node(t, TOPOLOGY_NIC, 0, numa, -1, "added");
    port = topology_node(t, TOPOLOGY_PORT, 0, nic, 1, "added");
    topology_link(t, numa, nic, MEDIUM_PCI, 16, added_port);
    topology_link(t, nic, port, MEDIUM_LANE, 0, added_port);
    return topology_finish(t);
}

static bool all_reach_ports(const struct topology_plan *plan)
{
    bool all = true;

    for (int i = 0; i < plan->ngpus; i++)
        all &= plan->port[i] >= 0;
    return all;
}

static void number_ports(struct hosts *h)
{
    const struct topology_plan *plan = &h->plan;

    h->each = plan->ngpus;
    for (int i = 0; i < h->each; i++) {
        int p = 0;

        while (p < h->nports && h->port[p] != plan->port[i])
            p++;
        if (p == h->nports)
            h->port[h->nports++] = plan->port[i];
        h->of_port[i] = p;
    }
}

static int find_plan(struct hosts *h)
{
    topology_plan_free(&h->plan);
    return plan_find(&h->one, 0, NULL, 0, 1, &h->plan);
}

/* What ranks would bring to their meeting. */
static int find_rings(struct hosts *h)
{
    struct record record;
    int status = ring_order_find(&h->one, &record, &h->ways);

    for (int turn = 0; turn < record.nturns && !status; turn++)
        for (int g = 0; g < h->each; g++)
            if (h->plan.gpus[g] == topology_nth(&h->one, TOPOLOGY_GPU, 0, turn))
                h->place[g] = record.turns[turn];
    return status;
}

bool hosts_open(struct hosts *h, const char *file, char *why, size_t why_bytes)
{
    int status;

    *h = (struct hosts){ .n = 0 };
    if (topology_read(file, &h->one))
        return tell(why, why_bytes, status_text());
    if (h->one.nhosts != 1 || topology_count(&h->one, TOPOLOGY_GPU, 0) < 2) {
        topology_free(&h->one);
        return tell(why, why_bytes, "fewer than 2 GPUs on one host");
    }
    status = find_plan(h);
    if (!status && !all_reach_ports(&h->plan)) {
        struct topology with;

        h->port_added = true;
        status = add_port(&with, &h->one);
        topology_free(&h->one);
        h->one = with;
        status = status ? status : find_plan(h);
    }
    if (!status) {
        number_ports(h);
        status = plan_spread(&h->one, &h->plan, h->nports);
    }
    status = status ? status : find_rings(h);
    if (status) {
        hosts_close(h);
        return tell(why, why_bytes, status_text());
    }
    return true;
}

void hosts_close(struct hosts *h)
{
    topology_plan_free(&h->plan);
    topology_free(&h->one);
}

/* ---- Several --------------------------------------------------------------------------- */

static int host_of(const struct topology *t, int link)
{
    int a = t->nodes[t->links[link].a].host, b = t->nodes[t->links[link].b].host;

    return a > b ? a : b;
}

/* The links of the first host, those to its rails, and what its ports carry. */
static bool number_links(struct hosts *h)
{
    struct topology *t = &h->many;

    h->slot = calloc((size_t)t->nlinks + 1, sizeof *h->slot);
    h->link = calloc((size_t)t->nlinks + 1, sizeof *h->link);
    for (int i = 0; i < t->nlinks && h->slot && h->link; i++) {
        h->slot[i] = host_of(t, i) ? -1 : h->nslots;
        if (h->slot[i] >= 0)
            h->link[h->nslots++] = i;
    }
    for (int p = 0; p < h->nports && h->link; p++) {
        h->rail[p] = -1;
        for (int i = t->first[h->port[p]]; i < t->first[h->port[p] + 1]; i++)
            if (t->links[t->incident[i]].medium == MEDIUM_NETWORK)
                h->rail[p] = t->incident[i];
        if (h->rail[p] < 0 && h->n > 1)
            return false;
    }
    h->loads = calloc((size_t)h->n * (size_t)h->nslots * 2 + 1, sizeof *h->loads);
    return h->slot && h->link && h->loads;
}

static bool find_paths(struct hosts *h)
{
    size_t m = (size_t)h->each;

    h->near = malloc(m * m * sizeof *h->near);
    h->out = malloc(m * m * sizeof *h->out);
    if (!h->near || !h->out ||
        paths_to(&h->many, h->plan.gpus, h->each, h->plan.gpus, h->each, CLASS_SYS, h->near) ||
        paths_to(&h->many, h->plan.gpus, h->each, h->port, h->nports, CLASS_SYS, h->out))
        return false;
    for (size_t i = 0; i < m * (m + (size_t)h->nports); i++) {
        const struct topology_path *path = i < m * m ? &h->near[i] : &h->out[i - m * m];

        if (path->class == CLASS_NONE)
            return false;
    }
    return true;
}

/* The way of one of its GPUs to a port, of which the last link is the lane, the one before the adapter's. */
static const struct topology_link *near_port(const struct hosts *h, int p, int before)
{
    int g = 0;

    while (h->of_port[g] != p)
        g++;
    g = g * h->nports + p;
    return &h->many.links[h->out[g].hops[h->out[g].nhops - 1 - before] / 2];
}

/* Of each adapter what the lanes of the ports that are used carry, or its PCI link. */
static void add_up_ports(struct hosts *h)
{
    const struct topology_node *nodes = h->many.nodes;

    h->ports_total = 0;
    for (int p = 0; p < h->nports; p++) {
        double lanes = 0;
        bool first = true;

        for (int k = 0; k < h->nports; k++) {
            if (nodes[h->port[k]].parent != nodes[h->port[p]].parent)
                continue;
            lanes += near_port(h, k, 0)->bandwidth;
            first &= k >= p;
        }
        if (first)
            h->ports_total += fmin(lanes, near_port(h, p, 1)->bandwidth);
    }
}

bool hosts_repeat(struct hosts *h, int n, char *why, size_t why_bytes)
{
    h->n = n;
    if (topology_repeat(&h->many, &h->one, n, 1))
        return tell(why, why_bytes, status_text());
    if (!number_links(h) || !find_paths(h)) {
        hosts_single(h);
        return tell(why, why_bytes, "a GPU without a way to another or to a port, or no memory");
    }
    add_up_ports(h);
    return true;
}

void hosts_single(struct hosts *h)
{
    topology_free(&h->many);
    free(h->near);
    free(h->out);
    free(h->slot);
    free(h->link);
    free(h->loads);
    h->near = h->out = NULL;
    h->slot = h->link = NULL;
    h->loads = NULL;
    h->nslots = 0;
}

/* A node of the first host, or a rail, on the last. */
static int on_last(const struct hosts *h, int node)
{
    return h->many.nodes[node].host < 0 ? node : node + (h->n - 1) * h->one.nnodes;
}

static bool same_path(const struct hosts *h, int from, int to, const struct topology_path *path)
{
    const struct topology *t = &h->many;
    struct topology_path last;
    bool same = !path_find(t, on_last(h, from), on_last(h, to), &last) && last.nhops == path->nhops;

    for (int i = 0; i < path->nhops && same; i++) {
        const struct topology_link *a = &t->links[path->hops[i] / 2], *b = &t->links[last.hops[i] / 2];

        same = on_last(h, a->a) == b->a && on_last(h, a->b) == b->b && a->medium == b->medium &&
               !(a->bandwidth < b->bandwidth || a->bandwidth > b->bandwidth) &&
               !((path->hops[i] ^ last.hops[i]) & 1);
    }
    return same;
}

bool hosts_alike(const struct hosts *h)
{
    const int *gpus = h->plan.gpus;
    bool same = true;

    for (int g = 0; g < h->each; g++) {
        int other = (g + 1) % h->each, p = h->of_port[g];

        same &= same_path(h, gpus[g], gpus[other], &h->near[g * h->each + other]);
        same &= same_path(h, gpus[g], h->port[p], &h->out[g * h->nports + p]);
    }
    return same;
}

/* ---- Load ------------------------------------------------------------------------------- */

void hosts_clear(struct hosts *h)
{
    memset(h->loads, 0, (size_t)h->n * (size_t)h->nslots * 2 * sizeof *h->loads);
    h->crossed = h->mixed = 0;
}

static double *load_at(const struct hosts *h, int host, int hop)
{
    return &h->loads[((size_t)host * (size_t)h->nslots + (size_t)h->slot[hop / 2]) * 2 + (hop & 1)];
}

/* Over a path of the first host, on `host`; `back`: the other way. */
static void along(struct hosts *h, int host, const struct topology_path *path, bool back, double part)
{
    for (int i = 0; i < path->nhops; i++)
        *load_at(h, host, path->hops[i] ^ back) += part;
}

/* By the sender's port, over its rail, in by the port of the same rail. */
static void over_rail(struct hosts *h, int from, int to, double part)
{
    int sender = from % h->each, receiver = to % h->each, p = h->of_port[sender];
    int out = h->rail[p] * 2 + (h->many.links[h->rail[p]].b == h->port[p]);

    along(h, from / h->each, &h->out[sender * h->nports + p], false, part);
    *load_at(h, from / h->each, out) += part;
    *load_at(h, to / h->each, out ^ 1) += part;
    along(h, to / h->each, &h->out[receiver * h->nports + p], true, part);
    h->crossed += part;
    if (h->of_port[receiver] != p)
        h->mixed += part;
}

void hosts_load(struct hosts *h, const struct sends *sends, const int *order, double share)
{
    for (int i = 0; i < sends->count; i++) {
        const struct send *send = &sends->list[i];
        int from = order[send->from], to = order[send->to];

        if (from / h->each == to / h->each)
            along(h, from / h->each, &h->near[from % h->each * h->each + to % h->each], false,
                  send->part * share);
        else
            over_rail(h, from, to, send->part * share);
    }
}

void hosts_alternate(struct hosts *h)
{
    size_t each = (size_t)h->nslots * 2;

    for (int host = 0; host < h->n; host++)
        if (host != 1 && host != 2)
            memcpy(h->loads + (size_t)host * each, h->loads + (host % 2 ? each : 2 * each),
                   each * sizeof *h->loads);
}

struct layout *hosts_layout(const struct hosts *h)
{
    int n = h->n * h->each;
    uint64_t *rows = malloc(2 * (size_t)n * sizeof *rows);
    struct layout_keys keys = { .rows = rows, .count = 2, .positions = 2, .rings = &h->ways.rings,
                                .trees = &h->ways.trees, .ring = 1 };
    struct layout *layout;

    for (int r = 0; r < n && rows; r++) {
        rows[2 * r] = (uint64_t)(r / h->each);
        rows[2 * r + 1] = h->place[r % h->each];
    }
    if (!rows || layout_create(&keys, n, &layout)) {
        puts("out of memory");
        exit(1);
    }
    free(rows);
    return layout;
}

/* What leaves and enters hosts. */
static void count_ports(const struct hosts *h, struct load_result *r)
{
    r->leaving_least = INFINITY;
    for (int host = 0; host < h->n; host++) {
        double leaving = 0, entering = 0;

        for (int p = 0; p < h->nports; p++) {
            int out = h->rail[p] * 2 + (h->many.links[h->rail[p]].b == h->port[p]);

            leaving += *load_at(h, host, out);
            entering += *load_at(h, host, out ^ 1);
            r->port_most = fmax(r->port_most, fmax(*load_at(h, host, out), *load_at(h, host, out ^ 1)));
        }
        r->leaving_least = fmin(r->leaving_least, leaving);
        r->leaving_most = fmax(r->leaving_most, leaving);
        r->entering_most = fmax(r->entering_most, entering);
    }
}

struct load_result hosts_result(const struct hosts *h)
{
    struct load_result r = { .crossed = h->crossed, .mixed = h->mixed };
    double longest = 0;

    for (int host = 0; host < h->n; host++)
        for (int i = 0; i < h->nslots * 2; i++) {
            int hop = h->link[i / 2] * 2 + (i & 1);
            double time = *load_at(h, host, hop) / h->many.links[hop / 2].bandwidth;

            if (time <= longest * (1 + 1e-9))
                continue;
            longest = time;
            r.host = host;
            r.hop = hop;
        }
    r.bandwidth = longest > 0 ? 1 / longest : INFINITY;
    if (h->n > 1)
        count_ports(h, &r);
    return r;
}
