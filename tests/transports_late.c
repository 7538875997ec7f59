/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/transports_rig.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* Ports of another communicator, of which one opens late: whoever looked for it
 * is told, before or while it sleeps. */
void transports_late(struct node *node)
{
    for (uint64_t i = 0; i < 200; i++) {
        struct port_options options = { .communicator = 43 + i, .rank = node->rank,
                                        .nranks = 2, .local_ranks = 2,
                                        .where = &node->wheres[node->rank],
                                        .completions = &node->completions };
        const struct transport *t = node->transport;
        struct pollfd polled = { .events = POLLIN };
        struct endpoint *endpoint;
        struct port *port;

        if (node->rank == 1)
            node_meet(node);
        CHECK(t->open(&options, &port) == PEAL_OK, "open");
        if (node->rank == 0) {
            CHECK(t->connect(port, 1, &node->wheres[1], NULL, 0, true, &endpoint) ==
                  STATUS_AGAIN, "connect to nobody");
            t->progress(port);
            if (i & 1)
                CHECK(t->arm(port) == PEAL_OK, "arm");
            node_meet(node);
            polled.fd = t->descriptor(port);
            CHECK((!(i & 1) && t->arm(port) == STATUS_AGAIN) || poll(&polled, 1, 1000) == 1,
                  "nobody told that the peer has opened");
            CHECK(t->progress(port) > 0, "progress");
        }
        CHECK(t->connect(port, !node->rank, &node->wheres[!node->rank], NULL, 0, true,
                         &endpoint) == PEAL_OK, "connect");
        node_meet(node);
        t->close(port, true);
    }
}
