/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a plan is what it says, and whether it is the best, by other ways than those of the search.
 * For files that have included checks.h. */
#ifndef TOPOLOGY_VERIFY_H
#define TOPOLOGY_VERIFY_H

#include "topology/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Adds a hop's share to each directed link on its path. */
static bool verify_hop(const struct topology *t, int from, int to, double share, double *loads)
{
    struct topology_path path;
    int at = from;

    if (path_find(t, from, to, &path) || path.class >= CLASS_NET)
        return false;
    for (int i = 0; i < path.nhops; i++) {
        const struct topology_link *link = &t->links[path.hops[i] / 2];

        if (at != (path.hops[i] & 1 ? link->b : link->a))
            return false;
        at = link->a + link->b - at;
        loads[path.hops[i]] += share;
    }
    return at == to;
}

static void verify_loads(const char *name, const char *what, const struct topology *t,
                         const double *loads)
{
    for (int i = 0; i < t->nlinks * 2; i++)
        check(loads[i] <= t->links[i / 2].bandwidth * (1 + 1e-9), "%s: %s load a link between %s and %s "
              "with %.12g of %.12g GB/s", name, what, t->nodes[t->links[i / 2].a].name,
              t->nodes[t->links[i / 2].b].name, loads[i], t->links[i / 2].bandwidth);
}

static void verify_tree(const char *name, const struct topology_plan *plan, int index)
{
    const struct topology_tree *tree = &plan->trees[index];

    for (int i = 0; i < plan->ngpus; i++) {
        int at = i, steps = 0;

        while (at != tree->root && at >= 0 && at < plan->ngpus && steps++ <= plan->ngpus)
            at = tree->parent[at];
        check(at == tree->root, "%s: tree %d: no way from GPU %d to the root", name, index, i);
    }
    check(tree->parent[tree->root] == -1 && tree->bandwidth > 0, "%s: tree %d: its root or bandwidth",
          name, index);
}

static void verify_rings(const char *name, const struct topology *t, const struct topology_plan *plan,
                         double *loads)
{
    int n = plan->ngpus;
    double total = 0;

    for (int i = 0; i < plan->nrings; i++) {
        const struct topology_ring *ring = &plan->rings[i];
        int seen[PLAN_GPUS_MOST] = { 0 };

        for (int k = 0; k < n; k++) {
            check(ring->gpus[k] >= 0 && ring->gpus[k] < n && !seen[ring->gpus[k]]++,
                  "%s: ring %d: GPU %d twice, or none", name, i, ring->gpus[k]);
            check(verify_hop(t, plan->gpus[ring->gpus[k]], plan->gpus[ring->gpus[(k + 1) % n]],
                             ring->bandwidth, loads), "%s: ring %d: no way on from %d", name, i, k);
        }
        check(ring->bandwidth > 0, "%s: ring %d: bandwidth %g", name, i, ring->bandwidth);
        total += ring->bandwidth;
    }
    check(fabs(total - plan->ring_total) <= 1e-9 * total, "%s: the rings' sum is %.12g, not %.12g", name,
          total, plan->ring_total);
    check(plan->ring_total <= plan->bound * (1 + 1e-9) || !plan->nrings, "%s: above the bound", name);
    check(!plan->optimal || plan->ring_total >= plan->bound * (1 - 2e-6), "%s: called optimal, with "
          "%.12g of %.12g", name, plan->ring_total, plan->bound);
    verify_loads(name, "rings", t, loads);
}

/* All that a plan says of itself. */
static void verify_plan(const char *name, const struct topology *t, const struct topology_plan *plan)
{
    double *loads = calloc((size_t)t->nlinks * 2 + 1, sizeof *loads), total = 0, together = 0;

    verify_rings(name, t, plan, loads);
    memset(loads, 0, (size_t)t->nlinks * 2 * sizeof *loads);
    for (int i = 0; i < plan->ntrees; i++) {
        const struct topology_tree *tree = &plan->trees[i];

        verify_tree(name, plan, i);
        for (int k = 0; k < plan->ngpus; k++) {
            if (k == tree->root)
                continue;
            verify_hop(t, plan->gpus[k], plan->gpus[tree->parent[k]], tree->bandwidth, loads);
            verify_hop(t, plan->gpus[tree->parent[k]], plan->gpus[k], tree->bandwidth, loads);
        }
        total += tree->bandwidth;
    }
    verify_loads(name, "trees", t, loads);
    check(fabs(total - plan->tree_total) <= 1e-9 * total, "%s: the trees' sum is %.12g, not %.12g", name,
          total, plan->tree_total);
    check(plan->tree_total <= plan->tree_bound * (1 + 1e-9), "%s: trees above their bound", name);
    check(plan->proof[0], "%s: no word of proof", name);
    if (plan->nrings)
        check(!plan_evaluate(t, plan->gpus, plan->ngpus, plan->rings, plan->nrings, NULL, 0,
                             &together) && together >= plan->ring_total * (1 - 1e-9),
              "%s: its rings carry %.12g together, not %.12g", name, together, plan->ring_total);
    free(loads);
}

/* ---- The best there is, of all rings and trees ------------------------------------------------ */

enum { VERIFY_ROWS = 80, VERIFY_COLUMNS = 240 };

struct verify_programme {
    int    rows, columns;
    double row[VERIFY_ROWS + 1][VERIFY_COLUMNS + VERIFY_ROWS + 1];     /* last column: right side */
};

/* The textbook's simplex; Bland's rule, which cannot turn in circles. */
static double verify_largest(struct verify_programme *p)
{
    int width = p->columns + p->rows;
    double *objective = p->row[p->rows];

    for (int pivots = 0; pivots < 20000; pivots++) {
        int enter = -1, leave = -1;
        double best = 0;

        for (int k = 0; k < width && enter < 0; k++)
            if (objective[k] > 1e-9)
                enter = k;
        if (enter < 0)
            return -objective[width];
        for (int i = 0; i < p->rows; i++) {
            double ratio;

            if (p->row[i][enter] <= 1e-9)
                continue;
            ratio = p->row[i][width] / p->row[i][enter];
            if (leave < 0 || ratio < best) {
                best = ratio;
                leave = i;
            }
        }
        if (leave < 0)
            return INFINITY;
        best = p->row[leave][enter];
        for (int k = 0; k <= width; k++)
            p->row[leave][k] /= best;
        for (int i = 0; i <= p->rows; i++) {
            double factor = p->row[i][enter];

            if (i == leave || !(factor > 0 || factor < 0))
                continue;
            for (int k = 0; k <= width; k++)
                p->row[i][k] -= factor * p->row[leave][k];
        }
    }
    return NAN;
}

static bool verify_nvlink(const struct topology *t, int from, int to)
{
    struct topology_path path;

    return !path_find(t, from, to, &path) &&
           (path.class == CLASS_NVLINK || path.class == CLASS_NVSWITCH);
}

/* The programme over columns of hops (n * n flags each, of which those wholly over NVLink go alone if
 * there are any). */
static double verify_pack(const struct topology *t, const struct topology_plan *plan,
                          const unsigned char *columns, int ncolumns)
{
    static struct verify_programme p;
    int n = plan->ngpus, width, links = t->nlinks * 2;
    int row_of[256], all_nvlink = 0, *nvlink = calloc((size_t)ncolumns, sizeof *nvlink);
    double *loads = calloc((size_t)links, sizeof *loads), best = NAN;

    memset(&p, 0, sizeof p);
    for (int i = 0; i < links && i < 256; i++)
        row_of[i] = -1;
    for (int c = 0; c < ncolumns; c++) {
        nvlink[c] = 1;
        for (int h = 0; h < n * n; h++)
            if (columns[c * n * n + h] && !verify_nvlink(t, plan->gpus[h / n], plan->gpus[h % n]))
                nvlink[c] = 0;
        all_nvlink |= nvlink[c];
    }
    for (int pass = 0; pass < 2; pass++) {
        p.columns = 0;
        for (int c = 0; c < ncolumns; c++) {
            if (nvlink[c] < all_nvlink)
                continue;
            memset(loads, 0, (size_t)links * sizeof *loads);
            for (int h = 0; h < n * n; h++)
                if (columns[c * n * n + h])
                    verify_hop(t, plan->gpus[h / n], plan->gpus[h % n], 1, loads);
            for (int i = 0; i < links; i++) {
                if (loads[i] > 0 && row_of[i] < 0)
                    row_of[i] = p.rows++;
                if (loads[i] > 0 && pass)
                    p.row[row_of[i]][p.columns] = loads[i];
            }
            if (pass)
                p.row[p.rows][p.columns] = 1;
            p.columns++;
        }
        if (p.rows > VERIFY_ROWS || p.columns > VERIFY_COLUMNS)
            break;
    }
    width = p.columns + p.rows;
    if (p.rows <= VERIFY_ROWS && p.columns <= VERIFY_COLUMNS) {
        for (int i = 0; i < links; i++)
            if (row_of[i] >= 0) {
                p.row[row_of[i]][p.columns + row_of[i]] = 1;
                p.row[row_of[i]][width] = t->links[i / 2].bandwidth;
            }
        best = verify_largest(&p);
    }
    free(nvlink);
    free(loads);
    return best;
}

/* All rings from GPU 0, as flags of hops; returns how many. */
static int verify_all_rings(int n, int *order, int length, unsigned char *columns, int count)
{
    if (length == n) {
        unsigned char *hops = columns + count * n * n;

        memset(hops, 0, (size_t)(n * n));
        for (int i = 0; i < n; i++)
            hops[order[i] * n + order[(i + 1) % n]] = 1;
        return count + 1;
    }
    for (int v = 1; v < n; v++) {
        bool used = false;

        for (int i = 1; i < length; i++)
            used |= order[i] == v;
        if (used)
            continue;
        order[length] = v;
        count = verify_all_rings(n, order, length + 1, columns, count);
    }
    return count;
}

/* All trees over n GPUs by their Pruefer sequences; both directions of each edge. */
static int verify_all_trees(int n, unsigned char *columns)
{
    int count = 1;

    for (int i = 2; i < n; i++)
        count *= n;
    for (int c = 0; c < count; c++) {
        unsigned char *hops = columns + c * n * n;
        int degree[8], sequence[8], rest = c, a = -1;

        memset(hops, 0, (size_t)(n * n));
        for (int i = 0; i < n; i++)
            degree[i] = 1;
        for (int i = 0; i < n - 2; i++, rest /= n)
            degree[sequence[i] = rest % n]++;
        for (int i = 0; i < n - 2; i++) {
            int leaf = 0;

            while (degree[leaf] != 1)
                leaf++;
            hops[leaf * n + sequence[i]] = hops[sequence[i] * n + leaf] = 1;
            degree[leaf]--;
            degree[sequence[i]]--;
        }
        for (int i = 0; i < n; i++) {
            if (degree[i] != 1)
                continue;
            if (a >= 0)
                hops[a * n + i] = hops[i * n + a] = 1;
            a = i;
        }
    }
    return count;
}

/* At most 6 GPUs.  True: trees were compared too (at most 5). */
static bool verify_best(const char *name, const struct topology *t, const struct topology_plan *plan)
{
    static unsigned char columns[VERIFY_COLUMNS * 36];
    int n = plan->ngpus, order[8] = { 0 };
    double best = verify_pack(t, plan, columns, verify_all_rings(n, order, 1, columns, 0));

    check(fabs(best - plan->ring_total) <= 2e-6 * best, "%s: rings of %.9g GB/s in all; there are some "
          "of %.9g", name, plan->ring_total, best);
    if (n > 5)
        return false;
    best = verify_pack(t, plan, columns, verify_all_trees(n, columns));
    check(fabs(best - plan->tree_total) <= 2e-6 * best, "%s: trees of %.9g GB/s in all; there are some "
          "of %.9g", name, plan->tree_total, best);
    return true;
}

#endif
