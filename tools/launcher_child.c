/* SPDX-License-Identifier: BSD-3-Clause */
#include "launcher_child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void set_number(const char *name, int value)
{
    char text[16];

    snprintf(text, sizeof text, "%d", value);
    setenv(name, text, 1);
}

static void set_environment(int rank, int nranks, int socket)
{
    /* We may run under another launcher, whose variables would be found first. */
    setenv("PEAL_LAUNCHER", "pmi", 1);
    unsetenv("PMI_PORT");
    set_number("PMI_FD", socket);
    set_number("PMI_RANK", rank);
    set_number("PMI_SIZE", nranks);
    set_number("MPI_LOCALRANKID", rank);
    set_number("MPI_LOCALNRANKS", nranks);
}

/* Keep the rank on one core, the rank-th of those that we may use, round and round:
 * where ranks outnumber cores, every core gets as many.  (The kernel leaves ranks that
 * yield to each other where they are, 5 on one core and 3 on the other.) */
static void bind_to_core(int rank)
{
    cpu_set_t allowed, one;
    int seen = 0;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    rank %= CPU_COUNT(&allowed);
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &allowed) && seen++ == rank) {
            CPU_ZERO(&one);
            CPU_SET(core, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
}

/* In the child: what it has to know of us is open, and errno goes to `report`
 * if the program cannot be started. */
static void become(int rank, const struct child_setup *setup, bool own_group, int socket,
                   int out, int err, int report)
{
    int error;

    if (own_group)
        setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != setup->launcher)      /* it died before the line above */
        _exit(126);
    if (rank != 0) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (null >= 0)
            dup2(null, STDIN_FILENO);
    }
    if (setup->tag && (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0))
        goto fail;
    if (fcntl(socket, F_SETFD, 0) < 0)
        goto fail;
    set_environment(rank, setup->nranks, socket);
    if (setup->bind)
        bind_to_core(rank);
    sigaction(SIGPIPE, &setup->pipe_action, NULL);
    sigaction(SIGCHLD, &setup->child_action, NULL);
    sigprocmask(SIG_SETMASK, &setup->mask, NULL);
    setrlimit(RLIMIT_NOFILE, &setup->files);
    execvp(setup->argv[0], setup->argv);
fail:
    error = errno;
    if (write(report, &error, sizeof error) < 0)
        _exit(126);
    _exit(127);
}

/* Wait until the child has become the program; the error if it could not. */
static int await_program(int report)
{
    int error = 0;
    ssize_t got;

    do
        got = read(report, &error, sizeof error);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof error ? error : 0;
}

static bool make_pipes(struct child *child, int rank, int ends[2])
{
    for (int i = 0; i < 2; i++) {
        int pair[2];

        child->outputs[i] = calloc(1, sizeof *child->outputs[i]);
        if (!child->outputs[i])
            return false;
        child->outputs[i]->pipe = -1;
        if (pipe2(pair, O_CLOEXEC) != 0)
            return false;
        child->outputs[i]->pipe = pair[0];
        child->outputs[i]->to = i == 0 ? STDOUT_FILENO : STDERR_FILENO;
        child->outputs[i]->rank = rank;
        ends[i] = pair[1];
    }
    return true;
}

int child_start(struct child *child, int rank, const struct child_setup *setup,
                const char *name, int *pmi_socket)
{
    int pmi[2] = { -1, -1 }, report[2] = { -1, -1 }, ends[2] = { -1, -1 }, error = 0;
    bool own_group = rank != 0 || !isatty(STDIN_FILENO);
    pid_t pid = -1;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pmi) == 0 &&
        pipe2(report, O_CLOEXEC) == 0 && (!setup->tag || make_pipes(child, rank, ends)))
        pid = fork();
    if (pid == 0)
        become(rank, setup, own_group, pmi[1], ends[0], ends[1], report[1]);
    if (pid < 0)
        fprintf(stderr, "%s: cannot start rank %d of %d: %s\n", name, rank, setup->nranks,
                strerror(errno));
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
    if (pmi[1] >= 0)
        close(pmi[1]);
    if (report[1] >= 0)
        close(report[1]);
    if (pid > 0) {
        if (own_group)
            setpgid(pid, pid);    /* also here: whoever is first; the other fails */
        child->pid = pid;
        child->in_our_group = !own_group;
        error = await_program(report[0]);
        if (error)
            fprintf(stderr, "%s: cannot run %s: %s\n", name, setup->argv[0], strerror(error));
    }
    if (report[0] >= 0)
        close(report[0]);
    if (pid > 0 && !error) {
        *pmi_socket = pmi[0];
        return 0;
    }
    if (pmi[0] >= 0)
        close(pmi[0]);
    return error == ENOENT ? 127 : 126;
}

void child_signal(const struct child *child, int signal, bool family)
{
    if (child->pid > 0 && !child->ended)
        kill(family && !child->in_our_group ? -child->pid : child->pid, signal);
}

void child_free(struct child *child)
{
    for (int i = 0; i < 2; i++) {
        if (child->outputs[i] && child->outputs[i]->pipe >= 0)
            output_end(child->outputs[i]);
        free(child->outputs[i]);
    }
}
