/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket of an endpoint: the hello with which the shared area is passed,
 * descriptors of memory that the peer may map, wake-ups, and the peer's end. */
#include "transports/shm/shm.h"

#include "base/log.h"
#include "base/numa.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHARE_PLACES = 8 };         /* where in the table an allocation may stand */
enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

/* Send one record, with a descriptor unless fd < 0.  Records are far smaller
 * than what a Unix socket takes in one piece: whole or not at all. */
static bool record_send(struct endpoint *endpoint, const struct record *record, int fd)
{
    struct iovec piece = { .iov_base = (void *)(uintptr_t)record, .iov_len = sizeof *record };
    union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int))]; } control;
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
    ssize_t sent;

    if (fd >= 0) {
        struct cmsghdr *header;

        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    do
        sent = sendmsg(endpoint->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof *record;
}

static bool hello_send(struct endpoint *endpoint, int fd)
{
    struct record hello = { .kind = RECORD_HELLO, .length = endpoint->ring,
                            .token = endpoint->token,
                            .token_at = (uintptr_t)&endpoint->token };

    return record_send(endpoint, &hello, fd);
}

/* ---- The shared area ------------------------------------------------------ */

static int area_map(struct endpoint *endpoint, int fd)
{
    size_t bytes = ring_area_bytes(endpoint->ring);
    void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (area == MAP_FAILED)
        return status_fail(PEAL_ERR_MEMORY, "shm: cannot map %zu bytes shared with %s: %m",
                           bytes, endpoint->peer);
    endpoint->area = area;
    endpoint->area_bytes = bytes;
    return PEAL_OK;
}

/* Once its pages are there. */
static void area_enter(struct endpoint *endpoint)
{
    atomic_store_explicit(&endpoint->area->sides[endpoint->me].heavy, endpoint->port->fences,
                          memory_order_relaxed);
}

/* Rings lie near the side that reads them. */
static void area_near(struct endpoint *endpoint)
{
    struct shm_area *area = endpoint->area;

    for (int writer = 0; writer < 2; writer++) {
        int node = endpoint->numa[!writer];

        numa_prefer(area->slots[writer], sizeof area->slots[writer], node);
        numa_prefer(area->bytes + (size_t)writer * endpoint->ring, endpoint->ring, node);
    }
}

/* The dialling side makes the area, reserves its pages (or a later write would
 * be SIGBUS on a full machine) and passes it on. */
static int area_make(struct endpoint *endpoint)
{
    size_t bytes = ring_area_bytes(endpoint->ring);
    int fd = memfd_create("peal-shm", MFD_CLOEXEC | MFD_ALLOW_SEALING), status;

    if (fd < 0)
        return status_fail(PEAL_ERR_SYSTEM, "shm: memfd_create for %s: %m", endpoint->peer);
    if (ftruncate(fd, (off_t)bytes))
        status = status_fail(PEAL_ERR_MEMORY, "shm: no %zu bytes to share with %s: %m", bytes,
                             endpoint->peer);
    else
        status = area_map(endpoint, fd);
    if (status)
        goto done;
    area_near(endpoint);
    if ((errno = posix_fallocate(fd, 0, (off_t)bytes))) {
        status = status_fail(PEAL_ERR_MEMORY, "shm: cannot reserve %zu bytes to share with "
                             "%s: %m; try a smaller PEAL_SHM_RING", bytes, endpoint->peer);
        goto done;
    }
    if (fcntl(fd, F_ADD_SEALS, SEALS)) {
        status = status_fail(PEAL_ERR_SYSTEM, "shm: cannot seal memory for %s: %m",
                             endpoint->peer);
        goto done;
    }
    area_enter(endpoint);
    if (!hello_send(endpoint, fd))
        status = status_fail(PEAL_ERR_PEER, "shm: cannot greet %s: %m", endpoint->peer);
done:
    close(fd);
    return status;
}

/* Is this descriptor a piece of memory of at least `bytes` that cannot shrink
 * under us? */
static bool sealed(int fd, uint64_t bytes)
{
    struct stat about;
    int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & F_SEAL_SHRINK) && fstat(fd, &about) == 0 &&
           (uint64_t)about.st_size >= bytes;
}

static int hello_take(struct endpoint *endpoint, const struct record *record, int fd)
{
    uint64_t ring = record->length;
    int status;

    if (endpoint->greeted)
        return status_fail(PEAL_ERR_PROTOCOL, "shm: %s greets twice", endpoint->peer);
    endpoint->greeted = true;
    endpoint->peer_token = record->token;
    endpoint->peer_token_at = record->token_at;
    if (endpoint->area)
        return PEAL_OK;
    if (ring < SHM_RING_LOW || ring > SHM_RING_HIGH || (ring & (ring - 1)) ||
        !sealed(fd, ring_area_bytes(ring)))
        return status_fail(PEAL_ERR_PROTOCOL, "shm: %s offers to share memory of a wrong "
                           "size, or that it could take away", endpoint->peer);
    endpoint->ring = ring;
    endpoint->port->unready--;
    /* If this fails the peer has gone, as the socket will tell; what it left in
     * the rings is still delivered. */
    hello_send(endpoint, -1);
    status = area_map(endpoint, fd);
    if (status == PEAL_OK)
        area_enter(endpoint);
    return status;
}

/* ---- Memory of the peer ----------------------------------------------------- */

static void view_drop(struct endpoint *endpoint, int place)
{
    if (endpoint->views[place].base)
        munmap(endpoint->views[place].base, endpoint->views[place].length);
    endpoint->views[place].base = NULL;
}

/* Without a view the bytes travel in another way, so that only nonsense fails; not
 * that this process had no descriptor left for it. */
static int share_take(struct endpoint *endpoint, const struct record *record, int fd)
{
    void *base;

    if (fd < 0 && record->share < SHM_SHARES) {
        log_info("shm: no descriptor came with memory of %s; too many open files?",
                 endpoint->peer);
        view_drop(endpoint, (int)record->share);
        return PEAL_OK;
    }
    if (record->share >= SHM_SHARES || record->length == 0 || record->length > SIZE_MAX ||
        !sealed(fd, record->length))
        return status_fail(PEAL_ERR_PROTOCOL, "shm: %s shares memory of a wrong size, or that "
                           "it could take away", endpoint->peer);
    view_drop(endpoint, (int)record->share);
    base = mmap(NULL, record->length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        log_info("shm: cannot map %llu bytes of %s: %m", (unsigned long long)record->length,
                 endpoint->peer);
        return PEAL_OK;
    }
    endpoint->views[record->share].base = base;
    endpoint->views[record->share].id = record->id;
    endpoint->views[record->share].length = record->length;
    return PEAL_OK;
}

int link_share(struct endpoint *endpoint, const struct memory_share *share)
{
    struct record record = { .kind = RECORD_SHARE, .id = share->id, .length = share->length };
    int place = -1;

    /* Ids are given one after the other, so neighbours seldom meet. */
    for (int i = 0; i < SHARE_PLACES; i++) {
        int at = (int)((share->id + (uint64_t)i) % SHM_SHARES);

        if (endpoint->shares[at].sent && endpoint->shares[at].id == share->id)
            return at;
        if (place < 0 && endpoint->shares[at].users == 0)
            place = at;
    }
    record.share = (uint32_t)place;
    if (place < 0 || endpoint->socket < 0 || !record_send(endpoint, &record, share->fd))
        return -1;
    endpoint->shares[place].id = share->id;
    endpoint->shares[place].sent = true;
    return place;
}

/* ---- Reading ----------------------------------------------------------------- */

static int record_take(struct endpoint *endpoint, const struct record *record, int fd)
{
    switch (record->kind) {
    case RECORD_WAKE:
        return PEAL_OK;
    case RECORD_HELLO:
        return hello_take(endpoint, record, fd);
    case RECORD_SHARE:
        return share_take(endpoint, record, fd);
    }
    return status_fail(PEAL_ERR_PROTOCOL, "shm: %s sent a record of kind %u", endpoint->peer,
                       record->kind);
}

/* The peer's descriptor, if one came along; there is room for no more. */
static void descriptor_take(struct endpoint *endpoint, struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd;

    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len != CMSG_LEN(sizeof fd))
        return;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    if (endpoint->record_fd >= 0)
        close(endpoint->record_fd);
    endpoint->record_fd = fd;
}

/* One read of at most the rest of a record; false if there is no more. */
static bool record_read(struct endpoint *endpoint)
{
    union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int))]; } control;
    struct iovec piece = { .iov_base = (char *)&endpoint->record + endpoint->record_fill,
                           .iov_len = sizeof endpoint->record - endpoint->record_fill };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof control.bytes };
    ssize_t got = recvmsg(endpoint->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (got < 0 && errno == EINTR)
        return true;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
    if (got <= 0) {                /* the end; leaving the epoll set by closing */
        close(endpoint->socket);
        endpoint->socket = -1;
        return false;
    }
    descriptor_take(endpoint, &message);
    endpoint->record_fill += (size_t)got;
    if (endpoint->record_fill == sizeof endpoint->record) {
        int status = record_take(endpoint, &endpoint->record, endpoint->record_fd);

        shm_break(endpoint, status);
        if (endpoint->record_fd >= 0)
            close(endpoint->record_fd);
        endpoint->record_fd = -1;
        endpoint->record_fill = 0;
    }
    return !endpoint->broken;
}

void link_read(struct endpoint *endpoint)
{
    while (endpoint->socket >= 0 && record_read(endpoint))
        continue;
}

void link_wake(struct endpoint *endpoint)
{
    struct record record = { .kind = RECORD_WAKE };

    /* A full socket is readable, which is all that a wake-up is for. */
    if (atomic_exchange(&endpoint->area->sides[!endpoint->me].armed, 0) &&
        endpoint->socket >= 0)
        record_send(endpoint, &record, -1);
}

/* ---- Beginning and end -------------------------------------------------------- */

int link_start(struct endpoint *endpoint, bool dialled)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = endpoint };

    endpoint->record_fd = -1;
    if (getrandom(&endpoint->token, sizeof endpoint->token, 0) != sizeof endpoint->token)
        return status_fail(PEAL_ERR_SYSTEM, "shm: getrandom: %m");
    if (epoll_ctl(endpoint->port->epoll, EPOLL_CTL_ADD, endpoint->socket, &event))
        return status_fail(PEAL_ERR_SYSTEM, "shm: epoll_ctl for %s: %m", endpoint->peer);
    if (!dialled) {
        endpoint->port->unready++;
        return PEAL_OK;
    }
    endpoint->ring = endpoint->port->ring;
    return area_make(endpoint);
}

void link_stop(struct endpoint *endpoint)
{
    for (int i = 0; i < SHM_SHARES; i++)
        view_drop(endpoint, i);
    recv_close(endpoint);
    if (endpoint->area)
        munmap(endpoint->area, endpoint->area_bytes);
    if (endpoint->record_fd >= 0)
        close(endpoint->record_fd);
    if (endpoint->socket >= 0)
        close(endpoint->socket);
}
