/* SPDX-License-Identifier: Apache-2.0
 * The members: who they are, where they are, and whether this member can reach
 * them now. A pure table: links are watched elsewhere, and their coming and
 * going is told to it, as is who takes part.
 *
 * The id of one of the first voters is a fixed hash of its node name, so that
 * they all derive the same ids without talking to one another. Whoever is added
 * later has an id of its name and its data directory: with another directory it
 * is another member, whose predecessor's votes and replicas are not its own. */
#ifndef QUORATE_CLUSTER_MEMBERS_H
#define QUORATE_CLUSTER_MEMBERS_H

#include "base/attr.h"
#include "base/bytes.h"
#include "cluster/directory.h"

#include <stdbool.h>
#include <stdint.h>

enum { MEMBERS_MAX = DIRECTORY_MAX };

/* When a member whose link is down is dialled next. */
struct redial {
    uint64_t due_ms;
    uint64_t pause_ms;  /* before the last attempt; 0: there was none */
    uint64_t linked_ms; /* when its link came up last */
    uint32_t attempts;
};

struct member {
    uint64_t id;       /* never 0 */
    uint64_t instance; /* of its data directory; 0: not known yet */
    struct bytes name; /* node name, owned; a zero byte follows */
    char address[DIRECTORY_ADDRESS_SIZE_MAX + 1]; /* "host:port"; "" if it is to
                                                     be looked up */
    bool is_expected;     /* it takes part: votes, or learns to */
    bool is_up;           /* can be reached now */
    uint64_t changed_ms;  /* when it came up or went down; 0: never was up */
    struct redial redial; /* the dialler's */
};

struct members {
    struct member *members[MEMBERS_MAX]; /* owned, in the order of adding */
    uint32_t count;
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

/* The id of one of the first voters by its node name. */
uint64_t members_id_of(struct bytes name);

/* The id of a member that is added later. */
uint64_t members_id_of_added(struct bytes name, uint64_t instance);

void members_init(struct members *members);
void members_close(struct members *members); /* NULL is allowed */

/* A member that is down for now; all is copied. ERR_EXISTS (the id or the
 * name), ERR_LIMIT (too many), ERR_NOMEM. `ret_member` may be NULL; it lives
 * until members_remove() or members_close(). */
int members_add(struct members *members, const struct directory_entry *entry,
                struct member **ret_member) MUST_USE;
void members_remove(struct members *members, struct member *member);

/* The member as an entry of the directory. */
void members_entry(const struct member *member,
                   struct directory_entry *ret_entry);

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

/* Those that take part, and those of them that are up. */
uint32_t members_expected(const struct members *members);
uint32_t members_up(const struct members *members);

void members_check(const struct members *members); /* the invariants */

#endif
