/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/start.h"

#include "base/clock.h"

#include <stdlib.h>

struct peal_request {
    struct peal_comm    *comm;         /* NULL: it was freed before the request */
    struct seat         *seat;
    bool                 persistent, active;
    int                  status;       /* without a communicator: how it ended */
    struct peal_request *next, *previous;      /* of the communicator's */
};

static inline int start(struct peal_request *r);

/* ---- Messages made before -------------------------------------------------- */

/* Memory that a message may have, whatever its length. */
static inline bool is_memory(const void *buffer)
{
    return buffer && buffer != PEAL_IN_PLACE;
}

static inline bool is_like(const struct recent_message *m, const struct coll_call *user,
                           const struct cache *cache)
{
    const struct coll_call *c = &m->call;
    uint64_t differ = (c->count ^ user->count) | (c->recvcount ^ user->recvcount);

    differ |= (unsigned)(c->collective ^ user->collective) | (unsigned)(c->type ^ user->type) |
              (unsigned)(c->dest ^ user->dest) | (unsigned)(c->source ^ user->source);
    return differ == 0 && m->entry && m->evicted == cache->evicted &&
           (is_memory(user->sendbuf) || user->dest < 0) &&
           (is_memory(user->recvbuf) || user->source < 0);
}

/* One of them whose plan has a seat left; or NULL. */
static inline const struct recent_message *find_message(const struct coll *coll,
                                                        const struct coll_call *user)
{
    for (unsigned i = 0; i < RECENT_MESSAGES; i++) {
        const struct recent_message *m =
            &coll->messages[(coll->newest_message - i) % RECENT_MESSAGES];

        if (is_like(m, user, &coll->cache))
            return m->entry->free_seats ? m : NULL;
    }
    return NULL;
}

/* It takes the place of one like it, or of the oldest. */
static void note_message(struct coll *coll, const struct coll_call *user, const struct seat *seat)
{
    unsigned at = 0;

    while (at < RECENT_MESSAGES && !is_like(&coll->messages[at], user, &coll->cache))
        at++;
    if (at == RECENT_MESSAGES)
        at = ++coll->newest_message % RECENT_MESSAGES;
    coll->messages[at] = (struct recent_message){ *user, seat->entry, coll->cache.evicted,
                                                  seat->binding.signature };
}

/* All seats of the plan have been used for messages: only what differs is bound. */
static inline struct seat *seat_like(const struct recent_message *m, const struct coll_call *user)
{
    struct seat *seat = m->entry->free_seats;

    m->entry->free_seats = seat->next;
    m->entry->seats_used++;
    seat->binding.space[SRC] = (unsigned char *)(uintptr_t)user->sendbuf;
    seat->binding.space[DST] = user->recvbuf;
    seat->binding.signature = m->signature;
    return seat;
}

/* ---- Requests ---------------------------------------------------------------- */

static int find_seat(struct peal_comm *comm, const struct coll_call *user, bool persistent,
                     struct seat **seat)
{
    int status = coll_seat(comm, user, persistent, seat);

    if (status == PEAL_OK && user->collective == SENDRECV)
        note_message(comm->coll, user, *seat);
    return status;
}

/* `like`: a message made before that differs in its memory only, or NULL. */
static inline __attribute__((always_inline))
int make_request(struct peal_comm *comm, const struct coll_call *user,
                 const struct recent_message *like, bool persistent,
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
    if (like)
        r->seat = seat_like(like, user);
    else
        status = find_seat(comm, user, persistent, &r->seat);
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
    if (!persistent && (status = start(r))) {
        coll_release(r);
        return status;
    }
    *request = r;
    return PEAL_OK;
}

int coll_request(struct peal_comm *comm, const struct coll_call *user, bool persistent,
                 struct peal_request **request)
{
    int status = comm_progress(comm);

    if (status)
        return status;
    comm_enter(comm);
    status = make_request(comm, user, NULL, persistent, request);
    comm_leave(comm);
    return status;
}

__attribute__((hot))
bool coll_request_again(struct peal_comm *comm, const struct coll_call *user,
                        struct peal_request **request, int *status)
{
    const struct recent_message *like = find_message(comm->coll, user);

    if (!like)
        return false;
    *status = comm_progress(comm);
    if (*status)
        return true;
    comm_enter(comm);
    *status = make_request(comm, user, like, false, request);
    comm_leave(comm);
    return true;
}

/* Inline, as what is started again and again is short. */
static inline int start(struct peal_request *r)
{
    int status = comm_check(r->comm);

    if (status)
        return status;
    if (r->active)
        return status_fail(PEAL_ERR_STATE, "the request is active; wait for it before it is "
                           "started again");
    status = coll_launch(r->comm, r->seat);
    r->active = status == PEAL_OK;
    return status;
}

int coll_start(struct peal_request *r)
{
    int status;

    if (!r->persistent)
        return status_fail(PEAL_ERR_STATE, "only requests of a peal_..._init function can be "
                           "started");
    if (!r->comm)
        return status_fail(PEAL_ERR_STATE, "the request's communicator was freed");
    comm_enter(r->comm);
    status = start(r);
    comm_leave(r->comm);
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
        status = coll_broke(r->comm, run, status);
    r->active = false;
    return status;
}

static int test(struct peal_request *r, bool *done)
{
    struct engine *engine = &r->comm->engine;
    struct run *run = r->seat->run;
    int failure;

    *done = true;
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

int coll_test(struct peal_request *r, bool *done)
{
    int status;

    *done = true;
    if (!r->active)
        return PEAL_OK;
    if (!r->comm)
        return orphaned(r);
    comm_enter(r->comm);
    status = test(r, done);
    comm_leave(r->comm);
    return status;
}

__attribute__((hot))
int coll_wait(struct peal_request *r)
{
    struct run *run;
    int status = PEAL_OK;

    if (!r->active)
        return PEAL_OK;
    if (!r->comm)
        return orphaned(r);
    run = r->seat->run;
    comm_enter(r->comm);
    if (run_active(run))
        status = run_wait(run, run_deadline(run));
    status = finish(r, status);
    comm_leave(r->comm);
    return status;
}

/* One may have ended since the caller looked: then there is nothing to wait for. */
static bool some_ended(struct peal_request *const *requests, int count,
                       const struct peal_comm *comm)
{
    for (int i = 0; i < count; i++)
        if (requests[i] && requests[i]->active && requests[i]->comm == comm &&
            !run_active(requests[i]->seat->run))
            return true;
    return false;
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
            comm_enter(requests[i]->comm);
            engine_progress(&requests[i]->comm->engine);
            comm_leave(requests[i]->comm);
        }
        watched = requests[i]->comm;
        if (run_deadline(requests[i]->seat->run) < deadline)
            deadline = run_deadline(requests[i]->seat->run);
    }
    if (!watched)
        return PEAL_OK;
    if (several && deadline > clock_now() + LOOK_NS)
        deadline = clock_now() + LOOK_NS;
    comm_enter(watched);
    if (!some_ended(requests, count, watched))
        engine_wait(&watched->engine, NULL, deadline);
    comm_leave(watched);
    return PEAL_OK;
}

__attribute__((hot))
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

__attribute__((hot))
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

__attribute__((hot))
bool coll_end(struct peal_request *r)
{
    if (r->persistent)
        return false;
    coll_release(r);
    return true;
}

/* ---- The end of the communicator --------------------------------------------- */

int coll_finish(struct peal_comm *comm)
{
    int status = PEAL_OK;

    for (struct peal_request *r = comm->coll->requests; r; r = r->next)
        if (r->active && r->seat->binding.stream != 0)
            run_abandon(r->seat->run);
    for (struct peal_request *r = comm->coll->requests; r && !status; r = r->next)
        if (r->active && r->seat->binding.stream == 0 && run_active(r->seat->run)) {
            status = run_wait(r->seat->run, run_deadline(r->seat->run));
            if (status || (status = run_status(r->seat->run)))
                status = coll_broke(comm, r->seat->run, status);
        }
    return status;
}

void requests_orphan(struct coll *coll)
{
    for (struct peal_request *r = coll->requests; r; r = r->next) {
        r->status = run_status(r->seat->run) ? PEAL_ERR_STATE : PEAL_OK;
        seat_give_back(r->seat);
        r->comm = NULL;
    }
    for (struct peal_request *r = coll->free_requests, *next; r; r = next) {
        next = r->next;
        free(r);
    }
}
