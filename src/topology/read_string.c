/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine in a few words: "node:2 socket:2 switch:4 gpu:8 nvswitch nic:8@400".  Counts are of one host,
 * all of it (eight GPUs on four switches are two on each); only node: and domain: speak of hosts.  Things
 * hang from the deepest level that is named: socket, root, switch. */
#include "topology/topology_source.h"

#include "base/status.h"
#include "topology/topology_speeds.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_MOST = 4096, WORD = 96, COUNT_MOST = 4096, SOCKETS_MOST = 64 };

struct model {
    const char *name, *text;
    int    capability, links;          /* links: NVLinks or XGMI of one GPU */
    double gigatransfers;
    const char *arch;
};

static const struct model models[] = {
    { "v100",   "NVIDIA V100",         70,  6,  8, "x86_64" },
    { "a100",   "NVIDIA A100",         80,  12, 16, "x86_64" },
    { "a6000",  "NVIDIA RTX A6000",    86,  4,  16, "x86_64" },
    { "l40s",   "NVIDIA L40S",         89,  0,  16, "x86_64" },
    { "h100",   "NVIDIA H100",         90,  18, 32, "x86_64" },
    { "h200",   "NVIDIA H200",         90,  18, 32, "x86_64" },
    { "b200",   "NVIDIA B200",         100, 18, 32, "x86_64" },
    { "gb200",  "NVIDIA GB200",        100, 18, 32, "arm64" },
    { "gb300",  "NVIDIA GB300",        103, 18, 64, "arm64" },
    { "mi100",  "AMD Instinct MI100",  908, 3,  16, "x86_64" },
    { "mi250",  "AMD Instinct MI250",  910, 8,  16, "x86_64" },
    { "mi300x", "AMD Instinct MI300X", 942, 7,  32, "x86_64" },
};

enum shape { SHAPE_NONE, SHAPE_ALL, SHAPE_MESH, SHAPE_PAIRS, SHAPE_RING };

/* Counts; 0: the word was not there. */
struct machine {
    int node, domain, socket, root, pci_switch, gpu, nic, nvswitch, lanes, generation, width;
    bool has_nvswitch, has_c2c;
    double gigabits, coherent;
    enum shape shape;
    struct model model;
};

struct reading {
    const char *where;
    int line, status;
    char word[WORD];                   /* the one that is being read, for errors */
    unsigned seen;                     /* which entries of words[] have come */
    struct machine m;
};

__attribute__((format(printf, 2, 3)))
static void wrong(struct reading *r, const char *format, ...)
{
    char text[200];
    va_list arguments;

    if (r->status)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    r->status = status_fail(PEAL_ERR_ARGUMENT, "%s:%d: '%s': %s", r->where, r->line, r->word, text);
}

/* ---- Words ------------------------------------------------------------------------------- */

static int count(struct reading *r, const char *text, int most)
{
    char *end;
    long number = text ? strtol(text, &end, 10) : 0;

    if (!text || end == text || *end || number < 1 || number > most) {
        wrong(r, "wanted is a number from 1 to %d", most);
        return 1;
    }
    return (int)number;
}

static double positive(struct reading *r, const char *text)
{
    char *end;
    double number = strtod(text, &end);

    if (end == text || *end || !(number > 0 && number <= 1e6)) {
        wrong(r, "wanted is a number above 0 behind @");
        return 1;
    }
    return number;
}

/* The number behind the last x of "ringx2", which is cut off; 0: there is none. */
static int cut_times(struct reading *r, char *text, int most)
{
    char *x = text ? strrchr(text, 'x') : NULL;
    int number;

    if (!x || x[1] < '0' || x[1] > '9')
        return 0;
    number = count(r, x + 1, most);
    *x = 0;
    return number;
}

static void read_model(struct reading *r, const char *name)
{
    struct model other = { "", "", 0, 0, 0, "x86_64" };

    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (!strcmp(models[i].name, name)) {
            r->m.model = models[i];
            return;
        }
    if (!strncmp(name, "sm", 2))
        other.capability = count(r, name + 2, 599);
    else if (!strncmp(name, "gfx", 3))
        other.capability = !strcmp(name, "gfx90a") ? 910 : count(r, name + 3, 9999);
    else
        wrong(r, "no model of that name; smNN and gfxNNN name others");
    /* What the latest model of that family or an older one has. */
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (models[i].capability <= other.capability &&
            (models[i].capability >= 600) == (other.capability >= 600)) {
            other.links = models[i].links;
            other.gigatransfers = models[i].gigatransfers;
        }
    r->m.model = other;
}

static void word_node(struct reading *r, char *value, const char *at)
{
    (void)at;
    r->m.node = count(r, value, TOPOLOGY_HOSTS_MOST);
}

static void word_domain(struct reading *r, char *value, const char *at)
{
    (void)at;
    r->m.domain = count(r, value, TOPOLOGY_HOSTS_MOST);
}

static void word_socket(struct reading *r, char *value, const char *at)
{
    (void)at;
    r->m.socket = count(r, value, SOCKETS_MOST);
}

static void word_root(struct reading *r, char *value, const char *at)
{
    (void)at;
    r->m.root = count(r, value, COUNT_MOST);
}

static void word_switch(struct reading *r, char *value, const char *at)
{
    (void)at;
    r->m.pci_switch = count(r, value, COUNT_MOST);
}

static void word_gpu(struct reading *r, char *value, const char *at)
{
    r->m.gpu = value ? count(r, value, COUNT_MOST) : 1;
    if (at)
        read_model(r, at);
}

static void word_nvswitch(struct reading *r, char *value, const char *at)
{
    (void)at;
    r->m.has_nvswitch = true;
    r->m.nvswitch = value ? count(r, value, TOPOLOGY_LANES_MOST) : 0;
}

static void word_nvlink(struct reading *r, char *value, const char *at)
{
    static const char *const shapes[] = { "", "all-to-all", "cube-mesh", "pairs", "ring" };

    (void)at;
    r->m.lanes = cut_times(r, value, TOPOLOGY_LANES_MOST);
    for (int i = 1; i <= SHAPE_RING; i++)
        if (value && !strcmp(value, shapes[i]))
            r->m.shape = (enum shape)i;
    if (!r->m.shape)
        wrong(r, "wanted is all-to-all, cube-mesh, pairs or ring");
}

static void word_c2c(struct reading *r, char *value, const char *at)
{
    if (value)
        wrong(r, "takes @GB/s only");
    r->m.has_c2c = true;
    r->m.coherent = at ? positive(r, at) : 223.56;     /* as NCCL lists it for GB300: 5 x 44.712 */
}

static void word_nic(struct reading *r, char *value, const char *at)
{
    r->m.nic = value ? count(r, value, COUNT_MOST) : 1;
    r->m.gigabits = at ? positive(r, at) : 100;
}

static void word_pcie(struct reading *r, char *value, const char *at)
{
    (void)at;
    r->m.width = cut_times(r, value, 32);
    r->m.generation = count(r, value && !strncmp(value, "gen", 3) ? value + 3 : value, 6);
}

static const struct {
    const char *name;
    bool takes_at;
    void (*read)(struct reading *r, char *value, const char *at);
} words[] = {
    { "node",     false, word_node },     { "domain", false, word_domain },
    { "socket",   false, word_socket },   { "numa",   false, word_socket },
    { "root",     false, word_root },     { "switch", false, word_switch },
    { "gpu",      true,  word_gpu },      { "nvlink", false, word_nvlink },
    { "nvswitch", false, word_nvswitch }, { "c2c",    true,  word_c2c },
    { "nic",      true,  word_nic },      { "pcie",   false, word_pcie },
};

static void read_word(struct reading *r)
{
    enum { N = sizeof words / sizeof *words };
    char text[WORD], *at, *value;
    int i = 0;

    memcpy(text, r->word, sizeof text);
    at = strchr(text, '@');
    if (at)
        *at++ = 0;
    value = strchr(text, ':');
    if (value)
        *value++ = 0;
    while (i < N && strcmp(words[i].name, text))
        i++;
    if (i == N)
        wrong(r, "no word that is known; wanted is one of node, socket, root, switch, gpu, nvswitch, "
              "nvlink, nic, c2c, pcie, domain");
    else if (at && !words[i].takes_at)
        wrong(r, "takes no @");
    else if (r->seen & 1u << i)
        wrong(r, "comes twice");
    else {
        r->seen |= 1u << i;
        words[i].read(r, value, at);
    }
}

static void read_words(struct reading *r, const char *text, size_t length)
{
    for (size_t at = 0; at < length && !r->status;) {
        size_t n = 0;

        if (strchr(" \t\r\n", text[at])) {
            r->line += text[at++] == '\n';
            continue;
        }
        while (at + n < length && !strchr(" \t\r\n", text[at + n]))
            n++;
        snprintf(r->word, sizeof r->word, "%.*s", (int)n, text + at);
        if (n >= WORD)
            wrong(r, "a word that is too long");
        else
            read_word(r);
        at += n;
    }
}

/* ---- The host -------------------------------------------------------------------------------- */

struct building {
    struct topology *t;
    struct reading *r;
    struct machine m;
    int  *level, *below;               /* the nodes of the deepest level so far; room for the next */
    int   nlevel, bus;
    const char *level_word;
    double pci;
};

/* `n` things hang evenly from the deepest level; returns how many from each. */
static int share(struct building *b, const char *what, int n)
{
    snprintf(b->r->word, sizeof b->r->word, "%s:%d", what, n);
    if (n % b->nlevel)
        wrong(b->r, "does not divide evenly among %s:%d", b->level_word, b->nlevel);
    return n / b->nlevel;
}

static int device(struct building *b, enum topology_kind kind, int parent, int number, uint32_t class,
                  double bandwidth)
{
    char name[TOPOLOGY_NAME];
    int at;

    snprintf(name, sizeof name, "%s%d", topology_kind_name(kind), number);
    at = topology_node(b->t, kind, 0, parent, kind == TOPOLOGY_GPU ? number : -1, name);
    if (at < 0)
        return -1;
    b->t->nodes[at].pci_class = class;
    b->bus++;
    if (kind != TOPOLOGY_ROOT)
        b->t->nodes[at].bus = (uint64_t)(b->bus >> 8) << 32 | (uint64_t)(b->bus & 255) << 16;
    topology_link(b->t, parent, at, MEDIUM_PCI, kind == TOPOLOGY_ROOT ? 0 : b->m.width, bandwidth);
    return at;
}

static void sockets(struct building *b)
{
    for (int i = 0; i < b->m.socket; i++) {
        int numa = topology_node(b->t, TOPOLOGY_NUMA, 0, -1, i, NULL);

        if (numa < 0)
            return;
        b->t->nodes[numa].socket = i;
        snprintf(b->t->nodes[numa].arch, sizeof b->t->nodes[numa].arch, "%s", b->m.model.arch);
        for (int k = 0; k < i; k++)
            topology_link(b->t, b->level[k], numa, MEDIUM_SMP, 0, speed_smp(&b->t->nodes[numa]));
        b->level[i] = numa;
    }
    b->nlevel = b->m.socket;
    b->level_word = "socket";
}

/* Roots or switches.  A root is as wide as all that hangs from it. */
static void deeper(struct building *b, enum topology_kind kind, int n, const char *what)
{
    int each = n ? share(b, what, n) : 0, *swap = b->level;
    int things = b->m.pci_switch ? b->m.pci_switch : b->m.gpu + b->m.nic;

    if (!each || b->r->status)
        return;
    for (int i = 0; i < n; i++)
        b->below[i] = device(b, kind, b->level[i / each], i, kind == TOPOLOGY_SWITCH ? 0x060400 : 0x060000,
                             kind == TOPOLOGY_SWITCH ? b->pci : b->pci * (things > n ? things / n : 1));
    b->level = b->below;
    b->below = swap;
    b->nlevel = n;
    b->level_word = what;
}

static void gpus(struct building *b, int *gpu)
{
    bool amd = b->m.model.capability >= 600;
    int each = b->m.gpu ? share(b, "gpu", b->m.gpu) : 0;

    for (int i = 0; i < b->m.gpu && !b->r->status; i++) {
        int at = device(b, TOPOLOGY_GPU, b->level[i / each], i, amd ? 0x120000 : 0x030200, b->pci);
        struct topology_node *node;

        if (at < 0)
            return;
        gpu[i] = at;
        node = &b->t->nodes[at];
        node->capability = b->m.model.capability;
        node->pci_vendor = amd ? 0x1002 : 0x10de;
        snprintf(node->model, sizeof node->model, "%s", b->m.model.text);
        if (b->m.has_c2c)
            topology_link(b->t, topology_numa(b->t, at), at, MEDIUM_C2C, 1, b->m.coherent);
    }
}

static void nics(struct building *b)
{
    int each = b->m.nic ? share(b, "nic", b->m.nic) : 0;

    for (int i = 0; i < b->m.nic && !b->r->status; i++) {
        int nic = device(b, TOPOLOGY_NIC, b->level[i / each], i, 0x020000, b->pci), port;
        char name[TOPOLOGY_NAME];

        snprintf(name, sizeof name, "net%d", i);
        port = nic < 0 ? -1 : topology_node(b->t, TOPOLOGY_PORT, 0, nic, 1, name);
        if (port < 0)
            return;
        b->t->nodes[port].speed = b->m.gigabits / 8;
        topology_link(b->t, nic, port, MEDIUM_LANE, 0, b->m.gigabits / 8);
    }
}

/* ---- NVLinks ----------------------------------------------------------------------------------- */

static void join(struct building *b, int one, int other, int lanes)
{
    int capability = b->m.model.capability;
    bool amd = capability >= 600;

    topology_link(b->t, one, other, amd ? MEDIUM_XGMI : MEDIUM_NVLINK, lanes,
                  lanes * (amd ? speed_xgmi(capability) : speed_nvlink(capability)));
}

/* Links of a V100 in DGX-1V: one or two to three of its four, two or one to its twin in the other four. */
static void cube_mesh(struct building *b, const int *gpu)
{
    static const char mesh[8][8 + 1] = {
        "01122000", "00210200", "00020010", "00000001", "00000112", "00000021", "00000002", "00000000"
    };

    if (b->m.gpu != 8 || b->m.lanes)
        wrong(b->r, "is the mesh of DGX-1V: of gpu:8, with links as they are there");
    for (int i = 0; i < 8 && !b->r->status; i++)
        for (int k = i + 1; k < 8; k++)
            if (mesh[i][k] > '0')
                join(b, gpu[i], gpu[k], mesh[i][k] - '0');
}

static void nvlinks(struct building *b, const int *gpu)
{
    int n = b->m.gpu, peers = b->m.shape == SHAPE_ALL ? n - 1 : b->m.shape == SHAPE_PAIRS || n == 2 ? 1 : 2;
    int lanes = b->m.lanes ? b->m.lanes : peers > 0 ? b->m.model.links / peers : 0;

    snprintf(b->r->word, sizeof b->r->word, "nvlink");
    if (b->m.shape == SHAPE_MESH) {
        cube_mesh(b, gpu);
        return;
    }
    if (n < 2)
        wrong(b->r, "wants two GPUs or more");
    else if (b->m.shape == SHAPE_PAIRS && n % 2)
        wrong(b->r, "gpu:%d are no pairs", n);
    else if (!lanes)
        wrong(b->r, "this model has %d links, too few for %d peers; xLANES behind the shape says otherwise",
              b->m.model.links, peers);
    for (int i = 0; i < n && !b->r->status && !b->t->failed; i++) {
        if (b->m.shape == SHAPE_ALL)
            for (int k = i + 1; k < n && !b->t->failed; k++)
                join(b, gpu[i], gpu[k], lanes);
        else if (b->m.shape == SHAPE_PAIRS ? i % 2 == 0 : i + 1 < n || n > 2)
            join(b, gpu[i], gpu[(i + 1) % n], lanes);
    }
}

static void nvswitch(struct building *b, const int *gpu)
{
    int lanes = b->m.nvswitch ? b->m.nvswitch : b->m.model.links, at;

    snprintf(b->r->word, sizeof b->r->word, "nvswitch");
    if (b->m.shape)
        wrong(b->r, "and nvlink: one of them; which is meant?");
    else if (b->m.gpu < 1 || b->m.model.capability >= 600 || !lanes)
        wrong(b->r, "wants GPUs with NVLinks");
    if (b->r->status)
        return;
    at = topology_node(b->t, TOPOLOGY_NVSWITCH, 0, -1, 0, NULL);
    for (int i = 0; i < b->m.gpu && at >= 0; i++)
        join(b, gpu[i], at, lanes);
}

/* ---- The whole ----------------------------------------------------------------------------------- */

static void build(struct building *b, int *gpu)
{
    static const double gigatransfers[] = { 0, 2.5, 5, 8, 16, 32, 64 };

    b->pci = speed_pci(b->m.generation ? gigatransfers[b->m.generation] : b->m.model.gigatransfers,
                       b->m.width);
    topology_host(b->t, "");
    sockets(b);
    if (!b->t->failed)
        deeper(b, TOPOLOGY_ROOT, b->m.root, "root");
    if (!b->r->status && !b->t->failed)
        deeper(b, TOPOLOGY_SWITCH, b->m.pci_switch, "switch");
    if (!b->r->status && !b->t->failed)
        gpus(b, gpu);
    if (!b->r->status && !b->t->failed)
        nics(b);
    if (!b->r->status && !b->t->failed && b->m.shape)
        nvlinks(b, gpu);
    if (!b->r->status && !b->t->failed && b->m.has_nvswitch)
        nvswitch(b, gpu);
}

static void check_words(struct reading *r)
{
    struct machine *m = &r->m;

    m->node = m->node ? m->node : 1;
    m->domain = m->domain ? m->domain : 1;
    m->socket = m->socket ? m->socket : 1;
    m->width = m->width ? m->width : 16;
    if (!m->model.name)
        read_model(r, "h100");
    snprintf(r->word, sizeof r->word, "domain:%d", m->domain);
    if (m->domain > 1 && !m->has_nvswitch)
        wrong(r, "wants nvswitch, which these hosts are to share");
    else if (m->node % m->domain)
        wrong(r, "does not divide node:%d evenly", m->node);
}

static int make(struct reading *r, struct topology *t)
{
    struct topology one;
    int gpu[COUNT_MOST], levels[2][COUNT_MOST], status;
    struct building b = { .t = &one, .r = r, .m = r->m, .level = levels[0], .below = levels[1] };

    topology_init(&one);
    build(&b, gpu);
    status = r->status ? r->status : topology_finish(&one);
    if (!status && r->m.node > 1) {
        topology_free(t);
        status = topology_repeat(t, &one, r->m.node, r->m.domain);
        if (!status)
            topology_note(t, false, "from a description in words");
    } else if (!status) {
        *t = one;                      /* finished; doing that twice does no harm */
        topology_note(t, false, "from a description in words");
        return t->failed;
    }
    topology_free(&one);
    return status;
}

static int read(const char *text, size_t length, const char *where, struct topology *t)
{
    struct reading r = { .where = where, .line = 1 };

    read_words(&r, text, length);
    if (!r.status)
        check_words(&r);
    return r.status ? r.status : make(&r, t);
}

/* Words of one or a few lines, and nothing that cannot be seen. */
static bool recognise(const char *text, size_t length)
{
    bool any = false;

    if (length > LENGTH_MOST)
        return false;
    for (size_t i = 0; i < length; i++) {
        if ((text[i] < ' ' || text[i] > '~') && (!text[i] || !strchr("\t\r\n", text[i])))
            return false;
        any |= text[i] >= 'a' && text[i] <= 'z';
    }
    return any && !memchr(text, '<', length);
}

const struct topology_source read_string = {
    .name = "words",
    .recognise = recognise,
    .read = read,
};
