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
    int wanted = verbs_option(VERBS_OPTION_GID_INDEX), best = -1;
    const struct place_gid *chosen = NULL;

    for (int i = 0; i < place->ngids; i++) {
        const struct place_gid *gid = &place->gids[i];
        int score = memcmp(&gid->gid, near, sizeof *near) == 0 ? 2
                    : interface > 0 && gid->interface == interface;

        if (gid->family != family || (wanted >= 0 && gid->index != wanted &&
                                      place->link == VERBS_ROCE) || score <= best)
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

void verbs_offer_make(struct endpoint *e)
{
    struct port *port = e->port;
    struct verbs_offer *offer = &e->offer;
    struct verbs_gid near;
    unsigned interface = socket_gid(e->socket, &near) ? interface_of(&near) : 0;

    offer->communicator = port->options.communicator;
    offer->eager = (uint32_t)port->eager;
    offer->ring = (uint32_t)port->ring;
    offer->frames = port->frames;
    offer->nrails = (uint32_t)port->nadapters;
    for (int i = 0; i < port->nadapters; i++)
        offer_rail(&offer->rails[i], &port->adapters[i].place, &near, interface);
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
            int family = rails_family(&a->rails[first], &b->rails[second]);
            struct rail *rail = &e->rails[e->nrails];

            if (family < 0)
                continue;
            memset(rail, 0, sizeof *rail);
            rail->endpoint = e;
            rail->index = e->nrails++;
            rail->adapter = &e->port->adapters[own];
            rail->remote = e->theirs.rails[other];
            rail->gid.family = (enum verbs_family)family;
            rail->gid.gid = e->offer.rails[own].gids[family];
            for (int g = 0; g < rail->adapter->place.ngids; g++)
                if (memcmp(&rail->adapter->place.gids[g].gid, &rail->gid.gid, 16) == 0)
                    rail->gid = rail->adapter->place.gids[g];
            break;
        }
    if (e->nrails > 0)
        return PEAL_OK;
    return status_fail(PEAL_ERR_UNSUPPORTED, "verbs: no device here can talk to one of %s: %s "
                       "port %u and %s port %u are of different kinds, or their addresses of "
                       "different families; PEAL_VERBS_DEVICES chooses", e->name,
                       e->offer.rails[0].device, e->offer.rails[0].port,
                       e->theirs.rails[0].device, e->theirs.rails[0].port);
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
