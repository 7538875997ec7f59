/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of transports, generated from Makefile.am. */
#include "transports/transport.h"

#include <string.h>
#include <sys/epoll.h>

#define ENTRY(name) extern const struct transport name##_transport;
#include "transports.list"
#undef ENTRY

#define ENTRY(name) &name##_transport,
const struct transport *const transports[] = {
#include "transports.list"
    NULL
};
#undef ENTRY

const struct transport *transport_find(const char *name)
{
    for (const struct transport *const *t = transports; *t; t++)
        if (strcmp((*t)->name, name) == 0)
            return *t;
    return NULL;
}

uint64_t where_fabric(const struct where *where, const char *transport)
{
    for (int i = 0; i < TRANSPORT_FABRICS; i++)
        if (strcmp(where->fabrics[i].transport, transport) == 0)
            return where->fabrics[i].word;
    return 0;
}

void where_publish(struct where *where, const char *list)
{
    char kept[STATUS_TEXT];
    int n = 0;

    status_keep(kept);                 /* what cannot be used is no failure here */
    memset(where->fabrics, 0, sizeof where->fabrics);
    for (const struct transport *const *t = transports; *t; t++) {
        bool named = setting_lists(list, (*t)->name, NULL);
        uint64_t word = 0;

        if ((*t)->fabric && n < TRANSPORT_FABRICS && (named || !*list))
            word = (*t)->fabric(named);
        if (word == 0)
            continue;
        strncpy(where->fabrics[n].transport, (*t)->name, TRANSPORT_NAME - 1);
        where->fabrics[n++].word = word;
    }
    status_restore(kept);
}

int transport_epoll(int *epoll)
{
    *epoll = epoll_create1(EPOLL_CLOEXEC);
    if (*epoll >= 0)
        return PEAL_OK;
    return status_fail(PEAL_ERR_SYSTEM, "epoll_create1: %m; is the limit of open files "
                       "(ulimit -n) reached?");
}

int transport_put_never(struct endpoint *to, const struct message *message,
                        const void *bytes, size_t length, struct completion *done)
{
    (void)to, (void)message, (void)bytes, (void)length, (void)done;
    return STATUS_AGAIN;
}

int transport_peek_never(struct endpoint *from, const struct message *message, size_t length,
                         const void **view)
{
    (void)from, (void)message, (void)length, (void)view;
    return STATUS_POST;
}

int transport_take_never(struct endpoint *from, const struct message *message, size_t length)
{
    (void)from, (void)message, (void)length;
    return PEAL_ERR_UNSUPPORTED;
}
