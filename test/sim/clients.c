/* SPDX-License-Identifier: Apache-2.0
 * Clients that read, write, and compare and set a few registers, and the
 * history of what they saw, for test/sim/linear.h. A command is the text
 * "op ID KIND REGISTER EXPECTED VALUE"; what it does is decided once, when its
 * entry is first committed, since the oracle sees to it that all nodes apply
 * the same. A client hears of it when the node that it asked applies it. */
#include "base/err.h"
#include "sim/cluster_internal.h"
#include "sim/linear.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct client_op {
    struct linear_call call;
    uint32_t node;
    uint64_t incarnation;
    uint64_t index; /* of its entry; of a read: where it may be answered */
    uint64_t term;
    bool is_open;    /* the client waits */
    bool is_started; /* of a read: it may be answered */
    bool is_done;    /* its entry is committed */
    bool is_refused; /* of a compare-and-set, then */
};

struct clients {
    struct client_op ops[CLIENT_OPS_MAX];
    size_t count;
    uint64_t time;        /* counts begins and ends */
    size_t open[CLIENTS]; /* position + 1 of the op under way, 0: none */
    uint64_t seen[CLIENT_REGISTERS]; /* the value that someone saw last */
    uint64_t registers[CLIENT_REGISTERS];
};

void clients_new(struct cluster *cluster)
{
    cluster->clients = cluster_must(calloc(1, sizeof(*cluster->clients)));
}

void clients_free(struct cluster *cluster)
{
    free(cluster->clients);
    cluster->clients = NULL;
}

/* --- Asking -------------------------------------------------------------- */

static int propose(struct cluster *cluster, struct client_op *op, size_t id)
{
    char text[128];
    struct raft_event event = {.type = RAFT_PROPOSE};
    int rv;

    (void)snprintf(
        text, sizeof(text), "op %zu %d %" PRIu64 " %" PRIu64 " %" PRIu64, id,
        (int)op->call.kind, op->call.reg, op->call.expected, op->call.value);
    event.bytes = bytes_of_string(text);
    /* A single voter may commit it within the step. */
    op->index = raft_last_index(cluster->nodes[op->node].raft) + 1;
    op->term = raft_term(cluster->nodes[op->node].raft);
    rv = cluster_step(cluster, &cluster->nodes[op->node], &event);
    return rv;
}

static int ask(struct cluster *cluster, struct client_op *op, size_t id)
{
    struct raft_event event = {.type = RAFT_READ,
                               .read_id = CLUSTER_READS_MAX + id};

    if (op->call.kind == LINEAR_READ) {
        return cluster_step(cluster, &cluster->nodes[op->node], &event);
    }
    return propose(cluster, op, id);
}

void clients_begin(struct cluster *cluster, uint32_t client, uint32_t node)
{
    struct clients *clients = cluster->clients;
    struct client_op *op = &clients->ops[clients->count];
    uint32_t dice = (uint32_t)rng_below(&cluster->rng, 10);

    if (clients->open[client] != 0 || clients->count == CLIENT_OPS_MAX) {
        return;
    }
    *op = (struct client_op){
        .node = node,
        .incarnation = cluster->nodes[node].incarnation,
        .is_open = true,
        .call = {.kind = dice < 5   ? LINEAR_READ
                         : dice < 8 ? LINEAR_WRITE
                                    : LINEAR_CAS,
                 .reg = rng_below(&cluster->rng, CLIENT_REGISTERS),
                 .value = clients->count + 1,
                 .is_unknown = true,
                 .begin = ++clients->time}};
    op->call.expected = clients->seen[op->call.reg];
    clients->count++;
    clients->open[client] = clients->count;
    if (ask(cluster, op, clients->count - 1) != 0) {
        /* Not taken: it has had no effect, and will have none. */
        clients->open[client] = 0;
        clients->count--;
    }
}

/* --- Hearing of it ------------------------------------------------------- */

static void end(struct clients *clients, struct client_op *op)
{
    size_t id = (size_t)(op - clients->ops) + 1;

    op->is_open = false;
    for (size_t i = 0; i < CLIENTS; i++) {
        if (clients->open[i] == id) {
            clients->open[i] = 0;
        }
    }
}

static void answer(struct clients *clients, struct client_op *op)
{
    op->call.is_unknown = false;
    op->call.end = ++clients->time;
    if (!op->call.has_failed) {
        clients->seen[op->call.reg] = op->call.value;
    }
    end(clients, op);
}

void clients_committed(struct cluster *cluster, const struct raft_entry *entry,
                       uint64_t *ret_registers)
{
    struct clients *clients = cluster->clients;
    uint64_t numbers[5];
    char text[128] = "";
    struct client_op *op;

    if (entry->type == RAFT_ENTRY_COMMAND && entry->data.size < sizeof(text)) {
        memcpy(text, entry->data.data, entry->data.size);
    }
    if (sscanf(text,
               "op %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
               &numbers[0], &numbers[1], &numbers[2], &numbers[3],
               &numbers[4]) == 5) {
        uint64_t *reg = &clients->registers[numbers[2]];

        op = &clients->ops[numbers[0]];
        op->is_done = true;
        op->is_refused = numbers[1] == LINEAR_CAS && *reg != numbers[3];
        if (!op->is_refused) {
            *reg = numbers[4];
        }
    }
    memcpy(ret_registers, clients->registers, sizeof(clients->registers));
}

static void look_at(struct cluster *cluster, struct client_op *op)
{
    struct cluster_node *node = &cluster->nodes[op->node];

    if (node->raft == NULL || node->incarnation != op->incarnation) {
        end(cluster->clients, op);
        return;
    }
    if (node->committed < op->index ||
        (op->call.kind == LINEAR_READ && !op->is_started)) {
        return;
    }
    if (op->call.kind == LINEAR_READ) {
        op->call.value = node->committed == 0
                             ? 0
                             : cluster->committed[node->committed - 1]
                                   .registers[op->call.reg];
        answer(cluster->clients, op);
        return;
    }
    if (cluster->committed[op->index - 1].term != op->term) {
        /* Another entry is there: it will never take effect. */
        op->call.has_failed = true;
        op->call.kind = LINEAR_READ;
        end(cluster->clients, op);
        return;
    }
    op->call.has_failed = op->is_refused;
    answer(cluster->clients, op);
}

void clients_look(struct cluster *cluster)
{
    struct clients *clients = cluster->clients;

    for (size_t i = 0; i < CLIENTS; i++) {
        if (clients->open[i] != 0) {
            look_at(cluster, &clients->ops[clients->open[i] - 1]);
        }
    }
}

void clients_read_done(struct cluster *cluster, const struct raft_read *done)
{
    size_t id = (size_t)(done->read_id - CLUSTER_READS_MAX);
    struct client_op *op = &cluster->clients->ops[id];

    if (done->is_failed) {
        end(cluster->clients, op);
        return;
    }
    op->is_started = true;
    op->index = done->index;
}

/* Who was never told may give up. */
void clients_give_up(struct cluster *cluster, uint32_t client)
{
    struct clients *clients = cluster->clients;

    if (clients->open[client] != 0) {
        end(clients, &clients->ops[clients->open[client] - 1]);
    }
}

void clients_check(struct cluster *cluster)
{
    struct clients *clients = cluster->clients;
    struct linear_call *calls =
        cluster_must(calloc(clients->count + 1, sizeof(*calls)));
    size_t stuck = 0;

    for (size_t i = 0; i < clients->count; i++) {
        calls[i] = clients->ops[i].call;
    }
    if (linear_check(calls, clients->count, &stuck) == LINEAR_WRONG) {
        cluster_fail(cluster,
                     "what the clients saw cannot have happened in any order: "
                     "call %zu of register %" PRIu64,
                     stuck, calls[stuck].reg);
    }
    cluster->answered_count = 0;
    for (size_t i = 0; i < clients->count; i++) {
        cluster->answered_count += calls[i].is_unknown ? 0 : 1;
    }
    free(calls);
}
