/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/cache.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct coll {
    struct cache            cache;
    const struct algorithm *forced[COLLECTIVES];
    struct coll_speed       speed;
    struct peal_request    *requests;          /* not released */
    struct peal_request    *free_requests;
};

struct peal_request {
    struct peal_comm    *comm;         /* NULL: it was freed before the request */
    struct seat         *seat;
    struct binding       binding;
    bool                 persistent, active;
    int                  status;       /* without a communicator: how it ended */
    struct peal_request *next, *previous;      /* of the communicator's */
};

static int broke(struct peal_comm *comm, const struct run *run, int status);

/* ---- Setting up ----------------------------------------------------------- */

/* The links between the ranks that are furthest apart set the pace.  All ranks
 * look at the same table, so all find the same figures. */
static struct coll_speed measure(const struct peal_comm *comm)
{
    struct coll_speed speed = { 1e-6, 8e9, select_reduction_speed };
    const struct where *a, *b;
    struct reach how;
    int far = 1;

    if (comm->nranks == 1)
        return speed;
    a = comm_where(comm, 0);
    for (int r = 1; r < comm->nranks; r++) {
        b = comm_where(comm, r);
        if (b->host != a->host) {
            far = r;
            break;
        }
        if (b->process != a->process && comm_where(comm, far)->process == a->process)
            far = r;
    }
    b = comm_where(comm, far);
    for (const struct transport *const *t = transports; *t; t++) {
        if (*comm->options.transports &&
            !setting_lists(comm->options.transports, (*t)->name, NULL))
            continue;
        if ((*t)->reach(a, b, &how) == PEAL_OK) {
            speed.latency = how.latency;
            speed.bandwidth = how.bandwidth;
            break;
        }
    }
    return speed;
}

int coll_prepare(struct peal_comm *comm)
{
    struct coll *coll = calloc(1, sizeof *coll);
    int status;

    if (!coll)
        return status_fail(PEAL_ERR_MEMORY, "no memory for a communicator's plans");
    if ((status = select_parse(comm->options.algorithms, coll->forced))) {
        free(coll);
        return status;
    }
    coll->speed = measure(comm);
    comm->coll = coll;
    comm->describe = signature_describe;
    return PEAL_OK;
}

int coll_finish(struct peal_comm *comm)
{
    int status = PEAL_OK;

    for (struct peal_request *r = comm->coll->requests; r; r = r->next)
        if (r->active && r->binding.stream != 0)
            run_abandon(r->seat->run);
    for (struct peal_request *r = comm->coll->requests; r && !status; r = r->next)
        if (r->active && r->binding.stream == 0 && run_active(r->seat->run)) {
            status = engine_wait(&comm->engine, r->seat->run, run_deadline(r->seat->run));
            if (status || (status = run_status(r->seat->run)))
                status = broke(comm, r->seat->run, status);
        }
    return status;
}

void coll_free(struct peal_comm *comm)
{
    struct coll *coll = comm->coll;

    if (!coll)
        return;
    for (struct peal_request *r = coll->requests; r; r = r->next) {
        r->status = run_status(r->seat->run) ? PEAL_ERR_STATE : PEAL_OK;
        seat_give_back(r->seat);
        r->comm = NULL;
    }
    cache_free(&coll->cache);
    for (struct peal_request *r = coll->free_requests, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    free(coll);
    comm->coll = NULL;
}

/* ---- From a call to a seat and a binding ------------------------------------ */

/* Byte offset of block `i` of REDUCE_SCATTER or ALLGATHER. */
static size_t block_offset(const struct coll_call *u, int i, size_t size)
{
    size_t elements = 0;

    if (!u->counts)
        return u->count * (size_t)i * size;
    for (int k = 0; k < i; k++)
        elements += u->counts[k];
    return elements * size;
}

/* Recognise the in-place forms of peal.h; set the spaces to match. */
static void find_aliases(const struct coll_call *u, struct call *c, struct binding *b)
{
    bool keyword = u->sendbuf == PEAL_IN_PLACE;
    const char *in = keyword ? NULL : u->sendbuf;
    char *out = u->recvbuf;
    size_t own = 0;

    if (u->collective == ALLGATHER || u->collective == REDUCE_SCATTER)
        own = block_offset(u, c->rank, c->size);
    switch (u->collective) {
    case ALLREDUCE:
    case REDUCE:
        c->aliased = keyword || (in && in == out);
        break;
    case ALLGATHER:
        c->aliased = keyword || (in && in == out + own);
        c->src_shift = c->aliased ? own : 0;
        break;
    case REDUCE_SCATTER:
        c->aliased = keyword || (in && out == in + own);
        if (c->aliased && !keyword) {
            c->dst_shift = own;
            out = (char *)(uintptr_t)in;       /* the span functions add the shift */
        }
        break;
    default:
        break;
    }
    b->space[DST] = (unsigned char *)out;
    b->space[SRC] = (unsigned char *)(uintptr_t)in;
}

static int find_entry(struct peal_comm *comm, const struct coll_call *user,
                      const struct call *call, const struct arithmetic *how,
                      struct entry **entry)
{
    struct coll *coll = comm->coll;
    struct plan_key key;
    struct entry *e;
    const struct algorithm *forced = coll->forced[call->collective];
    int status;

    memset(&key, 0, sizeof key);
    key.count = call->count;
    key.size = call->size;
    key.src_shift = call->src_shift;
    key.dst_shift = call->dst_shift;
    key.collective = call->collective;
    key.root = call->root;
    key.commutative = call->commutative;
    key.aliased = call->aliased;
    key.before = how->before != NULL;
    key.after = how->after != NULL;
    if (call->collective == SENDRECV) {
        key.recvcount = user->recvcount;
        key.dest = user->dest;
        key.source = user->source;
    }
    if (call->counts)                  /* odd: never taken for a call without counts */
        key.counts_hash = counts_hash(call->counts, call->nranks) | 1;
    e = cache_find(&coll->cache, &key, call->counts, call->nranks);
    if (e) {
        *entry = e;
        return PEAL_OK;
    }
    e = calloc(1, sizeof *e);
    if (!e)
        goto no_memory;
    e->key = key;
    if (call->counts) {
        e->counts = malloc((size_t)call->nranks * sizeof *e->counts);
        if (!e->counts)
            goto no_memory;
        memcpy(e->counts, call->counts, (size_t)call->nranks * sizeof *e->counts);
    }
    e->choice.nslices = 1;
    if (call->collective != SENDRECV) {
        status = select_algorithm(call, forced ? forced->name : NULL,
                                  comm->options.reproducible, &coll->speed, &e->choice);
        if (status)
            goto fail;
        if (forced && e->choice.algorithm != forced)
            log_warn("%s:%s cannot be used for this call; using %s",
                     collective_name(call->collective), forced->name,
                     e->choice.algorithm->name);
    }
    if ((status = plan_build(call, user, key.before, key.after, &e->choice, e)))
        goto fail;
    cache_add(&coll->cache, e);
    *entry = e;
    return PEAL_OK;

no_memory:
    status = status_fail(PEAL_ERR_MEMORY, "no memory for a plan");
fail:
    entry_free(e);
    return status;
}

/* Everything but starting. */
static int prepare(struct peal_comm *comm, const struct coll_call *user, struct seat **seat,
                   struct binding *binding)
{
    struct call call = {
        .collective = user->collective, .rank = comm->rank, .nranks = comm->nranks,
        .root = user->root, .count = user->count, .counts = user->counts,
        .size = datatype_size((int)user->type), .commutative = true, .nslices = 1,
    };
    struct entry *entry = NULL;
    bool combines = user->collective == ALLREDUCE || user->collective == REDUCE ||
                    user->collective == REDUCE_SCATTER;
    int status;

    memset(binding, 0, sizeof *binding);
    if (user->collective == BARRIER)
        call.size = 1;
    if (combines) {
        status = arithmetic_resolve(&binding->how, user->type, user->op, comm->nranks);
        if (status)
            return status;
        call.commutative = binding->how.commutative;
    }
    find_aliases(user, &call, binding);
    status = find_entry(comm, user, &call, &binding->how, &entry);
    if (status || (status = seat_take(&comm->coll->cache, entry, seat)))
        return status;
    if ((*seat)->input) {
        binding->space[RAW] = binding->space[SRC];
        binding->space[SRC] = (*seat)->input;
    }
    binding->stream = user->collective == SENDRECV;
    binding->signature = signature_make(user, comm->nranks, &binding->how,
                                        &entry->choice);
    return PEAL_OK;
}

static int start(struct peal_comm *comm, struct run *run, struct binding *binding)
{
    if (binding->stream == 0)
        comm_begin_call(comm, binding->signature);
    binding->deadline = clock_deadline(comm->options.timeout);
    return run_start(run, &comm->engine, binding);
}

/* ---- When something went wrong ---------------------------------------------- */

static void tell_mismatch(struct peal_comm *comm, const struct run *run, char *text,
                          size_t bytes)
{
    const struct run_fault *fault = run_fault(run);
    char ours[256], theirs[256], us[128], them[128];

    signature_describe(run_signature(run), ours, sizeof ours);
    signature_describe(fault->theirs, theirs, sizeof theirs);
    comm_peer_name(comm, comm->rank, us, sizeof us);
    comm_peer_name(comm, fault->peer, them, sizeof them);
    snprintf(text, bytes, "ranks made different calls (call %llu of the communicator): %s "
             "called %s with messages of %zu bytes, %s called %s with messages of %zu bytes; "
             "collectives must be called in the same order with the same arguments on all ranks",
             (unsigned long long)comm->calls, us, ours, fault->our_bytes, them, theirs,
             fault->their_bytes);
}

static void tell_timeout(struct peal_comm *comm, const struct run *run, char *text,
                         size_t bytes)
{
    enum { SHOWN = 8 };
    char call[256], behind[700], name[128];
    int peers[SHOWN], n = run_awaits(run, peers, SHOWN);
    size_t used;

    signature_describe(run_signature(run), call, sizeof call);
    used = (size_t)snprintf(text, bytes, "%s (call %llu) did not end within %g s; waiting for",
                            call, (unsigned long long)comm->calls, comm->options.timeout);
    for (int i = 0; i < n && used < bytes; i++) {
        comm_peer_name(comm, peers[i], name, sizeof name);
        used += (size_t)snprintf(text + used, bytes - used, "%s %s", i ? "," : "", name);
    }
    comm_behind_text(comm, behind, sizeof behind);
    if (used < bytes)
        snprintf(text + used, bytes - used, "%s; see what those ranks do, or raise PEAL_TIMEOUT",
                 behind);
}

/* The engine said that `run` cannot end well. */
static int broke(struct peal_comm *comm, const struct run *run, int status)
{
    const struct run *cause = comm->engine.broken ? comm->engine.broken : run;
    char text[COMM_TEXT];

    if (status == PEAL_ERR_TIMEOUT) {
        tell_timeout(comm, run, text, sizeof text);
        return comm_break(comm, status, text);
    }
    if (cause && !run_active(cause) && run_status(cause) == PEAL_ERR_MISMATCH) {
        tell_mismatch(comm, cause, text, sizeof text);
        return comm_break(comm, PEAL_ERR_MISMATCH, text);
    }
    if (status == PEAL_ERR_PEER) {
        char name[128] = "a peer";

        if (cause && run_fault(cause)->peer >= 0)
            comm_peer_name(comm, run_fault(cause)->peer, name, sizeof name);
        snprintf(text, sizeof text, "the connection to %s was lost", name);
        return comm_break_when_told(comm, status, text);
    }
    return comm_break(comm, status, *status_text() ? status_text() : peal_strerror(status));
}

/* ---- Blocking ----------------------------------------------------------------- */

int coll_run(struct peal_comm *comm, const struct coll_call *user)
{
    struct binding binding;
    struct seat *seat;
    int status = comm_check(comm);

    if (status || (status = prepare(comm, user, &seat, &binding)))
        return status;
    status = start(comm, seat->run, &binding);
    if (status == PEAL_OK && run_active(seat->run))
        status = engine_wait(&comm->engine, seat->run, binding.deadline);
    else if (status == PEAL_OK)
        status = run_status(seat->run);
    if (status)
        status = broke(comm, seat->run, status);
    seat_give_back(seat);
    return status;
}

/* ---- Requests ------------------------------------------------------------------ */

int coll_request(struct peal_comm *comm, const struct coll_call *user, bool persistent,
                 struct peal_request **request)
{
    struct coll *coll = comm->coll;
    struct peal_request *r = coll->free_requests;
    int status = comm_check(comm);

    if (status)
        return status;
    if (r)
        coll->free_requests = r->next;
    else if (!(r = calloc(1, sizeof *r)))
        return status_fail(PEAL_ERR_MEMORY, "no memory for a request");
    r->comm = comm;
    r->persistent = persistent;
    r->active = false;
    status = prepare(comm, user, &r->seat, &r->binding);
    if (status) {
        r->next = coll->free_requests;
        coll->free_requests = r;
        return status;
    }
    r->previous = NULL;
    r->next = coll->requests;
    if (r->next)
        r->next->previous = r;
    coll->requests = r;
    if (!persistent && (status = coll_start(r))) {
        coll_release(r);
        return status;
    }
    *request = r;
    return PEAL_OK;
}

int coll_start(struct peal_request *r)
{
    int status;

    if (!r->comm)
        return status_fail(PEAL_ERR_STATE, "the request's communicator was freed");
    if ((status = comm_check(r->comm)))
        return status;
    if (r->active)
        return status_fail(PEAL_ERR_STATE, "the request is active; wait for it before it is "
                           "started again");
    status = start(r->comm, r->seat->run, &r->binding);
    r->active = status == PEAL_OK;
    return status;
}

/* The request has outlived its communicator. */
static int orphaned(struct peal_request *r)
{
    r->active = false;
    if (r->status)
        return status_fail(r->status, "the communicator was freed while the request was active; "
                           "wait for requests before peal_comm_free");
    return PEAL_OK;
}

/* The request's run is over, or cannot end any more. */
static int finish(struct peal_request *r, int status)
{
    struct run *run = r->seat->run;

    if (status == PEAL_OK)
        status = run_status(run);
    if (status)
        status = broke(r->comm, run, status);
    r->active = false;
    return status;
}

int coll_test(struct peal_request *r, bool *done)
{
    struct engine *engine;
    struct run *run;
    int failure;

    *done = true;
    if (!r->active)
        return PEAL_OK;
    if (!r->comm)
        return orphaned(r);
    engine = &r->comm->engine;
    run = r->seat->run;
    if (run_active(run))
        engine_progress(engine);
    if (!run_active(run))
        return finish(r, PEAL_OK);
    failure = atomic_load(&engine->failure);
    if (failure)
        return finish(r, failure);
    if (clock_now() >= run_deadline(run))
        return finish(r, PEAL_ERR_TIMEOUT);
    *done = false;
    return PEAL_OK;
}

int coll_wait(struct peal_request *r)
{
    struct run *run;
    int status = PEAL_OK;

    if (!r->active)
        return PEAL_OK;
    if (!r->comm)
        return orphaned(r);
    run = r->seat->run;
    if (run_active(run))
        status = engine_wait(&r->comm->engine, run, run_deadline(run));
    return finish(r, status);
}

int coll_wait_some(struct peal_request *const *requests, int count)
{
    enum { LOOK_NS = 1000000 };        /* how long one communicator is watched */
    struct peal_comm *watched = NULL;
    bool several = false;
    uint64_t deadline = UINT64_MAX;

    for (int i = 0; i < count; i++) {
        if (!requests[i] || !requests[i]->active)
            continue;
        if (watched && requests[i]->comm != watched) {
            several = true;
            engine_progress(&requests[i]->comm->engine);
        }
        watched = requests[i]->comm;
        if (run_deadline(requests[i]->seat->run) < deadline)
            deadline = run_deadline(requests[i]->seat->run);
    }
    if (!watched)
        return PEAL_OK;
    if (several && deadline > clock_now() + LOOK_NS)
        deadline = clock_now() + LOOK_NS;
    engine_wait(&watched->engine, NULL, deadline);
    return PEAL_OK;
}

bool coll_together(struct peal_request *const *requests, int count)
{
    const struct peal_request *first = NULL;

    for (int i = 0; i < count; i++) {
        if (!requests[i] || !requests[i]->active)
            continue;
        if (first && first->comm != requests[i]->comm)
            return false;
        first = requests[i];
    }
    return true;
}

bool coll_active(const struct peal_request *r)
{
    return r->active;
}

bool coll_persistent(const struct peal_request *r)
{
    return r->persistent;
}

void coll_release(struct peal_request *r)
{
    struct coll *coll;

    if (!r->comm) {
        free(r);
        return;
    }
    coll = r->comm->coll;
    *(r->previous ? &r->previous->next : &coll->requests) = r->next;
    if (r->next)
        r->next->previous = r->previous;
    seat_give_back(r->seat);
    r->next = coll->free_requests;
    coll->free_requests = r;
}
