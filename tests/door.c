/* SPDX-License-Identifier: BSD-3-Clause */
/* What congestion control connections have that come through a rank's door: from the host itself that of
 * PEAL_TCP_LOOPBACK, from their beginning; from others the system's. */
#include "base/status.h"
#include "checks.h"
#include "comm/door.h"
#include "comm/job.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

int main(void)
{
    char system[NAME * 2], other[NAME];

    read_words("/proc/sys/net/ipv4/tcp_congestion_control", system, sizeof system);
    if (!find_other(system, other)) {
        printf("door: skipped: no congestion control but \"%s\" can be had here\n", system);
        return 77;
    }
    printf("the system's control %s, within the host %s\n", system, other);
    test_door(other, system);
    test_door("system", system);
    printf("door: %s, %d checks, %d failed\n", failures ? "FAIL" : "ok", checks, failures);
    return failures ? 1 : 0;
}
