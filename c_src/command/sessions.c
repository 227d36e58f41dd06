/* SPDX-License-Identifier: Apache-2.0 */
#include "command/sessions.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"

#include <string.h>

enum { CAPACITY_MIN = 64 };

static void take(struct sessions *sessions, uint32_t position)
{
    mem_free(sessions->items[position].window);
    sessions->count--;
    memmove(&sessions->items[position], &sessions->items[position + 1],
            (sessions->count - position) * sizeof(sessions->items[0]));
    sessions->items[sessions->count] = (struct session){0};
}

void sessions_close(struct sessions *sessions)
{
    while (sessions->count > 0) {
        take(sessions, sessions->count - 1);
    }
}

static void check_window(const struct session *session)
{
    for (uint32_t i = 0; i < session->capacity; i++) {
        const struct session_outcome *outcome = &session->window[i];

        if (outcome->number != 0) {
            ensure(outcome->number % session->capacity == i);
            ensure(outcome->number <= session->newest);
            ensure(outcome->index >= session->index);
            ensure(outcome->index <= session->used_index);
        }
    }
}

void sessions_check(const struct sessions *sessions)
{
    ensure(sessions->count <= SESSIONS_MAX);
    for (uint32_t i = 0; i < sessions->count; i++) {
        const struct session *session = &sessions->items[i];

        ensure(session->member != 0);
        ensure(session->index != 0);
        ensure(session->used_index >= session->index);
        ensure(session->capacity <= SESSION_WINDOW);
        ensure(session->newest == 0 || session->capacity > 0);
        for (uint32_t j = 0; j < i; j++) {
            ensure(sessions->items[j].member != session->member);
            ensure(sessions->items[j].index <= session->index);
        }
        check_window(session);
    }
}

struct session *sessions_of(struct sessions *sessions, uint64_t member)
{
    for (uint32_t i = 0; i < sessions->count; i++) {
        if (sessions->items[i].member == member) {
            return &sessions->items[i];
        }
    }
    return NULL;
}

struct session *sessions_find(struct sessions *sessions,
                              const struct request_id *id)
{
    struct session *session = sessions_of(sessions, id->member);

    return session != NULL && session->index == id->session ? session : NULL;
}

/* The one that was used least recently. Two may have been used last by the same
 * entry: then the older one. */
static uint32_t find_idlest(const struct sessions *sessions)
{
    uint32_t idlest = 0;

    for (uint32_t i = 1; i < sessions->count; i++) {
        if (sessions->items[i].used_index <
            sessions->items[idlest].used_index) {
            idlest = i;
        }
    }
    return idlest;
}

int sessions_open(struct sessions *sessions, uint64_t member, uint64_t nonce,
                  uint64_t index)
{
    struct session *old = sessions_of(sessions, member);

    if (old != NULL && old->nonce == nonce) {
        return 0;
    }
    if (old != NULL && old->index == index) {
        return ERR_BUSY;
    }
    if (old != NULL) {
        take(sessions, (uint32_t)(old - sessions->items));
    } else if (sessions->count == SESSIONS_MAX) {
        take(sessions, find_idlest(sessions));
    }
    sessions->items[sessions->count] = (struct session){
        .member = member, .index = index, .nonce = nonce, .used_index = index};
    sessions->count++;
    return 0;
}

void sessions_drop(struct sessions *sessions, uint64_t member)
{
    const struct session *session = sessions_of(sessions, member);

    if (session != NULL) {
        take(sessions, (uint32_t)(session - sessions->items));
    }
}

static bool is_too_old(const struct session *session, uint64_t number)
{
    return session->newest >= SESSION_WINDOW &&
           number <= session->newest - SESSION_WINDOW;
}

int session_look(const struct session *session, uint64_t number,
                 const struct session_outcome **ret_outcome)
{
    const struct session_outcome *outcome;

    ensure(number > 0);
    if (is_too_old(session, number)) {
        return ERR_STALE_REQUEST;
    }
    if (number > session->newest) {
        return ERR_NOT_FOUND;
    }
    outcome = &session->window[number % session->capacity];
    if (outcome->number != number) {
        return ERR_NOT_FOUND;
    }
    *ret_outcome = outcome;
    return 0;
}

/* Every number of the window has a place of its own. */
int session_reserve(struct session *session, uint64_t number)
{
    struct session_outcome *window;
    uint32_t capacity = CAPACITY_MIN;

    ensure(!is_too_old(session, number));
    while (capacity < SESSION_WINDOW && capacity <= number) {
        capacity *= 2;
    }
    if (capacity <= session->capacity) {
        return 0;
    }
    window = mem_alloc(capacity * sizeof(*window));
    if (window == NULL) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < session->capacity; i++) {
        if (session->window[i].number != 0) {
            window[session->window[i].number % capacity] = session->window[i];
        }
    }
    mem_free(session->window);
    session->window = window;
    session->capacity = capacity;
    return 0;
}

void session_remember(struct session *session,
                      const struct session_outcome *outcome)
{
    ensure(outcome->number > 0);
    ensure(session->capacity == SESSION_WINDOW ||
           outcome->number < session->capacity);
    ensure(!is_too_old(session, outcome->number));
    session->window[outcome->number % session->capacity] = *outcome;
    session->used_index = outcome->index;
    if (outcome->number > session->newest) {
        session->newest = outcome->number;
    }
}
