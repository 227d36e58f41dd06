/* SPDX-License-Identifier: Apache-2.0
 * The handshake: the bytes of a real node, both roles against each other with
 * every verdict, and every way in which a packet can be wrong. */
#include "dist/flags.h"
#include "dist/handshake.h"
#include "lib/test.h"
#include "vectors.h"

#include <openssl/evp.h>

#define OTP_FLAGS UINT64_C(0xd07df7fbc)

static void md5(struct bytes data, uint8_t ret_digest[HANDSHAKE_DIGEST_SIZE])
{
    unsigned size = HANDSHAKE_DIGEST_SIZE;

    assert_int_equal(
        EVP_Digest(data.data, data.size, ret_digest, &size, EVP_md5(), NULL),
        1);
}

static enum handshake_verdict give_verdict(void *arg, struct bytes name)
{
    assert_true(bytes_is(name, "tester@127.0.0.1"));
    return *(enum handshake_verdict *)arg;
}

/* One side with what it has sent. */
struct side {
    const char *cookie; /* that it shares with `peer` */
    const char *peer;
    struct handshake handshake;
    struct handshake_config config;
    struct buf out;
    enum handshake_verdict verdict;
};

/* The cookie of that peer; no other peer has it. */
static struct bytes give_cookie(void *arg, struct bytes name)
{
    const struct side *side = arg;

    return bytes_of_string(bytes_is(name, side->peer) ? side->cookie : "other");
}

/* As recorded: the node `tester` dials us, `quorate`. */
static void side_open(struct side *side, bool is_initiator)
{
    const char *own = is_initiator ? "tester@127.0.0.1" : "quorate@127.0.0.1";
    const char *peer = is_initiator ? "quorate@127.0.0.1" : "tester@127.0.0.1";

    *side = (struct side){"secret", peer, .verdict = HANDSHAKE_ACCEPT};
    side->config = (struct handshake_config){
        .is_initiator = is_initiator,
        .name = bytes_of_string(own),
        .cookie = give_cookie,
        .cookie_arg = side,
        .peer_name = bytes_of_string("quorate@127.0.0.1"),
        .flags = is_initiator ? OTP_FLAGS : DIST_FLAGS_OFFERED,
        .creation = is_initiator ? 0x1e0a8346 : 7,
        .challenge = is_initiator ? 0x2534a32f : 0x01020304,
        .digest = md5,
        .verdict = give_verdict,
        .verdict_arg = &side->verdict};
    buf_init(&side->out, 4096);
}

static void side_start(struct side *side)
{
    assert_ok(handshake_init(&side->handshake, &side->config, &side->out));
}

static void side_close(struct side *side)
{
    buf_close(&side->out);
}

/* Gives `size` bytes and expects that all are used. */
static int give(struct side *side, const void *data, size_t size)
{
    size_t used;
    int rv = handshake_input(&side->handshake, bytes_of(data, size), &side->out,
                             &used);

    if (rv == 0) {
        assert_int_equal(used, size);
    }
    return rv;
}

static void assert_sent(struct side *side, const char *hex)
{
    struct buf expected;

    buf_init(&expected, 4096);
    put_hex(&expected, hex);
    assert_bytes(buf_bytes(&side->out), expected.data, expected.size);
    buf_close(&expected);
    buf_clear(&side->out);
}

static int give_hex(struct side *side, const char *hex)
{
    struct buf input;
    int rv;

    buf_init(&input, 4096);
    put_hex(&input, hex);
    rv = give(side, input.data, input.size);
    buf_close(&input);
    return rv;
}

/* A packet with a 16-bit length from parts. */
static int give_packet(struct side *side, const void *data, size_t size)
{
    struct buf packet;
    int rv;

    buf_init(&packet, 4096);
    buf_put_u16(&packet, (uint16_t)size);
    buf_put(&packet, data, size);
    rv = give(side, packet.data, packet.size);
    buf_close(&packet);
    return rv;
}

static void assert_failed(const struct side *side)
{
    assert_int_equal(side->handshake.state, HANDSHAKE_FAILED);
    assert_non_null(side->handshake.failure);
}

/* --- A real node ---------------------------------------------------------- */

static void acceptor_answers_a_recorded_node(void **state)
{
    struct side side;

    (void)state;
    side_open(&side, false);
    side_start(&side);
    assert_ok(give_hex(&side, VECTOR_HS_NAME));
    assert_sent(&side, VECTOR_HS_STATUS_CHALLENGE);
    assert_ok(give_hex(&side, VECTOR_HS_RESPONSE));
    assert_sent(&side, VECTOR_HS_ACK);
    assert_int_equal(side.handshake.state, HANDSHAKE_DONE);
    assert_string_equal(side.handshake.peer_name, "tester@127.0.0.1");
    assert_true(side.handshake.peer_flags == OTP_FLAGS);
    assert_int_equal(side.handshake.peer_creation, 0x1e0a8346);
    side_close(&side);
}

static void initiator_sends_what_a_recorded_node_sent(void **state)
{
    struct side side;

    (void)state;
    side_open(&side, true);
    side_start(&side);
    assert_sent(&side, VECTOR_HS_NAME);
    assert_ok(give_hex(&side, VECTOR_HS_STATUS_CHALLENGE));
    assert_sent(&side, VECTOR_HS_RESPONSE);
    assert_ok(give_hex(&side, VECTOR_HS_ACK));
    assert_int_equal(side.handshake.state, HANDSHAKE_DONE);
    assert_string_equal(side.handshake.peer_name, "quorate@127.0.0.1");
    assert_true(side.handshake.peer_flags == DIST_FLAGS_OFFERED);
    assert_int_equal(side.handshake.peer_creation, 7);
    side_close(&side);
}

/* --- Both roles ----------------------------------------------------------- */

/* Moves what `from` sent to `to`, `step` bytes at a time (0: all). */
static int carry(struct side *from, struct side *to, size_t step)
{
    struct buf input;
    size_t end = 0;
    int rv = 0;

    buf_init(&input, 4096);
    while (rv == 0 && end < from->out.size) {
        size_t left = from->out.size - end;
        size_t count = step == 0 || step > left ? left : step;
        size_t used;

        buf_put(&input, from->out.data + end, count);
        end += count;
        rv =
            handshake_input(&to->handshake, buf_bytes(&input), &to->out, &used);
        buf_consume(&input, used);
    }
    if (rv == 0) {
        assert_int_equal(input.size, 0);
    }
    buf_clear(&from->out);
    buf_close(&input);
    return rv;
}

/* Runs both sides to their ends; gives their last results. */
static void run_pair(struct side *initiator, struct side *acceptor, size_t step,
                     int *ret_initiator, int *ret_acceptor)
{
    *ret_initiator = 0;
    *ret_acceptor = 0;
    side_start(acceptor);
    side_start(initiator);
    for (int turn = 0; turn < 10; turn++) {
        if (initiator->out.size > 0 &&
            acceptor->handshake.state != HANDSHAKE_FAILED) {
            *ret_acceptor = carry(initiator, acceptor, step);
        }
        if (acceptor->out.size > 0 &&
            initiator->handshake.state != HANDSHAKE_FAILED) {
            *ret_initiator = carry(acceptor, initiator, step);
        }
    }
}

static void roles_agree_however_the_bytes_are_cut(void **state)
{
    (void)state;
    for (size_t step = 0; step < 30; step++) { /* 0: all at once */
        for (int is_wide = 0; is_wide < 2; is_wide++) {
            struct side initiator;
            struct side acceptor;
            int rv_initiator;
            int rv_acceptor;

            side_open(&initiator, true);
            side_open(&acceptor, false);
            initiator.config.is_wide = is_wide != 0;
            acceptor.config.is_wide = is_wide != 0;
            run_pair(&initiator, &acceptor, step, &rv_initiator, &rv_acceptor);
            assert_ok(rv_initiator);
            assert_ok(rv_acceptor);
            assert_int_equal(initiator.handshake.state, HANDSHAKE_DONE);
            assert_int_equal(acceptor.handshake.state, HANDSHAKE_DONE);
            side_close(&initiator);
            side_close(&acceptor);
        }
    }
}

static void verdicts_lead_to_their_ends(void **state)
{
    static const struct {
        enum handshake_verdict verdict;
        int rv;
    } rows[] = {{HANDSHAKE_ACCEPT, 0},
                {HANDSHAKE_SIMULTANEOUS, 0},
                {HANDSHAKE_ALIVE, 0},
                {HANDSHAKE_NOK, ERR_REFUSED},
                {HANDSHAKE_NOT_ALLOWED, ERR_REFUSED}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct side initiator;
        struct side acceptor;
        int rv_initiator;
        int rv_acceptor;

        side_open(&initiator, true);
        side_open(&acceptor, false);
        acceptor.verdict = rows[i].verdict;
        run_pair(&initiator, &acceptor, 1, &rv_initiator, &rv_acceptor);
        assert_err(rv_initiator, rows[i].rv);
        assert_err(rv_acceptor, rows[i].rv);
        if (rows[i].rv != 0) {
            assert_failed(&initiator);
            assert_failed(&acceptor);
        }
        side_close(&initiator);
        side_close(&acceptor);
    }
}

static void alive_waits_for_the_peers_choice(void **state)
{
    struct side side;

    (void)state;
    side_open(&side, false);
    side.verdict = HANDSHAKE_ALIVE;
    side_start(&side);
    assert_ok(give_hex(&side, VECTOR_HS_NAME));
    assert_bytes(buf_bytes(&side.out), "\0\6salive", 8);
    assert_int_equal(side.handshake.state, HANDSHAKE_RECV_ALIVE_REPLY);
    assert_err(give_packet(&side, "sfalse", 6), ERR_REFUSED);
    assert_failed(&side);
    side_close(&side);

    side_open(&side, false);
    side.verdict = HANDSHAKE_ALIVE;
    side_start(&side);
    assert_ok(give_hex(&side, VECTOR_HS_NAME));
    assert_err(give_packet(&side, "sperhaps", 8), ERR_MALFORMED);
    assert_failed(&side);
    side_close(&side);
}

static void initiator_always_wants_the_new_link(void **state)
{
    struct side side;

    (void)state;
    side_open(&side, true);
    side_start(&side);
    buf_clear(&side.out);
    assert_ok(give_packet(&side, "salive", 6));
    assert_bytes(buf_bytes(&side.out), "\0\5strue", 7);
    assert_int_equal(side.handshake.state, HANDSHAKE_RECV_CHALLENGE);
    side_close(&side);
}

/* --- Secrets -------------------------------------------------------------- */

static void acceptor_refuses_another_cookie(void **state)
{
    struct side initiator;
    struct side acceptor;
    int rv_initiator;
    int rv_acceptor;

    (void)state;
    side_open(&initiator, true);
    side_open(&acceptor, false);
    initiator.cookie = "guess";
    run_pair(&initiator, &acceptor, 0, &rv_initiator, &rv_acceptor);
    assert_ok(rv_initiator);
    assert_int_equal(initiator.handshake.state, HANDSHAKE_RECV_ACK);
    assert_err(rv_acceptor, ERR_AUTH);
    assert_failed(&acceptor);
    /* Nothing that a guesser could learn from. */
    assert_int_equal(acceptor.out.size, 0);
    side_close(&initiator);
    side_close(&acceptor);
}

/* Each peer has a cookie of its own: who has that of another one is refused. */
static void each_role_asks_for_the_cookie_of_that_peer(void **state)
{
    (void)state;
    for (int role = 0; role < 2; role++) {
        struct side sides[2];
        int rv[2];

        side_open(&sides[0], true);
        side_open(&sides[1], false);
        sides[role].peer = "another@127.0.0.1";
        run_pair(&sides[0], &sides[1], 0, &rv[0], &rv[1]);
        assert_err(rv[1], ERR_AUTH);
        side_close(&sides[0]);
        side_close(&sides[1]);
    }
}

static void initiator_refuses_a_wrong_acknowledgement(void **state)
{
    struct side side;

    (void)state;
    side_open(&side, true);
    side_start(&side);
    assert_ok(give_hex(&side, VECTOR_HS_STATUS_CHALLENGE));
    assert_err(give_packet(&side, "a0123456789abcdef", 17), ERR_AUTH);
    assert_failed(&side);
    side_close(&side);
}

/* --- Flags and names ------------------------------------------------------ */

static void put_name_packet(struct buf *buf, uint64_t flags, const char *name)
{
    buf_put_u8(buf, 'N');
    buf_put_u64(buf, flags);
    buf_put_u32(buf, 5);
    buf_put_u16(buf, (uint16_t)strlen(name));
    buf_put(buf, name, strlen(name));
}

static int accept_name(struct side *side, uint64_t flags, const char *name)
{
    struct buf packet;
    int rv;

    buf_init(&packet, 2048);
    put_name_packet(&packet, flags, name);
    side_open(side, false);
    side_start(side);
    rv = give_packet(side, packet.data, packet.size);
    buf_close(&packet);
    return rv;
}

static void each_mandatory_flag_is_needed(void **state)
{
    struct side side;

    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        uint64_t flag = UINT64_C(1) << bit;

        if ((DIST_FLAGS_MANDATORY & flag) == 0) {
            continue;
        }
        assert_err(accept_name(&side, DIST_FLAGS_MANDATORY & ~flag,
                               "tester@127.0.0.1"),
                   ERR_UNSUPPORTED);
        assert_failed(&side);
        assert_bytes(buf_bytes(&side.out), "\0\14snot_allowed", 14);
        side_close(&side);
    }
    assert_ok(accept_name(&side, DIST_FLAGS_MANDATORY, "tester@127.0.0.1"));
    side_close(&side);
}

static void the_digest_flag_stands_for_the_mandatory_ones(void **state)
{
    struct side side;

    (void)state;
    assert_ok(accept_name(&side,
                          DIST_FLAG_MANDATORY_25_DIGEST | DIST_FLAG_SPAWN,
                          "tester@127.0.0.1"));
    assert_true(side.handshake.peer_flags ==
                (DIST_FLAGS_MANDATORY | DIST_FLAG_MANDATORY_25_DIGEST |
                 DIST_FLAG_SPAWN));
    side_close(&side);
}

static void initiator_needs_the_mandatory_flags_too(void **state)
{
    struct side side;
    struct buf packet;

    (void)state;
    buf_init(&packet, 2048);
    buf_put_u8(&packet, 'N');
    buf_put_u64(&packet, DIST_FLAGS_OFFERED & ~(DIST_FLAG_BIG_CREATION |
                                                DIST_FLAG_MANDATORY_25_DIGEST));
    buf_put_u64(&packet, 0);
    buf_put_u16(&packet, 17);
    buf_put(&packet, "quorate@127.0.0.1", 17);
    side_open(&side, true);
    side_start(&side);
    assert_ok(give_packet(&side, "sok", 3));
    assert_err(give_packet(&side, packet.data, packet.size), ERR_UNSUPPORTED);
    assert_failed(&side);
    buf_close(&packet);
    side_close(&side);
}

static void names_are_not_given_to_peers(void **state)
{
    struct side side;

    (void)state;
    assert_err(accept_name(&side, DIST_FLAGS_MANDATORY | DIST_FLAG_NAME_ME,
                           "127.0.0.1"),
               ERR_UNSUPPORTED);
    assert_failed(&side);
    assert_bytes(buf_bytes(&side.out), "\0\14snot_allowed", 14);
    side_close(&side);
}

static void bad_names_are_refused(void **state)
{
    static const char *const names[] = {
        "",      "tester",    "@",      "tester@",    "@host",
        "a@b@c", "te ster@h", "a@\x07", "a@\xc3\xa9", "a\x7f@h",
    };
    char name[300];
    struct side side;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_err(accept_name(&side, DIST_FLAGS_MANDATORY, names[i]),
                   ERR_MALFORMED);
        assert_failed(&side);
        assert_int_equal(side.out.size, 0);
        side_close(&side);
    }
    memset(name, 'x', sizeof(name));
    name[1] = '@';
    name[256] = '\0';
    assert_err(accept_name(&side, DIST_FLAGS_MANDATORY, name), ERR_MALFORMED);
    assert_failed(&side);
    side_close(&side);
}

static void a_peer_with_our_own_name_is_refused(void **state)
{
    struct side side;

    (void)state;
    assert_err(accept_name(&side, DIST_FLAGS_MANDATORY, "quorate@127.0.0.1"),
               ERR_REFUSED);
    assert_failed(&side);
    assert_bytes(buf_bytes(&side.out), "\0\4snok", 6);
    side_close(&side);
}

static void who_answers_must_be_who_was_dialled(void **state)
{
    struct side side;

    (void)state;
    side_open(&side, true);
    side.config.peer_name = bytes_of_string("quorate@127.0.0.2");
    side_start(&side);
    assert_err(give_hex(&side, VECTOR_HS_STATUS_CHALLENGE), ERR_MALFORMED);
    assert_failed(&side);
    side_close(&side);
}

static void own_names_are_checked(void **state)
{
    struct side side;

    (void)state;
    side_open(&side, false);
    side.config.name = bytes_of_string("nohost");
    assert_err(handshake_init(&side.handshake, &side.config, &side.out),
               ERR_BADARG);
    assert_failed(&side);
    side_close(&side);
    side_open(&side, true);
    side.config.peer_name = bytes_of_string("nohost");
    assert_err(handshake_init(&side.handshake, &side.config, &side.out),
               ERR_BADARG);
    assert_failed(&side);
    assert_int_equal(side.out.size, 0);
    side_close(&side);
}

/* --- Wrong packets -------------------------------------------------------- */

/* Brings a side to where it awaits the packet `index` of its role. */
static void side_at(struct side *side, bool is_initiator, int index)
{
    side_open(side, is_initiator);
    side_start(side);
    if (is_initiator && index > 0) {
        assert_ok(give_packet(side, "sok", 3));
    }
    if (is_initiator && index > 1) {
        struct buf whole;

        buf_init(&whole, 4096);
        put_hex(&whole, VECTOR_HS_STATUS_CHALLENGE);
        assert_ok(give(side, whole.data + 5, whole.size - 5));
        buf_close(&whole);
    }
    if (!is_initiator && index > 0) {
        assert_ok(give_hex(side, VECTOR_HS_NAME));
    }
    buf_clear(&side->out);
}

/* The body of the packet that comes next, in `packet`. */
static void put_expected(struct buf *packet, bool is_initiator, int index)
{
    static const struct {
        const char *hex;
        size_t begin;
        size_t end; /* 0: all */
    } rows[2][3] = {{{VECTOR_HS_NAME, 2, 0}, {VECTOR_HS_RESPONSE, 2, 0}},
                    {{VECTOR_HS_STATUS_CHALLENGE, 2, 5},
                     {VECTOR_HS_STATUS_CHALLENGE, 7, 0},
                     {VECTOR_HS_ACK, 2, 0}}};
    struct buf whole;
    size_t begin = rows[is_initiator][index].begin;
    size_t end = rows[is_initiator][index].end;

    buf_init(&whole, 4096);
    put_hex(&whole, rows[is_initiator][index].hex);
    end = end == 0 ? whole.size : end;
    buf_put(packet, whole.data + begin, end - begin);
    buf_close(&whole);
}

/* Each packet, cut at each length: refused, and no way on. */
static void shortened_packets_are_refused(void **state)
{
    (void)state;
    for (int row = 0; row < 5; row++) {
        bool is_initiator = row >= 2;
        int index = is_initiator ? row - 2 : row;
        struct buf packet;

        buf_init(&packet, 4096);
        put_expected(&packet, is_initiator, index);
        for (size_t size = 0; size <= packet.size; size++) {
            struct side side;
            int rv;

            side_at(&side, is_initiator, index);
            rv = give_packet(&side, packet.data, size);
            if (size == packet.size) {
                assert_ok(rv);
            } else {
                assert_err(rv, ERR_MALFORMED);
                assert_failed(&side);
                assert_int_equal(side.out.size, 0);
            }
            side_close(&side);
        }
        buf_close(&packet);
    }
}

static void packets_out_of_turn_are_refused(void **state)
{
    (void)state;
    for (int row = 0; row < 5; row++) {
        bool is_initiator = row >= 2;
        int index = is_initiator ? row - 2 : row;
        struct buf packet;

        buf_init(&packet, 4096);
        put_expected(&packet, is_initiator, index);
        for (int tag = 0; tag < 256; tag++) {
            uint8_t expected = packet.data[0];
            struct side side;
            int rv;

            if (tag == expected) {
                continue;
            }
            side_at(&side, is_initiator, index);
            packet.data[0] = (uint8_t)tag;
            rv = give_packet(&side, packet.data, packet.size);
            packet.data[0] = expected;
            if (expected == 'N' && tag == 'n') {
                assert_err(rv, ERR_UNSUPPORTED);
            } else {
                assert_err(rv, ERR_MALFORMED);
            }
            assert_failed(&side);
            side_close(&side);
        }
        buf_close(&packet);
    }
}

static void digests_have_no_more_bytes(void **state)
{
    struct side side;
    struct buf packet;

    (void)state;
    buf_init(&packet, 4096);
    put_expected(&packet, false, 1);
    buf_put_u8(&packet, 0);
    side_at(&side, false, 1);
    assert_err(give_packet(&side, packet.data, packet.size), ERR_MALFORMED);
    assert_failed(&side);
    side_close(&side);
    buf_clear(&packet);
    put_expected(&packet, true, 2);
    buf_put_u8(&packet, 0);
    side_at(&side, true, 2);
    assert_err(give_packet(&side, packet.data, packet.size), ERR_MALFORMED);
    assert_failed(&side);
    side_close(&side);
    buf_close(&packet);
}

static void names_may_have_later_additions(void **state)
{
    struct side side;
    struct buf packet;

    (void)state;
    buf_init(&packet, 4096);
    put_expected(&packet, false, 0);
    buf_put(&packet, "more", 4);
    side_at(&side, false, 0);
    assert_ok(give_packet(&side, packet.data, packet.size));
    assert_string_equal(side.handshake.peer_name, "tester@127.0.0.1");
    side_close(&side);
    buf_close(&packet);
}

static void long_packets_are_refused_at_their_length(void **state)
{
    static const uint8_t narrow[] = {4, 1};
    static const uint8_t wide[] = {0xff, 0, 0, 0};
    struct side side;

    (void)state;
    side_at(&side, false, 0);
    assert_err(give(&side, narrow, sizeof(narrow)), ERR_LIMIT);
    assert_failed(&side);
    side_close(&side);
    side_open(&side, false);
    side.config.is_wide = true;
    side_start(&side);
    assert_err(give(&side, wide, sizeof(wide)), ERR_LIMIT);
    assert_failed(&side);
    side_close(&side);
}

static void other_statuses_are_refused(void **state)
{
    static const struct {
        const char *status;
        int rv;
    } rows[] = {{"snok", ERR_REFUSED},         {"snot_allowed", ERR_REFUSED},
                {"s", ERR_MALFORMED},          {"sokay", ERR_MALFORMED},
                {"strue", ERR_MALFORMED},      {"sok_", ERR_MALFORMED},
                {"snamed:\0\1", ERR_MALFORMED}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct side side;

        side_at(&side, true, 0);
        assert_err(give_packet(&side, rows[i].status, strlen(rows[i].status)),
                   rows[i].rv);
        assert_failed(&side);
        side_close(&side);
    }
}

static void bytes_after_the_end_belong_to_the_link(void **state)
{
    struct side side;
    struct buf input;
    size_t used = 0;

    (void)state;
    buf_init(&input, 4096);
    put_hex(&input, VECTOR_HS_RESPONSE);
    buf_put(&input, "\0\0\0\0", 4);
    side_at(&side, false, 1);
    assert_ok(
        handshake_input(&side.handshake, buf_bytes(&input), &side.out, &used));
    assert_int_equal(used, input.size - 4);
    assert_int_equal(side.handshake.state, HANDSHAKE_DONE);
    assert_ok(
        handshake_input(&side.handshake, buf_bytes(&input), &side.out, &used));
    assert_int_equal(used, 0);
    buf_close(&input);
    side_close(&side);
}

static void no_room_for_an_answer_fails(void **state)
{
    struct side side;

    (void)state;
    side_open(&side, false);
    buf_init(&side.out, 10);
    side_start(&side);
    assert_err(give_hex(&side, VECTOR_HS_NAME), ERR_LIMIT);
    assert_failed(&side);
    side_close(&side);
    side_open(&side, true);
    buf_init(&side.out, 10);
    assert_err(handshake_init(&side.handshake, &side.config, &side.out),
               ERR_LIMIT);
    assert_failed(&side);
    side_close(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acceptor_answers_a_recorded_node),
        cmocka_unit_test(initiator_sends_what_a_recorded_node_sent),
        cmocka_unit_test(roles_agree_however_the_bytes_are_cut),
        cmocka_unit_test(verdicts_lead_to_their_ends),
        cmocka_unit_test(alive_waits_for_the_peers_choice),
        cmocka_unit_test(initiator_always_wants_the_new_link),
        cmocka_unit_test(acceptor_refuses_another_cookie),
        cmocka_unit_test(each_role_asks_for_the_cookie_of_that_peer),
        cmocka_unit_test(initiator_refuses_a_wrong_acknowledgement),
        cmocka_unit_test(each_mandatory_flag_is_needed),
        cmocka_unit_test(the_digest_flag_stands_for_the_mandatory_ones),
        cmocka_unit_test(initiator_needs_the_mandatory_flags_too),
        cmocka_unit_test(names_are_not_given_to_peers),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(a_peer_with_our_own_name_is_refused),
        cmocka_unit_test(who_answers_must_be_who_was_dialled),
        cmocka_unit_test(own_names_are_checked),
        cmocka_unit_test(shortened_packets_are_refused),
        cmocka_unit_test(packets_out_of_turn_are_refused),
        cmocka_unit_test(digests_have_no_more_bytes),
        cmocka_unit_test(names_may_have_later_additions),
        cmocka_unit_test(long_packets_are_refused_at_their_length),
        cmocka_unit_test(other_statuses_are_refused),
        cmocka_unit_test(bytes_after_the_end_belong_to_the_link),
        cmocka_unit_test(no_room_for_an_answer_fails),
    };

    return cmocka_run_group_tests_name("dist_handshake", tests, NULL, NULL);
}
