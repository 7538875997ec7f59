/* SPDX-License-Identifier: BSD-3-Clause */
/* NVLinks, XGMI and C2C of NCCL's XML.
 *
 * A GPU names what its links lead to: another GPU, which names it too (the same links: counted once); a
 * switch, by as many addresses as there are planes, or by fffffff:ff:ff.0 where the switch cannot be
 * seen; a processor (POWER9). */
#include "topology/read_nccl.h"

#include "base/status.h"
#include "topology/topology_speeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t hidden_switch = (uint64_t)0xfffffff << 32 | 0xffff00;

struct known {
    int host, node;
    uint64_t bus;
};

/* Links from one GPU to another, one direction. */
struct edge {
    int low, high;                     /* nodes */
    bool up;                           /* named by `low` */
    enum topology_medium medium;
    int count;
};

struct links {
    struct known *gpus;
    struct edge *edges;
    int *to_switch, *to_odd;           /* per node: lanes */
    int ngpus, nedges;
    bool *hidden, *coherent;           /* per host: its switch is not seen; it has C2C */
};

static int by_bus(const void *a, const void *b)
{
    const struct known *x = a, *y = b;

    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    if (x->bus != y->bus)
        return x->bus < y->bus ? -1 : 1;
    return 0;
}

static int by_ends(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;

    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    if (x->high != y->high)
        return x->high < y->high ? -1 : 1;
    if (x->medium != y->medium)
        return x->medium < y->medium ? -1 : 1;
    return x->up - y->up;
}

static double lane_speed(const struct topology *t, enum topology_medium medium, int node)
{
    int capability = t->nodes[node].capability;

    return medium == MEDIUM_XGMI ? speed_xgmi(capability) : speed_nvlink(capability);
}

static void find_gpus(struct nccl_reader *r, struct links *l)
{
    const struct topology *t = r->t;
    char bus[20];

    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].kind == TOPOLOGY_GPU && t->nodes[i].bus != TOPOLOGY_NO_BUS)
            l->gpus[l->ngpus++] = (struct known){ t->nodes[i].host, i, t->nodes[i].bus };
    qsort(l->gpus, (size_t)l->ngpus, sizeof *l->gpus, by_bus);
    for (int i = 1; i < l->ngpus && !r->status; i++)
        if (!by_bus(&l->gpus[i - 1], &l->gpus[i])) {
            topology_bus_print(l->gpus[i].bus, bus);
            r->status = status_fail(PEAL_ERR_ARGUMENT, "%s: GPU %s is there twice", r->where, bus);
        }
}

static int gpu_at(const struct links *l, int host, uint64_t bus)
{
    struct known wanted = { host, -1, bus };
    const struct known *found = bsearch(&wanted, l->gpus, (size_t)l->ngpus, sizeof wanted, by_bus);

    return found ? found->node : -1;
}

static void lost(struct nccl_reader *r, int element)
{
    const char *target = xml_value(&r->tree, element, "target");

    if (!r->lost_links++)
        snprintf(r->first_lost, sizeof r->first_lost, "%s", target);
}

static void read_link(struct nccl_reader *r, struct links *l, int i)
{
    struct topology *t = r->t;
    int gpu = r->elements[r->tree.elements[i].parent].node, peer, host = t->nodes[gpu].host;
    int count = (int)nccl_number(r, i, "count", 0, TOPOLOGY_LANES_MOST, 1);
    uint64_t class = nccl_hexadecimal(r, i, "tclass"), bus;
    const char *target = xml_value(&r->tree, i, "target");
    bool is_switch;

    if (!target || !topology_bus_parse(target, &bus)) {
        nccl_wrong(r, i, "<%s target=\"%.40s\">: no address on a PCI bus", xml_name(&r->tree, i),
                   target ? target : "");
        return;
    }
    peer = gpu_at(l, host, bus);
    is_switch = class == 0x068000 || bus == hidden_switch;
    if (!count)
        return;
    if (peer == gpu)
        r->self_links++;
    else if (peer >= 0 && is_switch)
        l->to_odd[gpu] = count > l->to_odd[gpu] ? count : l->to_odd[gpu];
    else if (peer >= 0)
        l->edges[l->nedges++] = (struct edge){
            gpu < peer ? gpu : peer, gpu < peer ? peer : gpu, gpu < peer,
            r->elements[i].what == NCCL_XGMI ? MEDIUM_XGMI : MEDIUM_NVLINK, count
        };
    else if (is_switch) {
        l->to_switch[gpu] += count;
        l->hidden[host] |= bus == hidden_switch;
    } else if (class == 0x068001)      /* NVLink to the processor */
        topology_link(t, topology_numa(t, gpu), gpu, MEDIUM_NVLINK, count,
                      count * lane_speed(t, MEDIUM_NVLINK, gpu));
    else
        lost(r, i);
}

static void read_c2c(struct nccl_reader *r, struct links *l, int i)
{
    struct topology *t = r->t;
    int gpu = r->elements[r->tree.elements[i].parent].node;
    int count = (int)nccl_number(r, i, "count", 0, TOPOLOGY_LANES_MOST, 1);
    double megabytes = nccl_real(r, i, "bw", 0);

    l->coherent[t->nodes[gpu].host] = true;
    if (count > 0 && megabytes > 0)
        topology_link(t, topology_numa(t, gpu), gpu, MEDIUM_C2C, count, megabytes * count / 1000);
}

/* The same links are named by both ends; what one end only names counts as well. */
static void join_gpus(struct nccl_reader *r, struct links *l)
{
    struct topology *t = r->t;

    qsort(l->edges, (size_t)l->nedges, sizeof *l->edges, by_ends);
    for (int i = 0, next; i < l->nedges; i = next) {
        const struct edge *e = &l->edges[i];
        int count[2] = { 0, 0 }, lanes;
        double one = lane_speed(t, e->medium, e->low), other = lane_speed(t, e->medium, e->high);

        for (next = i; next < l->nedges && l->edges[next].low == e->low &&
             l->edges[next].high == e->high && l->edges[next].medium == e->medium; next++)
            count[l->edges[next].up] += l->edges[next].count;
        lanes = count[0] > count[1] ? count[0] : count[1];
        if (count[0] && count[1] && count[0] != count[1]) {
            lanes = count[0] < count[1] ? count[0] : count[1];
            r->uneven_links++;
        }
        topology_link(t, e->low, e->high, e->medium, lanes, lanes * (one < other ? one : other));
    }
}

/* Several hosts with Grace processors, all of whose switches are out of sight: one rack, one fabric. */
static int switch_of(struct nccl_reader *r, const struct links *l, int gpu, int *switches, int *spanning)
{
    struct topology *t = r->t;
    int host = t->nodes[gpu].host, numa = topology_numa(t, gpu);
    bool spans = t->nhosts > 1 && l->hidden[host] && l->coherent[host] &&
                 !strcmp(t->nodes[numa].arch, "arm64");
    int *which = spans ? spanning : &switches[host];

    if (*which < 0) {
        *which = topology_node(t, TOPOLOGY_NVSWITCH, spans ? -1 : host, -1, 0, "nvswitch0");
        if (spans)
            topology_note(t, false, "hosts with C2C and NVSwitches out of sight are taken to be in one "
                          "NVLink domain");
    }
    return *which;
}

static void join_switches(struct nccl_reader *r, struct links *l)
{
    struct topology *t = r->t;
    int switches[TOPOLOGY_HOSTS_MOST], spanning = -1, nodes = t->nnodes;

    memset(switches, 0xff, sizeof switches);           /* -1 each */
    for (int i = 0; i < nodes && !t->failed; i++) {
        int lanes = l->to_switch[i] ? l->to_switch[i] : l->to_odd[i];

        if (!lanes)
            continue;
        r->odd_switches += l->to_switch[i] == 0;
        topology_link(t, i, switch_of(r, l, i, switches, &spanning), MEDIUM_NVLINK, lanes,
                      lanes * lane_speed(t, MEDIUM_NVLINK, i));
    }
}

static void read_links(struct nccl_reader *r, struct links *l)
{
    find_gpus(r, l);
    for (int i = 0; i < r->tree.nelements && !r->status && !r->t->failed; i++)
        if (r->elements[i].what == NCCL_NVLINK || r->elements[i].what == NCCL_XGMI)
            read_link(r, l, i);
        else if (r->elements[i].what == NCCL_C2C)
            read_c2c(r, l, i);
    if (r->status || r->t->failed)
        return;
    join_gpus(r, l);
    join_switches(r, l);
}

void nccl_links(struct nccl_reader *r)
{
    size_t nodes = (size_t)r->t->nnodes + 1, elements = (size_t)r->tree.nelements;
    struct links l = {
        .gpus = malloc(nodes * sizeof *l.gpus), .edges = malloc(elements * sizeof *l.edges),
        .to_switch = calloc(nodes, sizeof *l.to_switch), .to_odd = calloc(nodes, sizeof *l.to_odd),
        .hidden = calloc((size_t)r->t->nhosts + 1, sizeof *l.hidden),
        .coherent = calloc((size_t)r->t->nhosts + 1, sizeof *l.coherent)
    };

    if (!l.gpus || !l.edges || !l.to_switch || !l.to_odd || !l.hidden || !l.coherent)
        r->status = status_fail(PEAL_ERR_MEMORY, "%s: no memory", r->where);
    else
        read_links(r, &l);
    free(l.gpus);
    free(l.edges);
    free(l.to_switch);
    free(l.to_odd);
    free(l.hidden);
    free(l.coherent);
}
