/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: card_parse, card_print. A card that is taken comes out again as the
 * same bytes, and its directory is in order. */
#include "base/buf.h"
#include "base/ensure.h"
#include "cluster/card.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct card card;
    struct buf text;

    if (card_parse(bytes_of(data, size), &card) != 0) {
        return 0;
    }
    directory_check(&card.directory);
    ensure(card.id != 0);
    ensure(card.instance != 0);
    buf_init(&text, SIZE_MAX);
    card_print(&text, &card);
    ensure(buf_error(&text) == 0);
    ensure(bytes_equal(buf_bytes(&text), bytes_of(data, size)));
    buf_close(&text);
    return 0;
}
