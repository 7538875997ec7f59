/* SPDX-License-Identifier: BSD-3-Clause */
/* What the rows of the launcher list share: reading variables of launch
 * environments, explaining what is missing, and agreeing on the root's address
 * where the launcher has no channel of its own.  Knows no particular launcher.
 * Pure functions of the environment, except launch_offer(); any thread. */
#ifndef LAUNCH_ENVIRONMENT_H
#define LAUNCH_ENVIRONMENT_H

#include "comm/launch.h"

/* Positions in launch_settings. */
enum {
    LAUNCH_LAUNCHER, LAUNCH_RANK, LAUNCH_SIZE, LAUNCH_ROOT, LAUNCH_ROOT_PORT,
    LAUNCH_SECRET, LAUNCH_SECRET_FILE
};

/* Most ranks a job may have; far below where int arithmetic could overflow. */
enum { LAUNCH_RANKS = 1 << 24 };

/* A variable that is not ours (no PEAL_*); empty counts as not set. */
const char *launch_variable(const char *name);

/* Decimal text in [low, high], nothing around it. */
bool launch_number(const char *text, long low, long high, int *value);

/* "RANK=3 WORLD_SIZE=8", or "nothing": those of a launcher's variables that are
 * set.  Returns `text`. */
const char *launch_found(const struct launcher *launcher, char *text, size_t bytes);

/* PEAL_ERR_LAUNCH: `problem`, then what was looked for and found, then `advice`. */
int launch_unclear(const struct launcher *launcher, const char *problem, const char *advice);

/* Set rank and nranks from two texts (NULL: not set), named for the error. */
int launch_place(const struct launcher *launcher, const char *rank_name, const char *rank,
                 const char *size_name, const char *size, struct job_options *options);

/* Mix text into a job's number; start from 0, NULL counts as empty. */
uint64_t launch_mix(uint64_t seed, const char *text);

/* A port that all ranks derive alike, above Linux' default range of
 * short-lived ports and never `taken`. */
int launch_port(uint64_t seed, int taken);

/* Root address and secret for environments without a channel: PEAL_ROOT, else
 * `host` (may be NULL: unknown, `advice` tells why) with PEAL_ROOT_PORT, else
 * `port`.  A lone rank needs neither. */
int launch_meet(const struct launcher *launcher, const char *host, int port,
                const char *advice, struct job_options *options);

/* "host:port" or "[v6]:port" with a port of 1 to 65535? */
bool launch_root_valid(const char *root);

/* For channels: rank 0 listens and writes its card, or on failure a text for
 * the others, which launch_accept() turns into their error. */
int launch_offer(struct job_options *options, char card[LAUNCH_CARD]);
int launch_accept(const char *card, struct job_options *options);

/* The first host of a Slurm list such as "node[01-03,07],gpu5". */
bool launch_first_host(const char *list, char *host, size_t bytes);

/* The rows themselves, so that each can name itself in errors. */
#define ENTRY(name) extern const struct launcher launch_##name;
#include "launchers.list"
#undef ENTRY

#endif
