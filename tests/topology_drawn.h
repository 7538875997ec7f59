/* SPDX-License-Identifier: BSD-3-Clause */
/* topology_merge() of drawn graphs: whatever topology_finish() lets through, over so few addresses that
 * most collide.  Like every graph that comes of it, each is looked at anew. */
#ifndef TOPOLOGY_DRAWN_H
#define TOPOLOGY_DRAWN_H

#include "topology_files.h"
#include "topology_well.h"

static uint64_t drawing;

static int draw(int below)
{
    drawing = drawing * 6364136223846793005u + 1442695040888963407u;
    return (int)((drawing >> 33) % (unsigned)below);
}

/* Any graph that topology_finish() lets through, over few addresses. */
static void random_topology(struct topology *t, int most)
{
    int n = 1 + draw(most), numas = 0;

    topology_init(t);
    topology_host(t, "host");
    for (int i = 0; i < n; i++) {
        enum topology_kind kind = i ? (enum topology_kind)draw(TOPOLOGY_RAIL) : TOPOLOGY_NUMA;
        int parent = kind == TOPOLOGY_NUMA && draw(4) ? -1 : i ? i - 1 - draw(i < 8 ? i : 8) : -1, at;

        if (kind == TOPOLOGY_NVSWITCH && draw(2))
            parent = -1;
        at = topology_node(t, kind, 0, parent, kind == TOPOLOGY_NUMA ? numas++ * (1 + draw(2)) : draw(9),
                           NULL);
        snprintf(t->nodes[at].name, sizeof t->nodes[at].name, "%s%d", topology_kind_name(kind), i);
        if (draw(5))
            t->nodes[at].bus = (uint64_t)draw(16) << 16 | (uint64_t)draw(2);
        t->nodes[at].pci_class = draw(2) ? 0x030200 : 0;
        if (kind == TOPOLOGY_NUMA)
            snprintf(t->nodes[at].cpus, sizeof t->nodes[at].cpus, "%d-%d", draw(8), 8 + draw(8));
        if (parent >= 0 && draw(8))
            topology_link(t, parent, at, kind == TOPOLOGY_PORT ? MEDIUM_LANE : MEDIUM_PCI, draw(3) * 8,
                          1 + draw(9));
    }
    for (int i = draw(n + 1); i > 0 && n > 1; i--) {
        int a = draw(n), b = draw(n);

        if (a != b)
            topology_link(t, a, b, (enum topology_medium)draw(MEDIUM_COUNT), draw(5), 1 + draw(9));
    }
}

static int structure_above(const struct topology *t, int node)
{
    do
        node = t->nodes[node].parent;
    while (node >= 0 && t->nodes[node].kind != TOPOLOGY_NUMA && t->nodes[node].kind != TOPOLOGY_ROOT &&
           t->nodes[node].kind != TOPOLOGY_SWITCH);
    return node;
}

/* The only GPU or NIC of the file at an address, or -1. */
static int alone_at(const struct topology *file, uint64_t bus)
{
    int node = -1, n = 0;

    for (int i = 0; i < file->nnodes; i++)
        if ((file->nodes[i].kind == TOPOLOGY_GPU || file->nodes[i].kind == TOPOLOGY_NIC) &&
            file->nodes[i].bus == bus) {
            node = i;
            n++;
        }
    return n == 1 ? node : -1;
}

/* Each device of the machine is there once, as it was, in the place that the file gives it. */
static void judge(const struct topology *file, const struct topology *found,
                  const struct topology *merged, long which)
{
    static const enum topology_kind kinds[] = { TOPOLOGY_GPU, TOPOLOGY_NIC, TOPOLOGY_PORT };

    for (size_t k = 0; k < 3; k++)
        check(topology_count(merged, kinds[k], 0) == topology_count(found, kinds[k], 0),
              "case %ld: %d of kind %s", which, topology_count(merged, kinds[k], 0),
              topology_kind_name(kinds[k]));
    for (int i = 0; i < found->nnodes; i++) {
        const struct topology_node *node = &found->nodes[i];
        int new, place, up, new_up;

        if (node->kind != TOPOLOGY_GPU && node->kind != TOPOLOGY_NIC)
            continue;
        new = topology_find_name(merged, 0, node->kind, node->name);
        check(new >= 0 && merged->nodes[new].bus == node->bus && merged->nodes[new].number == node->number,
              "case %ld: %s is not there, or another", which, node->name);
        place = new < 0 || node->bus == TOPOLOGY_NO_BUS ? -1 : alone_at(file, node->bus);
        up = place < 0 ? -1 : structure_above(file, place);
        if (up < 0 || topology_numa(file, up) < 0)
            continue;
        new_up = structure_above(merged, new);
        check(new_up >= 0 && merged->nodes[new_up].kind == file->nodes[up].kind &&
              !strcmp(merged->nodes[new_up].name, file->nodes[up].name),
              "case %ld: %s hangs from %s, in the file from %s", which, node->name,
              new_up < 0 ? "nothing" : merged->nodes[new_up].name, file->nodes[up].name);
    }
}

static inline void topology_drawn(uint64_t seed, long cases)
{
    struct topology file, merged, found;
    long same = 0;

    for (long i = 0; i < cases && failures < 20; i++) {
        uint64_t before = drawing = seed + (uint64_t)i * 1000003;

        random_topology(&merged, 90);
        drawing = before;
        random_topology(&file, 90);
        random_topology(&found, 90);
        if (topology_finish(&file) || topology_finish(&merged) || topology_finish(&found)) {
            check(false, "case %ld is none: %s", i, status_text());
        } else {
            int status = topology_merge(&merged, &found);

            check(!status, "case %ld: %s", i, status ? status_text() : "");
            check(status || !topology_ill(&merged), "case %ld: %s", i, status ? "" : topology_ill(&merged));
            if (!status && !has_note(&merged, "taken as it is")) {
                judge(&file, &found, &merged, i);
                same++;
            }
        }
        topology_free(&file);
        topology_free(&merged);
        topology_free(&found);
    }
    printf("drawn: seed %llu, %ld cases, %ld of them merged\n", (unsigned long long)seed, cases, same);
    check(cases < 100 || same > cases / 4, "only %ld of %ld could be merged", same, cases);
}

#endif
