/* SPDX-License-Identifier: BSD-3-Clause */
#include "executor/run.h"

#include "base/status.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SCRATCH_ALIGN = 64, MOST_STAGES = 64 };
/* In place of what a step waits for: it was started, or is done, with another one. */
enum { STEP_TAKEN = 1 };
#define NO_STEP UINT32_MAX         /* of a task that is not in use */

static _Atomic int stages;             /* of this process */

/* Memory that peers can see takes a descriptor, so there is not much of it; it is a
 * matter of speed, any other will do. */
static void *stage_take(size_t bytes)
{
    char kept[STATUS_TEXT];
    void *memory = NULL;

    if (atomic_fetch_add(&stages, 1) >= MOST_STAGES)
        goto none;
    status_keep(kept);
    if (memory_alloc(bytes, &memory) == PEAL_OK)
        return memory;
    status_restore(kept);
none:
    atomic_fetch_sub(&stages, 1);
    return NULL;
}

static bool scratch_take(struct run *run)
{
    const struct plan *plan = run->plan;
    void *memory = NULL;

    if (plan->staged)
        memory = run->staged = stage_take(plan->scratch);
    if (plan->scratch && !memory && posix_memalign(&memory, SCRATCH_ALIGN, plan->scratch))
        return false;
    run->scratch = memory;
    if (run->staged)
        run->paces = calloc(plan->npeers + 1u, sizeof *run->paces);
    return !run->staged || run->paces;
}

int run_create(const struct plan *plan, struct run **run)
{
    struct run *r = calloc(1, sizeof *r);
    uint32_t n = plan->nsteps + 1;

    if (!r)
        goto fail;
    r->plan = plan;
    r->waits = calloc(n, sizeof *r->waits);
    r->ready = calloc(n, sizeof *r->ready);
    r->blocked = calloc(n, sizeof *r->blocked);
    r->send_base = calloc(plan->npeers + 1u, sizeof *r->send_base);
    r->recv_base = calloc(plan->npeers + 1u, sizeof *r->recv_base);
    r->parts = calloc(plan->most_parts + 1u, sizeof *r->parts);
    /* One for every message: if receives that wait could use up all tasks, the
     * sends that they wait for might find none on the other side. */
    r->tasks = calloc(plan->nmessages + 1u, sizeof *r->tasks);
    if (!r->waits || !r->ready || !r->blocked || !r->send_base || !r->recv_base ||
        !r->parts || !r->tasks)
        goto fail;
    if (!scratch_take(r))
        goto fail;
    for (uint32_t i = 0; i < plan->nmessages; i++) {
        r->tasks[i].run = r;
        r->tasks[i].step = NO_STEP;
        r->tasks[i].next = r->free_tasks;
        r->free_tasks = &r->tasks[i];
    }
    *run = r;
    return PEAL_OK;

fail:
    run_free(r);
    return status_fail(PEAL_ERR_MEMORY,
                       "no memory to run %u operations with %zu bytes of scratch",
                       plan->nsteps, plan->scratch);
}

void run_free(struct run *run)
{
    if (!run)
        return;
    free(run->waits);
    free(run->ready);
    free(run->blocked);
    free(run->send_base);
    free(run->recv_base);
    free(run->parts);
    free(run->tasks);
    free(run->paces);
    if (run->staged) {
        memory_free(run->staged);
        atomic_fetch_sub(&stages, 1);
    } else {
        free(run->scratch);
    }
    free(run);
}

/* ---- Messages ---------------------------------------------------------- */

static void task_free(struct run *run, struct task *task)
{
    task->step = NO_STEP;
    task->next = run->free_tasks;
    run->free_tasks = task;
}

/* Is a short message copied though the peer could see it where it lies?  Where ranks share cores, who
 * lends waits a turn until it was taken; and where it lends of the result, each call stores there
 * again, slowly, for the peer has read those lines. */
static bool copies(const struct run *run, const struct step *step, const struct link *link)
{
    return run->engine->crowded && link->transport->lends && step->src.space == DST &&
           step->src.bytes <= TRANSPORT_EAGER;
}

/* What is to be copied goes by put(), which is for a message whose turn it is: all before it have
 * been started. */
static int send_start(struct run *run, const struct step *step, struct link *link,
                      const struct message *message, struct task *task)
{
    const struct transport *transport = link->transport;
    int status = STATUS_AGAIN;

    if (message->number == link->sends[message->stream].low && copies(run, step, link))
        status = transport->put(link->endpoint, message, run_at(run, step->src), step->src.bytes,
                                &task->done);
    if (status == PEAL_OK)
        completion_done(&run->engine->completions, &task->done, PEAL_OK);
    else if (status == STATUS_AGAIN)
        status = transport->send(link->endpoint, message, run_at(run, step->src), step->src.bytes,
                                 &task->done);
    return status == STATUS_LATER ? PEAL_OK : status;
}

int run_message_start(struct run *run, uint32_t index, struct link *link)
{
    const struct step *step = &run->plan->steps[index];
    struct message message = run_message(run, step);
    struct window *window = &link->sends[message.stream];
    struct task *task = run->free_tasks;
    int status;

    if (step->kind == OP_SEND && !window_allows(window, message.number))
        return STATUS_AGAIN;
    task->step = index;
    run->free_tasks = task->next;
    if (step->kind == OP_SEND) {
        status = send_start(run, step, link, &message, task);
        if (status == PEAL_OK)
            window_started(window, message.number);
    } else {
        struct landing landing = run_landing(run, step);

        status = link->transport->recv(link->endpoint, &message, &landing, &task->done);
    }
    if (status != PEAL_OK)
        task_free(run, task);
    return status;
}

/* Start a receive together with the send that waits for it alone, if the transport can do
 * that: STATUS_AGAIN if not. */
static int relay_start(struct run *run, uint32_t index, struct link *from)
{
    const struct step *step = &run->plan->steps[index], *onward = &run->plan->steps[step->onward];
    struct link *to = &run->engine->links[onward->peer];
    struct task *task = run->free_tasks, *next = task->next;
    struct message message = run_message(run, step), then = run_message(run, onward);
    struct window *window = &to->sends[then.stream];
    struct landing landing = run_landing_onward(run, step);
    int status;

    if (!to->endpoint || to->transport != from->transport ||
        !window_allows(window, then.number))
        return STATUS_AGAIN;
    task->step = index;
    next->step = step->onward;
    run->free_tasks = next->next;
    status = from->transport->relay(from->endpoint, &message, &landing, &task->done,
                                    to->endpoint, &then, &next->done);
    if (status != PEAL_OK) {
        task_free(run, next);
        task_free(run, task);
        return status;
    }
    window_started(window, then.number);
    run->waits[step->onward]++;        /* they are not to be started once more */
    if (step->keep)
        run->waits[step->keep]++;
    return PEAL_OK;
}

/* Start a send that does the work of a copy, likewise. */
static int carrier_start(struct run *run, const struct step *copy)
{
    const struct step *step = &run->plan->steps[copy->carrier];
    struct link *link = &run->engine->links[step->peer];
    struct message message = run_message(run, step);
    struct window *window = &link->sends[message.stream];
    struct task *task = run->free_tasks;
    int status;

    if (!link->endpoint || !link->transport->send_keep || !window_allows(window, message.number))
        return STATUS_AGAIN;
    status = link->transport->send_keep(link->endpoint, &message, run_at(run, step->src),
                                        step->src.bytes, run_at(run, copy->dst), run_past(run, copy),
                                        &task->done);
    if (status != PEAL_OK)
        return status;
    task->step = copy->carrier;
    run->free_tasks = task->next;
    window_started(window, message.number);
    run->waits[copy->carrier] = STEP_TAKEN;
    return PEAL_OK;
}

static int try_message(struct run *run, uint32_t index)
{
    struct engine *engine = run->engine;
    const struct step *step = &run->plan->steps[index];
    struct link *link = &engine->links[step->peer];
    int status;

    if (!link->endpoint && (status = engine->join(engine, step->peer)) != PEAL_OK)
        return status;
    if (step->onward && link->transport->relay && (status = relay_start(run, index, link)) != STATUS_AGAIN)
        return status;
    return run_message_start(run, index, link);
}

/* ---- Local steps ------------------------------------------------------- */

static int reduce(struct run *run, const struct step *step)
{
    const struct arithmetic *how = &run->binding->how;

    for (uint32_t i = 0; i < step->nparts; i++)
        run->parts[i] = run_at(run, run->plan->parts[step->first_part + i]);
    return how->fold(how, run_at(run, step->dst), run->parts, (int)step->nparts,
                     step->dst.bytes / how->size);
}

/* To a stage.  Some peers are near and some are far, and one is on our core: what each reads is timed
 * apart.  What several read is as slow as the furthest of them, in every run. */
static void stage(struct run *run, const struct step *step)
{
    struct pace *pace = step->reader == READER_SEVERAL ? &run->engine->pace
                                                       : &run->paces[step->reader];

    pace_copy(pace, run_at(run, step->dst), run_at(run, step->src), step->dst.bytes);
}

static void copy(struct run *run, const struct step *step)
{
    void *dst = run_at(run, step->dst);
    const void *src = run_at(run, step->src);

    if (run_past(run, step))
        memory_stream(dst, src, step->dst.bytes);
    else if (run->staged && run->warm && step->reader != READER_NONE)
        stage(run, step);
    else
        memcpy(dst, src, step->dst.bytes);
}

static void rescale(struct run *run, const struct step *step, arithmetic_scale *by)
{
    const struct arithmetic *how = &run->binding->how;

    by(how, run_at(run, step->dst), run_at(run, step->src), step->dst.bytes / how->size);
}

int run_local(struct run *run, const struct step *step)
{
    switch (step->kind) {
    case OP_COPY:
        copy(run, step);
        return PEAL_OK;
    case OP_REDUCE:
        return reduce(run, step);
    case OP_BEFORE:
        rescale(run, step, run->binding->how.before);
        return PEAL_OK;
    case OP_AFTER:
        rescale(run, step, run->binding->how.after);
        return PEAL_OK;
    default:
        return status_fail(PEAL_ERR_UNSUPPORTED, "operation kind %d in a schedule",
                           (int)step->kind);
    }
}

/* ---- Progress ---------------------------------------------------------- */

static void step_done(struct run *run, const struct step *step)
{
    const uint32_t *next = run->plan->nexts + step->first_next;

    for (uint32_t i = 0; i < step->nnext; i++)
        if (--run->waits[next[i]] == 0)
            run->ready[run->tail++] = next[i];
    run->left--;
}

void run_end(struct run *run, int status)
{
    struct engine *engine = run->engine;
    struct run **link = &engine->runs, *last = NULL;

    if (run->listed) {
        while (*link != run) {
            last = *link;
            link = &last->next;
        }
        *link = run->next;
        if (engine->last_run == run)
            engine->last_run = last;
        run->listed = false;
    }
    run_ended(run, status);
}

void run_enlist(struct run *run)
{
    struct engine *engine = run->engine;

    if (run->listed)
        return;
    run->listed = true;
    run->next = NULL;
    if (engine->last_run)
        engine->last_run->next = run;
    else
        engine->runs = run;
    engine->last_run = run;
}

/* Nobody will be told of a failure: whoever fails next may have its text kept, unless
 * one that is under way has the same. */
static void forget_why(struct engine *engine)
{
    for (const struct completion *done = engine->completions.first; done; done = done->next)
        if (done->status && done->told)
            return;
    engine->why[0] = '\0';
}

/* The run cannot go on, and what it has posted must not be touched any more:
 * that takes the whole engine down (engine_break), which its owner does. */
static void run_broke(struct run *run, int status)
{
    struct engine *engine = run->engine;

    run_end(run, status);
    if (run->abandoned) {
        if (!engine->broken && run->fault.told)
            forget_why(engine);
        return;
    }
    if (!engine->broken)
        engine->broken = run;
    engine_fail(engine, status);
}

void run_failed(struct run *run, int status, int peer)
{
    struct engine *engine = run->engine;

    run->fault.peer = peer;
    run->fault.told = status_note(engine->why);
    if (!run->fault.told && !engine->broken && !run->abandoned) {
        status_keep(engine->why);      /* what was kept is heard of later, and so tells nothing */
        run->fault.told = true;
    }
    run_broke(run, status);
}

/* Start one ready step: true if it was started or ended the run. */
static bool start_step(struct run *run, uint32_t index)
{
    const struct step *step = &run->plan->steps[index];
    int status = PEAL_OK;

    if (run->waits[index] == STEP_TAKEN)
        return true;
    if (step->kind <= OP_COMBINE) {
        status = try_message(run, index);
        if (status == STATUS_AGAIN)
            return false;
    } else if (!step->carrier || (status = carrier_start(run, step)) == STATUS_AGAIN) {
        status = run_local(run, step);
        if (status == PEAL_OK)
            step_done(run, step);
    }
    if (status != PEAL_OK)
        run_failed(run, status, step->kind <= OP_COMBINE ? step->peer : -1);
    return true;
}

int run_advance(struct run *run)
{
    uint32_t kept = 0, had = run->nblocked;
    int started = 0;

    if (run->walking) {
        uint32_t walked = run->walked;

        started = run_walk(run) == PEAL_OK || run->walked != walked;
        if (run->walking)
            started += run_leave(run);
        return started;
    }
    for (uint32_t i = 0; i < had && run->active; i++) {
        if (start_step(run, run->blocked[i]))
            started++;
        else
            run->blocked[kept++] = run->blocked[i];
    }
    run->nblocked = kept;
    while (run->active && run->head != run->tail) {
        uint32_t index = run->ready[run->head++];

        if (start_step(run, index))
            started++;
        else
            run->blocked[run->nblocked++] = index;
    }
    if (run->active && run->left == 0)
        run_end(run, PEAL_OK);
    return started;
}

/* A message has ended, and the copy that was part of it. */
static void message_done(struct run *run, const struct step *step)
{
    step_done(run, step);
    if (step->keep && run->waits[step->keep] == STEP_TAKEN)
        step_done(run, &run->plan->steps[step->keep]);
    if (step->carried && run->waits[step - run->plan->steps] == STEP_TAKEN)
        step_done(run, &run->plan->steps[step->carried - 1]);
}

void run_completed(struct task *task)
{
    struct run *run = task->run;
    const struct step *step = &run->plan->steps[task->step];
    int status = task->done.status;

    if (!run->active)
        return;
    if (run->walking)
        run_landed(run, task);
    task_free(run, task);
    if (status == PEAL_OK) {
        if (!run->walking)
            message_done(run, step);
        return;
    }
    run->fault = (struct run_fault){
        .peer = step->peer, .told = task->done.told, .theirs = task->done.theirs,
        .their_bytes = task->done.their_bytes, .our_bytes = step->dst.bytes,
    };
    run_broke(run, status);
}

/* ---- Questions --------------------------------------------------------- */

void run_note(struct run *run, uint64_t call, uint64_t deadline)
{
    run->call = call;
    run->deadline = deadline;
}

void run_abandon(struct run *run)
{
    run->abandoned = true;
}

__attribute__((hot))
bool run_active(const struct run *run)
{
    return run->active;
}

__attribute__((hot))
int run_status(const struct run *run)
{
    return run->status;
}

uint64_t run_deadline(const struct run *run)
{
    return run->deadline;
}

uint64_t run_call(const struct run *run)
{
    return run->call;
}

struct signature run_signature(const struct run *run)
{
    return run->binding->signature;
}

const struct run_fault *run_fault(const struct run *run)
{
    return &run->fault;
}

static int note_peer(int *peers, int count, int most, int peer)
{
    for (int i = 0; i < count; i++)
        if (peers[i] == peer)
            return count;
    if (count < most)
        peers[count++] = peer;
    return count;
}

/* The next peer is not to blame for what is relayed and has not come: that waits for two, for what
 * comes and not to be started. */
int run_awaits(const struct run *run, int *peers, int most)
{
    const struct plan *plan = run->plan;
    int count = 0;

    for (uint32_t i = 0; i < plan->nmessages; i++)
        if (run->tasks[i].step != NO_STEP && run->waits[run->tasks[i].step] <= 1)
            count = note_peer(peers, count, most, plan->steps[run->tasks[i].step].peer);
    for (uint32_t i = 0; i < run->nblocked; i++)
        count = note_peer(peers, count, most, plan->steps[run->blocked[i]].peer);
    return count;
}
