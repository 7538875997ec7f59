/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/job_state.h"

#include "base/clock.h"
#include "comm/launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

const struct setting job_settings[] = {
    [JOB_INTERFACE] = { "PEAL_INTERFACE", NULL,
                        "network interface to listen on: name or beginning of it, =name, "
                        "^not this, or an address (0.0.0.0 or :: for all); default: the one "
                        "that leads to rank 0", "NCCL_SOCKET_IFNAME" },
    [JOB_PORTS] = { "PEAL_PORTS", "0", "TCP ports to listen on, low-high; 0: any", NULL },
    [JOB_FAMILY] = { "PEAL_FAMILY", "auto", "internet protocol: 4, 6 or auto",
                     "NCCL_SOCKET_FAMILY" },
    [JOB_VISIT_TIMEOUT] = { "PEAL_VISIT_TIMEOUT", "2",
                            "seconds that a connection has to prove the job's secret", NULL },
    [JOB_KEEPALIVE] = { "PEAL_KEEPALIVE", "10",
                        "seconds until a silent rank (stopped, cut off) counts as dead; "
                        "0: never", NULL },
    [JOB_LOOPBACK] = { "PEAL_TCP_LOOPBACK", "reno",
                       "congestion control between ranks on one host; system: as elsewhere",
                       NULL },
    { NULL, NULL, NULL, NULL }
};

/* ---- A job of threads ------------------------------------------------- */

static unsigned char process_secret[JOB_SECRET];
static pthread_once_t process_secret_once = PTHREAD_ONCE_INIT;
static bool process_secret_made;

static void make_process_secret(void)
{
    process_secret_made = getrandom(process_secret, sizeof(process_secret), 0) ==
                          (ssize_t)sizeof(process_secret);
}

static int take_process_secret(unsigned char secret[JOB_SECRET])
{
    pthread_once(&process_secret_once, make_process_secret);
    if (!process_secret_made)
        return status_fail(PEAL_ERR_SYSTEM, "no random numbers for the job's secret");
    memcpy(secret, process_secret, JOB_SECRET);
    return PEAL_OK;
}

/* ---- Taking down ------------------------------------------------------ */

void job_free(struct job *job)
{
    if (!job)
        return;
    for (struct command *c = job->commands, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    for (struct errand *e = job->errands, *next; e; e = next) {
        next = e->next;
        free(e);
    }
    door_close(&job->door);
    if (job->wake >= 0)
        close(job->wake);
    pthread_cond_destroy(&job->changed);
    pthread_mutex_destroy(&job->members_lock);
    pthread_mutex_destroy(&job->lock);
    free(job->records);
    free(job->present);
    free(job->order);
    free(job->dead);
    free(job->table);
    explicit_bzero(&job->options, sizeof(job->options));
    free(job);
}

/* ---- Making ----------------------------------------------------------- */

/* The port is all that ranks surely know alike: names and addresses of one
 * host differ.  The secret tells jobs apart; the number only saves a wrong
 * one the trouble. */
static uint64_t id_of_root(const struct place *root)
{
    return (place_port(root) + UINT64_C(1)) * 0x9e3779b97f4a7c15u;
}

/* The object with its defaults; nothing is opened. */
static struct job *job_new(const struct job_options *options)
{
    struct job *job = calloc(1, sizeof(*job));
    size_t n = (size_t)options->nranks;

    if (!job)
        return NULL;
    job->options = *options;
    job->wake = job->door.tcp = job->door.local = -1;
    job->references = 1;
    job->last_command = &job->commands;
    pthread_mutex_init(&job->lock, NULL);
    pthread_mutex_init(&job->members_lock, NULL);
    pthread_cond_init(&job->changed, NULL);
    job->born = clock_now();
    job->deadline = clock_deadline(options->timeout);
    job->visit_timeout = setting_number(&job_settings[JOB_VISIT_TIMEOUT], 0.01, 3600);
    job->keepalive = setting_number(&job_settings[JOB_KEEPALIVE], 0, 86400);
    job->records = calloc(n, sizeof(*job->records));
    job->present = calloc(n, sizeof(*job->present));
    job->order = calloc(n, sizeof(*job->order));
    job->dead = calloc(n, sizeof(*job->dead));
    if (job->records && job->present && job->order && job->dead)
        return job;
    job_free(job);
    return NULL;
}

/* Everything but the thread. */
static int job_open(struct job *job)
{
    int status = PEAL_OK;

    job->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (job->wake < 0)
        return status_fail(PEAL_ERR_SYSTEM, "eventfd: %m");
    if (job->options.threads_only)
        status = take_process_secret(job->options.secret);
    if (status == PEAL_OK)
        status = listener_resolve(job->options.root, job->deadline, job->roots, JOB_ADDRESSES,
                                  &job->nroots);
    if (status)
        return status;
    job->id = job->options.id ? job->options.id : id_of_root(&job->roots[0]);
    status = door_open(&job->options, job->roots, job->nroots, &job->door);
    job->options.root_listener = -1;
    return status ? status : rendezvous_begin(job);
}

/* The application's signals are not for our thread. */
static int start_thread(struct job *job)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&job->thread, NULL, monitor_main, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        errno = error;
        return status_fail(PEAL_ERR_SYSTEM, "cannot start the monitor thread: %m");
    }
    return PEAL_OK;
}

static int await_meeting(struct job *job)
{
    int status;

    pthread_mutex_lock(&job->lock);
    while (!job->decided)
        pthread_cond_wait(&job->changed, &job->lock);
    status = job->outcome;
    pthread_mutex_unlock(&job->lock);
    if (status == PEAL_OK)
        return PEAL_OK;
    pthread_join(job->thread, NULL);
    return status_fail(status, "%s", job->outcome_text);
}

int job_create(const struct job_options *options, struct job **job)
{
    struct job *made = NULL;
    int listener = options->root_listener, status;

    if (options->nranks < 2 || options->rank < 0 || options->rank >= options->nranks)
        status = status_fail(PEAL_ERR_ARGUMENT, "rank %d of %d: a job has two ranks or more",
                             options->rank, options->nranks);
    else
        status = handshake_usable(options->threads_only);
    if (status == PEAL_OK && !(made = job_new(options)))
        status = status_fail(PEAL_ERR_MEMORY, "out of memory for a job of %d ranks",
                             options->nranks);
    if (status == PEAL_OK) {
        status = job_open(made);
        listener = made->options.root_listener;
    }
    if (status == PEAL_OK)
        status = start_thread(made);
    if (status == PEAL_OK)
        status = await_meeting(made);
    if (status) {
        if (options->rank == 0 && listener >= 0)
            close(listener);
        job_free(made);
        return status;
    }
    *job = made;
    return PEAL_OK;
}

/* ---- Listening before others are told --------------------------------- */

int job_listen(struct job_options *options)
{
    static const unsigned char loopback[4] = { 127, 0, 0, 1 };
    unsigned char fresh[JOB_SECRET + sizeof(uint64_t)];
    char text[PLACE_TEXT];
    struct place bound, shown;
    int listener, status = PEAL_OK;

    if (getrandom(fresh, sizeof(fresh), 0) != (ssize_t)sizeof(fresh))
        return status_fail(PEAL_ERR_SYSTEM, "no random numbers for the job's secret: %m");
    if (options->threads_only) {
        place_make(4, loopback, 0, &bound);
        shown = bound;
    } else {
        status = listener_choose(NULL, &bound, &shown);
    }
    if (status == PEAL_OK)
        status = listener_open(&bound, 0, &listener);
    if (status)
        return status;
    place_set_port(&shown, place_port(&bound));
    snprintf(options->root, sizeof(options->root), "%s", place_text(&shown, text));
    options->root_listener = listener;
    memcpy(options->secret, fresh, JOB_SECRET);
    memcpy(&options->id, fresh + JOB_SECRET, sizeof(options->id));
    options->id |= 1;                  /* 0 means: none */
    explicit_bzero(fresh, sizeof(fresh));
    return PEAL_OK;
}
