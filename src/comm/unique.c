/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/unique.h"

#include "comm/handshake.h"
#include "comm/handshake_mac.h"
#include "comm/launch.h"
#include "comm/where.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The bytes of an id. */
struct form {
    char          magic[8];
    uint64_t      id;
    uint64_t      process;             /* without Nettle no other can use it */
    unsigned char secret[JOB_SECRET];
    char          root[200];
};
_Static_assert(sizeof(struct form) <= sizeof(peal_unique_id_t), "an id holds a form");

static const char magic[8] = { 'P', 'E', 'A', 'L', 'i', 'd', '0', '2' };

/* Listeners that wait for their rank 0. */
struct waiting {
    uint64_t        id;
    int             listener;
    struct waiting *next;
};
static struct waiting *waiting;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int unique_make(peal_unique_id_t *id)
{
    struct job_options options = { .rank = 0, .nranks = 2, .root_listener = -1 };
    struct form form = { .id = 0 };
    struct where here;
    struct waiting *w = malloc(sizeof *w);
    int status;

    if (!w)
        return status_fail(PEAL_ERR_MEMORY, "no memory for a unique id");
    if ((status = where_find(&here)) || (status = job_listen(&options))) {
        free(w);
        return status;
    }
    if (strlen(options.root) >= sizeof form.root) {
        close(options.root_listener);
        free(w);
        return status_fail(PEAL_ERR_UNSUPPORTED, "the root address %s is too long for a unique "
                           "id", options.root);
    }
    memcpy(form.magic, magic, sizeof magic);
    form.id = options.id;
    form.process = here.process;
    memcpy(form.secret, options.secret, sizeof form.secret);
    strcpy(form.root, options.root);
    *w = (struct waiting){ options.id, options.root_listener, NULL };
    pthread_mutex_lock(&lock);
    w->next = waiting;
    waiting = w;
    pthread_mutex_unlock(&lock);
    memset(id, 0, sizeof *id);
    memcpy(id, &form, sizeof form);
    return PEAL_OK;
}

static int take_listener(uint64_t id)
{
    int listener = -1;

    pthread_mutex_lock(&lock);
    for (struct waiting **link = &waiting; *link; link = &(*link)->next)
        if ((*link)->id == id) {
            struct waiting *found = *link;

            listener = found->listener;
            *link = found->next;
            free(found);
            break;
        }
    pthread_mutex_unlock(&lock);
    return listener;
}

int unique_use(const peal_unique_id_t *id, int rank, int nranks, struct job_options *options)
{
    struct job_options o = { .rank = rank, .nranks = nranks, .root_listener = -1,
                             .threads_only = !mac_is_strong() };
    struct where here;
    struct form form;
    int status;

    memcpy(&form, id, sizeof form);
    if (memcmp(form.magic, magic, sizeof magic) != 0 || !memchr(form.root, 0, sizeof form.root))
        return status_fail(PEAL_ERR_ARGUMENT, "the unique id was not made by "
                           "peal_get_unique_id of this version, or was not copied whole");
    if ((status = where_find(&here)) ||
        (status = handshake_usable(form.process == here.process)))
        return status;
    o.id = form.id;
    memcpy(o.secret, form.secret, sizeof o.secret);
    strcpy(o.root, form.root);
    if (rank == 0) {
        o.root_listener = take_listener(form.id);
        if (o.root_listener < 0)
            return status_fail(PEAL_ERR_ARGUMENT, "rank 0 must be in the process that called "
                               "peal_get_unique_id, and an id makes one communicator");
        if (nranks == 1) {
            close(o.root_listener);
            o.root_listener = -1;
        }
    }
    *options = o;
    return PEAL_OK;
}
