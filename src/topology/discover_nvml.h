/* SPDX-License-Identifier: BSD-3-Clause */
/* What is used of NVML, NVIDIA's management library, declared here because its header comes with the
 * CUDA toolkit and the library with the driver: names, numbers and layouts are those of NVML's API
 * reference.  NVML_FUNCTIONS: X(name, arguments); REQUIRED ones every library since 2017 has. */
#ifndef DISCOVER_NVML_H
#define DISCOVER_NVML_H

typedef struct nvml_device *nvml_device_t;

enum { NVML_OK = 0, NVML_NOT_SUPPORTED = 3, NVML_GPU_IS_LOST = 15 };
enum { NVML_NO_ATTACH = 2 };           /* nvmlInitWithFlags: GPUs only when they are asked for */
enum { NVML_REMOTE_GPU = 0, NVML_REMOTE_NPU = 1, NVML_REMOTE_SWITCH = 2 };
enum { NVML_FABRIC_NOT_SUPPORTED, NVML_FABRIC_NOT_STARTED, NVML_FABRIC_IN_PROGRESS,
       NVML_FABRIC_COMPLETED };
enum { NVML_LINKS_MOST = 18, NVML_UUID = 16 };
enum { NVML_FIELD_C2C_COUNT = 170, NVML_FIELD_C2C_STATUS = 171, NVML_FIELD_C2C_BANDWIDTH = 172 };

struct nvml_pci {                      /* nvmlPciInfo_t, third */
    char     legacy[16];
    unsigned domain, bus, device, pci_device, pci_subsystem;
    char     address[32];
};

struct nvml_fabric {                   /* nvmlGpuFabricInfo_t */
    unsigned char uuid[NVML_UUID];
    int      status;
    unsigned clique;
    unsigned char state;
};

struct nvml_fabric_v2 {                /* nvmlGpuFabricInfo_v2_t */
    unsigned version;
    unsigned char uuid[NVML_UUID];
    int      status;
    unsigned clique;
    unsigned char state;
    unsigned health;
};
#define NVML_FABRIC_V2 ((unsigned)sizeof(struct nvml_fabric_v2) | 2u << 24)

struct nvml_field {                    /* nvmlFieldValue_t */
    unsigned  field, scope;
    long long timestamp, latency;
    int       type, status;
    union { double real; unsigned number; unsigned long long large; } value;
};

#define NVML_REQUIRED(X)                                                                  \
    X(nvmlInit_v2, (void))                                                                \
    X(nvmlShutdown, (void))                                                               \
    X(nvmlDeviceGetCount_v2, (unsigned *count))                                           \
    X(nvmlDeviceGetHandleByIndex_v2, (unsigned index, nvml_device_t *device))             \
    X(nvmlDeviceGetNvLinkState, (nvml_device_t device, unsigned link, int *active))
#define NVML_OPTIONAL(X)                                                                  \
    X(nvmlInitWithFlags, (unsigned flags))                                                \
    X(nvmlDeviceGetPciInfo_v3, (nvml_device_t device, struct nvml_pci *pci))              \
    X(nvmlDeviceGetPciInfo_v2, (nvml_device_t device, struct nvml_pci *pci))              \
    X(nvmlDeviceGetName, (nvml_device_t device, char *name, unsigned length))             \
    X(nvmlDeviceGetCudaComputeCapability, (nvml_device_t device, int *major, int *minor)) \
    X(nvmlDeviceGetNvLinkRemotePciInfo_v2,                                                \
      (nvml_device_t device, unsigned link, struct nvml_pci *pci))                        \
    X(nvmlDeviceGetNvLinkRemoteDeviceType, (nvml_device_t device, unsigned link, int *type)) \
    X(nvmlDeviceGetNvLinkVersion, (nvml_device_t device, unsigned link, unsigned *version)) \
    X(nvmlDeviceGetMaxPcieLinkGeneration, (nvml_device_t device, unsigned *generation))   \
    X(nvmlDeviceGetCurrPcieLinkWidth, (nvml_device_t device, unsigned *lanes))            \
    X(nvmlDeviceGetGpuFabricInfo, (nvml_device_t device, struct nvml_fabric *fabric))     \
    X(nvmlDeviceGetGpuFabricInfoV, (nvml_device_t device, struct nvml_fabric_v2 *fabric)) \
    X(nvmlDeviceGetFieldValues, (nvml_device_t device, int count, struct nvml_field *values))

struct nvml {
#define NVML_MEMBER(name, arguments) int (*name) arguments;
    NVML_REQUIRED(NVML_MEMBER)
    NVML_OPTIONAL(NVML_MEMBER)
#undef NVML_MEMBER
    const char *(*nvmlErrorString)(int status);
};

#endif
