/* SPDX-License-Identifier: BSD-3-Clause */
/* Lesson 7: an operation of your own.
 *
 * Where is the largest value?  Each element holds a value and, in its low byte,
 * the rank that it comes from.  The operation compares the values only; of equal
 * ones it keeps that of the lowest rank, so it depends on the order of ranks.
 *
 *     peal-run -n 4 ./07_user_op */
#include <peal.h>

#include <stdio.h>

static int failed(const char *what, int status)
{
    if (status == PEAL_OK)
        return 0;
    fprintf(stderr, "%s: %s: %s\n", what, peal_strerror(status), peal_last_error());
    return 1;
}

/* inout[i] = in[i] or inout[i]; `in` comes from lower ranks.  To return anything
 * but 0 would fail the collective, with PEAL_ERR_USER. */
static int larger_value(const void *in, void *inout, size_t count, peal_datatype_t type,
                        void *context)
{
    const int64_t *lower = in;
    int64_t *higher = inout;
    int *calls = context;

    if (type != PEAL_INT64)
        return 1;
    for (size_t i = 0; i < count; i++)
        if (lower[i] / 256 >= higher[i] / 256)
            higher[i] = lower[i];
    ++*calls;
    return 0;
}

enum { COUNT = 5 };

int main(void)
{
    int64_t mine[COUNT], best[COUNT];
    peal_comm_t world;
    peal_op_t op;
    int rank, size, calls = 0, wrong = 0;

    if (failed("init", peal_init(NULL, &world)))
        return 1;
    peal_comm_rank(world, &rank);
    peal_comm_size(world, &size);

    /* The 0 says "not commutative": Peal will keep the ranks in order. */
    if (failed("op", peal_op_create(larger_value, 0, &calls, &op)))
        return 1;
    for (int i = 0; i < COUNT; i++)
        mine[i] = (int64_t)((rank + i) % 3) * 256 + rank;
    if (failed("allreduce", peal_allreduce(mine, best, COUNT, PEAL_INT64, op, world)))
        return 1;
    for (int i = 0; i < COUNT; i++) {
        int64_t value = 0, owner = 0;

        for (int r = size - 1; r >= 0; r--)
            if ((r + i) % 3 >= value) {
                value = (r + i) % 3;
                owner = r;
            }
        wrong += best[i] != value * 256 + owner;
        if (rank == 0)
            printf("place %d: the largest value is %d, first found on rank %d\n", i,
                   (int)(best[i] / 256), (int)(best[i] % 256));
    }
    if (rank == 0)
        printf("the function was called %d times on rank 0; %d wrong\n", calls, wrong);
    if (failed("op", peal_op_free(op)))
        return 1;
    return failed("free", peal_comm_free(&world)) || wrong;
}
