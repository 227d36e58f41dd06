/* SPDX-License-Identifier: Apache-2.0
 * Links over TLS between real sockets in one loop. */
#include "base/err.h"
#include "io/tls.h"
#include "unit/io/peers_fixture.h"
#include "unit/io/tls_fixture.h"

#include <openssl/ssl.h>
#include <sys/stat.h>

static struct certificates certificates;

static int set_up_all(void **state)
{
    (void)state;
    certificates_init(&certificates);
    return 0;
}

static int tear_down_all(void **state)
{
    (void)state;
    certificates_close(&certificates);
    return 0;
}

static int tear_down_tls(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct tls *tls[SIDES];
    int rv;

    for (size_t i = 0; i < SIDES; i++) {
        tls[i] = fixture->sides[i].tls;
    }
    rv = tear_down(state);
    for (size_t i = 0; i < SIDES; i++) {
        tls_free(tls[i]);
    }
    return rv;
}

/* Side 0 is a@, side 1 is b@, each with the certificate of `node`. */
static void start_secure(struct fixture *fixture, size_t index,
                         const char *name, const char *authority,
                         const char *node)
{
    const struct tls_config config =
        certificates_config(&certificates, authority, node);

    fixture->sides[index].tls = certificates_tls(&config);
    (void)start_side(fixture, index, name);
}

static void start_ours(struct fixture *fixture)
{
    start_secure(fixture, 0, "a@127.0.0.1", "ours", "a@127.0.0.1");
    start_secure(fixture, 1, "b@127.0.0.1", "ours", "b@127.0.0.1");
}

static bool dial_has_failed(struct fixture *fixture)
{
    return fixture->sides[0].failures > 0;
}

static bool acceptor_has_refused(struct fixture *fixture)
{
    return fixture->sides[0].failures > 0 &&
           peers_counters(fixture->sides[1].peers)->handshakes_failed > 0;
}

static void a_link_knows_the_role_of_its_peer(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start_ours(fixture);
    dial(fixture, 0, 1);
    wait_for(fixture, both_are_up);
    assert_true(
        bytes_is(peer_certificate_role(fixture->sides[0].peer), "worker"));
    assert_true(
        bytes_is(peer_certificate_role(fixture->sides[1].peer), "member"));
}

enum { COUNT = 300, BIG = 5 * 1024 * 1024 };

static bool all_has_come(struct fixture *fixture)
{
    return fixture->sides[0].frames == COUNT + 1 &&
           fixture->sides[1].frames == COUNT + 1;
}

static void frames_of_all_sizes_pass_both_ways(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    uint8_t *content = (uint8_t *)malloc(BIG);
    uint64_t digest = 0;

    start_ours(fixture);
    dial(fixture, 0, 1);
    wait_for(fixture, both_are_up);
    for (size_t i = 0; i < BIG; i++) {
        content[i] = (uint8_t)(i * 7 % 253);
    }
    for (size_t i = 0; i <= COUNT; i++) {
        struct bytes frame =
            bytes_of(content, i == COUNT / 2 ? BIG : 1 + i * i % 40000);

        digest = digest_of(digest, frame);
        send_frame(&fixture->sides[0], frame);
        send_frame(&fixture->sides[1], frame);
    }
    wait_for(fixture, all_has_come);
    assert_int_equal(fixture->sides[0].digest, digest);
    assert_int_equal(fixture->sides[1].digest, digest);
    assert_int_equal(peers_counters(fixture->sides[0].peers)->cut, 0);
    free(content);
}

static void an_acceptor_of_another_name_is_told_nothing(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start_secure(fixture, 0, "a@127.0.0.1", "ours", "a@127.0.0.1");
    start_secure(fixture, 1, "c@127.0.0.1", "ours", "b@127.0.0.1");
    dial(fixture, 0, 1);
    wait_for(fixture, dial_has_failed);
    assert_string_equal(fixture->sides[0].failed_reason,
                        "the peer's certificate is of another node");
}

static void a_dialler_of_another_name_is_not_allowed(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start_secure(fixture, 0, "c@127.0.0.1", "ours", "a@127.0.0.1");
    start_secure(fixture, 1, "b@127.0.0.1", "ours", "b@127.0.0.1");
    dial(fixture, 0, 1);
    wait_for(fixture, acceptor_has_refused);
    assert_string_equal(fixture->sides[0].failed_reason,
                        "the peer does not allow us");
}

static void names_count_only_where_they_are_verified(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct tls_config config =
        certificates_config(&certificates, "ours", "a@127.0.0.1");

    config.verify_name = false;
    for (size_t i = 0; i < 2; i++) {
        fixture->sides[i].tls = certificates_tls(&config);
        (void)start_side(fixture, i, i == 0 ? "x@127.0.0.1" : "y@127.0.0.1");
    }
    dial(fixture, 0, 1);
    wait_for(fixture, both_are_up);
}

static void another_authority_is_turned_away(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start_secure(fixture, 0, "a@127.0.0.1", "ours", "a@127.0.0.1");
    start_secure(fixture, 1, "b@127.0.0.1", "theirs", "b@127.0.0.1");
    dial(fixture, 0, 1);
    wait_for(fixture, acceptor_has_refused);
    assert_string_equal(fixture->sides[0].failed_reason,
                        "the peer's certificate is of another authority");
}

static void a_plain_dialler_is_turned_away(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    (void)start_side(fixture, 0, "a@127.0.0.1");
    start_secure(fixture, 1, "b@127.0.0.1", "ours", "b@127.0.0.1");
    dial(fixture, 0, 1);
    wait_for(fixture, acceptor_has_refused);
    assert_string_equal(
        fixture->sides[0].failed_reason,
        "the peer closed the connection: it may speak TLS only");
}

static void a_dialler_over_tls_is_turned_away_by_a_plain_node(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start_secure(fixture, 0, "a@127.0.0.1", "ours", "a@127.0.0.1");
    (void)start_side(fixture, 1, "b@127.0.0.1");
    dial(fixture, 0, 1);
    wait_for(fixture, acceptor_has_refused);
}

/* --- Puppets that stop in the middle -------------------------------------- */

/* The client's hello, cut everywhere. */
static void *run_cut_hello(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    int result = 0;
    size_t size = 2;

    for (size_t cut = 1; result == 0 && cut < size; cut += 13) {
        SSL *ssl = SSL_new(context);
        BIO *in = BIO_new(BIO_s_mem());
        BIO *out = BIO_new(BIO_s_mem());
        char *hello = NULL;
        int fd = puppet_connect(fixture->port);

        SSL_set_bio(ssl, in, out);
        SSL_set_connect_state(ssl);
        (void)SSL_do_handshake(ssl);
        size = (size_t)BIO_get_mem_data(out, &hello);
        result = fd >= 0 && write(fd, hello, cut) == (ssize_t)cut ? 0 : 1;
        (void)close(fd);
        SSL_free(ssl);
    }
    SSL_CTX_free(context);
    return end_puppet(fixture, size < 100 ? 1 : result);
}

static void hellos_that_are_cut_do_no_harm(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start_ours(fixture);
    start_puppet(fixture, run_cut_hello);
    join_puppet(fixture);
    dial(fixture, 1, 0);
    wait_for(fixture, both_are_up);
    assert_true(peers_counters(fixture->sides[0].peers)->accepted > 10);
}

static void *run_silent(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;
    int fd = puppet_connect(fixture->port);
    int rv = await_close(fd);

    (void)close(fd);
    return end_puppet(fixture, rv);
}

static void who_never_begins_is_closed_in_time(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start_ours(fixture);
    hurry(fixture->sides[0].peers);
    start_puppet(fixture, run_silent);
    join_puppet(fixture);
    assert_int_equal(peers_counters(fixture->sides[0].peers)->handshakes_failed,
                     1);
}

/* --- Files ---------------------------------------------------------------- */

static void refuses(const struct tls_config *config, int err, const char *why)
{
    struct tls *tls = NULL;
    struct buf error;

    buf_init(&error, TLS_ERROR_SIZE);
    assert_err(tls_new(config, &tls, &error), err);
    buf_put_u8(&error, 0);
    assert_non_null(strstr((const char *)error.data, why));
    buf_close(&error);
}

static void files_that_will_not_do_are_named(void **state)
{
    struct tls_config good =
        certificates_config(&certificates, "ours", "a@127.0.0.1");
    struct tls_config config = good;

    (void)state;
    config.cert_file = "/nowhere/cert.pem";
    refuses(&config, ERR_NOT_FOUND, "/nowhere/cert.pem");
    config = good;
    config.cert_file = good.key_file;
    refuses(&config, ERR_BADARG, "holds no certificate");
    config = good;
    config.key_file =
        certificates_path(&certificates, "ours", "b@127.0.0.1", "key.pem");
    refuses(&config, ERR_BADARG, "that fits the certificate");
    config = good;
    config.ca_file = good.key_file;
    refuses(&config, ERR_BADARG, "of an authority");
    assert_int_equal(chmod(good.key_file, 0640), 0);
    refuses(&good, ERR_FORBIDDEN, "chmod 600");
    assert_int_equal(chmod(good.key_file, 0600), 0);
}

static void a_reload_that_fails_changes_nothing(void **state)
{
    const struct tls_config config =
        certificates_config(&certificates, "ours", "a@127.0.0.1");
    struct tls *tls = certificates_tls(&config);
    struct buf error;

    (void)state;
    buf_init(&error, TLS_ERROR_SIZE);
    assert_int_equal(chmod(config.key_file, 0644), 0);
    assert_err(tls_reload(tls, &error), ERR_FORBIDDEN);
    assert_int_equal(chmod(config.key_file, 0600), 0);
    assert_true(bytes_is(tls_own_name(tls), "a@127.0.0.1"));
    assert_ok(tls_reload(tls, &error));
    tls_free(tls);
    buf_close(&error);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down_tls)
    const struct CMUnitTest tests[] = {
        TEST(a_link_knows_the_role_of_its_peer),
        TEST(frames_of_all_sizes_pass_both_ways),
        TEST(an_acceptor_of_another_name_is_told_nothing),
        TEST(a_dialler_of_another_name_is_not_allowed),
        TEST(names_count_only_where_they_are_verified),
        TEST(another_authority_is_turned_away),
        TEST(a_plain_dialler_is_turned_away),
        TEST(a_dialler_over_tls_is_turned_away_by_a_plain_node),
        TEST(hellos_that_are_cut_do_no_harm),
        TEST(who_never_begins_is_closed_in_time),
        cmocka_unit_test(files_that_will_not_do_are_named),
        cmocka_unit_test(a_reload_that_fails_changes_nothing),
    };
#undef TEST

    return cmocka_run_group_tests_name("io/peers_tls", tests, set_up_all,
                                       tear_down_all);
}
