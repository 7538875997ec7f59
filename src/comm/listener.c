/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/listener.h"

#include "base/clock.h"
#include "base/status.h"
#include "comm/interface.h"
#include "comm/job.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Places ----------------------------------------------------------- */

void place_make(int family, const void *address, uint16_t port, struct place *place)
{
    memset(place, 0, sizeof(*place));
    if (family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)&place->address;

        in->sin_family = AF_INET;
        memcpy(&in->sin_addr, address, 4);
        place->bytes = sizeof(*in);
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&place->address;

        in6->sin6_family = AF_INET6;
        memcpy(&in6->sin6_addr, address, 16);
        place->bytes = sizeof(*in6);
    }
    place_set_port(place, port);
}

uint16_t place_port(const struct place *place)
{
    if (place->address.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&place->address)->sin_port);
    return ntohs(((const struct sockaddr_in6 *)&place->address)->sin6_port);
}

void place_set_port(struct place *place, uint16_t port)
{
    if (place->address.ss_family == AF_INET)
        ((struct sockaddr_in *)&place->address)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)&place->address)->sin6_port = htons(port);
}

bool place_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)b)->sin6_addr, 16) == 0;
}

bool place_is_wildcard(const struct place *place)
{
    if (place->address.ss_family == AF_INET)
        return ((const struct sockaddr_in *)&place->address)->sin_addr.s_addr == INADDR_ANY;
    return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)&place->address)->sin6_addr);
}

const char *place_text(const struct place *place, char text[PLACE_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (place->address.ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&place->address)->sin_addr, host,
                  sizeof(host));
        snprintf(text, PLACE_TEXT, "%s:%u", host, place_port(place));
    } else if (place->address.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&place->address)->sin6_addr, host,
                  sizeof(host));
        snprintf(text, PLACE_TEXT, "[%s]:%u", host, place_port(place));
    } else {
        snprintf(text, PLACE_TEXT, "a local socket");
    }
    return text;
}

/* ---- Text to addresses ------------------------------------------------ */

int listener_parse(const char *text, char host[256], uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    size_t bytes = colon ? (size_t)(colon - text) : 0;
    char *end = NULL;
    unsigned long number = colon ? strtoul(colon + 1, &end, 10) : 0;

    if (bytes >= 2 && text[0] == '[' && text[bytes - 1] == ']') {
        text++;
        bytes -= 2;
    } else if (colon && memchr(text, ':', bytes)) {
        bytes = 0;                     /* a bare v6 address: where would its port begin? */
    }
    if (bytes == 0 || bytes > 255 || colon[1] < '0' || colon[1] > '9' || *end ||
        number > 65535)
        return status_fail(PEAL_ERR_LAUNCH, "the root address \"%.255s\" is not of the form "
                           "host:port or [v6 address]:port", text);
    memcpy(host, text, bytes);
    host[bytes] = 0;
    *port = (uint16_t)number;
    return PEAL_OK;
}

int listener_resolve(const char *text, uint64_t deadline, struct place *places, int most,
                     int *count)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    char host[256], service[8];
    uint16_t port;
    int error, status, n = 0;

    status = listener_parse(text, host, &port);
    if (status)
        return status;
    hints.ai_family = interface_family();
    snprintf(service, sizeof(service), "%u", port);
    /* A cluster's name service may learn of rank 0 after we start. */
    while ((error = getaddrinfo(host, service, &hints, &found)) != 0 &&
           (error == EAI_AGAIN || error == EAI_NONAME) && clock_left_ms(deadline) > 0) {
        int left = clock_left_ms(deadline);

        poll(NULL, 0, left < 500 ? left : 500);
    }
    if (error)
        return status_fail(PEAL_ERR_LAUNCH, "cannot find the address of rank 0, \"%s\": %s",
                           text, error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    for (struct addrinfo *a = found; a && n < most; a = a->ai_next) {
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
            continue;
        memset(&places[n], 0, sizeof(places[n]));
        memcpy(&places[n].address, a->ai_addr, a->ai_addrlen);
        places[n++].bytes = a->ai_addrlen;
    }
    freeaddrinfo(found);
    if (n == 0)
        return status_fail(PEAL_ERR_LAUNCH, "\"%s\" has no internet address", text);
    *count = n;
    return PEAL_OK;
}

/* ---- Which address to bind -------------------------------------------- */

/* Our end of a route; nothing is sent. */
static bool route_from(const struct place *towards, struct place *from)
{
    struct place far = *towards;
    bool found;
    int fd = socket(far.address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    if (place_port(&far) == 0)
        place_set_port(&far, 9);
    memset(from, 0, sizeof(*from));
    from->bytes = sizeof(from->address);
    found = connect(fd, (struct sockaddr *)&far.address, far.bytes) == 0 &&
            getsockname(fd, (struct sockaddr *)&from->address, &from->bytes) == 0;
    close(fd);
    if (found)
        place_set_port(from, 0);
    return found;
}

/* Our end of the route to the world, or else any address of ours. */
static bool route_default(struct place *from)
{
    static const unsigned char world4[4] = { 192, 0, 2, 1 };     /* TEST-NET-1 */
    static const unsigned char world6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
    struct place towards;
    int family = interface_family();

    place_make(4, world4, 9, &towards);
    if (family != AF_INET6 && route_from(&towards, from))
        return true;
    place_make(6, world6, 9, &towards);
    if (family != AF_INET && route_from(&towards, from))
        return true;
    return interface_any(family, from);
}

bool listener_told(void)
{
    return interface_wanted() != NULL;
}

int listener_choose(const struct place *towards, struct place *bound, struct place *shown)
{
    const char *wanted = interface_wanted();
    int family = towards ? towards->address.ss_family : interface_family();
    struct place at;
    char text[PLACE_TEXT];

    if (wanted && !interface_is_wildcard(wanted)) {
        int status = interface_find(wanted, family, &at);

        if (status)
            return status;
        *bound = *shown = at;
        return PEAL_OK;
    }
    if (towards ? !route_from(towards, &at) : !route_default(&at))
        return status_fail(PEAL_ERR_SYSTEM, "no network interface leads to %s: %m; set "
                           "PEAL_INTERFACE to the one to use",
                           towards ? place_text(towards, text) : "other hosts");
    *bound = *shown = at;
    if (wanted) {
        static const unsigned char any[16];

        place_make(at.address.ss_family == AF_INET ? 4 : 6, any, 0, bound);
    }
    return PEAL_OK;
}

/* ---- The listening socket --------------------------------------------- */

/* Bind and listen; on failure -errno. */
static int try_listen(const struct place *place)
{
    static const int on = 1;
    int fd = socket(place->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0)
        return -errno;
    if ((place_port(place) == 0 ||
         setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0) &&
        bind(fd, (const struct sockaddr *)&place->address, place->bytes) == 0 &&
        listen(fd, SOMAXCONN) == 0)
        return fd;
    error = errno;
    close(fd);
    return -error;
}

/* PEAL_PORTS: "low-high", one port, or 0 for any. */
static int port_range(unsigned *low, unsigned *high)
{
    const struct setting *setting = &job_settings[JOB_PORTS];
    const char *text = setting_text(setting, NULL);
    char end;
    int fields = sscanf(text, "%u-%u%c", low, high, &end);

    if (fields == 1 && strspn(text, "0123456789") == strlen(text))
        *high = *low;
    else if (fields != 2)
        *high = 65536;
    if (*high > 65535 || *low > *high || (*low == 0 && *high != 0))
        return status_fail(PEAL_ERR_LAUNCH, "%s=\"%s\" is not a range of ports such as "
                           "20000-20999", setting->name, text);
    return PEAL_OK;
}

static int bound_at(int fd, struct place *at)
{
    at->bytes = sizeof(at->address);
    return getsockname(fd, (struct sockaddr *)&at->address, &at->bytes) < 0 ? -errno : 0;
}

/* A rank that dials a port too early may hold it for a moment (door_dial). */
static int listen_patiently(const struct place *place)
{
    enum { TRIES = 20, PAUSE_MS = 5 };
    int fd = try_listen(place);

    for (int i = 0; i < TRIES && fd == -EADDRINUSE; i++) {
        poll(NULL, 0, PAUSE_MS);
        fd = try_listen(place);
    }
    return fd;
}

static int listen_elsewhere(const struct place *place, uint16_t reserved)
{
    struct place at = *place;
    int fd, other;

    if (place_port(place) == reserved && reserved)
        return -EADDRINUSE;
    fd = try_listen(place);
    if (fd < 0 || bound_at(fd, &at) < 0 || place_port(&at) != reserved)
        return fd;
    other = try_listen(place);         /* the kernel's next choice is another */
    close(fd);
    return other;
}

int listener_open(struct place *place, uint16_t reserved, int *listener)
{
    unsigned low = place_port(place), high = low;
    bool fixed = low != 0;
    struct place at = *place;
    char text[PLACE_TEXT];
    int fd = -EADDRINUSE, status;

    if (!fixed && (status = port_range(&low, &high)))
        return status;
    for (unsigned port = low; port <= high && fd == -EADDRINUSE; port++) {
        place_set_port(&at, (uint16_t)port);
        fd = fixed ? listen_patiently(&at) : listen_elsewhere(&at, reserved);
    }
    if (fd < 0) {
        place_set_port(&at, (uint16_t)low);
        errno = -fd;
        return status_fail(PEAL_ERR_SYSTEM, "cannot listen on %s%s: %m%s", place_text(&at, text),
                           high > low ? " or the ports after it" : "",
                           fd == -EADDRINUSE ? "; choose another port (PEAL_PORTS, or the "
                                               "launcher's), or end the program that has it"
                           : fd == -EADDRNOTAVAIL ? "; it is not an address of this host: set "
                                                    "PEAL_INTERFACE, or give rank 0's own"
                                                  : "");
    }
    if (bound_at(fd, &at) < 0) {
        status = status_fail(PEAL_ERR_SYSTEM, "getsockname: %m");
        close(fd);
        return status;
    }
    *place = at;
    *listener = fd;
    return PEAL_OK;
}
