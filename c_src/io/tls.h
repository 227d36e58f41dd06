/* SPDX-License-Identifier: Apache-2.0
 * What all TLS links of this node share: our certificate and key, and the
 * authorities that may vouch for peers. TLS 1.2 and 1.3, both sides show a
 * certificate, no session is resumed. */
#ifndef QUORATE_IO_TLS_H
#define QUORATE_IO_TLS_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>

/* What the quorate command puts behind the name of the node whose certificate
 * it uses: NAME-cli-...@HOST. */
#define TLS_COMMAND_MARK "-cli-"

struct settings;
struct tls;

struct tls_config {
    const char *cert_file; /* PEM, ours first; borrowed for life */
    const char *key_file;  /* PEM; must not be open to others; idem */
    const char *ca_file;   /* PEM; idem */
    bool verify_name;      /* the peer's name must be in its certificate */
};

/* Reads the three files. ERR_NOT_FOUND, ERR_FORBIDDEN (the key is open to
 * others), ERR_BADARG (what is in a file, or a key of another certificate),
 * ERR_IO, ERR_NOMEM, with a line in `error` that says what is wrong and what to
 * do. */
int tls_new(const struct tls_config *config, struct tls **ret_tls,
            struct buf *error) MUST_USE;

/* The same by the settings, which must outlive it: NULL if TLS is not on.
 * ERR_BADARG too if they are not complete. */
int tls_open(const struct settings *settings, struct tls **ret_tls,
             struct buf *error) MUST_USE;

/* Reads them again, for the handshakes that begin from now on; links go on as
 * they are. On error (as of tls_new()) all stays as it was. */
int tls_reload(struct tls *tls, struct buf *error) MUST_USE;

/* Links may outlive it. NULL is allowed. */
void tls_free(struct tls *tls);

/* The node name in our own certificate (its first e-mail address), borrowed
 * until the next reload; empty if it has none. */
struct bytes tls_own_name(const struct tls *tls);

#endif
