/* SPDX-License-Identifier: BSD-3-Clause */
#include "launcher_output.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool write_all(int to, const char *bytes, size_t count)
{
    while (count) {
        ssize_t done = write(to, bytes, count);

        if (done < 0 && errno == EAGAIN) {
            struct pollfd poller = { .fd = to, .events = POLLOUT };

            poll(&poller, 1, -1);
        } else if (done < 0 && errno != EINTR) {
            return false;
        } else if (done > 0) {
            bytes += done;
            count -= (size_t)done;
        }
    }
    return true;
}

/* One write for tag and line, so that lines of ranks do not mix. */
static bool write_line(struct output *output, const char *line, size_t bytes, bool newline)
{
    char text[OUTPUT_LINE + 32];
    size_t used = 0;

    if (!output->within)
        used = (size_t)snprintf(text, 32, "[%d] ", output->rank);
    memcpy(text + used, line, bytes);
    used += bytes;
    if (newline)
        text[used++] = '\n';
    output->within = !newline;
    return write_all(output->to, text, used);
}

static bool write_lines(struct output *output)
{
    char *start = output->line, *end;
    size_t left = output->used;
    bool written = true;

    while (written && (end = memchr(start, '\n', left))) {
        written = write_line(output, start, (size_t)(end - start), true);
        left -= (size_t)(end + 1 - start);
        start = end + 1;
    }
    if (written && left == sizeof output->line) {
        written = write_line(output, start, left, false);
        left = 0;
    }
    memmove(output->line, start, left);
    output->used = left;
    return written;
}

static void close_pipe(struct output *output)
{
    close(output->pipe);
    output->pipe = -1;
}

void output_pass(struct output *output)
{
    ssize_t got = read(output->pipe, output->line + output->used,
                       sizeof output->line - output->used);

    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got > 0) {
        output->used += (size_t)got;
        if (!write_lines(output))
            close_pipe(output);
        return;
    }
    if (output->used || output->within)
        write_line(output, output->line, output->used, true);
    output->used = 0;
    close_pipe(output);
}

void output_end(struct output *output)
{
    struct pollfd poller = { .fd = output->pipe, .events = POLLIN };

    while (output->pipe >= 0 && poll(&poller, 1, 0) > 0)
        output_pass(output);
    if (output->pipe < 0)
        return;
    /* Something that outlived the rank holds the other end. */
    if (output->used || output->within)
        write_line(output, output->line, output->used, true);
    close_pipe(output);
}
