/* SPDX-License-Identifier: Apache-2.0
 * What a certificate says of its node by its alternative names (`quorate pki`
 * makes such certificates, and others can). Private to io/.
 *
 *   email:q1@host               the node name
 *   DNS:host, IP:10.0.0.1       its host, if there is no e-mail address
 *   URI:urn:quorate:role:member the role that it may have */
#ifndef QUORATE_IO_TLS_NAMES_H
#define QUORATE_IO_TLS_NAMES_H

#include "base/attr.h"
#include "base/bytes.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether a node of this certificate may have the name: it is one of the e-mail
 * addresses, or that of a command run with it; without an address, the host is
 * one of the certificate's. */
bool tls_names_allow(X509 *certificate, struct bytes node_name) MUST_USE;

/* The least of the roles that it names, a static text; "client" if one is not
 * known, "" if there is none. */
const char *tls_names_role(X509 *certificate);

/* Writes the first e-mail address that is a node name; its size, 0 if there is
 * none or no room. */
size_t tls_names_first_email(X509 *certificate, char *ret_text, size_t room);

#endif
