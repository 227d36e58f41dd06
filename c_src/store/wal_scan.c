/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wal_scan.h"

#include "base/err.h"
#include "store/wal_record.h"
#include "store/wal_segment.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR_SIZE = 512 };

#define FILE_SIZE_MAX ((size_t)1 << 31)

static bool is_zero(const uint8_t *data, size_t size)
{
    return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

static int map_file(struct wal_scan *scan, int fd)
{
    struct stat status;
    void *data;

    if (fstat(fd, &status) != 0) {
        return ERR_IO;
    }
    if (status.st_size < 0 || (uint64_t)status.st_size > FILE_SIZE_MAX) {
        return ERR_LIMIT;
    }
    scan->size = (size_t)status.st_size;
    if (scan->size == 0) {
        return 0;
    }
    data = mmap(NULL, scan->size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        return ERR_NOMEM;
    }
    scan->data = data;
    return wal_segment_read(fd, scan->data, scan->size, 0);
}

int wal_scan_open(int dir_fd, uint64_t number, struct wal_scan *scan)
{
    char name[WAL_SEGMENT_NAME_SIZE];
    int fd;
    int rv;

    *scan = (struct wal_scan){.number = number};
    wal_segment_name(number, name);
    fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return ERR_IO;
    }
    rv = map_file(scan, fd);
    (void)close(fd); /* only read from */
    if (rv != 0) {
        wal_scan_close(scan);
    }
    return rv;
}

void wal_scan_close(struct wal_scan *scan)
{
    if (scan->data != NULL) {
        (void)munmap(scan->data, scan->size); /* cannot fail on our own map */
    }
    scan->data = NULL;
}

struct bytes wal_scan_from(const struct wal_scan *scan, size_t offset)
{
    return bytes_of(scan->data + offset, scan->size - offset);
}

size_t wal_scan_dirty_end(const struct wal_scan *scan, size_t start)
{
    size_t end = scan->size;

    while (end > start && scan->data[end - 1] == 0) {
        end--;
    }
    return end;
}

struct wal_aftermath wal_scan_look_behind(const struct wal_scan *scan,
                                          size_t offset, uint64_t sequence)
{
    struct wal_aftermath result = {.is_followed = false};

    while (offset + WAL_RECORD_HEADER_SIZE <= scan->size) {
        struct wal_record record;

        if (wal_record_read(wal_scan_from(scan, offset), &record) != 0 ||
            record.sequence < sequence) {
            offset += WAL_RECORD_ALIGNMENT;
            continue;
        }
        result.is_followed = true;
        if (record.flushed > sequence) {
            result.is_proven = true;
            return result;
        }
        offset += record.size;
    }
    return result;
}

bool wal_scan_has_unwritten_sector(const struct wal_scan *scan, size_t offset,
                                   size_t size)
{
    size_t end = offset + size < scan->size ? offset + size : scan->size;

    while (offset < end) {
        size_t next = (offset / SECTOR_SIZE + 1) * SECTOR_SIZE;

        next = next < end ? next : end;
        if (is_zero(scan->data + offset, next - offset)) {
            return true;
        }
        offset = next;
    }
    return false;
}
