/* SPDX-License-Identifier: BSD-3-Clause */
/* A picture of all ranks' schedules in steps: in each, everybody does all that
 * it could do when the step began; a message takes both its ends.
 *
 *   a>1   send block a to rank 1       a=   copy block a
 *   a<0   receive it from rank 0       a+   reduce block a
 *   +a<0  receive and combine it       a*   scale block a                      */
#include "schedule/joined.h"

#include <stdlib.h>
#include <string.h>

struct picture {
    struct joined joined;
    size_t        unit;
    uint32_t     *steps;       /* when each operation happens; 0: not yet */
    struct span  *blocks;      /* the bytes of SRC or DST that it is about */
    uint32_t      nsteps;
};

/* What the bytes of a span are about.  Scratch: what was last written there. */
static struct span meaning(const struct picture *p, uint32_t i, struct span span)
{
    const struct joined_op *at = &p->joined.ops[i];

    if (span.space != TMP)
        return span;
    for (uint32_t k = i; k-- > i - at->index;) {
        const struct op *op = p->joined.ops[k].op;

        if (op->kind == OP_SEND || op->dst.space != TMP || span.offset < op->dst.offset ||
            span.offset >= op->dst.offset + op->dst.bytes)
            continue;
        span.space = p->blocks[k].space;
        span.offset = p->blocks[k].offset + (span.offset - op->dst.offset);
        break;
    }
    return span;
}

static void happen(struct picture *p, uint32_t i, uint32_t step)
{
    const struct joined_op *at = &p->joined.ops[i];
    const struct op *op = at->op;

    p->steps[i] = step;
    if (op->kind == OP_SEND)
        p->blocks[i] = meaning(p, i, op->src);
    else if (op->kind == OP_RECV && op->dst.space == TMP)
        p->blocks[i] = p->blocks[at->match];
    else
        p->blocks[i] = meaning(p, i, op->kind == OP_RECV || op->dst.space != TMP ?
                                     op->dst : op->src);
}

/* Find what can happen in the next step, then do it.  Returns how much did. */
static uint32_t next_step(struct picture *p, uint32_t *list)
{
    struct joined_op *ops = p->joined.ops;
    uint32_t count = 0;

    for (uint32_t i = 0; i < p->joined.nops; i++) {
        uint32_t match = ops[i].match;

        if (p->steps[i] == 0 && ops[i].needs == 0 && !op_receives(ops[i].op) &&
            (match == JOINED_NONE || ops[match].needs == 0)) {
            list[count++] = i;
            if (match != JOINED_NONE)
                list[count++] = match;
        }
    }
    p->nsteps += count > 0;
    for (uint32_t k = 0; k < count; k++)
        happen(p, list[k], p->nsteps);
    for (uint32_t k = 0; k < count; k++)
        for (uint32_t w = 0; w < ops[list[k]].nwaiters; w++)
            ops[p->joined.waiters[ops[list[k]].first_waiter + w]].needs--;
    return count;
}

static void name_block(FILE *out, size_t unit, struct span block)
{
    size_t first, last;

    if (unit == 0)
        return;
    first = block.offset / unit;
    last = (block.offset + block.bytes - 1) / unit;
    if (last >= 26)
        fprintf(out, "%zu-%zu", first, last);
    else if (last - first >= 4)
        fprintf(out, "%c-%c", (int)('a' + first), (int)('a' + last));
    else
        for (size_t k = first; k <= last; k++)
            fputc((int)('a' + k), out);
}

static void write_op(FILE *out, const struct picture *p, uint32_t i)
{
    static const char marks[OP_KINDS] = { '>', '<', '<', '=', '+', '*', '*' };
    const struct op *op = p->joined.ops[i].op;

    if (op->kind == OP_COMBINE)
        fputc('+', out);
    name_block(out, p->unit, p->blocks[i]);
    fputc(marks[op->kind], out);
    if (p->joined.ops[i].match != JOINED_NONE)
        fprintf(out, "%d", op->peer);
}

/* What the rank whose operations are [first, end) does in a step; malloc'ed. */
static char *cell(const struct picture *p, uint32_t first, uint32_t end, uint32_t step)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    for (uint32_t i = first; out && i < end; i++)
        if (p->steps[i] == step) {
            if (ftell(out) > 0)
                fputc(' ', out);
            write_op(out, p, i);
        }
    if (out)
        fclose(out);
    return text;
}

static int widest(const struct picture *p, uint32_t first, uint32_t end)
{
    int width = (int)strlen("rank 0");

    for (uint32_t step = 1; step <= p->nsteps; step++) {
        char *text = cell(p, first, end, step);

        if (text && (int)strlen(text) > width)
            width = (int)strlen(text);
        free(text);
    }
    return width;
}

/* Step 0 is the heading. */
static void write_line(FILE *out, const struct picture *p, const int *widths, uint32_t step)
{
    uint32_t first = 0;
    int blanks = 2;

    if (step == 0)
        fprintf(out, "step");
    else
        fprintf(out, "%4u", step);
    for (int rank = 0; rank < p->joined.nranks; rank++) {
        uint32_t end = first + p->joined.ranks[rank].nops;
        char *text = cell(p, first, end, step);
        int written = 0;

        if (step == 0)
            written = fprintf(out, "%*srank %d", blanks, "", rank) - blanks;
        else if (text && text[0])
            written = fprintf(out, "%*s%s", blanks, "", text) - blanks;
        blanks = written ? widths[rank] + 2 - written : blanks + widths[rank] + 2;
        free(text);
        first = end;
    }
    fputc('\n', out);
}

static void write_picture(FILE *out, const struct picture *p, int *widths)
{
    uint32_t first = 0;

    for (int rank = 0; rank < p->joined.nranks; rank++) {
        uint32_t end = first + p->joined.ranks[rank].nops;

        widths[rank] = widest(p, first, end);
        first = end;
    }
    for (uint32_t step = 0; step <= p->nsteps; step++)
        write_line(out, p, widths, step);
}

void schedule_draw(const struct schedule ranks[], int nranks, size_t unit, FILE *out)
{
    struct picture p = { .unit = unit };
    uint32_t *list = NULL, done = 0, more;
    int *widths = calloc((size_t)nranks, sizeof *widths);
    char why[256] = "out of memory";

    if (!joined_create(&p.joined, ranks, nranks, why, sizeof why))
        goto done;
    p.steps = calloc((size_t)p.joined.nops + 1, sizeof *p.steps);
    p.blocks = calloc((size_t)p.joined.nops + 1, sizeof *p.blocks);
    list = calloc((size_t)p.joined.nops + 1, sizeof *list);
    if (!p.steps || !p.blocks || !list || !widths) {
        snprintf(why, sizeof why, "out of memory");
        goto done;
    }
    while ((more = next_step(&p, list)) > 0)
        done += more;
    write_picture(out, &p, widths);
    snprintf(why, sizeof why, "%u operations cannot happen", p.joined.nops - done);
done:
    if (p.steps == NULL || !list || !widths || done < p.joined.nops)
        fprintf(out, "%s\n", why);
    free(p.steps);
    free(p.blocks);
    free(list);
    free(widths);
    joined_free(&p.joined);
}
