/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting messages, and what their receiver answers. */
#include "transports/verbs/verbs_ring.h"

#include <string.h>

static void enqueue(struct endpoint *e, struct sending *s)
{
    s->next = NULL;
    *e->last = s;
    e->last = &s->next;
    verbs_activity(e);
}

void verbs_sending_end(struct endpoint *e, struct sending *s, int status)
{
    if (s->done) {
        e->waiting--;
        completion_done(e->port->options.completions, s->done, status);
    }
    verbs_region_give(e->port, s->region);
    verbs_sending_give(e->port, s);
}

void verbs_control(struct endpoint *e, enum verbs_kind kind, const struct message *message,
                   uint64_t total, uint64_t offset, uint64_t length,
                   const struct verbs_grant *grant)
{
    struct sending *s;

    if (verbs_lost(e))
        return;
    s = verbs_sending_take(e->port);
    if (!s) {
        verbs_break(e, PEAL_ERR_MEMORY, "verbs: no memory to answer %s", e->name);
        return;
    }
    s->frame = (struct verbs_frame){ .kind = kind, .stream = message->stream,
                                     .number = message->number,
                                     .signature = message->signature, .total = total,
                                     .offset = offset, .length = length };
    if (grant)
        s->grant = *grant;
    enqueue(e, s);
    verbs_push(e);
}

/* The whole frame, if there is room. */
static bool frame_send(struct endpoint *e, struct sending *s)
{
    unsigned char *to;

    if (s->frame.kind == VERBS_EAGER) {
        struct message message = { s->frame.stream, s->frame.number, s->frame.signature };

        return verbs_eager(e, &message, s->bytes, s->length);
    }
    to = verbs_frame_begin(e, &s->frame, false);
    if (!to)
        return false;
    if (s->frame.kind == VERBS_GRANT_TO)
        verbs_grant_encode(&s->grant, to);
    verbs_frame_end(e, &s->frame, -1, NULL, 0);
    return true;
}

static int push_queue(struct endpoint *e)
{
    int moved = 0;

    for (struct sending *s; (s = e->queue) && frame_send(e, s); moved++) {
        if (!(e->queue = s->next))
            e->last = &e->queue;
        verbs_sending_end(e, s, PEAL_OK);
    }
    return moved;
}

/* Messages that go through the ring, one after the other. */
static int push_streams(struct endpoint *e)
{
    int moved = 0;

    for (struct sending *s; !e->queue && (s = e->streams); moved++) {
        uint64_t left = s->length - s->ended;
        size_t piece = left < e->piece ? (size_t)left : e->piece;
        struct verbs_frame frame = s->frame;
        unsigned char *to;

        frame.kind = VERBS_DATA;
        frame.offset = s->ended;
        frame.length = piece;
        to = verbs_frame_begin(e, &frame, false);
        if (!to)
            break;
        memcpy(to, s->bytes + s->ended, piece);
        s->ended += piece;
        verbs_frame_end(e, &frame, -1, NULL, 0);
        if (s->ended < s->length)
            continue;
        if (!(e->streams = s->next))
            e->last_stream = &e->streams;
        verbs_sending_end(e, s, PEAL_OK);
    }
    return moved;
}

int verbs_push(struct endpoint *e)
{
    int moved = 0;

    if (e->stage != STAGE_UP || verbs_lost(e))
        return 0;
    if (e->repairing)
        moved += verbs_repair(e);
    if (!e->queue && !e->orders && !e->streams)
        return moved + verbs_credit_tell(e, false);
    verbs_chain_begin(e->port);
    moved += push_queue(e);
    moved += verbs_orders_deal(e);
    moved += push_streams(e);
    moved += verbs_credit_tell(e, false);
    verbs_chain_end(e->port);
    verbs_activity(e);
    return moved;
}

/* What a grant lets us do with all or a part of the message.  The first decides: if
 * our memory is not registered, all of it goes through the ring. */
static bool grant_use(struct endpoint *e, struct sending *s, const struct verbs_frame *frame,
                      const struct verbs_grant *grant)
{
    if (s->granted == 0 && grant->address != 0)
        s->region = verbs_region_take(e, s->bytes, s->length, false);
    if (s->region) {
        uint64_t ordered = verbs_order_start(e, s, frame, grant);

        s->granted += ordered;
        if (ordered == frame->length)
            return true;
        s->next = e->announced;        /* from where it will be ended */
        e->announced = s;
        verbs_break(e, PEAL_ERR_MEMORY, "verbs: no memory to send to %s", e->name);
        return false;
    }
    s->granted = s->length;
    s->next = NULL;
    *e->last_stream = s;
    e->last_stream = &s->next;
    return true;
}

static void send_long(struct endpoint *e, struct sending *s, struct sending **slot)
{
    struct sending *ready = *slot;
    struct message message = { s->frame.stream, s->frame.number, s->frame.signature };
    bool agree = false;

    if (ready) {
        agree = ready->frame.total == s->length &&
                signature_equal(&ready->frame.signature, &s->frame.signature);
        s->posted = agree;
        if (agree)
            grant_use(e, s, &ready->frame, &ready->grant);
        verbs_sending_give(e->port, ready);
        *slot = NULL;
    }
    if (!agree) {
        struct sending **at = &e->announced;

        while (*at)
            at = &(*at)->next;
        *at = s;
        verbs_control(e, VERBS_ANNOUNCE, &message, s->length, 0, 0, NULL);
    }
}

static void send_short(struct endpoint *e, struct sending *s, struct sending **slot)
{
    if (*slot) {                       /* a grant that it does not need */
        verbs_sending_give(e->port, *slot);
        *slot = NULL;
    }
    s->frame.kind = VERBS_EAGER;
    s->frame.length = s->length;
    enqueue(e, s);
}

static void message_start(struct endpoint *e, struct sending *s)
{
    uint32_t at = s->frame.number % TRANSPORT_WINDOW;
    struct sending **slot = &e->slots[s->frame.stream][at];

    s->next = NULL;
    if (s->length > e->eager)
        send_long(e, s, slot);
    else
        send_short(e, s, slot);
}

/* The endpoint is up: what was sent before. */
void verbs_sends_start(struct endpoint *e)
{
    struct sending *s, *next;

    for (s = e->early; s; s = next) {
        next = s->next;
        message_start(e, s);
    }
    e->early = NULL;
    e->last_early = &e->early;
    verbs_push(e);
}

int verbs_send(struct endpoint *e, const struct message *message, const void *bytes,
               size_t length, struct completion *done)
{
    uint32_t at = message->number % TRANSPORT_WINDOW;
    struct sending *s;

    if (e->failure) {
        status_fail(e->failure, "%s", e->why);
        completion_done(e->port->options.completions, done, e->failure);
        return PEAL_OK;
    }
    if (!send_window_open(&e->window, message->stream, message->number)) {
        e->port->look = true;          /* for the credit; nothing else may be awaited */
        return STATUS_AGAIN;
    }
    if (length > VERBS_TOTAL_HIGH)
        return status_fail(PEAL_ERR_ARGUMENT, "verbs: %zu bytes to %s in one message", length,
                           e->name);
    if (send_window_started(&e->window, message->stream, message->number))
        return status_fail(PEAL_ERR_STATE, "message %u to %s was sent twice",
                           message->number, e->name);
    /* The grant may be here: then there is nothing to announce. */
    if (e->stage == STAGE_UP && length > e->eager && !e->slots[message->stream][at] &&
        verbs_poll(e->port) > 0)
        verbs_take_frames(e);
    s = verbs_sending_take(e->port);
    if (!s)
        return PEAL_ERR_MEMORY;
    s->frame = (struct verbs_frame){ .stream = message->stream, .number = message->number,
                                     .signature = message->signature, .total = length };
    s->bytes = bytes;
    s->length = length;
    s->done = done;
    send_window_start(&e->window, message->stream, message->number);
    e->waiting++;
    if (e->stage == STAGE_UP) {
        message_start(e, s);
        verbs_push(e);
    } else {                           /* what is short is not agreed upon yet */
        *e->last_early = s;
        e->last_early = &s->next;
    }
    verbs_settle(e);
    verbs_activity(e);
    return PEAL_OK;
}

/* ---- Answers ---------------------------------------------------------------------- */

static struct sending **announced(struct endpoint *e, const struct verbs_frame *frame)
{
    struct sending **at = &e->announced;

    while (*at && ((*at)->frame.number != frame->number ||
                   (*at)->frame.stream != frame->stream))
        at = &(*at)->next;
    return at;
}

static const char *grant_before_send(struct endpoint *e, const struct verbs_frame *frame,
                                     const struct verbs_grant *grant)
{
    uint32_t at = frame->number % TRANSPORT_WINDOW;
    struct sending *s;

    if ((int32_t)(frame->number - e->window.low[frame->stream]) < 0)
        return NULL;                   /* it crossed what has been sent otherwise */
    if (!send_window_open(&e->window, frame->stream, frame->number))
        return "a grant beyond the window";
    if (e->stage == STAGE_UP && send_window_started(&e->window, frame->stream, frame->number))
        return NULL;                   /* the same; before that nothing can have been sent */
    if (frame->length != frame->total || e->slots[frame->stream][at])
        return "a grant that nobody can have asked for";
    s = verbs_sending_take(e->port);
    if (!s)
        return "a grant for which there is no memory here";
    s->frame = *frame;
    s->grant = *grant;
    e->slots[frame->stream][at] = s;
    return NULL;
}

const char *verbs_granted(struct endpoint *e, const struct verbs_frame *frame,
                          const struct verbs_grant *grant)
{
    struct sending **at = announced(e, frame), *s = *at;

    if (!s)
        return grant_before_send(e, frame, grant);
    /* If they disagree, the receiver sees it when our ANNOUNCE comes. */
    if (s->length != frame->total || !signature_equal(&s->frame.signature, &frame->signature))
        return NULL;
    if (frame->offset != s->granted || frame->length > s->length - s->granted)
        return "a grant that is not the next";
    *at = s->next;
    if (grant_use(e, s, frame, grant) && s->granted < s->length) {      /* more is to come */
        s->next = e->announced;
        e->announced = s;
    }
    return NULL;
}

/* The receive differs and has reported it; here the memory is free again. */
const char *verbs_refused(struct endpoint *e, const struct verbs_frame *frame)
{
    struct sending **at = announced(e, frame), *s = *at;

    if (!s || s->granted > 0)
        return "a refusal of nothing that was announced";
    *at = s->next;
    verbs_sending_end(e, s, PEAL_OK);
    return NULL;
}

void verbs_sends_fail(struct endpoint *e, int status)
{
    struct sending *s, **lists[] = { &e->early, &e->queue, &e->streams, &e->announced };
    struct order *o, **orders[] = { &e->orders, &e->dealt };

    /* An order's message is there once for all its orders. */
    for (int i = 0; i < 2; i++)
        while ((o = *orders[i])) {
            *orders[i] = o->next;
            s = o->of;
            s->ended += o->length;
            if (s->ended == s->granted && s->granted == s->length)
                verbs_sending_end(e, s, status);
            verbs_order_give(e->port, o);
        }
    for (int i = 0; i < 4; i++)
        while ((s = *lists[i])) {
            *lists[i] = s->next;
            verbs_sending_end(e, s, status);
        }
    e->last_early = &e->early;
    e->last = &e->queue;
    e->last_stream = &e->streams;
    e->last_order = &e->orders;
    for (int i = 0; i < TRANSPORT_STREAMS * TRANSPORT_WINDOW; i++) {
        struct sending **slot = &e->slots[i / TRANSPORT_WINDOW][i % TRANSPORT_WINDOW];

        if (*slot)
            verbs_sending_give(e->port, *slot);
        *slot = NULL;
    }
    e->waiting = 0;
}
