/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine as a file tells it, and as it is found: the file decides on what its devices hang from, the
 * machine on which devices there are.  Clouds publish such files: their virtual machines hide the PCI
 * switches, while GPUs, NVLinks and ports are in plain view.
 *
 * First each device of the machine is looked up in the file by its PCI address.  One that the file does
 * not have (GPUs of files with NICs only) hangs from the switch that it shares with devices that the
 * file has, as both must be true; else from what it was found below, at last its NUMA node.  Then the
 * graph is built: the file's NUMA nodes and switches, the machine's devices, ports and NVLinks. */
#include "topology/topology_source.h"

#include "base/status.h"
#include "base/cpu_list.h"
#include "topology/merge.h"
#include "topology/topology_speeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Building: the file's part --------------------------------------------------------- */

/* Its link to what is above it, of the source that knows it: the file, if that says how many lanes. */
static void link_above(struct merge *m, int node, int in_file, int found)
{
    static const struct topology_link unknown = { .medium = MEDIUM_PCI };
    const struct topology_link *link = &unknown;
    int up = in_file >= 0 ? merge_up(m->file, in_file) : MERGE_NONE, at;

    at = up >= 0 ? topology_link_between(m->file, up, in_file, MEDIUM_PCI) : MERGE_NONE;
    if (at >= 0)
        link = &m->file->links[at];
    up = found >= 0 ? m->found->nodes[found].parent : MERGE_NONE;
    at = up >= 0 ? topology_link_between(m->found, up, found, MEDIUM_PCI) : MERGE_NONE;
    if (at >= 0 && !link->lanes && (m->found->links[at].lanes || link == &unknown))
        link = &m->found->links[at];
    m->links_assumed += !link->lanes && m->t.nodes[node].kind != TOPOLOGY_NIC;
    at = topology_link(&m->t, m->t.nodes[node].parent, node, MEDIUM_PCI, link->lanes,
                       link->bandwidth > 0 ? link->bandwidth : speed_pci(0, 0));
    if (at >= 0 && link != &unknown)
        m->t.links[at].latency = link->latency;
}

static int copy_node(struct merge *m, const struct topology_node *from, int parent)
{
    int at = topology_node(&m->t, from->kind, 0, parent, from->number, from->name);
    struct topology_node *node;

    if (at < 0)
        return MERGE_NONE;
    node = &m->t.nodes[at];
    *node = *from;
    node->host = from->host < 0 ? -1 : 0;
    node->parent = parent;
    return at;
}

/* One of the second source; where the first has its name for another, it is numbered on. */
static int copy_new(struct merge *m, const struct topology_node *from, int parent)
{
    int at = copy_node(m, from, parent);
    struct topology_node *node = at < 0 ? NULL : &m->t.nodes[at];

    for (int i = 0; i < at; i++)
        if (m->t.nodes[i].kind == node->kind && !strcmp(m->t.nodes[i].name, node->name)) {
            snprintf(node->name, sizeof node->name, "%s%d", topology_kind_name(node->kind),
                     m->next_name++);
            i = -1;
        }
    return at;
}

static void copy_structure(struct merge *m)
{
    const struct topology *file = m->file;

    for (int i = 0; i < m->found->nnodes; i++)
        if (merge_is_device(&m->found->nodes[i]))
            for (int up = merge_above(m, i); up >= 0 && !m->kept[up]; up = merge_up(file, up)) {
                m->kept[up] = true;
                if (file->nodes[up].kind == TOPOLOGY_NUMA)
                    break;
            }
    for (int i = 0; i < file->nnodes; i++) {
        bool numa = file->nodes[i].kind == TOPOLOGY_NUMA;
        int up = numa || !m->kept[i] ? MERGE_NONE : merge_up(file, i);

        up = up < 0 ? MERGE_NONE : m->new_of_file[up];
        if (!numa && up < 0)
            continue;                  /* nothing here is below it, or it hangs from no NUMA node */
        m->new_of_file[i] = copy_node(m, &file->nodes[i], up);
        if (m->new_of_file[i] < 0)
            return;
        if (!numa)
            link_above(m, m->new_of_file[i], i, m->twin[i]);
    }
}

/* Between the file's NUMA nodes; as fast as the processor that the system names, if the file does not. */
static void link_numas(struct merge *m)
{
    const struct topology *file = m->file;

    for (int i = 0; i < file->nlinks; i++) {
        const struct topology_link *link = &file->links[i];
        int a = m->new_of_file[link->a], b = m->new_of_file[link->b];
        double bandwidth = link->bandwidth;

        if (link->medium != MEDIUM_SMP || a < 0 || b < 0)
            continue;
        if (!*file->nodes[link->a].vendor && *m->t.nodes[a].vendor)
            bandwidth = speed_smp(&m->t.nodes[a]);
        topology_link(&m->t, a, b, MEDIUM_SMP, link->lanes, bandwidth);
    }
}

/* ---- Building: the machine's part -------------------------------------------------------- */

static bool has_core(const char *list, long core)
{
    uint32_t words[CPU_LIST_WORDS];

    return cpu_list_read(list, words) && cpu_list_has(words, core);
}

/* A NUMA node that was found (MERGE_NONE: not known) in the new graph: the one of its number, of its cores,
 * the only one; else it is added. */
static int numa_of(struct merge *m, int found)
{
    const struct topology_node *node = found >= 0 ? &m->found->nodes[found] : NULL, zero = {
        .kind = TOPOLOGY_NUMA, .name = "numa0", .bus = TOPOLOGY_NO_BUS, .direct = -1, .socket = -1,
        .family = -1, .revision = -1
    };
    int *new = found >= 0 ? &m->new_of_found[found] : &m->numa_unknown;
    int first = MERGE_NONE, count = 0, end = m->t.nnodes;

    if (*new >= 0)
        return *new;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < end; i++) {
            if (m->t.nodes[i].kind != TOPOLOGY_NUMA)
                continue;
            first = first < 0 ? i : first;
            count += pass == 0;
            if (node && (pass ? *node->cpus && has_core(m->t.nodes[i].cpus, atol(node->cpus))
                              : m->t.nodes[i].number == node->number))
                return *new = i;
        }
    if (first >= 0 && (count == 1 || !node))
        return *new = first;
    *new = copy_new(m, node ? node : &zero, MERGE_NONE);
    for (int i = 0; i < end && *new >= 0; i++)
        if (m->t.nodes[i].kind == TOPOLOGY_NUMA)
            topology_link(&m->t, i, *new, MEDIUM_SMP, 0, speed_smp(&m->t.nodes[*new]));
    return *new;
}

/* The new node for what hangs from node `i` of those found: itself, if it is a switch with nothing below
 * it that the file has.  No deeper than a topology is. */
static int new_place(struct merge *m, int i)
{
    int known = i >= 0 ? merge_known_place(m, i) : MERGE_NONE, up;

    if (known >= 0 && m->new_of_file[known] >= 0)
        return m->new_of_file[known];
    if (i < 0 || m->found->nodes[i].kind == TOPOLOGY_NUMA)
        return numa_of(m, i);
    if (m->found->nodes[i].kind != TOPOLOGY_SWITCH || m->home[i] != MERGE_NONE)
        return new_place(m, m->found->nodes[i].parent);
    if (m->new_of_found[i] >= 0)
        return m->new_of_found[i];
    up = new_place(m, m->found->nodes[i].parent);
    m->new_of_found[i] = up < 0 ? MERGE_NONE : copy_new(m, &m->found->nodes[i], up);
    if (m->new_of_found[i] >= 0)
        link_above(m, m->new_of_found[i], MERGE_NONE, i);
    return m->new_of_found[i];
}

/* A NIC may be near to several NUMA nodes. */
static void link_further(struct merge *m, int in_file, int node)
{
    const struct topology *file = m->file;

    for (int i = file->first[in_file]; i < file->first[in_file + 1]; i++) {
        const struct topology_link *link = &file->links[file->incident[i]];
        int other = link->a + link->b - in_file;

        if (link->medium == MEDIUM_PCI && merge_is_structure(&file->nodes[other]) &&
            m->new_of_file[other] >= 0 && m->new_of_file[other] != m->t.nodes[node].parent)
            topology_link(&m->t, m->new_of_file[other], node, MEDIUM_PCI, link->lanes, link->bandwidth);
    }
}

static void add_device(struct merge *m, int i)
{
    int in_file = m->in_file[i], up = merge_above(m, i), node;

    up = up >= 0 ? m->new_of_file[up] : MERGE_NONE;
    if (up < 0)
        up = new_place(m, m->found->nodes[i].parent);
    node = up < 0 ? MERGE_NONE : copy_node(m, &m->found->nodes[i], up);
    m->new_of_found[i] = node;
    if (node < 0)
        return;
    link_above(m, node, in_file, i);
    if (in_file < 0)
        return;
    link_further(m, in_file, node);
    if (m->new_of_file[in_file] < 0)
        m->new_of_file[in_file] = node;
    if (m->file->nodes[in_file].kind != m->t.nodes[node].kind)
        return;
    if (!m->t.nodes[node].capability)
        m->t.nodes[node].capability = m->file->nodes[in_file].capability;
    if (m->t.nodes[node].direct < 0)
        m->t.nodes[node].direct = m->file->nodes[in_file].direct;
}

static void add_devices(struct merge *m)
{
    for (int i = 0; i < m->found->nnodes && !m->t.failed; i++) {
        const struct topology_node *node = &m->found->nodes[i];
        int up = node->parent;

        if (merge_is_device(node))
            add_device(m, i);
        else if (node->kind == TOPOLOGY_NVSWITCH)
            m->new_of_found[i] = copy_node(m, node, MERGE_NONE);
        else if (node->kind == TOPOLOGY_PORT)
            m->new_of_found[i] = copy_node(m, node, up >= 0 && merge_is_device(&m->found->nodes[up])
                                           ? m->new_of_found[up] : new_place(m, up));
    }
}

/* What a file's NUMA node leaves open (cores above all), the system knows. */
static void complete_numa(struct merge *m, struct topology_node *node, const struct topology_node *found)
{
    if (*node->cpus && *found->cpus && strcmp(node->cpus, found->cpus))
        merge_cores_differ(m, node, found);
    if (!*node->cpus)
        memcpy(node->cpus, found->cpus, sizeof node->cpus);
    if (!*node->arch)
        memcpy(node->arch, found->arch, sizeof node->arch);
    if (!*node->vendor) {
        memcpy(node->vendor, found->vendor, sizeof node->vendor);
        node->family = found->family;
        node->revision = found->revision;
    }
    if (node->socket < 0)
        node->socket = found->socket;
}

static void complete_numas(struct merge *m)
{
    for (int i = 0; i < m->found->nnodes; i++) {
        const struct topology_node *found = &m->found->nodes[i];

        for (int k = 0; found->kind == TOPOLOGY_NUMA && k < m->t.nnodes; k++)
            if (m->t.nodes[k].kind == TOPOLOGY_NUMA && m->t.nodes[k].number == found->number)
                complete_numa(m, &m->t.nodes[k], found);
    }
}

/* ---- Links ------------------------------------------------------------------------- */

static bool is_fast(const struct topology_link *link)
{
    return link->medium == MEDIUM_NVLINK || link->medium == MEDIUM_XGMI || link->medium == MEDIUM_C2C;
}

/* Those of one source, whose nodes are new[...]; a GPU's to its processor goes to where it hangs now. */
static void add_links(struct merge *m, const struct topology *from, const int *new, bool lanes)
{
    for (int i = 0; i < from->nlinks; i++) {
        const struct topology_link *link = &from->links[i];
        int a = new[link->a], b = new[link->b], at;

        if (!is_fast(link) && !(lanes && link->medium == MEDIUM_LANE))
            continue;
        if (from->nodes[link->a].kind == TOPOLOGY_NUMA && b >= 0)
            a = topology_numa(&m->t, b);
        else if (from->nodes[link->b].kind == TOPOLOGY_NUMA && a >= 0)
            b = topology_numa(&m->t, a);
        if (a < 0 || b < 0 || a == b)
            continue;
        at = topology_link(&m->t, a, b, link->medium, link->lanes, link->bandwidth);
        if (at >= 0)
            m->t.links[at].latency = link->latency;
    }
}

/* NVLinks and the like of GPUs that are here; `new`: where they are in the new graph. */
static int count_fast(const struct topology *t, const int *new)
{
    int lanes = 0;

    for (int i = 0; i < t->nlinks; i++) {
        const struct topology_link *link = &t->links[i];
        bool absent = (t->nodes[link->a].kind == TOPOLOGY_GPU && new[link->a] < 0) ||
                      (t->nodes[link->b].kind == TOPOLOGY_GPU && new[link->b] < 0);

        lanes += is_fast(link) && !absent ? link->lanes : 0;
    }
    return lanes;
}

static void link_devices(struct merge *m)
{
    bool told = false;

    m->lanes_found = count_fast(m->found, m->new_of_found);
    m->lanes_file = count_fast(m->file, m->new_of_file);
    /* The driver gives its GPUs a model; without it nobody has looked for NVLinks. */
    for (int i = 0; i < m->found->nnodes; i++)
        told |= m->found->nodes[i].kind == TOPOLOGY_GPU && m->found->nodes[i].model[0];
    m->links_of_file = !told && !m->lanes_found && m->lanes_file;
    add_links(m, m->found, m->new_of_found, true);
    if (!m->links_of_file)
        return;
    for (int i = 0; i < m->file->nnodes; i++)
        if (m->file->nodes[i].kind == TOPOLOGY_NVSWITCH)
            m->new_of_file[i] = copy_new(m, &m->file->nodes[i], MERGE_NONE);
    add_links(m, m->file, m->new_of_file, false);
}

/* ---- All --------------------------------------------------------------------------- */

static bool has_room(struct merge *m)
{
    size_t nfile = (size_t)m->file->nnodes + 1, nfound = (size_t)m->found->nnodes + 1;

    m->places = malloc(nfile * sizeof *m->places);
    m->new_of_file = malloc(nfile * sizeof *m->new_of_file);
    m->twin = malloc(nfile * sizeof *m->twin);
    m->kept = calloc(nfile, sizeof *m->kept);
    m->in_file = malloc(nfound * sizeof *m->in_file);
    m->new_of_found = malloc(nfound * sizeof *m->new_of_found);
    m->home = malloc(nfound * sizeof *m->home);
    return m->places && m->new_of_file && m->twin && m->kept && m->in_file && m->new_of_found && m->home;
}

static void free_room(struct merge *m)
{
    free(m->places);
    free(m->new_of_file);
    free(m->twin);
    free(m->kept);
    free(m->in_file);
    free(m->new_of_found);
    free(m->home);
}

static int build(struct merge *m)
{
    topology_init(&m->t);
    topology_host(&m->t, m->found->hosts[0].name);
    merge_homes(m);
    copy_structure(m);
    complete_numas(m);
    link_numas(m);
    add_devices(m);
    if (!m->t.failed)
        link_devices(m);
    merge_notes(m);
    return topology_finish(&m->t);
}

int topology_merge(struct topology *file, const struct topology *found)
{
    struct merge m = { .file = file, .found = found, .numa_unknown = MERGE_NONE };
    int status = PEAL_OK;

    if (file->nhosts != 1 || found->nhosts != 1) {
        topology_note(file, false, "taken as it is: what this machine tells is added only to a file of "
                      "one machine, this is of %d", file->nhosts);
        return PEAL_OK;
    }
    if (!has_room(&m)) {
        status = status_fail(PEAL_ERR_MEMORY, "topology: no memory for %d nodes", file->nnodes);
    } else {
        merge_match(&m);
        if (merge_same_machine(&m)) {
            status = build(&m);
            topology_free(status ? &m.t : file);
            if (!status)
                *file = m.t;
        } else {
            merge_other(file);
        }
    }
    free_room(&m);
    if (status)
        topology_free(file);
    return status;
}
