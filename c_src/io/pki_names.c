/* SPDX-License-Identifier: Apache-2.0
 * The names in certificates. A node's name becomes the name of a directory, so
 * it holds nothing that means something to a file system or a shell. */
#include "base/err.h"
#include "config/value.h"
#include "dist/node_name.h"
#include "io/pki_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <limits.h>

enum {
    LABEL_SIZE_MAX = 63, /* bytes between two dots (RFC 1035) */
    HOST_SIZE_MAX = 253, /* bytes of a DNS name */
    IP_SIZE_MAX = 16,    /* bytes of an address */
    ROLE_URI_SIZE = 64,  /* bytes */
};

static bool is_word_character(uint8_t c)
{
    return isalnum(c) != 0 || c == '-' || c == '_';
}

static int refuse(struct buf *error, struct bytes name, const char *advice)
{
    value_put_quoted(error, name);
    buf_printf(error, " will not do; %s", advice);
    return ERR_BADARG;
}

static bool is_dns_name(struct bytes host)
{
    size_t label = 0;

    if (host.size == 0 || host.size > HOST_SIZE_MAX) {
        return false;
    }
    for (size_t i = 0; i < host.size; i++) {
        if (host.data[i] == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
        } else if (!is_word_character(host.data[i]) ||
                   label++ == LABEL_SIZE_MAX) {
            return false;
        }
    }
    return label > 0;
}

/* The bytes of an address, 4 or 16; 0: the text is none. */
static int parse_ip(struct bytes text, uint8_t ret_ip[IP_SIZE_MAX])
{
    char buffer[INET6_ADDRSTRLEN];

    if (text.size == 0 || text.size >= sizeof(buffer) ||
        memchr(text.data, '\0', text.size) != NULL) {
        return 0;
    }
    memcpy(buffer, text.data, text.size);
    buffer[text.size] = '\0';
    if (inet_pton(AF_INET, buffer, ret_ip) == 1) {
        return (int)sizeof(struct in_addr);
    }
    if (inet_pton(AF_INET6, buffer, ret_ip) == 1) {
        return (int)sizeof(struct in6_addr);
    }
    return 0;
}

int pki_check_cluster(const char *cluster, struct buf *error)
{
    struct bytes name = bytes_of_string(cluster);
    bool is_good = name.size > 0 && name.size <= PKI_CLUSTER_SIZE_MAX;

    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];

        is_good = is_good && (is_word_character(c) || c == '.' || c == ' ');
    }
    return is_good ? 0
                   : refuse(error, name,
                            "give a name of a cluster of 1 to 48 letters, "
                            "digits, blanks, '-', '_' and '.'");
}

int pki_check_node(const char *name, struct buf *error)
{
    struct bytes whole = bytes_of_string(name);
    struct bytes alive;
    struct bytes host;
    uint8_t ip[IP_SIZE_MAX];
    bool is_good = node_name_split(whole, &alive, &host) == 0 &&
                   (is_dns_name(host) || parse_ip(host, ip) > 0) &&
                   alive.data[0] != '-' && alive.data[0] != '.';

    for (size_t i = 0; is_good && i < alive.size; i++) {
        is_good = is_word_character(alive.data[i]) || alive.data[i] == '.';
    }
    return is_good ? 0
                   : refuse(error, whole,
                            "give NAME@HOST, NAME of letters, digits, '-', "
                            "'_' and '.', HOST a DNS name or an IP address");
}

int pki_check_role(const char *role, struct buf *error)
{
    struct bytes name = bytes_of_string(role);

    if (bytes_is(name, "member") || bytes_is(name, "worker") ||
        bytes_is(name, "client")) {
        return 0;
    }
    return refuse(error, name, "give member, worker or client");
}

bool pki_is_ip_name(const char *name)
{
    struct bytes alive;
    struct bytes host;
    uint8_t ip[IP_SIZE_MAX];

    return node_name_split(bytes_of_string(name), &alive, &host) == 0 &&
           parse_ip(host, ip) > 0;
}

/* --- Alternative names ---------------------------------------------------- */

/* Whether a name is there already. */
static bool has_san(const GENERAL_NAMES *sans, GENERAL_NAME *san)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(sans); i++) {
        if (GENERAL_NAME_cmp(sk_GENERAL_NAME_value(sans, i), san) == 0) {
            return true;
        }
    }
    return false;
}

/* GEN_DNS, GEN_EMAIL, GEN_URI, GEN_IPADD. */
static int add_san(GENERAL_NAMES *sans, int type, struct bytes value)
{
    GENERAL_NAME *san = GENERAL_NAME_new();
    ASN1_STRING *text = ASN1_STRING_type_new(
        type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);

    if (san == NULL || text == NULL ||
        ASN1_STRING_set(text, value.data, (int)value.size) != 1) {
        goto failed;
    }
    GENERAL_NAME_set0_value(san, type, text);
    text = NULL; /* it belongs to the name now */
    if (has_san(sans, san)) {
        GENERAL_NAME_free(san);
        return 0;
    }
    if (sk_GENERAL_NAME_push(sans, san) <= 0) {
        goto failed;
    }
    return 0;
failed:
    ASN1_STRING_free(text);
    GENERAL_NAME_free(san);
    return ERR_NOMEM;
}

/* A host, whatever it is named by. */
static int add_host(GENERAL_NAMES *sans, struct bytes host)
{
    uint8_t ip[IP_SIZE_MAX];
    int ip_size = parse_ip(host, ip);

    return ip_size > 0 ? add_san(sans, GEN_IPADD, bytes_of(ip, (size_t)ip_size))
                       : add_san(sans, GEN_DNS, host);
}

/* TYPE:VALUE */
static int add_given(GENERAL_NAMES *sans, struct bytes text, struct buf *error)
{
    static const size_t dns_size = sizeof("DNS:") - 1;
    static const size_t ip_size = sizeof("IP:") - 1;
    uint8_t ip[IP_SIZE_MAX];
    struct bytes value;

    if (text.size > dns_size && memcmp(text.data, "DNS:", dns_size) == 0) {
        value = bytes_of(text.data + dns_size, text.size - dns_size);
        /* What looks like an address is never compared as a DNS name. */
        if (is_dns_name(value) && parse_ip(value, ip) == 0) {
            return add_san(sans, GEN_DNS, value);
        }
    } else if (text.size > ip_size && memcmp(text.data, "IP:", ip_size) == 0) {
        value = bytes_of(text.data + ip_size, text.size - ip_size);
        if (parse_ip(value, ip) > 0) {
            return add_host(sans, value);
        }
    }
    return refuse(error, text, "give DNS:NAME or IP:ADDRESS");
}

/* Several with commas between them. */
static int add_list(GENERAL_NAMES *sans, const char *list, struct buf *error)
{
    const char *next = list;
    int rv = 0;

    while (rv == 0 && next != NULL) {
        const char *comma = strchr(next, ',');

        rv = add_given(sans,
                       comma == NULL ? bytes_of_string(next)
                                     : bytes_of(next, (size_t)(comma - next)),
                       error);
        if (rv == 0 && sk_GENERAL_NAME_num(sans) > PKI_SANS_MAX) {
            buf_printf(error, "a certificate has at most %d alternative names",
                       (int)PKI_SANS_MAX);
            rv = ERR_BADARG;
        }
        next = comma == NULL ? NULL : comma + 1;
    }
    return rv;
}

int pki_make_sans(const struct pki_node *node, GENERAL_NAMES **ret_sans,
                  struct buf *error)
{
    GENERAL_NAMES *sans = sk_GENERAL_NAME_new_null();
    struct bytes name = bytes_of_string(node->name);
    struct bytes alive;
    struct bytes host;
    char uri[ROLE_URI_SIZE];
    int size = snprintf(uri, sizeof(uri), PKI_ROLE_URI "%s", node->role);
    int rv = sans == NULL ? ERR_NOMEM : node_name_split(name, &alive, &host);

    rv = rv != 0 ? rv : add_host(sans, host);
    rv = rv != 0 ? rv : add_san(sans, GEN_EMAIL, name);
    rv = rv != 0 ? rv : add_san(sans, GEN_URI, bytes_of(uri, (size_t)size));
    for (size_t i = 0; rv == 0 && i < node->san_count; i++) {
        rv = add_list(sans, node->sans[i], error);
    }
    if (rv != 0) {
        GENERAL_NAMES_free(sans);
        return rv;
    }
    *ret_sans = sans;
    return 0;
}
