/* SPDX-License-Identifier: Apache-2.0
 * The core's one structure, and what its files call of one another:
 *
 *   raft.c         the step: reserve memory, dispatch, gather the effects
 *   start.c        a core from what was on disk
 *   election.c     terms, votes, becoming and ceasing to be leader
 *   replication.c  the leader's side: appends, answers, commit
 *   follower.c     the follower's side: appends in, acknowledgements out
 *   snapshot.c     snapshots of our own, and those that come in
 *   snapshot_send.c  the leader's side of moving one
 *   read.c         linearizable reads
 *   adoption.c     the membership in use
 *   change.c       the leader's side of a change of members
 *   handover.c     another leader
 *   quorum.c       what a majority has reached
 *   outbox.c       the messages of this step
 *   check.c        the invariants
 *
 * A step first reserves all the memory that it may need and only then changes
 * anything; a message that cannot be encoded for want of memory counts as lost
 * on the way. */
#ifndef QUORATE_RAFT_INTERNAL_H
#define QUORATE_RAFT_INTERNAL_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/rng.h"
#include "raft/log.h"
#include "raft/membership.h"
#include "raft/message.h"
#include "raft/peer.h"
#include "raft/raft.h"
#include "raft/silence.h"
#include "raft/writes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHUNKS_A_PEER = 2, /* of a snapshot, in flight */
    /* Of an election timeout: what each waits longer than the one before it,
     * when the link to the leader was lost, ... */
    TURN_FRACTION = 10,
    /* ... and the least time until its next try, if others have not heard of
     * the loss yet; so many tries are this close. */
    RETRY_FRACTION = 5,
    LOST_TRIES = 4,
    /* What one who grants a pre-vote waits at least with its own. */
    YIELD_FRACTION = 4,
    /* Two memberships: those that leave are still told so. */
    PEERS_MAX = 2 * RAFT_VOTERS_MAX + 2 * RAFT_LEARNERS_MAX,
    REPLIES_MAX = PEERS_MAX + 4, /* strangers get answers, too */
    SENDS_MAX = PEERS_MAX * (RAFT_WINDOW_MAX + 4),
    CHUNKS_MAX = PEERS_MAX * (CHUNKS_A_PEER + 1), /* a step */
    READS_MAX = 64 * 1024,                        /* waiting reads */
    PROBE_SIZE_MAX = 64 * 1024, /* bytes of entries of a probe */
    OUTBOX_SIZE_MAX = 64 * 1024 * 1024,
    OUTBOX_SIZE_KEPT = 64 * 1024 /* across idle times */
};

/* Bugs that the simulator has to find; see test/sim/mutations.sh. */
enum raft_mutation {
    RAFT_MUTATION_NONE,
    RAFT_MUTATION_COMMIT_OLD_TERM, /* S1: counts copies of old-term entries */
    RAFT_MUTATION_ACK_LAST,        /* S2: acknowledges what was not matched */
    RAFT_MUTATION_VOTE_TWICE,      /* S3: two votes in a term */
    RAFT_MUTATION_SEND_EARLY,      /* votes before its write is done */
    RAFT_MUTATION_LEARNER_COUNTS,  /* a learner is part of a majority */
    RAFT_MUTATION_FORGET_CONFIG,   /* at restart: the newest membership */
    RAFT_MUTATION_INSTALL_OVER,    /* a snapshot over newer entries */
    RAFT_MUTATION_HANDOVER_VOTE,   /* S3: a handover's vote beside another */
    RAFT_MUTATION_FORGET_VOTE,     /* at restart */
    RAFT_MUTATION_STALE_READ,      /* a read without a round */
    RAFT_MUTATION_ACK_EARLY,       /* acknowledges before its write is done */
    RAFT_MUTATION_ONE_HALF,        /* a joint decision by the new half alone */
    RAFT_MUTATION_READ_UNAPPLIED,  /* a follower's read does not wait */
    RAFT_MUTATION_READ_LATE_JOIN,  /* a read joins what was asked before it */
    RAFT_MUTATION_READ_SAME_IDS    /* a follower's ids begin anew at restart */
};

#ifdef RAFT_MUTATIONS
extern enum raft_mutation raft_mutation;
#define RAFT_IS_MUTATED(name) (raft_mutation == RAFT_MUTATION_##name)
#else
#define RAFT_IS_MUTATED(name) false
#endif

struct outbox {
    struct buf bytes;                  /* the messages, one after the other */
    struct raft_send sends[SENDS_MAX]; /* data pointers are set at the end */
    size_t offsets[SENDS_MAX];         /* of each message in `bytes` */
    size_t count;
    struct message append; /* the last append encoded in this step */
    size_t append_limit;   /* for entries of this many bytes; 0: none */
    uint32_t append_size;  /* bytes of its entries */
    struct raft_chunk_send chunks[CHUNKS_MAX];
    size_t chunk_offsets[CHUNKS_MAX]; /* of each header in `bytes` */
    size_t chunk_count;
};

struct reads {
    struct raft_read *items; /* owned; waiting ones from `head` on, in order */
    size_t head;
    size_t count; /* waiting */
    size_t capacity;
    size_t round_count; /* the first so many wait for what is under way */
    uint64_t round;     /* leader: the last one that was started in this term */
    bool is_round_open; /* leader: it is not confirmed yet */
    uint64_t asked_id;  /* follower: what the leader was asked; 0: nothing */
    uint64_t asked_ms;  /* follower: when, last */
    bool is_ask_due;    /* follower: it leaves once the term is on disk */
};

/* An answer that waits for the hard state's write. */
struct due_reply {
    uint64_t to;
    struct message message;
};

/* A snapshot on its way in. */
struct incoming {
    uint64_t transfer; /* grows by one each time that one begins */
    uint64_t from;
    struct raft_snapshot snapshot; /* index 0: none */
    uint64_t received;             /* bytes handed to the shell */
    uint64_t stored;               /* bytes that it has stored */
    bool is_finishing;             /* all of them: it is being made durable */
};

/* The change that this leader was asked for. */
struct change {
    enum raft_change_phase phase;
    struct raft_membership target;
    struct raft_membership before;
    uint32_t round;          /* of catch-up, from 1 on */
    uint64_t round_end;      /* the index to reach */
    uint64_t round_since_ms; /* when it began */
};

/* To whom this leader hands over. */
struct handover {
    uint64_t to; /* 0: nobody */
    uint64_t deadline_ms;
    uint64_t next_ms; /* when to tell it again */
};

struct raft {
    struct raft_config config;
    struct raft_membership membership; /* the newest in the log */
    uint64_t membership_index;         /* of its entry; 0: it is the first */
    struct raft_membership membership_first; /* before any in the log */
    uint64_t membership_first_index;         /* of the snapshot, or 0 */
    uint32_t own_roles;
    bool was_voter; /* in the membership before this one */
    /* All in `membership` but ourselves; a leader's also those, without roles,
     * that have just left. */
    struct peer peers[PEERS_MAX];
    uint32_t peer_count;

    /* On disk, or on the way to it. */
    uint64_t term;
    uint64_t voted_for;
    struct log log;
    struct writes writes;
    struct raft_snapshot snapshot; /* the newest of our own; index 0: none */
    bool is_log_reset;      /* the next write says where the log starts */
    uint64_t seq_last;      /* of the last persist effect */
    uint64_t seq_hard;      /* of the last one with a new term or vote */
    uint64_t seq_persisted; /* the greatest that is done */

    enum raft_role role;
    uint64_t leader;
    uint64_t commit;
    uint64_t now_ms;
    struct rng rng;
    uint64_t election_deadline_ms;  /* unless leader */
    uint64_t heartbeat_deadline_ms; /* leader */
    uint64_t leader_heard_ms;       /* follower with a leader */
    uint64_t asked_ms;              /* when votes were asked for last */
    uint64_t last_leader;           /* of this term, even if silent by now */
    struct silence silence;         /* of leaders, and of followers */
    uint32_t lost_tries;  /* left, since the link to the leader was lost */
    bool is_campaign_due; /* votes are asked for once persisted */
    bool is_taking_over;  /* the leader wants it to be elected */

    /* Follower: the log is the leader's up to `verified`. */
    uint64_t verified;
    uint64_t acked;         /* the last match that was acknowledged */
    uint64_t read_seq_seen; /* the greatest of this leader */
    uint64_t read_seq_acked;
    bool is_ack_due;
    struct incoming incoming;
    struct due_reply replies[REPLIES_MAX];
    uint32_t reply_count;

    /* Leader. */
    struct handover handover;
    struct change change;
    bool is_changing;    /* change_advance() has something to look at */
    uint64_t term_start; /* index of the no-op of the own term */
    uint64_t leader_since_ms;
    uint64_t uncommitted_bytes; /* of entries above `commit` */
    struct reads reads;

    /* This step's effects. */
    struct outbox outbox;
    bool is_hard_changed;       /* term or vote */
    uint64_t truncated_from;    /* 0: nothing was cut */
    uint64_t appended_first;    /* 0: nothing was appended */
    struct raft_entry *persist; /* owned; the entries to persist */
    size_t persist_capacity;
    const struct raft_read *read_done; /* reads answered by this step */
    size_t read_done_count;
    struct raft_change_report change_report;
    bool is_membership_changed;
    struct raft_chunk chunk; /* to store; transfer 0: none */
    bool is_finish_due;
    bool is_restored;
    bool is_handover_failed;
};

/* raft.c */
struct peer *raft_peer(struct raft *raft, uint64_t id); /* or NULL */
bool raft_is_hard_pending(const struct raft *raft);
/* The election timeout of now: as it is set, or as the network is. */
uint64_t raft_timeout_ms(const struct raft *raft);
void raft_note_gap(struct raft *raft, uint64_t since_ms);
int raft_reserve(struct raft *raft, size_t count, size_t size) MUST_USE;
void raft_append(struct raft *raft, uint64_t term, enum raft_entry_type type,
                 struct bytes data);
/* Leaves once the term and the vote are on disk. One for each receiver: a
 * newer one stands for an older one. */
void raft_reply(struct raft *raft, uint64_t to, const struct message *message);

/* adoption.c */
void adoption_of_entry(struct raft *raft, uint64_t index);
/* The newest membership up to `last`, as if the log ended there. */
void adoption_of_newest(struct raft *raft, uint64_t last);
/* Of those that are left out, forgets who has the entry that says so and was
 * told that it is committed, or could not be told for some time. */
void adoption_forget_left(struct raft *raft);
/* The newest membership up to `last`. */
struct raft_membership adoption_find(const struct raft *raft, uint64_t last);
/* A voter; or one that is no longer, as far as it knows without a majority. */
bool adoption_can_campaign(const struct raft *raft);

/* change.c */
int change_begin(struct raft *raft,
                 const struct raft_membership *target) MUST_USE;
void change_advance(struct raft *raft); /* at the end of a leader's step */
void change_abandon(struct raft *raft); /* no longer leader */

/* handover.c */
int handover_begin(struct raft *raft, uint64_t to) MUST_USE;
void handover_advance(struct raft *raft); /* at the end of a leader's step */
void handover_abandon(struct raft *raft);
void handover_at_end(struct raft *raft); /* it is about to step down */
int handover_handle(struct raft *raft, uint64_t from,
                    const struct message *message) MUST_USE;

/* quorum.c */
enum quorum_of {
    QUORUM_MATCH,
    QUORUM_READ_SEQ,
    QUORUM_HEARD_MS,
    QUORUM_GRANTED /* 1: by a majority */
};
/* The greatest number that a majority has reached; `own` is ours. */
uint64_t quorum_reach(const struct raft *raft, enum quorum_of what,
                      uint64_t own);
/* Whether our vote is the only one. */
bool quorum_is_alone(const struct raft *raft);

/* election.c */
void election_tick(struct raft *raft);
void election_link_lost(struct raft *raft, uint64_t id);
void election_arm(struct raft *raft);
void election_campaign(struct raft *raft);  /* the vote for itself is on disk */
void election_take_over(struct raft *raft); /* without a pre-vote */
void election_follow(struct raft *raft, uint64_t term, uint64_t leader);
void election_handle_pre_vote(struct raft *raft, uint64_t from,
                              const struct message *message);
void election_handle_vote(struct raft *raft, uint64_t from,
                          const struct message *message);
/* `from` NULL: a stranger, whose vote counts for nothing. */
void election_handle_reply(struct raft *raft, struct peer *from,
                           const struct message *message);

/* replication.c */
void replication_lead(struct raft *raft); /* at the start of the own term */
void replication_append(struct raft *raft, enum raft_entry_type type,
                        struct bytes data); /* the room was reserved */
void replication_tick(struct raft *raft);
void replication_send_all(struct raft *raft);
void replication_send_heartbeats(struct raft *raft);
void replication_advance(struct raft *raft); /* commit, by what is on disks */
bool replication_is_reply_sane(const struct raft *raft,
                               const struct message *message);
/* `from` NULL: a stranger, of whom only the term matters. */
void replication_handle_reply(struct raft *raft, struct peer *from,
                              const struct message *message);
uint64_t replication_quorum_heard_ms(const struct raft *raft);

/* follower.c */
int follower_handle_append(struct raft *raft, uint64_t from,
                           const struct message *message) MUST_USE;
void follower_persisted(struct raft *raft);
void follower_send_ack(struct raft *raft);

/* Whether no honest leader of this term or a later one can send that. */
bool follower_is_forbidden(const struct raft *raft, uint64_t from,
                           const struct message *message);
/* The old leader learns the new term from the answer. */
void follower_refuse_stale(struct raft *raft, uint64_t from);

/* snapshot.c */
void snapshot_taken(struct raft *raft, uint64_t index, uint64_t size);
int snapshot_handle_chunk(struct raft *raft, uint64_t from,
                          const struct message *message) MUST_USE;
void snapshot_chunk_stored(struct raft *raft, uint64_t transfer,
                           uint64_t offset);
void snapshot_stored(struct raft *raft, uint64_t transfer);
void snapshot_failed(struct raft *raft, uint64_t transfer);

/* snapshot_send.c */
void snapshot_begin(struct raft *raft, struct peer *peer);
void snapshot_send(struct raft *raft, struct peer *peer);
void snapshot_tick(struct raft *raft, struct peer *peer);
void snapshot_handle_reply(struct raft *raft, struct peer *from,
                           const struct message *message);
void snapshot_lost(struct raft *raft, uint64_t to, uint64_t index);

/* read.c */
int read_add(struct raft *raft, uint64_t read_id) MUST_USE;
void read_advance(struct raft *raft); /* leader: answers what is confirmed */
void read_fail_all(struct raft *raft);
void read_send_ask(struct raft *raft);
void read_ask_again(struct raft *raft); /* follower: the leader is there */
void read_handle_ask(struct raft *raft, uint64_t from,
                     const struct message *message);
void read_handle_answer(struct raft *raft, uint64_t from,
                        const struct message *message);

/* outbox.c */
void outbox_begin_step(struct raft *raft, bool is_idle);
bool outbox_put(struct raft *raft, uint64_t to, const struct message *message);
/* An append of the entries from message->index + 1 on, as many as fit in
 * `limit` bytes but at least one; sets entry_count. False: not sent. */
bool outbox_put_append(struct raft *raft, uint64_t to, struct message *message,
                       size_t limit, uint32_t *ret_size) MUST_USE;
void outbox_put_empty(struct raft *raft, struct peer *peer);
/* The header of the next `size` bytes of a peer's snapshot. False: no room. */
bool outbox_put_chunk(struct raft *raft, const struct peer *peer,
                      uint32_t size) MUST_USE;
void outbox_end_step(struct raft *raft, struct raft_effects *effects);

#endif
