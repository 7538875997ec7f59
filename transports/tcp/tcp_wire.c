/* SPDX-License-Identifier: BSD-3-Clause */
#include "transports/tcp/tcp_wire.h"

#include "transports/little_endian.h"

#include <string.h>

_Static_assert(TRANSPORT_STREAMS == 2, "the header has room for two credits");

void tcp_wire_encode(const struct tcp_header *h, unsigned char wire[TCP_HEADER])
{
    little_put(wire, TCP_MAGIC, 2);
    wire[2] = TCP_VERSION;
    wire[3] = (unsigned char)h->kind;
    little_put(wire + 4, h->communicator, 4);
    little_put(wire + 8, h->stream, 2);
    little_put(wire + 10, 0, 2);
    little_put(wire + 12, h->number, 4);
    little_put(wire + 16, h->signature.what, 8);
    little_put(wire + 24, h->signature.count, 8);
    little_put(wire + 32, h->total, 8);
    little_put(wire + 40, h->offset, 8);
    little_put(wire + 48, h->length, 4);
    little_put(wire + 52, h->credit[0], 4);
    little_put(wire + 56, h->credit[1], 4);
    little_put(wire + 60, 0, 4);
}

static const char *check_chunk(const struct tcp_header *h)
{
    if (h->length == 0 || h->length > TCP_CHUNK_HIGH)
        return "a chunk of impossible length";
    if (h->offset % TCP_CHUNK_UNIT != 0)
        return "a chunk at an odd offset";
    if (h->offset > h->total || h->length > h->total - h->offset)
        return "a chunk beyond the end of its message";
    return NULL;
}

/* The rules of each kind. */
static const char *check_kind(const struct tcp_header *h)
{
    if (h->kind != TCP_CHUNK && h->offset != 0)
        return "an offset where none belongs";
    switch (h->kind) {
    case TCP_EAGER:
        if (h->total > TRANSPORT_EAGER)
            return "a long message without announcement";
        return h->length == h->total ? NULL : "a payload of another length than its message";
    case TCP_ANNOUNCE:
    case TCP_REFUSED:
        return h->length == 0 ? NULL : "a payload where none belongs";
    case TCP_READY:
        if (h->length < TCP_CHUNK_LOW || h->length > TCP_CHUNK_HIGH ||
            h->length % TCP_CHUNK_UNIT != 0)
            return "chunks of impossible size wanted";
        return NULL;
    case TCP_CHUNK:
        return check_chunk(h);
    case TCP_CREDIT:
        return h->length == 0 && h->total == 0 ? NULL : "a credit with a payload";
    }
    return "a header of unknown kind";
}

const char *tcp_wire_decode(const unsigned char wire[TCP_HEADER], struct tcp_header *header)
{
    struct tcp_header h;
    const char *wrong;

    if (little_get(wire, 2) != TCP_MAGIC)
        return "no header where one must be";
    if (wire[2] != TCP_VERSION)
        return "a header of another protocol version (is it another release of Peal?)";
    if (wire[3] < TCP_EAGER || wire[3] > TCP_CREDIT)
        return "a header of unknown kind";
    h.kind = (enum tcp_kind)wire[3];
    h.communicator = (uint32_t)little_get(wire + 4, 4);
    h.stream = (uint32_t)little_get(wire + 8, 2);
    h.number = (uint32_t)little_get(wire + 12, 4);
    h.signature.what = little_get(wire + 16, 8);
    h.signature.count = little_get(wire + 24, 8);
    h.total = little_get(wire + 32, 8);
    h.offset = little_get(wire + 40, 8);
    h.length = (uint32_t)little_get(wire + 48, 4);
    h.credit[0] = (uint32_t)little_get(wire + 52, 4);
    h.credit[1] = (uint32_t)little_get(wire + 56, 4);
    if (little_get(wire + 10, 2) != 0 || little_get(wire + 60, 4) != 0)
        return "a header with reserved bytes set";
    if (h.stream >= TRANSPORT_STREAMS)
        return "a stream that does not exist";
    if (h.total > TCP_TOTAL_HIGH)
        return "a message of impossible length";
    wrong = check_kind(&h);
    if (!wrong)
        *header = h;
    return wrong;
}
