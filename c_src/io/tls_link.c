/* SPDX-License-Identifier: Apache-2.0
 * OpenSSL between two memory buffers: it never sees a socket and never waits.
 */
#include "io/tls_link.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/tls_internal.h"
#include "io/tls_names.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

/* --- Life ----------------------------------------------------------------- */

/* SNI has no place for addresses (RFC 6066, section 3). */
static bool is_host_name(const char *host)
{
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(host);

    ASN1_OCTET_STRING_free(address);
    return address == NULL;
}

static bool set_host(SSL *ssl, struct bytes peer_name)
{
    char text[NODE_NAME_SIZE_MAX + 1];
    struct bytes alive;
    struct bytes host;

    if (node_name_split(peer_name, &alive, &host) != 0) {
        return true;
    }
    memcpy(text, host.data, host.size);
    text[host.size] = '\0';
    return !is_host_name(text) || SSL_set_tlsext_host_name(ssl, text) == 1;
}

int tls_link_new(struct tls *tls, bool is_initiator, struct bytes peer_name,
                 struct tls_link **ret_link)
{
    struct tls_link *link = mem_alloc(sizeof(*link));
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    SSL *ssl = SSL_new(tls->context);

    if (link == NULL || in == NULL || out == NULL || ssl == NULL ||
        (is_initiator && !set_host(ssl, peer_name))) {
        mem_free(link);
        BIO_free(in);
        BIO_free(out);
        SSL_free(ssl);
        ERR_clear_error();
        return ERR_NOMEM;
    }
    SSL_set_bio(ssl, in, out); /* takes both */
    if (is_initiator) {
        SSL_set_connect_state(ssl);
    } else {
        SSL_set_accept_state(ssl);
    }
    *link = (struct tls_link){.ssl = ssl,
                              .in = in,
                              .out = out,
                              .verifies_name = tls->config.verify_name};
    *ret_link = link;
    return 0;
}

void tls_link_free(struct tls_link *link)
{
    if (link != NULL) {
        X509_free(link->peer);
        SSL_free(link->ssl);
        mem_free(link);
    }
}

/* --- Failures ------------------------------------------------------------- */

/* What is wrong with the peer's certificate; NULL: nothing. */
static const char *certificate_failure(const SSL *ssl)
{
    long result = SSL_get_verify_result(ssl);

    switch (result) {
    case X509_V_OK:
        return NULL;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "the peer's certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "the peer's certificate is not valid yet: see the clocks";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return "the peer's certificate is of another authority";
    default:
        return X509_verify_cert_error_string(result);
    }
}

/* What we know to say better than OpenSSL. */
static const struct {
    int reason;
    const char *text;
} texts[] = {
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the peer has no certificate"},
    {SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS"},
    {SSL_R_HTTP_REQUEST, "the peer does not speak TLS"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "the peer speaks no version of TLS we do"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION,
     "the peer speaks no version of TLS we do"},
    {SSL_R_NO_SHARED_CIPHER, "the peer has no cipher in common with us"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
     "the peer says that our certificate has expired"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA,
     "the peer does not know the authority of our certificate"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the peer refuses our certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the peer refuses our certificate"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE,
     "the peer refuses the connection: it may expect another name in our "
     "certificate"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "the peer wants a certificate"},
};

static const char *reason_text(unsigned long error)
{
    const char *text = ERR_reason_error_string(error);

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
            ERR_GET_REASON(error) == texts[i].reason) {
            return texts[i].text;
        }
    }
    return text == NULL ? "TLS has failed" : text;
}

static int fail(struct tls_link *link)
{
    unsigned long error = ERR_peek_error();

    link->failure = certificate_failure(link->ssl);
    if (link->failure == NULL) {
        link->failure = reason_text(error);
    }
    ERR_clear_error();
    return link->is_ready ? ERR_MALFORMED : ERR_REFUSED;
}

const char *tls_link_failure(const struct tls_link *link)
{
    return link->failure == NULL ? "TLS has failed" : link->failure;
}

/* --- Bytes ---------------------------------------------------------------- */

int tls_link_feed(struct tls_link *link, struct bytes sealed)
{
    int size = (int)sealed.size;

    ensure(sealed.size > 0 && sealed.size <= INT_MAX);
    return BIO_write(link->in, sealed.data, size) == size ? 0 : ERR_NOMEM;
}

/* Notes who the peer is, once; after a renegotiation it must be the same. */
static bool is_same_peer(struct tls_link *link)
{
    X509 *now = SSL_get0_peer_certificate(link->ssl);

    if (!link->is_ready && SSL_is_init_finished(link->ssl) == 1) {
        link->is_ready = true;
        link->peer = SSL_get1_peer_certificate(link->ssl);
    }
    if (!link->is_ready || now == NULL || now == link->peer) {
        return true;
    }
    if (X509_cmp(now, link->peer) != 0) {
        return false;
    }
    X509_free(link->peer);
    link->peer = SSL_get1_peer_certificate(link->ssl);
    return true;
}

int tls_link_open(struct tls_link *link, uint8_t *room, size_t room_size,
                  size_t *ret_size)
{
    int got;

    ensure(room_size > 0 && room_size <= INT_MAX);
    *ret_size = 0;
    if (link->failure != NULL) {
        return ERR_MALFORMED;
    }
    ERR_clear_error();
    got = SSL_read(link->ssl, room, (int)room_size);
    if (!is_same_peer(link)) {
        link->failure = "the peer has changed its certificate";
        return ERR_MALFORMED;
    }
    if (got > 0) {
        *ret_size = (size_t)got;
        return 0;
    }
    switch (SSL_get_error(link->ssl, got)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return ERR_CLOSED;
    default:
        return fail(link);
    }
}

bool tls_link_is_ready(const struct tls_link *link)
{
    return link->is_ready;
}

int tls_link_seal(struct tls_link *link, struct bytes plain, size_t *ret_taken)
{
    int size = plain.size > INT_MAX ? INT_MAX : (int)plain.size;
    int put;

    *ret_taken = 0;
    if (!link->is_ready || link->failure != NULL || plain.size == 0) {
        return 0;
    }
    ERR_clear_error();
    put = SSL_write(link->ssl, plain.data, size);
    if (put > 0) {
        *ret_taken = (size_t)put;
        return 0;
    }
    switch (SSL_get_error(link->ssl, put)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    default:
        return fail(link);
    }
}

void tls_link_take(struct tls_link *link, struct buf *out)
{
    char *data = NULL;
    long size = BIO_get_mem_data(link->out, &data);

    if (size > 0) {
        buf_put(out, data, (size_t)size);
        (void)BIO_reset(link->out); /* empties it; cannot fail */
    }
}

/* --- Who the peer is ------------------------------------------------------ */

bool tls_link_may_be(const struct tls_link *link, struct bytes node_name)
{
    ensure(link->is_ready);
    return !link->verifies_name ||
           (link->peer != NULL && tls_names_allow(link->peer, node_name));
}

struct bytes tls_link_role(const struct tls_link *link)
{
    return bytes_of_string(link->peer == NULL ? ""
                                              : tls_names_role(link->peer));
}
