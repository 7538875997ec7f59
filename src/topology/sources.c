/* SPDX-License-Identifier: BSD-3-Clause */
/* The formats that topologies are read from, and finding which one a text is in. */
#include "topology/topology_source.h"

#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRY(name) extern const struct topology_source name;
#include "topology_sources.list"
#undef ENTRY

#define ENTRY(name) &name,
const struct topology_source *const topology_sources[] = {
#include "topology_sources.list"
    NULL
};
#undef ENTRY

void plain_numbers_begin(struct plain_numbers *p)
{
    p->plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    p->before = uselocale(p->plain);
}

void plain_numbers_end(struct plain_numbers *p)
{
    uselocale(p->before);
    if (p->plain != (locale_t)0)
        freelocale(p->plain);
}

/* The first place at or behind `at` that is behind `what`. */
static size_t behind(const char *text, size_t length, size_t at, const char *what)
{
    size_t n = strlen(what);

    while (at + n <= length && memcmp(text + at, what, n))
        at++;
    return at + n <= length ? at + n : length;
}

static bool starts(const char *text, size_t length, size_t at, const char *what)
{
    size_t n = strlen(what);

    return length - at >= n && !memcmp(text + at, what, n);
}

bool topology_text_is_xml(const char *text, size_t length, const char *root)
{
    size_t at = length >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0, n = strlen(root);

    for (;;) {
        while (at < length && text[at] && strchr(" \t\r\n", text[at]))
            at++;
        if (starts(text, length, at, "<!--"))
            at = behind(text, length, at, "-->");
        else if (starts(text, length, at, "<?"))
            at = behind(text, length, at, ">");
        else if (starts(text, length, at, "<!"))       /* a document type, with or without entities */
            at = behind(text, length, memchr(text + at, '[', behind(text, length, at, ">") - at) ?
                        behind(text, length, at, "]") : at, ">");
        else
            break;
    }
    if (at + 1 + n >= length || text[at] != '<' || memcmp(text + at + 1, root, n))
        return false;
    return text[at + 1 + n] && strchr(" \t\r\n/>", text[at + 1 + n]);
}

int topology_read_text(const char *text, size_t length, const char *where, struct topology *t)
{
    const struct topology_source *const *source = topology_sources;
    struct plain_numbers plain;
    char what[200];
    int status;

    topology_init(t);
    if (length > TOPOLOGY_FILE_MOST)
        return status_fail(PEAL_ERR_ARGUMENT, "%s: longer than %d MiB", where,
                           TOPOLOGY_FILE_MOST >> 20);
    while (*source && !(*source)->recognise(text, length))
        source++;
    if (!*source) {
        what[0] = 0;
        for (source = topology_sources; *source; source++)
            if (strlen(what) + strlen((*source)->name) + 3 < sizeof what)
                strcat(strcat(what, *what ? ", " : ""), (*source)->name);
        return status_fail(PEAL_ERR_ARGUMENT, "%s:1: none of the formats that are known here (%s)", where,
                           what);
    }
    plain_numbers_begin(&plain);
    status = (*source)->read(text, length, where, t);
    plain_numbers_end(&plain);
    if (!status)
        status = topology_finish(t);
    if (status && strncmp(status_text(), where, strlen(where)))
        status_prefix(status, "%s: ", where);
    if (status)
        topology_free(t);
    return status;
}

static int read_whole(int file, const char *path, char **text, size_t *length)
{
    size_t room = 1 << 16, used = 0;
    char *all = malloc(room), *larger;
    ssize_t got = 1;

    while (all && got > 0 && used <= TOPOLOGY_FILE_MOST) {
        if (used == room) {
            larger = realloc(all, room * 2);
            if (!larger)
                free(all);
            all = larger;
            room *= 2;
            continue;
        }
        got = read(file, all + used, room - used);
        if (got > 0)
            used += (size_t)got;
        else if (got < 0 && errno == EINTR)
            got = 1;
    }
    if (!all)
        return status_fail(PEAL_ERR_MEMORY, "%s: no memory for %zu bytes", path, room);
    if (got < 0) {
        status_fail(PEAL_ERR_ARGUMENT, "%s: cannot be read: %m", path);
        free(all);
        return PEAL_ERR_ARGUMENT;
    }
    *text = all;
    *length = used;
    return PEAL_OK;
}

/* No path; and where there is a dot, a value: "nic:8@12.5". */
static bool may_be_words(const char *text)
{
    return !strchr(text, '/') && (!strchr(text, '.') || strpbrk(text, ":@"));
}

int topology_read(const char *file_or_description, struct topology *t)
{
    int file = open(file_or_description, O_RDONLY | O_CLOEXEC), status;
    char *text = NULL;
    size_t length = 0;

    topology_init(t);
    if (file < 0 && may_be_words(file_or_description)) {
        status = topology_read_text(file_or_description, strlen(file_or_description), "description",
                                    t);
        return status ? status_prefix(status, "no file has this name, so it is a description; ") : status;
    }
    if (file < 0)
        return status_fail(PEAL_ERR_ARGUMENT, "%s: cannot be opened: %m", file_or_description);
    status = read_whole(file, file_or_description, &text, &length);
    close(file);
    if (status)
        return status;
    status = topology_read_text(text, length, file_or_description, t);
    free(text);
    return status;
}
