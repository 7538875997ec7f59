/* SPDX-License-Identifier: BSD-3-Clause */
/* To be preloaded in the lab: the LAB_MEDDLE-th long RDMA write or read of this process
 * goes to its peer with a key that the peer has never given. */
#include <infiniband/verbs.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONG = 16 << 10 };

static int (*post_send)(struct ibv_qp *, struct ibv_send_wr *, struct ibv_send_wr **);
static long left;

static int meddle(struct ibv_qp *qp, struct ibv_send_wr *wrs, struct ibv_send_wr **bad)
{
    for (struct ibv_send_wr *wr = wrs; wr; wr = wr->next)
        if ((wr->opcode == IBV_WR_RDMA_WRITE || wr->opcode == IBV_WR_RDMA_READ ||
             wr->opcode == IBV_WR_RDMA_WRITE_WITH_IMM) &&
            wr->num_sge == 1 && wr->sg_list[0].length >= LONG &&
            __atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED) == 1) {
            fprintf(stderr, "lab_meddle: a wrong key goes over %s\n",
                    ibv_get_device_name(qp->context->device));
            wr->wr.rdma.rkey ^= 0x00ffff00;
        }
    return post_send(qp, wrs, bad);
}

/* Who loads libibverbs and looks its functions up gets those that come first: ours. */
void *dlopen(const char *file, int mode)
{
    void *(*real)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");

    return real(file && strcmp(file, "libibverbs.so.1") == 0 ? NULL : file, mode);
}

struct ibv_context *ibv_open_device(struct ibv_device *device)
{
    struct ibv_context *(*open_device)(struct ibv_device *) =
        (struct ibv_context *(*)(struct ibv_device *))dlsym(RTLD_NEXT, "ibv_open_device");
    const char *which = getenv("LAB_MEDDLE");
    struct ibv_context *context = open_device ? open_device(device) : NULL;

    if (!context || !which)
        return context;
    if (!post_send)
        left = strtol(which, NULL, 10);
    post_send = context->ops.post_send;        /* one provider */
    context->ops.post_send = meddle;
    return context;
}
