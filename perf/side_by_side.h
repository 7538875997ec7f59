/* SPDX-License-Identifier: BSD-3-Clause */
/* What the timing loop of perf/compare (side_by_side.c) needs from a library.
 * One file of perf/peers or perf/floors implements it for Peal, for any MPI,
 * for oneCCL and for the straight-line prototypes; the loop itself is the same
 * object code for all of them.  One thread. */
#ifndef SIDE_BY_SIDE_H
#define SIDE_BY_SIDE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum collective { ALLREDUCE, ALLGATHER, BCAST, REDUCE_SCATTER, REDUCE, BARRIER, COLLECTIVES };

/* One call on one set of buffers: float32, sum, root 0.  `n` counts the floats
 * of one block: of the vector, or of one rank's part of it for allgather and
 * reduce_scatter.  bcast uses `out` alone, on every rank. */
struct call {
    enum collective what;
    float *in, *out;
    size_t n;
    void *plan;                  /* library_prepare may leave something here */
};

/* Start, and learn the rank; may take arguments away.  Failures of any of
 * these functions end the process with library_failed. */
void library_open(int *argc, char ***argv, int *rank, int *nranks);
void library_close(void);

/* One line: the name and version that the library gives itself. */
const char *library_version(void);

/* Select a variant of calling it, from now on; 0 if it has none of that name, or not
 * for this collective and size in bytes, else a number that stands for its kind of
 * memory.  All ranks call it alike.  "plain" always exists in libraries. */
int library_variant(const char *name, enum collective what, size_t bytes);

/* Memory of the variant's kind; neither touched nor zeroed. */
void *library_alloc(size_t bytes);
void library_free(void *memory);

/* Around the calls on one set of buffers. */
void library_prepare(struct call *call);
void library_release(struct call *call);

void library_call(struct call *call);
void library_barrier(void);

/* values[i] = the greatest of values[i] of all ranks. */
void library_max(double *values, int count);

/* Say what failed and end this rank. */
void library_failed(const char *what);

#ifdef __cplusplus
}
#endif

#endif
