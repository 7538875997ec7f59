/* SPDX-License-Identifier: BSD-3-Clause */
/* Rails that have failed come back. */
#include "tests/effort.h"
#include "tests/verbs_moments.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { LONG = 400000, RAIL = 1, FOREVER = 60 };

/* All pauses are over. */
static void hurry(struct node *node)
{
    struct endpoint *e = moment_peer(node);

    for (int i = 0; i < e->nrails; i++)
        e->rails[i].again_at = 0;
    for (int i = 0; i < node->port->nadapters; i++)
        node->port->adapters[i].asked_at = 0;
    if (node->port->rejoin_at)
        node->port->rejoin_at = 1;
    node->port->look = true;
}

static bool all_up(const struct endpoint *e)
{
    for (int i = 0; i < e->nrails; i++)
        if (e->rails[i].state != RAIL_UP)
            return false;
    return true;
}

static void await_up(struct node *node)
{
    uint64_t until = clock_deadline(10.0 * rig_slowness());
    struct endpoint *e = moment_peer(node);

    while (!all_up(e) && !verbs_lost(e) && clock_now() < until) {
        hurry(node);
        node_progress(node);
    }
    CHECK(all_up(e), "rank %d: a rail does not come back (%d %d %d): %s", node->rank,
          e->rails[0].state, e->rails[1].state, e->rails[2].state, e->why);
    node_barrier(node);
}

static void await_down(struct node *node, int index)
{
    uint64_t until = clock_deadline(10.0 * rig_slowness());
    struct endpoint *e = moment_peer(node);

    while (e->rails[index].state != RAIL_DOWN && clock_now() < until)
        node_progress(node);
    CHECK(e->rails[index].state == RAIL_DOWN && !verbs_lost(e), "rank %d: the rail is in state %d: "
          "%s", node->rank, e->rails[index].state, e->why);
    node_barrier(node);
}

/* A message each way, after one of which nobody has heard before. */
static void exchange(struct node *node, size_t bytes, uint64_t key)
{
    char *out = rig_alloc(bytes, false), *in = rig_alloc(bytes, false);
    struct op send, recv;

    rig_fill(out, bytes, 2 * key + (uint64_t)node->rank);
    node_recv(node, !node->rank, 0, in, bytes, &recv);
    node_send(node, !node->rank, 0, out, bytes, &send);
    CHECK(node_wait_op(node, &recv) == PEAL_OK && node_wait_op(node, &send) == PEAL_OK,
          "rank %d, message %d", node->rank, (int)key);
    rig_verify(in, bytes, 2 * key + (uint64_t)!node->rank, "both ways");
    rig_free(out, bytes, false);
    rig_free(in, bytes, false);
}

/* What the rails take of it: the device of each is its own. */
static void carries(struct node *node, bool all)
{
    uint64_t before;

    node_barrier(node);
    before = double_moved(RAIL);
    node_meet(node);
    exchange(node, LONG, 77);
    node_barrier(node);
    CHECK(all == (double_moved(RAIL) - before >= LONG / 4), "%d bytes of %d went over the rail",
          (int)(double_moved(RAIL) - before), 2 * LONG);
    node_meet(node);
}

/* Here, not at the peer, and for a reason of its own. */
static void rail_stop(struct node *node, int who)
{
    if (node->rank == who)
        verbs_rail_fail(&moment_peer(node)->rails[RAIL], PEAL_ERR_PEER, "a test");
}

static int objects(void)
{
    int count = double_regions();

    for (int d = 0; d < DOUBLE_DEVICES; d++)
        count += double_queue_pairs(d);
    return count;
}

/* ---- There and back ----------------------------------------------------------------- */

static void back_body(struct node *node)
{
    struct endpoint *e = moment_peer(node);
    struct rail *rail = &e->rails[RAIL];
    int before;

    node_greet(node);
    carries(node, true);
    before = objects();
    for (int turn = 0; turn < 4; turn++) {
        uint32_t psn = rail->local_psn, rkey = rail->rkey, qpn = rail->qpn;

        node_barrier(node);
        if (turn < 2) {
            rail_stop(node, turn);
        } else {
            if (node->rank == 0)
                double_fail(RAIL, 2, IBV_WC_RETRY_EXC_ERR, turn & 1);
            node_meet(node);
            exchange(node, LONG, (uint64_t)turn);
        }
        await_down(node, RAIL);
        carries(node, false);
        CHECK(node->port->rejoin_at || e->dialled, "nobody will look");
        await_up(node);
        CHECK(!rail->work || (rail->qpn != qpn && rail->rkey != rkey && rail->local_psn != psn),
              "the queue pair, its key or sequence number is the old one's");
        carries(node, true);
        CHECK(objects() == before, "%d objects of devices, and %d before", objects(), before);
        node_meet(node);
    }
}

/* The pauses grow, up to half a minute, and an untried rail is not sent over. */
static void pauses_body(struct node *node)
{
    struct endpoint *e = moment_peer(node);
    struct rail *rail = &e->rails[RAIL];
    unsigned wait = 0;

    node_greet(node);
    node_barrier(node);
    rail_stop(node, 0);
    await_down(node, RAIL);
    if (e->dialled)
        double_port_down(rail->adapter->context, true);
    node_meet(node);
    for (int i = 0; i < 8; i++) {
        if (!e->dialled) {
            uint64_t now = clock_now(), until = clock_deadline(10.0 * rig_slowness());

            wait = rail->wait;
            CHECK(rail->again_at <= now + wait * UINT64_C(1000000000) && rail->again_at +
                  UINT64_C(500000000) * rig_slowness() > now + wait * UINT64_C(1000000000),
                  "the next try is not %u s later", wait);
            hurry(node);
            while (rail->wait == wait && rail->again_at == 0 && clock_now() < until)
                node_progress(node);
            CHECK(rail->wait == (2 * wait < 30 ? 2 * wait : 30) && rail->state == RAIL_DOWN,
                  "after a pause of %u s one of %u s", wait, rail->wait);
        }
        node_barrier(node);
        CHECK(rail->state == RAIL_DOWN, "connected through a port that is down");
    }
    CHECK(e->dialled || rail->wait == 30, "the pause is %u s", rail->wait);
    CHECK(!e->dialled || rail->refused, "nothing will be asked for");
    carries(node, false);
    /* Who refused asks; the other then waits for a second only. */
    if (e->dialled) {
        double_port_down(rail->adapter->context, false);
        double_event_at(rail->adapter->context, IBV_EVENT_PORT_ACTIVE);
        for (node->port->look = true; rail->refused; node->port->look = true)
            node_progress(node);
    } else {
        uint64_t soon = clock_now() + UINT64_C(2000000000) * rig_slowness();

        for (node->port->look = true; rail->again_at > soon; node->port->look = true)
            node_progress(node);
    }
    await_up(node);
    carries(node, true);
}

/* Whose port is down waits for it, and hears of it by the event, or looks. */
static int down_rank;
static bool told;

/* The port is active: at once, not only after the pause, or when rails are looked at. */
static void event_take(struct node *node, struct rail *rail)
{
    uint64_t until = clock_deadline(10.0 * rig_slowness()), never = UINT64_MAX / 2;

    CHECK(rail->refused == rail->endpoint->dialled, "rank %d: nothing was refused", node->rank);
    rail->again_at = node->port->rejoin_at = never;
    double_event_at(rail->adapter->context, IBV_EVENT_PORT_ACTIVE);
    while ((rail->refused || (!rail->endpoint->dialled && rail->again_at == never)) &&
           clock_now() < until) {
        node->port->look = true;
        node_progress(node);
    }
    CHECK(!rail->refused && rail->again_at != never, "rank %d: the event is no news", node->rank);
}

static void port_body(struct node *node)
{
    struct endpoint *e = moment_peer(node);
    struct rail *rail = &e->rails[RAIL];
    uint64_t before;

    node_greet(node);
    node_barrier(node);
    if (node->rank == down_rank)
        double_port_down(rail->adapter->context, true);
    node_meet(node);
    rail_stop(node, down_rank);
    await_down(node, RAIL);
    for (int i = 0; i < 300 || (!e->dialled && node->rank != down_rank && rail->wait < 4); i++) {
        hurry(node);
        node_progress(node);
        CHECK(rail->state <= RAIL_MAKING, "connected through a port that is down");
    }
    node_barrier(node);
    before = double_moved(RAIL);
    node_meet(node);
    exchange(node, LONG, 5);
    CHECK(double_moved(RAIL) == before, "bytes over a rail that is down");
    node_barrier(node);
    if (node->rank == down_rank) {
        double_port_down(rail->adapter->context, false);
        if (told)
            event_take(node, rail);
    }
    await_up(node);
    carries(node, true);
}

/* Active ports, and no way between them: at the one end, at the other, and on the wire. */
static enum { NO_WAY_FIRST, NO_WAY_SECOND, NO_ANSWER, NO_QUEUE_PAIR, NO_DEVICE, WAYS } way;

static void no_way_body(struct node *node)
{
    struct endpoint *e = moment_peer(node);
    struct rail *rail = &e->rails[RAIL];
    struct double_faults *faults = double_faults();
    int before;

    node_greet(node);
    node_barrier(node);
    before = objects();
    node_meet(node);
    rail_stop(node, 1);
    await_down(node, RAIL);
    if (node->rank == 0) {
        double_set(&faults->no_route, way == NO_WAY_FIRST ? 1 : way == NO_WAY_SECOND ? 2 : 0);
        double_fail(RAIL, way == NO_ANSWER ? 1 : 0, IBV_WC_RETRY_EXC_ERR, false);
        double_set(&faults->queue_pairs, way == NO_QUEUE_PAIR ? 4 : 0);
    }
    node_barrier(node);
    if (way == NO_DEVICE && node->rank == 0) {
        double_event_at(rail->adapter->context, IBV_EVENT_DEVICE_FATAL);
        node->port->look = true;
        while (!rail->adapter->lost)
            node_progress(node);
    }
    for (int i = 0; i < 300 || (!e->dialled && rail->wait < 2 && way != NO_DEVICE); i++) {
        if (rail->wait < 2)
            hurry(node);
        node_progress(node);
        CHECK(rail->state != RAIL_UP && !verbs_lost(e), "a rail without a way is used");
    }
    node_barrier(node);
    carries(node, false);
    if (way == NO_DEVICE) {
        CHECK(rail->state == RAIL_DOWN, "rank %d makes offers for ever", node->rank);
        return;
    }
    double_set(&faults->queue_pairs, 0);
    node_barrier(node);
    await_up(node);
    carries(node, true);
    CHECK(objects() == before, "%d objects of devices, and %d before", objects(), before);
    node_meet(node);
}

static void there_and_back(uint64_t seed)
{
    rig_run(&verbs_transport, 2, false, -1, seed, back_body);
    rig_run(&verbs_transport, 2, false, -1, seed, pauses_body);
    for (int i = 0; i < 4; i++) {
        down_rank = i & 1;
        told = i & 2;
        rig_run(&verbs_transport, 2, false, -1, seed, port_body);
    }
    for (way = NO_WAY_FIRST; way < WAYS; way++)
        rig_run(&verbs_transport, 2, false, -1, seed, no_way_body);
    memset(double_faults()->fail, 0, sizeof double_faults()->fail);
    printf("rails come back\n");
}

/* ---- Old and new --------------------------------------------------------------------- */

static bool cut;                       /* the device cannot say what becomes of the rest */

/* Until there is a new queue pair: nothing is polled that need not be. */
static void stop_unseen(struct node *node, struct rail *rail)
{
    struct ibv_send_wr wr = { .wr_id = (uintptr_t)rail, .opcode = IBV_WR_RDMA_WRITE,
                              .send_flags = IBV_SEND_SIGNALED }, *bad;
    struct endpoint *e = rail->endpoint;

    rail->adapter->lost = cut;
    verbs_rail_fail(rail, PEAL_ERR_PEER, "a test");
    rail->adapter->lost = false;
    CHECK(rail->receives == verbs_receives(e), "the rail has been looked at: %u", rail->receives);
    while (!verbs_rail_stopped(rail))
        verbs_poll(node->port);
    CHECK(cut == !rail->qp, "a queue pair that may be alive is kept");
    /* What is sent after the last receive has come back. */
    CHECK(cut || ibv_post_send(rail->qp, &wr, &bad) == 0, "ibv_post_send");
    while (rail->state == RAIL_CLOSING) {
        verbs_talk(e);
        verbs_repair(e);
    }
    while (rail->state != RAIL_MAKING && rail->state != RAIL_JOINING) {
        hurry(node);
        verbs_rejoin_look(node->port);
        verbs_talk(e);
    }
}

/* A rail that is given up without a look at what has come over it, and has been
 * acknowledged: that is neither lost nor taken for what comes over the new queue pair. */
static void late_body(struct node *node)
{
    enum { WORDS = 5 };
    struct endpoint *e = moment_peer(node);
    struct rail *rail = &e->rails[RAIL];
    char words[WORDS][8];
    struct op ops[WORDS];
    bool receives = e->dialled;        /* its queue pair is connected first */

    node_greet(node);
    node_barrier(node);
    for (uint64_t i = 0; i < WORDS; i++) {
        rig_fill(words[i], 8, receives ? 99 : i);
        if (receives)
            node_recv(node, !node->rank, 0, words[i], 8, &ops[i]);
    }
    node_meet(node);
    e->frames_over = RAIL;
    for (int i = 0; i < WORDS && !receives; i++)
        node_send(node, !node->rank, 0, words[i], 8, &ops[i]);
    if (!receives) {
        verbs_arrival_ask(rail);
        while (rail->ended != rail->posted)
            verbs_poll(node->port);
    }
    node_meet(node);
    if (receives)
        stop_unseen(node, rail);
    while (rail->state == RAIL_UP)
        node_progress(node);
    await_up(node);
    CHECK(rail->receives == verbs_receives(e) && rail->used == 0, "%u receives of %u, and %u used",
          rail->receives, verbs_receives(e), rail->used);
    for (uint64_t i = 0; i < WORDS; i++) {
        CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "word %d", (int)i);
        rig_verify(words[i], 8, i, "after a rail has come back");
    }
    carries(node, true);
    CHECK(rail->wait == 1, "the rail has failed again");
}

/* ---- Up and down ----------------------------------------------------------------------- */

static int flaps;

/* Traffic both ways, and one after the other of the rails fails in it, and comes back. */
static void flapping_body(struct node *node)
{
    static const size_t sizes[] = { 8, 100000, 3000, 200000, 0, 70000 };
    struct endpoint *e = moment_peer(node);
    int times = effort_quick() ? 300 : 2000, fired = 0, armed = -1, before;

    node_greet(node);
    node_barrier(node);
    before = objects();
    node_meet(node);
    for (int i = 0; i < times; i++) {
        if (armed >= 0 && double_failed(armed)) {
            fired++;
            armed = -1;
        }
        if (node->rank == 0 && armed < 0 && all_up(e)) {
            armed = (int)node_random(node, DOUBLE_DEVICES);
            double_fail(armed, 1 + (int)node_random(node, 40), IBV_WC_RETRY_EXC_ERR,
                        node_random(node, 2));
        }
        exchange(node, sizes[i % 6], (uint64_t)i);
        for (uint64_t k = node_random(node, 20); k > 0; k--) {
            hurry(node);
            node_progress(node);
        }
    }
    node_barrier(node);
    if (node->rank == 0) {
        flaps += fired;
        for (int d = 0; d < DOUBLE_DEVICES; d++)
            double_fail(d, 0, IBV_WC_SUCCESS, false);
    }
    node_barrier(node);
    await_up(node);
    for (int i = 0; i < node->port->nadapters; i++)
        for (int k = 0; k < node->port->adapters[i].nqueues; k++)
            CHECK(node->port->adapters[i].queues[k].promised == (int)e->rails[i].promised,
                  "queues are promised %d completions", node->port->adapters[i].queues[k].promised);
    node_barrier(node);
    CHECK(objects() == before, "%d objects of devices, and %d before", objects(), before);
    carries(node, true);
}

static void flapping(uint64_t seed)
{
    setenv("PEAL_VERBS_DIRECT", "8K", 1);
    for (int i = 0; i < 4; i++) {
        double_faults()->slow = i & 1 ? 30 : 0;
        setenv("PEAL_VERBS_RING", i & 2 ? "16K" : "256K", 1);
        rig_run(&verbs_transport, 2, false, -1, seed + (uint64_t)i, flapping_body);
    }
    double_faults()->slow = 0;
    unsetenv("PEAL_VERBS_RING");
    unsetenv("PEAL_VERBS_DIRECT");
    CHECK(flaps > 10, "only %d failures", flaps);
    printf("rails go up and down: %d times\n", flaps);
}

/* ---- Words that are out of place --------------------------------------------------------- */

static struct word { enum verbs_step step; bool dialled; int rail; bool down; } word;

static void word_body(struct node *node)
{
    struct endpoint *e = moment_peer(node);
    struct verbs_rejoin rejoin = { .rail = (uint32_t)word.rail, .step = word.step,
                                   .port = { .device = "double1", .port = 1, .link = VERBS_ROCE,
                                             .mtu = 5, .rate = 25000, .families = 1 } };
    unsigned char record[VERBS_RECORD_MOST];
    char byte[8] = "";
    struct op op;

    node_greet(node);
    node_barrier(node);
    if (word.down) {
        rail_stop(node, 0);
        await_down(node, RAIL);
    }
    if (e->dialled == word.dialled) {
        verbs_say(e, record, verbs_rejoin_encode(&rejoin, record));
        node_recv(node, !node->rank, 0, byte, 8, &op);
        CHECK(node_wait_op(node, &op) == PEAL_ERR_PEER, "nobody minds");
    } else {
        node_recv(node, !node->rank, 0, byte, 8, &op);
        CHECK(node_wait_op(node, &op) == PEAL_ERR_PROTOCOL && strstr(e->why, " sent "), "%s: %s",
              status_name(op.completion.status), e->why);
    }
    node_meet(node);
}

static void words(uint64_t seed)
{
    static const struct word all[] = {
        { VERBS_ASKS, false, RAIL, true }, { VERBS_OFFERS, true, RAIL, true },
        { VERBS_OFFERS, false, RAIL, false }, { VERBS_ANSWERS, true, RAIL, true },
        { VERBS_ANSWERS, true, RAIL, false }, { VERBS_ANSWERS, false, RAIL, false },
        { VERBS_REFUSES, true, RAIL, true }, { VERBS_REFUSES, true, RAIL, false },
        { VERBS_USES, false, RAIL, true }, { VERBS_USES, true, RAIL, false },
        { VERBS_OFFERS, false, DOUBLE_DEVICES, true }, { VERBS_ASKS, true, 9, false }
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        word = all[i];
        rig_run(&verbs_transport, 2, false, -1, seed, word_body);
    }
    printf("words out of place about rails\n");
}

void verbs_rejoins(uint64_t seed)
{
    setenv("PEAL_VERBS_SLICE", "8K", 1);
    there_and_back(seed);
    for (int i = 0; i < 2; i++) {
        cut = i;
        rig_run(&verbs_transport, 2, false, -1, seed, late_body);
    }
    printf("nothing of the old queue pair is the new one's\n");
    flapping(seed);
    words(seed);
    unsetenv("PEAL_VERBS_SLICE");
}
