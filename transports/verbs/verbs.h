/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs transport's own structures, shared by its files and nobody else.
 *
 * A port opens the chosen device ports (adapters) when it first connects.  An
 * endpoint has up to eight rails: reliable connected queue pairs, each between one
 * of our adapters and one of the peer's.  Everything that needs the receiver's
 * attention is a frame in its landing ring (verbs_wire.h).  Frames are put together
 * in a mirror of that ring here, from where they are written: the user's memory is
 * free at once, and what has to be repeated over another rail is still there.
 *
 * Long messages are written from the user's memory straight to where the receiver
 * granted it, in slices dealt out to the rails; DONE frames on the same rails, or the
 * last slice itself, say when all is there: writes and frames of one queue pair arrive in order, and the
 * frame's completion makes what came before it visible.  Long messages that must be
 * computed with are granted pieces of bounce memory; what cannot be registered goes
 * through the ring.
 *
 * A receiver always has more receives posted than frames may be under way, so no
 * frame meets an empty queue.
 *
 * What iWARP cannot is an ability of a place, and handled where rails differ: how a
 * frame is announced, what says that it has arrived (verbs_announce.c), and how queue
 * pairs are connected (verbs_rail.c, verbs_cm.c).
 *
 * The socket carries what is needed to connect, and when a rail fails what has come over
 * it, and to connect it anew; its end is the death of the peer, sooner than any retry.
 *
 * An error only marks the endpoint (`broken`): verbs_settle(), called where nothing
 * of it is being walked, lets what has arrived be taken and then ends it.
 *
 * Threading: one port with all that hangs on it belongs to one thread. */
#ifndef VERBS_H
#define VERBS_H

#include "transports/matching.h"
#include "transports/pool.h"
#include "transports/verbs/verbs_calls.h"
#include "transports/verbs/verbs_series.h"

#include <arpa/inet.h>

enum {
    VERBS_PLACES = 32,             /* device ports that are looked at */
    VERBS_GIDS   = 64,             /* addresses of one of them that are considered */
    VERBS_SLICES = 64,             /* most slices of an order: bits of a word */
    VERBS_WHY    = 512,            /* bytes of an error text */
    VERBS_POLL   = 32,             /* completions taken at once */
    VERBS_REGIONS = 64,            /* registrations kept */
    VERBS_CHAIN  = 16,             /* work requests posted at once */
    VERBS_QUEUES = 64              /* completion queues of an adapter */
};
#define VERBS_UNMEASURED SIZE_MAX  /* of struct port's direct */

/* ---- Devices, as found (verbs_device.c) ------------------------------------ */

struct place_gid {
    struct verbs_gid  gid;
    int               index;
    int               version;     /* of RoCE */
    unsigned          interface;   /* 0: unknown */
    enum verbs_family family;
};

struct place {                     /* a port of a device */
    char             device[VERBS_DEVICE];
    int              port;
    enum verbs_link  link;
    uint32_t         mtu, lid, rate;           /* enum ibv_mtu; -; Mbit/s */
    bool             immediate;    /* writes carry immediate data: else a SEND follows */
    bool             acknowledged; /* a completed write has arrived: else a READ says so */
    bool             by_cm;        /* rdma_cm connects: else addresses are exchanged */
    uint8_t          most_reads;   /* under way */
    size_t           most;                     /* bytes of one work request */
    int              most_work, most_completions;  /* of a queue */
    int              ngids;
    struct place_gid gids[VERBS_GIDS];
};

struct survey {
    int          nplaces;
    struct place places[VERBS_PLACES];
    char         reason[2 * VERBS_WHY];        /* why others, or all, are left out */
};

/* ---- A port and what hangs on it -------------------------------------------- */

struct queue {                     /* of completions */
    struct ibv_cq *cq;
    int            promised;       /* that may come at once */
};

struct adapter {                   /* a place that this port has opened */
    struct port             *port;
    int                      index;
    struct place             place;
    struct ibv_context      *context;
    struct ibv_pd           *pd;
    struct ibv_comp_channel *channel;
    bool                     paged;            /* registers memory that is paged on demand */
    int                      nqueues;          /* more than one where they cannot grow */
    struct queue             queues[VERBS_QUEUES];
    bool                     lost;             /* the device or its port is gone */
    bool                     active;           /* its port was, at asked_at (ns) */
    uint64_t                 asked_at;
};

struct region {                    /* registered memory */
    struct region *next;
    uint64_t       id;             /* of a shareable allocation; 0: for one operation */
    const char    *base;
    size_t         length;
    unsigned       users;
    uint64_t       used;           /* when last, for the choice of what goes */
    struct ibv_mr *mr[VERBS_RAILS];            /* by adapter */
};

struct chunk {                     /* bounce memory */
    struct chunk    *next;         /* free, or of one incoming */
    char            *bytes;
    uint64_t         offset, length, filled;   /* what of the message comes here */
    struct ibv_mr   *mr[VERBS_RAILS];          /* by adapter */
};

/* A frame that waits for room, a message that is being sent, or a grant that came
 * before its send (then `done` is NULL and `frame` is the grant's). */
struct sending {
    struct sending    *next;
    struct verbs_frame frame;
    struct verbs_grant grant;                  /* of a frame GRANT_TO */
    const char        *bytes;                  /* of a message */
    size_t             length;
    struct completion *done;                   /* NULL: a control frame */
    struct region     *region;
    bool               posted;                 /* granted before it was started */
    uint64_t           granted;                /* bytes: they are granted in order; */
    uint64_t           ended;                  /* of orders that have ended, or of DATA sent */
};

/* Bytes of a message to be written to one granted place. */
struct order {
    struct order   *next;
    struct sending *of;
    struct verbs_grant grant;
    uint64_t        offset, length;            /* in the message */
    uint64_t        slice;                     /* bytes; the last may be shorter */
    uint64_t        left;                      /* slices to be dealt out, */
    uint64_t        dealt[VERBS_RAILS];        /* and those of each rail, not told yet */
    unsigned        works;                     /* work requests without an end */
};

/* BYTES: of a frame, whose number follows, or a greeting; NOTHING: asks for the end of
 * what was posted before. */
enum work_kind { WORK_FRAME, WORK_BYTES, WORK_SLICE, WORK_NOTHING };
struct work {                      /* a work request in a send queue */
    enum work_kind kind;
    bool           signaled;
    uint32_t       frame;          /* FRAME: its number */
    uint32_t       bytes;
    struct order  *order;          /* SLICE, and FRAME if DONE; else NULL */
    uint64_t       slices;         /* which of the order's, DONE: that it tells */
};

/* After a failure, MAKING: there is a queue pair again, not connected; JOINING: it is, and
 * has not been tried.  Only UP rails are sent over. */
enum rail_state { RAIL_DOWN, RAIL_MAKING, RAIL_JOINING, RAIL_UP, RAIL_CLOSING };
struct rail {
    struct endpoint *endpoint;
    struct adapter  *adapter;
    int              index;
    enum rail_state  state;
    struct ibv_qp   *qp;
    struct ibv_mr   *landing, *mirror;
    struct verbs_offer_rail remote;
    struct place_gid gid;          /* ours */
    uint32_t         qpn, psn, rkey;           /* the peer's; ours is local_psn */
    uint32_t         local_psn, most_inline;
    struct words    *words;        /* NULL: immediate data, and acknowledged */
    struct joining  *joining;      /* by rdma_cm; else NULL */
    struct work     *work;         /* in a circle of `depth`, a power of two */
    struct queue    *queue;
    uint32_t         promised;     /* completions, to the queue */
    uint32_t         depth, posted, ended, unsignaled;
    uint32_t         receives;     /* posted and not used */
    uint32_t         used;         /* to be posted again */
    uint64_t         flying;       /* bytes under way */
    uint64_t         still_since;  /* ns; `ended` has stood at still_at since; 0: nothing is
                                    * under way (verbs_watch.c) */
    uint32_t         still_at;
    bool             flushes;      /* CLOSING: all that is posted comes back; */
    bool             reported;     /* the peer has told what it got, */
    bool             emptied;      /* and all that came here has been taken */
    struct verbs_down came;
    /* From one queue pair to the next (verbs_rejoin.c). */
    uint64_t         again_at, up_since;       /* ns; when the next is made; 0: not up yet */
    unsigned         wait;         /* seconds, of the latest pause */
    bool             refused;      /* an offer, because the port was down here */
};

/* A long message on its way to us, from match->remote[0]. */
struct incoming {
    struct incoming *next, **link; /* all of the endpoint */
    struct incoming *next_wanting; /* in line for bounce memory */
    struct match    *match;        /* NULL: only posted */
    struct endpoint *endpoint;
    struct message   message;
    struct region   *region;       /* granted straight, or NULL */
    struct chunk    *chunks;
    uint64_t         granted;      /* bytes of the message */
    bool             streamed;     /* some came through the ring */
    bool             asked;        /* something was granted: only once, but for chunks */
    bool             wanting;      /* in line */
};

enum stage { STAGE_OFFER, STAGE_CONNECT, STAGE_JOIN, STAGE_READY, STAGE_UP };

struct endpoint {
    struct port       *port;
    struct endpoint   *next;                   /* all of the port */
    struct endpoint   *next_active, **link;    /* link: NULL if not active */
    struct endpoint   *next_arrived;
    bool               arrived;                /* in the port's list of these */
    char               name[96];               /* "rank 3 on host" */
    int                failure;                /* status, or 0 */
    int                broken;                 /* status to fail with, or 0 */
    char               why[VERBS_WHY];
    char               seen[VERBS_WHY];        /* the first failure of a device; empty: none */

    /* The socket. */
    int                socket;
    bool               dialled, ended;
    bool               heard_ready;            /* the peer's queue pairs are connected */
    enum stage         stage;
    struct verbs_offer offer, theirs;
    uint32_t           watched;
    size_t             nin, nout;
    unsigned char      in[VERBS_RECORD_MOST], out[4 * VERBS_RECORD_MOST];

    /* Rails and rings. */
    int                nrails;
    struct rail        rails[VERBS_RAILS];
    unsigned char     *landing, *mirror;       /* one allocation */
    size_t             ring_in, ring_out;      /* bytes */
    uint32_t           frames_in, frames_out;
    size_t             eager, piece;           /* bytes of an EAGER, of DATA */
    uint64_t           ring_remote;            /* address of the peer's */

    /* Sending. */
    uint32_t           out_next, out_taken;    /* frame numbers */
    uint64_t           head, tail;             /* bytes ever put into and out of the ring */
    size_t             begun_place, begun_bytes;       /* of the frame that is put together */
    uint64_t           frame_end[VERBS_FRAMES];
    uint32_t           frame_place[VERBS_FRAMES], frame_bytes[VERBS_FRAMES];
    uint16_t           frame_code[VERBS_FRAMES];
    struct verbs_series sent[TRANSPORT_STREAMS];
    struct send_window window;
    struct sending    *slots[TRANSPORT_STREAMS][TRANSPORT_WINDOW];
                                               /* grants before their send */
    struct sending    *early, **last_early;    /* before the endpoint was up */
    struct sending    *announced;              /* not granted, or not all of it */
    struct sending    *queue, **last;          /* frames that wait */
    struct sending    *streams, **last_stream; /* messages that go through the ring */
    struct order      *orders, **last_order;   /* being dealt out */
    struct order      *dealt;                  /* waiting for the end of their work */
    unsigned           waiting;                /* sends that are not done */
    int                frames_over;            /* the rail that frames take */
    int                repairing;              /* rails being closed: nothing is posted */

    /* Receiving. */
    struct matching    matching;
    uint32_t           in_next;                /* number of the frame to be taken next */
    size_t             in_place;
    uint16_t           frame_here[VERBS_FRAMES];   /* its code */
    uint64_t           came[VERBS_FRAMES / 64];
    bool               coming_known;           /* that frame has been looked at: */
    struct verbs_frame coming;
    size_t             coming_place, coming_bytes;     /* in the ring */
    struct verbs_series taken[TRANSPORT_STREAMS];
    uint32_t           told_taken, told_low[TRANSPORT_STREAMS];
    size_t             untold;                 /* bytes taken since */
    bool               full[TRANSPORT_STREAMS];    /* the sender has used up its window */
    struct incoming   *incoming;
};

/* Work requests for one rail that are posted together. */
struct chain {
    struct rail       *rail;
    unsigned           n;
    struct ibv_send_wr wrs[VERBS_CHAIN];
    struct ibv_sge     pieces[VERBS_CHAIN];
};

struct port {
    struct port_options    options;
    struct completion_queue unheard;           /* while it closes */
    size_t                 eager, ring, slice, direct, chunk;
    uint32_t               frames;
    int                    epoll;
    bool                   look;               /* epoll has something: ask it first */
    unsigned               quiet;              /* calls since epoll was last asked */
    uint64_t               watch_at;           /* when rails are looked at next */
    uint64_t               rejoin_at;          /* ns; those that are down; 0: none are */
    unsigned               connecting;         /* endpoints that are not up */
    int                    nadapters;
    struct adapter         adapters[VERBS_RAILS];
    struct rdma_event_channel *joinings;       /* NULL until rdma_cm is needed */
    struct endpoint       *endpoints, *active, *arrived;
    bool                   chaining;
    struct chain           chains[VERBS_RAILS];    /* of the endpoint that is pushed */
    struct match_pool      pool;
    struct pool            sendings, orders, incomings;
    struct incoming       *wanting, **last_wanting;
    struct region         *regions;            /* kept */
    int                    nregions;
    struct region         *everything;         /* all of our memory, paged on demand, or NULL */
    uint64_t               clock;              /* uses of regions */
    bool                   relaxed;            /* PCI may reorder writes of long messages */
    bool                   no_direct;          /* nothing more can be registered: said */
    char                  *bounce;             /* memory of the chunks */
    struct chunk          *chunks, *free_chunks;
    int                    nchunks;
};

extern const struct setting verbs_settings[];

/* verbs_options.c */
enum verbs_number {
    VERBS_OPTION_PORT, VERBS_OPTION_GID_INDEX, VERBS_OPTION_TRAFFIC_CLASS,
    VERBS_OPTION_SERVICE_LEVEL, VERBS_OPTION_PKEY, VERBS_OPTION_TIMEOUT, VERBS_OPTION_RETRY,
    VERBS_OPTION_MTU, VERBS_OPTION_INLINE, VERBS_OPTION_RAILS, VERBS_OPTION_RELAXED,
    VERBS_OPTION_DISABLE, VERBS_OPTION_QPS, VERBS_OPTION_ROCE, VERBS_OPTION_ODP, VERBS_OPTIONS
};
int  verbs_option(enum verbs_number which);        /* -1: not set */
const char *verbs_option_disabled(void);           /* the variable that says so, or NULL */
bool verbs_option_device(const char *device, int port);
bool verbs_option_gid(const struct place *place, const struct place_gid *gid);
size_t verbs_option_direct(void);                  /* or VERBS_UNMEASURED */
struct verbs_network { struct verbs_gid gid; unsigned bits; };
bool verbs_network_parse(const char *text, struct verbs_network *network);
bool verbs_network_has(const struct verbs_network *network, const struct verbs_gid *gid);
void verbs_option_port(struct port *port);         /* the sizes in it */

/* verbs_device.c */
/* What may have changed since it was found.  False: the port is not active. */
bool verbs_place_again(struct ibv_context *context, struct place *place);
const struct survey *verbs_survey_all(char reason[2 * VERBS_WHY]);
const struct survey *verbs_survey(void);           /* NULL and status_text(): nothing */
uint64_t verbs_fabric(bool named);
uint32_t verbs_place_networks(const struct place *place);  /* bits of that word */
void verbs_devices(struct report *report);
int  verbs_reach(const struct where *self, const struct where *peer, struct reach *how);

/* verbs_adapter.c */
struct ibv_context *verbs_context_open(const char *device);    /* or NULL */
int  verbs_adapters_open(struct port *port);       /* once; later calls do nothing */
void verbs_adapters_close(struct port *port);
int  verbs_adapter_watch(struct port *port, int fd);   /* nonblocking; 0, or -1 and errno */
/* A queue with room for so many more. */
int  verbs_adapter_promise(struct adapter *a, int completions, struct queue **queue);
/* Completion channels and asynchronous events; returns how much there was. */
int  verbs_adapter_events(struct adapter *a);
int  verbs_adapter_arm(struct adapter *a);
bool verbs_adapter_active(struct adapter *a);      /* now, or a moment ago */

/* verbs_address.c */
void verbs_offer_make(struct endpoint *e);
/* Pair the offers: sets nrails and each rail's adapter, gid and remote. */
int  verbs_rails_pair(struct endpoint *e);
void verbs_address_fill(const struct rail *rail, struct ibv_ah_attr *address);
/* A port as it is now; and the addresses of such two.  False: they cannot talk. */
void verbs_offer_again(const struct rail *rail, struct verbs_offer_rail *ours);
bool verbs_rail_pair(struct rail *rail, const struct verbs_offer_rail *ours,
                     const struct verbs_offer_rail *theirs);

/* verbs_rail.c */
/* Fills in what the peer is told. */
int  verbs_rail_create(struct rail *rail, struct verbs_connect_rail *told);
int  verbs_rail_connect(struct rail *rail, const struct verbs_connect_rail *told);
void verbs_rail_destroy(struct rail *rail);
void verbs_rail_close(struct rail *rail);          /* no more comes in or goes out, */
bool verbs_rail_stopped(struct rail *rail);        /* and all that came has been noted */
int  verbs_rail_receives(struct rail *rail);       /* post what was used */
/* Receives of a queue pair: a quarter of the frames that may come is posted again
 * together, and what is told never waits for that. */
static inline uint32_t verbs_receives(const struct endpoint *e)
{
    return e->frames_in + e->frames_in / 2;
}
static inline uint32_t verbs_rail_room(const struct rail *rail)
{
    return rail->depth - (rail->posted - rail->ended);
}
/* Most work requests of a frame: one, or write, SEND, and a READ after each. */
static inline uint32_t verbs_frame_works(const struct rail *rail)
{
    return rail->words ? 4 : 1;
}

/* For a frame and, at its end, for a word that asks for its arrival. */
static inline bool verbs_frame_room(const struct rail *rail)
{
    return verbs_rail_room(rail) > verbs_frame_works(rail);
}

/* verbs_cm.c, or verbs_cm_absent.c without librdmacm: connecting by rdma_cm.  The side
 * that was dialled listens, for whoever shows the word that it told the other. */
int  verbs_cm_addresses(struct place *place);      /* fill in its gids */
int  verbs_cm_listen(struct rail *rail, struct verbs_connect_rail *told);
int  verbs_cm_connect(struct rail *rail, const struct verbs_connect_rail *told);
bool verbs_cm_joined(const struct rail *rail);
void verbs_cm_greeted(struct rail *rail);          /* the peer may be sent to */
void verbs_cm_close(struct rail *rail);
int  verbs_cm_events(struct port *port);           /* returns how many there were */
void verbs_cm_end(struct port *port);

/* verbs_announce.c: frames' numbers, and what says that they have arrived. */
int  verbs_words_make(struct rail *rail);          /* if the rail needs them */
void verbs_words_free(struct rail *rail);
void verbs_words_land(struct rail *rail, struct ibv_recv_wr *wr, struct ibv_sge *piece);
void verbs_announce_by_word(struct rail *rail, struct ibv_send_wr *wr, uint32_t number,
                            const struct work *work);
/* NULL and what has come is noted, or what is wrong. */
const char *verbs_announced_by_word(struct rail *rail, const struct ibv_wc *wc);
void verbs_greet(struct rail *rail);
/* Ask for the end of all that was posted before. */
void verbs_arrival_ask(struct rail *rail);

/* verbs_work.c: work requests and their completions. */
void verbs_post(struct rail *rail, struct ibv_send_wr *wr, const struct work *work);
/* Between the two, what is posted for one endpoint goes with one doorbell per rail. */
void verbs_chain_begin(struct port *port);
void verbs_chain_end(struct port *port);
int  verbs_poll(struct port *port);                /* returns how many there were */
/* Take all completions that are there: none of a queue pair that is gone comes later. */
void verbs_drain(struct adapter *a);
/* verbs_watch.c: before sleeping; rails on which nothing ends any more fail. */
void verbs_watch(struct port *port);
void verbs_rail_fail(struct rail *rail, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* verbs_paging.c: on-demand paging. */
void verbs_paging_find(struct port *port);         /* sets `paged` and `everything` */
bool verbs_paging_offered(struct ibv_context *context, bool *implicit);

/* verbs_direct.c: from where registering for one message beats copying it. */
size_t verbs_direct_measure(struct ibv_pd *pd);    /* now; 0: it cannot be registered */
/* From the seconds that registering 16 and 256 KiB, and copying 256 KiB, take. */
size_t verbs_direct_crossover(double few, double many, double copy);
bool verbs_direct(struct port *port, size_t length);   /* by the setting, or as measured */

/* verbs_memory.c */
struct region *verbs_region_take(struct endpoint *e, const void *bytes, size_t length,
                                 bool remote);
void verbs_region_give(struct port *port, struct region *region);
void verbs_region_free(struct region *region);
void verbs_regions_free(struct port *port);
bool verbs_chunks_make(struct port *port);         /* false: there can be none */
void verbs_chunks_free(struct port *port);
/* NULL: no memory, reported. */
struct sending *verbs_sending_take(struct port *port);
void verbs_sending_give(struct port *port, struct sending *s);
struct order *verbs_order_take(struct port *port);
void verbs_order_give(struct port *port, struct order *o);
struct incoming *verbs_incoming_take(struct port *port);
void verbs_incoming_give(struct port *port, struct incoming *in);

/* verbs_send.c */
int  verbs_send(struct endpoint *e, const struct message *message, const void *bytes,
                size_t length, struct completion *done);
void verbs_control(struct endpoint *e, enum verbs_kind kind, const struct message *message,
                   uint64_t total, uint64_t offset, uint64_t length,
                   const struct verbs_grant *grant);
int  verbs_push(struct endpoint *e);               /* returns how much moved */
void verbs_sends_start(struct endpoint *e);
void verbs_sends_fail(struct endpoint *e, int status);
/* NULL, or what is wrong. */
const char *verbs_granted(struct endpoint *e, const struct verbs_frame *frame,
                          const struct verbs_grant *grant);
const char *verbs_refused(struct endpoint *e, const struct verbs_frame *frame);

/* verbs_order.c: writing to granted places. */
/* Returns for how many bytes there are orders now: fewer than granted, no memory. */
uint64_t verbs_order_start(struct endpoint *e, struct sending *s, const struct verbs_frame *frame,
                       const struct verbs_grant *grant);
int  verbs_orders_deal(struct endpoint *e);
void verbs_order_work_ended(struct endpoint *e, const struct work *work);
void verbs_order_repeat(struct endpoint *e, struct rail *from);
void verbs_slice_post(struct rail *rail, struct order *o, unsigned index);
/* What and where to. */
void verbs_slice_fill(const struct rail *rail, const struct order *o, unsigned index,
                      struct ibv_send_wr *wr, struct ibv_sge *piece);
void verbs_sending_end(struct endpoint *e, struct sending *s, int status);

/* verbs_receive.c */
int  verbs_recv(struct endpoint *e, const struct message *message,
                const struct landing *landing, struct completion *done);
int  verbs_take_frames(struct endpoint *e);
void verbs_incoming_fail(struct endpoint *e);
/* The frame that came without a header.  NULL, or what is wrong. */
const char *verbs_ridden(const struct endpoint *e, uint32_t code, struct verbs_frame *frame);
void verbs_chunks_serve(struct port *port);        /* whoever waits for bounce memory */

/* verbs_short.c */
int  verbs_put(struct endpoint *e, const struct message *message, const void *bytes,
               size_t length, struct completion *done);
int  verbs_peek(struct endpoint *e, const struct message *message, size_t length,
                const void **view);
int  verbs_take(struct endpoint *e, const struct message *message, size_t length);

/* verbs_endpoint.c */
int  verbs_connect(struct port *port, int peer, const struct where *where,
                   const int *sockets, int nsockets, bool dialled, struct endpoint **endpoint);
void verbs_endpoint_free(struct endpoint *e);
void verbs_break(struct endpoint *e, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void verbs_settle(struct endpoint *e);
bool verbs_socket_ended(const struct endpoint *e);     /* has the peer closed it? */
void verbs_activity(struct endpoint *e);
static inline bool verbs_lost(const struct endpoint *e) { return e->failure || e->broken; }

/* verbs_talk.c: the socket. */
int  verbs_talk(struct endpoint *e);               /* returns how much moved */
void verbs_say(struct endpoint *e, const unsigned char *record, size_t length);
int  verbs_socket_watch(struct endpoint *e);       /* 0, or -1 and errno */
void verbs_joined(struct endpoint *e);             /* a queue pair has been connected */

/* verbs_failover.c */
void verbs_rail_heard(struct endpoint *e, const struct verbs_down *down);
int  verbs_repair(struct endpoint *e);

/* verbs_rejoin.c: rails that have failed are connected anew. */
void verbs_rejoin_later(struct rail *rail);        /* it is down now */
void verbs_rejoin_look(struct port *port);         /* at rejoin_at */
void verbs_rejoin_active(struct adapter *a);       /* its port is */
void verbs_rejoin_up(struct rail *rail);           /* JOINING, and both ends know */
void verbs_rejoin_tried(struct rail *rail);        /* JOINING, and something came through */
const char *verbs_rejoin_heard(struct endpoint *e, const struct verbs_rejoin *said);

/* verbs_error.c */
const char *verbs_cause(enum ibv_wc_status status);
int  verbs_cause_status(enum ibv_wc_status status);
/* Of what there may be too little, after this errno: to end a text with. */
const char *verbs_shortage(int error);

#endif
