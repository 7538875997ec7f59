/* SPDX-License-Identifier: BSD-3-Clause */
/* Which of our addresses talks to which of the peer's. */
#include "transports/verbs/verbs.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* This side of the socket, as a GID, and its interface.  False: not of IP. */
static bool socket_gid(int fd, struct verbs_gid *gid)
{
    union { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; } address;
    socklen_t length = sizeof address;

    memset(gid, 0, sizeof *gid);
    if (getsockname(fd, &address.any, &length) != 0)
        return false;
    if (address.any.sa_family == AF_INET) {
        gid->bytes[10] = gid->bytes[11] = 0xff;
        memcpy(gid->bytes + 12, &address.v4.sin_addr, 4);
        return true;
    }
    if (address.any.sa_family == AF_INET6)
        memcpy(gid->bytes, &address.v6.sin6_addr, 16);
    return address.any.sa_family == AF_INET6;
}

static bool address_is(const struct sockaddr *address, const struct verbs_gid *gid)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;

    if (address->sa_family == AF_INET)
        return memcmp(gid->bytes + 12, &v4->sin_addr, 4) == 0 && gid->bytes[10] == 0xff;
    return address->sa_family == AF_INET6 && memcmp(gid->bytes, &v6->sin6_addr, 16) == 0;
}

/* The index of the interface that has this address; 0: none. */
static unsigned interface_of(const struct verbs_gid *gid)
{
    struct ifaddrs *all, *i;
    unsigned index = 0;

    if (getifaddrs(&all) != 0)
        return 0;
    for (i = all; i && !index; i = i->ifa_next)
        if (i->ifa_addr && address_is(i->ifa_addr, gid))
            index = if_nametoindex(i->ifa_name);
    freeifaddrs(all);
    return index;
}

/* The best of a family: the address of the connection, then one of the same
 * interface, then the first.  NULL: none. */
static const struct place_gid *gid_choose(const struct place *place, enum verbs_family family,
                                          const struct verbs_gid *near, unsigned interface)
{
    const struct place_gid *chosen = NULL;
    int best = -1;

    for (int i = 0; i < place->ngids; i++) {
        const struct place_gid *gid = &place->gids[i];
        int score = memcmp(&gid->gid, near, sizeof *near) == 0 ? 2
                    : interface > 0 && gid->interface == interface;

        if (gid->family != family || score <= best)
            continue;
        best = score;
        chosen = gid;
    }
    return chosen;
}

static void offer_rail(struct verbs_offer_rail *rail, const struct place *place,
                       const struct verbs_gid *near, unsigned interface)
{
    memset(rail, 0, sizeof *rail);
    memcpy(rail->device, place->device, sizeof rail->device);
    rail->port = (uint32_t)place->port;
    rail->link = place->link;
    rail->mtu = place->mtu;
    rail->lid = place->lid;
    rail->rate = place->rate;
    for (int f = 0; f < VERBS_FAMILIES; f++) {
        const struct place_gid *gid = gid_choose(place, (enum verbs_family)f, near, interface);

        if (!gid)
            continue;
        rail->families |= 1u << f;
        rail->gids[f] = gid->gid;
    }
}

/* This side of the endpoint's socket; where no address is near, none is preferred. */
static unsigned near_find(const struct endpoint *e, struct verbs_gid *near)
{
    return socket_gid(e->socket, near) ? interface_of(near) : 0;
}

void verbs_offer_again(const struct rail *rail, struct verbs_offer_rail *ours)
{
    struct verbs_gid near;
    unsigned interface = near_find(rail->endpoint, &near);

    offer_rail(ours, &rail->adapter->place, &near, interface);
}

/* Several queue pairs over a port are rails like any others: its port is offered as
 * often, after all ports have been once. */
void verbs_offer_make(struct endpoint *e)
{
    struct port *port = e->port;
    struct verbs_offer *offer = &e->offer;
    struct verbs_gid near;
    unsigned interface = near_find(e, &near);

    offer->communicator = port->options.communicator;
    offer->eager = (uint32_t)port->eager;
    offer->ring = (uint32_t)port->ring;
    offer->frames = port->frames;
    offer->nrails = (uint32_t)(port->nadapters * verbs_option(VERBS_OPTION_QPS));
    if (offer->nrails > VERBS_RAILS)
        offer->nrails = VERBS_RAILS;
    for (uint32_t i = 0; i < offer->nrails; i++)
        offer_rail(&offer->rails[i], &port->adapters[i % (uint32_t)port->nadapters].place, &near,
                   interface);
}

/* The family that both have; -1: they cannot talk. */
static int rails_family(const struct verbs_offer_rail *a, const struct verbs_offer_rail *b)
{
    if (a->link != b->link)
        return -1;
    if (a->link == VERBS_INFINIBAND)
        return a->lid && b->lid ? VERBS_GID_V6 : -1;
    for (int f = 0; f < VERBS_FAMILIES; f++)
        if (a->families & b->families & 1u << f)
            return f;
    return -1;
}

bool verbs_rail_pair(struct rail *rail, const struct verbs_offer_rail *ours,
                     const struct verbs_offer_rail *theirs)
{
    const struct place *place = &rail->adapter->place;
    int family = rails_family(ours, theirs);

    if (family < 0)
        return false;
    rail->remote = *theirs;
    memset(&rail->gid, 0, sizeof rail->gid);
    rail->gid.family = (enum verbs_family)family;
    rail->gid.gid = ours->gids[family];
    for (int g = 0; g < place->ngids; g++)
        if (memcmp(&place->gids[g].gid, &rail->gid.gid, 16) == 0)
            rail->gid = place->gids[g];
    return true;
}

/* The GID that was asked for does not exist. */
static bool addressless(const struct verbs_offer_rail *rail)
{
    return rail->link == VERBS_ROCE && rail->families == 0;
}

/* Number i of one side talks to number i of the other where it can: so it stays on
 * one plane of a network that has several.  The side with fewer begins again.  Both
 * ends do the same with the same two offers. */
int verbs_rails_pair(struct endpoint *e)
{
    const struct verbs_offer *a = e->dialled ? &e->offer : &e->theirs;
    const struct verbs_offer *b = e->dialled ? &e->theirs : &e->offer;
    uint32_t count = a->nrails > b->nrails ? a->nrails : b->nrails;

    e->nrails = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < b->nrails; k++) {
            uint32_t first = i % a->nrails, second = (i + k) % b->nrails;
            uint32_t own = e->dialled ? first : second, other = e->dialled ? second : first;
            struct rail *rail = &e->rails[e->nrails];

            memset(rail, 0, sizeof *rail);
            rail->endpoint = e;
            rail->index = e->nrails;
            rail->adapter = &e->port->adapters[own % (uint32_t)e->port->nadapters];
            if (!verbs_rail_pair(rail, &e->offer.rails[own], &e->theirs.rails[other]))
                continue;
            e->nrails++;
            break;
        }
    if (e->nrails > 0)
        return PEAL_OK;
    return status_fail(PEAL_ERR_UNSUPPORTED, "verbs: no device here can talk to one of %s: %s "
                       "port %u and %s port %u %s", e->name, e->offer.rails[0].device,
                       e->offer.rails[0].port, e->theirs.rails[0].device,
                       e->theirs.rails[0].port,
                       addressless(&e->offer.rails[0]) || addressless(&e->theirs.rails[0]) ?
                       "have not both an address: PEAL_VERBS_GID_INDEX is of no entry there, or "
                       "of one of RoCE v1" :
                       "are of different kinds, or their addresses of different families; "
                       "PEAL_VERBS_DEVICES chooses");
}

void verbs_address_fill(const struct rail *rail, struct ibv_ah_attr *address)
{
    const struct place *place = &rail->adapter->place;
    const struct verbs_gid *gid = &rail->remote.gids[rail->gid.family];
    bool given = rail->remote.families >> rail->gid.family & 1 && place->ngids > 0;
    bool same_subnet = memcmp(gid->bytes, rail->gid.gid.bytes, 8) == 0;

    memset(address, 0, sizeof *address);
    address->port_num = (uint8_t)place->port;
    address->sl = (uint8_t)verbs_option(VERBS_OPTION_SERVICE_LEVEL);
    if (place->link == VERBS_INFINIBAND)
        address->dlid = (uint16_t)rail->remote.lid;
    if (!given || (place->link == VERBS_INFINIBAND && same_subnet))
        return;
    address->is_global = 1;
    memcpy(address->grh.dgid.raw, gid->bytes, 16);
    address->grh.sgid_index = (uint8_t)rail->gid.index;
    address->grh.hop_limit = 255;
    address->grh.traffic_class = (uint8_t)verbs_option(VERBS_OPTION_TRAFFIC_CLASS);
}
