/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/status.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char text[STATUS_TEXT];
static _Thread_local unsigned count;

int status_fail(int status, const char *format, ...)
{
    int error = errno;
    va_list args;

    count++;
    va_start(args, format);
    errno = error;
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_debug("%s: %s", status_name(status), text);
    errno = error;
    return status;
}

int status_prefix(int status, const char *format, ...)
{
    char tail[STATUS_TEXT];
    va_list args;
    int used;

    memcpy(tail, text, sizeof tail);
    va_start(args, format);
    used = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (used >= 0 && used < STATUS_TEXT)
        snprintf(text + used, sizeof text - (size_t)used, "%s", tail);
    return status;
}

const char *status_text(void)
{
    return text;
}

unsigned status_count(void)
{
    return count;
}

void status_keep(char kept[STATUS_TEXT])
{
    memcpy(kept, text, sizeof text);
}

void status_restore(const char kept[STATUS_TEXT])
{
    memcpy(text, kept, sizeof text);
}

bool status_note(char why[STATUS_TEXT])
{
    if (!*why)
        status_keep(why);
    return strcmp(why, text) == 0;
}

const char *status_name(int status)
{
    switch (status) {
#define ENTRY(name, value, text) case name: return #name;
    PEAL_STATUS_LIST(ENTRY)
#undef ENTRY
    }
    return "unknown status";
}
