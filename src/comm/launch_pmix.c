/* SPDX-License-Identifier: BSD-3-Clause */
/* PMIx: mpirun of Open MPI, PRRTE, srun --mpi=pmix.  Rank 0 publishes its card,
 * a fence carries it to all.
 *
 * libpmix.so.2 is loaded when first needed, so that Peal runs on hosts without
 * it; there, the rows after this one are asked.
 *
 * PMIx_Finalize waits until the process exits: a rank that finalises and comes
 * back for a second peal_init breaks the fences of ranks that are not as far
 * yet ("partial success", seen with Open MPI 4.1).  Until then, PMIx has one
 * sleeping thread.
 *
 * An MPI library in the process may use the same libpmix, which counts its
 * users.  (An Open MPI with PMIx built in is another client of the same rank to
 * its server; if that refuses, PEAL_LAUNCHER=ompi.) */
#include "comm/launch_environment.h"

#include "base/clock.h"
#include "base/log.h"

#include <dlfcn.h>
#include <errno.h>
#include <pmix.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The functions of libpmix that we call. */
#define FUNCTIONS(X) \
    X(Init) X(Finalize) X(Put) X(Commit) X(Fence_nb) X(Get) X(Error_string)

static struct {
#define MEMBER(name) __typeof__(&PMIx_##name) name;
    FUNCTIONS(MEMBER)
#undef MEMBER
} pmix;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool tried, loaded;
static pid_t user;         /* that called PMIx_Init; a forked child is another */
static pmix_proc_t self;
static unsigned jobs;      /* exchanges so far; all ranks count alike */

/* Kept for the life of the process: it may have threads of its own. */
static void load(void)
{
    void *library = dlopen("libpmix.so.2", RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        log_info("this process was started with PMIx, but libpmix cannot be used: %s", dlerror());
        return;
    }
    loaded = true;
#define FIND(name) \
    *(void **)&pmix.name = dlsym(library, "PMIx_" #name); \
    loaded = loaded && pmix.name;
    FUNCTIONS(FIND)
#undef FIND
    if (!loaded)
        log_info("libpmix.so.2 lacks functions of PMIx 2");
}

static bool available(void)
{
    pthread_mutex_lock(&lock);
    if (!tried)
        load();
    tried = true;
    pthread_mutex_unlock(&lock);
    return loaded;
}

static bool have_server(void)
{
    static const char *const names[] = { "PMIX_SERVER_URI41", "PMIX_SERVER_URI4",
                                         "PMIX_SERVER_URI3", "PMIX_SERVER_URI21",
                                         "PMIX_SERVER_URI2", "PMIX_SERVER_URI" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (launch_variable(names[i]))
            return true;
    return false;
}

static bool present(void)
{
    return launch_variable("PMIX_RANK") && launch_variable("PMIX_NAMESPACE") && have_server() &&
           available();
}

/* What a fence's callback and its waiter share; the later of the two frees it,
 * because a fence that came too late still calls. */
struct fence {
    pthread_mutex_t lock;
    pthread_cond_t  done;
    int             users;
    bool            ended;
    pmix_status_t   status;
};

/* Unlocks, too. */
static void fence_leave(struct fence *fence)
{
    bool last = --fence->users == 0;

    pthread_mutex_unlock(&fence->lock);
    if (last) {
        pthread_cond_destroy(&fence->done);
        pthread_mutex_destroy(&fence->lock);
        free(fence);
    }
}

static void fence_ended(pmix_status_t status, void *context)
{
    struct fence *fence = context;

    pthread_mutex_lock(&fence->lock);
    fence->ended = true;
    fence->status = status;
    pthread_cond_signal(&fence->done);
    fence_leave(fence);
}

static struct fence *fence_new(void)
{
    struct fence *fence = calloc(1, sizeof *fence);
    pthread_condattr_t attributes;

    if (!fence)
        return NULL;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&fence->done, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&fence->lock, NULL);
    fence->users = 2;
    return fence;
}

static int fence_wait(struct fence *fence, uint64_t deadline)
{
    struct timespec until;
    int error = 0, left = clock_left_ms(deadline);

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += left / 1000;
    until.tv_nsec += left % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    while (!fence->ended && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&fence->done, &fence->lock, &until);
    if (!fence->ended)
        return status_fail(PEAL_ERR_TIMEOUT, "PMIx_Fence: not all ranks came in time: did one "
                           "fail before it called peal_init?");
    if (fence->status != PMIX_SUCCESS)
        return status_fail(PEAL_ERR_LAUNCH, "PMIx_Fence: %s", pmix.Error_string(fence->status));
    return PEAL_OK;
}

/* All ranks meet, and what was put becomes known to all. */
static int meet(uint64_t deadline)
{
    struct fence *fence = fence_new();
    pmix_info_t collect;
    pmix_status_t error;
    int status;

    if (!fence)
        return status_fail(PEAL_ERR_MEMORY, "no memory to wait for a PMIx fence");
    memset(&collect, 0, sizeof collect);
    snprintf(collect.key, sizeof collect.key, "%s", PMIX_COLLECT_DATA);
    collect.value.type = PMIX_BOOL;
    collect.value.data.flag = true;
    error = pmix.Fence_nb(NULL, 0, &collect, 1, fence_ended, fence);
    pthread_mutex_lock(&fence->lock);
    if (error != PMIX_SUCCESS) {
        fence->users--;        /* it will not call */
        fence->ended = true;
        fence->status = error == PMIX_OPERATION_SUCCEEDED ? PMIX_SUCCESS : error;
    }
    status = fence_wait(fence, deadline);
    fence_leave(fence);
    return status;
}

static int put(const char *key, char *card)
{
    pmix_value_t value;
    pmix_status_t error;

    memset(&value, 0, sizeof value);
    value.type = PMIX_STRING;
    value.data.string = card;
    error = pmix.Put(PMIX_GLOBAL, key, &value);
    if (error == PMIX_SUCCESS)
        error = pmix.Commit();
    if (error != PMIX_SUCCESS)
        return status_fail(PEAL_ERR_LAUNCH, "PMIx_Put and PMIx_Commit: %s",
                           pmix.Error_string(error));
    return PEAL_OK;
}

/* A value of a rank of our namespace, waiting for it until the deadline. */
static int get(pmix_rank_t rank, const char *key, uint64_t deadline, pmix_value_t **value)
{
    pmix_proc_t proc = self;
    pmix_info_t limit;
    pmix_status_t error;

    proc.rank = rank;
    memset(&limit, 0, sizeof limit);
    snprintf(limit.key, sizeof limit.key, "%s", PMIX_TIMEOUT);
    limit.value.type = PMIX_INT;
    limit.value.data.integer = clock_left_ms(deadline) / 1000 + 1;
    error = pmix.Get(&proc, key, &limit, 1, value);
    if (error != PMIX_SUCCESS || !*value)
        return status_fail(PEAL_ERR_LAUNCH, "PMIx_Get of %s: %s", key, pmix.Error_string(error));
    return PEAL_OK;
}

static int get_size(uint64_t deadline, int *nranks)
{
    pmix_value_t *value = NULL;
    int status = get(PMIX_RANK_WILDCARD, PMIX_JOB_SIZE, deadline, &value);

    if (status != PEAL_OK)
        return status;
    if (value->type != PMIX_UINT32 || value->data.uint32 < 1 ||
        value->data.uint32 > LAUNCH_RANKS)
        status = status_fail(PEAL_ERR_PROTOCOL, "PMIx gives no usable job size");
    else
        *nranks = (int)value->data.uint32;
    free(value);
    return status;
}

static int take_card(const char *key, uint64_t deadline, struct job_options *options)
{
    pmix_value_t *value = NULL;
    int status = get(0, key, deadline, &value);

    if (status != PEAL_OK)
        return status;
    if (value->type != PMIX_STRING || !value->data.string) {
        free(value);
        return status_fail(PEAL_ERR_PROTOCOL, "PMIx holds no text as rank 0's card");
    }
    status = launch_accept(value->data.string, options);
    explicit_bzero(value->data.string, strlen(value->data.string));
    free(value->data.string);
    free(value);
    return status;
}

static int exchange(struct job_options *options, uint64_t deadline)
{
    char key[32], card[LAUNCH_CARD], story[1024];
    int status, offered;

    snprintf(key, sizeof key, "peal-%u", jobs++);
    if (options->rank != 0) {
        status = meet(deadline);
        return status == PEAL_OK ? take_card(key, deadline, options) : status;
    }
    offered = launch_offer(options, card);
    snprintf(story, sizeof story, "%s", status_text());
    status = put(key, card);
    explicit_bzero(card, sizeof card);
    if (status == PEAL_OK)
        status = meet(deadline);
    return offered != PEAL_OK ? status_fail(offered, "%s", story) : status;
}

static void close_session(void)
{
    if (user == getpid())
        pmix.Finalize(NULL, 0);
}

static int open_session(void)
{
    pmix_status_t error;

    if (user == getpid())
        return PEAL_OK;
    error = pmix.Init(&self, NULL, 0);
    if (error != PMIX_SUCCESS)
        return status_fail(PEAL_ERR_LAUNCH, "PMIx_Init: %s.  If the launcher's PMIx does not fit "
                           "this libpmix, set PEAL_LAUNCHER=ompi or slurm, PEAL_ROOT and "
                           "PEAL_SECRET", pmix.Error_string(error));
    if (!user)
        atexit(close_session);
    user = getpid();
    return PEAL_OK;
}

static int meet_others(struct job_options *options, uint64_t deadline)
{
    int status = open_session();

    if (status == PEAL_OK)
        status = get_size(deadline, &options->nranks);
    if (status != PEAL_OK)
        return status;
    if (self.rank >= (pmix_rank_t)options->nranks)
        return status_fail(PEAL_ERR_PROTOCOL, "PMIx gives rank %u of %d", self.rank,
                           options->nranks);
    options->rank = (int)self.rank;
    return options->nranks > 1 ? exchange(options, deadline) : PEAL_OK;
}

static int describe(struct job_options *options, uint64_t deadline)
{
    int status;

    pthread_mutex_lock(&lock);
    status = meet_others(options, deadline);
    pthread_mutex_unlock(&lock);
    if (status == PEAL_OK)
        return PEAL_OK;
    if (options->root_listener >= 0)
        close(options->root_listener);
    options->root_listener = -1;
    return status_prefix(status, "launcher pmix, rank %s: ", launch_variable("PMIX_RANK"));
}

static const char *const variables[] = { "PMIX_RANK", "PMIX_NAMESPACE", "PMIX_VERSION", NULL };

const struct launcher launch_pmix = {
    .name = "pmix",
    .looks_for = "PMIX_RANK, PMIX_NAMESPACE, PMIX_SERVER_URI* and libpmix.so.2 (mpirun of Open "
                 "MPI, srun --mpi=pmix)",
    .present = present,
    .describe = describe,
    .variables = variables,
};
