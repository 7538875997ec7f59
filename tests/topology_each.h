/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests that go through all machines of tests/topologies. */
#ifndef TOPOLOGY_EACH_H
#define TOPOLOGY_EACH_H

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* Calls visit() with each machine's name and file, by name; how often it returned true. */
static int each_machine(bool (*visit)(const char *machine, const char *file))
{
    static const char *const files[] = { "topo.xml", "hwloc.xml", "topo-m.txt" };
    const char *top = getenv("srcdir");
    char folder[PATH_MAX / 2], file[PATH_MAX];
    struct dirent **names;
    int n, visited = 0;

    snprintf(folder, sizeof folder, "%s/tests/topologies", top ? top : ".");
    n = scandir(folder, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < 3; k++) {
            FILE *there;

            snprintf(file, sizeof file, "%s/%s/%s", folder, names[i]->d_name, files[k]);
            there = fopen(file, "r");
            if (!there)
                continue;
            fclose(there);
            visited += visit(names[i]->d_name, file);
        }
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return visited;
}

#endif
