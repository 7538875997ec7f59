/* SPDX-License-Identifier: BSD-3-Clause */
/* For each peer, on first use: the first allowed transport that reaches it. */
#include "comm/inbox.h"

#include "base/log.h"
#include "comm/position.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct inbox *inbox_create(int npeers)
{
    return calloc((size_t)npeers, sizeof(struct inbox));
}

static void close_sockets(const int *sockets, int nsockets)
{
    for (int i = 0; i < nsockets; i++)
        close(sockets[i]);
}

void inbox_free(struct inbox *inboxes, int npeers)
{
    for (int i = 0; inboxes && i < npeers; i++)
        close_sockets(inboxes[i].sockets, inboxes[i].nsockets);
    free(inboxes);
}

static void near_devices(const struct port_options *options, char *list, size_t bytes)
{
    struct position position;

    list[0] = '\0';
    if (position_here(comm_local(options->owner), &position) != PEAL_OK)
        log_warn("which network devices are near is not known: %s", status_text());
    else
        snprintf(list, bytes, "%s", position.near);
}

static int find_port(struct peal_comm *comm, const struct transport *transport,
                     struct port **port)
{
    struct engine *e = &comm->engine;
    struct port_options options = {
        .communicator = comm->id, .rank = comm->rank, .nranks = comm->nranks,
        .where = &comm->self, .local_ranks = comm->local_ranks,
        .crowded = e->crowded,
        .completions = &e->completions, .near = near_devices, .owner = comm,
    };
    struct port *opened;
    int status;

    for (int i = 0; i < e->nports; i++)
        if (e->ports[i].transport == transport) {
            *port = e->ports[i].port;
            return PEAL_OK;
        }
    if (e->nports == ENGINE_PORTS)
        return status_fail(PEAL_ERR_UNSUPPORTED, "more than %d transports in use", ENGINE_PORTS);
    if ((status = transport->open(&options, &opened)))
        return status;
    e->ports[e->nports].transport = transport;
    e->ports[e->nports++].port = opened;
    *port = opened;
    return PEAL_OK;
}

const struct transport *comm_transport(const struct peal_comm *comm, int index)
{
    const char *list = comm->options.transports;

    if (!*list)
        return transports[index];
    for (const struct transport *const *t = transports; *t; t++) {
        int at;

        if (setting_lists(list, (*t)->name, &at) && at == index)
            return *t;
    }
    return NULL;
}

/* A rank to itself may use any: the setting is about others. */
static const struct transport *candidate(const struct peal_comm *comm, int peer, int index)
{
    return peer == comm->rank ? transports[index] : comm_transport(comm, index);
}

static int choose(const struct peal_comm *comm, int peer, const struct transport **chosen)
{
    char reasons[512] = "", name[128], kept[STATUS_TEXT];
    const struct transport *t;

    status_keep(kept);
    for (int i = 0; (t = candidate(comm, peer, i)); i++) {
        struct reach how;

        if (t->usable() == PEAL_OK &&
            t->reach(&comm->self, comm_where(comm, peer), &how) == PEAL_OK) {
            *chosen = t;
            status_restore(kept);
            return PEAL_OK;
        }
        snprintf(reasons + strlen(reasons), sizeof reasons - strlen(reasons), "; %s: %s",
                 t->name, status_text());
    }
    comm_peer_name(comm, peer, name, sizeof name);
    return status_fail(PEAL_ERR_UNSUPPORTED, "no transport reaches %s%s; allowed are \"%s\" "
                       "(PEAL_TRANSPORTS)", name, reasons,
                       *comm->options.transports ? comm->options.transports : "all");
}

static int connect_link(struct peal_comm *comm, int peer, const struct transport *transport,
                        const struct inbox *with)
{
    struct link *link = &comm->engine.links[peer];
    struct endpoint *endpoint;
    struct port *port = NULL;
    int status = find_port(comm, transport, &port);

    if (status) {
        close_sockets(with->sockets, with->nsockets);
        return status;
    }
    status = transport->connect(port, peer, comm_where(comm, peer), with->sockets,
                                with->nsockets, with->dialled, &endpoint);
    if (status)
        return status;
    log_debug("rank %d reaches rank %d over %s", comm->rank, peer, transport->name);
    link->transport = transport;
    link->endpoint = endpoint;
    return PEAL_OK;
}

/* Take what the monitor brought. */
static int take(struct peal_comm *comm, int peer)
{
    struct inbox got;
    const struct transport *transport;

    pthread_mutex_lock(&comm->lock);
    got = comm->inboxes[peer];
    comm->inboxes[peer].nsockets = 0;
    atomic_store_explicit(&comm->inboxes[peer].ready, false, memory_order_relaxed);
    pthread_mutex_unlock(&comm->lock);

    if (got.status)
        return status_fail(got.status, "%s", got.text);
    transport = transport_find(got.transport);
    if (!transport || (*comm->options.transports &&
                       !setting_lists(comm->options.transports, got.transport, NULL))) {
        char name[128];

        close_sockets(got.sockets, got.nsockets);
        comm_peer_name(comm, peer, name, sizeof name);
        return status_fail(PEAL_ERR_UNSUPPORTED, "%s wants to use transport \"%s\", which is "
                           "not allowed here; give all ranks the same PEAL_TRANSPORTS",
                           name, got.transport);
    }
    return connect_link(comm, peer, transport, &got);
}

int comm_join(struct engine *engine, int peer)
{
    static const struct inbox nothing;
    struct peal_comm *comm = engine->owner;
    struct inbox *inbox = &comm->inboxes[peer];
    const struct transport *transport;
    int status;

    if (atomic_load_explicit(&inbox->ready, memory_order_acquire))
        return take(comm, peer);
    if (inbox->asked)
        return STATUS_AGAIN;
    if ((status = choose(comm, peer, &transport)))
        return status;
    if (transport->sockets == SOCKET_NONE)
        return connect_link(comm, peer, transport, &nothing);
    inbox->asked = true;           /* also by the side that only waits to be dialled */
    if (comm->job_ranks[comm->rank] > comm->job_ranks[peer])
        return STATUS_AGAIN;       /* the job's order counts, as it is the same everywhere */
    status = job_dial(comm->job, comm->id, comm->job_ranks[peer], transport->name,
                      transport->sockets, transport->socket_count());
    return status ? status : STATUS_AGAIN;
}
