/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports about the library; see peal_describe() in peal.h. */
#include "api/check.h"
#include "api/describe.h"

#include "base/build.h"
#include "base/report.h"
#include "coll/explain.h"
#include "comm/launch.h"
#include "topology/topology_source.h"

#include <stdlib.h>
#include <string.h>

static void fact(struct report *r, const char *name, const char *value)
{
    report_row(r);
    report_field(r, "name", 22, "%s", name);
    report_field(r, "value", 0, "%s", value);
}

static int version(const char *words, struct report *r)
{
    char text[64];

    (void)words;
    snprintf(text, sizeof text, "%d.%d.%d", PEAL_VERSION_MAJOR, PEAL_VERSION_MINOR,
             PEAL_VERSION_PATCH);
    fact(r, "peal", text);
    return PEAL_OK;
}

static int build(const char *words, struct report *r)
{
    (void)words;
    for (const struct build_fact *f = build_facts; f->name; f++)
        fact(r, f->name, f->value);
    return PEAL_OK;
}

static int list_transports(const char *words, struct report *r)
{
    (void)words;
    for (const struct transport *const *t = transports; *t; t++) {
        bool usable = (*t)->usable() == PEAL_OK;

        report_row(r);
        report_field(r, "transport", 10, "%s", (*t)->name);
        report_field(r, "usable", 4, "%s", usable ? "yes" : "no");
        report_field(r, "reason", 0, "%s", usable ? "" : status_text());
    }
    return PEAL_OK;
}

static int list_devices(const char *words, struct report *r)
{
    (void)words;
    for (const struct transport *const *t = transports; *t; t++)
        if ((*t)->devices)
            (*t)->devices(r);
    return PEAL_OK;
}

static int list_launchers(const char *words, struct report *r)
{
    bool found = false;

    (void)words;
    for (const struct launcher *const *l = launchers; *l; l++) {
        bool present = (*l)->present();

        report_row(r);
        report_field(r, "launcher", 12, "%s", (*l)->name);
        report_field(r, "present", 12, "%s", !present ? "no" : found ? "yes, unused" : "yes, used");
        report_field(r, "looks_for", 0, "%s", (*l)->looks_for);
        found |= present;
    }
    if (!found) {
        report_row(r);
        report_field(r, "launcher", 12, "none");
        report_field(r, "present", 12, "yes, used");
        report_field(r, "looks_for", 0, "nothing: rank 0 of 1");
    }
    return PEAL_OK;
}

static int list_settings(const char *words, struct report *r)
{
    (void)words;
    for (const struct setting *const *table = settings_tables; *table; table++)
        for (const struct setting *s = *table; s->name; s++) {
            const char *origin, *value = setting_text(s, &origin);
            bool secret = strcmp(s->name, "PEAL_SECRET") == 0 && value;

            report_row(r);
            report_field(r, "setting", 22, "%s", s->name);
            report_field(r, "value", 14, "%s", secret ? "(hidden)" : value ? value : "(not set)");
            report_field(r, "origin", 12, "%s", origin);
            report_field(r, "help", 0, "%s%s%s", s->help, s->alias ? "; alias " : "",
                         s->alias ? s->alias : "");
        }
    return PEAL_OK;
}

static int list_algorithms(const char *words, struct report *r)
{
    (void)words;
    explain_algorithms(r);
    return PEAL_OK;
}

static int drawing(const char *words, struct report *r)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    int status;

    if (!out)
        return status_fail(PEAL_ERR_MEMORY, "no memory for a drawing");
    status = explain_drawing(words, out);
    fclose(out);
    if (status == PEAL_OK)
        for (char *rest, *line = strtok_r(text, "\n", &rest); line;
             line = strtok_r(NULL, "\n", &rest)) {
            report_row(r);
            report_field(r, "line", 0, "%s", line);
        }
    free(text);
    return status;
}

static const struct {
    const char *name;
    int       (*report)(const char *words, struct report *r);
} topics[] = {
    { "version", version }, { "build", build }, { "transports", list_transports },
    { "devices", list_devices },
    { "launch", list_launchers }, { "settings", list_settings },
    { "algorithms", list_algorithms }, { "draw", drawing }, { "explain", explain_choice },
    { "topology", describe_topology }, { "rings", describe_rings },
    { "topology-svg", describe_topology_svg }, { "topology-nccl", describe_topology_nccl },
    { "topology-own", describe_topology_own },
};
enum { TOPICS = sizeof topics / sizeof *topics };

/* Numbers in reports and in the files that they are about have a decimal point, whatever the
 * application's locale has. */
static int make_report(int topic, const char *words, struct report *r)
{
    struct plain_numbers plain;
    int status;

    plain_numbers_begin(&plain);
    status = topics[topic].report(words, r);
    plain_numbers_end(&plain);
    return status;
}

int peal_describe(const char *topic, int json, char **text)
{
    char *made, kept[STATUS_TEXT];
    struct report r;
    size_t length;
    int i = 0, status = check_pointer(__func__, "topic", topic);

    if (!status)
        status = check_pointer(__func__, "report", text);
    if (status)
        return status;
    length = strcspn(topic, " ");
    while (i < TOPICS && (strlen(topics[i].name) != length ||
                          strncmp(topics[i].name, topic, length) != 0))
        i++;
    if (i == TOPICS)
        return status_fail(PEAL_ERR_ARGUMENT, "unknown topic \"%s\"; see peal_describe in peal.h",
                           topic);
    status_keep(kept);                 /* what cannot be used is told, and is no failure */
    report_begin(&r, topics[i].name, json != 0);
    status = make_report(i, topic + length, &r);
    made = report_end(&r);
    if (status) {
        free(made);
        return status;
    }
    if (!made)
        return status_fail(PEAL_ERR_MEMORY, "no memory for a report");
    status_restore(kept);
    *text = made;
    return PEAL_OK;
}
