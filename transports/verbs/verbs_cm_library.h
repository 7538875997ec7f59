/* SPDX-License-Identifier: BSD-3-Clause */
/* librdmacm, which is loaded when a device of iWARP is found, as libibverbs is when there
 * is any device (verbs_library.h).
 *
 * Threading: any thread may load; the table does not change after that. */
#ifndef VERBS_CM_LIBRARY_H
#define VERBS_CM_LIBRARY_H

#include <rdma/rdma_cma.h>

/* Names without "rdma_". */
#define CM_FUNCTIONS(X)                                                                 \
    X(create_event_channel) X(destroy_event_channel) X(create_id) X(destroy_id)         \
    X(bind_addr) X(listen) X(get_src_port) X(resolve_addr) X(resolve_route) X(connect)  \
    X(accept) X(reject) X(get_cm_event) X(ack_cm_event) X(event_str)

#define CM_MEMBER(name) __typeof__(&rdma_##name) name;
extern struct verbs_cm_library {
    CM_FUNCTIONS(CM_MEMBER)
} verbs_cm_library;
#undef CM_MEMBER

/* NULL: it is loaded; else why not. */
const char *verbs_cm_library_load(void);

#endif
