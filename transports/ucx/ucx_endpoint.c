/* SPDX-License-Identifier: BSD-3-Clause */
/* Endpoints: how they begin, fail and end. */
#include "transports/ucx/ucx.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DRAIN = 10000 };            /* most looks for what came before the peer went */

/* ---- Beginning ------------------------------------------------------------------ */

static struct endpoint *endpoint_new(struct port *port, int peer, const struct where *where,
                                     int socket)
{
    struct endpoint *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->port = port;
    e->peer = peer;
    e->socket = socket;
    e->local = where->host == port->options.where->host;
    e->chunk = (uint32_t)port->chunk;
    snprintf(e->name, sizeof e->name, "rank %d on %.63s", peer, where->hostname);
    matching_init(&e->matching, &port->pool, port->options.completions, e->name);
    return e;
}

static int endpoint_greet(struct endpoint *e)
{
    struct port *port = e->port;
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = e };
    ucp_address_t *address;
    size_t length;
    ucs_status_t known;
    int status;

    if (getrandom(&e->key, sizeof e->key, 0) != sizeof e->key)
        return status_fail(PEAL_ERR_SYSTEM, "ucx: getrandom: %m");
    known = ucx.worker_get_address(port->worker, &address, &length);
    if (known != UCS_OK)
        return status_fail(PEAL_ERR_SYSTEM, "ucx: its worker has no address: %s",
                           ucx.status_string(known));
    status = ucx_socket_hello(e, address, length);
    ucx.worker_release_address(port->worker, address);
    if (status)
        return status;
    if (epoll_ctl(port->epoll, EPOLL_CTL_ADD, e->socket, &event) != 0)
        return status_fail(PEAL_ERR_SYSTEM, "ucx: cannot watch the connection to %s: %m",
                           e->name);
    return PEAL_OK;
}

int ucx_connect(struct port *port, int peer, const struct where *where,
                const int *sockets, int nsockets, bool dialled, struct endpoint **endpoint)
{
    struct endpoint *e = NULL;
    int status;

    if (nsockets != 1)
        status = status_fail(PEAL_ERR_PROTOCOL, "ucx: %d sockets to rank %d, not 1", nsockets,
                             peer);
    else
        status = ucx_worker_make(port);
    if (!status && port->peers[peer])
        status = status_fail(PEAL_ERR_STATE, "ucx: a second connection to rank %d", peer);
    if (!status && !(e = endpoint_new(port, peer, where, sockets[0])))
        status = status_fail(PEAL_ERR_MEMORY, "ucx: no memory for rank %d", peer);
    if (!status)
        status = endpoint_greet(e);
    if (status)
        goto fail;
    e->dialled = dialled;
    port->peers[peer] = e;
    port->greeting++;
    e->next = port->endpoints;
    port->endpoints = e;
    ucx_socket_write(e);
    *endpoint = e;
    return PEAL_OK;
fail:
    if (e) {
        free(e->in);
        free(e->out);
        free(e);
    }
    for (int i = 0; i < nsockets; i++)
        close(sockets[i]);
    return status;
}

/* UCX says that the peer cannot be reached any more. */
static void ep_failed(void *user, ucp_ep_h ep, ucs_status_t status)
{
    struct endpoint *e = user;

    (void)ep;
    ucx_endpoint_gone(e, "UCX lost %s: %s; the process died, or the network between the hosts "
                      "is cut", e->name, ucx.status_string(status));
}

void ucx_endpoint_join(struct endpoint *e)
{
    ucp_ep_params_t params = {
        .field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                      UCP_EP_PARAM_FIELD_ERR_HANDLER,
        .address = ucx_socket_address(e),
        .err_mode = UCP_ERR_HANDLING_MODE_PEER,
        .err_handler = { ep_failed, e }
    };
    ucs_status_t status;

    if (e->ep || e->closed || e->gone || e->broken || !e->greeted || !(e->dialled || e->ready_came))
        return;
    status = ucx.ep_create(e->port->worker, &params, &e->ep);
    if (status == UCS_OK) {
        ucx_ready_tell(e);
        return;
    }
    e->ep = NULL;
    if (ucx_socket_ended(e))           /* that is why: hear about it there */
        return;
    ucx_endpoint_break(e, PEAL_ERR_SYSTEM, "UCX cannot reach %s: %s; both sides need a device "
                       "and a transport in common: look at UCX_TLS, UCX_NET_DEVICES and the "
                       "output of ucx_info -d on both", e->name, ucx.status_string(status));
}

/* ---- Failing ----------------------------------------------------------------------- */

void ucx_endpoint_due(struct endpoint *e)
{
    if (e->due)
        return;
    e->due = true;
    e->next_due = e->port->due;
    e->port->due = e;
}

static bool is_awaited(const struct endpoint *e)
{
    return e->matching.posted > 0 || e->waiting > 0 || e->matching.moving;
}

void ucx_endpoint_gone(struct endpoint *e, const char *format, ...)
{
    va_list args;

    if (e->gone || e->broken)
        return;
    va_start(args, format);
    vsnprintf(e->why, sizeof e->why, format, args);
    va_end(args);
    e->gone = true;
    ucx_endpoint_due(e);
}

void ucx_endpoint_break(struct endpoint *e, int status, const char *format, ...)
{
    va_list args;

    if (e->broken)
        return;
    va_start(args, format);
    vsnprintf(e->why, sizeof e->why, format, args);
    va_end(args);
    e->broken = status;
    ucx_endpoint_due(e);
}

/* What came before the peer went is in UCX's hands: take it from there. */
static void drain(struct endpoint *e)
{
    for (int i = 0; i < DRAIN && !e->broken && ucx.worker_progress(e->port->worker) > 0; i++)
        continue;
    if (!e->broken)
        e->broken = PEAL_ERR_PEER;
}

static void socket_end(struct endpoint *e)
{
    if (e->socket < 0)
        return;
    epoll_ctl(e->port->epoll, EPOLL_CTL_DEL, e->socket, NULL);
    shutdown(e->socket, SHUT_RDWR);    /* a forked child may hold it open */
    close(e->socket);
    e->socket = -1;
    if (!e->greeted)
        e->port->greeting--;
}

bool ucx_endpoint_joining(const struct endpoint *e)
{
    return e->greeted && !ucx_joined(e) && !e->gone && !e->broken;
}

/* UCX may have an answer to send.  (Before its hello has come, a peer cannot have
 * connected.) */
bool ucx_endpoint_adrift(const struct endpoint *e)
{
    return e->greeted && !ucx_joined(e) && !e->dialled;
}

void ucx_endpoint_close(struct endpoint *e)
{
    static const ucp_request_param_t force = { .op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
                                               .flags = UCP_EP_CLOSE_FLAG_FORCE };
    ucs_status_ptr_t request;

    socket_end(e);
    if (e->closed || ucx_endpoint_adrift(e))
        return;
    e->closed = true;
    if (!e->ep)
        return;
    request = ucx.ep_close_nbx(e->ep, &force);
    e->ep = NULL;
    if (UCS_PTR_IS_PTR(request))
        e->closing = request;
}

bool ucx_endpoint_closing(struct endpoint *e)
{
    if (e->closing && ucx.request_check_status(e->closing) != UCS_INPROGRESS) {
        ucx.request_free(e->closing);
        e->closing = NULL;
    }
    return e->closing || (e->closed && e->flights > 0) ||
           (ucx_endpoint_adrift(e) && e->fetches > 0);
}

/* UCX has given back all memory. */
static void endpoint_fail(struct endpoint *e)
{
    /* A peer that leaves when nobody awaits it is no news for anybody: the text
     * of the latest failure then stays what it is. */
    if (is_awaited(e))
        status_fail(e->broken, "%s", e->why);
    else
        log_debug("%s", e->why);
    e->failure = e->broken;
    ucx_offers_release(e);
    ucx_sends_fail(e, e->failure);
    matching_fail(&e->matching, e->failure);
}

bool ucx_endpoint_settle(struct endpoint *e, bool idle)
{
    if (e->failure)
        return false;
    if (e->gone && !e->broken)
        drain(e);
    ucx_endpoint_join(e);
    if (!e->broken) {
        if (idle)
            ucx_credit_tell(e, true);
        return ucx_credit_owed(e) || e->broken;
    }
    if (e->broken == PEAL_ERR_PEER)
        ucx_socket_hear(e);
    ucx_socket_break(e);
    ucx_endpoint_close(e);
    if (ucx_endpoint_closing(e))
        return true;
    endpoint_fail(e);
    return false;
}

void ucx_endpoint_free(struct endpoint *e)
{
    matching_clear(&e->matching);
    free(e->in);
    free(e->out);
    free(e);
}
