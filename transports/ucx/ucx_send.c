/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting messages, their pieces, and credits. */
#include "transports/ucx/ucx.h"

static void push(struct endpoint *e, struct sending *s);

static void encode(struct endpoint *e, enum ucx_kind kind, const struct message *message,
                   struct ucx_header *header)
{
    header->key = e->peer_key;
    header->from = (uint32_t)e->port->options.rank;
    header->number = message->number;
    header->signature = message->signature;
    header->kind = (uint16_t)kind;
    header->stream = (uint16_t)message->stream;
    header->zero = 0;
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++) {
        header->low[i] = matching_low(&e->matching, i);
        e->told[i] = header->low[i];
        e->full[i] = false;
    }
}

/* The piece has gone.  False: it was the last of its message, which is done. */
static bool piece_ended(struct endpoint *e, struct sending *s, uint64_t index)
{
    s->flights--;
    s->ended |= (uint64_t)1 << (index - s->base);
    for (; s->ended & 1; s->ended >>= 1)
        s->base++;
    if (s->base < s->pieces)
        return true;
    for (struct sending **at = &e->streaming; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            break;
        }
    e->waiting--;
    completion_done(e->port->options.completions, s->done, PEAL_OK);
    ucx_sending_give(e->port, s);
    return false;
}

/* UCX is done with it.  True: a piece has ended, and its message has more. */
static bool flight_ended(struct flight *flight, ucs_status_t status)
{
    struct endpoint *e = flight->endpoint;
    struct sending *s = flight->sending;
    bool more = false;

    if (status != UCS_OK) {
        ucx_endpoint_break(e, PEAL_ERR_PEER, "UCX could not send to %s: %s; the process died, "
                           "or the network between the hosts is cut", e->name,
                           ucx.status_string(status));
        if (!flight->done) {
            ucx_flight_give(e->port, flight);
            return false;
        }
        flight->next = e->lost;
        e->lost = flight;
        return false;
    }
    if (flight->header.kind == UCX_READY) {
        e->ready_gone = true;
        e->port->stirred = true;       /* what could not be sent so far now can */
    } else if (s) {
        more = piece_ended(e, s, flight->header.offset / e->chunk);
    } else if (flight->done) {
        e->waiting--;
        completion_done(e->port->options.completions, flight->done, PEAL_OK);
    }
    ucx_flight_give(e->port, flight);
    return more;
}

static void sent(void *request, ucs_status_t status, void *user)
{
    struct flight *flight = user;
    struct endpoint *e = flight->endpoint;
    struct sending *s = flight->sending;

    ucx.request_free(request);
    e->flights--;
    if (flight_ended(flight, status))
        push(e, s);
}

/* Hand it to UCX: its request, NULL if it has gone at once, or an error. */
static ucs_status_ptr_t hand_over(struct flight *flight, const void *bytes, size_t length)
{
    struct endpoint *e = flight->endpoint;
    bool piece = flight->header.kind == UCX_PIECE;
    ucp_request_param_t param = {
        .op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA |
                        UCP_OP_ATTR_FIELD_MEMORY_TYPE | UCP_OP_ATTR_FIELD_FLAGS,
        .flags = piece ? UCP_AM_SEND_FLAG_RNDV : 0,
        .memory_type = UCS_MEMORY_TYPE_HOST,
        .cb.send = sent,
        .user_data = flight
    };
    ucs_status_ptr_t request;

    e->sent++;
    request = ucx.am_send_nbx(e->ep, UCX_MESSAGE, &flight->header,
                              piece ? sizeof flight->header : UCX_SHORT_HEADER, bytes, length,
                              &param);
    e->flights += UCS_PTR_IS_PTR(request);
    return request;
}

static void launch(struct flight *flight, const void *bytes, size_t length)
{
    ucs_status_ptr_t request = hand_over(flight, bytes, length);

    if (!UCS_PTR_IS_PTR(request))
        flight_ended(flight, UCS_PTR_STATUS(request));
}

/* Pieces, as many as may be in flight. */
static void push(struct endpoint *e, struct sending *s)
{
    bool more = true;

    while (more && !e->broken && !e->closed && s->flights < UCX_FLIGHTS && s->begun < s->pieces &&
           s->begun < s->base + UCX_AHEAD) {
        struct flight *flight = ucx_flight_take(e->port);
        uint64_t offset = s->begun * e->chunk;
        size_t length = s->length - offset < e->chunk ? s->length - offset : e->chunk;
        const char *bytes = s->bytes + offset;

        if (!flight) {
            ucx_endpoint_break(e, PEAL_ERR_MEMORY, "ucx: no memory to send to %s", e->name);
            return;
        }
        flight->endpoint = e;
        flight->sending = s;
        encode(e, UCX_PIECE, &s->message, &flight->header);
        flight->header.total = s->length;
        flight->header.offset = offset;
        s->flights++;
        more = ++s->begun < s->pieces;
        launch(flight, bytes, length);         /* the last one may end the message */
    }
}

static int send_long(struct endpoint *e, const struct message *message, const void *bytes,
                     size_t length, struct completion *done)
{
    struct sending *s = ucx_sending_take(e->port);

    if (!s)
        return PEAL_ERR_MEMORY;
    s->message = *message;
    s->bytes = bytes;
    s->length = length;
    s->done = done;
    s->pieces = (length + e->chunk - 1) / e->chunk;
    s->next = e->streaming;
    e->streaming = s;
    e->waiting++;
    push(e, s);
    return PEAL_OK;
}

static struct flight *whole(struct endpoint *e, const struct message *message,
                            struct completion *done)
{
    struct flight *flight = ucx_flight_take(e->port);

    if (!flight)
        return NULL;
    flight->endpoint = e;
    flight->done = done;
    encode(e, UCX_WHOLE, message, &flight->header);
    return flight;
}

static int send_whole(struct endpoint *e, const struct message *message, const void *bytes,
                      size_t length, struct completion *done)
{
    struct flight *flight = whole(e, message, done);

    if (!flight)
        return PEAL_ERR_MEMORY;
    e->waiting++;
    launch(flight, bytes, length);
    return PEAL_OK;
}

int ucx_send(struct endpoint *e, const struct message *message, const void *bytes,
             size_t length, struct completion *done)
{
    int status;

    if (e->failure) {
        status_fail(e->failure, "%s", e->why);
        completion_done(e->port->options.completions, done, e->failure);
        return PEAL_OK;
    }
    if (!ucx_joined(e) || e->broken || !send_window_open(&e->window, message->stream, message->number))
        return STATUS_AGAIN;
    if (length > UCX_TOTAL_HIGH)
        return status_fail(PEAL_ERR_ARGUMENT, "ucx: %zu bytes to %s in one message", length,
                           e->name);
    if (send_window_started(&e->window, message->stream, message->number))
        return status_fail(PEAL_ERR_STATE, "message %u to %s was sent twice",
                           message->number, e->name);
    send_window_start(&e->window, message->stream, message->number);
    status = length > TRANSPORT_EAGER ? send_long(e, message, bytes, length, done)
                                      : send_whole(e, message, bytes, length, done);
    if (status)
        send_window_forget(&e->window, message->stream, message->number);
    return status;
}

int ucx_put(struct endpoint *e, const struct message *message, const void *bytes,
            size_t length, struct completion *done)
{
    ucs_status_ptr_t request;
    struct flight *flight;

    if (length > TRANSPORT_EAGER || e->failure || e->broken || !ucx_joined(e) ||
        !send_window_open(&e->window, message->stream, message->number) ||
        send_window_started(&e->window, message->stream, message->number) ||
        !(flight = whole(e, message, done)))
        return STATUS_AGAIN;
    send_window_start(&e->window, message->stream, message->number);
    request = hand_over(flight, bytes, length);
    if (!request) {
        ucx_flight_give(e->port, flight);
        return PEAL_OK;
    }
    e->waiting++;
    if (!UCS_PTR_IS_PTR(request))
        flight_ended(flight, UCS_PTR_STATUS(request));
    return STATUS_LATER;
}

/* ---- Without bytes ------------------------------------------------------------ */

/* Messages may overtake each other: old news is none. */
const char *ucx_credit_take(struct endpoint *e, const struct ucx_header *h)
{
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++) {
        const char *wrong;

        if ((int32_t)(h->low[i] - e->window.low[i]) <= 0)
            continue;
        wrong = send_window_credit(&e->window, i, h->low[i]);
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const struct message nothing;   /* to speak of */

void ucx_ready_tell(struct endpoint *e)
{
    struct flight *flight = ucx_flight_take(e->port);

    if (!flight) {
        ucx_endpoint_break(e, PEAL_ERR_MEMORY, "ucx: no memory to greet %s", e->name);
        return;
    }
    flight->endpoint = e;
    encode(e, UCX_READY, &nothing, &flight->header);
    launch(flight, NULL, 0);
}

bool ucx_credit_owed(const struct endpoint *e)
{
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++)
        if (e->full[i] && e->told[i] != matching_low(&e->matching, i))
            return true;
    return false;
}

/* Every header tells how far the receives have come, so this is for traffic that
 * flows one way only: after half a window, or, if the sender has used up all that
 * it was told, as soon as there is nothing better to do. */
bool ucx_credit_tell(struct endpoint *e, bool idle)
{
    bool said = false;

    for (uint32_t i = 0; i < TRANSPORT_STREAMS && ucx_joined(e) && !e->broken && !e->closed;
         i++) {
        uint32_t news = matching_low(&e->matching, i) - e->told[i];
        struct flight *flight;

        if (news < TRANSPORT_WINDOW / 2 && !(idle && news > 0 && e->full[i]))
            continue;
        if (!(flight = ucx_flight_take(e->port))) {
            ucx_endpoint_break(e, PEAL_ERR_MEMORY, "ucx: no memory to answer %s", e->name);
            break;
        }
        flight->endpoint = e;
        encode(e, UCX_CREDIT, &nothing, &flight->header);
        launch(flight, NULL, 0);
        said = true;
    }
    return said;
}

/* The endpoint has failed, and nothing is in flight: what was to be sent is the
 * owner's again. */
void ucx_sends_fail(struct endpoint *e, int status)
{
    struct flight *flight;
    struct sending *s;

    while ((flight = e->lost)) {
        e->lost = flight->next;
        completion_done(e->port->options.completions, flight->done, status);
        ucx_flight_give(e->port, flight);
    }
    while ((s = e->streaming)) {
        e->streaming = s->next;
        completion_done(e->port->options.completions, s->done, status);
        ucx_sending_give(e->port, s);
    }
    e->waiting = 0;
}
