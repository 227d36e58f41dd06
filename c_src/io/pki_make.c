/* SPDX-License-Identifier: Apache-2.0
 * Keys and certificates in memory: EC P-256, ECDSA with SHA-256, X.509 v3 as
 * RFC 5280 wants it. OpenSSL reports a failure of any of these calls only when
 * memory is short. */
#include "base/ensure.h"
#include "base/err.h"
#include "dist/node_name.h"
#include "io/pki_internal.h"
#include "io/sys.h"

#include <openssl/bn.h>
#include <time.h>

enum {
    SERIAL_SIZE = 16,     /* bytes; at most 20 (RFC 5280 4.1.2.2) */
    COMMON_NAME_MAX = 64, /* bytes (RFC 5280 A.1, ub-common-name) */
    BACKDATE_S = 300,     /* clocks of the nodes may differ that much */
    VERSION_3 = 2,
};

int pki_make_key(EVP_PKEY **ret_key)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    if (key == NULL) {
        return ERR_NOMEM;
    }
    *ret_key = key;
    return 0;
}

static bool set_serial(X509 *certificate)
{
    uint8_t random[SERIAL_SIZE];
    BIGNUM *number;
    bool is_done;

    sys_random(random, sizeof(random));
    random[0] |= 1; /* it may not be 0 */
    number = BN_bin2bn(random, SERIAL_SIZE, NULL);
    is_done =
        number != NULL &&
        BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return is_done;
}

/* From a little ago for so many days, or until the signer's own end. */
static bool set_times(X509 *certificate, uint32_t days, const X509 *signer)
{
    time_t now = time(NULL);
    ASN1_TIME *end = X509_getm_notAfter(certificate);
    const ASN1_TIME *signer_end =
        signer == NULL ? NULL : X509_get0_notAfter(signer);

    if (X509_time_adj_ex(X509_getm_notBefore(certificate), 0, -BACKDATE_S,
                         &now) == NULL ||
        X509_time_adj_ex(end, (int)days, 0, &now) == NULL) {
        return false;
    }
    return signer_end == NULL || ASN1_TIME_compare(end, signer_end) <= 0 ||
           X509_set1_notAfter(certificate, signer_end) == 1;
}

static bool set_common_name(X509 *certificate, const char *text, size_t size)
{
    X509_NAME *name = X509_get_subject_name(certificate);

    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
                                      (const uint8_t *)text, (int)size, -1,
                                      0) == 1;
}

/* An extension from its text in OpenSSL's notation, which holds nothing that
 * came from outside. */
static bool add_extension(X509 *certificate, const X509 *signer, int nid,
                          const char *text)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool is_done;

    X509V3_set_ctx_nodb(&context);
    /* The cast drops a const that OpenSSL's declaration has not; it reads. */
    X509V3_set_ctx(&context, (X509 *)(uintptr_t)signer, certificate, NULL, NULL,
                   0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, text);
    is_done =
        extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_done;
}

/* What both kinds of certificate have. */
static X509 *begin(EVP_PKEY *key, uint32_t days, const X509 *signer)
{
    X509 *certificate = X509_new();

    if (certificate == NULL || X509_set_version(certificate, VERSION_3) != 1 ||
        !set_serial(certificate) || !set_times(certificate, days, signer) ||
        X509_set_pubkey(certificate, key) != 1) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

int pki_make_authority(const char *cluster, uint32_t days, EVP_PKEY *key,
                       X509 **ret_certificate)
{
    X509 *certificate = begin(key, days, NULL);
    char name[COMMON_NAME_MAX + 1];
    int size = snprintf(name, sizeof(name), "Quorate CA %s", cluster);

    ensure(size > 0 && size <= COMMON_NAME_MAX);
    if (certificate == NULL ||
        !set_common_name(certificate, name, (size_t)size) ||
        X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) !=
            1 ||
        !add_extension(certificate, certificate, NID_basic_constraints,
                       "critical,CA:TRUE,pathlen:0") ||
        !add_extension(certificate, certificate, NID_key_usage,
                       "critical,keyCertSign,cRLSign") ||
        !add_extension(certificate, certificate, NID_subject_key_identifier,
                       "hash") ||
        !add_extension(certificate, certificate, NID_authority_key_identifier,
                       "keyid:always") ||
        X509_sign(certificate, key, EVP_sha256()) == 0) {
        X509_free(certificate);
        return ERR_NOMEM;
    }
    *ret_certificate = certificate;
    return 0;
}

int pki_make_node(const struct pki_signer *signer, const struct pki_node *node,
                  const GENERAL_NAMES *sans, EVP_PKEY *key,
                  X509 **ret_certificate)
{
    const X509 *authority = signer->certificate;
    X509 *certificate = begin(key, node->days, authority);
    size_t size = strlen(node->name);

    /* The alternative name has all of a name that is too long for this one. */
    size = size < COMMON_NAME_MAX ? size : COMMON_NAME_MAX;
    if (certificate == NULL ||
        !set_common_name(certificate, node->name, size) ||
        X509_set_issuer_name(certificate, X509_get_subject_name(authority)) !=
            1 ||
        !add_extension(certificate, authority, NID_basic_constraints,
                       "critical,CA:FALSE") ||
        !add_extension(certificate, authority, NID_key_usage,
                       "critical,digitalSignature") ||
        !add_extension(certificate, authority, NID_ext_key_usage,
                       "serverAuth,clientAuth") ||
        !add_extension(certificate, authority, NID_subject_key_identifier,
                       "hash") ||
        !add_extension(certificate, authority, NID_authority_key_identifier,
                       "keyid:always") ||
        X509_add1_ext_i2d(certificate, NID_subject_alt_name,
                          (void *)(uintptr_t)sans, 0,
                          X509V3_ADD_DEFAULT) != 1 ||
        X509_sign(certificate, signer->key, EVP_sha256()) == 0) {
        X509_free(certificate);
        return ERR_NOMEM;
    }
    *ret_certificate = certificate;
    return 0;
}
