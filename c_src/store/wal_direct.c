/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wal_direct.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/wal_mutation.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    BLOCK = WAL_SEGMENT_BLOCK_SIZE,
    VAIN_WRITES_MAX = 8 /* one after the other, of less than a block */
};

void wal_direct_init(struct wal_direct *direct)
{
    *direct = (struct wal_direct){.fd = -1};
}

static void close_file(struct wal_direct *direct)
{
    if (direct->fd >= 0) {
        (void)close(direct->fd); /* what it wrote is on disk */
    }
    direct->fd = -1;
}

void wal_direct_close(struct wal_direct *direct)
{
    close_file(direct);
    mem_free(direct->memory);
    wal_direct_init(direct);
}

static int make_memory(struct wal_direct *direct)
{
    size_t excess;

    if (direct->memory != NULL) {
        return 0;
    }
    direct->memory = mem_alloc(WAL_DIRECT_SIZE_MAX + BLOCK);
    if (direct->memory == NULL) {
        return ERR_NOMEM;
    }
    excess = (uintptr_t)direct->memory % BLOCK;
    direct->blocks = direct->memory + (excess == 0 ? 0 : BLOCK - excess);
    return 0;
}

static int status_of(int number_of_error)
{
    return number_of_error == EINVAL || number_of_error == EOPNOTSUPP
               ? ERR_UNSUPPORTED
               : wal_segment_status(number_of_error);
}

static int open_file(struct wal_direct *direct, int dir_fd, uint64_t number)
{
    int sync = WAL_IS_MUTATED(DIRECT_UNFLUSHED) ? 0 : O_DSYNC;
    char name[WAL_SEGMENT_NAME_SIZE];

    wal_segment_name(number, name);
    direct->fd = openat(dir_fd, name, O_WRONLY | O_DIRECT | O_CLOEXEC | sync);
    return direct->fd < 0 ? status_of(errno) : 0;
}

int wal_direct_open(struct wal_direct *direct, int dir_fd,
                    const struct wal_segment *segment)
{
    size_t begin = segment->offset / BLOCK * BLOCK;
    int rv;

    ensure(wal_segment_is_prepared(segment));
    close_file(direct);
    if (segment->size % BLOCK != 0) {
        return ERR_UNSUPPORTED;
    }
    rv = make_memory(direct);
    if (rv == 0) {
        rv = open_file(direct, dir_fd, segment->number);
    }
    if (rv == 0 && begin < segment->size) {
        rv = wal_segment_read(segment->fd, direct->blocks, BLOCK, begin);
    }
    if (rv != 0) {
        close_file(direct);
        return rv;
    }
    direct->offset = segment->offset;
    return 0;
}

/* The first so many bytes of `blocks`, to that place. What a short write leaves
 * of a block is written again. */
static int write_blocks(const struct wal_direct *direct, size_t size,
                        size_t offset)
{
    size_t done = 0;
    int vain = 0;

    while (done < size && vain < VAIN_WRITES_MAX) {
        ssize_t written = pwrite(direct->fd, direct->blocks + done, size - done,
                                 (off_t)(offset + done));

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return status_of(errno);
        }
        vain = written < BLOCK ? vain + 1 : 0;
        done += (size_t)written / BLOCK * BLOCK;
    }
    return done < size ? ERR_IO : 0;
}

int wal_direct_probe(struct wal_direct *direct)
{
    size_t used = direct->offset % BLOCK;
    int rv;

    ensure(direct->fd >= 0);
    if (used == 0) {
        return 0;
    }
    rv = write_blocks(direct, BLOCK, direct->offset - used);
    if (rv != 0) {
        close_file(direct);
    }
    return rv;
}

/* The block in which the next record begins comes to the front. */
static void keep_tail(struct wal_direct *direct, size_t end)
{
    size_t used = end % BLOCK;

    if (end >= BLOCK) {
        memmove(direct->blocks, direct->blocks + end - used, used);
    }
}

int wal_direct_write(struct wal_direct *direct, struct bytes bytes,
                     size_t *done)
{
    ensure(direct->fd >= 0);
    while (*done < bytes.size) {
        size_t used = direct->offset % BLOCK;
        size_t left = bytes.size - *done;
        size_t size = WAL_DIRECT_SIZE_MAX - used;
        size_t end;
        size_t padded;
        int rv;

        size = size < left ? size : left;
        end = used + size;
        padded = (end + BLOCK - 1) / BLOCK * BLOCK;
        memcpy(direct->blocks + used, bytes.data + *done, size);
        memset(direct->blocks + end, 0, padded - end);
        rv = write_blocks(direct, padded, direct->offset - used);
        if (rv != 0) {
            /* Blocks of this size were good before. */
            return rv == ERR_UNSUPPORTED ? ERR_IO : rv;
        }
        keep_tail(direct, end);
        direct->offset += size;
        *done += size;
    }
    return 0;
}
