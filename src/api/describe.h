/* SPDX-License-Identifier: BSD-3-Clause */
/* Topics of peal_describe() that have a file of their own.  `words`: what follows the topic's name,
 * blanks and all. */
#ifndef DESCRIBE_H
#define DESCRIBE_H

#include "base/report.h"

/* Of the machine that `words` names (a file, a description), of this one if they are blank. */
int describe_topology(const char *words, struct report *r);
int describe_rings(const char *words, struct report *r);
int describe_topology_svg(const char *words, struct report *r);
int describe_topology_nccl(const char *words, struct report *r);
int describe_topology_own(const char *words, struct report *r);

#endif
