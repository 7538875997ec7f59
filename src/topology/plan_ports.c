/* SPDX-License-Identifier: BSD-3-Clause */
/* The NIC for each GPU: a matching between GPUs and the ports that are best for each, in which the
 * busiest port has as few GPUs as can be.  GPUs are placed one after the other; one may push others to
 * ports that are as good for them (augmenting paths to the least loaded port, which keeps the loads as
 * even as they can be: Harvey, Ladner, Lovasz and Tamir's semi-matching). */
#include "topology/plan.h"

#include "base/status.h"
#include "topology/room.h"

#include <math.h>
#include <stdlib.h>

struct matching {
    const struct topology *t;
    int   ngpus, nports;
    const int *gpus;
    int  *ports;                       /* nodes */
    struct topology_path *paths;       /* ngpus * nports */
    bool *good;                        /* ngpus * nports: as good as any for the GPU */
    int  *load, *adapter_load;         /* GPUs, by port; the latter counted for its adapter */
    int  *chosen;                      /* by GPU: port, or -1 */
    int  *from, *queue;                /* of the search: the GPU by which a port was reached, or -1 */
};

/* Bridges and tunnels, which run over some real port: in NCCL's files, hanging from no PCI device. */
static bool is_virtual(const struct matching *m, int p)
{
    int adapter = m->t->nodes[m->ports[p]].parent;

    return adapter >= 0 && m->t->nodes[adapter].bus == TOPOLOGY_NO_BUS;
}

/* A management port beside the GPU is not better than a fast one further away. */
static const double much_slower = 0.25;
static const double same = 0.99;       /* of the bandwidth */

static void judge(struct matching *m, int g)
{
    const struct topology_path *paths = m->paths + (size_t)g * (size_t)m->nports;
    bool *good = m->good + (size_t)g * (size_t)m->nports;
    enum topology_class nearest = CLASS_NONE;
    double fastest = 0, best = 0;
    bool real = false;

    for (int p = 0; p < m->nports; p++)
        real |= paths[p].class < CLASS_NET && !is_virtual(m, p);
    for (int p = 0; p < m->nports; p++) {
        good[p] = paths[p].class < CLASS_NET && !(real && is_virtual(m, p));
        if (good[p])
            fastest = fmax(fastest, paths[p].bandwidth);
    }
    for (int p = 0; p < m->nports; p++) {
        good[p] &= paths[p].bandwidth >= fastest * much_slower;
        if (good[p] && paths[p].class < nearest)
            nearest = paths[p].class;
    }
    for (int p = 0; p < m->nports; p++) {
        good[p] &= paths[p].class == nearest;
        if (good[p])
            best = fmax(best, paths[p].bandwidth);
    }
    for (int p = 0; p < m->nports; p++)
        good[p] &= paths[p].bandwidth >= best * same;
}

static bool lighter(const struct matching *m, int a, int b)
{
    return m->load[a] != m->load[b] ? m->load[a] < m->load[b] :
                                      m->adapter_load[a] < m->adapter_load[b];
}

static void count(struct matching *m, int port, int change)
{
    m->load[port] += change;
    for (int p = 0; p < m->nports; p++)
        if (m->t->nodes[m->ports[p]].parent == m->t->nodes[m->ports[port]].parent)
            m->adapter_load[p] += change;
}

/* Ports by way of GPU `gpu` that were not reached yet; the least loaded of all. */
static int widen(struct matching *m, int gpu, int best)
{
    for (int p = 0; p < m->nports; p++) {
        if (!m->good[gpu * m->nports + p] || m->from[p] >= 0)
            continue;
        m->from[p] = gpu;
        if (best < 0 || lighter(m, p, best))
            best = p;
    }
    return best;
}

static void place(struct matching *m, int g)
{
    int head = 0, tail = 0, best = -1;

    for (int p = 0; p < m->nports; p++)
        m->from[p] = -1;
    m->queue[tail++] = g;
    while (head < tail) {
        best = widen(m, m->queue[head++], best);
        /* GPUs whose ports have been reached might be pushed on. */
        for (int other = 0; other < m->ngpus; other++) {
            bool queued = m->chosen[other] < 0 || m->from[m->chosen[other]] < 0;

            for (int i = 0; i < tail && !queued; i++)
                queued = m->queue[i] == other;
            if (!queued)
                m->queue[tail++] = other;
        }
    }
    while (best >= 0) {
        int gpu = m->from[best], before = m->chosen[gpu];

        if (before >= 0)
            count(m, before, -1);
        count(m, best, 1);
        m->chosen[gpu] = best;
        best = before;
    }
}

static int list_ports(struct matching *m, int host)
{
    m->nports = 0;
    for (int i = 0; i < m->t->nnodes; i++)
        if (m->t->nodes[i].kind == TOPOLOGY_PORT && m->t->nodes[i].host == host)
            m->ports[m->nports++] = i;
    return m->nports;
}

/* The GPUs of one host. */
static int match(const struct topology *t, const int *gpus, int ngpus, int *port)
{
    size_t n = (size_t)ngpus, most = (size_t)topology_count(t, TOPOLOGY_PORT, t->nodes[gpus[0]].host);
    size_t pairs = n * most;
    int *ints = calloc(4 * most + 2 * n + 1, sizeof *ints), status = PEAL_OK;
    struct matching m = {
        .t = t, .ngpus = ngpus, .gpus = gpus, .paths = malloc(pairs * sizeof *m.paths + 1),
        .good = malloc(pairs + 1)
    };

    if (ints && m.paths && m.good) {
        m.ports = ints;
        m.load = ints + most;
        m.adapter_load = ints + 2 * most;
        m.from = ints + 3 * most;
        m.chosen = ints + 4 * most;
        m.queue = m.chosen + n;
        list_ports(&m, t->nodes[gpus[0]].host);
        status = paths_to(t, gpus, ngpus, m.ports, m.nports, CLASS_SYS, m.paths);
        for (int g = 0; g < ngpus && !status; g++) {
            judge(&m, g);
            m.chosen[g] = -1;
        }
        for (int g = 0; g < ngpus && !status; g++)
            place(&m, g);
        for (int g = 0; g < ngpus && !status; g++)
            port[g] = m.chosen[g] < 0 ? -1 : m.ports[m.chosen[g]];
    } else {
        status = room_none("NICs", ngpus);
    }
    free(ints);
    free(m.paths);
    free(m.good);
    return status;
}

int plan_ports(const struct topology *t, const int *gpus, int ngpus, int *port)
{
    int *some = malloc((size_t)ngpus * 2 * sizeof *some + 1), status = PEAL_OK;

    if (!some)
        return room_none("NICs", ngpus);
    for (int i = 0; i < ngpus; i++)
        port[i] = -2;
    for (int i = 0; i < ngpus && !status; i++) {
        int n = 0;

        if (port[i] != -2)
            continue;
        for (int k = i; k < ngpus; k++)
            if (t->nodes[gpus[k]].host == t->nodes[gpus[i]].host)
                some[n++] = gpus[k];
        status = match(t, some, n, some + ngpus);
        for (int k = i, at = 0; k < ngpus && !status; k++)
            if (t->nodes[gpus[k]].host == t->nodes[gpus[i]].host)
                port[k] = some[ngpus + at++];
    }
    free(some);
    return status;
}
