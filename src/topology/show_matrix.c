/* SPDX-License-Identifier: BSD-3-Clause */
/* The matrix, laid out as nvidia-smi topo -m does. */
#include "topology/show.h"

#include <string.h>

static const char *const meanings[CLASS_COUNT] = {
    [CLASS_SELF] = "itself",
    [CLASS_NVLINK] = "that many NVLinks (XG#: XGMI links) directly",
    [CLASS_NVSWITCH] = "that many NVLinks through NVSwitch",
    [CLASS_PIX] = "one PCI switch",
    [CLASS_PXB] = "several PCI switches, but not the CPU",
    [CLASS_PHB] = "a PCI host bridge, usually the CPU; or C2C",
    [CLASS_NODE] = "the link between PCI host bridges of a NUMA node",
    [CLASS_SYS] = "the link between NUMA nodes (UPI, Infinity Fabric)",
    [CLASS_NET] = "the network",
    [CLASS_NONE] = "nothing that is known",
};

static void put_row(const struct show *s, int row, int width, int width_cpus, FILE *out)
{
    const struct topology *t = &s->host;
    int numa = topology_numa(t, s->devices[row]), n = s->ngpus + s->nports;
    char label[SHOW_LABEL], cell[16];

    show_label(s, s->devices[row], label);
    show_printf(out, SHOW_PLAIN, "%-*s", width, label);
    for (int i = 0; i < n; i++) {
        show_class(s, show_path(s, row, i), cell);
        fprintf(out, "  %-*s", width, i == row ? " X" : cell);
    }
    fputs("  ", out);
    show_printf(out, SHOW_PLAIN, "%-*s", width_cpus, numa >= 0 && *t->nodes[numa].cpus ?
                t->nodes[numa].cpus : "-");
    if (numa >= 0 && t->nodes[numa].number >= 0)
        fprintf(out, "  %d\n", t->nodes[numa].number);
    else
        fputs("  -\n", out);
}

static void put_ports(const struct show *s, FILE *out)
{
    const struct topology *t = &s->host;

    fputs("\nNICs:\n", out);
    for (int i = s->ngpus; i < s->ngpus + s->nports; i++) {
        const struct topology_node *port = &t->nodes[s->devices[i]];
        char bus[20] = "-";

        if (port->parent >= 0)
            topology_bus_print(t->nodes[port->parent].bus, bus);
        fprintf(out, "  NIC%-3d ", i - s->ngpus);
        show_printf(out, SHOW_PLAIN, "%-15s  ", port->name);
        if (port->speed > 0)
            fprintf(out, "%6.4g GB/s", port->speed);
        else
            fputs("speed not known", out);
        fprintf(out, "  PCI %s%s\n", bus, port->direct == 1 ? "  GPUDirect" :
                port->direct == 0 ? "  no GPUDirect" : "");
    }
}

static void put_legend(const bool seen[CLASS_COUNT], FILE *out)
{
    fputs("\nLegend (the worst that the way passes):\n", out);
    for (int i = 0; i < CLASS_COUNT; i++)
        if (seen[i])
            fprintf(out, "  %-4s  %s\n", i == CLASS_NVLINK || i == CLASS_NVSWITCH ? "NV#" :
                    class_name((enum topology_class)i), meanings[i]);
}

void show_matrix(const struct show *s, FILE *out)
{
    int n = s->ngpus + s->nports, width = 4, width_cpus = (int)strlen("CPU Affinity");
    bool seen[CLASS_COUNT] = { false };
    char label[SHOW_LABEL];

    if (!n) {
        fputs("No GPUs and no NICs.\n", out);
        return;
    }
    for (int i = 0; i < n; i++) {
        int numa = topology_numa(&s->host, s->devices[i]);

        show_label(s, s->devices[i], label);
        if ((int)strlen(label) > width)
            width = (int)strlen(label);
        if (numa >= 0 && (int)strlen(s->host.nodes[numa].cpus) > width_cpus)
            width_cpus = (int)strlen(s->host.nodes[numa].cpus);
        for (int k = 0; k < n; k++)
            seen[show_path(s, i, k)->class] = true;
    }
    fprintf(out, "%*s", width, "");
    for (int i = 0; i < n; i++) {
        show_label(s, s->devices[i], label);
        fputs("  ", out);
        show_printf(out, SHOW_PLAIN, "%-*s", width, label);
    }
    fprintf(out, "  %-*s  NUMA Affinity\n", width_cpus, "CPU Affinity");
    for (int i = 0; i < n; i++)
        put_row(s, i, width, width_cpus, out);
    if (s->unlisted)
        fprintf(out, "and %d more devices\n", s->unlisted);
    if (s->nports)
        put_ports(s, out);
    put_legend(seen, out);
}
