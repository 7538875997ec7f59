/* SPDX-License-Identifier: BSD-3-Clause */
/* An XML text as elements in the order of their start, so that whoever reads them needs no recursion:
 * an element comes after the one that it is in.  Only elements and their attributes; text between
 * them, comments and instructions are passed over, document types (and with them entities) refused. */
#ifndef XML_TREE_H
#define XML_TREE_H

#include <stddef.h>

enum { XML_ELEMENTS_MOST = 1 << 17, XML_DEPTH_MOST = 60 };

struct xml_element {
    int    parent;                     /* -1: the root */
    int    line;
    size_t name;                       /* offsets in xml_tree.text */
    int    first, count;               /* of its attributes */
};

struct xml_attribute {
    size_t name, value;
};

struct xml_tree {
    struct xml_element   *elements;
    struct xml_attribute *attributes;
    char  *text;
    int    nelements, nattributes, room_elements, room_attributes;
    size_t used, room_text;
};

/* `where`: name of the text for errors.  PEAL_OK, PEAL_ERR_ARGUMENT "where:line: reason", PEAL_ERR_MEMORY;
 * xml_tree_free() is due in each case. */
int  xml_tree_read(struct xml_tree *tree, const char *text, size_t length, const char *where);
void xml_tree_free(struct xml_tree *tree);

const char *xml_name(const struct xml_tree *tree, int element);
/* NULL: it has no such attribute. */
const char *xml_value(const struct xml_tree *tree, int element, const char *attribute);

#endif
