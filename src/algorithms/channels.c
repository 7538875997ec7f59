/* SPDX-License-Identifier: BSD-3-Clause */
#include "algorithms/channels.h"

#include <stdlib.h>

void laps_no_end(struct schedule *s, const struct call *c, struct lap *lap)
{
    (void)s;
    (void)c;
    (void)lap;
}

void laps_build(struct schedule *s, const struct call *c, const struct laps *laps)
{
    struct lap lap = { .sum = { SRC, 0, 0 } };

    laps->begin(s, c, &lap);
    for (int i = 0; i < laps->steps(c->nranks); i++)
        laps->step(s, c, &lap, i);
    laps->end(s, c, &lap);
}

/* The part of `c` that goes over a channel: `order` becomes the rank at each of its numbers. */
static struct call channel_call(const struct call *c, int channel, bool ring, int *order)
{
    const struct channel *of = &c->channels->list[channel];
    struct call sub = *c;

    for (int i = 0; i < c->nranks; i++) {
        int place = channel_place(c->channels, channel, i, ring);

        if (place == c->rank)
            sub.rank = i;
        if (place == c->root)
            sub.root = i;
        order[i] = c->order ? c->order[place] : place;
    }
    sub.order = order;
    sub.portion = (struct portion){ of->first, of->first + of->share, c->channels->total };
    sub.channels = NULL;
    sub.trees = NULL;
    return sub;
}

void channels_build(struct schedule *s, const struct call *c, const struct laps *laps)
{
    int n = c->channels ? c->channels->count : 0, *orders;
    const int *outer = s->peers;
    struct call calls[LAYOUT_CHANNELS];
    struct lap rings[LAYOUT_CHANNELS] = { { .sum = { SRC, 0, 0 } } };

    if (n == 0) {
        laps_build(s, c, laps);
        return;
    }
    orders = malloc((size_t)n * (size_t)c->nranks * sizeof *orders);
    if (!orders) {
        s->failed = true;
        return;
    }
    for (int k = 0; k < n; k++) {
        calls[k] = channel_call(c, k, true, orders + (size_t)k * (size_t)c->nranks);
        laps->begin(s, &calls[k], &rings[k]);
    }
    for (int i = 0; i < laps->steps(c->nranks); i++)
        for (int k = 0; k < n; k++) {
            schedule_peers(s, calls[k].order);
            laps->step(s, &calls[k], &rings[k], i);
        }
    for (int k = 0; k < n; k++)
        laps->end(s, &calls[k], &rings[k]);
    schedule_peers(s, outer);
    free(orders);
}

void channels_each(struct schedule *s, const struct call *c, const struct algorithm *a, bool rings)
{
    int n = c->channels ? c->channels->count : 0, *order;
    const int *outer = s->peers;

    if (n == 0) {
        a->build(s, c);
        return;
    }
    order = malloc((size_t)c->nranks * sizeof *order);
    s->failed |= !order;
    for (int k = 0; k < n && order; k++) {
        struct call sub = channel_call(c, k, rings, order);

        schedule_peers(s, order);
        a->build(s, &sub);
    }
    schedule_peers(s, outer);
    free(order);
}

/* ---- Prices ---------------------------------------------------------------------- */

bool channels_exist(const struct layout *layout)
{
    return layout && layout->channels.count;
}

struct price channels_over(const struct algorithm *self, const struct call *c, double bytes)
{
    struct price one = self->price(c->nranks, c->groups, bytes);
    int n = c->channels->count;

    one.busiest.messages *= n;
    one.all.messages *= n;
    one.far.messages *= n;
    one.far.all_messages *= n;
    one.parts = one.ways = n;
    return one;
}

/* The rank by which most channels leave a group, or enter it, has more than others to do with other
 * groups. */
struct price channels_over_rings(const struct algorithm *self, const struct call *c, double bytes)
{
    const struct channels *channels = c->channels;
    struct price one = self->price(c->nranks, c->groups, bytes), all = channels_over(self, c, bytes);
    double most = 0, most_share = 0;

    for (int end = 0; end < 4 && c->groups; end++)        /* of even groups and odd, first and last */
        for (int i = 0; i < channels->members; i++) {
            int at = end / 2 * channels->members + (end % 2 ? channels->members - 1 : 0);
            double crossing = 0, share = 0;

            for (int k = 0; k < channels->count; k++)
                if (channel_place(channels, k, at, true) % channels->members == i) {
                    crossing++;
                    share += channels->list[k].share;
                }
            most = crossing > most ? crossing : most;
            most_share = share > most_share ? share : most_share;
        }
    all.far.messages = one.far.messages * most;
    all.far.sent = one.far.sent * most_share / channels->total;
    return all;
}
