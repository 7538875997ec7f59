/* SPDX-License-Identifier: BSD-3-Clause */
/* Where things go in the picture. */
#include "topology/show_svg.h"

#include "base/status.h"

#include <stdlib.h>

enum { GAP = 10, ROWS_MOST = 4 };

static bool is_bar(const struct topology_node *n)
{
    return n->kind == TOPOLOGY_NUMA || n->kind == TOPOLOGY_ROOT || n->kind == TOPOLOGY_SWITCH;
}

/* What the eye should see as one thing: a bar with only one thing below is not drawn, nor are
 * bars below the deepest level, nor adapters whose ports are. */
static void choose_drawn(struct svg *v)
{
    const struct topology *t = &v->s->host;

    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].parent >= 0 && t->nodes[i].kind != TOPOLOGY_NVSWITCH)
            v->spots[t->nodes[i].parent].place++;          /* counts children, for now */
    for (int k = 0; v->order[k] >= 0; k++) {
        int i = v->order[k], up = t->nodes[i].parent;
        struct svg_spot *spot = &v->spots[i];
        bool numa = t->nodes[i].kind == TOPOLOGY_NUMA;

        spot->holder = up < 0 ? -1 : v->spots[up].drawn && is_bar(&t->nodes[up]) ? up :
                       v->spots[up].holder;
        if (is_bar(&t->nodes[i])) {
            spot->level = spot->holder < 0 ? 0 : v->spots[spot->holder].level + 1;
            spot->drawn = numa || (spot->place > 1 && spot->level < SVG_LEVELS);
        } else {
            spot->drawn = t->nodes[i].kind == TOPOLOGY_NIC ? spot->place == 0 : spot->holder >= 0;
        }
        if (spot->drawn && is_bar(&t->nodes[i]) && spot->level >= v->levels)
            v->levels = spot->level + 1;
    }
    for (int k = 0; v->order[k] >= 0; k++) {
        struct svg_spot *spot = &v->spots[v->order[k]];

        if (is_bar(&t->nodes[v->order[k]]) || !spot->drawn || spot->holder < 0)
            continue;
        if (t->nodes[v->order[k]].kind == TOPOLOGY_GPU)
            spot->place = v->spots[spot->holder].gpus++;
        else
            spot->place = v->spots[spot->holder].boxes++;
    }
}

static int columns_of(const struct svg_spot *bar)
{
    int boxes = (bar->boxes + ROWS_MOST - 1) / ROWS_MOST;

    return bar->gpus > boxes ? bar->gpus : boxes;
}

/* From the leaves up; returns the rows of NICs. */
static int measure(struct svg *v)
{
    const struct topology *t = &v->s->host;
    int n = 0, rows = 0;

    while (v->order[n] >= 0)
        n++;
    while (n-- > 0) {
        struct svg_spot *spot = &v->spots[v->order[n]];
        const struct topology_node *node = &t->nodes[v->order[n]];
        double least = node->kind == TOPOLOGY_NUMA ? 190 : 114;

        if (!is_bar(node) || !spot->drawn)
            continue;
        spot->columns = columns_of(spot);
        if (spot->columns && (spot->boxes + spot->columns - 1) / spot->columns > rows)
            rows = (spot->boxes + spot->columns - 1) / spot->columns;
        /* w holds what the bars below need, each with a gap; half a gap is left at both ends. */
        spot->w += spot->columns ? spot->columns * v->column + GAP : 0;
        spot->inset = GAP / 2;
        if (spot->w < least) {
            spot->inset += (least - spot->w) / 2;
            spot->w = least;
        }
        if (spot->holder >= 0)
            v->spots[spot->holder].w += spot->w + GAP;
    }
    return rows;
}

/* In the middle, unless its label would be in the way of rings. */
double svg_up(const struct svg *v, const struct svg_spot *bar)
{
    /* Bars end half a gap within the one that they hang from. */
    double end = bar->x + bar->w - GAP / 2 * (v->levels - 1 - bar->level);

    return v->tracks && bar->w < 400 ? end - v->lane / 2 - 4 : bar->x + bar->w / 2;
}

static double bar_height(const struct svg *v)
{
    return SVG_LABEL + 4 + (v->tracks ? 2 * v->tracks * v->pitch + 4 : 0);
}

static void place_bars(struct svg *v)
{
    const struct topology *t = &v->s->host;
    double x = SVG_MARGIN, pitch = bar_height(v) + 16, top = 92;
    int numas = topology_count(t, TOPOLOGY_NUMA, -1);

    if (numas > 1) {
        v->smp = (struct svg_spot){ .drawn = true, .x = x, .y = top, .h = bar_height(v) };
        top += v->smp.h + 18;
    }
    for (int k = 0; v->order[k] >= 0; k++) {
        struct svg_spot *spot = &v->spots[v->order[k]];
        double *cursor = spot->holder < 0 ? &x : &v->spots[spot->holder].cursor;

        if (!is_bar(&t->nodes[v->order[k]]) || !spot->drawn)
            continue;
        spot->x = *cursor;
        spot->y = top + 6 + spot->level * pitch;
        spot->h = bar_height(v);
        *cursor += spot->w + GAP + (spot->holder < 0 ? GAP : 0);
        spot->cursor = spot->x + spot->inset + (spot->columns ? spot->columns * v->column + GAP : 0);
    }
    v->width = x - 2 * GAP + SVG_MARGIN;
    v->smp.w = v->width - 2 * SVG_MARGIN;
    v->leaf_top = top + v->levels * pitch + 4;
}

static void place_leaves(struct svg *v, int rows)
{
    const struct topology *t = &v->s->host;

    v->gpu_top = v->leaf_top + rows * SVG_NIC + (rows ? 6 : 0);
    v->gpu_bottom = v->gpu_top + (v->s->ngpus ? SVG_GPU : 0);
    for (int k = 0; v->order[k] >= 0; k++) {
        struct svg_spot *spot = &v->spots[v->order[k]];
        const struct svg_spot *bar = spot->holder < 0 ? NULL : &v->spots[spot->holder];
        const struct topology_node *node = &t->nodes[v->order[k]];

        if (is_bar(node) || !spot->drawn || !bar)
            continue;
        spot->x = bar->x + bar->inset + v->column * (spot->place % (bar->columns ? bar->columns : 1));
        if (node->kind == TOPOLOGY_GPU) {
            spot->x += 3;
            spot->w = v->column - 6;
            spot->y = v->gpu_top;
            spot->h = SVG_GPU;
        } else {
            spot->x += 5 + v->lane;
            spot->w = v->column - v->lane - 14;
            spot->y = v->leaf_top + SVG_NIC * (spot->place / (bar->columns ? bar->columns : 1));
            spot->h = SVG_NIC - 4;
        }
    }
}

/* Bars below everything, as wide as the picture's machine. */
static void place_switches(struct svg *v)
{
    const struct topology *t = &v->s->host;
    int rings = v->s->plan ? v->s->plan->nrings : 0;
    double y = v->arcs_bottom + 26;

    v->pitch_switch = rings ? 2 * svg_switch_half(v) / (2 * rings) : 0;
    v->pitch_switch = v->pitch_switch > 3.5 ? 3.5 : v->pitch_switch;
    for (int i = 0; i < t->nnodes; i++) {
        struct svg_spot *spot = &v->spots[i];
        double left = v->width, right = 0;

        if (t->nodes[i].kind != TOPOLOGY_NVSWITCH)
            continue;
        for (int k = t->first[i]; k < t->first[i + 1]; k++) {
            const struct topology_link *link = &t->links[t->incident[k]];
            const struct svg_spot *end = &v->spots[link->a + link->b - i];

            if (!end->drawn)
                continue;
            left = end->x < left ? end->x : left;
            right = end->x + end->w > right ? end->x + end->w : right;
        }
        if (left > right)
            continue;
        *spot = (struct svg_spot){ .drawn = true, .holder = -1, .x = left, .y = y, .w = right - left };
        spot->h = SVG_LABEL + 6 + (rings ? 2 * rings * v->pitch_switch + 4 : 0);
        y += spot->h + 12;
        v->arcs_bottom = y - 12;
    }
}

static bool has_c2c(const struct svg *v)
{
    for (int i = 0; i < v->s->host.nlinks; i++)
        if (v->s->host.links[i].medium == MEDIUM_C2C)
            return true;
    return false;
}

int svg_place(struct svg *v)
{
    const struct topology_plan *p = v->s->plan;
    int rows, rings = p && p->ngpus > 1 ? p->nrings : 0, listed, status;

    for (int i = 0; i < v->s->host.nnodes; i++)
        v->spots[i] = (struct svg_spot){ .holder = -1 };
    for (int r = 0; r < rings; r++)
        v->track[r] = svg_passes_pci(v, r) ? v->tracks++ : -1;
    v->pitch = v->tracks ? 30.0 / (2 * v->tracks) : 0;
    v->pitch = v->pitch > 3.5 ? 3.5 : v->pitch;
    v->lane = (v->tracks ? 2 * v->tracks * v->pitch + 8 : 10) + (has_c2c(v) ? 8 : 0);
    v->column = v->s->ngpus <= 4 ? 132 : 108;
    if (v->lane > 12)
        v->column += v->lane - 12;
    choose_drawn(v);
    rows = measure(v);
    place_bars(v);
    place_leaves(v, rows);
    v->arcs_bottom = v->gpu_bottom + 10;
    status = svg_place_arcs(v);
    if (status)
        return status;
    place_switches(v);
    v->width = v->width < 760 ? 760 : v->width;
    v->legend_top = v->arcs_bottom + 34;
    listed = rings > SVG_RINGS_LISTED ? SVG_RINGS_LISTED + 2 : rings;
    v->height = v->legend_top + SVG_LEGEND_ROW * ((listed + 1) / 2);
    return PEAL_OK;
}
