/* SPDX-License-Identifier: BSD-3-Clause */
/* What can be switched on: on-demand paging, several queue pairs of a port, which
 * addresses are used; and children that are forked meanwhile. */
#include "tests/verbs_faults.h"

#include "base/report.h"
#include "transports/verbs/verbs.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/wait.h>

/* ---- Paging ----------------------------------------------------------------------- */

enum { LONG = 1 << 20, MESSAGES = 20 };

static uint64_t grown[2];          /* regions that the messages have taken, [1]: paged */

static void long_messages(struct node *node)
{
    char *memory = rig_alloc(LONG, false);
    uint64_t pinned, paged;

    node_greet(node);
    node_barrier(node);
    pinned = double_registered(false);
    paged = double_registered(true);
    node_meet(node);
    for (uint64_t i = 0; i < MESSAGES; i++) {
        struct op op;

        if (node->rank == 0) {
            rig_fill(memory, LONG, i);
            node_send(node, 1, 0, memory, LONG, &op);
        } else {
            node_recv(node, 0, 0, memory, LONG, &op);
        }
        CHECK(node_wait_op(node, &op) == PEAL_OK, "message %d", (int)i);
        if (node->rank == 1)
            rig_verify(memory, LONG, i, "paged");
    }
    node_barrier(node);
    if (node->rank == 0) {
        grown[0] = double_registered(false) - pinned;
        grown[1] = double_registered(true) - paged;
    }
    node_meet(node);
    rig_free(memory, LONG, false);
}

static void paging(uint64_t seed)
{
    /* By what the device offers; a message takes a region at each end. */
    static const struct { int offered; const char *asked; uint64_t pinned, paged; } cases[] = {
        { 2, "0", 2 * MESSAGES, 0 }, { 0, "1", 2 * MESSAGES, 0 }, { 1, "1", 0, 2 * MESSAGES },
        { 2, "1", 0, MESSAGES }
    };

    setenv("PEAL_VERBS_DEVICES", "double0", 1);
    setenv("PEAL_VERBS_DIRECT", "64K", 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double_faults()->paging = cases[i].offered;
        setenv("PEAL_VERBS_ODP", cases[i].asked, 1);
        rig_run(&verbs_transport, 2, false, -1, seed, long_messages);
        CHECK(grown[0] == cases[i].pinned && grown[1] == cases[i].paged, "paging %d, asked %s: %d "
              "regions pinned and %d paged", cases[i].offered, cases[i].asked, (int)grown[0],
              (int)grown[1]);
    }
    rig_run(&verbs_transport, 3, true, -1, seed, transports_traffic);
    double_faults()->memory = 2 * (512 << 10);         /* no more than the rings */
    rig_run(&verbs_transport, 2, true, -1, seed, long_messages);
    double_faults()->memory = 0;
    double_faults()->paging = 0;
    unsetenv("PEAL_VERBS_ODP");
    unsetenv("PEAL_VERBS_DIRECT");
    rig_run(&verbs_transport, 2, false, -1, seed, long_messages);
    CHECK(grown[0] >= 2 * MESSAGES, "1 MiB is copied, if it is measured: %d regions", (int)grown[0]);
    unsetenv("PEAL_VERBS_DEVICES");
    printf("on-demand paging\n");
}

static void crossovers(void)
{
    /* Microseconds; a + 16 b, a + 256 b and 256 c by KiB. */
    static const struct { double few, many, copy; size_t bytes; } cases[] = {
        { 20.6, 29.9, 25.6, 512 << 10 },       /* a 20, b 0.039, c 0.1: 328 KiB */
        { 10, 10, 25.6, 128 << 10 },           /* 100 KiB */
        { 12, 11, 25.6, 128 << 10 },           /* measured badly: as if b were 0 */
        { 0.1, 0.1, 25.6, 16 << 10 }, { 10, 100, 25.6, 1 << 20 }, { 500, 501, 25.6, 1 << 20 }
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t bytes = verbs_direct_crossover(cases[i].few * 1e-6, cases[i].many * 1e-6,
                                              cases[i].copy * 1e-6);

        CHECK(bytes == cases[i].bytes, "case %d: %zu bytes", (int)i, bytes);
    }
}

/* ---- Queue pairs ------------------------------------------------------------------- */

static int wanted_queue_pairs;

/* Of all devices, of this process. */
static int all_queue_pairs(void)
{
    int there = 0;

    for (int i = 0; i < DOUBLE_DEVICES; i++)
        there += double_queue_pairs(i);
    return there;
}

static void many_queue_pairs(struct node *node)
{
    int there;

    transports_traffic(node);
    there = all_queue_pairs();
    CHECK(there == wanted_queue_pairs, "%d queue pairs instead of %d", there, wanted_queue_pairs);
    node_meet(node);
}

static void queue_pairs(uint64_t seed)
{
    setenv("PEAL_VERBS_SLICE", "4K", 1);
    setenv("PEAL_VERBS_DEVICES", "double0", 1);
    setenv("NCCL_IB_QPS_PER_CONNECTION", "3", 1);
    wanted_queue_pairs = all_queue_pairs() + 2 * 3;
    rig_run(&verbs_transport, 2, false, -1, seed, many_queue_pairs);
    unsetenv("PEAL_VERBS_DEVICES");
    setenv("PEAL_VERBS_QPS", "4", 1);          /* of three devices: more than there may be */
    wanted_queue_pairs = VERBS_RAILS;
    rig_run(&verbs_transport, 2, true, -1, seed, many_queue_pairs);
    unsetenv("PEAL_VERBS_QPS");
    unsetenv("NCCL_IB_QPS_PER_CONNECTION");
    unsetenv("PEAL_VERBS_SLICE");
    printf("several queue pairs of a port\n");
}

/* ---- Rails of different speed ------------------------------------------------------- */

enum { PART = 64 << 10 };

/* In Gb/s, of the ports of two rails; which gets how many of the parts of a message. */
static const struct speeds { uint32_t here[2], there[2]; int parts, first; } *speeds;

static void speeds_body(struct node *node)
{
    struct endpoint *e = node->peers[!node->rank];
    size_t bytes = (size_t)speeds->parts * PART;
    char *memory = rig_alloc(bytes, true);
    struct op op;

    node_greet(node);
    if (node->rank == 1)
        node_recv(node, 0, 0, memory, bytes, &op);
    node_barrier(node);
    if (node->rank == 0) {
        int first, second;

        while (node_progress(node) > 0)
            continue;
        for (int i = 0; i < 2; i++) {
            e->rails[i].adapter->place.rate = speeds->here[i] * 1000;
            e->rails[i].remote.rate = speeds->there[i] * 1000;
            double_hold(i);
        }
        rig_fill(memory, bytes, 6);
        node_send(node, 1, 0, memory, bytes, &op);
        first = (int)(e->rails[0].flying / PART);
        second = (int)(e->rails[1].flying / PART);
        CHECK(first == speeds->first && first + second == speeds->parts, "of %d parts %d and %d "
              "go over rails of %u and %u Gb/s", speeds->parts, first, second, speeds->here[0],
              speeds->here[1]);
        double_release(0);
        double_release(1);
    }
    CHECK(node_wait_op(node, &op) == PEAL_OK, "rank %d", node->rank);
    rig_verify(memory, bytes, 6, "over rails of different speed");
    node_barrier(node);
    rig_free(memory, bytes, true);
}

static void unequal(uint64_t seed)
{
    static const struct speeds all[] = {
        { { 100, 400 }, { 100, 400 }, 20, 4 }, { { 400, 100 }, { 400, 100 }, 20, 16 },
        { { 400, 400 }, { 100, 400 }, 20, 4 }, { { 100, 400 }, { 400, 400 }, 20, 4 },
        { { 400, 400 }, { 400, 400 }, 20, 10 }, { { 100, 400 }, { 100, 400 }, 3, 0 },
        { { 400, 100 }, { 400, 100 }, 2, 2 }, { { 200, 400 }, { 200, 400 }, 30, 10 }
    };

    setenv("PEAL_VERBS_DEVICES", "double0,double1", 1);
    setenv("PEAL_VERBS_SLICE", "64K", 1);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        speeds = &all[i];
        rig_run(&verbs_transport, 2, false, -1, seed, speeds_body);
    }
    unsetenv("PEAL_VERBS_SLICE");
    unsetenv("PEAL_VERBS_DEVICES");
    printf("rails of different speed\n");
}

/* ---- Forks -------------------------------------------------------------------------- */

/* Children overwrite their copies and are gone, with messages under way. */
static void forking(struct node *node)
{
    static const size_t sizes[] = { 8, 3000, 300000 };
    char *out = rig_alloc(300000, false), *in = rig_alloc(300000, false);

    node_greet(node);
    for (uint64_t i = 0; i < 60; i++) {
        size_t bytes = sizes[i % 3];
        struct op send, recv;
        int status = -1;
        pid_t child;

        rig_fill(out, bytes, i);
        node_recv(node, !node->rank, 0, in, bytes, &recv);
        node_send(node, !node->rank, 0, out, bytes, &send);
        child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            memset(in, 255, bytes);
            memset(out, 255, bytes);
            _exit(0);
        }
        CHECK(node_wait_op(node, &recv) == PEAL_OK && node_wait_op(node, &send) == PEAL_OK,
              "message %d", (int)i);
        rig_verify(in, bytes, i, "after a fork");
        CHECK(waitpid(child, &status, 0) == child && status == 0, "the child: %d", status);
    }
    node_barrier(node);
    rig_free(out, 300000, false);
    rig_free(in, 300000, false);
}

static void forks(uint64_t seed)
{
    rig_run(&verbs_transport, 2, true, -1, seed, forking);
    printf("children are forked meanwhile\n");
}

/* ---- Addresses ---------------------------------------------------------------------- */

static void gid_set(struct place_gid *gid, int index, int version, const char *address)
{
    gid->index = index;
    gid->version = version;
    gid->family = !strchr(address, ':') ? VERBS_GID_V4
                : strncmp(address, "fe80", 4) == 0 ? VERBS_GID_LOCAL : VERBS_GID_V6;
    memset(&gid->gid, 0, sizeof gid->gid);
    if (gid->family == VERBS_GID_V4) {
        gid->gid.bytes[10] = gid->gid.bytes[11] = 0xff;
        inet_pton(AF_INET, address, gid->gid.bytes + 12);
    } else {
        inet_pton(AF_INET6, address, gid->gid.bytes);
    }
}

static void addresses(void)
{
    static const struct { const char *name, *value, *left; } cases[] = {
        { "PEAL_VERBS_ROCE", "0", "1357" }, { "NCCL_IB_ROCE_VERSION_NUM", "1", "0246" },
        { "PEAL_VERBS_GID_INDEX", "4", "4" }, { "NCCL_IB_ADDR_FAMILY", "AF_INET", "35" },
        { "PEAL_VERBS_FAMILY", "AF_INET6", "17" }, { "PEAL_VERBS_FAMILY", "IPX", "1357" },
        { "NCCL_IB_ADDR_RANGE", "10.0.0.0/8", "35" }, { "PEAL_VERBS_NETWORK", "10.1.2.0/23", "5" },
        { "PEAL_VERBS_NETWORK", "10.1.3.4", "5" }, { "PEAL_VERBS_NETWORK", "10.1.3.5", "" },
        { "PEAL_VERBS_NETWORK", "fd00:8000::/17", "7" }, { "PEAL_VERBS_NETWORK", "::/0", "1357" }
    };
    static const char *const wrong[] = { "", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "10.0.0.0/",
                                         "10.0.0.0/-1", "10.0.0.0/8x", "a network" };
    struct place place = { .link = VERBS_ROCE, .ngids = 8 };
    struct verbs_network network;

    for (int i = 0; i < 8; i++) {
        static const char *const text[] = { "fe80::2", "10.99.0.1", "10.1.3.4", "fd00:8000::1" };

        /* In the table as devices have them, v1 first; here as gids_find() puts them. */
        gid_set(&place.gids[(i & 1 ? 0 : 4) + i / 2], i, 1 + (i & 1), text[i / 2]);
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char left[9] = "";

        setenv(cases[i].name, cases[i].value, 1);
        for (char index = '0'; index < '8'; index++)
            for (int k = 0; k < 8; k++)
                if (place.gids[k].index == index - '0' && verbs_option_gid(&place, &place.gids[k]))
                    left[strlen(left)] = index;
        unsetenv(cases[i].name);
        CHECK(strcmp(left, cases[i].left) == 0, "%s=%s leaves entries \"%s\"", cases[i].name,
              cases[i].value, left);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK(!verbs_network_parse(wrong[i], &network), "\"%s\" is a network", wrong[i]);
    printf("which addresses are used\n");
}

static void disabled(void)
{
    struct where where = { .host = 0 };

    where_publish(&where, "");
    CHECK(where_fabric(&where, "verbs") != 0, "no fabric is published");
    where_publish(&where, "self,shm");
    CHECK(where_fabric(&where, "verbs") == 0, "published, though it is not allowed");
    setenv("NCCL_IB_DISABLE", "1", 1);
    CHECK(verbs_transport.usable() == PEAL_ERR_UNSUPPORTED &&
          strstr(status_text(), "NCCL_IB_DISABLE"), "NCCL_IB_DISABLE=1");
    CHECK(verbs_transport.fabric(false) == 0, "a fabric, though it is disabled");
    setenv("PEAL_VERBS_DISABLE", "0", 1);              /* goes before */
    CHECK(verbs_transport.usable() == PEAL_OK, "PEAL_VERBS_DISABLE=0");
    unsetenv("PEAL_VERBS_DISABLE");
    unsetenv("NCCL_IB_DISABLE");
    printf("verbs are left out\n");
}

/* ---- What peal-info says ------------------------------------------------------------- */

static void expect_report(const char *name, const char *value, const char *row, const char *word)
{
    struct report report;
    char *text, *line, *end;

    setenv(name, value, 1);
    report_begin(&report, "devices", false);
    verbs_transport.devices(&report);
    text = report_end(&report);
    unsetenv(name);
    line = text ? strstr(text, row) : NULL;
    CHECK(line, "no row of %s: %s", row, text);
    if ((end = strchr(line, '\n')))
        *end = '\0';
    CHECK(strstr(line, word), "with %s=%s, \"%s\" lacks \"%s\"", name, value, line, word);
    free(text);
}

static void reports(void)
{
    expect_report("PEAL_VERBS_DIRECT", "131072", "double0:1", " 131072 ");
    expect_report("PEAL_VERBS_RAILS", "8", "double1:1", "100 Gb/s");
    expect_report("PEAL_VERBS_RAILS", "8", "double0:1", " none ");
    double_faults()->paging = 1;
    expect_report("PEAL_VERBS_RAILS", "8", "double0:1", " regions ");
    double_faults()->paging = 2;
    expect_report("PEAL_VERBS_RAILS", "8", "double0:1", " all ");
    double_faults()->paging = 0;
    expect_report("PEAL_VERBS_GID_INDEX", "7", "double2:1", "reaches nobody");
    expect_report("PEAL_VERBS_DEVICES", "=double1", "double0:1", "left out by PEAL_VERBS_DEVICES");
    expect_report("NCCL_IB_DISABLE", "1", "double1:1", "left out by NCCL_IB_DISABLE");
    printf("what peal-info says\n");
}

void verbs_features(uint64_t seed)
{
    disabled();
    reports();
    addresses();
    crossovers();
    paging(seed);
    queue_pairs(seed);
    unequal(seed);
    forks(seed);
}
