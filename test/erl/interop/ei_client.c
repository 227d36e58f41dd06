/* SPDX-License-Identifier: Apache-2.0
 * A stock erl_interface node: does what docs/interop.md has rows for, and
 * prints `FEATURE yes` or `FEATURE no: why` for each.
 *   ei_client OWN_NAME COOKIE MEMBER PEER */
#include <ei.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 10000,
    TRIES = 400,
    TRY_US = 25000,
    BIG = 16 * 1024 * 1024,
    ATOM_CHARS = 255,
};

struct client {
    ei_cnode node;
    int member; /* connections */
    int peer;
    ei_x_buff request;
    ei_x_buff answer;
    int index; /* in the answer */
};

/* Waits for a message; what comes in between are ticks. */
static int receive(struct client *client, int fd)
{
    erlang_msg message;
    int got;
    int version;

    client->answer.index = 0;
    client->index = 0;
    do {
        got = ei_xreceive_msg_tmo(fd, &message, &client->answer, TIMEOUT_MS);
    } while (got == ERL_TICK);
    return got == ERL_MSG && ei_decode_version(client->answer.buff,
                                               &client->index, &version) == 0
               ? 0
               : -1;
}

/* {'$gen_call', {Self, Tag}, ...}: the request follows. */
static int begin_call(struct client *client, erlang_ref *tag)
{
    ei_x_buff *request = &client->request;

    request->index = 0;
    return ei_make_ref(&client->node, tag) || ei_x_encode_version(request) ||
           ei_x_encode_tuple_header(request, 3) ||
           ei_x_encode_atom(request, "$gen_call") ||
           ei_x_encode_tuple_header(request, 2) ||
           ei_x_encode_pid(request, ei_self(&client->node)) ||
           ei_x_encode_ref(request, tag);
}

/* {Module, Function, ...}: the list of arguments follows. */
static int put_function(struct client *client, const char *module,
                        const char *function)
{
    return ei_x_encode_tuple_header(&client->request, 3) ||
           ei_x_encode_atom(&client->request, module) ||
           ei_x_encode_atom(&client->request, function);
}

/* Sends what was begun; leaves the answer behind its tag. */
static int finish_call(struct client *client, int fd, const char *server,
                       erlang_ref *tag)
{
    char name[16];
    erlang_ref answered;
    int arity;

    (void)snprintf(name, sizeof(name), "%s", server);
    return ei_reg_send_tmo(&client->node, fd, name, client->request.buff,
                           client->request.index, TIMEOUT_MS) ||
           receive(client, fd) ||
           ei_decode_tuple_header(client->answer.buff, &client->index,
                                  &arity) ||
           arity != 2 ||
           ei_decode_ref(client->answer.buff, &client->index, &answered) ||
           ei_cmp_refs(tag, &answered) != 0;
}

static int call(struct client *client, int fd, const char *module,
                const char *function)
{
    erlang_ref tag;

    return begin_call(client, &tag) || put_function(client, module, function) ||
           ei_x_encode_empty_list(&client->request) ||
           finish_call(client, fd, "quorate", &tag);
}

static int is_version(const struct client *client, int index)
{
    char text[16];
    long size;

    return ei_decode_binary(client->answer.buff, &index, text, &size) == 0 &&
           size == 5 && memcmp(text, "0.1.0", 5) == 0;
}

/* Echoes a term and compares its bytes. */
static int echo(struct client *client, const ei_x_buff *term)
{
    erlang_ref tag;

    return begin_call(client, &tag) || put_function(client, "t", "echo") ||
           ei_x_encode_list_header(&client->request, 1) ||
           ei_x_append_buf(&client->request, term->buff, term->index) ||
           ei_x_encode_empty_list(&client->request) ||
           finish_call(client, client->peer, "quorate", &tag) ||
           client->answer.index - client->index < term->index ||
           memcmp(client->answer.buff + client->index, term->buff,
                  (size_t)term->index) != 0;
}

/* --- Features: 0 if it is so ---------------------------------------------- */

/* What net_adm:ping/1 asks. */
static int ping(struct client *client)
{
    erlang_ref tag;
    char answer[MAXATOMLEN];

    return begin_call(client, &tag) ||
           ei_x_encode_tuple_header(&client->request, 2) ||
           ei_x_encode_atom(&client->request, "is_auth") ||
           ei_x_encode_atom(&client->request, ei_thisnodename(&client->node)) ||
           finish_call(client, client->member, "net_kernel", &tag) ||
           ei_decode_atom(client->answer.buff, &client->index, answer) ||
           strcmp(answer, "yes") != 0;
}

static int gen_call(struct client *client)
{
    return call(client, client->member, "quorate", "version") ||
           !is_version(client, client->index);
}

/* A cast has no answer; what it does is seen. */
static int gen_cast(struct client *client)
{
    static const char id[] = "by erl_interface";
    char name[] = "quorate";
    ei_x_buff *request = &client->request;
    erlang_ref tag;
    char word[MAXATOMLEN];
    int arity;

    request->index = 0;
    if (ei_x_encode_version(request) || ei_x_encode_tuple_header(request, 2) ||
        ei_x_encode_atom(request, "$gen_cast") ||
        put_function(client, "quorate", "create_sandbox") ||
        ei_x_encode_list_header(request, 3) ||
        ei_x_encode_binary(request, id, (int)strlen(id)) ||
        ei_x_encode_tuple_header(request, 3) ||
        ei_x_encode_atom(request, "erlang") ||
        ei_x_encode_atom(request, "not_there") ||
        ei_x_encode_empty_list(request) || ei_x_encode_map_header(request, 0) ||
        ei_x_encode_empty_list(request) ||
        ei_reg_send_tmo(&client->node, client->member, name, request->buff,
                        request->index, TIMEOUT_MS)) {
        return -1;
    }
    for (int i = 0; i < TRIES; i++) {
        if (begin_call(client, &tag) ||
            put_function(client, "quorate", "sandbox") ||
            ei_x_encode_list_header(request, 1) ||
            ei_x_encode_binary(request, id, (int)strlen(id)) ||
            ei_x_encode_empty_list(request) ||
            finish_call(client, client->member, "quorate", &tag) ||
            ei_decode_tuple_header(client->answer.buff, &client->index,
                                   &arity) ||
            ei_decode_atom(client->answer.buff, &client->index, word)) {
            return -1;
        }
        if (strcmp(word, "ok") == 0) {
            return 0;
        }
        (void)usleep(TRY_US);
    }
    return -1;
}

/* By the library's own ei_rpc(). */
static int rex_call(struct client *client)
{
    char module[] = "quorate";
    char function[] = "version";
    ei_x_buff args;
    int rv;

    client->answer.index = 0;
    rv = ei_x_new(&args) || ei_x_encode_empty_list(&args) ||
         ei_rpc(&client->node, client->member, module, function, args.buff,
                args.index, &client->answer) < 0 ||
         !is_version(client, 0);
    (void)ei_x_free(&args);
    return rv;
}

static int rpc_block_call(struct client *client)
{
    ei_x_buff *request = &client->request;
    erlang_ref tag;

    return begin_call(client, &tag) || ei_x_encode_tuple_header(request, 5) ||
           ei_x_encode_atom(request, "block_call") ||
           ei_x_encode_atom(request, "quorate") ||
           ei_x_encode_atom(request, "version") ||
           ei_x_encode_empty_list(request) ||
           ei_x_encode_pid(request, ei_self(&client->node)) ||
           finish_call(client, client->member, "rex", &tag) ||
           !is_version(client, client->index);
}

/* {error, {undef, {no, such, 0}}} */
static int undefined(struct client *client)
{
    char word[MAXATOMLEN];
    int arity;

    return call(client, client->member, "no", "such") ||
           ei_decode_tuple_header(client->answer.buff, &client->index,
                                  &arity) ||
           ei_decode_atom(client->answer.buff, &client->index, word) ||
           strcmp(word, "error") != 0 ||
           ei_decode_tuple_header(client->answer.buff, &client->index,
                                  &arity) ||
           ei_decode_atom(client->answer.buff, &client->index, word) ||
           strcmp(word, "undef") != 0;
}

/* The answer comes as a message to our pid. */
static int messages(struct client *client)
{
    char nobody[] = "nobody_here";
    char word[MAXATOMLEN];
    ei_x_buff *request = &client->request;
    erlang_ref tag;
    int version;

    request->index = 0;
    if (ei_x_encode_version(request) || ei_x_encode_atom(request, "hello") ||
        ei_reg_send_tmo(&client->node, client->peer, nobody, request->buff,
                        request->index, TIMEOUT_MS) ||
        begin_call(client, &tag) || put_function(client, "t", "send") ||
        ei_x_encode_list_header(request, 2) ||
        ei_x_encode_pid(request, ei_self(&client->node)) ||
        ei_x_encode_atom(request, "here") || ei_x_encode_empty_list(request)) {
        return -1;
    }
    /* The message may come before the answer or after it. */
    if (finish_call(client, client->peer, "quorate", &tag) == 0) {
        return receive(client, client->peer) ||
               ei_decode_atom(client->answer.buff, &client->index, word) ||
               strcmp(word, "here") != 0;
    }
    client->index = 0;
    return ei_decode_version(client->answer.buff, &client->index, &version) ||
           ei_decode_atom(client->answer.buff, &client->index, word) ||
           strcmp(word, "here") != 0 || receive(client, client->peer);
}

static int terms(struct client *client)
{
    ei_x_buff term;
    int rv = ei_x_new(&term) || ei_x_encode_tuple_header(&term, 7) ||
             ei_x_encode_longlong(&term, INT64_MIN) ||
             ei_x_encode_ulonglong(&term, UINT64_MAX) ||
             ei_x_encode_double(&term, 1.5) ||
             ei_x_encode_string(&term, "text") ||
             ei_x_encode_binary(&term, "bytes", 5) ||
             ei_x_encode_map_header(&term, 1) ||
             ei_x_encode_atom(&term, "key") || ei_x_encode_long(&term, 1) ||
             ei_x_encode_list_header(&term, 2) || ei_x_encode_long(&term, 1) ||
             ei_x_encode_atom(&term, "two") || ei_x_encode_atom(&term, "tail");

    rv = rv || echo(client, &term);
    (void)ei_x_free(&term);
    return rv;
}

static int identifiers(struct client *client)
{
    ei_x_buff term;
    erlang_ref reference;
    int rv = ei_x_new(&term) || ei_make_ref(&client->node, &reference) ||
             ei_x_encode_tuple_header(&term, 2) ||
             ei_x_encode_pid(&term, ei_self(&client->node)) ||
             ei_x_encode_ref(&term, &reference);

    rv = rv || echo(client, &term);
    (void)ei_x_free(&term);
    return rv;
}

static int atoms(struct client *client)
{
    char text[3 * ATOM_CHARS + 1] = "";
    ei_x_buff term;
    int rv;

    for (int i = 0; i < ATOM_CHARS; i++) {
        memcpy(text + (size_t)3 * i, "\xe2\x82\xac", 4);
    }
    rv = ei_x_new(&term) ||
         ei_x_encode_atom_len_as(&term, text, (int)strlen(text), ERLANG_UTF8,
                                 ERLANG_UTF8) ||
         echo(client, &term);
    (void)ei_x_free(&term);
    return rv;
}

static int big_values(struct client *client)
{
    void *data = calloc(1, BIG);
    ei_x_buff term;
    int rv = ei_x_new(&term) || ei_x_encode_binary(&term, data, BIG) ||
             echo(client, &term);

    (void)ei_x_free(&term);
    free(data);
    return rv;
}

static int open_node(ei_cnode *node, const char *name, const char *cookie)
{
    struct in_addr loopback = {.s_addr = htonl(INADDR_LOOPBACK)};
    char host[] = "127.0.0.1";
    char alive[64];

    (void)snprintf(alive, sizeof(alive), "%.*s", (int)strcspn(name, "@"), name);
    return ei_connect_xinit(node, host, alive, name, (Erl_IpAddr)&loopback,
                            cookie, 1);
}

static const char *peer_name;

static int wrong_cookie(struct client *client)
{
    ei_cnode stranger;
    char name[64];
    int fd;

    (void)client;
    (void)snprintf(name, sizeof(name), "%s", peer_name);
    if (open_node(&stranger, "stranger_c@127.0.0.1", "another") < 0) {
        return -1;
    }
    fd = ei_connect_tmo(&stranger, name, TIMEOUT_MS);
    return fd < 0 ? 0 : -1;
}

static const struct {
    const char *name;
    int (*run)(struct client *client);
} features[] = {
    {"ping", ping},
    {"gen_call", gen_call},
    {"gen_cast", gen_cast},
    {"rex_call", rex_call},
    {"rpc_block_call", rpc_block_call},
    {"undefined", undefined},
    {"messages", messages},
    {"terms", terms},
    {"identifiers", identifiers},
    {"atoms", atoms},
    {"big_values", big_values},
    {"wrong_cookie", wrong_cookie},
};

int main(int argc, char *argv[])
{
    static struct client client;

    if (argc != 5 || ei_init() != 0 ||
        open_node(&client.node, argv[1], argv[2]) < 0 ||
        ei_x_new(&client.request) != 0 || ei_x_new(&client.answer) != 0) {
        (void)fprintf(stderr, "this node cannot be made\n");
        return 1;
    }
    client.member = ei_connect_tmo(&client.node, argv[3], TIMEOUT_MS);
    client.peer = ei_connect_tmo(&client.node, argv[4], TIMEOUT_MS);
    if (client.member < 0 || client.peer < 0) {
        (void)fprintf(stderr, "no connection: %d\n", erl_errno);
        return 1;
    }
    peer_name = argv[4];
    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        int rv = features[i].run(&client);

        (void)printf("%s %s\n", features[i].name,
                     rv == 0 ? "yes" : "no: it went wrong");
        (void)fflush(stdout);
    }
    return 0;
}
