/* SPDX-License-Identifier: Apache-2.0
 * What the files of io/tls share. */
#ifndef QUORATE_IO_TLS_INTERNAL_H
#define QUORATE_IO_TLS_INTERNAL_H

#include "dist/node_name.h"
#include "io/tls.h"

#include <openssl/ssl.h>

struct tls {
    struct tls_config config;
    SSL_CTX *context; /* owned; links hold it too */
    size_t own_name_size;
    char own_name[NODE_NAME_SIZE_MAX];
};

struct tls_link {
    SSL *ssl;
    BIO *in;    /* what the peer sent; owned by `ssl` */
    BIO *out;   /* what the peer is to get; owned by `ssl` */
    X509 *peer; /* its certificate once ready; owned */
    bool is_ready;
    bool verifies_name;
    const char *failure;
};

#endif
