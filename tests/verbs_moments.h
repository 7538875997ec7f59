/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of moments share: they look into the transport. */
#ifndef VERBS_MOMENTS_H
#define VERBS_MOMENTS_H

#include "tests/verbs_faults.h"

#include "transports/verbs/verbs.h"

/* The endpoint to the other of two ranks. */
struct endpoint *moment_peer(struct node *node);
/* Progress until connecting has come to this stage, and no further. */
void moment_stage(struct node *node, enum stage stage);
/* A receive from the other ends with this status, and the endpoint's failure has this text in it. */
void moment_fails(struct node *node, int status, const char *text);

void verbs_endings(uint64_t seed);

#endif
