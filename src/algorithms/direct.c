/* SPDX-License-Identifier: BSD-3-Clause */
#include "algorithms/direct.h"

#include <stdlib.h>

void direct_reduce(struct schedule *s, const struct call *c, struct span dst,
                   struct span own)
{
    struct span *parts = malloc((size_t)c->nranks * sizeof *parts);

    if (parts == NULL) {
        s->failed = true;
        return;
    }
    parts[c->rank] = own;
    for (int k = 1; k < c->nranks; k++) {
        int from = wrap(c, c->rank - k);

        parts[from] = schedule_scratch(s, own.bytes);
        schedule_recv(s, from, parts[from]);
    }
    schedule_reduce(s, dst, parts, c->nranks);
    free(parts);
}
