/* SPDX-License-Identifier: Apache-2.0
 * Looks up the addresses of a host, each on a thread of its own. A name server
 * that does not answer can hold getaddrinfo() up for half a minute and there
 * is no way to interrupt it; so nobody waits for the thread, not even the end
 * of the process. (libuv joins its threads there.) */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/peers_internal.h"

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { THREADS_MAX = 32 }; /* at once, those included that nobody needs */

struct resolve {
    pthread_mutex_t mutex;
    struct loop *loop; /* NULL: nobody waits; the thread frees this */
    bool is_done;      /* the thread is over; the owner frees this */
    struct addrinfo *addresses;
    char host[HANDSHAKE_NODE_NAME_MAX + 1];
};

static atomic_int thread_count;

static void destroy(struct resolve *resolve)
{
    if (resolve->addresses != NULL) {
        freeaddrinfo(resolve->addresses);
    }
    (void)pthread_mutex_destroy(&resolve->mutex); /* it is not locked */
    mem_free(resolve);
}

static void *run(void *arg)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct resolve *resolve = (struct resolve *)arg;
    struct addrinfo *addresses = NULL;
    bool is_alone;

    if (getaddrinfo(resolve->host, NULL, &hints, &addresses) != 0) {
        addresses = NULL;
    }
    ensure(pthread_mutex_lock(&resolve->mutex) == 0);
    resolve->addresses = addresses;
    resolve->is_done = true;
    is_alone = resolve->loop == NULL;
    if (!is_alone) {
        /* The loop lives while somebody waits, and that cannot end now. */
        loop_wake(resolve->loop);
    }
    ensure(pthread_mutex_unlock(&resolve->mutex) == 0);
    if (is_alone) {
        destroy(resolve);
    }
    (void)atomic_fetch_sub(&thread_count, 1);
    return NULL;
}

static int start(struct resolve *resolve)
{
    pthread_t thread;

    if (atomic_fetch_add(&thread_count, 1) >= THREADS_MAX ||
        pthread_create(&thread, NULL, run, resolve) != 0) {
        (void)atomic_fetch_sub(&thread_count, 1);
        return ERR_BUSY;
    }
    ensure(pthread_detach(thread) == 0);
    return 0;
}

int resolve_new(struct loop *loop, const char *host,
                struct resolve **ret_resolve)
{
    struct resolve *resolve = mem_alloc(sizeof(*resolve));
    int rv;

    if (resolve == NULL) {
        return ERR_NOMEM;
    }
    ensure(pthread_mutex_init(&resolve->mutex, NULL) == 0);
    resolve->loop = loop;
    (void)snprintf(resolve->host, sizeof(resolve->host), "%s", host);
    rv = start(resolve);
    if (rv != 0) {
        destroy(resolve);
        return rv;
    }
    *ret_resolve = resolve;
    return 0;
}

bool resolve_is_done(struct resolve *resolve, const struct addrinfo **ret_first)
{
    bool is_done;

    ensure(pthread_mutex_lock(&resolve->mutex) == 0);
    is_done = resolve->is_done;
    *ret_first = resolve->addresses;
    ensure(pthread_mutex_unlock(&resolve->mutex) == 0);
    return is_done;
}

void resolve_free(struct resolve *resolve)
{
    bool is_done;

    if (resolve == NULL) {
        return;
    }
    ensure(pthread_mutex_lock(&resolve->mutex) == 0);
    is_done = resolve->is_done;
    resolve->loop = NULL;
    ensure(pthread_mutex_unlock(&resolve->mutex) == 0);
    if (is_done) {
        destroy(resolve);
    }
}
