/* SPDX-License-Identifier: BSD-3-Clause */
/* Posting receives, and what the frames that came say.  Nothing in a frame is used
 * before it was compared with what this side knows. */
#include "transports/verbs/verbs_ring.h"

#include <string.h>

enum { IN_FLIGHT = 2 };            /* chunks of one message: one comes, one is computed with */

static struct incoming *incoming_of(const struct match *match)
{
    return (struct incoming *)(uintptr_t)match->remote[0];
}

static struct match *match_posted(const struct endpoint *e, uint32_t stream, uint32_t number)
{
    struct match *match = e->matching.streams[stream].slots[number % TRANSPORT_WINDOW];

    return match && match->state == MATCH_POSTED && match->number == number ? match : NULL;
}

static void wanting_remove(struct port *port, struct incoming *in)
{
    struct incoming **at = &port->wanting;

    if (!in->wanting)
        return;
    while (*at != in)
        at = &(*at)->next_wanting;
    if (!(*at = in->next_wanting))
        port->last_wanting = at;
    in->wanting = false;
}

static void incoming_end(struct endpoint *e, struct incoming *in)
{
    struct port *port = e->port;

    if (!in)
        return;
    wanting_remove(port, in);
    while (in->chunks) {
        struct chunk *chunk = in->chunks;

        in->chunks = chunk->next;
        chunk->next = port->free_chunks;
        port->free_chunks = chunk;
    }
    verbs_region_give(port, in->region);
    *in->link = in->next;
    if (in->next)
        in->next->link = in->link;
    verbs_incoming_give(port, in);
}

void verbs_incoming_fail(struct endpoint *e)
{
    while (e->incoming)
        incoming_end(e, e->incoming);
}

static struct incoming *incoming_begin(struct endpoint *e, const struct message *message)
{
    struct incoming *in = verbs_incoming_take(e->port);

    if (!in)
        return NULL;
    in->endpoint = e;
    in->message = *message;
    in->next = e->incoming;
    in->link = &e->incoming;
    if (in->next)
        in->next->link = &in->next;
    e->incoming = in;
    return in;
}

/* ---- Grants -------------------------------------------------------------------- */

static void grant_ring(struct endpoint *e, struct incoming *in, uint64_t bytes)
{
    static const struct verbs_grant none;

    in->asked = true;
    in->granted = bytes;
    verbs_control(e, VERBS_GRANT_TO, &in->message, bytes, 0, bytes, &none);
}

/* Straight to where it belongs; false: that cannot be. */
static bool grant_straight(struct endpoint *e, struct incoming *in,
                           const struct landing *landing)
{
    struct verbs_grant grant = { .address = (uintptr_t)landing->dst };

    if (landing->how)
        return false;
    in->region = verbs_region_take(e, landing->dst, landing->bytes, true);
    if (!in->region)
        return false;
    for (int i = 0; i < e->nrails; i++)
        if (in->region->mr[e->rails[i].adapter->index])
            grant.rkey[i] = in->region->mr[e->rails[i].adapter->index]->rkey;
    in->asked = true;
    in->granted = landing->bytes;
    verbs_control(e, VERBS_GRANT_TO, &in->message, landing->bytes, 0, landing->bytes, &grant);
    return true;
}

static void grant_chunk(struct endpoint *e, struct incoming *in)
{
    struct port *port = e->port;
    struct chunk *chunk = port->free_chunks, **last = &in->chunks;
    struct verbs_grant grant = { .address = (uintptr_t)chunk->bytes };
    uint64_t left = in->match->bytes - in->granted;

    port->free_chunks = chunk->next;
    chunk->next = NULL;
    while (*last)
        last = &(*last)->next;
    *last = chunk;
    chunk->offset = in->granted;
    chunk->length = left < port->chunk ? left : port->chunk;
    chunk->filled = 0;
    for (int i = 0; i < e->nrails; i++)
        if (chunk->mr[e->rails[i].adapter->index])
            grant.rkey[i] = chunk->mr[e->rails[i].adapter->index]->rkey;
    in->asked = true;
    in->granted += chunk->length;
    verbs_control(e, VERBS_GRANT_TO, &in->message, in->match->bytes, chunk->offset,
                  chunk->length, &grant);
}

static bool chunks_wanted(const struct incoming *in)
{
    int n = 0;

    for (const struct chunk *c = in->chunks; c; c = c->next)
        n++;
    return n < IN_FLIGHT && in->granted < in->match->bytes;
}

/* As many chunks as it may have; what is missing comes when others give theirs. */
static void grant_chunks(struct endpoint *e, struct incoming *in)
{
    struct port *port = e->port;

    while (chunks_wanted(in) && port->free_chunks && !verbs_lost(e))
        grant_chunk(e, in);
    if (chunks_wanted(in) && !in->wanting && !verbs_lost(e)) {
        in->wanting = true;
        in->next_wanting = NULL;
        *port->last_wanting = in;
        port->last_wanting = &in->next_wanting;
    }
}

void verbs_chunks_serve(struct port *port)
{
    while (port->wanting && port->free_chunks) {
        struct incoming *in = port->wanting;

        wanting_remove(port, in);
        grant_chunks(in->endpoint, in);
    }
}

/* A held message met its receive: let it come, or tell the sender to drop it. */
static void answer(struct endpoint *e, struct match *match)
{
    struct message message = { match->stream, match->number, match->signature };
    struct incoming *in = incoming_of(match);

    if (match->state == MATCH_REFUSED) {
        incoming_end(e, in);
        matching_drop(&e->matching, match);
        verbs_control(e, VERBS_REFUSED, &message, 0, 0, 0, NULL);
        return;
    }
    if (match->state != MATCH_LANDING || (in && in->asked))
        return;
    if (!in && !(in = incoming_begin(e, &message))) {
        verbs_break(e, PEAL_ERR_MEMORY, "verbs: no memory for a message of %s", e->name);
        return;
    }
    match->remote[0] = (uintptr_t)in;
    in->match = match;
    if (match->landing.how && match->bytes > 2 * e->piece && verbs_chunks_make(e->port) &&
        e->port->free_chunks)          /* else others are using them, who may be slow */
        grant_chunks(e, in);
    else if (!grant_straight(e, in, &match->landing))
        grant_ring(e, in, match->bytes);
}

int verbs_recv(struct endpoint *e, const struct message *message,
               const struct landing *landing, struct completion *done)
{
    struct match *const *slot = &e->matching.streams[message->stream]
                                    .slots[message->number % TRANSPORT_WINDOW];
    struct incoming *in;
    struct match *match;
    int status;

    if (e->failure && !*slot)
        status_fail(e->failure, "%s", e->why);
    status = matching_post(&e->matching, message, landing, done, &match);
    if (status || e->failure)
        return status;
    if (match) {
        answer(e, match);
    } else if (*slot && (*slot)->state == MATCH_POSTED) {
        (*slot)->remote[0] = 0;
        /* Where nothing is to be computed there is no reason to be asked first. */
        if (e->stage == STAGE_UP && landing->bytes > e->eager && !landing->how &&
            !verbs_lost(e) && (in = incoming_begin(e, message))) {
            (*slot)->remote[0] = (uintptr_t)in;
            if (!grant_straight(e, in, landing))
                grant_ring(e, in, landing->bytes);
        }
    }
    verbs_credit_tell(e, false);
    verbs_settle(e);
    verbs_activity(e);
    return PEAL_OK;
}

/* ---- What came -------------------------------------------------------------------- */

static int offend(struct endpoint *e, const struct verbs_frame *f, const char *what)
{
    return status_fail(PEAL_ERR_PROTOCOL, "%s sent %s (stream %u, message %u, %llu bytes)",
                       e->name, what, f->stream, f->number, (unsigned long long)f->total);
}

/* A message is here, or its announcement, or the first bytes of a granted one. */
static int arrive(struct endpoint *e, const struct verbs_frame *f, bool held,
                  struct match **match)
{
    struct message message = { f->stream, f->number, f->signature };
    struct match *posted = match_posted(e, f->stream, f->number);
    struct incoming *in = posted ? incoming_of(posted) : NULL;
    int status = matching_arrive(&e->matching, &message, f->total, held, match);

    if (status)
        return status;
    if (f->number - e->told_low[f->stream] >= TRANSPORT_WINDOW - 1)
        e->full[f->stream] = true;
    (*match)->remote[0] = (uintptr_t)in;
    if (in)
        in->match = *match;
    return PEAL_OK;
}

static int take_eager(struct endpoint *e, const struct verbs_frame *f,
                      const unsigned char *payload)
{
    struct match *match;
    int status = arrive(e, f, false, &match);

    if (status)
        return status;
    incoming_end(e, incoming_of(match));
    match->remote[0] = 0;
    matching_put(&e->matching, match, payload, f->length);
    return PEAL_OK;
}

static int take_announcement(struct endpoint *e, const struct verbs_frame *f)
{
    struct match *match;
    int status;

    if (f->total <= e->eager)
        return offend(e, f, "an announcement of a short message");
    status = arrive(e, f, true, &match);
    if (status == PEAL_OK)
        answer(e, match);
    return status;
}

/* The match of bytes that were granted: already moving, or posted and begun now. */
static int granted_match(struct endpoint *e, const struct verbs_frame *f, struct match **match)
{
    struct match *posted = match_posted(e, f->stream, f->number);
    int status;

    *match = matching_moving(&e->matching, f->stream, f->number);
    if (!*match) {
        if (!posted || !incoming_of(posted) || !incoming_of(posted)->asked ||
            posted->landing.bytes != f->total ||
            !signature_equal(&posted->signature, &f->signature))
            return offend(e, f, "bytes that nobody asked for");
        status = arrive(e, f, true, match);
        if (status)
            return status;
    }
    if ((*match)->state != MATCH_LANDING || !(*match)->held || !incoming_of(*match) ||
        !incoming_of(*match)->asked || (*match)->bytes != f->total ||
        f->length > f->total - (*match)->filled)
        return offend(e, f, "bytes of another message than was asked for");
    return PEAL_OK;
}

/* The sender has compared what it sends with what was granted. */
const char *verbs_ridden(const struct endpoint *e, uint32_t code, struct verbs_frame *frame)
{
    uint32_t at = code - VERBS_CODE_RIDES;
    const struct match *match =
        e->matching.streams[at / TRANSPORT_WINDOW].slots[at % TRANSPORT_WINDOW];

    if (!match || match->state != MATCH_POSTED || !incoming_of(match) ||
        !incoming_of(match)->region)
        return "the end of a message that was not granted";
    *frame = (struct verbs_frame){
        .kind = VERBS_DONE, .stream = match->stream, .number = match->number,
        .signature = match->signature, .total = match->landing.bytes,
        .length = match->landing.bytes
    };
    verbs_no_credit(e, frame);
    return NULL;
}

/* All of a chunk is here. */
static int chunk_land(struct endpoint *e, const struct verbs_frame *f, struct match *match,
                      struct incoming *in, struct chunk **at)
{
    struct chunk *chunk = *at;
    uint64_t length = chunk->length;
    int status;

    if (length > match->bytes - match->filled)
        return offend(e, f, "more bytes than were asked for");
    status = landing_put(&match->landing, chunk->offset, chunk->bytes, chunk->length);
    *at = chunk->next;
    chunk->next = e->port->free_chunks;
    e->port->free_chunks = chunk;
    if (matching_landed(&e->matching, match, length, status))
        incoming_end(e, in);
    else
        grant_chunks(e, in);
    verbs_chunks_serve(e->port);
    return PEAL_OK;
}

static int take_done(struct endpoint *e, const struct verbs_frame *f)
{
    struct match *match;
    struct incoming *in;
    struct chunk **at;
    int status = granted_match(e, f, &match);

    if (status)
        return status;
    in = incoming_of(match);
    if (in->streamed)
        return offend(e, f, "news of bytes of a message that comes through the ring");
    if (in->region) {
        if (matching_landed(&e->matching, match, f->length, PEAL_OK))
            incoming_end(e, in);
        return PEAL_OK;
    }
    for (at = &in->chunks; *at && (*at)->offset != f->offset; at = &(*at)->next)
        continue;
    if (!*at || f->length > (*at)->length - (*at)->filled)
        return offend(e, f, "news of bytes that were not granted");
    (*at)->filled += f->length;
    if ((*at)->filled == (*at)->length)
        return chunk_land(e, f, match, in, at);
    return PEAL_OK;
}

/* Through the ring, in order; the sender cannot or need not write to what was
 * granted. */
static int take_data(struct endpoint *e, const struct verbs_frame *f,
                     const unsigned char *payload)
{
    struct incoming *in;
    struct match *match;
    int status = granted_match(e, f, &match);

    if (status)
        return status;
    in = incoming_of(match);
    if (f->offset != match->filled || (match->filled > 0 && !in->streamed) ||
        (in->chunks && in->chunks->filled > 0))
        return offend(e, f, "a piece that is not the next");
    in->streamed = true;
    status = landing_put(&match->landing, f->offset, payload, f->length);
    if (matching_landed(&e->matching, match, f->length, status)) {
        incoming_end(e, in);
        verbs_chunks_serve(e->port);
    }
    return PEAL_OK;
}

static int take_frame(struct endpoint *e, const struct verbs_frame *f,
                      const unsigned char *payload)
{
    struct verbs_grant grant;
    const char *wrong = f->form == VERBS_HEADED ? verbs_credit_take(e, f) : NULL;

    switch (wrong ? VERBS_CREDIT : f->kind) {
    case VERBS_EAGER:
        return take_eager(e, f, payload);
    case VERBS_ANNOUNCE:
        return take_announcement(e, f);
    case VERBS_DONE:
        return take_done(e, f);
    case VERBS_DATA:
        return take_data(e, f, payload);
    case VERBS_GRANT_TO:
        verbs_grant_decode(payload, &grant);
        wrong = verbs_granted(e, f, &grant);
        break;
    case VERBS_REFUSED:
        wrong = verbs_refused(e, f);
        break;
    case VERBS_CREDIT:
        break;
    }
    return wrong ? offend(e, f, wrong) : PEAL_OK;
}

int verbs_take_frames(struct endpoint *e)
{
    const struct verbs_frame *frame;
    int moved = 0;

    for (; (frame = verbs_frame_next(e)); moved++) {
        int status = take_frame(e, frame, verbs_payload(e));

        verbs_frame_take(e);
        if (status)
            verbs_break(e, status, "%s", status_text());
    }
    return moved;
}
