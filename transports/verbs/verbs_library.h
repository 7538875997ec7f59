/* SPDX-License-Identifier: BSD-3-Clause */
/* libibverbs, which is loaded when somebody first asks for devices and there may be
 * some: a host without rdma-core can run Peal, and who does not use verbs does not
 * pay for the library and those that it needs.  Its inline functions are called as
 * such; the others by this table, under their own names (verbs_calls.h).
 *
 * Kept for the life of the process: providers have threads and fork handlers.
 *
 * Threading: any thread may load; the table does not change after that. */
#ifndef VERBS_LIBRARY_H
#define VERBS_LIBRARY_H

#include <infiniband/verbs.h>

#include <stdbool.h>

/* Names without "ibv_". */
#define VERBS_FUNCTIONS(X)                                                              \
    X(fork_init) X(get_device_list) X(free_device_list) X(get_device_name)              \
    X(open_device) X(close_device) X(query_device) X(query_port)                        \
    X(get_async_event) X(ack_async_event) X(event_type_str) X(port_state_str)           \
    X(wc_status_str) X(alloc_pd) X(dealloc_pd) X(reg_mr_iova2) X(dereg_mr)              \
    X(create_comp_channel) X(destroy_comp_channel) X(create_cq) X(resize_cq)            \
    X(destroy_cq) X(get_cq_event) X(ack_cq_events) X(create_qp) X(modify_qp)            \
    X(destroy_qp)

#define VERBS_MEMBER(name) __typeof__(&ibv_##name) name;
extern struct verbs_library {
    VERBS_FUNCTIONS(VERBS_MEMBER)
    __typeof__(&_ibv_query_gid_table) query_gid_table;
    /* From rdma-core 34 on, else NULL; headers may be older. */
    struct ibv_mr *(*reg_dmabuf_mr)(struct ibv_pd *pd, uint64_t offset, size_t length,
                                    uint64_t iova, int fd, int access);
} verbs_library;
#undef VERBS_MEMBER

/* Is there a device, and the library?  NULL: yes; else why not.  As long as there
 * is no device, it is looked for each time. */
const char *verbs_library_load(void);

#endif
