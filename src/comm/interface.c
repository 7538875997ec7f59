/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/interface.h"

#include "base/log.h"
#include "base/status.h"
#include "comm/job.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

const char *interface_wanted(void)
{
    return setting_text(&job_settings[JOB_INTERFACE], NULL);
}

bool interface_is_wildcard(const char *wanted)
{
    return strcmp(wanted, "0.0.0.0") == 0 || strcmp(wanted, "::") == 0;
}

int interface_family(void)
{
    const char *text = setting_text(&job_settings[JOB_FAMILY], NULL);

    if (!text || strcmp(text, "auto") == 0)
        return AF_UNSPEC;
    if (strcmp(text, "4") == 0 || strcmp(text, "AF_INET") == 0)
        return AF_INET;
    if (strcmp(text, "6") == 0 || strcmp(text, "AF_INET6") == 0)
        return AF_INET6;
    log_warn("setting PEAL_FAMILY=\"%s\" is not 4, 6 or auto; using the default auto", text);
    return AF_UNSPEC;
}

bool interface_fits(const char *wanted, const char *name)
{
    bool whole = *wanted == '=', except = *wanted == '^', listed = false;

    wanted += whole || except;
    while (*wanted) {
        size_t bytes = strcspn(wanted, ",");

        if (bytes > 0 && strncmp(wanted, name, bytes) == 0 && (!whole || !name[bytes]))
            listed = true;
        wanted += bytes;
        wanted += *wanted == ',';
    }
    return listed != except;
}

static bool usable(const struct ifaddrs *a, int family)
{
    int have = a->ifa_addr ? a->ifa_addr->sa_family : AF_UNSPEC;

    return (a->ifa_flags & IFF_UP) && (have == AF_INET || have == AF_INET6) &&
           (family == AF_UNSPEC || family == have);
}

/* v4 before v6, global before link-local; loopback only if named. */
static int merit(const struct ifaddrs *a, bool loopback_too)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a->ifa_addr;

    if ((a->ifa_flags & IFF_LOOPBACK) && !loopback_too)
        return 0;
    if (a->ifa_addr->sa_family == AF_INET)
        return 3;
    return IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) ? 1 : 2;
}

static void place_of(const struct ifaddrs *a, struct place *place)
{
    memset(place, 0, sizeof(*place));
    place->bytes = a->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                     : sizeof(struct sockaddr_in6);
    memcpy(&place->address, a->ifa_addr, place->bytes);
    place_set_port(place, 0);
}

static void list_names(const struct ifaddrs *all, char *text, size_t bytes)
{
    size_t used = 0;

    text[0] = 0;
    for (const struct ifaddrs *a = all; a && used + 1 < bytes; a = a->ifa_next)
        if (usable(a, AF_UNSPEC) && !strstr(text, a->ifa_name)) {
            int more = snprintf(text + used, bytes - used, " %s", a->ifa_name);

            used += more > 0 ? (size_t)more : 0;
        }
}

/* "10.0.0.1" or "fe80::1" is taken as it is. */
static bool literal_address(const char *wanted, struct place *place)
{
    unsigned char address[16];

    if (inet_pton(AF_INET, wanted, address) == 1)
        place_make(4, address, 0, place);
    else if (inet_pton(AF_INET6, wanted, address) == 1)
        place_make(6, address, 0, place);
    else
        return false;
    return true;
}

int interface_find(const char *wanted, int family, struct place *place)
{
    struct ifaddrs *all = NULL, *best = NULL;
    char names[256];
    int most = 0;

    if (literal_address(wanted, place))
        return PEAL_OK;
    if (getifaddrs(&all) < 0)
        return status_fail(PEAL_ERR_SYSTEM, "cannot list the network interfaces: %m");
    for (struct ifaddrs *a = all; a; a = a->ifa_next) {
        int now;

        if (!usable(a, family) || !interface_fits(wanted, a->ifa_name))
            continue;
        now = merit(a, *wanted != '^');
        if (now > most) {
            most = now;
            best = a;
        }
    }
    if (best)
        place_of(best, place);
    else
        list_names(all, names, sizeof(names));
    freeifaddrs(all);
    if (!best)
        return status_fail(PEAL_ERR_LAUNCH, "PEAL_INTERFACE=\"%s\" fits no interface that is up "
                           "and has an address%s; there are:%s", wanted,
                           family == AF_INET ? " of IPv4" : family == AF_INET6 ? " of IPv6" : "",
                           names);
    return PEAL_OK;
}

bool interface_any(int family, struct place *place)
{
    struct ifaddrs *all = NULL, *best = NULL;
    int most = 0;

    if (getifaddrs(&all) < 0)
        return false;
    for (struct ifaddrs *a = all; a; a = a->ifa_next) {
        int now = !usable(a, family) ? 0
                  : a->ifa_flags & IFF_LOOPBACK ? 1 : 1 + merit(a, false);

        if (now > most) {
            most = now;
            best = a;
        }
    }
    if (best)
        place_of(best, place);
    freeifaddrs(all);
    return best != NULL;
}
