/* SPDX-License-Identifier: BSD-3-Clause */
/* Moving bytes between queue pairs of the double. */
#include "tests/verbs_double_state.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static uint64_t requests_posted, doorbells;

void double_counts(uint64_t *requests, uint64_t *rung)
{
    *requests = __atomic_load_n(&requests_posted, __ATOMIC_RELAXED);
    *rung = __atomic_load_n(&doorbells, __ATOMIC_RELAXED);
}

uint64_t double_polls(void)
{
    uint64_t polls;

    double_lock();
    polls = arena->polls;
    double_unlock();
    return polls;
}

static uint64_t chance(uint64_t below)
{
    uint64_t x = (arena->random += 0x9e3779b97f4a7c15u) + arena->faults.seed;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (x ^ x >> 31) % below;
}

static void push(struct double_qp *qp, const struct ibv_wc *wc, bool send, uint32_t sequence)
{
    struct double_cq *cq = &arena->cqs[qp->cq];
    struct double_entry *entry = &cq->entries[(cq->first + cq->count) % ENTRIES];

    if (!cq->used)
        return;
    if (cq->count == cq->size)
        double_die("a completion queue overflows");
    entry->wc = *wc;
    entry->wc.qp_num = qp->number;
    entry->qp = (uint32_t)(qp - arena->qps);
    entry->send = send;
    entry->sequence = sequence;
    cq->count++;
    if (cq->armed) {
        cq->armed = false;
        double_notify(&cq->end, 1);
    }
}

static void push_send(struct double_qp *qp, const struct double_request *r,
                      enum ibv_wc_status status)
{
    struct ibv_wc wc = { .wr_id = r->id, .status = status, .opcode = IBV_WC_RDMA_WRITE,
                         .vendor_err = status ? 0x81 : 0 };

    push(qp, &wc, true, r->sequence);
}

/* Everything that was posted and not done comes back. */
void double_qp_flush(struct double_qp *qp)
{
    for (; qp->nrequests > 0; qp->nrequests--, qp->first_request++)
        if (!qp->requests[qp->first_request % DEPTH].ended)
            push_send(qp, &qp->requests[qp->first_request % DEPTH], IBV_WC_WR_FLUSH_ERR);
    for (; qp->nreceives > 0; qp->nreceives--, qp->first_receive++) {
        struct ibv_wc wc = { .wr_id = qp->receives[qp->first_receive % DEPTH].id,
                             .status = IBV_WC_WR_FLUSH_ERR };

        push(qp, &wc, false, 0);
    }
}

struct double_qp *double_qp_of(uint32_t number)
{
    struct double_qp *qp = &arena->qps[number & 0xffff];

    return (number & 0xffff) < QPS && qp->used && qp->number == number ? qp : NULL;
}

/* A connection of iWARP ends for both. */
void double_qp_error(struct double_qp *qp)
{
    struct double_qp *peer = arena->faults.iwarp ? double_qp_of(qp->peer) : NULL;
    bool connected = qp->state == IBV_QPS_RTS;

    qp->state = IBV_QPS_ERR;
    double_qp_flush(qp);
    if (!arena->faults.iwarp || !connected)
        return;
    double_disconnected(qp);
    if (peer && peer->peer == qp->number && peer->state == IBV_QPS_RTS)
        double_qp_error(peer);
}

static bool key_covers(uint32_t key, pid_t pid, int device, uint64_t address, uint64_t length,
                       int access)
{
    const struct double_mr *mr = &arena->mrs[key & 0xffff];

    return (key & 0xffff) < MRS && mr->used && mr->key == key && mr->pid == pid &&
           mr->device == device && address >= mr->address &&
           address - mr->address <= mr->length &&
           length <= mr->length - (address - mr->address) && (mr->access & access) == access;
}

/* The queue pair at the other end; NULL: nothing answers. */
static struct double_qp *peer_of(const struct double_qp *qp)
{
    struct double_qp *peer = double_qp_of(qp->peer);
    union ibv_gid gid;

    if (!peer || (peer->state != IBV_QPS_RTR && peer->state != IBV_QPS_RTS) ||
        peer->peer != qp->number || peer->psn_in != qp->psn_out)
        return NULL;
    if (arena->faults.iwarp)
        return peer;
    double_gid(peer->device, (int)peer->gid_index, &gid);
    return memcmp(&gid, &qp->peer_gid, sizeof gid) == 0 ? peer : NULL;
}

/* False: the process has ended. */
static bool other_moves(pid_t pid, const struct iovec *here, const struct iovec *there, bool read)
{
    ssize_t n = read ? process_vm_readv(pid, here, 1, there, 1, 0)
                     : process_vm_writev(pid, here, 1, there, 1, 0);

    if (n == (ssize_t)here->iov_len)
        return true;
    if (n >= 0 || errno != ESRCH)
        double_die(n >= 0 ? "only a part of another process's memory can be reached"
                          : strerror(errno));
    return false;
}

static bool bytes_move(const struct double_qp *peer, const struct double_request *r,
                       uint64_t remote)
{
    const void *from = r->in_line ? (const void *)r->bytes
                                  : (const void *)(uintptr_t)r->local;
    struct iovec here = { (void *)(uintptr_t)from, r->length };
    struct iovec there = { (void *)(uintptr_t)remote, r->length };
    bool read = r->opcode == IBV_WR_RDMA_READ;

    if (r->length == 0)
        return true;
    if (peer->pid != getpid())
        return other_moves(peer->pid, &here, &there, read);
    if (read)
        memcpy((void *)(uintptr_t)r->local, (void *)(uintptr_t)remote, r->length);
    else
        memcpy((void *)(uintptr_t)remote, from, r->length);
    return true;
}

static enum ibv_wc_status access_wrong(struct double_qp *qp, struct double_qp *peer,
                                       const char *what, enum ibv_wc_status status)
{
    if (!arena->faults.violations)
        double_die(what);
    if (peer && !arena->faults.iwarp)      /* else the end of `qp` is the peer's as well */
        double_qp_error(peer);
    (void)qp;
    return status;
}

/* The oldest receive of the peer is used up. */
static void receive_end(struct double_qp *peer, const struct double_request *r)
{
    const struct double_receive *receive = &peer->receives[peer->first_receive++ % DEPTH];
    struct ibv_wc wc = { .wr_id = receive->id, .status = IBV_WC_SUCCESS,
                         .opcode = IBV_WC_RECV, .byte_len = r->length };

    if (r->opcode == IBV_WR_RDMA_WRITE_WITH_IMM) {
        wc.opcode = IBV_WC_RECV_RDMA_WITH_IMM;
        wc.wc_flags = IBV_WC_WITH_IMM;
        wc.imm_data = r->immediate;
    }
    peer->nreceives--;
    peer->silent = false;
    push(peer, &wc, false, 0);
}

/* Where the bytes of the request are, or go, at the peer; 0: not where they may. */
static uint64_t remote_of(const struct double_qp *peer, const struct double_request *r)
{
    const struct double_receive *receive = &peer->receives[peer->first_receive % DEPTH];

    if (r->opcode != IBV_WR_SEND)
        return key_covers(r->rkey, peer->pid, peer->device, r->remote, r->length,
                          r->opcode == IBV_WR_RDMA_READ ? IBV_ACCESS_REMOTE_READ
                                                        : IBV_ACCESS_REMOTE_WRITE)
                   ? r->remote : 0;
    return receive->length >= r->length &&
           key_covers(receive->lkey, peer->pid, peer->device, receive->address, r->length,
                      IBV_ACCESS_LOCAL_WRITE) ? receive->address : 0;
}

/* -1: nothing answers, and there will be no completion for long. */
static int execute(struct double_qp *qp, const struct double_request *r)
{
    struct double_qp *peer = peer_of(qp);
    bool receives = r->opcode == IBV_WR_SEND || r->opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
    int local = r->opcode == IBV_WR_RDMA_READ ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE
                                              : 0;
    uint64_t remote;

    if (arena->faults.iwarp == (r->opcode == IBV_WR_RDMA_WRITE_WITH_IMM) &&
        r->opcode != IBV_WR_RDMA_WRITE)
        double_die("a request that such a device does not have");
    if (r->length > 0 && !r->in_line &&
        !key_covers(r->lkey, qp->pid, qp->device, r->local, r->length, local))
        return access_wrong(qp, NULL, "memory that is not registered is sent",
                            IBV_WC_LOC_PROT_ERR);
    if (!peer)
        return -1;
    if (receives && peer->nreceives == 0)
        double_die("a message meets no posted receive: the flow control is broken");
    remote = remote_of(peer, r);
    if (r->length > 0 && remote == 0)
        return access_wrong(qp, peer, "memory that is not granted is written",
                            IBV_WC_REM_ACCESS_ERR);
    if (!bytes_move(peer, r, remote))
        return -1;
    arena->moved[qp->device] += r->length;
    if (receives)
        receive_end(peer, r);
    return IBV_WC_SUCCESS;
}

void double_set(int *fault, int value)
{
    double_lock();
    *fault = value;
    double_unlock();
}

void double_fail(int device, int after, enum ibv_wc_status status, bool executed)
{
    double_lock();
    arena->faults.fail[device].status = status;
    arena->faults.fail[device].executed = executed;
    arena->faults.fail[device].after = after;
    double_unlock();
}

uint64_t double_moved(int device)
{
    uint64_t moved;

    double_lock();
    moved = arena->moved[device];
    double_unlock();
    return moved;
}

bool double_failed(int device)
{
    bool failed;

    double_lock();
    failed = arena->faults.fail[device].after == 0;
    double_unlock();
    return failed;
}

static void run_first(struct double_qp *qp)
{
    struct double_request *r = &qp->requests[qp->first_request % DEPTH];
    int status, fault = IBV_WC_SUCCESS;
    bool executed = true, greeting = r->opcode == IBV_WR_SEND && r->length == 0;

    /* A rail that fails while it is connected is the end of its endpoint: not meant here. */
    if (arena->faults.fail[qp->device].after > 0 && !greeting &&
        --arena->faults.fail[qp->device].after == 0) {
        fault = (int)arena->faults.fail[qp->device].status;
        executed = arena->faults.fail[qp->device].executed;
    }
    status = executed ? execute(qp, r) : IBV_WC_SUCCESS;
    qp->first_request++;
    qp->nrequests--;
    if (fault)
        status = fault;
    if (status > 0) {
        if (!r->ended || fault)
            push_send(qp, r, (enum ibv_wc_status)status);
        double_qp_error(qp);
    } else if (status == 0 && r->signaled) {
        push_send(qp, r, IBV_WC_SUCCESS);
    }
}

/* What was put off by this process: some of it.  True: nothing is left. */
static bool run_some(void)
{
    uint64_t start = arena->random >> 7;
    pid_t self = getpid();
    bool left = false;

    for (uint64_t i = 0; i < QPS; i++) {
        struct double_qp *qp = &arena->qps[(i + start) % QPS];

        if (!qp->used || qp->pid != self || arena->faults.held[qp->device])
            continue;
        while (qp->nrequests > 0 && chance(100) >= (uint64_t)arena->faults.slow)
            run_first(qp);
        left |= qp->nrequests > 0;
    }
    return !left;
}

void double_hold(int device)
{
    double_lock();
    arena->faults.held[device] = true;
    double_unlock();
}

void double_release(int device)
{
    double_lock();
    arena->faults.held[device] = false;
    for (int i = 0; i < QPS; i++)
        while (arena->qps[i].used && arena->qps[i].device == device &&
               arena->qps[i].pid == getpid() && arena->qps[i].nrequests > 0)
            run_first(&arena->qps[i]);
    double_unlock();
}

/* A device works while its owner does something else, but not at once. */
static sem_t put_off;

static void *device_main(void *argument)
{
    static const struct timespec nap = { 0, 50000 };
    bool done;

    for (;; ) {
        while (sem_wait(&put_off) != 0)
            continue;
        do {
            nanosleep(&nap, NULL);
            double_lock();
            done = run_some();
            double_unlock();
        } while (!done);
    }
    return argument;
}

static void device_wake(void)
{
    static pid_t started;
    pthread_t thread;

    if (started != getpid()) {         /* with the lock held: only one does */
        started = getpid();
        sem_init(&put_off, 0, 0);
        if (pthread_create(&thread, NULL, device_main, NULL) != 0)
            double_die("no thread for the device");
        pthread_detach(thread);
    }
    sem_post(&put_off);
}

int double_post_send(struct ibv_qp *base, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
    struct double_qp *qp = &arena->qps[base->handle];
    int error = 0;

    double_lock();
    __atomic_add_fetch(&doorbells, 1, __ATOMIC_RELAXED);
    for (; wr && !error; wr = wr->next) {
        struct double_request *r = &qp->requests[(qp->first_request + qp->nrequests) % DEPTH];

        *bad = wr;
        if (qp->posted - qp->completed >= qp->send_depth) {
            error = ENOMEM;
            break;
        }
        __atomic_add_fetch(&requests_posted, 1, __ATOMIC_RELAXED);
        *r = (struct double_request){ .id = wr->wr_id, .opcode = wr->opcode,
                                      .remote = wr->wr.rdma.remote_addr,
                                      .rkey = wr->wr.rdma.rkey, .immediate = wr->imm_data,
                                      .signaled = wr->send_flags & IBV_SEND_SIGNALED,
                                      .in_line = wr->send_flags & IBV_SEND_INLINE };
        if (wr->num_sge > 0) {
            r->local = wr->sg_list[0].addr;
            r->length = wr->sg_list[0].length;
            r->lkey = wr->sg_list[0].lkey;
        }
        if (r->in_line && r->length > qp->most_inline)
            double_die("more goes inline than was asked for");
        if (r->in_line)
            memcpy(r->bytes, (void *)(uintptr_t)r->local, r->length);
        r->sequence = ++qp->posted;
        qp->nrequests++;
        if (qp->silent)
            double_die("the side that accepted is the first to send");
        /* Of iWARP: what TCP will take is done with, wherever it is. */
        if (arena->faults.iwarp && r->opcode != IBV_WR_RDMA_READ && qp->state == IBV_QPS_RTS) {
            if (r->signaled)
                push_send(qp, r, IBV_WC_SUCCESS);
            r->signaled = false;
            r->ended = true;
        }
        if (qp->state != IBV_QPS_RTS)
            double_qp_flush(qp);
        else if (arena->faults.held[qp->device])
            continue;
        else if (arena->faults.slow == 0 || chance(100) >= (uint64_t)arena->faults.slow)
            while (qp->nrequests > 0)
                run_first(qp);
        else
            device_wake();
    }
    double_unlock();
    return error;
}

int double_post_recv(struct ibv_qp *base, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
    struct double_qp *qp = &arena->qps[base->handle];

    double_lock();
    for (; wr; wr = wr->next) {
        *bad = wr;
        if (qp->nreceives == qp->recv_depth) {
            double_unlock();
            return ENOMEM;
        }
        qp->receives[(qp->first_receive + qp->nreceives++) % DEPTH] =
            wr->num_sge > 0 ? (struct double_receive){ wr->wr_id, wr->sg_list->addr,
                                                       wr->sg_list->length, wr->sg_list->lkey }
                            : (struct double_receive){ .id = wr->wr_id };
        if (qp->state == IBV_QPS_ERR)
            double_qp_flush(qp);
    }
    double_unlock();
    return 0;
}

int double_poll_cq(struct ibv_cq *base, int most, struct ibv_wc *wc)
{
    struct double_cq *cq = &arena->cqs[base->handle];
    int n = 0;

    double_lock();
    arena->polls++;
    if (arena->faults.slow > 0)
        run_some();
    for (; n < most && cq->count > 0; n++, cq->count--, cq->first++) {
        const struct double_entry *entry = &cq->entries[cq->first % ENTRIES];
        struct double_qp *qp = &arena->qps[entry->qp];

        wc[n] = entry->wc;
        if (entry->send && qp->number == entry->wc.qp_num)
            qp->completed = entry->sequence;
    }
    double_unlock();
    return n;
}

int double_req_notify_cq(struct ibv_cq *base, int solicited)
{
    (void)solicited;
    double_lock();
    arena->cqs[base->handle].armed = true;
    double_unlock();
    return 0;
}
