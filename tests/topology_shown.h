/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests/topology_show.c. */
#ifndef TOPOLOGY_SHOWN_H
#define TOPOLOGY_SHOWN_H

#include "topology/topology.h"

/* Is what is shown well formed?  NULL, or what is wrong, and near what. */
const char *json_wrong(const char *text);      /* RFC 8259, all of the text */
const char *xml_wrong(const char *text);       /* elements, attributes and text, no more */
bool utf8_right(const char *text);

/* Any graph that topology_finish() lets through, not finished. */
void random_topology(struct topology *t, uint64_t seed);

#endif
