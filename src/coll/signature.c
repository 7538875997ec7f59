/* SPDX-License-Identifier: BSD-3-Clause */
/* A call in 16 bytes that every message carries.  It is an encoding, not a hash,
 * so that a rank can say what another one called. */
#include "coll/coll.h"

#include "devices/device.h"

#include <stdio.h>
#include <string.h>

/* Fields of signature.what, from the low end. */
enum {
    COLLECTIVE_BITS = 6, TYPE_BITS = 6, OP_BITS = 8, ALGORITHM_BITS = 8, SLICES_BITS = 11,
    ROOT_BITS = 24, COUNTS_BITS = 1,
    TYPE_AT = COLLECTIVE_BITS, OP_AT = TYPE_AT + TYPE_BITS, ALGORITHM_AT = OP_AT + OP_BITS,
    SLICES_AT = ALGORITHM_AT + ALGORITHM_BITS, ROOT_AT = SLICES_AT + SLICES_BITS,
    COUNTS_AT = ROOT_AT + ROOT_BITS
};

/* The upper bits of signature.count say which call of the communicator it is, modulo
 * their range: ranks of which one has skipped a call find out at their next
 * message, even if it is of equal calls. */
enum { ORDER_BITS = 8, ORDER_AT = 64 - ORDER_BITS };
static const uint64_t count_mask = (UINT64_C(1) << ORDER_AT) - 1;

static uint64_t field(uint64_t value, int bits, int at)
{
    return (value & ((UINT64_C(1) << bits) - 1)) << at;
}

static unsigned get(uint64_t what, int bits, int at)
{
    return (unsigned)(what >> at) & ((1u << bits) - 1);
}

static int algorithm_number(const struct algorithm *algorithm)
{
    int i = 0;

    while (algorithms[i] && algorithms[i] != algorithm)
        i++;
    return algorithms[i] ? i : 0;
}

/* Counts that differ between blocks: their sum is the count, and this hash
 * stands where the root would be. */
uint64_t counts_hash(const size_t *counts, int n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (int i = 0; i < n; i++)
        h = (h ^ counts[i]) * UINT64_C(0x100000001b3);
    return h ^ (h >> 24) ^ (h >> 48);
}

static bool has_op(enum collective collective)
{
    return collective == ALLREDUCE || collective == REDUCE || collective == REDUCE_SCATTER;
}

static bool has_root(enum collective collective)
{
    return collective == BCAST || collective == REDUCE;
}

/* Created operations have other numbers in each process; what all ranks can
 * agree about is of which kind they are. */
static const char *const created[] = { "user-defined operation",
                                       "user-defined commutative operation", "premul-sum" };

static uint64_t operation_class(const struct arithmetic *how)
{
    if (how->op < PEAL_OPS)
        return (uint64_t)how->op;
    return PEAL_OPS + (how->user ? (uint64_t)how->commutative : 2);
}

struct signature signature_make(const struct coll_call *call, int nranks,
                                const struct arithmetic *how, const struct coll_choice *choice)
{
    struct signature s = { .count = call->count };

    s.what = field(call->collective, COLLECTIVE_BITS, 0);
    if (call->collective == BARRIER) {
        s.what |= field((uint64_t)algorithm_number(choice->algorithm), ALGORITHM_BITS,
                        ALGORITHM_AT);
        return s;
    }
    s.what |= field((uint64_t)call->type, TYPE_BITS, TYPE_AT);
    if (call->collective == SENDRECV) {        /* the message's length tells the count */
        s.count = 0;
        return s;
    }
    s.what |= field((uint64_t)algorithm_number(choice->algorithm), ALGORITHM_BITS, ALGORITHM_AT) |
              field((uint64_t)choice->nslices, SLICES_BITS, SLICES_AT);
    if (has_op(call->collective))
        s.what |= field(operation_class(how), OP_BITS, OP_AT);
    if (has_root(call->collective))
        s.what |= field((uint64_t)call->root, ROOT_BITS, ROOT_AT);
    for (int i = 0; call->counts && i < nranks; i++)
        s.count += call->counts[i];
    if (call->counts)
        s.what |= field(1, COUNTS_BITS, COUNTS_AT) |
                  field(counts_hash(call->counts, nranks), ROOT_BITS, ROOT_AT);
    return s;
}

struct signature signature_in_order(struct signature s, uint64_t call)
{
    s.count = (s.count & count_mask) | call << ORDER_AT;
    return s;
}

void signature_describe(struct signature s, char *text, size_t bytes)
{
    enum collective collective = get(s.what, COLLECTIVE_BITS, 0);
    const char *type = datatype_name((int)get(s.what, TYPE_BITS, TYPE_AT));
    unsigned op = get(s.what, OP_BITS, OP_AT), root = get(s.what, ROOT_BITS, ROOT_AT);
    unsigned number = get(s.what, ALGORITHM_BITS, ALGORITHM_AT), known = 0;
    unsigned slices = get(s.what, SLICES_BITS, SLICES_AT);
    char counts[32] = "", extra[64] = "";

    s.count &= count_mask;
    if (collective == BARRIER) {
        snprintf(text, bytes, "%s", s.count == COLL_LEAVING ? "peal_comm_free" : "barrier");
        return;
    }
    if (collective == SENDRECV) {
        snprintf(text, bytes, "a message of %s", type ? type : "an unknown type");
        return;
    }
    if (get(s.what, COUNTS_BITS, COUNTS_AT))
        snprintf(counts, sizeof counts, " (counts hash %06x)", root);
    if (has_op(collective) && op < PEAL_OPS + sizeof created / sizeof *created)
        snprintf(extra, sizeof extra, ", %s", op < PEAL_OPS ? operation_name((peal_op_t)op)
                                                            : created[op - PEAL_OPS]);
    if (has_root(collective))
        snprintf(extra + strlen(extra), sizeof extra - strlen(extra), ", root %u", root);
    while (algorithms[known])
        known++;
    snprintf(text, bytes, "%s of %llu%s %s%s (%s, %u slice%s)", collective_name(collective),
             (unsigned long long)s.count, counts, type ? type : "unknown type", extra,
             number < known ? algorithms[number]->name : "unknown algorithm",
             slices, slices == 1 ? "" : "s");
}
