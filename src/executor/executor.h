/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs schedules: starts operations whose needs are met, on transports and
 * devices.  Knows no algorithm and no communicator: an engine is given links
 * to peers and a function that makes one when it is first needed.
 *
 * An engine and everything in it is used by one thread at a time, except
 * engine_fail() and engine_wake(). */
#ifndef EXECUTOR_H
#define EXECUTOR_H

#include "base/status.h"
#include "devices/device.h"
#include "devices/pace.h"
#include "schedule/schedule.h"
#include "transports/transport.h"

#include <stdatomic.h>

struct pollfd;

/* The messages of one direction of one link that were started. */
struct window {
    uint32_t next;                 /* number that the next run reserves first */
    uint32_t low;                  /* oldest number not yet started */
    uint64_t started[TRANSPORT_WINDOW / 64];
};

struct link {
    const struct transport *transport;
    struct endpoint        *endpoint;        /* NULL: not connected yet */
    struct window           sends[TRANSPORT_STREAMS];
    uint32_t                next_recv[TRANSPORT_STREAMS];
};

enum { ENGINE_PORTS = 8, ENGINE_FDS = ENGINE_PORTS + 1 };

struct engine {
    struct link *links;                      /* nranks of them */
    int          rank, nranks;
    struct {
        const struct transport *transport;
        struct port            *port;
    } ports[ENGINE_PORTS];
    int          nports;
    bool         crowded;                    /* more ranks here than cores: yield, not spin */
    uint64_t     spin_ns, yield_ns;          /* how long a wait does what; see settings */
    uint64_t     yields_ns;                  /* the latter at present; see patience_learn() */
    struct pace  pace;                       /* of copies to stages, which several peers read */
    struct completion_queue completions;
    struct run  *runs, *last_run;            /* in flight, oldest first; one that was started
                                                to be awaited comes here when it is waited for */
    int          wake;                       /* eventfd; wakes a sleeping wait */
    _Atomic int  failure;                    /* first asynchronous failure, or 0 */
    struct run  *broken;                     /* the run whose step failed, or NULL */

    /* Supplied by the owner (`owner` is its pointer).
     * Make links[peer] ready: PEAL_OK, STATUS_AGAIN (call again after progress
     * or a wake-up), or an error. */
    int  (*join)(struct engine *engine, int peer);
    /* A wait has seen nothing move for a while (called some times per second);
     * `run` is the oldest collective in flight. */
    void (*stalled)(struct engine *engine, const struct run *run);
    void *owner;

    char         why[STATUS_TEXT];           /* status_text() where the first failure was found, whichever
                                                thread that was and whatever it has failed at since;
                                                a run_fault says whether it is about that run */
};

int  engine_init(struct engine *engine, int rank, int nranks);
void engine_free(struct engine *engine, bool flush);

/* Any thread: make all waits return `status` (the first one counts). */
void engine_fail(struct engine *engine, int status);
void engine_wake(struct engine *engine);

/* A schedule made ready to run many times; immutable, may be shared by runs. */
struct plan;
int  plan_create(const struct schedule *schedule, struct plan **plan);
void plan_free(struct plan *plan);
size_t plan_scratch(const struct plan *plan);

/* Results of fewer bytes are never stored past the caches: they are in one, as a rule, and no step of
 * a short call is to ask. */
enum { PAST_LEAST = 256 << 10 };

/* What a plan runs on.  Stays where it is as long as a run that uses it is asked
 * about. */
struct binding {
    unsigned char    *space[SPACES];         /* TMP is provided by the run */
    struct arithmetic how;
    struct signature  signature;
    uint32_t          stream;
    bool              past;                  /* its result is stored past the caches */
};

/* One execution.  Reusable: create once, start as often as wanted. */
struct run;
int  run_create(const struct plan *plan, struct run **run);
void run_free(struct run *run);              /* not while active; NULL allowed */

/* Start; all ranks start matching runs of a stream in the same order.  `awaited`:
 * run_wait() follows at once.  PEAL_OK: it has ended well; STATUS_LATER: it is under way,
 * or has failed (run_status()); else it was not started. */
int  run_start(struct run *run, struct engine *engine, const struct binding *binding,
               bool awaited);
/* The owner's number of the call (0: none), and by when it must have ended; said
 * after the start, for a run that has ended by then needs neither. */
void run_note(struct run *run, uint64_t call, uint64_t deadline);
/* Nobody waits for the run any more: it may go on, but if it fails, nothing else
 * does.  engine_break() must follow. */
void run_abandon(struct run *run);
bool run_active(const struct run *run);
int  run_status(const struct run *run);      /* of the last execution */
uint64_t run_deadline(const struct run *run);
uint64_t run_call(const struct run *run);
struct signature run_signature(const struct run *run);

/* How the run failed; with PEAL_ERR_MISMATCH: whose message differed, and how. */
struct run_fault {
    int              peer;         /* -1: none */
    bool             told;         /* the engine's `why` is about it */
    struct signature theirs;
    size_t           their_bytes, our_bytes;
};
const struct run_fault *run_fault(const struct run *run);

/* Peers whose messages are awaited; returns how many, writes at most `most`. */
int  run_awaits(const struct run *run, int *peers, int most);

/* Move what can move, without blocking. */
int  engine_progress(struct engine *engine);

/* Wait until `run` has ended (NULL: until anything has moved), or the engine
 * failed, or `deadline` passed (PEAL_ERR_TIMEOUT, text set by the caller).
 * Spins briefly, then yields, then sleeps. */
int  engine_wait(struct engine *engine, struct run *run, uint64_t deadline);
/* The same for a run that was started: while nothing else is to be done than this one, its messages
 * alone are looked for. */
int  run_wait(struct run *run, uint64_t deadline);

/* For an owner that sleeps by itself: say so to all ports, and fill `fds` (ENGINE_FDS
 * of them) with what becomes readable when something comes; returns how many, or 0
 * if something has come.  And after the sleep, or the next one will be short. */
int  engine_arm(struct engine *engine, struct pollfd *fds);
void engine_awake(struct engine *engine);

/* End all runs with `status` and drop all ports, so that no user memory is
 * touched any more; with `flush`, what peers can still take is first delivered.
 * The engine can only be freed afterwards. */
void engine_break(struct engine *engine, int status, bool flush);

extern const struct setting executor_settings[];

#endif
