/* SPDX-License-Identifier: BSD-3-Clause */
/* A message of UCX's came in.  Nothing of it is used before it was compared with what
 * this side knows. */
#include "transports/ucx/ucx.h"

#include "base/log.h"

#include <string.h>

static void offend(struct endpoint *e, const struct ucx_header *h, const char *what)
{
    ucx_endpoint_break(e, PEAL_ERR_PROTOCOL, "%s sent %s (stream %u, message %u)", e->name,
                       what, h->stream, h->number);
}

static void told(struct endpoint *e, const struct ucx_header *h)
{
    if (h->number - e->told[h->stream] >= TRANSPORT_WINDOW - 1) {
        e->full[h->stream] = true;
        ucx_endpoint_due(e);
    }
}

/* A message of up to TRANSPORT_EAGER bytes.  True: UCX's descriptor is in use. */
static bool arrive_whole(struct endpoint *e, const struct ucx_header *h, void *data,
                         size_t length, bool offered)
{
    struct message message = { h->stream, h->number, h->signature };
    struct match *match;
    int status;

    if (length > TRANSPORT_EAGER || (offered && length == 0)) {
        offend(e, h, "a message in a way that does not fit its length");
        return false;
    }
    status = matching_arrive(&e->matching, &message, length, false, &match);
    if (status) {
        ucx_endpoint_break(e, status, "%s", status_text());
        return false;
    }
    told(e, h);
    if (offered)
        return ucx_offer(e, match, data, 0, length);
    matching_put(&e->matching, match, data, length);
    return false;
}

/* Of a message that was begun before. */
static struct match *begun(struct endpoint *e, const struct ucx_header *h)
{
    struct match *match = e->matching.streams[h->stream].slots[h->number % TRANSPORT_WINDOW];

    if (match && match->number == h->number && match->state == MATCH_EARLY && match->held)
        return match;
    match = matching_moving(&e->matching, h->stream, h->number);
    return match && match->held ? match : NULL;
}

/* Each piece comes once.  What is wrong, or NULL. */
static const char *piece_check(const struct endpoint *e, struct match *match,
                               const struct ucx_header *h, size_t length)
{
    uint64_t left = h->total - h->offset;

    if (match->bytes != h->total || (match->state != MATCH_REFUSED &&
                                     !signature_equal(&match->signature, &h->signature)))
        return "a piece of another message";
    if (length != (left < e->chunk ? left : e->chunk))
        return "a piece of another length";
    return ucx_offer_due(e, match, h->offset) ? NULL : "a piece that is not due";
}

static bool arrive_piece(struct endpoint *e, const struct ucx_header *h, void *offer,
                         size_t length, bool offered)
{
    struct message message = { h->stream, h->number, h->signature };
    struct match *match;
    const char *wrong;
    int status;

    if (!offered || h->total <= TRANSPORT_EAGER || h->total > UCX_TOTAL_HIGH ||
        h->offset >= h->total || h->offset % e->chunk != 0) {
        offend(e, h, "a piece of no message");
        return false;
    }
    if (!(match = begun(e, h))) {
        status = matching_arrive(&e->matching, &message, h->total, true, &match);
        if (status) {
            ucx_endpoint_break(e, status, "%s", status_text());
            return false;
        }
        ucx_offer_first(match);
        told(e, h);
    }
    if ((wrong = piece_check(e, match, h, length))) {
        offend(e, h, wrong);
        return false;
    }
    return ucx_offer(e, match, offer, (size_t)h->offset, length);
}

/* True: UCX's descriptor is in use. */
static bool arrive(struct endpoint *e, const struct ucx_header *h, void *data, size_t length,
                   bool offered)
{
    const char *wrong = ucx_credit_take(e, h);

    if (!wrong && (h->stream >= TRANSPORT_STREAMS || h->zero != 0))
        wrong = "a header with impossible values";
    if (!wrong && h->kind == UCX_WHOLE)
        return arrive_whole(e, h, data, length, offered);
    if (!wrong && h->kind == UCX_PIECE)
        return arrive_piece(e, h, data, length, offered);
    if (!wrong && ((h->kind != UCX_CREDIT && h->kind != UCX_READY) || length > 0))
        wrong = "a header of unknown kind";
    if (!wrong && h->kind == UCX_READY) {
        e->ready_came = true;
        ucx_endpoint_due(e);
    }
    if (wrong)
        offend(e, h, wrong);
    return false;
}

ucs_status_t ucx_arrive(void *user, const void *header, size_t header_length, void *data,
                        size_t length, const ucp_am_recv_param_t *how)
{
    bool offered = how->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV, used;
    struct port *port = user;
    struct endpoint *e = NULL;
    struct ucx_header h = { .kind = 0 };

    if (header_length >= UCX_SHORT_HEADER && header_length <= sizeof h) {
        memcpy(&h, header, header_length);
        if (h.from < (uint32_t)port->options.nranks)
            e = port->peers[h.from];
    }
    if (!e || h.key != e->key ||
        header_length != (h.kind == UCX_PIECE ? sizeof h : UCX_SHORT_HEADER)) {
        log_debug("ucx: dropped a message of %zu bytes without the right key", length);
        return UCS_OK;
    }
    e->received++;
    if (e->broken || e->closed)
        return UCS_OK;
    used = arrive(e, &h, data, length, offered);
    if (!e->broken)
        ucx_credit_tell(e, false);
    if (e->leaving > 0)
        ucx_socket_answer(e);
    return used ? UCS_INPROGRESS : UCS_OK;
}
