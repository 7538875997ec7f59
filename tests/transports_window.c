/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/transports_rig.h"

#include <stdlib.h>

/* The sender has used up its window, and all of it has come.  One receive lets it go
 * on, though nothing goes the other way that could tell so. */
void transports_window(struct node *node)
{
    enum { SENDS = TRANSPORT_WINDOW + 1 };
    struct op *ops = calloc(SENDS, sizeof *ops), last;
    char word[8], in[8];

    node_greet(node);
    rig_fill(word, sizeof word, 3);
    for (uint32_t i = 0; i + 1 < SENDS && node->rank == 0; i++)
        node_send(node, 1, 0, word, sizeof word, &ops[i]);
    if (node->rank == 0)
        node_send(node, 1, 1, word, sizeof word, &last);
    else
        node_recv(node, 0, 1, in, sizeof in, &last);
    CHECK(node_wait_op(node, &last) == PEAL_OK, "what shows that the others have come");
    if (node->rank == 0) {
        node_send(node, 1, 0, word, sizeof word, &ops[SENDS - 1]);     /* waits for room */
        node_barrier(node);
    }
    for (uint32_t i = 0; i < SENDS; i++) {
        if (node->rank == 1)
            node_recv(node, 0, 0, in, sizeof in, &ops[i]);
        CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "%u", i);
        if (node->rank == 1)
            rig_verify(in, sizeof in, 3, "window");
        if (node->rank == 1 && i == 0)
            node_barrier(node);        /* until the last has been let in */
    }
    node_barrier(node);
    free(ops);
}
