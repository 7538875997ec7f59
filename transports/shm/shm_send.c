/* SPDX-License-Identifier: BSD-3-Clause */
/* The sending half: into the ring at once, or as an offer that the peer takes. */
#include "transports/shm/shm.h"

#include "base/log.h"

#include <stdlib.h>
#include <sys/prctl.h>

enum {
    SHARE_BYTES = 4 << 10,         /* from here on a mapping beats the ring */
    RELAY_AHEAD = 256 << 10        /* of the ring, for what is sent beside relays */
};

static struct outgoing **out_slot(struct endpoint *endpoint, uint32_t stream, uint32_t number)
{
    return &endpoint->outs[stream][number % TRANSPORT_WINDOW];
}

/* Copy what is not kept yet, up to there. */
static void keep_up(struct outgoing *out, size_t end)
{
    size_t at = out->kept;

    if (!out->keep.dst || at >= end)
        return;
    landing_put(&out->keep, at, out->bytes + at, end - at);
    out->kept = end;
}

/* The send has ended: its memory is the owner's again. */
static void out_done(struct endpoint *endpoint, struct outgoing *out, int status)
{
    struct port *port = endpoint->port;

    if (status == PEAL_OK)
        keep_up(out, out->length);
    completion_done(port->options.completions, out->done, status);
    if (out->share >= 0)
        endpoint->shares[out->share].users--;
    *out_slot(endpoint, out->stream, out->number) = NULL;
    endpoint->offered--;
    endpoint->relays -= out->relayed;
    out->to = NULL;
    if (out->landed == out->length)    /* else a landing still knows it; the port frees it */
        pool_give(&port->outs, out);
}

struct outgoing *send_prepare(struct endpoint *to, const struct message *message,
                              const void *bytes, size_t length, struct completion *done,
                              int *status)
{
    struct outgoing *out;

    *status = STATUS_AGAIN;
    if (*out_slot(to, message->stream, message->number) || !ring_room(to, 0))
        return NULL;
    out = pool_take(&to->port->outs);
    if (!out) {
        *status = status_fail(PEAL_ERR_MEMORY, "shm: no memory to send to %s", to->peer);
        return NULL;
    }
    *out = (struct outgoing){
        .to = to, .bytes = bytes, .length = length, .landed = length, .done = done,
        .stream = message->stream, .number = message->number, .share = -1,
    };
    return out;
}

void send_offer(struct outgoing *out, const struct message *message,
                const struct memory_share *share)
{
    struct endpoint *to = out->to;
    struct slot_offer offer = { .length = out->length, .address = (uintptr_t)out->bytes };

    if (share && (out->share = link_share(to, share)) >= 0) {
        to->shares[out->share].users++;
        offer.share_id = share->id;
        offer.share_offset = share->offset;
    }
    if (out->relayed)
        offer.address = 0;             /* there is nothing to be read yet */
    offer.share = (uint32_t)out->share;
    *out_slot(to, message->stream, message->number) = out;
    to->offered++;
    to->relays += out->relayed;
    ring_put(to, SLOT_OFFER, message, &offer, sizeof offer);
}

/* `share`: where the bytes can be mapped, or NULL. */
static int offer_send(struct endpoint *to, const struct message *message, const void *bytes,
                      size_t length, const struct memory_share *share,
                      struct completion *done)
{
    int status;
    struct outgoing *out = send_prepare(to, message, bytes, length, done, &status);

    if (!out)
        return status;
    send_offer(out, message, share);
    return PEAL_OK;
}

int shm_send(struct endpoint *to, const struct message *message, const void *bytes,
             size_t length, struct completion *done)
{
    struct completion_queue *completions = to->port->options.completions;
    struct memory_share share;

    if (to->matching.failure) {
        status_fail(to->broken, "%s", to->why);
        completion_done(completions, done, to->matching.failure);
        return PEAL_OK;
    }
    if (!to->area || !ring_window(to, message->stream, message->number))
        return STATUS_AGAIN;
    if (length > SHARE_BYTES && memory_find(bytes, length, &share))
        return offer_send(to, message, bytes, length, &share, done);
    if (length > SHM_INLINE && length > shm_eager(to))
        return offer_send(to, message, bytes, length, NULL, done);
    if (!ring_room(to, length > SHM_INLINE ? length : 0))
        return STATUS_AGAIN;
    if (length <= SHM_INLINE)
        ring_put(to, SLOT_SMALL, message, bytes, length);
    else
        ring_put_bytes(to, SLOT_EAGER, message, 0, bytes, length);
    completion_done(completions, done, PEAL_OK);
    return PEAL_OK;
}

/* What goes through the ring, that is; registered memory is read by the peer. */
int shm_send_keep(struct endpoint *to, const struct message *message, const void *bytes,
                  size_t length, void *keep, bool streams, struct completion *done)
{
    struct memory_share share;
    struct outgoing *out;
    int status;

    if (memory_find(bytes, length, &share))
        return STATUS_AGAIN;
    if (length <= shm_eager(to)) {
        status = streams ? STATUS_AGAIN : shm_put_keep(to, message, bytes, length, keep);
        if (status == PEAL_OK)
            completion_done(to->port->options.completions, done, PEAL_OK);
        return status;
    }
    if (!to->area || to->matching.failure || length <= SHM_INLINE ||
        !ring_window(to, message->stream, message->number))
        return STATUS_AGAIN;
    out = send_prepare(to, message, bytes, length, done, &status);
    if (!out)
        return status;
    out->keep = (struct landing){ .dst = keep, .bytes = length, .streams = streams,
                                  .also = &out->also };
    send_offer(out, message, NULL);
    return PEAL_OK;
}

static int out_find(struct endpoint *endpoint, uint32_t stream, uint32_t number,
                    struct outgoing **out)
{
    struct outgoing *found = stream < TRANSPORT_STREAMS
                                 ? *out_slot(endpoint, stream, number) : NULL;

    if (!found || found->number != number || found->streams)
        return status_fail(PEAL_ERR_PROTOCOL, "shm: %s answers an offer that was not made",
                           endpoint->peer);
    *out = found;
    return PEAL_OK;
}

int send_taken(struct endpoint *endpoint, uint32_t stream, uint32_t number)
{
    struct outgoing *out = NULL;
    int status = out_find(endpoint, stream, number, &out);

    if (status == PEAL_OK)
        out_done(endpoint, out, PEAL_OK);
    return status;
}

/* The peer may not read our memory.  With Linux's Yama a process must name who
 * may; there is one place for that, and there may be several peers. */
static void reading_allow(struct endpoint *endpoint)
{
#ifdef PR_SET_PTRACER
    if (endpoint->port->reads_allowed && prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY) == 0)
        log_info("shm: allowed processes of this user to read this one's memory, for %s; "
                 "PEAL_SHM_CMA=0 prevents that", endpoint->peer);
#else
    (void)endpoint;
#endif
}

/* Some of it is to be put into the ring. */
static void queue(struct endpoint *endpoint, struct outgoing *out)
{
    out->next = NULL;
    *endpoint->wanted_last = out;
    endpoint->wanted_last = &out->next;
}

int send_wanted(struct endpoint *endpoint, uint32_t stream, uint32_t number,
                const struct slot_want *want)
{
    struct outgoing *out = NULL;
    int status = out_find(endpoint, stream, number, &out);

    if (status)
        return status;
    if (want->offset >= out->length)
        return status_fail(PEAL_ERR_PROTOCOL, "shm: %s wants bytes beyond the end",
                           endpoint->peer);
    if (want->refused)
        reading_allow(endpoint);
    if (out->relayed && want->offset > 0)
        return status_fail(PEAL_ERR_PROTOCOL, "shm: %s says that it has read what could not "
                           "be read", endpoint->peer);
    out->streams = true;
    out->sent = want->offset;
    if (out->sent < out->landed)
        queue(endpoint, out);
    return PEAL_OK;
}

void send_more(struct outgoing *out, size_t length)
{
    bool waited = out->sent == out->landed;

    out->landed += length;
    if (out->streams && waited)
        queue(out->to, out);
}

/* Into the ring and to where it is kept in one pass; false: not so.  Where string instructions pay,
 * and the ring is not to be spared a result past the caches, one copy after the other takes less time,
 * and the peer sees the first before the second. */
static bool place_piece(struct outgoing *out, size_t length)
{
    keep_up(out, out->sent);               /* the peer may have read some of it */
    if (out->kept != out->sent)
        return false;
    if (!ring_place(out->to, length, &out->also) || (out->also.strings && (!out->keep.streams || out->also.far))) {
        out->also.place = NULL;
        return false;
    }
    keep_up(out, out->sent + length);
    out->also.place = NULL;
    return true;
}

static void put_piece(struct outgoing *out, const char *bytes, size_t length)
{
    struct message message = { .stream = out->stream, .number = out->number };

    if (out->keep.dst && place_piece(out, length))
        bytes = NULL;
    ring_put_bytes(out->to, SLOT_DATA, &message, out->sent, bytes, length);
    out->sent += length;
    keep_up(out, out->sent);
}

void send_placed(struct outgoing *out, size_t length)
{
    put_piece(out, NULL, length);
    out->landed += length;
    if (out->sent == out->length)
        out_done(out->to, out, PEAL_OK);
}

int send_stream(struct endpoint *endpoint)
{
    size_t ahead = endpoint->ring / 2 < RELAY_AHEAD ? endpoint->ring / 2 : RELAY_AHEAD;
    size_t kept = endpoint->ring - ahead;
    int moved = 0;

    while (endpoint->wanted) {
        struct outgoing *out = endpoint->wanted;
        size_t rest = out->landed - out->sent;
        size_t most = endpoint->ring / 4 < SHM_PIECE ? endpoint->ring / 4 : SHM_PIECE;
        size_t piece = rest < most ? rest : most;
        bool first = out->relayed || endpoint->relays == 0;

        /* What is relayed would have to be copied if there were no room when it lands. */
        if (!ring_room(endpoint, first ? piece : piece + kept))
            break;
        put_piece(out, out->bytes + out->sent, piece);
        moved++;
        if (out->sent < out->landed)
            continue;
        endpoint->wanted = out->next;
        if (!endpoint->wanted)
            endpoint->wanted_last = &endpoint->wanted;
        if (out->sent == out->length)
            out_done(endpoint, out, PEAL_OK);
    }
    return moved;
}

bool send_pending(const struct endpoint *endpoint)
{
    for (int i = 0; i < TRANSPORT_STREAMS * TRANSPORT_WINDOW; i++) {
        const struct outgoing *out = endpoint->outs[i / TRANSPORT_WINDOW][i % TRANSPORT_WINDOW];

        if (out && out->landed == out->length)
            return true;
    }
    return false;
}

void send_fail(struct endpoint *endpoint, int status)
{
    for (int i = 0; i < TRANSPORT_STREAMS * TRANSPORT_WINDOW; i++) {
        struct outgoing *out = endpoint->outs[i / TRANSPORT_WINDOW][i % TRANSPORT_WINDOW];

        if (out)
            out_done(endpoint, out, status);
    }
    endpoint->wanted = NULL;
    endpoint->wanted_last = &endpoint->wanted;
}
