/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of cloud providers merged with machines that are made up (sysfs in a folder, a library that plays
 * NVML), of which they are, are in part, or are not; then drawn ones.
 *
 *   topology_merge [seed [cases]] */
#include "effort.h"
#include "fake_nvml.h"
#include "topology_clouds.h"
#include "topology_drawn.h"
#include "topology_merged.h"
#include "topology_well.h"

#include "topology/discover.h"

#include <dlfcn.h>

/* ---- Machines ------------------------------------------------------------------------------------ */

static const char *const ndv4_cpus[] = { "0-23", "24-47", "48-71", "72-95" };
static const char ndv4_gpus[] = "0001:00:00.0 0002:00:00.0 0003:00:00.0 0004:00:00.0 "
                                "000b:00:00.0 000c:00:00.0 000d:00:00.0 000e:00:00.0";

/* Azure's: each device on a bus of its own, and all said to be on NUMA node 0. */
static void ndv4(void)
{
    char bus[24], name[20];

    cloud_begin(4, ndv4_cpus, "AuthenticAMD", "Microsoft Corporation");
    for (int i = 0; i < 8; i++) {
        snprintf(bus, sizeof bus, "%.12s", ndv4_gpus + 13 * i);
        cloud_gpu(NULL, bus, "0x20b0", 0);
        snprintf(bus, sizeof bus, "01%02d:00:00.0", i + 1);
        snprintf(name, sizeof name, "mlx5_ib%d", i);
        cloud_port(NULL, bus, name, "200 Gb/sec (4X HDR)", 0);
    }
    tree_net("LNXSYSTM:00/VMBUS:00/1234", "eth0", "50000", "up");
}

/* Discovers the tree, and merges the file with that. */
static void merge(const char *machine, const char *nvml, const char *buses)
{
    struct discover_places places = {
        .sys = tree, .proc = tree, .nvml = nvml ? fake_nvml() : "libpeal-no-such.so"
    };
    char path[PATH_MAX];
    const char *top = getenv("srcdir");
    int status;

    topology_free(&found);
    topology_free(&merged);
    setenv("FAKE_NVML", nvml ? nvml : "", 1);
    if (buses)
        setenv("FAKE_NVML_BUSES", buses, 1);
    else
        unsetenv("FAKE_NVML_BUSES");
    status = discover(&places, &found);
    check(!status, "discovery fails: %s", status ? status_text() : "");
    snprintf(path, sizeof path, "%s/tests/topologies/%s/topo.xml", top ? top : ".", machine);
    status = topology_read(path, &merged);
    check(!status, "%s: %s", path, status ? status_text() : "");
    status = topology_merge(&merged, &found);
    check(!status, "%s: merging fails: %s", machine, status ? status_text() : "");
    if (!status)
        check(!topology_ill(&merged), "%s: %s", machine, topology_ill(&merged));
}

/* ---- Files of the machine --------------------------------------------------------------------------- */

static void azure_ndv4(void)
{
    static const int numas[8] = { 1, 1, 0, 0, 3, 3, 2, 2 };
    int eth, nvswitch, link;

    ndv4();
    merge("azure-ndv4-a100", "hgx-a100", ndv4_gpus);
    check(has_note(&found, "shows no PCI switches"), "the machine is not flat");
    expect_count("NDv4", TOPOLOGY_NUMA, 4);
    expect_count("NDv4", TOPOLOGY_SWITCH, 4);
    expect_count("NDv4", TOPOLOGY_ROOT, 0);
    expect_count("NDv4", TOPOLOGY_GPU, 8);
    expect_count("NDv4", TOPOLOGY_PORT, 9);
    expect_count("NDv4", TOPOLOGY_NVSWITCH, 1);
    check(count_lanes(&merged, MEDIUM_NVLINK) == 96, "%d NVLinks", count_lanes(&merged, MEDIUM_NVLINK));
    for (int i = 0; i < 8; i++) {
        const struct topology_node *node = &merged.nodes[gpu(i)];

        check(numa_number(gpu(i)) == numas[i], "GPU %d is on NUMA node %d", i, numa_number(gpu(i)));
        check(merged.nodes[node->parent].kind == TOPOLOGY_SWITCH, "GPU %d is below no switch", i);
        check(node->capability == 80 && node->direct == 1 && !strcmp(node->model, "NVIDIA A100-SXM4-40GB"),
              "GPU %d is a %s", i, node->model);
        link = topology_link_between(&merged, node->parent, gpu(i), MEDIUM_PCI);
        check(link >= 0 && merged.links[link].lanes == 16 && merged.links[link].bandwidth > 20,
              "the PCI link of GPU %d is not the file's", i);
    }
    nvswitch = topology_nth(&merged, TOPOLOGY_NVSWITCH, 0, 0);
    link = topology_link_between(&merged, gpu(3), nvswitch, MEDIUM_NVLINK);
    check(link >= 0 && merged.links[link].lanes == 12, "GPU 3's NVLinks");
    eth = topology_find_name(&merged, 0, TOPOLOGY_PORT, "eth0");
    check(numa_number(eth) == 0 && merged.nodes[eth].speed == 6.25, "eth0");
    check(merged.nodes[topology_find_name(&merged, 0, TOPOLOGY_PORT, "mlx5_ib6")].speed == 25, "mlx5_ib6");
    check(merged.nodes[topology_numa(&merged, gpu(4))].socket == 3, "what the system knows of NUMA node 3");
    expect_plan("NDv4", 240, true, true);
    expect_note("8 GPUs, 9 NICs, NVLinks and ports this machine's (16 matched");
    expect_note("1 NICs are not in the file (nic");
    check(!has_note(&merged, "without <gpu>") && !has_note(&merged, "shows no PCI switches"), "stale remarks");
    expect_remarks("NDv4", 0);
}

static void azure_ndv2(void)
{
    static const char *const cpus[] = { "0-19", "20-39" };
    static const char gpus[] = "0001:00:00.0 0002:00:00.0 0003:00:00.0 0004:00:00.0 "
                               "0005:00:00.0 0006:00:00.0 0007:00:00.0 0008:00:00.0";
    char bus[20];

    cloud_begin(2, cpus, "GenuineIntel", "Microsoft Corporation");
    for (int i = 0; i < 8; i++) {
        snprintf(bus, sizeof bus, "%.12s", gpus + 13 * i);
        cloud_gpu(NULL, bus, "0x1db5", -1);
    }
    cloud_port(NULL, "0101:00:00.0", "mlx5_ib0", "100 Gb/sec (4X EDR)", -1);
    merge("azure-ndv2-v100", "dgx-1v", gpus);
    expect_count("NDv2", TOPOLOGY_NUMA, 2);
    expect_count("NDv2", TOPOLOGY_GPU, 8);
    expect_count("NDv2", TOPOLOGY_NVSWITCH, 0);
    check(count_lanes(&merged, MEDIUM_NVLINK) == 24, "%d NVLinks", count_lanes(&merged, MEDIUM_NVLINK));
    check(lanes_between(0, 4) == 2 && lanes_between(0, 1) == 1 && !lanes_between(0, 5), "GPU 0's NVLinks");
    for (int i = 0; i < 8; i++)
        check(numa_number(gpu(i)) == i / 4, "GPU %d is on NUMA node %d", i, numa_number(gpu(i)));
    expect_plan("NDv2", 120, false, false);
    expect_remarks("NDv2", 0);
}

static void aws_p4d(void)
{
    static const char *const cpus[] = { "0-23,48-71", "24-47,72-95" };
    static const char *const buses[] = { "10", "20", "90", "a0" };
    static const char gpus[] = "0000:10:1c.0 0000:10:1d.0 0000:20:1c.0 0000:20:1d.0 "
                               "0000:90:1c.0 0000:90:1d.0 0000:a0:1c.0 0000:a0:1d.0";
    char bus[20], above[20], name[20], folder[200];

    cloud_begin(2, cpus, "GenuineIntel", "Amazon EC2");
    for (int i = 0; i < 4; i++) {
        snprintf(above, sizeof above, "pci0000:%s", buses[i]);
        for (int k = 0; k < 2; k++) {
            snprintf(bus, sizeof bus, "0000:%s:1%c.0", buses[i], 'c' + k);
            cloud_gpu(above, bus, "0x20b0", i / 2);
        }
        snprintf(bus, sizeof bus, "0000:%s:1b.0", buses[i]);
        snprintf(name, sizeof name, "rdmap%ds27", i);
        cloud_place(folder, NULL, bus);
        tree_pci(folder, "0x020000", "0x1d0f", "0xefa0", i / 2, "Unknown", "0");
        tree_verbs(folder, name, "100 Gb/sec (4X EDR)", "4: ACTIVE");
    }
    cloud_eth("0000:00:05.0", 0);
    merge("aws-p4d-a100", "hgx-a100", gpus);
    expect_count("p4d", TOPOLOGY_SWITCH, 4);
    expect_count("p4d", TOPOLOGY_GPU, 8);
    expect_count("p4d", TOPOLOGY_PORT, 5);
    expect_plan("p4d", 240, true, false);
    expect_note("1 NICs are not in the file (0000:00:05.0)");
    expect_remarks("p4d", 0);
}

static const char p5_gpus[] = "0000:53:00.0 0000:64:00.0 0000:75:00.0 0000:86:00.0 "
                              "0000:97:00.0 0000:a8:00.0 0000:b9:00.0 0000:ca:00.0";

/* `flat`: no bridge is shown; `moved`: bridges are, and not at the addresses of the file. */
static void p5(bool flat, bool moved)
{
    static const char *const cpus[] = { "0-47,96-143", "48-95,144-191" };
    char bus[24], above[100], below[150], name[20];

    cloud_begin(2, cpus, "AuthenticAMD", "Amazon EC2");
    for (int i = 0; i < 8; i++) {
        int first = 0x45 + 0x11 * i, numa = i / 4;

        snprintf(above, sizeof above, "pci0000:%02x/0000:%02x:00.0", first - 1, first - 1);
        if (!flat)
            tree_pci(above, "0x060400", "0x1d0f", "0x0200", numa, "32.0 GT/s PCIe", "16");
        snprintf(above + strlen(above), 40, "/0000:%02x:%02x.0", first, moved ? 8 : 0);
        if (!flat)
            tree_pci(above, "0x060400", "0x1d0f", "0x0200", numa, "32.0 GT/s PCIe", "16");
        for (int k = 0; k < 5; k++) {
            snprintf(below, sizeof below, "%s/0000:%02x:%02x.0", above, first + 1, k);
            if (flat)
                snprintf(below, sizeof below, "pci0000:%02x", first - 1);
            else
                tree_pci(below, "0x060400", "0x1d0f", "0x0201", numa, "32.0 GT/s PCIe", "16");
            snprintf(bus, sizeof bus, "0000:%02x:00.0", first + 10 + k);
            snprintf(name, sizeof name, "rdmap%ds0", first + 10 + k);
            if (k == 4)
                cloud_gpu(below, bus, "0x2330", numa);
            else
                cloud_port(below, bus, name, "100 Gb/sec (4X EDR)", numa);
        }
    }
}

/* The file has no GPUs. */
static void aws_p5(void)
{
    for (int moved = 0; moved < 2; moved++) {
        p5(false, moved);
        merge("aws-p5-h100", "hgx-h100", p5_gpus);
        expect_count("p5", TOPOLOGY_SWITCH, 8);
        expect_count("p5", TOPOLOGY_GPU, 8);
        expect_count("p5", TOPOLOGY_PORT, 32);
        expect_plan("p5", 18 * 20, true, true);
        expect_note("8 GPUs that the file does not name (0000:53:00.0, ");
        for (int i = 0; i < 8; i++)
            check(numa_number(gpu(i)) == i / 4 &&
                  merged.nodes[merged.nodes[gpu(i)].parent].kind == TOPOLOGY_SWITCH, "GPU %d is astray", i);
        check(!strcmp(merged.nodes[topology_numa(&merged, gpu(0))].cpus, "0-47,96-143"), "the system's cores");
        check(!strcmp(merged.nodes[topology_numa(&merged, gpu(7))].vendor, "AuthenticAMD"), "and processor");
        check(merged.nodes[merged.nodes[gpu(2)].parent].bus == bus_of("0000:67:00.0"), "the switch of GPU 2");
    }
    p5(true, false);
    merge("aws-p5-h100", "hgx-h100", p5_gpus);
    expect_count("flat p5", TOPOLOGY_GPU, 8);
    expect_plan("flat p5", 18 * 20, false, false);
    for (int i = 0; i < 8; i++)
        check(numa_number(gpu(i)) == i / 4, "flat: GPU %d is on NUMA node %d", i, numa_number(gpu(i)));
    expect_note("8 GPUs are not in the file (0000:53:00.0, ");
}

/* Addresses and nothing else; no NVLinks. */
static void aws_g5(void)
{
    static const char *const cpus[] = { "0-47,96-143", "48-95,144-191" };
    static const char gpus[] = "0000:00:16.0 0000:00:17.0 0000:00:18.0 0000:00:19.0 "
                               "0000:00:1a.0 0000:00:1b.0 0000:00:1c.0 0000:00:1d.0";
    char bus[20];

    cloud_begin(2, cpus, "AuthenticAMD", "Amazon EC2");
    for (int i = 0; i < 8; i++) {
        snprintf(bus, sizeof bus, "%.12s", gpus + 13 * i);
        cloud_gpu(NULL, bus, "0x2237", -1);
    }
    cloud_port(NULL, "0000:00:15.0", "rdmap0s21", "100 Gb/sec (4X EDR)", -1);
    merge("aws-g5-a10g", "a10g-8", gpus);
    expect_count("g5", TOPOLOGY_GPU, 8);
    for (int i = 0; i < 8; i++) {
        int link = topology_link_between(&merged, merged.nodes[gpu(i)].parent, gpu(i), MEDIUM_PCI);

        check(numa_number(gpu(i)) == i / 4, "g5: GPU %d is on NUMA node %d", i, numa_number(gpu(i)));
        check(link >= 0 && merged.links[link].lanes == 16 && merged.links[link].bandwidth > 20,
              "g5: the driver knows GPU %d's PCI link, the file does not", i);
    }
    check(numa_number(topology_find_name(&merged, 0, TOPOLOGY_PORT, "rdmap0s21")) == 1, "g5: the port");
    expect_remarks("g5", 0);
}

/* NUMA nodes with gaps; a NIC on a NUMA node that the file does not name; adapters with two functions,
 * of which the file has one. */
static void oracle_b4(void)
{
    static const char *const cpus[] = { "0-15,128-143", "16-31,144-159", "32-47,160-175", "48-63,176-191",
                                        "64-79,192-207", "80-95,208-223", "96-111,224-239", "112-127" };
    static const char *const nics[] = { "0c", "16", "47", "4b", "89", "93", "c3", "d1" };
    static const int numas[8] = { 3, 3, 1, 1, 7, 7, 5, 5 };
    static const char gpus[] = "0000:0f:00.0 0000:15:00.0 0000:50:00.0 0000:53:00.0 "
                               "0000:8c:00.0 0000:91:00.0 0000:d6:00.0 0000:da:00.0";
    char bus[20], name[20];
    int eth, numa;

    cloud_begin(8, cpus, "AuthenticAMD", "Oracle Corporation");
    for (int i = 0; i < 8; i++) {
        snprintf(bus, sizeof bus, "%.12s", gpus + 13 * i);
        cloud_gpu(NULL, bus, "0x20b0", numas[i]);
        for (int k = 0; k < 2; k++) {
            snprintf(bus, sizeof bus, "0000:%s:00.%d", nics[i], k);
            snprintf(name, sizeof name, "mlx5_%d", 2 * i + k);
            if (i || k)                /* the first of all is down: its adapter begins with the second */
                cloud_port(NULL, bus, name, "100 Gb/sec (2X HDR)", numas[i]);
        }
    }
    cloud_eth("0000:21:00.0", 0);
    merge("oci-bm-gpu-b4-a100", "hgx-a100", gpus);
    expect_count("OCI", TOPOLOGY_SWITCH, 4);
    expect_count("OCI", TOPOLOGY_GPU, 8);
    expect_count("OCI", TOPOLOGY_NIC, 9);
    expect_count("OCI", TOPOLOGY_PORT, 16);
    expect_count("OCI", TOPOLOGY_NUMA, 5);
    eth = topology_find_name(&merged, 0, TOPOLOGY_PORT, "eth0");
    check(numa_number(eth) == 0, "eth0 is on NUMA node %d", numa_number(eth));
    numa = topology_numa(&merged, eth);
    check(numa >= 0 && !strcmp(merged.nodes[numa].cpus, cpus[0]), "NUMA node 0's cores");
    check(topology_link_between(&merged, numa, topology_numa(&merged, gpu(0)), MEDIUM_SMP) >= 0,
          "NUMA node 0 is joined to none");
    for (int i = 0; i < 8; i++)
        check(numa_number(gpu(i)) == numas[i], "OCI: GPU %d is on NUMA node %d", i, numa_number(gpu(i)));
    expect_plan("OCI", 240, true, false);
    check(!has_note(&merged, "NICs of the file"), "functions of an adapter are missed");
}

/* ---- Files that are of it in part, or not -------------------------------------------------------------- */

static void hidden(void)
{
    char bus[20];

    ndv4();
    setenv("FAKE_NVML_COUNT", "4", 1);
    merge("azure-ndv4-a100", "hgx-a100", ndv4_gpus);
    expect_count("4 of 8", TOPOLOGY_GPU, 4);
    expect_count("4 of 8", TOPOLOGY_PORT, 9);
    expect_count("4 of 8", TOPOLOGY_SWITCH, 4);
    expect_note("4 GPUs of the file are not here (000d:00:00.0, 000e:00:00.0, 000b:00:00.0, 000c:00:00.0)");
    check(count_lanes(&merged, MEDIUM_NVLINK) == 48, "%d NVLinks", count_lanes(&merged, MEDIUM_NVLINK));
    expect_plan("4 of 8", 240, true, true);
    setenv("FAKE_NVML_COUNT", "0", 1);
    merge("azure-ndv4-a100", "hgx-a100", ndv4_gpus);
    expect_count("0 of 8", TOPOLOGY_GPU, 0);
    expect_count("0 of 8", TOPOLOGY_PORT, 9);
    expect_note("8 GPUs of the file are not here");
    unsetenv("FAKE_NVML_COUNT");

    /* No network in a container; one GPU that the file does not have. */
    cloud_begin(4, ndv4_cpus, "AuthenticAMD", "Microsoft Corporation");
    for (int i = 0; i < 8; i++) {
        snprintf(bus, sizeof bus, "%.12s", ndv4_gpus + 13 * i);
        cloud_gpu(NULL, i == 7 ? "000f:00:00.0" : bus, "0x20b0", i == 7 ? 2 : 0);
    }
    merge("azure-ndv4-a100", "hgx-a100", "0001:00:00.0 0002:00:00.0 0003:00:00.0 0004:00:00.0 "
          "000b:00:00.0 000c:00:00.0 000d:00:00.0 000f:00:00.0");
    expect_count("no network", TOPOLOGY_NIC, 0);
    expect_count("no network", TOPOLOGY_GPU, 8);
    check(numa_number(gpu(7)) == 2, "the unknown GPU is on NUMA node %d", numa_number(gpu(7)));
    expect_note("8 NICs of the file have no port that is up here (0103:00:00.0, ");
    expect_note("1 GPUs are not in the file (000f:00:00.0)");
    expect_note("1 GPUs of the file are not here (000e:00:00.0)");
    expect_plan("no network", 240, false, false);
}

static void other_machine(void)
{
    struct topology alone;
    char path[PATH_MAX];
    const char *top = getenv("srcdir");

    ndv4();
    merge("azure-ndv2-v100", NULL, NULL);      /* its GPUs 1 to 4 are at addresses of this one's */
    check(!has_note(&merged, "of another machine"), "addresses in common are not seen");
    expect_note("4 GPUs of the file are not here");
    for (int i = 0; i < 2; i++) {
        const char *machine = i ? "oci-bm-gpu-b4-a100" : "aws-p5-h100";

        merge(machine, "hgx-a100", ndv4_gpus);
        expect_note("it is of another machine, and taken as it is");
        snprintf(path, sizeof path, "%s/tests/topologies/%s/topo.xml", top ? top : ".", machine);
        check(!topology_read(path, &alone) && !topology_differs(&merged, &alone, false),
              "%s is not as it was", machine);
        topology_free(&alone);
    }
    /* A NIC at an address that many machines have one at. */
    cloud_begin(1, ndv4_cpus, "GenuineIntel", "QEMU");
    cloud_gpu(NULL, "0000:13:00.0", "0x20b0", 0);
    cloud_eth("0000:0c:00.0", 0);
    merge("oci-bm-gpu-b4-a100", NULL, NULL);
    expect_note("it is of another machine, and taken as it is");
    expect_count("a NIC in common", TOPOLOGY_GPU, 8);
    cloud_begin(1, ndv4_cpus, "GenuineIntel", "QEMU");
    cloud_eth("0000:0c:00.0", 0);
    merge("oci-bm-gpu-b4-a100", NULL, NULL);
    expect_note("it is of another machine, and taken as it is");
}

/* Merges two texts of NCCL's or Peal's; false: one could not be read. */
static void merge_texts(const char *file, const char *here)
{
    int status;

    topology_free(&found);
    topology_free(&merged);
    status = topology_read_text(file, strlen(file), "file", &merged);
    check(!status, "%s", status ? status_text() : "");
    status = topology_read_text(here, strlen(here), "here", &found);
    check(!status, "%s", status ? status_text() : "");
    status = topology_merge(&merged, &found);
    check(!status, "%s", status ? status_text() : "");
    if (!status)
        check(!topology_ill(&merged), "%s", topology_ill(&merged));
}

#define CPU(inside) "<system version=\"1\"><cpu numaid=\"0\">" inside "</cpu></system>"
#define GPU_AT(bus, dev) "<pci busid=\"" bus "\" class=\"0x030200\"><gpu dev=\"" dev "\" sm=\"80\"/></pci>"
#define NIC_AT(bus, name) "<pci busid=\"" bus "\" class=\"0x020700\"><nic><net name=\"" name \
    "\" speed=\"100000\" port=\"1\"/></nic></pci>"
#define SWITCH_AT(bus, inside) "<pci busid=\"" bus "\" class=\"0x060400\">" inside "</pci>"

static void odd_texts(void)
{
    /* What is a NIC in one and a GPU in the other. */
    merge_texts(CPU(SWITCH_AT("0000:01:00.0", GPU_AT("0000:02:00.0", "0") GPU_AT("0000:03:00.0", "1"))),
                CPU(GPU_AT("0000:02:00.0", "0") NIC_AT("0000:03:00.0", "mlx5_0")));
    expect_count("kinds", TOPOLOGY_GPU, 1);
    expect_count("kinds", TOPOLOGY_PORT, 1);
    expect_note("1 devices are GPUs in the file and NICs here, or the other way round (0000:03:00.0)");
    check(merged.nodes[topology_nth(&merged, TOPOLOGY_NIC, 0, 0)].parent == merged.nodes[gpu(0)].parent,
          "the NIC is not in the place of the file's GPU");
    /* The same address twice in each; a switch at the address of a GPU. */
    merge_texts(CPU(SWITCH_AT("0000:02:00.0", NIC_AT("0000:02:00.0", "a") NIC_AT("0000:02:00.0", "b")
                              GPU_AT("0000:02:00.0", "0"))),
                CPU(GPU_AT("0000:02:00.0", "0") NIC_AT("0000:02:00.0", "c") NIC_AT("0000:02:00.0", "d")));
    expect_count("twice", TOPOLOGY_NIC, 2);
    expect_count("twice", TOPOLOGY_GPU, 1);
    check(merged.nodes[merged.nodes[gpu(0)].parent].kind == TOPOLOGY_SWITCH, "twice: the GPU's switch");
    /* No address, no device, and a file of several machines. */
    merge_texts("<system version=\"1\"><cpu numaid=\"0\"/></system>", CPU(GPU_AT("0000:02:00.0", "0")));
    expect_note("the file has no PCI addresses");
    merge_texts("<system version=\"1\"><cpu numaid=\"0\" host_hash=\"0x1\">" GPU_AT("0000:02:00.0", "0")
                "</cpu><cpu numaid=\"0\" host_hash=\"0x2\">" GPU_AT("0000:02:00.0", "0") "</cpu></system>",
                CPU(GPU_AT("0000:02:00.0", "0")));
    expect_note("taken as it is");
    check(merged.nhosts == 2, "%d hosts", merged.nhosts);
    /* No driver here: the file's NVLinks. */
    merge_texts(CPU("<pci busid=\"0000:02:00.0\" class=\"0x030200\"><gpu dev=\"0\" sm=\"80\">"
                    "<nvlink target=\"0000:03:00.0\" count=\"4\" tclass=\"0x030200\"/></gpu></pci>"
                    GPU_AT("0000:03:00.0", "1")),
                CPU(GPU_AT("0000:03:00.0", "0") GPU_AT("0000:02:00.0", "1")));
    expect_note("the driver does not tell of NVLinks; the file's 4 are taken to be there");
    check(lanes_between(0, 1) == 4, "the file's NVLinks are lost");
    check(merged.nodes[gpu(0)].bus == bus_of("0000:03:00.0"), "the file's numbers");
}

#define LINK_AT(bus, class, rest) "<pci busid=\"" bus "\" class=\"" class "\" " rest "/>"
#define TWO(one, other) "<system version=\"1\"><cpu numaid=\"4\" affinity=\"0000000f\">" one \
    "</cpu><cpu numaid=\"5\" affinity=\"000000f0\">" other "</cpu></system>"

/* Where a GPU goes that the file does not have; whose speed of a PCI link it is. */
static void places(void)
{
    int link, nic;

    merge_texts(CPU(LINK_AT("0000:02:00.0", "0x030200", "link_speed=\"16 GT/s\" link_width=\"16\"")
                    NIC_AT("0000:03:00.0", "a")),
                CPU(LINK_AT("0000:02:00.0", "0x030200", "link_speed=\"8 GT/s\" link_width=\"8\"")
                    LINK_AT("0000:03:00.0", "0x020700", "link_speed=\"8 GT/s\" link_width=\"8\"")));
    link = topology_link_between(&merged, merged.nodes[gpu(0)].parent, gpu(0), MEDIUM_PCI);
    check(link >= 0 && merged.links[link].lanes == 16, "a link is not the file's");
    nic = topology_nth(&merged, TOPOLOGY_NIC, 0, 0);
    link = topology_link_between(&merged, merged.nodes[nic].parent, nic, MEDIUM_PCI);
    check(link >= 0 && merged.links[link].lanes == 8, "the file knows no link, the machine's is not used");

    /* Found on one switch with two NICs that the file has on two: above both. */
    merge_texts(TWO(NIC_AT("0000:09:00.0", "z"), SWITCH_AT("0000:01:00.0", NIC_AT("0000:02:00.0", "a")
                    NIC_AT("0000:03:00.0", "b")) NIC_AT("0000:04:00.0", "c")),
                CPU(SWITCH_AT("0000:0a:00.0", NIC_AT("0000:02:00.0", "a") NIC_AT("0000:04:00.0", "c")
                              GPU_AT("0000:05:00.0", "0"))));
    check(merged.nodes[merged.nodes[gpu(0)].parent].kind == TOPOLOGY_NUMA && numa_number(gpu(0)) == 5,
          "a GPU between two switches is on NUMA node %d", numa_number(gpu(0)));
    /* With NICs on both NUMA nodes: where the system says, by the node's cores. */
    merge_texts(TWO(NIC_AT("0000:02:00.0", "a"), NIC_AT("0000:04:00.0", "c")),
                "<system version=\"1\"><cpu numaid=\"0\" affinity=\"0000000f\"/><cpu numaid=\"1\" "
                "affinity=\"000000f0\">" SWITCH_AT("0000:0a:00.0", NIC_AT("0000:02:00.0", "a")
                NIC_AT("0000:04:00.0", "c") GPU_AT("0000:05:00.0", "0")) "</cpu></system>");
    check(numa_number(gpu(0)) == 5, "a GPU with NICs of both NUMA nodes is on %d", numa_number(gpu(0)));
    expect_count("no more NUMA nodes", TOPOLOGY_NUMA, 2);
    /* Below a switch of which the file has nothing: that is kept. */
    merge_texts(TWO(NIC_AT("0000:02:00.0", "a"), SWITCH_AT("0000:01:00.0", NIC_AT("0000:04:00.0", "c")
                                                           NIC_AT("0000:06:00.0", "d"))),
                TWO(NIC_AT("0000:02:00.0", "a"), NIC_AT("0000:04:00.0", "c") SWITCH_AT("0000:0a:00.0",
                    GPU_AT("0000:07:00.0", "0") GPU_AT("0000:08:00.0", "1"))));
    expect_count("a switch of its own", TOPOLOGY_SWITCH, 2);
    check(merged.nodes[gpu(0)].parent == merged.nodes[gpu(1)].parent &&
          merged.nodes[merged.nodes[gpu(1)].parent].bus == bus_of("0000:0a:00.0"), "two GPUs' own switch is lost");
    expect_note("2 GPUs are not in the file (0000:07:00.0, 0000:08:00.0)");
    expect_note("1 NICs of the file have no port that is up here (0000:06:00.0)");
}

/* This machine, whatever it is, by the setting: with its own file it is as it was. */
static void by_setting(void)
{
    char path[] = "/tmp/peal-merge-XXXXXX", source[200], *text = NULL;
    int file = mkstemp(path), devices = 0;
    FILE *out = file < 0 ? NULL : fdopen(file, "w");

    topology_free(&found);
    topology_free(&merged);
    check(!topology_discover(&found), "this machine");
    text = topology_write_own(&found);
    check(out && text && fputs(text, out) >= 0 && !fclose(out), "%s cannot be written", path);
    setenv("PEAL_TOPO_FILE", path, 1);
    check(!topology_here(&merged, source, sizeof source), "%s: %s", path, status_text());
    check(!strcmp(source, path), "it is said to be from %s", source);
    for (int kind = 0; kind < TOPOLOGY_RAIL; kind++)
        check(topology_count(&merged, (enum topology_kind)kind, -1) ==
              topology_count(&found, (enum topology_kind)kind, -1), "this machine with its own file: %d of kind %s",
              topology_count(&merged, (enum topology_kind)kind, -1), topology_kind_name((enum topology_kind)kind));
    for (int i = 0; i < found.nnodes; i++)
        devices += found.nodes[i].bus != TOPOLOGY_NO_BUS &&
                   (found.nodes[i].kind == TOPOLOGY_GPU || found.nodes[i].kind == TOPOLOGY_NIC);
    expect_note(devices ? "NUMA nodes and PCI switches are the file's" : "taken as it is");
    printf("this machine with its own file: %d devices with an address\n", devices);
    topology_free(&merged);
    setenv("PEAL_TOPO_FILE", "socket:1 gpu:2", 1);
    check(!topology_here(&merged, source, sizeof source), "in words: %s", status_text());
    expect_count("in words", TOPOLOGY_GPU, 2);
    check(!has_note(&merged, "taken as it is") && !has_note(&merged, "the file's"), "words are merged");
    unsetenv("PEAL_TOPO_FILE");
    unlink(path);
    free(text);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    long cases = argc > 2 ? atol(argv[2]) : effort_quick() ? 500 : 5000;

    if (fake_nvml_static()) {
        printf("skipped: files of cloud providers: what plays NVML cannot be built with --disable-shared\n");
    } else if (!dlopen(fake_nvml(), RTLD_NOW | RTLD_LOCAL)) {
        check(false, "%s", dlerror());
    } else if (topology_without_expat()) {
        printf("skipped: files of cloud providers, which are XML: built without expat\n");
    } else {
        azure_ndv4();
        azure_ndv2();
        aws_p4d();
        aws_p5();
        aws_g5();
        oracle_b4();
        hidden();
        other_machine();
        odd_texts();
        places();
    }
    by_setting();
    topology_drawn(seed, cases);
    topology_free(&found);
    topology_free(&merged);
    tree_end();
    printf("topology_merge: %d checks, %d failed\n", checks, failures);
    return failures != 0;
}
