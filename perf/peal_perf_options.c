/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/peal_perf.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LONG_RANKS = 256, LONG_JOINED, LONG_TRANSPORTS, LONG_ALGORITHM, LONG_JSON, LONG_CSV,
       LONG_FORM, LONG_VERSION };

static const char short_options[] =
    "b:e:i:f:o:d:r:n:w:m:N:c:a:I::K:p::z:C::J:S::T:u:R:t:g:M::G:D:V:x:y:h";

static const struct option long_options[] = {
    {"minbytes",              required_argument, NULL, 'b'},
    {"maxbytes",              required_argument, NULL, 'e'},
    {"stepbytes",             required_argument, NULL, 'i'},
    {"stepfactor",            required_argument, NULL, 'f'},
    {"op",                    required_argument, NULL, 'o'},
    {"datatype",              required_argument, NULL, 'd'},
    {"root",                  required_argument, NULL, 'r'},
    {"iters",                 required_argument, NULL, 'n'},
    {"warmup_iters",          required_argument, NULL, 'w'},
    {"agg_iters",             required_argument, NULL, 'm'},
    {"run_cycles",            required_argument, NULL, 'N'},
    {"check",                 required_argument, NULL, 'c'},
    {"average",               required_argument, NULL, 'a'},
    {"per_iter_timing",       optional_argument, NULL, 'I'},
    {"per_iter_skip",         required_argument, NULL, 'K'},
    {"parallel_init",         optional_argument, NULL, 'p'},
    {"blocking",              required_argument, NULL, 'z'},
    {"report_cputime",        optional_argument, NULL, 'C'},
    {"output_file",           required_argument, NULL, 'J'},
    {"report_timestamps",     optional_argument, NULL, 'S'},
    {"timeout",               required_argument, NULL, 'T'},
    {"unalign",               required_argument, NULL, 'u'},
    {"local_register",        required_argument, NULL, 'R'},
    {"nthreads",              required_argument, NULL, 't'},
    {"ngpus",                 required_argument, NULL, 'g'},
    {"memory_report",         optional_argument, NULL, 'M'},
    {"cudagraph",             required_argument, NULL, 'G'},
    {"device_implementation", required_argument, NULL, 'D'},
    {"device_cta_count",      required_argument, NULL, 'V'},
    {"cta_policy",            required_argument, NULL, 'x'},
    {"stream_null",           required_argument, NULL, 'y'},
    {"help",                  no_argument,       NULL, 'h'},
    {"ranks",                 required_argument, NULL, LONG_RANKS},
    {"joined",                required_argument, NULL, LONG_JOINED},
    {"transports",            required_argument, NULL, LONG_TRANSPORTS},
    {"algorithm",             required_argument, NULL, LONG_ALGORITHM},
    {"json",                  required_argument, NULL, LONG_JSON},
    {"csv",                   required_argument, NULL, LONG_CSV},
    {"form",                  required_argument, NULL, LONG_FORM},
    {"version",               no_argument,       NULL, LONG_VERSION},
    {NULL, 0, NULL, 0},
};

static bool size_parse(const char *text, size_t *bytes)
{
    static const char units[] = "bkmgt";
    const char *unit;
    char *end;
    double value;
    int shift = 0;

    errno = 0;
    value = strtod(text, &end);
    if (end == text || errno || !(value >= 0))
        return false;
    if (*end) {
        unit = strchr(units, *end | 32);
        if (!unit || (end[1] && strcmp(end + 1, "iB") && strcmp(end + 1, "B")))
            return false;
        shift = (int)(unit - units) * 10;
    }
    value *= (double)(UINT64_C(1) << shift);
    if (value >= 4611686018427387904.0)           /* 2^62 */
        return false;
    *bytes = (size_t)value;
    return true;
}

static bool whole_parse(const char *text, long least, long most, int *value)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (end == text || *end || errno || number < least || number > most)
        return false;
    *value = (int)number;
    return true;
}

static bool flag_parse(const char *text, bool *value)
{
    int number;

    if (!whole_parse(text, 0, 1 << 20, &number))
        return false;
    *value = number != 0;
    return true;
}

/* -I, -C, -S take 0 or 1, but people also write them alone. */
static bool optional_flag(int argc, char **argv, bool *value)
{
    const char *text = optarg;

    if (!text && optind < argc && (!strcmp(argv[optind], "0") || !strcmp(argv[optind], "1")))
        text = argv[optind++];
    *value = true;
    return !text || flag_parse(text, value);
}

static bool type_parse(const char *text, int *type)
{
    *type = strcmp(text, "all") ? perf_type_find(text) : PERF_ALL;
    return *type >= 0 || !strcmp(text, "all");
}

static bool op_parse(const char *text, int *op)
{
    *op = strcmp(text, "all") ? perf_op_find(text) : PERF_ALL;
    return *op >= 0 || !strcmp(text, "all");
}

static bool form_parse(const char *text, enum perf_form *form)
{
    static const char *const names[] = {"blocking", "nonblocking", "persistent"};

    for (int i = 0; i < 3; i++)
        if (!strcmp(text, names[i])) {
            *form = (enum perf_form)i;
            return true;
        }
    return false;
}

static bool count_parse(const char *text, long least, long most, size_t *value)
{
    int number;

    if (!whole_parse(text, least, most, &number))
        return false;
    *value = (size_t)number;
    return true;
}

static bool seconds_parse(const char *text, double *value)
{
    char *end;

    *value = strtod(text, &end);
    return end != text && !*end && *value >= 0;
}

/* One option; false: its value is not valid. */
static bool option_take(struct perf_options *o, int option, int argc, char **argv)
{
    enum { MANY = 1 << 30 };
    int number;
    bool flag;

    switch (option) {
    case 'b': return size_parse(optarg, &o->min_bytes);
    case 'e': return size_parse(optarg, &o->max_bytes);
    case 'i': return size_parse(optarg, &o->step_bytes);
    case 'f': return count_parse(optarg, 1, MANY, &o->factor);
    case 'o': return op_parse(optarg, &o->op);
    case 'd': return type_parse(optarg, &o->type);
    case 'r':
        o->root = PERF_ALL;
        return !strcmp(optarg, "all") || whole_parse(optarg, 0, MANY, &o->root);
    case 'n': return whole_parse(optarg, 1, MANY, &o->iterations);
    case 'w': return whole_parse(optarg, 0, MANY, &o->warmup);
    case 'm': return whole_parse(optarg, 1, 1 << 16, &o->aggregate);
    case 'N': return whole_parse(optarg, 0, MANY, &o->cycles);
    case 'c': return flag_parse(optarg, &o->check);
    case 'a': return whole_parse(optarg, 0, 3, &o->average);
    case 'I': return optional_flag(argc, argv, &o->per_iteration);
    case 'K': return whole_parse(optarg, 0, MANY, &o->skip);
    case 'z': return whole_parse(optarg, 0, 3, &o->blocking);
    case 'C': return optional_flag(argc, argv, &o->cpu_time);
    case 'J': o->nccl_json = optarg; return true;
    case 'S': return optional_flag(argc, argv, &o->timestamps);
    case 'T': return seconds_parse(optarg, &o->timeout);
    case 'u': return count_parse(optarg, 0, 1 << 20, &o->unalign);
    case 'R': return flag_parse(optarg, &o->mapped_memory);
    case 't': return whole_parse(optarg, 1, 4096, &o->nthreads);
    case 'g': return whole_parse(optarg, 1, 4096, &o->ngpus);
    case 'p': case 'M': return optional_flag(argc, argv, &flag);
    case 'G': case 'D': return whole_parse(optarg, 0, 0, &number);
    case 'V': case 'x': case 'y': return whole_parse(optarg, 0, MANY, &number);
    case LONG_RANKS: return whole_parse(optarg, 1, 4096, &o->nranks);
    case LONG_JOINED:                             /* from our own parent */
        o->joined = true;
        o->collective = perf_collective_find(optarg);
        return o->collective != NULL;
    case LONG_TRANSPORTS: o->transports = optarg; return true;
    case LONG_ALGORITHM: o->algorithm = optarg; return true;
    case LONG_JSON: o->json = optarg; return true;
    case LONG_CSV: o->csv = optarg; return true;
    case LONG_FORM: return form_parse(optarg, &o->form);
    }
    return false;
}

static int usage_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int usage_fail(const char *format, ...)
{
    va_list args;

    fputs("peal-perf: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("; see peal-perf --help\n", stderr);
    return PERF_USAGE;
}

static int value_fail(int option)
{
    const char *value = optarg ? optarg : "";

    if (option == 'G' || option == 'D')
        return usage_fail("-%c %s needs a GPU; on hosts only 0 is possible", option, value);
    for (const struct option *o = long_options; o->name; o++)
        if (o->val == option)
            return usage_fail("--%s cannot be \"%s\"", o->name, value);
    return PERF_USAGE;
}

/* What the options mean together. */
static int options_finish(struct perf_options *o)
{
    bool floating = o->type >= 0 && perf_types[o->type].floating;

    if (o->max_bytes < o->min_bytes)
        return usage_fail("the largest size (-e) is below the smallest (-b)");
    if (o->factor <= 1 && o->step_bytes == 0 && o->max_bytes > o->min_bytes)
        return usage_fail("a step (-i) of 0 never gets to the largest size");
    if (o->skip >= o->iterations)
        return usage_fail("-K leaves none of the iterations (-n)");
    if (o->json && o->csv && !strcmp(o->json, "-") && !strcmp(o->csv, "-"))
        return usage_fail("--json - and --csv - cannot share stdout");
    if (o->collective->reduces && floating && o->op >= 0 && perf_ops[o->op].integers_only)
        return usage_fail("operation %s is for integers, not for %s", perf_ops[o->op].name,
                          perf_types[o->type].name);
    if (o->nranks == 0 && o->nthreads * o->ngpus > 1)
        o->nranks = o->nthreads * o->ngpus;
    return -1;
}

int perf_options_parse(struct perf_options *options, int argc, char **argv)
{
    const char *program = strrchr(argv[0], '/');
    int option;

    *options = (struct perf_options){
        .nthreads = 1, .ngpus = 1, .min_bytes = 32 << 20, .max_bytes = 32 << 20,
        .step_bytes = 1 << 20, .type = perf_type_find("float"), .iterations = 20, .warmup = 1,
        .aggregate = 1, .cycles = 1, .average = 1, .check = true, .argc = argc, .argv = argv};
    options->collective = perf_collective_find(program ? program + 1 : argv[0]);
    while ((option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
        if (option == 'h') {
            perf_usage(stdout);
            return PERF_OK;
        }
        if (option == LONG_VERSION) {
            printf("peal-perf %d.%d.%d\n", PEAL_VERSION_MAJOR, PEAL_VERSION_MINOR,
                   PEAL_VERSION_PATCH);
            return PERF_OK;
        }
        if (option == '?')
            return PERF_USAGE;
        if (!option_take(options, option, argc, argv))
            return value_fail(option);
    }
    if (optind < argc && !(options->collective = perf_collective_find(argv[optind])))
        return usage_fail("there is no collective \"%s\"", argv[optind]);
    if (optind + 1 < argc)
        return usage_fail("what is \"%s\"?", argv[optind + 1]);
    if (!options->collective)
        return usage_fail("which collective?");
    return options_finish(options);
}

const char *perf_options_algorithms(const struct perf_options *options, char *text, size_t bytes)
{
    if (!options->algorithm || strchr(options->algorithm, ':'))
        return options->algorithm;
    snprintf(text, bytes, "%s:%s", options->collective->setting, options->algorithm);
    return text;
}
