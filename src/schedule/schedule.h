/* SPDX-License-Identifier: BSD-3-Clause */
/* A schedule is one rank's part of one collective: a list of operations on
 * spans of named buffers, in program order.  It holds no user pointer and no
 * transport, so it can be built once and then run, checked, printed, drawn and
 * priced.  It does not know algorithms, communicators or datatypes beyond the
 * number of bytes.
 *
 * Order between operations follows from the bytes they touch: an operation
 * waits for earlier ones of the same rank that it conflicts with, and for
 * nothing else.  The n-th send of a rank to a peer meets the peer's n-th
 * receive from it, counted in program order.
 *
 * Building cannot fail half way: out of memory sets `failed`, later calls do
 * nothing, the caller looks once.  Not thread-safe; immutable once built. */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The caller's two buffers, scratch memory that the executor provides, and RAW:
 * the caller's input where SRC holds a scaled copy of it (OP_BEFORE). */
enum space { SRC, DST, TMP, RAW, SPACES };

enum { SCHEDULE_DEPTH = 8 };       /* most slices in flight at once */

struct span {
    enum space space;
    size_t     offset, bytes;
};

enum op_kind {
/*---------------------------------------------------------------------------
  kind             peer   meaning                        schedule_...
  ---------------------------------------------------------------------------*/
    OP_SEND,    /* to     peer's matching receive := src        send          */
    OP_RECV,    /* from   dst := peer's matching send           recv          */
    OP_COMBINE, /* from   dst := src (op) peer's matching send  recv_combine  */
    OP_COPY,    /* -      dst := src                            copy          */
    OP_REDUCE,  /* -      dst := parts[0] (op) parts[1] ...     reduce        */
    OP_BEFORE,  /* -      dst := src, scaled as inputs are      scale_before  */
    OP_AFTER,   /* -      dst := src, scaled as results are     scale_after   */
    OP_KINDS
};

struct op {
    enum op_kind kind;
    bool         incoming_first;   /* OP_COMBINE: dst := incoming (op) src */
    int          peer;
    uint32_t     sequence;         /* n-th message of this pair and direction */
    struct span  dst, src;         /* src of OP_REDUCE: parts[first_part] */
    uint32_t     first_part, nparts;   /* OP_REDUCE: into schedule.parts */
    uint32_t     first_need, nneeds;   /* into schedule.needs: earlier operations */
};

struct schedule {
    int          nranks;
    const int   *peers;            /* see schedule_peers(); while building */
    uint32_t     nops, nneeds, nparts;
    struct op   *ops;
    uint32_t    *needs;
    struct span *parts;
    uint32_t    *sent, *received;  /* messages so far, per peer */
    size_t       scratch;          /* bytes of TMP that must be provided ... */
    bool         staged;           /* ... in memory that peers can see */
    bool         failed;
    struct order *order;           /* who last touched which bytes; while building */
    size_t       slice_start, slice_end;   /* scratch of the present slice */
    size_t       regions[SCHEDULE_DEPTH + 1];   /* where the first slices' scratch began */
};

void schedule_init(struct schedule *s, int nranks);
void schedule_free(struct schedule *s);        /* accepts a zeroed one */

/* Nothing more will be appended: drops what only building needs. */
void schedule_finish(struct schedule *s);

/* From now on the peers of operations are numbers of this list: i means rank peers[i].
 * NULL, as in the beginning: they are ranks.  The list is not copied. */
void schedule_peers(struct schedule *s, const int *peers);

/* Append one operation.  Spans of 0 bytes make no operation.  Sizes of dst, src
 * and the matching message are equal.  A copy of a span onto itself vanishes. */
void schedule_send(struct schedule *s, int peer, struct span src);
void schedule_recv(struct schedule *s, int peer, struct span dst);
/* The same, but a span of 0 bytes is a message too. */
void schedule_send_always(struct schedule *s, int peer, struct span src);
void schedule_recv_always(struct schedule *s, int peer, struct span dst);
/* dst := src (op) incoming, or incoming (op) src if incoming_first; dst may
 * equal src.  For operations that do not commute the left one has the lower
 * ranks. */
void schedule_recv_combine(struct schedule *s, int peer, struct span dst,
                           struct span src, bool incoming_first);
void schedule_copy(struct schedule *s, struct span dst, struct span src);
/* dst := parts[0] (op) parts[1] (op) ... in that order; dst may equal one. */
void schedule_reduce(struct schedule *s, struct span dst,
                     const struct span *parts, int nparts);
void schedule_scale_before(struct schedule *s, struct span dst, struct span src);
void schedule_scale_after(struct schedule *s, struct span dst, struct span src);

/* Reserve scratch memory, aligned to 64 bytes. */
struct span schedule_scratch(struct schedule *s, size_t bytes);

/* The same for what several peers will be sent: they are to see it where it lies,
 * if the transport can do that, so that it is copied here once, not for each. */
struct span schedule_stage(struct schedule *s, size_t bytes);

/* What follows is a new slice of the same work.  Slices share scratch memory in
 * turns (`depth` of them, at most SCHEDULE_DEPTH, are in flight at once), so
 * scratch does not grow with their number.  Call it before each slice: 0, 1, ... */
void schedule_slice(struct schedule *s, int slice, int depth);

/* ---- What can be done with schedules (besides running them) ------------ */

/* One line per operation. */
void schedule_print(const struct schedule *s, FILE *out);

/* All ranks' schedules of one collective side by side, one line per step: what
 * each rank does when everybody does what it can at once.  `unit`: bytes that
 * count as one letter's block (0: no block names).  Built in place, all ranks'
 * offsets mean the same blocks. */
void schedule_draw(const struct schedule ranks[], int nranks, size_t unit, FILE *out);

/* How check runs operations: bytes are combined by `combine` (dst = a op b). */
struct check_memory {
    unsigned char *space[SPACES];
    size_t         bytes[SPACES];
};
struct check {
    const struct schedule *ranks;      /* nranks of them */
    struct check_memory   *memory;     /* nranks of them, filled with input */
    int                    nranks;
    unsigned               seed;       /* order in which ready operations run */
    bool                   rendezvous; /* sends wait for their receive: the least
                                        * buffering that any transport has */
    void (*combine)(unsigned char *dst, const unsigned char *a,
                    const unsigned char *b, size_t bytes);
    void (*before)(unsigned char *dst, const unsigned char *src, size_t bytes);
    void (*after)(unsigned char *dst, const unsigned char *src, size_t bytes);
};

/* Run all ranks together in memory, in random order among what is ready.
 * True if all operations ended, every message met one of equal size, no span
 * left its buffer and none was left over; else false with the reason in
 * `why`.  The caller compares the memory with what it expects. */
bool schedule_check(const struct check *check, char *why, size_t why_bytes);

#endif
