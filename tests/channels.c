/* SPDX-License-Identifier: BSD-3-Clause */
/* Channels: rings of a layout against their promises; what the algorithms that use them, or trees, say they cost,
 * against their schedules; when they are chosen; and real processes whose machine is a file's.
 *
 *   channels [seed] */
#include "algorithms/plan_trees.h"
#include "checks.h"
#include "coll/start.h"
#include "ranks.h"
#include "ways.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- In layouts ------------------------------------------------------------------------ */

/* Along the ring, or against it, with all ranks once. */
static void check_channel(const struct layout *l, int k, const struct layout_ring *ring, int hosts, int each,
                          int same)
{
    const struct channels *c = &l->channels;
    int n = hosts * each;
    bool seen[MOST_RANKS] = { false };

    for (int as_ring = 0; as_ring < 2; as_ring++)
        for (int i = 0; i < n; i++) {
            int place = channel_place(c, k, i, as_ring), rank = l->order ? l->order[place] : place;
            int next = channel_place(c, k, (i + 1) % n, as_ring);
            int own = rank / hosts / same, other = (l->order ? l->order[next] : next) / hosts / same;
            bool back = as_ring && ring->alternates && i / each % 2;

            check(rank % hosts == i / each && seen[rank] == as_ring, "channel %d: rank %d at %d", k, rank, i);
            seen[rank] = true;
            check(i % each == each - 1 || (back ? ring->place[own] >= ring->place[other]
                                                : ring->place[own] <= ring->place[other]),
                  "channel %d of %d ranks: %d and %d at %d", k, n, own, other, i);
        }
}

static void test_channels(void)
{
    int cases = 0;

    for (int i = 0; i < 2000; i++) {
        int hosts = 2 + (int)draw(3), each = 2 + (int)draw(15), same = 1 + (int)draw(2);
        struct layout_rings rings = { .count = 1 + (int)draw(LAYOUT_CHANNELS) };
        uint32_t total = 0;
        struct layout *l;

        for (int r = 0; r < rings.count; r++) {
            rings.list[r] = random_ring();
            total += rings.list[r].share;
        }
        l = make_channels(&rings, hosts, each, same);
        check(l && l->channels.count <= rings.count && l->channels.count != 1, "%d rings", rings.count);
        check(!l->channels.count || l->channels.total == total, "shares: %u of %u", l->channels.total, total);
        /* None are alike, so channel k is ring k. */
        for (int k = 0; k < rings.count && l->channels.count == rings.count; k++) {
            check(l->channels.list[k].share == rings.list[k].share, "channel %d: share", k);
            check_channel(l, k, &rings.list[k], hosts, each, same);
            cases++;
        }
        layout_free(l);
    }
    printf("channels: %d\n", cases);
    check(cases > 5000, "few channels");
}

/* Rings that are one, and groups that have none. */
static void test_no_channels(void)
{
    struct layout_rings rings = { .count = 2 };
    uint64_t keys[2 * 6] = { 0, 1, 0, 2, 0, 3, 1, 1, 1, 2, 1, 3 };
    struct layout_keys of = { .rows = keys, .count = 2, .positions = 2, .rings = &rings, .ring = 1 };
    struct layout *l;

    /* On one host the second is the first, begun elsewhere; on two it leaves them elsewhere. */
    for (int k = 0; k < 2; k++) {
        rings.list[k].share = 3;
        for (int i = 0; i < 5; i++)
            rings.list[k].place[i] = (uint8_t)((i + 2 * k) % 5);
    }
    l = make_channels(&rings, 1, 5, 1);
    check(!l, "one ring, turned: %d channels", l ? l->channels.count : 0);
    l = make_channels(&rings, 2, 5, 1);
    check(l->channels.count == 2 && l->channels.total == 6, "two hosts: %d channels", l->channels.count);
    layout_free(l);
    for (int i = 0; i < 5; i++)
        rings.list[1].place[i] = (uint8_t)(4 - i);
    l = make_channels(&rings, 1, 5, 1);
    check(l && !l->order && !layout_mixed(l) && l->channels.count == 2, "there and back on one host");
    layout_free(l);
    l = make_of(&of, 6);
    check(l->channels.count == 2, "two of three: %d channels", l->channels.count);
    layout_free(l);
    keys[11] = 4;
    l = make_of(&of, 6);
    check(l->channels.count == 0, "other positions: %d channels", l->channels.count);
    layout_free(l);
    keys[11] = keys[5] = 0;
    l = make_of(&of, 6);
    check(l->channels.count == 0, "a rank without a position: %d channels", l->channels.count);
    layout_free(l);
    keys[10] = 0;
    keys[11] = keys[5] = 3;
    l = make_of(&of, 6);
    check(l->channels.count == 0, "hosts of 4 and 2: %d channels", l->channels.count);
    layout_free(l);
}

/* Rings take turns: the k-th message that a rank sends goes to the next rank of channel k. */
static void test_turns(void)
{
    static const enum collective collectives[] = { ALLREDUCE, ALLGATHER, REDUCE_SCATTER };
    struct layout_rings rings = { .count = 5 };
    struct layout *l;

    for (int r = 0; r < rings.count; r++)
        rings.list[r] = random_ring();
    l = make_channels(&rings, 2, 8, 1);
    for (int k = 0; k < 3 && l->channels.count == 5; k++) {
        const struct algorithm *a = algorithm_find(collectives[k], "channels");
        struct call call = { .collective = collectives[k], .nranks = 16, .count = 1 << 20, .size = 4,
                             .commutative = true, .nslices = 1 };

        for (call.rank = 0; call.rank < 16; call.rank++) {
            struct call c = call_among(&call, l, true);
            struct schedule s;
            int sent = 0;

            schedule_init(&s, 16);
            schedule_peers(&s, c.order);
            a->build(&s, &c);
            schedule_finish(&s);
            for (uint32_t i = 0; i < s.nops; i++) {
                int at = 0;

                if (s.ops[i].kind != OP_SEND)
                    continue;
                while (channel_place(c.channels, sent % 5, at, true) != c.rank)
                    at++;
                at = channel_place(c.channels, sent++ % 5, (at + 1) % 16, true);
                check(s.ops[i].peer == l->order[at], "%s, rank %d: message %d to %d",
                      collective_name(call.collective), call.rank, sent - 1, s.ops[i].peer);
            }
            check(sent == 5 * 15 * (k ? 1 : 2), "%d messages", sent);
            schedule_free(&s);
        }
    }
    check(l->channels.count == 5, "%d channels", l->channels.count);
    layout_free(l);
}

/* ---- Prices ------------------------------------------------------------------------------ */

/* Of all ranks' schedules of a call, what a price says. */
static struct price count(const struct algorithm *a, struct call call, const struct layout *l)
{
    struct price p = { .rounds = 0 };
    double out[MOST_RANKS] = { 0 };

    for (call.rank = 0; call.rank < call.nranks; call.rank++) {
        struct call c = call_among(&call, l, true);
        double reduced = 0, messages[2][2] = { { 0 } }, bytes[2][2] = { { 0 } };    /* sent, received; all, far */
        int group = l->by_rank.of[call.rank];
        struct schedule s;

        schedule_init(&s, call.nranks);
        schedule_peers(&s, c.order);
        a->build(&s, &c);
        schedule_finish(&s);
        check(!s.failed, "%s: no memory", a->name);
        for (uint32_t i = 0; i < s.nops; i++) {
            const struct op *op = &s.ops[i];
            bool in = op->kind != OP_SEND;

            reduced += op->kind == OP_COMBINE ? (double)op->dst.bytes : 0;

            for (int far = 0; far < 2 && op->peer >= 0; far++)
                if (!far || l->by_rank.of[op->peer] != group) {
                    messages[in][far]++;
                    bytes[in][far] += (double)(in ? op->dst.bytes : op->src.bytes);
                }
        }
        schedule_free(&s);
        p.all.messages += messages[0][0];
        p.all.sent += bytes[0][0];
        p.busiest.reduced = fmax(p.busiest.reduced, reduced);
        p.busiest.messages = fmax(p.busiest.messages, fmax(messages[0][0], messages[1][0]));
        p.busiest.sent = fmax(p.busiest.sent, fmax(bytes[0][0], bytes[1][0]));
        p.far.messages = fmax(p.far.messages, fmax(messages[0][1], messages[1][1]));
        p.far.sent = fmax(p.far.sent, fmax(bytes[0][1], bytes[1][1]));
        p.far.all_messages += messages[0][1];
        p.far.all_sent += bytes[0][1];
        p.far.leaving = fmax(p.far.leaving, out[group] += bytes[0][1]);
    }
    return p;
}

static void compare(const struct algorithm *a, int n, const char *what, double priced, double counted)
{
    /* Not all messages of a collective are of one size. */
    check(fabs(priced - counted) <= 0.1 * counted + 1e-9, "%s %s of %d ranks: %s priced as %g, counted %g",
          collective_name(a->collective), a->name, n, what, priced, counted);
}

static struct price over_price(const struct algorithm *a, const struct call *call, const struct layout *l)
{
    struct call c = call_among(call, l, true);

    return a->over(a, &c, (double)c.count);
}

/* How many others of its group each rank sends to or receives from, at least: ways that a price may count. */
static int least_peers(const struct layout *l)
{
    int least = LAYOUT_MEMBERS;

    for (int v = 0; v < l->trees.members; v++) {
        int peers = 0;

        for (int w = 0; w < l->trees.members; w++) {
            bool joined = false;

            for (int k = 0; k < l->trees.count; k++)
                joined |= v != w && (l->trees.list[k].parent[v] == w || l->trees.list[k].parent[w] == v);
            peers += joined;
        }
        least = peers < least ? peers : least;
    }
    return least;
}

/* What the rows that use channels or trees say they cost, against their schedules. */
static void test_channel_prices(void)
{
    static const int sizes[][2] = { { 2, 4 }, { 4, 4 }, { 4, 8 }, { 2, 16 } };
    int cases = 0;

    for (const struct algorithm *const *a = algorithms; *a; a++)
        for (int i = 0; i < 4 * 8 && (*a)->over; i++) {
            int hosts = sizes[i % 4][0], each = sizes[i % 4][1], n = hosts * each;
            struct layout_rings rings = { .count = 2 + (int)draw(6) };
            struct layout_trees trees = { .count = rings.count };
            struct call call = { .collective = (*a)->collective, .nranks = n, .count = 64 << 20,
                                 .size = 1, .commutative = true, .nslices = 1 };
            bool rooted = call.collective == BCAST || call.collective == REDUCE;
            struct price price, is;
            struct layout *l;

            for (int r = 0; r < rings.count; r++) {
                rings.list[r] = random_ring();
                trees.list[r] = random_tree(each);
            }
            call.root = rooted ? (int)draw((unsigned)n) : 0;
            l = make_ways(&rings, &trees, hosts, each, 1);
            if (!(*a)->uses(l)) {              /* they are one */
                layout_free(l);
                continue;
            }
            price = over_price(*a, &call, l);
            is = count(*a, call, l);
            compare(*a, n, "messages of a rank", price.busiest.messages, is.busiest.messages);
            compare(*a, n, "bytes of a rank", price.busiest.sent, is.busiest.sent);
            /* A chain goes round from wherever the root is, and not home. */
            if (!rooted || (*a)->uses == plan_trees_exist) {
                compare(*a, n, "messages of a rank to others", price.far.messages, is.far.messages);
                compare(*a, n, "bytes of a rank to others", price.far.sent, is.far.sent);
                compare(*a, n, "messages between groups", price.far.all_messages, is.far.all_messages);
                compare(*a, n, "bytes between groups", price.far.all_sent, is.far.all_sent);
                compare(*a, n, "bytes out of a group", price.far.leaving, is.far.leaving);
            }
            compare(*a, n, "messages", price.all.messages, is.all.messages);
            compare(*a, n, "bytes", price.all.sent, is.all.sent);
            compare(*a, n, "bytes combined by a rank", price.busiest.reduced, is.busiest.reduced);
            if ((*a)->uses == plan_trees_exist)
                check((int)price.ways == least_peers(l), "%g ways over trees", price.ways);
            else
                check(price.ways == l->channels.count, "%g ways over %d channels", price.ways,
                      l->channels.count);
            cases++;
            layout_free(l);
        }
    printf("prices over channels: %d cases\n", cases);
    check(cases > 8 * 30, "few cases");
}

/* ---- Choosing ---------------------------------------------------------------------------- */

/* Over four rings of a host: does what is chosen use channels? */
static bool uses_channels(const struct call *call, const char *forced, bool reproducible,
                          const struct coll_speed *speed)
{
    struct coll_choice choice = { .algorithm = NULL };

    check(!select_algorithm(call, forced, reproducible, speed, &choice), "nothing is chosen");
    return choice.algorithm && choice.algorithm->over;
}

/* Not while they share what they carry, whatever the size; by name always, but where order counts. */
static void test_channel_choice(void)
{
    static const enum collective collectives[] = { ALLREDUCE, ALLGATHER, REDUCE_SCATTER, BCAST },
                                 rooted[] = { ALLREDUCE, BCAST, REDUCE };
    struct coll_speed one = select_speed(&select_near, &select_near, 1), several;
    struct reach direct = select_near;
    struct layout_rings rings = { .count = 4 };
    struct layout_trees trees = { .count = 4 };

    for (int r = 0; r < rings.count; r++) {
        rings.list[r] = random_ring();
        rings.list[r].share = trees.list[r].share = 1;
        /* The same without the way home: each is under the nearest before it. */
        for (int i = 0; i < 8; i++)
            for (int k = 0, before = -1; k < 8; k++)
                if (rings.list[r].place[k] < rings.list[r].place[i] && rings.list[r].place[k] > before) {
                    before = rings.list[r].place[k];
                    trees.list[r].parent[i] = (uint8_t)(k + 1);
                }
    }
    one.layout = make_ways(&rings, &trees, 1, 8, 1);
    direct.ways = 4;
    several = select_speed(&direct, &direct, 1);
    several.layout = one.layout;
    check(one.layout && one.layout->channels.count == 4, "four rings: not four channels");
    for (int k = 0; k < 4; k++)
        for (size_t bytes = 8; bytes <= 1 << 30; bytes *= 2) {
            struct call call = { .collective = collectives[k], .nranks = 8, .count = bytes, .size = 1,
                                 .commutative = true, .nslices = 1 };
            const char *name = collective_name(call.collective);
            bool moves = call.collective == ALLGATHER || call.collective == BCAST;

            check(!uses_channels(&call, NULL, false, &one), "%s of %zu bytes: over channels, where they share "
                  "links", name, bytes);
            check(bytes < 64 << 20 || uses_channels(&call, NULL, false, &several), "%s of %zu bytes: not over "
                  "channels, where they have links of their own", name, bytes);
            check(uses_channels(&call, "channels", false, &one), "%s: channels cannot be had", name);
            check(uses_channels(&call, "channels", true, &one) == moves, "%s over channels, reproducible", name);
            call.commutative = false;
            check(uses_channels(&call, "channels", false, &one) == moves, "%s over channels, in no order", name);
        }
    for (int k = 0; k < 3; k++)
        for (size_t bytes = 8; bytes <= 1 << 30; bytes *= 2) {
            struct call call = { .collective = rooted[k], .nranks = 8, .root = 5, .count = bytes, .size = 1,
                                 .commutative = true, .nslices = 1 };
            const char *name = collective_name(call.collective);

            check(!uses_channels(&call, NULL, false, &one), "%s of %zu bytes: over trees, where they share links",
                  name, bytes);
            /* In the middle of chains the root of a reduction combines two whole buffers. */
            check(bytes < 64 << 20 || call.collective == REDUCE || uses_channels(&call, NULL, false, &several),
                  "%s of %zu bytes: over neither channels nor trees, where they have links of their own", name, bytes);
            check(uses_channels(&call, "trees", false, &one), "%s: trees cannot be had", name);
            check(uses_channels(&call, "trees", true, &one) == (call.collective == BCAST),
                  "%s over trees, reproducible", name);
        }
    layout_free(one.layout);
}

/* ---- In real processes ------------------------------------------------------------------ */

enum { EIGHT = 8, LARGE = 300007 };

struct part { int hosts; const char *algorithms; };

/* The latest plan goes over what PEAL_ALGORITHMS names for the collective; where it names nothing, in one
 * order, for nothing says that more carry more. */
static void check_used(struct rank *me, peal_comm_t comm, const char *named, const char *collective)
{
    const struct algorithm *a = comm->coll->cache.newest->choice.algorithm;
    char item[64], whole[64];

    snprintf(item, sizeof item, ",%s:%s,", collective, a->name);
    snprintf(whole, sizeof whole, ",%s:", collective);
    rank_check(me, strstr(named, whole) ? strstr(named, item) != NULL : a->over == NULL,
               "%s: %s of \"%s\"", collective, a->name, named);
}

/* Rank r gives r + i % 251 at i, in everything. */
static void exchange(struct rank *me, peal_comm_t comm, size_t count, const char *named)
{
    int n = me->nranks, sum = n * (n - 1) / 2, wrong = 0;
    size_t all = count * (size_t)n;
    int32_t *in = malloc(all * sizeof *in), *out = malloc(all * sizeof *out);

    for (size_t i = 0; i < all; i++)
        in[i] = me->rank + (int)(i % 251);
    rank_status(me, peal_allreduce(in, out, count, PEAL_INT32, PEAL_SUM, comm), PEAL_OK, "allreduce");
    for (size_t i = 0; i < count; i++)
        wrong += out[i] != sum + n * (int)(i % 251);
    check_used(me, comm, named, "allreduce");
    rank_status(me, peal_allgather(in, out, count, PEAL_INT32, comm), PEAL_OK, "allgather");
    for (size_t i = 0; i < all; i++)
        wrong += out[i] != (int)(i / count) + (int)(i % count % 251);
    check_used(me, comm, named, "allgather");
    rank_status(me, peal_reduce_scatter_block(in, out, count, PEAL_INT32, PEAL_SUM, comm), PEAL_OK,
                "reduce_scatter");
    for (size_t i = 0; i < count; i++)
        wrong += out[i] != sum + n * (int)((count * (size_t)me->rank + i) % 251);
    check_used(me, comm, named, "reduce_scatter");
    rank_status(me, peal_bcast(in, count, PEAL_INT32, n - 3, comm), PEAL_OK, "bcast");
    for (size_t i = 0; i < count; i++)
        wrong += in[i] != n - 3 + (int)(i % 251);
    check_used(me, comm, named, "bcast");
    for (size_t i = 0; i < count; i++)
        in[i] = me->rank + (int)(i % 251);
    rank_status(me, peal_reduce(in, out, count, PEAL_INT32, PEAL_SUM, n - 2, comm), PEAL_OK, "reduce");
    for (size_t i = 0; i < count && me->rank == n - 2; i++)
        wrong += out[i] != sum + n * (int)(i % 251);
    check_used(me, comm, named, "reduce");
    rank_check(me, wrong == 0, "%d of %zu elements are wrong", wrong, count);
    free(in);
    free(out);
}

static void body(struct rank *me)
{
    const struct part *part = me->context;
    const struct layout *l;
    peal_comm_t comm;

    ranks_pretend_host(me->rank % part->hosts);
    if (!rank_comm(me, &comm))
        return;
    l = comm->coll->speed.layout;
    if (rank_check(me, l && l->channels.count >= 4 && l->trees.count >= 4, "%d channels, %d trees",
                   l ? l->channels.count : -1, l ? l->trees.count : -1))
        for (size_t count = 1; count <= LARGE; count = count * 30 + 7)
            exchange(me, comm, count, part->algorithms);
    rank_comm_free(me, &comm);
}

/* Eight ranks on a DGX-1V, or four on each of two; by name and left to choose. */
static int run_real(void)
{
    static const struct { const char *name, *algorithms; } kinds[] = {
        { "channels", ",allreduce:channels,allgather:channels,reduce_scatter:channels,bcast:channels," },
        { "trees", ",allreduce:trees,bcast:trees,reduce:trees," },
        { "chosen", "" },
    };
    const char *top = getenv("srcdir");
    char name[PATH_MAX / 2], file[PATH_MAX];
    int failed = 0;

    /* Ranks have a folder of their own. */
    snprintf(name, sizeof name, "%s/tests/topologies/dgx1-v100/topo-m.txt", top ? top : ".");
    if (!realpath(name, file)) {
        perror(name);
        return 1;
    }
    setenv("PEAL_TOPO_FILE", file, 1);
    for (int hosts = 1; hosts <= 2; hosts++)
        for (int kind = 0; kind < 3; kind++) {
            peal_config_t config = PEAL_CONFIG_INIT;
            struct part part = { hosts, kinds[kind].algorithms };
            struct ranks_plan plan = { .name = kinds[kind].name, .nranks = EIGHT, .seconds = 60,
                                       .config = &config, .body = body, .context = &part };

            config.transports = "shm,tcp";
            config.algorithms = kinds[kind].algorithms;
            failed += ranks_run(&plan);
        }
    unsetenv("PEAL_TOPO_FILE");
    printf("8 ranks: %d failed\n", failed);
    return failed;
}

int main(int argc, char **argv)
{
    double started = ranks_now();
    int failed;

    state = ranks_seed(argc, argv, 1);
    unsetenv("PEAL_GPU");
    unsetenv("CUDA_VISIBLE_DEVICES");
    test_channels();
    test_no_channels();
    test_turns();
    test_channel_prices();
    test_channel_choice();
    printf("%d checks, %d failed\n", checks, failures);
    failed = run_real();
    return ranks_verdict("channels", failures + failed, started);
}
