/* SPDX-License-Identifier: BSD-3-Clause */
/* A library in the place of libnvidia-ml.so.1 that plays machines:
 *   FAKE_NVML        which one; see machines[]
 *   FAKE_NVML_COUNT  shows only that many of its GPUs
 *   FAKE_NVML_FAIL   the name of a function that fails
 *   FAKE_NVML_BUSES  "0001:00:00.0 0002:00:00.0 ...": where its GPUs are
 * Else GPU i is at PCI 0000:XX:00.0, XX = 0x13 + 0x10 * i, as in the trees of topology_discover.c, but
 * for GB200 at 00NN:01:00.0, NN = 8, 9, 18, 19. */
#include "topology/discover_nvml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BROKEN = 999, GPUS_MOST = 8 };
enum { TO_SWITCH = -1, TO_CPU = -2, IDLE = -3, NONE = -4 };      /* other ends that are no GPU */

struct nvml_device { int index; };

#define DECLARE(name, arguments) int name arguments;
NVML_REQUIRED(DECLARE)
NVML_OPTIONAL(DECLARE)
#undef DECLARE
const char *nvmlErrorString(int status);

/* DGX-1V: of each GPU's six links who is at the other end. */
static int cube(int gpu, unsigned link)
{
    static const signed char ends[8][6] = {
        { 1, 2, 3, 3, 4, 4 }, { 0, 2, 2, 3, 5, 5 }, { 0, 1, 1, 3, 3, 6 }, { 0, 0, 1, 2, 2, 7 },
        { 0, 0, 5, 6, 7, 7 }, { 1, 1, 4, 6, 6, 7 }, { 2, 4, 5, 5, 7, 7 }, { 3, 4, 4, 5, 6, 6 },
    };

    return link < 6 ? ends[gpu][link] : NONE;
}

/* Four GPUs, four links to each other one. */
static int pairs(int gpu, unsigned link)
{
    int other = (int)link / 4;

    return link < 12 ? other + (other >= gpu) : NONE;
}

static int switched(int gpu, unsigned link)
{
    (void)gpu;
    return link < 18 ? TO_SWITCH : NONE;
}

static int switched_a100(int gpu, unsigned link)
{
    (void)gpu;
    return link < 12 ? TO_SWITCH : NONE;
}

static int unlinked(int gpu, unsigned link)
{
    (void)gpu, (void)link;
    return NONE;
}

/* GPU 2 has none, GPU 5 lacks three. */
static int some_idle(int gpu, unsigned link)
{
    return gpu == 2 || (gpu == 5 && link < 3) ? IDLE : switched(gpu, link);
}

/* Two V100 at a POWER9: three links to each other, three to the processor. */
static int power(int gpu, unsigned link)
{
    return link < 3 ? 1 - gpu : link < 6 ? TO_CPU : NONE;
}

static const struct machine {
    const char *name, *model;
    int      ngpus, capability;
    unsigned pci_device;
    int    (*other_end)(int gpu, unsigned link);
    int      fabric;                   /* state */
    int      off;                      /* the GPU that is not registered; -1 */
    unsigned char uuid;
    unsigned c2c;                      /* links of it */
} machines[] = {
    { "dgx-1v", "Tesla V100-SXM2-16GB", 8, 70, 0x1db1, cube, 0, -1, 0, 0 },
    { "a100-4", "NVIDIA A100-SXM4-40GB", 4, 80, 0x20b0, pairs, 0, -1, 0, 0 },
    { "hgx-a100", "NVIDIA A100-SXM4-40GB", 8, 80, 0x20b0, switched_a100, 0, -1, 0, 0 },
    { "a10g-8", "NVIDIA A10G", 8, 86, 0x2237, unlinked, 0, -1, 0, 0 },
    { "hgx-h100", "NVIDIA H100 80GB HBM3", 8, 90, 0x2330, switched, 3, -1, 0, 0 },
    { "gb200", "NVIDIA GB200", 4, 100, 0x2941, switched, 3, -1, 7, 5 },
    { "idle", "NVIDIA H100 80GB HBM3", 8, 90, 0x2330, some_idle, 3, -1, 0, 0 },
    { "off-fabric", "NVIDIA H100 80GB HBM3", 8, 90, 0x2330, switched, 3, 5, 0, 0 },
    { "lost", "NVIDIA H100 80GB HBM3", 8, 90, 0x2330, switched, 3, -1, 0, 0 },
    { "power9", "Tesla V100-SXM2-16GB", 2, 70, 0x1db1, power, 0, -1, 0, 0 },
};

static struct nvml_device devices[GPUS_MOST];
static const struct machine *machine;

static int fails(const char *function)
{
    const char *failing = getenv("FAKE_NVML_FAIL");

    return failing && !strcmp(failing, function);
}

#define FAIL_IF_ASKED if (fails(__func__)) return BROKEN

int nvmlInit_v2(void)
{
    const char *name = getenv("FAKE_NVML");

    FAIL_IF_ASKED;
    machine = NULL;
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
        if (name && !strcmp(machines[i].name, name))
            machine = &machines[i];
    for (int i = 0; i < GPUS_MOST; i++)
        devices[i].index = i;
    return machine ? NVML_OK : BROKEN;
}

int nvmlInitWithFlags(unsigned flags)
{
    FAIL_IF_ASKED;
    return flags == NVML_NO_ATTACH ? nvmlInit_v2() : BROKEN;
}

int nvmlShutdown(void)
{
    return NVML_OK;
}

const char *nvmlErrorString(int status)
{
    return status == NVML_GPU_IS_LOST ? "GPU is lost" : "Unknown Error";
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    const char *fewer = getenv("FAKE_NVML_COUNT");

    FAIL_IF_ASKED;
    *count = fewer ? (unsigned)atoi(fewer) : (unsigned)machine->ngpus;
    return NVML_OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, nvml_device_t *device)
{
    FAIL_IF_ASKED;
    if (!strcmp(machine->name, "lost") && index == 1)
        return NVML_GPU_IS_LOST;
    *device = &devices[index];
    return NVML_OK;
}

static void place(int index, struct nvml_pci *pci)
{
    static const unsigned domains[] = { 0x8, 0x9, 0x18, 0x19 };
    const char *buses = getenv("FAKE_NVML_BUSES");
    int rack = machine->c2c != 0;

    memset(pci, 0, sizeof *pci);
    pci->domain = rack ? domains[index % 4] : 0;
    pci->bus = rack ? 1 : 0x13 + 0x10 * (unsigned)index;
    if (buses && (size_t)index < strlen(buses) / 13 + 1)       /* one and a blank are 13 long */
        sscanf(buses + 13 * index, "%4x:%2x:%2x", &pci->domain, &pci->bus, &pci->device);
    pci->pci_device = machine->pci_device << 16 | 0x10de;
    snprintf(pci->address, sizeof pci->address, "%08X:%02X:00.0", pci->domain, pci->bus);
}

int nvmlDeviceGetPciInfo_v3(nvml_device_t device, struct nvml_pci *pci)
{
    FAIL_IF_ASKED;
    place(device->index, pci);
    return NVML_OK;
}

int nvmlDeviceGetPciInfo_v2(nvml_device_t device, struct nvml_pci *pci)
{
    FAIL_IF_ASKED;
    place(device->index, pci);
    return NVML_OK;
}

int nvmlDeviceGetName(nvml_device_t device, char *name, unsigned length)
{
    (void)device;
    FAIL_IF_ASKED;
    snprintf(name, length, "%s", machine->model);
    return NVML_OK;
}

int nvmlDeviceGetCudaComputeCapability(nvml_device_t device, int *major, int *minor)
{
    (void)device;
    FAIL_IF_ASKED;
    *major = machine->capability / 10;
    *minor = machine->capability % 10;
    return NVML_OK;
}

int nvmlDeviceGetMaxPcieLinkGeneration(nvml_device_t device, unsigned *generation)
{
    (void)device;
    FAIL_IF_ASKED;
    *generation = machine->capability >= 90 ? 5 : machine->capability >= 80 ? 4 : 3;
    return NVML_OK;
}

int nvmlDeviceGetCurrPcieLinkWidth(nvml_device_t device, unsigned *lanes)
{
    (void)device;
    FAIL_IF_ASKED;
    *lanes = 16;
    return NVML_OK;
}

/* ---- NVLinks ------------------------------------------------------------------------------- */

int nvmlDeviceGetNvLinkState(nvml_device_t device, unsigned link, int *active)
{
    int end = machine->other_end(device->index, link);

    FAIL_IF_ASKED;
    if (end == NONE)
        return NVML_NOT_SUPPORTED;
    *active = end != IDLE;
    return NVML_OK;
}

int nvmlDeviceGetNvLinkRemoteDeviceType(nvml_device_t device, unsigned link, int *type)
{
    int end = machine->other_end(device->index, link);

    FAIL_IF_ASKED;
    *type = end >= 0 ? NVML_REMOTE_GPU : end == TO_CPU ? NVML_REMOTE_NPU : NVML_REMOTE_SWITCH;
    return end >= TO_CPU ? NVML_OK : NVML_NOT_SUPPORTED;
}

int nvmlDeviceGetNvLinkVersion(nvml_device_t device, unsigned link, unsigned *version)
{
    (void)device, (void)link;
    FAIL_IF_ASKED;
    *version = machine->capability >= 100 ? 7 : machine->capability >= 90 ? 6 : 2;
    return NVML_OK;
}

/* Of switches outside the machine the address is all ones. */
int nvmlDeviceGetNvLinkRemotePciInfo_v2(nvml_device_t device, unsigned link, struct nvml_pci *pci)
{
    int end = machine->other_end(device->index, link);

    FAIL_IF_ASKED;
    memset(pci, 0, sizeof *pci);
    if (end >= 0) {
        place(end, pci);
    } else {
        pci->domain = pci->bus = pci->device = machine->uuid ? ~0u : 0;
        pci->bus = machine->uuid ? ~0u : 0xb0 + link % 4;
        pci->pci_device = 0x22a3u << 16 | 0x10de;
    }
    return NVML_OK;
}

int nvmlDeviceGetGpuFabricInfo(nvml_device_t device, struct nvml_fabric *fabric)
{
    FAIL_IF_ASKED;
    if (!machine->fabric)
        return NVML_NOT_SUPPORTED;
    memset(fabric, 0, sizeof *fabric);
    memset(fabric->uuid, machine->uuid, sizeof fabric->uuid);
    fabric->clique = 3;
    fabric->state = (unsigned char)(device->index == machine->off ? NVML_FABRIC_IN_PROGRESS
                                                                  : machine->fabric);
    return NVML_OK;
}

/* A caller that says another version has another layout in mind. */
int nvmlDeviceGetGpuFabricInfoV(nvml_device_t device, struct nvml_fabric_v2 *fabric)
{
    struct nvml_fabric first;
    int status = nvmlDeviceGetGpuFabricInfo(device, &first);

    FAIL_IF_ASKED;
    if (fabric->version != (36u | 2u << 24))
        return BROKEN;
    if (status)
        return status;
    memcpy(fabric->uuid, first.uuid, sizeof fabric->uuid);
    fabric->status = first.status;
    fabric->clique = first.clique;
    fabric->state = first.state;
    fabric->health = 0;
    return NVML_OK;
}

int nvmlDeviceGetFieldValues(nvml_device_t device, int count, struct nvml_field *values)
{
    (void)device;
    FAIL_IF_ASKED;
    for (int i = 0; i < count; i++) {
        values[i].status = machine->c2c ? NVML_OK : NVML_NOT_SUPPORTED;
        values[i].value.large = 0;
        if (values[i].field == NVML_FIELD_C2C_COUNT)
            values[i].value.number = machine->c2c;
        else if (values[i].field == NVML_FIELD_C2C_STATUS)
            values[i].value.number = 1;
        else if (values[i].field == NVML_FIELD_C2C_BANDWIDTH)
            values[i].value.number = 90000;
        else
            values[i].status = BROKEN;
    }
    return NVML_OK;
}
