/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/cpu_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
           c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Words of 32 bits, the last one holds core 0; the first may have fewer digits. */
static bool read_mask(const char *mask, uint32_t words[CPU_LIST_WORDS])
{
    int word = 0, shift = 0;

    memset(words, 0, CPU_LIST_WORDS * sizeof *words);
    if (!strncmp(mask, "0x", 2))
        mask += 2;
    for (size_t i = strlen(mask); i-- > 0; shift += 4) {
        int digit = digit_of(mask[i]);

        if (mask[i] == ',') {
            word++;
            shift = -4;
            continue;
        }
        if (shift == 32) {             /* no commas: one long number */
            word++;
            shift = 0;
        }
        if (digit < 0 || (word >= CPU_LIST_WORDS && digit))
            return false;
        if (word < CPU_LIST_WORDS)
            words[word] |= (uint32_t)digit << shift;
    }
    return *mask != 0;
}

int cpu_list_print(const uint32_t words[CPU_LIST_WORDS], char *list, size_t room, bool *cut)
{
    size_t used = 0;
    int n = 0;

    *cut = false;
    list[0] = 0;
    for (int cpu = 0, last; cpu < CPU_LIST_CPUS; cpu = last + 1) {
        char part[32];

        for (last = cpu; cpu_list_has(words, cpu) && cpu_list_has(words, last + 1);)
            last++;
        if (!cpu_list_has(words, cpu))
            continue;
        n += last - cpu + 1;
        snprintf(part, sizeof part, last > cpu ? "%s%d-%d" : "%s%d", used ? "," : "", cpu, last);
        *cut = *cut || used + strlen(part) >= room;
        if (*cut)
            continue;
        strcpy(list + used, part);
        used += strlen(part);
    }
    return n;
}

bool cpu_list_from_mask(const char *mask, char *list, size_t room, bool *cut)
{
    uint32_t words[CPU_LIST_WORDS];

    *cut = false;
    list[0] = 0;
    if (!read_mask(mask, words))
        return false;
    cpu_list_print(words, list, room, cut);
    return true;
}

bool cpu_list_read(const char *list, uint32_t words[CPU_LIST_WORDS])
{
    memset(words, 0, CPU_LIST_WORDS * sizeof *words);
    while (*list) {
        char *end;
        long first = strtol(list, &end, 10), last = first;

        if (end == list || first < 0)
            return false;
        if (*end == '-') {
            list = end + 1;
            last = strtol(list, &end, 10);
        }
        if (end == list || last < first || last >= CPU_LIST_CPUS || (*end && *end != ','))
            return false;
        for (long cpu = first; cpu <= last; cpu++)
            words[cpu / 32] |= UINT32_C(1) << cpu % 32;
        list = *end ? end + 1 : end;
    }
    return true;
}

bool cpu_list_to_mask(const char *list, char *mask, size_t room)
{
    uint32_t words[CPU_LIST_WORDS];
    int most = CPU_LIST_WORDS - 1;
    size_t used = 0;

    if (!cpu_list_read(list, words))
        return false;
    while (most > 0 && !words[most])
        most--;
    for (int i = most; i >= 0; i--) {
        if (used + 10 > room)
            return false;
        used += (size_t)sprintf(mask + used, "%08x%s", (unsigned)words[i], i ? "," : "");
    }
    return true;
}
