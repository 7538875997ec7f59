/* SPDX-License-Identifier: BSD-3-Clause */
/* How long waits yield before they sleep, on waits that are made up. */
#include "checks.h"

#include "executor/patience.h"

enum { LEAST = 200000 };               /* ns, as PEAL_YIELD has it */

static uint64_t yields;
static int sleeps;

/* Something comes after `ns`. */
static void wait_for(uint64_t ns)
{
    if (ns < yields)
        return;
    sleeps++;
    yields = patience_learn(yields, LEAST, ns - yields);
}

static void check_sleeps(uint64_t ns, int waits, int most, const char *what)
{
    sleeps = 0;
    for (int i = 0; i < waits; i++)
        wait_for(ns);
    check(sleeps <= most, "%s: %d of %d waits slept, at most %d expected; they yield for %llu ns",
          what, sleeps, waits, most, (unsigned long long)yields);
}

int main(void)
{
    yields = LEAST;
    check_sleeps(100000, 100, 0, "short waits");
    check(yields == LEAST, "short waits: they yield for %llu ns", (unsigned long long)yields);
    check_sleeps(350000, 100, 1, "a little longer");
    check_sleeps(3000000, 100, 4, "3 ms");
    check(yields <= 16 * LEAST, "they yield for %llu ns", (unsigned long long)yields);
    sleeps = 0;
    for (int i = 0; i < 10; i++)
        wait_for(1000000000);
    check(sleeps == 10 && yields == LEAST, "waits of a second: %d of 10 slept, they yield for %llu ns",
          sleeps, (unsigned long long)yields);
    check_sleeps(3000000, 100, 4, "3 ms again");
    for (int i = 0; i < 10; i++)
        wait_for(4000000);
    check(yields == LEAST, "waits of 4 ms: they yield for %llu ns", (unsigned long long)yields);
    check(patience_learn(0, 0, 0) == 0 && patience_learn(0, 0, 1000000) == 0,
          "who shall not yield does");
    printf("patience: %s, %d checks, %d failed\n", failures ? "FAIL" : "ok", checks, failures);
    return failures ? 1 : 0;
}
