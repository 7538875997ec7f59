/* SPDX-License-Identifier: BSD-3-Clause */
/* A header came in: is it due, and what does it mean?  Nothing in it is used
 * before it was compared with what this side knows. */
#include "transports/tcp/tcp.h"

/* What match->remote holds for a long message: the next chunk of each lane, two
 * to a word, and in the last word what was said about it. */
enum { SAID = TRANSPORT_SOCKETS / 2, ASKED = 1, ANNOUNCED = 2 };
_Static_assert(sizeof((struct match *)0)->remote / sizeof(uint64_t) > SAID,
               "room for the turns of all lanes");

static uint32_t turn(const struct match *match, int lane)
{
    return (uint32_t)(match->remote[lane / 2] >> 32 * (lane % 2));
}

static void turn_set(struct match *match, int lane, uint32_t value)
{
    int shift = 32 * (lane % 2);

    match->remote[lane / 2] &= ~((uint64_t)0xffffffff << shift);
    match->remote[lane / 2] |= (uint64_t)value << shift;
}

static int offend(struct endpoint *e, const struct tcp_header *h, const char *what)
{
    return status_fail(PEAL_ERR_PROTOCOL, "%s sent %s (stream %u, message %u, %llu bytes)",
                       e->name, what, h->stream, h->number, (unsigned long long)h->total);
}

/* Receives that expect more than this are told to the sender when posted. */
bool tcp_asked_at_once(const struct port *port, size_t bytes)
{
    return bytes > port->eager;
}

bool tcp_read_direct(const struct landing *landing)
{
    return !landing->how && landing->bytes >= TCP_DIRECT_BYTES;
}

/* A message is here, or its announcement. */
static int arrive(struct endpoint *e, const struct tcp_header *h, bool held,
                  struct match **match)
{
    struct message message = { h->stream, h->number, h->signature };
    int status = matching_arrive(&e->matching, &message, h->total, held, match);
    struct match *m = *match;
    bool asked;

    if (status)
        return status;
    if (h->number - e->told[h->stream] >= TRANSPORT_WINDOW - 1)
        e->full[h->stream] = true;
    m->remote[SAID] = 0;
    for (int i = 0; i < e->nlanes; i++)
        turn_set(m, i, ((uint32_t)(i + e->nlanes) - h->number % (uint32_t)e->nlanes) %
                           (uint32_t)e->nlanes);
    if (m->state == MATCH_EARLY)
        return PEAL_OK;
    asked = tcp_asked_at_once(e->port, m->landing.bytes);
    e->posted--;
    e->posted_long -= asked;
    e->posted_direct -= tcp_read_direct(&m->landing);
    if (asked)
        m->remote[SAID] |= ASKED;
    return PEAL_OK;
}

static int arrive_short(struct lane *lane, const struct tcp_header *h)
{
    struct endpoint *e = lane->endpoint;
    struct match *match;
    int status = arrive(e, h, false, &match);

    if (status)
        return status;
    if (h->length == 0) {
        matching_put(&e->matching, match, "", 0);
        return PEAL_OK;
    }
    lane->match = match;
    lane->piece = false;
    lane->offset = 0;
    lane->left = h->length;
    return PEAL_OK;
}

void tcp_answer(struct endpoint *e, struct match *match)
{
    struct message message = { match->stream, match->number, match->signature };

    if (match->state == MATCH_REFUSED) {
        matching_drop(&e->matching, match);
        tcp_control(e, &e->lanes[0], TCP_REFUSED, &message, 0, 0);
    } else if (match->state == MATCH_LANDING && !(match->remote[SAID] & ASKED)) {
        match->remote[SAID] |= ASKED;
        tcp_control(e, &e->lanes[0], TCP_READY, &message, match->bytes, e->port->chunk);
    }
}

static bool agrees(const struct match *match, const struct tcp_header *h)
{
    return match->bytes == h->total && signature_equal(&match->signature, &h->signature);
}

static int arrive_announcement(struct lane *lane, const struct tcp_header *h)
{
    struct endpoint *e = lane->endpoint;
    struct match *match = matching_moving(&e->matching, h->stream, h->number);
    int status;

    if (lane->index != (int)(h->number % (uint32_t)e->nlanes))
        return offend(e, h, "an announcement over the wrong socket");
    if (match) {
        /* It crossed our READY, and a chunk on another lane was read first. */
        if (!match->held || match->remote[SAID] & ANNOUNCED || !agrees(match, h))
            return offend(e, h, "an announcement of what is already here");
        match->remote[SAID] |= ANNOUNCED;
        return PEAL_OK;
    }
    status = arrive(e, h, true, &match);
    if (status)
        return status;
    match->remote[SAID] |= ANNOUNCED;
    tcp_answer(e, match);
    return PEAL_OK;
}

/* The match of a chunk: already moving, or posted, asked for, and begun now. */
static int chunk_match(struct endpoint *e, const struct tcp_header *h, struct match **match)
{
    const struct match *posted =
        e->matching.streams[h->stream].slots[h->number % TRANSPORT_WINDOW];

    *match = matching_moving(&e->matching, h->stream, h->number);
    if (!*match) {
        if (!posted || posted->state != MATCH_POSTED || posted->number != h->number ||
            !tcp_asked_at_once(e->port, posted->landing.bytes) ||
            posted->landing.bytes != h->total)
            return offend(e, h, "a chunk that nobody asked for");
        return arrive(e, h, true, match);
    }
    return PEAL_OK;
}

static int arrive_chunk(struct lane *lane, const struct tcp_header *h)
{
    struct endpoint *e = lane->endpoint;
    struct match *match;
    uint64_t offset, length;
    int status = chunk_match(e, h, &match);

    if (status)
        return status;
    if (!match->held || match->state != MATCH_LANDING ||
        !(match->remote[SAID] & ASKED) || !agrees(match, h)) {
        if (match->held && match->state == MATCH_REFUSED)
            matching_drop(&e->matching, match);
        return offend(e, h, "a chunk of another message than was asked for");
    }
    offset = (uint64_t)turn(match, lane->index) * e->port->chunk;
    if (offset >= match->bytes)
        return offend(e, h, "a chunk after the last one");
    length = match->bytes - offset;
    if (length > e->port->chunk)
        length = e->port->chunk;
    if (h->offset != offset || h->length != length)
        return offend(e, h, "a chunk that is not the next one");
    turn_set(match, lane->index, turn(match, lane->index) + (uint32_t)e->nlanes);
    lane->match = match;
    lane->piece = true;
    lane->offset = offset;
    lane->left = length;
    return PEAL_OK;
}

static int arrive_kind(struct lane *lane, const struct tcp_header *h)
{
    struct endpoint *e = lane->endpoint;
    const char *wrong = NULL;

    if (h->communicator != (uint32_t)e->port->options.communicator)
        return offend(e, h, "a header of another communicator");
    if (h->kind == TCP_CHUNK)
        return arrive_chunk(lane, h);
    if (h->kind == TCP_ANNOUNCE)
        return arrive_announcement(lane, h);
    if (lane->index != 0)
        return offend(e, h, "what belongs on its first socket over another");
    if (h->kind == TCP_EAGER)
        return arrive_short(lane, h);
    if (h->kind == TCP_READY)
        wrong = tcp_ready(e, h);
    else if (h->kind == TCP_REFUSED)
        wrong = tcp_refused(e, h);
    return wrong ? offend(e, h, wrong) : PEAL_OK;
}

void tcp_arrive(struct lane *lane, const unsigned char wire[TCP_HEADER])
{
    struct endpoint *e = lane->endpoint;
    struct tcp_header header;
    const char *wrong = tcp_wire_decode(wire, &header);
    int status = PEAL_OK;

    if (wrong)
        status = status_fail(PEAL_ERR_PROTOCOL, "%s sent %s", e->name, wrong);
    else if (lane->index == 0 && (wrong = tcp_credit_take(e, &header)))
        status = offend(e, &header, wrong);
    else
        status = arrive_kind(lane, &header);
    if (status)
        tcp_endpoint_fail(e, status, "%s", status_text());
}
