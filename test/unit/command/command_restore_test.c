/* SPDX-License-Identifier: Apache-2.0
 * Bytes that are no snapshot are refused, each for one reason. */
#include "base/rng.h"
#include "command/command_restore.h"
#include "command/command_snapshot.h"
#include "command/snapshot_record.h"
#include "machine.h"

enum { BYTES_MAX = 1 << 18 };

/* What a small snapshot is made of; one thing is made wrong. */
struct parts {
    uint32_t version;
    uint64_t applied;
    uint64_t burnt;
    uint64_t order_last;
    uint64_t directory_index;
    uint32_t member_total;
    uint32_t worker_total;
    uint32_t sandbox_total;
    uint32_t name_total;
    uint32_t copy_total;
    uint64_t copy_last;
    struct copy copy; /* one record of it, if it has a number */
    const char *member_name;
    uint64_t lease;
    uint64_t renewed;
    size_t incarnation_size;
    struct sandbox sandbox; /* `worker` does not count */
    uint32_t sandbox_worker;
    struct registered_name name;
    uint32_t name_worker;
    uint64_t record_count; /* as the end says */
    unsigned twice;        /* this kind of record comes twice */
    unsigned missing;      /* this kind does not come */
    unsigned kind;         /* not 0: one of this kind before the end */
    size_t extra;          /* bytes at the end of each record */
};

static const uint64_t replicas_of_x[REGISTRY_REPLICAS_MAX] = {4, 5, 6};

static struct parts right_parts(void)
{
    return (struct parts){
        .version = SNAPSHOT_STATE_VERSION,
        .applied = 9,
        .burnt = 9,
        .order_last = 2,
        .directory_index = 3,
        .member_total = 1,
        .worker_total = 1,
        .sandbox_total = 1,
        .name_total = 1,
        .copy_total = 1,
        .copy_last = 3,
        .copy = {.number = 3,
                 .epoch = 7,
                 .time_s = 1,
                 .size = 10,
                 .how = COPY_TAKE,
                 .replica_count = 2,
                 .replicas = {4, 5},
                 .id = text("x"),
                 .about = text("about")},
        .member_name = "m@h",
        .lease = 5,
        .renewed = 6,
        .incarnation_size = REGISTRY_INCARNATION_SIZE,
        .sandbox = {.id = text("x"),
                    .pid = text("pid"),
                    .birth = 7,
                    .epoch = 8,
                    .ring_order = 2,
                    .need = {.cpu = 5, .memory = 6},
                    .status = SANDBOX_RUNNING,
                    .replica_count = 3,
                    .replicas = replicas_of_x},
        .sandbox_worker = 1,
        .name = {.name = text("n"),
                 .pid = text("p"),
                 .epoch = 9,
                 .ring_order = 1},
        .name_worker = 1,
        .record_count = 6,
    };
}

static void put_header(struct buf *out, const struct parts *p)
{
    buf_put_u32(out, p->version);
    buf_put_u64(out, p->applied);
    buf_put_u64(out, p->burnt);
    buf_put_u64(out, p->order_last);
    buf_put_u64(out, p->copy_last);
    buf_put_u64(out, p->directory_index);
    buf_put_u32(out, p->member_total);
    buf_put_u32(out, p->worker_total);
    buf_put_u32(out, p->sandbox_total);
    buf_put_u32(out, p->name_total);
    buf_put_u32(out, p->copy_total);
}

static void put_member(struct buf *out, const struct parts *p)
{
    buf_put_u64(out, 4);
    buf_put_u64(out, 77);
    buf_put_block(out, text(p->member_name));
    buf_put_block(out, text("h:1"));
}

static void put_worker(struct buf *out, const struct parts *p)
{
    static const uint8_t incarnation[64];

    buf_put_block(out, text("a@h"));
    buf_put_block(out, bytes_of(incarnation, p->incarnation_size));
    buf_put_u64(out, p->lease);
    buf_put_u64(out, p->renewed);
    buf_put_u64(out, 1);
    buf_put_u64(out, 4);
    buf_put_u32(out, 4000);
    buf_put_u32(out, 0);
    buf_put_u32(out, 0);
    buf_put_u32(out, 0);
}

static void put_sandbox(struct buf *out, const struct parts *p)
{
    const struct sandbox *x = &p->sandbox;

    buf_put_block(out, x->id);
    buf_put_block(out, x->spec);
    buf_put_block(out, x->options);
    buf_put_block(out, x->pid);
    buf_put_block(out, x->reason);
    buf_put_u32(out, p->sandbox_worker);
    buf_put_u64(out, x->birth);
    buf_put_u64(out, x->epoch);
    buf_put_u64(out, x->ring_order);
    buf_put_u32(out, x->need.cpu);
    buf_put_u32(out, x->need.memory);
    buf_put_u8(out, (uint8_t)x->status);
    buf_put_u8(out, x->failures);
    buf_put_u8(out, x->priority);
    buf_put_u8(out, x->replica_count);
    for (size_t i = 0; i < x->replica_count && i < 7; i++) {
        buf_put_u64(out, x->replicas[i]);
    }
    buf_put_u8(out, x->is_restoring ? 1 : 0);
}

static void put_copy(struct buf *out, const struct parts *p)
{
    const struct copy *copy = &p->copy;

    buf_put_u64(out, copy->number);
    buf_put_u64(out, copy->epoch);
    buf_put_u64(out, copy->time_s);
    buf_put_u64(out, copy->size);
    buf_put_u64(out, copy->restore_epoch);
    buf_put_u8(out, (uint8_t)copy->how);
    buf_put_block(out, copy->id);
    buf_put_block(out, copy->about);
    buf_put_block(out, copy->outcome);
    buf_put_u8(out, copy->replica_count);
    for (size_t i = 0; i < copy->replica_count && i < 7; i++) {
        buf_put_u64(out, copy->replicas[i]);
    }
}

static void put_name(struct buf *out, const struct parts *p)
{
    buf_put_block(out, p->name.name);
    buf_put_block(out, p->name.pid);
    buf_put_block(out, p->name.meta);
    buf_put_u32(out, p->name_worker);
    buf_put_u64(out, p->name.epoch);
    buf_put_u64(out, p->name.ring_order);
}

static void put_end(struct buf *out, const struct parts *p)
{
    buf_put_u64(out, p->record_count);
}

typedef void put_fields(struct buf *out, const struct parts *p);

static void put_record(struct buf *out, unsigned kind, const struct parts *p)
{
    static put_fields *const puts[] = {
        [SNAPSHOT_HEADER] = put_header, [SNAPSHOT_MEMBER] = put_member,
        [SNAPSHOT_WORKER] = put_worker, [SNAPSHOT_SANDBOX] = put_sandbox,
        [SNAPSHOT_NAME] = put_name,     [SNAPSHOT_END] = put_end,
        [SNAPSHOT_COPY] = put_copy,
    };
    size_t start = out->size;

    buf_put_u32(out, 0);
    buf_put_u8(out, (uint8_t)kind);
    if ((kind >= SNAPSHOT_HEADER && kind <= SNAPSHOT_END) ||
        kind == SNAPSHOT_COPY) {
        puts[kind](out, p);
    }
    for (size_t i = 0; i < p->extra; i++) {
        buf_put_u8(out, 0);
    }
    buf_patch_u32(out, start, (uint32_t)(out->size - start - 4));
}

static void put_all(struct buf *out, const struct parts *p)
{
    for (unsigned kind = SNAPSHOT_HEADER; kind <= SNAPSHOT_END; kind++) {
        if (kind == SNAPSHOT_END && p->kind != 0) {
            put_record(out, p->kind, p);
        }
        if (kind == SNAPSHOT_SANDBOX && p->copy.number != 0) {
            put_record(out, SNAPSHOT_COPY, p);
        }
        if (kind != p->missing) {
            put_record(out, kind, p);
        }
        if (kind == p->twice) {
            put_record(out, kind, p);
        }
    }
    assert_ok(buf_error(out));
}

/* One piece of all the bytes; a machine that comes of it is in order. */
static int restore(struct bytes bytes)
{
    struct command_machine machine;
    struct command_restore restore;
    int rv;

    command_restore_begin(&restore, &machine, 1);
    rv = command_restore_feed(&restore, bytes);
    rv = rv == 0 ? command_restore_finish(&restore) : rv;
    command_restore_close(&restore);
    if (rv == 0) {
        registry_check(&machine.registry);
        directory_check(&machine.directory);
        sessions_check(&machine.sessions);
    }
    command_machine_close(&machine);
    return rv;
}

static int restore_parts(const struct parts *p)
{
    struct buf out;
    int rv;

    buf_init(&out, BYTES_MAX);
    put_all(&out, p);
    rv = restore(buf_bytes(&out));
    buf_close(&out);
    return rv;
}

/* Runs `wrong` on what is right; that must be refused, and but for it not. */
#define REFUSED(wrong)                                \
    do {                                              \
        struct parts p = right_parts();               \
        assert_ok(restore_parts(&p));                 \
        wrong;                                        \
        assert_err(restore_parts(&p), ERR_MALFORMED); \
    } while (0)

static void later_version_is_told_apart(void **state)
{
    struct parts p = right_parts();

    (void)state;
    p.version = SNAPSHOT_STATE_VERSION + 1;
    assert_err(restore_parts(&p), ERR_UNSUPPORTED);
}

static void header_must_be_in_order(void **state)
{
    (void)state;
    REFUSED(p.version = 0);
    REFUSED(p.burnt = 10);
    REFUSED(p.directory_index = 10);
    REFUSED(p.order_last = 1);
    REFUSED(p.member_total = 2);
    REFUSED(p.worker_total = 0);
    REFUSED(p.worker_total = 2);
    REFUSED(p.worker_total = UINT32_MAX);
    REFUSED(p.sandbox_total = 2);
    REFUSED(p.sandbox_total = 0);
    REFUSED(p.name_total = 2);
    REFUSED(p.name_total = 0);
    REFUSED(p.copy_total = 0);
    REFUSED(p.copy_total = 2);
    REFUSED(p.copy.number = 0; p.record_count = 5);
}

static void records_come_as_they_should(void **state)
{
    (void)state;
    for (unsigned kind = SNAPSHOT_HEADER; kind <= SNAPSHOT_END; kind++) {
        struct parts p = right_parts();

        p.twice = kind;
        p.record_count += kind != SNAPSHOT_END;
        p.worker_total += kind == SNAPSHOT_WORKER;
        assert_err(restore_parts(&p), ERR_MALFORMED);
        p = right_parts();
        p.missing = kind;
        p.record_count--;
        assert_err(restore_parts(&p),
                   kind == SNAPSHOT_END ? ERR_TRUNCATED : ERR_MALFORMED);
    }
    REFUSED(p.kind = 7; p.record_count = 7);
    REFUSED(p.kind = 255; p.record_count = 7);
    REFUSED(p.record_count = 5);
    REFUSED(p.extra = 1);
}

static void members_and_workers_are_valid(void **state)
{
    (void)state;
    REFUSED(p.member_name = "");
    REFUSED(p.member_name = "a b");
    REFUSED(p.lease = 7);
    REFUSED(p.renewed = 10);
    REFUSED(p.incarnation_size = 15);
    REFUSED(p.incarnation_size = 17);
    REFUSED(p.lease = 0); /* it owns something */
}

static void sandboxes_are_valid(void **state)
{
    static const uint64_t doubled[REGISTRY_REPLICAS_MAX] = {4, 5, 4};
    static const uint64_t with_zero[REGISTRY_REPLICAS_MAX] = {4, 0, 5};
    static const uint8_t big[REGISTRY_SPEC_SIZE_MAX + 1];

    (void)state;
    REFUSED(p.sandbox.id.size = 0);
    REFUSED(p.sandbox.id = bytes_of(big, REGISTRY_ID_SIZE_MAX + 1));
    REFUSED(p.sandbox.spec = bytes_of(big, REGISTRY_SPEC_SIZE_MAX + 1));
    REFUSED(p.sandbox.options = bytes_of(big, REGISTRY_OPTIONS_SIZE_MAX + 1));
    REFUSED(p.sandbox.pid = bytes_of(big, REGISTRY_PID_SIZE_MAX + 1));
    REFUSED(p.sandbox.reason = bytes_of(big, REGISTRY_REASON_SIZE_MAX + 1));
    REFUSED(p.sandbox.pid.size = 0);
    REFUSED(p.sandbox.birth = 0);
    REFUSED(p.sandbox.birth = 9);
    REFUSED(p.sandbox.epoch = 10);
    REFUSED(p.sandbox.status = SANDBOX_STARTING); /* with a pid */
    REFUSED(p.sandbox.status = SANDBOX_UNPLACED; p.sandbox.pid.size = 0);
    REFUSED(p.sandbox.status = (enum sandbox_status)5);
    REFUSED(p.sandbox_worker = 0);
    REFUSED(p.sandbox_worker = 2);
    REFUSED(p.sandbox_worker = UINT32_MAX);
    REFUSED(p.sandbox.ring_order = 0);
    REFUSED(p.sandbox.ring_order = 1); /* the name has it */
    REFUSED(p.sandbox.ring_order = 3);
    REFUSED(p.sandbox.failures = COMMAND_START_FAILURES_MAX + 1);
    REFUSED(p.sandbox.priority = REGISTRY_PRIORITY_MAX + 1);
    REFUSED(p.sandbox.replica_count = 8);
    REFUSED(p.sandbox.replicas = doubled);
    REFUSED(p.sandbox.replicas = with_zero);
}

/* That the sandbox begins anew with. */
static struct parts restoring_parts(void)
{
    struct parts p = right_parts();

    p.sandbox.is_restoring = true;
    p.copy.restore_epoch = p.sandbox.epoch;
    return p;
}

static void copies_are_valid(void **state)
{
    static const uint8_t big[REGISTRY_META_SIZE_MAX + 1];
    struct parts right = restoring_parts();

    (void)state;
    assert_ok(restore_parts(&right));
    REFUSED(p.copy.number = 4);
    REFUSED(p.copy.epoch = 10);
    REFUSED(p.copy.size = REGISTRY_COPY_SIZE_MAX + 1);
    REFUSED(p.copy.how = (enum copy_restore)0);
    REFUSED(p.copy.how = (enum copy_restore)3);
    REFUSED(p.copy.id.size = 0);
    REFUSED(p.copy.id = bytes_of(big, REGISTRY_ID_SIZE_MAX + 1));
    REFUSED(p.copy.about = bytes_of(big, REGISTRY_COPY_ABOUT_SIZE_MAX + 1));
    REFUSED(p.copy.outcome = bytes_of(big, REGISTRY_REASON_SIZE_MAX + 1));
    REFUSED(p.copy.replica_count = 8);
    REFUSED(p.copy.replicas[1] = 4);
    REFUSED(p.kind = SNAPSHOT_COPY; p.record_count = 7; p.copy_total = 2);
    /* Both say so, and of the same sandbox. */
    REFUSED(p = restoring_parts(); p.sandbox.is_restoring = false);
    REFUSED(p = restoring_parts(); p.copy.restore_epoch = 0);
    REFUSED(p = restoring_parts(); p.copy.restore_epoch = 9);
    REFUSED(p = restoring_parts(); p.copy.id = text("y"));
    REFUSED(p = restoring_parts(); p.copy.number = 0; p.copy_total = 0;
            p.record_count = 5);
    REFUSED(p = restoring_parts(); p.sandbox.status = SANDBOX_FAILED;
            p.sandbox_worker = 0; p.sandbox.pid.size = 0;
            p.sandbox.ring_order = 0);
}

static void names_are_valid(void **state)
{
    static const uint8_t big[REGISTRY_META_SIZE_MAX + 1];

    (void)state;
    REFUSED(p.name.name.size = 0);
    REFUSED(p.name.name = bytes_of(big, REGISTRY_NAME_SIZE_MAX + 1));
    REFUSED(p.name.pid.size = 0);
    REFUSED(p.name.pid = bytes_of(big, REGISTRY_PID_SIZE_MAX + 1));
    REFUSED(p.name.meta = bytes_of(big, REGISTRY_META_SIZE_MAX + 1));
    REFUSED(p.name.epoch = 0);
    REFUSED(p.name.epoch = 10);
    REFUSED(p.name.ring_order = 0);
    REFUSED(p.name_worker = 0);
    REFUSED(p.name_worker = 2);
}

/* Each alone is in order; the sum cannot be counted. */
static void sums_do_not_overflow(void **state)
{
    struct parts p = right_parts();
    struct buf out;

    (void)state;
    buf_init(&out, BYTES_MAX);
    p.sandbox_total = 2;
    p.copy_total = 0;
    p.record_count = 6;
    p.order_last = 3;
    p.sandbox.need.memory = UINT32_MAX;
    for (unsigned kind = SNAPSHOT_HEADER; kind <= SNAPSHOT_END; kind++) {
        put_record(&out, kind, &p);
        if (kind == SNAPSHOT_SANDBOX) {
            p.sandbox.id = text("y");
            p.sandbox.ring_order = 3;
            p.sandbox.need.memory = 1;
            put_record(&out, kind, &p);
        }
    }
    assert_err(restore(buf_bytes(&out)), ERR_MALFORMED);
    buf_close(&out);
}

/* A machine with some of everything, as bytes. */
static void given_bytes(struct fixture *f, struct buf *out)
{
    struct command_snapshot snapshot;
    struct command stop = stop_of("nowhere");
    uint64_t lease = given_worker(f, "a@h");
    uint64_t epoch;

    stop.request.member = 4;

    (void)given_running(f, "x", "a@h", lease);
    (void)given_starting(f, "y", "a@h", lease);
    epoch = given_running(f, "z", "a@h", lease);
    assert_ok(apply(f, failed_of("z", epoch, "reason")));
    assert_ok(apply(f, register_of("n", "a@h", "pid")));
    assert_ok(apply(f, keep_of("x", 1)));
    assert_ok(apply(f, keep_of("y", 1)));
    assert_ok(apply(f, restore_of("y", f->result.epoch)));
    assert_ok(apply(f, (struct command){.type = COMMAND_PUT_MEMBER,
                                        .member = 4,
                                        .node = text("m@h"),
                                        .address = text("h:1")}));
    assert_ok(apply(f, (struct command){.type = COMMAND_OPEN_SESSION,
                                        .member = 4,
                                        .nonce = 5}));
    stop.request.session = f->index;
    for (uint64_t number = 1; number < 4; number++) {
        stop.request.number = number;
        assert_err(apply(f, stop), ERR_NOT_FOUND);
    }
    command_snapshot_init(&snapshot);
    assert_ok(command_snapshot_begin(&snapshot, &f->machine, BYTES_MAX));
    assert_ok(command_snapshot_make(&snapshot, BYTES_MAX));
    assert_true(snapshot.is_whole);
    buf_put_bytes(out, buf_bytes(&snapshot.bytes));
    command_snapshot_close(&snapshot);
    assert_ok(restore(buf_bytes(out)));
}

static void every_cut_is_refused(void **state)
{
    struct buf out;

    buf_init(&out, BYTES_MAX);
    given_bytes(*state, &out);
    for (size_t size = 0; size < out.size; size++) {
        assert_err(restore(bytes_of(out.data, size)), ERR_TRUNCATED);
    }
    buf_put_u8(&out, 0);
    assert_int_equal(restore(buf_bytes(&out)) == 0, false);
    buf_close(&out);
}

/* What a flip makes of a text cannot be seen here (the file has checksums);
 * what is accepted must be a machine in order all the same. */
static void flips_do_no_harm(void **state)
{
    enum { FLIP_COUNT = 20000 };
    size_t refused_count = 0;
    struct buf out;
    struct rng rng;

    buf_init(&out, BYTES_MAX);
    given_bytes(*state, &out);
    rng_init(&rng, 1);
    for (int i = 0; i < FLIP_COUNT; i++) {
        size_t at = (size_t)rng_below(&rng, out.size);
        uint8_t flip = (uint8_t)(1U << rng_below(&rng, 8));

        out.data[at] ^= flip;
        refused_count += restore(buf_bytes(&out)) != 0;
        out.data[at] ^= flip;
    }
    assert_true(refused_count > FLIP_COUNT / 2);
    buf_close(&out);
}

static void a_record_has_a_limit(void **state)
{
    struct command_machine machine;
    struct command_restore restore_;
    uint8_t bytes[8] = {0x00, 0x02, 0x00, 0x01, SNAPSHOT_HEADER};

    (void)state;
    assert_err(restore(bytes_of(bytes, sizeof(bytes))), ERR_MALFORMED);
    memset(bytes, 0, 4); /* an empty one */
    assert_err(restore(bytes_of(bytes, sizeof(bytes))), ERR_MALFORMED);
    assert_err(restore(bytes_of(bytes, 4)), ERR_MALFORMED);
    command_restore_begin(&restore_, &machine, 1);
    assert_ok(command_restore_feed(&restore_, bytes_of(bytes, 3)));
    assert_err(command_restore_feed(&restore_, bytes_of(bytes + 3, 5)),
               ERR_MALFORMED);
    command_restore_close(&restore_);
    command_machine_close(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_version_is_told_apart),
        cmocka_unit_test(header_must_be_in_order),
        cmocka_unit_test(records_come_as_they_should),
        cmocka_unit_test(members_and_workers_are_valid),
        cmocka_unit_test(sandboxes_are_valid),
        cmocka_unit_test(copies_are_valid),
        cmocka_unit_test(names_are_valid),
        cmocka_unit_test(sums_do_not_overflow),
        cmocka_unit_test_setup_teardown(every_cut_is_refused, set_up_machine,
                                        tear_down_machine),
        cmocka_unit_test_setup_teardown(flips_do_no_harm, set_up_machine,
                                        tear_down_machine),
        cmocka_unit_test(a_record_has_a_limit),
    };

    return cmocka_run_group_tests_name("command_restore", tests, NULL, NULL);
}
