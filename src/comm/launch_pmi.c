/* SPDX-License-Identifier: BSD-3-Clause */
/* PMI-1 on the socket PMI_FD: MPICH's and Intel's mpiexec (Hydra), Slurm's
 * --mpi=pmi2, and peal-run.  Rank 0 puts its card into the launcher's table, in
 * pieces that fit, and all meet in the launcher's barrier.
 *
 * "finalize" is sent when the process exits: until then the launcher takes a
 * closed socket for a crash and ends the other ranks, as for MPI programs, and
 * peal_init can be called again.  A rank that leaves by _exit() without
 * finalize looks crashed, too.
 *
 * An MPI library in the process talks on the same socket.  Once MPI is
 * initialised we neither init nor finalize: both are MPI's.  The two must not
 * start at the same time in different threads. */
#include "comm/launch_environment.h"
#include "comm/launch_pmi_wire.h"

#include "base/clock.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Slack for a launcher that is busy while we exit. */
static const double finalize_seconds = 2;

static const char *const variables[] = { "PMI_FD", "PMI_RANK", "PMI_SIZE", "PMI_PORT", NULL };

/* What the process has open with the launcher. */
static struct {
    pthread_mutex_t lock;
    pid_t pid;             /* that sent init; 0: nobody.  A forked child is another */
    int fd;
    struct stat facts;     /* of the socket, to know it again at exit */
    unsigned jobs;         /* exchanges so far; all ranks count alike */
} session = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool present(void)
{
    return launch_variable("PMI_FD") && launch_variable("PMI_RANK") && launch_variable("PMI_SIZE");
}

static bool partial(void)
{
    int nranks;

    return launch_variable("PMI_RANK") &&
           launch_number(launch_variable("PMI_SIZE"), 2, LAUNCH_RANKS, &nranks);
}

static bool mpi_is_initialized(void)
{
    int (*initialized)(int *) = NULL;
    int flag = 0;

    *(void **)&initialized = dlsym(RTLD_DEFAULT, "MPI_Initialized");
    return initialized && initialized(&flag) == 0 && flag;
}

static bool is_socket(int fd, struct stat *facts)
{
    return fstat(fd, facts) == 0 && S_ISSOCK(facts->st_mode);
}

static void close_session(void)
{
    struct pmi_wire wire = { .fd = session.fd };
    struct stat now;

    if (session.pid != getpid() || !is_socket(session.fd, &now) ||
        now.st_ino != session.facts.st_ino || now.st_dev != session.facts.st_dev ||
        mpi_is_initialized())
        return;
    wire.deadline = clock_deadline(finalize_seconds);
    /* Nobody is left to tell about a failure. */
    pmi_wire_ask(&wire, "finalize_ack", "cmd=finalize");
}

static int open_session(struct pmi_wire *wire)
{
    int status;

    if (!launch_number(launch_variable("PMI_FD"), 0, 1 << 20, &wire->fd) ||
        !is_socket(wire->fd, &session.facts))
        return launch_unclear(&launch_pmi, "PMI_FD is not an open socket: a program between the "
                              "launcher and this one closed it, or MPI_Finalize did",
                              "Start it directly under mpiexec or peal-run, or set "
                              "PEAL_LAUNCHER=none for a lone rank.");
    if (session.pid == getpid() || mpi_is_initialized())
        return PEAL_OK;
    status = pmi_wire_ask(wire, "response_to_init", "cmd=init pmi_version=1 pmi_subversion=1");
    if (status != PEAL_OK)
        return status;
    if (!session.pid)
        atexit(close_session);
    session.pid = getpid();
    session.fd = wire->fd;
    return PEAL_OK;
}

/* What the launcher allows and calls its table. */
struct table {
    char name[256];
    int  value_bytes;       /* longest value, without its zero */
};

static int ask_table(struct pmi_wire *wire, struct table *table)
{
    char text[32];
    int status, most;

    status = pmi_wire_ask(wire, "maxes", "cmd=get_maxes");
    if (status != PEAL_OK)
        return status;
    if (!pmi_wire_value(wire, "vallen_max", text, sizeof text) ||
        !launch_number(text, 16, 1 << 24, &most))
        return status_fail(PEAL_ERR_PROTOCOL, "the launcher's answer to get_maxes has no usable "
                           "vallen_max");
    table->value_bytes = most - 1 < LAUNCH_CARD ? most - 1 : LAUNCH_CARD;
    status = pmi_wire_ask(wire, "my_kvsname", "cmd=get_my_kvsname");
    if (status != PEAL_OK)
        return status;
    if (!pmi_wire_value(wire, "kvsname", table->name, sizeof table->name) || !table->name[0])
        return status_fail(PEAL_ERR_PROTOCOL, "the launcher's answer to get_my_kvsname has no "
                           "usable kvsname");
    return PEAL_OK;
}

/* Piece by piece; each starts with '+' if more follow, else with '.'. */
static int put_card(struct pmi_wire *wire, const struct table *table, const char *card)
{
    size_t room = (size_t)table->value_bytes - 1, left = strlen(card);
    int status;

    for (unsigned piece = 0; ; piece++) {
        size_t now = left < room ? left : room;

        left -= now;
        status = pmi_wire_ask(wire, "put_result", "cmd=put kvsname=%s key=peal-%u-%u value=%c%.*s",
                              table->name, session.jobs, piece, left ? '+' : '.', (int)now, card);
        if (status != PEAL_OK || !left)
            return status;
        card += now;
    }
}

static int get_card(struct pmi_wire *wire, const struct table *table, char card[LAUNCH_CARD])
{
    size_t used = 0;
    int status;

    for (unsigned piece = 0; ; piece++) {
        char value[LAUNCH_CARD + 1] = "", mark;
        size_t bytes;

        status = pmi_wire_ask(wire, "get_result", "cmd=get kvsname=%s key=peal-%u-%u", table->name,
                              session.jobs, piece);
        if (status != PEAL_OK)
            return status;
        if (!pmi_wire_value(wire, "value", value, sizeof value))
            goto damaged;
        mark = value[0];
        bytes = strlen(value + 1);
        /* An empty piece is damage, too: it would let the loop go on for ever. */
        if ((mark != '+' && mark != '.') || bytes == 0 || bytes >= LAUNCH_CARD - used)
            goto damaged;
        memcpy(card + used, value + 1, bytes + 1);
        used += bytes;
        explicit_bzero(value, sizeof value);
        if (mark == '.')
            return PEAL_OK;
    }

damaged:
    return status_fail(PEAL_ERR_PROTOCOL, "the launcher's table does not hold rank 0's card whole");
}

static int exchange(struct pmi_wire *wire, struct job_options *options)
{
    char card[LAUNCH_CARD];
    struct table table;
    int status, offered = PEAL_OK;

    status = open_session(wire);
    if (status == PEAL_OK)
        status = ask_table(wire, &table);
    if (status != PEAL_OK)
        return status;
    if (options->rank == 0) {
        char story[1024];

        offered = launch_offer(options, card);
        snprintf(story, sizeof story, "%s", status_text());
        status = put_card(wire, &table, card);
        if (status == PEAL_OK)
            status = pmi_wire_ask(wire, "barrier_out", "cmd=barrier_in");
        if (offered != PEAL_OK)
            status = status_fail(offered, "%s", story);
    } else {
        status = pmi_wire_ask(wire, "barrier_out", "cmd=barrier_in");
        if (status == PEAL_OK)
            status = get_card(wire, &table, card);
        if (status == PEAL_OK)
            status = launch_accept(card, options);
    }
    explicit_bzero(card, sizeof card);
    explicit_bzero(wire->line, sizeof wire->line);
    session.jobs++;
    return status;
}

static int describe(struct job_options *options, uint64_t deadline)
{
    struct pmi_wire wire = { .fd = -1, .deadline = deadline };
    int status;

    status = launch_place(&launch_pmi, "PMI_RANK", launch_variable("PMI_RANK"), "PMI_SIZE",
                          launch_variable("PMI_SIZE"), options);
    if (status != PEAL_OK || options->nranks == 1)
        return status;
    pthread_mutex_lock(&session.lock);
    status = exchange(&wire, options);
    pthread_mutex_unlock(&session.lock);
    if (status == PEAL_OK)
        return PEAL_OK;
    if (options->root_listener >= 0)
        close(options->root_listener);
    options->root_listener = -1;
    return status_prefix(status, "rank %d of %d: ", options->rank, options->nranks);
}

const struct launcher launch_pmi = {
    .name = "pmi",
    .looks_for = "PMI_FD, PMI_RANK, PMI_SIZE (mpiexec of MPICH and Intel MPI, peal-run)",
    .present = present,
    .partial = partial,
    .describe = describe,
    .variables = variables,
};
