/* SPDX-License-Identifier: BSD-3-Clause */
/* Broadcast over channels: a chain in each from the root on, with its share of the buffer.
 *
 * 3 ranks, 2 blocks a b, 2 channels:
 *   step  rank 0   rank 1   rank 2
 *      1  a>1 b>2  a<0      b<0
 *      2           a>2 b<2  a<1 b>1
 */
#include "algorithms/channels.h"

extern const struct algorithm bcast_chain;

static void build(struct schedule *s, const struct call *c)
{
    channels_each(s, c, &bcast_chain, true);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return bcast_chain.price(n, groups, bytes);
}

const struct algorithm bcast_channels = {
    .name = "channels",
    .collective = BCAST,
    .cost = "a chain in each channel of the layout, with its share; the buffer sent once by each "
            "rank, in slices these overlap",
    .price = price,
    .uses = channels_exist,
    .over = channels_over_rings,
    .by_place = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
