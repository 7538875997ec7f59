/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of the TCP transport, its ports, and how a port moves. */
#include "transports/tcp/tcp.h"

#include "base/clock.h"

#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS      = 32,              /* lanes served per call */
    QUIET_CALLS = 256,             /* direct reads between two looks at epoll */
    FLUSH_MS    = 1000
};

static int usable(void)
{
    return PEAL_OK;
}

/* Estimates for a 25 to 100 Gbit/s network, or loopback; the tuner measures.
 * What counts without it is that shared memory looks better. */
static int reach(const struct where *self, const struct where *peer, struct reach *how)
{
    how->latency = self->host == peer->host ? 4e-6 : 20e-6;
    how->overhead = 6e-6;
    how->bandwidth = 3e9;
    how->slice = 512 << 10;        /* fewer system calls */
    return PEAL_OK;
}

static int port_open(const struct port_options *options, struct port **port)
{
    struct port *p = calloc(1, sizeof *p);
    int status;

    if (!p)
        return status_fail(PEAL_ERR_MEMORY, "no memory for a TCP port");
    p->options = *options;
    p->eager = tcp_option_eager();
    p->chunk = tcp_option_chunk();
    match_pool_init(&p->pool);
    pool_init(&p->sendings, sizeof(struct sending));
    status = transport_epoll(&p->epoll);
    if (status)
        free(p);
    else
        *port = p;
    return status;
}

static int unacknowledged(const struct lane *lane)
{
    int bytes = 0;                 /* the end of the stream counts as one */

    return ioctl(lane->fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

static bool lanes_flushing(const struct endpoint *e)
{
    for (int i = 0; i < e->nlanes; i++)
        if (!e->lanes[i].ended && unacknowledged(&e->lanes[i]) > e->finished)
            return true;
    return false;
}

/* May something get lost that the peer can still take?  A long message that waits
 * for its receive counts: the receive may be on its way to us.  So does what the
 * peer's kernel has not acknowledged while the peer can still send: a closed
 * socket answers what comes in by throwing away what is to go out.
 *
 * An acknowledgement alone may take 40 ms.  Hence the end of our stream follows
 * the last byte: a peer that closes too then ends its own at once, after which
 * the kernel delivers the rest without us. */
static bool endpoint_flushing(struct endpoint *e)
{
    if (e->failure || e->broken)
        return false;
    if (e->waiting > 0)
        return true;
    for (int i = 0; i < e->nlanes; i++)
        if (e->lanes[i].queue)
            return true;
    if (!lanes_flushing(e))
        return false;
    for (int i = 0; i < e->nlanes && !e->finished; i++)
        shutdown(e->lanes[i].fd, SHUT_WR);     /* fails if the connection is lost */
    e->finished = true;
    return true;
}

/* Looks at all of them, so that no peer waits for the end of another. */
static bool port_flushing(struct port *port)
{
    bool flushing = false;

    for (struct endpoint *e = port->endpoints; e; e = e->next)
        flushing |= endpoint_flushing(e);
    return flushing;
}

static int port_progress(struct port *port);

static void port_flush(struct port *port)
{
    uint64_t deadline = clock_deadline(FLUSH_MS / 1000.0);
    struct pollfd descriptor = { port->epoll, POLLIN, 0 };
    struct completion_queue unheard;

    /* What completes now is no longer told: the owner has stopped listening. */
    completion_queue_init(&unheard);
    port->options.completions = &unheard;
    for (struct endpoint *e = port->endpoints; e; e = e->next)
        e->matching.completions = &unheard;
    /* Acknowledgements wake nobody: look every millisecond. */
    while (port_flushing(port) && clock_now() < deadline) {
        port->look = true;
        if (port_progress(port) == 0)
            poll(&descriptor, 1, 1);
    }
}

static void port_close(struct port *port, bool flush)
{
    if (!port)
        return;
    if (flush)
        port_flush(port);
    while (port->endpoints) {
        struct endpoint *e = port->endpoints;

        port->endpoints = e->next;
        tcp_endpoint_free(e);
    }
    close(port->epoll);
    match_pool_free(&port->pool);
    pool_free(&port->sendings);
    free(port->bounce);
    free(port);
}

/* Few peers are awaited: reading their sockets is cheaper and sooner than asking
 * epoll which to read. */
static int read_active(struct port *port)
{
    struct endpoint *e, *next;
    int moved = tcp_write_unsent(port, true);

    for (e = port->active; e; e = next) {
        /* Control and short messages come on lane 0. */
        int lanes = e->matching.moving || e->posted_long ? e->nlanes : 1;

        next = e->next_active;
        for (int i = 0; i < lanes && !e->failure; i++)
            moved += tcp_read(&e->lanes[i], false);
        tcp_endpoint_settle(e);
        tcp_endpoint_activity(e);
    }
    return moved + tcp_write_unsent(port, false);
}

/* What peek() has read and nobody has looked at. */
static int read_ahead(struct port *port)
{
    struct endpoint *e, *next;
    int moved = 0;

    for (e = port->active; e && port->nahead > 0; e = next) {
        next = e->next_active;
        moved += tcp_ahead_parse(e);
        tcp_endpoint_settle(e);
        tcp_endpoint_activity(e);
    }
    return moved;
}

static int serve_events(struct port *port)
{
    struct epoll_event events[EVENTS];
    int moved = read_ahead(port) + tcp_write_unsent(port, false), n;

    tcp_watch_unsent(port);
    n = epoll_wait(port->epoll, events, EVENTS, 0);

    for (int i = 0; i < n; i++) {
        struct lane *lane = events[i].data.ptr;
        struct endpoint *e = lane->endpoint;

        /* An earlier event may have ended the endpoint. */
        if (!e->failure && events[i].events & EPOLLOUT)
            moved += tcp_write(lane);
        if (!e->failure && events[i].events & ~(uint32_t)EPOLLOUT)
            moved += tcp_read(lane, false);
        tcp_endpoint_settle(e);
        tcp_endpoint_activity(e);
    }
    return moved + tcp_write_unsent(port, false);
}

/* Nothing moves: a sender may be waiting for a word that was put off. */
static int tell_credits(struct port *port)
{
    struct endpoint *e, *next;
    int said = 0;

    for (e = port->active; e; e = next) {
        next = e->next_active;
        if (tcp_credit_tell(e, true)) {
            said++;
            tcp_endpoint_settle(e);
            tcp_endpoint_activity(e);
        }
    }
    return said;
}

static int port_progress(struct port *port)
{
    int moved;

    if (!port->look && port->nactive <= TCP_DIRECT) {
        moved = read_active(port);
        if (moved > 0 || ++port->quiet < QUIET_CALLS)
            return moved > 0 ? moved : tell_credits(port);
    }
    port->look = false;
    port->quiet = 0;
    moved = serve_events(port);
    return moved > 0 ? moved : tell_credits(port);
}

static int port_descriptor(struct port *port)
{
    return port->epoll;
}

static int port_arm(struct port *port)
{
    struct epoll_event event;

    port->look = true;                 /* whoever wakes up does so because of epoll */
    tell_credits(port);
    if (read_ahead(port) + tcp_write_unsent(port, false) > 0)
        return STATUS_AGAIN;
    tcp_watch_unsent(port);
    return epoll_wait(port->epoll, &event, 1, 0) > 0 ? STATUS_AGAIN : PEAL_OK;
}

const struct transport tcp_transport = {
    .name = "tcp",
    .settings = tcp_settings,
    .sockets = SOCKET_INET,
    .usable = usable,
    .socket_count = tcp_option_sockets,
    .reach = reach,
    .open = port_open,
    .close = port_close,
    .connect = tcp_connect,
    .send = tcp_send,
    .recv = tcp_recv,
    .put = tcp_put,
    .peek = tcp_peek,
    .take = tcp_take,
    .progress = port_progress,
    .descriptor = port_descriptor,
    .arm = port_arm
};
