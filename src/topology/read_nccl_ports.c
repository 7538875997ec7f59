/* SPDX-License-Identifier: BSD-3-Clause */
/* NICs of NCCL's XML and their ports. */
#include "topology/read_nccl.h"

#include "base/status.h"
#include "topology/topology_speeds.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A <net>.  Where its <nic> is directly in a <cpu>, the same one may stand under several: it is near to
 * each of them, or rather to none. */
struct net {
    int element, nic;
    int host, dev, order;              /* order: in the file */
    bool loose;                        /* its <nic> is in a <cpu> */
    int first;                         /* element of the <net> that it repeats, or itself */
    const char *name;
};

static int by_name(const void *a, const void *b)
{
    const struct net *x = a, *y = b;
    int names;

    if (x->loose != y->loose)
        return x->loose ? -1 : 1;
    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    names = strcmp(x->name, y->name);
    if (names)
        return names;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* NCCL's order of devices; those that have no number come last. */
static int by_device(const void *a, const void *b)
{
    const struct net *x = a, *y = b;

    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    if ((x->dev < 0) != (y->dev < 0))
        return x->dev < 0 ? 1 : -1;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static int gather(struct nccl_reader *r, struct net *nets)
{
    int n = 0;

    for (int i = 0; i < r->tree.nelements && !r->status; i++) {
        struct net *net = &nets[n];
        int nic, above;

        if (r->elements[i].what != NCCL_NET)
            continue;
        nic = r->tree.elements[i].parent;
        above = r->tree.elements[nic].parent;
        *net = (struct net){ .element = i, .nic = nic, .order = n, .first = i,
                             .loose = r->elements[above].what == NCCL_CPU };
        net->dev = (int)nccl_number(r, i, "dev", -1, INT_MAX, -1);
        net->host = r->t->nodes[r->elements[above].node].host;
        net->name = xml_value(&r->tree, i, "name");
        net->name = net->name ? net->name : "";
        n++;
    }
    return n;
}

static void find_repeated(struct net *nets, int n, int *repeats)
{
    qsort(nets, (size_t)n, sizeof *nets, by_name);
    for (int i = 1; i < n; i++)
        if (nets[i].loose && nets[i - 1].loose && *nets[i].name && nets[i].host == nets[i - 1].host &&
            nets[i].dev == nets[i - 1].dev && !strcmp(nets[i].name, nets[i - 1].name))
            nets[i].first = nets[i - 1].first;
    for (int i = 0; i < n; i++)
        repeats[nets[i].element] = nets[i].first;
}

static double speed_of(struct nccl_reader *r, int net)
{
    double megabits = nccl_real(r, net, "speed", 0);

    if (megabits > 0)
        return megabits / 8000;
    r->slow_ports++;
    return 0;
}

/* A NIC of no PCI device hangs from its NUMA node, by what slows none of its ports. */
static int loose_nic(struct nccl_reader *r, int element)
{
    int numa = r->elements[r->tree.elements[element].parent].node;
    int nic = topology_node(r->t, TOPOLOGY_NIC, r->t->nodes[numa].host, numa, -1, NULL);
    double wide = speed_pci(0, 0);

    if (nic < 0)
        return -1;
    if (wide < r->elements[element].speed)
        wide = r->elements[element].speed;
    topology_link(r->t, numa, nic, MEDIUM_PCI, 0, wide);
    return nic;
}

/* A <nic> whose ports all stand elsewhere already: that NIC is also near this NUMA node. */
static void second_home(struct nccl_reader *r, int element, int first_net)
{
    struct topology *t = r->t;
    int nic = r->elements[r->tree.elements[first_net].parent].node;
    int numa = r->elements[r->tree.elements[element].parent].node;

    if (nic < 0 || t->nodes[nic].parent == numa)
        return;
    if (t->nlinks && t->links[t->nlinks - 1].a == numa && t->links[t->nlinks - 1].b == nic)
        return;
    topology_link(t, numa, nic, MEDIUM_PCI, 0, speed_pci(0, 0) > r->elements[element].speed ?
                  speed_pci(0, 0) : r->elements[element].speed);
}

static void read_nic(struct nccl_reader *r, int i, const int *repeats)
{
    int up = r->tree.elements[i].parent, new = 0, first = -1;

    for (int k = i + 1; k < r->tree.nelements && r->tree.elements[k].parent >= i; k++) {
        if (r->elements[k].what != NCCL_NET || r->tree.elements[k].parent != i)
            continue;
        r->elements[i].speed += speed_of(r, k);
        first = first < 0 ? k : first;
        new += repeats[k] == k;
    }
    if (r->elements[up].what == NCCL_CPU && first < 0)
        return;                        /* no PCI device, no port: nothing */
    if (r->elements[up].what == NCCL_CPU && !new)
        second_home(r, i, repeats[first]);
    else if (r->elements[up].what == NCCL_CPU)
        r->elements[i].node = loose_nic(r, i);
    else if (r->t->nodes[r->elements[up].node].kind == TOPOLOGY_NIC)
        r->elements[i].node = r->elements[up].node;
    else
        r->elements[i].node = nccl_pci_node(r, up, TOPOLOGY_NIC, r->elements[up].node);
}

static void lane(struct nccl_reader *r, int nic, int port, double speed)
{
    if (port >= 0)
        topology_link(r->t, nic, port, MEDIUM_LANE, 0, speed);
}

static void read_port(struct nccl_reader *r, const struct net *net, int place)
{
    struct topology *t = r->t;
    int nic = r->elements[net->nic].node, number = (int)nccl_number(r, net->element, "port", 0, 65535, 0);
    double speed = nccl_real(r, net->element, "speed", 0) / 8000;
    double latency = nccl_real(r, net->element, "latency", 0);
    char name[TOPOLOGY_NAME];
    int port;

    if (nic < 0)
        return;
    snprintf(name, sizeof name, "%s", net->name);
    if (!*name)
        snprintf(name, sizeof name, "net%d", net->dev >= 0 ? net->dev : net->order);
    port = topology_node(t, TOPOLOGY_PORT, net->host, nic, number > 0 ? number : place + 1, name);
    if (port < 0)
        return;
    r->loose_ports += net->loose;
    t->nodes[port].speed = speed > 0 ? speed : 0;
    t->nodes[port].direct = (int)nccl_number(r, net->element, "gdr", -1, 1, -1);
    t->nodes[port].guid = nccl_hexadecimal(r, net->element, "guid");
    lane(r, nic, port, speed > 0 ? speed : 1.25);
    if (latency > 0 && latency < 1e6 && t->nlinks)
        t->links[t->nlinks - 1].latency = latency;
}

/* NICs that no <net> tells of have one port, of which nothing is known. */
static void assumed_port(struct nccl_reader *r, int nic, double speed)
{
    char name[TOPOLOGY_NAME];

    snprintf(name, sizeof name, "%.20s-port1", r->t->nodes[nic].name);
    lane(r, nic, topology_node(r->t, TOPOLOGY_PORT, r->t->nodes[nic].host, nic, 1, name), speed);
}

static void name_nics(struct topology *t)
{
    int nics[TOPOLOGY_HOSTS_MOST] = { 0 };

    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].kind == TOPOLOGY_NIC)
            snprintf(t->nodes[i].name, sizeof t->nodes[i].name, "nic%d", nics[t->nodes[i].host]++);
}

struct named {
    int host, order;
    struct topology_node *port;
};

static int by_port_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int names = strcmp(x->port->name, y->port->name);

    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    return names ? names : (x->order > y->order) - (x->order < y->order);
}

/* Two ports of one name: the later gets its place added. */
static void part_names(struct nccl_reader *r)
{
    struct topology *t = r->t;
    struct named *ports = malloc((size_t)(t->nnodes + 1) * sizeof *ports);
    int n = 0;

    if (!ports) {
        r->status = status_fail(PEAL_ERR_MEMORY, "%s: no memory", r->where);
        return;
    }
    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].kind == TOPOLOGY_PORT)
            ports[n++] = (struct named){ t->nodes[i].host, i, &t->nodes[i] };
    qsort(ports, (size_t)n, sizeof *ports, by_port_name);
    for (int i = n - 1; i > 0; i--)
        if (ports[i].host == ports[i - 1].host && !strcmp(ports[i].port->name, ports[i - 1].port->name)) {
            char name[TOPOLOGY_NAME];

            snprintf(name, sizeof name, "%.20s#%d", ports[i].port->name, ports[i].order);
            memcpy(ports[i].port->name, name, sizeof name);
        }
    free(ports);
}

/* The speed of the PCI link above a NIC: the latest that leads to it. */
static void pci_speeds(const struct topology *t, double *speed, bool *has_port)
{
    for (int i = 0; i < t->nlinks; i++)
        if (t->links[i].medium == MEDIUM_PCI)
            speed[t->links[i].b] = t->links[i].bandwidth;
        else if (t->links[i].medium == MEDIUM_LANE)
            has_port[t->links[i].a] = true;
}

static void assume_ports(struct nccl_reader *r)
{
    struct topology *t = r->t;
    int nodes = t->nnodes;
    double *speed = calloc((size_t)nodes + 1, sizeof *speed);
    bool *has_port = calloc((size_t)nodes + 1, sizeof *has_port);

    if (!speed || !has_port)
        r->status = status_fail(PEAL_ERR_MEMORY, "%s: no memory", r->where);
    else if (!t->failed) {
        pci_speeds(t, speed, has_port);
        for (int i = 0; i < nodes; i++)
            if (t->nodes[i].kind == TOPOLOGY_NIC && !has_port[i])
                assumed_port(r, i, speed[i]);
    }
    free(speed);
    free(has_port);
}

static void read_ports(struct nccl_reader *r, struct net *nets, int *repeats)
{
    int n = gather(r, nets);

    if (r->status)
        return;
    find_repeated(nets, n, repeats);
    for (int i = 0; i < r->tree.nelements && !r->status && !r->t->failed; i++)
        if (r->elements[i].what == NCCL_NIC)
            read_nic(r, i, repeats);
    name_nics(r->t);
    qsort(nets, (size_t)n, sizeof *nets, by_device);
    for (int i = 0; i < n && !r->status && !r->t->failed; i++)
        if (nets[i].first == nets[i].element)
            read_port(r, &nets[i], r->elements[nets[i].nic].ports++);
    assume_ports(r);
    if (!r->status)
        part_names(r);
}

void nccl_ports(struct nccl_reader *r)
{
    size_t n = (size_t)r->tree.nelements + 1;
    struct net *nets = malloc(n * sizeof *nets);
    int *repeats = calloc(n, sizeof *repeats);

    if (!nets || !repeats)
        r->status = status_fail(PEAL_ERR_MEMORY, "%s: no memory", r->where);
    else
        read_ports(r, nets, repeats);
    free(nets);
    free(repeats);
}
