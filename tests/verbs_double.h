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
    size_t   memory;               /* most bytes pinned; 0: any */
    int      paging;               /* on demand: 0 none, 1 of regions, 2 of all memory too */
    int      queue_pairs;          /* most of a process; 0: any */
    bool     port_down[DOUBLE_DEVICES];
    int      no_route;             /* the so many-th queue pair from now finds no way; 0: none */
    bool     held[DOUBLE_DEVICES];     /* by double_hold() */
    bool     no_error_state;       /* ibv_modify_qp() to it fails */
    bool     violations;           /* wrong keys are expected */
    bool     iwarp;                /* what the devices are; before they are looked for */
    bool     strangers;            /* somebody else connects before each connection */
    bool     no_ports;             /* sockets of TCP have all ports that connections would begin at */

    /* The `after`-th work request of this device from now fails with `status`;
     * `executed`: but the peer has got it, only the answer was lost.  0: none. */
    struct { int after; enum ibv_wc_status status; bool executed; } fail[DOUBLE_DEVICES];
};

struct double_faults *double_faults(void);
/* Set a fault while others are at work. */
void double_set(int *fault, int value);
void double_fail(int device, int after, enum ibv_wc_status status, bool executed);
/* Raise an asynchronous event at every open context of the device. */
void double_event(int device, enum ibv_event_type type);
/* At this one only. */
void double_event_at(const struct ibv_context *context, enum ibv_event_type type);
/* What this context is told of its port, and nobody else. */
void double_port_down(const struct ibv_context *context, bool down);
/* Work requests wait, until the other is called: then they are done, at once. */
void double_hold(int device);
void double_release(int device);
/* How many work requests were posted, and doorbells rung for them, by this process. */
void double_counts(uint64_t *requests, uint64_t *doorbells);
/* How often all processes have asked for completions. */
uint64_t double_polls(void);
/* Memory regions ever registered, by all processes, paged on demand or pinned. */
uint64_t double_registered(bool paged);
/* Memory regions that this process has now. */
int double_regions(void);
/* Bytes that the queue pairs of this device, of all processes, have moved. */
uint64_t double_moved(int device);
/* Has the failure that was asked for, if any, happened? */
bool double_failed(int device);
/* Connections that were turned away. */
int double_refused(void);
/* Queue pairs of this device that this process uses: those of killed ones stay. */
int double_queue_pairs(int device);

#endif
