/* SPDX-License-Identifier: BSD-3-Clause */
#include "job_ranks.h"

#include "base/clock.h"
#include "comm/launch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared *shared;
struct rank_of ranks[RANKS];

/* ---- A mailbox that remembers ----------------------------------------- */

static void on_sockets(void *owner, int peer, const char *transport, const int *sockets,
                       int nsockets, bool dialled)
{
    struct box *box = owner;

    pthread_mutex_lock(&box->lock);
    if (box->nsets == BOX_SETS)
        abort();
    box->sets[box->nsets].peer = peer;
    box->sets[box->nsets].count = nsockets;
    box->sets[box->nsets].dialled = dialled;
    strcpy(box->sets[box->nsets].transport, transport);
    memcpy(box->sockets[box->nsets++], sockets, sizeof(int) * (size_t)nsockets);
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->lock);
}

static void on_refused(void *owner, int peer, int status, const char *text)
{
    struct box *box = owner;

    (void)peer;
    pthread_mutex_lock(&box->lock);
    box->refused++;
    box->refused_status = status;
    snprintf(box->text, sizeof(box->text), "%s", text);
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->lock);
}

static void on_failed(void *owner, int status, const char *text)
{
    struct box *box = owner;

    pthread_mutex_lock(&box->lock);
    box->failures++;
    box->failed = status;
    box->failed_at = clock_now();
    snprintf(box->text, sizeof(box->text), "%s", text);
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->lock);
}

static int on_compare(void *owner, uint64_t call, struct signature signature, char *text,
                      size_t bytes)
{
    struct box *box = owner;

    if (call != 5 || signature.what != 11 || signature.count != 12)
        return 0;
    snprintf(text, bytes, "bcast of 9 float32");
    return box->answer;
}

static void on_behind(void *owner, int rank, uint64_t call, const char *text)
{
    struct box *box = owner;

    pthread_mutex_lock(&box->lock);
    if (call == 5 && strcmp(text, "bcast of 9 float32") == 0)
        box->behind_rank = rank;
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->lock);
}

void box_open(struct box *box, struct job *job, uint64_t communicator, int answer)
{
    memset(box, 0, sizeof(*box));
    box->answer = answer;
    pthread_mutex_init(&box->lock, NULL);
    pthread_cond_init(&box->changed, NULL);
    box->behind_rank = -1;
    box->member = (struct job_member){ .communicator = communicator, .owner = box,
        .sockets = on_sockets, .refused = on_refused, .failed = on_failed,
        .compare = on_compare, .behind = on_behind };
    job_attach(job, &box->member);
}

void box_close(struct box *box, struct job *job)
{
    job_detach(job, &box->member);
    for (int i = 0; i < box->nsets; i++)
        for (int k = 0; k < box->sets[i].count; k++)
            close(box->sockets[i][k]);
    pthread_cond_destroy(&box->changed);
    pthread_mutex_destroy(&box->lock);
}

void box_await(struct box *box, const int *counter, int wanted)
{
    pthread_mutex_lock(&box->lock);
    while (*counter < wanted)
        pthread_cond_wait(&box->changed, &box->lock);
    pthread_mutex_unlock(&box->lock);
}

/* ---- Running ranks ---------------------------------------------------- */

static void *thread_main(void *argument)
{
    struct rank_of *r = argument;

    r->body(&r->options, r->extra);
    return NULL;
}

void ranks_describe(int n, int nranks, bool threads, double timeout)
{
    struct job_options root = { .nranks = nranks, .root_listener = -1,
                                .threads_only = threads, .timeout = timeout };

    if (job_listen(&root)) {
        fprintf(stderr, "job_listen: %s\n", status_text());
        exit(1);
    }
    for (int i = 0; i < n; i++) {
        ranks[i] = (struct rank_of){ .options = root };
        ranks[i].options.rank = i;
        if (i > 0)
            ranks[i].options.root_listener = -1;
    }
}

void ranks_launch(int from, int to, bool threads)
{
    for (int i = from; i < to; i++) {
        if (threads) {
            if (pthread_create(&ranks[i].thread, NULL, thread_main, &ranks[i]))
                abort();
        } else if ((ranks[i].pid = fork()) == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (i > 0 && ranks[0].options.root_listener >= 0)
                close(ranks[0].options.root_listener);
            ranks[i].body(&ranks[i].options, ranks[i].extra);
            exit(0);
        }
    }
    if (!threads && from == 0 && ranks[0].options.root_listener >= 0)
        close(ranks[0].options.root_listener);
}

void ranks_finish(int from, int to, bool threads)
{
    for (int i = from; i < to; i++) {
        int status = 0;

        if (threads) {
            pthread_join(ranks[i].thread, NULL);
        } else {
            waitpid(ranks[i].pid, &status, 0);
            if (WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) != SIGKILL)
                check(false, "rank %d ended with wait status %x", i, (unsigned)status);
        }
    }
}

void ranks_prepare(int n, bool threads, void (*body)(struct job_options *, int), int extra)
{
    pthread_barrierattr_t attributes;

    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&shared->barrier, &attributes, (unsigned)n);
    ranks_describe(n, n, threads, 30);
    for (int i = 0; i < n; i++) {
        ranks[i].body = body;
        ranks[i].extra = extra;
    }
}

void ranks_run(int n, bool threads, void (*body)(struct job_options *, int), int extra)
{
    ranks_prepare(n, threads, body, extra);
    ranks_launch(0, n, threads);
    ranks_finish(0, n, threads);
}

struct job *ranks_meet(const struct job_options *options)
{
    struct job *job = NULL;
    int status = job_create(options, &job);

    if (status) {
        fprintf(stderr, "rank %d: %s: %s\n", options->rank, status_name(status), status_text());
        exit(1);                       /* the others would wait at the barrier */
    }
    shared->met_at[options->rank] = clock_now();
    return job;
}

void ranks_barrier(void)
{
    pthread_barrier_wait(&shared->barrier);
}

void body_refused(struct job_options *options, int extra)
{
    struct job *job = NULL;
    int status = job_create(options, &job);

    check(status == extra, "rank %d: %s: %s", options->rank, status_name(status),
          status ? status_text() : "");
    printf("    rank %d: %s\n", options->rank, status ? status_text() : "success");
    if (status == PEAL_ERR_TIMEOUT)
        check(strstr(status_text(), "ranks 2, 4 of 6 never came"), "%s", status_text());
    if (status == PEAL_ERR_LAUNCH)
        check(strstr(status_text(), "rank 1") && strstr(status_text(), "pid"), "%s",
              status_text());
    if (status == PEAL_OK)
        job_release(job, true, clock_deadline(20));
}

/* ---- The test program ------------------------------------------------- */

static void *nothing(void *argument)
{
    return argument;
}

void ranks_begin(void)
{
    struct rlimit files;
    pthread_t first;

    /* A sanitizer starts its own thread with the first of ours: not a leak. */
    if (pthread_create(&first, NULL, nothing, NULL) == 0)
        pthread_join(first, NULL);
    setenv("PEAL_INTERFACE", "127.0.0.1", 1);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    if (shared == MAP_FAILED)
        abort();
}

bool ranks_case(const char *only, const char *name)
{
    if (only && !strstr(name, only))
        return false;
    printf("%s\n", name);
    fflush(stdout);
    alarm(120);                        /* the watchdog */
    return true;
}
