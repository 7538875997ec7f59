/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/door.h"

#include "base/log.h"
#include "base/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <sys/un.h>
#include <unistd.h>

static void local_place(const unsigned char name[16], struct place *place)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&place->address;

    memset(place, 0, sizeof(*place));
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path + 1, "peal", 4);       /* the leading NUL: no file */
    for (int i = 0; i < 16; i++) {
        un->sun_path[5 + 2 * i] = "0123456789abcdef"[name[i] >> 4];
        un->sun_path[6 + 2 * i] = "0123456789abcdef"[name[i] & 15];
    }
    place->bytes = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 5 + 32;
}

static int open_local(struct door *door)
{
    struct place place;
    int fd;

    if (getrandom(door->name, sizeof(door->name), 0) != sizeof(door->name))
        return status_fail(PEAL_ERR_SYSTEM, "getrandom: %m");
    local_place(door->name, &place);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return status_fail(PEAL_ERR_SYSTEM, "cannot make a Unix socket: %m");
    door->local = fd;
    if (bind(fd, (struct sockaddr *)&place.address, place.bytes) < 0 || listen(fd, SOMAXCONN) < 0)
        return status_fail(PEAL_ERR_SYSTEM, "cannot listen on an abstract Unix socket: %m");
    return PEAL_OK;
}

/* ---- Within the host ------------------------------------------------------------------ */

/* There nothing is lost and no link must be spared, but a control that paces (bbr) still waits between
 * packets: it halved what loopback moves.  The kernel goes on pacing a connection that began with such a
 * control whatever is set later, so it is set before: by who dials, and on the listener, whose connections
 * inherit it. */
static const char *control_within(void)
{
    const char *name = setting_text(&job_settings[JOB_LOOPBACK], NULL);

    return strcmp(name, "system") ? name : NULL;
}

static void set_control(int fd, const char *name)
{
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) < 0)
        log_debug("cannot set TCP_CONGESTION to %s on socket %d: %m", name, fd);
}

static void begin_within(struct door *door)
{
    const char *name = control_within();
    socklen_t bytes = sizeof(door->control);

    if (!name)
        return;
    if (getsockopt(door->tcp, IPPROTO_TCP, TCP_CONGESTION, door->control, &bytes) < 0) {
        door->control[0] = 0;          /* then others could not have theirs back */
        return;
    }
    door->control[sizeof(door->control) - 1] = 0;
    set_control(door->tcp, name);
}

/* Does a connection go from an address to itself?  Only one that stays on the host does. */
static bool stays_within(int fd)
{
    struct sockaddr_storage ends[2] = { { 0 }, { 0 } };
    socklen_t bytes[2] = { sizeof(*ends), sizeof(*ends) };

    return getsockname(fd, (struct sockaddr *)&ends[0], &bytes[0]) == 0 &&
           getpeername(fd, (struct sockaddr *)&ends[1], &bytes[1]) == 0 &&
           place_same_address(&ends[0], &ends[1]);
}

/* ---- Opening -------------------------------------------------------------------------- */

/* A listener that job_listen() made. */
static int adopt(const struct job_options *options, const struct place *root,
                 struct door *door)
{
    int flags = fcntl(options->root_listener, F_GETFL);

    door->tcp = options->root_listener;
    if (flags < 0 || fcntl(door->tcp, F_SETFL, flags | O_NONBLOCK) < 0)
        return status_fail(PEAL_ERR_SYSTEM, "root_listener is no descriptor: %m");
    door->shown.bytes = sizeof(door->shown.address);
    if (getsockname(door->tcp, (struct sockaddr *)&door->shown.address,
                    &door->shown.bytes) < 0)
        return status_fail(PEAL_ERR_SYSTEM, "root_listener is no socket: %m");
    if (place_is_wildcard(&door->shown))
        door->shown = *root;
    return PEAL_OK;
}

/* Rank 0, if no interface is named: the first address of its own that works. */
static int open_root(const struct place *roots, int nroots, struct door *door)
{
    int status = PEAL_ERR_SYSTEM;

    for (int i = 0; i < nroots; i++) {
        struct place place = roots[i];

        status = listener_open(&place, 0, &door->tcp);
        if (status == PEAL_OK) {
            door->shown = place_is_wildcard(&place) ? roots[i] : place;
            break;
        }
    }
    return status;
}

/* The port that rank 0 will listen at, if it does so at the address where we do. */
static uint16_t port_of_root(const struct place *roots, int nroots, const struct place *own)
{
    for (int i = 0; i < nroots; i++)
        if (place_is_wildcard(&roots[i]) || place_same_address(&roots[i].address, &own->address))
            return place_port(&roots[i]);
    return 0;
}

static int open_tcp(const struct job_options *options, const struct place *roots, int nroots,
                    struct door *door)
{
    struct place bound;
    uint16_t reserved = 0;
    int status;

    if (options->rank == 0 && options->root_listener >= 0)
        return adopt(options, roots, door);
    if (options->rank == 0 && !listener_told())
        return open_root(roots, nroots, door);
    status = listener_choose(roots, &bound, &door->shown);
    if (status)
        return status;
    if (options->rank == 0)
        place_set_port(&bound, place_port(roots));
    else
        reserved = port_of_root(roots, nroots, &door->shown);
    status = listener_open(&bound, reserved, &door->tcp);
    if (status)
        return status;
    place_set_port(&door->shown, place_port(&bound));
    return PEAL_OK;
}

int door_open(const struct job_options *options, const struct place *roots, int nroots,
              struct door *door)
{
    int status;

    *door = (struct door){ .tcp = -1, .local = -1 };
    status = open_tcp(options, roots, nroots, door);
    if (status == PEAL_OK) {
        begin_within(door);
        status = open_local(door);
    }
    if (status)
        door_close(door);
    return status;
}

void door_close(struct door *door)
{
    if (door->tcp >= 0)
        close(door->tcp);
    if (door->local >= 0)
        close(door->local);
    door->tcp = door->local = -1;
}

void door_describe(const struct door *door, struct record *record)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&door->shown.address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&door->shown.address;

    record->port = place_port(&door->shown);
    memset(record->address, 0, sizeof(record->address));
    if (in->sin_family == AF_INET) {
        record->family = 4;
        memcpy(record->address, &in->sin_addr, 4);
    } else {
        record->family = 6;
        memcpy(record->address, &in6->sin6_addr, 16);
    }
    memcpy(record->local, door->name, sizeof(record->local));
}

void door_place(const struct door *self, const struct record *record, bool local,
                struct place *place)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&place->address;

    if (local) {
        local_place(record->local, place);
        return;
    }
    place_make(record->family, record->address, record->port, place);
    /* The scope of a link-local address is our own name for the link. */
    if (record->family == 6 && IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) &&
        self->shown.address.ss_family == AF_INET6)
        in6->sin6_scope_id = ((const struct sockaddr_in6 *)&self->shown.address)->sin6_scope_id;
}

/* The kernel may give who dials the very port that is dialled, if nobody listens there yet:
 * then the connection stands, to itself, and keeps the port from the rank that is to listen. */
static bool dials_itself(int fd, const struct place *place)
{
    struct place own = { .bytes = sizeof(own.address) };

    return place->address.ss_family != AF_UNIX &&
           getsockname(fd, (struct sockaddr *)&own.address, &own.bytes) == 0 &&
           (place_is_wildcard(place) || place_same_address(&own.address, &place->address)) &&
           place_port(&own) == place_port(place);
}

int door_dial(const struct place *place)
{
    static const struct linger at_once = { .l_onoff = 1 };
    int family = place->address.ss_family, error;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (place->here && control_within())
        set_control(fd, control_within());
    if (connect(fd, (const struct sockaddr *)&place->address, place->bytes) == 0 ||
        errno == EINPROGRESS || errno == EINTR) {
        if (!dials_itself(fd, place))
            return fd;
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        errno = ECONNREFUSED;          /* nobody listens */
    }
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int accept_one(int listener)
{
    int fd;

    do
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int door_accept_tcp(const struct door *door)
{
    int fd = accept_one(door->tcp);

    if (fd >= 0 && *door->control && !stays_within(fd))
        set_control(fd, door->control);
    return fd;
}

int door_accept_local(const struct door *door)
{
    return accept_one(door->local);
}

bool door_same_user(int fd)
{
    struct ucred peer;
    socklen_t bytes = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
           peer.uid == geteuid();
}

void door_tune(int fd, double keepalive)
{
    static const int on = 1;
    int probes = 3, between, idle, patience = (int)(keepalive * 1000);

    /* Fails on Unix sockets, which need none of it. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 || keepalive <= 0)
        return;
    between = (int)(keepalive / 5) > 1 ? (int)(keepalive / 5) : 1;
    idle = (int)keepalive - probes * between > 1 ? (int)keepalive - probes * between : 1;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof(between));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof(patience));
}
