/* SPDX-License-Identifier: BSD-3-Clause */
/* Which ports exist in this process, and the pairs between them. */
#include "transports/self/self.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

static struct {
    pthread_mutex_t lock;
    struct port    *ports;
    struct pair    *pairs;
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER };

void side_notify(struct side *side)
{
    atomic_store(&side->news, true);
    if (side->port && atomic_load(&side->port->armed) &&
        atomic_exchange(&side->port->armed, false))
        eventfd_write(side->port->bell, 1);      /* fails only when readable anyway */
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
static struct pair *pair_create(uint64_t communicator, int low, int high)
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
    pair->next = registry.pairs;
    registry.pairs = pair;
    return pair;
}

int pair_find(uint64_t communicator, int rank, int peer, struct pair **out)
{
    int low = rank < peer ? rank : peer, high = rank < peer ? peer : rank;
    int status = PEAL_OK;
    struct pair *pair;
    struct port *port;

    pthread_mutex_lock(&registry.lock);
    pair = registry.pairs;
    port = registry.ports;
    while (pair && (pair->communicator != communicator || pair->ranks[0] != low ||
                    pair->ranks[1] != high))
        pair = pair->next;
    while (!pair && port && (port->options.communicator != communicator ||
                             port->options.rank != peer))
        port = port->next;
    if (!pair && !port) {
        status = STATUS_AGAIN;
    } else if (!pair && !(pair = pair_create(communicator, low, high))) {
        status = status_fail(PEAL_ERR_MEMORY, "self: no memory for rank %d", peer);
    } else {
        *out = pair;
    }
    pthread_mutex_unlock(&registry.lock);
    return status;
}

void registry_enter(struct port *port)
{
    pthread_mutex_lock(&registry.lock);
    port->next = registry.ports;
    registry.ports = port;
    pthread_mutex_unlock(&registry.lock);
}

/* The port's side of each of its pairs is gone, connected or not; a pair is
 * freed with its second side. */
void registry_leave(struct port *port)
{
    struct port **at = &registry.ports;
    struct pair **link = &registry.pairs;

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
