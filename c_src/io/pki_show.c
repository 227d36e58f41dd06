/* SPDX-License-Identifier: Apache-2.0
 * What certificates say. They may come from anywhere: whatever is in them is
 * only copied, never believed. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/pki_internal.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

enum {
    SANS_SIZE_MAX = 64 * 1024, /* bytes of all alternative names */
    CHAIN_MAX = 64,            /* certificates of one file that are shown */
    DIRECTORY_MAX = 65536,     /* entries of a directory that are looked at */
};

struct viewer {
    struct buf *error;
    void *arg;
    void (*each)(void *arg, const struct pki_certificate *certificate);
    struct pki_certificate certificate;
};

enum pki_validity pki_validity_at(const struct pki_certificate *certificate,
                                  int64_t now_s)
{
    if (now_s < certificate->not_before_s) {
        return PKI_NOT_YET;
    }
    return now_s > certificate->not_after_s ? PKI_EXPIRED : PKI_VALID;
}

/* --- One certificate ------------------------------------------------------ */

static void put_hex(char *text, size_t size, const uint8_t *data, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    size_t end = 0;

    for (size_t i = 0; i < count && end + 2 < size; i++) {
        text[end++] = digits[data[i] >> 4];
        text[end++] = digits[data[i] & 15];
    }
    text[end] = '\0';
}

static void take_name(const X509_NAME *name, char ret_text[PKI_TEXT_SIZE_MAX])
{
    BIO *bio = BIO_new(BIO_s_mem());
    int size = 0;

    if (bio != NULL &&
        X509_NAME_print_ex(bio, name, 0,
                           XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
        size = BIO_read(bio, ret_text, PKI_TEXT_SIZE_MAX - 1);
    }
    ret_text[size > 0 ? size : 0] = '\0';
    BIO_free(bio);
}

/* Seconds since 1970. */
static bool take_time(const ASN1_TIME *from, int64_t *ret_time_s)
{
    struct tm fields;

    if (ASN1_TIME_to_tm(from, &fields) != 1) {
        return false;
    }
    *ret_time_s = (int64_t)timegm(&fields);
    return true;
}

static void put_san(struct pki_certificate *certificate, const char *type,
                    struct bytes value)
{
    size_t size = strlen(type) + value.size;

    buf_put_u32(&certificate->sans, (uint32_t)size);
    buf_put_bytes(&certificate->sans, bytes_of_string(type));
    buf_put_bytes(&certificate->sans, value);
}

static void take_role(struct pki_certificate *certificate, struct bytes uri)
{
    static const char *const roles[] = {"member", "worker", "client"};
    static const size_t prefix_size = sizeof(PKI_ROLE_URI) - 1;

    if (uri.size <= prefix_size ||
        memcmp(uri.data, PKI_ROLE_URI, prefix_size) != 0) {
        return;
    }
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (bytes_is(bytes_of(uri.data + prefix_size, uri.size - prefix_size),
                     roles[i])) {
            (void)snprintf(certificate->role, sizeof(certificate->role), "%s",
                           roles[i]);
        }
    }
}

static void take_ip(struct pki_certificate *certificate, struct bytes ip)
{
    char text[INET6_ADDRSTRLEN] = "?";

    if (ip.size == sizeof(struct in_addr)) {
        (void)inet_ntop(AF_INET, ip.data, text, sizeof(text));
    } else if (ip.size == sizeof(struct in6_addr)) {
        (void)inet_ntop(AF_INET6, ip.data, text, sizeof(text));
    }
    put_san(certificate, "IP:", bytes_of_string(text));
}

static void take_san(struct pki_certificate *certificate,
                     const GENERAL_NAME *san)
{
    int type;
    const ASN1_STRING *text =
        (const ASN1_STRING *)GENERAL_NAME_get0_value(san, &type);
    struct bytes value;

    if (type != GEN_DNS && type != GEN_EMAIL && type != GEN_URI &&
        type != GEN_IPADD) {
        put_san(certificate, "other", bytes_of(NULL, 0));
        return;
    }
    value =
        bytes_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
    if (type == GEN_IPADD) {
        take_ip(certificate, value);
    } else if (type == GEN_DNS) {
        put_san(certificate, "DNS:", value);
    } else if (type == GEN_EMAIL) {
        put_san(certificate, "email:", value);
    } else {
        put_san(certificate, "URI:", value);
        take_role(certificate, value);
    }
}

static void take_sans(struct pki_certificate *certificate, X509 *from)
{
    GENERAL_NAMES *sans = (GENERAL_NAMES *)X509_get_ext_d2i(
        from, NID_subject_alt_name, NULL, NULL);
    int count = sk_GENERAL_NAME_num(sans); /* -1 if there are none */

    for (int i = 0; i < count && i < PKI_SANS_MAX; i++) {
        take_san(certificate, sk_GENERAL_NAME_value(sans, i));
    }
    GENERAL_NAMES_free(sans);
}

/* All but the path. */
static int take_certificate(struct pki_certificate *certificate, X509 *from)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(from);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (!take_time(X509_get0_notBefore(from), &certificate->not_before_s) ||
        !take_time(X509_get0_notAfter(from), &certificate->not_after_s)) {
        return ERR_CORRUPT;
    }
    if (X509_digest(from, EVP_sha256(), digest, &size) != 1) {
        return ERR_NOMEM;
    }
    put_hex(certificate->fingerprint, sizeof(certificate->fingerprint), digest,
            size);
    put_hex(certificate->serial, sizeof(certificate->serial),
            ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
    take_name(X509_get_subject_name(from), certificate->subject);
    take_name(X509_get_issuer_name(from), certificate->issuer);
    certificate->is_authority = X509_check_ca(from) == 1;
    certificate->role[0] = '\0';
    buf_clear(&certificate->sans);
    take_sans(certificate, from);
    return buf_error(&certificate->sans);
}

/* --- Files ---------------------------------------------------------------- */

static int show_all(struct viewer *viewer, BIO *bio, int *ret_count)
{
    int count = 0;
    int rv = 0;

    while (rv == 0 && count < CHAIN_MAX) {
        X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

        if (certificate == NULL) {
            /* The end, if that is all there is to say. */
            bool is_end =
                ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;

            ERR_clear_error();
            rv = is_end ? 0 : ERR_CORRUPT;
            break;
        }
        rv = take_certificate(&viewer->certificate, certificate);
        X509_free(certificate);
        ERR_clear_error();
        if (rv == 0) {
            viewer->each(viewer->arg, &viewer->certificate);
            count++;
        }
    }
    *ret_count = count;
    return rv;
}

static int show_file(struct viewer *viewer, const char *path)
{
    BIO *bio;
    int count;
    int rv = pki_read_pem(path, &bio, viewer->error);

    if (rv != 0) {
        return rv;
    }
    (void)snprintf(viewer->certificate.path, sizeof(viewer->certificate.path),
                   "%s", path);
    rv = show_all(viewer, bio, &count);
    BIO_free(bio);
    if (rv == 0 && count == 0) {
        buf_printf(viewer->error, "%s holds no certificate in PEM", path);
        return ERR_CORRUPT;
    }
    if (rv != 0) {
        buf_printf(viewer->error,
                   "a certificate in %s cannot be read: it is damaged", path);
        return rv;
    }
    return 0;
}

/* Shows DIR/FILE if it is there. */
static int show_in(struct viewer *viewer, const char *dir, const char *file,
                   bool *ret_is_there)
{
    char path[PATH_MAX];
    struct stat status;
    int rv = pki_path(dir, file, path, viewer->error);

    *ret_is_there = rv == 0 && stat(path, &status) == 0;
    return *ret_is_there ? show_file(viewer, path) : rv;
}

/* The certificates of the nodes whose directories are in `dir`. */
static int show_nodes(struct viewer *viewer, const char *dir, size_t *ret_count)
{
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, NULL, alphasort);
    char path[PATH_MAX];
    size_t shown = 0;
    bool is_there;
    int rv = 0;

    if (count < 0) {
        return pki_fail(viewer->error, ERR_IO, "read", dir);
    }
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;

        if (rv == 0 && i < DIRECTORY_MAX && name[0] != '.') {
            rv = pki_path(dir, name, path, viewer->error);
            rv = rv != 0 ? rv : show_in(viewer, path, "cert.pem", &is_there);
            shown += rv == 0 && is_there ? 1 : 0;
        }
        free(entries[i]); /* allowed: scandir() has allocated it */
    }
    free(entries); /* allowed: idem */
    *ret_count = shown;
    return rv;
}

static int show_dir(struct viewer *viewer, const char *dir)
{
    bool is_node;
    bool is_authority = false;
    size_t count = 0;
    int rv = show_in(viewer, dir, "cert.pem", &is_node);

    if (rv != 0 || is_node) {
        return rv;
    }
    rv = show_in(viewer, dir, "ca.pem", &is_authority);
    rv = rv != 0 ? rv : show_nodes(viewer, dir, &count);
    if (rv == 0 && !is_authority && count == 0) {
        buf_printf(viewer->error,
                   "there is neither cert.pem nor ca.pem in %s; give a file, "
                   "or the directory of a node or of an authority",
                   dir);
        return ERR_NOT_FOUND;
    }
    return rv;
}

int pki_show(const char *path, struct buf *error, void *arg,
             void (*each)(void *arg, const struct pki_certificate *certificate))
{
    struct viewer *viewer = (struct viewer *)mem_alloc(sizeof(*viewer));
    struct stat status;
    int rv;

    ensure(each != NULL);
    if (viewer == NULL) {
        return pki_fail(error, ERR_NOMEM, "read", path);
    }
    *viewer = (struct viewer){.error = error, .arg = arg, .each = each};
    buf_init(&viewer->certificate.sans, SANS_SIZE_MAX);
    if (stat(path, &status) != 0) {
        rv = pki_fail(error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "read",
                      path);
    } else {
        rv = S_ISDIR(status.st_mode) ? show_dir(viewer, path)
                                     : show_file(viewer, path);
    }
    buf_close(&viewer->certificate.sans);
    mem_free(viewer);
    return rv;
}
