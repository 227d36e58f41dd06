/* SPDX-License-Identifier: Apache-2.0
 * Who can reach whom: the partition detector. Each member sends a probe to each
 * other one every REACH_PROBE_MS, with what it knows of who hears whom, so that
 * all of them come to hold the same matrix of links:
 *
 *            hears q1 q2 q3        a row is said by its member, with a number
 *   q1 says        x  x  .         that grows, and is passed on by those who
 *   q2 says        x  x  x         hear it; one that is not said again is
 *   q3 says        .  x  x         forgotten (REACH_ROW_MS)
 *
 * Two members reach one another if one says that it hears the other. One is
 * enough: over TCP nothing new comes through a link of which one direction is
 * cut, in neither direction, but what is lost by chance delays one direction
 * alone. So a packet that is lost three times is no partition.
 *
 * What one sends is heard of in two ways: by what the other says, and by what
 * the other's system acknowledges. A direction that is cut shows in that its
 * victim gets no acknowledgements, but still packets, with nothing new in them.
 *
 * A virtual machine or a member that is stopped takes in what is sent to it, by
 * its system: it is given REACH_STOPPED_MS. And who did not run itself has to
 * listen first: that time is not the others' silence.
 *
 * A pure machine (docs/operations.md says what users see of it). */
#ifndef QUORATE_CLUSTER_REACH_H
#define QUORATE_CLUSTER_REACH_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "cluster/reach_probe.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    REACH_TICK_MS = 50,      /* between two ticks, if all is well */
    REACH_PROBE_MS = 250,    /* between two probes to one member */
    REACH_SILENCE_MS = 1750, /* after which a member is not heard */
    REACH_DOUBT_MS = 1000,   /* the same of one that acknowledges nothing */
    REACH_ROW_MS = 1500, /* after which what is passed on of it is too old */
    REACH_STOPPED_MS = 3000,  /* the same of one whose system answers, if nobody
                                 else hears it either */
    REACH_DELAYED_MS = 7000,  /* or if somebody does, or there is nobody else:
                                 five losses in a row take 6.2 s */
    REACH_DOWN_MS = 500,      /* the same of one whose link has ended */
    REACH_CUT_MS = 2000,      /* silence after which a link is given up: TCP
                                 would be slow to notice that it is whole again */
    REACH_ANSWERED_MS = 1700, /* a system that answers does so within that:
                                 three losses in a row take 1.4 s */
    REACH_STRAY_MS = 300, /* after which packets in which nothing is new are no
                             leftovers of what was lost */
    REACH_LATE_MS = 200,  /* a tick that comes so late has been held up */
    REACH_UNREAD_TICKS = 8, /* that wait for input before it is judged */
    REACH_RTT_SAMPLES = 16, /* of which the median is taken */
    REACH_GROUPS_MAX = 32,  /* that a view has room for */
};

/* One member as this one knows it. */
struct reach_peer {
    uint64_t id;
    bool is_heard;       /* its probes come to us */
    bool is_arriving;    /* its packets come, and ours do not arrive there */
    bool is_deaf;        /* its probe came, and said that ours do not */
    bool is_linked;      /* there is a link */
    bool was_heard;      /* on this link */
    bool has_counters;   /* those below are of this link */
    uint64_t heard_ms;   /* when the last probe came; 0: none ever */
    uint64_t packets;    /* that came over the link */
    uint64_t received;   /* bytes in them that were new */
    uint64_t acked;      /* bytes of ours that its system has acknowledged */
    uint64_t acked_ms;   /* when that grew */
    uint64_t good_ms;    /* when any of both grew */
    uint64_t stray_ms;   /* when packets came, and none of both grew */
    uint64_t down_ms;    /* when the last link ended; 0: there is one */
    uint64_t stamp_us;   /* its last stamp; 0: none */
    uint64_t stamped_us; /* when it came, by our clock */
    uint32_t rtt_us[REACH_RTT_SAMPLES];
    uint32_t rtt_count;   /* ever */
    struct reach_row row; /* what it said last; bits are our positions */
    uint64_t row_ms;      /* when it said so */
};

/* The matrix as far as it is known. Bits are positions of members. */
struct reach_matrix {
    uint16_t known;              /* somebody hears them, or they are heard of */
    uint16_t links[REACH_MAX];   /* who reaches whom; symmetric; with itself */
    uint16_t one_way[REACH_MAX]; /* [a] bit b: what a sends comes to b, and not
                                    the other way */
};

struct reach {
    uint64_t self; /* id */
    uint64_t number;
    uint64_t ticked_ms; /* 0: never */
    uint64_t sent_ms;   /* the last round of probes */
    bool is_due;        /* there is news for the others */
    uint32_t unread_ticks;
    uint32_t count;
    struct reach_peer peers[REACH_MAX]; /* by id, ascending; also the own one */
    struct reach_matrix matrix;
};

struct reach_config {
    uint64_t self;   /* id; never 0 */
    uint64_t number; /* greater than any of an earlier run: a time */
};

enum reach_event_type {
    REACH_TICK,      /* every REACH_TICK_MS */
    REACH_MEMBERS,   /* ids, count: those who take part now */
    REACH_PROBE,     /* from, bytes */
    REACH_LINK_UP,   /* from */
    REACH_LINK_DOWN, /* from */
    REACH_COUNTERS,  /* from, packets, received, acked: of its link, before a
                        tick */
};

struct reach_event {
    enum reach_event_type type;
    uint64_t now_ms;
    uint64_t now_us; /* PROBE: of a clock that may be another one */
    bool has_unread; /* TICK: members have sent what was not read yet */
    const uint64_t *ids;
    uint32_t count;
    uint64_t from;
    struct bytes bytes;
    uint64_t packets;
    uint64_t received;
    uint64_t acked;
};

struct reach_effects {
    bool is_probe_due; /* reach_put_probe() to all others that have a link */
    bool is_changed;   /* the matrix is another one */
    uint16_t cut;      /* links to be ended; bits are positions */
};

void reach_init(struct reach *reach, const struct reach_config *config);

/* 0; ERR_MALFORMED, ERR_UNSUPPORTED: the probe cannot be read, ERR_LIMIT: more
 * than REACH_MAX members. Nothing has changed then. */
int reach_step(struct reach *reach, const struct reach_event *event,
               struct reach_effects *ret_effects) MUST_USE;

/* Appends the probe for one member. */
void reach_put_probe(const struct reach *reach, uint64_t to, uint64_t now_ms,
                     uint64_t now_us, struct buf *out);

void reach_check(const struct reach *reach); /* the invariants */

/* NULL: it does not take part. */
const struct reach_peer *reach_peer(const struct reach *reach, uint64_t id);

/* --- For users (reach_view.c) --------------------------------------------- */

struct reach_view {
    /* Sets of members who all reach one another, as big as can be, that are not
     * in another one; a member may be in several. The biggest first, then by
     * their lowest bits. */
    uint16_t groups[REACH_GROUPS_MAX];
    uint32_t group_count;
    bool has_more;     /* groups than there is room for */
    uint16_t missing;  /* whom this member does not reach */
    uint16_t unheard;  /* whom nobody hears of whom this one hears anything */
    uint32_t together; /* members in the biggest group that has this one */
};

void reach_view(const struct reach *reach, struct reach_view *ret_view);

/* Of the last REACH_RTT_SAMPLES round trips; false: there was none. */
bool reach_rtt(const struct reach_peer *peer, uint32_t *ret_last_us,
               uint32_t *ret_median_us);

/* The groups of any symmetric matrix; `members` are those that count. */
void reach_groups(const uint16_t links[REACH_MAX], uint16_t members,
                  struct reach_view *view);

#endif
