/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults of devices: completions that fail, rails that go, memory and queue pairs
 * that are short. */
#include "tests/effort.h"
#include "tests/verbs_faults.h"

#include <stdlib.h>
#include <string.h>

static const enum ibv_wc_status statuses[] = {
    IBV_WC_LOC_LEN_ERR, IBV_WC_LOC_QP_OP_ERR, IBV_WC_LOC_PROT_ERR, IBV_WC_WR_FLUSH_ERR,
    IBV_WC_BAD_RESP_ERR, IBV_WC_LOC_ACCESS_ERR, IBV_WC_REM_INV_REQ_ERR, IBV_WC_REM_ACCESS_ERR,
    IBV_WC_REM_OP_ERR, IBV_WC_RETRY_EXC_ERR, IBV_WC_RNR_RETRY_EXC_ERR, IBV_WC_REM_ABORT_ERR,
    IBV_WC_FATAL_ERR, IBV_WC_RESP_TIMEOUT_ERR, IBV_WC_GENERAL_ERR
};
enum { STATUSES = sizeof statuses / sizeof statuses[0] };

static char texts[2][2048];
static int ends[2];

/* Both ways, until an end fails; then all that follows fails as well. */
static void until_failure(struct node *node)
{
    static const size_t sizes[] = { 8, 3000, 200000, 0, 70000 };
    char *out = rig_alloc(200000, false), *in = rig_alloc(200000, false);
    struct op send, recv;

    ends[node->rank] = PEAL_OK;
    for (int i = 0; i < 400 && ends[node->rank] == PEAL_OK; i++) {
        node_recv(node, !node->rank, 0, in, sizes[i % 5], &recv);
        node_send(node, !node->rank, 0, out, sizes[i % 5], &send);
        ends[node->rank] = node_wait_op(node, &recv);
        if (ends[node->rank] == PEAL_OK)
            ends[node->rank] = node_wait_op(node, &send);
        else
            node_wait(node, &send.done);
    }
    if (ends[node->rank]) {
        node_send(node, !node->rank, 0, out, 8, &send);
        CHECK(node_wait_op(node, &send) == ends[node->rank], "a send after the failure");
        snprintf(texts[node->rank], sizeof texts[0], "%s", status_text());
    }
    node_meet(node);
    rig_free(out, 200000, false);
    rig_free(in, 200000, false);
}

/* With one rail each status ends the endpoint at both ends, and one says why. */
static void each_status(uint64_t seed)
{
    struct node random = { .random = seed };

    setenv("PEAL_VERBS_DEVICES", "double0", 1);
    for (int i = 0; i < 2 * STATUSES; i++) {
        const char *why;

        double_fail(0, 1 + (int)node_random(&random, 300), statuses[i / 2], i & 1);
        rig_run(&verbs_transport, 2, false, -1, seed, until_failure);
        CHECK(ends[0] && ends[1], "status %d: nobody noticed", statuses[i / 2]);
        why = strstr(texts[0], " failed: ") ? texts[0] : texts[1];
        CHECK(strstr(why, " failed: ") && strstr(why, "double0 port 1") && strstr(why, "rank "),
              "status %d: \"%s\" and \"%s\"", statuses[i / 2], texts[0], texts[1]);
    }
    unsetenv("PEAL_VERBS_DEVICES");
    printf("each completion status ends a lonely rail, with its name\n");
}

/* With others left nothing is lost, repeated or late, whatever happened to what was
 * under way. */
static void rails_fail(uint64_t seed, bool processes)
{
    int times = effort_quick() ? 4 : 12, fired = 0;
    struct node random = { .random = seed };

    setenv("PEAL_VERBS_SLICE", "4K", 1);
    setenv("PEAL_VERBS_DIRECT", "8K", 1);
    for (int i = 0; i < times; i++) {
        struct double_faults *faults = double_faults();
        int first = (int)node_random(&random, DOUBLE_DEVICES);
        int second = (first + 1 + (int)node_random(&random, DOUBLE_DEVICES - 1)) % DOUBLE_DEVICES;

        faults->slow = i & 1 ? 40 : 0;
        setenv("PEAL_VERBS_RING", i % 4 >= 2 ? "16K" : "256K", 1);     /* things wait */
        double_fail(first, 1 + (int)node_random(&random, 1000),
                   statuses[node_random(&random, STATUSES)], i & 2);
        if (i % 3 == 0)
            double_fail(second, 1 + (int)node_random(&random, 1000), IBV_WC_RETRY_EXC_ERR, i & 2);
        rig_run(&verbs_transport, 2 + (i & 1) * 2, processes, -1, seed + (uint64_t)i,
                transports_traffic);
        fired += faults->fail[first].after == 0;
        memset(faults->fail, 0, sizeof faults->fail);
        faults->slow = 0;
    }
    unsetenv("PEAL_VERBS_RING");
    CHECK(fired > times / 4, "only %d faults of %d happened", fired, times);
    unsetenv("PEAL_VERBS_SLICE");
    unsetenv("PEAL_VERBS_DIRECT");
    printf("rails that fail under way, %s: %d of %d faults happened\n",
           processes ? "processes" : "threads", fired, times);
}

static void event_body(struct node *node)
{
    char *out = rig_alloc(5000, false), *in = rig_alloc(5000, false);

    for (int i = 0; i < 200; i++) {
        struct op send, recv;

        if (i == 100 && node->rank == 0)
            double_event(1, IBV_EVENT_DEVICE_FATAL);
        rig_fill(out, 5000, (uint64_t)i);
        node_recv(node, !node->rank, 0, in, 5000, &recv);
        node_send(node, !node->rank, 0, out, 5000, &send);
        CHECK(node_wait_op(node, &recv) == PEAL_OK && node_wait_op(node, &send) == PEAL_OK,
              "message %d", i);
        rig_verify(in, 5000, (uint64_t)i, "after a device's end");
    }
    for (int i = 0; i < 1000; i++)
        node_progress(node);
    node_barrier(node);
    CHECK(double_queue_pairs(1) == 0, "the queue pairs of a lost device are kept");
    node_meet(node);
    rig_free(out, 5000, false);
    rig_free(in, 5000, false);
}

/* Too little memory for anything but the rings. */
static void short_of_memory(uint64_t seed)
{
    setenv("PEAL_VERBS_DEVICES", "double0", 1);
    double_faults()->memory = 2 * (512 << 10) + 16384;
    rig_run(&verbs_transport, 2, false, -1, seed, transports_traffic);
    double_faults()->memory = 300 << 10;
    rig_run(&verbs_transport, 2, true, -1, seed, until_failure);
    double_faults()->memory = 0;
    unsetenv("PEAL_VERBS_DEVICES");
    printf("too little locked memory\n");
}

static void no_queue_pairs(struct node *node)
{
    char word[8] = "";
    struct op op;

    node_recv(node, !node->rank, 0, word, sizeof word, &op);
    CHECK(node_wait_op(node, &op) != PEAL_OK, "a receive without a queue pair");
    CHECK(strstr(status_text(), "queue pair") || strstr(status_text(), "closed"), "%s",
          status_text());
    node_meet(node);
}

/* Messages one way; at their end the requests and doorbells that each took. */
static double count_messages(struct node *node, size_t bytes, int messages, double *rung)
{
    char *memory = rig_alloc(bytes, true);
    uint64_t requests, doorbells, requests_after, doorbells_after;

    node_barrier(node);
    double_counts(&requests, &doorbells);
    node_meet(node);
    for (int i = 0; i < messages; i++) {
        struct op op;

        if (node->rank == 1)
            node_recv(node, 0, 0, memory, bytes, &op);
        if (bytes > 10000)                 /* the receive is there first */
            node_barrier(node);
        if (node->rank == 0)
            node_send(node, 1, 0, memory, bytes, &op);
        CHECK(node_wait_op(node, &op) == PEAL_OK, "message %d", i);
    }
    node_barrier(node);
    double_counts(&requests_after, &doorbells_after);
    node_meet(node);
    rig_free(memory, bytes, true);
    *rung = (double)(doorbells_after - doorbells) / messages;
    return (double)(requests_after - requests) / messages;
}

/* The least is 1 for a short message; for a long one the grant and the write, which
 * also says that it is there. */
static void counts_body(struct node *node)
{
    double rung, requests = count_messages(node, 8, 2000, &rung);

    CHECK(requests < 1.1 && rung < 1.1, "%g requests, %g doorbells", requests, rung);
    if (node->rank == 0)
        printf("8 bytes: %.3f work requests and %.3f doorbells a message\n", requests, rung);
    requests = count_messages(node, 1 << 20, 100, &rung);
    CHECK(requests < 2.1 && rung < 2.1, "%g requests, %g doorbells", requests, rung);
    if (node->rank == 0)
        printf("1 MiB: %.3f work requests and %.3f doorbells a message\n", requests, rung);
}

static void counts(uint64_t seed)
{
    setenv("PEAL_VERBS_DEVICES", "double0", 1);
    rig_run(&verbs_transport, 2, false, -1, seed, counts_body);
    unsetenv("PEAL_VERBS_DEVICES");
}

static bool granted_first;

/* One long message each way after the other, into memory that is written again the
 * moment it has come. */
static void once_body(struct node *node)
{
    enum { BYTES = 100000, TURNS = 6 };
    char *memory = rig_alloc(BYTES, true);

    for (uint64_t i = 0; i < TURNS; i++) {
        struct op op;

        if (node->rank == (int)i % 2) {
            rig_fill(memory, BYTES, i);
            if (granted_first)
                node_barrier(node);
            node_send(node, !node->rank, 0, memory, BYTES, &op);
            CHECK(node_wait_op(node, &op) == PEAL_OK, "send");
            node_barrier(node);
        } else {
            node_recv(node, !node->rank, 0, memory, BYTES, &op);
            if (granted_first)
                node_barrier(node);
            CHECK(node_wait_op(node, &op) == PEAL_OK, "receive");
            rig_verify(memory, BYTES, i, "once");
            rig_fill(memory, BYTES, 1000 + i);
            node_barrier(node);
        }
        for (int k = 0; k < 300; k++)      /* a repair may go on */
            node_progress(node);
        node_barrier(node);
        if (node->rank != (int)i % 2)
            rig_verify(memory, BYTES, 1000 + i, "after it had come");
    }
    rig_free(memory, BYTES, true);
}

/* Whichever work request of a device fails, whether the peer has got it or not: what has
 * come is not written a second time. */
static int once_each(uint64_t seed, int device)
{
    int fired = 0;

    for (int after = 1; after <= 50; after++)
        for (int executed = 0; executed < 2; executed++) {
            double_fail(device, after, IBV_WC_RETRY_EXC_ERR, executed);
            rig_run(&verbs_transport, 2, false, -1, seed, once_body);
            fired += double_faults()->fail[device].after == 0;
            double_fail(device, 0, IBV_WC_SUCCESS, false);
        }
    return fired;
}

/* In slices over all rails; then as one that tells of its end itself. */
static void exactly_once(uint64_t seed)
{
    int fired, told = 0;

    setenv("PEAL_VERBS_SLICE", "8K", 1);
    fired = once_each(seed, 1);
    CHECK(fired > 20, "only %d faults happened", fired);
    unsetenv("PEAL_VERBS_SLICE");
    granted_first = true;
    for (int device = 0; device < DOUBLE_DEVICES; device++)
        told += once_each(seed, device);
    granted_first = false;
    CHECK(told > 20, "only %d faults happened to what is one write", told);
    printf("in-flight slices exactly once: %d faults; as one: %d\n", fired, told);
}

void verbs_rails(uint64_t seed)
{
    exactly_once(seed);
    rails_fail(seed, false);
    rails_fail(seed + 100, true);
}

void verbs_faults(uint64_t seed)
{
    if (!double_faults()->iwarp)           /* which has more, and other ones */
        counts(seed);
    each_status(seed);
    rig_run(&verbs_transport, 2, false, -1, seed, event_body);
    printf("a device ends\n");
    short_of_memory(seed);
    double_faults()->queue_pairs = 1;
    rig_run(&verbs_transport, 2, false, -1, seed, no_queue_pairs);
    double_faults()->queue_pairs = 0;
    printf("queue pairs are exhausted\n");
}
