/* SPDX-License-Identifier: BSD-3-Clause */
/* A rail that has failed comes back: after the repair (verbs_failover.c) both ends have
 * destroyed its queue pair, and when their ports are active they make new ones, with new
 * keys and sequence numbers, over the socket that proved who the peer is.
 *
 *   the side that was dialled                 the side that dialled
 *   makes a queue pair  --- OFFERS ---------> makes one, connects it
 *   connects it         <-- ANSWERS --------- (REFUSES: its port is down, or it cannot)
 *   writes nothing      --- over the rail --> answered by the device alone
 *   sends over the rail --- USES -----------> sends over the rail
 *
 * The rail is sent over only after that write has been answered, for active ports do not
 * make a way.  From ANSWERS on, what fails is the failure of a rail as any: both stop it
 * and tell each other what has come.  Nothing of a former queue pair is taken for the new
 * one's: its completions are drained before there is a new one, and its frames and keys
 * ended with it.
 *
 * The first try comes a second after the repair, each further one after twice the pause
 * before, up to half a minute; a port that is down is asked once a second instead, and who
 * refused for that says when it is up.  Whoever makes progress or is about to sleep looks:
 * nothing of this is done where no rail has failed. */
#include "transports/verbs/verbs.h"

#include "base/clock.h"
#include "base/log.h"

#include <string.h>

enum { WAIT_HIGH = 30, STEADY = 60 };          /* seconds; STEADY: up, for a short pause again */

static const uint64_t SECOND = 1000000000;

static void look_at(struct port *port, uint64_t when)
{
    if (port->rejoin_at == 0 || when < port->rejoin_at)
        port->rejoin_at = when;
}

void verbs_rejoin_later(struct rail *rail)
{
    uint64_t now = clock_now();

    if (rail->wait == 0 || (rail->up_since && now - rail->up_since > STEADY * SECOND))
        rail->wait = 1;
    else
        rail->wait = 2 * rail->wait < WAIT_HIGH ? 2 * rail->wait : WAIT_HIGH;
    rail->again_at = now + rail->wait * SECOND;
    look_at(rail->endpoint->port, now + SECOND);
}

static void say(struct rail *rail, enum verbs_step step, struct verbs_rejoin *rejoin)
{
    unsigned char record[VERBS_RECORD_MOST];

    rejoin->rail = (uint32_t)rail->index;
    rejoin->step = step;
    verbs_say(rail->endpoint, record, verbs_rejoin_encode(rejoin, record));
}

static void say_step(struct rail *rail, enum verbs_step step)
{
    struct verbs_rejoin rejoin = { .rail = 0 };

    say(rail, step, &rejoin);
}

/* False: it cannot be now, and nothing is left of it. */
static bool queue_pair_make(struct rail *rail, struct verbs_rejoin *rejoin)
{
    verbs_drain(rail->adapter);
    if (verbs_lost(rail->endpoint) || rail->adapter->lost)
        return false;
    rail->state = RAIL_MAKING;
    verbs_offer_again(rail, &rejoin->port);
    if (verbs_rail_create(rail, &rejoin->queue_pair) == PEAL_OK)
        return true;
    log_info("verbs: %s", status_text());
    verbs_rail_destroy(rail);
    return false;
}

static void make_offer(struct rail *rail)
{
    struct verbs_rejoin rejoin = { .rail = 0 };

    if (queue_pair_make(rail, &rejoin))
        say(rail, VERBS_OFFERS, &rejoin);
    else
        verbs_rejoin_later(rail);
}

/* Is anything to be done for this rail, later or now? */
static bool rail_waits(const struct rail *rail)
{
    return rail->state == RAIL_DOWN && !rail->adapter->lost && !rail->adapter->place.by_cm &&
           (!rail->endpoint->dialled || rail->refused);
}

static void rail_look(struct rail *rail, uint64_t now)
{
    bool asks = rail->endpoint->dialled;

    if ((!asks && now < rail->again_at) || !verbs_adapter_active(rail->adapter))
        return;
    rail->refused = false;
    if (asks)
        say_step(rail, VERBS_ASKS);
    else
        make_offer(rail);
}

void verbs_rejoin_look(struct port *port)
{
    uint64_t now = clock_now();

    if (now < port->rejoin_at)
        return;
    port->rejoin_at = 0;
    for (struct endpoint *e = port->endpoints; e; e = e->next)
        for (int i = 0; i < e->nrails && e->stage == STAGE_UP && !verbs_lost(e); i++) {
            if (rail_waits(&e->rails[i]))
                rail_look(&e->rails[i], now);
            if (rail_waits(&e->rails[i]))
                look_at(port, now + SECOND);
        }
}

void verbs_rejoin_active(struct adapter *a)
{
    struct port *port = a->port;
    uint64_t now = clock_now();

    a->asked_at = 0;
    for (struct endpoint *e = port->endpoints; e; e = e->next)
        for (int i = 0; i < e->nrails; i++)
            if (e->rails[i].adapter == a && rail_waits(&e->rails[i])) {
                e->rails[i].again_at = now;
                look_at(port, now);
            }
}

void verbs_rejoin_up(struct rail *rail)
{
    rail->state = RAIL_UP;
    rail->up_since = clock_now();
    log_warn("verbs: %s port %d to %s is used again", rail->adapter->place.device,
             rail->adapter->place.port, rail->endpoint->name);
    verbs_activity(rail->endpoint);
}

void verbs_rejoin_tried(struct rail *rail)
{
    rail->ended = rail->posted;
    say_step(rail, VERBS_USES);
    verbs_rejoin_up(rail);
}

/* ---- What the peer says ------------------------------------------------------------ */

static bool connect_to(struct rail *rail, const struct verbs_offer_rail *ours,
                       const struct verbs_rejoin *said)
{
    if (verbs_rail_pair(rail, ours, &said->port))
        return verbs_rail_connect(rail, &said->queue_pair) == PEAL_OK;
    status_fail(PEAL_ERR_PEER, "%s port %d and %s's %s port %u have no address of one family now",
                ours->device, rail->adapter->place.port, rail->endpoint->name, said->port.device,
                said->port.port);
    return false;
}

static void offered(struct rail *rail, const struct verbs_rejoin *said)
{
    struct verbs_rejoin rejoin = { .rail = 0 };
    bool down = rail->state == RAIL_DOWN;      /* else the repair is not over */

    rail->refused = down && !rail->adapter->lost && !verbs_adapter_active(rail->adapter);
    if (rail->refused)
        look_at(rail->endpoint->port, clock_now() + SECOND);
    if (down && !rail->refused && queue_pair_make(rail, &rejoin)) {
        if (connect_to(rail, &rejoin.port, said)) {
            say(rail, VERBS_ANSWERS, &rejoin);
            return;
        }
        log_info("verbs: %s", status_text());
        verbs_rail_destroy(rail);
    }
    say_step(rail, VERBS_REFUSES);
}

static void answered(struct rail *rail, const struct verbs_rejoin *said)
{
    struct verbs_offer_rail ours;

    verbs_offer_again(rail, &ours);
    if (connect_to(rail, &ours, said)) {
        verbs_arrival_ask(rail);
        return;
    }
    rail->state = RAIL_JOINING;                /* there it is: both ends have to stop it */
    verbs_rail_fail(rail, PEAL_ERR_PEER, "%s", status_text());
}

const char *verbs_rejoin_heard(struct endpoint *e, const struct verbs_rejoin *said)
{
    struct rail *rail = &e->rails[said->rail];
    bool making = rail->state == RAIL_MAKING, down = rail->state == RAIL_DOWN;
    uint64_t soon = clock_now() + SECOND;

    if ((int)said->rail >= e->nrails)
        return "news of a rail that does not exist";
    if (e->dialled != (said->step == VERBS_OFFERS || said->step == VERBS_USES))
        return "a word that it cannot say of a rail";
    switch (said->step) {
    case VERBS_ASKS:
        if (down && soon < rail->again_at)
            rail->again_at = soon;
        return NULL;
    case VERBS_OFFERS:
        if (!down && rail->state != RAIL_CLOSING)
            return "an offer for a rail that is there";
        offered(rail, said);
        return NULL;
    case VERBS_ANSWERS:
        if (!making)
            return "an answer to no offer";
        answered(rail, said);
        return NULL;
    case VERBS_REFUSES:
        if (!making)
            return "a refusal of no offer";
        verbs_rail_destroy(rail);
        verbs_rejoin_later(rail);
        return NULL;
    case VERBS_USES:
        if (making || down)
            return "news of a rail that is not there";
        if (rail->state == RAIL_JOINING)
            verbs_rejoin_up(rail);
        return NULL;
    }
    return NULL;
}
