/* SPDX-License-Identifier: Apache-2.0
 * There are few members, so every look-up is a walk. */
#include "cluster/members.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"

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
uint64_t members_id_of(struct bytes name)
{
    uint64_t hash = 0xcbf29ce484222325U;

    for (size_t i = 0; i < name.size; i++) {
        hash = (hash ^ name.data[i]) * 0x100000001b3U;
    }
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdU;
    hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53U;
    hash ^= hash >> 33;
    return hash == 0 ? 1 : hash;
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

int members_add(struct members *members, struct bytes name, const char *address,
                struct member **ret_member)
{
    size_t address_size = strlen(address) + 1;
    uint64_t id = members_id_of(name);
    struct member *member;
    char *text;

    if (name.size == 0 || memchr(name.data, 0, name.size) != NULL) {
        return ERR_BADARG;
    }
    if (name.size > MEMBERS_NAME_SIZE_MAX ||
        address_size - 1 > MEMBERS_ADDRESS_SIZE_MAX) {
        return ERR_LIMIT;
    }
    if (members_by_id(members, id) != NULL) {
        return ERR_EXISTS;
    }
    if (members->count == MEMBERS_MAX) {
        return ERR_LIMIT;
    }
    member = mem_alloc(sizeof(*member) + name.size + 1 + address_size);
    if (member == NULL) {
        return ERR_NOMEM;
    }
    text = (char *)(member + 1);
    memcpy(text, name.data, name.size);
    memcpy(text + name.size + 1, address, address_size);
    *member = (struct member){.id = id,
                              .name = bytes_of(text, name.size),
                              .address = text + name.size + 1};
    members->members[members->count++] = member;
    if (ret_member != NULL) {
        *ret_member = member;
    }
    return 0;
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
    if (is_up) {
        members->up_count++;
    } else {
        members->up_count--;
    }
    return true;
}

enum partition_verdict members_verdict(const struct members *members)
{
    return partition_verdict_of(members->count - members->up_count,
                                members->count);
}

void members_check(const struct members *members)
{
    uint32_t up_count = 0;

    ensure(members->count <= MEMBERS_MAX);
    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *member = members->members[i];

        ensure(member->id != 0);
        ensure(member->id == members_id_of(member->name));
        ensure(members_by_id(members, member->id) == member);
        ensure(members_by_name(members, member->name) == member);
        up_count += member->is_up;
    }
    ensure(up_count == members->up_count);
}
