/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings from the environment.  Each module declares its own in a table next
 * to their use; the tables are listed in Makefile.am (settings_tables), so that
 * peal-info can print them all and misspelt PEAL_* variables can be reported
 * with the nearest name.  No other part of Peal reads PEAL_* variables.
 * Values are looked up when asked for; nothing is cached here. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

struct setting {
    const char *name;        /* "PEAL_TCP_SOCKETS" */
    const char *fallback;    /* the default as text; NULL: unset */
    const char *help;        /* one line, with the unit and the values */
    const char *alias;       /* another variable that is accepted; may be NULL */
};

/* Every table, each ended by a setting without a name; NULL-ended. */
extern const struct setting *const settings_tables[];

/* The text of a setting: its variable, its alias, else its default (may be
 * NULL).  The origin, if asked for: "environment", "alias NAME" or "default". */
const char *setting_text(const struct setting *setting, const char **origin);

/* As numbers.  Text that is not a number in [low, high] is warned about, with
 * the setting's name, and the default is used. */
double setting_number(const struct setting *setting, double low, double high);
/* Bytes or plain counts: suffixes K, M, G are powers of 1024.  0: not set, and
 * without a default. */
size_t setting_size(const struct setting *setting, size_t low, size_t high);
bool   setting_flag(const struct setting *setting);    /* 0/1 no/yes off/on */

/* Is `word` among the comma-separated words of `list`?  `at`, if not NULL, is
 * set to its position. */
bool setting_lists(const char *list, const char *word, int *at);

/* Parse "64K" and the like; false if it is not a size. */
bool setting_parse_size(const char *text, size_t *value);

/* Warn, once per process, about PEAL_* variables that no table has. */
void settings_warn_unknown(void);

#endif
