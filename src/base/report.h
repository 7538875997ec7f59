/* SPDX-License-Identifier: BSD-3-Clause */
/* A report for people or programs: rows of named fields, as aligned text or as
 * JSON {"topic": [{"field": value, ...}, ...]}.  Like building a schedule it
 * cannot fail half way: out of memory is seen once, by report_end(). */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct report {
    FILE  *out;
    char  *text;
    size_t bytes;
    bool   json;
    int    rows, fields;
};

void report_begin(struct report *report, const char *topic, bool json);
void report_row(struct report *report);
/* A field of the present row; as text it is padded to `width` columns. */
void report_field(struct report *report, const char *name, int width, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void report_number(struct report *report, const char *name, int width, double value);
/* The text, which the caller frees; NULL if memory ran out. */
char *report_end(struct report *report);

#endif
