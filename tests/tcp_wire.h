/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the tcp wire share: failures, random numbers, headers, and
 * the tests of a header alone (tcp_wire_header.c). */
#ifndef TESTS_TCP_WIRE_H
#define TESTS_TCP_WIRE_H

#include "transports/tcp/tcp_wire.h"

#include <stdbool.h>
#include <stdint.h>

enum { COMMUNICATOR = 77, LONG = 3 << 20, CHUNK = 512 << 10 };

extern unsigned tcp_failures;
extern uint64_t tcp_random_state;

bool check(bool ok, const char *what);
uint64_t random_next(void);
struct tcp_header plain(enum tcp_kind kind, uint32_t number);

void test_round_trip(void);
void test_rejections(void);
void test_random(unsigned rounds);

#endif
