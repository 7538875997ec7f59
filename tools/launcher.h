/* SPDX-License-Identifier: BSD-3-Clause */
/* Starts n ranks of a program on this host and stays until all have ended: what
 * peal-run and `peal-perf --ranks` share.  It serves PMI-1 to the ranks, by
 * which they find each other; it knows nothing else of Peal.
 *
 * The caller must have no other thread and no other children.  Signals are
 * handled while it runs and restored after. */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include <stdbool.h>

struct launcher_options {
    const char *name;        /* in front of messages: "peal-run" */
    bool        tag;         /* put "[rank] " in front of each line of output */
    bool        bind;        /* each rank to a core, evenly */
    double      timeout;     /* seconds until all are ended; 0: none */
};

enum { LAUNCHER_RANKS = 4096, LAUNCHER_TIMED_OUT = 124 };

/* Run argv[0] with argv, NULL-ended, as ranks 0 to n - 1.  Standard input goes
 * to rank 0.  When a rank fails, the others are ended and stderr tells which
 * was first.  Returns what the caller should exit with: 0, the first failure's
 * exit status, 128 + its signal, or LAUNCHER_TIMED_OUT. */
int launcher_run(int n, char **argv, const struct launcher_options *options);

#endif
