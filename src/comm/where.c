/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/where.h"

#include "base/numa.h"
#include "base/short_file.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

const struct setting where_settings[] = {
    { "PEAL_HOSTID", NULL, "any text: ranks of one host with different texts are taken to be on "
      "different hosts; for tests, and for containers that share less than they seem to", NULL },
    { NULL, NULL, NULL, NULL }
};

static uint64_t process_token;
static pthread_once_t token_once = PTHREAD_ONCE_INIT;

static void make_token(void)
{
    while (process_token == 0)
        if (getrandom(&process_token, sizeof process_token, 0) < 0 && errno != EINTR)
            process_token = ((uint64_t)getpid() << 32) ^ (uintptr_t)&process_token;
}

/* FNV-1a */
static uint64_t hash(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t hash_file(uint64_t h, const char *path)
{
    char text[64];
    ssize_t n = short_file_text(text, sizeof text, "%s", path);

    return hash(h, text, n > 0 ? (size_t)n : 0);
}

static uint64_t namespace_number(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

int where_find(struct where *where)
{
    struct where w = { .pid = (uint32_t)getpid() };
    uint64_t network = namespace_number("/proc/self/ns/net");
    const char *named = setting_text(&where_settings[0], NULL);
    cpu_set_t cores;

    pthread_once(&token_once, make_token);
    if (gethostname(w.hostname, sizeof w.hostname - 1) < 0)
        return status_fail(PEAL_ERR_SYSTEM, "gethostname: %m");
    w.host = hash_file(UINT64_C(0xcbf29ce484222325), "/proc/sys/kernel/random/boot_id");
    w.host = hash(w.host, &network, sizeof network);
    if (named && *named)
        w.host = hash(w.host, named, strlen(named));
    /* A forked child has its parent's token, but is another process. */
    w.process = hash(process_token, &w.pid, sizeof w.pid);
    w.pid_namespace = (uint32_t)namespace_number("/proc/self/ns/pid");
    if (sched_getaffinity(0, sizeof cores, &cores) == 0)
        w.cores = hash(UINT64_C(0xcbf29ce484222325), &cores, sizeof cores) << 16 |
                  (uint16_t)CPU_COUNT(&cores);
    w.numa = (uint16_t)(numa_of_thread() + 1);
    *where = w;
    return PEAL_OK;
}
