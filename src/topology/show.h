/* SPDX-License-Identifier: BSD-3-Clause */
/* Showing a machine to people and programs: as a matrix like that of nvidia-smi topo -m, as a
 * tree, as JSON, as a picture, with the rings and trees of a plan; and saying what is odd in it.
 *
 * Of a topology of several hosts one is shown.  All text from files is written such that it can
 * neither end a JSON string, start an XML element nor command a terminal. */
#ifndef TOPOLOGY_SHOW_H
#define TOPOLOGY_SHOW_H

#include "topology/plan.h"

#include <stdio.h>

enum { SHOW_DEVICES_MOST = 256, SHOW_LABEL = 48 };

struct show {
    const char *source;                /* as the user named it; "this machine" */
    struct topology host;              /* the host that is shown, alone */
    int  hosts, alike;                 /* how many the whole has, how many have the same counts */
    int  fabric_hosts;                 /* that share this host's NVSwitch; 1: it is its own */
    const struct topology_plan *plan;  /* over nodes of `host`, set by the caller; NULL: none, */
    char no_plan[200];                 /* and why */
    int  ngpus, nports;
    int  unlisted;                     /* devices beyond SHOW_DEVICES_MOST */
    int *devices;                      /* nodes: GPUs, then ports, by number */
    int *device_of;                    /* of each node its index in devices, or -1 */
    struct topology_path *paths;       /* devices x devices */
    struct topology_note *remarks;     /* what the graph alone tells (show_words.c) */
    int  nremarks, room_remarks;
};

/* PEAL_OK; PEAL_ERR_ARGUMENT: it has no such host; PEAL_ERR_MEMORY.  `source` must last. */
int  show_begin(struct show *s, const struct topology *t, int host, const char *source);
void show_end(struct show *s);

void show_summary(const struct show *s, FILE *out);    /* what it is, in a few lines */
/* "8 GPUs, ..."; then, of several hosts, `between` and how many. */
void show_counts(const struct show *s, const char *between, FILE *out);
void show_matrix(const struct show *s, FILE *out);
void show_tree(const struct show *s, FILE *out);
void show_words(const struct show *s, FILE *out);      /* what was found, what is missing or odd */
void show_plan(const struct show *s, FILE *out);       /* rings, trees, bound, NICs, groups */
void show_json(const struct show *s, FILE *out);       /* an object: all but the plan */
void show_plan_json(const struct show *s, FILE *out);  /* an object */
void show_svg(const struct show *s, FILE *out);        /* PEAL_ERR_MEMORY is written as a comment */

/* ---- For these functions themselves ------------------------------------------------- */

/* "GPU0", "NIC1" (a port), "numa0", "switch 0000:3b:00.0": unescaped. */
void show_label(const struct show *s, int node, char label[SHOW_LABEL]);
/* "NV4", "XG2", "PIX", ...: as in the matrix. */
void show_class(const struct show *s, const struct topology_path *path, char text[16]);
const struct topology_path *show_path(const struct show *s, int device, int other);
/* Between plan GPUs i and j; NULL if they are not among the devices. */
const struct topology_path *show_step(const struct show *s, int i, int j);
/* The link from a node to what it hangs from, or -1. */
int  show_uplink(const struct topology *t, int node);
/* NVLinks, XGMI links of a GPU and what they carry together. */
int  show_fast_links(const struct topology *t, int gpu, double *bandwidth);
/* The nodes of the PCI tree, a parent before its children, each followed by all below it; nodes
 * with low GPU numbers first.  nnodes places, -1 after the last; NULL: no memory. */
int *show_order(const struct topology *t);
/* "0-3, 5" of n ascending numbers. */
void show_numbers(const int *numbers, int n, char *text, size_t size);

/* Text from anywhere, as text of this kind; not valid UTF-8 becomes U+FFFD, control characters
 * vanish or become escapes. */
enum show_kind { SHOW_PLAIN, SHOW_JSON, SHOW_XML };
void show_text(FILE *out, enum show_kind kind, const char *text);
/* The same, printf style, of up to 400 bytes; a newline at the format's end is one. */
void show_printf(FILE *out, enum show_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int  show_find_remarks(struct show *s);

#endif
