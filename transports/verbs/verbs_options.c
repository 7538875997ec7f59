/* SPDX-License-Identifier: BSD-3-Clause */
#include "transports/verbs/verbs.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES = VERBS_OPTIONS, FAMILY, NETWORK, EAGER, RING, SLICE, DIRECT, CHUNK, END };

const struct setting verbs_settings[] = {
    [VERBS_OPTION_PORT] = { "PEAL_VERBS_PORT", "0",
        "port of each device, 1 to 255; 0: all that are active", NULL },
    [VERBS_OPTION_GID_INDEX] = { "PEAL_VERBS_GID_INDEX", "-1",
        "entry of the port's GID table; -1: chosen, RoCE v2 before v1, the address that the "
        "connection uses before others, IPv4 before IPv6 before link-local",
        "NCCL_IB_GID_INDEX" },
    [VERBS_OPTION_TRAFFIC_CLASS] = { "PEAL_VERBS_TRAFFIC_CLASS", "0",
        "traffic class of the packets, 0 to 255 (RoCE v2: the DSCP times 4)", "NCCL_IB_TC" },
    [VERBS_OPTION_SERVICE_LEVEL] = { "PEAL_VERBS_SERVICE_LEVEL", "0",
        "InfiniBand service level, 0 to 15", "NCCL_IB_SL" },
    [VERBS_OPTION_PKEY] = { "PEAL_VERBS_PKEY", "0",
        "entry of the partition key table, 0 to 65535", "NCCL_IB_PKEY" },
    [VERBS_OPTION_TIMEOUT] = { "PEAL_VERBS_TIMEOUT", "18",
        "a packet is repeated after 4.096 us times 2 to this power, 1 to 31", "NCCL_IB_TIMEOUT" },
    [VERBS_OPTION_RETRY] = { "PEAL_VERBS_RETRY", "6",
        "repeats before a rail is given up, 0 to 7; Soft-RoCE takes 7 as for ever",
        "NCCL_IB_RETRY_CNT" },
    [VERBS_OPTION_MTU] = { "PEAL_VERBS_MTU", "0",
        "most bytes of a packet: 256, 512, 1024, 2048 or 4096; 0: what both ports have active",
        NULL },
    [VERBS_OPTION_INLINE] = { "PEAL_VERBS_INLINE", "220",
        "bytes, header of 64 included, that a work request carries itself, 0 to 1024; less "
        "where the device has less", NULL },
    [VERBS_OPTION_RAILS] = { "PEAL_VERBS_RAILS", "8",
        "most ports, of all devices, that are used together for each peer, 1 to 8", NULL },
    [VERBS_OPTION_RELAXED] = { "PEAL_VERBS_RELAXED", "1",
        "1 or 2: long messages may be written out of order over PCI; 0: not",
        "NCCL_IB_PCI_RELAXED_ORDERING" },
    [VERBS_OPTION_DISABLE] = { "PEAL_VERBS_DISABLE", "0",
        "1: no device is used, nor looked for", "NCCL_IB_DISABLE" },
    [VERBS_OPTION_QPS] = { "PEAL_VERBS_QPS", "1",
        "queue pairs of each port for each peer, 1 to 128, and at most 8 over all ports: more may "
        "take more ways through the network; the greater of both ends counts",
        "NCCL_IB_QPS_PER_CONNECTION" },
    [VERBS_OPTION_ROCE] = { "PEAL_VERBS_ROCE", "0",
        "version of RoCE, 1 or 2; 0: 2, and 1 on ports without an address of 2",
        "NCCL_IB_ROCE_VERSION_NUM" },
    [VERBS_OPTION_ODP] = { "PEAL_VERBS_ODP", "0",
        "1: memory that is not from peal_mem_alloc is paged on demand by devices that can, and "
        "not pinned for each message", NULL },
    [DEVICES] = { "PEAL_VERBS_DEVICES", NULL,
        "devices that may be used, e.g. \"mlx5_0,mlx5_1:1\" (prefixes, or with \"=\" in front "
        "exact names; with \"^\" in front all but these); unset: all", "NCCL_IB_HCA" },
    [FAMILY] = { "PEAL_VERBS_FAMILY", NULL,
        "addresses of RoCE that may be used: AF_INET (IPv4) or AF_INET6; unset: both",
        "NCCL_IB_ADDR_FAMILY" },
    [NETWORK] = { "PEAL_VERBS_NETWORK", NULL,
        "addresses of RoCE that may be used, as a network: 10.1.0.0/16, fd00::/8; unset: all",
        "NCCL_IB_ADDR_RANGE" },
    [EAGER] = { "PEAL_VERBS_EAGER", "16K",
        "bytes, 0 to 64K: longer messages wait for their receive", NULL },
    [RING] = { "PEAL_VERBS_RING", "256K",
        "bytes of the landing ring of each peer, 16K to 2M, rounded down to a power of two; less "
        "in communicators of more than 128 ranks; twice that is registered", NULL },
    [SLICE] = { "PEAL_VERBS_SLICE", "1M",
        "least bytes of the slices of a long message that are dealt out to the rails, 4K to 1G",
        NULL },
    [DIRECT] = { "PEAL_VERBS_DIRECT", NULL,
        "bytes from which memory that is not from peal_mem_alloc is registered for one "
        "message; shorter ones are copied through the ring; unset: measured", NULL },
    [CHUNK] = { "PEAL_VERBS_CHUNK", "256K",
        "bytes of a piece of a long message that is computed with on arrival, 4K to 4M", NULL },
    [END] = { NULL, NULL, NULL, NULL }
};

int verbs_option(enum verbs_number which)
{
    static const struct { int low, high; } limits[] = {
        [VERBS_OPTION_PORT] = { 0, 255 }, [VERBS_OPTION_GID_INDEX] = { -1, 65535 },
        [VERBS_OPTION_TRAFFIC_CLASS] = { 0, 255 }, [VERBS_OPTION_SERVICE_LEVEL] = { 0, 15 },
        [VERBS_OPTION_PKEY] = { 0, 65535 }, [VERBS_OPTION_TIMEOUT] = { 1, 31 },
        [VERBS_OPTION_RETRY] = { 0, 7 }, [VERBS_OPTION_MTU] = { 0, 4096 },
        [VERBS_OPTION_INLINE] = { 0, 1024 }, [VERBS_OPTION_RAILS] = { 1, VERBS_RAILS },
        [VERBS_OPTION_RELAXED] = { 0, 2 }, [VERBS_OPTION_DISABLE] = { 0, 1 },
        [VERBS_OPTION_QPS] = { 1, 128 }, [VERBS_OPTION_ROCE] = { 0, 2 },
        [VERBS_OPTION_ODP] = { 0, 1 }
    };

    return (int)setting_number(&verbs_settings[which], limits[which].low, limits[which].high);
}

/* "mlx5_0", "mlx5_0:1", or the beginning of a name unless `exact`. */
static bool item_matches(const char *item, size_t length, bool exact, const char *device,
                         int port)
{
    const char *colon = memchr(item, ':', length);
    size_t name = colon ? (size_t)(colon - item) : length;

    if (colon && atoi(colon + 1) != port)
        return false;
    return strncmp(item, device, name) == 0 && (!exact || strlen(device) == name);
}

bool verbs_option_device(const char *device, int port)
{
    const char *list = setting_text(&verbs_settings[DEVICES], NULL);
    bool exclude = false, exact = false, listed = false;
    int only = verbs_option(VERBS_OPTION_PORT);

    if (only > 0 && port != only)
        return false;
    if (!list || !*list)
        return true;
    for (; *list == '^' || *list == '='; list++)
        *(*list == '^' ? &exclude : &exact) = true;
    while (*list) {
        size_t length = strcspn(list, ",");

        listed |= length > 0 && item_matches(list, length, exact, device, port);
        list += length + (list[length] == ',');
    }
    return listed != exclude;
}

const char *verbs_option_disabled(void)
{
    const char *origin;

    if (verbs_option(VERBS_OPTION_DISABLE) == 0)
        return NULL;
    setting_text(&verbs_settings[VERBS_OPTION_DISABLE], &origin);
    return origin == verbs_settings[VERBS_OPTION_DISABLE].alias
           ? origin : verbs_settings[VERBS_OPTION_DISABLE].name;
}

size_t verbs_option_direct(void)
{
    return setting_text(&verbs_settings[DIRECT], NULL)
           ? setting_size(&verbs_settings[DIRECT], 0, (size_t)1 << 62) : VERBS_UNMEASURED;
}

/* ---- Addresses of RoCE -------------------------------------------------------- */

static void wrong_once(const struct setting *setting, const char *text, const char *wanted)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;

    if (!atomic_flag_test_and_set(&said))
        log_warn("setting %s=\"%s\" is not %s; all addresses are used", setting->name, text,
                 wanted);
}

bool verbs_network_parse(const char *text, struct verbs_network *network)
{
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    char address[INET6_ADDRSTRLEN], *end;
    long most = 128, bits;

    memset(network, 0, sizeof *network);
    if (length >= sizeof address)
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    if (inet_pton(AF_INET, address, network->gid.bytes + 12) == 1) {
        network->gid.bytes[10] = network->gid.bytes[11] = 0xff;
        most = 32;
    } else if (inet_pton(AF_INET6, address, network->gid.bytes) != 1) {
        return false;
    }
    bits = slash ? strtol(slash + 1, &end, 10) : most;
    if (slash && (slash[1] < '0' || slash[1] > '9' || *end || bits > most))
        return false;
    network->bits = (unsigned)(128 - most + bits);
    return true;
}

bool verbs_network_has(const struct verbs_network *network, const struct verbs_gid *gid)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;

    return memcmp(gid->bytes, network->gid.bytes, whole) == 0 &&
           (rest == 0 || (gid->bytes[whole] ^ network->gid.bytes[whole]) >> (8 - rest) == 0);
}

static bool family_allowed(enum verbs_family family)
{
    const char *text = setting_text(&verbs_settings[FAMILY], NULL);

    if (!text)
        return true;
    if (strcmp(text, "AF_INET") == 0)
        return family == VERBS_GID_V4;
    if (strcmp(text, "AF_INET6") == 0)
        return family != VERBS_GID_V4;
    wrong_once(&verbs_settings[FAMILY], text, "AF_INET or AF_INET6");
    return true;
}

static bool network_allowed(const struct verbs_gid *gid)
{
    const char *text = setting_text(&verbs_settings[NETWORK], NULL);
    struct verbs_network network;

    if (!text)
        return true;
    if (verbs_network_parse(text, &network))
        return verbs_network_has(&network, gid);
    wrong_once(&verbs_settings[NETWORK], text, "a network such as 10.1.0.0/16");
    return true;
}

bool verbs_option_gid(const struct place *place, const struct place_gid *gid)
{
    int index = verbs_option(VERBS_OPTION_GID_INDEX), version = verbs_option(VERBS_OPTION_ROCE);

    if (place->link == VERBS_INFINIBAND)
        return true;
    if (place->link == VERBS_ROCE && index >= 0)
        return gid->index == index;
    if (version == 0)                  /* those of version 2 come first in the table */
        version = place->gids[0].version;
    return (gid->version == version || place->link != VERBS_ROCE) &&
           family_allowed(gid->family) && network_allowed(&gid->gid);
}

/* Memory for all peers together stays about what it is for 128. */
void verbs_option_port(struct port *port)
{
    size_t ring = setting_size(&verbs_settings[RING], VERBS_RING_LOW, VERBS_RING_HIGH), even;

    if (port->options.nranks > 128)
        ring = ring * 128 / (size_t)port->options.nranks;
    for (port->ring = VERBS_RING_LOW; port->ring * 2 <= ring; port->ring *= 2)
        continue;
    even = port->ring / 1024;
    port->frames = (uint32_t)(even < 16 ? 16 : even > VERBS_FRAMES ? VERBS_FRAMES : even);
    port->relaxed = verbs_option(VERBS_OPTION_RELAXED) > 0;
    port->eager = setting_size(&verbs_settings[EAGER], 0, TRANSPORT_EAGER);
    port->slice = setting_size(&verbs_settings[SLICE], 4 << 10, 1 << 30) & ~(size_t)4095;
    port->direct = verbs_option_direct();
    port->chunk = setting_size(&verbs_settings[CHUNK], 4 << 10, 4 << 20) & ~(size_t)4095;
}
