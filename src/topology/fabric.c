/* SPDX-License-Identifier: BSD-3-Clause */
/* The hops and the links that they share. */
#include "topology/fabric.h"

#include "base/status.h"
#include "topology/flow.h"
#include "topology/room.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The directed links that hops use, before those of the same hops are joined. */
struct ways {
    int  n;                            /* of them */
    int *row;                          /* by directed link: which, or -1 */
    int *link;                         /* directed link of each */
    uint64_t *users;                   /* by way: a bit for each hop */
    int  words;                        /* of users, each */
};

static void free_ways(struct ways *w)
{
    free(w->row);
    free(w->link);
    free(w->users);
}

/* False: no memory. */
static bool gather(struct ways *w, const struct fabric *f, const struct topology *t,
                   const struct topology_path *paths)
{
    int hops = f->n * f->n;

    *w = (struct ways){ .words = (hops + 63) / 64 };
    w->row = malloc((size_t)t->nlinks * 2 * sizeof *w->row + 1);
    w->link = malloc((size_t)t->nlinks * 2 * sizeof *w->link + 1);
    if (!w->row || !w->link)
        return false;
    for (int i = 0; i < t->nlinks * 2; i++)
        w->row[i] = -1;
    for (int h = 0; h < hops; h++)
        for (int i = 0; i < paths[h].nhops && f->hop[h]; i++)
            if (w->row[paths[h].hops[i]] < 0) {
                w->link[w->n] = paths[h].hops[i];
                w->row[paths[h].hops[i]] = w->n++;
            }
    w->users = calloc((size_t)w->n * (size_t)w->words + 1, sizeof *w->users);
    if (!w->users)
        return false;
    for (int h = 0; h < hops; h++)
        for (int i = 0; i < paths[h].nhops && f->hop[h]; i++) {
            int row = w->row[paths[h].hops[i]];

            w->users[(size_t)row * (size_t)w->words + (size_t)h / 64] |= (uint64_t)1 << h % 64;
        }
    return true;
}

/* Ways with the same users become one row, as narrow as the narrowest.  row[] by way, then, in place
 * of `link`. */
static void join(struct fabric *f, struct ways *w, const struct topology *t)
{
    size_t words = (size_t)w->words;
    int *kept = w->row;                /* ways that made a row; as many as fit, there are fewer */
    int n = 0;

    for (int i = 0; i < w->n; i++) {
        double capacity = t->links[w->link[i] / 2].bandwidth;
        int row = 0;

        while (row < n && memcmp(w->users + (size_t)kept[row] * words,
                                 w->users + (size_t)i * words, words * sizeof *w->users))
            row++;
        if (row == n) {
            kept[n++] = i;
            f->capacity[row] = capacity;
        }
        f->capacity[row] = fmin(f->capacity[row], capacity);
    }
    f->nrows = n;
}

/* first[] and rows[] from the users of each row's way. */
static bool list_rows(struct fabric *f, const struct ways *w)
{
    int hops = f->n * f->n, total = 0;

    for (int pass = 0; pass < 2; pass++) {
        total = 0;
        for (int h = 0; h < hops; h++) {
            f->first[h] = total;
            for (int row = 0; row < f->nrows; row++) {
                size_t at = (size_t)w->row[row] * (size_t)w->words + (size_t)h / 64;

                if (!(w->users[at] >> h % 64 & 1))
                    continue;
                if (pass)
                    f->rows[total] = row;
                total++;
            }
        }
        f->first[hops] = total;
        if (!pass && !(f->rows = malloc((size_t)total * sizeof *f->rows + 1)))
            return false;
    }
    return true;
}

static bool over_nvlink(const struct topology_path *path)
{
    return path->class == CLASS_NVLINK || path->class == CLASS_NVSWITCH;
}

int fabric_build(struct fabric *f, const struct topology *t, const int *gpus, int n,
                 const struct topology_path *paths, bool nvlink)
{
    size_t hops = (size_t)n * (size_t)n;
    struct ways w = { .n = 0 };
    int status = PEAL_OK;

    *f = (struct fabric){ .n = n, .gpus = gpus, .nvlink = nvlink };
    f->hop = calloc(hops + 1, sizeof *f->hop);
    f->first = calloc(hops + 1, sizeof *f->first);
    if (!f->hop || !f->first) {
        fabric_free(f);
        return room_none("hops", f->n);
    }
    for (size_t h = 0; h < hops; h++)
        f->hop[h] = h / (size_t)n != h % (size_t)n &&
                    (nvlink ? over_nvlink(&paths[h]) : paths[h].class < CLASS_NET);
    if (!gather(&w, f, t, paths) || !(f->capacity = calloc((size_t)w.n + 1, sizeof *f->capacity)))
        status = room_none("hops", f->n);
    if (!status) {
        join(f, &w, t);
        if (!list_rows(f, &w))
            status = room_none("hops", f->n);
    }
    free_ways(&w);
    if (status)
        fabric_free(f);
    return status;
}

void fabric_free(struct fabric *f)
{
    free(f->capacity);
    free(f->first);
    free(f->rows);
    free(f->hop);
    f->capacity = NULL;
    f->first = f->rows = NULL;
    f->hop = NULL;
}

/* ---- The bound ------------------------------------------------------------------- */

/* "out of gpu0, gpu1": the smaller side of the cut. */
static void name_cut(struct fabric *f, const struct topology *t, const struct flow *flow,
                     const int *place)
{
    int inside = 0, at;
    bool side;

    for (int i = 0; i < f->n; i++)
        inside += flow_side(flow, place[f->gpus[i]]);
    side = inside * 2 <= f->n;
    at = snprintf(f->cut, sizeof f->cut, side ? "out of" : "into");
    for (int i = 0; i < f->n; i++)
        if (flow_side(flow, place[f->gpus[i]]) == side && at < (int)sizeof f->cut - 20)
            at += snprintf(f->cut + at, sizeof f->cut - (size_t)at, " %.16s",
                           t->nodes[f->gpus[i]].name);
}

/* Every directed link that a hop uses, once. */
static bool build_flow(struct flow *flow, const struct fabric *f, const struct topology *t,
                       const struct topology_path *paths, int *place)
{
    struct ways w;
    int nodes = 0;

    if (!gather(&w, f, t, paths)) {
        free_ways(&w);
        return false;
    }
    for (int i = 0; i < t->nnodes; i++)
        place[i] = -1;
    for (int i = 0; i < f->n; i++)
        place[f->gpus[i]] = nodes++;
    for (int i = 0; i < w.n; i++) {
        const struct topology_link *link = &t->links[w.link[i] / 2];

        if (place[link->a] < 0)
            place[link->a] = nodes++;
        if (place[link->b] < 0)
            place[link->b] = nodes++;
    }
    flow_init(flow, nodes);
    for (int i = 0; i < w.n; i++) {
        const struct topology_link *link = &t->links[w.link[i] / 2];
        bool reverse = w.link[i] & 1;

        flow_arc(flow, place[reverse ? link->b : link->a], place[reverse ? link->a : link->b],
                 link->bandwidth);
    }
    free_ways(&w);
    return !flow->failed;
}

/* A cut between any two GPUs has GPU 0 on one side, so it is between GPU 0 and some other. */
int fabric_bound(struct fabric *f, const struct topology *t, const struct topology_path *paths)
{
    int *place = malloc((size_t)t->nnodes * sizeof *place + 1);
    struct flow flow = { .nnodes = 0 };
    bool good = place && build_flow(&flow, f, t, paths, place);

    f->bound = INFINITY;
    for (int i = 1; i < f->n && good; i++)
        for (int back = 0; back < 2; back++) {
            double most = flow_most(&flow, place[f->gpus[back ? i : 0]],
                                    place[f->gpus[back ? 0 : i]]);

            if (most < f->bound * (1 - 1e-12)) {
                f->bound = most;
                name_cut(f, t, &flow, place);
            }
        }
    flow_free(&flow);
    free(place);
    return good ? PEAL_OK : room_none("hops", f->n);
}

bool fabric_connected(const struct fabric *f)
{
    bool seen[FABRIC_GPUS_MOST] = { true };
    int queue[FABRIC_GPUS_MOST] = { 0 }, tail = 1;

    for (int head = 0; head < tail; head++)
        for (int j = 0; j < f->n; j++)
            if (!seen[j] && f->hop[queue[head] * f->n + j] && f->hop[j * f->n + queue[head]]) {
                seen[j] = true;
                queue[tail++] = j;
            }
    return tail == f->n;
}
