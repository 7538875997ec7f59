/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/operation.h"

#include "base/status.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct operation *operations;     /* by rising id, as they were created */
static size_t operations_used, operations_room;
static peal_op_t next_id = PEAL_OPS;

static const char *const names[PEAL_OPS] = {
    [PEAL_SUM] = "sum",   [PEAL_PROD] = "prod", [PEAL_MIN] = "min",
    [PEAL_MAX] = "max",   [PEAL_AVG] = "avg",   [PEAL_BAND] = "band",
    [PEAL_BOR] = "bor",   [PEAL_BXOR] = "bxor", [PEAL_LAND] = "land",
    [PEAL_LOR] = "lor",   [PEAL_LXOR] = "lxor",
};

/* The entry of `op`, or NULL.  Called with the lock held. */
static struct operation *operation_entry(peal_op_t op)
{
    size_t low = 0, high = operations_used;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (operations[middle].id == op)
            return &operations[middle];
        if (operations[middle].id < op)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool operation_find(peal_op_t op, struct operation *found)
{
    const struct operation *entry;

    pthread_mutex_lock(&lock);
    entry = operation_entry(op);
    if (entry)
        *found = *entry;
    pthread_mutex_unlock(&lock);
    return entry != NULL;
}

/* Make room for one more entry.  Called with the lock held. */
static int operations_grow(void)
{
    size_t room = operations_room ? 2 * operations_room : 8;
    struct operation *larger;

    if (operations_used < operations_room)
        return PEAL_OK;
    larger = realloc(operations, room * sizeof *larger);
    if (!larger)
        return status_fail(PEAL_ERR_MEMORY, "no memory to register operation number %zu",
                           operations_used + 1);
    operations = larger;
    operations_room = room;
    return PEAL_OK;
}

static int operation_add(struct operation *fresh, peal_op_t *op)
{
    int status;

    pthread_mutex_lock(&lock);
    if (next_id == INT_MAX) {
        status = status_fail(PEAL_ERR_MEMORY, "all %d operation numbers of this process "
                             "have been given; create operations once and keep them",
                             INT_MAX - PEAL_OPS);
        goto done;
    }
    status = operations_grow();
    if (status)
        goto done;
    fresh->id = next_id++;
    operations[operations_used++] = *fresh;
    *op = fresh->id;
done:
    pthread_mutex_unlock(&lock);
    return status;
}

int operation_create(peal_user_function_t user, bool commutative, void *context,
                     peal_op_t *op)
{
    struct operation fresh = {
        .user = user, .context = context, .commutative = commutative,
    };

    if (!user)
        return status_fail(PEAL_ERR_ARGUMENT, "an operation needs a function, not NULL");
    return operation_add(&fresh, op);
}

int operation_create_premul_sum(const void *scalar, peal_datatype_t type, peal_op_t *op)
{
    struct operation fresh = { .commutative = true, .type = type };

    if (!scalar)
        return status_fail(PEAL_ERR_ARGUMENT, "a premul-sum needs a scalar, not NULL");
    if (datatype_size(type) == 0)
        return status_fail(PEAL_ERR_ARGUMENT, "%d is not a datatype", (int)type);
    memcpy(fresh.scalar, scalar, datatype_size(type));
    return operation_add(&fresh, op);
}

int operation_free(peal_op_t op)
{
    struct operation *entry;
    int status = PEAL_OK;

    pthread_mutex_lock(&lock);
    entry = operation_entry(op);
    if (entry) {
        size_t after = (size_t)(operations + operations_used - (entry + 1));

        memmove(entry, entry + 1, after * sizeof *entry);
        operations_used--;
        if (operations_used == 0) {
            free(operations);
            operations = NULL;
            operations_room = 0;
        }
    } else if (op >= 0 && op < PEAL_OPS) {
        status = status_fail(PEAL_ERR_ARGUMENT, "operation %s is built in: it cannot be "
                             "freed", names[op]);
    } else {
        status = status_fail(PEAL_ERR_ARGUMENT, "operation %d was never created or has "
                             "been freed already", op);
    }
    pthread_mutex_unlock(&lock);
    return status;
}

const char *operation_name(peal_op_t op)
{
    struct operation ignored;

    if (op >= 0 && op < PEAL_OPS)
        return names[op];
    return operation_find(op, &ignored) ? "user" : NULL;
}
