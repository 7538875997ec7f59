/* SPDX-License-Identifier: BSD-3-Clause */
/* Iterations run back to back in batches of as many as have a buffer of their
 * own; ranks meet in a barrier before each batch, filling and verification lie
 * between batches and are not timed. */
#include "perf/peal_perf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int number_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double percentile(const double *sorted, int count, int percent)
{
    int index = (int)(((long long)count * percent + 99) / 100) - 1;

    return sorted[index < 0 ? 0 : index];
}

void perf_statistics_make(const double *times, int count, struct perf_statistics *s)
{
    double *sorted = malloc((size_t)count * sizeof *sorted), sum = 0, squares = 0;

    memset(s, 0, sizeof *s);
    if (!sorted || count < 1)
        goto done;
    memcpy(sorted, times, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, number_compare);
    for (int i = 0; i < count; i++)
        sum += sorted[i];
    s->mean = sum / count;
    for (int i = 0; i < count; i++)
        squares += (sorted[i] - s->mean) * (sorted[i] - s->mean);
    s->min = sorted[0];
    s->max = sorted[count - 1];
    s->p50 = percentile(sorted, count, 50);
    s->p95 = percentile(sorted, count, 95);
    s->p99 = percentile(sorted, count, 99);
    s->deviation = sqrt(squares / count);
    s->variation_percent = s->mean > 0 ? s->deviation / s->mean * 100 : 0;
done:
    free(sorted);
}

/* The operations of one iteration, on slots `slot` to slot + aggregate - 1. */
static int iteration_run(struct perf_run *run, size_t slot, bool in_place)
{
    size_t group = (size_t)run->options->aggregate, started = 0;
    peal_request_t *requests = run->requests + slot;
    struct perf_call call = run->call;
    int status = PEAL_OK, first = PEAL_OK;

    if (run->options->form == PERF_BLOCKING && group == 1) {
        perf_buffers_aim(&run->buffers, slot, in_place, &call);
        return perf_call_run(&call);
    }
    for (; started < group && first == PEAL_OK; started++) {
        if (run->options->form == PERF_PERSISTENT) {
            first = peal_start(&requests[started]);
        } else {
            perf_buffers_aim(&run->buffers, slot + started, in_place, &call);
            first = perf_call_start(&call, &requests[started]);
        }
    }
    if (started)
        status = peal_waitall((int)started, requests);
    return first != PEAL_OK ? first : status;
}

static int persistent_make(struct perf_run *run, bool in_place)
{
    struct perf_call call = run->call;

    for (size_t slot = 0; slot < run->buffers.slots; slot++) {
        int status;

        perf_buffers_aim(&run->buffers, slot, in_place, &call);
        status = perf_call_prepare(&call, &run->requests[slot]);
        if (status != PEAL_OK)
            return status;
    }
    return PEAL_OK;
}

static void persistent_free(struct perf_run *run)
{
    for (size_t slot = 0; slot < run->buffers.slots; slot++)
        if (run->requests[slot] != PEAL_REQUEST_NULL)
            peal_request_free(&run->requests[slot]);
}

/* Iterations [first, first + count), each on the next slots.  Adds to *total;
 * times[i] gets iteration i's, in microseconds, unless `times` is NULL. */
static int batch_run(struct perf_run *run, int first, int count, bool in_place, double *times,
                     double *total)
{
    const struct perf_options *o = run->options;
    clockid_t clock = o->cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    size_t group = (size_t)o->aggregate, turns = run->buffers.slots / group;
    int status = peal_barrier(run->comm);
    double start = seconds(clock), previous = seconds(CLOCK_MONOTONIC), now;

    for (int i = 0; i < count && status == PEAL_OK; i++) {
        status = iteration_run(run, (size_t)i % turns * group, in_place);
        if (status == PEAL_OK && o->blocking == 1)
            status = peal_barrier(run->comm);
        now = seconds(CLOCK_MONOTONIC);
        if (times)
            times[first + i] = (now - previous) * 1e6 / o->aggregate;
        previous = now;
    }
    *total += (seconds(clock) - start) * 1e6 / o->aggregate;
    return status;
}

static void batch_fill(struct perf_run *run, const struct perf_shape *shape, size_t first,
                       size_t operations, bool in_place)
{
    for (size_t slot = 0; slot < operations; slot++)
        perf_buffers_fill(&run->buffers, slot, in_place, shape, &run->values, first + slot,
                          &run->call);
}

static int64_t batch_wrong(struct perf_run *run, const struct perf_shape *shape, size_t first,
                           size_t operations, bool in_place)
{
    size_t wrong = 0;

    for (size_t slot = 0; slot < operations; slot++)
        wrong += perf_buffers_wrong(&run->buffers, slot, in_place, shape, &run->values,
                                    first + slot, &run->call);
    return (int64_t)wrong;
}

/* All iterations; `total` in microseconds of this rank. */
static int iterations_run(struct perf_run *run, const struct perf_shape *shape, bool in_place,
                          double *times, double *total, int64_t *wrong)
{
    const struct perf_options *o = run->options;
    size_t group = (size_t)o->aggregate;
    int batch = (int)(run->buffers.slots / group), status;
    double ignored = 0;

    batch_fill(run, shape, 0, run->buffers.slots, in_place);
    status = batch_run(run, 0, o->warmup, in_place, NULL, &ignored);
    if (!o->check)
        return status == PEAL_OK ? batch_run(run, 0, o->iterations, in_place, times, total)
                                 : status;
    for (int first = 0; first < o->iterations && status == PEAL_OK; first += batch) {
        int count = o->iterations - first < batch ? o->iterations - first : batch;
        size_t number = (size_t)(o->warmup + first) * group;

        batch_fill(run, shape, number, (size_t)count * group, in_place);
        status = batch_run(run, first, count, in_place, times, total);
        if (status == PEAL_OK)
            *wrong += batch_wrong(run, shape, number, (size_t)count * group, in_place);
    }
    return status;
}

/* From every rank's times to the half's figures. */
static int half_combine(struct perf_run *run, struct perf_half *half, double total,
                        int64_t wrong)
{
    static const peal_op_t ops[] = {PEAL_SUM, PEAL_SUM, PEAL_MIN, PEAL_MAX};
    const struct perf_options *o = run->options;
    size_t n = (size_t)o->iterations;
    double mine = o->average == 0 && run->rank != 0 ? 0 : total / o->iterations;
    int status;

    status = peal_allreduce(&mine, &half->time, 1, PEAL_FLOAT64, ops[o->average], run->comm);
    if (status == PEAL_OK && o->average == 1)
        half->time /= run->nranks;
    if (status == PEAL_OK)
        status = peal_allreduce(&wrong, &half->wrong, 1, PEAL_INT64, PEAL_SUM, run->comm);
    if (status == PEAL_OK)
        status = peal_allreduce(run->scratch, half->times, n, PEAL_FLOAT64, PEAL_MAX, run->comm);
    if (status == PEAL_OK && half->rank_times)
        status = peal_allgather(run->scratch, half->rank_times, n, PEAL_FLOAT64, run->comm);
    if (!o->check)
        half->wrong = -1;
    return status;
}

int perf_time_half(struct perf_run *run, const struct perf_shape *shape, bool in_place,
                   struct perf_half *half)
{
    const struct perf_options *o = run->options;
    double total = 0;
    int64_t wrong = 0;
    int status = PEAL_OK;

    half->present = true;
    perf_buffers_divide(&run->buffers, o, shape, run->values.element);
    if (run->buffers.slots > run->request_count) {
        size_t bytes = run->buffers.slots * sizeof *run->requests;
        peal_request_t *more = realloc(run->requests, bytes);

        if (!more)
            return PEAL_ERR_MEMORY;
        run->requests = more;
        run->request_count = run->buffers.slots;
    }
    for (size_t i = 0; i < run->request_count; i++)
        run->requests[i] = PEAL_REQUEST_NULL;
    run->call.count = shape->count;
    if (o->form == PERF_PERSISTENT)
        status = persistent_make(run, in_place);
    if (status == PEAL_OK)
        status = iterations_run(run, shape, in_place, run->scratch, &total, &wrong);
    if (o->form == PERF_PERSISTENT)
        persistent_free(run);
    if (status == PEAL_OK)
        status = half_combine(run, half, total, wrong);
    if (status != PEAL_OK)
        return status;
    perf_statistics_make(half->times + o->skip, o->iterations - o->skip, &half->statistics);
    if (half->time > 0)
        half->algorithm_bandwidth = (double)shape->bytes / (half->time * 1e-6) / 1e9;
    half->bus_bandwidth = half->algorithm_bandwidth
                        * perf_bus_factor(run->call.collective, run->nranks);
    return PEAL_OK;
}
