/* SPDX-License-Identifier: BSD-3-Clause */
/* Which devices there are, what they can do, and whether two ranks have one in
 * common.  What was found is kept for the process; the settings are applied to it
 * each time. */
#include "transports/verbs/verbs.h"

#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bits of the word that a rank publishes.  Two ranks can talk over a fabric that
 * both have; the upper half is the rate of all rails in Gbit/s. */
enum {
    FABRIC_ROCE_V4    = 1 << 0,
    FABRIC_ROCE_V6    = 1 << 1,
    FABRIC_ROCE_LOCAL = 1 << 2,
    FABRIC_IWARP_V4   = 1 << 3,    /* and so on, as of RoCE */
    FABRIC_SUBNETS    = 8,         /* the first of the bits of InfiniBand subnets */
    SUBNETS           = 24
};

enum { MOST_READS = 16, GIDS = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct survey found;
static bool surveyed;

__attribute__((format(printf, 2, 3)))
static void leave_out(struct survey *s, const char *format, ...)
{
    size_t used = strlen(s->reason);
    va_list args;

    if (used > 0 && used < sizeof s->reason)
        used += (size_t)snprintf(s->reason + used, sizeof s->reason - used, "; ");
    if (used >= sizeof s->reason)
        return;
    va_start(args, format);
    vsnprintf(s->reason + used, sizeof s->reason - used, format, args);
    va_end(args);
}

/* 1 lane of 2.5 Gbit/s is where both scales begin. */
static uint32_t rate_of(const struct ibv_port_attr *port)
{
    static const struct { int speed; uint32_t mbit; } speeds[] = {
        { 1, 2500 }, { 2, 5000 }, { 4, 10000 }, { 8, 10000 }, { 16, 14000 }, { 32, 25000 },
        { 64, 50000 }, { 128, 100000 }
    };
    static const struct { int width; uint32_t lanes; } widths[] = {
        { 1, 1 }, { 2, 4 }, { 4, 8 }, { 8, 12 }, { 16, 2 }
    };
    uint32_t mbit = 2500, lanes = 1;

    for (size_t i = 0; i < sizeof speeds / sizeof speeds[0]; i++)
        if (speeds[i].speed == port->active_speed)
            mbit = speeds[i].mbit;
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        if (widths[i].width == port->active_width)
            lanes = widths[i].lanes;
    return mbit * lanes;
}

static enum verbs_family family_of(const unsigned char gid[16])
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

    if (memcmp(gid, mapped, sizeof mapped) == 0)
        return VERBS_GID_V4;
    return gid[0] == 0xfe && (gid[1] & 0xc0) == 0x80 ? VERBS_GID_LOCAL : VERBS_GID_V6;
}

static void gid_add(struct place *place, const struct ibv_gid_entry *entry)
{
    struct place_gid *gid = &place->gids[place->ngids];

    if (place->ngids == VERBS_GIDS)
        return;
    memcpy(gid->gid.bytes, entry->gid.raw, 16);
    gid->index = (int)entry->gid_index;
    gid->version = entry->gid_type == IBV_GID_TYPE_ROCE_V2 ? 2 : 1;
    gid->interface = entry->ndev_ifindex;
    gid->family = place->link == VERBS_INFINIBAND ? VERBS_GID_V6 : family_of(entry->gid.raw);
    place->ngids++;
}

/* InfiniBand: the first.  Ethernet: those of RoCE v2, then those of v1. */
static void gids_find(struct place *place, const struct ibv_gid_entry *entries, ssize_t count)
{
    const enum ibv_gid_type wanted[] = { IBV_GID_TYPE_ROCE_V2, IBV_GID_TYPE_ROCE_V1 };

    for (int t = 0; t < 2; t++)
        for (ssize_t i = 0; i < count; i++) {
            if ((int)entries[i].port_num != place->port)
                continue;
            if (place->link == VERBS_INFINIBAND ? t == 0 && entries[i].gid_index == 0
                                                : entries[i].gid_type == wanted[t])
                gid_add(place, &entries[i]);
        }
}

/* What the kind of the device decides. */
static void abilities_find(struct place *place, const struct ibv_context *context,
                           const struct ibv_device_attr *device, int layer)
{
    bool iwarp = context->device->transport_type == IBV_TRANSPORT_IWARP;
    int reads = device->max_qp_rd_atom < device->max_qp_init_rd_atom ? device->max_qp_rd_atom
                                                                     : device->max_qp_init_rd_atom;

    place->link = iwarp ? VERBS_IWARP : layer == IBV_LINK_LAYER_ETHERNET ? VERBS_ROCE
                                                                         : VERBS_INFINIBAND;
    place->immediate = !iwarp;
    place->acknowledged = !iwarp;
    place->by_cm = iwarp;
    place->most_reads = (uint8_t)(reads < MOST_READS ? reads : MOST_READS);
}

/* False, and the reason is noted: it has none. */
static bool addresses_find(struct survey *s, struct place *place,
                           const struct ibv_gid_entry *gids, ssize_t ngids)
{
    if (place->by_cm) {
        if (verbs_cm_addresses(place) == PEAL_OK)
            return true;
        leave_out(s, "%s", status_text());
        return false;
    }
    gids_find(place, gids, ngids);
    if (place->ngids > 0 || place->link != VERBS_ROCE)
        return true;
    leave_out(s, "%s port %d has no GID: has its network interface an address?", place->device,
              place->port);
    return false;
}

static void place_read(struct place *place, const struct ibv_port_attr *attr)
{
    place->mtu = attr->active_mtu;
    place->lid = attr->lid;
    place->rate = rate_of(attr);
}

static void place_find(struct survey *s, struct ibv_context *context, const char *name,
                       const struct ibv_device_attr *device, int port,
                       const struct ibv_gid_entry *gids, ssize_t ngids)
{
    struct place *place = &s->places[s->nplaces];
    struct ibv_port_attr attr;

    memset(&attr, 0, sizeof attr);
    if (s->nplaces == VERBS_PLACES)
        return;
    if (ibv_query_port(context, (uint8_t)port, &attr) != 0) {
        leave_out(s, "%s port %d cannot be asked: %s", name, port, strerror(errno));
        return;
    }
    if (attr.state != IBV_PORT_ACTIVE) {
        leave_out(s, "%s port %d is %s: is the cable in, and the interface up?", name, port,
                  ibv_port_state_str(attr.state));
        return;
    }
    memset(place, 0, sizeof *place);
    snprintf(place->device, sizeof place->device, "%s", name);
    place->port = port;
    abilities_find(place, context, device, attr.link_layer);
    place_read(place, &attr);
    place->most = attr.max_msg_sz > 0 && attr.max_msg_sz < 1u << 30 ? attr.max_msg_sz : 1u << 30;
    place->most_work = device->max_qp_wr;
    place->most_completions = device->max_cqe;
    s->nplaces += addresses_find(s, place, gids, ngids);
}

/* The table of a device's GIDs; the caller frees it. */
static struct ibv_gid_entry *gids_read(struct ibv_context *context, ssize_t *count)
{
    struct ibv_gid_entry *gids = calloc(GIDS, sizeof *gids);

    *count = gids ? ibv_query_gid_table(context, gids, GIDS, 0) : 0;
    return gids;
}

bool verbs_place_again(struct ibv_context *context, struct place *place)
{
    struct ibv_port_attr attr;
    struct ibv_gid_entry *gids;
    ssize_t count;

    if (ibv_query_port(context, (uint8_t)place->port, &attr) != 0 ||
        attr.state != IBV_PORT_ACTIVE)
        return false;
    place_read(place, &attr);
    gids = gids_read(context, &count);
    place->ngids = 0;
    gids_find(place, gids, count);
    free(gids);
    return place->ngids > 0 || place->link == VERBS_INFINIBAND;
}

static void device_find(struct survey *s, struct ibv_device *device)
{
    struct ibv_gid_entry *gids;
    const char *name = ibv_get_device_name(device);
    struct ibv_context *context;
    struct ibv_device_attr attr;
    ssize_t ngids;

    errno = 0;
    context = ibv_open_device(device);
    if (!context) {
        leave_out(s, "%s cannot be opened: %s%s", name, strerror(errno),
                  *verbs_shortage(errno) ? verbs_shortage(errno)
                                         : "; may this user open /dev/infiniband/uverbs*?");
        return;
    }
    memset(&attr, 0, sizeof attr);
    gids = gids_read(context, &ngids);
    if (ibv_query_device(context, &attr) != 0)
        leave_out(s, "%s cannot be asked: %s", name, strerror(errno));
    else
        for (int port = 1; port <= attr.phys_port_cnt; port++)
            place_find(s, context, name, &attr, port, gids, ngids);
    free(gids);
    ibv_close_device(context);
}

/* Pages of registered memory must not be copied under the device when a user
 * forks; kernels from 5.12 see to that themselves, and this then does nothing. */
static void fork_prepare(void)
{
    int error = ibv_fork_init();

    if (error)
        log_debug("verbs: ibv_fork_init: %s; memory was registered before, so a child that "
                  "is forked and does not exec may disturb transfers", strerror(error));
}

static void survey_make(struct survey *s)
{
    int count = 0;
    struct ibv_device **devices;
    const char *wrong = verbs_library_load();

    memset(s, 0, sizeof *s);
    if (wrong) {
        leave_out(s, "%s", wrong);
        return;
    }
    fork_prepare();
    devices = ibv_get_device_list(&count);
    if (!devices || count == 0)
        leave_out(s, "no device: the kernel has one, but its module ib_uverbs or the library of "
                  "the device's provider (ibverbs-providers, rdma-core) is missing");
    for (int i = 0; devices && i < count; i++)
        device_find(s, devices[i]);
    if (devices)
        ibv_free_device_list(devices);
}

/* With the lock held.  As long as nothing was found it may get better. */
static void survey_once(void)
{
    if (surveyed)
        return;
    survey_make(&found);
    surveyed = found.nplaces > 0;
}

const struct survey *verbs_survey_all(char reason[2 * VERBS_WHY])
{
    pthread_mutex_lock(&lock);
    survey_once();
    memcpy(reason, found.reason, sizeof found.reason);
    pthread_mutex_unlock(&lock);
    return &found;
}

/* Do the settings leave a way to it? */
static bool place_addressed(const struct place *place)
{
    bool addressed = place->link == VERBS_INFINIBAND;

    for (int i = 0; i < place->ngids && !addressed; i++)
        addressed = verbs_option_gid(place, &place->gids[i]);
    return addressed;
}

const struct survey *verbs_survey(void)
{
    const char *disabled = verbs_option_disabled();
    const struct place *mute = NULL;
    int chosen = 0;

    if (disabled) {
        status_fail(PEAL_ERR_UNSUPPORTED, "verbs: left out by %s", disabled);
        return NULL;
    }
    pthread_mutex_lock(&lock);
    survey_once();
    for (int i = 0; i < found.nplaces; i++) {
        const struct place *place = &found.places[i];

        if (!verbs_option_device(place->device, place->port))
            continue;
        if (place_addressed(place))
            chosen++;
        else
            mute = place;
    }
    if (chosen == 0 && mute)
        status_fail(PEAL_ERR_UNSUPPORTED, "verbs: %s port %d: PEAL_VERBS_GID_INDEX, _ROCE, _FAMILY "
                    "or _NETWORK leave no address: peal-info --devices shows those that there "
                    "are without these", mute->device, mute->port);
    else if (chosen == 0)
        status_fail(PEAL_ERR_UNSUPPORTED, "verbs: %s%s%s", found.nplaces > 0 ?
                    "PEAL_VERBS_DEVICES and PEAL_VERBS_PORT leave no device" : "",
                    found.nplaces > 0 && *found.reason ? "; " : "", found.reason);
    pthread_mutex_unlock(&lock);
    return chosen > 0 ? &found : NULL;         /* which does not change any more */
}

static unsigned subnet_bit(const struct place *place)
{
    uint64_t prefix = 0xfe80;

    /* The default prefix, which most have, shares its bit with no other. */
    if (place->ngids > 0)
        memcpy(&prefix, place->gids[0].gid.bytes, 8);
    if (place->ngids == 0 || (place->gids[0].gid.bytes[0] == 0xfe &&
                              place->gids[0].gid.bytes[1] == 0x80))
        return FABRIC_SUBNETS;
    return FABRIC_SUBNETS + 1 + (unsigned)(prefix * 0x9e3779b97f4a7c15u >> 32) % (SUBNETS - 1);
}

/* Why verbs_fabric() found nothing, for verbs_reach(), which is asked once per peer. */
static char refused[2 * VERBS_WHY];

static void refuse(const char *why)
{
    pthread_mutex_lock(&lock);
    snprintf(refused, sizeof refused, "%s", why);
    pthread_mutex_unlock(&lock);
}

static int refusal(void)
{
    int status;

    pthread_mutex_lock(&lock);
    status = status_fail(PEAL_ERR_UNSUPPORTED, "%s", refused[0] ? refused : "verbs: not asked for");
    pthread_mutex_unlock(&lock);
    return status;
}

uint32_t verbs_place_networks(const struct place *place)
{
    uint32_t bits = 0;

    if (place->link == VERBS_INFINIBAND)
        return (uint32_t)1 << subnet_bit(place);
    for (int k = 0; k < place->ngids; k++)
        if (verbs_option_gid(place, &place->gids[k]))
            bits |= (uint32_t)(place->link == VERBS_IWARP ? FABRIC_IWARP_V4 : FABRIC_ROCE_V4)
                    << place->gids[k].family;
    return bits;
}

/* What verbs_fabric() tells: 32 bits of networks, 24 of Gb/s, 8 of devices. */
enum { WORD_GIGABITS = 0xffffff, WORD_DEVICES = 0xff };

static uint64_t word_gigabits(uint64_t word)
{
    return word >> 32 & WORD_GIGABITS;
}

static uint64_t word_devices(uint64_t word)
{
    return word >> 56;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t verbs_fabric(bool named)
{
    const struct survey *survey = verbs_survey();
    uint64_t word = 0, gigabits = 0, devices = 0;

    (void)named;
    refuse(survey ? "verbs: the devices have no address" : status_text());
    for (int i = 0; survey && i < survey->nplaces; i++) {
        const struct place *place = &survey->places[i];

        if (!verbs_option_device(place->device, place->port))
            continue;
        gigabits += (place->rate + 999) / 1000;
        devices++;
        word |= verbs_place_networks(place);
    }
    return word == 0 ? 0 : word | lower(gigabits, WORD_GIGABITS) << 32 |
                           lower(devices, WORD_DEVICES) << 56;
}

int verbs_reach(const struct where *self, const struct where *peer, struct reach *how)
{
    uint64_t ours = where_fabric(self, "verbs"), theirs = where_fabric(peer, "verbs");
    double rate = (double)lower(word_gigabits(ours), word_gigabits(theirs));

    if (ours == 0)
        return refusal();
    if (theirs == 0)
        return status_fail(PEAL_ERR_UNSUPPORTED, "verbs: %s has no usable device; peal-info "
                           "--transports there says why", peer->hostname);
    if ((uint32_t)(ours & theirs) == 0)
        return status_fail(PEAL_ERR_UNSUPPORTED, "verbs: %s and %s have no network in common: "
                           "different kinds of device, InfiniBand subnets or families of addresses",
                           self->hostname, peer->hostname);
    how->latency = 2e-6;
    how->overhead = 0.4e-6;
    how->bandwidth = (rate > 0 ? rate : 1) * 0.9e9 / 8;
    how->devices = (int)lower(word_devices(ours), word_devices(theirs));
    how->slice = 256 << 10;
    return PEAL_OK;
}
