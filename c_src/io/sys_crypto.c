/* SPDX-License-Identifier: Apache-2.0
 * Randomness from the kernel, MD5 from OpenSSL. */
#include "base/ensure.h"
#include "io/sys.h"

#include <errno.h>
#include <openssl/evp.h>
#include <sys/random.h>

void sys_random(void *data, size_t size)
{
    uint8_t *next = (uint8_t *)data;

    while (size > 0) {
        ssize_t got = getrandom(next, size, 0);

        if (got < 0) {
            ensure(errno == EINTR);
            continue;
        }
        next += got;
        size -= (size_t)got;
    }
}

void sys_md5(struct bytes data, uint8_t ret_digest[16])
{
    unsigned size = 16;

    /* Fails only where a policy forbids MD5, and then no handshake of the
     * distribution protocol is possible at all. */
    ensure(EVP_Digest(data.data, data.size, ret_digest, &size, EVP_md5(),
                      NULL) == 1);
    ensure(size == 16);
}
