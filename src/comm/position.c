/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/position.h"

#include "base/log.h"
#include "base/status.h"
#include "base/cpu_list.h"
#include "topology/plan.h"
#include "topology/topology_source.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GPU, BIND };

const struct setting position_settings[] = {
    [GPU] = { "PEAL_GPU", NULL, "the GPU that this rank stays beside, as number or PCI address; or a "
              "list, of which the ranks of a host take one each in their order (default: one each, of "
              "all)", "CUDA_VISIBLE_DEVICES" },
    [BIND] = { "PEAL_BIND", "0", "1: ranks run on the cores beside their GPU; 0: where they were "
               "started", NULL },
    { NULL, NULL, NULL, NULL }
};

/* ---- Which GPU --------------------------------------------------------------------- */

static int words_in(const char *list)
{
    int n = 1;

    for (const char *c = list; *c; c++)
        n += *c == ',';
    return n;
}

/* The word of a list with this number, counted round. */
static bool word_of(const char *list, int number, char *word, size_t bytes)
{
    for (number %= words_in(list); number > 0; number--)
        list = strchr(list, ',') + 1;
    snprintf(word, bytes, "%.*s", (int)strcspn(list, ","), list);
    return *word != '\0';
}

static int gpu_named(const struct topology *t, const char *word)
{
    char *end;
    long number = strtol(word, &end, 10);
    uint64_t bus;
    int node;

    if (*word && !*end) {
        for (int i = 0; i < t->nnodes; i++)
            if (t->nodes[i].kind == TOPOLOGY_GPU && t->nodes[i].host == 0 &&
                t->nodes[i].number == number)
                return i;
        return -1;
    }
    node = topology_bus_parse(word, &bus) ? topology_find_bus(t, 0, bus) : -1;
    return node >= 0 && t->nodes[node].kind == TOPOLOGY_GPU ? node : -1;
}

static int gpu_find(const struct topology *t, int local, int *gpu)
{
    int ngpus = topology_count(t, TOPOLOGY_GPU, 0);
    const char *origin, *list = setting_text(&position_settings[GPU], &origin);
    char word[64];

    *gpu = -1;
    if (!list || !*list) {
        if (ngpus > 0)
            *gpu = topology_nth(t, TOPOLOGY_GPU, 0, local % ngpus);
        return PEAL_OK;
    }
    if (word_of(list, local, word, sizeof word))
        *gpu = gpu_named(t, word);
    /* An alias may hold what others understand: identifiers, slices, -1. */
    if (*gpu < 0 && !strcmp(origin, "environment"))
        return status_fail(PEAL_ERR_ARGUMENT, "PEAL_GPU: \"%s\" is no GPU of this machine: want a "
                           "number or a PCI address, as peal-info --topology shows them (%d GPUs)",
                           word, ngpus);
    return PEAL_OK;
}

int position_turns(const struct topology *t, int *gpus, int most, int *n)
{
    const char *list = setting_text(&position_settings[GPU], NULL);
    int turns = list && *list ? words_in(list) : topology_count(t, TOPOLOGY_GPU, 0), status;

    *n = 0;
    for (int i = 0; i < turns && turns <= most; i++) {
        if ((status = gpu_find(t, i, &gpus[i])))
            return status;
        if (gpus[i] < 0)               /* an alias that is not understood */
            return PEAL_OK;
    }
    *n = turns <= most ? turns : 0;
    return PEAL_OK;
}

/* ---- What is near -------------------------------------------------------------------- */

/* "0-3,8"; false: it names none. */
static bool cores_parse(const char *list, cpu_set_t *cores)
{
    uint32_t words[CPU_LIST_WORDS];

    CPU_ZERO(cores);
    if (!cpu_list_read(list, words))
        return false;
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (cpu_list_has(words, i))
            CPU_SET((size_t)i, cores);
    return CPU_COUNT(cores) > 0;
}

/* The NUMA node that has all of them. */
static int numa_of_cores(const struct topology *t, const cpu_set_t *cores)
{
    for (int i = 0; cores && i < t->nnodes; i++) {
        cpu_set_t here, both;

        if (t->nodes[i].kind != TOPOLOGY_NUMA || t->nodes[i].host != 0 ||
            !cores_parse(t->nodes[i].cpus, &here))
            continue;
        CPU_AND(&both, &here, cores);
        if (CPU_EQUAL(&both, cores))
            return i;
    }
    return -1;
}

static void near_add(struct position *p, const char *name)
{
    size_t used = strlen(p->near);

    if (!setting_lists(p->near, name, NULL) && used + strlen(name) + 2 < sizeof p->near)
        snprintf(p->near + used, sizeof p->near - used, "%s%s", used ? "," : "", name);
}

static bool is_port(const struct topology_node *node)
{
    return node->kind == TOPOLOGY_PORT && node->host == 0;
}

/* The port that the plan gives to the GPU, and those as near that it gives to none. */
static int near_gpu(const struct topology *t, struct position *p)
{
    int ngpus = topology_count(t, TOPOLOGY_GPU, 0), status = PEAL_ERR_MEMORY, mine = -1;
    struct topology_path *to = calloc((size_t)t->nnodes, sizeof *to);
    int *gpus = calloc((size_t)ngpus, 2 * sizeof *gpus), *ports = gpus ? gpus + ngpus : NULL;

    for (int i = 0, n = 0; gpus && i < t->nnodes; i++)
        if (t->nodes[i].kind == TOPOLOGY_GPU && t->nodes[i].host == 0)
            gpus[n++] = i;
    if (to && gpus && !(status = plan_ports(t, gpus, ngpus, ports)))
        status = paths_from(t, p->gpu, to);
    for (int i = 0; i < ngpus && !status; i++)
        if (gpus[i] == p->gpu)
            mine = ports[i];
    for (int i = 0; i < t->nnodes && !status && mine >= 0; i++) {
        bool taken = false;

        for (int k = 0; k < ngpus; k++)
            taken |= ports[k] == i;
        if (is_port(&t->nodes[i]) &&
            (i == mine || (!taken && to[i].class == to[mine].class &&
                           t->nodes[i].speed >= t->nodes[mine].speed)))
            near_add(p, t->nodes[i].name);
    }
    free(to);
    free(gpus);
    return status ? status_fail(status, "no memory to find the devices near a GPU") : PEAL_OK;
}

static void near_cores(const struct topology *t, struct position *p)
{
    for (int i = 0; i < t->nnodes; i++)
        if (is_port(&t->nodes[i]) && topology_numa(t, i) == p->numa)
            near_add(p, t->nodes[i].name);
}

int position_find(const struct topology *t, int local, const cpu_set_t *cores,
                  struct position *position)
{
    int status;

    *position = (struct position){ .gpu = -1, .numa = -1 };
    if ((status = gpu_find(t, local, &position->gpu)))
        return status;
    position->numa = position->gpu >= 0 ? topology_numa(t, position->gpu)
                                        : numa_of_cores(t, cores);
    if (position->gpu >= 0)
        return near_gpu(t, position);
    if (position->numa >= 0 && topology_count(t, TOPOLOGY_NUMA, 0) > 1)
        near_cores(t, position);
    return PEAL_OK;
}

/* ---- This machine ---------------------------------------------------------------------- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct topology here;           /* for the life of the process */
static int  here_status;
static char here_why[STATUS_TEXT];

static void look(void)
{
    char source[256];

    if ((here_status = topology_here(&here, source, sizeof source)))
        snprintf(here_why, sizeof here_why, "%s", status_text());
}

int position_machine(const struct topology **t)
{
    pthread_once(&once, look);
    *t = &here;
    return here_status ? status_fail(here_status, "%s", here_why) : PEAL_OK;
}

int position_here(int local, struct position *position)
{
    const struct topology *t;
    cpu_set_t cores;
    bool known = sched_getaffinity(0, sizeof cores, &cores) == 0;
    int status = position_machine(&t);

    return status ? status : position_find(t, local, known ? &cores : NULL, position);
}

bool position_binds(void)
{
    return setting_flag(&position_settings[BIND]);
}

int position_bind(int local)
{
    struct position position;
    cpu_set_t cores;
    int status;

    if ((status = position_here(local, &position)))
        return status;
    if (position.gpu < 0 || position.numa < 0 ||
        !cores_parse(here.nodes[position.numa].cpus, &cores))
        log_warn("PEAL_BIND=1: %s; this rank runs where it was started", position.gpu < 0 ?
                 "no GPU is known here (peal-info --topology)" :
                 "it is not known which cores are beside the GPU");
    else if (sched_setaffinity(0, sizeof cores, &cores) != 0)
        log_warn("PEAL_BIND=1: binding to cores %s, beside %s: %m; are they taken from this "
                 "process (taskset, cgroup)?", here.nodes[position.numa].cpus,
                 here.nodes[position.gpu].name);
    else
        log_info("bound to cores %s, beside %s", here.nodes[position.numa].cpus,
                 here.nodes[position.gpu].name);
    return PEAL_OK;
}
