/* SPDX-License-Identifier: Apache-2.0
 * Patterns of node names, in settings: `*` stands for any run of characters, an
 * empty one included; all others stand for themselves. */
#ifndef QUORATE_SECURITY_PATTERN_H
#define QUORATE_SECURITY_PATTERN_H

#include "base/bytes.h"

#include <stdbool.h>

/* Whether the pattern stands for the whole name. In time proportional to the
 * product of both sizes at most. */
bool pattern_matches(struct bytes pattern, struct bytes name);

#endif
