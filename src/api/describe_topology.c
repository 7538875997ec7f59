/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports about a machine: this one, or that of a file or description. */
#include "api/describe.h"

#include "base/status.h"
#include "topology/show.h"
#include "topology/topology_source.h"

#include <stdlib.h>
#include <string.h>

/* What a search for rings may take. */
static const double seconds = 1.0;

struct described {
    char source[512];
    struct topology t;
    struct show show;
    struct topology_plan plan;
};

static int find_plan(struct described *d)
{
    int status;

    if (!d->show.ngpus) {
        snprintf(d->show.no_plan, sizeof d->show.no_plan, "there are no GPUs");
        return PEAL_OK;
    }
    status = plan_find(&d->show.host, 0, NULL, 0, seconds, &d->plan);
    if (status == PEAL_OK)
        d->show.plan = &d->plan;
    else if (status == PEAL_ERR_ARGUMENT)
        snprintf(d->show.no_plan, sizeof d->show.no_plan, "%.150s", status_text());
    return status == PEAL_ERR_ARGUMENT ? PEAL_OK : status;
}

static void end(struct described *d)
{
    if (d->show.plan)
        topology_plan_free(&d->plan);
    show_end(&d->show);
    topology_free(&d->t);
}

static int find_machine(struct described *d, const char *words)
{
    words += strspn(words, " ");
    snprintf(d->source, sizeof d->source, "%s", words);
    return *words ? topology_read(words, &d->t) : topology_here(&d->t, d->source, sizeof d->source);
}

static int begin(struct described *d, const char *words, bool plan)
{
    int status = find_machine(d, words);

    if (status)
        return status;
    status = show_begin(&d->show, &d->t, 0, d->source);
    if (!status && plan)
        status = find_plan(d);
    if (status)
        end(d);
    return status;
}

static void machine(const struct show *s, FILE *out)
{
    show_summary(s, out);
    putc('\n', out);
    show_matrix(s, out);
    putc('\n', out);
    show_tree(s, out);
    putc('\n', out);
    show_words(s, out);
}

static void rings(const struct show *s, FILE *out)
{
    show_summary(s, out);
    putc('\n', out);
    show_plan(s, out);
}

/* A document in JSON is a string. */
static void put_string(FILE *out, const char *name, const char *text)
{
    fprintf(out, "\n  {\"%s\": \"", name);
    show_text(out, SHOW_JSON, text);
    fputs("\"}", out);
}

static void svg_json(const struct show *s, FILE *out)
{
    char *text = NULL;
    size_t bytes;
    FILE *picture = open_memstream(&text, &bytes);

    if (picture)
        show_svg(s, picture);
    if (picture && fclose(picture) == 0)
        put_string(out, "svg", text);
    free(text);
}

static int describe(const char *words, struct report *r, bool plan,
                    void (*text)(const struct show *, FILE *),
                    void (*json)(const struct show *, FILE *))
{
    struct described d = { .t.nnodes = 0 };
    int status = begin(&d, words, plan);

    if (status)
        return status;
    if (r->out)
        (r->json ? json : text)(&d.show, r->out);
    end(&d);
    return PEAL_OK;
}

int describe_topology(const char *words, struct report *r)
{
    return describe(words, r, false, machine, show_json);
}

int describe_rings(const char *words, struct report *r)
{
    return describe(words, r, true, rings, show_plan_json);
}

int describe_topology_svg(const char *words, struct report *r)
{
    return describe(words, r, true, show_svg, svg_json);
}

/* All hosts of it, as a text that topology_read() takes. */
static int write_file(const char *words, struct report *r, char *(*write)(const struct topology *))
{
    struct described d = { .t.nnodes = 0 };
    int status = find_machine(&d, words);
    char *text;

    if (status)
        return status;
    text = write(&d.t);
    topology_free(&d.t);
    if (!text)
        return status_fail(PEAL_ERR_MEMORY, "no memory for the text of a topology");
    if (r->out && r->json)
        put_string(r->out, "text", text);
    else if (r->out)
        fputs(text, r->out);
    free(text);
    return PEAL_OK;
}

int describe_topology_nccl(const char *words, struct report *r)
{
    return write_file(words, r, topology_write_nccl);
}

int describe_topology_own(const char *words, struct report *r)
{
    return write_file(words, r, topology_write_own);
}
