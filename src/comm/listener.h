/* SPDX-License-Identifier: BSD-3-Clause */
/* Internet addresses: of text, of interfaces, and a listening socket on one.
 * Chooses the narrowest address that does: never the wildcard unless asked.
 * Knows settings and sockets; knows no job.  No state; any thread. */
#ifndef LISTENER_H
#define LISTENER_H

#include "base/settings.h"

#include <stdint.h>
#include <sys/socket.h>

/* Rows of job_settings[]. */
enum { JOB_INTERFACE, JOB_PORTS, JOB_FAMILY, JOB_VISIT_TIMEOUT, JOB_KEEPALIVE, JOB_LOOPBACK };

enum { PLACE_TEXT = 64 };

struct place {                     /* something to connect to, or to bind */
    struct sockaddr_storage address;
    socklen_t               bytes;
    bool                    here;      /* known to be on this host */
};

/* "host:port" or "[v6 address]:port" into its parts; PEAL_ERR_LAUNCH. */
int listener_parse(const char *text, char host[256], uint16_t *port);

/* The addresses of "host:port", at most `most`.  Names that are not known yet
 * are asked for again until `deadline`. */
int listener_resolve(const char *text, uint64_t deadline, struct place *places, int most,
                     int *count);

/* The address to bind: of PEAL_INTERFACE, else the one from which `towards`
 * is reached, else (towards NULL) the one from which the world is.  `shown`
 * is what others should dial: the same, unless the wildcard was asked for.
 * Ports are 0. */
int listener_choose(const struct place *towards, struct place *bound, struct place *shown);

/* Was an interface asked for? */
bool listener_told(void);

/* A nonblocking listening socket at `place`: at its port, or if that is 0 at a
 * free one of PEAL_PORTS, but not at `reserved`, which is for another rank that
 * may come later (0: none).  The port is filled in.  A port that is told and in use
 * is tried for a tenth of a second. */
int listener_open(struct place *place, uint16_t reserved, int *listener);

/* Do the two have the same address, whatever their ports? */
bool place_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

/* "10.0.0.1:4711", "[::1]:4711" */
const char *place_text(const struct place *place, char text[PLACE_TEXT]);
uint16_t place_port(const struct place *place);
void place_set_port(struct place *place, uint16_t port);
bool place_is_wildcard(const struct place *place);

/* From 4 or 6, and 4 or 16 bytes. */
void place_make(int family, const void *address, uint16_t port, struct place *place);

#endif
