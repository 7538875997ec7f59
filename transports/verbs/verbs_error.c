/* SPDX-License-Identifier: BSD-3-Clause */
/* What a completion's status means, and what to try. */
#include "transports/verbs/verbs.h"

#include <errno.h>

static const struct { int status; const char *cause; } causes[] = {
    [IBV_WC_LOC_LEN_ERR] = { PEAL_ERR_SYSTEM, "a length that the queue pair does not take: an "
        "error in Peal" },
    [IBV_WC_LOC_QP_OP_ERR] = { PEAL_ERR_PEER, "the device could not do it: is its port or "
        "network interface down?" },
    [IBV_WC_LOC_EEC_OP_ERR] = { PEAL_ERR_SYSTEM, "an error of the local device" },
    [IBV_WC_LOC_PROT_ERR] = { PEAL_ERR_SYSTEM, "the memory is not registered any more: was it "
        "freed or unmapped during the call?" },
    [IBV_WC_WR_FLUSH_ERR] = { PEAL_ERR_PEER, "the queue pair has ended: by an earlier failure, which "
        "a message before this tells, or because the device here refused what the peer wrote, "
        "which is a remote access error there, or with iWARP because the peer has closed it" },
    [IBV_WC_MW_BIND_ERR] = { PEAL_ERR_SYSTEM, "an error of the local device" },
    [IBV_WC_BAD_RESP_ERR] = { PEAL_ERR_PEER, "the peer's device answered nonsense: is something "
        "between the two broken?" },
    [IBV_WC_LOC_ACCESS_ERR] = { PEAL_ERR_PROTOCOL, "the peer wrote where it may not" },
    [IBV_WC_REM_INV_REQ_ERR] = { PEAL_ERR_PROTOCOL, "the peer's device refused the request: do "
        "both run the same release of Peal?" },
    [IBV_WC_REM_ACCESS_ERR] = { PEAL_ERR_PEER, "the peer does not let its memory be written any "
        "more: it has given up the operation, or freed the memory" },
    [IBV_WC_REM_OP_ERR] = { PEAL_ERR_PEER, "the peer's device could not do it: out of memory, or "
        "its memory was freed" },
    [IBV_WC_RETRY_EXC_ERR] = { PEAL_ERR_PEER, "no answer from the peer's device: its host or "
        "process is dead, the cable or switch is cut, the GID does not lead there "
        "(PEAL_VERBS_GID_INDEX), MTUs differ on the way, or packets are lost "
        "(PEAL_VERBS_TIMEOUT, PEAL_VERBS_RETRY)" },
    [IBV_WC_RNR_RETRY_EXC_ERR] = { PEAL_ERR_PEER, "the peer takes nothing in" },
    [IBV_WC_LOC_RDD_VIOL_ERR] = { PEAL_ERR_SYSTEM, "an error of the local device" },
    [IBV_WC_REM_INV_RD_REQ_ERR] = { PEAL_ERR_PROTOCOL, "the peer's device refused the request" },
    [IBV_WC_REM_ABORT_ERR] = { PEAL_ERR_PEER, "the peer's device gave it up" },
    [IBV_WC_INV_EECN_ERR] = { PEAL_ERR_SYSTEM, "an error of the local device" },
    [IBV_WC_INV_EEC_STATE_ERR] = { PEAL_ERR_SYSTEM, "an error of the local device" },
    [IBV_WC_FATAL_ERR] = { PEAL_ERR_PEER, "the device has failed: look at the kernel's log" },
    [IBV_WC_RESP_TIMEOUT_ERR] = { PEAL_ERR_PEER, "the peer's device did not answer in time" },
    [IBV_WC_GENERAL_ERR] = { PEAL_ERR_PEER, "the device gives no cause: look at the kernel's log" }
};

const char *verbs_cause(enum ibv_wc_status status)
{
    bool known = (size_t)status < sizeof causes / sizeof causes[0] && causes[status].cause;

    return known ? causes[status].cause : "an error that Peal does not know";
}

int verbs_cause_status(enum ibv_wc_status status)
{
    bool known = (size_t)status < sizeof causes / sizeof causes[0] && causes[status].cause;

    return known ? causes[status].status : PEAL_ERR_SYSTEM;
}

const char *verbs_shortage(int error)
{
    switch (error) {
    case ENOMEM:
        return "; is the limit of locked memory (ulimit -l) too low, or has the device no more "
               "queue pairs?";
    case EAGAIN:                       /* so the kernel answers for a control group */
        return "; does the control group allow no more (rdma.max: hca_handle, hca_object)?  "
               "Raise that, or use fewer devices (PEAL_VERBS_DEVICES) or another transport "
               "(PEAL_TRANSPORTS)";
    case EMFILE:
        return "; is the limit of open files (ulimit -n) too low?";
    default:
        return "";
    }
}
