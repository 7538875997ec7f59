/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports of the shared memory transport: opening, progress, sleeping, closing. */
#include "transports/shm/shm.h"

#include "base/clock.h"
#include "base/fence.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    LOOK_POLLS = 256,              /* empty polls between looks at the clock ... */
    LOOK_NS    = 1000000,          /* ... and time between looks at the sockets */
    RANK_BYTES = 4 << 20,          /* for all rings that one rank writes, about ... */
    WARM_BYTES = 2 << 20,          /* ... and among few ranks, as long as a ring has ... */
    WARM_RING  = 256 << 10,
    EVENTS     = 16
};

enum { RING, EAGER, CMA };
const struct setting shm_settings[] = {
    [RING]  = { "PEAL_SHM_RING", NULL, "most bytes of the ring per direction and local "
                "peer, 16K to 64M, rounded down to a power of two; less among more than 16 "
                "local ranks (default: 2M between two local ranks, shared out among more, "
                "but at least 256K)", NULL },
    [EAGER] = { "PEAL_SHM_EAGER", "64K", "most bytes sent before the receive is posted; at "
                "most 64K and a quarter of the ring", NULL },
    [CMA]   = { "PEAL_SHM_CMA", "0", "1: read a local peer's memory with process_vm_readv "
                "where that is permitted, which takes less of the processor but is often "
                "slower; 0: stream through the ring", NULL },
    { NULL, NULL, NULL, NULL }
};

static int shm_usable(void)
{
    int fd = memfd_create("peal-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return status_fail(PEAL_ERR_UNSUPPORTED, "shm: memfd_create: %m");
    close(fd);
    return PEAL_OK;
}

static int shm_socket_count(void)
{
    return 1;
}

static int shm_reach(const struct where *self, const struct where *peer, struct reach *how)
{
    if (self->host != peer->host && strcmp(self->hostname, peer->hostname) == 0)
        return status_fail(PEAL_ERR_UNSUPPORTED, "shm: two hosts are called %s, or one is taken "
                           "for two: by network namespaces or PEAL_HOSTID", self->hostname);
    if (self->host != peer->host)
        return status_fail(PEAL_ERR_UNSUPPORTED, "shm: %s and %s are different hosts",
                           self->hostname, peer->hostname);
    how->latency = 0.3e-6;
    how->overhead = 0.35e-6;
    how->bandwidth = 24e9;
    how->slice = 128 << 10;        /* stays in a core's second cache */
    return PEAL_OK;
}

/* A ring that stays in the writer's second cache is slow: each line has to be fetched from
 * there, and back before it can be written again.  One that is twice as large lies in the
 * last cache by then, which both read fast. */
static size_t ring_bytes(size_t local_ranks)
{
    size_t ring = setting_size(&shm_settings[RING], SHM_RING_LOW, SHM_RING_HIGH);
    size_t peers = local_ranks > 1 ? local_ranks - 1 : 1, chosen = SHM_RING_LOW;

    if (ring == 0)
        ring = WARM_BYTES / peers > WARM_RING ? WARM_BYTES / peers : WARM_RING;
    if (local_ranks > 16 && ring > RANK_BYTES / local_ranks)
        ring = RANK_BYTES / local_ranks;
    while (chosen * 2 <= ring)
        chosen *= 2;
    return chosen;
}

static int shm_open_port(const struct port_options *options, struct port **out)
{
    struct port *port = calloc(1, sizeof *port);
    int status;

    if (!port)
        return status_fail(PEAL_ERR_MEMORY, "shm: no memory for a port");
    port->options = *options;
    port->eager = setting_size(&shm_settings[EAGER], 0, TRANSPORT_EAGER);
    port->reads_allowed = setting_flag(&shm_settings[CMA]);
    port->fences = fence_register();
    port->ring = ring_bytes((size_t)options->local_ranks);
    match_pool_init(&port->pool);
    pool_init(&port->outs, sizeof(struct outgoing));
    status = transport_epoll(&port->epoll);
    if (status)
        free(port);
    else
        *out = port;
    return status;
}

static void endpoint_free(struct endpoint *endpoint)
{
    link_stop(endpoint);
    matching_clear(&endpoint->matching);
    free(endpoint);
}

static int shm_connect(struct port *port, int peer, const struct where *where,
                       const int *sockets, int nsockets, bool dialled,
                       struct endpoint **out)
{
    struct endpoint *endpoint = NULL;
    int status;

    if (nsockets != 1) {
        for (int i = 0; i < nsockets; i++)
            close(sockets[i]);
        return status_fail(PEAL_ERR_PROTOCOL, "shm: rank %d brings %d sockets, not 1", peer,
                           nsockets);
    }
    endpoint = aligned_alloc(SHM_LINE, (sizeof *endpoint + SHM_LINE - 1) & ~(SHM_LINE - 1ul));
    if (!endpoint) {
        close(sockets[0]);
        return status_fail(PEAL_ERR_MEMORY, "shm: no memory for rank %d", peer);
    }
    memset(endpoint, 0, sizeof *endpoint);
    endpoint->port = port;
    endpoint->socket = sockets[0];
    endpoint->pid = where->pid;
    endpoint->me = !dialled;
    endpoint->numa[endpoint->me] = port->options.where->numa - 1;
    endpoint->numa[!endpoint->me] = where->numa - 1;
    endpoint->wanted_last = &endpoint->wanted;
    if (port->reads_allowed && where->pid_namespace == port->options.where->pid_namespace)
        endpoint->reads_left = 2;
    snprintf(endpoint->peer, sizeof endpoint->peer, "rank %d (%s:%u)", peer, where->hostname,
             where->pid);
    matching_init(&endpoint->matching, &port->pool, port->options.completions,
                  endpoint->peer);
    status = link_start(endpoint, dialled);
    if (status) {
        endpoint_free(endpoint);
        return status;
    }
    endpoint->next = port->endpoints;
    port->endpoints = endpoint;
    *out = endpoint;
    return PEAL_OK;
}

/* ---- Progress ------------------------------------------------------------------ */

void shm_break(struct endpoint *endpoint, int status)
{
    if (!status || endpoint->broken)
        return;
    endpoint->broken = status;
    snprintf(endpoint->why, sizeof endpoint->why, "%s", status_text());
}

static void endpoint_fail(struct endpoint *endpoint)
{
    if (!endpoint->area && endpoint->me)
        endpoint->port->unready--;
    recv_close(endpoint);
    if (endpoint->socket >= 0)
        close(endpoint->socket);
    endpoint->socket = -1;
    endpoint->pulls = 0;
    endpoint->notice_tail = endpoint->notice_head;
    status_fail(endpoint->broken, "%s", endpoint->why);
    matching_fail(&endpoint->matching, endpoint->broken);
    send_fail(endpoint, endpoint->broken);
}

/* What is not a slot: rare, or large.  Returns how much it moved. */
static int endpoint_labour(struct endpoint *endpoint)
{
    int moved = 0;

    if (endpoint->starved && ring_fed(endpoint)) {
        endpoint->starved = false;
        moved++;
    }
    moved += recv_fetch(endpoint);
    moved += recv_notices(endpoint);
    moved += send_stream(endpoint);
    return moved;
}

static bool endpoint_busy(const struct endpoint *endpoint)
{
    return endpoint->pulls > 0 || endpoint->notice_head != endpoint->notice_tail ||
           endpoint->wanted || endpoint->starved || endpoint->broken || endpoint->socket < 0;
}

static int endpoint_progress(struct endpoint *endpoint)
{
    int moved = 0;

    if (endpoint->matching.failure)
        return 0;
    if (endpoint->area)
        moved = recv_slots(endpoint);
    if (!endpoint_busy(endpoint))
        return moved;
    if (endpoint->area && !endpoint->broken)
        moved += endpoint_labour(endpoint);
    if (endpoint->socket < 0 && moved == 0 && !endpoint->broken)
        shm_break(endpoint, status_fail(PEAL_ERR_PEER, "shm: the connection to %s was lost: "
                                        "the process ended or closed it", endpoint->peer));
    if (endpoint->broken) {
        endpoint_fail(endpoint);
        moved++;
    }
    return moved;
}

/* See what the sockets have: hellos, wake-ups, the end of a peer. */
static int sockets_look(struct port *port)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(port->epoll, events, EVENTS, 0);

    for (int i = 0; i < count; i++)
        link_read(events[i].data.ptr);
    return count > 0 ? count : 0;
}

static int shm_progress(struct port *port)
{
    int moved = 0;

    if (port->slept)
        for (struct endpoint *e = port->endpoints; e; e = e->next)
            if (e->area)
                atomic_store_explicit(&e->area->sides[e->me].armed, 0, memory_order_relaxed);
    if (port->slept || port->unready > 0)
        moved += sockets_look(port);
    port->slept = false;
    for (struct endpoint *e = port->endpoints; e; e = e->next)
        moved += endpoint_progress(e);
    if (moved == 0 && ++port->idle % LOOK_POLLS == 0 &&
        clock_now() - port->looked >= LOOK_NS) {
        moved = sockets_look(port);
        port->looked = clock_now();
    }
    return moved;
}

static int shm_descriptor(struct port *port)
{
    return port->epoll;
}

/* Anything that progress() could do now, short of room in the ring? */
static bool endpoint_idle(struct endpoint *endpoint)
{
    uint32_t mark;

    return endpoint->pulls == 0 && !endpoint->broken && endpoint->socket >= 0 &&
           !ring_next(endpoint, &mark) && !(endpoint->starved && ring_fed(endpoint)) &&
           (endpoint->starved ||
            (endpoint->notice_head == endpoint->notice_tail && !endpoint->wanted));
}

static int shm_arm(struct port *port)
{
    int status = PEAL_OK;

    port->slept = true;
    for (struct endpoint *e = port->endpoints; e; e = e->next)
        if (e->area && !e->matching.failure)
            atomic_store_explicit(&e->area->sides[e->me].armed, e->starved ? 2 : 1,
                                  memory_order_relaxed);
    fence_heavy();
    for (struct endpoint *e = port->endpoints; e; e = e->next) {
        if (e->matching.failure || (!e->area && e->socket >= 0 && !e->broken))
            continue;
        if (!e->area || !endpoint_idle(e))
            status = STATUS_AGAIN;
    }
    return status;
}

/* ---- Closing ------------------------------------------------------------------- */

static bool port_pending(const struct port *port)
{
    for (const struct endpoint *e = port->endpoints; e; e = e->next)
        if (!e->matching.failure &&
            (e->notice_head != e->notice_tail || send_pending(e)))
            return true;
    return false;
}

/* What lies in the ring stays there for the peer; offers it must still take.
 * What completes meanwhile is not reported. */
static void port_flush(struct port *port)
{
    struct completion_queue unheard;
    uint64_t deadline = clock_deadline(1.0);

    completion_queue_init(&unheard);
    port->options.completions = &unheard;
    for (struct endpoint *e = port->endpoints; e; e = e->next)
        e->matching.completions = &unheard;
    while (port_pending(port) && clock_now() < deadline)
        if (shm_progress(port) == 0 && shm_arm(port) == PEAL_OK) {
            struct pollfd polled = { .fd = port->epoll, .events = POLLIN };

            poll(&polled, 1, clock_left_ms(deadline));
        }
}

static void shm_close(struct port *port, bool flush)
{
    if (!port)
        return;
    if (flush)
        port_flush(port);
    while (port->endpoints) {
        struct endpoint *next = port->endpoints->next;

        endpoint_free(port->endpoints);
        port->endpoints = next;
    }
    pool_free(&port->outs);
    match_pool_free(&port->pool);
    free(port->bounce);
    close(port->epoll);
    free(port);
}

const struct transport shm_transport = {
    .name         = "shm",
    .settings     = shm_settings,
    .sockets      = SOCKET_LOCAL,
    .lends        = true,
    .walks        = TRANSPORT_EAGER,
    .usable       = shm_usable,
    .socket_count = shm_socket_count,
    .reach        = shm_reach,
    .open         = shm_open_port,
    .close        = shm_close,
    .connect      = shm_connect,
    .send         = shm_send,
    .recv         = shm_recv,
    .send_keep    = shm_send_keep,
    .relay        = shm_relay,
    .put          = shm_put,
    .put_keep     = shm_put_keep,
    .peek         = shm_peek,
    .take         = shm_take,
    .expect       = shm_expect,
    .place        = shm_place,
    .place_begin  = shm_place_begin,
    .place_end    = shm_place_end,
    .progress     = shm_progress,
    .descriptor   = shm_descriptor,
    .arm          = shm_arm
};
