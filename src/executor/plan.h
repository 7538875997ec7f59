/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the executor: a schedule arranged for running.  Needs are turned round
 * into "who is next", so that completing a step costs what it releases. */
#ifndef PLAN_H
#define PLAN_H

#include "schedule/schedule.h"

/* Up to SMALL bytes the copy out of a transport's buffer costs less than what it takes
 * to arrange that steps may overlap; up to LENT it costs less than what it takes to
 * store the message where it is expected.  Results from ONWARD bytes on are combined, stored
 * at the peer and kept in one pass; smaller ones stay in a core's own cache, from where another
 * pass costs less than storing to the peer in bursts. */
enum { PLAN_SMALL = 16 << 10, PLAN_LENT = 4 << 10, PLAN_ONWARD = 1 << 20 };

struct step {
    enum op_kind kind;
    bool         incoming_first;
    bool         streams;                  /* its result may be stored past the caches */
    int          peer;
    uint32_t     peer_index;               /* of `peer` in plan.peers */
    uint32_t     sequence;
    struct span  dst, src;
    uint32_t     first_part, nparts;
    uint32_t     first_next, nnext;        /* into plan.nexts: steps that wait for this */
    uint32_t     onward;                   /* of a receive: the send that waits for it alone and
                                              sends what it leaves; 0: none ... */
    bool         passes;                   /* ... and nobody else needs it there, but ... */
    uint32_t     keep;                     /* ... who copies it to where it stays; 0: nobody */
    uint32_t     carrier;                  /* of a copy: a send of the same bytes, both at once; 0: none */
    uint32_t     carried;                  /* of such a send: 1 + that copy; 0: none */
    uint32_t     reader;                   /* of a copy to a stage: who is sent it, in plan.peers */
};

/* In place of a reader: nobody; more than one. */
#define READER_NONE    UINT32_MAX
#define READER_SEVERAL (UINT32_MAX - 1)

struct plan_peer { int peer; uint32_t sends, recvs; };

struct plan {
    uint32_t          nsteps, npeers, most_parts, nmessages;
    size_t            scratch;
    bool              staged;              /* scratch is to be seen by peers */
    bool              places;              /* sends may be stored at the peer ... */
    bool              onwards;             /* ... as what they send is made */
    size_t            largest;             /* bytes of a message */
    uint32_t          opening;             /* the first step that is a message, if any */
    bool              answers;             /* a send comes after a receive */
    uint32_t          openers;             /* steps up to the last send that waits for no peer */
    struct step      *steps;
    uint32_t         *nexts;
    uint32_t         *waits;               /* per step: how many it waits for */
    struct span      *parts;
    struct plan_peer *peers;               /* those with messages */
};

#endif
