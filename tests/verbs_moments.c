/* SPDX-License-Identifier: BSD-3-Clause */
/* Moments that random traffic seldom or never meets, made on purpose: each was a
 * defect once, or would not have been noticed if it had been one. */
#include "tests/verbs_moments.h"

#include "base/clock.h"
#include "transports/verbs/verbs_ring.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

struct endpoint *moment_peer(struct node *node)
{
    return node->peers[!node->rank];
}

void moment_stage(struct node *node, enum stage stage)
{
    struct endpoint *e = moment_peer(node);

    while (e->stage < stage && !verbs_lost(e))
        node_progress(node);
    CHECK(e->stage == stage, "stage %d is over: it is %d", stage, e->stage);
}

void moment_fails(struct node *node, int status, const char *text)
{
    struct endpoint *e = moment_peer(node);
    char word[8] = "";
    struct op op;

    node_recv(node, !node->rank, 0, word, sizeof word, &op);
    CHECK(node_wait_op(node, &op) == status && strstr(e->why, text), "rank %d: %s, not %s: %s",
          node->rank, status_name(op.completion.status), status_name(status), e->why);
    node_meet(node);
}

/* What the devices have, without a look at the sockets. */
static void devices_poll(struct node *node)
{
    verbs_poll(node->port);
    verbs_take_frames(moment_peer(node));
}

/* ---- Connecting ------------------------------------------------------------------ */

static size_t early_bytes;

/* A grant for what was sent before the endpoint was up comes before the peer's last
 * word on the socket. */
static void early_grant_body(struct node *node)
{
    char *memory = rig_alloc(early_bytes, false);
    struct op op;

    if (node->rank == 1) {
        moment_stage(node, STAGE_CONNECT);
        node_meet(node);
        node_meet(node);
        moment_stage(node, STAGE_UP);
        node_recv(node, 0, 0, memory, early_bytes, &op);
        node_meet(node);
    } else {
        rig_fill(memory, early_bytes, 1);
        node_send(node, 1, 0, memory, early_bytes, &op);
        node_meet(node);
        moment_stage(node, STAGE_READY);
        node_meet(node);
        node_meet(node);
        devices_poll(node);
        CHECK(moment_peer(node)->stage == STAGE_READY && moment_peer(node)->in_next == 1,
              "the grant did not come early");
    }
    CHECK(node_wait_op(node, &op) == PEAL_OK, "rank %d", node->rank);
    rig_verify(memory, early_bytes, 1, "granted early");
    node_barrier(node);
    rig_free(memory, early_bytes, false);
}

static void early_grants(uint64_t seed)
{
    for (early_bytes = 20000; early_bytes < 1000000; early_bytes *= 20)
        rig_run(&verbs_transport, 2, false, -1, seed, early_grant_body);
    printf("a grant comes before the endpoint is up\n");
}

static struct { enum stage stage; bool both; int device; bool others; int bad; } loss;

/* The device is lost when rank 0 has come to a stage of connecting. */
static void lost_body(struct node *node)
{
    char *out = rig_alloc(100000, false), *in = rig_alloc(100000, false), word[8];
    struct endpoint *e = moment_peer(node);
    struct op ops[4];

    if (node->rank == 1 && loss.stage >= STAGE_READY)
        moment_stage(node, STAGE_CONNECT);
    node_meet(node);
    if (node->rank == 0 || loss.stage == STAGE_UP)
        moment_stage(node, loss.stage);
    node_meet(node);
    if (node->rank == 0 || loss.both)
        double_event_at(node->port->adapters[loss.device].context, IBV_EVENT_DEVICE_FATAL);
    for (int i = 0; i < 2; i++) {
        node_recv(node, !node->rank, (uint32_t)i, i ? in : word, i ? 100000 : 8, &ops[i]);
        node_send(node, !node->rank, (uint32_t)i, out, i ? 100000 : 8, &ops[2 + i]);
    }
    for (int i = 0; i < 4; i++) {
        int status = node_wait_op(node, &ops[i]);

        if (status == PEAL_OK)
            continue;
        __atomic_add_fetch(&loss.bad, 1, __ATOMIC_RELAXED);
        CHECK(status == PEAL_ERR_PEER && (strstr(e->why, "was the device removed") ||
              strstr(e->why, "closed its connection")) && strstr(e->why, "rank "), "%s: %s",
              status_name(status), e->why);
    }
    node_meet(node);
    rig_free(out, 100000, false);
    rig_free(in, 100000, false);
}

/* It ends, and says why; if it was up at one end, the other rails do what is asked. */
static void lost_adapters(uint64_t seed)
{
    static const enum stage stages[] = { STAGE_OFFER, STAGE_CONNECT, STAGE_READY, STAGE_UP };

    for (int i = 0; i < 16; i++) {
        loss.stage = stages[i % 4];
        loss.both = i & 4;
        loss.others = i & 8;
        loss.device = loss.others ? 1 : 0;
        loss.bad = 0;
        if (!loss.others)
            setenv("PEAL_VERBS_DEVICES", "double0", 1);
        rig_run(&verbs_transport, 2, false, -1, seed, lost_body);
        unsetenv("PEAL_VERBS_DEVICES");
        CHECK(!loss.others || loss.both || loss.stage < STAGE_READY || loss.bad == 0,
              "stage %d: the other rails did not take over", loss.stage);
        CHECK(loss.others || loss.bad > 0 || loss.stage == STAGE_UP,
              "stage %d: no device, and nobody noticed", loss.stage);
    }
    printf("a device is lost while connecting\n");
}

/* ---- Sleeping ---------------------------------------------------------------------- */

static int peek_next(struct node *node)
{
    struct message message = rig_message(0, node->next_recv[!node->rank][0]);
    const void *view;

    return verbs_transport.peek(moment_peer(node), &message, 8, &view);
}

/* A send that ends within arm(), or in a peek() before it, is seen before the sleep. */
static void arm_body(struct node *node)
{
    char *memory = rig_alloc(300000, false);
    struct op op;

    node_greet(node);
    for (int peeks = 0; peeks < 2; peeks++) {
        if (node->rank == 1)
            node_recv(node, 0, 0, memory, 300000, &op);
        node_barrier(node);
        while (node->rank == 0 && node_progress(node) > 0)
            continue;
        if (node->rank == 0) {
            node_send(node, 1, 0, memory, 300000, &op);
            CHECK(!op.done && !node->completions.first, "the send has been seen to end");
            if (peeks) {
                CHECK(peek_next(node) == STATUS_AGAIN, "peek");
                CHECK(node->completions.first, "peek() did not see the end of the send");
            }
            CHECK(verbs_transport.arm(node->port) == STATUS_AGAIN,
                  "arm() lets sleep though a send has ended%s", peeks ? " in peek()" : "");
        }
        CHECK(node_wait_op(node, &op) == PEAL_OK, "rank %d", node->rank);
        node_barrier(node);
    }
    rig_free(memory, 300000, false);
}

/* A peek() takes the credit that frames wait for. */
static void credit_body(struct node *node)
{
    enum { FRAMES = 40 };
    struct endpoint *e = moment_peer(node);
    struct op ops[FRAMES];
    char words[FRAMES][8];

    node_greet(node);
    node_barrier(node);
    for (int i = 0; i < FRAMES && node->rank == 1; i++)
        node_recv(node, 0, 0, words[i], 8, &ops[i]);
    node_meet(node);
    for (int i = 0; i < FRAMES && node->rank == 0; i++) {
        rig_fill(words[i], 8, (uint64_t)i);
        node_send(node, 1, 0, words[i], 8, &ops[i]);
    }
    while (node->rank == 0 && node_progress(node) > 0)
        continue;
    CHECK(node->rank == 1 || e->queue, "the ring takes all of it");
    node_meet(node);
    while (node->rank == 1 && node_progress(node) > 0)
        continue;
    node_meet(node);
    if (node->rank == 0) {
        uint32_t taken = e->out_taken;

        CHECK(peek_next(node) == STATUS_AGAIN && e->out_taken != taken, "no credit came");
        CHECK(verbs_transport.arm(node->port) == STATUS_AGAIN,
              "arm() lets sleep though there is room for what waits");
    }
    for (int i = 0; i < FRAMES; i++) {
        CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "%d", i);
        rig_verify(words[i], 8, (uint64_t)i, "after the credit");
    }
    node_barrier(node);
}

/* Slices wait for room in the send queue, and what has ended there completes nothing. */
static void room_body(struct node *node)
{
    char *memory = rig_alloc(1 << 20, false);
    struct endpoint *e = moment_peer(node);
    struct op op;

    node_greet(node);
    if (node->rank == 1)
        node_recv(node, 0, 0, memory, 1 << 20, &op);
    node_barrier(node);
    if (node->rank == 0) {
        while (node_progress(node) > 0)
            continue;
        rig_fill(memory, 1 << 20, 4);
        node->port->adapters[0].place.most = 4096;
        double_hold(0);
        node_send(node, 1, 0, memory, 1 << 20, &op);
        CHECK(e->orders && e->orders->left, "the send queue takes all of it");
        double_release(0);
        CHECK(verbs_transport.arm(node->port) == STATUS_AGAIN && !node->completions.first,
              "arm() lets sleep though the send queue has room again");
    }
    CHECK(node_wait_op(node, &op) == PEAL_OK, "rank %d", node->rank);
    rig_verify(memory, 1 << 20, 4, "in many slices");
    node_barrier(node);
    rig_free(memory, 1 << 20, false);
}

/* ---- Devices of a rank ------------------------------------------------------------------ */

static const char *near_list;

static void near_these(const struct port_options *options, char *list, size_t bytes)
{
    CHECK(options->owner == &near_list, "not the owner's");
    snprintf(list, bytes, "%s", near_list);
}

/* The names of those that a port opens, in their order. */
static void near_expect(const char *list, int local_ranks, const char *wanted)
{
    struct completion_queue completions;
    struct where where = { .host = 1 };
    struct port_options options = {
        .communicator = 1, .nranks = 1, .where = &where, .local_ranks = local_ranks,
        .completions = &completions, .near = near_these, .owner = &near_list
    };
    struct port *port;
    char names[256] = "";

    near_list = list;
    completion_queue_init(&completions);
    CHECK(verbs_transport.open(&options, &port) == PEAL_OK &&
          verbs_adapters_open(port) == PEAL_OK, "%s", status_text());
    for (int i = 0; i < port->nadapters; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? " " : "",
                 port->adapters[i].place.device);
    CHECK(!strcmp(names, wanted), "near \"%s\", %d ranks: \"%s\", not \"%s\"", list, local_ranks,
          names, wanted);
    verbs_transport.close(port, false);
}

static void near_devices(void)
{
    near_expect("", 2, "double0 double1 double2");
    near_expect("double2", 2, "double2 double0");
    near_expect("double1", 3, "double1");
    setenv("PEAL_VERBS_DEVICES", "double0,double1", 1);
    near_expect("other", 2, "double0 double1");
    near_expect("double1", 2, "double1");
    near_expect("double1", 1, "double1 double0");
    near_expect("double1,double0", 8, "double0 double1");
    setenv("PEAL_VERBS_DEVICES", "double0", 1);
    near_expect("double1", 2, "double0");
    unsetenv("PEAL_VERBS_DEVICES");
    printf("devices that are near\n");
}

/* The device of a rail does nothing more, and says nothing: the rail is given up. */
enum { HUNG_SECONDS = 40 };
static int hung_rails;

static void hung_body(struct node *node)
{
    struct endpoint *e = moment_peer(node);
    struct rail *rail = &e->rails[0];
    char word[8] = "unheard";
    struct op op;

    node_greet(node);
    node_barrier(node);
    if (node->rank == 1)
        node_recv(node, 0, 0, word, sizeof word, &op);
    node_meet(node);
    if (node->rank == 0) {
        /* What nobody asked the device about is no sign of hanging. */
        node->port->watch_at = 0;
        while (rail->ended != rail->posted) {
            verbs_watch(node->port);
            node_progress(node);
        }
        double_hold(0);
        e->frames_over = 0;
        node_send(node, 1, 0, word, sizeof word, &op);
        while (rail->state == RAIL_UP && !verbs_lost(e)) {
            node->port->watch_at = 0;
            node_progress(node);
            verbs_transport.arm(node->port);
            if (rail->still_since)
                rail->still_since -= HUNG_SECONDS * UINT64_C(1000000000);
        }
        double_release(0);
    }
    if (hung_rails > 1) {
        CHECK(node_wait_op(node, &op) == PEAL_OK, "rank %d: not over the other rail", node->rank);
        CHECK(strcmp(word, "unheard") == 0, "\"%.8s\"", word);
        node_greet(node);
        node_barrier(node);
        return;
    }
    node_wait_op(node, &op);           /* a short send may have ended before */
    CHECK(node->rank == 0 || op.completion.status == PEAL_ERR_PEER, "%s",
          status_name(op.completion.status));
    CHECK(node->rank == 1 || strstr(e->why, "neither ended nor refused"), "\"%s\"", e->why);
}

static void hanging(uint64_t seed)
{
    for (hung_rails = 1; hung_rails <= 2; hung_rails++) {
        setenv("PEAL_VERBS_DEVICES", hung_rails == 1 ? "double0" : "double0,double1", 1);
        rig_run(&verbs_transport, 2, false, -1, seed, hung_body);
    }
    unsetenv("PEAL_VERBS_DEVICES");
    printf("devices that hang\n");
}

static void sleeping(uint64_t seed)
{
    rig_run(&verbs_transport, 2, false, -1, seed, arm_body);
    setenv("PEAL_VERBS_RING", "16K", 1);
    rig_run(&verbs_transport, 2, false, -1, seed, credit_body);
    setenv("PEAL_VERBS_SLICE", "4K", 1);
    setenv("PEAL_VERBS_DEVICES", "double0", 1);
    rig_run(&verbs_transport, 2, false, -1, seed, room_body);
    unsetenv("PEAL_VERBS_DEVICES");
    unsetenv("PEAL_VERBS_SLICE");
    unsetenv("PEAL_VERBS_RING");
    printf("no sleep while there is something to do\n");
}

/* ---- Frames that come twice, or not as they should ------------------------------------- */

static void twice_body(struct node *node)
{
    enum { FRAMES = 3 };
    struct endpoint *e = moment_peer(node);
    uint32_t immediate[FRAMES], first;
    char words[FRAMES][8];
    struct op ops[FRAMES];

    node_greet(node);
    node_barrier(node);
    /* Who leaves a barrier first may send while the other still makes its last progress, which
     * would take the frames. */
    node_meet(node);
    for (int i = 0; i < FRAMES; i++) {
        rig_fill(words[i], 8, node->rank ? 99 : (uint64_t)i);
        if (node->rank == 0)
            node_send(node, 1, 0, words[i], 8, &ops[i]);
        else
            node_recv(node, 0, 0, words[i], 8, &ops[i]);
    }
    node_meet(node);
    if (node->rank == 1) {
        uint64_t deadline = clock_deadline(rig_slowness());

        first = e->in_next;
        for (uint32_t i = 0; i < FRAMES; i++) {
            uint32_t at = (first + i) % VERBS_FRAMES;

            while (!(e->came[at / 64] >> at % 64 & 1) && clock_now() < deadline)
                if (verbs_poll(node->port) == 0)
                    sched_yield();
            CHECK(e->came[at / 64] >> at % 64 & 1, "frame %u has not come", i);
            immediate[i] = verbs_immediate(first + i, e->frame_here[at]);
            verbs_frame_came(&e->rails[0], immediate[i]);
        }
    }
    for (int i = 0; i < FRAMES; i++) {
        CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "%d", i);
        rig_verify(words[i], 8, (uint64_t)i, "came twice");
    }
    for (int i = 0; i < FRAMES && node->rank == 1; i++) {
        verbs_frame_came(&e->rails[0], immediate[i]);
        CHECK(!verbs_lost(e) && !node->port->arrived, "a frame that was taken came again: %s",
              e->why);
    }
    node_barrier(node);
    node_greet(node);
}

enum { PIECES = 3, PIECE = 10048, WHOLE = PIECES * PIECE };
static const struct pieces {
    int  at[PIECES];                   /* in the order in which they come */
    int  done[PIECES];                 /* not through the ring, but told to be there */
    bool good;
} *pieces;

/* A peer that sends a message in pieces of its own choice. */
static void pieces_body(struct node *node)
{
    struct endpoint *e = moment_peer(node);
    bool straight = pieces->done[0] || pieces->done[1], good = pieces->good;
    char *memory = rig_alloc(WHOLE, straight);
    struct op op;

    node_greet(node);
    rig_fill(memory, WHOLE, (uint64_t)node->rank);
    if (node->rank == 1)
        node_recv(node, 0, 0, memory, WHOLE, &op);
    node_barrier(node);
    for (int i = 0; i < PIECES && node->rank == 0; i++) {
        struct verbs_frame frame = { .kind = pieces->done[i] ? VERBS_DONE : VERBS_DATA,
                                     .total = WHOLE, .length = PIECE,
                                     .signature = rig_message(0, 0).signature,
                                     .offset = (uint64_t)pieces->at[i] * PIECE };
        unsigned char *to = verbs_frame_begin(e, &frame, false);

        CHECK(to, "no room in the ring");
        memcpy(to, memory + frame.offset, verbs_frame_payload(&frame));
        verbs_frame_end(e, &frame, -1, NULL, 0);
    }
    if (node->rank == 1) {
        int status = node_wait_op(node, &op);

        CHECK(status == (good ? PEAL_OK : PEAL_ERR_PROTOCOL) &&
              (good || strstr(e->why, "a piece that is not the next") ||
               strstr(e->why, "a message that comes through the ring")), "%s: %s",
              status_name(status), e->why);
        if (good && !straight)
            rig_verify(memory, WHOLE, 0, "in pieces");
    }
    node_meet(node);
    rig_free(memory, WHOLE, straight);
}

static void frames(uint64_t seed)
{
    static const struct pieces all[] = {
        { { 0, 1, 2 }, { 0 }, true }, { { 0, 1, 2 }, { 1, 1, 1 }, true },
        { { 0, 2, 1 }, { 0 }, false }, { { 1, 0, 2 }, { 0 }, false }, { { 0, 0, 1 }, { 0 }, false },
        { { 0, 1, 1 }, { 0 }, false }, { { 0, 0, 2 }, { 0 }, false }, { { 2, 1, 0 }, { 0 }, false },
        { { 0, 1, 2 }, { 1, 0, 0 }, false }, { { 0, 1, 2 }, { 0, 1, 0 }, false },
        { { 1, 1, 2 }, { 1, 0, 0 }, false }
    };

    rig_run(&verbs_transport, 2, false, -1, seed, twice_body);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        pieces = &all[i];
        rig_run(&verbs_transport, 2, false, -1, seed, pieces_body);
    }
    printf("frames twice, pieces in a wrong order\n");
}

void verbs_moments(uint64_t seed)
{
    early_grants(seed);
    lost_adapters(seed);
    sleeping(seed);
    hanging(seed);
    near_devices();
    frames(seed);
    verbs_endings(seed);
}
