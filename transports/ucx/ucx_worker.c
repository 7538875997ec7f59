/* SPDX-License-Identifier: BSD-3-Clause */
/* What a port has of UCX, a context and a worker of its own: nothing is shared with
 * other ports or with an application that uses UCX too.  And the port's memory. */
#include "transports/ucx/ucx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum { TLS, NET_DEVICES, CHUNK, END };
enum { LOCKED = 24 << 20 };            /* bytes; a UD device alone takes 20 MiB (1.13) */

/* All others are UCX's own variables; see ucx_info -f.  UCX's shared memory cannot say
 * that a peer has died (1.13), so UCX does not use it for us: opening it would only
 * take 10 ms. */
const struct setting ucx_settings[] = {
    [TLS] = { "PEAL_UCX_TLS", "^posix,sysv",
              "UCX's transports for Peal alone, such as \"rc,self\" or \"tcp\"", "UCX_TLS" },
    [NET_DEVICES] = { "PEAL_UCX_NET_DEVICES", "",
                      "UCX's devices for Peal alone, such as \"mlx5_0:1\"; empty: all",
                      "UCX_NET_DEVICES" },
    [CHUNK] = { "PEAL_UCX_CHUNK", "1M",
                "bytes, 64K to 1G, of a long message that UCX is given as one; the smaller of "
                "two peers' counts", NULL },
    [END] = { NULL, NULL, NULL, NULL }
};

size_t ucx_option_chunk(void)
{
    return setting_size(&ucx_settings[CHUNK], UCX_CHUNK_LOW, UCX_CHUNK_HIGH) /
           UCX_CHUNK_UNIT * UCX_CHUNK_UNIT;
}

/* RDMA wants locked memory, and that it cannot have it is the usual reason. */
static const char *locked_memory(char text[96])
{
    struct rlimit limit;

    text[0] = 0;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        snprintf(text, 96, "; locked memory is limited to %llu KiB (ulimit -l), RDMA needs more",
                 (unsigned long long)limit.rlim_cur >> 10);
    return text;
}

static int fail(const char *what, ucs_status_t status)
{
    char text[96];

    return status_fail(PEAL_ERR_SYSTEM, "ucx: cannot %s: %s; look at UCX_TLS, UCX_NET_DEVICES "
                       "and the output of ucx_info -d%s", what, ucx.status_string(status),
                       locked_memory(text));
}

static ucs_status_t configure(ucp_config_t *config)
{
    const char *tls = setting_text(&ucx_settings[TLS], NULL);
    const char *devices = setting_text(&ucx_settings[NET_DEVICES], NULL);
    ucs_status_t status = UCS_OK;

    if (*tls)
        status = ucx.config_modify(config, "TLS", tls);
    if (status == UCS_OK && *devices)
        status = ucx.config_modify(config, "NET_DEVICES", devices);
    return status;
}

static int context_make(struct port *port)
{
    ucp_params_t params = {
        .field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_ESTIMATED_NUM_EPS |
                      UCP_PARAM_FIELD_ESTIMATED_NUM_PPN,
        .features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP,
        .estimated_num_eps = (size_t)port->options.nranks,
        .estimated_num_ppn = (size_t)port->options.local_ranks
    };
    ucp_config_t *config;
    ucs_status_t status = ucx.config_read(NULL, NULL, &config);

    if (status != UCS_OK)
        return fail("read its configuration", status);
    status = configure(config);
    if (status == UCS_OK)
        status = ucx.init_version(UCP_API_MAJOR, UCP_API_MINOR, &params, config,
                                  &port->context);
    ucx.config_release(config);
    return status == UCS_OK ? PEAL_OK : fail("start", status);
}

/* With too little, UCX opens its devices all the same, and then connects to nobody and
 * says nothing: so lock as much as it will, for a moment. */
static int locked_memory_try(struct port *port)
{
    ucp_mem_map_params_t params = {
        .field_mask = UCP_MEM_MAP_PARAM_FIELD_LENGTH | UCP_MEM_MAP_PARAM_FIELD_FLAGS,
        .length = LOCKED,
        .flags = UCP_MEM_MAP_ALLOCATE
    };
    char text[96];
    ucp_mem_h memory;
    ucs_status_t status;

    if (!*locked_memory(text))
        return PEAL_OK;
    status = ucx.mem_map(port->context, &params, &memory);
    if (status != UCS_OK)
        return fail("lock memory for its devices", status);
    ucx.mem_unmap(port->context, memory);
    return PEAL_OK;
}

static int worker_start(struct port *port)
{
    ucp_worker_params_t params = { .field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
                                   .thread_mode = UCS_THREAD_MODE_SERIALIZED };
    ucp_am_handler_param_t handler = {
        .field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                      UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG,
        .id = UCX_MESSAGE,
        .flags = UCP_AM_FLAG_WHOLE_MSG,
        .cb = ucx_arrive,
        .arg = port
    };
    struct epoll_event event = { .events = EPOLLIN };      /* data.ptr NULL: the worker */
    ucs_status_t status = ucx.worker_create(port->context, &params, &port->worker);
    int fd;

    if (status != UCS_OK) {
        port->worker = NULL;
        return fail("open its devices", status);
    }
    status = ucx.worker_set_am_recv_handler(port->worker, &handler);
    if (status == UCS_OK)
        status = ucx.worker_get_efd(port->worker, &fd);
    if (status != UCS_OK)
        return fail("prepare its worker", status);
    if (epoll_ctl(port->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return status_fail(PEAL_ERR_SYSTEM, "ucx: cannot watch its worker: %m");
    return PEAL_OK;
}

int ucx_worker_make(struct port *port)
{
    int status;

    if (port->worker)
        return PEAL_OK;
    if ((status = ucx_usable()))
        return status;
    if (!port->peers &&
        !(port->peers = calloc((size_t)port->options.nranks, sizeof *port->peers)))
        return status_fail(PEAL_ERR_MEMORY, "ucx: no memory for %d peers", port->options.nranks);
    if (!port->context)
        status = context_make(port);
    if (!status)
        status = locked_memory_try(port);
    if (!status)
        status = worker_start(port);
    if (status)
        ucx_worker_free(port);
    return status;
}

void ucx_worker_free(struct port *port)
{
    if (port->worker)
        ucx.worker_destroy(port->worker);
    if (port->context)
        ucx.cleanup(port->context);
    port->worker = NULL;
    port->context = NULL;
}

/* ---- Memory ------------------------------------------------------------------ */

static void *take(struct pool *pool)
{
    return pool_take_zeroed(pool, "ucx: no memory for what is to be sent or fetched");
}

struct flight *ucx_flight_take(struct port *port)
{
    return take(&port->flights);
}

void ucx_flight_give(struct port *port, struct flight *flight)
{
    pool_give(&port->flights, flight);
}

struct sending *ucx_sending_take(struct port *port)
{
    return take(&port->sendings);
}

void ucx_sending_give(struct port *port, struct sending *s)
{
    pool_give(&port->sendings, s);
}

unsigned char *ucx_bounce_take(struct port *port)
{
    if (port->nbounces > 0)
        return port->bounces[--port->nbounces];
    if (port->nmade == UCX_BOUNCES || !(port->all[port->nmade] = malloc(port->chunk)))
        return NULL;
    return port->all[port->nmade++];
}

void ucx_bounce_give(struct port *port, unsigned char *bounce)
{
    port->bounces[port->nbounces++] = bounce;
}

void ucx_pools_free(struct port *port, bool in_use)
{
    if (in_use) {
        pool_leave(&port->flights);
        pool_leave(&port->sendings);
    } else {
        pool_free(&port->flights);
        pool_free(&port->sendings);
    }
    for (int i = 0; i < port->nmade && !in_use; i++)
        free(port->all[i]);
    match_pool_free(&port->pool);
    free(port->peers);
}
