/* SPDX-License-Identifier: BSD-3-Clause */
/* The wire of the verbs transport: what is encoded is decoded, and whatever else
 * comes is refused or keeps the rules.  Usage: verbs_wire [seed] */
#include "transports/verbs/verbs_series.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 300000 };

static uint64_t state;

static uint64_t chance(uint64_t below)
{
    uint64_t x = (state += 0x9e3779b97f4a7c15u);

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    return (x ^ x >> 27) % below;
}

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);          \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

static void frame_rules(const struct verbs_frame *f)
{
    CHECK(f->kind >= VERBS_EAGER && f->kind <= VERBS_CREDIT);
    CHECK(f->stream < TRANSPORT_STREAMS && f->total <= VERBS_TOTAL_HIGH);
    CHECK(f->offset <= f->total && f->length <= f->total - f->offset);
    CHECK(f->kind != VERBS_EAGER || (f->total <= TRANSPORT_EAGER && f->length == f->total));
    CHECK(f->kind != VERBS_DATA || (f->length > 0 && f->length <= TRANSPORT_EAGER));
    CHECK(verbs_frame_payload(f) <= TRANSPORT_EAGER);
}

static void mutate(unsigned char *bytes, size_t length)
{
    for (uint64_t n = chance(4); n > 0; n--)
        bytes[chance(length)] = (unsigned char)(chance(3) ? chance(256) : chance(4));
}

static void frames(void)
{
    int taken = 0;

    for (int i = 0; i < ROUNDS; i++) {
        struct verbs_frame f = { .kind = (enum verbs_kind)(1 + chance(7)),
                                 .stream = (uint32_t)chance(2), .number = (uint32_t)chance(500),
                                 .signature = { chance(99), chance(99) },
                                 .total = chance(200000), .taken = 7, .low = { 8, 9 } }, g;
        unsigned char wire[VERBS_HEADER];

        f.length = chance(2) ? f.total : chance(f.total + 1);
        f.offset = chance(2) ? 0 : chance(f.total + 1) / 64 * 64;
        verbs_frame_encode(&f, wire);
        if (!verbs_frame_decode(wire, &g)) {
            CHECK(memcmp(&f.signature, &g.signature, sizeof f.signature) == 0 &&
                  f.total == g.total && f.offset == g.offset && f.length == g.length &&
                  f.number == g.number && f.stream == g.stream && f.kind == g.kind &&
                  g.taken == 7 && g.low[0] == 8 && g.low[1] == 9);
            taken++;
        }
        mutate(wire, sizeof wire);
        if (!verbs_frame_decode(wire, &g))
            frame_rules(&g);
    }
    CHECK(taken > ROUNDS / 10);
    printf("frames: %d of %d were well-formed\n", taken, ROUNDS);
}

/* Both ends keep the same account, though only the sender sees the messages. */
static void series(void)
{
    struct verbs_series sent = { 0 }, came = { 0 };
    int forms[VERBS_FORMS] = { 0 };
    struct verbs_frame f = { .kind = VERBS_EAGER, .stream = 1 }, g;

    CHECK(!verbs_series_next(&came, 1, VERBS_BARE, &g));
    for (int i = 0; i < ROUNDS; i++) {
        f.number += chance(30) ? 1 : (uint32_t)chance(3);
        f.signature.what = chance(30) ? f.signature.what : chance(3);
        f.signature.count += chance(4) ? (uint64_t)1 << 56 : chance(3);
        f.length = f.total = chance(30) ? f.total : chance(3);
        f.form = verbs_series_form(&sent, f.number, &f.signature, f.total);
        forms[f.form]++;
        g = f;
        if (f.form != VERBS_HEADED)
            CHECK(verbs_series_next(&came, f.stream, f.form, &g));
        CHECK(g.kind == f.kind && g.form == f.form && g.stream == f.stream &&
              g.number == f.number && g.total == f.total && g.length == f.length &&
              g.offset == 0 && signature_equal(&g.signature, &f.signature));
        verbs_series_add(&sent, f.number, &f.signature, f.total);
        verbs_series_add(&came, g.number, &g.signature, g.total);
    }
    for (int i = 0; i < VERBS_FORMS; i++)
        CHECK(forms[i] > ROUNDS / 50);
    printf("series: %d headers, %d without, %d without and a step further\n", forms[VERBS_HEADED],
           forms[VERBS_BARE], forms[VERBS_BARE_STEP]);
}

/* No code means two things. */
static void codes(void)
{
    enum verbs_form form;
    uint32_t stream;
    int bare = 0;
    bool start;

    for (uint32_t code = 0; code < 1 << 16; code++)
        if (verbs_code_bared(code, &stream, &form, &start)) {
            CHECK(code >= VERBS_CODE_RIDES && !verbs_code_rides(code));
            CHECK(stream < TRANSPORT_STREAMS && form != VERBS_HEADED && form < VERBS_FORMS &&
                  verbs_code_bare(stream, form, start) == code);
            bare++;
        }
    CHECK(bare == TRANSPORT_STREAMS * (VERBS_FORMS - 1) * 2);
    CHECK(!verbs_code_rides(verbs_code_place(VERBS_RING_HIGH - VERBS_HEADER)));
    for (uint32_t i = 0; i < 2 * TRANSPORT_WINDOW; i++)
        CHECK(verbs_code_rides(verbs_code_riding(i % TRANSPORT_STREAMS, i)));
}

static void offer_rules(const struct verbs_offer *o)
{
    CHECK(o->nrails >= 1 && o->nrails <= VERBS_RAILS && o->eager <= TRANSPORT_EAGER);
    CHECK(o->ring >= VERBS_RING_LOW && o->ring <= VERBS_RING_HIGH);
    CHECK((o->ring & (o->ring - 1)) == 0 && o->frames >= 8 && o->frames <= VERBS_FRAMES);
    for (uint32_t i = 0; i < o->nrails; i++) {
        CHECK(memchr(o->rails[i].device, 0, VERBS_DEVICE) && o->rails[i].mtu >= 1 &&
              o->rails[i].mtu <= 5 && o->rails[i].rate > 0 && o->rails[i].port > 0);
        for (const char *c = o->rails[i].device; *c; c++)
            CHECK(*c > ' ' && *c < 127);
    }
}

static void offer_make(struct verbs_offer *o)
{
    memset(o, 0, sizeof *o);
    o->communicator = 42;
    o->eager = 8192;
    o->ring = 256 << 10;
    o->frames = 256;
    o->nrails = 1 + (uint32_t)chance(VERBS_RAILS);
    for (uint32_t i = 0; i < o->nrails; i++) {
        struct verbs_offer_rail *r = &o->rails[i];

        snprintf(r->device, sizeof r->device, "mlx5_%u", i);
        r->port = 1;
        r->link = VERBS_ROCE;
        r->mtu = 5;
        r->rate = 400000;
        r->families = 3;
    }
}

static void rejoin_check(void)
{
    struct verbs_rejoin said = { .rail = (uint32_t)chance(8),
                                 .step = (enum verbs_step)(1 + chance(5)) }, heard;
    bool whole = said.step == VERBS_OFFERS || said.step == VERBS_ANSWERS;
    unsigned char wire[VERBS_RECORD_MOST];
    struct verbs_offer offer;
    size_t bytes, length;
    enum verbs_record kind;

    offer_make(&offer);
    if (whole) {
        said.port = offer.rails[0];
        said.queue_pair = (struct verbs_connect_rail){ 1, 2, 3, 4, { "a word" } };
    }
    bytes = verbs_rejoin_encode(&said, wire);
    CHECK(!verbs_record_decode(wire, &kind, &length) && kind == VERBS_REJOIN &&
          length + VERBS_RECORD_HEAD == bytes);
    CHECK(!verbs_rejoin_decode(wire + VERBS_RECORD_HEAD, &heard) &&
          memcmp(&heard, &said, sizeof said) == 0);
    mutate(wire, bytes);
    if (verbs_rejoin_decode(wire + VERBS_RECORD_HEAD, &heard))
        return;
    CHECK(heard.rail < VERBS_RAILS && heard.step >= VERBS_ASKS && heard.step <= VERBS_USES);
    offer.nrails = 1;
    offer.rails[0] = heard.port;
    if (heard.step == VERBS_OFFERS || heard.step == VERBS_ANSWERS)
        offer_rules(&offer);
    else
        CHECK(heard.port.port == 0 && heard.queue_pair.qpn == 0);
}

static void records(void)
{
    int good = 0;

    for (int i = 0; i < ROUNDS / 10; i++) {
        unsigned char wire[VERBS_RECORD_MOST];
        struct verbs_offer offer, heard;
        struct verbs_connect connect = { .ring = 4096, .nrails = 2,
                                         .rails[1] = { .port = 47, .nonce = "a word" } };
        struct verbs_connect connected;
        struct verbs_down down = { .rail = (uint32_t)chance(8), .taken = 5 }, downed;
        enum verbs_record kind;
        size_t bytes, length;

        offer_make(&offer);
        bytes = verbs_offer_encode(&offer, wire);
        CHECK(!verbs_record_decode(wire, &kind, &length) && kind == VERBS_OFFER &&
              length + VERBS_RECORD_HEAD == bytes);
        CHECK(!verbs_offer_decode(wire + VERBS_RECORD_HEAD, &heard) &&
              memcmp(&heard, &offer, sizeof offer) == 0);
        mutate(wire, bytes);
        if (!verbs_offer_decode(wire + VERBS_RECORD_HEAD, &heard)) {
            offer_rules(&heard);
            good++;
        }
        bytes = verbs_connect_encode(&connect, wire);
        CHECK(!verbs_connect_decode(wire + VERBS_RECORD_HEAD, &connected) &&
              connected.ring == 4096 &&
              memcmp(connected.rails, connect.rails, 2 * sizeof connect.rails[0]) == 0);
        mutate(wire, bytes);
        if (!verbs_connect_decode(wire + VERBS_RECORD_HEAD, &connected))
            CHECK(connected.nrails >= 1 && connected.nrails <= VERBS_RAILS &&
                  connected.rails[0].port <= 0xffff);
        bytes = verbs_down_encode(&down, wire);
        mutate(wire, bytes);
        if (!verbs_down_decode(wire + VERBS_RECORD_HEAD, &downed))
            CHECK(downed.rail < VERBS_RAILS);
        rejoin_check();
        if (!verbs_record_decode(wire, &kind, &length))
            CHECK(length + VERBS_RECORD_HEAD <= VERBS_RECORD_MOST);
    }
    printf("records: %d of %d survived their mutation\n", good, ROUNDS / 10);
}

int main(int argc, char **argv)
{
    state = argc > 1 ? strtoull(argv[1], NULL, 0) : clock_now() % 100000;
    printf("seed %llu\n", (unsigned long long)state);
    frames();
    series();
    codes();
    records();
    return 0;
}
