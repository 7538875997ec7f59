/* SPDX-License-Identifier: BSD-3-Clause */
/* Direct NVLinks as arcs, and the rings: on the arcs, and along bars and verticals. */
#include "topology/show_svg.h"

#include "base/status.h"

#include <math.h>
#include <stdlib.h>

/* Of medium lightness, to be seen on white and on black. */
static const char *const colours[] = {
    "#0f7cc4", "#e0621a", "#1b9e62", "#c2539a", "#d39a00", "#4bb3e6", "#9a6148", "#7d4fc9",
    "#8f9a1e", "#d8323c", "#17a3a3", "#7b8794"
};

const char *svg_colour(int ring)
{
    return colours[ring % (int)(sizeof colours / sizeof *colours)];
}

static bool is_gpu(const struct svg *v, int node)
{
    return v->s->host.nodes[node].kind == TOPOLOGY_GPU && v->spots[node].drawn;
}

static bool is_fast(const struct topology_link *link)
{
    return link->medium == MEDIUM_NVLINK || link->medium == MEDIUM_XGMI;
}

static double middle(const struct svg *v, int node)
{
    return v->spots[node].x + v->spots[node].w / 2;
}

/* ---- Arcs ------------------------------------------------------------------------------ */

/* The end of an arc at one of its GPUs: which arc, and where the other end is. */
struct arc_end {
    int    arc;
    double other, here;
};

/* From left to right under a GPU: to the left near ones first, to the right far ones first, so that
 * arcs enclose each other and do not cross. */
static int order_ends(const void *a, const void *b)
{
    const struct arc_end *x = a, *y = b;
    bool left = x->other < x->here, left_too = y->other < y->here;

    if (left != left_too)
        return left ? -1 : 1;
    if (x->other != y->other)
        return x->other > y->other ? -1 : 1;
    return (x->arc > y->arc) - (x->arc < y->arc);
}

static int lanes_of(const struct svg *v, int arc)
{
    int lanes = v->s->host.links[v->arcs[arc].link].lanes;

    return lanes > 0 ? lanes : 1;
}

static int ends_at(const struct svg *v, int gpu, struct arc_end *ends)
{
    const struct topology *t = &v->s->host;
    int n = 0;

    for (int i = 0; i < v->narcs; i++) {
        const struct topology_link *link = &t->links[v->arcs[i].link];

        if (link->a == gpu || link->b == gpu)
            ends[n++] = (struct arc_end){ i, middle(v, link->a + link->b - gpu), middle(v, gpu) };
    }
    qsort(ends, (size_t)n, sizeof *ends, order_ends);
    return n;
}

/* How wide a lane may be: all ends have to fit under each GPU. */
static double lane_width(const struct svg *v, struct arc_end *ends)
{
    double width = 3.5;

    for (int d = 0; d < v->s->ngpus; d++) {
        int gpu = v->s->devices[d], n = ends_at(v, gpu, ends), lanes = 0;

        for (int i = 0; i < n; i++)
            lanes += lanes_of(v, ends[i].arc);
        if (lanes && (v->spots[gpu].w - 8 - 3 * n) / (2 * lanes) < width)
            width = (v->spots[gpu].w - 8 - 3 * n) / (2 * lanes);
    }
    return width < 0.3 ? 0.3 : width;
}

static void put_ends(struct svg *v, struct arc_end *ends, double width)
{
    for (int d = 0; d < v->s->ngpus; d++) {
        int gpu = v->s->devices[d], n = ends_at(v, gpu, ends);
        double all = 3.0 * (n - 1), x;

        for (int i = 0; i < n; i++)
            all += 2 * width * lanes_of(v, ends[i].arc);
        x = middle(v, gpu) - all / 2;
        for (int i = 0; i < n; i++) {
            struct svg_arc *arc = &v->arcs[ends[i].arc];
            double half = width * lanes_of(v, ends[i].arc);

            if (ends[i].other < ends[i].here)
                arc->right = x + half;
            else
                arc->left = x + half;
            arc->lane = width;
            x += 2 * half + 3;
        }
    }
}

int svg_place_arcs(struct svg *v)
{
    const struct topology *t = &v->s->host;
    struct arc_end *ends;
    double deepest = 0, span = 0;

    for (int i = 0; i < t->nlinks; i++)
        if (is_fast(&t->links[i]) && is_gpu(v, t->links[i].a) && is_gpu(v, t->links[i].b) &&
            v->s->device_of[t->links[i].a] >= 0 && v->s->device_of[t->links[i].b] >= 0)
            v->arcs[v->narcs++] = (struct svg_arc){ .link = i };
    ends = malloc((size_t)(v->narcs + 1) * sizeof *ends);
    if (!ends)
        return status_fail(PEAL_ERR_MEMORY, "no memory to draw %d links", v->narcs);
    if (v->narcs)
        put_ends(v, ends, lane_width(v, ends));
    free(ends);
    for (int i = 0; i < v->narcs; i++)
        if (v->arcs[i].right - v->arcs[i].left > span)
            span = v->arcs[i].right - v->arcs[i].left;
    for (int i = 0; i < v->narcs; i++) {
        struct svg_arc *arc = &v->arcs[i];
        double tall = span > 900 ? 330 : 60 + span * 0.3;

        arc->depth = 22 + tall * pow((arc->right - arc->left) / span, 0.85);
        /* A curve reaches 3/4 of the way to its control points. */
        if (arc->depth * 0.75 + arc->lane * lanes_of(v, i) > deepest)
            deepest = arc->depth * 0.75 + arc->lane * lanes_of(v, i);
    }
    v->arcs_bottom += deepest;
    return PEAL_OK;
}

/* The arc, moved outwards. */
static void put_arc(const struct svg *v, const struct svg_arc *arc, double outwards, double width,
                    const char *style)
{
    double depth = arc->depth + outwards * 4 / 3;

    fprintf(v->out, "<path d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f\" stroke-width=\"%.2f\" "
            "fill=\"none\" %s/>\n", arc->left - outwards, v->gpu_bottom, arc->left - outwards,
            v->gpu_bottom + depth, arc->right + outwards, v->gpu_bottom + depth,
            arc->right + outwards, v->gpu_bottom, width, style);
}

void svg_draw_arcs(struct svg *v)
{
    for (int i = 0; i < v->narcs; i++) {
        struct svg_arc *arc = &v->arcs[i];

        put_arc(v, arc, 0, 2 * arc->lane * lanes_of(v, i), "class=\"fast\"");
    }
}

/* ---- Rings ----------------------------------------------------------------------------- */

static int far_end(const struct topology *t, int hop)
{
    return hop & 1 ? t->links[hop / 2].a : t->links[hop / 2].b;
}

bool svg_passes_pci(const struct svg *v, int ring)
{
    const struct topology_plan *p = v->s->plan;

    for (int i = 0; i < p->ngpus; i++) {
        const struct topology_path *step = show_step(v->s, p->rings[ring].gpus[i],
                                                     p->rings[ring].gpus[(i + 1) % p->ngpus]);

        if (step && step->class >= CLASS_PIX && step->class <= CLASS_SYS)
            return true;
    }
    return false;
}

double svg_switch_half(const struct svg *v)
{
    return v->column / 2 - 14;
}

static void ring_on_arc(struct svg *v, int ring, int link, bool to_b)
{
    const struct topology *t = &v->s->host;

    for (int i = 0; i < v->narcs; i++) {
        struct svg_arc *arc = &v->arcs[i];
        const struct topology_link *l = &t->links[link];
        bool right = (middle(v, l->b) > middle(v, l->a)) == to_b;
        double half = arc->lane * lanes_of(v, i), width;
        char style[64];

        if (arc->link != link)
            continue;
        width = half * v->s->plan->rings[ring].bandwidth / l->bandwidth;
        width = width > half ? half : width < 0.8 ? 0.8 : width;
        snprintf(style, sizeof style, "stroke=\"%s\"", svg_colour(ring));
        put_arc(v, arc, (right ? 1 : -1) * (arc->used[!right] + width / 2), width * 0.85, style);
        arc->used[!right] += width;
    }
}

/* The drawn nodes of a path, from its first GPU to its last; returns how many. */
static int stations(const struct svg *v, const struct topology_path *path, int from, int *nodes)
{
    const struct topology *t = &v->s->host;
    int n = 0, before = from;

    nodes[n++] = from;
    for (int i = 0; i < path->nhops; i++) {
        int to = far_end(t, path->hops[i]);

        if (t->links[path->hops[i] / 2].medium == MEDIUM_SMP && t->nodes[before].kind == TOPOLOGY_NUMA)
            nodes[n++] = SVG_SMP;
        if (v->spots[to].drawn)
            nodes[n++] = to;
        before = to;
    }
    return n;
}

static const struct svg_spot *spot_of(const struct svg *v, int node)
{
    return node == SVG_SMP ? &v->smp : &v->spots[node];
}

/* Where a ring goes up from a node, or comes down to it. */
static double vertical(const struct svg *v, int node, int ring, bool down)
{
    const struct svg_spot *spot = spot_of(v, node);
    bool gpu = node >= 0 && v->s->host.nodes[node].kind == TOPOLOGY_GPU;
    double x = gpu ? spot->x + v->lane / 2 : svg_up(v, spot);

    return x + (down ? 1 : -1) * (v->track[ring] + 0.5) * v->pitch;
}

/* A line through PCI.  Between two stations the one lower in the picture has the vertical. */
static void ring_on_bars(const struct svg *v, int ring, const int *nodes, int n)
{
    double x = vertical(v, nodes[0], ring, false);

    fprintf(v->out, "<path d=\"M%.1f %.1f", x, spot_of(v, nodes[0])->y);
    for (int i = 1; i < n; i++) {
        const struct svg_spot *bar = spot_of(v, nodes[i]);
        bool last = i == n - 1, down = !last && spot_of(v, nodes[i + 1])->y > bar->y;
        double next, y;

        if (last) {
            fprintf(v->out, "V%.1f", bar->y);
            break;
        }
        next = vertical(v, down ? nodes[i + 1] : nodes[i], ring, down);
        y = bar->y + SVG_LABEL + 4 + (2 * v->track[ring] + (next < x) + 0.5) * v->pitch;
        fprintf(v->out, "V%.1fH%.1f", y, next);
        x = next;
    }
    fprintf(v->out, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"%.2f\"/>\n", svg_colour(ring),
            v->pitch * 0.7);
}

static void ring_on_switch(const struct svg *v, int ring, int from, int via, int to)
{
    double away = (ring + 0.5) * v->pitch_switch;
    double x = middle(v, from) - away, next = middle(v, to) + away;
    double y = v->spots[via].y + 4 + (2 * ring + (next < x) + 0.5) * v->pitch_switch;

    fprintf(v->out, "<path d=\"M%.1f %.1fV%.1fH%.1fV%.1f\" fill=\"none\" stroke=\"%s\" "
            "stroke-width=\"%.2f\"/>\n", x, v->gpu_bottom, y, next, v->gpu_bottom, svg_colour(ring),
            v->pitch_switch * 0.75);
}

void svg_draw_rings(struct svg *v)
{
    const struct topology_plan *p = v->s->plan;

    for (int r = 0; p && r < p->nrings; r++)
        for (int i = 0; i < p->ngpus && p->ngpus > 1; i++) {
            int a = p->rings[r].gpus[i], b = p->rings[r].gpus[(i + 1) % p->ngpus];
            const struct topology_path *step = show_step(v->s, a, b);
            int nodes[2 * PATH_HOPS + 2], n;

            if (!step || step->class == CLASS_NONE || !step->nhops)
                continue;
            n = stations(v, step, p->gpus[a], nodes);
            if (step->nhops == 1)
                ring_on_arc(v, r, step->hops[0] / 2, !(step->hops[0] & 1));
            else if (step->class == CLASS_NVSWITCH && n == 3)
                ring_on_switch(v, r, nodes[0], nodes[1], nodes[2]);
            else if (v->track[r] >= 0 && n > 2)
                ring_on_bars(v, r, nodes, n);
        }
}
