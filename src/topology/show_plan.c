/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings, trees, and who uses which NIC, as text. */
#include "topology/show.h"

#include <string.h>

static int number_of(const struct show *s, int gpu)
{
    int number = s->host.nodes[s->plan->gpus[gpu]].number;

    return number >= 0 ? number : gpu;
}

static void worse(const struct show *s, int from, int to, const struct topology_path **worst)
{
    const struct topology_path *step = show_step(s, from, to);

    if (step && (!*worst || step->class > (*worst)->class))
        *worst = step;
}

static void put_worst(const struct show *s, const struct topology_path *worst, FILE *out)
{
    char text[16] = "-";

    /* Steps of one class may have different numbers of NVLinks: only the class is said. */
    if (worst) {
        show_class(s, worst, text);
        if (worst->class == CLASS_NVLINK || worst->class == CLASS_NVSWITCH)
            text[2] = '\0';
    }
    fprintf(out, "  %-5s", text);
}

static void put_rings(const struct show *s, FILE *out)
{
    const struct topology_plan *p = s->plan;

    fputs("  ring    GB/s  over   GPUs\n", out);
    for (int r = 0; r < p->nrings; r++) {
        const int *gpus = p->rings[r].gpus;
        const struct topology_path *worst = NULL;

        for (int i = 0; i < p->ngpus; i++)
            worse(s, gpus[i], gpus[(i + 1) % p->ngpus], &worst);
        fprintf(out, "  %4d  %6.4g", r, p->rings[r].bandwidth);
        put_worst(s, worst, out);
        fputc(' ', out);
        for (int i = 0; i < p->ngpus; i++)
            fprintf(out, " %d", number_of(s, gpus[i]));
        putc('\n', out);
    }
}

/* "0(1(2 3) 4)"; no deeper than there are GPUs, of which there are at most PLAN_GPUS_MOST. */
static void put_branch(const struct show *s, const struct topology_tree *tree, int gpu, int deep,
                       FILE *out)
{
    const char *between = "(";

    fprintf(out, "%d", number_of(s, gpu));
    for (int i = 0; i < s->plan->ngpus && deep < s->plan->ngpus; i++)
        if (tree->parent[i] == gpu) {
            fputs(between, out);
            put_branch(s, tree, i, deep + 1, out);
            between = " ";
        }
    if (*between == ' ')
        putc(')', out);
}

static void put_trees(const struct show *s, FILE *out)
{
    const struct topology_plan *p = s->plan;

    fputs("  tree    GB/s  over   parent(children)\n", out);
    for (int i = 0; i < p->ntrees; i++) {
        const struct topology_path *worst = NULL;

        for (int k = 0; k < p->ngpus; k++)
            if (p->trees[i].parent[k] >= 0)
                worse(s, k, p->trees[i].parent[k], &worst);
        fprintf(out, "  %4d  %6.4g", i, p->trees[i].bandwidth);
        put_worst(s, worst, out);
        fputs("  ", out);
        put_branch(s, &p->trees[i], p->trees[i].root, 0, out);
        putc('\n', out);
    }
}

static void put_gpus(const struct show *s, FILE *out)
{
    const struct topology_plan *p = s->plan;
    char label[SHOW_LABEL], way[16];

    fputs("  GPU   group  NIC\n", out);
    for (int i = 0; i < p->ngpus; i++) {
        int gpu = s->device_of[p->gpus[i]], port = p->port[i] < 0 ? -1 : s->device_of[p->port[i]];

        fprintf(out, "  %-4d  %5d  ", number_of(s, i), p->group[i]);
        if (p->port[i] < 0) {
            fputs("none\n", out);
            continue;
        }
        show_label(s, p->port[i], label);
        show_printf(out, SHOW_PLAIN, "%s %s", label, s->host.nodes[p->port[i]].name);
        if (gpu >= 0 && port >= 0) {
            show_class(s, show_path(s, gpu, port), way);
            fprintf(out, ", %s, %.4g GB/s", way, show_path(s, gpu, port)->bandwidth);
        }
        putc('\n', out);
    }
}

void show_plan(const struct show *s, FILE *out)
{
    const struct topology_plan *p = s->plan;

    if (!p) {
        show_printf(out, SHOW_PLAIN, "No rings: %s\n", s->no_plan);
        return;
    }
    fprintf(out, "%d ring%s over %d GPU%s: %.4g GB/s together; no rings carry more than %.4g GB/s.\n",
            p->nrings, p->nrings == 1 ? "" : "s", p->ngpus, p->ngpus == 1 ? "" : "s", p->ring_total,
            p->bound);
    show_printf(out, SHOW_PLAIN, "%s\n", p->proof);
    if (p->nrings)
        put_rings(s, out);
    fprintf(out, "\n%d tree%s: %.4g GB/s together; no trees carry more than %.4g GB/s.\n", p->ntrees,
            p->ntrees == 1 ? "" : "s", p->tree_total, p->tree_bound);
    if (p->ntrees)
        put_trees(s, out);
    fprintf(out, "\n%d group%s of GPUs that NVLink joins (numbered from 0), and the NIC of each GPU:\n",
            p->ngroups, p->ngroups == 1 ? "" : "s");
    put_gpus(s, out);
    fprintf(out, "\nSearched for %.3g seconds.\n", p->seconds);
}
