/* SPDX-License-Identifier: BSD-3-Clause */
/* The handshake's messages: who knows the secret gets through, nobody else
 * does, whatever he sends.  Usage: handshake [seed [messages to try]] */
#include "comm/control.h"
#include "comm/handshake_mac.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int wrong;

#define check(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);     \
            wrong++;                                                            \
        }                                                                       \
    } while (0)

static uint64_t random_state;

static uint64_t random_next(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void random_fill(unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (unsigned char)random_next();
}

static unsigned char secret[JOB_SECRET], other_secret[JOB_SECRET];
static struct claim sample;

/* A whole exchange; returns the status of the first reader that refuses. */
static int exchange(struct handshake *dialler, struct handshake *acceptor,
                    const unsigned char *dialler_secret, const unsigned char *acceptor_secret)
{
    unsigned char nonce[HANDSHAKE_NONCE], welcome[HANDSHAKE_WELCOME];
    struct answer said = { PEAL_ERR_LAUNCH, 17, "no\nroom" }, heard;
    enum handshake_purpose purpose;
    struct claim claim;
    uint64_t job;
    int status;

    random_fill(nonce, sizeof(nonce));
    handshake_write_hello(dialler, HANDSHAKE_LINK, 99, nonce);
    status = handshake_read_hello(acceptor, dialler->hello, &purpose, &job);
    if (status)
        return status;
    check(purpose == HANDSHAKE_LINK && job == 99);
    random_fill(nonce, sizeof(nonce));
    handshake_write_challenge(acceptor, acceptor_secret, nonce);
    status = handshake_read_challenge(dialler, dialler_secret, acceptor->challenge);
    if (status)
        return status;
    handshake_write_proof(dialler, dialler_secret, &sample);
    status = handshake_read_proof(acceptor, acceptor_secret, dialler->proof, &claim);
    if (status)
        return status;
    check(claim.rank == sample.rank && claim.target == sample.target && claim.set == sample.set);
    check(strcmp(claim.transport, "tcp") == 0 && claim.nsockets == 4 && claim.socket == 3);
    check(strcmp(claim.record.where.hostname, "host") == 0 && claim.record.port == 4711);
    check(claim.record.where.plan == sample.record.where.plan);
    check(claim.record.nturns == 3 && claim.record.turns[0] == 9 && claim.record.turns[2] == 255);
    handshake_write_welcome(acceptor, acceptor_secret, &said, welcome);
    status = handshake_read_welcome(dialler, dialler_secret, welcome, &heard);
    if (status)
        return status;
    check(heard.status == PEAL_ERR_LAUNCH && heard.value == 17);
    check(strcmp(heard.text, "no room") == 0);         /* cleaned */
    return PEAL_OK;
}

static void test_secrets(void)
{
    struct handshake d, a;

    check(exchange(&d, &a, secret, secret) == PEAL_OK);
    check(exchange(&d, &a, secret, other_secret) == PEAL_ERR_AUTH);
    check(exchange(&d, &a, other_secret, secret) == PEAL_ERR_AUTH);
}

static void test_replay(void)
{
    struct handshake d, a, later;
    unsigned char nonce[HANDSHAKE_NONCE];
    enum handshake_purpose purpose;
    struct claim claim;
    uint64_t job;

    check(exchange(&d, &a, secret, secret) == PEAL_OK);
    /* The recorded dialler comes again: same HELLO, same PROOF, new nonce. */
    check(handshake_read_hello(&later, d.hello, &purpose, &job) == PEAL_OK);
    random_fill(nonce, sizeof(nonce));
    handshake_write_challenge(&later, secret, nonce);
    check(handshake_read_proof(&later, secret, d.proof, &claim) == PEAL_ERR_AUTH);
    /* The recorded acceptor answers a new dialler. */
    random_fill(nonce, sizeof(nonce));
    handshake_write_hello(&later, HANDSHAKE_LINK, 99, nonce);
    check(handshake_read_challenge(&later, secret, a.challenge) == PEAL_ERR_AUTH);
}

/* Our own words must not convince us. */
static void test_reflection(void)
{
    struct handshake d, a;
    unsigned char nonce[HANDSHAKE_NONCE], message[HANDSHAKE_MOST] = { 0 };
    enum handshake_purpose purpose;
    struct claim claim;
    uint64_t job;

    random_fill(nonce, sizeof(nonce));
    handshake_write_hello(&d, HANDSHAKE_JOIN, 99, nonce);
    check(handshake_read_hello(&a, d.hello, &purpose, &job) == PEAL_OK);
    memcpy(message, d.hello, HANDSHAKE_HELLO);
    check(handshake_read_challenge(&d, secret, message) != PEAL_OK);
    handshake_write_challenge(&a, secret, nonce);
    memset(message, 0, sizeof(message));
    memcpy(message, a.challenge, HANDSHAKE_CHALLENGE);
    check(handshake_read_proof(&a, secret, message, &claim) == PEAL_ERR_AUTH);
}

/* Any changed bit of any message is refused, and changes no output. */
static void test_bits(void)
{
    struct handshake d, a;
    unsigned char message[HANDSHAKE_MOST], welcome[HANDSHAKE_WELCOME];
    struct answer answer = { 0 };
    struct claim claim, before;

    check(exchange(&d, &a, secret, secret) == PEAL_OK);
    for (size_t bit = 0; bit < 8 * HANDSHAKE_CHALLENGE; bit++) {
        memcpy(message, a.challenge, HANDSHAKE_CHALLENGE);
        message[bit / 8] ^= (unsigned char)(1u << bit % 8);
        check(handshake_read_challenge(&d, secret, message) != PEAL_OK);
    }
    memset(&claim, 0x5a, sizeof(claim));
    before = claim;
    for (size_t bit = 0; bit < 8 * HANDSHAKE_PROOF; bit++) {
        memcpy(message, d.proof, HANDSHAKE_PROOF);
        message[bit / 8] ^= (unsigned char)(1u << bit % 8);
        check(handshake_read_proof(&a, secret, message, &claim) == PEAL_ERR_AUTH);
    }
    check(memcmp(&claim, &before, sizeof(claim)) == 0);
    handshake_write_welcome(&a, secret, &answer, welcome);
    for (size_t bit = 0; bit < 8 * HANDSHAKE_WELCOME; bit++) {
        memcpy(message, welcome, HANDSHAKE_WELCOME);
        message[bit / 8] ^= (unsigned char)(1u << bit % 8);
        check(handshake_read_welcome(&d, secret, message, &answer) == PEAL_ERR_AUTH);
    }
    /* HELLO is only covered later: a changed one must fail at the challenge. */
    for (size_t bit = 0; bit < 8 * HANDSHAKE_HELLO; bit++) {
        enum handshake_purpose purpose;
        struct handshake victim;
        uint64_t job;

        memcpy(message, d.hello, HANDSHAKE_HELLO);
        message[bit / 8] ^= (unsigned char)(1u << bit % 8);
        if (handshake_read_hello(&victim, message, &purpose, &job))
            continue;
        handshake_write_challenge(&victim, secret, message);
        check(handshake_read_challenge(&d, secret, victim.challenge) == PEAL_ERR_AUTH);
    }
}

static void test_version(void)
{
    struct handshake d, a;
    unsigned char nonce[HANDSHAKE_NONCE] = { 0 };
    enum handshake_purpose purpose;
    uint64_t job;

    handshake_write_hello(&d, HANDSHAKE_JOIN, 1, nonce);
    d.hello[11]++;
    check(handshake_read_hello(&a, d.hello, &purpose, &job) == PEAL_ERR_UNSUPPORTED);
    handshake_write_version(&a);
    a.challenge[11]++;
    check(handshake_read_challenge(&d, secret, a.challenge) == PEAL_ERR_UNSUPPORTED);
    a.challenge[11]--;                 /* our version, but no proof */
    check(handshake_read_challenge(&d, secret, a.challenge) == PEAL_ERR_AUTH);
}

/* Claims that are authentic, but make no sense. */
static void test_claims(void)
{
    struct { size_t offset; uint32_t value; } bad[] = {
        { offsetof(struct claim, rank), 8 }, { offsetof(struct claim, target), 8 },
        { offsetof(struct claim, nranks), 0x80000000u }
    };
    unsigned char bytes[HANDSHAKE_RECORD];
    struct record record = sample.record;
    struct handshake d, a;
    struct claim claim;

    record.nturns = RECORD_TURNS;
    record_write(&record, bytes);
    check(record_read(bytes, &record) == PEAL_OK);
    record.nturns++;
    record_write(&record, bytes);
    check(record_read(bytes, &record) == PEAL_ERR_PROTOCOL);
    check(exchange(&d, &a, secret, secret) == PEAL_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct claim lie = sample;

        memcpy((char *)&lie + bad[i].offset, &bad[i].value, 4);
        handshake_write_proof(&d, secret, &lie);
        check(handshake_read_proof(&a, secret, d.proof, &claim) == PEAL_ERR_PROTOCOL);
    }
    for (int i = 0; i < 4; i++) {
        struct claim lie = sample;

        if (i == 0) lie.socket = 4;
        if (i == 1) lie.nsockets = TRANSPORT_SOCKETS + 1;
        if (i == 2) memset(lie.transport, 'x', sizeof(lie.transport));
        if (i == 3) memset(lie.record.where.hostname, 'x', 64);
        handshake_write_proof(&d, secret, &lie);
        check(handshake_read_proof(&a, secret, d.proof, &claim) == PEAL_ERR_PROTOCOL);
    }
}

/* Random bytes, and true messages with random changes, for all parsers. */
static void fuzz(long count)
{
    enum { NRANKS = 5 };
    static unsigned char bytes[CONTROL_HEADER + CONTROL_MOST + 5 * 200];
    int order[NRANKS] = { 0, 1, 2, 3, 4 };
    struct record records[NRANKS] = { { .family = 4, .port = 1 } };
    struct table table = { .count = NRANKS };
    struct control control;
    struct handshake d, a;
    long passed = 0;

    for (int i = 0; i < NRANKS; i++)
        records[i] = sample.record;
    control_init(&control, CONTROL_FAIL, 7, 2, PEAL_ERR_PEER, "rank 2 died");
    check(exchange(&d, &a, secret, secret) == PEAL_OK);
    for (long i = 0; i < count; i++) {
        size_t length = sizeof(bytes), flips = random_next() % 4;
        enum handshake_purpose purpose;
        enum control_type type;
        struct answer answer;
        struct claim claim;
        uint64_t job;

        if (i % 3 == 0)
            random_fill(bytes, length = random_next() % 600 + HANDSHAKE_MOST);
        else if (i % 3 == 1)
            length = control_write(&control, bytes);
        else
            length = table_write(&table, order, records, NRANKS, bytes);
        while (flips--)
            bytes[random_next() % length] = (unsigned char)random_next();
        if (i % 3 == 0) {
            check(handshake_read_hello(&a, bytes, &purpose, &job) != PEAL_OK);
            check(handshake_read_challenge(&d, secret, bytes) != PEAL_OK);
            check(handshake_read_proof(&a, secret, bytes, &claim) != PEAL_OK);
            check(handshake_read_welcome(&d, secret, bytes, &answer) != PEAL_OK);
        }
        if (control_read_header(bytes, NRANKS, &type, &length) == PEAL_OK &&
            CONTROL_HEADER + length <= sizeof(bytes)) {
            /* A copy of exactly its size, so that a sanitizer sees each step over it. */
            unsigned char *body = malloc(length + 1);
            struct control read;
            struct table others;
            int found[NRANKS];

            memcpy(body, bytes + CONTROL_HEADER, length);
            if (type == CONTROL_TABLE)
                passed += table_read(body, length, NRANKS, &others, found, records) == PEAL_OK;
            else
                passed += control_read(type, body, length, NRANKS, &read) == PEAL_OK;
            free(body);
        }
    }
    printf("fuzz: %ld messages, %ld control messages still made sense\n", count, passed);
    check(passed > 0);
}

/* ---- The hash under it all --------------------------------------------- */

static bool digest_is(const unsigned char digest[MAC_BYTES], const char *hexadecimal)
{
    char text[2 * MAC_BYTES + 1];

    for (int i = 0; i < MAC_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return strcmp(text, hexadecimal) == 0;
}

static void test_digest(void)
{
    /* FIPS 180-4's examples; then, for each length from 0 to 300, the digest of the
     * digest before it and so many bytes: by Python's hashlib. */
    unsigned char text[MAC_BYTES + 300] = { 0 }, digest[MAC_BYTES];

    check(mac_digest("abc", 3, digest) == PEAL_OK);
    check(digest_is(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    check(mac_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, digest) ==
          PEAL_OK);
    check(digest_is(digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));
    for (size_t i = 0; i < 300; i++)
        text[MAC_BYTES + i] = (unsigned char)(i * 7);
    for (size_t n = 0; n <= 300; n++) {
        check(mac_digest(text, MAC_BYTES + n, digest) == PEAL_OK);
        memcpy(text, digest, sizeof digest);
    }
    check(digest_is(digest, "dd985cf98c17c8c3a5853a746447650ab3c0478101445736e7070ba73fd5a947"));
}

static void test_codes(void)
{
    /* RFC 4231, cases 1 to 4; their shorter keys are padded with zeros in any case. */
    unsigned char key[MAC_SECRET] = { 0 }, mac[MAC_BYTES], text[50];
    struct mac_part parts[] = { { "what do ya want ", 16 }, { "for nothing?", 12 } };
    struct mac_part whole = { text, sizeof text };

    memset(key, 0x0b, 20);
    mac_make(key, &(struct mac_part){ "Hi There", 8 }, 1, mac);
    check(digest_is(mac, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
    memset(key, 0, sizeof key);
    memcpy(key, "Jefe", 4);
    mac_make(key, parts, 2, mac);
    check(digest_is(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    memset(key, 0xaa, 20);
    memset(text, 0xdd, sizeof text);
    mac_make(key, &whole, 1, mac);
    check(digest_is(mac, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"));
    for (int i = 0; i < 25; i++)
        key[i] = (unsigned char)(i + 1);
    memset(text, 0xcd, sizeof text);
    mac_make(key, &whole, 1, mac);
    check(digest_is(mac, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"));
}

/* Where the parts meet makes no difference; the key and each byte do. */
static void test_parts(void)
{
    unsigned char text[300], whole[MAC_BYTES], mac[MAC_BYTES];

    random_fill(text, sizeof text);
    for (size_t n = 0; n <= sizeof text; n++) {
        size_t cut = n / 3;
        struct mac_part parts[] = { { text, cut }, { text + cut, 0 }, { text + cut, n - cut } };

        mac_make(secret, &(struct mac_part){ text, n }, 1, whole);
        mac_make(secret, parts, 3, mac);
        check(mac_equal(whole, mac));
        mac_make(other_secret, parts, 3, mac);
        check(!mac_equal(whole, mac));
        text[n / 2] ^= 1;
        mac_make(secret, parts, 3, mac);
        check(n == 0 || !mac_equal(whole, mac));
    }
    for (int bit = 0; bit < 8 * MAC_BYTES; bit++) {
        memcpy(mac, whole, sizeof mac);
        mac[bit / 8] ^= (unsigned char)(1u << bit % 8);
        check(!mac_equal(whole, mac));
    }
}

/* A build that cannot authenticate other processes says so. */
static void test_strength(void)
{
    unsigned char digest[MAC_BYTES];

    check(handshake_usable(true) == PEAL_OK);
    if (mac_is_strong()) {
        check(handshake_usable(false) == PEAL_OK);
        test_digest();
        test_codes();
        return;
    }
    check(handshake_usable(false) == PEAL_ERR_UNSUPPORTED);
    check(mac_digest("abc", 3, digest) == PEAL_ERR_UNSUPPORTED);
    printf("SKIP: SHA-256 and HMAC-SHA256: without Nettle the stand-in of jobs of threads "
           "is tested\n");
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? strtol(argv[2], NULL, 0) : 1000000;

    random_state = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)random_state);
    random_fill(secret, sizeof(secret));
    memcpy(other_secret, secret, sizeof(secret));
    other_secret[JOB_SECRET - 1] ^= 1;
    sample = (struct claim){ .rank = 2, .nranks = 8, .target = 5, .socket = 3, .nsockets = 4,
                             .communicator = 77, .set = 6, .transport = "tcp",
                             .record = { .where = { .pid = 1, .plan = UINT64_MAX - 5, .hostname = "host" },
                                         .nturns = 3, .turns = { 9, 4, 255 },
                                         .family = 4, .port = 4711 } };
    test_strength();
    test_parts();
    test_secrets();
    test_replay();
    test_reflection();
    test_bits();
    test_version();
    test_claims();
    fuzz(count);
    printf("%s\n", wrong ? "FAILED" : "ok");
    return wrong != 0;
}
