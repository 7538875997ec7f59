/* SPDX-License-Identifier: BSD-3-Clause */
/* Status codes and the text of the latest failure.
 *
 * The function that detects an error calls status_fail() once, with the whole
 * story; everyone above just returns the code.  The text is per thread. */
#ifndef STATUS_H
#define STATUS_H

#include "peal.h"

#include <stdbool.h>

/* Not errors.  AGAIN: nothing was started; make progress, then call again.
 * POST: there is no short way for this message (transport.h, peek).
 * LATER: it was started, and ends later (transport.h, put). */
enum { STATUS_AGAIN = 1, STATUS_POST = 2, STATUS_LATER = 3 };

/* Remember what failed (printf style) for peal_last_error(); returns `status`.
 * "%m" works: errno is preserved on entry. */
int status_fail(int status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The calling thread's text; never NULL. */
const char *status_text(void);

/* How often the calling thread has called status_fail(): whether the text is new. */
unsigned status_count(void);

/* Put words in front of the present text: "rank 3: " + text. */
int status_prefix(int status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Around an attempt whose failure is no failure of the whole: keep the text, and
 * put it back once it is known that nothing is wrong. */
enum { STATUS_TEXT = 2048 };
void status_keep(char kept[STATUS_TEXT]);
void status_restore(const char kept[STATUS_TEXT]);

/* Keep the calling thread's text in `why` for whoever tells of the failure, another thread perhaps, unless
 * one is kept there already; is it the one that is there now? */
bool status_note(char why[STATUS_TEXT]);

/* The enumerator's name, "PEAL_ERR_PEER"; "unknown status" for others. */
const char *status_name(int status);

#endif
