/* SPDX-License-Identifier: BSD-3-Clause */
/* A JSON writer of a page. */
#include "perf/peal_perf.h"

#include <math.h>

static void string_write(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            fprintf(file, "\\u%04x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

static void key_write(struct perf_json *j, const char *key)
{
    if (j->comma)
        fputc(',', j->file);
    j->comma = true;
    if (key) {
        string_write(j->file, key);
        fputc(':', j->file);
    }
}

void perf_json_open(struct perf_json *j, const char *key, char bracket)
{
    key_write(j, key);
    fputc(bracket, j->file);
    j->comma = false;
}

void perf_json_close(struct perf_json *j, char bracket)
{
    fputc(bracket, j->file);
    j->comma = true;
}

void perf_json_text(struct perf_json *j, const char *key, const char *value)
{
    key_write(j, key);
    string_write(j->file, value);
}

void perf_json_integer(struct perf_json *j, const char *key, long long value)
{
    key_write(j, key);
    fprintf(j->file, "%lld", value);
}

void perf_json_number(struct perf_json *j, const char *key, double value)
{
    if (!isfinite(value)) {
        perf_json_null(j, key);
        return;
    }
    key_write(j, key);
    fprintf(j->file, "%.6f", value);
}

void perf_json_null(struct perf_json *j, const char *key)
{
    key_write(j, key);
    fputs("null", j->file);
}
