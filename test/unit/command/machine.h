/* SPDX-License-Identifier: Apache-2.0
 * A machine under test: applies commands one entry at a time, checks the
 * invariants after each, and writes events down as text. */
#ifndef QUORATE_TEST_COMMAND_MACHINE_H
#define QUORATE_TEST_COMMAND_MACHINE_H

#include "base/buf.h"
#include "base/ensure.h"
#include "base/mem.h"
#include "command/command.h"
#include "lib/test.h"
#include "registry/copies.h"

#include <stdbool.h>
#include <stdlib.h>

enum { TRACE_SIZE_MAX = 1 << 16 };

struct fixture {
    struct command_machine machine;
    struct buf trace; /* "started x" etc., one event a line */
    uint64_t index;   /* of the last entry */
    struct command_result result;
};

static const char *const event_names[] = {
    [EVENT_LEASE_GRANTED] = "granted",
    [EVENT_LEASE_RENEWED] = "renewed",
    [EVENT_LEASE_ENDED] = "ended",
    [EVENT_CLAIMED] = "claimed",
    [EVENT_STARTED] = "started",
    [EVENT_START_FAILED] = "start_failed",
    [EVENT_UNPLACED] = "unplaced",
    [EVENT_STOPPING] = "stopping",
    [EVENT_REMOVED] = "removed",
    [EVENT_NAME_REGISTERED] = "registered",
    [EVENT_NAME_REMOVED] = "name_removed",
    [EVENT_WORKER_REMOVED] = "worker_removed",
    [EVENT_MEMBERS_CHANGED] = "members_changed",
    [EVENT_YIELDING] = "yielding",
    [EVENT_COPY_KEPT] = "copy_kept",
    [EVENT_COPY_DROPPED] = "copy_dropped",
};

/* "claimed s1 by a": the bytes that are named are read, so that a use after
 * free shows. */
static inline void trace_event(void *arg, const struct command_event *event)
{
    struct fixture *f = arg;
    struct bytes what = bytes_of(NULL, 0);

    assert_int_equal(event->index, f->index);
    if (event->sandbox != NULL) {
        what = event->sandbox->id;
    } else if (event->name != NULL) {
        what = event->name->name;
    } else if (event->copy != NULL) {
        what = event->copy->id;
    }
    buf_printf(&f->trace, "%s", event_names[event->type]);
    if (what.size > 0) {
        buf_printf(&f->trace, " %.*s", (int)what.size, (const char *)what.data);
    }
    if (event->worker != NULL) {
        buf_printf(&f->trace, " %.*s", (int)event->worker->name.size,
                   (const char *)event->worker->name.data);
    }
    buf_printf(&f->trace, "\n");
}

static inline int set_up_machine(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    command_machine_init(&f->machine, 42, trace_event, f);
    buf_init(&f->trace, TRACE_SIZE_MAX);
    *state = f;
    return 0;
}

static inline int tear_down_machine(void **state)
{
    struct fixture *f = *state;

    mem_fail_after(UINT64_MAX);
    registry_check(&f->machine.registry);
    command_machine_close(&f->machine);
    buf_close(&f->trace);
    free(f);
    return 0;
}

/* Applies at f->index, which stays: as one more command of the same entry. */
static inline int apply_same_entry(struct fixture *f, struct command command)
{
    assert_int_equal(command_validate(&command), 0);
    assert_ok(command_apply(&f->machine, f->index, &command, &f->result));
    registry_check(&f->machine.registry);
    sessions_check(&f->machine.sessions);
    assert_int_equal(f->result.index, f->index);
    return f->result.rv;
}

/* Applies as an entry of its own. */
static inline int apply(struct fixture *f, struct command command)
{
    f->index++;
    return apply_same_entry(f, command);
}

/* The events since the last call are these. */
static inline void assert_events(struct fixture *f, const char *expected)
{
    buf_put_u8(&f->trace, 0);
    assert_int_equal(buf_error(&f->trace), 0);
    assert_string_equal((const char *)f->trace.data, expected);
    buf_clear(&f->trace);
}

static inline struct bytes text(const char *string)
{
    return bytes_of_string(string);
}

static inline struct command attach_of(const char *worker,
                                       const char *incarnation)
{
    return (struct command){.type = COMMAND_ATTACH,
                            .worker = text(worker),
                            .incarnation = text(incarnation),
                            .clock = 100,
                            .member = 7};
}

static inline struct command claim_of(const char *id, const char *worker,
                                      uint64_t lease)
{
    return (struct command){.type = COMMAND_CLAIM,
                            .id = text(id),
                            .worker = text(worker),
                            .lease = lease,
                            .spec = text("spec"),
                            .options = text("options"),
                            .replica_count = 2,
                            .replicas = {7, 8}};
}

static inline struct command place_of(const char *id, uint64_t epoch,
                                      const char *worker, uint64_t lease)
{
    return (struct command){.type = COMMAND_PLACE,
                            .id = text(id),
                            .epoch = epoch,
                            .worker = text(worker),
                            .lease = lease};
}

static inline struct command started_of(const char *id, uint64_t epoch,
                                        const char *pid)
{
    return (struct command){.type = COMMAND_STARTED,
                            .id = text(id),
                            .epoch = epoch,
                            .pid = text(pid)};
}

static inline struct command failed_of(const char *id, uint64_t epoch,
                                       const char *reason)
{
    return (struct command){.type = COMMAND_FAILED,
                            .id = text(id),
                            .epoch = epoch,
                            .reason = text(reason)};
}

static inline struct command stop_of(const char *id)
{
    return (struct command){.type = COMMAND_STOP, .id = text(id)};
}

static inline struct command stopped_of(const char *id, uint64_t epoch,
                                        struct bytes reason)
{
    return (struct command){.type = COMMAND_STOPPED,
                            .id = text(id),
                            .epoch = epoch,
                            .reason = reason};
}

static inline struct command keep_of(const char *id, uint64_t epoch)
{
    return (struct command){.type = COMMAND_KEEP,
                            .id = text(id),
                            .epoch = epoch,
                            .clock = 1000,
                            .about = text("about"),
                            .size = 10,
                            .replica_count = 2,
                            .replicas = {7, 8}};
}

/* DISCARD, RESTORE. */
static inline struct command copy_of(enum command_type type, const char *id,
                                     uint64_t copy)
{
    return (struct command){
        .type = type, .id = text(id), .copy = copy, .how = COPY_TAKE};
}

static inline struct command restore_of(const char *id, uint64_t copy)
{
    return copy_of(COMMAND_RESTORE, id, copy);
}

static inline struct command restored_of(const char *id, uint64_t epoch,
                                         uint64_t copy)
{
    return (struct command){.type = COMMAND_RESTORED,
                            .id = text(id),
                            .epoch = epoch,
                            .copy = copy,
                            .reason = text("outcome")};
}

/* RENEW, EXPIRE, RELEASE. */
static inline struct command lease_of(enum command_type type,
                                      const char *worker, uint64_t lease)
{
    return (struct command){
        .type = type, .worker = text(worker), .lease = lease};
}

static inline struct command register_of(const char *name, const char *worker,
                                         const char *pid)
{
    return (struct command){.type = COMMAND_REGISTER,
                            .name = text(name),
                            .worker = text(worker),
                            .pid = text(pid),
                            .meta = text("meta")};
}

static inline struct command unregister_of(const char *name, const char *pid)
{
    return (struct command){
        .type = COMMAND_UNREGISTER, .name = text(name), .pid = text(pid)};
}

#define INCARNATION_1 "incarnation-0001"
#define INCARNATION_2 "incarnation-0002"
#define INCARNATION_3 "incarnation-0003"

/* A worker with a live lease; gives the lease. */
static inline uint64_t given_worker(struct fixture *f, const char *name)
{
    assert_ok(apply(f, attach_of(name, INCARNATION_1)));
    buf_clear(&f->trace);
    return f->result.worker->lease;
}

/* A claimed sandbox; gives the epoch. */
static inline uint64_t given_starting(struct fixture *f, const char *id,
                                      const char *worker, uint64_t lease)
{
    assert_ok(apply(f, claim_of(id, worker, lease)));
    buf_clear(&f->trace);
    return f->result.sandbox->epoch;
}

static inline uint64_t given_running(struct fixture *f, const char *id,
                                     const char *worker, uint64_t lease)
{
    uint64_t epoch = given_starting(f, id, worker, lease);

    assert_ok(apply(f, started_of(id, epoch, "pid")));
    buf_clear(&f->trace);
    return epoch;
}

static inline struct sandbox *sandbox_of(const struct fixture *f,
                                         const char *id)
{
    return registry_sandbox(&f->machine.registry, text(id));
}

static inline struct worker *worker_of(const struct fixture *f,
                                       const char *name)
{
    return registry_worker(&f->machine.registry, text(name));
}

#endif
