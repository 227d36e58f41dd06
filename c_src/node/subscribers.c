/* SPDX-License-Identifier: Apache-2.0
 * Processes that are told of partitions. Each is monitored; the reference of
 * the monitor is the name of its subscription. One whose node does not read is
 * given up: to tell it late would be worse than not at all. */
#include "api/results.h"
#include "base/err.h"
#include "base/mem.h"
#include "etf/writer.h"
#include "node/partitions.h"
#include "node/requests.h"

struct subscriber {
    struct list link; /* in partitions.subscribers */
    size_t pid_size;
    size_t reference_size;
    uint8_t pid[REGISTRY_PID_SIZE_MAX]; /* raw terms */
    uint8_t reference[INBOX_REFERENCE_SIZE_MAX];
    uint8_t node[REGISTRY_NODE_SIZE_MAX];
    size_t node_size;
};

static struct bytes pid_of(const struct subscriber *subscriber)
{
    return bytes_of(subscriber->pid, subscriber->pid_size);
}

static struct bytes reference_of(const struct subscriber *subscriber)
{
    return bytes_of(subscriber->reference, subscriber->reference_size);
}

static struct link *link_of(const struct node *node,
                            const struct subscriber *subscriber)
{
    return links_find(node, bytes_of(subscriber->node, subscriber->node_size));
}

static void forget(struct node *node, struct subscriber *subscriber)
{
    list_remove(&subscriber->link);
    node->partitions.subscriber_count--;
    mem_free(subscriber);
}

static struct subscriber *find(const struct node *node, struct bytes reference)
{
    LIST_FOREACH (item, &node->partitions.subscribers) {
        struct subscriber *subscriber =
            LIST_ENTRY(item, struct subscriber, link);

        if (bytes_equal(reference_of(subscriber), reference)) {
            return subscriber;
        }
    }
    return NULL;
}

static void leave(struct node *node, struct subscriber *subscriber)
{
    struct link *link = link_of(node, subscriber);

    if (link != NULL) {
        outbox_demonitor(&node->inbox, &link->inbox_peer,
                         reference_of(subscriber), peer_out(link->peer));
    }
    forget(node, subscriber);
}

/* False: its node does not read. */
static bool tell(struct node *node, const struct subscriber *subscriber,
                 struct bytes message)
{
    struct link *link = link_of(node, subscriber);

    if (link == NULL) {
        return true; /* that it is gone is on its way to us */
    }
    if (peer_is_busy(link->peer)) {
        return false;
    }
    outbox_send(&node->inbox, &link->inbox_peer, pid_of(subscriber), message,
                peer_out(link->peer));
    return true;
}

static int put_message(struct node *node, const char *word, struct buf *message)
{
    buf_init(message, PARTITIONS_REPORT_MAX);
    etf_put_tuple(message, 3);
    etf_put_atom(message, "quorate");
    etf_put_atom(message, word);
    report_put(node, message);
    return buf_error(message);
}

void subscribers_tell(struct node *node, const char *word)
{
    struct list *next;
    struct buf message;

    if (node->partitions.subscriber_count == 0) {
        return;
    }
    if (put_message(node, word, &message) == 0) {
        for (struct list *item = node->partitions.subscribers.next;
             item != &node->partitions.subscribers; item = next) {
            struct subscriber *subscriber =
                LIST_ENTRY(item, struct subscriber, link);

            next = item->next;
            if (!tell(node, subscriber, buf_bytes(&message))) {
                node->partitions.dropped++;
                log_line(LOG_WARN, "subscriber_dropped", "peer=%.*s total=%llu",
                         (int)subscriber->node_size,
                         (const char *)subscriber->node,
                         (unsigned long long)node->partitions.dropped);
                leave(node, subscriber);
            }
        }
    }
    buf_close(&message);
}

/* Its process is watched; ERR_LIMIT, ERR_NOMEM. */
static int watch(struct node *node, struct link *link,
                 struct subscriber *subscriber)
{
    struct buf reference;
    int rv;

    buf_init(&reference, sizeof(subscriber->reference));
    rv = outbox_monitor(&node->inbox, &link->inbox_peer, pid_of(subscriber),
                        peer_out(link->peer), &reference);
    if (rv == 0) {
        memcpy(subscriber->reference, reference.data, reference.size);
        subscriber->reference_size = reference.size;
    }
    buf_close(&reference);
    return rv;
}

/* Who comes into a partition that is there is told of it at once. */
static void tell_new(struct node *node, const struct subscriber *subscriber)
{
    struct buf message;

    if (partitions_verdict(node) == PARTITION_NONE) {
        return;
    }
    if (put_message(node, "partition", &message) == 0) {
        (void)tell(node, subscriber, buf_bytes(&message));
    }
    buf_close(&message);
}

void subscribers_add(struct node *node, const struct api_request *api,
                     struct buf *result)
{
    struct partitions *partitions = &node->partitions;
    struct link *link = links_find(node, api->worker);
    struct subscriber *subscriber;
    int rv;

    if (link == NULL) {
        results_put_badarg_atom(result, "pid");
        return;
    }
    if (partitions->subscriber_count == PARTITIONS_SUBSCRIBERS_MAX) {
        results_put_error_code(result, ERR_LIMIT);
        return;
    }
    subscriber = mem_alloc(sizeof(*subscriber));
    if (subscriber == NULL) {
        results_put_error_code(result, ERR_NOMEM);
        return;
    }
    memcpy(subscriber->pid, api->pid.data, api->pid.size);
    subscriber->pid_size = api->pid.size;
    memcpy(subscriber->node, api->worker.data, api->worker.size);
    subscriber->node_size = api->worker.size;
    rv = watch(node, link, subscriber);
    if (rv != 0) {
        mem_free(subscriber);
        results_put_error_code(result, rv);
        return;
    }
    list_append(&partitions->subscribers, &subscriber->link);
    partitions->subscriber_count++;
    results_put_ok_tuple(result, 2);
    etf_put_raw(result, reference_of(subscriber));
    tell_new(node, subscriber);
}

void subscribers_remove(struct node *node, const struct api_request *api,
                        struct buf *result)
{
    struct subscriber *subscriber = find(node, api->reference);

    if (subscriber == NULL) {
        results_put_error_code(result, ERR_NOT_FOUND);
        return;
    }
    leave(node, subscriber);
    results_put_ok(result);
}

void subscribers_down(struct node *node, struct bytes reference)
{
    struct subscriber *subscriber = find(node, reference);

    if (subscriber != NULL) {
        forget(node, subscriber);
    }
}

void subscribers_close(struct node *node)
{
    struct list *first;

    while ((first = list_take_first(&node->partitions.subscribers)) != NULL) {
        mem_free(LIST_ENTRY(first, struct subscriber, link));
    }
    node->partitions.subscriber_count = 0;
}
