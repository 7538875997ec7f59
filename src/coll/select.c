/* SPDX-License-Identifier: BSD-3-Clause */
/* Which algorithm, in how many slices.  The model is LogGP's (algorithm.h), with ranks
 * that may have to share cores: what all ranks together keep cores busy with is then
 * divided by the cores, and a round takes as long as a core needs to come around. */
#include "coll/coll.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A plan's memory is bounded by its messages, except that few slices are always
 * allowed.  The signature has 11 bits for their number. */
enum { FEW_SLICES = 64, MOST_SLICES = 1024, PLAN_MESSAGES = 2048 };
enum { SLICE, STRICT };
/* Where each core has two ranks or more; found by turns with 4 on 2 cores: docs/performance.md. */
static const double part_waited_for = 2 / 3.0, cost_of_receiving = 2 / 3.0;

const struct setting coll_settings[] = {
    [SLICE] = { "PEAL_SLICE", NULL, "bytes of a message above which a collective is cut into "
                "slices that follow each other, at most 1024 (default: 128K over shm, to 512K "
                "where all take from one rank's stage; 512K over tcp)", NULL },
    [STRICT] = { "PEAL_STRICT", "0", "0: a bcast or reduce ends on a rank when its own part is "
                 "done, and if another rank made a different call, a later call says so; 1: "
                 "it ends when all ranks are known to have made the same call, which costs "
                 "the latency of a barrier", NULL },
    { NULL, NULL, NULL, NULL }
};

const struct reach
    select_near = { .latency = 0.3e-6, .overhead = 0.35e-6, .bandwidth = 24e9,
                    .slice = 128 << 10 },
    select_far = { .latency = 20e-6, .overhead = 6e-6, .bandwidth = 3e9, .slice = 512 << 10 };

static struct coll_link link_of(const struct reach *how)
{
    static const double least = 128 << 10;     /* shorter ones cost more than they save */
    size_t slice = setting_size(&coll_settings[SLICE], 1, SIZE_MAX);
    double bytes = (double)(slice ? slice : how->slice);

    return (struct coll_link){
        .latency = how->latency, .overhead = how->overhead, .bandwidth = how->bandwidth,
        .ways = how->ways > 1 ? how->ways : 1,
        .slice = bytes, .least = slice || bytes < least ? bytes : least,
        .most = slice ? bytes : 4 * bytes
    };
}

struct coll_speed select_speed(const struct reach *near, const struct reach *far,
                               double crowding)
{
    static const double core = 24e9;   /* combining, in the caches */

    return (struct coll_speed){ link_of(near), link_of(far), 1, crowding, core, false, NULL };
}

bool select_strict(void)
{
    return setting_flag(&coll_settings[STRICT]);
}

static bool combines(const struct call *c)
{
    return c->collective == ALLREDUCE || c->collective == REDUCE ||
           c->collective == REDUCE_SCATTER;
}

bool select_allows(const struct algorithm *a, const struct call *c, bool reproducible,
                   const char **why)
{
    *why = NULL;
    if (a->collective != c->collective)
        *why = "it is of another collective";
    else if (a->fits && !a->fits(c))
        *why = "it does not fit the call";
    else if (combines(c) && !c->commutative && !a->ordered)
        *why = "it does not combine in rank order, as the operation needs";
    else if (combines(c) && reproducible && !a->left_fold)
        *why = "it does not combine from left to right, as the reproducible mode needs";
    return *why == NULL;
}

bool select_suits(const struct algorithm *a, const struct coll_speed *speed)
{
    const struct layout *l = speed->layout;

    return (!a->lent || speed->lends) && (!a->grouped || layout_mixed(l)) &&
           (!a->uses || (a->uses(l) && (l->by_place.count > 1 || speed->near.ways > 1)));
}

/* In the order of places operands are not combined in that of ranks. */
static bool goes_by_place(const struct algorithm *a, const struct call *c, bool reproducible)
{
    return a->by_place && (!combines(c) || (c->commutative && !reproducible));
}

/* `count` x size, or what that is on average. */
static double call_bytes(const struct call *c)
{
    size_t sum = 0;

    if (!c->counts)
        return (double)c->size * (double)c->count;
    for (int i = 0; i < c->nranks; i++)
        sum += c->counts[i];
    return (double)c->size * (double)sum / c->nranks;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static double message_bytes(const struct load *load)
{
    return load->messages > 0 ? load->sent / load->messages : 0;
}

static int most_slices(const struct load *load)
{
    double allowed = load->messages > 0 ? PLAN_MESSAGES / load->messages : 1;

    allowed = allowed < FEW_SLICES ? FEW_SLICES : allowed;
    return (int)(allowed > MOST_SLICES ? MOST_SLICES : allowed);
}

/* Of a sum of which `far` belongs to far links, the seconds at such costs. */
static double mixed(double sum, double far, double near_cost, double far_cost)
{
    return (sum - far) * near_cost + far * far_cost;
}

/* Bytes that the fullest core moves beyond an equal share of all.sent, where all ranks wait for one:
 * `alone` by that one, then the rest by the `takers`, in turns if there are fewer cores.
 * A byte of all.sent stands for what both its ends do, half of it each; where an end waits for the
 * other, the two halves follow each other, hence the 2.  (Left out where each has a core of its
 * own, which was not measured.)  Only the first slice is waited for: beside the others the next one
 * is moved. */
static double uneven(const struct price *price, double at_once, int nslices)
{
    static const double less = 1e-9;           /* a quotient may be a hair above its whole number */
    double sent = price->all.sent, cores = ceil(at_once - less), each, fullest;

    if (price->takers <= 0)
        return 0;
    each = (sent - price->alone) / price->takers;
    fullest = price->alone + each * ceil(price->takers / cores);
    if (price->takers > cores - 1)
        fullest = larger(fullest, 2 * (price->alone + each));
    return (fullest - sent / at_once) / nslices;
}

/* Where each core has two ranks or more, the part of the busiest rank's work that the others wait
 * for: less than all if in each round so many send that most cores have work besides.  In a single
 * round all wait for it. */
static double waited_for(const struct price *price, double crowding, double at_once)
{
    static const double most = 0.75;
    bool others_work = price->all.messages >= most * at_once * price->rounds;

    return crowding >= 2 && price->rounds >= 2 && others_work ? part_waited_for : 1;
}

/* Messages between neighbours, as many as the busiest rank could send in the time that they take it.
 * Where each core has two ranks, several have come when it looks: less work than to send them. */
static double near_messages(const struct price *price, double crowding)
{
    double messages = price->busiest.messages;
    double received = messages > 0 && crowding >= 2 ? price->received / messages : 0;

    return (messages - price->far.messages) * (1 - received * (1 - cost_of_receiving));
}

static double seconds(const struct price *price, const struct coll_speed *speed, double at_once,
                      int nslices)
{
    static const double hand_over = 1.2e-6;    /* of a core, to the next process */
    const struct coll_link *near = &speed->near, *far = &speed->far;
    const struct load *busiest = &price->busiest, *all = &price->all;
    const struct far *f = &price->far;
    double together = larger(price->parts, 1), ways = larger(price->ways, 1);
    double near_pace = 1 / (near->bandwidth * (ways < near->ways ? ways : near->ways));
    /* Slices follow each other through the rounds like wagons: only the first pays all
     * rounds in sequence, of which those count in which the busiest rank waits. */
    double idle = larger(price->rounds - busiest->messages / together, 0) *
                  message_bytes(busiest) * together / nslices;
    double far_idle = price->rounds > 0 ? idle * f->rounds / price->rounds : 0;
    double own = waited_for(price, speed->crowding, at_once);
    /* The messages of the first slice are waited for in any case. */
    double busy = near_messages(price, speed->crowding) * near->overhead * (1 + own * (nslices - 1)) +
                  f->messages * far->overhead * nslices;
    double all_busy = mixed(all->messages, f->all_messages, near->overhead, far->overhead);
    double moved = (own * (busiest->sent - f->sent) + idle - far_idle) * near_pace +
                   (f->sent + far_idle) / far->bandwidth;
    double all_moved = mixed(all->sent, f->all_sent, near_pace, 1 / far->bandwidth) / at_once +
                       uneven(price, at_once, nslices) * near_pace;

    /* The ranks of a group share its ways to the others. */
    moved = larger(moved, f->leaving / (far->bandwidth * speed->ways));
    return mixed(price->rounds, f->rounds, near->latency, far->latency) +
           price->rounds * (speed->crowding - 1) * hand_over +
           larger(busy, all_busy / at_once * nslices) + larger(moved, all_moved) +
           larger(own * busiest->reduced, all->reduced / at_once) / speed->reduction;
}

/* Where all take from one rank's stage, the memory of a slice is used again when the last of them has
 * taken it; and where cores are far, what is stored there again is in their caches.  So slices are
 * longer as soon as there are as many as are in flight (4 ranks, 4 to 64 MiB: 0.7 to 0.8 of the time). */
static double slice_bytes(const struct algorithm *a, const struct price *price,
                          const struct coll_link *pace, double message)
{
    double longer = message / SLICES_IN_FLIGHT;

    if (!a->lent || price->takers <= 0 || longer < pace->slice)
        return pace->slice;
    return longer < pace->most ? longer : pace->most;
}

struct coll_choice select_price(const struct algorithm *a, const struct call *c,
                                bool reproducible, const struct coll_speed *speed)
{
    bool by_place = goes_by_place(a, c, reproducible);
    struct call among = call_among(c, speed->layout, by_place);
    bool over = a->uses && by_place && a->uses(speed->layout);
    struct price price = over ? a->over(a, &among, call_bytes(c)) :
                                a->price(c->nranks, among.groups, call_bytes(c));
    const struct coll_link *pace = price.far.messages > 0 ? &speed->far : &speed->near;
    double message, slice, least, at_once = c->nranks / speed->crowding;
    struct coll_choice choice = { a, by_place, 1, -1 };
    int most, n = 1;

    if (price.failed)
        return choice;
    message = message_bytes(&price.busiest);
    most = most_slices(&price.busiest);
    slice = slice_bytes(a, &price, pace, message);
    least = slice > pace->slice ? slice : pace->least;
    if (message > slice)
        n = message / slice < most ? (int)(message / slice) : most;
    choice.nslices = n;
    choice.seconds = seconds(&price, speed, at_once, n);
    while ((n *= 2) <= most && message / n >= least) {
        double shorter = seconds(&price, speed, at_once, n);

        if (shorter < choice.seconds * (1 - 1e-9)) {
            choice.nslices = n;
            choice.seconds = shorter;
        }
    }
    return choice;
}

int select_algorithm(const struct call *c, const char *forced, bool reproducible,
                     const struct coll_speed *speed, struct coll_choice *choice)
{
    struct coll_choice best = { NULL, false, 1, 0 };
    const char *why;

    for (const struct algorithm *const *a = algorithms; *a; a++) {
        struct coll_choice priced;

        if (!select_allows(*a, c, reproducible, &why))
            continue;
        priced = select_price(*a, c, reproducible, speed);
        if (priced.seconds < 0)
            return status_fail(PEAL_ERR_MEMORY, "no memory to price algorithms");
        if (forced && strcmp((*a)->name, forced) == 0) {
            *choice = priced;
            return PEAL_OK;
        }
        /* Clearly cheaper, so that no rank's arithmetic finds otherwise. */
        if (select_suits(*a, speed) &&
            (!best.algorithm || priced.seconds < best.seconds * (1 - 1e-9)))
            best = priced;
    }
    if (!best.algorithm)
        return status_fail(PEAL_ERR_UNSUPPORTED, "no algorithm for %s on %d ranks%s%s",
                           collective_name(c->collective), c->nranks,
                           c->commutative ? "" : " with an operation that does not commute",
                           reproducible ? " in reproducible mode" : "");
    *choice = best;
    return PEAL_OK;
}

static int parse_item(const char *item, size_t length, const struct algorithm **forced)
{
    const char *colon = memchr(item, ':', length);
    char collective[32], name[32], known[256] = "";
    enum collective which;

    if (!colon)
        return status_fail(PEAL_ERR_ARGUMENT, "\"%.*s\" in PEAL_ALGORITHMS is not "
                           "COLLECTIVE:ALGORITHM", (int)length, item);
    snprintf(collective, sizeof collective, "%.*s", (int)(colon - item), item);
    snprintf(name, sizeof name, "%.*s", (int)(item + length - colon - 1), colon + 1);
    which = collective_find(collective);
    if (which == COLLECTIVES)
        return status_fail(PEAL_ERR_ARGUMENT, "unknown collective \"%s\" in PEAL_ALGORITHMS; "
                           "peal-info --algorithms lists them", collective);
    forced[which] = algorithm_find(which, name);
    if (forced[which])
        return PEAL_OK;
    for (const struct algorithm *const *a = algorithms; *a; a++)
        if ((*a)->collective == which)
            snprintf(known + strlen(known), sizeof known - strlen(known), " %s", (*a)->name);
    return status_fail(PEAL_ERR_ARGUMENT, "unknown algorithm \"%s\" for %s in PEAL_ALGORITHMS; "
                       "there are:%s", name, collective, known);
}

int select_parse(const char *list, const struct algorithm *forced[COLLECTIVES])
{
    for (int i = 0; i < COLLECTIVES; i++)
        forced[i] = NULL;
    while (*list) {
        size_t length = strcspn(list, ",");
        int status = length ? parse_item(list, length, forced) : PEAL_OK;

        if (status)
            return status;
        list += length + (list[length] == ',');
    }
    return PEAL_OK;
}
