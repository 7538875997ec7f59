/* SPDX-License-Identifier: BSD-3-Clause */
/* Schedules as text. */
#include "schedule/joined.h"

#include <inttypes.h>

static const char *const spaces[SPACES] = { "SRC", "DST", "TMP" };

static void span_text(struct span span, char text[64])
{
    snprintf(text, 64, "%s[%zu,%zu)", spaces[span.space], span.offset,
             span.offset + span.bytes);
}

void op_text(const struct schedule *s, const struct op *op, char *text, size_t bytes)
{
    char dst[64], src[64];

    span_text(op->dst, dst);
    span_text(op->src, src);
    switch (op->kind) {
    case OP_SEND:
        snprintf(text, bytes, "send %s to %d #%" PRIu32, src, op->peer, op->sequence);
        break;
    case OP_RECV:
        snprintf(text, bytes, "recv %s from %d #%" PRIu32, dst, op->peer, op->sequence);
        break;
    case OP_COMBINE:
        snprintf(text, bytes, "combine %s := %s %s from %d #%" PRIu32, dst, src,
                 op->incoming_first ? "after incoming" : "before incoming", op->peer,
                 op->sequence);
        break;
    case OP_REDUCE:
        span_text(s->parts[op->first_part + op->nparts - 1], src);
        snprintf(text, bytes, "reduce %s := %" PRIu32 " parts, the last %s", dst,
                 op->nparts, src);
        break;
    default:
        snprintf(text, bytes, "%s %s := %s",
                 op->kind == OP_COPY ? "copy" :
                 op->kind == OP_BEFORE ? "scale before" : "scale after", dst, src);
    }
}

void schedule_print(const struct schedule *s, FILE *out)
{
    char text[256];

    for (uint32_t i = 0; i < s->nops; i++) {
        const struct op *op = &s->ops[i];

        op_text(s, op, text, sizeof text);
        fprintf(out, "%5" PRIu32 "  %s", i, text);
        for (uint32_t k = 0; k < op->nneeds; k++)
            fprintf(out, "%s %" PRIu32, k ? "" : "   after", s->needs[op->first_need + k]);
        fputc('\n', out);
    }
}
