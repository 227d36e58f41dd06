/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wal_files.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/wal_segment.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void wal_files_init(struct wal_files *files)
{
    *files = (struct wal_files){.items = NULL};
}

void wal_files_close(struct wal_files *files)
{
    mem_free(files->items);
    wal_files_init(files);
}

int wal_files_add(struct wal_files *files, uint64_t number)
{
    size_t wanted = files->capacity == 0 ? 16 : files->capacity * 2;
    struct wal_file *items;

    if (files->count == files->capacity) {
        items = mem_realloc(files->items, wanted * sizeof(*items));
        if (items == NULL) {
            return ERR_NOMEM;
        }
        files->items = items;
        files->capacity = wanted;
    }
    files->items[files->count] = (struct wal_file){.number = number};
    files->count++;
    return 0;
}

void wal_files_note(struct wal_files *files, const struct wal_payload *payload)
{
    uint64_t last = payload->first_index + payload->entry_count - 1;
    struct wal_file *file;

    ensure(files->count > 0);
    if (payload->has_base) {
        for (size_t i = 0; i < files->count; i++) {
            files->items[i].index_max = 0;
        }
    }
    file = &files->items[files->count - 1];
    if (payload->entry_count > 0 && last > file->index_max) {
        file->index_max = last;
    }
}

int wal_files_cut(struct wal_files *files, int dir_fd, uint64_t index)
{
    char name[WAL_SEGMENT_NAME_SIZE];

    if (index == 0 || files->count < 2 || files->items[0].index_max > index) {
        return ERR_NOT_FOUND;
    }
    wal_segment_name(files->items[0].number, name);
    files->count--;
    memmove(files->items, files->items + 1,
            files->count * sizeof(files->items[0]));
    /* One after the other: two names that are gone in the wrong order would
     * leave a gap. */
    if ((unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT) ||
        fsync(dir_fd) != 0) {
        return ERR_IO;
    }
    return 0;
}
