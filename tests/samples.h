/* SPDX-License-Identifier: BSD-3-Clause */
/* Inputs for collectives and what must come out, computed without the library:
 * element `index` of a rank is a function of (seed, rank, index), and so is the
 * combination of all ranks.  Floats are whole numbers so small that every sum,
 * product and average of theirs is exact.  No state; any thread. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include "peal.h"

#include <stdbool.h>

/* Built-in operations have their own numbers; then come the created ones. */
enum sample_op {
    SAMPLE_PREMUL = PEAL_OPS,      /* each rank has its own scalar */
    SAMPLE_COMMUTING,              /* by user function: bytes added */
    SAMPLE_ORDERED,                /* by user function: bytes as maps x -> ax + b, composed */
    SAMPLE_OPS
};

struct sample {
    peal_datatype_t type;
    int             op;            /* enum sample_op or built in; -1: nothing is combined */
    int             nranks;
    uint64_t        seed;
};

bool sample_allowed(peal_datatype_t type, int op);
const char *sample_op_name(int op);

/* Elements [first, first + count) of a rank's input. */
void sample_input(const struct sample *sample, int rank, size_t first, size_t count, void *out);
/* The same of all ranks' inputs combined. */
void sample_combined(const struct sample *sample, size_t first, size_t count, void *out);

/* Make and free the three created operations; op[SAMPLE_x - PEAL_OPS]. */
int sample_ops_create(peal_datatype_t type, int rank, peal_op_t op[3]);
void sample_ops_free(const peal_op_t op[3]);

#endif
