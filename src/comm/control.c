/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/control.h"

#include "comm/job_wire.h"

#include <stdlib.h>

enum { TABLE_HEAD = 4 + 4 + 4 + 2, TABLE_ENTRY = 4 + HANDSHAKE_RECORD };

void control_init(struct control *control, enum control_type type, uint64_t communicator,
                  int rank, int status, const char *text)
{
    size_t bytes = text ? strnlen(text, CONTROL_TEXT) : 0;

    memset(control, 0, offsetof(struct control, text));
    control->type = type;
    control->communicator = communicator;
    control->rank = rank;
    control->status = status;
    if (bytes)
        memcpy(control->text, text, bytes);
    control->text[bytes] = 0;
}

static void put_header(struct wire_writer *w, size_t length, enum control_type type)
{
    wire_put32(w, (uint32_t)length);
    wire_put16(w, (uint16_t)type);
    wire_put16(w, CONTROL_VERSION);
}

static void put_text(struct wire_writer *w, const char *text)
{
    size_t bytes = strnlen(text, CONTROL_TEXT);

    wire_put16(w, (uint16_t)bytes);
    wire_put(w, text, bytes);
}

static void get_text(struct wire_reader *r, char text[CONTROL_TEXT + 1])
{
    size_t bytes = wire_get16(r);

    if (bytes > CONTROL_TEXT) {
        r->bad = true;
        bytes = 0;
    }
    wire_get(r, text, bytes);
    text[bytes] = 0;
    wire_clean_text(text);
}

static bool status_is_failure(int status)
{
    return status < PEAL_OK && status >= PEAL_STATUS_LAST;
}

/* ---- Short messages --------------------------------------------------- */

size_t control_write(const struct control *control,
                     unsigned char bytes[CONTROL_HEADER + CONTROL_MOST])
{
    size_t length = 4 + 4 + 4 * 8 + 2 + strnlen(control->text, CONTROL_TEXT);
    struct wire_writer w = { bytes, CONTROL_HEADER + length, false };

    put_header(&w, length, control->type);
    wire_put32(&w, (uint32_t)control->status);
    wire_put32(&w, (uint32_t)control->rank);
    wire_put64(&w, control->communicator);
    wire_put64(&w, control->call);
    wire_put64(&w, control->signature.what);
    wire_put64(&w, control->signature.count);
    put_text(&w, control->text);
    return CONTROL_HEADER + length;
}

int control_read_header(const unsigned char bytes[CONTROL_HEADER], int nranks,
                        enum control_type *type, size_t *length)
{
    struct wire_reader r = { bytes, CONTROL_HEADER, false };
    size_t size = wire_get32(&r);
    unsigned kind = wire_get16(&r), version = wire_get16(&r);

    if (version != CONTROL_VERSION || kind < CONTROL_TABLE || kind > CONTROL_BEAT ||
        size > (kind == CONTROL_TABLE ? table_most(nranks) : CONTROL_MOST))
        return PEAL_ERR_PROTOCOL;
    *type = (enum control_type)kind;
    *length = size;
    return PEAL_OK;
}

int control_read(enum control_type type, const unsigned char *body, size_t length,
                 int nranks, struct control *control)
{
    struct wire_reader r = { body, length, false };
    struct control read = { .type = type };
    uint32_t rank;

    read.status = (int)(int32_t)wire_get32(&r);
    rank = wire_get32(&r);
    read.communicator = wire_get64(&r);
    read.call = wire_get64(&r);
    read.signature.what = wire_get64(&r);
    read.signature.count = wire_get64(&r);
    get_text(&r, read.text);
    if (r.bad || r.left || rank >= (uint32_t)nranks ||
        (type == CONTROL_FAIL && !status_is_failure(read.status)))
        return PEAL_ERR_PROTOCOL;
    read.rank = (int)rank;
    *control = read;
    return PEAL_OK;
}

/* ---- The table -------------------------------------------------------- */

size_t table_most(int nranks)
{
    return TABLE_HEAD + CONTROL_TEXT + (size_t)nranks * TABLE_ENTRY;
}

size_t table_write(const struct table *table, const int *order, const struct record *records,
                   int nranks, unsigned char *bytes)
{
    size_t length = TABLE_HEAD + strnlen(table->text, CONTROL_TEXT) +
                    (size_t)table->count * TABLE_ENTRY;
    struct wire_writer w = { bytes, CONTROL_HEADER + length, false };

    put_header(&w, length, CONTROL_TABLE);
    wire_put32(&w, (uint32_t)table->status);
    wire_put32(&w, (uint32_t)nranks);
    wire_put32(&w, (uint32_t)table->count);
    put_text(&w, table->text);
    for (int i = 0; i < table->count; i++) {
        unsigned char record[HANDSHAKE_RECORD];

        record_write(&records[order[i]], record);
        wire_put32(&w, (uint32_t)order[i]);
        wire_put(&w, record, sizeof(record));
    }
    return CONTROL_HEADER + length;
}

/* One entry of the table. */
static int read_entry(struct wire_reader *r, int nranks, bool *seen, int *order,
                      struct record *records)
{
    unsigned char bytes[HANDSHAKE_RECORD];
    uint32_t rank = wire_get32(r);

    wire_get(r, bytes, sizeof(bytes));
    if (r->bad || rank >= (uint32_t)nranks || seen[rank])
        return PEAL_ERR_PROTOCOL;
    seen[rank] = true;
    *order = (int)rank;
    return record_read(bytes, &records[rank]);
}

int table_read(const unsigned char *body, size_t length, int nranks, struct table *table,
               int *order, struct record *records)
{
    struct wire_reader r = { body, length, false };
    struct table read = { 0 };
    uint32_t all, count;
    int status = PEAL_OK;
    bool *seen;

    read.status = (int)(int32_t)wire_get32(&r);
    all = wire_get32(&r);
    count = wire_get32(&r);
    get_text(&r, read.text);
    if (r.bad || all != (uint32_t)nranks || count > all ||
        r.left != (size_t)count * TABLE_ENTRY ||
        (read.status ? !status_is_failure(read.status) : count != all))
        return PEAL_ERR_PROTOCOL;
    seen = calloc((size_t)nranks, sizeof(*seen));
    if (!seen)
        return PEAL_ERR_MEMORY;
    for (uint32_t i = 0; i < count && status == PEAL_OK; i++)
        status = read_entry(&r, nranks, seen, &order[i], records);
    free(seen);
    if (status)
        return status;
    read.count = (int)count;
    *table = read;
    return PEAL_OK;
}
