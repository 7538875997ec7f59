/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/pace.h"

enum {
    TRIES_PLAIN = 4,               /* copies until it is clear that plain stores are fast again */
    PLAIN_NS   = 20000000,         /* between tries of plain stores: half a per cent, if slow */
    WAIT_LEAST = 2000000,          /* between tries past the caches that were no better ... */
    WAIT_MOST  = 320000000,        /* ... and may have cost some 50 us each */
    FASTER_FOR = 16384,            /* long copies, until the ways of those are tried again, if string ... */
    OTHERS_FOR = 256               /* ... instructions were the faster way; and if not, at first */
};

/* Plain stores of 8 GB/s are not worth a try of something else; ns per byte.  Far cores
 * carry 2.4 to 5.5. */
static const double slow = 0.125;
/* The reader has to fetch from memory what was stored past the caches, and that is not in
 * the writer's time: it must be better by so much.  (From memory to memory a busy machine may
 * be slow, too; then the other way is not twice as fast.) */
static const double better = 0.5;

/* Messages of 1 KiB that lie apart, as they do on near cores, take 0.02 there and 0.13 to 0.4 on far
 * ones.  Close to one another they take 0.1 and 0.4 to 0.6, so `slow` tells those. */
static const double slow_apart = 0.1;

static void sort(double *costs)
{
    for (int i = 1; i < PACE_TRIES; i++)
        for (int k = i; k > 0 && costs[k] < costs[k - 1]; k--) {
            double larger = costs[k - 1];

            costs[k - 1] = costs[k];
            costs[k] = larger;
        }
}

/* Cores are taken away in the middle of a copy, and single ones are fast by chance. */
static double median(double *costs)
{
    sort(costs);
    return costs[PACE_TRIES / 2];
}

/* Of stores that may wait for memory, the fast ones tell. */
static double quartile(double *costs)
{
    sort(costs);
    return costs[PACE_TRIES / 4];
}

/* Not in turn: messages of two or three pieces, of which the last is shorter, are in turn, too. */
enum pace_way pace_trial(const struct pace *pace)
{
    static const unsigned char ways[PACE_TRIES][PACE_WAYS] = {
        { 0, 1, 2 }, { 2, 0, 1 }, { 0, 2, 1 }, { 1, 2, 0 }, { 1, 0, 2 }, { 2, 1, 0 }, { 0, 1, 2 }, { 1, 2, 0 },
    };

    return ways[pace->trials / PACE_WAYS][pace->trials % PACE_WAYS];
}

void pace_tried(struct pace *pace, double cost)
{
    static const double clearly = 0.8;
    double vectors, strings, past;

    pace->trial_costs[pace_trial(pace)][pace->trials / PACE_WAYS] = cost;
    if (++pace->trials < PACE_WAYS * PACE_TRIES)
        return;
    vectors = quartile(pace->trial_costs[BY_VECTORS]);
    strings = quartile(pace->trial_costs[BY_STRINGS]);
    past = quartile(pace->trial_costs[BY_PAST]);
    /* What was found before is kept to, unless the others are clearly faster now. */
    if (vectors < clearly * strings)
        pace->strings = STRINGS_SLOWER;
    else if (past < better * strings)
        pace->strings = STRINGS_EVEN;
    else if (strings < clearly * vectors || pace->strings_before == STRINGS_FASTER)
        pace->strings = STRINGS_FASTER;
    else
        pace->strings = STRINGS_EVEN;
    pace->strings_before = pace->strings;
    pace->trials = pace->strings == STRINGS_FASTER ? -FASTER_FOR : -(OTHERS_FOR << pace->asked);
    pace->asked += OTHERS_FOR << pace->asked < FASTER_FOR;
}

static void keep(struct pace *pace, bool past, uint64_t again)
{
    pace->goes_past = past;
    pace->tries = pace->suspects = pace->fast = 0;
    pace->again = again;
}

static void took_plain(struct pace *pace, double cost, uint64_t now)
{
    pace->far = cost > (pace->far ? slow : slow_apart);
    if (cost <= slow || now < pace->again) {
        pace->suspects = 0;
        return;
    }
    pace->costs[pace->suspects++] = cost;      /* what is seldom slow says nothing */
    if (pace->suspects < PACE_TRIES)
        return;
    pace->plain = median(pace->costs);
    keep(pace, true, now);
    pace->tries = PACE_TRIES;
}

static void tried_past(struct pace *pace, double cost, uint64_t now)
{
    pace->costs[--pace->tries] = cost;
    if (pace->tries > 0)
        return;
    pace->past = median(pace->costs);
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
