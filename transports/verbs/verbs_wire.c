/* SPDX-License-Identifier: BSD-3-Clause */
#include "transports/verbs/verbs_wire.h"

#include "transports/little_endian.h"

#include <string.h>

enum { FRAME_MAGIC = 0x76, WIRE_VERSION = 4, RECORD_MAGIC = 0x7650 };
_Static_assert(TRANSPORT_STREAMS == 2, "the header has room for two lows");

/* ---- Frames --------------------------------------------------------------- */

void verbs_frame_encode(const struct verbs_frame *f, unsigned char wire[VERBS_HEADER])
{
    wire[0] = FRAME_MAGIC;
    wire[1] = WIRE_VERSION;
    wire[2] = (unsigned char)f->kind;
    wire[3] = (unsigned char)f->stream;
    little_put(wire + 4, f->number, 4);
    little_put(wire + 8, f->signature.what, 8);
    little_put(wire + 16, f->signature.count, 8);
    little_put(wire + 24, f->total, 8);
    little_put(wire + 32, f->offset, 8);
    little_put(wire + 40, f->length, 8);
    little_put(wire + 48, f->taken, 4);
    little_put(wire + 52, f->low[0], 4);
    little_put(wire + 56, f->low[1], 4);
    little_put(wire + 60, f->communicator, 4);
}

/* The rules of each kind. */
static const char *check_kind(const struct verbs_frame *f)
{
    if (f->offset > f->total || f->length > f->total - f->offset)
        return "bytes beyond the end of their message";
    switch (f->kind) {
    case VERBS_EAGER:
        if (f->total > TRANSPORT_EAGER)
            return "a long message without announcement";
        return f->offset == 0 && f->length == f->total ? NULL : "a part of a short message";
    case VERBS_DATA:
        if (f->length == 0 || f->length > TRANSPORT_EAGER)
            return "a piece of impossible length";
        return f->offset % VERBS_HEADER == 0 ? NULL : "a piece at an odd offset";
    case VERBS_DONE:
        return f->length > 0 ? NULL : "news of no bytes";
    case VERBS_GRANT_TO:
        return f->length > 0 ? NULL : "a grant of nothing";
    case VERBS_ANNOUNCE:
    case VERBS_REFUSED:
        return f->offset == 0 && f->length == 0 ? NULL : "bytes where none belong";
    case VERBS_CREDIT:
        return f->total == 0 ? NULL : "a credit with bytes";
    }
    return "a frame of unknown kind";
}

const char *verbs_frame_decode(const unsigned char wire[VERBS_HEADER],
                               struct verbs_frame *frame)
{
    struct verbs_frame f;
    const char *wrong;

    if (wire[0] != FRAME_MAGIC)
        return "no frame where one must be";
    if (wire[1] != WIRE_VERSION)
        return "a frame of another protocol version (is it another release of Peal?)";
    if (wire[2] < VERBS_EAGER || wire[2] > VERBS_CREDIT)
        return "a frame of unknown kind";
    f.kind = (enum verbs_kind)wire[2];
    f.form = VERBS_HEADED;
    f.stream = wire[3];
    f.number = (uint32_t)little_get(wire + 4, 4);
    f.signature.what = little_get(wire + 8, 8);
    f.signature.count = little_get(wire + 16, 8);
    f.total = little_get(wire + 24, 8);
    f.offset = little_get(wire + 32, 8);
    f.length = little_get(wire + 40, 8);
    f.taken = (uint32_t)little_get(wire + 48, 4);
    f.low[0] = (uint32_t)little_get(wire + 52, 4);
    f.low[1] = (uint32_t)little_get(wire + 56, 4);
    f.communicator = (uint32_t)little_get(wire + 60, 4);
    if (f.stream >= TRANSPORT_STREAMS)
        return "a stream that does not exist";
    if (f.total > VERBS_TOTAL_HIGH)
        return "a message of impossible length";
    wrong = check_kind(&f);
    if (!wrong)
        *frame = f;
    return wrong;
}

void verbs_grant_encode(const struct verbs_grant *grant, unsigned char wire[VERBS_GRANT])
{
    little_put(wire, grant->address, 8);
    for (int i = 0; i < VERBS_RAILS; i++)
        little_put(wire + 8 + 4 * i, grant->rkey[i], 4);
}

void verbs_grant_decode(const unsigned char wire[VERBS_GRANT], struct verbs_grant *grant)
{
    grant->address = little_get(wire, 8);
    for (int i = 0; i < VERBS_RAILS; i++)
        grant->rkey[i] = (uint32_t)little_get(wire + 8 + 4 * i, 4);
}

/* ---- Records --------------------------------------------------------------- */

enum {
    RAIL_BYTES    = VERBS_DEVICE + 6 * 4 + 16 * VERBS_FAMILIES,
    OFFER_BYTES   = 8 + 4 * 4 + VERBS_RAILS * RAIL_BYTES,
    QUEUE_BYTES   = 4 * 4 + VERBS_NONCE,
    CONNECT_BYTES = 8 + 4 + VERBS_RAILS * QUEUE_BYTES,
    DOWN_BYTES    = 8 + VERBS_FRAMES / 8,
    REJOIN_BYTES  = 4 + 4 + QUEUE_BYTES + RAIL_BYTES
};
_Static_assert(VERBS_RECORD_HEAD + OFFER_BYTES <= VERBS_RECORD_MOST, "all records have room");

static unsigned char *put_head(unsigned char *wire, enum verbs_record kind, size_t length)
{
    little_put(wire, RECORD_MAGIC, 2);
    wire[2] = WIRE_VERSION;
    wire[3] = (unsigned char)kind;
    little_put(wire + 4, length, 4);
    return wire + VERBS_RECORD_HEAD;
}

static const size_t lengths[] = { [VERBS_OFFER] = OFFER_BYTES, [VERBS_CONNECT] = CONNECT_BYTES,
                                  [VERBS_READY] = 0, [VERBS_DOWN] = DOWN_BYTES,
                                  [VERBS_REJOIN] = REJOIN_BYTES };

const char *verbs_record_decode(const unsigned char head[VERBS_RECORD_HEAD],
                                enum verbs_record *kind, size_t *length)
{
    if (little_get(head, 2) != RECORD_MAGIC)
        return "no record where one must be";
    if (head[2] != WIRE_VERSION)
        return "a record of another protocol version (is it another release of Peal?)";
    if (head[3] < VERBS_OFFER || head[3] > VERBS_REJOIN)
        return "a record of unknown kind";
    if (little_get(head + 4, 4) != lengths[head[3]])
        return "a record of another length than its kind has";
    *kind = (enum verbs_record)head[3];
    *length = lengths[head[3]];
    return NULL;
}

static void rail_encode(const struct verbs_offer_rail *rail, unsigned char *at)
{
    const uint32_t numbers[] = { rail->port, rail->link, rail->mtu, rail->lid, rail->rate,
                                 rail->families };

    memcpy(at, rail->device, VERBS_DEVICE);
    for (size_t k = 0; k < 6; k++)
        little_put(at + VERBS_DEVICE + 4 * k, numbers[k], 4);
    memcpy(at + VERBS_DEVICE + 24, rail->gids, sizeof rail->gids);
}

size_t verbs_offer_encode(const struct verbs_offer *offer, unsigned char *wire)
{
    unsigned char *at = put_head(wire, VERBS_OFFER, OFFER_BYTES);

    memset(at, 0, OFFER_BYTES);
    little_put(at, offer->communicator, 8);
    little_put(at + 8, offer->eager, 4);
    little_put(at + 12, offer->ring, 4);
    little_put(at + 16, offer->frames, 4);
    little_put(at + 20, offer->nrails, 4);
    at += 24;
    for (uint32_t i = 0; i < offer->nrails; i++, at += RAIL_BYTES)
        rail_encode(&offer->rails[i], at);
    return VERBS_RECORD_HEAD + OFFER_BYTES;
}

/* The name goes into error texts. */
static const char *rail_decode(const unsigned char *at, struct verbs_offer_rail *rail)
{
    uint32_t numbers[6];

    memcpy(rail->device, at, VERBS_DEVICE);
    if (!memchr(rail->device, 0, VERBS_DEVICE))
        return "a device's name without an end";
    for (char *c = rail->device; *c; c++)
        if (*c <= ' ' || *c >= 127)
            return "a device's name that is none";
    for (size_t k = 0; k < 6; k++)
        numbers[k] = (uint32_t)little_get(at + VERBS_DEVICE + 4 * k, 4);
    rail->port = numbers[0];
    rail->link = numbers[1];
    rail->mtu = numbers[2];
    rail->lid = numbers[3];
    rail->rate = numbers[4];
    rail->families = numbers[5];
    memcpy(rail->gids, at + VERBS_DEVICE + 24, sizeof rail->gids);
    if (rail->port == 0 || rail->port > 255 || rail->link < VERBS_INFINIBAND ||
        rail->link > VERBS_IWARP || rail->mtu < 1 || rail->mtu > 5 || rail->lid > 0xffff ||
        rail->rate == 0 || rail->families >= 1 << VERBS_FAMILIES)
        return "an impossible port of a device";
    return NULL;
}

const char *verbs_offer_decode(const unsigned char *at, struct verbs_offer *offer)
{
    struct verbs_offer o = { .communicator = little_get(at, 8) };
    const char *wrong = NULL;

    o.eager = (uint32_t)little_get(at + 8, 4);
    o.ring = (uint32_t)little_get(at + 12, 4);
    o.frames = (uint32_t)little_get(at + 16, 4);
    o.nrails = (uint32_t)little_get(at + 20, 4);
    if (o.eager > TRANSPORT_EAGER || o.ring < VERBS_RING_LOW || o.ring > VERBS_RING_HIGH ||
        (o.ring & (o.ring - 1)) != 0 || o.frames < 8 || o.frames > VERBS_FRAMES ||
        (o.frames & (o.frames - 1)) != 0)
        return "an offer of an impossible ring";
    if (o.nrails < 1 || o.nrails > VERBS_RAILS)
        return "an offer of no rails, or of too many";
    for (uint32_t i = 0; i < o.nrails && !wrong; i++)
        wrong = rail_decode(at + 24 + i * RAIL_BYTES, &o.rails[i]);
    if (!wrong)
        *offer = o;
    return wrong;
}

static void queue_pair_encode(const struct verbs_connect_rail *rail, unsigned char *at)
{
    little_put(at, rail->qpn, 4);
    little_put(at + 4, rail->psn, 4);
    little_put(at + 8, rail->rkey, 4);
    little_put(at + 12, rail->port, 4);
    memcpy(at + 16, rail->nonce, VERBS_NONCE);
}

static const char *queue_pair_decode(const unsigned char *at, struct verbs_connect_rail *rail)
{
    rail->qpn = (uint32_t)little_get(at, 4);
    rail->psn = (uint32_t)little_get(at + 4, 4);
    rail->rkey = (uint32_t)little_get(at + 8, 4);
    rail->port = (uint32_t)little_get(at + 12, 4);
    memcpy(rail->nonce, at + 16, VERBS_NONCE);
    return rail->qpn >> 24 || rail->psn >> 24 || rail->port > 0xffff ? "an impossible queue pair"
                                                                     : NULL;
}

size_t verbs_connect_encode(const struct verbs_connect *connect, unsigned char *wire)
{
    unsigned char *at = put_head(wire, VERBS_CONNECT, CONNECT_BYTES);

    memset(at, 0, CONNECT_BYTES);
    little_put(at, connect->ring, 8);
    little_put(at + 8, connect->nrails, 4);
    at += 12;
    for (uint32_t i = 0; i < connect->nrails; i++, at += QUEUE_BYTES)
        queue_pair_encode(&connect->rails[i], at);
    return VERBS_RECORD_HEAD + CONNECT_BYTES;
}

const char *verbs_connect_decode(const unsigned char *at, struct verbs_connect *connect)
{
    struct verbs_connect c = { .ring = little_get(at, 8), .nrails = (uint32_t)little_get(at + 8, 4) };
    const char *wrong = NULL;

    if (c.nrails < 1 || c.nrails > VERBS_RAILS)
        return "queue pairs for no rails, or for too many";
    for (uint32_t i = 0; i < c.nrails && !wrong; i++)
        wrong = queue_pair_decode(at + 12 + i * QUEUE_BYTES, &c.rails[i]);
    if (!wrong)
        *connect = c;
    return wrong;
}

size_t verbs_ready_encode(unsigned char *wire)
{
    put_head(wire, VERBS_READY, 0);
    return VERBS_RECORD_HEAD;
}

size_t verbs_down_encode(const struct verbs_down *down, unsigned char *wire)
{
    unsigned char *at = put_head(wire, VERBS_DOWN, DOWN_BYTES);

    little_put(at, down->rail, 4);
    little_put(at + 4, down->taken, 4);
    for (int i = 0; i < VERBS_FRAMES / 64; i++)
        little_put(at + 8 + 8 * i, down->came[i], 8);
    return VERBS_RECORD_HEAD + DOWN_BYTES;
}

const char *verbs_down_decode(const unsigned char *at, struct verbs_down *down)
{
    down->rail = (uint32_t)little_get(at, 4);
    down->taken = (uint32_t)little_get(at + 4, 4);
    for (int i = 0; i < VERBS_FRAMES / 64; i++)
        down->came[i] = little_get(at + 8 + 8 * i, 8);
    return down->rail < VERBS_RAILS ? NULL : "news of a rail that does not exist";
}

static bool has_queue_pair(enum verbs_step step)
{
    return step == VERBS_OFFERS || step == VERBS_ANSWERS;
}

size_t verbs_rejoin_encode(const struct verbs_rejoin *rejoin, unsigned char *wire)
{
    unsigned char *at = put_head(wire, VERBS_REJOIN, REJOIN_BYTES);

    memset(at, 0, REJOIN_BYTES);
    little_put(at, rejoin->rail, 4);
    little_put(at + 4, rejoin->step, 4);
    if (has_queue_pair(rejoin->step)) {
        queue_pair_encode(&rejoin->queue_pair, at + 8);
        rail_encode(&rejoin->port, at + 8 + QUEUE_BYTES);
    }
    return VERBS_RECORD_HEAD + REJOIN_BYTES;
}

const char *verbs_rejoin_decode(const unsigned char *at, struct verbs_rejoin *rejoin)
{
    uint32_t step = (uint32_t)little_get(at + 4, 4);
    const char *wrong = NULL;

    memset(rejoin, 0, sizeof *rejoin);
    rejoin->rail = (uint32_t)little_get(at, 4);
    rejoin->step = (enum verbs_step)step;
    if (rejoin->rail >= VERBS_RAILS)
        return "news of a rail that does not exist";
    if (step < VERBS_ASKS || step > VERBS_USES)
        return "an unknown step to join a rail again";
    if (has_queue_pair(rejoin->step))
        wrong = queue_pair_decode(at + 8, &rejoin->queue_pair);
    if (has_queue_pair(rejoin->step) && !wrong)
        wrong = rail_decode(at + 8 + QUEUE_BYTES, &rejoin->port);
    return wrong;
}
