/* SPDX-License-Identifier: Apache-2.0 */
#include "store/state_journal.h"

#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_SIZE_MAX = 4096,
    CRC_OFFSET = STATE_JOURNAL_HEADER_SIZE - 4,
    ZEROS_SIZE = 256 * 1024,
    RECORD_KEPT_MAX = 1024 * 1024, /* bytes of memory kept between records */
};

static const uint32_t magic = 0x514a4f31; /* QJO1 */

struct header {
    uint64_t generation;
    uint64_t number;
    uint32_t size; /* of the data behind the header */
    uint32_t crc;  /* of the header up to here, and the data */
};

static int error_of_errno(void)
{
    return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? ERR_NO_SPACE
                                                                : ERR_IO;
}

static int write_all(int fd, const uint8_t *data, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t written = pwrite(fd, data, size, (off_t)offset);

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return error_of_errno();
        }
        data += written;
        size -= (size_t)written;
        offset += (uint64_t)written;
    }
    return 0;
}

static int read_all(int fd, uint8_t *data, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t got = pread(fd, data, size, (off_t)offset);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return ERR_IO;
        }
        data += got;
        size -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

/* Real zeros, not a hole or an unwritten extent: a flush of overwritten bytes
 * has no file system metadata to write. */
static int fill(int fd, uint64_t from)
{
    uint8_t *zeros = mem_alloc(ZEROS_SIZE);
    int rv = zeros == NULL ? ERR_NOMEM : 0;

    while (rv == 0 && from < STATE_JOURNAL_SIZE) {
        uint64_t left = STATE_JOURNAL_SIZE - from;
        size_t size = left < ZEROS_SIZE ? (size_t)left : ZEROS_SIZE;

        rv = write_all(fd, zeros, size, from);
        from += size;
    }
    mem_free(zeros);
    return rv == 0 && fsync(fd) != 0 ? error_of_errno() : rv;
}

int state_journal_open(struct state_journal *journal, const char *dir,
                       struct buf *error)
{
    char path[PATH_SIZE_MAX];
    struct stat file;
    int size = snprintf(path, sizeof(path), "%s/state.journal", dir);
    int rv = 0;

    *journal = (struct state_journal){.fd = -1, .generation = 1};
    buf_init(&journal->record, STATE_JOURNAL_SIZE);
    if (size < 0 || (size_t)size >= sizeof(path)) {
        rv = ERR_LIMIT;
    } else {
        journal->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (journal->fd < 0 || fstat(journal->fd, &file) != 0) {
            rv = error_of_errno();
        }
    }
    if (rv == 0 && file.st_size < STATE_JOURNAL_SIZE) {
        rv = fill(journal->fd, (uint64_t)file.st_size);
    }
    if (rv != 0) {
        if (error != NULL) {
            buf_printf(error, "%s: %s; check the disk and the permissions",
                       path, err_text(rv));
        }
        state_journal_close(journal);
    }
    return rv;
}

void state_journal_close(struct state_journal *journal)
{
    if (journal->fd >= 0) {
        (void)close(journal->fd);
        journal->fd = -1;
    }
    buf_close(&journal->record);
}

static uint64_t pages(uint64_t size)
{
    return (size + STATE_JOURNAL_PAGE - 1) / STATE_JOURNAL_PAGE *
           STATE_JOURNAL_PAGE;
}

static bool header_decode(struct bytes bytes, struct header *ret_header)
{
    struct cursor cursor = cursor_of(bytes);
    uint32_t found = 0;
    int rv = cursor_u32(&cursor, &found);

    rv = rv == 0 ? cursor_u64(&cursor, &ret_header->generation) : rv;
    rv = rv == 0 ? cursor_u64(&cursor, &ret_header->number) : rv;
    rv = rv == 0 ? cursor_u32(&cursor, &ret_header->size) : rv;
    if (rv == 0) {
        struct bytes padding;

        rv = cursor_take(&cursor, 4, &padding);
    }
    rv = rv == 0 ? cursor_u32(&cursor, &ret_header->crc) : rv;
    return rv == 0 && found == magic;
}

/* Reads the record at `offset` into journal->record. ERR_NOT_FOUND: there is
 * no whole record. */
static int read_record(struct state_journal *journal, uint64_t offset,
                       struct header *ret_header)
{
    struct buf *record = &journal->record;
    uint8_t *room;
    uint32_t crc;
    size_t size;
    int rv;

    if (offset + STATE_JOURNAL_HEADER_SIZE > STATE_JOURNAL_SIZE) {
        return ERR_NOT_FOUND;
    }
    buf_clear(record);
    room = buf_reserve(record, STATE_JOURNAL_HEADER_SIZE);
    if (room == NULL) {
        return buf_error(record);
    }
    rv = read_all(journal->fd, room, STATE_JOURNAL_HEADER_SIZE, offset);
    if (rv != 0) {
        return rv;
    }
    if (!header_decode(bytes_of(room, STATE_JOURNAL_HEADER_SIZE), ret_header) ||
        ret_header->size >
            STATE_JOURNAL_SIZE - STATE_JOURNAL_HEADER_SIZE - offset) {
        return ERR_NOT_FOUND;
    }
    size = STATE_JOURNAL_HEADER_SIZE + (size_t)ret_header->size;
    room = buf_reserve(record, size);
    if (room == NULL) {
        return buf_error(record);
    }
    rv = read_all(journal->fd, room, size, offset);
    if (rv != 0) {
        return rv;
    }
    buf_commit(record, size);
    crc = crc32c(0, bytes_of(room, CRC_OFFSET));
    crc = crc32c(crc,
                 bytes_of(room + STATE_JOURNAL_HEADER_SIZE, ret_header->size));
    return crc == ret_header->crc ? 0 : ERR_NOT_FOUND;
}

/* Whether a later record of this generation is whole: then the one at the
 * current offset was damaged, not torn. */
static int look_behind(struct state_journal *journal)
{
    uint64_t offset = journal->offset + STATE_JOURNAL_PAGE;

    for (; offset < STATE_JOURNAL_SIZE; offset += STATE_JOURNAL_PAGE) {
        struct header header = {0};
        int rv = read_record(journal, offset, &header);

        if (rv == 0 && header.generation == journal->generation &&
            header.number > journal->number) {
            return ERR_CORRUPT;
        }
        if (rv != 0 && rv != ERR_NOT_FOUND) {
            return rv;
        }
    }
    return ERR_NOT_FOUND;
}

int state_journal_next(struct state_journal *journal, struct bytes *ret_data)
{
    struct header header = {0};
    int rv = read_record(journal, journal->offset, &header);

    if (rv == 0 && journal->number == 0 && header.number == 0) {
        journal->generation = header.generation;
    }
    if (rv == 0 && header.generation == journal->generation &&
        header.number == journal->number) {
        *ret_data = bytes_of(journal->record.data + STATE_JOURNAL_HEADER_SIZE,
                             header.size);
        journal->offset += pages(journal->record.size);
        journal->number++;
        return 0;
    }
    if (rv != 0 && rv != ERR_NOT_FOUND) {
        return rv;
    }
    /* Without a first record nothing tells the generation; whatever a torn
     * first record would have held was never acknowledged. */
    return journal->number == 0 ? ERR_NOT_FOUND : look_behind(journal);
}

void state_journal_begin(struct state_journal *journal)
{
    struct buf *record = &journal->record;

    if (record->capacity > RECORD_KEPT_MAX) {
        buf_close(record);
    }
    buf_clear(record);
    buf_put_u32(record, magic);
    buf_put_u64(record, journal->generation);
    buf_put_u64(record, journal->number);
    buf_put_u32(record, 0); /* size, known at the end */
    buf_put_u32(record, 0); /* padding */
    buf_put_u32(record, 0); /* crc, idem */
}

bool state_journal_has_room(const struct state_journal *journal, size_t size)
{
    return size <= STATE_JOURNAL_SIZE - STATE_JOURNAL_HEADER_SIZE &&
           journal->offset <=
               STATE_JOURNAL_SIZE - STATE_JOURNAL_HEADER_SIZE - size;
}

int state_journal_write(struct state_journal *journal)
{
    struct buf *record = &journal->record;
    size_t data_size;
    uint32_t crc;
    int rv = buf_error(record);

    if (rv != 0) {
        return rv;
    }
    data_size = record->size - STATE_JOURNAL_HEADER_SIZE;
    if (!state_journal_has_room(journal, data_size)) {
        return ERR_LIMIT;
    }
    buf_patch_u32(record, 20, (uint32_t)data_size);
    crc = crc32c(0, bytes_of(record->data, CRC_OFFSET));
    crc = crc32c(crc,
                 bytes_of(record->data + STATE_JOURNAL_HEADER_SIZE, data_size));
    buf_patch_u32(record, CRC_OFFSET, crc);
    rv = write_all(journal->fd, record->data, record->size, journal->offset);
    if (rv == 0 && fdatasync(journal->fd) != 0) {
        rv = ERR_IO;
    }
    if (rv == 0) {
        journal->offset += pages(record->size);
        journal->number++;
    }
    return rv;
}

void state_journal_reset(struct state_journal *journal)
{
    journal->generation++;
    journal->number = 0;
    journal->offset = 0;
}
