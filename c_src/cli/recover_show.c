/* SPDX-License-Identifier: Apache-2.0
 * The plan: what is left, who is to go on, and what may be lost by it. */
#include "base/err.h"
#include "cli/columns.h"
#include "cli/json.h"
#include "cli/recover.h"
#include "raft/membership.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SURVIVOR_COLUMNS = 5,
    LOST_SHOWN_MAX = 1000,
    LOST_SIZE_MAX = 16 * 1024 * 1024, /* bytes */
    TEXT_SIZE_MAX = 32 * 1024 * 1024, /* bytes */
    CELL_SIZE_MAX = 4200,             /* bytes */
};

struct plan {
    struct recover *recover;
    const struct survivor *newest;
    uint64_t counts[RECOVER_FINDS];
    uint64_t lost_shown;
    struct buf lost; /* their ids, as JSON strings with commas, or as lines */
    bool is_json;
};

static int look_at_states(struct plan *plan)
{
    const struct map *sandboxes = &plan->newest->machine.registry.sandboxes;
    const struct sandbox *sandbox;
    size_t position = 0;

    while ((sandbox = map_next(sandboxes, &position)) != NULL) {
        struct survivor_state state;
        const struct survivor *holder;
        enum recover_find find;
        int rv = recover_look(plan->recover, sandbox, &find, &state, &holder);

        if (rv != 0) {
            return rv;
        }
        buf_close(&state.bytes);
        plan->counts[find]++;
        if (find != RECOVER_LOST || plan->lost_shown == LOST_SHOWN_MAX) {
            continue;
        }
        if (plan->is_json && plan->lost_shown > 0) {
            buf_put_u8(&plan->lost, ',');
        }
        plan->lost_shown++;
        buf_printf(&plan->lost, plan->is_json ? "" : "  ");
        json_put_string(&plan->lost, sandbox->id);
        buf_printf(&plan->lost, plan->is_json ? "" : "\n");
    }
    return buf_error(&plan->lost);
}

static struct bytes name_of(const struct plan *plan, uint64_t id)
{
    const struct directory *directories[] = {&plan->newest->machine.directory,
                                             &plan->newest->card.directory};

    for (size_t i = 0; i < 2; i++) {
        const struct directory_entry *entry =
            directory_find(directories[i], id);

        if (entry != NULL) {
            return bytes_of_string(entry->name);
        }
    }
    return bytes_of_string("(not named yet)");
}

static bool is_here(const struct plan *plan, uint64_t id)
{
    for (size_t i = 0; i < plan->recover->count; i++) {
        if (plan->recover->survivors[i].card.id == id) {
            return true;
        }
    }
    return false;
}

/* --- For people ----------------------------------------------------------- */

static void put_voters(const struct plan *plan, struct buf *text)
{
    const struct raft_membership *membership = &plan->newest->membership;

    buf_printf(text, "cluster  %016" PRIx64 "\nvoters   %" PRIu32 "%s\n",
               plan->newest->card.cluster, membership->voter_count,
               membership_is_joint(membership) ? ", in the middle of a change"
                                               : "");
    for (uint32_t i = 0; i < membership->voter_count; i++) {
        struct bytes name = name_of(plan, membership->voters[i]);

        buf_printf(text, "  %.*s%s\n", (int)name.size, (const char *)name.data,
                   is_here(plan, membership->voters[i]) ? "" : "  not here");
    }
}

static void put_survivors(const struct plan *plan, struct buf *text)
{
    struct columns columns;
    char cell[CELL_SIZE_MAX];

    columns_init(&columns, SURVIVOR_COLUMNS);
    columns_put(&columns, "DIRECTORY");
    columns_put(&columns, "MEMBER");
    columns_put(&columns, "POSITION");
    columns_put(&columns, "TERM");
    columns_put(&columns, "COMMITTED");
    for (size_t i = 0; i < plan->recover->count; i++) {
        const struct survivor *survivor = &plan->recover->survivors[i];

        columns_put(&columns, survivor->dir);
        columns_put(&columns, survivor->card.name);
        (void)snprintf(cell, sizeof(cell), "%" PRIu64 ":%" PRIu64,
                       survivor->last_term, survivor->last_index);
        columns_put(&columns, cell);
        (void)snprintf(cell, sizeof(cell), "%" PRIu64, survivor->term);
        columns_put(&columns, cell);
        (void)snprintf(cell, sizeof(cell), "%" PRIu64,
                       survivor->snapshot_index);
        columns_put(&columns, survivor->snapshot_index == 0 ? "-" : cell);
    }
    columns_print(&columns, text);
    columns_close(&columns);
}

static void put_losses(const struct plan *plan, struct buf *text)
{
    const struct survivor *newest = plan->newest;

    buf_printf(
        text,
        "\nThe most advanced here is %s. Entries behind %" PRIu64 ":%" PRIu64
        " that only\nthe lost members had are lost, if there were any; those "
        "up to there count from\nnow on, also such as were never acknowledged."
        "\n\nsandboxes                    %" PRIu32
        "\n  state here                 %" PRIu64
        "\n  state here, maybe older    %" PRIu64
        "\n  nothing saved here         %" PRIu64
        "\n  state lost                 %" PRIu64 "\n",
        newest->dir, newest->last_term, newest->last_index,
        (uint32_t)newest->machine.registry.sandboxes.count,
        plan->counts[RECOVER_KEPT], plan->counts[RECOVER_BEHIND],
        plan->counts[RECOVER_NONE], plan->counts[RECOVER_LOST]);
    if (plan->lost_shown > 0) {
        buf_printf(text, "\nwithout any state (to be failed, `state_lost`):\n");
        buf_put_bytes(text, buf_bytes(&plan->lost));
    }
    buf_printf(
        text,
        "\nNobody can see from here whether the other voters are really lost: "
        "if a\nmajority of them can still be started, start them instead. "
        "Compare the\npositions of all survivors on all hosts; then, for the "
        "most advanced one:\n\n  quorate recover apply %s --cluster %016" PRIx64
        " \\\n      --position %" PRIu64 ":%" PRIu64 "\n",
        newest->dir, newest->card.cluster, newest->last_term,
        newest->last_index);
}

/* --- For programs --------------------------------------------------------- */

static void put_json(const struct plan *plan, struct buf *text)
{
    const struct survivor *newest = plan->newest;
    const struct raft_membership *membership = &newest->membership;

    buf_printf(text,
               "{\"schema\":\"quorate.recover/1\",\"cluster\":\"%016" PRIx64
               "\",\"voters\":[",
               newest->card.cluster);
    for (uint32_t i = 0; i < membership->voter_count; i++) {
        buf_printf(text, "%s{\"name\":", i > 0 ? "," : "");
        json_put_string(text, name_of(plan, membership->voters[i]));
        buf_printf(text, ",\"here\":%s}",
                   is_here(plan, membership->voters[i]) ? "true" : "false");
    }
    buf_printf(text, "],\"survivors\":[");
    for (size_t i = 0; i < plan->recover->count; i++) {
        const struct survivor *survivor = &plan->recover->survivors[i];

        buf_printf(text, "%s{\"directory\":", i > 0 ? "," : "");
        json_put_string(text, bytes_of_string(survivor->dir));
        buf_printf(text, ",\"member\":");
        json_put_string(text, bytes_of_string(survivor->card.name));
        buf_printf(text,
                   ",\"last_term\":%" PRIu64 ",\"last_index\":%" PRIu64
                   ",\"term\":%" PRIu64 ",\"committed\":%" PRIu64 "}",
                   survivor->last_term, survivor->last_index, survivor->term,
                   survivor->snapshot_index);
    }
    buf_printf(text, "],\"most_advanced\":");
    json_put_string(text, bytes_of_string(newest->dir));
    buf_printf(text,
               ",\"sandboxes\":%" PRIu32 ",\"kept\":%" PRIu64
               ",\"maybe_older\":%" PRIu64 ",\"nothing_saved\":%" PRIu64
               ",\"lost\":%" PRIu64 ",\"lost_ids\":[%.*s]}\n",
               (uint32_t)newest->machine.registry.sandboxes.count,
               plan->counts[RECOVER_KEPT], plan->counts[RECOVER_BEHIND],
               plan->counts[RECOVER_NONE], plan->counts[RECOVER_LOST],
               (int)plan->lost.size, (const char *)plan->lost.data);
}

int recover_show(struct recover *recover, enum options_output form,
                 struct buf *error)
{
    struct plan plan = {.recover = recover,
                        .newest = &recover->survivors[recover->newest],
                        .is_json = form == OPTIONS_JSON};
    struct buf text;
    int rv;

    buf_init(&plan.lost, LOST_SIZE_MAX);
    buf_init(&text, TEXT_SIZE_MAX);
    rv = look_at_states(&plan);
    if (rv != 0) {
        buf_printf(error, "the states cannot be read: %s", err_text(rv));
    } else if (plan.is_json) {
        put_json(&plan, &text);
    } else {
        put_voters(&plan, &text);
        buf_put_u8(&text, '\n');
        put_survivors(&plan, &text);
        put_losses(&plan, &text);
    }
    rv = rv != 0 ? rv : buf_error(&text);
    if (rv == 0 && (fwrite(text.data, 1, text.size, stdout) != text.size ||
                    fflush(stdout) != 0)) {
        rv = ERR_IO;
    }
    buf_close(&plan.lost);
    buf_close(&text);
    return rv;
}
