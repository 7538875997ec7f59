/* SPDX-License-Identifier: BSD-3-Clause */
/* What is between the processes (and threads) of the double: a lock, and events. */
#include "tests/verbs_double_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A waiter that is woken and then dies, as its process has ended, while another thread has taken
 * the lock in passing, takes the wake-up of those behind it along, robust lock or not: all others
 * may sleep then with the lock free.  So nobody sleeps for long. */
void double_lock(void)
{
    enum { NAP = 50000000 };           /* ns */
    int error = pthread_mutex_trylock(&arena->lock);

    while (error == EBUSY || error == ETIMEDOUT) {
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += (until.tv_nsec + NAP) / 1000000000;
        until.tv_nsec = (until.tv_nsec + NAP) % 1000000000;
        error = pthread_mutex_timedlock(&arena->lock, &until);
    }
    if (error == EOWNERDEAD)
        pthread_mutex_consistent(&arena->lock);
}

void double_unlock(void)
{
    pthread_mutex_unlock(&arena->lock);
}

/* ---- Events: datagrams to sockets with a name -------------------------------- */

static void event_name(struct sockaddr_un *name, socklen_t *length, const struct event_end *end)
{
    memset(name, 0, sizeof *name);
    name->sun_family = AF_UNIX;
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                          (size_t)snprintf(name->sun_path + 1, sizeof name->sun_path - 1,
                                           "peal-double-%d-%d", end->pid, end->number));
}

int double_event_open(struct event_end *end)
{
    static int count;
    struct sockaddr_un name;
    socklen_t length;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    end->pid = getpid();
    end->number = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    event_name(&name, &length, end);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&name, length) != 0)
        double_die("an event's socket cannot be bound");
    return fd;
}

void double_notify(const struct event_end *end, uint64_t value)
{
    struct sockaddr_un name;
    socklen_t length;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    event_name(&name, &length, end);
    /* Whoever is gone needs no news; a full queue wakes as well. */
    sendto(fd, &value, sizeof value, MSG_DONTWAIT, (struct sockaddr *)&name, length);
    close(fd);
}
