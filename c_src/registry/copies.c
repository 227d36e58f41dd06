/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/copies.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "registry/walk.h"

#define KEY_PREFIX "\0copy\0"

enum { KEY_PREFIX_SIZE = sizeof(KEY_PREFIX) - 1 };

_Static_assert(KEY_PREFIX_SIZE + 8 == REGISTRY_COPY_KEY_SIZE,
               "the prefix and a number");

static struct copy *copy_at(struct list *link)
{
    return LIST_ENTRY(link, struct copy, link);
}

struct copy *registry_copy(const struct registry *registry, uint64_t number)
{
    LIST_FOREACH (link, &registry->copies) {
        if (copy_at(link)->number == number) {
            return copy_at(link);
        }
    }
    return NULL;
}

struct copy *registry_restoring(const struct registry *registry,
                                const struct sandbox *sandbox)
{
    if (!sandbox->is_restoring) {
        return NULL;
    }
    LIST_FOREACH (link, &registry->copies) {
        struct copy *copy = copy_at(link);

        if (copy->restore_epoch != 0 && bytes_equal(copy->id, sandbox->id)) {
            return copy;
        }
    }
    unreachable();
}

bool registry_must_yield(const struct registry *registry,
                         const struct sandbox *sandbox)
{
    const struct copy *copy = registry_restoring(registry, sandbox);

    return copy != NULL && sandbox->worker != NULL &&
           copy->restore_epoch == sandbox->epoch;
}

struct copy *registry_copy_in_the_way(const struct registry *registry,
                                      struct bytes id, uint64_t size,
                                      bool *ret_is_full)
{
    struct copy *oldest = NULL;
    struct copy *oldest_of_id = NULL;
    uint32_t count_of_id = 0;

    LIST_FOREACH (link, &registry->copies) {
        struct copy *copy = copy_at(link);
        bool is_of_id = bytes_equal(copy->id, id);

        count_of_id += is_of_id;
        if (copy->restore_epoch != 0) {
            continue;
        }
        oldest = oldest == NULL ? copy : oldest;
        oldest_of_id = is_of_id && oldest_of_id == NULL ? copy : oldest_of_id;
    }
    *ret_is_full = false;
    if (count_of_id >= REGISTRY_COPIES_OF_ONE_MAX) {
        return oldest_of_id; /* one at most of an id is being restored */
    }
    if (registry->copy_count < REGISTRY_COPIES_MAX &&
        size <= REGISTRY_COPIES_SIZE_MAX - registry->copies_size) {
        return NULL;
    }
    *ret_is_full = oldest == NULL;
    return oldest;
}

static struct bytes copy_behind(uint8_t **next, struct bytes bytes)
{
    struct bytes copy = bytes_of(*next, bytes.size);

    if (bytes.size > 0) {
        memcpy(*next, bytes.data, bytes.size);
        *next += bytes.size;
    }
    return copy;
}

int registry_add_copy(struct registry *registry, const struct copy *values,
                      struct copy **ret_copy)
{
    struct copy *copy;
    uint8_t *next;

    if (registry->copy_count >= REGISTRY_COPIES_MAX ||
        values->size > REGISTRY_COPIES_SIZE_MAX - registry->copies_size) {
        return ERR_LIMIT;
    }
    copy = mem_alloc(sizeof(*copy) + values->id.size + values->about.size);
    if (copy == NULL) {
        return ERR_NOMEM;
    }
    *copy = *values;
    next = (uint8_t *)(copy + 1);
    copy->id = copy_behind(&next, values->id);
    copy->about = copy_behind(&next, values->about);
    copy->outcome = bytes_of(NULL, 0);
    if (registry_put_outcome(copy, values->outcome) != 0) {
        mem_free(copy);
        return ERR_NOMEM;
    }
    list_append(&registry->copies, &copy->link);
    registry->copy_count++;
    registry->copies_size += copy->size;
    if (copy->number > registry->copy_number_last) {
        registry->copy_number_last = copy->number;
    }
    *ret_copy = copy;
    return 0;
}

void registry_restore_from(struct registry *registry, struct sandbox *sandbox,
                           struct copy *copy, enum copy_restore how)
{
    struct copy *before = registry_restoring(registry, sandbox);

    if (before != NULL) {
        before->restore_epoch = 0;
        before->how = COPY_TAKE;
    }
    registry_walk_before_change(registry, &sandbox->item);
    sandbox->is_restoring = copy != NULL;
    if (copy != NULL) {
        ensure(bytes_equal(copy->id, sandbox->id));
        copy->restore_epoch = sandbox->epoch;
        copy->how = how;
    }
}

int registry_put_outcome(struct copy *copy, struct bytes outcome)
{
    void *owned;
    void *replacement = NULL;

    if (outcome.size > 0) {
        replacement = mem_copy(outcome.data, outcome.size);
        if (replacement == NULL) {
            return ERR_NOMEM;
        }
    }
    memcpy(&owned, &copy->outcome.data, sizeof(owned));
    mem_free(owned);
    copy->outcome = bytes_of(replacement, outcome.size);
    return 0;
}

void registry_take_copy(struct registry *registry, struct copy *copy)
{
    ensure(copy->restore_epoch == 0);
    ensure(registry->copy_count > 0);
    list_remove(&copy->link);
    registry->copy_count--;
    registry->copies_size -= copy->size;
}

void registry_free_copy(struct copy *copy)
{
    if (copy != NULL) {
        int rv = registry_put_outcome(copy, bytes_of(NULL, 0));

        ensure(rv == 0); /* nothing is allocated */
        mem_free(copy);
    }
}

void registry_free_copies(struct registry *registry)
{
    struct list *first;

    while ((first = list_take_first(&registry->copies)) != NULL) {
        registry_free_copy(copy_at(first));
    }
    registry->copy_count = 0;
    registry->copies_size = 0;
}

void registry_copy_key(uint64_t number, uint8_t ret_key[REGISTRY_COPY_KEY_SIZE])
{
    memcpy(ret_key, KEY_PREFIX, KEY_PREFIX_SIZE);
    for (int i = 0; i < 8; i++) {
        ret_key[KEY_PREFIX_SIZE + i] = (uint8_t)(number >> (56 - 8 * i));
    }
}

bool registry_id_is_reserved(struct bytes id)
{
    return id.size >= KEY_PREFIX_SIZE &&
           memcmp(id.data, KEY_PREFIX, KEY_PREFIX_SIZE) == 0;
}

void registry_check_copies(const struct registry *registry)
{
    uint64_t size = 0;
    uint64_t number = 0;
    uint32_t count = 0;

    LIST_FOREACH (link, &registry->copies) {
        const struct copy *copy = copy_at(link);
        const struct sandbox *sandbox = registry_sandbox(registry, copy->id);

        ensure(copy->number > number);
        number = copy->number;
        ensure(copy->about.size <= REGISTRY_COPY_ABOUT_SIZE_MAX);
        ensure(copy->outcome.size <= REGISTRY_REASON_SIZE_MAX);
        if (copy->restore_epoch != 0) {
            ensure(sandbox != NULL);
            ensure(registry_restoring(registry, sandbox) == copy);
            ensure(copy->restore_epoch <= sandbox->epoch);
        }
        size += copy->size;
        count++;
    }
    ensure(number <= registry->copy_number_last);
    ensure(size == registry->copies_size);
    ensure(count == registry->copy_count);
    ensure(count <= REGISTRY_COPIES_MAX);
}
