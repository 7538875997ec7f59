/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/start.h"

#include "base/clock.h"
#include "base/last_cache.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Setting up ----------------------------------------------------------- */

int coll_prepare(struct peal_comm *comm)
{
    struct coll *coll = calloc(1, sizeof *coll);
    int status;

    if (!coll)
        return status_fail(PEAL_ERR_MEMORY, "no memory for a communicator's plans");
    if ((status = select_parse(comm->options.algorithms, coll->forced)) ||
        (status = links_find(comm, &coll->speed))) {
        free(coll);
        return status;
    }
    coll->strict = select_strict();
    last_cache();                      /* some files are read, once */
    comm->coll = coll;
    comm->describe = signature_describe;
    return PEAL_OK;
}

void coll_free(struct peal_comm *comm)
{
    struct coll *coll = comm->coll;

    if (!coll)
        return;
    requests_orphan(coll);
    for (int i = 0; i < RECENT_CALLS; i++)
        if (coll->recent[i].seat)
            seat_give_back(coll->recent[i].seat);
    cache_free(&coll->cache);
    layout_free(coll->speed.layout);
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

/* ---- Into the caches or past them? -------------------------------------------- */

/* What a call reads and what it leaves on this rank. */
struct extent { size_t in, out; };

static struct extent extent(const struct peal_comm *comm, const struct coll_call *u)
{
    size_t size = datatype_size((int)u->type), bytes = u->count * size;
    size_t all = block_offset(u, comm->nranks, size);

    switch (u->collective) {
    case ALLREDUCE:
        return (struct extent){ bytes, bytes };
    case ALLGATHER:
        return (struct extent){ bytes, all };
    case BCAST:
        return comm->rank == u->root ? (struct extent){ bytes, 0 } : (struct extent){ 0, bytes };
    case REDUCE:
        return (struct extent){ bytes, comm->rank == u->root ? bytes : 0 };
    case REDUCE_SCATTER:
        return (struct extent){ all, u->counts ? u->counts[comm->rank] * size : bytes };
    case SENDRECV:
        return (struct extent){ bytes, u->recvcount * size };
    default:
        return (struct extent){ 0, 0 };
    }
}

/* Have the lines of the result just been read?  Of an all-gather only those of one block. */
static bool in_place(const struct coll_call *u, const struct extent *e)
{
    uintptr_t in = (uintptr_t)u->sendbuf, out = (uintptr_t)u->recvbuf;

    return u->collective != ALLGATHER &&
           (u->sendbuf == PEAL_IN_PLACE || (in < out + e->out && out < in + e->in));
}

/* `again`: the same call will be made again, so that its result will be in a cache.  An average is read
 * again to be divided; of messages that repeat, memory is not looked at (request.c). */
static bool goes_past(const struct peal_comm *comm, const struct coll_call *u, bool again)
{
    struct extent e = extent(comm, u);

    if (u->op == PEAL_AVG)
        return false;
    if (landing_streams(e.out))
        return true;
    return e.out >= PAST_LEAST && !again && u->collective != SENDRECV && !in_place(u, &e) &&
           heat_lost(&comm->coll->heat, u->recvbuf, e.out);
}

/* May plans depend on it? */
static bool differs(enum collective collective)
{
    for (const struct algorithm *const *a = algorithms; *a; a++)
        if ((*a)->collective == collective && (*a)->two_ways)
            return true;
    return false;
}

/* Is its memory noted?  No element has more than 8 bytes, and counts of blocks are not looked at. */
static inline bool is_large(const struct peal_comm *comm, const struct coll_call *u)
{
    size_t elements = u->count | u->recvcount;

    if (u->collective == ALLGATHER || u->collective == REDUCE_SCATTER)
        elements *= (size_t)comm->nranks;
    return elements >= HEAT_NOTED / 8;
}

static void note_use(struct peal_comm *comm, const struct coll_call *u)
{
    struct heat *heat = &comm->coll->heat;
    struct extent e = extent(comm, u);

    if (u->sendbuf && u->sendbuf != PEAL_IN_PLACE)
        heat_use(heat, u->sendbuf, e.in);
    else
        e.out = e.in > e.out ? e.in : e.out;
    if (u->sendbuf != u->recvbuf)
        heat_use(heat, u->recvbuf, e.out);
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
    key.past_caches = call->past_caches && differs(call->collective);
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
    if ((status = plan_build(call, user, coll->strict, coll->speed.layout, e)))
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
static int prepare(struct peal_comm *comm, const struct coll_call *user, bool again,
                   struct seat **seat)
{
    struct call call = {
        .collective = user->collective, .rank = comm->rank, .nranks = comm->nranks,
        .root = user->root, .count = user->count, .counts = user->counts,
        .size = datatype_size((int)user->type), .commutative = true, .nslices = 1,
    };
    struct binding binding = { .stream = user->collective == SENDRECV };
    struct entry *entry = NULL;
    bool combines = user->collective == ALLREDUCE || user->collective == REDUCE ||
                    user->collective == REDUCE_SCATTER;
    int status;

    if (user->collective == BARRIER)
        call.size = 1;
    if (combines) {
        status = arithmetic_resolve(&binding.how, user->type, user->op, comm->nranks);
        if (status)
            return status;
        call.commutative = binding.how.commutative;
    }
    call.past_caches = goes_past(comm, user, again);
    find_aliases(user, &call, &binding);
    status = find_entry(comm, user, &call, &binding.how, &entry);
    if (status || (status = seat_take(&comm->coll->cache, entry, seat)))
        return status;
    if ((*seat)->input) {
        binding.space[RAW] = binding.space[SRC];
        binding.space[SRC] = (*seat)->input;
    }
    binding.signature = signature_make(user, comm->nranks, &binding.how, &entry->choice);
    binding.past = call.past_caches;
    (*seat)->binding = binding;
    note_use(comm, user);
    return PEAL_OK;
}

/* As run_start(). */
static inline int launch(struct peal_comm *comm, struct seat *seat, bool awaited)
{
    uint64_t call = 0;
    int status;

    if (seat->binding.stream == 0) {
        seat->binding.signature = signature_in_order(seat->binding.signature, comm->calls + 1);
        call = comm_begin_call(comm, seat->binding.signature);
    }
    status = run_start(seat->run, &comm->engine, &seat->binding, awaited);
    if (status == STATUS_LATER && run_active(seat->run))
        run_note(seat->run, call, clock_deadline(comm->options.timeout));
    return status;
}

__attribute__((hot))
int coll_launch(struct peal_comm *comm, struct seat *seat)
{
    int status = launch(comm, seat, false);

    return status == STATUS_LATER ? PEAL_OK : status;
}

int coll_seat(struct peal_comm *comm, const struct coll_call *user, bool again,
              struct seat **seat)
{
    int status = prepare(comm, user, again, seat);
    char text[COMM_TEXT], name[128];

    if (status == PEAL_OK || status == PEAL_ERR_ARGUMENT)
        return status;
    comm_peer_name(comm, comm->rank, name, sizeof name);
    snprintf(text, sizeof text, "%s: %s", name, status_text());
    return comm_break(comm, status, text);
}

/* ---- Blocking ----------------------------------------------------------------- */

/* Would a look-up find the same seat again?  Created operations may have been freed
 * meanwhile, and counts have to be read.  One test: calls that do not repeat are
 * found out as fast as those that do. */
static inline bool repeats(const struct coll_call *a, const struct coll_call *b)
{
    uint64_t differ = ((uintptr_t)a->sendbuf ^ (uintptr_t)b->sendbuf) |
                      ((uintptr_t)a->recvbuf ^ (uintptr_t)b->recvbuf) |
                      (a->count ^ b->count) | (a->recvcount ^ b->recvcount) |
                      (uintptr_t)a->counts | (uintptr_t)b->counts;

    differ |= (unsigned)(a->collective ^ b->collective) | (unsigned)(a->type ^ b->type) |
              (unsigned)(a->op ^ b->op) | (unsigned)(a->root ^ b->root) |
              (unsigned)(a->dest ^ b->dest) | (unsigned)(a->source ^ b->source);
    return differ == 0 && b->op < PEAL_OPS;
}

static inline int run_seat(struct peal_comm *comm, struct seat *seat)
{
    struct run *run = seat->run;
    int status = atomic_load_explicit(&comm->engine.failure, memory_order_acquire);

    if (status)
        return coll_broke(comm, NULL, status);
    status = launch(comm, seat, true);
    if (status == STATUS_LATER)
        status = run_active(run) ? run_wait(run, run_deadline(run)) : run_status(run);
    return status ? coll_broke(comm, run, status) : PEAL_OK;
}

static inline bool is_recent(const struct recent *r, const struct coll_call *user)
{
    return r->seat && repeats(&r->call, user);
}

/* The seat of an equal recent call, or NULL. */
static struct seat *find_recent(struct coll *coll, const struct coll_call *user)
{
    unsigned *then = &coll->recent[coll->latest].then, at = *then;

    if (!is_recent(&coll->recent[at], user)) {
        for (at = 0; at < RECENT_CALLS && !is_recent(&coll->recent[at], user); at++)
            continue;
        if (at == RECENT_CALLS)
            return NULL;
        *then = at;
    }
    coll->latest = at;
    return coll->recent[at].seat;
}

/* It takes the place of the oldest, and of one that stored its result the other way. */
static void note_recent(struct coll *coll, const struct coll_call *user, struct seat *seat)
{
    unsigned at = (coll->newest + 1) % RECENT_CALLS;

    for (unsigned i = 0; i < RECENT_CALLS; i++) {
        struct recent *r = &coll->recent[i];

        if (r->seat && (i == at || r->seat->entry->bytes > RECENT_BYTES ||
                        repeats(&r->call, user))) {
            seat_give_back(r->seat);
            r->seat = NULL;
        }
    }
    coll->recent[at] = (struct recent){ *user, seat, at };
    coll->recent[coll->latest].then = at;
    coll->latest = coll->newest = at;
}

/* Can its result be stored as is best now? */
static bool suits(struct peal_comm *comm, const struct coll_call *user, struct seat *seat)
{
    bool past = goes_past(comm, user, false);

    if (past != seat->binding.past && differs(user->collective))
        return false;
    seat->binding.past = past;
    note_use(comm, user);
    return true;
}

__attribute__((hot))
bool coll_again(struct peal_comm *comm, const struct coll_call *user, int *status)
{
    struct seat *seat = find_recent(comm->coll, user);

    if (!seat || (is_large(comm, user) && !suits(comm, user, seat)))
        return false;
    comm_enter(comm);
    *status = comm_check(comm);
    if (*status == PEAL_OK)
        *status = run_seat(comm, seat);
    comm_leave(comm);
    return true;
}

static int run_new(struct peal_comm *comm, const struct coll_call *user)
{
    struct seat *seat;
    int status = comm_check(comm);

    if (status || (status = coll_seat(comm, user, false, &seat)))
        return status;
    note_recent(comm->coll, user, seat);
    return run_seat(comm, seat);
}

int coll_run(struct peal_comm *comm, const struct coll_call *user)
{
    int status;

    comm_enter(comm);
    status = run_new(comm, user);
    comm_leave(comm);
    return status;
}
