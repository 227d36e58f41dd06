/* SPDX-License-Identifier: Apache-2.0
 * io/pki: an authority, its nodes, and what must not happen to their files. */
#include "base/mem.h"
#include "pki_fixture.h"

#include <fcntl.h>
#include <sys/file.h>
#include <time.h>

enum { DAY_S = 24 * 60 * 60, NAME_SIZE_MAX = 255, COMMON_NAME_MAX = 64 };

static void assert_mode(const char *path, mode_t mode)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, mode);
}

/* OpenSSL's verdict on a certificate at a time, by an authority. */
static int verify(X509 *certificate, X509 *authority, int purpose, time_t at)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    int verdict;

    assert_int_equal(X509_STORE_add_cert(store, authority), 1);
    assert_int_equal(X509_STORE_CTX_init(context, store, certificate, NULL), 1);
    assert_int_equal(X509_STORE_CTX_set_purpose(context, purpose), 1);
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context), at);
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context),
                                X509_V_FLAG_X509_STRICT);
    (void)X509_verify_cert(context);
    verdict = X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return verdict;
}

/* --- The authority -------------------------------------------------------- */

static void authority_vouches_for_itself_and_signs_nodes_only(void **state)
{
    struct fixture *fixture = *state;
    const ASN1_INTEGER *serial;
    X509 *ca;

    assert_ok(init(fixture, 30));
    ca = read_certificate(fixture, "ca.pem");
    assert_int_equal(X509_get_version(ca), 2);
    assert_int_equal(verify(ca, ca, X509_PURPOSE_ANY, time(NULL)), X509_V_OK);
    assert_int_equal(X509_check_ca(ca), 1);
    assert_int_equal(X509_get_pathlen(ca), 0);
    assert_int_equal(X509_get_key_usage(ca), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_int_equal(ASN1_OCTET_STRING_cmp(X509_get0_subject_key_id(ca),
                                           X509_get0_authority_key_id(ca)),
                     0);
    serial = X509_get0_serialNumber(ca);
    assert_int_equal(ASN1_STRING_length(serial), 16);
    assert_int_equal(ASN1_STRING_type(serial), V_ASN1_INTEGER);
    X509_free(ca);
    assert_mode(fixture->dir, 0700);
    assert_mode(path_of(fixture, "ca.pem"), 0600);
    assert_mode(path_of(fixture, "ca-key.pem"), 0600);
}

static void init_never_replaces_an_authority(void **state)
{
    struct fixture *fixture = *state;
    struct buf before;
    struct buf after;

    buf_init(&before, 0);
    buf_init(&after, 0);
    assert_ok(init(fixture, 30));
    assert_ok(
        sys_read_file(path_of(fixture, "ca-key.pem"), FILE_SIZE_MAX, &before));
    assert_err(init(fixture, 30), ERR_EXISTS);
    assert_true(error_has(fixture, "ca.pem is there already"));
    assert_int_equal(unlink(path_of(fixture, "ca.pem")), 0);
    assert_err(init(fixture, 30), ERR_EXISTS);
    assert_true(error_has(fixture, "ca-key.pem is there already"));
    assert_ok(
        sys_read_file(path_of(fixture, "ca-key.pem"), FILE_SIZE_MAX, &after));
    assert_bytes(buf_bytes(&after), before.data, before.size);
    buf_close(&before);
    buf_close(&after);
}

static void odd_names_of_clusters_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {
        "", "a/b", "a\nb", "\xc3\xa4",
        "0123456789012345678901234567890123456789012345678"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct pki_authority authority = {
            .dir = fixture->dir, .cluster = names[i], .days = 1};

        assert_err(pki_init(&authority, &fixture->error), ERR_BADARG);
        assert_false(is_there(fixture->dir));
    }
}

static void directory_that_others_may_write_to_is_refused(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(mkdir(fixture->dir, 0700), 0);
    assert_int_equal(chmod(fixture->dir, 0770), 0);
    assert_err(init(fixture, 30), ERR_FORBIDDEN);
    assert_true(error_has(fixture, "chmod 700"));
    assert_false(is_there(path_of(fixture, "ca-key.pem")));
}

static void two_do_not_work_in_one_directory(void **state)
{
    struct fixture *fixture = *state;
    int fd;

    assert_ok(init(fixture, 30));
    fd = open(fixture->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_err(init(fixture, 30), ERR_IN_USE);
    assert_err(issue(fixture, "a@h"), ERR_IN_USE);
    assert_false(is_there(path_of(fixture, "a@h")));
    (void)close(fd);
    assert_ok(issue(fixture, "a@h"));
}

/* --- Nodes ---------------------------------------------------------------- */

static void node_can_serve_and_call_in_its_time(void **state)
{
    struct fixture *fixture = *state;
    time_t now = time(NULL);
    X509 *ca;
    X509 *node;

    assert_ok(init(fixture, 30));
    assert_ok(issue(fixture, "q1@host.example"));
    ca = read_certificate(fixture, "ca.pem");
    node = read_certificate(fixture, "q1@host.example/cert.pem");
    assert_int_equal(verify(node, ca, X509_PURPOSE_SSL_SERVER, now), X509_V_OK);
    assert_int_equal(verify(node, ca, X509_PURPOSE_SSL_CLIENT, now), X509_V_OK);
    assert_int_not_equal(verify(node, ca, X509_PURPOSE_SMIME_SIGN, now),
                         X509_V_OK);
    /* Clocks may differ by some minutes, and no more. */
    assert_int_equal(verify(node, ca, X509_PURPOSE_SSL_CLIENT, now - 240),
                     X509_V_OK);
    assert_int_equal(verify(node, ca, X509_PURPOSE_SSL_CLIENT, now - 400),
                     X509_V_ERR_CERT_NOT_YET_VALID);
    assert_int_equal(
        verify(node, ca, X509_PURPOSE_SSL_CLIENT, now + 10 * DAY_S - 60),
        X509_V_OK);
    assert_int_equal(
        verify(node, ca, X509_PURPOSE_SSL_CLIENT, now + 10 * DAY_S + 60),
        X509_V_ERR_CERT_HAS_EXPIRED);
    X509_free(ca);
    X509_free(node);
}

static void node_is_named_as_agreed(void **state)
{
    struct fixture *fixture = *state;
    static const char *const sans[] = {"DNS:other,IP:fd00::1,DNS:host.example",
                                       "IP:10.0.0.1"};
    const struct pki_node node = {.dir = fixture->dir,
                                  .name = "q1@host.example",
                                  .role = "member",
                                  .sans = sans,
                                  .san_count = 2,
                                  .days = 1};
    GENERAL_NAMES *names;
    X509 *cert;

    assert_ok(init(fixture, 30));
    assert_ok(pki_issue(&node, &fixture->conf, &fixture->error));
    cert = read_certificate(fixture, "q1@host.example/cert.pem");
    assert_int_equal(X509_check_host(cert, "host.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "other", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "host.example.org", 0, 0, NULL), 0);
    assert_int_equal(X509_check_email(cert, "q1@host.example", 0, 0), 1);
    assert_int_equal(X509_check_email(cert, "q2@host.example", 0, 0), 0);
    assert_int_equal(X509_check_ip_asc(cert, "10.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "fd00::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "10.0.0.2", 0), 0);
    assert_int_equal(X509_get_key_usage(cert), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(cert),
                     XKU_SSL_SERVER | XKU_SSL_CLIENT);
    assert_int_equal(X509_check_ca(cert), 0);
    names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    /* The host that was given again is there once. */
    assert_int_equal(sk_GENERAL_NAME_num(names), 6);
    assert_int_equal(sk_GENERAL_NAME_value(names, 2)->type, GEN_URI);
    assert_string_equal(
        (const char *)ASN1_STRING_get0_data(
            sk_GENERAL_NAME_value(names, 2)->d.uniformResourceIdentifier),
        "urn:quorate:role:member");
    GENERAL_NAMES_free(names);
    X509_free(cert);
}

static void node_named_by_an_address_has_that(void **state)
{
    struct fixture *fixture = *state;
    X509 *cert;

    assert_ok(init(fixture, 30));
    assert_ok(issue(fixture, "q1@127.0.0.1"));
    cert = read_certificate(fixture, "q1@127.0.0.1/cert.pem");
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_host(cert, "127.0.0.1", 0, 0, NULL), 0);
    X509_free(cert);
    assert_true(pki_is_ip_name("q1@127.0.0.1"));
    assert_true(pki_is_ip_name("q1@fd00::1"));
    assert_false(pki_is_ip_name("q1@127.0.0.1.example"));
    assert_false(pki_is_ip_name("127.0.0.1"));
}

static void key_belongs_to_the_certificate_and_to_its_owner(void **state)
{
    static const char *const files[] = {"cert.pem", "key.pem", "ca.pem",
                                        "ssl_dist.conf"};
    struct fixture *fixture = *state;
    EVP_PKEY *key;
    FILE *stream;
    X509 *cert;

    assert_ok(init(fixture, 30));
    assert_ok(issue(fixture, "a@h"));
    cert = read_certificate(fixture, "a@h/cert.pem");
    stream = fopen(path_of(fixture, "a@h/key.pem"), "re");
    key = PEM_read_PrivateKey(stream, NULL, NULL, NULL);
    (void)fclose(stream);
    assert_int_equal(X509_check_private_key(cert, key), 1);
    assert_int_equal(EVP_PKEY_get_bits(key), 256);
    EVP_PKEY_free(key);
    X509_free(cert);
    assert_mode(path_of(fixture, "a@h"), 0700);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char file[64];

        (void)snprintf(file, sizeof(file), "a@h/%s", files[i]);
        assert_mode(path_of(fixture, file), 0600);
    }
}

static void another_authority_vouches_for_nobody(void **state)
{
    struct fixture *fixture = *state;
    X509 *node;
    X509 *other;

    assert_ok(init(fixture, 30));
    assert_ok(issue(fixture, "a@h"));
    node = read_certificate(fixture, "a@h/cert.pem");
    (void)snprintf(fixture->dir, sizeof(fixture->dir), "%s/2", fixture->top);
    assert_ok(init(fixture, 30));
    other = read_certificate(fixture, "ca.pem");
    /* It has the same name, and another key. */
    assert_int_not_equal(
        verify(node, other, X509_PURPOSE_SSL_CLIENT, time(NULL)), X509_V_OK);
    X509_free(node);
    X509_free(other);
}

static void node_ends_no_later_than_its_authority(void **state)
{
    struct fixture *fixture = *state;
    X509 *node;
    X509 *ca;

    assert_ok(init(fixture, 5));
    assert_ok(issue(fixture, "a@h"));
    node = read_certificate(fixture, "a@h/cert.pem");
    ca = read_certificate(fixture, "ca.pem");
    assert_int_equal(
        ASN1_TIME_compare(X509_get0_notAfter(node), X509_get0_notAfter(ca)), 0);
    X509_free(node);
    X509_free(ca);
}

static void time_beyond_2050_is_written_in_its_own_form(void **state)
{
    struct fixture *fixture = *state;
    X509 *ca;

    assert_ok(init(fixture, PKI_DAYS_MAX));
    ca = read_certificate(fixture, "ca.pem");
    assert_int_equal(ASN1_STRING_type(X509_get0_notAfter(ca)),
                     V_ASN1_GENERALIZEDTIME);
    assert_int_equal(
        verify(ca, ca, X509_PURPOSE_ANY, time(NULL) + (time_t)36000 * DAY_S),
        X509_V_OK);
    X509_free(ca);
}

static void long_name_is_whole_in_the_alternative_names(void **state)
{
    struct fixture *fixture = *state;
    char name[NAME_SIZE_MAX + 1];
    char text[NAME_SIZE_MAX + 1];
    char file[NAME_SIZE_MAX + 16];
    X509 *cert;

    memset(name, 'a', NAME_SIZE_MAX);
    memcpy(name + NAME_SIZE_MAX - 2, "@h", 3);
    assert_ok(init(fixture, 30));
    assert_ok(issue(fixture, name));
    (void)snprintf(file, sizeof(file), "%s/cert.pem", name);
    cert = read_certificate(fixture, file);
    assert_int_equal(X509_check_email(cert, name, 0, 0), 1);
    assert_int_equal(X509_NAME_get_text_by_NID(X509_get_subject_name(cert),
                                               NID_commonName, text,
                                               sizeof(text)),
                     COMMON_NAME_MAX);
    X509_free(cert);
}

static void conf_is_what_was_written(void **state)
{
    struct fixture *fixture = *state;
    struct buf content;

    buf_init(&content, 0);
    assert_ok(init(fixture, 30));
    assert_ok(issue(fixture, "a@h"));
    assert_ok(sys_read_file(path_of(fixture, "a@h/ssl_dist.conf"),
                            FILE_SIZE_MAX, &content));
    assert_bytes(buf_bytes(&fixture->conf), content.data, content.size);
    buf_close(&content);
}

static void renewal_needs_force_and_changes_the_key(void **state)
{
    struct fixture *fixture = *state;
    struct pki_node node = {
        .dir = fixture->dir, .name = "a@h", .role = "client", .days = 1};
    EVP_PKEY *old_key;
    X509 *old;
    X509 *new;

    assert_ok(init(fixture, 30));
    assert_ok(issue(fixture, "a@h"));
    old = read_certificate(fixture, "a@h/cert.pem");
    old_key = X509_get0_pubkey(old);
    assert_err(issue(fixture, "a@h"), ERR_EXISTS);
    assert_true(error_has(fixture, "--force"));
    new = read_certificate(fixture, "a@h/cert.pem");
    assert_int_equal(X509_cmp(old, new), 0);
    X509_free(new);
    node.force = true;
    assert_ok(pki_issue(&node, &fixture->conf, &fixture->error));
    new = read_certificate(fixture, "a@h/cert.pem");
    assert_int_not_equal(EVP_PKEY_eq(old_key, X509_get0_pubkey(new)), 1);
    assert_false(is_there(path_of(fixture, ".issue.new")));
    X509_free(old);
    X509_free(new);
}

static void odd_names_and_roles_leave_nothing(void **state)
{
    static const char *const names[] = {
        "",      "x",     "@h",      "x@",      "x@h@i", "../x@h",  "x@..",
        "x@h/i", "/x@h",  ".x@h",    "-x@h",    "x@.h",  "x@h.",    "x@h..i",
        "x y@h", "x@h\n", "x\x80@h", "x@[::1]", "x@1:2", "x@$HOME", "x'y@h"};
    struct fixture *fixture = *state;
    struct pki_node node = {
        .dir = fixture->dir, .name = "a@h", .role = "king", .days = 1};

    assert_ok(init(fixture, 30));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_err(issue(fixture, names[i]), ERR_BADARG);
        assert_true(error_has(fixture, "will not do"));
    }
    assert_err(pki_issue(&node, &fixture->conf, &fixture->error), ERR_BADARG);
    /* ".", "..", ca.pem and ca-key.pem. */
    assert_int_equal(rmdir(path_of(fixture, "a@h")), -1);
    assert_int_equal(unlink(path_of(fixture, "ca.pem")), 0);
    assert_int_equal(unlink(path_of(fixture, "ca-key.pem")), 0);
    assert_int_equal(rmdir(fixture->dir), 0);
}

static void odd_alternative_names_leave_nothing(void **state)
{
    static const char *const odd[] = {
        "",        "DNS",    "DNS:",   "dns:h",      "DNS:10.0.0.1",
        "DNS:*.h", "IP:",    "IP:h",   "IP:1.2",     "IP:1.2.3.4/8",
        "URI:x:y", "DNS:a,", ",DNS:a", "IP:1.2.3.4 "};
    struct fixture *fixture = *state;
    char many[PKI_SANS_MAX * 16] = "DNS:x0";
    size_t size = strlen(many);
    const char *san;
    struct pki_node node = {.dir = fixture->dir,
                            .name = "a@h",
                            .role = "client",
                            .sans = &san,
                            .san_count = 1,
                            .days = 1};

    assert_ok(init(fixture, 30));
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        san = odd[i];
        buf_clear(&fixture->error);
        assert_err(pki_issue(&node, &fixture->conf, &fixture->error),
                   ERR_BADARG);
        assert_true(error_has(fixture, "will not do"));
    }
    for (int i = 1; i < PKI_SANS_MAX; i++) {
        size +=
            (size_t)snprintf(many + size, sizeof(many) - size, ",DNS:x%d", i);
    }
    san = many;
    buf_clear(&fixture->error);
    assert_err(pki_issue(&node, &fixture->conf, &fixture->error), ERR_BADARG);
    assert_true(error_has(fixture, "at most 64"));
    assert_false(is_there(path_of(fixture, "a@h")));
}

/* --- Damage --------------------------------------------------------------- */

/* Cuts a file of the authority at each length; nothing may be issued. */
static void cut_everywhere(struct fixture *fixture, const char *file)
{
    struct buf content;

    buf_init(&content, 0);
    assert_ok(sys_read_file(path_of(fixture, file), FILE_SIZE_MAX, &content));
    /* Of the line that ends the PEM at least the hyphens must be there. */
    for (size_t size = 0; size + 5 < content.size; size++) {
        put_file(path_of(fixture, file), content.data, size);
        assert_err(issue(fixture, "a@h"), ERR_CORRUPT);
        assert_true(error_has(fixture, file));
    }
    put_file(path_of(fixture, file), content.data, content.size);
    assert_ok(issue(fixture, "a@h"));
    buf_close(&content);
}

static void damaged_authority_issues_nothing(void **state)
{
    struct fixture *fixture = *state;

    assert_ok(init(fixture, 30));
    cut_everywhere(fixture, "ca.pem");
}

static void damaged_key_issues_nothing(void **state)
{
    struct fixture *fixture = *state;

    assert_ok(init(fixture, 30));
    cut_everywhere(fixture, "ca-key.pem");
}

static void key_that_is_open_to_others_issues_nothing(void **state)
{
    struct fixture *fixture = *state;

    assert_ok(init(fixture, 30));
    assert_int_equal(chmod(path_of(fixture, "ca-key.pem"), 0604), 0);
    assert_err(issue(fixture, "a@h"), ERR_FORBIDDEN);
    assert_true(error_has(fixture, "chmod 600"));
    assert_int_equal(unlink(path_of(fixture, "ca-key.pem")), 0);
    assert_err(issue(fixture, "a@h"), ERR_NOT_FOUND);
    assert_int_equal(unlink(path_of(fixture, "ca.pem")), 0);
    assert_err(issue(fixture, "a@h"), ERR_NOT_FOUND);
    assert_true(error_has(fixture, "quorate pki init --dir"));
}

/* It is signed anew with an end that is over. */
static void expired_authority_issues_nothing(void **state)
{
    struct fixture *fixture = *state;
    EVP_PKEY *key;
    FILE *stream;
    X509 *ca;

    assert_ok(init(fixture, 30));
    ca = read_certificate(fixture, "ca.pem");
    stream = fopen(path_of(fixture, "ca-key.pem"), "re");
    key = PEM_read_PrivateKey(stream, NULL, NULL, NULL);
    (void)fclose(stream);
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(ca), -1));
    assert_true(X509_sign(ca, key, EVP_sha256()) > 0);
    stream = fopen(path_of(fixture, "ca.pem"), "we");
    assert_int_equal(PEM_write_X509(stream, ca), 1);
    (void)fclose(stream);
    assert_err(issue(fixture, "a@h"), ERR_CORRUPT);
    assert_true(error_has(fixture, "has expired"));
    EVP_PKEY_free(key);
    X509_free(ca);
}

static void key_with_a_passphrase_is_not_asked_for_it(void **state)
{
    struct fixture *fixture = *state;
    EVP_PKEY *key;
    FILE *stream;

    assert_ok(init(fixture, 30));
    stream = fopen(path_of(fixture, "ca-key.pem"), "re");
    key = PEM_read_PrivateKey(stream, NULL, NULL, NULL);
    (void)fclose(stream);
    stream = fopen(path_of(fixture, "ca-key.pem"), "we");
    assert_int_equal(PEM_write_PKCS8PrivateKey(stream, key, EVP_aes_256_cbc(),
                                               "word", 4, NULL, NULL),
                     1);
    (void)fclose(stream);
    EVP_PKEY_free(key);
    assert_err(issue(fixture, "a@h"), ERR_CORRUPT);
    assert_true(error_has(fixture, "that can be read"));
}

static void without_memory_nothing_is_half_made(void **state)
{
    struct fixture *fixture = *state;
    uint64_t count = 0;
    int rv;

    assert_ok(init(fixture, 30));
    do {
        mem_fail_after(count++);
        rv = issue(fixture, "a@h");
        mem_fail_after(UINT64_MAX);
        if (rv != 0) {
            assert_err(rv, ERR_NOMEM);
            assert_false(is_there(path_of(fixture, "a@h")));
            assert_false(is_there(path_of(fixture, ".issue.new")));
        }
        buf_close(&fixture->error);
        buf_close(&fixture->conf);
    } while (rv != 0);
    assert_true(count > 2);
    assert_true(is_there(path_of(fixture, "a@h/cert.pem")));
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(authority_vouches_for_itself_and_signs_nodes_only),
        TEST(init_never_replaces_an_authority),
        TEST(odd_names_of_clusters_are_refused),
        TEST(directory_that_others_may_write_to_is_refused),
        TEST(two_do_not_work_in_one_directory),
        TEST(node_can_serve_and_call_in_its_time),
        TEST(node_is_named_as_agreed),
        TEST(node_named_by_an_address_has_that),
        TEST(key_belongs_to_the_certificate_and_to_its_owner),
        TEST(another_authority_vouches_for_nobody),
        TEST(node_ends_no_later_than_its_authority),
        TEST(time_beyond_2050_is_written_in_its_own_form),
        TEST(long_name_is_whole_in_the_alternative_names),
        TEST(conf_is_what_was_written),
        TEST(renewal_needs_force_and_changes_the_key),
        TEST(odd_names_and_roles_leave_nothing),
        TEST(odd_alternative_names_leave_nothing),
        TEST(damaged_authority_issues_nothing),
        TEST(damaged_key_issues_nothing),
        TEST(key_that_is_open_to_others_issues_nothing),
        TEST(expired_authority_issues_nothing),
        TEST(key_with_a_passphrase_is_not_asked_for_it),
        TEST(without_memory_nothing_is_half_made),
    };

    return cmocka_run_group_tests_name("io_pki", tests, NULL, NULL);
}
