/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/storage.h"

#include "base/crc32c.h"
#include "base/ensure.h"
#include "sim/cluster_internal.h"
#include "sim/storage_image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void storage_init(struct storage *storage, struct rng *rng)
{
    *storage = (struct storage){.rng = rng};
}

static void free_file(struct storage_file *file)
{
    free(file->cache.data);
    free(file->disk.data);
    *file = (struct storage_file){.is_used = false};
}

static void free_call(struct storage_call *call)
{
    free(call->before);
    free(call->after);
}

void storage_close(struct storage *storage)
{
    for (size_t i = 0; i < storage->call_count; i++) {
        free_call(&storage->calls[i]);
    }
    free(storage->calls);
    for (int i = 0; i < storage->file_count; i++) {
        free_file(&storage->files[i]);
    }
    *storage = (struct storage){.calls = NULL};
}

static bool fails(struct storage *storage, uint32_t permille)
{
    return permille > 0 && rng_below(storage->rng, 1000) < permille;
}

/* --- Notes --------------------------------------------------------------- */

static struct storage_call *note(struct storage *storage,
                                 enum storage_call_type type, int file)
{
    struct storage_call *call;

    if (storage->call_count == storage->call_capacity) {
        storage->call_capacity = storage->call_capacity * 2 + 16;
        storage->calls = cluster_must(realloc(
            storage->calls, storage->call_capacity * sizeof(*storage->calls)));
    }
    call = &storage->calls[storage->call_count];
    storage->call_count++;
    *call = (struct storage_call){.type = type, .file = file};
    return call;
}

/* Notes the sectors that a write to this part changes, as they are. */
static struct storage_call *note_sectors(struct storage *storage,
                                         enum storage_call_type type, int file,
                                         size_t offset, size_t end)
{
    struct storage_image *cache = &storage->files[file].cache;
    struct storage_call *call = note(storage, type, file);
    size_t first = offset / STORAGE_SECTOR_SIZE * STORAGE_SECTOR_SIZE;
    size_t last = (end + STORAGE_SECTOR_SIZE - 1) / STORAGE_SECTOR_SIZE *
                  STORAGE_SECTOR_SIZE;

    call->size_before = cache->size;
    if (end > cache->size) {
        storage_resize(cache, end);
    }
    last = last < cache->size ? last : cache->size;
    call->offset = first;
    call->size = last - first;
    call->before = cluster_copy(bytes_of(cache->data + first, call->size));
    return call;
}

static void undo(struct storage *storage, const struct storage_call *call)
{
    struct storage_file *file = &storage->files[call->file];

    switch (call->type) {
    case STORAGE_WRITE:
    case STORAGE_FORGET:
        storage_put(&file->cache, call->offset, call->before, call->size);
        storage_resize(&file->cache, call->size_before);
        return;
    case STORAGE_CREATE:
        file->is_named = false;
        return;
    case STORAGE_REMOVE:
        file->is_named = true;
        return;
    case STORAGE_FLUSH:
    case STORAGE_FLUSH_DIR:
        return;
    }
}

/* --- Calls --------------------------------------------------------------- */

static int find(const struct storage *storage, const char *name)
{
    int file = storage_next(storage, 0);

    while (file >= 0 && strcmp(storage->files[file].name, name) != 0) {
        file = storage_next(storage, file + 1);
    }
    return file;
}

int storage_next(const struct storage *storage, int file)
{
    for (; file < storage->file_count; file++) {
        if (storage->files[file].is_named) {
            return file;
        }
    }
    return -1;
}

static int new_file(struct storage *storage, const char *name)
{
    int number = 0;
    struct storage_file *file;

    while (number < storage->file_count && storage->files[number].is_used) {
        number++;
    }
    ensure(number < STORAGE_FILES_MAX);
    if (number == storage->file_count) {
        storage->file_count++;
    }
    file = &storage->files[number];
    *file = (struct storage_file){.is_used = true, .is_named = true};
    (void)snprintf(file->name, sizeof(file->name), "%s", name);
    (void)note(storage, STORAGE_CREATE, number);
    return number;
}

int storage_open(struct storage *storage, const char *name, bool is_created)
{
    int file = find(storage, name);

    if (file < 0) {
        if (!is_created) {
            return -ENOENT;
        }
        if (storage->faults.is_full) {
            return -ENOSPC;
        }
        file = new_file(storage, name);
    }
    storage->files[file].open_count++;
    return file;
}

void storage_release(struct storage *storage, int file)
{
    ensure(storage->files[file].open_count > 0);
    storage->files[file].open_count--;
}

int storage_remove(struct storage *storage, const char *name)
{
    int file = find(storage, name);

    if (file < 0) {
        return -ENOENT;
    }
    storage->files[file].is_named = false;
    (void)note(storage, STORAGE_REMOVE, file);
    return 0;
}

int storage_write(struct storage *storage, int file, struct bytes bytes,
                  size_t offset)
{
    const struct storage_faults *faults = &storage->faults;
    struct storage_image *cache = &storage->files[file].cache;
    size_t sector = offset / STORAGE_SECTOR_SIZE * STORAGE_SECTOR_SIZE;
    struct storage_call *call;

    if (fails(storage, faults->write_permille)) {
        return -EIO;
    }
    if (faults->is_full &&
        (faults->is_full_in_place || offset + bytes.size > cache->size)) {
        return -ENOSPC;
    }
    /* A part of a sector is written as a whole or not at all. */
    if (sector + STORAGE_SECTOR_SIZE < offset + bytes.size &&
        fails(storage, faults->short_permille)) {
        bytes.size = sector + STORAGE_SECTOR_SIZE - offset;
    }
    call =
        note_sectors(storage, STORAGE_WRITE, file, offset, offset + bytes.size);
    storage_put(cache, offset, bytes.data, bytes.size);
    call->after =
        cluster_copy(bytes_of(cache->data + call->offset, call->size));
    return (int)bytes.size;
}

int storage_read(struct storage *storage, int file, uint8_t *data, size_t size,
                 size_t offset)
{
    const struct storage_image *cache = &storage->files[file].cache;
    size_t left = offset < cache->size ? cache->size - offset : 0;

    if (fails(storage, storage->faults.read_permille)) {
        return -EIO;
    }
    size = size < left ? size : left;
    if (size > 0) {
        memcpy(data, cache->data + offset, size);
    }
    return (int)size;
}

int storage_grow(struct storage *storage, int file, size_t size)
{
    struct storage_image *cache = &storage->files[file].cache;
    struct storage_call *call;

    if (size <= cache->size) {
        return 0;
    }
    if (storage->faults.is_full) {
        return -ENOSPC;
    }
    call = note_sectors(storage, STORAGE_WRITE, file, cache->size, size);
    call->after =
        cluster_copy(bytes_of(cache->data + call->offset, call->size));
    return 0;
}

/* The sectors that wait are clean from here on. The newest first, so that what
 * comes back is what was there before all of them. */
static void forget(struct storage *storage, int file)
{
    bool is_kept = rng_below(storage->rng, 2) == 0;

    for (size_t i = storage->call_count; i > 0; i--) {
        const struct storage_call *old = &storage->calls[i - 1];

        if (old->type == STORAGE_FLUSH && old->file == file) {
            break;
        }
        if (old->type != STORAGE_WRITE || old->file != file) {
            continue;
        }
        (void)note_sectors(storage, STORAGE_FORGET, file, old->offset,
                           old->offset + old->size);
        old = &storage->calls[i - 1]; /* the list may have moved */
        if (!is_kept) {
            storage_put(&storage->files[file].cache, old->offset, old->before,
                        old->size);
        }
    }
}

int storage_flush(struct storage *storage, int file)
{
    if (fails(storage, storage->faults.flush_permille)) {
        forget(storage, file);
        return -EIO;
    }
    (void)note(storage, STORAGE_FLUSH, file);
    return 0;
}

int storage_write_through(struct storage *storage, int file, struct bytes bytes,
                          size_t offset)
{
    int written = storage_write(storage, file, bytes, offset);
    struct storage_call *flush;

    if (written <= 0) {
        return written;
    }
    if (fails(storage, storage->faults.flush_permille)) {
        forget(storage, file);
        return -EIO;
    }
    flush = note(storage, STORAGE_FLUSH, file);
    flush->offset = offset;
    flush->size = (size_t)written;
    return written;
}

int storage_flush_dir(struct storage *storage)
{
    if (fails(storage, storage->faults.flush_permille)) {
        return -EIO;
    }
    (void)note(storage, STORAGE_FLUSH_DIR, 0);
    return 0;
}

/* --- Time ---------------------------------------------------------------- */

static void name_on_disk(struct storage *storage, int number, bool is_named)
{
    struct storage_file *file = &storage->files[number];

    for (int i = 0; i < storage->file_count && is_named; i++) {
        if (storage->files[i].is_named_on_disk &&
            strcmp(storage->files[i].name, file->name) == 0) {
            storage->files[i].is_named_on_disk = false;
        }
    }
    file->is_named_on_disk = is_named;
}

static void drop(struct storage_call *call)
{
    free_call(call);
    *call = (struct storage_call){.type = STORAGE_FLUSH, .file = -1};
}

static bool is_dropped(const struct storage_call *call)
{
    return call->type == STORAGE_FLUSH && call->file < 0;
}

static bool is_settled_by(const struct storage_call *call,
                          const struct storage_call *end)
{
    if (end->type == STORAGE_FLUSH_DIR) {
        return call->type == STORAGE_CREATE || call->type == STORAGE_REMOVE;
    }
    return call->type == STORAGE_WRITE && call->file == end->file &&
           (end->type != STORAGE_FLUSH || end->size == 0 ||
            (call->offset >= end->offset &&
             call->offset + call->size <= end->offset + end->size));
}

/* What waited before this call, and is its business, is on disk, or forgotten.
 */
static void settle(struct storage *storage, size_t number)
{
    struct storage_call *end = &storage->calls[number];

    for (size_t i = 0; i < number; i++) {
        struct storage_call *call = &storage->calls[i];

        if (!is_settled_by(call, end)) {
            continue;
        }
        if (end->type == STORAGE_FLUSH_DIR) {
            name_on_disk(storage, call->file, call->type == STORAGE_CREATE);
        } else if (end->type == STORAGE_FLUSH) {
            storage_put(&storage->files[call->file].disk, call->offset,
                        call->after, call->size);
        }
        drop(call);
    }
    drop(end);
}

static void free_unused(struct storage *storage)
{
    for (int i = 0; i < storage->file_count; i++) {
        struct storage_file *file = &storage->files[i];
        bool is_waited_for = false;

        if (!file->is_used || file->is_named || file->is_named_on_disk ||
            file->open_count > 0) {
            continue;
        }
        for (size_t j = 0; j < storage->call_count; j++) {
            is_waited_for = is_waited_for || storage->calls[j].file == i;
        }
        if (!is_waited_for) {
            free_file(file);
        }
    }
}

void storage_pass(struct storage *storage)
{
    size_t kept = 0;

    for (size_t i = storage->done_count; i < storage->call_count; i++) {
        enum storage_call_type type = storage->calls[i].type;

        if (type == STORAGE_FLUSH || type == STORAGE_FORGET ||
            type == STORAGE_FLUSH_DIR) {
            settle(storage, i);
        }
    }
    for (size_t i = 0; i < storage->call_count; i++) {
        if (!is_dropped(&storage->calls[i])) {
            storage->calls[kept] = storage->calls[i];
            kept++;
        }
    }
    storage->call_count = kept;
    storage->done_count = kept;
    free_unused(storage);
}

/* --- Ends ---------------------------------------------------------------- */

void storage_kill(struct storage *storage)
{
    size_t ahead = storage->call_count - storage->done_count;
    size_t end = storage->done_count + rng_below(storage->rng, ahead + 1);

    while (storage->call_count > end) {
        storage->call_count--;
        undo(storage, &storage->calls[storage->call_count]);
        free_call(&storage->calls[storage->call_count]);
    }
    for (int i = 0; i < storage->file_count; i++) {
        storage->files[i].open_count = 0;
    }
    storage_pass(storage);
}

static void put_some_sectors(struct storage *storage,
                             const struct storage_call *call, uint32_t percent)
{
    struct storage_image *disk = &storage->files[call->file].disk;

    for (size_t at = 0; at < call->size; at += STORAGE_SECTOR_SIZE) {
        size_t left = call->size - at;

        if (rng_below(storage->rng, 100) < percent) {
            storage_put(disk, call->offset + at, call->after + at,
                        left < STORAGE_SECTOR_SIZE ? left
                                                   : STORAGE_SECTOR_SIZE);
        }
    }
}

void storage_cut_power(struct storage *storage)
{
    static const uint32_t percents[] = {0, 50, 90, 100};
    uint32_t percent = percents[rng_below(storage->rng, 4)];

    storage_kill(storage);
    for (size_t i = 0; i < storage->call_count; i++) {
        struct storage_call *call = &storage->calls[i];

        if (call->type == STORAGE_WRITE) {
            put_some_sectors(storage, call, percent);
        } else if (rng_below(storage->rng, 100) < percent) {
            name_on_disk(storage, call->file, call->type == STORAGE_CREATE);
        }
        free_call(call);
    }
    storage->call_count = 0;
    storage->done_count = 0;
    for (int i = 0; i < storage->file_count; i++) {
        struct storage_file *file = &storage->files[i];

        file->is_named = file->is_named_on_disk;
        storage_copy(&file->cache, &file->disk);
    }
    free_unused(storage);
}

void storage_flip(struct storage *storage, int file, size_t offset,
                  uint8_t mask)
{
    struct storage_file *flipped = &storage->files[file];

    flipped->cache.data[offset] ^= mask;
    if (offset < flipped->disk.size) {
        flipped->disk.data[offset] ^= mask;
    }
}

uint32_t storage_checksum(const struct storage *storage)
{
    uint32_t checksum = 0;

    for (int i = storage_next(storage, 0); i >= 0;
         i = storage_next(storage, i + 1)) {
        const struct storage_file *file = &storage->files[i];

        /* The order of the files is not of interest. */
        checksum ^= crc32c(crc32c(0, bytes_of_string(file->name)),
                           bytes_of(file->cache.data, file->cache.size));
    }
    return checksum;
}
