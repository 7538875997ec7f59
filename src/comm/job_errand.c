/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/job_state.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAUSE_FIRST_MS = 5, REFUSALS = 3 };

/* Between attempts at one rank, at most: thousands must not storm rank 0. */
static int pause_most(const struct job *job)
{
    int nranks = job->options.nranks;

    return nranks < 100 ? 100 : nranks > 1000 ? 1000 : nranks;
}

/* SOCKET_NONE: on the same host by the local socket, but TCP will do, too. */
static void find_places(struct job *job, struct errand *errand, enum socket_kind kind)
{
    const struct record *record = &job->records[errand->peer];
    const struct record *self = &job->records[job->options.rank];

    if (errand->purpose == HANDSHAKE_JOIN) {
        memcpy(errand->places, job->roots, sizeof(job->roots));
        errand->nplaces = job->nroots;
        return;
    }
    if (kind != SOCKET_INET && record->where.host == self->where.host)
        door_place(&job->door, record, true, &errand->places[errand->nplaces++]);
    if (kind != SOCKET_LOCAL) {
        struct place *place = &errand->places[errand->nplaces++];

        door_place(&job->door, record, false, place);
        place->here = record->where.host == self->where.host;
    }
}

struct errand *errand_start(struct job *job, enum handshake_purpose purpose,
                            enum socket_kind kind, int peer, uint64_t deadline)
{
    struct errand *errand = calloc(1, sizeof(*errand));

    if (!errand)
        return NULL;
    errand->purpose = purpose;
    errand->peer = peer;
    errand->claim.rank = (uint32_t)job->options.rank;
    errand->claim.nranks = (uint32_t)job->options.nranks;
    errand->claim.target = (uint32_t)peer;
    errand->deadline = deadline;
    errand->retry_at = clock_now();
    errand->pause_ms = PAUSE_FIRST_MS;
    snprintf(errand->why, sizeof(errand->why), "not tried yet");
    find_places(job, errand, kind);
    errand->next = job->errands;
    job->errands = errand;
    return errand;
}

void errand_end(struct job *job, struct errand *errand)
{
    errand->over = true;
    if (errand->visit)
        visit_end(job, errand->visit);
}

bool errands_left(const struct job *job, enum handshake_purpose purpose)
{
    for (const struct errand *e = job->errands; e; e = e->next)
        if (!e->over && e->purpose == purpose)
            return true;
    return false;
}

/* ---- Failure ---------------------------------------------------------- */

static void cannot_join(struct job *job, const struct errand *errand, int status)
{
    char text[WHY_BYTES + 400];

    if (errand->joined && status == PEAL_ERR_TIMEOUT)
        snprintf(text, sizeof(text), "rank %d of %d has joined rank 0 at %.255s, but never "
                 "heard that the job begins", job->options.rank, job->options.nranks,
                 job->options.root);
    else if (errand->joined && errand->refusals > 0)
        snprintf(text, sizeof(text), "rank 0 at %.255s has gone before the job began: %s",
                 job->options.root, errand->why);
    else
        snprintf(text, sizeof(text), "rank %d of %d cannot join the job of rank 0 at %.255s%s: "
                 "%s", job->options.rank, job->options.nranks, job->options.root,
                 status == PEAL_ERR_TIMEOUT ? ", in all the time given" : "", errand->why);
    rendezvous_fail(job, status, text);
}

/* It will not succeed any more. */
static void give_up(struct job *job, struct errand *errand, int status)
{
    char who[RANK_NAME], text[WHY_BYTES + 400];

    errand_end(job, errand);
    switch (errand->purpose) {
    case HANDSHAKE_JOIN:
        cannot_join(job, errand, status);
        break;
    case HANDSHAKE_TREE:
        snprintf(text, sizeof(text), "cannot be reached, at %s", errand->why);
        tree_dead(job, errand->peer, text);
        break;
    case HANDSHAKE_LINK:
        snprintf(text, sizeof(text), "cannot connect to %s at %s",
                 job_name_rank(job, errand->peer, who), errand->why);
        mail_refuse(job, &errand->claim, status, text);
        break;
    }
}

static void rest(struct job *job, struct errand *errand)
{
    uint64_t pause = (uint64_t)errand->pause_ms * 1000000;

    /* Spread the ranks over the pause. */
    pause -= pause / 64 * (uint64_t)(job->options.rank % 16);
    errand->retry_at = clock_now() + pause;
    if (errand->pause_ms < pause_most(job))
        errand->pause_ms *= 2;
}

void errand_missed(struct job *job, struct errand *errand, int miss, const char *why)
{
    char at[PLACE_TEXT];

    if (errand->over)
        return;
    snprintf(errand->why, sizeof(errand->why), "%s: %s",
             place_text(&errand->places[errand->turn], at), why);
    if (miss == PEAL_ERR_STATE && errand->purpose == HANDSHAKE_TREE) {
        errand_end(job, errand);                 /* it is leaving, or has a parent */
        return;
    }
    if (miss < 0) {
        give_up(job, errand, miss);
        return;
    }
    errand->refusals = miss == MISS_REFUSED ? errand->refusals + 1 : 0;
    /* A door that was open and now refuses: its owner is gone.  Rank 0's may
     * not be open yet when we come. */
    if ((errand->purpose != HANDSHAKE_JOIN || errand->joined) &&
        errand->refusals >= REFUSALS * errand->nplaces) {
        give_up(job, errand, PEAL_ERR_PEER);
        return;
    }
    errand->turn = (errand->turn + 1) % errand->nplaces;
    if (errand->turn == 0)
        rest(job, errand);
}

/* ---- Success ---------------------------------------------------------- */

/* Rank 0 has our record.  Until the table comes, look from time to time whether
 * rank 0 is still there and the job has not failed. */
static void keep_in_touch(struct job *job, struct errand *errand)
{
    errand->joined = true;
    errand->refusals = 0;
    errand->pause_ms = PAUSE_FIRST_MS * 4;
    errand->deadline = job->deadline;
    errand->retry_at = clock_deadline(1.0 + job->options.nranks / 200);
}

void errand_arrived(struct job *job, struct errand *errand, int fd,
                    const struct answer *answer)
{
    switch (errand->purpose) {
    case HANDSHAKE_JOIN:
        close(fd);
        rendezvous_joined(job, answer);
        keep_in_touch(job, errand);
        return;
    case HANDSHAKE_TREE:
        tree_add(job, fd, errand->peer, false);
        break;
    case HANDSHAKE_LINK:
        door_tune(fd, 0);
        mail_socket(job, true, errand->peer, &errand->claim, fd);
        break;
    }
    errand_end(job, errand);
}

static void sweep(struct job *job)
{
    for (struct errand **at = &job->errands, *e; (e = *at) != NULL;) {
        if (e->over) {
            *at = e->next;
            free(e);
        } else {
            at = &e->next;
        }
    }
}

uint64_t errands_tick(struct job *job, uint64_t now)
{
    uint64_t again = UINT64_MAX;

    for (struct errand *e = job->errands; e; e = e->next) {
        if (!e->over && e->deadline <= now)
            give_up(job, e, PEAL_ERR_TIMEOUT);
        else if (!e->over && !e->visit && e->retry_at <= now &&
                 job->dialling < DIALS_AT_A_TIME)
            visit_dial(job, e);
        if (e->over)
            continue;
        if (e->deadline < again)
            again = e->deadline;
        /* Beyond the limit on dials, the end of a dial wakes us. */
        if (!e->visit && e->retry_at < again && job->dialling < DIALS_AT_A_TIME)
            again = e->retry_at;
    }
    sweep(job);
    return again;
}
