/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a rank is within its machine: its GPU, and what is near to that.  Thread-safe. */
#ifndef POSITION_H
#define POSITION_H

#include "base/settings.h"
#include "topology/topology.h"

#include <sched.h>

extern const struct setting position_settings[];

struct position {
    int    gpu;                        /* node of the topology, or -1: none, or not known */
    int    numa;                       /* node that its GPU, or else its cores, are beside; or -1 */
    char   near[1024];                 /* network devices to use before others, "mlx5_0,mlx5_1";
                                          empty: there is no difference, or none is known */
};

/* Of the `local`-th of the ranks on a host that looks like `t`; `cores`: where it may run, or NULL.
 * PEAL_ERR_ARGUMENT: PEAL_GPU names none.  PEAL_ERR_MEMORY. */
int position_find(const struct topology *t, int local, const cpu_set_t *cores,
                  struct position *position);

/* The same of this process's machine, which is looked at once: a few milliseconds. */
int position_here(int local, struct position *position);

/* PEAL_BIND: is it asked for; the calling thread, and those it makes, run beside the GPU from now on. */
bool position_binds(void);
int position_bind(int local);

#endif
