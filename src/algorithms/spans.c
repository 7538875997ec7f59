/* SPDX-License-Identifier: BSD-3-Clause */
/* Which bytes of the caller's buffers a slice's blocks are. */
#include "algorithms/algorithm.h"

enum {
    LINE = 64,               /* bytes; cuts at its multiples keep vector code aligned */
    LARGE_BLOCK = 4096       /* bytes; smaller blocks are cut as evenly as possible */
};

/* Elements whose bytes are the least common multiple of LINE and an element. */
static size_t elements_per_line(size_t size)
{
    size_t power = size & -size;         /* largest power of two that divides it */

    return power >= LINE ? 1 : LINE / power;
}

/* Where the i-th of n nearly equal pieces of `count` elements begins, on a
 * multiple of `grain`; the end for i = n.  Cannot overflow for n < 2^31. */
static size_t cut(size_t count, int i, int n, size_t grain)
{
    size_t pieces = (size_t)n, k = (size_t)i;
    size_t at = count / pieces * k + count % pieces * k / pieces;

    return i == n ? count : at - at % grain;
}

/* Elements [from, to) of the caller's buffer as a span. */
static struct span elements(const struct call *c, enum space space, size_t from, size_t to)
{
    struct span span = { space, from * c->size, (to - from) * c->size };

    /* The shifts are 0 unless the caller's buffers are one; then they also hold
     * where a scaled copy stands in for SRC, and nothing is aliased any more. */
    span.offset += space == SRC ? c->src_shift : c->dst_shift;
    if (c->aliased)
        span.space = DST;
    if (space == SRC ? c->src_scratch : c->dst_scratch)
        span.space = TMP;
    return span;
}

struct range { size_t from, to; };

/* Of a range, what the call's portion is. */
static struct range portion_of(const struct call *c, struct range all)
{
    const struct portion *p = &c->portion;
    size_t count = all.to - all.from;
    bool large = count / LAYOUT_CHANNELS * c->size >= LARGE_BLOCK;
    size_t grain = large ? elements_per_line(c->size) : 1;

    if (p->of == 0)
        return all;
    return (struct range){ all.from + cut(count, (int)p->from, (int)p->of, grain),
                           all.from + cut(count, (int)p->to, (int)p->of, grain) };
}

/* Of `count` elements, the slice's part. */
static struct range slice_of(const struct call *c, size_t count)
{
    size_t line = elements_per_line(c->size);

    return portion_of(c, (struct range){ cut(count, c->slice, c->nslices, line),
                                         cut(count, c->slice + 1, c->nslices, line) });
}

struct span whole(const struct call *c, enum space space)
{
    struct range r = slice_of(c, c->count);

    return elements(c, space, r.from, r.to);
}

/* The slice's part of block i of a buffer that holds all blocks (`all`), or
 * block i only.  Blocks of several sizes are all in slice 0: in place, one
 * slice's result could lie where another slice's input is. */
static struct span own_block(const struct call *c, enum space space, int i, bool all)
{
    struct range r = { 0, 0 };
    size_t start = 0;

    if (all && c->counts)
        for (int k = 0; k < i; k++)
            start += c->counts[k];
    else if (all)
        start = c->count * (size_t)i;
    if (!c->counts)
        r = slice_of(c, c->count);
    else if (c->slice == 0)
        r = portion_of(c, (struct range){ 0, c->counts[i] });
    return elements(c, space, start + r.from, start + r.to);
}

/* Pieces [i, i + n) of whole(). */
static struct span pieces(const struct call *c, enum space space, int i, int n)
{
    struct range r = slice_of(c, c->count);
    size_t from = r.from, count = r.to - from;
    bool large = count / (size_t)c->nranks * c->size >= LARGE_BLOCK;
    size_t grain = large ? elements_per_line(c->size) : 1;

    return elements(c, space, from + cut(count, i, c->nranks, grain),
                    from + cut(count, i + n, c->nranks, grain));
}

/* In the caller's buffers blocks are in the order of ranks. */
static int rank_at(const struct call *c, int i)
{
    return c->order ? c->order[i] : i;
}

struct span block(const struct call *c, enum space space, int i)
{
    i = wrap(c, i);
    switch (c->collective) {
    case ALLGATHER:
        return own_block(c, space, rank_at(c, space == DST ? i : c->rank), space == DST);
    case REDUCE_SCATTER:
        return own_block(c, space, rank_at(c, space == SRC ? i : c->rank), space == SRC);
    default:
        return pieces(c, space, i, 1);
    }
}

struct span blocks(const struct call *c, enum space space, int i, int n)
{
    struct span all;

    if (c->collective != ALLGATHER && c->collective != REDUCE_SCATTER)
        return pieces(c, space, i, n);
    all = block(c, space, i);
    if (c->counts)
        for (int k = i + 1; k < i + n && c->slice == 0; k++)
            all.bytes += c->counts[k] * c->size;
    else
        all.bytes *= (size_t)n;
    return all;
}
