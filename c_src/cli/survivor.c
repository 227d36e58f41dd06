/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/survivor.h"

#include "base/ensure.h"
#include "base/err.h"
#include "cluster/members.h"
#include "command/command_restore.h"
#include "config/settings.h"
#include "raft/membership.h"
#include "store/snapshot_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* --- Who it is ------------------------------------------------------------ */

static int read_card(const char *dir, const char *file, struct card *ret_card,
                     struct buf *error)
{
    struct buf path;
    struct buf text;
    int rv;

    buf_init(&path, SETTINGS_PATH_SIZE_MAX + 16);
    buf_init(&text, CARD_SIZE_MAX);
    buf_printf(&path, "%s/%s", dir, file);
    buf_put_u8(&path, 0);
    rv = buf_error(&path);
    if (rv == 0) {
        rv = sys_read_file((const char *)path.data, CARD_SIZE_MAX, &text);
    }
    if (rv == 0) {
        rv = card_parse(buf_bytes(&text), ret_card);
    }
    if (rv != 0 && rv != ERR_NOT_FOUND) {
        buf_printf(error, "%s/%s: %s", dir, file, err_text(rv));
    }
    buf_close(&path);
    buf_close(&text);
    return rv == ERR_MALFORMED ? ERR_CORRUPT : rv;
}

static int read_cards(struct survivor *survivor, struct buf *error)
{
    int rv = read_card(survivor->dir, "identity", &survivor->card, error);

    if (rv == ERR_NOT_FOUND) {
        buf_printf(error,
                   "there is no file identity in %s; give the data directory "
                   "of a member",
                   survivor->dir);
        return rv;
    }
    if (rv == 0) {
        rv = read_card(survivor->dir, CARD_RECOVERY_FILE, &survivor->next,
                       error);
    }
    return rv == ERR_NOT_FOUND ? 0 : rv;
}

/* Until the log says otherwise. */
static void first_voters(struct survivor *survivor)
{
    const struct card *card = &survivor->card;

    for (uint32_t i = 0; i < card->voter_count; i++) {
        survivor->membership.voters[i] =
            members_id_of(bytes_of_string(card->voters[i]));
    }
    survivor->membership.voter_count = card->voter_count;
}

/* --- Its log -------------------------------------------------------------- */

static int restore_chunks(struct snapshot_reader *reader,
                          struct command_restore *restore)
{
    struct bytes data;
    int rv = 0;

    while (rv == 0) {
        rv = snapshot_reader_next(reader, &data);
        if (rv == 0) {
            rv = command_restore_feed(restore, data);
        }
    }
    return rv == ERR_NOT_FOUND ? command_restore_finish(restore) : rv;
}

static int restore_snapshot(struct survivor *survivor,
                            struct snapshot_reader *reader)
{
    const struct snapshot_meta *meta = &reader->meta;
    struct command_restore restore;
    int rv;

    /* It makes the machine anew. */
    command_machine_close(&survivor->machine);
    command_restore_begin(&restore, &survivor->machine, 0);
    rv = restore_chunks(reader, &restore);
    command_restore_close(&restore);
    if (rv == 0) {
        rv = membership_decode(
            bytes_of(meta->configuration, meta->configuration_size),
            &survivor->membership);
    }
    survivor->last_index = meta->index;
    survivor->last_term = meta->term;
    return rv == ERR_MALFORMED || rv == ERR_TRUNCATED ? ERR_CORRUPT : rv;
}

static int read_snapshot(struct survivor *survivor, struct buf *error)
{
    struct snapshot_reader reader;
    int dir_fd;
    int rv =
        snapshot_newest(survivor->dir, UINT64_MAX, &survivor->snapshot_index);

    if (rv != 0 || survivor->snapshot_index == 0) {
        return rv;
    }
    dir_fd = open(survivor->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        return ERR_IO;
    }
    snapshot_reader_init(&reader);
    rv = snapshot_reader_open(&reader, dir_fd, survivor->dir,
                              survivor->snapshot_index, error);
    if (rv == 0) {
        rv = restore_snapshot(survivor, &reader);
        if (rv == ERR_CORRUPT) {
            snapshot_reader_tell(&reader, survivor->dir, error);
        }
    }
    snapshot_reader_close(&reader);
    (void)close(dir_fd); /* only read from */
    return rv;
}

static int apply_commands(struct survivor *survivor,
                          const struct raft_entry *entry)
{
    struct cursor batch = cursor_of(entry->data);
    struct command command;
    struct command_result result;
    int rv;

    while ((rv = command_decode(&batch, &command)) == 0) {
        rv = command_apply(&survivor->machine, entry->index, &command, &result);
        if (rv != 0) {
            return rv;
        }
        survivor->is_recovered |= command.type == COMMAND_RECOVER &&
                                  survivor->next.id != 0 &&
                                  command.instance == survivor->next.cluster;
    }
    return rv == ERR_NOT_FOUND ? 0 : ERR_UNSUPPORTED;
}

static int apply_entry(struct survivor *survivor,
                       const struct raft_entry *entry)
{
    int rv = 0;

    switch (entry->type) {
    case RAFT_ENTRY_NOOP:
        break;
    case RAFT_ENTRY_COMMAND:
        rv = apply_commands(survivor, entry);
        break;
    case RAFT_ENTRY_CONFIG:
        rv = membership_decode(entry->data, &survivor->membership) == 0
                 ? 0
                 : ERR_UNSUPPORTED;
        break;
    }
    survivor->machine.applied_index = entry->index;
    survivor->last_index = entry->index;
    survivor->last_term = entry->term;
    return rv;
}

static void wal_done(void *arg, uint64_t seq, int status)
{
    struct survivor *survivor = (struct survivor *)arg;

    (void)seq;
    atomic_store(&survivor->wal_status, status);
    (void)sem_post(&survivor->ready); /* a wait follows each write */
}

/* Whether the entries go on where the snapshot ends, as raft/start.c has it: if
 * not, it came from a leader, and they were to give way to it. */
static bool is_continued(const struct survivor *survivor,
                         const struct wal_recovery *recovery)
{
    uint64_t index = survivor->snapshot_index;
    uint64_t first;

    if (index == 0) {
        return true;
    }
    if (recovery->entry_count == 0) {
        return false;
    }
    first = recovery->entries[0].index;
    if (first == index + 1) {
        return recovery->entries[0].term >= survivor->last_term;
    }
    return first <= index && index - first < recovery->entry_count &&
           recovery->entries[index - first].term == survivor->last_term;
}

static int read_log(struct survivor *survivor, struct buf *error)
{
    struct wal_config config = {.dir = survivor->dir,
                                .is_begun = true,
                                .covered_index = survivor->snapshot_index,
                                .done = wal_done,
                                .arg = survivor};
    struct wal_recovery recovery = {0};
    int rv = wal_open(&config, &recovery, error, &survivor->wal);

    if (rv != 0) {
        return rv;
    }
    survivor->is_log_reset = !is_continued(survivor, &recovery);
    for (size_t i = 0;
         rv == 0 && !survivor->is_log_reset && i < recovery.entry_count; i++) {
        if (recovery.entries[i].index > survivor->last_index) {
            rv = apply_entry(survivor, &recovery.entries[i]);
        }
    }
    survivor->term = recovery.term > survivor->last_term ? recovery.term
                                                         : survivor->last_term;
    wal_recovery_close(&recovery);
    if (rv == ERR_UNSUPPORTED) {
        buf_printf(error,
                   "%s: entry %llu is not of a form that this release knows; "
                   "use the release that wrote it",
                   survivor->dir, (unsigned long long)survivor->last_index);
    }
    return rv;
}

int survivor_append(struct survivor *survivor,
                    const struct raft_persist *persist)
{
    int rv = wal_submit(survivor->wal, persist);

    if (rv == 0) {
        while (sem_wait(&survivor->ready) != 0) {
        }
        rv = atomic_load(&survivor->wal_status);
    }
    return rv;
}

int survivor_compare(const struct survivor *a, const struct survivor *b)
{
    if (a->last_term != b->last_term) {
        return a->last_term < b->last_term ? -1 : 1;
    }
    return (a->last_index > b->last_index) - (a->last_index < b->last_index);
}

/* --- Its states ----------------------------------------------------------- */

static void store_ready(void *arg)
{
    struct survivor *survivor = (struct survivor *)arg;

    (void)sem_post(&survivor->ready); /* a wait follows each request */
}

static int open_store(struct survivor *survivor, struct buf *error)
{
    static struct settings settings;
    struct state_db_config config = {
        .dir = survivor->dir, .ready = store_ready, .ready_arg = survivor};
    int rv = state_db_require(survivor->dir, error);

    if (rv == 0) {
        settings_init(&settings);
        config.map_size = settings.state_map_size;
        rv = state_db_open(&config, error, &survivor->db);
    }
    return rv;
}

/* One request, and its answer in `answer`. */
static int ask(struct survivor *survivor, const struct state_message *request,
               struct buf *answer, struct state_message *ret_answer)
{
    struct buf message;
    uint64_t to;
    int rv;

    buf_init(&message, STATE_MESSAGE_SIZE_MAX);
    rv = state_message_encode(request, &message);
    if (rv == 0) {
        rv = state_db_submit(survivor->db, survivor->card.id,
                             buf_bytes(&message));
    }
    buf_close(&message);
    if (rv != 0) {
        return rv;
    }
    while (sem_wait(&survivor->ready) != 0) {
    }
    rv = state_db_take(survivor->db, &to, answer);
    ensure(rv == 0);
    rv = state_message_decode(buf_bytes(answer), ret_answer);
    if (rv == 0 && (ret_answer->status == STATE_STATUS_CORRUPT ||
                    !state_message_is_intact(ret_answer))) {
        rv = ERR_CORRUPT;
    } else if (rv == 0 && ret_answer->status == STATE_STATUS_NO_SPACE) {
        rv = ERR_NO_SPACE;
    } else if (rv == 0 && ret_answer->status != STATE_STATUS_OK) {
        rv = ERR_IO;
    }
    return rv;
}

int survivor_state(struct survivor *survivor, const struct sandbox *sandbox,
                   struct survivor_state *ret_state)
{
    const struct state_message request = {.kind = STATE_KIND_READ,
                                          .ticket = 1,
                                          .birth = sandbox->birth,
                                          .id = sandbox->id};
    struct state_message answer;
    int rv;

    *ret_state = (struct survivor_state){.has_version = false};
    buf_init(&ret_state->bytes, STATE_MESSAGE_SIZE_MAX);
    rv = ask(survivor, &request, &ret_state->bytes, &answer);
    if (rv == 0) {
        ret_state->has_version = answer.has_version;
        ret_state->has_value = answer.has_value;
        ret_state->stamp = answer.stamp;
        ret_state->value = answer.value;
        ret_state->crc = answer.crc;
    }
    return rv;
}

int survivor_put_state(struct survivor *survivor, const struct sandbox *sandbox,
                       const struct survivor_state *state)
{
    const struct state_message request = {.kind = STATE_KIND_WRITE,
                                          .ticket = 1,
                                          .birth = sandbox->birth,
                                          .stamp = state->stamp,
                                          .has_version = true,
                                          .has_value = state->has_value,
                                          .crc = state->crc,
                                          .id = sandbox->id,
                                          .value = state->value};
    struct state_message answer;
    struct buf bytes;
    int rv;

    buf_init(&bytes, STATE_MESSAGE_SIZE_MAX);
    rv = ask(survivor, &request, &bytes, &answer);
    buf_close(&bytes);
    return rv;
}

/* --- All of it ------------------------------------------------------------ */

static int open_locked(struct survivor *survivor, struct buf *error)
{
    int rv = read_snapshot(survivor, error);

    if (rv == 0) {
        rv = read_log(survivor, error);
    }
    if (rv == 0) {
        rv = open_store(survivor, error);
    }
    if (rv == 0 && survivor->membership.voter_count == 0) {
        buf_printf(error,
                   "%s waited to be added to a cluster and knows nothing of it",
                   survivor->dir);
        rv = ERR_BADARG;
    }
    return rv;
}

int survivor_open(struct survivor *survivor, const char *dir, struct buf *error)
{
    int rv;

    *survivor = (struct survivor){.dir = dir, .lock = {.fd = -1}};
    command_machine_init(&survivor->machine, 0, NULL, NULL);
    ensure(sem_init(&survivor->ready, 0, 0) == 0);
    /* Locking makes a directory that is not there. */
    rv = read_cards(survivor, error);
    if (rv == 0) {
        rv = sys_lock_dir(dir, &survivor->lock, error);
    }
    if (rv == 0) {
        first_voters(survivor);
        rv = open_locked(survivor, error);
    }
    if (rv != 0 && error->size == 0) {
        buf_printf(error, "cannot read %s: %s", dir, err_text(rv));
    }
    return rv;
}

void survivor_close(struct survivor *survivor)
{
    state_db_close(survivor->db);
    wal_close(survivor->wal);
    command_machine_close(&survivor->machine);
    sys_unlock_dir(&survivor->lock);
    (void)sem_destroy(&survivor->ready); /* nobody waits */
}
