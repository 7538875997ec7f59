/* SPDX-License-Identifier: BSD-3-Clause */
#include "api/check.h"

#include "base/clock.h"
#include "base/log.h"
#include "comm/launch.h"
#include "comm/unique.h"

#include <stdlib.h>
#include <string.h>

/* A communicator that is ready for collectives, or none. */
static int with_collectives(int status, struct peal_comm *comm, peal_comm_t *out)
{
    if (status)
        return status;
    status = coll_prepare(comm);
    if (status) {
        comm_break(comm, status, status_text());   /* the others may have got theirs */
        comm_free(comm, false);
        return status;
    }
    *out = comm;
    return PEAL_OK;
}

/* Before anybody is met, so that a wrong word is told at once. */
static int fill_options(const peal_config_t *config, struct comm_options *options)
{
    const struct algorithm *forced[COLLECTIVES];
    int status = comm_options_fill(config, options);

    return status ? status : select_parse(options->algorithms, forced);
}

static int meet(struct job_options *job_options, const struct comm_options *options,
                peal_comm_t *out)
{
    struct peal_comm *comm = NULL;
    struct job *job = NULL;
    int status;

    log_set_rank(job_options->rank);
    if (job_options->nranks > 1) {
        job_options->timeout = options->init_timeout;
        memcpy(job_options->transports, options->transports, sizeof options->transports);
        if ((status = job_create(job_options, &job)))
            return status;
    }
    status = comm_create_world(job, options, &comm);
    return with_collectives(status, comm, out);
}

int peal_init(const peal_config_t *config, peal_comm_t *world)
{
    struct comm_options options;
    struct job_options job_options;
    const char *launcher;
    int status = check_pointer(__func__, "world", world);

    settings_warn_unknown();
    if (status || (status = fill_options(config, &options)))
        return status;
    status = launch_describe(&job_options, clock_deadline(options.init_timeout), &launcher);
    if (status)
        return status;
    log_info("rank %d of %d, told by: %s", job_options.rank, job_options.nranks, launcher);
    return meet(&job_options, &options, world);
}

int peal_get_unique_id(peal_unique_id_t *id)
{
    int status = check_pointer(__func__, "id", id);

    return status ? status : unique_make(id);
}

int peal_comm_create(const peal_unique_id_t *id, int rank, int nranks,
                     const peal_config_t *config, peal_comm_t *comm)
{
    struct comm_options options;
    struct job_options job_options;
    int status = check_pointer(__func__, "comm", comm);

    settings_warn_unknown();
    if (!status)
        status = check_pointer(__func__, "id", id);
    if (!status && (nranks < 1 || rank < 0 || rank >= nranks))
        status = status_fail(PEAL_ERR_ARGUMENT, "%s: rank %d of %d ranks is not possible",
                             __func__, rank, nranks);
    if (status || (status = fill_options(config, &options)) ||
        (status = unique_use(id, rank, nranks, &job_options)))
        return status;
    return meet(&job_options, &options, comm);
}

struct candidate { int32_t color, key, rank; };

static int by_color_key_rank(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;

    if (a->color != b->color)
        return a->color < b->color ? -1 : 1;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->rank < b->rank ? -1 : a->rank > b->rank;
}

/* The members of our color in their new order. */
static int exchange(peal_comm_t comm, struct candidate mine, int *members, int *nmembers)
{
    struct candidate *all = calloc((size_t)comm->nranks, sizeof *all);
    int status, n = 0;

    if (!all)
        return status_fail(PEAL_ERR_MEMORY, "no memory to split %d ranks", comm->nranks);
    status = peal_allgather(&mine, all, sizeof mine, PEAL_UINT8, comm);
    if (status == PEAL_OK) {
        qsort(all, (size_t)comm->nranks, sizeof *all, by_color_key_rank);
        for (int i = 0; i < comm->nranks; i++)
            if (all[i].color == mine.color)
                members[n++] = all[i].rank;
        *nmembers = n;
    }
    free(all);
    return status;
}

int peal_comm_split(peal_comm_t comm, int color, int key, peal_comm_t *newcomm)
{
    struct peal_comm *made = NULL;
    int *members, n = 0, status = check_comm(__func__, comm);

    if (!status)
        status = check_pointer(__func__, "newcomm", newcomm);
    if (!status && color < 0 && color != PEAL_UNDEFINED)
        status = status_fail(PEAL_ERR_ARGUMENT, "%s: color is %d; use 0 or more, or "
                             "PEAL_UNDEFINED", __func__, color);
    if (status)
        return status;
    members = calloc((size_t)comm->nranks, sizeof *members);
    if (!members)
        return status_fail(PEAL_ERR_MEMORY, "no memory to split %d ranks", comm->nranks);
    status = exchange(comm, (struct candidate){ color, key, comm->rank }, members, &n);
    if (status == PEAL_OK && color == PEAL_UNDEFINED) {
        comm->children++;              /* ids of later communicators must agree */
        *newcomm = PEAL_COMM_NULL;
    } else if (status == PEAL_OK) {
        status = comm_create_group(comm, members, n, (uint64_t)color, &made);
        status = with_collectives(status, made, newcomm);
    }
    free(members);
    return status;
}

int peal_comm_dup(peal_comm_t comm, peal_comm_t *newcomm)
{
    int status = check_comm(__func__, comm);

    return status ? status : peal_comm_split(comm, 0, comm->rank, newcomm);
}

int peal_comm_free(peal_comm_t *comm)
{
    const struct coll_call leaving = { .collective = BARRIER, .count = COLL_LEAVING };
    int status = check_pointer(__func__, "comm", comm);
    char kept[STATUS_TEXT];
    struct peal_comm *c;
    bool healthy;

    if (status || *comm == PEAL_COMM_NULL)
        return status;
    c = *comm;
    *comm = PEAL_COMM_NULL;
    status_keep(kept);                 /* what is found on the way out is no failure */
    comm_still(c);
    healthy = comm_check(c) == PEAL_OK;
    if (healthy) {
        status = coll_finish(c);
        if (!status && c->nranks > 1)
            status = coll_run(c, &leaving);
        healthy = status == PEAL_OK;
    }
    if (status)
        status_keep(kept);
    engine_break(&c->engine, PEAL_ERR_STATE, healthy);
    coll_free(c);
    comm_free(c, healthy);
    status_restore(kept);
    return status;
}

int peal_comm_abort(peal_comm_t comm, const char *reason)
{
    int status = check_comm(__func__, comm);

    if (!status)
        comm_abort(comm, reason);
    return status;
}

int peal_comm_rank(peal_comm_t comm, int *rank)
{
    int status = check_comm(__func__, comm);

    if (!status)
        status = check_pointer(__func__, "rank", rank);
    if (!status)
        *rank = comm->rank;
    return status;
}

int peal_comm_size(peal_comm_t comm, int *size)
{
    int status = check_comm(__func__, comm);

    if (!status)
        status = check_pointer(__func__, "size", size);
    if (!status)
        *size = comm->nranks;
    return status;
}

int peal_comm_set_timeout(peal_comm_t comm, double seconds)
{
    int status = check_comm(__func__, comm);

    if (!status && !(seconds > 0))
        status = status_fail(PEAL_ERR_ARGUMENT, "%s: %g seconds are not positive", __func__,
                             seconds);
    if (!status)
        comm->options.timeout = seconds;
    return status;
}
