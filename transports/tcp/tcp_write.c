/* SPDX-License-Identifier: BSD-3-Clause */
/* One lane's output: first what is queued, then its chunks of long messages. */
#include "transports/tcp/tcp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
    BATCH  = 16,                   /* queued things per system call */
    ROUNDS = 8                     /* system calls per call */
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

    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++) {
        header.credit[i] = matching_low(&e->matching, i);
        if (lane->index == 0 && e->told[i] != header.credit[i]) {
            e->told[i] = header.credit[i];
            e->full[i] = false;
        }
    }
    tcp_wire_encode(&header, wire);
}

static void lane_block(struct lane *lane, bool block)
{
    if (lane->blocked == block)
        return;
    lane->blocked = block;
    lane->endpoint->port->blocked += block ? 1 : -1u;
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
    struct sending *s;

    while ((s = lane->streaming)) {
        uint32_t turn = s->turn[lane->index];
        size_t offset = (size_t)turn * s->chunk, left;

        if (offset < s->length) {
            left = s->length - offset;
            lane->chunk_length = left < s->chunk ? left : s->chunk;
            lane->chunk_bytes = s->bytes + offset;
            lane->chunk_written = 0;
            lane->chunk_open = true;
            s->turn[lane->index] = turn + (uint32_t)lane->endpoint->nlanes;
            tcp_encode(lane, TCP_CHUNK, &s->message, s->length, offset,
                       (uint32_t)lane->chunk_length, lane->chunk_header);
            return true;
        }
        lane->streaming = s->next;
    }
    return false;
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

static void chunk_written(struct lane *lane, size_t bytes)
{
    struct sending *s = lane->streaming;

    lane->chunk_written += bytes;
    if (lane->chunk_written < TCP_HEADER + lane->chunk_length)
        return;
    lane->chunk_open = false;
    s->unwritten -= lane->chunk_length;
    if (s->unwritten == 0)
        stream_done(lane->endpoint, s);
}

/* One system call.  False: stop, there is nothing to write or no room. */
static bool write_some(struct lane *lane)
{
    struct iovec iov[2 * BATCH];
    struct msghdr message = { .msg_iov = iov };
    bool chunk = lane->chunk_open;
    ssize_t n;

    if (!chunk && !lane->queue)
        chunk = chunk_begin(lane);
    if (chunk)
        message.msg_iovlen = (size_t)gather(lane->chunk_header, lane->chunk_bytes,
                                            lane->chunk_length, lane->chunk_written, iov);
    else if (lane->queue)
        message.msg_iovlen = (size_t)gather_queue(lane, iov);
    else
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
    if (chunk)
        chunk_written(lane, (size_t)n);
    else
        queue_written(lane, (size_t)n);
    return true;
}

int tcp_write(struct lane *lane)
{
    struct endpoint *e = lane->endpoint;
    int moved = 0;

    while (!e->failure && !e->broken && moved < ROUNDS && write_some(lane))
        moved++;
    if (!e->failure && !e->broken)
        lane_block(lane, lane->queue || lane->chunk_open || lane->streaming);
    return moved;
}
