/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads Peal's own format (own_format.h). */
#include "topology/own_format.h"

#include "base/status.h"
#include "topology/topology_source.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 64 };

struct reading {
    const char *at, *end;              /* of the text */
    const char *where;
    int line, status;
    struct topology *t;
};

__attribute__((format(printf, 2, 3)))
static void wrong(struct reading *r, const char *format, ...)
{
    char text[200];
    va_list arguments;

    if (r->status)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    r->status = status_fail(PEAL_ERR_ARGUMENT, "%s:%d: %s", r->where, r->line, text);
}

/* ---- Pieces of a line ------------------------------------------------------------------ */

static void pass_blanks(struct reading *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static bool at_end_of_line(struct reading *r)
{
    pass_blanks(r);
    return r->at == r->end || *r->at == '\n' || *r->at == '#';
}

static void pass_line(struct reading *r)
{
    while (r->at < r->end && *r->at != '\n')
        r->at++;
    if (r->at < r->end)
        r->at++;
    r->line++;
}

/* Up to a blank, a quote, the end of the line or behind '='; empty if there is none or it is too long. */
static void word(struct reading *r, char text[WORD])
{
    int n = 0;

    if (!at_end_of_line(r))
        while (r->at < r->end && n < WORD - 1 && *r->at && !strchr(" \t\r\n\"#", *r->at)) {
            text[n++] = *r->at++;
            if (text[n - 1] == '=')
                break;
        }
    text[n] = 0;
    if (!n)
        wrong(r, "something is missing at the end of the line");
    else if (n == WORD - 1)
        wrong(r, "a word that is too long");
}

static int hexadecimal_digit(const struct reading *r, int ahead)
{
    char c = r->end - r->at > ahead ? r->at[ahead] : 0;

    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A byte of a quoted text, escapes undone; -1: the text ends here, or wrong. */
static int next_byte(struct reading *r)
{
    int c = r->at < r->end ? (unsigned char)*r->at : '\n';

    if (c == '\n' || c == 0) {
        wrong(r, "a text without its closing quote");
        return -1;
    }
    r->at++;
    if (c == '"')
        return -1;
    if (c != '\\')
        return c;
    if (r->at < r->end && (*r->at == '"' || *r->at == '\\'))
        return (unsigned char)*r->at++;
    if (r->at < r->end && *r->at == 'x' && hexadecimal_digit(r, 1) >= 0 && hexadecimal_digit(r, 2) >= 0) {
        c = hexadecimal_digit(r, 1) * 16 + hexadecimal_digit(r, 2);
        r->at += 3;
        if (c)
            return c;
    }
    wrong(r, "a backslash before neither \", \\ nor x with two digits");
    return -1;
}

static void quoted(struct reading *r, char *text, size_t room)
{
    size_t n = 0;
    int c;

    text[0] = 0;
    if (at_end_of_line(r) || *r->at != '"') {
        wrong(r, "wanted is a text in quotes");
        return;
    }
    r->at++;
    while ((c = next_byte(r)) >= 0 && n + 1 < room)
        text[n++] = (char)c;
    text[n] = 0;
    if (c >= 0)
        wrong(r, "a text of more than %zu bytes", room - 1);
}

static long integer(struct reading *r, long low, long high)
{
    char text[WORD], *end;
    long number;

    word(r, text);
    errno = 0;
    number = strtol(text, &end, 10);
    if (*end || errno || number < low || number > high)
        wrong(r, "'%s': wanted is a number from %ld to %ld", text, low, high);
    return r->status ? 0 : number;
}

static uint64_t hexadecimal(struct reading *r, uint64_t most)
{
    char text[WORD], *end;
    unsigned long long number;

    word(r, text);
    errno = 0;
    number = strtoull(text, &end, 16);
    if (*end || errno || number > most || *text == '-')
        wrong(r, "'%s': wanted is a hexadecimal number up to 0x%llx", text, (unsigned long long)most);
    return number;
}

static double real(struct reading *r)
{
    char text[WORD], *end;
    double number;

    word(r, text);
    number = strtod(text, &end);
    if (*end || !(number >= -1e15 && number <= 1e15))
        wrong(r, "'%s': no number", text);
    return number;
}

static void bus(struct reading *r, uint64_t *value)
{
    char text[WORD];

    word(r, text);
    if (!strcmp(text, "-"))
        *value = TOPOLOGY_NO_BUS;
    else if (!topology_bus_parse(text, value))
        wrong(r, "'%s': no address on a PCI bus", text);
}

/* ---- Lines ---------------------------------------------------------------------------------- */

static void read_field(struct reading *r, const struct own_field *field, void *value)
{
    switch (field->type) {
    case OWN_INT:
        *(int *)value = (int)integer(r, INT_MIN, INT_MAX);
        break;
    case OWN_HEX32:
        *(uint32_t *)value = (uint32_t)hexadecimal(r, UINT32_MAX);
        break;
    case OWN_HEX64:
        *(uint64_t *)value = hexadecimal(r, UINT64_MAX);
        break;
    case OWN_BUS:
        bus(r, value);
        break;
    case OWN_REAL:
        *(double *)value = real(r);
        break;
    case OWN_TEXT:
        quoted(r, value, field->size);
    }
}

static void read_fields(struct reading *r, const struct own_field *fields, void *thing)
{
    char name[WORD];

    while (!r->status && !at_end_of_line(r)) {
        const struct own_field *f = fields;
        size_t n;

        word(r, name);
        n = strlen(name);
        if (n && name[n - 1] == '=')
            name[n - 1] = 0;
        else
            wrong(r, "'%s': wanted is name=value", name);
        while (f->name && strcmp(f->name, name))
            f++;
        if (!f->name)
            wrong(r, "'%s': no field of that name", name);
        else if (!r->status)
            read_field(r, f, (char *)thing + f->offset);
    }
}

static void read_node(struct reading *r)
{
    char kind[WORD], name[TOPOLOGY_NAME];
    int at;

    if (integer(r, 0, INT_MAX) != r->t->nnodes)
        wrong(r, "node %d is to come here", r->t->nnodes);
    word(r, kind);
    if (topology_kind_find(kind) == TOPOLOGY_KIND_COUNT)
        wrong(r, "'%s': no kind of node", kind);
    quoted(r, name, sizeof name);
    if (r->status)
        return;
    at = topology_node(r->t, topology_kind_find(kind), -1, -1, -1, name);
    if (at < 0)
        return;
    read_fields(r, own_node_fields, &r->t->nodes[at]);
    if (r->t->nodes[at].parent >= at)
        wrong(r, "parent=%d hangs it from something that comes after it", r->t->nodes[at].parent);
}

/* What topology_finish() would find too, when lines are forgotten. */
static void check_link(struct reading *r, const struct topology_link *link)
{
    if (link->a == link->b)
        wrong(r, "a link of node %d to itself", link->a);
    else if (!(link->bandwidth > 0))
        wrong(r, "a link without a bandwidth above 0");
    else if (link->lanes < 0 || link->lanes > TOPOLOGY_LANES_MOST)
        wrong(r, "lanes=%d: a number of lanes that no link has", link->lanes);
}

static void read_link(struct reading *r)
{
    int a = (int)integer(r, 0, INT_MAX), b = (int)integer(r, 0, INT_MAX), at;
    char medium[WORD];

    word(r, medium);
    if (topology_medium_find(medium) == MEDIUM_COUNT)
        wrong(r, "'%s': no kind of link", medium);
    if (!r->status && (a >= r->t->nnodes || b >= r->t->nnodes))
        wrong(r, "a link of a node that is not there");
    if (r->status)
        return;
    at = topology_link(r->t, a, b, topology_medium_find(medium), 0, 0);
    if (at < 0)
        return;
    read_fields(r, own_link_fields, &r->t->links[at]);
    check_link(r, &r->t->links[at]);
}

static void read_note(struct reading *r)
{
    char what[WORD], text[sizeof r->t->notes->text];

    word(r, what);
    if (strcmp(what, "missing") && strcmp(what, "found"))
        wrong(r, "'%s': notes are 'missing' or 'found'", what);
    quoted(r, text, sizeof text);
    if (!r->status)
        topology_note(r->t, !strcmp(what, "missing"), "%s", text);
}

static void read_line(struct reading *r)
{
    char what[WORD], name[TOPOLOGY_TEXT];

    word(r, what);
    if (!strcmp(what, "host")) {
        quoted(r, name, sizeof name);
        if (!r->status)
            topology_host(r->t, name);
    } else if (!strcmp(what, "node"))
        read_node(r);
    else if (!strcmp(what, "link"))
        read_link(r);
    else if (!strcmp(what, "note"))
        read_note(r);
    else
        wrong(r, "'%s': wanted is host, node, link or note", what);
    if (!r->status && !r->t->failed && !at_end_of_line(r))
        wrong(r, "more than belongs in this line");
}

static int read(const char *text, size_t length, const char *where, struct topology *t)
{
    struct reading r = { .at = text, .end = text + length, .where = where, .line = 1, .t = t };
    char what[WORD];

    word(&r, what);
    if (!r.status && (strcmp(what, OWN_FORMAT) || integer(&r, 0, INT_MAX) != OWN_VERSION))
        wrong(&r, "wanted is '%s %d': this Peal knows no other version", OWN_FORMAT, OWN_VERSION);
    for (pass_line(&r); r.at < r.end && !r.status && !t->failed; pass_line(&r))
        if (!at_end_of_line(&r))
            read_line(&r);
    return r.status ? r.status : t->failed;
}

static bool recognise(const char *text, size_t length)
{
    size_t n = strlen(OWN_FORMAT);

    return length > n && !memcmp(text, OWN_FORMAT, n) && text[n] == ' ';
}

const struct topology_source read_own = {
    .name = "peal",
    .recognise = recognise,
    .read = read,
};
