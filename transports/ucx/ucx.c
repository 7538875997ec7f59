/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of the UCX transport, its ports, and how a port moves. */
#include "transports/ucx/ucx.h"

#include "base/clock.h"
#include "base/log.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS      = 32,              /* sockets served per call */
    ROUNDS      = 8,               /* of UCX's progress per call */
    QUIET_CALLS = 256,             /* of progress() between two looks at the sockets */
    FLUSH_MS    = 3000,            /* UCX repeats a lost packet after a second */
    FINISH_MS   = 1000             /* most for each of the other things that close() waits for */
};

static int socket_count(void)
{
    return 1;
}

/* To look means to load libucp, which catches signals and may hook the allocator. */
static uint64_t fabric(bool named)
{
    return named && ucx_usable() == PEAL_OK;
}

/* Estimates: what UCX finds it tells nobody beforehand.  Worse than Peal's own
 * transports, so that those are taken where both can be. */
static int reach(const struct where *self, const struct where *peer, struct reach *how)
{
    if (where_fabric(self, "ucx") == 0 || where_fabric(peer, "ucx") == 0)
        return status_fail(PEAL_ERR_UNSUPPORTED, "ucx: %.63s does not offer it: PEAL_TRANSPORTS "
                           "does not name it there, or peal-info there says why not",
                           where_fabric(self, "ucx") ? peer->hostname : self->hostname);
    how->latency = self->host == peer->host ? 5e-6 : 21e-6;
    how->overhead = 2e-6;
    how->bandwidth = 3e9;
    how->slice = 512 << 10;
    return PEAL_OK;
}

static int port_open(const struct port_options *options, struct port **port)
{
    struct port *p = calloc(1, sizeof *p);
    int status;

    if (!p)
        return status_fail(PEAL_ERR_MEMORY, "no memory for a UCX port");
    p->options = *options;
    p->chunk = ucx_option_chunk();
    p->last_hungry = &p->hungry;
    match_pool_init(&p->pool);
    pool_init(&p->flights, sizeof(struct flight));
    pool_init(&p->sendings, sizeof(struct sending));
    status = transport_epoll(&p->epoll);
    if (status)
        free(p);
    else
        *port = p;
    return status;
}

/* ---- Moving ----------------------------------------------------------------------- */

static int serve_sockets(struct port *port)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(port->epoll, events, EVENTS, 0), moved = 0;

    port->calls = 0;
    port->look = false;
    for (int i = 0; i < n; i++) {
        struct endpoint *e = events[i].data.ptr;

        if (!e)                        /* the worker's: UCX has its turn anyway */
            continue;
        if (events[i].events & EPOLLOUT)
            moved += ucx_socket_write(e);
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            moved += ucx_socket_read(e);
    }
    return moved;
}

/* Endpoints that break, or owe a credit: seldom any. */
static void settle(struct port *port, bool idle)
{
    struct endpoint *list = port->due, *e;

    port->due = NULL;
    while ((e = list)) {
        list = e->next_due;
        e->due = false;
        if (ucx_endpoint_settle(e, idle))
            ucx_endpoint_due(e);
    }
}

static int port_progress(struct port *port)
{
    int moved = 0;

    if (!port->worker)
        return 0;
    for (int i = 0; i < ROUNDS && ucx.worker_progress(port->worker) > 0; i++)
        moved++;
    if (port->look || port->greeting > 0 || ++port->calls >= QUIET_CALLS)
        moved += serve_sockets(port);
    if (port->due) {
        struct completion **before = port->options.completions->last;

        settle(port, moved == 0);
        moved += port->options.completions->last != before;
    }
    moved += port->stirred;
    port->stirred = false;
    return moved;
}

static int port_descriptor(struct port *port)
{
    return port->epoll;
}

static int port_arm(struct port *port)
{
    struct epoll_event event;
    bool ending = false;

    port->look = true;             /* whoever wakes up does so because of epoll */
    for (const struct endpoint *e = port->due; e; e = e->next_due)
        ending |= e->gone || e->broken;
    if (port->due)
        settle(port, true);
    if (ending)                    /* something of others may have come meanwhile */
        return STATUS_AGAIN;
    if (port->options.completions->first || port->stirred)
        return STATUS_AGAIN;
    /* What came between the latest look and the arming wakes nobody over verbs, until
     * UCX's keepalive does after 20 seconds: look again. */
    if (port->worker && (ucx.worker_arm(port->worker) != UCS_OK ||
                         ucx.worker_progress(port->worker) > 0))
        return STATUS_AGAIN;
    return epoll_wait(port->epoll, &event, 1, 0) > 0 ? STATUS_AGAIN : PEAL_OK;
}

/* ---- Closing ------------------------------------------------------------------------ */

/* May something get lost that the peer can still take?  What UCX has sent is known
 * to have come only when the peer says so. */
static bool endpoint_flushing(struct endpoint *e)
{
    if (e->failure || e->broken || e->gone || e->sent <= 1 || e->heard)
        return false;
    if (e->waiting == 0 && !e->told_leaving)
        ucx_socket_leave(e);
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

static bool port_joining(struct port *port)
{
    for (const struct endpoint *e = port->endpoints; e; e = e->next)
        if (ucx_endpoint_joining(e))
            return true;
    return false;
}

/* Progress until it is not so, or for so long. */
static void port_finish(struct port *port, bool (*busy)(struct port *port), int ms)
{
    uint64_t deadline = clock_deadline(ms / 1000.0);
    struct pollfd descriptor = { port->epoll, POLLIN, 0 };

    while (busy(port) && clock_now() < deadline) {
        port->look = true;
        if (port_progress(port) == 0 && port_arm(port) == PEAL_OK)
            poll(&descriptor, 1, 10);
    }
}

static bool port_closing(struct port *port)
{
    bool closing = false;

    for (struct endpoint *e = port->endpoints; e; e = e->next)
        closing |= ucx_endpoint_closing(e);
    return closing;
}

static void port_close(struct port *port, bool flush)
{
    struct completion_queue unheard;
    bool adrift = false;

    if (!port)
        return;
    /* What completes now is no longer told: the owner has stopped listening. */
    completion_queue_init(&unheard);
    port->options.completions = &unheard;
    for (struct endpoint *e = port->endpoints; e; e = e->next)
        e->matching.completions = &unheard;
    if (flush)
        port_finish(port, port_flushing, FLUSH_MS);
    port_finish(port, port_joining, FINISH_MS);
    for (struct endpoint *e = port->endpoints; e; e = e->next)
        ucx_endpoint_close(e);
    port_finish(port, port_closing, FINISH_MS);
    for (struct endpoint *e = port->endpoints; e; e = e->next) {
        ucx_offers_release(e);
        adrift |= ucx_endpoint_adrift(e);
    }
    if (adrift)                        /* with what it may still use of the pools */
        log_debug("ucx: a peer went while it was being connected: its worker is left behind");
    else
        ucx_worker_free(port);
    while (port->endpoints) {
        struct endpoint *e = port->endpoints;

        port->endpoints = e->next;
        ucx_endpoint_free(e);
    }
    close(port->epoll);
    ucx_pools_free(port, adrift);
    free(port);
}

const struct transport ucx_transport = {
    .name = "ucx",
    .settings = ucx_settings,
    .sockets = SOCKET_INET,
    .usable = ucx_usable,
    .socket_count = socket_count,
    .fabric = fabric,
    .reach = reach,
    .open = port_open,
    .close = port_close,
    .connect = ucx_connect,
    .send = ucx_send,
    .recv = ucx_recv,
    .put = ucx_put,
    .peek = ucx_peek,
    .take = ucx_take,
    .progress = port_progress,
    .descriptor = port_descriptor,
    .arm = port_arm
};
