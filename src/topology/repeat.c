/* SPDX-License-Identifier: BSD-3-Clause */
/* A cluster of hosts that are alike, from one of them; and the rails between hosts. */
#include "topology/topology.h"

#include "base/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Rails --------------------------------------------------------------------- */

/* How fast the lane of a port is; 0: it has none. */
static void lane_speeds(const struct topology *t, double *speed)
{
    for (int i = 0; i < t->nlinks; i++)
        if (t->links[i].medium == MEDIUM_LANE && t->links[i].b >= 0 && t->links[i].b < t->nnodes)
            speed[t->links[i].b] = t->links[i].bandwidth;
}

/* The rail of place `place`, made when the second host that has it comes. */
static int rail(struct topology *t, int *rails, int place)
{
    if (rails[place] < 0)
        rails[place] = topology_node(t, TOPOLOGY_RAIL, -1, -1, place, NULL);
    return rails[place];
}

void topology_rails(struct topology *t)
{
    int nodes = t->nnodes;
    size_t many = (size_t)nodes + (size_t)t->nhosts + 1;
    int *counted = calloc(many, sizeof *counted), *on = calloc(many, sizeof *on);
    int *rails = malloc(many * sizeof *rails);
    double *speed = calloc(many, sizeof *speed);

    if (!t->failed && !(counted && on && rails && speed))
        t->failed = status_fail(PEAL_ERR_MEMORY, "topology: no memory for rails");
    if (t->failed)
        goto out;
    lane_speeds(t, speed);
    memset(rails, 0xff, many * sizeof *rails);         /* -1 each */
    /* First how many hosts have a port of each place, then the links. */
    for (int pass = 0; pass < 2; pass++) {
        memset(counted, 0, many * sizeof *counted);
        for (int i = 0; i < nodes; i++) {
            int host = t->nodes[i].host, place;

            if (t->nodes[i].kind != TOPOLOGY_PORT || host < 0 || host >= t->nhosts)
                continue;
            place = counted[host]++;
            if (!pass)
                on[place]++;
            else if (on[place] > 1 && speed[i] > 0)
                topology_link(t, i, rail(t, rails, place), MEDIUM_NETWORK, 0, speed[i]);
        }
    }
out:
    free(counted);
    free(on);
    free(rails);
    free(speed);
}

/* ---- Hosts ------------------------------------------------------------------------ */

static void copy_node(struct topology *many, const struct topology_node *node, int host, int shift)
{
    int at = topology_node(many, node->kind, host, -1, node->number, node->name);

    if (at < 0)
        return;
    many->nodes[at] = *node;
    many->nodes[at].host = host;
    if (node->parent >= 0)
        many->nodes[at].parent = node->parent + shift;
}

/* The NVSwitch of the first host of a domain serves all of it. */
static int place_of(const struct topology *one, int node, int host, int domain)
{
    int home = domain > 1 && one->nodes[node].kind == TOPOLOGY_NVSWITCH ? host / domain * domain : host;

    return home * one->nnodes + node;
}

static void copy_host(struct topology *many, const struct topology *one, int host, int domain)
{
    char name[TOPOLOGY_TEXT];

    /* A little shorter, so that any number fits. */
    snprintf(name, sizeof name, "%.*s-%d", TOPOLOGY_TEXT - 13,
             one->hosts[0].name[0] ? one->hosts[0].name : "host", host);
    topology_host(many, name);
    for (int i = 0; i < one->nnodes; i++) {
        const struct topology_node *node = &one->nodes[i];
        struct topology_node mine = *node;
        bool spans = domain > 1 && node->kind == TOPOLOGY_NVSWITCH;

        if (spans)
            mine.parent = -1;
        if (spans)
            snprintf(mine.name, sizeof mine.name, "%.16s-%d", node->name, host / domain);
        copy_node(many, &mine, spans ? -1 : host, host * one->nnodes);
    }
    for (int i = 0; i < one->nlinks; i++) {
        struct topology_link link = one->links[i];
        int at = topology_link(many, place_of(one, link.a, host, domain),
                               place_of(one, link.b, host, domain), link.medium, link.lanes,
                               link.bandwidth);

        if (at >= 0)
            many->links[at].latency = link.latency;
    }
}

/* Places of nodes are reckoned as if every host had all of them; what a domain shares is there once. */
static int drop_spares(struct topology *t, int each, int domain)
{
    int *new = malloc((size_t)(t->nnodes + 1) * sizeof *new), kept = 0;

    if (!new)
        return t->failed = status_fail(PEAL_ERR_MEMORY, "topology: no memory for %d nodes", t->nnodes);
    for (int i = 0; i < t->nnodes; i++) {
        bool spare = t->nodes[i].host < 0 && i / each % domain;

        new[i] = spare ? -1 : kept;
        if (spare)
            continue;
        t->nodes[kept] = t->nodes[i];
        if (t->nodes[kept].parent >= 0)
            t->nodes[kept].parent = new[t->nodes[kept].parent];
        kept++;
    }
    t->nnodes = kept;
    for (int i = 0; i < t->nlinks; i++) {
        t->links[i].a = new[t->links[i].a];
        t->links[i].b = new[t->links[i].b];
    }
    free(new);
    return PEAL_OK;
}

int topology_repeat(struct topology *many, const struct topology *one, int n, int domain)
{
    int status;

    topology_init(many);
    if (one->nhosts != 1 || topology_count(one, TOPOLOGY_RAIL, -1))
        return status_fail(PEAL_ERR_ARGUMENT, "topology: only one host can be repeated, this has %d",
                           one->nhosts);
    if (n < 1 || n > TOPOLOGY_HOSTS_MOST)
        return status_fail(PEAL_ERR_ARGUMENT, "topology: %d hosts; 1 to %d can be", n,
                           TOPOLOGY_HOSTS_MOST);
    if (domain < 1 || n % domain)
        return status_fail(PEAL_ERR_ARGUMENT, "topology: %d hosts are no whole number of NVLink "
                           "domains of %d", n, domain);
    for (int i = 0; i < one->nnotes; i++)
        topology_note(many, one->notes[i].missing, "%s", one->notes[i].text);
    for (int host = 0; host < n && !many->failed; host++)
        copy_host(many, one, host, domain);
    status = many->failed;
    if (!status)
        status = drop_spares(many, one->nnodes, domain);
    if (!status && n > 1)
        topology_rails(many);
    status = status ? status : topology_finish(many);
    if (status)
        topology_free(many);
    return status;
}
