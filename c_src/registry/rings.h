/* SPDX-License-Identifier: Apache-2.0
 * The rings of a registry that was restored record by record, in any order. */
#ifndef QUORATE_REGISTRY_RINGS_H
#define QUORATE_REGISTRY_RINGS_H

#include "base/attr.h"
#include "registry/registry.h"

/* Puts what registry_restore_sandbox() and registry_restore_name() have made
 * into the rings of their workers, or `unplaced`, by ring_order; after it
 * registry_check() holds. ERR_MALFORMED: two have the same order, or one above
 * registry->ring_order_last, or a worker has given away more than can be
 * counted; ERR_NOMEM. Then only registry_close() may follow. */
int registry_join_rings(struct registry *registry) MUST_USE;

#endif
