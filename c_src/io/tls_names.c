/* SPDX-License-Identifier: Apache-2.0
 * Looks through the alternative names of a certificate. */
#include "io/tls_names.h"

#include "dist/node_name.h"
#include "io/pki.h"
#include "io/tls.h"

#include <openssl/x509v3.h>
#include <string.h>

enum { ROLE_COUNT = 3 };

/* The least first. */
static const char *const roles[ROLE_COUNT] = {"client", "worker", "member"};

static struct bytes bytes_of_asn1(const ASN1_STRING *string)
{
    int size = ASN1_STRING_length(string);

    return bytes_of(ASN1_STRING_get0_data(string), size < 0 ? 0 : (size_t)size);
}

static GENERAL_NAMES *names_of(X509 *certificate)
{
    return X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
}

/* NAME-cli-...@HOST for the address NAME@HOST. */
static bool is_command_of(struct bytes address, struct bytes node_name)
{
    static const size_t mark_size = sizeof(TLS_COMMAND_MARK) - 1;
    struct bytes alive;
    struct bytes host;
    struct bytes own_alive;
    struct bytes own_host;

    return node_name_split(address, &own_alive, &own_host) == 0 &&
           node_name_split(node_name, &alive, &host) == 0 &&
           bytes_equal(host, own_host) &&
           alive.size > own_alive.size + mark_size &&
           memcmp(alive.data, own_alive.data, own_alive.size) == 0 &&
           memcmp(alive.data + own_alive.size, TLS_COMMAND_MARK, mark_size) ==
               0;
}

/* Whether there is an address at all, and one that fits. */
static bool fits_address(const GENERAL_NAMES *names, struct bytes node_name,
                         bool *ret_has_address)
{
    *ret_has_address = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        struct bytes address;

        if (name->type != GEN_EMAIL) {
            continue;
        }
        *ret_has_address = true;
        address = bytes_of_asn1(name->d.rfc822Name);
        if (bytes_equal(address, node_name) ||
            is_command_of(address, node_name)) {
            return true;
        }
    }
    return false;
}

static bool fits_host(X509 *certificate, struct bytes node_name)
{
    char text[NODE_NAME_SIZE_MAX + 1];
    struct bytes alive;
    struct bytes host;

    if (node_name_split(node_name, &alive, &host) != 0) {
        return false;
    }
    memcpy(text, host.data, host.size);
    text[host.size] = '\0';
    return X509_check_host(certificate, text, host.size,
                           X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1 ||
           X509_check_ip_asc(certificate, text, 0) == 1;
}

bool tls_names_allow(X509 *certificate, struct bytes node_name)
{
    GENERAL_NAMES *names = names_of(certificate);
    bool has_address;
    bool fits = fits_address(names, node_name, &has_address);

    GENERAL_NAMES_free(names);
    return has_address ? fits : fits_host(certificate, node_name);
}

/* The place of a role's URI among the roles; those that are not known have the
 * least. -1: it is no such URI. */
static int role_of(struct bytes uri)
{
    static const size_t prefix_size = sizeof(PKI_ROLE_URI) - 1;

    if (uri.size < prefix_size ||
        memcmp(uri.data, PKI_ROLE_URI, prefix_size) != 0) {
        return -1;
    }
    uri = bytes_of(uri.data + prefix_size, uri.size - prefix_size);
    for (int i = 0; i < ROLE_COUNT; i++) {
        if (bytes_is(uri, roles[i])) {
            return i;
        }
    }
    return 0;
}

const char *tls_names_role(X509 *certificate)
{
    GENERAL_NAMES *names = names_of(certificate);
    int least = -1;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        int role =
            name->type == GEN_URI
                ? role_of(bytes_of_asn1(name->d.uniformResourceIdentifier))
                : -1;

        if (role >= 0 && (least < 0 || role < least)) {
            least = role;
        }
    }
    GENERAL_NAMES_free(names);
    return least < 0 ? "" : roles[least];
}

size_t tls_names_first_email(X509 *certificate, char *ret_text, size_t room)
{
    GENERAL_NAMES *names = names_of(certificate);
    size_t size = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && size == 0; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_EMAIL) {
            struct bytes address = bytes_of_asn1(name->d.rfc822Name);

            if (node_name_is_valid(address) && address.size <= room) {
                memcpy(ret_text, address.data, address.size);
                size = address.size;
            }
        }
    }
    GENERAL_NAMES_free(names);
    return size;
}
