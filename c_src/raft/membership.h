/* SPDX-License-Identifier: Apache-2.0
 * Who takes part in the log, as the data of a RAFT_ENTRY_CONFIG entry; all
 * numbers big-endian:
 *
 *   version:8, then voters, voters_old, learners, each as
 *   count:8, count times id:64
 *
 * voters_old is empty but while two halves decide together (joint consensus,
 * dissertation 4.3). A learner may still be one of voters_old: it votes there
 * until the final membership takes over. */
#ifndef QUORATE_RAFT_MEMBERSHIP_H
#define QUORATE_RAFT_MEMBERSHIP_H

#include "base/attr.h"
#include "base/bytes.h"
#include "raft/raft.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MEMBERSHIP_VERSION = 1,
    MEMBERSHIP_SIZE_MAX = 4 + 8 * (2 * RAFT_VOTERS_MAX + RAFT_LEARNERS_MAX)
};

/* What a member is, as bits; none of them: it takes no part. */
enum membership_role {
    ROLE_VOTER = 1,
    ROLE_VOTER_OLD = 2, /* in the half on its way out */
    ROLE_LEARNER = 4
};

enum { ROLES_VOTING = ROLE_VOTER | ROLE_VOTER_OLD };

/* 0 or ERR_MALFORMED: ids are not zero and stand once in a list, a learner is
 * none of the voters, there are voters. */
int membership_check(const struct raft_membership *membership) MUST_USE;

/* Writes at most MEMBERSHIP_SIZE_MAX bytes; how many. It must be in order. */
size_t membership_encode(const struct raft_membership *membership,
                         uint8_t *bytes);

/* 0 or ERR_MALFORMED; then the result is untouched. */
int membership_decode(struct bytes bytes,
                      struct raft_membership *ret_membership) MUST_USE;

/* Bits of enum membership_role. */
uint32_t membership_roles(const struct raft_membership *membership,
                          uint64_t id);

/* The same lists with the same members, in whatever order. */
bool membership_equal(const struct raft_membership *a,
                      const struct raft_membership *b);

static inline bool membership_is_joint(const struct raft_membership *membership)
{
    return membership->voter_old_count > 0;
}

#endif
