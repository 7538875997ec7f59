/* SPDX-License-Identifier: BSD-3-Clause */
/* Recursive halving reduce-scatter: exchange half of the blocks with the core
 * rank size/2 away, reduce the other half, then a quarter with size/4, ...;
 * ranks beyond a power of two are helped by a neighbour.
 *
 * 4 ranks, 4 blocks a b c d:
 *   step  rank 0      rank 1      rank 2      rank 3
 *      1  cd>2 +ab<2  cd>3 +ab<3  ab>0 +cd<0  ab>1 +cd<1
 *      2  b>1 +a<1    a>0 +b<0    d>3 +c<3    c>2 +d<2
 *      3  a=          b=          c=          d=
 */
#include "algorithms/core.h"
#include "algorithms/far.h"

/* The sums so far: blocks [first, ...) side by side in scratch, or still SRC. */
struct sums {
    bool        in_src;
    int         first;
    struct span memory;
};

static size_t range_bytes(const struct call *c, int first, int end)
{
    size_t bytes = 0;

    for (int i = first; i < end; i++)
        bytes += block_bytes(c, i);
    return bytes;
}

/* Blocks [i, i + n) where their sums are. */
static struct span sums_of(const struct call *c, const struct sums *sums, int i, int n)
{
    if (sums->in_src)
        return blocks(c, SRC, i, n);
    return part(sums->memory, range_bytes(c, sums->first, i), range_bytes(c, i, i + n));
}

/* Slices of two blocks do not touch in SRC, so they are messages of their own. */
static int together(const struct call *c, int n)
{
    return c->nslices == 1 || c->counts ? n : 1;
}

static void send_range(struct schedule *s, const struct call *c, int peer,
                       const struct sums *sums, int first, int end)
{
    int n = together(c, end - first);

    for (int i = first; i < end; i += n)
        schedule_send(s, peer, sums_of(c, sums, i, n));
}

/* Receive [first, end) and combine; from now on only these sums count. */
static void combine_range(struct schedule *s, const struct call *c, int peer,
                          struct sums *sums, int first, int end)
{
    int n = together(c, end - first);
    struct sums next = *sums;

    if (sums->in_src)
        next = (struct sums){ false, first, schedule_scratch(s, range_bytes(c, first, end)) };
    for (int i = first; i < end; i += n)
        schedule_recv_combine(s, peer, sums_of(c, &next, i, n), sums_of(c, sums, i, n), true);
    *sums = next;
}

static void halve(struct schedule *s, const struct call *c, const struct core *core,
                  struct sums *sums)
{
    int first = 0;

    for (int n = core->size / 2; n > 0; n /= 2) {
        int peer = core_peer(core, core->rank ^ n);
        int start = core_first(core, first), middle = core_first(core, first + n);
        int end = core_first(core, first + 2 * n);

        if (core->rank & n) {
            send_range(s, c, peer, sums, start, middle);
            combine_range(s, c, peer, sums, middle, end);
            first += n;
        } else {
            send_range(s, c, peer, sums, middle, end);
            combine_range(s, c, peer, sums, start, middle);
        }
    }
}

static void build(struct schedule *s, const struct call *c)
{
    struct core core = core_of(c);
    struct sums sums = { .in_src = true };

    if (core.rank < 0) {
        send_range(s, c, core.helper, &sums, 0, c->nranks);
        schedule_recv(s, core.helper, block(c, DST, c->rank));
        return;
    }
    if (core.helped >= 0)
        combine_range(s, c, core.helped, &sums, 0, c->nranks);
    halve(s, c, &core, &sums);
    if (core.helped >= 0)
        schedule_send(s, core.helped, sums_of(c, &sums, core.helped, 1));
    schedule_copy(s, block(c, DST, c->rank), sums_of(c, &sums, c->rank, 1));
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    int power = power_below(n), extra = n > power;
    double steps = rounds(power) + 2 * extra;

    return far_exchange(n, groups, FAR_GROWING, price_even(n, steps, (struct load){
        steps, bytes * n * (power - 1) / power + extra * bytes * (n + 1),
        bytes * n * (power - 1) / power + (n > 1 ? bytes : 0) + extra * bytes * n }));
}

const struct algorithm reduce_scatter_halving = {
    .name = "halving",
    .collective = REDUCE_SCATTER,
    .cost = "log2(n) steps, n-1 blocks sent by each rank (if n is no power of two: 2 more, "
            "twice as many)",
    .price = price,
    .build = build,
};
