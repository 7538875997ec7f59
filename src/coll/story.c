/* SPDX-License-Identifier: BSD-3-Clause */
/* What went wrong, in words: who, in which call, waiting for whom. */
#include "coll/start.h"

#include <stdio.h>
#include <string.h>

static void name_call(const struct run *run, char *text, size_t bytes)
{
    if (run_call(run))
        snprintf(text, bytes, "call %llu of the communicator", (unsigned long long)run_call(run));
    else
        snprintf(text, bytes, "point to point");
}

static void tell_mismatch(struct peal_comm *comm, const struct run *run, char *text,
                          size_t bytes)
{
    const struct run_fault *fault = run_fault(run);
    char ours[256], theirs[256], us[128], them[128], which[64];
    const char *order = "";

    name_call(run, which, sizeof which);
    signature_describe(run_signature(run), ours, sizeof ours);
    signature_describe(fault->theirs, theirs, sizeof theirs);
    if (strcmp(ours, theirs) == 0 && fault->our_bytes == fault->their_bytes)
        order = ", but as a call of another number: one of them has left out a call before";
    comm_peer_name(comm, comm->rank, us, sizeof us);
    comm_peer_name(comm, fault->peer, them, sizeof them);
    snprintf(text, bytes, "ranks made different calls (%s): %s "
             "called %s with messages of %zu bytes, %s called %s with messages of %zu bytes%s; "
             "collectives must be called in the same order with the same arguments on all ranks",
             which, us, ours, fault->our_bytes, them, theirs,
             fault->their_bytes, order);
}

static void tell_timeout(struct peal_comm *comm, const struct run *run, char *text,
                         size_t bytes)
{
    enum { SHOWN = 8 };
    char call[256], behind[700], name[128], which[64];
    int peers[SHOWN], n = run_awaits(run, peers, SHOWN);
    size_t used;

    name_call(run, which, sizeof which);
    signature_describe(run_signature(run), call, sizeof call);
    comm_peer_name(comm, comm->rank, name, sizeof name);
    used = (size_t)snprintf(text, bytes, "%s: %s (%s) did not end within %g s; waiting for",
                            name, call, which, comm->options.timeout);
    for (int i = 0; i < n && used < bytes; i++) {
        comm_peer_name(comm, peers[i], name, sizeof name);
        used += (size_t)snprintf(text + used, bytes - used, "%s %s", i ? "," : "", name);
    }
    comm_behind_text(comm, run_call(run), behind, sizeof behind);
    if (used < bytes)
        snprintf(text + used, bytes - used, "%s; see what those ranks do, or raise PEAL_TIMEOUT",
                 behind);
}

/* The engine said that `run` cannot end well. */
int coll_broke(struct peal_comm *comm, const struct run *run, int status)
{
    const struct run *broken = comm->engine.broken, *cause = broken ? broken : run;
    const char *found = broken && run_fault(broken)->told ? comm->engine.why : "";
    const char *why = broken ? found : status_text();
    char text[COMM_TEXT];

    if (status == PEAL_ERR_TIMEOUT && run) {
        tell_timeout(comm, run, text, sizeof text);
        return comm_break(comm, status, text);
    }
    if (cause && !run_active(cause) && run_status(cause) == PEAL_ERR_MISMATCH) {
        tell_mismatch(comm, cause, text, sizeof text);
        return comm_break(comm, PEAL_ERR_MISMATCH, text);
    }
    if (status == PEAL_ERR_PEER) {
        char name[128] = "a peer";

        if (cause && run_fault(cause)->peer >= 0)
            comm_peer_name(comm, run_fault(cause)->peer, name, sizeof name);
        snprintf(text, sizeof text, "the connection to %s was lost%s%.1400s", name,
                 *found ? ": " : "", found);
        return comm_break_when_told(comm, status, text);
    }
    return comm_break(comm, status, *why ? why : peal_strerror(status));
}
