/* SPDX-License-Identifier: BSD-3-Clause */
/* The revised simplex method with a dense inverse and generated columns.
 *
 * Rows are scaled to a capacity of 1 (times the target), and made unequal by less than a millionth so
 * that ties, of which symmetrical machines are full, do not let it turn in circles; the last basis is
 * then solved for the true capacities. */
#include "topology/packing.h"

#include "base/clock.h"
#include "base/status.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double nothing = 1e-9;

/* ---- Effort ------------------------------------------------------------------------ */

struct effort effort_of(double seconds)
{
    return (struct effort){ .steps = seconds * 3e8, .deadline = clock_deadline(seconds) };
}

struct effort effort_part(const struct effort *whole, double part)
{
    struct effort effort = *whole;

    effort.steps *= part;
    return effort;
}

void effort_return(struct effort *whole, const struct effort *part, double had)
{
    whole->steps -= had - part->steps;
    whole->late = part->late;
}

bool effort_spend(struct effort *effort, double steps)
{
    effort->steps -= steps;
    if (!effort->late && clock_now() > effort->deadline)
        effort->late = true;
    return effort->steps > 0 && !effort->late;
}

/* ---- The simplex -------------------------------------------------------------------- */

struct simplex {
    const struct packing_problem *p;
    int     m;
    int     ncolumns, room;            /* known ones */
    int    *columns;                   /* nints each */
    double *entries;                   /* m each: load * scale / capacity */
    double  scale;                     /* shares are in units of it */
    int    *basis;                     /* by place: column, or -1 - row: the row's slack */
    double *inverse;                   /* m * m */
    double *x, *y, *d, *b;             /* of the basis; prices; entering column; right side */
    double *prices, *loads;            /* for the oracle */
    int    *column;
    double  bound;                     /* in units of scale */
};

static int no_memory(const struct simplex *s)
{
    return status_fail(PEAL_ERR_MEMORY, "topology: no memory for a packing of %d links", s->m);
}

static void simplex_free(struct simplex *s)
{
    free(s->columns);
    free(s->entries);
    free(s->basis);
    free(s->inverse);
    free(s->x);
    free(s->column);
}

static bool simplex_init(struct simplex *s, const struct packing_problem *p)
{
    size_t m = (size_t)p->nrows;

    *s = (struct simplex){ .p = p, .m = p->nrows, .scale = p->target, .bound = INFINITY };
    s->basis = malloc(m * sizeof *s->basis + 1);
    s->inverse = calloc(m * m + 1, sizeof *s->inverse);
    s->x = calloc(6 * m + 1, sizeof *s->x);
    s->column = malloc((size_t)p->nints * sizeof *s->column + 1);
    if (!s->basis || !s->inverse || !s->x || !s->column)
        return false;
    s->y = s->x + m;
    s->d = s->x + 2 * m;
    s->b = s->x + 3 * m;
    s->prices = s->x + 4 * m;
    s->loads = s->x + 5 * m;
    for (size_t i = 0; i < m; i++) {
        double odd = (double)i * 0.6180339887498949;

        s->basis[i] = -1 - (int)i;
        s->inverse[i * m + i] = 1;
        s->x[i] = s->b[i] = 1 + 1e-7 * (odd - floor(odd));
    }
    return true;
}

/* Its number; -1: no memory. */
static int add_column(struct simplex *s, const int *column)
{
    size_t m = (size_t)s->m, nints = (size_t)s->p->nints;
    double *entries;

    if (s->ncolumns == s->room) {
        size_t room = s->room ? (size_t)s->room * 2 : 64;
        int *columns = realloc(s->columns, room * nints * sizeof *columns);

        if (columns)
            s->columns = columns;
        entries = realloc(s->entries, room * m * sizeof *entries);
        if (entries)
            s->entries = entries;
        if (!columns || !entries)
            return -1;
        s->room = (int)room;
    }
    memcpy(s->columns + (size_t)s->ncolumns * nints, column, nints * sizeof *column);
    entries = s->entries + (size_t)s->ncolumns * m;
    for (size_t i = 0; i < m; i++)
        entries[i] = 0;
    s->p->load(s->p->context, column, entries);
    for (size_t i = 0; i < m; i++)
        entries[i] *= s->scale / s->p->capacity[i];
    return s->ncolumns++;
}

/* y = (1 for each column, 0 for each slack of the basis) * inverse. */
static void price(struct simplex *s)
{
    size_t m = (size_t)s->m;

    memset(s->y, 0, m * sizeof *s->y);
    for (size_t i = 0; i < m; i++)
        if (s->basis[i] >= 0)
            for (size_t k = 0; k < m; k++)
                s->y[k] += s->inverse[i * m + k];
}

/* The column joins the basis (-1 - row: the slack).  False: nothing limits it, which cannot be. */
static bool enter(struct simplex *s, int column)
{
    size_t m = (size_t)s->m, leaving = m;
    double least = INFINITY;

    for (size_t i = 0; i < m; i++) {
        const double *row = s->inverse + i * m;

        s->d[i] = 0;
        if (column < 0)
            s->d[i] = row[-1 - column];
        else
            for (size_t k = 0; k < m; k++)
                s->d[i] += row[k] * s->entries[(size_t)column * m + k];
    }
    for (size_t i = 0; i < m; i++) {
        double ratio = s->d[i] > nothing ? fmax(s->x[i], 0) / s->d[i] : INFINITY;

        if (ratio < least) {
            least = ratio;
            leaving = i;
        }
    }
    if (leaving == m)
        return false;
    for (size_t k = 0; k < m; k++)
        s->inverse[leaving * m + k] /= s->d[leaving];
    for (size_t i = 0; i < m; i++) {
        if (i == leaving || (s->d[i] >= 0 && s->d[i] <= 0))
            continue;
        for (size_t k = 0; k < m; k++)
            s->inverse[i * m + k] -= s->d[i] * s->inverse[leaving * m + k];
        s->x[i] -= least * s->d[i];
    }
    s->x[leaving] = least;
    s->basis[leaving] = column;
    return true;
}

static double cost_of(const struct simplex *s, int column)
{
    const double *entries = s->entries + (size_t)column * (size_t)s->m;
    double cost = 0;

    for (int i = 0; i < s->m; i++)
        cost += s->y[i] * entries[i];
    return cost;
}

/* Of the basis, for the true capacities: what the rows cost. */
static double total(const struct simplex *s)
{
    double sum = 0;

    for (int i = 0; i < s->m; i++)
        sum += s->y[i];
    return sum;
}

enum found { FOUND, BEST, OUT, FAILED };

/* Asks the oracle; the column is added to the known ones. */
static enum found ask(struct simplex *s, bool exact, int *entering)
{
    double worth = 0, cost;

    for (int i = 0; i < s->m; i++) {
        double y = fmax(s->y[i], 0);

        worth += y;
        s->prices[i] = y * s->scale / s->p->capacity[i];
    }
    cost = s->p->cheapest(s->p->context, s->prices, exact, s->column);
    if (isnan(cost))
        return OUT;
    if (exact && cost > 0)
        s->bound = fmin(s->bound, worth / cost);
    if (cost > 1 - nothing)
        return BEST;
    *entering = add_column(s, s->column);
    return *entering < 0 ? FAILED : FOUND;
}

/* What to take in next: a slack with a negative price, a known column, a new one. */
static enum found choose(struct simplex *s, int *entering)
{
    double least = -nothing;
    enum found found = BEST;

    *entering = INT32_MAX;
    for (int i = 0; i < s->m; i++)
        if (s->y[i] < least) {
            least = s->y[i];
            *entering = -1 - i;
        }
    if (*entering != INT32_MAX)
        return FOUND;
    least = 1 - nothing;
    for (int i = 0; i < s->ncolumns; i++) {
        double cost = cost_of(s, i);

        if (cost < least) {
            least = cost;
            *entering = i;
        }
    }
    if (*entering != INT32_MAX)
        return FOUND;
    found = ask(s, false, entering);
    return found == BEST && s->p->exact ? ask(s, true, entering) : found;
}

/* The basis for the true capacities; rounding must not overload a link. */
static int result(struct simplex *s, struct packing *out)
{
    size_t m = (size_t)s->m, nints = (size_t)s->p->nints;
    double most = 1;

    out->columns = malloc((m * nints + 1) * sizeof *out->columns);
    out->shares = malloc((m + 1) * sizeof *out->shares);
    if (!out->columns || !out->shares)
        return no_memory(s);
    memset(s->loads, 0, m * sizeof *s->loads);
    for (size_t i = 0; i < m; i++) {
        double share = 0;

        for (size_t k = 0; k < m; k++)
            share += s->inverse[i * m + k];
        if (s->basis[i] < 0 || share < 1e-7)
            continue;
        memcpy(out->columns + (size_t)out->n * nints, s->columns + (size_t)s->basis[i] * nints,
               nints * sizeof *out->columns);
        for (size_t k = 0; k < m; k++)
            s->loads[k] += share * s->entries[(size_t)s->basis[i] * m + k];
        out->shares[out->n++] = share * s->scale;
    }
    for (size_t k = 0; k < m; k++)
        most = fmax(most, s->loads[k]);
    for (int i = 0; i < out->n; i++) {
        out->shares[i] /= most;
        out->total += out->shares[i];
    }
    out->bound = s->bound * s->scale;
    return PEAL_OK;
}

int packing_solve(const struct packing_problem *problem, const int *seeds, int nseeds,
                  struct effort *effort, struct packing *packing)
{
    struct simplex s;
    enum found found = FOUND;
    double m = problem->nrows;
    int status = PEAL_OK;

    *packing = (struct packing){ .bound = INFINITY };
    if (problem->nrows > PACKING_ROWS_MOST)
        return PEAL_OK;
    if (!simplex_init(&s, problem))
        found = FAILED;
    for (int i = 0; i < nseeds && found != FAILED; i++)
        if (add_column(&s, seeds + (size_t)i * (size_t)problem->nints) < 0)
            found = FAILED;
    while (found == FOUND && total(&s) < 1 - 1e-10 && effort_spend(effort, m * m)) {
        int entering;

        found = choose(&s, &entering);
        if (found == FOUND && !enter(&s, entering))
            found = OUT;
        price(&s);
    }
    status = found == FAILED ? no_memory(&s) : result(&s, packing);
    simplex_free(&s);
    if (status)
        packing_free(packing);
    return status;
}

void packing_free(struct packing *packing)
{
    free(packing->columns);
    free(packing->shares);
    *packing = (struct packing){ .bound = INFINITY };
}
