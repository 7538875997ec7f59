/* SPDX-License-Identifier: BSD-3-Clause */
/* Objects of the double; verbs_double_wire.c moves bytes between them, and by
 * verbs_double_processes.c its processes hear of each other. */
#include "tests/verbs_double_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

struct arena *arena;
static struct ibv_device devices[DOUBLE_DEVICES];

/* The thread sanitizer else ends forked processes that start a thread, as a device
 * does whose completions come late. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

__attribute__((constructor))
static void arena_make(void)
{
    pthread_mutexattr_t attr;

    arena = mmap(NULL, sizeof *arena, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED)
        abort();
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&arena->lock, &attr);
    arena->faults.devices = 1;
    arena->faults.most_inline = 256;
    for (int i = 0; i < DOUBLE_DEVICES; i++) {
        snprintf(devices[i].name, sizeof devices[i].name, "double%d", i);
        devices[i].node_type = IBV_NODE_CA;
    }
}

void double_die(const char *what)
{
    fprintf(stderr, "the double of libibverbs: %s\n", what);
    _exit(1);
}

struct double_faults *double_faults(void)
{
    return &arena->faults;
}

int double_device(const struct ibv_context *context)
{
    return (int)(context->device - devices);
}

struct ibv_device *double_device_at(int device)
{
    return &devices[device];
}

int double_queue_pairs(int device)
{
    int count = 0;

    double_lock();
    for (int i = 0; i < QPS; i++)
        count += arena->qps[i].used && arena->qps[i].device == device &&
                 arena->qps[i].pid == getpid();
    double_unlock();
    return count;
}

/* ---- Devices -------------------------------------------------------------------- */

int ibv_fork_init(void)
{
    arena->fork_safe = true;
    return 0;
}

struct ibv_device **ibv_get_device_list(int *count)
{
    struct ibv_device **list = calloc(DOUBLE_DEVICES + 1, sizeof *list);

    for (int i = 0; i < arena->faults.devices; i++) {
        enum ibv_transport_type type =
            arena->faults.iwarp ? IBV_TRANSPORT_IWARP : IBV_TRANSPORT_IB;

        if (devices[i].transport_type != type)         /* before there are threads */
            devices[i].transport_type = type;
        list[i] = &devices[i];
    }
    if (count)
        *count = arena->faults.devices;
    return list;
}

void ibv_free_device_list(struct ibv_device **list)
{
    free(list);
}

const char *ibv_get_device_name(struct ibv_device *device)
{
    return device->name;
}

static int query_device_ex(struct ibv_context *context,
                           const struct ibv_query_device_ex_input *input,
                           struct ibv_device_attr_ex *attr, size_t bytes)
{
    (void)input;
    memset(attr, 0, bytes);
    ibv_query_device(context, &attr->orig_attr);
    if (arena->faults.paging > 0) {
        attr->odp_caps.general_caps = IBV_ODP_SUPPORT;
        attr->odp_caps.per_transport_caps.rc_odp_caps = IBV_ODP_SUPPORT_SEND |
                                                        IBV_ODP_SUPPORT_WRITE;
    }
    if (arena->faults.paging > 1)
        attr->odp_caps.general_caps |= IBV_ODP_SUPPORT_IMPLICIT;
    return 0;
}

struct ibv_context *ibv_open_device(struct ibv_device *device)
{
    struct verbs_context *whole = calloc(1, sizeof *whole);
    struct ibv_context *context = &whole->context;
    struct event_end end;

    whole->sz = sizeof *whole;
    whole->query_device_ex = query_device_ex;
    context->abi_compat = __VERBS_ABI_IS_EXTENDED;

    context->device = device;
    context->cmd_fd = -1;
    context->async_fd = double_event_open(&end);
    context->ops.poll_cq = double_poll_cq;
    context->ops.req_notify_cq = double_req_notify_cq;
    context->ops.post_send = double_post_send;
    context->ops.post_recv = double_post_recv;
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    double_lock();
    for (int i = 0; i < CONTEXTS; i++)
        if (!arena->contexts[i].used) {
            arena->contexts[i] = (struct double_context){ .used = true, .end = end,
                                                             .device = double_device(context) };
            context->num_comp_vectors = i;         /* our number, kept where nobody looks */
            break;
        }
    double_unlock();
    return context;
}

int ibv_close_device(struct ibv_context *context)
{
    arena->contexts[context->num_comp_vectors].used = false;
    close(context->async_fd);
    free(verbs_get_ctx(context));
    return 0;
}

void double_event(int device, enum ibv_event_type type)
{
    for (int i = 0; i < CONTEXTS; i++)
        if (arena->contexts[i].used && arena->contexts[i].device == device)
            double_notify(&arena->contexts[i].end, type);
}

void double_event_at(const struct ibv_context *context, enum ibv_event_type type)
{
    double_notify(&arena->contexts[context->num_comp_vectors].end, type);
}

void double_port_down(const struct ibv_context *context, bool down)
{
    double_lock();
    arena->contexts[context->num_comp_vectors].port_down = down;
    double_unlock();
}

int ibv_get_async_event(struct ibv_context *context, struct ibv_async_event *event)
{
    uint64_t value;

    if (read(context->async_fd, &value, sizeof value) != sizeof value)
        return -1;
    memset(event, 0, sizeof *event);
    event->event_type = (enum ibv_event_type)value;
    event->element.port_num = 1;
    return 0;
}

void ibv_ack_async_event(struct ibv_async_event *event)
{
    (void)event;
}

int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *attr)
{
    (void)context;
    memset(attr, 0, sizeof *attr);
    attr->phys_port_cnt = 1;
    attr->max_qp_wr = DEPTH;
    attr->max_cqe = ENTRIES - 1;
    attr->max_qp_rd_atom = attr->max_qp_init_rd_atom = 4;
    return 0;
}

#undef ibv_query_port
int ibv_query_port(struct ibv_context *context, uint8_t port,
                   struct _compat_ibv_port_attr *compatible)
{
    struct ibv_port_attr *attr = (struct ibv_port_attr *)compatible;

    if (port != 1)
        return EINVAL;
    double_lock();
    attr->state = arena->faults.port_down[double_device(context)] ||
                  arena->contexts[context->num_comp_vectors].port_down ? IBV_PORT_DOWN
                                                                       : IBV_PORT_ACTIVE;
    double_unlock();
    attr->max_mtu = attr->active_mtu = IBV_MTU_4096;
    attr->max_msg_sz = 8 << 20;
    attr->link_layer = IBV_LINK_LAYER_ETHERNET;
    attr->active_speed = 32;
    attr->active_width = double_device(context) == 1 ? 2 : 1;      /* one is faster */
    return 0;
}

void double_gid(int device, int index, union ibv_gid *gid)
{
    static const unsigned char local[] = { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0xff, 0xfe };
    static const unsigned char v4[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 99, 0 };

    memset(gid, 0, sizeof *gid);
    if (index == 0)
        memcpy(gid->raw, local, sizeof local);
    else
        memcpy(gid->raw, v4, sizeof v4);
    gid->raw[15] = (uint8_t)(device + 1);
}

ssize_t _ibv_query_gid_table(struct ibv_context *context, struct ibv_gid_entry *entries,
                             size_t most, uint32_t flags, size_t size)
{
    (void)flags;
    if (size != sizeof *entries)
        return -EINVAL;
    for (int i = 0; i < 2 && i < (int)most; i++) {
        double_gid(double_device(context), i, &entries[i].gid);
        entries[i].gid_index = (uint32_t)i;
        entries[i].port_num = 1;
        entries[i].gid_type = IBV_GID_TYPE_ROCE_V2;
        entries[i].ndev_ifindex = 0;
    }
    return 2;
}

const char *ibv_event_type_str(enum ibv_event_type type)
{
    return type == IBV_EVENT_DEVICE_FATAL ? "local catastrophic error" : "an event";
}

const char *ibv_port_state_str(enum ibv_port_state state)
{
    return state == IBV_PORT_ACTIVE ? "active" : "down";
}

const char *ibv_wc_status_str(enum ibv_wc_status status)
{
    return status == IBV_WC_RETRY_EXC_ERR ? "transport retry counter exceeded" : "a status";
}

/* ---- Memory ----------------------------------------------------------------------- */

struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
    struct ibv_pd *pd = calloc(1, sizeof *pd);

    pd->context = context;
    return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
    free(pd);
    return 0;
}

static size_t pinned(pid_t pid)
{
    size_t total = 0;

    for (uint32_t i = 0; i < MRS; i++)
        if (arena->mrs[i].used && arena->mrs[i].pid == pid &&
            !(arena->mrs[i].access & IBV_ACCESS_ON_DEMAND))
            total += arena->mrs[i].length;
    return total;
}

/* What a device without on-demand paging, or without all of it, answers. */
static bool refused(int access, const void *address, size_t length)
{
    bool implicit = !address && length == SIZE_MAX;

    return access & IBV_ACCESS_ON_DEMAND ? arena->faults.paging < (implicit ? 2 : 1) : implicit;
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *address, size_t length, uint64_t iova,
                                unsigned int access)
{
    struct ibv_mr *mr = NULL;
    bool paged = access & IBV_ACCESS_ON_DEMAND;

    if (iova != (uintptr_t)address || !arena->fork_safe)
        double_die("memory is registered at another address, or before ibv_fork_init");
    double_lock();
    if (refused((int)access, address, length) || (arena->faults.memory > 0 && !paged &&
                                                  pinned(getpid()) + length > arena->faults.memory)) {
        double_unlock();
        errno = ENOMEM;
        return NULL;
    }
    for (uint32_t i = 1; i < MRS && !mr; i++) {
        struct double_mr *m = &arena->mrs[i];

        if (m->used)
            continue;
        m->used = true;
        m->pid = getpid();
        m->device = double_device(pd->context);
        m->address = (uintptr_t)address;
        m->length = length;
        m->access = (int)access;
        m->key = i | ++arena->salt << 16;
        mr = calloc(1, sizeof *mr);
        mr->context = pd->context;
        mr->pd = pd;
        mr->addr = address;
        mr->length = length;
        mr->lkey = mr->rkey = m->key;
    }
    arena->registered[paged]++;
    double_unlock();
    if (!mr)
        double_die("too much memory is registered");
    return mr;
}

uint64_t double_registered(bool paged)
{
    return __atomic_load_n(&arena->registered[paged], __ATOMIC_RELAXED);
}

int double_regions(void)
{
    int count = 0;

    double_lock();
    for (uint32_t i = 0; i < MRS; i++)
        count += arena->mrs[i].used && arena->mrs[i].pid == getpid();
    double_unlock();
    return count;
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
    double_lock();
    arena->mrs[mr->rkey & 0xffff].used = false;
    double_unlock();
    free(mr);
    return 0;
}

/* ---- Completion queues ---------------------------------------------------------------- */

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
    struct double_channel *channel = calloc(1, sizeof *channel);

    channel->base.context = context;
    channel->base.fd = double_event_open(&channel->end);
    return &channel->base;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
    close(channel->fd);
    free(channel);
    return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *context, int cqe, void *cq_context,
                             struct ibv_comp_channel *channel, int vector)
{
    struct ibv_cq *cq = calloc(1, sizeof *cq);
    int i = 0;

    (void)vector;
    double_lock();
    while (i < CQS && arena->cqs[i].used)
        i++;
    if (i == CQS)
        double_die("too many completion queues");
    memset(&arena->cqs[i], 0, offsetof(struct double_cq, entries));
    arena->cqs[i].used = true;
    arena->cqs[i].size = (uint32_t)cqe;
    arena->cqs[i].end = ((struct double_channel *)channel)->end;
    double_unlock();
    cq->context = context;
    cq->channel = channel;
    cq->cq_context = cq_context;
    cq->cqe = cqe;
    cq->handle = (uint32_t)i;
    ((struct double_channel *)channel)->cq = cq;
    return cq;
}

int ibv_resize_cq(struct ibv_cq *cq, int cqe)
{
    if (cqe >= ENTRIES || arena->faults.iwarp)     /* as soft iWARP */
        return EINVAL;
    double_lock();
    arena->cqs[cq->handle].size = (uint32_t)cqe;
    double_unlock();
    cq->cqe = cqe;
    return 0;
}

int ibv_destroy_cq(struct ibv_cq *cq)
{
    double_lock();
    for (int i = 0; i < QPS; i++)
        if (arena->qps[i].used && arena->qps[i].cq == (int)cq->handle)
            double_die("a completion queue is destroyed before its queue pairs");
    arena->cqs[cq->handle].used = false;
    double_unlock();
    free(cq);
    return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq, void **context)
{
    uint64_t value;

    if (read(channel->fd, &value, sizeof value) != sizeof value)
        return -1;
    *cq = ((struct double_channel *)channel)->cq;
    *context = (*cq)->cq_context;
    return 0;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned count)
{
    (void)cq, (void)count;
}

/* ---- Queue pairs -------------------------------------------------------------------------- */

struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
    struct ibv_qp *qp = NULL;
    pid_t self = getpid();
    int mine = 0;

    if (attr->cap.max_inline_data > (uint32_t)arena->faults.most_inline ||
        attr->cap.max_send_wr > DEPTH || attr->cap.max_recv_wr > DEPTH) {
        errno = EINVAL;
        return NULL;
    }
    double_lock();
    for (int i = 0; i < QPS; i++)
        mine += arena->qps[i].used && arena->qps[i].pid == self;
    for (uint32_t i = 0; i < QPS && !qp; i++) {
        struct double_qp *q = &arena->qps[i];
        uint32_t salt = q->number >> 16;

        if (q->used || (arena->faults.queue_pairs > 0 && mine >= arena->faults.queue_pairs))
            continue;
        memset(q, 0, offsetof(struct double_qp, receives));
        q->used = true;
        q->pid = self;
        q->device = double_device(pd->context);
        q->cq = (int)attr->send_cq->handle;
        q->send_depth = attr->cap.max_send_wr;
        q->recv_depth = attr->cap.max_recv_wr;
        q->most_inline = attr->cap.max_inline_data;
        q->number = i | (salt % 255 + 1) << 16;        /* never 0, which is none */
        q->state = IBV_QPS_RESET;
        qp = calloc(1, sizeof *qp);
        qp->context = pd->context;
        qp->pd = pd;
        qp->qp_num = q->number;
        qp->handle = i;
    }
    double_unlock();
    errno = ENOMEM;
    return qp;
}

#undef ibv_modify_qp
int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
    struct double_qp *q = &arena->qps[qp->handle];

    if (!(mask & IBV_QP_STATE))
        return EINVAL;
    if (attr->qp_state == IBV_QPS_ERR && arena->faults.no_error_state)
        return EIO;
    double_lock();
    if (attr->qp_state == IBV_QPS_RTR && arena->faults.no_route > 0 &&
        --arena->faults.no_route == 0) {
        double_unlock();
        return ETIMEDOUT;
    }
    if (attr->qp_state == IBV_QPS_RTR) {
        q->peer = attr->dest_qp_num;
        q->peer_gid = attr->ah_attr.grh.dgid;
        q->psn_in = attr->rq_psn;
        q->gid_index = attr->ah_attr.grh.sgid_index;
    } else if (attr->qp_state == IBV_QPS_RTS) {
        q->psn_out = attr->sq_psn;
    } else if (attr->qp_state == IBV_QPS_ERR) {
        double_qp_error(q);
    }
    q->state = attr->qp_state;
    double_unlock();
    return 0;
}

int ibv_destroy_qp(struct ibv_qp *qp)
{
    double_lock();
    if (arena->faults.iwarp)
        double_qp_error(&arena->qps[qp->handle]);
    arena->qps[qp->handle].used = false;
    double_unlock();
    free(qp);
    return 0;
}
