/* SPDX-License-Identifier: BSD-3-Clause */
/* Which devices of a file and of a machine are the same, and where in the file those belong that it does
 * not have. */
#include "topology/merge.h"

#include <stdlib.h>

bool merge_is_device(const struct topology_node *node)
{
    return node->kind == TOPOLOGY_GPU || node->kind == TOPOLOGY_NIC;
}

bool merge_is_structure(const struct topology_node *node)
{
    return node->kind == TOPOLOGY_NUMA || node->kind == TOPOLOGY_ROOT || node->kind == TOPOLOGY_SWITCH;
}

int merge_up(const struct topology *t, int node)
{
    do
        node = t->nodes[node].parent;
    while (node >= 0 && !merge_is_structure(&t->nodes[node]));
    return node;
}

/* ---- Matching ----------------------------------------------------------------------- */

static int order_places(const void *a, const void *b)
{
    const struct merge_place *x = a, *y = b;

    if (x->bus != y->bus)
        return x->bus < y->bus ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

int merge_first_place(const struct merge *m, uint64_t bus)
{
    int low = 0, high = m->nplaces;

    while (low < high) {
        int middle = low + (high - low) / 2;

        if (m->places[middle].bus < bus)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* At an address there should be one; of several one of the same kind, else the first. */
static int place_at(const struct merge *m, uint64_t bus, enum topology_kind kind)
{
    int first = merge_first_place(m, bus), found = MERGE_NONE;

    for (int i = first; i < m->nplaces && m->places[i].bus == bus && i < first + 16; i++) {
        const struct topology_node *node = &m->file->nodes[m->places[i].node];
        bool alike = merge_is_device(node) == (kind != TOPOLOGY_SWITCH);

        if (node->kind == kind)
            return m->places[i].node;
        if (alike && found < 0)
            found = m->places[i].node;
    }
    return found;
}

/* Functions of an adapter are one NIC where it is found, and may be several in a file. */
static int place_of_adapter(const struct merge *m, uint64_t bus)
{
    int i = merge_first_place(m, bus & ~(uint64_t)0xff);

    for (int end = i + 16; i < m->nplaces && i < end && m->places[i].bus >> 8 == bus >> 8; i++)
        if (m->file->nodes[m->places[i].node].kind == TOPOLOGY_NIC)
            return m->places[i].node;
    return MERGE_NONE;
}

/* NICs of no PCI device by their port's name. */
static int place_by_port(const struct merge *m, int nic)
{
    for (int i = 0; i < m->found->nnodes; i++) {
        int port, up;

        if (m->found->nodes[i].kind != TOPOLOGY_PORT || m->found->nodes[i].parent != nic)
            continue;
        port = topology_find_name(m->file, 0, TOPOLOGY_PORT, m->found->nodes[i].name);
        up = port < 0 ? MERGE_NONE : m->file->nodes[port].parent;
        return up >= 0 && m->file->nodes[up].kind == TOPOLOGY_NIC &&
               m->file->nodes[up].bus == TOPOLOGY_NO_BUS ? up : MERGE_NONE;
    }
    return MERGE_NONE;
}

void merge_match(struct merge *m)
{
    for (int i = 0; i < m->file->nnodes; i++) {
        const struct topology_node *node = &m->file->nodes[i];

        m->new_of_file[i] = m->twin[i] = MERGE_NONE;
        if (node->bus != TOPOLOGY_NO_BUS && (merge_is_device(node) || node->kind == TOPOLOGY_SWITCH))
            m->places[m->nplaces++] = (struct merge_place){ node->bus, i };
    }
    qsort(m->places, (size_t)m->nplaces, sizeof *m->places, order_places);
    for (int i = 0; i < m->found->nnodes; i++) {
        const struct topology_node *node = &m->found->nodes[i];

        m->new_of_found[i] = m->in_file[i] = m->home[i] = MERGE_NONE;
        if (!merge_is_device(node) && node->kind != TOPOLOGY_SWITCH)
            continue;
        if (node->bus == TOPOLOGY_NO_BUS) {
            m->in_file[i] = node->kind == TOPOLOGY_NIC ? place_by_port(m, i) : MERGE_NONE;
            continue;
        }
        m->in_file[i] = place_at(m, node->bus, node->kind);
        if (m->in_file[i] < 0 && node->kind == TOPOLOGY_NIC)
            m->in_file[i] = place_of_adapter(m, node->bus);
        if (m->in_file[i] >= 0 && m->twin[m->in_file[i]] < 0)
            m->twin[m->in_file[i]] = i;
    }
}

/* Two that tell different things of themselves are not the same. */
static bool agree(const struct topology_node *one, const struct topology_node *other)
{
    if (one->kind != other->kind)
        return !one->pci_class && !one->pci_vendor;    /* the file has the address only: a guess */
    return !one->pci_vendor || !other->pci_vendor || one->pci_vendor == other->pci_vendor;
}

/* Addresses such as 0000:01:00.0 are common: if both have GPUs, one of these must be the same; if only the
 * file has, most of its NICs. */
bool merge_same_machine(const struct merge *m)
{
    int gpus_of_file = topology_count(m->file, TOPOLOGY_GPU, -1);
    int gpus = topology_count(m->found, TOPOLOGY_GPU, -1);
    int nics_of_file = topology_count(m->file, TOPOLOGY_NIC, -1), same_gpus = 0, same_nics = 0;

    for (int i = 0; i < m->found->nnodes; i++) {
        const struct topology_node *node = &m->found->nodes[i];

        if (!merge_is_device(node) || m->in_file[i] < 0 || !agree(&m->file->nodes[m->in_file[i]], node))
            continue;
        same_gpus += node->kind == TOPOLOGY_GPU;
        same_nics += node->kind == TOPOLOGY_NIC;
    }
    if (gpus && gpus_of_file)
        return same_gpus > 0;
    if (gpus_of_file)
        return same_nics > nics_of_file / 2;
    return same_gpus + same_nics > 0;
}

/* ---- Places of what the file does not have ---------------------------------------------- */

/* The lowest node above or at both. */
static int common(const struct topology *t, int one, int other)
{
    for (int a = one; a >= 0; a = merge_up(t, a))
        for (int b = other; b >= 0; b = merge_up(t, b))
            if (a == b)
                return a;
    return MERGE_APART;
}

/* home[]: of each switch that was found the node of the file that holds all that is below it. */
void merge_homes(struct merge *m)
{
    for (int i = 0; i < m->found->nnodes; i++) {
        int here;

        if (!merge_is_device(&m->found->nodes[i]) || m->in_file[i] < 0)
            continue;
        here = merge_up(m->file, m->in_file[i]);
        for (int up = m->found->nodes[i].parent; up >= 0; up = m->found->nodes[up].parent) {
            if (m->found->nodes[up].kind != TOPOLOGY_SWITCH || m->home[up] == MERGE_APART)
                continue;
            if (m->home[up] == MERGE_NONE)
                m->home[up] = here < 0 ? MERGE_APART : here;
            else
                m->home[up] = common(m->file, m->home[up], here);
        }
    }
}

int merge_known_place(const struct merge *m, int i)
{
    if (m->found->nodes[i].kind != TOPOLOGY_SWITCH)
        return MERGE_NONE;
    if (m->in_file[i] >= 0)
        return m->in_file[i];
    return m->home[i] >= 0 ? m->home[i] : MERGE_NONE;
}

int merge_above(const struct merge *m, int device)
{
    int up = m->in_file[device] >= 0 ? merge_up(m->file, m->in_file[device]) : MERGE_NONE;

    if (up >= 0)
        return up;
    for (int at = m->found->nodes[device].parent; at >= 0; at = m->found->nodes[at].parent)
        if ((up = merge_known_place(m, at)) >= 0)
            return up;
    return MERGE_NONE;
}
