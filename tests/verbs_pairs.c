/* SPDX-License-Identifier: BSD-3-Clause */
/* Both ends make the same rails of any two offers. */
#include "tests/verbs_faults.h"

#include "transports/verbs/verbs.h"

#include <stdlib.h>
#include <string.h>

static void random_offer(struct node *random, struct verbs_offer *offer, struct port *port,
                         char side)
{
    memset(offer, 0, sizeof *offer);
    offer->nrails = 1 + (uint32_t)node_random(random, VERBS_RAILS);
    port->nadapters = (int)offer->nrails;
    for (uint32_t i = 0; i < offer->nrails; i++) {
        struct verbs_offer_rail *rail = &offer->rails[i];

        snprintf(rail->device, sizeof rail->device, "%c%u", side, i);
        rail->port = 1;
        rail->rate = 100000;
        rail->link = node_random(random, 3) ? VERBS_ROCE : VERBS_INFINIBAND;
        rail->lid = rail->link == VERBS_INFINIBAND ? i + 1 : 0;
        rail->families = rail->link == VERBS_ROCE ? (uint32_t)node_random(random, 8) : 2;
        port->adapters[i].index = (int)i;
    }
}

void verbs_pairs(uint64_t seed)
{
    struct endpoint *ends = calloc(2, sizeof *ends);
    struct port *ports = calloc(2, sizeof *ports);
    struct node random = { .random = seed };
    int pairs = 0;

    for (int i = 0; i < 20000; i++) {
        struct endpoint *a = &ends[0], *b = &ends[1];
        int status;

        a->port = &ports[0];
        b->port = &ports[1];
        a->dialled = node_random(&random, 2);
        b->dialled = !a->dialled;
        random_offer(&random, &a->offer, a->port, 'a');
        random_offer(&random, &b->offer, b->port, 'b');
        a->theirs = b->offer;
        b->theirs = a->offer;
        status = verbs_rails_pair(a);
        CHECK(verbs_rails_pair(b) == status && a->nrails == b->nrails, "one end differs");
        CHECK(status || a->nrails <= VERBS_RAILS, "%d rails", a->nrails);
        for (int r = 0; r < a->nrails && !status; r++, pairs++) {
            char here[8], there[8];

            snprintf(here, sizeof here, "a%d", a->rails[r].adapter->index);
            snprintf(there, sizeof there, "b%d", b->rails[r].adapter->index);
            CHECK(strcmp(a->rails[r].remote.device, there) == 0 &&
                  strcmp(b->rails[r].remote.device, here) == 0 &&
                  a->rails[r].gid.family == b->rails[r].gid.family &&
                  a->rails[r].remote.link == b->rails[r].remote.link, "rail %d differs", r);
        }
    }
    free(ends);
    free(ports);
    printf("both ends pair alike: %d rails\n", pairs);
}
