/* SPDX-License-Identifier: BSD-3-Clause */
/* The graph: building it, checking it, asking it. */
#include "topology/topology.h"

#include "base/status.h"
#include "topology/room.h"
#include "topology/topology_speeds.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
#define TOPOLOGY_KIND(id, name) name,
    TOPOLOGY_KINDS(TOPOLOGY_KIND)
#undef TOPOLOGY_KIND
};

static const char *const medium_names[] = {
#define TOPOLOGY_MEDIUM(id, name) name,
    TOPOLOGY_MEDIA(TOPOLOGY_MEDIUM)
#undef TOPOLOGY_MEDIUM
};

const char *topology_kind_name(enum topology_kind kind)
{
    return (unsigned)kind < TOPOLOGY_KIND_COUNT ? kind_names[kind] : "?";
}

const char *topology_medium_name(enum topology_medium medium)
{
    return (unsigned)medium < MEDIUM_COUNT ? medium_names[medium] : "?";
}

enum topology_kind topology_kind_find(const char *name)
{
    int kind = 0;

    while (kind < TOPOLOGY_KIND_COUNT && strcmp(name, kind_names[kind]))
        kind++;
    return (enum topology_kind)kind;
}

enum topology_medium topology_medium_find(const char *name)
{
    int medium = 0;

    while (medium < MEDIUM_COUNT && strcmp(name, medium_names[medium]))
        medium++;
    return (enum topology_medium)medium;
}

void topology_init(struct topology *t)
{
    *t = (struct topology){ .nnodes = 0 };
}

void topology_free(struct topology *t)
{
    free(t->nodes);
    free(t->links);
    free(t->hosts);
    free(t->notes);
    free(t->first);
    free(t->incident);
    free(t->order);
    topology_init(t);
}

/* ---- Building ------------------------------------------------------------------- */

static bool grow(struct topology *t, void *array, size_t size, int count, int *room, int most)
{
    return room_for_one(&t->failed, array, size, count, room, most, "parts of one kind");
}

int topology_host(struct topology *t, const char *name)
{
    if (!grow(t, &t->hosts, sizeof *t->hosts, t->nhosts, &t->room_hosts, TOPOLOGY_HOSTS_MOST))
        return -1;
    snprintf(t->hosts[t->nhosts].name, sizeof t->hosts->name, "%s", name ? name : "");
    return t->nhosts++;
}

int topology_node(struct topology *t, enum topology_kind kind, int host, int parent, int number,
                  const char *name)
{
    struct topology_node *node;

    if (!grow(t, &t->nodes, sizeof *t->nodes, t->nnodes, &t->room_nodes, TOPOLOGY_NODES_MOST))
        return -1;
    node = &t->nodes[t->nnodes];
    *node = (struct topology_node){
        .kind = kind, .host = host, .parent = parent, .number = number, .bus = TOPOLOGY_NO_BUS,
        .direct = -1, .socket = -1, .family = -1, .revision = -1
    };
    if (name)
        snprintf(node->name, sizeof node->name, "%s", name);
    else
        snprintf(node->name, sizeof node->name, "%s%d", topology_kind_name(kind),
                 number >= 0 ? number : t->nnodes);
    return t->nnodes++;
}

int topology_link(struct topology *t, int a, int b, enum topology_medium medium, int lanes,
                  double bandwidth)
{
    if (!grow(t, &t->links, sizeof *t->links, t->nlinks, &t->room_links, TOPOLOGY_LINKS_MOST))
        return -1;
    t->links[t->nlinks] = (struct topology_link){
        .a = a, .b = b, .medium = medium, .lanes = lanes, .bandwidth = bandwidth,
        .latency = latency_of(medium)
    };
    return t->nlinks++;
}

void topology_note(struct topology *t, bool missing, const char *format, ...)
{
    va_list arguments;

    if (!grow(t, &t->notes, sizeof *t->notes, t->nnotes, &t->room_notes, TOPOLOGY_NODES_MOST))
        return;
    t->notes[t->nnotes].missing = missing;
    t->notes[t->nnotes].guess = false;
    va_start(arguments, format);
    vsnprintf(t->notes[t->nnotes].text, sizeof t->notes->text, format, arguments);
    va_end(arguments);
    t->nnotes++;
}

void topology_note_guess(struct topology *t)
{
    if (!t->failed && t->nnotes)
        t->notes[t->nnotes - 1].guess = true;
}

/* ---- Finishing ------------------------------------------------------------------- */

static int wrong(const struct topology *t, int node, const char *what)
{
    int host = t->nodes[node].host;
    bool say = host > 0 && host < t->nhosts;

    return status_fail(PEAL_ERR_ARGUMENT, "topology: %s %s%s%s", t->nodes[node].name, what,
                       say ? " on host " : "", say ? t->hosts[host].name : "");
}

static bool shared(const struct topology_node *node)
{
    return node->kind == TOPOLOGY_RAIL || node->kind == TOPOLOGY_NVSWITCH;
}

static int check_node(const struct topology *t, int i)
{
    const struct topology_node *node = &t->nodes[i];
    int up = node->parent;

    if ((unsigned)node->kind >= TOPOLOGY_KIND_COUNT)
        return wrong(t, i, "is of no kind");
    if (!(node->speed >= 0 && node->speed < 1e9))
        return wrong(t, i, "has a speed that is none");
    if (node->host >= t->nhosts || node->host < (shared(node) ? -1 : 0))
        return wrong(t, i, "is on a host that is not there");
    if (up >= i || up < -1)
        return wrong(t, i, "hangs from something that comes after it");
    if (up >= 0 && t->nodes[up].host != node->host)
        return wrong(t, i, "hangs from something on another host");
    if (up < 0 && !shared(node) && node->kind != TOPOLOGY_NUMA)
        return wrong(t, i, "hangs from nothing");
    return PEAL_OK;
}

/* Nobody who walks up or down a tree needs more than so many steps. */
static int check_depth(const struct topology *t)
{
    unsigned char *depth = calloc((size_t)t->nnodes + 1, 1);
    int status = PEAL_OK;

    if (!depth)
        return status_fail(PEAL_ERR_MEMORY, "topology: no memory for %d nodes", t->nnodes);
    for (int i = 0; i < t->nnodes && !status; i++) {
        if (t->nodes[i].parent >= 0)
            depth[i] = (unsigned char)(depth[t->nodes[i].parent] + 1);
        if (depth[i] >= TOPOLOGY_DEPTH_MOST)
            status = wrong(t, i, "hangs from too many things in a row");
    }
    free(depth);
    return status;
}

static int check_links(const struct topology *t)
{
    for (int i = 0; i < t->nlinks; i++) {
        const struct topology_link *link = &t->links[i];

        if (link->a < 0 || link->b < 0 || link->a >= t->nnodes || link->b >= t->nnodes)
            return status_fail(PEAL_ERR_ARGUMENT, "topology: a %s link to a node that is not there",
                               topology_medium_name(link->medium));
        if (link->a == link->b)
            return wrong(t, link->a, "has a link to itself");
        if ((unsigned)link->medium >= MEDIUM_COUNT)
            return wrong(t, link->a, "has a link of no medium");
        if (!(link->bandwidth > 0) || link->bandwidth > 1e9 || !(link->latency >= 0 && link->latency < 1e9))
            return wrong(t, link->a, "has a link without a bandwidth");
        if (link->lanes < 0 || link->lanes > TOPOLOGY_LANES_MOST)
            return wrong(t, link->a, "has a link with a number of lanes that none has");
    }
    return PEAL_OK;
}

static int order_names(const void *a, const void *b)
{
    const struct topology_node *x = *(const struct topology_node *const *)a;
    const struct topology_node *y = *(const struct topology_node *const *)b;

    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int check_names(const struct topology *t)
{
    const struct topology_node **sorted = malloc((size_t)(t->nnodes + 1) * sizeof *sorted);
    int status = PEAL_OK;

    if (!sorted)
        return status_fail(PEAL_ERR_MEMORY, "topology: no memory for %d nodes", t->nnodes);
    for (int i = 0; i < t->nnodes; i++)
        sorted[i] = &t->nodes[i];
    qsort(sorted, (size_t)t->nnodes, sizeof *sorted, order_names);
    for (int i = 1; i < t->nnodes && !status; i++)
        if (!order_names(&sorted[i - 1], &sorted[i]))
            status = wrong(t, (int)(sorted[i] - t->nodes), "is there twice");
    free(sorted);
    return status;
}

/* Equal for links that are one. */
static int order_links(const void *a, const void *b)
{
    const struct topology_link *x = *(const struct topology_link *const *)a;
    const struct topology_link *y = *(const struct topology_link *const *)b;
    int low[2] = { x->a < x->b ? x->a : x->b, y->a < y->b ? y->a : y->b };
    int high[2] = { x->a + x->b - low[0], y->a + y->b - low[1] };

    if (low[0] != low[1])
        return low[0] < low[1] ? -1 : 1;
    if (high[0] != high[1])
        return high[0] < high[1] ? -1 : 1;
    return (x->medium > y->medium) - (x->medium < y->medium);
}

static int order_links_stable(const void *a, const void *b)
{
    int order = order_links(a, b);
    const struct topology_link *x = *(const struct topology_link *const *)a;
    const struct topology_link *y = *(const struct topology_link *const *)b;

    return order ? order : (x > y) - (x < y);
}

/* Links of one medium between the same two nodes become one, in the place of the first. */
static int join_links(struct topology *t)
{
    struct topology_link **sorted = malloc((size_t)(t->nlinks + 1) * sizeof *sorted);
    struct topology_link *first = NULL;
    int kept = 0;

    if (!sorted)
        return status_fail(PEAL_ERR_MEMORY, "topology: no memory for %d links", t->nlinks);
    for (int i = 0; i < t->nlinks; i++)
        sorted[i] = &t->links[i];
    qsort(sorted, (size_t)t->nlinks, sizeof *sorted, order_links_stable);
    for (int i = 0; i < t->nlinks; i++) {
        if (!first || order_links(&first, &sorted[i])) {
            first = sorted[i];
            continue;
        }
        first->lanes += sorted[i]->lanes;
        first->bandwidth += sorted[i]->bandwidth;
        sorted[i]->bandwidth = 0;
    }
    free(sorted);
    for (int i = 0; i < t->nlinks; i++)
        if (t->links[i].bandwidth > 0)
            t->links[kept++] = t->links[i];
    t->nlinks = kept;
    return PEAL_OK;
}

static int index_links(struct topology *t)
{
    int at = 0;

    t->first = calloc((size_t)t->nnodes + 2, sizeof *t->first);
    t->incident = calloc((size_t)t->nlinks * 2 + 1, sizeof *t->incident);
    if (!t->first || !t->incident)
        return status_fail(PEAL_ERR_MEMORY, "topology: no memory for %d links", t->nlinks);
    /* Counted one place on, so that filling moves each start to where it belongs. */
    for (int i = 0; i < t->nlinks; i++) {
        t->first[t->links[i].a + 1]++;
        t->first[t->links[i].b + 1]++;
    }
    for (int i = 0; i <= t->nnodes; i++) {
        int here = t->first[i + 1];

        t->first[i + 1] = at;
        at += here;
    }
    for (int i = 0; i < t->nlinks; i++) {
        t->incident[t->first[t->links[i].a + 1]++] = i;
        t->incident[t->first[t->links[i].b + 1]++] = i;
    }
    return PEAL_OK;
}

static int order_nodes(const void *a, const void *b)
{
    const struct topology_node *x = *(const struct topology_node *const *)a;
    const struct topology_node *y = *(const struct topology_node *const *)b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x > y) - (x < y);
}

static int index_nodes(struct topology *t)
{
    const struct topology_node **sorted = malloc((size_t)(t->nnodes + 1) * sizeof *sorted);
    int kind = 0;

    t->order = malloc((size_t)(t->nnodes + 1) * sizeof *t->order);
    if (!sorted || !t->order) {
        free(sorted);
        return status_fail(PEAL_ERR_MEMORY, "topology: no memory for %d nodes", t->nnodes);
    }
    for (int i = 0; i < t->nnodes; i++)
        sorted[i] = &t->nodes[i];
    qsort(sorted, (size_t)t->nnodes, sizeof *sorted, order_nodes);
    for (int i = 0; i < t->nnodes; i++) {
        t->order[i] = (int)(sorted[i] - t->nodes);
        while (kind <= (int)sorted[i]->kind)
            t->kind_first[kind++] = i;
    }
    while (kind <= TOPOLOGY_KIND_COUNT)
        t->kind_first[kind++] = t->nnodes;
    free(sorted);
    return PEAL_OK;
}

int topology_finish(struct topology *t)
{
    int status = t->failed;

    if (t->first)
        return status;

    for (int i = 0; i < t->nnodes && !status; i++)
        status = check_node(t, i);
    if (!status)
        status = check_depth(t);
    if (!status)
        status = check_links(t);
    if (!status)
        status = check_names(t);
    if (!status)
        status = join_links(t);
    if (!status)
        status = index_links(t);
    if (!status)
        status = index_nodes(t);
    return t->failed = status;
}
