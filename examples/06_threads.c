/* SPDX-License-Identifier: BSD-3-Clause */
/* Lesson 6: ranks as threads.
 *
 * Ranks need not be processes.  One thread makes an id, the others get a copy,
 * and each makes its communicator with it.  The same works between processes
 * that have their own way to hand 256 bytes around.
 *
 *     ./06_threads          starts its four ranks itself */
#include <peal.h>

#include <pthread.h>
#include <stdio.h>

enum { RANKS = 4, COUNT = 5 };

static peal_unique_id_t id;

static int failed(int rank, const char *what, int status)
{
    if (status == PEAL_OK)
        return 0;
    /* peal_last_error() is of the calling thread. */
    fprintf(stderr, "rank %d: %s: %s: %s\n", rank, what, peal_strerror(status),
            peal_last_error());
    return 1;
}

/* One rank; a result other than NULL is a failure. */
static void *rank_main(void *argument)
{
    int rank = *(int *)argument, all[RANKS * COUNT], mine[COUNT], wrong = 0;
    peal_comm_t comm;

    if (failed(rank, "create", peal_comm_create(&id, rank, RANKS, NULL, &comm)))
        return argument;
    for (int i = 0; i < COUNT; i++)
        mine[i] = rank * 100 + i;
    if (failed(rank, "allgather", peal_allgather(mine, all, COUNT, PEAL_INT32, comm)))
        return argument;
    for (int i = 0; i < RANKS * COUNT; i++)
        wrong += all[i] != i / COUNT * 100 + i % COUNT;
    printf("rank %d has the numbers of all ranks, %d wrong\n", rank, wrong);
    if (failed(rank, "free", peal_comm_free(&comm)) || wrong)
        return argument;
    return NULL;
}

int main(void)
{
    pthread_t threads[RANKS];
    int ranks[RANKS], bad = 0;

    if (failed(0, "id", peal_get_unique_id(&id)))
        return 1;
    for (int i = 0; i < RANKS; i++) {
        ranks[i] = i;
        if (pthread_create(&threads[i], NULL, rank_main, &ranks[i])) {
            fprintf(stderr, "cannot start thread %d\n", i);
            return 1;
        }
    }
    for (int i = 0; i < RANKS; i++) {
        void *result = NULL;

        pthread_join(threads[i], &result);
        bad += result != NULL;
    }
    return bad != 0;
}
