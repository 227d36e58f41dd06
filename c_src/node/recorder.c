/* SPDX-License-Identifier: Apache-2.0 */
#include "node/recorder.h"

#include "base/err.h"
#include "node/agents.h"
#include "node/requests.h"
#include "node/version.h"
#include "registry/copies.h"
#include "store/journal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SIZE_MIN = 1024 * 1024, REASON_SIZE_MAX = 128 };

static const char *dir_of(const struct settings *settings)
{
    return settings->ownership_journal_dir[0] != '\0'
               ? settings->ownership_journal_dir
               : settings->data_dir;
}

int recorder_lock(struct node *node, struct buf *error)
{
    const struct settings *settings = node->settings;
    const char *dir = dir_of(settings);
    int rv;

    if (settings->ownership_journal_size == 0 ||
        strcmp(dir, settings->data_dir) == 0) {
        return 0;
    }
    rv = sys_lock_dir(dir, &node->recorder.lock, error);
    node->recorder.is_locked = rv == 0;
    return rv;
}

void recorder_open(struct node *node)
{
    struct recorder *recorder = &node->recorder;
    const struct settings *settings = node->settings;
    uint64_t size = settings->ownership_journal_size;
    struct journal_config config = {
        .dir = dir_of(settings),
        .size_max = size < SIZE_MIN ? SIZE_MIN : size,
        .open = {.code = JOURNAL_MEMBER,
                 .worker = bytes_of_string(settings->name),
                 .run = bytes_of(recorder->run, sizeof(recorder->run)),
                 .pid = (uint32_t)getpid(),
                 .resolution = 1,
                 .boot = bytes_of_string(host_boot_id()),
                 .space = bytes_of_string(host_pid_namespace()),
                 .text = bytes_of_string(QUORATE_VERSION)}};
    struct buf error;

    if (size == 0) {
        return;
    }
    sys_random(recorder->run, sizeof(recorder->run));
    buf_init(&error, SETTINGS_ERROR_SIZE_MAX);
    if (journal_open(&config, &error, &recorder->journal) != 0) {
        log_line(LOG_WARN, "ownership_journal_off", "why=\"%.*s\"",
                 (int)error.size, (const char *)error.data);
    }
    buf_close(&error);
}

void recorder_close(struct node *node)
{
    journal_close(node->recorder.journal);
    node->recorder.journal = NULL;
    if (node->recorder.is_locked) {
        sys_unlock_dir(&node->recorder.lock);
        node->recorder.is_locked = false;
    }
}

void recorder_tick(struct node *node)
{
    struct recorder *recorder = &node->recorder;
    struct journal_status status;

    journal_status(recorder->journal, &status);
    if (status.dropped > recorder->dropped_told ||
        (status.error != 0) != recorder->is_failing) {
        log_line(LOG_WARN, "ownership_journal_gap",
                 "dropped=%llu status=\"%s\"",
                 (unsigned long long)status.dropped,
                 status.error == 0 ? "ok" : err_text(status.error));
    }
    recorder->dropped_told = status.dropped;
    recorder->is_failing = status.error != 0;
}

static struct bytes run_of(const struct worker *worker)
{
    return bytes_of(worker->incarnation, sizeof(worker->incarnation));
}

/* On the worker's clock. */
static uint64_t lease_end(const struct node *node, const struct worker *worker)
{
    return worker->renewed_clock + node->settings->ttl_owner_ms;
}

/* How what an owner had came to an end. */
static enum journal_cause cause_of(const struct command *command)
{
    if (command->type == COMMAND_EXPIRE) {
        return JOURNAL_CAUSE_EXPIRED;
    }
    if (command->type == COMMAND_RELEASE) {
        return JOURNAL_CAUSE_RELEASED;
    }
    if (command->type == COMMAND_ATTACH) {
        return JOURNAL_CAUSE_REPLACED;
    }
    if (command->type == COMMAND_STOPPED) {
        return JOURNAL_CAUSE_STOPPED;
    }
    return command->type == COMMAND_FAILED ? JOURNAL_CAUSE_FAILED
                                           : JOURNAL_CAUSE_NONE;
}

static void add_lease(struct node *node, const struct command_event *event,
                      struct journal_record *record)
{
    const struct worker *worker = event->worker;
    const struct worker_note *note = worker->shell;

    record->worker = worker->name;
    record->run = run_of(worker);
    record->worker_clock = worker->renewed_clock;
    record->until = lease_end(node, worker);
    record->lease = worker->lease;
    if (record->type == JOURNAL_LEASE_ENDED) {
        record->lease = event->lease;
        record->heard = note == NULL ? node->now_ms : note->renewed_ms;
        record->code = (uint8_t)cause_of(node->recorder.command);
    }
    journal_add(node->recorder.journal, record);
}

static void add_sandbox(struct node *node, const struct command_event *event,
                        struct journal_record *record)
{
    const struct sandbox *sandbox = event->sandbox;
    const struct command *command = node->recorder.command;

    record->code = (uint8_t)cause_of(command);
    record->id = sandbox->id;
    record->epoch = sandbox->epoch;
    record->mode =
        sandbox->mode == SANDBOX_AVAILABLE ? JOURNAL_AVAILABLE : JOURNAL_STRONG;
    if (event->worker != NULL) {
        record->worker = event->worker->name;
        record->run = run_of(event->worker);
        record->lease = event->worker->lease;
    }
    record->prior = command->type == COMMAND_PLACE ? command->epoch : 0;
    journal_add(node->recorder.journal, record);
}

void recorder_event(struct node *node, const struct command_event *event)
{
    struct journal_record record = {.index = event->index};

    if (node->recorder.journal == NULL) {
        return;
    }
    switch (event->type) {
    case EVENT_LEASE_GRANTED:
        record.type = JOURNAL_LEASE_GRANTED;
        add_lease(node, event, &record);
        return;
    case EVENT_LEASE_ENDED:
        record.type = JOURNAL_LEASE_ENDED;
        add_lease(node, event, &record);
        return;
    case EVENT_CLAIMED:
        record.type = JOURNAL_CLAIMED;
        break;
    case EVENT_STARTED:
        record.type = JOURNAL_STARTED;
        break;
    case EVENT_START_FAILED:
        record.type = JOURNAL_START_FAILED;
        break;
    case EVENT_UNPLACED:
        record.type = JOURNAL_UNPLACED;
        break;
    case EVENT_STOPPING:
        record.type = JOURNAL_STOPPING;
        break;
    case EVENT_REMOVED:
        record.type = JOURNAL_REMOVED;
        break;
    case EVENT_LEASE_RENEWED:
    case EVENT_NAME_REGISTERED:
    case EVENT_NAME_REMOVED:
    case EVENT_WORKER_REMOVED:
    case EVENT_MEMBERS_CHANGED:
    case EVENT_YIELDING:
    case EVENT_COPY_KEPT:
    case EVENT_COPY_DROPPED:
        return;
    }
    add_sandbox(node, event, &record);
}

void recorder_restored(struct node *node, uint64_t index)
{
    const struct journal_record record = {
        .type = JOURNAL_RESTORED,
        .index = command_epoch(&node->machine, index)};

    journal_add(node->recorder.journal, &record);
}

void recorder_ordered(struct node *node, enum journal_type type,
                      const struct agent *agent, struct bytes id,
                      uint64_t epoch)
{
    const struct journal_record record = {
        .type = type,
        .id = id,
        .epoch = epoch,
        .worker = agent->worker,
        .run = bytes_of(agent->incarnation, sizeof(agent->incarnation))};

    journal_add(node->recorder.journal, &record);
}

static void add_end(struct node *node, enum journal_type type,
                    const struct agent *agent, enum journal_cause cause)
{
    const struct journal_record record = {
        .type = type,
        .code = (uint8_t)cause,
        .worker = agent->worker,
        .run = bytes_of(agent->incarnation, sizeof(agent->incarnation)),
        .lease = agent->lease};

    journal_add(node->recorder.journal, &record);
}

void recorder_death(struct node *node, const struct agent *agent,
                    enum journal_cause cause)
{
    /* What is said again is nothing new. */
    if (!agent->is_proven_dead) {
        add_end(node, JOURNAL_DEATH, agent, cause);
    }
}

void recorder_killed(struct node *node, const struct agent *agent, int rv)
{
    add_end(node, JOURNAL_KILLED, agent,
            rv == 0 ? JOURNAL_CAUSE_KILLED : JOURNAL_CAUSE_FAILED);
}

void recorder_stored(struct node *node, enum state_db_change change,
                     struct bytes id, uint64_t epoch, uint64_t seq)
{
    static const enum journal_type types[] = {
        [STATE_DB_ACCEPTED] = JOURNAL_ACCEPTED,
        [STATE_DB_PROMISED] = JOURNAL_PROMISED,
        [STATE_DB_FORGOTTEN] = JOURNAL_FORGOTTEN,
    };
    const struct journal_record record = {
        .type = types[change], .id = id, .epoch = epoch, .seq = seq};

    /* A conflict copy has no owner, and its number is no epoch. */
    if (!registry_id_is_reserved(id)) {
        journal_add(node->recorder.journal, &record);
    }
}

void recorder_acknowledged(struct node *node, struct bytes id,
                           struct state_version version)
{
    const struct journal_record record = {.type = JOURNAL_ACKNOWLEDGED,
                                          .id = id,
                                          .epoch = version.epoch,
                                          .seq = version.seq};

    journal_add(node->recorder.journal, &record);
}

void recorder_sealed(struct node *node, struct bytes id, uint64_t epoch,
                     struct state_version found)
{
    const struct journal_record record = {.type = JOURNAL_SEALED,
                                          .id = id,
                                          .epoch = epoch,
                                          .prior = found.epoch,
                                          .seq = found.seq};

    journal_add(node->recorder.journal, &record);
}

void recorder_placed(struct node *node, struct bytes id, uint64_t prior,
                     const struct worker *worker)
{
    const struct placement_view *view = &node->view;
    uint32_t score = view->candidates[view->chosen].score_milli;
    char text[REASON_SIZE_MAX];
    int size = snprintf(text, sizeof(text), "score %u.%03u, best of %zu",
                        score / 1000, score % 1000, view->count);
    const struct journal_record record = {
        .type = JOURNAL_PLACED,
        .id = id,
        .prior = prior,
        .worker = worker->name,
        .lease = worker->lease,
        .text = bytes_of(text, size < 0 ? 0 : (size_t)size)};

    journal_add(node->recorder.journal, &record);
}
