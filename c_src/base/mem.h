/* SPDX-License-Identifier: Apache-2.0
 * The only way to allocate, so that tests can make the n-th allocation fail. */
#ifndef QUORATE_BASE_MEM_H
#define QUORATE_BASE_MEM_H

#include "base/attr.h"

#include <stddef.h>
#include <stdint.h>

/* `size` zeroed bytes, or NULL. `size` may be 0: the result is then a pointer
 * that mem_free() takes. The caller frees. */
void *mem_alloc(size_t size) MUST_USE;

/* `count * size` zeroed bytes, or NULL (also if the product overflows). */
void *mem_alloc_array(size_t count, size_t size) MUST_USE;

/* Resizes; on failure returns NULL and `old` stays valid. New bytes are not
 * zeroed. `old` may be NULL. */
void *mem_realloc(void *old, size_t size) MUST_USE;

/* A copy of `size` bytes, or NULL. The caller frees. */
void *mem_copy(const void *data, size_t size) MUST_USE;

/* Frees; NULL is allowed. */
void mem_free(void *data);

/* Tests only: the allocation after `count` more successful ones fails, and all
 * later ones too. UINT64_MAX: none fails. Per thread. */
void mem_fail_after(uint64_t count);

#endif
