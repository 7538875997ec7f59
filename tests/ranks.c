/* SPDX-License-Identifier: BSD-3-Clause */
#include "ranks.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { REPORTS_MOST = 4 };             /* of one rank; the rest is only counted */

struct slot {
    _Atomic int   failures;
    _Atomic bool  done;
    _Atomic pid_t pid;
    char          doing[200];
};

/* What all processes of a run see. */
struct ranks_board {
    pthread_barrier_t meeting;
    sem_t             id_ready;
    peal_unique_id_t  id;
    char              root[40];
    struct slot       slots[RANKS_MOST];
};

/* ---- For ranks ------------------------------------------------------------- */

void rank_doing(struct rank *me, const char *format, ...)
{
    struct slot *slot = &me->board->slots[me->rank];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(slot->doing, sizeof slot->doing, format, arguments);
    va_end(arguments);
}

bool rank_check(struct rank *me, bool good, const char *format, ...)
{
    struct slot *slot = &me->board->slots[me->rank];
    char text[2200];
    va_list arguments;

    if (good)
        return true;
    if (atomic_fetch_add(&slot->failures, 1) < REPORTS_MOST) {
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        fprintf(stderr, "FAIL %s, rank %d of %d, in %s: %s\n", me->plan->name, me->rank,
                me->nranks, slot->doing, text);
    }
    return false;
}

bool rank_status(struct rank *me, int status, int wanted, const char *what)
{
    return rank_check(me, status == wanted, "%s gave \"%s\" (%d), not \"%s\": %s", what,
                      peal_strerror(status), status, peal_strerror(wanted),
                      status ? peal_last_error() : "");
}

bool rank_error_says(struct rank *me, const char *word)
{
    return rank_check(me, strstr(peal_last_error(), word) != NULL,
                      "the error text lacks \"%s\": %s", word, peal_last_error());
}

int rank_failures(const struct rank *me)
{
    return atomic_load(&me->board->slots[me->rank].failures);
}

pid_t rank_pid(const struct rank *me, int rank)
{
    return atomic_load(&me->board->slots[rank].pid);
}

void rank_meet(struct rank *me)
{
    pthread_barrier_wait(&me->board->meeting);
}

static int join_by_environment(struct rank *me, const peal_config_t *config, peal_comm_t *comm)
{
    char number[16];

    snprintf(number, sizeof number, "%d", me->rank);
    setenv("PEAL_RANK", number, 1);
    snprintf(number, sizeof number, "%d", me->nranks);
    setenv("PEAL_SIZE", number, 1);
    setenv("PEAL_ROOT", me->board->root, 1);
    setenv("PEAL_SECRET", "a secret of a test, 16 or more characters", 1);
    return peal_init(config, comm);
}

int rank_join(struct rank *me, const peal_config_t *config, peal_comm_t *comm)
{
    struct ranks_board *board = me->board;

    if (me->plan->environment)
        return join_by_environment(me, config, comm);
    if (me->rank == 0) {
        int status = peal_get_unique_id(&board->id);

        for (int i = 1; i < me->nranks; i++)
            sem_post(&board->id_ready);
        if (status)
            return status;
    } else {
        while (sem_wait(&board->id_ready) && errno == EINTR)
            ;
    }
    return peal_comm_create(&board->id, me->rank, me->nranks, config, comm);
}

bool rank_comm(struct rank *me, peal_comm_t *comm)
{
    return rank_status(me, rank_join(me, me->plan->config, comm), PEAL_OK,
                       "making the communicator");
}

bool rank_comm_free(struct rank *me, peal_comm_t *comm)
{
    rank_doing(me, "peal_comm_free");
    return rank_status(me, peal_comm_free(comm), PEAL_OK, "peal_comm_free");
}

/* ---- Processes and threads --------------------------------------------------- */

struct seat {
    struct rank rank;
    pthread_t   thread;
};

static void *rank_run(void *argument)
{
    struct rank *me = argument;
    struct slot *slot = &me->board->slots[me->rank];

    atomic_store(&slot->pid, getpid());
    rank_doing(me, "its beginning");
    me->plan->body(me);
    atomic_store(&slot->done, true);
    return NULL;
}

/* The life of one process of the run. */
static void process_run(const struct ranks_plan *plan, struct ranks_board *board, void *shared,
                        int first, int count)
{
    struct seat seats[RANKS_MOST];
    int failures = 0;

    for (int i = 0; i < count; i++) {
        seats[i].rank = (struct rank){ first + i, plan->nranks, plan, plan->context, shared,
                                       board };
        if (count > 1 && pthread_create(&seats[i].thread, NULL, rank_run, &seats[i].rank))
            exit(2);
    }
    if (count == 1)
        rank_run(&seats[0].rank);
    for (int i = 0; i < count; i++) {
        if (count > 1)
            pthread_join(seats[i].thread, NULL);
        failures += rank_failures(&seats[i].rank);
    }
    fflush(NULL);
    exit(failures ? 1 : 0);
}

static pid_t process_start(const struct ranks_plan *plan, struct ranks_board *board,
                           void *shared, int first, int count, const sigset_t *mask)
{
    pid_t parent = getpid(), pid = fork();

    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(2);
    sigprocmask(SIG_SETMASK, mask, NULL);
    process_run(plan, board, shared, first, count);
    return 0;
}

/* What became of a process: true if its ranks ended as planned. */
static bool judge(const struct ranks_plan *plan, const struct ranks_board *board, int first,
                  int count, int how)
{
    bool doomed = plan->doomed >> first & 1;

    if (doomed && WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL)
        return true;
    if (!doomed && WIFEXITED(how) && WEXITSTATUS(how) == 0)
        return true;
    for (int r = first; r < first + count; r++)
        if (WIFSIGNALED(how))
            fprintf(stderr, "FAIL %s, rank %d of %d: killed by signal %d (%s) in %s\n",
                    plan->name, r, plan->nranks, WTERMSIG(how), strsignal(WTERMSIG(how)),
                    board->slots[r].doing);
        else if (doomed || WEXITSTATUS(how) != 1)
            fprintf(stderr, "FAIL %s, rank %d of %d: exit status %d, last in %s\n", plan->name,
                    r, plan->nranks, WEXITSTATUS(how), board->slots[r].doing);
    return false;
}

static void kill_rest(const struct ranks_plan *plan, const struct ranks_board *board,
                      const pid_t *pids, int nprocesses, int each)
{
    for (int p = 0; p < nprocesses; p++) {
        if (!pids[p])
            continue;
        for (int r = p * each; r < (p + 1) * each && r < plan->nranks; r++)
            if (!atomic_load(&board->slots[r].done))
                fprintf(stderr, "FAIL %s, rank %d of %d: hangs in %s; killed\n", plan->name, r,
                        plan->nranks, board->slots[r].doing);
        kill(pids[p], SIGKILL);
    }
}

/* Wait for all; kill those that take too long, or much longer than one that failed. */
static int watch(const struct ranks_plan *plan, const struct ranks_board *board, pid_t *pids,
                 int nprocesses, int each, const sigset_t *child)
{
    enum { GRACE = 5 };
    const struct timespec nap = { .tv_nsec = 200000000 };
    double end = ranks_now() + (plan->seconds > 0 ? plan->seconds : 60);
    int left = nprocesses, bad = 0;
    bool killed = false;

    while (left) {
        sigtimedwait(child, NULL, &nap);
        for (int p = 0; p < nprocesses; p++) {
            int how, first = p * each;
            int count = plan->nranks - first < each ? plan->nranks - first : each;

            if (!pids[p] || waitpid(pids[p], &how, WNOHANG) != pids[p])
                continue;
            pids[p] = 0;
            left--;
            if (killed || judge(plan, board, first, count, how))
                continue;
            bad += count;
            if (ranks_now() + GRACE < end)
                end = ranks_now() + GRACE;
        }
        if (left && !killed && ranks_now() > end) {
            kill_rest(plan, board, pids, nprocesses, each);
            bad += left * each;
            killed = true;
        }
    }
    return bad;
}

/* A port that nobody uses at the moment. */
static void find_root(char *root, size_t bytes)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) ||
        getsockname(fd, (struct sockaddr *)&address, &length))
        perror("a port for PEAL_ROOT");
    snprintf(root, bytes, "127.0.0.1:%u", ntohs(address.sin_port));
    if (fd >= 0)
        close(fd);
}

void *ranks_share(size_t bytes)
{
    void *memory = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return memory;
}

static void board_init(struct ranks_board *board, int nranks)
{
    pthread_barrierattr_t attributes;

    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&board->meeting, &attributes, (unsigned)nranks);
    pthread_barrierattr_destroy(&attributes);
    sem_init(&board->id_ready, 1, 0);
    find_root(board->root, sizeof board->root);
}

int ranks_run(const struct ranks_plan *plan)
{
    int each = plan->per_process ? plan->per_process : 1;
    int nprocesses = (plan->nranks + each - 1) / each, bad;
    struct ranks_board *board = ranks_share(sizeof *board);
    void *shared = ranks_share(plan->shared);
    pid_t pids[RANKS_MOST] = { 0 };
    sigset_t child, before;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &before);
    board_init(board, plan->nranks);
    fflush(NULL);
    for (int p = 0; p < nprocesses; p++) {
        int first = p * each;
        int count = plan->nranks - first < each ? plan->nranks - first : each;

        pids[p] = process_start(plan, board, shared, first, count, &before);
        if (pids[p] < 0)
            perror("fork");
    }
    bad = watch(plan, board, pids, nprocesses, each, &child);
    sigprocmask(SIG_SETMASK, &before, NULL);
    munmap(board, sizeof *board);
    munmap(shared, plan->shared ? plan->shared : 1);
    return bad;
}

/* ---- Things that the tests share ------------------------------------------------ */

const struct ranks_road ranks_roads[] = {
    { "threads", "self", RANKS_MOST },
    { "shm", "self,shm", 1 },
    { "tcp", "self,tcp", 1 },
    { NULL, NULL, 0 }
};

int ranks_run_roads(const struct ranks_plan *plan, const int *sizes)
{
    peal_config_t config = PEAL_CONFIG_INIT;
    int bad = 0;

    if (plan->config)
        config = *plan->config;
    for (const struct ranks_road *road = ranks_roads; road->name; road++)
        for (const int *n = sizes; *n; n++) {
            struct ranks_plan one = *plan;
            char name[128];

            snprintf(name, sizeof name, "%s over %s", plan->name, road->name);
            config.transports = road->transports;
            one.name = name;
            one.nranks = *n;
            one.per_process = road->per_process;
            one.config = &config;
            bad += ranks_run(&one);
        }
    return bad;
}

void ranks_pretend_host(int host)
{
    char text[16];

    snprintf(text, sizeof text, "host %d", host);
    setenv("PEAL_HOSTID", text, 1);
}

int ranks_entries(const char *folder)
{
    DIR *d = opendir(folder);
    int n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

double ranks_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

uint64_t ranks_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t ranks_below(uint64_t *state, uint64_t limit)
{
    return ranks_random(state) % limit;
}

uint64_t ranks_seed(int argc, char **argv, uint64_t fallback)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : fallback;

    printf("seed %llu\n", (unsigned long long)seed);
    return seed;
}

int ranks_verdict(const char *test, int failures, double started)
{
    printf("%s: %s, %d ranks failed, %.1f s\n", test, failures ? "FAIL" : "ok", failures,
           ranks_now() - started);
    return failures ? 1 : 0;
}
