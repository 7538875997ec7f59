/* SPDX-License-Identifier: BSD-3-Clause */
/* One rank for namespaces.sh, told by PEAL_RANK and its kin what it is.
 *   namespaces_rank sums          some collectives, checked; ends well
 *   namespaces_rank until_cut F   makes file F when all is well, then large
 *                                 allreduces until the network fails; ends well
 *                                 if that gave PEAL_ERR_PEER or PEAL_ERR_TIMEOUT */
#include "peal.h"
#include "rank_alone.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 1 << 20 };

static int sums(int rank, int size, peal_comm_t comm)
{
    uint32_t *in = malloc(COUNT * sizeof *in), *out = malloc(COUNT * sizeof *out);
    int status = PEAL_OK, bad = 0;

    for (size_t count = 1; count <= COUNT && !status && !bad; count *= 32) {
        for (size_t i = 0; i < count; i++)
            in[i] = (uint32_t)(i * 7 + (size_t)rank);
        status = peal_allreduce(in, out, count, PEAL_UINT32, PEAL_SUM, comm);
        for (size_t i = 0; i < count && !status; i++)
            bad += out[i] != (uint32_t)(i * 7 * (size_t)size + (size_t)(size * (size - 1) / 2));
        for (int root = 0; root < size && !status; root++) {
            in[0] = (uint32_t)(rank + 100);
            status = peal_bcast(in, count, PEAL_UINT32, root, comm);
            bad += !status && in[0] != (uint32_t)(root + 100);
        }
    }
    free(in);
    free(out);
    if (status)
        return say(rank, status, "a collective");
    if (bad)
        fprintf(stderr, "rank %d: %d wrong values\n", rank, bad);
    return bad != 0;
}

static int until_cut(int rank, const char *ready, peal_comm_t comm)
{
    float *data = calloc(4 * COUNT, sizeof *data);
    double begun, slowest = 0;
    int status = peal_barrier(comm);

    if (rank == 0 && status == PEAL_OK)
        close(open(ready, O_CREAT | O_WRONLY, 0600));
    while (status == PEAL_OK) {
        begun = now();
        status = peal_allreduce(PEAL_IN_PLACE, data, 4 * COUNT, PEAL_FLOAT32, PEAL_SUM, comm);
        slowest = now() - begun;
    }
    free(data);
    printf("rank %d: %s after %.1f s: %.300s\n", rank, peal_strerror(status), slowest,
           peal_last_error());
    return status != PEAL_ERR_PEER && status != PEAL_ERR_TIMEOUT;
}

int main(int argc, char **argv)
{
    int rank = 0, size = 0, bad, status;
    peal_comm_t comm;

    if (argc < 2)
        return 2;
    if ((status = peal_init(NULL, &comm)))
        return say(-1, status, "peal_init");
    peal_comm_rank(comm, &rank);
    peal_comm_size(comm, &size);
    if (!strcmp(argv[1], "until_cut") && argc > 2) {
        bad = until_cut(rank, argv[2], comm);
        peal_comm_free(&comm);
        return bad;
    }
    bad = sums(rank, size, comm);
    status = peal_comm_free(&comm);
    return status ? say(rank, status, "peal_comm_free") : bad;
}
