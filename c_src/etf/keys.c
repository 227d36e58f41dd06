/* SPDX-License-Identifier: Apache-2.0
 * One pass, no recursion. What is a key, or part of one, is hashed from its
 * leaves up; a map's hashes are gathered on a stack until it is complete:
 *
 *   #{a => #{x => 1, y => 2}, b => 3}
 *
 *   hashes   a            a x            a x y       a b
 *            first key    the inner map  it closes   the outer one closes
 *
 * Two equal hashes may be chance, once in 2^64 pairs; equal keys have equal
 * hashes under every seed. So a second seed decides, and no key is ever
 * compared with another. */
#include "etf/keys.h"

#include "base/ensure.h"
#include "base/mem.h"
#include "base/rng.h"
#include "etf/keys_leaf.h"
#include "etf/reader.h"
#include "etf/wire.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    FEW = 64,             /* hashes that need no memory, no better sort */
    MANY = 4 * 64 * 1024, /* more hashes than this, and two digits leave too
                             many the same */
    DIGIT_BITS = 8,
    DIGITS = 1 << DIGIT_BITS,
};

/* An open container. */
struct frame {
    uint64_t hash;       /* of the elements so far, if it is hashed */
    size_t first;        /* maps: its first key among the hashes */
    uint32_t left;       /* elements to come; of a list, the tail too */
    enum keys_kind kind; /* KEYS_TUPLE, KEYS_LIST, KEYS_MAP, KEYS_FUN */
    bool is_hashed;      /* it is a key, or part of one */
};

struct keys {
    struct etf_reader reader;
    uint64_t seed[2];
    uint64_t *hashes; /* of the keys of open maps; `few`, or owned */
    size_t count;     /* hashes in use */
    size_t capacity;
    uint32_t depth; /* frames in use */
    bool is_done;   /* the term is complete */
    uint64_t few[FEW];
    struct frame frames[ETF_DEPTH_MAX];
};

/* --- The keys of one map -------------------------------------------------- */

static void sort_few(uint64_t *hashes, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint64_t hash = hashes[i];
        size_t at = i;

        for (; at > 0 && hashes[at - 1] > hash; at--) {
            hashes[at] = hashes[at - 1];
        }
        hashes[at] = hash;
    }
}

/* `digit` 0 is the first one. */
static size_t digit_of(uint64_t hash, int digit)
{
    return (size_t)(hash >> (64 - DIGIT_BITS * (digit + 1))) & (DIGITS - 1);
}

static void sort_by_digit(const uint64_t *from, uint64_t *to, size_t count,
                          int digit)
{
    size_t starts[DIGITS] = {0};
    size_t start = 0;

    for (size_t i = 0; i < count; i++) {
        starts[digit_of(from[i], digit)]++;
    }
    for (size_t i = 0; i < DIGITS; i++) {
        size_t size = starts[i];

        starts[i] = start;
        start += size;
    }
    for (size_t i = 0; i < count; i++) {
        to[starts[digit_of(from[i], digit)]++] = from[i];
    }
}

/* By their first digits, the last of these first; the few that have the same
 * ones are put right by the other sort. An even number of rounds: the result
 * is where they were. */
static void sort_many(uint64_t *hashes, uint64_t *other, size_t count)
{
    for (int digit = count > MANY ? 4 : 2; digit > 0; digit -= 2) {
        sort_by_digit(hashes, other, count, digit - 1);
        sort_by_digit(other, hashes, count, digit - 2);
    }
    sort_few(hashes, count);
}

static int sort(uint64_t *hashes, size_t count)
{
    uint64_t *other;

    if (count <= FEW) {
        sort_few(hashes, count);
        return 0;
    }
    other = mem_alloc_array(count, sizeof(*other));
    if (other == NULL) {
        return ERR_NOMEM;
    }
    sort_many(hashes, other, count);
    mem_free(other);
    return 0;
}

/* All keys of the map are there: compares and forgets them. */
static int compare_keys(struct keys *keys, const struct frame *map)
{
    uint64_t *hashes = keys->hashes + map->first;
    size_t count = keys->count - map->first;
    int rv = sort(hashes, count);

    for (size_t i = 1; rv == 0 && i < count; i++) {
        rv = hashes[i - 1] == hashes[i] ? ERR_MALFORMED : 0;
    }
    keys->count = map->first;
    return rv;
}

/* Makes room for the keys of a map. Its bytes are there, so that what is asked
 * for is never more than a few times what was sent. */
static int reserve(struct keys *keys, size_t more)
{
    size_t capacity = 2 * keys->capacity;
    uint64_t *hashes;

    if (more <= keys->capacity - keys->count) {
        return 0;
    }
    if (capacity < keys->count + more) {
        capacity = keys->count + more;
    }
    hashes = mem_realloc(keys->hashes == keys->few ? NULL : keys->hashes,
                         capacity * sizeof(*hashes));
    if (hashes == NULL) {
        return ERR_NOMEM;
    }
    if (keys->hashes == keys->few) {
        memcpy(hashes, keys->few, keys->count * sizeof(*hashes));
    }
    keys->hashes = hashes;
    keys->capacity = capacity;
    return 0;
}

/* --- Elements ------------------------------------------------------------- */

static struct frame *top_of(struct keys *keys)
{
    return keys->depth == 0 ? NULL : &keys->frames[keys->depth - 1];
}

static void take_element(struct keys *keys, struct frame *frame, uint64_t hash)
{
    bool is_key = frame->kind == KEYS_MAP && frame->left % 2 == 0;

    ensure(frame->left > 0);
    frame->left--;
    if (is_key) {
        ensure(keys->count < keys->capacity);
        keys->hashes[keys->count++] = hash;
    } else if (frame->is_hashed && frame->kind == KEYS_MAP) {
        /* A sum does not depend on the order of the pairs. */
        frame->hash += keys_fold(keys->hashes[keys->count - 1], hash);
    } else if (frame->is_hashed) {
        frame->hash = keys_add(frame->hash, hash);
    }
}

/* An element is complete, and with it what it was the last element of. */
static int complete(struct keys *keys, uint64_t hash)
{
    struct frame *top;

    while ((top = top_of(keys)) != NULL) {
        take_element(keys, top, hash);
        if (top->left > 0) {
            return 0;
        }
        hash = keys_fold(top->hash, keys->count - top->first);
        if (top->kind == KEYS_MAP) {
            int rv = compare_keys(keys, top);

            if (rv != 0) {
                return rv;
            }
        }
        keys->depth--;
    }
    keys->is_done = true;
    return 0;
}

static int open_frame(struct keys *keys, struct frame frame)
{
    if (keys->depth == ETF_DEPTH_MAX) {
        return ERR_LIMIT;
    }
    frame.first = keys->count;
    keys->frames[keys->depth++] = frame;
    return 0;
}

static int open_tuple(struct keys *keys, bool is_hashed)
{
    struct frame frame = {.hash = keys_begin(keys->seed, KEYS_TUPLE),
                          .kind = KEYS_TUPLE,
                          .is_hashed = is_hashed};
    int rv = etf_read_tuple(&keys->reader, &frame.left);

    if (rv != 0) {
        return rv;
    }
    frame.hash = keys_fold(frame.hash, frame.left);
    return frame.left == 0 ? complete(keys, frame.hash)
                           : open_frame(keys, frame);
}

static int open_map(struct keys *keys, bool is_hashed)
{
    struct frame frame = {.hash = keys_begin(keys->seed, KEYS_MAP),
                          .kind = KEYS_MAP,
                          .is_hashed = is_hashed};
    uint32_t pairs;
    int rv = etf_read_map(&keys->reader, &pairs);

    if (rv != 0) {
        return rv;
    }
    if (pairs == 0) {
        return complete(keys, keys_fold(frame.hash, 0));
    }
    if (pairs > ETF_COUNT_MAX / 2) {
        return ERR_LIMIT;
    }
    frame.left = 2 * pairs;
    rv = reserve(keys, pairs);
    return rv != 0 ? rv : open_frame(keys, frame);
}

/* NEW_FUN_EXT: head, module, old index, old uniq, pid, then free variables. */
static int open_fun(struct keys *keys, bool is_hashed)
{
    struct etf_reader *reader = &keys->reader;
    struct frame frame = {.kind = KEYS_FUN, .is_hashed = is_hashed};
    struct bytes head;
    uint64_t module = 0;
    int rv;

    reader->cursor.next++;
    rv = cursor_take(&reader->cursor, NEW_FUN_HEAD, &head);
    rv = rv != 0 ? rv : keys_atom(keys->seed, &reader->cursor, &module);
    for (int i = 0; i < 3 && rv == 0; i++) {
        rv = etf_skip(reader);
    }
    if (rv != 0) {
        return rv;
    }
    frame.left = wire_number(head.data + NEW_FUN_HEAD - 4, 4);
    frame.hash = keys_fold(keys_begin(keys->seed, KEYS_FUN), module);
    frame.hash =
        keys_fold(frame.hash, wire_number(head.data + NEW_FUN_HEAD - 8, 4));
    frame.hash = keys_fold(frame.hash, frame.left);
    return frame.left == 0 ? complete(keys, frame.hash)
                           : open_frame(keys, frame);
}

/* A list as the tail of a list is the same list going on. */
static int open_list(struct keys *keys, bool is_hashed)
{
    struct frame *top = top_of(keys);
    uint32_t count;
    int rv;

    keys->reader.cursor.next++;
    rv = wire_length(&keys->reader.cursor, 4, &count);
    if (rv != 0 || count == 0) {
        return rv; /* of no elements: it is its tail, which comes next */
    }
    if (count > ETF_COUNT_MAX) {
        return ERR_LIMIT;
    }
    if (top != NULL && top->kind == KEYS_LIST && top->left == 1) {
        top->left = count + 1;
        return 0;
    }
    return open_frame(keys,
                      (struct frame){.hash = keys_begin(keys->seed, KEYS_LIST),
                                     .left = count + 1,
                                     .kind = KEYS_LIST,
                                     .is_hashed = is_hashed});
}

/* A list of bytes, or the rest of a list. */
static int read_string(struct keys *keys, bool is_hashed)
{
    struct frame *top = top_of(keys);
    struct bytes string;
    uint64_t hash = keys_begin(keys->seed, KEYS_LIST);
    bool is_tail = top != NULL && top->kind == KEYS_LIST && top->left == 1;
    int rv;

    keys->reader.cursor.next++;
    rv = wire_block(&keys->reader.cursor, 2, &string);
    if (rv != 0) {
        return rv;
    }
    if (!is_hashed) {
        return complete(keys, 0);
    }
    hash = is_tail ? top->hash : hash;
    for (size_t i = 0; i < string.size; i++) {
        hash = keys_add(hash, keys_integer(keys->seed, string.data[i], 0));
    }
    if (is_tail) {
        top->hash = hash;
    }
    if (is_tail || string.size == 0) {
        return complete(keys, keys_nil(keys->seed));
    }
    /* As a list is completed. */
    return complete(keys, keys_fold(keys_add(hash, keys_nil(keys->seed)), 0));
}

static int read_leaf(struct keys *keys, bool is_hashed)
{
    struct bytes raw;
    uint64_t hash = 0;
    int rv = etf_read_raw(&keys->reader, &raw);

    if (rv == 0 && is_hashed) {
        rv = keys_leaf(keys->seed, raw, &hash);
    }
    return rv != 0 ? rv : complete(keys, hash);
}

/* Elements that are neither hashed nor containers are stepped over at once, up
 * to the last one, which completes its container. */
static int step_over(struct keys *keys, struct frame *top)
{
    uint32_t left = top->left - 1;
    int rv = etf_skip_leaves(&keys->reader, &left);

    top->left = left + 1;
    return rv;
}

/* One tag with what belongs to it; containers are entered. */
static int read_element(struct keys *keys)
{
    struct frame *top = top_of(keys);
    bool is_key = top != NULL && top->kind == KEYS_MAP && top->left % 2 == 0;
    bool is_hashed = is_key || (top != NULL && top->is_hashed);
    int rv = top == NULL || is_hashed || top->kind == KEYS_MAP
                 ? 0
                 : step_over(keys, top);

    if (rv != 0) {
        return rv;
    }
    if (etf_at_end(&keys->reader)) {
        return ERR_TRUNCATED;
    }
    switch (keys->reader.cursor.next[0]) {
    case TAG_SMALL_TUPLE:
    case TAG_LARGE_TUPLE:
        return open_tuple(keys, is_hashed);
    case TAG_MAP:
        return open_map(keys, is_hashed);
    case TAG_NEW_FUN:
        return open_fun(keys, is_hashed);
    case TAG_LIST:
        return open_list(keys, is_hashed);
    case TAG_STRING:
        return read_string(keys, is_hashed);
    case TAG_NIL:
        keys->reader.cursor.next++;
        return complete(keys, keys_nil(keys->seed));
    default:
        return read_leaf(keys, is_hashed);
    }
}

static int look(struct bytes raw, struct rng *seeds)
{
    struct keys keys; /* the frames need no first value */
    int rv = 0;

    keys.reader = etf_reader_of(raw);
    keys.seed[0] = rng_next(seeds);
    keys.seed[1] = rng_next(seeds);
    keys.hashes = keys.few;
    keys.count = 0;
    keys.capacity = FEW;
    keys.depth = 0;
    keys.is_done = false;
    while (rv == 0 && !keys.is_done) {
        rv = read_element(&keys);
    }
    if (keys.hashes != keys.few) {
        mem_free(keys.hashes);
    }
    return rv;
}

int etf_keys_differ(struct bytes raw, uint64_t seed)
{
    struct rng seeds;
    int rv;

    rng_init(&seeds, seed);
    rv = look(raw, &seeds);
    return rv == ERR_MALFORMED ? look(raw, &seeds) : rv;
}
