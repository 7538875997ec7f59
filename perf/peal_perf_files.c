/* SPDX-License-Identifier: BSD-3-Clause */
/* Where results go: the table, JSON lines (--json), comma-separated values
 * (--csv) and nccl-tests' file (-J). */
#include "perf/peal_perf.h"

#include <errno.h>
#include <string.h>

static FILE *report_open(const char *path, FILE **table)
{
    FILE *file;

    if (!strcmp(path, "-")) {
        *table = stderr;
        return stdout;
    }
    file = fopen(path, "we");
    if (!file)
        fprintf(stderr, "peal-perf: cannot write %s: %s\n", path, strerror(errno));
    return file;
}

/* Like nccl-tests, do not overwrite: FILE, FILE.0, FILE.1, ... */
static FILE *nccl_open(const char *path, FILE *table)
{
    char name[4096];
    FILE *file;

    snprintf(name, sizeof name, "%s", path);
    file = fopen(name, "wxe");
    for (int i = 0; !file && errno == EEXIST && i < 10000; i++) {
        snprintf(name, sizeof name, "%s.%d", path, i);
        file = fopen(name, "wxe");
    }
    if (file)
        fprintf(table, "# Writing JSON output to %s\n", name);
    else
        fprintf(stderr, "peal-perf: cannot write %s: %s\n", name, strerror(errno));
    return file;
}

int perf_files_open(struct perf_files *f, const struct perf_options *o)
{
    *f = (struct perf_files){.table = stdout};
    if (o->json && !(f->json = report_open(o->json, &f->table)))
        return PERF_USAGE;
    if (o->csv && !(f->csv = report_open(o->csv, &f->table)))
        return PERF_USAGE;
    if (o->nccl_json && !(f->nccl = nccl_open(o->nccl_json, f->table)))
        return PERF_USAGE;
    return PERF_OK;
}

static void line_end(struct perf_json *j)
{
    perf_json_close(j, '}');
    fputc('\n', j->file);
    fflush(j->file);
}

static void json_start(FILE *file, const struct perf_options *o, const struct perf_rank *ranks,
                       int nranks)
{
    static const char *const forms[] = {"blocking", "nonblocking", "persistent"};
    struct perf_json j = {file, false};
    char text[256];
    const char *algorithms = perf_options_algorithms(o, text, sizeof text);

    perf_json_open(&j, NULL, '{');
    perf_json_text(&j, "event", "config");
    perf_json_text(&j, "collective", o->collective->name);
    perf_json_integer(&j, "ranks", nranks);
    perf_json_integer(&j, "minimum_bytes", (long long)o->min_bytes);
    perf_json_integer(&j, "maximum_bytes", (long long)o->max_bytes);
    perf_json_integer(&j, "iterations", o->iterations);
    perf_json_integer(&j, "warmup", o->warmup);
    perf_json_integer(&j, "aggregate", o->aggregate);
    perf_json_integer(&j, "check", o->check);
    perf_json_integer(&j, "average", o->average);
    perf_json_integer(&j, "unalign", (long long)o->unalign);
    perf_json_text(&j, "form", forms[o->form]);
    perf_json_text(&j, "time", o->cpu_time ? "cpu" : "elapsed");
    perf_json_text(&j, "transports", o->transports ? o->transports : "");
    perf_json_text(&j, "algorithms", algorithms ? algorithms : "");
    perf_json_open(&j, "hosts", '[');
    for (int i = 0; i < nranks; i++)
        perf_json_text(&j, NULL, ranks[i].host);
    perf_json_close(&j, ']');
    line_end(&j);
}

static void json_half(struct perf_json *j, const char *key, const struct perf_half *h)
{
    const struct perf_statistics *s = &h->statistics;

    if (!h->present) {
        perf_json_null(j, key);
        return;
    }
    perf_json_open(j, key, '{');
    perf_json_number(j, "time_us", h->time);
    perf_json_number(j, "algbw", h->algorithm_bandwidth);
    perf_json_number(j, "busbw", h->bus_bandwidth);
    if (h->wrong < 0)
        perf_json_null(j, "wrong");
    else
        perf_json_integer(j, "wrong", h->wrong);
    perf_json_number(j, "min_us", s->min);
    perf_json_number(j, "p50_us", s->p50);
    perf_json_number(j, "p99_us", s->p99);
    perf_json_number(j, "max_us", s->max);
    perf_json_number(j, "mean_us", s->mean);
    perf_json_close(j, '}');
}

static void json_result(FILE *file, const struct perf_options *o, const struct perf_result *r,
                        int nranks)
{
    struct perf_json j = {file, false};

    perf_json_open(&j, NULL, '{');
    perf_json_text(&j, "event", "result");
    perf_json_text(&j, "collective", o->collective->name);
    perf_json_integer(&j, "ranks", nranks);
    perf_json_integer(&j, "bytes", (long long)r->shape.bytes);
    perf_json_integer(&j, "count", (long long)r->shape.count);
    perf_json_text(&j, "type", r->type);
    perf_json_text(&j, "op", r->op);
    perf_json_integer(&j, "root", r->root);
    json_half(&j, "out_of_place", &r->half[0]);
    json_half(&j, "in_place", &r->half[1]);
    line_end(&j);
}

static void csv_result(FILE *file, const struct perf_options *o, const struct perf_result *r,
                       int nranks)
{
    for (int i = 0; i < 2; i++) {
        const struct perf_half *h = &r->half[i];

        if (!h->present)
            continue;
        fprintf(file, "%s,%d,%zu,%zu,%s,%s,%d,%s,%.3f,%.6f,%.6f,", o->collective->name, nranks,
                r->shape.bytes, r->shape.count, r->type, r->op, r->root, i ? "in" : "out",
                h->time, h->algorithm_bandwidth, h->bus_bandwidth);
        if (h->wrong >= 0)
            fprintf(file, "%lld", (long long)h->wrong);
        fprintf(file, ",%.3f,%.3f,%.3f,%.3f\n", h->statistics.min, h->statistics.p50,
                h->statistics.p99, h->statistics.max);
    }
    fflush(file);
}

void perf_files_start(struct perf_files *f, const struct perf_options *o,
                      const struct perf_rank *ranks, int nranks)
{
    if (f->json)
        json_start(f->json, o, ranks, nranks);
    if (f->csv)
        fputs("collective,ranks,bytes,count,type,op,root,place,time_us,algbw,busbw,wrong,"
              "min_us,p50_us,p99_us,max_us\n", f->csv);
    if (f->nccl)
        perf_nccl_start(f, o, ranks, nranks);
    perf_table_start(f->table, o, ranks, nranks);
    perf_table_header(f->table, o);
}

void perf_files_result(struct perf_files *f, const struct perf_options *o,
                       const struct perf_result *r, int nranks)
{
    perf_table_result(f->table, o, r);
    if (f->json)
        json_result(f->json, o, r, nranks);
    if (f->csv)
        csv_result(f->csv, o, r, nranks);
    if (f->nccl)
        perf_nccl_result(f, o, r, nranks);
}

void perf_files_end(struct perf_files *f, const struct perf_options *o,
                    const struct perf_summary *s)
{
    struct perf_json j = {f->json, false};

    if (!s->error)
        perf_table_end(f->table, o, s);
    if (f->json) {
        perf_json_open(&j, NULL, '{');
        perf_json_text(&j, "event", "summary");
        perf_json_integer(&j, "wrong", s->wrong);
        perf_json_number(&j, "average_busbw", s->bus_bandwidth);
        perf_json_text(&j, "verdict", s->error ? "failed" : s->wrong ? "wrong"
                                    : s->slow ? "slow" : "ok");
        if (s->error)
            perf_json_text(&j, "error", s->error);
        line_end(&j);
    }
    if (f->nccl)
        perf_nccl_end(f, s);
}

void perf_files_close(struct perf_files *f)
{
    if (f->json && f->json != stdout)
        fclose(f->json);
    if (f->csv && f->csv != stdout)
        fclose(f->csv);
    if (f->nccl)
        fclose(f->nccl);
}
