/* SPDX-License-Identifier: BSD-3-Clause */
/* The short way (transport.h): a message with one send() and one recv(), with
 * no queue, match or completion in between.
 *
 * What peek() reads stays in the endpoint's `ahead` until it is taken, so that
 * messages that come in a bunch all go the short way.  Bytes that turn out to be
 * something else go to the usual parser: whoever reads lane 0 first hands over
 * what lies ahead (tcp_ahead_parse).  An endpoint with such bytes is active, so
 * that a sleeper is not left without them. */
#include "transports/tcp/tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    SHORT  = 8 << 10,              /* most bytes of such a message */
    ROOM   = 16 << 10,             /* bytes of `ahead`: more than one message */
    JOINED = 1 << 10               /* up to here a copy is cheaper than a second iovec */
};
_Static_assert(SHORT + TCP_HEADER <= ROOM, "a whole message fits");

/* What the kernel did not take, `from` bytes of header and payload being gone,
 * is the lane's to send later. */
static void put_rest(struct endpoint *e, struct sending *s, const struct message *message,
                     const void *bytes, size_t length, size_t from, struct completion *done)
{
    s->message = *message;
    s->bytes = bytes;
    s->length = length;
    s->written = from;
    s->done = done;
    e->waiting++;
    tcp_queue(&e->lanes[0], s);
}

static bool put_possible(struct endpoint *e, const struct message *message, size_t length)
{
    const struct lane *lane = &e->lanes[0];

    return length <= SHORT && length <= e->port->eager && !e->failure && !e->broken &&
           !e->finished && !lane->queue && !lane->streaming && lane->nchunks == 0 &&
           !lane->blocked && send_window_open(&e->window, message->stream, message->number) &&
           !send_window_started(&e->window, message->stream, message->number);
}

/* One system call.  Returns the bytes of header and payload that are gone. */
static ssize_t put_write(const struct lane *lane, unsigned char *wire, const void *bytes,
                         size_t length)
{
    struct iovec iov[2] = { { wire, TCP_HEADER }, { (void *)(uintptr_t)bytes, length } };
    struct msghdr both = { .msg_iov = iov, .msg_iovlen = 2 };
    ssize_t n;

    if (length <= JOINED && length > 0)
        memcpy(wire + TCP_HEADER, bytes, length);
    do
        n = length <= JOINED ? send(lane->fd, wire, TCP_HEADER + length,
                                    MSG_NOSIGNAL | MSG_DONTWAIT)
                             : sendmsg(lane->fd, &both, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n;
}

int tcp_put(struct endpoint *e, const struct message *message, const void *bytes,
            size_t length, struct completion *done)
{
    uint32_t at = message->number % TRANSPORT_WINDOW;
    struct sending **slot = &e->slots[message->stream][at], *s;
    unsigned char wire[TCP_HEADER + JOINED];
    struct lane *lane = &e->lanes[0];
    ssize_t n;

    if (!put_possible(e, message, length))
        return STATUS_AGAIN;
    /* For the case that not all goes at once: then it is too late to fail. */
    if (!e->port->sendings.free) {
        if (!(s = tcp_sending_take(e->port)))
            return STATUS_AGAIN;
        tcp_sending_give(e->port, s);
    }
    tcp_encode(lane, TCP_EAGER, message, length, 0, (uint32_t)length, wire);
    n = put_write(lane, wire, bytes, length);
    if (n <= 0) {
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS)
            e->broken = errno;
        return STATUS_AGAIN;
    }
    tcp_told(lane);
    send_window_start(&e->window, message->stream, message->number);
    if (*slot) {                       /* a READY that it does not need */
        tcp_sending_give(e->port, *slot);
        *slot = NULL;
    }
    if ((size_t)n < TCP_HEADER + length) {
        s = tcp_sending_take(e->port);
        memcpy(s->header, wire, TCP_HEADER);
        put_rest(e, s, message, bytes, length, (size_t)n, done);
        tcp_endpoint_settle(e);
        tcp_endpoint_activity(e);
        return STATUS_LATER;
    }
    return PEAL_OK;
}

int tcp_ahead_parse(struct endpoint *e)
{
    struct lane *lane = &e->lanes[0];
    size_t length = e->ahead_end - e->ahead_at;

    if (length == 0)
        return 0;
    e->ahead_end = 0;
    e->port->nahead--;
    tcp_parse(lane, e->ahead + e->ahead_at, length);
    e->ahead_at = 0;
    return 1;
}

/* Read more behind what lies ahead, and behind the piece of a header that the
 * usual parser has kept.  False: nothing there, or no more to come. */
static bool ahead_read(struct endpoint *e)
{
    struct lane *lane = &e->lanes[0];
    size_t length = e->ahead_end - e->ahead_at;
    ssize_t n;

    if (e->ahead_at > 0 && length > 0)
        memmove(e->ahead, e->ahead + e->ahead_at, length);
    e->ahead_at = 0;
    e->ahead_end = length;
    do
        n = recv(lane->fd, e->ahead + length, ROOM - length, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
            tcp_lane_ended(lane, n == 0 ? 0 : errno);
        return false;
    }
    e->ahead_end += (size_t)n;
    if (length == 0)
        e->port->nahead++;
    return true;
}

static void ahead_take(struct endpoint *e, size_t bytes)
{
    e->ahead_at += bytes;
    if (e->ahead_at < e->ahead_end)
        return;
    e->ahead_at = e->ahead_end = 0;
    e->port->nahead--;
}

static bool peek_possible(struct endpoint *e, const struct message *message, size_t length)
{
    struct lane *lane = &e->lanes[0];

    if (length > SHORT || e->failure || e->broken || e->posted > 0 || lane->match ||
        lane->ended || !matching_open(&e->matching, message->stream, message->number))
        return false;
    if (!e->ahead && !(e->ahead = malloc(ROOM)))
        return false;
    if (lane->ncarry > 0) {            /* nothing lies ahead then */
        memcpy(e->ahead, lane->carry, lane->ncarry);
        e->ahead_at = 0;
        e->ahead_end = lane->ncarry;
        e->port->nahead++;
        lane->ncarry = 0;
        tcp_endpoint_activity(e);
    }
    return true;
}

/* What lies ahead, a header at least: is it this message?  As peek() answers. */
static int ahead_is(struct endpoint *e, const struct message *message, size_t length)
{
    struct tcp_header h;
    const char *wrong;

    if (tcp_wire_decode(e->ahead + e->ahead_at, &h) || h.kind != TCP_EAGER ||
        h.communicator != (uint32_t)e->port->options.communicator ||
        h.stream != message->stream || h.number != message->number || h.total != length ||
        !signature_equal(&h.signature, &message->signature))
        return STATUS_POST;
    if (e->ahead_end - e->ahead_at < TCP_HEADER + length)
        return STATUS_AGAIN;
    wrong = tcp_credit_take(e, &h);
    if (wrong) {
        tcp_endpoint_fail(e, PEAL_ERR_PROTOCOL, "%s sent %s (stream %u, message %u)", e->name,
                          wrong, h.stream, h.number);
        return STATUS_POST;
    }
    return PEAL_OK;
}

int tcp_peek(struct endpoint *e, const struct message *message, size_t length,
             const void **view)
{
    bool more = true;

    if (!peek_possible(e, message, length))
        return matching_peek_early(&e->matching, message, length, view);
    for (;;) {
        int status = STATUS_AGAIN;

        if (e->ahead_end - e->ahead_at >= TCP_HEADER)
            status = ahead_is(e, message, length);
        if (status == PEAL_OK) {
            *view = e->ahead + e->ahead_at + TCP_HEADER;
            return PEAL_OK;
        }
        if (status == STATUS_POST)
            break;
        more = more && ahead_read(e);
        if (!more) {
            tcp_endpoint_activity(e);
            return e->lanes[0].ended ? STATUS_POST : STATUS_AGAIN;
        }
    }
    /* Not it, or not it first: the usual parser knows what to do. */
    tcp_ahead_parse(e);
    tcp_endpoint_settle(e);
    tcp_endpoint_activity(e);
    return peek_possible(e, message, length)
               ? STATUS_AGAIN
               : matching_peek_early(&e->matching, message, length, view);
}

int tcp_take(struct endpoint *e, const struct message *message, size_t length)
{
    if (matching_is_early(&e->matching, message)) {
        matching_take(&e->matching, message);
    } else {
        ahead_take(e, TCP_HEADER + length);
        matching_skip(&e->matching, message->stream);
    }
    tcp_credit_tell(e, false);
    tcp_endpoint_activity(e);
    return PEAL_OK;
}
