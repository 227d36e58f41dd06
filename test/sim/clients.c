/* SPDX-License-Identifier: Apache-2.0
 * Clients that read and change a few registers, and the history of what they
 * saw, for test/sim/linear.h; and that claim and stop sandboxes. Their commands
 * are real ones. A register is a registered name, its value the pid that has
 * it, 0 if there is none: so registering is a compare-and-set from 0,
 * unregistering one to 0.
 *
 * A client that does not hear asks another leader, with the same request id, as
 * a member does with the calls that it passed on. */
#include "base/err.h"
#include "sim/cluster_internal.h"
#include "sim/linear.h"
#include "sim/owners.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    NOWHERE = UINT32_MAX,
    FIRST_MEMBER = 100, /* the id that the first client gives for a member's */
    BATCH_MAX = 1024
};

struct client_op {
    struct linear_call call; /* of a register */
    enum command_type type;
    struct request_id id;
    uint64_t sandbox;
    uint8_t pid[8];
    uint32_t node; /* where it was asked last */
    uint64_t incarnation;
    uint64_t index; /* of its entry; of a read: where it may be answered */
    uint64_t term;
    bool is_read;
    bool is_open;    /* the client waits */
    bool is_started; /* of a read: it may be answered */
    bool is_done;    /* it was applied, with this outcome: */
    int rv;
    uint64_t epoch;
};

struct client {
    uint64_t session; /* 0: none */
    uint64_t nonce;
    uint64_t number;
    size_t open; /* position + 1 of the op under way, 0: none */
};

struct clients {
    struct client_op ops[CLIENT_OPS_MAX];
    size_t count;
    uint64_t time; /* counts begins and ends */
    struct client clients[CLIENTS];
    uint64_t seen[CLIENT_REGISTERS]; /* the value that someone saw last */
};

static uint32_t draw(struct cluster *cluster, uint32_t bound)
{
    return (uint32_t)rng_below(&cluster->rng, bound);
}

void clients_new(struct cluster *cluster)
{
    cluster->clients = cluster_must(calloc(1, sizeof(*cluster->clients)));
    for (uint64_t i = 0; i < CLIENTS; i++) {
        cluster->clients->clients[i].nonce = i + 1;
    }
}

void clients_free(struct cluster *cluster)
{
    free(cluster->clients);
    cluster->clients = NULL;
}

static void end(struct clients *clients, struct client_op *op)
{
    size_t id = (size_t)(op - clients->ops) + 1;

    op->is_open = false;
    for (size_t i = 0; i < CLIENTS; i++) {
        if (clients->clients[i].open == id) {
            clients->clients[i].open = 0;
        }
    }
}

/* --- Asking -------------------------------------------------------------- */

static int propose(struct cluster *cluster, uint32_t node,
                   const struct command *command, uint32_t copies)
{
    struct raft_event event = {.type = RAFT_PROPOSE};
    struct buf batch;
    int rv;

    buf_init(&batch, BATCH_MAX);
    for (uint32_t i = 0; i < copies; i++) {
        command_encode(&batch, command);
    }
    if (buf_error(&batch) != 0) {
        abort();
    }
    event.bytes = buf_bytes(&batch);
    rv = cluster_step(cluster, &cluster->nodes[node], &event);
    buf_close(&batch);
    return rv;
}

static int propose_op(struct cluster *cluster, struct client_op *op,
                      uint32_t node)
{
    const struct raft *raft = cluster->nodes[node].raft;
    struct client_op before = *op;
    struct command command = {.type = op->type,
                              .request = op->id,
                              .worker = bytes_of_string("names"),
                              .name = machine_register_name(op->call.reg),
                              .pid = bytes_of(op->pid, sizeof(op->pid)),
                              .id = owners_sandbox(op->sandbox)};
    int rv;

    if (op->type == COMMAND_CLAIM &&
        (cluster->owners == NULL ||
         !owners_pick(cluster, &cluster->nodes[node], &command))) {
        return ERR_NO_CAPACITY;
    }
    op->node = node;
    op->incarnation = cluster->nodes[node].incarnation;
    /* A single voter may commit it within the step. */
    op->index = raft_last_index(raft) + 1;
    op->term = raft_term(raft);
    rv = propose(cluster, node, &command, draw(cluster, 8) == 0 ? 2 : 1);
    if (rv != 0) {
        op->node = before.node;
        op->incarnation = before.incarnation;
        op->index = before.index;
        op->term = before.term;
    }
    return rv;
}

static int ask(struct cluster *cluster, struct client_op *op, uint32_t node)
{
    struct raft_event event = {.type = RAFT_READ,
                               .read_id = CLUSTER_READS_MAX +
                                          (size_t)(op - cluster->clients->ops)};

    if (op->is_read) {
        op->node = node;
        op->incarnation = cluster->nodes[node].incarnation;
        return cluster_step(cluster, &cluster->nodes[node], &event);
    }
    return propose_op(cluster, op, node);
}

/* What is to be done, of a register or of a sandbox. */
static struct client_op draw_op(struct cluster *cluster)
{
    struct clients *clients = cluster->clients;
    uint32_t dice = draw(cluster, 14);
    struct client_op op = {.node = NOWHERE,
                           .is_open = true,
                           .is_read = dice < 5,
                           .sandbox = draw(cluster, OWNERS_SANDBOXES),
                           .call = {.kind = dice < 5 ? LINEAR_READ : LINEAR_CAS,
                                    .reg = draw(cluster, CLIENT_REGISTERS),
                                    .is_unknown = true,
                                    .begin = ++clients->time}};
    uint64_t pid;

    op.call.expected = clients->seen[op.call.reg];
    if (dice >= 10) {
        op.type = dice >= 12  ? COMMAND_CLAIM
                  : dice > 10 ? COMMAND_STOP
                              : COMMAND_CLAIM;
    } else if (op.call.expected == 0) {
        op.type = COMMAND_REGISTER;
        op.call.value = clients->count + 1;
    } else {
        op.type = COMMAND_UNREGISTER;
    }
    pid = op.type == COMMAND_REGISTER ? op.call.value : op.call.expected;
    for (size_t i = 0; i < sizeof(op.pid); i++) {
        op.pid[i] = (uint8_t)(pid >> 8 * (7 - i));
    }
    return op;
}

/* A client that was started anew: what it had asked is not its business any
 * more, and is refused from now on. */
static bool has_session(struct cluster *cluster, uint32_t number, uint32_t node)
{
    struct client *client = &cluster->clients->clients[number];

    if (draw(cluster, 100) == 0) {
        client->session = 0;
        client->nonce += CLIENTS;
        client->number = 0;
    }
    if (client->session == 0) {
        (void)propose(cluster, node,
                      &(struct command){.type = COMMAND_OPEN_SESSION,
                                        .member = FIRST_MEMBER + number,
                                        .nonce = client->nonce},
                      1);
    }
    return client->session != 0;
}

void clients_begin(struct cluster *cluster, uint32_t number, uint32_t node)
{
    struct clients *clients = cluster->clients;
    struct client *client = &clients->clients[number];
    struct client_op *op = &clients->ops[clients->count];

    if (client->open != 0 || clients->count == CLIENT_OPS_MAX ||
        !has_session(cluster, number, node)) {
        return;
    }
    *op = draw_op(cluster);
    if (!op->is_read) {
        client->number++;
        op->id = (struct request_id){.member = FIRST_MEMBER + number,
                                     .session = client->session,
                                     .number = client->number};
    }
    clients->count++;
    client->open = clients->count;
    if (ask(cluster, op, node) != 0) {
        /* Not taken: it has had no effect, and will have none. */
        client->open = 0;
        clients->count--;
    }
}

void clients_again(struct cluster *cluster, uint32_t node)
{
    struct clients *clients = cluster->clients;

    for (uint32_t i = 0; i < CLIENTS; i++) {
        size_t open = clients->clients[i].open;
        struct client_op *op = open == 0 ? NULL : &clients->ops[open - 1];

        if (op != NULL && !op->is_read &&
            draw(cluster, op->node == NOWHERE ? 2 : 40) == 0) {
            (void)propose_op(cluster, op, node);
        }
    }
}

/* --- Hearing of it ------------------------------------------------------- */

static void answer(struct clients *clients, struct client_op *op)
{
    op->call.is_unknown = false;
    op->call.end = ++clients->time;
    if (!op->call.has_failed) {
        clients->seen[op->call.reg] = op->call.value;
    }
    end(clients, op);
}

/* It had no effect, and will have none: nothing that can be said of a register.
 */
static void end_without_effect(struct clients *clients, struct client_op *op)
{
    op->call.kind = LINEAR_READ;
    op->call.is_unknown = true;
    end(clients, op);
}

/* The leader would try another worker: it is not done yet. */
static bool is_tried_again(const struct client_op *op, int rv)
{
    return op->type == COMMAND_CLAIM &&
           (rv == ERR_CLOSED || rv == ERR_BUSY || rv == ERR_NO_CAPACITY);
}

static void session_opened(struct cluster *cluster, uint64_t index,
                           const struct command *command, int rv)
{
    struct client *client =
        &cluster->clients->clients[command->member - FIRST_MEMBER];

    if (rv == 0 && client->nonce == command->nonce && client->session == 0) {
        client->session = index;
    }
}

static struct client_op *find_op(struct clients *clients,
                                 const struct request_id *id)
{
    for (size_t i = clients->count; i > 0; i--) {
        if (memcmp(&clients->ops[i - 1].id, id, sizeof(*id)) == 0) {
            return &clients->ops[i - 1];
        }
    }
    return NULL;
}

void clients_applied(struct cluster *cluster, uint64_t index,
                     const struct command *command,
                     const struct command_result *result)
{
    struct client_op *op;

    if (command->type == COMMAND_OPEN_SESSION) {
        session_opened(cluster, index, command, result->rv);
    }
    if (command->request.number == 0) {
        return;
    }
    op = find_op(cluster->clients, &command->request);
    if (op == NULL || result->rv == ERR_STALE_REQUEST) {
        const struct client *client =
            &cluster->clients->clients[command->request.member - FIRST_MEMBER];

        if (op == NULL || client->session == command->request.session) {
            cluster_fail(cluster, "a request id is refused for nothing");
        }
        return;
    }
    cluster->repeat_count += result->is_repeated;
    if (result->is_repeated != op->is_done ||
        (op->is_done && (op->rv != result->rv || op->epoch != result->epoch))) {
        cluster_fail(cluster,
                     "the request %" PRIu64 " of session %" PRIu64
                     " is carried out twice, or answered in two ways",
                     op->id.number, op->id.session);
    }
    if (!is_tried_again(op, result->rv)) {
        op->is_done = true;
        op->rv = result->rv;
        op->epoch = result->epoch;
    }
}

static void complete(struct clients *clients, struct client_op *op)
{
    if (op->type == COMMAND_CLAIM || op->type == COMMAND_STOP) {
        end_without_effect(clients, op);
        return;
    }
    op->call.has_failed = op->rv == ERR_EXISTS || op->rv == ERR_NOT_FOUND;
    if (op->rv != 0 && !op->call.has_failed) {
        end_without_effect(clients, op);
        return;
    }
    answer(clients, op);
}

static void look_at_read(struct cluster *cluster, struct client_op *op)
{
    const struct cluster_node *node = &cluster->nodes[op->node];

    if (op->is_started && node->committed >= op->index) {
        op->call.value = machine_register(node, op->call.reg);
        answer(cluster->clients, op);
    }
}

static void look_at(struct cluster *cluster, struct client_op *op)
{
    struct cluster_node *node;

    if (op->node == NOWHERE) {
        return;
    }
    node = &cluster->nodes[op->node];
    if (node->raft == NULL || node->incarnation != op->incarnation) {
        op->node = NOWHERE;
        if (op->is_read) {
            end(cluster->clients, op);
        }
        return;
    }
    if (op->is_read) {
        look_at_read(cluster, op);
        return;
    }
    if (node->committed < op->index) {
        return;
    }
    if (cluster->committed[op->index - 1].term == op->term && op->is_done) {
        complete(cluster->clients, op);
    } else {
        /* Another entry is there, or the worker was gone. */
        op->node = NOWHERE;
    }
}

void clients_look(struct cluster *cluster)
{
    struct clients *clients = cluster->clients;

    for (size_t i = 0; i < CLIENTS; i++) {
        if (clients->clients[i].open != 0) {
            look_at(cluster, &clients->ops[clients->clients[i].open - 1]);
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

    if (clients->clients[client].open != 0) {
        end(clients, &clients->ops[clients->clients[client].open - 1]);
    }
}

void clients_check(struct cluster *cluster)
{
    struct clients *clients = cluster->clients;
    struct linear_call *calls =
        cluster_must(calloc(clients->count + 1, sizeof(*calls)));
    size_t count = 0;
    size_t stuck = 0;

    cluster->answered_count = 0;
    for (size_t i = 0; i < clients->count; i++) {
        const struct client_op *op = &clients->ops[i];

        if (op->type != COMMAND_CLAIM && op->type != COMMAND_STOP) {
            calls[count] = op->call;
            cluster->answered_count += op->call.is_unknown ? 0 : 1;
            count++;
        }
    }
    if (linear_check(calls, count, &stuck) == LINEAR_WRONG) {
        cluster_fail(cluster,
                     "what the clients saw cannot have happened in any order: "
                     "call %zu of register %" PRIu64,
                     stuck, calls[stuck].reg);
    }
    free(calls);
}
