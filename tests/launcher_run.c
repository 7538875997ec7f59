/* SPDX-License-Identifier: BSD-3-Clause */
/* The local launcher: exit status, output, signals, leftovers, and its PMI
 * server against well-behaved and garbage clients.  Usage: launcher_run [seed] */
#include "launcher.h"
#include "launcher_pmi.h"
#include "tests/checks.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct result { int status; double seconds; size_t bytes; char output[65536]; };

static int count(const char *text, const char *word)
{
    int found = 0;

    while ((text = strstr(text, word)) != NULL) {
        text++;
        found++;
    }
    return found;
}

/* Run a shell script (or ourselves for "@line") as n ranks, in a launcher process that gets `signal` as
 * soon as all have printed "ready"; its output and errors come back. */
static struct result *run(int n, const char *script, double timeout, int signal)
{
    static struct result result;
    struct timespec start, end;
    int pipes[2], in[2];
    ssize_t got;
    pid_t pid;

    memset(&result, 0, sizeof result);
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (pipe2(pipes, O_CLOEXEC) != 0 || pipe2(in, O_CLOEXEC) != 0 || (pid = fork()) < 0)
        exit(1);
    if (pid == 0) {
        struct launcher_options options = { .name = "test", .tag = true, .bind = true,
                                            .timeout = timeout };
        char *shell[] = { (char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL };
        char *self[] = { (char *)"/proc/self/exe", (char *)(uintptr_t)script, NULL };

        close(in[1]);          /* or rank 0 would never see the end */
        dup2(in[0], 0);
        dup2(pipes[1], 1);
        dup2(pipes[1], 2);
        exit(launcher_run(n, *script == '@' ? self : shell, &options));
    }
    close(in[0]);
    close(pipes[1]);
    if (write(in[1], "for rank 0\n", 11) != 11)
        exit(1);
    close(in[1]);
    while ((got = read(pipes[0], result.output + result.bytes,
                       sizeof result.output - 1 - result.bytes)) > 0) {
        result.bytes += (size_t)got;
        if (signal && count(result.output, "ready") == n) {
            kill(pid, signal);
            signal = 0;
        }
    }
    close(pipes[0]);
    waitpid(pid, &result.status, 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    result.seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    return &result;
}

static void expect(int n, const char *script, double timeout, int signal, int status,
                   const char *words)
{
    struct result *r = run(n, script, timeout, signal);

    check(WIFEXITED(r->status) && WEXITSTATUS(r->status) == status && strstr(r->output, words),
          "%d x \"%s\": expected status %d and \"%s\", got %x and:\n%s", n, script, status, words,
          (unsigned)r->status, r->output);
    check(r->seconds < 20, "%d x \"%s\" took %.1f seconds", n, script, r->seconds);
}

static void test_runs(void)
{
    struct result *r;
    int lines = 0;

    expect(1, "exit 0", 0, 0, 0, "");
    expect(3, "[ $PMI_RANK != 2 ] || echo size $PMI_SIZE $PEAL_LAUNCHER", 0, 0, 0, "[2] size 3 pmi\n");
    expect(2, "cat", 0, 0, 0, "[0] for rank 0\n");
    expect(2, "printf no-newline", 0, 0, 0, "[1] no-newline\n");
    expect(2, "echo to stderr >&2", 0, 0, 0, "[1] to stderr\n");
    expect(4, "[ $PMI_RANK != 2 ] || exit 7; exec sleep 60", 0, 0, 7,
           "exited with status 7; ending the other ranks");
    expect(4, "[ $PMI_RANK != 1 ] || kill -9 $$; exec sleep 60", 0, 0, 137, "killed by signal 9");
    /* A peer's complaint comes first; the crash behind it is what counts. */
    expect(2, "[ $PMI_RANK = 0 ] && exit 1; sleep 0.05; kill -11 $$", 0, 0, 139, "killed by signal 11");
    expect(3, "exec sleep 60", 0.2, 0, 124, "3 of 3 ranks still run");
    expect(2, "trap 'echo got term; exit 5' TERM; echo ready; while :; do sleep 0.01; done", 0,
           SIGTERM, 5, "got term");
    expect(2, "trap 'echo got usr1; exit 0' USR1; echo ready; while :; do sleep 0.01; done", 5, SIGUSR1, 0, "got usr1");
    /* What a rank leaves behind would hold our pipe: the time tells. */
    expect(2, "sleep 61 & sleep 62 & exit 0", 0, 0, 0, "");
    expect(2, "exec /no/such/program", 0, 0, 127, "");
    expect(2, "@cmd=barrier_in", 0, 0, 1, "waits to meet it");
    expect(2, "@hello", 0, 0, 0, "not PMI-1");
    r = run(64, "for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; done", 0, 0);
    for (char *line = r->output; *line; line = strchr(line, '\n') + 1) {
        lines++;
        if (*line != '[' || !strchr(line, '\n'))
            break;
    }
    check(r->status == 0 && lines == 640, "64 ranks x 10 lines: %d lines", lines);
    r = run(2, "head -c 20000 /dev/zero | tr '\\0' x; echo", 0, 0);
    check(r->status == 0 && r->bytes >= 40000 + 10, "two lines of 20000: %zu bytes", r->bytes);
}

/* Nothing of ours may be left: neither processes nor zombies. */
static void test_leftovers(void)
{
    struct launcher_options options = { .name = "test" };
    char *argv[] = { (char *)"sh", (char *)"-c", (char *)"sleep 63 & exec true", NULL };
    int result;
    pid_t left;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    result = launcher_run(3, argv, &options);
    check(result == 0, "result %d", result);
    /* Their orphans are ours now: each has been killed. */
    for (int i = 0; i < 3; i++) {
        int status = 0;

        left = waitpid(-1, &status, 0);
        if (left < 0)
            break;      /* the rank ended before its shell had forked */
        check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "an orphan ended by %x",
              (unsigned)status);
    }
    left = waitpid(-1, NULL, WNOHANG);
    check(left < 0 && errno == ECHILD, "a child is left: %d", (int)left);
}

static const char *ask(struct pmi_server *server, int rank, int socket, const char *line)
{
    static char answer[4096];
    ssize_t got;

    answer[0] = 0;
    if (send(socket, line, strlen(line), MSG_NOSIGNAL) < 0)
        return answer;
    pmi_server_serve(server, rank);
    got = recv(socket, answer, sizeof answer - 1, MSG_DONTWAIT);
    answer[got > 0 ? got : 0] = 0;
    return answer;
}

static void test_server(void)
{
    struct pmi_server *server = pmi_server_new(2);
    int pairs[2][2];
    char line[2048];

    for (int r = 0; r < 2; r++) {
        if (!server || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[r]) != 0)
            exit(1);
        pmi_server_add(server, r, pairs[r][0]);
    }
    check(strstr(ask(server, 0, pairs[0][1], "cmd=init pmi_version=1 pmi_subversion=1\n"), "rc=0"), "init");
    check(strstr(ask(server, 0, pairs[0][1], "cmd=get_universe_size\n"), "size=2"), "universe");
    check(strstr(ask(server, 0, pairs[0][1], "cmd=get_appnum\n"), "appnum=0"), "appnum");
    check(strstr(ask(server, 0, pairs[0][1], "cmd=put kvsname=x key=a value=1 b=2\n"), "rc=0"), "put");
    check(strstr(ask(server, 1, pairs[1][1], "cmd=get kvsname=x key=a\n"), "value=1 b=2\n"), "get");
    check(strstr(ask(server, 0, pairs[0][1], "cmd=put kvsname=x key=a value=3\n"), "rc=0"), "put again");
    check(strstr(ask(server, 1, pairs[1][1], "cmd=get kvsname=x key=a\n"), "value=3\n"), "get again");
    check(strstr(ask(server, 1, pairs[1][1], "cmd=get kvsname=x key=b\n"), "rc=-1"), "get nothing");
    check(strstr(ask(server, 1, pairs[1][1], "cmd=get kvsname=x key=PMI_process_mapping\n"),
                 "(vector,(0,1,2))"), "mapping");
    snprintf(line, sizeof line, "cmd=put kvsname=x key=%0100d value=1\n", 1);
    check(strstr(ask(server, 0, pairs[0][1], line), "rc=-1"), "long key");
    snprintf(line, sizeof line, "cmd=put kvsname=x key=c value=%01100d\n", 1);
    check(strstr(ask(server, 0, pairs[0][1], line), "rc=-1"), "long value");
    for (int i = 0; i < 200; i++) {
        snprintf(line, sizeof line, "cmd=put kvsname=x key=k%d value=1\n", i);
        ask(server, 0, pairs[0][1], line);
    }
    check(strstr(ask(server, 0, pairs[0][1], "cmd=put key=more value=1\n"), "no_room"), "bounded table");
    check(!*ask(server, 0, pairs[0][1], "cmd=barrier_in\n") && pmi_server_waiting(server) == 0, "in");
    check(strstr(ask(server, 1, pairs[1][1], "cmd=barrier_in\n"), "barrier_out"), "barrier");
    check(pmi_server_waiting(server) == -1, "nobody waits");
    check(strstr(ask(server, 0, pairs[0][1], ""), "barrier_out"), "both are let out");
    check(strstr(ask(server, 1, pairs[1][1], "cmd=finalize\n"), "finalize_ack"), "finalize");
    pmi_server_free(server);
    close(pairs[0][1]);
    close(pairs[1][1]);
}

static void test_server_garbage(void)
{
    static const char *const parts[] = { "cmd=", "put ", "get ", "key=", "value=", " ", "\n", "init",
                                         "=", "kvsname=", "barrier_in", "x", "get_maxes" };
    int cut = 0;

    for (int round = 0; round < 300; round++) {
        struct pmi_server *server = pmi_server_new(1);
        int pair[2];

        if (!server || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
            exit(1);
        pmi_server_add(server, 0, pair[0]);
        for (int i = 0; i < 200 && pmi_server_socket(server, 0) >= 0; i++) {
            char text[64];

            snprintf(text, sizeof text, "%s", parts[(size_t)rand() % (sizeof parts / sizeof parts[0])]);
            if (rand() % 20 == 0)
                text[0] = (char)(rand() % 255 + 1);
            ask(server, 0, pair[1], text);
        }
        cut += pmi_server_socket(server, 0) < 0;
        pmi_server_free(server);
        close(pair[1]);
    }
    check(cut > 100, "only %d of 300 garbage clients were cut off", cut);
}

/* As a rank: rank 0 leaves; the others say a line to the launcher and wait for
 * its answer, or for the end of the connection. */
static int be_rank(const char *line)
{
    int fd = atoi(getenv("PMI_FD"));
    char answer[64];

    if (strcmp(getenv("PMI_RANK"), "0") == 0)
        return 0;
    dprintf(fd, "%s\n", line);
    return read(fd, answer, sizeof answer) > 0;
}

/* Every core that we may use gets as many ranks, or one more. */
static void test_binding(void)
{
    cpu_set_t allowed;
    struct result *r;
    int cores, nranks, seen = 0;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        check(false, "affinity: %s", strerror(errno));
        return;
    }
    cores = CPU_COUNT(&allowed);
    cores = cores < 500 ? cores : 500;
    nranks = 2 * cores + 1;
    r = run(nranks, "echo \"on $(grep Cpus_allowed_list /proc/self/status | cut -f 2),\"", 0, 0);
    check(r->status == 0, "bound: %d", r->status);
    for (int core = 0; core < CPU_SETSIZE && seen < cores; core++) {
        char text[32];

        if (!CPU_ISSET(core, &allowed))
            continue;
        snprintf(text, sizeof text, "on %d,", core);
        check(count(r->output, text) == (seen++ == 0 ? 3 : 2), "%d ranks, %d %s", nranks,
              count(r->output, text), text);
    }
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : (unsigned)time(NULL);

    if (argc > 1 && argv[1][0] == '@')
        return be_rank(argv[1] + 1);
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("launcher_run: seed %u\n", seed);
    srand(seed);
    test_server();
    test_server_garbage();
    test_runs();
    test_binding();
    test_leftovers();
    printf("launcher_run: %d checks, %d failures\n", checks, failures);
    return failures != 0;
}
