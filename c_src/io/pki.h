/* SPDX-License-Identifier: Apache-2.0
 * Certificates for TLS between the nodes of one cluster.
 *
 *   DIR/ca.pem, DIR/ca-key.pem      the authority, made once
 *   OUT/NAME@HOST/cert.pem, key.pem, ca.pem, ssl_dist.conf      of each node
 *
 * All files are PEM with mode 0600 in directories with mode 0700, keys are EC
 * P-256. The certificate of a node says who it is by its alternative names:
 * DNS or IP of its host (others may be added), as an e-mail address the whole
 * node name, and as a URI the role that it may have, `urn:quorate:role:ROLE`.
 *
 * Functions return 0 or an error with one line in `error` that says what is
 * wrong and what to do: ERR_BADARG (what the caller asked for), ERR_EXISTS,
 * ERR_NOT_FOUND, ERR_FORBIDDEN (a file is open to others), ERR_IN_USE (another
 * process works in the directory), ERR_CORRUPT, ERR_LIMIT, ERR_IO,
 * ERR_NO_SPACE, ERR_NOMEM. */
#ifndef QUORATE_IO_PKI_H
#define QUORATE_IO_PKI_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PKI_DAYS_MAX = 36500,
    PKI_AUTHORITY_DAYS = 3650, /* unless asked otherwise */
    PKI_NODE_DAYS = 365,       /* idem */
    PKI_CLUSTER_SIZE_MAX = 48, /* bytes of a cluster's name */
    PKI_SANS_MAX = 64,         /* alternative names that are issued or shown */
    PKI_CONF_SIZE_MAX = 65536, /* bytes of an ssl_dist.conf */
    PKI_TEXT_SIZE_MAX = 1024,  /* bytes of a subject, an issuer, a path */
};

#define PKI_ROLE_URI "urn:quorate:role:"

struct pki_authority {
    const char *dir;
    const char *cluster; /* letters, digits, `-`, `_`, `.` and blanks */
    uint32_t days;       /* 1..PKI_DAYS_MAX; so for a node */
};

/* Makes the authority of a cluster. ERR_EXISTS: there is one; nothing is
 * changed. */
int pki_init(const struct pki_authority *authority, struct buf *error) MUST_USE;

/* Whether a node may have this name: what is in it goes into certificates, and
 * into the name of a directory. ERR_BADARG. */
int pki_check_node(const char *name, struct buf *error) MUST_USE;

struct pki_node {
    const char *dir;         /* of the authority */
    const char *out;         /* where NAME@HOST/ goes; NULL: `dir` */
    const char *name;        /* NAME@HOST */
    const char *role;        /* member, worker or client */
    const char *const *sans; /* each TYPE:VALUE[,TYPE:VALUE...] */
    size_t san_count;
    uint32_t days; /* cut at the authority's own end */
    bool force;    /* replace what is there */
};

/* Makes a key and a certificate for a node, and `ssl_dist.conf`, the file for
 * Erlang's -ssl_dist_optfile, whose text is appended to `conf`. ERR_EXISTS:
 * there is a certificate, and not `force`; nothing is changed. */
int pki_issue(const struct pki_node *node, struct buf *conf,
              struct buf *error) MUST_USE;

/* Whether a node's name ends with an IP address: Erlang/OTP 25 accepts no
 * certificate for one. */
bool pki_is_ip_name(const char *name);

struct pki_certificate {
    char path[PKI_TEXT_SIZE_MAX];    /* of the file */
    char subject[PKI_TEXT_SIZE_MAX]; /* cut if longer; so the issuer */
    char issuer[PKI_TEXT_SIZE_MAX];
    char serial[64];      /* hexadecimal */
    char fingerprint[65]; /* SHA-256 of all of it, hexadecimal */
    char role[16];        /* "" if it gives none */
    bool is_authority;
    int64_t not_before_s; /* since 1970; so the end */
    int64_t not_after_s;
    struct buf sans; /* blocks of text: "DNS:host", "email:q1@host" */
};

enum pki_validity { PKI_VALID, PKI_NOT_YET, PKI_EXPIRED };

enum pki_validity pki_validity_at(const struct pki_certificate *certificate,
                                  int64_t now_s);

/* Shows `each` of the certificates in a PEM file, or in a directory: that of a
 * node, or that of an authority and those of the nodes beside it, by name. What
 * is shown lives until `each` returns. */
int pki_show(const char *path, struct buf *error, void *arg,
             void (*each)(void *arg,
                          const struct pki_certificate *certificate)) MUST_USE;

#endif
