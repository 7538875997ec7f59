/* SPDX-License-Identifier: BSD-3-Clause */
/* Queue pairs that rdma_cm connects, because their device, of iWARP, has no other way.
 *
 *   dialling side                              dialled side
 *                                              listens at a port of its own for each rail
 *                   <-- CONNECT {port, nonce}   (the endpoint's socket)
 *   resolves the address, then the route
 *   connects        --- nonce ----------------> compares, then accepts
 *   is established                              is established
 *   greets          --- SEND of nothing ------> may send: iWARP wants the side that
 *                                               connects to be the first
 *
 * Everything but the nonce is known to whoever looks at the network from outside, and
 * without it nobody is connected: he is turned away, and the listener listens on.
 * All events come over one channel, without blocking. */
#include "transports/verbs/verbs.h"
#include "transports/verbs/verbs_cm_library.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

/* librdmacm by its table. */
#define rdma_create_event_channel  verbs_cm_library.create_event_channel
#define rdma_destroy_event_channel verbs_cm_library.destroy_event_channel
#define rdma_create_id             verbs_cm_library.create_id
#define rdma_destroy_id            verbs_cm_library.destroy_id
#define rdma_bind_addr             verbs_cm_library.bind_addr
#define rdma_listen                verbs_cm_library.listen
#define rdma_get_src_port          verbs_cm_library.get_src_port
#define rdma_resolve_addr          verbs_cm_library.resolve_addr
#define rdma_resolve_route         verbs_cm_library.resolve_route
#define rdma_connect               verbs_cm_library.connect
#define rdma_accept                verbs_cm_library.accept
#define rdma_reject                verbs_cm_library.reject
#define rdma_get_cm_event          verbs_cm_library.get_cm_event
#define rdma_ack_cm_event          verbs_cm_library.ack_cm_event
#define rdma_event_str             verbs_cm_library.event_str

enum { RESOLVE_MS = 5000, BACKLOG = 8, EVENTS = 64, PORTS = 16 };

struct joining {
    struct rdma_cm_id *listener, *id;
    uint32_t           port;
    unsigned char      nonce[VERBS_NONCE];
    int                tries;      /* local ports with which connecting began */
    bool               greeted;    /* this side may send */
};

union address { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; };

static void address_of(const struct place_gid *gid, uint32_t port, union address *address)
{
    memset(address, 0, sizeof *address);
    if (gid->family == VERBS_GID_V4) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons((uint16_t)port);
        memcpy(&address->v4.sin_addr, gid->gid.bytes + 12, 4);
        return;
    }
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_port = htons((uint16_t)port);
    memcpy(&address->v6.sin6_addr, gid->gid.bytes, 16);
    if (gid->family == VERBS_GID_LOCAL)
        address->v6.sin6_scope_id = gid->interface;
}

static bool device_is(const struct rdma_cm_id *id, const struct place *place)
{
    return id->verbs && id->port_num == place->port &&
           strcmp(ibv_get_device_name(id->verbs->device), place->device) == 0;
}

/* ---- Which addresses a place has ----------------------------------------------- */

/* False: not of IP, or not to be had from outside. */
static bool gid_of(const struct ifaddrs *i, struct place_gid *gid)
{
    union address address;

    memset(gid, 0, sizeof *gid);
    if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || i->ifa_flags & IFF_LOOPBACK)
        return false;
    gid->interface = if_nametoindex(i->ifa_name);
    if (i->ifa_addr->sa_family == AF_INET) {
        memcpy(&address.v4, i->ifa_addr, sizeof address.v4);
        gid->family = VERBS_GID_V4;
        gid->gid.bytes[10] = gid->gid.bytes[11] = 0xff;
        memcpy(gid->gid.bytes + 12, &address.v4.sin_addr, 4);
        return true;
    }
    if (i->ifa_addr->sa_family != AF_INET6)
        return false;
    memcpy(&address.v6, i->ifa_addr, sizeof address.v6);
    gid->family = IN6_IS_ADDR_LINKLOCAL(&address.v6.sin6_addr) ? VERBS_GID_LOCAL : VERBS_GID_V6;
    memcpy(gid->gid.bytes, &address.v6.sin6_addr, 16);
    return true;
}

/* Only rdma_cm knows to which device an address belongs. */
static bool address_belongs(struct rdma_event_channel *channel, const struct place_gid *gid,
                            const struct place *place)
{
    struct rdma_cm_id *id;
    union address address;
    bool belongs;

    address_of(gid, 0, &address);
    if (rdma_create_id(channel, &id, NULL, RDMA_PS_TCP) != 0)
        return false;
    belongs = rdma_bind_addr(id, &address.any) == 0 && device_is(id, place);
    rdma_destroy_id(id);
    return belongs;
}

int verbs_cm_addresses(struct place *place)
{
    const char *wrong = verbs_cm_library_load();
    struct rdma_event_channel *channel;
    struct ifaddrs *all = NULL;
    struct place_gid gid;

    if (wrong)
        return status_fail(PEAL_ERR_UNSUPPORTED, "%s is iWARP, which rdma_cm connects: %s",
                           place->device, wrong);
    channel = rdma_create_event_channel();
    if (!channel)
        return status_fail(PEAL_ERR_UNSUPPORTED, "%s is iWARP, which rdma_cm connects, and that "
                           "cannot be used: %m; is the kernel's module rdma_ucm loaded, and may "
                           "this user open /dev/infiniband/rdma_cm?", place->device);
    if (getifaddrs(&all) != 0)
        all = NULL;
    for (struct ifaddrs *i = all; i && place->ngids < VERBS_GIDS; i = i->ifa_next)
        if (gid_of(i, &gid) && address_belongs(channel, &gid, place)) {
            gid.index = place->ngids;
            place->gids[place->ngids++] = gid;
        }
    if (all)
        freeifaddrs(all);
    rdma_destroy_event_channel(channel);
    if (place->ngids > 0)
        return PEAL_OK;
    return status_fail(PEAL_ERR_UNSUPPORTED, "%s port %d is iWARP, and its network interface has "
                       "no IP address", place->device, place->port);
}

/* ---- Connecting ------------------------------------------------------------------- */

static int join_error(const struct rail *rail, const char *what)
{
    return status_fail(PEAL_ERR_SYSTEM, "verbs: %s for %s on %s port %d: %m", what,
                       rail->endpoint->name, rail->adapter->place.device,
                       rail->adapter->place.port);
}

static int joining_make(struct rail *rail)
{
    struct port *port = rail->endpoint->port;

    if (!port->joinings) {
        port->joinings = rdma_create_event_channel();
        if (!port->joinings || verbs_adapter_watch(port, port->joinings->fd) != 0)
            return join_error(rail, "the channel of rdma_cm's events");
    }
    rail->joining = calloc(1, sizeof *rail->joining);
    if (!rail->joining)
        return status_fail(PEAL_ERR_MEMORY, "verbs: no memory for %s", rail->endpoint->name);
    return PEAL_OK;
}

/* rdma_cm chooses among the ports that it knows: sockets of TCP may have them, which
 * soft iWARP learns when it listens, or connects. */
static bool listen_somewhere(struct rail *rail)
{
    struct joining *j = rail->joining;
    union address address;

    for (int i = 0; i < PORTS; i++) {
        int error;

        address_of(&rail->gid, 0, &address);
        if (rdma_create_id(rail->endpoint->port->joinings, &j->listener, rail, RDMA_PS_TCP) != 0)
            return false;
        if (rdma_bind_addr(j->listener, &address.any) == 0 &&
            rdma_listen(j->listener, BACKLOG) == 0)
            return true;
        error = errno;
        rdma_destroy_id(j->listener);
        j->listener = NULL;
        errno = error;
        if (error != EADDRINUSE)
            return false;
    }
    return false;
}

int verbs_cm_listen(struct rail *rail, struct verbs_connect_rail *told)
{
    struct joining *j;
    int status = joining_make(rail);

    if (status)
        return status;
    j = rail->joining;
    if (getrandom(j->nonce, sizeof j->nonce, 0) != (ssize_t)sizeof j->nonce)
        return join_error(rail, "no random bytes");
    if (!listen_somewhere(rail))
        return join_error(rail, "listening by rdma_cm");
    told->port = ntohs(rdma_get_src_port(j->listener));
    memcpy(told->nonce, j->nonce, sizeof told->nonce);
    return PEAL_OK;
}

/* The first step to the peer, from a port that rdma_cm chooses. */
static int resolve(struct rail *rail)
{
    struct place_gid theirs = rail->gid;
    struct joining *j = rail->joining;
    union address from, to;

    theirs.gid = rail->remote.gids[rail->gid.family];
    address_of(&rail->gid, 0, &from);
    address_of(&theirs, j->port, &to);
    j->tries++;
    if (rdma_create_id(rail->endpoint->port->joinings, &j->id, rail, RDMA_PS_TCP) != 0 ||
        rdma_resolve_addr(j->id, &from.any, &to.any, RESOLVE_MS) != 0)
        return join_error(rail, "no way to the peer's address: rdma_resolve_addr");
    return PEAL_OK;
}

int verbs_cm_connect(struct rail *rail, const struct verbs_connect_rail *told)
{
    int status = joining_make(rail);

    if (status)
        return status;
    if (told->port == 0)
        return status_fail(PEAL_ERR_PROTOCOL, "verbs: %s does not listen for %s port %d",
                           rail->endpoint->name, rail->adapter->place.device,
                           rail->adapter->place.port);
    rail->joining->port = told->port;
    memcpy(rail->joining->nonce, told->nonce, sizeof rail->joining->nonce);
    return resolve(rail);
}

bool verbs_cm_joined(const struct rail *rail)
{
    return rail->state == RAIL_UP && rail->joining && rail->joining->greeted;
}

void verbs_cm_greeted(struct rail *rail)
{
    if (!rail->joining)
        return;
    rail->joining->greeted = true;
    verbs_joined(rail->endpoint);
}

/* The queue pair is gone: its connection must not outlive it, nor go before. */
void verbs_cm_close(struct rail *rail)
{
    if (!rail->joining)
        return;
    if (rail->joining->listener)
        rdma_destroy_id(rail->joining->listener);
    if (rail->joining->id)
        rdma_destroy_id(rail->joining->id);
    free(rail->joining);
    rail->joining = NULL;
}

void verbs_cm_end(struct port *port)
{
    if (!port->joinings)
        return;
    epoll_ctl(port->epoll, EPOLL_CTL_DEL, port->joinings->fd, NULL);
    rdma_destroy_event_channel(port->joinings);
    port->joinings = NULL;
}

/* ---- Events ------------------------------------------------------------------------- */

struct news {                      /* what is kept of an event after its acknowledgement */
    enum rdma_cm_event_type event;
    int                     status;
    size_t                  length;            /* of the word that was shown */
    unsigned char           nonce[VERBS_NONCE];
};

/* In a time that does not depend on where they differ. */
static bool nonce_is(const struct news *news, const unsigned char nonce[VERBS_NONCE])
{
    volatile unsigned char differs = news->length < VERBS_NONCE;

    for (int i = 0; i < VERBS_NONCE; i++)
        differs |= news->nonce[i] ^ nonce[i];
    return differs == 0;
}

static struct rdma_conn_param parameters(const struct rail *rail)
{
    return (struct rdma_conn_param){ .qp_num = rail->qp->qp_num,
                                     .responder_resources = rail->adapter->place.most_reads,
                                     .initiator_depth = rail->adapter->place.most_reads };
}

static void requested(struct rail *rail, struct rdma_cm_id *id, const struct news *news)
{
    struct joining *j = rail->joining;
    struct rdma_conn_param parameter;

    if (verbs_lost(rail->endpoint) || j->id || !rail->qp || !nonce_is(news, j->nonce) ||
        !device_is(id, &rail->adapter->place)) {
        log_debug("verbs: a stranger at the port for %s is turned away", rail->endpoint->name);
        rdma_reject(id, NULL, 0);
        rdma_destroy_id(id);
        return;
    }
    j->id = id;
    id->context = rail;
    parameter = parameters(rail);
    if (rdma_accept(id, &parameter) != 0) {
        join_error(rail, "rdma_accept");
        verbs_break(rail->endpoint, PEAL_ERR_SYSTEM, "%s", status_text());
    }
    rdma_destroy_id(j->listener);
    j->listener = NULL;
}

static int connect_now(struct rail *rail)
{
    struct rdma_conn_param parameter = parameters(rail);
    struct joining *j = rail->joining;

    parameter.private_data = j->nonce;
    parameter.private_data_len = VERBS_NONCE;
    if (rdma_connect(j->id, &parameter) == 0)
        return PEAL_OK;
    if ((errno != EADDRINUSE && errno != EADDRNOTAVAIL) || j->tries == PORTS)
        return join_error(rail, "rdma_connect");
    rdma_destroy_id(j->id);
    j->id = NULL;
    return resolve(rail);
}

static void established(struct rail *rail)
{
    rail->state = RAIL_UP;
    if (!rail->endpoint->dialled) {
        verbs_joined(rail->endpoint);
        return;
    }
    verbs_greet(rail);
    verbs_cm_greeted(rail);
}

static void failed(struct rail *rail, const struct news *news)
{
    char address[INET6_ADDRSTRLEN] = "";
    const struct verbs_gid *gid = &rail->remote.gids[rail->gid.family];
    bool v4 = rail->gid.family == VERBS_GID_V4;

    inet_ntop(v4 ? AF_INET : AF_INET6, gid->bytes + (v4 ? 12 : 0), address, sizeof address);
    if (rail->state == RAIL_DOWN)
        verbs_break(rail->endpoint, PEAL_ERR_PEER, "verbs: connecting %s port %d to %s (there: %s "
                    "port %u, %s) failed: %s (%d: %s); is there a way to that address, and do "
                    "firewalls let TCP through?", rail->adapter->place.device,
                    rail->adapter->place.port, rail->endpoint->name, rail->remote.device,
                    rail->remote.port, address, rdma_event_str(news->event), news->status,
                    news->status < 0 ? strerror(-news->status) : "");
    else
        verbs_rail_fail(rail, PEAL_ERR_PEER, "the connection from %s port %d to %s (there: %s "
                        "port %u, %s) failed: %s; the process or its host is dead, or the way "
                        "is cut", rail->adapter->place.device, rail->adapter->place.port,
                        rail->endpoint->name, rail->remote.device, rail->remote.port, address,
                        rdma_event_str(news->event));
}

static void heard(struct rail *rail, struct rdma_cm_id *id, const struct news *news)
{
    int status = PEAL_OK;

    switch (news->event) {
    case RDMA_CM_EVENT_CONNECT_REQUEST:
        requested(rail, id, news);
        break;
    case RDMA_CM_EVENT_ADDR_RESOLVED:
        if (!device_is(id, &rail->adapter->place))
            status = status_fail(PEAL_ERR_SYSTEM, "verbs: the way to %s does not begin at %s port "
                                 "%d; PEAL_VERBS_DEVICES chooses", rail->endpoint->name,
                                 rail->adapter->place.device, rail->adapter->place.port);
        else if (rdma_resolve_route(id, RESOLVE_MS) != 0)
            status = join_error(rail, "rdma_resolve_route");
        break;
    case RDMA_CM_EVENT_ROUTE_RESOLVED:
        status = connect_now(rail);
        break;
    case RDMA_CM_EVENT_ESTABLISHED:
        if (rail->state == RAIL_DOWN)
            established(rail);
        break;
    case RDMA_CM_EVENT_ADDR_CHANGE:
    case RDMA_CM_EVENT_TIMEWAIT_EXIT:
        break;
    default:
        failed(rail, news);
    }
    if (status)
        verbs_break(rail->endpoint, status, "%s", status_text());
}

int verbs_cm_events(struct port *port)
{
    struct rdma_cm_event *event;
    int moved = 0;

    for (; moved < EVENTS && rdma_get_cm_event(port->joinings, &event) == 0; moved++) {
        bool request = event->event == RDMA_CM_EVENT_CONNECT_REQUEST;
        struct rdma_cm_id *id = event->id;
        struct rail *rail = (request ? event->listen_id : id)->context;
        struct news news = { .event = event->event, .status = event->status };

        if (request && event->param.conn.private_data_len >= VERBS_NONCE) {
            news.length = VERBS_NONCE;
            memcpy(news.nonce, event->param.conn.private_data, VERBS_NONCE);
        }
        /* An id ends only when all its events are acknowledged. */
        rdma_ack_cm_event(event);
        if (request || !verbs_lost(rail->endpoint))
            heard(rail, id, &news);
    }
    return moved;
}
