/* SPDX-License-Identifier: BSD-3-Clause */
/* Endpoints: how they begin, fail and end. */
#include "transports/verbs/verbs_ring.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct endpoint *endpoint_new(struct port *port, int peer, const struct where *where,
                                     int socket, bool dialled)
{
    struct endpoint *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->port = port;
    e->socket = socket;
    e->dialled = dialled;
    snprintf(e->name, sizeof e->name, "rank %d on %.63s", peer, where->hostname);
    e->last_early = &e->early;
    e->last = &e->queue;
    e->last_stream = &e->streams;
    e->last_order = &e->orders;
    matching_init(&e->matching, &port->pool, port->options.completions, e->name);
    return e;
}

int verbs_connect(struct port *port, int peer, const struct where *where,
                  const int *sockets, int nsockets, bool dialled, struct endpoint **endpoint)
{
    unsigned char record[VERBS_RECORD_MOST];
    struct endpoint *e = NULL;
    int status = PEAL_OK;

    if (nsockets != 1)
        status = status_fail(PEAL_ERR_PROTOCOL, "verbs: rank %d brings %d sockets, not 1", peer,
                             nsockets);
    else if (!(status = verbs_adapters_open(port)) &&
             !(e = endpoint_new(port, peer, where, sockets[0], dialled)))
        status = status_fail(PEAL_ERR_MEMORY, "verbs: no memory for rank %d", peer);
    if (!status && verbs_socket_watch(e) != 0)
        status = status_fail(PEAL_ERR_SYSTEM, "verbs: cannot watch the connection to %s: %m",
                             e->name);
    if (status) {
        for (int i = 0; i < nsockets; i++)
            close(sockets[i]);
        free(e);
        return status;
    }
    e->next = port->endpoints;
    port->endpoints = e;
    port->connecting++;
    verbs_offer_make(e);
    verbs_say(e, record, verbs_offer_encode(&e->offer, record));
    *endpoint = e;
    return PEAL_OK;
}

static void active_remove(struct endpoint *e)
{
    if (!e->link)
        return;
    *e->link = e->next_active;
    if (e->next_active)
        e->next_active->link = e->link;
    e->link = NULL;
}

void verbs_activity(struct endpoint *e)
{
    struct port *port = e->port;

    if (e->failure || !(e->broken || e->queue || e->orders || e->streams || e->repairing ||
                        verbs_credit_owed(e, CREDIT_SHARE))) {
        active_remove(e);
    } else if (!e->link) {
        e->next_active = port->active;
        if (e->next_active)
            e->next_active->link = &e->next_active;
        e->link = &port->active;
        port->active = e;
    }
}

/* Nothing of the endpoint's or the user's memory is touched after this. */
static void rails_end(struct endpoint *e)
{
    /* First, so that a peer whose queue pairs end with ours hears why. */
    if (e->socket >= 0) {
        /* A forked child may hold the file open, then close() would not do this. */
        epoll_ctl(e->port->epoll, EPOLL_CTL_DEL, e->socket, NULL);
        close(e->socket);
        e->socket = -1;
    }
    for (int i = 0; i < e->nrails; i++)
        verbs_rail_destroy(&e->rails[i]);
    e->repairing = 0;
    if (e->stage != STAGE_UP && e->port->connecting > 0)
        e->port->connecting--;
    e->stage = STAGE_UP;
}

void verbs_endpoint_free(struct endpoint *e)
{
    active_remove(e);
    rails_end(e);
    verbs_incoming_fail(e);
    matching_clear(&e->matching);
    /* The sends' regions; nobody is told. */
    for (struct sending *s = e->early; s; s = s->next)
        s->done = NULL;
    for (struct sending *s = e->announced; s; s = s->next)
        s->done = NULL;
    for (struct sending *s = e->queue; s; s = s->next)
        s->done = NULL;
    for (struct sending *s = e->streams; s; s = s->next)
        s->done = NULL;
    for (struct order *o = e->orders; o; o = o->next)
        o->of->done = NULL;
    for (struct order *o = e->dealt; o; o = o->next)
        o->of->done = NULL;
    verbs_sends_fail(e, PEAL_ERR_PEER);
    for (int i = 0; i < VERBS_RAILS; i++)
        free(e->rails[i].work);
    free(e->landing);
    free(e);
}

void verbs_break(struct endpoint *e, int status, const char *format, ...)
{
    char text[VERBS_WHY];
    va_list args;

    if (verbs_lost(e))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);    /* the arguments may be in e->why */
    va_end(args);
    memcpy(e->why, text, sizeof e->why);
    e->broken = status;
    verbs_activity(e);
}

/* Has the peer closed the socket?  Then that is why, whatever else was seen. */
bool verbs_socket_ended(const struct endpoint *e)
{
    char byte;
    ssize_t n;

    if (e->ended)
        return true;
    do
        n = recv(e->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
}

static void endpoint_fail(struct endpoint *e)
{
    int status = e->broken;

    if (status != PEAL_ERR_PROTOCOL && verbs_socket_ended(e)) {
        status = PEAL_ERR_PEER;
        snprintf(e->why, sizeof e->why, "%s closed its connection: it has ended, crashed or left "
                 "the communicator; look at its output%s%.*s", e->name,
                 *e->seen ? "; seen here: " : "", VERBS_WHY - 200, e->seen);
    }
    /* A peer that leaves when nobody awaits it is no news for anybody: the text of
     * the latest failure then stays what it is. */
    if (e->matching.posted > 0 || e->waiting > 0 || e->matching.moving)
        status_fail(status, "%s", e->why);
    else
        log_debug("%s", e->why);
    rails_end(e);
    e->failure = status;
    verbs_sends_fail(e, status);
    matching_fail(&e->matching, status);
    verbs_incoming_fail(e);
    verbs_chunks_serve(e->port);
    verbs_activity(e);
}

/* What had arrived is still taken: frames that are in the completion queues, and
 * those already noted.  A `broken` by protocol ends at once. */
void verbs_settle(struct endpoint *e)
{
    int broken = e->broken;

    if (e->failure || !broken)
        return;
    if (broken != PEAL_ERR_PROTOCOL) {
        while (verbs_poll(e->port) > 0)
            continue;
        e->broken = 0;
        verbs_take_frames(e);
        if (e->repairing)              /* the peer may have said what it has got, and left */
            verbs_repair(e);
        if (e->broken == 0)
            e->broken = broken;
    }
    endpoint_fail(e);
}
