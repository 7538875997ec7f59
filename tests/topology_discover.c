/* SPDX-License-Identifier: BSD-3-Clause */
/* Discovery of machines that are made up: sysfs in a folder (topology_tree.h), and a library that
 * plays NVML (fake_nvml.c); then of this one, beside hwloc's view of it. */
#include "fake_nvml.h"
#include "topology_files.h"
#include "topology_tree.h"

#include "topology/discover.h"
#include "topology/discover_nvml.h"
#include "topology/hwloc_library.h"
#include "topology/read_hwloc.h"

#include <dlfcn.h>
#include <time.h>

static struct topology found;

static double milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Discovers the tree; `nvml`: the machine that NVML plays, NULL: there is no NVML. */
static struct topology *look(const char *nvml)
{
    struct discover_places places = {
        .sys = tree, .proc = tree, .nvml = nvml ? fake_nvml() : "libpeal-no-such.so"
    };
    int status;

    topology_free(&found);
    if (nvml)
        setenv("FAKE_NVML", nvml, 1);
    status = discover(&places, &found);
    check(!status, "discovery fails: %s", status ? status_text() : "");
    return &found;
}

static int missing_notes(void)
{
    int n = 0;

    for (int i = 0; i < found.nnotes; i++)
        n += found.notes[i].missing;
    return n;
}

static void expect_notes(const char *what, int n)
{
    check(missing_notes() == n, "%s: %d remarks, not %d:", what, missing_notes(), n);
    for (int i = 0; i < found.nnotes && missing_notes() != n; i++)
        printf("  %s\n", found.notes[i].text);
}

static void expect_note(const char *words)
{
    check(has_note(&found, words), "no remark with \"%s\"", words);
    for (int i = 0; i < found.nnotes && !has_note(&found, words); i++)
        printf("  %s\n", found.notes[i].text);
}

static int count(enum topology_kind kind)
{
    return topology_count(&found, kind, -1);
}

static void expect_count(const char *what, enum topology_kind kind, int n)
{
    check(count(kind) == n, "%s: %d of kind %s, not %d", what, count(kind), topology_kind_name(kind), n);
}

static int gpu(int number)
{
    return topology_nth(&found, TOPOLOGY_GPU, 0, number);
}

/* ---- A server: eight times a switch with a GPU and an adapter ------------------------------------ */

static void folder_of(char folder[200], int i, const char *rest)
{
    snprintf(folder, 200, "pci0000:%d0/0000:%d0:01.0%s%s", i + 1, i + 1, *rest ? "/" : "", rest);
    for (char *at = folder; (at = strchr(at, '#')); )
        *at = (char)('1' + i);
}

static const char *const gpu_place = "0000:#1:00.0/0000:#2:00.0/0000:#3:00.0";
static const char *const nic_place = "0000:#1:00.0/0000:#2:01.0/0000:#4:00.0";

static void server(void)
{
    static const char *const bridges[] = { "", "0000:#1:00.0", "0000:#1:00.0/0000:#2:00.0",
                                           "0000:#1:00.0/0000:#2:01.0" };
    static const unsigned char config[4096];       /* no ACS */
    char folder[200], name[24], path[PATH_MAX];

    tree_begin();
    tree_line(".", "cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143");
    tree_numa(0, "0-31,64-95", 0, 0);
    tree_numa(1, "32-63,96-127", 32, 1);
    tree_line("module/nvidia_peermem", "initstate", "live");
    for (int i = 0; i < 8; i++) {
        for (size_t k = 0; k < sizeof bridges / sizeof *bridges; k++) {
            folder_of(folder, i, bridges[k]);
            tree_pci(folder, "0x060400", "0x1000", "0xc030", i / 4, "32.0 GT/s PCIe", "16");
            tree_path(path, "devices/%s/config", folder);
            tree_bytes(path, config, sizeof config);
        }
        folder_of(folder, i, gpu_place);
        tree_pci(folder, "0x030200", "0x10de", "0x2330", i / 4, "32.0 GT/s PCIe", "16");
        tree_driver(folder, "nvidia");
        folder_of(folder, i, nic_place);
        tree_pci(folder, "0x020700", "0x15b3", "0x1021", i / 4, "32.0 GT/s PCIe", "16");
        snprintf(name, sizeof name, "mlx5_%d", i);
        tree_verbs(folder, name, "400 Gb/sec (4X NDR)", "4: ACTIVE");
    }
}

static void set(int i, const char *place, const char *file, const char *text)
{
    char folder[200], path[PATH_MAX];

    folder_of(folder, i, place);
    tree_path(path, "devices/%s", folder);
    tree_line(path, file, text);
}

static void healthy(void)
{
    struct topology *t;
    int node, port, link;
    double begun;

    server();
    begun = milliseconds();
    t = look("hgx-h100");
    printf("a server of 8 GPUs and 8 adapters: %.2f ms\n", milliseconds() - begun);
    expect_count("server", TOPOLOGY_NUMA, 2);
    expect_count("server", TOPOLOGY_ROOT, 8);
    expect_count("server", TOPOLOGY_SWITCH, 8);
    expect_count("server", TOPOLOGY_GPU, 8);
    expect_count("server", TOPOLOGY_PORT, 8);
    expect_count("server", TOPOLOGY_NVSWITCH, 1);
    check(count_lanes(t, MEDIUM_NVLINK) == 8 * 18, "%d NVLinks", count_lanes(t, MEDIUM_NVLINK));
    expect_notes("server", 0);
    check(has_note(t, "8 GPUs, 144 ends of active NVLinks of version 4.0, 144 of these to NVSwitches"),
          "NVML's part is not told");
    node = gpu(5);
    port = topology_find_name(t, 0, TOPOLOGY_PORT, "mlx5_5");
    check(t->nodes[node].parent == t->nodes[t->nodes[port].parent].parent, "GPU 5 and mlx5_5 are not "
          "under one switch");
    check(t->nodes[t->nodes[node].parent].kind == TOPOLOGY_SWITCH, "it is no switch");
    check(t->nodes[node].bus == 0x630000 && t->nodes[node].capability == 90, "GPU 5 is another");
    check(!strcmp(t->nodes[node].model, "NVIDIA H100 80GB HBM3"), "model %s", t->nodes[node].model);
    check(t->nodes[topology_numa(t, node)].socket == 1, "GPU 5 is not on socket 1");
    check(!strcmp(t->nodes[topology_numa(t, node)].cpus, "32-63,96-127"), "cores %s",
          t->nodes[topology_numa(t, node)].cpus);
    check(!strcmp(t->nodes[0].vendor, "GenuineIntel") && t->nodes[0].revision == 143, "processor");
    check(t->nodes[port].speed == 50 && t->nodes[port].direct == 1, "mlx5_5 is slow, or not direct");
    check(t->nodes[port].guid == 0xb8cef60300aa00bb, "guid");
    link = topology_link_between(t, t->nodes[node].parent, node, MEDIUM_PCI);
    check(link >= 0 && t->links[link].lanes == 16 && t->links[link].bandwidth > 40, "GPU 5's PCI link");
}

/* One thing wrong at a time, and all of it put into words. */
static void unhealthy(void)
{
    unsigned char config[4096] = { 0 };
    char folder[200], path[PATH_MAX];
    int link;

    server();
    set(3, gpu_place, "current_link_width", "8");
    set(3, "0000:#1:00.0/0000:#2:00.0", "current_link_width", "8");
    look("hgx-h100");
    expect_note("0000:43:00.0 has 8 lanes, both ends can have 16");
    link = topology_link_between(&found, found.nodes[gpu(3)].parent, gpu(3), MEDIUM_PCI);
    check(found.links[link].lanes == 8, "8 lanes are planned as %d", found.links[link].lanes);

    server();
    for (int i = 0; i < 2; i++) {
        set(i, gpu_place, "current_link_speed", "2.5 GT/s PCIe");
        set(i, "0000:#1:00.0/0000:#2:00.0", "current_link_speed", "2.5 GT/s PCIe");
    }
    look("hgx-h100");
    expect_note("2 PCI links of GPUs run at less than both ends can (0000:13:00.0: 2.5 of 32 GT/s)");
    link = topology_link_between(&found, found.nodes[gpu(0)].parent, gpu(0), MEDIUM_PCI);
    check(found.links[link].bandwidth > 40, "an idle GPU is planned as slow");

    server();
    set(2, nic_place, "current_link_speed", "16.0 GT/s PCIe");
    set(2, "0000:#1:00.0/0000:#2:01.0", "current_link_speed", "16.0 GT/s PCIe");
    look("hgx-h100");
    expect_note("0000:34:00.0 runs at 16 GT/s, both ends can do 32");
    expect_notes("a slow adapter", 1);

    server();
    set(2, nic_place, "infiniband/mlx5_2/ports/1/state", "1: DOWN");
    look("hgx-h100");
    expect_note("1 ports are down, and left out: mlx5_2");
    expect_count("a port down", TOPOLOGY_PORT, 7);

    server();
    config[0x103] = 0x14;              /* at 0x100 something, the next at 0x140 */
    config[0x140] = 0x0d;
    config[0x146] = 0x1d;
    folder_of(folder, 6, "0000:#1:00.0/0000:#2:00.0");
    tree_path(path, "devices/%s/config", folder);
    tree_bytes(path, config, sizeof config);
    look("hgx-h100");
    expect_note("ACS is on at 1 PCI bridges between devices of one switch (first 0000:72:00.0)");
    tree_bytes(path, config, 64);
    look("hgx-h100");
    expect_note("only root may read that");
    config[0x143] = 0x10;              /* a chain that bites its tail: 0x140, 0x100, 0x140 ... */
    config[0x140] = 0x01;
    tree_bytes(path, config, sizeof config);
    look("hgx-h100");
    check(!has_note(&found, "ACS is on"), "ACS where there is none");

    server();
    set(1, gpu_place, "iommu_group/type", "DMA-FQ");
    look("hgx-h100");
    expect_note("the IOMMU translates what 1 GPUs send (first 0000:23:00.0)");
    expect_notes("IOMMU", 1);
}

/* ---- NVML ----------------------------------------------------------------------------------------- */

static int lanes_between(int a, int b)
{
    int link = topology_link_between(&found, gpu(a), gpu(b), MEDIUM_NVLINK);

    return link < 0 ? 0 : found.links[link].lanes;
}

static void nvlinks(void)
{
    int nvswitch;

    server();
    look("dgx-1v");
    check(count_lanes(&found, MEDIUM_NVLINK) == 24, "cube: %d NVLinks", count_lanes(&found, MEDIUM_NVLINK));
    check(lanes_between(0, 4) == 2 && lanes_between(0, 1) == 1 && !lanes_between(0, 5), "cube: GPU 0's links");
    expect_count("cube", TOPOLOGY_NVSWITCH, 0);
    look("a100-4");
    check(lanes_between(1, 3) == 4 && count_lanes(&found, MEDIUM_NVLINK) == 24, "four A100");
    expect_count("4 of 8 GPUs", TOPOLOGY_GPU, 4);
    expect_note("GPU 0000:53:00.0 is in this machine, but NVML does not give it to this process");
    look("idle");
    nvswitch = topology_nth(&found, TOPOLOGY_NVSWITCH, 0, 0);
    check(topology_link_between(&found, gpu(2), nvswitch, MEDIUM_NVLINK) < 0, "idle NVLinks are used");
    expect_note("GPU 5: NVLinks 0,1,2 are inactive, 15 are active (18 of another GPU)");
    expect_note("GPU 2: NVLinks 0,1,");
    look("off-fabric");
    nvswitch = topology_nth(&found, TOPOLOGY_NVSWITCH, 0, 0);
    check(topology_link_between(&found, gpu(5), nvswitch, MEDIUM_NVLINK) < 0, "a GPU off the fabric is on it");
    check(topology_link_between(&found, gpu(4), nvswitch, MEDIUM_NVLINK) >= 0, "its neighbour is not");
    expect_note("GPU 5 is off the NVLink fabric (registration in progress)");
    look("lost");
    expect_count("a lost GPU", TOPOLOGY_GPU, 7);
    expect_note("GPU 1 does not answer NVML (GPU is lost)");
    look("power9");
    check(lanes_between(0, 1) == 3, "POWER9: %d NVLinks between the GPUs", lanes_between(0, 1));
    check(topology_link_between(&found, topology_numa(&found, gpu(0)), gpu(0), MEDIUM_NVLINK) >= 0,
          "POWER9: no NVLink to the processor");
    setenv("FAKE_NVML_COUNT", "3", 1);
    look("hgx-h100");
    expect_count("three given", TOPOLOGY_GPU, 3);
    setenv("FAKE_NVML_COUNT", "0", 1);
    look("hgx-h100");
    expect_count("none given", TOPOLOGY_GPU, 0);
    unsetenv("FAKE_NVML_COUNT");
}

/* GPUs that sysfs does not show, on a fabric that reaches beyond the machine. */
static void rack(void)
{
    int nvswitch, link;

    tree_begin();
    tree_numa(0, "0-71", 0, 0);
    look("gb200");
    expect_count("rack", TOPOLOGY_GPU, 4);
    nvswitch = topology_nth(&found, TOPOLOGY_NVSWITCH, -1, 0);
    check(nvswitch >= 0 && found.nodes[nvswitch].host == -1 && found.nodes[nvswitch].guid,
          "the fabric is not one of several hosts");
    check(count_lanes(&found, MEDIUM_NVLINK) == 72, "%d NVLinks", count_lanes(&found, MEDIUM_NVLINK));
    link = topology_link_between(&found, topology_nth(&found, TOPOLOGY_NUMA, 0, 0), gpu(0), MEDIUM_C2C);
    check(link >= 0 && found.links[link].bandwidth == 450 && found.links[link].lanes == 5, "C2C");
    check(found.nodes[gpu(3)].bus == (UINT64_C(0x19) << 32 | 0x10000), "GPU 3 is elsewhere");
    expect_note("GPU 2 (0018:01:00.0) is not in sysfs");
}

/* Whatever fails, the rest is told. */
static void nvml_failures(void)
{
#define NAME(name, arguments) #name,
    static const char *const functions[] = { NVML_REQUIRED(NAME) NVML_OPTIONAL(NAME) };
#undef NAME

    server();
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        setenv("FAKE_NVML_FAIL", functions[i], 1);
        look("hgx-h100");
        expect_count(functions[i], TOPOLOGY_PORT, 8);
        if (strcmp(functions[i], "nvmlDeviceGetHandleByIndex_v2") &&
            strcmp(functions[i], "nvmlDeviceGetPciInfo_v3"))
            expect_count(functions[i], TOPOLOGY_GPU, 8);
    }
    setenv("FAKE_NVML_FAIL", "nvmlInit_v2", 1);
    look("hgx-h100");
    expect_note("does not start (Unknown Error)");
    unsetenv("FAKE_NVML_FAIL");
    look(NULL);
    expect_note("cannot be loaded");
    expect_count("no NVML", TOPOLOGY_GPU, 8);
    check(found.nodes[gpu(7)].capability == 90, "the chip is not known by its PCI id");
}

/* ---- Other machines -------------------------------------------------------------------------------- */

static void nothing(void)
{
    tree_begin();
    look(NULL);
    expect_count("nothing", TOPOLOGY_NUMA, 1);
    check(found.nnodes == 1, "nothing: %d nodes", found.nnodes);
    expect_note("cannot be read");
    expect_note("no PCI functions");
    expect_note("no network adapter");
}

static void virtual_machine(void)
{
    char folder[64];

    tree_begin();
    tree_line(".", "cpuinfo", "vendor_id\t: AuthenticAMD\nflags\t\t: fpu hypervisor lahf_lm");
    tree_line("class/dmi/id", "sys_vendor", "Amazon EC2");
    tree_line("class/dmi/id", "product_name", "p4d.24xlarge");
    tree_numa(0, "0-47", 0, 0);
    tree_numa(1, "48-95", 48, 1);
    for (int i = 0; i < 4; i++) {
        snprintf(folder, sizeof folder, "pci0000:00/0000:00:%d.0", 10 + i);
        tree_pci(folder, "0x030200", "0x10de", "0x20b0", -1, "Unknown", "0");
        tree_driver(folder, "nvidia");
    }
    tree_pci("pci0000:00/0000:00:05.0", "0x020000", "0x1d0f", "0xec20", 0, "Unknown", "0");
    tree_net("pci0000:00/0000:00:05.0", "ens5", "-1", "up");
    tree_line("devices/virtual/net/lo", "operstate", "unknown");
    tree_link("class/net/lo", "devices/virtual/net/lo");
    look(NULL);
    expect_note("a virtual machine: Amazon EC2 p4d.24xlarge");
    expect_note("shows no PCI switches: which of its 4 GPUs");
    expect_note("the NUMA node of PCI device 0000:00:10.0 (and perhaps more) is not known");
    expect_note("the speed of port ens5 is not known");
    expect_count("virtual machine", TOPOLOGY_PORT, 1);
}

static void adapters(void)
{
    tree_begin();
    tree_numa(0, "0-7", 0, 0);
    /* Two functions of one adapter; one of its virtual functions; a management port; USB. */
    tree_pci("pci0000:00/0000:00:01.0", "0x060400", "0x8086", "0x1111", 0, "8.0 GT/s PCIe", "8");
    tree_pci("pci0000:00/0000:00:01.0/0000:01:00.0", "0x020000", "0x15b3", "0x1019", 0, "8.0 GT/s PCIe", "8");
    tree_pci("pci0000:00/0000:00:01.0/0000:01:00.1", "0x020000", "0x15b3", "0x1019", 0, "8.0 GT/s PCIe", "8");
    tree_pci("pci0000:00/0000:00:01.0/0000:01:00.2", "0x020000", "0x15b3", "0x101a", 0, "Unknown", "0");
    tree_link("devices/pci0000:00/0000:00:01.0/0000:01:00.2/physfn",
              "devices/pci0000:00/0000:00:01.0/0000:01:00.0");
    tree_pci("pci0000:00/0000:00:14.0", "0x0c0330", "0x8086", "0x2222", 0, "Unknown", "0");
    tree_verbs("pci0000:00/0000:00:01.0/0000:01:00.0", "mlx5_0", "100 Gb/sec (4X EDR)", "4: ACTIVE");
    tree_net("pci0000:00/0000:00:01.0/0000:01:00.0", "eth0", "100000", "up");
    tree_net("pci0000:00/0000:00:01.0/0000:01:00.1", "eth1", "25000", "up");
    tree_net("pci0000:00/0000:00:01.0/0000:01:00.2", "eth2", "25000", "up");
    tree_net("pci0000:00/0000:00:14.0", "usb0", "480", "up");
    tree_net("LNXSYSTM:00/VMBUS:00/1234", "syn0", "40000", "up");
    look(NULL);
    expect_count("adapters", TOPOLOGY_NIC, 2);
    expect_count("adapters", TOPOLOGY_PORT, 3);
    check(topology_find_name(&found, 0, TOPOLOGY_PORT, "eth0") < 0, "mlx5_0 is there twice");
    check(found.nodes[topology_find_name(&found, 0, TOPOLOGY_PORT, "mlx5_0")].parent ==
          found.nodes[topology_find_name(&found, 0, TOPOLOGY_PORT, "eth1")].parent, "one adapter is two");
    check(found.nodes[topology_find_name(&found, 0, TOPOLOGY_PORT, "eth1")].direct == 0 &&
          found.nodes[topology_find_name(&found, 0, TOPOLOGY_PORT, "mlx5_0")].direct == -1, "GPUDirect");
    check(found.nodes[topology_find_name(&found, 0, TOPOLOGY_PORT, "syn0")].speed == 5, "a hypervisor's port");
    expect_notes("adapters", 0);
}

static void amd(void)
{
    static const char *const places[] = { "pci0000:00/0000:00:01.0", "pci0000:40/0000:40:01.0" };
    char folder[200], text[200];
    int link;

    tree_begin();
    tree_numa(0, "0-63", 0, 0);
    tree_line("class/kfd/kfd/topology/nodes/0", "properties", "cpu_cores_count 64\nsimd_count 0");
    for (int i = 0; i < 2; i++) {
        snprintf(folder, sizeof folder, "%s/0000:%d1:00.0", places[i], i * 4);
        tree_pci(places[i], "0x060400", "0x1022", "0x1483", 0, "16.0 GT/s PCIe", "16");
        tree_pci(folder, "0x038000", "0x1002", "0x7408", 0, "16.0 GT/s PCIe", "16");
        tree_driver(folder, "amdgpu");
        snprintf(folder, sizeof folder, "class/kfd/kfd/topology/nodes/%d", 2 - i);
        snprintf(text, sizeof text, "simd_count 440\nlocation_id %d\ndomain 0\ngfx_target_version 90010",
                 i ? 0x4100 : 0x100);
        tree_line(folder, "properties", text);
        snprintf(folder, sizeof folder, "class/kfd/kfd/topology/nodes/%d/io_links/1", 2 - i);
        snprintf(text, sizeof text, "type 11\nnode_from %d\nnode_to %d\nmin_bandwidth 50000\n"
                 "max_bandwidth 200000", 2 - i, 1 + i);
        tree_line(folder, "properties", text);
    }
    look(NULL);
    expect_count("AMD", TOPOLOGY_GPU, 2);
    link = topology_link_between(&found, gpu(0), gpu(1), MEDIUM_XGMI);
    check(link >= 0 && found.links[link].lanes == 4, "XGMI bundle");
    check(found.nodes[gpu(0)].bus == 0x410000, "numbers are not those of KFD's nodes");
    check(found.nodes[gpu(0)].capability == 910, "gfx90a is %d", found.nodes[gpu(0)].capability);
}

/* ---- This machine ---------------------------------------------------------------------------------- */

/* NUMA nodes with the same cores, and the same place for each device that both know. */
static void beside_hwloc(void)
{
    struct machine m = { .ndevices = 0 };
    struct topology here;
    char host[TOPOLOGY_TEXT], *xml = NULL;
    size_t length;
    int status = topology_discover(&here), compared = 0;

    check(!status, "this machine: %s", status ? status_text() : "");
    if (hwloc_library_machine(&xml, &length)) {
        printf("skipped: this machine beside hwloc's view of it (%s)\n", status_text());
    } else {
        status = read_hwloc_machine(xml, length, "hwloc", &m, host);
        check(!status, "what hwloc writes cannot be read: %s", status ? status_text() : "");
        for (int i = 0; i < m.nnumas && !status; i++)
            for (int k = 0; k < here.nnodes; k++)
                if (here.nodes[k].kind == TOPOLOGY_NUMA && here.nodes[k].number == m.numas[i].number) {
                    check(!strcmp(here.nodes[k].cpus, m.numas[i].cpus), "NUMA node %d: cores %s, hwloc %s",
                          m.numas[i].number, here.nodes[k].cpus, m.numas[i].cpus);
                    compared++;
                }
        check(compared > 0, "no NUMA node in common with hwloc");
    }
    free(xml);
    machine_free(&m);
    topology_free(&here);
}

/* Where there is no /sys hwloc fills in. */
static void gap(void)
{
    struct discover_places places = { .sys = tree, .proc = tree, .hwloc = true };

    tree_begin();
    topology_free(&found);
    check(!discover(&places, &found), "discovery without /sys");
    check(has_note(&found, "hwloc: ") || has_note(&found, "hwloc is of no help"), "hwloc was not asked");
    check(count(TOPOLOGY_NUMA) >= 1, "no NUMA node");
}

static void how_long(void)
{
    double first = milliseconds(), then, last;
    struct topology here;

    check(!topology_discover(&here), "this machine");
    topology_free(&here);
    then = milliseconds();
    check(!topology_discover(&here), "this machine, again");
    last = milliseconds();
    printf("this machine: %d nodes, %.2f ms the first time, %.2f ms then\n", here.nnodes, then - first,
           last - then);
    topology_free(&here);
}

int main(void)
{
    if (fake_nvml_static()) {
        printf("skipped: the library that plays NVML cannot be built with --disable-shared\n");
        return 77;
    }
    if (!dlopen(fake_nvml(), RTLD_NOW | RTLD_LOCAL)) {
        printf("FAIL: %s\n", dlerror());
        return 1;
    }
    how_long();
    nothing();
    healthy();
    unhealthy();
    nvlinks();
    rack();
    nvml_failures();
    virtual_machine();
    adapters();
    amd();
    beside_hwloc();
    gap();
    topology_free(&found);
    tree_end();
    printf("topology_discover: %d checks, %d failed\n", checks, failures);
    return failures != 0;
}
