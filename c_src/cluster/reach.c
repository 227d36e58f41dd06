/* SPDX-License-Identifier: Apache-2.0
 * There are few members, so the matrix is made anew in each step. */
#include "cluster/reach.h"

#include "base/ensure.h"
#include "base/err.h"

#include <string.h>

enum { RTT_MAX_US = 60 * 1000 * 1000 }; /* more is no measurement */

_Static_assert(REACH_MAX <= 16, "sets of members are 16 bits");

/* --- Members -------------------------------------------------------------- */

static uint32_t position_of(const struct reach *reach, uint64_t id)
{
    uint32_t i = 0;

    while (i < reach->count && reach->peers[i].id != id) {
        i++;
    }
    return i;
}

const struct reach_peer *reach_peer(const struct reach *reach, uint64_t id)
{
    uint32_t i = position_of(reach, id);

    return i < reach->count ? &reach->peers[i] : NULL;
}

static bool has_bit(uint32_t set, uint32_t i)
{
    return (set & (1U << i)) != 0;
}

/* The members of a set, of which member i is now at map[i]; REACH_MAX: gone. */
static uint16_t remap(uint16_t set, const uint32_t *map, uint32_t count)
{
    uint32_t result = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (has_bit(set, i) && map[i] < REACH_MAX) {
            result |= 1U << map[i];
        }
    }
    return (uint16_t)result;
}

static void insert_peer(struct reach *reach, const struct reach_peer *peer)
{
    uint32_t at = reach->count++;

    for (; at > 0 && reach->peers[at - 1].id > peer->id; at--) {
        reach->peers[at] = reach->peers[at - 1];
    }
    reach->peers[at] = *peer;
}

/* Whoever joins a set that is at work is taken to be there, until it is silent
 * for as long as others may be; at the start nobody is, until it is heard. */
static struct reach_peer new_peer(const struct reach *old, uint64_t id,
                                  uint64_t now_ms)
{
    bool is_at_work = position_of(old, old->self) < old->count;

    return (struct reach_peer){.id = id,
                               .is_heard = is_at_work || id == old->self,
                               .heard_ms = is_at_work ? now_ms : 0};
}

static int set_members(struct reach *reach, const struct reach_event *event)
{
    struct reach old = *reach;
    uint32_t map[REACH_MAX];

    if (event->count > REACH_MAX) {
        return ERR_LIMIT;
    }
    reach->count = 0;
    for (uint32_t i = 0; i < event->count; i++) {
        const struct reach_peer *known = reach_peer(&old, event->ids[i]);
        struct reach_peer peer =
            known != NULL ? *known
                          : new_peer(&old, event->ids[i], event->now_ms);

        insert_peer(reach, &peer);
    }
    for (uint32_t i = 0; i < old.count; i++) {
        map[i] = position_of(reach, old.peers[i].id);
        map[i] = map[i] == reach->count ? REACH_MAX : map[i];
    }
    for (uint32_t i = 0; i < reach->count; i++) {
        struct reach_row *row = &reach->peers[i].row;

        row->heard = remap(row->heard, map, old.count);
        row->arriving = remap(row->arriving, map, old.count);
    }
    reach->is_due = true;
    return 0;
}

/* --- The matrix ----------------------------------------------------------- */

static uint64_t since(uint64_t now_ms, uint64_t then_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

static bool is_answering(const struct reach_peer *peer, uint64_t now_ms)
{
    return peer->acked_ms != 0 &&
           since(now_ms, peer->acked_ms) < REACH_ANSWERED_MS;
}

/* Whether it does not hear us by its own word, and acknowledges nothing. */
static bool is_disowned(const struct reach *reach,
                        const struct reach_peer *peer, uint64_t now_ms)
{
    return peer->acked_ms != 0 && !is_answering(peer, now_ms) &&
           peer->row.number != 0 &&
           !has_bit(peer->row.heard, position_of(reach, reach->self));
}

/* Whether the link goes both ways: its probes come, and ours arrive, as far as
 * the system tells. */
static bool is_to_be_heard(const struct reach *reach,
                           const struct reach_peer *peer, uint64_t now_ms)
{
    uint64_t limit_ms = REACH_SILENCE_MS;

    if (is_answering(peer, now_ms)) {
        bool is_stopped =
            reach->count > 2 && since(now_ms, peer->row_ms) >= REACH_STOPPED_MS;

        limit_ms = is_stopped ? REACH_STOPPED_MS : REACH_DELAYED_MS;
    } else if (peer->acked_ms != 0) {
        limit_ms = REACH_DOUBT_MS;
    }
    if (peer->heard_ms == 0 || is_disowned(reach, peer, now_ms) ||
        since(now_ms, peer->heard_ms) >= limit_ms) {
        return false;
    }
    return peer->down_ms < peer->heard_ms ||
           since(now_ms, peer->down_ms) < REACH_DOWN_MS;
}

/* Whether what a member said last still counts. */
static bool is_fresh(const struct reach *reach, const struct reach_peer *peer,
                     uint64_t now_ms)
{
    if (peer->id == reach->self) {
        return true;
    }
    return peer->row.number != 0 &&
           since(now_ms, peer->row_ms) <
               (peer->is_heard ? REACH_STOPPED_MS : REACH_ROW_MS);
}

/* What this member says of itself. */
static struct reach_row own_row(const struct reach *reach)
{
    struct reach_row row = {.number = reach->number};

    for (uint32_t i = 0; i < reach->count; i++) {
        const struct reach_peer *peer = &reach->peers[i];

        row.heard |= (uint16_t)(peer->is_heard ? 1U << i : 0);
        row.arriving |= (uint16_t)(peer->is_arriving ? 1U << i : 0);
    }
    return row;
}

static struct reach_matrix matrix_of(const struct reach *reach, uint64_t now_ms)
{
    struct reach_matrix matrix = {.known = 0};
    struct reach_row rows[REACH_MAX] = {{0}};

    for (uint32_t i = 0; i < reach->count; i++) {
        const struct reach_peer *peer = &reach->peers[i];

        if (is_fresh(reach, peer, now_ms)) {
            rows[i] = peer->id == reach->self ? own_row(reach) : peer->row;
            matrix.known |= (uint16_t)(1U << i);
        }
        matrix.links[i] = (uint16_t)(1U << i);
    }
    for (uint32_t i = 0; i < reach->count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            bool i_gets = has_bit(rows[i].arriving, j);
            bool j_gets = has_bit(rows[j].arriving, i);

            if (has_bit(rows[i].heard, j) || has_bit(rows[j].heard, i)) {
                matrix.links[i] |= (uint16_t)(1U << j);
                matrix.links[j] |= (uint16_t)(1U << i);
                matrix.known |= (uint16_t)(1U << i | 1U << j);
            } else if (i_gets && !j_gets) {
                matrix.one_way[j] |= (uint16_t)(1U << i);
            } else if (j_gets && !i_gets) {
                matrix.one_way[i] |= (uint16_t)(1U << j);
            }
        }
    }
    return matrix;
}

/* --- Listening ------------------------------------------------------------ */

static void measure(struct reach_peer *peer, const struct reach_probe *probe,
                    uint64_t now_us)
{
    uint64_t left_us = now_us - probe->echo_us;

    if (probe->echo_us != 0 && probe->echo_us <= now_us &&
        probe->held_us <= left_us && left_us - probe->held_us < RTT_MAX_US) {
        peer->rtt_us[peer->rtt_count % REACH_RTT_SAMPLES] =
            (uint32_t)(left_us - probe->held_us);
        peer->rtt_count++;
    }
    peer->stamp_us = probe->stamp_us;
    peer->stamped_us = now_us;
}

/* A member's own word replaces whatever was known of it: its numbers may have
 * begun anew. Of what others pass on, the greater number counts. */
static void take_row(struct reach *reach, struct reach_peer *peer,
                     const struct reach_row *row, bool is_own_word,
                     uint64_t now_ms)
{
    uint64_t said_ms = now_ms - (row->age_ms < now_ms ? row->age_ms : now_ms);
    bool is_news = row->heard != peer->row.heard ||
                   row->arriving != peer->row.arriving ||
                   !is_fresh(reach, peer, now_ms);

    if (peer->id == reach->self || row->number == 0 ||
        row->age_ms >= REACH_ROW_MS ||
        (!is_own_word && row->number <= peer->row.number)) {
        return;
    }
    peer->row = *row;
    peer->row_ms = said_ms;
    reach->is_due |= is_news;
}

static void note_probe(struct reach *reach, struct reach_peer *peer,
                       uint64_t now_ms)
{
    bool was_heard = peer->is_heard;

    peer->heard_ms = now_ms;
    peer->was_heard = peer->is_linked;
    peer->is_heard = is_to_be_heard(reach, peer, now_ms);
    peer->is_arriving = peer->is_arriving && !peer->is_heard;
    reach->is_due |= peer->is_heard != was_heard;
}

static int take_probe(struct reach *reach, const struct reach_event *event)
{
    uint32_t from = position_of(reach, event->from);
    struct reach_probe probe = {.count = 0};
    uint32_t map[REACH_MAX];
    int rv = reach_probe_decode(event->bytes, &probe);

    if (rv == 0 && probe.ids[0] != event->from) {
        rv = ERR_MALFORMED;
    }
    if (rv != 0 || from == reach->count || event->from == reach->self) {
        return rv;
    }
    for (uint32_t i = 0; i < probe.count; i++) {
        map[i] = position_of(reach, probe.ids[i]);
        map[i] = map[i] == reach->count ? REACH_MAX : map[i];
    }
    note_probe(reach, &reach->peers[from], event->now_ms);
    measure(&reach->peers[from], &probe, event->now_us);
    for (uint32_t i = 0; i < probe.count; i++) {
        struct reach_row row = probe.rows[i];

        if (map[i] < REACH_MAX) {
            row.heard = remap(row.heard, map, probe.count);
            row.arriving = remap(row.arriving, map, probe.count);
            take_row(reach, &reach->peers[map[i]], &row, i == 0, event->now_ms);
        }
    }
    reach->peers[from].is_deaf =
        is_disowned(reach, &reach->peers[from], event->now_ms);
    return 0;
}

static void take_counters(struct reach_peer *peer,
                          const struct reach_event *event)
{
    bool is_acked = event->acked != peer->acked;

    if (peer->has_counters && is_acked) {
        peer->acked_ms = event->now_ms;
    }
    if (peer->has_counters && (is_acked || event->received != peer->received)) {
        peer->good_ms = event->now_ms;
    } else if (peer->has_counters && event->packets != peer->packets) {
        peer->stray_ms = event->now_ms;
    }
    peer->has_counters = true;
    peer->packets = event->packets;
    peer->received = event->received;
    peer->acked = event->acked;
}

static void set_linked(struct reach *reach, struct reach_peer *peer,
                       bool is_linked, uint64_t now_ms)
{
    peer->is_linked = is_linked;
    peer->was_heard = false;
    peer->has_counters = false;
    peer->acked_ms = is_linked ? 0 : peer->acked_ms;
    peer->down_ms = is_linked ? 0 : now_ms;
    reach->is_due |= is_linked;
}

/* --- Judging -------------------------------------------------------------- */

/* Silence is counted in time in which this member ran. */
static void excuse(struct reach *reach, uint64_t held_up_ms, uint64_t now_ms)
{
    for (uint32_t i = 0; i < reach->count; i++) {
        struct reach_peer *peer = &reach->peers[i];
        uint64_t *times[] = {&peer->heard_ms, &peer->good_ms, &peer->stray_ms,
                             &peer->acked_ms, &peer->down_ms, &peer->row_ms};

        for (size_t j = 0; j < sizeof(times) / sizeof(times[0]); j++) {
            if (*times[j] != 0) {
                *times[j] += held_up_ms;
                *times[j] = *times[j] > now_ms ? now_ms : *times[j];
            }
        }
    }
}

/* One that was heard until then, and of whom packets still come, with nothing
 * new in them, and no word that ours arrive: known until it is heard again,
 * since a link that is given up shows nothing. */
static bool is_cut_one_way(const struct reach_peer *peer)
{
    return peer->is_deaf ||
           (peer->good_ms != 0 &&
            peer->heard_ms + REACH_SILENCE_MS > peer->good_ms &&
            peer->stray_ms >= peer->good_ms + REACH_STRAY_MS);
}

static void judge(struct reach *reach, uint64_t now_ms, uint16_t *ret_cut)
{
    for (uint32_t i = 0; i < reach->count; i++) {
        struct reach_peer *peer = &reach->peers[i];

        if (peer->id == reach->self) {
            continue;
        }
        peer->is_heard = is_to_be_heard(reach, peer, now_ms);
        peer->is_arriving = !peer->is_heard && is_cut_one_way(peer);
        if (!peer->is_heard && peer->was_heard && !is_answering(peer, now_ms) &&
            since(now_ms, peer->heard_ms) >= REACH_CUT_MS) {
            peer->was_heard = false;
            *ret_cut |= (uint16_t)(1U << i);
        }
    }
}

static void tick(struct reach *reach, const struct reach_event *event,
                 struct reach_effects *effects)
{
    uint64_t pause_ms = since(event->now_ms, reach->ticked_ms);
    struct reach_row before = own_row(reach);
    struct reach_row after;

    if (reach->ticked_ms != 0 && pause_ms > REACH_LATE_MS) {
        excuse(reach, pause_ms - REACH_TICK_MS, event->now_ms);
    }
    reach->ticked_ms = event->now_ms;
    reach->unread_ticks = event->has_unread ? reach->unread_ticks + 1 : 0;
    if (reach->unread_ticks == 0 || reach->unread_ticks > REACH_UNREAD_TICKS) {
        judge(reach, event->now_ms, &effects->cut);
    }
    after = own_row(reach);
    reach->is_due |=
        before.heard != after.heard || before.arriving != after.arriving;
    if (reach->is_due ||
        since(event->now_ms, reach->sent_ms) + REACH_TICK_MS / 2 >
            REACH_PROBE_MS) {
        reach->is_due = false;
        reach->sent_ms = event->now_ms;
        reach->number++;
        effects->is_probe_due = true;
    }
}

/* --- Public --------------------------------------------------------------- */

void reach_init(struct reach *reach, const struct reach_config *config)
{
    ensure(config->self != 0);
    *reach = (struct reach){.self = config->self, .number = config->number};
}

static int handle(struct reach *reach, const struct reach_event *event,
                  struct reach_effects *effects)
{
    uint32_t from = position_of(reach, event->from);
    struct reach_peer *peer = from < reach->count ? &reach->peers[from] : NULL;

    switch (event->type) {
    case REACH_TICK:
        tick(reach, event, effects);
        return 0;
    case REACH_MEMBERS:
        return set_members(reach, event);
    case REACH_PROBE:
        return take_probe(reach, event);
    case REACH_LINK_UP:
    case REACH_LINK_DOWN:
        if (peer != NULL) {
            set_linked(reach, peer, event->type == REACH_LINK_UP,
                       event->now_ms);
        }
        return 0;
    case REACH_COUNTERS:
        if (peer != NULL) {
            take_counters(peer, event);
        }
        return 0;
    }
    unreachable();
}

int reach_step(struct reach *reach, const struct reach_event *event,
               struct reach_effects *ret_effects)
{
    struct reach_effects effects = {.is_probe_due = false};
    struct reach_matrix matrix;
    int rv = handle(reach, event, &effects);

    if (rv != 0) {
        return rv;
    }
    matrix = matrix_of(reach, event->now_ms);
    effects.is_changed = event->type == REACH_MEMBERS ||
                         memcmp(&matrix, &reach->matrix, sizeof(matrix)) != 0;
    reach->matrix = matrix;
    *ret_effects = effects;
    return 0;
}

void reach_put_probe(const struct reach *reach, uint64_t to, uint64_t now_ms,
                     uint64_t now_us, struct buf *out)
{
    struct reach_probe probe = {.stamp_us = now_us, .count = 1};
    const struct reach_peer *receiver = reach_peer(reach, to);
    uint32_t map[REACH_MAX];

    if (receiver != NULL && receiver->stamp_us != 0) {
        uint64_t held_us = now_us - receiver->stamped_us;

        probe.echo_us = held_us <= UINT32_MAX ? receiver->stamp_us : 0;
        probe.held_us = (uint32_t)held_us;
    }
    probe.ids[0] = reach->self;
    probe.rows[0] = own_row(reach);
    for (uint32_t i = 0; i < reach->count; i++) {
        const struct reach_peer *peer = &reach->peers[i];
        uint64_t age_ms = since(now_ms, peer->row_ms);

        map[i] = peer->id == reach->self ? 0 : probe.count;
        if (map[i] != 0) {
            probe.ids[probe.count] = peer->id;
            if (age_ms < REACH_ROW_MS) {
                probe.rows[probe.count] = peer->row;
                probe.rows[probe.count].age_ms = (uint32_t)age_ms;
            }
            probe.count++;
        }
    }
    for (uint32_t i = 0; i < probe.count; i++) {
        struct reach_row *row = &probe.rows[i];

        row->heard = remap(row->heard, map, reach->count);
        row->arriving = remap(row->arriving, map, reach->count);
    }
    reach_probe_encode(out, &probe);
}
