/* SPDX-License-Identifier: Apache-2.0
 * The replicated log: a pure core after Ongaro, "Consensus: Bridging Theory
 * and Practice" (2014), with pre-vote (9.6), check-quorum, a no-op at each
 * election (6.4) and commits counted only in the own term (3.6.2).
 *
 *   event ──> raft_step() ──> effects, to be carried out in this order:
 *             1. persist   hand to the write-ahead log (do not wait)
 *             2. send      messages that may leave now
 *             3. restore   a snapshot takes the place of the state
 *             4. commit    entries up to commit_index may be applied
 *             5. reads     read requests that may be answered
 *
 * Persist before send is the core's business, not the shell's: a vote or an
 * acknowledgement that depends on a write is held back inside the core and
 * comes out as a send of the step that gets the RAFT_PERSISTED event.
 *
 * Members are known by non-zero 64-bit ids that the shell derives from node
 * names. Effects borrow from the core; they live until the next call. */
#ifndef QUORATE_RAFT_RAFT_H
#define QUORATE_RAFT_RAFT_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    RAFT_VOTERS_MAX = 7,
    RAFT_LEARNERS_MAX = 7,
    RAFT_RANK_MAX = 7,
    RAFT_MESSAGE_SIZE_MAX = 1024 * 1024,     /* bytes of entries a message */
    RAFT_WINDOW_MAX = 64,                    /* messages in flight a peer */
    RAFT_PROPOSAL_SIZE_MAX = 1024 * 1024,    /* bytes of one entry */
    RAFT_CHUNK_SIZE_MAX = 256 * 1024,        /* bytes of a snapshot a message */
    RAFT_UNCOMMITTED_MAX = 64 * 1024 * 1024, /* bytes, then ERR_BUSY */
    /* A new voter is refused if so many rounds of catch-up each took an
     * election timeout or more, ... */
    RAFT_CATCH_UP_ROUNDS_MAX = 10,
    /* ... or if it got no further for so many election timeouts. */
    RAFT_CATCH_UP_STALL_TIMEOUTS = 10
};

struct raft;

/* Who takes part. Two halves decide together while a change is under way
 * (joint consensus); else voter_old_count is 0. */
struct raft_membership {
    uint64_t voters[RAFT_VOTERS_MAX];
    uint64_t voters_old[RAFT_VOTERS_MAX]; /* the half on its way out */
    uint64_t learners[RAFT_LEARNERS_MAX]; /* get entries, do not vote */
    uint32_t voter_count;
    uint32_t voter_old_count;
    uint32_t learner_count;
};

struct raft_config {
    uint64_t id; /* own id; may be missing in voters (then never elected) */
    /* The first membership, used until the log has one. None: this member
     * waits for a leader that has it in its membership. */
    uint64_t voters[RAFT_VOTERS_MAX];
    uint32_t voter_count;
    uint32_t election_timeout_ms;   /* drawn from [1x, 2x) */
    uint32_t heartbeat_interval_ms; /* < election_timeout_ms / 2 */
    /* Campaigns so many election timeouts later than those of rank 0, and so
     * rarely becomes leader while one of them can. */
    uint32_t election_rank;
    uint64_t seed; /* of the election jitter */
    /* What stays in the log behind a snapshot, for peers that are late; 0: the
     * default (8192 entries, 16 MiB). */
    uint32_t trailing_entries;
    uint64_t trailing_size;
    uint32_t chunk_size; /* 0: RAFT_CHUNK_SIZE_MAX */
};

/* The state after the entry at `index`, as bytes that the shell keeps. */
struct raft_snapshot {
    uint64_t index;                    /* 0: there is none */
    uint64_t term;                     /* of that entry */
    uint64_t size;                     /* bytes */
    struct raft_membership membership; /* in use at that entry */
};

enum raft_entry_type {
    RAFT_ENTRY_NOOP = 0,    /* of an election; data is empty */
    RAFT_ENTRY_COMMAND = 1, /* opaque to the core */
    RAFT_ENTRY_CONFIG = 2   /* a membership: raft/membership.h */
};

struct raft_entry {
    uint64_t index; /* 1, 2, ... */
    uint64_t term;
    enum raft_entry_type type;
    struct bytes data; /* borrowed from the core's log */
};

/* What the disk gave back at start: the newest snapshot, and contiguous
 * entries from index 1 or from any index that the snapshot covers or touches.
 * Entries that are older than the snapshot, or of another history, are left
 * out. Copied by raft_new(). */
struct raft_recovered {
    uint64_t term;
    uint64_t voted_for;                   /* 0: nobody */
    const struct raft_snapshot *snapshot; /* NULL: none */
    const struct raft_entry *entries;
    size_t entry_count;
};

enum raft_role {
    RAFT_FOLLOWER,
    RAFT_PRE_CANDIDATE,
    RAFT_CANDIDATE,
    RAFT_LEADER
};

enum raft_event_type {
    RAFT_TICK,      /* time passed: call at raft_deadline_ms() */
    RAFT_MESSAGE,   /* bytes from another member */
    RAFT_LINK_LOST, /* the connection to a member ended; a new one may come */
    RAFT_PROPOSE,   /* a command; leader only */
    RAFT_READ,      /* a linearizable read; of who leads or knows who does */
    RAFT_HANDOVER,  /* another leader; the one of now only */
    RAFT_CHANGE,    /* other voters and learners; leader only, one at a time */
    RAFT_PERSISTED, /* the write with this sequence, and all before it, are
                       on disk */
    RAFT_SNAPSHOT_TAKEN,  /* one of the own state is on disk: the log is cut */
    RAFT_CHUNK_STORED,    /* the chunk that ends at that offset is stored */
    RAFT_SNAPSHOT_STORED, /* the one that came in is whole and on disk */
    RAFT_SNAPSHOT_FAILED, /* the one that comes in is of no use */
    RAFT_CHUNK_LOST       /* a chunk to send cannot be read any more */
};

struct raft_event {
    enum raft_event_type type;
    uint64_t now_ms;        /* monotonic; never goes back */
    uint64_t from;          /* MESSAGE: sender's id; CHUNK_LOST: receiver's;
                               LINK_LOST: the other's */
    struct bytes bytes;     /* MESSAGE: the message; PROPOSE: the command */
    uint64_t read_id;       /* READ: chosen by the caller, comes back */
    uint64_t persisted_seq; /* PERSISTED */
    const struct raft_membership *target; /* CHANGE: not joint; borrowed */
    uint64_t successor;      /* HANDOVER: a voter; 0: whoever is nearest */
    uint64_t snapshot_index; /* SNAPSHOT_TAKEN, CHUNK_LOST: which one */
    uint64_t snapshot_size;  /* SNAPSHOT_TAKEN: bytes, at least 1 */
    uint64_t chunk_end;      /* CHUNK_STORED: the offset where it ends */
    uint64_t transfer; /* CHUNK_STORED, SNAPSHOT_STORED and _FAILED: of which */
};

struct raft_send {
    uint64_t to;
    struct bytes bytes; /* the encoded message */
};

/* A read may be answered once applied >= index; or failed: another leader came,
 * or none is known any more, before it was confirmed. */
struct raft_read {
    uint64_t read_id;
    uint64_t index;
    bool is_failed;
};

/* A chunk of a snapshot to read and to send: the header, then `size` bytes from
 * `offset` on. It may leave later than this step, or never (then the core asks
 * again). */
struct raft_chunk_send {
    uint64_t to;
    uint64_t snapshot_index;
    uint64_t offset;
    uint32_t size; /* 0: the header is all */
    struct bytes header;
};

/* A chunk of a snapshot to store beside the own one; the one at offset 0
 * begins it anew. RAFT_CHUNK_STORED answers. */
struct raft_chunk {
    uint64_t transfer; /* 0: nothing to store; else comes back in events */
    uint64_t snapshot_index;
    uint64_t snapshot_size;
    uint64_t offset;
    struct bytes data;
};

/* Hard state and log changes to make durable, as one atomic write: if
 * `is_log_reset`, forget all entries, the next one follows the one at
 * `base_index`; cut everything from `truncate_from` on (0: nothing); then
 * append. */
struct raft_persist {
    uint64_t seq; /* 0: nothing to persist; else grows by one each time */
    uint64_t term;
    uint64_t voted_for;
    bool is_log_reset;
    uint64_t base_index;
    uint64_t base_term;
    uint64_t truncate_from;
    const struct raft_entry *entries;
    size_t entry_count;
};

/* How far a change has come. The last two end it. */
enum raft_change_phase {
    RAFT_CHANGE_NONE,
    RAFT_CHANGE_LEARNING, /* the new voters are being made learners */
    RAFT_CHANGE_CATCH_UP, /* they get the log */
    RAFT_CHANGE_JOINT,    /* from here on the next leader would finish it */
    RAFT_CHANGE_FINAL,
    RAFT_CHANGE_DONE, /* committed */
    RAFT_CHANGE_FAILED
};

enum raft_change_reason {
    RAFT_CHANGE_STALLED = 1, /* `member` got no further; is it running? */
    RAFT_CHANGE_TOO_SLOW,    /* the new voters cannot keep up with the log */
    RAFT_CHANGE_LEADER_LOST  /* unknown: ask raft_membership() later */
};

struct raft_change_report {
    enum raft_change_phase phase;   /* NONE: nothing to tell */
    enum raft_change_reason reason; /* FAILED */
    uint64_t member;                /* FAILED: at whom it failed, or 0 */
};

struct raft_effects {
    struct raft_persist persist;
    const struct raft_send *sends;
    size_t send_count;
    const struct raft_chunk_send *chunk_sends;
    size_t chunk_send_count;
    struct raft_chunk chunk;
    /* Not NULL: all its chunks are stored. Check it and make it durable, with
     * its index, term and membership; then RAFT_SNAPSHOT_STORED or _FAILED. */
    const struct raft_snapshot *finish;
    uint64_t finish_transfer;
    /* Not NULL: take the state from it, now. */
    const struct raft_snapshot *restore;
    const struct raft_read *reads;
    size_t read_count;
    uint64_t proposed_index; /* PROPOSE: the index given to the command */
    uint64_t proposed_term;
    struct raft_change_report change; /* of the change that was asked for */
    bool role_changed;       /* role, leader or term differ from before */
    bool handover_failed;    /* it did not come about; still leader */
    bool commit_changed;     /* raft_commit_index() grew */
    bool membership_changed; /* raft_membership() differs */
};

/* Checks the configuration (ERR_BADARG) and the recovered log
 * (ERR_CORRUPT). The caller frees by raft_free(). `now_ms` starts the clock. */
int raft_new(const struct raft_config *config,
             const struct raft_recovered *recovered, uint64_t now_ms,
             struct raft **ret_raft) MUST_USE;
void raft_free(struct raft *raft);

/* 0, or: ERR_NOT_LEADER and ERR_BUSY (PROPOSE, READ, CHANGE, HANDOVER),
 * ERR_MALFORMED (MESSAGE: the sender is at fault, cut it off), ERR_LIMIT
 * (PROPOSE: too big; CHANGE: too many learners), ERR_BADARG (CHANGE),
 * ERR_NOT_FOUND (HANDOVER: no such voter), ERR_NOMEM. On failure nothing
 * changed and `effects` is empty. */
int raft_step(struct raft *raft, const struct raft_event *event,
              struct raft_effects *effects) MUST_USE;

/* When to send RAFT_TICK next; UINT64_MAX: never. */
uint64_t raft_deadline_ms(const struct raft *raft);

/* Aborts if an invariant does not hold. For tests and simulation. */
void raft_check(const struct raft *raft);

enum raft_role raft_role(const struct raft *raft);
uint64_t raft_id(const struct raft *raft);
uint64_t raft_term(const struct raft *raft);
uint64_t raft_leader(const struct raft *raft); /* 0: unknown */
uint64_t raft_commit_index(const struct raft *raft);
uint64_t raft_last_index(const struct raft *raft);
uint64_t raft_first_index(const struct raft *raft); /* that is not cut */

/* What a snapshot of the state after `index` has to say of it (its size is the
 * caller's): ERR_NOT_FOUND if it is above the commit index, or not above the
 * snapshot that there is, or from before this member joined. */
int raft_snapshot_at(const struct raft *raft, uint64_t index,
                     struct raft_snapshot *ret_snapshot) MUST_USE;

/* The newest snapshot that the core knows of; index 0: none. */
const struct raft_snapshot *raft_snapshot(const struct raft *raft);

/* The oldest snapshot that is still being sent, or else the newest. */
uint64_t raft_snapshot_needed(const struct raft *raft);

/* Who takes part, as of the newest such entry in the log; it is committed if
 * its index (0: as configured at the start) is not above the commit index. */
const struct raft_membership *raft_membership(const struct raft *raft);
uint64_t raft_membership_index(const struct raft *raft);

/* Whether this member's vote counts. */
bool raft_is_voter(const struct raft *raft);

/* Voters, the leader included, that answered within the last election
 * timeout; leader only, else 0. */
uint32_t raft_reachable_voters(const struct raft *raft, uint64_t now_ms);

/* Whether a majority is known to be there: a leader that heard from a
 * majority, or a follower that heard from a leader, within the last election
 * timeout. */
bool raft_has_quorum(const struct raft *raft, uint64_t now_ms);

/* The entry at `index` (first..last), borrowed until the next step;
 * ERR_NOT_FOUND.
 */
int raft_entry_get(const struct raft *raft, uint64_t index,
                   struct raft_entry *ret_entry) MUST_USE;

#endif
