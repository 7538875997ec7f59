/* SPDX-License-Identifier: BSD-3-Clause */
/* Lesson 3: communicate while computing.
 *
 * peal_iallreduce returns at once.  The gradients of a network's last layer are
 * ready first; their all-reduce can be under way while the layers before are
 * still computed.  Until a request is complete its buffers belong to Peal.
 *
 *     peal-run -n 4 ./03_nonblocking */
#include <peal.h>

#include <stdio.h>
#include <stdlib.h>

enum { LAYERS = 4, COUNT = 1 << 18 };

static int failed(const char *what, int status)
{
    if (status == PEAL_OK)
        return 0;
    fprintf(stderr, "%s: %s: %s\n", what, peal_strerror(status), peal_last_error());
    return 1;
}

/* Stands for the backward pass of one layer. */
static void compute(float *gradient, int layer, int rank)
{
    for (int i = 0; i < COUNT; i++)
        gradient[i] = (float)(rank + layer + i % 100);
}

static int verify(const float *gradient, int layer, int size)
{
    int wrong = 0;

    for (int i = 0; i < COUNT; i++)
        wrong += gradient[i] != (float)(size * (size - 1) / 2 + size * (layer + i % 100));
    return wrong;
}

int main(void)
{
    float *gradients = malloc(sizeof *gradients * LAYERS * COUNT);
    peal_request_t requests[LAYERS];
    peal_comm_t world;
    int rank, size, polls = 0, wrong = 0;

    if (!gradients || failed("init", peal_init(NULL, &world)))
        return 1;
    peal_comm_rank(world, &rank);
    peal_comm_size(world, &size);

    for (int layer = LAYERS - 1; layer >= 0; layer--) {
        float *gradient = gradients + (size_t)layer * COUNT;
        int done;

        compute(gradient, layer, rank);
        if (failed("start", peal_iallreduce(PEAL_IN_PLACE, gradient, COUNT, PEAL_FLOAT32,
                                            PEAL_SUM, world, &requests[layer])))
            return 1;
        /* peal_test moves things along, without waiting.  A completed request
         * becomes PEAL_REQUEST_NULL; testing or waiting for that is harmless. */
        if (failed("test", peal_test(&requests[layer], &done)))
            return 1;
        polls += !done;
    }
    if (failed("wait", peal_waitall(LAYERS, requests)))
        return 1;
    for (int layer = 0; layer < LAYERS; layer++)
        wrong += verify(gradients + (size_t)layer * COUNT, layer, size);
    if (rank == 0)
        printf("%d layers reduced over %d ranks, %d still under way at the first look, %d wrong\n",
               LAYERS, size, polls, wrong);
    free(gradients);
    return failed("free", peal_comm_free(&world)) || wrong;
}
