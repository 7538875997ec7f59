/* SPDX-License-Identifier: BSD-3-Clause */
/* Flow networks: how much can go from one node to another, and the cut that says why not more. */
#ifndef FLOW_H
#define FLOW_H

#include <stdbool.h>

struct flow_arc { int to; double capacity, left; };

struct flow {
    int    nnodes, narcs;              /* arc i and its reverse i ^ 1 */
    int    room;
    struct flow_arc *arcs;
    int   *next, *first;               /* lists of arcs by node, -1 ends */
    int   *back, *queue;
    bool   failed;                     /* no memory: remembered */
};

void flow_init(struct flow *flow, int nnodes);
void flow_free(struct flow *flow);
void flow_arc(struct flow *flow, int from, int to, double capacity);
/* The most that can go from one node to another at the same time.  Then flow_side() says which nodes
 * are on the source's side of a least cut. */
double flow_most(struct flow *flow, int from, int to);
bool   flow_side(const struct flow *flow, int node);

#endif
