/* SPDX-License-Identifier: BSD-3-Clause */
/* Rails: the life of their queue pairs. */
#include "transports/verbs/verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { RNR_TIMER = 12, ENDLESS = 7, LEAST_DEPTH = 128, RECEIVE_BATCH = 32,
       LEAST_INLINE = VERBS_HEADER + 16 };     /* what soft iWARP gives */

static int rail_error(const struct rail *rail, int status, const char *what)
{
    return status_fail(status, "verbs: %s for %s on %s port %d: %m%s", what,
                       rail->endpoint->name, rail->adapter->place.device,
                       rail->adapter->place.port, verbs_shortage(errno));
}

static struct ibv_qp *queue_pair(struct rail *rail, uint32_t receives)
{
    struct adapter *a = rail->adapter;
    struct ibv_qp_init_attr attr = {
        .send_cq = rail->queue->cq, .recv_cq = rail->queue->cq, .qp_type = IBV_QPT_RC,
        .cap = { .max_send_wr = rail->depth, .max_recv_wr = receives, .max_send_sge = 1,
                 .max_recv_sge = 1 }
    };
    struct ibv_qp *qp = NULL;

    /* No device says beforehand how much it takes inline. */
    for (int bytes = verbs_option(VERBS_OPTION_INLINE); !qp; ) {
        attr.cap.max_inline_data = bytes >= VERBS_HEADER ? (uint32_t)bytes : 0;
        qp = ibv_create_qp(a->pd, &attr);
        if (bytes < VERBS_HEADER)
            break;
        bytes = bytes > LEAST_INLINE && bytes / 2 < LEAST_INLINE ? LEAST_INLINE : bytes / 2;
    }
    rail->most_inline = attr.cap.max_inline_data;
    return qp;
}

int verbs_rail_receives(struct rail *rail)
{
    struct ibv_recv_wr wrs[RECEIVE_BATCH], *bad;
    struct ibv_sge pieces[RECEIVE_BATCH];

    while (rail->used > 0) {
        uint32_t n = rail->used < RECEIVE_BATCH ? rail->used : RECEIVE_BATCH;

        memset(wrs, 0, n * sizeof wrs[0]);
        for (uint32_t i = 0; i < n; i++) {
            wrs[i].wr_id = (uintptr_t)rail | 1;
            wrs[i].next = i + 1 < n ? &wrs[i + 1] : NULL;
            verbs_words_land(rail, &wrs[i], &pieces[i]);
        }
        bad = NULL;
        errno = ibv_post_recv(rail->qp, wrs, &bad);
        if (errno)
            n = bad ? (uint32_t)(bad - wrs) : 0;
        rail->used -= n;
        rail->receives += n;
        if (errno)
            return rail_error(rail, PEAL_ERR_SYSTEM, "ibv_post_recv");
    }
    return PEAL_OK;
}

/* What the peer reads is its own: see verbs_announce.c. */
static int remote_access(const struct rail *rail)
{
    return IBV_ACCESS_REMOTE_WRITE |
           (rail->adapter->place.acknowledged ? 0 : IBV_ACCESS_REMOTE_READ);
}

static int rail_register(struct rail *rail)
{
    struct endpoint *e = rail->endpoint;
    struct ibv_pd *pd = rail->adapter->pd;

    rail->landing = ibv_reg_mr(pd, e->landing, e->ring_in,
                               IBV_ACCESS_LOCAL_WRITE | remote_access(rail));
    if (rail->landing)
        rail->mirror = ibv_reg_mr(pd, e->mirror, e->ring_out, IBV_ACCESS_LOCAL_WRITE);
    return rail->mirror ? verbs_words_make(rail)
                        : rail_error(rail, PEAL_ERR_MEMORY, "registering the landing ring");
}

static int rail_lost(const struct rail *rail)
{
    return status_fail(PEAL_ERR_PEER, "verbs: %s port %d, for %s, is gone: was the device removed, "
                       "or its driver reset?", rail->adapter->place.device,
                       rail->adapter->place.port, rail->endpoint->name);
}

static int queue_pair_init(struct rail *rail)
{
    const struct place *place = &rail->adapter->place;
    struct ibv_qp_attr attr = {
        .qp_state = IBV_QPS_INIT, .port_num = (uint8_t)place->port,
        .pkey_index = (uint16_t)verbs_option(VERBS_OPTION_PKEY),
        .qp_access_flags = (unsigned)remote_access(rail)
    };

    errno = ibv_modify_qp(rail->qp, &attr, IBV_QP_STATE | IBV_QP_ACCESS_FLAGS |
                          (place->by_cm ? 0 : IBV_QP_PKEY_INDEX | IBV_QP_PORT));
    if (errno)
        return rail_error(rail, PEAL_ERR_SYSTEM, "the queue pair to INIT (PEAL_VERBS_PKEY?)");
    return PEAL_OK;
}

/* Nothing of a queue pair before counts for the next. */
static void rail_begin(struct rail *rail)
{
    rail->queue = NULL;
    rail->posted = rail->ended = rail->unsignaled = 0;
    rail->receives = rail->used = 0;
    rail->flying = rail->still_since = rail->up_since = 0;
    rail->reported = rail->emptied = false;
}

int verbs_rail_create(struct rail *rail, struct verbs_connect_rail *told)
{
    struct endpoint *e = rail->endpoint;
    uint32_t receives = verbs_receives(e);
    int status;

    if (rail->adapter->lost)
        return rail_lost(rail);
    rail_begin(rail);
    rail->depth = 2 * e->frames_out * (rail->adapter->place.immediate ? 1 : 2);
    if (rail->depth < LEAST_DEPTH)
        rail->depth = LEAST_DEPTH;
    while ((int)rail->depth > rail->adapter->place.most_work)
        rail->depth /= 2;
    if (!rail->work)
        rail->work = calloc(rail->depth, sizeof rail->work[0]);
    if (!rail->work)
        return status_fail(PEAL_ERR_MEMORY, "verbs: no memory for %s", e->name);
    status = verbs_adapter_promise(rail->adapter, (int)(rail->depth + receives), &rail->queue);
    if (status)
        return status;
    rail->promised = rail->depth + receives;
    if ((status = rail_register(rail)))
        return status;
    rail->qp = queue_pair(rail, receives);
    if (!rail->qp)
        return rail_error(rail, PEAL_ERR_SYSTEM, "ibv_create_qp");
    if (getrandom(&rail->local_psn, sizeof rail->local_psn, GRND_NONBLOCK) < 0)
        rail->local_psn = rail->qp->qp_num * 2654435761u;
    rail->local_psn &= 0xffffff;
    if ((status = queue_pair_init(rail)))
        return status;
    rail->used = receives;
    if ((status = verbs_rail_receives(rail)))
        return status;
    told->qpn = rail->qp->qp_num;
    told->psn = rail->local_psn;
    told->rkey = rail->landing->rkey;
    return rail->adapter->place.by_cm && !e->dialled ? verbs_cm_listen(rail, told) : PEAL_OK;
}

static enum ibv_mtu rail_mtu(const struct rail *rail)
{
    int wanted = verbs_option(VERBS_OPTION_MTU);
    uint32_t mtu = rail->adapter->place.mtu < rail->remote.mtu ? rail->adapter->place.mtu
                                                               : rail->remote.mtu;

    for (uint32_t i = IBV_MTU_256; i < mtu && wanted > 0; i++)
        if (128 << i >= wanted)
            mtu = i;
    return (enum ibv_mtu)mtu;
}

static int queue_pair_connect(struct rail *rail)
{
    struct ibv_qp_attr attr = {
        .qp_state = IBV_QPS_RTR, .path_mtu = rail_mtu(rail), .dest_qp_num = rail->qpn,
        .rq_psn = rail->psn, .max_dest_rd_atomic = 1, .min_rnr_timer = RNR_TIMER
    };

    verbs_address_fill(rail, &attr.ah_attr);
    errno = ibv_modify_qp(rail->qp, &attr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
                          IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
                          IBV_QP_MIN_RNR_TIMER);
    if (errno)
        return rail_error(rail, PEAL_ERR_SYSTEM, errno == ETIMEDOUT || errno == EINVAL ?
                          "no way to the peer's address (PEAL_VERBS_GID_INDEX; for RoCE: does the "
                          "neighbour answer?): the queue pair to RTR" : "the queue pair to RTR");
    memset(&attr, 0, sizeof attr);
    attr.qp_state = IBV_QPS_RTS;
    attr.sq_psn = rail->local_psn;
    attr.timeout = (uint8_t)verbs_option(VERBS_OPTION_TIMEOUT);
    attr.retry_cnt = (uint8_t)verbs_option(VERBS_OPTION_RETRY);
    attr.rnr_retry = ENDLESS;          /* it does not happen: see verbs.h */
    attr.max_rd_atomic = 1;            /* nothing is read; not every driver likes 0 */
    errno = ibv_modify_qp(rail->qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT |
                          IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC);
    if (errno)
        return rail_error(rail, PEAL_ERR_SYSTEM, "the queue pair to RTS");
    rail->state = rail->state == RAIL_MAKING ? RAIL_JOINING : RAIL_UP;
    return PEAL_OK;
}

int verbs_rail_connect(struct rail *rail, const struct verbs_connect_rail *told)
{
    rail->qpn = told->qpn;
    rail->psn = told->psn;
    rail->rkey = told->rkey;
    if (rail->adapter->lost)
        return rail_lost(rail);
    if (!rail->adapter->place.by_cm)
        return queue_pair_connect(rail);
    return rail->endpoint->dialled ? verbs_cm_connect(rail, told) : PEAL_OK;
}

void verbs_rail_close(struct rail *rail)
{
    struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

    rail->state = RAIL_CLOSING;
    rail->flushes = rail->qp && !rail->adapter->lost &&
                    ibv_modify_qp(rail->qp, &attr, IBV_QP_STATE) == 0;
}

/* The queue pair may be alive, and nobody would hear what becomes of it: that must not land
 * when it has been repeated.  What came over it may have been acknowledged: then it is not
 * repeated, and its completions, which some devices take along, are the only ones. */
static void rail_cut(struct rail *rail)
{
    verbs_drain(rail->adapter);
    if (rail->qp)
        ibv_destroy_qp(rail->qp);
    rail->qp = NULL;
    verbs_drain(rail->adapter);
}

bool verbs_rail_stopped(struct rail *rail)
{
    if (!rail->flushes)
        rail_cut(rail);
    return !rail->flushes || rail->receives == 0;
}

/* After this the device touches none of the endpoint's memory. */
void verbs_rail_destroy(struct rail *rail)
{
    if (rail->qp)
        ibv_destroy_qp(rail->qp);
    verbs_cm_close(rail);
    if (rail->queue)
        rail->queue->promised -= (int)rail->promised;
    rail->promised = 0;
    if (rail->landing)
        ibv_dereg_mr(rail->landing);
    if (rail->mirror)
        ibv_dereg_mr(rail->mirror);
    verbs_words_free(rail);
    rail->queue = NULL;
    rail->qp = NULL;
    rail->landing = rail->mirror = NULL;
    rail->state = RAIL_DOWN;
    rail->emptied = true;              /* what comes now is not looked at */
}
