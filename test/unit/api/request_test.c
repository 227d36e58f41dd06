/* SPDX-License-Identifier: Apache-2.0
 * Whole calls: from module, function and arguments to a request, and every
 * argument of the wrong kind. */
#include "api/request.h"
#include "base/mem.h"
#include "base/rng.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "lib/test.h"

struct fixture {
    struct buf args;
    struct buf reason;
    struct api_request request;
};

static void fixture_open(struct fixture *fixture)
{
    buf_init(&fixture->args, 200000);
    buf_init(&fixture->reason, 1000);
}

static void fixture_close(struct fixture *fixture)
{
    buf_close(&fixture->args);
    buf_close(&fixture->reason);
}

static int decode(struct fixture *fixture, const char *module,
                  const char *function, uint32_t arity)
{
    assert_ok(buf_error(&fixture->args));
    buf_clear(&fixture->reason);
    return api_decode(bytes_of_string(module), bytes_of_string(function),
                      buf_bytes(&fixture->args), arity, &fixture->request,
                      &fixture->reason);
}

static void put_pid(struct buf *buf)
{
    struct etf_pid pid = {
        .node = bytes_of_string("w@h"), .id = 3, .creation = 4};

    etf_put_pid(buf, &pid);
}

static void functions_without_arguments_have_defaults(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    etf_put_nil(&fixture.args);
    assert_ok(decode(&fixture, "quorate", "sandboxes", 0));
    assert_int_equal(fixture.request.type, API_SANDBOXES);
    assert_int_equal(fixture.request.route, API_LOCAL);
    assert_int_equal(fixture.request.timeout_ms, 5000);
    assert_int_equal(fixture.request.limit, 10000);
    assert_int_equal(fixture.request.rf, 3);
    assert_int_equal(fixture.request.profile, PLACEMENT_SPREAD);
    assert_int_equal(fixture.request.after.size, 0);
    assert_int_equal(fixture.request.worker.size, 0);
    assert_bytes(fixture.request.options, "t\0\0\0\0", 5);
    fixture_close(&fixture);
}

static void unknown_functions_are_undef(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    etf_put_nil(&fixture.args);
    assert_err(decode(&fixture, "quorate", "halt", 0), ERR_UNDEF);
    assert_err(decode(&fixture, "quorate", "version", 1), ERR_UNDEF);
    assert_err(decode(&fixture, "erlang", "status", 0), ERR_UNDEF);
    assert_int_equal(fixture.reason.size, 0);
    fixture_close(&fixture);
}

static void a_sandbox_is_created_with_options(void **state)
{
    struct fixture fixture;
    const struct api_request *request = &fixture.request;

    (void)state;
    fixture_open(&fixture);
    etf_put_list(&fixture.args, 3);
    etf_put_atom(&fixture.args, "box");
    etf_put_map(&fixture.args, 0);
    etf_put_map(&fixture.args, 3);
    etf_put_atom(&fixture.args, "rf");
    etf_put_u64(&fixture.args, 5);
    etf_put_atom(&fixture.args, "timeout");
    etf_put_u64(&fixture.args, 100);
    etf_put_atom(&fixture.args, "resources");
    etf_put_map(&fixture.args, 1);
    etf_put_atom(&fixture.args, "memory");
    etf_put_u64(&fixture.args, 64);
    etf_put_nil(&fixture.args);
    assert_ok(decode(&fixture, "quorate", "create_sandbox", 3));
    assert_int_equal(request->type, API_CREATE_SANDBOX);
    assert_int_equal(request->route, API_LEADER);
    assert_bytes(request->id, "box", 3);
    assert_bytes(request->spec, "t\0\0\0\0", 5);
    assert_int_equal(request->rf, 5);
    assert_int_equal(request->timeout_ms, 100);
    assert_int_equal(request->resources.memory, 64);
    assert_int_equal(request->options.data[0], 116);
    assert_true(request->options.size > 5);
    fixture_close(&fixture);
}

static void states_and_names_are_carried_raw(void **state)
{
    struct fixture fixture;
    const struct api_request *request = &fixture.request;

    (void)state;
    fixture_open(&fixture);
    etf_put_list(&fixture.args, 4);
    etf_put_string_binary(&fixture.args, "box");
    etf_put_u64(&fixture.args, INT64_MAX);
    etf_put_tuple(&fixture.args, 0);
    etf_put_map(&fixture.args, 1);
    etf_put_atom(&fixture.args, "seq");
    etf_put_u64(&fixture.args, 9);
    etf_put_nil(&fixture.args);
    assert_ok(decode(&fixture, "state_replicator", "replicate_state", 4));
    assert_int_equal(request->type, API_REPLICATE_STATE);
    assert_true(request->epoch == INT64_MAX);
    assert_bytes(request->state, "h\0", 2);
    assert_true(request->has_seq);
    assert_int_equal(request->seq, 9);

    buf_clear(&fixture.args);
    etf_put_list(&fixture.args, 3);
    etf_put_tuple(&fixture.args, 0);
    put_pid(&fixture.args);
    etf_put_atom(&fixture.args, "meta");
    etf_put_nil(&fixture.args);
    assert_ok(decode(&fixture, "consistency_manager", "register", 3));
    assert_bytes(request->name, "h\0", 2);
    assert_bytes(request->meta, "w\4meta", 6);
    assert_int_equal(request->pid.data[0], 88);
    assert_bytes(request->worker, "w@h", 3);
    fixture_close(&fixture);
}

/* Appends a binary of `size` bytes in external form. */
static void put_big(struct buf *buf, uint32_t size)
{
    buf_put_u8(buf, 109);
    buf_put_u32(buf, size - 5);
    memset(buf_reserve(buf, size - 5), 'x', size - 5);
    buf_commit(buf, size - 5);
}

/* `after` is any term there. */
static void names_are_listed_from_a_name_on(void **state)
{
    struct fixture fixture;

    (void)state;
    for (uint32_t over = 0; over < 2; over++) {
        fixture_open(&fixture);
        etf_put_list(&fixture.args, 1);
        etf_put_map(&fixture.args, 2);
        etf_put_atom(&fixture.args, "consistency");
        etf_put_atom(&fixture.args, "local");
        etf_put_atom(&fixture.args, "after");
        put_big(&fixture.args, REGISTRY_NAME_SIZE_MAX + over);
        etf_put_nil(&fixture.args);
        assert_err(decode(&fixture, "consistency_manager", "names", 1),
                   over > 0 ? ERR_BADARG : 0);
        if (over > 0) {
            assert_bytes(buf_bytes(&fixture.reason), "w\5after", 7);
        } else {
            assert_int_equal(fixture.request.route, API_LOCAL);
            assert_int_equal(fixture.request.name.size, REGISTRY_NAME_SIZE_MAX);
            assert_int_equal(fixture.request.limit, API_LIMIT_MAX);
        }
        fixture_close(&fixture);
    }
}

/* What is answered at once may be asked of all. */
static void lists_are_linearizable_on_request(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    etf_put_list(&fixture.args, 1);
    etf_put_map(&fixture.args, 1);
    etf_put_atom(&fixture.args, "consistency");
    etf_put_atom(&fixture.args, "linearizable");
    etf_put_nil(&fixture.args);
    assert_ok(decode(&fixture, "quorate", "sandboxes", 1));
    assert_int_equal(fixture.request.route, API_READ);
    fixture_close(&fixture);
}

/* [5] comes as a string of bytes, from which the number is made up. */
static void small_numbers_are_arguments_too(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    buf_put(&fixture.args, "k\0\1\5", 4);
    assert_ok(decode(&fixture, "consistency_manager", "whereis", 1));
    assert_bytes(fixture.request.name, "a\5", 2);
    assert_true(fixture.request.name.data == fixture.request.small[0]);
    assert_err(decode(&fixture, "quorate", "sandbox", 1), ERR_BADARG);
    assert_bytes(buf_bytes(&fixture.reason), "w\2id", 4);
    fixture_close(&fixture);
}

/* As the keys of conflict copies do. */
static void some_ids_are_reserved(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    buf_put(&fixture.args, "l\0\0\0\1m\0\0\0\6\0copy\0j", 17);
    assert_err(decode(&fixture, "quorate", "stop_sandbox", 1), ERR_BADARG);
    assert_bytes(buf_bytes(&fixture.reason), "w\2id", 4);
    fixture_close(&fixture);
}

static void each_argument_of_a_wrong_kind_is_named(void **state)
{
    static const struct {
        const char *module;
        const char *function;
        uint32_t arity;
        uint32_t wrong;
        const char *what;
    } rows[] = {
        {"quorate", "create_sandbox", 3, 0, "id"},
        {"quorate", "create_sandbox", 3, 2, "options"},
        {"quorate", "stop_sandbox", 1, 0, "id"},
        {"quorate", "sandboxes", 1, 0, "options"},
        {"consistency_manager", "register", 3, 1, "pid"},
        {"state_replicator", "replicate_state", 4, 0, "id"},
        {"state_replicator", "replicate_state", 4, 1, "epoch"},
        {"state_replicator", "replicate_state", 4, 3, "options"},
        {"state_replicator", "delete_state", 2, 1, "epoch"},
        {"conflict_resolver", "copy", 2, 1, "copy"},
        {"conflict_resolver", "restore_copy", 3, 2, "options"},
        {"conflict_resolver", "keep_copy", 4, 1, "epoch"},
        {"conflict_resolver", "restored", 4, 2, "copy"},
        {"node_selector", "select", 2, 0, "resources"},
        {"node_selector", "select", 2, 1, "options"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct api_function *row =
            api_lookup(bytes_of_string(rows[i].module),
                       bytes_of_string(rows[i].function), rows[i].arity);
        struct fixture fixture;
        struct buf what;

        fixture_open(&fixture);
        buf_init(&what, 100);
        etf_put_atom(&what, rows[i].what);
        etf_put_list(&fixture.args, rows[i].arity);
        for (uint32_t j = 0; j < rows[i].arity; j++) {
            if (j == rows[i].wrong) {
                etf_put_double(&fixture.args, 1.5);
            } else if (row->arguments[j] == API_ARG_EPOCH ||
                       row->arguments[j] == API_ARG_COPY) {
                etf_put_u64(&fixture.args, 1);
            } else if (row->arguments[j] == API_ARG_ID) {
                etf_put_atom(&fixture.args, "box");
            } else {
                etf_put_map(&fixture.args, 0);
            }
        }
        etf_put_nil(&fixture.args);
        assert_err(
            decode(&fixture, rows[i].module, rows[i].function, rows[i].arity),
            ERR_BADARG);
        assert_bytes(buf_bytes(&fixture.reason), what.data, what.size);
        buf_close(&what);
        fixture_close(&fixture);
    }
}

static void what_is_kept_has_limits(void **state)
{
    static const struct {
        const char *module;
        const char *function;
        uint32_t arity;
        uint32_t size_max;
        const char *what;
    } rows[] = {
        {"quorate", "create_sandbox", 2, REGISTRY_SPEC_SIZE_MAX, "spec"},
        {"consistency_manager", "whereis", 1, REGISTRY_NAME_SIZE_MAX, "name"},
        {"consistency_manager", "lookup", 1, REGISTRY_NAME_SIZE_MAX, "name"},
        {"consistency_manager", "register", 3, API_META_SIZE_MAX, "meta"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (uint32_t over = 0; over < 2; over++) {
            struct fixture fixture;
            struct buf what;

            fixture_open(&fixture);
            buf_init(&what, 100);
            if (over > 0) {
                etf_put_atom(&what, rows[i].what);
            }
            etf_put_list(&fixture.args, rows[i].arity);
            if (rows[i].arity > 1) {
                etf_put_atom(&fixture.args, "box");
            }
            if (rows[i].arity > 2) {
                put_pid(&fixture.args);
            }
            put_big(&fixture.args, rows[i].size_max + over);
            etf_put_nil(&fixture.args);
            assert_err(decode(&fixture, rows[i].module, rows[i].function,
                              rows[i].arity),
                       over > 0 ? ERR_BADARG : 0);
            assert_bytes(buf_bytes(&fixture.reason), what.data, what.size);
            buf_close(&what);
            fixture_close(&fixture);
        }
    }
}

static void arguments_must_be_a_list_of_the_arity(void **state)
{
    static const struct {
        const char *args;
        size_t size;
    } rows[] = {{"h\0", 2},
                {"j", 1},
                {"l\0\0\0\1w\1aw\1a", 11},
                {"l\0\0\0\2w\1aw\1aj", 12}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture fixture;

        fixture_open(&fixture);
        buf_put(&fixture.args, rows[i].args, rows[i].size);
        assert_err(decode(&fixture, "quorate", "stop_sandbox", 1), ERR_BADARG);
        assert_bytes(buf_bytes(&fixture.reason), "w\4args", 6);
        fixture_close(&fixture);
    }
}

static void epochs_are_below_2_to_63(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    etf_put_list(&fixture.args, 2);
    etf_put_atom(&fixture.args, "box");
    etf_put_u64(&fixture.args, UINT64_C(1) << 63);
    etf_put_nil(&fixture.args);
    assert_err(decode(&fixture, "state_replicator", "delete_state", 2),
               ERR_BADARG);
    assert_bytes(buf_bytes(&fixture.reason), "w\5epoch", 7);
    fixture_close(&fixture);
}

/* #{1 => [], 1 => []} in place of an argument. */
static void put_equal_keys(struct buf *buf)
{
    etf_put_map(buf, 2);
    etf_put_u64(buf, 1);
    etf_put_nil(buf);
    etf_put_u64(buf, 1);
    etf_put_nil(buf);
}

enum { ARGS_MAX = 4 };

/* A call whose argument `bad` holds a map with equal keys, if `is_bad`. */
static void put_call(struct fixture *fixture, const char *kinds, size_t bad,
                     bool is_bad)
{
    struct buf *args = &fixture->args;
    size_t count = strlen(kinds);

    assert_true(count <= ARGS_MAX);
    buf_clear(args);
    etf_put_list(args, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        bool here = is_bad && i == bad;

        switch (kinds[i]) {
        case 'i': /* an id */
            etf_put_atom(args, "box");
            break;
        case 'n': /* a number */
            etf_put_u64(args, 7);
            break;
        case 'p':
            put_pid(args);
            break;
        case 'o': /* options of create_sandbox */
            etf_put_map(args, 1);
            etf_put_atom(args, "checkpoint");
            etf_put_map(args, 1);
            etf_put_nil(args);
            if (here) {
                put_equal_keys(args);
            } else {
                etf_put_nil(args);
            }
            break;
        default: /* any term */
            etf_put_tuple(args, 1);
            if (here) {
                put_equal_keys(args);
            } else {
                etf_put_map(args, 0);
            }
            break;
        }
    }
    etf_put_nil(args);
}

static int check_call(struct fixture *fixture, const char *module,
                      const char *function, const char *kinds)
{
    struct rng rng;

    rng_init(&rng, 4711);
    assert_ok(decode(fixture, module, function, (uint32_t)strlen(kinds)));
    return api_check_terms(&fixture->request, SIZE_MAX, &rng, &fixture->reason);
}

static void terms_with_equal_keys_are_refused_wherever_they_are(void **state)
{
    static const struct {
        const char *module;
        const char *function;
        const char *kinds; /* of the arguments: see put_call() */
        size_t bad;
        const char *what;
    } rows[] = {
        {"quorate", "create_sandbox", "it", 1, "spec"},
        {"quorate", "create_sandbox", "ito", 1, "spec"},
        {"quorate", "create_sandbox", "ito", 2, "options"},
        {"state_replicator", "replicate_state", "int", 2, "state"},
        {"consistency_manager", "register", "tpt", 0, "name"},
        {"consistency_manager", "register", "tpt", 2, "meta"},
        {"consistency_manager", "unregister", "tp", 0, "name"},
        {"consistency_manager", "whereis", "t", 0, "name"},
    };
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct etf_reader reason;

        put_call(&fixture, rows[i].kinds, rows[i].bad, false);
        assert_ok(check_call(&fixture, rows[i].module, rows[i].function,
                             rows[i].kinds));
        assert_int_equal(fixture.reason.size, 0);
        put_call(&fixture, rows[i].kinds, rows[i].bad, true);
        assert_err(check_call(&fixture, rows[i].module, rows[i].function,
                              rows[i].kinds),
                   ERR_BADARG);
        reason = etf_reader_of(buf_bytes(&fixture.reason));
        assert_ok(etf_read_tuple_of(&reason, 2));
        assert_true(etf_take_atom(&reason, "equal_keys"));
        assert_true(etf_take_atom(&reason, rows[i].what));
        assert_true(etf_at_end(&reason));
    }
    fixture_close(&fixture);
}

static void no_memory_to_compare_keys_is_told(void **state)
{
    struct fixture fixture;
    struct rng rng;
    int rv;

    (void)state;
    rng_init(&rng, 4711);
    fixture_open(&fixture);
    etf_put_list(&fixture.args, 2);
    etf_put_atom(&fixture.args, "box");
    etf_put_map(&fixture.args, 1000);
    for (uint64_t i = 0; i < 1000; i++) {
        etf_put_u64(&fixture.args, i);
        etf_put_nil(&fixture.args);
    }
    etf_put_nil(&fixture.args);
    assert_ok(decode(&fixture, "quorate", "create_sandbox", 2));
    mem_fail_after(0);
    rv = api_check_terms(&fixture.request, SIZE_MAX, &rng, &fixture.reason);
    mem_fail_after(UINT64_MAX);
    assert_err(rv, ERR_NOMEM);
    assert_int_equal(fixture.reason.size, 0);
    fixture_close(&fixture);
}

static void put_add(struct fixture *fixture, const char *node,
                    const char *address)
{
    buf_clear(&fixture->args);
    etf_put_list(&fixture->args, 2);
    etf_put_atom(&fixture->args, node);
    etf_put_map(&fixture->args, 1);
    etf_put_atom(&fixture->args, "address");
    etf_put_string_binary(&fixture->args, address);
    etf_put_nil(&fixture->args);
}

static void a_member_has_a_name_and_an_address(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    put_add(&fixture, "m2@host", "[::1]:4370");
    assert_ok(decode(&fixture, "quorum_manager", "add_member", 2));
    assert_bytes(fixture.request.node, "m2@host", 7);
    assert_bytes(fixture.request.address, "[::1]:4370", 10);
    assert_int_equal(fixture.request.timeout_ms, 60000);
    put_add(&fixture, "m2", "host:1");
    assert_err(decode(&fixture, "quorum_manager", "add_member", 2), ERR_BADARG);
    assert_bytes(buf_bytes(&fixture.reason), "w\4node", 6);
    put_add(&fixture, "m2@host", "host:0");
    assert_err(decode(&fixture, "quorum_manager", "add_member", 2), ERR_BADARG);
    assert_bytes(buf_bytes(&fixture.reason), "w\7address", 9);
    buf_clear(&fixture.args);
    etf_put_list(&fixture.args, 2);
    etf_put_atom(&fixture.args, "m2@host");
    etf_put_map(&fixture.args, 0);
    etf_put_nil(&fixture.args);
    assert_err(decode(&fixture, "quorum_manager", "add_member", 2), ERR_BADARG);
    assert_bytes(buf_bytes(&fixture.reason), "w\7address", 9);
    assert_ok(decode(&fixture, "quorum_manager", "remove_member", 2));
    assert_bytes(fixture.request.node, "m2@host", 7);
    fixture_close(&fixture);
}

/* [{M, F, Args}, #{Key => Value}], where all but the args are atoms or a
 * number. */
static void put_execute(struct fixture *fixture, struct bytes args,
                        const char *key, struct bytes value)
{
    buf_clear(&fixture->args);
    etf_put_list(&fixture->args, 2);
    etf_put_tuple(&fixture->args, 3);
    etf_put_atom(&fixture->args, "mod");
    etf_put_atom(&fixture->args, "fun");
    etf_put_raw(&fixture->args, args);
    etf_put_map(&fixture->args, 1);
    etf_put_atom(&fixture->args, key);
    etf_put_raw(&fixture->args, value);
    etf_put_nil(&fixture->args);
}

static int decode_execute(struct fixture *fixture)
{
    return decode(fixture, "quorum_manager", "execute_with_quorum", 2);
}

static void a_function_to_run_is_taken_apart(void **state)
{
    const struct bytes list = bytes_of("l\0\0\0\1a\1j", 8);
    const struct bytes string = bytes_of("k\0\2\1\2", 5);
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    put_execute(&fixture, list, "required", bytes_of("a\3", 2));
    assert_ok(decode_execute(&fixture));
    assert_int_equal(fixture.request.type, API_EXECUTE);
    assert_bytes(fixture.request.mfa.module, "mod", 3);
    assert_bytes(fixture.request.mfa.function, "fun", 3);
    assert_bytes(fixture.request.mfa.args, list.data, list.size);
    assert_int_equal(fixture.request.required, 3);
    assert_int_equal(fixture.request.run_on.size, 0);
    put_execute(&fixture, string, "node", bytes_of("w\3a@b", 5));
    assert_ok(decode_execute(&fixture));
    assert_bytes(fixture.request.mfa.args, string.data, string.size);
    assert_int_equal(fixture.request.required, 0);
    assert_bytes(fixture.request.run_on, "a@b", 3);
    fixture_close(&fixture);
}

static void what_cannot_be_run_is_refused(void **state)
{
    static const uint8_t filler[API_MFA_SIZE_MAX] = {0};
    const struct bytes nil = bytes_of("j", 1);
    const struct {
        struct bytes args;
        const char *key;
        struct bytes value;
        struct bytes reason;
    } rows[] = {
        {bytes_of("a\1", 2), "node", bytes_of("w\1a", 3),
         bytes_of("w\3mfa", 5)},
        {bytes_of("l\0\0\0\1a\1a\2", 9), "node", bytes_of("w\1a", 3),
         bytes_of("w\3mfa", 5)},
        {nil, "required", bytes_of("a\0", 2), bytes_of("w\10required", 10)},
        {nil, "required", bytes_of("b\0\0\4\1", 5),
         bytes_of("w\10required", 10)},
        {nil, "node", bytes_of("a\1", 2), bytes_of("w\4node", 6)},
        {nil, "node", bytes_of("w\0", 2), bytes_of("w\4node", 6)},
    };
    struct fixture fixture;
    struct buf long_args;

    (void)state;
    fixture_open(&fixture);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        put_execute(&fixture, rows[i].args, rows[i].key, rows[i].value);
        assert_err(decode_execute(&fixture), ERR_BADARG);
        assert_bytes(buf_bytes(&fixture.reason), rows[i].reason.data,
                     rows[i].reason.size);
    }
    buf_init(&long_args, 2 * API_MFA_SIZE_MAX);
    etf_put_list(&long_args, 1);
    etf_put_binary(&long_args, bytes_of(filler, sizeof(filler)));
    etf_put_nil(&long_args);
    put_execute(&fixture, buf_bytes(&long_args), "node", bytes_of("w\1a", 3));
    assert_err(decode_execute(&fixture), ERR_BADARG);
    buf_close(&long_args);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_without_arguments_have_defaults),
        cmocka_unit_test(unknown_functions_are_undef),
        cmocka_unit_test(a_sandbox_is_created_with_options),
        cmocka_unit_test(names_are_listed_from_a_name_on),
        cmocka_unit_test(lists_are_linearizable_on_request),
        cmocka_unit_test(states_and_names_are_carried_raw),
        cmocka_unit_test(small_numbers_are_arguments_too),
        cmocka_unit_test(some_ids_are_reserved),
        cmocka_unit_test(each_argument_of_a_wrong_kind_is_named),
        cmocka_unit_test(what_is_kept_has_limits),
        cmocka_unit_test(arguments_must_be_a_list_of_the_arity),
        cmocka_unit_test(epochs_are_below_2_to_63),
        cmocka_unit_test(terms_with_equal_keys_are_refused_wherever_they_are),
        cmocka_unit_test(no_memory_to_compare_keys_is_told),
        cmocka_unit_test(a_member_has_a_name_and_an_address),
        cmocka_unit_test(a_function_to_run_is_taken_apart),
        cmocka_unit_test(what_cannot_be_run_is_refused),
    };

    return cmocka_run_group_tests_name("api_request", tests, NULL, NULL);
}
