/* SPDX-License-Identifier: BSD-3-Clause */
#include "topology/hwloc_library.h"

#include "base/status.h"

int hwloc_library_machine(char **xml, size_t *length)
{
    (void)xml, (void)length;
    return status_fail(PEAL_ERR_UNSUPPORTED, "Peal was built without hwloc");
}
