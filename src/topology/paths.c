/* SPDX-License-Identifier: BSD-3-Clause */
/* Paths, class by class from near to far: each class is one search over the links and way stations
 * that it allows, first for the width, then for the fewest hops of that width. */
#include "topology/paths.h"

#include "base/status.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Widths of one class whose fewest hops are searched for one by one; a file with more of them than
 * any machine gets a widest path of some length. */
enum { WIDTHS = 32 };

static const char *const class_names[] = {
#define TOPOLOGY_CLASS(id, name) name,
    TOPOLOGY_CLASSES(TOPOLOGY_CLASS)
#undef TOPOLOGY_CLASS
};

const char *class_name(enum topology_class class)
{
    return (unsigned)class < CLASS_COUNT ? class_names[class] : "?";
}

/* A state is node * STATES + how many of the class's counted way stations (see counted()) came before,
 * + 2 at an adapter that was reached from a port. */
enum { STATES = 4 };

struct search {
    const struct topology *t;
    int     from;
    const int *slot;                   /* where in `to` each node belongs, -1: nowhere; NULL: same */
    struct topology_path *to;
    int     wanted, found;             /* nodes that have a slot; of them those with a path */
    enum topology_class class;         /* looked for now */
    /* By state. */
    double *width;                     /* 0: not reached */
    int    *back;                      /* state before */
    int    *hop;                       /* from there */
    int    *depth;                     /* hops */
    int    *heap, *place;              /* heap of states; where each is in it, -1: not */
    int     heaped;
};

/* ---- What a class allows --------------------------------------------------------- */

static bool is_nvlink(const struct topology_link *link)
{
    return link->medium == MEDIUM_NVLINK || link->medium == MEDIUM_XGMI;
}

static bool to_processor(const struct topology *t, const struct topology_link *link)
{
    return t->nodes[link->a].kind == TOPOLOGY_NUMA || t->nodes[link->b].kind == TOPOLOGY_NUMA;
}

static bool link_allowed(const struct topology *t, const struct topology_link *link,
                         enum topology_class class)
{
    if (is_nvlink(link) && !to_processor(t, link))
        return class == CLASS_NVLINK || class == CLASS_NVSWITCH;
    switch (link->medium) {
    case MEDIUM_PCI:
    case MEDIUM_LANE:    return class >= CLASS_PIX;
    case MEDIUM_NVLINK:                /* of a processor that has them, like C2C */
    case MEDIUM_XGMI:
    case MEDIUM_C2C:     return class >= CLASS_PHB;
    case MEDIUM_SMP:     return class >= CLASS_SYS;
    case MEDIUM_NETWORK: return class >= CLASS_NET;
    default:             return false;
    }
}

/* GPUs forward nothing; adapters only between the host and their ports. */
static bool station_allowed(enum topology_kind kind, enum topology_class class)
{
    switch (kind) {
    case TOPOLOGY_NVSWITCH: return class == CLASS_NVSWITCH;
    case TOPOLOGY_SWITCH:
    case TOPOLOGY_NIC:      return class >= CLASS_PIX;
    case TOPOLOGY_ROOT:
    case TOPOLOGY_NUMA:     return class >= CLASS_PHB;
    case TOPOLOGY_PORT:
    case TOPOLOGY_RAIL:     return class >= CLASS_NET;
    default:                return false;
    }
}

static bool end_allowed(enum topology_kind kind, enum topology_class class)
{
    switch (class) {
    case CLASS_NVLINK:   return kind == TOPOLOGY_GPU;
    case CLASS_NVSWITCH: return kind == TOPOLOGY_GPU || kind == TOPOLOGY_NVSWITCH;
    case CLASS_PIX:
    case CLASS_PXB:      return kind != TOPOLOGY_ROOT && kind != TOPOLOGY_NUMA;
    default:             return true;
    }
}

/* Way stations of which the class allows one. */
static bool counted(enum topology_kind kind, enum topology_class class)
{
    return (class == CLASS_PIX && kind == TOPOLOGY_SWITCH) ||
           (class == CLASS_PHB && kind == TOPOLOGY_ROOT) ||
           (class == CLASS_NET && kind == TOPOLOGY_RAIL);
}

/* An adapter that hangs from several places is no way between them, nor one between the networks of its
 * ports; from port to port it only says how near they are. */
static bool turns_back(const struct search *s, int state, const struct topology_link *link)
{
    bool from_port = state & 2, to_port = link->medium == MEDIUM_LANE;

    return s->t->nodes[state / STATES].kind == TOPOLOGY_NIC && from_port == to_port &&
           (!from_port || s->class == CLASS_NET);
}

/* The state behind link number `i` of a state's node; -1: not allowed. */
static int step(const struct search *s, int state, int i, int *hop)
{
    const struct topology *t = s->t;
    int node = state / STATES, count = state & 1, index = t->incident[i], next;
    const struct topology_link *link = &t->links[index];

    if (!link_allowed(t, link, s->class))
        return -1;
    if (node != s->from) {
        if (!station_allowed(t->nodes[node].kind, s->class) || turns_back(s, state, link))
            return -1;
        if (counted(t->nodes[node].kind, s->class) && ++count > 1)
            return -1;
    }
    *hop = index * 2 + (link->b == node);
    next = link->a + link->b - node;
    if (t->nodes[next].kind == TOPOLOGY_NIC && link->medium == MEDIUM_LANE)
        count += 2;
    return next * STATES + count;
}

/* ---- The width: a heap of states, the widest first --------------------------------- */

static bool sooner(const struct search *s, int x, int y)
{
    if (s->width[x] > s->width[y] || s->width[x] < s->width[y])
        return s->width[x] > s->width[y];
    return s->depth[x] != s->depth[y] ? s->depth[x] < s->depth[y] : x < y;
}

static void put(struct search *s, int at, int state)
{
    s->heap[at] = state;
    s->place[state] = at;
}

static void rise(struct search *s, int state)
{
    int at = s->place[state];

    for (; at > 0 && sooner(s, state, s->heap[(at - 1) / 2]); at = (at - 1) / 2)
        put(s, at, s->heap[(at - 1) / 2]);
    put(s, at, state);
}

static int take(struct search *s)
{
    int top = s->heap[0], last = s->heap[--s->heaped], at = 0;

    s->place[top] = -1;
    while (s->heaped) {
        int child = at * 2 + 1;

        if (child + 1 < s->heaped && sooner(s, s->heap[child + 1], s->heap[child]))
            child++;
        if (child >= s->heaped || !sooner(s, s->heap[child], last)) {
            put(s, at, last);
            break;
        }
        put(s, at, s->heap[child]);
        at = child;
    }
    return top;
}

static void clear(struct search *s)
{
    for (int i = 0; i < s->t->nnodes * STATES; i++) {
        s->width[i] = 0;
        s->place[i] = s->back[i] = -1;
        s->depth[i] = 0;
    }
    s->heaped = 0;
    s->width[s->from * STATES] = INFINITY;
}

static void find_widths(struct search *s)
{
    const struct topology *t = s->t;

    clear(s);
    put(s, s->heaped++, s->from * STATES);
    while (s->heaped) {
        int state = take(s);

        for (int i = t->first[state / STATES]; i < t->first[state / STATES + 1]; i++) {
            int hop, next = step(s, state, i, &hop);
            double width;

            if (next < 0 || next / STATES == s->from)
                continue;
            width = fmin(s->width[state], t->links[hop / 2].bandwidth);
            if (width < s->width[next] ||
                (!(width > s->width[next]) && s->depth[state] + 1 >= s->depth[next]))
                continue;
            s->width[next] = width;
            s->depth[next] = s->depth[state] + 1;
            s->back[next] = state;
            s->hop[next] = hop;
            if (s->place[next] < 0)
                put(s, s->heaped, next), s->heaped++;
            rise(s, next);
        }
    }
}

/* Fewest hops over links of at least this width. */
static void find_shortest(struct search *s, double width)
{
    const struct topology *t = s->t;
    int head = 0, tail = 0;

    clear(s);
    s->heap[tail++] = s->from * STATES;
    while (head < tail) {
        int state = s->heap[head++];

        for (int i = t->first[state / STATES]; i < t->first[state / STATES + 1]; i++) {
            int hop, next = step(s, state, i, &hop);

            if (next < 0 || next / STATES == s->from || s->width[next] > 0 ||
                t->links[hop / 2].bandwidth < width)
                continue;
            s->width[next] = width;
            s->depth[next] = s->depth[state] + 1;
            s->back[next] = state;
            s->hop[next] = hop;
            s->heap[tail++] = next;
        }
    }
}

/* ---- From states to paths ----------------------------------------------------------- */

static struct topology_path *path_of(const struct search *s, int node)
{
    int slot = s->slot ? s->slot[node] : node;

    return slot < 0 ? NULL : &s->to[slot];
}

/* What the hops say: bandwidth, latency, lanes. */
static void describe(const struct topology *t, struct topology_path *path)
{
    path->bandwidth = INFINITY;
    for (int i = 0; i < path->nhops; i++) {
        const struct topology_link *link = &t->links[path->hops[i] / 2];

        path->bandwidth = fmin(path->bandwidth, link->bandwidth);
        path->latency += link->latency;
        if (path->class <= CLASS_NVSWITCH && is_nvlink(link) &&
            (!path->lanes || link->lanes < path->lanes))
            path->lanes = link->lanes;
    }
}

static void settle(struct search *s, int state)
{
    struct topology_path *path = path_of(s, state / STATES);

    if (s->depth[state] > PATH_HOPS)
        return;
    *path = (struct topology_path){ .class = s->class, .nhops = s->depth[state] };
    for (int i = path->nhops; i-- > 0; state = s->back[state])
        path->hops[i] = s->hop[state];
    describe(s->t, path);
    s->found++;
}

/* The best of a node's states; -1: not reached, or it has its path. */
static int new_state(const struct search *s, int node)
{
    const struct topology_path *path = path_of(s, node);
    int best = node * STATES;

    if (!path || path->class != CLASS_NONE || !end_allowed(s->t->nodes[node].kind, s->class))
        return -1;
    for (int state = best + 1; state < (node + 1) * STATES; state++)
        if (sooner(s, state, best))
            best = state;
    return s->width[best] > 0 ? best : -1;
}

/* `widest`: by node, how wide the class's path is; destroyed. */
static void settle_class(struct search *s, double *widest)
{
    int n = s->t->nnodes;

    find_widths(s);
    for (int i = 0; i < n; i++) {
        int state = new_state(s, i);

        widest[i] = state < 0 ? 0 : s->width[state];
    }
    for (int round = 0; round < WIDTHS; round++) {
        double width = 0;

        for (int i = 0; i < n; i++)
            width = fmax(width, widest[i]);
        if (!(width > 0))
            return;
        find_shortest(s, width);
        for (int i = 0; i < n; i++) {
            int state;

            if (widest[i] < width)
                continue;
            widest[i] = 0;
            state = new_state(s, i);
            if (state >= 0)
                settle(s, state);
        }
    }
    find_widths(s);
    for (int i = 0; i < n; i++)
        if (widest[i] > 0)
            settle(s, new_state(s, i));
}

static int search(const struct topology *t, int from, enum topology_class farthest, const int *slot,
                  struct topology_path *to)
{
    size_t n = (size_t)t->nnodes;
    double *widths = malloc((STATES + 1) * n * sizeof *widths + 1);
    int *ints = malloc(5 * STATES * n * sizeof *ints + 1);
    struct search s = {
        .t = t, .from = from, .slot = slot, .to = to, .class = CLASS_NVLINK, .width = widths,
        .back = ints, .hop = ints + STATES * n, .depth = ints + 2 * STATES * n,
        .heap = ints + 3 * STATES * n, .place = ints + 4 * STATES * n
    };

    if (widths && ints) {
        for (int i = 0; i < t->nnodes; i++) {
            struct topology_path *path = path_of(&s, i);

            if (!path)
                continue;
            s.wanted++;
            *path = (struct topology_path){ .class = CLASS_NONE };
            if (i == from) {
                *path = (struct topology_path){ .class = CLASS_SELF, .bandwidth = INFINITY };
                s.found++;
            }
        }
        for (; s.class <= farthest && s.found < s.wanted; s.class++)
            if (end_allowed(t->nodes[from].kind, s.class))
                settle_class(&s, widths + STATES * n);
    }
    free(widths);
    free(ints);
    return widths && ints ? PEAL_OK : status_fail(PEAL_ERR_MEMORY, "topology: no memory for the "
                                                  "paths between %d nodes", t->nnodes);
}

int paths_from(const struct topology *t, int from, struct topology_path *to)
{
    return search(t, from, CLASS_NET, NULL, to);
}

int paths_to(const struct topology *t, const int *from, int nfrom, const int *nodes, int n,
             enum topology_class farthest, struct topology_path *paths)
{
    int *slot = malloc((size_t)t->nnodes * sizeof *slot + 1);
    int status = slot ? PEAL_OK : status_fail(PEAL_ERR_MEMORY, "topology: no memory for the paths "
                                              "to %d nodes", n);

    for (int i = 0; i < t->nnodes && slot; i++)
        slot[i] = -1;
    for (int i = 0; i < n && slot; i++)
        slot[nodes[i]] = i;
    for (int i = 0; i < nfrom && !status; i++)
        status = search(t, from[i], farthest, slot, paths + (size_t)i * (size_t)n);
    free(slot);
    return status;
}

int path_find(const struct topology *t, int from, int to, struct topology_path *path)
{
    return paths_to(t, &from, 1, &to, 1, CLASS_NET, path);
}
