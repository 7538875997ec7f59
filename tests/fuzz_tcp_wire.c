/* SPDX-License-Identifier: BSD-3-Clause */
/* A libFuzzer target: the bytes are what a hostile peer says on the two sockets
 * of a live endpoint, with receives posted and sends waiting.
 *   clang -fsanitize=fuzzer,address,undefined ... tests/fuzz_tcp_wire.c
 * Layout: byte 0 bit 0: a long send is under way; then records of one byte
 * (socket, and length of the piece / 2) and that many bytes. */
#include "transports/tcp/tcp_wire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern const struct transport tcp_transport;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LANES = 2, LONG = 1 << 17, OPS = 5 };

static const size_t lengths[OPS] = { LONG, 16, 0, 16, LONG };

static void talk(struct port *port, const int *peer, const uint8_t *data, size_t size)
{
    while (size > 0) {
        int lane = data[0] & 1;
        size_t piece = data[0] >> 1;

        data++;
        size--;
        if (piece > size)
            piece = size;
        if (send(peer[lane], data, piece, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        data += piece;
        size -= piece;
        tcp_transport.progress(port);
    }
}

/* Returns how many operations were started. */
static int post(struct endpoint *e, bool send_too, char *const *memory,
                struct completion *done)
{
    int started = 0;

    for (uint32_t i = 0; i < OPS; i++) {
        struct message message = { 0, i == OPS - 1 ? 0 : i, { 1, 2 } };
        struct landing landing = { .dst = memory[i], .bytes = lengths[i] };

        if (i < OPS - 1)
            started += !tcp_transport.recv(e, &message, &landing, &done[i]);
        else if (send_too)
            started += !tcp_transport.send(e, &message, memory[i], lengths[i], &done[i]);
    }
    return started;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct completion_queue queue;
    struct where where = { .hostname = "fuzz" };
    struct port_options options = { .communicator = 77, .nranks = 2, .where = &where,
                                    .local_ranks = 1, .completions = &queue };
    struct completion done[OPS];
    struct port *port;
    struct endpoint *e;
    char *memory[OPS];
    int ours[LANES], peer[LANES], started;

    if (size < 1)
        return 0;
    completion_queue_init(&queue);
    for (int i = 0; i < LANES; i++) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
            abort();
        ours[i] = pair[0];
        peer[i] = pair[1];
    }
    for (int i = 0; i < OPS; i++)
        memory[i] = calloc(1, lengths[i] + 1);
    if (tcp_transport.open(&options, &port) ||
        tcp_transport.connect(port, 1, &where, ours, LANES, true, &e))
        abort();
    started = post(e, data[0] & 1, memory, done);
    talk(port, peer, data + 1, size - 1);
    for (int i = 0; i < LANES; i++)
        close(peer[i]);
    for (int i = 0; i < 1000; i++)
        tcp_transport.progress(port);
    while (completion_next(&queue))
        started--;
    if (started != 0)              /* something never ended, or ended twice */
        abort();
    tcp_transport.close(port, false);
    for (int i = 0; i < OPS; i++)
        free(memory[i]);
    return 0;
}
