/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of the verbs transport, its ports, and how a port moves. */
#include "transports/verbs/verbs_ring.h"

#include "base/clock.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS      = 32,              /* sockets served per call */
    QUIET_CALLS = 256,             /* calls between two looks at epoll */
    FLUSH_MS    = 3000             /* a lost packet is repeated after 1.07 s */
};

static int usable(void)
{
    return verbs_survey() ? PEAL_OK : PEAL_ERR_UNSUPPORTED;
}

static int socket_count(void)
{
    return 1;
}

static int port_open(const struct port_options *options, struct port **port)
{
    struct port *p = calloc(1, sizeof *p);
    int status;

    if (!p)
        return status_fail(PEAL_ERR_MEMORY, "no memory for a verbs port");
    p->options = *options;
    p->last_wanting = &p->wanting;
    verbs_option_port(p);
    match_pool_init(&p->pool);
    pool_init(&p->sendings, sizeof(struct sending));
    pool_init(&p->orders, sizeof(struct order));
    pool_init(&p->incomings, sizeof(struct incoming));
    status = transport_epoll(&p->epoll);
    if (status)
        free(p);
    else
        *port = p;
    return status;
}

/* ---- Progress --------------------------------------------------------------- */

static int serve_events(struct port *port)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(port->epoll, events, EVENTS, 0), moved = 0;
    bool devices = false;

    port->quiet = 0;
    port->look = n == EVENTS;
    for (int i = 0; i < n; i++) {
        struct endpoint *e = events[i].data.ptr;

        if (!e) {
            devices = true;
            continue;
        }
        moved += verbs_talk(e);
        moved += verbs_push(e);
        verbs_settle(e);
    }
    for (int i = 0; i < port->nadapters && devices; i++)
        moved += verbs_adapter_events(&port->adapters[i]);
    if (devices && port->joinings)
        moved += verbs_cm_events(port);
    if (port->rejoin_at)
        verbs_rejoin_look(port);
    return moved;
}

static int serve_arrived(struct port *port)
{
    int moved = 0;

    while (port->arrived) {
        struct endpoint *e = port->arrived;

        port->arrived = e->next_arrived;
        e->arrived = false;
        moved += verbs_take_frames(e);
        moved += verbs_push(e);
        verbs_settle(e);
        verbs_activity(e);
    }
    return moved;
}

static int serve_active(struct port *port, bool idle)
{
    struct endpoint *e, *next;
    int moved = 0;

    for (e = port->active; e; e = next) {
        next = e->next_active;
        moved += idle ? verbs_credit_tell(e, true) : verbs_push(e);
        verbs_settle(e);
        verbs_activity(e);
        if (next && !next->link)       /* settling may have ended others too */
            break;
    }
    return moved;
}

static int port_progress(struct port *port)
{
    int moved = 0;

    if (port->look || port->connecting > 0 || ++port->quiet >= QUIET_CALLS)
        moved += serve_events(port);
    moved += verbs_poll(port);
    moved += serve_arrived(port);
    moved += serve_active(port, false);
    return moved > 0 ? moved : serve_active(port, true);
}

static int port_descriptor(struct port *port)
{
    return port->epoll;
}

static bool port_busy(const struct port *port)
{
    for (const struct endpoint *e = port->active; e; e = e->next_active)
        if (e->broken)
            return true;
    return port->arrived != NULL;
}

static int port_arm(struct port *port)
{
    int status = PEAL_OK;

    port->look = true;
    verbs_watch(port);
    if (port->rejoin_at)
        verbs_rejoin_look(port);
    /* A peek since the last progress() may have taken what others wait for. */
    if (serve_active(port, false) + serve_active(port, true) > 0 || port_busy(port))
        return STATUS_AGAIN;
    for (int i = 0; i < port->nadapters && !status; i++)
        status = verbs_adapter_arm(&port->adapters[i]);
    if (status || verbs_poll(port) > 0 || port_busy(port) || port->options.completions->first)
        return STATUS_AGAIN;
    return PEAL_OK;
}

/* ---- Closing ------------------------------------------------------------------ */

/* May something get lost that the peer can still take?  A long message that waits
 * for its receive counts. */
static bool endpoint_flushing(struct endpoint *e)
{
    bool flushing = e->waiting > 0 || e->queue || e->repairing;

    if (verbs_lost(e))
        return false;
    for (int i = 0; i < e->nrails; i++) {
        struct rail *rail = &e->rails[i];

        if (rail->state != RAIL_UP || rail->ended == rail->posted)
            continue;
        if (rail->unsignaled > 0 && verbs_rail_room(rail) > 0)
            verbs_arrival_ask(rail);
        flushing = true;
    }
    return flushing;
}

/* Looks at all of them, so that no peer waits for the end of another. */
static bool port_flushing(struct port *port)
{
    bool flushing = false;

    for (struct endpoint *e = port->endpoints; e; e = e->next)
        flushing |= endpoint_flushing(e);
    return flushing;
}

static void port_flush(struct port *port)
{
    uint64_t deadline = clock_deadline(FLUSH_MS / 1000.0);
    struct pollfd descriptor = { port->epoll, POLLIN, 0 };

    /* What completes now is no longer told: the owner has stopped listening. */
    port->options.completions = &port->unheard;
    for (struct endpoint *e = port->endpoints; e; e = e->next)
        e->matching.completions = &port->unheard;
    while (port_flushing(port) && clock_now() < deadline) {
        completion_queue_init(&port->unheard);
        port->look = true;
        if (port_progress(port) == 0 && port_arm(port) == PEAL_OK)
            poll(&descriptor, 1, 1);
    }
}

static void port_close(struct port *port, bool flush)
{
    if (!port)
        return;
    completion_queue_init(&port->unheard);
    if (flush)
        port_flush(port);
    while (port->endpoints) {
        struct endpoint *e = port->endpoints;

        port->endpoints = e->next;
        verbs_endpoint_free(e);
    }
    verbs_regions_free(port);
    verbs_chunks_free(port);
    verbs_adapters_close(port);
    close(port->epoll);
    match_pool_free(&port->pool);
    pool_free(&port->sendings);
    pool_free(&port->orders);
    pool_free(&port->incomings);
    free(port);
}

const struct transport verbs_transport = {
    .name = "verbs",
    .settings = verbs_settings,
    .sockets = SOCKET_INET,
    .usable = usable,
    .socket_count = socket_count,
    .fabric = verbs_fabric,
    .devices = verbs_devices,
    .reach = verbs_reach,
    .open = port_open,
    .close = port_close,
    .connect = verbs_connect,
    .send = verbs_send,
    .recv = verbs_recv,
    .put = verbs_put,
    .peek = verbs_peek,
    .take = verbs_take,
    .progress = port_progress,
    .descriptor = port_descriptor,
    .arm = port_arm
};
