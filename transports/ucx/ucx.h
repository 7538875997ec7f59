/* SPDX-License-Identifier: BSD-3-Clause */
/* The UCX transport's own structures, shared by its files and nobody else.
 *
 * A port has a UCX context and worker, made with its first endpoint; an endpoint
 * has a UCX endpoint and a socket.  Over the socket the two ends tell each other
 * their workers' addresses (ucx_socket.c); after that it carries a few words when
 * an end closes, and its own end says, sooner than any timeout of UCX, that the
 * peer is gone.
 *
 * Messages are UCX active messages.  Up to TRANSPORT_EAGER bytes go at once, by
 * whatever protocol UCX finds best.  Longer ones go in pieces by UCX's rendezvous:
 * what comes in is an offer, and stays one until a receive is posted; then the
 * bytes are fetched straight to their place or, if something must be computed,
 * piece by piece through buffers of the port.
 *
 * UCX 1.13 aborts the process if an endpoint fails, or is closed by force, while it has
 * an answer to its peer's wish to connect to send and is not connected itself.  Hence
 * one end, that which dialled the socket, connects first; the other does when the first
 * word, READY, has come over UCX, and then has a connection to answer over.  When its
 * READY has come, too, the endpoint is joined: nothing else is sent before, and neither
 * end closes before, if the other is still there.
 *
 * What UCX has been given (a header and bytes to send, memory to fetch to) is a
 * `flight`.  Memory is the owner's again only when UCX has given it back: an
 * endpoint that breaks is first closed by force, and its operations end when
 * nothing of it is in flight.
 *
 * UCX's listeners believe anybody.  Hence each header carries a key that its
 * receiver made up and told over the socket, whose other end has proved the job's
 * secret: a message without it is dropped.
 *
 * Threading: one port with all that hangs on it belongs to one thread. */
#ifndef UCX_H
#define UCX_H

#include "transports/matching.h"
#include "transports/pool.h"

#include <ucp/api/ucp.h>

enum {
    UCX_MESSAGE     = 1,           /* our active message's id */
    UCX_FLIGHTS     = 4,           /* most pieces of one message in flight */
    UCX_AHEAD       = 64,          /* a piece goes when all that are so many before are done */
    UCX_BOUNCES     = 8,           /* most buffers of a port */
    UCX_CHUNK_LOW   = TRANSPORT_EAGER, /* bytes of a piece */
    UCX_CHUNK_HIGH  = 1 << 30,
    UCX_CHUNK_UNIT  = 64,
    UCX_ADDRESS     = 32 << 10,    /* most bytes of a worker's address */
    UCX_WHY         = 512          /* bytes of an error text */
};
/* No message is longer, so that offset + length can never wrap around. */
#define UCX_TOTAL_HIGH ((uint64_t)1 << 43)

enum ucx_kind {
    UCX_WHOLE = 1,                 /* a message of up to TRANSPORT_EAGER bytes */
    UCX_PIECE,                     /* one piece of a longer one */
    UCX_CREDIT,                    /* only `low` counts */
    UCX_READY                      /* the first one: it comes, so UCX is connected */
};

/* In the byte order of both ends: UCX does not join different ones. */
struct ucx_header {
    uint64_t         key;          /* that the receiver told us */
    uint32_t         from;         /* the sender's rank */
    uint32_t         number;
    struct signature signature;
    uint32_t         low[TRANSPORT_STREAMS];   /* as TCP's credits */
    uint16_t         kind, stream;
    uint32_t         zero;
    uint64_t         total, offset;            /* of a PIECE; not sent with the others */
};
enum { UCX_SHORT_HEADER = offsetof(struct ucx_header, total) };

struct flight {                    /* something in UCX's hands, or waiting for them */
    struct flight    *next;        /* in the list that it waits in */
    struct endpoint  *endpoint;

    /* To send. */
    struct sending   *sending;     /* its message if this is a piece, */
    struct completion *done;       /* else its completion; NULL: a credit */
    struct ucx_header header;

    /* To fetch. */
    struct match     *match;
    void             *offer;       /* UCX's descriptor; NULL: it has taken it */
    size_t            offset, length;
    unsigned char    *bounce;      /* to here, or NULL */
};

struct sending {                   /* a long message */
    struct sending    *next;
    struct message     message;
    const char        *bytes;
    size_t             length;
    struct completion *done;
    uint64_t           pieces, begun;          /* all; handed to UCX */
    uint64_t           base, ended;            /* all below base, and bit i: base + i */
    unsigned           flights;
};

struct endpoint {
    struct port       *port;
    struct endpoint   *next;               /* all of the port */
    struct endpoint   *next_due;           /* in port->due ... */
    bool               due;                /* ... if it is */
    int                peer;               /* rank */
    char               name[96];           /* "rank 3 on host" */
    bool               local;              /* on this host */
    bool               dialled;            /* this end connects first */
    int                failure;            /* status, or 0 */
    bool               gone;               /* the peer is: see what has come, then break it */
    int                broken;             /* status that becomes the failure, or 0 */
    char               why[UCX_WHY];

    ucp_ep_h           ep;                 /* NULL: not yet, or not any more */
    bool               ready_came, ready_gone;
    void              *closing;            /* UCX's request, */
    bool               closed;             /* ... which was made, if there was an `ep` */
    unsigned           flights, fetches;   /* in UCX's hands; of them: to receive */
    uint64_t           key, peer_key;
    uint32_t           chunk;              /* bytes of a piece, the same at both ends */

    /* The socket. */
    int                socket;
    unsigned char     *out, *in;           /* what is to be written, and was read in part */
    size_t             out_at, out_end, in_end;
    bool               greeted;            /* the peer's hello has come */
    uint64_t           sent, received;     /* active messages */
    uint64_t           leaving;            /* the peer closes; it has sent so many, or 0 */
    bool               answered;           /* ... and we have got them */
    bool               told_leaving;       /* we close, and have said so; */
    bool               heard;              /* ... the peer has got all that we sent */

    /* Sending. */
    struct send_window window;
    struct sending    *streaming;
    struct flight     *lost;               /* what UCX could not send */
    unsigned           waiting;            /* sends that are not done */

    /* Receiving. */
    struct matching    matching;
    uint32_t           told[TRANSPORT_STREAMS];    /* latest credit sent */
    bool               full[TRANSPORT_STREAMS];    /* the sender has used it up */
};

struct port {
    struct port_options   options;
    size_t                chunk;           /* bytes of a piece that we would like */
    int                   epoll;           /* the worker's descriptor and the sockets */
    unsigned              calls;           /* of progress() since the sockets were looked at */
    bool                  look;            /* look at them now */
    bool                  stirred;         /* something moved that no progress() has counted */
    unsigned              greeting;        /* endpoints without a UCX endpoint */
    ucp_context_h         context;
    ucp_worker_h          worker;          /* NULL: no endpoint was made */
    struct endpoint      *endpoints, *due;
    struct endpoint     **peers;           /* by rank */
    struct match_pool     pool;
    struct pool           flights, sendings;
    unsigned char        *all[UCX_BOUNCES], *bounces[UCX_BOUNCES];
    int                   nmade, nbounces;         /* of `all`; free ones, in `bounces` */
    struct flight        *hungry, **last_hungry;   /* wait for a bounce buffer */
};

static inline bool ucx_joined(const struct endpoint *e)
{
    return e->ready_came && e->ready_gone;
}

extern const struct setting ucx_settings[];

/* The functions of UCX that we call, by its prefix and the rest of their name. */
#define UCX_FUNCTIONS(X)                                                                \
    X(ucp, get_version) X(ucp, init_version) X(ucp, cleanup)                            \
    X(ucp, config_read) X(ucp, config_modify) X(ucp, config_release)                    \
    X(ucp, worker_create) X(ucp, worker_destroy) X(ucp, worker_progress)                \
    X(ucp, worker_get_address) X(ucp, worker_release_address)                           \
    X(ucp, worker_get_efd) X(ucp, worker_arm) X(ucp, worker_set_am_recv_handler)        \
    X(ucp, mem_map) X(ucp, mem_unmap)                                                   \
    X(ucp, ep_create) X(ucp, ep_close_nbx)                                              \
    X(ucp, am_send_nbx) X(ucp, am_recv_data_nbx) X(ucp, am_data_release)                \
    X(ucp, request_check_status) X(ucp, request_free)                                   \
    X(ucs, status_string)
#define UCX_MEMBER(prefix, function) __typeof__(&prefix##_##function) function;
/* ucx_library.c */
extern struct ucx_library { UCX_FUNCTIONS(UCX_MEMBER) } ucx;   /* once ucx_usable() */
#undef UCX_MEMBER
int ucx_usable(void);

/* ucx_worker.c: UCX's own things, and the memory of a port */
int  ucx_worker_make(struct port *port);
void ucx_worker_free(struct port *port);
struct flight *ucx_flight_take(struct port *port);     /* NULL: no memory, reported */
void ucx_flight_give(struct port *port, struct flight *flight);
struct sending *ucx_sending_take(struct port *port);   /* likewise */
void ucx_sending_give(struct port *port, struct sending *s);
unsigned char *ucx_bounce_take(struct port *port);     /* NULL: all in use */
void ucx_bounce_give(struct port *port, unsigned char *bounce);
void ucx_pools_free(struct port *port, bool in_use);   /* in_use: UCX may still read it */
size_t ucx_option_chunk(void);

/* ucx_endpoint.c */
int  ucx_connect(struct port *port, int peer, const struct where *where,
                 const int *sockets, int nsockets, bool dialled,
                 struct endpoint **endpoint);
void ucx_endpoint_join(struct endpoint *e);        /* if it is time */
/* It ends, once ucx_endpoint_settle() has been called and nothing is in flight: with
 * PEAL_ERR_PEER, after what had come before was taken; or at once with a status. */
void ucx_endpoint_gone(struct endpoint *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ucx_endpoint_break(struct endpoint *e, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void ucx_endpoint_due(struct endpoint *e);         /* settle it at the next progress() */
/* `idle`: it may tell the credits that it owes.  True: it is due still. */
bool ucx_endpoint_settle(struct endpoint *e, bool idle);
void ucx_endpoint_close(struct endpoint *e);       /* let UCX give back all it has got, */
bool ucx_endpoint_closing(struct endpoint *e);     /* which it has not yet */
bool ucx_endpoint_joining(const struct endpoint *e);
bool ucx_endpoint_adrift(const struct endpoint *e);    /* it must not be closed */
void ucx_endpoint_free(struct endpoint *e);        /* completes nothing */

/* ucx_socket.c */
int  ucx_socket_hello(struct endpoint *e, const void *address, size_t length);
const void *ucx_socket_address(const struct endpoint *e);      /* the peer's, once greeted */
int  ucx_socket_write(struct endpoint *e);         /* 1 if something moved, else 0 */
int  ucx_socket_read(struct endpoint *e);
bool ucx_socket_ended(const struct endpoint *e);   /* has the peer gone by now? */
void ucx_socket_leave(struct endpoint *e);         /* tell the peer how much we have sent, */
void ucx_socket_answer(struct endpoint *e);        /* or that we have got all that it sent, */
void ucx_socket_break(struct endpoint *e);         /* or why we end the connection; */
void ucx_socket_hear(struct endpoint *e);          /* e->why is what the peer says of it, if it does */
int  ucx_socket_watch(struct endpoint *e);         /* 0, or -1 and errno */

/* ucx_send.c */
int  ucx_send(struct endpoint *e, const struct message *message, const void *bytes,
              size_t length, struct completion *done);
int  ucx_put(struct endpoint *e, const struct message *message, const void *bytes,
             size_t length, struct completion *done);
void ucx_ready_tell(struct endpoint *e);
bool ucx_credit_owed(const struct endpoint *e);
bool ucx_credit_tell(struct endpoint *e, bool idle);   /* if it is time */
const char *ucx_credit_take(struct endpoint *e, const struct ucx_header *h);  /* what is wrong */
void ucx_sends_fail(struct endpoint *e, int status);

/* ucx_fetch.c: receives, and the bytes of what is on offer */
int  ucx_recv(struct endpoint *e, const struct message *message,
              const struct landing *landing, struct completion *done);
int  ucx_peek(struct endpoint *e, const struct message *message, size_t length,
              const void **view);
int  ucx_take(struct endpoint *e, const struct message *message, size_t length);
/* Of a message that is held or comes in pieces, a piece is on offer: fetch it, keep
 * it in mind, or drop it.  True: UCX's descriptor is ours, or was given to UCX. */
bool ucx_offer(struct endpoint *e, struct match *match, void *offer, size_t offset,
               size_t length);
void ucx_offer_first(struct match *match);         /* before the first piece */
/* The piece at `offset` has come.  False: it is not due. */
bool ucx_offer_due(const struct endpoint *e, struct match *match, uint64_t offset);
void ucx_offers_release(struct endpoint *e);       /* of messages that are not fetched */

/* ucx_arrive.c: UCX's callback for active messages */
ucs_status_t ucx_arrive(void *port, const void *header, size_t header_length, void *data,
                        size_t length, const ucp_am_recv_param_t *how);

#endif
