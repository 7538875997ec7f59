/* SPDX-License-Identifier: BSD-3-Clause */
/* The rig of the transports' conformance suite: it makes a group of connected
 * ports, each in a thread or in a forked process of its own, runs one function
 * on each, and tears them down.  Knows no transport.  A node is used by one
 * thread; a check that fails ends the whole program with exit code 1. */
#ifndef TRANSPORTS_RIG_H
#define TRANSPORTS_RIG_H

#include "transports/transport.h"

#include <stdio.h>
#include <unistd.h>

enum { RIG_RANKS = 4, RIG_GUARD = 64 };

#define CHECK(condition, ...)                                                     \
    do {                                                                          \
        if (!(condition)) {                                                       \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);       \
            fprintf(stderr, __VA_ARGS__);                                         \
            fprintf(stderr, "\n    last failure of this thread: %s\n", status_text()); \
            _exit(1);                                                             \
        }                                                                         \
    } while (0)

struct op {                        /* one send or receive, with its completion */
    struct completion completion;
    bool              done;
};

struct node {
    const struct transport *transport;
    int                     rank, nranks;
    bool                    processes;         /* nodes are processes, else threads */
    bool                    sleepy;            /* waits sleep at once, else spin first */
    bool                    fresh;             /* node_greet() does not: not connected yet */
    uint64_t                random;            /* state; different on each node */
    uint64_t                seed;              /* the same on all nodes */
    struct where            wheres[RIG_RANKS];
    struct completion_queue completions;
    char                    why[STATUS_TEXT];  /* of what fails; emptied when it was looked at */
    struct port            *port;              /* NULL once the body has closed it */
    struct endpoint        *peers[RIG_RANKS];
    uint32_t                next_send[RIG_RANKS][TRANSPORT_STREAMS];
    uint32_t                next_recv[RIG_RANKS][TRANSPORT_STREAMS];
    int                     control[RIG_RANKS];    /* to rank 0; rank 0: to all */
};

/* Run `body` on `nranks` connected nodes.  `victim` (or -1): this rank is to be
 * killed by SIGKILL; only with processes.  Sets what it was asked for only. */
void rig_run(const struct transport *transport, int nranks, bool processes, int victim,
             uint64_t seed, void (*body)(struct node *node));

/* By two threads, with a setting of their own. */
void rig_run_with(const struct transport *transport, const char *name, const char *value,
                  uint64_t seed, void (*body)(struct node *node));

/* rig_run() with a line that says which case of which group ("relay, "; or none) it is, and how
 * long it took. */
void rig_case(const struct transport *transport, const char *group, const char *name, int nranks,
              bool processes, int victim, uint64_t seed, void (*body)(struct node *node));

/* Can ranks in one process, or in two, reach each other?  False: the reason is
 * status_text(). */
bool rig_reaches(const struct transport *transport, bool processes);

/* Two connected nonblocking sockets. */
void rig_socket_pair(enum socket_kind kind, int pair[2]);

/* How many times slower than usual this machine may be: TEST_SLOWNESS, for emulated
 * ones; stretches the limits of time. */
unsigned rig_slowness(void);
/* So many repetitions; a quarter where the machine is ten times slower or more. */
int rig_times(int usual);

uint64_t node_random(struct node *node, uint64_t below);
int  node_progress(struct node *node);
void node_close(struct node *node, bool flush);

/* All nodes come here before any leaves; ports make progress meanwhile. */
void node_barrier(struct node *node);
/* The same without progress, unless the nodes are fresh: to connect may need both. */
void node_meet(struct node *node);

/* Progress until *flag; sleeps on the descriptor; ends the program when nothing
 * happens for 10 seconds. */
void node_wait(struct node *node, const bool *flag);
int  node_wait_op(struct node *node, struct op *op);       /* its status */

/* Start a transfer; sends wait for room.  The numbered forms leave next_* alone. */
void node_send_number(struct node *node, int peer, uint32_t stream, uint32_t number,
                      const void *bytes, size_t length, struct op *op);
void node_recv_number(struct node *node, int peer, uint32_t stream, uint32_t number,
                      const struct landing *landing, struct op *op);
void node_send(struct node *node, int peer, uint32_t stream, const void *bytes,
               size_t length, struct op *op);
void node_recv(struct node *node, int peer, uint32_t stream, void *bytes, size_t length,
               struct op *op);

/* The signature that node_send_number() gives to a message. */
struct message rig_message(uint32_t stream, uint32_t number);

/* An empty message to and from each peer, in stream 1: all are connected then, and
 * what follows may count on a peer that makes no progress. */
void node_greet(struct node *node);

/* Memory between guard bytes; `shareable`: from memory_alloc(). */
char *rig_alloc(size_t bytes, bool shareable);
void rig_free(char *bytes, size_t length, bool shareable);  /* checks the guards */

/* Bytes that depend on (key, position) only. */
void rig_fill(char *bytes, size_t length, uint64_t key);
void rig_verify(const char *bytes, size_t length, uint64_t key, const char *what);

/* All cases, for the transport of this name or for all (NULL); brief: with one only of the
 * sets of settings that it has.  An exit status. */
int transports_conform(uint64_t seed, const char *only, bool threads_only, bool brief);

/* The groups of cases in other files. */
void transports_matching(void);
void transports_late(struct node *node);
void transports_window(struct node *node);
void transports_traffic(struct node *node);        /* random, and checked */
void transports_short(const struct transport *transport, bool processes, uint64_t seed);
void transports_relay(const struct transport *transport, bool processes, uint64_t seed);
void transports_keep(const struct transport *transport, bool processes, uint64_t seed);
/* ... of which some are of memory that the sender sees. */
void transports_place(struct node *node);
void transports_place_closing(struct node *node);
/* By whichever way it comes; peek up to `looks` times. */
void any_recv(struct node *node, uint32_t stream, void *bytes, size_t length, uint64_t looks);
void transports_hostile(const struct transport *transport, uint64_t seed);
void transports_early(const struct transport *transport, uint64_t seed);
void transports_gaps(const struct transport *transport, uint64_t seed);
void transports_failures(const struct transport *transport, bool processes, uint64_t seed);

#endif
