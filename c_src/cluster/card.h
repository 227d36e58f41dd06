/* SPDX-License-Identifier: Apache-2.0
 * What a member says of itself, to its own data directory (the file `identity`)
 * and to another member before anything else: lines of text.
 *
 *   quorate 2
 *   name q1@host
 *   id 0123456789abcdef
 *   cluster 0123456789abcdef      - while it waits to be added to one
 *   instance 0123456789abcdef
 *   address 10.0.0.1:4370         - if it is to be looked up
 *   voter q1@host                 for each of the first voters
 *   index 17
 *   member ID INSTANCE NAME ADDRESS
 *
 * Plain data: a copy is a copy. */
#ifndef QUORATE_CLUSTER_CARD_H
#define QUORATE_CLUSTER_CARD_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "cluster/directory.h"

#include <stdint.h>

enum { CARD_VOTERS_MAX = 7, CARD_SIZE_MAX = 16 * 1024 };

/* In the data directory: the card that takes the place of `identity` once a
 * recovery is through. */
#define CARD_RECOVERY_FILE "recovery"

struct card {
    char name[DIRECTORY_NAME_SIZE_MAX + 1];
    uint64_t id;
    uint64_t cluster;  /* which one it belongs to; 0: to none yet */
    uint64_t instance; /* of the data directory; never 0 */
    char address[DIRECTORY_ADDRESS_SIZE_MAX + 1]; /* its own; "": not known */
    /* The first voters of the cluster; none: it was added later. */
    char voters[CARD_VOTERS_MAX][DIRECTORY_NAME_SIZE_MAX + 1];
    uint32_t voter_count;
    struct directory directory; /* all members that it knows */
};

void card_print(struct buf *text, const struct card *card);

/* 0, ERR_UNSUPPORTED (another version), ERR_MALFORMED; then the result is
 * untouched. */
int card_parse(struct bytes text, struct card *ret_card) MUST_USE;

#endif
