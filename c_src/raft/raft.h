/* SPDX-License-Identifier: Apache-2.0
 * The replicated log: a pure core after Ongaro, "Consensus: Bridging Theory
 * and Practice" (2014), with pre-vote (9.6), check-quorum, a no-op at each
 * election (6.4) and commits counted only in the own term (3.6.2).
 *
 *   event ──> raft_step() ──> effects, to be carried out in this order:
 *             1. persist   hand to the write-ahead log (do not wait)
 *             2. send      messages that may leave now
 *             3. commit    entries up to commit_index may be applied
 *             4. reads     read requests that may be answered
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
    RAFT_MESSAGE_SIZE_MAX = 1024 * 1024,     /* bytes of entries a message */
    RAFT_WINDOW_MAX = 64,                    /* messages in flight a peer */
    RAFT_PROPOSAL_SIZE_MAX = 1024 * 1024,    /* bytes of one entry */
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
    uint64_t seed;                  /* of the election jitter */
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

/* What the write-ahead log gave back at start. Entries are contiguous from
 * index 1 (snapshots come later). Copied by raft_new(). */
struct raft_recovered {
    uint64_t term;
    uint64_t voted_for; /* 0: nobody */
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
    RAFT_PROPOSE,   /* a command; leader only */
    RAFT_READ,      /* a linearizable read; leader only */
    RAFT_CHANGE,    /* other voters and learners; leader only, one at a time */
    RAFT_PERSISTED, /* the write with this sequence, and all before it, are
                       on disk */
};

struct raft_event {
    enum raft_event_type type;
    uint64_t now_ms;        /* monotonic; never goes back */
    uint64_t from;          /* MESSAGE: sender's id */
    struct bytes bytes;     /* MESSAGE: the message; PROPOSE: the command */
    uint64_t read_id;       /* READ: chosen by the caller, comes back */
    uint64_t persisted_seq; /* PERSISTED */
    const struct raft_membership *target; /* CHANGE: not joint; borrowed */
};

struct raft_send {
    uint64_t to;
    struct bytes bytes; /* the encoded message */
};

/* A read may be answered once applied >= index; or failed (leadership lost
 * before it was confirmed). */
struct raft_read {
    uint64_t read_id;
    uint64_t index;
    bool is_failed;
};

/* Hard state and log changes to make durable, as one atomic write:
 * cut everything from `truncate_from` on (0: nothing), then append. */
struct raft_persist {
    uint64_t seq; /* 0: nothing to persist; else grows by one each time */
    uint64_t term;
    uint64_t voted_for;
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
    const struct raft_read *reads;
    size_t read_count;
    uint64_t proposed_index; /* PROPOSE: the index given to the command */
    uint64_t proposed_term;
    struct raft_change_report change; /* of the change that was asked for */
    bool role_changed;       /* role, leader or term differ from before */
    bool commit_changed;     /* raft_commit_index() grew */
    bool membership_changed; /* raft_membership() differs */
};

/* Checks the configuration (ERR_BADARG) and the recovered log
 * (ERR_CORRUPT). The caller frees by raft_free(). `now_ms` starts the clock. */
int raft_new(const struct raft_config *config,
             const struct raft_recovered *recovered, uint64_t now_ms,
             struct raft **ret_raft) MUST_USE;
void raft_free(struct raft *raft);

/* 0, or: ERR_NOT_LEADER and ERR_BUSY (PROPOSE, READ, CHANGE), ERR_MALFORMED
 * (MESSAGE: the sender is at fault, cut it off), ERR_LIMIT (PROPOSE: too big;
 * CHANGE: too many learners), ERR_BADARG (CHANGE), ERR_NOMEM. On failure
 * nothing changed and `effects` is empty. */
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

/* The entry at `index` (1..last), borrowed until the next step; ERR_NOT_FOUND.
 */
int raft_entry_get(const struct raft *raft, uint64_t index,
                   struct raft_entry *ret_entry) MUST_USE;

#endif
