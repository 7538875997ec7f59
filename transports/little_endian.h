/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers of 1 to 8 bytes on a wire.  Single stores and loads, not byte by byte. */
#ifndef LITTLE_ENDIAN_H
#define LITTLE_ENDIAN_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void little_put(unsigned char *to, uint64_t value, size_t bytes)
{
    value = htole64(value);
    memcpy(to, &value, bytes);
}

static inline uint64_t little_get(const unsigned char *from, size_t bytes)
{
    uint64_t value = 0;

    memcpy(&value, from, bytes);
    return le64toh(value);
}

#endif
