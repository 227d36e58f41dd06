/* SPDX-License-Identifier: Apache-2.0
 * Bugs of the log that the simulator has to find; see test/sim/mutations.sh. */
#ifndef QUORATE_STORE_WAL_MUTATION_H
#define QUORATE_STORE_WAL_MUTATION_H

#include <stdbool.h>

enum wal_mutation {
    WAL_MUTATION_NONE,
    WAL_MUTATION_TORN_TAIL,       /* damage is taken for the end */
    WAL_MUTATION_FLUSH_IGNORED,   /* a write is done, though not flushed */
    WAL_MUTATION_UNPROVEN,        /* what is read back is not flushed */
    WAL_MUTATION_MARKED_REMOVED,  /* a file that the mark may name goes */
    WAL_MUTATION_NAME_UNFLUSHED,  /* the name of a new file is not flushed */
    WAL_MUTATION_DIRECT_UNFLUSHED /* a write past the cache is not flushed */
};

#ifdef RAFT_MUTATIONS
extern enum wal_mutation wal_mutation;
#define WAL_IS_MUTATED(name) (wal_mutation == WAL_MUTATION_##name)
#else
#define WAL_IS_MUTATED(name) false
#endif

#endif
