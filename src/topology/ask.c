/* SPDX-License-Identifier: BSD-3-Clause */
/* Questions to a finished topology, and PCI addresses as text. */
#include "topology/topology.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Place in t->order of the first node of this kind whose host is not before this one. */
static int first_of(const struct topology *t, enum topology_kind kind, int host)
{
    int low = t->kind_first[kind], high = t->kind_first[kind + 1];

    while (low < high) {
        int middle = low + (high - low) / 2;

        if (t->nodes[t->order[middle]].host < host)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* One behind the last of the nodes that a question is about. */
static int end_of(const struct topology *t, enum topology_kind kind, int host)
{
    return host < 0 ? t->kind_first[kind + 1] : first_of(t, kind, host + 1);
}

int topology_count(const struct topology *t, enum topology_kind kind, int host)
{
    return end_of(t, kind, host) - first_of(t, kind, host < 0 ? -1 : host);
}

int topology_nth(const struct topology *t, enum topology_kind kind, int host, int i)
{
    int at = first_of(t, kind, host < 0 ? -1 : host);

    return i >= 0 && i < end_of(t, kind, host) - at ? t->order[at + i] : -1;
}

int topology_find_bus(const struct topology *t, int host, uint64_t bus)
{
    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].host == host && t->nodes[i].bus == bus)
            return i;
    return -1;
}

int topology_find_name(const struct topology *t, int host, enum topology_kind kind,
                       const char *name)
{
    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].host == host && t->nodes[i].kind == kind &&
            !strcmp(t->nodes[i].name, name))
            return i;
    return -1;
}

int topology_link_between(const struct topology *t, int a, int b, enum topology_medium medium)
{
    for (int i = t->first[a]; i < t->first[a + 1]; i++) {
        const struct topology_link *link = &t->links[t->incident[i]];

        if (link->medium == medium && link->a + link->b - a == b)
            return t->incident[i];
    }
    return -1;
}

int topology_numa(const struct topology *t, int node)
{
    while (node >= 0 && t->nodes[node].kind != TOPOLOGY_NUMA)
        node = t->nodes[node].parent;
    return node;
}

/* Digits of base 16, at most `most` of them; moves *at behind them. */
static bool hexadecimal(const char **at, int most, uint64_t *value)
{
    int n = 0;

    for (*value = 0; n < most; n++, ++*at) {
        char c = **at;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
                    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;

        if (digit < 0)
            break;
        *value = *value << 4 | (uint64_t)digit;
    }
    return n > 0;
}

bool topology_bus_parse(const char *text, uint64_t *bus)
{
    uint64_t domain = 0, number, device, function = 0;

    if (!hexadecimal(&text, 8, &number) || *text++ != ':' || !hexadecimal(&text, 4, &device))
        return false;
    if (*text == ':') {
        domain = number;
        number = device;
        text++;
        if (!hexadecimal(&text, 2, &device))
            return false;
    }
    if (*text == '.') {
        text++;
        if (!hexadecimal(&text, 1, &function))
            return false;
    }
    if (*text || number > 0xff || device > 0xff)
        return false;
    *bus = domain << 32 | number << 16 | device << 8 | function;
    return true;
}

void topology_bus_print(uint64_t bus, char text[20])
{
    if (bus == TOPOLOGY_NO_BUS)
        snprintf(text, 20, "-");
    else
        snprintf(text, 20, "%04" PRIx64 ":%02x:%02x.%x", bus >> 32, (unsigned)(bus >> 16 & 0xff),
                 (unsigned)(bus >> 8 & 0xff), (unsigned)(bus & 0xf));
}
