/* SPDX-License-Identifier: BSD-3-Clause */
/* Which GPU a rank has, and which network devices are near it, on machines of which files are
 * there. */
#include "comm/position.h"

#include "base/status.h"
#include "tests/checks.h"
#include "topology/topology_source.h"

#include <stdlib.h>
#include <string.h>

static struct topology read_machine(const char *name)
{
    const char *top = getenv("srcdir");
    struct topology t;
    char path[512];

    snprintf(path, sizeof path, "%s/tests/topologies/%s", top ? top : ".", name);
    check(topology_read(path, &t) == PEAL_OK, "%s: %s", path, status_text());
    return t;
}

static void expect(const struct topology *t, int local, int gpu, const char *near)
{
    struct position p;
    int status = position_find(t, local, NULL, &p), node;

    check(status == PEAL_OK, "rank %d: %s", local, status_text());
    if (status)
        return;
    node = topology_nth(t, TOPOLOGY_GPU, 0, gpu);
    check(p.gpu == node, "rank %d: node %d, not %d", local, p.gpu, node);
    check(!strcmp(p.near, near), "rank %d: near is \"%s\", not \"%s\"", local, p.near, near);
    check(p.numa == topology_numa(t, node), "rank %d: NUMA node", local);
}

/* Slingshot adapters in the reverse order of the GPUs, one on each NUMA node. */
static void one_each(void)
{
    static const char *const near[] = { "cxi3", "cxi2", "cxi1", "cxi0" };
    struct topology t = read_machine("perlmutter-a100/topo.xml");

    for (int local = 0; local < 9; local++)
        expect(&t, local, local % 4, near[local % 4]);
    topology_free(&t);
}

static void named(void)
{
    struct topology t = read_machine("perlmutter-a100/topo.xml");
    struct position p;

    setenv("PEAL_GPU", "2", 1);
    expect(&t, 0, 2, "cxi1");
    expect(&t, 3, 2, "cxi1");
    setenv("PEAL_GPU", "3,1", 1);
    expect(&t, 0, 3, "cxi0");
    expect(&t, 1, 1, "cxi2");
    expect(&t, 2, 3, "cxi0");
    setenv("PEAL_GPU", "0000:41:00.0", 1);
    expect(&t, 5, 1, "cxi2");
    for (int i = 0; i < 4; i++) {
        static const char *const wrong[] = { "4", "x", "-1", "0000:42:00.0" };

        setenv("PEAL_GPU", wrong[i], 1);
        check(position_find(&t, 0, NULL, &p) == PEAL_ERR_ARGUMENT &&
              strstr(status_text(), wrong[i]), "\"%s\": \"%s\"", wrong[i], status_text());
    }
    unsetenv("PEAL_GPU");
    setenv("CUDA_VISIBLE_DEVICES", "1,0", 1);
    expect(&t, 0, 1, "cxi2");
    expect(&t, 1, 0, "cxi3");
    setenv("CUDA_VISIBLE_DEVICES", "GPU-01234567-89ab", 1);
    check(position_find(&t, 0, NULL, &p) == PEAL_OK && p.gpu == -1 && !*p.near,
          "an identifier that is not known");
    unsetenv("CUDA_VISIBLE_DEVICES");
    topology_free(&t);
}

/* Ranks without a GPU, by their cores. */
static void cores_only(void)
{
    struct topology t;
    struct position p;
    cpu_set_t cores;

    check(topology_read("socket:2 nic:4@100", &t) == PEAL_OK, "%s", status_text());
    for (int i = 0; i < 2; i++)
        snprintf(t.nodes[topology_nth(&t, TOPOLOGY_NUMA, 0, i)].cpus,
                 sizeof t.nodes->cpus, i ? "4-7,12-15" : "0-3,8-11");
    for (int i = 0; i < 3; i++) {
        CPU_ZERO(&cores);
        CPU_SET(i == 1 ? 13 : 2, &cores);
        CPU_SET(i == 0 ? 3 : 6, &cores);
        check(position_find(&t, 0, &cores, &p) == PEAL_OK, "%s", status_text());
        check(p.gpu == -1, "a GPU");
        check(i < 2 ? p.numa == topology_nth(&t, TOPOLOGY_NUMA, 0, i) : p.numa == -1,
              "%d: NUMA node", i);
        for (int k = 0; k < 4; k++) {
            int port = topology_nth(&t, TOPOLOGY_PORT, 0, k);
            const char *name = t.nodes[port].name;

            check(setting_lists(p.near, name, NULL) == (i < 2 && topology_numa(&t, port) == p.numa),
                  "cores %d: \"%s\", %s", i, p.near, name);
        }
    }
    topology_free(&t);
}

int main(void)
{
    one_each();
    named();
    cores_only();
    printf("position: %d checks, %d failed\n", checks, failures);
    return failures > 0;
}
