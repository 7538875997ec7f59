/* SPDX-License-Identifier: BSD-3-Clause */
/* What congestion control connections have that come through a rank's door: from the host itself that of
 * PEAL_TCP_LOOPBACK, from their beginning; from others the system's.  And the ports of a door: who dials
 * or listens too early does not take that of rank 0. */
#include "base/status.h"
#include "checks.h"
#include "comm/door.h"
#include "comm/job.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NAME = 16 };

static void read_words(const char *file, char *words, int bytes)
{
    FILE *f = fopen(file, "r");

    words[0] = 0;
    if (f && !fgets(words, bytes, f))
        words[0] = 0;
    if (f)
        fclose(f);
    words[strcspn(words, "\n")] = 0;
}

/* One that can be had and is not the system's. */
static bool find_other(const char *system, char *other)
{
    char words[256], *rest = words;

    read_words("/proc/sys/net/ipv4/tcp_allowed_congestion_control", words, sizeof words);
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        if (*word && strlen(word) < NAME && strcmp(word, system)) {
            strcpy(other, word);
            return true;
        }
    return false;
}

static void check_control(int fd, const char *wanted, const char *what)
{
    char name[NAME + 1] = "";
    socklen_t bytes = NAME;

    check(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &bytes) == 0 && !strcmp(name, wanted),
          "%s has \"%s\", not \"%s\"", what, name, wanted);
}

static int accept_soon(const struct door *door)
{
    poll(&(struct pollfd){ .fd = door->tcp, .events = POLLIN }, 1, 10000);
    return door_accept_tcp(door);
}

static void test_dialled(const struct door *door, bool here, const char *wanted, const char *within)
{
    struct place place = door->shown;
    int dialled, accepted;

    place.here = here;
    dialled = door_dial(&place);
    accepted = accept_soon(door);
    check(dialled >= 0 && accepted >= 0, "a connection: %d, %d", dialled, accepted);
    check_control(dialled, wanted, here ? "who dials on his own host" : "who dials another host");
    check_control(accepted, within, "what comes from the host itself");
    close(dialled);
    close(accepted);
}

/* From another address than it goes to. */
static void test_from_elsewhere(const struct door *door, const char *wanted)
{
    struct sockaddr_in from = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM, 0), accepted;

    inet_pton(AF_INET, "127.0.0.2", &from.sin_addr);
    check(bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
          connect(fd, (const struct sockaddr *)&door->shown.address, door->shown.bytes) == 0,
          "a connection from 127.0.0.2");
    accepted = accept_soon(door);
    check_control(accepted, wanted, "what comes from elsewhere");
    close(fd);
    close(accepted);
}

static void test_door(const char *loopback, const char *system)
{
    struct job_options options = { .rank = 0, .nranks = 2, .root_listener = -1 };
    const char *within = strcmp(loopback, "system") ? loopback : system;
    struct in_addr any = { htonl(INADDR_LOOPBACK) };
    struct place root;
    struct door door;

    setenv("PEAL_TCP_LOOPBACK", loopback, 1);
    place_make(4, &any, 0, &root);
    if (door_open(&options, &root, 1, &door)) {
        check(false, "no door: %s", status_text());
        return;
    }
    test_dialled(&door, true, within, within);
    test_dialled(&door, false, system, within);
    test_from_elsewhere(&door, system);
    door_close(&door);
}

/* ---- Ports ---------------------------------------------------------------------------- */

/* What the kernel may do, by chance: give a socket the port `unlucky`, which is free. */
static uint16_t unlucky;
static int misfortunes;

static void strike(int fd, uint32_t address)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(unlucky),
                              .sin_addr.s_addr = address };
    socklen_t bytes = sizeof(int);
    int type = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) != 0 || type != SOCK_STREAM)
        return;                        /* it only asks for a route */
    misfortunes++;
    check(syscall(SYS_bind, fd, &at, sizeof at) == 0, "port %d: %m", unlucky);
}

int connect(int fd, const struct sockaddr *address, socklen_t bytes)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;

    if (unlucky && address->sa_family == AF_INET && ntohs(in->sin_port) == unlucky)
        strike(fd, in->sin_addr.s_addr);
    return (int)syscall(SYS_connect, fd, address, bytes);
}

int bind(int fd, const struct sockaddr *address, socklen_t bytes)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;

    if (unlucky && address->sa_family == AF_INET && in->sin_port == 0 && misfortunes == 0) {
        strike(fd, in->sin_addr.s_addr);
        if (misfortunes > 0)
            return 0;
    }
    return (int)syscall(SYS_bind, fd, address, bytes);
}

/* A port that is free, and the one after it, too. */
static uint16_t free_port(struct place *root)
{
    struct in_addr any = { htonl(INADDR_LOOPBACK) };

    for (int port = 20000 + (int)getpid() % 10000;; port += 2) {
        int listeners[2] = { -1, -1 }, n = 0;

        for (; n < 2; n++) {
            place_make(4, &any, (uint16_t)(port + n), root);
            if (listener_open(root, 0, &listeners[n]))
                break;
        }
        for (int i = 0; i < n; i++)
            close(listeners[i]);
        place_make(4, &any, (uint16_t)port, root);
        if (n == 2 || port > 60000)
            return (uint16_t)port;
    }
}

static uint16_t port_of_rank_1(const struct place *root)
{
    struct job_options options = { .rank = 1, .nranks = 2, .root_listener = -1 };
    struct door door;
    uint16_t port;

    if (door_open(&options, root, 1, &door)) {
        check(false, "no door of rank 1: %s", status_text());
        return 0;
    }
    port = place_port(&door.shown);
    door_close(&door);
    return port;
}

static void test_reserved(void)
{
    char range[32];
    struct place root;
    uint16_t port = free_port(&root), got;

    unlucky = port;
    misfortunes = 0;
    got = port_of_rank_1(&root);
    check(misfortunes == 1 && got != 0 && got != port, "rank 1 listens at %d, which is rank 0's",
          got);
    unlucky = 0;
    snprintf(range, sizeof range, "%d-%d", port, port + 1);
    setenv("PEAL_PORTS", range, 1);
    got = port_of_rank_1(&root);
    check(got == port + 1, "of the ports %s, rank 1 listens at %d, for rank 0 has the first", range,
          got);
    /* Of another address rank 0's port is free: it may be the only one that all hosts let in. */
    ((struct sockaddr_in *)&root.address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    snprintf(range, sizeof range, "%d", port);
    setenv("PEAL_PORTS", range, 1);
    got = port_of_rank_1(&root);
    check(got == port, "rank 1 listens at %d, though rank 0's %d is of another address", got, port);
    unsetenv("PEAL_PORTS");
}

/* Rank 1 dials before rank 0 listens, and from the same port: nobody is reached, and rank 0
 * can listen there all the same. */
static void test_dials_itself(void)
{
    struct job_options options = { .rank = 0, .nranks = 2, .root_listener = -1 };
    struct door door;
    struct place root;
    int fd;

    unlucky = free_port(&root);
    misfortunes = 1;
    fd = door_dial(&root);
    check(fd < 0 && errno == ECONNREFUSED && misfortunes == 2, "who dials itself: %d, %m, %d", fd,
          misfortunes);
    unlucky = 0;
    if (door_open(&options, &root, 1, &door))
        check(false, "rank 0 cannot listen: %s", status_text());
    else
        door_close(&door);
    if (fd >= 0)
        close(fd);
}

int main(void)
{
    char system[NAME * 2], other[NAME];

    test_reserved();
    test_dials_itself();

    read_words("/proc/sys/net/ipv4/tcp_congestion_control", system, sizeof system);
    if (!find_other(system, other)) {
        printf("door: %s, ports alone: skipped: no congestion control but \"%s\" can be had here\n",
               failures ? "FAIL" : "ok", system);
        return failures ? 1 : 77;
    }
    printf("the system's control %s, within the host %s\n", system, other);
    test_door(other, system);
    test_door("system", system);
    printf("door: %s, %d checks, %d failed\n", failures ? "FAIL" : "ok", checks, failures);
    return failures ? 1 : 0;
}
