/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/arithmetic.h"
#include "devices/pace.h"

#include "base/status.h"

#include <string.h>

/* The elements in `bytes`: sizes are powers of two, and a division would be the
 * dearest instruction of a small landing. */
static size_t elements(const struct arithmetic *how, size_t bytes)
{
    return bytes >> __builtin_ctzl(how->size);
}

/* The one place where bytes from a peer enter the user's memory: what does not
 * fit is refused here, whatever the transport believed. */
static bool landing_fits(const struct landing *landing, size_t offset, size_t length)
{
    const struct arithmetic *how = landing->how;

    return offset <= landing->bytes && length <= landing->bytes - offset
           && (!how || ((offset | length) & (how->size - 1)) == 0);
}

__attribute__((cold, noinline))
static int landing_refuse(const struct landing *landing, size_t offset, size_t length)
{
    if (offset > landing->bytes || length > landing->bytes - offset)
        return status_fail(PEAL_ERR_PROTOCOL, "a peer sent bytes %zu to %zu of a message of "
                           "%zu bytes", offset, offset + length, landing->bytes);
    return status_fail(PEAL_ERR_PROTOCOL, "a peer cut a message within an element of "
                       "%zu bytes: bytes %zu to %zu", landing->how->size, offset,
                       offset + length);
}

static int landing_combine(const struct landing *landing, char *dst, size_t offset,
                           const void *piece, size_t length)
{
    const struct arithmetic *how = landing->how;
    const char *operand = landing->operand + offset;

    if (landing->incoming_first)
        return how->pair(how, dst, piece, operand, elements(how, length));
    return how->pair(how, dst, operand, piece, elements(how, length));
}

/* By string instructions, which take lines for themselves without reading them: with vectors, sums
 * larger than the second cache took 1.1 of the time.  Not beside stores past the caches: string
 * instructions wait until those are done. */
static void store_made(char *to, const char *from, size_t bytes)
{
#if defined(__x86_64__)
    size_t words = bytes / 8;

    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
    bytes %= 8;
#endif
    memcpy(to, from, bytes);
}

/* By vectors: those instructions take as long to begin as half a block takes. */
static void store_copied(char *to, const char *from, size_t bytes)
{
    __asm__("" : "+r"(bytes));         /* a compiler that knew how few they are would use them */
    memcpy(to, from, bytes);
}

static void store(const struct also *at, size_t offset, const char *from, size_t bytes, bool made)
{
    char *to = at->place + offset;

    if (at->past)
        stream_store(to, from, bytes);
    else if (made && to != from)
        store_made(to, from, bytes);
    else if (to != from)
        store_copied(to, from, bytes);
}

/* Where a result is stored past the caches, the operand is not in them either, as a rule, nor is what
 * is lent; and the core reads the next block only when it is through with the stores of this one. */
static void fetch(const char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch(from + i, 0, 2);
}

enum { STREAMED = 4 << 10 };           /* fewer bytes are not worth a fence */

/* Where a landing goes. */
struct places {
    struct also at[3];   /* where the result stays before all others */
    int n;
    bool both;           /* two: the first past the caches and the other plainly, line by line */
    bool plainly;        /* none goes past the caches */
    bool strings;        /* ... and long blocks go to all by string instructions */
    char *warm;          /* one of them where a sum may be made; or NULL */
};

/* In the caches of a near core, or in none, a result past the caches and the rest line by line is the
 * faster way: 0.82 to 0.88 of the time.  What a far core has in its caches takes 1.1 to 1.5 of it so.  If that
 * is the only place, vectors would wait for each line there; a near core's is as well combined in place. */
static bool goes_by_strings(const struct landing *landing, const struct also *onward, int n, size_t length)
{
    return onward->place && onward->strings && length >= PACE_LONG &&
           (onward->far || (n > 1 && !landing->streams));
}

/* Of two places only one goes past the caches, also where the peer's was to: the core has too few
 * buffers for both, and where cores are far, too, it took less time (docs/performance.md). */
static struct places places_of(const struct landing *landing, size_t offset, size_t length)
{
    static const struct also nowhere;
    const struct also *onward = landing->also ? landing->also : &nowhere;
    char *keep = landing->also ? landing->keep : NULL;
    struct places p = { .plainly = true };

    if (keep)
        p.at[p.n++] = (struct also){ .place = keep + offset, .past = landing->streams };
    if (!landing->passes || !onward->place)
        p.at[p.n++] = (struct also){ .place = landing->dst + offset,
                                    .past = landing->streams && !keep };
    if (onward->place)
        p.at[p.n++] = *onward;
    p.strings = goes_by_strings(landing, onward, p.n, length);
    for (int i = 0; i < p.n; i++) {
        /* The peer's memory only if it is the only one: the peer may write to it meanwhile. */
        if (!p.warm && !p.at[i].past && (p.n == 1 || p.at[i].place != onward->place))
            p.warm = p.at[i].place;
        p.at[i].past &= !p.strings;
        p.plainly &= !p.at[i].past;
    }
    if ((p.n == 2 && landing->streams) || (p.n == 1 && p.strings))
        p.warm = NULL;
    p.both = p.n == 2 && landing->streams && !p.strings;
    return p;
}

static void store_all(const struct places *to, size_t at, const char *from, size_t bytes, bool made)
{
    if (to->both) {
        stream_both(to->at[0].place + at, to->at[1].place + at, from, bytes);
        return;
    }
    for (int i = 0; i < to->n; i++) {
        if (!to->strings)
            store(&to->at[i], at, from, bytes, made && to->plainly);
        else if (to->at[i].place + at != from)
            string_copy(to->at[i].place + at, from, bytes);
    }
}

/* The first block ends where a line of what goes past the caches does: every line that is stored in
 * two parts is fetched. */
static size_t first_block(const struct landing *landing, const struct places *to, size_t most)
{
    size_t over = (uintptr_t)to->at[0].place % 64;

    return !to->at[0].past || (landing->how && over % landing->how->size) ? most : most - over;
}

/* In how many bytes at a time.  So few that reading goes on while the block before is still being
 * stored: as fast as a loop that stores every line so often, and so every type and operation has it.
 * (With blocks of 4 KiB an all-reduce was up to a twentieth longer, a reduction past the caches a sixth.)
 * But string instructions are worth their beginning from some KiB on. */
enum { COMBINED = 1 << 10, COPIED = 2 << 10, STRINGS = 16 << 10, STRINGS_BLOCK = 8 << 10 };

static size_t most_at_once(const struct landing *landing, const struct places *to)
{
    if (to->strings)
        return !landing->how || to->warm ? STRINGS : STRINGS_BLOCK;
    return landing->how ? COMBINED : COPIED;
}

static int spread(const struct landing *landing, const struct places *to, char *block, size_t offset,
                  const char *piece, size_t length)
{
    size_t most = most_at_once(landing, to), part = first_block(landing, to, most);
    size_t ahead = to->strings ? most : 2 * most;
    int status = PEAL_OK;

    for (size_t at = 0; at < length && status == PEAL_OK; at += part, part = most) {
        const char *result = piece + at;

        part = length - at < part ? length - at : part;
        if (landing->how) {
            char *made = to->warm ? to->warm + at : block;

            if (landing->streams && at + ahead + most <= length) {
                fetch(landing->operand + offset + at + ahead, most);
                if (landing->lent)
                    fetch(piece + at + ahead, most);
            }
            status = landing_combine(landing, made, offset + at, piece + at, part);
            result = made;
        }
        if (status == PEAL_OK)
            store_all(to, at, result, part, landing->how);
    }
    stream_fence();
    return status;
}

__attribute__((noinline))
static int spread_by_strings(const struct landing *landing, const struct places *to, size_t offset,
                             const char *piece, size_t length)
{
    _Alignas(64) char block[STRINGS_BLOCK];

    return spread(landing, to, block, offset, piece, length);
}

/* To several places, or past the caches, block by block.  Not in the frame of landing_put(), which small
 * landings pay for. */
__attribute__((noinline))
static int landing_spread(const struct landing *landing, size_t offset, const char *piece,
                          size_t length)
{
    const struct places to = places_of(landing, offset, length);
    _Alignas(64) char block[COMBINED];

    if (to.strings)
        return spread_by_strings(landing, &to, offset, piece, length);
    return spread(landing, &to, block, offset, piece, length);
}

int landing_put(const struct landing *landing, size_t offset, const void *piece,
                size_t length)
{
    if (!landing_fits(landing, offset, length))
        return landing_refuse(landing, offset, length);
    if ((landing->also && (landing->also->place || landing->keep)) ||
        (landing->streams && length >= STREAMED))
        return landing_spread(landing, offset, piece, length);
    if (landing->how)
        return landing_combine(landing, landing->dst + offset, offset, piece, length);
    if (length > 0)
        memcpy(landing->dst + offset, piece, length);
    return PEAL_OK;
}
