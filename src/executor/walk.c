/* SPDX-License-Identifier: BSD-3-Clause */
/* The short way through a plan of small messages.  Most of what the long way
 * does for such a plan is arranging what turns out not to be needed: by the time
 * a step is looked at, the ones before it are done.  So the steps are taken in
 * the order of the program, which is one that all ranks' programs agree with
 * (the schedule checker runs them in it), as long as nothing is out of the
 * ordinary; then the run goes on the long way from where it stands.
 *
 * run_start() and run_wait() are here so that a call that walks from its start to its end
 * is one function to the compiler. */
#include "executor/patience.h"
#include "executor/run.h"

#include "base/status.h"
#include "devices/copy.h"
#include "devices/device.h"

#include <string.h>

/* Longer messages, for which a transport is good; but who takes step after step holds back what
 * another could do in the same turn, if they share a core, or with other peers. */
static inline bool walks_longer(const struct run *run)
{
    const struct plan *plan = run->plan;
    const struct link *link = &run->engine->links[plan->steps[plan->opening].peer];

    return link->endpoint && plan->largest <= link->transport->walks &&
           !(plan->answers && (run->engine->crowded || plan->npeers > 1));
}

static inline bool may_walk(struct run *run)
{
    const struct plan *plan = run->plan;
    const struct step *step = &plan->steps[plan->opening];
    struct memory_share share;
    struct span span;

    run->lent = false;
    if (plan->largest > PLAN_LENT) {
        span = step->kind == OP_SEND ? step->src : step->dst;
        run->lent = memory_find(run_at(run, span), span.bytes, &share);
    }
    return run->lent || (plan->nmessages > 0 &&
                         (plan->largest <= PLAN_SMALL || walks_longer(run)));
}

/* Bytes of a message up to which it is copied through the transport. */
static size_t copied(const struct run *run)
{
    return run->lent ? PLAN_LENT : SIZE_MAX;
}

/* ---- Sends under way -------------------------------------------------------- */

void run_landed(struct run *run, const struct task *task)
{
    uint32_t i = 0;

    while (i < run->nflights && run->flights[i] != task->step)
        i++;
    if (i < run->nflights)
        run->flights[i] = run->flights[--run->nflights];
}

/* Would the step write what is still being sent? */
static bool disturbs(const struct run *run, uint32_t index)
{
    const struct plan *plan = run->plan;

    for (uint32_t i = 0; i < run->nflights; i++) {
        const struct step *sent = &plan->steps[run->flights[i]];

        for (uint32_t n = 0; n < sent->nnext; n++)
            if (plan->nexts[sent->first_next + n] == index)
                return true;
    }
    return false;
}

/* ---- Steps -------------------------------------------------------------------- */

/* Let peers know where the next messages are to lie, if nothing of this run is to
 * happen there before. */
static void expect_some(struct run *run)
{
    enum { AHEAD = 16 };
    const struct plan *plan = run->plan;

    for (; run->expected < run->walked + AHEAD && run->expected < plan->nsteps;
         run->expected++) {
        const struct step *step = &plan->steps[run->expected];
        const struct link *link;
        struct message message;

        if (step->kind != OP_RECV || step->dst.bytes <= copied(run) ||
            plan->waits[run->expected] > 0)
            continue;
        link = &run->engine->links[step->peer];
        if (!link->endpoint || !link->transport->lends)
            continue;
        message = run_message(run, step);
        link->transport->expect(link->endpoint, &message, run_at(run, step->dst),
                                step->dst.bytes);
    }
}

/* Stored where the peer expects it, if it does: else STATUS_AGAIN. */
__attribute__((noinline))
static int walk_place(const struct run *run, const struct step *step, struct link *link)
{
    struct message message = run_message(run, step);
    struct window *window = &link->sends[message.stream];
    int status;

    if (!run->plan->places || !link->transport->lends ||
        !window_allows(window, message.number))
        return STATUS_AGAIN;
    status = link->transport->place(link->endpoint, &message, run_at(run, step->src),
                                    step->src.bytes, run->binding->past);
    if (status == PEAL_OK)
        window_started(window, message.number);
    return status;
}

/* Too large to be copied, so one of the two must see the other's memory. */
__attribute__((noinline))
static int walk_large(struct run *run, const struct step *step, struct link *link)
{
    struct message message = run_message(run, step);
    struct memory_share share;
    int status;

    if (!link->transport->lends ||
        !window_allows(&link->sends[message.stream], message.number))
        return STATUS_POST;
    if (run->nflights == RUN_FLIGHTS ||
        !memory_find(run_at(run, step->src), step->src.bytes, &share))
        return STATUS_POST;
    run->flights[run->nflights++] = run->walked;
    status = run_message_start(run, run->walked, link);
    if (status != PEAL_OK)
        run->nflights--;
    return status == STATUS_AGAIN ? STATUS_POST : status;
}

__attribute__((always_inline))
static inline int walk_send(struct run *run, const struct step *step, struct link *link)
{
    struct message message = run_message(run, step);
    struct window *window = &link->sends[message.stream];
    struct task *task = run->free_tasks;
    int status;

    if (step->src.bytes > copied(run)) {
        status = walk_place(run, step, link);
        if (status != PEAL_OK)
            status = walk_large(run, step, link);
        if (status != STATUS_POST || step->src.bytes > PLAN_SMALL)
            return status;
    }
    if (run->nflights == RUN_FLIGHTS || !window_allows(window, message.number))
        return STATUS_POST;
    status = link->transport->put(link->endpoint, &message, run_at(run, step->src),
                                  step->src.bytes, &task->done);
    if (status == STATUS_AGAIN)
        return STATUS_POST;
    if (status == STATUS_LATER) {
        run->free_tasks = task->next;
        task->step = run->walked;
        run->flights[run->nflights++] = run->walked;
    }
    window_started(window, message.number);
    return PEAL_OK;
}

/* A copy, and the send of the same bytes that follows it: in one pass, or the send first, so that the
 * peer need not wait for the copy.  STATUS_AGAIN: not so. */
__attribute__((noinline))
static int walk_carrier(struct run *run, const struct step *copy)
{
    const struct step *step = copy + 1;
    struct link *link = &run->engine->links[step->peer];
    struct message message = run_message(run, step);
    struct window *window = &link->sends[message.stream];
    int status = STATUS_AGAIN;

    if (!link->endpoint || step->src.bytes > copied(run) || !window_allows(window, message.number))
        return STATUS_AGAIN;
    if (link->transport->put_keep && !run_past(run, copy))
        status = link->transport->put_keep(link->endpoint, &message, run_at(run, step->src),
                                           step->src.bytes, run_at(run, copy->dst));
    if (status == PEAL_OK)
        window_started(window, message.number);
    run->walked++;
    if (status == STATUS_AGAIN && (status = walk_send(run, step, link)) == PEAL_OK)
        status = run_local(run, copy);
    if (status != PEAL_OK)
        run->walked--;
    return status;
}

/* A message that has come, to where it belongs and where the peer expects it that it is sent
 * on to, in one pass: then the steps after it are done as well.  STATUS_AGAIN: not so. */
__attribute__((noinline))
static int walk_onward(struct run *run, const struct step *step, struct link *from,
                       const struct message *message, const void *view)
{
    const struct step *onward = step + 1;
    struct link *to = &run->engine->links[onward->peer];
    struct message then = run_message(run, onward);
    struct window *window = &to->sends[then.stream];
    struct landing landing;
    struct also also;
    int status, ended;

    if (!to->endpoint || !to->transport->lends || !window_allows(window, then.number))
        return STATUS_AGAIN;
    status = to->transport->place_begin(to->endpoint, &then, onward->src.bytes,
                                        run->binding->past, &also);
    if (status != PEAL_OK)
        return status;
    landing = run_landing_onward(run, step);
    landing.also = &also;
    landing.lent = true;
    status = landing_put(&landing, 0, view, landing.bytes);
    ended = from->transport->take(from->endpoint, message, step->dst.bytes);
    status = status ? status : ended;
    ended = to->transport->place_end(to->endpoint, &then, onward->src.bytes, status);
    if (ended != PEAL_OK) {
        run_failed(run, ended, status ? step->peer : onward->peer);
        return PEAL_OK;
    }
    window_started(window, then.number);
    run->walked += step->keep ? 2 : 1;
    return PEAL_OK;
}

/* Only where they follow each other: messages to a peer keep the order of the program, in which
 * it looks for them.  And not what a user's function makes, which may take its time: a peer that
 * closes its port waits. */
static inline bool goes_on(const struct run *run, const struct step *step)
{
    uint32_t index = run->walked;

    return run->plan->onwards && !run->binding->how.user && step->onward == index + 1 &&
           (!step->keep || step->keep == index + 2) && step->dst.bytes > copied(run);
}

__attribute__((always_inline))
static inline int walk_recv(struct run *run, const struct step *step, struct link *link)
{
    struct message message = run_message(run, step);
    struct landing landing;
    const void *view;
    void *dst;
    int taken, status = link->transport->peek(link->endpoint, &message, step->dst.bytes, &view);

    if (status != PEAL_OK)
        return status;
    if (run->lent && view != run_at(run, step->dst) && goes_on(run, step)) {
        status = walk_onward(run, step, link, &message, view);
        if (status != STATUS_AGAIN)
            return status;
        status = PEAL_OK;
    }
    if (step->kind == OP_RECV && !run_past(run, step)) {     /* the length is ours: nothing to check */
        dst = run_at(run, step->dst);
        if (view != dst)
            copy_bytes(dst, view, step->dst.bytes);
    } else {
        landing = run_landing(run, step);
        landing.lent = run->lent;
        if (view != landing.dst || landing.how)
            status = landing_put(&landing, 0, view, landing.bytes);
    }
    taken = link->transport->take(link->endpoint, &message, step->dst.bytes);
    return status ? status : taken;
}

__attribute__((always_inline))
static inline int walk_step(struct run *run, const struct step *step)
{
    struct link *link;

    if (run->nflights) {
        engine_hear(run->engine);
        if (!run->active || disturbs(run, run->walked))
            return STATUS_POST;
    }
    if (step->kind > OP_COMBINE) {
        int status = step->carrier == run->walked + 1 ? walk_carrier(run, step) : STATUS_AGAIN;

        return status == STATUS_AGAIN ? run_local(run, step) : status;
    }
    link = &run->engine->links[step->peer];
    if (!link->endpoint)
        return STATUS_POST;
    return step->kind == OP_SEND ? walk_send(run, step, link) : walk_recv(run, step, link);
}

static inline __attribute__((always_inline)) int walk(struct run *run)
{
    const struct plan *plan = run->plan;

    while (run->walked < plan->nsteps) {
        int status;

        if (run->lent)
            expect_some(run);
        status = walk_step(run, &plan->steps[run->walked]);

        if (status == STATUS_AGAIN)
            return status;
        if (!run->active)
            return PEAL_OK;
        if (status == STATUS_POST) {
            run_leave(run);
            return PEAL_OK;
        }
        if (status != PEAL_OK) {
            run_failed(run, status, plan->steps[run->walked].peer);
            return PEAL_OK;
        }
        run->walked++;
    }
    if (run->nflights)
        engine_hear(run->engine);
    if (run->nflights) {
        run_leave(run);
    } else if (run->listed) {
        run_end(run, PEAL_OK);
    } else if (run->active) {
        run_ended(run, PEAL_OK);
    }
    return PEAL_OK;
}

int run_walk(struct run *run)
{
    return walk(run);
}

/* Sends under way that need the transport's progress: not those of memory that peers see, for
 * these take them by themselves, and peek() finds that they have. */
static bool pushes(const struct run *run)
{
    for (uint32_t i = 0; i < run->nflights; i++) {
        const struct step *sent = &run->plan->steps[run->flights[i]];

        if (!run->engine->links[sent->peer].transport->lends)
            return true;
    }
    return false;
}

/* Nothing else is to be done than this run: look for its messages alone, until it
 * ends, leaves the short way, or should sleep. */
static inline void walk_on(struct run *run, uint64_t deadline)
{
    enum { WALK_NS = 200000, FLIGHT_LOOKS = 256 };
    const struct engine *engine = run->engine;
    struct patience patience = { 0, 0 };
    uint64_t now = 0;
    uint32_t walked = run->walked;

    while (run->walking && now < deadline &&
           !atomic_load_explicit(&engine->failure, memory_order_acquire) &&
           walk(run) == STATUS_AGAIN) {
        if (run->walked != walked) {
            walked = run->walked;
            patience = (struct patience){ 0, 0 };
        }
        /* Who shares a core does better on the long way, where more is started at once. */
        if (!be_patient(engine, &patience, &now) ||
            (run->nflights && patience.looks > FLIGHT_LOOKS && (engine->crowded || pushes(run))) ||
            (now && now - patience.idle_since > WALK_NS))
            break;
    }
}

__attribute__((hot))
int run_wait(struct run *run, uint64_t deadline)
{
    if (!run->listed || run->engine->runs == run->engine->last_run)
        walk_on(run, deadline);
    if (!run->active && run->status == PEAL_OK)
        return PEAL_OK;
    return engine_wait(run->engine, run, deadline);
}

__attribute__((hot))
int run_start(struct run *run, struct engine *engine, const struct binding *binding,
              bool awaited)
{
    const struct plan *plan = run->plan;

    if (run->active)
        return status_fail(PEAL_ERR_STATE, "the request is still active; wait for it first");
    run->engine = engine;
    run->binding = binding;
    run->call = 0;
    run->deadline = UINT64_MAX;
    run->status = PEAL_OK;
    run->abandoned = false;
    run->fault = (struct run_fault){ .peer = -1 };
    for (uint32_t i = 0; i < plan->npeers; i++) {
        struct link *link = &engine->links[plan->peers[i].peer];

        run->send_base[i] = link->sends[binding->stream].next;
        run->recv_base[i] = link->next_recv[binding->stream];
        link->sends[binding->stream].next += plan->peers[i].sends;
        link->next_recv[binding->stream] += plan->peers[i].recvs;
    }
    run->active = true;
    run->walked = run->expected = run->nflights = 0;
    run->walking = !engine->runs && may_walk(run);
    if (!run->walking) {
        run_enlist(run);
        run_leave(run);
    } else if (walk(run) == STATUS_AGAIN && run->walked < plan->openers &&
               (!awaited || engine->crowded)) {
        run_leave(run);            /* the sends need not wait, and others want the core */
    }
    if (!run->active)
        return run->status == PEAL_OK ? PEAL_OK : STATUS_LATER;
    if (!awaited)
        run_enlist(run);
    return STATUS_LATER;
}

/* ---- The long way ------------------------------------------------------------- */

int run_leave(struct run *run)
{
    const struct plan *plan = run->plan;

    run->walking = false;
    run->left = plan->nsteps - run->walked + run->nflights;
    run->nblocked = run->head = run->tail = 0;
    memcpy(run->waits, plan->waits, plan->nsteps * sizeof *plan->waits);
    for (uint32_t i = 0; i < run->walked; i++) {
        const uint32_t *next = plan->nexts + plan->steps[i].first_next;

        for (uint32_t n = 0; n < plan->steps[i].nnext; n++)
            run->waits[next[n]]--;
    }
    for (uint32_t i = 0; i < run->nflights; i++) {
        const struct step *sent = &plan->steps[run->flights[i]];

        for (uint32_t n = 0; n < sent->nnext; n++)
            run->waits[plan->nexts[sent->first_next + n]]++;
    }
    for (uint32_t i = run->walked; i < plan->nsteps; i++)
        if (run->waits[i] == 0)
            run->ready[run->tail++] = i;
    return run_advance(run);
}
