/* SPDX-License-Identifier: Apache-2.0
 * The port mapper's protocol: requests byte for byte, answers whole, cut at
 * each length, and wrong. */
#include "dist/epmd.h"
#include "lib/test.h"

static void registration_is_hidden_and_of_version_6(void **state)
{
    static const char expected[] = "\0\24"
                                   "x\x11\x12H\0\0\6\0\6\0\7quorate\0";
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    epmd_encode_alive(&out, bytes_of_string("quorate"), 0x1112);
    /* The literal's own zero is the last byte. */
    assert_bytes(buf_bytes(&out), expected, sizeof(expected));
    buf_close(&out);
}

static void a_port_is_asked_for_by_name(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    epmd_encode_port(&out, bytes_of_string("srvnode"));
    assert_bytes(buf_bytes(&out),
                 "\0\10"
                 "zsrvnode",
                 10);
    buf_close(&out);
}

static void both_forms_of_a_registration_are_read(void **state)
{
    static const char wide[] = "v\0\1\2\3\4rest";
    static const char narrow[] = "y\0\1\2rest";
    uint32_t creation;
    size_t used;

    (void)state;
    assert_ok(epmd_decode_alive(bytes_of(wide, 10), &creation, &used));
    assert_int_equal(creation, 0x01020304);
    assert_int_equal(used, 6);
    assert_ok(epmd_decode_alive(bytes_of(narrow, 8), &creation, &used));
    assert_int_equal(creation, 0x0102);
    assert_int_equal(used, 4);
    for (size_t size = 0; size < 6; size++) {
        assert_err(epmd_decode_alive(bytes_of(wide, size), &creation, &used),
                   ERR_TRUNCATED);
    }
    for (size_t size = 0; size < 4; size++) {
        assert_err(epmd_decode_alive(bytes_of(narrow, size), &creation, &used),
                   ERR_TRUNCATED);
    }
}

static void a_taken_name_and_nonsense_are_refused(void **state)
{
    uint32_t creation = 77;
    size_t used;

    (void)state;
    assert_err(
        epmd_decode_alive(bytes_of("v\1\0\0\0\143", 6), &creation, &used),
        ERR_REFUSED);
    assert_err(epmd_decode_alive(bytes_of("w\0\0\0", 4), &creation, &used),
               ERR_MALFORMED);
    assert_int_equal(creation, 77);
}

/* As captured from the port mapper of OTP 25 for a virtual machine. */
static const char port_answer[] = "w\0\x89\x43M\0\0\6\0\5\0\7srvnode\0\0";
enum { PORT_ANSWER_SIZE = 21 };

static void the_answer_for_a_node_is_read(void **state)
{
    struct epmd_node node;
    size_t used;

    (void)state;
    assert_ok(epmd_decode_port(bytes_of(port_answer, PORT_ANSWER_SIZE), &node,
                               &used));
    assert_int_equal(used, PORT_ANSWER_SIZE);
    assert_bytes(node.alive, "srvnode", 7);
    assert_int_equal(node.port, 0x8943);
    assert_int_equal(node.type, EPMD_VISIBLE);
    assert_int_equal(node.protocol, 0);
    assert_int_equal(node.version_high, 6);
    assert_int_equal(node.version_low, 5);
    for (size_t size = 0; size < PORT_ANSWER_SIZE; size++) {
        assert_err(epmd_decode_port(bytes_of(port_answer, size), &node, &used),
                   ERR_TRUNCATED);
    }
}

/* The answer with one byte changed. */
static int decode_changed(size_t offset, char value)
{
    char changed[PORT_ANSWER_SIZE];
    struct epmd_node node;
    size_t used;

    memcpy(changed, port_answer, sizeof(changed));
    changed[offset] = value;
    return epmd_decode_port(bytes_of(changed, sizeof(changed)), &node, &used);
}

static void bad_answers_for_a_node_are_told_apart(void **state)
{
    struct epmd_node node;
    size_t used;

    (void)state;
    assert_err(epmd_decode_port(bytes_of("w\1", 2), &node, &used),
               ERR_NOT_FOUND);
    assert_err(decode_changed(0, 'v'), ERR_MALFORMED);
    assert_err(decode_changed(7, 5), ERR_UNSUPPORTED); /* highest 5 */
    assert_err(decode_changed(9, 7), ERR_UNSUPPORTED); /* lowest 7 */
    assert_err(decode_changed(11, 0), ERR_MALFORMED);  /* no name */
    assert_err(decode_changed(20, 1), ERR_TRUNCATED);  /* a longer extra */
    assert_err(decode_changed(10, 1), ERR_MALFORMED);  /* a name of 263 */
    assert_err(decode_changed(19, 127), ERR_MALFORMED);
    assert_err(epmd_decode_port(bytes_of("w\0\0\0M\0\0\6\0\5\0\1x\0\0", 15),
                                &node, &used),
               ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registration_is_hidden_and_of_version_6),
        cmocka_unit_test(a_port_is_asked_for_by_name),
        cmocka_unit_test(both_forms_of_a_registration_are_read),
        cmocka_unit_test(a_taken_name_and_nonsense_are_refused),
        cmocka_unit_test(the_answer_for_a_node_is_read),
        cmocka_unit_test(bad_answers_for_a_node_are_told_apart),
    };

    return cmocka_run_group_tests_name("dist_epmd", tests, NULL, NULL);
}
