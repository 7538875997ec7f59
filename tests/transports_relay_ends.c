/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite's relays that do not end well: what comes differs from what was
 * posted, an operation fails, or one of the three ranks goes away. */
#include "tests/transports_relay.h"

#include "base/clock.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 8 << 20, BESIDE = 100000 };

static const struct message first = { 0, 0, { 0x5eed0000, 0 } };   /* rig_message(0, 0) */

/* ---- All three stay -------------------------------------------------------------- */

/* The connections live on: 0 to 1 and 1 to 2 in stream 1. */
static void beside(struct node *node, uint64_t key)
{
    char *memory = rig_alloc(BESIDE, false), *next = rig_alloc(BESIDE, false);
    struct op op, sent;

    if (node->rank > 0)
        node_recv(node, node->rank - 1, 1, memory, BESIDE, &op);
    if (node->rank < 2) {
        rig_fill(next, BESIDE, key);
        node_send(node, node->rank + 1, 1, next, BESIDE, &sent);
        CHECK(node_wait_op(node, &sent) == PEAL_OK, "%s", status_name(sent.completion.status));
    }
    if (node->rank > 0) {
        CHECK(node_wait_op(node, &op) == PEAL_OK, "%s", status_name(op.completion.status));
        rig_verify(memory, BESIDE, key, "beside a relay");
    }
    rig_free(memory, BESIDE, false);
    rig_free(next, BESIDE, false);
}

/* The rank in the middle closes; what was to come from it has not, and will not. */
static void middle_closes(struct node *node, struct op *lasts, int count)
{
    uint64_t start;

    node_barrier(node);
    for (int i = 0; i < count && node->rank == 2; i++)
        CHECK(!lasts[i].done, "message %d came, and ought not to: %s", i,
              status_name(lasts[i].completion.status));
    node_barrier(node);
    if (node->rank == 1) {
        start = clock_now();
        node_close(node, true);
        CHECK(clock_now() - start < (uint64_t)5e8 * rig_slowness(), "close() waits for what cannot come");
    }
    for (int i = 0; i < count && node->rank == 2; i++)
        CHECK(node_wait_op(node, &lasts[i]) == PEAL_ERR_PEER, "message %d: %s", i,
              status_name(lasts[i].completion.status));
    node_barrier(node);
}

/* The end of such a case: nothing comes to the last rank, however it ends. */
static void nothing_goes_on(struct node *node, struct parcel *parcels, struct op *ops, int count)
{
    middle_closes(node, ops, count);
    for (int i = 0; i < count; i++) {
        CHECK(node->rank != 1 || !parcels[i].sent.done, "case %d was sent on", i);
        parcel_free(&parcels[i]);
    }
    free(parcels);
    free(ops);
}

/* What differs is not relayed. */
static void differs_body(struct node *node)
{
    enum { CASES = 8 };
    static const size_t sent[4] = { 300000, 5000, 8, 299999 };
    struct parcel *parcels = calloc(CASES, sizeof *parcels);
    struct op *ops = calloc(CASES, sizeof *ops);
    struct parcel_ways ways;

    CHECK(parcels && ops, "memory");
    parcel_ways(&ways);
    node_greet(node);
    for (uint32_t i = 0; i < CASES; i++) {
        struct parcel *p = &parcels[i];
        struct message ours = rig_message(0, i), theirs = ours;
        bool early = i & 1, late = i % 3 == 0;     /* the relay; the last rank */

        parcel_make(p, &ways, 300000, i % 2 ? SUM : PLAIN, i, 16 | (i & 4 ? 3 : 0));
        theirs.signature.count += sent[i / 2] == p->bytes;
        if (node->rank == 2 && !late)
            node_recv_number(node, 1, 0, i, &p->landing, &ops[i]);
        if (node->rank == 1 && early)
            parcel_relay(node, p, &ours, 0, &ours, 2);
        node_barrier(node);
        if (node->rank == 0) {
            while (node->transport->send(node->peers[1], &theirs, p->operand, sent[i / 2],
                                         &ops[i].completion) == STATUS_AGAIN)
                node_progress(node);
        }
        node_barrier(node);
        if (node->rank == 1 && !early)
            parcel_relay(node, p, &ours, 0, &ours, 2);
        if (node->rank == 2 && late)
            node_recv_number(node, 1, 0, i, &p->landing, &ops[i]);
        if (node->rank == 0)
            CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "%s", status_name(ops[i].completion.status));
        if (node->rank == 1) {
            CHECK(node_wait_op(node, &p->landed) == PEAL_ERR_MISMATCH, "case %u: %s", i,
                  status_name(p->landed.completion.status));
            CHECK(p->landed.completion.theirs.count == theirs.signature.count,
                  "case %u: not the sender's values", i);
            for (size_t k = 0; k < p->bytes; k++)
                CHECK((unsigned char)p->dst[k] == 0xd7 && (unsigned char)p->keep[k] == 0xd7,
                      "case %u: byte %zu was touched", i, k);
        }
        beside(node, i);
    }
    nothing_goes_on(node, parcels, ops, CASES);
    parcel_ways_free(&ways);
}

/* What could not be combined does not come to the last rank as if it had been. */
static void fails_body(struct node *node)
{
    enum { CASES = 8, LENGTH = 5 * 65536 + 20 };
    static const size_t at[4] = { 0, 70000, 200000, LENGTH - 4 };
    struct parcel *parcels = calloc(CASES, sizeof *parcels);
    struct op *ops = calloc(CASES, sizeof *ops);
    const uint32_t magic = PARCEL_MAGIC;
    struct parcel_ways ways;

    CHECK(parcels && ops, "memory");
    parcel_ways(&ways);
    node_greet(node);
    for (uint32_t i = 0; i < CASES; i++) {
        struct parcel *p = &parcels[i];
        struct message message = rig_message(0, i);
        bool late = i >= 4;

        parcel_make(p, &ways, LENGTH, FAILING, i, 16 | (i & 3));
        memcpy(p->operand + at[i % 4], &magic, 4);
        if (node->rank == 2 && !late)
            node_recv_number(node, 1, 0, i, &(struct landing){ .dst = p->dst, .bytes = LENGTH }, &ops[i]);
        if (node->rank == 1)
            parcel_relay(node, p, &message, 0, &message, 2);
        node_barrier(node);
        if (node->rank == 0) {
            rig_fill(p->dst, LENGTH, i);
            node_send_number(node, 1, 0, i, p->dst, LENGTH, &ops[i]);
            CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "%s", status_name(ops[i].completion.status));
        } else if (node->rank == 1) {
            CHECK(node_wait_op(node, &p->landed) == PEAL_ERR_USER, "case %u: %s", i,
                  status_name(p->landed.completion.status));
        }
        node_barrier(node);
        if (node->rank == 2 && late)
            node_recv_number(node, 1, 0, i, &(struct landing){ .dst = p->dst, .bytes = LENGTH }, &ops[i]);
        beside(node, i);
    }
    nothing_goes_on(node, parcels, ops, CASES);
    parcel_ways_free(&ways);
}

/* ---- One goes away --------------------------------------------------------------- */

/* The rank in the middle closes without a flush: its memory is its own at once. */
static void drop_body(struct node *node)
{
    enum { OPS = 3, LENGTH = 2000003 };
    static const int turns[] = { 1, 3, 10, 30, 100, 300 };
    struct parcel *parcels = calloc(OPS, sizeof *parcels);
    struct op *ops = calloc(OPS, sizeof *ops);
    struct parcel_ways ways;

    CHECK(parcels && ops, "memory");
    parcel_ways(&ways);
    node_greet(node);
    for (uint32_t i = 0; i < OPS; i++) {
        struct message message = rig_message(0, i);
        struct parcel *p = &parcels[i];
        struct landing landing;

        parcel_make(p, &ways, LENGTH, i == 2 ? SUM : PLAIN, i, 16 | i);
        landing = (struct landing){ .dst = p->dst, .bytes = LENGTH };
        if (node->rank == 0) {
            rig_fill(p->dst, LENGTH, i);
            node_send_number(node, 1, 0, i, p->dst, LENGTH, &ops[i]);
        } else if (node->rank == 1) {
            parcel_relay(node, p, &message, 0, &message, 2);
        } else {
            node_recv_number(node, 1, 0, i, &landing, &ops[i]);
        }
    }
    if (node->rank == 1) {
        for (int i = turns[node_random(node, 6)]; i > 0; i--)
            node_progress(node);
        node_close(node, false);
        for (uint32_t i = 0; i < OPS; i++) {
            rig_fill(parcels[i].dst, LENGTH, 99);
            rig_fill(parcels[i].keep, LENGTH, 98);
        }
    }
    for (uint32_t i = 0; i < OPS && node->rank != 1; i++)
        if (node_wait_op(node, &ops[i]) != PEAL_OK)
            CHECK(ops[i].completion.status == PEAL_ERR_PEER, "%s", status_name(ops[i].completion.status));
        else if (node->rank == 2)
            parcel_verify(&parcels[i], parcels[i].dst, "while its relay closed");
    node_barrier(node);
    for (uint32_t i = 0; i < OPS; i++) {
        if (node->rank == 1) {
            rig_verify(parcels[i].dst, LENGTH, 99, "after close()");
            rig_verify(parcels[i].keep, LENGTH, 98, "after close()");
        }
        parcel_free(&parcels[i]);
    }
    parcel_ways_free(&ways);
    free(parcels);
    free(ops);
}

/* A few rounds, in which a ring can be filled as often, and no more. */
static void progress_little(struct node *node)
{
    for (int i = 0; i < 4; i++) {
        node_progress(node);
        usleep(300);
    }
}

/* Rank 2 sends and dies in the middle of it; 1 relays to 0. */
static void source_dies_body(struct node *node)
{
    struct landing landing;
    struct parcel_ways ways;
    struct parcel p;
    struct op op;
    char whole = 0;

    parcel_ways(&ways);
    parcel_make(&p, &ways, BYTES, PLAIN, 7, (unsigned)node->seed & 3);
    node_greet(node);
    landing = (struct landing){ .dst = p.dst, .bytes = BYTES };
    if (node->rank == 0)
        node_recv_number(node, 1, 0, 0, &landing, &op);
    else if (node->rank == 1)
        parcel_relay(node, &p, &first, 2, &first, 0);
    node_barrier(node);
    if (node->rank == 2) {
        rig_fill(p.dst, BYTES, p.key);
        node_send_number(node, 1, 0, 0, p.dst, BYTES, &op);
        progress_little(node);
        raise(SIGKILL);
    }
    if (node->rank == 1) {
        struct op said;

        whole = node_wait_op(node, &p.landed) == PEAL_OK;
        CHECK(whole || p.landed.completion.status == PEAL_ERR_PEER, "%s",
              status_name(p.landed.completion.status));
        if (whole)
            parcel_wait(node, &p);
        for (int i = 0; i < 1000; i++)
            node_progress(node);
        node_send(node, 0, 1, &whole, 1, &said);
        CHECK(node_wait_op(node, &said) == PEAL_OK, "to the last rank");
        CHECK(whole ? node_wait_op(node, &p.sent) == PEAL_OK : !p.sent.done, "what was sent on: %s",
              status_name(p.sent.completion.status));
        node_close(node, false);
        memset(p.dst, 0, BYTES);
    } else {
        struct op heard;

        node_recv(node, 1, 1, &whole, 1, &heard);
        CHECK(node_wait_op(node, &heard) == PEAL_OK, "from the relay");
        CHECK(whole || !op.done, "half a message has come: %s", status_name(op.completion.status));
        CHECK(node_wait_op(node, &op) == (whole ? PEAL_OK : PEAL_ERR_PEER), "%s",
              status_name(op.completion.status));
        if (whole)
            parcel_verify(&p, p.dst, "from the dead");
    }
    parcel_free(&p);
    parcel_ways_free(&ways);
}

/* Rank 2 is relayed to, and dies before it has wanted it, or in the middle of it, or when nothing
 * has come yet; what comes from 0 to 1 lands, and what else 1 sends meanwhile is not taken for it. */
static void last_dies_body(struct node *node)
{
    char *more = rig_alloc(BYTES, false), byte = 0;
    bool nothing = node->seed & 2;
    size_t bytes = nothing ? 300000 : BYTES;
    struct landing landing;
    struct parcel_ways ways;
    struct parcel p;
    struct op op;

    parcel_ways(&ways);
    parcel_make(&p, &ways, bytes, nothing ? SUM : PLAIN, 7, 18);
    node_greet(node);
    landing = (struct landing){ .dst = p.dst, .bytes = bytes };
    if (node->rank == 2 && node->seed & 1)
        node_recv_number(node, 1, 0, 0, &landing, &op);
    else if (node->rank == 1)
        parcel_relay(node, &p, &first, 0, &first, 2);
    node_barrier(node);
    if (node->rank == 2) {
        progress_little(node);
        raise(SIGKILL);
    } else if (node->rank == 0) {
        rig_fill(p.dst, bytes, p.key);
        if (!nothing) {
            node_send_number(node, 1, 0, 0, p.dst, bytes, &op);
            progress_little(node);
        }
        CHECK(read(node->control[1], &byte, 1) == 1, "the relay is gone");
        if (nothing)
            node_send_number(node, 1, 0, 0, p.dst, bytes, &op);
        node_wait(node, &op.done);
        node_recv(node, 1, 1, more, BYTES, &op);
        CHECK(node_wait_op(node, &op) == PEAL_OK, "%s", status_name(op.completion.status));
        rig_verify(more, BYTES, 9, "from the relay");
    } else {
        if (p.relayed)
            CHECK(node_wait_op(node, &p.sent) == PEAL_ERR_PEER, "to the dead: %s",
                  status_name(p.sent.completion.status));
        rig_fill(more, BYTES, 9);
        node_send(node, 0, 1, more, BYTES, &op);
        CHECK(write(node->control[0], &byte, 1) == 1, "%m");
        CHECK(parcel_wait(node, &p) == PEAL_OK, "%s", status_name(p.landed.completion.status));
        parcel_landed(&p);
        CHECK(node_wait_op(node, &op) == PEAL_OK, "%s", status_name(op.completion.status));
    }
    rig_free(more, BYTES, false);
    parcel_free(&p);
    parcel_ways_free(&ways);
}

void transports_relay_ends(const struct transport *transport, bool processes, uint64_t seed)
{
    rig_case(transport, "relay, ", "what differs", 3, processes, -1, seed, differs_body);
    rig_case(transport, "relay, ", "what cannot be combined", 3, processes, -1, seed, fails_body);
    for (uint64_t i = 0; i < 4; i++)
        rig_case(transport, "relay, ", "closed without flush", 3, processes, -1, seed + i, drop_body);
    for (uint64_t i = 0; i < 4 && processes; i++) {
        rig_case(transport, "relay, ", "its source is killed", 3, true, 2, seed + i, source_dies_body);
        rig_case(transport, "relay, ", "the last rank is killed", 3, true, 2, seed + i, last_dies_body);
    }
}
