/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings a step at a time, and several at once.
 *
 * A layout may have channels: more orders of its places, each with a share of the buffer.  What goes
 * over one is a call of its own: among the same ranks in that order, on that portion of each slice and
 * block.  Rings take their steps in turn, so that all move at the same time even where operations are
 * run in the order of the program. */
#ifndef CHANNELS_H
#define CHANNELS_H

#include "algorithms/algorithm.h"

/* What one ring remembers between its steps. */
struct lap { struct span slot[2], sum, result; };

/* A ring algorithm.  In place, what the last step and end() write as DST lies where SRC has the same bytes
 * of the rank's own block, or lower: so channels go in the order of their portions.  (Two ranks, whose last
 * step sends from SRC, have one order and so no channels.) */
struct laps {
    void (*begin)(struct schedule *s, const struct call *c, struct lap *lap);
    int  (*steps)(int n);
    void (*step)(struct schedule *s, const struct call *c, struct lap *lap, int step);
    void (*end)(struct schedule *s, const struct call *c, struct lap *lap);
};
extern const struct laps allreduce_laps, allgather_laps, reduce_scatter_laps;

void laps_no_end(struct schedule *s, const struct call *c, struct lap *lap);

/* One ring, in the order of the call's numbers. */
void laps_build(struct schedule *s, const struct call *c, const struct laps *laps);

/* A ring in each channel; where there are none, one. */
void channels_build(struct schedule *s, const struct call *c, const struct laps *laps);

/* `a` in each channel, with the call's groups; `rings`: in the orders that rings have. */
void channels_each(struct schedule *s, const struct call *c, const struct algorithm *a, bool rings);

/* For `over`: the price of one ring that goes round, or one of anything that treats the members of
 * groups alike, as that of all channels. */
struct price channels_over_rings(const struct algorithm *self, const struct call *c, double bytes);
struct price channels_over(const struct algorithm *self, const struct call *c, double bytes);
bool channels_exist(const struct layout *layout);      /* for `uses` */

#endif
