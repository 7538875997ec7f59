/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/transports_rig.h"

#include <stdlib.h>

/* The sender has used up its window, and one receive makes room for one message: the
 * receiver says so without anything else to send, be it awake or on its way to sleep. */
void transports_window(struct node *node)
{
    enum { ALL = TRANSPORT_WINDOW + 1, ROUNDS = 4 };
    struct op *ops = calloc(ALL, sizeof *ops);
    uint64_t out = 5, in[ALL];

    for (int round = 0; round < ROUNDS; round++) {
        uint32_t stream = (uint32_t)round % 2, got = 0;

        node->sleepy = round / 2;
        if (node->rank == 1 && round % 2)      /* met when it comes, else when posted */
            node_recv(node, 0, stream, &in[got++], sizeof out, &ops[0]);
        node_barrier(node);
        for (int i = 0; i < TRANSPORT_WINDOW && node->rank == 0; i++)
            node_send(node, 1, stream, &out, sizeof out, &ops[i]);
        node_barrier(node);
        if (node->rank == 1 && got == 0)
            node_recv(node, 0, stream, &in[got++], sizeof out, &ops[0]);
        if (node->rank == 0)
            node_send(node, 1, stream, &out, sizeof out, &ops[TRANSPORT_WINDOW]);
        node_barrier(node);            /* the receiver has nothing but this to wait for */
        while (node->rank == 1 && got < ALL) {
            node_recv(node, 0, stream, &in[got], sizeof out, &ops[got]);
            got++;
        }
        for (int i = 0; i < ALL; i++)
            CHECK(node_wait_op(node, &ops[i]) == PEAL_OK && (node->rank == 0 || in[i] == out),
                  "message %d: %s", i, status_name(ops[i].completion.status));
        node_barrier(node);
    }
    free(ops);
}
