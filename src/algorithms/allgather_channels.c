/* SPDX-License-Identifier: BSD-3-Clause */
/* Allgather over channels: a ring in each, at the same time, with its share of every block.
 *
 * 3 ranks, 6 blocks a b c d e f, 2 channels:
 *   step  rank 0           rank 1           rank 2
 *      1  a>1 e<2 b>2 d<1  c>2 a<0 d>0 f<2  e>0 c<1 f>1 b<0
 *      2  e>1 c<2 d>2 f<1  a>2 e<0 f>0 b<2  c>0 a<1 b>1 d<0
 */
#include "algorithms/channels.h"

extern const struct algorithm allgather_ring;

static void build(struct schedule *s, const struct call *c)
{
    channels_build(s, c, &allgather_laps);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return allgather_ring.price(n, groups, bytes);
}

const struct algorithm allgather_channels = {
    .name = "channels",
    .collective = ALLGATHER,
    .cost = "a ring in each channel of the layout, with its share of every block; each n-1 steps",
    .price = price,
    .uses = channels_exist,
    .over = channels_over_rings,
    .by_place = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
