/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/job_state.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int job_rank(const struct job *job)
{
    return job->options.rank;
}

int job_size(const struct job *job)
{
    return job->options.nranks;
}

uint64_t job_id(const struct job *job)
{
    return job->id;
}

const struct where *job_where(const struct job *job, int rank)
{
    return &job->records[rank].where;
}

const struct layout_plan *job_plan(const struct job *job)
{
    return &job->plan;
}

/* ---- Commands to the monitor ------------------------------------------ */

static void wake(struct job *job)
{
    static const uint64_t one = 1;

    while (write(job->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

static struct command *command_new(int what, uint64_t communicator)
{
    struct command *command = calloc(1, sizeof(*command));

    if (command) {
        command->what = what;
        command->control.communicator = communicator;
    }
    return command;
}

static void command_send(struct job *job, struct command *command)
{
    pthread_mutex_lock(&job->lock);
    *job->last_command = command;
    job->last_command = &command->next;
    pthread_mutex_unlock(&job->lock);
    wake(job);
}

/* Without memory for a command nothing can be promised any more. */
static void out_of_memory(struct job *job, int status)
{
    log_error("out of memory: the job fails");
    atomic_store(&job->lost, status);
    wake(job);
}

/* ---- Mailboxes -------------------------------------------------------- */

void job_attach(struct job *job, struct job_member *member)
{
    struct command *look = command_new(COMMAND_LOOK, member->communicator);

    member->told = false;
    pthread_mutex_lock(&job->members_lock);
    member->next = job->members;
    job->members = member;
    pthread_mutex_unlock(&job->members_lock);
    if (look)
        command_send(job, look);
    else
        out_of_memory(job, PEAL_ERR_MEMORY);
}

void job_detach(struct job *job, struct job_member *member)
{
    struct command *forget = command_new(COMMAND_FORGET, member->communicator);

    pthread_mutex_lock(&job->members_lock);
    for (struct job_member **at = &job->members; *at; at = &(*at)->next)
        if (*at == member) {
            *at = member->next;
            break;
        }
    pthread_mutex_unlock(&job->members_lock);
    if (forget)
        command_send(job, forget);     /* else its sockets go with the job */
}

int job_dial(struct job *job, uint64_t communicator, int peer, const char *transport,
             enum socket_kind kind, int count)
{
    struct command *command;

    if (peer <= job->options.rank || peer >= job->options.nranks || count < 1 ||
        count > TRANSPORT_SOCKETS || kind == SOCKET_NONE ||
        !*transport || strlen(transport) >= TRANSPORT_NAME)
        return status_fail(PEAL_ERR_ARGUMENT, "rank %d cannot dial rank %d for %d sockets of "
                           "transport \"%s\"", job->options.rank, peer, count, transport);
    if (kind == SOCKET_LOCAL &&
        job_where(job, peer)->host != job_where(job, job->options.rank)->host)
        return status_fail(PEAL_ERR_UNSUPPORTED, "rank %d is on another host than rank %d: no "
                           "local socket leads there", peer, job->options.rank);
    command = command_new(COMMAND_DIAL, communicator);
    if (!command)
        return status_fail(PEAL_ERR_MEMORY, "out of memory for a connection");
    command->peer = peer;
    command->kind = kind;
    command->count = count;
    strcpy(command->transport, transport);
    command_send(job, command);
    return PEAL_OK;
}

/* ---- Telling all ranks ------------------------------------------------ */

void job_fail(struct job *job, uint64_t communicator, int status, const char *text)
{
    struct command *command = command_new(COMMAND_TELL, communicator);

    if (!command) {
        out_of_memory(job, status);
        return;
    }
    control_init(&command->control, CONTROL_FAIL, communicator, job->options.rank, status,
                 text);
    command_send(job, command);
}

void job_probe(struct job *job, uint64_t communicator, uint64_t call,
               struct signature signature, const char *name)
{
    struct command *command = command_new(COMMAND_TELL, communicator);

    if (!command)
        return;                        /* it is asked again and again */
    control_init(&command->control, CONTROL_PROBE, communicator, job->options.rank, 0, name);
    command->control.call = call;
    command->control.signature = signature;
    command_send(job, command);
}

/* ---- References ------------------------------------------------------- */

void job_hold(struct job *job)
{
    atomic_fetch_add(&job->references, 1);
}

void job_release(struct job *job, bool orderly, uint64_t deadline)
{
    struct command *command;

    if (!job || atomic_fetch_sub(&job->references, 1) != 1)
        return;
    /* Without it the thread cannot be told to end. */
    while (!(command = command_new(COMMAND_LEAVE, 0)))
        usleep(1000);
    command->orderly = orderly;
    command->deadline = deadline;
    command_send(job, command);
    pthread_join(job->thread, NULL);
    job_free(job);
}
