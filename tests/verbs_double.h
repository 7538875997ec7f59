/* SPDX-License-Identifier: BSD-3-Clause */
/* A double of libibverbs: reliable connected queue pairs in shared memory, between
 * threads and forked processes, and faults at will.  It is stricter than a device
 * where Peal promises more than verbs ask: a frame that meets no posted receive, an
 * overflowing queue or a write outside of what was registered ends the program
 * unless it was asked for. */
#ifndef VERBS_DOUBLE_H
#define VERBS_DOUBLE_H

#include <infiniband/verbs.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DOUBLE_DEVICES = 3 };

/* What goes wrong; all zeros: nothing.  Shared by all processes forked after. */
struct double_faults {
    uint64_t seed;
    int      devices;              /* how many there are; 0: none */
    int      slow;                 /* of 100 work requests, so many are put off */
    int      most_inline;          /* bytes */
    size_t   memory;               /* most bytes registered; 0: any */
    int      queue_pairs;          /* most of a process; 0: any */
    bool     port_down[DOUBLE_DEVICES];
    bool     violations;           /* wrong keys are expected */
    bool     iwarp;                /* what the devices are; before they are looked for */
    bool     strangers;            /* somebody else connects before each connection */

    /* The `after`-th work request of this device from now fails with `status`;
     * `executed`: but the peer has got it, only the answer was lost.  0: none. */
    struct { int after; enum ibv_wc_status status; bool executed; } fail[DOUBLE_DEVICES];
};

struct double_faults *double_faults(void);
/* Raise an asynchronous event at every open context of the device. */
void double_event(int device, enum ibv_event_type type);
/* How many work requests were posted, and doorbells rung for them, by this process. */
void double_counts(uint64_t *requests, uint64_t *doorbells);
/* Connections that were turned away. */
int double_refused(void);
/* Queue pairs of this device in use. */
int double_queue_pairs(int device);

#endif
