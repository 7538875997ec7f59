/* SPDX-License-Identifier: BSD-3-Clause */
/* A given number of rings with the same share: every row has room for a whole number of hops.  Rings are
 * found one after the other, each by going on to the GPU with the most room left and turning back from
 * dead ends; when the last ones do not fit any more, all begins again in another order. */
#include "topology/rings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS = 4000, RING_STEPS = 40 };     /* times the number of GPUs */

struct equal {
    const struct fabric *f;
    int     count;
    bool    both;                      /* every ring also the other way round */
    bool    fewest_ways;               /* go first where few ways lead on from */
    int    *left, *room;               /* by row, hops: now, at the beginning */
    double *cost;                      /* by hop, 0 ... 1: near first among equals */
    int    *order;                     /* of the ring under way */
    bool    used[FABRIC_GPUS_MOST];
    long    steps;
    uint64_t seed;
    bool    jitter;
};

/* The same numbers on every machine. */
static double draw(struct equal *e)
{
    e->seed = e->seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(e->seed >> 40) / (double)(1 << 24);
}

static int room_of(const struct equal *e, int from, int to)
{
    const struct fabric *f = e->f;
    int hop = from * f->n + to, room = INT32_MAX;

    if (!f->hop[hop])
        return 0;
    for (int i = f->first[hop]; i < f->first[hop + 1]; i++)
        room = e->left[f->rows[i]] < room ? e->left[f->rows[i]] : room;
    return room;
}

static void occupy(struct equal *e, int from, int to, int amount)
{
    const struct fabric *f = e->f;

    for (int hop = from * f->n + to, i = f->first[hop]; i < f->first[hop + 1]; i++)
        e->left[f->rows[i]] -= amount;
}

/* False: no room, and nothing is taken. */
static bool go(struct equal *e, int from, int to)
{
    if (room_of(e, from, to) < 1)
        return false;
    occupy(e, from, to, 1);
    if (!e->both)
        return true;
    if (room_of(e, to, from) < 1) {
        occupy(e, from, to, -1);
        return false;
    }
    occupy(e, to, from, 1);
    return true;
}

static void go_back(struct equal *e, int from, int to)
{
    occupy(e, from, to, -1);
    if (e->both)
        occupy(e, to, from, -1);
}

struct choice { double score; int gpu; };

static int order_choices(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;

    if (x->score > y->score || x->score < y->score)
        return x->score > y->score ? -1 : 1;
    return x->gpu - y->gpu;
}

static int list_choices(struct equal *e, int at, struct choice *choices)
{
    int n = e->f->n, count = 0;

    for (int v = 0; v < n; v++) {
        int room = e->used[v] ? 0 : room_of(e, at, v), ways = 0;

        if (room < 1)
            continue;
        for (int w = 0; w < n && e->fewest_ways; w++)
            ways += !e->used[w] && room_of(e, v, w) > 0;
        choices[count++] = (struct choice){
            (double)room - 0.5 * e->cost[at * n + v] - 2.0 * ways + (e->jitter ? 2 * draw(e) : 0), v
        };
    }
    qsort(choices, (size_t)count, sizeof *choices, order_choices);
    return count;
}

/* The rest of a ring behind its first `length` GPUs. */
static bool complete(struct equal *e, int length)
{
    struct choice choices[FABRIC_GPUS_MOST];
    int n = e->f->n, at = e->order[length - 1], count;

    if (length == n)
        return go(e, at, e->order[0]);
    if (--e->steps < 0)
        return false;
    count = list_choices(e, at, choices);
    for (int i = 0; i < count; i++) {
        int next = choices[i].gpu;

        if (!go(e, at, next))
            continue;
        e->order[length] = next;
        e->used[next] = true;
        if (complete(e, length + 1))
            return true;
        e->used[next] = false;
        go_back(e, at, next);
        if (e->steps < 0)
            return false;
    }
    return false;
}

/* As many rings as go in one attempt. */
static int attempt(struct equal *e, struct effort *effort, int *orders)
{
    int n = e->f->n, found = 0;

    memcpy(e->left, e->room, (size_t)e->f->nrows * sizeof *e->left);
    while (found < e->count) {
        bool good;

        e->order = orders + (size_t)found * (size_t)n;
        memset(e->used, 0, sizeof e->used);
        e->order[0] = 0;
        e->used[0] = true;
        e->steps = RING_STEPS * n;
        good = complete(e, 1);
        if (!effort_spend(effort, (double)(RING_STEPS * n - e->steps) * n *
                                  (e->fewest_ways ? 4 * n : 8)) || !good)
            break;
        found++;
        if (!e->both)
            continue;
        for (int i = 0; i < n; i++)
            orders[found * n + i] = e->order[(n - i) % n];
        found++;
    }
    return found;
}

/* Rounding of rooms must not refuse what fits, nor must GPUs have too few ways for so many rings. */
static bool prepare(struct equal *e, double share)
{
    const struct fabric *f = e->f;
    double most = 0;

    for (int i = 0; i < f->nrows; i++) {
        double room = floor(f->capacity[i] / share * (1 + 1e-9) + 1e-9);

        e->room[i] = e->left[i] = room < INT16_MAX ? (int)room : INT16_MAX;
    }
    for (int h = 0; h < f->n * f->n; h++) {
        e->cost[h] = 0;
        for (int i = f->first[h]; i < f->first[h + 1]; i++)
            e->cost[h] += 1 / f->capacity[f->rows[i]];
        most = fmax(most, e->cost[h]);
    }
    for (int h = 0; h < f->n * f->n; h++)
        e->cost[h] /= most;
    for (int i = 0; i < f->n; i++) {
        long out = 0, in = 0;

        for (int j = 0; j < f->n; j++) {
            out += room_of(e, i, j);
            in += room_of(e, j, i);
        }
        if (out < e->count || in < e->count)
            return false;
    }
    return true;
}

int rings_equal(const struct fabric *f, int count, double share, struct effort *effort, int *orders)
{
    size_t n = (size_t)f->n, rows = (size_t)f->nrows;
    struct equal e = { .f = f, .count = count, .seed = 5 };
    int *trial = malloc((size_t)(count + 1) * n * sizeof *trial + 1);
    int best = -1;

    e.left = malloc(2 * rows * sizeof *e.left + 1);
    e.room = e.left ? e.left + rows : NULL;
    e.cost = malloc(n * n * sizeof *e.cost + 1);
    if (trial && e.left && e.cost) {
        best = 0;
        for (int i = 0; i < ATTEMPTS && best < count && (i || prepare(&e, share)); i++) {
            int found;

            e.both = count % 2 == 0 && i % 2 == 0;
            e.fewest_ways = i / 2 % 2;
            e.jitter = i >= 4;
            found = attempt(&e, effort, trial);
            if (found > best) {
                best = found;
                memcpy(orders, trial, (size_t)best * n * sizeof *orders);
            }
            if (!effort_spend(effort, 1))
                break;
        }
    }
    free(trial);
    free(e.left);
    free(e.cost);
    return best;
}
