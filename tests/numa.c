/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory near those who read it: which node that is, told by folders like /sys/devices/system/node; and
 * that the system has been asked for it (get_mempolicy, /proc/self/numa_maps), by peal_mem_alloc and for
 * the rings of shm.  Whether pages came from there only a machine of several nodes could show. */
#include "base/numa.h"

#include "checks.h"
#include "devices/device.h"
#include "transports/transport.h"

#include <linux/mempolicy.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = 8 };

/* ---- Machines ------------------------------------------------------------------------- */

static void write_line(const char *folder, const char *name, const char *line)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    if (!file || fprintf(file, "%s\n", line) < 0 || fclose(file)) {
        perror(path);
        exit(1);
    }
}

/* Nodes 0 and 3 (a gap is not rare), with these cores; "" for `second`: node 0 is all. */
static void make_machine(char folder[64], const char *first, const char *second)
{
    char path[128];

    snprintf(folder, 64, "/tmp/peal-numa-XXXXXX");
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(1);
    }
    write_line(folder, "online", *second ? "0,3" : "0");
    for (int i = 0; i < (*second ? 2 : 1); i++) {
        snprintf(path, sizeof path, "%s/node%d", folder, i ? 3 : 0);
        mkdir(path, 0700);
        write_line(path, "cpulist", i ? second : first);
    }
    numa_folder = folder;
}

static void remove_machine(const char *folder)
{
    static const char *const names[] = { "node0/cpulist", "node0", "node3/cpulist", "node3", "online", "" };
    char path[256];

    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
}

/* The folder is read once in a process: each machine has its own. */
static void on_machine(const char *what, const char *first, const char *second, void (*body)(void))
{
    char folder[64];
    int status = 0;

    make_machine(folder, first, second);
    fflush(stdout);
    if (fork() == 0) {
        checks = failures = 0;
        body();
        printf("%s: %d checks, %d failed\n", what, checks, failures);
        exit(failures > 0);
    }
    wait(&status);
    remove_machine(folder);
    check(status == 0, "%s: wait status %x", what, (unsigned)status);
}

/* ---- What the system has been asked for ------------------------------------------------- */

/* -1: nothing; else the node preferred at this address. */
static int preferred(const void *address)
{
    unsigned long mask[16] = { 0 };
    int mode = 0;

    if (syscall(SYS_get_mempolicy, &mode, mask, 8 * sizeof mask, address, MPOL_F_ADDR)) {
        check(false, "get_mempolicy: %m");
        return -1;
    }
    for (int i = 0; i < 1024 && mode == MPOL_PREFERRED; i++)
        if (mask[i / 64] >> i % 64 & 1)
            return i;
    return -1;
}

static const char *may_prefer(void)
{
    static char why[100];
    unsigned long mask[16] = { 1 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int mode;

    why[0] = 0;
    if (syscall(SYS_mbind, memory, page, MPOL_PREFERRED, mask, 8 * sizeof mask, 0))
        snprintf(why, sizeof why, "mbind: %m");
    else if (syscall(SYS_get_mempolicy, &mode, mask, 8 * sizeof mask, memory, MPOL_F_ADDR))
        snprintf(why, sizeof why, "get_mempolicy: %m");
    munmap(memory, page);
    return why;
}

/* ---- Which node ---------------------------------------------------------------------------- */

static void on_first(void)
{
    check(numa_of_thread() == 0, "node %d, not 0", numa_of_thread());
}

static void on_second(void)
{
    check(numa_of_thread() == 3, "node %d, not 3", numa_of_thread());
}

static void on_none(void)
{
    void *memory;

    check(numa_of_thread() == -1, "node %d, not -1", numa_of_thread());
    check(memory_alloc(1 << 20, &memory) == PEAL_OK && preferred(memory) == -1, "a node is preferred");
    memory_free(memory);
}

static void on_split(void)
{
    cpu_set_t all, one;

    sched_getaffinity(0, sizeof all, &all);
    if (!CPU_ISSET(0, &all) || CPU_COUNT(&all) < 2) {
        printf("skipped: several nodes: needs core 0 and another\n");
        return;
    }
    check(numa_of_thread() == -1, "of two nodes: %d", numa_of_thread());
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET((size_t)i, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET((size_t)i, &one);
        sched_setaffinity(0, sizeof one, &one);
        check(numa_of_thread() == (i ? 3 : 0), "core %d: node %d", i, numa_of_thread());
    }
    sched_setaffinity(0, sizeof all, &all);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void test_prefer(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    numa_prefer(memory, PAGES * page, -1);
    check(preferred(memory) == -1, "no node, but %d is preferred", preferred(memory));
    numa_prefer(memory + 1, 4 * page, 0);
    for (int i = 0; i < PAGES; i++)
        check(preferred(memory + (size_t)i * page) == (i >= 1 && i < 4 ? 0 : -1), "page %d: %d", i,
              preferred(memory + (size_t)i * page));
    /* What is no advice is no failure either. */
    numa_prefer(memory, page - 1, 0);
    numa_prefer(memory, page, 1000);
    numa_prefer(memory, page, 1 << 20);
    check(preferred(memory) == -1, "nonsense: %d", preferred(memory));
    munmap(memory, PAGES * page);
}

static void test_alloc(void)
{
    char *memory = NULL;

    check(memory_alloc(3 << 20, (void **)&memory) == PEAL_OK, "no memory");
    check(preferred(memory) == 0 && preferred(memory + (3 << 20) - 1) == 0, "peal_mem_alloc: %d, %d",
          preferred(memory), preferred(memory + (3 << 20) - 1));
    memset(memory, 1, 3 << 20);
    check(memory_free(memory) == PEAL_OK, "free");
}

/* ---- The rings of shm ---------------------------------------------------------------------------- */

struct end {
    struct where            where;
    struct completion_queue completions;
    struct port            *port;
    struct endpoint        *peer;
};

/* Of the shared area that is mapped here, KiB that prefer a node, in all and in its second half, where the
 * ring is that the side which dialled reads; and KiB that do not. */
struct area { long preferring, second, others; };

static struct area measure(void)
{
    const unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE);
    unsigned long first = 0, last = 0, from, to;
    struct area a = { 0, 0, 0 };
    char line[1024];
    FILE *maps = fopen("/proc/self/maps", "r");

    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, "memfd:peal-shm") && sscanf(line, "%lx-%lx", &from, &to) == 2) {
            first = first ? first : from;
            last = to;
        }
    if (maps)
        fclose(maps);
    for (unsigned long at = first; at < last; at += page) {
        bool prefers = preferred((const void *)at) >= 0;

        *(prefers ? &a.preferring : &a.others) += (long)page >> 10;
        a.second += prefers && at >= (first + last) / 2 ? (long)page >> 10 : 0;
    }
    return a;
}

/* Two ends in this process: the first dials; their nodes are these, from 1. */
static void connect_ends(const struct transport *shm, struct end ends[2], uint16_t first, uint16_t second)
{
    int sockets[2];

    check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), "socketpair");
    for (int i = 0; i < 2; i++) {
        struct port_options options = { .communicator = 1, .rank = i, .nranks = 2, .local_ranks = 2,
                                        .where = &ends[i].where, .completions = &ends[i].completions };

        ends[i].where = (struct where){ .host = 1, .process = 1 + (uint64_t)i, .numa = i ? second : first };
        completion_queue_init(&ends[i].completions);
        check(shm->open(&options, &ends[i].port) == PEAL_OK, "open: %s", status_text());
    }
    for (int i = 0; i < 2; i++)
        check(shm->connect(ends[i].port, !i, &ends[!i].where, &sockets[i], 1, i == 0, &ends[i].peer) ==
              PEAL_OK, "connect: %s", status_text());
}

static void test_rings(uint16_t first, uint16_t second)
{
    const struct transport *shm = transport_find("shm");
    struct end ends[2];
    struct area a;
    int rings = (first == 1) + (second == 1);

    connect_ends(shm, ends, first, second);
    /* The dialler's mapping is there; the other's takes over its memory, and with it what was asked. */
    a = measure();
    printf("  rings between nodes %d and %d: %ld KiB prefer a node, %ld do not\n", first - 1, second - 1,
           a.preferring, a.others);
    /* A ring of 2 MiB and one of slots, less the pages at their ends. */
    check(a.preferring >= rings * 2048 && a.preferring <= rings * (2048 + 16), "%ld KiB of %d rings",
          a.preferring, rings);
    check(a.others > (2 - rings) * 2048, "%ld KiB of %d rings, and what both read", a.others, 2 - rings);
    check(first ? a.second > 200 : a.second < 50, "%ld KiB of the second half", a.second);
    for (int i = 0; i < 2; i++)
        shm->close(ends[i].port, false);
}

static void on_memory(void)
{
    const char *why = may_prefer();

    if (*why) {
        printf("skipped: what memory prefers: %s\n", why);
        return;
    }
    test_prefer();
    test_alloc();
    test_rings(0, 0);
    test_rings(1, 0);
    test_rings(0, 1);
    test_rings(1, 1);
}

int main(void)
{
    /* All cores that this process may have, in one node or the other. */
    on_machine("all on the first node", "0-1023", "2000", on_first);
    on_machine("all on the second node", "2000", "0-1023", on_second);
    on_machine("one node", "0-1023", "", on_none);
    on_machine("several nodes", "0", "1-1023", on_split);
    on_machine("no list", "x", "y", on_none);
    on_machine("memory", "0-1023", "2000", on_memory);
    printf("numa: %s, %d checks, %d failed\n", failures ? "FAIL" : "ok", checks, failures);
    return failures > 0;
}
