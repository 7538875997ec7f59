/* SPDX-License-Identifier: BSD-3-Clause */
#include "launcher_pmi.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Hydra's limits, which clients are used to. */
enum { NAME_BYTES = 256, KEY_BYTES = 64, VALUE_BYTES = 1024, LINE_BYTES = 4096 };

/* Entries per rank that the table holds at the most. */
enum { ENTRIES_PER_RANK = 64 };

struct entry {
    char key[KEY_BYTES];
    char *value;
};

struct client {
    int    socket;                /* -1: none */
    bool   waits;                 /* in the barrier */
    size_t used;
    char   line[LINE_BYTES];      /* what has come of the next request */
};

struct pmi_server {
    int            nranks, waiting;
    size_t         nentries;
    struct entry  *entries;       /* in the order of their arrival */
    size_t         room;
    char           name[NAME_BYTES];
    struct client  clients[];
};

struct pmi_server *pmi_server_new(int nranks)
{
    struct pmi_server *server = calloc(1, sizeof *server +
                                       (size_t)nranks * sizeof server->clients[0]);

    if (!server)
        return NULL;
    server->nranks = nranks;
    snprintf(server->name, sizeof server->name, "peal_%d", (int)getpid());
    for (int rank = 0; rank < nranks; rank++)
        server->clients[rank].socket = -1;
    return server;
}

static void drop(struct pmi_server *server, int rank)
{
    struct client *client = &server->clients[rank];

    if (client->socket >= 0)
        close(client->socket);
    client->socket = -1;
    server->waiting -= client->waits;
    client->waits = false;
}

void pmi_server_free(struct pmi_server *server)
{
    if (!server)
        return;
    for (int rank = 0; rank < server->nranks; rank++)
        drop(server, rank);
    for (size_t i = 0; i < server->nentries; i++)
        free(server->entries[i].value);
    free(server->entries);
    free(server);
}

void pmi_server_add(struct pmi_server *server, int rank, int socket)
{
    server->clients[rank].socket = socket;
}

int pmi_server_socket(const struct pmi_server *server, int rank)
{
    return server->clients[rank].socket;
}

int pmi_server_waiting(const struct pmi_server *server)
{
    for (int rank = 0; rank < server->nranks; rank++)
        if (server->clients[rank].waits)
            return rank;
    return -1;
}

/* Answers are short and a client waits for each, so the socket has room; one
 * that does not is not a PMI client. */
__attribute__((format(printf, 3, 4)))
static bool say(struct pmi_server *server, int rank, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    int bytes;

    va_start(args, format);
    bytes = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    return bytes > 0 && bytes < (int)sizeof line &&
           send(server->clients[rank].socket, line, (size_t)bytes,
                MSG_NOSIGNAL | MSG_DONTWAIT) == bytes;
}

/* The value of "key=value" among the words; `bytes` limits it.  The last one,
 * "value", may hold blanks and goes to the end of the line. */
static bool field(const char *line, const char *key, char *value, size_t bytes)
{
    size_t length = strlen(key), span;
    const char *word = line;

    while (strncmp(word, key, length) != 0 || word[length] != '=') {
        word += strcspn(word, " ");
        word += strspn(word, " ");
        if (!*word)
            return false;
    }
    word += length + 1;
    span = strcmp(key, "value") == 0 ? strlen(word) : strcspn(word, " ");
    if (span >= bytes)
        return false;
    memcpy(value, word, span);
    value[span] = 0;
    return true;
}

static struct entry *find(struct pmi_server *server, const char *key)
{
    for (size_t i = 0; i < server->nentries; i++)
        if (strcmp(server->entries[i].key, key) == 0)
            return &server->entries[i];
    return NULL;
}

static struct entry *insert(struct pmi_server *server, const char *key)
{
    struct entry *entries = server->entries;

    if (server->nentries == server->room) {
        size_t room = server->room ? 2 * server->room : 64;

        if (server->nentries >= (size_t)server->nranks * ENTRIES_PER_RANK)
            return NULL;
        entries = realloc(entries, room * sizeof *entries);
        if (!entries)
            return NULL;
        server->entries = entries;
        server->room = room;
    }
    entries += server->nentries++;
    snprintf(entries->key, sizeof entries->key, "%s", key);
    entries->value = NULL;
    return entries;
}

static bool put(struct pmi_server *server, int rank, const char *line)
{
    char key[KEY_BYTES], value[VALUE_BYTES], *copy;
    struct entry *entry;

    if (!field(line, "key", key, sizeof key) || !field(line, "value", value, sizeof value))
        return say(server, rank, "cmd=put_result rc=-1 msg=bad_key_or_value\n");
    copy = strdup(value);
    entry = find(server, key);
    if (!entry && copy)
        entry = insert(server, key);
    if (!entry || !copy) {
        free(copy);
        return say(server, rank, "cmd=put_result rc=-1 msg=no_room\n");
    }
    free(entry->value);
    entry->value = copy;
    return say(server, rank, "cmd=put_result rc=0 msg=success\n");
}

static bool get(struct pmi_server *server, int rank, const char *line)
{
    char key[KEY_BYTES];
    const struct entry *entry;

    if (!field(line, "key", key, sizeof key))
        return say(server, rank, "cmd=get_result rc=-1 msg=bad_key value=unknown\n");
    entry = find(server, key);
    if (entry)
        return say(server, rank, "cmd=get_result rc=0 msg=success value=%s\n", entry->value);
    /* MPI programs ask where the ranks are: all on this node. */
    if (strcmp(key, "PMI_process_mapping") == 0)
        return say(server, rank, "cmd=get_result rc=0 msg=success value=(vector,(0,1,%d))\n",
                   server->nranks);
    return say(server, rank, "cmd=get_result rc=-1 msg=key_%s_not_found value=unknown\n", key);
}

static bool enter_barrier(struct pmi_server *server, int rank)
{
    if (!server->clients[rank].waits) {
        server->clients[rank].waits = true;
        server->waiting++;
    }
    if (server->waiting < server->nranks)
        return true;
    server->waiting = 0;
    for (int r = 0; r < server->nranks; r++) {
        server->clients[r].waits = false;
        if (!say(server, r, "cmd=barrier_out\n"))
            drop(server, r);
    }
    return true;
}

static bool answer(struct pmi_server *server, int rank, const char *line)
{
    char command[32];

    if (!field(line, "cmd", command, sizeof command))
        return false;
    if (strcmp(command, "init") == 0)
        return say(server, rank, "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n");
    if (strcmp(command, "get_maxes") == 0)
        return say(server, rank, "cmd=maxes kvsname_max=%d keylen_max=%d vallen_max=%d\n",
                   NAME_BYTES, KEY_BYTES, VALUE_BYTES);
    if (strcmp(command, "get_appnum") == 0)
        return say(server, rank, "cmd=appnum appnum=0\n");
    if (strcmp(command, "get_my_kvsname") == 0)
        return say(server, rank, "cmd=my_kvsname kvsname=%s\n", server->name);
    if (strcmp(command, "get_universe_size") == 0)
        return say(server, rank, "cmd=universe_size size=%d\n", server->nranks);
    if (strcmp(command, "put") == 0)
        return put(server, rank, line);
    if (strcmp(command, "get") == 0)
        return get(server, rank, line);
    if (strcmp(command, "barrier_in") == 0)
        return enter_barrier(server, rank);
    if (strcmp(command, "finalize") == 0)
        return say(server, rank, "cmd=finalize_ack\n");
    return false;
}

bool pmi_server_serve(struct pmi_server *server, int rank)
{
    struct client *client = &server->clients[rank];
    ssize_t got;
    char *end;

    got = recv(client->socket, client->line + client->used, sizeof client->line - client->used - 1,
               MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0) {
        drop(server, rank);       /* its program has closed it: how it ended tells more */
        return true;
    }
    client->used += (size_t)got;
    client->line[client->used] = 0;
    while ((end = memchr(client->line, '\n', client->used))) {
        *end = 0;
        if (!answer(server, rank, client->line)) {
            drop(server, rank);
            return false;
        }
        client->used -= (size_t)(end + 1 - client->line);
        memmove(client->line, end + 1, client->used);
    }
    if (client->used < sizeof client->line - 1)
        return true;
    drop(server, rank);
    return false;
}
