/* SPDX-License-Identifier: Apache-2.0
 * Ports of the loopback that nobody has: asked for all at once, so that they
 * differ. Another process may take one until it is used. */
#ifndef QUORATE_TEST_BENCH_PORTS_H
#define QUORATE_TEST_BENCH_PORTS_H

#include "base/ensure.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORTS_MAX = 16 };

static inline void find_ports(uint16_t *ports, int count)
{
    int sockets[PORTS_MAX];

    ensure(count <= PORTS_MAX);

    for (int i = 0; i < count; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET};
        socklen_t size = sizeof(address);

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
        ensure(sockets[i] >= 0);
        ensure(bind(sockets[i], (struct sockaddr *)&address, size) == 0);
        ensure(getsockname(sockets[i], (struct sockaddr *)&address, &size) ==
               0);
        ports[i] = ntohs(address.sin_port);
    }
    for (int i = 0; i < count; i++) {
        (void)close(sockets[i]);
    }
}

#endif
