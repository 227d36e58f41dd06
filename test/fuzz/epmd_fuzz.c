/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: epmd_decode_alive, epmd_decode_port.
 *
 * The input is what a port mapper answers. What decodes needs just the bytes
 * that it says: one less is truncated, more make no difference. */
#include "base/ensure.h"
#include "base/err.h"
#include "dist/epmd.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_alive(struct bytes input)
{
    uint32_t creation;
    uint32_t again;
    size_t used;
    size_t used_again;
    int rv = epmd_decode_alive(input, &creation, &used);

    ensure(rv == 0 || rv == ERR_TRUNCATED || rv == ERR_MALFORMED ||
           rv == ERR_REFUSED);
    if (rv != 0) {
        return;
    }
    ensure(used > 0 && used <= input.size);
    ensure(epmd_decode_alive(bytes_of(input.data, used), &again, &used_again) ==
           0);
    ensure(again == creation && used_again == used);
    for (size_t i = 0; i < used; i++) {
        ensure(epmd_decode_alive(bytes_of(input.data, i), &again,
                                 &used_again) == ERR_TRUNCATED);
    }
}

static void check_port(struct bytes input)
{
    struct epmd_node node;
    struct epmd_node again;
    size_t used;
    size_t used_again;
    int rv = epmd_decode_port(input, &node, &used);

    ensure(rv == 0 || rv == ERR_TRUNCATED || rv == ERR_MALFORMED ||
           rv == ERR_NOT_FOUND || rv == ERR_UNSUPPORTED);
    if (rv != 0) {
        return;
    }
    ensure(used > 0 && used <= input.size && used <= EPMD_RESPONSE_MAX);
    ensure(node.alive.data >= input.data);
    ensure(node.alive.data + node.alive.size <= input.data + used);
    ensure(epmd_decode_port(bytes_of(input.data, used), &again, &used_again) ==
           0);
    ensure(again.port == node.port && used_again == used);
    for (size_t i = 0; i < used; i++) {
        ensure(epmd_decode_port(bytes_of(input.data, i), &again, &used_again) ==
               ERR_TRUNCATED);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > EPMD_RESPONSE_MAX) {
        return 0;
    }
    check_alive(bytes_of(data, size));
    check_port(bytes_of(data, size));
    return 0;
}
