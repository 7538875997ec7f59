/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/arithmetic.h"

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

/* Combined in blocks that stay in the first-level cache, and stored past it from
 * there: so every type, operation and set of kernels has it.  Not in the frame of
 * landing_put(), which small landings pay for. */
__attribute__((noinline))
static int landing_stream(const struct landing *landing, size_t offset, const char *piece,
                          size_t length)
{
    _Alignas(64) char block[BLOCK_BYTES];
    int status = PEAL_OK;

    if (!landing->how) {
        memory_stream(landing->dst + offset, piece, length);
        return PEAL_OK;
    }
    while (length > 0 && status == PEAL_OK) {
        size_t part = length < BLOCK_BYTES ? length : BLOCK_BYTES;

        status = landing_combine(landing, block, offset, piece, part);
        if (status == PEAL_OK)
            stream_store(landing->dst + offset, block, part);
        offset += part;
        piece += part;
        length -= part;
    }
    stream_fence();
    return status;
}

/* By string instructions, which take lines for themselves without reading them: with vectors, sums
 * larger than the second cache took 1.1 of the time. */
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

/* Where a result is stored past the caches, the operand is not in them either, as a rule, and the core
 * reads the next block of it only when it is through with the stores of this one. */
static void fetch(const char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch(from + i, 0, 2);
}

/* To several places, in blocks of so few bytes that reading goes on while the block before is
 * still being stored: as fast as a loop that stores every line so often, and so every type and
 * operation has it.  (With blocks of 4 KiB an all-reduce was up to a twentieth longer.) */
__attribute__((noinline))
static int landing_spread(const struct landing *landing, size_t offset, const char *piece,
                          size_t length)
{
    enum { COMBINED = 1024, COPIED = 2048 };
    const size_t most = landing->how ? COMBINED : COPIED;
    _Alignas(64) char block[COMBINED];
    struct also places[3];
    char *warm = NULL;             /* one of them that is not past the caches; the peer's, which it
                                      may write to, only if it is the only one */
    /* Two places past the caches take all the buffers that lines are fetched with (1.2 of the time). */
    bool ahead = landing->streams && !(landing->also->place && landing->also->past);
    int n = 0, status = PEAL_OK;

    if (!landing->passes || !landing->also->place)
        places[n++] = (struct also){ landing->dst + offset, landing->streams && !landing->keep };
    if (landing->keep)
        places[n++] = (struct also){ landing->keep + offset, landing->streams };
    if (landing->also->place)
        places[n++] = *landing->also;
    for (int i = 0; i < n && !warm; i++)
        warm = places[i].past || (n > 1 && places[i].place == landing->also->place)
                   ? NULL : places[i].place;
    for (size_t at = 0; at < length && status == PEAL_OK; at += most) {
        size_t part = length - at < most ? length - at : most;
        const char *result = piece + at;

        if (landing->how) {
            char *made = warm ? warm + at : block;

            if (ahead && at + 3 * COMBINED <= length)
                fetch(landing->operand + offset + at + 2 * COMBINED, COMBINED);
            status = landing_combine(landing, made, offset + at, piece + at, part);
            result = made;
        }
        for (int i = 0; i < n && status == PEAL_OK; i++)
            store(&places[i], at, result, part, landing->how);
    }
    stream_fence();
    return status;
}

int landing_put(const struct landing *landing, size_t offset, const void *piece,
                size_t length)
{
    if (!landing_fits(landing, offset, length))
        return landing_refuse(landing, offset, length);
    if (landing->also && (landing->also->place || landing->keep))
        return landing_spread(landing, offset, piece, length);
    if (landing->streams && length >= BLOCK_BYTES)
        return landing_stream(landing, offset, piece, length);
    if (landing->how)
        return landing_combine(landing, landing->dst + offset, offset, piece, length);
    if (length > 0)
        memcpy(landing->dst + offset, piece, length);
    return PEAL_OK;
}
