/* SPDX-License-Identifier: BSD-3-Clause */
/* The TCP transport's own structures, shared by its files and nobody else.
 *
 * An endpoint has one to eight sockets, its lanes.  Short messages and all
 * control go over lane 0, long messages are cut into chunks dealt out to all
 * lanes (tcp_wire.h).  What a socket does not take at once stays queued as a
 * reference to the user's memory.  Bytes are read straight to where they belong,
 * or, with arithmetic, through one cache-sized buffer of the port; between two
 * calls a lane keeps at most 63 bytes of its own.
 *
 * An error on a socket only marks the endpoint (`broken`): tcp_endpoint_settle(),
 * called where no lane is being read, first drains what had arrived.
 *
 * The ends of one connection's sockets come at different times, and bytes may be
 * under way on one while another has ended: the peer is gone when all of them
 * have ended, or at the first error.
 *
 * Threading: one port with all that hangs on it belongs to one thread. */
#ifndef TCP_H
#define TCP_H

#include "transports/matching.h"
#include "transports/pool.h"
#include "transports/tcp/tcp_wire.h"

enum {
    TCP_BOUNCE   = 256 << 10,      /* bytes of the port's buffer: fits in an L2 cache */
    TCP_WHY      = 512,            /* bytes of an error text */
    TCP_DIRECT   = 4,              /* serve up to so many endpoints without asking epoll */
    TCP_CHUNKS   = 8,              /* most chunks that one system call writes */
    TCP_SCRAPS   = 4 << 10,        /* read so much if a payload that can be read to its
                                    * place may come next: what is beyond that then is */
    TCP_DIRECT_BYTES = 16 << 10,   /* a payload for which that is worth another call */
    TCP_LOST_EOF = -1              /* `broken`: the peer closed the connection */
};

/* Something that waits to be written, or a long message. */
struct sending {
    struct sending    *next;                   /* in a queue, in streaming, or free */
    struct message     message;
    const char        *bytes;
    size_t             length;
    struct completion *done;                   /* NULL: control, or READY before its send */
    unsigned char      header[TCP_HEADER];     /* of a queued one, */
    size_t             written;                /* of header and bytes together */
    size_t             expected;               /* of a long one: READY's length, */
    uint32_t           chunk;                  /* chunk size, */
    uint32_t           turn[TRANSPORT_SOCKETS];/* next chunk of each lane, */
    size_t             unwritten;              /* bytes not yet with the kernel */
};

struct chunk {                     /* a piece of a long message */
    struct sending  *of;
    const char      *bytes;
    size_t           length;
    unsigned char    header[TCP_HEADER];
};

struct lane {                      /* one socket */
    int              fd, index;
    struct endpoint *endpoint;
    bool             ended;        /* nothing more can be read */
    bool             blocked;      /* something waits for room, or for its turn */
    uint32_t         watched;      /* what epoll is asked for; 0: not in its set */

    struct lane     *next_unsent, **unsent;/* unsent: NULL if nothing is to be written */
    struct sending  *queue, **last;        /* headers and short messages */
    struct sending  *streaming;            /* the long message that has the turn, or NULL */
    struct chunk     chunks[TCP_CHUNKS];   /* being written, in a circle, */
    unsigned         first_chunk, nchunks; /* before anything else */
    size_t           chunk_written;        /* of the first, with its header */

    struct match    *match;        /* a payload is being read, or NULL: a header is next */
    bool             piece;        /* it is a CHUNK */
    size_t           offset, left; /* where its next byte belongs, and bytes missing */
    size_t           ncarry;       /* bytes of an incomplete header or element block */
    unsigned char    carry[TCP_HEADER];
};

struct endpoint {
    struct port       *port;
    struct endpoint   *next;               /* all of the port */
    struct endpoint   *next_active, **link;/* link: NULL if not active */
    char               name[96];           /* "rank 3 on host" */
    int                failure;            /* status, or 0 */
    int                broken;             /* errno or TCP_LOST_EOF; becomes a failure */
    char               why[TCP_WHY];

    /* Sending. */
    bool               finished;           /* close() has said that no more will come */
    struct send_window window;
    struct sending    *slots[TRANSPORT_STREAMS][TRANSPORT_WINDOW];
                                           /* announced, or READY before the send */
    struct sending    *streaming, **last_streaming;
    unsigned           waiting;            /* sends that are not done */

    /* Receiving. */
    struct matching    matching;
    uint32_t           told[TRANSPORT_STREAMS];    /* latest credit sent */
    bool               full[TRANSPORT_STREAMS];    /* the sender has used it up */
    unsigned           posted;                     /* receives without a message, */
    unsigned           posted_long, posted_direct; /* of them: asked for; not computed with */

    /* The short way. */
    unsigned char     *ahead;                      /* read from lane 0 by peek(); or NULL */
    size_t             ahead_at, ahead_end;        /* where the unused bytes lie */

    int                nlanes;
    struct lane        lanes[];
};

struct port {
    struct port_options   options;
    size_t                eager;           /* most bytes sent without READY */
    uint32_t              chunk;           /* bytes asked for at once */
    int                   epoll;
    bool                  look;            /* epoll has something: ask it first */
    unsigned              quiet;           /* calls since epoll was last asked */
    unsigned              nactive;
    unsigned              nahead;          /* endpoints with something in `ahead` */
    struct endpoint      *active, *endpoints;
    struct lane          *unsent;          /* lanes with something to write */
    struct match_pool     pool;
    struct pool           sendings;
    unsigned char        *bounce;          /* TCP_HEADER + TCP_BOUNCE bytes */
};

extern const struct setting tcp_settings[];

/* tcp_endpoint.c */
void tcp_endpoint_fail(struct endpoint *e, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void tcp_endpoint_settle(struct endpoint *e);      /* turn `broken` into a failure */
void tcp_endpoint_activity(struct endpoint *e);    /* is anything awaited? */
int  tcp_lane_watch(struct lane *lane);            /* after a change; 0, or -1 and errno */
void tcp_lane_unsent(struct lane *lane, bool any); /* is there something to write? */
void tcp_lane_ended(struct lane *lane, int error); /* 0: the peer sends no more on it */
int  tcp_connect(struct port *port, int peer, const struct where *where,
                 const int *sockets, int nsockets, bool dialled,
                 struct endpoint **endpoint);
void tcp_endpoint_free(struct endpoint *e);        /* completes nothing */

/* tcp_options.c */
size_t tcp_option_eager(void);
uint32_t tcp_option_chunk(void);
int  tcp_option_sockets(void);
void tcp_option_apply(int fd);

/* tcp_send.c */
int  tcp_send(struct endpoint *e, const struct message *message, const void *bytes,
              size_t length, struct completion *done);
/* Queue a header without payload, behind what the lane has got already.  READY
 * and ANNOUNCE come in numbers and wait for the next progress(), to go with one
 * system call; what nobody waits for may find no progress(), and is written now. */
void tcp_control(struct endpoint *e, struct lane *lane, enum tcp_kind kind,
                 const struct message *message, size_t total, uint32_t length);
bool tcp_credit_tell(struct endpoint *e, bool idle);   /* if it is time */
void tcp_stream(struct endpoint *e, struct sending *s);
void tcp_queue(struct lane *lane, struct sending *s);
struct sending *tcp_sending_take(struct port *port);   /* NULL: no memory, reported */
void tcp_sending_give(struct port *port, struct sending *s);
void tcp_sends_fail(struct endpoint *e, int status);

/* tcp_write.c */
void tcp_encode(struct lane *lane, enum tcp_kind kind, const struct message *message,
                size_t total, size_t offset, uint32_t length, unsigned char *wire);
void tcp_told(struct lane *lane);                  /* what was encoded is on its way */
int  tcp_write(struct lane *lane);                 /* returns how many writes moved */
int  tcp_write_unsent(struct port *port, bool blocked);    /* all lanes; also blocked ones */
void tcp_watch_unsent(struct port *port);          /* epoll shall tell when there is room */

/* tcp_answer.c: what the receiver tells the sender; NULL or what is wrong. */
const char *tcp_credit_take(struct endpoint *e, const struct tcp_header *header);
const char *tcp_ready(struct endpoint *e, const struct tcp_header *header);
const char *tcp_refused(struct endpoint *e, const struct tcp_header *header);

/* tcp_receive.c */
int  tcp_recv(struct endpoint *e, const struct message *message,
              const struct landing *landing, struct completion *done);
int  tcp_read(struct lane *lane, bool all);        /* returns how many reads moved */
void tcp_parse(struct lane *lane, const unsigned char *bytes, size_t length);

/* tcp_short.c */
int  tcp_put(struct endpoint *e, const struct message *message, const void *bytes,
             size_t length, struct completion *done);
int  tcp_peek(struct endpoint *e, const struct message *message, size_t length,
              const void **view);
int  tcp_take(struct endpoint *e, const struct message *message, size_t length);
int  tcp_ahead_parse(struct endpoint *e);          /* before anybody reads lane 0 */

/* tcp_arrive.c: a header came in.  Sets lane->match if a payload follows. */
void tcp_arrive(struct lane *lane, const unsigned char wire[TCP_HEADER]);
/* A held message met its receive: let it come, or tell the sender to drop it. */
void tcp_answer(struct endpoint *e, struct match *match);
bool tcp_asked_at_once(const struct port *port, size_t bytes);
bool tcp_read_direct(const struct landing *landing);

#endif
