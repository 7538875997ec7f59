/* SPDX-License-Identifier: BSD-3-Clause */
/* For topology_load.c: who sends how much to whom in a schedule (topology_load_sends.c), and hosts whose
 * links add up what goes over them (topology_load_hosts.c). */
#ifndef TOPOLOGY_LOAD_H
#define TOPOLOGY_LOAD_H

#include "algorithms/algorithm.h"
#include "topology/plan.h"

/* ---- Schedules -------------------------------------------------------------------- */

/* From place to place, as a part of the buffer. */
struct send { int from, to; double part; };

struct sends {
    const struct algorithm *algorithm;
    int nhosts, each;                  /* hosts of so many ranks; their places lie side by side */
    int count;
    struct send *list;
};

/* Of the allreduce schedules of all ranks, each of which is built, walked over and freed.  The list is
 * kept for the next who asks.  Ends the program where there is no memory. */
const struct sends *sends_of(const struct algorithm *algorithm, int nhosts, int each);
void sends_forget(void);

/* Of those of the first `nranks` ranks in a layout, from rank to rank; the caller frees the list. */
void sends_in(struct sends *sends, const struct layout *layout, int nranks);

/* ---- Hosts ------------------------------------------------------------------------ */

struct hosts {
    struct topology one, many;
    struct topology_plan plan;         /* of a host, its rings spread to as many as it has ports */
    struct layout_plan ways;           /* as Peal makes channels and trees of them */
    uint64_t place[PLAN_GPUS_MOST];    /* by GPU: its position on these */
    bool port_added;                   /* the file has none that all GPUs reach */
    int  n, each;                      /* hosts, GPUs of each; rank: host * each + index in plan.gpus */
    int  nports;                       /* of a host, that the plan uses */
    double ports_total;                /* GB/s that they carry together */
    int  of_port[PLAN_GPUS_MOST];      /* by GPU: which of the plan's ports it uses, 0 ... */
    int  port[PLAN_GPUS_MOST];         /* nodes of the first host, by that number */
    int  rail[PLAN_GPUS_MOST];         /* its link to its rail, or -1 */
    struct topology_path *near;        /* of the first host: each * each, GPU to GPU */
    struct topology_path *out;         /* each * nports, GPU to port */
    int  nslots, *slot, *link;         /* links of the first host, those to rails too; slot by link, -1 */
    double *loads;                     /* n * nslots * 2, by host, slot and direction */
    double crossed;                    /* of the buffer, out of all hosts together */
    double mixed;                      /* of it, to a GPU whose port is on another rail */
};

/* What the sends load. */
struct load_result {
    double bandwidth;                  /* GB/s of the buffer, if nothing but the busiest link counts */
    int    rings;                      /* or trees, that share the buffer */
    int    host, hop;                  /* that link, of the first host, and its way (path.hops) */
    double port_most;                  /* of the buffer, over the busiest link to a rail, one way */
    double leaving_least, leaving_most, entering_most;     /* of a host, over its links to rails */
    double crossed, mixed;
};

/* One host of a file; then, again and again, n of it.  False: `why`. */
bool hosts_open(struct hosts *h, const char *file, char *why, size_t why_bytes);
bool hosts_repeat(struct hosts *h, int n, char *why, size_t why_bytes);
void hosts_single(struct hosts *h);    /* undoes hosts_repeat() */
void hosts_close(struct hosts *h);

void hosts_clear(struct hosts *h);     /* of all load */
/* `order`: the rank at each place; `share` of the buffer. */
void hosts_load(struct hosts *h, const struct sends *sends, const int *order, double share);
struct load_result hosts_result(const struct hosts *h);

/* Gives all hosts the loads that the second and the third have, every other one alike: where only the ranks of the
 * first three have been counted, and each sends to its own host or the next. */
void hosts_alternate(struct hosts *h);

/* Of that many hosts, as Peal finds it. */
struct layout *hosts_layout(const struct hosts *h);

/* Whether paths of the last host, and those to its ports, are the same as those of the first: the load is
 * counted with the latter. */
bool hosts_alike(const struct hosts *h);

#endif
