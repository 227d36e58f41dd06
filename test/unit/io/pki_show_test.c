/* SPDX-License-Identifier: Apache-2.0
 * io/pki_show: what certificates say, whoever has made them, and files that
 * are none. */
#include "pki_fixture.h"

enum { SHOWN_MAX = 128, DAY_S = 24 * 60 * 60, FLIPS_STEP = 3 };

/* What was shown. */
struct shown {
    size_t count;
    struct pki_certificate rows[SHOWN_MAX]; /* without the names */
    char names[SHOWN_MAX][512];             /* joined by blanks */
};

static void keep(void *arg, const struct pki_certificate *certificate)
{
    struct shown *shown = (struct shown *)arg;
    struct cursor sans = cursor_of(buf_bytes(&certificate->sans));
    struct bytes san;
    size_t size = 0;

    assert_true(shown->count < SHOWN_MAX);
    shown->rows[shown->count] = *certificate;
    shown->names[shown->count][0] = '\0';
    while (cursor_left(&sans) > 0) {
        assert_ok(cursor_block(&sans, &san));
        if (size + san.size + 2 < sizeof(shown->names[0])) {
            memcpy(shown->names[shown->count] + size, san.data, san.size);
            size += san.size;
            shown->names[shown->count][size++] = ' ';
            shown->names[shown->count][size] = '\0';
        }
    }
    shown->count++;
}

static struct shown *show(struct fixture *fixture, const char *path,
                          int *ret_rv)
{
    static struct shown shown;

    shown.count = 0;
    buf_clear(&fixture->error);
    *ret_rv = pki_show(path, &fixture->error, &shown, keep);
    assert_true((*ret_rv == 0) == (fixture->error.size == 0));
    return &shown;
}

static void certificate_says_who_and_how_long(void **state)
{
    struct fixture *fixture = *state;
    const struct pki_certificate *row;
    struct shown *shown;
    int rv;

    assert_ok(init(fixture, 30));
    assert_ok(issue(fixture, "q1@10.0.0.1"));
    shown = show(fixture, path_of(fixture, "q1@10.0.0.1"), &rv);
    assert_ok(rv);
    assert_int_equal(shown->count, 1);
    row = &shown->rows[0];
    assert_string_equal(row->path, path_of(fixture, "q1@10.0.0.1/cert.pem"));
    assert_string_equal(row->subject, "CN = q1@10.0.0.1");
    assert_string_equal(row->issuer, "CN = Quorate CA test");
    assert_string_equal(row->role, "worker");
    assert_int_equal(strlen(row->serial), 32);
    assert_int_equal(strlen(row->fingerprint), 64);
    assert_false(row->is_authority);
    assert_string_equal(shown->names[0], "IP:10.0.0.1 email:q1@10.0.0.1 "
                                         "URI:urn:quorate:role:worker ");
    assert_int_equal(row->not_after_s - row->not_before_s, 10 * DAY_S + 300);
}

static void validity_has_a_begin_and_an_end(void **state)
{
    const struct pki_certificate certificate = {.not_before_s = 1000,
                                                .not_after_s = 2000};

    (void)state;
    assert_int_equal(pki_validity_at(&certificate, 999), PKI_NOT_YET);
    assert_int_equal(pki_validity_at(&certificate, 1000), PKI_VALID);
    assert_int_equal(pki_validity_at(&certificate, 2000), PKI_VALID);
    assert_int_equal(pki_validity_at(&certificate, 2001), PKI_EXPIRED);
}

static void directory_shows_the_authority_and_its_nodes_by_name(void **state)
{
    static const char *const names[] = {"c@h", "a@h", "b@h"};
    struct fixture *fixture = *state;
    struct shown *shown;
    int rv;

    assert_ok(init(fixture, 30));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_ok(issue(fixture, names[i]));
    }
    assert_int_equal(mkdir(path_of(fixture, "no node"), 0700), 0);
    shown = show(fixture, fixture->dir, &rv);
    assert_ok(rv);
    assert_int_equal(shown->count, 4);
    assert_true(shown->rows[0].is_authority);
    assert_string_equal(shown->rows[0].role, "");
    assert_string_equal(shown->names[0], "");
    assert_string_equal(shown->rows[1].subject, "CN = a@h");
    assert_string_equal(shown->rows[2].subject, "CN = b@h");
    assert_string_equal(shown->rows[3].subject, "CN = c@h");
    /* The nodes may be in a place of their own. */
    assert_int_equal(unlink(path_of(fixture, "ca.pem")), 0);
    shown = show(fixture, fixture->dir, &rv);
    assert_ok(rv);
    assert_int_equal(shown->count, 3);
}

static void what_is_not_there_is_named(void **state)
{
    struct fixture *fixture = *state;
    int rv;

    (void)show(fixture, fixture->dir, &rv);
    assert_err(rv, ERR_NOT_FOUND);
    (void)show(fixture, fixture->top, &rv);
    assert_err(rv, ERR_NOT_FOUND);
    assert_true(error_has(fixture, "neither cert.pem nor ca.pem"));
    assert_ok(init(fixture, 30));
    (void)show(fixture, path_of(fixture, "ca-key.pem"), &rv);
    assert_err(rv, ERR_CORRUPT);
    assert_true(error_has(fixture, "holds no certificate"));
}

static void cut_file_is_damaged(void **state)
{
    struct fixture *fixture = *state;
    struct buf content;
    int rv;

    buf_init(&content, 0);
    assert_ok(init(fixture, 30));
    assert_ok(
        sys_read_file(path_of(fixture, "ca.pem"), FILE_SIZE_MAX, &content));
    for (size_t size = 0; size + 5 < content.size; size++) {
        put_file(path_of(fixture, "cut.pem"), content.data, size);
        (void)show(fixture, path_of(fixture, "cut.pem"), &rv);
        assert_err(rv, ERR_CORRUPT);
    }
    buf_close(&content);
}

/* Any answer will do that is one. */
static void changed_file_never_hurts(void **state)
{
    struct fixture *fixture = *state;
    struct buf content;
    int rv;

    buf_init(&content, 0);
    assert_ok(init(fixture, 30));
    assert_ok(issue(fixture, "q1@host.example"));
    assert_ok(sys_read_file(path_of(fixture, "q1@host.example/cert.pem"),
                            FILE_SIZE_MAX, &content));
    for (size_t i = 0; i < content.size; i += FLIPS_STEP) {
        uint8_t old = content.data[i];

        content.data[i] = old == 'A' ? 'z' : 'A';
        put_file(path_of(fixture, "odd.pem"), content.data, content.size);
        (void)show(fixture, path_of(fixture, "odd.pem"), &rv);
        assert_true(rv == 0 || rv == ERR_CORRUPT);
        content.data[i] = old;
    }
    buf_close(&content);
}

static void file_that_is_too_long_is_refused(void **state)
{
    struct fixture *fixture = *state;
    int rv;

    assert_int_equal(mkdir(fixture->dir, 0700), 0);
    put_file(path_of(fixture, "long.pem"), (const uint8_t *)"x", 1);
    assert_int_equal(truncate(path_of(fixture, "long.pem"), 2 * 1024 * 1024),
                     0);
    (void)show(fixture, path_of(fixture, "long.pem"), &rv);
    assert_err(rv, ERR_LIMIT);
}

/* --- Certificates of others ----------------------------------------------- */

static void add_name(GENERAL_NAMES *names, int type, const char *text,
                     size_t size)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = ASN1_STRING_type_new(
        type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);

    assert_int_equal(ASN1_STRING_set(value, text, (int)size), 1);
    GENERAL_NAME_set0_value(name, type, value);
    assert_true(sk_GENERAL_NAME_push(names, name) > 0);
}

/* Writes a certificate with these names, which it takes. */
static void put_foreign(const char *path, GENERAL_NAMES *names)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    FILE *stream = fopen(path, "we");

    assert_int_equal(X509_set_version(cert, 2), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), DAY_S));
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    if (names != NULL) {
        assert_int_equal(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0,
                                           X509V3_ADD_DEFAULT),
                         1);
    }
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509(stream, cert), 1);
    (void)fclose(stream);
    GENERAL_NAMES_free(names);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void foreign_names_are_shown_byte_for_byte(void **state)
{
    struct fixture *fixture = *state;
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    struct shown *shown;
    int rv;

    assert_int_equal(mkdir(fixture->dir, 0700), 0);
    add_name(names, GEN_DNS, "good\0evil", 9);
    add_name(names, GEN_IPADD, "\1\2\3", 3);
    add_name(names, GEN_URI, "urn:quorate:role:king", 21);
    add_name(names, GEN_URI, "urn:quorate:role:member\0", 24);
    add_name(names, GEN_URI, "urn:quorate:role:", 17);
    put_foreign(path_of(fixture, "cert.pem"), names);
    shown = show(fixture, path_of(fixture, "cert.pem"), &rv);
    assert_ok(rv);
    assert_int_equal(shown->count, 1);
    assert_string_equal(shown->rows[0].role, "");
    assert_string_equal(shown->rows[0].subject, "");
    assert_memory_equal(shown->names[0], "DNS:good\0evil IP:? URI:urn:", 27);
}

static void only_so_many_names_are_shown(void **state)
{
    struct fixture *fixture = *state;
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    struct shown *shown;
    size_t blanks = 0;
    int rv;

    assert_int_equal(mkdir(fixture->dir, 0700), 0);
    for (int i = 0; i < 2 * PKI_SANS_MAX; i++) {
        add_name(names, GEN_DNS, "h", 1);
    }
    put_foreign(path_of(fixture, "cert.pem"), names);
    shown = show(fixture, path_of(fixture, "cert.pem"), &rv);
    assert_ok(rv);
    for (const char *c = shown->names[0]; *c != '\0'; c++) {
        blanks += *c == ' ' ? 1 : 0;
    }
    assert_int_equal(blanks, PKI_SANS_MAX);
}

static void certificate_without_names_is_shown(void **state)
{
    struct fixture *fixture = *state;
    struct shown *shown;
    int rv;

    assert_int_equal(mkdir(fixture->dir, 0700), 0);
    put_foreign(path_of(fixture, "cert.pem"), NULL);
    shown = show(fixture, fixture->dir, &rv);
    assert_ok(rv);
    assert_int_equal(shown->count, 1);
    assert_string_equal(shown->names[0], "");
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(certificate_says_who_and_how_long),
        TEST(validity_has_a_begin_and_an_end),
        TEST(directory_shows_the_authority_and_its_nodes_by_name),
        TEST(what_is_not_there_is_named),
        TEST(cut_file_is_damaged),
        TEST(changed_file_never_hurts),
        TEST(file_that_is_too_long_is_refused),
        TEST(foreign_names_are_shown_byte_for_byte),
        TEST(only_so_many_names_are_shown),
        TEST(certificate_without_names_is_shown),
    };

    return cmocka_run_group_tests_name("io_pki_show", tests, NULL, NULL);
}
