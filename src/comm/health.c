/* SPDX-License-Identifier: BSD-3-Clause */
/* How a communicator learns that something is wrong, here or elsewhere, and
 * how it tells.  The member functions run in the job's monitor thread. */
#include "comm/inbox.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int comm_rank_of(const struct peal_comm *comm, int job_rank)
{
    for (int r = 0; r < comm->nranks; r++)
        if (comm->job_ranks[r] == job_rank)
            return r;
    return -1;
}

void comm_peer_name(const struct peal_comm *comm, int rank, char *text, size_t bytes)
{
    const struct where *w = comm_where(comm, rank);

    snprintf(text, bytes, "rank %d (host %s, pid %u)", rank, w->hostname, w->pid);
}

/* ---- Called by the monitor ------------------------------------------------ */

static void on_sockets(void *owner, int peer, const char *transport, const int *sockets,
                       int nsockets, bool dialled)
{
    struct peal_comm *comm = owner;
    int rank = comm_rank_of(comm, peer);
    struct inbox *inbox = &comm->inboxes[rank < 0 ? 0 : rank];
    bool wanted;

    pthread_mutex_lock(&comm->lock);
    wanted = rank >= 0 && nsockets <= TRANSPORT_SOCKETS && inbox->nsockets == 0;
    if (wanted) {
        inbox->dialled = dialled;
        inbox->nsockets = nsockets;
        memcpy(inbox->sockets, sockets, (size_t)nsockets * sizeof *sockets);
        snprintf(inbox->transport, sizeof inbox->transport, "%s", transport);
        atomic_store_explicit(&inbox->ready, true, memory_order_release);
    }
    pthread_mutex_unlock(&comm->lock);
    for (int i = 0; !wanted && i < nsockets; i++)
        close(sockets[i]);
    engine_wake(&comm->engine);
}

static void on_refused(void *owner, int peer, int status, const char *text)
{
    struct peal_comm *comm = owner;
    int rank = comm_rank_of(comm, peer);

    if (rank < 0)
        return;
    pthread_mutex_lock(&comm->lock);
    comm->inboxes[rank].status = status;
    snprintf(comm->inboxes[rank].text, sizeof comm->inboxes[rank].text, "%s", text);
    atomic_store_explicit(&comm->inboxes[rank].ready, true, memory_order_release);
    pthread_mutex_unlock(&comm->lock);
    engine_wake(&comm->engine);
}

/* True if this is the first reason, the one that counts. */
static bool record(struct peal_comm *comm, int status, const char *text, bool told)
{
    bool first;

    pthread_mutex_lock(&comm->lock);
    first = !comm->status;
    if (first) {
        comm->status = status;
        snprintf(comm->text, sizeof comm->text, "%s", text);
    }
    comm->failed_told |= told;
    pthread_mutex_unlock(&comm->lock);
    engine_fail(&comm->engine, status);
    return first;
}

static void on_failed(void *owner, int status, const char *text)
{
    record(owner, status, text, true);
}

static int on_compare(void *owner, uint64_t call, struct signature theirs, char *text,
                      size_t bytes)
{
    struct peal_comm *comm = owner;
    uint64_t last = atomic_load_explicit(&comm->last_call, memory_order_acquire);
    struct comm_call *slot = &comm->history[call % COMM_HISTORY];
    struct signature ours;

    if (last < call) {
        const struct comm_call *latest = &comm->history[last % COMM_HISTORY];

        ours.what = atomic_load(&latest->what);
        ours.count = atomic_load(&latest->count);
        if (last == 0 || !comm->describe) {
            snprintf(text, bytes, "it has made no collective call yet");
        } else {
            size_t used = (size_t)snprintf(text, bytes, "its latest is call %llu: ",
                                           (unsigned long long)last);

            if (used < bytes)
                comm->describe(ours, text + used, bytes - used);
        }
        return 1;
    }
    ours.what = atomic_load(&slot->what);
    ours.count = atomic_load(&slot->count);
    if (atomic_load(&slot->number) != call ||          /* overwritten: too long ago */
        signature_equal(&ours, &theirs))
        return 0;
    comm->describe(ours, text, bytes);
    return 2;
}

static void on_behind(void *owner, int rank, uint64_t call, const char *text)
{
    struct peal_comm *comm = owner;
    int ours = comm_rank_of(comm, rank), i;

    if (ours < 0 || call > atomic_load(&comm->last_call))
        return;
    pthread_mutex_lock(&comm->lock);
    if (comm->behind_call != call) {
        comm->behind_call = call;
        comm->nbehind = 0;
    }
    for (i = 0; i < comm->nbehind && comm->behind[i].rank != ours; i++)
        ;
    if (i < COMM_BEHIND) {
        comm->behind[i].rank = ours;
        snprintf(comm->behind[i].text, sizeof comm->behind[i].text, "%s", text);
        if (i == comm->nbehind)
            comm->nbehind++;
    }
    pthread_mutex_unlock(&comm->lock);
}

void comm_attach(struct peal_comm *comm)
{
    comm->member = (struct job_member){
        .communicator = comm->id, .owner = comm, .sockets = on_sockets,
        .refused = on_refused, .failed = on_failed, .compare = on_compare,
        .behind = on_behind,
    };
    job_attach(comm->job, &comm->member);
}

/* ---- Called by the communicator's thread ---------------------------------- */

uint64_t comm_begin_call(struct peal_comm *comm, struct signature signature)
{
    uint64_t number = ++comm->calls;
    struct comm_call *slot = &comm->history[number % COMM_HISTORY];

    /* A reader that sees the new number sees the new signature; one that meets
     * the slot half written sees number 0 and takes it for forgotten. */
    atomic_store_explicit(&slot->number, 0, memory_order_release);
    atomic_store_explicit(&slot->what, signature.what, memory_order_release);
    atomic_store_explicit(&slot->count, signature.count, memory_order_release);
    atomic_store_explicit(&slot->number, number, memory_order_release);
    atomic_store_explicit(&comm->last_call, number, memory_order_release);
    return number;
}

void comm_stalled(struct engine *engine, const struct run *run)
{
    enum { PROBE_NS = 500000000 };
    struct peal_comm *comm = engine->owner;
    uint64_t now = clock_now();
    char name[256];

    if (!comm->job || !comm->describe ||
        (comm->probed_at && now - comm->probed_at < PROBE_NS))
        return;
    comm->probed_at = now;
    comm->describe(run_signature(run), name, sizeof name);
    job_probe(comm->job, comm->id, run_call(run), run_signature(run), name);
}

void comm_behind_text(struct peal_comm *comm, uint64_t call, char *text, size_t bytes)
{
    size_t used = 0;

    *text = '\0';
    pthread_mutex_lock(&comm->lock);
    for (int i = 0; comm->behind_call == call && i < comm->nbehind && used < bytes; i++) {
        char name[128];

        comm_peer_name(comm, comm->behind[i].rank, name, sizeof name);
        used += (size_t)snprintf(text + used, bytes - used,
                                 "; %s has not made this call: %s", name, comm->behind[i].text);
    }
    pthread_mutex_unlock(&comm->lock);
}

int comm_why(struct peal_comm *comm)
{
    int status;

    pthread_mutex_lock(&comm->lock);
    status = comm->status;
    if (status)
        status_fail(status, "%s", comm->text);
    pthread_mutex_unlock(&comm->lock);
    return status;
}

/* End everything in flight; nothing of the user's is touched afterwards. */
static int break_down(struct peal_comm *comm)
{
    int status;

    pthread_mutex_lock(&comm->lock);
    status = comm->status;
    pthread_mutex_unlock(&comm->lock);
    engine_break(&comm->engine, status, false);
    return comm_check(comm);
}

int comm_break(struct peal_comm *comm, int status, const char *text)
{
    bool first = record(comm, status, text, false);

    if (first && comm->job)
        job_fail(comm->job, comm->id, status, text);
    return break_down(comm);
}

int comm_break_when_told(struct peal_comm *comm, int status, const char *text)
{
    enum { PATIENCE_MS = 300 };
    const struct timespec step = { .tv_nsec = 1000000 };
    bool told = !comm->job;

    /* The monitor hears of a death through other sockets than the transport;
     * its story names the rank that died and not just a neighbour that left. */
    for (int i = 0; i < PATIENCE_MS && !told; i++) {
        pthread_mutex_lock(&comm->lock);
        told = comm->failed_told;
        pthread_mutex_unlock(&comm->lock);
        if (!told)
            nanosleep(&step, NULL);
    }
    if (told && comm->job)
        return break_down(comm);
    return comm_break(comm, status, text);
}

void comm_abort(struct peal_comm *comm, const char *reason)
{
    char text[COMM_TEXT], name[128];

    comm_peer_name(comm, comm->rank, name, sizeof name);
    snprintf(text, sizeof text, "%s aborted the communicator: %s", name,
             reason && *reason ? reason : "no reason given");
    if (record(comm, PEAL_ERR_ABORTED, text, false) && comm->job)
        job_fail(comm->job, comm->id, PEAL_ERR_ABORTED, text);
}
