/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of topology's readers: files of tests/topologies, and reading exact copies of texts, so
 * that the address sanitizer sees what looks beyond them. */
#ifndef TOPOLOGY_FILES_H
#define TOPOLOGY_FILES_H

#include "checks.h"

#include "base/status.h"
#include "topology/topology_source.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* malloc'ed, with a 0 behind; NULL: told. */
__attribute__((unused))
static char *file_text(const char *machine, const char *file, size_t *length)
{
    const char *top = getenv("srcdir");
    char path[PATH_MAX], *text = malloc(TOPOLOGY_FILE_MOST);
    FILE *in;

    snprintf(path, sizeof path, "%s/tests/topologies/%s/%s", top ? top : ".", machine, file);
    in = fopen(path, "r");
    check(in && text, "%s cannot be opened", path);
    *length = in && text ? fread(text, 1, TOPOLOGY_FILE_MOST - 1, in) : 0;
    if (in)
        fclose(in);
    if (text)
        text[*length] = 0;
    return text;
}

/* Finished where PEAL_OK comes; to be freed in each case. */
__attribute__((unused))
static int read_text(const struct topology_source *source, const char *text, size_t length,
                     struct topology *t)
{
    char *exact = malloc(length ? length : 1);
    int status = PEAL_ERR_MEMORY;

    topology_init(t);
    if (exact) {
        memcpy(exact, text, length);
        source->recognise(exact, length);
        status = source->read(exact, length, "text", t);
    }
    free(exact);
    return status ? status : topology_finish(t);
}

__attribute__((unused))
static bool has_note(const struct topology *t, const char *words)
{
    for (int i = 0; i < t->nnotes; i++)
        if (strstr(t->notes[i].text, words))
            return true;
    return false;
}

/* All lanes of a medium. */
__attribute__((unused))
static int count_lanes(const struct topology *t, enum topology_medium medium)
{
    int lanes = 0;

    for (int i = 0; i < t->nlinks; i++)
        lanes += t->links[i].medium == medium ? t->links[i].lanes : 0;
    return lanes;
}

/* Refused, with these words in the reason. */
__attribute__((unused))
static void expect_refused(const struct topology_source *source, const char *text, const char *words)
{
    struct topology t;
    int status = read_text(source, text, strlen(text), &t);

    check(status == PEAL_ERR_ARGUMENT, "status %d for: %.60s", status, text);
    check(status && strstr(status_text(), words), "no \"%s\" in: %s", words, status ? status_text() : "");
    topology_free(&t);
}

#endif
