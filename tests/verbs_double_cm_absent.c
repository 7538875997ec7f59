/* SPDX-License-Identifier: BSD-3-Clause */
/* Without librdmacm the double has no iWARP. */
#include "tests/verbs_double_state.h"

void double_disconnected(const struct double_qp *qp)
{
    (void)qp;
}
