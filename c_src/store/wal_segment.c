/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wal_segment.h"

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"
#include "store/wal_mutation.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    HEADER_FIELDS_SIZE = 56,    /* what the checksum covers */
    HEADER_FIELDS_SIZE_V1 = 32, /* in version 1 */
    ZEROS_SIZE = 64 * 1024,
    ZEROS_PER_STEP = 8 /* 512 KiB at a time */
};

#define MAGIC UINT64_C(0x51554f5257414c0a) /* "QUORWAL\n" */

/* Never written: its pages are all the one page of zeros. */
static uint8_t zeros[ZEROS_SIZE];

int wal_segment_status(int number_of_error)
{
    switch (number_of_error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_NO_SPACE;
    default:
        return ERR_IO;
    }
}

void wal_segment_name(uint64_t number, char ret_name[WAL_SEGMENT_NAME_SIZE])
{
    (void)snprintf(ret_name, WAL_SEGMENT_NAME_SIZE, "%016" PRIx64 ".wal",
                   number);
}

/* The value of a lower-case hexadecimal digit, or -1. */
static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return -1;
}

uint64_t wal_segment_number(const char *name)
{
    uint64_t number = 0;

    if (strlen(name) != WAL_SEGMENT_NAME_SIZE - 1 ||
        strcmp(name + 16, ".wal") != 0) {
        return 0;
    }
    for (int i = 0; i < 16; i++) {
        int value = digit_value(name[i]);

        if (value < 0) {
            return 0;
        }
        number = number << 4 | (uint64_t)value;
    }
    return number;
}

size_t wal_segment_round(size_t size)
{
    size_t blocks = size / WAL_SEGMENT_BLOCK_SIZE;

    return (blocks + (size % WAL_SEGMENT_BLOCK_SIZE == 0 ? 0 : 1)) *
           WAL_SEGMENT_BLOCK_SIZE;
}

void wal_segment_init(struct wal_segment *segment)
{
    *segment = (struct wal_segment){.fd = -1};
}

void wal_segment_close(struct wal_segment *segment)
{
    if (segment->fd >= 0) {
        (void)close(segment->fd); /* all that matters was flushed */
    }
    wal_segment_init(segment);
}

void wal_segment_discard(struct wal_segment *segment, int dir_fd)
{
    char name[WAL_SEGMENT_NAME_SIZE];

    if (segment->fd >= 0) {
        wal_segment_name(segment->number, name);
        /* If it stays, it is one that has not begun: that is allowed. */
        (void)unlinkat(dir_fd, name, 0);
    }
    wal_segment_close(segment);
}

int wal_segment_create(struct wal_segment *segment, int dir_fd, uint64_t number,
                       size_t size)
{
    char name[WAL_SEGMENT_NAME_SIZE];
    int fd;

    ensure(segment->fd < 0);
    ensure(number > 0);
    wal_segment_name(number, name);
    fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return wal_segment_status(errno);
    }
    *segment = (struct wal_segment){.fd = fd,
                                    .number = number,
                                    .size = size,
                                    .offset = WAL_SEGMENT_HEADER_SIZE};
    return 0;
}

bool wal_segment_is_prepared(const struct wal_segment *segment)
{
    return segment->fd >= 0 && segment->prepared == segment->size;
}

/* One part of zeros, or less at the end. */
static int write_zeros(struct wal_segment *segment)
{
    struct iovec parts[ZEROS_PER_STEP];
    size_t left = segment->size - segment->prepared;
    int count = 0;
    ssize_t written;

    while (left > 0 && count < ZEROS_PER_STEP) {
        size_t size = left < ZEROS_SIZE ? left : ZEROS_SIZE;

        parts[count] = (struct iovec){.iov_base = zeros, .iov_len = size};
        left -= size;
        count++;
    }
    do {
        written = pwritev(segment->fd, parts, count, (off_t)segment->prepared);
    } while (written < 0 && errno == EINTR);
    if (written <= 0) {
        return wal_segment_status(written < 0 ? errno : EIO);
    }
    /* Starts writing back now, so that the flush at the end is short. Only a
     * hint: the flush reports what goes wrong. */
    (void)sync_file_range(segment->fd, (off_t)segment->prepared, written,
                          SYNC_FILE_RANGE_WRITE);
    segment->prepared += (size_t)written;
    return 0;
}

int wal_segment_prepare(struct wal_segment *segment, int dir_fd)
{
    int rv;

    ensure(segment->fd >= 0);
    ensure(segment->prepared < segment->size);
    /* Keeps the file in one piece; not every file system can. */
    if (segment->prepared == 0 &&
        fallocate(segment->fd, 0, 0, (off_t)segment->size) != 0 &&
        wal_segment_status(errno) == ERR_NO_SPACE) {
        return ERR_NO_SPACE;
    }
    rv = write_zeros(segment);
    if (rv != 0 || segment->prepared < segment->size) {
        return rv;
    }
    if (fsync(segment->fd) != 0 ||
        (!WAL_IS_MUTATED(NAME_UNFLUSHED) && fsync(dir_fd) != 0)) {
        rv = wal_segment_status(errno);
    }
    return rv;
}

void wal_segment_extend(struct wal_segment *segment, size_t size)
{
    ensure(size >= segment->size);
    segment->size = size;
}

int wal_segment_begin(struct wal_segment *segment,
                      const struct wal_segment_header *header)
{
    struct buf bytes;
    int rv;

    ensure(wal_segment_is_prepared(segment));
    ensure(segment->size <= UINT32_MAX);
    buf_init(&bytes, WAL_SEGMENT_HEADER_SIZE);
    buf_put_u64(&bytes, MAGIC);
    buf_put_u32(&bytes, WAL_VERSION);
    buf_put_u32(&bytes, (uint32_t)segment->size);
    buf_put_u64(&bytes, segment->number);
    buf_put_u64(&bytes, header->first_sequence);
    buf_put_u64(&bytes, header->term);
    buf_put_u64(&bytes, header->voted_for);
    buf_put_u64(&bytes, header->last_index);
    buf_put_u32(&bytes, crc32c(0, buf_bytes(&bytes)));
    rv = buf_error(&bytes);
    if (rv == 0) {
        rv = wal_segment_write(segment, buf_bytes(&bytes), 0);
    }
    buf_close(&bytes);
    return rv != 0 ? rv : wal_segment_flush(segment);
}

/* Whether the checksum behind `size` bytes of fields is right. */
static bool is_intact(struct bytes bytes, size_t size)
{
    struct cursor cursor = cursor_of(bytes);
    struct bytes fields;
    uint32_t crc;

    return cursor_take(&cursor, size, &fields) == 0 &&
           cursor_u32(&cursor, &crc) == 0 && crc == crc32c(0, fields);
}

int wal_segment_header_decode(struct bytes bytes,
                              struct wal_segment_header *ret_header)
{
    struct cursor cursor = cursor_of(bytes);
    struct wal_segment_header header = {.version = 0};
    uint64_t magic;

    if (cursor_u64(&cursor, &magic) != 0 || magic != MAGIC ||
        cursor_u32(&cursor, &header.version) != 0 ||
        cursor_u32(&cursor, &header.size) != 0 ||
        cursor_u64(&cursor, &header.number) != 0 ||
        cursor_u64(&cursor, &header.first_sequence) != 0 ||
        !is_intact(bytes, header.version == 1 ? HEADER_FIELDS_SIZE_V1
                                              : HEADER_FIELDS_SIZE)) {
        return ERR_MALFORMED;
    }
    if (header.version < WAL_VERSION_MIN || header.version > WAL_VERSION ||
        (header.version == 1 && header.size != 0)) {
        return ERR_UNSUPPORTED;
    }
    if (header.version > 1 && (cursor_u64(&cursor, &header.term) != 0 ||
                               cursor_u64(&cursor, &header.voted_for) != 0 ||
                               cursor_u64(&cursor, &header.last_index) != 0)) {
        return ERR_MALFORMED;
    }
    *ret_header = header;
    return 0;
}

int wal_segment_write(const struct wal_segment *segment, struct bytes bytes,
                      size_t offset)
{
    size_t done = 0;

    ensure(bytes.size <= segment->size);
    ensure(offset <= segment->size - bytes.size);
    while (done < bytes.size) {
        ssize_t written = pwrite(segment->fd, bytes.data + done,
                                 bytes.size - done, (off_t)(offset + done));

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return wal_segment_status(written < 0 ? errno : EIO);
        }
        done += (size_t)written;
    }
    return 0;
}

int wal_segment_read(int fd, uint8_t *data, size_t size, size_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t count =
            pread(fd, data + done, size - done, (off_t)(offset + done));

        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return ERR_IO;
        }
        done += (size_t)count;
    }
    return 0;
}

int wal_segment_flush(const struct wal_segment *segment)
{
    return fdatasync(segment->fd) == 0 ? 0 : wal_segment_status(errno);
}
