/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/tcp_wire.h"

#include <stdio.h>
#include <string.h>

unsigned tcp_failures;
uint64_t tcp_random_state;

bool check(bool ok, const char *what)
{
    if (!ok) {
        tcp_failures++;
        printf("FAIL: %s\n", what);
    }
    return ok;
}

uint64_t random_next(void)
{
    tcp_random_state ^= tcp_random_state << 13;
    tcp_random_state ^= tcp_random_state >> 7;
    tcp_random_state ^= tcp_random_state << 17;
    return tcp_random_state;
}

struct tcp_header plain(enum tcp_kind kind, uint32_t number)
{
    struct tcp_header h = { .kind = kind, .communicator = COMMUNICATOR, .number = number,
                            .signature = { 0x1122334455667788, 42 } };

    if (kind == TCP_EAGER)
        h.total = h.length = 16;
    if (kind == TCP_READY || kind == TCP_CHUNK) {
        h.total = LONG;
        h.length = CHUNK;
    }
    if (kind == TCP_ANNOUNCE)
        h.total = LONG;
    return h;
}

void test_round_trip(void)
{
    static const unsigned char expected[16] = { 0x65, 0x50, 1, 5, 77, 0, 0, 0,
                                                1, 0, 0, 0, 4, 3, 2, 1 };
    unsigned char wire[TCP_HEADER], again[TCP_HEADER];
    struct tcp_header h, back;

    for (int kind = TCP_EAGER; kind <= TCP_CREDIT; kind++) {
        h = plain((enum tcp_kind)kind, 0x01020304);
        h.stream = 1;
        h.credit[0] = 0xfffffff0;
        h.credit[1] = 7;
        tcp_wire_encode(&h, wire);
        check(!tcp_wire_decode(wire, &back), "a good header is taken");
        tcp_wire_encode(&back, again);
        check(!memcmp(wire, again, TCP_HEADER), "the same bytes after a round trip");
        check(back.number == 0x01020304 && back.stream == 1 && back.total == h.total &&
                  back.length == h.length && back.credit[0] == h.credit[0] &&
                  back.credit[1] == 7 && back.signature.what == h.signature.what &&
                  back.signature.count == 42,
              "the same fields after a round trip");
        if (kind == TCP_CHUNK)
            check(!memcmp(wire, expected, sizeof expected), "little-endian layout");
    }
}

static void rejected(const struct tcp_header *h, int at, unsigned char value,
                     const char *what)
{
    unsigned char wire[TCP_HEADER];
    struct tcp_header out;

    tcp_wire_encode(h, wire);
    if (at >= 0)
        wire[at] = value;
    memset(&out, 0x5a, sizeof out);
    check(tcp_wire_decode(wire, &out) != NULL, what);
    check(((unsigned char *)&out)[0] == 0x5a, "a rejected header is not set");
}

static void rejected_as(enum tcp_kind kind, uint64_t total, uint64_t offset,
                        uint32_t length, const char *what)
{
    struct tcp_header h = plain(kind, 3);

    h.total = total;
    h.offset = offset;
    h.length = length;
    rejected(&h, -1, 0, what);
}

void test_rejections(void)
{
    struct tcp_header h = plain(TCP_EAGER, 1);

    rejected(&h, 0, 'x', "magic");
    rejected(&h, 2, TCP_VERSION + 1, "version");
    rejected(&h, 3, 0, "kind 0");
    rejected(&h, 3, TCP_CREDIT + 1, "kind beyond the last");
    rejected(&h, 8, TRANSPORT_STREAMS, "stream");
    rejected(&h, 10, 1, "reserved bytes");
    rejected(&h, 63, 1, "reserved bytes");
    rejected_as(TCP_EAGER, TRANSPORT_EAGER + 1, 0, TRANSPORT_EAGER + 1, "long EAGER");
    rejected_as(TCP_EAGER, 16, 0, 17, "EAGER of another length");
    rejected_as(TCP_EAGER, 16, 64, 16, "EAGER with an offset");
    rejected_as(TCP_ANNOUNCE, LONG, 0, 1, "ANNOUNCE with a payload");
    rejected_as(TCP_ANNOUNCE, TCP_TOTAL_HIGH + 1, 0, 0, "ANNOUNCE of too much");
    rejected_as(TCP_REFUSED, 0, 0, 8, "REFUSED with a payload");
    rejected_as(TCP_READY, LONG, 0, TCP_CHUNK_LOW - 64, "READY with small chunks");
    rejected_as(TCP_READY, LONG, 0, TCP_CHUNK_HIGH + 64, "READY with large chunks");
    rejected_as(TCP_READY, LONG, 0, CHUNK + 1, "READY with odd chunks");
    rejected_as(TCP_CHUNK, LONG, 0, 0, "empty CHUNK");
    rejected_as(TCP_CHUNK, LONG, 1, 64, "CHUNK at an odd offset");
    rejected_as(TCP_CHUNK, LONG, LONG, 64, "CHUNK after the end");
    rejected_as(TCP_CHUNK, LONG, LONG - 64, 128, "CHUNK over the end");
    rejected_as(TCP_CHUNK, LONG, UINT64_MAX - 63, 128, "CHUNK whose end wraps around");
    rejected_as(TCP_CHUNK, TCP_TOTAL_HIGH, 0, UINT32_MAX, "CHUNK too long");
    rejected_as(TCP_CREDIT, 1, 0, 0, "CREDIT with a length");
}

/* Whatever is taken keeps the promises of tcp_wire_decode() and is canonical. */
void test_random(unsigned rounds)
{
    unsigned taken = 0;

    for (unsigned i = 0; i < rounds; i++) {
        unsigned char wire[TCP_HEADER], again[TCP_HEADER];
        struct tcp_header h = plain((enum tcp_kind)(1 + random_next() % TCP_CREDIT), 5);

        tcp_wire_encode(&h, wire);
        if (i % 8 == 0)
            for (int j = 4; j < TCP_HEADER; j++)
                wire[j] = (unsigned char)random_next();
        for (unsigned n = (unsigned)(random_next() % 4); n > 0; n--)
            wire[random_next() % TCP_HEADER] ^= (unsigned char)(1 << random_next() % 8);
        if (tcp_wire_decode(wire, &h))
            continue;
        taken++;
        tcp_wire_encode(&h, again);
        if (!check(!memcmp(wire, again, TCP_HEADER), "taken headers are canonical") ||
            !check(h.stream < TRANSPORT_STREAMS && h.total <= TCP_TOTAL_HIGH &&
                       h.offset <= h.total &&
                       (h.kind == TCP_READY || h.offset + h.length <= h.total),
                   "taken headers lie inside their message"))
            return;
    }
    printf("%u random headers, %u taken\n", rounds, taken);
    check(taken > rounds / 20, "the random headers are not all nonsense");
}
