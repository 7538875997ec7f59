/* SPDX-License-Identifier: BSD-3-Clause */
/* Spanning trees.  Reducing goes up a tree while broadcasting goes down, so an edge loads the links of
 * both hops between its ends.
 *
 * So most links have the same load both ways, and one row will do for the two; with both, the programme
 * below would have ties all over.
 *
 * Where all GPUs are alike (behind NVSwitch), a tree of any shape is as good as another if each GPU
 * takes each place in turn: then that is a balanced binary tree.  Where each pair has links of its own,
 * so are stars.  Else the sum is largest by linear
 * programming, with the cheapest spanning tree (Prim) as the oracle, which is exact. */
#include "topology/trees.h"

#include "base/status.h"
#include "topology/room.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double close = 1e-6;

struct grower {
    const struct fabric *f;
    struct effort *effort;
    int     nkept;                     /* rows of the fabric that matter to trees */
    int    *kept;
    double *capacity;                  /* of those */
    double *rows;                      /* by row of the fabric: prices, or loads */
};

void trees_free(struct trees *trees)
{
    free(trees->parents);
    free(trees->roots);
    free(trees->shares);
    *trees = (struct trees){ .count = 0 };
}

/* ---- The oracle ------------------------------------------------------------------------ */

static double edge(const struct fabric *f, int a, int b, const double *prices)
{
    return fabric_cost(f, a, b, prices) + fabric_cost(f, b, a, prices);
}

/* The cheapest spanning tree; of equally cheap ways to a GPU the one that keeps the tree low. */
static double prim(const struct grower *g, const double *prices, int *parents)
{
    int n = g->f->n, depth[FABRIC_GPUS_MOST] = { 0 };
    double cost[FABRIC_GPUS_MOST], total = 0;
    bool in[FABRIC_GPUS_MOST] = { true };

    parents[0] = -1;
    for (int v = 1; v < n; v++) {
        parents[v] = 0;
        cost[v] = edge(g->f, 0, v, prices);
    }
    for (int i = 1; i < n; i++) {
        int best = -1;

        for (int v = 0; v < n; v++)
            if (!in[v] && (best < 0 || cost[v] < cost[best]))
                best = v;
        in[best] = true;
        total += cost[best];
        depth[best] = depth[parents[best]] + 1;
        for (int v = 0; v < n; v++) {
            double here = in[v] ? INFINITY : edge(g->f, best, v, prices);

            if (here < cost[v] * (1 - 1e-12) ||
                (!in[v] && here <= cost[v] && depth[best] < depth[parents[v]])) {
                cost[v] = here;
                parents[v] = best;
            }
        }
    }
    return total;
}

static double cheapest(void *grower, const double *prices, bool exact, int *parents)
{
    const struct grower *g = grower;
    double n = g->f->n;

    if (!exact)
        return INFINITY;               /* the exact one is as quick */
    if (!effort_spend(g->effort, n * n * 8))
        return NAN;
    for (int i = 0; i < g->f->nrows; i++)
        g->rows[i] = 0;
    for (int i = 0; i < g->nkept; i++)
        g->rows[g->kept[i]] = prices[i];
    return prim(g, g->rows, parents);
}

/* On all rows of the fabric. */
static void load_all(const struct fabric *f, const int *parents, double *loads)
{
    for (int v = 0; v < f->n; v++)
        if (parents[v] >= 0) {
            fabric_load(f, v, parents[v], 1, loads);
            fabric_load(f, parents[v], v, 1, loads);
        }
}

static void load(const void *grower, const int *parents, double *loads)
{
    const struct grower *g = grower;

    for (int i = 0; i < g->f->nrows; i++)
        g->rows[i] = 0;
    load_all(g->f, parents, g->rows);
    for (int i = 0; i < g->nkept; i++)
        loads[i] += g->rows[g->kept[i]];
}

/* Of rows that every edge loads alike the narrowest is kept.  False: no memory. */
static bool keep_rows(struct grower *g)
{
    const struct fabric *f = g->f;
    size_t n = (size_t)f->n, rows = (size_t)f->nrows, edges = n * n;
    unsigned char *uses = calloc(rows * edges + 1, 1);         /* of a row by edge: 0, 1, 2 */

    g->kept = malloc(rows * sizeof *g->kept + 1);
    g->capacity = malloc(rows * sizeof *g->capacity + 1);
    g->rows = malloc(rows * sizeof *g->rows + 1);
    if (!uses || !g->kept || !g->capacity || !g->rows) {
        free(uses);
        return false;
    }
    for (size_t h = 0; h < edges; h++) {
        size_t from = h / n, to = h % n, edge = from < to ? h : to * n + from;

        for (int i = f->first[h]; i < f->first[h + 1]; i++)
            uses[(size_t)f->rows[i] * edges + edge]++;
    }
    for (int row = 0; row < f->nrows; row++) {
        int same = 0;

        while (same < g->nkept && memcmp(uses + (size_t)g->kept[same] * edges,
                                         uses + (size_t)row * edges, edges))
            same++;
        if (same == g->nkept) {
            g->kept[g->nkept++] = row;
            g->capacity[same] = f->capacity[row];
        }
        g->capacity[same] = fmin(g->capacity[same], f->capacity[row]);
    }
    free(uses);
    return true;
}

/* ---- Roots ------------------------------------------------------------------------------ */

int tree_height(const int *parents, int n, int from)
{
    int far[FABRIC_GPUS_MOST], most = 0;
    bool more = true;

    for (int v = 0; v < n; v++)
        far[v] = v == from ? 0 : -1;
    while (more) {
        more = false;
        for (int v = 0; v < n; v++) {
            int up = parents[v];

            if (up < 0 || (far[v] < 0) == (far[up] < 0))
                continue;
            if (far[v] < 0)
                most = (far[v] = far[up] + 1) > most ? far[v] : most;
            else
                most = (far[up] = far[v] + 1) > most ? far[up] : most;
            more = true;
        }
    }
    return most;
}

void tree_hang(int *parents, int top)
{
    for (int v = top, child = -1; v >= 0;) {
        int up = parents[v];

        parents[v] = child;
        child = v;
        v = up;
    }
}

/* Hangs the tree from the GPU from which it is lowest. */
static int reroot(int *parents, int n)
{
    int root = 0, lowest = n;

    for (int v = 0; v < n; v++) {
        int height = tree_height(parents, n, v);

        if (height < lowest) {
            lowest = height;
            root = v;
        }
    }
    tree_hang(parents, root);
    return root;
}

/* ---- The search --------------------------------------------------------------------------- */

static int set_trees(struct trees *trees, const struct fabric *f, const int *parents,
                     const double *shares, int count, double share)
{
    size_t n = (size_t)f->n, ints = (size_t)count * n;

    trees_free(trees);
    trees->parents = malloc(ints * sizeof *trees->parents + 1);
    trees->roots = malloc((size_t)count * sizeof *trees->roots + 1);
    trees->shares = malloc((size_t)count * sizeof *trees->shares + 1);
    if (!trees->parents || !trees->roots || !trees->shares) {
        trees_free(trees);
        return room_none("trees", f->n);
    }
    trees->count = count;
    /* The widest first; of equal ones the first found. */
    for (int i = 0; i < count; i++) {
        double mine = shares ? shares[i] : share;
        int at = i;

        for (; at > 0 && trees->shares[at - 1] < mine * (1 - close); at--) {
            trees->shares[at] = trees->shares[at - 1];
            memcpy(trees->parents + (size_t)at * n, trees->parents + (size_t)(at - 1) * n,
                   n * sizeof *parents);
        }
        trees->shares[at] = mine;
        memcpy(trees->parents + (size_t)at * n, parents + (size_t)i * n, n * sizeof *parents);
        trees->total += mine;
    }
    for (int i = 0; i < count; i++)
        trees->roots[i] = reroot(trees->parents + (size_t)i * n, f->n);
    return PEAL_OK;
}

/* What all rows cost at prices that make each cost the same, over the cheapest tree: no set of trees
 * has more.  That tree is the first answer. */
static int begin(const struct grower *g, int *parents, struct trees *trees)
{
    const struct fabric *f = g->f;
    double bound, share = INFINITY;
    int status;

    for (int i = 0; i < f->nrows; i++)
        g->rows[i] = 0;
    for (int i = 0; i < g->nkept; i++)
        g->rows[g->kept[i]] = 1 / g->capacity[i];
    bound = g->nkept / prim(g, g->rows, parents);
    memset(g->rows, 0, (size_t)f->nrows * sizeof *g->rows);
    load_all(f, parents, g->rows);
    for (int i = 0; i < f->nrows; i++)
        if (g->rows[i] > 0)
            share = fmin(share, f->capacity[i] / g->rows[i]);
    status = set_trees(trees, f, parents, NULL, 1, share);
    trees->bound = bound;
    return status;
}

/* A tree with each GPU in each place: a balanced binary one, or a star, which uses all pairs alike.  The
 * total; 0 where a hop is missing. */
static double turned_trees(const struct fabric *f, bool star, double *loads, int *parents)
{
    int n = f->n;
    double share = INFINITY;

    for (int h = 0; h < n * n; h++)
        if (h / n != h % n && !f->hop[h])
            return 0;
    memset(loads, 0, (size_t)f->nrows * sizeof *loads);
    for (int turn = 0; turn < n; turn++) {
        int *tree = parents + turn * n;

        for (int place = 0; place < n; place++)
            tree[(place + turn) % n] = place ? ((star ? 0 : (place - 1) / 2) + turn) % n : -1;
        load_all(f, tree, loads);
    }
    for (int i = 0; i < f->nrows; i++)
        if (loads[i] > 0)
            share = fmin(share, f->capacity[i] / loads[i]);
    return share * n;
}

static int pack(struct grower *g, double bound, struct trees *trees)
{
    const struct fabric *f = g->f;
    struct packing_problem problem = {
        .nrows = g->nkept, .capacity = g->capacity, .nints = f->n, .target = bound, .context = g,
        .cheapest = cheapest, .exact = true, .load = load
    };
    struct packing packing;
    int status = packing_solve(&problem, NULL, 0, g->effort, &packing);

    if (!status && packing.total > trees->total * (1 + close))
        status = set_trees(trees, f, packing.columns, packing.shares, packing.n, 0);
    if (!status)
        trees->bound = fmax(fmin(bound, packing.bound), trees->total);
    packing_free(&packing);
    return status;
}

int trees_find(const struct fabric *f, struct effort *effort, struct trees *trees)
{
    struct grower g = { .f = f, .effort = effort };
    size_t n = (size_t)f->n;
    int *parents = malloc(n * n * sizeof *parents);
    double bound = 0;
    int status = PEAL_OK;

    *trees = (struct trees){ .count = 0 };
    if (!parents || !keep_rows(&g))
        status = room_none("trees", f->n);
    if (!status)
        status = begin(&g, parents, trees);
    bound = trees->bound;
    for (int star = 0; star < 2 && f->n > 2 && !status; star++) {
        double total = turned_trees(f, star, g.rows, parents);

        if (total > trees->total * (1 + close))
            status = set_trees(trees, f, parents, NULL, f->n, total / f->n);
    }
    trees->bound = bound;
    if (!status && trees->total < bound * (1 - close))
        status = pack(&g, bound, trees);
    free(g.kept);
    free(g.capacity);
    free(g.rows);
    free(parents);
    if (status)
        trees_free(trees);
    return status;
}
