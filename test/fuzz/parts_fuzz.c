/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: parts_receive, parts_acknowledge, parts_send.
 *
 * The input is bodies of `part` (even) and `part_ack` (odd), each behind a
 * byte and a 16-bit length, that one link gets while it sends a message of its
 * own. What is given out is validated and no longer than it was claimed to be;
 * what is held stays within what is there to be claimed. */
#include "base/ensure.h"
#include "base/err.h"
#include "dist/parts.h"
#include "etf/reader.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 64 * 1024, OUT_MAX = 8 * 1024 * 1024 };

static void send_one(struct parts *parts, struct inbox *inbox, struct buf *out)
{
    static const uint8_t head[] = {'m', 0, 4, 0, 0}; /* of a binary */
    static uint8_t zeros[256 * 1024];
    struct parts_message message = {
        .head = bytes_of(head, sizeof(head)),
        .blob = blob_copy(bytes_of(zeros, sizeof(zeros)))};

    ensure(message.blob != NULL);
    message.body = blob_bytes(message.blob);
    ensure(parts_send(parts, inbox, &message, out) == 0);
    blob_release(message.blob);
}

static int give(struct parts *parts, struct inbox *inbox, uint8_t what,
                struct bytes body, struct buf *out)
{
    struct blob *message = NULL;
    int rv;

    if (what % 2 == 1) {
        return parts_acknowledge(parts, inbox, body, out);
    }
    rv = parts_receive(parts, inbox, body, out, &message);
    if (rv == 0 && message != NULL) {
        struct etf_limits limits = etf_limits_default(PARTS_STREAM_MAX);
        struct bytes bytes = blob_bytes(message);
        size_t size = 0;

        ensure(etf_validate(bytes, &limits, &size) == 0);
        ensure(size == bytes.size);
    }
    ensure(rv == 0 || message == NULL);
    blob_release(message);
    return rv;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor cursor = cursor_of(bytes_of(data, size));
    struct etf_limits limits = etf_limits_default(INPUT_MAX);
    struct inbox inbox;
    struct parts parts;
    struct buf out;
    uint16_t length;
    uint8_t what;
    struct bytes body;
    int rv = 0;

    if (size > INPUT_MAX) {
        return 0;
    }
    inbox_init(&inbox, bytes_of_string("quorate@127.0.0.1"), 7);
    parts_init(&parts);
    buf_init(&out, OUT_MAX);
    send_one(&parts, &inbox, &out);
    while (rv == 0 && cursor_u8(&cursor, &what) == 0 &&
           cursor_u16(&cursor, &length) == 0 &&
           cursor_take(&cursor, length, &body) == 0) {
        size_t body_size = 0;

        /* As at the gate. */
        if (etf_validate(body, &limits, &body_size) != 0) {
            break;
        }
        rv = give(&parts, &inbox, what, bytes_of(body.data, body_size), &out);
        ensure(rv == 0 || rv == ERR_MALFORMED || rv == ERR_LIMIT ||
               rv == ERR_TRUNCATED);
        ensure(buf_error(&out) == 0);
        ensure(parts.in_count <= PARTS_STREAMS_MAX);
        ensure(parts.in_bytes <= PARTS_BYTES_MAX);
        ensure(parts.in_flight <= PARTS_WINDOW);
    }
    parts_close(&parts);
    inbox_close(&inbox);
    buf_close(&out);
    return 0;
}
