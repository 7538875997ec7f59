/* SPDX-License-Identifier: BSD-3-Clause */
#include "topology/layout.h"

#include "base/status.h"

#include <stdlib.h>
#include <string.h>

struct item {
    const uint64_t *keys;
    int             nkeys, rank;
};

/* How many of the keys are equal, from the first on. */
static int in_common(const struct item *a, const struct item *b)
{
    int k = 0;

    while (k < a->nkeys && a->keys[k] == b->keys[k])
        k++;
    return k;
}

static int by_keys(const void *first, const void *second)
{
    const struct item *a = first, *b = second;
    int k = in_common(a, b);

    if (k < a->nkeys)
        return a->keys[k] < b->keys[k] ? -1 : 1;
    return a->rank - b->rank;
}

static void sort(struct item *items, const uint64_t *rows, int nkeys, int n)
{
    for (int r = 0; r < n; r++)
        items[r] = (struct item){ rows + (size_t)r * (size_t)nkeys, nkeys, r };
    qsort(items, (size_t)n, sizeof *items, by_keys);
}

/* In the place of each name, the lowest of the ranks that have it and all keys before it. */
static void name_by_lowest(const struct item *items, const struct layout_keys *keys, int n,
                           uint64_t *names)
{
    int nkeys = keys->count;

    for (int k = 0; k < nkeys; k++)
        for (int from = 0, to; from < n; from = to) {
            int lowest = items[from].rank;

            for (to = from; to < n && in_common(&items[from], &items[to]) > k; to++)
                lowest = items[to].rank < lowest ? items[to].rank : lowest;
            for (int i = from; i < to; i++)
                names[(size_t)items[i].rank * (size_t)nkeys + (size_t)k] =
                    keys->positions >> k & 1 ? items[i].keys[k] : (uint64_t)lowest;
        }
}

/* ---- Channels ------------------------------------------------------------------------ */

static uint64_t position_of(const struct item *item, const struct layout_keys *keys)
{
    return item->keys[keys->ring];
}

/* Does every group have the same positions? */
static bool regular(const struct item *items, const struct layout_keys *keys, int n, int ngroups)
{
    int m = n / ngroups;

    if (n % ngroups || m > LAYOUT_MEMBERS)
        return false;
    for (int i = 0; i < n; i++) {
        uint64_t position = position_of(&items[i], keys);

        if (items[i].keys[0] != items[i / m * m].keys[0] || position < 1 || position > LAYOUT_MEMBERS ||
            position != position_of(&items[i % m], keys))
            return false;
    }
    return true;
}

/* Ranks at one position stay as they are. */
static void order_members(const struct item *items, const struct layout_keys *keys,
                          const struct layout_ring *ring, int m, uint8_t *at)
{
    for (int i = 0; i < m; i++) {
        uint8_t place = ring->place[position_of(&items[i], keys) - 1];
        int to = i;

        for (; to > 0 && ring->place[position_of(&items[at[to - 1]], keys) - 1] > place; to--)
            at[to] = at[to - 1];
        at[to] = (uint8_t)i;
    }
}

/* Is it the same way?  One group's rings are closed, so there it may begin elsewhere. */
static bool same_channel(const struct channel *a, const struct channel *b, int m, bool closed)
{
    for (int turn = 0; turn < (closed ? m : 1); turn++) {
        int i = 0;

        while (i < m && a->at[i] == b->at[(i + turn) % m])
            i++;
        if (i == m)
            return a->alternates == b->alternates;
    }
    return false;
}

static void find_channels(const struct item *items, const struct layout_keys *keys, int n, int ngroups,
                          struct channels *channels)
{
    int m = n / ngroups;

    *channels = (struct channels){ .members = m };
    for (int r = 0; r < keys->rings->count; r++) {
        const struct layout_ring *ring = &keys->rings->list[r];
        struct channel *c = &channels->list[channels->count];
        int same = 0;

        c->share = ring->share;
        c->alternates = ring->alternates && ngroups > 1 && m > 1;
        order_members(items, keys, ring, m, c->at);
        while (!same_channel(&channels->list[same], c, m, ngroups == 1))
            same++;
        if (same == channels->count)
            channels->count++;
        else
            channels->list[same].share += ring->share;
    }
    for (int k = 0; k < channels->count; k++) {
        channels->list[k].first = channels->total;
        channels->total += channels->list[k].share;
    }
    if (channels->count < 2)
        channels->count = 0;
}

/* ---- Trees --------------------------------------------------------------------------- */

void group_tree_hang(const struct group_tree *tree, int members, int top, uint8_t *parent)
{
    int child = top;

    memcpy(parent, tree->parent, (size_t)members);
    for (int v = top, up;; v = up) {
        up = parent[v];
        parent[v] = (uint8_t)child;
        child = v;
        if (up == v)
            return;
    }
}

int group_tree_heights(const uint8_t *parent, int members, int *heights)
{
    int most = 0;

    for (int v = 0; v < members; v++)
        heights[v] = 0;
    for (int v = 0; v < members; v++)
        for (int at = v, height = 0; parent[at] != at; at = parent[at]) {
            int *above = &heights[parent[at]];

            *above = ++height > *above ? height : *above;
            most = *above > most ? *above : most;
        }
    return most;
}

/* The first member at a position; -1: nobody is. */
static int first_at(const struct item *items, const struct layout_keys *keys, int m, unsigned position)
{
    for (int i = 0; i < m; i++)
        if (position_of(&items[i], keys) == position)
            return i;
    return -1;
}

/* Who is above a member; -1: nobody who is there. */
static int above(const struct item *items, const struct layout_keys *keys, const struct layout_tree *tree,
                 int m, int member)
{
    unsigned position = (unsigned)position_of(&items[member], keys);
    int up = first_at(items, keys, m, position);

    if (up != member)
        return up;
    do {
        position = tree->parent[position - 1];
        up = first_at(items, keys, m, position);
    } while (position && up < 0);
    return up;
}

static void hang_members(const struct item *items, const struct layout_keys *keys,
                         const struct layout_tree *tree, int m, struct group_tree *to)
{
    int root = -1;

    for (int i = 0; i < m; i++) {
        int up = above(items, keys, tree, m, i);

        if (up < 0)
            up = root < 0 ? (root = i) : root;
        to->parent[i] = (uint8_t)up;
    }
    to->root = (uint8_t)root;
}

/* From where it is lowest. */
static void hang_low(struct group_tree *tree, int m)
{
    struct group_tree as_it_was = *tree;
    int heights[LAYOUT_MEMBERS], lowest = m;

    for (int top = 0; top < m; top++) {
        uint8_t parent[LAYOUT_MEMBERS];
        int height;

        group_tree_hang(&as_it_was, m, top, parent);
        height = group_tree_heights(parent, m, heights);
        if (height < lowest) {
            lowest = height;
            tree->root = (uint8_t)top;
            memcpy(tree->parent, parent, (size_t)m);
        }
    }
}

static void find_trees(const struct item *items, const struct layout_keys *keys, int n, int ngroups,
                       struct group_trees *trees)
{
    int m = n / ngroups;

    *trees = (struct group_trees){ .members = m };
    for (int i = 0; i < keys->trees->count && m > 1; i++) {
        struct group_tree *tree = &trees->list[trees->count];
        int same = 0;

        hang_members(items, keys, &keys->trees->list[i], m, tree);
        /* Alone, a group may use it from anywhere. */
        if (ngroups == 1)
            hang_low(tree, m);
        while (memcmp(trees->list[same].parent, tree->parent, (size_t)m))
            same++;
        trees->list[same].share += keys->trees->list[i].share;
        trees->count += same == trees->count;
    }
    for (int k = 0; k < trees->count; k++) {
        trees->list[k].first = trees->total;
        trees->total += trees->list[k].share;
    }
}

/* ---- All ---------------------------------------------------------------------------- */

/* The layout of ranks in the order of `items`, whose first keys name their groups. */
static struct layout *make(const struct item *items, int n, int ngroups, bool moved)
{
    struct layout *l = calloc(1, sizeof *l + (5 * (size_t)n + 1) * sizeof *l->memory);
    int *order, *place, *group, *rank_group, *first, g = -1;
    bool together = true;

    if (!l)
        return NULL;
    order = l->memory;
    place = order + n;
    group = place + n;
    rank_group = group + n;
    first = rank_group + n;
    for (int i = 0; i < n; i++) {
        if (i == 0 || items[i].keys[0] != items[i - 1].keys[0])
            first[++g] = i;
        order[i] = items[i].rank;
        place[items[i].rank] = i;
        group[i] = rank_group[items[i].rank] = g;
    }
    first[ngroups] = n;
    /* Groups are in the order of their lowest ranks. */
    for (int r = 1; r < n; r++)
        together &= rank_group[r - 1] <= rank_group[r];
    l->nranks = n;
    l->order = moved ? order : NULL;
    l->place = moved ? place : NULL;
    l->by_place = (struct groups){ ngroups, group, first };
    l->by_rank = (struct groups){ ngroups, rank_group, together ? first : NULL };
    return l;
}

int layout_create(const struct layout_keys *keys, int nranks, struct layout **layout)
{
    struct item *items = calloc((size_t)nranks, sizeof *items);
    struct channels channels = { .count = 0 };
    struct group_trees trees = { .count = 0 };
    uint64_t *names = calloc((size_t)nranks * (size_t)keys->count, sizeof *names);
    struct layout *l = NULL;
    int status = PEAL_OK, ngroups = 0;
    bool moved = false;

    if (!items || !names)
        goto no_memory;
    sort(items, keys->rows, keys->count, nranks);
    name_by_lowest(items, keys, nranks, names);
    sort(items, names, keys->count, nranks);
    for (int i = 0; i < nranks; i++) {
        moved |= items[i].rank != i;
        ngroups += i == 0 || items[i].keys[0] != items[i - 1].keys[0];
    }
    if ((keys->rings || keys->trees) && regular(items, keys, nranks, ngroups)) {
        if (keys->rings)
            find_channels(items, keys, nranks, ngroups, &channels);
        if (keys->trees)
            find_trees(items, keys, nranks, ngroups, &trees);
    }
    if (moved || (ngroups > 1 && ngroups < nranks) || channels.count || trees.count) {
        l = make(items, nranks, ngroups, moved);
        if (!l)
            goto no_memory;
        l->channels = channels;
        l->trees = trees;
    }
    *layout = l;
    goto done;

no_memory:
    status = status_fail(PEAL_ERR_MEMORY, "no memory for the layout of %d ranks", nranks);
done:
    free(items);
    free(names);
    return status;
}

void layout_free(struct layout *layout)
{
    free(layout);
}
