/* SPDX-License-Identifier: Apache-2.0
 * `quorate recover`: most voters are lost for good, and one of those that are
 * left is to go on without them. */
#include "cli/recover.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "cli/local.h"
#include "raft/membership.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- What is left --------------------------------------------------------- */

static int check_together(const struct recover *recover,
                          const struct survivor *added, struct buf *error)
{
    const struct survivor *first = &recover->survivors[0];

    for (size_t i = 0; i < recover->count; i++) {
        if (recover->survivors[i].card.id == added->card.id) {
            buf_printf(error, "%s and %s are of the same member, %s",
                       recover->survivors[i].dir, added->dir, added->card.name);
            return ERR_BADARG;
        }
    }
    if (recover->count > 0 && first->card.cluster != added->card.cluster) {
        buf_printf(error, "%s and %s are of different clusters", first->dir,
                   added->dir);
        return ERR_BADARG;
    }
    return 0;
}

static void count_left(struct recover *recover)
{
    const struct raft_membership *membership =
        &recover->survivors[recover->newest].membership;

    for (size_t i = 0; i < recover->count; i++) {
        uint32_t roles =
            membership_roles(membership, recover->survivors[i].card.id);

        recover->left += (roles & ROLE_VOTER) != 0;
        recover->left_old += (roles & ROLE_VOTER_OLD) != 0;
    }
}

/* Before it is opened, and found in use by ourselves. */
static int check_words(const struct options_local *local, struct buf *error)
{
    for (size_t i = 1; i < local->word_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(local->words[i], local->words[j]) == 0) {
                buf_printf(error, "%s is given twice", local->words[i]);
                return ERR_BADARG;
            }
        }
    }
    return 0;
}

int recover_open(struct recover *recover, const struct options *options,
                 struct buf *error)
{
    int rv = check_words(&options->local, error);

    for (size_t i = 0; rv == 0 && i < options->local.word_count; i++) {
        struct survivor *added = &recover->survivors[i];

        rv = survivor_open(added, options->local.words[i], error);

        if (rv == 0) {
            rv = check_together(recover, added, error);
        }
        recover->count++;
        if (rv == 0 &&
            survivor_compare(added, &recover->survivors[recover->newest]) > 0) {
            recover->newest = i;
        }
    }
    if (rv == 0) {
        count_left(recover);
    }
    return rv;
}

void recover_close(struct recover *recover)
{
    for (size_t i = 0; i < recover->count; i++) {
        survivor_close(&recover->survivors[i]);
    }
}

bool recover_has_quorum(const struct recover *recover)
{
    const struct raft_membership *membership =
        &recover->survivors[recover->newest].membership;

    return recover->left > membership->voter_count / 2 &&
           (membership->voter_old_count == 0 ||
            recover->left_old > membership->voter_old_count / 2);
}

/* --- States --------------------------------------------------------------- */

static bool is_replica(const struct sandbox *sandbox, uint64_t id)
{
    for (uint32_t i = 0; i < sandbox->replica_count; i++) {
        if (sandbox->replicas[i] == id) {
            return true;
        }
    }
    return false;
}

static enum recover_find judge(const struct sandbox *sandbox, uint32_t asked,
                               bool has_copy)
{
    uint32_t lost = sandbox->replica_count - asked;

    if (sandbox->replica_count > 0 && asked == 0) {
        return RECOVER_LOST;
    }
    if (!has_copy) {
        return RECOVER_NONE;
    }
    return lost > sandbox->replica_count / 2U ? RECOVER_BEHIND : RECOVER_KEPT;
}

int recover_look(struct recover *recover, const struct sandbox *sandbox,
                 enum recover_find *ret_find, struct survivor_state *ret_state,
                 const struct survivor **ret_holder)
{
    struct survivor_state best = {.has_version = false};
    uint32_t asked = 0;

    buf_init(&best.bytes, 0);
    *ret_holder = NULL;
    for (size_t i = 0; i < recover->count; i++) {
        struct survivor *survivor = &recover->survivors[i];
        struct survivor_state state;
        int rv;

        if (!is_replica(sandbox, survivor->card.id)) {
            continue;
        }
        asked++;
        rv = survivor_state(survivor, sandbox, &state);
        if (rv != 0) {
            buf_close(&state.bytes);
            buf_close(&best.bytes);
            return rv;
        }
        if (state.has_version &&
            (!best.has_version ||
             state_stamp_compare(state.stamp, best.stamp) > 0)) {
            buf_close(&best.bytes);
            best = state;
            *ret_holder = survivor;
        } else {
            buf_close(&state.bytes);
        }
    }
    *ret_find = judge(sandbox, asked, best.has_version);
    *ret_state = best;
    return 0;
}

/* --- The commands --------------------------------------------------------- */

static int run(struct recover *recover, const struct options *options,
               struct buf *error)
{
    int rv = recover_open(recover, options, error);

    if (rv != 0) {
        return rv;
    }
    /* A recovery that was begun is finished. */
    if (recover->survivors[0].next.id == 0 && recover_has_quorum(recover)) {
        buf_printf(error,
                   "these %" PRIu32 " of %" PRIu32
                   " voters are a majority, and "
                   "nothing is to be recovered; start them",
                   recover->left,
                   recover->survivors[recover->newest].membership.voter_count);
        return ERR_FORBIDDEN;
    }
    return options->command == OPTIONS_RECOVER_PLAN
               ? recover_show(recover, options->output, error)
               : recover_apply(recover, &options->local, error);
}

int recover_run(const struct options *options)
{
    struct recover *recover = mem_alloc(sizeof(*recover));
    struct buf error;
    int rv;

    if (recover == NULL) {
        return CLI_EXIT_SOFTWARE;
    }
    ensure(options->local.word_count <= RECOVER_DIRS_MAX);
    buf_init(&error, SETTINGS_ERROR_SIZE_MAX);
    rv = run(recover, options, &error);
    recover_close(recover);
    mem_free(recover);
    if (rv != 0 && error.size == 0) {
        buf_printf(&error, "%s", err_text(rv));
    }
    if (rv != 0) {
        (void)fprintf(stderr, "quorate: %.*s\n", (int)error.size,
                      (const char *)error.data);
    }
    buf_close(&error);
    return rv == ERR_CORRUPT || rv == ERR_UNSUPPORTED ? CLI_EXIT_DATAERR
                                                      : local_exit_code(rv);
}
