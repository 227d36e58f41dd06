/* SPDX-License-Identifier: Apache-2.0
 * Calls that cannot be answered at once. A request has exactly one end:
 * answered, timed out, or dropped because its caller is gone. Private to
 * node/. */
#ifndef QUORATE_NODE_REQUESTS_H
#define QUORATE_NODE_REQUESTS_H

#include "api/request.h"
#include "node/node.h"

struct execution; /* execute.c */
struct takeover;  /* takeovers.c */

struct request {
    uint64_t number; /* never used again; also the key in node->requests */
    uint8_t key[8];  /* the number as bytes */
    struct list link_node;     /* in link->requests */
    struct list queue;         /* where it waits: reads, waiters, an index */
    struct heap_node deadline; /* in node->request_deadlines */
    struct link *link;         /* where the answer goes; NULL: nowhere */
    struct call *call;         /* owned; NULL if it came from a member */
    uint64_t forward_number;   /* the asking member's number for it */
    uint64_t read_id;          /* while it waits for a confirmed read */
    uint64_t wait_index;       /* confirmed read index, or applied index */
    uint64_t epoch;            /* the ownership that it waits for */
    uint32_t attempts;         /* of a claim */
    struct request_id id;      /* of its commands; number 0: they have none */
    uint64_t passed_to;        /* the leading member's id; 0: not passed on */
    uint64_t passed_term;      /* in which term */
    uint64_t refused_term;     /* of which nobody leads any more */
    uint64_t seen_index;       /* of a read: the least that it has to see */
    bool waits_for_sandbox;    /* in the note of one */
    bool is_unknown; /* it may have been carried out: retries.c has to know */
    bool is_parked;  /* waits for a leader */
    struct api_request api;      /* borrows from `args` */
    struct bytes args;           /* raw list; in `blob`, or a copy that lies
                                    behind the structure */
    struct blob *blob;           /* held; NULL: there is none */
    bool is_checking;            /* by checks.c, or waits for it */
    struct execution *execution; /* that it waits for; NULL: none */
    struct link *starts_on;      /* whose agent was asked to start it without a
                                    majority; NULL: none was */
    bool has_crc;                /* `crc` is that of the state */
    uint32_t crc;
};

/* A call from a peer: answers at once, or makes a request. */
void requests_call(struct node *node, struct link *link,
                   const struct call *call);

/* A spawned call was ended by a signal: nobody waits for the answer. */
void requests_cancel(struct request *request);

void requests_init(struct node *node);
void requests_close(struct node *node);
void requests_link_down(struct node *node, struct link *link);
void requests_tick(struct node *node); /* deadlines */
struct request *requests_find(const struct node *node, uint64_t number);

/* Bytes of a blob belong into the result where it ends now. Once at most. */
void node_result_insert(struct node *node, struct bytes bytes,
                        struct blob *blob);
/* Lets go of what a big result holds. */
void node_result_done(struct node *node);

/* Gives it another number. ERR_NOMEM: it has an end to come all the same. */
int request_renumber(struct node *node, struct request *request) MUST_USE;

/* Frees it without an answer. */
void request_drop(struct node *node, struct request *request);

/* What it asked for was lost with the leadership: it goes to the next leader,
 * or back to the member that passed it on. */
void request_again(struct node *node, struct request *request);

/* Answers with the raw term in node->scratch and frees the request. */
void request_finish(struct node *node, struct request *request);

/* The same with {error, Atom of err}. */
void request_fail(struct node *node, struct request *request, int err);

/* What is asked; `args` were accepted by api_decode() before. */
struct request_source {
    const struct api_function *function;
    struct bytes args;
    struct blob *blob; /* in which `args` are, to be held; NULL: copied */
    const struct etf_spans *spans; /* of long ones of them, or NULL */
    uint64_t timeout_ms;
};

/* A request with all that it needs, or NULL with `*ret_error`: ERR_NOMEM,
 * ERR_BUSY. */
struct request *request_new(struct node *node, struct link *link,
                            const struct request_source *source,
                            int *ret_error) MUST_USE;

/* Proposes a command for a request; `applied` gets both when it is applied, if
 * the request is still there then. All other ends are seen to. Leader only. */
typedef void request_applied_fn(struct node *node, struct request *request,
                                const struct command_result *result);
void request_propose(struct node *node, struct request *request,
                     const struct command *command,
                     request_applied_fn *applied);

/* checks.c: whether the state is so big that it is looked at beside the loop.
 * A request is started once that is done, or its end is seen to. */
bool checks_is_big(const struct api_request *api);
void checks_start(struct node *node, struct request *request);
/* Before the request goes, or its link. */
void checks_forget(struct request *request);
void checks_close(struct node *node);

/* routes.c: starts a request where it is to be answered. */
void request_start(struct node *node, struct request *request);

/* Lets the request wait for a linearizable point; request_at_read() follows,
 * or a failure. Of the leader, or of a member that knows it. */
void request_read(struct node *node, struct request *request);
void request_at_read(struct node *node, struct request *request);
/* The point was not to be had: it waits for another leader, if that may come
 * soon. Route READ only. */
void request_retry_read(struct node *node, struct request *request);

/* Fails with an error that says that nothing was done; if something may have
 * been done before, it waits for a leader who knows. */
void request_fail_or_park(struct node *node, struct request *request, int err);

/* forwards.c */
/* Whether the member that was called does it, with the replicas themselves. */
bool forwards_is_own_work(const struct api_request *api);
/* Passes a call of ours on; its end is seen to. */
void forwards_pass(struct node *node, struct request *request,
                   struct link *leader);
/* To the member that passed a call on: ask the next leader. `is_lost`: it may
 * have been carried out. */
void forwards_decline(struct node *node, struct link *link, uint64_t number,
                      bool is_lost);
/* A call that another member passed on; an answer to one of ours (`shared`: the
 * bytes that it is in, if others may hold them); one of ours was not taken. */
int requests_forward(struct node *node, struct link *link,
                     struct bytes body) MUST_USE;
int requests_forwarded(struct node *node, struct bytes body,
                       struct blob *shared) MUST_USE;
int requests_not_taken(struct node *node, const struct link *link,
                       struct bytes body) MUST_USE;

/* Calls that were passed to a member which is gone; calls that wait for a
 * leader; whether there is another leader. */
void routes_member_lost(struct node *node, uint64_t member);
void routes_tick(struct node *node);
void routes_turn(struct node *node);

/* retries.c */
void retries_tick(struct node *node); /* our session */
/* A call of ours that changes something is known by its id from now on. */
void retries_give_id(struct node *node, struct request *request);
/* Whether it may be asked again without knowing what became of it. */
bool retries_may(const struct request *request);
/* Ends the request, or lets it wait, by what became of its command. False: it
 * was never applied. To be asked once all is applied that the log had. */
bool retries_answer(struct node *node, struct request *request);

/* Empties and gives the buffer for a result. */
struct buf *node_result(struct node *node);

/* queries.c: answered from memory. False if the type is not one of them, or
 * the answer is a state that states_get() must fetch. */
bool queries_answer(struct node *node, const struct api_request *api,
                    struct buf *result);

/* listings.c: its answers that are lists of sandboxes, names or copies. */
void listings_put(const struct node *node, const struct api_request *api,
                  struct buf *result);

/* sandboxes.c */
void sandboxes_create(struct node *node, struct request *request);
void sandboxes_create_at_read(struct node *node, struct request *request);
void sandboxes_stop(struct node *node, struct request *request);
/* Their commands were applied, now or before. */
void sandboxes_claimed(struct node *node, struct request *request,
                       const struct command_result *result);
void sandboxes_stopped(struct node *node, struct request *request,
                       const struct command_result *result);
/* The sandboxes that requests wait for are no more: nobody knows what became of
 * them. */
void sandboxes_leave(struct node *node);
void sandboxes_event(struct node *node, const struct command_event *event);

/* names.c */
void names_register(struct node *node, struct request *request);
void names_unregister(struct node *node, struct request *request);
void names_registered(struct node *node, struct request *request,
                      const struct command_result *result);
void names_unregistered(struct node *node, struct request *request,
                        const struct command_result *result);

/* execute.c: runs the function of a request whose caller is known. */
void execute_at_read(struct node *node, struct request *request);
/* INBOX_RESULT, from this link. */
void execute_result(struct node *node, const struct link *link,
                    const struct inbox_event *event);
/* The request is to be freed; what runs goes on. */
void execute_forget(struct node *node, struct request *request);
/* For a later answer, when the sandbox runs, or will not. */
void sandboxes_wait(struct node *node, struct request *request,
                    struct sandbox *sandbox);
/* Members for a state; how many. */
size_t sandboxes_choose_replicas(const struct node *node,
                                 const struct api_request *api,
                                 uint64_t *chosen);

/* The command that gives what was asked to be created to this worker; borrows
 * from both. */
struct command sandboxes_claim(const struct node *node,
                               const struct api_request *api,
                               struct bytes worker, uint64_t lease);

/* conflicts.c */
void conflicts_keep(struct node *node, struct request *request);
void conflicts_kept(struct node *node, struct request *request,
                    const struct command_result *result);
void conflicts_stored(struct node *node, struct request *request,
                      const struct state_completion *done);
void conflicts_read(struct node *node, struct request *request);
/* RESTORE_COPY, DISCARD_COPY, RESTORED. */
void conflicts_change(struct node *node, struct request *request);
void conflicts_changed(struct node *node, struct request *request,
                       const struct command_result *result);
void conflicts_look(struct node *node, struct request *request);

/* states.c */
void states_replicate(struct node *node, struct request *request);
void states_recover(struct node *node, struct request *request);
void states_get(struct node *node, struct request *request);
void states_completed(struct node *node, const struct state_completion *done);
void states_applied(struct node *node); /* the applied index grew */

/* Rings of node->pacing. */
enum pacing_ring { PACING_FRESH, PACING_MOVED, PACING_WAITED };

/* What a member remembers of a sandbox beside the registry. */
struct sandbox_note {
    struct sandbox *sandbox;   /* whose note it is */
    struct list waiters;       /* of struct request, by queue */
    struct list order_link;    /* in node->orders while one is unanswered */
    uint64_t order_due_ms;     /* when it is sent again */
    uint64_t sealing_epoch;    /* its state is being recovered; 0: not */
    uint64_t seen_clock;       /* the agent's clock when it said it runs this */
    uint64_t confirm_epoch;    /* the agent is asked whether it runs this; 0: is
                                  not */
    uint64_t prior_epoch;      /* available ones: the one that the last claim
                                  followed; 0: none, or not known */
    struct takeover *takeover; /* takeovers.c; NULL: none is under way */
    uint64_t placing_epoch;    /* leader: a PLACE of this epoch is proposed */
    uint64_t placing_term;     /* in this term */
    uint64_t place_after_ms;   /* leader: back-off after a failed start */
    uint64_t failed_lease;     /* where that was; 0: nowhere */
    struct list pace_link;     /* in a ring of node->pacing */
    uint64_t paced_ms;         /* since when */
    enum pacing_ring pacing_ring; /* in which */
};
struct sandbox_note *
sandbox_note(struct sandbox *sandbox); /* NULL: no memory */
void sandbox_note_free(struct node *node, struct sandbox *sandbox);
void pacing_leave(struct node *node, struct sandbox_note *note);

/* What a member remembers of a worker beside the registry. */
struct worker_note {
    struct bytes name;         /* owned */
    uint64_t renewed_ms;       /* when the last renewal was applied here */
    uint64_t expire_index;     /* an EXPIRE for this renewal is proposed */
    struct resources reserved; /* claims proposed and not applied */
    uint32_t reserved_count;
    uint16_t cpu_load_permille; /* measured */
    uint16_t memory_load_permille;
    uint64_t load_ms; /* when that was heard; 0: never */
};
struct worker_note *worker_note(struct node *node, struct worker *worker);
void worker_notes_close(struct node *node);

/* placing.c: a worker for this request; ERR_NO_CAPACITY: none, with the
 * verdicts in the view, which is valid until the next call. */
int placing_select(struct node *node, const struct placement_request *request,
                   struct placement_view *ret_view) MUST_USE;
void placing_reserve(struct node *node, struct worker *worker,
                     struct resources need);
void placing_unreserve(struct node *node, struct bytes worker,
                       struct resources need);

#endif
