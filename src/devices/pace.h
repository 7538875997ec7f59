/* SPDX-License-Identifier: BSD-3-Clause */
/* Stores to memory that another rank reads: plain ones, or past the caches?
 *
 * A plain store needs the line for itself.  What the peer has read is in its caches too,
 * and each line has to be taken back from there.  Where the two cores share a cache that
 * is fast, and what was stored lies there for the reader (35 GB/s).  Where they do not,
 * stores wait for each other, for they are to appear in their order: 2.4 GB/s, whatever
 * is fetched ahead.  Stores past the caches need not own the line: 17 GB/s, whatever the
 * cores are, for the reader fetches from memory then.  (Reads are fast either way:
 * 17 and 35 GB/s.)  How near the cores are nobody tells: virtual machines hide it, and the
 * scheduler moves ranks.  So the writer measures.
 *
 * It times one copy in some.  Are those slow, some are stored past the caches instead,
 * and what is better for the writer is kept to.  While that is past the caches, plain stores are
 * tried now and then, to see whether they have become fast; and the other way round, as
 * long as they are slow.
 *
 * Long copies have a third way, string instructions (`rep movsb`).  Some processors carry them out as
 * stores of whole lines, which they take for themselves without the bytes: twice as fast as vectors
 * where the lines are in a near core's caches, and as fast as stores past the caches where
 * that core is far.  On others they are no better than vectors, or worse.  No flag of the processor tells,
 * nor does what one core can find out alone.  So the first long copies take turns, and some later ones, as
 * the scheduler moves ranks, and where stores go to memory all take as long. */
#ifndef PACE_H
#define PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PACE_PIECE = 512,              /* bytes from which there is a choice */
    PACE_TURN  = 64 << 10,         /* most bytes that are copied, and timed, as one */
    PACE_TRIES = 8,                /* copies until it is clear which way is better */
    PACE_AROUND = 60,              /* ns of a timing that do not depend on the bytes */
    PACE_LONG  = 8 << 10           /* bytes from which string instructions are worth their beginning */
};

/* Long copies by string instructions, beside vectors. */
enum pace_strings { STRINGS_UNKNOWN, STRINGS_SLOWER, STRINGS_EVEN, STRINGS_FASTER };
enum pace_way { BY_VECTORS, BY_STRINGS, BY_PAST, PACE_WAYS };

#if defined(__x86_64__)
enum { PACE_STRINGS = 1 };
#else
enum { PACE_STRINGS = 0 };             /* there are none */
#endif

/* What is known of one peer, or of all.  Begins as zeros; one thread's. */
struct pace {
    double   plain, past;          /* ns per byte, the median of the tries before the choice */
    double   costs[PACE_TRIES];    /* the tries so far */
    uint64_t again;                /* not before then is the other way tried */
    uint64_t patience;             /* ns until that, when stores past the caches were no better */
    unsigned pieces;               /* copied, of which one in some is timed */
    int      suspects, fast;       /* the last so many plain copies that were timed were slow;
                                      so many plain tries were fast */
    int      tries;                /* of the other way, still to be timed */
    bool     goes_past;            /* the way of the next copy */
    bool     far;                  /* the last plain copy was slow for cores that are near */
    enum pace_strings strings, strings_before;     /* found now, and by the trials before */
    int      trials;               /* long copies by any way, so far; below 0: until the next ones */
    int      asked;                /* how often it was asked; so it is asked less and less often */
    double   trial_costs[PACE_WAYS][PACE_TRIES];
};

enum { PACE_ONE_IN = 31 };         /* prime: messages often have 2, 4, ... pieces */

/* Are the cores near, as far as is known?  Who stores messages into a row is to leave room between
 * them then. */
static inline bool pace_near(const struct pace *pace)
{
    return !pace->goes_past && !pace->far;
}

/* Are so many bytes better copied, or stored, by string instructions? */
static inline bool pace_by_strings(const struct pace *pace, size_t bytes)
{
    return bytes >= PACE_LONG && pace->strings == STRINGS_FASTER;
}

/* Is it to be found by such a copy?  Who could do with fewer copies is to copy until then. */
static inline bool pace_asks(const struct pace *pace, size_t bytes)
{
    return PACE_STRINGS && bytes >= PACE_LONG && pace->strings == STRINGS_UNKNOWN;
}

/* So many bytes more are copied, or stored: may be that it is time to ask again.  Not while plain
 * stores are slow, which are tried as it is. */
static inline void pace_passed(struct pace *pace, size_t bytes)
{
    if (bytes >= PACE_LONG && pace->trials < 0 && !pace->goes_past && ++pace->trials == 0)
        pace->strings = STRINGS_UNKNOWN;
}

/* Is the next copy to be timed? */
static inline bool pace_due(struct pace *pace)
{
    return pace->suspects > 0 || pace->tries > 0 || ++pace->pieces % PACE_ONE_IN == 0;
}

/* For stores that are timed by their owner: how they are to be, and when they began; 0: do not time. */
uint64_t pace_begin(struct pace *pace, bool *past);
/* Not for 0: so many bytes have been stored. */
void pace_end(struct pace *pace, uint64_t began, size_t bytes);

/* For stores that are not copies, and so cannot be timed: past the caches?  False, now and then:
 * let it be a copy, lest nothing be timed any more. */
static inline bool pace_follow(struct pace *pace, bool *past)
{
    if ((pace->pieces + 1) % PACE_ONE_IN == 0)
        return false;
    pace->pieces++;
    *past = pace->goes_past;
    return true;
}

/* Copy to memory that another rank reads, the faster way; in stream.c.  Where there are no
 * stores past the caches (other than x86) all ways are the same, and plain ones are kept. */
void pace_copy(struct pace *pace, void *to, const void *from, size_t bytes);

/* Of a copy that has taken so long, with the clock, the fence and the way of its last line to the
 * other core, which is not the copy's: ns per byte, so that copies of any length compare. */
static inline double pace_cost(uint64_t ns, size_t bytes)
{
    return ns > PACE_AROUND ? (double)(ns - PACE_AROUND) / (double)bytes : 0;
}

/* A copy has taken `cost` ns per byte, and it is now `now` ns. */
void pace_took(struct pace *pace, double cost, uint64_t now);

/* The way of the next trial, and that it has taken so long. */
enum pace_way pace_trial(const struct pace *pace);
void pace_tried(struct pace *pace, double cost);

#endif
