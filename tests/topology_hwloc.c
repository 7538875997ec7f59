/* SPDX-License-Identifier: BSD-3-Clause */
/* hwloc's XML: the machines of tests/topologies as their lstopo pictures show them; what is no such
 * file, cut off or damaged. */
#include "topology_files.h"

extern const struct topology_source read_hwloc;

static const struct machine {
    const char *name;
    int numas, gpus, nvlanes, ports, switches, nvswitches;
    const char *arch;
} machines[] = {
    { "dgx2h-hwloc",             2, 16, 96, 0, 12, 1, "x86_64" },
    { "h200-4x-sd665nv3-hwloc",  6,  4, 36, 3,  2, 0, "x86_64" },
    { "summit-ac922-hwloc",      2,  6,  0, 6,  2, 0, "ppc64le" },
    { "lyra4-vega20-hwloc",      4,  1,  0, 2,  0, 0, "x86_64" },
    { "x9drg-k40-hwloc",         2,  4,  0, 3,  1, 0, "x86_64" },
    { "dgx-spark-gb10-hwloc",    1,  0,  0, 0,  0, 0, "aarch64" },
};

enum { MACHINES = sizeof machines / sizeof *machines };

static void whole(const struct machine *m)
{
    static const enum topology_kind kinds[] = { TOPOLOGY_NUMA, TOPOLOGY_GPU, TOPOLOGY_PORT,
                                                TOPOLOGY_SWITCH, TOPOLOGY_NVSWITCH };
    int wanted[] = { m->numas, m->gpus, m->ports, m->switches, m->nvswitches }, status;
    struct topology t;
    size_t length;
    char *text = file_text(m->name, "hwloc.xml", &length);

    check(read_hwloc.recognise(text, length), "%s is not recognised", m->name);
    status = read_text(&read_hwloc, text, length, &t);
    check(!status, "%s: %s", m->name, status_text());
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !status; i++)
        check(topology_count(&t, kinds[i], -1) == wanted[i], "%s: %d of kind %s, not %d", m->name,
              topology_count(&t, kinds[i], -1), topology_kind_name(kinds[i]), wanted[i]);
    if (!status) {
        check(count_lanes(&t, MEDIUM_NVLINK) == m->nvlanes, "%s: %d NVLinks", m->name,
              count_lanes(&t, MEDIUM_NVLINK));
        check(!strcmp(t.nodes[topology_nth(&t, TOPOLOGY_NUMA, 0, 0)].arch, m->arch), "%s: arch %s",
              m->name, t.nodes[topology_nth(&t, TOPOLOGY_NUMA, 0, 0)].arch);
    }
    topology_free(&t);
    free(text);
}

/* Node i hangs from a node of this kind and PCI address. */
static void hangs(const struct topology *t, const char *name, enum topology_kind kind,
                  enum topology_kind above, const char *bus)
{
    int node = topology_find_name(t, 0, kind, name);
    char text[20];

    check(node >= 0, "no %s", name);
    if (node < 0)
        return;
    topology_bus_print(t->nodes[t->nodes[node].parent].bus, text);
    check(t->nodes[t->nodes[node].parent].kind == above && !strcmp(text, bus), "%s hangs from %s %s",
          name, t->nodes[t->nodes[node].parent].name, text);
}

static void details(void)
{
    struct topology t;
    size_t length;
    char *text = file_text("dgx2h-hwloc", "hwloc.xml", &length);
    int node, link;

    if (!read_text(&read_hwloc, text, length, &t)) {
        hangs(&t, "gpu0", TOPOLOGY_GPU, TOPOLOGY_SWITCH, "0000:32:00.0");
        hangs(&t, "gpu15", TOPOLOGY_GPU, TOPOLOGY_SWITCH, "0000:e3:00.0");
        hangs(&t, "switch1", TOPOLOGY_SWITCH, TOPOLOGY_SWITCH, "0000:2c:00.0");
        node = topology_find_name(&t, 0, TOPOLOGY_GPU, "gpu9");
        check(t.nodes[node].capability == 70, "capability %d of a V100", t.nodes[node].capability);
        check(t.nodes[topology_numa(&t, node)].socket == 1, "gpu9 is not on socket 1");
        link = topology_link_between(&t, node, topology_nth(&t, TOPOLOGY_NVSWITCH, 0, 0), MEDIUM_NVLINK);
        check(link >= 0 && t.links[link].lanes == 6, "gpu9 has not 6 NVLinks to the switch");
        check(strstr(t.nodes[node].model, "V100"), "model %s", t.nodes[node].model);
    }
    topology_free(&t);
    free(text);
    text = file_text("x9drg-k40-hwloc", "hwloc.xml", &length);
    check(!read_text(&read_hwloc, text, length, &t) && has_note(&t, "the PCI links of 4 GPUs are"),
          "no note says that speeds are assumed");
    topology_free(&t);
    free(text);
    text = file_text("h200-4x-sd665nv3-hwloc", "hwloc.xml", &length);
    if (!read_text(&read_hwloc, text, length, &t)) {
        hangs(&t, "gpu3", TOPOLOGY_GPU, TOPOLOGY_SWITCH, "0000:e1:00.0");
        hangs(&t, "gpu0", TOPOLOGY_GPU, TOPOLOGY_ROOT, "-");
        node = topology_find_name(&t, 0, TOPOLOGY_GPU, "gpu1");
        check(t.nodes[topology_numa(&t, node)].number == 2, "gpu1 is not on NUMA node 2");
        link = topology_link_between(&t, node, topology_find_name(&t, 0, TOPOLOGY_GPU, "gpu2"),
                                     MEDIUM_NVLINK);
        check(link >= 0 && t.links[link].lanes == 6, "150000 MB/s are not 6 NVLinks");
        check(topology_find_name(&t, 0, TOPOLOGY_PORT, "mlx5_0") < 0, "mlx5_0 is down, yet there");
        node = topology_find_name(&t, 0, TOPOLOGY_PORT, "mlx5_4");
        check(node >= 0 && t.nodes[node].guid == 0xb8e9240300baa4c0 && t.nodes[node].speed == 50,
              "mlx5_4 is not as in the file");
    }
    topology_free(&t);
    free(text);
    text = file_text("summit-ac922-hwloc", "hwloc.xml", &length);
    if (!read_text(&read_hwloc, text, length, &t)) {
        int one = topology_find_name(&t, 0, TOPOLOGY_PORT, "mlx5_0");
        int other = topology_find_name(&t, 0, TOPOLOGY_PORT, "mlx5_1");

        check(one >= 0 && other >= 0 && t.nodes[one].parent == t.nodes[other].parent,
              "the two functions of an adapter are not one");
        check(!strcmp(t.nodes[0].cpus, "0-83"), "cores %s", t.nodes[0].cpus);
    }
    topology_free(&t);
    free(text);
}

#define BEGIN "<?xml version=\"1.0\"?>\n<topology version=\"3.0\">\n"
#define MATRIX(attributes, indexes, values)                                                     \
    BEGIN "<distances2 " attributes ">\n<indexes>" indexes "</indexes>\n<u64values>" values      \
    "</u64values>\n</distances2>\n</topology>\n"

static void refusals(void)
{
    static const char matrix[] = "<distances2 nbobjs='1' name='NVLinkBandwidth'><indexes>1</indexes>"
                                 "<u64values>1</u64values></distances2>";
    char *deep = malloc(300 * 30 + 100);
    size_t at = (size_t)sprintf(deep, BEGIN);

    expect_refused(&read_hwloc, "", "text:1:");
    expect_refused(&read_hwloc, BEGIN "<object type=\"Machine\">\n", "text:4:");
    expect_refused(&read_hwloc, BEGIN "<object type='PCIDev' pci_busid='rubbish'/></topology>",
                   "text:3: \"rubbish\"");
    expect_refused(&read_hwloc, BEGIN "<object type='NUMANode'/></topology>", "text:3: a NUMANode");
    expect_refused(&read_hwloc, "<topology>\n<object type='Machine'/></topology>", "before 2.0");
    expect_refused(&read_hwloc, "<system version='1'/>", "<system>");
    expect_refused(&read_hwloc, "<!DOCTYPE topology [<!ENTITY a 'aaaa'>]>\n" BEGIN "</topology>",
                   "entity");
    expect_refused(&read_hwloc, MATRIX("nbobjs='2' name='NVLinkBandwidth'", "1 2", "1 2 3"),
                   "2 indexes and 3 values");
    expect_refused(&read_hwloc, MATRIX("nbobjs='2' name='NVLinkBandwidth'", "1 2 3", "1 2 3 4"),
                   "more than its 2 indexes");
    expect_refused(&read_hwloc, MATRIX("nbobjs='1' name='NVLinkBandwidth'", "1", "1 2"),
                   "more than 1 times 1 values");
    expect_refused(&read_hwloc, MATRIX("nbobjs='99999' name='XGMIBandwidth'", "1", "1"), "99999 objects");
    for (int i = 0; i < 300; i++)
        at += (size_t)sprintf(deep + at, "<object type='Group'>");
    expect_refused(&read_hwloc, deep, "deep");
    at = (size_t)sprintf(deep, BEGIN);
    for (int i = 0; i < 17; i++)
        at += (size_t)sprintf(deep + at, "%s", matrix);
    expect_refused(&read_hwloc, deep, "more than 16 matrices");
    free(deep);
}

/* Small machines of one line each that no file has. */
static void oddities(void)
{
    static const char with_gpus[] = BEGIN
        "<object type='Machine' nodeset='0x1'><object type='NUMANode' os_index='0' nodeset='0x1'/>"
        "<object type='PCIDev' gp_index='7' pci_busid='0000:01:00.0' pci_type='0302 [10de:20b0]'/>"
        "<object type='PCIDev' gp_index='8' pci_busid='0000:02:00.0' pci_type='0302 [10de:20b0]'/>"
        "<object type='PCIDev' gp_index='9' pci_busid='0000:03:00.0' pci_type='0302 [10de:20b0]'/></object>"
        "<distances2 nbobjs='3' name='NVLinkBandwidth'><indexes>7 8 9</indexes>"
        "<u64values>0 300000 300000 300000 0 300000 </u64values><u64values>300000 300000 0</u64values>"
        "</distances2></topology>";
    static const char unrelated[] = BEGIN
        "<object type='Machine'><object type='OSDev' name='cuda0' osdev_type='12'/>"
        "<object type='Bridge' bridge_type='0-1'><object type='PCIDev' pci_busid='00:1f.0' "
        "pci_type='0300 [1a03:2000]'><object type='OSDev' name='card0' osdev_type='4'/></object></object>"
        "</object></topology>";
    static const char nested[] = BEGIN     /* devices in devices, and a bridge that says it is a GPU */
        "<object type='Machine'><object type='Bridge' bridge_type='0-1'>"
        "<object type='Bridge' bridge_type='1-1' pci_busid='00:01.0' pci_type='0604 [10de:1]'>"
        "<object type='OSDev' name='cuda9' osdev_type='12'/>"
        "<object type='PCIDev' pci_busid='01:00.0' pci_type='0302 [10de:20b0]'>"
        "<object type='PCIDev' pci_busid='02:00.0' pci_type='0302 [10de:20b0]'/>"
        "<object type='PCIDev' pci_busid='03:00.0' pci_type='0302 [10de:20b0]'/>"
        "</object></object></object></object></topology>";
    struct topology t;
    int status = read_text(&read_hwloc, with_gpus, sizeof with_gpus - 1, &t);

    check(!status && topology_count(&t, TOPOLOGY_NVSWITCH, 0) == 1 &&
          count_lanes(&t, MEDIUM_NVLINK) == 36, "12 NVLinks to each of two are not taken for a switch: %s",
          status ? status_text() : "");
    topology_free(&t);
    status = read_text(&read_hwloc, unrelated, sizeof unrelated - 1, &t);
    check(!status && topology_count(&t, TOPOLOGY_GPU, 0) == 0 && topology_count(&t, TOPOLOGY_NUMA, 0) == 1,
          "a board's graphics is taken for a GPU: %s", status ? status_text() : "");
    topology_free(&t);
    status = read_text(&read_hwloc, nested, sizeof nested - 1, &t);
    check(!status && topology_count(&t, TOPOLOGY_GPU, 0) == 3 && topology_count(&t, TOPOLOGY_SWITCH, 0) == 1,
          "devices in devices: %s", status ? status_text() : "");
    for (int i = 0; i < t.nnodes && !status; i++)
        check(t.nodes[i].parent < 0 || t.nodes[t.nodes[i].parent].kind != TOPOLOGY_GPU,
              "%s hangs from a GPU", t.nodes[i].name);
    topology_free(&t);
}

/* Cut off everywhere, and with bytes changed: a status each, and nothing for the sanitizers. */
static void damage(unsigned seed)
{
    int fine = 0, refused = 0;

    for (int i = 0; i < MACHINES; i++) {
        size_t length;
        char *text = file_text(machines[i].name, "hwloc.xml", &length);

        for (int k = 0; k < 60; k++) {
            char *copy = malloc(length + 1);
            size_t cut = k % 3 ? length : (size_t)rand_r(&seed) % length;
            struct topology t;

            memcpy(copy, text, length);
            for (int n = k % 3 * 2; n; n--)
                copy[(size_t)rand_r(&seed) % length] = "<>\"'0 9a&-"[rand_r(&seed) % 10];
            if (read_text(&read_hwloc, copy, cut, &t))
                refused++;
            else
                fine++;
            topology_free(&t);
            free(copy);
        }
        free(text);
    }
    check(refused > MACHINES * 20 - 1, "%d damaged files refused, %d read", refused, fine);
    printf("damaged: %d refused, %d read\n", refused, fine);
}

int main(void)
{
    unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : 20;

    printf("seed %u (SEED)\n", seed);
    for (int i = 0; i < MACHINES; i++)
        whole(&machines[i]);
    details();
    refusals();
    oddities();
    damage(seed);
    printf("topology_hwloc: %d checks, %d failed\n", checks, failures);
    return failures != 0;
}
