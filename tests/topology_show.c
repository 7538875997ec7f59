/* SPDX-License-Identifier: BSD-3-Clause */
/* Showing: what small machines look like, to the letter; what is remarked on; that JSON and SVG
 * are well formed for every machine of tests/topologies, and for hostile names. */
#include "checks.h"
#include "topology_each.h"
#include "topology_shown.h"

#include "base/status.h"
#include "topology/show.h"
#include "topology/topology_source.h"

#include <stdlib.h>
#include <string.h>

/* ---- Machines by hand -------------------------------------------------------------------- */

static int add_numa(struct topology *t, int number, const char *cpus)
{
    int numa = topology_node(t, TOPOLOGY_NUMA, 0, -1, number, NULL);

    t->nodes[numa].socket = number;
    snprintf(t->nodes[numa].cpus, sizeof t->nodes->cpus, "%s", cpus);
    return numa;
}

static int add_gpu(struct topology *t, int up, int number, int lanes)
{
    int gpu = topology_node(t, TOPOLOGY_GPU, 0, up, number, NULL);

    t->nodes[gpu].bus = (uint64_t)(0x10 + number) << 16;
    t->nodes[gpu].capability = 70;
    topology_link(t, up, gpu, MEDIUM_PCI, lanes, lanes * 0.75);
    return gpu;
}

static int add_nic(struct topology *t, int up, const char *name, double speed)
{
    int nic = topology_node(t, TOPOLOGY_NIC, 0, up, -1, name);
    int port = topology_node(t, TOPOLOGY_PORT, 0, nic, 1, name);

    t->nodes[nic].bus = (uint64_t)0x80 << 16 | (uint64_t)nic << 8;
    t->nodes[port].speed = speed;
    t->nodes[port].direct = 1;
    topology_link(t, up, nic, MEDIUM_PCI, 16, 12);
    topology_link(t, nic, port, MEDIUM_LANE, 1, speed);
    return port;
}

/* Two sockets, a pair of GPUs with an NVLink, one with none, a NIC on socket 0. */
static void small_machine(struct topology *t, const char *nic)
{
    int numa[2], sw, gpu[3];

    topology_init(t);
    topology_host(t, "box");
    numa[0] = add_numa(t, 0, "0-7");
    numa[1] = add_numa(t, 1, "8-15");
    topology_link(t, numa[0], numa[1], MEDIUM_SMP, 0, 10);
    sw = topology_node(t, TOPOLOGY_SWITCH, 0, numa[0], 0, NULL);
    t->nodes[sw].bus = (uint64_t)5 << 16;
    topology_link(t, numa[0], sw, MEDIUM_PCI, 16, 12);
    gpu[0] = add_gpu(t, sw, 0, 16);
    gpu[1] = add_gpu(t, sw, 1, 16);
    add_nic(t, sw, nic, 12.5);
    gpu[2] = add_gpu(t, numa[1], 2, 8);
    topology_link(t, gpu[0], gpu[1], MEDIUM_NVLINK, 2, 40);
    topology_note(t, false, "made by hand");
    check(topology_finish(t) == PEAL_OK, "the small machine: %s", status_text());
}

/* A ring 0 1 2 and a chain of a tree. */
static int ring_gpus[] = { 0, 1, 2 }, tree_parents[] = { -1, 0, 1 }, groups[] = { 0, 0, 1 };
static struct topology_ring small_rings[] = { { 6, ring_gpus } };
static struct topology_tree small_trees[] = { { 3, 0, tree_parents } };

static void small_plan(const struct show *s, struct topology_plan *p, int gpus[3], int ports[3])
{
    *p = (struct topology_plan){
        .ngpus = 3, .gpus = gpus, .group = groups, .ngroups = 2, .port = ports,
        .rings = small_rings, .nrings = 1, .trees = small_trees, .ntrees = 1,
        .ring_total = 6, .tree_total = 3, .bound = 6, .tree_bound = 3, .optimal = true,
        .proof = "made by hand", .seconds = 0.25
    };
    for (int i = 0; i < 3; i++) {
        gpus[i] = s->devices[i];
        ports[i] = i < 2 ? s->devices[3] : -1;
    }
}

/* ---- To the letter ------------------------------------------------------------------------ */

static char *shown(const struct show *s, void (*how)(const struct show *, FILE *))
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    how(s, out);
    fclose(out);
    return text;
}

static void expect(const struct show *s, const char *what, void (*how)(const struct show *, FILE *),
                   const char *wanted)
{
    char *text = shown(s, how);
    int line = 1;

    for (size_t i = 0; text[i] && text[i] == wanted[i]; i++)
        line += text[i] == '\n';
    check(!strcmp(text, wanted), "%s differs from what is expected in line %d; it is:\n%s", what, line,
          text);
    free(text);
}

static const char small_matrix[] =
    "      GPU0  GPU1  GPU2  NIC0  CPU Affinity  NUMA Affinity\n"
    "GPU0   X    NV2   SYS   PIX   0-7           0\n"
    "GPU1  NV2    X    SYS   PIX   0-7           0\n"
    "GPU2  SYS   SYS    X    SYS   8-15          1\n"
    "NIC0  PIX   PIX   SYS    X    0-7           0\n"
    "\n"
    "NICs:\n"
    "  NIC0   mlx5_0             12.5 GB/s  PCI 0000:80:05.0  GPUDirect\n"
    "\n"
    "Legend (the worst that the way passes):\n"
    "  X     itself\n"
    "  NV#   that many NVLinks (XG#: XGMI links) directly\n"
    "  PIX   one PCI switch\n"
    "  SYS   the link between NUMA nodes (UPI, Infinity Fabric)\n";

static const char small_tree[] =
    "numa0  socket 0  cores 0-7\n"
    "  switch 0000:05:00.0  PCI x16 12 GB/s\n"
    "    GPU0 0000:10:00.0  PCI x16 12 GB/s  NVLink 2x GPU1: 40 GB/s\n"
    "    GPU1 0000:11:00.0  PCI x16 12 GB/s  NVLink 2x GPU0: 40 GB/s\n"
    "    mlx5_0 0000:80:05.0  PCI x16 12 GB/s\n"
    "      NIC0 mlx5_0  port 12.5 GB/s  GPUDirect\n"
    "numa1  socket 1  cores 8-15\n"
    "  GPU2 0000:12:00.0  PCI x8 6 GB/s\n"
    "numa0 - numa1  10 GB/s, 0.2 us\n";

static const char small_words[] =
    "Found:\n"
    "  * made by hand\n"
    "\n"
    "Missing or not as it could be:\n"
    "  * GPU 2: no NVLink, while other GPUs have; all their bytes go over PCI, outside of "
    "the fast rings: look at nvidia-smi nvlink -s, the bridges, the fabric manager\n"
    "  * GPU 2: PCI x8, 6 GB/s, where others have x16, 12 GB/s: the card's seat, its riser, or lanes "
    "shared in the BIOS\n"
    "  * GPU 2: no fast NIC on the same socket; what they send to other hosts crosses the link "
    "between sockets, and shares it with all else there\n";

static const char small_rings_text[] =
    "1 ring over 3 GPUs: 6 GB/s together; no rings carry more than 6 GB/s.\n"
    "made by hand\n"
    "  ring    GB/s  over   GPUs\n"
    "     0       6  SYS    0 1 2\n"
    "\n"
    "1 tree: 3 GB/s together; no trees carry more than 3 GB/s.\n"
    "  tree    GB/s  over   parent(children)\n"
    "     0       3  SYS    0(1(2))\n"
    "\n"
    "2 groups of GPUs that NVLink joins (numbered from 0), and the NIC of each GPU:\n"
    "  GPU   group  NIC\n"
    "  0         0  NIC0 mlx5_0, PIX, 12 GB/s\n"
    "  1         0  NIC0 mlx5_0, PIX, 12 GB/s\n"
    "  2         1  none\n"
    "\n"
    "Searched for 0.25 seconds.\n";

static void well_formed(const char *name, const char *what, const char *why)
{
    check(!why, "%s: %s: %s", name, what, why);
}

static void well_shown(const struct show *s, const char *name)
{
    char *json = shown(s, show_json), *plan = shown(s, show_plan_json), *svg = shown(s, show_svg);

    well_formed(name, "JSON of the machine", json_wrong(json));
    well_formed(name, "JSON of its rings", json_wrong(plan));
    well_formed(name, "SVG", xml_wrong(svg));
    check(!strstr(svg, "nan") && !strstr(svg, "inf"), "%s: the picture has a place that is no number",
          name);
    free(json);
    free(plan);
    free(svg);
}

static int count(const char *text, const char *word)
{
    int n = 0;

    for (; (text = strstr(text, word)); text += strlen(word))
        n++;
    return n;
}

static const char line_of_ring_0[] = "stroke=\"#0f7cc4\"";

static void to_the_letter(void)
{
    struct topology t;
    struct topology_plan plan;
    struct show s;
    int gpus[3], ports[3];
    char *text;

    small_machine(&t, "mlx5_0");
    if (show_begin(&s, &t, 0, "small") != PEAL_OK) {
        check(false, "%s", status_text());
        return;
    }
    small_plan(&s, &plan, gpus, ports);
    expect(&s, "the matrix", show_matrix, small_matrix);
    expect(&s, "the tree", show_tree, small_tree);
    expect(&s, "the words", show_words, small_words);
    expect(&s, "the summary", show_summary,
           "small, host box: 3 GPUs, 1 NIC port, 2 NUMA nodes, 1 PCI switch\n");
    strcpy(s.no_plan, "for a test");
    expect(&s, "no plan", show_plan, "No rings: for a test\n");
    well_shown(&s, "small, without rings");
    s.plan = &plan;
    expect(&s, "the rings", show_plan, small_rings_text);
    well_shown(&s, "small");
    text = shown(&s, show_svg);
    /* One step on the NVLink's arc, two through the switch and between the sockets. */
    check(count(text, line_of_ring_0) == 4, "a ring of 3 GPUs has %d lines (3, and 1 in the legend)",
          count(text, line_of_ring_0));
    check(count(text, "class=\"gpu\"") == 3 && count(text, "class=\"nic\"") == 1 &&
          count(text, "class=\"numa\"") == 2, "the picture lacks a box:\n%s", text);
    free(text);
    show_end(&s);
    topology_free(&t);
    printf("small machine: matrix, tree, words, rings, picture\n");
}

/* ---- Text that would like to be more ------------------------------------------------------- */

static void hostile_names(void)
{
    static const char *const names[] = {
        "\"}]<&>'\\", "</text><script>", "\x1b[2J\x01\x7f", "caf\xc3\xa9", "cut\xc3", "\xff\xfe",
        "\xed\xa0\x80", "\xc0\xaf", "\xf4\x90\x80\x80", "\xc2\x9b" "2J", "]]>", "&#0;", "\n\t\r",
        "\xef\xbf\xbf", "\xe2\x80\xa6"
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct topology t;
        struct topology_plan plan;
        struct show s;
        int gpus[3], ports[3];
        char *text;

        small_machine(&t, names[i]);
        snprintf(t.hosts[0].name, sizeof t.hosts->name, "%s", names[i]);
        snprintf(t.nodes[0].cpus, sizeof t.nodes->cpus, "%s", names[i]);
        snprintf(t.nodes[0].arch, sizeof t.nodes->arch, "%s", names[i]);
        snprintf(t.nodes[1].name, sizeof t.nodes->name, "%s", names[i]);
        snprintf(t.nodes[3].model, sizeof t.nodes->model, "%s", names[i]);
        snprintf(t.notes[0].text, sizeof t.notes->text, "%s", names[i]);
        if (show_begin(&s, &t, 0, names[i]) != PEAL_OK) {
            check(false, "%s", status_text());
            return;
        }
        small_plan(&s, &plan, gpus, ports);
        strcpy(plan.proof, names[i]);
        s.plan = &plan;
        well_shown(&s, "a hostile name");
        for (int k = 0; k < 4; k++) {
            void (*const ways[])(const struct show *, FILE *) = { show_matrix, show_tree, show_words,
                                                                   show_summary };

            text = shown(&s, ways[k]);
            check(!strpbrk(text, "\x1b\x01\x7f\r\t") && utf8_right(text),
                  "name %zu: text commands a terminal", i);
            free(text);
        }
        show_end(&s);
        topology_free(&t);
    }
    printf("hostile names: %zu\n", sizeof names / sizeof *names);
}

/* ---- Remarks --------------------------------------------------------------------------------- */

/* What may be odd; ODD_NOTHING: a machine without fault. */
enum odd { ODD_NOTHING, ODD_WIDTH, ODD_NVLINK, ODD_SOCKET, ODD_SLOT, ODD_DIRECT, ODD_PORT, ODD_MAKE,
           ODD_VENDOR, ODD_SLOW, ODD_BALANCE, ODD_KINDS };

static const char *const odd_words[ODD_KINDS] = {
    [ODD_NOTHING] = "",
    [ODD_WIDTH] = "GPU 3: PCI x8, 6 GB/s, where others have x16, 12 GB/s",
    [ODD_NVLINK] = "GPU 3 has 5 NVLinks where others have 6",
    [ODD_SOCKET] = "GPU 2, 3: no fast NIC on the same socket",
    [ODD_SLOT] = "NIC 2: no GPU on the same socket",
    [ODD_DIRECT] = "NIC 1: no GPUDirect RDMA",
    [ODD_PORT] = "NIC 1 (b): the port does 50 GB/s, its PCI link only 12",
    [ODD_MAKE] = "GPU 3: of another make than GPU 0",
    [ODD_VENDOR] = "GPU 2: of another make than GPU 0",
    [ODD_SLOW] = "NIC 1 (b) runs at 6.25 GB/s, others of its make at 12.5",
    [ODD_BALANCE] = "numa1 has 1 fast NIC ports and numa0 has 3",
};

/* Two sockets with a switch each, two GPUs and a NIC below it, NVLinks between all GPUs. */
static void odd_machine(struct topology *t, enum odd odd)
{
    int numa[2], sw[2], gpu[4], port;

    topology_init(t);
    topology_host(t, "");
    numa[0] = add_numa(t, 0, "0-7");
    numa[1] = add_numa(t, 1, "8-15");
    topology_link(t, numa[0], numa[1], MEDIUM_SMP, 0, 10);
    for (int i = 0; i < 2; i++) {
        sw[i] = topology_node(t, TOPOLOGY_SWITCH, 0, numa[i], i, NULL);
        topology_link(t, numa[i], sw[i], MEDIUM_PCI, 16, 12);
    }
    for (int i = 0; i < 4; i++)
        gpu[i] = add_gpu(t, sw[i / 2], i, odd == ODD_WIDTH && i == 3 ? 8 : 16);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++) {
            int lanes = odd == ODD_NVLINK && i + k == 5 ? 1 : 2;

            topology_link(t, gpu[k], gpu[i], MEDIUM_NVLINK, lanes, 20 * lanes);
        }
    port = add_nic(t, sw[0], "a", 12.5);
    t->nodes[t->nodes[port].parent].pci_device = 0x1017;
    port = add_nic(t, sw[odd == ODD_SOCKET ? 0 : 1], "b",
                   odd == ODD_PORT ? 50 : odd == ODD_SLOW ? 6.25 : 12.5);
    t->nodes[t->nodes[port].parent].pci_device = 0x1017 + (odd == ODD_PORT);
    t->nodes[port].direct = odd != ODD_DIRECT;
    if (odd == ODD_MAKE)
        t->nodes[gpu[3]].capability = 75;
    if (odd == ODD_VENDOR) {           /* and nothing but its PCI identity is known */
        for (int i = 0; i < 4; i++)
            t->nodes[gpu[i]].pci_vendor = i == 2 ? 0x1002 : 0x10de;
        t->nodes[gpu[2]].capability = 0;
    }
    if (odd == ODD_BALANCE) {
        add_nic(t, sw[0], "c", 12.5);
        add_nic(t, sw[0], "d", 12.5);
    }
    if (odd == ODD_SOCKET) {           /* a bridge there is none to send over */
        port = add_nic(t, numa[1], "bridge", 12.5);
        t->nodes[t->nodes[port].parent].bus = TOPOLOGY_NO_BUS;
    }
    if (odd == ODD_SLOT) {
        int third = add_numa(t, 2, "16-23");

        topology_link(t, numa[0], third, MEDIUM_SMP, 0, 10);
        add_nic(t, third, "c", 12.5);
    }
    check(topology_finish(t) == PEAL_OK, "an odd machine: %s", status_text());
}

static bool remarked(const struct show *s, const char *words)
{
    for (int i = 0; i < s->nremarks; i++)
        if (strstr(s->remarks[i].text, words))
            return true;
    return false;
}

static void remarks(void)
{
    for (int odd = 0; odd < ODD_KINDS; odd++) {
        struct topology t;
        struct show s;

        odd_machine(&t, (enum odd)odd);
        if (show_begin(&s, &t, 0, "odd") != PEAL_OK) {
            check(false, "%s", status_text());
            continue;
        }
        if (odd == ODD_NOTHING)
            check(!s.nremarks, "a machine without fault: \"%s\"", s.nremarks ? s.remarks[0].text : "");
        for (int k = 1; k < ODD_KINDS; k++)
            check(remarked(&s, odd_words[k]) == (k == odd), "odd machine %d: %ssaid: %s", odd,
                  k == odd ? "not " : "", odd_words[k]);
        show_end(&s);
        topology_free(&t);
    }
    printf("remarks: %d kinds of odd machines\n", ODD_KINDS - 1);
}

/* Machines in words, and what is said of them or not. */
static void remarks_on(const char *description, const char *words, bool wanted)
{
    struct topology t;
    struct show s;

    if (topology_read(description, &t) != PEAL_OK) {
        check(false, "%s: %s", description, status_text());
        return;
    }
    if (show_begin(&s, &t, 0, description) == PEAL_OK) {
        check(remarked(&s, words) == wanted, "%s: %ssaid: %s", description, wanted ? "not " : "", words);
        show_end(&s);
    } else {
        check(false, "%s: %s", description, status_text());
    }
    topology_free(&t);
}

/* ---- All machines ------------------------------------------------------------------------------ */

static bool read_shown(const char *name, const char *file)
{
    struct topology t;
    struct topology_plan plan;
    struct show s;
    int status = topology_read(file, &t);

    if (status != PEAL_OK) {
        check(false, "%s: %s", name, status_text());
        return true;
    }
    if (show_begin(&s, &t, 0, name) != PEAL_OK) {
        check(false, "%s: %s", name, status_text());
    } else {
        bool planned = s.ngpus && plan_find(&s.host, 0, NULL, 0, 1.0, &plan) == PEAL_OK;
        char *text;

        check(planned == (s.ngpus > 0), "%s: no plan: %s", name, status_text());
        s.plan = planned ? &plan : NULL;
        well_shown(&s, name);
        text = shown(&s, show_svg);
        check(count(text, "class=\"gpu\"") == s.ngpus, "%s: %d GPUs, %d of them drawn", name, s.ngpus,
              count(text, "class=\"gpu\""));
        check(count(text, "class=\"nic\"") >= s.nports, "%s: %d ports, %d of them drawn", name, s.nports,
              count(text, "class=\"nic\""));
        printf("  %-24s %2d GPUs %2d ports %d rings, picture of %zu bytes\n", name, s.ngpus, s.nports,
               planned ? plan.nrings : 0, strlen(text));
        free(text);
        if (planned)
            topology_plan_free(&plan);
        show_end(&s);
    }
    topology_free(&t);
    return true;
}

/* Graphs that no machine is like, but that readers let through. */
static void random_machines(uint64_t seed, int cases)
{
    int planned = 0;

    for (int i = 0; i < cases; i++) {
        struct topology t;
        struct topology_plan plan;
        struct show s;
        char name[64];

        snprintf(name, sizeof name, "random machine %d of seed %llu", i, (unsigned long long)seed);
        random_topology(&t, seed + (uint64_t)i);
        if (topology_finish(&t) != PEAL_OK || show_begin(&s, &t, 0, name) != PEAL_OK) {
            check(false, "%s: %s", name, status_text());
            topology_free(&t);
            continue;
        }
        if (s.ngpus && plan_find(&s.host, 0, NULL, 0, 0.01, &plan) == PEAL_OK)
            s.plan = &plan;
        planned += s.plan != NULL;
        well_shown(&s, name);
        free(shown(&s, show_matrix));
        free(shown(&s, show_tree));
        free(shown(&s, show_words));
        free(shown(&s, show_plan));
        if (s.plan)
            topology_plan_free(&plan);
        show_end(&s);
        topology_free(&t);
    }
    printf("random machines: %d, %d of them with rings, seed %llu\n", cases, planned,
           (unsigned long long)seed);
}

/* topology_show [seed [cases]] */
int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    int n;

    to_the_letter();
    hostile_names();
    remarks();
    remarks_on("socket:2 gpu:8", "8 GPUs and not one PCI switch", true);
    remarks_on("socket:2 gpu:8", "no NVLinks are listed", true);
    remarks_on("socket:2 gpu:8", "no NIC is listed", true);
    remarks_on("socket:2 switch:4 gpu:8 nvswitch nic:8@400", "n", false);
    n = each_machine(read_shown);
    check(n > 20, "only %d machines in tests/topologies", n);
    random_machines(seed, argc > 2 ? atoi(argv[2]) : 300);
    printf("topology_show: %d checks, %d failed\n", checks, failures);
    return failures != 0;
}
