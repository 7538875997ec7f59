/* SPDX-License-Identifier: BSD-3-Clause */
/* The table in nccl-tests' words and widths: parsers depend on both. */
#include "perf/peal_perf.h"

#include <time.h>

void perf_time_text(char text[32])
{
    time_t now = time(NULL);
    struct tm parts;

    localtime_r(&now, &parts);
    strftime(text, 32, "%Y-%m-%d %H:%M:%S", &parts);
}

static int version_code(void)
{
    int major = 0, minor = 0, patch = 0;

    peal_version(&major, &minor, &patch);
    return major * 10000 + minor * 100 + patch;
}

void perf_table_start(FILE *file, const struct perf_options *o, const struct perf_rank *ranks,
                      int nranks)
{
    bool factor = o->factor > 1;

    fprintf(file, "# peal-perf version %d.%d.%d peal-headers=%d peal-library=%d\n",
            PEAL_VERSION_MAJOR, PEAL_VERSION_MINOR, PEAL_VERSION_PATCH,
            PEAL_VERSION_MAJOR * 10000 + PEAL_VERSION_MINOR * 100 + PEAL_VERSION_PATCH,
            version_code());
    fprintf(file, "# Collective test starting: %s_perf\n", o->collective->name);
    fprintf(file, "# nThread %d nGpus %d minBytes %ld maxBytes %ld step: %ld(%s) warmup iters: "
            "%d iters: %d agg iters: %d validation: %d graph: %d unalign: %d\n", o->nthreads,
            o->ngpus, (long)o->min_bytes, (long)o->max_bytes,
            (long)(factor ? o->factor : o->step_bytes), factor ? "factor" : "bytes", o->warmup,
            o->iterations, o->aggregate, o->check, 0, (int)o->unalign);
    if (o->blocking == 1)
        fputs("# Blocking Enabled: wait for completion and barrier after each collective \n",
              file);
    if (o->per_iteration)
        fputs("# Per-Iteration Report: i_* are of the slowest rank in each iteration\n", file);
    if (o->form != PERF_BLOCKING)
        fprintf(file, "# Calls: %s\n", o->form == PERF_PERSISTENT ? "persistent" : "nonblocking");
    fputs("#\n# Using devices\n", file);
    for (int i = 0; i < nranks; i++)
        fprintf(file, "#  Rank %2d Group %2d Pid %6d on %10s device %2d [%04x:%02x:%02x] %s\n",
                i, 0, (int)ranks[i].pid, ranks[i].host, 0, 0u, 0u, 0u, ranks[i].device);
    fflush(file);
}

static void header_line(FILE *file, const struct perf_options *o, const char *const names[13],
                        const char *stamp)
{
    fprintf(file, "# %10s  %12s  %8s  %6s  %6s", names[0], names[1], names[2], names[3],
            names[4]);
    for (int half = 0; half < 2; half++) {
        fprintf(file, "  %7s  %6s  %6s  %6s", names[5], names[6], names[7], names[8]);
        if (o->per_iteration)
            fprintf(file, "  %7s  %7s  %7s  %7s", names[9], names[10], names[11], names[12]);
    }
    fprintf(file, " %*s\n", o->timestamps ? 19 : 0, o->timestamps ? stamp : "");
}

void perf_table_header(FILE *file, const struct perf_options *o)
{
    const char *names[13] = {"size", "count", "type", "redop", "root",
                             o->cpu_time ? "cputime" : "time", "algbw", "busbw", "#wrong",
                             "i_min", "i_max", "i_p99", "i_cv%"};
    const char *units[13] = {"(B)", "(elements)", "", "", "", "(us)", "(GB/s)", "(GB/s)", "",
                             "(us)", "(us)", "(us)", "(%)"};

    fprintf(file, "#\n# %10s  %12s  %8s  %6s  %6s%s\n", "", "", "", "", "", o->per_iteration
            ? "              out-of-place (+ per-iteration)                                "
              "in-place (+ per-iteration)"
            : "           out-of-place                       in-place          ");
    header_line(file, o, names, "timestamp");
    header_line(file, o, units, "%Y-%m-%d %H:%M:%S");
    fflush(file);
}

/* Two decimals, or as many as leave the column its width. */
static void number_print(FILE *file, int width, double value)
{
    double limit = 1;
    int digits = 0;

    while (value >= limit && digits <= width) {
        limit *= 10;
        digits++;
    }
    if (digits <= width)
        fprintf(file, "  %*.*f", width, digits < width - 2 ? 2 : digits < width - 1 ? 1 : 0,
                value);
    else
        fprintf(file, "  %*.*e", width, width >= 7 ? 1 : 0, value);
}

static void half_print(FILE *file, const struct perf_options *o, const struct perf_half *h)
{
    const struct perf_statistics *s = &h->statistics;

    if (!h->present) {
        fprintf(file, "  %7s  %6s  %6s  %6s", "N/A", "N/A", "N/A", "N/A");
        if (o->per_iteration)
            fprintf(file, "  %7s  %7s  %7s  %7s", "N/A", "N/A", "N/A", "N/A");
        return;
    }
    number_print(file, 7, h->time);
    number_print(file, 6, h->algorithm_bandwidth);
    number_print(file, 6, h->bus_bandwidth);
    if (h->wrong < 0)
        fputs("     N/A", file);
    else
        fprintf(file, "  %6g", (double)h->wrong);
    if (!o->per_iteration)
        return;
    number_print(file, 7, s->min);
    number_print(file, 7, s->max);
    number_print(file, 7, s->p99);
    number_print(file, 7, s->variation_percent);
}

void perf_table_result(FILE *file, const struct perf_options *o, const struct perf_result *r)
{
    char stamp[32];

    fprintf(file, "%12li  %12li  %8s  %6s  %6i", (long)r->shape.bytes, (long)r->shape.count,
            r->type, r->op, r->root);
    for (int half = 0; half < 2; half++)
        half_print(file, o, &r->half[half]);
    if (o->timestamps) {
        perf_time_text(stamp);
        fprintf(file, "%21s", stamp);
    }
    fputc('\n', file);
    fflush(file);
}

void perf_table_end(FILE *file, const struct perf_options *o, const struct perf_summary *s)
{
    fprintf(file, "# %-20s : %lld %s\n", "Out of bounds values", (long long)s->wrong,
            s->wrong ? "FAILED" : "OK");
    fprintf(file, "# %-20s : %g %s\n", "Avg bus bandwidth", s->bus_bandwidth,
            s->required < 0 ? "" : s->slow ? "FAILED" : "OK");
    fprintf(file, "#\n# Collective test concluded: %s_perf\n#\n\n", o->collective->name);
    fflush(file);
}
