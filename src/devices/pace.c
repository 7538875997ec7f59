/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/pace.h"

enum {
    SUSPECTS   = 4,                /* slow copies in a row: what is seldom says nothing */
    TRIES      = 8,                /* copies until it is clear that the other way is better */
    PLAIN_NS   = 20000000,         /* between tries of plain stores: half a per cent, if slow */
    WAIT_LEAST = 2000000,          /* between tries past the caches that were no better ... */
    WAIT_MOST  = 320000000         /* ... and may have cost some 50 us each */
};

/* Plain stores of 8 GB/s are not worth a try of something else; ns per byte. */
static const double slow = 0.125;
/* The reader has to fetch from memory what was stored past the caches, and changing
 * costs: it must be better by so much. */
static const double better = 0.7;

static void blend(double *average, double sample)
{
    *average = *average == 0 ? sample : *average + (sample - *average) / 4;
}

static void keep(struct pace *pace, bool past, uint64_t again)
{
    pace->goes_past = past;
    pace->tries = pace->suspects = 0;
    pace->again = again;
}

static void begin(struct pace *pace, bool past)
{
    pace->goes_past = past;
    pace->tries = TRIES;
    pace->suspects = 0;
    *(past ? &pace->past : &pace->plain) = 0;
}

static void took_plain(struct pace *pace, double cost, uint64_t now)
{
    blend(&pace->plain, cost);
    pace->suspects = cost > slow && now >= pace->again ? pace->suspects + 1 : 0;
    if (pace->suspects >= SUSPECTS)
        begin(pace, true);
}

static void tried_past(struct pace *pace, double cost, uint64_t now)
{
    /* The least: a core may be taken away in any of them. */
    if (pace->past == 0 || cost < pace->past)
        pace->past = cost;
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

/* One slow copy may be chance, or the first in lines that were elsewhere; a second one
 * tells that nothing has changed, and only some fast ones that it has. */
static void tried_plain(struct pace *pace, double cost, uint64_t now)
{
    bool slow_still = cost > slow && pace->past < better * cost;

    blend(&pace->plain, cost);
    pace->tries--;
    if (slow_still && pace->tries < TRIES - 1)
        keep(pace, true, now + PLAIN_NS);
    else if (pace->tries == 0)
        keep(pace, false, now);
}

void pace_took(struct pace *pace, double cost, uint64_t now)
{
    bool tried = pace->tries > 0;

    if (pace->goes_past && tried)
        tried_past(pace, cost, now);
    else if (tried)
        tried_plain(pace, cost, now);
    else if (!pace->goes_past)
        took_plain(pace, cost, now);
    else {
        blend(&pace->past, cost);
        if (now >= pace->again)
            begin(pace, false);
    }
}
