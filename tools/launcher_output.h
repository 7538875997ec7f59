/* SPDX-License-Identifier: BSD-3-Clause */
/* Passes on what a rank prints, with "[rank] " in front of each line.  Knows
 * pipes and lines, not processes.  One thread. */
#ifndef LAUNCHER_OUTPUT_H
#define LAUNCHER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/* Longer lines are passed on in pieces. */
enum { OUTPUT_LINE = 8192 };

struct output {
    int    pipe;                 /* what the rank prints comes from here; -1: ended */
    int    to;                   /* and goes here */
    int    rank;
    bool   within;               /* a piece of the present line is out already */
    size_t used;
    char   line[OUTPUT_LINE];
};

/* Pass on what has arrived; closes the pipe at its end, or when nobody reads
 * what we write, so that the rank notices as it would without us. */
void output_pass(struct output *output);

/* Pass on what is there, also of a line without end, and close. */
void output_end(struct output *output);

#endif
