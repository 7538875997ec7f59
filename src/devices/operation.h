/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations that users make.  Knows what was registered under which
 * number; does not know how elements are combined.  Thread-safe.
 *
 * A number is given once: it counts creations, so that ranks that create their
 * operations in the same order get the same numbers whenever each frees them,
 * and a freed number never becomes another operation. */
#ifndef OPERATION_H
#define OPERATION_H

#include "devices/device.h"

struct operation {
    peal_op_t            id;
    peal_user_function_t user;          /* NULL: sum of scalar x input */
    void                *context;
    bool                 commutative;
    peal_datatype_t      type;          /* of the scalar */
    unsigned char        scalar[8];
};

/* A copy of a created operation; false if there is none of this number. */
bool operation_find(peal_op_t op, struct operation *found);

#endif
