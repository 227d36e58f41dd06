/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PAGE_SIZE_MIN = 4096,
    HUGE_SIZE_MIN =
        4 * 1024 * 1024, /* bytes from which huge pages are wanted */
};

static _Thread_local uint64_t allocations_left = UINT64_MAX;

static int may_allocate(void)
{
    if (allocations_left == UINT64_MAX) {
        return 1;
    }
    if (allocations_left == 0) {
        return 0;
    }
    allocations_left--;
    return 1;
}

/* The first write to each page of 4 KiB costs more than what is copied into
 * it. Huge pages are only asked for: without them all is as it was. */
static void *prefer_huge_pages(void *data, size_t size)
{
    if (data != NULL && size >= HUGE_SIZE_MIN) {
        size_t offset = PAGE_SIZE_MIN - (uintptr_t)data % PAGE_SIZE_MIN;

        (void)madvise((uint8_t *)data + offset, size - offset, MADV_HUGEPAGE);
    }
    return data;
}

void *mem_alloc(size_t size)
{
    return mem_alloc_array(1, size);
}

void *mem_alloc_array(size_t count, size_t size)
{
    if (!may_allocate()) {
        return NULL;
    }
    if (count == 0 || size == 0) {
        return calloc(1, 1);
    }
    return prefer_huge_pages(calloc(count, size), count * size);
}

void *mem_realloc(void *old, size_t size)
{
    if (!may_allocate()) {
        return NULL;
    }
    return prefer_huge_pages(realloc(old, size == 0 ? 1 : size), size);
}

void *mem_copy(const void *data, size_t size)
{
    void *copy;

    if (!may_allocate()) {
        return NULL;
    }
    copy = prefer_huge_pages(malloc(size == 0 ? 1 : size), size);
    if (copy != NULL && size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

void mem_free(void *data)
{
    free(data);
}

void mem_fail_after(uint64_t count)
{
    allocations_left = count;
}
