/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of several blocks of an allgather: one message where the blocks lie
 * side by side, one for each where slices tear them apart. */
#ifndef RUNS_H
#define RUNS_H

#include "algorithms/algorithm.h"

/* Blocks [i, i + n) of DST; n may be 0. */
static inline void run_send(struct schedule *s, const struct call *c, int peer, int i, int n)
{
    int step = c->nslices == 1 ? n : 1;

    for (int k = i; k < i + n; k += step)
        schedule_send(s, peer, blocks(c, DST, k, step));
}

static inline void run_recv(struct schedule *s, const struct call *c, int peer, int i, int n)
{
    int step = c->nslices == 1 ? n : 1;

    for (int k = i; k < i + n; k += step)
        schedule_recv(s, peer, blocks(c, DST, k, step));
}

#endif
