/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator should know of a machine, by its graph. */
#include "topology/machine.h"

#include <stdlib.h>
#include <string.h>

/* Of one host, gathered once. */
struct seen {
    const struct topology *t;
    int  ngpus, nports, nnics;
    int *numa;                         /* of each node that it hangs from, or -1 */
    int *nvlinks;                      /* of each node */
    const struct topology_link **pci;  /* of each node, up */
};

static int socket_of(const struct seen *s, int node)
{
    const struct topology_node *numa = s->numa[node] < 0 ? NULL : &s->t->nodes[s->numa[node]];

    return !numa ? -1 : numa->socket >= 0 ? numa->socket : numa->number;
}

static void look(struct seen *s, int host)
{
    for (int i = 0; i < s->t->nnodes; i++) {
        const struct topology_node *node = &s->t->nodes[i];

        /* Parents come before their children. */
        s->numa[i] = node->kind == TOPOLOGY_NUMA ? i
                   : node->parent >= 0 && node->parent < i ? s->numa[node->parent] : -1;
        if (node->host != host)
            continue;
        s->ngpus += node->kind == TOPOLOGY_GPU;
        s->nports += node->kind == TOPOLOGY_PORT;
        s->nnics += node->kind == TOPOLOGY_NIC;
    }
    for (int i = 0; i < s->t->nlinks; i++) {
        const struct topology_link *link = &s->t->links[i];

        if (link->medium == MEDIUM_NVLINK || link->medium == MEDIUM_XGMI) {
            s->nvlinks[link->a] += link->lanes;
            s->nvlinks[link->b] += link->lanes;
        } else if (link->medium == MEDIUM_PCI) {
            s->pci[link->b] = link;
        }
    }
}

/* A port that is as fast as the fastest, about, is there for GPUs; the others are for people. */
static void judge_sockets(const struct seen *s, struct topology *t, int host)
{
    double fastest = 0;

    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].kind == TOPOLOGY_PORT && t->nodes[i].host == host &&
            t->nodes[i].speed > fastest)
            fastest = t->nodes[i].speed;
    for (int i = 0; i < t->nnodes && s->ngpus; i++) {
        bool beside = false;

        if (t->nodes[i].kind != TOPOLOGY_PORT || t->nodes[i].host != host ||
            t->nodes[i].speed < fastest / 2)
            continue;
        for (int k = 0; k < t->nnodes && !beside; k++)
            beside = t->nodes[k].kind == TOPOLOGY_GPU && t->nodes[k].host == host &&
                     socket_of(s, k) == socket_of(s, i);
        if (!beside)
            topology_note(t, true, "port %s (%s) is on %s %d, where no GPU is: all that GPUs send "
                          "by it crosses the processors' links; another slot would serve better",
                          t->nodes[i].name, t->nodes[t->nodes[i].parent].name,
                          s->numa[i] >= 0 && t->nodes[s->numa[i]].socket >= 0 ? "socket" :
                          "NUMA node", socket_of(s, i));
    }
}

/* GPUs of one model should have what the best of them has. */
static void judge_gpus(const struct seen *s, struct topology *t, int host)
{
    for (int i = 0; i < t->nnodes; i++) {
        const struct topology_node *gpu = &t->nodes[i];
        int links = 0, lanes = 0;

        if (gpu->kind != TOPOLOGY_GPU || gpu->host != host)
            continue;
        for (int k = 0; k < t->nnodes; k++) {
            const struct topology_node *other = &t->nodes[k];

            if (other->kind != TOPOLOGY_GPU || other->host != host ||
                other->pci_vendor != gpu->pci_vendor || other->pci_device != gpu->pci_device ||
                other->capability != gpu->capability)
                continue;
            links = s->nvlinks[k] > links ? s->nvlinks[k] : links;
            if (s->pci[k] && s->pci[k]->lanes > lanes)
                lanes = s->pci[k]->lanes;
        }
        if (links && !s->nvlinks[i])
            topology_note(t, true, "%s has no NVLink (XGMI) in use, others like it have %d: it is "
                          "left to PCI; look at its bridge, the fabric manager and its log", gpu->name,
                          links);
        else if (s->nvlinks[i] < links)
            topology_note(t, true, "%s has %d NVLinks (XGMI) in use, others like it have %d",
                          gpu->name, s->nvlinks[i], links);
        if (s->pci[i] && s->pci[i]->lanes && s->pci[i]->lanes < lanes)
            topology_note(t, true, "%s is joined by %d PCI lanes, others like it by %d: look at its "
                          "slot, riser or cable", gpu->name, s->pci[i]->lanes, lanes);
    }
}

void machine_judge(struct topology *t, int host)
{
    size_t n = (size_t)t->nnodes + 1;
    struct seen s = { .t = t, .numa = malloc(n * sizeof *s.numa),
                      .nvlinks = calloc(n, sizeof *s.nvlinks), .pci = calloc(n, sizeof *s.pci) };

    if (!t->failed && s.numa && s.nvlinks && s.pci) {
        look(&s, host);
        judge_sockets(&s, t, host);
        judge_gpus(&s, t, host);
    }
    free(s.numa);
    free(s.nvlinks);
    free(s.pci);
}
