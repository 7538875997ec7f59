/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite's peers that do not keep the protocol: random bytes on
 * the sockets of any transport, and nonsense in the memory shared by shm.  A
 * port may fail with PEAL_ERR_PROTOCOL or PEAL_ERR_PEER; it must not crash,
 * hang or land a byte outside of what was posted. */
#include "tests/transports_rig.h"

#include "base/clock.h"
#include "transports/shm/shm.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPS = 16, RING = 16 << 10 };

struct victim {
    struct node     node;
    struct where    where;
    struct op       recvs[OPS], sends[OPS];
    struct op       relayed[OPS];                  /* what the sends, of which some are relays, wait for */
    char           *in[OPS], *out, *through[OPS];
    int             peer[TRANSPORT_SOCKETS];       /* the hostile ends */
    int             nsockets;
};

static size_t op_bytes(int i)
{
    static const size_t sizes[] = { 8, 40, 300, 100000 };

    return sizes[i % 4];
}

static void victim_make(struct victim *victim, const struct transport *transport,
                        uint64_t seed)
{
    struct node *node = &victim->node;
    int sockets[TRANSPORT_SOCKETS];
    struct port_options options = { .communicator = 7, .rank = 1, .nranks = 2,
                                    .local_ranks = 2, .where = &victim->where,
                                    .completions = &node->completions };

    memset(victim, 0, sizeof *victim);
    node->transport = transport;
    node->random = seed;
    victim->where.pid = (uint32_t)getpid();
    victim->nsockets = transport->socket_count();
    for (int i = 0; i < victim->nsockets; i++) {
        int pair[2];

        rig_socket_pair(transport->sockets, pair);
        sockets[i] = pair[0];
        victim->peer[i] = pair[1];
    }
    completion_queue_init(&node->completions);
    node->completions.why = node->why;
    CHECK(transport->open(&options, &node->port) == PEAL_OK, "open");
    CHECK(transport->connect(node->port, 0, &victim->where, sockets, victim->nsockets, false,
                             &node->peers[0]) == PEAL_OK, "connect");
    victim->out = rig_alloc(100000, false);
    for (int i = 0; i < OPS; i++) {
        victim->in[i] = rig_alloc(op_bytes(i), false);
        node_recv(node, 0, (uint32_t)i & 1, victim->in[i], op_bytes(i), &victim->recvs[i]);
        victim->through[i] = rig_alloc(op_bytes(i), false);
        victim->relayed[i].done = true;
    }
}

/* A message that goes back to where it comes from, with the number of the i-th send; what comes
 * has that of a receive more.  False: it cannot be. */
static bool victim_relay(struct victim *victim, int i)
{
    struct node *node = &victim->node;
    struct message message = rig_message((uint32_t)i & 1, (uint32_t)(OPS + i) / 2);
    struct message onward = rig_message((uint32_t)i & 1, (uint32_t)i / 2);
    struct landing landing = { .dst = victim->through[i], .bytes = op_bytes(i), .passes = i & 4 };

    victim->relayed[i].done = false;
    if (node->transport->relay &&
        node->transport->relay(node->peers[0], &message, &landing, &victim->relayed[i].completion,
                               node->peers[0], &onward, &victim->sends[i].completion) == PEAL_OK)
        return true;
    victim->relayed[i].done = true;
    return false;
}

/* Start what can be started; in the end everything must have completed. */
static void victim_send(struct victim *victim)
{
    struct node *node = &victim->node;

    for (int i = 0; i < OPS; i++) {
        struct message message = rig_message((uint32_t)i & 1, (uint32_t)i / 2);

        if (node_random(node, 2) && victim_relay(victim, i))
            continue;
        if (node->transport->send(node->peers[0], &message, victim->out, op_bytes(i),
                                  &victim->sends[i].completion))
            victim->sends[i].done = true;
    }
}

static void victim_end(struct victim *victim, bool sent)
{
    struct node *node = &victim->node;

    for (int i = 0; i < victim->nsockets; i++)
        if (victim->peer[i] >= 0)
            close(victim->peer[i]);
    for (int i = 0; i < OPS; i++) {
        int status = node_wait_op(node, &victim->recvs[i]);

        CHECK(status == PEAL_OK || status == PEAL_ERR_MISMATCH || status == PEAL_ERR_PEER ||
              status == PEAL_ERR_PROTOCOL, "%s", status_name(status));
        node_wait(node, &victim->relayed[i].done);
        if (sent)
            node_wait(node, &victim->sends[i].done);
        rig_free(victim->in[i], op_bytes(i), false);
        rig_free(victim->through[i], op_bytes(i), false);
    }
    rig_free(victim->out, 100000, false);
    node_close(node, true);
}

static void noise(const struct transport *transport, uint64_t seed)
{
    struct victim victim;
    char junk[4096];

    victim_make(&victim, transport, seed);
    for (int i = 0; i < 8; i++) {
        size_t bytes = node_random(&victim.node, sizeof junk);

        rig_fill(junk, sizeof junk, seed + (uint64_t)i);
        for (int k = 0; k < victim.nsockets; k++)
            if (send(victim.peer[k], junk, bytes, MSG_NOSIGNAL) < 0)
                continue;              /* it has hung up already, rightly */
        node_progress(&victim.node);
    }
    victim_end(&victim, false);
}

/* ---- UCX ---------------------------------------------------------------- */

/* What ucx_socket.c sends. */
struct ucx_hello {
    uint32_t magic, format;
    uint64_t communicator, key;
    uint32_t chunk, length;
    uint64_t sum;
};
struct ucx_word {
    uint32_t what, inverse;
    uint64_t count;
};
enum { UCX_BROKEN = 0x42726f6b };

static uint64_t ucx_sum(uint64_t sum, const void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
    return sum;
}

/* The peer says why it ends the connection: that is told, of no more text than was sent. */
static void ucx_reason(const struct transport *transport, uint64_t seed, uint64_t length,
                       const char *wanted)
{
    static const char address[16], reason[] = "the cable\nburns";
    struct ucx_hello hello = { .magic = 0x50655558, .format = 2, .communicator = 7,
                               .chunk = 1 << 20, .length = sizeof address };
    struct ucx_word word = { UCX_BROKEN, ~(uint32_t)UCX_BROKEN, length };
    char bytes[sizeof hello + sizeof address + sizeof word + sizeof reason];
    const char *said;
    struct victim victim;

    victim_make(&victim, transport, seed);
    hello.sum = ucx_sum(ucx_sum(0xcbf29ce484222325, &hello, sizeof hello), address,
                        sizeof address);
    memcpy(bytes, &hello, sizeof hello);
    memcpy(bytes + sizeof hello, address, sizeof address);
    memcpy(bytes + sizeof hello + sizeof address, &word, sizeof word);
    memcpy(bytes + sizeof bytes - sizeof reason, reason, sizeof reason);
    CHECK(send(victim.peer[0], bytes, sizeof bytes - 1, MSG_NOSIGNAL) == sizeof bytes - 1,
          "send: %m");
    node_wait(&victim.node, &victim.recvs[0].done);
    said = strstr(status_text(), wanted);
    CHECK(said && strcmp(said, wanted) == 0, "\"%s\" does not end with: %s", status_text(), wanted);
    victim_end(&victim, false);
}

/* What is no hello: who sent it hears why the connection ends. */
static void ucx_told(const struct transport *transport, uint64_t seed)
{
    static const char junk[sizeof(struct ucx_hello)];
    char bytes[65536];
    size_t got = 0;
    ssize_t n;
    struct ucx_hello hello;
    struct victim victim;

    victim_make(&victim, transport, seed);
    CHECK(send(victim.peer[0], junk, sizeof junk, MSG_NOSIGNAL) == sizeof junk, "send: %m");
    node_wait(&victim.node, &victim.recvs[0].done);
    while (poll(&(struct pollfd){ .fd = victim.peer[0], .events = POLLIN }, 1, 10000) > 0 &&
           (n = recv(victim.peer[0], bytes + got, sizeof bytes - got, 0)) > 0)
        got += (size_t)n;
    memcpy(&hello, bytes, sizeof hello);
    CHECK(got > sizeof hello + hello.length + sizeof(struct ucx_word) &&
          memmem(bytes + sizeof hello + hello.length, got - sizeof hello - hello.length,
                 "sent no hello of this version", 29), "%zu bytes do not say it", got);
    victim_end(&victim, false);
}

/* In a process of its own: a peer that goes before it is connected leaves a worker of UCX behind,
 * which children of the process could not live with. */
static void ucx_reasons(const struct transport *transport, uint64_t seed)
{
    int status = -1;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        alarm(60 * rig_slowness());
        ucx_reason(transport, seed, 15, "gave the connection up: the cable?burns");
        ucx_reason(transport, seed, 9, "gave the connection up: the cable");
        ucx_reason(transport, seed, 511, "gave the connection up: the cable?burns");
        ucx_reason(transport, seed, 0, "rank 0 on  gave the connection up");
        ucx_reason(transport, seed, 512, "sent an unknown word");
        ucx_told(transport, seed);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0, "status %d", status);
}

/* ---- shm ---------------------------------------------------------------- */

static void record_pass(int to, const struct record *record, int fd)
{
    struct iovec piece = { (void *)(uintptr_t)record, sizeof *record };
    union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int))]; } control = { { 0 } };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(to, &message, MSG_NOSIGNAL) < 0)
        return;                        /* it has hung up already */
}

static int area_memory(size_t bytes, bool seal)
{
    int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0, "%m");
    if (seal)
        CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0, "%m");
    return fd;
}

/* Memory that the peer could shrink, or that is too small, is not mapped. */
static void shm_wrong_area(const struct transport *transport, uint64_t seed, size_t bytes,
                           bool seal, uint64_t ring)
{
    struct victim victim;
    struct record hello = { .kind = RECORD_HELLO, .length = ring };
    int fd = area_memory(bytes, seal);

    victim_make(&victim, transport, seed);
    record_pass(victim.peer[0], &hello, fd);
    close(fd);
    node_progress(&victim.node);
    victim_send(&victim);
    for (int i = 0; i < OPS; i++)
        CHECK(node_wait_op(&victim.node, &victim.recvs[i]) == PEAL_ERR_PROTOCOL, "%s",
              status_name(victim.recvs[i].completion.status));
    victim_end(&victim, false);
}

/* A slot that is right except for a few things. */
static void slot_forge(struct node *random, struct shm_area *area, uint64_t position)
{
    struct slot *slot = &area->slots[0][position % SHM_SLOTS];
    uint32_t kind = (uint32_t)node_random(random, node_random(random, 50) ? 8 : 16);
    uint32_t stream = (uint32_t)node_random(random, node_random(random, 50) ? 2 : 16);
    uint32_t length = (uint32_t)node_random(random, 100) ? SHM_INLINE : 255;

    slot->number = (uint32_t)node_random(random, 20);
    slot->signature = rig_message(stream, slot->number).signature;
    for (size_t i = 0; i < SHM_INLINE; i += 4) {
        static const uint32_t likely[] = { 0, 0, 8, 40, 300, 1, 100000, 4096, 65536,
                                           UINT32_MAX };
        bool gap = i == offsetof(struct slot_bytes, gap);      /* mostly right, or nothing is */
        uint32_t word = gap && node_random(random, 8) ? 0 : likely[node_random(random, 10)];

        memcpy(slot->payload + i, &word, 4);
    }
    atomic_store(&slot->mark, (uint32_t)(position / SHM_SLOTS + 1) << 16 | kind << 12 |
                                  stream << 8 | length);
}

static void shm_forged(const struct transport *transport, uint64_t seed)
{
    size_t bytes = ring_area_bytes(RING);
    struct record record = { .kind = RECORD_HELLO, .length = RING, .token_at = seed };
    int fd = area_memory(bytes, true), other = area_memory(4096, true);
    struct shm_area *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct victim victim;
    struct node *node = &victim.node;

    CHECK(area != MAP_FAILED, "%m");
    victim_make(&victim, transport, seed);
    record_pass(victim.peer[0], &record, fd);
    node_progress(node);
    victim_send(&victim);
    for (uint64_t i = 0; i < 64; i++) {
        slot_forge(node, area, i);
        if (node_random(node, 8) == 0) {
            record = (struct record){ .kind = RECORD_SHARE,
                                      .share = (uint32_t)node_random(node, 20),
                                      .id = node_random(node, 2) * 8,
                                      .length = 4096 * node_random(node, 3) };
            record_pass(victim.peer[0], &record, other);
        }
        if (node_random(node, 30) == 0) {
            atomic_store(&area->sides[0].slots_taken, node_random(node, 300));
            atomic_store(&area->sides[0].low[0], (uint32_t)node_random(node, 600));
        }
        if (node_random(node, 4) == 0) {
            static const char out[300];
            struct message message = rig_message((uint32_t)node_random(node, 2),
                                                 (uint32_t)node_random(node, 20));

            transport->place(node->peers[0], &message, out, node_random(node, 2) ? 40 : 300,
                             false);
        }
        node_progress(node);
    }
    victim_end(&victim, true);
    munmap(area, bytes);
    close(other);
    close(fd);
}

/* Put a well-formed slot at `position`. */
static void message_put(struct shm_area *area, uint64_t position, enum slot_kind kind,
                        const struct message *message, const void *payload, size_t bytes)
{
    struct slot *slot = &area->slots[0][position % SHM_SLOTS];

    slot->number = message->number;
    slot->signature = message->signature;
    memcpy(slot->payload, payload, bytes);
    atomic_store(&slot->mark, (uint32_t)(position / SHM_SLOTS + 1) << 16 |
                                  (uint32_t)kind << 12 | message->stream << 8 | (uint32_t)bytes);
}

/* Of the first message of 100000 bytes. */
static void slot_put(struct shm_area *area, uint64_t position, enum slot_kind kind,
                     const void *payload, size_t bytes)
{
    struct message message = rig_message(1, 1);

    message_put(area, position, kind, &message, payload, bytes);
}

/* Room behind a message, as much as there can be or not. */
static void shm_gap(const struct transport *transport, uint32_t gap, bool right)
{
    struct record hello = { .kind = RECORD_HELLO, .length = RING };
    struct slot_bytes where = { .length = 300, .gap = gap };
    struct message message = rig_message(0, 1);                   /* the first of 300 bytes */
    size_t bytes = ring_area_bytes(RING);
    int fd = area_memory(bytes, true), status;
    struct shm_area *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct victim victim;

    CHECK(area != MAP_FAILED, "%m");
    victim_make(&victim, transport, 1);
    record_pass(victim.peer[0], &hello, fd);
    message_put(area, 0, SLOT_EAGER, &message, &where, sizeof where);
    status = node_wait_op(&victim.node, &victim.recvs[2]);
    CHECK(status == (right ? PEAL_OK : PEAL_ERR_PROTOCOL), "gap %u: %s", gap, status_name(status));
    victim_end(&victim, false);
    munmap(area, bytes);
    close(fd);
}

/* A right offer, then pieces of it that are wrong, or a mapping that does not
 * hold it. */
static void shm_wrong_data(const struct transport *transport, const struct slot_bytes *wrong,
                           const struct slot_offer *offer)
{
    size_t bytes = ring_area_bytes(RING);
    struct record hello = { .kind = RECORD_HELLO, .length = RING },
                  share = { .kind = RECORD_SHARE, .share = 3, .id = 9, .length = 8192 };
    int fd = area_memory(bytes, true), other = area_memory(8192, true), status;
    struct shm_area *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct victim victim;

    CHECK(area != MAP_FAILED, "%m");
    victim_make(&victim, transport, 1);
    record_pass(victim.peer[0], &hello, fd);
    record_pass(victim.peer[0], &share, other);
    slot_put(area, 0, SLOT_OFFER, offer, sizeof *offer);
    node_progress(&victim.node);
    node_progress(&victim.node);
    if (wrong) {
        slot_put(area, 1, SLOT_DATA, wrong, sizeof *wrong);
        status = node_wait_op(&victim.node, &victim.recvs[3]);
        CHECK(status == PEAL_ERR_PROTOCOL, "offset %llu, length %u, gap %u: %s",
              (unsigned long long)wrong->offset, wrong->length, wrong->gap, status_name(status));
    }
    victim_end(&victim, false);
    munmap(area, bytes);
    close(other);
    close(fd);
}

static void shm_wrong_offers(const struct transport *transport)
{
    static const struct slot_bytes wrong[] = { { 0, 0, 0 }, { 64, 64, 0 }, { 0, 100, 0 },
                                               { 0, RING * 2, 0 }, { 0, 100001, 0 },
                                               { 0, UINT32_MAX, 0 }, { UINT64_MAX, 64, 0 },
                                               { 0, 64, 32 }, { 0, 64, RING + 64 },
                                               { 0, 64, UINT32_MAX } };
    static const uint64_t offsets[] = { 0, 8184, 8192, 8193, (uint64_t)1 << 63, UINT64_MAX };
    struct slot_offer offer = { .length = 100000, .share = UINT32_MAX };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        shm_wrong_data(transport, &wrong[i], &offer);
    offer.share_id = 9;
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        offer.share = 3;
        offer.share_offset = offsets[i];
        shm_wrong_data(transport, NULL, &offer);
        offer.share = 16;
        shm_wrong_data(transport, NULL, &offer);
    }
}

/* Who says that it has read what is yet to come to us is not believed; who wants all of it is. */
static void shm_wrong_want(const struct transport *transport, uint64_t offset, bool right)
{
    size_t bytes = ring_area_bytes(RING);
    struct record hello = { .kind = RECORD_HELLO, .length = RING };
    struct slot_want want = { .offset = offset };
    int fd = area_memory(bytes, true);
    struct shm_area *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct victim victim;
    struct node *node = &victim.node;
    const struct slot *slot;
    struct slot_offer offer;

    CHECK(area != MAP_FAILED, "%m");
    victim_make(&victim, transport, 1);
    record_pass(victim.peer[0], &hello, fd);
    node_progress(node);
    CHECK(victim_relay(&victim, 3), "a relay");        /* number 1 of stream 1 */
    slot = &area->slots[1][0];
    memcpy(&offer, slot->payload, sizeof offer);
    CHECK((atomic_load(&slot->mark) >> 12 & 0xf) == SLOT_OFFER && offer.address == 0 &&
          offer.share == UINT32_MAX, "what is relayed is offered to be read");
    slot_put(area, 0, SLOT_WANT, &want, sizeof want);
    for (int i = 0; i < 10; i++)
        node_progress(node);
    CHECK(right ? !victim.sends[3].done
                : victim.sends[3].done && victim.sends[3].completion.status == PEAL_ERR_PROTOCOL,
          "wanted from %llu on: %s", (unsigned long long)offset,
          status_name(victim.sends[3].completion.status));
    victim_end(&victim, false);
    munmap(area, bytes);
    close(fd);
}

/* Who has read some of what is kept as it is sent gets the rest, from there on. */
static void shm_want_rest(const struct transport *transport)
{
    enum { LENGTH = 100000, READ = 32064 };
    size_t bytes = ring_area_bytes(RING);
    struct record hello = { .kind = RECORD_HELLO, .length = RING };
    struct slot_want want = { .offset = READ };
    int fd = area_memory(bytes, true);
    struct shm_area *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct message message = rig_message(1, 1);
    const struct slot *slot = &area->slots[1][1];
    struct slot_bytes piece;
    char *keep = rig_alloc(LENGTH, false);
    struct victim victim;
    struct node *node = &victim.node;

    CHECK(area != MAP_FAILED, "%m");
    victim_make(&victim, transport, 1);
    record_pass(victim.peer[0], &hello, fd);
    node_progress(node);
    rig_fill(victim.out, LENGTH, 5);
    CHECK(transport->send_keep(node->peers[0], &message, victim.out, LENGTH, keep, false,
                               &victim.sends[3].completion) == PEAL_OK, "kept");
    slot_put(area, 0, SLOT_WANT, &want, sizeof want);
    for (int i = 0; i < 10; i++)
        node_progress(node);
    memcpy(&piece, slot->payload, sizeof piece);
    CHECK((atomic_load(&slot->mark) >> 12 & 0xf) == SLOT_DATA && piece.offset == READ && piece.length > 0,
          "bytes from %llu on were sent", (unsigned long long)piece.offset);
    CHECK(memcmp(area->bytes + RING, victim.out + READ, piece.length) == 0, "wrong bytes were sent");
    CHECK(memcmp(keep, victim.out, READ + piece.length) == 0, "wrong bytes were kept");
    victim_end(&victim, false);
    rig_free(keep, LENGTH, false);
    munmap(area, bytes);
    close(fd);
}

void transports_hostile(const struct transport *transport, uint64_t seed)
{
    size_t right = ring_area_bytes(RING);

    if (transport->sockets == SOCKET_NONE)
        return;
    for (uint64_t i = 0; i < 20; i++)
        noise(transport, seed + i);
    if (strcmp(transport->name, "ucx") == 0)
        ucx_reasons(transport, seed);
    if (strcmp(transport->name, "shm") == 0) {
        shm_wrong_area(transport, seed, right, false, RING);
        shm_wrong_area(transport, seed, right - 1, true, RING);
        shm_wrong_area(transport, seed, right, true, RING - 64);
        shm_wrong_area(transport, seed, right, true, (uint64_t)1 << 63);
        shm_wrong_offers(transport);
        shm_gap(transport, 64, true);
        shm_gap(transport, RING, true);
        shm_gap(transport, 32, false);
        shm_gap(transport, RING + 64, false);
        shm_gap(transport, UINT32_MAX, false);
        shm_wrong_want(transport, 0, true);
        shm_wrong_want(transport, 64, false);
        shm_wrong_want(transport, 99999, false);
        shm_wrong_want(transport, 100000, false);
        shm_wrong_want(transport, UINT64_MAX, false);
        shm_want_rest(transport);
        for (uint64_t i = 0; i < 1000; i++)
            shm_forged(transport, seed * 10007 + i);
    }
    printf("%s: hostile peers\n", transport->name);
}
