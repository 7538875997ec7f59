/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections of a communicator: which transport serves which peer, and the
 * sockets that the job's monitor brought for it. */
#ifndef INBOX_H
#define INBOX_H

#include "comm/comm.h"

/* What came for one peer; protected by comm->lock, except `ready`. */
struct inbox {
    _Atomic bool ready;            /* something to take: sockets or a refusal */
    bool         asked;            /* we have dialled */
    bool         dialled;          /* the sockets are of our dialling */
    int          nsockets;
    int          sockets[TRANSPORT_SOCKETS];
    char         transport[TRANSPORT_NAME];
    int          status;           /* not 0: the sockets could not be had */
    char         text[320];
};

struct inbox *inbox_create(int npeers);
void inbox_free(struct inbox *inboxes, int npeers);      /* closes what was not taken */

/* For engine.join: make the link to `peer` ready. */
int comm_join(struct engine *engine, int peer);

/* For engine.stalled: ask the others whether they are in the same call. */
void comm_stalled(struct engine *engine, const struct run *run);

/* Give the communicator a mailbox at its job. */
void comm_attach(struct peal_comm *comm);

/* The rank of this communicator that is the job's rank `job_rank`, or -1. */
int comm_rank_of(const struct peal_comm *comm, int job_rank);

#endif
