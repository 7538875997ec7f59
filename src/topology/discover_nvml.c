/* SPDX-License-Identifier: BSD-3-Clause */
/* GPUs and their NVLinks, as NVML tells them.  Its list of GPUs is the true one: those that sysfs
 * has and NVML has not are somebody else's (a container's, a cgroup's) or broken. */
#include "topology/discover.h"
#include "topology/discover_nvml.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GPUS_MOST = 128 };

struct gpu {
    nvml_device_t handle;
    int  device;                       /* in the machine; -1: it does not answer */
    int  active, switched;             /* NVLinks; of these to an NVSwitch */
    int  idle[NVML_LINKS_MOST], nidle; /* those that it has and does not use */
    bool off_fabric;
};

struct asking {
    struct discovery *d;
    struct nvml nvml;
    struct gpu gpus[GPUS_MOST];
    int    ngpus;
    unsigned version;                  /* of NVLinks, the latest seen, as NVML numbers them */
    unsigned char lanes[GPUS_MOST][GPUS_MOST];     /* as each end tells them */
};

/* The library stays loaded: drivers do not like to be unloaded. */
static bool load(struct asking *a, const char *name)
{
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    const char *lacks = NULL;

    if (!library)
        return false;                  /* the usual case: no NVIDIA driver */
#define FIND(function, arguments) *(void **)&a->nvml.function = dlsym(library, #function);
    NVML_REQUIRED(FIND)
    NVML_OPTIONAL(FIND)
#undef FIND
    *(void **)&a->nvml.nvmlErrorString = dlsym(library, "nvmlErrorString");
#define CHECK(function, arguments) lacks = a->nvml.function ? lacks : #function;
    NVML_REQUIRED(CHECK)
#undef CHECK
    if (lacks)
        topology_note(a->d->t, true, "%s has no %s: too old a driver, NVLinks are not known", name,
                      lacks);
    return !lacks;
}

static const char *reason(const struct asking *a, int status)
{
    const char *text = a->nvml.nvmlErrorString ? a->nvml.nvmlErrorString(status) : NULL;

    return text ? text : "for a reason without a name";
}

static bool begin(struct asking *a, const char *name)
{
    int status = -1;

    if (a->nvml.nvmlInitWithFlags)
        status = a->nvml.nvmlInitWithFlags(NVML_NO_ATTACH);
    if (status)
        status = a->nvml.nvmlInit_v2();
    if (status)
        topology_note(a->d->t, true, "%s does not start (%s): NVLinks are not known", name,
                      reason(a, status));
    return !status;
}

/* ---- GPUs ------------------------------------------------------------------------------ */

static uint64_t bus_of(const struct nvml_pci *pci)
{
    return (uint64_t)pci->domain << 32 | (uint64_t)(pci->bus & 0xff) << 16 |
           (uint64_t)(pci->device & 0xff) << 8;
}

static int find_bus(const struct machine *m, uint64_t bus)
{
    for (int i = 0; i < m->ndevices; i++)
        if (m->devices[i].bus == bus && m->devices[i].kind != MACHINE_BRIDGE)
            return i;
    return -1;
}

/* Its PCI function; one that sysfs does not show is put below a root of its own. */
static int place(struct asking *a, nvml_device_t handle, int number)
{
    struct nvml_pci pci = { .domain = 0 };
    int (*ask)(nvml_device_t, struct nvml_pci *) = a->nvml.nvmlDeviceGetPciInfo_v3
        ? a->nvml.nvmlDeviceGetPciInfo_v3 : a->nvml.nvmlDeviceGetPciInfo_v2;
    int status = ask ? ask(handle, &pci) : NVML_NOT_SUPPORTED, found;
    char address[20];

    if (status) {
        topology_note(a->d->t, true, "GPU %d of NVML has no PCI address (%s): left out", number,
                      reason(a, status));
        return -1;
    }
    found = find_bus(&a->d->m, bus_of(&pci));
    if (found < 0) {
        topology_bus_print(bus_of(&pci), address);
        topology_note(a->d->t, true, "GPU %d (%s) is not in sysfs: which NUMA node, PCI switch and "
                      "NIC it is near to is not known", number, address);
        topology_note_guess(a->d->t);
        found = discover_device(a->d, MACHINE_GPU, bus_of(&pci), -1);
        if (found < 0)
            return -1;
        a->d->m.devices[found].vendor = pci.pci_device & 0xffff;
        a->d->m.devices[found].device = pci.pci_device >> 16;
        a->d->m.devices[found].pci_class = 0x030200;
    }
    return found;
}

static void describe(struct asking *a, struct gpu *gpu, int number)
{
    static const double transfers[] = { 0, 2.5, 5, 8, 16, 32, 64 };
    struct machine_device *device = &a->d->m.devices[gpu->device];
    unsigned generation = 0, lanes = 0;
    int major = 0, minor = 0;

    device->kind = MACHINE_GPU;
    device->number = number;
    if (a->nvml.nvmlDeviceGetName &&
        a->nvml.nvmlDeviceGetName(gpu->handle, device->model, sizeof device->model))
        device->model[0] = 0;
    device->model[sizeof device->model - 1] = 0;
    if (a->nvml.nvmlDeviceGetCudaComputeCapability &&
        !a->nvml.nvmlDeviceGetCudaComputeCapability(gpu->handle, &major, &minor) && major > 0)
        device->capability = major * 10 + minor;
    if (device->lanes && device->speed > 0)
        return;
    if (a->nvml.nvmlDeviceGetMaxPcieLinkGeneration && a->nvml.nvmlDeviceGetCurrPcieLinkWidth &&
        !a->nvml.nvmlDeviceGetMaxPcieLinkGeneration(gpu->handle, &generation) &&
        !a->nvml.nvmlDeviceGetCurrPcieLinkWidth(gpu->handle, &lanes) && generation >= 1 &&
        generation < sizeof transfers / sizeof *transfers && lanes >= 1 && lanes <= 32) {
        device->speed = transfers[generation];
        device->lanes = (int)lanes;
    }
}

static void read_gpus(struct asking *a)
{
    unsigned count = 0;
    int status = a->nvml.nvmlDeviceGetCount_v2(&count);

    if (status || !count)
        topology_note(a->d->t, true, "NVML lists no GPU (%s)",
                      status ? reason(a, status) : "it sees none");
    if (status)
        return;
    if (count > GPUS_MOST)
        count = GPUS_MOST;
    for (unsigned i = 0; i < count; i++) {
        struct gpu *gpu = &a->gpus[a->ngpus++];

        gpu->device = -1;
        status = a->nvml.nvmlDeviceGetHandleByIndex_v2(i, &gpu->handle);
        if (status) {
            topology_note(a->d->t, true, "GPU %u does not answer NVML (%s): left out%s", i,
                          reason(a, status), status == NVML_GPU_IS_LOST
                          ? "; it has fallen off the bus, reset or power cycle the machine" : "");
            continue;
        }
        gpu->device = place(a, gpu->handle, (int)i);
        if (gpu->device >= 0)
            describe(a, gpu, (int)i);
    }
    a->d->nvml = true;
}

/* NVIDIA's in sysfs that NVML did not name. */
static void drop_hidden(struct asking *a)
{
    char address[20];

    for (int i = 0; i < a->d->m.ndevices; i++) {
        struct machine_device *device = &a->d->m.devices[i];
        bool named = false;

        if (device->kind != MACHINE_GPU || device->vendor != 0x10de)
            continue;
        for (int k = 0; k < a->ngpus && !named; k++)
            named = a->gpus[k].device == i;
        if (named)
            continue;
        device->kind = MACHINE_OTHER;
        topology_bus_print(device->bus, address);
        topology_note(a->d->t, true, "GPU %s is in this machine, but NVML does not give it to this "
                      "process (a container's or cgroup's choice, or it is broken): left out", address);
    }
}

/* ---- NVLinks ---------------------------------------------------------------------------- */

static int peer_of(const struct asking *a, uint64_t bus)
{
    for (int i = 0; i < a->ngpus; i++)
        if (a->gpus[i].device >= 0 && a->d->m.devices[a->gpus[i].device].bus == bus)
            return i;
    return -1;
}

/* An active link's other end.  Old drivers do not name its type; the address of a switch may be
 * made up, and a GPU's that is not ours leads nowhere. */
static void read_link(struct asking *a, int i, unsigned link, int *to_cpu)
{
    struct gpu *gpu = &a->gpus[i];
    struct nvml_pci pci = { .domain = 0 };
    unsigned version = 0;
    int type = -1, peer = -1;
    bool known;

    gpu->active++;
    if (a->nvml.nvmlDeviceGetNvLinkVersion &&
        !a->nvml.nvmlDeviceGetNvLinkVersion(gpu->handle, link, &version) && version > a->version)
        a->version = version;
    if (a->nvml.nvmlDeviceGetNvLinkRemoteDeviceType &&
        a->nvml.nvmlDeviceGetNvLinkRemoteDeviceType(gpu->handle, link, &type))
        type = -1;
    known = a->nvml.nvmlDeviceGetNvLinkRemotePciInfo_v2 &&
            !a->nvml.nvmlDeviceGetNvLinkRemotePciInfo_v2(gpu->handle, link, &pci);
    if (known && type != NVML_REMOTE_SWITCH && type != NVML_REMOTE_NPU)
        peer = peer_of(a, bus_of(&pci));
    if (peer >= 0 && peer != i)
        a->lanes[i][peer]++;
    else if (type == NVML_REMOTE_NPU)
        ++*to_cpu;
    else if (type == NVML_REMOTE_SWITCH || (type < 0 && known && (pci.pci_device & 0xffff) == 0x10de &&
             machine_capability(0x10de, pci.pci_device >> 16) == 0))
        gpu->switched++;
}

static void note_idle(struct asking *a, int i)
{
    const struct gpu *gpu = &a->gpus[i];
    char links[64] = "";
    int most = 0;

    for (int k = 0; k < a->ngpus; k++)
        if (a->gpus[k].active > most)
            most = a->gpus[k].active;
    if (!gpu->nidle || gpu->active >= most)
        return;
    for (int k = 0; k < gpu->nidle; k++)
        snprintf(links + strlen(links), sizeof links - strlen(links), "%s%d", k ? "," : "",
                 gpu->idle[k]);
    topology_note(a->d->t, true, "GPU %d: NVLinks %s are inactive, %d are active (%d of another GPU): "
                  "look at nvidia-smi nvlink -s -i %d, its errors (-e), the bridge or the fabric "
                  "manager's log", i, links, gpu->active, most, i);
}

static void read_links(struct asking *a)
{
    for (int i = 0; i < a->ngpus; i++) {
        struct gpu *gpu = &a->gpus[i];
        int to_cpu = 0;

        for (unsigned link = 0; link < NVML_LINKS_MOST && gpu->device >= 0; link++) {
            int active = 0;

            if (a->nvml.nvmlDeviceGetNvLinkState(gpu->handle, link, &active))
                continue;              /* it has no such link */
            if (active)
                read_link(a, i, link, &to_cpu);
            else
                gpu->idle[gpu->nidle++] = (int)link;
        }
        if (to_cpu)
            machine_link(&a->d->m, gpu->device, MACHINE_TO_CPU, MEDIUM_NVLINK, to_cpu, 0);
    }
    for (int i = 0; i < a->ngpus; i++)
        note_idle(a, i);
    for (int i = 0; i < a->ngpus; i++)
        for (int k = i + 1; k < a->ngpus; k++) {
            int lanes = a->lanes[i][k] > a->lanes[k][i] ? a->lanes[i][k] : a->lanes[k][i];

            if (lanes)
                machine_link(&a->d->m, a->gpus[i].device, a->gpus[k].device, MEDIUM_NVLINK, lanes, 0);
        }
}

/* ---- Fabric ------------------------------------------------------------------------------ */

/* FNV-1a; 0 means none. */
static uint64_t hash(const unsigned char uuid[NVML_UUID], unsigned clique)
{
    uint64_t value = 0xcbf29ce484222325u;

    for (int i = 0; i < NVML_UUID + 4; i++)
        value = (value ^ (i < NVML_UUID ? uuid[i] : clique >> 8 * (i - NVML_UUID) & 0xff)) *
                0x100000001b3u;
    return value ? value : 1;
}

static bool ask_fabric(const struct asking *a, const struct gpu *gpu, struct nvml_fabric *fabric)
{
    struct nvml_fabric_v2 second = { .version = NVML_FABRIC_V2 };

    if (a->nvml.nvmlDeviceGetGpuFabricInfoV &&
        !a->nvml.nvmlDeviceGetGpuFabricInfoV(gpu->handle, &second)) {
        *fabric = (struct nvml_fabric){ .status = second.status, .clique = second.clique,
                                        .state = second.state };
        memcpy(fabric->uuid, second.uuid, sizeof fabric->uuid);
        return true;
    }
    return a->nvml.nvmlDeviceGetGpuFabricInfo &&
           !a->nvml.nvmlDeviceGetGpuFabricInfo(gpu->handle, fabric);
}

/* GPUs whose switches reach beyond the machine have a cluster's id; on a single one's it is 0. */
static void read_fabric(struct asking *a, int i)
{
    static const char *const states[] = { "not supported", "not started", "in progress", "completed" };
    struct gpu *gpu = &a->gpus[i];
    struct nvml_fabric fabric = { .state = NVML_FABRIC_NOT_SUPPORTED };
    bool some = false;

    if (gpu->device < 0 || !gpu->switched || !ask_fabric(a, gpu, &fabric) ||
        fabric.state == NVML_FABRIC_NOT_SUPPORTED)
        return;
    if (fabric.state != NVML_FABRIC_COMPLETED || fabric.status) {
        gpu->off_fabric = true;
        topology_note(a->d->t, true, "GPU %d is off the NVLink fabric (registration %s%s%s): CUDA may "
                      "refuse it, and its switches are not used; look at the fabric manager "
                      "(nvidia-smi -q -i %d)", i, fabric.state < 4 ? states[fabric.state] : "unknown",
                      fabric.status ? ", " : "", fabric.status ? reason(a, fabric.status) : "", i);
        return;
    }
    for (int k = 0; k < NVML_UUID; k++)
        some |= fabric.uuid[k];
    if (some)
        a->d->m.devices[gpu->device].fabric = hash(fabric.uuid, fabric.clique);
}

/* Grace's link to its GPU: MB/s of each of several links, each way. */
static void read_c2c(struct asking *a, const struct gpu *gpu)
{
    struct nvml_field count = { .field = NVML_FIELD_C2C_COUNT };
    unsigned links = 0, bandwidth = 0;

    if (gpu->device < 0 || a->d->m.devices[gpu->device].capability < 90 ||
        !a->nvml.nvmlDeviceGetFieldValues ||
        a->nvml.nvmlDeviceGetFieldValues(gpu->handle, 1, &count) || count.status)
        return;
    for (unsigned i = 0; i < count.value.number && i < 64; i++) {
        struct nvml_field link[2] = { { .field = NVML_FIELD_C2C_STATUS, .scope = i },
                                      { .field = NVML_FIELD_C2C_BANDWIDTH, .scope = i } };

        if (a->nvml.nvmlDeviceGetFieldValues(gpu->handle, 2, link) || link[0].status ||
            !link[0].value.number || link[1].status)
            continue;
        links++;
        bandwidth += link[1].value.number;
    }
    if (bandwidth)
        machine_link(&a->d->m, gpu->device, MACHINE_TO_CPU, MEDIUM_C2C, (int)links, bandwidth / 1000.0);
}

/* NVLink's versions in the order that NVML numbers them.  Only told: drivers are known to say 5.0 of an
 * H100, so the compute capability decides on the speed. */
static const char *version_name(unsigned version)
{
    static const char *const names[] = { "", " 1.0", " 2.0", " 2.2", " 3.0", " 3.1", " 4.0", " 5.0",
                                         " 6.0" };

    return version < sizeof names / sizeof *names ? names[version] : " later than 6.0";
}

void discover_nvml(struct discovery *d)
{
    struct asking *a = d->places->nvml ? calloc(1, sizeof *a) : NULL;
    int links = 0, switched = 0;
    bool nvidia = false;

    for (int i = 0; i < d->m.ndevices; i++)
        nvidia |= d->m.devices[i].kind == MACHINE_GPU && d->m.devices[i].vendor == 0x10de;
    if (!a)
        return;
    a->d = d;
    if (!load(a, d->places->nvml)) {
        if (nvidia)
            topology_note(d->t, true, "there are NVIDIA GPUs, but %s cannot be loaded: their NVLinks "
                          "are not known; install the driver's libraries, in a container too",
                          d->places->nvml);
    } else if (begin(a, d->places->nvml)) {
        read_gpus(a);
        if (d->nvml)
            drop_hidden(a);
        read_links(a);
        for (int i = 0; i < a->ngpus; i++) {
            struct gpu *gpu = &a->gpus[i];

            read_fabric(a, i);
            read_c2c(a, gpu);
            if (gpu->switched && !gpu->off_fabric)
                machine_link(&d->m, gpu->device, MACHINE_TO_SWITCH, MEDIUM_NVLINK, gpu->switched, 0);
            links += gpu->active;
            switched += gpu->switched;
        }
        if (d->nvml)
            topology_note(d->t, false, "NVML: %d GPUs, %d ends of active NVLinks%s%s, %d of these to "
                          "NVSwitches", a->ngpus, links, a->version ? " of version" : "",
                          version_name(a->version), switched);
        a->nvml.nvmlShutdown();
    }
    free(a);
}
