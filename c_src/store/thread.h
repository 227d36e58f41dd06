/* SPDX-License-Identifier: Apache-2.0
 * Threads that wait for disks, so that the loop does not. */
#ifndef QUORATE_STORE_THREAD_H
#define QUORATE_STORE_THREAD_H

#include "base/attr.h"

#include <pthread.h>

/* A small joinable thread that takes no signals: they are the loop's. 0 or
 * ERR_NOMEM. */
int thread_start(pthread_t *thread, void *(*run)(void *), void *arg) MUST_USE;

#endif
