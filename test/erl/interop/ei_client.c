/* SPDX-License-Identifier: Apache-2.0
 * A stock erl_interface client: connects as any C node does, makes one
 * gen_server call and one call by rex, and prints what they give.
 *   ei_client OWN_NAME COOKIE MEMBER */
#include <ei.h>
#include <stdio.h>
#include <string.h>

enum { TIMEOUT_MS = 5000 };

static int encode_call(ei_x_buff *request, erlang_pid *self, erlang_ref *tag)
{
    return ei_x_new_with_version(request) ||
           ei_x_encode_tuple_header(request, 3) ||
           ei_x_encode_atom(request, "$gen_call") ||
           ei_x_encode_tuple_header(request, 2) ||
           ei_x_encode_pid(request, self) || ei_x_encode_ref(request, tag) ||
           ei_x_encode_tuple_header(request, 3) ||
           ei_x_encode_atom(request, "quorate") ||
           ei_x_encode_atom(request, "version") ||
           ei_x_encode_empty_list(request);
}

/* Waits for the answer; what comes in between are ticks. */
static int receive(int fd, ei_x_buff *answer)
{
    erlang_msg message;
    int got;

    do {
        got = ei_xreceive_msg_tmo(fd, &message, answer, TIMEOUT_MS);
    } while (got == ERL_TICK);
    return got == ERL_MSG ? 0 : -1;
}

static int print_binary(const char *what, const char *data, int *index)
{
    char text[256];
    int type;
    int size;
    long got;

    if (ei_get_type(data, index, &type, &size) != 0 || type != ERL_BINARY_EXT ||
        size >= (int)sizeof(text) ||
        ei_decode_binary(data, index, text, &got) != 0) {
        return -1;
    }
    text[got] = '\0';
    (void)printf("%s %s\n", what, text);
    return 0;
}

static int gen_call(ei_cnode *node, int fd)
{
    char server[] = "quorate";
    ei_x_buff request;
    ei_x_buff answer;
    erlang_ref tag;
    erlang_ref answer_tag;
    int version;
    int arity;
    int index = 0;

    if (ei_make_ref(node, &tag) != 0 || ei_x_new(&answer) != 0 ||
        encode_call(&request, ei_self(node), &tag) != 0 ||
        ei_reg_send_tmo(node, fd, server, request.buff, request.index,
                        TIMEOUT_MS) != 0 ||
        receive(fd, &answer) != 0 ||
        ei_decode_version(answer.buff, &index, &version) != 0 ||
        ei_decode_tuple_header(answer.buff, &index, &arity) != 0 ||
        arity != 2 || ei_decode_ref(answer.buff, &index, &answer_tag) != 0 ||
        ei_cmp_refs(&tag, &answer_tag) != 0) {
        return -1;
    }
    return print_binary("gen_call", answer.buff, &index);
}

static int rex_call(ei_cnode *node, int fd)
{
    char module[] = "quorate";
    char function[] = "version";
    ei_x_buff args;
    ei_x_buff answer;
    int index = 0;

    if (ei_x_new(&args) != 0 || ei_x_encode_empty_list(&args) != 0 ||
        ei_x_new(&answer) != 0 ||
        ei_rpc(node, fd, module, function, args.buff, args.index, &answer) <
            0) {
        return -1;
    }
    return print_binary("rpc", answer.buff, &index);
}

int main(int argc, char *argv[])
{
    struct in_addr loopback = {.s_addr = htonl(INADDR_LOOPBACK)};
    char host[] = "127.0.0.1";
    ei_cnode node;
    char alive[64];
    int fd;

    if (argc != 4 ||
        snprintf(alive, sizeof(alive), "%.*s", (int)strcspn(argv[1], "@"),
                 argv[1]) < 1 ||
        ei_init() != 0 ||
        ei_connect_xinit(&node, host, alive, argv[1], (Erl_IpAddr)&loopback,
                         argv[2], 1) < 0) {
        (void)fprintf(stderr, "this node cannot be made\n");
        return 1;
    }
    fd = ei_connect_tmo(&node, argv[3], TIMEOUT_MS);
    if (fd < 0) {
        (void)fprintf(stderr, "no connection: %d\n", erl_errno);
        return 1;
    }
    if (gen_call(&node, fd) != 0 || rex_call(&node, fd) != 0) {
        (void)fprintf(stderr, "no answer: %d\n", erl_errno);
        return 1;
    }
    return 0;
}
