/* SPDX-License-Identifier: BSD-3-Clause */
#include "transports/matching.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_MATCHES = 32,
    SMALLEST      = 64,            /* bytes of the smallest early buffer */
    KEEP_BYTES    = 1 << 20        /* of free early buffers */
};

struct match_chunk {
    struct match_chunk *next;
    struct match        matches[CHUNK_MATCHES];
};

struct match_buffer {              /* a free early buffer */
    struct match_buffer *next;
};

_Static_assert((size_t)SMALLEST << (MATCH_CLASSES - 1) == TRANSPORT_EAGER,
               "the largest class holds the largest eager message");

void match_pool_init(struct match_pool *pool)
{
    memset(pool, 0, sizeof *pool);
}

void match_pool_free(struct match_pool *pool)
{
    while (pool->chunks) {
        struct match_chunk *next = pool->chunks->next;

        free(pool->chunks);
        pool->chunks = next;
    }
    for (int i = 0; i < MATCH_CLASSES; i++)
        while (pool->buffers[i]) {
            struct match_buffer *next = pool->buffers[i]->next;

            free(pool->buffers[i]);
            pool->buffers[i] = next;
        }
    match_pool_init(pool);
}

static int buffer_class(size_t bytes)
{
    int class = 0;

    while ((size_t)SMALLEST << class < bytes)
        class++;
    return class;
}

static char *buffer_take(struct match_pool *pool, size_t bytes)
{
    int class = buffer_class(bytes);
    struct match_buffer *buffer = pool->buffers[class];

    if (!buffer)
        return malloc((size_t)SMALLEST << class);
    pool->buffers[class] = buffer->next;
    pool->kept -= (size_t)SMALLEST << class;
    return (char *)buffer;
}

static void buffer_give(struct match_pool *pool, char *bytes, size_t length)
{
    int class = buffer_class(length);
    struct match_buffer *buffer = (struct match_buffer *)bytes;

    if (pool->kept + ((size_t)SMALLEST << class) > KEEP_BYTES) {
        free(bytes);
        return;
    }
    buffer->next = pool->buffers[class];
    pool->buffers[class] = buffer;
    pool->kept += (size_t)SMALLEST << class;
}

static struct match *match_take(struct match_pool *pool)
{
    struct match *match = pool->free;

    if (!match) {
        struct match_chunk *chunk = calloc(1, sizeof *chunk);

        if (!chunk)
            return NULL;
        chunk->next = pool->chunks;
        pool->chunks = chunk;
        for (int i = 0; i < CHUNK_MATCHES; i++) {
            chunk->matches[i].next = pool->free;
            pool->free = &chunk->matches[i];
        }
        match = pool->free;
    }
    pool->free = match->next;
    match->next = match->previous = NULL;
    match->early = NULL;
    match->done = NULL;
    match->filled = 0;
    match->status = PEAL_OK;
    match->held = false;
    return match;
}

static void match_give(struct match_pool *pool, struct match *match)
{
    if (match->early)
        buffer_give(pool, match->early, match->bytes);
    match->early = NULL;
    match->next = pool->free;
    pool->free = match;
}

void matching_init(struct matching *matching, struct match_pool *pool,
                   struct completion_queue *completions, const char *peer)
{
    memset(matching, 0, sizeof *matching);
    matching->pool = pool;
    matching->completions = completions;
    matching->peer = peer;
}

static void moving_add(struct matching *matching, struct match *match)
{
    match->previous = NULL;
    match->next = matching->moving;
    if (match->next)
        match->next->previous = match;
    matching->moving = match;
}

static void moving_remove(struct matching *matching, struct match *match)
{
    if (match->next)
        match->next->previous = match->previous;
    if (match->previous)
        match->previous->next = match->next;
    else
        matching->moving = match->next;
}

static bool number_matched(const struct matching_stream *stream, uint32_t number)
{
    uint32_t at = number % TRANSPORT_WINDOW;

    return stream->matched[at / 64] >> at % 64 & 1;
}

/* Number `number` has met its receive: low moves over all that have. */
static void stream_matched(struct matching_stream *stream, uint32_t number)
{
    uint32_t at = number % TRANSPORT_WINDOW;

    stream->slots[at] = NULL;
    stream->matched[at / 64] |= (uint64_t)1 << at % 64;
    while (number_matched(stream, stream->low)) {
        at = stream->low++ % TRANSPORT_WINDOW;
        stream->matched[at / 64] &= ~((uint64_t)1 << at % 64);
    }
}

/* How some of its bytes have landed; the first failure counts. */
static inline void note_landing(struct matching *matching, struct match *match, int status)
{
    if (!status || match->status)
        return;
    match->status = status;
    match->told = completion_note(matching->completions);
}

/* All bytes have arrived. */
static bool match_finish(struct matching *matching, struct match *match)
{
    struct landing *landing = &match->landing;

    if (match->state == MATCH_EARLY)
        return true;
    moving_remove(matching, match);
    if (match->state == MATCH_LANDING) {
        if (match->early && match->bytes > 0)
            note_landing(matching, match, landing_put(landing, 0, match->early, match->bytes));
        completion_add(matching->completions, match->done, match->status,
                       match->status && match->told);
    }
    match_give(matching->pool, match);
    return true;
}

/* Receive and message are both there: compare.  The match leaves the table. */
static void match_meet(struct matching *matching, struct match *match,
                       const struct signature *ours, size_t our_bytes,
                       const struct signature *theirs, size_t their_bytes)
{
    stream_matched(&matching->streams[match->stream], match->number);
    moving_add(matching, match);
    match->bytes = their_bytes;
    if (our_bytes == their_bytes && signature_equal(ours, theirs)) {
        match->state = MATCH_LANDING;
        return;
    }
    match->state = MATCH_REFUSED;
    match->done->theirs = *theirs;
    match->done->their_bytes = their_bytes;
    completion_done(matching->completions, match->done, PEAL_ERR_MISMATCH);
    match->done = NULL;
}

int matching_post(struct matching *matching, const struct message *message,
                  const struct landing *landing, struct completion *done,
                  struct match **match)
{
    struct matching_stream *stream = &matching->streams[message->stream];
    struct match **slot = &stream->slots[message->number % TRANSPORT_WINDOW];
    struct match *here = *slot;

    bool beyond = message->number - stream->low >= TRANSPORT_WINDOW;

    *match = NULL;
    if (matching->failure && (beyond || !here)) {
        if (!beyond)
            stream_matched(stream, message->number);
        completion_done(matching->completions, done, matching->failure);
        return PEAL_OK;
    }
    if (beyond)
        return STATUS_AGAIN;
    if (number_matched(stream, message->number) || (here && here->state == MATCH_POSTED))
        return status_fail(PEAL_ERR_STATE, "receive %u from %s was posted twice",
                           message->number, matching->peer);
    if (here) {
        here->landing = *landing;
        here->done = done;
        match_meet(matching, here, &message->signature, landing->bytes,
                   &here->signature, here->bytes);
        if (here->held)
            *match = here;
        else if (here->filled == here->bytes)
            match_finish(matching, here);
        return PEAL_OK;
    }
    here = match_take(matching->pool);
    if (!here)
        return status_fail(PEAL_ERR_MEMORY, "no memory for a receive from %s",
                           matching->peer);
    here->state = MATCH_POSTED;
    here->stream = message->stream;
    here->number = message->number;
    here->signature = message->signature;
    here->landing = *landing;
    here->done = done;
    matching->posted++;
    *slot = here;
    return PEAL_OK;
}

/* Nobody has posted for this message yet. */
static int arrive_early(struct matching *matching, const struct message *message,
                        size_t bytes, bool held, struct match **slot)
{
    struct match *here;

    if (!held && bytes > TRANSPORT_EAGER)
        return status_fail(PEAL_ERR_PROTOCOL, "%s sent %zu bytes without asking",
                           matching->peer, bytes);
    here = match_take(matching->pool);
    if (!here)
        goto fail;
    if (!held && !(here->early = buffer_take(matching->pool, bytes))) {
        match_give(matching->pool, here);
        goto fail;
    }
    here->state = MATCH_EARLY;
    here->stream = message->stream;
    here->number = message->number;
    here->signature = message->signature;
    here->bytes = bytes;
    here->held = held;
    *slot = here;
    return PEAL_OK;
fail:
    return status_fail(PEAL_ERR_MEMORY, "no memory for a message from %s", matching->peer);
}

int matching_arrive(struct matching *matching, const struct message *message,
                    size_t bytes, bool held, struct match **match)
{
    struct matching_stream *stream;
    struct match **slot, *here;
    int status;

    if (message->stream >= TRANSPORT_STREAMS)
        return status_fail(PEAL_ERR_PROTOCOL, "%s sent a message in stream %u",
                           matching->peer, message->stream);
    stream = &matching->streams[message->stream];
    slot = &stream->slots[message->number % TRANSPORT_WINDOW];
    here = *slot;
    if (message->number - stream->low >= TRANSPORT_WINDOW ||
        number_matched(stream, message->number) || (here && here->state != MATCH_POSTED))
        return status_fail(PEAL_ERR_PROTOCOL,
                           "%s sent message %u of stream %u, which is not due (%u is)",
                           matching->peer, message->number, message->stream, stream->low);
    if (here) {
        here->held = held;
        matching->posted--;
        match_meet(matching, here, &here->signature, here->landing.bytes,
                   &message->signature, bytes);
    } else if ((status = arrive_early(matching, message, bytes, held, slot))) {
        return status;
    }
    *match = *slot ? *slot : here;
    return PEAL_OK;
}

bool matching_put(struct matching *matching, struct match *match, const void *piece,
                  size_t length)
{
    int status = PEAL_OK;

    if (match->state == MATCH_REFUSED || length == 0)
        status = PEAL_OK;
    else if (match->early)
        memcpy(match->early + match->filled, piece, length);
    else
        status = landing_put(&match->landing, match->filled, piece, length);
    return matching_landed(matching, match, length, status);
}

bool matching_landed(struct matching *matching, struct match *match, size_t length,
                     int status)
{
    note_landing(matching, match, status);
    match->filled += length;
    return match->filled == match->bytes && match_finish(matching, match);
}

void matching_drop(struct matching *matching, struct match *match)
{
    moving_remove(matching, match);
    match_give(matching->pool, match);
}

struct match *matching_moving(const struct matching *matching, uint32_t stream,
                              uint32_t number)
{
    struct match *match = matching->moving;

    while (match && (match->stream != stream || match->number != number))
        match = match->next;
    return match;
}

int matching_peek(const struct matching *matching, const struct message *message,
                  size_t length, const void **view)
{
    const struct matching_stream *stream = &matching->streams[message->stream];
    const struct match *here = stream->slots[message->number % TRANSPORT_WINDOW];

    if (stream->low != message->number || matching->posted > 0 || matching->moving ||
        matching->failure)
        return STATUS_POST;
    if (!here)
        return STATUS_AGAIN;
    if (here->held || here->bytes != length ||
        !signature_equal(&here->signature, &message->signature))
        return STATUS_POST;
    if (here->filled < here->bytes)
        return STATUS_AGAIN;
    *view = here->early;
    return PEAL_OK;
}

void matching_take(struct matching *matching, const struct message *message)
{
    struct match **slot = &matching->streams[message->stream]
                               .slots[message->number % TRANSPORT_WINDOW];

    match_give(matching->pool, *slot);
    *slot = NULL;
    matching_skip(matching, message->stream);
}

void matching_fail(struct matching *matching, int status)
{
    struct match *match, *next;

    if (matching->failure)
        return;
    matching->failure = status;
    for (match = matching->moving; match; match = next) {
        next = match->next;
        if (match->state == MATCH_LANDING)
            completion_done(matching->completions, match->done, status);
        match_give(matching->pool, match);
    }
    matching->moving = NULL;
    for (int i = 0; i < TRANSPORT_STREAMS * TRANSPORT_WINDOW; i++) {
        struct match **slot = &matching->streams[i / TRANSPORT_WINDOW]
                                   .slots[i % TRANSPORT_WINDOW];

        match = *slot;
        if (!match || (match->state == MATCH_EARLY && !match->held &&
                       match->filled == match->bytes))
            continue;
        *slot = NULL;
        if (match->state == MATCH_POSTED) {
            matching->posted--;
            stream_matched(&matching->streams[match->stream], match->number);
            completion_done(matching->completions, match->done, status);
        }
        match_give(matching->pool, match);
    }
}

void matching_clear(struct matching *matching)
{
    while (matching->moving) {
        struct match *match = matching->moving;

        matching->moving = match->next;
        match_give(matching->pool, match);
    }
    for (int i = 0; i < TRANSPORT_STREAMS * TRANSPORT_WINDOW; i++) {
        struct match **slot = &matching->streams[i / TRANSPORT_WINDOW]
                                   .slots[i % TRANSPORT_WINDOW];

        if (*slot)
            match_give(matching->pool, *slot);
        *slot = NULL;
    }
}

const char *send_window_credit(struct send_window *window, uint32_t stream, uint32_t low)
{
    uint32_t number = window->low[stream];

    if (!send_window_advance(window, stream, low))
        return "a credit that goes back or beyond the window";
    while (number != low) {                /* those of a word together */
        uint32_t bit = number % 64, left = low - number, n = left < 64 - bit ? left : 64 - bit;
        uint64_t *word = &window->started[stream][number % TRANSPORT_WINDOW / 64];
        uint64_t these = ~(uint64_t)0 >> (64 - n) << bit;

        if (~*word & these)
            return "a credit for a message that was not sent";
        *word &= ~these;
        number += n;
    }
    return NULL;
}
