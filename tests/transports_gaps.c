/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages in the byte ring of shm: room is left between those that follow one another, for what
 * the reader's core fetches ahead, but not where ranks share cores; and one as long as the one
 * before does not go round the ring's end, so that all can be peeked at.  They are too short for
 * their stores to be timed, so nothing depends on how near the cores are. */
#include "tests/transports_rig.h"

#include "transports/shm/shm.h"

#include <sched.h>
#include <string.h>

enum { BYTES = 448, MESSAGES = 12000, APART = 1024 };  /* over ten laps with room, three without */

/* With put(), or kept at `keep`: those are too short, too, to tell how near the cores are. */
static void send_all(struct node *node, const char *bytes, char *keep)
{
    const struct transport *t = node->transport;
    struct endpoint *to = node->peers[1];

    for (int i = 0; i < MESSAGES; i++) {
        struct message message = rig_message(0, node->next_send[1][0]++);
        int status;

        while ((status = keep ? t->put_keep(to, &message, bytes, BYTES, keep)
                              : t->put(to, &message, bytes, BYTES, NULL)) == STATUS_AGAIN)
            node_progress(node);
        CHECK(status == PEAL_OK, "message %d: %s", i, status_name(status));
    }
    CHECK(to->keeping.pieces == 0, "short messages that were kept have been timed");
}

/* How many begin so far behind the end of the one before. */
static int recv_all(struct node *node)
{
    const char *end = NULL;
    int apart = 0;

    for (int i = 0; i < MESSAGES; i++) {
        struct message message = rig_message(0, node->next_recv[0][0]++);
        const void *view = NULL;
        int status;

        while ((status = node->transport->peek(node->peers[0], &message, BYTES, &view)) ==
               STATUS_AGAIN)
            sched_yield();
        CHECK(status == PEAL_OK, "message %d cannot be peeked at: %s", i, status_name(status));
        rig_verify(view, BYTES, 7, "in one piece");
        apart += end && (const char *)view >= end + APART;
        end = (const char *)view + BYTES;
        CHECK(node->transport->take(node->peers[0], &message, BYTES) == PEAL_OK, "take %d", i);
    }
    return apart;
}

/* Room that cannot be: the long way is to say so. */
static void wrong_gap(struct node *node)
{
    static const uint32_t wrong[] = { 32, (2 << 20) + SHM_LINE, UINT32_MAX };
    struct endpoint *from = node->peers[0];
    struct message message = rig_message(0, node->next_recv[0][0]);
    struct slot_bytes bytes, right;
    const void *view;
    struct slot *slot;
    uint32_t mark;

    while (!(slot = ring_next(from, &mark)))
        sched_yield();
    memcpy(&right, slot->payload, sizeof right);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bytes = right;
        bytes.gap = wrong[i];
        memcpy(slot->payload, &bytes, sizeof bytes);
        CHECK(node->transport->peek(from, &message, BYTES, &view) == STATUS_POST, "gap %u", wrong[i]);
    }
    memcpy(slot->payload, &right, sizeof right);
}

static void gaps_body(struct node *node)
{
    char *bytes = rig_alloc(BYTES, false), keep[BYTES];
    int apart;

    rig_fill(bytes, BYTES, 7);
    node_greet(node);
    for (int way = 0; way < 4; way++) {
        bool crowded = way & 2, kept = way & 1;

        node->port->options.crowded = crowded;
        if (node->rank == 0) {
            send_all(node, bytes, kept ? keep : NULL);
        } else {
            wrong_gap(node);
            apart = recv_all(node);
            CHECK(crowded ? apart == 0 : apart > MESSAGES * 9 / 10, "%d of %d %smessages lie apart%s",
                  apart, MESSAGES, kept ? "kept " : "", crowded ? " though cores are shared" : "");
        }
        node_barrier(node);
    }
    rig_free(bytes, BYTES, false);
}

void transports_gaps(const struct transport *transport, uint64_t seed)
{
    if (strcmp(transport->name, "shm") != 0)
        return;
    rig_run_with(transport, "PEAL_SHM_RING", "2M", seed, gaps_body);
    printf("%s: messages lie apart, each in one piece\n", transport->name);
}
