/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite's cases of the short way: put, peek and take, alone and
 * mixed with send and recv at either end.  A transport that has none answers so,
 * and everything goes the long way. */
#include "tests/transports_rig.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MANY = 1200, MOST = 8 << 10 };

/* Send by the short way if there is one; `op` is as after a send.  True: it is gone. */
static bool short_send(struct node *node, uint32_t stream, const void *bytes, size_t length,
                       struct op *op)
{
    int peer = !node->rank;
    struct message message = rig_message(stream, node->next_send[peer][stream]);
    int status;

    memset(op, 0, sizeof *op);
    status = node->transport->put(node->peers[peer], &message, bytes, length, &op->completion);
    CHECK(status == PEAL_OK || status == STATUS_AGAIN || status == STATUS_LATER, "put: %s",
          status_name(status));
    if (status == STATUS_AGAIN) {
        node_send(node, peer, stream, bytes, length, op);
        return false;
    }
    node->next_send[peer][stream]++;
    op->completion.status = PEAL_OK;
    op->done = status == PEAL_OK;
    return op->done;
}

/* Peek up to `looks` times; true: it came, and was copied to `bytes`. */
static bool short_recv(struct node *node, uint32_t stream, void *bytes, size_t length,
                       uint64_t looks)
{
    int peer = !node->rank, status = STATUS_AGAIN;
    struct message message = rig_message(stream, node->next_recv[peer][stream]);
    const void *view = NULL;

    for (uint64_t i = 0; status == STATUS_AGAIN && i < looks; i++) {
        status = node->transport->peek(node->peers[peer], &message, length, &view);
        if (status == STATUS_AGAIN && i % 8 == 7)
            node_progress(node);
    }
    if (status != PEAL_OK) {
        CHECK(status == STATUS_AGAIN || status == STATUS_POST, "%s", status_name(status));
        return false;
    }
    if (view != bytes)                 /* it was placed there */
        memcpy(bytes, view, length);
    CHECK(node->transport->take(node->peers[peer], &message, length) == PEAL_OK, "take");
    node->next_recv[peer][stream]++;
    return true;
}

void any_recv(struct node *node, uint32_t stream, void *bytes, size_t length,
                     uint64_t looks)
{
    struct op op;

    if (short_recv(node, stream, bytes, length, looks))
        return;
    node_recv(node, !node->rank, stream, bytes, length, &op);
    CHECK(node_wait_op(node, &op) == PEAL_OK, "%s", status_name(op.completion.status));
}

/* To and fro, more often than the window is wide, all lengths. */
static void alone_body(struct node *node)
{
    static const size_t sizes[] = { 8, 0, 1, 63, 64, 65, 1023, 1024, 1025, 4096, MOST };
    char *out = rig_alloc(MOST, false), *in = rig_alloc(MOST, false);
    struct op op;

    for (uint32_t i = 0; i < 3 * TRANSPORT_WINDOW; i++) {
        size_t bytes = sizes[i % (sizeof sizes / sizeof sizes[0])];
        uint32_t stream = i / 7 % 2;

        rig_fill(out, bytes, i + (uint64_t)node->rank);
        if (node->rank == 0)
            short_send(node, stream, out, bytes, &op);
        any_recv(node, stream, in, bytes, 1000);
        rig_verify(in, bytes, i + (uint64_t)!node->rank, "short way");
        if (node->rank == 1)
            short_send(node, stream, out, bytes, &op);
        CHECK(node_wait_op(node, &op) == PEAL_OK, "%s", status_name(op.completion.status));
    }
    node_barrier(node);
    rig_free(out, MOST, false);
    rig_free(in, MOST, false);
}

/* The same list on both ranks; each chooses for itself how. */
struct item {
    int      from;
    uint32_t stream;
    size_t   bytes;
    char    *memory;
    struct op op;
};

static size_t item_bytes(uint64_t random)
{
    return random % 16 == 0 ? random % 200000 : random % 4 == 0 ? random % MOST : random % 100;
}

/* Deadlock-free: a rank waits only for what stands in the list before all that it
 * has not started yet. */
static void mixed_body(struct node *node)
{
    struct item *items = calloc(MANY, sizeof *items);
    struct node list = { .random = node->seed };

    for (uint32_t i = 0; i < MANY; i++) {
        struct item *item = &items[i];

        item->from = (int)node_random(&list, 2);
        item->stream = (uint32_t)node_random(&list, 2);
        item->bytes = item_bytes(node_random(&list, 1 << 30));
        item->memory = rig_alloc(item->bytes, false);
        if (item->from == node->rank) {
            rig_fill(item->memory, item->bytes, i);
            if (node_random(node, 4) > 0)
                short_send(node, item->stream, item->memory, item->bytes, &item->op);
            else
                node_send(node, !node->rank, item->stream, item->memory, item->bytes,
                          &item->op);
        } else if (node_random(node, 4) > 0) {
            any_recv(node, item->stream, item->memory, item->bytes, node_random(node, 200));
            item->op.done = true;
        } else {
            node_recv(node, !node->rank, item->stream, item->memory, item->bytes, &item->op);
            if (node_random(node, 3) > 0)
                node_wait(node, &item->op.done);
        }
    }
    for (uint32_t i = 0; i < MANY; i++) {
        struct item *item = &items[i];

        CHECK(node_wait_op(node, &item->op) == PEAL_OK, "item %u: %s", i,
              status_name(item->op.completion.status));
        rig_verify(item->memory, item->bytes, i, "short and long ways mixed");
        rig_free(item->memory, item->bytes, false);
    }
    node_barrier(node);
    free(items);
}

/* As many as go; returns how many.  `last`: of the last one, from `memory`. */
static uint32_t put_all(struct node *node, char *memory, size_t bytes, struct op *last)
{
    uint32_t base = node->next_send[1][0], count = 0;
    int status;

    memset(last, 0, sizeof *last);

    for (; count <= TRANSPORT_WINDOW; count++) {
        struct message message = rig_message(0, base + count);

        rig_fill(memory, bytes, count);
        status = node->transport->put(node->peers[1], &message, memory, bytes,
                                      &last->completion);
        last->done = status != STATUS_LATER;
        count += status == STATUS_LATER;
        if (status)                    /* LATER: the receiver's system takes no more */
            break;
    }
    CHECK(count <= TRANSPORT_WINDOW, "put() beyond the window");
    node->next_send[1][0] += count;
    return count;
}

/* Up to a closed window, or to more than the receiver's system takes at once.  One
 * message that is taken then makes room for one. */
static void closed_round(struct node *node, char *memory, size_t bytes)
{
    uint32_t count = 0;
    struct op op, last;

    if (node->rank == 0) {
        count = put_all(node, memory, bytes, &last);
        node_meet(node);
        node_send(node, 1, 1, &count, sizeof count, &op);
        CHECK(node_wait_op(node, &op) == PEAL_OK, "%s", status_name(op.completion.status));
        CHECK(node_wait_op(node, &last) == PEAL_OK, "%s", status_name(last.completion.status));
        rig_fill(memory, bytes, count);
        short_send(node, 0, memory, bytes, &op);
        if (count == TRANSPORT_WINDOW)
            node_barrier(node);
        CHECK(node_wait_op(node, &op) == PEAL_OK, "%s", status_name(op.completion.status));
        return;
    }
    node_meet(node);                   /* without progress: nobody reads meanwhile */
    any_recv(node, 1, &count, sizeof count, 1);
    for (uint32_t i = 0; i <= count; i++) {
        any_recv(node, 0, memory, bytes, 100);
        rig_verify(memory, bytes, i, "up to a closed window");
        if (i == 0 && count == TRANSPORT_WINDOW)
            node_barrier(node);
    }
}

static void closed_body(struct node *node)
{
    char *memory = rig_alloc(MOST, false);

    for (int round = 0; round < 3; round++) {
        closed_round(node, memory, MOST);
        closed_round(node, memory, 8);
    }
    node_barrier(node);
    rig_free(memory, MOST, false);
}

/* More than the receiver reads at once, in its sizes never a whole number of
 * messages, and with small buffers more than its system takes. */
static void heap_body(struct node *node)
{
    enum { HEAP = 200 };
    const uint64_t rounds = (uint64_t)rig_times(16);
    struct op *ops = calloc(HEAP, sizeof *ops);
    char *memory = rig_alloc(HEAP * 2048, false);

    for (uint64_t round = 0; round < rounds; round++) {
        size_t bytes = round % 4 ? 300 + 101 * round : 8;

        for (uint64_t i = 0; i < HEAP && node->rank == 0; i++) {
            rig_fill(memory + i * bytes, bytes, i + round);
            short_send(node, 0, memory + i * bytes, bytes, &ops[i]);
        }
        if (node->rank == 1)
            usleep(1000);              /* time to pile up */
        for (uint64_t i = 0; i < HEAP; i++) {
            if (node->rank == 0) {
                CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "%s",
                      status_name(ops[i].completion.status));
                continue;
            }
            if (i % 16 == round)
                node_progress(node);   /* takes over what lies ahead */
            any_recv(node, 0, memory, bytes, 1000);
            rig_verify(memory, bytes, i + round, "in heaps");
        }
        if (node->rank == 1) {         /* with the credit for them */
            short_send(node, 1, &round, sizeof round, ops);
            CHECK(node_wait_op(node, ops) == PEAL_OK, "%s",
                  status_name(ops->completion.status));
        } else {
            any_recv(node, 1, memory, sizeof round, 10);
        }
    }
    node_barrier(node);
    rig_free(memory, HEAP * 2048, false);
    free(ops);
}

/* What is put while a long message is on its way, and stuck, stays behind it. */
static void behind_body(struct node *node)
{
    enum { LONG = 12 << 20, FEW = 10 };
    char *memory = rig_alloc(LONG, false), few[FEW][8];
    struct op op, ops[FEW];

    node_greet(node);
    if (node->rank == 1) {
        node_recv(node, 0, 1, memory, LONG, &op);
        node_progress(node);
        node_meet(node);
    } else {
        rig_fill(memory, LONG, 3);
        node_meet(node);
        node_send(node, 1, 1, memory, LONG, &op);
        for (int i = 0; i < 64; i++)   /* nobody reads: the system takes no more */
            node_progress(node);
    }
    node_meet(node);
    if (node->rank == 1)
        node_progress(node);           /* now it would, in the middle of a chunk */
    node_meet(node);
    for (uint64_t i = 0; i < FEW && node->rank == 0; i++) {
        rig_fill(few[i], sizeof few[i], i);
        short_send(node, 0, few[i], sizeof few[i], &ops[i]);
    }
    node_meet(node);
    for (uint64_t i = 0; i < FEW; i++) {
        if (node->rank == 0) {
            CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "%s",
                  status_name(ops[i].completion.status));
            continue;
        }
        any_recv(node, 0, few[i], sizeof few[i], 10);
        rig_verify(few[i], sizeof few[i], i, "behind a long message");
    }
    CHECK(node_wait_op(node, &op) == PEAL_OK, "%s", status_name(op.completion.status));
    rig_verify(memory, LONG, 3, "a long message");
    node_barrier(node);
    rig_free(memory, LONG, false);
}

static void behind_fresh_body(struct node *node)
{
    node->fresh = true;
    behind_body(node);
}

/* Whoever reads for one receive takes over what lies before it.  That can still go the
 * short way, or a sender that runs ahead would keep its receiver from it for ever. */
static void taken_over_body(struct node *node)
{
    enum { FEW = 10, ROUNDS = 8, LENGTH = 200 };
    char *memory = rig_alloc(FEW * LENGTH, false);
    uint64_t gone;
    struct op ops[FEW], op;

    node_greet(node);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        size_t bytes = round % 2 ? LENGTH : 8;

        for (uint64_t i = gone = 0; i < FEW && node->rank == 0; i++) {
            rig_fill(memory + i * bytes, bytes, i + round);
            gone += short_send(node, 0, memory + i * bytes, bytes, &ops[i]) && gone == i;
        }
        if (node->rank == 0)
            node_send(node, 1, 1, &gone, sizeof gone, &op);
        node_meet(node);
        if (node->rank == 1)
            node_recv(node, 0, 1, &gone, sizeof gone, &op);
        CHECK(node_wait_op(node, &op) == PEAL_OK, "%s", status_name(op.completion.status));
        for (uint64_t i = 0; i < FEW; i++) {
            if (node->rank == 0)
                CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "%s",
                      status_name(ops[i].completion.status));
            else if (i >= gone)
                any_recv(node, 0, memory, bytes, 10);
            else
                CHECK(short_recv(node, 0, memory, bytes, UINT64_MAX),
                      "message %d of %zu bytes cannot be peeked at", (int)i, bytes);
            if (node->rank == 1)
                rig_verify(memory, bytes, i + round, "taken over by the long way");
        }
        node_meet(node);
    }
    node_barrier(node);
    rig_free(memory, FEW * LENGTH, false);
}

/* What differs is not handed over, and recv() says how it differs. */
static void differs_body(struct node *node)
{
    static const size_t pairs[][2] = { { 8, 8 }, { 8, 16 }, { 16, 8 }, { 0, 8 }, { 8, 0 },
                                       { 5000, 8 }, { 300000, 8 } };
    char *out = rig_alloc(300000, false), *in = rig_alloc(MOST, false);

    rig_fill(out, 300000, 1);
    for (uint32_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        size_t sent = pairs[i][0], posted = pairs[i][1];
        struct message theirs = rig_message(0, i), ours = theirs;
        struct landing landing = { .dst = in, .bytes = posted };
        struct op op = { .done = false };
        const void *view;
        int status = STATUS_AGAIN;

        theirs.signature.count += sent == posted;
        if (node->rank == 0) {
            status = node->transport->put(node->peers[1], &theirs, out, sent,
                                          &op.completion);
            op.done = status == PEAL_OK;
            for (; status == STATUS_AGAIN; node_progress(node))    /* not connected yet */
                status = node->transport->send(node->peers[1], &theirs, out, sent,
                                               &op.completion);
            CHECK(status == PEAL_OK || status == STATUS_LATER, "%s", status_name(status));
            CHECK(node_wait_op(node, &op) == PEAL_OK, "%s",
                  status_name(op.completion.status));
        } else {
            rig_fill(in, posted, 77);
            for (int k = 0; k < 1000 && status == STATUS_AGAIN; k++)
                status = node->transport->peek(node->peers[0], &ours, posted, &view);
            CHECK(status == STATUS_AGAIN || status == STATUS_POST, "case %u: %s", i,
                  status_name(status));
            status = node->transport->recv(node->peers[0], &ours, &landing, &op.completion);
            CHECK(status == PEAL_OK && node_wait_op(node, &op) == PEAL_ERR_MISMATCH,
                  "case %u: %s", i, status_name(op.completion.status));
            CHECK(op.completion.theirs.count == theirs.signature.count &&
                  op.completion.their_bytes == sent, "case %u: not the sender's values", i);
            rig_verify(in, posted, 77, "mismatch");
        }
    }
    node->next_send[!node->rank][0] = node->next_recv[!node->rank][0] =
        sizeof pairs / sizeof pairs[0];
    node_barrier(node);
    rig_free(out, 300000, false);
    rig_free(in, MOST, false);
}

/* Messages that came in a bunch with one that was peeked wake a sleeper. */
static void bunch_body(struct node *node)
{
    char *memory = rig_alloc(64, false);
    struct op ops[2];

    node->sleepy = true;
    node_greet(node);
    for (uint64_t i = 0; i < 300; i++) {
        rig_fill(memory, 64, i);
        if (node->rank == 0) {
            short_send(node, 0, memory, 64, &ops[0]);
            short_send(node, 1, memory, 64, &ops[1]);
            node_meet(node);
            node_wait(node, &ops[0].done);
            node_wait(node, &ops[1].done);
        } else {
            node_meet(node);
            any_recv(node, 0, memory, 64, 50);
            rig_verify(memory, 64, i, "the first of a bunch");
            if (i % 2) {
                any_recv(node, 1, memory, 64, 50);
            } else {
                node_progress(node);
                any_recv(node, 1, memory, 64, 0);
            }
            rig_verify(memory, 64, i, "the second of a bunch");
        }
    }
    node_barrier(node);
    rig_free(memory, 64, false);
}

static void bunch_fresh_body(struct node *node)
{
    node->fresh = true;
    bunch_body(node);
}

/* What was put before the peer left is there; then peek() refers to recv(). */
static void gone_body(struct node *node)
{
    struct message message = rig_message(0, 3);
    char *memory = rig_alloc(64, false);
    uint64_t deadline = clock_deadline(5);
    int status = STATUS_AGAIN;
    const void *view;
    struct op op;

    rig_fill(memory, 64, 5);
    for (int i = 0; i < 3 && node->rank == 0; i++) {
        short_send(node, 0, memory, 64, &op);
        node_wait(node, &op.done);
    }
    if (node->rank == 0) {
        node_close(node, true);
        node_barrier(node);
        rig_free(memory, 64, false);
        return;
    }
    for (int i = 0; i < 3; i++) {
        rig_fill(memory, 64, 6);
        any_recv(node, 0, memory, 64, 1000);
        rig_verify(memory, 64, 5, "before the peer left");
    }
    while (status == STATUS_AGAIN && clock_now() < deadline) {
        status = node->transport->peek(node->peers[0], &message, 64, &view);
        if (status == STATUS_AGAIN)
            node_progress(node);       /* a loss may be noticed there only */
    }
    CHECK(status == STATUS_POST, "peek() from a peer that is gone: %s", status_name(status));
    node_recv(node, 0, 0, memory, 64, &op);
    CHECK(node_wait_op(node, &op) == PEAL_ERR_PEER, "%s", status_name(op.completion.status));
    CHECK(node->transport->peek(node->peers[0], &message, 64, &view) == STATUS_POST, "peek");
    message = rig_message(0, 0);
    CHECK(node->transport->put(node->peers[0], &message, memory, 64, &op.completion) ==
              STATUS_AGAIN, "put");
    node_send(node, 0, 0, memory, 64, &op);
    CHECK(node_wait_op(node, &op) == PEAL_ERR_PEER, "%s", status_name(op.completion.status));
    node_barrier(node);
    rig_free(memory, 64, false);
}

void transports_short(const struct transport *transport, bool processes, uint64_t seed)
{
    static const struct {
        const char *name;
        void      (*body)(struct node *);
        const char *setting, *value, *transport;
    } cases[] = {
        { "alone", alone_body, NULL, NULL, NULL },
        { "mixed with the long way", mixed_body, NULL, NULL, NULL },
        { "up to a closed window", closed_body, NULL, NULL, NULL },
        { "up to a full socket", closed_body, "PEAL_TCP_SNDBUF", "256K", "tcp" },
        { "placed where it is expected", transports_place, NULL, NULL, NULL },
        { "placed while the receiver closes", transports_place_closing, NULL, NULL, NULL },
        { "in heaps", heap_body, NULL, NULL, NULL },
        { "in heaps, a small buffer", heap_body, "PEAL_TCP_SNDBUF", "8K", "tcp" },
        { "behind a long message", behind_body, NULL, NULL, NULL },
        { "behind a long message, not connected", behind_fresh_body, NULL, NULL, NULL },
        { "taken over by the long way", taken_over_body, NULL, NULL, NULL },
        { "what differs", differs_body, NULL, NULL, NULL },
        { "in bunches", bunch_body, NULL, NULL, NULL },
        { "in bunches, not connected", bunch_fresh_body, NULL, NULL, NULL },
        { "a peer that is gone", gone_body, NULL, NULL, NULL }
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (cases[i].transport && strcmp(cases[i].transport, transport->name) != 0)
            continue;
        if (cases[i].setting)
            CHECK(setenv(cases[i].setting, cases[i].value, 1) == 0, "%m");
        rig_case(transport, "short way, ", cases[i].name, 2, processes, -1, seed + i, cases[i].body);
        if (cases[i].setting)
            unsetenv(cases[i].setting);
    }
}
