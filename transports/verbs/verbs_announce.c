/* SPDX-License-Identifier: BSD-3-Clause */
/* How the number of a frame comes to the receiver, and what tells the sender that all
 * has arrived.
 *
 * Mostly the write that carries the frame has the number as its immediate data, and
 * its completion says that it has arrived.  iWARP has no immediate data: the number
 * follows in a SEND, which is delivered after the writes before it.  And it completes
 * a write when TCP has taken the bytes: so where a completion is asked for, it is that
 * of a READ of four bytes, which the peer's device answers after it has placed all
 * that came before (RFC 5040, 5.5).  What is under way can therefore be repeated over
 * another rail, and a sender's memory is not free while it may still be sent again.
 *
 * Such a rail has words, in memory that the peer is not told of:
 *
 *   one for each posted receive | one for each frame number | where the READ's go */
#include "transports/verbs/verbs_ring.h"

#include "transports/little_endian.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

struct words {
    struct ibv_mr *mr;
    uint32_t       receives, posted, taken;    /* posted, taken: the next, in a circle */
    unsigned char  bytes[][VERBS_NUMBER];
};

int verbs_words_make(struct rail *rail)
{
    const struct place *place = &rail->adapter->place;
    uint32_t receives = verbs_receives(rail->endpoint), all = receives + VERBS_FRAMES + 1;
    struct words *words;

    if (place->immediate && place->acknowledged)
        return PEAL_OK;
    words = calloc(1, sizeof *words + all * sizeof words->bytes[0]);
    if (!words)
        return status_fail(PEAL_ERR_MEMORY, "verbs: no memory for %s", rail->endpoint->name);
    words->receives = receives;
    /* What a READ brings is, to iWARP, written by the peer. */
    words->mr = ibv_reg_mr(rail->adapter->pd, words->bytes, all * sizeof words->bytes[0],
                           IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    rail->words = words;
    if (words->mr)
        return PEAL_OK;
    return status_fail(PEAL_ERR_MEMORY, "verbs: %s port %d cannot register the words of %s: %m; "
                       "is the limit of locked memory (ulimit -l) too low?", place->device,
                       place->port, rail->endpoint->name);
}

void verbs_words_free(struct rail *rail)
{
    if (rail->words && rail->words->mr)
        ibv_dereg_mr(rail->words->mr);
    free(rail->words);
    rail->words = NULL;
}

static struct ibv_sge word(const struct words *words, uint32_t index)
{
    return (struct ibv_sge){ .addr = (uintptr_t)words->bytes[index], .length = VERBS_NUMBER,
                             .lkey = words->mr->lkey };
}

static uint32_t next_of(const struct words *words, uint32_t *index)
{
    uint32_t at = *index;

    *index = at + 1 == words->receives ? 0 : at + 1;
    return at;
}

/* Where the next receive that is posted takes its number; they are used in order. */
void verbs_words_land(struct rail *rail, struct ibv_recv_wr *wr, struct ibv_sge *piece)
{
    if (!rail->words)
        return;
    *piece = word(rail->words, next_of(rail->words, &rail->words->posted));
    wr->sg_list = piece;
    wr->num_sge = 1;
}

void verbs_announce_by_word(struct rail *rail, struct ibv_send_wr *wr, uint32_t number,
                            const struct work *work)
{
    struct port *port = rail->endpoint->port;
    bool chaining = port->chaining;
    struct work bytes = { .kind = WORK_BYTES, .bytes = work->bytes };
    struct work announcement = *work;
    struct ibv_sge piece;
    struct ibv_send_wr send = { .opcode = IBV_WR_SEND, .sg_list = &piece, .num_sge = 1 };
    uint32_t index;

    /* The word is free again when the frame's number is. */
    index = rail->words->receives + work->frame % VERBS_FRAMES;
    little_put(rail->words->bytes[index], number, VERBS_NUMBER);
    piece = word(rail->words, index);
    if (piece.length <= rail->most_inline)
        send.send_flags |= IBV_SEND_INLINE;
    announcement.bytes = 0;
    wr->opcode = IBV_WR_RDMA_WRITE;
    verbs_chain_begin(port);
    if (wr->num_sge > 0)
        verbs_post(rail, wr, &bytes);
    verbs_post(rail, &send, &announcement);
    if (!chaining)
        verbs_chain_end(port);
}

const char *verbs_announced_by_word(struct rail *rail, const struct ibv_wc *wc)
{
    struct words *words = rail->words;

    if (wc->opcode != IBV_WC_RECV)
        return "something over verbs that is no number of a frame";
    if (wc->byte_len == 0) {
        next_of(words, &words->taken);
        verbs_cm_greeted(rail);
        return NULL;
    }
    if (wc->byte_len != VERBS_NUMBER)
        return "a number of a frame of another length";
    verbs_frame_came(rail, (uint32_t)little_get(words->bytes[next_of(words, &words->taken)],
                                                VERBS_NUMBER));
    return NULL;
}

/* Who connects by iWARP must be the first to send. */
void verbs_greet(struct rail *rail)
{
    struct ibv_send_wr wr = { .opcode = IBV_WR_SEND };
    struct work work = { .kind = WORK_BYTES };

    verbs_post(rail, &wr, &work);
}

/* By a write of nothing, or a READ that is answered after all writes. */
void verbs_arrival_ask(struct rail *rail)
{
    struct ibv_sge piece;
    struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE,
                              .wr.rdma = { .remote_addr = rail->endpoint->ring_remote,
                                           .rkey = rail->rkey } };
    struct work work = { .kind = WORK_NOTHING };

    if (!rail->adapter->place.acknowledged) {
        piece = word(rail->words, rail->words->receives + VERBS_FRAMES);
        wr.opcode = IBV_WR_RDMA_READ;
        wr.sg_list = &piece;
        wr.num_sge = 1;
    }
    verbs_post(rail, &wr, &work);
}
