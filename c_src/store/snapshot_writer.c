/* SPDX-License-Identifier: Apache-2.0
 * The header of a file that is being made says what to expect of it; the last
 * thing written before the flush is the real one. */
#include "store/snapshot_writer.h"

#include "base/ensure.h"
#include "base/err.h"
#include "store/wal_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void snapshot_writer_init(struct snapshot_writer *writer)
{
    *writer = (struct snapshot_writer){.dir_fd = -1, .fd = -1};
    buf_init(&writer->chunk, SNAPSHOT_CHUNK_SIZE);
}

void snapshot_writer_close(struct snapshot_writer *writer)
{
    if (writer->fd >= 0) {
        (void)close(writer->fd); /* what matters was flushed */
    }
    buf_close(&writer->chunk);
    snapshot_writer_init(writer);
}

void snapshot_writer_abort(struct snapshot_writer *writer)
{
    char name[SNAPSHOT_NAME_SIZE];

    if (writer->fd >= 0) {
        snapshot_name(writer->meta.index, writer->kind, name);
        /* If it stays, the next whole snapshot removes it. */
        (void)unlinkat(writer->dir_fd, name, 0);
    }
    snapshot_writer_close(writer);
}

static int write_all(int fd, struct bytes bytes, uint64_t offset)
{
    size_t done = 0;

    while (done < bytes.size) {
        ssize_t count = pwrite(fd, bytes.data + done, bytes.size - done,
                               (off_t)(offset + done));

        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return wal_segment_status(count < 0 ? errno : EIO);
        }
        done += (size_t)count;
    }
    return 0;
}

static int write_header(const struct snapshot_writer *writer,
                        const struct snapshot_meta *meta)
{
    uint8_t header[SNAPSHOT_HEADER_SIZE];

    snapshot_header_encode(meta, header);
    return write_all(writer->fd, bytes_of(header, sizeof(header)), 0);
}

int snapshot_writer_begin(struct snapshot_writer *writer, int dir_fd,
                          enum snapshot_kind kind,
                          const struct snapshot_meta *meta)
{
    char name[SNAPSHOT_NAME_SIZE];

    ensure(writer->fd < 0);
    ensure(kind != SNAPSHOT_WHOLE && meta->index != 0);
    snapshot_name(meta->index, kind, name);
    writer->fd =
        openat(dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (writer->fd < 0) {
        return wal_segment_status(errno);
    }
    writer->dir_fd = dir_fd;
    writer->kind = kind;
    writer->meta = *meta;
    return write_header(writer, meta);
}

/* --- Going on ------------------------------------------------------------ */

/* Takes the whole chunks that are there. */
static int take_chunks(struct snapshot_writer *writer, uint64_t file_size)
{
    size_t chunk_size = SNAPSHOT_CHUNK_HEADER_SIZE + SNAPSHOT_CHUNK_SIZE;
    struct buf chunk;
    uint8_t *room;
    int rv = 0;

    buf_init(&chunk, chunk_size);
    room = buf_reserve(&chunk, chunk_size);
    if (room == NULL) {
        return ERR_NOMEM;
    }
    while (rv == 0 && writer->size + SNAPSHOT_CHUNK_SIZE <= writer->meta.size &&
           snapshot_chunk_offset(writer->chunk_count + 1) <= file_size) {
        uint64_t offset = snapshot_chunk_offset(writer->chunk_count);
        struct bytes data;
        uint32_t crc;

        if (pread(writer->fd, room, chunk_size, (off_t)offset) !=
            (ssize_t)chunk_size) {
            rv = ERR_IO;
        } else if (snapshot_chunk_decode(
                       bytes_of(room, chunk_size), writer->meta.index,
                       writer->chunk_count, &data, &crc) != 0) {
            break; /* written in part, before the end came */
        } else {
            writer->checksum = snapshot_checksum(writer->checksum, crc);
            writer->chunk_count++;
            writer->size += data.size;
        }
    }
    buf_close(&chunk);
    return rv;
}

static int resume_open(struct snapshot_writer *writer,
                       const struct snapshot_meta *meta)
{
    uint8_t header[SNAPSHOT_HEADER_SIZE];
    struct snapshot_meta begun;
    struct stat status;

    if (fstat(writer->fd, &status) != 0) {
        return ERR_IO;
    }
    if (pread(writer->fd, header, sizeof(header), 0) !=
            (ssize_t)sizeof(header) ||
        snapshot_header_decode(bytes_of(header, sizeof(header)), &begun) != 0 ||
        begun.index != meta->index || begun.size != meta->size ||
        begun.checksum != meta->checksum) {
        return ERR_NOT_FOUND;
    }
    writer->meta = begun;
    return take_chunks(writer, (uint64_t)status.st_size);
}

int snapshot_writer_resume(struct snapshot_writer *writer, int dir_fd,
                           const struct snapshot_meta *meta)
{
    char name[SNAPSHOT_NAME_SIZE];
    int rv;

    ensure(writer->fd < 0);
    if (meta->checksum == 0) {
        return ERR_NOT_FOUND;
    }
    snapshot_name(meta->index, SNAPSHOT_RECEIVED, name);
    writer->fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    if (writer->fd < 0) {
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    }
    writer->dir_fd = dir_fd;
    writer->kind = SNAPSHOT_RECEIVED;
    rv = resume_open(writer, meta);
    if (rv != 0) {
        snapshot_writer_close(writer);
    }
    return rv;
}

/* --- Writing ------------------------------------------------------------- */

static int write_chunk(struct snapshot_writer *writer)
{
    uint8_t header[SNAPSHOT_CHUNK_HEADER_SIZE];
    struct bytes data = buf_bytes(&writer->chunk);
    uint64_t offset = snapshot_chunk_offset(writer->chunk_count);
    struct cursor cursor = cursor_of(bytes_of(header, sizeof(header)));
    uint32_t crc = 0;
    int rv;

    snapshot_chunk_encode(writer->meta.index, writer->chunk_count, data,
                          header);
    rv = cursor_u32(&cursor, &crc);
    ensure(rv == 0);
    rv = write_all(writer->fd, bytes_of(header, sizeof(header)), offset);
    if (rv == 0) {
        rv = write_all(writer->fd, data, offset + sizeof(header));
    }
    if (rv != 0) {
        return rv;
    }
    /* Starts writing back now, so that the flush at the end is short. Only a
     * hint. */
    (void)sync_file_range(writer->fd, (off_t)offset,
                          (off_t)(sizeof(header) + data.size),
                          SYNC_FILE_RANGE_WRITE);
    writer->checksum = snapshot_checksum(writer->checksum, crc);
    writer->chunk_count++;
    buf_clear(&writer->chunk);
    return 0;
}

int snapshot_writer_append(struct snapshot_writer *writer, struct bytes data)
{
    int rv = 0;

    ensure(writer->fd >= 0);
    while (rv == 0 && data.size > 0) {
        size_t room = SNAPSHOT_CHUNK_SIZE - writer->chunk.size;
        size_t size = size_min(room, data.size);

        buf_put(&writer->chunk, data.data, size);
        rv = buf_error(&writer->chunk);
        if (rv == 0) {
            writer->size += size;
            data = bytes_of(data.data + size, data.size - size);
        }
        if (rv == 0 && writer->chunk.size == SNAPSHOT_CHUNK_SIZE) {
            rv = write_chunk(writer);
        }
    }
    return rv;
}

/* The name is given when all that it stands for is on disk. */
static int publish(struct snapshot_writer *writer)
{
    char from[SNAPSHOT_NAME_SIZE];
    char to[SNAPSHOT_NAME_SIZE];

    snapshot_name(writer->meta.index, writer->kind, from);
    snapshot_name(writer->meta.index, SNAPSHOT_WHOLE, to);
    if (fsync(writer->fd) != 0 ||
        renameat(writer->dir_fd, from, writer->dir_fd, to) != 0 ||
        fsync(writer->dir_fd) != 0) {
        return wal_segment_status(errno);
    }
    return 0;
}

int snapshot_writer_finish(struct snapshot_writer *writer,
                           struct snapshot_meta *meta)
{
    uint8_t footer[SNAPSHOT_FOOTER_SIZE];
    uint64_t end;
    int rv = 0;

    ensure(writer->fd >= 0);
    ensure(meta->index == writer->meta.index);
    if (writer->chunk.size > 0) {
        rv = write_chunk(writer);
    }
    if (rv != 0) {
        return rv;
    }
    if (writer->kind == SNAPSHOT_RECEIVED &&
        (writer->size != writer->meta.size ||
         (writer->meta.checksum != 0 &&
          writer->meta.checksum != writer->checksum))) {
        return ERR_CORRUPT;
    }
    meta->size = writer->size;
    meta->checksum = writer->checksum;
    end = snapshot_file_size(meta->size);
    snapshot_footer_encode(meta, footer);
    rv = write_all(writer->fd, bytes_of(footer, sizeof(footer)),
                   end - sizeof(footer));
    /* One that was resumed may have had a longer tail. */
    if (rv == 0 && ftruncate(writer->fd, (off_t)end) != 0) {
        rv = wal_segment_status(errno);
    }
    if (rv == 0) {
        rv = write_header(writer, meta);
    }
    if (rv == 0) {
        rv = publish(writer);
    }
    if (rv == 0) {
        snapshot_writer_close(writer);
    }
    return rv;
}
