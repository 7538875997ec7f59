/* SPDX-License-Identifier: BSD-3-Clause */
/* Lesson 2: all-reduce, the workhorse of training.
 *
 * Every rank has a vector; afterwards every rank has the sum of all of them.
 * With gradients as vectors, that is data-parallel training.
 *
 *     peal-run -n 4 ./02_allreduce */
#include <peal.h>

#include <stdio.h>

enum { COUNT = 8 };

static int failed(const char *what, int status)
{
    if (status == PEAL_OK)
        return 0;
    fprintf(stderr, "%s: %s: %s\n", what, peal_strerror(status), peal_last_error());
    return 1;
}

static void print(int rank, const char *what, const float *values)
{
    if (rank != 0)
        return;
    printf("%-8s", what);
    for (int i = 0; i < COUNT; i++)
        printf(" %5g", values[i]);
    printf("\n");
}

int main(void)
{
    float mine[COUNT], all[COUNT];
    peal_comm_t world;
    int rank, size, wrong = 0;

    if (failed("init", peal_init(NULL, &world)))
        return 1;
    peal_comm_rank(world, &rank);
    peal_comm_size(world, &size);
    for (int i = 0; i < COUNT; i++)
        mine[i] = (float)(rank + i);
    print(rank, "mine", mine);

    /* Input, output, how many, of what type, combined how, by whom. */
    if (failed("allreduce", peal_allreduce(mine, all, COUNT, PEAL_FLOAT32, PEAL_SUM, world)))
        return 1;
    print(rank, "sum", all);
    for (int i = 0; i < COUNT; i++)
        wrong += all[i] != (float)(size * (size - 1) / 2 + size * i);

    /* In place: the input is where the output will be. */
    if (failed("allreduce", peal_allreduce(PEAL_IN_PLACE, mine, COUNT, PEAL_FLOAT32, PEAL_MAX,
                                           world)))
        return 1;
    print(rank, "max", mine);
    for (int i = 0; i < COUNT; i++)
        wrong += mine[i] != (float)(size - 1 + i);

    if (wrong)
        fprintf(stderr, "rank %d: %d wrong values\n", rank, wrong);
    return failed("free", peal_comm_free(&world)) || wrong;
}
