/* SPDX-License-Identifier: Apache-2.0
 * Both ends of the streams of one link. */
#include "dist/parts.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "etf/reader.h"
#include "etf/validate.h"
#include "etf/writer.h"

enum { EDGES_MAX = 2 * PARTS_PART_MAX };

struct outgoing {
    struct list link; /* in `ready` or `sent` */
    uint64_t number;
    struct buf edges; /* `head_size` bytes in front of the body, and its end */
    size_t head_size;
    struct bytes body;
    struct blob *blob; /* held; NULL once all is sent */
    size_t total;
    size_t sent;
    size_t acknowledged;
};

struct incoming {
    struct list link;
    uint64_t number;
    size_t total;
    struct buf message; /* as far as it has arrived */
    struct etf_validator validator;
};

void parts_init(struct parts *parts)
{
    *parts = (struct parts){0};
    list_init(&parts->ready);
    list_init(&parts->sent);
    list_init(&parts->arriving);
}

static void free_outgoing(struct parts *parts, struct outgoing *stream)
{
    list_remove(&stream->link);
    ensure(parts->out_count > 0);
    ensure(parts->out_bytes >= stream->total);
    parts->out_count--;
    parts->out_bytes -= stream->total;
    buf_close(&stream->edges);
    blob_release(stream->blob);
    mem_free(stream);
}

static void free_incoming(struct parts *parts, struct incoming *stream)
{
    list_remove(&stream->link);
    ensure(parts->in_count > 0);
    ensure(parts->in_bytes >= stream->total);
    parts->in_count--;
    parts->in_bytes -= stream->total;
    buf_close(&stream->message);
    mem_free(stream);
}

static void free_all_outgoing(struct parts *parts, struct list *streams)
{
    while (!list_is_empty(streams)) {
        free_outgoing(parts, LIST_ENTRY(streams->next, struct outgoing, link));
    }
}

void parts_close(struct parts *parts)
{
    free_all_outgoing(parts, &parts->ready);
    free_all_outgoing(parts, &parts->sent);
    while (!list_is_empty(&parts->arriving)) {
        free_incoming(parts,
                      LIST_ENTRY(parts->arriving.next, struct incoming, link));
    }
    ensure(parts->out_count == 0);
    ensure(parts->in_count == 0);
    parts_init(parts);
}

/* --- Sending -------------------------------------------------------------- */

/* Appends `size` bytes of the message from what was sent on. */
static void put_slice(const struct outgoing *stream, size_t size,
                      struct buf *out)
{
    const struct bytes runs[] = {
        bytes_of(stream->edges.data, stream->head_size), stream->body,
        bytes_of(stream->edges.data + stream->head_size,
                 stream->edges.size - stream->head_size)};
    size_t offset = stream->sent;

    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        size_t here = offset < runs[i].size ? runs[i].size - offset : 0;

        here = size_min(here, size);
        if (here > 0) {
            buf_put(out, runs[i].data + offset, here);
        }
        offset -= size_min(offset, runs[i].size);
        size -= here;
    }
    ensure(size == 0);
}

static void put_part(const struct outgoing *stream, size_t size,
                     struct inbox *inbox, struct buf *out)
{
    size_t begin = outbox_begin(inbox, "quorate_member", "part", out);

    etf_put_tuple(out, 4);
    etf_put_u64(out, stream->number);
    etf_put_u64(out, stream->sent);
    etf_put_u64(out, stream->total);
    etf_put_binary_head(out, size);
    put_slice(stream, size, out);
    outbox_end(out, begin);
}

/* Sends parts, a stream after another, as long as the window has room. */
static void pump(struct parts *parts, struct inbox *inbox, struct buf *out)
{
    while (!list_is_empty(&parts->ready)) {
        struct outgoing *stream =
            LIST_ENTRY(parts->ready.next, struct outgoing, link);
        size_t size = size_min(stream->total - stream->sent, PARTS_PART_MAX);

        if (size > PARTS_WINDOW - parts->in_flight) {
            return;
        }
        put_part(stream, size, inbox, out);
        stream->sent += size;
        parts->in_flight += size;
        list_remove(&stream->link);
        if (stream->sent < stream->total) {
            list_append(&parts->ready, &stream->link);
        } else {
            blob_release(stream->blob);
            stream->blob = NULL;
            list_append(&parts->sent, &stream->link);
        }
    }
}

int parts_send(struct parts *parts, struct inbox *inbox,
               const struct parts_message *message, struct buf *out)
{
    size_t total = message->head.size + message->body.size + message->end.size;
    struct outgoing *stream;

    ensure(message->head.size <= PARTS_PART_MAX);
    ensure(message->end.size <= PARTS_PART_MAX);
    ensure(message->body.size > 0);
    if (total > PARTS_STREAM_MAX) {
        return ERR_LIMIT;
    }
    if (parts->out_count >= PARTS_STREAMS_MAX ||
        total > PARTS_BYTES_MAX - parts->out_bytes) {
        return ERR_BUSY;
    }
    stream = mem_alloc(sizeof(*stream));
    if (stream == NULL) {
        return ERR_NOMEM;
    }
    buf_init(&stream->edges, EDGES_MAX);
    buf_put_bytes(&stream->edges, message->head);
    buf_put_bytes(&stream->edges, message->end);
    if (buf_error(&stream->edges) != 0) {
        buf_close(&stream->edges);
        mem_free(stream);
        return ERR_NOMEM;
    }
    stream->head_size = message->head.size;
    stream->body = message->body;
    stream->number = ++parts->stream_last;
    stream->blob = blob_hold(message->blob);
    stream->total = total;
    list_init(&stream->link);
    list_append(&parts->ready, &stream->link);
    parts->out_count++;
    parts->out_bytes += total;
    pump(parts, inbox, out);
    return 0;
}

static struct outgoing *find_outgoing(struct list *streams, uint64_t number)
{
    LIST_FOREACH (node, streams) {
        struct outgoing *stream = LIST_ENTRY(node, struct outgoing, link);

        if (stream->number == number) {
            return stream;
        }
    }
    return NULL;
}

int parts_acknowledge(struct parts *parts, struct inbox *inbox,
                      struct bytes body, struct buf *out)
{
    struct etf_reader reader = etf_reader_of(body);
    struct outgoing *stream;
    uint64_t number;
    uint64_t offset;

    if (etf_read_tuple_of(&reader, 2) != 0 ||
        etf_read_u64(&reader, &number) != 0 ||
        etf_read_u64(&reader, &offset) != 0) {
        return ERR_MALFORMED;
    }
    stream = find_outgoing(&parts->sent, number);
    if (stream == NULL) {
        stream = find_outgoing(&parts->ready, number);
    }
    if (stream == NULL || offset <= stream->acknowledged ||
        offset > stream->sent) {
        return ERR_MALFORMED;
    }
    ensure(parts->in_flight >= offset - stream->acknowledged);
    parts->in_flight -= (size_t)offset - stream->acknowledged;
    stream->acknowledged = (size_t)offset;
    if (stream->acknowledged == stream->total) {
        free_outgoing(parts, stream);
    }
    pump(parts, inbox, out);
    return 0;
}

/* --- Receiving ------------------------------------------------------------ */

struct part {
    uint64_t number;
    uint64_t offset;
    uint64_t total;
    struct bytes bytes;
};

static int read_part(struct bytes body, struct part *part)
{
    struct etf_reader reader = etf_reader_of(body);

    if (etf_read_tuple_of(&reader, 4) != 0 ||
        etf_read_u64(&reader, &part->number) != 0 ||
        etf_read_u64(&reader, &part->offset) != 0 ||
        etf_read_u64(&reader, &part->total) != 0 ||
        etf_read_binary(&reader, &part->bytes) != 0) {
        return ERR_MALFORMED;
    }
    if (part->total > PARTS_STREAM_MAX) {
        return ERR_LIMIT;
    }
    if (part->offset > part->total || part->bytes.size == 0 ||
        part->bytes.size > PARTS_PART_MAX ||
        part->bytes.size > part->total - part->offset) {
        return ERR_MALFORMED;
    }
    return 0;
}

static struct incoming *find_incoming(struct parts *parts, uint64_t number)
{
    LIST_FOREACH (node, &parts->arriving) {
        struct incoming *stream = LIST_ENTRY(node, struct incoming, link);

        if (stream->number == number) {
            return stream;
        }
    }
    return NULL;
}

static int new_incoming(struct parts *parts, const struct part *part,
                        struct incoming **ret_stream)
{
    struct etf_limits limits = etf_limits_default((size_t)part->total);
    struct incoming *stream;

    if (part->number <= parts->arrived_last || part->offset != 0) {
        return ERR_MALFORMED;
    }
    if (parts->in_count >= PARTS_STREAMS_MAX ||
        part->total > PARTS_BYTES_MAX - parts->in_bytes) {
        return ERR_LIMIT;
    }
    stream = mem_alloc(sizeof(*stream));
    if (stream == NULL) {
        return ERR_NOMEM;
    }
    stream->number = part->number;
    stream->total = (size_t)part->total;
    buf_init(&stream->message, stream->total);
    etf_validator_init(&stream->validator, &limits);
    list_init(&stream->link);
    list_append(&parts->arriving, &stream->link);
    parts->arrived_last = part->number;
    parts->in_count++;
    parts->in_bytes += stream->total;
    *ret_stream = stream;
    return 0;
}

/* Looks at what has arrived; of the last part, whether it ends the term. */
static int look_at(struct incoming *stream)
{
    bool is_done = false;
    int rv = etf_validator_step(&stream->validator, buf_bytes(&stream->message),
                                stream->total, SIZE_MAX, &is_done);

    if (rv != 0) {
        return rv;
    }
    if (is_done && stream->validator.size != stream->total) {
        return ERR_MALFORMED;
    }
    ensure(is_done || stream->message.size < stream->total);
    return 0;
}

static void put_ack(const struct incoming *stream, struct inbox *inbox,
                    struct buf *out)
{
    size_t begin = outbox_begin(inbox, "quorate_member", "part_ack", out);

    etf_put_tuple(out, 2);
    etf_put_u64(out, stream->number);
    etf_put_u64(out, stream->message.size);
    outbox_end(out, begin);
}

int parts_receive(struct parts *parts, struct inbox *inbox, struct bytes body,
                  struct buf *out, struct blob **ret_message)
{
    struct part part;
    struct incoming *stream;
    struct blob *message = NULL;
    int rv = read_part(body, &part);

    if (rv != 0) {
        return rv;
    }
    stream = find_incoming(parts, part.number);
    if (stream == NULL) {
        rv = new_incoming(parts, &part, &stream);
    } else if (part.offset != stream->message.size ||
               part.total != stream->total) {
        rv = ERR_MALFORMED;
    }
    if (rv != 0) {
        return rv;
    }
    buf_put_bytes(&stream->message, part.bytes);
    rv = buf_error(&stream->message);
    rv = rv != 0 ? rv : look_at(stream);
    if (rv == 0 && stream->message.size == stream->total) {
        put_ack(stream, inbox, out);
        message = blob_take(&stream->message);
        rv = message == NULL ? ERR_NOMEM : 0;
        free_incoming(parts, stream);
    } else if (rv == 0) {
        put_ack(stream, inbox, out);
    }
    if (rv == 0) {
        *ret_message = message;
    }
    return rv;
}
