/* SPDX-License-Identifier: BSD-3-Clause */
/* Texts that are nearly right: cut at every byte, with bytes, values and parts changed as a seeded
 * generator says, and of forms that cost readers much. */
#include "failing_memory.h"
#include "topology_well.h"

#include "base/status.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LONGEST = 1 << 15, CORPUS = 10 };
enum { SECONDS_MOST = 5 };             /* for a text, with sanitizers; hours if it is the square of something */

static uint64_t state;
static long cases_run, not_borne;

static size_t draw(size_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return below ? (size_t)(state >> 33) % below : 0;
}

/* A copy of just the length, so that a sanitizer sees what reads beyond it. */
static void try(const char *what, const char *text, size_t length)
{
    char *copy = malloc(length ? length : 1);
    clock_t start = clock();
    double seconds;

    memcpy(copy, text, length);
    cases_run++;
    if (!topology_survives(copy, length)) {
        printf("FAIL: %s: %.*s\n", what, (int)(length < 2000 ? length : 2000), copy);
        not_borne++;
    }
    seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (seconds > SECONDS_MOST) {
        printf("FAIL: %s: %.1f seconds of computing; more than %d\n", what, seconds, SECONDS_MOST);
        not_borne++;
    }
    free(copy);
}

/* ---- Running out of memory ------------------------------------------------------------- */

/* Each allocation fails once, and all behind it. */
static void without_memory(const char *what, const char *text, size_t length)
{
    int status = PEAL_ERR_MEMORY;
    long n = 0;

    for (; status && n < 100000; n++) {
        struct topology t;
        char *own = NULL, *xml = NULL;

        allocations_left = n;
        status = topology_read_text(text, length, "memory", &t);
        allocations_left = -1;
        cases_run++;
        if (status && status != PEAL_ERR_MEMORY) {
            printf("FAIL: %s without memory for allocation %ld: %s\n", what, n, status_text());
            not_borne++;
        }
        if (status)
            continue;
        for (long k = 0; k < 10000 && !(own && xml); k++) {
            free(own);
            free(xml);
            allocations_left = k;
            own = topology_write_own(&t);
            allocations_left = k;
            xml = topology_write_nccl(&t);
            allocations_left = -1;
        }
        if (!own || !xml)
            not_borne++;
        free(own);
        free(xml);
        topology_free(&t);
    }
    if (n < 5 || status) {
        printf("FAIL: %s: %ld allocations, status %d\n", what, n, status);
        not_borne++;
    }
}

/* ---- Texts to begin with --------------------------------------------------------------- */

struct text {
    char  *bytes;
    size_t length;
};

static struct text from_file(const char *machine)
{
    const char *top = getenv("srcdir");
    char path[PATH_MAX];
    struct text text = { calloc(1, LONGEST), 0 };
    FILE *file;

    snprintf(path, sizeof path, "%s/tests/topologies/%s/topo.xml", top ? top : ".", machine);
    file = fopen(path, "r");
    if (file) {
        text.length = fread(text.bytes, 1, LONGEST, file);
        fclose(file);
    } else {
        printf("FAIL: %s: %m\n", path);
        not_borne++;
    }
    return text;
}

static struct text from_words(const char *words, bool own)
{
    struct text text = { NULL, 0 };
    struct topology t;

    if (own && !topology_read_text(words, strlen(words), "words", &t)) {
        text.bytes = topology_write_own(&t);
        topology_free(&t);
    } else
        text.bytes = strdup(words);
    text.length = strlen(text.bytes);
    return text;
}

static int corpus(struct text texts[CORPUS])
{
    int n = 0;

    texts[n++] = from_words("node:2 socket:2 switch:4 gpu:8 nvswitch nic:8@400", false);
    texts[n++] = from_words("gpu:4@a6000 nvlink:pairsx2 pcie:gen4x8 c2c@40", false);
    texts[n++] = from_words("node:2 socket:2 gpu:2 nvlink:ring nic:2@400", true);
    texts[n++] = from_words("domain:2 node:2 gpu:2@gb200 c2c nvswitch nic", true);
    if (topology_without_expat())
        return n;
    texts[n++] = from_file("azure-ncv4-a100");
    texts[n++] = from_file("perlmutter-a100");
    texts[n++] = from_file("aws-g5-a10g");
    texts[n++] = from_file("amd-mi250-8gcd");
    texts[n++] = from_file("oci-bm-gpu-h100");
    texts[n++] = from_file("rtx4090-4x-epyc");
    return n;
}

/* ---- Changes -------------------------------------------------------------------------------- */

/* The place behind the next quote at or after a drawn place; `length` if there is none. */
static size_t quote(const char *text, size_t length, size_t from)
{
    while (from < length && text[from] != '"')
        from++;
    return from < length ? from + 1 : length;
}

/* The text between two quotes is put in place of another such one. */
static size_t swap_values(char *text, size_t length, const struct text *other)
{
    static const char *const values[] = {
        "", "-1", "99999999999999999999", "0x", "1e400", "nan", "4294967296", "2147483647", "-2147483648",
        "fffffff:ff:ff.0", "0000:01:00.0", "0x068000", "0x030200", "gfx", "&#x41;", "&amp;", "\xff", "%s%n",
    };
    size_t at = quote(text, length, draw(length)), end = quote(text, length, at), n;
    const char *with = values[draw(sizeof values / sizeof *values)];
    char piece[64];

    if (draw(2)) {
        size_t from = quote(other->bytes, other->length, draw(other->length));

        n = quote(other->bytes, other->length, from) - from;
        n = n > 1 && n < sizeof piece ? n - 1 : 0;
        memcpy(piece, other->bytes + (from < other->length ? from : 0), n);
        piece[n] = 0;
        with = piece;
    }
    n = strlen(with);
    if (end <= at || length - (end - 1 - at) + n > LONGEST)
        return length;
    memmove(text + at + n, text + end - 1, length - (end - 1));
    memcpy(text + at, with, n);
    return length - (end - 1 - at) + n;
}

static size_t change(char *text, size_t length, const struct text *other)
{
    size_t at = draw(length), n = draw(length - at < 200 ? length - at : 200);

    switch (draw(6)) {
    case 0:                            /* a byte */
        if (length)
            text[at] = (char)draw(256);
        return length;
    case 1:                            /* a byte that means something */
        if (length)
            text[at] = "<>/=\"'&;:@ \n\0#-x0"[draw(17)];
        return length;
    case 2:                            /* a part is gone */
        memmove(text + at, text + at + n, length - at - n);
        return length - n;
    case 3:                            /* a part twice */
        if (length + n > LONGEST)
            return length;
        memmove(text + at + n, text + at, length - at);
        return length + n;
    default:
        return swap_values(text, length, other);
    }
}

/* ---- What costs much ----------------------------------------------------------------------------- */

/* `before`, `times` times `each` (with %d: 0, 1, ...), `after`. */
static void many(const char *what, const char *before, const char *each, int times, const char *after)
{
    size_t room = strlen(each) + 24, used = 0;
    char *text;

    for (const char *c = each; *c; c++)
        room += *c == '%' ? 12 : 0;
    room = strlen(before) + strlen(after) + (size_t)times * room + 1;
    text = malloc(room);
    used += (size_t)snprintf(text, room, "%s", before);
    for (int i = 0; i < times; i++)
        for (const char *c = each; *c; c++)
            if (*c == '%')
                used += (size_t)snprintf(text + used, room - used, "%d", i);
            else
                text[used++] = *c;
    used += (size_t)snprintf(text + used, room - used, "%s", after);
    try(what, text, used);
    free(text);
}

/* As many NUMA nodes as fit on as many hosts as can be. */
static void many_hosts(void)
{
    char each[32 * 40];
    int used = 0;

    for (int i = 0; i < 32; i++)
        used += snprintf(each + used, sizeof each - (size_t)used, "<cpu host_hash='%%' numaid='%d'/>", i);
    many("many hosts with many NUMA nodes", "<system>", each, TOPOLOGY_HOSTS_MOST, "</system>");
}

#define GPU "<pci busid='%:0:0.0'><gpu>"

static void costly(void)
{
    many("deep XML", "<system><cpu>", "<pci busid='%:0:0.0'>", 100000, "");
    many("as deep as can be", "<system><cpu>", "<pci>", 50, "</pci>");
    many("many elements", "<system><cpu>", "<pci/>", 200000, "</cpu></system>");
    many("many strange elements", "<system><cpu/>", "<x/>", 100000, "</system>");
    many("many attributes", "<system ", "a%='' ", 20000, "><cpu/></system>");
    many("a long value", "<system><cpu arch='", "aaaaaaaaaa", 100000, "'/></system>");
    many("many hosts", "<system>", "<cpu host_hash='%'/>", 3000, "</system>");
    many("one host many times", "<system>", "<cpu host_hash='a' numaid='1'/>", 60000, "</system>");
    many_hosts();
    many("many NUMA nodes", "<system>", "<cpu numaid='%'/>", 3000, "</system>");
    many("many GPUs", "<system><cpu>", GPU "</gpu></pci>", 20000, "</cpu></system>");
    many("GPUs of one number", "<system><cpu>", "<pci busid='%:0:0.0'><gpu dev='0'/></pci>", 20000,
         "</cpu></system>");
    many("GPUs of one address", "<system><cpu><pci busid='1:0.0'>", "<gpu/>", 20000, "</pci></cpu></system>");
    many("many links", "<system><cpu><pci busid='1:0.0'><gpu>",
         "<nvlink target='2:0.0' count='1024'/>", 50000, "</gpu></pci></cpu></system>");
    many("many planes", "<system><cpu><pci busid='1:0.0'><gpu>",
         "<nvlink target='%:0:0.0' tclass='0x068000' count='1024'/>", 50000, "</gpu></pci></cpu></system>");
    many("many C2C", "<system><cpu><pci busid='1:0.0'><gpu>", "<c2c count='1024' bw='1e9'/>", 50000,
         "</gpu></pci></cpu></system>");
    many("many ports", "<system><cpu><nic>", "<net name='a%' dev='%'/>", 20000, "</nic></cpu></system>");
    many("ports of one name", "<system><cpu><nic>", "<net name='a' dev='%'/>", 20000, "</nic></cpu></system>");
    many("many NICs", "<system><cpu>", "<nic><net name='a' dev='0'/></nic>", 20000, "</cpu></system>");
    many("entities", "<!DOCTYPE s [<!ENTITY e0 'aaaaaaaaaa'>", "<!ENTITY f% '&e0;&e0;'>", 1000,
         "]><system><cpu/></system>");
    many("a comment without end", "<!--", "--", 100000, "");
    many("own: many nodes", "peal-topology 1\nhost \"\"\n", "node % numa \"n%\" host=0\n", 20000, "");
    many("own: too many hosts", "peal-topology 1\n", "host \"\"\n", 2000, "");
    many("own: a long chain", "peal-topology 1\nhost \"\"\nnode 0 numa \"n\" host=0\nnode 1 switch \"n\" "
         "host=0 parent=0\n", "", 0, "");
    many("own: one link many times", "peal-topology 1\nhost \"\"\nnode 0 numa \"a\" host=0\nnode 1 numa \"b\" "
         "host=0\n", "link 0 1 smp bandwidth=1e9 lanes=1024\n", 100000, "");
    many("own: many notes", "peal-topology 1\nhost \"\"\n", "note missing \"n\"\n", 50000, "");
    many("own: a long line", "peal-topology 1\nhost \"", "a", 1000000, "\"\n");
    many("words: long", "", "gpu ", 900, "");
    many("words: too many", "node:1024 ", "", 0, "gpu:4096 nvlink:all-to-allx1024 nvswitch");
    many("words: very many", "node:1024 socket:64 ", "", 0, "root:4096 switch:4096 gpu:4096 nic:4096");
    many("words: all to all", "", "", 0, "gpu:4096 nvlink:all-to-allx1024");
    many("words: many sockets", "", "", 0, "node:1024 socket:64");
}

/* Switches within switches, one more than trees may have. */
static void chain(int depth)
{
    char *text = malloc((size_t)depth * 80 + 200);
    size_t used;

    if (!text)
        abort();
    used = (size_t)sprintf(text, "peal-topology 1\nhost \"\"\nnode 0 numa \"n\" host=0\n");

    for (int i = 1; i <= depth; i++)
        used += (size_t)sprintf(text + used, "node %d switch \"s%d\" host=0 parent=%d\n", i, i, i - 1);
    try("a chain", text, used);
    free(text);
}

long topology_hostile(uint64_t seed, long cases)
{
    struct text texts[CORPUS];
    char *text = malloc(LONGEST);
    int n = corpus(texts);
    long before = not_borne;

    state = seed;
    costly();
    chain(TOPOLOGY_DEPTH_MOST - 1);
    chain(TOPOLOGY_DEPTH_MOST);
    chain(1000);
    for (int i = 0; i < n && CAN_FAIL; i++)
        without_memory("a text of the corpus", texts[i].bytes, texts[i].length);
    if (!CAN_FAIL)
        printf("skipped: running out of memory, which is tried without sanitizers\n");
    for (int i = 0; i < n && i < 7; i++)
        for (size_t length = 0; length < texts[i].length; length += cases < 1000 && i > 1 ? 7 : 1)
            try("cut", texts[i].bytes, length);
    for (long i = 0; i < cases && not_borne - before < 10; i++) {
        const struct text *from = &texts[draw((size_t)n)], *other = &texts[draw((size_t)n)];
        size_t length = from->length, changes = 1 + draw(4);

        memcpy(text, from->bytes, length);
        while (changes--)
            length = change(text, length, other);
        try("changed", text, length);
    }
    free(text);
    while (n--)
        free(texts[n].bytes);
    printf("hostile texts: seed %llu, %ld cases, %ld not borne\n", (unsigned long long)seed, cases_run,
           not_borne - before);
    return not_borne - before;
}
