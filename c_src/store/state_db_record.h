/* SPDX-License-Identifier: Apache-2.0
 * How the state store writes down what a replica knows of one id: a small
 * record with its own checksum. The value is a record of its own, so that a
 * promise does not move it; its checksum is the coordinator's. */
#ifndef QUORATE_STORE_STATE_DB_RECORD_H
#define QUORATE_STORE_STATE_DB_RECORD_H

#include "base/attr.h"
#include "base/bytes.h"
#include "state/replica.h"

#include <stdint.h>

enum { STATE_RECORD_SIZE = 2 + 5 * 8 + 3 * 4 };

void state_record_encode(const struct state_replica *replica, struct bytes id,
                         uint8_t ret_record[STATE_RECORD_SIZE]);

/* ERR_CORRUPT: it is not what was written for this id. */
int state_record_decode(struct bytes record, struct bytes id,
                        struct state_replica *ret_replica) MUST_USE;

#endif
