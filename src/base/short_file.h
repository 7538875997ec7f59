/* SPDX-License-Identifier: BSD-3-Clause */
/* The small files of text that /sys and /proc are made of. */
#ifndef SHORT_FILE_H
#define SHORT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The beginning of the file at a path (printf style), ended by a NUL: what one read() gives of room - 1
 * bytes.  Of a file that is longer the rest is left out, and nothing tells.  The number of bytes; -1, with
 * an empty text: the path is too long, there is no such file, or it cannot be read.  Never waits for a
 * FIFO in the file's place. */
ssize_t short_file_text(char *text, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Its first line, without what ends it; as much of it as there is room for.  False, with an empty text:
 * there is nothing to read, not even an end of line. */
bool short_file_line(char *text, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
