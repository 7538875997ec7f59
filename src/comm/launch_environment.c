/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/launch_environment.h"

#include "base/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 61440 to 65535: above 60999, the end of Linux' default ip_local_port_range. */
enum { PORT_FIRST = 61440, PORTS = 4096 };

const char *launch_variable(const char *name)
{
    const char *value = secure_getenv(name);

    return value && *value ? value : NULL;
}

bool launch_number(const char *text, long low, long high, int *value)
{
    char *end;
    long number;

    if (!text || *text < '0' || *text > '9')
        return false;
    errno = 0;
    number = strtol(text, &end, 10);
    if (errno || *end || number < low || number > high)
        return false;
    *value = (int)number;
    return true;
}

const char *launch_found(const struct launcher *launcher, char *text, size_t bytes)
{
    size_t used = 0;

    snprintf(text, bytes, "nothing");
    for (const char *const *name = launcher->variables; *name && used < bytes; name++) {
        /* Also PEAL_* ones: this only shows them. */
        const char *value = launch_variable(*name);

        if (value)
            used += (size_t)snprintf(text + used, bytes - used, "%s%s=%.80s", used ? " " : "",
                                     *name, value);
    }
    return text;
}

int launch_unclear(const struct launcher *launcher, const char *problem, const char *advice)
{
    char found[640];

    return status_fail(PEAL_ERR_LAUNCH, "launcher %s: %s.\nLooked for: %s.\nFound: %s.\n%s",
                       launcher->name, problem, launcher->looks_for,
                       launch_found(launcher, found, sizeof found), advice);
}

int launch_place(const struct launcher *launcher, const char *rank_name, const char *rank,
                 const char *size_name, const char *size, struct job_options *options)
{
    char problem[256];
    int r = 0, n = 0;

    if (!rank || !size) {
        snprintf(problem, sizeof problem, "%s is not set", rank ? size_name : rank_name);
    } else if (!launch_number(size, 1, LAUNCH_RANKS, &n)) {
        snprintf(problem, sizeof problem, "%s=%.80s is not a number of ranks", size_name, size);
    } else if (!launch_number(rank, 0, n - 1, &r)) {
        snprintf(problem, sizeof problem, "%s=%.80s is not a rank from 0 to %d (%s is %d)",
                 rank_name, rank, n - 1, size_name, n);
    } else {
        options->rank = r;
        options->nranks = n;
        return PEAL_OK;
    }
    return launch_unclear(launcher, problem,
                          "Set it, or PEAL_RANK, PEAL_SIZE and PEAL_ROOT, or PEAL_LAUNCHER=none "
                          "to run as a lone rank.");
}

/* FNV-1a with the terminating zero, so that "a","b" is not "ab"; never 0. */
uint64_t launch_mix(uint64_t seed, const char *text)
{
    uint64_t hash = seed ? seed : 0xcbf29ce484222325u;
    const unsigned char *byte = (const unsigned char *)(text ? text : "");

    do {
        hash ^= *byte;
        hash *= 0x100000001b3u;
    } while (*byte++);
    return hash ? hash : 1;
}

int launch_port(uint64_t seed, int taken)
{
    int offset = (int)((seed ^ seed >> 32) % PORTS);

    if (PORT_FIRST + offset == taken)
        offset = (offset + 1) % PORTS;
    return PORT_FIRST + offset;
}

bool launch_root_valid(const char *root)
{
    const char *colon = strrchr(root, ':');
    int port;

    if (!colon || colon == root || strlen(root) >= sizeof ((struct job_options *)0)->root ||
        !launch_number(colon + 1, 1, 65535, &port))
        return false;
    if (*root == '[')
        return colon[-1] == ']' && colon - root > 2 &&
               strspn(root + 1, "0123456789abcdefABCDEF:.%_-ghijklmnopqrstuvwxyz") ==
                   (size_t)(colon - root - 2);
    return strspn(root, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
           (size_t)(colon - root);
}

static int root_from_host(const struct launcher *launcher, const char *host, int port,
                          char *root, size_t bytes)
{
    const char *text = setting_text(&launch_settings[LAUNCH_ROOT_PORT], NULL);
    bool v6 = strchr(host, ':') && host[0] != '[';
    int used;

    if (text && !launch_number(text, 1, 65535, &port))
        return status_fail(PEAL_ERR_LAUNCH, "PEAL_ROOT_PORT=%.80s is not a port (1 to 65535)",
                           text);
    used = snprintf(root, bytes, v6 ? "[%s]:%d" : "%s:%d", host, port);
    if (used < 0 || (size_t)used >= bytes || !launch_root_valid(root))
        return launch_unclear(launcher, "the host of rank 0 is not a usable host name or address",
                              "Set PEAL_ROOT=host:port on all ranks.");
    return PEAL_OK;
}

int launch_meet(const struct launcher *launcher, const char *host, int port,
                const char *advice, struct job_options *options)
{
    const char *root = setting_text(&launch_settings[LAUNCH_ROOT], NULL);
    char made[sizeof options->root];
    int status;

    if (options->nranks == 1)
        return PEAL_OK;
    if (root && !launch_root_valid(root))
        return status_fail(PEAL_ERR_LAUNCH, "PEAL_ROOT=%.80s is not host:port or [v6]:port with a "
                           "port of 1 to 65535", root);
    if (!root && !host)
        return launch_unclear(launcher, "the address of rank 0 is not known", advice);
    if (!root) {
        status = root_from_host(launcher, host, port, made, sizeof made);
        if (status != PEAL_OK)
            return status;
        root = made;
    }
    status = launch_secret(options->secret);
    if (status != PEAL_OK)
        return status_prefix(status, "launcher %s, rank %d of %d: ", launcher->name,
                             options->rank, options->nranks);
    snprintf(options->root, sizeof options->root, "%s", root);
    return PEAL_OK;
}

int launch_offer(struct job_options *options, char card[LAUNCH_CARD])
{
    int status = job_listen(options);

    if (status == PEAL_OK) {
        status = launch_card_write(options, card);
        if (status != PEAL_OK) {
            close(options->root_listener);
            options->root_listener = -1;
        }
    }
    if (status != PEAL_OK) {
        /* A channel's values have no blanks nor control characters. */
        snprintf(card, LAUNCH_CARD, "!%s", status_text());
        for (char *byte = card; *byte; byte++)
            if (*byte <= ' ' || *byte > '~' || *byte == '=')
                *byte = '_';
    }
    return status;
}

int launch_accept(const char *card, struct job_options *options)
{
    if (*card == '!')
        return status_fail(PEAL_ERR_LAUNCH, "rank 0 could not open the job: %.*s",
                           LAUNCH_CARD, card + 1);
    return launch_card_read(card, options);
}
