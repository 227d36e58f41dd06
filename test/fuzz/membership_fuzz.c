/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: membership_decode. What it takes must be in order, and come out
 * again as the same bytes. */
#include "base/ensure.h"
#include "raft/membership.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_membership membership;
    uint8_t bytes[MEMBERSHIP_SIZE_MAX];
    size_t count;

    if (membership_decode(bytes_of(data, size), &membership) != 0) {
        return 0;
    }
    ensure(membership_check(&membership) == 0);
    count = membership_encode(&membership, bytes);
    ensure(bytes_equal(bytes_of(bytes, count), bytes_of(data, size)));
    return 0;
}
