/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/device.h"

static const struct {
    size_t      size;
    const char *name;
} datatypes[PEAL_DATATYPES] = {
#define ENTRY(name, value, bytes, text) [value] = { bytes, text },
    PEAL_DATATYPE_LIST(ENTRY)
#undef ENTRY
};

size_t datatype_size(int type)
{
    return type >= 0 && type < PEAL_DATATYPES ? datatypes[type].size : 0;
}

const char *datatype_name(int type)
{
    return type >= 0 && type < PEAL_DATATYPES ? datatypes[type].name : NULL;
}
