/* SPDX-License-Identifier: Apache-2.0
 * What the files of io/pki share. Every object that is given is the caller's
 * to free with OpenSSL's function. */
#ifndef QUORATE_IO_PKI_INTERNAL_H
#define QUORATE_IO_PKI_INTERNAL_H

#include "io/pki.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

enum {
    PKI_PEM_SIZE_MAX = 1024 * 1024, /* bytes of a file that is read */
};

/* --- pki_names.c ---------------------------------------------------------- */

/* Whether this is the name of a cluster, a role. ERR_BADARG. */
int pki_check_cluster(const char *cluster, struct buf *error) MUST_USE;
int pki_check_role(const char *role, struct buf *error) MUST_USE;

/* The alternative names of a node that has been checked. */
int pki_make_sans(const struct pki_node *node, GENERAL_NAMES **ret_sans,
                  struct buf *error) MUST_USE;

/* --- pki_make.c ----------------------------------------------------------- */

/* A new key. ERR_NOMEM. */
int pki_make_key(EVP_PKEY **ret_key) MUST_USE;

/* A certificate of an authority for its own key. ERR_NOMEM. */
int pki_make_authority(const char *cluster, uint32_t days, EVP_PKEY *key,
                       X509 **ret_certificate) MUST_USE;

struct pki_signer {
    X509 *certificate;
    EVP_PKEY *key;
};

/* A certificate for a node's key. ERR_NOMEM. */
int pki_make_node(const struct pki_signer *signer, const struct pki_node *node,
                  const GENERAL_NAMES *sans, EVP_PKEY *key,
                  X509 **ret_certificate) MUST_USE;

/* --- pki_files.c ---------------------------------------------------------- */

/* DIR/FILE into PATH_MAX bytes. ERR_BADARG with a line in `error`. */
int pki_path(const char *dir, const char *file, char *ret_path,
             struct buf *error) MUST_USE;

/* Makes the directory if it is not there, refuses one that others may write
 * to, and keeps other processes out of it until pki_unlock_dir(). */
int pki_lock_dir(const char *dir, int *ret_fd, struct buf *error) MUST_USE;
void pki_unlock_dir(int fd);

int pki_write_key(const char *path, EVP_PKEY *key, struct buf *error) MUST_USE;
int pki_write_certificate(const char *path, X509 *certificate,
                          struct buf *error) MUST_USE;
int pki_read_key(const char *path, EVP_PKEY **ret_key,
                 struct buf *error) MUST_USE;

/* Memory that OpenSSL reads a whole file from. */
int pki_read_pem(const char *path, BIO **ret_bio, struct buf *error) MUST_USE;

/* Appends "cannot WHAT PATH: why" and gives `err`. */
int pki_fail(struct buf *error, int err, const char *what, const char *path);

#endif
