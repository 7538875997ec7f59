/* SPDX-License-Identifier: BSD-3-Clause */
/* A Kubernetes indexed Job.  The size is not in a pod's environment: the user
 * sets WORLD_SIZE.  Pod 0 is "<job>-0.<subdomain>" if the pod template names
 * the subdomain of a headless service; our own name tells the rest. */
#include "comm/launch_environment.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const variables[] = { "JOB_COMPLETION_INDEX", "WORLD_SIZE", "HOSTNAME",
                                         "MASTER_ADDR", "PEAL_ROOT", "PEAL_ROOT_PORT", NULL };

static bool present(void)
{
    return launch_variable("JOB_COMPLETION_INDEX") && launch_variable("WORLD_SIZE");
}

static bool partial(void)
{
    return launch_variable("JOB_COMPLETION_INDEX");
}

/* Our full name, from /etc/hosts of the pod: no request leaves the host. */
static bool full_name(char *name, size_t bytes)
{
    struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM }, *found = NULL;
    char host[256];
    bool dotted = false;

    if (gethostname(host, sizeof host) != 0)
        return false;
    host[sizeof host - 1] = 0;
    if (getaddrinfo(host, NULL, &hints, &found) == 0 && found && found->ai_canonname &&
        strchr(found->ai_canonname, '.') && strlen(found->ai_canonname) < bytes) {
        snprintf(name, bytes, "%s", found->ai_canonname);
        dotted = true;
    }
    if (found)
        freeaddrinfo(found);
    return dotted;
}

/* "train-3.svc.x" for index 3 becomes "train-0.svc.x". */
static bool first_pod(const char *index, char *host, size_t bytes)
{
    char name[256];
    const char *dot;
    size_t label, tail = strlen(index);

    if (!full_name(name, sizeof name))
        return false;
    dot = strchr(name, '.');
    label = (size_t)(dot - name);
    if (label < tail + 2 || name[label - tail - 1] != '-' ||
        memcmp(name + label - tail, index, tail) != 0)
        return false;
    return (size_t)snprintf(host, bytes, "%.*s0%s", (int)(label - tail), name, dot) < bytes;
}

static int describe(struct job_options *options, uint64_t deadline)
{
    const char *index = launch_variable("JOB_COMPLETION_INDEX");
    const char *host = launch_variable("MASTER_ADDR");
    char pod[256];
    int status;

    (void)deadline;
    status = launch_place(&launch_kubernetes, "JOB_COMPLETION_INDEX", index, "WORLD_SIZE",
                          launch_variable("WORLD_SIZE"), options);
    if (status != PEAL_OK)
        return status;
    if (options->nranks > 1 && !host && first_pod(index, pod, sizeof pod))
        host = pod;
    return launch_meet(&launch_kubernetes, host, launch_port(launch_mix(0, "kubernetes"), 0),
                       "Make a headless service and name it as `subdomain` in the pod template, "
                       "or set MASTER_ADDR or PEAL_ROOT=host:port in all pods.", options);
}

const struct launcher launch_kubernetes = {
    .name = "kubernetes",
    .looks_for = "JOB_COMPLETION_INDEX, WORLD_SIZE (set it to the job's completions)",
    .present = present,
    .partial = partial,
    .describe = describe,
    .variables = variables,
};
