/* SPDX-License-Identifier: Apache-2.0
 * Whether the keys of maps differ. A virtual machine does not decode a map
 * with two equal keys: it drops the link that such a term came over. What is
 * kept, or handed on to other nodes, is looked at here first. */
#ifndef QUORATE_ETF_KEYS_H
#define QUORATE_ETF_KEYS_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stdint.h>

/* Looks at every map in a raw term that passed etf_validate(), at any depth:
 * 0; ERR_MALFORMED: two keys of one map are equal; ERR_NOMEM. Bytes that are
 * no such term are ERR_TRUNCATED, ERR_BADARG or ERR_LIMIT.
 *
 * Equal is what =:= of any supported release calls equal once the keys are
 * decoded, in whichever of its forms each was written, and 0.0 and -0.0. Of
 * funs only the module, the index and the free variables count.
 *
 * Time grows linearly with the size, memory with the number of keys of the
 * maps that are open at once: 8 bytes a key, and as much for the map that is
 * compared. `seed` is secret: by it the peer cannot choose keys that look
 * equal and are not. */
int etf_keys_differ(struct bytes raw, uint64_t seed) MUST_USE;

#endif
