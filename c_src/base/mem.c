/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

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
    return calloc(count, size);
}

void *mem_realloc(void *old, size_t size)
{
    if (!may_allocate()) {
        return NULL;
    }
    return realloc(old, size == 0 ? 1 : size);
}

void *mem_copy(const void *data, size_t size)
{
    void *copy;

    if (!may_allocate()) {
        return NULL;
    }
    copy = malloc(size == 0 ? 1 : size);
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
