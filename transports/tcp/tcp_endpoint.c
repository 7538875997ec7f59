/* SPDX-License-Identifier: BSD-3-Clause */
/* Endpoints: how they begin, fail and end. */
#include "transports/tcp/tcp.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* EPOLLOUT is asked for only while something waits for room, and only by those
 * who ask epoll: an idle socket always has room, and would wake every sleeper.
 * So would one that has ended. */
int tcp_lane_watch(struct lane *lane)
{
    struct epoll_event event = { .data.ptr = lane };
    int how;

    event.events = (lane->ended ? 0 : EPOLLIN) | (lane->blocked ? EPOLLOUT : 0);
    if (event.events == lane->watched)
        return 0;
    how = !lane->watched ? EPOLL_CTL_ADD : event.events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    if (epoll_ctl(lane->endpoint->port->epoll, how, lane->fd, &event) != 0)
        return -1;
    lane->watched = event.events;
    return 0;
}

void tcp_lane_unsent(struct lane *lane, bool any)
{
    struct lane **first = &lane->endpoint->port->unsent;

    if (any == (lane->unsent != NULL))
        return;
    if (any) {
        lane->next_unsent = *first;
        if (lane->next_unsent)
            lane->next_unsent->unsent = &lane->next_unsent;
        lane->unsent = first;
        *first = lane;
    } else {
        *lane->unsent = lane->next_unsent;
        if (lane->next_unsent)
            lane->next_unsent->unsent = lane->unsent;
        lane->unsent = NULL;
    }
}

void tcp_lane_ended(struct lane *lane, int error)
{
    struct endpoint *e = lane->endpoint;
    int open = 0;

    lane->ended = true;
    for (int i = 0; i < e->nlanes; i++)
        open += !e->lanes[i].ended;
    if (open > 0 && !error && tcp_lane_watch(lane) != 0)
        error = errno;
    if (!e->broken && (error || open == 0))
        e->broken = error ? error : TCP_LOST_EOF;
    e->port->look = true;          /* the other ends follow, perhaps on quiet lanes */
}

static void lane_close(struct lane *lane)
{
    if (lane->fd < 0)
        return;
    tcp_lane_unsent(lane, false);
    lane->blocked = false;
    lane->ended = true;
    /* A forked child may hold the file open, then close() would not do this. */
    tcp_lane_watch(lane);
    close(lane->fd);
    lane->fd = -1;
}

static void lane_init(struct lane *lane, struct endpoint *e, int index, int fd)
{
    lane->fd = fd;
    lane->index = index;
    lane->endpoint = e;
    lane->last = &lane->queue;
}

static int lane_start(struct lane *lane)
{
    if (tcp_lane_watch(lane) != 0)
        return status_fail(PEAL_ERR_SYSTEM, "tcp: cannot watch the connection to %s: %m",
                           lane->endpoint->name);
    tcp_option_apply(lane->fd);
    return PEAL_OK;
}

static struct endpoint *endpoint_new(struct port *port, int peer, const struct where *where,
                                     const int *sockets, int nsockets)
{
    struct endpoint *e;

    if (!port->bounce && !(port->bounce = malloc(TCP_HEADER + TCP_BOUNCE)))
        return NULL;
    e = calloc(1, sizeof *e + (size_t)nsockets * sizeof e->lanes[0]);
    if (!e)
        return NULL;
    e->port = port;
    snprintf(e->name, sizeof e->name, "rank %d on %.63s", peer, where->hostname);
    e->last_streaming = &e->streaming;
    matching_init(&e->matching, &port->pool, port->options.completions, e->name);
    e->nlanes = nsockets;
    for (int i = 0; i < nsockets; i++)
        lane_init(&e->lanes[i], e, i, sockets[i]);
    return e;
}

int tcp_connect(struct port *port, int peer, const struct where *where,
                const int *sockets, int nsockets, bool dialled, struct endpoint **endpoint)
{
    struct endpoint *e = NULL;
    int status;

    (void)dialled;
    if (nsockets < 1 || nsockets > TRANSPORT_SOCKETS)
        status = status_fail(PEAL_ERR_PROTOCOL, "tcp: %d sockets to rank %d, not 1 to %d",
                             nsockets, peer, TRANSPORT_SOCKETS);
    else if (!(e = endpoint_new(port, peer, where, sockets, nsockets)))
        status = status_fail(PEAL_ERR_MEMORY, "tcp: no memory for rank %d", peer);
    else
        status = PEAL_OK;
    for (int i = 0; !status && i < nsockets; i++)
        status = lane_start(&e->lanes[i]);
    if (status)
        goto fail;
    e->next = port->endpoints;
    port->endpoints = e;
    *endpoint = e;
    return PEAL_OK;
fail:
    if (e)
        tcp_endpoint_free(e);
    for (int i = 0; !e && i < nsockets; i++)
        close(sockets[i]);
    return status;
}

static void ahead_drop(struct endpoint *e)
{
    if (e->ahead_end > 0)
        e->port->nahead--;
    e->ahead_at = e->ahead_end = 0;
}

/* Take it off the list of those that are awaited. */
static void active_remove(struct endpoint *e)
{
    if (!e->link)
        return;
    *e->link = e->next_active;
    if (e->next_active)
        e->next_active->link = e->link;
    e->link = NULL;
    e->port->nactive--;
}

static bool owes_credit(const struct endpoint *e)
{
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++)
        if (e->full[i] && e->told[i] != matching_low(&e->matching, i))
            return true;
    return false;
}

void tcp_endpoint_activity(struct endpoint *e)
{
    struct port *port = e->port;

    if (e->failure || (e->posted == 0 && e->waiting == 0 && !e->matching.moving &&
                       e->ahead_end == 0 && !owes_credit(e))) {
        active_remove(e);
    } else if (!e->link) {
        e->next_active = port->active;
        if (e->next_active)
            e->next_active->link = &e->next_active;
        e->link = &port->active;
        port->active = e;
        port->nactive++;
    }
}

void tcp_endpoint_free(struct endpoint *e)
{
    active_remove(e);
    for (int i = 0; i < e->nlanes; i++)
        lane_close(&e->lanes[i]);
    matching_clear(&e->matching);
    ahead_drop(e);
    free(e->ahead);
    free(e);                       /* what was to be sent belongs to the port's blocks */
}

void tcp_endpoint_fail(struct endpoint *e, int status, const char *format, ...)
{
    va_list args;

    if (e->failure)
        return;
    va_start(args, format);
    vsnprintf(e->why, sizeof e->why, format, args);
    va_end(args);
    /* A peer that leaves when nobody awaits it is no news for anybody: the text
     * of the latest failure then stays what it is. */
    if (e->posted > 0 || e->waiting > 0 || e->matching.moving)
        status_fail(status, "%s", e->why);
    else
        log_debug("%s", e->why);
    e->failure = status;
    for (int i = 0; i < e->nlanes; i++)
        lane_close(&e->lanes[i]);
    tcp_sends_fail(e, status);
    matching_fail(&e->matching, status);
    ahead_drop(e);
    e->posted = e->posted_long = e->posted_direct = 0;
    tcp_endpoint_activity(e);
}

void tcp_endpoint_settle(struct endpoint *e)
{
    int error = e->broken;

    if (e->failure || !error)
        return;
    for (int i = 0; i < e->nlanes && !e->failure; i++)
        tcp_read(&e->lanes[i], true);
    if (error == TCP_LOST_EOF)
        tcp_endpoint_fail(e, PEAL_ERR_PEER, "%s closed its TCP connection: it has ended, "
                          "crashed or left the communicator; look at its output", e->name);
    errno = error;
    tcp_endpoint_fail(e, PEAL_ERR_PEER, "the TCP connection to %s was lost: %m; the process "
                      "died, or the network between the hosts is cut", e->name);
}
