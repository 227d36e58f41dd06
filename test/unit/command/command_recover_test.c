/* SPDX-License-Identifier: Apache-2.0
 * After RECOVER nothing of before counts, and what comes is greater. */
#include "command/command_restore.h"
#include "command/command_snapshot.h"
#include "dump.h"
#include "machine.h"

enum { SELF = 1, OTHER = 2, CLUSTER = 99, BYTES_MAX = 1 << 20 };

#define JUMP COMMAND_EPOCH_JUMP

/* machine.h's trace knows no jump. */
static void ignore_event(void *arg, const struct command_event *event)
{
    uint32_t *counts = arg;

    counts[event->type]++;
}

static struct command recover_of(uint64_t replica)
{
    return (struct command){.type = COMMAND_RECOVER,
                            .member = SELF,
                            .epoch = JUMP,
                            .instance = CLUSTER,
                            .replica_count = 2,
                            .replicas = {SELF, replica}};
}

static int run(struct fixture *f, struct command command)
{
    f->index++;
    assert_int_equal(command_validate(&command), 0);
    assert_ok(command_apply(&f->machine, f->index, &command, &f->result));
    registry_check(&f->machine.registry);
    return f->result.rv;
}

static struct command claim_on(const struct fixture *f, const char *id,
                               uint64_t replica, const char *worker)
{
    struct command claim = {
        .type = COMMAND_CLAIM,
        .id = text(id),
        .worker = text(worker),
        .spec = text("spec"),
        .replica_count = 3,
        .replicas = {replica, 8, 9},
        .lease = registry_worker(&f->machine.registry, text(worker))->lease};

    return claim;
}

static struct command put_member(uint64_t id, const char *name)
{
    return (struct command){
        .type = COMMAND_PUT_MEMBER, .member = id, .node = text(name)};
}

static int set_up(void **state)
{
    static uint32_t counts[EVENT_COPY_DROPPED + 1];
    struct fixture *f;
    int rv = set_up_machine(state);

    f = *state;
    memset(counts, 0, sizeof(counts));
    f->machine.event_cb = ignore_event;
    f->machine.event_arg = counts;
    assert_ok(run(f, put_member(SELF, "a@h")));
    assert_ok(run(f, put_member(OTHER, "b@h")));
    assert_ok(run(f, attach_of("w1", "incarnation-0001")));
    assert_ok(run(f, attach_of("w2", "incarnation-0002")));
    assert_ok(run(f, claim_on(f, "here", SELF, "w1")));
    assert_ok(run(f, claim_on(f, "there", OTHER, "w2")));
    assert_ok(run(f, claim_on(f, "gone", 7, "w1")));
    return rv;
}

static const struct sandbox *find(const struct fixture *f, const char *id)
{
    return registry_sandbox(&f->machine.registry, text(id));
}

static void leases_end_and_replicas_shrink(void **state)
{
    struct fixture *f = *state;
    const uint32_t *counts = f->machine.event_arg;

    assert_ok(run(f, recover_of(OTHER)));
    assert_int_equal(counts[EVENT_LEASE_ENDED], 2);
    assert_int_equal(counts[EVENT_UNPLACED], 3);
    assert_int_equal(counts[EVENT_START_FAILED], 1);
    assert_int_equal(find(f, "here")->status, SANDBOX_UNPLACED);
    assert_int_equal(find(f, "there")->status, SANDBOX_UNPLACED);
    assert_int_equal(find(f, "gone")->status, SANDBOX_FAILED);
    assert_memory_equal(find(f, "gone")->reason.data + 2, "state_lost", 10);
    for (int i = 0; i < 3; i++) {
        const char *const ids[] = {"here", "there", "gone"};

        assert_int_equal(find(f, ids[i])->replica_count, 1);
        assert_int_equal(find(f, ids[i])->replicas[0], SELF);
    }
    assert_int_equal(f->machine.directory.count, 1);
    assert_int_equal(f->machine.directory.entries[0].id, SELF);
    assert_int_equal(f->machine.directory.index, f->index);
}

static void nothing_is_granted_until_it_resumes(void **state)
{
    struct fixture *f = *state;
    struct command resume = {.type = COMMAND_RESUME};

    assert_ok(run(f, recover_of(OTHER)));
    assert_err(run(f, attach_of("w3", "incarnation-0003")), ERR_BUSY);
    resume.epoch = f->machine.held_epoch + 1;
    assert_err(run(f, resume), ERR_STALE_EPOCH);
    resume.epoch = f->machine.held_epoch;
    assert_ok(run(f, resume));
    assert_err(run(f, resume), ERR_STALE_EPOCH);
    /* The runs of before are over. */
    assert_err(run(f, attach_of("w1", "incarnation-0001")), ERR_CLOSED);
    assert_ok(run(f, attach_of("w1", "incarnation-0003")));
}

static void epochs_jump_each_time(void **state)
{
    struct fixture *f = *state;
    struct command resume = {.type = COMMAND_RESUME};

    for (uint64_t i = 1; i <= 3; i++) {
        uint64_t before = find(f, "here")->epoch;
        struct command place = {.type = COMMAND_PLACE,
                                .worker = text("w1"),
                                .id = text("here"),
                                .epoch = before};
        char incarnation[] = "incarnation-1000";

        incarnation[12] = (char)('0' + i);
        assert_ok(run(f, recover_of(OTHER)));
        resume.epoch = f->machine.held_epoch;
        assert_ok(run(f, resume));
        assert_ok(run(f, attach_of("w1", incarnation)));
        place.lease = registry_worker(&f->machine.registry, text("w1"))->lease;
        assert_ok(run(f, place));
        assert_int_equal(find(f, "here")->epoch, f->index + i * JUMP);
        assert_true(find(f, "here")->epoch >= before + JUMP);
        assert_int_equal(command_epoch(&f->machine, f->index),
                         find(f, "here")->epoch);
    }
}

static void an_epoch_that_cannot_be_is_refused(void **state)
{
    struct fixture *f = *state;
    struct command recover = recover_of(OTHER);

    recover.epoch = COMMAND_EPOCH_MAX;
    assert_err(run(f, recover), ERR_LIMIT);
    assert_int_equal(f->machine.epoch_base, 0);
    assert_int_equal(find(f, "here")->status, SANDBOX_STARTING);
    assert_int_equal(f->machine.directory.count, 2);
}

/* Also when the tables were put together in another order. */
static void all_members_come_to_the_same(void **state)
{
    struct fixture *f = *state;
    struct command_machine copy;
    struct command_snapshot snapshot;
    struct command_restore restore;
    struct command_result result;
    struct command recover = recover_of(OTHER);
    struct buf ours;
    struct buf theirs;

    for (int i = 0; i < 2; i++) {
        command_snapshot_init(&snapshot);
        assert_ok(command_snapshot_begin(&snapshot, &f->machine, BYTES_MAX));
        while (!snapshot.is_whole) {
            assert_ok(command_snapshot_make(&snapshot, BYTES_MAX));
        }
        command_restore_begin(&restore, &copy, 4711);
        assert_ok(command_restore_feed(&restore, buf_bytes(&snapshot.bytes)));
        assert_ok(command_restore_finish(&restore));
        command_restore_close(&restore);
        command_snapshot_close(&snapshot);
        assert_ok(run(f, recover));
        assert_ok(command_apply(&copy, f->index, &recover, &result));
        buf_init(&ours, BYTES_MAX);
        buf_init(&theirs, BYTES_MAX);
        dump_machine(&ours, &f->machine);
        dump_machine(&theirs, &copy);
        assert_true(bytes_equal(buf_bytes(&ours), buf_bytes(&theirs)));
        assert_int_equal(copy.epoch_base, f->machine.epoch_base);
        assert_int_equal(copy.held_epoch, f->machine.held_epoch);
        buf_close(&ours);
        buf_close(&theirs);
        command_machine_close(&copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(leases_end_and_replicas_shrink, set_up,
                                        tear_down_machine),
        cmocka_unit_test_setup_teardown(nothing_is_granted_until_it_resumes,
                                        set_up, tear_down_machine),
        cmocka_unit_test_setup_teardown(epochs_jump_each_time, set_up,
                                        tear_down_machine),
        cmocka_unit_test_setup_teardown(an_epoch_that_cannot_be_is_refused,
                                        set_up, tear_down_machine),
        cmocka_unit_test_setup_teardown(all_members_come_to_the_same, set_up,
                                        tear_down_machine),
    };

    return cmocka_run_group_tests_name("command_recover", tests, NULL, NULL);
}
