/* SPDX-License-Identifier: Apache-2.0
 * An authority in a directory that is removed afterwards. */
#ifndef QUORATE_TEST_UNIT_IO_PKI_FIXTURE_H
#define QUORATE_TEST_UNIT_IO_PKI_FIXTURE_H

#include "io/pki.h"
#include "io/sys.h"
#include "lib/test.h"

#include <ftw.h>
#include <limits.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_SIZE_MAX = 65536, ERROR_SIZE_MAX = 4096, REMOVE_DEPTH = 8 };

struct fixture {
    char top[64]; /* the directory of all */
    char dir[96]; /* of the authority */
    struct buf error;
    struct buf conf;
};

static inline int fixture_remove(const char *path, const struct stat *status,
                                 int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = (struct fixture *)calloc(1, sizeof(*fixture));

    (void)snprintf(fixture->top, sizeof(fixture->top),
                   "/tmp/quorate-pki-XXXXXX");
    if (mkdtemp(fixture->top) == NULL) {
        return -1;
    }
    (void)snprintf(fixture->dir, sizeof(fixture->dir), "%s/pki", fixture->top);
    buf_init(&fixture->error, ERROR_SIZE_MAX);
    buf_init(&fixture->conf, PKI_CONF_SIZE_MAX);
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    (void)nftw(fixture->top, fixture_remove, REMOVE_DEPTH,
               FTW_DEPTH | FTW_PHYS);
    buf_close(&fixture->error);
    buf_close(&fixture->conf);
    free(fixture);
    return 0;
}

/* A path below the authority's directory; it lives until the next but seven. */
static inline const char *path_of(const struct fixture *fixture,
                                  const char *file)
{
    static char paths[8][PATH_MAX];
    static size_t next;
    char *path = paths[next++ % 8];

    (void)snprintf(path, PATH_MAX, "%s/%s", fixture->dir, file);
    return path;
}

static inline bool error_has(const struct fixture *fixture, const char *text)
{
    return memmem(fixture->error.data, fixture->error.size, text,
                  strlen(text)) != NULL;
}

static inline bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static inline int init(struct fixture *fixture, uint32_t days)
{
    const struct pki_authority authority = {
        .dir = fixture->dir, .cluster = "test", .days = days};

    buf_clear(&fixture->error);
    return pki_init(&authority, &fixture->error);
}

static inline int issue(struct fixture *fixture, const char *name)
{
    const struct pki_node node = {
        .dir = fixture->dir, .name = name, .role = "worker", .days = 10};

    buf_clear(&fixture->error);
    buf_clear(&fixture->conf);
    return pki_issue(&node, &fixture->conf, &fixture->error);
}

static inline X509 *read_certificate(const struct fixture *fixture,
                                     const char *file)
{
    FILE *stream = fopen(path_of(fixture, file), "re");
    X509 *certificate;

    assert_non_null(stream);
    certificate = PEM_read_X509(stream, NULL, NULL, NULL);
    assert_non_null(certificate);
    (void)fclose(stream);
    return certificate;
}

/* Replaces a file by the first `size` bytes of `content`. */
static inline void put_file(const char *path, const uint8_t *content,
                            size_t size)
{
    assert_ok(sys_write_file(path, bytes_of(content, size)));
}

#endif
