/* SPDX-License-Identifier: BSD-3-Clause */
/* peal-perf: how fast are Peal's collectives here, and are the results right?
 * Options, output and meaning of the columns follow nccl-tests, so that its
 * users and parsers are at home.  This header is shared by the program's parts:
 * options, collectives, values (what the elements are), buffers (where they lie
 * and whether they came out right), timing, and three reports.  It knows peal.h
 * only.  One thread. */
#ifndef PEAL_PERF_H
#define PEAL_PERF_H

#include <peal.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum perf_exit { PERF_OK, PERF_WRONG, PERF_USAGE, PERF_FAILED = 3 };

/* ---- Collectives ------------------------------------------------------ */

enum perf_kind {
    PERF_ALL_REDUCE, PERF_ALL_GATHER, PERF_BROADCAST, PERF_REDUCE, PERF_REDUCE_SCATTER,
    PERF_SENDRECV, PERF_BARRIER
};

struct perf_collective {
    enum perf_kind kind;
    const char    *name;            /* nccl-tests' name: "all_reduce" */
    const char    *setting;         /* the name in PEAL_ALGORITHMS: "allreduce" */
    bool           reduces, rooted;
    bool           in_place;        /* the in-place half exists */
};

/* From any spelling: all_reduce, AllReduce, allreduce, all_reduce_perf; or NULL. */
const struct perf_collective *perf_collective_find(const char *name);

/* What `bytes` on the command line comes to.  As in nccl-tests, it is the larger
 * of the two buffers, rounded down to whole blocks of 16 bytes per rank where
 * the buffer is divided. */
struct perf_shape {
    size_t count;                   /* the count argument, and column `count` */
    size_t send, recv;              /* elements in the two buffers of a rank */
    size_t bytes;                   /* column `size`: the larger one's bytes */
};
struct perf_shape perf_shape_make(const struct perf_collective *collective, size_t bytes,
                                  size_t element, int nranks);

/* Bus bandwidth / algorithm bandwidth. */
double perf_bus_factor(const struct perf_collective *collective, int nranks);

enum perf_form { PERF_BLOCKING, PERF_NONBLOCKING, PERF_PERSISTENT };

struct perf_call {
    const struct perf_collective *collective;
    void           *send, *recv;
    size_t          count;
    peal_datatype_t type;
    peal_op_t       op;
    int             root, rank, nranks;
    peal_comm_t     comm;
};
int perf_call_run(const struct perf_call *c);
int perf_call_start(const struct perf_call *c, peal_request_t *request);
int perf_call_prepare(const struct perf_call *c, peal_request_t *request);

/* ---- Types and operations --------------------------------------------- */

struct perf_type {
    const char     *name;           /* nccl-tests' name, fits the column: "float" */
    peal_datatype_t type;
    bool            floating, is_signed;
    int             exact;          /* all integers up to this are exact; 0: very many */
    int             exponent_bits, mantissa_bits;
};
extern const struct perf_type perf_types[];           /* PEAL_DATATYPES of them */

struct perf_op {
    const char *name;               /* "sum"; "mulsum" is pre-multiplied sum */
    peal_op_t   op;                 /* PERF_MULSUM stands for a created one */
    bool        integers_only;
};
enum { PERF_MULSUM = PEAL_OPS, PERF_OPS };
extern const struct perf_op perf_ops[];               /* PERF_OPS of them */

int perf_type_find(const char *name);                 /* index, or -1 */
int perf_op_find(const char *name);

/* ---- Options ----------------------------------------------------------- */

enum { PERF_ALL = -1 };

struct perf_options {
    const struct perf_collective *collective;
    int    nranks;                  /* start so many processes; 0: the launcher did */
    bool   joined;                  /* this is one of the processes so started */
    int    nthreads, ngpus;         /* of nccl-tests: a product of ranks */
    size_t min_bytes, max_bytes, step_bytes;
    size_t factor;                  /* > 1: sizes grow by it, else by step_bytes */
    int    type, op;                /* index or PERF_ALL */
    int    root;                    /* rank or PERF_ALL */
    int    iterations, warmup, aggregate;
    int    cycles;                  /* 0: for ever */
    int    average;                 /* over ranks: 0 rank 0, 1 mean, 2 min, 3 max */
    int    blocking, skip;
    bool   check, per_iteration, cpu_time, timestamps, mapped_memory;
    size_t unalign;                 /* elements */
    double timeout;                 /* seconds; 0: the library's default */
    enum perf_form form;
    const char *transports, *algorithm;
    const char *json, *csv, *nccl_json;
    int         argc;
    char      **argv;
};

/* Fills `options`; returns -1 to go on, else the exit status. */
int perf_options_parse(struct perf_options *options, int argc, char **argv);
/* As the setting wants it: "allreduce:ring"; NULL if no algorithm was asked for. */
const char *perf_options_algorithms(const struct perf_options *options, char *text, size_t bytes);
void perf_usage(FILE *file);

/* ---- Values: inputs whose combination is exact in any order -------------- */

/* Element i in iteration t is entry (i + shift(t)) mod PERF_PERIOD of a table.
 * The period is prime, so that data that went to a wrong place shows. */
enum { PERF_PERIOD = 1021 };

struct perf_values {
    const struct perf_type *type;
    int    op;                      /* index in perf_ops; -1: plain bits, no reduction */
    int    rank, nranks;
    size_t element;                 /* bytes */
    int    contributors;            /* ranks whose entry is not neutral, per entry */
    int    magnitude;
    unsigned char *own, *expected, *other;    /* tables of 2 periods */
    int    other_rank;
};

int perf_values_make(struct perf_values *v, const struct perf_type *type, int op, int rank,
                     int nranks);
void perf_values_free(struct perf_values *v);
/* The table of another rank's inputs; valid until the next call. */
const unsigned char *perf_values_of(struct perf_values *v, int rank);
/* The factor of `rank` in a pre-multiplied sum. */
int perf_values_scalar(int rank);
void perf_values_encode(const struct perf_type *type, double value, uint64_t bits,
                        unsigned char *to);

void perf_values_copy(const struct perf_values *v, const unsigned char *table,
                      size_t position, size_t count, unsigned char *to);
/* Elements that differ. */
size_t perf_values_wrong(const struct perf_values *v, const unsigned char *table,
                         size_t position, size_t count, const unsigned char *data);

/* ---- Buffers ------------------------------------------------------------ */

/* Memory for both buffers, cut into slots: one per iteration as far as the
 * memory goes, so that many iterations can be timed back to back and every one
 * of them verified.  Each slot has guard bytes before and after the data. */
struct perf_buffers {
    unsigned char *send, *recv;
    size_t bytes;                   /* of each */
    bool   mapped;
    size_t stride, slots, start;    /* for the current shape; bytes, number, bytes */
};

int perf_buffers_make(struct perf_buffers *b, const struct perf_options *options);
void perf_buffers_free(struct perf_buffers *b);
void perf_buffers_divide(struct perf_buffers *b, const struct perf_options *options,
                         const struct perf_shape *shape, size_t element);
/* The call of a slot: where its buffers are. */
void perf_buffers_aim(const struct perf_buffers *b, size_t slot, bool in_place,
                      struct perf_call *call);
void perf_buffers_fill(const struct perf_buffers *b, size_t slot, bool in_place,
                       const struct perf_shape *shape, struct perf_values *v, size_t iteration,
                       const struct perf_call *call);
/* Elements and guard bytes that are wrong after the call. */
size_t perf_buffers_wrong(const struct perf_buffers *b, size_t slot, bool in_place,
                          const struct perf_shape *shape, struct perf_values *v,
                          size_t iteration, const struct perf_call *call);

/* ---- Timing ------------------------------------------------------------- */

struct perf_statistics {            /* microseconds, over iterations */
    double min, max, mean, p50, p95, p99, deviation, variation_percent;
};

struct perf_half {                  /* out of place, or in place */
    bool    present;
    double  time;                   /* us per call; CPU time with -C */
    double  algorithm_bandwidth, bus_bandwidth;       /* 1e9 bytes per second */
    int64_t wrong;                  /* over all ranks; -1 if not checked */
    struct perf_statistics statistics;    /* of the slowest rank in each iteration */
    double *times;                  /* us, that slowest rank's, per iteration */
    double *rank_times;             /* [rank][iteration]; only for the nccl-tests file */
};

struct perf_result {
    struct perf_shape shape;
    const char *type, *op;          /* column texts */
    int         root;               /* -1: none */
    struct perf_half half[2];
};

struct perf_run {                   /* what timing needs to know */
    const struct perf_options *options;
    peal_comm_t                comm;
    int                        rank, nranks;
    struct perf_buffers        buffers;
    struct perf_values         values;
    struct perf_call           call;       /* without buffers */
    double                    *scratch;    /* iterations */
    peal_request_t            *requests;   /* one per slot at most */
    size_t                     request_count;
};

int perf_time_half(struct perf_run *run, const struct perf_shape *shape, bool in_place,
                   struct perf_half *half);
void perf_statistics_make(const double *times, int count, struct perf_statistics *s);

/* ---- Reports ------------------------------------------------------------ */

struct perf_rank {                  /* what rank 0 learns about each */
    int32_t pid;
    char    host[64], device[64];
};

struct perf_summary {
    int64_t wrong;
    double  bus_bandwidth;          /* mean */
    double  required;               /* NCCL_TESTS_MIN_BW; < 0: none */
    bool    slow;
    const char *error;              /* why the run ended early; else NULL */
};

/* The table.  `file` is stdout, unless --json - or --csv - took it. */
void perf_table_start(FILE *file, const struct perf_options *o, const struct perf_rank *ranks,
                      int nranks);
void perf_table_header(FILE *file, const struct perf_options *o);
void perf_table_result(FILE *file, const struct perf_options *o, const struct perf_result *r);
void perf_table_end(FILE *file, const struct perf_options *o, const struct perf_summary *s);
void perf_time_text(char text[32]);

/* The other reports; files NULL where not asked for.  Called on rank 0. */
struct perf_files {
    FILE *table, *json, *csv, *nccl;
    bool  nccl_comma;               /* the next value needs one before it */
};
int  perf_files_open(struct perf_files *f, const struct perf_options *o);
void perf_files_start(struct perf_files *f, const struct perf_options *o,
                      const struct perf_rank *ranks, int nranks);
void perf_files_result(struct perf_files *f, const struct perf_options *o,
                       const struct perf_result *r, int nranks);
void perf_files_end(struct perf_files *f, const struct perf_options *o,
                    const struct perf_summary *s);
void perf_files_close(struct perf_files *f);

/* JSON, one value after the other; `comma` remembers whether one is due. */
struct perf_json {
    FILE *file;
    bool  comma;
};
void perf_json_open(struct perf_json *j, const char *key, char bracket);
void perf_json_close(struct perf_json *j, char bracket);
void perf_json_text(struct perf_json *j, const char *key, const char *value);
void perf_json_integer(struct perf_json *j, const char *key, long long value);
void perf_json_number(struct perf_json *j, const char *key, double value);
void perf_json_null(struct perf_json *j, const char *key);

/* nccl-tests' own file (-J), version 3. */
void perf_nccl_start(struct perf_files *f, const struct perf_options *o,
                     const struct perf_rank *ranks, int nranks);
void perf_nccl_result(struct perf_files *f, const struct perf_options *o,
                      const struct perf_result *r, int nranks);
void perf_nccl_end(struct perf_files *f, const struct perf_summary *s);

#endif
