/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers and bytes in network order, into and out of buffers of known size.
 * Overrun is sticky: `bad` is set, writes are dropped, reads give zeros; check
 * it once at the end.  Knows no message.  No state, any thread. */
#ifndef JOB_WIRE_H
#define JOB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wire_writer { unsigned char *at; size_t left; bool bad; };
struct wire_reader { const unsigned char *at; size_t left; bool bad; };

static inline void wire_put(struct wire_writer *w, const void *bytes, size_t count)
{
    if (w->bad || count > w->left) {
        w->bad = true;
        return;
    }
    if (count)
        memcpy(w->at, bytes, count);
    w->at += count;
    w->left -= count;
}

static inline void wire_put_number(struct wire_writer *w, uint64_t value, int bytes)
{
    unsigned char text[8];

    for (int i = 0; i < bytes; i++)
        text[i] = (unsigned char)(value >> (8 * (bytes - 1 - i)));
    wire_put(w, text, (size_t)bytes);
}

static inline void wire_put16(struct wire_writer *w, uint16_t v) { wire_put_number(w, v, 2); }
static inline void wire_put32(struct wire_writer *w, uint32_t v) { wire_put_number(w, v, 4); }
static inline void wire_put64(struct wire_writer *w, uint64_t v) { wire_put_number(w, v, 8); }

static inline void wire_get(struct wire_reader *r, void *bytes, size_t count)
{
    if (r->bad || count > r->left) {
        r->bad = true;
        memset(bytes, 0, count);
        return;
    }
    if (count)
        memcpy(bytes, r->at, count);
    r->at += count;
    r->left -= count;
}

static inline uint64_t wire_get_number(struct wire_reader *r, int bytes)
{
    unsigned char text[8];
    uint64_t value = 0;

    wire_get(r, text, (size_t)bytes);
    for (int i = 0; i < bytes; i++)
        value = value << 8 | text[i];
    return value;
}

static inline uint16_t wire_get16(struct wire_reader *r)
{
    return (uint16_t)wire_get_number(r, 2);
}

static inline uint32_t wire_get32(struct wire_reader *r)
{
    return (uint32_t)wire_get_number(r, 4);
}

static inline uint64_t wire_get64(struct wire_reader *r)
{
    return wire_get_number(r, 8);
}

/* Text from a peer goes to terminals and logs: no control characters. */
static inline void wire_clean_text(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127)
            *text = ' ';
}

#endif
