/* SPDX-License-Identifier: BSD-3-Clause */
/* Where bytes live and arithmetic on them.  Knows datatypes and operations;
 * does not know ranks, messages or schedules.  Everything here is thread-safe
 * unless it says otherwise.
 *
 * struct arithmetic says how elements are combined; it is resolved once per
 * plan, so that the data path makes one indirect call per span.
 * struct landing says what to do with bytes that arrive in pieces: a transport
 * calls landing_put() for each piece, straight from the wire's buffer, so that
 * a receive-reduce costs one pass and no view ever has to be released. */
#ifndef DEVICE_H
#define DEVICE_H

#include "peal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arithmetic;
struct kernels;

/* dst[i] = a[i] (op) b[i]; dst may equal a or b, else no overlap.  For an
 * operation that does not commute, a comes from lower ranks than b. */
typedef int arithmetic_pair(const struct arithmetic *how, void *dst,
                            const void *a, const void *b, size_t count);
/* dst[i] = sources[0][i] (op) sources[1][i] (op) ..., from left to right, in
 * float32 for 16- and 8-bit floats with one rounding at the end.  n >= 1; dst
 * may equal any one of the sources. */
typedef int arithmetic_fold(const struct arithmetic *how, void *dst,
                            const void *const *sources, int n, size_t count);
/* dst[i] = src[i] scaled; dst may equal src. */
typedef void arithmetic_scale(const struct arithmetic *how, void *dst,
                              const void *src, size_t count);

struct arithmetic {
    peal_datatype_t      type;
    peal_op_t            op;
    size_t               size;          /* bytes of an element */
    arithmetic_pair     *pair;
    arithmetic_fold     *fold;
    arithmetic_scale    *before;        /* inputs, before the first combination; may be NULL */
    arithmetic_scale    *after;         /* results, after the last one; may be NULL */
    bool                 commutative;
    int                  divisor;       /* for avg: number of ranks */
    unsigned char        scalar[8];     /* for premul-sum: one element of `type` */
    peal_user_function_t user;          /* for user operations */
    void                *context;
    const struct kernels *kernels;      /* this machine's loops; for src/devices alone */
};

/* Fill `how` for a type and operation among `nranks` ranks.  PEAL_ERR_ARGUMENT,
 * with the reason, for an unknown pair (bitwise on floats, freed operation).
 * The pairs return 0 or PEAL_ERR_USER. */
int arithmetic_resolve(struct arithmetic *how, peal_datatype_t type, peal_op_t op,
                       int nranks);

/* The operations that users make; see peal.h. */
int operation_create(peal_user_function_t user, bool commutative, void *context,
                     peal_op_t *op);
int operation_create_premul_sum(const void *scalar, peal_datatype_t type, peal_op_t *op);
int operation_free(peal_op_t op);
const char *operation_name(peal_op_t op);        /* NULL if unknown */

size_t datatype_size(int type);                  /* 0 if unknown */
const char *datatype_name(int type);             /* NULL if unknown */

/* ---- Landing --------------------------------------------------------- */

/* A second place for what lands: the peer's that it is sent on to (transport.h, relay() and
 * place_begin()). */
struct also {
    char *place;                             /* of the next piece; NULL: none */
    bool  past;                              /* stored there past the caches, unless the result is */
    bool  strings;                           /* long blocks by string instructions ... */
    bool  far;                               /* ... also beside a result past the caches: what lay there is
                                                in the caches of a core that is far */
};

/* What becomes of the `bytes` bytes of one incoming message. */
struct landing {
    char                    *dst;
    size_t                   bytes;
    const struct arithmetic *how;        /* NULL: dst = incoming */
    const char              *operand;    /* dst = operand (op) incoming; may equal dst */
    bool                     incoming_first;   /* dst = incoming (op) operand */
    bool                     streams;          /* dst is stored past the caches */
    bool                     lent;             /* a hint of who calls landing_put(): what comes lies where the
                                                  peer's program left it, so it is to be fetched ahead, too */
    /* What lands in several places in one pass; for who sets `also`: a transport that relays or
     * keeps what it sends, and who calls landing_put() between place_begin() and place_end().
     * recv() knows none of it. */
    bool                     passes;           /* what has gone on need not come to dst */
    char                    *keep;             /* another place for the result, or NULL; then it is this
                                                  that is stored past the caches, not dst */
    struct also             *also;
};

/* Is it better to store a result of so many bytes, all that one call leaves on
 * this rank, past the caches?  For `streams`; the same bits either way. */
bool landing_streams(size_t bytes);

/* memcpy() past the caches, for a dst larger than they keep.  What was stored is
 * ordered before later stores, as memcpy()'s is. */
void memory_stream(void *dst, const void *src, size_t bytes);

/* Put bytes [offset, offset + length) of the message, which lie at `piece`,
 * where they belong.  Every byte is put exactly once, in any order.  With
 * arithmetic, offset is a multiple of the element size, and so is length
 * (pieces of 64 bytes are always right, except that the last may be shorter).
 * `piece` may have any alignment.  0, or PEAL_ERR_USER. */
int landing_put(const struct landing *landing, size_t offset, const void *piece,
                size_t length);

/* ---- Host memory that local peers can map ----------------------------- */

/* Allocate zeroed, page-aligned, shareable memory (memfd), or free it. */
int memory_alloc(size_t bytes, void **memory);
int memory_free(void *memory);       /* PEAL_ERR_ARGUMENT if not from memory_alloc */

struct memory_share {
    uint64_t id;         /* never reused in this process */
    int      fd;         /* owned by the registry */
    size_t   offset;     /* of the address asked about */
    size_t   length;     /* of the whole allocation */
};

/* Does [address, address + bytes) lie inside one shareable allocation?  Cheap
 * when there is none (one load). */
bool memory_find(const void *address, size_t bytes, struct memory_share *share);

#endif
