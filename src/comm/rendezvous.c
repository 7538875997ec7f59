/* SPDX-License-Identifier: BSD-3-Clause */
/* All others tell rank 0 where they are and hang up.  When all came, or the
 * time is over, rank 0 arranges those that did in a tree and dials its
 * children with the table of all; they dial theirs.  So no rank needs more than
 * a few connections at a time, and the table is everywhere after log(n) steps.
 * The connections of the tree stay: they are the control tree. */
#include "comm/job_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "comm/ring_order.h"
#include "comm/where.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double last_words_seconds = 2, late_seconds = 1;

int rendezvous_begin(struct job *job)
{
    struct record *self = &job->records[job->options.rank];
    struct errand *errand;
    int status = where_find(&self->where);

    if (status)
        return status;
    where_publish(&self->where, job->options.transports);
    ring_order_here(self, &job->plan);
    door_describe(&job->door, self);
    job->meeting = true;
    if (job_is_root(job)) {
        job->present[0] = true;
        job->npresent = 1;
        return PEAL_OK;
    }
    errand = errand_start(job, HANDSHAKE_JOIN, SOCKET_NONE, 0, job->deadline);
    if (!errand)
        return status_fail(PEAL_ERR_MEMORY, "out of memory for the rendezvous");
    errand->claim.record = *self;
    return PEAL_OK;
}

/* job_create() may return. */
static void publish(struct job *job, int status, const char *text)
{
    job->meeting = false;
    pthread_mutex_lock(&job->lock);
    job->decided = true;
    job->outcome = status;
    snprintf(job->outcome_text, sizeof(job->outcome_text), "%s", text);
    pthread_cond_broadcast(&job->changed);
    pthread_mutex_unlock(&job->lock);
}

void rendezvous_fail(struct job *job, int status, const char *text)
{
    if (!job->meeting)
        return;
    publish(job, status, text);
    monitor_close(job, false, last_words_seconds);
}

/* ---- Rank 0 ----------------------------------------------------------- */

/* Those who have not come yet are given `seconds` to hear bad news. */
static void decide(struct job *job, int status, const char *text, double seconds)
{
    if (job->decided_here)
        return;
    job->decided_here = true;
    job->decide_at = seconds > 0 ? clock_deadline(seconds) : 0;
    job->verdict = status;
    snprintf(job->verdict_text, sizeof(job->verdict_text), "%s", text);
}

static bool same_record(const struct record *a, const struct record *b)
{
    unsigned char bytes[2][HANDSHAKE_RECORD];

    record_write(a, bytes[0]);
    record_write(b, bytes[1]);
    return memcmp(bytes[0], bytes[1], HANDSHAKE_RECORD) == 0;
}

/* No two ranks may have one number, and all must agree how many there are. */
static int check_newcomer(const struct job *job, const struct claim *claim, char *text,
                          size_t bytes)
{
    const struct where *where = &claim->record.where;
    char self[RANK_NAME], other[RANK_NAME];

    if (claim->nranks != (uint32_t)job->options.nranks)
        snprintf(text, bytes, "rank %u (host %s, pid %u) was told of %u ranks, %s of %d",
                 claim->rank, where->hostname, where->pid, claim->nranks,
                 job_name_rank(job, 0, self), job->options.nranks);
    else if (job->present[claim->rank] &&
             !same_record(&job->records[claim->rank], &claim->record))
        snprintf(text, bytes, "two processes say that they are rank %u: host %s, pid %u, and %s",
                 claim->rank, where->hostname, where->pid,
                 job_name_rank(job, (int)claim->rank, other));
    else
        return PEAL_OK;
    return PEAL_ERR_LAUNCH;
}

void rendezvous_join(struct job *job, const struct claim *claim, struct answer *answer)
{
    char text[512];
    int status;

    if (!job_is_root(job)) {
        answer->status = PEAL_ERR_LAUNCH;
        snprintf(answer->text, sizeof(answer->text), "here is rank %d, not rank 0",
                 job->options.rank);
        return;
    }
    status = check_newcomer(job, claim, text, sizeof(text));
    if (status) {
        answer->status = status;
        snprintf(answer->text, sizeof(answer->text), "%.*s", HANDSHAKE_TEXT - 1, text);
        if (job->meeting)
            decide(job, status, text, late_seconds);
        return;
    }
    if (job->failed) {
        answer->status = job->failed;
        snprintf(answer->text, sizeof(answer->text), "%.*s", HANDSHAKE_TEXT - 1,
                 job->failed_text);
        return;
    }
    answer->value = (uint32_t)clock_left_ms(job->deadline) / 1000 + 1;
    if (job->present[claim->rank])
        return;
    job->records[claim->rank] = claim->record;
    job->present[claim->rank] = true;
    if (++job->npresent == job->options.nranks)
        decide(job, PEAL_OK, "", 0);
}

/* "ranks 3, 5 of 8 never came (...)" */
static void name_missing(const struct job *job, char *text, size_t bytes)
{
    int missing = job->options.nranks - job->npresent, named = 0;
    size_t used = (size_t)snprintf(text, bytes, missing > 1 ? "ranks" : "rank");

    for (int r = 0; r < job->options.nranks && named < 64; r++)
        if (!job->present[r])
            used += (size_t)snprintf(text + used, bytes - used, "%s %d", named++ ? "," : "", r);
    if (missing > named)
        used += (size_t)snprintf(text + used, bytes - used, " and %d more", missing - named);
    used += (size_t)snprintf(text + used, bytes - used, " of %d never came (job root %.255s, "
                             "waited %.3g s)", job->options.nranks, job->options.root,
                             (double)(clock_now() - job->born) / 1e9);
    if (job->strangers)
        snprintf(text + used, bytes - used, "; %d connections broke off when asked for the "
                 "job's secret: is it the same on all ranks?", job->strangers);
}

/* Everybody who is here gets the table, or hears why there is none. */
static void conclude(struct job *job, int status, const char *text)
{
    struct table table = { .status = status };

    for (int r = 0; r < job->options.nranks; r++)
        if (job->present[r])
            job->order[table.count++] = r;
    snprintf(table.text, sizeof(table.text), "%s", text);
    job->table = malloc(CONTROL_HEADER + table_most(job->options.nranks));
    if (!job->table) {
        rendezvous_fail(job, PEAL_ERR_MEMORY, "out of memory for the table of ranks");
        return;
    }
    job->table_bytes = table_write(&table, job->order, job->records, job->options.nranks,
                                   job->table);
    if (!status && ring_order_take(job->records, job->options.nranks)) {
        rendezvous_fail(job, PEAL_ERR_MEMORY, status_text());
        return;
    }
    job->count = table.count;
    job->position = 0;
    tree_grow(job);
    publish(job, status, text);
    if (status)
        monitor_close(job, false, last_words_seconds);
}

uint64_t rendezvous_tick(struct job *job, uint64_t now)
{
    char text[CONTROL_TEXT + 1];

    if (!job->meeting || !job_is_root(job))
        return UINT64_MAX;
    if (!job->decided_here && job->deadline <= now) {
        name_missing(job, text, sizeof(text));
        decide(job, PEAL_ERR_TIMEOUT, text, 0);
    }
    if (!job->decided_here)
        return job->deadline;
    if (job->decide_at > now)
        return job->decide_at;
    conclude(job, job->verdict, job->verdict_text);
    return now;
}

/* ---- The others ------------------------------------------------------- */

void rendezvous_joined(struct job *job, const struct answer *answer)
{
    /* Rank 0 may have started later: it decides how long we wait, but not
     * without limit; and the table takes a moment through the tree. */
    double seconds = answer->value < 1e6 ? answer->value : 1e6;

    if (job->meeting)
        job->deadline = clock_deadline(seconds + 2 + job->options.nranks / 500);
}

/* Is the table's tree the one that we stand in? */
static bool find_position(struct job *job, const struct table *table, int parent)
{
    for (int p = 1; p < table->count; p++)
        if (job->order[p] == job->options.rank) {
            job->count = table->count;
            job->position = p;
            return job->order[(p - 1) / TREE_FANOUT] == parent;
        }
    return false;
}

void rendezvous_table(struct job *job, struct branch *from, const unsigned char *body,
                      size_t length)
{
    struct record self = job->records[job->options.rank];
    struct table table;
    int status;

    if (!job->meeting || !from->is_parent)
        return;
    status = table_read(body, length, job->options.nranks, &table, job->order, job->records);
    job->records[job->options.rank] = self;
    if (status || !find_position(job, &table, from->peer)) {
        rendezvous_fail(job, status == PEAL_ERR_MEMORY ? status : PEAL_ERR_PROTOCOL,
                        "the table of ranks that came from our parent in the tree is not valid");
        return;
    }
    job->table_bytes = CONTROL_HEADER + length;
    job->table = malloc(job->table_bytes);
    if (!job->table || (!table.status && ring_order_take(job->records, job->options.nranks))) {
        rendezvous_fail(job, PEAL_ERR_MEMORY, "out of memory for the table of ranks");
        return;
    }
    memcpy(job->table, body - CONTROL_HEADER, job->table_bytes);
    for (struct errand *e = job->errands; e; e = e->next)
        if (e->purpose == HANDSHAKE_JOIN)
            errand_end(job, e);
    tree_grow(job);
    publish(job, table.status, table.text);
    if (table.status)
        monitor_close(job, false, last_words_seconds);
}
