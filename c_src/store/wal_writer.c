/* SPDX-License-Identifier: Apache-2.0
 * The next file is prepared in small parts between the flushes, in step with
 * how far the present one is filled. */
#include "store/wal_writer.h"

#include "base/ensure.h"
#include "base/err.h"
#include "store/wal_mark.h"
#include "store/wal_mutation.h"

#include <unistd.h>

/* How much of the next file should be ready: nothing until this one is half
 * full, all of it when this one is full. */
static size_t preparation_due(const struct wal_writer *writer)
{
    size_t half = writer->segment.size / 2;
    size_t over =
        writer->segment.offset < half ? 0 : writer->segment.offset - half;

    return over == 0 ? 0 : over * 2 + half / 8;
}

static bool is_preparation_due(const struct wal_writer *writer)
{
    if (preparation_due(writer) == 0 || writer->is_next_failing) {
        return false;
    }
    return writer->next.fd < 0 ||
           (!wal_segment_is_prepared(&writer->next) &&
            writer->next.prepared < preparation_due(writer));
}

/* What is on disk of a file that failed is not known: it goes, and room comes
 * back with it. */
static int prepare_next(struct wal_writer *writer)
{
    int rv = 0;

    if (writer->next.fd < 0) {
        rv = wal_segment_create(&writer->next, writer->dir_fd,
                                writer->segment.number + 1,
                                writer->config->segment_size);
    }
    if (rv == 0) {
        rv = wal_segment_prepare(&writer->next, writer->dir_fd);
    }
    if (rv != 0) {
        wal_segment_discard(&writer->next, writer->dir_fd);
    }
    return rv;
}

static int begin_next(struct wal_writer *writer)
{
    int rv = wal_files_add(&writer->files, writer->next.number);

    if (rv != 0) {
        return rv;
    }
    writer->position.first_sequence = writer->written_sequence + 1;
    rv = wal_segment_begin(&writer->next, &writer->position);
    if (rv == 0) {
        rv = wal_mark_put(writer->dir_fd, writer->next.number);
    }
    if (rv == 0) {
        return 0;
    }
    writer->files.count--;
    if (rv == ERR_NO_SPACE || WAL_IS_MUTATED(MARKED_REMOVED)) {
        wal_segment_discard(&writer->next, writer->dir_fd);
    } else {
        /* The mark may name it: it must be there at the next start. */
        wal_segment_close(&writer->next);
    }
    return rv;
}

/* A file that cannot be opened once more is written through the cache. */
static void open_direct(struct wal_writer *writer)
{
    int rv = wal_direct_open(&writer->direct, writer->dir_fd, &writer->segment);

    ensure(rv == 0 || writer->direct.fd < 0);
}

/* Goes on in the next file, which has room for `size` bytes of records. */
static int change_segment(struct wal_writer *writer, size_t size)
{
    size_t wanted = wal_segment_round(WAL_SEGMENT_HEADER_SIZE + size);
    int rv = 0;

    if (writer->next.fd < 0) {
        rv = prepare_next(writer);
    }
    if (rv == 0 && writer->next.size < wanted) {
        wal_segment_extend(&writer->next, wanted);
    }
    while (rv == 0 && !wal_segment_is_prepared(&writer->next)) {
        rv = prepare_next(writer);
    }
    if (rv == 0) {
        rv = begin_next(writer);
    }
    if (rv != 0) {
        return rv;
    }
    wal_segment_close(&writer->segment);
    writer->segment = writer->next;
    wal_segment_init(&writer->next);
    writer->is_next_failing = false;
    if (writer->is_direct) {
        open_direct(writer);
    }
    return 0;
}

/* What a record about to be written does to the log. */
static void advance(struct wal_writer *writer, const uint8_t *record)
{
    struct wal_payload payload;

    wal_record_peek(record, &payload);
    wal_files_note(&writer->files, &payload);
    writer->position.term = payload.term;
    writer->position.voted_for = payload.voted_for;
    if (payload.has_base) {
        writer->position.last_index = payload.base.index;
    }
    if (payload.truncate_from != 0) {
        writer->position.last_index = payload.truncate_from - 1;
    }
    writer->position.last_index += payload.entry_count;
    writer->written_sequence++;
}

/* Seals the records from `data` on that fit into this file; returns their
 * size. */
static size_t seal_fitting(struct wal_writer *writer, uint8_t *data,
                           size_t size)
{
    uint64_t flushed = writer->written_sequence + 1;
    size_t room = writer->segment.size - writer->segment.offset;
    size_t end = 0;

    if (writer->segment.fd < 0) {
        return 0;
    }
    while (end < size) {
        size_t record_size = wal_record_size(data + end);

        if (record_size > room - end) {
            break;
        }
        wal_record_seal(data + end, flushed);
        advance(writer, data + end);
        end += record_size;
    }
    return end;
}

static void tell_full(struct wal_writer *writer, bool is_full)
{
    if (is_full != writer->is_full) {
        writer->is_full = is_full;
        if (writer->config->full != NULL) {
            writer->config->full(writer->config->arg, is_full);
        }
    }
}

/* Whether to try again. */
static bool wait_for_room(struct wal_writer *writer)
{
    tell_full(writer, true);
    return writer->wait(writer->wait_arg);
}

bool wal_writer_cut(struct wal_writer *writer, uint64_t released)
{
    int rv;

    if (writer->is_cutting_failed) {
        return false;
    }
    rv = wal_files_cut(&writer->files, writer->dir_fd, released);
    /* Files that stay are read again at the next start, and cut then. */
    writer->is_cutting_failed = rv == ERR_IO;
    return rv == 0;
}

static int insist_on_segment(struct wal_writer *writer, size_t size)
{
    int rv;

    do {
        rv = change_segment(writer, size);
    } while (rv == ERR_NO_SPACE && wait_for_room(writer));
    return rv;
}

/* Bytes that found no room are written again, to the same place. A flush that
 * failed is not repeated: the kernel may have dropped what it could not write,
 * and a second flush would not say so. */
static int write_cached(struct wal_writer *writer, struct bytes bytes)
{
    int rv;

    do {
        rv = wal_segment_write(&writer->segment, bytes, writer->segment.offset);
    } while (rv == ERR_NO_SPACE && wait_for_room(writer));
    if (rv == 0 && wal_segment_flush(&writer->segment) != 0 &&
        !WAL_IS_MUTATED(FLUSH_IGNORED)) {
        rv = ERR_IO;
    }
    return rv;
}

/* Nothing is kept in a cache that could be dropped: what found no room is
 * written again, and on disk when that succeeds. */
static int write_direct(struct wal_writer *writer, struct bytes bytes)
{
    size_t done = 0;
    int rv;

    do {
        rv = wal_direct_write(&writer->direct, bytes, &done);
    } while (rv == ERR_NO_SPACE && wait_for_room(writer));
    return rv;
}

static int write_part(struct wal_writer *writer, struct bytes bytes)
{
    int rv = writer->direct.fd >= 0 ? write_direct(writer, bytes)
                                    : write_cached(writer, bytes);

    if (rv != 0) {
        return rv;
    }
    tell_full(writer, false);
    writer->segment.offset += bytes.size;
    atomic_fetch_add(&writer->flush_count, 1);
    return 0;
}

int wal_writer_run(struct wal_writer *writer, struct buf *records)
{
    uint64_t before = writer->written_sequence;
    size_t done = 0;
    int rv = 0;

    while (rv == 0 && done < records->size) {
        uint8_t *data = records->data + done;
        size_t size = seal_fitting(writer, data, records->size - done);

        if (size == 0) {
            rv = insist_on_segment(writer, wal_record_size(data));
            continue;
        }
        rv = write_part(writer, bytes_of(data, size));
        done += size;
    }
    if (rv == 0) {
        atomic_fetch_add(&writer->record_count,
                         writer->written_sequence - before);
    }
    return rv;
}

void wal_writer_prepare(struct wal_writer *writer)
{
    while (is_preparation_due(writer)) {
        /* Not needed yet: a failure counts when the file has to be there. */
        writer->is_next_failing = prepare_next(writer) != 0;
    }
}

void wal_writer_init(struct wal_writer *writer, const struct wal_config *config)
{
    *writer = (struct wal_writer){.config = config, .dir_fd = -1};
    wal_segment_init(&writer->segment);
    wal_direct_init(&writer->direct);
    wal_segment_init(&writer->next);
    wal_files_init(&writer->files);
}

void wal_writer_close(struct wal_writer *writer)
{
    wal_segment_close(&writer->segment);
    wal_direct_close(&writer->direct);
    wal_segment_close(&writer->next);
    wal_files_close(&writer->files);
    if (writer->dir_fd >= 0) {
        (void)close(writer->dir_fd); /* only read from */
    }
}

/* Whether this file system does it only a write can tell. */
static int start_direct(struct wal_writer *writer)
{
    int rv = wal_direct_open(&writer->direct, writer->dir_fd, &writer->segment);

    if (rv == 0) {
        rv = wal_direct_probe(&writer->direct);
    }
    writer->is_direct = rv == 0;
    return rv == ERR_UNSUPPORTED || rv == ERR_NOMEM ? 0 : rv;
}

int wal_writer_start(struct wal_writer *writer,
                     const struct wal_recovery *recovery,
                     const struct wal_tail *tail)
{
    int rv;

    writer->segment = tail->segment;
    writer->files = tail->files;
    writer->written_sequence = tail->sequence - 1;
    writer->position =
        (struct wal_segment_header){.term = recovery->term,
                                    .voted_for = recovery->voted_for,
                                    .last_index = recovery->last_index};
    if (writer->segment.fd < 0) {
        rv = change_segment(writer, 0);
    } else {
        /* Mark and names may not have been flushed when the last process
         * ended. */
        rv = fsync(writer->dir_fd) != 0
                 ? ERR_IO
                 : wal_mark_put(writer->dir_fd, writer->segment.number);
    }
    return rv == 0 ? start_direct(writer) : rv;
}
