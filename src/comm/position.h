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

/* The GPUs that ranks of such a host have in turn, the local-th of them gpus[local % n]: those that PEAL_GPU
 * lists, else all.  *n is 0 if there are none, or more than `most`.  PEAL_ERR_ARGUMENT as above. */
int position_turns(const struct topology *t, int *gpus, int most, int *n);

/* This process's machine, which is looked at once: a few milliseconds; and a rank of it. */
int position_machine(const struct topology **t);
int position_here(int local, struct position *position);

/* PEAL_BIND: is it asked for; the calling thread, and those it makes, run beside the GPU from now on. */
bool position_binds(void);
int position_bind(int local);

#endif
