/* SPDX-License-Identifier: Apache-2.0
 * Makes one survivor a cluster of its own, in steps that can be done again:
 *
 *   copy of what is replaced ──> file `recovery` ──> states of the others
 *   ──> the log's new end ──> `recovery` becomes `identity`
 *
 * Until the file is there all is as it was; from then on a member refuses to
 * start, until the last step, after which the directory is the new cluster's.
 */
#include "base/err.h"
#include "cli/recover.h"
#include "config/value.h"
#include "raft/membership.h"
#include "registry/copies.h"
#include "store/wal_segment.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_SIZE_MAX = SETTINGS_PATH_SIZE_MAX + 64, /* bytes */
    COPY_SIZE_MAX = 256 * 1024 * 1024,           /* of one file */
};

/* --- Whether it may be ---------------------------------------------------- */

static int check_cluster(const struct survivor *survivor, const char *typed,
                         struct buf *error)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "%016" PRIx64, survivor->card.cluster);
    if (strcmp(name, typed) != 0) {
        buf_printf(error,
                   "--cluster %s is not the cluster of %s; give the one that "
                   "`quorate recover plan` shows",
                   typed, survivor->dir);
        return ERR_BADARG;
    }
    return 0;
}

/* TERM:INDEX */
static bool parse_position(const char *text, struct survivor *ret_position)
{
    const char *colon = strchr(text, ':');
    struct buf ignored;
    bool is_good;

    if (colon == NULL) {
        return false;
    }
    buf_init(&ignored, SETTINGS_ERROR_SIZE_MAX);
    is_good = value_number(bytes_of(text, (size_t)(colon - text)), 0, INT64_MAX,
                           &ret_position->last_term, &ignored) == 0 &&
              value_number(bytes_of_string(colon + 1), 0, INT64_MAX,
                           &ret_position->last_index, &ignored) == 0;
    buf_close(&ignored);
    return is_good;
}

static int check_position(const struct recover *recover,
                          const struct options_local *local, struct buf *error)
{
    static struct survivor elsewhere;
    const struct survivor *target = &recover->survivors[0];
    const struct survivor *newest = &recover->survivors[recover->newest];

    if (local->behind) {
        return 0;
    }
    if (survivor_compare(target, newest) < 0) {
        buf_printf(error,
                   "%s lacks entries that %s has; give that one first, or "
                   "--behind if they are to be lost",
                   target->dir, newest->dir);
        return ERR_FORBIDDEN;
    }
    if (local->position == NULL) {
        return 0;
    }
    if (!parse_position(local->position, &elsewhere)) {
        buf_printf(error,
                   "--position %s is none; give TERM:INDEX as `quorate "
                   "recover plan` shows it",
                   local->position);
        return ERR_BADARG;
    }
    if (survivor_compare(target, &elsewhere) < 0) {
        buf_printf(error,
                   "%s is at %" PRIu64 ":%" PRIu64 " and lacks entries up to "
                   "%s; recover the member that has them, or give --behind if "
                   "they are to be lost",
                   target->dir, target->last_term, target->last_index,
                   local->position);
        return ERR_FORBIDDEN;
    }
    return 0;
}

/* --- The copy ------------------------------------------------------------- */

static int copy_file(const char *from_dir, const char *to_dir, const char *name)
{
    char path[PATH_SIZE_MAX];
    struct buf content;
    int rv;

    buf_init(&content, COPY_SIZE_MAX);
    (void)snprintf(path, sizeof(path), "%s/%s", from_dir, name);
    rv = sys_read_file(path, COPY_SIZE_MAX, &content);
    if (rv == 0) {
        (void)snprintf(path, sizeof(path), "%s/%s", to_dir, name);
        rv = sys_write_file(path, buf_bytes(&content));
    }
    buf_close(&content);
    return rv;
}

/* The newest segment is the only one that is written to. */
static int find_newest_segment(const char *dir, uint64_t *ret_number)
{
    DIR *stream = opendir(dir);
    const struct dirent *entry;

    if (stream == NULL) {
        return ERR_IO;
    }
    *ret_number = 0;
    while ((entry = readdir(stream)) != NULL) {
        uint64_t number = wal_segment_number(entry->d_name);

        *ret_number = number > *ret_number ? number : *ret_number;
    }
    (void)closedir(stream); /* only read from */
    return 0;
}

static int keep_copies(const struct survivor *survivor, struct buf *error)
{
    char name[WAL_SEGMENT_NAME_SIZE];
    char to[PATH_SIZE_MAX];
    uint64_t number = 0;
    int rv;

    (void)snprintf(to, sizeof(to), "%s/before-%016" PRIx64, survivor->dir,
                   survivor->next.cluster);
    rv = sys_make_dirs(to);
    if (rv == 0) {
        rv = copy_file(survivor->dir, to, "identity");
    }
    if (rv == 0) {
        rv = copy_file(survivor->dir, to, "log");
    }
    if (rv == 0) {
        rv = find_newest_segment(survivor->dir, &number);
    }
    /* The one in front of it, too: the newest may not have begun. */
    for (uint64_t i = number > 1 ? number - 1 : 1; rv == 0 && i <= number;
         i++) {
        wal_segment_name(i, name);
        rv = copy_file(survivor->dir, to, name);
        rv = rv == ERR_NOT_FOUND ? 0 : rv;
    }
    if (rv != 0) {
        buf_printf(error, "cannot keep a copy in %s: %s", to, err_text(rv));
    }
    return rv;
}

/* --- The steps ------------------------------------------------------------ */

static void path_of(const struct survivor *survivor, const char *name,
                    char ret_path[PATH_SIZE_MAX])
{
    (void)snprintf(ret_path, PATH_SIZE_MAX, "%s/%s", survivor->dir, name);
}

/* The log gets two entries: who votes, and what becomes of all else. */
static uint64_t recovery_index(const struct survivor *survivor)
{
    return survivor->last_index + 2;
}

static void make_card(struct survivor *survivor)
{
    struct card *next = &survivor->next;
    struct directory_entry self;
    int rv;

    *next = survivor->card;
    do {
        sys_random(&next->cluster, sizeof(next->cluster));
    } while (next->cluster == 0);
    next->directory.count = 0;
    next->directory.index =
        command_epoch(&survivor->machine, recovery_index(survivor));
    rv = directory_entry_init(&self, next->id, next->instance,
                              bytes_of_string(next->name),
                              bytes_of_string(next->address));
    rv = rv == 0 ? directory_put(&next->directory, &self) : rv;
    if (rv != 0) {
        next->directory.count = 0; /* a member always knows itself */
    }
}

static int begin(struct survivor *survivor, struct buf *error)
{
    char path[PATH_SIZE_MAX];
    struct buf text;
    int rv;

    make_card(survivor);
    rv = keep_copies(survivor, error);
    if (rv != 0) {
        return rv;
    }
    path_of(survivor, CARD_RECOVERY_FILE, path);
    buf_init(&text, CARD_SIZE_MAX);
    card_print(&text, &survivor->next);
    rv = buf_error(&text);
    if (rv == 0) {
        rv = sys_write_file(path, buf_bytes(&text));
    }
    buf_close(&text);
    if (rv != 0) {
        buf_printf(error, "cannot write %s: %s", path, err_text(rv));
    }
    return rv;
}

/* Copies that others have take the place of older ones here, under a version
 * above all that the lost ones may have written, and below all to come. */
static int take_state(struct recover *recover, const struct sandbox *sandbox)
{
    struct survivor *target = &recover->survivors[0];
    struct survivor_state state;
    const struct survivor *holder;
    enum recover_find find;
    int rv = recover_look(recover, sandbox, &find, &state, &holder);

    if (rv != 0) {
        return rv;
    }
    if (holder != NULL && holder != target) {
        state.stamp = (struct state_stamp){
            .version = {.epoch = command_epoch(&target->machine,
                                               recovery_index(target)) +
                                 COMMAND_EPOCH_JUMP,
                        .seq = 1}};
        rv = survivor_put_state(target, sandbox, &state);
    }
    buf_close(&state.bytes);
    return rv;
}

/* A conflict copy is stored as the state of a sandbox would be. */
static int take_copies(struct recover *recover, struct buf *error)
{
    LIST_FOREACH (link, &recover->survivors[0].machine.registry.copies) {
        const struct copy *copy = LIST_ENTRY(link, struct copy, link);
        uint8_t key[REGISTRY_COPY_KEY_SIZE];
        const struct sandbox stored = {.id = bytes_of(key, sizeof(key)),
                                       .birth = copy->number,
                                       .epoch = copy->number,
                                       .replicas = copy->replicas,
                                       .replica_count = copy->replica_count};
        int rv;

        registry_copy_key(copy->number, key);
        rv = take_state(recover, &stored);
        if (rv != 0) {
            buf_printf(error, "conflict copy %" PRIu64 ": %s", copy->number,
                       err_text(rv));
            return rv;
        }
    }
    return 0;
}

static int take_states(struct recover *recover, struct buf *error)
{
    const struct map *sandboxes =
        &recover->survivors[0].machine.registry.sandboxes;
    const struct sandbox *sandbox;
    size_t position = 0;

    while ((sandbox = map_next(sandboxes, &position)) != NULL) {
        int rv = take_state(recover, sandbox);

        if (rv != 0) {
            buf_printf(error, "the state of sandbox %.*s: %s",
                       (int)sandbox->id.size, (const char *)sandbox->id.data,
                       err_text(rv));
            return rv;
        }
    }
    return take_copies(recover, error);
}

/* As one record, which is there or not. */
static int append(struct survivor *target, struct bytes config,
                  struct bytes batch)
{
    uint64_t term = target->term + COMMAND_EPOCH_JUMP;
    const struct raft_entry entries[] = {{.index = target->last_index + 1,
                                          .term = term,
                                          .type = RAFT_ENTRY_CONFIG,
                                          .data = config},
                                         {.index = recovery_index(target),
                                          .term = term,
                                          .type = RAFT_ENTRY_COMMAND,
                                          .data = batch}};
    struct raft_persist persist = {
        .seq = 1, .term = term, .entries = entries, .entry_count = 2};

    if (target->is_log_reset) {
        persist.is_log_reset = true;
        persist.base_index = target->last_index;
        persist.base_term = target->last_term;
    }

    return survivor_append(target, &persist);
}

static int write_log(struct recover *recover)
{
    struct survivor *target = &recover->survivors[0];
    const struct raft_membership alone = {.voters = {target->card.id},
                                          .voter_count = 1};
    struct command command = {.type = COMMAND_RECOVER,
                              .member = target->card.id,
                              .epoch = COMMAND_EPOCH_JUMP,
                              .instance = target->next.cluster};
    uint8_t config[MEMBERSHIP_SIZE_MAX];
    struct buf batch;
    int rv;

    for (size_t i = 0; i < recover->count; i++) {
        command.replicas[i] = recover->survivors[i].card.id;
        command.replica_count++;
    }
    buf_init(&batch, RAFT_PROPOSAL_SIZE_MAX);
    command_encode(&batch, &command);
    rv = buf_error(&batch);
    if (rv == 0) {
        rv = append(target, bytes_of(config, membership_encode(&alone, config)),
                    buf_bytes(&batch));
    }
    buf_close(&batch);
    return rv;
}

static int finish(const struct survivor *survivor)
{
    char from[PATH_SIZE_MAX];
    char to[PATH_SIZE_MAX];

    path_of(survivor, CARD_RECOVERY_FILE, from);
    path_of(survivor, "identity", to);
    return rename(from, to) == 0 ? sys_sync_dir(survivor->dir) : ERR_IO;
}

int recover_apply(struct recover *recover, const struct options_local *local,
                  struct buf *error)
{
    struct survivor *target = &recover->survivors[0];
    int rv = check_cluster(target, local->cluster, error);

    if (rv == 0) {
        rv = check_position(recover, local, error);
    }
    if (rv == 0 && target->next.id == 0) {
        rv = begin(target, error);
    }
    if (rv == 0 && !target->is_recovered) {
        rv = take_states(recover, error);
        rv = rv == 0 ? write_log(recover) : rv;
    }
    if (rv == 0) {
        rv = finish(target);
    }
    if (rv != 0) {
        return rv;
    }
    (void)printf("%s is now cluster %016" PRIx64 ", with %s as its only "
                 "member; what was replaced is in %s/before-%016" PRIx64
                 "\nstart it, then add others that begin with an empty data "
                 "directory and --join\n",
                 target->dir, target->next.cluster, target->card.name,
                 target->dir, target->next.cluster);
    return 0;
}
