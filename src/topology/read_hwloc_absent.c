/* SPDX-License-Identifier: BSD-3-Clause */
/* hwloc's XML where Peal was built without expat: recognised, and refused with the reason. */
#include "topology/read_hwloc.h"

#include "base/status.h"

int read_hwloc_machine(const char *text, size_t length, const char *where, struct machine *m,
                       char host[TOPOLOGY_TEXT])
{
    (void)text, (void)length, (void)m;
    host[0] = 0;
    return status_fail(PEAL_ERR_UNSUPPORTED, "%s: Peal was built without expat, and reads no XML",
                       where);
}

static bool recognise(const char *text, size_t length)
{
    return topology_text_is_xml(text, length, "topology");
}

static int read(const char *text, size_t length, const char *where, struct topology *t)
{
    struct machine m = { .ndevices = 0 };
    char host[TOPOLOGY_TEXT];

    (void)t;
    return read_hwloc_machine(text, length, where, &m, host);
}

const struct topology_source read_hwloc = {
    .name = "hwloc",
    .recognise = recognise,
    .read = read,
};
