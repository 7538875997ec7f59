/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/explain.h"

#include "coll/coll.h"

#include <stdlib.h>
#include <string.h>

void explain_algorithms(struct report *report)
{
    for (const struct algorithm *const *a = algorithms; *a; a++) {
        report_row(report);
        report_field(report, "collective", 14, "%s", collective_name((*a)->collective));
        report_field(report, "algorithm", 21, "%s", (*a)->name);
        report_field(report, "cost", 0, "%s", (*a)->cost);
    }
}

static int unknown_collective(const char *name)
{
    char known[256] = "";

    for (int i = 0; i < SENDRECV; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), " %s",
                 collective_name((enum collective)i));
    return status_fail(PEAL_ERR_ARGUMENT, "unknown collective \"%s\"; there are:%s", name, known);
}

static int unknown_algorithm(enum collective collective, const char *name)
{
    char known[256] = "";

    for (const struct algorithm *const *a = algorithms; *a; a++)
        if ((*a)->collective == collective)
            snprintf(known + strlen(known), sizeof known - strlen(known), " %s", (*a)->name);
    return status_fail(PEAL_ERR_ARGUMENT, "unknown algorithm \"%s\" for %s; there are:%s", name,
                       collective_name(collective), known);
}

/* RANKS: a number, or HOSTSxRANKS, "4x8": 4 hosts of 8 ranks each, with their layout. */
static bool parse_ranks(const char *text, int most, int *nranks, int *hosts)
{
    char *end;
    long first = strtol(text, &end, 10), each = 1;
    bool two = *end == 'x';

    if (two)
        each = strtol(end + 1, &end, 10);
    if (*end || first < 1 || first > most || each < 1 || each > most / first)
        return false;
    *hosts = two ? (int)first : 1;
    *nranks = (int)(first * each);
    return true;
}

static int make_layout(int nranks, int hosts, struct layout **layout)
{
    uint64_t *rows = malloc((size_t)nranks * sizeof *rows);
    struct layout_keys keys = { .rows = rows, .count = 1 };
    int status;

    if (!rows)
        return status_fail(PEAL_ERR_MEMORY, "no memory for the layout of %d ranks", nranks);
    for (int r = 0; r < nranks; r++)
        rows[r] = (uint64_t)(r / (nranks / hosts));
    status = layout_create(&keys, nranks, layout);
    free(rows);
    return status;
}

static int draw(const struct algorithm *a, struct call *call, FILE *out)
{
    struct schedule *ranks = calloc((size_t)call->nranks, sizeof *ranks);
    size_t unit = call->count;
    int status = PEAL_OK;

    if (!ranks)
        return status_fail(PEAL_ERR_MEMORY, "no memory for %d schedules", call->nranks);
    if (call->collective == ALLREDUCE || call->collective == BCAST || call->collective == REDUCE)
        unit = (call->count + (size_t)call->nranks - 1) / (size_t)call->nranks;
    for (call->rank = 0; call->rank < call->nranks; call->rank++) {
        struct schedule *s = &ranks[call->rank];

        /* In place, so that a block has one name wherever it lies. */
        call->aliased = true;
        if (call->collective == ALLGATHER)
            call->src_shift = (size_t)call->rank * call->count;
        if (call->collective == REDUCE_SCATTER)
            call->dst_shift = (size_t)call->rank * call->count;
        schedule_init(s, call->nranks);
        a->build(s, call);
        schedule_finish(s);
        if (s->failed)
            status = PEAL_ERR_MEMORY;
    }
    if (status)
        status_fail(status, "no memory for the schedules of %d ranks", call->nranks);
    else
        schedule_draw(ranks, call->nranks, unit, out);
    for (int r = 0; r < call->nranks; r++)
        schedule_free(&ranks[r]);
    free(ranks);
    return status;
}

int explain_drawing(const char *words, FILE *out)
{
    enum { MOST_RANKS = 1024, MOST_COUNT = 1 << 20 };
    struct call call = { .size = 1, .commutative = true, .nslices = 1 };
    const struct algorithm *a;
    char collective[32], name[32], ranks[32], number[32] = "", rest;
    struct layout *layout;
    size_t count = 0;
    const char *why;
    int hosts, status, given = sscanf(words, "%31s %31s %31s %31s %c", collective, name, ranks,
                                      number, &rest);

    if (given < 3 || given > 4 || !parse_ranks(ranks, MOST_RANKS, &call.nranks, &hosts) ||
        (given == 4 && (!setting_parse_size(number, &count) || count > MOST_COUNT)))
        return status_fail(PEAL_ERR_ARGUMENT, "a drawing needs COLLECTIVE ALGORITHM RANKS "
                           "[COUNT], with 1 to %d ranks, or HOSTSxRANKS, and a count up to %d, "
                           "e.g. allreduce ring 4; got \"%s\"", MOST_RANKS, MOST_COUNT, words);
    call.collective = collective_find(collective);
    if (call.collective >= SENDRECV)
        return unknown_collective(collective);
    a = algorithm_find(call.collective, name);
    if (!a)
        return unknown_algorithm(call.collective, name);
    if (given == 4)
        call.count = count;
    else if (call.collective == ALLGATHER || call.collective == REDUCE_SCATTER)
        call.count = 1;
    else
        call.count = (size_t)call.nranks;
    if (!select_allows(a, &call, false, &why))
        return status_fail(PEAL_ERR_ARGUMENT, "%s %s cannot be drawn for %d ranks: %s",
                           collective, name, call.nranks, why);
    if ((status = make_layout(call.nranks, hosts, &layout)))
        return status;
    call = call_among(&call, layout, false);
    status = draw(a, &call, out);
    layout_free(layout);
    return status;
}

/* Speeds that an explanation compares. */
struct place { char where[32]; struct coll_speed speed; };

/* What is to be explained, with the settings that decide on it. */
struct question {
    struct call             call;
    const struct algorithm *forced;    /* of PEAL_ALGORITHMS, or NULL */
    bool                    reproducible;
};

static int read_settings(struct question *q)
{
    const struct algorithm *forced[COLLECTIVES];
    struct comm_options options;
    int status = comm_options_fill(NULL, &options);

    if (!status)
        status = select_parse(options.algorithms, forced);
    if (status)
        return status;
    q->forced = forced[q->call.collective];
    q->reproducible = options.reproducible;
    return PEAL_OK;
}

static void explain_chosen(const struct question *q, const struct algorithm *chosen,
                           struct report *report)
{
    const char *why;

    if (!q->forced)
        report_field(report, "verdict", 0, "chosen");
    else if (chosen == q->forced)
        report_field(report, "verdict", 0, "chosen by PEAL_ALGORITHMS");
    else if (!select_allows(q->forced, &q->call, q->reproducible, &why))
        report_field(report, "verdict", 0, "chosen; not %s, which PEAL_ALGORITHMS names, for %s",
                     q->forced->name, why);
}

static int explain_place(const struct place *place, const struct question *q,
                         struct report *report)
{
    struct coll_choice best;
    const char *why;
    int status = select_algorithm(&q->call, q->forced ? q->forced->name : NULL, q->reproducible,
                                  &place->speed, &best);

    if (status)
        return status;
    for (const struct algorithm *const *a = algorithms; *a; a++) {
        struct coll_choice c;

        if (*a != best.algorithm && (!select_allows(*a, &q->call, q->reproducible, &why) ||
                                     !select_suits(*a, &place->speed)))
            continue;
        c = select_price(*a, &q->call, q->reproducible, &place->speed);
        report_row(report);
        report_field(report, "where", 20, "%s", place->where);
        report_field(report, "algorithm", 21, "%s", (*a)->name);
        report_field(report, "slices", 3, "%d", c.nslices);
        report_number(report, "microseconds", 12, c.seconds * 1e6);
        if (*a == best.algorithm)
            explain_chosen(q, *a, report);
        else
            report_field(report, "verdict", 0, "%.1f times the chosen one",
                         c.seconds / best.seconds);
    }
    return PEAL_OK;
}

int explain_choice(const char *words, struct report *report)
{
    enum { MOST_RANKS = 1 << 20 };
    struct place places[] = {
        { "one host", select_speed(&select_near, &select_near, 1) },
        { "1 host, 4 ranks/core", select_speed(&select_near, &select_near, 4) },
        { "several hosts", select_speed(&select_far, &select_far, 1) },
    };
    struct place grouped = { "", select_speed(&select_near, &select_far, 1) };
    struct question q = { .call = { .size = 1, .commutative = true, .nslices = 1 } };
    struct call *call = &q.call;
    char collective[32], bytes[32], ranks[32];
    int hosts, status;

    if (sscanf(words, "%31s %31s %31s", collective, bytes, ranks) != 3 ||
        !setting_parse_size(bytes, &call->count) ||
        !parse_ranks(ranks, MOST_RANKS, &call->nranks, &hosts))
        return status_fail(PEAL_ERR_ARGUMENT, "an explanation needs COLLECTIVE BYTES RANKS, "
                           "with 1 to %d ranks, or HOSTSxRANKS, e.g. allreduce 64M 8 or "
                           "allreduce 64M 4x8; got \"%s\"", MOST_RANKS, words);
    call->collective = collective_find(collective);
    if (call->collective >= SENDRECV)
        return unknown_collective(collective);
    if ((status = read_settings(&q)))
        return status;
    if (call->collective == ALLGATHER || call->collective == REDUCE_SCATTER)
        call->count /= (size_t)call->nranks;
    if (hosts > 1 && hosts < call->nranks) {
        snprintf(grouped.where, sizeof grouped.where, "%d hosts of %d", hosts,
                 call->nranks / hosts);
        status = make_layout(call->nranks, hosts, &grouped.speed.layout);
        if (status == PEAL_OK)
            status = explain_place(&grouped, &q, report);
        layout_free(grouped.speed.layout);
        return status;
    }
    places[0].speed.lends = places[1].speed.lends = true;
    for (size_t p = 0; p < sizeof places / sizeof *places && status == PEAL_OK; p++)
        status = explain_place(&places[p], &q, report);
    return status;
}
