/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket of an endpoint: connecting, and the end of the peer. */
#include "transports/verbs/verbs.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* EPOLLOUT is asked for only while something waits for room. */
int verbs_socket_watch(struct endpoint *e)
{
    struct epoll_event event = { .data.ptr = e };

    event.events = (e->ended ? 0 : EPOLLIN) | (e->nout > 0 ? EPOLLOUT : 0);
    if (event.events == e->watched)
        return 0;
    if (epoll_ctl(e->port->epoll, e->watched == 0 ? EPOLL_CTL_ADD : event.events == 0 ?
                  EPOLL_CTL_DEL : EPOLL_CTL_MOD, e->socket, &event) != 0)
        return -1;
    e->watched = event.events;
    return 0;
}

static void socket_lost(struct endpoint *e, int error)
{
    e->ended = true;
    errno = error;
    if (error)
        verbs_break(e, PEAL_ERR_PEER, "the connection to %s was lost: %m; the process died, or "
                    "the network between the hosts is cut", e->name);
    else
        verbs_break(e, PEAL_ERR_PEER, "%s closed its connection: it has ended, crashed or left "
                    "the communicator; look at its output", e->name);
}

static int socket_write(struct endpoint *e)
{
    ssize_t n = 0;

    if (e->nout == 0 || e->ended)
        return 0;
    do
        n = send(e->socket, e->out, e->nout, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        e->nout = 0;                   /* reading says what has happened */
    if (n > 0) {
        e->nout -= (size_t)n;
        memmove(e->out, e->out + n, e->nout);
    }
    if (verbs_socket_watch(e) != 0)
        verbs_break(e, PEAL_ERR_SYSTEM, "verbs: cannot watch the connection to %s: %m", e->name);
    return n > 0;
}

void verbs_say(struct endpoint *e, const unsigned char *record, size_t length)
{
    if (length > sizeof e->out - e->nout) {
        verbs_break(e, PEAL_ERR_PEER, "%s does not read its connection", e->name);
        return;
    }
    memcpy(e->out + e->nout, record, length);
    e->nout += length;
    socket_write(e);
}

static size_t even(size_t bytes)
{
    return bytes / VERBS_HEADER * VERBS_HEADER;
}

/* Both offers are known: make what they say. */
static int rings_make(struct endpoint *e)
{
    size_t eager = e->offer.eager < e->theirs.eager ? e->offer.eager : e->theirs.eager;
    size_t least;

    e->ring_in = e->offer.ring;
    e->ring_out = e->theirs.ring;
    e->frames_in = e->offer.frames;
    e->frames_out = e->theirs.frames;
    least = e->ring_in < e->ring_out ? e->ring_in : e->ring_out;
    e->eager = eager < least / 4 - VERBS_HEADER ? eager : least / 4 - VERBS_HEADER;
    e->piece = even(e->ring_out / 8 < 32 << 10 ? e->ring_out / 8 : 32 << 10);
    e->landing = aligned_alloc(4096, e->ring_in + e->ring_out);
    if (!e->landing)
        return status_fail(PEAL_ERR_MEMORY, "verbs: no memory for the rings of %s", e->name);
    memset(e->landing, 0, e->ring_in + e->ring_out);
    e->mirror = e->landing + e->ring_in;
    return PEAL_OK;
}

static const char *heard_offer(struct endpoint *e, const unsigned char *body)
{
    struct verbs_connect connect = { .ring = 0 };
    unsigned char record[VERBS_RECORD_MOST];
    const char *wrong = verbs_offer_decode(body, &e->theirs);
    int status;

    if (wrong)
        return wrong;
    if (e->theirs.communicator != e->port->options.communicator)
        return "an offer for another communicator";
    status = verbs_rails_pair(e);
    if (!status)
        status = rings_make(e);
    for (int i = 0; i < e->nrails && !status; i++)
        status = verbs_rail_create(&e->rails[i], &connect.rails[i]);
    if (status) {
        verbs_break(e, status, "%s", status_text());
        return NULL;
    }
    connect.ring = (uintptr_t)e->landing;
    connect.nrails = (uint32_t)e->nrails;
    e->stage = STAGE_CONNECT;
    verbs_say(e, record, verbs_connect_encode(&connect, record));
    return NULL;
}

static void up(struct endpoint *e)
{
    e->stage = STAGE_UP;
    e->port->connecting--;
    verbs_sends_start(e);
}

void verbs_joined(struct endpoint *e)
{
    unsigned char record[VERBS_RECORD_MOST];

    if (e->stage != STAGE_JOIN || verbs_lost(e))
        return;
    for (int i = 0; i < e->nrails; i++)
        if (e->rails[i].adapter->place.by_cm && !verbs_cm_joined(&e->rails[i]))
            return;
    for (int i = 0; i < e->nrails; i++)
        e->rails[i].up_since = clock_now();
    e->stage = STAGE_READY;
    verbs_say(e, record, verbs_ready_encode(record));
    if (e->heard_ready)
        up(e);
}

static const char *heard_connect(struct endpoint *e, const unsigned char *body)
{
    struct verbs_connect connect;
    const char *wrong = verbs_connect_decode(body, &connect);
    int status = PEAL_OK;

    if (wrong)
        return wrong;
    if ((int)connect.nrails != e->nrails)
        return "another number of queue pairs than the offers make";
    e->ring_remote = connect.ring;
    for (int i = 0; i < e->nrails && !status; i++)
        status = verbs_rail_connect(&e->rails[i], &connect.rails[i]);
    if (status) {
        verbs_break(e, status, "%s", status_text());
        return NULL;
    }
    e->stage = STAGE_JOIN;
    verbs_joined(e);
    return NULL;
}

static const char *heard(struct endpoint *e, enum verbs_record kind, const unsigned char *body)
{
    struct verbs_rejoin rejoin;
    struct verbs_down down;
    const char *wrong;

    if (kind == VERBS_OFFER && e->stage == STAGE_OFFER)
        return heard_offer(e, body);
    if (kind == VERBS_CONNECT && e->stage == STAGE_CONNECT)
        return heard_connect(e, body);
    if (kind == VERBS_READY && !e->heard_ready && e->stage >= STAGE_JOIN) {
        e->heard_ready = true;
        if (e->stage == STAGE_READY)
            up(e);
        return NULL;
    }
    if (kind == VERBS_REJOIN && e->stage == STAGE_UP) {
        wrong = verbs_rejoin_decode(body, &rejoin);
        return wrong ? wrong : verbs_rejoin_heard(e, &rejoin);
    }
    if (kind != VERBS_DOWN || e->stage < STAGE_READY)
        return "a record that is not the next";
    wrong = verbs_down_decode(body, &down);
    if (!wrong && (int)down.rail >= e->nrails)
        wrong = "news of a rail that does not exist";
    if (!wrong)
        verbs_rail_heard(e, &down);
    return wrong;
}

/* As many whole records as are there; returns how many. */
static int records(struct endpoint *e)
{
    int count = 0;

    while (!verbs_lost(e) && e->nin >= VERBS_RECORD_HEAD) {
        enum verbs_record kind;
        size_t length = 0;
        const char *wrong = verbs_record_decode(e->in, &kind, &length);

        if (!wrong && e->nin < VERBS_RECORD_HEAD + length)
            break;
        if (!wrong)
            wrong = heard(e, kind, e->in + VERBS_RECORD_HEAD);
        if (wrong) {
            verbs_break(e, PEAL_ERR_PROTOCOL, "%s sent %s", e->name, wrong);
            break;
        }
        e->nin -= VERBS_RECORD_HEAD + length;
        memmove(e->in, e->in + VERBS_RECORD_HEAD + length, e->nin);
        count++;
    }
    return count;
}

int verbs_talk(struct endpoint *e)
{
    int moved = e->failure ? 0 : socket_write(e);

    while (!verbs_lost(e) && !e->ended) {
        ssize_t n;

        do
            n = recv(e->socket, e->in + e->nin, sizeof e->in - e->nin, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        moved++;
        if (n <= 0) {
            socket_lost(e, n < 0 ? errno : 0);
            break;
        }
        e->nin += (size_t)n;
        records(e);
    }
    return moved;
}
