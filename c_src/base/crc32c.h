/* SPDX-License-Identifier: Apache-2.0
 * CRC-32C (Castagnoli; RFC 3720 appendix B.4), by the processor's instruction
 * where there is one. */
#ifndef QUORATE_BASE_CRC32C_H
#define QUORATE_BASE_CRC32C_H

#include "base/bytes.h"

#include <stdint.h>

/* The checksum of `bytes`, continuing from `crc` (0 to begin). */
uint32_t crc32c(uint32_t crc, struct bytes bytes);

/* The portable way, for tests to compare with. */
uint32_t crc32c_portable(uint32_t crc, struct bytes bytes);

#endif
