/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files that make a picture: where everything is, and drawing on it.
 *
 * From top to bottom: a bar for the links between NUMA nodes; boxes of NUMA nodes side by side, in
 * them bars for PCI switches, each as wide as all that hangs from it; NIC ports; one row of GPUs;
 * arcs for direct NVLinks; a bar for an NVSwitch; the legend.  So every PCI link and every NVLink
 * to a switch is a vertical line, and a way through the machine is made of verticals and of
 * horizontals within bars. */
#ifndef TOPOLOGY_SHOW_SVG_H
#define TOPOLOGY_SHOW_SVG_H

#include "topology/show.h"

enum { SVG_LEVELS = 8, SVG_SMP = -2 };           /* SVG_SMP: the bar that is no node */

struct svg_spot {
    bool   drawn;
    int    holder;                     /* bar that it hangs from; -1 */
    int    level;                      /* of a bar: 0 NUMA nodes */
    int    gpus, boxes;                /* of a bar: GPUs and NICs in columns of its own */
    int    columns;
    int    place;                      /* of a GPU or NIC: which of its bar's */
    double x, y, w, h;
    double inset, cursor;              /* of a bar: before its first; where its next bar begins */
};

/* Where a direct NVLink ends at its GPUs. */
struct svg_arc {
    int    link;                       /* of the topology */
    double left, right, depth;         /* the arc's middle line */
    double lane;                       /* width of one lane, one direction */
    double used[2];                    /* by rings drawn so far, to the right and to the left */
};

struct svg {
    const struct show *s;
    FILE  *out;
    struct svg_spot *spots;            /* of every node */
    int   *order;                      /* show_order() */
    struct svg_arc *arcs;
    int    narcs;
    int    levels;                     /* of bars */
    double width, height;
    double column, lane;               /* width of a GPU's column; of its way up */
    struct svg_spot smp;
    double leaf_top, gpu_top, gpu_bottom, arcs_bottom, legend_top;
    int   *track;                      /* of each ring: which track it has in bars of PCI, or -1 */
    int    tracks;
    double pitch, pitch_switch;        /* between tracks: in bars of PCI, in NVSwitches */
};

enum { SVG_MARGIN = 16, SVG_LABEL = 16, SVG_NIC = 34, SVG_GPU = 60, SVG_LEGEND_ROW = 18,
       SVG_RINGS_LISTED = 24 };

int  svg_place(struct svg *v);                   /* PEAL_ERR_MEMORY */
int  svg_place_arcs(struct svg *v);
void svg_draw_arcs(struct svg *v);
void svg_draw_rings(struct svg *v);
const char *svg_colour(int ring);
/* Does a step of this ring pass PCI? */
bool svg_passes_pci(const struct svg *v, int ring);
/* Where the link from a bar to the one above it is drawn. */
double svg_up(const struct svg *v, const struct svg_spot *bar);
/* Half of the band that a link of GPU to NVSwitch is drawn as. */
double svg_switch_half(const struct svg *v);

void svg_text(const struct svg *v, double x, double y, double size, const char *style,
              double room, const char *text);

#endif
