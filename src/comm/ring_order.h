/* SPDX-License-Identifier: BSD-3-Clause */
/* The order of a host's ranks along a ring over its GPUs, and the other ways of its plan (topology/plan.h).
 *
 * Which GPU a rank has depends on how many ranks of its host come before it, which nobody knows before
 * all have met.  So each rank brings the places that the ranks of its host have in turn, and the table
 * of all ranks tells everybody's: without a message more, and alike on all ranks, whatever each has
 * found.
 *
 * The other rings of the plan are orders of those places, its trees are over them.  A rank keeps both to
 * itself and brings their hash: where hosts are alike, each knows those of all by its own, and where they
 * are not, none are used.  Trees hang from GPUs whose ports then carry alike between hosts.  Thread-safe. */
#ifndef RING_ORDER_H
#define RING_ORDER_H

#include "comm/handshake.h"
#include "topology/layout.h"
#include "topology/topology.h"

/* The places of the ranks of a host like `t`, in turn: into record->turns; all rings and trees, with their
 * hash in record->where.plan (not of one ring without a tree).  None (no failure): it has no GPUs, more than
 * RECORD_TURNS, or nothing joins them.  PEAL_ERR_ARGUMENT: PEAL_GPU names none.  PEAL_ERR_MEMORY. */
int  ring_order_find(const struct topology *t, struct record *record, struct layout_plan *ways);

/* The same of this machine, which is looked at once, and only if at a glance it may have GPUs.  A
 * failure is a warning: then nothing is known. */
void ring_order_here(struct record *record, struct layout_plan *ways);

/* Each rank's own, where.ring, from what all have brought.  PEAL_ERR_MEMORY. */
int  ring_order_take(struct record *records, int nranks);

#endif
