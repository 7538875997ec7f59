/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/job_state.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    IN_ROOM    = 2 * (CONTROL_HEADER + CONTROL_MOST),
    OUT_ROOM   = 4096,
    OUT_MOST   = 1 << 20,          /* beyond the table: the neighbour is frozen */
    OUT_POLITE = 64 << 10          /* beyond it, what can wait is dropped */
};

struct branch *branch_new(const struct job *job, int fd, int peer, bool is_parent)
{
    struct branch *branch = calloc(1, sizeof(*branch));

    if (!branch)
        return NULL;
    branch->fd = -1;
    branch->peer = peer;
    branch->is_parent = is_parent;
    branch->in_room = IN_ROOM;
    if (is_parent)
        branch->in_room += table_most(job->options.nranks);
    branch->in = malloc(branch->in_room);
    branch->out_room = OUT_ROOM;
    branch->out = malloc(branch->out_room);
    if (!branch->in || !branch->out) {
        branch_free(branch);
        return NULL;
    }
    branch->fd = fd;
    branch->heard_at = branch->said_at = clock_now();
    return branch;
}

void branch_end(struct branch *branch)
{
    if (branch->fd >= 0)
        close(branch->fd);
    branch->fd = -1;
    branch->over = true;
}

void branch_free(struct branch *branch)
{
    if (!branch)
        return;
    branch_end(branch);
    free(branch->in);
    free(branch->out);
    free(branch);
}

void branch_lost(struct job *job, struct branch *branch, const char *how)
{
    /* Before the table came we do not know yet whether this is a loss. */
    bool harmless = job->closing || job->goodbye || branch->parted || job->meeting;
    int peer = branch->peer;

    if (branch->over)
        return;
    branch_end(branch);
    if (!harmless)
        tree_dead(job, peer, how);
}

/* ---- Out -------------------------------------------------------------- */

void branch_shut(struct branch *branch)
{
    if (branch->over || branch->shut || branch->out_from < branch->out_to)
        return;
    shutdown(branch->fd, SHUT_WR);
    branch->shut = true;
}

static void flush(struct job *job, struct branch *branch)
{
    while (!branch->over && branch->out_from < branch->out_to) {
        ssize_t n = send(branch->fd, branch->out + branch->out_from,
                         branch->out_to - branch->out_from, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0)
            branch->out_from += (size_t)n;
        else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        else if (n < 0 && errno != EINTR)
            return;                /* reading will find out why */
    }
    if (!branch->over && job->closing)
        branch_shut(branch);
}

static bool make_room(struct branch *branch, size_t count)
{
    size_t pending = branch->out_to - branch->out_from, room = branch->out_room;
    unsigned char *larger;

    memmove(branch->out, branch->out + branch->out_from, pending);
    branch->out_from = 0;
    branch->out_to = pending;
    while (room < pending + count)
        room *= 2;
    if (room == branch->out_room)
        return true;
    larger = realloc(branch->out, room);
    if (!larger)
        return false;
    branch->out = larger;
    branch->out_room = room;
    return true;
}

void branch_say(struct job *job, struct branch *branch, const unsigned char *bytes,
                size_t count, bool droppable)
{
    size_t pending = branch->out_to - branch->out_from;
    size_t most = droppable ? OUT_POLITE : OUT_MOST + job->table_bytes;

    if (branch->over || branch->shut)
        return;
    if (pending + count > most || !make_room(branch, count)) {
        if (!droppable)
            log_warn("cannot tell rank %d: it does not read", branch->peer);
        return;
    }
    memcpy(branch->out + branch->out_to, bytes, count);
    branch->out_to += count;
    if (pending == 0)
        flush(job, branch);
}

void branch_tell(struct job *job, struct branch *branch, const struct control *control)
{
    unsigned char bytes[CONTROL_HEADER + CONTROL_MOST];
    size_t count = control_write(control, bytes);

    branch_say(job, branch, bytes, count,
               control->type == CONTROL_PROBE || control->type == CONTROL_BEHIND ||
                   control->type == CONTROL_BEAT);
}

/* ---- In --------------------------------------------------------------- */

/* The whole messages among what came; false: nonsense. */
static bool digest(struct job *job, struct branch *branch)
{
    size_t at = 0;

    while (branch->in_have - at >= CONTROL_HEADER && !branch->over) {
        const unsigned char *body = branch->in + at + CONTROL_HEADER;
        struct control control;
        enum control_type type;
        size_t length;

        if (control_read_header(branch->in + at, job->options.nranks, &type, &length) ||
            length > branch->in_room - CONTROL_HEADER)
            return false;
        if (branch->in_have - at - CONTROL_HEADER < length)
            break;
        if (job->closing) {
            /* Nothing concerns us any more; reading on lets our words arrive. */
        } else if (type == CONTROL_TABLE) {
            rendezvous_table(job, branch, body, length);
        } else if (control_read(type, body, length, job->options.nranks, &control)) {
            return false;
        } else {
            tree_handle(job, &control, branch);
        }
        at += CONTROL_HEADER + length;
    }
    branch->in_have -= at;
    memmove(branch->in, branch->in + at, branch->in_have);
    return true;
}

/* After the table, large room is not needed any more. */
static void shrink(const struct job *job, struct branch *branch)
{
    unsigned char *smaller;

    if (job->meeting || branch->in_room == IN_ROOM || branch->in_have > IN_ROOM)
        return;
    smaller = realloc(branch->in, IN_ROOM);
    if (smaller) {
        branch->in = smaller;
        branch->in_room = IN_ROOM;
    }
}

static void hear(struct job *job, struct branch *branch)
{
    ssize_t n = recv(branch->fd, branch->in + branch->in_have,
                     branch->in_room - branch->in_have, MSG_DONTWAIT);
    char how[128];

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n < 0 && errno != ECONNRESET && errno != EPIPE) {
        snprintf(how, sizeof(how), "cannot be reached any more: %s", strerror(errno));
        branch_lost(job, branch, how);
    } else if (n <= 0) {
        branch_lost(job, branch, "died");
    } else {
        branch->heard_at = clock_now();
        branch->in_have += (size_t)n;
        if (!digest(job, branch))
            branch_lost(job, branch, "broke the control protocol");
        else if (!branch->over)
            shrink(job, branch);
    }
}

short branch_events(const struct branch *branch)
{
    return branch->out_from < branch->out_to ? POLLIN | POLLOUT : POLLIN;
}

void branch_ready(struct job *job, struct branch *branch, short events)
{
    if (events & POLLOUT)
        flush(job, branch);
    if (!branch->over && (events & (POLLIN | POLLHUP | POLLERR)))
        hear(job, branch);
}
