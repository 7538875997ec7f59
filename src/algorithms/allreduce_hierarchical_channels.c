/* SPDX-License-Identifier: BSD-3-Clause */
/* Hierarchical allreduce over channels: in each, with its share of the buffer, the rings within groups
 * in the order of that channel.  Between groups every piece stays with the members that are at one
 * place of their groups, and so on one rail.
 *
 * 2x2 ranks, 8 blocks a b c d e f g h, 2 channels:
 *   step  rank 0                 rank 1                 rank 2                 rank 3
 *      1  cd>1 +ab<1 ef>1 +gh<1  ab>0 +cd<0 gh>0 +ef<0  cd>3 +ab<3 ef>3 +gh<3  ab>2 +cd<2 gh>2 +ef<2
 *      2  b>2 +a<2 h>2 +g<2      d>3 +c<3 f>3 +e<3      a>0 +b<0 g>0 +h<0      c>1 +d<1 e>1 +f<1
 *      3  a>2 b<2 g>2 h<2        c>3 d<3 e>3 f<3        b>0 a<0 h>0 g<0        d>1 c<1 f>1 e<1
 *      4  ab>1 cd<1 gh>1 ef<1    cd>0 ab<0 ef>0 gh<0    ab>3 cd<3 gh>3 ef<3    cd>2 ab<2 ef>2 gh<2
 */
#include "algorithms/channels.h"

extern const struct algorithm allreduce_hierarchical;

static void build(struct schedule *s, const struct call *c)
{
    channels_each(s, c, &allreduce_hierarchical, false);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return allreduce_hierarchical.price(n, groups, bytes);
}

const struct algorithm allreduce_hierarchical_channels = {
    .name = "hierarchical_channels",
    .collective = ALLREDUCE,
    .cost = "hierarchical in each channel of the layout, with its share; as many bytes in all",
    .price = price,
    .uses = channels_exist,
    .over = channels_over,
    .grouped = true,
    .by_place = true,
    .build = build,
};
