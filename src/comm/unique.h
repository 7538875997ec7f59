/* SPDX-License-Identifier: BSD-3-Clause */
/* Unique ids: a job's root address and secret as bytes.  Thread-safe. */
#ifndef UNIQUE_H
#define UNIQUE_H

#include "comm/job.h"

/* Listen for a new job's ranks and write down how to find it. */
int unique_make(peal_unique_id_t *id);

/* What rank `rank` of `nranks` needs to meet the others; rank 0 takes the
 * listener that unique_make() left in this process. */
int unique_use(const peal_unique_id_t *id, int rank, int nranks, struct job_options *options);

#endif
