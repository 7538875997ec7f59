/* SPDX-License-Identifier: BSD-3-Clause */
/* Each space is cut into segments that cover it without gap or overlap; all
 * bytes of a segment have the same history.  A balanced tree finds the segment
 * of a byte, a list leads on to its right neighbour. */
#include "schedule/order.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY UINT32_MAX

struct segment {
    size_t          start, end;
    uint32_t        writer;              /* last operation that wrote it */
    uint32_t        nreaders, *readers;  /* those that have read it since */
    struct segment *next;
};

struct order {
    void           *tree[SPACES];        /* of tsearch(); by position */
    struct segment *first[SPACES];
    uint32_t       *stamps, nstamps;     /* last operation that needed this one */
};

/* Segments that overlap count as equal, so a search with a byte finds its segment. */
static int compare(const void *left, const void *right)
{
    const struct segment *a = left, *b = right;

    return a->end <= b->start ? -1 : a->start >= b->end;
}

static void segment_free(struct segment *segment)
{
    free(segment->readers);
    free(segment);
}

struct order *order_create(void)
{
    struct order *order = calloc(1, sizeof *order);

    for (int space = 0; order && space < SPACES; space++) {
        struct segment *all = calloc(1, sizeof *all);

        order->first[space] = all;
        if (all)
            *all = (struct segment){ .end = SIZE_MAX, .writer = NOBODY };
        if (all == NULL || tsearch(all, &order->tree[space], compare) == NULL) {
            order_free(order);
            return NULL;
        }
    }
    return order;
}

static void keep(void *segment)
{
    (void)segment;       /* the list frees it */
}

void order_free(struct order *order)
{
    if (order == NULL)
        return;
    for (int space = 0; space < SPACES; space++) {
        tdestroy(order->tree[space], keep);
        for (struct segment *at = order->first[space], *next; at; at = next) {
            next = at->next;
            segment_free(at);
        }
    }
    free(order->stamps);
    free(order);
}

bool array_push(void *array, uint32_t *used, const void *item, size_t size)
{
    char *items;

    memcpy(&items, array, sizeof items);
    if ((*used & (*used - 1)) == 0) {
        items = realloc(items, (*used ? 2 * (size_t)*used : 1) * size);
        if (items == NULL)
            return false;
        memcpy(array, &items, sizeof items);
    }
    memcpy(items + (size_t)(*used)++ * size, item, size);
    return true;
}

/* The segment that starts at `at`, cut out of a longer one if necessary. */
static struct segment *segment_at(struct order *order, enum space space, size_t at)
{
    struct segment key = { .start = at, .end = at + 1 };
    struct segment *left = *(struct segment **)tfind(&key, &order->tree[space], compare);
    struct segment *right;

    if (left->start == at)
        return left;
    right = malloc(sizeof *right);
    if (right == NULL)
        return NULL;
    *right = (struct segment){ .start = at, .end = left->end, .writer = left->writer,
                               .next = left->next };
    for (uint32_t i = 0; i < left->nreaders; i++)
        if (!array_push(&right->readers, &right->nreaders, &left->readers[i],
                        sizeof *left->readers))
            goto fail;
    left->end = at;                      /* before the insertion: they must differ */
    if (tsearch(right, &order->tree[space], compare) == NULL) {
        left->end = right->end;
        goto fail;
    }
    left->next = right;
    return right;
fail:
    segment_free(right);
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
        if ((at->nreaders == 0 || at->readers[at->nreaders - 1] != op) &&
            !array_push(&at->readers, &at->nreaders, &op, sizeof op))
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
            if (!need(s, op, at->readers[i]))
                return false;
    }
    /* From now on these bytes have one history. */
    for (struct segment *at = first->next, *next; at != end; at = next) {
        next = at->next;
        tdelete(at, &s->order->tree[span.space], compare);
        first->end = at->end;
        first->next = next;
        segment_free(at);
    }
    first->writer = op;
    first->nreaders = 0;
    return true;
}
