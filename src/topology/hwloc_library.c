/* SPDX-License-Identifier: BSD-3-Clause */
/* What hwloc finds comes as its XML, which is read anyway (read_hwloc.c): so a handful of functions is
 * enough, and a library of another version than the headers does no harm.  Its components that ask
 * drivers of GPUs are kept out: they take long, open devices, and the driver is asked by us. */
#include "topology/hwloc_library.h"

#include "base/status.h"

#include <dlfcn.h>
#include <hwloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HWLOC_FUNCTIONS(X)                                                              \
    X(get_api_version) X(topology_init) X(topology_destroy) X(topology_load)            \
    X(topology_set_flags) X(topology_set_io_types_filter) X(topology_set_components)    \
    X(topology_export_xmlbuffer) X(free_xmlbuffer)
#define HWLOC_MEMBER(function) __typeof__(&hwloc_##function) function;
static struct { HWLOC_FUNCTIONS(HWLOC_MEMBER) } hwloc;
#undef HWLOC_MEMBER

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char why[200];                  /* it cannot be used; empty: it can */

static void load(void)
{
    static const char name[] = "libhwloc.so.15";
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        snprintf(why, sizeof why, "%s cannot be loaded: %s", name, dlerror());
        return;
    }
#define FIND(function)                                                                  \
    *(void **)&hwloc.function = dlsym(library, "hwloc_" #function);                     \
    if (!hwloc.function)                                                                \
        snprintf(why, sizeof why, "%s has no hwloc_%s; Peal needs hwloc 2.1 or later", name, #function);
    HWLOC_FUNCTIONS(FIND)
#undef FIND
    if (!*why && hwloc.get_api_version() >> 16 != 2)
        snprintf(why, sizeof why, "%s is of hwloc %u, Peal was built for 2", name,
                 hwloc.get_api_version() >> 16);
}

int hwloc_library_machine(char **xml, size_t *length)
{
    static const char *const drivers[] = { "cuda", "nvml", "rsmi", "levelzero", "opencl", "gl" };
    hwloc_topology_t topology;
    char *text = NULL;
    int bytes = 0, status = PEAL_OK;

    pthread_once(&once, load);
    if (*why)
        return status_fail(PEAL_ERR_UNSUPPORTED, "%s", why);
    if (hwloc.topology_init(&topology))
        return status_fail(PEAL_ERR_SYSTEM, "hwloc does not start: %m");
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)       /* -1: it has none such */
        hwloc.topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, drivers[i]);
    /* Also cores that this process may not use: the machine is wanted, not the job's part. */
    hwloc.topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED |
                             HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM);
    hwloc.topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (hwloc.topology_load(topology) ||
        hwloc.topology_export_xmlbuffer(topology, &text, &bytes, 0) || bytes <= 0) {
        status = status_fail(PEAL_ERR_SYSTEM, "hwloc finds no machine: %m");
    } else {
        *length = strnlen(text, (size_t)bytes);      /* it counts the 0 at the end */
        *xml = malloc(*length + 1);
        if (*xml)
            memcpy(*xml, text, *length + 1 <= (size_t)bytes ? *length + 1 : *length);
        else
            status = status_fail(PEAL_ERR_MEMORY, "no memory for hwloc's %zu bytes", *length);
    }
    if (text)
        hwloc.free_xmlbuffer(topology, text);
    hwloc.topology_destroy(topology);
    return status;
}
