/* SPDX-License-Identifier: Apache-2.0
 * Big states are looked at beside the loop: whether their maps have equal keys,
 * and their checksum. One after another, in the order in which they came; a
 * request that must not overtake one of them waits behind it. */
#include "api/results.h"
#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "etf/keys.h"
#include "node/requests.h"

/* What the thread has: nothing of it is shared but the bytes. */
struct check {
    struct node *node; /* NULL: the member has stopped meanwhile */
    uint64_t number;   /* of the request, which may be gone meanwhile */
    struct blob *blob; /* held */
    struct bytes raw;  /* in it */
    uint64_t seed;
    int rv;
    uint32_t crc;
};

static void look(void *arg)
{
    struct check *check = (struct check *)arg;

    check->rv = etf_keys_differ(check->raw, check->seed);
    check->crc = crc32c(0, check->raw);
}

static void refuse(struct node *node, struct request *request)
{
    struct buf why;

    buf_init(&why, 64);
    (void)api_fail_equal_keys("state", &why); /* always ERR_BADARG */
    results_put_badarg(node_result(node), buf_bytes(&why));
    buf_close(&why);
    request_finish(node, request);
}

void checks_forget(struct request *request)
{
    if (!request->is_checking) {
        return;
    }
    request->is_checking = false;
    if (request->link != NULL) {
        ensure(request->link->check_count > 0);
        request->link->check_count--;
    }
}

static void finish(struct node *node, struct request *request, int rv)
{
    checks_forget(request);
    if (rv == 0) {
        request_start(node, request);
    } else if (rv == ERR_MALFORMED) {
        refuse(node, request);
    } else {
        request_fail(node, request, rv);
    }
}

static void start_next(struct node *node);

static void on_looked(void *arg)
{
    struct check *check = (struct check *)arg;
    struct node *node = check->node;
    struct request *request;

    blob_release(check->blob);
    if (node == NULL) {
        mem_free(check);
        return;
    }
    ensure(node->check == check);
    node->check = NULL;
    node->now_ms = loop_now_ms(node->loop);
    request = requests_find(node, check->number);
    if (request != NULL) {
        request->has_crc = true;
        request->crc = check->crc;
        finish(node, request, check->rv);
    }
    mem_free(check);
    start_next(node);
}

/* 0, or why it could not begin. */
static int begin(struct node *node, const struct request *request)
{
    struct check *check = mem_alloc(sizeof(*check));
    int rv;

    if (check == NULL) {
        return ERR_NOMEM;
    }
    *check = (struct check){.node = node,
                            .number = request->number,
                            .blob = blob_hold(request->blob),
                            .raw = request->api.state,
                            .seed = rng_next(&node->rng)};
    rv = loop_work(node->loop, look, on_looked, check);
    if (rv != 0) {
        blob_release(check->blob);
        mem_free(check);
        return rv;
    }
    node->check = check;
    return 0;
}

static void start_next(struct node *node)
{
    struct list *first;

    while (node->check == NULL &&
           (first = list_take_first(&node->checks)) != NULL) {
        struct request *request = LIST_ENTRY(first, struct request, queue);
        int rv = 0;

        if (checks_is_big(&request->api)) {
            rv =
                request->blob != NULL
                    ? begin(node, request)
                    /* Hardly big, or no memory for a blob. */
                    : etf_keys_differ(request->api.state, rng_next(&node->rng));
        }
        if (node->check == NULL) {
            finish(node, request, rv);
        }
    }
}

bool checks_is_big(const struct api_request *api)
{
    return api->state.size >= STATE_SHARED_MIN;
}

void checks_start(struct node *node, struct request *request)
{
    ensure(request->link != NULL);
    request->is_checking = true;
    request->link->check_count++;
    list_append(&node->checks, &request->queue);
    start_next(node);
}

void checks_close(struct node *node)
{
    if (node->check != NULL) {
        node->check->node = NULL;
        node->check = NULL;
    }
}
