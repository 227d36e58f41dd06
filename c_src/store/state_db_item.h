/* SPDX-License-Identifier: Apache-2.0
 * One request in the state store, first in the queue, then in a batch, then
 * among the answers. Private to state_db. */
#ifndef QUORATE_STORE_STATE_DB_ITEM_H
#define QUORATE_STORE_STATE_DB_ITEM_H

#include "base/blob.h"
#include "base/buf.h"
#include "base/list.h"
#include "state/message.h"

#include <stdbool.h>
#include <stdint.h>

struct state_item {
    struct list link;             /* in the queue or among the answers */
    uint64_t from;                /* who asked */
    uint64_t forget_epoch;        /* of a removal */
    bool is_forget;               /* a removal: no answer */
    bool wants_room;              /* it had a value to store */
    struct state_message request; /* borrows from `data` and `blob` */
    struct buf answer;            /* the encoded answer */
    size_t size;                  /* of all that was asked */
    struct bytes value;           /* what follows `data`: bytes of `blob` */
    struct blob *blob;            /* held until it was carried out, or NULL */
    size_t data_size;             /* of `data` */
    uint8_t data[];               /* the encoded request, or the id */
};

#endif
