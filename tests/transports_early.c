/* SPDX-License-Identifier: BSD-3-Clause */
/* A sender that runs ahead of its receiver over shm: what it has sent lies in the ring until its
 * receive is posted, and is not copied to a buffer and from there once more.  Whoever copied it has
 * kept the buffer for the next one, which is how this test knows. */
#include "tests/transports_rig.h"

#include "transports/shm/shm.h"

#include <stdlib.h>
#include <string.h>

/* More messages than looks for which one may be left lying, and all of them fit the rings of
 * slots and of bytes. */
enum { AHEAD = 200, BYTES = 4000 };

static void send_ahead(struct node *node, const char *bytes)
{
    struct op *ops = calloc(AHEAD, sizeof *ops);

    CHECK(ops, "no memory");
    for (int i = 0; i < AHEAD; i++)
        node_send(node, 1, 0, bytes, BYTES, &ops[i]);
    node_meet(node);                   /* all are there, and nobody has looked */
    for (int i = 0; i < AHEAD; i++)
        CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "send %d", i);
    free(ops);
}

/* Receives one after the other, on the long way. */
static void recv_posted(struct node *node, char *bytes)
{
    for (int i = 0; i < AHEAD; i++) {
        struct op op;

        memset(bytes, 0, BYTES);
        node_recv(node, 0, 0, bytes, BYTES, &op);
        CHECK(node_wait_op(node, &op) == PEAL_OK, "receive %d", i);
        rig_verify(bytes, BYTES, 7, "early, long way");
    }
}

/* The same on the short way, with a look between, as for another run of the engine. */
static void recv_peeked(struct node *node)
{
    const struct transport *t = node->transport;

    for (int i = 0; i < AHEAD; i++) {
        struct message message = rig_message(0, node->next_recv[0][0]++);
        const void *view;

        node_progress(node);
        CHECK(t->peek(node->peers[0], &message, BYTES, &view) == PEAL_OK, "message %d", i);
        rig_verify(view, BYTES, 7, "early, short way");
        CHECK(t->take(node->peers[0], &message, BYTES) == PEAL_OK, "take %d", i);
    }
}

static void ahead_body(struct node *node)
{
    char *bytes = rig_alloc(BYTES, false);
    size_t kept = node->port->pool.kept;

    rig_fill(bytes, BYTES, 7);
    for (int shortly = 0; shortly < 2; shortly++) {
        if (node->rank == 0) {
            send_ahead(node, bytes);
        } else {
            node_meet(node);
            if (shortly)
                recv_peeked(node);
            else
                recv_posted(node, bytes);
            CHECK(node->port->pool.kept == kept, "%zu bytes of buffers for %d early messages, %s way",
                  node->port->pool.kept - kept, AHEAD, shortly ? "short" : "long");
        }
        node_barrier(node);
    }
    rig_free(bytes, BYTES, false);
}

void transports_early(const struct transport *transport, uint64_t seed)
{
    if (strcmp(transport->name, "shm") != 0)
        return;
    rig_run_with(transport, "PEAL_SHM_RING", "2M", seed, ahead_body);     /* holds them all */
    printf("%s: early messages are not copied\n", transport->name);
}
