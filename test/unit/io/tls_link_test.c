/* SPDX-License-Identifier: Apache-2.0
 * Two ends of a TLS connection against each other, in memory. */
#include "base/err.h"
#include "base/mem.h"
#include "io/tls_internal.h"
#include "io/tls_link.h"
#include "unit/io/tls_fixture.h"

#include <string.h>

enum { ROOM_SIZE = 65536, ROUNDS_MAX = 100000 };

struct end {
    struct tls *tls;
    struct tls_link *link;
    struct buf out;   /* sealed, not delivered yet */
    struct buf plain; /* what was opened */
    int rv;           /* of the last tls_link_open() that failed */
};

struct fixture {
    struct certificates certificates;
    struct end ends[2]; /* the initiator first */
};

static void init_end(struct end *end)
{
    *end = (struct end){0};
    buf_init(&end->out, SIZE_MAX);
    buf_init(&end->plain, SIZE_MAX);
}

static int set_up(void **state)
{
    struct fixture *fixture = (struct fixture *)calloc(1, sizeof(*fixture));

    certificates_init(&fixture->certificates);
    init_end(&fixture->ends[0]);
    init_end(&fixture->ends[1]);
    *state = fixture;
    return 0;
}

/* As after init_end(). */
static void close_end(struct end *end)
{
    tls_link_free(end->link);
    tls_free(end->tls);
    buf_close(&end->out);
    buf_close(&end->plain);
    init_end(end);
}

static int tear_down(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    close_end(&fixture->ends[0]);
    close_end(&fixture->ends[1]);
    certificates_close(&fixture->certificates);
    free(fixture);
    return 0;
}

/* `a` dials `b`, each with its files. */
static void make_ends(struct fixture *fixture, const struct tls_config *a,
                      const struct tls_config *b)
{
    const struct tls_config *configs[] = {a, b};

    for (size_t i = 0; i < 2; i++) {
        struct end *end = &fixture->ends[i];

        end->tls = certificates_tls(configs[i]);
        assert_ok(tls_link_new(end->tls, i == 0, bytes_of_string("b@localhost"),
                               &end->link));
    }
}

static void open_all(struct end *end)
{
    static uint8_t room[ROOM_SIZE];
    size_t size;

    do {
        int rv = tls_link_open(end->link, room, sizeof(room), &size);

        if (rv != 0) {
            end->rv = end->rv == 0 ? rv : end->rv;
            size = 0;
        }
        buf_put(&end->plain, room, size);
    } while (size > 0);
    tls_link_take(end->link, &end->out);
}

/* Delivers at most `step` bytes at a time until both have nothing to say. */
static void exchange(struct fixture *fixture, size_t step)
{
    size_t rounds = 0;

    open_all(&fixture->ends[0]);
    open_all(&fixture->ends[1]);
    while (fixture->ends[0].out.size + fixture->ends[1].out.size > 0) {
        for (size_t i = 0; i < 2; i++) {
            struct end *from = &fixture->ends[i];
            size_t size = from->out.size < step ? from->out.size : step;

            if (size > 0) {
                assert_ok(tls_link_feed(fixture->ends[1 - i].link,
                                        bytes_of(from->out.data, size)));
                buf_consume(&from->out, size);
                open_all(&fixture->ends[1 - i]);
            }
        }
        assert_true(++rounds < ROUNDS_MAX);
    }
}

static void seal_all(struct end *end, struct bytes plain)
{
    while (plain.size > 0) {
        size_t taken;

        assert_ok(tls_link_seal(end->link, plain, &taken));
        assert_true(taken > 0 && taken <= plain.size);
        plain = bytes_of(plain.data + taken, plain.size - taken);
    }
    tls_link_take(end->link, &end->out);
}

static void link_ours(struct fixture *fixture)
{
    const struct tls_config a =
        certificates_config(&fixture->certificates, "ours", "a@127.0.0.1");
    const struct tls_config b =
        certificates_config(&fixture->certificates, "ours", "b@127.0.0.1");

    make_ends(fixture, &a, &b);
}

static void bytes_pass_both_ways_in_pieces_of_any_size(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    static const size_t steps[] = {1, 7, 1000, SIZE_MAX};
    static uint8_t content[100000];

    for (size_t i = 0; i < sizeof(content); i++) {
        content[i] = (uint8_t)(i * 31 % 251);
    }
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        link_ours(fixture);
        exchange(fixture, steps[i]);
        for (size_t j = 0; j < 2; j++) {
            struct end *from = &fixture->ends[j];
            const struct end *to = &fixture->ends[1 - j];

            assert_true(tls_link_is_ready(from->link));
            seal_all(from, bytes_of(content, sizeof(content)));
            exchange(fixture, steps[i] == 1 ? 999 : steps[i]);
            assert_bytes(buf_bytes(&to->plain), content, sizeof(content));
        }
        close_end(&fixture->ends[0]);
        close_end(&fixture->ends[1]);
    }
}

static void nothing_is_sealed_before_the_peer_is_known(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    size_t taken = 1;

    link_ours(fixture);
    assert_ok(tls_link_seal(fixture->ends[0].link, bytes_of("x", 1), &taken));
    assert_int_equal(taken, 0);
    assert_false(tls_link_is_ready(fixture->ends[0].link));
}

static void a_peer_has_the_name_and_the_role_of_its_certificate(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    const struct tls_link *link;

    link_ours(fixture);
    exchange(fixture, SIZE_MAX);
    link = fixture->ends[0].link;
    assert_true(tls_link_may_be(link, bytes_of_string("b@127.0.0.1")));
    assert_true(
        tls_link_may_be(link, bytes_of_string("b-cli-12-ab@127.0.0.1")));
    assert_false(tls_link_may_be(link, bytes_of_string("a@127.0.0.1")));
    assert_false(tls_link_may_be(link, bytes_of_string("b@127.0.0.2")));
    assert_false(tls_link_may_be(link, bytes_of_string("b-cl@127.0.0.1")));
    assert_false(tls_link_may_be(link, bytes_of_string("b-cli-@127.0.0.1")));
    assert_false(
        tls_link_may_be(link, bytes_of_string("bb-cli-12-ab@127.0.0.1")));
    assert_true(bytes_is(tls_link_role(link), "worker"));
    assert_true(bytes_is(tls_link_role(fixture->ends[1].link), "member"));
}

/* Runs the handshake; it must fail on the side that is named, with the text. */
static void refused(struct fixture *fixture, const struct tls_config *a,
                    const struct tls_config *b, size_t side, const char *why)
{
    make_ends(fixture, a, b);
    exchange(fixture, SIZE_MAX);
    assert_true(fixture->ends[side].rv != 0);
    assert_string_equal(tls_link_failure(fixture->ends[side].link), why);
}

static void a_certificate_that_has_expired_is_refused(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    const struct certificates *all = &fixture->certificates;
    struct tls_config a = certificates_config(all, "ours", "a@127.0.0.1");
    struct tls_config b = certificates_config(all, "ours", "b@127.0.0.1");

    certificates_redate(all, "a@127.0.0.1", -100, -10);
    refused(fixture, &a, &b, 1, "the peer's certificate has expired");
    assert_string_equal(tls_link_failure(fixture->ends[0].link),
                        "the peer says that our certificate has expired");
}

static void a_certificate_of_tomorrow_is_refused(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    const struct certificates *all = &fixture->certificates;
    struct tls_config a = certificates_config(all, "ours", "a@127.0.0.1");
    struct tls_config b = certificates_config(all, "ours", "b@127.0.0.1");

    certificates_redate(all, "b@127.0.0.1", 86400, 186400);
    refused(fixture, &a, &b, 0,
            "the peer's certificate is not valid yet: see the clocks");
}

static void another_authority_is_refused(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    const struct certificates *all = &fixture->certificates;
    struct tls_config a = certificates_config(all, "theirs", "a@127.0.0.1");
    struct tls_config b = certificates_config(all, "ours", "b@127.0.0.1");

    refused(fixture, &a, &b, 0,
            "the peer's certificate is of another authority");
    close_end(&fixture->ends[0]);
    close_end(&fixture->ends[1]);
    /* One that takes all of ours is refused by us all the same. */
    a.ca_file = b.ca_file;
    refused(fixture, &a, &b, 1,
            "the peer's certificate is of another authority");
}

static void a_peer_without_a_certificate_is_refused(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct fixture *fixture = (struct fixture *)*state;
    const struct certificates *all = &fixture->certificates;
    const struct tls_config b = certificates_config(all, "ours", "b@127.0.0.1");

    for (size_t i = 0; i < 2; i++) {
        struct end *bare = &fixture->ends[0];
        struct end *end = &fixture->ends[1];

        bare->tls = (struct tls *)mem_alloc(sizeof(*bare->tls));
        bare->tls->context = SSL_CTX_new(TLS_method());
        assert_int_equal(
            SSL_CTX_set_max_proto_version(bare->tls->context, versions[i]), 1);
        end->tls = certificates_tls(&b);
        assert_ok(tls_link_new(bare->tls, true, bytes_of_string("b@localhost"),
                               &bare->link));
        assert_ok(
            tls_link_new(end->tls, false, bytes_of_string(""), &end->link));
        exchange(fixture, SIZE_MAX);
        assert_int_equal(end->rv, ERR_REFUSED);
        assert_string_equal(tls_link_failure(end->link),
                            "the peer has no certificate");
        close_end(bare);
        close_end(end);
    }
}

static void versions_before_1_2_are_refused(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    link_ours(fixture);
    assert_int_equal(
        SSL_CTX_get_min_proto_version(fixture->ends[0].tls->context),
        TLS1_2_VERSION);
}

static void what_is_no_tls_is_refused(void **state)
{
    static const char plain[] = "\0\x1dN\0\0\0\xd\7\7\x4f\xbc";
    struct fixture *fixture = (struct fixture *)*state;
    struct end *end = &fixture->ends[1];

    link_ours(fixture);
    assert_ok(tls_link_feed(end->link, bytes_of(plain, sizeof(plain) - 1)));
    open_all(end);
    assert_int_equal(end->rv, ERR_REFUSED);
    assert_string_equal(tls_link_failure(end->link),
                        "the peer does not speak TLS");
}

static void bytes_that_were_changed_end_the_link(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct end *from = &fixture->ends[0];

    link_ours(fixture);
    exchange(fixture, SIZE_MAX);
    seal_all(from, bytes_of_string("owner"));
    from->out.data[from->out.size - 1] ^= 1;
    exchange(fixture, SIZE_MAX);
    assert_int_equal(fixture->ends[1].rv, ERR_MALFORMED);
    assert_int_equal(fixture->ends[1].plain.size, 0);
}

static void a_new_certificate_counts_for_new_links(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    const struct certificates *all = &fixture->certificates;
    struct tls *tls;
    struct buf error;

    link_ours(fixture);
    exchange(fixture, SIZE_MAX);
    tls = fixture->ends[0].tls;
    buf_init(&error, TLS_ERROR_SIZE);
    assert_true(bytes_is(tls_own_name(tls), "a@127.0.0.1"));
    certificates_issue(all, "ours", "a@127.0.0.1", "client");
    assert_ok(tls_reload(tls, &error));
    /* The one that stands goes on. */
    seal_all(&fixture->ends[0], bytes_of_string("still here"));
    exchange(fixture, SIZE_MAX);
    assert_bytes(buf_bytes(&fixture->ends[1].plain), "still here", 10);
    tls_link_free(fixture->ends[0].link);
    tls_link_free(fixture->ends[1].link);
    assert_ok(tls_link_new(tls, true, bytes_of_string("b@localhost"),
                           &fixture->ends[0].link));
    assert_ok(tls_link_new(fixture->ends[1].tls, false, bytes_of_string(""),
                           &fixture->ends[1].link));
    exchange(fixture, SIZE_MAX);
    assert_true(bytes_is(tls_link_role(fixture->ends[1].link), "client"));
    buf_close(&error);
}

static void renegotiation_keeps_the_link(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    link_ours(fixture);
    /* 1.3 has none. */
    assert_int_equal(SSL_CTX_set_max_proto_version(
                         fixture->ends[0].tls->context, TLS1_2_VERSION),
                     1);
    tls_link_free(fixture->ends[0].link);
    assert_ok(tls_link_new(fixture->ends[0].tls, true,
                           bytes_of_string("b@localhost"),
                           &fixture->ends[0].link));
    exchange(fixture, SIZE_MAX);
    assert_true(tls_link_is_ready(fixture->ends[1].link));
    assert_int_equal(SSL_renegotiate(fixture->ends[0].link->ssl), 1);
    exchange(fixture, 100);
    seal_all(&fixture->ends[0], bytes_of_string("after"));
    exchange(fixture, SIZE_MAX);
    assert_int_equal(fixture->ends[1].rv, 0);
    assert_bytes(buf_bytes(&fixture->ends[1].plain), "after", 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(bytes_pass_both_ways_in_pieces_of_any_size),
        TEST(nothing_is_sealed_before_the_peer_is_known),
        TEST(a_peer_has_the_name_and_the_role_of_its_certificate),
        TEST(a_certificate_that_has_expired_is_refused),
        TEST(a_certificate_of_tomorrow_is_refused),
        TEST(another_authority_is_refused),
        TEST(a_peer_without_a_certificate_is_refused),
        TEST(versions_before_1_2_are_refused),
        TEST(what_is_no_tls_is_refused),
        TEST(bytes_that_were_changed_end_the_link),
        TEST(a_new_certificate_counts_for_new_links),
        TEST(renegotiation_keeps_the_link),
    };
#undef TEST

    return cmocka_run_group_tests_name("io/tls_link", tests, NULL, NULL);
}
