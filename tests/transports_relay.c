/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite's cases of relay(): what a rank receives goes on to the next as it
 * lands.  Ends that go away meanwhile are in transports_relay_ends.c. */
#include "tests/transports_relay.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { FLIGHT = 6, ROUNDS = 6, UNTOUCHED = 0xd7, LINE = 64 };

/* ---- One parcel -------------------------------------------------------------- */

static int minus_words(const void *in, void *inout, size_t count, peal_datatype_t type,
                       void *context)
{
    (void)type, (void)context;
    for (size_t i = 0; i < count; i++) {
        uint32_t a, b;

        memcpy(&a, (const char *)in + i * 4, 4);
        memcpy(&b, (char *)inout + i * 4, 4);
        b = a - b;
        memcpy((char *)inout + i * 4, &b, 4);
    }
    return 0;
}

static int refuses_magic(const void *in, void *inout, size_t count, peal_datatype_t type,
                         void *context)
{
    static const uint32_t magic = PARCEL_MAGIC;

    (void)type, (void)context;
    for (size_t i = 0; i < count; i++)
        if (memcmp((const char *)in + i * 4, &magic, 4) == 0 ||
            memcmp((char *)inout + i * 4, &magic, 4) == 0)
            return 1;
    return 0;
}

void parcel_ways(struct parcel_ways *ways)
{
    CHECK(operation_create(minus_words, false, NULL, &ways->minus) == PEAL_OK, "operation");
    CHECK(operation_create(refuses_magic, true, NULL, &ways->bad) == PEAL_OK, "operation");
    CHECK(arithmetic_resolve(&ways->sum, PEAL_UINT8, PEAL_SUM, 2) == PEAL_OK, "resolve");
    CHECK(arithmetic_resolve(&ways->difference, PEAL_UINT32, ways->minus, 2) == PEAL_OK,
          "resolve");
    CHECK(arithmetic_resolve(&ways->failing, PEAL_UINT32, ways->bad, 2) == PEAL_OK, "resolve");
}

void parcel_ways_free(struct parcel_ways *ways)
{
    operation_free(ways->minus);
    operation_free(ways->bad);
}

void parcel_make(struct parcel *p, const struct parcel_ways *ways, size_t bytes, int how,
                 uint64_t key, unsigned bits)
{
    *p = (struct parcel){ .bytes = bytes, .key = key };
    p->dst = rig_alloc(bytes, false);
    p->keep = rig_alloc(bytes, false);
    p->operand = rig_alloc(bytes, false);
    memset(p->dst, UNTOUCHED, bytes);
    memset(p->keep, UNTOUCHED, bytes);
    p->landing = (struct landing){
        .dst = p->dst, .bytes = bytes, .passes = bits & 1, .keep = bits & 2 ? p->keep : NULL,
        .streams = bits & 4, .incoming_first = bits & 8,
        .how = how == SUM ? &ways->sum : how == MINUS ? &ways->difference
             : how == FAILING ? &ways->failing : NULL,
    };
    if (!p->landing.how)
        return;
    p->landing.operand = bits & 16 ? p->operand : bits & 32 && p->landing.keep ? p->keep : p->dst;
    rig_fill((char *)(uintptr_t)p->landing.operand, bytes, ~key);
}

/* What the relaying rank and the last one are to have; the first one has `key`. */
static void parcel_result(const struct parcel *p, char *result)
{
    const struct landing *l = &p->landing;
    char *own = malloc(p->bytes);

    CHECK(own, "memory");
    rig_fill(result, p->bytes, p->key);
    rig_fill(own, p->bytes, ~p->key);
    for (size_t i = 0; l->how && l->how->size == 1 && i < p->bytes; i++)
        result[i] = (char)((unsigned char)result[i] + (unsigned char)own[i]);
    for (size_t i = 0; l->how && l->how->size == 4 && i < p->bytes; i += 4) {
        uint32_t a, b;

        memcpy(&a, (l->incoming_first ? result : own) + i, 4);
        memcpy(&b, (l->incoming_first ? own : result) + i, 4);
        a -= b;
        memcpy(result + i, &a, 4);
    }
    free(own);
}

void parcel_verify(const struct parcel *p, const char *there, const char *what)
{
    char *result = malloc(p->bytes);

    CHECK(result, "memory");
    parcel_result(p, result);
    for (size_t i = 0; memcmp(there, result, p->bytes) != 0 && i < p->bytes; i++)
        CHECK(there[i] == result[i], "%s: byte %zu of %zu, passes %d, keep %d, arithmetic %d", what,
              i, p->bytes, p->landing.passes, !!p->landing.keep, !!p->landing.how);
    free(result);
}

/* How much of what passes did not come to its destination: everything, something, nothing. */
static _Atomic unsigned passed_all, passed_some, passed_none;

/* What passes may be missing at its destination, line by line; nothing else may be there. */
static void parcel_passed(const struct parcel *p)
{
    char *result = malloc(p->bytes), never[LINE];
    size_t missing = 0, lines = 0;

    CHECK(result, "memory");
    parcel_result(p, result);
    if (p->landing.operand == p->dst)
        rig_fill(p->keep, p->bytes, ~p->key);      /* nobody needs it any more */
    else
        memset(p->keep, UNTOUCHED, p->bytes);
    for (size_t at = 0; at < p->bytes; at += LINE, lines++) {
        size_t length = p->bytes - at < LINE ? p->bytes - at : LINE;

        memcpy(never, p->keep + at, length);
        if (memcmp(p->dst + at, never, length) == 0)
            missing++;
        else
            CHECK(memcmp(p->dst + at, result + at, length) == 0, "neither passed nor landed: "
                  "bytes from %zu of %zu", at, p->bytes);
    }
    atomic_fetch_add(missing == lines ? &passed_all : missing ? &passed_some : &passed_none, 1);
    free(result);
}

void parcel_landed(const struct parcel *p)
{
    if (p->relayed && p->landing.keep)
        parcel_verify(p, p->landing.keep, "kept");
    if (!p->relayed || !p->landing.passes)
        parcel_verify(p, p->dst, "landed");
    else
        parcel_passed(p);
}

void parcel_free(struct parcel *p)
{
    rig_free(p->dst, p->bytes, false);
    rig_free(p->keep, p->bytes, false);
    rig_free(p->operand, p->bytes, false);
}

void parcel_relay(struct node *node, struct parcel *p, const struct message *message, int from,
                  const struct message *onward, int to)
{
    struct landing plain = p->landing;
    int status;

    p->from = from;
    p->to = to;
    p->onward = *onward;
    p->landed.done = p->sent.done = false;
    status = node->transport->relay(node->peers[from], message, &p->landing,
                                    &p->landed.completion, node->peers[to], onward,
                                    &p->sent.completion);
    CHECK(status == PEAL_OK || status == STATUS_AGAIN, "relay: %s", status_name(status));
    p->relayed = status == PEAL_OK;
    if (p->relayed)
        return;
    plain.passes = false;
    plain.keep = NULL;
    if (plain.operand == p->keep)
        memcpy(p->dst, p->keep, p->bytes);
    plain.operand = plain.operand == p->keep ? p->dst : plain.operand;
    status = node->transport->recv(node->peers[from], message, &plain, &p->landed.completion);
    CHECK(status == PEAL_OK, "recv: %s", status_name(status));
}

int parcel_wait(struct node *node, struct parcel *p)
{
    int status = node_wait_op(node, &p->landed);

    if (!p->relayed && status == PEAL_OK) {
        do {
            status = node->transport->send(node->peers[p->to], &p->onward, p->dst, p->bytes,
                                           &p->sent.completion);
            node_progress(node);
        } while (status == STATUS_AGAIN);
        CHECK(status == PEAL_OK, "send: %s", status_name(status));
    }
    return status;
}

/* ---- Many, in a circle --------------------------------------------------------- */

/* Every rank sends to its right neighbour, which relays to its own. */
struct circle {
    struct node   *node;
    uint32_t       base;
    char          *out[FLIGHT], *in[FLIGHT];
    struct op      sends[FLIGHT], lasts[FLIGHT];
    struct parcel  first[FLIGHT], through[FLIGHT], last[FLIGHT];
};

enum { SENDS, RELAYS, LASTS, KINDS };

/* All ranks draw the same. */
static void parcel_draw(struct parcel *p, const struct node *node, const struct parcel_ways *ways,
                        int origin, uint64_t index)
{
    static const size_t sizes[] = { TRANSPORT_EAGER + 4, (128 << 10) + 4, TRANSPORT_EAGER + 1,
                                    (128 << 10) + 67, 200000, (1 << 20) + 12, TRANSPORT_EAGER + 64,
                                    (1 << 20) + 3 };
    struct node shared = { .random = node->seed * 1000003 + index * 8 + (uint64_t)origin };
    size_t bytes = sizes[node_random(&shared, 8)];
    int how = (int)node_random(&shared, 3);

    how = how == MINUS && bytes % 4 ? SUM : how;
    parcel_make(p, ways, bytes, how, node_random(&shared, (uint64_t)1 << 60),
                (unsigned)node_random(&shared, 64));
}

static void circle_make(struct circle *c, const struct parcel_ways *ways, uint64_t round)
{
    struct node *node = c->node;
    int n = node->nranks;

    c->base = (uint32_t)round * 2 * FLIGHT;
    for (uint64_t k = 0; k < FLIGHT; k++) {
        uint64_t index = round * FLIGHT + k;

        parcel_draw(&c->first[k], node, ways, node->rank, index);
        parcel_draw(&c->through[k], node, ways, (node->rank + n - 1) % n, index);
        parcel_draw(&c->last[k], node, ways, (node->rank + 2 * n - 2) % n, index);
        c->out[k] = rig_alloc(c->first[k].bytes, false);
        rig_fill(c->out[k], c->first[k].bytes, c->first[k].key);
        c->in[k] = rig_alloc(c->last[k].bytes, false);
    }
}

static void circle_start(struct circle *c, int kind, uint32_t k)
{
    struct node *node = c->node;
    int n = node->nranks, left = (node->rank + n - 1) % n, right = (node->rank + 1) % n;
    struct message message = rig_message(0, c->base + 2 * k);
    struct message onward = rig_message(0, c->base + 2 * k + 1);
    struct landing landing = { .dst = c->in[k], .bytes = c->last[k].bytes };

    if (kind == SENDS)
        node_send_number(node, right, 0, message.number, c->out[k], c->first[k].bytes,
                         &c->sends[k]);
    else if (kind == RELAYS)
        parcel_relay(node, &c->through[k], &message, left, &onward, right);
    else
        node_recv_number(node, left, 0, onward.number, &landing, &c->lasts[k]);
}

/* In some order, in which the next rank may be late by everything or by nothing. */
static void circle_start_all(struct circle *c, uint64_t round)
{
    static const int orders[3][KINDS] = { { LASTS, RELAYS, SENDS }, { RELAYS, SENDS, LASTS },
                                          { SENDS, RELAYS, LASTS } };
    struct node *node = c->node;
    uint32_t order[KINDS * FLIGHT];

    for (uint32_t i = 0; i < KINDS * FLIGHT; i++)
        order[i] = i;
    for (uint32_t i = KINDS * FLIGHT; round % 6 >= 3 && i > 1; i--) {
        uint32_t k = (uint32_t)node_random(node, i), kept = order[k];

        order[k] = order[i - 1];
        order[i - 1] = kept;
    }
    for (uint32_t i = 0; i < KINDS * FLIGHT; i++) {
        int kind = (int)order[i] / FLIGHT;

        if (round % 6 < 3) {
            if (i % FLIGHT == 0 && i > 0)
                node_barrier(node);
            kind = orders[round % 6][kind];
            for (uint32_t k = 0; k < FLIGHT && kind == LASTS && round % 6 == 1; k++)
                node_wait(node, &c->through[k].landed.done);
        } else {
            for (uint64_t turns = node_random(node, 4); turns > 0; turns--)
                node_progress(node);
        }
        circle_start(c, kind, order[i] % FLIGHT);
    }
}

static void circle_end(struct circle *c)
{
    struct node *node = c->node;

    for (uint32_t k = 0; k < FLIGHT; k++)
        CHECK(parcel_wait(node, &c->through[k]) == PEAL_OK, "a relay: %s",
              status_name(c->through[k].landed.completion.status));
    for (uint32_t k = 0; k < FLIGHT; k++) {
        CHECK(node_wait_op(node, &c->lasts[k]) == PEAL_OK && node_wait_op(node, &c->sends[k]) == PEAL_OK &&
              node_wait_op(node, &c->through[k].sent) == PEAL_OK, "parcel %u", k);
        parcel_verify(&c->last[k], c->in[k], "at the last rank");
        parcel_landed(&c->through[k]);
        rig_verify(c->out[k], c->first[k].bytes, c->first[k].key, "at the first rank");
        rig_free(c->out[k], c->first[k].bytes, false);
        rig_free(c->in[k], c->last[k].bytes, false);
        parcel_free(&c->first[k]);
        parcel_free(&c->through[k]);
        parcel_free(&c->last[k]);
    }
}

static void circle_body(struct node *node)
{
    struct circle *c = calloc(1, sizeof *c);
    const uint64_t rounds = (uint64_t)rig_times(ROUNDS);
    struct parcel_ways ways;

    CHECK(c, "memory");
    c->node = node;
    parcel_ways(&ways);
    node_greet(node);
    for (uint64_t round = 0; round < rounds; round++) {
        node->sleepy = node_random(node, 2);
        circle_make(c, &ways, round);
        circle_start_all(c, round);
        circle_end(c);
        node_barrier(node);
    }
    parcel_ways_free(&ways);
    free(c);
}

/* ---- Waiting --------------------------------------------------------------------- */

/* Nothing has landed: there is nothing to do, and so one can sleep. */
static void check_sleeps(struct node *node, const char *when)
{
    int status = STATUS_AGAIN;

    for (int tries = 0; tries < 1000 && status != PEAL_OK; tries++)
        if (node_progress(node) == 0)
            status = node->transport->arm(node->port);
    CHECK(status == PEAL_OK, "a rank that waits in a relay cannot sleep %s", when);
}

/* The rank in the middle waits first for both, then for its source alone. */
static void sleeps_body(struct node *node)
{
    struct message message = rig_message(0, 0);
    struct parcel_ways ways;
    struct parcel parcel;
    struct op op;

    parcel_ways(&ways);
    parcel_make(&parcel, &ways, 300000, PLAIN, 5, 1);
    node_greet(node);
    if (node->rank == 1) {
        parcel_relay(node, &parcel, &message, 0, &message, 2);
        check_sleeps(node, "before anybody has come");
    }
    node_barrier(node);
    if (node->rank == 2)
        node_recv(node, 1, 0, parcel.dst, parcel.bytes, &op);
    node_barrier(node);
    node_barrier(node);                /* it has been told who wants it */
    if (node->rank == 1)
        check_sleeps(node, "before its source has come");
    node_barrier(node);
    if (node->rank == 0) {
        rig_fill(parcel.dst, parcel.bytes, parcel.key);
        node_send(node, 1, 0, parcel.dst, parcel.bytes, &op);
    }
    if (node->rank == 1)
        CHECK(parcel_wait(node, &parcel) == PEAL_OK && node_wait_op(node, &parcel.sent) == PEAL_OK,
              "a relay after a sleep");
    else
        CHECK(node_wait_op(node, &op) == PEAL_OK, "%s", status_name(op.completion.status));
    if (node->rank == 2)
        rig_verify(parcel.dst, parcel.bytes, parcel.key, "after a sleep");
    node_barrier(node);
    parcel_free(&parcel);
    parcel_ways_free(&ways);
}

void transports_relay(const struct transport *transport, bool processes, uint64_t seed)
{
    const char *const rings[] = { NULL, processes ? "256K" : "64K" };
    int least = 2, most = 3;           /* ranks */
    bool shm = strcmp(transport->name, "shm") == 0;
    bool given = getenv("PEAL_SHM_RING") || getenv("PEAL_SHM_CMA");

    if (!transport->relay)
        return;
    if (given)
        least = most = 2 + (int)(seed & 1);
    rig_case(transport, "relay, ", "waiting", 3, processes, -1, seed, sleeps_body);
    passed_all = passed_some = passed_none = 0;
    for (size_t i = 0; i < (shm && !given ? 2 : 1); i++) {
        if (rings[i])
            CHECK(setenv("PEAL_SHM_RING", rings[i], 1) == 0, "%m");
        for (int nranks = least; nranks <= most; nranks++)
            rig_case(transport, "relay, ", nranks == 2 ? "to and fro" : "in a circle of 3", nranks,
                     processes, -1, seed + i, circle_body);
    }
    if (shm && !given)
        unsetenv("PEAL_SHM_RING");
    if (!processes)
        printf("%s: relay: %u passed as a whole, %u in part, %u not\n", transport->name, passed_all,
               passed_some, passed_none);
    CHECK(processes || !shm || given || (passed_all && passed_some && passed_none), "not all ways were gone");
    transports_relay_ends(transport, processes, seed);
}
