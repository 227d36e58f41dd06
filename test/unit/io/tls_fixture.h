/* SPDX-License-Identifier: Apache-2.0
 * Certificates for tests of TLS: two authorities, nodes of both, in a directory
 * that is removed afterwards. */
#ifndef QUORATE_TEST_UNIT_IO_TLS_FIXTURE_H
#define QUORATE_TEST_UNIT_IO_TLS_FIXTURE_H

#include "io/pki.h"
#include "io/tls.h"
#include "lib/test.h"

#include <ftw.h>
#include <limits.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TLS_DIR_SIZE = 64, TLS_ERROR_SIZE = 4096, TLS_REMOVE_DEPTH = 8 };

struct certificates {
    char dir[TLS_DIR_SIZE]; /* ours/ and theirs/ are in it */
};

/* A path below the directory; it lives until the next but seven. */
static inline const char *certificates_path(const struct certificates *all,
                                            const char *authority,
                                            const char *node, const char *file)
{
    static char paths[8][PATH_MAX];
    static size_t next;
    char *path = paths[next++ % 8];

    (void)snprintf(path, PATH_MAX, "%s/%s/%s%s%s", all->dir, authority, node,
                   node[0] == '\0' ? "" : "/", file);
    return path;
}

static inline void certificates_issue(const struct certificates *all,
                                      const char *authority, const char *name,
                                      const char *role)
{
    char dir[PATH_MAX];
    struct buf conf;
    struct buf error;
    const struct pki_node node = {
        .dir = dir, .name = name, .role = role, .days = 10, .force = true};

    (void)snprintf(dir, sizeof(dir), "%s/%s", all->dir, authority);
    buf_init(&conf, PKI_CONF_SIZE_MAX);
    buf_init(&error, TLS_ERROR_SIZE);
    assert_ok(pki_issue(&node, &conf, &error));
    buf_close(&conf);
    buf_close(&error);
}

static inline void certificates_init(struct certificates *all)
{
    static const char *const authorities[] = {"ours", "theirs"};

    (void)snprintf(all->dir, sizeof(all->dir), "/tmp/quorate-tls-XXXXXX");
    assert_non_null(mkdtemp(all->dir));
    for (size_t i = 0; i < 2; i++) {
        char dir[PATH_MAX];
        const struct pki_authority authority = {
            .dir = dir, .cluster = authorities[i], .days = 20};
        struct buf error;

        (void)snprintf(dir, sizeof(dir), "%s/%s", all->dir, authorities[i]);
        buf_init(&error, TLS_ERROR_SIZE);
        assert_ok(pki_init(&authority, &error));
        buf_close(&error);
        certificates_issue(all, authorities[i], "a@127.0.0.1", "member");
        certificates_issue(all, authorities[i], "b@127.0.0.1", "worker");
    }
}

static inline int certificates_remove(const char *path,
                                      const struct stat *status, int type,
                                      struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void certificates_close(const struct certificates *all)
{
    (void)nftw(all->dir, certificates_remove, TLS_REMOVE_DEPTH,
               FTW_DEPTH | FTW_PHYS);
}

/* Signs a node's certificate of `ours` anew, valid from and to so many seconds
 * from now. */
static inline void certificates_redate(const struct certificates *all,
                                       const char *node, long from, long to)
{
    FILE *file = fopen(certificates_path(all, "ours", node, "cert.pem"), "r+e");
    FILE *key_file =
        fopen(certificates_path(all, "ours", "", "ca-key.pem"), "re");
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_PrivateKey(key_file, NULL, NULL, NULL);

    assert_non_null(certificate);
    assert_non_null(key);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), from));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), to));
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    rewind(file);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    assert_int_equal(ftruncate(fileno(file), ftell(file)), 0);
    (void)fclose(file);
    (void)fclose(key_file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* The files of a node of an authority; the paths live as those of
 * certificates_path(). */
static inline struct tls_config
certificates_config(const struct certificates *all, const char *authority,
                    const char *node)
{
    return (struct tls_config){
        .cert_file = certificates_path(all, authority, node, "cert.pem"),
        .key_file = certificates_path(all, authority, node, "key.pem"),
        .ca_file = certificates_path(all, authority, node, "ca.pem"),
        .verify_name = true};
}

static inline struct tls *certificates_tls(const struct tls_config *config)
{
    struct tls *tls = NULL;
    struct buf error;

    buf_init(&error, TLS_ERROR_SIZE);
    assert_ok(tls_new(config, &tls, &error));
    buf_close(&error);
    return tls;
}

#endif
