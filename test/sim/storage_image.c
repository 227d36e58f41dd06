/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/storage_image.h"

#include "sim/cluster_internal.h"

#include <stdlib.h>
#include <string.h>

void storage_resize(struct storage_image *image, size_t size)
{
    if (size > image->size) {
        image->data = cluster_must(realloc(image->data, size));
        memset(image->data + image->size, 0, size - image->size);
    }
    image->size = size;
}

void storage_copy(struct storage_image *to, const struct storage_image *from)
{
    storage_resize(to, from->size);
    if (from->size > 0) {
        memcpy(to->data, from->data, from->size);
    }
}

void storage_put(struct storage_image *image, size_t offset,
                 const uint8_t *data, size_t size)
{
    if (offset + size > image->size) {
        storage_resize(image, offset + size);
    }
    if (size > 0) {
        memcpy(image->data + offset, data, size);
    }
}
