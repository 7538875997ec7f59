/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite's cases of messages that the sender stores where the receiver
 * expects them: whole, or as it makes them. */
#include "tests/transports_rig.h"

#include "base/clock.h"

#include <string.h>
#include <unistd.h>

enum { MANY = 1200, LARGEST = 300000 };

/* As an owner that makes the message as it stores it; `status` is what comes of that. */
static int place_in_parts(struct node *node, const struct message *message, const char *bytes,
                          size_t length, bool streams, int status)
{
    struct endpoint *to = node->peers[!node->rank];
    size_t half = length / 2;
    struct also at;
    int begun = node->transport->place_begin(to, message, length, streams, &at);

    if (begun != PEAL_OK) {
        CHECK(begun == STATUS_AGAIN, "place_begin: %s", status_name(begun));
        return begun;
    }
    CHECK(at.past || !streams, "not past the caches");
    memcpy(at.place + half, bytes + half, length - half);
    memcpy(at.place, bytes, half);
    begun = node->transport->place_end(to, message, length, status);
    CHECK(begun == status, "place_end: %s, not %s", status_name(begun), status_name(status));
    return begun;
}

/* Or not; and the receiver then has it where it expected it, or elsewhere. */
static void placed_item(struct node *node, int from, char *memory, char *elsewhere,
                        size_t bytes, uint64_t item, int placed[2])
{
    int peer = !node->rank, status = STATUS_AGAIN;
    uint32_t *next = from == node->rank ? &node->next_send[peer][0] : &node->next_recv[peer][0];
    struct message message = rig_message(0, *next);
    uint64_t how = node_random(node, 8);
    struct op op;

    if (from != node->rank) {
        if (how > 1)
            node->transport->expect(node->peers[peer], &message, memory, bytes);
        node_meet(node);
        if (how % 4 > 1) {
            any_recv(node, 0, memory, bytes, 1000);
        } else {
            memory = how % 2 ? memory : elsewhere;
            node_recv(node, peer, 0, memory, bytes, &op);
            CHECK(node_wait_op(node, &op) == PEAL_OK, "%s", status_name(op.completion.status));
        }
        rig_verify(memory, bytes, item, "placed");
        return;
    }
    rig_fill(memory, bytes, item);
    node_meet(node);
    if (how > 4)
        status = place_in_parts(node, &message, memory, bytes, how % 2,
                                how == 7 ? PEAL_ERR_USER : PEAL_OK);
    else if (how > 1)
        status = node->transport->place(node->peers[peer], &message, memory, bytes, how % 2);
    if (status == PEAL_OK) {
        ++*next;
        ++placed[how > 4];
        return;
    }
    node_send(node, peer, 0, memory, bytes, &op);
    CHECK(node_wait_op(node, &op) == PEAL_OK, "%s", status_name(op.completion.status));
}

void transports_place(struct node *node)
{
    char *shared = rig_alloc(LARGEST, true), *own = rig_alloc(LARGEST, false);
    struct node list = { .random = node->seed };
    int placed[2] = { 0, 0 };

    for (uint64_t i = 0; node->transport->lends && i < MANY; i++) {
        int from = (int)node_random(&list, 2);
        size_t bytes = 1 + node_random(&list, node_random(&list, 4) ? 20000 : LARGEST);

        placed_item(node, from, shared, own, bytes, i, placed);
    }
    CHECK(!node->transport->lends || (placed[0] > MANY / 24 && placed[1] > MANY / 24),
          "%d and %d of %d were placed", placed[0], placed[1], MANY);
    node_barrier(node);
    rig_free(shared, LARGEST, true);
    rig_free(own, LARGEST, false);
}

/* Who closes its port waits until nobody stores to its memory any more. */
static void store_late(struct node *node, const struct message *message)
{
    uint64_t deadline = clock_deadline(5);
    int status = STATUS_AGAIN;
    struct also at;

    while (status == STATUS_AGAIN && clock_now() < deadline) {
        node_progress(node);
        status = node->transport->place_begin(node->peers[1], message, LARGEST, true, &at);
    }
    CHECK(status == PEAL_OK, "place_begin: %s", status_name(status));
    node_meet(node);
    usleep(100000);                    /* for it to come to close(), if it would not wait there */
    rig_fill(at.place, LARGEST, 3);
    status = node->transport->place_end(node->peers[1], message, LARGEST, PEAL_OK);
    CHECK(status == PEAL_ERR_PEER || status == PEAL_OK, "place_end: %s", status_name(status));
    CHECK(status == PEAL_OK ||
              node->transport->place_begin(node->peers[1], message, LARGEST, true, &at) == STATUS_AGAIN,
          "place_begin after the receiver has closed its port");
}

void transports_place_closing(struct node *node)
{
    struct message message = rig_message(0, 0);
    char *memory = rig_alloc(LARGEST, true);

    node_greet(node);
    if (node->transport->lends && node->rank == 0) {
        store_late(node, &message);
    } else if (node->transport->lends) {
        node->transport->expect(node->peers[0], &message, memory, LARGEST);
        node_meet(node);
        node_close(node, false);
        rig_verify(memory, LARGEST, 3, "stored before close() returned");
    }
    node_barrier(node);
    rig_free(memory, LARGEST, true);
}
