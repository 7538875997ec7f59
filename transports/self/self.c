/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports and endpoints of the transport between threads; see self.h. */
#include "transports/self/self.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { LAND_BYTES = 1 << 20 };     /* landed per endpoint and progress(), about */

static int self_usable(void)
{
    return PEAL_OK;
}

static int self_reach(const struct where *self, const struct where *peer, struct reach *how)
{
    if (self->host != peer->host || self->process != peer->process)
        return status_fail(PEAL_ERR_UNSUPPORTED, "self: %s:%u is another process than %s:%u",
                           peer->hostname, peer->pid, self->hostname, self->pid);
    how->latency = 0.3e-6;
    how->overhead = 0.1e-6;
    how->bandwidth = 24e9;
    how->slice = 128 << 10;
    return PEAL_OK;
}

static int self_open(const struct port_options *options, struct port **out)
{
    struct port *port = calloc(1, sizeof *port);

    if (!port)
        return status_fail(PEAL_ERR_MEMORY, "self: no memory for a port");
    port->options = *options;
    match_pool_init(&port->pool);
    port->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (port->bell < 0) {
        free(port);
        return status_fail(PEAL_ERR_SYSTEM, "self: eventfd: %m");
    }
    registry_enter(port);
    *out = port;
    return PEAL_OK;
}

static int self_connect(struct port *port, int peer, const struct where *where,
                        const int *sockets, int nsockets, bool dialled,
                        struct endpoint **out)
{
    int rank = port->options.rank, status;
    struct endpoint *endpoint = calloc(1, sizeof *endpoint);
    struct pair *pair = NULL;

    (void)where, (void)sockets, (void)nsockets, (void)dialled;
    if (!endpoint)
        return status_fail(PEAL_ERR_MEMORY, "self: no memory for rank %d", peer);
    status = pair_find(port, peer, &pair);
    if (status) {
        free(endpoint);
        return status;
    }
    endpoint->port = port;
    endpoint->pair = pair;
    endpoint->mine = &pair->sides[rank > peer];
    endpoint->theirs = &pair->sides[peer > rank];
    list_init(&endpoint->pulls);
    snprintf(endpoint->peer, sizeof endpoint->peer, "rank %d", peer);
    matching_init(&endpoint->matching, &port->pool, port->options.completions,
                  endpoint->peer);
    pthread_mutex_lock(&pair->lock);
    endpoint->mine->port = port;
    pthread_mutex_unlock(&pair->lock);
    endpoint->next = port->endpoints;
    port->endpoints = endpoint;
    *out = endpoint;
    return PEAL_OK;
}

/* ---- Closing ---------------------------------------------------------- */

/* pair.lock is held.  Wait until the peer has taken what it can still take of
 * our memory. */
static void endpoint_flush(struct endpoint *endpoint)
{
    uint64_t deadline = clock_now() + 1000000000;
    struct timespec until = { .tv_sec = (time_t)(deadline / 1000000000),
                              .tv_nsec = (long)(deadline % 1000000000) };
    struct side *mine = endpoint->mine, *theirs = endpoint->theirs;

    while (mine != theirs && mine->held > 0 && !theirs->closed && !theirs->leaving)
        if (pthread_cond_timedwait(&endpoint->pair->moved, &endpoint->pair->lock, &until))
            break;
}

static void endpoint_close(struct endpoint *endpoint, bool flush)
{
    struct pair *pair = endpoint->pair;
    struct side *mine = endpoint->mine;

    pthread_mutex_lock(&pair->lock);
    mine->leaving = true;
    pthread_cond_broadcast(&pair->moved);
    if (flush)
        endpoint_flush(endpoint);
    mine->closed = true;
    mine->port = NULL;
    while (mine->reading)
        pthread_cond_wait(&pair->moved, &pair->lock);
    side_notify(endpoint->theirs);
    pthread_mutex_unlock(&pair->lock);
    matching_clear(&endpoint->matching);
    free(endpoint);
}

static void self_close(struct port *port, bool flush)
{
    if (!port)
        return;
    while (port->endpoints) {
        struct endpoint *next = port->endpoints->next;

        endpoint_close(port->endpoints, flush);
        port->endpoints = next;
    }
    registry_leave(port);
    match_pool_free(&port->pool);
    close(port->bell);
    free(port);
}

/* ---- Moving data ------------------------------------------------------ */

static struct note *note_take(struct endpoint *endpoint)
{
    struct note *note = endpoint->free;

    if (!note) {
        struct note_chunk *chunk = calloc(1, sizeof *chunk);

        if (!chunk)
            return NULL;
        chunk->next = endpoint->mine->chunks;
        endpoint->mine->chunks = chunk;
        for (int i = 0; i < NOTE_CHUNK; i++) {
            chunk->notes[i].next = endpoint->free;
            endpoint->free = &chunk->notes[i];
        }
        note = endpoint->free;
    }
    endpoint->free = note->next;
    return note;
}

/* May the sender start this number?  If not, it is told when it may. */
static bool send_open(struct endpoint *to, const struct message *message)
{
    _Atomic uint32_t *low = &to->theirs->low[message->stream];

    if (message->number - atomic_load(low) < TRANSPORT_WINDOW)
        return true;
    atomic_store(&to->mine->starved, true);
    return message->number - atomic_load(low) < TRANSPORT_WINDOW;
}

static int self_send(struct endpoint *to, const struct message *message,
                     const void *bytes, size_t length, struct completion *done)
{
    struct completion_queue *completions = to->port->options.completions;
    struct note *note;

    if (to->matching.failure) {
        status_fail(to->matching.failure, "%s", to->why);
        completion_done(completions, done, to->matching.failure);
        return PEAL_OK;
    }
    if (!send_open(to, message))
        return STATUS_AGAIN;
    note = note_take(to);
    if (!note)
        return status_fail(PEAL_ERR_MEMORY, "self: no memory to send to %s", to->peer);
    note->message = *message;
    note->length = length;
    note->match = NULL;
    if (length <= NOTE_BYTES) {
        if (length > 0)
            memcpy(note->copy, bytes, length);
        note->bytes = note->copy;
        note->done = NULL;
        completion_done(completions, done, PEAL_OK);
    } else {
        note->bytes = bytes;
        note->done = done;
    }
    pthread_mutex_lock(&to->pair->lock);
    to->mine->held += note->done != NULL;
    list_append(&to->theirs->arrived, note);
    side_notify(to->theirs);
    pthread_mutex_unlock(&to->pair->lock);
    return PEAL_OK;
}

/* Tell the sender how far matching has come. */
static void publish_low(struct endpoint *endpoint)
{
    for (int i = 0; i < TRANSPORT_STREAMS; i++)
        atomic_store(&endpoint->mine->low[i], endpoint->matching.streams[i].low);
    if (atomic_load(&endpoint->theirs->starved) &&
        atomic_exchange(&endpoint->theirs->starved, false)) {
        pthread_mutex_lock(&endpoint->pair->lock);
        side_notify(endpoint->theirs);
        pthread_mutex_unlock(&endpoint->pair->lock);
    }
}

/* The bytes that a note lent were taken, or are not wanted. */
static void note_return(struct endpoint *endpoint, struct note *note)
{
    pthread_mutex_lock(&endpoint->pair->lock);
    endpoint->theirs->held--;
    list_append(&endpoint->theirs->taken, note);
    side_notify(endpoint->theirs);
    pthread_cond_broadcast(&endpoint->pair->moved);
    pthread_mutex_unlock(&endpoint->pair->lock);
}

/* A note that lends its bytes has met its receive. */
static void note_matched(struct endpoint *endpoint, struct note *note, struct match *match)
{
    if (match->state == MATCH_LANDING) {
        note->match = match;
        list_append(&endpoint->pulls, note);
        return;
    }
    matching_drop(&endpoint->matching, match);
    note_return(endpoint, note);
}

static int self_recv(struct endpoint *from, const struct message *message,
                     const struct landing *landing, struct completion *done)
{
    struct match *match;
    int status;

    if (from->matching.failure)
        status_fail(from->matching.failure, "%s", from->why);
    status = matching_post(&from->matching, message, landing, done, &match);
    if (status)
        return status;
    if (match)
        note_matched(from, (struct note *)(uintptr_t)match->remote[0], match);
    publish_low(from);
    return PEAL_OK;
}

/* Nothing moves any more; the other side's memory is not read again. */
static void endpoint_fail(struct endpoint *endpoint, int status)
{
    struct completion_queue *completions = endpoint->port->options.completions;

    list_init(&endpoint->pulls);
    snprintf(endpoint->why, sizeof endpoint->why, "%s", status_text());
    matching_fail(&endpoint->matching, status);
    for (struct note_chunk *chunk = endpoint->mine->chunks; chunk; chunk = chunk->next)
        for (int i = 0; i < NOTE_CHUNK; i++)
            if (chunk->notes[i].done) {
                completion_done(completions, chunk->notes[i].done, status);
                chunk->notes[i].done = NULL;
            }
}

/* Land the next piece of the first pull.  False: the sender has closed. */
static bool pull_land(struct endpoint *endpoint, size_t *landed)
{
    struct note *note = endpoint->pulls.first;
    struct match *match = note->match;
    struct pair *pair = endpoint->pair;
    size_t piece = match->bytes - match->filled;
    bool readable, whole;

    pthread_mutex_lock(&pair->lock);
    readable = endpoint->theirs->reading = !endpoint->theirs->closed;
    pthread_mutex_unlock(&pair->lock);
    if (!readable)
        return false;
    piece = piece < LAND_BYTES ? piece : LAND_BYTES;
    *landed += piece;
    whole = matching_put(&endpoint->matching, match, note->bytes + match->filled, piece);
    pthread_mutex_lock(&pair->lock);
    endpoint->theirs->reading = false;
    pthread_cond_broadcast(&pair->moved);
    pthread_mutex_unlock(&pair->lock);
    if (whole) {
        list_pop(&endpoint->pulls);
        note_return(endpoint, note);
    }
    return true;
}

/* A note has come; copied ones go to `used` at once. */
static int note_arrived(struct endpoint *endpoint, struct note *note, struct note_list *used)
{
    struct match *match;
    bool lent = note->done != NULL;
    int status = matching_arrive(&endpoint->matching, &note->message, note->length, lent,
                                 &match);

    if (status)
        return status;
    if (!lent) {
        matching_put(&endpoint->matching, match, note->bytes, note->length);
        list_append(used, note);
    } else {
        match->remote[0] = (uintptr_t)note;
        if (match->state != MATCH_EARLY)
            note_matched(endpoint, note, match);
    }
    return PEAL_OK;
}

/* Take what hangs on our side; PEAL_ERR_PEER if the other one has closed. */
static int endpoint_collect(struct endpoint *endpoint, int *moved)
{
    struct note_list arrived, taken, used;
    int status = PEAL_OK;
    struct note *note;
    bool closed;

    list_init(&arrived);
    list_init(&taken);
    list_init(&used);
    pthread_mutex_lock(&endpoint->pair->lock);
    atomic_store(&endpoint->mine->news, false);
    list_move(&arrived, &endpoint->mine->arrived);
    list_move(&taken, &endpoint->mine->taken);
    closed = endpoint->theirs->closed;
    pthread_mutex_unlock(&endpoint->pair->lock);
    for (; (note = list_pop(&taken)); ++*moved) {
        if (note->done)
            completion_done(endpoint->port->options.completions, note->done, PEAL_OK);
        note->done = NULL;
        note->next = endpoint->free;
        endpoint->free = note;
    }
    for (; !status && (note = list_pop(&arrived)); ++*moved)
        status = note_arrived(endpoint, note, &used);
    if (used.first) {        /* the sender need not be woken for these */
        pthread_mutex_lock(&endpoint->pair->lock);
        list_move(&endpoint->theirs->taken, &used);
        atomic_store(&endpoint->theirs->news, true);
        pthread_mutex_unlock(&endpoint->pair->lock);
    }
    publish_low(endpoint);
    if (!status && closed)
        status = status_fail(PEAL_ERR_PEER, "self: %s has closed its port", endpoint->peer);
    return status;
}

static int endpoint_progress(struct endpoint *endpoint)
{
    int status = PEAL_OK, moved = 0;
    size_t landed = 0;

    if (endpoint->matching.failure)
        return 0;
    if (atomic_load(&endpoint->mine->news)) {
        moved++;                   /* even without notes: it may be room for a send */
        status = endpoint_collect(endpoint, &moved);
    }
    for (; !status && endpoint->pulls.first && landed < LAND_BYTES; moved++)
        if (!pull_land(endpoint, &landed))
            status = status_fail(PEAL_ERR_PEER, "self: %s has closed its port",
                                 endpoint->peer);
    if (status) {
        endpoint_fail(endpoint, status);
        moved++;
    }
    return moved;
}

static int self_progress(struct port *port)
{
    eventfd_t rings;
    int moved = 0;

    if (port->slept) {
        port->slept = false;
        atomic_store(&port->armed, false);
        eventfd_read(port->bell, &rings);        /* fails if nobody rang */
    }
    if (atomic_load(&port->met))
        moved += atomic_exchange(&port->met, false);
    for (struct endpoint *e = port->endpoints; e; e = e->next)
        moved += endpoint_progress(e);
    return moved;
}

static int self_descriptor(struct port *port)
{
    return port->bell;
}

static int self_arm(struct port *port)
{
    port->slept = true;
    atomic_store(&port->armed, true);
    if (atomic_load(&port->met))
        return STATUS_AGAIN;
    for (struct endpoint *e = port->endpoints; e; e = e->next)
        if (!e->matching.failure && (e->pulls.first || atomic_load(&e->mine->news)))
            return STATUS_AGAIN;
    return PEAL_OK;
}

const struct transport self_transport = {
    .name       = "self",
    .sockets    = SOCKET_NONE,
    .usable     = self_usable,
    .reach      = self_reach,
    .open       = self_open,
    .close      = self_close,
    .connect    = self_connect,
    .send       = self_send,
    .recv       = self_recv,
    .put        = transport_put_never,
    .peek       = transport_peek_never,
    .take       = transport_take_never,
    .progress   = self_progress,
    .descriptor = self_descriptor,
    .arm        = self_arm
};
