/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite's look inside matching.h: what no transport can be
 * brought to do in a test, numbers that wrap around and hostile peers. */
#include "tests/transports_rig.h"

#include "transports/matching.h"

#include <stdlib.h>
#include <string.h>

static struct matching *matching_at(struct match_pool *pool, struct completion_queue *queue,
                                    uint32_t low)
{
    struct matching *matching = malloc(sizeof *matching);

    CHECK(matching, "memory");
    completion_queue_init(queue);
    match_pool_init(pool);
    matching_init(matching, pool, queue, "a test");
    for (int i = 0; i < TRANSPORT_STREAMS; i++)
        matching->streams[i].low = low;
    return matching;
}

/* Messages in rising order, receives in another, across 2^32. */
static void wrap_around(void)
{
    struct match_pool pool;
    struct completion_queue queue;
    struct matching *matching = matching_at(&pool, &queue, 0xffffff80);
    struct completion done[TRANSPORT_WINDOW];
    uint32_t in[TRANSPORT_WINDOW];
    struct match *match;

    for (uint32_t i = 0; i < TRANSPORT_WINDOW; i++) {
        uint32_t number = 0xffffff80 + i;
        struct message message = rig_message(1, number);
        struct landing landing = { .dst = (char *)&in[i], .bytes = 4 };

        if (i % 3 == 0)
            CHECK(matching_post(matching, &message, &landing, &done[i], &match) == PEAL_OK &&
                  !match, "post");
        CHECK(matching_arrive(matching, &message, 4, false, &match) == PEAL_OK, "arrive");
        CHECK(match->state == (i % 3 == 0 ? MATCH_LANDING : MATCH_EARLY), "%u", i);
        CHECK(matching_put(matching, match, &number, 4), "put");
        if (i % 3 == 0)
            CHECK(completion_next(&queue) == &done[i] && done[i].status == PEAL_OK, "%u", i);
    }
    CHECK(matching_low(matching, 1) == 0xffffff81, "low is %x", matching_low(matching, 1));
    for (uint32_t i = TRANSPORT_WINDOW; i-- > 0; ) {
        struct message message = rig_message(1, 0xffffff80 + i);
        struct landing landing = { .dst = (char *)&in[i], .bytes = 4 };

        if (i % 3 != 0)
            CHECK(matching_post(matching, &message, &landing, &done[i], &match) == PEAL_OK &&
                  !match && completion_next(&queue) == &done[i], "%u", i);
        CHECK(in[i] == 0xffffff80 + i, "message %u got %x", i, in[i]);
    }
    CHECK(matching_low(matching, 1) == 0x80, "low is %x", matching_low(matching, 1));
    matching_clear(matching);
    match_pool_free(&pool);
    free(matching);
}

/* What a peer must not do. */
static void hostile(void)
{
    struct match_pool pool;
    struct completion_queue queue;
    struct matching *matching = matching_at(&pool, &queue, 100);
    struct send_window window = { .low = { 0 } };
    struct message good = rig_message(0, 101), old = rig_message(0, 99),
                   far = rig_message(0, 100 + TRANSPORT_WINDOW),
                   stream = rig_message(TRANSPORT_STREAMS, 100);
    struct match *match;

    CHECK(matching_arrive(matching, &old, 1, false, &match) == PEAL_ERR_PROTOCOL, "old");
    CHECK(matching_arrive(matching, &far, 1, false, &match) == PEAL_ERR_PROTOCOL, "far");
    CHECK(matching_arrive(matching, &stream, 1, false, &match) == PEAL_ERR_PROTOCOL, "stream");
    CHECK(matching_arrive(matching, &good, TRANSPORT_EAGER + 1, false, &match) ==
          PEAL_ERR_PROTOCOL, "large");
    CHECK(matching_arrive(matching, &good, SIZE_MAX, true, &match) == PEAL_OK, "held");
    CHECK(matching_arrive(matching, &good, 1, false, &match) == PEAL_ERR_PROTOCOL, "twice");
    CHECK(!send_window_open(&window, 0, TRANSPORT_WINDOW), "closed");
    CHECK(!send_window_advance(&window, 0, TRANSPORT_WINDOW + 1), "too far");
    CHECK(!send_window_advance(&window, 0, UINT32_MAX), "back");
    CHECK(send_window_advance(&window, 0, 1), "forth");
    CHECK(send_window_open(&window, 0, TRANSPORT_WINDOW), "open");
    matching_clear(matching);
    match_pool_free(&pool);
    free(matching);
}

/* After a failure: what had arrived is delivered, the rest fails, for ever. */
static void failure(void)
{
    struct match_pool pool;
    struct completion_queue queue;
    struct matching *matching = matching_at(&pool, &queue, 0);
    struct message first = rig_message(0, 0), second = rig_message(0, 1);
    struct completion done[3];
    char byte = 0;
    struct landing landing = { .dst = &byte, .bytes = 1 };
    struct match *match;

    CHECK(matching_arrive(matching, &second, 1, false, &match) == PEAL_OK, "arrive");
    CHECK(matching_put(matching, match, "x", 1), "put");
    CHECK(matching_post(matching, &first, &landing, &done[0], &match) == PEAL_OK, "post");
    matching_fail(matching, PEAL_ERR_PEER);
    CHECK(completion_next(&queue) == &done[0] && done[0].status == PEAL_ERR_PEER, "fails");
    CHECK(matching_post(matching, &second, &landing, &done[1], &match) == PEAL_OK, "post");
    CHECK(completion_next(&queue) == &done[1] && !done[1].status && byte == 'x', "delivered");
    for (uint32_t i = 2; i < 1000; i++) {
        struct message message = rig_message(0, i);

        CHECK(matching_post(matching, &message, &landing, &done[2], &match) == PEAL_OK &&
              completion_next(&queue) == &done[2] && done[2].status == PEAL_ERR_PEER, "%u", i);
    }
    matching_clear(matching);
    match_pool_free(&pool);
    free(matching);
}

void transports_matching(void)
{
    wrap_around();
    hostile();
    failure();
    printf("matching: numbers that wrap around, hostile peers, failure\n");
}
