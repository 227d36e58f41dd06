/* SPDX-License-Identifier: Apache-2.0
 * Commands as bytes: round trips, limits, every truncation. */
#include "base/buf.h"
#include "base/mem.h"
#include "command/command.h"
#include "lib/test.h"

#include <string.h>

enum { BATCH_SIZE_MAX = 1 << 20 };

static struct bytes text(const char *string)
{
    return bytes_of_string(string);
}

/* A command of this type with every field set; only those that count may come
 * through. */
static struct command full_command(enum command_type type)
{
    return (struct command){.type = type,
                            .worker = text("worker@host"),
                            .incarnation = text("0123456789abcdef"),
                            .lease = 0x1122334455667788,
                            .clock = 0x2233445566778899,
                            .term_ms = 6000,
                            .renewed_index = 0x33445566778899aa,
                            .member = 0x445566778899aabb,
                            .capacity = {.cpu = 1000, .memory = 2000},
                            .sandboxes_max = 3000,
                            .id = text("sandbox"),
                            .epoch = 0x5566778899aabbcc,
                            .spec = text("the spec"),
                            .options = text("the options"),
                            .need = {.cpu = 4000, .memory = 5000},
                            .priority = 9,
                            .replica_count = 7,
                            .replicas = {1, 2, 3, 4, 5, 6, 7},
                            .pid = text("the pid"),
                            .reason = text("the reason"),
                            .name = text("the name"),
                            .meta = text("the meta"),
                            .node = text("m@host"),
                            .address = text("host:1"),
                            .instance = 0x66778899aabbccdd,
                            .nonce = 0x778899aabbccddee,
                            .about = text("the about"),
                            .size = 6000,
                            .copy = 0x8899aabbccddeeff,
                            .how = 2};
}

static void assert_same(struct bytes actual, struct bytes expected)
{
    assert_bytes(actual, expected.data, expected.size);
}

/* Which commands have a field is written down here a second time. */
static bool is_one_of(enum command_type type, const char *types)
{
    return strchr(types, 'a' + (int)type - 1) != NULL;
}

/* a attach, b renew, c expire, d release, e claim, f place, g started,
 * h failed, i stop, j stopped, k register, l unregister, m put member,
 * n drop member, o open session, p recover, q resume, r keep, s discard,
 * t restore, u restored */
static void assert_decoded(const struct command *c, const struct command *want)
{
    struct command none = {.type = want->type};
    enum command_type t = want->type;

    assert_int_equal(c->type, t);
#define PICK(types) (is_one_of(t, types) ? want : &none)
    assert_same(c->worker, PICK("abcdefk")->worker);
    assert_same(c->incarnation, PICK("a")->incarnation);
    assert_int_equal(c->lease, PICK("bcdefk")->lease);
    assert_int_equal(c->clock, PICK("abr")->clock);
    assert_int_equal(c->renewed_index, PICK("c")->renewed_index);
    assert_int_equal(c->member, PICK("amnop")->member);
    assert_int_equal(c->capacity.cpu, PICK("a")->capacity.cpu);
    assert_int_equal(c->capacity.memory, PICK("a")->capacity.memory);
    assert_int_equal(c->sandboxes_max, PICK("a")->sandboxes_max);
    assert_int_equal(c->term_ms, PICK("a")->term_ms);
    assert_same(c->id, PICK("efghijrstu")->id);
    assert_int_equal(c->epoch, PICK("fghjlpqru")->epoch);
    assert_same(c->spec, PICK("e")->spec);
    assert_same(c->options, PICK("e")->options);
    assert_int_equal(c->need.cpu, PICK("e")->need.cpu);
    assert_int_equal(c->need.memory, PICK("e")->need.memory);
    assert_int_equal(c->priority, PICK("e")->priority);
    assert_int_equal(c->replica_count, PICK("epr")->replica_count);
    assert_memory_equal(c->replicas, PICK("epr")->replicas,
                        sizeof(c->replicas));
    assert_same(c->pid, PICK("gkl")->pid);
    assert_same(c->reason, PICK("hju")->reason);
    assert_same(c->name, PICK("kl")->name);
    assert_same(c->meta, PICK("k")->meta);
    assert_same(c->node, PICK("m")->node);
    assert_same(c->address, PICK("m")->address);
    assert_int_equal(c->instance, PICK("mp")->instance);
    assert_int_equal(c->nonce, PICK("o")->nonce);
    assert_same(c->about, PICK("r")->about);
    assert_int_equal(c->size, PICK("r")->size);
    assert_int_equal(c->copy, PICK("stu")->copy);
    assert_int_equal(c->how, PICK("t")->how);
#undef PICK
}

static void every_command_comes_through(void **state)
{
    struct buf batch;
    struct cursor cursor;
    struct command command;

    (void)state;
    buf_init(&batch, BATCH_SIZE_MAX);
    for (int type = COMMAND_ATTACH; type <= COMMAND_RESTORED; type++) {
        struct command full = full_command((enum command_type)type);

        command_encode(&batch, &full);
    }
    assert_ok(buf_error(&batch));
    cursor = cursor_of(buf_bytes(&batch));
    for (int type = COMMAND_ATTACH; type <= COMMAND_RESTORED; type++) {
        struct command full = full_command((enum command_type)type);

        assert_ok(command_decode(&cursor, &command));
        assert_decoded(&command, &full);
    }
    assert_err(command_decode(&cursor, &command), ERR_NOT_FOUND);
    buf_close(&batch);
}

static void bytes_are_what_the_log_has(void **state)
{
    struct buf batch;
    struct command renew = {.type = COMMAND_RENEW,
                            .worker = text("w@h"),
                            .lease = 5,
                            .clock = 0x0102};

    (void)state;
    buf_init(&batch, BATCH_SIZE_MAX);
    command_encode(&batch, &renew);
    assert_bytes(buf_bytes(&batch),
                 "\0\0\0\x18\2\0\0\0\3w@h"
                 "\0\0\0\0\0\0\0\5\0\0\0\0\0\0\1\2",
                 28);
    buf_close(&batch);
}

static void a_request_id_comes_through(void **state)
{
    const struct request_id id = {.member = 1, .session = 2, .number = 3};
    struct command full;
    struct command command;
    struct buf batch;
    struct cursor cursor;

    (void)state;
    buf_init(&batch, BATCH_SIZE_MAX);
    for (int type = COMMAND_ATTACH; type < COMMAND_OPEN_SESSION; type++) {
        full = full_command((enum command_type)type);
        full.request = id;
        command_encode(&batch, &full);
    }
    assert_ok(buf_error(&batch));
    cursor = cursor_of(buf_bytes(&batch));
    for (int type = COMMAND_ATTACH; type < COMMAND_OPEN_SESSION; type++) {
        full = full_command((enum command_type)type);
        assert_ok(command_decode(&cursor, &command));
        assert_decoded(&command, &full);
        assert_memory_equal(&command.request, &id, sizeof(id));
    }
    buf_clear(&batch);
    command_encode(&batch, &(struct command){.type = COMMAND_STOP,
                                             .request = id,
                                             .id = text("s")});
    assert_bytes(buf_bytes(&batch),
                 "\0\0\0\x1e\x89\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2"
                 "\0\0\0\0\0\0\0\3\0\0\0\1s",
                 34);
    buf_close(&batch);
}

/* The first `size` bytes, in a block of their own so that sanitizers see a
 * read beyond. */
static int decode_copy(struct bytes bytes, size_t size)
{
    uint8_t *copy = mem_copy(bytes.data, size);
    struct cursor cursor = cursor_of(bytes_of(copy, size));
    struct cursor before = cursor;
    struct command command = {.epoch = 77};
    int rv = command_decode(&cursor, &command);

    if (rv != 0) {
        assert_ptr_equal(cursor.next, before.next);
        assert_int_equal(command.epoch, 77);
    }
    mem_free(copy);
    return rv;
}

static void every_truncation_is_an_error(void **state)
{
    struct buf batch;

    (void)state;
    buf_init(&batch, BATCH_SIZE_MAX);
    for (int type = COMMAND_ATTACH; type <= COMMAND_RESTORED; type++) {
        struct command full = full_command((enum command_type)type);

        if (type < COMMAND_OPEN_SESSION && type % 2 == 0) {
            full.request = (struct request_id){1, 2, 3};
        }
        buf_clear(&batch);
        command_encode(&batch, &full);
        assert_ok(decode_copy(buf_bytes(&batch), batch.size));
        assert_err(decode_copy(buf_bytes(&batch), 0), ERR_NOT_FOUND);
        for (size_t size = 1; size < batch.size; size++) {
            assert_err(decode_copy(buf_bytes(&batch), size), ERR_TRUNCATED);
            if (size >= 4) {
                /* A block that is whole, with a command that is not. */
                buf_patch_u32(&batch, 0, (uint32_t)size - 4);
                assert_err(decode_copy(buf_bytes(&batch), size), ERR_MALFORMED);
                buf_patch_u32(&batch, 0, (uint32_t)batch.size - 4);
            }
        }
        buf_put_u8(&batch, 0);
        buf_patch_u32(&batch, 0, (uint32_t)batch.size - 4);
        assert_err(decode_copy(buf_bytes(&batch), batch.size), ERR_MALFORMED);
    }
    buf_close(&batch);
}

static void unknown_types_are_malformed(void **state)
{
    (void)state;
    assert_err(decode_copy(bytes_of("\0\0\0\0", 4), 4), ERR_MALFORMED);
    assert_err(decode_copy(bytes_of("\0\0\0\1\0", 5), 5), ERR_MALFORMED);
    assert_err(decode_copy(bytes_of("\0\0\0\1\20", 5), 5), ERR_MALFORMED);
    assert_err(decode_copy(bytes_of("\0\0\0\1\377", 5), 5), ERR_MALFORMED);
}

/* Must be refused by validation and by encoding, with the batch as it was. */
static void assert_refused(const struct command *command)
{
    struct command good = full_command(COMMAND_STOP);
    struct buf batch;
    size_t size;

    buf_init(&batch, BATCH_SIZE_MAX);
    command_encode(&batch, &good);
    size = batch.size;
    assert_err(command_validate(command), ERR_LIMIT);
    command_encode(&batch, command);
    assert_err(buf_error(&batch), ERR_LIMIT);
    assert_int_equal(batch.size, size);
    buf_close(&batch);
}

struct size_case {
    enum command_type type;
    size_t offset; /* of a struct bytes in struct command */
    size_t min;
    size_t max;
};

#define AT(member) offsetof(struct command, member)

static void sizes_have_limits(void **state)
{
    static const uint8_t zeros[REGISTRY_SPEC_SIZE_MAX + 1];
    static const struct size_case cases[] = {
        {COMMAND_ATTACH, AT(worker), 1, 255},
        {COMMAND_ATTACH, AT(incarnation), 16, 16},
        {COMMAND_CLAIM, AT(id), 1, 255},
        {COMMAND_CLAIM, AT(spec), 0, 65536},
        {COMMAND_CLAIM, AT(options), 0, 16384},
        {COMMAND_STARTED, AT(pid), 1, 512},
        {COMMAND_REGISTER, AT(pid), 1, 512},
        {COMMAND_UNREGISTER, AT(pid), 0, 512},
        {COMMAND_FAILED, AT(reason), 0, 1024},
        {COMMAND_STOPPED, AT(reason), 0, 1024},
        {COMMAND_REGISTER, AT(name), 1, 255},
        {COMMAND_REGISTER, AT(meta), 0, 16384},
        {COMMAND_PUT_MEMBER, AT(node), 1, 255},
        {COMMAND_PUT_MEMBER, AT(address), 0, 255},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct command command = full_command(cases[i].type);
        struct bytes bytes = bytes_of(zeros, cases[i].max);
        uint8_t *at = (uint8_t *)&command + cases[i].offset;

        memcpy(at, &bytes, sizeof(bytes));
        assert_ok(command_validate(&command));
        bytes.size = cases[i].min;
        memcpy(at, &bytes, sizeof(bytes));
        assert_ok(command_validate(&command));
        bytes.size = cases[i].max + 1;
        memcpy(at, &bytes, sizeof(bytes));
        assert_refused(&command);
        if (cases[i].min > 0) {
            bytes.size = cases[i].min - 1;
            memcpy(at, &bytes, sizeof(bytes));
            assert_refused(&command);
        }
    }
}

static void numbers_have_limits(void **state)
{
    struct command command = full_command(COMMAND_CLAIM);

    (void)state;
    command.priority = 10;
    assert_refused(&command);
    command = full_command(COMMAND_CLAIM);
    command.replica_count = 8;
    assert_refused(&command);
    command = full_command(COMMAND_CLAIM);
    command.replicas[6] = 0;
    assert_refused(&command);
    command.replicas[6] = command.replicas[0];
    assert_refused(&command);
    command.replica_count = 6; /* the seventh does not count then */
    assert_ok(command_validate(&command));
    command = full_command(COMMAND_ATTACH);
    command.member = 0;
    assert_refused(&command);
    command = full_command(COMMAND_OPEN_SESSION);
    command.nonce = 0;
    assert_refused(&command);
}

static void request_ids_are_whole(void **state)
{
    static const struct request_id cases[] = {{0, 0, 1}, {0, 1, 0}, {1, 0, 0},
                                              {0, 1, 1}, {1, 0, 1}, {1, 1, 0}};
    struct command command = full_command(COMMAND_OPEN_SESSION);
    struct buf batch;

    (void)state;
    command.request = (struct request_id){1, 1, 1};
    assert_refused(&command);
    buf_init(&batch, BATCH_SIZE_MAX);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        command = full_command(COMMAND_STOP);
        command.request = cases[i];
        assert_refused(&command);
        command.request = (struct request_id){1, 1, 1};
        buf_clear(&batch);
        command_encode(&batch, &command);
        batch.data[5 + 7] = (uint8_t)cases[i].member;
        batch.data[5 + 15] = (uint8_t)cases[i].session;
        batch.data[5 + 23] = (uint8_t)cases[i].number;
        assert_err(decode_copy(buf_bytes(&batch), batch.size), ERR_MALFORMED);
    }
    /* None at all has another form. */
    memset(batch.data + 5, 0, 24);
    assert_err(decode_copy(buf_bytes(&batch), batch.size), ERR_MALFORMED);
    buf_close(&batch);
}

static void limits_are_checked_when_decoding(void **state)
{
    struct command claim = full_command(COMMAND_CLAIM);
    struct buf batch;
    size_t at;

    (void)state;
    buf_init(&batch, BATCH_SIZE_MAX);
    command_encode(&batch, &claim);
    /* The end: priority, count, 7 replicas. */
    at = batch.size - 2 - 7 * 8;
    assert_int_equal(batch.data[at], 9);
    batch.data[at] = 10;
    assert_err(decode_copy(buf_bytes(&batch), batch.size), ERR_MALFORMED);
    batch.data[at] = 9;
    batch.data[at + 1] = 8;
    assert_err(decode_copy(buf_bytes(&batch), batch.size), ERR_MALFORMED);
    batch.data[at + 1] = 7;
    assert_ok(decode_copy(buf_bytes(&batch), batch.size));
    batch.data[batch.size - 1] = 1; /* twice the same replica */
    assert_err(decode_copy(buf_bytes(&batch), batch.size), ERR_MALFORMED);
    buf_close(&batch);
}

static void full_batch_keeps_what_it_has(void **state)
{
    struct command stop = full_command(COMMAND_STOP);
    struct buf batch;
    struct cursor cursor;
    struct command command;

    (void)state;
    /* 4 + 1 + 4 + 7 bytes each. */
    buf_init(&batch, 16 + 15);
    command_encode(&batch, &stop);
    assert_ok(buf_error(&batch));
    command_encode(&batch, &stop);
    assert_err(buf_error(&batch), ERR_LIMIT);
    command_encode(&batch, &stop);
    assert_int_equal(batch.size, 16);
    cursor = cursor_of(buf_bytes(&batch));
    assert_ok(command_decode(&cursor, &command));
    assert_err(command_decode(&cursor, &command), ERR_NOT_FOUND);
    buf_close(&batch);
}

static void no_memory_is_the_batch_error(void **state)
{
    struct command stop = full_command(COMMAND_STOP);
    struct buf batch;

    (void)state;
    buf_init(&batch, BATCH_SIZE_MAX);
    mem_fail_after(0);
    command_encode(&batch, &stop);
    mem_fail_after(UINT64_MAX);
    assert_err(buf_error(&batch), ERR_NOMEM);
    assert_int_equal(batch.size, 0);
    buf_close(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_comes_through),
        cmocka_unit_test(bytes_are_what_the_log_has),
        cmocka_unit_test(a_request_id_comes_through),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(unknown_types_are_malformed),
        cmocka_unit_test(sizes_have_limits),
        cmocka_unit_test(numbers_have_limits),
        cmocka_unit_test(request_ids_are_whole),
        cmocka_unit_test(limits_are_checked_when_decoding),
        cmocka_unit_test(full_batch_keeps_what_it_has),
        cmocka_unit_test(no_memory_is_the_batch_error),
    };

    return cmocka_run_group_tests_name("command_codec", tests, NULL, NULL);
}
