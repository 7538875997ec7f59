/* SPDX-License-Identifier: BSD-3-Clause */
/* The picture of a host, with its rings: plain SVG, no scripts, nothing from elsewhere. */
#include "topology/show_svg.h"

#include "base/status.h"

#include <stdlib.h>
#include <string.h>

static const char style[] =
    "<style>\n"
    "text{font-family:Helvetica,Arial,'DejaVu Sans',sans-serif;fill:#1c2128}\n"
    ".strong{font-weight:bold}.faint{fill:#57606a}\n"
    ".paper{fill:#ffffff}.numa{fill:#f5f7f9;stroke:#c3cbd4}.bar{fill:#e3e8ee;stroke:#9aa5b1}\n"
    ".gpu{fill:#dff2d8;stroke:#55a046}.nic{fill:#fdecd0;stroke:#cf9332}\n"
    ".switch{fill:#e0e3fa;stroke:#7f86d6}.link{stroke:#aab4bf;fill:none}\n"
    ".fast{stroke:#d5dae1;fill:none}.c2c{stroke:#cfd3f5;fill:none}\n"
    "@media (prefers-color-scheme:dark){\n"
    "text{fill:#e6edf3}.faint{fill:#9ea7b3}\n"
    ".paper{fill:#14181d}.numa{fill:#1b2027;stroke:#3b444f}.bar{fill:#2a323c;stroke:#566270}\n"
    ".gpu{fill:#1f3a1d;stroke:#55a046}.nic{fill:#443114;stroke:#cf9332}\n"
    ".switch{fill:#2a2d52;stroke:#7f86d6}.link{stroke:#5d6875}\n"
    ".fast{stroke:#39424d}.c2c{stroke:#3f4580}}\n"
    "</style>\n";

/* Text that is cut to the room it has (0: any). */
void svg_text(const struct svg *v, double x, double y, double size, const char *class,
              double room, const char *text)
{
    /* Widths of letters are not known here: those of a wide font. */
    double letter = size * (strcmp(class, "strong") ? 0.6 : 0.68);
    size_t most = room > 0 ? (size_t)(room / letter) : 1000, length = strlen(text);
    char cut[400];

    if (!length || !most)
        return;
    if (length > most) {
        /* Not in the middle of a character. */
        while (most > 1 && (text[most - 1] & 0xc0) == 0x80)
            most--;
        snprintf(cut, sizeof cut, "%.*s\xe2\x80\xa6", (int)(most > 300 ? 300 : most - 1), text);
        text = cut;
    }
    fprintf(v->out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%g\" class=\"%s\">", x, y, size, class);
    show_text(v->out, SHOW_XML, text);
    fputs("</text>\n", v->out);
}

static void box(const struct svg *v, double x, double y, double w, double h, double round,
                const char *class)
{
    fprintf(v->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%g\" "
            "class=\"%s\"/>\n", x, y, w, h, round, class);
}

static void line(const struct svg *v, double x1, double y1, double x2, double y2, double width,
                 const char *class)
{
    fprintf(v->out, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke-width=\"%.1f\" class=\"%s\"/>\n", x1,
            y1, x2, y2, width, class);
}

/* ---- The parts ------------------------------------------------------------------------- */

/* The slowest link from a node to the bar it is drawn under. */
static int narrowest(const struct svg *v, int node)
{
    const struct topology *t = &v->s->host;
    int least = -1;

    for (int at = node; at >= 0 && at != v->spots[node].holder; at = t->nodes[at].parent) {
        int link = show_uplink(t, at);

        if (link >= 0 && (least < 0 || t->links[link].bandwidth < t->links[least].bandwidth))
            least = link;
    }
    return least;
}

static void link_text(const struct svg *v, int node, char *text, size_t size)
{
    const struct topology *t = &v->s->host;
    int link = narrowest(v, node);

    *text = '\0';
    if (link >= 0 && t->links[link].lanes > 0 && t->links[link].medium == MEDIUM_PCI)
        snprintf(text, size, "x%d %.3g GB/s", t->links[link].lanes, t->links[link].bandwidth);
    else if (link >= 0)
        snprintf(text, size, "%s%.3g GB/s", t->links[link].medium == MEDIUM_PCI ? "PCI " : "",
                 t->links[link].bandwidth);
}

static void draw_numas(const struct svg *v)
{
    const struct topology *t = &v->s->host;

    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].kind == TOPOLOGY_NUMA)
            box(v, v->spots[i].x - 4, v->spots[i].y - 6, v->spots[i].w + 8,
                v->gpu_bottom - v->spots[i].y + 14, 8, "numa");
}

static void draw_up(const struct svg *v, int i)
{
    const struct topology *t = &v->s->host;
    const struct svg_spot *spot = &v->spots[i];
    const struct svg_spot *bar = spot->holder < 0 ? NULL : &v->spots[spot->holder];
    enum topology_kind kind = t->nodes[i].kind;
    double wide = v->tracks ? 2 * v->tracks * v->pitch + 3 : 2;

    if (kind == TOPOLOGY_NUMA && v->smp.drawn)
        line(v, svg_up(v, spot), spot->y, svg_up(v, spot), v->smp.y + v->smp.h, wide, "fast");
    if (!bar)
        return;
    if (kind == TOPOLOGY_GPU) {
        line(v, spot->x + v->lane / 2, spot->y, spot->x + v->lane / 2, bar->y + bar->h, wide, "fast");
    } else if (kind == TOPOLOGY_SWITCH || kind == TOPOLOGY_ROOT) {
        line(v, svg_up(v, spot), spot->y, svg_up(v, spot), bar->y + bar->h, wide, "fast");
    } else {
        double side = spot->x + spot->w + 5;

        fprintf(v->out, "<path d=\"M%.1f %.1fH%.1fV%.1f\" stroke-width=\"1.5\" class=\"link\"/>\n",
                spot->x + spot->w, spot->y + spot->h / 2, side, bar->y + bar->h);
    }
}

/* NVLinks to NVSwitches, and GPUs' own links to the processor. */
static void draw_fast(const struct svg *v)
{
    const struct topology *t = &v->s->host;

    for (int i = 0; i < t->nlinks; i++) {
        const struct topology_link *link = &t->links[i];
        int gpu = t->nodes[link->a].kind == TOPOLOGY_GPU ? link->a : link->b, other;
        const struct svg_spot *spot = &v->spots[gpu];

        other = link->a + link->b - gpu;
        if (t->nodes[gpu].kind != TOPOLOGY_GPU || !spot->drawn || !v->spots[other].drawn)
            continue;
        if (t->nodes[other].kind == TOPOLOGY_NVSWITCH)
            line(v, spot->x + spot->w / 2, v->gpu_bottom, spot->x + spot->w / 2,
                 v->spots[other].y, 2 * svg_switch_half(v), "fast");
        else if (t->nodes[other].kind == TOPOLOGY_NUMA && link->medium != MEDIUM_PCI)
            line(v, spot->x + v->lane - 2, spot->y, spot->x + v->lane - 2,
                 v->spots[other].y + v->spots[other].h, 6, "c2c");
    }
}

/* "switch 05:00.0": domain 0 is not said; where it is tight, the address is enough. */
static void bar_label(const struct svg *v, int node, bool tight, char label[SHOW_LABEL])
{
    const struct topology_node *n = &v->s->host.nodes[node];
    char bus[20];

    topology_bus_print(n->bus, bus);
    if (n->bus == TOPOLOGY_NO_BUS)
        snprintf(label, SHOW_LABEL, "%s", n->name);
    else
        snprintf(label, SHOW_LABEL, "%s%s%s", tight ? "" : topology_kind_name(n->kind),
                 tight ? "" : " ", bus + (strncmp(bus, "0000:", 5) ? 0 : 5));
}

static void draw_bar(const struct svg *v, int i)
{
    const struct topology_node *n = &v->s->host.nodes[i];
    const struct svg_spot *spot = &v->spots[i];
    char label[SHOW_LABEL], up[40], text[640];

    link_text(v, i, up, sizeof up);
    if (n->kind == TOPOLOGY_NUMA) {
        show_label(v->s, i, label);
        snprintf(text, sizeof text, "%s%s%s", label, *n->cpus ? ": cores " : "", n->cpus);
    } else {
        bar_label(v, i, spot->w < 220, label);
        /* The lanes are the first to go. */
        if (spot->w < 150 && strchr(up, ' '))
            memmove(up, strchr(up, ' ') + 1, strlen(strchr(up, ' ')));
        snprintf(text, sizeof text, "%s%s%s", label, *up ? ": " : "", up);
    }
    box(v, spot->x, spot->y, spot->w, spot->h, 4, "bar");
    svg_text(v, spot->x + 6, spot->y + 13, 11, n->kind == TOPOLOGY_NUMA ? "strong" : "ink",
             spot->w - 6, text);
}

/* Its ways to the processor. */
static void gpu_text(const struct svg *v, int gpu, char *text, size_t size)
{
    const struct topology *t = &v->s->host;
    int link = narrowest(v, gpu);

    link_text(v, gpu, text, size);
    for (int i = t->first[gpu]; i < t->first[gpu + 1]; i++) {
        const struct topology_link *other = &t->links[t->incident[i]];

        if (other->medium == MEDIUM_C2C && link >= 0 && other != &t->links[link])
            snprintf(text, size, "PCI %.3g, C2C %.3g GB/s", t->links[link].bandwidth,
                     other->bandwidth);
    }
}

static void draw_leaf(const struct svg *v, int i)
{
    const struct show *s = v->s;
    const struct topology_node *n = &s->host.nodes[i];
    const struct svg_spot *spot = &v->spots[i];
    char label[SHOW_LABEL], text[80];

    show_label(s, i, label);
    if (n->kind != TOPOLOGY_GPU) {
        box(v, spot->x, spot->y, spot->w, spot->h, 3, "nic");
        snprintf(text, sizeof text, "%s %s", label, n->kind == TOPOLOGY_PORT ? n->name : "");
        svg_text(v, spot->x + 4, spot->y + 12, 10, "ink", spot->w - 2, text);
        snprintf(text, sizeof text, "%.3g GB/s", n->speed);
        svg_text(v, spot->x + 4, spot->y + 24, 10, "faint", spot->w - 4, n->speed > 0 ? text : "");
        return;
    }
    box(v, spot->x, spot->y, spot->w, spot->h, 5, "gpu");
    svg_text(v, spot->x + 7, spot->y + 17, 14, "strong", spot->w - 8, label);
    gpu_text(v, i, text, sizeof text);
    svg_text(v, spot->x + 7, spot->y + 33, 10, "faint", spot->w - 8, text);
    for (int k = 0; s->plan && k < s->plan->ngpus; k++)
        if (s->plan->gpus[k] == i && s->plan->port[k] >= 0) {
            show_label(s, s->plan->port[k], label);
            snprintf(text, sizeof text, "uses %s", label);
            svg_text(v, spot->x + 7, spot->y + 48, 10, "faint", spot->w - 8, text);
        }
}

static void draw_switch(const struct svg *v, int i)
{
    const struct topology *t = &v->s->host;
    double least = 0, most = 0;
    int lanes = 0;
    char text[200];

    for (int k = t->first[i]; k < t->first[i + 1]; k++) {
        const struct topology_link *link = &t->links[t->incident[k]];

        least = !least || link->bandwidth < least ? link->bandwidth : least;
        most = link->bandwidth > most ? link->bandwidth : most;
        lanes = link->lanes > lanes ? link->lanes : lanes;
    }
    snprintf(text, sizeof text, "%s: ", t->nodes[i].name);
    if (lanes)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d NVLinks, ", lanes);
    if (least < most)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%.3g to ", least);
    snprintf(text + strlen(text), sizeof text - strlen(text), "%.3g GB/s for each GPU", most);
    if (v->s->fabric_hosts > 1 && t->nodes[i].host < 0)
        snprintf(text + strlen(text), sizeof text - strlen(text), ", shared with %d more hosts",
                 v->s->fabric_hosts - 1);
    box(v, v->spots[i].x, v->spots[i].y, v->spots[i].w, v->spots[i].h, 4, "switch");
    /* Below the rings, which come from above. */
    svg_text(v, v->spots[i].x + 6, v->spots[i].y + v->spots[i].h - 6, 11, "strong",
             v->spots[i].w - 10, text);
}

static void draw_smp(const struct svg *v)
{
    const struct topology *t = &v->s->host;
    double least = 0, most = 0;
    char text[100] = "between NUMA nodes";

    for (int i = 0; i < t->nlinks; i++)
        if (t->links[i].medium == MEDIUM_SMP) {
            least = !least || t->links[i].bandwidth < least ? t->links[i].bandwidth : least;
            most = t->links[i].bandwidth > most ? t->links[i].bandwidth : most;
        }
    if (least < most)
        snprintf(text, sizeof text, "between NUMA nodes: %.3g to %.3g GB/s", least, most);
    else if (most > 0)
        snprintf(text, sizeof text, "between NUMA nodes: %.3g GB/s", most);
    box(v, v->smp.x, v->smp.y, v->smp.w, v->smp.h, 4, "bar");
    svg_text(v, v->smp.x + 6, v->smp.y + 13, 11, "strong", v->smp.w - 10, text);
}

/* ---- Words around it ------------------------------------------------------------------- */

static void draw_title(const struct svg *v)
{
    const struct topology_plan *p = v->s->plan;
    char *counts = NULL, rings[240] = "";
    size_t bytes;
    FILE *out = open_memstream(&counts, &bytes);

    if (out) {
        show_counts(v->s, ". ", out);
        fclose(out);
    }
    svg_text(v, SVG_MARGIN, 28, 18, "strong", v->width - 2 * SVG_MARGIN, v->s->source);
    svg_text(v, SVG_MARGIN, 48, 12, "ink", v->width - 2 * SVG_MARGIN, counts ? counts : "");
    free(counts);
    if (!p)
        snprintf(rings, sizeof rings, "No rings: %s", v->s->no_plan);
    else if (p->ngpus > 1)
        snprintf(rings, sizeof rings, "%d ring%s: %.4g GB/s together, of at most %.4g GB/s%s",
                 p->nrings, p->nrings == 1 ? "" : "s", p->ring_total, p->bound,
                 p->optimal ? " (optimal)" : "");
    svg_text(v, SVG_MARGIN, 66, 12, "ink", v->width - 2 * SVG_MARGIN, rings);
    if (p && p->ngpus > 1)
        svg_text(v, SVG_MARGIN, 82, 10, "faint", v->width - 2 * SVG_MARGIN, v->narcs ?
                 "Outer half of an arc: to the right; inner half: to the left. On straight lines "
                 "rings leave a GPU on the left." :
                 "Rings leave a GPU on the left of its link and come to it on the right.");
}

static void draw_legend(const struct svg *v)
{
    const struct topology_plan *p = v->s->plan;
    int listed = !p || p->ngpus < 2 ? 0 : p->nrings > SVG_RINGS_LISTED ? SVG_RINGS_LISTED : p->nrings;
    int half = (listed + 1) / 2;
    double room = (v->width - 2 * SVG_MARGIN) / 2;

    for (int r = 0; r < listed; r++) {
        double x = SVG_MARGIN + (r < half ? 0 : room), y = v->legend_top + SVG_LEGEND_ROW * (r % half);
        char text[400];
        size_t length = (size_t)snprintf(text, sizeof text, "%.4g GB/s:", p->rings[r].bandwidth);

        for (int i = 0; i < p->ngpus && length < sizeof text; i++)
            length += (size_t)snprintf(text + length, sizeof text - length, " %d",
                                       v->s->host.nodes[p->gpus[p->rings[r].gpus[i]]].number);
        fprintf(v->out, "<path d=\"M%.1f %.1fh24\" stroke=\"%s\" stroke-width=\"4\"/>\n", x, y - 4,
                svg_colour(r));
        svg_text(v, x + 30, y, 11, "ink", room - 36, text);
    }
    if (p && listed < p->nrings && listed) {
        char text[60];

        snprintf(text, sizeof text, "and %d more rings", p->nrings - listed);
        svg_text(v, SVG_MARGIN, v->legend_top + SVG_LEGEND_ROW * half, 11, "faint", 0, text);
    }
}

static void draw(struct svg *v)
{
    const struct topology *t = &v->s->host;

    fprintf(v->out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n<title>", v->width, v->height, v->width,
            v->height);
    show_text(v->out, SHOW_XML, v->s->source);
    fprintf(v->out, "</title>\n%s", style);
    fprintf(v->out, "<rect width=\"%.0f\" height=\"%.0f\" class=\"paper\"/>\n", v->width, v->height);
    draw_title(v);
    draw_numas(v);
    for (int k = 0; v->order[k] >= 0; k++)
        if (v->spots[v->order[k]].drawn)
            draw_up(v, v->order[k]);
    draw_fast(v);
    if (v->smp.drawn)
        draw_smp(v);
    for (int i = 0; i < t->nnodes; i++)
        if (v->spots[i].drawn && t->nodes[i].kind == TOPOLOGY_NVSWITCH)
            draw_switch(v, i);
    for (int k = 0; v->order[k] >= 0; k++)
        if (v->spots[v->order[k]].drawn && t->nodes[v->order[k]].kind <= TOPOLOGY_SWITCH)
            draw_bar(v, v->order[k]);
    svg_draw_arcs(v);
    svg_draw_rings(v);
    for (int k = 0; v->order[k] >= 0; k++)
        if (v->spots[v->order[k]].drawn && t->nodes[v->order[k]].kind > TOPOLOGY_SWITCH)
            draw_leaf(v, v->order[k]);
    draw_legend(v);
    fputs("</svg>\n", v->out);
}

void show_svg(const struct show *s, FILE *out)
{
    struct svg v = { .s = s, .out = out, .order = show_order(&s->host) };

    v.spots = malloc((size_t)(s->host.nnodes + 1) * sizeof *v.spots);
    v.arcs = malloc((size_t)(s->host.nlinks + 1) * sizeof *v.arcs);
    v.track = malloc((size_t)((s->plan ? s->plan->nrings : 0) + 1) * sizeof *v.track);
    if (v.order && v.spots && v.arcs && v.track && svg_place(&v) == PEAL_OK)
        draw(&v);
    else
        fputs("<svg xmlns=\"http://www.w3.org/2000/svg\"><!-- no memory for the picture --></svg>\n",
              out);
    free(v.order);
    free(v.spots);
    free(v.arcs);
    free(v.track);
}
