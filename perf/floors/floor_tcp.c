/* SPDX-License-Identifier: BSD-3-Clause */
/* What do plain loopback sockets move in the pattern of a collective, with no
 * library around them?  Prototypes for the timing loop of perf/compare:
 *
 *   floor_tcp RANKS ...        (the rest: side_by_side.c)
 *
 * flat   every rank sends to all that need its bytes at once; sums are made
 *        from whole vectors
 * ring   (allreduce, reduce) each rank sums its part of the vector, which then
 *        goes to those who need it; (bcast, allgather) along a chain or ring
 * doubling  (allreduce) ever more distant pairs exchange their sums
 * ...small  the same with small buffers in the kernel and small pieces
 * ...poll  the same, sleeping in poll(2) when nothing moves; the others look
 *        again and again, or hand over the core where ranks share it
 *
 * One connection for each pair of ranks, both directions at once. */
#include "loopback.h"
#include "processes.h"
#include "side_by_side.h"
#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PIECE = 256 << 10,           /* bytes per system call; stays in the cache */
    SMALL_PIECE = 32 << 10,
    SMALL_BUFFER = 256 << 10,
    DOUBLING_BYTES = 32 << 10
};

/* Bytes to and from one peer.  With `sum` not NULL, what comes is added to it
 * and the result is stored at `in`. */
struct transfer {
    const char *out;
    size_t out_bytes;
    char *in;
    const float *sum;
    size_t in_bytes;
};

/* Two connections to each peer: the kernel chooses the buffers of one, the
 * other has small ones that stay in the caches. */
static int meshes[2][RANKS_MOST], *sockets = meshes[0];
static size_t piece = PIECE;
static struct transfer transfers[RANKS_MOST];
static char pieces[RANKS_MOST][PIECE] __attribute__((aligned(64)));
static size_t piece_held[RANKS_MOST];        /* bytes of a float that is not complete */
static int me, ranks, sleeps;
static enum { FLAT, RING, DOUBLING } pattern;

static int transfer_send(struct transfer *t, int socket)
{
    size_t want = t->out_bytes < piece ? t->out_bytes : piece;
    ssize_t sent = send(socket, t->out, want, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        library_failed("send");
    if (sent <= 0)
        return 0;
    t->out += sent;
    t->out_bytes -= (size_t)sent;
    return 1;
}

static int transfer_receive(struct transfer *t, int peer)
{
    size_t held = piece_held[peer], whole;
    char *to = t->sum ? pieces[peer] + held : t->in;
    size_t room = t->sum ? piece - held : piece == PIECE ? 4 * PIECE : piece;
    ssize_t got = recv(sockets[peer], to, t->in_bytes < room ? t->in_bytes : room,
                       MSG_DONTWAIT);

    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        library_failed("recv");
    if (got < 0)
        return 0;
    t->in_bytes -= (size_t)got;
    if (!t->sum) {
        t->in += got;
        return 1;
    }
    held += (size_t)got;
    whole = held / sizeof(float);
    floats_add((float *)t->in, t->sum, (const float *)pieces[peer], whole, 0);
    t->sum += whole;
    t->in += whole * sizeof(float);
    piece_held[peer] = held % sizeof(float);
    memmove(pieces[peer], pieces[peer] + whole * sizeof(float), piece_held[peer]);
    return 1;
}

static void transfers_sleep(void)
{
    struct pollfd fds[RANKS_MOST];
    nfds_t n = 0;

    for (int r = 0; r < ranks; r++) {
        const struct transfer *t = &transfers[r];
        int events = (t->out_bytes ? POLLOUT : 0) | (t->in_bytes ? POLLIN : 0);

        if (events)
            fds[n++] = (struct pollfd){ .fd = sockets[r], .events = (short)events };
    }
    poll(fds, n, -1);
}

/* Until all has been sent and received. */
static void transfers_run(void)
{
    int left = 1;

    while (left) {
        int moved = 0;

        left = 0;
        for (int i = 1; i < ranks; i++) {
            int r = (me + i) % ranks;
            struct transfer *t = &transfers[r];

            if (t->out_bytes)
                moved |= transfer_send(t, sockets[r]);
            if (t->in_bytes)
                moved |= transfer_receive(t, r);
            left |= t->out_bytes || t->in_bytes;
        }
        if (left && !moved && sleeps)
            transfers_sleep();
        else if (left && !moved && floor_crowded)
            sched_yield();
    }
}

static void send_to(int peer, const void *from, size_t bytes)
{
    transfers[peer].out = from;
    transfers[peer].out_bytes = bytes;
}

static void receive_from(int peer, void *to, size_t bytes)
{
    transfers[peer].in = to;
    transfers[peer].sum = NULL;
    transfers[peer].in_bytes = bytes;
}

static void add_from(int peer, float *to, const float *to_add, size_t n)
{
    receive_from(peer, to, n * sizeof *to);
    transfers[peer].sum = to_add;
}

/* The part of a rank in a vector, or its block, in floats. */
static size_t part(const struct call *call, int rank)
{
    if (call->what == REDUCE_SCATTER || call->what == ALLGATHER)
        return (size_t)rank * call->n;
    return call->n * (size_t)rank / (size_t)ranks;
}

static size_t part_bytes(const struct call *call, int rank)
{
    return (part(call, rank + 1) - part(call, rank)) * sizeof(float);
}

/* Sum this rank's part, one peer at a time. */
static void parts_sum(struct call *call, float *to)
{
    const float *sum = call->in + part(call, me);

    for (int i = 1; i < ranks; i++) {
        int right = (me + i) % ranks, left = (me - i + ranks) % ranks;

        send_to(right, call->in + part(call, right), part_bytes(call, right));
        add_from(left, to, sum, part_bytes(call, me) / sizeof(float));
        transfers_run();
        sum = to;
    }
}

/* Every rank's part, which lies in its `out`, to all. */
static void parts_gather(struct call *call)
{
    for (int i = 1; i < ranks; i++) {
        int right = (me + i) % ranks, left = (me - i + ranks) % ranks;

        send_to(right, call->out + part(call, me), part_bytes(call, me));
        receive_from(left, call->out + part(call, left), part_bytes(call, left));
        transfers_run();
    }
}

static void allgather(struct call *call)
{
    memcpy(call->out + part(call, me), call->in, call->n * sizeof(float));
    if (pattern == RING) {
        parts_gather(call);
        return;
    }
    for (int r = 0; r < ranks; r++) {
        if (r == me)
            continue;
        send_to(r, call->in, call->n * sizeof(float));
        receive_from(r, call->out + part(call, r), part_bytes(call, r));
    }
    transfers_run();
}

/* Ever more distant ranks exchange what they have; sums of small vectors. */
static void allreduce_doubling(struct call *call)
{
    static float sent[DOUBLING_BYTES / sizeof(float)];

    memcpy(call->out, call->in, call->n * sizeof *sent);
    for (int distance = 1; distance < ranks; distance *= 2) {
        memcpy(sent, call->out, call->n * sizeof *sent);
        send_to(me ^ distance, sent, call->n * sizeof *sent);
        add_from(me ^ distance, call->out, call->out, call->n);
        transfers_run();
    }
}

/* What comes is added to: what one peer sends, to `in`; what several send, to a copy. */
static const float *sum_begin(struct call *call)
{
    if (ranks == 2)
        return call->in;
    memcpy(call->out, call->in, call->n * sizeof(float));
    return call->out;
}

static void allreduce(struct call *call)
{
    const float *sum;

    if (pattern == DOUBLING) {
        allreduce_doubling(call);
        return;
    }
    if (pattern == RING) {
        parts_sum(call, call->out + part(call, me));
        parts_gather(call);
        return;
    }
    sum = sum_begin(call);
    for (int r = 0; r < ranks; r++) {
        if (r == me)
            continue;
        send_to(r, call->in, call->n * sizeof(float));
        add_from(r, call->out, sum, call->n);
    }
    transfers_run();
}

static void reduce(struct call *call)
{
    if (pattern == RING) {
        parts_sum(call, call->out + part(call, me));
        if (me != 0)
            send_to(0, call->out + part(call, me), part_bytes(call, me));
        for (int r = 1; r < ranks && me == 0; r++)
            receive_from(r, call->out + part(call, r), part_bytes(call, r));
        transfers_run();
        return;
    }
    if (me == 0) {
        const float *sum = sum_begin(call);

        for (int r = 1; r < ranks; r++)
            add_from(r, call->out, sum, call->n);
    } else {
        send_to(0, call->in, call->n * sizeof(float));
    }
    transfers_run();
}

/* Along the chain the bytes go on in pieces while the next ones come. */
static void bcast_chain(struct call *call)
{
    size_t bytes = call->n * sizeof(float);
    char *at = (char *)call->out;

    for (size_t done = 0; done < bytes + PIECE; done += PIECE) {
        size_t n = done >= bytes ? 0 : bytes - done < PIECE ? bytes - done : PIECE;
        size_t before = done == 0 ? 0 : bytes - (done - PIECE) < PIECE ?
            bytes - (done - PIECE) : PIECE;

        if (me > 0)
            receive_from(me - 1, at + done, n);
        if (me + 1 < ranks && me == 0)
            send_to(1, at + done, n);
        else if (me + 1 < ranks && before)
            send_to(me + 1, at + done - PIECE, before);
        transfers_run();
    }
}

static void bcast(struct call *call)
{
    size_t bytes = call->n * sizeof(float);

    if (pattern == RING) {
        bcast_chain(call);
        return;
    }
    if (me != 0)
        receive_from(0, call->out, bytes);
    for (int r = 1; r < ranks && me == 0; r++)
        send_to(r, call->out, bytes);
    transfers_run();
}

/* Flat: a byte from all to all; else ever more distant ranks are heard of. */
static void barrier(void)
{
    static char sent, received[RANKS_MOST];
    int in_turn = pattern == RING;

    for (int i = 1; i < ranks; i = in_turn ? 2 * i : i + 1) {
        int right = (me + i) % ranks, left = (me - i + ranks) % ranks;

        send_to(right, &sent, 1);
        receive_from(left, &received[left], 1);
        if (in_turn)
            transfers_run();
    }
    transfers_run();
}

void library_call(struct call *call)
{
    switch (call->what) {
    case ALLREDUCE:      allreduce(call); break;
    case ALLGATHER:      allgather(call); break;
    case BCAST:          bcast(call); break;
    case REDUCE_SCATTER: parts_sum(call, call->out); break;
    case REDUCE:         reduce(call); break;
    default:             barrier(); break;
    }
}

static int pattern_serves(enum collective what, size_t bytes)
{
    int same = ranks == 2 && (what == BARRIER || what == BCAST || what == ALLGATHER);

    switch (pattern) {
    case RING:
        return !same;
    case DOUBLING:
        return what == ALLREDUCE && ranks > 2 && (ranks & (ranks - 1)) == 0 &&
            bytes <= DOUBLING_BYTES;
    default:                           /* whole vectors to all: only short ones, or for two */
        return what == ALLREDUCE ? ranks == 2 || bytes <= PIECE : what != REDUCE_SCATTER;
    }
}

/* Sleeping is never faster where a rank has a core of its own and calls are short. */
int library_variant(const char *name, enum collective what, size_t bytes)
{
    const char *poll = strstr(name, "poll"), *small = strstr(name, "small");
    const char *end = poll ? poll : small;
    size_t length = end ? (size_t)(end - name) : strlen(name);
    static const char *const patterns[] = { "flat", "ring", "doubling" };

    sleeps = poll != NULL;
    if (sleeps && !floor_crowded && bytes < PIECE)
        return 0;
    if (small && bytes < PIECE)
        return 0;
    sockets = meshes[small != NULL];
    piece = small ? SMALL_PIECE : PIECE;
    for (int i = 0; i < 3; i++)
        if (strlen(patterns[i]) == length && strncmp(name, patterns[i], length) == 0) {
            pattern = i;
            return pattern_serves(what, bytes);
        }
    return 0;
}

/* Made before the processes part: rank a holds ends[a][b], rank b ends[b][a]. */
static void connections_make(int ends[RANKS_MOST][RANKS_MOST], int buffer)
{
    for (int a = 0; a < ranks; a++)
        for (int b = a + 1; b < ranks; b++) {
            int both[2];

            loopback_connect(both, buffer);
            ends[a][b] = both[0];
            ends[b][a] = both[1];
        }
}

void library_open(int *argc, char ***argv, int *rank, int *nranks)
{
    static int ends[2][RANKS_MOST][RANKS_MOST];

    if (*argc < 2)
        library_failed("usage: floor_tcp RANKS ...");
    ranks = atoi((*argv)[1]);
    if (ranks < 1 || ranks > RANKS_MOST)
        library_failed("not a number of ranks");
    connections_make(ends[0], 0);
    connections_make(ends[1], SMALL_BUFFER);
    floor_fork(ranks);
    *rank = me = floor_rank;
    *nranks = ranks;
    for (int r = 0; r < ranks; r++) {
        meshes[0][r] = ends[0][me][r];
        meshes[1][r] = ends[1][me][r];
    }
    *argc -= 1;
    *argv += 1;
}

void *library_alloc(size_t bytes)
{
    void *memory = NULL;

    if (posix_memalign(&memory, 4096, bytes) != 0)
        library_failed("no memory");
    return memory;
}

void library_free(void *memory)
{
    free(memory);
}
