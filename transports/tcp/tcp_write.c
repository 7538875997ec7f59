/* SPDX-License-Identifier: BSD-3-Clause */
/* One lane's output: first what is queued, then its chunks of long messages.
 *
 * Where something is to come, one system call, then the other direction has its
 * turn: whoever fills the kernel's buffers before he reads has megabytes under
 * way, which leave the caches and cost the kernel new pages.  It took 16 MiB
 * each way over loopback, in slices of 512K, from 7.2 to 5.7 ms; with half of
 * BYTES, sums are slower. */
#include "transports/tcp/tcp.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    BATCH  = 16,                   /* queued things per system call */
    BYTES  = 1 << 20,              /* of chunks per system call, if there are so many */
    ROUNDS = 8                     /* system calls per call if nothing is to come */
};

void tcp_encode(struct lane *lane, enum tcp_kind kind, const struct message *message,
                size_t total, size_t offset, uint32_t length, unsigned char *wire)
{
    struct endpoint *e = lane->endpoint;
    struct tcp_header header = {
        .kind = kind,
        .communicator = (uint32_t)e->port->options.communicator,
        .stream = message->stream,
        .number = message->number,
        .signature = message->signature,
        .total = total,
        .offset = offset,
        .length = length
    };

    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++)
        header.credit[i] = matching_low(&e->matching, i);
    tcp_wire_encode(&header, wire);
}

void tcp_told(struct lane *lane)
{
    struct endpoint *e = lane->endpoint;

    for (uint32_t i = 0; i < TRANSPORT_STREAMS && lane->index == 0; i++)
        if (e->told[i] != matching_low(&e->matching, i)) {
            e->told[i] = matching_low(&e->matching, i);
            e->full[i] = false;
        }
}

static void lane_watch(struct lane *lane)
{
    if (tcp_lane_watch(lane) != 0)
        lane->endpoint->broken = errno;
}

/* What is left of a header and its bytes, of which `written` are gone. */
static int gather(const unsigned char *header, const char *bytes, size_t length,
                  size_t written, struct iovec *iov)
{
    int n = 0;

    if (written < TCP_HEADER) {
        iov[n].iov_base = (void *)(uintptr_t)(header + written);
        iov[n++].iov_len = TCP_HEADER - written;
        written = TCP_HEADER;
    }
    if (length > written - TCP_HEADER) {
        iov[n].iov_base = (void *)(uintptr_t)(bytes + (written - TCP_HEADER));
        iov[n++].iov_len = length - (written - TCP_HEADER);
    }
    return n;
}

static int gather_queue(const struct lane *lane, struct iovec *iov)
{
    int n = 0, items = 0;

    for (const struct sending *s = lane->queue; s && items < BATCH; s = s->next, items++)
        n += gather(s->header, s->bytes, s->length, s->written, iov + n);
    return n;
}

static void queue_written(struct lane *lane, size_t bytes)
{
    struct port *port = lane->endpoint->port;

    while (bytes > 0) {
        struct sending *s = lane->queue;
        size_t left = TCP_HEADER + s->length - s->written;

        if (bytes < left) {
            s->written += bytes;
            return;
        }
        bytes -= left;
        if (!(lane->queue = s->next))
            lane->last = &lane->queue;
        if (s->done) {
            lane->endpoint->waiting--;
            completion_done(port->options.completions, s->done, PEAL_OK);
        }
        tcp_sending_give(port, s);
    }
}

/* The next chunk that is this lane's to send; false: there is none. */
static bool chunk_begin(struct lane *lane)
{
    struct chunk *chunk = &lane->chunks[(lane->first_chunk + lane->nchunks) % TCP_CHUNKS];
    struct sending *s;

    while ((s = lane->streaming)) {
        uint32_t turn = s->turn[lane->index];
        size_t offset = (size_t)turn * s->chunk, left;

        if (offset < s->length) {
            left = s->length - offset;
            chunk->of = s;
            chunk->length = left < s->chunk ? left : s->chunk;
            chunk->bytes = s->bytes + offset;
            s->turn[lane->index] = turn + (uint32_t)lane->endpoint->nlanes;
            tcp_encode(lane, TCP_CHUNK, &s->message, s->length, offset,
                       (uint32_t)chunk->length, chunk->header);
            tcp_told(lane);
            lane->nchunks++;
            return true;
        }
        lane->streaming = s->next;
    }
    return false;
}

/* Chunks that were begun stand before what is queued later: so the credits in
 * the headers never go back. */
static int gather_chunks(struct lane *lane, struct iovec *iov)
{
    size_t written = lane->chunk_written, bytes = 0;
    int n = 0;

    for (unsigned i = 0; i < TCP_CHUNKS && bytes < BYTES; i++) {
        const struct chunk *chunk = &lane->chunks[(lane->first_chunk + i) % TCP_CHUNKS];

        if (i == lane->nchunks && (lane->queue || !chunk_begin(lane)))
            break;
        n += gather(chunk->header, chunk->bytes, chunk->length, written, iov + n);
        bytes += chunk->length;
        written = 0;
    }
    return n;
}

/* All of a long message is with the kernel. */
static void stream_done(struct endpoint *e, struct sending *s)
{
    struct sending **at = &e->streaming;

    while (*at != s)
        at = &(*at)->next;
    if (!(*at = s->next))
        e->last_streaming = at;
    for (int i = 0; i < e->nlanes; i++)
        if (e->lanes[i].streaming == s)
            e->lanes[i].streaming = s->next;
    e->waiting--;
    completion_done(e->port->options.completions, s->done, PEAL_OK);
    tcp_sending_give(e->port, s);
}

static void chunks_written(struct lane *lane, size_t bytes)
{
    lane->chunk_written += bytes;
    while (lane->nchunks > 0) {
        struct chunk *chunk = &lane->chunks[lane->first_chunk];
        struct sending *s = chunk->of;

        if (lane->chunk_written < TCP_HEADER + chunk->length)
            return;
        lane->chunk_written -= TCP_HEADER + chunk->length;
        lane->first_chunk = (lane->first_chunk + 1) % TCP_CHUNKS;
        lane->nchunks--;
        s->unwritten -= chunk->length;
        if (s->unwritten == 0)
            stream_done(lane->endpoint, s);
    }
}

/* One system call.  False: nothing was written. */
static bool write_some(struct lane *lane)
{
    struct iovec iov[2 * BATCH];
    struct msghdr message = { .msg_iov = iov };
    bool queue = lane->nchunks == 0 && lane->queue;
    ssize_t n;

    message.msg_iovlen = (size_t)(queue ? gather_queue(lane, iov) : gather_chunks(lane, iov));
    if (message.msg_iovlen == 0)
        return false;
    do
        n = sendmsg(lane->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        /* Reading comes first: the peer may have said why, or sent what we need. */
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS)
            lane->endpoint->broken = errno;
        return false;
    }
    if (queue)
        queue_written(lane, (size_t)n);
    else
        chunks_written(lane, (size_t)n);
    return true;
}

int tcp_write(struct lane *lane)
{
    struct endpoint *e = lane->endpoint;
    int most = e->posted > 0 || e->matching.moving ? 1 : ROUNDS, moved = 0;

    while (!e->failure && !e->broken && moved < most && write_some(lane))
        moved++;
    if (!e->failure && !e->broken) {
        lane->blocked = lane->queue || lane->nchunks > 0 || lane->streaming;
        tcp_lane_unsent(lane, lane->blocked);
        if (!lane->blocked && lane->watched & EPOLLOUT)
            lane_watch(lane);
    }
    return moved;
}

int tcp_write_unsent(struct port *port, bool blocked)
{
    struct lane *lane, *next;
    int moved = 0;

    for (lane = port->unsent; lane; lane = next) {
        next = lane->next_unsent;
        if (blocked || !lane->blocked)
            moved += tcp_write(lane);
    }
    /* A lane stays in the list when its endpoint breaks; settling takes it out. */
    for (lane = port->unsent; lane; lane = next) {
        struct endpoint *e = lane->endpoint;

        next = lane->next_unsent;
        if (e->broken && !e->failure) {
            tcp_endpoint_settle(e);
            next = port->unsent;
        } else {
            tcp_endpoint_activity(e);
        }
    }
    return moved;
}

void tcp_watch_unsent(struct port *port)
{
    for (struct lane *lane = port->unsent; lane; lane = lane->next_unsent)
        if (lane->blocked)
            lane_watch(lane);
}
