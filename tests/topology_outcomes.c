/* SPDX-License-Identifier: BSD-3-Clause */
/* Peal's rings and trees beside those that NCCL and RCCL chose on the same machines, which are in
 * tests/topologies (graph.xml, rings.txt): laid on the same graph theirs must not carry more, nor may
 * what they print be more than what Peal finds.
 *
 *   topology_outcomes [--table]     --table: all machines, as in docs/topology.md */
#include "base/status.h"
#include "checks.h"
#include "topology/plan.h"
#include "topology/topology_source.h"
#include "topology_each.h"
#include "topology_verify.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>

enum { MOST = 128 };

static const struct outcome {
    const char *machine;
    bool graph, rings;                 /* which files it has */
    double printed;                    /* channels times speed of graph.xml, 0: none */
    bool prescribed;                   /* by the provider, not searched */
} outcomes[] = {
    { "perlmutter-a100", true, true, 12 * 20, false },
    { "hgx-b200", true, true, 16 * 45, false },
    { "rtx3090-8x-pcie", true, true, 4, false },
    { "azure-ncv4-a100", true, false, 24, true },
    { "amd-mi300x-8x", false, true, 0, false },
    { "amd-mi250-8gcd", false, true, 0, false },
    { "amd-mi250-16gcd", false, true, 0, false },
    { "amd-mi100-rome-4nic", false, true, 0, false },
    { "made-gb300-tray", false, false, 720, false }    /* as its SOURCE says */
};

struct set {
    int  nrings, ntrees;
    int  rings[MOST][PLAN_GPUS_MOST], length[MOST];
    int  parents[MOST][PLAN_GPUS_MOST], told[MOST];    /* GPUs whose parent was told */
    bool open;                         /* from NIC to NIC */
};

static struct set set;
static struct topology t;
static struct topology_plan plan;
static int sets, compared;             /* sets of the machine; machines */
static double known_rings, known_trees;    /* the most that a set of it carries */
static bool table;

/* Not beside a table. */
__attribute__((format(printf, 1, 2)))
static void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!table)
        vprintf(format, args);
    va_end(args);
}

static char *contents(const char *machine, const char *file)
{
    const char *top = getenv("srcdir");
    char path[PATH_MAX], *text = calloc(1, 1 << 20);
    FILE *in;

    snprintf(path, sizeof path, "%s/tests/topologies/%s/%s", top ? top : ".", machine, file);
    in = fopen(path, "r");
    check(in != NULL, "%s is not there", path);
    if (in) {
        check(fread(text, 1, (1 << 20) - 1, in) > 0, "%s is empty", path);
        fclose(in);
    }
    return text;
}

/* ---- Judging a set ----------------------------------------------------------------------- */

static void judge_rings(const char *machine, const char *name)
{
    struct topology_ring rings[MOST];
    double total = 0;

    for (int i = 0; i < set.nrings; i++) {
        rings[i] = (struct topology_ring){ 1, set.rings[i] };
        check(set.length[i] == plan.ngpus, "%s, %s: ring %d has %d GPUs of %d", machine, name, i,
              set.length[i], plan.ngpus);
        if (set.length[i] != plan.ngpus)
            return;
    }
    check(!plan_evaluate(&t, plan.gpus, plan.ngpus, rings, set.nrings, NULL, 0, &total), "%s",
          status_text());
    say("  %-22s %2d rings%s carry %g GB/s together; Peal's %g\n", name, set.nrings,
        set.open ? " (NIC to NIC, closed here)" : "", total, plan.ring_total);
    check(total > 0 && total <= plan.ring_total * (1 + 1e-6), "%s, %s: its rings carry %g GB/s, Peal's "
          "%g", machine, name, total, plan.ring_total);
    known_rings = fmax(known_rings, total);
    sets++;
}

static void judge_trees(const char *machine, const char *name)
{
    struct topology_tree trees[MOST];
    double total = 0;

    for (int i = 0; i < set.ntrees; i++) {
        trees[i] = (struct topology_tree){ 1, -1, set.parents[i] };
        if (set.told[i] != plan.ngpus)
            return;                    /* only some ranks' lines are quoted */
        for (int k = 0; k < plan.ngpus; k++)
            if (set.parents[i][k] < 0)
                trees[i].root = k;
    }
    check(!plan_evaluate(&t, plan.gpus, plan.ngpus, NULL, 0, trees, set.ntrees, &total), "%s",
          status_text());
    say("  %-22s %2d trees carry %g GB/s together; Peal's %g\n", name, set.ntrees, total,
        plan.tree_total);
    check(total > 0 && total <= plan.tree_total * (1 + 1e-6), "%s, %s: its trees carry %g GB/s, Peal's "
          "%g", machine, name, total, plan.tree_total);
    known_trees = fmax(known_trees, total);
    sets++;
}

static void judge(const char *machine, const char *name)
{
    if (set.nrings)
        judge_rings(machine, name);
    if (set.ntrees)
        judge_trees(machine, name);
    memset(&set, 0, sizeof set);
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* GPUs of a line after its colon, "0 1 2"; NICs ("N3") are left out. */
static void read_ring(const char *at)
{
    int *length = &set.length[set.nrings];

    while (*at) {
        while (*at == ' ')
            at++;
        if (*at == 'N') {
            set.open = true;
            strtol(at + 1, (char **)&at, 10);
        } else if (isdigit((unsigned char)*at) && *length < PLAN_GPUS_MOST) {
            set.rings[set.nrings][(*length)++] = (int)strtol(at, (char **)&at, 10);
        } else {
            break;
        }
    }
    set.nrings += *length > 0 && set.nrings < MOST - 1;
}

/* "(0(1(3))(4))" */
static void read_nested_tree(const char *at)
{
    int stack[PLAN_GPUS_MOST + 1] = { -1 }, depth = 0;

    for (; *at; at++)
        if (*at == '(' && depth < PLAN_GPUS_MOST) {
            int gpu = (int)strtol(at + 1, NULL, 10);

            if (gpu < 0 || gpu >= PLAN_GPUS_MOST)
                return;
            set.parents[set.ntrees][gpu] = stack[depth];
            set.told[set.ntrees]++;
            stack[++depth] = gpu;
        } else if (*at == ')' && depth > 0) {
            depth--;
        }
    set.ntrees += set.ntrees < MOST - 1;
}

/* "[2] Trees [0] 3/-1/-1->2->1 [1] ...": rank 2's parent in each tree. */
static void read_rank_trees(const char *at, int rank)
{
    while ((at = strchr(at, '['))) {
        int tree = (int)strtol(at + 1, (char **)&at, 10), parent;
        const char *arrow = strstr(at, "->");

        arrow = arrow ? strstr(arrow + 2, "->") : NULL;
        if (!arrow || tree < 0 || tree >= MOST - 1)
            return;
        parent = (int)strtol(arrow + 2, (char **)&at, 10);
        set.parents[tree][rank] = parent;
        set.told[tree]++;
        if (tree >= set.ntrees)
            set.ntrees = tree + 1;
    }
}

static void read_rings(const char *machine)
{
    char *text = contents(machine, "rings.txt"), *rest = text, *line, name[64] = "rings.txt";

    while ((line = strsep(&rest, "\n"))) {
        const char *colon = strchr(line, ':');
        int rank = 0;

        if (!strncmp(line, "model ", 6)) {
            judge(machine, name);
            snprintf(name, sizeof name, "%.*s", (int)strcspn(line + 6, " "), line + 6);
        } else if (!strncmp(line, "ring ", 5) && colon) {
            read_ring(colon + 1);
        } else if (!strncmp(line, "tree ", 5) && colon) {
            read_nested_tree(colon + 1);
        } else if (sscanf(line, "[%d] ", &rank) == 1 && rank >= 0 && rank < PLAN_GPUS_MOST) {
            if (strstr(line, "] Trees "))
                read_rank_trees(strstr(line, "] Trees ") + 8, rank);
            else if (strstr(line, "] Channel ") && colon && !strstr(line, "->"))
                read_ring(colon + 1);
        }
    }
    judge(machine, name);
    free(text);
}

/* The ring graph (pattern 4) of NCCL's graph XML; returns channels times speed. */
static double read_graph(const char *machine)
{
    char *text = contents(machine, "graph.xml"), *at = strstr(text, "pattern=\"4\""), *end, *speed;
    double printed = 0;

    end = at ? strstr(at, "</graph>") : NULL;
    speed = at ? strstr(at, "speedintra=\"") : NULL;
    if (end && speed) {
        *end = '\0';
        printed = strtod(speed + 12, NULL);
        while ((at = strstr(at, "<channel>"))) {
            char *close = strstr(at, "</channel>"), *gpu = at;
            int *length = &set.length[set.nrings];

            while ((gpu = strstr(gpu, "<gpu dev=\"")) && gpu < close && *length < PLAN_GPUS_MOST)
                set.rings[set.nrings][(*length)++] = (int)strtol(gpu += 10, NULL, 0);
            set.nrings += set.nrings < MOST - 1;
            at = close ? close : at + 1;
        }
    }
    printed *= set.nrings;
    judge(machine, "graph.xml");
    free(text);
    return printed;
}

static void test_graph(const struct outcome *o)
{
    double printed = read_graph(o->machine);

    say("  printed: %g GB/s%s\n", printed, o->prescribed ? " (prescribed)" : "");
    check(fabs(printed - o->printed) < 1e-9, "%s: graph.xml prints %g GB/s, not %g", o->machine, printed,
          o->printed);
}

/* Of the machine that is planned. */
static void test_outcome(const struct outcome *o)
{
    say("%s: rings %g GB/s, trees %g, %.3f s; %s\n", o->machine, plan.ring_total, plan.tree_total,
        plan.seconds, plan.proof);
    verify_plan(o->machine, &t, &plan);
    check(plan.optimal, "%s: not optimal: %s", o->machine, plan.proof);
    compared++;
    sets = 0;
    known_rings = known_trees = 0;
    if (o->graph)
        test_graph(o);
    check(plan.ring_total >= o->printed, "%s: %g GB/s were printed, Peal has %g", o->machine, o->printed,
          plan.ring_total);
    if (o->rings)
        read_rings(o->machine);
    check(sets > 0 || !(o->graph || o->rings), "%s: nothing to compare with", o->machine);
}

/* ---- The table ------------------------------------------------------------------------------- */

/* "18 NVLink each, to NVSwitch"; "16 pairs, 1 to 2 NVLink each"; "PCI". */
static void print_links(void)
{
    enum topology_medium medium = MEDIUM_PCI;
    int direct = 0, least = TOPOLOGY_LANES_MOST, most = 0;
    bool nvswitch = false;

    for (int i = 0; i < t.nlinks; i++) {
        const struct topology_link *link = &t.links[i];
        enum topology_kind a = t.nodes[link->a].kind, b = t.nodes[link->b].kind;

        if ((link->medium != MEDIUM_NVLINK && link->medium != MEDIUM_XGMI) ||
            (a != TOPOLOGY_GPU && b != TOPOLOGY_GPU))
            continue;
        nvswitch |= a == TOPOLOGY_NVSWITCH || b == TOPOLOGY_NVSWITCH;
        medium = link->medium;
        least = link->lanes < least ? link->lanes : least;
        most = link->lanes > most ? link->lanes : most;
        direct++;
    }
    if (medium == MEDIUM_PCI) {
        printf("PCI");
        return;
    }
    if (!nvswitch)
        printf("%d pair%s, ", direct, direct > 1 ? "s" : "");
    printf(least < most ? "%d to %d" : "%d", least, most);
    printf(" %s each%s", medium == MEDIUM_XGMI ? "XGMI" : "NVLink", nvswitch ? ", to NVSwitch" : "");
}

static void print_row(const char *machine, const struct outcome *o)
{
    printf("| %s | %d | ", machine, plan.ngpus);
    print_links();
    printf(" | %d: %.1f | %d: %.1f | %.1f%s |", plan.nrings, plan.ring_total, plan.ntrees,
           plan.tree_total, plan.bound, plan.optimal ? "" : " (not reached)");
    if (!o)
        printf(" -");
    if (o && o->printed > 0)
        printf(" %.1f %s", o->printed, o->prescribed ? "prescribed" : "printed");
    if (o && known_rings > 0)
        printf("%s rings carry %.1f", o->printed > 0 ? ";" : "", known_rings);
    if (o && known_trees > 0)
        printf("; trees carry %.1f", known_trees);
    printf(" | %.1f |\n", plan.seconds * 1e3);
}

/* ---- All machines ---------------------------------------------------------------------------- */

/* Without a known outcome there is only a row to print. */
static bool test_machine(const char *machine, const char *file)
{
    const struct outcome *o = NULL;
    int status = topology_read(file, &t);

    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        if (!strcmp(outcomes[i].machine, machine))
            o = &outcomes[i];
    check(!status, "%s: %s", machine, status_text());
    if (status)
        return true;
    if (topology_count(&t, TOPOLOGY_GPU, 0) < 2) {
        check(!o, "%s: not two GPUs", machine);
    } else if (plan_find(&t, 0, NULL, 0, 1, &plan)) {
        check(false, "%s: %s", machine, status_text());
    } else {
        if (o)
            test_outcome(o);
        if (table)
            print_row(machine, o);
        topology_plan_free(&plan);
    }
    topology_free(&t);
    return true;
}

int main(int argc, char **argv)
{
    int tested;

    table = argc > 1 && !strcmp(argv[1], "--table");
    tested = each_machine(test_machine);
    check(tested >= 27, "only %d machines in tests/topologies", tested);
    check(compared == sizeof outcomes / sizeof *outcomes, "only %d known machines in tests/topologies",
          compared);
    say("%d checks, %d failures\n", checks, failures);
    return failures != 0;
}
