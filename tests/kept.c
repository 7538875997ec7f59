/* SPDX-License-Identifier: BSD-3-Clause */
/* The own block of an all-gather is copied by the send, on the short way and on the long one, and
 * right also where it lies in its place already.  Where string instructions are the faster way the
 * short way copies it after the send, and not before.
 *
 *   kept */
#include "ranks.h"

#include "transports/shm/shm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANKS = 2, CALLS = 40, MOST = 64 << 10 };

static const size_t lengths[] = { 4 << 10, 8 << 10, 40000, MOST };     /* of a block */
static int kept, early;                /* copied by the send; sent before they were copied */
static const unsigned char *copied;    /* to where; NULL: nobody asks */
static enum pace_strings strings;      /* what is found */

int __real_shm_put_keep(struct endpoint *to, const struct message *message, const void *bytes,
                        size_t length, void *keep);
int __wrap_shm_put_keep(struct endpoint *to, const struct message *message, const void *bytes,
                        size_t length, void *keep);

/* The linker puts this in its place (--wrap). */
int __wrap_shm_put_keep(struct endpoint *to, const struct message *message, const void *bytes,
                        size_t length, void *keep)
{
    int status;

    to->pace.strings = strings;
    status = __real_shm_put_keep(to, message, bytes, length, keep);
    kept += status == PEAL_OK;
    return status;
}

int __real_shm_put(struct endpoint *to, const struct message *message, const void *bytes, size_t length,
                   struct completion *done);
int __wrap_shm_put(struct endpoint *to, const struct message *message, const void *bytes, size_t length,
                   struct completion *done);

int __wrap_shm_put(struct endpoint *to, const struct message *message, const void *bytes, size_t length,
                   struct completion *done)
{
    early += copied && memcmp(copied, bytes, length) != 0;
    return __real_shm_put(to, message, bytes, length, done);
}

static unsigned char value(int rank, int call, size_t i)
{
    return (unsigned char)((size_t)call * 31 + (size_t)rank * 101 + i % 251);
}

/* `busy`: a receive is under way, so the call takes the long way. */
static void gather(struct rank *me, peal_comm_t comm, unsigned char *own, unsigned char *all,
                   size_t bytes, int call, bool busy)
{
    peal_request_t request;
    int word = call, heard = -1;

    for (size_t i = 0; i < bytes; i++)
        own[i] = value(me->rank, call, i);
    if (busy)
        rank_status(me, peal_irecv(&heard, 1, PEAL_INT32, !me->rank, comm, &request), PEAL_OK,
                    "peal_irecv");
    rank_status(me, peal_allgather(own, all, bytes, PEAL_UINT8, comm), PEAL_OK, "peal_allgather");
    if (busy) {
        rank_status(me, peal_send(&word, 1, PEAL_INT32, !me->rank, comm), PEAL_OK, "peal_send");
        rank_status(me, peal_wait(&request), PEAL_OK, "peal_wait");
        rank_check(me, heard == word, "%d came instead of %d", heard, word);
    }
    for (int rank = 0; rank < RANKS; rank++)
        for (size_t i = 0; i < bytes; i++)
            if (!rank_check(me, all[(size_t)rank * bytes + i] == value(rank, call, i),
                            "call %d: byte %zu of rank %d's block of %zu is %d", call, i, rank,
                            bytes, all[(size_t)rank * bytes + i]))
                return;
}

static void gather_all(struct rank *me, peal_comm_t comm, unsigned char *own, unsigned char *all)
{
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++)
        for (int way = 0; way < 3; way++) {
            unsigned char *from = way == 2 ? all + (size_t)me->rank * lengths[k] : own;

            rank_doing(me, "blocks of %zu bytes, way %d", lengths[k], way);
            kept = early = 0;
            copied = way == 0 ? all + (size_t)me->rank * lengths[k] : NULL;
            for (int call = 0; call < CALLS; call++)
                gather(me, comm, from, all, lengths[k], call, way == 1);
            copied = NULL;
            if (strings == STRINGS_FASTER)
                rank_check(me, kept == 0 && (way > 0 || early > CALLS / 2), "blocks of %zu bytes, way %d: %d of "
                           "%d were copied by the send, and %d after it", lengths[k], way, kept, CALLS, early);
            else
                rank_check(me, way == 2 || kept > CALLS / 2, "blocks of %zu bytes, way %d: %d of %d were "
                           "copied by the send", lengths[k], way, kept, CALLS);
        }
}

static void body(struct rank *me)
{
    unsigned char *own = malloc(MOST), *all = malloc(RANKS * MOST);
    peal_comm_t comm;

    unsetenv("PEAL_SHM_RING");
    unsetenv("PEAL_SHM_EAGER");
    setenv("PEAL_TRANSPORTS", "shm", 1);
    if (rank_check(me, own && all, "no memory") && rank_comm(me, &comm)) {
        strings = STRINGS_SLOWER;
        gather_all(me, comm, own, all);
        strings = STRINGS_FASTER;
        gather_all(me, comm, own, all);
        rank_comm_free(me, &comm);
    }
    free(own);
    free(all);
}

int main(void)
{
    struct ranks_plan plan = { .name = "kept", .nranks = RANKS, .body = body };
    int failed = ranks_run(&plan);

    printf("kept: %s, %d ranks failed\n", failed ? "FAIL" : "ok", failed);
    return failed ? 1 : 0;
}
