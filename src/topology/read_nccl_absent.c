/* SPDX-License-Identifier: BSD-3-Clause */
/* In place of read_nccl.c in builds without libexpat. */
#include "topology/topology_source.h"

#include "base/status.h"

static bool recognise(const char *text, size_t length)
{
    return topology_text_is_xml(text, length, "system");
}

static int read(const char *text, size_t length, const char *where, struct topology *t)
{
    (void)text;
    (void)length;
    (void)t;
    return status_fail(PEAL_ERR_ARGUMENT, "%s: Peal was built without libexpat, which reads NCCL's XML",
                       where);
}

const struct topology_source read_nccl = {
    .name = "nccl",
    .recognise = recognise,
    .read = read,
};
