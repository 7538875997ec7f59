/* SPDX-License-Identifier: BSD-3-Clause */
/* Layouts against their promises; what the algorithms send from group to group, counted
 * in their schedules, against the least possible, and against what their prices say;
 * and what is chosen.
 *
 *   layout [seed] */
#include "checks.h"
#include "coll/coll.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RANKS = 64, KEYS = 3 };

static uint64_t state;

static unsigned draw(unsigned below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((state >> 33) % below);
}

static struct layout *make_of(const struct layout_keys *keys, int n)
{
    struct layout *layout = NULL;

    if (layout_create(keys, n, &layout)) {
        puts("out of memory");
        exit(1);
    }
    return layout;
}

/* Of names. */
static struct layout *make(const uint64_t *keys, int nkeys, int n)
{
    return make_of(&(struct layout_keys){ .rows = keys, .count = nkeys }, n);
}

/* ---- The layout itself ------------------------------------------------------------ */

/* Equal keys of two ranks, from the first on. */
static int common(const uint64_t *keys, int nkeys, int a, int b)
{
    int k = 0;

    while (k < nkeys && keys[a * nkeys + k] == keys[b * nkeys + k])
        k++;
    return k;
}

static void check_groups(const struct groups *groups, const uint64_t *keys, int nkeys,
                         const int *rank_of, int n, const char *what)
{
    bool together = true;

    for (int i = 0; i < n; i++) {
        int a = rank_of ? rank_of[i] : i;

        check(groups->of[i] >= 0 && groups->of[i] < groups->count, "%s: group %d", what,
              groups->of[i]);
        for (int j = 0; j < i; j++) {
            int b = rank_of ? rank_of[j] : j;

            check((groups->of[i] == groups->of[j]) == (keys[a * nkeys] == keys[b * nkeys]),
                  "%s: numbers %d and %d", what, i, j);
        }
        together &= i == 0 || groups->of[i] == groups->of[i - 1] ||
                    groups->of[i] == groups->of[i - 1] + 1;
        check(!groups->first || (i >= groups->first[groups->of[i]] &&
                                 i < groups->first[groups->of[i] + 1]),
              "%s: number %d is not where group %d is", what, i, groups->of[i]);
    }
    check(together == (groups->first != NULL), "%s: side by side: %d", what, together);
}

/* Where two ranks part, the position decides, or which name a lower rank has. */
static bool before(const struct layout_keys *keys, int n, int a, int b)
{
    int k = common(keys->rows, keys->count, a, b), lowest[2] = { n, n };

    if (k == keys->count)
        return a < b;
    if (keys->positions >> k & 1)
        return keys->rows[a * keys->count + k] < keys->rows[b * keys->count + k];
    for (int r = n - 1; r >= 0; r--)
        for (int i = 0; i < 2; i++)
            if (common(keys->rows, keys->count, r, i ? b : a) > k)
                lowest[i] = r;
    return lowest[0] < lowest[1];
}

static void reference(const struct layout_keys *keys, int n, int *order)
{
    for (int r = 0; r < n; r++) {
        int at = r;

        for (; at > 0 && before(keys, n, r, order[at - 1]); at--)
            order[at] = order[at - 1];
        order[at] = r;
    }
}

static void test_random_layouts(void)
{
    int nulls = 0, moved = 0, cases = 3000;

    for (int c = 0; c < cases; c++) {
        int n = 1 + (int)draw(MOST_RANKS), nkeys = 1 + (int)draw(KEYS), wanted[MOST_RANKS];
        uint64_t keys[MOST_RANKS * KEYS];
        struct layout_keys of = { .rows = keys, .count = nkeys, .positions = draw(8) & ~1u };
        unsigned kinds = 1 + draw(c % 2 ? 4 : (unsigned)n), blocks = draw(3);
        struct layout *l;
        bool identity = true;

        for (int r = 0; r < n; r++)
            for (int k = 0; k < nkeys; k++)
                keys[r * nkeys + k] = (blocks ? (unsigned)r * kinds / (unsigned)n
                                              : draw(kinds)) * UINT64_C(0x9e3779b97f4a7c15);
        l = make_of(&of, n);
        reference(&of, n, wanted);
        for (int i = 0; i < n; i++)
            identity &= wanted[i] == i;
        nulls += !l;
        if (!l) {
            bool alike = true, apart = true;

            for (int r = 1; r < n; r++)
                for (int j = 0; j < r; j++) {
                    alike &= common(keys, nkeys, r, j) > 0;
                    apart &= common(keys, nkeys, r, j) == 0;
                }
            check(identity && (alike || apart), "%d ranks: no layout", n);
            continue;
        }
        moved += l->order != NULL;
        check(l->nranks == n && (l->order == NULL) == identity, "%d ranks: identity %d", n,
              identity);
        for (int i = 0; i < n && l->order; i++)
            check(l->order[i] == wanted[i] && l->place[wanted[i]] == i, "%d ranks: place %d", n, i);
        check(l->by_place.first != NULL && l->by_place.first[0] == 0 &&
              l->by_place.first[l->by_place.count] == n, "%d ranks: groups", n);
        check_groups(&l->by_place, keys, nkeys, l->order, n, "by place");
        check_groups(&l->by_rank, keys, nkeys, NULL, n, "by rank");
        layout_free(l);
    }
    printf("layouts: %d random ones, %d with nothing to know, %d in another order\n", cases, nulls,
           moved);
    check(nulls > 50 && moved > 500, "the cases are not what they should be");
}

/* ---- What goes from group to group ------------------------------------------------- */

struct traffic { double messages, bytes, leaving; };

/* Of all ranks' schedules of a call, what crosses groups. */
static struct traffic count(const struct algorithm *a, struct call call,
                            const struct layout *layout, bool by_place)
{
    struct traffic t = { 0, 0, 0 };
    double out[MOST_RANKS] = { 0 }, in[MOST_RANKS] = { 0 };
    const int *group = layout->by_rank.of;

    for (call.rank = 0; call.rank < call.nranks; call.rank++) {
        struct call c = call_among(&call, layout, by_place);
        struct schedule s;

        schedule_init(&s, call.nranks);
        schedule_peers(&s, c.order);
        a->build(&s, &c);
        schedule_finish(&s);
        check(!s.failed, "%s: no memory", a->name);
        for (uint32_t i = 0; i < s.nops; i++)
            if (s.ops[i].kind == OP_SEND && group[s.ops[i].peer] != group[call.rank]) {
                double bytes = (double)s.ops[i].src.bytes;

                t.messages++;
                t.bytes += bytes;
                out[group[call.rank]] += bytes;
                in[group[s.ops[i].peer]] += bytes;
            }
        schedule_free(&s);
    }
    for (int g = 0; g < layout->by_rank.count; g++)
        t.leaving = fmax(t.leaving, fmax(out[g], in[g]));
    return t;
}

static const struct algorithm *find(enum collective collective, const char *name)
{
    const struct algorithm *a = algorithm_find(collective, name);

    if (!a) {
        printf("FAIL: no %s %s\n", collective_name(collective), name);
        exit(1);
    }
    return a;
}

/* Ranks dealt to hosts one after the other: what a ring costs as it stands, by place, and
 * what the hierarchical allreduce makes of it. */
static void test_dealt(int hosts, int each)
{
    const struct algorithm *ring = find(ALLREDUCE, "ring"),
                           *hierarchical = find(ALLREDUCE, "hierarchical");
    int n = hosts * each;
    /* Divisible by everything, so that all numbers are exact. */
    size_t bytes = (size_t)n * (size_t)n * 4096 * 60;
    struct call call = { .collective = ALLREDUCE, .nranks = n, .count = bytes / 4, .size = 4,
                         .commutative = true, .nslices = 1 };
    double all = (double)bytes, standing, placed, least;
    uint64_t keys[MOST_RANKS];
    struct layout *l;

    for (int r = 0; r < n; r++)
        keys[r] = (uint64_t)(r % hosts);
    l = make(keys, 1, n);
    standing = count(ring, call, l, false).bytes;
    placed = count(ring, call, l, true).bytes;
    least = count(hierarchical, call, l, true).bytes;
    printf("%2d ranks dealt to %d hosts: between hosts a ring sends %.2f buffers, by place %.2f, "
           "hierarchical %.2f\n", n, hosts, standing / all, placed / all, least / all);
    check(standing == 2 * all * (n - 1), "ring as it stands: %.0f bytes", standing);
    check(placed == 2 * all * (n - 1) * hosts / n, "ring by place: %.0f bytes", placed);
    check(least == 2 * all * (hosts - 1), "hierarchical: %.0f bytes", least);
    layout_free(l);
}

/* Groups of any sizes: the least that is possible. */
static void test_least(void)
{
    const struct algorithm *allreduce = find(ALLREDUCE, "hierarchical"),
                           *bcast = find(BCAST, "hierarchical"),
                           *reduce = find(REDUCE, "hierarchical"),
                           *gather = find(ALLGATHER, "hierarchical"),
                           *scatter = find(REDUCE_SCATTER, "hierarchical");
    int cases = 0;

    for (int i = 0; i < 400; i++) {
        int n = 2 + (int)draw(MOST_RANKS - 1), hosts = 2 + (int)draw(9);
        uint64_t keys[MOST_RANKS];
        struct call call = { .nranks = n, .size = 4, .commutative = true, .nslices = 1,
                             .count = (16 << 20) + draw(1 << 20), .root = (int)draw((unsigned)n) };
        double bytes = (double)call.count * 4;
        struct traffic t;
        struct layout *l;

        for (int r = 0; r < n; r++)
            keys[r] = draw((unsigned)hosts);
        l = make(keys, 1, n);
        if (!layout_mixed(l)) {
            layout_free(l);
            continue;
        }
        hosts = l->by_place.count;
        call.collective = ALLREDUCE;
        t = count(allreduce, call, l, true);
        check(t.bytes == 2 * bytes * (hosts - 1), "allreduce of %d ranks on %d hosts: %.0f bytes "
              "between them for %.0f", n, hosts, t.bytes, bytes);
        /* Evenly: no group sends much more than the 2 (k-1)/k that all must on average. */
        check(t.leaving < 2.001 * bytes * (hosts - 1) / hosts + 4096 * n,
              "allreduce of %d ranks on %d hosts: %.0f bytes out of one for %.0f", n, hosts,
              t.leaving, bytes);
        call.collective = BCAST;
        t = count(bcast, call, l, true);
        check(t.bytes == bytes * (hosts - 1), "bcast of %d ranks on %d hosts: %.0f bytes between "
              "them for %.0f", n, hosts, t.bytes, bytes);
        call.collective = REDUCE;
        t = count(reduce, call, l, true);
        check(t.bytes == bytes * (hosts - 1), "reduce of %d ranks on %d hosts: %.0f bytes between "
              "them for %.0f", n, hosts, t.bytes, bytes);
        call.collective = ALLGATHER;
        t = count(gather, call, l, true);
        check(t.bytes == bytes * n * (hosts - 1), "allgather of %d ranks on %d hosts: %.0f bytes "
              "between them for %.0f each", n, hosts, t.bytes, bytes);
        call.collective = REDUCE_SCATTER;
        t = count(scatter, call, l, true);
        check(t.bytes == bytes * n * (hosts - 1), "reduce_scatter of %d ranks on %d hosts: %.0f "
              "bytes between them for %.0f each", n, hosts, t.bytes, bytes);
        cases++;
        layout_free(l);
    }
    printf("least: %d random layouts\n", cases);
    check(cases > 100, "few layouts have groups");
}

/* ---- Prices ------------------------------------------------------------------------- */

static void compare(const struct algorithm *a, int n, const char *shape, const char *what,
                    double priced, double counted)
{
    /* The prices take messages of a collective to be alike, which they are not quite. */
    check(fabs(priced - counted) <= 0.35 * counted + 1e-9, "%s %s of %d ranks %s: %s priced as %g, "
          "counted %g", collective_name(a->collective), a->name, n, shape, what, priced, counted);
}

static void test_prices(void)
{
    static const int sizes[][2] = { { 2, 4 }, { 4, 4 }, { 8, 8 }, { 4, 2 }, { 16, 2 }, { 2, 16 } };
    static const char *const shapes[] = { "in blocks", "dealt" };
    int cases = 0;

    for (const struct algorithm *const *a = algorithms; *a; a++)
        for (int i = 0; i < 12; i++) {
            int hosts = sizes[i / 2][0], n = hosts * sizes[i / 2][1];
            size_t bytes = 1 << 20;
            struct call call = { .collective = (*a)->collective, .nranks = n, .count = bytes,
                                 .size = 1, .commutative = true, .nslices = 1 };
            uint64_t keys[MOST_RANKS];
            struct price price;
            struct traffic t;
            struct layout *l;

            /* What is lent counts offers, not bytes; from group to group the ring after the scatter
             * leaves out more than the price knows. */
            if ((*a)->lent || !strcmp((*a)->name, "scatter_allgather"))
                continue;
            for (int r = 0; r < n; r++)
                keys[r] = (uint64_t)(i % 2 ? r % hosts : r * hosts / n);
            l = make(keys, 1, n);
            t = count(*a, call, l, (*a)->by_place);
            price = (*a)->price(n, (*a)->by_place ? &l->by_place : &l->by_rank, (double)bytes);
            compare(*a, n, shapes[i % 2], "messages", price.far.all_messages, t.messages);
            if ((*a)->collective != BARRIER) {
                compare(*a, n, shapes[i % 2], "bytes", price.far.all_sent, t.bytes);
                compare(*a, n, shapes[i % 2], "bytes of a group", price.far.leaving, t.leaving);
            }
            check(price.far.rounds <= price.rounds && price.far.rounds > 0 &&
                  price.far.messages <= price.busiest.messages * (1 + 1e-9) &&
                  price.far.sent <= price.busiest.sent * (1 + 1e-9) &&
                  price.far.all_sent <= price.all.sent * (1 + 1e-9),
                  "%s %s: more far than there is", collective_name((*a)->collective), (*a)->name);
            cases++;
            layout_free(l);
        }
    printf("prices: %d cases\n", cases);
}

/* ---- Choosing ----------------------------------------------------------------------- */

static const char *chosen(enum collective collective, size_t bytes, int n, struct layout *l,
                          bool commutative, bool reproducible, bool *by_place)
{
    struct coll_speed speed = select_speed(&select_near, l ? &select_far : &select_near, 1);
    struct call call = { .collective = collective, .nranks = n, .count = bytes, .size = 1,
                         .commutative = commutative, .nslices = 1 };
    struct coll_choice choice;

    speed.layout = l;
    if (select_algorithm(&call, NULL, reproducible, &speed, &choice))
        return "none";
    *by_place = choice.by_place;
    return choice.algorithm->name;
}

static void test_choice(void)
{
    uint64_t keys[48];
    struct layout *l;
    const char *name;
    bool by_place;

    for (int r = 0; r < 48; r++)
        keys[r] = (uint64_t)(r % 6);
    l = make(keys, 1, 48);
    name = chosen(ALLREDUCE, 64 << 20, 48, l, true, false, &by_place);
    check(!strcmp(name, "hierarchical") && by_place, "64 MiB on 6 hosts of 8: %s", name);
    name = chosen(ALLREDUCE, 64 << 20, 48, NULL, true, false, &by_place);
    check(strcmp(name, "hierarchical") != 0, "64 MiB on one host: %s", name);
    name = chosen(ALLREDUCE, 64 << 20, 48, l, false, false, &by_place);
    check(!by_place, "operands that do not commute, by place: %s", name);
    name = chosen(ALLREDUCE, 64 << 20, 48, l, true, true, &by_place);
    check(!by_place, "reproducible, by place: %s", name);
    name = chosen(ALLGATHER, 1 << 20, 48, l, true, true, &by_place);
    check(by_place, "allgather of 1 MiB each, reproducible: %s, not by place", name);
    name = chosen(BARRIER, 0, 48, l, true, false, &by_place);
    printf("barrier on 6 hosts of 8: %s\n", name);
    layout_free(l);
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 1;

    printf("seed %u\n", seed);
    state = seed;
    test_random_layouts();
    test_dealt(2, 4);
    test_dealt(4, 4);
    test_dealt(8, 8);
    test_dealt(3, 5);
    test_least();
    test_prices();
    test_choice();
    printf("layout: %s, %d checks, %d failed\n", failures ? "FAIL" : "ok", checks, failures);
    return failures ? 1 : 0;
}
