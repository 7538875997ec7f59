/* SPDX-License-Identifier: BSD-3-Clause */
/* What a file and the machine that it should be of do not agree on, in words. */
#include "topology/merge.h"

#include <stdio.h>
#include <string.h>

/* Addresses for one note, as many as fit. */
struct names { char text[100]; int n; };

static void add(struct names *names, const struct topology_node *node)
{
    size_t used = strlen(names->text);
    char bus[20];

    topology_bus_print(node->bus, bus);
    if (used + TOPOLOGY_NAME + 8 < sizeof names->text)
        snprintf(names->text + used, sizeof names->text - used, "%s%s", names->n ? ", " : "",
                 node->bus == TOPOLOGY_NO_BUS ? node->name : bus);
    else if (names->text[used - 1] != '.')
        strcpy(names->text + used, " ...");
    names->n++;
}

void merge_cores_differ(struct merge *m, const struct topology_node *file,
                        const struct topology_node *found)
{
    topology_note(&m->t, true, "%s has cores %.60s%s in the file and %.60s%s by the system: the file's are "
                  "used; is it of this kind of machine?", file->name, file->cpus,
                  strlen(file->cpus) > 60 ? "..." : "", found->cpus, strlen(found->cpus) > 60 ? "..." : "");
}

/* This device of the file, or another function of the same adapter, or one at the same address. */
static bool is_here(const struct merge *m, int i)
{
    const struct topology_node *node = &m->file->nodes[i];
    int at;

    if (m->new_of_file[i] >= 0)
        return true;
    if (node->bus == TOPOLOGY_NO_BUS)
        return false;
    at = merge_first_place(m, node->bus & ~(uint64_t)0xff);
    for (int end = at + 16; at < m->nplaces && at < end && m->places[at].bus >> 8 == node->bus >> 8; at++) {
        int other = m->places[at].node;

        if (m->new_of_file[other] >= 0 && (m->places[at].bus == node->bus ||
            (node->kind == TOPOLOGY_NIC && m->file->nodes[other].kind == TOPOLOGY_NIC)))
            return true;
    }
    return false;
}

static void tell_absent(struct merge *m)
{
    struct names gpus = { "", 0 }, nics = { "", 0 };

    for (int i = 0; i < m->file->nnodes; i++) {
        const struct topology_node *node = &m->file->nodes[i];

        if ((node->kind == TOPOLOGY_GPU || node->kind == TOPOLOGY_NIC) && !is_here(m, i))
            add(node->kind == TOPOLOGY_GPU ? &gpus : &nics, node);
    }
    if (gpus.n)
        topology_note(&m->t, true, "%d GPUs of the file are not here (%s): hidden from this process (a "
                      "container, the driver), or the file is of a larger machine; left out", gpus.n,
                      gpus.text);
    if (nics.n)
        topology_note(&m->t, true, "%d NICs of the file have no port that is up here (%s): down, hidden "
                      "by a container, or the file is of a larger machine; left out", nics.n, nics.text);
}

static void tell_new(struct merge *m)
{
    struct names gpus = { "", 0 }, astray = { "", 0 }, nics = { "", 0 };

    for (int i = 0; i < m->found->nnodes; i++) {
        const struct topology_node *node = &m->found->nodes[i];

        if ((node->kind != TOPOLOGY_GPU && node->kind != TOPOLOGY_NIC) || m->in_file[i] >= 0)
            continue;
        add(node->kind == TOPOLOGY_NIC ? &nics : merge_above(m, i) >= 0 ? &gpus : &astray, node);
    }
    if (gpus.n)
        topology_note(&m->t, false, "%d GPUs that the file does not name (%s) hang from its switches, "
                      "with which they were found", gpus.n, gpus.text);
    if (astray.n)
        topology_note(&m->t, true, "%d GPUs are not in the file (%s): they hang from what the system "
                      "shows, perhaps only from a NUMA node; is it of this kind of machine?", astray.n,
                      astray.text);
    if (nics.n)
        topology_note(&m->t, false, "%d NICs are not in the file (%s): they hang from what the system "
                      "shows", nics.n, nics.text);
}

static void tell_kinds(struct merge *m)
{
    struct names odd = { "", 0 };

    for (int i = 0; i < m->found->nnodes; i++) {
        const struct topology_node *node = &m->found->nodes[i], *other;

        if (m->in_file[i] < 0)
            continue;
        other = &m->file->nodes[m->in_file[i]];
        if (other->kind != node->kind && (other->pci_class || other->pci_vendor))
            add(&odd, node);
    }
    if (odd.n)
        topology_note(&m->t, true, "%d devices are GPUs in the file and NICs here, or the other way round "
                      "(%s): taken for what they are here", odd.n, odd.text);
}

static void tell_links(struct merge *m)
{
    if (m->links_of_file)
        topology_note(&m->t, true, "the driver does not tell of NVLinks; the file's %d are taken to be "
                      "there", m->lanes_file);
    else if (m->lanes_file && m->lanes_file != m->lanes_found)
        topology_note(&m->t, true, "the file has %d NVLinks or the like, this machine %d: the machine's "
                      "are used", m->lanes_file, m->lanes_found);
}

/* Notes about what one source alone could not know are moot where the other does. */
static void copy_notes(struct merge *m)
{
    bool astray = false;

    for (int i = 0; i < m->found->nnodes; i++)
        astray |= m->found->nodes[i].kind == TOPOLOGY_GPU && merge_above(m, i) < 0;
    for (int i = 0; i < m->file->nnotes; i++)
        if (!m->file->notes[i].guess)
            topology_note(&m->t, m->file->notes[i].missing, "%s", m->file->notes[i].text);
    for (int i = 0; i < m->found->nnotes; i++)
        if (!m->found->notes[i].guess || astray)
            topology_note(&m->t, m->found->notes[i].missing, "%s", m->found->notes[i].text);
}

void merge_notes(struct merge *m)
{
    int gpus = 0, nics = 0, matched = 0;

    copy_notes(m);
    for (int i = 0; i < m->found->nnodes; i++) {
        bool gpu = m->found->nodes[i].kind == TOPOLOGY_GPU, nic = m->found->nodes[i].kind == TOPOLOGY_NIC;

        gpus += gpu;
        nics += nic;
        matched += (gpu || nic) && m->in_file[i] >= 0;
    }
    topology_note(&m->t, false, "NUMA nodes and PCI switches are the file's; %d GPUs, %d NICs, NVLinks and "
                  "ports this machine's (%d matched by PCI address)", gpus, nics, matched);
    tell_absent(m);
    tell_new(m);
    tell_kinds(m);
    tell_links(m);
    if (m->links_assumed)
        topology_note(&m->t, true, "%d PCI links of GPUs and switches have no width in the file, nor here: x16 "
                      "of 8 GT/s is assumed", m->links_assumed);
}

void merge_other(struct topology *file)
{
    bool addresses = false;

    for (int i = 0; i < file->nnodes; i++)
        addresses |= file->nodes[i].bus != TOPOLOGY_NO_BUS;
    if (addresses)
        topology_note(file, true, "none of this machine's GPUs and NICs is at an address of the file: it "
                      "is of another machine, and taken as it is");
    else
        topology_note(file, true, "the file has no PCI addresses: it is taken as it is, without what this "
                      "machine could add");
}
