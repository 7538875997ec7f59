/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/settings.h"

#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The tables, generated from the list in Makefile.am. */
#define ENTRY(name) extern const struct setting name[];
#include "settings.list"
#undef ENTRY

#define ENTRY(name) name,
const struct setting *const settings_tables[] = {
#include "settings.list"
    NULL
};
#undef ENTRY

extern char **environ;

/* An empty variable counts as not set. */
static const char *variable(const char *name)
{
    const char *value = name ? secure_getenv(name) : NULL;

    return value && *value ? value : NULL;
}

const char *setting_text(const struct setting *setting, const char **origin)
{
    const char *value, *from = "environment";

    value = variable(setting->name);
    if (!value) {
        value = variable(setting->alias);
        from = setting->alias;
    }
    if (!value) {
        value = setting->fallback;
        from = "default";
    }
    if (origin)
        *origin = from;
    return value;
}

bool setting_parse_size(const char *text, size_t *value)
{
    static const char suffixes[] = "KMGT";
    unsigned long long number;
    unsigned shift = 0;
    char *end;

    if (!text || *text < '0' || *text > '9')
        return false;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno)
        return false;
    if (*end) {
        const char *suffix = strchr(suffixes, *end & ~0x20);

        if (!suffix || !*suffix)
            return false;
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        end++;
        if (*end == 'i')
            end++;
        if (*end == 'B' || *end == 'b')
            end++;
        if (*end)
            return false;
    }
    if (number > (SIZE_MAX >> shift))
        return false;
    *value = (size_t)number << shift;
    return true;
}

static void warn_bad(const struct setting *s, const char *value, const char *wanted)
{
    log_warn("setting %s=\"%s\" is not %s; using the default%s%s", s->name, value, wanted,
             s->fallback ? " " : "", s->fallback ? s->fallback : "");
}

double setting_number(const struct setting *setting, double low, double high)
{
    const char *text = setting_text(setting, NULL);
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || !(value >= low && value <= high)) {
        char wanted[80];

        snprintf(wanted, sizeof wanted, "a number from %g to %g", low, high);
        warn_bad(setting, text, wanted);
        value = strtod(setting->fallback, NULL);
    }
    return value;
}

size_t setting_size(const struct setting *setting, size_t low, size_t high)
{
    const char *text = setting_text(setting, NULL);
    size_t value;

    if (!setting_parse_size(text, &value) || value < low || value > high) {
        char wanted[80];

        snprintf(wanted, sizeof wanted, "a size from %zu to %zu", low, high);
        if (text)
            warn_bad(setting, text, wanted);
        if (!setting_parse_size(setting->fallback, &value))
            value = 0;
    }
    return value;
}

bool setting_flag(const struct setting *setting)
{
    static const char *const yes[] = { "1", "yes", "on", "true" };
    static const char *const no[] = { "0", "no", "off", "false" };
    const char *text = setting_text(setting, NULL);

    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (strcasecmp(text, yes[i]) == 0)
            return true;
        if (strcasecmp(text, no[i]) == 0)
            return false;
    }
    warn_bad(setting, text, "one of 1, yes, on, 0, no, off");
    return strcmp(setting->fallback, "1") == 0;
}

bool setting_lists(const char *list, const char *word, int *at)
{
    size_t length = strlen(word);

    for (int i = 0; list && *list; i++) {
        size_t item = strcspn(list, ",");

        if (item == length && strncmp(list, word, length) == 0) {
            if (at)
                *at = i;
            return true;
        }
        list += item + (list[item] == ',');
    }
    return false;
}

/* Edit distance of two short words, at most `most`. */
static int distance(const char *a, const char *b, int most)
{
    enum { LONGEST = 63 };
    int row[LONGEST + 1], n = (int)strlen(b), m = (int)strlen(a);

    if (n > LONGEST || abs(n - m) > most)
        return most + 1;
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; i <= m; i++) {
        int corner = row[0];

        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int best = corner + (a[i - 1] != b[j - 1]);

            corner = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

static void warn_if_unknown(const char *name)
{
    enum { NEAR = 6 };
    const char *nearest = NULL;
    int best = NEAR + 1;

    for (const struct setting *const *table = settings_tables; *table; table++)
        for (const struct setting *s = *table; s->name; s++) {
            int d = distance(name, s->name, NEAR);

            if (d == 0)
                return;
            if (d < best) {
                best = d;
                nearest = s->name;
            }
        }
    if (nearest)
        log_warn("unknown setting %s in the environment; did you mean %s?", name, nearest);
    else
        log_warn("unknown setting %s in the environment; peal-info --settings lists all", name);
}

static void warn_all(void)
{
    for (char **e = environ; e && *e; e++) {
        size_t length = strcspn(*e, "=");
        char name[128];

        if (strncmp(*e, "PEAL_", 5) != 0 || length >= sizeof name)
            continue;
        memcpy(name, *e, length);
        name[length] = '\0';
        warn_if_unknown(name);
    }
}

void settings_warn_unknown(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, warn_all);
}
