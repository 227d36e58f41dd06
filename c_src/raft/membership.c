/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/membership.h"

#include "base/ensure.h"
#include "base/err.h"

static bool list_has(const uint64_t *ids, uint32_t count, uint64_t id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

static bool is_list_good(const uint64_t *ids, uint32_t count, uint32_t max)
{
    if (count > max) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] == 0 || list_has(ids, i, ids[i])) {
            return false;
        }
    }
    return true;
}

int membership_check(const struct raft_membership *membership)
{
    if (membership->voter_count == 0 ||
        !is_list_good(membership->voters, membership->voter_count,
                      RAFT_VOTERS_MAX) ||
        !is_list_good(membership->voters_old, membership->voter_old_count,
                      RAFT_VOTERS_MAX) ||
        !is_list_good(membership->learners, membership->learner_count,
                      RAFT_LEARNERS_MAX)) {
        return ERR_MALFORMED;
    }
    for (uint32_t i = 0; i < membership->learner_count; i++) {
        if (list_has(membership->voters, membership->voter_count,
                     membership->learners[i])) {
            return ERR_MALFORMED;
        }
    }
    return 0;
}

static size_t put_list(uint8_t *bytes, const uint64_t *ids, uint32_t count)
{
    size_t size = 0;

    bytes[size++] = (uint8_t)count;
    for (uint32_t i = 0; i < count; i++) {
        for (int shift = 56; shift >= 0; shift -= 8) {
            bytes[size++] = (uint8_t)(ids[i] >> shift);
        }
    }
    return size;
}

size_t membership_encode(const struct raft_membership *membership,
                         uint8_t *bytes)
{
    size_t size = 0;

    ensure(membership_check(membership) == 0);
    bytes[size++] = MEMBERSHIP_VERSION;
    size += put_list(bytes + size, membership->voters, membership->voter_count);
    size += put_list(bytes + size, membership->voters_old,
                     membership->voter_old_count);
    size +=
        put_list(bytes + size, membership->learners, membership->learner_count);
    ensure(size <= MEMBERSHIP_SIZE_MAX);
    return size;
}

static int take_list(struct cursor *cursor, uint64_t *ids, uint32_t max,
                     uint32_t *ret_count)
{
    uint8_t count;

    if (cursor_u8(cursor, &count) != 0 || count > max) {
        return ERR_MALFORMED;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (cursor_u64(cursor, &ids[i]) != 0) {
            return ERR_MALFORMED;
        }
    }
    *ret_count = count;
    return 0;
}

int membership_decode(struct bytes bytes,
                      struct raft_membership *ret_membership)
{
    struct raft_membership membership = {.voter_count = 0};
    struct cursor cursor = cursor_of(bytes);
    uint8_t version;

    if (cursor_u8(&cursor, &version) != 0 || version != MEMBERSHIP_VERSION ||
        take_list(&cursor, membership.voters, RAFT_VOTERS_MAX,
                  &membership.voter_count) != 0 ||
        take_list(&cursor, membership.voters_old, RAFT_VOTERS_MAX,
                  &membership.voter_old_count) != 0 ||
        take_list(&cursor, membership.learners, RAFT_LEARNERS_MAX,
                  &membership.learner_count) != 0 ||
        cursor_end(&cursor) != 0 || membership_check(&membership) != 0) {
        return ERR_MALFORMED;
    }
    *ret_membership = membership;
    return 0;
}

uint32_t membership_roles(const struct raft_membership *membership, uint64_t id)
{
    uint32_t roles = 0;

    if (list_has(membership->voters, membership->voter_count, id)) {
        roles |= ROLE_VOTER;
    }
    if (list_has(membership->voters_old, membership->voter_old_count, id)) {
        roles |= ROLE_VOTER_OLD;
    }
    if (list_has(membership->learners, membership->learner_count, id)) {
        roles |= ROLE_LEARNER;
    }
    return roles;
}

static bool is_part(const uint64_t *ids, uint32_t count,
                    const uint64_t *whole_ids, uint32_t whole_count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!list_has(whole_ids, whole_count, ids[i])) {
            return false;
        }
    }
    return count == whole_count;
}

bool membership_equal(const struct raft_membership *a,
                      const struct raft_membership *b)
{
    return is_part(a->voters, a->voter_count, b->voters, b->voter_count) &&
           is_part(a->voters_old, a->voter_old_count, b->voters_old,
                   b->voter_old_count) &&
           is_part(a->learners, a->learner_count, b->learners,
                   b->learner_count);
}
