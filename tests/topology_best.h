/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a plan of a small machine is the best there is: a linear programme over all its rings, and one
 * over all its trees, by the textbook.  For files that have included checks.h. */
#ifndef TOPOLOGY_BEST_H
#define TOPOLOGY_BEST_H

#include "topology_verify.h"

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
