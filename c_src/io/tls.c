/* SPDX-License-Identifier: Apache-2.0
 * The context of OpenSSL that new links are made of. A reload makes a new one
 * and puts it in the place of the old, which goes with its last link. */
#include "io/tls.h"

#include "base/err.h"
#include "base/mem.h"
#include "config/settings.h"
#include "io/sys.h"
#include "io/tls_internal.h"
#include "io/tls_names.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <string.h>
#include <unistd.h>

/* Appends what OpenSSL says of the last failure. */
static void put_reason(struct buf *error)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    buf_printf(error, "%s", reason == NULL ? "no reason is known" : reason);
    ERR_clear_error();
}

/* A file that can be read; if it is the key, by us alone. */
static int check_file(const char *what, const char *path, bool is_secret,
                      struct buf *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rv = 0;

    if (fd < 0) {
        buf_printf(error, "cannot read the %s %s: %s", what, path,
                   strerror(errno));
        return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
    }
    if (is_secret) {
        rv = sys_check_secret(fd, what, path, error);
    }
    (void)close(fd); /* nothing was written */
    return rv;
}

static int load_certificate(SSL_CTX *context, const char *path,
                            struct buf *error)
{
    int rv = check_file("certificate", path, false, error);

    if (rv == 0 && SSL_CTX_use_certificate_chain_file(context, path) != 1) {
        buf_printf(error, "%s holds no certificate in PEM form (", path);
        put_reason(error);
        buf_printf(error, "); `quorate pki issue` makes one");
        rv = ERR_BADARG;
    }
    return rv;
}

static int load_key(SSL_CTX *context, const struct tls_config *config,
                    struct buf *error)
{
    const char *path = config->key_file;
    int rv = check_file("key", path, true, error);

    if (rv != 0) {
        return rv;
    }
    if (SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) != 1) {
        buf_printf(error,
                   "%s holds no key in PEM form that fits the certificate %s "
                   "(",
                   path, config->cert_file);
        put_reason(error);
        buf_printf(error, "); give both as they were issued together");
        return ERR_BADARG;
    }
    return 0;
}

static int load_authorities(SSL_CTX *context, const char *path,
                            struct buf *error)
{
    STACK_OF(X509_NAME) * names;
    int rv = check_file("authorities", path, false, error);

    if (rv != 0) {
        return rv;
    }
    names = SSL_load_client_CA_file(path);
    if (names == NULL ||
        SSL_CTX_load_verify_locations(context, path, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        buf_printf(error, "%s holds no certificate of an authority (", path);
        put_reason(error);
        buf_printf(error, "); give the ca.pem of the cluster");
        return ERR_BADARG;
    }
    SSL_CTX_set_client_CA_list(context, names); /* takes them */
    return 0;
}

/* Everything that does not depend on files. Erlang nodes renegotiate TLS 1.2
 * after 2^28 records and drop the link if they may not. */
static bool set_rules(SSL_CTX *context)
{
    SSL_CTX_set_verify(context,
                       SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_TICKET |
                                           SSL_OP_ALLOW_CLIENT_RENEGOTIATION |
                                           SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    return SSL_CTX_set_num_tickets(context, 0) == 1 &&
           SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
}

static int make_context(const struct tls_config *config, SSL_CTX **ret_context,
                        struct buf *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    int rv = ERR_NOMEM;

    if (context != NULL && set_rules(context)) {
        rv = load_certificate(context, config->cert_file, error);
        rv = rv != 0 ? rv : load_key(context, config, error);
        rv = rv != 0 ? rv : load_authorities(context, config->ca_file, error);
    } else {
        buf_printf(error, "TLS cannot be set up: ");
        put_reason(error);
    }
    if (rv != 0) {
        SSL_CTX_free(context);
        return rv;
    }
    *ret_context = context;
    return 0;
}

int tls_reload(struct tls *tls, struct buf *error)
{
    SSL_CTX *context;
    int rv = make_context(&tls->config, &context, error);

    if (rv != 0) {
        return rv;
    }
    SSL_CTX_free(tls->context);
    tls->context = context;
    tls->own_name_size =
        tls_names_first_email(SSL_CTX_get0_certificate(context), tls->own_name,
                              sizeof(tls->own_name));
    return 0;
}

int tls_new(const struct tls_config *config, struct tls **ret_tls,
            struct buf *error)
{
    struct tls *tls = mem_alloc(sizeof(*tls));
    int rv;

    if (tls == NULL) {
        buf_printf(error, "%s", err_text(ERR_NOMEM));
        return ERR_NOMEM;
    }
    tls->config = *config;
    rv = tls_reload(tls, error);
    if (rv != 0) {
        tls_free(tls);
        return rv;
    }
    *ret_tls = tls;
    return 0;
}

int tls_open(const struct settings *settings, struct tls **ret_tls,
             struct buf *error)
{
    const struct tls_config config = {.cert_file = settings->tls_cert_file,
                                      .key_file = settings->tls_key_file,
                                      .ca_file = settings->tls_ca_file,
                                      .verify_name = settings->verify_name};
    bool is_on;
    int rv = settings_check_tls(settings, &is_on, error);

    if (rv == 0 && is_on) {
        return tls_new(&config, ret_tls, error);
    }
    if (rv == 0) {
        *ret_tls = NULL;
    }
    return rv;
}

void tls_free(struct tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->context);
        mem_free(tls);
    }
}

struct bytes tls_own_name(const struct tls *tls)
{
    return bytes_of(tls->own_name, tls->own_name_size);
}
