/* SPDX-License-Identifier: BSD-3-Clause */
/* Where this process lives: host, process, namespaces.  Thread-safe. */
#ifndef WHERE_H
#define WHERE_H

#include "transports/transport.h"

/* Two processes with equal `host` share a kernel and a network namespace, and are not
 * said to live apart (PEAL_HOSTID). */
int where_find(struct where *where);

extern const struct setting where_settings[];

#endif
