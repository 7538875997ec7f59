/* SPDX-License-Identifier: BSD-3-Clause */
/* The devices, for people. */
#include "transports/verbs/verbs.h"

#include "base/report.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static void address_text(const struct place_gid *gid, char *text, size_t bytes)
{
    char address[INET6_ADDRSTRLEN] = "", name[IF_NAMESIZE] = "";

    if (gid->family == VERBS_GID_V4)
        inet_ntop(AF_INET, gid->gid.bytes + 12, address, sizeof address);
    else
        inet_ntop(AF_INET6, gid->gid.bytes, address, sizeof address);
    snprintf(text, bytes, "%d:%s%s%s", gid->index, address, gid->interface ? "%" : "",
             gid->interface && if_indextoname(gid->interface, name) ? name : "");
}

/* The one that is tried first, then the others. */
static void addresses(const struct place *place, char *text, size_t bytes)
{
    int wanted = place->link == VERBS_ROCE ? verbs_option(VERBS_OPTION_GID_INDEX) : -1;

    text[0] = '\0';
    for (int f = 0; f < VERBS_FAMILIES; f++)
        for (int i = 0; i < place->ngids; i++) {
            size_t used = strlen(text);

            if (place->gids[i].family != (enum verbs_family)f ||
                (wanted >= 0 && place->gids[i].index != wanted) || used + 2 >= bytes)
                continue;
            if (used > 0)
                strcpy(text + used++, " ");
            address_text(&place->gids[i], text + used, bytes - used);
        }
}

static const char *remark(const struct place *place, const char *gids)
{
    if (!verbs_option_device(place->device, place->port))
        return "left out by PEAL_VERBS_DEVICES or PEAL_VERBS_PORT";
    if (place->link == VERBS_ROCE && !*gids)
        return "no GID of index PEAL_VERBS_GID_INDEX of RoCE v2: it reaches nobody";
    if (place->link == VERBS_ROCE && place->mtu < IBV_MTU_4096)
        return "an interface MTU of 4200 or more would let packets be larger";
    return "";
}

void verbs_devices(struct report *r)
{
    static const char *const links[] = { "", "InfiniBand", "RoCE", "iWARP" };
    char reason[2 * VERBS_WHY];
    const struct survey *survey = verbs_survey_all(reason);

    for (int i = 0; i < survey->nplaces; i++) {
        const struct place *place = &survey->places[i];
        char gids[512];

        addresses(place, gids, sizeof gids);
        report_row(r);
        report_field(r, "device", 16, "%s:%d", place->device, place->port);
        report_field(r, "used", 4, "%s", verbs_option_device(place->device, place->port) ? "yes"
                                                                                         : "no");
        report_field(r, "link", 10, "%s", links[place->link]);
        report_field(r, "rate", 9, "%g Gb/s", place->rate / 1000.0);
        report_field(r, "mtu", 4, "%d", 128 << place->mtu);
        report_field(r, "gids", 0, "%s", gids);
        report_field(r, "remark", 0, "%s", remark(place, gids));
    }
    if (reason[0]) {
        report_row(r);
        report_field(r, "device", 16, "others");
        report_field(r, "used", 4, "no");
        report_field(r, "remark", 0, "%s", reason);
    }
}
