/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/launch.h"

#include "base/log.h"
#include "base/settings.h"
#include "comm/launch_environment.h"

#include <stdio.h>
#include <string.h>

/* The rows in order of precedence, generated from the list in Makefile.am. */
#define ENTRY(name) &launch_##name,
const struct launcher *const launchers[] = {
#include "launchers.list"
    NULL
};
#undef ENTRY

const struct setting launch_settings[] = {
    [LAUNCH_LAUNCHER] = { "PEAL_LAUNCHER", "auto",
        "how this process learns its rank: auto, none (a lone rank), or a launcher's name", NULL },
    [LAUNCH_RANK] = { "PEAL_RANK", NULL,
        "this process's rank, with PEAL_SIZE and PEAL_ROOT; goes before any launcher", NULL },
    [LAUNCH_SIZE] = { "PEAL_SIZE", NULL, "number of ranks of the job", NULL },
    [LAUNCH_ROOT] = { "PEAL_ROOT", NULL,
        "where rank 0 listens, host:port or [v6]:port, the same on all ranks", NULL },
    [LAUNCH_ROOT_PORT] = { "PEAL_ROOT_PORT", NULL,
        "port of rank 0 where the launcher tells its host only; default: 61440 + a hash of "
        "the job's name modulo 4096", NULL },
    [LAUNCH_SECRET] = { "PEAL_SECRET", NULL,
        "the job's password, at least 16 characters, the same on all ranks; not needed "
        "under PMI and PMIx", NULL },
    [LAUNCH_SECRET_FILE] = { "PEAL_SECRET_FILE", NULL,
        "a file with the job's password, mode 0600, yours or root's; goes before PEAL_SECRET",
        NULL },
    { NULL, NULL, NULL, NULL }
};

/* Names of launchers for people; with `here`, only of those present but `not`. */
static void names(const struct launcher *not, bool here, char *text, size_t bytes)
{
    size_t used = 0;

    *text = 0;
    for (const struct launcher *const *l = launchers; *l; l++)
        if (*l != not && (!here || (*l)->present()) && used < bytes)
            used += (size_t)snprintf(text + used, bytes - used, "%s%s", used ? ", " : "",
                                     (*l)->name);
}

static int unknown_name(const char *wanted)
{
    char known[256];

    names(NULL, false, known, sizeof known);
    return status_fail(PEAL_ERR_LAUNCH, "PEAL_LAUNCHER=%s is no launcher that Peal knows; it can "
                       "be auto, none, %s", wanted, known);
}

/* No launcher is here: is it certain that nobody else is, either? */
static int check_alone(void)
{
    const char *root = setting_text(&launch_settings[LAUNCH_ROOT], NULL);

    for (const struct launcher *const *l = launchers; *l; l++)
        if ((*l)->partial && (*l)->partial())
            return launch_unclear(*l, "the environment has only a part of what the launcher sets",
                                  "Set the rest, or PEAL_RANK, PEAL_SIZE and PEAL_ROOT, or "
                                  "PEAL_LAUNCHER=none to run as a lone rank.");
    if (root)
        return status_fail(PEAL_ERR_LAUNCH, "PEAL_ROOT=%s is set, but nothing tells which rank "
                           "this process is: set PEAL_RANK and PEAL_SIZE, too, or use a launcher "
                           "(peal-run, mpirun, srun, torchrun)", root);
    return PEAL_OK;
}

static int choose(const char *wanted, const struct launcher **chosen)
{
    const struct launcher *const *l = launchers;
    bool any = strcmp(wanted, "auto") == 0;

    *chosen = NULL;
    if (strcmp(wanted, "none") == 0)
        return PEAL_OK;
    while (*l && (any ? !(*l)->present() : strcmp((*l)->name, wanted) != 0))
        l++;
    if (!*l)
        return any ? check_alone() : unknown_name(wanted);
    if (!(*l)->present())
        return launch_unclear(*l, "PEAL_LAUNCHER asks for a launcher that is not here",
                              "Unset PEAL_LAUNCHER to let Peal look for others.");
    *chosen = *l;
    return PEAL_OK;
}

/* Another launcher may serve where the chosen one lacks something. */
static void mention_others(const struct launcher *chosen)
{
    char others[256], text[1536];

    names(chosen, true, others, sizeof others);
    if (!*others)
        return;
    snprintf(text, sizeof text, "%s", status_text());
    status_fail(PEAL_ERR_LAUNCH, "%s\nAlso present: %s (PEAL_LAUNCHER=name chooses).", text,
                others);
}

int launch_describe(struct job_options *options, uint64_t deadline, const char **used)
{
    const char *wanted = setting_text(&launch_settings[LAUNCH_LAUNCHER], NULL);
    const struct launcher *launcher;
    struct job_options made = *options;
    int status = choose(wanted, &launcher);

    if (status != PEAL_OK)
        return status;
    made.rank = 0;
    made.nranks = 1;
    made.root[0] = 0;
    made.root_listener = -1;
    made.id = 0;
    made.threads_only = false;
    if (launcher) {
        status = launcher->describe(&made, deadline);
        if (status == PEAL_ERR_LAUNCH)
            mention_others(launcher);
        if (status != PEAL_OK)
            return status;
    }
    log_debug("launcher %s: rank %d of %d, root %s", launcher ? launcher->name : "none",
              made.rank, made.nranks, made.root[0] ? made.root : "(none)");
    *options = made;
    *used = launcher ? launcher->name : "none";
    return PEAL_OK;
}
