/* SPDX-License-Identifier: BSD-3-Clause */
/* What a file and a machine became together, and questions to that. */
#ifndef TOPOLOGY_MERGED_H
#define TOPOLOGY_MERGED_H

#include "topology_files.h"

#include "topology/plan.h"

static struct topology merged;         /* the file, then what topology_merge() makes of it */
static struct topology found;

static void expect_note(const char *words)
{
    check(has_note(&merged, words), "no remark with \"%s\"", words);
    for (int i = 0; i < merged.nnotes && !has_note(&merged, words); i++)
        printf("  %s\n", merged.notes[i].text);
}

static void expect_remarks(const char *what, int n)
{
    int missing = 0;

    for (int i = 0; i < merged.nnotes; i++)
        missing += merged.notes[i].missing;
    check(missing == n, "%s: %d remarks, not %d:", what, missing, n);
    for (int i = 0; i < merged.nnotes && missing != n; i++)
        printf("  %d %s\n", merged.notes[i].missing, merged.notes[i].text);
}

static void expect_count(const char *what, enum topology_kind kind, int n)
{
    int count = topology_count(&merged, kind, -1);

    check(count == n, "%s: %d of kind %s, not %d", what, count, topology_kind_name(kind), n);
}

static int gpu(int number)
{
    return topology_nth(&merged, TOPOLOGY_GPU, 0, number);
}

static int numa_number(int node)
{
    int numa = node < 0 ? -1 : topology_numa(&merged, node);

    return numa < 0 ? -1 : merged.nodes[numa].number;
}

static uint64_t bus_of(const char *text)
{
    uint64_t bus = 0;

    topology_bus_parse(text, &bus);
    return bus;
}

static int lanes_between(int a, int b)
{
    int link = topology_link_between(&merged, gpu(a), gpu(b), MEDIUM_NVLINK);

    return link < 0 ? 0 : merged.links[link].lanes;
}

/* The rings carry so much; each GPU has a port below the same node; `apart`: and each its own. */
static void expect_plan(const char *what, double least, bool near, bool apart)
{
    struct topology_plan plan;
    int status = plan_find(&merged, 0, NULL, 0, 0.5, &plan);

    check(!status, "%s: no plan: %s", what, status ? status_text() : "");
    if (status)
        return;
    check(plan.ring_total >= least * 0.999, "%s: rings carry %g GB/s, not %g", what, plan.ring_total, least);
    for (int i = 0; i < plan.ngpus && near; i++) {
        int port = plan.port[i], nic = port < 0 ? -1 : merged.nodes[port].parent;

        check(nic >= 0 && merged.nodes[nic].parent == merged.nodes[plan.gpus[i]].parent,
              "%s: GPU %d uses %s, of another switch", what, i, port < 0 ? "no port" : merged.nodes[port].name);
        for (int k = 0; k < i && apart; k++)
            check(plan.port[k] != port, "%s: GPUs %d and %d share a port", what, k, i);
    }
    topology_plan_free(&plan);
}

#endif
