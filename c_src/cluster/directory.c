/* SPDX-License-Identifier: Apache-2.0
 * There are few entries, so every look-up is a walk. */
#include "cluster/directory.h"

#include "base/ensure.h"
#include "base/err.h"

/* Texts stand in lines with blanks between them. */
static bool is_plain(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

int directory_entry_init(struct directory_entry *entry, uint64_t id,
                         uint64_t instance, struct bytes name,
                         struct bytes address)
{
    struct directory_entry made = {.id = id, .instance = instance};

    if (id == 0 || name.size == 0 || !is_plain(name) || !is_plain(address)) {
        return ERR_BADARG;
    }
    if (name.size > DIRECTORY_NAME_SIZE_MAX ||
        address.size > DIRECTORY_ADDRESS_SIZE_MAX) {
        return ERR_LIMIT;
    }
    memcpy(made.name, name.data, name.size);
    if (address.size > 0) {
        memcpy(made.address, address.data, address.size);
    }
    *entry = made;
    return 0;
}

static struct directory_entry *find(const struct directory *directory,
                                    uint64_t id)
{
    for (uint32_t i = 0; i < directory->count; i++) {
        if (directory->entries[i].id == id) {
            return (struct directory_entry *)(uintptr_t)&directory->entries[i];
        }
    }
    return NULL;
}

const struct directory_entry *directory_find(const struct directory *directory,
                                             uint64_t id)
{
    return find(directory, id);
}

const struct directory_entry *
directory_find_name(const struct directory *directory, struct bytes name)
{
    for (uint32_t i = 0; i < directory->count; i++) {
        if (bytes_is(name, directory->entries[i].name)) {
            return &directory->entries[i];
        }
    }
    return NULL;
}

int directory_put(struct directory *directory,
                  const struct directory_entry *entry)
{
    struct directory_entry *present = find(directory, entry->id);
    const struct directory_entry *namesake =
        directory_find_name(directory, bytes_of_string(entry->name));

    ensure(entry->id != 0);
    if (namesake != NULL && namesake != present) {
        return ERR_EXISTS;
    }
    if (present == NULL) {
        if (directory->count == DIRECTORY_MAX) {
            return ERR_LIMIT;
        }
        present = &directory->entries[directory->count];
        directory->count++;
    }
    *present = *entry;
    return 0;
}

bool directory_drop(struct directory *directory, uint64_t id)
{
    struct directory_entry *entry = find(directory, id);

    if (entry == NULL) {
        return false;
    }
    directory->count--;
    *entry = directory->entries[directory->count];
    return true;
}

void directory_check(const struct directory *directory)
{
    ensure(directory->count <= DIRECTORY_MAX);
    for (uint32_t i = 0; i < directory->count; i++) {
        const struct directory_entry *entry = &directory->entries[i];
        struct bytes name = bytes_of_string(entry->name);

        ensure(entry->id != 0);
        ensure(name.size > 0);
        ensure(is_plain(name));
        ensure(is_plain(bytes_of_string(entry->address)));
        ensure(find(directory, entry->id) == entry);
        ensure(directory_find_name(directory, name) == entry);
    }
}
