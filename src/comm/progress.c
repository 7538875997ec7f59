/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/progress.h"

#include "base/clock.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct progress {
    struct engine  *engine;
    pthread_t       thread;
    pthread_mutex_t gate;              /* who holds it uses the engine */
    pthread_cond_t  work;
    _Atomic int     wanted;            /* the owner stands before the gate */
    bool            stop, idle, asleep;
};

/* Let the owner in, if it wants: a mutex alone would not be fair. */
static void give_way(struct progress *p)
{
    pthread_mutex_unlock(&p->gate);
    do
        sched_yield();
    while (atomic_load(&p->wanted));
    pthread_mutex_lock(&p->gate);
}

static void sleep_until_something_comes(struct progress *p)
{
    enum { LOOK_MS = 100 };            /* a peer's death is seen by the owner's calls */
    struct pollfd fds[ENGINE_FDS];
    int n = engine_arm(p->engine, fds);

    if (n == 0) {
        give_way(p);
        return;
    }
    p->asleep = true;
    pthread_mutex_unlock(&p->gate);
    poll(fds, (nfds_t)n, LOOK_MS);
    while (atomic_load(&p->wanted))
        sched_yield();
    pthread_mutex_lock(&p->gate);
    p->asleep = false;
    engine_awake(p->engine);
}

static void *progress_main(void *argument)
{
    enum { YIELD_NS = 100000 };        /* without a movement, before it sleeps */
    struct progress *p = argument;
    uint64_t idle_since = 0;

    pthread_mutex_lock(&p->gate);
    while (!p->stop) {
        if (!p->engine->runs || atomic_load(&p->engine->failure)) {
            p->idle = true;
            pthread_cond_wait(&p->work, &p->gate);
            p->idle = false;
            idle_since = 0;
        } else if (engine_progress(p->engine) > 0) {
            idle_since = 0;
            give_way(p);
        } else if (idle_since == 0 || clock_now() - idle_since < YIELD_NS) {
            idle_since = idle_since ? idle_since : clock_now();
            give_way(p);
        } else {
            sleep_until_something_comes(p);
        }
    }
    pthread_mutex_unlock(&p->gate);
    return NULL;
}

int progress_start(struct engine *engine, struct progress **progress)
{
    struct progress *p = calloc(1, sizeof *p);
    sigset_t all, before;
    int error;

    if (!p)
        return status_fail(PEAL_ERR_MEMORY, "no memory for a progress thread");
    p->engine = engine;
    pthread_mutex_init(&p->gate, NULL);
    pthread_cond_init(&p->work, NULL);
    sigfillset(&all);                  /* signals are the program's threads' */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&p->thread, NULL, progress_main, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        pthread_cond_destroy(&p->work);
        pthread_mutex_destroy(&p->gate);
        free(p);
        return status_fail(PEAL_ERR_SYSTEM, "no progress thread: %s; raise the limit of "
                           "processes, or use PEAL_PROGRESS=0", strerror(error));
    }
    *progress = p;
    return PEAL_OK;
}

void progress_stop(struct progress *p)
{
    if (!p)
        return;
    progress_enter(p);
    p->stop = true;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->gate);
    engine_wake(p->engine);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->gate);
    free(p);
}

void progress_enter(struct progress *p)
{
    atomic_fetch_add(&p->wanted, 1);
    pthread_mutex_lock(&p->gate);
    atomic_fetch_sub(&p->wanted, 1);
}

void progress_leave(struct progress *p)
{
    bool left = p->engine->runs != NULL, asleep = p->asleep;

    if (left && p->idle)
        pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->gate);
    /* What the owner did may have disarmed what the thread sleeps on. */
    if (left && asleep)
        engine_wake(p->engine);
}
