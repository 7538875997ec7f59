/* SPDX-License-Identifier: BSD-3-Clause */
/* The program: start or join the ranks, go through types, operations, roots and
 * sizes, report on rank 0, judge. */
#include "perf/peal_perf.h"

#include "tools/launcher.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sweep {
    struct perf_run     run;
    struct perf_result  result;
    struct perf_files   files;
    struct perf_summary summary;
    int                 halves;                   /* measured so far */
};

/* What this process would run on, for the list of devices. */
static void device_name(char *name, size_t bytes)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[256];
    const char *value = NULL;

    snprintf(name, bytes, "host memory");
    while (file && !value && fgets(line, sizeof line, file))
        if (!strncmp(line, "model name", 10))
            value = strstr(line, ": ");
    if (value)
        snprintf(name, bytes, "%.*s", (int)strcspn(value + 2, "\n"), value + 2);
    if (file)
        fclose(file);
}

/* Rank 0 learns about all; *all has nranks entries, on every rank. */
static int ranks_gather(const struct perf_run *run, struct perf_rank **all)
{
    struct perf_rank mine = {.pid = (int32_t)getpid()};
    struct perf_rank *ranks = calloc((size_t)run->nranks, sizeof *ranks);
    int status;

    if (!ranks)
        return PEAL_ERR_MEMORY;
    gethostname(mine.host, sizeof mine.host - 1);
    device_name(mine.device, sizeof mine.device);
    status = peal_allgather(&mine, ranks, sizeof mine, PEAL_UINT8, run->comm);
    if (status != PEAL_OK) {
        free(ranks);
        return status;
    }
    *all = ranks;
    return PEAL_OK;
}

/* Measure one size and report it. */
static int size_run(struct sweep *s, size_t bytes)
{
    struct perf_run *run = &s->run;
    const struct perf_options *o = run->options;
    struct perf_result *r = &s->result;

    r->shape = perf_shape_make(o->collective, bytes, run->values.element, run->nranks);
    for (int half = 0; half < (o->collective->in_place ? 2 : 1); half++) {
        int status = perf_time_half(run, &r->shape, half == 1, &r->half[half]);

        if (status != PEAL_OK)
            return status;
        if (r->half[half].wrong > 0)
            s->summary.wrong += r->half[half].wrong;
        s->summary.bus_bandwidth += r->half[half].bus_bandwidth;
        s->halves++;
    }
    if (run->rank == 0)
        perf_files_result(&s->files, o, r, run->nranks);
    return PEAL_OK;
}

/* The size after `bytes`; false: there is none. */
static bool size_next(const struct perf_options *o, size_t element, size_t *bytes)
{
    if (o->collective->kind == PERF_BARRIER)
        return false;
    if (o->factor > 1) {
        if (*bytes > o->max_bytes / o->factor)
            return false;
        *bytes = *bytes ? *bytes * o->factor : element;
    } else {
        if (!o->step_bytes || o->max_bytes - *bytes < o->step_bytes)
            return false;
        *bytes += o->step_bytes;
    }
    return *bytes <= o->max_bytes;
}

static int sizes_run(struct sweep *s)
{
    const struct perf_options *o = s->run.options;
    int status = PEAL_OK;

    for (int cycle = 0; o->cycles == 0 || cycle < o->cycles; cycle++) {
        size_t bytes = o->min_bytes;

        do
            status = size_run(s, bytes);
        while (status == PEAL_OK && size_next(o, s->run.values.element, &bytes));
        if (status != PEAL_OK)
            break;
    }
    return status;
}

static int roots_run(struct sweep *s)
{
    const struct perf_options *o = s->run.options;
    int first = o->root == PERF_ALL ? 0 : o->root, status = PEAL_OK;
    int last = o->root == PERF_ALL ? s->run.nranks - 1 : o->root;

    if (!o->collective->rooted) {
        s->result.root = -1;
        return sizes_run(s);
    }
    for (int root = first; root <= last && status == PEAL_OK; root++) {
        s->result.root = s->run.call.root = root;
        status = sizes_run(s);
    }
    return status;
}

/* One type and operation; op -1: none. */
static int combination_run(struct sweep *s, const struct perf_type *type, int op)
{
    struct perf_run *run = &s->run;
    unsigned char scalar[8];
    int factor = perf_values_scalar(run->rank), status;

    run->call.type = type->type;
    run->call.op = op < 0 ? PEAL_SUM : perf_ops[op].op;
    s->result.type = run->options->collective->kind == PERF_BARRIER ? "none" : type->name;
    s->result.op = op < 0 ? "none" : perf_ops[op].name;
    if (op == PERF_MULSUM) {
        perf_values_encode(type, factor, (uint64_t)factor, scalar);
        status = peal_op_create_premul_sum(scalar, type->type, &run->call.op);
        if (status != PEAL_OK)
            return status;
    }
    status = perf_values_make(&run->values, type, op, run->rank, run->nranks);
    if (status == PEAL_OK)
        status = roots_run(s);
    perf_values_free(&run->values);
    if (op == PERF_MULSUM)
        peal_op_free(run->call.op);
    return status;
}

static int combinations_run(struct sweep *s)
{
    const struct perf_options *o = s->run.options;
    int status = PEAL_OK;

    for (int type = 0; type < PEAL_DATATYPES && status == PEAL_OK; type++) {
        if (o->type != PERF_ALL && type != o->type)
            continue;
        if (!o->collective->reduces) {
            status = combination_run(s, &perf_types[type], -1);
            continue;
        }
        for (int op = 0; op < PERF_OPS && status == PEAL_OK; op++) {
            if ((o->op != PERF_ALL && op != o->op)
                || (perf_ops[op].integers_only && perf_types[type].floating))
                continue;
            status = combination_run(s, &perf_types[type], op);
        }
    }
    return status;
}

static int sweep_make(struct sweep *s, const struct perf_options *o, peal_comm_t comm)
{
    struct perf_run *run = &s->run;
    size_t n = (size_t)o->iterations;

    run->options = o;
    run->comm = comm;
    peal_comm_rank(comm, &run->rank);
    peal_comm_size(comm, &run->nranks);
    run->call = (struct perf_call){.collective = o->collective, .rank = run->rank,
                                   .nranks = run->nranks, .comm = comm};
    run->scratch = calloc(n, sizeof *run->scratch);
    for (int half = 0; half < 2; half++) {
        s->result.half[half].times = calloc(n, sizeof(double));
        if (o->nccl_json && o->per_iteration)
            s->result.half[half].rank_times = calloc(n * (size_t)run->nranks, sizeof(double));
        if (!s->result.half[half].times
            || (o->nccl_json && o->per_iteration && !s->result.half[half].rank_times))
            return PEAL_ERR_MEMORY;
    }
    if (!run->scratch)
        return PEAL_ERR_MEMORY;
    return perf_buffers_make(&run->buffers, o);
}

static void sweep_free(struct sweep *s)
{
    for (int half = 0; half < 2; half++) {
        free(s->result.half[half].times);
        free(s->result.half[half].rank_times);
    }
    free(s->run.scratch);
    free(s->run.requests);
    perf_buffers_free(&s->run.buffers);
    perf_files_close(&s->files);
}

static void summary_make(struct sweep *s)
{
    const char *required = getenv("NCCL_TESTS_MIN_BW");

    if (s->halves)
        s->summary.bus_bandwidth /= s->halves;
    s->summary.required = required && *required ? atof(required) : -1;
    s->summary.slow = s->summary.required >= 0
                    && s->summary.bus_bandwidth < s->summary.required * 0.9;
}

static void failure_print(int rank, int status)
{
    const char *text = peal_last_error();

    fprintf(stderr, "peal-perf: rank %d: %s%s%s\n", rank, peal_strerror(status),
            *text ? ": " : "", text);
}

/* All of it on a communicator; the exit status. */
static int sweep_run(struct sweep *s, const struct perf_options *o, peal_comm_t comm)
{
    struct perf_rank *ranks = NULL;
    int status = sweep_make(s, o, comm);

    if (status == PEAL_OK)
        status = ranks_gather(&s->run, &ranks);
    if (status == PEAL_OK && s->run.rank == 0)
        perf_files_start(&s->files, o, ranks, s->run.nranks);
    free(ranks);
    if (status == PEAL_OK)
        status = combinations_run(s);
    summary_make(s);
    if (status != PEAL_OK) {
        failure_print(s->run.rank, status);
        s->summary.error = *peal_last_error() ? peal_last_error() : peal_strerror(status);
    }
    if (s->run.rank == 0)
        perf_files_end(&s->files, o, &s->summary);
    if (status != PEAL_OK) {
        peal_comm_abort(comm, "peal-perf gave up");
        return PERF_FAILED;
    }
    return s->summary.wrong || s->summary.slow ? PERF_WRONG : PERF_OK;
}

/* Join the ranks, check what depends on their number, run. */
static int rank_main(const struct perf_options *o)
{
    peal_config_t config = PEAL_CONFIG_INIT;
    struct sweep sweep = {.files = {.table = stdout}};
    peal_comm_t comm = PEAL_COMM_NULL;
    char algorithms[256];
    int status, rank = 0, nranks = 0, result;

    config.timeout = o->timeout;
    config.transports = o->transports;
    config.algorithms = perf_options_algorithms(o, algorithms, sizeof algorithms);
    status = peal_init(&config, &comm);
    if (status != PEAL_OK) {
        fprintf(stderr, "peal-perf: %s: %s\n", peal_strerror(status), peal_last_error());
        return PERF_FAILED;
    }
    peal_comm_rank(comm, &rank);
    peal_comm_size(comm, &nranks);
    if (o->root >= nranks) {
        if (rank == 0)
            fprintf(stderr, "peal-perf: there is no root %d among %d ranks\n", o->root, nranks);
        peal_comm_free(&comm);
        return PERF_USAGE;
    }
    result = rank == 0 ? perf_files_open(&sweep.files, o) : PERF_OK;
    if (result == PERF_OK)
        result = sweep_run(&sweep, o, comm);
    else
        peal_comm_abort(comm, "rank 0 cannot write its report");
    sweep_free(&sweep);
    status = peal_comm_free(&comm);
    if (status != PEAL_OK && result == PERF_OK) {
        failure_print(rank, status);
        result = PERF_FAILED;
    }
    return result;
}

/* Run this program again as so many ranks. */
static int ranks_start(const struct perf_options *o)
{
    const struct launcher_options options = {.name = "peal-perf", .bind = true};
    char program[4096], **argv;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    int n = 0, result;

    argv = calloc((size_t)o->argc + 3, sizeof *argv);
    if (length < 0 || !argv) {
        fputs("peal-perf: cannot start myself again: no /proc, or no memory\n", stderr);
        free(argv);
        return PERF_FAILED;
    }
    program[length] = 0;
    argv[n++] = program;
    argv[n++] = (char *)"--joined";
    argv[n++] = (char *)o->collective->name;
    for (int i = 1; i < o->argc; i++)
        argv[n++] = o->argv[i];
    result = launcher_run(o->nranks, argv, &options);
    free(argv);
    return result;
}

int main(int argc, char **argv)
{
    struct perf_options options;
    int result = perf_options_parse(&options, argc, argv);

    if (result >= 0)
        return result;
    if (options.nranks > 1 && !options.joined)
        return ranks_start(&options);
    return rank_main(&options);
}
