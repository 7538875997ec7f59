/* SPDX-License-Identifier: BSD-3-Clause */
/* What collectives can tell about themselves, for peal_describe(). */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include "base/report.h"

/* Every algorithm with its cost. */
void explain_algorithms(struct report *report);

/* Schedules of all ranks side by side; `words`: COLLECTIVE ALGORITHM RANKS
 * [COUNT].  PEAL_ERR_ARGUMENT says what is wrong with them. */
int explain_drawing(const char *words, FILE *out);

/* Which algorithm would be chosen and what the others would cost; `words`:
 * COLLECTIVE BYTES RANKS. */
int explain_choice(const char *words, struct report *report);

#endif
