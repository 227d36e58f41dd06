/* SPDX-License-Identifier: Apache-2.0 */
#include "base/smallest.h"

#include "base/err.h"
#include "base/mem.h"

int smallest_init(struct smallest *smallest, size_t count_max)
{
    *smallest = (struct smallest){.count_max = count_max};
    if (count_max == 0) {
        return 0;
    }
    smallest->entries =
        mem_alloc_array(count_max, sizeof(struct smallest_entry));
    return smallest->entries == NULL ? ERR_NOMEM : 0;
}

void smallest_close(struct smallest *smallest)
{
    mem_free(smallest->entries);
    *smallest = (struct smallest){.entries = NULL};
}

static void sift_up(struct smallest_entry *entries, size_t at)
{
    const struct smallest_entry entry = entries[at];

    while (at > 0 && bytes_compare(entries[(at - 1) / 2].key, entry.key) < 0) {
        entries[at] = entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    entries[at] = entry;
}

/* Puts `entry` into the heap of `count` ones, whose root is free. */
static void sift_down(struct smallest_entry *entries, size_t count,
                      struct smallest_entry entry)
{
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= count) {
            break;
        }
        if (child + 1 < count &&
            bytes_compare(entries[child + 1].key, entries[child].key) > 0) {
            child++;
        }
        if (bytes_compare(entries[child].key, entry.key) <= 0) {
            break;
        }
        entries[at] = entries[child];
        at = child;
    }
    entries[at] = entry;
}

void smallest_add(struct smallest *smallest, struct bytes key,
                  const void *value)
{
    const struct smallest_entry entry = {.key = key, .value = value};

    if (smallest->count < smallest->count_max) {
        smallest->entries[smallest->count] = entry;
        sift_up(smallest->entries, smallest->count);
        smallest->count++;
    } else if (smallest->count > 0 &&
               bytes_compare(key, smallest->entries[0].key) < 0) {
        sift_down(smallest->entries, smallest->count, entry);
    }
}

void smallest_sort(struct smallest *smallest)
{
    for (size_t left = smallest->count; left > 1; left--) {
        const struct smallest_entry last = smallest->entries[left - 1];

        smallest->entries[left - 1] = smallest->entries[0];
        sift_down(smallest->entries, left - 1, last);
    }
}
