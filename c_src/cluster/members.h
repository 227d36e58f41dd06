/* SPDX-License-Identifier: Apache-2.0
 * The fixed set of members: who they are, where they are, and whether this
 * member can reach them now. A pure table: links are watched elsewhere, and
 * their coming and going is told to it.
 *
 * A member's id is a fixed hash of its node name, so that all members derive
 * the same ids without talking to one another. */
#ifndef QUORATE_CLUSTER_MEMBERS_H
#define QUORATE_CLUSTER_MEMBERS_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MEMBERS_MAX = 7, /* all of them voters, for now */
    MEMBERS_NAME_SIZE_MAX = 255,
    MEMBERS_ADDRESS_SIZE_MAX = 255
};

struct member {
    uint64_t id;         /* never 0 */
    struct bytes name;   /* node name, owned; a zero byte follows */
    const char *address; /* as configured, e.g. "host:port"; owned; "" if
                            it is to be looked up */
    bool is_up;          /* can be reached now */
    uint64_t changed_ms; /* when it came up or went down; 0: never was up */
};

struct members {
    struct member *members[MEMBERS_MAX]; /* owned, in the order of adding */
    uint32_t count;
    uint32_t up_count;
};

enum partition_verdict {
    PARTITION_NONE,  /* all that are expected are there */
    PARTITION_MINOR, /* fewer than half are missing */
    PARTITION_MAJOR
};

/* An atom: "no_partition", "minor_partition", "major_partition". */
const char *partition_verdict_name(enum partition_verdict verdict);

/* The verdict when `missing` of `expected` are missing; for sets that have
 * more than members in them (workers). */
enum partition_verdict partition_verdict_of(uint32_t missing,
                                            uint32_t expected);

/* The id of a member by its node name. */
uint64_t members_id_of(struct bytes name);

void members_init(struct members *members);
void members_close(struct members *members); /* NULL is allowed */

/* A member that is down for now; name and address are copied. ERR_EXISTS (the
 * name, or another name with the same id), ERR_LIMIT (too many, too long),
 * ERR_BADARG (no name, a zero byte in it), ERR_NOMEM. `ret_member` may be
 * NULL; it lives until members_close(). */
int members_add(struct members *members, struct bytes name, const char *address,
                struct member **ret_member) MUST_USE;

/* NULL if there is none. */
struct member *members_by_id(const struct members *members, uint64_t id);
struct member *members_by_name(const struct members *members,
                               struct bytes name);

/* By position, 0 to count - 1, in the order of adding; then NULL. */
struct member *members_at(const struct members *members, uint32_t position);

/* Notes that a member of this set came up or went down; the own one too, at
 * start. Whether that was a change. */
bool members_set_up(struct members *members, struct member *member, bool is_up,
                    uint64_t now_ms);

/* Verdict on the members alone. */
enum partition_verdict members_verdict(const struct members *members);

void members_check(const struct members *members); /* the invariants */

#endif
