/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite's cases in which an end of a connection goes away. */
#include "tests/transports_rig.h"

#include "base/clock.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 700000, SMALLS = 100 };

static double patience;                        /* seconds until a loss must be noticed */

/* Of messages that a process sends before it ends; `some` may wait for the
 * receiver, which only an orderly end allows. */
static size_t small_size(int i, bool some)
{
    return some && i % 10 == 9 ? 30000 : (size_t)i * 3;
}

/* The peer has gone, or is about to: all that is posted fails, and all that
 * follows. */
static void expect_loss(struct node *node, int peer)
{
    static const size_t lengths[] = { 8, 0, LARGE, 5000 };
    char *memory = rig_alloc(LARGE, false);
    uint64_t start = clock_now();
    struct op ops[4];

    for (int i = 0; i < 4; i++)
        node_recv(node, peer, (uint32_t)i & 1, memory, lengths[i], &ops[i]);
    for (int i = 0; i < 4; i++)
        CHECK(node_wait_op(node, &ops[i]) == PEAL_ERR_PEER, "receive %d: %s", i,
              status_name(ops[i].completion.status));
    CHECK(clock_now() - start < (uint64_t)(patience * 1e9), "noticed after %.1f s",
          (double)(clock_now() - start) * 1e-9);
    for (int i = 0; i < 2 * TRANSPORT_WINDOW; i++) {
        node_send(node, peer, 0, memory, lengths[i % 4], &ops[0]);
        CHECK(node_wait_op(node, &ops[0]) == PEAL_ERR_PEER, "send %d: %s", i,
              status_name(ops[0].completion.status));
        node_recv(node, peer, 0, memory, lengths[i % 4], &ops[1]);
        CHECK(node_wait_op(node, &ops[1]) == PEAL_ERR_PEER, "receive %d: %s", i,
              status_name(ops[1].completion.status));
    }
    rig_free(memory, LARGE, false);
}

/* The ops, of which some may be done. */
static struct op *send_smalls(struct node *node, int peer, bool some)
{
    static char out[SMALLS][30000];
    static struct op ops[SMALLS];

    for (int i = 0; i < SMALLS; i++) {
        rig_fill(out[i], small_size(i, some), (uint64_t)i);
        node_send(node, peer, 0, out[i], small_size(i, some), &ops[i]);
    }
    return ops;
}

static void recv_smalls(struct node *node, int peer, int count, bool some)
{
    for (int i = 0; i < count; i++) {
        char *memory = rig_alloc(small_size(i, some), false);
        struct op op;

        node_recv(node, peer, 0, memory, small_size(i, some), &op);
        CHECK(node_wait_op(node, &op) == PEAL_OK, "message %d, sent before the end: %s", i,
              status_name(op.completion.status));
        rig_verify(memory, small_size(i, some), (uint64_t)i, "before the end");
        rig_free(memory, small_size(i, some), false);
    }
}

/* One end sends, then closes with a flush: all of it arrives. */
static void flush_body(struct node *node)
{
    char *memory = rig_alloc(LARGE, false);
    struct op op;

    if (node->rank == 0) {
        rig_fill(memory, LARGE, 5);
        send_smalls(node, 1, true);
        node_send(node, 1, 1, memory, LARGE, &op);
        node_close(node, true);
        node_barrier(node);
    } else {
        node_recv(node, 0, 1, memory, LARGE, &op);
        recv_smalls(node, 0, SMALLS, true);
        CHECK(node_wait_op(node, &op) == PEAL_OK, "the large message");
        rig_verify(memory, LARGE, 5, "flushed");
        expect_loss(node, 0);
        node_barrier(node);
    }
    rig_free(memory, LARGE, false);
}

static uint64_t closing[2];                    /* ns that the last close() of each thread took */

/* Both ends close at once, after messages that nobody has a reason to answer. */
static void close_body(struct node *node)
{
    enum { TURNS = 60 };
    char out[8] = "", in[8];

    for (int i = 0; i < TURNS; i++) {
        struct op send, recv;

        node_meet(node);
        node_send(node, !node->rank, 0, out, sizeof out, &send);
        node_recv(node, !node->rank, 0, in, sizeof in, &recv);
        CHECK(node_wait_op(node, &send) == PEAL_OK, "send");
        CHECK(node_wait_op(node, &recv) == PEAL_OK, "receive");
    }
    closing[node->rank] = clock_now();
    node_close(node, true);
    closing[node->rank] = clock_now() - closing[node->rank];
}

/* Neither waits for the other longer than it must: a TCP acknowledgement that is
 * put off would take 0.04 s.  The best of a few, as the machine may be busy. */
static void close_quickly(const struct transport *transport, uint64_t seed)
{
    enum { TRIES = 8 };
    const double enough = 0.02 * rig_slowness();
    double best = 1e9;

    for (int i = 0; i < TRIES && best > enough; i++) {
        double took;

        rig_run(transport, 2, false, -1, seed, close_body);
        took = (double)(closing[0] > closing[1] ? closing[0] : closing[1]) * 1e-9;
        best = took < best ? took : best;
    }
    CHECK(best <= enough, "two closes at once take %.3f s", best);
    printf("%s, threads: close at once (%.4f s)\n", transport->name, best);
}

/* Closing without a flush lets go of all memory at once. */
static void drop_body(struct node *node)
{
    enum { OPS = 6 };
    static const size_t lengths[OPS] = { 8, 5000, LARGE, 8, 5000, LARGE };
    char *memory[2 * OPS];
    struct op *ops = calloc(2 * OPS, sizeof *ops);   /* not touched after the close either */

    for (int i = 0; i < 2 * OPS; i++) {
        memory[i] = rig_alloc(lengths[i % OPS], false);
        rig_fill(memory[i], lengths[i % OPS], 3);
    }
    node_greet(node);
    if (node->rank == 0) {
        for (int i = 0; i < OPS; i++) {
            node_recv(node, 1, (uint32_t)i & 1, memory[i], lengths[i], &ops[i]);
            node_send(node, 1, (uint32_t)i & 1, memory[OPS + i], lengths[i], &ops[OPS + i]);
        }
        node_close(node, false);
        for (int i = 0; i < OPS; i++)
            rig_fill(memory[i], lengths[i], 4);
        node_barrier(node);
        node_barrier(node);
        for (int i = 0; i < OPS; i++)
            rig_verify(memory[i], lengths[i], 4, "after close()");
    } else {
        node_meet(node);
        for (int i = 0; i < OPS; i++) {
            node_send(node, 0, (uint32_t)i & 1, memory[i], lengths[i], &ops[i]);
            node_recv(node, 0, (uint32_t)i & 1, memory[OPS + i], lengths[i], &ops[OPS + i]);
        }
        for (int i = 0; i < 2 * OPS; i++)     /* completes, or has arrived before */
            node_wait(node, &ops[i].done);
        CHECK(ops[OPS + 2].completion.status == PEAL_ERR_PEER, "a large message from memory "
              "that was taken back: %s", status_name(ops[OPS + 2].completion.status));
        for (int i = 0; i < OPS; i++)
            if (ops[OPS + i].completion.status == PEAL_OK)
                rig_verify(memory[OPS + i], lengths[i], 3, "before close()");
        expect_loss(node, 0);
        node_barrier(node);
    }
    for (int i = 0; i < 2 * OPS; i++)
        rig_free(memory[i], lengths[i % OPS], false);
    free(ops);
}

static void drop_fresh_body(struct node *node)
{
    node->fresh = true;
    drop_body(node);
}

/* Closing without a flush while the peer takes large messages: memory that its
 * owner writes again is never taken for the message. */
static void drop_moving_body(struct node *node)
{
    enum { OPS = 6, BYTES = 2000003 };
    static const int turns[] = { 1, 3, 10, 30, 100, 300 };
    struct op *ops = calloc(OPS, sizeof *ops);
    char *memory[OPS];

    for (int i = 0; i < OPS; i++) {
        memory[i] = rig_alloc(BYTES, i & 1);
        rig_fill(memory[i], node->rank ? 0 : BYTES, 8);
    }
    node_barrier(node);
    for (int i = 0; i < OPS; i++)
        if (node->rank == 0)
            node_send(node, 1, 0, memory[i], BYTES, &ops[i]);
        else
            node_recv(node, 0, 0, memory[i], BYTES, &ops[i]);
    if (node->rank == 0) {
        for (int i = turns[node_random(node, 6)]; i > 0; i--)
            node_progress(node);
        node_close(node, false);
        for (int i = 0; i < OPS; i++)
            memset(memory[i], 0xee, BYTES);
    }
    for (int i = 0; i < OPS && node->rank == 1; i++)
        if (node_wait_op(node, &ops[i]) == PEAL_OK)
            rig_verify(memory[i], BYTES, 8, "while its sender closed");
        else
            CHECK(ops[i].completion.status == PEAL_ERR_PEER, "%s",
                  status_name(ops[i].completion.status));
    node_barrier(node);
    for (int i = 0; i < OPS; i++)
        rig_free(memory[i], BYTES, i & 1);
    free(ops);
}

/* A sender dies: what it had sent without the receiver's help is there.  It dies
 * with a large message on offer, and one more posted to it. */
static void kill_body(struct node *node)
{
    char *memory = rig_alloc(LARGE, false), *other = rig_alloc(LARGE, false);
    struct op op, posted;
    uint64_t start;
    unsigned char sent = 0;
    char byte;

    if (node->rank == 0) {
        const struct op *smalls = send_smalls(node, 1, false);

        node_send(node, 1, 1, memory, LARGE, &op);
        for (int i = 0; i < 1000; i++)
            node_progress(node);
        node_wait(node, &smalls[0].done);      /* connecting may take that long */
        node_barrier(node);
        while (sent < SMALLS && smalls[sent].done)
            sent++;
        CHECK(write(node->control[1], &sent, 1) == 1, "%m");
        raise(SIGKILL);
    }
    node_barrier(node);
    CHECK(read(node->control[0], &sent, 1) == 1 && sent > 0, "nothing was sent");
    CHECK(read(node->control[0], &byte, 1) == 0, "the victim lives");
    start = clock_now();
    recv_smalls(node, 0, sent, false);
    node_send(node, 0, 0, other, LARGE, &posted);
    node_recv(node, 0, 1, memory, LARGE, &op);
    CHECK(node_wait_op(node, &op) == PEAL_ERR_PEER, "from the dead: %s",
          status_name(op.completion.status));
    CHECK(node_wait_op(node, &posted) == PEAL_ERR_PEER, "to the dead: %s",
          status_name(posted.completion.status));
    CHECK(clock_now() - start < (uint64_t)(patience * 1e9), "noticed too late");
    expect_loss(node, 0);
    rig_free(memory, LARGE, false);
    rig_free(other, LARGE, false);
}

/* Killed while large messages move both ways. */
static void kill_moving_body(struct node *node)
{
    enum { BYTES = 32 << 20 };
    char *in = rig_alloc(BYTES, false), *out = rig_alloc(BYTES, node->seed & 1);
    int peer = !node->rank;
    struct op send, recv;

    node_recv(node, peer, 0, in, BYTES, &recv);
    node_send(node, peer, 0, out, BYTES, &send);
    if (node->rank == 0) {
        for (uint64_t until = clock_now() + 3000000; clock_now() < until; )
            node_progress(node);
        raise(SIGKILL);
    }
    node_wait(node, &recv.done);
    node_wait(node, &send.done);
    expect_loss(node, 0);
    rig_free(in, BYTES, false);
    rig_free(out, BYTES, node->seed & 1);
}

/* A waiter that only spins, never arms, must notice a death as well. */
static void kill_spin_body(struct node *node)
{
    struct op op;
    char word[8];
    uint64_t start;

    if (node->rank == 0) {
        node_barrier(node);
        raise(SIGKILL);
    }
    node_recv(node, 0, 0, word, sizeof word, &op);
    node_barrier(node);
    for (start = clock_now(); !op.done; node_progress(node))
        CHECK(clock_now() - start < (uint64_t)(patience * 1e9), "a spinning wait hangs");
    CHECK(op.completion.status == PEAL_ERR_PEER, "%s", status_name(op.completion.status));
}

void transports_failures(const struct transport *transport, bool processes, uint64_t seed)
{
    patience = rig_slowness();
    rig_case(transport, "", "close with flush", 2, processes, -1, seed, flush_body);
    if (!processes)
        close_quickly(transport, seed);
    rig_case(transport, "", "close without flush", 2, processes, -1, seed, drop_body);
    rig_case(transport, "", "close without flush, just connected", 2, processes, -1, seed, drop_fresh_body);
    for (uint64_t i = 0; i < 6; i++)
        rig_case(transport, "", "close while data moves", 2, processes, -1, seed + i, drop_moving_body);
    if (!processes)
        return;
    rig_case(transport, "", "a peer is killed", 2, processes, 0, seed, kill_body);
    rig_case(transport, "", "killed while data moves", 2, processes, 0, seed, kill_moving_body);
    rig_case(transport, "", "killed while its peer spins", 2, processes, 0, seed, kill_spin_body);
}
