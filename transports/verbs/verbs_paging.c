/* SPDX-License-Identifier: BSD-3-Clause */
/* On-demand paging: devices that ask the kernel for pages when they need them, so
 * that memory is registered without being pinned.
 *
 * For what is sent one region over all memory of the process serves, if the device
 * has such: its key never leaves this process.  What a peer may write to has a key
 * that the peer knows, so it gets a region of exactly the message's bytes for the
 * one operation, as without paging.  The rings, bounce memory and what comes from
 * peal_mem_alloc stay pinned: they are used again and again. */
#include "transports/verbs/verbs.h"

#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

bool verbs_paging_offered(struct ibv_context *context, bool *implicit)
{
    struct verbs_context *newer = verbs_get_ctx_op(context, query_device_ex);
    struct ibv_device_attr_ex attr;

    memset(&attr, 0, sizeof attr);
    *implicit = false;
    if (!newer || newer->query_device_ex(context, NULL, &attr, sizeof attr) != 0)
        return false;
    *implicit = attr.odp_caps.general_caps & IBV_ODP_SUPPORT_IMPLICIT;
    return attr.odp_caps.general_caps & IBV_ODP_SUPPORT &&
           attr.odp_caps.per_transport_caps.rc_odp_caps & IBV_ODP_SUPPORT_WRITE;
}

static void missing(const struct adapter *a)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;

    if (!atomic_flag_test_and_set(&said))
        log_warn("verbs: PEAL_VERBS_ODP=1, but %s has no on-demand paging for writes over reliable "
                 "connections: memory is pinned", a->place.device);
}

void verbs_paging_find(struct port *port)
{
    struct region *everything = NULL;
    bool all = true;

    if (verbs_option(VERBS_OPTION_ODP) == 0)
        return;
    for (int i = 0; i < port->nadapters; i++) {
        struct adapter *a = &port->adapters[i];
        bool implicit;

        a->paged = verbs_paging_offered(a->context, &implicit);
        all = all && a->paged && implicit;
        if (!a->paged)
            missing(a);
    }
    if (all && !(everything = calloc(1, sizeof *everything)))
        return;
    for (int i = 0; i < port->nadapters && everything; i++) {
        everything->mr[i] = ibv_reg_mr(port->adapters[i].pd, NULL, SIZE_MAX, IBV_ACCESS_ON_DEMAND);
        if (everything->mr[i])
            continue;
        log_debug("verbs: %s: all memory cannot be registered at once: %s",
                  port->adapters[i].place.device, strerror(errno));
        verbs_region_free(everything);
        everything = NULL;
    }
    if (everything)
        everything->id = UINT64_MAX;           /* kept */
    port->everything = everything;
}
