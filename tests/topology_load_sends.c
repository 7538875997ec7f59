/* SPDX-License-Identifier: BSD-3-Clause */
/* The sends of schedules.  They depend on how many hosts there are and how many ranks each has, not on
 * what joins these, so all machines of that size share them. */
#include "topology_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_MOST = 256 };

/* Of the buffer, for each rank: so many that cuts do not show. */
static const size_t elements_each = (size_t)1 << 38;

static struct sends kept[KEPT_MOST];
static int nkept;

static void need(bool there)
{
    if (there)
        return;
    puts("out of memory");
    exit(1);
}

static void *room(void *old, size_t bytes)
{
    void *p = realloc(old, bytes ? bytes : 1);

    need(p != NULL);
    return p;
}

/* What one rank sends, by peer, into the list; `to` is all zero before and after. */
static void walk(struct sends *sends, const struct schedule *s, int rank, double bytes, double *to)
{
    int n = sends->nhosts * sends->each;

    for (uint32_t i = 0; i < s->nops; i++)
        if (s->ops[i].kind == OP_SEND)
            to[s->ops[i].peer] += (double)s->ops[i].src.bytes / bytes;
    for (int peer = 0; peer < n; peer++) {
        if (!(to[peer] > 0))
            continue;
        if (sends->count % 256 == 0)
            sends->list = room(sends->list, ((size_t)sends->count + 256) * sizeof *sends->list);
        sends->list[sends->count++] = (struct send){ rank, peer, to[peer] };
        to[peer] = 0;
    }
}

void sends_in(struct sends *sends, const struct layout *layout, int nranks)
{
    size_t n = (size_t)sends->nhosts * (size_t)sends->each;
    double *to = room(NULL, n * sizeof *to);

    memset(to, 0, n * sizeof *to);
    for (int rank = 0; rank < nranks; rank++) {
        struct call call = { .collective = ALLREDUCE, .rank = rank, .nranks = (int)n, .size = 4,
            .count = n * elements_each, .commutative = true, .nslices = 1 };
        struct call c = call_among(&call, layout, true);
        struct schedule s;

        schedule_init(&s, (int)n);
        schedule_peers(&s, c.order);
        sends->algorithm->build(&s, &c);
        schedule_finish(&s);
        need(!s.failed);
        walk(sends, &s, rank, (double)(c.count * c.size), to);
        schedule_free(&s);
    }
    free(to);
}

/* In the order of ranks. */
static void build(struct sends *sends)
{
    int n = sends->nhosts * sends->each;
    uint64_t *hosts = room(NULL, (size_t)n * sizeof *hosts);
    struct layout *layout;

    for (int i = 0; i < n; i++)
        hosts[i] = (uint64_t)(i / sends->each);
    need(!layout_create(&(struct layout_keys){ .rows = hosts, .count = 1 }, n, &layout));
    sends_in(sends, layout, n);
    layout_free(layout);
    free(hosts);
}

const struct sends *sends_of(const struct algorithm *algorithm, int nhosts, int each)
{
    struct sends *sends = kept;

    /* Those that know no groups see ranks only. */
    if (!algorithm->grouped) {
        each *= nhosts;
        nhosts = 1;
    }
    while (sends < kept + nkept && (sends->algorithm != algorithm || sends->nhosts != nhosts ||
                                    sends->each != each))
        sends++;
    if (sends == kept + KEPT_MOST)
        sends_forget();
    if (sends < kept + nkept)
        return sends;
    sends = &kept[nkept++];
    *sends = (struct sends){ .algorithm = algorithm, .nhosts = nhosts, .each = each };
    build(sends);
    return sends;
}

void sends_forget(void)
{
    while (nkept)
        free(kept[--nkept].list);
}
