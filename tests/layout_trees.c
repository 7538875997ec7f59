/* SPDX-License-Identifier: BSD-3-Clause */
/* The trees of a layout against their promises.
 *
 *   layout_trees [seed] */
#include "checks.h"
#include "ways.h"

#include <string.h>

/* Of members at positions 1, 2, ...: all hang from the root, each under the nearest above it who is there, or
 * at one position under the first. */
static void check_tree(const struct group_tree *tree, const struct layout_tree *of, int each, int same)
{
    for (int i = 0; i < each; i++) {
        int up = tree->parent[i], at = i, steps = 0, above = of->parent[i / same];

        for (; tree->parent[at] != at && steps <= each; steps++)
            at = tree->parent[at];
        check(at == tree->root && steps < each, "member %d of %d: at %d after %d steps", i, each, at, steps);
        while (above * same > each)
            above = of->parent[above - 1];
        if (i % same)
            check(up == i - 1, "member %d: under %d", i, up);
        else
            check(up == (above ? (above - 1) * same : tree->root), "member %d of %d: under %d, not position %d",
                  i, each, up, above);
    }
}

static void test_trees(void)
{
    int cases = 0;

    for (int i = 0; i < 2000; i++) {
        int hosts = 1 + (int)draw(4), each = 2 + (int)draw(15), same = each % 2 ? 1 : 1 + (int)draw(2);
        struct layout_trees trees = { .count = 1 + (int)draw(LAYOUT_CHANNELS) };
        uint32_t total = 0;
        struct layout *l;

        for (int k = 0; k < trees.count; k++) {
            trees.list[k] = random_tree(LAYOUT_MEMBERS);
            total += trees.list[k].share;
        }
        l = make_ways(NULL, &trees, hosts, each, same);
        check(l && l->trees.count && l->trees.count <= trees.count && l->trees.total == total &&
              l->trees.members == each, "%d trees", trees.count);
        for (int k = 0, at = 0; k < l->trees.count; k++) {
            check((int)l->trees.list[k].first == at, "tree %d: share from %u", k, l->trees.list[k].first);
            at += (int)l->trees.list[k].share;
            /* Alone, a host hangs them from where they are lowest. */
            if (hosts > 1 && l->trees.count == trees.count) {
                check_tree(&l->trees.list[k], &trees.list[k], each, same);
                cases++;
            }
        }
        layout_free(l);
    }
    printf("trees: %d\n", cases);
    check(cases > 5000, "few trees");
}

/* One host: chains 1 2 3 4 5 hung from 1 and from 4 are one, hung from 3. */
static void test_hung(void)
{
    struct layout_trees trees = { 2, { { 5, { 0, 1, 2, 3, 4 } }, { 7, { 2, 3, 4, 0, 4 } } } };
    struct layout *l = make_ways(NULL, &trees, 1, 5, 1), *two;
    static const uint8_t low[] = { 1, 2, 2, 2, 3 };

    check(l && l->trees.count == 1 && l->trees.total == 12 && l->trees.list[0].root == 2 &&
          !memcmp(l->trees.list[0].parent, low, sizeof low), "a chain of five, twice");
    layout_free(l);
    two = make_ways(NULL, &trees, 2, 5, 1);
    check(two && two->trees.count == 2 && two->trees.list[0].root == 0 && two->trees.list[1].root == 3,
          "the same on two hosts");
    layout_free(two);
    check(!make_ways(NULL, &trees, 5, 1, 1), "hosts of one rank: a layout");
}

int main(int argc, char **argv)
{
    double started = ranks_now();

    state = ranks_seed(argc, argv, 1);
    test_trees();
    test_hung();
    return ranks_verdict("layout_trees", failures, started);
}
