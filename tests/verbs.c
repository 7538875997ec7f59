/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs transport over a double of libibverbs: the conformance suite on one
 * device and on several, with completions that come late; then what goes wrong.
 * Usage: verbs [seed [conformance|features|faults|series|rails|rejoins|hostile|moments]] */
#include "tests/effort.h"
#include "tests/verbs_faults.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

/* A killed process takes along what its device has put off, which the suite does not
 * expect: hence only threads where that happens. */
static void conform(const char *what, uint64_t seed, int devices, int slow)
{
    printf("---- %s\n", what);
    double_faults()->devices = devices;
    double_faults()->slow = slow;
    CHECK(transports_conform(seed, "verbs", slow > 0, false) == 0, "%s", what);
    double_faults()->slow = 0;
}

static void nothing_there(void)
{
    double_faults()->devices = 0;
    CHECK(verbs_transport.usable() == PEAL_ERR_UNSUPPORTED &&
          strstr(status_text(), "no device"), "usable() without a device");
    CHECK(verbs_transport.fabric(false) == 0, "a fabric without a device");
    double_faults()->devices = 1;
    double_faults()->port_down[0] = true;
    CHECK(verbs_transport.usable() == PEAL_ERR_UNSUPPORTED &&
          strstr(status_text(), "double0 port 1 is down"), "usable() with a dead port");
    double_faults()->port_down[0] = false;
    double_faults()->devices = DOUBLE_DEVICES; /* what was found is kept: all, for later */
    CHECK(verbs_transport.usable() == PEAL_OK, "usable()");
    setenv("PEAL_VERBS_DEVICES", "^double", 1);
    CHECK(verbs_transport.usable() == PEAL_ERR_UNSUPPORTED, "all devices are excluded");
    setenv("PEAL_VERBS_DEVICES", "=double", 1);
    CHECK(verbs_transport.usable() == PEAL_ERR_UNSUPPORTED, "none has exactly this name");
    setenv("PEAL_VERBS_DEVICES", "=double1:1", 1);
    CHECK(verbs_transport.usable() == PEAL_OK, "one has");
    unsetenv("PEAL_VERBS_DEVICES");
    printf("what is there, and why not\n");
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : clock_now() % 100000;
    const char *only = argc > 2 ? argv[2] : "";
    bool quick = effort_quick();

    printf("seed %llu\n", (unsigned long long)seed);
    setenv("PEAL_LOG", "error", 0);            /* rails that fail are warned about */
    double_faults()->seed = seed;
    nothing_there();
    if (!*only || strcmp(only, "conformance") == 0) {
        setenv("PEAL_VERBS_DEVICES", "double0", 1);
        conform("one device", seed, DOUBLE_DEVICES, 0);
        unsetenv("PEAL_VERBS_DEVICES");
        if (!quick)
            conform("three devices, late completions", seed + 1, DOUBLE_DEVICES, 30);
    }
    alarm(120 * rig_slowness());
    if (!*only || strcmp(only, "features") == 0)
        verbs_features(seed);
    if (!*only || strcmp(only, "faults") == 0) {
        verbs_pairs(seed);
        verbs_greetings(seed);
        verbs_faults(seed);
    }
    if (!*only || strcmp(only, "series") == 0)
        verbs_series(seed);
    if (!*only || strcmp(only, "rails") == 0)
        verbs_rails(seed);
    if (!*only || strcmp(only, "rejoins") == 0)
        verbs_rejoins(seed);
    if (!*only || strcmp(only, "hostile") == 0)
        verbs_hostile(seed);
    if (!*only || strcmp(only, "moments") == 0)
        verbs_moments(seed);
    return 0;
}
