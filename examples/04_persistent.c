/* SPDX-License-Identifier: BSD-3-Clause */
/* Lesson 4: the same call again and again.
 *
 * Training repeats one all-reduce, on the same buffers, for ever.  A persistent
 * request is prepared once (peal_allreduce_init), run as often as wanted
 * (peal_start, peal_wait) and freed at the end.
 *
 *     peal-run -n 4 ./04_persistent */
#include <peal.h>

#include <stdio.h>

enum { COUNT = 1000, STEPS = 100 };

static int failed(const char *what, int status)
{
    if (status == PEAL_OK)
        return 0;
    fprintf(stderr, "%s: %s: %s\n", what, peal_strerror(status), peal_last_error());
    return 1;
}

int main(void)
{
    static double input[COUNT], mean[COUNT];
    peal_request_t request;
    peal_comm_t world;
    int rank, size, wrong = 0;

    if (failed("init", peal_init(NULL, &world)))
        return 1;
    peal_comm_rank(world, &rank);
    peal_comm_size(world, &size);

    if (failed("prepare", peal_allreduce_init(input, mean, COUNT, PEAL_FLOAT64, PEAL_AVG,
                                              world, &request)))
        return 1;
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < COUNT; i++)
            input[i] = 2.0 * rank + step + i;
        if (failed("start", peal_start(&request)))
            return 1;
        /* There is time for something else here, but not with the buffers. */
        if (failed("wait", peal_wait(&request)))
            return 1;
        for (int i = 0; i < COUNT; i++)
            wrong += mean[i] != (double)(size - 1 + step + i);
    }
    if (failed("free", peal_request_free(&request)))
        return 1;
    if (rank == 0)
        printf("%d steps on %d ranks, %d wrong values\n", STEPS, size, wrong);
    return failed("free", peal_comm_free(&world)) || wrong;
}
