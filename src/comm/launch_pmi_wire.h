/* SPDX-License-Identifier: BSD-3-Clause */
/* The client's side of the PMI-1 wire protocol: one text line asks, one line
 * answers, "cmd=NAME key=value key=value".  Knows the syntax and the clock, not
 * what the values mean.  What the other end says is checked.  One thread. */
#ifndef LAUNCH_PMI_WIRE_H
#define LAUNCH_PMI_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Hydra's longest line is 1024 + 64 bytes and some; others stay below. */
enum { PMI_LINE = 4096 };

struct pmi_wire {
    int      fd;
    uint64_t deadline;
    char     line[PMI_LINE];      /* the latest answer, without its newline */
};

/* Send a request and wait for the answer, which must be of command `answer` and
 * not report rc other than 0.  PEAL_ERR_LAUNCH, PEAL_ERR_TIMEOUT. */
int pmi_wire_ask(struct pmi_wire *wire, const char *answer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A value of the latest answer; false if it has none or it does not fit. */
bool pmi_wire_value(const struct pmi_wire *wire, const char *key, char *value, size_t bytes);

#endif
