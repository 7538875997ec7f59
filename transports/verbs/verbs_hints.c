/* SPDX-License-Identifier: BSD-3-Clause */
#include "transports/verbs/verbs_hints.h"

#include "base/short_file.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT = 256 };

static bool number_parse(const char *text, int most, int *number)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (!isdigit((unsigned char)*text) || *end || value > most)
        return false;
    *number = (int)value;
    return true;
}

/* The name goes into paths: only what can be one. */
static bool is_interface(const char *text)
{
    size_t length = strlen(text);

    return length > 0 && length < IF_NAMESIZE && text[0] != '.' && !strchr(text, '/');
}

static void interface_find(const char *root, const char *device, int port,
                           char interface[IF_NAMESIZE])
{
    enum { ENTRIES = 16 };
    char text[TEXT];

    for (int i = 0; i < ENTRIES; i++)
        if (short_file_line(text, sizeof text,
                            "%s/sys/class/infiniband/%s/ports/%d/gid_attrs/ndevs/%d", root, device,
                            port, i) && is_interface(text)) {
            memcpy(interface, text, strlen(text) + 1);
            return;
        }
}

static int ecn_bits(const char *root, const char *interface, const char *point)
{
    char text[TEXT];
    int bits = 0, on;

    for (int i = 0; i < VERBS_PRIORITIES; i++) {
        if (!short_file_line(text, sizeof text, "%s/sys/class/net/%s/ecn/%s/enable/%d", root,
                             interface, point, i) ||
            !number_parse(text, 1, &on))
            return -1;
        bits |= on << i;
    }
    return bits;
}

static int forced_class(const char *root, const char *device, int port)
{
    char text[TEXT];
    const char *at;
    int forced;

    if (!short_file_line(text, sizeof text, "%s/sys/class/infiniband/%s/tc/%d/traffic_class", root,
                         device, port) ||
        !(at = strstr(text, "tclass=")) || !number_parse(at + strlen("tclass="), 255, &forced))
        return -1;
    return forced;
}

static bool module_is(const char *root, const char *name)
{
    char path[512];

    snprintf(path, sizeof path, "%s/sys/module/%s", root, name);
    return access(path, F_OK) == 0;
}

void verbs_hints_read(const char *root, const char *device, int port,
                      struct verbs_hints *hints)
{
    char text[TEXT];

    memset(hints, 0, sizeof *hints);
    hints->pfc = hints->ecn_notify = hints->ecn_react = -1;
    interface_find(root, device, port, hints->interface);
    if (hints->interface[0]) {
        hints->ecn_notify = ecn_bits(root, hints->interface, "roce_np");
        hints->ecn_react = ecn_bits(root, hints->interface, "roce_rp");
    }
    hints->traffic_class = forced_class(root, device, port);
    hints->translated = short_file_line(text, sizeof text,
                                        "%s/sys/class/infiniband/%s/device/iommu_group/type", root,
                                        device) && strncmp(text, "DMA", 3) == 0;
    hints->gpu = module_is(root, "nvidia") || module_is(root, "amdgpu");
    hints->peer_memory = module_is(root, "nvidia_peermem") || module_is(root, "nv_peer_mem");
}

void verbs_hints_bits(int bits, char *text, size_t bytes)
{
    size_t used = 0;

    snprintf(text, bytes, "%s", bits < 0 ? "?" : "none");
    for (int i = 0; i < VERBS_PRIORITIES && bits > 0; i++)
        if (bits >> i & 1 && used + 3 <= bytes)
            used += (size_t)snprintf(text + used, bytes - used, "%s%d", used ? "," : "", i);
}

const char *verbs_hints_gpu(const struct verbs_hints *hints, bool dmabuf)
{
    if (!hints->gpu)
        return "no GPU";
    return dmabuf ? "dma-buf" : hints->peer_memory ? "peermem" : "no";
}

void verbs_hints_say(char *text, size_t bytes, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;

    if (used > 0 && used + 2 < bytes)
        used += (size_t)snprintf(text + used, bytes - used, "; ");
    va_start(args, format);
    vsnprintf(text + used, bytes - used, format, args);
    va_end(args);
}

/* Switches and adapters that trust the DSCP put 8 of them into each priority, unless
 * told otherwise; and the DSCP is the upper six bits of the traffic class. */
static void advise_class(const struct verbs_hints *hints, int traffic_class, char *text,
                         size_t bytes)
{
    int class = hints->traffic_class >= 0 ? hints->traffic_class : traffic_class;
    int priority = class >> 5, first = 0;
    char on[32];

    if (hints->pfc <= 0 || hints->pfc >> priority & 1)
        return;
    while (!(hints->pfc >> first & 1))
        first++;
    verbs_hints_bits(hints->pfc, on, sizeof on);
    verbs_hints_say(text, bytes, "PFC is on for priority %s of %s, but traffic class %d is usually of "
                    "priority %d: try PEAL_VERBS_TRAFFIC_CLASS=%d%s", on, hints->interface, class,
                    priority, (first << 5) + 10,
                    hints->traffic_class >= 0 ? ", and no class forced by the driver" : "");
}

void verbs_hints_advise(const struct verbs_hints *hints, bool roce, int traffic_class,
                        char *text, size_t bytes)
{
    bool notify = hints->ecn_notify != 0, react = hints->ecn_react != 0;

    text[0] = '\0';
    if (roce && hints->pfc == 0 && !(notify && react))
        verbs_hints_say(text, bytes, "neither PFC nor ECN is on for %s, so packets get lost under "
                        "load: turn on PFC (mlnx_qos --pfc, dcb pfc set), or ECN here "
                        "(/sys/class/net/%s/ecn) and in the switches", hints->interface,
                        hints->interface);
    else if (roce && hints->ecn_notify >= 0 && hints->ecn_react >= 0 &&
             (hints->ecn_notify != hints->ecn_react))
        verbs_hints_say(text, bytes, "ECN of %s is on for other priorities at the receiver (roce_np) "
                        "than at the sender (roce_rp)", hints->interface);
    if (roce)
        advise_class(hints, traffic_class, text, bytes);
    if (hints->translated)
        verbs_hints_say(text, bytes, "an IOMMU translates the device's addresses, which makes "
                        "registering slower: iommu=pt in the kernel's command line turns that off");
}
