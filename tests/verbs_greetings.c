/* SPDX-License-Identifier: BSD-3-Clause */
/* What two ends must have told each other before they are connected: each check of it. */
#include "tests/verbs_moments.h"

#include <stdlib.h>
#include <string.h>

/* The offer that is on the way is not for the communicator that rank 1 has. */
static void communicator_body(struct node *node)
{
    if (node->rank == 1)
        node->port->options.communicator++;
    node_meet(node);
    if (node->rank == 0)
        moment_fails(node, PEAL_ERR_PEER, "rank 1");
    else
        moment_fails(node, PEAL_ERR_PROTOCOL, "an offer for another communicator");
}

static void frame_body(struct node *node)
{
    struct op op;

    node_greet(node);
    node_barrier(node);
    if (node->rank == 0) {
        node->port->options.communicator++;
        node_send(node, 1, 0, "8 bytes", 8, &op);
        moment_fails(node, PEAL_ERR_PEER, "rank 1");
    } else {
        moment_fails(node, PEAL_ERR_PROTOCOL, "a frame of another communicator");
    }
}

/* One byte of what rank 0 offers, or of the head before it, is another one. */
static const struct spoiled { size_t at; unsigned value; const char *text; } *spoiled;

static void spoiled_body(struct node *node)
{
    struct endpoint *e = moment_peer(node);
    unsigned char record[VERBS_RECORD_MOST];
    size_t bytes;

    if (node->rank == 1) {
        moment_stage(node, STAGE_CONNECT);
        node_meet(node);
        moment_fails(node, PEAL_ERR_PROTOCOL, spoiled->text);
        return;
    }
    node_meet(node);
    bytes = verbs_offer_encode(&e->offer, record);
    record[spoiled->at] = (unsigned char)spoiled->value;
    verbs_say(e, record, bytes);
    moment_fails(node, PEAL_ERR_PEER, "rank 1");
}

static void spoil(uint64_t seed)
{
    static const struct spoiled all[] = {
        { 0, 0x51, "no record where one must be" }, { 2, 1, "another protocol version" },
        { 2, 99, "another protocol version" }, { 3, 0, "a record of unknown kind" },
        { 3, 77, "a record of unknown kind" }, { 4, 1, "a record of another length" },
        { 3, VERBS_OFFER, "a record that is not the next" }
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        spoiled = &all[i];
        rig_run(&verbs_transport, 2, false, -1, seed, spoiled_body);
    }
}

/* iWARP: whoever accepted does not send before it has heard the first message, though
 * its queue pair is connected. */
static void silent_body(struct node *node)
{
    struct endpoint *e = moment_peer(node);

    if (node->rank == 0)
        double_hold(0);
    node_meet(node);
    if (e->dialled) {
        moment_stage(node, STAGE_READY);
        node_meet(node);
    } else {
        while (e->rails[0].state != RAIL_UP || !e->heard_ready)
            node_progress(node);
        for (int i = 0; i < 1000; i++)
            node_progress(node);
        CHECK(e->stage == STAGE_JOIN, "stage %d before the greeting", e->stage);
        node_meet(node);
        double_release(0);
        moment_stage(node, STAGE_UP);
    }
    node_meet(node);
    node_greet(node);
    node_barrier(node);
}

/* iWARP: a message that is neither a greeting nor the number of a frame. */
static void length_body(struct node *node)
{
    unsigned char bytes[2] = { 0 };
    struct ibv_sge piece = { .addr = (uintptr_t)bytes, .length = sizeof bytes };
    struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .send_flags = IBV_SEND_INLINE,
                              .sg_list = &piece, .num_sge = 1 }, *bad;

    node_greet(node);
    node_barrier(node);
    if (node->rank == 0) {
        CHECK(ibv_post_send(moment_peer(node)->rails[0].qp, &wr, &bad) == 0, "ibv_post_send");
        moment_fails(node, PEAL_ERR_PEER, "rank 1");
    } else {
        moment_fails(node, PEAL_ERR_PROTOCOL, "a number of a frame of another length");
    }
}

void verbs_greetings(uint64_t seed)
{
    setenv("PEAL_VERBS_DEVICES", "double0", 1);
    rig_run(&verbs_transport, 2, false, -1, seed, communicator_body);
    rig_run(&verbs_transport, 2, false, -1, seed, frame_body);
    spoil(seed);
    if (double_faults()->iwarp) {
        rig_run(&verbs_transport, 2, false, -1, seed, silent_body);
        rig_run(&verbs_transport, 2, false, -1, seed, length_body);
    }
    unsetenv("PEAL_VERBS_DEVICES");
    printf("greetings, and what is wrong with them\n");
}
