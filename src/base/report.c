/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/report.h"

#include <stdarg.h>
#include <stdlib.h>

void report_begin(struct report *r, const char *topic, bool json)
{
    *r = (struct report){ .json = json };
    r->out = open_memstream(&r->text, &r->bytes);
    if (r->out && json)
        fprintf(r->out, "{\"%s\": [", topic);
}

void report_row(struct report *r)
{
    if (!r->out)
        return;
    if (r->json)
        fprintf(r->out, "%s{", r->rows ? "},\n " : "\n ");
    else if (r->rows)
        putc('\n', r->out);
    r->rows++;
    r->fields = 0;
}

static void start_field(struct report *r, const char *name)
{
    if (r->json)
        fprintf(r->out, "%s\"%s\": ", r->fields ? ", " : "", name);
    else if (r->fields)
        fputs("  ", r->out);
    r->fields++;
}

static void put_json_string(FILE *out, const char *s)
{
    putc('"', out);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            putc(c, out);
    }
    putc('"', out);
}

void report_field(struct report *r, const char *name, int width, const char *format, ...)
{
    char value[2048];
    va_list args;

    if (!r->out)
        return;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    start_field(r, name);
    if (r->json)
        put_json_string(r->out, value);
    else
        fprintf(r->out, "%-*s", width, value);
}

void report_number(struct report *r, const char *name, int width, double value)
{
    if (!r->out)
        return;
    start_field(r, name);
    if (r->json)
        fprintf(r->out, "%.17g", value);
    else
        fprintf(r->out, "%*g", width, value);
}

char *report_end(struct report *r)
{
    if (!r->out)
        return NULL;
    if (r->json)
        fputs(r->rows ? "}\n]}\n" : "]}\n", r->out);
    else if (r->rows)
        putc('\n', r->out);
    if (fclose(r->out) != 0) {
        free(r->text);
        return NULL;
    }
    return r->text;
}
