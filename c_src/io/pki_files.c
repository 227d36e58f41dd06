/* SPDX-License-Identifier: Apache-2.0
 * The files of keys and certificates. What held a key is wiped by OpenSSL,
 * which clears the memory that it writes to (BIO) when it frees it. */
#include "base/err.h"
#include "io/pki_internal.h"
#include "io/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int pki_fail(struct buf *error, int err, const char *what, const char *path)
{
    buf_printf(error, "cannot %s %s: %s", what, path, err_text(err));
    return err;
}

int pki_path(const char *dir, const char *file, char *ret_path,
             struct buf *error)
{
    int size = snprintf(ret_path, PATH_MAX, "%s/%s", dir, file);

    if (size < 0 || size >= PATH_MAX) {
        buf_printf(error, "a path is too long: more than %d bytes",
                   PATH_MAX - 1);
        return ERR_BADARG;
    }
    return 0;
}

/* --- Directories ---------------------------------------------------------- */

static int check_dir(int fd, const char *dir, struct buf *error)
{
    struct stat status;

    if (fstat(fd, &status) != 0) {
        return pki_fail(error, ERR_IO, "look at", dir);
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        buf_printf(error,
                   "others may write to %s (mode %04o); run: chmod 700 "
                   "%s",
                   dir, (unsigned)(status.st_mode & 07777), dir);
        return ERR_FORBIDDEN;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        buf_printf(error, "another process works in %s; try again", dir);
        return ERR_IN_USE;
    }
    return 0;
}

int pki_lock_dir(const char *dir, int *ret_fd, struct buf *error)
{
    int rv = sys_make_dirs(dir);
    int fd;

    if (rv != 0) {
        buf_printf(error, "cannot make the directory %s: %s", dir,
                   strerror(errno));
        return rv;
    }
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        buf_printf(error, "cannot open %s: %s", dir, strerror(errno));
        return ERR_IO;
    }
    rv = check_dir(fd, dir, error);
    if (rv != 0) {
        (void)close(fd); /* nothing was written */
        return rv;
    }
    *ret_fd = fd;
    return 0;
}

void pki_unlock_dir(int fd)
{
    (void)close(fd); /* the lock goes with the descriptor */
}

/* --- Writing -------------------------------------------------------------- */

/* Writes what is in `bio`, and frees it. `is_made`: it holds all there is. */
static int write_bio(const char *path, BIO *bio, bool is_made,
                     struct buf *error)
{
    char *data = NULL;
    long size = bio == NULL ? 0 : BIO_get_mem_data(bio, &data);
    int rv = ERR_NOMEM;

    if (is_made && size > 0) {
        rv = sys_write_file(path, bytes_of(data, (size_t)size));
    }
    BIO_free(bio);
    return rv == 0 ? 0 : pki_fail(error, rv, "write", path);
}

int pki_write_key(const char *path, EVP_PKEY *key, struct buf *error)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    bool is_made = bio != NULL && PEM_write_bio_PKCS8PrivateKey(
                                      bio, key, NULL, NULL, 0, NULL, NULL) == 1;

    return write_bio(path, bio, is_made, error);
}

int pki_write_certificate(const char *path, X509 *certificate,
                          struct buf *error)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool is_made = bio != NULL && PEM_write_bio_X509(bio, certificate) == 1;

    return write_bio(path, bio, is_made, error);
}

/* --- Reading -------------------------------------------------------------- */

int pki_read_pem(const char *path, BIO **ret_bio, struct buf *error)
{
    struct buf content;
    BIO *bio;
    int rv;

    buf_init(&content, 0);
    rv = sys_read_file(path, PKI_PEM_SIZE_MAX, &content);
    if (rv != 0) {
        return pki_fail(error, rv, "read", path);
    }
    bio = BIO_new(BIO_s_secmem());
    if (bio == NULL || (content.size > 0 &&
                        BIO_write(bio, content.data, (int)content.size) <= 0)) {
        rv = ERR_NOMEM;
    }
    buf_wipe(&content);
    if (rv != 0) {
        BIO_free(bio);
        return pki_fail(error, rv, "read", path);
    }
    *ret_bio = bio;
    return 0;
}

/* Others may not read a key. */
static int check_key_mode(const char *path, struct buf *error)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        return pki_fail(error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "read",
                        path);
    }
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        buf_printf(error,
                   "the key %s is open to others (mode %04o); run: chmod 600 "
                   "%s",
                   path, (unsigned)(status.st_mode & 07777), path);
        return ERR_FORBIDDEN;
    }
    return 0;
}

/* A key that asks for a passphrase is one that cannot be read: nobody may be
 * there to type. */
/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's type. */
static int no_passphrase(char *text, int size, int rwflag, void *arg)
{
    (void)text;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1;
}

int pki_read_key(const char *path, EVP_PKEY **ret_key, struct buf *error)
{
    EVP_PKEY *key;
    BIO *bio;
    int rv = check_key_mode(path, error);

    rv = rv != 0 ? rv : pki_read_pem(path, &bio, error);
    if (rv != 0) {
        return rv;
    }
    key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    if (key == NULL) {
        ERR_clear_error();
        buf_printf(error, "%s holds no key in PEM that can be read", path);
        return ERR_CORRUPT;
    }
    *ret_key = key;
    return 0;
}
