/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/short_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static ssize_t read_text(char *text, size_t room, const char *format, va_list args)
{
    char path[PATH_MAX];
    int length = vsnprintf(path, sizeof path, format, args), file;
    ssize_t got;

    text[0] = '\0';
    if (length < 0 || (size_t)length >= sizeof path)
        return -1;
    file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return -1;
    got = read(file, text, room - 1);
    close(file);
    text[got > 0 ? got : 0] = '\0';
    return got;
}

ssize_t short_file_text(char *text, size_t room, const char *format, ...)
{
    va_list args;
    ssize_t got;

    va_start(args, format);
    got = read_text(text, room, format, args);
    va_end(args);
    return got;
}

bool short_file_line(char *text, size_t room, const char *format, ...)
{
    va_list args;
    ssize_t got;

    va_start(args, format);
    got = read_text(text, room, format, args);
    va_end(args);
    text[strcspn(text, "\n")] = '\0';
    return got > 0;
}
