/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that moves what is in flight on an engine while the engine's owner
 * computes (PEAL_PROGRESS=1).  The owner enters before it uses the engine and
 * leaves afterwards; between, the thread uses it.  The thread sleeps while
 * nothing is in flight, and while nothing comes. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "executor/executor.h"

struct progress;

int  progress_start(struct engine *engine, struct progress **progress);
void progress_stop(struct progress *progress);         /* not entered; NULL allowed */

void progress_enter(struct progress *progress);
void progress_leave(struct progress *progress);

#endif
