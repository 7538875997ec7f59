/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include "base/settings.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct setting log_settings[] = {
    { "PEAL_LOG", "warn", "most verbose log lines printed: error, warn, info, debug, trace",
      NULL },
    { "PEAL_LOG_FILE", NULL, "log file instead of stderr; %h host name, %p process id", NULL },
    { NULL, NULL, NULL, NULL }
};

static const char *const level_names[] = { "error", "warn", "info", "debug", "trace" };

int log_threshold = -1;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static FILE *file;
static char host[65];
static _Thread_local int thread_rank = -1;

static void open_file(const char *pattern)
{
    char path[1024];
    size_t used = 0;

    for (const char *p = pattern; *p && used + 80 < sizeof path; p++) {
        if (p[0] == '%' && p[1] == 'h')
            used += (size_t)snprintf(path + used, sizeof path - used, "%s", host);
        else if (p[0] == '%' && p[1] == 'p')
            used += (size_t)snprintf(path + used, sizeof path - used, "%d", (int)getpid());
        else {
            path[used++] = *p;
            continue;
        }
        p++;
    }
    path[used] = '\0';
    file = fopen(path, "ae");
    if (!file)
        fprintf(stderr, "peal: cannot open PEAL_LOG_FILE %s: %s\n", path, strerror(errno));
}

static void set_up(void)
{
    const char *wanted = setting_text(&log_settings[0], NULL);
    const char *path = setting_text(&log_settings[1], NULL);
    int threshold = -1;

    gethostname(host, sizeof host - 1);
    for (int i = 0; i <= LOG_TRACE; i++)
        if (strcmp(wanted, level_names[i]) == 0)
            threshold = i;
    if (threshold < 0) {
        fprintf(stderr, "peal: setting PEAL_LOG=\"%s\" is not one of error, warn, info, debug, "
                "trace; using warn\n", wanted);
        threshold = LOG_WARN;
    }
    if (path)
        open_file(path);
    if (!file)
        file = stderr;
    __atomic_store_n(&log_threshold, threshold, __ATOMIC_RELAXED);
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[4096];
    int error = errno, used = 0;
    va_list args;

    pthread_once(&once, set_up);
    if ((int)level > __atomic_load_n(&log_threshold, __ATOMIC_RELAXED)) {
        errno = error;
        return;
    }
    used = snprintf(line, sizeof line, "peal %s:%d ", host, (int)getpid());
    if (thread_rank >= 0)
        used += snprintf(line + used, sizeof line - (size_t)used, "rank %d ", thread_rank);
    used += snprintf(line + used, sizeof line - (size_t)used, "%s: ", level_names[level]);
    va_start(args, format);
    errno = error;
    vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    va_end(args);
    fprintf(file, "%s\n", line);
    fflush(file);
    errno = error;
}

void log_set_rank(int rank)
{
    thread_rank = rank;
}
