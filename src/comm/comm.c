/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/comm.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/numa.h"
#include "comm/inbox.h"
#include "comm/position.h"
#include "comm/where.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct setting comm_settings[] = {
    { "PEAL_TIMEOUT", "1800", "seconds until a call fails with PEAL_ERR_TIMEOUT", NULL },
    { "PEAL_INIT_TIMEOUT", "300", "seconds for all ranks of a job to meet", NULL },
    { "PEAL_TRANSPORTS", NULL, "transports that may be used, best first, e.g. \"self,shm,tcp\" "
      "(default: all of peal-info)", NULL },
    { "PEAL_ALGORITHMS", NULL, "algorithms to use, e.g. \"allreduce:ring,bcast:chain\" "
      "(default: chosen by cost)", NULL },
    { "PEAL_REPRODUCIBLE", "0", "1: results have the same bits whatever the algorithm, "
      "transport and placement", NULL },
    { "PEAL_PROGRESS", "0", "1: a thread per communicator moves nonblocking operations while "
      "the program computes; it also runs user-defined operations", NULL },
    { NULL, NULL, NULL, NULL }
};
enum { TIMEOUT, INIT_TIMEOUT, TRANSPORTS, ALGORITHMS, REPRODUCIBLE, PROGRESS };

static int copy_option(const char *given, int setting, char *to, size_t bytes)
{
    const char *text = given ? given : setting_text(&comm_settings[setting], NULL);

    if (!text)
        text = "";
    if (strlen(text) >= bytes)
        return status_fail(PEAL_ERR_ARGUMENT, "%s is longer than %zu characters: \"%s\"",
                           comm_settings[setting].name, bytes - 1, text);
    strcpy(to, text);
    return PEAL_OK;
}

static int check_transports(const char *list)
{
    while (*list) {
        char name[TRANSPORT_NAME];
        size_t length = strcspn(list, ",");

        snprintf(name, sizeof name, "%.*s", (int)length, list);
        if (!transport_find(name)) {
            char known[128] = "";

            for (const struct transport *const *t = transports; *t; t++)
                snprintf(known + strlen(known), sizeof known - strlen(known), " %s", (*t)->name);
            return status_fail(PEAL_ERR_ARGUMENT,
                               "unknown transport \"%s\" in PEAL_TRANSPORTS or the "
                               "configuration; this build has:%s", name, known);
        }
        list += length + (list[length] == ',');
    }
    return PEAL_OK;
}

int comm_options_fill(const peal_config_t *config, struct comm_options *options)
{
    static const peal_config_t none = PEAL_CONFIG_INIT;
    struct comm_options filled = { .timeout = 0 };
    int status;

    if (!config)
        config = &none;
    if (config->size != sizeof *config)
        return status_fail(PEAL_ERR_ARGUMENT, "peal_config_t has size %zu instead of %zu; "
                           "start from PEAL_CONFIG_INIT and compile against the installed peal.h",
                           config->size, sizeof *config);
    if (config->timeout < 0 || config->init_timeout < 0)
        return status_fail(PEAL_ERR_ARGUMENT, "a timeout is negative: timeout %g, "
                           "init_timeout %g", config->timeout, config->init_timeout);
    filled.timeout = config->timeout > 0 ? config->timeout
                   : setting_number(&comm_settings[TIMEOUT], 1e-3, 1e9);
    filled.init_timeout = config->init_timeout > 0 ? config->init_timeout
                        : setting_number(&comm_settings[INIT_TIMEOUT], 1e-3, 1e9);
    filled.progress = setting_flag(&comm_settings[PROGRESS]);
    filled.reproducible = config->reproducible || setting_flag(&comm_settings[REPRODUCIBLE]);
    if ((status = copy_option(config->transports, TRANSPORTS, filled.transports,
                              sizeof filled.transports)) ||
        (status = copy_option(config->algorithms, ALGORITHMS, filled.algorithms,
                              sizeof filled.algorithms)) ||
        (status = check_transports(filled.transports)))
        return status;
    *options = filled;
    return PEAL_OK;
}

/* ---- Making and freeing ------------------------------------------------- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    /* splitmix64's finaliser over a combination of the two. */
    uint64_t x = a + UINT64_C(0x9e3779b97f4a7c15) * (b + 1);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return x ? x : 1;              /* 0 means "all communicators" to a job */
}

const struct where *comm_where(const struct peal_comm *comm, int rank)
{
    return comm->job ? job_where(comm->job, comm->job_ranks[rank]) : &comm->self;
}

int comm_local(const struct peal_comm *comm)
{
    int local = 0;

    for (int r = 0; comm->job && r < job_rank(comm->job); r++)
        local += job_where(comm->job, r)->host == comm->self.host;
    return local;
}

static int by_cores(const void *a, const void *b)
{
    const struct where *const *first = a, *const *second = b;
    uint64_t x = (*first)->host, y = (*second)->host;

    if (x == y) {
        x = (*first)->cores;
        y = (*second)->cores;
    }
    return (x > y) - (x < y);
}

/* How many ranks there are for each core, where that is worst, and whether ranks
 * wait for cores here.  The former is the same on all ranks. */
static int count_local(struct peal_comm *comm)
{
    const struct where *self = comm_where(comm, comm->rank);
    const struct where **order = malloc((size_t)comm->nranks * sizeof *order);
    int first = 0;

    if (!order)
        return status_fail(PEAL_ERR_MEMORY, "no memory for a communicator of %d ranks",
                           comm->nranks);
    for (int r = 0; r < comm->nranks; r++) {
        order[r] = comm_where(comm, r);
        comm->local_ranks += order[r]->host == self->host;
    }
    qsort(order, (size_t)comm->nranks, sizeof *order, by_cores);
    comm->crowding = 1;
    for (int i = 1; i <= comm->nranks; i++) {
        int cores = where_cores(order[first]);
        double crowding = cores ? (double)(i - first) / cores : 1;   /* not known: enough */

        if (i < comm->nranks && by_cores(&order[first], &order[i]) == 0)
            continue;
        if (crowding > comm->crowding)
            comm->crowding = crowding;
        if (by_cores(&order[first], &self) == 0)
            comm->engine.crowded = crowding > 1;
        first = i;
    }
    free(order);
    return PEAL_OK;
}

/* `job_ranks` is copied; takes over a reference to the job. */
static int create(struct job *job, uint64_t id, int rank, int nranks, const int *job_ranks,
                  const struct comm_options *options, struct peal_comm **comm)
{
    struct peal_comm *c = calloc(1, sizeof *c);
    int status;

    if (!c) {
        if (job)
            job_release(job, false, 0);
        return status_fail(PEAL_ERR_MEMORY, "no memory for a communicator");
    }
    pthread_mutex_init(&c->lock, NULL);
    c->job = job;
    c->id = id;
    c->rank = rank;
    c->nranks = nranks;
    c->options = *options;
    c->engine.owner = c;
    c->engine.join = comm_join;
    c->engine.stalled = comm_stalled;
    if ((status = engine_init(&c->engine, rank, nranks)))
        goto fail;
    c->job_ranks = calloc((size_t)nranks, sizeof *c->job_ranks);
    c->inboxes = inbox_create(nranks);
    if (!c->job_ranks || !c->inboxes) {
        status = status_fail(PEAL_ERR_MEMORY, "no memory for a communicator of %d ranks", nranks);
        goto fail;
    }
    for (int r = 0; r < nranks; r++)
        c->job_ranks[r] = job_ranks ? job_ranks[r] : r;
    if (job)
        c->self = *job_where(job, job_rank(job));
    else if ((status = where_find(&c->self)))
        goto fail;
    if ((status = count_local(c)))
        goto fail;
    if (job)
        comm_attach(c);
    *comm = c;
    return PEAL_OK;

fail:
    comm_free(c, false);
    return status;
}

int comm_create_world(struct job *job, const struct comm_options *options,
                      struct peal_comm **comm)
{
    static _Atomic uint64_t alone;     /* worlds of one rank in this process */
    uint64_t id = job ? mix(job_id(job), 1) : mix(0, ++alone);

    int status = create(job, id, job ? job_rank(job) : 0, job ? job_size(job) : 1, NULL, options,
                        comm);

    if (status || !position_binds())
        return status;
    if ((status = position_bind(comm_local(*comm))))
        comm_free(*comm, false);
    else
        (*comm)->self.numa = (uint16_t)(numa_of_thread() + 1);
    return status;
}

int comm_create_group(struct peal_comm *parent, const int *members, int nmembers,
                      uint64_t salt, struct peal_comm **comm)
{
    uint64_t id = mix(mix(parent->id, ++parent->children), salt);
    int *job_ranks = calloc((size_t)nmembers, sizeof *job_ranks);
    int rank = -1, status;

    if (!job_ranks)
        return status_fail(PEAL_ERR_MEMORY, "no memory for a group of %d ranks", nmembers);
    for (int i = 0; i < nmembers; i++) {
        job_ranks[i] = parent->job_ranks[members[i]];
        if (members[i] == parent->rank)
            rank = i;
    }
    if (parent->job)
        job_hold(parent->job);
    status = create(parent->job, id, rank, nmembers, job_ranks, &parent->options, comm);
    free(job_ranks);
    if (status && parent->job)         /* the others may have got theirs */
        job_fail(parent->job, id, status, status_text());
    return status;
}

void comm_free(struct peal_comm *comm, bool orderly)
{
    /* What is broken may be one communicator of a healthy job: its ranks leave in
     * order as well, but do not wait long for those that do not. */
    static const double broken_seconds = 1;
    double wait;

    if (!comm)
        return;
    wait = orderly || comm->options.timeout < broken_seconds ? comm->options.timeout
                                                             : broken_seconds;
    if (comm->job && comm->member.owner)
        job_detach(comm->job, &comm->member);
    engine_free(&comm->engine, orderly);
    inbox_free(comm->inboxes, comm->nranks);
    if (comm->job)
        job_release(comm->job, true, clock_deadline(wait));
    free(comm->job_ranks);
    pthread_mutex_destroy(&comm->lock);
    free(comm);
}

int comm_progress_start(struct peal_comm *comm)
{
    return progress_start(&comm->engine, &comm->progress);
}

void comm_still(struct peal_comm *comm)
{
    progress_stop(comm->progress);
    comm->progress = NULL;
}
