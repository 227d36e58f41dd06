/* SPDX-License-Identifier: Apache-2.0
 * Work beside the loop, in a thread of libuv's. */
#include "base/err.h"
#include "base/mem.h"
#include "io/loop_internal.h"

struct loop_work {
    uv_work_t request;
    loop_cb *work;
    loop_cb *done;
    void *arg;
};

static void on_work(uv_work_t *request)
{
    struct loop_work *work = (struct loop_work *)request->data;

    work->work(work->arg);
}

static void on_done(uv_work_t *request, int status)
{
    struct loop_work *work = (struct loop_work *)request->data;

    (void)status; /* not 0 only if it was cancelled, and we cancel none */
    work->done(work->arg);
    mem_free(work);
}

int loop_work(struct loop *loop, loop_cb *work_cb, loop_cb *done_cb, void *arg)
{
    struct loop_work *work = mem_alloc(sizeof(*work));

    if (work == NULL) {
        return ERR_NOMEM;
    }
    work->request.data = work;
    work->work = work_cb;
    work->done = done_cb;
    work->arg = arg;
    if (uv_queue_work(loop_uv(loop), &work->request, on_work, on_done) != 0) {
        mem_free(work);
        return ERR_IO;
    }
    return 0;
}
