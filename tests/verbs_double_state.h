/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the double share: the arena that all processes see. */
#ifndef VERBS_DOUBLE_STATE_H
#define VERBS_DOUBLE_STATE_H

#include "tests/verbs_double.h"

#include <pthread.h>
#include <sys/types.h>

enum { QPS = 512, MRS = 8192, CQS = 128, CONTEXTS = 256, ENTRIES = 16384, DEPTH = 1024,
       INLINE = 1024, JOINS = 256, JOIN_EVENTS = 32, NONCE = 16 };

struct event_end { int pid, number; };
struct double_context { bool used, port_down; int device; struct event_end end; };
struct double_channel { struct ibv_comp_channel base; struct event_end end; struct ibv_cq *cq; };

struct double_mr { bool used; pid_t pid; int device; uint64_t address, length; int access;
                   uint32_t key; };

struct double_entry { struct ibv_wc wc; uint32_t qp, sequence; bool send; };
struct double_cq {
    bool                used, armed;
    uint32_t            size, first, count;
    struct event_end    end;
    struct double_entry entries[ENTRIES];
};

struct double_request {            /* a work request that was put off */
    uint64_t            id;
    enum ibv_wr_opcode  opcode;
    uint64_t            local, remote;
    uint32_t            length, lkey, rkey, immediate, sequence;
    bool                signaled, in_line;
    bool                ended;     /* iWARP: its completion was not waited for */
    unsigned char       bytes[INLINE];
};

struct double_receive { uint64_t id, address; uint32_t length, lkey; };

/* An id of rdma_cm, and what has happened to it. */
struct double_happening {
    int           event, status;
    int           device;          /* CONNECT_REQUEST: that it has come to, */
    int           from;            /* and whose it is; -1: a stranger's */
    uint32_t      serial;          /* and which of those that were it */
    unsigned char nonce[NONCE];
    int           nonce_bytes;
};
struct double_join {
    bool                    used, listens;
    bool                    tried;             /* a listener: somebody has begun to connect */
    bool                    taken;             /* a socket of TCP has the port that it would connect from */
    pid_t                   pid;
    int                     device, to;        /* devices; to: where it connects */
    uint32_t                port, serial;
    int                     peer;              /* the other's id, or -1 */
    uint32_t                peer_serial;
    uint32_t                qp;                /* number */
    struct event_end        end;               /* of its channel */
    uint64_t                address;           /* of the rdma_cm_id, in its process */
    struct double_happening happened[JOIN_EVENTS];
    uint32_t                first, count;
};

struct double_qp {
    bool                  used;
    bool                  silent;              /* accepted, and has heard nothing yet */
    pid_t                 pid;
    int                   device, cq;
    enum ibv_qp_state     state;
    uint32_t              number, peer, psn_in, psn_out, gid_index;
    union ibv_gid         peer_gid;
    uint32_t              send_depth, recv_depth, most_inline;
    uint32_t              posted, completed;   /* sends; completed: as polled */
    uint32_t              first_receive, nreceives;
    uint32_t              first_request, nrequests;
    struct double_receive receives[DEPTH];
    struct double_request requests[DEPTH];
};

struct arena {
    pthread_mutex_t       lock;
    struct double_faults  faults;
    uint64_t              random;
    uint32_t              salt;
    bool                  fork_safe;
    uint64_t              registered[2];       /* regions ever; [1]: paged on demand */
    int                   refused;             /* connections */
    uint64_t              moved[DOUBLE_DEVICES];   /* bytes */
    uint64_t              polls;
    struct double_context contexts[CONTEXTS];
    struct double_mr      mrs[MRS];
    struct double_qp      qps[QPS];
    struct double_cq      cqs[CQS];
    struct double_join    joins[JOINS];
};
extern struct arena *arena;

void double_lock(void);
void double_unlock(void);
void double_die(const char *what) __attribute__((noreturn));
int  double_device(const struct ibv_context *context);
void double_gid(int device, int index, union ibv_gid *gid);
void double_notify(const struct event_end *end, uint64_t value);
int  double_event_open(struct event_end *end);
struct ibv_device *double_device_at(int device);
/* With the lock held: */
void double_qp_flush(struct double_qp *qp);
void double_qp_error(struct double_qp *qp);
struct double_qp *double_qp_of(uint32_t number);           /* NULL: there is none */
void double_disconnected(const struct double_qp *qp);      /* iWARP: tell its id */

int double_poll_cq(struct ibv_cq *cq, int most, struct ibv_wc *wc);
int double_req_notify_cq(struct ibv_cq *cq, int solicited);
int double_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad);
int double_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad);

#endif
