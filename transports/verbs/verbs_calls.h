/* SPDX-License-Identifier: BSD-3-Clause */
/* The functions of libibverbs that are not inline, by the table: for whoever calls them, not
 * for who fills it. */
#ifndef VERBS_CALLS_H
#define VERBS_CALLS_H

#include "transports/verbs/verbs_library.h"

#include <string.h>

#undef ibv_get_device_list
#undef ibv_query_port
#undef ibv_reg_mr
#define ibv_fork_init            verbs_library.fork_init
#define ibv_get_device_list      verbs_library.get_device_list
#define ibv_free_device_list     verbs_library.free_device_list
#define ibv_get_device_name      verbs_library.get_device_name
#define ibv_open_device          verbs_library.open_device
#define ibv_close_device         verbs_library.close_device
#define ibv_query_device         verbs_library.query_device
#define ibv_get_async_event      verbs_library.get_async_event
#define ibv_ack_async_event      verbs_library.ack_async_event
#define ibv_event_type_str       verbs_library.event_type_str
#define ibv_port_state_str       verbs_library.port_state_str
#define ibv_wc_status_str        verbs_library.wc_status_str
#define ibv_alloc_pd             verbs_library.alloc_pd
#define ibv_dealloc_pd           verbs_library.dealloc_pd
#define ibv_dereg_mr             verbs_library.dereg_mr
#define ibv_create_comp_channel  verbs_library.create_comp_channel
#define ibv_destroy_comp_channel verbs_library.destroy_comp_channel
#define ibv_create_cq            verbs_library.create_cq
#define ibv_resize_cq            verbs_library.resize_cq
#define ibv_destroy_cq           verbs_library.destroy_cq
#define ibv_get_cq_event         verbs_library.get_cq_event
#define ibv_ack_cq_events        verbs_library.ack_cq_events
#define ibv_create_qp            verbs_library.create_qp
#define ibv_modify_qp            verbs_library.modify_qp
#define ibv_destroy_qp           verbs_library.destroy_qp
#define ibv_query_gid_table(context, entries, most, flags)                              \
    verbs_library.query_gid_table(context, entries, most, flags, sizeof *(entries))
/* Optional kinds of access are left out where the kernel does not know them. */
#define ibv_reg_mr(pd, address, length, access)                                         \
    verbs_library.reg_mr_iova2(pd, address, length, (uintptr_t)(address), access)

static inline int verbs_query_port(struct ibv_context *context, uint8_t port,
                                   struct ibv_port_attr *attr)
{
    struct verbs_context *newer = verbs_get_ctx_op(context, query_port);

    memset(attr, 0, sizeof *attr);
    return newer ? newer->query_port(context, port, attr, sizeof *attr)
                 : verbs_library.query_port(context, port, (struct _compat_ibv_port_attr *)attr);
}
#define ibv_query_port verbs_query_port

#endif
