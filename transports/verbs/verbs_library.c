/* SPDX-License-Identifier: BSD-3-Clause */
#include "transports/verbs/verbs_library.h"

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

struct verbs_library verbs_library;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool tried;
static char why[512];                  /* it cannot be used; empty: it can */

/* The kernel's list.  libibverbs finds nothing that is not there. */
static bool any_device(void)
{
    DIR *list = opendir("/sys/class/infiniband");
    struct dirent *entry;
    bool found = false;

    while (list && !found && (entry = readdir(list)))
        found = entry->d_name[0] != '.';
    if (list)
        closedir(list);
    return found;
}

static void load(void)
{
    static const char name[] = "libibverbs.so.1";
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        snprintf(why, sizeof why, "%s cannot be loaded: %s; install it (libibverbs1, or "
                 "rdma-core)", name, dlerror());
        return;
    }
#define FIND(function, symbol)                                                          \
    *(void **)&verbs_library.function = dlsym(library, symbol);                         \
    if (!verbs_library.function)                                                        \
        snprintf(why, sizeof why, "%s has no %s; Peal needs rdma-core 32 or later", name, symbol);
#define FIND_AS_NAMED(function) FIND(function, "ibv_" #function)
    VERBS_FUNCTIONS(FIND_AS_NAMED)
    FIND(query_gid_table, "_ibv_query_gid_table")
#undef FIND_AS_NAMED
#undef FIND
    *(void **)&verbs_library.reg_dmabuf_mr = dlsym(library, "ibv_reg_dmabuf_mr");
}

const char *verbs_library_load(void)
{
    const char *wrong;

    pthread_mutex_lock(&lock);
    if (!tried && any_device()) {
        tried = true;
        load();
    }
    wrong = tried ? *why ? why : NULL
          : "no device: this machine has none, or the kernel's modules (ib_uverbs, and the "
            "device's) are not loaded";
    pthread_mutex_unlock(&lock);
    return wrong;
}
