/* SPDX-License-Identifier: BSD-3-Clause */
/* Where topologies come from.  Adding a format: a file that defines one of these, a line in
 * Makefile.am (topology_sources); order is the order of asking. */
#ifndef TOPOLOGY_SOURCE_H
#define TOPOLOGY_SOURCE_H

#include "topology/topology.h"

#include <locale.h>

struct topology_source {
    const char *name;                  /* "nccl": shown, and said in errors */
    /* Does the text look like it?  (Never reads beyond it; `length` may be 0.) */
    bool (*recognise)(const char *text, size_t length);
    /* Add all of it to `t`, not finished.  `where`: name of the file, for errors, which name
     * file and line: PEAL_ERR_ARGUMENT "topo.xml:12: ...".  PEAL_ERR_MEMORY.  Whatever the text
     * is: no crash, time at most linear or n log n in its length. */
    int  (*read)(const char *text, size_t length, const char *where, struct topology *t);
};

extern const struct topology_source *const topology_sources[];     /* NULL-ended */

/* Between these the calling thread reads and writes numbers with a point, whatever the program's locale
 * is; topology_read_text() does so for all sources. */
struct plain_numbers {
    locale_t plain, before;
};
void plain_numbers_begin(struct plain_numbers *p);
void plain_numbers_end(struct plain_numbers *p);

/* For recognise(): an XML text whose outermost element has this name. */
bool topology_text_is_xml(const char *text, size_t length, const char *root);

enum { TOPOLOGY_FILE_MOST = 16 << 20 };    /* bytes; larger ones are refused */

/* A text or file in any of the formats; `t` is initialised here, finished, and to be freed by the
 * caller if PEAL_OK came.  A string without a slash and without a file of that name is a description, unless
 * it has a dot and neither : nor @ ("node:2 socket:2 switch:4 gpu:8 nvswitch nic:8@400"). */
int topology_read_text(const char *text, size_t length, const char *where, struct topology *t);
int topology_read(const char *file_or_description, struct topology *t);

/* This machine, by all that is here: hwloc or sysfs, NVML, the network devices.  Finished. */
int topology_discover(struct topology *t);

/* Of a file and what was found on the machine that it is of (both finished): the file's NUMA nodes, PCI
 * roots and switches and the speed of PCI links; the machine's GPUs, NICs and ports, NVLinks and NVSwitches,
 * matched by PCI address.  Notes say what only one of them has.  `file` becomes that, finished; it is left
 * as it is, with a note, where it is of several hosts or of another machine (no address in common).
 * PEAL_OK; else `file` is freed. */
int topology_merge(struct topology *file, const struct topology *found);

/* The machine that PEAL_TOPO_FILE (NCCL_TOPO_FILE) describes, if it is set, merged with what is found if it
 * is a file; else what topology_discover() finds.  Finished.  `source`: where it is from, for people. */
int topology_here(struct topology *t, char *source, size_t size);

/* May there be GPUs, at a glance: drivers of some are loaded, or PEAL_TOPO_FILE is set. */
bool topology_may_have_gpus(void);

/* The text of a topology: NCCL's XML, or Peal's own (which keeps everything).  malloc'ed; NULL:
 * memory. */
char *topology_write_nccl(const struct topology *t);
char *topology_write_own(const struct topology *t);

#endif
