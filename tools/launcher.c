/* SPDX-License-Identifier: BSD-3-Clause */
#include "launcher.h"

#include "launcher_child.h"
#include "launcher_pmi.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* After the first failure: milliseconds in which ranks may end by themselves
 * and say why, and in which a crash is found behind a peer's complaint; then
 * milliseconds to react to SIGTERM. */
enum { SETTLE_MS = 200, GRACE_MS = 5000 };

enum stage { RUNNING, SETTLING, ENDING, KILLED };

struct launcher {
    const struct launcher_options *options;
    int                n, running;
    struct child      *children;
    struct pmi_server *pmi;
    struct pollfd     *pollers;         /* 1 + n * each */
    int                each;            /* of a rank: its PMI socket; with tags two pipes */
    int                signals;         /* a signalfd */
    sigset_t           handled;
    struct child_setup setup;
    enum stage         stage;
    int64_t            stage_ends, timeout_at;     /* milliseconds; INT64_MAX: never */
    int                result;          /* to exit with */
    bool               crashed;         /* the result is a signal's */
    bool               interrupted;     /* by a user who wants the ranks to end */
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void signal_all(struct launcher *l, int signal, bool from_terminal)
{
    for (int rank = 0; rank < l->n; rank++)
        if (!from_terminal || !l->children[rank].in_our_group)
            child_signal(&l->children[rank], signal, true);
}

static void enter_stage(struct launcher *l, enum stage stage)
{
    l->stage = stage;
    l->stage_ends = INT64_MAX;
    if (stage == SETTLING) {
        l->stage_ends = now_ms() + SETTLE_MS;
    } else if (stage == ENDING) {
        signal_all(l, SIGTERM, false);
        signal_all(l, SIGCONT, false);
        l->stage_ends = now_ms() + GRACE_MS;
    } else if (stage == KILLED) {
        signal_all(l, SIGKILL, false);
    }
}

/* The first failure, or the crash that explains it. */
static void fail(struct launcher *l, int rank, int result, bool crashed, const char *how)
{
    fprintf(stderr, "%s: rank %d of %d (pid %d) %s%s\n", l->options->name, rank, l->n,
            (int)l->children[rank].pid, how,
            l->stage == RUNNING && l->running ? "; ending the other ranks" : "");
    l->result = result;
    l->crashed = crashed;
    if (l->stage == RUNNING)
        enter_stage(l, SETTLING);
}

static void judge(struct launcher *l, int rank, const siginfo_t *end)
{
    bool crashed = end->si_code != CLD_EXITED;
    char how[128];

    if (l->interrupted) {
        if (crashed || end->si_status)
            l->result = crashed ? 128 + end->si_status : end->si_status;
        return;
    }
    if (l->stage != RUNNING && !(l->stage == SETTLING && crashed && !l->crashed))
        return;
    if (crashed)
        snprintf(how, sizeof how, "was killed by signal %d (%s)%s", end->si_status,
                 strsignal(end->si_status), end->si_code == CLD_DUMPED ? ", core dumped" : "");
    else if (end->si_status)
        snprintf(how, sizeof how, "exited with status %d", end->si_status);
    else
        return;
    fail(l, rank, crashed ? 128 + end->si_status : end->si_status, crashed, how);
}

/* All children that have ended.  Before one is reaped and its number free again,
 * what is left of its process group is killed. */
static void collect(struct launcher *l)
{
    siginfo_t end = { .si_pid = 0 };

    while (waitid(P_ALL, 0, &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid) {
        int rank = 0;

        while (rank < l->n && l->children[rank].pid != end.si_pid)
            rank++;
        if (rank < l->n) {
            if (!l->children[rank].in_our_group)
                child_signal(&l->children[rank], SIGKILL, true);
            l->children[rank].ended = true;
            l->running--;
            judge(l, rank, &end);
        }
        waitpid(end.si_pid, NULL, 0);
        end.si_pid = 0;
    }
}

/* A barrier that waits for a rank that is gone will wait for ever. */
static void check_barrier(struct launcher *l)
{
    int waits = pmi_server_waiting(l->pmi);
    char how[128];

    if (waits < 0 || l->stage != RUNNING || l->running == l->n)
        return;
    for (int rank = 0; rank < l->n; rank++)
        if (l->children[rank].ended) {
            snprintf(how, sizeof how, "ended while rank %d waits to meet it (did it not call "
                     "peal_init?)", waits);
            fail(l, rank, 1, false, how);
            return;
        }
}

static void stop_with_ranks(struct launcher *l, bool from_terminal)
{
    signal_all(l, SIGTSTP, from_terminal);
    raise(SIGSTOP);
    signal_all(l, SIGCONT, false);
}

static void handle_signal(struct launcher *l, const struct signalfd_siginfo *info)
{
    int signal = (int)info->ssi_signo;
    bool from_terminal = info->ssi_code == SI_KERNEL;

    if (signal == SIGCHLD) {
        collect(l);
    } else if (signal == SIGTSTP) {
        stop_with_ranks(l, from_terminal);
    } else if (signal == SIGUSR1 || signal == SIGUSR2) {
        /* Not to what a rank started: who has no handler would die of it. */
        for (int rank = 0; rank < l->n; rank++)
            child_signal(&l->children[rank], signal, false);
    } else if (l->interrupted) {
        enter_stage(l, KILLED);        /* asked twice */
    } else {
        l->interrupted = true;
        signal_all(l, signal, from_terminal);
    }
}

static void read_signals(struct launcher *l)
{
    struct signalfd_siginfo info;

    while (read(l->signals, &info, sizeof info) == (ssize_t)sizeof info)
        handle_signal(l, &info);
}

static void check_time(struct launcher *l)
{
    int64_t now = now_ms();

    if (now >= l->timeout_at) {
        fprintf(stderr, "%s: %d of %d ranks still run after %g seconds; ending them\n",
                l->options->name, l->running, l->n, l->options->timeout);
        l->timeout_at = INT64_MAX;
        l->result = LAUNCHER_TIMED_OUT;
        enter_stage(l, ENDING);
    } else if (now >= l->stage_ends) {
        enter_stage(l, l->stage == SETTLING ? ENDING : KILLED);
    }
}

/* Where each thing to watch lies in the array; -1 entries are ignored by poll,
 * but count for the limit of open files, so there is one for each file only. */
static void fill_pollers(struct launcher *l)
{
    l->pollers[0] = (struct pollfd){ .fd = l->signals, .events = POLLIN };
    for (int rank = 0; rank < l->n; rank++) {
        struct pollfd *own = l->pollers + 1 + l->each * rank;

        own[0] = (struct pollfd){ .fd = pmi_server_socket(l->pmi, rank), .events = POLLIN };
        for (int i = 0; i < l->each - 1; i++) {
            const struct output *output = l->children[rank].outputs[i];

            own[1 + i] = (struct pollfd){ .fd = output ? output->pipe : -1, .events = POLLIN };
        }
    }
}

static void serve_rank(struct launcher *l, int rank)
{
    const struct pollfd *own = l->pollers + 1 + l->each * rank;

    for (int i = 0; i < l->each - 1; i++)
        if (own[1 + i].revents && own[1 + i].fd >= 0)
            output_pass(l->children[rank].outputs[i]);
    /* Serving another rank may have closed this one's socket. */
    if (own[0].revents && own[0].fd == pmi_server_socket(l->pmi, rank) && own[0].fd >= 0 &&
        !pmi_server_serve(l->pmi, rank))
        fprintf(stderr, "%s: rank %d said something on PMI_FD that is not PMI-1; its connection "
                "was closed\n", l->options->name, rank);
}

static void watch(struct launcher *l)
{
    while (l->running) {
        int64_t next = l->stage_ends < l->timeout_at ? l->stage_ends : l->timeout_at;
        int64_t wait = next == INT64_MAX ? -1 : next - now_ms();

        if (next != INT64_MAX && wait < 0)
            wait = 0;
        fill_pollers(l);
        if (poll(l->pollers, 1 + (nfds_t)(l->each * l->n), wait > 60000 ? 60000 : (int)wait) > 0) {
            if (l->pollers[0].revents)
                read_signals(l);
            for (int rank = 0; rank < l->n; rank++)
                serve_rank(l, rank);
            check_barrier(l);
        }
        check_time(l);
    }
}

/* From here on signals come by the signalfd, and to children as before. */
static bool take_signals(struct launcher *l)
{
    static const int list[] = { SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2,
                                SIGTSTP };
    struct sigaction ignore = { .sa_handler = SIG_IGN }, standard = { .sa_handler = SIG_DFL };

    sigemptyset(&l->handled);
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        sigaddset(&l->handled, list[i]);
    sigprocmask(SIG_BLOCK, &l->handled, &l->setup.mask);
    sigaction(SIGPIPE, &ignore, &l->setup.pipe_action);
    sigaction(SIGCHLD, &standard, &l->setup.child_action);
    l->signals = signalfd(-1, &l->handled, SFD_CLOEXEC | SFD_NONBLOCK);
    return l->signals >= 0;
}

static void give_signals_back(const struct launcher *l)
{
    struct timespec none = { 0, 0 };

    /* What came for us while nobody listened any more is settled. */
    while (sigtimedwait(&l->handled, NULL, &none) > 0)
        continue;
    sigaction(SIGCHLD, &l->setup.child_action, NULL);
    sigaction(SIGPIPE, &l->setup.pipe_action, NULL);
    sigprocmask(SIG_SETMASK, &l->setup.mask, NULL);
}

/* The ranks themselves get the limit as it was. */
static void allow_files(struct launcher *l)
{
    rlim_t wanted = (rlim_t)l->n * (rlim_t)l->each + 64;
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    l->setup.files = limit;
    if (limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void start_all(struct launcher *l)
{
    for (int rank = 0; rank < l->n; rank++) {
        int socket = -1;
        int result = child_start(&l->children[rank], rank, &l->setup, l->options->name, &socket);

        l->running += l->children[rank].pid > 0;
        if (result) {
            l->result = result;
            l->interrupted = false;
            enter_stage(l, KILLED);
            return;
        }
        pmi_server_add(l->pmi, rank, socket);
    }
}

int launcher_run(int n, char **argv, const struct launcher_options *options)
{
    struct launcher l = { .options = options, .n = n, .signals = -1, .stage = RUNNING,
                          .stage_ends = INT64_MAX, .timeout_at = INT64_MAX,
                          .each = options->tag ? 3 : 1 };

    l.setup.nranks = n;
    l.setup.argv = argv;
    l.setup.tag = options->tag;
    l.setup.bind = options->bind;
    l.setup.launcher = getpid();
    allow_files(&l);
    l.children = calloc((size_t)n, sizeof *l.children);
    l.pollers = calloc(1 + (size_t)(l.each * n), sizeof *l.pollers);
    l.pmi = pmi_server_new(n);
    if (take_signals(&l) && l.children && l.pollers && l.pmi) {
        if (options->timeout > 0)
            l.timeout_at = now_ms() + (int64_t)(options->timeout * 1000);
        start_all(&l);
        watch(&l);
    } else {
        fprintf(stderr, "%s: cannot prepare to start %d ranks: %s\n", options->name, n,
                strerror(errno));
        l.result = 126;
    }
    for (int rank = 0; l.children && rank < n; rank++)
        child_free(&l.children[rank]);
    pmi_server_free(l.pmi);
    free(l.pollers);
    free(l.children);
    if (l.signals >= 0)
        close(l.signals);
    give_signals_back(&l);
    return l.result;
}
