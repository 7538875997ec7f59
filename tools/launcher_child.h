/* SPDX-License-Identifier: BSD-3-Clause */
/* One rank's process: started in a process group of its own, with standard
 * streams, a PMI socket and the certainty to die with its launcher.  Knows
 * nothing of the other ranks.  One thread. */
#ifndef LAUNCHER_CHILD_H
#define LAUNCHER_CHILD_H

#include "launcher_output.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

struct child {
    pid_t pid;                      /* 0: not started */
    bool  ended;
    /* Rank 0 of a terminal's job stays in our group: only a foreground group
     * may read from the terminal.  It gets the terminal's signals by itself. */
    bool  in_our_group;
    struct output *outputs[2];      /* standard output and error; NULL: inherited */
};

/* What all ranks start with. */
struct child_setup {
    int       nranks;
    char    **argv;
    bool      tag, bind;
    pid_t     launcher;
    sigset_t  mask;                 /* to restore */
    struct sigaction pipe_action, child_action;
    struct rlimit files;            /* to restore */
};

/* Start a rank.  Returns 0 with the launcher's end of its PMI socket, or the
 * exit status to end with, having said why: 126 or 127 as shells use them. */
int child_start(struct child *child, int rank, const struct child_setup *setup,
                const char *name, int *pmi_socket);

/* Signal the rank, and with `family` all that it started in its group. */
void child_signal(const struct child *child, int signal, bool family);

void child_free(struct child *child);

#endif
