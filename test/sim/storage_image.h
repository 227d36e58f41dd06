/* SPDX-License-Identifier: Apache-2.0
 * The bytes of a simulated file; they grow with zeros. */
#ifndef QUORATE_TEST_SIM_STORAGE_IMAGE_H
#define QUORATE_TEST_SIM_STORAGE_IMAGE_H

#include "sim/storage.h"

void storage_resize(struct storage_image *image, size_t size);
void storage_copy(struct storage_image *to, const struct storage_image *from);
void storage_put(struct storage_image *image, size_t offset,
                 const uint8_t *data, size_t size);

#endif
