/* SPDX-License-Identifier: BSD-3-Clause */
/* What nvidia-smi topo -m prints:
 *
 *             GPU0    GPU1    NIC0    CPU Affinity    NUMA Affinity   GPU NUMA ID
 *     GPU0     X      NV4     PIX     0-31            0               N/A
 *     GPU1    NV4      X      PHB     0-31            0               N/A
 *     NIC0    PIX     PHB      X
 *
 *     NIC Legend:
 *       NIC0: mlx5_0
 *
 * with tabs, as it comes from the terminal (underlined by escapes), or with spaces, as it comes
 * from a web page; older ones write SOC for SYS, and the adapters' names instead of NIC0. */
#include "topology/read_matrix.h"

#include "base/status.h"
#include "topology/topology_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MOST = MATRIX_MOST + 8, WORD_MOST = 511 };

/* Words of the line that is being read. */
struct line {
    const char *at, *end;              /* the rest of the text */
    int  number, n;
    bool overflow;
    char words[WORDS_MOST][WORD_MOST + 1];
};

/* A terminal's escape: ESC [ parameters letter. */
static const char *skip_escape(const char *at, const char *end)
{
    if (end - at < 2 || at[1] != '[')
        return at + 1;
    for (at += 2; at < end && *at != '\n'; at++)
        if ((*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z'))
            return at + 1;
    return at;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || !c;
}

/* The next line's words; false: no more lines.  What is too long or too much is cut, and said. */
static bool next_line(struct line *l)
{
    size_t length = 0;
    bool inside = false;

    if (l->at == l->end)
        return false;
    l->n = 0;
    l->overflow = false;
    l->number++;
    while (l->at < l->end && *l->at != '\n') {
        char c = *l->at;

        if (c == 033) {
            l->at = skip_escape(l->at, l->end);
            continue;
        }
        l->at++;
        if (is_space(c)) {
            inside = false;
            continue;
        }
        if (!inside) {
            if (l->n == WORDS_MOST) {
                l->overflow = true;
                continue;
            }
            inside = true;
            length = 0;
            l->n++;
        }
        if (length < WORD_MOST)
            l->words[l->n - 1][length++] = c;
        else
            l->overflow = true;
        l->words[l->n - 1][length] = 0;
    }
    l->at += l->at < l->end;
    return true;
}

static int gpu_number(const char *word)
{
    int n = 0, digits = 0;

    if (strncmp(word, "GPU", 3))
        return -1;
    for (word += 3; *word >= '0' && *word <= '9' && digits < 5; word++, digits++)
        n = n * 10 + *word - '0';
    return *word || !digits ? -1 : n;
}

static bool cell_of(const char *word, struct matrix_cell *cell)
{
    static const struct { const char *word; enum topology_class class; } classes[] = {
        { "X", CLASS_SELF }, { "PIX", CLASS_PIX }, { "PXB", CLASS_PXB }, { "PHB", CLASS_PHB },
        { "NODE", CLASS_NODE }, { "SYS", CLASS_SYS }, { "SOC", CLASS_SYS },
    };
    char *end;
    long lanes;

    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (!strcmp(word, classes[i].word)) {
            *cell = (struct matrix_cell){ (unsigned char)classes[i].class, 0 };
            return true;
        }
    if (strncmp(word, "NV", 2) || word[2] < '1' || word[2] > '9')
        return false;
    lanes = strtol(word + 2, &end, 10);
    if (*end || lanes > 64)
        return false;
    *cell = (struct matrix_cell){ CLASS_NVLINK, (unsigned char)lanes };
    return true;
}

/* The line with the columns: devices until the affinities.  Its number of devices, 0: it is another
 * line. */
static int header(const struct line *l)
{
    struct matrix_cell cell;
    int n = 0;

    if (l->n < 1 || gpu_number(l->words[0]) < 0 || (l->n > 1 && cell_of(l->words[1], &cell)))
        return 0;
    while (n < l->n && strcmp(l->words[n], "CPU") && strcmp(l->words[n], "NUMA") &&
           strcmp(l->words[n], "GPU"))
        n++;
    return n;
}

static int wrong(const char *where, int line, const char *what, const char *which)
{
    return status_fail(PEAL_ERR_ARGUMENT, "%s:%d: %s %s", where, line, what, which);
}

static int find(const struct matrix *m, const char *label)
{
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->devices[i].label, label))
            return i;
    return -1;
}

static int read_header(struct matrix *m, const struct line *l, const char *where)
{
    int n = header(l);

    if (n > MATRIX_MOST || l->overflow)
        return wrong(where, l->number, "more devices than a machine has, or too long a name, after",
                     "the first");
    for (int i = 0; i < n; i++) {
        struct matrix_device *d = &m->devices[m->n];

        if (strlen(l->words[i]) >= sizeof d->label)
            return wrong(where, l->number, "too long a name of a column:", l->words[i]);
        if (find(m, l->words[i]) >= 0)
            return wrong(where, l->number, "two columns are named", l->words[i]);
        *d = (struct matrix_device){ .numa = -1, .gpu = gpu_number(l->words[i]) };
        strcpy(d->label, l->words[i]);
        strcpy(d->name, l->words[i]);
        m->n++;
    }
    return PEAL_OK;
}

/* "0-19,40-59" and nothing else. */
static bool is_list(const char *word)
{
    return *word && strspn(word, "0123456789,-") == strlen(word) && *word != '-' && *word != ',';
}

static int read_row(struct matrix *m, const struct line *l, const char *where)
{
    int row = find(m, l->words[0]), known = 1 + m->n;
    struct matrix_device *d;
    char text[80];

    if (row < 0)
        return wrong(where, l->number, "there is no column for the row", l->words[0]);
    d = &m->devices[row];
    if (d->line)
        return wrong(where, l->number, "there is a second row", l->words[0]);
    d->line = l->number;
    for (int i = 0; i < m->n; i++) {
        struct matrix_cell *cell = &m->cells[row][i];

        if (i + 1 >= l->n) {
            snprintf(text, sizeof text, "%s has %d of %d cells", d->label, l->n - 1, m->n);
            return wrong(where, l->number, "the row", text);
        }
        if (!cell_of(l->words[i + 1], cell)) {
            snprintf(text, sizeof text, "%s: %.20s", m->devices[i].label, l->words[i + 1]);
            return wrong(where, l->number, "no class of connection in column", text);
        }
        if ((cell->class == CLASS_SELF) != (i == row))
            return wrong(where, l->number, "X is not where row and column are the same, in column",
                         m->devices[i].label);
        if (cell->class == CLASS_NVLINK && (d->gpu < 0 || m->devices[i].gpu < 0))
            return wrong(where, l->number, "NVLinks to an adapter, in column", m->devices[i].label);
    }
    if (d->gpu >= 0 && l->n > known && is_list(l->words[known]) && !l->overflow)
        snprintf(d->cpus, sizeof d->cpus, "%.*s", WORD_MOST, l->words[known]);
    if (d->gpu >= 0 && l->n > known + 1 && is_list(l->words[known + 1]) &&
        strlen(l->words[known + 1]) < 6 && !strpbrk(l->words[known + 1], ",-"))
        d->numa = atoi(l->words[known + 1]);
    return PEAL_OK;
}

/* "NIC0: mlx5_0"; two adapters of one name would be one. */
static void read_legend(struct matrix *m, const struct line *l)
{
    char label[TOPOLOGY_NAME];
    size_t length = strlen(l->words[0]);
    int device;

    if (l->n != 2 || length < 2 || length > sizeof label || l->words[0][length - 1] != ':' ||
        strlen(l->words[1]) >= TOPOLOGY_NAME)
        return;
    memcpy(label, l->words[0], length - 1);
    label[length - 1] = 0;
    device = find(m, label);
    if (device < 0 || m->devices[device].gpu >= 0)
        return;
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->devices[i].name, l->words[1]))
            return;
    strcpy(m->devices[device].name, l->words[1]);
}

/* From both directions of a cell the farther. */
static void make_symmetric(struct matrix *m, struct topology *t)
{
    int odd = 0, line = 0;

    for (int i = 0; i < m->n; i++)
        for (int k = 0; k < i; k++) {
            struct matrix_cell *a = &m->cells[i][k], *b = &m->cells[k][i];

            if (a->class == b->class && a->lanes == b->lanes)
                continue;
            odd++;
            line = m->devices[i].line;
            if (a->class > b->class || (a->class == b->class && a->lanes < b->lanes))
                *b = *a;
            else
                *a = *b;
        }
    if (odd)
        topology_note(t, true, "%d cells are not the same in both directions (the last in line %d); "
                      "the farther was taken", odd, line);
}

static int read_rows(struct matrix *m, struct line *l, const char *where)
{
    struct matrix_cell cell;
    bool legend = false;
    int status = PEAL_OK;

    while (!status && next_line(l)) {
        if (!l->n)
            continue;
        legend |= !strcmp(l->words[0], "Legend:") || (l->n > 1 && !strcmp(l->words[1], "Legend:"));
        if (legend)
            read_legend(m, l);
        else if (find(m, l->words[0]) >= 0 || (l->n > 1 && cell_of(l->words[1], &cell)))
            status = read_row(m, l, where);
    }
    for (int i = 0; i < m->n && !status; i++)
        if (!m->devices[i].line)
            status = wrong(where, l->number, "the text ends, and there was no row", m->devices[i].label);
    return status;
}

static int read(const char *text, size_t length, const char *where, struct topology *t)
{
    struct matrix *m = calloc(1, sizeof *m);
    struct line *l = calloc(1, sizeof *l);
    int status = PEAL_OK;

    if (!m || !l) {
        status = status_fail(PEAL_ERR_MEMORY, "%s: no memory to read it", where);
    } else {
        l->at = text;
        l->end = text + length;
        while (!header(l) && next_line(l))
            ;
        status = header(l) ? read_header(m, l, where)
                           : wrong(where, l->number, "no line with", "GPU0 GPU1 ...");
        if (!status)
            status = read_rows(m, l, where);
    }
    if (!status) {
        make_symmetric(m, t);
        matrix_build(m, t);
        status = t->failed;
    }
    free(l);
    free(m);
    return status;
}

/* A header among the first lines (a prompt and the command may precede it), then a GPU's row. */
static bool recognise(const char *text, size_t length)
{
    struct line l;                     /* 70 kB; there may be no memory, which is not the text's fault */

    l.at = text;
    l.end = text + (length < 65536 ? length : 65536);
    l.number = l.n = 0;
    while (l.number < 50 && !header(&l) && next_line(&l))
        ;
    if (header(&l))
        while (next_line(&l) && !l.n)
            ;
    return l.n > 1 && gpu_number(l.words[0]) >= 0;
}

const struct topology_source read_matrix = {
    .name = "matrix",
    .recognise = recognise,
    .read = read,
};
