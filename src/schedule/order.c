/* SPDX-License-Identifier: BSD-3-Clause */
/* Each space is cut into segments that cover it without gap or overlap; all
 * bytes of a segment have the same history.  A balanced tree finds the segment
 * of a byte, a list leads on to its right neighbour. */
#include "schedule/order.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY UINT32_MAX

enum { FEW_READERS = 4, CHUNK_SEGMENTS = 16, FIRST_ITEMS = 8 };

struct segment {
    size_t          start, end;
    uint32_t        writer;              /* last operation that wrote it */
    uint32_t        nreaders, room;      /* those that have read it since; room: in `more` */
    uint32_t        few[FEW_READERS];    /* all of them, as long as there are not more */
    uint32_t       *more;                /* else all are here; kept while it is spare */
    struct segment *next;
};

/* Schedules of a few operations are made by the million (tests) and one by one while a call
 * waits, so neither segments nor short lists of readers are allocated one by one. */
struct chunk {
    struct chunk  *next;
    struct segment segments[CHUNK_SEGMENTS];
};

struct order {
    void           *tree[SPACES];        /* of tsearch(); by position; empty until the space is used */
    struct segment *spare;
    struct chunk    chunk;               /* the first one; the others hang on it */
    uint32_t       *stamps, nstamps;     /* last operation that needed this one */
};

/* Segments that overlap count as equal, so a search with a byte finds its segment. */
static int compare(const void *left, const void *right)
{
    const struct segment *a = left, *b = right;

    return a->end <= b->start ? -1 : a->start >= b->end;
}

static void spare_all(struct order *order, struct chunk *chunk)
{
    for (int i = 0; i < CHUNK_SEGMENTS; i++) {
        chunk->segments[i].next = order->spare;
        order->spare = &chunk->segments[i];
    }
}

/* Without readers; NULL: out of memory. */
static struct segment *segment_take(struct order *order)
{
    struct segment *segment;

    if (order->spare == NULL) {
        struct chunk *chunk = calloc(1, sizeof *chunk);

        if (chunk == NULL)
            return NULL;
        chunk->next = order->chunk.next;
        order->chunk.next = chunk;
        spare_all(order, chunk);
    }
    segment = order->spare;
    order->spare = segment->next;
    segment->nreaders = 0;
    return segment;
}

static void segment_give(struct order *order, struct segment *segment)
{
    segment->next = order->spare;
    order->spare = segment;
}

static const uint32_t *readers(const struct segment *segment)
{
    return segment->nreaders > FEW_READERS ? segment->more : segment->few;
}

static bool reader_add(struct segment *segment, uint32_t op)
{
    uint32_t n = segment->nreaders;

    if (n < FEW_READERS) {
        segment->few[n] = op;
    } else {
        if (n >= segment->room) {
            uint32_t *more = realloc(segment->more, 2 * n * sizeof *more);

            if (more == NULL)
                return false;
            segment->more = more;
            segment->room = 2 * n;
        }
        if (n == FEW_READERS)
            memcpy(segment->more, segment->few, sizeof segment->few);
        segment->more[n] = op;
    }
    segment->nreaders = n + 1;
    return true;
}

struct order *order_create(void)
{
    struct order *order = calloc(1, sizeof *order);

    if (order)
        spare_all(order, &order->chunk);
    return order;
}

static void keep(void *segment)
{
    (void)segment;       /* it is in a chunk */
}

void order_free(struct order *order)
{
    if (order == NULL)
        return;
    for (int space = 0; space < SPACES; space++)
        tdestroy(order->tree[space], keep);
    for (struct chunk *chunk = &order->chunk, *next; chunk; chunk = next) {
        next = chunk->next;
        for (int i = 0; i < CHUNK_SEGMENTS; i++)
            free(chunk->segments[i].more);
        if (chunk != &order->chunk)
            free(chunk);
    }
    free(order->stamps);
    free(order);
}

bool array_push(void *array, uint32_t *used, const void *item, size_t size)
{
    char *items;

    memcpy(&items, array, sizeof items);
    if (*used == 0 || (*used >= FIRST_ITEMS && (*used & (*used - 1)) == 0)) {
        items = realloc(items, (*used ? 2 * (size_t)*used : FIRST_ITEMS) * size);
        if (items == NULL)
            return false;
        memcpy(array, &items, sizeof items);
    }
    memcpy(items + (size_t)(*used)++ * size, item, size);
    return true;
}

/* The segment that holds byte `at`; NULL: out of memory. */
static struct segment *segment_of(struct order *order, enum space space, size_t at)
{
    struct segment key = { .start = at, .end = at + 1 }, *all;
    void *found = tfind(&key, &order->tree[space], compare);

    if (found)
        return *(struct segment **)found;
    all = segment_take(order);           /* of a space that was not used before */
    if (all == NULL)
        return NULL;
    all->start = 0;
    all->end = SIZE_MAX;
    all->writer = NOBODY;
    all->next = NULL;
    if (tsearch(all, &order->tree[space], compare) == NULL) {
        segment_give(order, all);
        return NULL;
    }
    return all;
}

/* The segment that starts at `at`, cut out of a longer one if necessary. */
static struct segment *segment_at(struct order *order, enum space space, size_t at)
{
    struct segment *left = segment_of(order, space, at), *right;

    if (left == NULL || left->start == at)
        return left;
    right = segment_take(order);
    if (right == NULL)
        return NULL;
    right->start = at;
    right->end = left->end;
    right->writer = left->writer;
    right->next = left->next;
    for (uint32_t i = 0; i < left->nreaders; i++)
        if (!reader_add(right, readers(left)[i]))
            goto fail;
    left->end = at;                      /* before the insertion: they must differ */
    if (tsearch(right, &order->tree[space], compare) == NULL) {
        left->end = right->end;
        goto fail;
    }
    left->next = right;
    return right;
fail:
    segment_give(order, right);
    return NULL;
}

/* The segments [*first, *end) that are exactly `span`; *end may be NULL. */
static bool cut(struct order *order, struct span span, struct segment **first,
                struct segment **end)
{
    /* The end first: cutting there may make the segment that start is cut from. */
    *end = segment_at(order, span.space, span.offset + span.bytes);
    *first = *end ? segment_at(order, span.space, span.offset) : NULL;
    return *first != NULL;
}

static bool need(struct schedule *s, uint32_t op, uint32_t earlier)
{
    struct order *order = s->order;

    if (earlier == NOBODY || earlier == op || order->stamps[earlier] == op)
        return true;
    order->stamps[earlier] = op;
    return array_push(&s->needs, &s->nneeds, &earlier, sizeof earlier);
}

/* Make room for the stamp of `op`. */
static bool stamped(struct order *order, uint32_t op)
{
    const uint32_t nobody = NOBODY;

    while (order->nstamps <= op)
        if (!array_push(&order->stamps, &order->nstamps, &nobody, sizeof nobody))
            return false;
    return true;
}

bool order_read(struct schedule *s, uint32_t op, struct span span)
{
    struct segment *at, *end;

    if (!stamped(s->order, op) || !cut(s->order, span, &at, &end))
        return false;
    for (; at != end; at = at->next) {
        if (!need(s, op, at->writer))
            return false;
        if ((at->nreaders == 0 || readers(at)[at->nreaders - 1] != op) && !reader_add(at, op))
            return false;
    }
    return true;
}

bool order_write(struct schedule *s, uint32_t op, struct span span)
{
    struct segment *first, *end;

    if (!stamped(s->order, op) || !cut(s->order, span, &first, &end))
        return false;
    for (struct segment *at = first; at != end; at = at->next) {
        /* Readers have waited for the writer, so it is needed only if there are none. */
        if (at->nreaders == 0 && !need(s, op, at->writer))
            return false;
        for (uint32_t i = 0; i < at->nreaders; i++)
            if (!need(s, op, readers(at)[i]))
                return false;
    }
    /* From now on these bytes have one history. */
    for (struct segment *at = first->next, *next; at != end; at = next) {
        next = at->next;
        tdelete(at, &s->order->tree[span.space], compare);
        first->end = at->end;
        first->next = next;
        segment_give(s->order, at);
    }
    first->writer = op;
    first->nreaders = 0;
    return true;
}
