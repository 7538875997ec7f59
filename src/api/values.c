/* SPDX-License-Identifier: BSD-3-Clause */
/* Status texts, version, datatypes, operations and memory. */
#include "api/check.h"

const char *peal_strerror(int status)
{
    switch (status) {
#define ENTRY(name, value, text) case name: return text;
    PEAL_STATUS_LIST(ENTRY)
#undef ENTRY
    }
    return "unknown status";
}

const char *peal_last_error(void)
{
    return status_text();
}

int peal_version(int *major, int *minor, int *patch)
{
    if (major)
        *major = PEAL_VERSION_MAJOR;
    if (minor)
        *minor = PEAL_VERSION_MINOR;
    if (patch)
        *patch = PEAL_VERSION_PATCH;
    return PEAL_OK;
}

size_t peal_datatype_size(peal_datatype_t type)
{
    return datatype_size((int)type);
}

const char *peal_datatype_name(peal_datatype_t type)
{
    return datatype_name((int)type);
}

const char *peal_op_name(peal_op_t op)
{
    return operation_name(op);
}

int peal_op_create(peal_user_function_t function, int commutative, void *context,
                   peal_op_t *op)
{
    int status = check_pointer(__func__, "op", op);

    if (!function)
        return status_fail(PEAL_ERR_ARGUMENT, "%s: the function is NULL", __func__);
    return status ? status : operation_create(function, commutative != 0, context, op);
}

int peal_op_create_premul_sum(const void *scalar, peal_datatype_t type, peal_op_t *op)
{
    int status = check_pointer(__func__, "scalar", scalar);

    if (!status)
        status = check_pointer(__func__, "op", op);
    if (!status && datatype_size((int)type) == 0)
        status = status_fail(PEAL_ERR_ARGUMENT, "%s: %d is not a datatype", __func__, (int)type);
    return status ? status : operation_create_premul_sum(scalar, type, op);
}

int peal_op_free(peal_op_t op)
{
    return operation_free(op);
}

int peal_mem_alloc(size_t bytes, void **memory)
{
    int status = check_pointer(__func__, "memory", memory);

    return status ? status : memory_alloc(bytes, memory);
}

int peal_mem_free(void *memory)
{
    return memory ? memory_free(memory) : PEAL_OK;
}
