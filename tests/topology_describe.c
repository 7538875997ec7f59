/* SPDX-License-Identifier: BSD-3-Clause */
/* Machines by peal_describe(): reports as text and JSON, files that are written, PEAL_TOPO_FILE. */
#include "checks.h"
#include "topology_shown.h"

#include <peal.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void expect_report(const char *topic, int json, const char *words)
{
    char *report = NULL;
    int status = peal_describe(topic, json, &report);

    check(status == PEAL_OK, "%s: %s", topic, status ? peal_last_error() : "");
    if (status != PEAL_OK)
        return;
    if (json)
        check(!json_wrong(report), "%s: JSON: %s", topic, json_wrong(report));
    check(strstr(report, words) != NULL, "%s: it does not say \"%s\":\n%.600s", topic, words, report);
    free(report);
}

static void expect_failure(const char *topic, const char *words)
{
    char *report = NULL;

    check(peal_describe(topic, 0, &report) == PEAL_ERR_ARGUMENT, "%s: no failure", topic);
    check(strstr(peal_last_error(), words) && !report, "%s: the text is \"%s\", without \"%s\"", topic,
          peal_last_error(), words);
}

/* What is written is read again, and then written the same. */
static void expect_written(const char *topic, const char *begins)
{
    static const char machine[] = "node:2 socket:2 switch:4 gpu:8@b200 nvswitch nic:8@400";
    char path[] = "/tmp/peal-topology-XXXXXX", words[200], *first = NULL, *second = NULL;
    FILE *out = fdopen(mkstemp(path), "w");

    check(out != NULL, "no file in /tmp");
    if (!out)
        return;
    snprintf(words, sizeof words, "%s %s", topic, machine);
    expect_report(words, 1, begins);
    check(!peal_describe(words, 0, &first), "%s: %s", words, peal_last_error());
    check(first && !strncmp(first, begins, strlen(begins)), "%s: %.80s", words, first ? first : "");
    fputs(first ? first : "", out);
    fclose(out);
    snprintf(words, sizeof words, "%s %s", topic, path);
    check(!peal_describe(words, 0, &second), "%s: %s", words, peal_last_error());
    if (!strcmp(topic, "topology-own"))        /* NCCL's has no place for notes, hosts' names, rails */
        check(first && second && !strcmp(first, second), "%s: written anew it differs", topic);
    snprintf(words, sizeof words, "topology %s", path);
    expect_report(words, 0, "8 GPUs, 8 NIC ports, 2 NUMA nodes, 4 PCI switches, NVSwitch");
    unlink(path);
    free(first);
    free(second);
}

static void described(const char *folder)
{
    static const char *const topics[] = { "topology", "rings", "topology-svg" };
    static const char machine[] = "node:3 socket:2 switch:4 gpu:8 nvswitch nic:8@400";
    char topic[4200];

    for (int i = 0; i < 3; i++)
        for (int json = 0; json < 2; json++) {
            snprintf(topic, sizeof topic, "%s %s", topics[i], machine);
            expect_report(topic, json, json ? "socket:2 switch:4" : i == 1 ? "GPUs" : "GPU7");
            /* This machine, whatever it is. */
            expect_report(topics[i], json, json ? "{" : i == 2 ? "</svg>" : "NUMA");
        }
    snprintf(topic, sizeof topic, "topology %s", machine);
    expect_report(topic, 0, "One of 3 hosts, which are alike.");
    snprintf(topic, sizeof topic, "topology-svg %s", machine);
    expect_report(topic, 0, "One of 3 hosts, which are alike.");
    expect_written("topology-nccl", "<system version=");
    expect_written("topology-own", "peal-topology 1");
    expect_failure("topology /nowhere/topo.xml", "/nowhere/topo.xml");
    expect_failure("topology-own /nowhere/topo.xml", "/nowhere/topo.xml");
    expect_failure("rings socket:2 gpu:7", "gpu:7");

    snprintf(topic, sizeof topic, "%s/dgx1-v100/topo-m.txt", folder);
    setenv("NCCL_TOPO_FILE", topic, 1);
    expect_report("topology", 0, "dgx1-v100/topo-m.txt: 8 GPUs");
    expect_report("settings", 0, "alias NCCL_TOPO_FILE");
    setenv("PEAL_TOPO_FILE", "socket:1 gpu:2", 1);
    expect_report("topology", 0, "socket:1 gpu:2: 2 GPUs");
    snprintf(topic, sizeof topic, "topology %s/dgx1-v100/topo-m.txt", folder);
    expect_report(topic, 0, "8 GPUs");
    unsetenv("PEAL_TOPO_FILE");
    unsetenv("NCCL_TOPO_FILE");
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") || setlocale(LC_NUMERIC, "fr_FR.UTF-8"))
        expect_report("rings socket:2 switch:4 gpu:8@a100", 1, "\"ring_total\": ");
    else
        printf("skipped: numbers where the locale has a decimal comma: no de_DE, no fr_FR here\n");
    setlocale(LC_NUMERIC, "C");
    printf("as the user asks: topics, several hosts, PEAL_TOPO_FILE and NCCL_TOPO_FILE\n");
}

int main(void)
{
    const char *source = getenv("srcdir");
    char folder[4000];

    snprintf(folder, sizeof folder, "%s/tests/topologies", source ? source : ".");
    described(folder);
    printf("topology_describe: %d checks, %d failed\n", checks, failures);
    return failures != 0;
}
