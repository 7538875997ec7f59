/* SPDX-License-Identifier: BSD-3-Clause */
/* The file of nccl-tests' -J, version 3, with its habits: booleans and the root
 * are strings. */
#include "perf/peal_perf.h"

#include <string.h>
#include <unistd.h>

static void flag_write(struct perf_json *j, const char *key, bool value)
{
    perf_json_text(j, key, value ? "true" : "false");
}

/* Variables that steer a run; never the job's secret. */
static void environment_write(struct perf_json *j)
{
    static const char *const prefixes[] = {"PEAL_", "NCCL_", "UCX_", "OMPI_COMM_", "SLURM_JOB",
                                           "OMP_"};

    perf_json_open(j, "env", '[');
    for (char **e = environ; *e; e++)
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
            if (!strncmp(*e, prefixes[i], strlen(prefixes[i])) && !strstr(*e, "SECRET"))
                perf_json_text(j, NULL, *e);
    perf_json_close(j, ']');
}

static void config_write(struct perf_json *j, const struct perf_options *o)
{
    perf_json_integer(j, "nthreads", o->nthreads);
    perf_json_integer(j, "ngpus", o->ngpus);
    perf_json_integer(j, "minimum_bytes", (long long)o->min_bytes);
    perf_json_integer(j, "maximum_bytes", (long long)o->max_bytes);
    if (o->factor > 1)
        perf_json_integer(j, "step_factor", (long long)o->factor);
    else
        perf_json_integer(j, "step_bytes", (long long)o->step_bytes);
    perf_json_integer(j, "warmup_iters", o->warmup);
    perf_json_integer(j, "iterations", o->iterations);
    perf_json_integer(j, "aggregated_iterations", o->aggregate);
    perf_json_integer(j, "validation", o->check);
    perf_json_integer(j, "graph", 0);
    flag_write(j, "blocking_collectives", o->blocking != 0);
    flag_write(j, "per_iter_timing", o->per_iteration);
    perf_json_integer(j, "per_iter_skip", o->skip);
    flag_write(j, "parallel_init", false);
}

static void device_write(struct perf_json *j, int rank, const struct perf_rank *about)
{
    perf_json_open(j, NULL, '{');
    perf_json_integer(j, "rank", rank);
    perf_json_integer(j, "group", 0);
    perf_json_integer(j, "pid", about->pid);
    perf_json_text(j, "hostname", about->host);
    perf_json_integer(j, "device", 0);
    perf_json_text(j, "device_hex", "0000:00:00");
    perf_json_text(j, "device_info", about->device);
    perf_json_close(j, '}');
}

/* In nccl-tests' writer "devices" lies inside "config". */
void perf_nccl_start(struct perf_files *f, const struct perf_options *o,
                     const struct perf_rank *ranks, int nranks)
{
    struct perf_json j = {f->nccl, false};
    char stamp[32];
    int major = 0, minor = 0, patch = 0;

    peal_version(&major, &minor, &patch);
    perf_time_text(stamp);
    perf_json_open(&j, NULL, '{');
    perf_json_integer(&j, "version", 3);
    perf_json_text(&j, "start_time", stamp);
    perf_json_open(&j, "args", '[');
    for (int i = 0; i < o->argc; i++)
        perf_json_text(&j, NULL, o->argv[i]);
    perf_json_close(&j, ']');
    environment_write(&j);
    perf_json_integer(&j, "nccl_version", major * 10000 + minor * 100 + patch);
    perf_json_open(&j, "config", '{');
    config_write(&j, o);
    perf_json_open(&j, "devices", '[');
    for (int i = 0; i < nranks; i++)
        device_write(&j, i, &ranks[i]);
    perf_json_close(&j, ']');
    perf_json_close(&j, '}');
    perf_json_open(&j, "results", '[');
    f->nccl_comma = j.comma;
}

static void half_write(struct perf_json *j, const char *key, const struct perf_options *o,
                       const struct perf_half *h)
{
    if (!h->present) {
        perf_json_null(j, key);
        return;
    }
    perf_json_open(j, key, '{');
    perf_json_number(j, o->cpu_time ? "cpu_time" : "time", h->time);
    perf_json_number(j, "alg_bw", h->algorithm_bandwidth);
    perf_json_number(j, "bus_bw", h->bus_bandwidth);
    if (h->wrong < 0)
        perf_json_null(j, "nwrong");
    else
        perf_json_number(j, "nwrong", (double)h->wrong);
    perf_json_close(j, '}');
}

static void times_write(struct perf_json *j, const char *key, const struct perf_options *o,
                        const double *times)
{
    perf_json_open(j, key, '[');
    for (int i = o->skip; i < o->iterations; i++)
        perf_json_number(j, NULL, times[i]);
    perf_json_close(j, ']');
}

static void iterations_write(struct perf_json *j, const char *key, const struct perf_options *o,
                             const struct perf_half *h, int nranks)
{
    const struct perf_statistics *s = &h->statistics;

    perf_json_open(j, key, '{');
    perf_json_integer(j, "skipped_iterations", o->skip);
    perf_json_number(j, "min_us", s->min);
    perf_json_number(j, "max_us", s->max);
    perf_json_number(j, "avg_us", s->mean);
    perf_json_number(j, "p50_us", s->p50);
    perf_json_number(j, "p95_us", s->p95);
    perf_json_number(j, "p99_us", s->p99);
    perf_json_number(j, "stdev_us", s->deviation);
    perf_json_number(j, "cv_pct", s->variation_percent);
    times_write(j, "times_us", o, h->times);
    if (h->rank_times && nranks > 1) {
        perf_json_open(j, "per_process_max_times_us", '[');
        for (int rank = 0; rank < nranks; rank++)
            times_write(j, NULL, o, h->rank_times + (size_t)rank * (size_t)o->iterations);
        perf_json_close(j, ']');
    }
    perf_json_close(j, '}');
}

void perf_nccl_result(struct perf_files *f, const struct perf_options *o,
                      const struct perf_result *r, int nranks)
{
    struct perf_json j = {f->nccl, f->nccl_comma};
    char root[16];

    snprintf(root, sizeof root, "%6i", r->root);
    perf_json_open(&j, NULL, '{');
    perf_json_integer(&j, "size", (long long)r->shape.bytes);
    perf_json_integer(&j, "count", (long long)r->shape.count);
    perf_json_text(&j, "type", r->type);
    perf_json_text(&j, "redop", r->op);
    perf_json_text(&j, "root", root);
    half_write(&j, "out_of_place", o, &r->half[0]);
    if (o->per_iteration)
        iterations_write(&j, "out_of_place_per_iter", o, &r->half[0], nranks);
    half_write(&j, "in_place", o, &r->half[1]);
    if (o->per_iteration && r->half[1].present)
        iterations_write(&j, "in_place_per_iter", o, &r->half[1], nranks);
    perf_json_integer(&j, "actual_iterations", o->iterations);
    perf_json_text(&j, "experiment_name", "");
    perf_json_close(&j, '}');
    f->nccl_comma = j.comma;
    fflush(f->nccl);
}

void perf_nccl_end(struct perf_files *f, const struct perf_summary *s)
{
    struct perf_json j = {f->nccl, true};
    char stamp[32];

    perf_time_text(stamp);
    perf_json_close(&j, ']');
    perf_json_open(&j, "out_of_bounds", '{');
    perf_json_integer(&j, "count", s->wrong);
    flag_write(&j, "okay", s->wrong == 0);
    perf_json_close(&j, '}');
    perf_json_open(&j, "average_bus_bandwidth", '{');
    perf_json_number(&j, "bandwidth", s->bus_bandwidth);
    if (s->required < 0)
        perf_json_text(&j, "okay", "unchecked");
    else
        flag_write(&j, "okay", !s->slow);
    perf_json_close(&j, '}');
    perf_json_text(&j, "end_time", stamp);
    perf_json_open(&j, "errors", '[');
    if (s->error)
        perf_json_text(&j, NULL, s->error);
    perf_json_close(&j, ']');
    perf_json_close(&j, '}');
    fputc('\n', f->nccl);
    fflush(f->nccl);
}
