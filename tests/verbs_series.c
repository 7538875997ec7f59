/* SPDX-License-Identifier: BSD-3-Clause */
/* Short messages that follow each other and are alike go without a header, and are what
 * they were, whatever happens to the rails. */
#include "tests/verbs_faults.h"

#include "transports/verbs/verbs_wire.h"

#include <stdlib.h>

enum { BYTES = 40, MOST = 1300, TURNS = 60, ALONG = 8 };   /* messages under way together */

/* ALONG messages each way per turn, of `length(turn)` bytes. */
static void turns(struct node *node, int count, size_t (*length)(int turn))
{
    char out[ALONG][MOST], in[ALONG][MOST];
    struct op sends[ALONG], recvs[ALONG];

    for (int t = 0; t < count; t++) {
        size_t bytes = length(t);

        for (int i = 0; i < ALONG; i++) {
            uint64_t key = (uint64_t)(t * ALONG + i) * 2;

            rig_fill(out[i], bytes, key + (uint64_t)node->rank);
            node_recv(node, !node->rank, i & 1, in[i], bytes, &recvs[i]);
            node_send(node, !node->rank, i & 1, out[i], bytes, &sends[i]);
        }
        for (int i = 0; i < ALONG; i++) {
            uint64_t key = (uint64_t)(t * ALONG + i) * 2;

            CHECK(node_wait_op(node, &recvs[i]) == PEAL_OK &&
                  node_wait_op(node, &sends[i]) == PEAL_OK, "turn %d, message %d", t, i);
            rig_verify(in[i], bytes, key + (uint64_t)!node->rank, "one of many alike");
        }
    }
}

static size_t alike(int turn)
{
    (void)turn;
    return BYTES;
}

static size_t unlike(int turn)
{
    return turn % 2 ? BYTES : BYTES - 8;
}

static size_t nothing(int turn)
{
    (void)turn;
    return 0;
}

/* Some are; some of them empty, and some such that the ring ends within one. */
static size_t in_runs(int turn)
{
    static const size_t lengths[] = { BYTES, 0, MOST };

    return lengths[turn / 7 % 3];
}

/* Bytes on the wire for each message, in the mean.  One work request each: headers tell of
 * credits in time, so that no frame has to.  Who sleeps may ask for a sign (verbs_watch.c). */
enum { SIGNS = 8 };
static double bytes_each(struct node *node, int count, size_t (*length)(int turn))
{
    uint64_t before, after, requests, requests_after, doorbells;
    int messages = 2 * ALONG * count;

    node_barrier(node);
    before = double_moved(0);
    double_counts(&requests, &doorbells);
    node_barrier(node);
    turns(node, count, length);
    node_barrier(node);
    after = double_moved(0);
    double_counts(&requests_after, &doorbells);
    node_barrier(node);
    CHECK(requests_after - requests <= (uint64_t)messages + SIGNS * rig_slowness(),
          "%d work requests for %d messages", (int)(requests_after - requests), messages);
    return (double)(after - before) / messages;
}

/* A header for one in 64 or so has the credits; and one begins each series. */
static void bytes_body(struct node *node)
{
    double bare, headed, empty;

    node_greet(node);
    bare = bytes_each(node, 100, alike);
    headed = bytes_each(node, 100, unlike);
    empty = bytes_each(node, 100, nothing);
    CHECK(bare < BYTES + 4, "%g bytes for %d", bare, BYTES);
    CHECK(headed > BYTES - 5 + 2 * VERBS_HEADER / ALONG && headed < BYTES + VERBS_HEADER / 3,
          "%g bytes where the first of each stream's four is unlike those before", headed);
    CHECK(empty < 4, "%g bytes for nothing", empty);
    if (node->rank == 0)
        printf("of %d bytes: %.1f on the wire a message; every fourth unlike those before: %.1f\n",
               BYTES, bare, headed);
}

static void runs_body(struct node *node)
{
    turns(node, TURNS, in_runs);
    for (int k = 0; k < 300; k++)          /* a repair may go on */
        node_progress(node);
    node_barrier(node);
}

/* Whichever work request fails, whether the peer has got it or not; in a small ring. */
static int failing(uint64_t seed, int device)
{
    int fired = 0;

    setenv("PEAL_VERBS_RING", "16K", 1);
    for (int after = 1; after <= 200; after += 3)
        for (int executed = 0; executed < 2; executed++) {
            double_fail(device, after, IBV_WC_RETRY_EXC_ERR, executed);
            double_faults()->slow = after % 2 ? 30 : 0;
            rig_run(&verbs_transport, 2, false, -1, seed + (uint64_t)after, runs_body);
            fired += double_faults()->fail[device].after == 0;
            double_fail(device, 0, IBV_WC_SUCCESS, false);
        }
    double_faults()->slow = 0;
    unsetenv("PEAL_VERBS_RING");
    return fired;
}

void verbs_series(uint64_t seed)
{
    int fired;

    if (!double_faults()->iwarp) {         /* which sends numbers of four bytes too */
        setenv("PEAL_VERBS_DEVICES", "double0", 1);
        rig_run(&verbs_transport, 2, false, -1, seed, bytes_body);
        unsetenv("PEAL_VERBS_DEVICES");
    }
    fired = failing(seed, 0);
    CHECK(fired > 40, "only %d faults happened", fired);
    printf("messages alike, over rails that fail: %d faults\n", fired);
}
