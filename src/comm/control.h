/* SPDX-License-Identifier: BSD-3-Clause */
/* What neighbours in the control tree tell each other, as bytes:
 *
 *   length of the body (4), type (2), version (2), body
 *
 * All bodies but the table's have one form (struct control), CONTROL_MOST bytes
 * at most.  The table has the place of every rank; its size follows from the
 * number of ranks, which both sides know.  Pure: no I/O, no state. */
#ifndef CONTROL_H
#define CONTROL_H

#include "comm/handshake.h"

enum control_type {
    CONTROL_TABLE = 1,             /* who is where, or why the job cannot begin */
    CONTROL_FAIL,                  /* `communicator` (0: all) failed: status, text */
    CONTROL_DEAD,                  /* `rank` died: text */
    CONTROL_PROBE,                 /* `rank` is stuck in `call` with `signature`: text */
    CONTROL_BEHIND,                /* `rank` has not made `call`: text */
    CONTROL_LEAVING,               /* to the parent: all ranks below me want to leave */
    CONTROL_GOODBYE,               /* from the root: everybody wants to leave */
    CONTROL_BYE,                   /* I leave, whatever the others do */
    CONTROL_BEAT                   /* I live */
};

enum {
    CONTROL_VERSION = 2,
    CONTROL_HEADER  = 8,
    CONTROL_TEXT    = 1500,
    CONTROL_MOST    = 4 + 4 + 4 * 8 + 2 + CONTROL_TEXT
};

struct control {
    enum control_type type;
    int               status;
    int               rank;
    uint64_t          communicator, call;
    struct signature  signature;
    char              text[CONTROL_TEXT + 1];
};

void control_init(struct control *control, enum control_type type, uint64_t communicator,
                  int rank, int status, const char *text);

/* With its header; returns the bytes written. */
size_t control_write(const struct control *control,
                     unsigned char bytes[CONTROL_HEADER + CONTROL_MOST]);

/* The header: type and length of the body.  PEAL_ERR_PROTOCOL if it is none, or
 * longer than its type allows with this number of ranks. */
int control_read_header(const unsigned char bytes[CONTROL_HEADER], int nranks,
                        enum control_type *type, size_t *length);
int control_read(enum control_type type, const unsigned char *body, size_t length,
                 int nranks, struct control *control);

/* The table: the ranks in the order of the tree (the children of position p are
 * at fanout x p + 1, ...), or why there is none. */
struct table {
    int  status;
    char text[CONTROL_TEXT + 1];
    int  count;                    /* ranks that came */
};

/* Most bytes of a table's body. */
size_t table_most(int nranks);

/* With its header, into table_most() + CONTROL_HEADER bytes. */
size_t table_write(const struct table *table, const int *order, const struct record *records,
                   int nranks, unsigned char *bytes);

/* Fills order[0 .. count-1] and the records of those ranks; both have room for
 * nranks.  Each rank appears once; all do if status is PEAL_OK. */
int table_read(const unsigned char *body, size_t length, int nranks, struct table *table,
               int *order, struct record *records);

#endif
