/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/job_state.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    ACCEPTS_AT_A_TIME = 16,
    DIAL_SECONDS      = 10,              /* others may have a queue at their door */
    PAUSE_MS          = 100,             /* after an accept that failed */
    COMPLAIN_SECONDS  = 60
};

/* With a full house a visitor makes room when it has been idle for as long as
 * no honest one is: those send HELLO together with the connection, but may wait
 * for a core before the next word while all ranks of a host start. */
static const uint64_t idle_silent = 30000000, idle_talking = 100000000,
                      idle_per_rank = 2000000;                             /* ns */

static bool fresh_nonce(unsigned char nonce[HANDSHAKE_NONCE])
{
    return getrandom(nonce, HANDSHAKE_NONCE, 0) == HANDSHAKE_NONCE;
}

/* ---- Begin and end ---------------------------------------------------- */

static struct visit *visit_new(struct job *job, int fd, struct errand *errand)
{
    struct visit *visit = calloc(1, sizeof(*visit));

    if (!visit)
        return NULL;
    visit->fd = fd;
    visit->errand = errand;
    visit->moved = clock_now();
    visit->next = job->visits;
    job->visits = visit;
    return visit;
}

void visit_end(struct job *job, struct visit *visit)
{
    if (visit->over)
        return;
    visit->over = true;
    if (visit->fd >= 0)
        close(visit->fd);
    if (visit->errand) {
        visit->errand->visit = NULL;
        job->dialling--;
    } else {
        job->nvisits[visit->door]--;
        job->door_resumes[visit->door] = 0;
    }
}

/* The socket goes on to somebody else. */
static int take_socket(struct job *job, struct visit *visit)
{
    int fd = visit->fd;

    visit->fd = -1;
    visit_end(job, visit);
    return fd;
}

/* It came to nothing: MISS_... or a status. */
static void give_up(struct job *job, struct visit *visit, int miss, const char *why)
{
    struct errand *errand = visit->errand;

    if (visit->over)
        return;
    if (!errand)
        log_debug("a connection to our door ended: %s", why);
    visit_end(job, visit);
    if (errand)
        errand_missed(job, errand, miss, why);
}

static void expect(struct visit *visit, int what, size_t bytes)
{
    visit->awaits = what;
    visit->want = bytes;
    visit->have = 0;
}

static void say(struct visit *visit, const void *message, size_t bytes)
{
    memcpy(visit->out, message, bytes);
    visit->queued = bytes;
    visit->sent = 0;
}

/* ---- Accepting -------------------------------------------------------- */

/* A place in a full house; false: come again at door_resumes. */
static bool make_room(struct job *job, int door)
{
    struct visit *oldest = NULL;
    uint64_t now = clock_now(), oldest_due = UINT64_MAX;
    uint64_t talking = idle_talking + idle_per_rank * (uint64_t)job->options.nranks;

    if (job->nvisits[door] < VISITS_PER_DOOR)
        return true;
    for (struct visit *v = job->visits; v; v = v->next) {
        uint64_t due = v->moved + (v->awaits == AWAIT_HELLO ? idle_silent : talking);

        if (!v->over && !v->errand && v->door == door && due < oldest_due) {
            oldest = v;
            oldest_due = due;
        }
    }
    if (!oldest || oldest_due > now) {
        job->door_resumes[door] = oldest ? oldest_due : now + idle_talking;
        return false;
    }
    give_up(job, oldest, MISS_LATER, "it was idle while others waited");
    return true;
}

static void receive_visitor(struct job *job, int door, int fd)
{
    struct visit *visit = NULL;

    if (door == 1 && !door_same_user(fd))
        log_debug("another user's process knocked at our local door");
    else
        visit = visit_new(job, fd, NULL);
    if (!visit) {
        close(fd);
        return;
    }
    visit->door = door;
    visit->local = door == 1;
    visit->deadline = clock_deadline(job->visit_timeout);
    job->nvisits[door]++;
    expect(visit, AWAIT_HELLO, HANDSHAKE_HELLO);
    visit_ready(job, visit, POLLIN);             /* HELLO is often there already */
}

/* Not every 100 ms. */
static void complain(struct job *job)
{
    uint64_t now = clock_now();

    if (job->complained_at && now - job->complained_at < COMPLAIN_SECONDS * UINT64_C(1000000000))
        return;
    job->complained_at = now;
    log_warn("cannot accept a connection: %m; trying again (see ulimit -n)");
}

void visit_accept(struct job *job, int door)
{
    for (int i = 0; i < ACCEPTS_AT_A_TIME; i++) {
        int fd;

        if (!make_room(job, door))
            return;
        fd = door == 0 ? door_accept_tcp(&job->door) : door_accept_local(&job->door);
        if (fd >= 0) {
            receive_visitor(job, door, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            complain(job);
            job->door_resumes[door] = clock_now() + PAUSE_MS * UINT64_C(1000000);
            return;
        }
        /* Others, such as ECONNABORTED, are the visitor's own affair. */
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
    }
}

/* ---- Dialling --------------------------------------------------------- */

static int miss_of(int error)
{
    return error == ECONNREFUSED ? MISS_REFUSED : MISS_LATER;
}

void visit_dial(struct job *job, struct errand *errand)
{
    const struct place *place = &errand->places[errand->turn];
    unsigned char nonce[HANDSHAKE_NONCE];
    struct visit *visit;
    int fd = door_dial(place);

    if (fd < 0) {
        errand_missed(job, errand, miss_of(errno), strerror(errno));
        return;
    }
    visit = fresh_nonce(nonce) ? visit_new(job, fd, errand) : NULL;
    if (!visit) {
        close(fd);
        errand_missed(job, errand, MISS_LATER, "out of memory");
        return;
    }
    errand->visit = visit;
    job->dialling++;
    visit->connecting = true;
    visit->local = place->address.ss_family == AF_UNIX;
    visit->purpose = errand->purpose;
    visit->deadline = clock_deadline(DIAL_SECONDS);
    handshake_write_hello(&visit->shake, errand->purpose, job->id, nonce);
    say(visit, visit->shake.hello, HANDSHAKE_HELLO);
    expect(visit, AWAIT_CHALLENGE, HANDSHAKE_CHALLENGE);
    /* On one host the connection stands at once. */
    if (poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 0) > 0)
        visit_ready(job, visit, POLLOUT);
}

static bool connected(struct job *job, struct visit *visit)
{
    int error = 0;
    socklen_t bytes = sizeof(error);

    if (getsockopt(visit->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
        error = errno;
    if (error) {
        give_up(job, visit, miss_of(error), strerror(error));
        return false;
    }
    if (visit->local && !door_same_user(visit->fd)) {
        give_up(job, visit, PEAL_ERR_AUTH, "another user's process listens there");
        return false;
    }
    visit->connecting = false;
    return true;
}

/* ---- The messages ----------------------------------------------------- */

static void heard_hello(struct job *job, struct visit *visit)
{
    unsigned char nonce[HANDSHAKE_NONCE];
    uint64_t id;
    int status = handshake_read_hello(&visit->shake, visit->in, &visit->purpose, &id);

    if (status == PEAL_ERR_UNSUPPORTED) {
        handshake_write_version(&visit->shake);
        say(visit, visit->shake.challenge, HANDSHAKE_CHALLENGE);
        expect(visit, AWAIT_NOTHING, 0);
        visit->parting = true;
        return;
    }
    if (status || id != job->id || !fresh_nonce(nonce)) {
        give_up(job, visit, PEAL_ERR_PROTOCOL,
                status ? "it does not speak our protocol" : "it belongs to another job");
        return;
    }
    handshake_write_challenge(&visit->shake, job->options.secret, nonce);
    say(visit, visit->shake.challenge, HANDSHAKE_CHALLENGE);
    expect(visit, AWAIT_PROOF, HANDSHAKE_PROOF);
}

static void heard_challenge(struct job *job, struct visit *visit)
{
    int status = handshake_read_challenge(&visit->shake, job->options.secret, visit->in);

    if (status) {
        /* Something else may have the port for a moment: rank 0 may yet come. */
        give_up(job, visit, status == PEAL_ERR_PROTOCOL ? MISS_LATER : status,
                status == PEAL_ERR_AUTH
                    ? "it does not know the job's secret, or we have another one (PEAL_SECRET "
                      "or PEAL_SECRET_FILE must be the same on all ranks)"
                : status == PEAL_ERR_UNSUPPORTED
                    ? "it speaks another version of Peal's protocol: use one version of Peal"
                    : "what listens there is not Peal");
        return;
    }
    handshake_write_proof(&visit->shake, job->options.secret, &visit->errand->claim);
    say(visit, visit->shake.proof, HANDSHAKE_PROOF);
    expect(visit, AWAIT_WELCOME, HANDSHAKE_WELCOME);
}

/* What an authenticated dialler wants: may it be had? */
static void consider(struct job *job, const struct visit *visit, struct answer *answer)
{
    const struct claim *claim = &visit->claim;

    if (visit->purpose == HANDSHAKE_JOIN) {
        rendezvous_join(job, claim, answer);
        return;
    }
    if (claim->target != (uint32_t)job->options.rank ||
        claim->nranks != (uint32_t)job->options.nranks) {
        answer->status = PEAL_ERR_PROTOCOL;
        snprintf(answer->text, sizeof(answer->text), "this is rank %d of %d, not rank %u of %u",
                 job->options.rank, job->options.nranks, claim->target, claim->nranks);
    } else if (visit->purpose == HANDSHAKE_TREE) {
        if (!tree_parent_wanted(job, (int)claim->rank)) {
            answer->status = PEAL_ERR_STATE;
            snprintf(answer->text, sizeof(answer->text), "rank %d wants no such parent",
                     job->options.rank);
        }
    } else if (claim->rank >= claim->target) {
        answer->status = PEAL_ERR_PROTOCOL;
        snprintf(answer->text, sizeof(answer->text), "only the lower rank of a pair may dial");
    } else if (!mail_room(job)) {
        answer->status = PEAL_ERR_MEMORY;
        snprintf(answer->text, sizeof(answer->text),
                 "rank %d has %d sets of sockets that no communicator took",
                 job->options.rank, PARKED_SETS);
    }
}

static void heard_proof(struct job *job, struct visit *visit)
{
    unsigned char message[HANDSHAKE_WELCOME];
    struct answer answer = { 0 };
    int status = handshake_read_proof(&visit->shake, job->options.secret, visit->in,
                                      &visit->claim);

    if (status) {
        give_up(job, visit, status, status == PEAL_ERR_AUTH ? "it does not know the job's secret"
                                                            : "it makes no sense");
        return;
    }
    consider(job, visit, &answer);
    handshake_write_welcome(&visit->shake, job->options.secret, &answer, message);
    visit->parting = answer.status != PEAL_OK || visit->purpose == HANDSHAKE_JOIN;
    say(visit, message, sizeof(message));
    expect(visit, AWAIT_NOTHING, 0);
}

static void heard_welcome(struct job *job, struct visit *visit)
{
    struct errand *errand = visit->errand;
    struct answer answer;
    int status = handshake_read_welcome(&visit->shake, job->options.secret, visit->in, &answer);

    if (status)
        give_up(job, visit, status, "its answer is not authentic");
    else if (answer.status)
        give_up(job, visit, answer.status, answer.text);
    else
        errand_arrived(job, errand, take_socket(job, visit), &answer);
}

/* Our last word is out: an accepted socket goes where it was meant to. */
static void spoken(struct job *job, struct visit *visit)
{
    struct claim claim = visit->claim;
    int fd;

    if (visit->parting) {
        visit_end(job, visit);
        return;
    }
    fd = take_socket(job, visit);
    if (visit->purpose == HANDSHAKE_LINK) {
        door_tune(fd, 0);
        mail_socket(job, false, (int)claim.rank, &claim, fd);
    } else if (tree_parent_wanted(job, (int)claim.rank)) {
        tree_add(job, fd, (int)claim.rank, true);
    } else {
        close(fd);
    }
}

/* ---- Moving bytes ----------------------------------------------------- */

static void hear(struct job *job, struct visit *visit)
{
    /* Never more than the present message: what follows belongs to others. */
    ssize_t n = recv(visit->fd, visit->in + visit->have, visit->want - visit->have, 0);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        if (!visit->errand && visit->awaits == AWAIT_PROOF)
            job->strangers++;
        give_up(job, visit, MISS_LATER,
                n == 0 ? "it closed the connection during the handshake" : strerror(errno));
        return;
    }
    visit->moved = clock_now();
    visit->have += (size_t)n;
    if (visit->have < visit->want)
        return;
    switch (visit->awaits) {
    case AWAIT_HELLO:     heard_hello(job, visit); break;
    case AWAIT_CHALLENGE: heard_challenge(job, visit); break;
    case AWAIT_PROOF:     heard_proof(job, visit); break;
    case AWAIT_WELCOME:   heard_welcome(job, visit); break;
    case AWAIT_NOTHING:   break;
    }
}

static void speak(struct job *job, struct visit *visit)
{
    ssize_t n = send(visit->fd, visit->out + visit->sent, visit->queued - visit->sent,
                     MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n < 0) {
        give_up(job, visit, MISS_LATER, strerror(errno));
        return;
    }
    visit->moved = clock_now();
    visit->sent += (size_t)n;
    if (visit->sent == visit->queued && visit->awaits == AWAIT_NOTHING)
        spoken(job, visit);
}

short visit_events(const struct visit *visit)
{
    return visit->connecting || visit->sent < visit->queued ? POLLOUT : POLLIN;
}

void visit_ready(struct job *job, struct visit *visit, short events)
{
    if (visit->connecting && !connected(job, visit))
        return;
    if (visit->sent == visit->queued && (events & (POLLIN | POLLHUP | POLLERR)))
        hear(job, visit);
    /* An answer goes out at once: it fits a fresh socket's buffer. */
    if (!visit->over && visit->sent < visit->queued)
        speak(job, visit);
}

void visit_tick(struct job *job, struct visit *visit, uint64_t now)
{
    if (!visit->over && visit->deadline <= now)
        give_up(job, visit, MISS_LATER, visit->connecting ? "no answer to the connection"
                                                          : "the handshake took too long");
}
