/* SPDX-License-Identifier: Apache-2.0
 * Who the members are and where: the names and addresses behind the ids of the
 * replicated log's membership. Plain data: a copy is a copy. */
#ifndef QUORATE_CLUSTER_DIRECTORY_H
#define QUORATE_CLUSTER_DIRECTORY_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    DIRECTORY_MAX = 16, /* 7 voters, 7 learners, and one that comes or goes */
    DIRECTORY_NAME_SIZE_MAX = 255,
    DIRECTORY_ADDRESS_SIZE_MAX = 255
};

struct directory_entry {
    uint64_t id;       /* never 0 */
    uint64_t instance; /* of its data directory; 0: not known yet */
    char name[DIRECTORY_NAME_SIZE_MAX + 1];
    char address[DIRECTORY_ADDRESS_SIZE_MAX + 1]; /* "": it is looked up */
};

struct directory {
    struct directory_entry entries[DIRECTORY_MAX];
    uint32_t count;
    uint64_t index; /* of the entry of the log that changed it last */
};

/* An entry of these parts: 0, or ERR_LIMIT (too long), ERR_BADARG (no id, no
 * name, a blank or control character in a text). */
int directory_entry_init(struct directory_entry *entry, uint64_t id,
                         uint64_t instance, struct bytes name,
                         struct bytes address) MUST_USE;

/* NULL if there is none. */
const struct directory_entry *directory_find(const struct directory *directory,
                                             uint64_t id);
const struct directory_entry *
directory_find_name(const struct directory *directory, struct bytes name);

/* Adds an entry, or replaces that of the same id. ERR_EXISTS: another id has
 * the name; ERR_LIMIT: it is full. */
int directory_put(struct directory *directory,
                  const struct directory_entry *entry) MUST_USE;

/* Whether there was one. */
bool directory_drop(struct directory *directory, uint64_t id);

void directory_check(const struct directory *directory); /* the invariants */

#endif
