/* SPDX-License-Identifier: BSD-3-Clause */
/* NCCL's and RCCL's topology XML: what NCCL_TOPO_DUMP_FILE wrote, and what people write for
 * NCCL_TOPO_FILE.
 *
 *   <system version="1">
 *     <cpu host_hash="..." numaid="0" affinity="mask" arch= vendor= familyid= modelid=>
 *       <pci busid="0000:03:00.0" class="0x030200" vendor= device= link_speed="16.0 GT/s PCIe"
 *            link_width="16">           switches and devices, one within the other
 *         <gpu dev="0" sm="80" rank="0" gdr="1">
 *           <nvlink target="busid of a GPU or switch" count="4" tclass="class of it"/>
 *           <xgmi .../> <c2c bw="MB/s of each" count="5"/>
 *         <nic> <net name="mlx5_0" dev="0" speed="Mb/s" port="1" guid="0x..." gdr="1"/>
 *
 * Inputs leave out what NCCL finds by itself when it runs; what is taken for what then, is said in a
 * note.  There is no recursion: elements come in the order of their start (xml_tree.h). */
#include "topology/read_nccl.h"

#include "base/status.h"
#include "base/cpu_list.h"
#include "topology/topology_source.h"
#include "topology/topology_speeds.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMA_MOST = 256, DEVICE_MOST = 1 << 20 };

/* ---- Attributes --------------------------------------------------------------------- */

int nccl_wrong(struct nccl_reader *r, int element, const char *format, ...)
{
    char text[256];
    va_list arguments;

    if (r->status)
        return r->status;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return r->status = status_fail(PEAL_ERR_ARGUMENT, "%s:%d: %s", r->where,
                                   r->tree.elements[element].line, text);
}

static const char *value(const struct nccl_reader *r, int element, const char *attribute)
{
    const char *text = xml_value(&r->tree, element, attribute);

    return text && *text ? text : NULL;
}

long nccl_number(struct nccl_reader *r, int element, const char *attribute, long low, long high,
                 long unknown)
{
    const char *text = value(r, element, attribute);
    char *end;
    long number;

    if (!text)
        return unknown;
    number = strtol(text, &end, strncmp(text, "0x", 2) ? 10 : 16);
    if (*end || number < low || number > high) {
        nccl_wrong(r, element, "<%s %s=\"%.40s\">: wanted is a number from %ld to %ld",
                   xml_name(&r->tree, element), attribute, text, low, high);
        return unknown;
    }
    return number;
}

double nccl_real(struct nccl_reader *r, int element, const char *attribute, double unknown)
{
    const char *text = value(r, element, attribute);
    char *end;
    double number;

    if (!text)
        return unknown;
    number = strtod(text, &end);
    if (*end || !isfinite(number) || fabs(number) > 1e12) {
        nccl_wrong(r, element, "<%s %s=\"%.40s\">: no number", xml_name(&r->tree, element), attribute,
                   text);
        return unknown;
    }
    return number;
}

uint64_t nccl_hexadecimal(const struct nccl_reader *r, int element, const char *attribute)
{
    const char *text = value(r, element, attribute);
    unsigned long long number;
    char *end;

    if (!text || *text == '-')
        return 0;
    number = strtoull(text, &end, 16);
    return *end ? 0 : number;
}

/* "8 GT/s", "16.0 GT/s PCIe", "32 GT/s PCIe/s"; 0: nothing known. */
static double gigatransfers(const struct nccl_reader *r, int element)
{
    const char *text = value(r, element, "link_speed");
    double number = text ? strtod(text, NULL) : 0;

    return number > 0 && number < 1000 ? number : 0;
}

static void copy(char *to, size_t room, const char *from)
{
    snprintf(to, room, "%s", from ? from : "");
}

/* What a GPU's kind has, where the file has no speed of its link.  Its <gpu> comes next. */
static double assumed_gigatransfers(struct nccl_reader *r, int element)
{
    int gpu = element + 1;
    double speed;

    if (!r->elements[element].inside[NCCL_GPU] || r->elements[gpu].what != NCCL_GPU ||
        r->tree.elements[gpu].parent != element || value(r, gpu, "gcn"))
        return 0;
    speed = speed_pci_of((int)nccl_number(r, gpu, "sm", 0, 9999, 0));
    if (speed > 0 && !r->assumed_speeds++)
        copy(r->first_assumed, sizeof r->first_assumed, value(r, element, "busid"));
    return speed;
}

/* ---- Hosts and NUMA nodes -------------------------------------------------------------- */

static int host_of(struct nccl_reader *r, const char *hash)
{
    struct topology *t = r->t;

    /* The latest first: a host's elements stand together. */
    for (int i = t->nhosts - 1; i >= 0; i--)
        if (!strncmp(t->hosts[i].name, hash, sizeof t->hosts[i].name - 1))
            return i;
    return topology_host(t, hash);
}

static void describe_cpu(struct nccl_reader *r, int element, struct topology_node *node)
{
    const char *mask = value(r, element, "affinity");
    bool cut = false;

    copy(node->arch, sizeof node->arch, value(r, element, "arch"));
    copy(node->vendor, sizeof node->vendor, value(r, element, "vendor"));
    node->family = (int)nccl_number(r, element, "familyid", -1, INT_MAX, -1);
    node->revision = (int)nccl_number(r, element, "modelid", -1, INT_MAX, -1);
    if (mask && !cpu_list_from_mask(mask, node->cpus, sizeof node->cpus, &cut))
        nccl_wrong(r, element, "<cpu affinity=\"%.40s\">: no mask of cores", mask);
    if (cut)
        topology_note(r->t, true, "%s: its list of cores is too long to be kept whole", node->name);
}

/* Two elements of one number are one NUMA node. */
static void read_cpus(struct nccl_reader *r)
{
    static const char numaless[] = "numa";
    struct topology *t = r->t;
    int heads[TOPOLOGY_HOSTS_MOST], counts[TOPOLOGY_HOSTS_MOST] = { 0 };
    int *next = malloc((size_t)r->tree.nelements * sizeof *next);      /* of the same host */

    if (!next)
        r->status = status_fail(PEAL_ERR_MEMORY, "%s: no memory", r->where);
    memset(heads, 0xff, sizeof heads);                 /* -1 each */
    for (int i = 0; i < r->tree.nelements && !r->status && !t->failed; i++) {
        const char *hash;
        int number, host, at;

        if (r->elements[i].what != NCCL_CPU)
            continue;
        hash = value(r, i, "host_hash");
        number = (int)nccl_number(r, i, "numaid", -1, 65535, -1);
        host = host_of(r, hash ? hash : "");
        if (host < 0)
            break;
        for (at = heads[host]; at >= 0 && t->nodes[at].number != number;)
            at = next[at];
        if (at < 0) {
            if (counts[host]++ >= NUMA_MOST)
                nccl_wrong(r, i, "more than %d NUMA nodes on one host", NUMA_MOST);
            at = topology_node(t, TOPOLOGY_NUMA, host, -1, number, number < 0 ? numaless : NULL);
            if (at < 0)
                break;
            next[at] = heads[host];
            heads[host] = at;
            describe_cpu(r, i, &t->nodes[at]);
            r->numaless += number < 0;
        }
        r->elements[i].node = at;
    }
    free(next);
}

/* ---- The PCI tree -------------------------------------------------------------------------- */

int nccl_pci_node(struct nccl_reader *r, int element, enum topology_kind kind, int parent)
{
    struct topology *t = r->t;
    struct topology_node *node;
    const char *bus = value(r, element, "busid");
    int lanes = (int)nccl_number(r, element, "link_width", 0, 64, 0);
    double told = gigatransfers(r, element);
    double bandwidth = speed_pci(told > 0 || kind != TOPOLOGY_GPU ? told :
                                 assumed_gigatransfers(r, element), lanes);
    int at = parent < 0 ? -1 : topology_node(t, kind, t->nodes[parent].host, parent, -1, NULL);

    if (at < 0)
        return -1;
    node = &t->nodes[at];
    if (bus && !topology_bus_parse(bus, &node->bus))
        nccl_wrong(r, element, "<pci busid=\"%.40s\">: no address on a PCI bus", bus);
    node->pci_class = (uint32_t)(nccl_hexadecimal(r, element, "class") & 0xffffff);
    node->pci_vendor = (uint32_t)(nccl_hexadecimal(r, element, "vendor") & 0xffff);
    node->pci_device = (uint32_t)(nccl_hexadecimal(r, element, "device") & 0xffff);
    topology_link(t, parent, at, MEDIUM_PCI, lanes, bandwidth);
    return at;
}

/* What a device without <gpu> or <nic> is: by its class, if the file has that. */
static enum topology_kind kind_by_class(const struct nccl_reader *r, int element)
{
    uint64_t vendor = nccl_hexadecimal(r, element, "vendor");
    uint64_t class = nccl_hexadecimal(r, element, "class") >> 8;
    bool gpus = vendor == 0 || vendor == 0x10de || vendor == 0x1002;

    if (class >> 8 == 0x02)
        return TOPOLOGY_NIC;
    if ((class == 0x0302 || class == 0x0300 || class == 0x0380 || class == 0x1200) && gpus)
        return TOPOLOGY_GPU;
    if (class == 0x0604)
        return TOPOLOGY_SWITCH;
    return TOPOLOGY_KIND_COUNT;
}

static bool told_nothing(const struct nccl_reader *r, int element)
{
    const struct nccl_element *e = &r->elements[element];

    return e->what == NCCL_PCI && !e->inside[NCCL_PCI] && !e->inside[NCCL_GPU] &&
           !e->inside[NCCL_NIC] && !value(r, element, "class");
}

/* A device of which the file has the address only (AWS's g5 and p5).  Such files are for GPUs beside each
 * other under the CPUs, as many under each, and NICs; below switches they tell NICs. */
static enum topology_kind kind_by_place(const struct nccl_reader *r, int element, int *seen, int fewest)
{
    int parent = r->tree.elements[element].parent;

    if (r->elements[parent].what != NCCL_CPU)
        return TOPOLOGY_NIC;
    return seen[parent]++ < fewest ? TOPOLOGY_GPU : TOPOLOGY_NIC;
}

/* The fewest devices of no class under any <cpu> that has some. */
static int fewest_unknown(const struct nccl_reader *r, int *seen)
{
    int fewest = INT_MAX;

    for (int i = 0; i < r->tree.nelements; i++)
        if (told_nothing(r, i) && r->elements[r->tree.elements[i].parent].what == NCCL_CPU)
            seen[r->tree.elements[i].parent]++;
    for (int i = 0; i < r->tree.nelements; i++)
        if (seen[i] && seen[i] < fewest)
            fewest = seen[i];
    memset(seen, 0, (size_t)r->tree.nelements * sizeof *seen);
    return fewest;
}

/* Drivers report the state of sleep, or a virtual link. */
static void look_narrow(struct nccl_reader *r, int element)
{
    int lanes = (int)nccl_number(r, element, "link_width", 0, 64, 0);

    if (!gigatransfers(r, element) || !lanes || speed_pci(gigatransfers(r, element), lanes) >= 12)
        return;
    if (!r->narrow++)
        copy(r->first_narrow, sizeof r->first_narrow, value(r, element, "busid"));
}

static void read_pci(struct nccl_reader *r, int i, int *seen, int fewest)
{
    struct nccl_element *e = &r->elements[i];
    int parent = r->elements[r->tree.elements[i].parent].node;
    int devices = e->inside[NCCL_GPU] + e->inside[NCCL_NIC], assumed;
    enum topology_kind kind;

    if (e->inside[NCCL_PCI] || devices > 1)
        kind = TOPOLOGY_SWITCH;
    else if (devices)
        kind = e->inside[NCCL_GPU] ? TOPOLOGY_GPU : TOPOLOGY_NIC;
    else {
        kind = told_nothing(r, i) ? kind_by_place(r, i, seen, fewest) : kind_by_class(r, i);
        r->guessed += told_nothing(r, i);
        r->assumed_gpus += kind == TOPOLOGY_GPU;
        r->assumed_nics += kind == TOPOLOGY_NIC;
    }
    if (kind == TOPOLOGY_KIND_COUNT)
        return;
    if (kind != TOPOLOGY_NIC)
        look_narrow(r, i);
    assumed = r->assumed_speeds;
    e->node = nccl_pci_node(r, i, kind, parent);
    if (kind != TOPOLOGY_NIC && !gigatransfers(r, i) && value(r, i, "link_width"))
        r->untold_wide++;
    if (kind != TOPOLOGY_NIC && !gigatransfers(r, i) && r->assumed_speeds == assumed)
        r->untold_speeds++;
}

/* "gfx942", "gfx90a:sramecc+", "910" */
static int gfx_number(const char *text)
{
    int number = 0;

    if (!strncmp(text, "gfx", 3))
        text += 3;
    for (int i = 0; i < 5; i++) {
        char c = text[i];

        if (c >= '0' && c <= '9')
            number = number * 10 + (c - '0');
        else if (c >= 'a' && c <= 'f')
            number = number * 10 + (c - 'a' + 10);
        else
            break;
    }
    return number;
}

static void read_gpu(struct nccl_reader *r, int i)
{
    int up = r->tree.elements[i].parent, node = r->elements[up].node;
    const char *gfx = value(r, i, "gcn");

    if (node >= 0 && r->t->nodes[node].kind != TOPOLOGY_GPU)
        node = nccl_pci_node(r, up, TOPOLOGY_GPU, node);
    r->elements[i].node = node;
    if (node < 0)
        return;
    r->t->nodes[node].number = (int)nccl_number(r, i, "dev", -1, DEVICE_MOST, -1);
    r->t->nodes[node].direct = (int)nccl_number(r, i, "gdr", -1, 1, -1);
    r->t->nodes[node].capability = (int)nccl_number(r, i, "sm", 0, 9999, 0);
    if (gfx)                           /* RCCL's "sm" is another thing: how many units */
        r->t->nodes[node].capability = gfx_number(gfx);
    nccl_number(r, i, "rank", -1, INT_MAX, -1);
}

static void read_devices(struct nccl_reader *r)
{
    int *seen = calloc((size_t)r->tree.nelements, sizeof *seen), fewest;

    if (!seen) {
        r->status = status_fail(PEAL_ERR_MEMORY, "%s: no memory", r->where);
        return;
    }
    fewest = fewest_unknown(r, seen);
    for (int i = 0; i < r->tree.nelements && !r->status && !r->t->failed; i++)
        if (r->elements[i].what == NCCL_PCI)
            read_pci(r, i, seen, fewest);
        else if (r->elements[i].what == NCCL_GPU)
            read_gpu(r, i);
    free(seen);
}

/* ---- Names and numbers --------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    const struct topology_node *x = *(struct topology_node *const *)a;
    const struct topology_node *y = *(struct topology_node *const *)b;

    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    if ((x->number < 0) != (y->number < 0))
        return x->number < 0 ? 1 : -1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    if (x->number < 0 && x->bus != y->bus)
        return x->bus < y->bus ? -1 : 1;
    return (x > y) - (x < y);
}

/* GPUs keep the number that the file gives them; those without one, or with one that another has, get
 * the free ones in the order of their addresses, as drivers number them. */
static void number_gpus(struct nccl_reader *r, struct topology_node **gpus, int n)
{
    int again = 0, at = 0, free_number = 0;

    qsort(gpus, (size_t)n, sizeof *gpus, by_number);
    for (int i = n - 1; i > 0; i--)
        if (gpus[i]->number >= 0 && gpus[i]->host == gpus[i - 1]->host &&
            gpus[i]->number == gpus[i - 1]->number) {
            gpus[i]->number = -1;
            again++;
        }
    qsort(gpus, (size_t)n, sizeof *gpus, by_number);
    for (int i = 0; i < n; i++) {
        if (!i || gpus[i]->host != gpus[i - 1]->host) {
            free_number = 0;
            at = i;
        }
        if (gpus[i]->number < 0) {
            /* gpus[at ...] are those with numbers of the file that are not yet passed. */
            for (; at < i && gpus[at]->number <= free_number; at++)
                free_number += gpus[at]->number == free_number;
            gpus[i]->number = free_number++;
        }
        snprintf(gpus[i]->name, sizeof gpus[i]->name, "gpu%d", gpus[i]->number);
    }
    if (again)
        topology_note(r->t, true, "%d GPUs had a number (dev) that another has; they got the next free",
                      again);
}

static void name_nodes(struct nccl_reader *r)
{
    struct topology *t = r->t;
    struct topology_node **gpus = malloc((size_t)(t->nnodes + 1) * sizeof *gpus);
    int switches[TOPOLOGY_HOSTS_MOST] = { 0 }, n = 0;

    if (!gpus) {
        r->status = status_fail(PEAL_ERR_MEMORY, "%s: no memory", r->where);
        return;
    }
    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].kind == TOPOLOGY_GPU)
            gpus[n++] = &t->nodes[i];
    number_gpus(r, gpus, n);
    free(gpus);
    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].kind == TOPOLOGY_SWITCH)
            snprintf(t->nodes[i].name, sizeof t->nodes[i].name, "switch%d",
                     switches[t->nodes[i].host]++);
}

/* ---- The whole -------------------------------------------------------------------------------- */

static bool fits(enum nccl_what what, enum nccl_what in)
{
    switch (what) {
    case NCCL_CPU:    return in == NCCL_SYSTEM;
    case NCCL_PCI:
    case NCCL_NIC:    return in == NCCL_CPU || in == NCCL_PCI;
    case NCCL_GPU:    return in == NCCL_PCI;
    case NCCL_NET:    return in == NCCL_NIC;
    case NCCL_NVLINK:
    case NCCL_XGMI:
    case NCCL_C2C:    return in == NCCL_GPU;
    default:          return false;
    }
}

/* What each element is, and what is in it.  Others are passed over with all that is in them. */
static void classify(struct nccl_reader *r)
{
    static const char *const names[NCCL_WHATS] = { "", "system", "cpu", "pci", "gpu", "nic", "net",
                                                   "nvlink", "xgmi", "c2c" };

    for (int i = 0; i < r->tree.nelements && !r->status; i++) {
        struct nccl_element *e = &r->elements[i];
        int up = r->tree.elements[i].parent, what = NCCL_WHATS - 1;

        e->node = -1;
        while (what > 0 && strcmp(xml_name(&r->tree, i), names[what]))
            what--;
        e->what = (enum nccl_what)what;
        if (up < 0 ? what != NCCL_SYSTEM : what == NCCL_SYSTEM)
            nccl_wrong(r, i, "<%.40s>: wanted is one <system>", xml_name(&r->tree, i));
        if (up < 0)
            continue;
        if (r->elements[up].what == NCCL_OTHER)
            e->what = NCCL_OTHER;
        else if (what == NCCL_OTHER && !r->unknown++)
            copy(r->first_unknown, sizeof r->first_unknown, xml_name(&r->tree, i));
        else if (what != NCCL_OTHER && !fits(e->what, r->elements[up].what))
            nccl_wrong(r, i, "<%s> does not belong in <%s>", names[what],
                       names[r->elements[up].what]);
        r->elements[up].inside[e->what]++;
    }
}

static int by_host(const void *a, const void *b)
{
    const struct topology_node *x = *(struct topology_node *const *)a;
    const struct topology_node *y = *(struct topology_node *const *)b;

    return x->host != y->host ? (x->host < y->host ? -1 : 1) : (x > y) - (x < y);
}

/* Host by host, so that many hosts cost no more than their links. */
static void smp_links(struct nccl_reader *r)
{
    struct topology *t = r->t;
    int n = t->nnodes;                 /* only NUMA nodes so far */
    struct topology_node **numas = malloc(((size_t)n + 1) * sizeof *numas);

    if (!numas) {
        r->status = status_fail(PEAL_ERR_MEMORY, "%s: no memory", r->where);
        return;
    }
    for (int i = 0; i < n; i++)
        numas[i] = &t->nodes[i];
    qsort(numas, (size_t)n, sizeof *numas, by_host);
    for (int a = 0; a < n && !t->failed; a++)
        for (int b = a + 1; b < n && numas[b]->host == numas[a]->host; b++) {
            double one = speed_smp(numas[a]), other = speed_smp(numas[b]);

            topology_link(t, (int)(numas[a] - t->nodes), (int)(numas[b] - t->nodes), MEDIUM_SMP, 0,
                          one < other ? one : other);
        }
    free(numas);
}

static void finish(struct nccl_reader *r)
{
    if (!r->t->nhosts)
        nccl_wrong(r, 0, "no <cpu> in <system>");
    if (r->t->nhosts > 1)
        topology_rails(r->t);
    nccl_tell(r);
}

static void read_all(struct nccl_reader *r)
{
    static void (*const steps[])(struct nccl_reader *) = {
        classify, read_cpus, smp_links, read_devices, name_nodes, nccl_ports, nccl_links, finish, NULL
    };

    for (int i = 0; steps[i] && !r->status; i++) {
        steps[i](r);
        if (!r->status)
            r->status = r->t->failed;
    }
}

static int read(const char *text, size_t length, const char *where, struct topology *t)
{
    struct nccl_reader r = { .t = t, .where = where };

    r.status = xml_tree_read(&r.tree, text, length, where);
    if (!r.status) {
        topology_note(t, false, "%s: NCCL topology XML", where);
        r.elements = calloc((size_t)r.tree.nelements, sizeof *r.elements);
        if (!r.elements)
            r.status = status_fail(PEAL_ERR_MEMORY, "%s: no memory for %d elements", where,
                                   r.tree.nelements);
        else
            read_all(&r);
    }
    free(r.elements);
    xml_tree_free(&r.tree);
    return r.status;
}

static bool recognise(const char *text, size_t length)
{
    return topology_text_is_xml(text, length, "system");
}

const struct topology_source read_nccl = {
    .name = "nccl",
    .recognise = recognise,
    .read = read,
};
