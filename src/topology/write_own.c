/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes Peal's own format (own_format.h). */
#include "topology/own_format.h"

#include "topology/topology_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODE(name, type, member) \
    { name, type, offsetof(struct topology_node, member), sizeof((struct topology_node *)0)->member }
#define LINK(name, type, member) \
    { name, type, offsetof(struct topology_link, member), sizeof((struct topology_link *)0)->member }

const struct own_field own_node_fields[] = {
    NODE("host",       OWN_INT,   host),
    NODE("parent",     OWN_INT,   parent),
    NODE("number",     OWN_INT,   number),
    NODE("bus",        OWN_BUS,   bus),
    NODE("class",      OWN_HEX32, pci_class),
    NODE("vendor",     OWN_HEX32, pci_vendor),
    NODE("device",     OWN_HEX32, pci_device),
    NODE("speed",      OWN_REAL,  speed),
    NODE("capability", OWN_INT,   capability),
    NODE("direct",     OWN_INT,   direct),
    NODE("socket",     OWN_INT,   socket),
    NODE("guid",       OWN_HEX64, guid),
    NODE("arch",       OWN_TEXT,  arch),
    NODE("processor",  OWN_TEXT,  vendor),
    NODE("family",     OWN_INT,   family),
    NODE("revision",   OWN_INT,   revision),
    NODE("cpus",       OWN_TEXT,  cpus),
    NODE("model",      OWN_TEXT,  model),
    { NULL, OWN_INT, 0, 0 }
};

const struct own_field own_link_fields[] = {
    LINK("lanes",      OWN_INT,   lanes),
    LINK("bandwidth",  OWN_REAL,  bandwidth),
    LINK("latency",    OWN_REAL,  latency),
    { NULL, OWN_INT, 0, 0 }
};

static void write_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* As few digits as give the same number again. */
static void write_real(FILE *out, double number)
{
    char text[40];
    int digits = 6;

    do
        snprintf(text, sizeof text, "%.*g", digits, number);
    while (strtod(text, NULL) != number && ++digits <= 17);
    fputs(text, out);
}

static void write_field(FILE *out, const struct own_field *field, const void *value)
{
    char bus[20];

    fprintf(out, " %s=", field->name);
    switch (field->type) {
    case OWN_INT:
        fprintf(out, "%d", *(const int *)value);
        break;
    case OWN_HEX32:
        fprintf(out, "0x%" PRIx32, *(const uint32_t *)value);
        break;
    case OWN_HEX64:
        fprintf(out, "0x%" PRIx64, *(const uint64_t *)value);
        break;
    case OWN_BUS:
        topology_bus_print(*(const uint64_t *)value, bus);
        fputs(bus, out);
        break;
    case OWN_REAL:
        write_real(out, *(const double *)value);
        break;
    case OWN_TEXT:
        write_text(out, value);
    }
}

/* Those that are not as they would be if nobody spoke of them. */
static void write_fields(FILE *out, const struct own_field *fields, const void *thing, const void *untold)
{
    for (const struct own_field *f = fields; f->name; f++) {
        const char *value = (const char *)thing + f->offset, *other = (const char *)untold + f->offset;
        bool same = f->type == OWN_TEXT ? !strcmp(value, other) : !memcmp(value, other, f->size);

        if (!same)
            write_field(out, f, value);
    }
    fputc('\n', out);
}

static bool write_all(FILE *out, const struct topology *t)
{
    /* What a line without fields makes, which reading begins with as well. */
    struct topology plain;
    int node, link;

    topology_init(&plain);
    node = topology_node(&plain, TOPOLOGY_NUMA, -1, -1, -1, "");
    link = topology_link(&plain, 0, 0, MEDIUM_PCI, 0, 0);
    if (plain.failed) {
        topology_free(&plain);
        return false;
    }
    plain.links[link].latency = -1;
    fprintf(out, "%s %d\n", OWN_FORMAT, OWN_VERSION);
    for (int i = 0; i < t->nhosts; i++) {
        fputs("host ", out);
        write_text(out, t->hosts[i].name);
        fputc('\n', out);
    }
    for (int i = 0; i < t->nnodes; i++) {
        fprintf(out, "node %d %s ", i, topology_kind_name(t->nodes[i].kind));
        write_text(out, t->nodes[i].name);
        write_fields(out, own_node_fields, &t->nodes[i], &plain.nodes[node]);
    }
    for (int i = 0; i < t->nlinks; i++) {
        fprintf(out, "link %d %d %s", t->links[i].a, t->links[i].b,
                topology_medium_name(t->links[i].medium));
        write_fields(out, own_link_fields, &t->links[i], &plain.links[link]);
    }
    for (int i = 0; i < t->nnotes; i++) {
        fprintf(out, "note %s ", t->notes[i].missing ? "missing" : "found");
        write_text(out, t->notes[i].text);
        fputc('\n', out);
    }
    topology_free(&plain);
    return true;
}

char *topology_write_own(const struct topology *t)
{
    size_t length = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &length);
    struct plain_numbers plain;
    bool good;

    if (!out)
        return NULL;
    plain_numbers_begin(&plain);
    good = write_all(out, t);
    plain_numbers_end(&plain);
    good &= !ferror(out);
    good &= !fclose(out);
    if (!good) {
        free(text);
        return NULL;
    }
    return text;
}
