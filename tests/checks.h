/* SPDX-License-Identifier: BSD-3-Clause */
/* For test programs of one process: a check that says what was found, and counts.
 * Included by one file of a program. */
#ifndef CHECKS_H
#define CHECKS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int checks, failures;

__attribute__((format(printf, 2, 3)))
static void check(bool good, const char *format, ...)
{
    va_list args;

    checks++;
    if (good)
        return;
    failures++;
    printf("FAIL: ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

#endif
