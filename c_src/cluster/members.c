/* SPDX-License-Identifier: Apache-2.0
 * There are few members, so every look-up is a walk. */
#include "cluster/members.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"

static const uint64_t hash_start = 0xcbf29ce484222325U;

static const char *const verdict_names[] = {
    [PARTITION_NONE] = "no_partition",
    [PARTITION_MINOR] = "minor_partition",
    [PARTITION_MAJOR] = "major_partition",
};

const char *partition_verdict_name(enum partition_verdict verdict)
{
    ensure(verdict <= PARTITION_MAJOR);
    return verdict_names[verdict];
}

enum partition_verdict partition_verdict_of(uint32_t missing, uint32_t expected)
{
    ensure(missing <= expected);
    if (missing == 0) {
        return PARTITION_NONE;
    }
    return missing < expected - missing ? PARTITION_MINOR : PARTITION_MAJOR;
}

/* FNV-1a (Fowler, Noll, Vo) and the last steps of MurmurHash3 (Appleby), since
 * FNV alone leaves alike names with alike ids. Ids are in logs on disk: this
 * never changes. */
static uint64_t hash_of(uint64_t hash, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        hash = (hash ^ bytes.data[i]) * 0x100000001b3U;
    }
    return hash;
}

static uint64_t id_of(uint64_t hash)
{
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdU;
    hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53U;
    hash ^= hash >> 33;
    return hash == 0 ? 1 : hash;
}

uint64_t members_id_of(struct bytes name)
{
    return id_of(hash_of(hash_start, name));
}

uint64_t members_id_of_added(struct bytes name, uint64_t instance)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(instance >> (8 * i));
    }
    return id_of(
        hash_of(hash_of(hash_start, name), bytes_of(bytes, sizeof(bytes))));
}

void members_init(struct members *members)
{
    *members = (struct members){0};
}

void members_close(struct members *members)
{
    if (members != NULL) {
        for (uint32_t i = 0; i < members->count; i++) {
            mem_free(members->members[i]);
        }
        members_init(members);
    }
}

int members_add(struct members *members, const struct directory_entry *entry,
                struct member **ret_member)
{
    struct bytes name = bytes_of_string(entry->name);
    struct member *member;
    char *text;

    ensure(entry->id != 0);
    ensure(name.size > 0);
    if (members_by_id(members, entry->id) != NULL ||
        members_by_name(members, name) != NULL) {
        return ERR_EXISTS;
    }
    if (members->count == MEMBERS_MAX) {
        return ERR_LIMIT;
    }
    member = mem_alloc(sizeof(*member) + name.size + 1);
    if (member == NULL) {
        return ERR_NOMEM;
    }
    text = (char *)(member + 1);
    memcpy(text, entry->name, name.size + 1);
    *member = (struct member){.id = entry->id,
                              .instance = entry->instance,
                              .name = bytes_of(text, name.size)};
    memcpy(member->address, entry->address, sizeof(member->address));
    members->members[members->count++] = member;
    if (ret_member != NULL) {
        *ret_member = member;
    }
    return 0;
}

void members_remove(struct members *members, struct member *member)
{
    uint32_t i = 0;

    while (members->members[i] != member) {
        i++;
        ensure(i < members->count);
    }
    members->count--;
    for (; i < members->count; i++) {
        members->members[i] = members->members[i + 1];
    }
    mem_free(member);
}

void members_entry(const struct member *member,
                   struct directory_entry *ret_entry)
{
    int rv =
        directory_entry_init(ret_entry, member->id, member->instance,
                             member->name, bytes_of_string(member->address));

    ensure(rv == 0);
}

struct member *members_by_id(const struct members *members, uint64_t id)
{
    for (uint32_t i = 0; i < members->count; i++) {
        if (members->members[i]->id == id) {
            return members->members[i];
        }
    }
    return NULL;
}

struct member *members_by_name(const struct members *members, struct bytes name)
{
    for (uint32_t i = 0; i < members->count; i++) {
        if (bytes_equal(members->members[i]->name, name)) {
            return members->members[i];
        }
    }
    return NULL;
}

struct member *members_at(const struct members *members, uint32_t position)
{
    return position < members->count ? members->members[position] : NULL;
}

bool members_set_up(struct members *members, struct member *member, bool is_up,
                    uint64_t now_ms)
{
    ensure(members_by_id(members, member->id) == member);
    if (member->is_up == is_up) {
        return false;
    }
    member->is_up = is_up;
    member->changed_ms = now_ms;
    return true;
}

uint32_t members_expected(const struct members *members)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < members->count; i++) {
        count += members->members[i]->is_expected;
    }
    return count;
}

uint32_t members_up(const struct members *members)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *member = members->members[i];

        count += member->is_expected && member->is_up;
    }
    return count;
}

void members_check(const struct members *members)
{
    ensure(members->count <= MEMBERS_MAX);
    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *member = members->members[i];

        ensure(member->id != 0);
        ensure(members_by_id(members, member->id) == member);
        ensure(members_by_name(members, member->name) == member);
    }
}
