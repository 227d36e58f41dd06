/* SPDX-License-Identifier: Apache-2.0 */
#include "store/snapshot_reader.h"

#include "base/ensure.h"
#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_SIZE_MAX = SNAPSHOT_CHUNK_HEADER_SIZE + SNAPSHOT_CHUNK_SIZE };

#define REMEDY                                                            \
    "Nothing was changed. Check the disk; in a set, the others have the " \
    "state: docs/operations.md says what can be done"

static void PRINTF_LIKE(4, 5) tell(const char *dir, uint64_t index,
                                   struct buf *error, const char *format, ...)
{
    char name[SNAPSHOT_NAME_SIZE];
    char cause[200];
    va_list args;

    if (error == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(cause, sizeof(cause), format, args);
    va_end(args);
    snapshot_name(index, SNAPSHOT_WHOLE, name);
    buf_printf(error, "%s/%s: %s", dir, name, cause);
}

void snapshot_reader_init(struct snapshot_reader *reader)
{
    *reader = (struct snapshot_reader){.fd = -1};
    buf_init(&reader->chunk, CHUNK_SIZE_MAX);
}

void snapshot_reader_close(struct snapshot_reader *reader)
{
    if (reader->fd >= 0) {
        (void)close(reader->fd); /* only read from */
    }
    buf_close(&reader->chunk);
    snapshot_reader_init(reader);
}

/* 0, ERR_IO, or ERR_TRUNCATED: the file ends before. */
static int read_all(int fd, uint8_t *data, size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t count =
            pread(fd, data + done, size - done, (off_t)(offset + done));

        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return count < 0 ? ERR_IO : ERR_TRUNCATED;
        }
        done += (size_t)count;
    }
    return 0;
}

/* --- Opening ------------------------------------------------------------- */

static int read_header(struct snapshot_reader *reader, const char *dir,
                       uint64_t index, struct buf *error)
{
    uint8_t bytes[SNAPSHOT_HEADER_SIZE];
    int rv = read_all(reader->fd, bytes, sizeof(bytes), 0);

    if (rv == 0) {
        rv = snapshot_header_decode(bytes_of(bytes, sizeof(bytes)),
                                    &reader->meta);
    }
    if (rv == ERR_UNSUPPORTED) {
        tell(dir, index, error,
             "the format of this snapshot is not version %d. Use the release "
             "that wrote it",
             SNAPSHOT_VERSION);
        return rv;
    }
    if (rv == ERR_MALFORMED || rv == ERR_TRUNCATED) {
        tell(dir, index, error,
             "the header of this snapshot is damaged, or it is none. %s",
             REMEDY);
        return ERR_CORRUPT;
    }
    if (rv == 0 && reader->meta.index != index) {
        tell(dir, index, error,
             "this is the snapshot of entry %llu under another name. %s",
             (unsigned long long)reader->meta.index, REMEDY);
        return ERR_CORRUPT;
    }
    return rv;
}

static int read_footer(struct snapshot_reader *reader, const char *dir,
                       struct buf *error)
{
    uint64_t expected = snapshot_file_size(reader->meta.size);
    uint8_t bytes[SNAPSHOT_FOOTER_SIZE];
    struct stat status;
    int rv;

    if (fstat(reader->fd, &status) != 0) {
        return ERR_IO;
    }
    if ((uint64_t)status.st_size != expected) {
        tell(dir, reader->meta.index, error,
             "this snapshot has %llu bytes, and should have %llu: it was "
             "copied in part. %s",
             (unsigned long long)status.st_size, (unsigned long long)expected,
             REMEDY);
        return ERR_CORRUPT;
    }
    reader->written_s = (uint64_t)status.st_mtim.tv_sec;
    rv = read_all(reader->fd, bytes, sizeof(bytes), expected - sizeof(bytes));
    if (rv == 0 && snapshot_footer_check(bytes_of(bytes, sizeof(bytes)),
                                         &reader->meta) != 0) {
        tell(dir, reader->meta.index, error,
             "the end of this snapshot is damaged. %s", REMEDY);
        return ERR_CORRUPT;
    }
    return rv;
}

int snapshot_reader_open(struct snapshot_reader *reader, int dir_fd,
                         const char *dir, uint64_t index, struct buf *error)
{
    char name[SNAPSHOT_NAME_SIZE];
    int rv;

    ensure(reader->fd < 0);
    snapshot_name(index, SNAPSHOT_WHOLE, name);
    reader->fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0) {
        tell(dir, index, error, "this snapshot cannot be opened");
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    }
    rv = read_header(reader, dir, index, error);
    if (rv == 0) {
        rv = read_footer(reader, dir, error);
    }
    if (rv != 0) {
        snapshot_reader_close(reader);
    }
    return rv;
}

/* --- Reading ------------------------------------------------------------- */

static int read_chunk(struct snapshot_reader *reader, uint64_t number,
                      struct bytes *ret_data, uint32_t *ret_crc)
{
    uint64_t left = reader->meta.size - number * SNAPSHOT_CHUNK_SIZE;
    size_t size =
        left < SNAPSHOT_CHUNK_SIZE ? (size_t)left : SNAPSHOT_CHUNK_SIZE;
    uint8_t *room;
    int rv;

    buf_clear(&reader->chunk);
    room = buf_reserve(&reader->chunk, SNAPSHOT_CHUNK_HEADER_SIZE + size);
    if (room == NULL) {
        return ERR_NOMEM;
    }
    rv = read_all(reader->fd, room, SNAPSHOT_CHUNK_HEADER_SIZE + size,
                  snapshot_chunk_offset(number));
    if (rv != 0) {
        return rv == ERR_TRUNCATED ? ERR_CORRUPT : rv;
    }
    return snapshot_chunk_decode(
        bytes_of(room, SNAPSHOT_CHUNK_HEADER_SIZE + size), reader->meta.index,
        number, ret_data, ret_crc);
}

int snapshot_reader_next(struct snapshot_reader *reader, struct bytes *ret_data)
{
    uint32_t crc;
    int rv;

    ensure(reader->fd >= 0);
    if (reader->position == reader->meta.size) {
        return reader->checksum == reader->meta.checksum ? ERR_NOT_FOUND
                                                         : ERR_CORRUPT;
    }
    rv = read_chunk(reader, reader->position / SNAPSHOT_CHUNK_SIZE, ret_data,
                    &crc);
    if (rv == 0) {
        reader->checksum = snapshot_checksum(reader->checksum, crc);
        reader->position += ret_data->size;
    }
    return rv;
}

int snapshot_reader_read(struct snapshot_reader *reader, uint64_t offset,
                         size_t size, struct buf *data)
{
    size_t begun = data->size;

    ensure(reader->fd >= 0);
    ensure(size <= reader->meta.size && offset <= reader->meta.size - size);
    while (data->size - begun < size) {
        uint64_t next = offset + (data->size - begun);
        size_t left = size - (data->size - begun);
        size_t skip = (size_t)(next % SNAPSHOT_CHUNK_SIZE);
        struct bytes chunk;
        uint32_t crc;
        int rv = read_chunk(reader, next / SNAPSHOT_CHUNK_SIZE, &chunk, &crc);

        if (rv == 0) {
            buf_put(data, chunk.data + skip, size_min(chunk.size - skip, left));
            rv = buf_error(data);
        }
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

void snapshot_reader_tell(const struct snapshot_reader *reader, const char *dir,
                          struct buf *error)
{
    uint64_t number = reader->position / SNAPSHOT_CHUNK_SIZE;

    tell(dir, reader->meta.index, error,
         "offset %llu: chunk %llu of this snapshot is damaged. %s",
         (unsigned long long)snapshot_chunk_offset(number),
         (unsigned long long)number, REMEDY);
}

/* --- The directory ------------------------------------------------------- */

int snapshot_newest(const char *dir, uint64_t below, uint64_t *ret_index)
{
    DIR *listing = opendir(dir);
    const struct dirent *file;
    uint64_t newest = 0;
    bool is_failed;

    if (listing == NULL) {
        return ERR_IO;
    }
    errno = 0;
    while ((file = readdir(listing)) != NULL) {
        uint64_t index = snapshot_name_index(file->d_name, SNAPSHOT_WHOLE);

        newest = index > newest && index < below ? index : newest;
        errno = 0;
    }
    is_failed = errno != 0;
    (void)closedir(listing); /* only read from */
    if (is_failed) {
        return ERR_IO;
    }
    *ret_index = newest;
    return 0;
}

void snapshot_remove(int dir_fd, uint64_t index)
{
    char name[SNAPSHOT_NAME_SIZE];

    snapshot_name(index, SNAPSHOT_WHOLE, name);
    (void)unlinkat(dir_fd, name, 0);
    (void)fsync(dir_fd);
}

static bool is_old(const char *name, uint64_t newest, uint64_t needed)
{
    uint64_t whole = snapshot_name_index(name, SNAPSHOT_WHOLE);
    uint64_t own = snapshot_name_index(name, SNAPSHOT_OWN);
    uint64_t received = snapshot_name_index(name, SNAPSHOT_RECEIVED);

    return (whole != 0 && whole < newest && whole < needed) ||
           (own != 0 && own <= newest) || (received != 0 && received <= newest);
}

void snapshot_remove_old(const char *dir, int dir_fd, uint64_t newest,
                         uint64_t needed)
{
    DIR *listing = opendir(dir);
    const struct dirent *file;

    if (listing == NULL) {
        return; /* the next one does it */
    }
    while ((file = readdir(listing)) != NULL) {
        if (is_old(file->d_name, newest, needed)) {
            (void)unlinkat(dir_fd, file->d_name, 0); /* idem */
        }
    }
    (void)closedir(listing); /* only read from */
}
