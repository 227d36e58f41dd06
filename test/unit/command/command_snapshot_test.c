/* SPDX-License-Identifier: Apache-2.0
 * A snapshot has the state at its start, whatever is applied while it is made;
 * and what is restored goes on just as what it was made of. */
#include "base/mem.h"
#include "base/rng.h"
#include "command/command_restore.h"
#include "command/command_snapshot.h"
#include "dump.h"
#include "random.h"

enum {
    BYTES_MAX = 1 << 20,
    ROUND_COUNT = 400,
    LATER_MAX = 400, /* commands while one is made */
};

struct later {
    struct buf batch; /* one command, encoded */
    uint64_t index;
};

struct fixture {
    struct command_machine machine;
    struct command_snapshot snapshot;
    struct rng rng;
    uint64_t index;
    struct buf bytes; /* of the snapshot, put together */
    struct buf before;
    struct later later[LATER_MAX];
    size_t later_count;
};

static void set_up(struct fixture *f, uint64_t seed)
{
    *f = (struct fixture){.index = 1};
    rng_init(&f->rng, seed);
    command_machine_init(&f->machine, seed, NULL, NULL);
    command_snapshot_init(&f->snapshot);
    buf_init(&f->bytes, BYTES_MAX);
    buf_init(&f->before, BYTES_MAX);
}

static void drop_later(struct fixture *f)
{
    for (size_t i = 0; i < f->later_count; i++) {
        buf_close(&f->later[i].batch);
    }
    f->later_count = 0;
}

static void tear_down(struct fixture *f)
{
    drop_later(f);
    command_snapshot_close(&f->snapshot);
    command_machine_close(&f->machine);
    buf_close(&f->bytes);
    buf_close(&f->before);
}

/* Of members too: their table is small, so that names and ids meet often. */
static struct command random_one(struct fixture *f)
{
    static const char *const nodes[] = {"m1@h", "m2@h", "m3@h", "m4@h"};
    struct command command = random_command(&f->rng, &f->machine.registry,
                                            rng_below(&f->rng, 4) == 0);

    if (rng_below(&f->rng, 20) == 0) {
        command.type = rng_below(&f->rng, 3) == 0 ? COMMAND_DROP_MEMBER
                                                  : COMMAND_PUT_MEMBER;
        command.member = 1 + rng_below(&f->rng, 4);
        command.node = random_text(&f->rng, nodes, 4);
        command.address = bytes_of_string("host:4369");
        command.instance = rng_below(&f->rng, 9);
    }
    if (rng_below(&f->rng, 40) == 0) {
        command = (struct command){.type = COMMAND_OPEN_SESSION,
                                   .member = 1 + rng_below(&f->rng, 20),
                                   .nonce = 1 + rng_below(&f->rng, 3)};
    } else if (f->machine.sessions.count > 0) {
        const struct session *session =
            &f->machine.sessions
                 .items[rng_below(&f->rng, f->machine.sessions.count)];

        /* Some come again. */
        command.request = (struct request_id){.member = session->member,
                                              .session = session->index,
                                              .number = 1 + f->index / 20 +
                                                        rng_below(&f->rng, 20)};
    }
    return command;
}

static void apply_random(struct fixture *f, bool is_noted)
{
    struct command command = random_one(f);
    struct command_result result;
    struct later *later;

    f->index += rng_below(&f->rng, 3) == 0;
    if (is_noted && f->later_count < LATER_MAX) {
        later = &f->later[f->later_count++];
        later->index = f->index;
        buf_init(&later->batch, 4096);
        command_encode(&later->batch, &command);
        assert_ok(buf_error(&later->batch));
    } else if (is_noted) {
        return;
    }
    assert_ok(command_apply(&f->machine, f->index, &command, &result));
    registry_check(&f->machine.registry);
}

static void take(struct fixture *f)
{
    buf_put_bytes(&f->bytes, buf_bytes(&f->snapshot.bytes));
    buf_clear(&f->snapshot.bytes);
}

/* Makes a whole one, with commands between the pieces. */
static void make_while_applying(struct fixture *f)
{
    uint64_t commands_max = rng_below(&f->rng, 12);

    f->index++;
    buf_clear(&f->bytes);
    buf_clear(&f->before);
    dump_machine(&f->before, &f->machine);
    assert_ok(command_snapshot_begin(&f->snapshot, &f->machine, BYTES_MAX));
    while (!f->snapshot.is_whole) {
        for (uint64_t i = rng_below(&f->rng, commands_max + 1); i > 0; i--) {
            apply_random(f, true);
        }
        assert_ok(command_snapshot_make(
            &f->snapshot, f->snapshot.bytes.size + rng_below(&f->rng, 150)));
        if (rng_below(&f->rng, 2) == 0) {
            take(f);
        }
    }
    take(f);
    command_snapshot_close(&f->snapshot);
    assert_ok(buf_error(&f->bytes));
}

/* Fed in pieces of any size. */
static void restore(struct fixture *f, struct command_machine *machine)
{
    struct command_restore restore;
    size_t offset = 0;

    command_restore_begin(&restore, machine, rng_next(&f->rng));
    while (offset < f->bytes.size) {
        size_t size =
            size_min(1 + rng_below(&f->rng, 500), f->bytes.size - offset);

        assert_ok(command_restore_feed(&restore,
                                       bytes_of(f->bytes.data + offset, size)));
        offset += size;
    }
    assert_ok(command_restore_finish(&restore));
    command_restore_close(&restore);
    registry_check(&machine->registry);
    directory_check(&machine->directory);
}

static void assert_dump(const struct command_machine *machine,
                        const struct buf *expected)
{
    struct buf dump;

    buf_init(&dump, BYTES_MAX);
    dump_machine(&dump, machine);
    assert_bytes(buf_bytes(&dump), expected->data, expected->size);
    buf_close(&dump);
}

static void go_on_with(struct fixture *f, struct command_machine *machine)
{
    struct command_result result;
    struct command command;

    for (size_t i = 0; i < f->later_count; i++) {
        struct cursor cursor = cursor_of(buf_bytes(&f->later[i].batch));

        assert_ok(command_decode(&cursor, &command));
        assert_ok(command_apply(machine, f->later[i].index, &command, &result));
    }
}

static void restored_is_what_was_at_the_start(void **state)
{
    static struct fixture f;
    size_t later_total = 0;

    (void)state;
    set_up(&f, 77);
    for (int i = 0; i < ROUND_COUNT; i++) {
        struct command_machine restored;
        struct buf now;

        for (uint64_t n = rng_below(&f.rng, 60); n > 0; n--) {
            apply_random(&f, false);
        }
        make_while_applying(&f);
        restore(&f, &restored);
        assert_dump(&restored, &f.before);
        go_on_with(&f, &restored);
        buf_init(&now, BYTES_MAX);
        dump_machine(&now, &f.machine);
        assert_dump(&restored, &now);
        buf_close(&now);
        command_machine_close(&restored);
        later_total += f.later_count;
        drop_later(&f);
    }
    assert_true(later_total > ROUND_COUNT * 10);
    tear_down(&f);
}

static void count_events(void *arg, const struct command_event *event)
{
    size_t *count = arg;

    (void)event;
    ++*count;
}

static void a_machine_that_moved_goes_on(void **state)
{
    static struct fixture f;
    struct command_machine moved;
    size_t event_count = 0;

    (void)state;
    set_up(&f, 8);
    for (int i = 0; i < 1000; i++) {
        apply_random(&f, false);
    }
    dump_machine(&f.before, &f.machine);
    command_machine_move(&moved, &f.machine, NULL, NULL);
    registry_check(&moved.registry);
    registry_check(&f.machine.registry);
    assert_int_equal(f.machine.registry.sandboxes.count, 0);
    assert_int_equal(f.machine.applied_index, 0);
    assert_dump(&moved, &f.before);
    command_machine_close(&f.machine);
    command_machine_move(&f.machine, &moved, count_events, &event_count);
    command_machine_close(&moved);
    for (int i = 0; i < 1000; i++) {
        apply_random(&f, false);
    }
    assert_true(event_count > 100);
    make_while_applying(&f);
    restore(&f, &moved);
    assert_dump(&moved, &f.before);
    command_machine_close(&moved);
    tear_down(&f);
}

static void an_empty_machine_is_one_too(void **state)
{
    static struct fixture f;
    struct command_machine restored;

    (void)state;
    set_up(&f, 1);
    make_while_applying(&f);
    restore(&f, &restored);
    assert_dump(&restored, &f.before);
    command_machine_close(&restored);
    tear_down(&f);
}

static void one_that_nobody_takes_fails(void **state)
{
    static struct fixture f;
    struct command_machine restored;
    size_t begun_size;
    int rv = 0;

    (void)state;
    set_up(&f, 5);
    for (int i = 0; i < 3000; i++) {
        apply_random(&f, false);
    }
    assert_ok(command_snapshot_begin(&f.snapshot, &f.machine, BYTES_MAX));
    begun_size = f.snapshot.bytes.size;
    command_snapshot_close(&f.snapshot);
    assert_ok(
        command_snapshot_begin(&f.snapshot, &f.machine, begun_size + 500));
    for (int i = 0; i < 3000; i++) {
        apply_random(&f, false);
    }
    assert_err(command_snapshot_make(&f.snapshot, 0), ERR_LIMIT);
    assert_null(f.snapshot.machine);
    /* The next one is whole. */
    make_while_applying(&f);
    restore(&f, &restored);
    assert_dump(&restored, &f.before);
    command_machine_close(&restored);
    /* Also if there is no room for the workers. */
    rv = command_snapshot_begin(&f.snapshot, &f.machine, 100);
    assert_err(rv, ERR_LIMIT);
    assert_null(f.snapshot.machine);
    registry_check(&f.machine.registry);
    tear_down(&f);
}

static void given_up_and_begun_again(void **state)
{
    static struct fixture f;
    struct command_machine restored;

    (void)state;
    set_up(&f, 6);
    for (int i = 0; i < 1000; i++) {
        apply_random(&f, false);
    }
    for (size_t size = 0; size < 3000; size += 100) {
        assert_ok(command_snapshot_begin(&f.snapshot, &f.machine, BYTES_MAX));
        assert_ok(command_snapshot_make(&f.snapshot, size));
        apply_random(&f, false);
        command_snapshot_close(&f.snapshot);
        apply_random(&f, false);
    }
    make_while_applying(&f);
    restore(&f, &restored);
    assert_dump(&restored, &f.before);
    command_machine_close(&restored);
    tear_down(&f);
}

static void without_memory_it_says_so(void **state)
{
    static struct fixture f;
    struct command_machine restored;
    struct command_restore restore_;
    uint64_t failed_count = 0;
    int rv;

    (void)state;
    set_up(&f, 7);
    for (int i = 0; i < 1000; i++) {
        apply_random(&f, false);
    }
    make_while_applying(&f);
    for (uint64_t count = 0;; count++) {
        mem_fail_after(count);
        command_restore_begin(&restore_, &restored, 1);
        rv = command_restore_feed(&restore_,
                                  bytes_of(f.bytes.data, f.bytes.size - 1));
        rv = rv == 0
                 ? command_restore_feed(
                       &restore_, bytes_of(f.bytes.data + f.bytes.size - 1, 1))
                 : rv;
        rv = rv == 0 ? command_restore_finish(&restore_) : rv;
        mem_fail_after(UINT64_MAX);
        command_restore_close(&restore_);
        command_machine_close(&restored);
        if (rv == 0) {
            break;
        }
        assert_err(rv, ERR_NOMEM);
        failed_count++;
    }
    assert_true(failed_count > 20);
    for (uint64_t count = 0;; count++) {
        mem_fail_after(count);
        rv = command_snapshot_begin(&f.snapshot, &f.machine, BYTES_MAX);
        rv = rv == 0 ? command_snapshot_make(&f.snapshot, BYTES_MAX) : rv;
        mem_fail_after(UINT64_MAX);
        command_snapshot_close(&f.snapshot);
        registry_check(&f.machine.registry);
        if (rv == 0) {
            break;
        }
        assert_err(rv, ERR_NOMEM);
    }
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restored_is_what_was_at_the_start),
        cmocka_unit_test(a_machine_that_moved_goes_on),
        cmocka_unit_test(an_empty_machine_is_one_too),
        cmocka_unit_test(one_that_nobody_takes_fails),
        cmocka_unit_test(given_up_and_begun_again),
        cmocka_unit_test(without_memory_it_says_so),
    };

    return cmocka_run_group_tests_name("command_snapshot", tests, NULL, NULL);
}
