/* SPDX-License-Identifier: BSD-3-Clause */
/* A peer that has connected well, and then fills the landing ring with nonsense. */
#include "tests/verbs_faults.h"

#include "transports/verbs/verbs_ring.h"

#include <stdlib.h>
#include <string.h>

enum { OPS = 12 };

static uint64_t likely(struct node *node)
{
    static const uint64_t numbers[] = { 0, 0, 8, 40, 300, 9000, 100000, 64, 4096, 65536, 1,
                                        UINT64_MAX, (uint64_t)1 << 43, 262144, 99936, 64 };

    return numbers[node_random(node, 16)];
}

static void nonsense(struct node *node)
{
    struct endpoint *e = node->peers[!node->rank];
    struct verbs_frame frame = {
        .kind = (enum verbs_kind)(1 + node_random(node, node_random(node, 30) ? 7 : 12)),
        .stream = (uint32_t)node_random(node, node_random(node, 30) ? 2 : 5),
        .number = (uint32_t)node_random(node, 12), .total = likely(node),
        .offset = likely(node), .length = likely(node)
    };
    size_t payload = verbs_frame_payload(&frame);
    uint32_t next = e->in_next;
    unsigned char *to;

    if (node_random(node, 3) > 0) {        /* sensible sizes */
        frame.length = frame.total;
        frame.offset = 0;
        payload = verbs_frame_payload(&frame);
    }
    frame.signature = rig_message(frame.stream, frame.number).signature;
    if (payload > 60000)
        return;
    to = verbs_frame_begin(e, &frame, false);
    if (!to)
        return;
    for (size_t i = 0; i < payload; i++)
        to[i] = (unsigned char)node_random(node, 256);
    if (node_random(node, 40) == 0)
        e->in_next += (uint32_t)node_random(node, 300);
    verbs_frame_end(e, &frame, -1, NULL, 0);
    e->in_next = next;
}

/* The end of a message as if it rode on a write, a message without a header, or neither. */
static uint32_t headless(struct node *node)
{
    switch (node_random(node, 3)) {
    case 0:
        return verbs_code_riding((uint32_t)node_random(node, 2), (uint32_t)node_random(node, 12));
    case 1:
        return verbs_code_bare((uint32_t)node_random(node, 2),
                               (enum verbs_form)node_random(node, VERBS_FORMS), node_random(node, 2));
    }
    return VERBS_CODE_RIDES + (uint32_t)node_random(node, 1 << 15);
}

static void code_alone(struct node *node)
{
    struct endpoint *e = node->peers[!node->rank];
    struct verbs_frame credit = { .kind = VERBS_CREDIT };
    uint32_t number = e->out_next, at = number % VERBS_FRAMES;
    struct ibv_send_wr wr = {
        .wr.rdma = { .remote_addr = e->ring_remote, .rkey = e->rails[0].rkey }
    };
    struct work work = { .kind = WORK_FRAME, .frame = number };

    if (!verbs_frame_begin(e, &credit, false))
        return;
    e->frame_end[at] = e->head;
    e->frame_bytes[at] = 0;
    e->out_next++;
    verbs_announce(&e->rails[0], &wr, verbs_immediate(number, headless(node)), &work);
}

static size_t op_bytes(int i)
{
    static const size_t sizes[] = { 8, 40, 300, 100000 };

    return sizes[i % 4];
}

static void hostile_body(struct node *node)
{
    struct op *recvs = calloc(OPS, sizeof *recvs), *sends = calloc(OPS, sizeof *sends);
    char *in[OPS], *out = rig_alloc(100000, false), word[8] = "";

    if (node->rank == 0) {
        struct op op;

        node_send(node, 1, 0, word, sizeof word, &op);     /* so that both are up */
        node_wait(node, &op.done);
        for (int i = 0; i < 40; i++) {
            if (node_random(node, 10))
                nonsense(node);
            else
                code_alone(node);
            node_progress(node);
        }
        node_close(node, false);
        node_meet(node);
    } else {
        for (int i = 0; i < OPS; i++) {
            in[i] = rig_alloc(op_bytes(i), false);
            node_recv(node, 0, (uint32_t)i & 1, in[i], op_bytes(i), &recvs[i]);
        }
        for (int i = 0; i < OPS; i++)
            node_send(node, 0, (uint32_t)i & 1, out, op_bytes(i), &sends[i]);
        for (int i = 0; i < OPS; i++) {
            int status = node_wait_op(node, &recvs[i]);

            CHECK(status == PEAL_OK || status == PEAL_ERR_MISMATCH || status == PEAL_ERR_PEER ||
                  status == PEAL_ERR_PROTOCOL, "%s", status_name(status));
            node_wait(node, &sends[i].done);
            rig_free(in[i], op_bytes(i), false);
        }
        node_meet(node);
    }
    rig_free(out, 100000, false);
    free(recvs);
    free(sends);
}

void verbs_hostile(uint64_t seed)
{
    double_faults()->violations = true;        /* grants to nowhere */
    for (uint64_t i = 0; i < 100; i++)
        rig_run(&verbs_transport, 2, false, -1, seed + i, hostile_body);
    double_faults()->violations = false;
    printf("hostile frames\n");
}
