/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine as an indented tree, with what each link carries; and as a summary. */
#include "topology/show.h"

#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 20 };                 /* levels that are indented */

static int depth_of(const struct topology *t, int node)
{
    int depth = 0;

    while ((node = t->nodes[node].parent) >= 0 && depth < DEEPEST)
        depth++;
    return depth;
}

/* "PCI x16 12 GB/s" of the link towards the CPU. */
static void put_uplink(const struct topology *t, int node, FILE *out)
{
    int link = show_uplink(t, node);

    if (link < 0)
        return;
    fprintf(out, "  %s", t->links[link].medium == MEDIUM_C2C ? "C2C" :
            t->links[link].medium == MEDIUM_LANE ? "port" : "PCI");
    if (t->links[link].lanes > 0 && t->links[link].medium != MEDIUM_LANE)
        fprintf(out, " x%d", t->links[link].lanes);
    fprintf(out, " %.4g GB/s", t->links[link].bandwidth);
}

static void put_fast_links(const struct show *s, int gpu, FILE *out)
{
    const struct topology *t = &s->host;
    char label[SHOW_LABEL];
    double bandwidth;
    int n = show_fast_links(t, gpu, &bandwidth);
    const char *between = "";

    for (int i = t->first[gpu]; i < t->first[gpu + 1]; i++) {
        const struct topology_link *link = &t->links[t->incident[i]];

        if (link->medium == MEDIUM_C2C)
            fprintf(out, "  C2C %.4g GB/s", link->bandwidth);
    }
    if (!n)
        return;
    for (int i = t->first[gpu]; i < t->first[gpu + 1]; i++) {
        const struct topology_link *link = &t->links[t->incident[i]];

        if (link->medium != MEDIUM_NVLINK && link->medium != MEDIUM_XGMI)
            continue;
        show_label(s, link->a + link->b - gpu, label);
        if (!*between)
            fprintf(out, "  %s ", link->medium == MEDIUM_XGMI ? "XGMI" : "NVLink");
        fputs(between, out);
        if (link->lanes > 0)
            fprintf(out, "%dx ", link->lanes);
        show_text(out, SHOW_PLAIN, label);
        between = ", ";
    }
    fprintf(out, ": %.4g GB/s", bandwidth);
}

static void put_numa(const struct topology_node *n, FILE *out)
{
    if (*n->arch || *n->vendor)
        show_printf(out, SHOW_PLAIN, "  %s%s%s", n->arch, *n->arch && *n->vendor ? " " : "",
                    n->vendor);
    if (n->socket >= 0)
        fprintf(out, "  socket %d", n->socket);
    if (*n->cpus)
        show_printf(out, SHOW_PLAIN, "  cores %s", n->cpus);
}

static void put_node(const struct show *s, int node, FILE *out)
{
    const struct topology *t = &s->host;
    const struct topology_node *n = &t->nodes[node];
    char label[SHOW_LABEL], bus[20];

    show_label(s, node, label);
    show_text(out, SHOW_PLAIN, label);
    if (n->kind == TOPOLOGY_PORT)
        show_printf(out, SHOW_PLAIN, " %s", n->name);
    if ((n->kind == TOPOLOGY_GPU || n->kind == TOPOLOGY_NIC) && n->bus != TOPOLOGY_NO_BUS) {
        topology_bus_print(n->bus, bus);
        fprintf(out, " %s", bus);
    }
    if (*n->model)
        show_printf(out, SHOW_PLAIN, "  %s", n->model);
    if (n->kind == TOPOLOGY_NUMA)
        put_numa(n, out);
    put_uplink(t, node, out);
    if (n->kind == TOPOLOGY_GPU)
        put_fast_links(s, node, out);
    if (n->direct >= 0)
        fputs(n->direct ? "  GPUDirect" : "  no GPUDirect", out);
    putc('\n', out);
}

/* One line, if each two are joined alike. */
static void put_between_numas(const struct show *s, FILE *out)
{
    const struct topology *t = &s->host;
    int numas = topology_count(t, TOPOLOGY_NUMA, -1), links = 0;
    const struct topology_link *any = NULL;
    bool alike = true;
    char a[SHOW_LABEL], b[SHOW_LABEL];

    for (int i = 0; i < t->nlinks; i++)
        if (t->links[i].medium == MEDIUM_SMP) {
            any = any ? any : &t->links[i];
            alike = alike && t->links[i].bandwidth == any->bandwidth &&
                    t->links[i].latency == any->latency;
            links++;
        }
    if (any && alike && numas > 2 && links == numas * (numas - 1) / 2) {
        fprintf(out, "each two NUMA nodes  %.4g GB/s, %.3g us\n", any->bandwidth, any->latency);
        return;
    }
    for (int i = 0; i < t->nlinks; i++)
        if (t->links[i].medium == MEDIUM_SMP) {
            show_label(s, t->links[i].a, a);
            show_label(s, t->links[i].b, b);
            show_printf(out, SHOW_PLAIN, "%s - %s  %.4g GB/s, %.3g us\n", a, b,
                        t->links[i].bandwidth, t->links[i].latency);
        }
}

/* What is not in the tree: links between NUMA nodes, NVSwitches, rails. */
static void put_beside(const struct show *s, FILE *out)
{
    const struct topology *t = &s->host;

    put_between_numas(s, out);
    for (int i = 0; i < t->nnodes; i++) {
        const struct topology_node *n = &t->nodes[i];
        int joined = t->first[i + 1] - t->first[i];

        if (n->kind == TOPOLOGY_NVSWITCH && n->host < 0 && s->fabric_hosts > 1)
            show_printf(out, SHOW_PLAIN, "%s  joins %d GPUs here, and those of %d more hosts\n",
                        n->name, joined, s->fabric_hosts - 1);
        else if (n->kind == TOPOLOGY_NVSWITCH)
            show_printf(out, SHOW_PLAIN, "%s  joins %d GPUs\n", n->name, joined);
        else if (n->kind == TOPOLOGY_RAIL)
            show_printf(out, SHOW_PLAIN, "%s  joins %d port%s here\n", n->name, joined,
                        joined == 1 ? "" : "s");
    }
}

void show_tree(const struct show *s, FILE *out)
{
    int *order = show_order(&s->host);

    if (!order) {
        fputs("(no memory for the tree)\n", out);
        return;
    }
    for (int i = 0; order[i] >= 0; i++) {
        fprintf(out, "%*s", 2 * depth_of(&s->host, order[i]), "");
        put_node(s, order[i], out);
    }
    free(order);
    put_beside(s, out);
}

/* "3 switches". */
static void put_count(const struct topology *t, enum topology_kind kind, const char *one,
                      const char *many, const char *between, FILE *out)
{
    int n = topology_count(t, kind, -1);

    fprintf(out, "%s%d %s", between, n, n == 1 ? one : many);
}

void show_counts(const struct show *s, const char *between, FILE *out)
{
    const struct topology *t = &s->host;

    put_count(t, TOPOLOGY_GPU, "GPU", "GPUs", "", out);
    put_count(t, TOPOLOGY_PORT, "NIC port", "NIC ports", ", ", out);
    put_count(t, TOPOLOGY_NUMA, "NUMA node", "NUMA nodes", ", ", out);
    put_count(t, TOPOLOGY_SWITCH, "PCI switch", "PCI switches", ", ", out);
    if (topology_count(t, TOPOLOGY_NVSWITCH, -1))
        fputs(", NVSwitch", out);
    if (s->hosts > 1 && s->alike == s->hosts)
        fprintf(out, "%sOne of %d hosts, which are alike.", between, s->hosts);
    else if (s->hosts > 1)
        fprintf(out, "%sThe first of %d hosts; %d have as many of everything.", between, s->hosts,
                s->alike);
}

void show_summary(const struct show *s, FILE *out)
{
    show_printf(out, SHOW_PLAIN, "%s", s->source);
    if (*s->host.hosts[0].name)
        show_printf(out, SHOW_PLAIN, ", host %s", s->host.hosts[0].name);
    fputs(": ", out);
    show_counts(s, "\n", out);
    putc('\n', out);
}
