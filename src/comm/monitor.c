/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/job_state.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* What one round watches: the wake-up, two doors, and all connections. */
enum { WATCHED = 3 + 2 * VISITS_PER_DOOR + DIALS_AT_A_TIME + TREE_FANOUT + 2 };

struct round {
    struct pollfd  polls[WATCHED];
    struct visit  *visits[WATCHED];
    struct branch *branches[WATCHED];
    int            doors[WATCHED];     /* -1: none */
    int            count;
    uint64_t       until;
};

/* ---- Commands of other threads ---------------------------------------- */

static void dial(struct job *job, const struct command *command)
{
    struct claim claim = { .rank = (uint32_t)job->options.rank,
                           .target = (uint32_t)command->peer,
                           .communicator = command->control.communicator,
                           .nsockets = (uint16_t)command->count,
                           .set = ++job->next_set };

    memcpy(claim.transport, command->transport, sizeof(claim.transport));
    if (job->failed) {
        mail_refuse(job, &claim, job->failed, job->failed_text);
        return;
    }
    for (int i = 0; i < command->count; i++) {
        struct errand *errand = errand_start(job, HANDSHAKE_LINK, command->kind, command->peer,
                                             clock_deadline(job->options.timeout));

        if (!errand) {
            mail_refuse(job, &claim, PEAL_ERR_MEMORY, "out of memory for a connection");
            return;
        }
        errand->claim.communicator = claim.communicator;
        errand->claim.set = claim.set;
        errand->claim.nsockets = claim.nsockets;
        errand->claim.socket = (uint16_t)i;
        memcpy(errand->claim.transport, claim.transport, sizeof(claim.transport));
    }
}

static void leave(struct job *job, const struct command *command)
{
    job->leaving = true;
    job->leave_deadline = command->deadline;
    if (command->orderly && !job->failed)
        tree_leave(job);
    else
        monitor_close(job, true, 1);
}

static void obey(struct job *job, const struct command *command)
{
    switch (command->what) {
    case COMMAND_LOOK:   mail_look(job); break;
    case COMMAND_DIAL:   dial(job, command); break;
    case COMMAND_TELL:   tree_handle(job, &command->control, NULL); break;
    case COMMAND_FORGET: mail_forget(job, command->control.communicator); break;
    case COMMAND_LEAVE:  leave(job, command); break;
    }
}

static void obey_all(struct job *job)
{
    struct command *command, *next;
    struct control control;
    uint64_t count;
    int lost;

    while (read(job->wake, &count, sizeof(count)) < 0 && errno == EINTR)
        continue;
    pthread_mutex_lock(&job->lock);
    command = job->commands;
    job->commands = NULL;
    job->last_command = &job->commands;
    pthread_mutex_unlock(&job->lock);
    lost = atomic_exchange(&job->lost, 0);
    if (lost) {
        control_init(&control, CONTROL_FAIL, 0, job->options.rank, lost,
                     "a rank failed and had no memory to say how");
        tree_handle(job, &control, NULL);
    }
    for (; command; command = next) {
        next = command->next;
        obey(job, command);
        free(command);
    }
}

/* ---- The end ---------------------------------------------------------- */

void monitor_close(struct job *job, bool bye, double seconds)
{
    struct control control;

    if (job->closing)
        return;
    if (bye) {
        job->bye = true;
        control_init(&control, CONTROL_BYE, 0, job->options.rank, 0, NULL);
        tree_flood(job, &control, NULL);
    }
    job->closing = true;
    job->close_deadline = clock_deadline(seconds);
    door_close(&job->door);
    for (struct visit *v = job->visits; v; v = v->next)
        if (!v->errand)
            visit_end(job, v);
    /* The children must still get the table. */
    for (struct errand *e = job->errands; e; e = e->next)
        if (!e->over && e->purpose != HANDSHAKE_TREE)
            errand_end(job, e);
    for (struct branch *b = job->branches; b; b = b->next)
        branch_shut(b);
}

static bool closed(const struct job *job)
{
    if (!job->closing)
        return false;
    if (job->close_deadline <= clock_now())
        return true;
    for (const struct branch *b = job->branches; b; b = b->next)
        if (!b->over)
            return false;
    return !errands_left(job, HANDSHAKE_TREE);
}

static void drop_all(struct job *job)
{
    for (struct errand *e = job->errands, *next; e; e = next) {
        next = e->next;
        errand_end(job, e);
        free(e);
    }
    job->errands = NULL;
    for (struct visit *v = job->visits, *next; v; v = next) {
        next = v->next;
        visit_end(job, v);
        free(v);
    }
    job->visits = NULL;
    for (struct branch *b = job->branches, *next; b; b = next) {
        next = b->next;
        branch_free(b);
    }
    job->branches = NULL;
    mail_free(job);
    door_close(&job->door);
}

/* ---- One round -------------------------------------------------------- */

static void sooner(struct round *round, uint64_t when)
{
    if (when < round->until)
        round->until = when;
}

static void watch(struct round *round, int fd, short events, struct visit *visit,
                  struct branch *branch, int door)
{
    int i = round->count;

    if (i == WATCHED)
        return;
    round->polls[i] = (struct pollfd){ .fd = fd, .events = events };
    round->visits[i] = visit;
    round->branches[i] = branch;
    round->doors[i] = door;
    round->count++;
}

/* Do what is due, and sweep what is over. */
static void tick(struct job *job, struct round *round)
{
    uint64_t now = clock_now();

    for (struct visit *v = job->visits; v; v = v->next)
        visit_tick(job, v, now);
    sooner(round, rendezvous_tick(job, now));
    sooner(round, errands_tick(job, now));
    sooner(round, mail_tick(job, now));
    sooner(round, tree_tick(job, now));
    if (job->leaving && !job->closing) {
        if (job->leave_deadline <= now)
            monitor_close(job, true, 1);
        else
            sooner(round, job->leave_deadline);
    }
    if (job->closing)
        sooner(round, job->close_deadline);
    for (struct visit **at = &job->visits, *v; (v = *at) != NULL;) {
        if (v->over) {
            *at = v->next;
            free(v);
        } else {
            at = &v->next;
        }
    }
    for (struct branch **at = &job->branches, *b; (b = *at) != NULL;) {
        if (b->over) {
            *at = b->next;
            branch_free(b);
        } else {
            at = &b->next;
        }
    }
}

static void watch_doors(struct job *job, struct round *round)
{
    const int sockets[2] = { job->door.tcp, job->door.local };
    uint64_t now = clock_now();

    for (int d = 0; d < 2; d++) {
        if (sockets[d] < 0)
            continue;
        if (job->door_resumes[d] > now)
            sooner(round, job->door_resumes[d]);
        else
            watch(round, sockets[d], POLLIN, NULL, NULL, d);
    }
}

static void watch_all(struct job *job, struct round *round)
{
    watch(round, job->wake, POLLIN, NULL, NULL, -1);
    for (struct branch *b = job->branches; b; b = b->next)
        watch(round, b->fd, branch_events(b), NULL, b, -1);
    for (struct visit *v = job->visits; v; v = v->next) {
        watch(round, v->fd, visit_events(v), v, NULL, -1);
        sooner(round, v->deadline);
    }
    watch_doors(job, round);
}

/* Connections first, so that they leave before new ones come in. */
static void serve(struct job *job, struct round *round)
{
    for (int i = 0; i < round->count; i++) {
        short events = round->polls[i].revents;

        if (!events)
            continue;
        if (i == 0)
            obey_all(job);
        else if (round->branches[i] && !round->branches[i]->over)
            branch_ready(job, round->branches[i], events);
        else if (round->visits[i] && !round->visits[i]->over)
            visit_ready(job, round->visits[i], events);
        else if (round->doors[i] >= 0 && !job->closing)
            visit_accept(job, round->doors[i]);
    }
}

/* poll() refuses when the limit of open files has been lowered below what we
 * watch, or for want of memory: neither is a reason to spin or to give up. */
static void rest(void)
{
    const struct timespec pause = { .tv_nsec = 10000000 };

    nanosleep(&pause, NULL);
}

void *monitor_main(void *argument)
{
    struct job *job = argument;
    struct round round;
    int ready;

    pthread_setname_np(pthread_self(), "peal-monitor");
    log_set_rank(job->options.rank);
    for (;;) {
        round.count = 0;
        round.until = UINT64_MAX;
        tick(job, &round);
        if (closed(job))
            break;
        watch_all(job, &round);
        ready = poll(round.polls, (nfds_t)round.count,
                     round.until == UINT64_MAX ? -1 : clock_left_ms(round.until));
        if (ready > 0)
            serve(job, &round);
        else if (ready < 0 && errno != EINTR)
            rest();
    }
    drop_all(job);
    return NULL;
}
