/* SPDX-License-Identifier: BSD-3-Clause */
/* libucp is loaded where somebody has named UCX: it catches signals and looks
 * for devices as soon as it is there, which is nobody else's business.  An application
 * may use it too; it counts its users.  Kept for the life of the process, as it may
 * have threads of its own. */
#include "transports/ucx/ucx.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

struct ucx_library ucx;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char why[UCX_WHY];              /* it cannot be used; empty: it can */

static void load(void)
{
    static const char name[] = "libucp.so.0";
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    unsigned major, minor, release;

    if (!library) {
        snprintf(why, sizeof why, "%s cannot be loaded: %s", name, dlerror());
        return;
    }
#define FIND(prefix, function)                                                          \
    *(void **)&ucx.function = dlsym(library, #prefix "_" #function);                    \
    if (!ucx.function)                                                                  \
        snprintf(why, sizeof why, "%s has no %s; Peal needs UCX 1.10 or later", name,   \
                 #prefix "_" #function);
    UCX_FUNCTIONS(FIND)
#undef FIND
    if (*why)
        return;
    ucx.get_version(&major, &minor, &release);
    if (major != UCP_API_MAJOR || minor < 10)
        snprintf(why, sizeof why, "%s is of UCX %u.%u; Peal was built for %d.%d, and needs 1.10 "
                 "or later", name, major, minor, UCP_API_MAJOR, UCP_API_MINOR);
}

int ucx_usable(void)
{
    pthread_once(&once, load);
    return *why ? status_fail(PEAL_ERR_UNSUPPORTED, "%s", why) : PEAL_OK;
}
