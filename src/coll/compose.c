/* SPDX-License-Identifier: BSD-3-Clause */
/* A schedule for a whole call: the algorithm once per slice, with what the
 * operation asks for before and after it, and the closing tokens. */
#include "coll/cache.h"

#include <stdlib.h>

/* The same span of the caller's input where SRC holds the scaled copy. */
static struct span raw(const struct call *user, struct span src)
{
    if (user->aliased)
        return (struct span){ DST, src.offset, src.bytes };
    return (struct span){ RAW, src.offset, src.bytes };
}

/* SRC := input, scaled; `c` is the call that reads the copy. */
static void scale_input(struct schedule *s, const struct call *user, const struct call *c)
{
    if (c->collective == REDUCE_SCATTER) {
        for (int i = 0; i < c->nranks; i++)
            schedule_scale_before(s, block(c, SRC, i), raw(user, block(c, SRC, i)));
    } else {
        schedule_scale_before(s, whole(c, SRC), raw(user, whole(c, SRC)));
    }
}

static void scale_result(struct schedule *s, const struct call *c)
{
    struct span result = c->collective == REDUCE_SCATTER ? block(c, DST, c->rank)
                                                         : whole(c, DST);

    if (c->collective != REDUCE || c->rank == c->root)
        schedule_scale_after(s, result, result);
}

static size_t input_bytes(const struct call *c)
{
    size_t elements = c->count;

    if (c->counts) {
        elements = 0;
        for (int i = 0; i < c->nranks; i++)
            elements += c->counts[i];
    } else if (c->collective == REDUCE_SCATTER) {
        elements *= (size_t)c->nranks;
    }
    return elements * c->size;
}

/* Does the data flow by itself make every rank wait for all the others?  Where
 * it does not, a rank could end with success although another made a different
 * call; tokens then close the call. */
static bool data_meets_all(const struct call *c)
{
    if (c->collective == BCAST || c->collective == REDUCE)
        return false;
    if (c->counts) {
        for (int i = 0; i < c->nranks; i++)
            if (c->counts[i] == 0)
                return false;
        return true;
    }
    return c->collective == BARRIER || c->count > 0;
}

static void add_tokens(struct schedule *s, const struct call *c)
{
    struct call tokens = *c;

    tokens.collective = BARRIER;
    for (const struct algorithm *const *a = algorithms; *a; a++)
        if ((*a)->collective == BARRIER) {
            (*a)->build(s, &tokens);
            return;
        }
}

static void build_messages(struct schedule *s, const struct coll_call *user, size_t size)
{
    struct span out = { SRC, 0, user->count * size }, in = { DST, 0, user->recvcount * size };

    if (user->dest >= 0)
        schedule_send_always(s, user->dest, out);
    if (user->source >= 0)
        schedule_recv_always(s, user->source, in);
}

static void build_slices(struct schedule *s, const struct call *call, bool before, bool after,
                         const struct coll_choice *choice, const struct layout *layout)
{
    struct call c = call_among(call, layout, choice->by_place);

    schedule_peers(s, c.order);
    if (before)
        c.aliased = false;         /* the input is elsewhere now */
    c.nslices = choice->nslices;
    for (c.slice = 0; c.slice < c.nslices; c.slice++) {
        schedule_slice(s, c.slice, SLICES_IN_FLIGHT);
        if (before)
            scale_input(s, call, &c);
        choice->algorithm->build(s, &c);
        if (after)
            scale_result(s, &c);
    }
}

int plan_build(const struct call *call, const struct coll_call *user, bool strict,
               const struct layout *layout, struct entry *entry)
{
    bool before = entry->key.before;
    struct schedule s;
    int status;

    schedule_init(&s, call->nranks);
    if (call->collective == SENDRECV) {
        build_messages(&s, user, call->size);
    } else {
        if (strict && !data_meets_all(call))
            add_tokens(&s, call);
        build_slices(&s, call, before, entry->key.after, &entry->choice, layout);
    }
    schedule_finish(&s);
    status = plan_create(&s, &entry->plan);
    schedule_free(&s);
    entry->input_bytes = before ? input_bytes(call) : 0;
    return status;
}
