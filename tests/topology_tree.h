/* SPDX-License-Identifier: BSD-3-Clause */
/* Small trees that look like /sys, in a folder of their own.  One tree at a time. */
#ifndef TOPOLOGY_TREE_H
#define TOPOLOGY_TREE_H

#include "checks.h"

#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char tree[64];                  /* where it is */

__attribute__((format(printf, 2, 3)))
static void tree_path(char path[PATH_MAX], const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(path, PATH_MAX, format, arguments);
    va_end(arguments);
    check(length < PATH_MAX, "a path is too long: %s", path);
}

static int tree_remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void tree_end(void)
{
    if (tree[0])
        nftw(tree, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    tree[0] = 0;
}

static void tree_begin(void)
{
    tree_end();
    strcpy(tree, "/tmp/peal-tree-XXXXXX");
    if (!mkdtemp(tree)) {
        check(false, "mkdtemp: no folder in /tmp");
        exit(1);
    }
}

static void tree_folders(char *path)
{
    for (char *at = path + strlen(tree) + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        mkdir(path, 0700);
        *at = '/';
    }
}

/* A file of `length` bytes at tree/path. */
static void tree_bytes(const char *path, const void *bytes, size_t length)
{
    char full[PATH_MAX];
    FILE *out;

    tree_path(full, "%s/%s", tree, path);
    tree_folders(full);
    out = fopen(full, "w");
    check(out && fwrite(bytes, 1, length, out) == length, "cannot write %s", full);
    if (out)
        fclose(out);
}

/* A file of one line, at folder/name. */
static void tree_line(const char *folder, const char *name, const char *text)
{
    char path[PATH_MAX], line[512];

    tree_path(path, "%s/%s", folder, name);
    snprintf(line, sizeof line, "%s\n", text);
    tree_bytes(path, line, strlen(line));
}

/* tree/path is a link to tree/to. */
static void tree_link(const char *path, const char *to)
{
    char full[PATH_MAX], target[PATH_MAX];

    tree_path(full, "%s/%s", tree, path);
    tree_path(target, "%s/%s", tree, to);
    tree_folders(full);
    check(!symlink(target, full), "cannot link %s", full);
}

/* A PCI function in a folder below devices/: "pci0000:10/0000:10:01.0". */
static void tree_pci(const char *folder, const char *pci_class, const char *vendor, const char *device,
                     int numa, const char *speed, const char *lanes)
{
    const char *address = strrchr(folder, '/') + 1;
    char place[PATH_MAX], path[PATH_MAX], text[16];

    tree_path(place, "devices/%s", folder);
    snprintf(text, sizeof text, "%d", numa);
    tree_line(place, "class", pci_class);
    tree_line(place, "vendor", vendor);
    tree_line(place, "device", device);
    tree_line(place, "numa_node", text);
    tree_line(place, "current_link_speed", speed);
    tree_line(place, "max_link_speed", speed);
    tree_line(place, "current_link_width", lanes);
    tree_line(place, "max_link_width", lanes);
    tree_path(path, "bus/pci/devices/%s", address);
    tree_link(path, place);
}

/* What a driver bound to the function makes. */
static void tree_driver(const char *folder, const char *driver)
{
    char path[PATH_MAX], to[PATH_MAX];

    tree_path(path, "devices/%s/driver", folder);
    tree_path(to, "bus/pci/drivers/%s", driver);
    tree_link(path, to);
}

static void tree_verbs(const char *folder, const char *name, const char *rate, const char *state)
{
    char path[PATH_MAX], device[PATH_MAX];

    tree_path(path, "devices/%s/infiniband/%s/ports/1", folder, name);
    tree_line(path, "rate", rate);
    tree_line(path, "state", state);
    tree_path(path, "devices/%s/infiniband/%s", folder, name);
    tree_line(path, "node_guid", "b8ce:f603:00aa:00bb");
    tree_path(device, "devices/%s", folder);
    tree_path(path, "devices/%s/infiniband/%s/device", folder, name);
    tree_link(path, device);
    tree_path(path, "class/infiniband/%s", name);
    tree_path(device, "devices/%s/infiniband/%s", folder, name);
    tree_link(path, device);
}

static void tree_net(const char *folder, const char *name, const char *speed, const char *state)
{
    char path[PATH_MAX], device[PATH_MAX];

    tree_path(path, "devices/%s/net/%s", folder, name);
    tree_line(path, "speed", speed);
    tree_line(path, "operstate", state);
    tree_path(device, "class/net/%s", name);
    tree_link(device, path);
    tree_path(path, "devices/%s/net/%s/device", folder, name);
    tree_path(device, "devices/%s", folder);
    tree_link(path, device);
}

static void tree_numa(int number, const char *cpus, int first, int package)
{
    char path[PATH_MAX], text[16];

    tree_path(path, "devices/system/node/node%d", number);
    tree_line(path, "cpulist", cpus);
    tree_path(path, "devices/system/cpu/cpu%d/topology", first);
    snprintf(text, sizeof text, "%d", package);
    tree_line(path, "physical_package_id", text);
}

#endif
