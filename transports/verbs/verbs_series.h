/* SPDX-License-Identifier: BSD-3-Clause */
/* Short messages of one stream that follow each other and are alike: those after the first
 * need no header.  Both ends keep the same account of the short messages of a stream, in the
 * order of their frames, and so agree on what a frame without a header stands for: the
 * next number, and all else as in the message before; the signature's count either
 * the same, or further by as much as when it last changed (calls are numbered there).
 *
 * Pure.  Thread-safe. */
#ifndef VERBS_SERIES_H
#define VERBS_SERIES_H

#include "transports/verbs/verbs_wire.h"

struct verbs_series {
    bool             begun;
    uint32_t         number;       /* of the next one */
    struct signature signature;    /* of the latest, */
    uint64_t         total;
    uint64_t         step;         /* and what was added to its count when that changed */
};

/* How a short message may go that comes next. */
static inline enum verbs_form verbs_series_form(const struct verbs_series *s, uint32_t number,
                                                const struct signature *signature, uint64_t total)
{
    if (!s->begun || number != s->number || total != s->total ||
        signature->what != s->signature.what)
        return VERBS_HEADED;
    if (signature->count == s->signature.count)
        return VERBS_BARE;
    return signature->count == s->signature.count + s->step ? VERBS_BARE_STEP : VERBS_HEADED;
}

/* It has gone, or has come. */
static inline void verbs_series_add(struct verbs_series *s, uint32_t number,
                                    const struct signature *signature, uint64_t total)
{
    if (signature->count != s->signature.count)
        s->step = signature->count - s->signature.count;
    s->begun = true;
    s->number = number + 1;
    s->signature = *signature;
    s->total = total;
}

/* What a bare frame stands for, but for what concerns credits.  False: nothing came before. */
static inline bool verbs_series_next(const struct verbs_series *s, uint32_t stream,
                                     enum verbs_form form, struct verbs_frame *frame)
{
    *frame = (struct verbs_frame){
        .kind = VERBS_EAGER, .form = form, .stream = stream, .number = s->number,
        .signature = s->signature, .total = s->total, .length = s->total
    };
    if (form == VERBS_BARE_STEP)
        frame->signature.count += s->step;
    return s->begun;
}

#endif
