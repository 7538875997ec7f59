/* SPDX-License-Identifier: BSD-3-Clause */
/* Device ports that a port has opened: contexts, completion queues, events. */
#include "transports/verbs/verbs.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { FIRST_COMPLETIONS = 1024, ASK_AGAIN = 100000000 /* ns */ };

int verbs_adapter_watch(struct port *port, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return -1;
    return epoll_ctl(port->epoll, EPOLL_CTL_ADD, fd, &event);
}

struct ibv_context *verbs_context_open(const char *name)
{
    struct ibv_device **devices = ibv_get_device_list(NULL);
    struct ibv_context *context = NULL;

    for (int i = 0; devices && devices[i] && !context; i++)
        if (strcmp(ibv_get_device_name(devices[i]), name) == 0)
            context = ibv_open_device(devices[i]);
    if (devices)
        ibv_free_device_list(devices);
    return context;
}

static int adapter_fail(const struct adapter *a, const char *what)
{
    return status_fail(PEAL_ERR_SYSTEM, "verbs: %s on %s port %d: %m%s", what,
                       a->place.device, a->place.port, verbs_shortage(errno));
}

/* With the addresses that the settings leave: so none is there twice, for both
 * versions of RoCE. */
static void place_take(struct adapter *a, const struct place *place)
{
    a->place = *place;
    a->place.ngids = 0;
    for (int i = 0; i < place->ngids; i++)
        if (verbs_option_gid(place, &place->gids[i]))
            a->place.gids[a->place.ngids++] = place->gids[i];
}

/* Many rails may ask about one port. */
bool verbs_adapter_active(struct adapter *a)
{
    uint64_t now = clock_now();
    struct place place = a->place;

    if (a->lost)
        return false;
    if (a->asked_at && now - a->asked_at < ASK_AGAIN)
        return a->active;
    a->asked_at = now;
    a->active = verbs_place_again(a->context, &place);
    if (a->active)
        place_take(a, &place);
    return a->active;
}

static int adapter_open(struct port *port, const struct place *place)
{
    struct adapter *a = &port->adapters[port->nadapters];

    memset(a, 0, sizeof *a);
    a->port = port;
    a->index = port->nadapters;
    place_take(a, place);
    port->nadapters++;                 /* close takes what is half open */
    errno = ENODEV;
    if (!(a->context = verbs_context_open(place->device)))
        return adapter_fail(a, "opening the device");
    if (!(a->pd = ibv_alloc_pd(a->context)))
        return adapter_fail(a, "ibv_alloc_pd");
    if (!(a->channel = ibv_create_comp_channel(a->context)))
        return adapter_fail(a, "ibv_create_comp_channel");
    if (verbs_adapter_watch(port, a->channel->fd) != 0 ||
        verbs_adapter_watch(port, a->context->async_fd) != 0)
        return adapter_fail(a, "watching for events");
    return PEAL_OK;
}

/* Of places that the settings allow, those near this rank come first.  Where there are such, it leaves
 * the others to the other ranks of the host, but takes one of each network, for peers that are on
 * no other, and its share of all. */
static int places_choose(struct port *port, const struct survey *survey, const struct place **chosen)
{
    int most = verbs_option(VERBS_OPTION_RAILS), locals = port->options.local_ranks;
    int allowed = 0, taken = 0;
    uint32_t networks = 0;
    char near[1024] = "";
    bool is_near, differ = false, wanted;

    if (survey->nplaces > 1 && port->options.near)
        port->options.near(&port->options, near, sizeof near);
    for (int i = 0; i < survey->nplaces; i++)
        allowed += verbs_option_device(survey->places[i].device, survey->places[i].port);
    for (int pass = 0; pass < 3; pass++) {
        for (int i = 0; i < survey->nplaces; i++) {
            const struct place *place = &survey->places[i];
            uint32_t network = verbs_place_networks(place);

            is_near = setting_lists(near, place->device, NULL);
            wanted = pass == 0 ? is_near : pass == 1 ? differ && (network & ~networks) :
                     !differ || locals < 1 || taken < (allowed + locals - 1) / locals;
            for (int k = 0; k < taken && wanted; k++)
                wanted = chosen[k] != place;
            if (!wanted || !verbs_option_device(place->device, place->port))
                continue;
            networks |= network;
            chosen[taken++] = place;
        }
        if (pass == 0)
            differ = taken > 0;
    }
    return taken < most ? taken : most;
}

int verbs_adapters_open(struct port *port)
{
    const struct survey *survey = verbs_survey();
    const struct place *chosen[VERBS_PLACES];
    int n, status = PEAL_OK;

    if (port->nadapters > 0)
        return PEAL_OK;
    if (!survey)
        return PEAL_ERR_UNSUPPORTED;
    n = places_choose(port, survey, chosen);
    for (int i = 0; i < n && !status; i++)
        status = adapter_open(port, chosen[i]);
    if (status)
        verbs_adapters_close(port);
    else
        verbs_paging_find(port);
    return status;
}

void verbs_adapters_close(struct port *port)
{
    verbs_cm_end(port);
    for (int i = 0; i < port->nadapters; i++) {
        struct adapter *a = &port->adapters[i];

        for (int k = 0; k < a->nqueues; k++)
            ibv_destroy_cq(a->queues[k].cq);
        if (a->channel) {
            epoll_ctl(port->epoll, EPOLL_CTL_DEL, a->channel->fd, NULL);
            ibv_destroy_comp_channel(a->channel);
        }
        if (a->pd)
            ibv_dealloc_pd(a->pd);
        if (a->context) {
            epoll_ctl(port->epoll, EPOLL_CTL_DEL, a->context->async_fd, NULL);
            ibv_close_device(a->context);
        }
    }
    port->nadapters = 0;
}

/* From `least` on doubled until there is room; 0: there cannot be. */
static int queue_size(const struct adapter *a, int least, int wanted)
{
    int cqe = least;

    while (cqe < wanted)
        cqe *= 2;
    if (cqe > a->place.most_completions)
        cqe = a->place.most_completions;
    return cqe < wanted ? 0 : cqe;
}

/* Soft iWARP, for one, cannot make them larger. */
static bool queue_grow(const struct adapter *a, struct queue *q, int wanted)
{
    int cqe;

    if (wanted <= q->cq->cqe)
        return true;
    cqe = queue_size(a, q->cq->cqe, wanted);
    return cqe > 0 && ibv_resize_cq(q->cq, cqe) == 0;
}

/* Larger than the one before: there are few, then. */
static struct queue *queue_make(struct adapter *a, int completions)
{
    int least = a->nqueues > 0 ? 2 * a->queues[a->nqueues - 1].cq->cqe : FIRST_COMPLETIONS;
    int cqe = queue_size(a, least, completions);
    struct queue *q = &a->queues[a->nqueues];

    errno = ENOSPC;
    if (a->nqueues == VERBS_QUEUES || cqe == 0)
        return NULL;
    q->cq = ibv_create_cq(a->context, cqe, a, a->channel, 0);
    q->promised = 0;
    if (!q->cq)
        return NULL;
    a->nqueues++;
    return q;
}

/* A queue that overflows is the end of all that use it. */
int verbs_adapter_promise(struct adapter *a, int completions, struct queue **queue)
{
    struct queue *q = NULL;

    for (int i = 0; i < a->nqueues && !q; i++)
        if (queue_grow(a, &a->queues[i], a->queues[i].promised + completions))
            q = &a->queues[i];
    if (!q && !(q = queue_make(a, completions)))
        return status_fail(PEAL_ERR_SYSTEM, "verbs: %s port %d cannot hold %d completions, for "
                           "one peer more: %m; is the limit of locked memory (ulimit -l) too low? "
                           "Lower PEAL_VERBS_RING, or use fewer peers", a->place.device,
                           a->place.port, completions);
    q->promised += completions;
    *queue = q;
    return PEAL_OK;
}

static void adapter_lost(struct adapter *a, const char *event)
{
    a->lost = true;
    for (struct endpoint *e = a->port->endpoints; e; e = e->next)
        for (int i = 0; i < e->nrails && !verbs_lost(e); i++) {
            struct rail *rail = &e->rails[i];

            if (rail->adapter == a && (rail->state == RAIL_UP || rail->state == RAIL_JOINING))
                verbs_rail_fail(rail, PEAL_ERR_PEER, "%s port %d to %s: %s; was the device "
                                "removed, or its driver reset?", a->place.device, a->place.port,
                                e->name, event);
            else if (rail->adapter == a && rail->state == RAIL_CLOSING)
                verbs_rail_close(rail);        /* what it waits for may never come */
        }
}

/* A port that goes down comes back within the time of the retries, or not: the
 * queue pairs find out, so this only says why. */
static void adapter_event(struct adapter *a, const struct ibv_async_event *event)
{
    const char *text = ibv_event_type_str(event->event_type);

    switch (event->event_type) {
    case IBV_EVENT_DEVICE_FATAL:
        log_warn("verbs: %s: %s", a->place.device, text);
        adapter_lost(a, text);
        break;
    case IBV_EVENT_CQ_ERR:
        adapter_lost(a, text);
        break;
    case IBV_EVENT_PORT_ERR:
        if (event->element.port_num == a->place.port)
            log_warn("verbs: %s port %d is down: what is under way is repeated for %d times; "
                     "look at cable, switch and interface", a->place.device, a->place.port,
                     verbs_option(VERBS_OPTION_RETRY));
        break;
    case IBV_EVENT_PORT_ACTIVE:
        if (event->element.port_num != a->place.port)
            break;
        log_warn("verbs: %s port %d is up again", a->place.device, a->place.port);
        verbs_rejoin_active(a);
        break;
    default:
        log_debug("verbs: %s: %s", a->place.device, text);
    }
}

int verbs_adapter_events(struct adapter *a)
{
    struct ibv_async_event event;
    struct ibv_cq *cq;
    void *context;
    int moved = 0;

    for (; ibv_get_cq_event(a->channel, &cq, &context) == 0; moved++)
        ibv_ack_cq_events(cq, 1);
    while (ibv_get_async_event(a->context, &event) == 0) {
        adapter_event(a, &event);
        ibv_ack_async_event(&event);
        moved++;
    }
    return moved;
}

int verbs_adapter_arm(struct adapter *a)
{
    for (int i = 0; i < a->nqueues && !a->lost; i++)
        if (ibv_req_notify_cq(a->queues[i].cq, 0) != 0) {
            adapter_lost(a, "ibv_req_notify_cq failed");
            return STATUS_AGAIN;
        }
    return PEAL_OK;
}
