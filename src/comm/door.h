/* SPDX-License-Identifier: BSD-3-Clause */
/* A rank's two listening sockets, through which all others come: one on TCP and
 * one abstract Unix socket with a random name, for ranks on the same host; and
 * the way to other ranks' doors.  Knows no message.  Used by one thread. */
#ifndef DOOR_H
#define DOOR_H

#include "comm/handshake.h"
#include "comm/listener.h"

struct door {
    int           tcp, local;      /* nonblocking listening sockets; -1: closed */
    struct place  shown;           /* the TCP address that others dial */
    unsigned char name[16];        /* the abstract socket's name is made of it */
    char          control[16];     /* congestion control for connections from other hosts; empty: any
                                    * has what it should have */
};

/* Open both sockets: the TCP one on the interface that leads to the root, or
 * for rank 0 at the root's own address (or options->root_listener, which is
 * taken over, also on failure).  `roots`: the addresses that rank 0 may have. */
int door_open(const struct job_options *options, const struct place *roots, int nroots,
              struct door *door);
void door_close(struct door *door);

/* What others must know. */
void door_describe(const struct door *door, struct record *record);

/* The places of another rank's door, TCP or local. */
void door_place(const struct door *self, const struct record *record, bool local,
                struct place *place);

/* Begin to connect, without blocking: the socket, or -1 with errno. */
int door_dial(const struct place *place);

/* Accept one: the socket, or -1 with errno. */
int door_accept_tcp(const struct door *door);
int door_accept_local(const struct door *door);

/* Is the other end of a Unix socket of our user? */
bool door_same_user(int fd);

/* Options of an authenticated socket: no delay; with `keepalive` seconds the
 * kernel reports a silent host after about that time. */
void door_tune(int fd, double keepalive);

#endif
