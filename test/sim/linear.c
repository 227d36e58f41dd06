/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linear.h"

#include "base/ensure.h"
#include "base/mem.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

/* A begin or an end, in a ring in the order of time. */
struct moment {
    const struct linear_call *call;
    struct moment *other; /* BEGIN: its end, NULL if unknown; END: NULL */
    struct moment *next;
    struct moment *prev;
    uint64_t time;
    uint64_t bits[2]; /* BEGIN: random, for sets of calls */
    bool is_begin;
};

struct taken {
    struct moment *begin;
    uint64_t value_before;
};

/* What has been tried: a set of calls in order, and the value behind them. */
struct tried {
    uint64_t bits[2]; /* both 0: free */
};

struct search {
    struct moment *moments; /* owned */
    struct moment head;     /* of the ring */
    struct taken *stack;    /* owned */
    size_t depth;
    struct tried *tried; /* owned; open addressing */
    size_t tried_count;
    size_t tried_size; /* a power of two */
    uint64_t set[2];   /* of the calls in the stack */
    uint64_t value;
    size_t known_left; /* calls with an answer that are not in the stack */
    size_t depth_best;
    const struct linear_call *stuck;
};

static int by_register(const void *a, const void *b)
{
    const struct linear_call *const *x = a;
    const struct linear_call *const *y = b;

    return ((*x)->reg > (*y)->reg) - ((*x)->reg < (*y)->reg);
}

static int by_time(const void *a, const void *b)
{
    const struct moment *x = a;
    const struct moment *y = b;

    return (x->time > y->time) - (x->time < y->time);
}

/* --- What was tried ------------------------------------------------------- */

/* Mixes the value in (SplitMix64's last steps), so that one key is enough. */
static struct tried key_of(const struct search *search)
{
    struct rng rng;
    struct tried key;

    rng_init(&rng, search->value);
    key.bits[0] = search->set[0] ^ rng_next(&rng);
    key.bits[1] = search->set[1] ^ rng_next(&rng);
    key.bits[1] |= key.bits[0] == 0 ? 1 : 0;
    return key;
}

static bool is_free(const struct tried *slot)
{
    return slot->bits[0] == 0 && slot->bits[1] == 0;
}

/* Where it is, or would be. */
static struct tried *find(struct tried *table, size_t size, struct tried key)
{
    size_t place = key.bits[0] & (size - 1);

    while (!is_free(&table[place]) &&
           memcmp(&table[place], &key, sizeof(key)) != 0) {
        place = (place + 1) & (size - 1);
    }
    return &table[place];
}

static bool grow(struct search *search)
{
    size_t size = search->tried_size * 2;
    struct tried *table = mem_alloc_array(size, sizeof(*table));

    if (table == NULL) {
        return false;
    }
    for (size_t i = 0; i < search->tried_size; i++) {
        if (!is_free(&search->tried[i])) {
            *find(table, size, search->tried[i]) = search->tried[i];
        }
    }
    mem_free(search->tried);
    search->tried = table;
    search->tried_size = size;
    return true;
}

/* Whether it is new; it is remembered then. */
static bool remember(struct search *search)
{
    struct tried key = key_of(search);
    struct tried *slot = find(search->tried, search->tried_size, key);

    if (!is_free(slot)) {
        return false;
    }
    *slot = key;
    search->tried_count++;
    return true;
}

/* --- The list ------------------------------------------------------------- */

static void unlink_moment(struct moment *moment)
{
    moment->prev->next = moment->next;
    moment->next->prev = moment->prev;
}

/* Where it was: what was taken last comes back first. */
static void relink_moment(struct moment *moment)
{
    moment->prev->next = moment;
    moment->next->prev = moment;
}

static void toggle(struct search *search, const struct moment *begin)
{
    search->set[0] ^= begin->bits[0];
    search->set[1] ^= begin->bits[1];
}

/* Whether the call can take place now; the value behind it. */
static bool can_happen(const struct linear_call *call, uint64_t value,
                       uint64_t *ret_value)
{
    *ret_value = value;
    switch (call->kind) {
    case LINEAR_READ:
        return call->value == value;
    case LINEAR_WRITE:
        *ret_value = call->value;
        return true;
    case LINEAR_CAS:
        if (call->has_failed) {
            return call->expected != value;
        }
        *ret_value = call->value;
        return call->expected == value;
    }
    unreachable();
}

/* Puts the call next into the order, unless that has been tried. */
static bool take(struct search *search, struct moment *begin)
{
    uint64_t before = search->value;
    uint64_t value;

    if (!can_happen(begin->call, before, &value)) {
        return false;
    }
    toggle(search, begin);
    search->value = value;
    if (!remember(search)) {
        toggle(search, begin);
        search->value = before;
        return false;
    }
    search->stack[search->depth++] =
        (struct taken){.begin = begin, .value_before = before};
    unlink_moment(begin);
    if (begin->other != NULL) {
        unlink_moment(begin->other);
        search->known_left--;
    }
    return true;
}

/* The moment behind the begin that was taken last, or NULL. */
static struct moment *give_back(struct search *search)
{
    struct moment *begin;

    if (search->depth == 0) {
        return NULL;
    }
    search->depth--;
    begin = search->stack[search->depth].begin;
    search->value = search->stack[search->depth].value_before;
    if (begin->other != NULL) {
        relink_moment(begin->other);
        search->known_left++;
    }
    relink_moment(begin);
    toggle(search, begin);
    return begin->next;
}

static enum linear_verdict run(struct search *search)
{
    struct moment *moment = search->head.next;

    for (size_t steps = 0; search->known_left > 0; steps++) {
        if (steps == LINEAR_STEPS_MAX) {
            return LINEAR_TOO_HARD;
        }
        if (search->tried_count * 2 >= search->tried_size && !grow(search)) {
            return LINEAR_NO_MEMORY;
        }
        if (moment != &search->head && moment->is_begin) {
            moment = take(search, moment) ? search->head.next : moment->next;
            continue;
        }
        /* An end: its call had to be in the order before. */
        if (moment != &search->head && search->depth >= search->depth_best) {
            search->depth_best = search->depth;
            search->stuck = moment->call;
        }
        moment = give_back(search);
        if (moment == NULL) {
            return LINEAR_WRONG;
        }
    }
    return LINEAR_RIGHT;
}

/* --- One register --------------------------------------------------------- */

static size_t list_moments(struct search *search,
                           const struct linear_call *const *calls, size_t count)
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        const struct linear_call *call = calls[i];

        if (call->is_unknown && call->kind == LINEAR_READ) {
            continue;
        }
        search->moments[used++] = (struct moment){
            .call = call, .time = call->begin, .is_begin = true};
        if (!call->is_unknown) {
            ensure(call->end > call->begin);
            search->moments[used++] =
                (struct moment){.call = call, .time = call->end};
            search->known_left++;
        }
    }
    return used;
}

/* Makes the ring, and tells each begin its end. `begins` has room for as many
 * as the history that starts with `first` has calls. */
static void join(struct search *search, size_t used, struct moment **begins,
                 const struct linear_call *first)
{
    struct rng rng;

    rng_init(&rng, used);
    search->head.next = &search->head;
    search->head.prev = &search->head;
    for (size_t i = 0; i < used; i++) {
        struct moment *moment = &search->moments[i];
        size_t place = (size_t)(moment->call - first);

        if (moment->is_begin) {
            moment->bits[0] = rng_next(&rng);
            moment->bits[1] = rng_next(&rng);
            begins[place] = moment;
        } else {
            begins[place]->other = moment;
        }
        moment->prev = search->head.prev;
        moment->next = &search->head;
        search->head.prev->next = moment;
        search->head.prev = moment;
    }
}

enum { TRIED_SIZE_MIN = 1024 };

/* The calls of one register; `first` and `begins` as of join(). */
static enum linear_verdict
check_register(const struct linear_call *const *calls, size_t count,
               const struct linear_call *first, struct moment **begins,
               const struct linear_call **ret_stuck)
{
    struct search search = {.tried_size = TRIED_SIZE_MIN};
    enum linear_verdict verdict = LINEAR_NO_MEMORY;

    search.moments = mem_alloc_array(2 * count, sizeof(*search.moments));
    search.stack = mem_alloc_array(count, sizeof(*search.stack));
    search.tried = mem_alloc_array(search.tried_size, sizeof(*search.tried));
    if (search.moments != NULL && search.stack != NULL &&
        search.tried != NULL) {
        size_t used = list_moments(&search, calls, count);

        qsort(search.moments, used, sizeof(*search.moments), by_time);
        join(&search, used, begins, first);
        verdict = run(&search);
    }
    *ret_stuck = search.stuck;
    mem_free(search.moments);
    mem_free(search.stack);
    mem_free(search.tried);
    return verdict;
}

enum linear_verdict linear_check(const struct linear_call *calls, size_t count,
                                 size_t *ret_stuck)
{
    const struct linear_call **sorted;
    struct moment **begins;
    const struct linear_call *stuck = NULL;
    enum linear_verdict verdict = LINEAR_RIGHT;
    size_t from = 0;

    ensure(count <= LINEAR_CALLS_MAX);
    if (count == 0) {
        return LINEAR_RIGHT;
    }
    sorted = mem_alloc_array(count, sizeof(*sorted));
    begins = mem_alloc_array(count, sizeof(*begins));
    if (sorted == NULL || begins == NULL) {
        verdict = LINEAR_NO_MEMORY;
    }
    for (size_t i = 0; verdict == LINEAR_RIGHT && i < count; i++) {
        sorted[i] = &calls[i];
    }
    if (verdict == LINEAR_RIGHT) {
        qsort(sorted, count, sizeof(*sorted), by_register);
    }
    while (verdict == LINEAR_RIGHT && from < count) {
        size_t to = from;

        while (to < count && sorted[to]->reg == sorted[from]->reg) {
            to++;
        }
        verdict =
            check_register(&sorted[from], to - from, calls, begins, &stuck);
        from = to;
    }
    if (verdict == LINEAR_WRONG && ret_stuck != NULL) {
        ensure(stuck != NULL);
        *ret_stuck = (size_t)(stuck - calls);
    }
    mem_free(sorted);
    mem_free(begins);
    return verdict;
}
