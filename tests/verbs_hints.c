/* SPDX-License-Identifier: BSD-3-Clause */
/* What peal-info makes of files of the kernel: of made-up trees, whole and damaged,
 * and of netlink messages. */
#include "transports/verbs/verbs_hints.h"

#include <linux/dcbnl.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK(condition, ...)                                                     \
    do {                                                                          \
        if (!(condition)) {                                                       \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);       \
            fprintf(stderr, __VA_ARGS__);                                         \
            fputc('\n', stderr);                                                  \
            exit(1);                                                              \
        }                                                                         \
    } while (0)

static char root[] = "/tmp/peal-hints-XXXXXX";

/* A file of the tree, with its folders; ends with '/': only the folder. */
static void put(const char *path, const char *bytes, size_t length)
{
    char whole[512];
    FILE *file;

    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(whole, 0700);
        *slash = '/';
    }
    if (whole[strlen(whole) - 1] == '/')
        return;
    file = fopen(whole, "w");
    CHECK(file && fwrite(bytes, 1, length, file) == length && fclose(file) == 0, "%s", whole);
}

static void put_text(const char *path, const char *text)
{
    put(path, text, strlen(text));
}

static void empty_root(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s' && mkdir '%s'", root, root);
    CHECK(system(command) == 0, "%s", command);
}

static void ecn(const char *point, const char *priorities)
{
    for (int i = 0; i < VERBS_PRIORITIES; i++) {
        char path[128];

        snprintf(path, sizeof path, "/sys/class/net/eth4/ecn/%s/enable/%d", point, i);
        put_text(path, strchr(priorities, '0' + i) ? "1\n" : "0\n");
    }
}

static void whole_tree(void)
{
    empty_root();
    put_text("/sys/class/infiniband/mlx5_0/ports/1/gid_attrs/ndevs/0", "eth4\n");
    put_text("/sys/class/infiniband/mlx5_0/tc/1/traffic_class", "Global tclass=106\n");
    put_text("/sys/class/infiniband/mlx5_0/device/iommu_group/type", "DMA-FQ\n");
    put_text("/sys/module/nvidia/", "");
    put_text("/sys/module/nvidia_peermem/", "");
    ecn("roce_np", "3");
    ecn("roce_rp", "0123");
}

static void expect_advice(const struct verbs_hints *hints, bool roce, int class, const char *words)
{
    char text[1024];

    verbs_hints_advise(hints, roce, class, text, sizeof text);
    CHECK(*words ? strstr(text, words) != NULL : !*text, "\"%s\" instead of \"%s\"", text, words);
    verbs_hints_advise(hints, roce, class, text, 20);          /* must fit */
    CHECK(strlen(text) < 20, "too long");
}

static void trees(void)
{
    struct verbs_hints h;
    char bits[8];

    whole_tree();
    verbs_hints_read(root, "mlx5_0", 1, &h);
    CHECK(!strcmp(h.interface, "eth4") && h.ecn_notify == 8 && h.ecn_react == 15 &&
          h.traffic_class == 106 && h.translated && h.gpu && h.peer_memory && h.pfc == -1,
          "%s %d %d %d", h.interface, h.ecn_notify, h.ecn_react, h.traffic_class);
    CHECK(!strcmp(verbs_hints_gpu(&h, false), "peermem") &&
          !strcmp(verbs_hints_gpu(&h, true), "dma-buf"), "GPUs");
    expect_advice(&h, true, 0, "roce_np");
    expect_advice(&h, true, 0, "iommu=pt");
    h.pfc = 1 << 4;
    expect_advice(&h, true, 0, "try PEAL_VERBS_TRAFFIC_CLASS=138");
    h.pfc = 1 << 3;                        /* which class 106 has */
    h.translated = false;
    h.ecn_react = 8;
    expect_advice(&h, true, 0, "");
    h.traffic_class = -1;
    expect_advice(&h, true, 0, "priority 3 of eth4, but traffic class 0");
    expect_advice(&h, true, 106, "");
    h.ecn_notify = h.ecn_react = h.pfc = 0;
    expect_advice(&h, true, 0, "neither PFC nor ECN");
    expect_advice(&h, false, 0, "");       /* InfiniBand does without */
    put_text("/sys/class/infiniband/mlx5_0/device/iommu_group/type", "identity\n");
    verbs_hints_read(root, "mlx5_0", 1, &h);
    CHECK(!h.translated, "a device past the IOMMU");
    verbs_hints_read(root, "mlx5_1", 1, &h);
    CHECK(!h.interface[0] && h.ecn_notify == -1 && h.traffic_class == -1 && !h.translated,
          "something of a device that is not there");
    empty_root();
    put_text("/sys/module/amdgpu/", "");
    verbs_hints_read(root, "mlx5_0", 1, &h);
    CHECK(!strcmp(verbs_hints_gpu(&h, false), "no"), "a GPU without a way to it");
    h.gpu = false;
    CHECK(!strcmp(verbs_hints_gpu(&h, true), "no GPU"), "no GPU");
    verbs_hints_bits(0xff, bits, sizeof bits);
    CHECK(!strcmp(bits, "0,1,2,3"), "cut off: %s", bits);
    verbs_hints_bits(-1, bits, sizeof bits);
    CHECK(!strcmp(bits, "?"), "%s", bits);
    printf("a tree of files\n");
}

/* Whatever a file contains, nothing is made of it that is not there. */
static void damaged(void)
{
    static const char *const wrong[] = { "", "\n", "x", "-1\n", "2\n", "1 1\n", "1x\n",
                                         "99999999999999999999\n", "../../x\n", "tclass=",
                                         "tclass=256", "tclass=-1", "tclass=x",
                                         "a name that is too long for an interface\n" };
    char longer[5000];
    struct verbs_hints h;

    memset(longer, '1', sizeof longer);
    for (size_t i = 0; i <= sizeof wrong / sizeof wrong[0]; i++) {
        const char *text = i < sizeof wrong / sizeof wrong[0] ? wrong[i] : longer;
        size_t bytes = text == longer ? sizeof longer : strlen(text);

        whole_tree();
        put("/sys/class/net/eth4/ecn/roce_np/enable/5", text, bytes);
        put("/sys/class/infiniband/mlx5_0/tc/1/traffic_class", text, bytes);
        put("/sys/class/infiniband/mlx5_0/device/iommu_group/type", text, bytes);
        verbs_hints_read(root, "mlx5_0", 1, &h);
        CHECK(h.ecn_notify == -1 && h.ecn_react == 15 && h.traffic_class == -1 && !h.translated,
              "%d: %d %d", (int)i, h.ecn_notify, h.traffic_class);
        if (bytes < 9 && text[0] != '.')   /* may be an interface */
            continue;
        put("/sys/class/infiniband/mlx5_0/ports/1/gid_attrs/ndevs/0", text, bytes);
        verbs_hints_read(root, "mlx5_0", 1, &h);
        CHECK(strlen(h.interface) < sizeof h.interface && !strchr(h.interface, '/'), "%s",
              h.interface);
    }
    printf("damaged files\n");
}

struct answer {
    struct nlmsghdr head;
    struct dcbmsg   dcb;
    struct nlattr   name;
    char            text[8];
    struct nlattr   ieee, pfc;
    unsigned char   bytes[NLA_ALIGN(sizeof(struct ieee_pfc))];
};

static void messages(uint64_t seed)
{
    struct answer good = {
        .head = { .nlmsg_len = sizeof good, .nlmsg_type = RTM_GETDCB },
        .name = { .nla_len = 4 + 5, .nla_type = DCB_ATTR_IFNAME }, .text = "eth4",
        .ieee = { .nla_len = (uint16_t)(8 + sizeof good.bytes),
                  .nla_type = DCB_ATTR_IEEE | NLA_F_NESTED },
        .pfc = { .nla_len = 4 + sizeof(struct ieee_pfc), .nla_type = DCB_ATTR_IEEE_PFC },
        .bytes = { 8, 0x18 }
    };
    unsigned char *copy;

    CHECK(verbs_hints_pfc_parse(&good, sizeof good) == 0x18, "a good answer");
    srandom((unsigned)seed);
    for (size_t bytes = 0; bytes < sizeof good; bytes++) {     /* cut off, in memory that ends */
        copy = malloc(bytes + 1);
        memcpy(copy, &good, bytes);
        CHECK(verbs_hints_pfc_parse(copy, bytes) == -1, "%zu bytes", bytes);
        free(copy);
    }
    for (int i = 0; i < 200000; i++) {
        int got;

        copy = malloc(sizeof good);
        memcpy(copy, &good, sizeof good);
        for (int k = 0; k < 1 + i % 3; k++)
            copy[(size_t)random() % sizeof good] = (unsigned char)random();
        got = verbs_hints_pfc_parse(copy, sizeof good);
        CHECK(got >= -1 && got <= 255, "%d", got);
        free(copy);
    }
    CHECK(verbs_hints_pfc("lo") == -1, "PFC of the loopback");
    CHECK(verbs_hints_pfc("a name that is too long") == -1, "PFC of nothing");
    printf("the kernel's answers about PFC, seed %llu\n", (unsigned long long)seed);
}

int main(int argc, char **argv)
{
    CHECK(mkdtemp(root), "mkdtemp");
    trees();
    damaged();
    messages(argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)getpid());
    empty_root();
    rmdir(root);
    return 0;
}
