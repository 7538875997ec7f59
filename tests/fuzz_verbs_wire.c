/* SPDX-License-Identifier: BSD-3-Clause */
/* A libFuzzer target: the bytes are a frame's header, or a record of a socket.
 *   clang -fsanitize=fuzzer,address,undefined ... tests/fuzz_verbs_wire.c
 *         transports/verbs/verbs_wire.c */
#include "transports/verbs/verbs_wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void record(const uint8_t *data, size_t size)
{
    enum verbs_record kind;
    size_t length;

    if (size < VERBS_RECORD_HEAD || verbs_record_decode(data, &kind, &length))
        return;
    if (length > VERBS_RECORD_MOST - VERBS_RECORD_HEAD)
        abort();
    if (size - VERBS_RECORD_HEAD < length)
        return;
    if (kind == VERBS_OFFER) {
        struct verbs_offer offer;

        if (!verbs_offer_decode(data + VERBS_RECORD_HEAD, &offer) &&
            (offer.nrails < 1 || offer.nrails > VERBS_RAILS || offer.frames > VERBS_FRAMES))
            abort();
    } else if (kind == VERBS_CONNECT) {
        struct verbs_connect connect;

        if (!verbs_connect_decode(data + VERBS_RECORD_HEAD, &connect) &&
            (connect.nrails > VERBS_RAILS || connect.rails[0].port > 0xffff))
            abort();
    } else if (kind == VERBS_DOWN) {
        struct verbs_down down;

        if (!verbs_down_decode(data + VERBS_RECORD_HEAD, &down) && down.rail >= VERBS_RAILS)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct verbs_frame frame;

    if (size >= VERBS_HEADER && !verbs_frame_decode(data, &frame) &&
        (frame.stream >= TRANSPORT_STREAMS || frame.length > frame.total ||
         frame.offset > frame.total - frame.length ||
         verbs_frame_payload(&frame) > TRANSPORT_EAGER))
        abort();
    record(data, size);
    return 0;
}
