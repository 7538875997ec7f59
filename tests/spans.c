/* SPDX-License-Identifier: BSD-3-Clause */
/* Spans of slices and blocks.
 *
 *   spans [seed] */
#include "algorithms/algorithm.h"
#include "checks.h"

#include <stdlib.h>

static uint64_t state;

static unsigned draw(unsigned below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((state >> 33) % below);
}

/* Is block i of a slice where it should be, and as large as the others? */
static void check_block(const struct call *c, const struct span *all, int i, size_t at)
{
    struct span b = block(c, SRC, i);
    size_t fair = all->bytes / (size_t)c->nranks;

    check(b.offset == at && b.bytes % c->size == 0 && b.bytes <= fair + 64 * c->size &&
          fair <= b.bytes + 64 * c->size && (fair < 8192 || b.offset % 64 == 0) && b.space == all->space,
          "count %zu x %zu, %d ranks, slice %d of %d, block %d", c->count, c->size, c->nranks, c->slice,
          c->nslices, i);
}

/* Slices and blocks cover everything once, also where products could overflow. */
int main(int argc, char **argv)
{
    static const size_t counts[] = { 0, 1, 63, 1000, 1 << 20, (size_t)1 << 60 };
    static const size_t sizes[] = { 1, 2, 3, 8, 12 };

    state = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    printf("seed %llu\n", (unsigned long long)state);
    for (int k = 0; k < 6 * 5 * 40 && !failures; k++) {
        struct call c = { .collective = ALLREDUCE, .nranks = 1 + (int)draw(1000),
                          .count = counts[k % 6], .size = sizes[k / 6 % 5],
                          .nslices = 1 + (int)draw(50) };
        size_t at = 0;

        for (c.slice = 0; c.slice < c.nslices; c.slice++) {
            struct span all = whole(&c, SRC);

            for (int i = 0; i < c.nranks; i++) {
                check_block(&c, &all, i, at);
                at += block(&c, SRC, i).bytes;
            }
        }
        check(at == c.count * c.size, "count %zu ends at %zu", c.count, at);
    }
    printf("spans: %s, %d checks, %d failed\n", failures ? "FAIL" : "ok", checks, failures);
    return failures ? 1 : 0;
}
