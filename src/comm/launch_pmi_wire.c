/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/launch_pmi_wire.h"

#include "base/clock.h"
#include "base/status.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Wait for the socket; `request` names what we are about, for the error. */
static int wait_for(struct pmi_wire *wire, short events, const char *request)
{
    struct pollfd poller = { .fd = wire->fd, .events = events };
    int ready;

    do {
        int left = clock_left_ms(wire->deadline);

        ready = poll(&poller, 1, left);
        if (ready == 0 && left == 0)
            return status_fail(PEAL_ERR_TIMEOUT, "the launcher did not answer \"%s\" on PMI_FD %d "
                               "in time: did another rank fail before it got here?", request,
                               wire->fd);
    } while (ready == 0 || (ready < 0 && errno == EINTR));
    if (ready < 0)
        return status_fail(PEAL_ERR_SYSTEM, "PMI_FD %d: poll: %m", wire->fd);
    return PEAL_OK;
}

static int send_line(struct pmi_wire *wire, const char *line, size_t bytes, const char *request)
{
    while (bytes) {
        ssize_t sent = send(wire->fd, line, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent >= 0) {
            line += sent;
            bytes -= (size_t)sent;
        } else if (errno == EAGAIN) {
            int status = wait_for(wire, POLLOUT, request);

            if (status != PEAL_OK)
                return status;
        } else if (errno != EINTR) {
            return status_fail(PEAL_ERR_LAUNCH, "asking the launcher \"%s\" on PMI_FD %d: %m",
                               request, wire->fd);
        }
    }
    return PEAL_OK;
}

/* The launcher only speaks when asked, so all that comes belongs to this line. */
static int receive_line(struct pmi_wire *wire, const char *request)
{
    size_t used = 0;

    while (used == 0 || wire->line[used - 1] != '\n') {
        ssize_t got;
        int status = wait_for(wire, POLLIN, request);

        if (status != PEAL_OK)
            return status;
        got = recv(wire->fd, wire->line + used, sizeof wire->line - used, MSG_DONTWAIT);
        if (got == 0)
            return status_fail(PEAL_ERR_LAUNCH, "the launcher closed PMI_FD %d instead of "
                               "answering \"%s\": it ended, or something in this process "
                               "finalised PMI before", wire->fd, request);
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return status_fail(PEAL_ERR_LAUNCH, "waiting for the launcher's answer to \"%s\" on "
                               "PMI_FD %d: %m", request, wire->fd);
        if (got > 0 && memchr(wire->line + used, '\n', (size_t)got) &&
            wire->line[used + (size_t)got - 1] != '\n')
            return status_fail(PEAL_ERR_PROTOCOL, "the launcher said more than one line to \"%s\" "
                               "on PMI_FD %d: does another thread use PMI?", request, wire->fd);
        used += got > 0 ? (size_t)got : 0;
        if (used == sizeof wire->line && wire->line[used - 1] != '\n')
            return status_fail(PEAL_ERR_PROTOCOL, "the launcher's answer to \"%s\" on PMI_FD %d is "
                               "longer than %zu bytes", request, wire->fd, used);
    }
    wire->line[used - 1] = 0;
    if (memchr(wire->line, 0, used - 1) || memchr(wire->line, '\n', used - 1))
        return status_fail(PEAL_ERR_PROTOCOL, "the launcher's answer to \"%s\" on PMI_FD %d is not "
                           "a line of text", request, wire->fd);
    return PEAL_OK;
}

bool pmi_wire_value(const struct pmi_wire *wire, const char *key, char *value, size_t bytes)
{
    size_t length = strlen(key);

    for (const char *word = wire->line; *word; word += strspn(word, " ")) {
        size_t span = strcspn(word, " ");

        if (span > length && word[length] == '=' && memcmp(word, key, length) == 0) {
            if (span - length > bytes)
                return false;
            memcpy(value, word + length + 1, span - length - 1);
            value[span - length - 1] = 0;
            return true;
        }
        word += span;
    }
    return false;
}

int pmi_wire_ask(struct pmi_wire *wire, const char *answer, const char *format, ...)
{
    char line[PMI_LINE], request[32], value[128];
    va_list args;
    int used, status;

    va_start(args, format);
    used = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (used < 0 || used >= (int)sizeof line - 1)
        return status_fail(PEAL_ERR_ARGUMENT, "a PMI request of %d bytes is too long", used);
    /* Errors name the command only: a put carries the job's secret. */
    snprintf(request, sizeof request, "%.*s", (int)strcspn(line, " "), line);
    line[used++] = '\n';
    status = send_line(wire, line, (size_t)used, request);
    explicit_bzero(line, sizeof line);
    if (status == PEAL_OK)
        status = receive_line(wire, request);
    if (status != PEAL_OK)
        return status;
    if (!pmi_wire_value(wire, "cmd", value, sizeof value) || strcmp(value, answer) != 0)
        return status_fail(PEAL_ERR_PROTOCOL, "the launcher did not answer \"%s\" on PMI_FD %d "
                           "with \"cmd=%s\"", request, wire->fd, answer);
    if (pmi_wire_value(wire, "rc", value, sizeof value) && strcmp(value, "0") != 0)
        return status_fail(PEAL_ERR_LAUNCH, "the launcher refused \"%s\" on PMI_FD %d: rc=%s",
                           request, wire->fd, value);
    return PEAL_OK;
}
