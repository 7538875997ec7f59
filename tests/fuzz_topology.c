/* SPDX-License-Identifier: BSD-3-Clause */
/* A libFuzzer target: the bytes are a file that says what a machine is like, in any of the formats.  What is
 * let through has to be well formed, and to be the same after it went out and came in again.
 *   clang -fsanitize=fuzzer,address,undefined ... tests/fuzz_topology.c tests/topology_well.c
 *   ./fuzz_topology -seed=1 -max_total_time=60 corpus tests/topologies/... */
#include "topology_well.h"

#include "base/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct topology t, back;
    char *own, *xml;

    if (topology_read_text((const char *)data, size, "fuzz", &t))
        return 0;
    if (topology_ill(&t))
        stop("read", topology_ill(&t));
    own = topology_write_own(&t);
    /* A cluster in a few words may take more text than is read. */
    if (strlen(own) <= TOPOLOGY_FILE_MOST) {
        if (topology_read_text(own, strlen(own), "own", &back))
            stop("own text", status_text());
        if (topology_differs(&t, &back, true))
            stop("own text", topology_differs(&t, &back, true));
        topology_free(&back);
    }
    free(own);
    /* XML has no places for much of what the other formats may say: it need only be borne. */
    xml = topology_write_nccl(&t);
    if (!topology_read_text(xml, strlen(xml), "xml", &back)) {
        if (topology_ill(&back))
            stop("its XML", topology_ill(&back));
        topology_free(&back);
    }
    free(xml);
    topology_free(&t);
    return 0;
}
