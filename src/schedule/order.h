/* SPDX-License-Identifier: BSD-3-Clause */
/* Which operation last wrote, and which have read since, every byte of each
 * space: from this follows what a new operation must wait for.  Belongs to one
 * schedule while it is built.  Does not know what operations do. */
#ifndef ORDER_H
#define ORDER_H

#include "schedule/schedule.h"

struct order *order_create(void);              /* NULL: out of memory */
void order_free(struct order *order);          /* NULL is allowed */

/* Operation `op`, the newest, reads or writes `span`: append to s->needs the
 * operations that it must wait for, each once.  An operation's reads come
 * before its write.  False: out of memory. */
bool order_read(struct schedule *s, uint32_t op, struct span span);
bool order_write(struct schedule *s, uint32_t op, struct span span);

/* Append one item to an array that only this function enlarges, NULL in the beginning.
 * False: out of memory, nothing changed. */
bool array_push(void *array, uint32_t *used, const void *item, size_t size);

#endif
