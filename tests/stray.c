/* SPDX-License-Identifier: BSD-3-Clause */
/* Strangers at the doors of a job: silent ones, garbage, one byte held open,
 * half handshakes, floods, and no descriptors left.  The job must neither stop
 * nor crash, and hardly slow down.  All on the loopback interface. */
#include "comm/job_state.h"

#include "base/clock.h"
#include "comm/launch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { RANKS = 4, STRANGERS = 300, COMMUNICATOR = 7 };

static _Atomic int wrong;

#define check(condition, ...)                                              \
    do {                                                                   \
        if (!(condition)) {                                                \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                \
            fprintf(stderr, __VA_ARGS__);                                  \
            fputc('\n', stderr);                                           \
            wrong = 1;                                                     \
        }                                                                  \
    } while (0)

static double seconds_since(uint64_t start)
{
    return (double)(clock_now() - start) / 1e9;
}

/* ---- Strangers -------------------------------------------------------- */

enum manner { SILENT, ONE_BYTE, GARBAGE, HTTP, HALF, CUT, HANG_UP, MANNERS };
static const char *const manners[] = { "silent", "one byte", "garbage", "http",
                                       "half a handshake", "cut handshake", "hang up" };

static void say(int fd, const void *bytes, size_t count)
{
    if (send(fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return;                        /* the job may have hung up: fine */
}

/* Connect and behave; the socket, or -1 if it is closed again. */
static int stranger(const struct place *door, uint64_t job_number, enum manner manner)
{
    static const unsigned char nonce[HANDSHAKE_NONCE] = "not random at all";
    unsigned char garbage[4096];
    struct handshake shake;
    int fd = door_dial(door);

    if (fd < 0)
        return -1;
    poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 1000);
    for (size_t i = 0; i < sizeof(garbage); i++)
        garbage[i] = (unsigned char)(i * 2654435761u >> 13);
    handshake_write_hello(&shake, HANDSHAKE_JOIN, job_number, nonce);
    switch (manner) {
    case ONE_BYTE: say(fd, "P", 1); break;
    case GARBAGE:  say(fd, garbage, sizeof(garbage)); break;
    case HTTP:     say(fd, "GET / HTTP/1.0\r\n\r\n", 18); break;
    case HALF:     say(fd, shake.hello, sizeof(shake.hello)); break;
    case CUT:      say(fd, shake.hello, sizeof(shake.hello) - 1); break;
    case HANG_UP:  close(fd); return -1;
    default:       break;
    }
    return fd;
}

static int crowd[STRANGERS * RANKS], ncrowd;

static void gather(const struct place *door, uint64_t job_number, int manner, int count)
{
    for (int i = 0; i < count; i++) {
        int fd = stranger(door, job_number, (enum manner)(manner < 0 ? i % MANNERS : manner));

        if (fd >= 0)
            crowd[ncrowd++] = fd;
    }
}

static void disperse(void)
{
    while (ncrowd > 0)
        close(crowd[--ncrowd]);
}

/* ---- A job of threads ------------------------------------------------- */

struct rank {
    struct job_options options;
    struct job        *job;
    struct job_member  member;
    pthread_t          thread;
    _Atomic int        came, refused, failed;
};
static struct rank ranks[RANKS];

static void on_sockets(void *owner, int peer, const char *transport, const int *sockets,
                       int nsockets, bool dialled)
{
    struct rank *rank = owner;

    (void)peer, (void)transport, (void)dialled;
    for (int i = 0; i < nsockets; i++)
        close(sockets[i]);
    rank->came++;
}

static void on_refused(void *owner, int peer, int status, const char *text)
{
    struct rank *rank = owner;

    rank->refused++;
    check(false, "rank %d to %d refused: %d %s", rank->options.rank, peer, status, text);
}

static void on_failed(void *owner, int status, const char *text)
{
    struct rank *rank = owner;

    (void)status, (void)text;
    rank->failed++;
}

static int on_compare(void *owner, uint64_t call, struct signature signature, char *text,
                      size_t bytes)
{
    (void)owner, (void)call, (void)signature, (void)text, (void)bytes;
    return 0;
}

static void on_behind(void *owner, int rank, uint64_t call, const char *text)
{
    (void)owner, (void)rank, (void)call, (void)text;
}

static void *join(void *argument)
{
    struct rank *rank = argument;
    int status = job_create(&rank->options, &rank->job);

    check(status == PEAL_OK, "rank %d: %s", rank->options.rank, status_text());
    if (status)
        exit(1);
    rank->member = (struct job_member){ .communicator = COMMUNICATOR, .owner = rank,
        .sockets = on_sockets, .refused = on_refused, .failed = on_failed,
        .compare = on_compare, .behind = on_behind };
    job_attach(rank->job, &rank->member);
    return NULL;
}

static void describe(void)
{
    struct job_options root = { .nranks = RANKS, .root_listener = -1, .threads_only = true,
                                .timeout = 30 };

    if (job_listen(&root)) {
        fprintf(stderr, "job_listen: %s\n", status_text());
        exit(1);
    }
    for (int r = 0; r < RANKS; r++) {
        memset(&ranks[r], 0, sizeof(ranks[r]));
        ranks[r].options = root;
        ranks[r].options.rank = r;
        if (r)
            ranks[r].options.root_listener = -1;
    }
}

static void start(void)
{
    for (int r = 0; r < RANKS; r++)
        if (pthread_create(&ranks[r].thread, NULL, join, &ranks[r]))
            abort();
    for (int r = 0; r < RANKS; r++)
        pthread_join(ranks[r].thread, NULL);
}

static void *leave(void *argument)
{
    struct rank *rank = argument;

    job_detach(rank->job, &rank->member);
    job_release(rank->job, true, clock_deadline(10));
    return NULL;
}

static void stop(void)
{
    for (int r = 0; r < RANKS; r++)
        if (pthread_create(&ranks[r].thread, NULL, leave, &ranks[r]))
            abort();
    for (int r = 0; r < RANKS; r++)
        pthread_join(ranks[r].thread, NULL);
}

/* All pairs get sockets of both kinds; how long does it take? */
static double connect_all(void)
{
    uint64_t begin = clock_now();
    int wanted = 0;

    for (int a = 0; a < RANKS; a++)
        ranks[a].came = 0;
    for (int a = 0; a < RANKS; a++)
        for (int b = a + 1; b < RANKS; b++) {
            job_dial(ranks[a].job, COMMUNICATOR, b, "tcp", SOCKET_INET, 2);
            job_dial(ranks[a].job, COMMUNICATOR, b, "shm", SOCKET_LOCAL, 1);
        }
    wanted = 2 * (RANKS - 1);
    for (int a = 0; a < RANKS; a++)
        while (ranks[a].came < wanted && seconds_since(begin) < 20)
            poll(NULL, 0, 1);
    for (int a = 0; a < RANKS; a++)
        check(ranks[a].came == wanted, "rank %d got %d of %d sets", a, ranks[a].came, wanted);
    return seconds_since(begin);
}

/* ---- Cases ------------------------------------------------------------ */

static void root_place(struct place *place)
{
    int count;

    if (listener_resolve(ranks[0].options.root, clock_deadline(1), place, 1, &count))
        exit(1);
}

static void case_meeting(int manner)
{
    struct place root;
    uint64_t begin;
    double took;

    describe();
    root_place(&root);
    gather(&root, ranks[0].options.id, manner, STRANGERS);
    begin = clock_now();
    start();
    took = seconds_since(begin);
    printf("meeting with %d strangers, %s: %.3f s\n", manner < 0 ? STRANGERS : ncrowd,
           manner < 0 ? "mixed" : manners[manner], took);
    check(took < 3, "the meeting took %g s", took);
    connect_all();
    stop();
    disperse();
}

static _Atomic bool flooding;

static void *flood(void *argument)
{
    struct place doors[RANKS];

    (void)argument;
    for (int r = 0; r < RANKS; r++)
        doors[r] = ranks[r].job->door.shown;
    for (unsigned i = 0; flooding; i++) {
        int fd = stranger(&doors[i % RANKS], ranks[0].options.id, (enum manner)(i % MANNERS));

        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

static void case_running(void)
{
    pthread_t thread;
    double calm, crowded, flooded;

    describe();
    start();
    calm = connect_all();
    for (int r = 0; r < RANKS; r++)
        gather(&ranks[r].job->door.shown, ranks[0].options.id, -1, STRANGERS);
    crowded = connect_all();
    flooding = true;
    if (pthread_create(&thread, NULL, flood, NULL))
        abort();
    flooded = connect_all();
    for (int i = 0; i < 20; i++)
        flooded = flooded + connect_all();
    flooded /= 21;
    printf("connecting all pairs: %.3f s calm, %.3f s with %d strangers at each door, "
           "%.3f s in a flood\n", calm, crowded, STRANGERS, flooded);
    check(crowded < 3 && flooded < 3, "too slow");
    job_fail(ranks[1].job, COMMUNICATOR, PEAL_ERR_ABORTED, "over");
    for (int r = 0; r < RANKS; r++)
        while (!ranks[r].failed)
            poll(NULL, 0, 1);
    stop();
    flooding = false;
    pthread_join(thread, NULL);
    disperse();
}

/* A stranger is shown the door in time, told nothing, and heard no further. */
static void case_patience(void)
{
    char answer[1024];
    uint64_t begin;
    int fd;

    setenv("PEAL_VISIT_TIMEOUT", "0.3", 1);
    describe();
    start();
    for (int manner = 0; manner < HANG_UP; manner++) {
        ssize_t n, got = 0;

        begin = clock_now();
        fd = stranger(&ranks[1].job->door.shown, ranks[0].options.id, (enum manner)manner);
        do {
            poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 5000);
            n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
            got += n > 0 ? n : 0;
        } while (n > 0);
        check(n == 0 || errno == ECONNRESET, "%s: still open", manners[manner]);
        check(seconds_since(begin) < 1, "%s: open for %g s", manners[manner],
              seconds_since(begin));
        check(got == (manner == HALF ? HANDSHAKE_CHALLENGE : 0), "%s: was told %zd bytes",
              manners[manner], got);
        close(fd);
    }
    unsetenv("PEAL_VISIT_TIMEOUT");
    connect_all();
    stop();
    printf("strangers are shown the door in time\n");
}

static double processor_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Not a descriptor left: the doors wait, without spinning, and open again. */
static void case_no_descriptors(void)
{
    struct rlimit before, none;
    double used;
    int fd;

    describe();
    start();
    connect_all();
    fd = dup(0);
    gather(&ranks[1].job->door.shown, 0, SILENT, 20);      /* sockets of ours, to be accepted */
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = (rlim_t)fd;
    setrlimit(RLIMIT_NOFILE, &none);
    /* The strangers' places become free, more come: accept() fails now. */
    poll(NULL, 0, 100);
    used = processor_seconds();
    poll(NULL, 0, 1000);
    used = processor_seconds() - used;
    setrlimit(RLIMIT_NOFILE, &before);
    check(used < 0.3, "%.2f s of processor time in a second", used);
    connect_all();
    disperse();
    close(fd);
    stop();
    printf("no descriptors: %.3f s of processor time in a second\n", used);
}

int main(void)
{
    struct rlimit files;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < 65536 ? files.rlim_max : 65536;
    setrlimit(RLIMIT_NOFILE, &files);
    alarm(120);                        /* the watchdog */
    case_meeting(HANG_UP);
    case_meeting(SILENT);
    case_meeting(ONE_BYTE);
    case_meeting(GARBAGE);
    case_meeting(HALF);
    case_meeting(-1);
    case_running();
    case_patience();
    case_no_descriptors();
    printf("%s\n", wrong ? "FAILED" : "ok");
    return wrong;
}
