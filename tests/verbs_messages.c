/* SPDX-License-Identifier: BSD-3-Clause */
/* Short messages between two processes over the double of libibverbs (tests/verbs_double.h), for a
 * tool that counts instructions: the calls of rank 0 to be counted are in functions of their own,
 * counted_...().  Except for `look`, nothing that they wait for is missing: rank 1 has made its part
 * before, which it says through memory that both see and Peal does not know of.
 * Usage: verbs_messages send|recv|root|leaf|allreduce|look|sends|recvs BYTES TURNS */
#include "peal.h"

#include "tests/verbs_double.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Turns that are not counted; `look`: of rank 0, at least, each turn; `sends`, `recvs`: requests. */
enum { WARM = 512, LOOKS = 16, BURST = 16 };

struct board {
    peal_unique_id_t id;
    _Atomic int      named;        /* the id is there */
    _Atomic long     asked, answered;          /* turns that rank 0, rank 1 has got so far */
};

struct rank {
    int            rank;
    struct board  *board;
    peal_comm_t    comm;
    unsigned char *in, *out;
    size_t         bytes;
    peal_request_t request;        /* rank 1's part of an all-reduce */
    peal_request_t burst[BURST];
};

static void check(int status, const char *what)
{
    if (status == PEAL_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, peal_last_error());
    _exit(1);
}

static void await(_Atomic long *what, long turn)
{
    while (atomic_load(what) < turn)
        sched_yield();
}

/* ---- What is counted --------------------------------------------------------- */

void counted_send(struct rank *me);
void counted_recv(struct rank *me);
void counted_root(struct rank *me);
void counted_leaf(struct rank *me);
void counted_allreduce(struct rank *me);
void counted_sends(struct rank *me);
void counted_recvs(struct rank *me);

static void send_one(struct rank *me)
{
    check(peal_send(me->out, me->bytes, PEAL_UINT8, !me->rank, me->comm), "peal_send");
}

static void recv_one(struct rank *me)
{
    check(peal_recv(me->in, me->bytes, PEAL_UINT8, !me->rank, me->comm), "peal_recv");
}

static void bcast_one(struct rank *me, int root)
{
    check(peal_bcast(me->in, me->bytes, PEAL_UINT8, root, me->comm), "peal_bcast");
}

static void allreduce_one(struct rank *me)
{
    check(peal_allreduce(me->out, me->in, me->bytes / 8, PEAL_INT64, PEAL_SUM, me->comm),
          "peal_allreduce");
}

/* BURST messages under way at once. */
static void sends(struct rank *me)
{
    for (int i = 0; i < BURST; i++)
        check(peal_isend(me->out, me->bytes, PEAL_UINT8, !me->rank, me->comm, &me->burst[i]), "peal_isend");
    check(peal_waitall(BURST, me->burst), "peal_waitall");
}

static void recvs(struct rank *me)
{
    for (int i = 0; i < BURST; i++)
        check(peal_irecv(me->in, me->bytes, PEAL_UINT8, !me->rank, me->comm, &me->burst[i]), "peal_irecv");
    check(peal_waitall(BURST, me->burst), "peal_waitall");
}

__attribute__((noinline)) void counted_send(struct rank *me) { send_one(me); }
__attribute__((noinline)) void counted_recv(struct rank *me) { recv_one(me); }
__attribute__((noinline)) void counted_root(struct rank *me) { bcast_one(me, 0); }
__attribute__((noinline)) void counted_leaf(struct rank *me) { bcast_one(me, 1); }
__attribute__((noinline)) void counted_allreduce(struct rank *me) { allreduce_one(me); }
__attribute__((noinline)) void counted_sends(struct rank *me) { sends(me); }
__attribute__((noinline)) void counted_recvs(struct rank *me) { recvs(me); }

/* ---- A turn of each ------------------------------------------------------------ */

/* Ping-pong: both calls, of which one is counted. */
static void ping(struct rank *me, long turn, bool counts, bool sending)
{
    if (me->rank == 0) {
        if (counts && sending)
            counted_send(me);
        else
            send_one(me);
        atomic_store(&me->board->asked, turn);
        await(&me->board->answered, turn);
        if (counts && !sending)
            counted_recv(me);
        else
            recv_one(me);
    } else {
        await(&me->board->asked, turn);
        recv_one(me);
        send_one(me);
        atomic_store(&me->board->answered, turn);
    }
}

static void send_turn(struct rank *me, long turn, bool counts)
{
    ping(me, turn, counts, true);
}

static void recv_turn(struct rank *me, long turn, bool counts)
{
    ping(me, turn, counts, false);
}

static void look_turn(struct rank *me, long turn, bool counts)
{
    if (me->rank == 0) {
        send_one(me);
        atomic_store(&me->board->asked, turn);
        if (counts)
            counted_recv(me);
        else
            recv_one(me);
    } else {
        uint64_t seen;

        await(&me->board->asked, turn);
        recv_one(me);
        for (seen = double_polls(); double_polls() < seen + LOOKS; )
            sched_yield();
        send_one(me);
    }
}

static void root_turn(struct rank *me, long turn, bool counts)
{
    if (me->rank == 0) {
        if (counts)
            counted_root(me);
        else
            bcast_one(me, 0);
        atomic_store(&me->board->asked, turn);
        await(&me->board->answered, turn);
    } else {
        await(&me->board->asked, turn);
        bcast_one(me, 0);
        atomic_store(&me->board->answered, turn);
    }
}

static void leaf_turn(struct rank *me, long turn, bool counts)
{
    if (me->rank == 0) {
        await(&me->board->answered, turn);
        if (counts)
            counted_leaf(me);
        else
            bcast_one(me, 1);
        atomic_store(&me->board->asked, turn);
    } else {
        bcast_one(me, 1);
        atomic_store(&me->board->answered, turn);
        await(&me->board->asked, turn);
    }
}

static void allreduce_turn(struct rank *me, long turn, bool counts)
{
    if (me->rank == 0) {
        await(&me->board->answered, turn);
        if (counts)
            counted_allreduce(me);
        else
            allreduce_one(me);
        atomic_store(&me->board->asked, turn);
    } else {
        if (!me->request)
            check(peal_allreduce_init(me->out, me->in, me->bytes / 8, PEAL_INT64, PEAL_SUM, me->comm,
                                      &me->request), "peal_allreduce_init");
        check(peal_start(&me->request), "peal_start");
        atomic_store(&me->board->answered, turn);
        await(&me->board->asked, turn);
        check(peal_wait(&me->request), "peal_wait");
    }
}

static void sends_turn(struct rank *me, long turn, bool counts)
{
    if (me->rank == 0) {
        if (counts)
            counted_sends(me);
        else
            sends(me);
        atomic_store(&me->board->asked, turn);
        recv_one(me);
    } else {
        await(&me->board->asked, turn);
        recvs(me);
        send_one(me);
    }
}

static void recvs_turn(struct rank *me, long turn, bool counts)
{
    if (me->rank == 0) {
        await(&me->board->answered, turn);
        if (counts)
            counted_recvs(me);
        else
            recvs(me);
        send_one(me);
    } else {
        sends(me);
        atomic_store(&me->board->answered, turn);
        recv_one(me);
    }
}

static const struct { const char *name; void (*turn)(struct rank *, long, bool); } kinds[] = {
    { "send", send_turn }, { "recv", recv_turn }, { "root", root_turn }, { "leaf", leaf_turn },
    { "allreduce", allreduce_turn }, { "look", look_turn }, { "sends", sends_turn },
    { "recvs", recvs_turn }
};

/* ---- Ranks --------------------------------------------------------------------- */

static int rank_main(struct rank *me, void (*turn)(struct rank *, long, bool), long turns)
{
    if (me->rank == 0) {
        check(peal_get_unique_id(&me->board->id), "peal_get_unique_id");
        atomic_store(&me->board->named, 1);
    } else {
        while (!atomic_load(&me->board->named))
            sched_yield();
    }
    check(peal_comm_create(&me->board->id, me->rank, 2, NULL, &me->comm), "peal_comm_create");
    me->in = calloc(2, me->bytes + 1);
    if (!me->in)
        return 1;
    me->out = me->in + me->bytes;
    check(peal_barrier(me->comm), "peal_barrier");         /* connects them, for which both must wait */
    for (long t = 1; t <= WARM + turns; t++)
        turn(me, t, t > WARM);
    if (me->request)
        check(peal_request_free(&me->request), "peal_request_free");
    check(peal_comm_free(&me->comm), "peal_comm_free");
    free(me->in);
    return 0;
}

int main(int argc, char **argv)
{
    struct rank me = { .bytes = argc == 4 ? strtoul(argv[2], NULL, 0) : 0 };
    void (*turn)(struct rank *, long, bool) = NULL;
    int status;

    for (size_t i = 0; argc == 4 && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, argv[1]) == 0)
            turn = kinds[i].turn;
    if (!turn || me.bytes % 8 != 0) {
        fprintf(stderr, "usage: %s send|recv|root|leaf|allreduce|look|sends|recvs BYTES TURNS (BYTES: times 8)\n",
                argv[0]);
        return 2;
    }
    setenv("PEAL_TRANSPORTS", "self,verbs", 1);
    me.board = mmap(NULL, sizeof *me.board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (me.board == MAP_FAILED)
        return 1;
    me.rank = fork() == 0;
    status = rank_main(&me, turn, strtol(argv[3], NULL, 0));
    if (me.rank == 1)
        _exit(status);
    return wait(&status) < 0 || status != 0;
}
