/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of topology's readers: texts that are refused, with the place and the reason. */
#ifndef TOPOLOGY_REFUSED_H
#define TOPOLOGY_REFUSED_H

#include "checks.h"

#include "base/status.h"
#include "topology/topology_source.h"

#include <string.h>

/* The reason begins with `where` ("test:2:") and has `what` in it. */
struct refusal { const char *text, *where, *what; };

static void expect_refusals(const struct refusal *cases, size_t n)
{
    for (const struct refusal *c = cases; c < cases + n; c++) {
        struct topology t;
        int status = topology_read_text(c->text, strlen(c->text), "test", &t);

        check(status == PEAL_ERR_ARGUMENT, "%s: status %d", c->text, status);
        if (!status)
            topology_free(&t);
        else
            check(!strncmp(status_text(), c->where, strlen(c->where)) && strstr(status_text(), c->what),
                  "%s: '%s' does not say '%s ... %s'", c->text, status_text(), c->where, c->what);
    }
}

#endif
