/* SPDX-License-Identifier: BSD-3-Clause */
/* Results are stored past the caches where their memory has not been used lately: how large the last
 * cache is, what is lately, and which calls store so; with caches of several sizes. */
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
#include <sys/wait.h>
#include <unistd.h>

/* ---- The last cache --------------------------------------------------------- */

static char folder[] = "/tmp/peal-heat-XXXXXX";

static void write_file(const char *name, const char *text)
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

static void make_folder(void)
{
    char path[64];

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
}

static void cache_is(const char *level, const char *size, size_t expected)
{
    write_file("index3/level", level);
    write_file("index3/size", size);
    check(last_cache_of(folder) == expected, "level %s of %s: %zu bytes", level, size,
          last_cache_of(folder));
}

static void last_caches(void)
{
    write_file("index0/level", "2\n");
    write_file("index0/size", "1024K\n");
    check(last_cache_of(folder) == 0, "one of level 2, and a folder without files");
    cache_is("3\n", "32768K\n", 32 << 20);
    cache_is("3\n", "96M\n", 96 << 20);
    cache_is("4\n", "4096\n", 4096);
    cache_is("1\n", "32K\n", 0);
    cache_is("3\n", "\n", 0);
    cache_is("3\n", "much\n", 0);
    cache_is("3\n", "99999999999999999999K\n", 0);
}

/* ---- What is noted ------------------------------------------------------------ */

static const char *at(size_t megabytes)
{
    return (const char *)(uintptr_t)((megabytes + 1) << 20);
}

static void uses(void)
{
    size_t cache = last_cache();
    struct heat heat = { .n = 0 };

    check(heat_lost(&heat, at(0), 1 << 20), "nothing was used yet");
    heat_use(&heat, at(1), 1 << 20);
    check(!heat_lost(&heat, at(1), 1 << 20), "the same memory");
    check(!heat_lost(&heat, at(1) + 4096, 64), "a part of it");
    check(!heat_lost(&heat, at(0), 3 << 20), "it and more");
    check(!heat_lost(&heat, at(2) - 1, 1 << 20), "its last byte");
    check(heat_lost(&heat, at(2), 1 << 20), "what follows it");
    check(heat_lost(&heat, at(0), 1 << 20), "what goes before it");
    heat_use(&heat, NULL, 1 << 20);
    heat_use(&heat, at(5), 0);
    heat_use(&heat, at(5), HEAT_NOTED - 1);
    check(heat.n == 1, "nothing, or little, was used, and noted");

    heat_use(&heat, at(100), cache - HEAT_NOTED);
    for (int i = 0; i < 1000; i++)
        heat_use(&heat, at(100), cache - HEAT_NOTED);
    check(!heat_lost(&heat, at(1), 1 << 20), "other memory, again and again, that fits");
    heat_use(&heat, at(50), HEAT_NOTED);
    check(heat_lost(&heat, at(1), 1 << 20), "the cache was filled by other memory");
    heat_use(&heat, at(1), 1 << 20);
    check(!heat_lost(&heat, at(1), 1 << 20), "used again");
    heat_use(&heat, at(1), 2 << 20);
    check(!heat_lost(&heat, at(1), 1 << 20), "used again as a part of more");
}

static void forgotten(void)
{
    struct heat heat = { .n = 0 };

    for (size_t i = 0; i < HEAT_USES - 1; i++) {
        heat_use(&heat, at(1), HEAT_NOTED);
        heat_use(&heat, at(200 + i), HEAT_NOTED);
    }
    check(heat.n == HEAT_USES, "%u uses are noted", heat.n);
    for (size_t i = 0; i < HEAT_USES; i++)
        check(!heat_lost(&heat, i ? at(199 + i) : at(1), 1) || HEAT_USES * HEAT_NOTED > last_cache(),
              "number %zu of as many as are noted", i);
    heat_use(&heat, at(500), HEAT_NOTED);
    check(heat_lost(&heat, at(200), 1), "what was used longest ago gives way");
    heat_use(&heat, at(501), HEAT_NOTED);
    check(!heat_lost(&heat, at(1), 1), "what was used again and again does not");
}

/* ---- Algorithms ----------------------------------------------------------------- */

/* Rank 0's. */
static void build(struct schedule *s, const struct algorithm *a, int nranks, size_t count, bool past,
                  int nslices)
{
    struct call call = { .collective = a->collective, .nranks = nranks, .count = count, .size = 4,
                         .commutative = true, .past_caches = past, .nslices = nslices };

    schedule_init(s, nranks);
    for (call.slice = 0; call.slice < nslices; call.slice++) {
        schedule_slice(s, call.slice, SLICES_IN_FLIGHT);
        a->build(s, &call);
    }
    schedule_finish(s);
}

static char *text_of(const struct algorithm *a, int nranks, bool past)
{
    struct schedule s;
    char *text = NULL;
    size_t bytes;
    FILE *file = open_memstream(&text, &bytes);

    build(&s, a, nranks, 1000, past, 1);
    schedule_print(&s, file);
    fclose(file);
    schedule_free(&s);
    return text;
}

/* There is a plan for either way only if a row says that it builds two. */
static void rows(void)
{
    for (const struct algorithm *const *a = algorithms; *a; a++) {
        bool differ = false;

        for (int n = 2; n <= 5; n++) {
            char *plain = text_of(*a, n, false), *past = text_of(*a, n, true);

            differ |= strcmp(plain, past) != 0;
            free(plain);
            free(past);
        }
        check(differ == (*a)->two_ways, "%s %s builds %s", collective_name((*a)->collective),
              (*a)->name, differ ? "two ways" : "one way");
    }
}

/* Bytes of rank 0's result that may go past the caches. */
static size_t bytes_past(const struct algorithm *a, int nranks, bool past, int nslices)
{
    struct plan *plan = NULL;
    struct schedule s;
    size_t bytes = 0;

    build(&s, a, nranks, 200 * 11520, past, nslices);      /* divided by 2 to 5 ranks, and by 12 slices */
    check(plan_create(&s, &plan) == PEAL_OK, "%s %s: no plan", collective_name(a->collective), a->name);
    for (uint32_t i = 0; plan && i < plan->nsteps; i++)
        bytes += plan->steps[i].streams ? plan->steps[i].dst.bytes : 0;
    plan_free(plan);
    schedule_free(&s);
    return bytes;
}

/* Slices that use scratch again do not keep results from going past the caches. */
static void slices(void)
{
    size_t all = 0;

    for (const struct algorithm *const *a = algorithms; *a; a++)
        for (int n = 2; n <= 5; n++)
            for (int past = 0; past < 2; past++) {
                size_t one = bytes_past(*a, n, past, 1), many = bytes_past(*a, n, past, 12);

                check(one == many, "%s %s, %d ranks: %zu bytes past the caches, in 12 slices %zu",
                      collective_name((*a)->collective), (*a)->name, n, one, many);
                all += many;
            }
    check(all > 0, "nothing may go past the caches");
}

/* ---- Calls ---------------------------------------------------------------------- */

enum { COUNT = PAST_LEAST / 4, BUFFERS = 40 };

static float *in, *out[BUFFERS];
static float value;

/* How the latest call stored its result. */
static bool went_past(const struct coll *coll, const char *what)
{
    const struct recent *r = &coll->recent[coll->latest];
    const struct plan *plan = r->seat->entry->plan;
    int alike = 0;

    for (int i = 0; i < RECENT_CALLS; i++)
        alike += coll->recent[i].seat && coll->recent[i].call.recvbuf == r->call.recvbuf &&
                 coll->recent[i].call.sendbuf == r->call.sendbuf &&
                 coll->recent[i].call.collective == r->call.collective;
    check(alike == 1, "%s: %d recent calls are the same", what, alike);
    check(plan->steps[0].streams || !r->seat->binding.past, "%s: the plan does not allow it", what);
    check(r->call.collective != ALLREDUCE ||
          r->seat->entry->key.past_caches == r->seat->binding.past, "%s: not the plan for it", what);
    return r->seat->binding.past;
}

static bool call_went_past(peal_comm_t comm, const void *from, float *to, size_t count,
                           const char *what)
{
    const struct coll *coll = ((const struct peal_comm *)comm)->coll;

    for (size_t i = 0; i < count; i++)
        in[i] = value + (float)i;
    check(peal_allreduce(from, to, count, PEAL_FLOAT32, PEAL_SUM, comm) == PEAL_OK, "%s: %s", what,
          peal_last_error());
    check(from == PEAL_IN_PLACE || memcmp(in, to, count * 4) == 0, "%s: wrong result", what);
    value++;
    return went_past(coll, what);
}

static void call(peal_comm_t comm, const void *from, float *to, size_t count, bool past,
                 const char *what)
{
    check(call_went_past(comm, from, to, count, what) == past, "%s: went %s the caches", what,
          past ? "into" : "past");
}

/* `n` results in turn, which the cache keeps all or not. */
static void in_turn(peal_comm_t comm, int n)
{
    bool fits = (size_t)n * PAST_LEAST < last_cache();

    for (int i = 0; i < n; i++)
        call_went_past(comm, in, out[3 + i], COUNT, "in turn, at first");
    for (int i = 0; i < 2 * n; i++)
        call(comm, in, out[3 + i % n], COUNT, !fits, "in turn");
}

/* Of these there is one plan. */
static void gathers(peal_comm_t comm)
{
    const struct coll *coll = ((const struct peal_comm *)comm)->coll;

    for (int i = 0; i < 3; i++) {
        check(peal_allgather(in, out[BUFFERS - 2], COUNT, PEAL_FLOAT32, comm) == PEAL_OK,
              "all-gather: %s", peal_last_error());
        check(went_past(coll, "all-gather") == (i == 0), "all-gather %d: went %s the caches", i,
              i == 0 ? "into" : "past");
    }
}

static void calls(peal_comm_t comm)
{
    const struct coll *coll = ((const struct peal_comm *)comm)->coll;
    peal_request_t request;

    call(comm, in, out[0], COUNT, true, "memory that no call has used");
    call(comm, in, out[0], COUNT, false, "the call again");
    call(comm, in, out[0], COUNT, false, "the third time");
    call(comm, in, out[1] + 1, COUNT - 1, false, "a smaller one");
    call(comm, PEAL_IN_PLACE, out[2], COUNT, false, "in place");
    call(comm, in, out[2], COUNT, false, "what was used in place");
    in_turn(comm, RECENT_CALLS - 1);
    in_turn(comm, RECENT_CALLS + 1);
    in_turn(comm, BUFFERS - 5);
    gathers(comm);

    check(peal_allreduce(in, out[BUFFERS - 1], COUNT, PEAL_FLOAT32, PEAL_AVG, comm) == PEAL_OK &&
          !went_past(coll, "an average"), "an average goes past the caches");
    check(peal_allgather(in, out[BUFFERS - 1], COUNT, PEAL_FLOAT32, comm) == PEAL_OK &&
          !went_past(coll, "all-gather"), "an all-gather to what the average used goes past");
    check(peal_allreduce_init(in, out[1], COUNT, PEAL_FLOAT32, PEAL_SUM, comm, &request) == PEAL_OK,
          "a persistent call: %s", peal_last_error());
    check(!coll->cache.newest->key.past_caches, "a persistent call goes past the caches");
    check(peal_request_free(&request) == PEAL_OK, "freeing it: %s", peal_last_error());
}

/* Recent calls in turn, which are not looked up, and whose results together fill the cache. */
static void large_turns(peal_comm_t comm)
{
    size_t half = last_cache() / 2, bytes = (half < 16 << 20 ? half : 16 << 20) - 64;
    int n = (int)(last_cache() / bytes) + 2;

    if (n > RECENT_CALLS)
        return;
    in = malloc(bytes);
    for (int i = 0; i < n; i++)
        out[i] = malloc(bytes);
    for (int i = 0; i < 3 * n; i++)
        call(comm, in, out[i % n], bytes / 4, true, "in turn with others that fill the cache");
    for (int i = 0; i < n; i++)
        free(out[i]);
    free(in);
}

static void with_comm(void (*body)(peal_comm_t comm))
{
    peal_comm_t comm;

    if (peal_init(NULL, &comm) != PEAL_OK) {
        check(false, "peal_init: %s", peal_last_error());
        return;
    }
    body(comm);
    check(peal_comm_free(&comm) == PEAL_OK, "peal_comm_free: %s", peal_last_error());
}

/* In a process of its own, as the size is read once. */
static int with_cache(const char *size, size_t bytes)
{
    write_file("index3/level", "3\n");
    write_file("index3/size", size);
    last_cache_folder = folder;
    check(last_cache() == bytes, "a cache of %s: %zu bytes", size, last_cache());
    uses();
    forgotten();
    in = malloc(PAST_LEAST);
    for (int i = 0; i < BUFFERS; i++)
        out[i] = malloc(PAST_LEAST + 4);
    with_comm(calls);
    for (int i = 0; i < BUFFERS; i++)
        free(out[i]);
    free(in);
    with_comm(large_turns);
    printf("heat: cache of %zu MiB: %d checks, %d failed\n", bytes >> 20, checks, failures);
    fflush(stdout);
    return failures;
}

int main(void)
{
    static const struct { const char *text; size_t bytes; } sizes[] = {
        { "2048K\n", 2 << 20 }, { "8M\n", 8 << 20 }, { "12M\n", 12 << 20 }, { "16384K\n", 16 << 20 },
        { "32768K\n", 32 << 20 }, { "256M\n", 256 << 20 }
    };
    char clear[64];

    rows();
    slices();
    make_folder();
    last_caches();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int status = -1;
        pid_t child;

        fflush(stdout);
        child = fork();
        if (child == 0)
            exit(with_cache(sizes[i].text, sizes[i].bytes) ? 1 : 0);
        check(child > 0 && waitpid(child, &status, 0) == child, "a process");
        check(status == 0, "a cache of %zu MiB: ended with %d", sizes[i].bytes >> 20, status);
    }
    check(last_cache() >= 64 << 10, "this machine's: %zu bytes", last_cache());
    snprintf(clear, sizeof clear, "rm -r %s", folder);
    check(system(clear) == 0, "%s", clear);
    printf("heat: %s, %d checks, %d failed\n", failures ? "FAIL" : "ok", checks, failures);
    return failures ? 1 : 0;
}
