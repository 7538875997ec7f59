/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/transports_rig.h"

#include <stdlib.h>
#include <string.h>

/* By the short way, if there is one, or the long one. */
static void owed_recv(struct node *node, uint32_t stream, uint64_t *word, struct op *op)
{
    struct message message = rig_message(stream, node->next_recv[0][stream]);
    const void *view;

    if (node->transport->peek(node->peers[0], &message, sizeof *word, &view) != PEAL_OK) {
        node_recv(node, 0, stream, word, sizeof *word, op);
        return;
    }
    memcpy(word, view, sizeof *word);
    op->completion.status = node->transport->take(node->peers[0], &message, sizeof *word);
    op->done = true;
    node->next_recv[0][stream]++;
}

/* The sender has used up its window, and one receive makes room for one message: the
 * receiver says so without anything else to send, be it awake or on its way to sleep. */
void transports_window(struct node *node)
{
    enum { ALL = TRANSPORT_WINDOW + 1, ROUNDS = 6 };
    struct op *ops = calloc(ALL, sizeof *ops), last;
    uint64_t out = 5, in[ALL], beside;

    for (int round = 0; round < ROUNDS; round++) {
        uint32_t stream = (uint32_t)round % 2, got = 0;

        node->sleepy = round / 3;
        if (node->rank == 1 && round % 3 == 0)     /* posted before it comes, else after */
            node_recv(node, 0, stream, &in[got++], sizeof out, &ops[0]);
        node_barrier(node);
        for (int i = 0; i < TRANSPORT_WINDOW && node->rank == 0; i++)
            node_send(node, 1, stream, &out, sizeof out, &ops[i]);
        if (node->rank == 0)           /* behind which all are there */
            node_send(node, 1, !stream, &out, sizeof out, &last);
        else
            node_recv(node, 0, !stream, &beside, sizeof out, &last);
        CHECK(node_wait_op(node, &last) == PEAL_OK, "%s", status_name(last.completion.status));
        if (node->rank == 1 && round % 3 == 1)
            node_recv(node, 0, stream, &in[got++], sizeof out, &ops[0]);
        if (node->rank == 1 && round % 3 == 2)
            owed_recv(node, stream, &in[got++], &ops[0]);
        if (node->rank == 0)
            node_send(node, 1, stream, &out, sizeof out, &ops[TRANSPORT_WINDOW]);
        node_barrier(node);            /* the receiver has nothing but this to wait for */
        for (; node->rank == 1 && got < ALL; got++)
            node_recv(node, 0, stream, &in[got], sizeof out, &ops[got]);
        for (int i = 0; i < ALL; i++)
            CHECK(node_wait_op(node, &ops[i]) == PEAL_OK && (node->rank == 0 || in[i] == out),
                  "message %d: %s", i, status_name(ops[i].completion.status));
        node_barrier(node);
    }
    free(ops);
}
