/* SPDX-License-Identifier: Apache-2.0
 * Looks into messages. They have passed the validator, so what is found here
 * is only ever another term than the one awaited. */
#include "dist/message.h"

#include "base/err.h"

/* A proper list as raw bytes, with the number of its elements. */
static int read_args(struct etf_reader *reader, struct call *call)
{
    const uint8_t *begin = reader->cursor.next;
    struct etf_list list;
    uint32_t count = 0;
    bool has_more = false;
    int rv;

    rv = etf_list_begin(reader, &list);
    list.spans = call->spans;
    rv = rv != 0 ? rv : etf_list_next(&list, &has_more);
    while (rv == 0 && has_more) {
        count++;
        rv = etf_list_next(&list, &has_more);
    }
    if (rv == 0) {
        call->args = bytes_of(begin, (size_t)(reader->cursor.next - begin));
        call->arity = count;
    }
    return rv;
}

int message_read_mfa(struct etf_reader *reader, struct call *call)
{
    int rv = etf_read_atom(reader, &call->module);

    rv = rv != 0 ? rv : etf_read_atom(reader, &call->function);
    rv = rv != 0 ? rv : read_args(reader, call);
    return rv;
}

enum message_form message_read(struct bytes message, struct call *call,
                               struct etf_reader *request)
{
    struct etf_reader reader = etf_reader_of(message);
    enum etf_type type;
    uint32_t arity;

    *request = reader;
    if (etf_read_tuple(&reader, &arity) != 0) {
        return MESSAGE_PLAIN;
    }
    if (arity == 2 && etf_take_atom(&reader, "$gen_cast")) {
        *request = reader;
        return MESSAGE_CAST;
    }
    if (arity != 3 || !etf_take_atom(&reader, "$gen_call")) {
        return MESSAGE_PLAIN;
    }
    if (etf_read_tuple_of(&reader, 2) != 0 || etf_peek(&reader, &type) != 0 ||
        type != ETF_PID || etf_read_raw(&reader, &call->from) != 0 ||
        etf_read_raw(&reader, &call->tag) != 0) {
        return MESSAGE_BAD;
    }
    call->kind = CALL_GEN;
    *request = reader;
    return MESSAGE_CALL;
}

bool message_read_rex(struct etf_reader *reader, const char *verb,
                      struct call *call)
{
    return etf_read_tuple_of(reader, 5) == 0 && etf_take_atom(reader, verb) &&
           message_read_mfa(reader, call) == 0;
}

/* The next element of a list that must have one. */
static int next_element(struct etf_list *list)
{
    bool has_more = false;
    int rv = etf_list_next(list, &has_more);

    return rv == 0 && !has_more ? ERR_BADARG : rv;
}

int message_read_spawn(struct bytes payload, bool has_result, struct call *call)
{
    struct etf_reader reader = etf_reader_of(payload);
    struct etf_list list;
    bool has_more = false;
    int rv = etf_list_begin(&reader, &list);

    list.spans = call->spans;
    if (has_result) {
        rv = rv != 0 ? rv : next_element(&list);
        rv = rv != 0 ? rv : etf_read_raw(&list.element, &call->result);
    }
    rv = rv != 0 ? rv : next_element(&list);
    rv = rv != 0 ? rv : etf_read_atom(&list.element, &call->module);
    rv = rv != 0 ? rv : next_element(&list);
    rv = rv != 0 ? rv : etf_read_atom(&list.element, &call->function);
    rv = rv != 0 ? rv : next_element(&list);
    rv = rv != 0 ? rv : read_args(&list.element, call);
    rv = rv != 0 ? rv : etf_list_next(&list, &has_more);
    return rv == 0 && has_more ? ERR_BADARG : rv;
}

int message_read_args(struct bytes payload, uint64_t arity, struct call *call)
{
    struct etf_reader reader = etf_reader_of(payload);
    int rv = read_args(&reader, call);

    return rv == 0 && call->arity != arity ? ERR_BADARG : rv;
}
