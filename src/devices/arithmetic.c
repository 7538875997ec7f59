/* SPDX-License-Identifier: BSD-3-Clause */
/* From a type and an operation to functions.  Two operands are combined by a
 * kernel directly; three or more, and scalings, of 16- and 8-bit floats are widened
 * to float32 block by block, combined there, and rounded once. */
#include "devices/arithmetic.h"

#include "base/status.h"
#include "devices/operation.h"

#include <string.h>

enum { NARROW_BLOCK = 512 };     /* elements: two float32 blocks are 4 KiB */

/* Averages and created operations without a function are sums. */
static peal_op_t combining_operation(peal_op_t op)
{
    return op == PEAL_AVG || op >= PEAL_OPS ? PEAL_SUM : op;
}

static bool is_narrow_float(const struct arithmetic *how)
{
    return how->kernels->widen[how->type] != NULL;
}

static bool is_integer(peal_datatype_t type)
{
    return type <= PEAL_UINT64;
}

/* ---- Types that are combined as they are ------------------------------ */

/* A block of dst is written when that block of all sources has been read, since
 * dst may be any of them. */
static int direct_fold(const struct arithmetic *how, void *dst,
                       const void *const *sources, int n, size_t count)
{
    _Alignas(64) char sum[BLOCK_BYTES];
    const size_t block = BLOCK_BYTES / how->size;

    if (n == 1 && dst != sources[0])
        memcpy(dst, sources[0], count * how->size);
    if (n == 1)
        return PEAL_OK;
    if (n == 2)
        return how->pair(how, dst, sources[0], sources[1], count);
    for (size_t at = 0; at < count; at += block) {
        size_t part = count - at < block ? count - at : block, offset = at * how->size;
        const char *left = (const char *)sources[0] + offset;

        for (int i = 1; i < n - 1; i++) {
            how->pair(how, sum, left, (const char *)sources[i] + offset, part);
            left = sum;
        }
        how->pair(how, (char *)dst + offset, left, (const char *)sources[n - 1] + offset,
                  part);
    }
    return PEAL_OK;
}

/* ---- 16- and 8-bit floats ---------------------------------------------- */

static int narrow_fold(const struct arithmetic *how, void *dst,
                       const void *const *sources, int n, size_t count)
{
    kernel_widen *widen = how->kernels->widen[how->type];
    kernel_narrow *narrow = how->kernels->narrow[how->type];
    arithmetic_pair *combine =
        how->kernels->combine[PEAL_FLOAT32][combining_operation(how->op)];
    _Alignas(64) float sum[NARROW_BLOCK], next[NARROW_BLOCK];

    if (n == 2)
        return how->pair(how, dst, sources[0], sources[1], count);
    for (size_t at = 0; at < count; at += NARROW_BLOCK) {
        size_t part = count - at < NARROW_BLOCK ? count - at : NARROW_BLOCK;

        widen(sum, (const char *)sources[0] + at * how->size, part);
        for (int i = 1; i < n; i++) {
            widen(next, (const char *)sources[i] + at * how->size, part);
            combine(how, sum, sum, next, part);
        }
        narrow((char *)dst + at * how->size, sum, part);
    }
    return PEAL_OK;
}

static void narrow_multiply(const struct arithmetic *how, void *dst, const void *src,
                            size_t count, float factor)
{
    const struct kernels *kernels = how->kernels;
    struct arithmetic wide = { .type = PEAL_FLOAT32 };
    _Alignas(64) float block[NARROW_BLOCK];

    memcpy(wide.scalar, &factor, sizeof factor);
    for (size_t at = 0; at < count; at += NARROW_BLOCK) {
        size_t part = count - at < NARROW_BLOCK ? count - at : NARROW_BLOCK;

        kernels->widen[how->type](block, (const char *)src + at * how->size, part);
        kernels->multiply[PEAL_FLOAT32](&wide, block, block, part);
        kernels->narrow[how->type]((char *)dst + at * how->size, block, part);
    }
}

static void narrow_scale(const struct arithmetic *how, void *dst, const void *src,
                         size_t count)
{
    float factor;

    how->kernels->widen[how->type](&factor, how->scalar, 1);
    narrow_multiply(how, dst, src, count, factor);
}

static void narrow_average(const struct arithmetic *how, void *dst, const void *src,
                           size_t count)
{
    narrow_multiply(how, dst, src, count, 1.0f / (float)how->divisor);
}

/* ---- Resolving --------------------------------------------------------- */

static int resolve_created(struct arithmetic *how)
{
    struct operation created;

    if (!operation_find(how->op, &created))
        return status_fail(PEAL_ERR_ARGUMENT, "operation %d is neither built in nor a "
                           "created one that has not been freed", (int)how->op);
    how->commutative = created.commutative;
    if (created.user) {
        how->user = created.user;
        how->context = created.context;
        how->pair = user_pair;
        how->fold = user_fold;
        return PEAL_OK;
    }
    if (created.type != how->type)
        return status_fail(PEAL_ERR_ARGUMENT, "operation %d multiplies by a scalar of %s "
                           "and cannot combine %s", (int)how->op,
                           datatype_name((int)created.type), datatype_name((int)how->type));
    memcpy(how->scalar, created.scalar, sizeof how->scalar);
    how->before = is_narrow_float(how) ? narrow_scale
                                             : how->kernels->multiply[how->type];
    return PEAL_OK;
}

/* What happens around the combinations of a built-in operation. */
static void resolve_scaling(struct arithmetic *how, int nranks)
{
    if (how->op == PEAL_AVG && is_narrow_float(how))
        how->before = narrow_average;
    else if (how->op == PEAL_AVG)
        how->after = how->kernels->divide[how->type];
    else if (nranks == 1 && how->op >= PEAL_LAND && how->op <= PEAL_LXOR)
        how->after = how->kernels->truth[how->type];    /* no combination does it */
}

static int resolve_combining(struct arithmetic *how)
{
    peal_op_t op = combining_operation(how->op);

    how->pair = how->kernels->combine[how->type][op];
    how->fold = is_narrow_float(how) ? narrow_fold : direct_fold;
    if (!how->pair)
        return status_fail(PEAL_ERR_ARGUMENT, "operation %s is for integers and cannot "
                           "combine %s", operation_name(op), datatype_name((int)how->type));
    return PEAL_OK;
}

int arithmetic_resolve_with(struct arithmetic *how, const struct kernels *kernels,
                            peal_datatype_t type, peal_op_t op, int nranks)
{
    struct arithmetic made = {
        .type = type, .op = op, .size = datatype_size((int)type),
        .commutative = true, .divisor = nranks, .kernels = kernels,
    };
    int status = PEAL_OK;

    if (made.size == 0)
        return status_fail(PEAL_ERR_ARGUMENT, "%d is not a datatype", (int)type);
    if (op < 0)
        return status_fail(PEAL_ERR_ARGUMENT, "%d is not an operation", (int)op);
    if (nranks < 1)
        return status_fail(PEAL_ERR_ARGUMENT, "cannot combine over %d ranks", nranks);
    if (op >= PEAL_OPS)
        status = resolve_created(&made);
    else if (is_integer(type) || op < PEAL_BAND)
        resolve_scaling(&made, nranks);
    if (!status && !made.user)
        status = resolve_combining(&made);
    if (!status)
        *how = made;
    return status;
}

int arithmetic_resolve(struct arithmetic *how, peal_datatype_t type, peal_op_t op,
                       int nranks)
{
    return arithmetic_resolve_with(how, kernels_best(), type, op, nranks);
}
