/* SPDX-License-Identifier: BSD-3-Clause */
/* Network interfaces of this host: which one PEAL_INTERFACE means.  Knows no
 * socket.  No state; any thread. */
#ifndef INTERFACE_H
#define INTERFACE_H

#include "comm/listener.h"

/* The setting's text, or NULL. */
const char *interface_wanted(void);

/* Was the wildcard address asked for? */
bool interface_is_wildcard(const char *wanted);

/* PEAL_FAMILY: AF_INET, AF_INET6 or AF_UNSPEC. */
int interface_family(void);

/* Does an interface's name fit a wish: "eth,ib" (beginnings), "=eth0,ib0"
 * (whole names), "^docker,lo" (not these beginnings)? */
bool interface_fits(const char *wanted, const char *name);

/* The address of the first interface that fits the wish, which may also be an
 * address.  PEAL_ERR_LAUNCH with the names there are. */
int interface_find(const char *wanted, int family, struct place *place);

/* Any address of ours; loopback only if there is no other. */
bool interface_any(int family, struct place *place);

#endif
