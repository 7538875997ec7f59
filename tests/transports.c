/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite that every transport passes: between threads and
 * between processes.  Usage: transports [SEED [TRANSPORT]]. */
#include "tests/transports_rig.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { MANY = TRANSPORT_WINDOW };

static const size_t sizes[] = { 0, 1, 7, 8, 32, 33, 40, 41, 63, 64, 65, 255, 257, 4095, 4096,
                                20000, 65535, 65536, 65537, 300000, 1 << 20, (5 << 20) + 3 };
enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* Every size both ways, on both streams, receives posted first or last. */
static void sizes_body(struct node *node)
{
    int peer = !node->rank;

    for (int round = 0; round < SIZES * 8; round++) {
        size_t bytes = sizes[round % SIZES];
        int how = round / SIZES;
        bool first = how & 1, shareable = how & 2, sends = (how / 4 & 1) == node->rank;
        uint32_t stream = (uint32_t)round & 1;
        struct op op;
        char *memory;

        if (how >= 4 && bytes > 1 << 20)
            continue;
        memory = rig_alloc(bytes, shareable);
        if (sends)
            rig_fill(memory, bytes, (uint64_t)round);
        if (first && !sends)
            node_recv(node, peer, stream, memory, bytes, &op);
        node_barrier(node);
        if (sends)
            node_send(node, peer, stream, memory, bytes, &op);
        if (!first) {
            node_barrier(node);
            if (!sends)
                node_recv(node, peer, stream, memory, bytes, &op);
        }
        CHECK(node_wait_op(node, &op) == PEAL_OK, "%s", status_name(op.completion.status));
        if (!sends)
            rig_verify(memory, bytes, (uint64_t)round, "sizes");
        rig_free(memory, bytes, shareable);
    }
    node_barrier(node);
}

static void shuffle(struct node *node, uint32_t *order, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t k = (uint32_t)node_random(node, i), kept = order[k];

        order[k] = order[i - 1];
        order[i - 1] = kept;
    }
}

static size_t odd_size(uint32_t number)
{
    return number % 16 == 5 ? 70000 + number : number % 4 == 1 ? number * 40 : number % 90;
}

/* A window of numbers at a time, sent and received in two random orders. */
static void order_body(struct node *node)
{
    static const uint32_t rounds = 3;
    uint32_t order[MANY];
    struct op *ops = calloc(MANY, sizeof *ops);
    char **memory = calloc(MANY, sizeof *memory);
    int peer = !node->rank;

    for (uint32_t round = 0; round < rounds * TRANSPORT_STREAMS; round++) {
        uint32_t base = round / TRANSPORT_STREAMS * MANY, stream = round % TRANSPORT_STREAMS;

        shuffle(node, order, MANY);
        for (uint32_t i = 0; i < MANY; i++) {
            uint32_t number = base + order[i];
            size_t bytes = odd_size(number);
            struct landing landing = { .bytes = bytes };

            memory[i] = landing.dst = rig_alloc(bytes, false);
            rig_fill(memory[i], node->rank ? 0 : bytes, number);
            if (node->rank == 0)
                node_send_number(node, peer, stream, number, memory[i], bytes, &ops[i]);
            else
                node_recv_number(node, peer, stream, number, &landing, &ops[i]);
        }
        for (uint32_t i = 0; i < MANY; i++) {
            uint32_t number = base + order[i];

            CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "%s",
                  status_name(ops[i].completion.status));
            rig_verify(memory[i], odd_size(number), number, "order");
            rig_free(memory[i], odd_size(number), false);
        }
        node_barrier(node);
    }
    free(memory);
    free(ops);
}

static size_t early_size(uint32_t number)
{
    return number % 8 == 3 ? TRANSPORT_EAGER - number % 3 : number % 8 == 7 ? 100000
                                                                         : number * 7;
}

/* Full windows of both streams lie at a receiver that has posted nothing. */
static void early_body(struct node *node)
{
    struct op *ops = calloc(2 * MANY, sizeof *ops);
    char **memory = calloc(2 * MANY, sizeof *memory);
    uint32_t order[2 * MANY];

    shuffle(node, order, 2 * MANY);
    for (uint32_t i = 0; i < 2 * MANY; i++) {
        memory[i] = rig_alloc(early_size(i / 2), false);
        if (node->rank == 0) {
            rig_fill(memory[i], early_size(i / 2), i);
            node_send(node, 1, i % 2, memory[i], early_size(i / 2), &ops[i]);
        }
    }
    node_barrier(node);
    for (uint32_t k = 0; k < 2 * MANY && node->rank == 1; k++) {
        uint32_t i = order[k];
        struct landing landing = { .dst = memory[i], .bytes = early_size(i / 2) };

        node_recv_number(node, 0, i % 2, i / 2, &landing, &ops[i]);
    }
    for (uint32_t i = 0; i < 2 * MANY; i++) {
        CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "%u", i);
        rig_verify(memory[i], early_size(i / 2), i, "early");
        rig_free(memory[i], early_size(i / 2), false);
    }
    node_barrier(node);
    free(memory);
    free(ops);
}

/* A sender that runs ahead is held back on its stream, and on that one only. */
static void ahead_body(struct node *node)
{
    const uint32_t ahead = (uint32_t)rig_times(3000);
    struct op *ops = calloc(ahead, sizeof *ops), beside;
    char word[200];
    uint32_t sent = 0;
    int status = PEAL_OK;

    rig_fill(word, sizeof word, 9);
    for (; node->rank == 0 && sent < ahead && status == PEAL_OK; sent += status == PEAL_OK) {
        struct message message = rig_message(0, sent);

        ops[sent].done = false;
        /* Before the first, the two may have to connect. */
        for (int tries = 0; tries < 1000 || sent == 0; tries++) {
            status = node->transport->send(node->peers[1], &message, word, sizeof word,
                                           &ops[sent].completion);
            if (status != STATUS_AGAIN)
                break;
            node_progress(node);
        }
    }
    CHECK(node->rank || (status == STATUS_AGAIN && sent >= 1), "%u sends were let in", sent);
    if (node->rank == 0)
        node_send(node, 1, 1, word, 100, &beside);
    else
        node_recv(node, 0, 1, word, 100, &beside);
    CHECK(node_wait_op(node, &beside) == PEAL_OK, "stream 1 is blocked by stream 0");
    for (; node->rank == 0 && sent < ahead; sent++)
        node_send_number(node, 1, 0, sent, word, sizeof word, &ops[sent]);
    for (uint32_t i = 0; i < ahead; i++) {
        if (node->rank == 1) {
            memset(word, 0, sizeof word);
            node_recv(node, 0, 0, word, sizeof word, &ops[i]);
        }
        CHECK(node_wait_op(node, &ops[i]) == PEAL_OK, "%u", i);
        rig_verify(word, sizeof word, 9, "ahead");
    }
    node_barrier(node);
    free(ops);
}

/* Several large messages both ways at once. */
static void large_body(struct node *node)
{
    enum { LARGE = 4 };
    size_t bytes = (3 << 20) + 5;
    char *out[LARGE], *in[LARGE];
    struct op sends[LARGE], recvs[LARGE];
    int peer = !node->rank;

    for (int i = 0; i < LARGE; i++) {
        out[i] = rig_alloc(bytes, i & 1);
        in[i] = rig_alloc(bytes, i & 2);
        rig_fill(out[i], bytes, (uint64_t)(node->rank * LARGE + i));
        node_recv(node, peer, (uint32_t)i & 1, in[i], bytes, &recvs[i]);
    }
    for (int i = 0; i < LARGE; i++)
        node_send(node, peer, (uint32_t)i & 1, out[i], bytes, &sends[i]);
    for (int i = 0; i < LARGE; i++) {
        CHECK(node_wait_op(node, &sends[i]) == PEAL_OK, "send");
        CHECK(node_wait_op(node, &recvs[i]) == PEAL_OK, "receive");
        rig_verify(in[i], bytes, (uint64_t)(peer * LARGE + i), "large");
        rig_free(out[i], bytes, i & 1);
        rig_free(in[i], bytes, i & 2);
    }
    node_barrier(node);
}

static int minus(const void *in, void *inout, size_t count, peal_datatype_t type,
                 void *context)
{
    (void)type, (void)context;
    for (size_t i = 0; i < count; i++) {
        float a, b;

        memcpy(&a, (const char *)in + i * 4, 4);
        memcpy(&b, (char *)inout + i * 4, 4);
        b = a - b;
        memcpy((char *)inout + i * 4, &b, 4);
    }
    return 0;
}

static int refuses(const void *in, void *inout, size_t count, peal_datatype_t type,
                   void *context)
{
    (void)in, (void)inout, (void)count, (void)type, (void)context;
    return 1;
}

static void arithmetic_case(struct node *node, size_t count, const struct arithmetic *how,
                            bool incoming_first, bool in_place, bool early, int want)
{
    size_t bytes = count * 4;
    float *operand = (float *)rig_alloc(bytes, false), *dst = (float *)rig_alloc(bytes, false);
    struct landing landing = { .dst = in_place ? (char *)operand : (char *)dst,
                               .bytes = bytes, .how = how, .operand = (char *)operand,
                               .incoming_first = incoming_first };
    struct op op;
    uint32_t number = node->rank ? node->next_recv[0][0]++ : node->next_send[1][0]++;

    for (size_t i = 0; i < count; i++)
        operand[i] = (float)(i % 1000) * (node->rank ? 3 : 1);
    if (early && node->rank)
        node_barrier(node);
    if (node->rank)
        node_recv_number(node, 0, 0, number, &landing, &op);
    else
        node_send_number(node, 1, 0, number, operand, bytes, &op);
    if (early && !node->rank)
        node_barrier(node);
    CHECK(node_wait_op(node, &op) == (node->rank ? want : PEAL_OK), "%s",
          status_name(op.completion.status));
    for (size_t i = 0; node->rank && !want && i < count; i++) {
        float x = (float)(i % 1000), got = ((float *)landing.dst)[i];
        float expected = !how->user ? 4 * x : incoming_first ? x - 3 * x : 3 * x - x;

        CHECK(got == expected, "element %zu of %zu: %g, not %g", i, count, (double)got,
              (double)expected);
    }
    rig_free((char *)operand, bytes, false);
    rig_free((char *)dst, bytes, false);
}

/* Arithmetic on arrival, with both orders of the operands. */
static void arithmetic_body(struct node *node)
{
    static const size_t counts[] = { 1, 2, 10, 11, 33, 1000, 16384, 16385, 262145 };
    struct arithmetic sum, difference, failing;
    peal_op_t op, bad;

    CHECK(operation_create(minus, false, NULL, &op) == PEAL_OK, "operation_create");
    CHECK(operation_create(refuses, true, NULL, &bad) == PEAL_OK, "operation_create");
    CHECK(arithmetic_resolve(&sum, PEAL_FLOAT32, PEAL_SUM, 2) == PEAL_OK, "resolve");
    CHECK(arithmetic_resolve(&difference, PEAL_FLOAT32, op, 2) == PEAL_OK, "resolve");
    CHECK(arithmetic_resolve(&failing, PEAL_FLOAT32, bad, 2) == PEAL_OK, "resolve");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (int how = 0; how < 8; how++) {
            arithmetic_case(node, counts[i], &sum, how & 1, how & 2, how & 4, PEAL_OK);
            arithmetic_case(node, counts[i], &difference, how & 1, how & 2, how & 4, PEAL_OK);
        }
    arithmetic_case(node, 5, &failing, false, false, true, PEAL_ERR_USER);
    arithmetic_case(node, 50000, &failing, false, false, false, PEAL_ERR_USER);
    arithmetic_case(node, 50001, &sum, false, false, false, PEAL_OK);
    node_barrier(node);
    operation_free(op);
    operation_free(bad);
}

/* Wrong length or signature: the receive fails, its memory is not touched, and
 * the endpoint lives on. */
static void mismatch_body(struct node *node)
{
    static const size_t pairs[][2] = { { 8, 8 }, { 8, 16 }, { 100, 0 }, { 0, 40 },
                                       { 65536, 8 }, { 8, 200000 }, { 200000, 8 },
                                       { 200000, 200000 }, { 3 << 20, 1 << 20 } };
    char *out = rig_alloc(3 << 20, false), *in = rig_alloc(3 << 20, false);

    rig_fill(out, 3 << 20, 1);
    for (uint32_t i = 0; i < 2 * sizeof pairs / sizeof pairs[0]; i++) {
        size_t sent = pairs[i / 2][0], posted = pairs[i / 2][1];
        struct message message = rig_message(0, i), other = message;
        struct landing landing = { .dst = in, .bytes = posted };
        struct op op = { .done = false }, next;
        int status = PEAL_OK;

        message.signature.what += sent == posted;      /* else the lengths differ */
        rig_fill(in, posted, 77);
        if (node->rank == 1 && i % 2 == 0) {
            status = node->transport->recv(node->peers[0], &other, &landing, &op.completion);
            node_barrier(node);
        } else if (node->rank == 1) {
            node_barrier(node);
            status = node->transport->recv(node->peers[0], &other, &landing, &op.completion);
        } else {
            if (i % 2 == 0)
                node_barrier(node);
            while ((status = node->transport->send(node->peers[1], &message, out, sent,
                                                   &op.completion)) == STATUS_AGAIN)
                node_progress(node);
            if (i % 2 == 1)
                node_barrier(node);
        }
        CHECK(status == PEAL_OK, "%s", status_name(status));
        status = node_wait_op(node, &op);
        CHECK(status == (node->rank ? PEAL_ERR_MISMATCH : PEAL_OK), "case %u: %s", i,
              status_name(status));
        if (node->rank == 1) {
            CHECK(op.completion.theirs.what == message.signature.what &&
                  op.completion.theirs.count == message.signature.count &&
                  op.completion.their_bytes == sent, "case %u: not the sender's values", i);
            rig_verify(in, posted, 77, "mismatch");
            node_recv(node, 0, 1, in, 4096, &next);
        } else {
            node_send(node, 1, 1, out, 4096, &next);
        }
        CHECK(node_wait_op(node, &next) == PEAL_OK, "case %u: the next message", i);
        if (node->rank)
            rig_verify(in, 4096, 1, "after a mismatch");
    }
    node_barrier(node);
    rig_free(out, 3 << 20, false);
    rig_free(in, 3 << 20, false);
}

/* Ping-pong where every wait sleeps: a lost wake-up ends the program. */
static void sleep_body(struct node *node)
{
    static const struct { size_t bytes; int times; } rounds[] =
        { { 8, 3000 }, { 3000, 500 }, { 200000, 200 }, { 8, 500 } };
    char *memory = rig_alloc(200000, false);
    int peer = !node->rank;

    node->sleepy = true;
    for (int r = 0; r < 4; r++)
        for (int i = 0; i < rig_times(rounds[r].times); i++)
            for (int half = 0; half < 2; half++) {
                struct op op;
                uint64_t until = clock_now() + node_random(node, 4) * 3000;

                while (r < 3 && clock_now() < until)      /* meet the peer at all points */
                    continue;
                if ((half == 0) == (node->rank == 0))
                    node_send(node, peer, 0, memory, rounds[r].bytes, &op);
                else
                    node_recv(node, peer, 0, memory, rounds[r].bytes, &op);
                CHECK(node_wait_op(node, &op) == PEAL_OK, "ping-pong");
            }
    node_barrier(node);
    rig_free(memory, 200000, false);
}

/* All ranks of a group walk through one random list of messages; each takes its
 * own in an order that differs from the list's by less than it has in flight. */
struct traffic {
    struct op op;
    char     *memory;
    size_t    bytes;
    uint64_t  key;
    uint32_t  stream, number;
    int       peer;
    bool      recv;
};

enum { MESSAGES = 3000, BLOCK = 16, FLIGHT = 96 };

static size_t stress_size(uint64_t random)
{
    static const size_t most[] = { 20, 100, 300, 5000, 20000, 70000, 400000 };

    return random / 64 % (most[random % 64 < 56 ? random % 4 : 4 + random % 3] + 1);
}

static uint32_t stress_list(struct node *node, struct traffic *own)
{
    struct node shared = { .random = node->seed * 0x9e3779b97f4a7c15u };
    uint32_t next[RIG_RANKS][RIG_RANKS][TRANSPORT_STREAMS] = { { { 0 } } }, count = 0;

    for (uint64_t i = 0; i < MESSAGES; i++) {
        int src = (int)node_random(&shared, (uint64_t)node->nranks);
        int dst = (src + 1 + (int)node_random(&shared, (uint64_t)node->nranks - 1)) %
                  node->nranks;
        struct traffic t = { .recv = dst == node->rank, .key = i,
                             .stream = node_random(&shared, 5) == 0 };

        t.peer = t.recv ? src : dst;
        t.number = next[src][dst][t.stream]++;
        t.bytes = stress_size(node_random(&shared, (uint64_t)1 << 60));
        if (src == node->rank || dst == node->rank)
            own[count++] = t;
    }
    for (uint32_t base = 0; base + BLOCK <= count; base += BLOCK)
        for (uint32_t i = BLOCK; i > 1; i--) {
            uint32_t k = base + (uint32_t)node_random(node, i);
            struct traffic kept = own[k];

            own[k] = own[base + i - 1];
            own[base + i - 1] = kept;
        }
    return count;
}

static void stress_start(struct node *node, struct traffic *t)
{
    struct landing landing = { .bytes = t->bytes };

    t->memory = landing.dst = rig_alloc(t->bytes, t->key & 1);
    if (t->recv) {
        node_recv_number(node, t->peer, t->stream, t->number, &landing, &t->op);
    } else {
        rig_fill(t->memory, t->bytes, t->key);
        node_send_number(node, t->peer, t->stream, t->number, t->memory, t->bytes, &t->op);
    }
}

void transports_traffic(struct node *node)
{
    struct traffic *own = calloc(MESSAGES, sizeof *own);
    uint32_t count = stress_list(node, own);

    node->sleepy = node_random(node, 2);
    for (uint32_t i = 0; i < count + FLIGHT; i++) {
        struct traffic *t = i < FLIGHT ? NULL : &own[i - FLIGHT];

        if (t) {
            CHECK(node_wait_op(node, &t->op) == PEAL_OK, "%s",
                  status_name(t->op.completion.status));
            rig_verify(t->memory, t->bytes, t->key, "stress");
            rig_free(t->memory, t->bytes, t->key & 1);
        }
        if (i < count)
            stress_start(node, &own[i]);
    }
    node_barrier(node);
    free(own);
}

/* A rank to itself, where no sockets are needed for that. */
static void alone_body(struct node *node)
{
    CHECK(node->transport->connect(node->port, 0, &node->wheres[0], NULL, 0, true,
                                   &node->peers[0]) == PEAL_OK, "connect to itself");
    for (int i = 0; i < 2 * SIZES; i++) {
        size_t bytes = sizes[i / 2];
        char *out = rig_alloc(bytes, false), *in = rig_alloc(bytes, false);
        struct op send, recv;

        rig_fill(out, bytes, (uint64_t)i);
        if (i & 1)
            node_recv(node, 0, 0, in, bytes, &recv);
        node_send(node, 0, 0, out, bytes, &send);
        if (!(i & 1))
            node_recv(node, 0, 0, in, bytes, &recv);
        CHECK(node_wait_op(node, &recv) == PEAL_OK && node_wait_op(node, &send) == PEAL_OK,
              "to itself");
        rig_verify(in, bytes, (uint64_t)i, "to itself");
        rig_free(out, bytes, false);
        rig_free(in, bytes, false);
    }
}

/* Settings under which a transport moves data in another way. */
static const struct variant {
    bool        fast;                  /* only where the machine is: connecting takes seconds */
    const char *transport, *settings[5][2];
} variants[] = {
    { false, "tcp", { { "PEAL_TCP_EAGER", "0" } } },
    { false, "tcp", { { "PEAL_TCP_EAGER", "8" }, { "PEAL_TCP_SOCKETS", "5" },
                      { "PEAL_TCP_CHUNK", "4K" } } },
    { false, "shm", { { "PEAL_SHM_CMA", "1" }, { "PEAL_SHM_EAGER", "4K" } } },
    { false, "shm", { { "PEAL_SHM_RING", "16K" }, { "PEAL_SHM_EAGER", "512" } } },
    { false, "verbs", { { "PEAL_VERBS_EAGER", "0" }, { "PEAL_VERBS_DIRECT", "0" },
                        { "PEAL_VERBS_SLICE", "4K" } } },
    { false, "verbs", { { "PEAL_VERBS_RING", "16K" }, { "PEAL_VERBS_EAGER", "64K" },
                        { "PEAL_VERBS_INLINE", "0" }, { "PEAL_VERBS_CHUNK", "4K" } } },
    { true, "ucx", { { "PEAL_UCX_CHUNK", "64K" }, { "UCX_RNDV_THRESH", "2K" } } },
};

static void run_cases(const struct transport *transport, bool processes, uint64_t seed)
{
    static const struct { const char *name; int nranks; void (*body)(struct node *); } cases[] =
        { { "all sizes", 2, sizes_body }, { "numbers out of order", 2, order_body },
          { "early arrivals", 2, early_body }, { "running ahead", 2, ahead_body },
          { "a window used up", 2, transports_window }, { "large both ways", 2, large_body },
          { "arithmetic", 2, arithmetic_body }, { "mismatch", 2, mismatch_body },
          { "sleep and wake", 2, sleep_body },
          { "random traffic of 4 ranks", 4, transports_traffic } };

    alarm(120 * rig_slowness());
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        rig_case(transport, "", cases[i].name, cases[i].nranks, processes, -1, seed, cases[i].body);
    if (transport->sockets == SOCKET_NONE && !processes) {
        rig_run(transport, 1, false, -1, seed, alone_body);
        printf("%s: a rank to itself\n", transport->name);
        rig_run(transport, 2, false, -1, seed, transports_late);
        printf("%s: a peer opens late\n", transport->name);
    }
    transports_short(transport, processes, seed);
    transports_relay(transport, processes, seed);
    transports_keep(transport, processes, seed);
    transports_failures(transport, processes, seed);
}

static void run_variants(const struct transport *transport, bool threads_only, bool brief,
                         uint64_t seed)
{
    enum { ALL = sizeof variants / sizeof variants[0] };

    for (size_t i = 0, at = seed % ALL; i < ALL; i++, at = (at + 1) % ALL) {
        const struct variant *v = &variants[at];

        if (strcmp(v->transport, transport->name) != 0)
            continue;
        if (v->fast && rig_slowness() > 1) {
            printf("SKIP: %s with %s=%s: this machine is slow\n", transport->name,
                   v->settings[0][0], v->settings[0][1]);
            continue;
        }
        for (int k = 0; v->settings[k][0]; k++) {
            printf("with %s=%s\n", v->settings[k][0], v->settings[k][1]);
            CHECK(setenv(v->settings[k][0], v->settings[k][1], 1) == 0, "%m");
        }
        for (int processes = 0; processes < 2 - threads_only; processes++)
            if (rig_reaches(transport, processes))
                run_cases(transport, processes, seed + 1 + i);
        for (int k = 0; v->settings[k][0]; k++)
            unsetenv(v->settings[k][0]);
        if (brief)
            return;
    }
}

int transports_conform(uint64_t seed, const char *only, bool threads_only, bool brief)
{
    int ran = 0;

    printf("seed %llu\n", (unsigned long long)seed);
    transports_matching();
    for (const struct transport *const *t = transports; *t; t++) {
        if (only && strcmp(only, (*t)->name) != 0)
            continue;
        if ((*t)->usable() != PEAL_OK) {
            printf("SKIP: %s: %s\n", (*t)->name, status_text());
            continue;
        }
        for (int processes = 0; processes < 2 - threads_only; processes++)
            if (rig_reaches(*t, processes)) {
                run_cases(*t, processes, seed);
                ran++;
            } else {
                printf("SKIP: %s, %s: %s\n", (*t)->name, processes ? "processes" : "threads",
                       status_text());
            }
        alarm(120 * rig_slowness());
        transports_hostile(*t, seed);
        transports_early(*t, seed);
        transports_gaps(*t, seed);
        run_variants(*t, threads_only, brief, seed);
    }
    return ran ? 0 : 77;
}
