/* SPDX-License-Identifier: BSD-3-Clause */
#include "transports/tcp/tcp.h"

#include "base/log.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

enum { SOCKETS, EAGER, CHUNK, SNDBUF, RCVBUF, KEEPALIVE, USER_TIMEOUT, END };

/* A peer that computes for minutes does not read, its window closes, and then
 * TCP_USER_TIMEOUT would kill a healthy connection: hence off by default.  A cut
 * link is noticed by keepalive when idle, and by retransmission otherwise. */
const struct setting tcp_settings[] = {
    [SOCKETS] = { "PEAL_TCP_SOCKETS", "1",
                  "sockets to each peer, 1 to 8; more where one cannot fill the network: "
                  "long messages use all of them", NULL },
    [EAGER] = { "PEAL_TCP_EAGER", "64K",
                "bytes, 0 to 64K: longer messages wait for their receive", NULL },
    [CHUNK] = { "PEAL_TCP_CHUNK", "512K",
                "bytes of a long message sent over one socket in turn, 4K to 16M", NULL },
    [SNDBUF] = { "PEAL_TCP_SNDBUF", "0",
                 "bytes of SO_SNDBUF; 0: the kernel adapts it (best)", NULL },
    [RCVBUF] = { "PEAL_TCP_RCVBUF", "0",
                 "bytes of SO_RCVBUF; 0: the kernel adapts it (best)", NULL },
    [KEEPALIVE] = { "PEAL_TCP_KEEPALIVE", "60",
                    "seconds until a cut link is noticed on an idle connection; 0: never",
                    NULL },
    [USER_TIMEOUT] = { "PEAL_TCP_USER_TIMEOUT", "0",
                       "seconds that sent bytes may stay unread or unacknowledged before "
                       "the connection is given up; 0: the kernel's, about 15 min", NULL },
    [END] = { NULL, NULL, NULL, NULL }
};

size_t tcp_option_eager(void)
{
    return setting_size(&tcp_settings[EAGER], 0, TRANSPORT_EAGER);
}

uint32_t tcp_option_chunk(void)
{
    size_t chunk = setting_size(&tcp_settings[CHUNK], TCP_CHUNK_LOW, TCP_CHUNK_HIGH);

    return (uint32_t)(chunk / TCP_CHUNK_UNIT * TCP_CHUNK_UNIT);
}

int tcp_option_sockets(void)
{
    return (int)setting_size(&tcp_settings[SOCKETS], 1, TRANSPORT_SOCKETS);
}

/* An option that cannot be set costs speed or the time until a fault is seen,
 * not correctness: worth a line, not a failure. */
static void apply(int fd, int level, int option, int value, const char *name)
{
    if (setsockopt(fd, level, option, &value, sizeof value) != 0)
        log_debug("tcp: cannot set %s to %d on socket %d: %m", name, value, fd);
}

static void apply_keepalive(int fd)
{
    int seconds = (int)setting_number(&tcp_settings[KEEPALIVE], 0, 32767);
    int probes = seconds < 6 ? 1 : 5, interval;

    if (seconds == 0)
        return;
    interval = seconds / (probes + 1);         /* silence first counts as one more */
    if (interval < 1)
        interval = 1;
    apply(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
    apply(fd, IPPROTO_TCP, TCP_KEEPIDLE, interval, "TCP_KEEPIDLE");
    apply(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval, "TCP_KEEPINTVL");
    apply(fd, IPPROTO_TCP, TCP_KEEPCNT, probes, "TCP_KEEPCNT");
}

void tcp_option_apply(int fd)
{
    int sndbuf = (int)setting_size(&tcp_settings[SNDBUF], 0, 1 << 30);
    int rcvbuf = (int)setting_size(&tcp_settings[RCVBUF], 0, 1 << 30);
    int timeout = (int)(1000 * setting_number(&tcp_settings[USER_TIMEOUT], 0, 1e6));

    apply(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
    if (sndbuf > 0)
        apply(fd, SOL_SOCKET, SO_SNDBUF, sndbuf, "SO_SNDBUF");
    if (rcvbuf > 0)
        apply(fd, SOL_SOCKET, SO_RCVBUF, rcvbuf, "SO_RCVBUF");
    if (timeout > 0)
        apply(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout, "TCP_USER_TIMEOUT");
    apply_keepalive(fd);
}
