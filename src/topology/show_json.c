/* SPDX-License-Identifier: BSD-3-Clause */
/* The whole topology, and the plan, for programs.  What is not known is null. */
#include "topology/show.h"

#include <math.h>
#include <string.h>

static void put_string(FILE *out, const char *text)
{
    putc('"', out);
    show_text(out, SHOW_JSON, text);
    putc('"', out);
}

/* "name": "text"; null if it is empty. */
static void put_text(FILE *out, const char *before, const char *name, const char *text)
{
    fprintf(out, "%s\"%s\": ", before, name);
    if (*text)
        put_string(out, text);
    else
        fputs("null", out);
}

static void put_number(FILE *out, const char *before, const char *name, double value, bool known)
{
    fprintf(out, "%s\"%s\": ", before, name);
    if (known && isfinite(value))
        fprintf(out, "%.10g", value);
    else
        fputs("null", out);
}

static void put_bool(FILE *out, const char *before, const char *name, int value)
{
    fprintf(out, "%s\"%s\": %s", before, name, value < 0 ? "null" : value ? "true" : "false");
}

static void put_node(const struct show *s, int i, FILE *out)
{
    const struct topology_node *n = &s->host.nodes[i];
    char label[SHOW_LABEL], bus[20] = "";

    show_label(s, i, label);
    if (n->bus != TOPOLOGY_NO_BUS)
        topology_bus_print(n->bus, bus);
    fprintf(out, "    {\"node\": %d", i);
    put_text(out, ", ", "kind", topology_kind_name(n->kind));
    put_text(out, ", ", "name", n->name);
    put_text(out, ", ", "label", label);
    put_number(out, ", ", "parent", n->parent, n->parent >= 0);
    put_number(out, ", ", "number", n->number, n->number >= 0);
    put_text(out, ", ", "bus", bus);
    put_text(out, ", ", "model", n->model);
    if (n->kind == TOPOLOGY_GPU)
        put_number(out, ", ", "capability", n->capability, n->capability > 0);
    if (n->kind == TOPOLOGY_PORT)
        put_number(out, ", ", "speed", n->speed, n->speed > 0);
    if (n->kind == TOPOLOGY_GPU || n->kind == TOPOLOGY_PORT)
        put_bool(out, ", ", "gpudirect", n->direct);
    if (n->kind == TOPOLOGY_NUMA) {
        put_number(out, ", ", "socket", n->socket, n->socket >= 0);
        put_text(out, ", ", "cpus", n->cpus);
        put_text(out, ", ", "arch", n->arch);
        put_text(out, ", ", "vendor", n->vendor);
    }
    if (n->guid)
        fprintf(out, ", \"guid\": \"0x%llx\"", (unsigned long long)n->guid);
    putc('}', out);
}

static void put_link(const struct topology_link *link, FILE *out)
{
    fprintf(out, "    {\"a\": %d, \"b\": %d", link->a, link->b);
    put_text(out, ", ", "medium", topology_medium_name(link->medium));
    put_number(out, ", ", "lanes", link->lanes, link->lanes > 0);
    put_number(out, ", ", "bandwidth", link->bandwidth, true);
    put_number(out, ", ", "latency", link->latency, true);
    putc('}', out);
}

static void put_matrix(const struct show *s, FILE *out)
{
    int n = s->ngpus + s->nports;
    char text[SHOW_LABEL];

    fputs(",\n   \"matrix\": {\"devices\": [", out);
    for (int i = 0; i < n; i++) {
        show_label(s, s->devices[i], text);
        fputs(i ? ", " : "", out);
        put_string(out, text);
    }
    fputs("],\n    \"class\": [", out);
    for (int i = 0; i < n; i++) {
        fputs(i ? ",\n     [" : "\n     [", out);
        for (int k = 0; k < n; k++) {
            show_class(s, show_path(s, i, k), text);
            fputs(k ? ", " : "", out);
            put_string(out, text);
        }
        putc(']', out);
    }
    fputs("],\n    \"bandwidth\": [", out);
    for (int i = 0; i < n; i++) {
        fputs(i ? ",\n     [" : "\n     [", out);
        for (int k = 0; k < n; k++) {
            const struct topology_path *path = show_path(s, i, k);

            fputs(k ? ", " : "", out);
            if (path->class != CLASS_NONE && isfinite(path->bandwidth))
                fprintf(out, "%.6g", path->bandwidth);
            else
                fputs("null", out);
        }
        putc(']', out);
    }
    fputs("]}", out);
}

static void put_notes(const char *name, const struct show *s, bool missing, FILE *out)
{
    const char *between = "\n    ";

    fprintf(out, ",\n   \"%s\": [", name);
    for (int pass = 0; pass < 2; pass++) {
        const struct topology_note *notes = pass ? s->remarks : s->host.notes;

        for (int i = 0; i < (pass ? s->nremarks : s->host.nnotes); i++)
            if (notes[i].missing == missing) {
                fputs(between, out);
                put_string(out, notes[i].text);
                between = ",\n    ";
            }
    }
    putc(']', out);
}

void show_json(const struct show *s, FILE *out)
{
    const struct topology *t = &s->host;

    fputs("\n  {", out);
    put_text(out, "", "source", s->source);
    put_text(out, ", ", "host", t->hosts[0].name);
    fprintf(out, ", \"hosts\": %d, \"hosts_alike\": %d, \"nvswitch_hosts\": %d,\n   \"nodes\": [",
            s->hosts, s->alike, s->fabric_hosts);
    for (int i = 0; i < t->nnodes; i++) {
        fputs(i ? ",\n" : "\n", out);
        put_node(s, i, out);
    }
    fputs("],\n   \"links\": [", out);
    for (int i = 0; i < t->nlinks; i++) {
        fputs(i ? ",\n" : "\n", out);
        put_link(&t->links[i], out);
    }
    putc(']', out);
    put_matrix(s, out);
    put_notes("found", s, false, out);
    put_notes("missing", s, true, out);
    putc('}', out);
}

/* ---- The plan -------------------------------------------------------------------------- */

static void put_list(FILE *out, const char *name, const int *values, int n)
{
    fprintf(out, ", \"%s\": [", name);
    for (int i = 0; i < n; i++)
        fprintf(out, "%s%d", i ? ", " : "", values[i]);
    putc(']', out);
}

void show_plan_json(const struct show *s, FILE *out)
{
    const struct topology_plan *p = s->plan;

    fputs("\n  {", out);
    put_text(out, "", "source", s->source);
    if (!p) {
        put_text(out, ", ", "none", s->no_plan);
        putc('}', out);
        return;
    }
    fputs(",\n   \"gpus\": [", out);
    for (int i = 0; i < p->ngpus; i++) {
        const struct topology_node *gpu = &s->host.nodes[p->gpus[i]];

        fprintf(out, "%s\n    {\"node\": %d, \"number\": %d, \"group\": %d", i ? "," : "", p->gpus[i],
                gpu->number, p->group[i]);
        put_text(out, ", ", "port", p->port[i] < 0 ? "" : s->host.nodes[p->port[i]].name);
        putc('}', out);
    }
    fprintf(out, "],\n   \"groups\": %d,\n   \"rings\": [", p->ngroups);
    for (int i = 0; i < p->nrings; i++) {
        put_number(out, i ? ",\n    {" : "\n    {", "bandwidth", p->rings[i].bandwidth, true);
        put_list(out, "gpus", p->rings[i].gpus, p->ngpus);
        putc('}', out);
    }
    fputs("],\n   \"trees\": [", out);
    for (int i = 0; i < p->ntrees; i++) {
        put_number(out, i ? ",\n    {" : "\n    {", "bandwidth", p->trees[i].bandwidth, true);
        fprintf(out, ", \"root\": %d", p->trees[i].root);
        put_list(out, "parent", p->trees[i].parent, p->ngpus);
        putc('}', out);
    }
    put_number(out, "],\n   ", "ring_total", p->ring_total, true);
    put_number(out, ", ", "ring_bound", p->bound, true);
    put_number(out, ", ", "tree_total", p->tree_total, true);
    put_number(out, ", ", "tree_bound", p->tree_bound, true);
    put_bool(out, ",\n   ", "optimal", p->optimal);
    put_text(out, ", ", "proof", p->proof);
    put_number(out, ", ", "seconds", p->seconds, true);
    putc('}', out);
}
