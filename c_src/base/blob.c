/* SPDX-License-Identifier: Apache-2.0
 * A count and the bytes. */
#include "base/blob.h"

#include "base/ensure.h"
#include "base/mem.h"

#include <stdatomic.h>

struct blob {
    _Atomic size_t holders;
    uint8_t *data; /* owned */
    size_t size;
};

static struct blob *blob_of(uint8_t *data, size_t size)
{
    struct blob *blob = mem_alloc(sizeof(*blob));

    if (blob != NULL) {
        atomic_init(&blob->holders, 1);
        blob->data = data;
        blob->size = size;
    }
    return blob;
}

struct blob *blob_take(struct buf *buf)
{
    struct blob *blob;

    ensure(buf_error(buf) == 0);
    blob = blob_of(buf->data, buf->size);
    if (blob != NULL) {
        buf_init(buf, buf->size_max);
    }
    return blob;
}

struct blob *blob_copy(struct bytes bytes)
{
    uint8_t *copy = mem_copy(bytes.data, bytes.size);
    struct blob *blob = copy == NULL ? NULL : blob_of(copy, bytes.size);

    if (blob == NULL) {
        mem_free(copy);
    }
    return blob;
}

struct blob *blob_hold(struct blob *blob)
{
    size_t before =
        atomic_fetch_add_explicit(&blob->holders, 1, memory_order_relaxed);

    ensure(before > 0);
    return blob;
}

void blob_release(struct blob *blob)
{
    size_t before;

    if (blob == NULL) {
        return;
    }
    /* What others did with the bytes is done before they are freed. */
    before = atomic_fetch_sub_explicit(&blob->holders, 1, memory_order_acq_rel);
    ensure(before > 0);
    if (before == 1) {
        mem_free(blob->data);
        mem_free(blob);
    }
}

struct bytes blob_bytes(const struct blob *blob)
{
    return bytes_of(blob->data, blob->size);
}

bool blob_is_shared(const struct blob *blob)
{
    return atomic_load_explicit(&blob->holders, memory_order_acquire) > 1;
}
