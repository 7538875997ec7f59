/* SPDX-License-Identifier: BSD-3-Clause */
/* What lands is sent on as it comes: stored where it is to land, and in the ring to the next
 * peer, in one pass, instead of being read once more when the send begins.  The offer is made
 * when the receive is posted, so that the peer has said by then that it wants it.
 *
 * A piece for which there is no place in the ring, because the peer has not answered, the
 * ring is full or ends there, or a copy is to be timed, only lands; it is copied when there is
 * room (send_stream()), and no piece is stored in the ring before it. */
#include "transports/shm/shm.h"

_Static_assert(offsetof(struct outgoing, also) == 0, "an outgoing is found by it");

static struct outgoing *relay_of(const struct landing *landing)
{
    struct outgoing *out = (struct outgoing *)landing->also;

    return out && out->to && !out->spoiled ? out : NULL;
}

void relay_before(const struct match *match, size_t length)
{
    struct outgoing *out = relay_of(&match->landing);

    if (!out)
        return;
    out->also.place = NULL;
    if (out->streams && out->sent == out->landed && length <= SHM_PIECE)
        ring_place(out->to, length, &out->also);
}

void relay_after(const struct landing *landing, size_t length, int status)
{
    struct outgoing *out = relay_of(landing);
    bool placed = out && out->also.place;

    if (!out)
        return;
    out->also.place = NULL;
    if (status)                    /* what the peer would get is wrong; the call has failed */
        out->spoiled = true;
    else if (placed)
        send_placed(out, length);
    else
        send_more(out, length);
}

bool relay_put(struct endpoint *from, struct match *match, const char *piece, size_t length)
{
    struct landing landing;
    int status;

    if (match->state != MATCH_LANDING || !match->landing.also)
        return matching_put(&from->matching, match, piece, length);
    landing = match->landing;
    relay_before(match, length);
    status = landing_put(&landing, match->filled, piece, length);
    relay_after(&landing, length, status);
    return matching_landed(&from->matching, match, length, status);
}

/* Registered memory is not relayed: the peer sees it where it has landed. */
int shm_relay(struct endpoint *from, const struct message *message,
              const struct landing *landing, struct completion *landed,
              struct endpoint *to, const struct message *onward, struct completion *sent)
{
    struct landing relayed = *landing;
    struct memory_share share;
    struct outgoing *out;
    int status;

    if (!from->area || !to->area || from->matching.failure || to->matching.failure ||
        landing->bytes <= TRANSPORT_EAGER || memory_find(landing->dst, landing->bytes, &share) ||
        !ring_window(to, onward->stream, onward->number))
        return STATUS_AGAIN;
    out = send_prepare(to, onward, landing->dst, landing->bytes, sent, &status);
    if (!out)
        return status;
    out->landed = 0;
    out->relayed = true;
    relayed.also = &out->also;
    status = shm_recv(from, message, &relayed, landed);
    if (status) {
        pool_give(&to->port->outs, out);
        return status;
    }
    send_offer(out, onward, NULL);
    return PEAL_OK;
}
