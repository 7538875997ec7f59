/* SPDX-License-Identifier: BSD-3-Clause */
/* An algorithm turns the description of a collective, as one rank sees it, into
 * that rank's schedule.  It is a pure function: it sees no buffer, socket or
 * communicator.  This header and schedule.h are all that an author must read.
 *
 * Adding one: copy the nearest file, add a line to Makefile.am.  The tests then
 * run it for all rank counts, and compare the drawing above it with what
 * schedule_draw() makes of it; PEAL_ALGORITHMS=<collective>:<name> selects it. */
#ifndef ALGORITHM_H
#define ALGORITHM_H

#include "schedule/schedule.h"
#include "topology/layout.h"

/* The collectives: identifier and public name. */
#define COLLECTIVE_LIST(X)                     \
    X(ALLREDUCE,      "allreduce")             \
    X(ALLGATHER,      "allgather")             \
    X(BCAST,          "bcast")                 \
    X(REDUCE,         "reduce")                \
    X(REDUCE_SCATTER, "reduce_scatter")        \
    X(BARRIER,        "barrier")               \
    X(SENDRECV,       "sendrecv")

enum collective {
#define COLLECTIVE_ENTRY(id, name) id,
    COLLECTIVE_LIST(COLLECTIVE_ENTRY)
#undef COLLECTIVE_ENTRY
    COLLECTIVES
};

/* Of a slice only [from, to) of `of` equal pieces; of = 0: all. */
struct portion { uint32_t from, to, of; };

/* One collective as one rank sees it, or one slice of it.
 *
 * `count` means: ALLREDUCE, BCAST, REDUCE: elements of the whole buffer;
 * ALLGATHER, REDUCE_SCATTER: elements of each rank's block, unless `counts`
 * (REDUCE_SCATTER only) gives each block's.
 *
 * Buffers: ALLREDUCE SRC, DST: count.  ALLGATHER SRC: count, DST: n blocks.
 * BCAST: DST: count, on every rank (input on root); no SRC.  REDUCE SRC: count;
 * DST: count, on root only; elsewhere DST does not exist.  REDUCE_SCATTER SRC:
 * n blocks, DST: this rank's block.  BARRIER: none.
 *
 * In place, SRC lies inside DST's memory or the other way round; the span
 * functions below then answer with one space for both, so that order is right.
 * An algorithm must not read a span of SRC after it wrote the same bytes as DST.
 * Only span functions make spans of SRC and DST.
 *
 * Ranks here are either those of the communicator or places of its layout: the
 * algorithm cannot tell, and need not (see by_place below). */
struct call {
    enum collective collective;
    int             rank, nranks, root;
    size_t          count;           /* elements, see above */
    size_t          size;            /* bytes of an element */
    const size_t   *counts;          /* REDUCE_SCATTER, and parts of others: nranks of them, or NULL */
    bool            commutative;     /* operands may be exchanged */
    bool            past_caches;     /* the result is not in them, or too large for them */
    bool            aliased;         /* in place; then both are DST-space with ... */
    size_t          src_shift;       /* ... SRC byte 0 at this offset, */
    size_t          dst_shift;       /* ... DST byte 0 at this one */
    bool            src_scratch;     /* SRC, DST lie in scratch, at those offsets: only if ... */
    bool            dst_scratch;     /* ... one algorithm has another do a part (team.h) */
    int             slice, nslices;  /* this schedule part is slice of nslices; 0, 1 */
    struct portion  portion;         /* what goes over one of several channels or trees */
    const struct groups *groups;     /* which ranks are near each other; NULL: all */
    const int      *order;           /* the rank at each place; NULL: these are ranks */
    const struct channels *channels; /* more orders of these places; NULL: none */
    const struct group_trees *trees; /* of the places of each group; NULL: none */
};

/* The same call among ranks of such a layout (NULL: none), `by_place`: with places for
 * ranks; then schedule_peers() must be told its order. */
struct call call_among(const struct call *c, const struct layout *layout, bool by_place);

/* What an algorithm costs, in the terms of LogGP (Alexandrov, Ionescu, Schauser,
 * Scheiman, "LogGP: incorporating long messages into the LogP model", 1995). */
struct load {
    double messages;                 /* sent, or received if those are more */
    double sent;                     /* bytes, likewise */
    double reduced;                  /* bytes */
};

/* What of it goes from group to group. */
struct far {
    double rounds;
    double messages, sent;           /* of the rank that has most of them */
    double all_messages, all_sent;   /* of all ranks together */
    double leaving;                  /* bytes out of (or into) the group that has most */
};

struct price {
    double      rounds;              /* messages one after the other on the longest path */
    struct load busiest;             /* rank */
    struct load all;                 /* ranks together: they may have to share cores */
    struct far  far;                 /* contained in the above; zero where all are near */
    double      received;            /* of busiest.messages, those that come at once while it sends none */
    double      alone;               /* bytes of `all` that one rank moves before the others can begin; then ... */
    double      takers;              /* ... so many move the rest, each as much; 0: nobody is waited for so */
    double      parts;               /* of the buffer, each of which goes through all rounds beside the
                                      * others; 0: one */
    double      ways;                /* that a rank's messages within a group take at once, if ways
                                      * do not share what they carry; 0: one */
    bool        failed;              /* no memory to find it */
};

/* All near (far.h). */
static inline struct price price_of(double rounds, struct load busiest, struct load all)
{
    return (struct price){ .rounds = rounds, .busiest = busiest, .all = all };
}

/* All ranks do the same. */
static inline struct price price_even(int nranks, double rounds, struct load each)
{
    return price_of(rounds, each, (struct load){
        nranks * each.messages, nranks * each.sent, nranks * each.reduced });
}

struct algorithm {
    const char     *name;            /* "ring" */
    enum collective collective;
    const char     *cost;            /* steps and bytes, for people */

    /* The cost on n ranks for `bytes` (of `count` x size, see above), in such groups
     * (NULL: one; far.h has what most need).  Used to choose and to explain. */
    struct price (*price)(int nranks, const struct groups *groups, double bytes);

    /* Not NULL: it uses what a layout may have besides an order, channels or trees, and is worth its price
     * only where this (NULL: no layout) finds them, in several groups or over links of their own.  Then over()
     * has the price for `c`, a call by place; price() has that without them. */
    bool (*uses)(const struct layout *layout);
    struct price (*over)(const struct algorithm *self, const struct call *c, double bytes);

    /* Worth its price only where peers can see each other's memory. */
    bool lent;
    /* Worth its price only where ranks are in groups. */
    bool grouped;

    /* May be given places for ranks, and is the better for it: what it sends most goes
     * to neighbours.  Not if it counts on blocks of neighbours lying side by side
     * (blocks() of ALLGATHER and REDUCE_SCATTER).  Operands are then combined in the
     * order of places; coll sees to where that must not be. */
    bool by_place;

    /* Builds something else for call.past_caches. */
    bool two_ways;

    /* NULL: any call.  Says no only where the algorithm would be wrong. */
    bool (*fits)(const struct call *c);

    /* Combines in rank order, so non-commutative operations are right. */
    bool ordered;
    /* Combines from left to right in one reduction: ((r0 op r1) op r2) ...;
     * all such algorithms give the same bits. */
    bool left_fold;

    /* Append this rank's part of the slice.  nranks may be 1.  Every rank count,
     * count, root is allowed. */
    void (*build)(struct schedule *s, const struct call *c);
};

extern const struct algorithm *const algorithms[];      /* NULL-ended */

const char *collective_name(enum collective collective);
/* COLLECTIVES if unknown. */
enum collective collective_find(const char *name);
/* NULL if unknown. */
const struct algorithm *algorithm_find(enum collective collective, const char *name);

/* ---- Spans ------------------------------------------------------------- */

/* The slice's part of the whole buffer: ALLREDUCE, BCAST, REDUCE. */
struct span whole(const struct call *c, enum space space);

/* The slice's part of block i; i may be any integer (modulo nranks).
 * ALLREDUCE, BCAST, REDUCE: the i-th of nranks nearly equal pieces of whole().
 * ALLGATHER: DST: block i; SRC: own block only (i ignored).
 * REDUCE_SCATTER: SRC: block i; DST: own block only (i ignored); with `counts`
 * all is in slice 0. */
struct span block(const struct call *c, enum space space, int i);

/* Blocks [i, i + n), n >= 1, which lie side by side; 0 <= i, i + n <= nranks.
 * ALLGATHER (DST) and REDUCE_SCATTER (SRC): only if nslices is 1 or
 * there are `counts`, for the slices of two blocks do not touch; and not by place,
 * nor of a portion. */
struct span blocks(const struct call *c, enum space space, int i, int n);

/* Sizes of the same slices, for scratch. */
static inline size_t block_bytes(const struct call *c, int i)
{
    return block(c, c->collective == REDUCE_SCATTER ? SRC : DST, i).bytes;
}

/* Part [offset, offset + bytes) of a span. */
static inline struct span part(struct span s, size_t offset, size_t bytes)
{
    return (struct span){ s.space, s.offset + offset, bytes };
}

/* i modulo nranks, for any i. */
static inline int wrap(const struct call *c, int i)
{
    return ((i % c->nranks) + c->nranks) % c->nranks;
}

#endif
