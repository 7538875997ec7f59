/* SPDX-License-Identifier: BSD-3-Clause */
#include "topology_well.h"

#include "base/status.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 4000 };                 /* what takes the square of it is left out beyond */

static const char *ill_node(const struct topology *t, int i)
{
    const struct topology_node *node = &t->nodes[i];
    bool shared = node->kind == TOPOLOGY_RAIL || node->kind == TOPOLOGY_NVSWITCH;
    int steps = 0, up = i;

    if ((int)node->kind < 0 || node->kind >= TOPOLOGY_KIND_COUNT)
        return "a node of no kind";
    if (node->host < -1 || node->host >= t->nhosts || (node->host < 0 && !shared))
        return "a node on no host";
    if (node->parent >= i || node->parent < -1)
        return "a parent that is not before";
    if (node->parent >= 0 && t->nodes[node->parent].host != node->host)
        return "a parent on another host";
    if (node->parent < 0 && !shared && node->kind != TOPOLOGY_NUMA)
        return "a device that hangs from nothing";
    while (up >= 0 && ++steps <= TOPOLOGY_DEPTH_MOST)
        up = t->nodes[up].parent;
    if (up >= 0)
        return "a tree too deep";
    if (!memchr(node->name, 0, sizeof node->name) || !memchr(node->model, 0, sizeof node->model) ||
        !memchr(node->cpus, 0, sizeof node->cpus) || !memchr(node->arch, 0, sizeof node->arch) ||
        !memchr(node->vendor, 0, sizeof node->vendor))
        return "a text without an end";
    if (!isfinite(node->speed) || node->speed < 0)
        return "a speed that is none";
    return NULL;
}

static const char *ill_links(const struct topology *t)
{
    long sum = 0;

    for (int i = 0; i < t->nlinks; i++) {
        const struct topology_link *link = &t->links[i];

        if (link->a < 0 || link->b < 0 || link->a >= t->nnodes || link->b >= t->nnodes ||
            link->a == link->b)
            return "a link without two ends";
        if (!isfinite(link->bandwidth) || !(link->bandwidth > 0) || link->lanes < 0 ||
            !isfinite(link->latency) || link->latency < 0)
            return "a link without a bandwidth";
        if (t->nlinks < LARGE && (topology_link_between(t, link->a, link->b, link->medium) != i ||
                                  topology_link_between(t, link->b, link->a, link->medium) != i))
            return "a link that is not found, or not alone";
    }
    for (int i = 0; i < t->nnodes; i++)
        for (int k = t->first[i]; k < t->first[i + 1]; k++) {
            if (t->links[t->incident[k]].a != i && t->links[t->incident[k]].b != i)
                return "a link at a node that it does not join";
            sum++;
        }
    return sum == 2L * t->nlinks ? NULL : "links that are not at their nodes";
}

static const char *ill_order(const struct topology *t)
{
    int all = 0;

    for (int kind = 0; kind < TOPOLOGY_KIND_COUNT; kind++) {
        int n = topology_count(t, (enum topology_kind)kind, -1), on_hosts = 0;

        for (int i = 0; i < n; i++) {
            int node = topology_nth(t, (enum topology_kind)kind, -1, i);

            if (node < 0 || (int)t->nodes[node].kind != kind)
                return "a node that its kind does not have";
            if (t->nnodes < LARGE && topology_find_name(t, t->nodes[node].host, (enum topology_kind)kind,
                                                        t->nodes[node].name) != node)
                return "two nodes of one name";
        }
        for (int host = 0; host < t->nhosts; host++)
            on_hosts += topology_count(t, (enum topology_kind)kind, host);
        if (on_hosts > n || topology_nth(t, (enum topology_kind)kind, -1, n) != -1)
            return "more nodes than there are";
        all += n;
    }
    return all == t->nnodes ? NULL : "nodes of no kind";
}

const char *topology_ill(const struct topology *t)
{
    const char *what = NULL;

    for (int i = 0; i < t->nnodes && !what; i++)
        what = ill_node(t, i);
    what = what ? what : ill_links(t);
    return what ? what : ill_order(t);
}

/* ---- Two that are to be the same -------------------------------------------------------- */

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * (fabs(a) + fabs(b));
}

/* The node of b that stands where node i of a does among its kind. */
static int *counterparts(const struct topology *a, const struct topology *b)
{
    int *other = malloc((size_t)(a->nnodes + 1) * sizeof *other);

    for (int kind = 0; kind < TOPOLOGY_KIND_COUNT; kind++)
        for (int i = a->kind_first[kind]; i < a->kind_first[kind + 1]; i++)
            other[a->order[i]] = topology_nth(b, (enum topology_kind)kind, -1, i - a->kind_first[kind]);
    return other;
}

static const char *node_differs(const struct topology_node *x, const struct topology_node *y, bool exact)
{
    static char what[100];
    bool named = exact || x->kind == TOPOLOGY_PORT || x->kind == TOPOLOGY_GPU;
    const char *field = x->host != y->host ? "host" : x->number != y->number ? "number" :
                        named && strcmp(x->name, y->name) ? "name" :
                        x->capability != y->capability ? "capability" :
                        x->direct != y->direct ? "direct" : x->guid != y->guid ? "guid" :
                        strcmp(x->cpus, y->cpus) ? "cpus" : strcmp(x->arch, y->arch) ? "arch" :
                        strcmp(x->vendor, y->vendor) ? "vendor" : x->family != y->family ? "family" :
                        x->revision != y->revision ? "revision" : NULL;

    if (!field && x->bus != TOPOLOGY_NO_BUS)
        field = x->bus != y->bus ? "bus" : x->pci_vendor != y->pci_vendor ? "vendor" :
                x->pci_device != y->pci_device ? "device" :
                x->pci_class && x->pci_class != y->pci_class ? "class" : NULL;
    if (!field && exact)
        field = strcmp(x->model, y->model) ? "model" : x->socket != y->socket ? "socket" :
                x->bus != y->bus ? "bus" : x->parent != y->parent ? "parent" :
                x->speed < y->speed || x->speed > y->speed ? "speed" : NULL;
    if (!field)
        return NULL;
    snprintf(what, sizeof what, "%s of %s", field, x->name);
    return what;
}

const char *topology_differs(const struct topology *a, const struct topology *b, bool exact)
{
    static char what[100];
    int *other = counterparts(a, b);
    const char *wrong = a->nhosts != b->nhosts ? "hosts" : a->nnodes != b->nnodes ? "nodes" :
                        a->nlinks != b->nlinks ? "links" : NULL;

    for (int i = 0; i < a->nnodes && !wrong; i++)
        wrong = other[i] < 0 ? "a node that is gone" :
                node_differs(&a->nodes[i], &b->nodes[other[i]], exact);
    for (int i = 0; i < a->nlinks && !wrong; i++) {
        const struct topology_link *x = &a->links[i], *y;
        int at = topology_link_between(b, other[x->a], other[x->b], x->medium);

        y = at < 0 ? NULL : &b->links[at];
        snprintf(what, sizeof what, "%s link of %s and %s", topology_medium_name(x->medium),
                 a->nodes[x->a].name, a->nodes[x->b].name);
        if (!y || x->lanes != y->lanes || !near(x->bandwidth, y->bandwidth) ||
            (exact && !near(x->latency, y->latency)))
            wrong = what;
    }
    free(other);
    return wrong;
}

bool topology_survives(const char *text, size_t length)
{
    struct topology t;
    unsigned before = status_count();
    const char *ill;
    int status = topology_read_text(text, length, "hostile", &t);

    if (status) {
        if (status_count() == before || strncmp(status_text(), "hostile:", 8)) {
            printf("refused without a word that names it: %s\n", status_text());
            return false;
        }
        return true;
    }
    ill = topology_ill(&t);
    if (ill)
        printf("read, with %s\n", ill);
    topology_free(&t);
    return !ill;
}

/* ---- Questions of tests ---------------------------------------------------------------------- */

bool noted(const struct topology *t, const char *words)
{
    for (int i = 0; i < t->nnotes; i++)
        if (strstr(t->notes[i].text, words))
            return true;
    return false;
}

int of_kind(const struct topology *t, enum topology_kind kind)
{
    return topology_count(t, kind, -1);
}

struct sum links_of(const struct topology *t, enum topology_medium medium)
{
    struct sum sum = { 0, 0, 0 };

    for (int i = 0; i < t->nlinks; i++)
        if (t->links[i].medium == medium) {
            sum.links++;
            sum.lanes += t->links[i].lanes;
            sum.bandwidth += t->links[i].bandwidth;
        }
    return sum;
}

bool about(double is, double wanted)
{
    return fabs(is - wanted) <= 1e-6 * (1 + fabs(wanted));
}

bool topology_without_expat(void)
{
    static const char text[] = "<system><cpu/></system>";
    struct topology t;

    if (topology_read_text(text, sizeof text - 1, "test", &t))
        return strstr(status_text(), "without libexpat") != NULL;
    topology_free(&t);
    return false;
}
