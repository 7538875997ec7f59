/* SPDX-License-Identifier: BSD-3-Clause */
/* hwloc's XML, formats 2 and 3 (lstopo machine.xml).
 *
 * Read with expat and not with libhwloc: hwloc 2.x refuses format 3 ("cannot import XML version
 * 3.0"), so a machine's file could be read only where a library at least as new is installed;
 * libhwloc also trusts what it imports.  What is wanted is little: NUMA nodes, packages, PCI bridges and
 * functions, the OS devices in those, and the matrices of NVLink bandwidths.
 *
 * An element <object> lies within what it is part of.  I/O objects lie in the smallest object of
 * cores that they are near to, whose nodeset tells the NUMA node. */
#include "topology/read_hwloc.h"

#include "base/status.h"

#include <expat.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum object_kind { OBJECT_CORES, OBJECT_PACKAGE, OBJECT_NUMA, OBJECT_BRIDGE, OBJECT_PCI, OBJECT_OS };

struct object {
    enum object_kind kind;
    int  numa, root, device, package;  /* inherited by what is inside; -1: none */
    /* OBJECT_PCI */
    int  first_port;
    bool verbs;                        /* one inside has verbs: net devices are the same ports */
    /* OBJECT_OS */
    char name[TOPOLOGY_NAME];
    bool is_verbs, is_gpu, states;
    uint64_t guid;
};

struct place { uint64_t index; int device; };

struct reading {
    XML_Parser parser;
    const char *where;
    struct machine *m;
    char  *host;
    int    status, version, depth, nroots, nmatrices;
    bool   begun;
    struct object stack[MACHINE_DEPTH_MOST];
    char   arch[16], vendor[16];
    int    family, revision;
    struct place *places;              /* of objects by gp_index, in the order of the file */
    int    nplaces, room_places;
    struct hwloc_matrix matrix;
    bool   by_number;                  /* the matrix's indexes are not gp_index */
    char  *text;                       /* of <indexes> or <u64values> */
    size_t length, room;
    bool   collecting;
};

__attribute__((format(printf, 2, 3)))
static void wrong(struct reading *r, const char *format, ...)
{
    char why[200];
    va_list arguments;

    if (r->status)
        return;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    r->status = status_fail(PEAL_ERR_ARGUMENT, "%s:%lu: %s", r->where,
                            (unsigned long)XML_GetCurrentLineNumber(r->parser), why);
    XML_StopParser(r->parser, XML_FALSE);
}

static void no_memory(struct reading *r)
{
    if (!r->status)
        r->status = status_fail(PEAL_ERR_MEMORY, "%s: no memory to read it", r->where);
    XML_StopParser(r->parser, XML_FALSE);
}

static const char *attribute(const char **attributes, const char *name)
{
    for (int i = 0; attributes[i]; i += 2)
        if (!strcmp(attributes[i], name))
            return attributes[i + 1];
    return "";
}

static int number(const char *text, int unknown)
{
    char *end;
    long value = strtol(text, &end, 10);

    return end == text || value < 0 || value > 1 << 20 ? unknown : (int)value;
}

/* ---- Objects ------------------------------------------------------------------------- */

static void remember(struct reading *r, const char *gp_index, int device)
{
    char *end;
    unsigned long long index = strtoull(gp_index, &end, 10);

    if (end == gp_index)
        return;
    if (r->nplaces == r->room_places) {
        int wanted = r->room_places ? r->room_places * 2 : 64;
        struct place *larger = realloc(r->places, (size_t)wanted * sizeof *larger);

        if (!larger) {
            no_memory(r);
            return;
        }
        r->places = larger;
        r->room_places = wanted;
    }
    r->places[r->nplaces++] = (struct place){ index, device };
}

/* hwloc gives a link's GB/s without its coding: 15.753846 is x16 of 8 GT/s. */
static void link_speed(struct machine_device *d, double bandwidth)
{
    static const struct { double transfers, lane; } generations[] = {
        { 2.5, 0.25 }, { 5, 0.5 }, { 8, 8 * 16 / 130.0 }, { 16, 16 * 16 / 130.0 },
        { 32, 32 * 16 / 130.0 }, { 64, 64 * 242 / 256.0 / 8 },
    };

    if (!(bandwidth > 0) || bandwidth > 1000)
        return;
    for (size_t i = 0; i < sizeof generations / sizeof *generations; i++) {
        double lanes = bandwidth / generations[i].lane;
        int whole = (int)(lanes + 0.5);

        if (whole >= 1 && whole <= 16 && lanes > whole * 0.997 && lanes < whole * 1.003) {
            d->speed = generations[i].transfers;
            d->lanes = whole;
            return;
        }
    }
}

static void begin_pci(struct reading *r, struct object *o, const char **attributes, bool bridge)
{
    unsigned pci_class = 0, vendor = 0, id = 0;
    uint64_t bus = TOPOLOGY_NO_BUS;
    struct machine_device *d;
    enum machine_kind kind;
    int parent = o->device;

    while (parent >= 0 && r->m->devices[parent].kind != MACHINE_BRIDGE)
        parent = r->m->devices[parent].parent;         /* only bridges have something behind them */
    if (!topology_bus_parse(attribute(attributes, "pci_busid"), &bus)) {
        wrong(r, "\"%s\" is no PCI address", attribute(attributes, "pci_busid"));
        return;
    }
    sscanf(attribute(attributes, "pci_type"), "%4x [%4x:%4x]", &pci_class, &vendor, &id);
    kind = bridge ? MACHINE_BRIDGE : machine_kind_of(pci_class << 8, vendor);
    if (!strcmp(attribute(attributes, "subtype"), "NVSwitch"))
        kind = MACHINE_NVSWITCH;
    else if (kind == MACHINE_BRIDGE && !bridge)
        kind = MACHINE_OTHER;
    d = machine_device(r->m, kind, bus, parent);
    if (!d)
        return;
    d->root = o->root >= 0 ? o->root : TOPOLOGY_NODES_MOST + (int)(bus >> 16 & 0xffff);
    d->numa = o->numa;
    d->pci_class = (uint32_t)pci_class << 8;
    d->vendor = vendor;
    d->device = id;
    link_speed(d, strtod(attribute(attributes, "pci_link_speed"), NULL));
    if (kind == MACHINE_GPU)
        d->capability = machine_capability(vendor, id);
    o->device = r->m->ndevices - 1;
    o->first_port = r->m->nports;
    remember(r, attribute(attributes, "gp_index"), o->device);
}

static void begin_os(struct reading *r, struct object *o, const char **attributes)
{
    static const char *const gpus[] = { "nvml", "rsmi", "cuda" };     /* the best numbers first */
    const char *name = attribute(attributes, "name");
    int type = number(attribute(attributes, "osdev_type"), 0);
    bool net = r->version < 3 ? type == 2 : (type & 16) && !(type & 32);
    struct machine_device *d;

    remember(r, attribute(attributes, "gp_index"), o->device);
    if (o->device < 0 || r->m->devices[o->device].kind == MACHINE_BRIDGE)
        return;                        /* not in a PCI function: nothing here needs it */
    d = &r->m->devices[o->device];
    snprintf(o->name, sizeof o->name, "%s", name);
    o->is_verbs = r->version < 3 ? type == 3 : (type & 32) != 0;
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus; i++)
        if (!strncmp(name, gpus[i], 4) && name[4] >= '0' && name[4] <= '9') {
            o->is_gpu = true;
            d->kind = MACHINE_GPU;
            if (d->number < 0 || strncmp(name, "cuda", 4))
                d->number = number(name + 4, -1);
        }
    if (o->is_verbs)
        r->stack[r->depth - 1].verbs = true;
    if (net && d->kind == MACHINE_NIC)
        machine_port(r->m, o->device, name);
}

static void begin_object(struct reading *r, const char **attributes)
{
    const char *type = attribute(attributes, "type"), *set = attribute(attributes, "nodeset");
    struct object *o;
    char list[64];

    if (r->depth == MACHINE_DEPTH_MOST) {
        wrong(r, "objects within objects, more than %d deep", MACHINE_DEPTH_MOST);
        return;
    }
    o = &r->stack[r->depth];
    if (r->depth)
        *o = r->stack[r->depth - 1];
    else
        *o = (struct object){ .numa = -1, .root = -1, .device = -1, .package = -1 };
    o->kind = OBJECT_CORES;
    o->verbs = o->is_verbs = o->is_gpu = o->states = false;
    o->guid = 0;
    /* What is in a machine of several nodes, and in none of them, is on a node that nobody knows. */
    if (set[0] && hwloc_set_list(set, list, sizeof list))
        o->numa = r->depth || !strpbrk(list, ",-") ? number(list, -1) : -1;
    if (!strcmp(type, "Package")) {
        o->kind = OBJECT_PACKAGE;
        o->package = number(attribute(attributes, "os_index"), -1);
    } else if (!strcmp(type, "NUMANode")) {
        struct machine_numa *numa = machine_numa(r->m, number(attribute(attributes, "os_index"), -1));

        o->kind = OBJECT_NUMA;
        if (!numa)
            return;
        if (numa->number < 0)
            wrong(r, "a NUMANode without os_index");
        numa->socket = o->package;
        hwloc_set_list(attribute(attributes, "cpuset"), numa->cpus, sizeof numa->cpus);
    } else if (!strcmp(type, "Bridge")) {
        o->kind = OBJECT_BRIDGE;
        if (strncmp(attribute(attributes, "bridge_type"), "0", 1))
            begin_pci(r, o, attributes, true);
        else
            o->root = r->nroots++;
    } else if (!strcmp(type, "PCIDev")) {
        o->kind = OBJECT_PCI;
        begin_pci(r, o, attributes, false);
    } else if (!strcmp(type, "OSDev")) {
        o->kind = OBJECT_OS;
        if (r->depth)
            begin_os(r, o, attributes);
    }
    r->depth++;
}

static void add_verbs(struct reading *r, const struct object *o, int port_number)
{
    char name[TOPOLOGY_NAME + 12];
    struct machine_port *port;

    snprintf(name, sizeof name, port_number > 1 ? "%s:%d" : "%s", o->name, port_number);
    port = machine_port(r->m, o->device, name);
    if (!port)
        return;
    port->number = port_number;
    port->guid = o->guid;
    port->verbs = true;
}

/* Where an adapter has verbs, its net devices are the same ports; the speeds are guessed. */
static void end_pci(struct reading *r, const struct object *o)
{
    struct machine_device *d = &r->m->devices[o->device];
    int kept = o->first_port;

    for (int i = o->first_port; i < r->m->nports; i++) {
        struct machine_port *port = &r->m->ports[i];

        if (o->verbs && !port->verbs)
            continue;
        port->speed = machine_port_most(d->vendor, d->device) / 8;
        r->m->ports[kept++] = *port;
    }
    r->m->nports = kept;
}

static void end_object(struct reading *r)
{
    const struct object *o = &r->stack[--r->depth];

    if (r->m->failed)
        return;
    if (o->kind == OBJECT_OS && o->is_verbs && o->device >= 0 && !o->states)
        add_verbs(r, o, 1);
    if (o->kind == OBJECT_PCI && o->device >= 0)
        end_pci(r, o);
}

static uint64_t guid_of(const char *text)
{
    uint64_t guid = 0;

    for (; *text; text++)
        if (*text != ':')
            guid = guid << 4 | (uint64_t)(*text <= '9' ? *text - '0' : (*text | 32) - 'a' + 10) % 16;
    return guid;
}

static void info_pci(struct reading *r, struct object *o, const char *name, const char *value)
{
    struct machine_device *d = &r->m->devices[o->device];
    int port, used = 0;

    if (!strcmp(name, "GPUModel") || (!strcmp(name, "PCIDevice") && o->kind == OBJECT_PCI &&
                                      !d->model[0]))
        snprintf(d->model, sizeof d->model, "%s", value);
    if (!o->is_verbs)
        return;
    if (!strcmp(name, "NodeGUID"))
        o->guid = guid_of(value);
    else if (sscanf(name, "Port%3dState%n", &port, &used) == 1 && used && !name[used] && port > 0) {
        o->states = true;
        if (number(value, 0) == 4)     /* IBV_PORT_ACTIVE */
            add_verbs(r, o, port);
    }
}

static void info(struct reading *r, const char *name, const char *value)
{
    struct object *o = r->depth ? &r->stack[r->depth - 1] : NULL;

    if (!strcmp(name, "HostName"))
        snprintf(r->host, TOPOLOGY_TEXT, "%s", value);
    else if (!strcmp(name, "Architecture"))
        snprintf(r->arch, sizeof r->arch, "%s", value);
    else if (!strcmp(name, "CPUVendor"))
        snprintf(r->vendor, sizeof r->vendor, "%s", value);
    else if (!strcmp(name, "CPUFamilyNumber"))
        r->family = number(value, -1);
    else if (!strcmp(name, "CPUModelNumber"))
        r->revision = number(value, -1);
    else if (!strcmp(name, "CPUModel") && !r->vendor[0])
        snprintf(r->vendor, sizeof r->vendor, "%s", !strncmp(value, "Intel", 5) ? "GenuineIntel" :
                 !strncmp(value, "AMD", 3) ? "AuthenticAMD" : "");
    else if (o && o->device >= 0 && (o->kind == OBJECT_PCI || o->kind == OBJECT_OS))
        info_pci(r, o, name, value);
}

/* ---- Matrices ------------------------------------------------------------------------ */

static int order_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return (x->index > y->index) - (x->index < y->index);
}

static void begin_matrix(struct reading *r, const char **attributes)
{
    struct hwloc_matrix *d = &r->matrix;
    const char *name = attribute(attributes, "name");

    free(d->devices);
    free(d->values);
    *d = (struct hwloc_matrix){ .medium = MEDIUM_NVLINK };
    if (!strcmp(name, "XGMIBandwidth"))
        d->medium = MEDIUM_XGMI;
    else if (strcmp(name, "NVLinkBandwidth"))
        return;
    r->by_number = !strcmp(attribute(attributes, "indexing"), "os");
    if (r->nmatrices++ == HWLOC_MATRICES_MOST) {       /* each costs a search among all objects */
        wrong(r, "more than %d matrices of bandwidths", HWLOC_MATRICES_MOST);
        return;
    }
    d->n = number(attribute(attributes, "nbobjs"), 0);
    if (d->n < 1 || d->n > HWLOC_MATRIX_MOST) {
        wrong(r, "%s of %s objects; 1 to %d are possible", name, attribute(attributes, "nbobjs"),
              HWLOC_MATRIX_MOST);
        return;
    }
    d->wanted = true;
    d->devices = malloc((size_t)d->n * sizeof *d->devices);
    d->values = malloc((size_t)d->n * (size_t)d->n * sizeof *d->values);
    if (!d->devices || !d->values)
        no_memory(r);
    if (r->places)
        qsort(r->places, (size_t)r->nplaces, sizeof *r->places, order_places);
}

/* "812", or "OSDev:812" where the objects are of several types. */
static void add_index(struct reading *r, const char *word)
{
    const char *colon = strchr(word, ':');
    struct place key = { strtoull(colon ? colon + 1 : word, NULL, 10), -1 }, *place = NULL;

    if (r->matrix.nindexes == r->matrix.n) {
        wrong(r, "a matrix with more than its %d indexes", r->matrix.n);
        return;
    }
    if (r->places && !r->by_number)
        place = bsearch(&key, r->places, (size_t)r->nplaces, sizeof key, order_places);
    r->matrix.devices[r->matrix.nindexes++] = place ? place->device : -1;
}

static void add_value(struct reading *r, const char *word)
{
    double value = strtod(word, NULL);

    if (r->matrix.nvalues == (size_t)r->matrix.n * (size_t)r->matrix.n)
        wrong(r, "a matrix with more than %d times %d values", r->matrix.n, r->matrix.n);
    else
        r->matrix.values[r->matrix.nvalues++] = value > 0 && value < 1e9 ? value : 0;
}

static void end_text(struct reading *r, void (*add)(struct reading *r, const char *word))
{
    char *at = r->text, *rest;

    r->collecting = false;
    if (!r->length)
        return;
    r->text[r->length] = 0;
    for (at = strtok_r(at, " \t\r\n", &rest); at && !r->status; at = strtok_r(NULL, " \t\r\n", &rest))
        add(r, at);
}

static void end_matrix(struct reading *r)
{
    struct hwloc_matrix *d = &r->matrix;

    if (!d->wanted)
        return;
    d->wanted = false;
    if (d->nindexes < d->n || d->nvalues < (size_t)d->n * (size_t)d->n)
        wrong(r, "a matrix of %d objects with %d indexes and %zu values", d->n, d->nindexes,
              d->nvalues);
    else
        hwloc_matrix_link(d, r->m);
}

/* ---- Elements -------------------------------------------------------------------------- */

static void begin(void *user, const char *element, const char **attributes)
{
    struct reading *r = user;

    if (r->status)
        return;
    if (!r->begun) {
        r->begun = true;
        r->version = number(attribute(attributes, "version"), 1);
        if (strcmp(element, "topology"))
            wrong(r, "<%s> where hwloc writes <topology>", element);
        else if (r->version < 2)
            wrong(r, "hwloc's format before 2.0; write it anew with lstopo of hwloc 2 or later");
        return;
    }
    if (!strcmp(element, "object"))
        begin_object(r, attributes);
    else if (!strcmp(element, "info"))
        info(r, attribute(attributes, "name"), attribute(attributes, "value"));
    else if (!strncmp(element, "distances2", 10))
        begin_matrix(r, attributes);
    else if (r->matrix.wanted && (!strcmp(element, "indexes") || !strcmp(element, "u64values"))) {
        r->collecting = true;
        r->length = 0;
    }
    if (r->m->failed && !r->status) {
        r->status = r->m->failed;
        XML_StopParser(r->parser, XML_FALSE);
    }
}

static void end(void *user, const char *element)
{
    struct reading *r = user;

    if (r->status)
        return;
    if (!strcmp(element, "object"))
        end_object(r);
    else if (!strncmp(element, "distances2", 10))
        end_matrix(r);
    else if (r->collecting)
        end_text(r, !strcmp(element, "indexes") ? add_index : add_value);
}

static void characters(void *user, const char *text, int length)
{
    struct reading *r = user;

    if (!r->collecting || r->status)
        return;
    if (r->length + (size_t)length >= r->room) {
        size_t wanted = (r->length + (size_t)length + 256) * 2;
        char *larger = realloc(r->text, wanted);

        if (!larger) {
            no_memory(r);
            return;
        }
        r->text = larger;
        r->room = wanted;
    }
    memcpy(r->text + r->length, text, (size_t)length);
    r->length += (size_t)length;
}

/* hwloc's files have none, and what expands may grow without bound. */
static void entity(void *user, const char *name, int is_parameter, const char *value, int length,
                   const char *base, const char *system, const char *public, const char *notation)
{
    (void)is_parameter, (void)value, (void)length, (void)base;
    (void)system, (void)public, (void)notation;
    wrong(user, "declares the entity %.40s; hwloc's files have none", name);
}

int read_hwloc_machine(const char *text, size_t length, const char *where, struct machine *m,
                       char host[TOPOLOGY_TEXT])
{
    struct reading *r = calloc(1, sizeof *r);
    int status;

    host[0] = 0;
    if (!r)
        return status_fail(PEAL_ERR_MEMORY, "%s: no memory to read it", where);
    *r = (struct reading){ .parser = XML_ParserCreate(NULL), .where = where, .m = m, .host = host,
                           .family = -1, .revision = -1 };
    if (!r->parser) {
        no_memory(r);
    } else {
        XML_SetUserData(r->parser, r);
        XML_SetElementHandler(r->parser, begin, end);
        XML_SetCharacterDataHandler(r->parser, characters);
        XML_SetEntityDeclHandler(r->parser, entity);
        if (XML_Parse(r->parser, text, (int)length, 1) == XML_STATUS_OK)
            ;
        else if (XML_GetErrorCode(r->parser) == XML_ERROR_NO_MEMORY)
            no_memory(r);
        else
            wrong(r, "%s", XML_ErrorString(XML_GetErrorCode(r->parser)));
        XML_ParserFree(r->parser);
    }
    for (int i = 0; i < m->nnumas; i++) {
        memcpy(m->numas[i].arch, r->arch, sizeof r->arch);
        memcpy(m->numas[i].vendor, r->vendor, sizeof r->vendor);
        m->numas[i].family = r->family;
        m->numas[i].revision = r->revision;
    }
    status = r->status;
    free(r->matrix.devices);
    free(r->matrix.values);
    free(r->places);
    free(r->text);
    free(r);
    return status;
}

/* ---- The source ------------------------------------------------------------------------ */

static bool recognise(const char *text, size_t length)
{
    return topology_text_is_xml(text, length, "topology");
}

static void notes(const struct machine *m, struct topology *t)
{
    for (int i = 0; i < m->nports; i++)
        if (m->ports[i].speed > 0) {
            topology_note(t, true, "hwloc's files do not tell how fast a port is: the most that its "
                          "adapter can is taken");
            return;
        }
}

static int read(const char *text, size_t length, const char *where, struct topology *t)
{
    struct machine m = { .ndevices = 0 };
    char host[TOPOLOGY_TEXT];
    int status = length > TOPOLOGY_FILE_MOST
        ? status_fail(PEAL_ERR_ARGUMENT, "%s: larger than %d bytes", where, TOPOLOGY_FILE_MOST)
        : read_hwloc_machine(text, length, where, &m, host);

    if (!status) {
        notes(&m, t);
        status = machine_build(&m, t, topology_host(t, host));
    }
    machine_free(&m);
    return status;
}

const struct topology_source read_hwloc = {
    .name = "hwloc",
    .recognise = recognise,
    .read = read,
};
