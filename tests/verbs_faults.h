/* SPDX-License-Identifier: BSD-3-Clause */
/* The groups of cases of tests/verbs.c. */
#ifndef VERBS_FAULTS_H
#define VERBS_FAULTS_H

#include "tests/transports_rig.h"
#include "tests/verbs_double.h"

extern const struct transport verbs_transport;

void verbs_faults(uint64_t seed);
void verbs_rails(uint64_t seed);
void verbs_hostile(uint64_t seed);
void verbs_pairs(uint64_t seed);
void verbs_features(uint64_t seed);
void verbs_moments(uint64_t seed);
void verbs_rejoins(uint64_t seed);
void verbs_greetings(uint64_t seed);
void verbs_series(uint64_t seed);

#endif
