/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks that die, desert, or fall silent: all others must learn which one,
 * soon, and none that lives may be taken for dead.
 * Usage: job_deaths [only cases whose name contains this] */
#include "job_ranks.h"

#include "base/clock.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* `extra` is killed. */
static void body_killed(struct job_options *options, int extra)
{
    struct job *job = ranks_meet(options);
    struct box box, late;
    char wanted[64];

    box_open(&box, job, WORLD, 0);
    ranks_barrier();
    if (options->rank == extra) {
        shared->killed_at = clock_now();
        raise(SIGKILL);
    }
    box_await(&box, &box.failures, 1);
    snprintf(wanted, sizeof(wanted), "rank %d (host ", extra);
    check(box.failed == PEAL_ERR_PEER && strstr(box.text, wanted) && strstr(box.text, "died"),
          "rank %d heard %s", options->rank, box.text);
    check(box.failed_at - shared->killed_at < 1000000000, "rank %d heard after %g s",
          options->rank, (double)(box.failed_at - shared->killed_at) / 1e9);
    box_open(&late, job, WORLD + 1, 0);
    box_await(&late, &late.failures, 1);
    check(late.failed == PEAL_ERR_PEER, "late attach: %d", late.failed);
    if (options->rank < options->nranks - 1) {
        job_dial(job, WORLD, options->nranks - 1, "tcp", SOCKET_INET, 1);
        box_await(&box, &box.refused, 1);
        check(box.refused_status == PEAL_ERR_PEER, "refused: %d", box.refused_status);
    }
    box_close(&late, job);
    box_close(&box, job);
    job_release(job, true, clock_deadline(20));
}

/* One rank leaves, the others do not want to. */
static void body_deserter(struct job_options *options, int extra)
{
    struct job *job = ranks_meet(options);
    struct box box;
    char wanted[64];

    box_open(&box, job, WORLD, 0);
    ranks_barrier();
    if (options->rank != extra) {
        snprintf(wanted, sizeof(wanted), "rank %d (host ", extra);
        box_await(&box, &box.failures, 1);
        check(box.failed == PEAL_ERR_PEER && strstr(box.text, wanted) &&
              strstr(box.text, "left"), "%s", box.text);
    }
    box_close(&box, job);
    job_release(job, false, 0);
}

/* `extra` stops for longer than PEAL_KEEPALIVE (1 s). */
static void body_silent(struct job_options *options, int extra)
{
    struct job *job = ranks_meet(options);
    struct box box;
    char wanted[64];

    box_open(&box, job, WORLD, 0);
    ranks_barrier();
    if (options->rank == extra) {
        shared->killed_at = clock_now();
        raise(SIGSTOP);                /* until it is killed */
    }
    box_await(&box, &box.failures, 1);
    snprintf(wanted, sizeof(wanted), "rank %d (host ", extra);
    check(box.failed == PEAL_ERR_PEER && strstr(box.text, wanted) && strstr(box.text, "silent"),
          "rank %d heard %s", options->rank, box.text);
    check(box.failed_at - shared->killed_at < 2000000000, "rank %d heard after %g s",
          options->rank, (double)(box.failed_at - shared->killed_at) / 1e9);
    box_close(&box, job);
    job_release(job, true, clock_deadline(20));
}

/* All are stopped for a while, as a suspended job is; nobody is dead. */
static void body_suspended(struct job_options *options, int extra)
{
    struct job *job = ranks_meet(options);
    struct box box;

    (void)extra;
    box_open(&box, job, WORLD, 0);
    ranks_barrier();
    if (options->rank == 0)
        shared->killed_at = clock_now();
    ranks_barrier();
    /* The parent stops and continues us meanwhile. */
    while (clock_now() - shared->killed_at < UINT64_C(4000000000))
        poll(NULL, 0, 10);
    ranks_barrier();
    check(box.failures == 0, "rank %d heard %s", options->rank, box.text);
    ranks_barrier();
    box_close(&box, job);
    job_release(job, true, clock_deadline(20));
}

/* ---- Cases ------------------------------------------------------------ */

/* Rank 0 dies while it waits for others: those that came hear it soon. */
static void case_root_dies(void)
{
    uint64_t start;

    ranks_describe(3, 4, false, 20);
    for (int i = 0; i < 3; i++) {
        ranks[i].body = body_refused;
        ranks[i].extra = PEAL_ERR_PEER;
    }
    ranks_launch(0, 3, false);
    poll(NULL, 0, 1000);               /* time to join; if not, the test only says less */
    start = clock_now();
    kill(ranks[0].pid, SIGKILL);
    ranks_finish(0, 3, false);
    check(clock_now() - start < UINT64_C(5000000000), "it took %g s",
          (double)(clock_now() - start) / 1e9);
}

static void start(int n, void (*body)(struct job_options *, int), int extra)
{
    ranks_prepare(n, false, body, extra);
    ranks_launch(0, n, false);
}

static void case_silent(int n, int victim)
{
    start(n, body_silent, victim);
    for (int i = 0; i < n; i++)
        if (i != victim)
            ranks_finish(i, i + 1, false);
    kill(ranks[victim].pid, SIGKILL);
    ranks_finish(victim, victim + 1, false);
}

static void signal_all(int n, int number)
{
    for (int i = 0; i < n; i++)
        kill(ranks[i].pid, number);
}

static void case_suspended(int n)
{
    shared->killed_at = 0;
    start(n, body_suspended, 0);
    while (!shared->killed_at)
        poll(NULL, 0, 1);
    for (int i = 0; i < 3; i++) {      /* shorter than the limit: one alone */
        kill(ranks[i % n].pid, SIGSTOP);
        poll(NULL, 0, 300);
        kill(ranks[i % n].pid, SIGCONT);
    }
    signal_all(n, SIGSTOP);
    poll(NULL, 0, 2000);
    signal_all(n, SIGCONT);
    ranks_finish(0, n, false);
}

static const char *only;

static void cases_killed(int n, int victim)
{
    char title[64];

    snprintf(title, sizeof(title), "kill rank %d of %d", victim, n);
    if (ranks_case(only, title))
        ranks_run(n, false, body_killed, victim);
    snprintf(title, sizeof(title), "desert: rank %d of %d", victim, n);
    if (ranks_case(only, title))
        ranks_run(n, true, body_deserter, victim);
}

int main(int argc, char **argv)
{
    only = argc > 1 ? argv[1] : NULL;
    ranks_begin();
    cases_killed(2, 1);
    cases_killed(8, 0);
    cases_killed(8, 1);
    cases_killed(33, 0);
    cases_killed(33, 2);
    cases_killed(33, 32);
    if (ranks_case(only, "rank 0 dies in the rendezvous"))
        case_root_dies();
    setenv("PEAL_KEEPALIVE", "1", 1);
    if (ranks_case(only, "stop a leaf, 8"))
        case_silent(8, 7);
    if (ranks_case(only, "stop an inner rank, 8"))
        case_silent(8, 1);
    if (ranks_case(only, "suspend all, 8"))
        case_suspended(8);
    printf("%s\n", shared->wrong ? "FAILED" : "ok");
    return shared->wrong != 0;
}
