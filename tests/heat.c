/* SPDX-License-Identifier: BSD-3-Clause */
/* Results are stored past the caches where their memory has not been used lately: what is taken for
 * lately, and which calls do so. */
#include "checks.h"
#include "base/last_cache.h"
#include "coll/heat.h"
#include "coll/start.h"
#include "comm/comm.h"
#include "devices/device.h"
#include "executor/plan.h"
#include "peal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- The last cache --------------------------------------------------------- */

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void cache_is(const char *folder, const char *level, const char *size, size_t expected)
{
    write_file(folder, "index3/level", level);
    write_file(folder, "index3/size", size);
    check(last_cache_of(folder) == expected, "level %s of %s: %zu bytes", level, size,
          last_cache_of(folder));
}

static void last_caches(void)
{
    char folder[] = "/tmp/peal-heat-XXXXXX", path[64], clear[64];

    if (!mkdtemp(folder)) {
        perror(folder);
        exit(1);
    }
    check(last_cache_of(folder) == 0, "an empty folder");
    for (int i = 0; i < 4; i += 3) {
        snprintf(path, sizeof path, "%s/index%d", folder, i);
        if (mkdir(path, 0700) != 0) {
            perror(path);
            exit(1);
        }
    }
    write_file(folder, "index0/level", "2\n");
    write_file(folder, "index0/size", "1024K\n");
    check(last_cache_of(folder) == 1 << 20, "one of level 2, and a folder without files");
    cache_is(folder, "3\n", "32768K\n", 32 << 20);
    cache_is(folder, "3\n", "96M\n", 96 << 20);
    cache_is(folder, "3\n", "4096\n", 4096);
    cache_is(folder, "1\n", "32K\n", 1 << 20);
    cache_is(folder, "3\n", "\n", 1 << 20);
    cache_is(folder, "3\n", "much\n", 1 << 20);
    cache_is(folder, "3\n", "99999999999999999999K\n", 1 << 20);
    snprintf(clear, sizeof clear, "rm -r %s", folder);
    check(system(clear) == 0, "%s", clear);
    check(last_cache() >= 64 << 10, "this machine's: %zu bytes", last_cache());
}

/* ---- What is noted ------------------------------------------------------------ */

static const char *at(size_t megabytes)
{
    return (const char *)(uintptr_t)((megabytes + 1) << 20);
}

static void uses(void)
{
    size_t cache = last_cache();
    struct heat heat = { .touched = 0 };

    check(heat_lost(&heat, at(0), 1 << 20), "nothing was used yet");
    heat_use(&heat, at(1), 1 << 20);
    check(!heat_lost(&heat, at(1), 1 << 20), "the same memory");
    check(!heat_lost(&heat, at(1) + 4096, 64), "a part of it");
    check(!heat_lost(&heat, at(0), 3 << 20), "it and more");
    check(!heat_lost(&heat, at(2) - 1, 1 << 20), "its last byte");
    check(heat_lost(&heat, at(2), 1 << 20), "what follows it");
    check(heat_lost(&heat, at(0), 1 << 20), "what goes before it");
    heat_use(&heat, NULL, 1 << 20);
    heat_use(&heat, at(0), 0);
    check(heat.newest == 1, "nothing was used, and noted");

    heat_use(&heat, at(100), cache - 1);
    check(!heat_lost(&heat, at(1), 1 << 20), "a byte of the cache is left");
    heat_use(&heat, at(50), 1);
    check(heat_lost(&heat, at(1), 1 << 20), "the cache was filled by other uses");
    heat_use(&heat, at(1), 1 << 20);
    check(!heat_lost(&heat, at(1), 1 << 20), "used again");

    for (int i = 0; i < 1000; i++)
        heat_use(&heat, at(10), 64);
    check(!heat_lost(&heat, at(1), 1 << 20), "one small buffer, again and again");
    for (size_t i = 0; i < HEAT_USES; i++)
        heat_use(&heat, at(200 + i), 64);
    check(heat_lost(&heat, at(1), 1 << 20), "more buffers than are noted");
    check(!heat_lost(&heat, at(200), 64), "the oldest that is noted");
}

/* ---- Calls ---------------------------------------------------------------------- */

/* How the latest call that was made anew, or one like an earlier, stored its result. */
static bool went_past(peal_comm_t comm, const char *what)
{
    const struct coll *coll = ((const struct peal_comm *)comm)->coll;
    const struct recent *r = &coll->recent[coll->latest];
    const struct plan *plan = r->seat->entry->plan;
    int alike = 0;

    for (int i = 0; i < RECENT_CALLS; i++)
        alike += coll->recent[i].seat && coll->recent[i].call.recvbuf == r->call.recvbuf &&
                 coll->recent[i].call.sendbuf == r->call.sendbuf;
    check(alike == 1, "%s: %d recent calls are the same", what, alike);
    check(plan->steps[0].streams == plan->streams, "%s: the plan goes %s the caches, its step not",
          what, plan->streams ? "past" : "into");
    return plan->streams;
}

enum { COUNT = HEAT_LEAST / 4, BUFFERS = 40 };

static float *in, *out[BUFFERS];
static float value;

static void call(peal_comm_t comm, const void *from, float *to, size_t count, bool past,
                 const char *what)
{
    for (size_t i = 0; i < count; i++)
        in[i] = value + (float)i;
    check(peal_allreduce(from, to, count, PEAL_FLOAT32, PEAL_SUM, comm) == PEAL_OK, "%s: %s", what,
          peal_last_error());
    check(went_past(comm, what) == past, "%s: went %s the caches", what, past ? "into" : "past");
    check(from == PEAL_IN_PLACE || memcmp(in, to, count * 4) == 0, "%s: wrong result", what);
    value++;
}

static void calls(peal_comm_t comm)
{
    size_t others = last_cache() / HEAT_LEAST;
    peal_request_t request;
    const struct coll *coll = ((const struct peal_comm *)comm)->coll;

    call(comm, in, out[0], COUNT, true, "memory that no call has used");
    call(comm, in, out[0], COUNT, false, "the call again");
    call(comm, in, out[0], COUNT, false, "the third time, by the recent call");
    call(comm, in, out[1] + 1, COUNT - 1, false, "a smaller one");
    call(comm, PEAL_IN_PLACE, out[2], COUNT, false, "in place");
    call(comm, in, out[2], COUNT, false, "what was used in place");
    for (size_t i = 0; i < others; i++)
        call(comm, in, out[3 + i % (BUFFERS - 3)], COUNT, i < BUFFERS - 3, "others");
    call(comm, in, out[0], COUNT, true, "the first, the cache filled by others");
    call(comm, in, out[0], COUNT, false, "the first once more");

    check(peal_allreduce_init(in, out[1], COUNT, PEAL_FLOAT32, PEAL_SUM, comm, &request) == PEAL_OK,
          "a persistent call: %s", peal_last_error());
    check(!coll->cache.newest->plan->streams, "a persistent call goes past the caches");
    check(peal_request_free(&request) == PEAL_OK, "freeing it: %s", peal_last_error());
}

/* Recent calls in turn, which are not looked up, and whose results together fill the cache. */
static void turns(peal_comm_t comm)
{
    size_t half = last_cache() / 2, bytes = half < 16 << 20 ? half - 64 : (16 << 20) - 64;
    int n = (int)(last_cache() / bytes) + 1;

    if (n > RECENT_CALLS) {
        printf("heat: SKIP turns: the last cache keeps more results than there are recent calls\n");
        return;
    }
    in = malloc(bytes);
    for (int i = 0; i < n; i++)
        out[i] = malloc(bytes);
    for (int i = 0; i < 3 * n; i++)
        call(comm, in, out[i % n], bytes / 4, true, "in turn with others, together larger");
    for (int i = 0; i < n; i++)
        free(out[i]);
    free(in);
}

int main(void)
{
    peal_comm_t comm;

    last_caches();
    uses();
    if (landing_streams(HEAT_LEAST)) {
        printf("heat: SKIP calls: the last cache is so small that such results are larger\n");
    } else {
        in = malloc(HEAT_LEAST);
        for (int i = 0; i < BUFFERS; i++)
            out[i] = malloc(HEAT_LEAST + 4);
        check(peal_init(NULL, &comm) == PEAL_OK, "peal_init: %s", peal_last_error());
        calls(comm);
        for (int i = 0; i < BUFFERS; i++)
            free(out[i]);
        free(in);
        turns(comm);
        check(peal_comm_free(&comm) == PEAL_OK, "peal_comm_free: %s", peal_last_error());
    }
    printf("heat: %s, %d checks, %d failed\n", failures ? "FAIL" : "ok", checks, failures);
    return failures ? 1 : 0;
}
