/* SPDX-License-Identifier: BSD-3-Clause */
/* The PMI-1 client against a server in this program that behaves, lies, babbles,
 * stays silent or goes away.  Usage: pmi_client [seed] */
#include "comm/launch_environment.h"
#include "comm/launch_pmi_wire.h"
#include "tests/checks.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* One server for up to two ranks; `twist` replaces the answer to a command. */
struct server {
    int sockets[2], nranks;
    const char *command, *twist;      /* twist NULL: close; "": stay silent */
    int value_max;
    char values[64][2][1100];         /* key, value */
    int nvalues, in_barrier, finalized;
    bool in[2];
};

static void say(const struct server *server, int rank, const char *text)
{
    send(server->sockets[rank], text, strlen(text), MSG_NOSIGNAL);
}

static void field(const char *line, const char *key, char *value)
{
    const char *at = strstr(line, key);

    value[0] = 0;
    if (at)
        sscanf(at + strlen(key), "%1099s", value);
}

static void barrier(struct server *server, int rank)
{
    server->in[rank] = true;
    if (++server->in_barrier < server->nranks)
        return;
    server->in_barrier = 0;
    for (int r = 0; r < server->nranks; r++)
        if (server->in[r])
            say(server, r, "cmd=barrier_out\n");
}

static void answer(struct server *server, int rank, const char *line)
{
    char command[1100], key[1100], text[2400] = "";

    field(line, "cmd=", command);
    field(line, "key=", key);
    if (server->command && !strcmp(command, server->command)) {
        if (server->twist)
            say(server, rank, server->twist);
        else
            shutdown(server->sockets[rank], SHUT_RDWR);
        return;
    }
    if (!strcmp(command, "init")) {
        snprintf(text, sizeof text, "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n");
    } else if (!strcmp(command, "get_maxes")) {
        snprintf(text, sizeof text, "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=%d\n",
                 server->value_max);
    } else if (!strcmp(command, "get_my_kvsname")) {
        snprintf(text, sizeof text, "cmd=my_kvsname kvsname=kvs_1\n");
    } else if (!strcmp(command, "put")) {
        strcpy(server->values[server->nvalues][0], key);
        field(line, "value=", server->values[server->nvalues][1]);
        server->nvalues++;
        snprintf(text, sizeof text, "cmd=put_result rc=0 msg=success\n");
    } else if (!strcmp(command, "barrier_in")) {
        barrier(server, rank);
    } else if (!strcmp(command, "get")) {
        snprintf(text, sizeof text, "cmd=get_result rc=-1 msg=none\n");
        /* The oldest of equal keys: a launcher may hold on to it. */
        for (int i = server->nvalues - 1; i >= 0; i--)
            if (!strcmp(server->values[i][0], key))
                snprintf(text, sizeof text, "cmd=get_result rc=0 msg=success value=%s\n",
                         server->values[i][1]);
    } else if (!strcmp(command, "finalize")) {
        server->finalized++;
        snprintf(text, sizeof text, "cmd=finalize_ack\n");
    }
    say(server, rank, text);
}

/* Serve one rank's lines until it closes; ranks one after the other would
 * deadlock in the barrier, so this looks at both. */
static void serve(struct server *server)
{
    static char lines[2][8192];
    size_t used[2] = { 0, 0 };
    int open = server->nranks;

    while (open) {
        fd_set set;

        FD_ZERO(&set);
        for (int r = 0; r < server->nranks; r++)
            if (server->sockets[r] >= 0)
                FD_SET(server->sockets[r], &set);
        select(FD_SETSIZE, &set, NULL, NULL, NULL);
        for (int r = 0; r < server->nranks; r++) {
            ssize_t got;
            char *end;

            if (server->sockets[r] < 0 || !FD_ISSET(server->sockets[r], &set))
                continue;
            got = read(server->sockets[r], lines[r] + used[r], sizeof lines[r] - used[r]);
            if (got <= 0) {
                close(server->sockets[r]);
                server->sockets[r] = -1;
                open--;
                continue;
            }
            used[r] += (size_t)got;
            while ((end = memchr(lines[r], '\n', used[r]))) {
                *end = 0;
                answer(server, r, lines[r]);
                used[r] -= (size_t)(end + 1 - lines[r]);
                memmove(lines[r], end + 1, used[r]);
            }
        }
    }
}

struct outcome { int status, rounds; struct job_options options[2]; char text[2048]; };

static void be_client(int socket, int rank, int nranks, int rounds, double seconds, int report)
{
    struct outcome outcome = { .status = 0 };
    const char *used;
    char text[32];

    clearenv();
    snprintf(text, sizeof text, "%d", socket);
    setenv("PMI_FD", text, 1);
    setenv("PMI_RANK", rank ? "1" : "0", 1);
    snprintf(text, sizeof text, "%d", nranks);
    setenv("PMI_SIZE", text, 1);
    for (int i = 0; i < rounds && outcome.status == 0; i++, outcome.rounds++)
        outcome.status = launch_describe(&outcome.options[i], clock_deadline(seconds), &used);
    snprintf(outcome.text, sizeof outcome.text, "%s", status_text());
    if (write(report, &outcome, sizeof outcome) != (ssize_t)sizeof outcome)
        _exit(1);
    exit(0);           /* not _exit: finalize goes out from here */
}

/* Run ranks `first`..`nranks`-1 as clients of the server. */
static void run(struct server *server, int first, int nranks, int rounds, double seconds,
                struct outcome outcomes[2])
{
    int reports[2][2], ends[2][2];

    server->nranks = nranks;
    server->sockets[0] = server->sockets[1] = -1;
    for (int r = first; r < nranks; r++) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends[r]) != 0 || pipe(reports[r]) != 0)
            exit(1);
        if (fork() == 0) {
            for (int other = first; other <= r; other++)
                close(ends[other][0]);
            close(reports[r][0]);
            be_client(ends[r][1], r, nranks, rounds, seconds, reports[r][1]);
        }
        close(ends[r][1]);
        close(reports[r][1]);
        server->sockets[r] = ends[r][0];
    }
    if (first)         /* rank 0 is absent: pretend that its socket has ended */
        server->nranks = 2;
    for (int r = 0; r < first; r++)
        server->sockets[r] = open("/dev/null", 0);
    serve(server);
    for (int r = first; r < nranks; r++) {
        memset(&outcomes[r], 0, sizeof outcomes[r]);
        outcomes[r].status = -99;
        if (read(reports[r][0], &outcomes[r], sizeof outcomes[r]) <= 0)
            printf("a client died\n");
        close(reports[r][0]);
    }
    while (wait(NULL) > 0)
        continue;
}

/* Also with values so small that a card takes many. */
static void test_meeting(int value_max)
{
    static struct server server;
    struct outcome outcomes[2];
    const struct job_options *a, *b;

    memset(&server, 0, sizeof server);
    server.value_max = value_max;
    run(&server, 0, 2, 2, 20, outcomes);
    for (int round = 0; round < 2; round++) {
        a = &outcomes[0].options[round];
        b = &outcomes[1].options[round];
        check(outcomes[0].status == 0 && outcomes[1].status == 0 && a->nranks == 2 &&
              b->rank == 1 && a->root[0] && !strcmp(a->root, b->root) && a->id == b->id &&
              !memcmp(a->secret, b->secret, JOB_SECRET) && a->root_listener >= 0 &&
              b->root_listener == -1, "values of %d, round %d: %d %s / %d %s", value_max, round,
              outcomes[0].status, outcomes[0].text, outcomes[1].status, outcomes[1].text);
    }
    a = outcomes[0].options;
    check(a[0].id != a[1].id, "two rounds give one id");
    check(server.finalized == 2, "%d of 2 ranks finalised", server.finalized);
    for (int i = 0; i < server.nvalues; i++)
        check((int)strlen(server.values[i][1]) < value_max, "a value of %zu, allowed %d",
              strlen(server.values[i][1]), value_max);
}

/* Rank 1 alone, with the server's answer to one command replaced. */
static void test_twist(const char *command, const char *twist, int expected, const char *words)
{
    static struct server server;
    struct outcome outcomes[2];
    uint64_t start = clock_now();

    memset(&server, 0, sizeof server);
    server.value_max = 1024;
    server.command = command;
    server.twist = twist;
    server.in_barrier = 1;            /* rank 0 is there already */
    run(&server, 1, 2, 1, 0.3, outcomes);
    check(outcomes[1].status == expected && strstr(outcomes[1].text, words),
          "%s answered by \"%.60s\": expected %d and \"%s\", got %d: %s", command,
          twist ? twist : "(closed)", expected, words, outcomes[1].status, outcomes[1].text);
    /* With silence, finalize at exit waits two seconds more. */
    check(clock_now() - start < 10000000000u, "%s: took long", command);
}

static void test_twists(void)
{
    static char long_line[5001];

    memset(long_line, 'x', 5000);
    test_twist("init", NULL, PEAL_ERR_LAUNCH, "closed PMI_FD");
    test_twist("init", "", PEAL_ERR_TIMEOUT, "did not answer \"cmd=init\"");
    test_twist("init", "cmd=response_to_init rc=-1\n", PEAL_ERR_LAUNCH, "rc=-1");
    test_twist("init", "cmd=maxes\n", PEAL_ERR_PROTOCOL, "cmd=response_to_init");
    test_twist("init", "\n", PEAL_ERR_PROTOCOL, "cmd=response_to_init");
    test_twist("init", "cmd=response_to_init rc=0", PEAL_ERR_TIMEOUT, "in time");
    test_twist("init", "cmd=a\ncmd=b\n", PEAL_ERR_PROTOCOL, "not a line of text");
    test_twist("init", "cmd=a\ncmd=b", PEAL_ERR_PROTOCOL, "more than one line");
    test_twist("init", long_line, PEAL_ERR_PROTOCOL, "longer than");
    test_twist("get_maxes", "cmd=maxes vallen_max=3\n", PEAL_ERR_PROTOCOL, "vallen_max");
    test_twist("get_maxes", "cmd=maxes vallen_max=-1\n", PEAL_ERR_PROTOCOL, "vallen_max");
    test_twist("get_maxes", "cmd=maxes\n", PEAL_ERR_PROTOCOL, "vallen_max");
    test_twist("get_my_kvsname", "cmd=my_kvsname kvsname=\n", PEAL_ERR_PROTOCOL, "kvsname");
    test_twist("barrier_in", "", PEAL_ERR_TIMEOUT, "another rank fail");
    test_twist("barrier_in", NULL, PEAL_ERR_LAUNCH, "closed PMI_FD");
    test_twist("get", "cmd=get_result rc=0 value=.!no_address\n", PEAL_ERR_LAUNCH, "no_address");
    test_twist("get", "cmd=get_result rc=0 value=.peal1.AAAA\n", PEAL_ERR_PROTOCOL, "damaged");
    test_twist("get", "cmd=get_result rc=0 value=.x\n", PEAL_ERR_PROTOCOL, "no card");
    test_twist("get", "cmd=get_result rc=0 value=+x\n", PEAL_ERR_PROTOCOL, "card whole");
    test_twist("get", "cmd=get_result rc=0 value=+\n", PEAL_ERR_PROTOCOL, "card whole");
    test_twist("get", "cmd=get_result rc=0 value=\n", PEAL_ERR_PROTOCOL, "card whole");
    test_twist("get", "cmd=get_result rc=0\n", PEAL_ERR_PROTOCOL, "card whole");
    test_twist("get", "cmd=get_result rc=-1\n", PEAL_ERR_LAUNCH, "rc=-1");
}

/* Garbage of all kinds must end in an error, never in success or a crash. */
static void test_garbage(void)
{
    static const char *const commands[] = { "init", "get_maxes", "get_my_kvsname", "get" };
    static struct server server;
    struct outcome outcomes[2];

    for (int round = 0; round < 40; round++) {
        char twist[256];
        int length = rand() % 200;

        for (int i = 0; i < length; i++)
            twist[i] = (char)(rand() % 3 ? " =cmdrv0\n"[rand() % 9] : rand() % 255 + 1);
        strcpy(twist + length, "\n");
        memset(&server, 0, sizeof server);
        server.value_max = 1024;
        server.command = commands[round % 4];
        server.twist = twist;
        server.in_barrier = 1;
        run(&server, 1, 2, 1, 0.2, outcomes);
        check(outcomes[1].status < 0 && outcomes[1].status != -99, "garbage for %s gave %d",
              server.command, outcomes[1].status);
    }
}

static void test_words(void)
{
    struct pmi_wire wire = { .fd = -1 };
    char value[8];

    strcpy(wire.line, "cmd=x value=abc  rc=0 longer=12345678 e= last");
    check(pmi_wire_value(&wire, "value", value, sizeof value) && !strcmp(value, "abc"), "value");
    check(pmi_wire_value(&wire, "rc", value, sizeof value) && !strcmp(value, "0"), "rc");
    check(pmi_wire_value(&wire, "e", value, sizeof value) && !*value, "empty");
    check(!pmi_wire_value(&wire, "longer", value, sizeof value), "too long");
    check(!pmi_wire_value(&wire, "last", value, sizeof value), "no value");
    check(!pmi_wire_value(&wire, "lue", value, sizeof value), "part of a key");
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : (unsigned)time(NULL);
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("pmi_client: seed %u\n", seed);
    srand(seed);
    test_words();
    test_meeting(1024);
    test_meeting(65536);
    test_meeting(16);
    test_twists();
    test_garbage();
    printf("pmi_client: %d checks, %d failures\n", checks, failures);
    return failures != 0;
}
