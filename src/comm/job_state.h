/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a job, shared by the files that make it up:
 *
 *   job.c          the functions of job.h; hand commands to the monitor
 *   job_create.c   making and taking down
 *   monitor.c      the thread: one poll loop, which calls all of the others
 *   job_visit.c    one connection during its handshake, from either side
 *   job_errand.c   a connection that must be made, with retries
 *   rendezvous.c   how all ranks come to have the table of all ranks
 *   job_tree.c     the control tree: floods, deaths, the common leaving
 *   job_branch.c   one neighbour in it: bytes in and out
 *   job_mail.c     what reaches the communicators' mailboxes
 *
 * Threading: only the monitor thread touches the state, except what is said to
 * be under a lock, and what is constant once the job has met. */
#ifndef JOB_STATE_H
#define JOB_STATE_H

#include "comm/control.h"
#include "comm/door.h"
#include "topology/layout.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    TREE_FANOUT     = 4,
    VISITS_PER_DOOR = 256,         /* strangers at a time; two doors */
    DIALS_AT_A_TIME = 64,
    PARKED_SETS     = 4096,
    FAILURES_KEPT   = 1024,
    SEEN_KEPT       = 256,
    WHY_BYTES       = 320
};

/* One connection until it is authenticated. */
struct visit {
    struct visit          *next;
    int                    fd;
    int                    door;         /* accepted from: 0 TCP, 1 local */
    bool                   over;         /* to be swept */
    bool                   connecting;
    bool                   local;        /* a Unix socket */
    bool                   parting;      /* close once `out` is written */
    enum { AWAIT_HELLO, AWAIT_CHALLENGE, AWAIT_PROOF, AWAIT_WELCOME, AWAIT_NOTHING } awaits;
    enum handshake_purpose purpose;
    size_t                 want, have, queued, sent;
    uint64_t               deadline, moved;
    struct handshake       shake;
    struct claim           claim;
    struct errand         *errand;       /* we dialled, for this; NULL: accepted */
    unsigned char          in[HANDSHAKE_MOST], out[HANDSHAKE_MOST];
};

/* Why an attempt failed: one of these, or a status: then for good. */
enum { MISS_REFUSED = 1, MISS_LATER = 2 };

/* One connection that we must make. */
struct errand {
    struct errand         *next;
    enum handshake_purpose purpose;
    int                    peer;
    struct claim           claim;
    struct place           places[JOB_ADDRESSES];
    int                    nplaces, turn;
    int                    refusals;     /* in a row */
    bool                   over;
    bool                   joined;       /* JOIN: rank 0 has our record */
    uint64_t               deadline, retry_at;
    int                    pause_ms;
    struct visit          *visit;        /* the attempt under way */
    char                   why[WHY_BYTES];   /* the last attempt failed */
};

/* The sockets for one endpoint, while they come in. */
struct link_set {
    struct link_set *next;
    bool             dialled, over;
    int              peer;
    uint32_t         number;             /* the dialler's */
    uint64_t         communicator, deadline;
    char             transport[TRANSPORT_NAME];
    int              nsockets, have;
    int              sockets[TRANSPORT_SOCKETS];
};

/* A neighbour in the control tree. */
struct branch {
    struct branch *next;
    int            fd, peer;
    bool           is_parent, over;
    bool           leaving;              /* a child: all below it want to leave */
    bool           parted;               /* it said that it goes: its end is no death */
    bool           shut;                 /* we have said our last word */
    unsigned char *in, *out;
    uint64_t       heard_at, said_at;
    size_t         in_room, in_have, out_room, out_from, out_to;
};

struct command {
    struct command  *next;
    enum { COMMAND_LOOK, COMMAND_DIAL, COMMAND_TELL, COMMAND_FORGET, COMMAND_LEAVE } what;
    struct control   control;            /* TELL: to flood; else its communicator */
    char             transport[TRANSPORT_NAME];
    enum socket_kind kind;
    int              peer, count;
    bool             orderly;
    uint64_t         deadline;
};

struct failure { uint64_t communicator; int status; char *text; };

/* A message that went by, to hold back its repetitions. */
struct seen {
    enum control_type type;
    uint64_t          communicator, call, what, count;
    uint64_t          at;
};

struct job {
    /* Constant once met. */
    struct job_options options;
    uint64_t           id;
    struct place       roots[JOB_ADDRESSES];
    int                nroots;
    struct record     *records;          /* of all ranks */
    struct layout_plan plan;             /* of this host */
    double             visit_timeout, keepalive;
    pthread_t          thread;
    int                wake;             /* eventfd */
    _Atomic int        references;
    _Atomic int        lost;             /* a failure that could not be told: no memory */

    pthread_mutex_t    lock;             /* of the next lines */
    pthread_cond_t     changed;
    bool               decided;
    int                outcome;          /* of the meeting */
    char               outcome_text[CONTROL_TEXT + 1];
    struct command    *commands, **last_command;

    pthread_mutex_t    members_lock;     /* held while a mailbox is called */
    struct job_member *members;

    /* The monitor's. */
    struct door        door;
    uint64_t           door_resumes[2];  /* not before; 0: open */
    uint64_t           complained_at;    /* that accept() fails */
    struct visit      *visits;
    int                nvisits[2];
    struct errand     *errands;
    int                dialling;
    uint32_t           next_set;
    struct link_set   *sets;
    int                nsets;

    bool               meeting;
    uint64_t           deadline;         /* of the meeting */
    uint64_t           born;
    bool              *present;          /* rank 0: who came */
    int                npresent;
    bool               decided_here;     /* rank 0: no need to wait any longer ... */
    uint64_t           decide_at;        /* ... than until then */
    int                verdict;
    char               verdict_text[CONTROL_TEXT + 1];
    int                strangers;        /* handshakes broken off, for a hint */
    int               *order;            /* ranks by their position in the tree */
    int                count, position;  /* ranks in the tree; ours */
    unsigned char     *table;            /* as bytes, for the children */
    size_t             table_bytes;

    struct branch     *branches;
    uint64_t           ticked_at;        /* when we last looked at their silence */
    bool              *dead;
    int                failed;           /* the whole job: 0 or its status */
    char               failed_text[CONTROL_TEXT + 1];
    struct failure     failures[FAILURES_KEPT];
    unsigned           nfailures;
    struct seen        seen[SEEN_KEPT];

    bool               leaving, told_parent, goodbye;
    uint64_t           leave_deadline;
    bool               closing, bye;     /* bye: others may still need us */
    uint64_t           close_deadline;
};

static inline bool job_is_root(const struct job *job)
{
    return job->options.rank == 0;
}

/* "rank 3 (host b, pid 123)", as far as known. */
enum { RANK_NAME = 128 };
const char *job_name_rank(const struct job *job, int rank, char text[RANK_NAME]);

/* Drop the last reference of a job that has no thread. */
void job_free(struct job *job);

/* ---- monitor.c -------------------------------------------------------- */

void *monitor_main(void *job);
/* Begin to stop: say the last words, bounded by `seconds`, then end the thread. */
void monitor_close(struct job *job, bool bye, double seconds);

/* ---- job_visit.c ------------------------------------------------------ */

/* Take in who stands at a door. */
void visit_accept(struct job *job, int door);
/* Try an errand's next place. */
void visit_dial(struct job *job, struct errand *errand);
short visit_events(const struct visit *visit);
void visit_ready(struct job *job, struct visit *visit, short events);
/* Past its time?  Then it ends. */
void visit_tick(struct job *job, struct visit *visit, uint64_t now);
void visit_end(struct job *job, struct visit *visit);

/* ---- job_errand.c ----------------------------------------------------- */

/* NULL: no memory.  SOCKET_NONE: any kind of socket will do. */
struct errand *errand_start(struct job *job, enum handshake_purpose purpose,
                            enum socket_kind kind, int peer, uint64_t deadline);
/* The attempt failed: MISS_... or a status. */
void errand_missed(struct job *job, struct errand *errand, int miss, const char *why);
/* It succeeded; takes over the socket. */
void errand_arrived(struct job *job, struct errand *errand, int fd,
                    const struct answer *answer);
void errand_end(struct job *job, struct errand *errand);
/* Dial what is due; returns when to come again. */
uint64_t errands_tick(struct job *job, uint64_t now);
bool errands_left(const struct job *job, enum handshake_purpose purpose);

/* ---- rendezvous.c ----------------------------------------------------- */

int rendezvous_begin(struct job *job);
/* Rank 0: somebody has come. */
void rendezvous_join(struct job *job, const struct claim *claim, struct answer *answer);
/* Others: rank 0 has noted us. */
void rendezvous_joined(struct job *job, const struct answer *answer);
/* The table has come from our parent. */
void rendezvous_table(struct job *job, struct branch *from, const unsigned char *body,
                      size_t length);
/* The meeting failed, as far as we are concerned. */
void rendezvous_fail(struct job *job, int status, const char *text);
/* Decide, if it is time; returns when to come again. */
uint64_t rendezvous_tick(struct job *job, uint64_t now);

/* ---- job_tree.c, job_branch.c ----------------------------------------- */

/* May this rank become our parent? */
bool tree_parent_wanted(const struct job *job, int peer);
/* Takes over the socket. */
void tree_add(struct job *job, int fd, int peer, bool is_parent);
/* Dial the children. */
void tree_grow(struct job *job);
/* Tell all neighbours but `except`. */
void tree_flood(struct job *job, const struct control *control, const struct branch *except);
/* Handle a message as if it had come from `from` (NULL: from ourselves). */
void tree_handle(struct job *job, const struct control *control, struct branch *from);
/* A rank is gone: `how` ("died") completes the sentence. */
void tree_dead(struct job *job, int rank, const char *how);
/* Is it time to say that we leave? */
void tree_leave(struct job *job);
/* Say that we live, and miss those that do not; returns when to come again. */
uint64_t tree_tick(struct job *job, uint64_t now);

short branch_events(const struct branch *branch);
void branch_ready(struct job *job, struct branch *branch, short events);
/* The connection has ended, or its other side talks nonsense, or not at all. */
void branch_lost(struct job *job, struct branch *branch, const char *how);
/* Queue bytes; `droppable` ones are dropped if the neighbour does not read. */
void branch_say(struct job *job, struct branch *branch, const unsigned char *bytes,
                size_t count, bool droppable);
void branch_tell(struct job *job, struct branch *branch, const struct control *control);
/* While closing: after the last byte, tell the neighbour that it was. */
void branch_shut(struct branch *branch);
struct branch *branch_new(const struct job *job, int fd, int peer, bool is_parent);
void branch_end(struct branch *branch);
void branch_free(struct branch *branch);

/* ---- job_mail.c ------------------------------------------------------- */

/* One authenticated socket of a set; takes it over. */
void mail_socket(struct job *job, bool dialled, int peer, const struct claim *claim, int fd);
/* May one more set come? */
bool mail_room(const struct job *job);
/* The sockets that we wanted cannot be had. */
void mail_refuse(struct job *job, const struct claim *claim, int status, const char *text);
/* A communicator (0: all) failed; true if that is news. */
bool mail_failed(struct job *job, uint64_t communicator, int status, const char *text);
int mail_compare(struct job *job, const struct control *probe, char *text, size_t bytes);
void mail_behind(struct job *job, const struct control *control);
/* A member was attached: give it what is here for it. */
void mail_look(struct job *job);
/* A communicator is gone. */
void mail_forget(struct job *job, uint64_t communicator);
/* Drop what nobody came for, and what is over; returns when to come again. */
uint64_t mail_tick(struct job *job, uint64_t now);
void mail_free(struct job *job);

#endif
