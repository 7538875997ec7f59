/* SPDX-License-Identifier: BSD-3-Clause */
#include "topology/xml_tree.h"

#include "base/status.h"
#include "topology/topology_source.h"

#include <expat.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Texts from libexpat are short of the file that they come from, but for encodings of more bytes: so
 * much more room may be asked for. */
enum { TEXT_MOST = 4 * TOPOLOGY_FILE_MOST };

struct reading {
    struct xml_tree *tree;
    XML_Parser parser;
    const char *where;
    int  depth, status;
    int  open[XML_DEPTH_MOST];         /* elements that have not ended */
};

static void stop(struct reading *r, int status)
{
    r->status = status;
    XML_StopParser(r->parser, XML_FALSE);
}

static int line(const struct reading *r)
{
    return (int)XML_GetCurrentLineNumber(r->parser);
}

/* Room for `more` in an array of `size` bytes each. */
static bool make_room(struct reading *r, void *array, size_t size, size_t used, size_t more, size_t *room)
{
    void **where = array, *larger;
    size_t wanted = *room ? *room : 256;

    if (used + more <= *room)
        return true;
    while (wanted < used + more)
        wanted *= 2;
    larger = realloc(*where, wanted * size);
    if (!larger) {
        stop(r, status_fail(PEAL_ERR_MEMORY, "%s: no memory for %zu bytes", r->where, wanted * size));
        return false;
    }
    *where = larger;
    *room = wanted;
    return true;
}

static size_t keep(struct reading *r, const char *text)
{
    struct xml_tree *tree = r->tree;
    size_t length = strlen(text) + 1, at = tree->used;

    if (r->status)
        return 0;
    if (tree->used + length > TEXT_MOST) {
        stop(r, status_fail(PEAL_ERR_ARGUMENT, "%s:%d: too much text", r->where, line(r)));
        return 0;
    }
    if (!make_room(r, &tree->text, 1, tree->used, length, &tree->room_text))
        return 0;
    memcpy(tree->text + at, text, length);
    tree->used += length;
    return at;
}

static bool room_for_element(struct reading *r, size_t attributes)
{
    struct xml_tree *tree = r->tree;
    size_t elements = (size_t)tree->room_elements, places = (size_t)tree->room_attributes;

    if (tree->nelements >= XML_ELEMENTS_MOST || r->depth >= XML_DEPTH_MOST) {
        stop(r, status_fail(PEAL_ERR_ARGUMENT, "%s:%d: %s", r->where, line(r),
                            r->depth >= XML_DEPTH_MOST ? "elements within elements, too many levels" :
                            "more elements than any machine has"));
        return false;
    }
    if (!make_room(r, &tree->elements, sizeof *tree->elements, (size_t)tree->nelements, 1, &elements) ||
        !make_room(r, &tree->attributes, sizeof *tree->attributes, (size_t)tree->nattributes,
                   attributes, &places))
        return false;
    tree->room_elements = (int)elements;
    tree->room_attributes = (int)places;
    return true;
}

static void start(void *data, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *r = data;
    struct xml_tree *tree = r->tree;
    struct xml_element *element;
    int count = 0;

    if (r->status)
        return;
    while (attributes[count * 2])
        count++;
    if (!room_for_element(r, (size_t)count))
        return;
    element = &tree->elements[tree->nelements];
    *element = (struct xml_element){
        .parent = r->depth ? r->open[r->depth - 1] : -1, .line = line(r), .name = keep(r, name),
        .first = tree->nattributes, .count = count
    };
    for (int i = 0; i < count; i++)
        tree->attributes[tree->nattributes + i] = (struct xml_attribute){
            keep(r, attributes[i * 2]), keep(r, attributes[i * 2 + 1])
        };
    if (r->status)
        return;
    tree->nattributes += count;
    r->open[r->depth++] = tree->nelements++;
}

static void end(void *data, const XML_Char *name)
{
    struct reading *r = data;

    (void)name;
    if (!r->status)
        r->depth--;
}

static void doctype(void *data, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid,
                    int internal)
{
    struct reading *r = data;

    (void)name;
    (void)sysid;
    (void)pubid;
    (void)internal;
    if (!r->status)
        stop(r, status_fail(PEAL_ERR_ARGUMENT, "%s:%d: a document type (and its entities) is not "
                            "taken here", r->where, line(r)));
}

int xml_tree_read(struct xml_tree *tree, const char *text, size_t length, const char *where)
{
    struct reading r = { .tree = tree, .where = where };

    *tree = (struct xml_tree){ .nelements = 0 };
    if (length > TOPOLOGY_FILE_MOST)
        return status_fail(PEAL_ERR_ARGUMENT, "%s: longer than %d MiB", where,
                           TOPOLOGY_FILE_MOST >> 20);
    r.parser = XML_ParserCreate(NULL);
    if (!r.parser)
        return status_fail(PEAL_ERR_MEMORY, "%s: no memory for libexpat", where);
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, start, end);
    XML_SetStartDoctypeDeclHandler(r.parser, doctype);
    if (XML_Parse(r.parser, text, (int)length, 1) != XML_STATUS_OK && !r.status)
        r.status = XML_GetErrorCode(r.parser) == XML_ERROR_NO_MEMORY ?
                   status_fail(PEAL_ERR_MEMORY, "%s: no memory for libexpat", where) :
                   status_fail(PEAL_ERR_ARGUMENT, "%s:%d: %s", where, line(&r),
                               XML_ErrorString(XML_GetErrorCode(r.parser)));
    XML_ParserFree(r.parser);
    return r.status;
}

void xml_tree_free(struct xml_tree *tree)
{
    free(tree->elements);
    free(tree->attributes);
    free(tree->text);
    *tree = (struct xml_tree){ .nelements = 0 };
}

const char *xml_name(const struct xml_tree *tree, int element)
{
    return tree->text + tree->elements[element].name;
}

const char *xml_value(const struct xml_tree *tree, int element, const char *attribute)
{
    const struct xml_element *e = &tree->elements[element];

    for (int i = e->first; i < e->first + e->count; i++)
        if (!strcmp(tree->text + tree->attributes[i].name, attribute))
            return tree->text + tree->attributes[i].value;
    return NULL;
}
