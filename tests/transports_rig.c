/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/transports_rig.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SPINS = 200, PATIENCE_MS = 10000 };

/* All that the nodes of one run share, made before they start. */
struct rig {
    struct node nodes[RIG_RANKS];
    int         nsockets;
    int         sockets[RIG_RANKS][RIG_RANKS][TRANSPORT_SOCKETS];   /* [whose][to] */
    void      (*body)(struct node *node);
};

struct rig_thread { struct rig *rig; int rank; };

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

unsigned rig_slowness(void)
{
    const char *text = getenv("TEST_SLOWNESS");
    unsigned long times = text ? strtoul(text, NULL, 10) : 1;

    return times < 1 || times > 100 ? 1 : (unsigned)times;
}

int rig_times(int usual)
{
    return rig_slowness() < 10 ? usual : usual / 4;
}

uint64_t node_random(struct node *node, uint64_t below)
{
    return mix(node->random++) % below;
}

/* ---- Sockets ------------------------------------------------------------ */

static void inet_pair(int pair[2])
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&address, length) == 0 &&
          listen(listener, 1) == 0 &&
          getsockname(listener, (struct sockaddr *)&address, &length) == 0, "%m");
    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(pair[0] >= 0 && connect(pair[0], (struct sockaddr *)&address, length) == 0, "%m");
    pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(pair[1] >= 0, "%m");
    close(listener);
}

void rig_socket_pair(enum socket_kind kind, int pair[2])
{
    if (kind == SOCKET_INET)
        inet_pair(pair);
    else
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "%m");
    for (int i = 0; i < 2; i++)
        CHECK(fcntl(pair[i], F_SETFL, O_NONBLOCK) == 0, "%m");
}

static void rig_sockets(struct rig *rig, const struct transport *transport, int nranks)
{
    if (transport->sockets != SOCKET_NONE)
        rig->nsockets = transport->socket_count();
    CHECK(rig->nsockets >= 0 && rig->nsockets <= TRANSPORT_SOCKETS, "%d", rig->nsockets);
    for (int a = 0; a < nranks; a++)
        for (int b = 0; b < a; b++)
            for (int i = 0; i < rig->nsockets; i++) {
                int pair[2];

                rig_socket_pair(transport->sockets, pair);
                rig->sockets[a][b][i] = pair[0];
                rig->sockets[b][a][i] = pair[1];
            }
    for (int a = 1; a < nranks; a++) {
        int pair[2];

        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "%m");
        rig->nodes[0].control[a] = pair[0];
        rig->nodes[a].control[0] = pair[1];
    }
}

/* Close what belongs to another process than that of `rank` (-1: the parent). */
static void rig_close_others(struct rig *rig, int rank, int nranks)
{
    for (int a = 0; a < nranks; a++) {
        if (a == rank)
            continue;
        for (int b = 0; b < nranks; b++)
            for (int i = 0; a != b && i < rig->nsockets; i++)
                close(rig->sockets[a][b][i]);
        for (int b = 0; b < nranks; b++)
            if (a != b && (a == 0 || b == 0))
                close(rig->nodes[a].control[b]);
    }
}

/* ---- Running ------------------------------------------------------------ */

static void node_where(struct where *where, const struct transport *transport, int rank,
                       bool processes)
{
    struct stat space;

    memset(where, 0, sizeof *where);
    where->host = 1;
    where->process = processes ? (uint64_t)rank + 1 : 1;
    where->pid = (uint32_t)getpid();
    where->pid_namespace = stat("/proc/self/ns/pid", &space) ? 0 : (uint32_t)space.st_ino;
    snprintf(where->hostname, sizeof where->hostname, "here");
    where_publish(where, transport->name);
}

bool rig_reaches(const struct transport *transport, bool processes)
{
    struct where a, b;
    struct reach how = { .latency = 0 };

    node_where(&a, transport, 0, processes);
    node_where(&b, transport, 1, processes);
    if (transport->reach(&a, &b, &how))
        return false;
    CHECK(transport->reach(&b, &a, &how) == PEAL_OK, "reach() is not symmetric");
    CHECK(how.latency > 0 && how.bandwidth > 0, "reach() says nothing");
    return true;
}

static void node_connect(struct rig *rig, struct node *node)
{
    for (int i = 1; i < node->nranks; i++) {
        int peer = (node->rank + i) % node->nranks, status;

        do {
            status = node->transport->connect(node->port, peer, &node->wheres[peer],
                                              rig->sockets[node->rank][peer], rig->nsockets,
                                              node->rank < peer, &node->peers[peer]);
            if (status == STATUS_AGAIN)
                sched_yield();
        } while (status == STATUS_AGAIN);
        CHECK(status == PEAL_OK, "connect: %s", status_name(status));
    }
}

static void node_run(struct rig *rig, int rank)
{
    struct node *node = &rig->nodes[rank];
    struct port_options options = { .communicator = 42, .rank = rank,
                                    .nranks = node->nranks, .local_ranks = node->nranks,
                                    .where = &node->wheres[rank],
                                    .completions = &node->completions };

    completion_queue_init(&node->completions);
    node->completions.why = node->why;
    if (node->processes)           /* tell the others our process id through rank 0 */
        node->wheres[rank].pid = (uint32_t)getpid();
    for (int i = 1; rank == 0 && i < node->nranks; i++)
        CHECK(read(node->control[i], &node->wheres[i].pid, 4) == 4, "%m");
    if (rank > 0)
        CHECK(write(node->control[0], &node->wheres[rank].pid, 4) == 4 &&
              read(node->control[0], node->wheres, sizeof node->wheres) ==
                  sizeof node->wheres, "%m");
    for (int i = 1; rank == 0 && i < node->nranks; i++)
        CHECK(write(node->control[i], node->wheres, sizeof node->wheres) ==
              sizeof node->wheres, "%m");
    CHECK(node->transport->open(&options, &node->port) == PEAL_OK, "open");
    node_connect(rig, node);
    rig->body(node);
    node_close(node, true);
    for (int i = 0; i < node->nranks; i++)
        if (i != rank && (i == 0 || rank == 0))
            close(node->control[i]);
}

static void *thread_main(void *argument)
{
    struct rig_thread *thread = argument;

    node_run(thread->rig, thread->rank);
    return NULL;
}

static void run_threads(struct rig *rig, int nranks)
{
    pthread_t threads[RIG_RANKS];
    struct rig_thread arguments[RIG_RANKS];

    for (int i = 0; i < nranks; i++) {
        arguments[i] = (struct rig_thread){ rig, i };
        CHECK(pthread_create(&threads[i], NULL, thread_main, &arguments[i]) == 0, "thread");
    }
    for (int i = 0; i < nranks; i++)
        pthread_join(threads[i], NULL);
}

static void run_processes(struct rig *rig, int nranks, int victim)
{
    pid_t children[RIG_RANKS];
    bool failed = false;

    fflush(stdout);
    for (int i = 0; i < nranks; i++) {
        children[i] = fork();
        CHECK(children[i] >= 0, "fork: %m");
        if (children[i] == 0) {
            rig_close_others(rig, i, nranks);
            node_run(rig, i);
            exit(0);
        }
    }
    rig_close_others(rig, -1, nranks);
    for (int i = 0; i < nranks; i++) {
        int status;
        pid_t ended;
        bool good;

        do
            ended = waitpid(-1, &status, 0);
        while (ended < 0 && errno == EINTR);
        if (victim >= 0 && ended == children[victim])
            good = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        else
            good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (!good && !failed)      /* the others may wait for it: end them */
            for (int k = 0; k < nranks; k++)
                if (children[k] != ended)
                    kill(children[k], SIGKILL);
        failed |= !good;
    }
    if (failed)
        _exit(1);
}

void rig_run(const struct transport *transport, int nranks, bool processes, int victim,
             uint64_t seed, void (*body)(struct node *node))
{
    struct rig *rig = calloc(1, sizeof *rig);

    CHECK(rig && nranks <= RIG_RANKS, "memory");
    rig->body = body;
    rig_sockets(rig, transport, nranks);
    for (int i = 0; i < nranks; i++) {
        struct node *node = &rig->nodes[i];

        node->transport = transport;
        node->rank = i;
        node->nranks = nranks;
        node->processes = processes;
        node->seed = seed;
        node->random = mix(seed + (uint64_t)i * 0x1000003);
        for (int k = 0; k < nranks; k++)
            node_where(&node->wheres[k], transport, k, processes);
    }
    if (processes)
        run_processes(rig, nranks, victim);
    else
        run_threads(rig, nranks);
    free(rig);
}

void rig_run_with(const struct transport *transport, const char *name, const char *value,
                  uint64_t seed, void (*body)(struct node *node))
{
    const char *set = getenv(name);
    char *before = set ? strdup(set) : NULL;

    setenv(name, value, 1);
    rig_run(transport, 2, false, -1, seed, body);
    if (before)
        setenv(name, before, 1);
    else
        unsetenv(name);
    free(before);
}

void rig_case(const struct transport *transport, const char *group, const char *name, int nranks,
              bool processes, int victim, uint64_t seed, void (*body)(struct node *node))
{
    uint64_t start = clock_now();

    printf("%s, %s: %s%s", transport->name, processes ? "processes" : "threads", group, name);
    fflush(stdout);
    rig_run(transport, nranks, processes, victim, seed, body);
    printf(" (%.2f s)\n", (double)(clock_now() - start) * 1e-9);
}

/* ---- What bodies do -------------------------------------------------------- */

/* Before each call: what fails in it must say so itself, whatever this thread's latest
 * failure was, and wherever this one was found. */
static const char stale[] = "the text of another failure";

static void make_stale(void)
{
    if (strcmp(status_text(), stale) != 0)
        status_fail(PEAL_ERR_STATE, "%s", stale);
}

static void check_told(const char *why, int status)
{
    CHECK(*why && strcmp(why, stale) != 0, "nobody says why: %s", status_name(status));
}

int node_progress(struct node *node)
{
    struct completion *done;
    bool failed = false;
    int moved = 0;

    make_stale();
    if (node->port)
        moved = node->transport->progress(node->port);
    while ((done = completion_next(&node->completions))) {
        struct op *op = (struct op *)done;

        CHECK(!op->done, "an operation completed twice");
        /* What does not land says so where it is noted, which may have been long ago. */
        if (done->status != PEAL_OK && done->status != PEAL_ERR_MISMATCH && done->status != PEAL_ERR_USER)
            check_told(node->why, done->status);
        failed |= done->status != PEAL_OK;
        op->done = true;
        moved++;
    }
    if (failed) {
        status_restore(node->why);     /* for whoever waited for it */
        node->why[0] = '\0';
    }
    return moved;
}

void node_close(struct node *node, bool flush)
{
    node_progress(node);
    node->transport->close(node->port, flush);
    node->port = NULL;
    CHECK(!node->completions.first, "close() queued a completion");
}

/* Sleep until something may have come; `more` (or -1) is another descriptor. */
static void node_sleep(struct node *node, int more)
{
    struct pollfd polled[2] = { { .fd = more, .events = POLLIN },
                                { .fd = -1, .events = POLLIN } };
    int count;

    if (node->port) {
        if (node->transport->arm(node->port) == STATUS_AGAIN)
            return;
        polled[1].fd = node->transport->descriptor(node->port);
    }
    do
        count = poll(polled, 2, PATIENCE_MS * (int)rig_slowness());
    while (count < 0 && errno == EINTR);
    CHECK(count > 0, "rank %d: nothing came for %d ms", node->rank, PATIENCE_MS * (int)rig_slowness());
}

static void control_wait(struct node *node, int peer, bool progress)
{
    struct pollfd polled = { .fd = node->control[peer], .events = POLLIN };
    char byte;

    while (progress && poll(&polled, 1, 0) == 0)
        if (node_progress(node) == 0)
            node_sleep(node, node->control[peer]);
    CHECK(read(node->control[peer], &byte, 1) == 1, "rank %d: rank %d is gone", node->rank,
          peer);
}

static void nodes_meet(struct node *node, bool progress)
{
    if (node->rank > 0) {
        CHECK(write(node->control[0], "", 1) == 1, "%m");
        control_wait(node, 0, progress);
        return;
    }
    for (int i = 1; i < node->nranks; i++)
        control_wait(node, i, progress);
    for (int i = 1; i < node->nranks; i++)
        CHECK(write(node->control[i], "", 1) == 1, "%m");
}

void node_barrier(struct node *node)
{
    nodes_meet(node, true);
}

void node_meet(struct node *node)
{
    nodes_meet(node, node->fresh);
}

void node_wait(struct node *node, const bool *flag)
{
    for (int idle = 0; !*flag; )
        if (node_progress(node) > 0)
            idle = 0;
        else if (++idle > SPINS || node->sleepy)
            node_sleep(node, -1);
}

int node_wait_op(struct node *node, struct op *op)
{
    node_wait(node, &op->done);
    return op->completion.status;
}

struct message rig_message(uint32_t stream, uint32_t number)
{
    return (struct message){ stream, number, { 0x5eed0000 + stream, number } };
}

void node_send_number(struct node *node, int peer, uint32_t stream, uint32_t number,
                      const void *bytes, size_t length, struct op *op)
{
    struct message message = rig_message(stream, number);
    int status;

    op->done = false;
    for (;;) {
        make_stale();
        status = node->transport->send(node->peers[peer], &message, bytes, length,
                                       &op->completion);
        if (status != STATUS_AGAIN)
            break;
        if (node_progress(node) == 0)
            node_sleep(node, -1);
    }
    if (status) {                  /* as good as a completion */
        check_told(status_text(), status);
        op->completion.status = status;
        op->done = true;
    }
}

void node_recv_number(struct node *node, int peer, uint32_t stream, uint32_t number,
                      const struct landing *landing, struct op *op)
{
    struct message message = rig_message(stream, number);
    int status;

    op->done = false;
    make_stale();
    status = node->transport->recv(node->peers[peer], &message, landing, &op->completion);
    CHECK(status != STATUS_AGAIN, "recv() answered AGAIN within the window");
    if (status) {
        check_told(status_text(), status);
        op->completion.status = status;
        op->done = true;
    }
}

void node_send(struct node *node, int peer, uint32_t stream, const void *bytes,
               size_t length, struct op *op)
{
    node_send_number(node, peer, stream, node->next_send[peer][stream]++, bytes, length, op);
}

void node_recv(struct node *node, int peer, uint32_t stream, void *bytes, size_t length,
               struct op *op)
{
    struct landing landing = { .dst = bytes, .bytes = length };

    node_recv_number(node, peer, stream, node->next_recv[peer][stream]++, &landing, op);
}

void node_greet(struct node *node)
{
    struct op sends[RIG_RANKS], recvs[RIG_RANKS];

    if (node->fresh)
        return;
    for (int i = 0; i < node->nranks; i++)
        if (i != node->rank)
            node_recv(node, i, 1, NULL, 0, &recvs[i]);
    for (int i = 0; i < node->nranks; i++)
        if (i != node->rank)
            node_send(node, i, 1, "", 0, &sends[i]);
    for (int i = 0; i < node->nranks; i++)
        if (i != node->rank)
            CHECK(node_wait_op(node, &sends[i]) == PEAL_OK &&
                  node_wait_op(node, &recvs[i]) == PEAL_OK, "greeting rank %d", i);
}

/* ---- Memory ------------------------------------------------------------------ */

char *rig_alloc(size_t bytes, bool shareable)
{
    void *memory = NULL;

    if (shareable)
        CHECK(memory_alloc(bytes + 2 * RIG_GUARD, &memory) == PEAL_OK, "memory_alloc");
    else
        memory = malloc(bytes + 2 * RIG_GUARD);
    CHECK(memory, "memory");
    memset(memory, 0xa5, bytes + 2 * RIG_GUARD);
    return (char *)memory + RIG_GUARD;
}

void rig_free(char *bytes, size_t length, bool shareable)
{
    for (int i = 0; i < RIG_GUARD; i++)
        CHECK((unsigned char)bytes[i - RIG_GUARD] == 0xa5 &&
              (unsigned char)bytes[length + (size_t)i] == 0xa5, "guard byte %d", i);
    if (shareable)
        CHECK(memory_free(bytes - RIG_GUARD) == PEAL_OK, "memory_free");
    else
        free(bytes - RIG_GUARD);
}

void rig_fill(char *bytes, size_t length, uint64_t key)
{
    for (size_t i = 0; i < length; i += 8) {
        uint64_t word = mix(key * 0x10001 + i);

        memcpy(bytes + i, &word, length - i < 8 ? length - i : 8);
    }
}

void rig_verify(const char *bytes, size_t length, uint64_t key, const char *what)
{
    for (size_t i = 0; i < length; i += 8) {
        uint64_t word = mix(key * 0x10001 + i);

        CHECK(memcmp(bytes + i, &word, length - i < 8 ? length - i : 8) == 0,
              "%s: wrong byte in [%zu, %zu) of %zu", what, i, i + 8, length);
    }
}
