/* SPDX-License-Identifier: Apache-2.0
 * What users see of it. Groups are the maximal cliques of the graph of links,
 * found as by Bron and Kerbosch (Algorithm 457, CACM 16, 1973), with a pivot
 * (Tomita, Tanaka and Takahashi, 2006): a whole graph takes as many steps as it
 * has members. */
#include "base/ensure.h"
#include "cluster/reach.h"

static uint32_t size_of(uint32_t set)
{
    return (uint32_t)__builtin_popcount(set);
}

static uint32_t lowest(uint32_t set)
{
    ensure(set != 0);
    return (uint32_t)__builtin_ctz(set);
}

static bool has_bit(uint32_t set, uint32_t i)
{
    return (set & (1U << i)) != 0;
}

/* Whether `a` comes before `b`. */
static bool is_before(uint16_t a, uint16_t b)
{
    uint32_t differ = (uint32_t)(a ^ b);

    if (size_of(a) != size_of(b)) {
        return size_of(a) > size_of(b);
    }
    return differ != 0 && (a & (1U << lowest(differ))) != 0;
}

/* What has no room is the last. */
static void add_group(struct reach_view *view, uint16_t group)
{
    uint32_t at = view->group_count;

    if (at == REACH_GROUPS_MAX) {
        view->has_more = true;
        if (!is_before(group, view->groups[at - 1])) {
            return;
        }
        at--;
    } else {
        view->group_count++;
    }
    for (; at > 0 && is_before(group, view->groups[at - 1]); at--) {
        view->groups[at] = view->groups[at - 1];
    }
    view->groups[at] = group;
}

/* The one that leaves the fewest candidates to be tried. */
static uint32_t pivot_of(const uint16_t links[REACH_MAX], uint32_t candidates,
                         uint32_t done)
{
    uint32_t best = lowest(candidates | done);

    for (uint32_t left = candidates | done; left != 0; left &= left - 1) {
        uint32_t one = lowest(left);

        if (size_of(candidates & links[one]) >
            size_of(candidates & links[best])) {
            best = one;
        }
    }
    return best;
}

/* Sets that are being extended, the newest last: no deeper than there are
 * members. */
struct extension {
    uint32_t set;
    uint32_t candidates; /* all of them reach all of the set */
    uint32_t done;       /* so do these, and their groups are found */
    uint32_t to_try;
};

static struct extension begin(const uint16_t links[REACH_MAX], uint32_t set,
                              uint32_t candidates, uint32_t done)
{
    uint32_t pivot =
        candidates == 0 ? 0 : links[pivot_of(links, candidates, done)];

    /* The pivot itself is tried, though it is linked with itself. */
    if (candidates != 0) {
        pivot &= ~(1U << pivot_of(links, candidates, done));
    }
    return (struct extension){.set = set,
                              .candidates = candidates,
                              .done = done,
                              .to_try = candidates & ~pivot};
}

void reach_groups(const uint16_t links[REACH_MAX], uint16_t members,
                  struct reach_view *view)
{
    struct extension stack[REACH_MAX + 1];
    uint32_t depth = 0;

    stack[depth++] = begin(links, 0, members, 0);
    while (depth > 0) {
        struct extension *top = &stack[depth - 1];
        uint32_t one;
        uint32_t bit;
        uint32_t others;

        if (top->to_try == 0) {
            if (top->candidates == 0 && top->done == 0 && top->set != 0) {
                add_group(view, (uint16_t)top->set);
            }
            depth--;
            continue;
        }
        one = lowest(top->to_try);
        bit = 1U << one;
        others = links[one] & ~bit;
        top->to_try &= ~bit;
        top->candidates &= ~bit;
        ensure(depth <= REACH_MAX);
        stack[depth] = begin(links, top->set | bit, top->candidates & others,
                             top->done & others);
        top->done |= bit;
        depth++;
    }
}

void reach_view(const struct reach *reach, struct reach_view *ret_view)
{
    struct reach_view view = {.together = 0};
    uint32_t all = (1U << reach->count) - 1;
    uint32_t self = 0;
    uint16_t self_bit;

    while (self < reach->count && reach->peers[self].id != reach->self) {
        self++;
    }
    if (self == reach->count) {
        *ret_view = view;
        return;
    }
    self_bit = (uint16_t)(1U << self);
    reach_groups(reach->matrix.links, reach->matrix.known, &view);
    view.missing = (uint16_t)(all & ~(uint32_t)reach->matrix.links[self]);
    view.unheard = (uint16_t)(all & ~(uint32_t)reach->matrix.known);
    for (uint32_t i = 0; view.together == 0 && i < view.group_count; i++) {
        if ((view.groups[i] & self_bit) != 0) {
            view.together = size_of(view.groups[i]);
        }
    }
    /* Its groups may be those that had no room; it is one of them at least. */
    if (view.together == 0) {
        view.together = 1;
    }
    *ret_view = view;
}

bool reach_rtt(const struct reach_peer *peer, uint32_t *ret_last_us,
               uint32_t *ret_median_us)
{
    uint32_t sorted[REACH_RTT_SAMPLES];
    uint32_t count = peer->rtt_count;

    if (count == 0) {
        return false;
    }
    if (count > REACH_RTT_SAMPLES) {
        count = REACH_RTT_SAMPLES;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;

        for (; at > 0 && sorted[at - 1] > peer->rtt_us[i]; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = peer->rtt_us[i];
    }
    *ret_last_us = peer->rtt_us[(peer->rtt_count - 1) % REACH_RTT_SAMPLES];
    *ret_median_us = sorted[count / 2];
    return true;
}

void reach_check(const struct reach *reach)
{
    uint32_t all = (1U << reach->count) - 1;

    ensure(reach->count <= REACH_MAX);
    for (uint32_t i = 0; i < reach->count; i++) {
        const struct reach_peer *peer = &reach->peers[i];

        ensure(i == 0 || reach->peers[i - 1].id < peer->id);
        ensure(((uint32_t)(peer->row.heard | peer->row.arriving) & ~all) == 0);
        ensure(!peer->is_heard || !peer->is_arriving);
        ensure(has_bit(reach->matrix.links[i], i));
        for (uint32_t j = 0; j < i; j++) {
            ensure(has_bit(reach->matrix.links[i], j) ==
                   has_bit(reach->matrix.links[j], i));
            ensure(!has_bit(reach->matrix.one_way[i], j) ||
                   !has_bit(reach->matrix.one_way[j], i));
        }
    }
}
