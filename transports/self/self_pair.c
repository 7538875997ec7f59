/* SPDX-License-Identifier: BSD-3-Clause */
/* Which ports exist in this process, and the pairs between them. */
#include "transports/self/self.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

enum { SHELVES = 256 };            /* a power of two; communicators in use are fewer */

struct shelf {                     /* the ports and pairs of a few communicators */
    struct port *ports;
    struct pair *pairs;
};

static struct {
    pthread_mutex_t lock;
    struct shelf    shelves[SHELVES];
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct shelf *shelf_of(uint64_t communicator)
{
    return &registry.shelves[communicator * 0x9e3779b97f4a7c15u >> 32 & (SHELVES - 1)];
}

/* The port exists until the caller's lock is released. */
static void port_wake(struct port *port)
{
    if (atomic_load(&port->armed) && atomic_exchange(&port->armed, false))
        eventfd_write(port->bell, 1);            /* fails only when readable anyway */
}

void side_notify(struct side *side)
{
    atomic_store(&side->news, true);
    if (side->port)
        port_wake(side->port);
}

static void pair_free(struct pair *pair)
{
    for (int i = 0; i < 2; i++)
        while (pair->sides[i].chunks) {
            struct note_chunk *next = pair->sides[i].chunks->next;

            free(pair->sides[i].chunks);
            pair->sides[i].chunks = next;
        }
    pthread_cond_destroy(&pair->moved);
    pthread_mutex_destroy(&pair->lock);
    free(pair);
}

/* registry.lock is held. */
static struct pair *pair_create(struct shelf *shelf, uint64_t communicator, int low, int high)
{
    struct pair *pair = calloc(1, sizeof *pair);
    pthread_condattr_t monotonic;

    if (!pair)
        return NULL;
    pair->communicator = communicator;
    pair->ranks[0] = low;
    pair->ranks[1] = high;
    pthread_mutex_init(&pair->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pair->moved, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (int i = 0; i < 2; i++) {
        list_init(&pair->sides[i].arrived);
        list_init(&pair->sides[i].taken);
    }
    pair->next = shelf->pairs;
    shelf->pairs = pair;
    return pair;
}

int pair_find(struct port *port, int peer, struct pair **out)
{
    uint64_t communicator = port->options.communicator;
    int rank = port->options.rank;
    int low = rank < peer ? rank : peer, high = rank < peer ? peer : rank;
    struct shelf *shelf = shelf_of(communicator);
    int status = PEAL_OK;
    struct pair *pair;
    struct port *other;

    pthread_mutex_lock(&registry.lock);
    pair = shelf->pairs;
    other = shelf->ports;
    while (pair && (pair->communicator != communicator || pair->ranks[0] != low ||
                    pair->ranks[1] != high))
        pair = pair->next;
    while (!pair && other && (other->options.communicator != communicator ||
                              other->options.rank != peer))
        other = other->next;
    if (!pair && !other) {
        port->seeks = true;
        status = STATUS_AGAIN;
    } else if (!pair && !(pair = pair_create(shelf, communicator, low, high))) {
        status = status_fail(PEAL_ERR_MEMORY, "self: no memory for rank %d", peer);
    } else {
        *out = pair;
    }
    pthread_mutex_unlock(&registry.lock);
    return status;
}

void registry_enter(struct port *port)
{
    struct shelf *shelf = shelf_of(port->options.communicator);

    pthread_mutex_lock(&registry.lock);
    for (struct port *other = shelf->ports; other; other = other->next)
        if (other->seeks && other->options.communicator == port->options.communicator) {
            other->seeks = false;
            atomic_store(&other->met, true);
            port_wake(other);
        }
    port->next = shelf->ports;
    shelf->ports = port;
    pthread_mutex_unlock(&registry.lock);
}

/* The port's side of each of its pairs is gone, connected or not; a pair is
 * freed with its second side. */
void registry_leave(struct port *port)
{
    struct shelf *shelf = shelf_of(port->options.communicator);
    struct port **at = &shelf->ports;
    struct pair **link = &shelf->pairs;

    pthread_mutex_lock(&registry.lock);
    while (*at != port)
        at = &(*at)->next;
    *at = port->next;
    while (*link) {
        struct pair *pair = *link;

        for (int i = 0; i < 2; i++)
            if (pair->communicator == port->options.communicator &&
                pair->ranks[i] == port->options.rank) {
                pthread_mutex_lock(&pair->lock);
                pair->sides[i].closed = pair->sides[i].gone = true;
                side_notify(&pair->sides[!i]);
                pthread_mutex_unlock(&pair->lock);
            }
        if (pair->sides[0].gone && pair->sides[1].gone) {
            *link = pair->next;
            pair_free(pair);
        } else {
            link = &pair->next;
        }
    }
    pthread_mutex_unlock(&registry.lock);
}
