/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two ends tell each other over the socket: a hello with the worker's
 * address, and, when an end closes, that it leaves (after so many active messages) and
 * that these have come; or why it gives up.  The socket's end is the peer's. */
#include "transports/ucx/ucx.h"

#include "base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { MAGIC = 0x50655558, FORMAT = 2 };

struct hello {                     /* in the byte order of both ends, as struct ucx_header */
    uint32_t magic, format;
    uint64_t communicator, key;
    uint32_t chunk, length;        /* of a piece; of the address that follows */
    uint64_t sum;                  /* of the hello, with 0 here, and the address */
};

enum { LEAVING = 0x4c656176, HEARD = 0x48656172, BROKEN = 0x42726f6b };
struct word {
    uint32_t what, inverse;        /* enum above; ~what */
    uint64_t count;                /* LEAVING: active messages sent; BROKEN: bytes of a text */
};

/* UCX believes addresses.  This finds damage and other protocols; who has the job's
 * secret is trusted to give an address that is one. */
static uint64_t sum(uint64_t state, const void *bytes, size_t length)
{
    const unsigned char *b = bytes;

    for (size_t i = 0; i < length; i++)
        state = (state ^ b[i]) * 0x100000001b3;
    return state;
}

static uint64_t hello_sum(struct hello hello, const void *address)
{
    hello.sum = 0;
    return sum(sum(0xcbf29ce484222325, &hello, sizeof hello), address, hello.length);
}

/* Words are not to wait for others, and a cut link shows within a minute.  An option
 * that cannot be set is worth a line, not a failure. */
static void options_apply(const struct endpoint *e)
{
    static const struct { int level, option, value; } options[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 }, { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, 10 }, { IPPROTO_TCP, TCP_KEEPINTVL, 10 },
        { IPPROTO_TCP, TCP_KEEPCNT, 5 }
    };

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (setsockopt(e->socket, options[i].level, options[i].option, &options[i].value,
                       sizeof options[i].value) != 0)
            log_debug("ucx: cannot set option %d of the connection to %s: %m",
                      options[i].option, e->name);
}

/* Written as the socket takes it. */
static void queue(struct endpoint *e, const void *bytes, size_t length)
{
    memcpy(e->out + e->out_end, bytes, length);
    e->out_end += length;
    ucx_socket_write(e);
}

int ucx_socket_hello(struct endpoint *e, const void *address, size_t length)
{
    struct hello hello = { .magic = MAGIC, .format = FORMAT,
                           .communicator = e->port->options.communicator, .key = e->key,
                           .chunk = e->chunk, .length = (uint32_t)length };

    if (length > UCX_ADDRESS)
        return status_fail(PEAL_ERR_UNSUPPORTED, "ucx: an address of %zu bytes; limit its "
                           "devices (UCX_NET_DEVICES)", length);
    e->out = malloc(sizeof hello + length + 2 * sizeof(struct word));
    e->in = malloc(sizeof hello + UCX_ADDRESS);
    if (!e->out || !e->in)
        return status_fail(PEAL_ERR_MEMORY, "ucx: no memory for %s", e->name);
    options_apply(e);
    hello.sum = hello_sum(hello, address);
    memcpy(e->out, &hello, sizeof hello);
    memcpy(e->out + sizeof hello, address, length);
    e->out_end = sizeof hello + length;
    return PEAL_OK;
}

static void lost(struct endpoint *e, int error)
{
    errno = error;
    if (error)
        ucx_endpoint_gone(e, "the connection to %s was lost: %m; the process died, or the "
                          "network between the hosts is cut", e->name);
    else
        ucx_endpoint_gone(e, "%s closed its connection: it has ended, crashed or left the "
                          "communicator; look at its output", e->name);
}

int ucx_socket_watch(struct endpoint *e)
{
    struct epoll_event event = { .data.ptr = e };

    event.events = EPOLLIN | (e->out_at < e->out_end ? EPOLLOUT : 0);
    return epoll_ctl(e->port->epoll, EPOLL_CTL_MOD, e->socket, &event);
}

int ucx_socket_write(struct endpoint *e)
{
    ssize_t n;

    if (e->out_at == e->out_end || e->gone || e->broken)
        return 0;
    do
        n = send(e->socket, e->out + e->out_at, e->out_end - e->out_at,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
        lost(e, errno);
        return 1;
    }
    if (n > 0 && (e->out_at += (size_t)n) == e->out_end)
        e->out_at = e->out_end = 0;
    if (ucx_socket_watch(e) != 0)
        lost(e, errno);
    return n > 0;
}

/* The hello, whole.  False: not yet. */
static bool hello_take(struct endpoint *e)
{
    struct hello hello;

    if (e->in_end < sizeof hello)
        return false;
    memcpy(&hello, e->in, sizeof hello);
    if (hello.magic != MAGIC || hello.format != FORMAT || hello.length > UCX_ADDRESS ||
        hello.length == 0 || hello.chunk < UCX_CHUNK_LOW || hello.chunk > UCX_CHUNK_HIGH ||
        hello.chunk % UCX_CHUNK_UNIT != 0) {
        ucx_endpoint_break(e, PEAL_ERR_PROTOCOL, "%s sent no hello of this version (is it "
                           "another release of Peal?)", e->name);
        return false;
    }
    if (e->in_end < sizeof hello + hello.length)
        return false;
    if (hello.sum != hello_sum(hello, e->in + sizeof hello) ||
        hello.communicator != e->port->options.communicator) {
        ucx_endpoint_break(e, PEAL_ERR_PROTOCOL, "%s sent a damaged hello, or one of another "
                           "communicator", e->name);
        return false;
    }
    e->greeted = true;
    e->peer_key = hello.key;
    if (hello.chunk < e->chunk)
        e->chunk = hello.chunk;
    e->in_end = 0;                 /* words are shorter: they do not reach the address */
    e->port->greeting--;
    ucx_endpoint_join(e);
    return true;
}

const void *ucx_socket_address(const struct endpoint *e)
{
    return e->in + sizeof(struct hello);
}

static bool is_reason(const struct word *word)
{
    return word->what == BROKEN && word->inverse == ~word->what && word->count < UCX_WHY;
}

/* The peer's reason.  It was sent with its word, at once; if some of it is missing all the
 * same, what has come must do. */
static void reason_take(struct endpoint *e, size_t length)
{
    char text[UCX_WHY];
    ssize_t n = recv(e->socket, text, length, MSG_DONTWAIT);

    for (ssize_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            text[i] = '?';
    snprintf(e->why, sizeof e->why, "%s gave the connection up%s%.*s", e->name, n > 0 ? ": " : "",
             n > 0 ? (int)n : 0, text);
}

/* UCX, which is looked at more often, may have been the first to say that the peer is gone. */
void ucx_socket_hear(struct endpoint *e)
{
    struct word word;

    if (e->socket < 0 || !e->greeted || e->in_end > 0)
        return;
    while (recv(e->socket, &word, sizeof word, MSG_DONTWAIT) == sizeof word)
        if (is_reason(&word)) {
            reason_take(e, word.count);
            return;
        }
}

static bool word_take(struct endpoint *e)
{
    struct word word;

    if (e->in_end < sizeof word)
        return false;
    memcpy(&word, e->in, sizeof word);
    e->in_end = 0;
    if (is_reason(&word)) {
        ucx_endpoint_gone(e, "%s gave the connection up", e->name);
        reason_take(e, word.count);
        return true;
    }
    if (word.inverse != ~word.what ||
        !(word.what == LEAVING ? word.count > 0 && !e->leaving
                               : word.what == HEARD && e->told_leaving && !e->heard)) {
        ucx_endpoint_break(e, PEAL_ERR_PROTOCOL, "%s sent an unknown word", e->name);
        return false;
    }
    if (word.what == HEARD) {
        e->heard = true;
    } else {
        e->leaving = word.count;
        ucx_socket_answer(e);
    }
    return true;
}

int ucx_socket_read(struct endpoint *e)
{
    int moved = 0;

    while (!e->gone && !e->broken) {
        struct hello hello;
        size_t wanted = sizeof(struct word);
        ssize_t n;

        if (!e->greeted) {
            wanted = sizeof hello;
            if (e->in_end >= sizeof hello) {
                memcpy(&hello, e->in, sizeof hello);
                wanted += hello.length;
            }
        }
        do
            n = recv(e->socket, e->in + e->in_end, wanted - e->in_end, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        moved++;
        if (n <= 0) {
            lost(e, n < 0 ? errno : 0);
            break;
        }
        e->in_end += (size_t)n;
        if (e->greeted)
            word_take(e);
        else
            hello_take(e);
    }
    return moved;
}

bool ucx_socket_ended(const struct endpoint *e)
{
    struct pollfd polled = { .fd = e->socket, .events = POLLRDHUP };

    return poll(&polled, 1, 0) > 0;
}

void ucx_socket_leave(struct endpoint *e)
{
    struct word word = { LEAVING, ~(uint32_t)LEAVING, e->sent };

    e->told_leaving = true;
    queue(e, &word, sizeof word);
}

/* Otherwise the peer would only see that the connection has ended, and might be the first
 * to tell all others: of a crash here.  Whoever is gone does not hear it. */
void ucx_socket_break(struct endpoint *e)
{
    size_t length = strlen(e->why);
    struct word word = { BROKEN, ~(uint32_t)BROKEN, length };
    unsigned char bytes[sizeof word + UCX_WHY];

    if (e->socket < 0 || e->out_at < e->out_end)
        return;
    memcpy(bytes, &word, sizeof word);
    memcpy(bytes + sizeof word, e->why, length);
    if (send(e->socket, bytes, sizeof word + length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("ucx: %s does not hear why: %m", e->name);
}

void ucx_socket_answer(struct endpoint *e)
{
    struct word word = { HEARD, ~(uint32_t)HEARD, e->leaving };

    if (e->received < e->leaving || e->fetches > 0 || e->answered)
        return;
    e->answered = true;
    queue(e, &word, sizeof word);
}
