/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting messages and control headers. */
#include "transports/tcp/tcp.h"

#include <stdlib.h>
#include <string.h>

struct sending *tcp_sending_take(struct port *port)
{
    return pool_take_zeroed(&port->sendings, "tcp: no memory for what is to be sent");
}

void tcp_sending_give(struct port *port, struct sending *s)
{
    pool_give(&port->sendings, s);
}

/* Behind what the lane has already got. */
static void queue_later(struct lane *lane, struct sending *s)
{
    tcp_told(lane);
    s->next = NULL;
    *lane->last = s;
    lane->last = &s->next;
    tcp_lane_unsent(lane, true);
}

/* At once if it has got nothing. */
void tcp_queue(struct lane *lane, struct sending *s)
{
    queue_later(lane, s);
    if (!lane->blocked)
        tcp_write(lane);
}

void tcp_control(struct endpoint *e, struct lane *lane, enum tcp_kind kind,
                 const struct message *message, size_t total, uint32_t length)
{
    struct sending *s;

    if (e->failure || e->broken || e->finished)
        return;                        /* nobody will read it */
    s = tcp_sending_take(e->port);
    if (!s) {
        tcp_endpoint_fail(e, PEAL_ERR_MEMORY, "tcp: no memory to answer %s", e->name);
        return;
    }
    tcp_encode(lane, kind, message, total, 0, length, s->header);
    if (kind == TCP_READY || kind == TCP_ANNOUNCE)
        queue_later(lane, s);
    else
        tcp_queue(lane, s);
}

/* Every header on lane 0 tells how far the receives have come, so this is for
 * traffic that flows one way only: after half a window, or, if the sender has
 * used up all that it was told, as soon as there is nothing better to do. */
bool tcp_credit_tell(struct endpoint *e, bool idle)
{
    bool said = false;

    for (uint32_t i = 0; i < TRANSPORT_STREAMS && !e->failure && !e->finished; i++) {
        uint32_t news = matching_low(&e->matching, i) - e->told[i];
        struct message message = { .stream = i };

        if (news >= TRANSPORT_WINDOW / 2 || (idle && news > 0 && e->full[i])) {
            tcp_control(e, &e->lanes[0], TCP_CREDIT, &message, 0, 0);
            said = true;
        }
    }
    return said;
}

static void send_short(struct endpoint *e, struct sending *s)
{
    struct lane *lane = &e->lanes[0];

    tcp_encode(lane, TCP_EAGER, &s->message, s->length, 0, (uint32_t)s->length, s->header);
    tcp_queue(lane, s);
}

/* The message may go: deal its chunks out to the lanes. */
void tcp_stream(struct endpoint *e, struct sending *s)
{
    uint32_t n = (uint32_t)e->nlanes;

    for (uint32_t i = 0; i < n; i++)
        s->turn[i] = (i + n - s->message.number % n) % n;
    s->unwritten = s->length;
    s->next = NULL;
    *e->last_streaming = s;
    e->last_streaming = &s->next;
    /* Others may follow: one system call can begin several. */
    for (uint32_t i = 0; i < n; i++) {
        if (!e->lanes[i].streaming)
            e->lanes[i].streaming = s;
        tcp_lane_unsent(&e->lanes[i], true);
    }
}

static void send_long(struct endpoint *e, struct sending *s)
{
    uint32_t number = s->message.number;
    struct sending **slot = &e->slots[s->message.stream][number % TRANSPORT_WINDOW];
    struct sending *ready = *slot;
    bool agree = false;

    if (ready) {
        agree = ready->expected == s->length &&
                signature_equal(&ready->message.signature, &s->message.signature);
        s->chunk = ready->chunk;
        tcp_sending_give(e->port, ready);
    }
    *slot = agree ? NULL : s;
    if (agree)
        tcp_stream(e, s);
    else
        tcp_control(e, &e->lanes[number % (uint32_t)e->nlanes], TCP_ANNOUNCE, &s->message,
                    s->length, 0);
}

int tcp_send(struct endpoint *e, const struct message *message, const void *bytes,
             size_t length, struct completion *done)
{
    uint32_t at = message->number % TRANSPORT_WINDOW;
    struct sending **slot = &e->slots[message->stream][at];
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
    if (length > TCP_TOTAL_HIGH)
        return status_fail(PEAL_ERR_ARGUMENT, "tcp: %zu bytes to %s in one message", length,
                           e->name);
    if (send_window_started(&e->window, message->stream, message->number))
        return status_fail(PEAL_ERR_STATE, "message %u to %s was sent twice",
                           message->number, e->name);
    s = tcp_sending_take(e->port);
    if (!s)
        return PEAL_ERR_MEMORY;
    s->message = *message;
    s->bytes = bytes;
    s->length = length;
    s->done = done;
    send_window_start(&e->window, message->stream, message->number);
    e->waiting++;
    if (length > e->port->eager) {
        send_long(e, s);
    } else {
        if (*slot) {                   /* a READY that it does not need */
            tcp_sending_give(e->port, *slot);
            *slot = NULL;
        }
        send_short(e, s);
    }
    tcp_endpoint_settle(e);
    tcp_endpoint_activity(e);
    return PEAL_OK;
}

static void end(struct endpoint *e, struct sending *s, int status)
{
    if (s->done)
        completion_done(e->port->options.completions, s->done, status);
    tcp_sending_give(e->port, s);
}

/* The endpoint has failed: the memory of every send is the user's again. */
void tcp_sends_fail(struct endpoint *e, int status)
{
    struct sending *s;

    for (int i = 0; i < e->nlanes; i++) {
        struct lane *lane = &e->lanes[i];

        while ((s = lane->queue)) {
            lane->queue = s->next;
            end(e, s, status);
        }
        lane->last = &lane->queue;
        lane->streaming = NULL;
        lane->nchunks = 0;
    }
    while ((s = e->streaming)) {
        e->streaming = s->next;
        end(e, s, status);
    }
    e->last_streaming = &e->streaming;
    for (int i = 0; i < TRANSPORT_STREAMS * TRANSPORT_WINDOW; i++) {
        struct sending **slot = &e->slots[i / TRANSPORT_WINDOW][i % TRANSPORT_WINDOW];

        if (*slot)
            end(e, *slot, status);
        *slot = NULL;
    }
    e->waiting = 0;
}
