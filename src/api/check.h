/* SPDX-License-Identifier: BSD-3-Clause */
/* Argument checks that several public functions share.  Each returns PEAL_OK or
 * PEAL_ERR_ARGUMENT with a text that names the function and the argument. */
#ifndef API_CHECK_H
#define API_CHECK_H

#include "coll/coll.h"

int check_comm(const char *function, peal_comm_t comm);
int check_pointer(const char *function, const char *name, const void *pointer);
int check_call(const char *function, peal_comm_t comm, const struct coll_call *call);

#endif
