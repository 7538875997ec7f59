/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/job_state.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The same question of many ranks is passed on once in this time. */
static const uint64_t hold_back = 500000000;       /* ns */
static const double   goodbye_seconds = 1;

const char *job_name_rank(const struct job *job, int rank, char text[RANK_NAME])
{
    const struct where *where = &job->records[rank].where;

    if (where->pid)
        snprintf(text, RANK_NAME, "rank %d (host %.63s, pid %u)", rank, where->hostname,
                 where->pid);
    else
        snprintf(text, RANK_NAME, "rank %d", rank);
    return text;
}

/* ---- Growing ---------------------------------------------------------- */

static int children_expected(const struct job *job)
{
    int first = TREE_FANOUT * job->position + 1, left = job->count - first;

    return left < 0 ? 0 : left < TREE_FANOUT ? left : TREE_FANOUT;
}

void tree_grow(struct job *job)
{
    int first = TREE_FANOUT * job->position + 1, n = children_expected(job);
    uint64_t soon = clock_deadline(10);

    for (int i = 0; i < n; i++) {
        uint64_t deadline = job->deadline > soon ? job->deadline : soon;

        if (!errand_start(job, HANDSHAKE_TREE, SOCKET_NONE, job->order[first + i], deadline))
            tree_dead(job, job->order[first + i], "could not be told of the others: no memory");
    }
}

bool tree_parent_wanted(const struct job *job, int peer)
{
    if (job_is_root(job) || !job->meeting || job->closing || peer == job->options.rank)
        return false;
    for (const struct branch *b = job->branches; b; b = b->next)
        if (!b->over && b->is_parent)
            return false;
    return true;
}

/* A late child must know what has happened meanwhile. */
static void tell_past(struct job *job, struct branch *branch)
{
    struct control control;
    unsigned kept = job->nfailures < FAILURES_KEPT ? job->nfailures : FAILURES_KEPT;

    for (unsigned i = 0; i < kept; i++) {
        const struct failure *f = &job->failures[i];

        control_init(&control, CONTROL_FAIL, f->communicator, job->options.rank, f->status,
                     f->text);
        branch_tell(job, branch, &control);
    }
    if (job->failed) {
        control_init(&control, CONTROL_FAIL, 0, job->options.rank, job->failed,
                     job->failed_text);
        branch_tell(job, branch, &control);
    }
    if (job->bye) {
        control_init(&control, CONTROL_BYE, 0, job->options.rank, 0, NULL);
        branch_tell(job, branch, &control);
    }
}

void tree_add(struct job *job, int fd, int peer, bool is_parent)
{
    struct branch *branch = branch_new(job, fd, peer, is_parent);

    if (!branch) {
        close(fd);
        if (!is_parent)
            tree_dead(job, peer, "could not be told of the others: no memory");
        return;
    }
    door_tune(fd, job->keepalive);
    branch->next = job->branches;
    job->branches = branch;
    if (is_parent)
        return;
    branch_say(job, branch, job->table, job->table_bytes, false);
    tell_past(job, branch);
    if (job->closing)
        branch_shut(branch);
}

/* ---- Flooding --------------------------------------------------------- */

void tree_flood(struct job *job, const struct control *control, const struct branch *except)
{
    for (struct branch *b = job->branches; b; b = b->next)
        if (b != except && !b->over)
            branch_tell(job, b, control);
}

/* Did the same go by just now?  Who asks does not matter, who is late does. */
static bool seen_lately(struct job *job, const struct control *control)
{
    struct seen key = { control->type, control->communicator, control->call,
                        control->type == CONTROL_PROBE ? control->signature.what
                                                       : (uint64_t)control->rank,
                        control->type == CONTROL_PROBE ? control->signature.count : 0,
                        clock_now() };
    uint64_t mixed = (key.communicator ^ key.call * 31 ^ key.what * 0x9e3779b97f4a7c15u ^
                      key.count * 7 ^ (uint64_t)key.type << 32) * 0xff51afd7ed558ccdu;
    struct seen *slot = &job->seen[(mixed >> 32) % SEEN_KEPT];

    if (slot->type == key.type && slot->communicator == key.communicator &&
        slot->call == key.call && slot->what == key.what && slot->count == key.count &&
        key.at - slot->at < hold_back)
        return true;
    *slot = key;
    return false;
}

static void handle_dead(struct job *job, const struct control *control,
                        const struct branch *from)
{
    if (job->dead[control->rank])
        return;
    job->dead[control->rank] = true;
    log_info("%s", control->text);
    tree_flood(job, control, from);
    mail_failed(job, 0, PEAL_ERR_PEER, control->text);
    if (job->leaving)
        monitor_close(job, true, goodbye_seconds);
}

static void handle_probe(struct job *job, const struct control *probe,
                         const struct branch *from)
{
    char text[CONTROL_TEXT + 1], other[512] = "", a[RANK_NAME], b[RANK_NAME];
    struct control reply;

    if (seen_lately(job, probe))
        return;
    tree_flood(job, probe, from);
    if (probe->rank == job->options.rank)
        return;
    switch (mail_compare(job, probe, other, sizeof(other))) {
    case 1:
        control_init(&reply, CONTROL_BEHIND, probe->communicator, job->options.rank, 0, other);
        reply.call = probe->call;
        tree_handle(job, &reply, NULL);
        break;
    case 2:
        snprintf(text, sizeof(text), "%s called %.400s, %s called %.400s (call number %llu of "
                 "communicator %llx)", job_name_rank(job, probe->rank, a), probe->text,
                 job_name_rank(job, job->options.rank, b), other,
                 (unsigned long long)probe->call, (unsigned long long)probe->communicator);
        control_init(&reply, CONTROL_FAIL, probe->communicator, job->options.rank,
                     PEAL_ERR_MISMATCH, text);
        tree_handle(job, &reply, NULL);
        break;
    default:
        break;
    }
}

static void handle_goodbye(struct job *job, const struct control *control,
                           const struct branch *from)
{
    if (!job->leaving || (from && !from->is_parent))
        return;
    job->goodbye = true;
    tree_flood(job, control, from);
    monitor_close(job, false, goodbye_seconds);
}

static void handle_bye(struct job *job, struct branch *from)
{
    if (!from)
        return;
    from->parted = true;
    tree_dead(job, from->peer, "left the job while others still needed it");
}

void tree_handle(struct job *job, const struct control *control, struct branch *from)
{
    switch (control->type) {
    case CONTROL_FAIL:
        if (!mail_failed(job, control->communicator, control->status, control->text))
            break;
        tree_flood(job, control, from);
        if (control->communicator == 0 && job->leaving)
            monitor_close(job, true, goodbye_seconds);
        break;
    case CONTROL_DEAD:
        handle_dead(job, control, from);
        break;
    case CONTROL_PROBE:
        handle_probe(job, control, from);
        break;
    case CONTROL_BEHIND:
        if (seen_lately(job, control))
            break;
        tree_flood(job, control, from);
        if (control->rank != job->options.rank)
            mail_behind(job, control);
        break;
    case CONTROL_LEAVING:
        if (from && !from->is_parent) {
            from->leaving = true;
            tree_leave(job);
        }
        break;
    case CONTROL_GOODBYE:
        handle_goodbye(job, control, from);
        break;
    case CONTROL_BYE:
        handle_bye(job, from);
        break;
    case CONTROL_BEAT:                 /* that it came is all it says */
    case CONTROL_TABLE:
        break;
    }
}

void tree_dead(struct job *job, int rank, const char *how)
{
    char text[CONTROL_TEXT + 1], who[RANK_NAME];
    struct control control;

    snprintf(text, sizeof(text), "%s %.500s", job_name_rank(job, rank, who), how);
    control_init(&control, CONTROL_DEAD, 0, rank, PEAL_ERR_PEER, text);
    tree_handle(job, &control, NULL);
}

/* ---- Living ----------------------------------------------------------- */

static uint64_t branch_tick(struct job *job, struct branch *branch, uint64_t now,
                            uint64_t limit)
{
    struct control beat;
    char how[128];

    if (branch->heard_at + limit <= now) {
        snprintf(how, sizeof(how), "has been silent for %.3g s: is the process stopped, or its "
                 "host or network down? (PEAL_KEEPALIVE)", job->keepalive);
        branch_lost(job, branch, how);
        return UINT64_MAX;
    }
    if (branch->said_at + limit / 4 <= now) {
        control_init(&beat, CONTROL_BEAT, 0, job->options.rank, 0, NULL);
        branch_tell(job, branch, &beat);
        branch->said_at = now;
    }
    return branch->said_at + limit / 4 < branch->heard_at + limit
               ? branch->said_at + limit / 4 : branch->heard_at + limit;
}

uint64_t tree_tick(struct job *job, uint64_t now)
{
    uint64_t limit = (uint64_t)(job->keepalive * 1e9), again = UINT64_MAX;
    /* If we were stopped ourselves, others may have been, too (a suspended
     * job): what they said meanwhile is not read yet. */
    bool asleep = now - job->ticked_at > limit / 2;

    if (limit == 0 || job->closing)
        return UINT64_MAX;
    job->ticked_at = now;
    for (struct branch *b = job->branches; b; b = b->next) {
        uint64_t next;

        if (b->over)
            continue;
        if (asleep)
            b->heard_at = now;
        next = branch_tick(job, b, now, limit);
        again = next < again ? next : again;
    }
    return again;
}

/* ---- Leaving ---------------------------------------------------------- */

void tree_leave(struct job *job)
{
    struct branch *parent = NULL;
    struct control control;
    int leaving = 0;

    if (!job->leaving || job->told_parent || job->closing)
        return;
    for (struct branch *b = job->branches; b; b = b->next) {
        if (b->is_parent && !b->over)
            parent = b;
        leaving += !b->is_parent && !b->over && b->leaving;
    }
    if (leaving < children_expected(job))
        return;
    job->told_parent = true;
    if (job->position == 0) {
        control_init(&control, CONTROL_GOODBYE, 0, job->options.rank, 0, NULL);
        tree_handle(job, &control, NULL);
    } else if (parent) {
        control_init(&control, CONTROL_LEAVING, 0, job->options.rank, 0, NULL);
        branch_tell(job, parent, &control);
    }
}
