/* SPDX-License-Identifier: BSD-3-Clause */
/* libhwloc, loaded when it is asked: discovery does so on few machines, and jobs should not wait for
 * its start on all others. */
#ifndef HWLOC_LIBRARY_H
#define HWLOC_LIBRARY_H

#include <stddef.h>

/* This machine as hwloc sees it, as its XML: malloc'ed.  PEAL_ERR_UNSUPPORTED: no library, or not in
 * this build. */
int hwloc_library_machine(char **xml, size_t *length);

#endif
