/* SPDX-License-Identifier: BSD-3-Clause */
/* Moments of ending: of ports with everything under way, of rails in the middle of
 * messages, of memory. */
#include "tests/verbs_moments.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { DIRECT = 63 * 4096, PARTS = 600000, STREAM = 200000 };

/* ---- A port that closes, or loses its peer --------------------------------------------- */

static enum ending { DROPPED, FLUSHED, FLUSHED_IN_VAIN, LEFT, ENDINGS } ending;

enum { SENDS = 6, LATE = 4 };
static const struct { size_t bytes; bool shareable; } sends[SENDS] = {
    { PARTS, true },                   /* computed with: granted in parts */
    { DIRECT, true }, { DIRECT, true },/* written straight; the second finds no room for all */
    { STREAM, false },                 /* through the ring, which is full then */
    { 50000, false }, { 8, false }     /* announced, and not: both wait for room in it */
};

static void post(struct node *node, int i, char *memory, char *operand, struct op *op)
{
    static struct arithmetic sum;
    struct landing landing = { .dst = memory, .bytes = sends[i].bytes };

    CHECK(arithmetic_resolve(&sum, PEAL_INT32, PEAL_SUM, 2) == PEAL_OK, "resolve");
    if (i == 0) {
        landing.how = &sum;
        landing.operand = operand;
    }
    node_recv_number(node, 0, 0, (uint32_t)i, &landing, op);
}

/* The device does nothing more from the first grants on. */
static void ending_sender(struct node *node, char **memory, struct op *ops)
{
    struct endpoint *e = moment_peer(node);

    node_send_number(node, 1, 0, 0, memory[0], sends[0].bytes, &ops[0]);
    node_meet(node);
    node_meet(node);
    double_hold(0);
    for (int i = 0; i < 100; i++)
        node_progress(node);
    for (int i = 1; i < SENDS; i++)
        node_send_number(node, 1, 0, (uint32_t)i, memory[i], sends[i].bytes, &ops[i]);
    for (int i = 0; i < 100; i++)
        node_progress(node);
    CHECK(e->announced && e->orders && e->dealt && e->streams && e->queue,
          "not everything is under way");
    for (int i = 0; i < SENDS; i++)
        CHECK(!ops[i].done || i == 5, "send %d has ended, and the device has not sent it", i);
    node_meet(node);
    if (ending == LEFT) {
        node_meet(node);
        for (int i = 0; i < SENDS; i++)
            CHECK(node_wait_op(node, &ops[i]) == PEAL_ERR_PEER, "send %d: %s", i,
                  status_name(ops[i].completion.status));
    }
    node_close(node, ending != DROPPED);
}

static void ending_receiver(struct node *node, char **memory, char *operand, struct op *ops)
{
    post(node, 0, memory[0], operand, &ops[0]);
    node_meet(node);
    for (int i = 1; i < SENDS; i++)
        if (i != LATE)
            post(node, i, memory[i], NULL, &ops[i]);
    while (node_progress(node) > 0)
        continue;
    node_meet(node);
    node_meet(node);
    if (ending == LEFT) {
        node_close(node, false);
        node_meet(node);
        return;
    }
    if (ending == FLUSHED)
        double_release(0);
    post(node, LATE, memory[LATE], NULL, &ops[LATE]);
    for (int i = 0; i < SENDS; i++) {
        int status = node_wait_op(node, &ops[i]);

        CHECK(status == (ending == FLUSHED ? PEAL_OK : PEAL_ERR_PEER), "receive %d: %s", i,
              status_name(status));
        if (status == PEAL_OK && i > 0)
            rig_verify(memory[i], sends[i].bytes, (uint64_t)i, "flushed");
    }
}

static void ending_body(struct node *node)
{
    struct op *ops = calloc(SENDS, sizeof *ops), zeros[SENDS];
    char *operand = rig_alloc(PARTS, false), *memory[SENDS];

    memset(zeros, 0xee, sizeof zeros);
    memset(operand, 0, PARTS);
    for (int i = 0; i < SENDS; i++) {
        memory[i] = rig_alloc(sends[i].bytes, sends[i].shareable);
        if (node->rank == 0)
            rig_fill(memory[i], sends[i].bytes, (uint64_t)i);
    }
    node_greet(node);
    node_barrier(node);
    if (node->rank == 0)
        ending_sender(node, memory, ops);
    else
        ending_receiver(node, memory, operand, ops);
    /* All of it is the owner's again. */
    if (!node->port) {
        memset(ops, 0xee, SENDS * sizeof *ops);
        for (int i = 0; i < SENDS; i++)
            memset(memory[i], 0, sends[i].bytes);
    }
    node_meet(node);
    double_release(0);
    node_meet(node);
    if (!node->port)
        CHECK(memcmp(ops, zeros, sizeof zeros) == 0, "a completion was touched after close()");
    for (int i = 0; i < SENDS; i++)
        rig_free(memory[i], sends[i].bytes, sends[i].shareable);
    rig_free(operand, PARTS, false);
    free(ops);
}

/* Short messages, which ended when they were put into the ring: close() waits for the
 * device. */
static void short_body(struct node *node)
{
    uint64_t before, after, doorbells;
    char words[3][8];
    struct op ops[3];

    node_greet(node);
    node_barrier(node);
    for (int i = 0; i < 3; i++)
        if (node->rank == 1)
            node_recv(node, 0, 0, words[i], 8, &ops[i]);
    node_meet(node);
    for (int i = 0; i < 3 && node->rank == 0; i++) {
        double_hold(0);
        rig_fill(words[i], 8, (uint64_t)i);
        node_send(node, 1, 0, words[i], 8, &ops[i]);
        CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "send %d", i);
    }
    double_counts(&before, &doorbells);
    node_meet(node);
    if (node->rank == 0) {
        node_close(node, true);
        return;
    }
    do                                 /* until it has asked the device for the end */
        double_counts(&after, &doorbells);
    while (after == before && !verbs_socket_ended(moment_peer(node)));
    double_release(0);
    for (int i = 0; i < 3; i++) {
        CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "receive %d", i);
        rig_verify(words[i], 8, (uint64_t)i, "flushed");
    }
}

static void ends(uint64_t seed)
{
    setenv("PEAL_VERBS_DEVICES", "double0", 1);
    rig_run(&verbs_transport, 2, false, -1, seed, short_body);
    setenv("PEAL_VERBS_RING", "16K", 1);
    setenv("PEAL_VERBS_SLICE", "4K", 1);
    setenv("PEAL_VERBS_CHUNK", "64K", 1);
    setenv("PEAL_VERBS_DIRECT", "1M", 1);
    for (ending = DROPPED; ending < ENDINGS; ending++)
        rig_run(&verbs_transport, 2, false, -1, seed, ending_body);
    unsetenv("PEAL_VERBS_RING");
    unsetenv("PEAL_VERBS_CHUNK");
    unsetenv("PEAL_VERBS_DIRECT");
    unsetenv("PEAL_VERBS_SLICE");
    unsetenv("PEAL_VERBS_DEVICES");
    printf("ports end with everything under way\n");
}

/* ---- Memory of the process --------------------------------------------------------------- */

static _Thread_local const struct pool *refused;   /* does not grow */
static _Thread_local int grows = -1;               /* so often pools may grow; -1: always */
static int failures;

int __real_pool_grow(struct pool *pool);
int __wrap_pool_grow(struct pool *pool);
int __wrap_pool_grow(struct pool *pool)
{
    if (pool == refused || grows == 0)
        return -1;
    grows -= grows > 0;
    return __real_pool_grow(pool);
}

static bool posted_first;
static int  orders_left;

/* The grant is cut into five orders, and there is memory for some. */
static void orders_body(struct node *node)
{
    char *memory = rig_alloc(1 << 20, false);
    struct op op, next;

    node_greet(node);
    if (node->rank == 0) {
        struct order *kept[4];

        node->port->adapters[0].place.most = 4096;
        for (int i = 0; i < orders_left; i++)
            kept[i] = verbs_order_take(node->port);
        while (orders_left > 0 && node->port->orders.free)
            verbs_order_take(node->port);
        for (int i = 0; i < orders_left; i++)
            verbs_order_give(node->port, kept[i]);
        refused = &node->port->orders;
    }
    if (node->rank == 1 && posted_first)
        node_recv(node, 0, 0, memory, 1 << 20, &op);
    node_barrier(node);
    if (node->rank == 0)
        node_send(node, 1, 0, memory, 1 << 20, &op);
    else if (!posted_first)
        node_recv(node, 0, 0, memory, 1 << 20, &op);
    CHECK(node_wait_op(node, &op) == (node->rank ? PEAL_ERR_PEER : PEAL_ERR_MEMORY), "rank %d: %s",
          node->rank, status_name(op.completion.status));
    if (node->rank == 0) {
        CHECK(strstr(moment_peer(node)->why, "no memory to send to rank 1"), "%s",
              moment_peer(node)->why);
        node_send(node, 1, 0, memory, 8, &next);
        CHECK(node_wait_op(node, &next) == PEAL_ERR_MEMORY, "a send after that");
    }
    refused = NULL;
    node_meet(node);
    rig_free(memory, 1 << 20, false);
}

/* Rank 0's pools stop growing at some point. */
static void pools_body(struct node *node)
{
    enum { FLIGHT = 40 };
    static const size_t sizes[] = { 8, 100000, 3000, 20000, 300000 };
    char *out = rig_alloc(300000, false), *in[FLIGHT];
    struct op *ops = calloc(2 * FLIGHT, sizeof *ops);
    int status = PEAL_OK;

    if (node->rank == 0)
        grows = orders_left;
    for (int i = 0; i < FLIGHT; i++)
        in[i] = rig_alloc(sizes[i % 5], false);
    for (int i = 0; i < FLIGHT; i++)
        node_send(node, !node->rank, 0, out, sizes[i % 5], &ops[i]);
    for (int i = 0; i < FLIGHT; i++)
        node_recv(node, !node->rank, 0, in[i], sizes[i % 5], &ops[FLIGHT + i]);
    /* What was refused at once leaves a gap that the rest would wait for. */
    for (int i = 0; i < 2 * FLIGHT && !status; i++)
        if (ops[i].done)
            status = ops[i].completion.status;
    for (int i = 0; i < 2 * FLIGHT && !status; i++)
        status = node_wait_op(node, &ops[i]);
    if (status) {
        CHECK(status == (node->rank ? PEAL_ERR_PEER : PEAL_ERR_MEMORY) ||
              status == PEAL_ERR_PEER, "rank %d: %s", node->rank, status_name(status));
        __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
        node_close(node, false);
    }
    grows = -1;
    node_meet(node);
    for (int i = 0; i < FLIGHT; i++)
        rig_free(in[i], sizes[i % 5], false);
    rig_free(out, 300000, false);
    free(ops);
}

static void memory_short(uint64_t seed)
{
    setenv("PEAL_VERBS_DEVICES", "double0", 1);
    for (int i = 0; i < 10; i++) {
        posted_first = i & 1;
        orders_left = i / 2;
        if (orders_left < 4)
            rig_run(&verbs_transport, 2, false, -1, seed, orders_body);
    }
    for (orders_left = 0; orders_left < 10; orders_left++)
        rig_run(&verbs_transport, 2, false, -1, seed, pools_body);
    CHECK(failures > 4, "only %d ends were short of memory", failures);
    unsetenv("PEAL_VERBS_DEVICES");
    printf("memory is short: %d ends failed\n", failures);
}

/* ---- Rails -------------------------------------------------------------------------------- */

static void repair_wait(struct node *node)
{
    uint64_t until = clock_deadline(10.0 * rig_slowness());
    const struct endpoint *e = moment_peer(node);

    while (e->repairing && clock_now() < until)
        node_progress(node);
    CHECK(!e->repairing, "rank %d: a repair does not end", node->rank);
}

/* The device is gone for this rank; its rails notice now. */
static void device_lose(struct node *node, int device)
{
    const struct rail *rail = &moment_peer(node)->rails[device];

    double_event_at(node->port->adapters[device].context, IBV_EVENT_DEVICE_FATAL);
    node->port->look = true;
    while (rail->state == RAIL_UP)
        node_progress(node);
}

static bool polled;

/* A rail fails whose DONE has come, but before that of another rail that must be taken
 * first: it is not repeated, nor are its slices, also if the receiver has not looked. */
static void came_body(struct node *node)
{
    struct endpoint *e = moment_peer(node);
    char *memory = rig_alloc(STREAM, false);
    uint64_t before, after, doorbells;
    struct op op;

    node_greet(node);
    if (node->rank == 1)
        node_recv(node, 0, 0, memory, STREAM, &op);
    node_barrier(node);
    if (node->rank == 0) {
        while (node_progress(node) > 0)
            continue;
        double_hold(0);
        rig_fill(memory, STREAM, 3);
        node_send(node, 1, 0, memory, STREAM, &op);
        double_counts(&before, &doorbells);
        node_meet(node);
        node_meet(node);
        device_lose(node, 1);
        node_meet(node);
        node_meet(node);
        repair_wait(node);
        double_counts(&after, &doorbells);
        CHECK(after == before, "%d work requests were repeated", (int)(after - before));
        double_release(0);
    } else {
        node_meet(node);
        if (polled)
            verbs_poll(node->port);
        node_meet(node);
        node_meet(node);
        node->port->look = true;
        while (!e->rails[1].emptied)
            node_progress(node);
        CHECK(!op.done, "a message is complete that is not");
        node_meet(node);
        repair_wait(node);
    }
    CHECK(node_wait_op(node, &op) == PEAL_OK, "rank %d", node->rank);
    rig_verify(memory, STREAM, 3, "after a rail's end");
    node_barrier(node);
    rig_free(memory, STREAM, false);
}

/* A rail fails after the peer has got all of it; the peer says so, and leaves. */
static void leave_body(struct node *node)
{
    char *memory = rig_alloc(STREAM, false);
    struct op op;

    node_greet(node);
    if (node->rank == 1)
        node_recv(node, 0, 0, memory, STREAM, &op);
    node_barrier(node);
    if (node->rank == 0) {
        while (node_progress(node) > 0)
            continue;
        node_send(node, 1, 0, memory, STREAM, &op);
        device_lose(node, 1);
        CHECK(!op.done, "the send has ended without its rail");
        node_meet(node);
        node_meet(node);
    } else {
        node_meet(node);
        node->port->look = true;
        while (!moment_peer(node)->rails[1].emptied)
            node_progress(node);
        repair_wait(node);
        CHECK(node_wait_op(node, &op) == PEAL_OK, "receive");
        node_close(node, true);
        node_meet(node);
    }
    if (node->rank == 0)
        CHECK(node_wait_op(node, &op) == PEAL_OK, "what the peer has got has failed: %s",
              moment_peer(node)->why);
    node_meet(node);
    rig_free(memory, STREAM, false);
}

/* A rail fails that has got slices of a message that is not dealt out yet. */
static void dealt_body(struct node *node)
{
    enum { MESSAGES = 8 };
    struct endpoint *e = moment_peer(node);
    struct op ops[MESSAGES];
    char *memory[MESSAGES];
    int device = 0;

    node_greet(node);
    for (int i = 0; i < MESSAGES; i++) {
        memory[i] = rig_alloc(DIRECT, false);
        if (node->rank == 1)
            node_recv(node, 0, 0, memory[i], DIRECT, &ops[i]);
        else
            rig_fill(memory[i], DIRECT, (uint64_t)i);
    }
    node_barrier(node);
    if (node->rank == 0) {
        while (node_progress(node) > 0)
            continue;
        for (int d = 0; d < DOUBLE_DEVICES; d++)
            double_hold(d);
        for (int i = 0; i < MESSAGES; i++)
            node_send(node, 1, 0, memory[i], DIRECT, &ops[i]);
        CHECK(e->orders && e->orders->left, "all has been dealt out");
        while (device < DOUBLE_DEVICES && !e->orders->dealt[device])
            device++;
        CHECK(device < DOUBLE_DEVICES, "nothing has been dealt out");
        device_lose(node, device);
        for (int d = 0; d < DOUBLE_DEVICES; d++)
            double_release(d);
    }
    for (int i = 0; i < MESSAGES; i++) {
        CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "message %d", i);
        rig_verify(memory[i], DIRECT, (uint64_t)i, "dealt out to a rail that failed");
    }
    repair_wait(node);
    node_barrier(node);
    for (int i = 0; i < MESSAGES; i++)
        rig_free(memory[i], DIRECT, false);
}

static int gone;                       /* how many of the devices */

static bool gone_are_gone(void)
{
    for (int d = 0; d < gone; d++)
        if (double_failed(d) && double_queue_pairs(d) > 0)
            return false;
    return true;
}

/* Whatever the rails do, the repair ends, and keeps nothing of them. */
static void repair_body(struct node *node)
{
    enum { TURNS = 8 };
    uint64_t until = clock_deadline(15.0 * rig_slowness());
    char *out = rig_alloc(STREAM, false), *in = rig_alloc(STREAM, false);

    for (uint64_t i = 0; i < TURNS; i++) {
        size_t bytes = i % 2 ? STREAM : 500;
        struct op send, recv;

        rig_fill(out, bytes, i);
        node_recv(node, !node->rank, 0, in, bytes, &recv);
        node_send(node, !node->rank, 0, out, bytes, &send);
        CHECK(node_wait_op(node, &recv) == PEAL_OK && node_wait_op(node, &send) == PEAL_OK,
              "message %d", (int)i);
        rig_verify(in, bytes, i, "while rails fail");
    }
    while (!gone_are_gone() && clock_now() < until)
        node_progress(node);
    CHECK(gone_are_gone(), "rank %d: queue pairs of a rail that has failed are kept", node->rank);
    node_barrier(node);
    repair_wait(node);
    node_barrier(node);
    rig_free(out, STREAM, false);
    rig_free(in, STREAM, false);
}

/* Its device is lost while a rail is being closed: what the rail is waiting for may never
 * come. */
static void closing_body(struct node *node)
{
    struct rail *rail = &moment_peer(node)->rails[1];

    node_greet(node);
    node_barrier(node);
    if (node->rank == 0) {
        verbs_rail_fail(rail, PEAL_ERR_PEER, "a test");
        CHECK(rail->state == RAIL_CLOSING && rail->receives > 0, "nothing is waited for");
        double_event_at(rail->adapter->context, IBV_EVENT_DEVICE_FATAL);
        verbs_adapter_events(rail->adapter);
        verbs_repair(moment_peer(node));
        CHECK(!rail->qp, "the rest of a lost device is waited for");
    }
    node_greet(node);
    repair_wait(node);
    node_barrier(node);
}

static void repairs(uint64_t seed)
{
    int fired = 0;

    rig_run(&verbs_transport, 2, false, -1, seed, closing_body);
    for (int i = 0; i < 40; i++) {
        struct double_faults *faults = double_faults();

        gone = 1 + i % 2;
        for (int d = 0; d < gone; d++) {
            faults->fail[d].status = IBV_WC_RETRY_EXC_ERR;
            faults->fail[d].executed = i & 4;
            faults->fail[d].after = 1 + i * (2 + d);
        }
        faults->no_error_state = i & 2;
        faults->slow = i & 8 ? 30 : 0;
        rig_run(&verbs_transport, 2, false, -1, seed + (uint64_t)i, repair_body);
        fired += faults->fail[0].after == 0;
        memset(faults->fail, 0, sizeof faults->fail);
        faults->no_error_state = false;
        faults->slow = 0;
    }
    CHECK(fired > 20, "only %d faults happened", fired);
    printf("repairs end: %d of 40\n", fired);
}

void verbs_endings(uint64_t seed)
{
    ends(seed);
    memory_short(seed);
    setenv("PEAL_VERBS_SLICE", "4K", 1);
    setenv("PEAL_VERBS_DIRECT", "8K", 1);
    for (int i = 0; i < 2; i++) {
        polled = i;
        rig_run(&verbs_transport, 2, false, -1, seed, came_body);
    }
    printf("what came over a rail is not repeated\n");
    rig_run(&verbs_transport, 2, false, -1, seed, leave_body);
    repairs(seed);
    setenv("PEAL_VERBS_RING", "16K", 1);
    rig_run(&verbs_transport, 2, false, -1, seed, dealt_body);
    unsetenv("PEAL_VERBS_RING");
    unsetenv("PEAL_VERBS_SLICE");
    unsetenv("PEAL_VERBS_DIRECT");
    printf("slices of a rail that has failed\n");
}
