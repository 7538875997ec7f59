/* SPDX-License-Identifier: BSD-3-Clause */
/* What the receiver tells the sender: READY, REFUSED, credit. */
#include "transports/tcp/tcp.h"

/* The announced message with this number, or NULL. */
static struct sending *announced(const struct endpoint *e, uint32_t stream, uint32_t number)
{
    struct sending *s = e->slots[stream][number % TRANSPORT_WINDOW];

    return s && s->message.number == number && s->done ? s : NULL;
}

/* The window moves up over messages that must have been sent and, if they were
 * announced, answered: at the latest by this header. */
const char *tcp_credit_take(struct endpoint *e, const struct tcp_header *header)
{
    bool answer = header->kind == TCP_READY || header->kind == TCP_REFUSED;

    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++) {
        uint32_t low = e->window.low[i], credit = header->credit[i];
        const char *wrong = send_window_credit(&e->window, i, credit);

        if (wrong)
            return wrong;
        for (; low != credit; low++)
            if (announced(e, i, low) &&
                !(answer && i == header->stream && low == header->number))
                return "a credit for a message that was not answered";
    }
    return NULL;
}

static const char *ready_before_send(struct endpoint *e, const struct tcp_header *header)
{
    struct sending **slot = &e->slots[header->stream][header->number % TRANSPORT_WINDOW];
    struct sending *s;

    if (*slot)
        return "a second READY for one message";
    s = tcp_sending_take(e->port);
    if (!s)
        return "a READY for which there is no memory here";
    s->message.stream = header->stream;
    s->message.number = header->number;
    s->message.signature = header->signature;
    s->expected = header->total;
    s->chunk = header->length;
    *slot = s;
    return NULL;
}

const char *tcp_ready(struct endpoint *e, const struct tcp_header *header)
{
    struct sending *s = announced(e, header->stream, header->number);

    if (s) {
        /* If they disagree, the receiver sees it when our ANNOUNCE comes. */
        if (s->length != header->total ||
            !signature_equal(&s->message.signature, &header->signature))
            return NULL;
        s->chunk = header->length;
        e->slots[header->stream][header->number % TRANSPORT_WINDOW] = NULL;
        tcp_stream(e, s);
        return NULL;
    }
    if ((int32_t)(header->number - e->window.low[header->stream]) < 0)
        return NULL;                   /* it crossed a short message, which has matched */
    if (!send_window_open(&e->window, header->stream, header->number))
        return "a READY beyond the window";
    if (send_window_started(&e->window, header->stream, header->number))
        return NULL;                   /* it crossed a short message */
    return ready_before_send(e, header);
}

/* The receive differs and has reported it; here the memory is free again. */
const char *tcp_refused(struct endpoint *e, const struct tcp_header *header)
{
    struct sending *s = announced(e, header->stream, header->number);

    if (!s)
        return "a refusal of nothing that was announced";
    e->slots[header->stream][header->number % TRANSPORT_WINDOW] = NULL;
    e->waiting--;
    completion_done(e->port->options.completions, s->done, PEAL_OK);
    tcp_sending_give(e->port, s);
    return NULL;
}
