/* SPDX-License-Identifier: BSD-3-Clause */
/* NCCL's and RCCL's XML: every odd thing that such files have been seen with, and what is refused. */
#include "checks.h"
#include "topology_refused.h"
#include "topology_well.h"

#include "base/status.h"

#include <string.h>

static bool load(const char *text, struct topology *t)
{
    int status = topology_read_text(text, strlen(text), "test", t);

    check(!status, "%.60s...: %s", text, status ? status_text() : "");
    if (!status)
        check(!topology_ill(t), "%.60s...: %s", text, topology_ill(t));
    return !status;
}

/* ---- Odd things ------------------------------------------------------------------------------ */

#define CPU "<cpu numaid='0' arch='x86_64' vendor='AuthenticAMD'>"
#define PCI_GPU(bus, inside) \
    "<pci busid='" bus "' class='0x030200' link_speed='16 GT/s' link_width='16'>" inside "</pci>"

/* Bandwidth of the link above the only GPU. */
static void pci_speed_of(int sm, const char *attributes, double wanted)
{
    struct topology t;
    char text[300];
    int gpu;

    snprintf(text, sizeof text, "<system version='1'>" CPU "<pci busid='0:1:0.0' class='0x030200' %s>"
             "<gpu dev='0' sm='%d'/></pci></cpu></system>", attributes, sm);
    if (!load(text, &t))
        return;
    gpu = topology_nth(&t, TOPOLOGY_GPU, 0, 0);
    check(about(t.links[topology_link_between(&t, t.nodes[gpu].parent, gpu, MEDIUM_PCI)].bandwidth, wanted),
          "PCI of sm %d with %s", sm, attributes);
    topology_free(&t);
}

static void pci_speeds(void)
{
    pci_speed_of(70, "link_speed='8 GT/s' link_width='16'", 12);
    pci_speed_of(70, "link_speed='8.0 GT/s PCIe' link_width='8'", 6);
    pci_speed_of(70, "link_speed='32 GT/s PCIe/s' link_width='16'", 48);
    pci_speed_of(70, "link_speed='64.0 GT/s PCIe' link_width='16'", 96);
    pci_speed_of(70, "link_speed='5.0 GT/s PCIe' link_width='16'", 6);
    pci_speed_of(70, "link_speed='2.5 GT/s PCIe' link_width='1'", 0.1875);
    pci_speed_of(70, "link_speed='' link_width='0'", 12);
    pci_speed_of(70, "link_speed='Unknown' link_width=''", 12);
    pci_speed_of(70, "link_speed='16 GT/s'", 24);
    pci_speed_of(70, "link_width='0x8'", 6);
    pci_speed_of(70, "", 12);
    /* Nothing told: as the GPU has it; what is told stays. */
    pci_speed_of(80, "link_speed='' link_width='0'", 24);
    pci_speed_of(80, "link_width='8'", 12);
    pci_speed_of(80, "link_speed='8 GT/s' link_width='16'", 12);
    pci_speed_of(90, "", 48);
    pci_speed_of(100, "link_speed='Unknown'", 48);
    pci_speed_of(0, "", 12);
}

/* One host, two GPUs on a NUMA node, with what is in their <gpu>; then what links there are. */
static void two_gpus(const char *what, const char *one, const char *other, enum topology_medium medium,
                     int links, int lanes, double bandwidth, const char *note)
{
    struct topology t;
    char text[1000];
    struct sum sum;

    snprintf(text, sizeof text, "<system version='2'><!-- two -->" CPU PCI_GPU("0000:01:00.0",
             "<gpu dev='0' sm='80' gcn='%s' rank='0' gdr='1'>%s</gpu>") PCI_GPU("0000:02:00.0",
             "<gpu dev='1' sm='80' rank='1' gdr='1'>%s</gpu>") "</cpu></system>",
             medium == MEDIUM_XGMI ? "gfx90a:sramecc+" : "", one, other);
    if (!load(text, &t))
        return;
    sum = links_of(&t, medium);
    check(sum.links == links && sum.lanes == lanes && about(sum.bandwidth, bandwidth),
          "%s: %d links, %d lanes, %g GB/s", what, sum.links, sum.lanes, sum.bandwidth);
    check(!note || noted(&t, note), "%s: no note says '%s'", what, note ? note : "");
    topology_free(&t);
}

static void gpu_links(void)
{
    const char *to0 = "<nvlink target='0000:01:00.0' count='4' tclass='0x030200'/>";
    const char *to1 = "<nvlink target='0000:02:00.0' count='4' tclass='0x030200'/>";
    const char *less = "<nvlink target='01:00.0' count='2' tclass='0x030200'/>";
    const char *hidden = "<nvlink target='fffffff:ff:ff.0' count='18' tclass='0x068000'/>";
    const char *planes = "<nvlink target='0000:1a:00.0' count='5' tclass='0x068000'/>"
                         "<nvlink target='0000:1b:00.0' count='7' tclass='0x068000'/>";

    two_gpus("both ends", to1, to0, MEDIUM_NVLINK, 1, 4, 80, NULL);
    two_gpus("one end", to1, "", MEDIUM_NVLINK, 1, 4, 80, NULL);
    two_gpus("the other end", "", to0, MEDIUM_NVLINK, 1, 4, 80, NULL);
    two_gpus("uneven ends", to1, less, MEDIUM_NVLINK, 1, 2, 40, "do not agree");
    two_gpus("itself", to0, to1, MEDIUM_NVLINK, 0, 0, 0, "2 NVLinks lead from a GPU to itself");
    two_gpus("hidden switch", hidden, hidden, MEDIUM_NVLINK, 2, 36, 720, NULL);
    two_gpus("planes", planes, planes, MEDIUM_NVLINK, 2, 24, 480, NULL);
    two_gpus("GPUs as switches", "<nvlink target='0000:02:00.0' count='18' tclass='0x068000'/>",
             "<nvlink target='0000:01:00.0' count='18' tclass='0x068000'/>", MEDIUM_NVLINK, 2, 36, 720,
             "as NVSwitches");
    two_gpus("a GPU of no file", "<nvlink target='0000:99:00.0' count='4' tclass='0x030200'/>", "",
             MEDIUM_NVLINK, 0, 0, 0, "0000:99:00.0 first");
    two_gpus("no class", "<nvlink target='0000:02:00.0' count='4'/>", "", MEDIUM_NVLINK, 1, 4, 80, NULL);
    two_gpus("no count", "<nvlink target='0000:02:00.0'/>", "", MEDIUM_NVLINK, 1, 1, 20, NULL);
    two_gpus("processor", "<nvlink target='0000:00:00.0' count='3' tclass='0x068001'/>", "", MEDIUM_NVLINK, 1,
             3, 60, NULL);
    two_gpus("XGMI", "<xgmi target='0000:02:00.0' count='2' tclass='0x038000'/>",
             "<xgmi target='0000:01:00.0' count='2' tclass='0x038000'/>", MEDIUM_XGMI, 1, 2, 48, NULL);
    two_gpus("C2C", "<c2c bw='44712' count='5'/>", "<c2c bw='44712' count='5'/>", MEDIUM_C2C, 2, 10, 447.12,
             NULL);
    two_gpus("something else", "<fins count='2'/>", "<fins/>", MEDIUM_PCI, 2, 32, 48, "2 elements of other");
}

static void classes(void)
{
    static const struct {
        const char *attributes;
        int gpus, nics;
    } cases[] = {
        { "class='0x030200'", 1, 0 }, { "class='0x030000' vendor='0x10de'", 1, 0 },
        { "class='0x030000' vendor='0x1a03'", 0, 0 }, { "class='0x120000' vendor='0x1002'", 1, 0 },
        { "class='0x038000' vendor='0x1002'", 1, 0 }, { "class='0x020700' vendor='0x15b3'", 0, 1 },
        { "class='0x020000'", 0, 1 }, { "class='0x068000' vendor='0x10de'", 0, 0 },
        { "class='0x010802'", 0, 0 }, { "", 1, 0 }, { "class='030200'", 1, 0 }, { "vendor='4318'", 1, 0 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct topology t;
        char text[300];

        snprintf(text, sizeof text, "<system version='1'>" CPU "<pci busid='3b:00.0' %s/></cpu></system>",
                 cases[i].attributes);
        if (!load(text, &t))
            continue;
        check(of_kind(&t, TOPOLOGY_GPU) == cases[i].gpus && of_kind(&t, TOPOLOGY_NIC) == cases[i].nics &&
              of_kind(&t, TOPOLOGY_PORT) == cases[i].nics, "<pci %s>: %d GPUs, %d NICs",
              cases[i].attributes, of_kind(&t, TOPOLOGY_GPU), of_kind(&t, TOPOLOGY_NIC));
        topology_free(&t);
    }
}

static void nics(void)
{
    struct topology t;
    int port;

    if (load("<system version='1'>" CPU "<nic><net name='eth0' dev='0' speed='10000' port='0' guid='0xRED'/>"
             "<net name='tunl0' dev='1' speed='-1'/></nic>"
             "<pci busid='0000:0c:00.0' class='0x020000'><nic><net name='mlx5_0' dev='2' speed='200000' "
             "port='1' guid='0x9a70' gdr='1' latency='2.5'/><net name='mlx5_1' dev='3' speed='200000' port='2' "
             "guid='0x9a70'/></nic></pci></cpu><cpu numaid='1'><nic><net name='eth0' dev='0' speed='10000' "
             "port='0' guid='0x0'/></nic></cpu></system>", &t)) {
        check(of_kind(&t, TOPOLOGY_NIC) == 2 && of_kind(&t, TOPOLOGY_PORT) == 4, "%d NICs with %d ports",
              of_kind(&t, TOPOLOGY_NIC), of_kind(&t, TOPOLOGY_PORT));
        port = topology_find_name(&t, 0, TOPOLOGY_PORT, "eth0");
        check(port >= 0 && t.nodes[port].guid == 0 && topology_link_between(&t, topology_nth(&t,
              TOPOLOGY_NUMA, 0, 1), t.nodes[port].parent, MEDIUM_PCI) >= 0, "eth0 is near both");
        port = topology_find_name(&t, 0, TOPOLOGY_PORT, "mlx5_1");
        check(port >= 0 && t.nodes[port].number == 2 && about(t.nodes[port].speed, 25) &&
              t.nodes[port].guid == 0x9a70 && t.nodes[port].direct == -1, "mlx5_1");
        port = topology_find_name(&t, 0, TOPOLOGY_PORT, "mlx5_0");
        check(port >= 0 && about(t.links[topology_link_between(&t, t.nodes[port].parent, port,
              MEDIUM_LANE)].latency, 2.5), "latency of mlx5_0");
        check(noted(&t, "1 ports have no speed"), "a port without speed");
        topology_free(&t);
    }
    if (load("<system version='1'>" CPU "<nic><net name='a' dev='0'/><net name='a' dev='1'/><net/><net/></nic>"
             "<pci busid='1:0.0'><nic/></pci><pci busid='2:0.0'><nic><net name='a' dev='0'/></nic><nic/></pci>"
             "</cpu></system>", &t)) {
        check(of_kind(&t, TOPOLOGY_PORT) == 7 && of_kind(&t, TOPOLOGY_NIC) == 4, "%d ports on %d NICs",
              of_kind(&t, TOPOLOGY_PORT), of_kind(&t, TOPOLOGY_NIC));
        topology_free(&t);
    }
}

/* A port that no PCI device is known of is not slowed down by what is made in its place. */
static void fast_loose_nic(void)
{
    struct topology t;
    int nic;

    if (!load("<system version='1'>" CPU "<nic><net name='a' dev='0' speed='400000'/></nic></cpu></system>",
              &t))
        return;
    nic = topology_nth(&t, TOPOLOGY_NIC, 0, 0);
    check(about(t.links[topology_link_between(&t, t.nodes[nic].parent, nic, MEDIUM_PCI)].bandwidth, 50),
          "a fast port of no PCI device");
    topology_free(&t);
}

#define TRAY(hash, arch) "<cpu host_hash='" hash "' numaid='0' arch='" arch "'>" \
    PCI_GPU("0008:06:00.0", "<gpu dev='0' sm='103'><nvlink target='fffffff:ff:ff.0' count='18' " \
            "tclass='0x068000'/><c2c bw='44712' count='5'/></gpu>") \
    "<pci busid='16:1:0.0' class='0x020000'><nic><net name='mlx5_0' dev='1' speed='400000'/>" \
    "<net name='mlx5_9' dev='0' speed='100000'/></nic></pci></cpu>"

static void hosts(void)
{
    struct topology t;
    int port, rail;

    if (load("<system version='1'>" TRAY("0xREDACTED_A", "arm64") TRAY("0xREDACTED_B", "arm64")
             "</system>", &t)) {
        check(t.nhosts == 2 && of_kind(&t, TOPOLOGY_NVSWITCH) == 1 &&
              t.nodes[topology_nth(&t, TOPOLOGY_NVSWITCH, -1, 0)].host == -1, "two trays, one switch");
        check(of_kind(&t, TOPOLOGY_RAIL) == 2 && links_of(&t, MEDIUM_NETWORK).links == 4 &&
              about(links_of(&t, MEDIUM_NETWORK).bandwidth, 125), "two trays, two rails");
        check(links_of(&t, MEDIUM_SMP).links == 0, "SMP between hosts");
        port = topology_find_name(&t, 1, TOPOLOGY_PORT, "mlx5_9");      /* device 0: rail 0 */
        rail = topology_nth(&t, TOPOLOGY_RAIL, -1, 0);
        check(port >= 0 && topology_link_between(&t, port, rail, MEDIUM_NETWORK) >= 0, "rails by device");
        topology_free(&t);
    }
    if (load("<system version='1'><cpu host_hash='a' numaid='0'><nic><net name='a'/><net name='b'/></nic></cpu>"
             "<cpu host_hash='b' numaid='0'><nic><net name='a'/></nic></cpu></system>", &t)) {
        check(of_kind(&t, TOPOLOGY_RAIL) == 1 && links_of(&t, MEDIUM_NETWORK).links == 2,
              "a port that no other host has the like of");
        topology_free(&t);
    }
    if (load("<system version='1'>" TRAY("a", "x86_64") TRAY("b", "x86_64") "</system>", &t)) {
        check(of_kind(&t, TOPOLOGY_NVSWITCH) == 2, "switches of hosts that share none");
        topology_free(&t);
    }
    if (load("<system version='1'>" TRAY("a", "arm64") "</system>", &t)) {
        check(of_kind(&t, TOPOLOGY_NVSWITCH) == 1 &&
              t.nodes[topology_nth(&t, TOPOLOGY_NVSWITCH, 0, 0)].host == 0, "one tray: its switch");
        topology_free(&t);
    }
    if (load("<system version='1'><cpu host_hash='a' numaid='1'/><cpu host_hash='b' numaid='1'/>"
             "<cpu host_hash='a' numaid='0x0'/><cpu host_hash='a' numaid='1'/></system>", &t)) {
        check(t.nhosts == 2 && of_kind(&t, TOPOLOGY_NUMA) == 3 && links_of(&t, MEDIUM_SMP).links == 1,
              "hosts whose parts stand apart");
        topology_free(&t);
    }
}

static void cpus(void)
{
    static const struct {
        const char *mask, *list;
    } cases[] = {
        { "ffff0000,00000000,ffff0000,00000000", "48-63,112-127" }, { "00ff00ff", "0-7,16-23" },
        { "fff0000,00000000", "48-59" }, { "5555", "0,2,4,6,8,10,12,14" }, { "0", "" }, { "", "" },
        { "80000001,00000001", "0,32,63" }, { "ffffffffffff", "0-47" }, { "0x3", "0-1" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct topology t;
        char text[200];

        snprintf(text, sizeof text, "<system version='1'><cpu numaid='-1' affinity='%s'/></system>",
                 cases[i].mask);
        if (!load(text, &t))
            continue;
        check(!strcmp(t.nodes[0].cpus, cases[i].list), "mask %s: cores %s", cases[i].mask, t.nodes[0].cpus);
        check(t.nodes[0].number == -1 && noted(&t, "NUMA nodes are not told apart"), "numaid -1");
        topology_free(&t);
    }
}

static void numbers(void)
{
    struct topology t;

    /* Two of one number, one of none; those get the free ones. */
    if (load("<system version='1'>" CPU PCI_GPU("4:0.0", "<gpu dev='1'/>") PCI_GPU("3:0.0", "<gpu dev='1'/>")
             PCI_GPU("2:0.0", "<gpu dev='3' sm='0x50'/>") "<pci busid='1:0.0' class='0x030200'/></cpu></system>",
             &t)) {
        check(t.nodes[topology_nth(&t, TOPOLOGY_GPU, 0, 0)].bus == 0x10000 &&
              t.nodes[topology_nth(&t, TOPOLOGY_GPU, 0, 1)].bus == 0x40000 &&
              t.nodes[topology_nth(&t, TOPOLOGY_GPU, 0, 2)].bus == 0x30000 &&
              t.nodes[topology_nth(&t, TOPOLOGY_GPU, 0, 3)].capability == 80, "numbers of GPUs");
        check(noted(&t, "that another has"), "GPUs of one number");
        topology_free(&t);
    }
}

/* ---- Errors ------------------------------------------------------------------------------------- */

static void refused(void)
{
    static const struct refusal cases[] = {
        { "<system version='1'>\n<cpu numaid='x'/></system>", "test:2:", "numaid" },
        { "<system>\n\n<cpu numaid='0'><pci busid='zz'/></cpu></system>", "test:3:", "busid" },
        { "<system><cpu numaid='0'>\n<gpu dev='0'/></cpu></system>", "test:2:", "<gpu> does not belong" },
        { "<system><cpu><net/></cpu></system>", "test:1:", "<net> does not belong in <cpu>" },
        { "<system><system/></system>", "test:1:", "one <system>" },
        { "<system version='1'/>", "test:1:", "no <cpu>" },
        { "<system><cpu>\n</system>", "test:2:", "mismatched tag" },
        { "<system><cpu", "test:1:", "" },
        { "<!DOCTYPE s [<!ENTITY a 'aaaa'>]>\n<system><cpu arch='&a;'/></system>", "test:1:", "document type" },
        { "<system><cpu numaid='0' affinity='xyz'/></system>", "test:1:", "affinity" },
        { "<system><cpu numaid='99999999999999999999'/></system>", "test:1:", "numaid" },
        { "<system><cpu><pci busid='1:0.0' link_width='1e9'/></cpu></system>", "test:1:", "link_width" },
        { "<system><cpu><pci busid='1:0.0'><gpu><nvlink count='4'/></gpu></pci></cpu></system>", "test:1:",
          "target" },
        { "<system><cpu><pci busid='1:0.0'><gpu/></pci>\n<pci busid='1:0.0'><gpu/></pci></cpu></system>",
          "test:", "0000:01:00.0 is there twice" },
        { "<system><cpu><nic><net speed='fast'/></nic></cpu></system>", "test:1:", "speed" },
    };

    expect_refusals(cases, sizeof cases / sizeof *cases);
}


int main(void)
{
    if (topology_without_expat()) {
        printf("skipped: NCCL's XML, for this build is without libexpat\n");
        return 77;
    }
    pci_speeds();
    gpu_links();
    classes();
    nics();
    fast_loose_nic();
    hosts();
    cpus();
    numbers();
    refused();
    printf("%d checks, %d failures\n", checks, failures);
    return failures > 0;
}
