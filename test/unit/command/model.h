/* SPDX-License-Identifier: Apache-2.0
 * The command machine once more, as plainly as can be: small arrays, sums made
 * afresh, no memory. It is the rules of command.h written down a second time,
 * for the machine to be compared with. */
#ifndef QUORATE_TEST_COMMAND_MODEL_H
#define QUORATE_TEST_COMMAND_MODEL_H

#include "command/command.h"
#include "lib/test.h"
#include "random.h"

#include <stdbool.h>

struct model_worker {
    bool is_known;
    char incarnation; /* last character */
    uint64_t lease;
    uint64_t renewed_index;
    uint64_t renewed_clock;
    struct resources capacity;
    uint32_t sandboxes_max;
};

struct model_sandbox {
    bool exists;
    enum sandbox_status status;
    int worker; /* -1: none */
    uint64_t birth;
    uint64_t epoch;
    unsigned failures;
    struct resources need;
    struct bytes pid;
    struct bytes reason;
};

struct model_name {
    bool exists;
    int worker;
    uint64_t epoch;
    struct bytes pid;
};

struct model {
    uint64_t index;
    bool is_burnt; /* a grant of this entry has ended */
    struct model_worker workers[RANDOM_WORKERS];
    struct model_sandbox sandboxes[RANDOM_IDS];
    struct model_name names[RANDOM_NAMES];
};

static inline int model_find(struct bytes key, const char *const *keys,
                             int count)
{
    for (int i = 0; i < count; i++) {
        if (bytes_is(key, keys[i])) {
            return i;
        }
    }
    fail();
    return -1;
}

static inline int model_forget(struct model *m, struct model_sandbox *s)
{
    m->is_burnt = m->is_burnt || s->epoch == m->index;
    *s = (struct model_sandbox){.worker = -1};
    return 0;
}

static inline void model_unplace(struct model_sandbox *s)
{
    s->status = SANDBOX_UNPLACED;
    s->worker = -1;
    s->pid.size = 0;
}

static inline void model_end_lease(struct model *m, int w)
{
    m->is_burnt = m->is_burnt || m->workers[w].lease == m->index;
    m->workers[w].lease = 0;
    for (int i = 0; i < RANDOM_IDS; i++) {
        struct model_sandbox *s = &m->sandboxes[i];

        if (s->exists && s->worker == w) {
            if (s->status == SANDBOX_STOPPING) {
                (void)model_forget(m, s);
            } else {
                model_unplace(s);
            }
        }
    }
    for (int i = 0; i < RANDOM_NAMES; i++) {
        if (m->names[i].exists && m->names[i].worker == w) {
            m->is_burnt = m->is_burnt || m->names[i].epoch == m->index;
            m->names[i].exists = false;
        }
    }
}

static inline int model_attach(struct model *m, const struct command *c, int w)
{
    struct model_worker *worker = &m->workers[w];
    char incarnation = (char)c->incarnation.data[15];

    if (worker->is_known && worker->lease != 0 &&
        c->clock < worker->renewed_clock) {
        return ERR_STALE_EPOCH;
    }
    if (worker->is_known && worker->incarnation == incarnation) {
        if (worker->lease == 0) {
            return ERR_CLOSED;
        }
    } else {
        if (m->is_burnt || worker->lease == m->index) {
            return ERR_BUSY;
        }
        if (worker->lease != 0) {
            model_end_lease(m, w);
        }
        worker->is_known = true;
        worker->incarnation = incarnation;
        worker->lease = m->index;
    }
    worker->renewed_index = m->index;
    worker->renewed_clock = c->clock;
    worker->capacity = c->capacity;
    worker->sandboxes_max = c->sandboxes_max;
    return 0;
}

static inline bool model_fits(const struct model *m, int w,
                              struct resources need)
{
    const struct model_worker *worker = &m->workers[w];
    uint32_t count = 1;

    for (int i = 0; i < RANDOM_IDS; i++) {
        if (m->sandboxes[i].exists && m->sandboxes[i].worker == w) {
            need.cpu += m->sandboxes[i].need.cpu;
            need.memory += m->sandboxes[i].need.memory;
            count++;
        }
    }
    return (worker->capacity.cpu == 0 || need.cpu <= worker->capacity.cpu) &&
           (worker->capacity.memory == 0 ||
            need.memory <= worker->capacity.memory) &&
           (worker->sandboxes_max == 0 || count <= worker->sandboxes_max);
}

static inline int model_claim(struct model *m, const struct command *c, int w,
                              struct model_sandbox *s)
{
    if (s->exists) {
        return ERR_EXISTS;
    }
    if (c->lease == 0 || m->workers[w].lease != c->lease) {
        return ERR_CLOSED;
    }
    if (m->is_burnt) {
        return ERR_BUSY;
    }
    if (!model_fits(m, w, c->need)) {
        return ERR_NO_CAPACITY;
    }
    *s = (struct model_sandbox){.exists = true,
                                .worker = w,
                                .birth = m->index,
                                .epoch = m->index,
                                .need = c->need};
    return 0;
}

static inline int model_place(const struct model *m, const struct command *c,
                              int w, struct model_sandbox *s)
{
    if (!s->exists) {
        return ERR_NOT_FOUND;
    }
    if (s->status != SANDBOX_UNPLACED || s->epoch != c->epoch) {
        return ERR_STALE_EPOCH;
    }
    if (s->epoch >= m->index) {
        return ERR_BUSY;
    }
    if (c->lease == 0 || m->workers[w].lease != c->lease) {
        return ERR_CLOSED;
    }
    if (!model_fits(m, w, s->need)) {
        return ERR_NO_CAPACITY;
    }
    s->status = SANDBOX_STARTING;
    s->worker = w;
    s->epoch = m->index;
    return 0;
}

static inline int model_report(struct model *m, const struct command *c,
                               struct model_sandbox *s)
{
    bool is_normal = c->type == COMMAND_STOPPED && c->reason.size > 0 &&
                     c->reason.data[2] != 'k';

    if (!s->exists) {
        return ERR_NOT_FOUND;
    }
    if (s->epoch != c->epoch || s->worker < 0) {
        return ERR_STALE_EPOCH;
    }
    if (c->type == COMMAND_STARTED) {
        if (s->status != SANDBOX_STOPPING) {
            s->status = SANDBOX_RUNNING;
            s->failures = 0;
            s->pid = c->pid;
            s->reason.size = 0;
        }
        return 0;
    }
    if (s->status == SANDBOX_STOPPING || is_normal) {
        return model_forget(m, s);
    }
    model_unplace(s);
    s->reason = c->reason;
    s->failures++;
    if (s->failures == 5) {
        s->status = SANDBOX_FAILED;
    }
    return 0;
}

static inline int model_stop(struct model *m, struct model_sandbox *s)
{
    if (!s->exists) {
        return ERR_NOT_FOUND;
    }
    if (s->worker < 0) {
        return model_forget(m, s);
    }
    s->status = SANDBOX_STOPPING;
    s->pid.size = 0;
    return 0;
}

static inline int model_register(struct model *m, const struct command *c,
                                 int w, struct model_name *n)
{
    uint64_t lease = m->workers[w].lease;

    if (lease == 0 || (c->lease != 0 && c->lease != lease)) {
        return ERR_CLOSED;
    }
    if (n->exists) {
        return bytes_equal(n->pid, c->pid) ? 0 : ERR_EXISTS;
    }
    if (m->is_burnt) {
        return ERR_BUSY;
    }
    *n = (struct model_name){
        .exists = true, .worker = w, .epoch = m->index, .pid = c->pid};
    return 0;
}

static inline int model_unregister(struct model *m, const struct command *c,
                                   struct model_name *n)
{
    if (!n->exists || (c->pid.size > 0 && !bytes_equal(n->pid, c->pid))) {
        return ERR_NOT_FOUND;
    }
    if (c->epoch != 0 && c->epoch != n->epoch) {
        return ERR_STALE_EPOCH;
    }
    m->is_burnt = m->is_burnt || n->epoch == m->index;
    n->exists = false;
    return 0;
}

static inline int model_lease(struct model *m, const struct command *c, int w)
{
    struct model_worker *worker = &m->workers[w];

    if (c->lease == 0 || worker->lease != c->lease) {
        return ERR_CLOSED;
    }
    if (c->type == COMMAND_RENEW) {
        worker->renewed_index = m->index;
        if (c->clock > worker->renewed_clock) {
            worker->renewed_clock = c->clock;
        }
        return 0;
    }
    if (c->type == COMMAND_EXPIRE &&
        worker->renewed_index != c->renewed_index) {
        return ERR_STALE_EPOCH;
    }
    model_end_lease(m, w);
    return 0;
}

static inline int model_apply(struct model *m, uint64_t index,
                              const struct command *c)
{
    int w = model_find(c->worker, random_workers, RANDOM_WORKERS);
    struct model_sandbox *s =
        &m->sandboxes[model_find(c->id, random_ids, RANDOM_IDS)];
    struct model_name *n =
        &m->names[model_find(c->name, random_names, RANDOM_NAMES)];

    m->is_burnt = m->is_burnt && index == m->index;
    m->index = index;
    switch (c->type) {
    case COMMAND_ATTACH:
        return model_attach(m, c, w);
    case COMMAND_RENEW:
    case COMMAND_EXPIRE:
    case COMMAND_RELEASE:
        return model_lease(m, c, w);
    case COMMAND_CLAIM:
        return model_claim(m, c, w, s);
    case COMMAND_PLACE:
        return model_place(m, c, w, s);
    case COMMAND_STARTED:
    case COMMAND_FAILED:
    case COMMAND_STOPPED:
        return model_report(m, c, s);
    case COMMAND_STOP:
        return model_stop(m, s);
    case COMMAND_REGISTER:
        return model_register(m, c, w, n);
    case COMMAND_UNREGISTER:
        return model_unregister(m, c, n);
    case COMMAND_PUT_MEMBER:
    case COMMAND_DROP_MEMBER:
    case COMMAND_OPEN_SESSION:
    case COMMAND_RECOVER:
    case COMMAND_RESUME:
    case COMMAND_KEEP:
    case COMMAND_DISCARD:
    case COMMAND_RESTORE:
    case COMMAND_RESTORED:
        break; /* not of its world */
    }
    return ERR_UNDEF;
}

static inline void model_compare_worker(const struct model_worker *want,
                                        const struct worker *worker)
{
    assert_int_equal(worker != NULL, want->is_known);
    if (worker != NULL) {
        assert_int_equal(worker->incarnation[15], want->incarnation);
        assert_int_equal(worker->lease, want->lease);
        assert_int_equal(worker->renewed_index, want->renewed_index);
        assert_int_equal(worker->renewed_clock, want->renewed_clock);
    }
}

static inline void model_compare_sandbox(const struct model_sandbox *want,
                                         const struct sandbox *sandbox)
{
    assert_int_equal(sandbox != NULL, want->exists);
    if (sandbox == NULL) {
        return;
    }
    assert_int_equal(sandbox->status, want->status);
    assert_int_equal(sandbox->birth, want->birth);
    assert_int_equal(sandbox->epoch, want->epoch);
    assert_int_equal(sandbox->failures, want->failures);
    assert_int_equal(sandbox->worker == NULL, want->worker < 0);
    if (sandbox->worker != NULL) {
        assert_true(
            bytes_is(sandbox->worker->name, random_workers[want->worker]));
    }
    assert_true(bytes_equal(sandbox->pid, want->pid));
    assert_true(bytes_equal(sandbox->reason, want->reason));
}

static inline void model_compare(const struct model *m,
                                 const struct registry *registry)
{
    for (int i = 0; i < RANDOM_WORKERS; i++) {
        model_compare_worker(
            &m->workers[i],
            registry_worker(registry, bytes_of_string(random_workers[i])));
    }
    for (int i = 0; i < RANDOM_IDS; i++) {
        model_compare_sandbox(
            &m->sandboxes[i],
            registry_sandbox(registry, bytes_of_string(random_ids[i])));
    }
    for (int i = 0; i < RANDOM_NAMES; i++) {
        const struct registered_name *name =
            registry_name(registry, bytes_of_string(random_names[i]));

        assert_int_equal(name != NULL, m->names[i].exists);
        if (name != NULL) {
            assert_int_equal(name->epoch, m->names[i].epoch);
            assert_true(bytes_equal(name->pid, m->names[i].pid));
            assert_true(bytes_is(name->worker->name,
                                 random_workers[m->names[i].worker]));
        }
    }
}

#endif
