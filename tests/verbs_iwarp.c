/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs transport over doubles of libibverbs and librdmacm that are iWARP: no
 * immediate data, writes that are done before they have arrived, and connections that
 * rdma_cm makes.  The conformance suite, and what goes wrong.
 * Usage: verbs_iwarp [seed [conformance|greetings|faults|series|rails|hostile]] */
#include "tests/effort.h"
#include "tests/verbs_moments.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

static void conform(const char *what, uint64_t seed, int slow)
{
    printf("---- %s\n", what);
    double_faults()->slow = slow;
    CHECK(transports_conform(seed, "verbs", slow > 0, false) == 0, "%s", what);
    double_faults()->slow = 0;
}

/* Whoever does not know the word is turned away, and disturbs nobody. */
static void strangers(uint64_t seed)
{
    int before = double_refused();

    double_faults()->strangers = true;
    rig_run(&verbs_transport, 4, false, -1, seed, transports_traffic);
    double_faults()->strangers = false;
    CHECK(double_refused() - before == 4 * 6 * DOUBLE_DEVICES, "%d connections were refused",
          double_refused() - before);
    printf("strangers are turned away\n");
}

static void no_port_body(struct node *node)
{
    struct endpoint *e = moment_peer(node);

    if (!e->dialled) {
        moment_fails(node, PEAL_ERR_PEER, "rank");
        return;
    }
    moment_fails(node, PEAL_ERR_SYSTEM, "Address already in use");
    CHECK(strstr(e->why, "rdma_connect for rank"), "%s", e->why);
}

/* The first port of each connection is taken in all other tests; here all are. */
static void no_port(uint64_t seed)
{
    double_faults()->no_ports = true;
    rig_run(&verbs_transport, 2, false, -1, seed, no_port_body);
    double_faults()->no_ports = false;
    printf("no port is left to connect from\n");
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : clock_now() % 100000;
    const char *only = argc > 2 ? argv[2] : "";

    printf("seed %llu\n", (unsigned long long)seed);
    setenv("PEAL_LOG", "error", 0);            /* rails that fail are warned about */
    double_faults()->seed = seed;
    double_faults()->devices = DOUBLE_DEVICES;
    double_faults()->iwarp = true;
    double_faults()->most_inline = 80;
    if (!*only || strcmp(only, "conformance") == 0) {
        setenv("PEAL_VERBS_DEVICES", "double0", 1);
        conform("one device", seed, 0);
        unsetenv("PEAL_VERBS_DEVICES");
        if (!effort_quick())
            conform("three devices, late completions", seed + 1, 30);
    }
    alarm(120 * rig_slowness());
    if (!*only || strcmp(only, "greetings") == 0) {
        strangers(seed);
        no_port(seed);
        verbs_greetings(seed);
    }
    if (!*only || strcmp(only, "faults") == 0)
        verbs_faults(seed);
    if (!*only || strcmp(only, "series") == 0)
        verbs_series(seed);
    if (!*only || strcmp(only, "rails") == 0)
        verbs_rails(seed);
    if (!*only || strcmp(only, "hostile") == 0)
        verbs_hostile(seed);
    return 0;
}
