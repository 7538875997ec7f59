/* SPDX-License-Identifier: BSD-3-Clause */
/* Which rank is this process, and how does it find the others?  One row per
 * launch environment, in order of precedence (Makefile.am, `launchers`); the
 * first that recognises its environment is asked.  PEAL_LAUNCHER=name skips the
 * others.  Knows environments and launcher protocols; opens no Peal connection. */
#ifndef LAUNCH_H
#define LAUNCH_H

#include "comm/job.h"

struct launcher {
    const char *name;                 /* "torchrun" */
    const char *looks_for;            /* "RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR" */

    /* Is this environment here?  Pure look at the environment. */
    bool (*present)(void);

    /* Signs of it that are not enough to be sure; when no launcher is present
     * they are an error, because running as a lone rank would be a silent
     * mistake.  May be NULL. */
    bool (*partial)(void);

    /* Variables to show in errors, NULL-ended.  Never secrets. */
    const char *const *variables;

    /* Fill rank, nranks, root, secret.  With a private channel (PMI, PMIx) rank
     * 0 makes root address and secret (job_listen) and hands them out there;
     * elsewhere the secret comes from launch_secret().  Blocks at most until
     * `deadline`.  PEAL_ERR_LAUNCH with what is missing and what to set. */
    int (*describe)(struct job_options *options, uint64_t deadline);
};

extern const struct launcher *const launchers[];      /* NULL-ended */

/* Ask the first present one.  Without any: rank 0 of 1.  `used` names it. */
int launch_describe(struct job_options *options, uint64_t deadline, const char **used);

/* The secret from PEAL_SECRET_FILE (mode 0600, owned by us) or PEAL_SECRET,
 * hashed to JOB_SECRET bytes; PEAL_ERR_LAUNCH saying how to make one. */
int launch_secret(unsigned char secret[JOB_SECRET]);

/* For rank 0: listen on the chosen interface and port range before telling
 * others, and make a fresh id and secret. */
int job_listen(struct job_options *options);

/* As printable text without blanks, for key-value channels, and back. */
enum { LAUNCH_CARD = 448 };
int launch_card_write(const struct job_options *options, char card[LAUNCH_CARD]);
int launch_card_read(const char *card, struct job_options *options);

extern const struct setting launch_settings[];

#endif
