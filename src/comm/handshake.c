/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/handshake.h"

#include "comm/handshake_mac.h"
#include "comm/job_wire.h"

_Static_assert((int)HANDSHAKE_MOST >= (int)HANDSHAKE_WELCOME, "the largest of the four");

static const unsigned char magic[8] = { 'P', 'E', 'A', 'L', '\r', '\n', 0x1a, 0xb3 };

enum { HELLO_NONCE = 24, CHALLENGE_NONCE = 12,
       CHALLENGE_MAC = CHALLENGE_NONCE + HANDSHAKE_NONCE,
       PROOF_MAC = HANDSHAKE_CLAIM, WELCOME_MAC = HANDSHAKE_WELCOME - HANDSHAKE_MAC };

int handshake_usable(bool threads_only)
{
    if (mac_is_strong() || threads_only)
        return PEAL_OK;
    return status_fail(PEAL_ERR_UNSUPPORTED,
                       "this build of Peal cannot authenticate other processes: it was made "
                       "without GNU Nettle; install its headers (nettle-dev) and configure again");
}

/* ---- Records and claims ---------------------------------------------- */

static void put_record(struct wire_writer *w, const struct record *record)
{
    wire_put64(w, record->where.host);
    wire_put64(w, record->where.process);
    wire_put32(w, record->where.pid);
    wire_put32(w, record->where.pid_namespace);
    wire_put64(w, record->where.cores);
    wire_put16(w, record->where.numa);
    wire_put64(w, record->where.plan);
    wire_put(w, record->where.hostname, sizeof(record->where.hostname));
    for (int i = 0; i < TRANSPORT_FABRICS; i++) {
        wire_put(w, record->where.fabrics[i].transport, TRANSPORT_NAME);
        wire_put64(w, record->where.fabrics[i].word);
    }
    wire_put16(w, record->nturns);
    wire_put(w, record->turns, sizeof(record->turns));
    wire_put16(w, record->family);
    wire_put16(w, record->port);
    wire_put(w, record->address, sizeof(record->address));
    wire_put(w, record->local, sizeof(record->local));
}

static void get_record(struct wire_reader *r, struct record *record)
{
    char *hostname = record->where.hostname;

    record->where.host = wire_get64(r);
    record->where.process = wire_get64(r);
    record->where.pid = wire_get32(r);
    record->where.pid_namespace = wire_get32(r);
    record->where.cores = wire_get64(r);
    record->where.numa = wire_get16(r);
    record->where.plan = wire_get64(r);
    wire_get(r, hostname, sizeof(record->where.hostname));
    if (!memchr(hostname, 0, sizeof(record->where.hostname))) {
        r->bad = true;
        hostname[0] = 0;
    }
    wire_clean_text(hostname);
    for (int i = 0; i < TRANSPORT_FABRICS; i++) {
        struct fabric *fabric = &record->where.fabrics[i];

        wire_get(r, fabric->transport, TRANSPORT_NAME);
        if (!memchr(fabric->transport, 0, TRANSPORT_NAME)) {
            r->bad = true;
            fabric->transport[0] = 0;
        }
        fabric->word = wire_get64(r);
    }
    record->nturns = wire_get16(r);
    wire_get(r, record->turns, sizeof(record->turns));
    record->family = wire_get16(r);
    record->port = wire_get16(r);
    wire_get(r, record->address, sizeof(record->address));
    wire_get(r, record->local, sizeof(record->local));
}

static bool record_valid(const struct record *record)
{
    return (record->family == 4 || record->family == 6) && record->port != 0 &&
           record->nturns <= RECORD_TURNS;
}

void record_write(const struct record *record, unsigned char bytes[HANDSHAKE_RECORD])
{
    struct wire_writer w = { bytes, HANDSHAKE_RECORD, false };

    put_record(&w, record);
}

int record_read(const unsigned char bytes[HANDSHAKE_RECORD], struct record *record)
{
    struct wire_reader r = { bytes, HANDSHAKE_RECORD, false };
    struct record read = { 0 };

    get_record(&r, &read);
    if (r.bad || !record_valid(&read))
        return PEAL_ERR_PROTOCOL;
    *record = read;
    return PEAL_OK;
}

static void put_claim(struct wire_writer *w, const struct claim *claim)
{
    wire_put32(w, claim->rank);
    wire_put32(w, claim->nranks);
    wire_put32(w, claim->target);
    wire_put16(w, claim->socket);
    wire_put16(w, claim->nsockets);
    wire_put64(w, claim->communicator);
    wire_put32(w, claim->set);
    wire_put(w, claim->transport, sizeof(claim->transport));
    put_record(w, &claim->record);
}

static void get_claim(struct wire_reader *r, struct claim *claim)
{
    claim->rank = wire_get32(r);
    claim->nranks = wire_get32(r);
    claim->target = wire_get32(r);
    claim->socket = wire_get16(r);
    claim->nsockets = wire_get16(r);
    claim->communicator = wire_get64(r);
    claim->set = wire_get32(r);
    wire_get(r, claim->transport, sizeof(claim->transport));
    get_record(r, &claim->record);
}

static bool claim_valid(const struct claim *claim, uint32_t purpose)
{
    if (claim->nranks > INT32_MAX || claim->rank >= claim->nranks ||
        claim->target >= claim->nranks)
        return false;
    if (purpose == HANDSHAKE_JOIN)
        return record_valid(&claim->record);
    if (purpose == HANDSHAKE_LINK)
        return claim->nsockets <= TRANSPORT_SOCKETS && claim->socket < claim->nsockets &&
               claim->transport[0] &&
               memchr(claim->transport, 0, sizeof(claim->transport)) != NULL;
    return true;
}

/* ---- HELLO ------------------------------------------------------------ */

void handshake_write_hello(struct handshake *shake, enum handshake_purpose purpose,
                           uint64_t job, const unsigned char nonce[HANDSHAKE_NONCE])
{
    struct wire_writer w = { shake->hello, sizeof(shake->hello), false };

    wire_put(&w, magic, sizeof(magic));
    wire_put32(&w, HANDSHAKE_VERSION);
    wire_put32(&w, purpose);
    wire_put64(&w, job);
    wire_put(&w, nonce, HANDSHAKE_NONCE);
}

static uint32_t hello_purpose(const struct handshake *shake)
{
    struct wire_reader r = { shake->hello + 12, 4, false };

    return wire_get32(&r);
}

int handshake_read_hello(struct handshake *shake, const unsigned char *message,
                         enum handshake_purpose *purpose, uint64_t *job)
{
    struct wire_reader r = { message + 8, HANDSHAKE_HELLO - 8, false };
    uint32_t version, wanted;
    uint64_t number;

    if (memcmp(message, magic, sizeof(magic)))
        return PEAL_ERR_PROTOCOL;
    version = wire_get32(&r);
    wanted = wire_get32(&r);
    number = wire_get64(&r);
    if (version != HANDSHAKE_VERSION)
        return PEAL_ERR_UNSUPPORTED;
    if (wanted < HANDSHAKE_JOIN || wanted > HANDSHAKE_LINK)
        return PEAL_ERR_PROTOCOL;
    memcpy(shake->hello, message, HANDSHAKE_HELLO);
    *purpose = (enum handshake_purpose)wanted;
    *job = number;
    return PEAL_OK;
}

/* ---- CHALLENGE -------------------------------------------------------- */

static void challenge_mac(const struct handshake *shake, const unsigned char *secret,
                          const unsigned char *challenge, unsigned char mac[HANDSHAKE_MAC])
{
    struct mac_part parts[] = {
        { "peal accept", 11 },
        { shake->hello, HANDSHAKE_HELLO },
        { challenge, CHALLENGE_MAC }
    };

    mac_make(secret, parts, 3, mac);
}

void handshake_write_version(struct handshake *shake)
{
    struct wire_writer w = { shake->challenge, sizeof(shake->challenge), false };

    memset(shake->challenge, 0, sizeof(shake->challenge));
    wire_put(&w, magic, sizeof(magic));
    wire_put32(&w, HANDSHAKE_VERSION);
}

void handshake_write_challenge(struct handshake *shake, const unsigned char *secret,
                               const unsigned char nonce[HANDSHAKE_NONCE])
{
    handshake_write_version(shake);
    memcpy(shake->challenge + CHALLENGE_NONCE, nonce, HANDSHAKE_NONCE);
    challenge_mac(shake, secret, shake->challenge, shake->challenge + CHALLENGE_MAC);
}

int handshake_read_challenge(struct handshake *shake, const unsigned char *secret,
                             const unsigned char *message)
{
    struct wire_reader r = { message + 8, 4, false };
    unsigned char mac[HANDSHAKE_MAC];

    if (memcmp(message, magic, sizeof(magic)))
        return PEAL_ERR_PROTOCOL;
    if (wire_get32(&r) != HANDSHAKE_VERSION)
        return PEAL_ERR_UNSUPPORTED;
    challenge_mac(shake, secret, message, mac);
    if (!mac_equal(mac, message + CHALLENGE_MAC))
        return PEAL_ERR_AUTH;
    memcpy(shake->challenge, message, HANDSHAKE_CHALLENGE);
    return PEAL_OK;
}

/* ---- PROOF ------------------------------------------------------------ */

static void proof_mac(const struct handshake *shake, const unsigned char *secret,
                      const unsigned char *proof, unsigned char mac[HANDSHAKE_MAC])
{
    struct mac_part parts[] = {
        { "peal dial", 9 },
        { shake->hello, HANDSHAKE_HELLO },
        { shake->challenge, HANDSHAKE_CHALLENGE },
        { proof, HANDSHAKE_CLAIM }
    };

    mac_make(secret, parts, 4, mac);
}

void handshake_write_proof(struct handshake *shake, const unsigned char *secret,
                           const struct claim *claim)
{
    struct wire_writer w = { shake->proof, HANDSHAKE_CLAIM, false };

    put_claim(&w, claim);
    proof_mac(shake, secret, shake->proof, shake->proof + PROOF_MAC);
}

int handshake_read_proof(struct handshake *shake, const unsigned char *secret,
                         const unsigned char *message, struct claim *claim)
{
    struct wire_reader r = { message, HANDSHAKE_CLAIM, false };
    unsigned char mac[HANDSHAKE_MAC];
    struct claim read = { 0 };

    proof_mac(shake, secret, message, mac);
    if (!mac_equal(mac, message + PROOF_MAC))
        return PEAL_ERR_AUTH;
    get_claim(&r, &read);
    if (r.bad || !claim_valid(&read, hello_purpose(shake)))
        return PEAL_ERR_PROTOCOL;
    memcpy(shake->proof, message, HANDSHAKE_PROOF);
    *claim = read;
    return PEAL_OK;
}

/* ---- WELCOME ---------------------------------------------------------- */

static void welcome_mac(const struct handshake *shake, const unsigned char *secret,
                        const unsigned char *welcome, unsigned char mac[HANDSHAKE_MAC])
{
    struct mac_part parts[] = {
        { "peal welcome", 12 },
        { shake->hello, HANDSHAKE_HELLO },
        { shake->challenge, HANDSHAKE_CHALLENGE },
        { shake->proof, HANDSHAKE_PROOF },
        { welcome, WELCOME_MAC }
    };

    mac_make(secret, parts, 5, mac);
}

void handshake_write_welcome(const struct handshake *shake, const unsigned char *secret,
                             const struct answer *answer,
                             unsigned char message[HANDSHAKE_WELCOME])
{
    struct wire_writer w = { message, WELCOME_MAC, false };
    char text[HANDSHAKE_TEXT] = "";

    memcpy(text, answer->text, strnlen(answer->text, sizeof(text) - 1));
    wire_put32(&w, (uint32_t)answer->status);
    wire_put32(&w, answer->value);
    wire_put(&w, text, sizeof(text));
    welcome_mac(shake, secret, message, message + WELCOME_MAC);
}

int handshake_read_welcome(const struct handshake *shake, const unsigned char *secret,
                           const unsigned char *message, struct answer *answer)
{
    struct wire_reader r = { message, WELCOME_MAC, false };
    unsigned char mac[HANDSHAKE_MAC];
    struct answer read = { 0 };

    welcome_mac(shake, secret, message, mac);
    if (!mac_equal(mac, message + WELCOME_MAC))
        return PEAL_ERR_AUTH;
    read.status = (int)(int32_t)wire_get32(&r);
    read.value = wire_get32(&r);
    wire_get(&r, read.text, sizeof(read.text));
    if (r.bad || read.text[sizeof(read.text) - 1] ||
        read.status > PEAL_OK || read.status < PEAL_STATUS_LAST)
        return PEAL_ERR_PROTOCOL;
    wire_clean_text(read.text);
    *answer = read;
    return PEAL_OK;
}
