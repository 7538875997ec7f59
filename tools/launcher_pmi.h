/* SPDX-License-Identifier: BSD-3-Clause */
/* The server's side of PMI-1 for ranks on this host: a table of keys and values
 * and a barrier.  Knows sockets and lines, not processes.  Never blocks.  What a
 * rank sends is checked; a rank that breaks the protocol loses its connection.
 * One thread. */
#ifndef LAUNCHER_PMI_H
#define LAUNCHER_PMI_H

#include <stdbool.h>

struct pmi_server;

/* NULL: no memory. */
struct pmi_server *pmi_server_new(int nranks);
void pmi_server_free(struct pmi_server *server);

/* A socket of this rank; ownership passes. */
void pmi_server_add(struct pmi_server *server, int rank, int socket);

/* The socket to watch for input, or -1 if the rank has none any more. */
int pmi_server_socket(const struct pmi_server *server, int rank);

/* Serve what has arrived from this rank; false if it had to be cut off. */
bool pmi_server_serve(struct pmi_server *server, int rank);

/* A rank that waits in the barrier, or -1. */
int pmi_server_waiting(const struct pmi_server *server);

#endif
