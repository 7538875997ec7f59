/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite's case of send_keep() and put_keep(): what is sent is copied to where it is
 * kept, too, by the time that the send has ended; no byte beside it is touched. */
#include "tests/transports_rig.h"

#include <stdio.h>

enum { FLIGHT = 5, ROUNDS = 40, LARGEST = 400000 };

struct kept {                      /* one message to the peer, and one from it */
    char     *bytes, *keep, *in;
    size_t    length, theirs;
    uint64_t  key, their_key;
    struct op sent, received;
    bool      put;                 /* the short way */
};

static void kept_make(struct node *node, struct kept *kept, struct node *list, uint64_t item)
{
    size_t lengths[2];

    for (int i = 0; i < 2; i++)        /* both sides draw both, and so know the other's */
        lengths[i] = node_random(list, 2)   ? 1 + node_random(list, TRANSPORT_EAGER >> node_random(list, 10))
                     : node_random(list, 2) ? TRANSPORT_EAGER + 1 + node_random(list, LARGEST)
                                            : TRANSPORT_EAGER * (1 + node_random(list, 4));
    kept->length = lengths[node->rank];
    kept->theirs = lengths[!node->rank];
    kept->key = 2 * item + (uint64_t)node->rank;
    kept->their_key = 2 * item + (uint64_t)!node->rank;
    kept->bytes = rig_alloc(kept->length, false);
    kept->keep = rig_alloc(kept->length, false);
    kept->in = rig_alloc(kept->theirs, false);
    rig_fill(kept->bytes, kept->length, kept->key);
    rig_fill(kept->keep, kept->length, ~kept->key);
    rig_fill(kept->in, kept->theirs, ~kept->their_key);
}

/* Half of them the short way; that send has ended when the call returns. */
static int keep_try(struct node *node, struct kept *kept, const struct message *message)
{
    const struct transport *transport = node->transport;
    struct endpoint *peer = node->peers[!node->rank];
    int status;

    kept->put = kept->sent.done = false;
    if (!transport->put_keep || node_random(node, 2))
        return transport->send_keep(peer, message, kept->bytes, kept->length, kept->keep,
                                    node_random(node, 2), &kept->sent.completion);
    status = transport->put_keep(peer, message, kept->bytes, kept->length, kept->keep);
    if (status != PEAL_OK)
        return status;
    rig_verify(kept->keep, kept->length, kept->key, "what is kept at once");
    rig_fill(kept->bytes, kept->length, ~kept->key);       /* nobody needs it any more */
    kept->sent = (struct op){ .done = true };
    kept->put = true;
    return status;
}

/* True if it is kept, too. */
static bool kept_send(struct node *node, struct kept *kept)
{
    int peer = !node->rank, status;
    struct message message = rig_message(0, node->next_send[peer][0]);

    status = keep_try(node, kept, &message);
    if (status == PEAL_OK) {
        node->next_send[peer][0]++;
        return true;
    }
    CHECK(status == STATUS_AGAIN, "send_keep: %s", status_name(status));
    node_send(node, peer, 0, kept->bytes, kept->length, &kept->sent);
    return false;
}

static void kept_end(struct node *node, struct kept *kept, bool keeps)
{
    CHECK(node_wait_op(node, &kept->sent) == PEAL_OK, "send: %s",
          status_name(kept->sent.completion.status));
    rig_verify(kept->keep, kept->length, keeps ? kept->key : ~kept->key, "what is kept");
    CHECK(node_wait_op(node, &kept->received) == PEAL_OK, "receive: %s",
          status_name(kept->received.completion.status));
    rig_verify(kept->in, kept->theirs, kept->their_key, "at the peer");
    rig_verify(kept->bytes, kept->length, kept->put ? ~kept->key : kept->key,
               "where it was sent from");
    rig_free(kept->bytes, kept->length, false);
    rig_free(kept->keep, kept->length, false);
    rig_free(kept->in, kept->theirs, false);
}

static void keep_body(struct node *node)
{
    struct node list = { .random = node->seed };
    struct kept kept[FLIGHT];
    bool keeps[FLIGHT];
    int rounds = rig_times(ROUNDS), count = 0, puts = 0;

    node_greet(node);
    for (int round = 0; round < rounds; round++) {
        bool late = node_random(&list, 2);     /* are receives posted after the sends? */

        for (int i = 0; i < FLIGHT; i++) {
            kept_make(node, &kept[i], &list, (uint64_t)(round * FLIGHT + i));
            if (!late)
                node_recv(node, !node->rank, 0, kept[i].in, kept[i].theirs, &kept[i].received);
        }
        node_barrier(node);
        for (int i = 0; i < FLIGHT; i++) {
            count += keeps[i] = kept_send(node, &kept[i]);
            puts += kept[i].put;
        }
        if (late)
            node_barrier(node);
        for (int i = 0; late && i < FLIGHT; i++)
            node_recv(node, !node->rank, 0, kept[i].in, kept[i].theirs, &kept[i].received);
        for (int i = 0; i < FLIGHT; i++)
            kept_end(node, &kept[i], keeps[i]);
    }
    CHECK(count > rounds / 2 && (puts > 0 || !node->transport->put_keep),
          "%d of %d were kept, %d of them put", count, rounds * FLIGHT, puts);
    node_barrier(node);
}

void transports_keep(const struct transport *transport, bool processes, uint64_t seed)
{
    if (!transport->send_keep)
        return;
    rig_run(transport, 2, processes, -1, seed, keep_body);
    printf("%s, %s: what is sent is kept, too\n", transport->name, processes ? "processes" : "threads");
}
