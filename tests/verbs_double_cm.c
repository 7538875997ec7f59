/* SPDX-License-Identifier: BSD-3-Clause */
/* A double of librdmacm, for the queue pairs of the double of libibverbs: what has
 * happened to an id waits in the arena, and a datagram wakes its channel.  The
 * network has the addresses 10.99.0.1 and so on, one for each device. */
#include "tests/verbs_double_state.h"

#include "transports/verbs/verbs_cm_library.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct double_events { struct rdma_event_channel base; struct event_end end; };
struct double_id { struct rdma_cm_id base; int index; struct ibv_context context; };

int double_refused(void)
{
    return arena->refused;
}

/* ---- Addresses ------------------------------------------------------------------- */

int getifaddrs(struct ifaddrs **all)
{
    static char names[DOUBLE_DEVICES][16];
    struct { struct ifaddrs interfaces[DOUBLE_DEVICES];
             struct sockaddr_in addresses[DOUBLE_DEVICES]; } *list = calloc(1, sizeof *list);

    for (int i = 0; i < DOUBLE_DEVICES; i++) {
        struct ifaddrs *interface = &list->interfaces[i];

        memcpy(names[i], "wire", 5);
        interface->ifa_next = i + 1 < DOUBLE_DEVICES ? interface + 1 : NULL;
        interface->ifa_name = names[i];
        interface->ifa_flags = IFF_UP;
        interface->ifa_addr = (struct sockaddr *)&list->addresses[i];
        list->addresses[i].sin_family = AF_INET;
        list->addresses[i].sin_addr.s_addr = htonl(0x0a630001 + (uint32_t)i);
    }
    *all = list->interfaces;
    return 0;
}

void freeifaddrs(struct ifaddrs *all)
{
    free(all);
}

/* The device of an address; -1: none. */
static int device_of(const struct sockaddr *any)
{
    struct sockaddr_in address;
    int device;

    memcpy(&address, any, sizeof address);
    device = (int)(ntohl(address.sin_addr.s_addr) - 0x0a630001);
    return address.sin_family == AF_INET && device >= 0 && device < arena->faults.devices ? device
                                                                                          : -1;
}

/* ---- Ids ---------------------------------------------------------------------------- */

struct rdma_event_channel *rdma_create_event_channel(void)
{
    struct double_events *channel = calloc(1, sizeof *channel);

    channel->base.fd = double_event_open(&channel->end);
    return &channel->base;
}

void rdma_destroy_event_channel(struct rdma_event_channel *channel)
{
    close(channel->fd);
    free(channel);
}

static struct double_join *join_of(struct rdma_cm_id *id)
{
    return &arena->joins[((struct double_id *)id)->index];
}

int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context,
                   enum rdma_port_space ps)
{
    struct double_id *new = calloc(1, sizeof *new);
    int i = 0;

    double_lock();
    while (i < JOINS && arena->joins[i].used)
        i++;
    if (i == JOINS)
        double_die("too many ids of rdma_cm");
    arena->joins[i] = (struct double_join){ .used = true, .pid = getpid(), .device = -1,
                                            .peer = -1, .serial = ++arena->salt,
                                            .end = ((struct double_events *)channel)->end,
                                            .address = (uintptr_t)new };
    double_unlock();
    new->index = i;
    new->base.channel = channel;
    new->base.context = context;
    new->base.ps = ps;
    *id = &new->base;
    return 0;
}

static void happen(int join, const struct double_happening *what)
{
    struct double_join *j;

    if (join < 0 || !arena->joins[join].used)
        return;
    j = &arena->joins[join];
    if (j->count == JOIN_EVENTS)
        double_die("events of rdma_cm are not taken");
    j->happened[(j->first + j->count++) % JOIN_EVENTS] = *what;
    double_notify(&j->end, 1);
}

static void happen_plain(int join, int event, int status)
{
    struct double_happening what = { .event = event, .status = status, .from = -1 };

    happen(join, &what);
}

/* An id, if it is still the same. */
static int still(int join, uint32_t serial)
{
    return join >= 0 && arena->joins[join].used && arena->joins[join].serial == serial ? join : -1;
}

int rdma_destroy_id(struct rdma_cm_id *id)
{
    struct double_join *j = join_of(id);

    double_lock();
    for (; j->count > 0; j->count--, j->first++) {
        const struct double_happening *what = &j->happened[j->first % JOIN_EVENTS];

        if (what->event == RDMA_CM_EVENT_CONNECT_REQUEST)
            happen_plain(still(what->from, what->serial), RDMA_CM_EVENT_REJECTED, -ECONNREFUSED);
    }
    if (double_qp_of(j->qp))
        double_die("an id of rdma_cm goes before its queue pair");
    j->used = false;
    double_unlock();
    free(id);
    return 0;
}

/* ---- Connecting ----------------------------------------------------------------------- */

static void place(struct rdma_cm_id *id, int device)
{
    struct double_id *d = (struct double_id *)id;

    d->context.device = double_device_at(device);
    join_of(id)->device = device;
    id->verbs = &d->context;
    id->port_num = 1;
}

int rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *address)
{
    int device = device_of(address);

    if (device < 0) {
        errno = ENODEV;
        return -1;
    }
    place(id, device);
    return 0;
}

/* Every other port is one that a socket of TCP has. */
int rdma_listen(struct rdma_cm_id *id, int backlog)
{
    static _Atomic unsigned calls;
    struct double_join *j = join_of(id);

    (void)backlog;
    if (calls++ % 2 == 0) {
        errno = EADDRINUSE;
        return -1;
    }
    double_lock();
    j->port = 1024 + (uint32_t)((struct double_id *)id)->index + JOINS * (j->serial % 200);
    j->listens = true;
    double_unlock();
    return 0;
}

__be16 rdma_get_src_port(struct rdma_cm_id *id)
{
    return htons((uint16_t)join_of(id)->port);
}

int rdma_resolve_addr(struct rdma_cm_id *id, struct sockaddr *from, struct sockaddr *to, int ms)
{
    struct double_join *j = join_of(id);
    struct sockaddr_in address;

    (void)ms;
    memcpy(&address, to, sizeof address);
    if (rdma_bind_addr(id, from) != 0)
        return -1;
    double_lock();
    j->to = device_of(to);
    j->port = ntohs(address.sin_port);
    happen_plain(((struct double_id *)id)->index, j->to < 0 ? RDMA_CM_EVENT_ADDR_ERROR
                                                            : RDMA_CM_EVENT_ADDR_RESOLVED,
                 j->to < 0 ? -EHOSTUNREACH : 0);
    double_unlock();
    return 0;
}

int rdma_resolve_route(struct rdma_cm_id *id, int ms)
{
    (void)ms;
    double_lock();
    happen_plain(((struct double_id *)id)->index, RDMA_CM_EVENT_ROUTE_RESOLVED, 0);
    double_unlock();
    return 0;
}

/* One who says nothing, one who knows all but a byte, one who knows the beginning, and one
 * who comes to another device. */
static void strangers_come(int listener, int device, const unsigned char *word)
{
    struct double_happening request = { .event = RDMA_CM_EVENT_CONNECT_REQUEST, .from = -1,
                                        .device = device };
    static unsigned wrong;

    happen(listener, &request);
    request.nonce_bytes = NONCE;
    memcpy(request.nonce, word, NONCE);
    request.nonce[wrong % NONCE] = (unsigned char)(request.nonce[wrong % NONCE] ^ 1 << wrong % 7);
    wrong++;
    happen(listener, &request);
    memcpy(request.nonce, word, NONCE);
    request.nonce_bytes = NONCE - 1;
    happen(listener, &request);
    request.nonce_bytes = NONCE;
    request.device = (device + 1) % DOUBLE_DEVICES;
    happen(listener, &request);
}

/* Who is the first to connect to a listener has a port that a socket of TCP has, and keeps it. */
int rdma_connect(struct rdma_cm_id *id, struct rdma_conn_param *parameter)
{
    struct double_join *j = join_of(id);
    struct double_happening request = { .event = RDMA_CM_EVENT_CONNECT_REQUEST, .from = -1,
                                        .device = j->to };
    int i = 0;

    double_lock();
    while (i < JOINS && !(arena->joins[i].used && arena->joins[i].listens &&
                          arena->joins[i].device == j->to && arena->joins[i].port == j->port))
        i++;
    if (i < JOINS && (arena->faults.no_ports || !arena->joins[i].tried))
        j->taken = arena->joins[i].tried = true;
    if (j->taken) {
        double_unlock();
        errno = EADDRINUSE;
        return -1;
    }
    if (i == JOINS) {
        happen_plain((int)(j - arena->joins), RDMA_CM_EVENT_REJECTED, -ECONNREFUSED);
    } else {
        if (arena->faults.strangers)
            strangers_come(i, j->to, parameter->private_data);
        request.from = (int)(j - arena->joins);
        request.serial = j->serial;
        request.nonce_bytes = parameter->private_data_len < NONCE ? parameter->private_data_len
                                                                  : NONCE;
        memcpy(request.nonce, parameter->private_data, (size_t)request.nonce_bytes);
        happen(i, &request);
    }
    j->qp = parameter->qp_num;
    double_unlock();
    return 0;
}

static void connected(struct double_join *j, uint32_t other)
{
    struct double_qp *qp = double_qp_of(j->qp);

    if (!qp || qp->state != IBV_QPS_INIT || qp->device != j->device)
        double_die("a connection of a queue pair that is not in INIT, or of another device");
    qp->peer = other;
    qp->state = IBV_QPS_RTS;
    happen_plain((int)(j - arena->joins), RDMA_CM_EVENT_ESTABLISHED, 0);
}

int rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *parameter)
{
    struct double_join *j = join_of(id);
    int peer;

    double_lock();
    j->qp = parameter->qp_num;
    peer = still(j->peer, j->peer_serial);
    if (peer >= 0) {
        arena->joins[peer].peer = (int)(j - arena->joins);
        if (double_qp_of(arena->joins[peer].qp))   /* else it goes just now */
            connected(&arena->joins[peer], j->qp);
    }
    connected(j, peer >= 0 ? arena->joins[peer].qp : 0);
    double_qp_of(j->qp)->silent = true;
    double_unlock();
    return 0;
}

int rdma_reject(struct rdma_cm_id *id, const void *private_data, uint8_t bytes)
{
    (void)private_data, (void)bytes;
    double_lock();
    happen_plain(still(join_of(id)->peer, join_of(id)->peer_serial), RDMA_CM_EVENT_REJECTED,
                 -ECONNREFUSED);
    arena->refused++;
    double_unlock();
    return 0;
}

void double_disconnected(const struct double_qp *qp)
{
    for (int i = 0; i < JOINS; i++)
        if (arena->joins[i].used && arena->joins[i].qp == qp->number && qp->number != 0)
            happen_plain(i, RDMA_CM_EVENT_DISCONNECTED, 0);
}

/* ---- Events ------------------------------------------------------------------------------ */

struct double_event { struct rdma_cm_event base; unsigned char nonce[NONCE]; };

/* The oldest event of an id of this channel; its id, or NULL. */
static struct double_id *event_next(const struct event_end *end, struct double_happening *what)
{
    pid_t self = getpid();

    for (int i = 0; i < JOINS; i++) {
        struct double_join *j = &arena->joins[i];

        if (!j->used || j->count == 0 || j->pid != self || j->end.number != end->number)
            continue;
        *what = j->happened[j->first++ % JOIN_EVENTS];
        j->count--;
        return (struct double_id *)(uintptr_t)j->address;
    }
    return NULL;
}

int rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event)
{
    struct double_events *events = (struct double_events *)channel;
    struct double_happening what;
    struct double_event *new;
    struct double_id *id;
    uint64_t word;

    do {
        double_lock();
        id = event_next(&events->end, &what);
        double_unlock();
        if (!id && read(channel->fd, &word, sizeof word) < 0)
            return -1;
    } while (!id);
    new = calloc(1, sizeof *new);
    new->base.id = &id->base;
    new->base.event = (enum rdma_cm_event_type)what.event;
    new->base.status = what.status;
    if (what.event == RDMA_CM_EVENT_CONNECT_REQUEST) {
        new->base.listen_id = &id->base;
        rdma_create_id(channel, &new->base.id, id->base.context, RDMA_PS_TCP);
        place(new->base.id, what.device);
        join_of(new->base.id)->peer = what.from;
        join_of(new->base.id)->peer_serial = what.serial;
        memcpy(new->nonce, what.nonce, NONCE);
        new->base.param.conn.private_data = new->nonce;
        new->base.param.conn.private_data_len = (uint8_t)what.nonce_bytes;
    }
    *event = &new->base;
    return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
    free(event);
    return 0;
}

const char *rdma_event_str(enum rdma_cm_event_type event)
{
    return event == RDMA_CM_EVENT_DISCONNECTED ? "disconnected" : "an event of rdma_cm";
}

/* In the place of transports/verbs/verbs_cm_library.c: the double is always there. */
#define FUNCTION(name) .name = rdma_##name,
struct verbs_cm_library verbs_cm_library = { CM_FUNCTIONS(FUNCTION) };

const char *verbs_cm_library_load(void)
{
    return NULL;
}
