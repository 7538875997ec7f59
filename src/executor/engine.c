/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"
#include "base/log.h"
#include "executor/patience.h"
#include "executor/run.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

const struct setting executor_settings[] = {
    { "PEAL_SPIN", "10", "microseconds that a wait spins before it yields the core "
      "(0 is used where ranks outnumber cores)", NULL },
    { "PEAL_YIELD", "200", "microseconds that a wait then yields before it sleeps; up to 16 times as "
      "long while waits end soon after, unless ranks outnumber cores", NULL },
    { NULL, NULL, NULL, NULL }
};

enum { STALL_MS = 100 };           /* a wait that long without a movement is reported */

int engine_init(struct engine *engine, int rank, int nranks)
{
    engine->rank = rank;
    engine->nranks = nranks;
    engine->wake = -1;
    completion_queue_init(&engine->completions);
    engine->completions.why = engine->why;
    engine->links = calloc((size_t)nranks, sizeof *engine->links);
    if (!engine->links)
        return status_fail(PEAL_ERR_MEMORY, "no memory for %d links", nranks);
    engine->spin_ns = (uint64_t)(1e3 * setting_number(&executor_settings[0], 0, 1e7));
    engine->yield_ns = (uint64_t)(1e3 * setting_number(&executor_settings[1], 0, 1e7));
    engine->yields_ns = engine->yield_ns;
    engine->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (engine->wake < 0) {
        free(engine->links);
        engine->links = NULL;
        return status_fail(PEAL_ERR_SYSTEM, "eventfd: %m; raise the limit of open files");
    }
    return PEAL_OK;
}

static void close_ports(struct engine *engine, bool flush)
{
    for (int i = 0; i < engine->nports; i++)
        engine->ports[i].transport->close(engine->ports[i].port, flush);
    engine->nports = 0;
    for (int peer = 0; engine->links && peer < engine->nranks; peer++)
        engine->links[peer].endpoint = NULL;
}

void engine_free(struct engine *engine, bool flush)
{
    close_ports(engine, flush);
    if (engine->links && engine->wake >= 0)
        close(engine->wake);
    free(engine->links);
    engine->links = NULL;
}

void engine_wake(struct engine *engine)
{
    uint64_t one = 1;

    /* A full counter wakes as well, so a failed write loses nothing. */
    if (write(engine->wake, &one, sizeof one) < 0 && errno != EAGAIN)
        log_warn("cannot wake a waiting thread: %m");
}

void engine_fail(struct engine *engine, int status)
{
    int none = 0;

    atomic_compare_exchange_strong(&engine->failure, &none, status);
    engine_wake(engine);
}

void engine_break(struct engine *engine, int status, bool flush)
{
    engine_fail(engine, status);
    close_ports(engine, flush);
    completion_queue_init(&engine->completions);
    while (engine->runs)
        run_end(engine->runs, status);
}

int engine_hear(struct engine *engine)
{
    struct completion *done;
    int heard = 0;

    for (; (done = completion_next(&engine->completions)); heard++)
        run_completed((struct task *)done);
    return heard;
}

int engine_progress(struct engine *engine)
{
    int moved = 0;

    for (int i = 0; i < engine->nports; i++)
        moved += engine->ports[i].transport->progress(engine->ports[i].port);
    moved += engine_hear(engine);
    for (struct run *run = engine->runs, *next; run; run = next) {
        next = run->next;
        moved += run_advance(run);
    }
    return moved;
}

/* ---- Waiting ------------------------------------------------------------ */

int engine_arm(struct engine *engine, struct pollfd *fds)
{
    int n = 1;

    if (engine->completions.first)
        return 0;
    fds[0] = (struct pollfd){ .fd = engine->wake, .events = POLLIN };
    for (int i = 0; i < engine->nports; i++) {
        const struct transport *transport = engine->ports[i].transport;

        if (transport->arm(engine->ports[i].port) != PEAL_OK)
            return 0;
        fds[n++] = (struct pollfd){
            .fd = transport->descriptor(engine->ports[i].port), .events = POLLIN };
    }
    return n;
}

void engine_awake(struct engine *engine)
{
    uint64_t drained;

    if (read(engine->wake, &drained, sizeof drained) < 0 && errno != EAGAIN)
        log_warn("cannot read a wake-up: %m");
}

/* Sleep until something may have come, at most until `deadline`; false if the
 * time for noticing a stall passed. */
static bool sleep_on(struct engine *engine, uint64_t deadline)
{
    struct pollfd fds[ENGINE_FDS];
    int n = engine_arm(engine, fds), left = clock_left_ms(deadline), ready;

    if (n == 0)
        return true;
    ready = poll(fds, (nfds_t)n, left < STALL_MS ? left : STALL_MS);
    if (ready > 0 && fds[0].revents)
        engine_awake(engine);
    return ready != 0;
}

/* The collective that must end first, or NULL: whatever is waited for, later ones
 * cannot be the reason. */
static const struct run *oldest_call(const struct engine *engine)
{
    const struct run *run = engine->runs;

    while (run && run->call == 0)
        run = run->next;
    return run;
}

int engine_wait(struct engine *engine, struct run *run, uint64_t deadline)
{
    enum { MOVES_PER_CLOCK = 4096 };
    struct patience patience = { 0, 0 };
    const struct run *stuck;
    unsigned moves = 0;
    uint64_t now;

    if (run && run->active)
        run_enlist(run);
    for (;;) {
        int moved = engine_progress(engine);
        int failure = atomic_load_explicit(&engine->failure, memory_order_acquire);

        if (failure)
            return failure;
        if (run ? !run_active(run) : moved > 0)
            return PEAL_OK;
        if (moved) {
            patience = (struct patience){ 0, 0 };
            now = ++moves % MOVES_PER_CLOCK ? 0 : clock_now();
        } else if (!be_patient(engine, &patience, &now)) {
            uint64_t start = now;

            if (!sleep_on(engine, deadline) && engine->stalled &&
                (stuck = oldest_call(engine)))
                engine->stalled(engine, stuck);
            now = clock_now();
            if (!engine->crowded)
                engine->yields_ns = patience_learn(engine->yields_ns, engine->yield_ns,
                                                   now - start);
        }
        if (now >= deadline)
            return PEAL_ERR_TIMEOUT;
    }
}
