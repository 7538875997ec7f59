/* SPDX-License-Identifier: BSD-3-Clause */
#include "transports/verbs/verbs_cm_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

struct verbs_cm_library verbs_cm_library;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char why[512];                  /* it cannot be used; empty: it can */

static void load(void)
{
    static const char name[] = "librdmacm.so.1";
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        snprintf(why, sizeof why, "%s cannot be loaded: %s; install it (librdmacm1, or "
                 "librdmacm)", name, dlerror());
        return;
    }
#define FIND(function)                                                                  \
    *(void **)&verbs_cm_library.function = dlsym(library, "rdma_" #function);           \
    if (!verbs_cm_library.function)                                                     \
        snprintf(why, sizeof why, "%s has no rdma_%s", name, #function);
    CM_FUNCTIONS(FIND)
#undef FIND
}

const char *verbs_cm_library_load(void)
{
    pthread_once(&once, load);
    return *why ? why : NULL;
}
