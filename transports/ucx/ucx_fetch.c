/* SPDX-License-Identifier: BSD-3-Clause */
/* Receives, and how the bytes of what is on offer come to them. */
#include "transports/ucx/ucx.h"

/* What match->remote holds for a long message: the pieces that were offered, as
 * with a sending, and those that wait for their receive. */
enum { BASE, SEEN, KEPT };
_Static_assert(sizeof((struct match *)0)->remote / sizeof(uint64_t) > KEPT, "room for these");

static struct flight *kept(const struct match *match)
{
    return (struct flight *)(uintptr_t)match->remote[KEPT];
}

static void keep(struct match *match, struct flight *flights)
{
    match->remote[KEPT] = (uint64_t)(uintptr_t)flights;
}

static void fetch_hungry(struct port *port);

/* Its bytes are in place, or will never be.  What a neighbour's memory was read for
 * is right only if the neighbour was still there afterwards: it may have taken the
 * memory back.  (Over a network its adapter would have refused.) */
static void fetch_ended(struct flight *flight, ucs_status_t ended)
{
    struct endpoint *e = flight->endpoint;
    struct match *match = flight->match;
    struct port *port = e->port;
    int status = PEAL_OK;

    if (ended != UCS_OK)
        ucx_endpoint_break(e, PEAL_ERR_PEER, "UCX could not fetch a message from %s: %s; the "
                           "process died, or the network between the hosts is cut", e->name,
                           ucx.status_string(ended));
    else if (e->local && ucx_socket_ended(e))
        ucx_endpoint_break(e, PEAL_ERR_PEER, "%s ended, crashed or left the communicator in the "
                           "middle of a message; look at its output", e->name);
    if (!e->broken) {
        if (flight->bounce)
            status = landing_put(&match->landing, flight->offset, flight->bounce,
                                 flight->length);
        matching_landed(&e->matching, match, flight->length, status);
        ucx_credit_tell(e, false);
    }
    if (flight->bounce)
        ucx_bounce_give(port, flight->bounce);
    ucx_flight_give(port, flight);
}

static void fetched(void *request, ucs_status_t status, size_t length, void *user)
{
    struct flight *flight = user;
    struct endpoint *e = flight->endpoint;
    struct port *port = e->port;

    (void)length;
    ucx.request_free(request);
    e->flights--;
    e->fetches--;
    fetch_ended(flight, status);
    fetch_hungry(port);
    if (e->leaving > 0)
        ucx_socket_answer(e);
}

/* Where the bytes go; NULL: nowhere yet. */
static void *target(struct flight *flight)
{
    struct match *match = flight->match;

    if (match->early)
        return match->early + flight->offset;
    if (!match->landing.how)
        return match->landing.dst + flight->offset;
    return flight->bounce = ucx_bounce_take(flight->endpoint->port);
}

static void wait_for_bounce(struct port *port, struct flight *flight)
{
    flight->next = NULL;
    *port->last_hungry = flight;
    port->last_hungry = &flight->next;
    if (port->nmade == 0)
        ucx_endpoint_break(flight->endpoint, PEAL_ERR_MEMORY, "ucx: no memory to receive from "
                           "%s", flight->endpoint->name);
}

static void fetch(struct flight *flight)
{
    struct endpoint *e = flight->endpoint;
    struct port *port = e->port;
    ucp_request_param_t param = {
        .op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA |
                        UCP_OP_ATTR_FIELD_MEMORY_TYPE,
        .memory_type = UCS_MEMORY_TYPE_HOST,
        .cb.recv_am = fetched,
        .user_data = flight
    };
    void *to = target(flight), *offer = flight->offer;
    ucs_status_ptr_t request;

    if (!to) {
        wait_for_bounce(port, flight);
        return;
    }
    flight->offer = NULL;
    request = ucx.am_recv_data_nbx(port->worker, offer, to, flight->length, &param);
    if (UCS_PTR_IS_PTR(request)) {
        e->flights++;
        e->fetches++;
    } else {
        fetch_ended(flight, UCS_PTR_STATUS(request));
    }
}

/* There may be buffers now. */
static void fetch_hungry(struct port *port)
{
    while (port->hungry && port->nbounces > 0) {
        struct flight *flight = port->hungry;

        if (!(port->hungry = flight->next))
            port->last_hungry = &port->hungry;
        fetch(flight);
    }
}

void ucx_offer_first(struct match *match)
{
    match->remote[BASE] = match->remote[SEEN] = 0;
    keep(match, NULL);
}

bool ucx_offer_due(const struct endpoint *e, struct match *match, uint64_t offset)
{
    uint64_t index = offset / e->chunk - match->remote[BASE];

    if (index >= UCX_AHEAD || match->remote[SEEN] >> index & 1)
        return false;
    match->remote[SEEN] |= (uint64_t)1 << index;
    for (; match->remote[SEEN] & 1; match->remote[SEEN] >>= 1)
        match->remote[BASE]++;
    return true;
}

bool ucx_offer(struct endpoint *e, struct match *match, void *offer, size_t offset,
               size_t length)
{
    struct flight *flight;

    if (match->state == MATCH_REFUSED) {
        matching_landed(&e->matching, match, length, PEAL_OK);
        return false;
    }
    if (!(flight = ucx_flight_take(e->port))) {
        ucx_endpoint_break(e, PEAL_ERR_MEMORY, "ucx: no memory to receive from %s", e->name);
        return false;
    }
    flight->endpoint = e;
    flight->match = match;
    flight->offer = offer;
    flight->offset = offset;
    flight->length = length;
    if (match->held && match->state == MATCH_EARLY) {
        flight->next = kept(match);
        keep(match, flight);
    } else {
        fetch(flight);
    }
    return true;
}

/* The match has met its receive. */
static void fetch_kept(struct endpoint *e, struct match *match)
{
    struct flight *flight = kept(match), *next;

    keep(match, NULL);
    for (; flight && !e->broken; flight = next) {
        next = flight->next;
        if (match->state == MATCH_LANDING) {
            fetch(flight);
            continue;
        }
        /* Its sender is done with it then. */
        ucx.am_data_release(e->port->worker, flight->offer);
        matching_landed(&e->matching, match, flight->length, PEAL_OK);
        ucx_flight_give(e->port, flight);
    }
    if (flight)                        /* not all has landed: the match is there still */
        keep(match, flight);
}

/* ---- Receives -------------------------------------------------------------------- */

int ucx_recv(struct endpoint *e, const struct message *message,
             const struct landing *landing, struct completion *done)
{
    const struct match *here = e->matching.streams[message->stream]
                                   .slots[message->number % TRANSPORT_WINDOW];
    struct match *match;
    int status;

    if (e->failure && !here)
        status_fail(e->failure, "%s", e->why);
    status = matching_post(&e->matching, message, landing, done, &match);
    if (status || e->broken)
        return status;
    if (match)
        fetch_kept(e, match);
    ucx_credit_tell(e, false);
    if (ucx_credit_owed(e))
        ucx_endpoint_due(e);
    return PEAL_OK;
}

/* ---- The short way ----------------------------------------------------------------- */

int ucx_peek(struct endpoint *e, const struct message *message, size_t length,
             const void **view)
{
    int status = matching_peek(&e->matching, message, length, view);

    if (status != STATUS_AGAIN)
        return status;
    if (ucx.worker_progress(e->port->worker) > 0)      /* a credit, perhaps, not this message */
        e->port->stirred = true;
    return matching_peek(&e->matching, message, length, view);
}

int ucx_take(struct endpoint *e, const struct message *message, size_t length)
{
    (void)length;
    matching_take(&e->matching, message);
    ucx_credit_tell(e, false);
    if (ucx_credit_owed(e))
        ucx_endpoint_due(e);
    return PEAL_OK;
}

/* ---- What is not fetched ----------------------------------------------------------- */

static void release(struct port *port, struct flight *flight)
{
    if (flight->offer)
        ucx.am_data_release(port->worker, flight->offer);
    ucx_flight_give(port, flight);
}

static void release_kept(struct port *port, struct match *match)
{
    struct flight *flight, *next;

    if (!match->held)
        return;
    for (flight = kept(match); flight; flight = next) {
        next = flight->next;
        release(port, flight);
    }
    keep(match, NULL);
}

void ucx_offers_release(struct endpoint *e)
{
    struct port *port = e->port;
    struct flight **at = &port->hungry, *flight;

    while ((flight = *at))
        if (flight->endpoint == e) {
            *at = flight->next;
            release(port, flight);
        } else {
            at = &flight->next;
        }
    port->last_hungry = at;
    for (int i = 0; i < TRANSPORT_STREAMS * TRANSPORT_WINDOW; i++) {
        struct match *match = e->matching.streams[i / TRANSPORT_WINDOW]
                                  .slots[i % TRANSPORT_WINDOW];

        if (match && match->state == MATCH_EARLY)
            release_kept(port, match);
    }
    for (struct match *match = e->matching.moving; match; match = match->next)
        release_kept(port, match);
}
