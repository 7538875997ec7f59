/* SPDX-License-Identifier: BSD-3-Clause */
/* Jobs: rendezvous, sockets, control messages and leaving, with ranks as
 * threads and as processes on the loopback interface; and jobs that must not
 * come about.  Usage: job [only cases whose name contains this] */
#include "job_ranks.h"

#include "base/clock.h"

#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LATE = 100 };               /* communicators of body_links */

/* ---- Bodies ----------------------------------------------------------- */

static void body_meet(struct job_options *options, int extra)
{
    struct job *job = ranks_meet(options);

    (void)extra;
    for (int r = 0; r < options->nranks; r++) {
        check(job_where(job, r)->host == job_where(job, 0)->host, "host of %d", r);
        check(job_where(job, r)->pid != 0, "pid of %d", r);
    }
    check(job_where(job, options->rank)->pid == (uint32_t)getpid(), "own pid");
    job_hold(job);
    job_release(job, true, clock_deadline(20));
    job_release(job, true, clock_deadline(20));
}

/* A ring of four GPUs, and of the ranks that name them. */
static void body_ring(struct job_options *options, int extra)
{
    static const int gpus[] = { 0, 2, 1, 3 };
    int gpu_at[5] = { 0, -1, -1, -1, -1 };
    char number[8];
    struct job *job;

    (void)extra;
    snprintf(number, sizeof(number), "%d", gpus[options->rank]);
    setenv("PEAL_GPU", number, 1);
    setenv("PEAL_TOPO_FILE", "socket:1 gpu:4@v100 nvlink:ringx1", 1);
    job = ranks_meet(options);
    for (int r = 0; r < 4; r++) {
        int place = job_where(job, r)->ring;

        check(place >= 1 && place <= 4 && gpu_at[place] < 0, "rank %d is at place %d", r, place);
        gpu_at[place <= 4 ? place : 0] = gpus[r];
    }
    for (int place = 1; place <= 4; place++) {
        int a = gpu_at[place], b = gpu_at[place % 4 + 1];

        check((a - b + 4) % 2 == 1, "GPU %d is beside GPU %d", a, b);
    }
    job_release(job, true, clock_deadline(20));
}

/* All but one want to leave: they wait for it.  If it takes too long they go,
 * and it hears so. */
static void body_leave(struct job_options *options, int extra)
{
    struct job *job = ranks_meet(options);
    double patience = extra ? 0.2 : 20;
    bool last = options->rank == options->nranks - 1;
    struct box box;
    uint64_t start;

    box_open(&box, job, WORLD, 0);
    ranks_barrier();
    start = clock_now();
    if (last && extra) {
        box_await(&box, &box.failures, 1);
        check(box.failed == PEAL_ERR_PEER && strstr(box.text, "left"), "%s", box.text);
    } else if (last) {
        poll(NULL, 0, 100);            /* nobody may leave now */
        check(shared->left == 0 && box.failures == 0, "%d left, %s", shared->left, box.text);
    }
    box_close(&box, job);
    job_release(job, true, clock_deadline(patience));
    atomic_fetch_add(&shared->left, 1);
    check((double)(clock_now() - start) / 1e9 < 3, "leaving took too long");
    ranks_barrier();
    shared->left = 0;
}

static bool neighbours(int n, int a, int b)
{
    return a < b && (n <= 8 || b == a + 1);
}

static void trade(struct box *box, int rank, bool dialled)
{
    for (int i = 0; i < box->nsets; i++)
        for (int k = 0; k < box->sets[i].count; k++) {
            int peer = box->sets[i].peer, fd = box->sockets[i][k];
            unsigned char mine[3] = { (unsigned char)rank, (unsigned char)peer,
                                      (unsigned char)(k + 10 * box->sets[i].count) };
            unsigned char theirs[3] = { 0 };
            struct pollfd p = { fd, POLLIN, 0 };

            check(box->sets[i].dialled == dialled, "dialled");
            check(box->sets[i].count == (strcmp(box->sets[i].transport, "shm") ? 3 : 2),
                  "%d sockets for %s", box->sets[i].count, box->sets[i].transport);
            if (dialled) {
                check(send(fd, mine, 3, MSG_NOSIGNAL) == 3, "send");
                continue;
            }
            poll(&p, 1, 10000);
            check(recv(fd, theirs, 3, 0) == 3, "recv");
            check(theirs[0] == peer && theirs[1] == rank && theirs[2] == mine[2],
                  "rank %d socket %d of %d has bytes %d %d %d", rank, k, peer, theirs[0],
                  theirs[1], theirs[2]);
        }
}

static void body_links(struct job_options *options, int extra)
{
    int rank = options->rank, n = options->nranks, above = 0, below = 0;
    struct box *boxes = calloc((size_t)n, sizeof(*boxes));
    struct job *job = ranks_meet(options);

    (void)extra;
    box_open(&boxes[rank], job, LATE + (uint64_t)rank, 0);
    for (int p = 0; p < n; p++)
        if (neighbours(n, rank, p)) {
            check(job_dial(job, LATE + (uint64_t)rank, p, "shm", SOCKET_LOCAL, 2) == 0, "dial");
            check(job_dial(job, LATE + (uint64_t)rank, p, "tcp", SOCKET_INET, 3) == 0, "dial");
            above += 2;
        }
    check(job_dial(job, LATE, rank, "x", SOCKET_INET, 1) == PEAL_ERR_ARGUMENT, "dial self");
    box_await(&boxes[rank], &boxes[rank].nsets, above);
    trade(&boxes[rank], rank, true);
    ranks_barrier();                         /* only now do the other ends attach */
    for (int p = 0; p < n; p++)
        if (neighbours(n, p, rank)) {
            box_open(&boxes[p], job, LATE + (uint64_t)p, 0);
            box_await(&boxes[p], &boxes[p].nsets, 2);
            trade(&boxes[p], rank, false);
            below++;
        }
    ranks_barrier();
    for (int p = 0; p < n; p++)
        if (p == rank || neighbours(n, p, rank))
            box_close(&boxes[p], job);
    check(above || below, "rank %d has no neighbour", rank);
    job_release(job, true, clock_deadline(20));
    free(boxes);
}

static void body_fail(struct job_options *options, int extra)
{
    struct job *job = ranks_meet(options);
    struct box box, late, other;
    bool origin = options->rank == options->nranks - 1;

    (void)extra;
    box_open(&box, job, WORLD, 0);
    box_open(&other, job, WORLD + 1, 0);
    ranks_barrier();
    if (origin)
        job_fail(job, WORLD, PEAL_ERR_ABORTED, "enough");
    box_await(&box, &box.failures, 1);
    check(box.failed == PEAL_ERR_ABORTED && strcmp(box.text, "enough") == 0, "%d %s",
          box.failed, box.text);
    ranks_barrier();
    if (options->rank == 0)            /* later reasons do not count */
        job_fail(job, WORLD, PEAL_ERR_TIMEOUT, "late");
    box_open(&late, job, WORLD, 0);
    box_await(&late, &late.failures, 1);
    check(late.failed == PEAL_ERR_ABORTED, "late attach: %s", late.text);
    box_close(&late, job);
    ranks_barrier();
    check(box.failures == 1 && other.failures == 0, "told %d, %d times", box.failures,
          other.failures);
    box_close(&box, job);
    box_close(&other, job);
    job_release(job, true, clock_deadline(20));
}

static void body_probe(struct job_options *options, int extra)
{
    static const struct signature what = { 11, 12 };
    struct job *job = ranks_meet(options);
    int n = options->nranks, odd = n - 1;
    char wanted[64];
    struct box box;

    (void)extra;
    box_open(&box, job, WORLD, options->rank == odd ? 1 : 0);
    ranks_barrier();
    if (options->rank != odd)          /* all are stuck, each asks */
        job_probe(job, WORLD, 5, what, "allreduce of 3 float32");
    if (options->rank != odd) {
        box_await(&box, &box.behind_rank, odd);
        check(box.behind_rank == odd, "rank %d is behind?", box.behind_rank);
    }
    ranks_barrier();
    check(box.failures == 0, "failed: %s", box.text);
    box_close(&box, job);
    box_open(&box, job, WORLD + 1, options->rank == odd ? 2 : 0);
    ranks_barrier();
    if (options->rank == 0)
        job_probe(job, WORLD + 1, 5, what, "allreduce of 3 float32");
    box_await(&box, &box.failures, 1);
    snprintf(wanted, sizeof(wanted), "rank %d (host", odd);
    check(box.failed == PEAL_ERR_MISMATCH && strstr(box.text, wanted) &&
          strstr(box.text, "rank 0 (host") && strstr(box.text, "called allreduce of 3") &&
          strstr(box.text, "called bcast of 9") && strstr(box.text, "number 5"), "%s", box.text);
    box_close(&box, job);
    job_release(job, true, clock_deadline(20));
}

/* ---- Cases ------------------------------------------------------------ */

static void refused(int n, int status)
{
    for (int i = 0; i < n; i++) {
        ranks[i].body = body_refused;
        ranks[i].extra = status;
    }
    ranks_launch(0, n, true);
    ranks_finish(0, n, true);
}

static void case_missing(void)
{
    ranks_describe(6, 6, true, 1);
    ranks[2] = ranks[5];
    refused(4, PEAL_ERR_TIMEOUT);
}

static void case_duplicate(void)
{
    ranks_describe(4, 5, true, 20);
    ranks[3].options.rank = 1;
    refused(4, PEAL_ERR_LAUNCH);
    ranks_describe(3, 4, true, 20);   /* rank 1 knows of more ranks */
    ranks[1].options.nranks = 5;
    refused(3, PEAL_ERR_LAUNCH);
}

static void case_no_root(void)
{
    struct job *job = NULL;
    int status;

    ranks_describe(2, 2, true, 0.5);
    close(ranks[0].options.root_listener);
    status = job_create(&ranks[1].options, &job);
    check(status == PEAL_ERR_TIMEOUT && strstr(status_text(), "rank 0 at 127.0.0.1:"), "%s",
          status_text());
}

static void case_secret(void)
{
    struct job *job = NULL;
    struct job_options intruder;
    int status;

    ranks_describe(3, 3, false, 20);
    for (int i = 0; i < 3; i++)
        ranks[i].body = body_meet;
    intruder = ranks[2].options;
    intruder.secret[31] ^= 1;
    ranks_launch(0, 2, true);
    status = job_create(&intruder, &job);
    check(status == PEAL_ERR_AUTH && strstr(status_text(), "secret"), "%s", status_text());
    ranks_launch(2, 3, true);
    ranks_finish(0, 3, true);
}

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static const char *only;

static void case_both(const char *name, int n, void (*body)(struct job_options *, int),
                      int extra)
{
    for (int threads = 1; threads >= 0; threads--) {
        int fds = count_entries("/proc/self/fd"), tasks = count_entries("/proc/self/task");
        char title[128];
        uint64_t start, last = 0;

        snprintf(title, sizeof(title), "%s, %d %s", name, n, threads ? "threads" : "processes");
        if (!ranks_case(only, title))
            continue;
        start = clock_now();
        ranks_run(n, threads, body, extra);
        for (int i = 0; i < n; i++)
            last = shared->met_at[i] > last ? shared->met_at[i] : last;
        printf("    met after %.1f ms, done after %.1f ms\n", (double)(last - start) / 1e6,
               (double)(clock_now() - start) / 1e6);
        check(count_entries("/proc/self/fd") == fds, "descriptors left open");
        check(count_entries("/proc/self/task") == tasks, "threads left running");
    }
}

int main(int argc, char **argv)
{
    static const int sizes[] = { 2, 3, 5, 8, 33 };

    only = argc > 1 ? argv[1] : NULL;
    ranks_begin();
    for (int i = 0; i < 5; i++) {
        case_both("meet", sizes[i], body_meet, 0);
        case_both("leave", sizes[i], body_leave, 0);
        case_both("leave at last", sizes[i], body_leave, 1);
        case_both("links", sizes[i], body_links, 0);
        case_both("fail", sizes[i], body_fail, 0);
        case_both("probe", sizes[i], body_probe, 0);
    }
    if (ranks_case(only, "ring order, 4 processes"))
        ranks_run(4, false, body_ring, 0);
    if (ranks_case(only, "missing ranks"))
        case_missing();
    if (ranks_case(only, "two of one number, two opinions"))
        case_duplicate();
    if (ranks_case(only, "no rank 0"))
        case_no_root();
    if (ranks_case(only, "wrong secret"))
        case_secret();
    if (only && strncmp(only, "big", 3) == 0) {
        case_both("meet big", 64, body_meet, 0);
        case_both("meet big", 256, body_meet, 0);
        case_both("meet big", 1000, body_meet, 0);
    }
    printf("%s\n", shared->wrong ? "FAILED" : "ok");
    return shared->wrong != 0;
}
