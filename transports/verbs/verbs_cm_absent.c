/* SPDX-License-Identifier: BSD-3-Clause */
/* Built without librdmacm: no place is connected by rdma_cm, so that only the first
 * of these is ever called. */
#include "transports/verbs/verbs.h"

int verbs_cm_addresses(struct place *place)
{
    return status_fail(PEAL_ERR_UNSUPPORTED, "%s is iWARP, which librdmacm connects, and this "
                       "libpeal was built without", place->device);
}

int verbs_cm_listen(struct rail *rail, struct verbs_connect_rail *told)
{
    (void)rail, (void)told;
    return PEAL_ERR_UNSUPPORTED;
}

int verbs_cm_connect(struct rail *rail, const struct verbs_connect_rail *told)
{
    (void)rail, (void)told;
    return PEAL_ERR_UNSUPPORTED;
}

bool verbs_cm_joined(const struct rail *rail)
{
    (void)rail;
    return true;
}

void verbs_cm_greeted(struct rail *rail)
{
    (void)rail;
}

void verbs_cm_close(struct rail *rail)
{
    (void)rail;
}

int verbs_cm_events(struct port *port)
{
    (void)port;
    return 0;
}

void verbs_cm_end(struct port *port)
{
    (void)port;
}
