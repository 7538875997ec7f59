/* SPDX-License-Identifier: BSD-3-Clause */
/* Posting receives, and reading sockets: bytes go straight to where they belong
 * if nothing must be computed, else through the port's bounce buffer, which also
 * takes many short messages with one system call. */
#include "transports/tcp/tcp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
    ROUNDS      = 4,               /* system calls per call, for fairness */
    ALL_ROUNDS  = 1 << 16          /* when draining a lane that has ended */
};

int tcp_recv(struct endpoint *e, const struct message *message,
             const struct landing *landing, struct completion *done)
{
    struct match *const *slot = &e->matching.streams[message->stream]
                                    .slots[message->number % TRANSPORT_WINDOW];
    struct match *match;
    int status;

    if (e->failure && !*slot)
        status_fail(e->failure, "%s", e->why);
    status = matching_post(&e->matching, message, landing, done, &match);
    if (status || e->failure)
        return status;
    if (match) {
        tcp_answer(e, match);
    } else if (*slot && (*slot)->state == MATCH_POSTED) {
        e->posted++;
        e->posted_direct += tcp_read_direct(landing);
        if (tcp_asked_at_once(e->port, landing->bytes)) {
            e->posted_long++;
            tcp_control(e, &e->lanes[0], TCP_READY, message, landing->bytes,
                        e->port->chunk);
        }
    }
    tcp_ahead_parse(e);
    tcp_credit_tell(e, false);
    tcp_endpoint_settle(e);
    tcp_endpoint_activity(e);
    return PEAL_OK;
}

/* Where the next bytes of the payload can be read to; NULL: through the buffer. */
static char *target(const struct lane *lane)
{
    const struct match *match = lane->match;

    if (!match || match->state == MATCH_REFUSED)
        return NULL;
    if (match->early)
        return match->early + lane->offset;
    return match->landing.how ? NULL : match->landing.dst + lane->offset;
}

/* `length` more bytes of the payload are where they belong. */
static void landed(struct lane *lane, size_t length, int status)
{
    struct match *match = lane->match;

    lane->offset += length;
    lane->left -= length;
    if (lane->left == 0)
        lane->match = NULL;
    matching_landed(&lane->endpoint->matching, match, length, status);
}

/* As much of [bytes, bytes + length) as can be put now; returns how much. */
static size_t put(struct lane *lane, const unsigned char *bytes, size_t length)
{
    char *to = target(lane);
    int status = PEAL_OK;

    if (length >= lane->left)
        length = lane->left;
    else if (!to)
        length = length / TCP_CHUNK_UNIT * TCP_CHUNK_UNIT;
    if (length == 0)
        return 0;
    if (to)
        memcpy(to, bytes, length);
    else if (lane->match->state == MATCH_LANDING)
        status = landing_put(&lane->match->landing, lane->offset, bytes, length);
    landed(lane, length, status);
    return length;
}

/* Headers and payloads in the buffer; what is incomplete is carried over. */
void tcp_parse(struct lane *lane, const unsigned char *bytes, size_t length)
{
    struct endpoint *e = lane->endpoint;

    while (length > 0) {
        size_t used;

        if (lane->match) {
            used = put(lane, bytes, length);
        } else if (length >= TCP_HEADER) {
            tcp_arrive(lane, bytes);
            if (e->failure)
                return;
            used = TCP_HEADER;
        } else {
            used = 0;
        }
        if (used == 0)
            break;
        bytes += used;
        length -= used;
    }
    memcpy(lane->carry, bytes, length);
    lane->ncarry = length;
}

static bool moves_direct(const struct endpoint *e)
{
    const struct match *match = e->matching.moving;

    return match && match->state == MATCH_LANDING && tcp_read_direct(&match->landing);
}

/* What to read, and where to. */
static size_t plan(struct lane *lane, struct iovec iov[2], int *n)
{
    const struct endpoint *e = lane->endpoint;
    unsigned char *buffer = e->port->bounce + lane->ncarry;
    char *direct = target(lane);
    size_t rest = TCP_BOUNCE;

    *n = 0;
    memcpy(e->port->bounce, lane->carry, lane->ncarry);
    if (direct) {
        iov[(*n)++] = (struct iovec){ direct, lane->left };
        /* Behind a large piece only the next header is of interest: what follows
         * that can again be read to its place. */
        rest = lane->left >= TCP_SCRAPS ? TCP_HEADER : TCP_SCRAPS;
    } else if (!lane->match && (e->posted_direct > 0 || moves_direct(e))) {
        rest = TCP_SCRAPS;
    }
    iov[(*n)++] = (struct iovec){ buffer, rest };
    return rest + (direct ? lane->left : 0);
}

/* One system call.  Returns the bytes read, 0: nothing there; `drained`: and no
 * more is there. */
static size_t read_some(struct lane *lane, bool *drained)
{
    struct endpoint *e = lane->endpoint;
    struct iovec iov[2];
    struct msghdr message = { .msg_iov = iov };
    int niov;
    size_t wanted = plan(lane, iov, &niov), got, direct;
    ssize_t n;

    message.msg_iovlen = (size_t)niov;
    do
        n = niov == 1 ? recv(lane->fd, iov[0].iov_base, iov[0].iov_len, MSG_DONTWAIT)
                      : recvmsg(lane->fd, &message, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    *drained = n < (ssize_t)wanted;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n <= 0) {
        tcp_lane_ended(lane, n < 0 ? errno : 0);
        return 0;
    }
    got = (size_t)n;
    if (niov == 2) {
        direct = got < lane->left ? got : lane->left;
        landed(lane, direct, PEAL_OK);
        tcp_parse(lane, e->port->bounce, got - direct);
    } else {
        tcp_parse(lane, e->port->bounce, got + lane->ncarry);
    }
    return got;
}

int tcp_read(struct lane *lane, bool all)
{
    struct endpoint *e = lane->endpoint;
    int moved = 0, most = all ? ALL_ROUNDS : ROUNDS;
    bool drained = false;

    if (lane->index == 0)
        moved += tcp_ahead_parse(e);
    while (!e->failure && !lane->ended && !drained && moved < most) {
        if (read_some(lane, &drained) == 0)
            break;
        moved++;
        /* A socket that has ended must be read until it says so. */
        if (all)
            drained = false;
    }
    if (moved > 0 && !e->failure)
        tcp_credit_tell(e, false);
    return moved;
}
