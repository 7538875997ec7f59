/* SPDX-License-Identifier: BSD-3-Clause */
/* The wire of the TCP transport: its header as pure functions, and a live
 * endpoint that is fed hostile bytes over a socket pair.  argv[1]: seed. */
#include "tests/tcp_wire.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern const struct transport tcp_transport;

enum { LANES = 2, MANY = 24 };

/* ---- A live endpoint ---------------------------------------------------- */

struct victim {
    struct port            *port;
    struct endpoint        *endpoint;
    struct completion_queue queue;
    int                     peer[LANES];
    struct completion       done[MANY];
    bool                    started[MANY], ended[MANY];
    char                   *memory[MANY];
    int                     n;
};

static void victim_open(struct victim *v)
{
    struct where where = { .hostname = "hostile" };
    struct port_options options = { .communicator = COMMUNICATOR, .nranks = 2, .where = &where,
                                    .local_ranks = 1, .completions = &v->queue };
    int ours[LANES];

    memset(v, 0, sizeof *v);
    completion_queue_init(&v->queue);
    for (int i = 0; i < LANES; i++) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair)) {
            perror("socketpair");
            exit(1);
        }
        ours[i] = pair[0];
        v->peer[i] = pair[1];
    }
    if (tcp_transport.open(&options, &v->port) ||
        tcp_transport.connect(v->port, 1, &where, ours, LANES, true, &v->endpoint)) {
        printf("FAIL: %s\n", status_text());
        exit(1);
    }
}

static const struct signature usual = { 0x1122334455667788, 42 };

/* Post a receive, or start a send, of exactly `bytes` of memory. */
static void victim_post(struct victim *v, bool send, uint32_t stream, uint32_t number,
                        size_t bytes)
{
    struct message message = { stream, number, usual };
    int i = v->n++, status;

    v->memory[i] = calloc(1, bytes ? bytes : 1);
    if (send) {
        status = tcp_transport.send(v->endpoint, &message, v->memory[i], bytes,
                                    &v->done[i]);
    } else {
        struct landing landing = { .dst = v->memory[i], .bytes = bytes };

        status = tcp_transport.recv(v->endpoint, &message, &landing, &v->done[i]);
    }
    v->started[i] = status == PEAL_OK;
    check(status == PEAL_OK || (send && status == STATUS_AGAIN), "operations are taken");
}

static void victim_progress(struct victim *v)
{
    struct completion *done;

    tcp_transport.progress(v->port);
    while ((done = completion_next(&v->queue))) {
        long i = done - v->done;

        check(v->started[i] && !v->ended[i], "each operation completes once");
        v->ended[i] = true;
    }
}

/* All operations end within a second, or the test has found a hang. */
static void victim_finish(struct victim *v, const char *what)
{
    uint64_t deadline = clock_deadline(2);
    int open;

    do {
        victim_progress(v);
        open = 0;
        for (int i = 0; i < v->n; i++)
            open += v->started[i] && !v->ended[i];
    } while (open > 0 && clock_now() < deadline);
    check(open == 0, what);
}

static void victim_close(struct victim *v)
{
    tcp_transport.close(v->port, false);
    for (int i = 0; i < LANES; i++)
        if (v->peer[i] >= 0)
            close(v->peer[i]);
    for (int i = 0; i < v->n; i++)
        free(v->memory[i]);
}

static void say(struct victim *v, int lane, const void *bytes, size_t length)
{
    static char sink[1 << 16];

    while (length > 0 && v->peer[lane] >= 0) {
        ssize_t n = send(v->peer[lane], bytes, length, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return;
        if (n < 0)
            victim_progress(v);
        else
            bytes = (const char *)bytes + n, length -= (size_t)n;
        /* Take what it answers, or it has no room. */
        while (recv(v->peer[lane], sink, sizeof sink, 0) > 0)
            ;
    }
}

static const char zeros[CHUNK];

static void say_header(struct victim *v, int lane, const struct tcp_header *h, size_t payload)
{
    unsigned char wire[TCP_HEADER];

    tcp_wire_encode(h, wire);
    say(v, lane, wire, sizeof wire);
    say(v, lane, zeros, payload < CHUNK ? payload : CHUNK);
}

/* One scripted attack: `count` headers, then the receives must all have failed
 * with PEAL_ERR_PROTOCOL though the connection stays open. */
struct attack {
    const char *name;
    struct { int lane; struct tcp_header h; } steps[3];
    int         count;
    bool        send;              /* victim has a long send 0 announced */
};

#define KIND(k) \
    .kind = k, .communicator = COMMUNICATOR, .signature = { 0x1122334455667788, 42 }

static const struct attack attacks[] = {
    { "another communicator",
      { { 0, { .kind = TCP_EAGER, .communicator = 78, .total = 16, .length = 16 } } }, 1, 0 },
    { "a number beyond the window",
      { { 0, { KIND(TCP_EAGER), .number = 256, .total = 16, .length = 16 } } }, 1, 0 },
    { "a number before the window",
      { { 0, { KIND(TCP_EAGER), .number = UINT32_MAX, .total = 16, .length = 16 } } }, 1, 0 },
    { "a message twice",
      { { 0, { KIND(TCP_EAGER), .number = 5, .total = 16, .length = 16 } },
        { 0, { KIND(TCP_EAGER), .number = 5, .total = 16, .length = 16 } } }, 2, 0 },
    { "a message again after it was delivered",
      { { 0, { KIND(TCP_EAGER), .number = 1, .total = 16, .length = 16 } },
        { 0, { KIND(TCP_EAGER), .number = 1, .total = 16, .length = 16 } } }, 2, 0 },
    { "a short message over the second socket",
      { { 1, { KIND(TCP_EAGER), .number = 1, .total = 16, .length = 16 } } }, 1, 0 },
    { "announced twice",
      { { 0, { KIND(TCP_ANNOUNCE), .number = 6, .total = LONG } },
        { 0, { KIND(TCP_ANNOUNCE), .number = 6, .total = LONG } } }, 2, 0 },
    { "announced twice, the receive posted",
      { { 0, { KIND(TCP_ANNOUNCE), .total = LONG } },
        { 0, { KIND(TCP_ANNOUNCE), .total = LONG } } }, 2, 0 },
    { "announced over the wrong socket",
      { { 1, { KIND(TCP_ANNOUNCE), .number = 6, .total = LONG } } }, 1, 0 },
    { "a chunk nobody asked for",
      { { 0, { KIND(TCP_CHUNK), .number = 9, .total = LONG, .length = CHUNK } } }, 1, 0 },
    { "a chunk of an announced message that is not posted",
      { { 0, { KIND(TCP_ANNOUNCE), .number = 6, .total = LONG } },
        { 0, { KIND(TCP_CHUNK), .number = 6, .total = LONG, .length = CHUNK } } }, 2, 0 },
    { "a chunk for a short receive",
      { { 1, { KIND(TCP_CHUNK), .number = 1, .total = 16, .length = 16 } } }, 1, 0 },
    { "a chunk of another total",
      { { 0, { KIND(TCP_CHUNK), .total = LONG + 64, .length = CHUNK } } }, 1, 0 },
    { "a chunk of another signature",
      { { 0, { .kind = TCP_CHUNK, .communicator = COMMUNICATOR, .total = LONG,
               .length = CHUNK } } }, 1, 0 },
    { "a chunk over the wrong socket",
      { { 1, { KIND(TCP_CHUNK), .total = LONG, .length = CHUNK } } }, 1, 0 },
    { "a chunk twice",
      { { 0, { KIND(TCP_CHUNK), .total = LONG, .length = CHUNK } },
        { 0, { KIND(TCP_CHUNK), .total = LONG, .length = CHUNK } } }, 2, 0 },
    { "a chunk too early",
      { { 0, { KIND(TCP_CHUNK), .total = LONG, .offset = 2 * CHUNK, .length = CHUNK } } },
      1, 0 },
    { "a short chunk",
      { { 0, { KIND(TCP_CHUNK), .total = LONG, .length = 64 } } }, 1, 0 },
    { "a long chunk",
      { { 0, { KIND(TCP_CHUNK), .total = LONG, .length = 2 * CHUNK } } }, 1, 0 },
    { "a credit for what was not sent",
      { { 0, { KIND(TCP_CREDIT), .credit = { 1, 0 } } } }, 1, 0 },
    { "a credit that goes back",
      { { 0, { KIND(TCP_CREDIT), .credit = { 0, UINT32_MAX } } } }, 1, 0 },
    { "a credit beyond the window",
      { { 0, { KIND(TCP_CREDIT), .credit = { 1000, 0 } } } }, 1, 0 },
    { "a credit for what was announced and not answered",
      { { 0, { KIND(TCP_CREDIT), .credit = { 1, 0 } } } }, 1, 1 },
    { "a refusal of nothing",
      { { 0, { KIND(TCP_REFUSED), .number = 3 } } }, 1, 0 },
    { "a refusal twice",
      { { 0, { KIND(TCP_REFUSED), .number = 0 } },
        { 0, { KIND(TCP_REFUSED), .number = 0 } } }, 2, 1 },
    { "a READY beyond the window",
      { { 0, { KIND(TCP_READY), .number = 300, .total = LONG, .length = CHUNK } } }, 1, 0 },
    { "a READY twice",
      { { 0, { KIND(TCP_READY), .number = 3, .total = LONG, .length = CHUNK } },
        { 0, { KIND(TCP_READY), .number = 3, .total = LONG, .length = CHUNK } } }, 2, 0 },
    { "control over the second socket",
      { { 1, { KIND(TCP_READY), .number = 3, .total = LONG, .length = CHUNK } } }, 1, 0 },
};

/* Receives 0 (long), 1 and 2 (16 bytes) are posted; 2 is never served. */
static void victim_ready(struct victim *v, bool send)
{
    victim_open(v);
    victim_post(v, false, 0, 2, 16);
    victim_post(v, false, 0, 0, LONG);
    victim_post(v, false, 0, 1, 16);
    if (send)
        victim_post(v, true, 0, 0, LONG);
}

static void test_attacks(void)
{
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        const struct attack *a = &attacks[i];
        struct victim v;

        victim_ready(&v, a->send);
        for (int s = 0; s < a->count; s++)
            say_header(&v, a->steps[s].lane, &a->steps[s].h,
                       a->steps[s].h.kind == TCP_READY ? 0 : a->steps[s].h.length);
        victim_finish(&v, a->name);
        check(v.done[0].status == PEAL_ERR_PROTOCOL, a->name);
        victim_post(&v, false, 1, 0, 16);      /* later ones fail too */
        victim_finish(&v, a->name);
        check(v.done[v.n - 1].status == PEAL_ERR_PROTOCOL, "later receives fail too");
        victim_close(&v);
    }
    printf("%zu attacks refused\n", sizeof attacks / sizeof attacks[0]);
}

/* Good traffic that ends in the middle: PEAL_ERR_PEER, and what had come whole
 * is delivered. */
static void test_truncated(void)
{
    struct tcp_header whole = plain(TCP_EAGER, 1), last = plain(TCP_EAGER, 2);

    for (size_t cut = 0; cut < TCP_HEADER + 16; cut++) {
        unsigned char wire[TCP_HEADER + 16] = { 0 };
        struct victim v;

        victim_ready(&v, true);
        say_header(&v, 0, &whole, 16);
        tcp_wire_encode(&last, wire);
        say(&v, 0, wire, cut);
        if (cut % 2)
            victim_progress(&v);
        for (int i = 0; i < LANES; i++) {
            close(v.peer[i]);
            v.peer[i] = -1;
        }
        victim_finish(&v, "a truncated message");
        check(v.done[0].status == PEAL_ERR_PEER, "a truncated message fails");
        check(v.done[1].status == PEAL_ERR_PEER, "what has not begun fails");
        check(v.done[2].status == PEAL_OK, "a whole message is delivered");
        victim_close(&v);
    }
    printf("messages cut after each byte\n");
}

/* Whatever pieces the bytes come in, sums come out right. */
static void test_split(unsigned rounds)
{
    enum { FLOATS = 100, BYTES = FLOATS * 4 };
    struct tcp_header h = plain(TCP_EAGER, 0);
    struct arithmetic how;
    unsigned char wire[3 * (TCP_HEADER + BYTES)];
    float sum[3][FLOATS], sent[FLOATS];

    check(!arithmetic_resolve(&how, PEAL_FLOAT32, PEAL_SUM, 2), "float sums exist");
    for (int i = 0; i < FLOATS; i++)
        sent[i] = (float)i;
    h.total = h.length = BYTES;
    for (unsigned m = 0; m < 3; m++) {
        h.number = m;
        tcp_wire_encode(&h, wire + m * (TCP_HEADER + BYTES));
        memcpy(wire + m * (TCP_HEADER + BYTES) + TCP_HEADER, sent, BYTES);
    }
    for (unsigned round = 0; round < rounds; round++) {
        unsigned most = round ? 1 + (unsigned)(random_next() % 200) : 1;
        struct victim v;

        victim_open(&v);
        for (unsigned m = 0; m < 3; m++) {
            struct message message = { 0, m, usual };
            struct landing landing = { (char *)sum[m], BYTES, m == 1 ? NULL : &how,
                                       (const char *)sum[m], false, false, false, NULL, NULL };

            for (int i = 0; i < FLOATS; i++)
                sum[m][i] = 1;
            v.started[v.n++] = !tcp_transport.recv(v.endpoint, &message, &landing,
                                                   &v.done[m]);
        }
        for (size_t at = 0, piece; at < sizeof wire; at += piece) {
            piece = 1 + random_next() % most;
            if (piece > sizeof wire - at)
                piece = sizeof wire - at;
            say(&v, 0, wire + at, piece);
            victim_progress(&v);
        }
        victim_finish(&v, "messages in pieces");
        for (int m = 0; m < 3; m++)
            for (int i = 0; i < FLOATS; i++)
                if (!check(v.done[m].status == PEAL_OK &&
                               sum[m][i] == (float)(m == 1 ? i : i + 1),
                           "messages in pieces are whole"))
                    m = i = FLOATS;
        victim_close(&v);
    }
}

/* Peeking, reading and posting by turns; whatever pieces the bytes come in.  Every
 * third header is one that only counts. */
static void peeked_take(struct victim *v, uint32_t number, size_t bytes)
{
    struct message message = { 0, number, usual };
    struct landing landing = { .bytes = bytes, .dst = v->memory[number] };
    const void *view;
    int status = STATUS_AGAIN;

    for (int i = 0; i < 3 && status == STATUS_AGAIN; i++)
        status = tcp_transport.peek(v->endpoint, &message, bytes, &view);
    if (status == PEAL_OK) {
        memcpy(v->memory[number], view, bytes);
        check(tcp_transport.take(v->endpoint, &message, bytes) == PEAL_OK, "take");
        v->ended[number] = true;
    } else if (status == STATUS_POST || random_next() % 8 == 0) {
        v->started[number] = !tcp_transport.recv(v->endpoint, &message, &landing,
                                                 &v->done[number]);
    }
}

static void test_peeked(unsigned rounds)
{
    unsigned char wire[MANY * (2 * TCP_HEADER + 200)];
    size_t bytes[MANY];

    for (unsigned round = 0; round < rounds; round++) {
        unsigned most = 1 + (unsigned)(random_next() % 300);
        size_t length = 0;
        struct victim v;

        victim_open(&v);
        for (uint32_t m = 0; m < MANY; m++, v.n++) {
            struct tcp_header h = plain(TCP_EAGER, m);

            h.total = h.length = (uint32_t)(bytes[m] = random_next() % 200);
            v.memory[m] = calloc(1, 200);
            tcp_wire_encode(&h, wire + length);
            memset(wire + length + TCP_HEADER, (int)m + 1, bytes[m]);
            length += TCP_HEADER + bytes[m];
            if (m % 3 == 0) {
                h = plain(TCP_CREDIT, 0);
                tcp_wire_encode(&h, wire + length);
                length += TCP_HEADER;
            }
        }
        for (size_t at = 0, piece; at < length || v.n > 0; at += piece) {
            uint32_t number = 0;

            piece = 1 + random_next() % most;
            if (piece > length - at)
                piece = length - at;
            say(&v, 0, wire + at, piece);
            while (number < MANY && (v.started[number] || v.ended[number]))
                number++;
            if (number == MANY)
                v.n = 0;
            else
                peeked_take(&v, number, bytes[number]);
            if (random_next() % 4 == 0)
                victim_progress(&v);
        }
        v.n = MANY;
        victim_finish(&v, "peeked messages end");
        for (int m = 0; m < MANY; m++)
            check(v.done[m].status == PEAL_OK && (bytes[m] == 0 ||
                  (v.memory[m][0] == m + 1 && v.memory[m][bytes[m] - 1] == m + 1)),
                  "peeked messages are whole");
        victim_close(&v);
    }
}

/* The victim finds out by a failing send; what had come before is delivered. */
static void test_last_words(void)
{
    struct tcp_header h = plain(TCP_EAGER, 1);
    struct victim v;

    victim_ready(&v, false);
    say_header(&v, 0, &h, 16);
    for (int i = 0; i < LANES; i++) {
        close(v.peer[i]);
        v.peer[i] = -1;
    }
    victim_post(&v, true, 0, 0, 16);
    victim_finish(&v, "a send to a closed connection");
    check(v.done[2].status == PEAL_OK, "last words are delivered");
    check(v.done[0].status == PEAL_ERR_PEER && v.done[3].status == PEAL_ERR_PEER,
          "the rest fails");
    victim_close(&v);
}

/* The peer closes in order: one socket has ended while the other's bytes are still
 * under way.  They are delivered, and the wait for them can sleep. */
static void test_ends_apart(void)
{
    struct tcp_header h = plain(TCP_CHUNK, 0);
    struct victim v;

    victim_open(&v);
    victim_post(&v, false, 0, 0, 2 * CHUNK);
    victim_post(&v, false, 0, 1, 16);
    h.total = 2 * CHUNK;
    say_header(&v, 0, &h, CHUNK);
    shutdown(v.peer[0], SHUT_WR);
    for (int i = 0; i < 1000; i++)
        victim_progress(&v);
    check(!v.ended[0] && !v.ended[1], "one socket's end is not the connection's");
    check(tcp_transport.arm(v.port) == PEAL_OK, "a socket that has ended wakes nobody");
    h.offset = CHUNK;
    say_header(&v, 1, &h, CHUNK);
    close(v.peer[1]);
    v.peer[1] = -1;
    victim_finish(&v, "two ends apart");
    check(v.done[0].status == PEAL_OK, "what came before the second end is delivered");
    check(v.done[1].status == PEAL_ERR_PEER, "the rest fails");
    victim_close(&v);
}

static void test_garbage(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        unsigned char bytes[512];
        struct victim v;

        for (size_t j = 0; j < sizeof bytes; j++)
            bytes[j] = (unsigned char)random_next();
        victim_ready(&v, i & 1);
        say(&v, (int)(random_next() % LANES), bytes, sizeof bytes);
        victim_finish(&v, "garbage");
        check(v.done[0].status == PEAL_ERR_PROTOCOL, "garbage is a protocol error");
        victim_close(&v);
    }
}

/* A random header that is nearly what the victim expects. */
static struct tcp_header nearly(void)
{
    static const uint64_t totals[] = { 0, 16, 16, 1000, TRANSPORT_EAGER, LONG, LONG,
                                       LONG + 64, TCP_TOTAL_HIGH };
    struct tcp_header h = plain((enum tcp_kind)(1 + random_next() % TCP_CREDIT),
                                (uint32_t)(random_next() % 6));

    h.stream = random_next() % 8 == 0;
    if (random_next() % 4 == 0)
        h.total = totals[random_next() % (sizeof totals / sizeof totals[0])];
    if (h.kind == TCP_EAGER)
        h.length = (uint32_t)h.total;
    if (h.kind == TCP_CHUNK)
        h.offset = random_next() % 7 * CHUNK;
    if (random_next() % 8 == 0)
        h.credit[random_next() % 2] = (uint32_t)(random_next() % 4);
    if (random_next() % 32 == 0)
        h.signature.count++;
    return h;
}

/* Random conversations; whatever is said, everything ends once and nothing
 * outside of posted memory is touched (that is for the sanitizer to see). */
static void test_conversations(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        struct victim v;
        unsigned char noise;

        victim_ready(&v, random_next() & 1);
        for (unsigned n = (unsigned)(random_next() % 20); n > 0; n--) {
            struct tcp_header h = nearly();
            int lane = h.kind == TCP_CHUNK || h.kind == TCP_ANNOUNCE
                           ? (int)((h.number + h.offset / CHUNK) % LANES) : 0;
            size_t payload = h.kind == TCP_READY ? 0 : h.length;

            if (random_next() % 32 == 0)
                payload /= 2;
            say_header(&v, lane, &h, payload);
            noise = (unsigned char)random_next();
            if (noise < 2)
                say(&v, lane, &noise, 1);
            if (noise % 4 == 0)
                victim_progress(&v);
            if (noise % 8 == 1 && v.n < MANY)
                victim_post(&v, noise & 16, noise / 32 == 0, (uint32_t)v.n,
                            noise & 64 ? LONG : 16);
        }
        for (int lane = 0; lane < LANES; lane++) {
            close(v.peer[lane]);
            v.peer[lane] = -1;
        }
        victim_finish(&v, "a random conversation");
        victim_close(&v);
    }
    printf("%u random conversations\n", rounds);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : clock_now() ^ (uint64_t)getpid();

    printf("seed %llu\n", (unsigned long long)seed);
    tcp_random_state = seed * 2 + 1;
    setenv("PEAL_TCP_CHUNK", "512K", 1);
    test_round_trip();
    test_rejections();
    test_random(1000000);
    test_attacks();
    test_truncated();
    test_split(100);
    test_peeked(300);
    test_last_words();
    test_ends_apart();
    test_garbage(100);
    test_conversations(1000);
    printf("%s\n", tcp_failures ? "FAILED" : "passed");
    return tcp_failures != 0;
}
