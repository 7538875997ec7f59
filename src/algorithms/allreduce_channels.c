/* SPDX-License-Identifier: BSD-3-Clause */
/* Allreduce over channels: a ring in each, at the same time, with its share of the buffer.  Where
 * rings take different links, as the plan of a machine has them, all of these carry something.
 * (Jeaugey, "NCCL 2.0", 2017; Wang et al., "Blink", 2020, for the links that one ring leaves idle.)
 *
 * 3 ranks, 6 blocks a b c d e f, 2 channels:
 *   step  rank 0             rank 1             rank 2
 *      1  a>1 +c<2 f>2 +e<1  b>2 +a<0 e>0 +d<2  c>0 +b<1 d>1 +f<0
 *      2  c>1 +b<2 e>2 +d<1  a>2 +c<0 d>0 +f<2  b>0 +a<1 f>1 +e<0
 *      3  b>1 a<2 d>2 f<1    c>2 b<0 f>0 e<2    a>0 c<1 e>1 d<0
 *      4  a>1 c<2 f>2 e<1    b>2 a<0 e>0 d<2    c>0 b<1 d>1 f<0
 */
#include "algorithms/channels.h"

extern const struct algorithm allreduce_ring;

static void build(struct schedule *s, const struct call *c)
{
    channels_build(s, c, &allreduce_laps);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return allreduce_ring.price(n, groups, bytes);
}

const struct algorithm allreduce_channels = {
    .name = "channels",
    .collective = ALLREDUCE,
    .cost = "a ring in each channel of the layout, with its share: each 2(n-1) steps, every rank "
            "sends 2(n-1)/n of the buffer in all",
    .price = price,
    .uses = channels_exist,
    .over = channels_over_rings,
    .by_place = true,
    .two_ways = true,
    .build = build,
};
