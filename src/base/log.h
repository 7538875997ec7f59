/* SPDX-License-Identifier: BSD-3-Clause */
/* Log lines for people: "peal host:pid rank 3 warn: ..." on stderr or into the
 * file of PEAL_LOG_FILE.  Levels: error, warn, info, debug, trace; PEAL_LOG sets
 * the most verbose one printed (default warn).  Safe from any thread.  Errors
 * that are returned to the caller are not logged above debug. */
#ifndef LOG_H
#define LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

extern int log_threshold;      /* < 0: not yet read from PEAL_LOG */

static inline int log_level_now(void)
{
    return __atomic_load_n(&log_threshold, __ATOMIC_RELAXED);
}

void log_line(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The calling thread's rank, shown in its lines; -1: none. */
void log_set_rank(int rank);

#define log_at(level, ...)                                          \
    (log_level_now() < 0 || (int)(level) <= log_level_now()         \
         ? log_line(level, __VA_ARGS__) : (void)0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_trace(...) log_at(LOG_TRACE, __VA_ARGS__)

#endif
