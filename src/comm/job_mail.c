/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/job_state.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With members_lock held. */
static struct job_member *member_of(struct job *job, uint64_t communicator)
{
    for (struct job_member *m = job->members; m; m = m->next)
        if (m->communicator == communicator)
            return m;
    return NULL;
}

/* ---- Sockets ---------------------------------------------------------- */

static void set_close(struct job *job, struct link_set *set)
{
    for (int i = 0; i < set->nsockets; i++)
        if (set->sockets[i] >= 0)
            close(set->sockets[i]);
    if (!set->over)
        job->nsets--;
    set->over = true;
    set->nsockets = 0;
}

static struct link_set *set_find(struct job *job, bool dialled, int peer, uint32_t number)
{
    for (struct link_set *s = job->sets; s; s = s->next)
        if (!s->over && s->dialled == dialled && s->peer == peer && s->number == number)
            return s;
    return NULL;
}

static struct link_set *set_new(struct job *job, bool dialled, int peer,
                                const struct claim *claim)
{
    struct link_set *set = calloc(1, sizeof(*set));

    if (!set)
        return NULL;
    set->dialled = dialled;
    set->peer = peer;
    set->number = claim->set;
    set->communicator = claim->communicator;
    set->deadline = clock_deadline(job->options.timeout);
    memcpy(set->transport, claim->transport, sizeof(set->transport));
    set->nsockets = claim->nsockets;
    for (int i = 0; i < TRANSPORT_SOCKETS; i++)
        set->sockets[i] = -1;
    set->next = job->sets;
    job->sets = set;
    job->nsets++;
    return set;
}

bool mail_room(const struct job *job)
{
    return job->nsets < PARKED_SETS;
}

/* If it is complete and its communicator is here: hand it over. */
static void set_deliver(struct job *job, struct link_set *set)
{
    struct job_member *member;

    if (set->over || set->have < set->nsockets)
        return;
    pthread_mutex_lock(&job->members_lock);
    member = member_of(job, set->communicator);
    if (member)
        member->sockets(member->owner, set->peer, set->transport, set->sockets,
                        set->nsockets, set->dialled);
    pthread_mutex_unlock(&job->members_lock);
    if (member) {
        set->nsockets = 0;                       /* they are the member's now */
        set_close(job, set);
    }
}

void mail_socket(struct job *job, bool dialled, int peer, const struct claim *claim, int fd)
{
    struct link_set *set = set_find(job, dialled, peer, claim->set);

    if (!set)
        set = set_new(job, dialled, peer, claim);
    if (!set || set->nsockets != claim->nsockets ||
        set->communicator != claim->communicator) {
        close(fd);
        if (dialled)
            mail_refuse(job, claim, PEAL_ERR_MEMORY, "no memory for a connection");
        return;
    }
    /* The dialler tries again when it has not heard our answer: the new counts. */
    if (set->sockets[claim->socket] >= 0)
        close(set->sockets[claim->socket]);
    else
        set->have++;
    set->sockets[claim->socket] = fd;
    set_deliver(job, set);
}

void mail_refuse(struct job *job, const struct claim *claim, int status, const char *text)
{
    struct link_set *set = set_find(job, true, (int)claim->target, claim->set);
    struct job_member *member;

    for (struct errand *e = job->errands; e; e = e->next)
        if (!e->over && e->purpose == HANDSHAKE_LINK && e->claim.set == claim->set)
            errand_end(job, e);
    if (set)
        set_close(job, set);
    pthread_mutex_lock(&job->members_lock);
    member = member_of(job, claim->communicator);
    if (member)
        member->refused(member->owner, (int)claim->target, status, text);
    pthread_mutex_unlock(&job->members_lock);
}

/* ---- Failures --------------------------------------------------------- */

static const struct failure *failure_of(const struct job *job, uint64_t communicator)
{
    unsigned kept = job->nfailures < FAILURES_KEPT ? job->nfailures : FAILURES_KEPT;

    for (unsigned i = 0; i < kept; i++)
        if (job->failures[i].communicator == communicator)
            return &job->failures[i];
    return NULL;
}

static void remember(struct job *job, uint64_t communicator, int status, const char *text)
{
    struct failure *slot = &job->failures[job->nfailures++ % FAILURES_KEPT];

    free(slot->text);
    *slot = (struct failure){ communicator, status, strdup(text) };
}

/* What has failed reaches every member once. */
static void tell_members(struct job *job)
{
    pthread_mutex_lock(&job->members_lock);
    for (struct job_member *m = job->members; m; m = m->next) {
        const struct failure *failure = m->told ? NULL : failure_of(job, m->communicator);

        if (m->told || (!failure && !job->failed))
            continue;
        m->told = true;
        if (failure)
            m->failed(m->owner, failure->status, failure->text ? failure->text : "");
        else
            m->failed(m->owner, job->failed, job->failed_text);
    }
    pthread_mutex_unlock(&job->members_lock);
}

bool mail_failed(struct job *job, uint64_t communicator, int status, const char *text)
{
    if (communicator == 0 ? job->failed != 0 : failure_of(job, communicator) != NULL)
        return false;
    if (communicator == 0) {
        job->failed = status;
        snprintf(job->failed_text, sizeof(job->failed_text), "%s", text);
    } else {
        remember(job, communicator, status, text);
    }
    tell_members(job);
    for (struct errand *e = job->errands; e; e = e->next)
        if (!e->over && e->purpose == HANDSHAKE_LINK &&
            (communicator == 0 || e->claim.communicator == communicator))
            mail_refuse(job, &e->claim, status, text);
    return true;
}

/* ---- Stuck calls ------------------------------------------------------ */

int mail_compare(struct job *job, const struct control *probe, char *text, size_t bytes)
{
    struct job_member *member;
    int answer = 0;

    pthread_mutex_lock(&job->members_lock);
    member = member_of(job, probe->communicator);
    if (member && !member->told)
        answer = member->compare(member->owner, probe->call, probe->signature, text, bytes);
    pthread_mutex_unlock(&job->members_lock);
    return answer;
}

void mail_behind(struct job *job, const struct control *control)
{
    struct job_member *member;

    pthread_mutex_lock(&job->members_lock);
    member = member_of(job, control->communicator);
    if (member)
        member->behind(member->owner, control->rank, control->call, control->text);
    pthread_mutex_unlock(&job->members_lock);
}

/* ---- Coming and going ------------------------------------------------- */

void mail_look(struct job *job)
{
    tell_members(job);
    for (struct link_set *s = job->sets; s; s = s->next)
        set_deliver(job, s);
}

void mail_forget(struct job *job, uint64_t communicator)
{
    for (struct errand *e = job->errands; e; e = e->next)
        if (!e->over && e->purpose == HANDSHAKE_LINK &&
            e->claim.communicator == communicator)
            errand_end(job, e);
    for (struct link_set *s = job->sets; s; s = s->next)
        if (!s->over && s->communicator == communicator)
            set_close(job, s);
}

uint64_t mail_tick(struct job *job, uint64_t now)
{
    uint64_t again = UINT64_MAX;

    for (struct link_set **at = &job->sets, *s; (s = *at) != NULL;) {
        if (!s->over && s->deadline <= now && !s->dialled) {
            log_debug("sockets from rank %d for communicator %llx: nobody came for them",
                      s->peer, (unsigned long long)s->communicator);
            set_close(job, s);
        }
        if (s->over) {
            *at = s->next;
            free(s);
            continue;
        }
        if (!s->dialled && s->deadline < again)
            again = s->deadline;
        at = &s->next;
    }
    return again;
}

void mail_free(struct job *job)
{
    for (struct link_set *s = job->sets, *next; s; s = next) {
        next = s->next;
        set_close(job, s);
        free(s);
    }
    job->sets = NULL;
    for (int i = 0; i < FAILURES_KEPT; i++)
        free(job->failures[i].text);
}
