/* SPDX-License-Identifier: BSD-3-Clause */
/* A device whose driver or firmware hangs reports nothing, and nothing ends on it; Soft-RoCE,
 * for one, sometimes forgets to repeat what was lost with a link.  Then the wait would last until the
 * call's deadline.  So whoever is about to sleep looks, once a second, whether its rails move: one
 * that does not is asked for a sign (a write of nothing), and given up if none has come after all
 * the repeats that the device was told to make. */
#include "transports/verbs/verbs.h"

#include "base/clock.h"

static const uint64_t SECOND = 1000000000;

/* After the first transmission each repeat may wait four times what was asked for (InfiniBand
 * Architecture Specification 1.4, vol. 1, 9.7.6.1.3). */
static uint64_t patience(void)
{
    uint64_t each = (uint64_t)4096 << verbs_option(VERBS_OPTION_TIMEOUT);

    return 4 * each * (uint64_t)(verbs_option(VERBS_OPTION_RETRY) + 1) + 2 * SECOND;
}

static void rail_watch(struct rail *rail, uint64_t now)
{
    if ((rail->state != RAIL_UP && rail->state != RAIL_JOINING) || rail->ended == rail->posted) {
        rail->still_since = 0;
        return;
    }
    if (rail->still_since == 0 || rail->still_at != rail->ended) {
        rail->still_since = now;
        rail->still_at = rail->ended;
        if (rail->unsignaled > 0 && verbs_rail_room(rail) > 0)
            verbs_arrival_ask(rail);
        return;
    }
    if (now - rail->still_since > patience())
        verbs_rail_fail(rail, PEAL_ERR_PEER, "%s port %d has neither ended nor refused what was sent "
                        "to %s for %.0f s, though its repeats (PEAL_VERBS_TIMEOUT, PEAL_VERBS_RETRY) "
                        "must be over: does its driver or firmware hang? See dmesg, and rdma resource "
                        "show qp", rail->adapter->place.device, rail->adapter->place.port,
                        rail->endpoint->name, (double)(now - rail->still_since) / 1e9);
}

void verbs_watch(struct port *port)
{
    uint64_t now = clock_now();

    if (now < port->watch_at)
        return;
    port->watch_at = now + SECOND;
    for (struct endpoint *e = port->endpoints; e; e = e->next)
        for (int i = 0; i < e->nrails && !verbs_lost(e); i++)
            /* TCP, below iWARP, has times of its own. */
            if (e->rails[i].adapter && e->rails[i].adapter->place.link != VERBS_IWARP)
                rail_watch(&e->rails[i], now);
}
