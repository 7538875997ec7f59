/* SPDX-License-Identifier: BSD-3-Clause */
/* The receiving half: slots meet receives, and what was offered is fetched. */
#include "transports/shm/shm.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum {
    VIEW_PIECE   = 128 << 10,      /* landed at a time, from a mapping */
    BOUNCE_BYTES = 64 << 10,       /* read at a time, to be combined */
    PUT_OFF      = 64              /* looks for which an early message may be left lying */
};

static void notice_add(struct endpoint *endpoint, enum slot_kind kind, uint32_t stream,
                       uint32_t number, bool refused)
{
    if (endpoint->notice_head - endpoint->notice_tail == SHM_NOTICES) {
        shm_break(endpoint, status_fail(PEAL_ERR_PROTOCOL, "shm: %s offers more than it may",
                                        endpoint->peer));
        return;
    }
    endpoint->notices[endpoint->notice_head++ % SHM_NOTICES] =
        (struct notice){ .kind = (uint8_t)kind, .stream = (uint8_t)stream,
                         .number = number, .refused = refused };
}

int recv_notices(struct endpoint *endpoint)
{
    int moved = 0;

    for (; endpoint->notice_tail != endpoint->notice_head && ring_room_notice(endpoint); moved++) {
        struct notice *notice = &endpoint->notices[endpoint->notice_tail++ % SHM_NOTICES];
        struct message message = { .stream = notice->stream, .number = notice->number };
        struct match *match = matching_moving(&endpoint->matching, notice->stream,
                                              notice->number);
        struct slot_want want = { .offset = match ? match->filled : 0,
                                  .refused = notice->refused };

        if (notice->kind == SLOT_WANT)
            ring_put(endpoint, SLOT_WANT, &message, &want, sizeof want);
        else
            ring_put(endpoint, SLOT_TAKEN, &message, NULL, 0);
    }
    return moved;
}

void recv_taken(struct endpoint *endpoint, uint32_t stream, uint32_t number)
{
    notice_add(endpoint, SLOT_TAKEN, stream, number, false);
}

/* ---- Offers ------------------------------------------------------------------ */

static void offer_matched(struct endpoint *endpoint, struct match *match)
{
    if (match->state == MATCH_LANDING) {
        endpoint->pulls++;
        return;
    }
    if (match->remote[REMOTE_HOW] != FETCH_PLACED)
        notice_add(endpoint, SLOT_TAKEN, match->stream, match->number, false);
    matching_drop(&endpoint->matching, match);
}

/* Have the peer stream the rest. */
static void fetch_stream(struct endpoint *endpoint, struct match *match, bool refused)
{
    match->remote[REMOTE_HOW] = FETCH_STREAM;
    endpoint->pulls--;
    notice_add(endpoint, SLOT_WANT, match->stream, match->number, refused);
}

char *recv_seen(const struct endpoint *endpoint, const struct slot_offer *offer)
{
    uint32_t place = offer->share;

    if (place >= SHM_SHARES || !endpoint->views[place].base || endpoint->views[place].id != offer->share_id ||
        offer->share_offset > endpoint->views[place].length ||
        offer->length > endpoint->views[place].length - offer->share_offset)
        return NULL;
    return endpoint->views[place].base + offer->share_offset;
}

char *recv_view(struct endpoint *endpoint, const struct slot_offer *offer)
{
    char *view = recv_seen(endpoint, offer);

    if (view || offer->share >= SHM_SHARES)
        return view;
    link_read(endpoint);           /* its descriptor was sent before the offer */
    return recv_seen(endpoint, offer);
}

static const char *view_find(struct endpoint *endpoint, const struct match *match)
{
    struct slot_offer offer = {
        .length = match->bytes, .share_id = match->remote[REMOTE_ID],
        .share_offset = match->remote[REMOTE_OFFSET],
        .share = (uint32_t)match->remote[REMOTE_SHARE],
    };

    return recv_view(endpoint, &offer);
}

static bool has_gone(const struct endpoint *endpoint)
{
    struct pollfd polled = { .fd = endpoint->socket, .events = POLLRDHUP };

    return endpoint->socket < 0 ||
           (poll(&polled, 1, 0) > 0 && polled.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

void recv_close(struct endpoint *endpoint)
{
    uint64_t deadline = clock_deadline(1.0);

    if (!endpoint->area)
        return;
    atomic_exchange(&endpoint->area->sides[endpoint->me].closed, 1);
    atomic_thread_fence(memory_order_seq_cst);     /* before its owner writes there */
    /* The peer may be writing there; not if it has gone, and if it was stopped
     * it may never end. */
    while (atomic_load(&endpoint->area->sides[!endpoint->me].placing) &&
           !has_gone(endpoint) && clock_now() < deadline)
        sched_yield();
}

bool recv_closed(struct endpoint *endpoint)
{
    /* Its owner has `closed` set before it could write there again, so if it is
     * not set now, what we read was still the message. */
    if (!atomic_fetch_or_explicit(&endpoint->area->sides[!endpoint->me].closed, 0,
                                  memory_order_acq_rel))
        return false;
    if (!endpoint->broken)
        shm_break(endpoint, status_fail(PEAL_ERR_PEER, "shm: %s has closed its port",
                                        endpoint->peer));
    return true;
}

static ssize_t peer_read(struct endpoint *endpoint, uint64_t address, void *to, size_t bytes)
{
    struct iovec local = { .iov_base = to, .iov_len = bytes };
    struct iovec remote = { .iov_base = (void *)(uintptr_t)address, .iov_len = bytes };

    return process_vm_readv((pid_t)endpoint->pid, &local, 1, &remote, 1, 0);
}

/* May we read the peer's memory, and is it the peer's?  Tried when first needed,
 * and once more after the peer was asked to allow it. */
static bool peer_readable(struct endpoint *endpoint, bool *refused)
{
    uint64_t token;

    if (!endpoint->greeted)
        link_read(endpoint);
    if (endpoint->reads || endpoint->reads_left == 0 || !endpoint->greeted)
        return endpoint->reads;
    if (peer_read(endpoint, endpoint->peer_token_at, &token, sizeof token) == sizeof token) {
        endpoint->reads = token == endpoint->peer_token;
        endpoint->reads_left = 0;
    } else {
        *refused = errno == EPERM;
        endpoint->reads_left = *refused ? endpoint->reads_left - 1 : 0;
    }
    return endpoint->reads;
}

/* Read a piece; where nothing is combined and it has one place, straight to that.
 * Returns its bytes, 0 if the memory cannot be read. */
static size_t fetch_read(struct endpoint *endpoint, struct match *match, int *status)
{
    struct landing *landing = &match->landing;
    uint64_t from = match->remote[REMOTE_ADDRESS] + match->filled;
    bool straight = !landing->how && !landing->keep;
    size_t rest = match->bytes - match->filled, most = straight ? SHM_MOVE : BOUNCE_BYTES;
    size_t piece = rest < most ? rest : most;
    char *bounce = endpoint->port->bounce;
    ssize_t got;

    if (straight) {
        got = peer_read(endpoint, from, landing->dst + match->filled, piece);
        return got == (ssize_t)piece ? piece : 0;
    }
    if (!bounce && !(bounce = endpoint->port->bounce = malloc(BOUNCE_BYTES)))
        return 0;
    got = peer_read(endpoint, from, bounce, piece);
    if (got != (ssize_t)piece)
        return 0;
    relay_before(match, piece);
    *status = landing_put(landing, match->filled, bounce, piece);
    return piece;
}

/* The peer has placed it, in the end perhaps where it was to go. */
static size_t fetch_placed(struct endpoint *endpoint, struct match *match)
{
    const char *lies = (const char *)(uintptr_t)match->remote[REMOTE_ADDRESS];
    const struct landing *landing = &match->landing;       /* never relayed: what is expected is registered */
    size_t bytes = match->bytes;
    int status = lies == landing->dst && !landing->how ? PEAL_OK
                                                       : landing_put(landing, 0, lies, bytes);

    if (matching_landed(&endpoint->matching, match, bytes, status))
        endpoint->pulls--;
    return bytes;
}

/* Fetch the next piece of a match; returns its bytes. */
static size_t fetch_piece(struct endpoint *endpoint, struct match *match)
{
    uint32_t stream = match->stream, number = match->number;
    const char *view = match->remote[REMOTE_HOW] != FETCH_READ ? view_find(endpoint, match)
                                                               : NULL;
    struct landing landing = match->landing;
    size_t piece = match->bytes - match->filled;
    bool refused = false, closed, there = match->remote[REMOTE_ADDRESS] != 0;
    int status = PEAL_OK;

    if (view) {
        size_t most = landing.also ? SHM_PIECE : VIEW_PIECE;   /* it goes on by the ring's pieces */

        piece = piece < most ? piece : most;
        landing.lent = true;
        relay_before(match, piece);
        status = landing_put(&landing, match->filled, view + match->filled, piece);
    } else {
        match->remote[REMOTE_HOW] = FETCH_READ;
        piece = there && peer_readable(endpoint, &refused)
                    ? fetch_read(endpoint, match, &status) : 0;
        if (piece == 0) {
            fetch_stream(endpoint, match, refused);
            return 1;
        }
    }
    closed = recv_closed(endpoint);
    relay_after(&landing, piece, closed ? PEAL_ERR_PEER : status);
    if (!closed && matching_landed(&endpoint->matching, match, piece, status)) {
        endpoint->pulls--;
        notice_add(endpoint, SLOT_TAKEN, stream, number, false);
    }
    return piece;
}

int recv_fetch(struct endpoint *endpoint)
{
    size_t moved = 0;

    while (endpoint->pulls > 0 && moved < SHM_MOVE && !endpoint->broken) {
        struct match *oldest = NULL;

        for (struct match *m = endpoint->matching.moving; m; m = m->next)
            if (m->held && m->remote[REMOTE_HOW] != FETCH_STREAM)
                oldest = m;
        if (!oldest)
            break;
        moved += oldest->remote[REMOTE_HOW] == FETCH_PLACED ? fetch_placed(endpoint, oldest)
                                                            : fetch_piece(endpoint, oldest);
    }
    return moved > 0;
}

/* ---- Slots ------------------------------------------------------------------- */

static int length_wrong(const struct endpoint *endpoint)
{
    return status_fail(PEAL_ERR_PROTOCOL, "shm: %s sent a length that cannot be",
                       endpoint->peer);
}

static int take_small(struct endpoint *endpoint, const struct message *message,
                      const struct slot *slot, size_t length)
{
    struct match *match;
    int status = matching_arrive(&endpoint->matching, message, length, false, &match);

    if (status == PEAL_OK)
        matching_put(&endpoint->matching, match, slot->payload, length);
    return status;
}

static int take_eager(struct endpoint *endpoint, const struct message *message,
                      const struct slot_bytes *bytes)
{
    struct match *match;
    int status;

    if (bytes->length > TRANSPORT_EAGER || !ring_holds(endpoint, bytes))
        return length_wrong(endpoint);
    status = matching_arrive(&endpoint->matching, message, bytes->length, false, &match);
    if (status == PEAL_OK)
        ring_land(endpoint, match, bytes);
    return status;
}

static int take_offer(struct endpoint *endpoint, const struct message *message,
                      const struct slot_offer *offer)
{
    struct match *match;
    int status;

    if (offer->length <= SHM_INLINE)
        return length_wrong(endpoint);
    status = matching_arrive(&endpoint->matching, message, offer->length, true, &match);
    if (status)
        return status;
    match->remote[REMOTE_HOW] = FETCH_NEW;
    match->remote[REMOTE_ADDRESS] = offer->address;
    match->remote[REMOTE_SHARE] = offer->share;
    match->remote[REMOTE_ID] = offer->share_id;
    match->remote[REMOTE_OFFSET] = offer->share_offset;
    if (match->state != MATCH_EARLY)
        offer_matched(endpoint, match);
    return PEAL_OK;
}

static int take_placed(struct endpoint *endpoint, const struct message *message,
                       const struct slot_bytes *bytes)
{
    char *lies = place_find(endpoint, message, bytes->length);
    struct match *match;
    int status;

    if (!lies)
        return status_fail(PEAL_ERR_PROTOCOL, "shm: %s says that it placed a message where "
                           "none was expected", endpoint->peer);
    status = matching_arrive(&endpoint->matching, message, bytes->length, true, &match);
    if (status)
        return status;
    match->remote[REMOTE_HOW] = FETCH_PLACED;
    match->remote[REMOTE_ADDRESS] = (uintptr_t)lies;
    if (match->state != MATCH_EARLY)
        offer_matched(endpoint, match);
    return PEAL_OK;
}

static int take_data(struct endpoint *endpoint, const struct message *message,
                     const struct slot_bytes *bytes)
{
    struct match *match = matching_moving(&endpoint->matching, message->stream,
                                          message->number);

    if (!match || !match->held || match->remote[REMOTE_HOW] != FETCH_STREAM ||
        bytes->offset != match->filled || bytes->length == 0 ||
        !ring_holds(endpoint, bytes) || bytes->length > match->bytes - match->filled ||
        (bytes->length % SHM_LINE && bytes->length != match->bytes - match->filled))
        return length_wrong(endpoint);
    ring_land(endpoint, match, bytes);
    return PEAL_OK;
}

int recv_slot(struct endpoint *endpoint, const struct slot *slot, uint32_t mark)
{
    struct message message = { mark >> 8 & 0xf, slot->number, slot->signature };
    struct slot_offer offer;
    struct slot_bytes bytes;
    struct slot_want want;

    if (message.stream >= TRANSPORT_STREAMS || (mark & 0xff) > SHM_INLINE)
        return length_wrong(endpoint);
    switch (mark >> 12 & 0xf) {
    case SLOT_SMALL:
        return take_small(endpoint, &message, slot, mark & 0xff);
    case SLOT_EAGER:
        memcpy(&bytes, slot->payload, sizeof bytes);
        return take_eager(endpoint, &message, &bytes);
    case SLOT_OFFER:
        memcpy(&offer, slot->payload, sizeof offer);
        return take_offer(endpoint, &message, &offer);
    case SLOT_TAKEN:
        return send_taken(endpoint, message.stream, message.number);
    case SLOT_WANT:
        memcpy(&want, slot->payload, sizeof want);
        return send_wanted(endpoint, message.stream, message.number, &want);
    case SLOT_DATA:
        memcpy(&bytes, slot->payload, sizeof bytes);
        return take_data(endpoint, &message, &bytes);
    case SLOT_EXPECT:
        memcpy(&offer, slot->payload, sizeof offer);
        place_expected(endpoint, &message, &offer);
        return PEAL_OK;
    case SLOT_PLACED:
        memcpy(&bytes, slot->payload, sizeof bytes);
        return take_placed(endpoint, &message, &bytes);
    }
    return status_fail(PEAL_ERR_PROTOCOL, "shm: %s sent a slot of kind %u", endpoint->peer,
                       mark >> 12 & 0xf);
}

/* An early message would be copied once more than if it lay until its receive is
 * posted.  It may lie while nothing behind it is waited for, and not for long: the
 * sender has been promised that it will be taken.  Once that time is over, what lies
 * behind it does not lie either. */
static bool may_lie(struct endpoint *endpoint, uint32_t mark)
{
    return (mark >> 12 & 0xf) == SLOT_EAGER && !endpoint->matching.posted &&
           !endpoint->matching.moving && !endpoint->offered && endpoint->socket >= 0 &&
           ++endpoint->put_off <= PUT_OFF;
}

int recv_slots(struct endpoint *endpoint)
{
    struct slot *slot = NULL;
    uint32_t mark;
    int moved = 0;

    while (moved < SHM_SLOTS && !endpoint->broken && (slot = ring_next(endpoint, &mark)) &&
           !may_lie(endpoint, mark)) {
        unsigned posted = endpoint->matching.posted;

        shm_break(endpoint, recv_slot(endpoint, slot, mark));
        if (endpoint->matching.posted < posted)
            endpoint->put_off = 0;         /* what lies behind it has not lain long */
        endpoint->slot_tail++;
        moved++;
    }
    if (!slot)
        endpoint->put_off = 0;
    if (moved > 0)
        ring_publish(endpoint);
    return moved;
}

int shm_recv(struct endpoint *from, const struct message *message,
             const struct landing *landing, struct completion *done)
{
    struct match *match;
    int status;

    if (from->matching.failure)
        status_fail(from->broken, "%s", from->why);
    status = matching_post(&from->matching, message, landing, done, &match);
    if (status)
        return status;
    if (match)
        offer_matched(from, match);
    if (from->area &&
        from->published_low[message->stream] != matching_low(&from->matching,
                                                             message->stream))
        ring_publish(from);
    return PEAL_OK;
}
