/* SPDX-License-Identifier: BSD-3-Clause */
/* Landing of messages in random pieces, shareable memory, and threads that use
 * both registries at once.  usage: device_memory [SEED] */
#include "base/status.h"
#include "devices/device.h"
#include "tests/device_reference.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- Landing ---------------------------------------------------------------- */

/* Land a message in random pieces, the last part first or last. */
static void check_landing(const struct arithmetic *how, size_t count, bool incoming_first,
                          bool in_place)
{
    size_t size = how ? how->size : 1, bytes = count * size, done = 0;
    char *message = place(0, 1), *operand = place(1, 0), *dst = place(2, 0);
    const char *both[2];
    static char right[ROOM];
    struct landing landing = { dst, bytes, how, operand, incoming_first, false };

    fill(how ? how->type : PEAL_INT8, message, count);
    fill(how ? how->type : PEAL_INT8, operand, count);
    memcpy(right, message, bytes);
    for (size_t i = 0; how && i < count; i++) {
        both[incoming_first ? 0 : 1] = message + i * size;
        both[incoming_first ? 1 : 0] = operand + i * size;
        reference(how->type, how->op, both, 2, right + i * size);
    }
    if (in_place)
        landing.dst = operand;
    for (bool backwards = random_bits() % 2; done < bytes; ) {
        size_t length = (random_bits() % 40 + 1) * size, offset;

        length = length < bytes - done ? length : bytes - done;
        offset = backwards ? bytes - done - length : done;
        expect(!landing_put(&landing, offset, message + offset, length), "landing_put");
        done += length;
    }
    expect(memcmp(landing.dst, right, bytes) == 0, "landing of %zu bytes", bytes);
}

static int minus(const void *in, void *inout, size_t count, peal_datatype_t type,
                 void *context)
{
    const int32_t *left = in;
    int32_t *right = inout;

    (void)type, (void)context;
    for (size_t i = 0; i < count; i++)
        right[i] = left[i] - right[i];
    return 0;
}

/* Which operand is the left one shows only in operations of users. */
static void test_landing_order(void)
{
    struct arithmetic how;
    int32_t operand[2] = { 10, 20 }, message[2] = { 1, 2 };
    struct landing landing = { (char *)operand, 8, &how, (char *)operand, false, false };
    peal_op_t op;

    expect(!operation_create(minus, false, NULL, &op)
           && !arithmetic_resolve(&how, PEAL_INT32, op, 2), "minus");
    expect(!landing_put(&landing, 0, message, 8) && operand[0] == 9 && operand[1] == 18,
           "operand - incoming");
    landing.incoming_first = true;
    expect(!landing_put(&landing, 4, message, 4) && operand[0] == 9 && operand[1] == -17,
           "incoming - operand");
    expect(!operation_free(op), "freeing minus");
}

static void test_landing(void)
{
    struct arithmetic how;
    char byte = 0;
    struct landing wrong = { &byte, 1, NULL, NULL, false, false };
    unsigned long before = checks;

    for (int round = 0; round < 50; round++) {
        check_landing(NULL, random_bits() % MOST, false, false);
        for (int type = 0; type < PEAL_DATATYPES; type++) {
            arithmetic_resolve(&how, (peal_datatype_t)type, (peal_op_t)(round % 5), 2);
            check_landing(&how, random_bits() % 200, round & 1, round & 2);
        }
    }
    expect(landing_put(&wrong, 1, "ab", 1) == PEAL_ERR_PROTOCOL
           && landing_put(&wrong, 0, "ab", 2) == PEAL_ERR_PROTOCOL
           && landing_put(&wrong, SIZE_MAX, "ab", 2) == PEAL_ERR_PROTOCOL && byte == 0,
           "bytes beyond the message");
    arithmetic_resolve(&how, PEAL_INT32, PEAL_SUM, 2);
    wrong = (struct landing){ place(0, 0), 8, &how, place(1, 0), false, false };
    expect(landing_put(&wrong, 2, place(2, 0), 4) == PEAL_ERR_PROTOCOL
           && landing_put(&wrong, 4, place(2, 0), 3) == PEAL_ERR_PROTOCOL, "cut elements");
    printf("landing: %lu checks\n", checks - before);
}

/* ---- Memory ----------------------------------------------------------------- */

static void test_memory(void)
{
    unsigned long before = checks;
    struct memory_share share = { 0 }, other;
    void *memory = NULL, *second = NULL, *huge = &share;
    char *mapped;

    expect(!memory_find(&share, 1, &share), "nothing is shareable at first");
    expect(!memory_alloc(10000, &memory) && !memory_alloc(0, &second), "%s", status_text());
    expect((uintptr_t)memory % 4096 == 0 && ((char *)memory)[9999] == 0, "zeroed pages");
    expect(memory_find((char *)memory + 100, 9900, &share) && share.offset == 100
           && share.length >= 10000, "found");
    expect(!memory_find(memory, share.length + 1, &other)
           && !memory_find((char *)memory - 1, 2, &other)
           && !memory_find((char *)memory + 1, SIZE_MAX, &other)
           && !memory_find(&share, sizeof share, &other), "not found");
    expect(memory_find(second, 1, &other) && other.id != share.id, "ids differ");
    mapped = mmap(NULL, share.length, PROT_READ, MAP_SHARED, share.fd, 0);
    ((char *)memory)[100] = 42;
    expect(mapped != MAP_FAILED && mapped[share.offset] == 42, "mapped elsewhere");
    munmap(mapped, share.length);
    expect(ftruncate(share.fd, 4096) != 0 && ftruncate(share.fd, 1 << 20) != 0, "sealed");
    expect(fcntl(share.fd, F_GETFD) & FD_CLOEXEC, "closed on exec");
    expect(memory_free((char *)memory + 4096) == PEAL_ERR_ARGUMENT, "freeing its middle");
    expect(!memory_free(memory) && memory_free(memory) == PEAL_ERR_ARGUMENT, "freed twice");
    expect(!memory_find((char *)second - 1, 1, &other) && !memory_free(second), "second");
    expect(memory_alloc(SIZE_MAX, &huge) == PEAL_ERR_MEMORY
           && memory_alloc((size_t)1 << 60, &huge) == PEAL_ERR_MEMORY && huge == &share,
           "huge: %s", status_text());
    expect(!memory_find(&share, 1, &other) && !memory_free(NULL), "nothing at the end");
    printf("memory: %lu checks\n", checks - before);
}

static void *hammer(void *wrong)
{
    uint32_t scalar = 3, x[2] = { 5, 6 };

    for (int i = 0; i < 200; i++) {
        struct memory_share share;
        struct arithmetic how;
        void *memory;
        peal_op_t op;
        bool right = !memory_alloc((size_t)i * 100, &memory)
            && memory_find(memory, (size_t)i * 100, &share) && share.offset == 0
            && !operation_create_premul_sum(&scalar, PEAL_UINT32, &op)
            && !arithmetic_resolve(&how, PEAL_UINT32, op, 2)
            && !how.pair(&how, x, x, x + 1, 1)
            && !operation_free(op) && !memory_free(memory);

        if (!right)
            __atomic_fetch_add((int *)wrong, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void test_threads(void)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    int wrong = 0;

    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, hammer, &wrong))
            abort();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    expect(wrong == 0, "%d rounds of concurrent threads went wrong", wrong);
    printf("threads: %d\n", THREADS);
}

int main(int argc, char **argv)
{
    reference_start(argc, argv);
    test_threads();
    test_landing();
    test_landing_order();
    test_memory();
    return reference_finish();
}
