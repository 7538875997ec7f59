/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the library is that plays NVML (fake_nvml.c). */
#ifndef FAKE_NVML_H
#define FAKE_NVML_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *fake_nvml(void)
{
    const char *library = getenv("FAKE_NVML_LIBRARY");

    return library ? library : "tests/.libs/fake_nvml.so";
}

/* libtool has made no module of it: configured with --disable-shared. */
static bool fake_nvml_static(void)
{
    FILE *description = fopen("tests/fake_nvml.la", "r");
    bool found_one = false;
    char line[256];

    while (description && fgets(line, sizeof line, description))
        found_one |= !strcmp(line, "dlname=''\n");
    if (description)
        fclose(description);
    return found_one;
}

#endif
