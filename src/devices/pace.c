/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/pace.h"

enum {
    SUSPECTS   = 6,                /* slow copies in a row: what is seldom says nothing */
    TRIES_PAST = 8, TRIES_PLAIN = 4,   /* copies until it is clear which way is better */
    PLAIN_NS   = 20000000,         /* between tries of plain stores: half a per cent, if slow */
    WAIT_LEAST = 2000000,          /* between tries past the caches that were no better ... */
    WAIT_MOST  = 320000000         /* ... and may have cost some 50 us each */
};

/* Plain stores of 8 GB/s are not worth a try of something else; ns per byte.  Far cores
 * carry 2.4 to 5.5. */
static const double slow = 0.125;
/* The reader has to fetch from memory what was stored past the caches, and that is not in
 * the writer's time: it must be better by so much.  (From memory to memory a busy machine may
 * be slow, too; then the other way is not twice as fast.) */
static const double better = 0.5;

/* Cores are taken away in the middle of a copy, so what counts is the least of some. */
static void least(double *so_far, double cost)
{
    if (*so_far == 0 || cost < *so_far)
        *so_far = cost;
}

static void keep(struct pace *pace, bool past, uint64_t again)
{
    pace->goes_past = past;
    pace->tries = pace->suspects = pace->fast = 0;
    pace->again = again;
}

static void took_plain(struct pace *pace, double cost, uint64_t now)
{
    if (cost <= slow || now < pace->again) {
        pace->suspects = 0;
        return;
    }
    if (pace->suspects++ == 0)
        pace->plain = 0;
    least(&pace->plain, cost);
    if (pace->suspects < SUSPECTS)
        return;
    pace->past = 0;
    keep(pace, true, now);
    pace->tries = TRIES_PAST;
}

static void tried_past(struct pace *pace, double cost, uint64_t now)
{
    least(&pace->past, cost);
    if (--pace->tries > 0)
        return;
    if (pace->past < better * pace->plain) {
        pace->patience = 0;
        keep(pace, true, now + PLAIN_NS);
        return;
    }
    pace->patience = pace->patience < WAIT_LEAST ? WAIT_LEAST : 2 * pace->patience;
    pace->patience = pace->patience < WAIT_MOST ? pace->patience : WAIT_MOST;
    keep(pace, false, now + pace->patience);
}

/* The first one may be slow for its lines were elsewhere, and one may be fast by chance. */
static void tried_plain(struct pace *pace, double cost, uint64_t now)
{
    pace->fast += cost <= slow || pace->past >= better * cost;
    if (--pace->tries > 0)
        return;
    if (pace->fast >= TRIES_PLAIN / 2)
        keep(pace, false, now);
    else
        keep(pace, true, now + PLAIN_NS);
}

void pace_took(struct pace *pace, double cost, uint64_t now)
{
    if (pace->tries > 0 && pace->goes_past) {
        tried_past(pace, cost, now);
    } else if (pace->tries > 0) {
        tried_plain(pace, cost, now);
    } else if (!pace->goes_past) {
        took_plain(pace, cost, now);
    } else if (now >= pace->again) {
        pace->goes_past = false;
        pace->tries = TRIES_PLAIN;
    }
}
