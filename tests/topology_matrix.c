/* SPDX-License-Identifier: BSD-3-Clause */
/* nvidia-smi topo -m: the graph that is made of a matrix must look like it, cell by cell; then what
 * is odd, and what is no matrix.  The matrices here that are not in tests/topologies were made for
 * this, with the structure of machines seen in public reports. */
#include "topology_files.h"

#include "topology/paths.h"

extern const struct topology_source read_matrix;

static const char a100_direct[] =      /* PXB, "0-1", four sockets' worth of SYS */
    "        GPU0    GPU1    NIC0    NIC1    CPU Affinity    NUMA Affinity\n"
    "GPU0     X      NV4     PXB     SYS     0               0-1\n"
    "GPU1    NV4      X      SYS     PXB     0               0-1\n"
    "NIC0    PXB     SYS      X      SYS\n"
    "NIC1    SYS     PXB     SYS      X\n\n"
    "Legend:\n\n  X    = Self\n  PXB  = Connection traversing multiple PCIe bridges\n\n"
    "NIC Legend:\n\n  NIC0: mlx5_7\n  NIC1: mlx5_9\n";
static const char old_legend[] =       /* SOC; PIX, PHB; a tab at each cell */
    "\tGPU0\tGPU1\tGPU2\tGPU3\tCPU Affinity\n"
    "GPU0\t X \tPIX\tSOC\tSOC\t0-7\nGPU1\tPIX\t X \tSOC\tSOC\t0-7\n"
    "GPU2\tSOC\tSOC\t X \tPHB\t8-15\nGPU3\tSOC\tSOC\tPHB\t X \t8-15\n";
static const char pair_and_one[] =     /* one GPU without NVLink; two ports of an adapter */
    "\tGPU0\tGPU1\tGPU2\tNIC0\tNIC1\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\n"
    "GPU0\t X \tNV4\tNODE\tNODE\tNODE\t64-71\t1\t\tN/A\n"
    "GPU1\tNV4\t X \tNODE\tNODE\tNODE\t64-71\t1\t\tN/A\n"
    "GPU2\tNODE\tNODE\t X \tPHB\tPHB\t64-71\t1\t\tN/A\n"
    "NIC0\tNODE\tNODE\tPHB\t X \tPIX\nNIC1\tNODE\tNODE\tPHB\tPIX\t X \n";
static const char tray[] =             /* NVSwitch, and nothing else told */
    "\tGPU0\tGPU1\tGPU2\tGPU3\nGPU0\t X \tNV18\tNV18\tNV18\nGPU1\tNV18\t X \tNV18\tNV18\n"
    "GPU2\tNV18\tNV18\t X \tNV18\nGPU3\tNV18\tNV18\tNV18\t X \n";
static const char off_fabric[] =       /* GPU3 has no NVLinks; with a prompt, escapes, CRs */
    "user@host:~$ nvidia-smi topo -m\r\n"
    "\t\033[4mGPU0\tGPU1\tGPU2\tGPU3\tCPU Affinity\tNUMA Affinity\033[0m\r\n"
    "GPU0\t X \tNV12\tNV12\tSYS\t0-31\t0\r\nGPU1\tNV12\t X \tNV12\tSYS\t0-31\t0\r\n"
    "GPU2\tNV12\tNV12\t X \tNODE\t32-63\t1\r\nGPU3\tSYS\tSYS\tNODE\t X \t32-63\t1\r\n";
static const char desktop[] =
    "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\n"
    "GPU0\t X \tPHB\t0-31\t0\t\tN/A\nGPU1\tPHB\t X \t0-31\t0\t\tN/A\n";
static const char alone[] = "\tGPU0\tCPU Affinity\nGPU0\t X \t0-3\n";

static const struct one {
    const char *name, *text;           /* NULL: of tests/topologies */
    int numas, roots, switches, nvswitches, nvlanes, ports, capability;
} matrices[] = {
    { "dgx1-v100",    NULL,         2, 2, 4, 0, 24, 4, 70 },
    { "rtx8000-4x",   NULL,         2, 4, 0, 0,  4, 0, 75 },
    { "a100_direct",  a100_direct,  2, 2, 6, 0,  4, 2, 86 },
    { "old_legend",   old_legend,   2, 2, 1, 0,  0, 0, 0 },
    { "pair_and_one", pair_and_one, 1, 3, 1, 0,  4, 2, 86 },
    { "tray",         tray,         1, 4, 0, 1, 72, 0, 90 },
    { "off_fabric",   off_fabric,   2, 4, 0, 1, 36, 0, 80 },
    { "desktop",      desktop,      1, 1, 0, 0,  0, 0, 0 },
    { "alone",        alone,        1, 1, 0, 0,  0, 0, 0 },
};

enum { MATRICES = sizeof matrices / sizeof *matrices };

static char *text_of(const struct one *m, size_t *length)
{
    if (!m->text)
        return file_text(m->name, "topo-m.txt", length);
    *length = strlen(m->text);
    return strdup(m->text);
}

/* ---- The graph looks like the matrix -------------------------------------------------------- */

/* Column or row "GPU3", "NIC1" or "mlx5_0" as a node. */
static int node_of(const struct topology *t, const char *label)
{
    char name[40];
    int nic;

    snprintf(name, sizeof name, "gpu%s", label + 3);
    if (!strncmp(label, "GPU", 3))
        return topology_find_name(t, 0, TOPOLOGY_GPU, name);
    nic = topology_find_name(t, 0, TOPOLOGY_PORT, label);
    if (nic < 0 && !strcmp(label, "NIC0"))
        nic = topology_find_name(t, 0, TOPOLOGY_PORT, "mlx5_7");
    if (nic < 0 && !strcmp(label, "NIC1"))
        nic = topology_find_name(t, 0, TOPOLOGY_PORT, "mlx5_9");
    return nic < 0 ? -1 : t->nodes[nic].parent;
}

static void compare_cell(const struct one *m, const struct topology *t, const char *row,
                         const char *column, const char *cell)
{
    int from = node_of(t, row), to = node_of(t, column);
    struct topology_path path;
    char text[16];

    check(from >= 0 && to >= 0, "%s: no node for %s or %s", m->name, row, column);
    if (from < 0 || to < 0 || from == to)
        return;
    check(!path_find(t, from, to, &path), "%s: no path from %s to %s", m->name, row, column);
    if (path.class == CLASS_NVLINK || path.class == CLASS_NVSWITCH)
        snprintf(text, sizeof text, "NV%d", path.lanes);
    else
        snprintf(text, sizeof text, "%s", class_name(path.class));
    check(!strcmp(text, strcmp(cell, "SOC") ? cell : "SYS"), "%s: %s to %s is %s in the graph, %s in the "
          "matrix", m->name, row, column, text, cell);
}

static void compare_cells(const struct one *m, const struct topology *t, char *text)
{
    char *columns[32], *line = strstr(text, "GPU0"), *rest, *word, *words;
    int n = 0;

    line = strtok_r(line, "\r\n", &rest);
    for (word = strtok_r(line, " \t\033", &words); word && n < 32 && strcmp(word, "CPU");
         word = strtok_r(NULL, " \t\033", &words))
        columns[n++] = word;
    while ((line = strtok_r(NULL, "\r\n", &rest)) && !strstr(line, "Legend")) {
        char *row = strtok_r(line, " \t", &words);

        for (int i = 0; row && i < n && (word = strtok_r(NULL, " \t", &words)); i++)
            compare_cell(m, t, row, columns[i], word);
    }
}

static void whole(const struct one *m)
{
    static const enum topology_kind kinds[] = { TOPOLOGY_NUMA, TOPOLOGY_ROOT, TOPOLOGY_SWITCH,
                                                TOPOLOGY_NVSWITCH, TOPOLOGY_PORT };
    int wanted[] = { m->numas, m->roots, m->switches, m->nvswitches, m->ports };
    struct topology t;
    size_t length;
    char *text = text_of(m, &length);
    int status;

    check(read_matrix.recognise(text, length), "%s is not recognised", m->name);
    status = read_text(&read_matrix, text, length, &t);
    check(!status, "%s: %s", m->name, status ? status_text() : "");
    if (!status) {
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            check(topology_count(&t, kinds[i], -1) == wanted[i], "%s: %d of kind %s, not %d", m->name,
                  topology_count(&t, kinds[i], -1), topology_kind_name(kinds[i]), wanted[i]);
        check(count_lanes(&t, MEDIUM_NVLINK) == m->nvlanes, "%s: %d NVLinks", m->name,
              count_lanes(&t, MEDIUM_NVLINK));
        check(t.nodes[topology_nth(&t, TOPOLOGY_GPU, 0, 0)].capability == m->capability,
              "%s: capability %d", m->name, t.nodes[topology_nth(&t, TOPOLOGY_GPU, 0, 0)].capability);
        compare_cells(m, &t, text);
    }
    topology_free(&t);
    free(text);
}

/* ---- Odd ones and wrong ones ------------------------------------------------------------------ */

static void expect_note(const char *text, const char *words)
{
    struct topology t;
    int status = read_text(&read_matrix, text, strlen(text), &t);

    check(!status, "%s: %s", status ? status_text() : "", text);
    check(has_note(&t, words), "no note \"%s\" for %s", words, text);
    topology_free(&t);
}

static void oddities(void)
{
    struct topology t;
    int numa;

    expect_note("GPU0 GPU1\nGPU0 X NV2\nGPU1 PIX X\n", "not the same in both directions (the last in line 3)");
    expect_note("GPU0 GPU1 GPU2\nGPU0 X PIX PXB\nGPU1 PIX X PIX\nGPU2 PXB PIX X\n", "no tree of switches");
    expect_note("GPU0 GPU1 GPU2\nGPU0 X NV12 NV12\nGPU1 NV12 X NV12\nGPU2 NV12 NV12 X\n",
                "NVSwitch: GPU0 has NV12 to 2 others");
    expect_note("GPU0 GPU1\nGPU0 X NV4\nGPU1 NV4 X\n", "one NUMA node is assumed");
    expect_note("GPU0 mlx5_3\nGPU0 X PIX\nmlx5_3 PIX X\n", "ports of 100 Gb/s are assumed");
    /* Numbers and cores of NUMA nodes come from the affinities. */
    if (!read_text(&read_matrix, off_fabric, strlen(off_fabric), &t)) {
        numa = topology_numa(&t, topology_find_name(&t, 0, TOPOLOGY_GPU, "gpu3"));
        check(t.nodes[numa].number == 1 && !strcmp(t.nodes[numa].cpus, "32-63"), "GPU3 is on NUMA node %d, "
              "cores %s", t.nodes[numa].number, t.nodes[numa].cpus);
    }
    topology_free(&t);
}

static void refusals(void)
{
    const struct topology_source *m = &read_matrix;
    char wide[4000] = "";

    expect_refused(m, "", "no line with GPU0");
    expect_refused(m, "nothing of the kind\n", "no line with GPU0");
    expect_refused(m, "GPU0 GPU1\nGPU0 X PIX\n", "text:2: the text ends, and there was no row GPU1");
    expect_refused(m, "GPU0 GPU1\nGPU0 X\nGPU1 PIX X\n", "text:2: the row GPU0 has 1 of 2 cells");
    expect_refused(m, "GPU0 GPU1\nGPU0 X PIX\nGPU1 PIX X\nGPU2 PIX PIX\n",
                   "text:4: there is no column for the row GPU2");
    expect_refused(m, "GPU0 GPU1\nGPU0 X PIX\nGPU0 X PIX\n", "text:3: there is a second row GPU0");
    expect_refused(m, "GPU0 GPU0\nGPU0 X X\n", "two columns are named GPU0");
    expect_refused(m, "GPU0 GPU1\nGPU0 X PIY\n", "text:2: no class of connection in column GPU1: PIY");
    expect_refused(m, "GPU0 GPU1\nGPU0 X NV0\n", "NV0");
    expect_refused(m, "GPU0 GPU1\nGPU0 X NV99\n", "NV99");
    expect_refused(m, "GPU0 GPU1\nGPU0 PIX X\n", "X is not where row and column are the same");
    expect_refused(m, "GPU0 NIC0\nGPU0 X NV2\n", "NVLinks to an adapter");
    for (int i = 0; i < 300; i++)
        sprintf(wide + strlen(wide), "GPU%d ", i);
    expect_refused(m, wide, "more devices than a machine has");
}

static void damage(unsigned seed)
{
    int refused = 0, fine = 0;

    for (int i = 0; i < MATRICES; i++) {
        size_t length;
        char *text = text_of(&matrices[i], &length);

        for (int k = 0; k < 300; k++) {
            char *copy = strdup(text);
            size_t cut = k % 3 ? length : (size_t)rand_r(&seed) % length;
            struct topology t;

            for (int n = k % 3 * 2; n; n--)
                copy[(size_t)rand_r(&seed) % length] = "X NVPIS\t\n\0330189"[rand_r(&seed) % 14];
            if (read_text(&read_matrix, copy, cut, &t))
                refused++;
            else
                fine++;
            topology_free(&t);
            free(copy);
        }
        free(text);
    }
    check(refused > MATRICES * 50 && fine > 10, "%d damaged matrices refused, %d read", refused, fine);
    printf("damaged: %d refused, %d read\n", refused, fine);
}

int main(void)
{
    unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : 20;

    printf("seed %u (SEED)\n", seed);
    for (int i = 0; i < MATRICES; i++)
        whole(&matrices[i]);
    oddities();
    refusals();
    damage(seed);
    printf("topology_matrix: %d checks, %d failed\n", checks, failures);
    return failures != 0;
}
