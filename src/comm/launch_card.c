/* SPDX-License-Identifier: BSD-3-Clause */
/* The card: what rank 0 hands out, as text.
 *
 *   "peal1."  then base64url without padding of
 *   id (8 bytes, little endian), secret (32), root (without its zero),
 *   check (4: hash of all that goes before, so that a cut value is noticed)
 *
 * It holds the job's secret: it is never logged. */
#include "comm/launch_environment.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

enum {
    ROOT_BYTES = sizeof ((struct job_options *)0)->root,
    HEAD_BYTES = 8 + JOB_SECRET,
    CHECK_BYTES = 4,
    BLOB_BYTES = HEAD_BYTES + ROOT_BYTES + CHECK_BYTES
};

static const char prefix[] = "peal1.";
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

_Static_assert(sizeof prefix + (BLOB_BYTES * 4 + 2) / 3 <= LAUNCH_CARD, "a card holds any root");

static uint32_t check_of(const unsigned char *bytes, size_t count)
{
    uint32_t hash = 0x811c9dc5u;

    for (size_t i = 0; i < count; i++)
        hash = (hash ^ bytes[i]) * 0x01000193u;
    return htole32(hash);
}

static void encode(const unsigned char *bytes, size_t count, char *text)
{
    uint32_t bits = 0;
    int held = 0;

    for (size_t i = 0; i < count; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            *text++ = letters[bits >> (held - 6) & 63];
    }
    if (held)
        *text++ = letters[bits << (6 - held) & 63];
    *text = 0;
}

/* False for foreign characters, too much, or bits that encode() never sets. */
static bool decode(const char *text, unsigned char *bytes, size_t room, size_t *count)
{
    uint32_t bits = 0;
    size_t used = 0;
    int held = 0;

    for (; *text; text++) {
        const char *letter = strchr(letters, *text);

        if (!letter)
            return false;
        bits = bits << 6 | (uint32_t)(letter - letters);
        held += 6;
        if (held >= 8) {
            if (used == room)
                return false;
            held -= 8;
            bytes[used++] = (unsigned char)(bits >> held);
        }
    }
    *count = used;
    return held < 6 && (bits & ((1u << held) - 1)) == 0;
}

int launch_card_write(const struct job_options *options, char card[LAUNCH_CARD])
{
    unsigned char blob[BLOB_BYTES];
    size_t root = strnlen(options->root, ROOT_BYTES), count = HEAD_BYTES + root;
    uint64_t id = htole64(options->id);
    uint32_t check;

    if (root == ROOT_BYTES || !launch_root_valid(options->root))
        return status_fail(PEAL_ERR_ARGUMENT, "\"%.*s\" is not the address of a job's root",
                           80, options->root);
    memcpy(blob, &id, sizeof id);
    memcpy(blob + sizeof id, options->secret, JOB_SECRET);
    memcpy(blob + HEAD_BYTES, options->root, root);
    check = check_of(blob, count);
    memcpy(blob + count, &check, CHECK_BYTES);
    memcpy(card, prefix, sizeof prefix - 1);
    encode(blob, count + CHECK_BYTES, card + sizeof prefix - 1);
    explicit_bzero(blob, sizeof blob);
    return PEAL_OK;
}

int launch_card_read(const char *card, struct job_options *options)
{
    unsigned char blob[BLOB_BYTES];
    char root[ROOT_BYTES];
    size_t count, bytes;
    uint32_t check;
    uint64_t id;

    if (strncmp(card, prefix, sizeof prefix - 1) != 0)
        return status_fail(PEAL_ERR_PROTOCOL, "the launcher's channel holds no card of this "
                           "version of Peal: do all ranks use the same version?");
    if (!decode(card + sizeof prefix - 1, blob, sizeof blob, &count) ||
        count <= HEAD_BYTES + CHECK_BYTES)
        goto damaged;
    count -= CHECK_BYTES;
    memcpy(&check, blob + count, CHECK_BYTES);
    bytes = count - HEAD_BYTES;
    if (check != check_of(blob, count) || bytes >= sizeof root)
        goto damaged;
    memcpy(root, blob + HEAD_BYTES, bytes);
    root[bytes] = 0;
    if (strlen(root) != bytes || !launch_root_valid(root))
        goto damaged;
    memcpy(&id, blob, sizeof id);
    options->id = le64toh(id);
    memcpy(options->secret, blob + sizeof id, JOB_SECRET);
    memcpy(options->root, root, bytes + 1);
    explicit_bzero(blob, sizeof blob);
    return PEAL_OK;

damaged:
    explicit_bzero(blob, sizeof blob);
    return status_fail(PEAL_ERR_PROTOCOL, "rank 0's card came damaged through the launcher's "
                       "channel (%zu characters)", strlen(card));
}
