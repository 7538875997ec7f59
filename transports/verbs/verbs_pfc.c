/* SPDX-License-Identifier: BSD-3-Clause */
/* Priority flow control of an interface, asked of the kernel by netlink. */
#include "transports/verbs/verbs_hints.h"

#include <linux/dcbnl.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The payload of the attribute of this type among `bytes` of attributes; NULL: it
 * is not there, or something is not as it must be. */
static const unsigned char *attribute(const unsigned char *at, size_t bytes, unsigned type,
                                      size_t *length)
{
    struct nlattr head;

    while (bytes >= sizeof head) {
        size_t whole;

        memcpy(&head, at, sizeof head);
        if (head.nla_len < sizeof head || head.nla_len > bytes)
            return NULL;
        if ((head.nla_type & NLA_TYPE_MASK) == type) {
            *length = head.nla_len - sizeof head;
            return at + sizeof head;
        }
        whole = NLA_ALIGN(head.nla_len);
        if (whole >= bytes)
            return NULL;
        at += whole;
        bytes -= whole;
    }
    return NULL;
}

int verbs_hints_pfc_parse(const void *message, size_t bytes)
{
    const unsigned char *at = message;
    struct nlmsghdr head;
    struct ieee_pfc pfc;
    size_t skip = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct dcbmsg)), length;

    if (bytes < skip)
        return -1;
    memcpy(&head, at, sizeof head);
    if (head.nlmsg_type != RTM_GETDCB || head.nlmsg_len < skip || head.nlmsg_len > bytes)
        return -1;
    at = attribute(at + skip, head.nlmsg_len - skip, DCB_ATTR_IEEE, &length);
    if (at)
        at = attribute(at, length, DCB_ATTR_IEEE_PFC, &length);
    if (!at || length < sizeof pfc)
        return -1;
    memcpy(&pfc, at, sizeof pfc);
    return pfc.pfc_en;
}

int verbs_hints_pfc(const char *interface)
{
    struct {
        struct nlmsghdr head;
        struct dcbmsg   dcb;
        struct nlattr   name;
        char            interface[IF_NAMESIZE];
    } ask = {
        .head = { .nlmsg_len = sizeof ask, .nlmsg_type = RTM_GETDCB,
                  .nlmsg_flags = NLM_F_REQUEST },
        .dcb = { .dcb_family = AF_UNSPEC, .cmd = DCB_CMD_IEEE_GET },
        .name = { .nla_type = DCB_ATTR_IFNAME }
    };
    unsigned char answer[8192];
    struct timeval second = { .tv_sec = 1 };
    size_t length = strlen(interface) + 1;
    ssize_t got = -1;
    int fd;

    if (length > sizeof ask.interface)
        return -1;
    memcpy(ask.interface, interface, length);
    ask.name.nla_len = (uint16_t)(sizeof ask.name + length);
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    if (send(fd, &ask, sizeof ask, 0) == sizeof ask)
        got = recv(fd, answer, sizeof answer, 0);
    close(fd);
    return got > 0 ? verbs_hints_pfc_parse(answer, (size_t)got) : -1;
}
