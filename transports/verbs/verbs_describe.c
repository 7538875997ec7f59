/* SPDX-License-Identifier: BSD-3-Clause */
/* The devices, for people. */
#include "transports/verbs/verbs.h"

#include "base/report.h"
#include "transports/verbs/verbs_hints.h"

#include <arpa/inet.h>
#include <errno.h>
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
    text[0] = '\0';
    for (int f = 0; f < VERBS_FAMILIES; f++)
        for (int i = 0; i < place->ngids; i++) {
            size_t used = strlen(text);

            if (place->gids[i].family != (enum verbs_family)f || used + 2 >= bytes ||
                !verbs_option_gid(place, &place->gids[i]))
                continue;
            if (used > 0)
                strcpy(text + used++, " ");
            address_text(&place->gids[i], text + used, bytes - used);
        }
}

static void remark(const struct place *place, const struct verbs_hints *hints,
                   const char *gids, char *text, size_t bytes)
{
    bool roce = place->link == VERBS_ROCE;

    verbs_hints_advise(hints, roce, verbs_option(VERBS_OPTION_TRAFFIC_CLASS), text, bytes);
    if (verbs_option_disabled())
        snprintf(text, bytes, "left out by %s", verbs_option_disabled());
    else if (!verbs_option_device(place->device, place->port))
        snprintf(text, bytes, "left out by PEAL_VERBS_DEVICES or PEAL_VERBS_PORT");
    else if (roce && !*gids)
        snprintf(text, bytes, "PEAL_VERBS_GID_INDEX, _ROCE, _FAMILY or _NETWORK leave no address: it "
                 "reaches nobody");
    else if (roce && place->mtu < IBV_MTU_4096)
        verbs_hints_say(text, bytes, "an interface MTU of 4200 or more would let packets be larger");
}

/* What only an open device says. */
struct abilities {
    bool   paging, implicit, dmabuf;
    size_t direct;                 /* bytes; 0: unknown */
};

static void abilities_find(const struct place *place, struct abilities *can)
{
    struct ibv_context *context = verbs_context_open(place->device);
    struct ibv_pd *pd = context ? ibv_alloc_pd(context) : NULL;

    memset(can, 0, sizeof *can);
    if (context)
        can->paging = verbs_paging_offered(context, &can->implicit);
    if (pd) {
        can->direct = verbs_option_direct();
        if (can->direct == VERBS_UNMEASURED)
            can->direct = verbs_direct_measure(pd);
        /* Without a descriptor it fails in any case; who can, complains of that. */
        can->dmabuf = verbs_library.reg_dmabuf_mr &&
                      !verbs_library.reg_dmabuf_mr(pd, 0, 4096, 0, -1, 0) && errno == EBADF;
        ibv_dealloc_pd(pd);
    }
    if (context)
        ibv_close_device(context);
}

static void place_report(struct report *r, const struct place *place)
{
    static const char *const links[] = { "", "InfiniBand", "RoCE", "iWARP" };
    bool used = !verbs_option_disabled() && verbs_option_device(place->device, place->port);
    char gids[512], text[1024], bits[32];
    struct verbs_hints hints;
    struct abilities can;

    addresses(place, gids, sizeof gids);
    verbs_hints_read("", place->device, place->port, &hints);
    if (hints.interface[0] && place->link == VERBS_ROCE)
        hints.pfc = verbs_hints_pfc(hints.interface);
    abilities_find(place, &can);
    remark(place, &hints, gids, text, sizeof text);

    report_row(r);
    report_field(r, "device", 16, "%s:%d", place->device, place->port);
    report_field(r, "used", 4, "%s", used ? "yes" : "no");
    report_field(r, "link", 10, "%s", links[place->link]);
    report_field(r, "rate", 9, "%g Gb/s", place->rate / 1000.0);
    report_field(r, "mtu", 4, "%d", 128 << place->mtu);
    verbs_hints_bits(hints.pfc, bits, sizeof bits);
    report_field(r, "pfc", 4, "%s", bits);
    verbs_hints_bits(hints.ecn_notify >= 0 && hints.ecn_react >= 0
                     ? hints.ecn_notify & hints.ecn_react : -1, bits, sizeof bits);
    report_field(r, "ecn", 4, "%s", bits);
    report_field(r, "paging", 8, "%s", can.implicit && can.paging ? "all" : can.paging ? "regions"
                                                                                       : "none");
    report_field(r, "gpudirect", 9, "%s", verbs_hints_gpu(&hints, can.dmabuf));
    report_field(r, "direct", 9, "%zu", can.direct);
    report_field(r, "gids", 0, "%s", gids);
    report_field(r, "remark", 0, "%s", text);
}

void verbs_devices(struct report *r)
{
    char reason[2 * VERBS_WHY];
    const struct survey *survey = verbs_survey_all(reason);

    for (int i = 0; i < survey->nplaces; i++)
        place_report(r, &survey->places[i]);
    if (reason[0]) {
        report_row(r);
        report_field(r, "device", 16, "others");
        report_field(r, "used", 4, "no");
        report_field(r, "remark", 0, "%s", reason);
    }
}
