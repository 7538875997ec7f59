/* SPDX-License-Identifier: BSD-3-Clause */
/* NCCL's topology XML (read_nccl.c says what it looks like).  It has no places for host bridges, rails,
 * models, sockets and bandwidths: those of NVLink and SMP follow from what the GPU and the processor
 * are, those of PCI from generation and width.  What is nearest is written. */
#include "topology/topology_source.h"

#include "base/cpu_list.h"
#include "topology/topology_speeds.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct writer {
    const struct topology *t;
    FILE *out;
    int  *child, *next;                /* of each node in the tree: its first child, the next of the same */
    int  *device;                      /* of each port: its number on its host, in the order of nodes */
    int   ranks;                       /* given so far */
};

/* Bytes that need no thought in any encoding. */
static void quoted(FILE *out, const char *name, const char *text)
{
    fprintf(out, " %s=\"", name);
    for (; *text; text++)
        if (strchr("<>&\"", *text))
            fprintf(out, "&#%d;", *text);
        else
            fputc(*text >= ' ' && *text < 0x7f ? *text : '?', out);
    fputc('"', out);
}

/* NCCL tells hosts by a number. */
static void write_host(const struct writer *w, int host)
{
    const char *name = w->t->hosts[host].name;
    uint64_t hash = 0xcbf29ce484222325;                /* FNV-1a */

    if (!strncmp(name, "0x", 2)) {
        quoted(w->out, "host_hash", name);
        return;
    }
    if (w->t->nhosts == 1 && !*name)
        return;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3;
    if (!*w->t->hosts[host].name)
        hash += (uint64_t)host;
    fprintf(w->out, " host_hash=\"0x%" PRIx64 "\"", hash);
}

static void write_cpu(const struct writer *w, int numa)
{
    const struct topology_node *node = &w->t->nodes[numa];
    char mask[2048];

    fprintf(w->out, "  <cpu");
    write_host(w, node->host);
    fprintf(w->out, " numaid=\"%d\"", node->number);
    if (node->cpus[0] && cpu_list_to_mask(node->cpus, mask, sizeof mask))
        quoted(w->out, "affinity", mask);
    if (node->arch[0])
        quoted(w->out, "arch", node->arch);
    if (node->vendor[0])
        quoted(w->out, "vendor", node->vendor);
    if (node->family >= 0)
        fprintf(w->out, " familyid=\"%d\" modelid=\"%d\"", node->family, node->revision);
    fprintf(w->out, ">\n");
}

/* What NCCL wants of all: an address.  Those that have none get one that no machine has. */
static void address(const struct writer *w, int node, char text[20])
{
    if (w->t->nodes[node].bus != TOPOLOGY_NO_BUS)
        topology_bus_print(w->t->nodes[node].bus, text);
    else
        topology_bus_print((uint64_t)(0xf0000 + node / 8192) << 32 | (uint64_t)(node / 32 % 256) << 16 |
                           (uint64_t)(node % 32) << 8, text);
}

static const struct topology_link *link_above(const struct writer *w, int node)
{
    int link = topology_link_between(w->t, w->t->nodes[node].parent, node, MEDIUM_PCI);

    return link < 0 ? NULL : &w->t->links[link];
}

/* The generation and width whose speed is nearest; the width as it is, where that is known. */
static void write_pci_link(const struct writer *w, const struct topology_link *link)
{
    static const double generations[] = { 2.5, 5, 8, 16, 32, 64 };
    int best = 2, known = link->lanes <= 64 ? link->lanes : 0, width = known;
    double least = INFINITY;

    for (int tried = 16; tried && least > 1e-9; tried /= 2) {
        int lanes = known ? known : tried;

        for (int i = 0; i < 6; i++) {
            double off = fabs(speed_pci(generations[i], lanes) - link->bandwidth);

            if (off < least - 1e-9) {
                least = off;
                best = i;
                width = lanes == 16 && !known ? 0 : lanes;
            }
        }
    }
    fprintf(w->out, " link_speed=\"%.1f GT/s PCIe\" link_width=\"%d\"", generations[best], width);
}

static void begin_pci(const struct writer *w, int node, int depth)
{
    static const uint32_t classes[TOPOLOGY_KIND_COUNT] = {
        [TOPOLOGY_SWITCH] = 0x060400, [TOPOLOGY_GPU] = 0x030200, [TOPOLOGY_NIC] = 0x020000
    };
    const struct topology_node *n = &w->t->nodes[node];
    const struct topology_link *link = link_above(w, node);
    char bus[20];

    address(w, node, bus);
    fprintf(w->out, "%*s<pci busid=\"%s\" class=\"0x%06x\"", depth * 2, "", bus,
            (unsigned)(n->pci_class ? n->pci_class : classes[n->kind]));
    if (n->pci_vendor)
        fprintf(w->out, " vendor=\"0x%04x\" device=\"0x%04x\"", (unsigned)n->pci_vendor,
                (unsigned)n->pci_device);
    if (link)
        write_pci_link(w, link);
    fprintf(w->out, ">\n");
}

static bool is_amd(const struct topology_node *node)
{
    return node->pci_vendor == 0x1002 || node->capability >= 600;
}

/* A link of a GPU beside the tree. */
static void write_link(const struct writer *w, int gpu, const struct topology_link *link, int depth)
{
    const struct topology *t = w->t;
    int peer = link->a == gpu ? link->b : link->a, lanes = link->lanes;
    double one = link->medium == MEDIUM_XGMI ? speed_xgmi(t->nodes[gpu].capability) :
                 speed_nvlink(t->nodes[gpu].capability);
    const char *class = "0x030200";
    char bus[20];

    if (link->medium == MEDIUM_C2C) {
        lanes = lanes ? lanes : 1;
        fprintf(w->out, "%*s<c2c bw=\"%.10g\" count=\"%d\"/>\n", depth * 2, "",
                link->bandwidth * 1000 / lanes, lanes);
        return;
    }
    if (link->medium != MEDIUM_NVLINK && link->medium != MEDIUM_XGMI)
        return;
    if (!lanes)
        lanes = link->bandwidth < one ? 1 : link->bandwidth < one * TOPOLOGY_LANES_MOST ?
                (int)(link->bandwidth / one + 0.5) : TOPOLOGY_LANES_MOST;
    address(w, peer, bus);
    if (t->nodes[peer].kind == TOPOLOGY_NVSWITCH) {
        class = "0x068000";
        strcpy(bus, "fffffff:ff:ff.0");
    } else if (t->nodes[peer].kind != TOPOLOGY_GPU)
        class = "0x068001";
    else if (is_amd(&t->nodes[peer]))
        class = "0x120000";
    fprintf(w->out, "%*s<%s target=\"%s\" count=\"%d\" tclass=\"%s\"/>\n", depth * 2, "",
            topology_medium_name(link->medium), bus, lanes, class);
}

static void write_gpu(struct writer *w, int gpu, int depth)
{
    const struct topology *t = w->t;
    const struct topology_node *node = &t->nodes[gpu];

    fprintf(w->out, "%*s<gpu dev=\"%d\"", depth * 2, "", node->number);
    if (is_amd(node) && node->capability == 910)
        fprintf(w->out, " sm=\"0\" gcn=\"gfx90a\" arch=\"0\"");
    else if (is_amd(node))
        fprintf(w->out, " sm=\"0\" gcn=\"gfx%d\" arch=\"0\"", node->capability);
    else
        fprintf(w->out, " sm=\"%d\"", node->capability);
    fprintf(w->out, " rank=\"%d\"", w->ranks++);
    if (node->direct >= 0)
        fprintf(w->out, " gdr=\"%d\"", node->direct);
    fprintf(w->out, ">\n");
    for (int i = t->first[gpu]; i < t->first[gpu + 1]; i++)
        write_link(w, gpu, &t->links[t->incident[i]], depth + 1);
    fprintf(w->out, "%*s</gpu>\n", depth * 2, "");
}

static void write_net(struct writer *w, int nic, int port, int dev, int depth)
{
    const struct topology_node *node = &w->t->nodes[port];
    int lane = topology_link_between(w->t, nic, port, MEDIUM_LANE);
    const struct topology_link *link = lane < 0 ? NULL : &w->t->links[lane];

    fprintf(w->out, "%*s<net", depth * 2, "");
    quoted(w->out, "name", node->name);
    fprintf(w->out, " dev=\"%d\"", dev);
    if (link)
        fprintf(w->out, " speed=\"%.10g\" latency=\"%g\"", link->bandwidth * 8000, link->latency);
    fprintf(w->out, " port=\"%d\" guid=\"0x%" PRIx64 "\"", node->number, node->guid);
    if (node->direct >= 0)
        fprintf(w->out, " gdr=\"%d\"", node->direct);
    fprintf(w->out, "/>\n");
}

static void write_nic(struct writer *w, int nic, int depth)
{
    fprintf(w->out, "%*s<nic>\n", depth * 2, "");
    for (int i = w->child[nic]; i >= 0; i = w->next[i])
        if (w->t->nodes[i].kind == TOPOLOGY_PORT)
            write_net(w, nic, i, w->device[i], depth + 1);
    fprintf(w->out, "%*s</nic>\n", depth * 2, "");
}

/* NICs without an address stand directly in <cpu>, under each that they are near to. */
static bool is_loose(const struct writer *w, int node)
{
    const struct topology_node *n = &w->t->nodes[node];

    return n->kind == TOPOLOGY_NIC && n->bus == TOPOLOGY_NO_BUS &&
           w->t->nodes[n->parent].kind == TOPOLOGY_NUMA;
}

static void write_loose(struct writer *w, int numa)
{
    const struct topology *t = w->t;

    for (int i = t->first[numa]; i < t->first[numa + 1]; i++) {
        const struct topology_link *link = &t->links[t->incident[i]];
        int other = link->a == numa ? link->b : link->a;

        if (link->medium == MEDIUM_PCI && is_loose(w, other))
            write_nic(w, other, 2);
    }
}

/* As deep as topology_finish() lets trees be (TOPOLOGY_DEPTH_MOST). */
static void write_below(struct writer *w, int node, int depth)
{
    for (int i = w->child[node]; i >= 0; i = w->next[i]) {
        enum topology_kind kind = w->t->nodes[i].kind;

        if (kind == TOPOLOGY_ROOT || kind == TOPOLOGY_NUMA)
            write_below(w, i, depth);
        if ((kind != TOPOLOGY_SWITCH && kind != TOPOLOGY_GPU && kind != TOPOLOGY_NIC) || is_loose(w, i))
            continue;
        begin_pci(w, i, depth);
        if (kind == TOPOLOGY_GPU)
            write_gpu(w, i, depth + 1);
        else if (kind == TOPOLOGY_NIC)
            write_nic(w, i, depth + 1);
        else
            write_below(w, i, depth + 1);
        fprintf(w->out, "%*s</pci>\n", depth * 2, "");
    }
}

static void write_all(struct writer *w)
{
    const struct topology *t = w->t;
    int ports[TOPOLOGY_HOSTS_MOST] = { 0 };
    bool amd = false;

    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].kind == TOPOLOGY_PORT)
            w->device[i] = ports[t->nodes[i].host]++;
    for (int i = t->nnodes - 1; i >= 0; i--) {         /* backwards: children in order */
        int parent = t->nodes[i].parent;

        amd |= t->nodes[i].kind == TOPOLOGY_GPU && is_amd(&t->nodes[i]);
        if (parent < 0)
            continue;
        w->next[i] = w->child[parent];
        w->child[parent] = i;
    }
    fprintf(w->out, "<system version=\"%d\">\n", amd ? 2 : 1);
    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].kind == TOPOLOGY_NUMA) {
            write_cpu(w, i);
            write_below(w, i, 2);
            write_loose(w, i);
            fprintf(w->out, "  </cpu>\n");
        }
    fprintf(w->out, "</system>\n");
}

char *topology_write_nccl(const struct topology *t)
{
    size_t n = (size_t)t->nnodes + 1, length = 0;
    char *text = NULL;
    struct writer w = {
        .t = t, .child = malloc(n * sizeof *w.child), .next = malloc(n * sizeof *w.next),
        .device = malloc(n * sizeof *w.device), .out = open_memstream(&text, &length)
    };
    bool good = w.child && w.next && w.device && w.out;
    struct plain_numbers plain;

    plain_numbers_begin(&plain);
    if (good) {
        memset(w.child, 0xff, n * sizeof *w.child);    /* -1 each */
        memset(w.next, 0xff, n * sizeof *w.next);
        write_all(&w);
    }
    plain_numbers_end(&plain);
    free(w.child);
    free(w.next);
    free(w.device);
    if (w.out) {
        good &= !ferror(w.out);
        good &= !fclose(w.out);
    }
    if (!good) {
        free(text);
        return NULL;
    }
    return text;
}
