/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading and writing topologies: the machines of tests/topologies with what their tables say, every odd
 * thing that such files have been seen with, what goes out and comes in again, and hostile texts.
 *
 *   topology_read [seed [cases]] */
#include "checks.h"
#include "effort.h"
#include "topology_refused.h"
#include "topology_well.h"

#include "base/status.h"

#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool without_expat;

static bool load(const char *text, struct topology *t)
{
    int status = topology_read_text(text, strlen(text), "test", t);

    check(!status, "%.60s...: %s", text, status ? status_text() : "");
    if (!status)
        check(!topology_ill(t), "%.60s...: %s", text, topology_ill(t));
    return !status;
}

/* ---- Machines ----------------------------------------------------------------------------- */

/* From the README and the SOURCE files of the collection, and the data sheets of the products: not from
 * what the reader finds.  NVLinks or XGMI: how many links there are (of one GPU to a switch, or of a
 * pair), lanes in all, GB/s of one lane (topology_speeds.c). */
static const struct {
    const char *name;
    int    gpus, numas, nics, ports, nvswitches, links, lanes;
    double lane;
    int    capability;                 /* 0: not in the file */
    double ports_gigabits;             /* of all; 0: not in the file */
    double smp;                        /* between two NUMA nodes, GB/s */
    const char *note;
} machines[] = {
    { "amd-mi100-rome-4nic", 8, 4, 4, 4, 0, 12, 12, 24, 908, 800, 16, NULL },   /* 2 hives of 4: 6 pairs */
    { "amd-mi250-16gcd", 16, 4, 8, 8, 0, 28, 56, 36, 910, 1600, 16, NULL },
    { "amd-mi250-8gcd", 8, 2, 4, 4, 0, 12, 26, 36, 910, 800, 16, NULL },
    { "amd-mi300x-8x", 8, 2, 8, 8, 0, 28, 28, 48, 942, 3200, 22, NULL },        /* 8 * 7 / 2 */
    { "amd-vega20-8x-pcie", 8, 1, 1, 1, 0, 0, 0, 0, 906, 100, 0, NULL },
    { "aws-g5-a10g", 8, 2, 1, 1, 0, 0, 0, 0, 0, 0, 10, "8 PCI links of GPUs and switches have no" },
    { "aws-p4d-a100", 8, 2, 4, 4, 0, 0, 0, 0, 0, 0, 10, "8 GPUs without <gpu>" },
    { "aws-p5-h100", 0, 2, 32, 32, 0, 0, 0, 0, 0, 0, 10, "no GPU is in this file" },
    { "azure-ncv4-a100", 4, 4, 1, 1, 0, 0, 0, 0, 80, 100, 16, "to itself" },
    { "azure-ndv2-v100", 8, 2, 1, 1, 0, 0, 0, 0, 0, 0, 10, "8 GPUs without <gpu>" },
    { "azure-ndv4-a100", 8, 4, 8, 8, 0, 0, 0, 0, 0, 0, 16, "8 NICs without <net>" },
    { "b200-sandbox-odd", 8, 2, 3, 13, 1, 8, 144, 40.1, 100, 3800, 40, "name other GPUs as NVSwitches" },
    { "hgx-b200", 8, 2, 1, 1, 1, 8, 144, 40.1, 100, 10, 40, NULL },
    { "made-a6000-pair-vm", 2, 1, 1, 1, 0, 1, 4, 12, 86, 10, 0, "NUMA nodes are not told apart" },
    { "made-gb300-tray", 4, 2, 1, 1, 1, 4, 72, 40.1, 103, 100, 6, "slower than" },
    { "made-hgx-h800", 8, 2, 8, 8, 1, 8, 64, 20.6, 90, 3200, 22, NULL },
    { "oci-bm-gpu-b4-a100", 8, 4, 8, 8, 0, 0, 0, 0, 0, 0, 16, NULL },
    { "oci-bm-gpu-h100", 8, 2, 8, 16, 1, 8, 144, 20.6, 90, 2880, 22, "slower than" },
    { "perlmutter-a100", 4, 4, 4, 4, 0, 6, 24, 20, 80, 800, 16, NULL },         /* all pairs NV4 */
    { "rtx3090-8x-pcie", 8, 2, 1, 1, 0, 0, 0, 0, 86, 56, 10, NULL },
    { "rtx4090-4x-epyc", 4, 4, 2, 16, 0, 0, 0, 0, 89, 151, 16, "15 ports belong to no PCI" },  /* 1, 15 of 10 */
};

enum { MACHINES = sizeof machines / sizeof *machines };

static void path_of(const char *machine, const char *file, char path[PATH_MAX])
{
    const char *top = getenv("srcdir");

    snprintf(path, PATH_MAX, "%s/tests/topologies/%s/%s", top ? top : ".", machine, file);
}

static void compare(int i, const struct topology *t)
{
    const char *name = machines[i].name;
    enum topology_medium medium = strncmp(name, "amd-", 4) ? MEDIUM_NVLINK : MEDIUM_XGMI;
    struct sum fast = links_of(t, medium), smp = links_of(t, MEDIUM_SMP);
    int pairs = machines[i].numas * (machines[i].numas - 1) / 2, gpu = topology_nth(t, TOPOLOGY_GPU, 0, 0);
    double gigabits = 0;

    for (int k = 0; k < t->nnodes; k++)
        gigabits += t->nodes[k].speed * 8;
    check(of_kind(t, TOPOLOGY_GPU) == machines[i].gpus, "%s: %d GPUs", name, of_kind(t, TOPOLOGY_GPU));
    check(of_kind(t, TOPOLOGY_NUMA) == machines[i].numas, "%s: %d NUMA nodes", name,
          of_kind(t, TOPOLOGY_NUMA));
    check(of_kind(t, TOPOLOGY_NIC) == machines[i].nics, "%s: %d NICs", name, of_kind(t, TOPOLOGY_NIC));
    check(of_kind(t, TOPOLOGY_PORT) == machines[i].ports, "%s: %d ports", name,
          of_kind(t, TOPOLOGY_PORT));
    check(of_kind(t, TOPOLOGY_NVSWITCH) == machines[i].nvswitches, "%s: %d NVSwitches", name,
          of_kind(t, TOPOLOGY_NVSWITCH));
    check(of_kind(t, TOPOLOGY_RAIL) == 0 && t->nhosts == 1, "%s: %d hosts", name, t->nhosts);
    check(fast.links == machines[i].links && fast.lanes == machines[i].lanes,
          "%s: %d fast links with %d lanes", name, fast.links, fast.lanes);
    check(about(fast.bandwidth, machines[i].lanes * machines[i].lane), "%s: %g GB/s of fast links", name,
          fast.bandwidth);
    check(smp.links == pairs && about(smp.bandwidth, pairs * machines[i].smp), "%s: %d SMP links of %g",
          name, smp.links, smp.bandwidth);
    check(about(gigabits, machines[i].ports_gigabits), "%s: ports of %g Gb/s", name, gigabits);
    if (gpu >= 0)
        check(t->nodes[gpu].capability == machines[i].capability, "%s: capability %d", name,
              t->nodes[gpu].capability);
    for (int k = 0; k < machines[i].gpus; k++)
        check(topology_nth(t, TOPOLOGY_GPU, 0, k) >= 0 &&
              topology_numa(t, topology_nth(t, TOPOLOGY_GPU, 0, k)) >= 0, "%s: GPU %d is lost", name, k);
    check(!machines[i].note || noted(t, machines[i].note), "%s: no note says '%s'", name,
          machines[i].note ? machines[i].note : "");
}

/* What is written is read as the same, and written the same again. */
static void round_trips(const struct topology *t, const char *name)
{
    char *own = topology_write_own(t), *xml = topology_write_nccl(t), *again;
    struct topology back;

    if (!topology_read_text(own, strlen(own), name, &back)) {
        again = topology_write_own(&back);
        check(!topology_differs(t, &back, true), "%s: own text: %s", name, topology_differs(t, &back, true));
        check(!strcmp(own, again), "%s: its own text is written differently", name);
        check(!topology_ill(&back), "%s: own text: %s", name, topology_ill(&back));
        free(again);
        topology_free(&back);
    } else
        check(false, "%s: its own text: %s", name, status_text());
    if (without_expat)
        ;
    else if (!topology_read_text(xml, strlen(xml), name, &back)) {
        check(!topology_differs(t, &back, false), "%s: XML: %s", name, topology_differs(t, &back, false));
        topology_free(&back);
    } else
        check(false, "%s: its XML: %s", name, status_text());
    free(own);
    free(xml);
}

static void known_machines(void)
{
    for (int i = 0; i < MACHINES; i++) {
        struct topology t;
        char path[PATH_MAX];

        path_of(machines[i].name, "topo.xml", path);
        if (topology_read(path, &t)) {
            check(false, "%s", status_text());
            continue;
        }
        check(!topology_ill(&t), "%s: %s", path, topology_ill(&t));
        compare(i, &t);
        round_trips(&t, machines[i].name);
        topology_free(&t);
    }
}

/* What NCCL printed of the machine (rings.txt of rtx3090-8x-pcie: PCI[24.0], SYS[10.0], NET[7.0]), and where
 * the bandwidth of its search says what a link is worth. */
static void known_speeds(void)
{
    struct topology t;
    char path[PATH_MAX];
    int gpu, numa, link;

    path_of("rtx3090-8x-pcie", "topo.xml", path);
    if (!topology_read(path, &t)) {
        gpu = topology_nth(&t, TOPOLOGY_GPU, 0, 0);
        link = topology_link_between(&t, t.nodes[gpu].parent, gpu, MEDIUM_PCI);
        check(link >= 0 && about(t.links[link].bandwidth, 24), "PCI of rtx3090-8x-pcie");
        check(about(links_of(&t, MEDIUM_LANE).bandwidth, 7), "NET of rtx3090-8x-pcie");
        check(t.nodes[gpu].direct == 0 && t.nodes[gpu].bus == 0xf0000, "GPU 0 of rtx3090-8x-pcie");
        topology_free(&t);
    } else
        check(false, "%s", status_text());
    path_of("perlmutter-a100", "topo.xml", path);
    if (!topology_read(path, &t)) {
        gpu = topology_nth(&t, TOPOLOGY_GPU, 0, 3);
        numa = topology_numa(&t, gpu);
        check(t.nodes[gpu].bus == 0xc10000 && t.nodes[numa].number == 0 &&
              !strcmp(t.nodes[numa].cpus, "0-15,64-79"), "GPU 3 of perlmutter: cores %s",
              t.nodes[numa].cpus);
        check(!strcmp(t.hosts[0].name, "0x94ecb6d613fd2af1"), "host of perlmutter");
        topology_free(&t);
    } else
        check(false, "%s", status_text());
}

/* ---- Errors ------------------------------------------------------------------------------------- */

static void refused(void)
{
    static const struct refusal cases[] = {
        { "<systems><cpu/></systems>", "test:1:", "formats" },
        { "", "test:1:", "formats" },
        { "peal-topology 2\n", "test:1:", "version" },
        { "peal-topology 1\nhost \"a\nb\"\n", "test:2:", "quote" },
        { "peal-topology 1\n# x\nhost \"\\q\"\n", "test:3:", "backslash" },
        { "peal-topology 1\nhost \"\"\nnode 1 numa \"n\"\n", "test:3:", "node 0 is to come" },
        { "peal-topology 1\nhost \"\"\nnode 0 mouse \"n\"\n", "test:3:", "mouse" },
        { "peal-topology 1\nhost \"\"\nnode 0 numa \"n\" colour=3\n", "test:3:", "colour" },
        { "peal-topology 1\nhost \"\"\nnode 0 numa \"n\" number=3x\n", "test:3:", "3x" },
        { "peal-topology 1\nhost \"\"\nnode 0 numa \"n\" host=1\n", "test:", "host that is not there" },
        { "peal-topology 1\nhost \"\"\nnode 0 numa \"n\" host=0 arch=\"01234567890123456\"\n", "test:3:",
          "15 bytes" },
        { "peal-topology 1\nhost \"\"\nnode 0 gpu \"n\" host=0 parent=-1\n", "test:", "hangs from nothing" },
        { "peal-topology 1\nhost \"\"\nnode 0 numa \"n\" host=0\nnode 1 numa \"n\" host=0\n", "test:",
          "twice" },
        { "peal-topology 1\nhost \"\"\nnode 0 numa \"n\" host=0\nlink 0 0 pci bandwidth=1\n", "test:4:",
          "itself" },
        { "peal-topology 1\nhost \"\"\nnode 0 numa \"n\" host=0 parent=0\n", "test:3:", "after it" },
        { "peal-topology 1\nhost \"\"\nnode 0 numa \"n\" host=0\nlink 0 1 pci bandwidth=1\n", "test:4:",
          "not there" },
        { "peal-topology 1\nhost \"\"\nnode 0 numa \"a\" host=0\nnode 1 numa \"b\" host=0\n"
          "link 0 1 smp bandwidth=nan\n", "test:5:", "nan" },
        { "peal-topology 1\nhost \"\"\nnode 0 numa \"a\" host=0\nnode 1 numa \"b\" host=0\n"
          "link 0 1 smp\n", "test:5:", "without a bandwidth" },
        { "peal-topology 1\nhost \"\"\nnode 0 numa \"a\" host=0\nnode 1 numa \"b\" host=0\n"
          "link 0 1 smp bandwidth=1 lanes=2000\n", "test:5:", "number of lanes" },
        { "gpu:8 switch:3", "test:1:", "'gpu:8': does not divide evenly among switch:3" },
        { "gpu:8\nswitch:4 switch:2", "test:2:", "'switch:2': comes twice" },
        { "gpu:8 wheel:4", "test:1:", "'wheel:4'" },
        { "gpu:x", "test:1:", "'gpu:x'" },
        { "gpu:8@x100", "test:1:", "'gpu:8@x100': no model" },
        { "nic:8@-5", "test:1:", "'nic:8@-5'" },
        { "socket:2@5", "test:1:", "'socket:2@5': takes no @" },
        { "gpu:4 nvlink:star", "test:1:", "'nvlink:star'" },
        { "gpu:4 nvlink:cube-mesh", "test:1:", "gpu:8" },
        { "gpu:3 nvlink:pairs", "test:1:", "gpu:3 are no pairs" },
        { "gpu:16@v100 nvlink:all-to-all", "test:1:", "too few" },
        { "gpu:4 nvlink:ring nvswitch", "test:1:", "which is meant" },
        { "gpu:4 domain:2 node:2", "test:1:", "wants nvswitch" },
        { "gpu:4 domain:2 node:3 nvswitch", "test:1:", "node:3" },
        { "node:2000", "test:1:", "1024" },
    };

    expect_refusals(cases, sizeof cases / sizeof *cases);
}

static void files(void)
{
    struct topology t;
    char path[PATH_MAX] = "/tmp/peal-topology-XXXXXX";
    int file = mkstemp(path);

    check(topology_read("/nowhere/topo.xml", &t) == PEAL_ERR_ARGUMENT &&
          strstr(status_text(), "No such file"), "a file that is not there: %s", status_text());
    check(topology_read("/tmp", &t) == PEAL_ERR_ARGUMENT && strstr(status_text(), "directory"),
          "a folder: %s", status_text());
    check(topology_read("my_cluster", &t) == PEAL_ERR_ARGUMENT && strstr(status_text(), "my_cluster"),
          "neither file nor description: %s", status_text());
    check(topology_read("topo.of.nothing", &t) == PEAL_ERR_ARGUMENT && strstr(status_text(), "No such file"),
          "a file with a dot that is not there: %s", status_text());
    check(!topology_read("gpu:2 c2c@223.5 nic@12.5", &t), "words with points: %s", status_text());
    topology_free(&t);
    check(file >= 0 && !ftruncate(file, TOPOLOGY_FILE_MOST + 1), "a large file");
    check(topology_read(path, &t) == PEAL_ERR_ARGUMENT && strstr(status_text(), "longer than 16 MiB"),
          "a large file: %s", status_text());
    check(!ftruncate(file, 0) && topology_read(path, &t) == PEAL_ERR_ARGUMENT, "an empty file");
    close(file);
    unlink(path);
}

/* ---- Descriptions and clusters -------------------------------------------------------------------- */

static void descriptions(void)
{
    static const struct {
        const char *text;
        int hosts, gpus, switches, ports, rails, nvswitches, links, lanes;
        double lane;
    } cases[] = {
        { "node:2 socket:2 switch:4 gpu:8 nvswitch nic:8@400", 2, 16, 8, 16, 8, 2, 16, 288, 20.6 },
        { "gpu:8@v100 nvlink:cube-mesh", 1, 8, 0, 0, 0, 0, 16, 24, 20 },       /* 8 * 6 / 2 */
        { "gpu:4@a100 nvlink:all-to-all", 1, 4, 0, 0, 0, 0, 6, 24, 20 },
        { "gpu:4@h200 nvlink:all-to-all", 1, 4, 0, 0, 0, 0, 6, 36, 20.6 },
        { "gpu:8@mi300x nvlink:all-to-all", 1, 8, 0, 0, 0, 0, 28, 28, 48 },
        { "gpu:6@sm70 nvlink:ringx2 numa:2", 1, 6, 0, 0, 0, 0, 6, 12, 20 },
        { "gpu:2 nvlink:ring", 1, 2, 0, 0, 0, 0, 1, 18, 20.6 },
        { "gpu:4@a6000 nvlink:pairs\n\tnic:2@100 socket:2 pcie:gen3x8", 1, 4, 0, 2, 0, 0, 2, 8, 12 },
        { "node:36 domain:18 socket:2 gpu:4@gb300 c2c nvswitch nic:4@800", 36, 144, 0, 144, 4, 2, 144, 2592,
          40.1 },
        { "node:4 gpu nic", 4, 4, 0, 4, 1, 0, 0, 0, 0 },
        { "socket:2 root:4 switch:8 gpu:16@b200 nvswitch:9 nic:8", 1, 16, 8, 8, 0, 1, 16, 144, 40.1 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct topology t;
        struct sum fast;

        if (!load(cases[i].text, &t))
            continue;
        fast = links_of(&t, strstr(cases[i].text, "mi300x") ? MEDIUM_XGMI : MEDIUM_NVLINK);
        check(t.nhosts == cases[i].hosts && of_kind(&t, TOPOLOGY_GPU) == cases[i].gpus &&
              of_kind(&t, TOPOLOGY_SWITCH) == cases[i].switches &&
              of_kind(&t, TOPOLOGY_PORT) == cases[i].ports && of_kind(&t, TOPOLOGY_RAIL) == cases[i].rails &&
              of_kind(&t, TOPOLOGY_NVSWITCH) == cases[i].nvswitches, "%s: %d %d %d %d %d %d", cases[i].text,
              t.nhosts, of_kind(&t, TOPOLOGY_GPU), of_kind(&t, TOPOLOGY_SWITCH), of_kind(&t, TOPOLOGY_PORT),
              of_kind(&t, TOPOLOGY_RAIL), of_kind(&t, TOPOLOGY_NVSWITCH));
        check(fast.links == cases[i].links && fast.lanes == cases[i].lanes &&
              about(fast.bandwidth, cases[i].lanes * cases[i].lane), "%s: %d links, %d lanes, %g GB/s",
              cases[i].text, fast.links, fast.lanes, fast.bandwidth);
        /* NCCL's XML has neither host bridges nor NVLink domains. */
        if (!strstr(cases[i].text, "root") && !strstr(cases[i].text, "domain"))
            round_trips(&t, cases[i].text);
        topology_free(&t);
    }
}

/* The mesh of DGX-1V, as its matrix is in dgx1-v100/topo-m.txt. */
static void cube_mesh(void)
{
    struct topology t;
    char path[PATH_MAX], line[400];
    FILE *matrix;
    int row = 0;

    path_of("dgx1-v100", "topo-m.txt", path);
    matrix = fopen(path, "r");
    check(matrix != NULL, "%s: %m", path);
    if (!matrix || !load("gpu:8@v100 nvlink:cube-mesh", &t))
        return;
    while (row < 8 && fgets(line, sizeof line, matrix)) {
        char *cell = strtok(line, "\t");

        if (!cell || strncmp(cell, "GPU", 3) || !strchr("01234567", cell[3]) || strtol(cell + 3, NULL, 10) != row)
            continue;
        cell = strtok(NULL, "\t");
        if (!cell || !strncmp(cell, "GPU", 3))
            continue;                  /* the heading */
        for (int column = 0; column < 8 && cell; column++, cell = strtok(NULL, "\t")) {
            int wanted = strncmp(cell, "NV", 2) ? 0 : (int)strtol(cell + 2, NULL, 10);
            int link = topology_link_between(&t, topology_nth(&t, TOPOLOGY_GPU, 0, row),
                                             topology_nth(&t, TOPOLOGY_GPU, 0, column), MEDIUM_NVLINK);

            check((link < 0 ? 0 : t.links[link].lanes) == wanted, "cube-mesh: GPU %d and %d", row, column);
        }
        row++;
    }
    check(row == 8, "%s: %d rows", path, row);
    fclose(matrix);
    topology_free(&t);
}

static void repeated(void)
{
    struct topology one, many, wrong;

    if (!load("socket:2 gpu:4@gb200 c2c nvswitch nic:4@400", &one))
        return;
    check(!topology_repeat(&many, &one, 128, 1), "128 hosts: %s", status_text());
    check(many.nhosts == 128 && of_kind(&many, TOPOLOGY_NVSWITCH) == 128 &&
          of_kind(&many, TOPOLOGY_RAIL) == 4 && links_of(&many, MEDIUM_NETWORK).links == 512, "128 hosts");
    check(topology_repeat(&wrong, &many, 2, 1) == PEAL_ERR_ARGUMENT, "repeating 128 hosts");
    check(!topology_ill(&many), "128 hosts: %s", topology_ill(&many));
    topology_free(&many);
    check(!topology_repeat(&many, &one, 36, 18), "36 hosts: %s", status_text());
    check(of_kind(&many, TOPOLOGY_NVSWITCH) == 2 && topology_count(&many, TOPOLOGY_NVSWITCH, 0) == 0 &&
          links_of(&many, MEDIUM_NVLINK).links == 144, "36 hosts in two domains");
    for (int host = 0; host < 36; host++)
        check(topology_link_between(&many, topology_nth(&many, TOPOLOGY_GPU, host, 3),
              topology_nth(&many, TOPOLOGY_NVSWITCH, -1, host / 18), MEDIUM_NVLINK) >= 0,
              "host %d is not in its domain", host);
    check(!topology_ill(&many), "36 hosts: %s", topology_ill(&many));
    round_trips(&one, "gb200");
    topology_free(&many);
    check(topology_repeat(&many, &one, 5, 2) == PEAL_ERR_ARGUMENT, "5 hosts in domains of 2");
    check(topology_repeat(&many, &one, 0, 1) == PEAL_ERR_ARGUMENT, "no host");
    topology_free(&one);
}

/* Programs may set a locale that writes 1,5. */
static void commas(void)
{
    static const char *const locales[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE", NULL };
    struct topology t;
    int i = 0;

    while (locales[i] && !setlocale(LC_NUMERIC, locales[i]))
        i++;
    if (!locales[i]) {
        printf("skipped: no locale here that writes numbers with a comma\n");
        return;
    }
    if (load("gpu:2@a100 nvlink:pairsx3 nic:2@0.5 pcie:gen1x1", &t)) {
        check(about(links_of(&t, MEDIUM_LANE).bandwidth, 0.125), "0.5 Gb/s with commas");
        round_trips(&t, "with commas");
        topology_free(&t);
    }
    setlocale(LC_NUMERIC, "C");
}

/* Links of one medium between the same two are one; numbers keep all their digits. */
static void own_text(void)
{
    struct topology t;
    char *own;

    if (!load("peal-topology 1   # a comment\n\n# another\nhost \"\"\r\nnode 0 numa \"a\" host=0 number=7\n"
              "node 1 gpu \"g\" parent=0 host=0 bus=-\nlink 0 1 pci lanes=8 bandwidth=10\n"
              "link 1 0 pci bandwidth=0.333333333333333315 latency=1e-3 lanes=3\nlink 0 1 c2c bandwidth=7", &t))
        return;
    check(t.nlinks == 2 && t.links[0].lanes == 11 && about(t.links[0].bandwidth, 10 + 1 / 3.0),
          "links of the same two: %d", t.nlinks);
    own = topology_write_own(&t);
    check(strstr(own, "bandwidth=10.333333333333334 ") != NULL, "written as %s", own);
    free(own);
    topology_free(&t);
}

/* Names and notes with all bytes. */
static void texts(void)
{
    struct topology t;
    char *own;

    topology_init(&t);
    topology_host(&t, "\"a\\b\"\n\x01\x7f\xc3\xa9#");
    topology_node(&t, TOPOLOGY_NUMA, 0, -1, 0, "n # <&>\"'");
    topology_note(&t, true, "%s", "tab\there");
    check(!topology_finish(&t) && !topology_finish(&t), "finished twice");
    round_trips(&t, "odd texts");
    own = topology_write_own(&t);
    check(strstr(own, "host \"\\\"a\\\\b\\\"\\x0a\\x01\\x7f\xc3\xa9#\"") != NULL, "written as %s", own);
    free(own);
    topology_free(&t);
}

static void xml(void)
{
    known_machines();
    known_speeds();
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20261121;
    long cases = argc > 2 ? strtol(argv[2], NULL, 0) : effort_quick() ? 300 : 3000;

    alarm(effort_quick() ? 600 : 300);
    without_expat = topology_without_expat();
    if (without_expat)
        printf("skipped: NCCL's XML, for this build is without libexpat\n");
    else
        xml();
    refused();
    files();
    descriptions();
    cube_mesh();
    repeated();
    commas();
    own_text();
    texts();
    check(topology_hostile(seed, cases) == 0, "hostile texts");
    printf("%d checks, %d failures\n", checks, failures);
    return failures > 0;
}
