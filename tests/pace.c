/* SPDX-License-Identifier: BSD-3-Clause */
/* The choice between plain stores and such past the caches, on links and clocks that
 * are made up; and what takes part in it.
 *
 *   pace [seed] */
#include "checks.h"
#include "devices/distance.h"
#include "devices/pace.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 64 << 10 };
static const double near = 0.03, far = 0.42, past = 0.06;    /* ns per byte, as measured */

static uint64_t state;

struct link {
    struct pace pace;
    double      plain_cost, past_cost;     /* now */
    double      now;                       /* ns */
    double      plain, past;               /* bytes that were stored either way */
    int         changes;                   /* of the way */
};

static double noise(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return 0.5 + (double)(state >> 40) / (double)(1 << 24);
}

/* Store some bytes, as pace_copy() does, with so many ns that do not depend on them. */
static void move_bytes(struct link *link, size_t bytes, double around)
{
    bool goes_past = link->pace.goes_past, timed = pace_due(&link->pace);
    double cost = (goes_past ? link->past_cost : link->plain_cost) * noise();
    double ns = around + cost * (double)bytes;

    link->now += ns;
    *(goes_past ? &link->past : &link->plain) += (double)bytes;
    if (timed)
        pace_took(&link->pace, pace_cost((uint64_t)ns, bytes), (uint64_t)link->now);
    link->changes += goes_past != link->pace.goes_past;
}

static void move(struct link *link)
{
    move_bytes(link, PIECE, 100);
}

/* For so long; what share of the bytes went past the caches? */
static double move_for(struct link *link, double ms)
{
    double end = link->now + ms * 1e6;

    link->plain = link->past = 0;
    link->changes = 0;
    while (link->now < end)
        move(link);
    return link->past / (link->plain + link->past);
}

static void check_share(struct link *link, double ms, double least, double most, int changes,
                        const char *what)
{
    double share = move_for(link, ms);

    check(share >= least && share <= most && link->changes <= changes,
          "%s: %.4f of the bytes went past, %d changes; expected %.4f to %.4f, at most %d", what,
          share, link->changes, least, most, changes);
}

static void steady(void)
{
    struct link link = { .plain_cost = near, .past_cost = past };

    check_share(&link, 1000, 0, 0, 0, "near cores");
    link = (struct link){ .plain_cost = far, .past_cost = past };
    check_share(&link, 10, 0.5, 1, 1, "far cores, at first");
    check_share(&link, 1000, 0.98, 1, 100, "far cores");
    link = (struct link){ .plain_cost = far, .past_cost = far };
    check_share(&link, 1000, 0, 0.1, 20, "the same, at first");
    check_share(&link, 5000, 0, 0.01, 40, "the same");
}

/* The scheduler moves ranks: the better way is found again soon. */
static void moved(void)
{
    struct link link = { .plain_cost = near, .past_cost = past };

    move_for(&link, 100);
    for (int i = 0; i < 20; i++) {
        link.plain_cost = far;
        move_for(&link, 10);
        check_share(&link, 100, 0.98, 1, 10, "moved apart");
        link.plain_cost = near;
        move_for(&link, 25);
        check_share(&link, 100, 0, 0, 0, "moved together");
    }
    link.plain_cost = link.past_cost = far;
    move_for(&link, 2000);
    link.past_cost = past;
    move_for(&link, 400);          /* longer than failed tries are apart */
    check_share(&link, 100, 0.98, 1, 10, "memory has become fast");
}

/* A core is taken away for a millisecond now and then, whoever is timed. */
static void disturbed(void)
{
    struct link link = { .plain_cost = near, .past_cost = past };
    double share = 0;

    for (int i = 0; i < 2000; i++) {
        share += move_for(&link, 0.01 * (double)(1 + i % 10));
        link.plain_cost = 15;
        move(&link);
        link.plain_cost = near;
    }
    check(share == 0, "near cores, taken away: %.4f of the bytes went past", share / 2000);
    link.plain_cost = far;
    move_for(&link, 10);
    share = 0;
    for (int i = 0; i < 200; i++) {
        share += move_for(&link, 1);
        link.past_cost = 15;
        move(&link);
        link.past_cost = past;
    }
    check(share > 0.95 * 200, "far cores, taken away: %.4f of the bytes went past", share / 200);
}

/* A core that is taken away during one of the tries must not decide them. */
static void disturbed_tries(void)
{
    struct link plain = { .plain_cost = far, .past_cost = past };

    move_for(&plain, 20);
    plain.plain_cost = near;
    for (int i = 0; plain.pace.goes_past && i < 100000; i++)
        move(&plain);
    plain.plain_cost = 15;
    move(&plain);
    plain.plain_cost = near;
    for (int i = 0; plain.pace.tries > 0 && i < 1000; i++)
        move(&plain);
    check(!plain.pace.goes_past, "a plain try disturbed: near cores are taken for far ones");
    for (int disturbed = 0; disturbed < 8; disturbed++) {
        struct link link = { .plain_cost = far, .past_cost = past };

        for (int i = 0; !link.pace.goes_past && i < 1000; i++)
            move(&link);
        for (int i = 0; link.pace.tries > 0; i++) {
            link.past_cost = i == disturbed ? 15 : past;
            move(&link);
        }
        check(link.pace.goes_past, "try %d disturbed: stores past the caches were given up",
              disturbed);
    }
}

/* Single copies of 1 KiB are fast on far cores, too, and stores past the caches take longer for so
 * few bytes: neither must keep the others from that way. */
static void fast_by_chance(void)
{
    double share = 0;

    for (int i = 0; i < 50; i++) {
        struct link link = { .past_cost = 0.15 };

        for (int k = 0; k < 40000; k++) {
            link.plain_cost = k % 7 ? 0.5 : 0.2;
            move_bytes(&link, 1 << 10, 60);
        }
        share += link.past / (link.past + link.plain);
    }
    check(share > 0.95 * 50, "far cores, some copies fast: %.2f of the bytes past the caches",
          share / 50);
}

/* Whoever stores messages into a row asks whether the cores are near. */
static void nearness(void)
{
    struct link link = { .plain_cost = near, .past_cost = past };

    check(pace_near(&link.pace), "cores are taken for far ones before anything was timed");
    move_for(&link, 10);
    check(pace_near(&link.pace), "near cores are taken for far ones");
    link.plain_cost = far;
    for (int i = 0; i <= PACE_ONE_IN; i++)
        move(&link);
    check(!pace_near(&link.pace), "far cores are taken for near ones");
    move_for(&link, 100);
    check(!pace_near(&link.pace), "cores are taken for near ones while stores go past the caches");
    link.plain_cost = 0.06;            /* near, and messages close to one another */
    move_for(&link, 100);
    check(pace_near(&link.pace), "cores that have come near are taken for far ones");
}

/* Short messages and long ones to one peer, in bursts: the time that each copy takes, however short, must
 * not be held against the link, nor the long ones go the way that only short ones would. */
static void lengths(double plain_cost, double least, double most, const char *where)
{
    struct link link = { .plain_cost = plain_cost, .past_cost = past };

    for (int i = 0; i < 20000; i++)
        move_bytes(&link, i / 50 % 2 ? 64 << 10 : 512, 60 * noise());
    check(link.past / (link.past + link.plain) >= least &&
          link.past / (link.past + link.plain) <= most,
          "short and long messages, %s: %.2f of the bytes past the caches", where,
          link.past / (link.past + link.plain));
}

/* One slow line, or one fast one, does not change how far the other core is; most of them do. */
static void distances(void)
{
    static const uint64_t near_ns[] = { 5, 15, 0, 250, 10, 30, 10, 85 },
                          far_ns[] = { 145, 135, 10, 195, 300, 145, 155, 95 };
    struct distance distance = { 0 };
    int due = 0;

    for (int i = 0; i < 10 * DISTANCE_ONE_IN; i++)
        due += distance_due(&distance);
    check(due == 10, "%d of %d lines are timed", due, 10 * DISTANCE_ONE_IN);
    check(!distance_is_far(&distance), "far from the beginning");
    for (int turn = 0; turn < 6; turn++) {
        int changes = 0;
        bool is_far = turn % 2, was = distance_is_far(&distance);

        for (int i = 0; i < 80; i++) {
            distance_took(&distance, 25 + (is_far ? far_ns[i % 8] : near_ns[i % 8]), 25);
            changes += distance_is_far(&distance) != was;
            was = distance_is_far(&distance);
        }
        check(was == is_far, "after 80 lines of a core that is %s", is_far ? "far" : "near");
        check(changes == (turn > 0), "%d changes among them", changes);
    }
}

/* Long copies by vectors, by string instructions and past the caches, which take so many ns per byte. */
static void trials(double by_vectors, double by_strings, double by_past, enum pace_strings found)
{
    const double costs[PACE_WAYS] = { by_vectors, by_strings, by_past };
    struct pace pace = { 0 };

    for (int i = 0; i < 20; i++) {
        int lasts = found == STRINGS_FASTER || i > 6 ? 16384 : 256 << i;
        int n = 0, asked = 0;

        for (; pace_asks(&pace, PACE_LONG) && n < 100; n++)
            pace_tried(&pace, costs[pace_trial(&pace)] * (0.75 + noise() / 4) *
                              (n % 12 == 5 || n % 12 == 8 ? 20 : 1));      /* cores are taken away */
        check(n == PACE_WAYS * PACE_TRIES, "%d copies until it is found", n);
        check(pace.strings == found && !pace_by_strings(&pace, PACE_LONG - 1) &&
              pace_by_strings(&pace, PACE_LONG) == (found == STRINGS_FASTER), "%.3f ns a byte by vectors, %.3f by "
              "string instructions, %.3f past the caches: %d", by_vectors, by_strings, by_past, (int)pace.strings);
        for (; !pace_asks(&pace, PACE_LONG) && asked < 100000; asked++) {
            pace_passed(&pace, PACE_LONG - 1);
            pace_passed(&pace, PACE_LONG);
        }
        check(asked == lasts, "%d long copies until it is asked again", asked);
    }
    pace = (struct pace){ .strings = STRINGS_EVEN, .trials = -1, .goes_past = true };
    pace_passed(&pace, PACE_LONG);
    check(!pace_asks(&pace, PACE_LONG), "asked while plain stores are slow");
}

/* Some trials in which both seem to take as long do not change what was found; clear ones do. */
static void trials_again(double vectors, double strings, enum pace_strings found)
{
    struct pace pace = { .strings_before = STRINGS_FASTER };

    for (int i = 0; i < PACE_WAYS * PACE_TRIES; i++)
        pace_tried(&pace, pace_trial(&pace) == BY_VECTORS ? vectors : strings);
    check(pace.strings == found, "vectors %.3f, strings %.3f after these were faster: %d", vectors, strings,
          (int)pace.strings);
}

/* Short copies that are timed beside trials keep to themselves. */
static void trials_beside(void)
{
    struct pace pace = { 0 };

    for (int i = 0; i < PACE_WAYS * PACE_TRIES; i++) {
        pace_tried(&pace, pace_trial(&pace) == BY_STRINGS ? 0.01 : 0.02);
        pace_took(&pace, far, (uint64_t)i);
    }
    check(pace.strings == STRINGS_FASTER, "what short copies take was taken for that of long ones");
    check(pace.plain == far && pace.past == far, "short copies: %.3f and %.3f ns a byte", pace.plain, pace.past);
}

/* Real ones: all bytes are there, either way, and what is found is kept to. */
static void tried_copies(void)
{
    enum { BYTES = PACE_LONG + 100 };
    static char from[BYTES], to[BYTES + 1];
    struct pace pace = { 0 };
    enum pace_strings found = STRINGS_UNKNOWN;

    for (int i = 0; i < 4 * PACE_TRIES; i++) {
        for (int k = 0; k < BYTES; k++)
            from[k] = (char)(k * 7 + i + k / 256);
        memset(to, 0x33, sizeof to);
        pace_copy(&pace, to, from, PACE_LONG - 1);
        check(i >= PACE_WAYS * PACE_TRIES || pace.trials == i, "a short copy is a trial");
        pace_copy(&pace, to, from, BYTES);
        check(memcmp(to, from, BYTES) == 0 && to[BYTES] == 0x33, "trial %d: wrong bytes", i);
        check((pace.strings == STRINGS_UNKNOWN) == (i < PACE_WAYS * PACE_TRIES - 1), "after %d trials: %d", i + 1,
              (int)pace.strings);
        check(i < PACE_WAYS * PACE_TRIES || pace.strings == found, "it is found once");
        found = pace.strings;
    }
}

/* Real copies, of which pieces of 512 bytes and more take part, or only up to 8 KiB where string
 * instructions are the faster way; whatever is chosen, all bytes are there, and none after them. */
static void copies(enum pace_strings strings)
{
    static const struct { size_t bytes; unsigned slower, faster; } rows[] = {
        { 0, 0, 0 }, { 511, 0, 0 }, { 512, 1, 1 }, { 1000, 1, 1 }, { PACE_LONG - 1, 1, 1 },
        { PACE_LONG, 1, 0 }, { 64 << 10, 1, 0 }, { (64 << 10) + 511, 1, 0 },
        { (64 << 10) + 512, 2, 1 }, { (128 << 10) + 700, 3, 1 }
    };
    enum { ROOM = 136 << 10 };
    static unsigned char from[ROOM], to[ROOM + 3];

    for (int i = 0; i < ROOM; i++)
        from[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (int way = 0; way < 4; way++) {
            bool past_caches = way & 1;
            unsigned before = way & 2 ? PACE_ONE_IN - 1 : 0;   /* then the first is timed */
            size_t at = r % 3, bytes = rows[r].bytes;
            unsigned pieces = strings == STRINGS_FASTER ? rows[r].faster : rows[r].slower;
            struct pace pace = { .goes_past = past_caches, .pieces = before, .strings = strings };

            memset(to, 0xee, sizeof to);
            pace_copy(&pace, to + at, from, bytes);
            check(before || pace.pieces == pieces,
                  "%zu bytes in %u pieces that may be timed", bytes, pace.pieces);
            check(memcmp(to + at, from, bytes) == 0 && to[at + bytes] == 0xee,
                  "%zu bytes %s the caches: wrong bytes", bytes, past_caches ? "past" : "into");
        }
}

int main(int argc, char **argv)
{
    state = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    printf("seed %llu\n", (unsigned long long)state);
    steady();
    moved();
    disturbed();
    disturbed_tries();
    fast_by_chance();
    nearness();
    for (int i = 0; i < 20; i++) {
        lengths(near, 0, 0.01, "near");
        lengths(far, 0.95, 1, "far");
    }
    distances();
    trials(0.02, 0.01, 0.03, STRINGS_FASTER);
    trials(0.14, 0.02, 0.02, STRINGS_FASTER);
    trials(0.14, 0.08, 0.02, STRINGS_EVEN);
    trials(0.02, 0.02, 0.03, STRINGS_EVEN);
    trials(0.02, 0.035, 0.01, STRINGS_SLOWER);
    trials_again(0.02, 0.02, STRINGS_FASTER);
    trials_again(0.02, 0.03, STRINGS_SLOWER);
    trials_beside();
    copies(STRINGS_SLOWER);
    copies(STRINGS_FASTER);
    tried_copies();
    printf("pace: %s, %d checks, %d failed\n", failures ? "FAIL" : "ok", checks, failures);
    return failures ? 1 : 0;
}
