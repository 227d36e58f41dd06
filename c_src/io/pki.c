/* SPDX-License-Identifier: Apache-2.0
 * The authority of a cluster, and what it issues. The files of a node are made
 * in a directory of their own, which is then renamed into place: they are
 * there all together or not at all. */
#include "io/pki.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/pki_internal.h"
#include "io/sys.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AUTHORITY_CERTIFICATE, AUTHORITY_KEY, AUTHORITY_FILES };

static const char *const authority_files[AUTHORITY_FILES] = {"ca.pem",
                                                             "ca-key.pem"};

/* In the order in which they replace older ones: without `cert.pem` nothing
 * takes a directory for that of a node, so that goes first and comes last. */
enum { NODE_KEY, NODE_AUTHORITY, NODE_CONF, NODE_CERTIFICATE, NODE_FILES };

static const char *const node_files[NODE_FILES] = {"key.pem", "ca.pem",
                                                   "ssl_dist.conf", "cert.pem"};

/* One is enough: who works in a directory keeps all others out of it. */
#define WORK_DIR ".issue.new"

static bool is_there(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0;
}

/* --- The authority -------------------------------------------------------- */

static int write_authority(const struct pki_authority *authority,
                           char paths[AUTHORITY_FILES][PATH_MAX],
                           struct buf *error)
{
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    int rv = pki_make_key(&key);

    rv = rv != 0 ? rv
                 : pki_make_authority(authority->cluster, authority->days, key,
                                      &certificate);
    if (rv != 0) {
        buf_printf(error, "cannot make the authority: %s", err_text(rv));
    }
    rv = rv != 0 ? rv : pki_write_key(paths[AUTHORITY_KEY], key, error);
    rv = rv != 0 ? rv
                 : pki_write_certificate(paths[AUTHORITY_CERTIFICATE],
                                         certificate, error);
    EVP_PKEY_free(key);
    X509_free(certificate);
    return rv;
}

int pki_init(const struct pki_authority *authority, struct buf *error)
{
    char paths[AUTHORITY_FILES][PATH_MAX];
    int lock;
    int rv = pki_check_cluster(authority->cluster, error);

    ensure(authority->days > 0);
    ensure(authority->days <= PKI_DAYS_MAX);
    for (int i = 0; rv == 0 && i < AUTHORITY_FILES; i++) {
        rv = pki_path(authority->dir, authority_files[i], paths[i], error);
    }
    rv = rv != 0 ? rv : pki_lock_dir(authority->dir, &lock, error);
    if (rv != 0) {
        return rv;
    }
    for (int i = 0; rv == 0 && i < AUTHORITY_FILES; i++) {
        if (is_there(paths[i])) {
            buf_printf(error,
                       "%s is there already, and what it has issued depends "
                       "on it; give another --dir, or issue with this one",
                       paths[i]);
            rv = ERR_EXISTS;
        }
    }
    rv = rv != 0 ? rv : write_authority(authority, paths, error);
    pki_unlock_dir(lock);
    return rv;
}

/* --- The signer ----------------------------------------------------------- */

static int read_certificate(const char *path, X509 **ret_certificate,
                            struct buf *error)
{
    X509 *certificate;
    BIO *bio;
    int rv = pki_read_pem(path, &bio, error);

    if (rv != 0) {
        return rv;
    }
    certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (certificate == NULL) {
        ERR_clear_error();
        buf_printf(error, "%s holds no certificate in PEM that can be read",
                   path);
        return ERR_CORRUPT;
    }
    *ret_certificate = certificate;
    return 0;
}

static int check_signer(const struct pki_signer *signer, const char *path,
                        struct buf *error)
{
    const char *why = NULL;

    if (X509_check_ca(signer->certificate) != 1) {
        why = "is not the certificate of an authority";
    } else if (X509_check_private_key(signer->certificate, signer->key) != 1) {
        ERR_clear_error();
        why = "does not belong to the key beside it";
    } else if (X509_cmp_current_time(X509_get0_notAfter(signer->certificate)) <=
               0) {
        why = "has expired; make another authority with `quorate pki init`";
    }
    if (why != NULL) {
        buf_printf(error, "%s %s", path, why);
        return ERR_CORRUPT;
    }
    return 0;
}

static void free_signer(struct pki_signer *signer)
{
    X509_free(signer->certificate);
    EVP_PKEY_free(signer->key);
}

/* ret_signer is to be freed in any case. */
static int read_signer(const char *dir, struct pki_signer *ret_signer,
                       struct buf *error)
{
    char path[PATH_MAX];
    int rv = pki_path(dir, authority_files[AUTHORITY_CERTIFICATE], path, error);

    if (rv == 0 && !is_there(path)) {
        buf_printf(error,
                   "there is no authority in %s; make one with `quorate pki "
                   "init --dir %s`",
                   dir, dir);
        rv = ERR_NOT_FOUND;
    }
    rv = rv != 0 ? rv : read_certificate(path, &ret_signer->certificate, error);
    rv = rv != 0 ? rv
                 : pki_path(dir, authority_files[AUTHORITY_KEY], path, error);
    rv = rv != 0 ? rv : pki_read_key(path, &ret_signer->key, error);
    rv = rv != 0 ? rv
                 : pki_path(dir, authority_files[AUTHORITY_CERTIFICATE], path,
                            error);
    return rv != 0 ? rv : check_signer(ret_signer, path, error);
}

/* --- What Erlang reads ---------------------------------------------------- */

/* A path as an Erlang string. Its bytes are UTF-8, as the file is. */
static int put_string(struct buf *text, const char *path, struct buf *error)
{
    buf_put_u8(text, '"');
    for (; *path != '\0'; path++) {
        if ((uint8_t)*path < ' ' || *path == 0x7f) {
            buf_printf(error, "a path with control characters will not do; "
                              "give another --dir or --out");
            return ERR_BADARG;
        }
        if (*path == '"' || *path == '\\') {
            buf_put_u8(text, '\\');
        }
        buf_put_u8(text, (uint8_t)*path);
    }
    buf_put_u8(text, '"');
    return 0;
}

static int put_options(struct buf *text, const char *dir, bool is_server,
                       struct buf *error)
{
    static const struct {
        const char *option;
        int file;
    } lines[] = {{"certfile", NODE_CERTIFICATE},
                 {"keyfile", NODE_KEY},
                 {"cacertfile", NODE_AUTHORITY}};
    char path[PATH_MAX];
    int rv = 0;

    buf_printf(text, " {%s, [", is_server ? "server" : "client");
    for (size_t i = 0; rv == 0 && i < sizeof(lines) / sizeof(lines[0]); i++) {
        buf_printf(text, "\n  {%s, ", lines[i].option);
        rv = pki_path(dir, node_files[lines[i].file], path, error);
        rv = rv != 0 ? rv : put_string(text, path, error);
        buf_printf(text, "},");
    }
    buf_printf(text,
               "\n  {verify, verify_peer},%s"
               "\n  {versions, ['tlsv1.3', 'tlsv1.2']}]}",
               is_server ? "\n  {fail_if_no_peer_cert, true}," : "");
    return rv;
}

static int put_conf(struct buf *text, const char *dir, struct buf *error)
{
    int rv;

    buf_printf(text, "%% erl -proto_dist inet_tls -ssl_dist_optfile %s/%s\n[\n",
               dir, node_files[NODE_CONF]);
    rv = put_options(text, dir, true, error);
    buf_printf(text, ",\n");
    rv = rv != 0 ? rv : put_options(text, dir, false, error);
    buf_printf(text, "\n].\n");
    if (rv == 0 && buf_error(text) != 0) {
        rv = buf_error(text);
        buf_printf(error, "cannot make ssl_dist.conf: %s", err_text(rv));
    }
    return rv;
}

/* --- Nodes ---------------------------------------------------------------- */

struct issue {
    const struct pki_node *node;
    const struct pki_signer *signer;
    const char *out;                       /* absolute */
    char dir[PATH_MAX];                    /* of the node, in `out` */
    char work_dir[PATH_MAX];               /* where its files are made */
    char paths[NODE_FILES][PATH_MAX];      /* in `dir` */
    char work_paths[NODE_FILES][PATH_MAX]; /* in `work_dir` */
    struct buf *conf;
    struct buf *error;
};

static int set_paths(struct issue *issue)
{
    int rv = pki_path(issue->out, issue->node->name, issue->dir, issue->error);

    rv = rv != 0
             ? rv
             : pki_path(issue->out, WORK_DIR, issue->work_dir, issue->error);
    for (int i = 0; rv == 0 && i < NODE_FILES; i++) {
        rv = pki_path(issue->dir, node_files[i], issue->paths[i], issue->error);
        rv = rv != 0 ? rv
                     : pki_path(issue->work_dir, node_files[i],
                                issue->work_paths[i], issue->error);
    }
    return rv;
}

/* The conf that was appended is what is written. */
static int write_conf(struct issue *issue)
{
    size_t begin = issue->conf->size;
    int rv = put_conf(issue->conf, issue->dir, issue->error);
    struct bytes all = buf_bytes(issue->conf);

    if (rv != 0) {
        issue->conf->size = begin;
        return rv;
    }
    rv = sys_write_file(issue->work_paths[NODE_CONF],
                        bytes_of(all.data + begin, all.size - begin));
    return rv == 0 ? 0
                   : pki_fail(issue->error, rv, "write",
                              issue->work_paths[NODE_CONF]);
}

static int write_node(struct issue *issue, const GENERAL_NAMES *sans)
{
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    int rv = pki_make_key(&key);

    rv = rv != 0 ? rv
                 : pki_make_node(issue->signer, issue->node, sans, key,
                                 &certificate);
    if (rv != 0) {
        buf_printf(issue->error, "cannot make the certificate of %s: %s",
                   issue->node->name, err_text(rv));
    }
    rv = rv != 0
             ? rv
             : pki_write_key(issue->work_paths[NODE_KEY], key, issue->error);
    rv = rv != 0 ? rv
                 : pki_write_certificate(issue->work_paths[NODE_CERTIFICATE],
                                         certificate, issue->error);
    rv = rv != 0
             ? rv
             : pki_write_certificate(issue->work_paths[NODE_AUTHORITY],
                                     issue->signer->certificate, issue->error);
    rv = rv != 0 ? rv : write_conf(issue);
    EVP_PKEY_free(key);
    X509_free(certificate);
    return rv;
}

/* Removes the directory in which files were made, if it is there. */
static void remove_work(const struct issue *issue)
{
    for (int i = 0; i < NODE_FILES; i++) {
        (void)unlink(issue->work_paths[i]); /* it may not be there */
    }
    (void)rmdir(issue->work_dir); /* idem */
}

/* Old files give way one by one. In between there is no certificate, never one
 * with the key of another. */
static int replace_files(const struct issue *issue)
{
    int rv = 0;

    if (unlink(issue->paths[NODE_CERTIFICATE]) != 0 && errno != ENOENT) {
        rv = ERR_IO;
    }
    for (int i = 0; rv == 0 && i < NODE_FILES; i++) {
        if (rename(issue->work_paths[i], issue->paths[i]) != 0) {
            rv = ERR_IO;
        }
    }
    return rv == 0 ? sys_sync_dir(issue->dir) : rv;
}

static int put_in_place(const struct issue *issue)
{
    int rv;

    if (is_there(issue->dir)) {
        rv = replace_files(issue);
    } else if (rename(issue->work_dir, issue->dir) != 0) {
        rv = ERR_IO;
    } else {
        rv = sys_sync_dir(issue->out);
    }
    return rv == 0 ? 0 : pki_fail(issue->error, rv, "write to", issue->dir);
}

static int check_old(const struct issue *issue)
{
    if (!is_there(issue->paths[NODE_CERTIFICATE]) || issue->node->force) {
        return 0;
    }
    buf_printf(issue->error,
               "%s is there already; --force replaces it and its key, which "
               "takes effect when the node starts again",
               issue->paths[NODE_CERTIFICATE]);
    return ERR_EXISTS;
}

/* With the directories locked. */
static int issue_files(struct issue *issue)
{
    GENERAL_NAMES *sans = NULL;
    int rv = set_paths(issue);

    rv = rv != 0 ? rv : check_old(issue);
    rv = rv != 0 ? rv : pki_make_sans(issue->node, &sans, issue->error);
    if (rv != 0) {
        return rv;
    }
    remove_work(issue); /* of a run that was ended */
    rv = sys_make_dirs(issue->work_dir);
    if (rv != 0) {
        (void)pki_fail(issue->error, rv, "make", issue->work_dir);
    }
    rv = rv != 0 ? rv : write_node(issue, sans);
    rv = rv != 0 ? rv : put_in_place(issue);
    remove_work(issue);
    GENERAL_NAMES_free(sans);
    return rv;
}

/* A signer is read from `dir`, which may be where the nodes are as well. */
int pki_issue(const struct pki_node *node, struct buf *conf, struct buf *error)
{
    struct issue *issue;
    struct pki_signer signer = {.key = NULL};
    char out[PATH_MAX];
    const char *dir = node->out == NULL ? node->dir : node->out;
    int lock = -1;
    int rv = pki_check_node(node->name, error);

    ensure(node->days > 0);
    ensure(node->days <= PKI_DAYS_MAX);
    rv = rv != 0 ? rv : pki_check_role(node->role, error);
    rv = rv != 0 ? rv : read_signer(node->dir, &signer, error);
    rv = rv != 0 ? rv : pki_lock_dir(dir, &lock, error);
    if (rv == 0 && realpath(dir, out) == NULL) {
        rv = pki_fail(error, ERR_IO, "find", dir);
    }
    if (rv == 0) {
        issue = (struct issue *)mem_alloc(sizeof(*issue));
        rv = ERR_NOMEM;
        if (issue != NULL) {
            *issue = (struct issue){.node = node,
                                    .signer = &signer,
                                    .out = out,
                                    .conf = conf,
                                    .error = error};
            rv = issue_files(issue);
        }
        mem_free(issue);
    }
    if (rv != 0 && error->size == 0) {
        buf_printf(error, "cannot issue: %s", err_text(rv));
    }
    if (lock >= 0) {
        pki_unlock_dir(lock);
    }
    free_signer(&signer);
    return rv;
}
