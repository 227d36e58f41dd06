/* SPDX-License-Identifier: Apache-2.0 */
#include "store/thread.h"

#include "base/err.h"

#include <signal.h>
#include <stddef.h>

enum { STACK_SIZE = 256 * 1024 };

int thread_start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t old;
    int rv;

    if (pthread_attr_init(&attributes) != 0) {
        return ERR_NOMEM;
    }
    (void)sigfillset(&all);
    rv = pthread_attr_setstacksize(&attributes, STACK_SIZE);
    if (rv == 0) {
        rv = pthread_sigmask(SIG_SETMASK, &all, &old);
    }
    if (rv == 0) {
        rv = pthread_create(thread, &attributes, run, arg);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL); /* it was valid */
    }
    (void)pthread_attr_destroy(&attributes); /* cannot fail */
    return rv == 0 ? 0 : ERR_NOMEM;
}
