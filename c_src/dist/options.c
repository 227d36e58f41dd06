/* SPDX-License-Identifier: Apache-2.0
 * Looks through the options of a spawn request. Those about priorities and
 * heaps are checked for their form and mean nothing here; how replies are to
 * be given is the business of the caller's machine. */
#include "dist/options.h"

/* {Name, Value} with a value of a known kind. */
enum value_kind {
    VALUE_ANY, /* checked by the caller's machine, which sent it */
    VALUE_ATOM,
    VALUE_INTEGER,
    VALUE_LIST,
};

static const struct {
    const char *name;
    enum value_kind kind;
} pairs[] = {
    {"link", VALUE_LIST},
    {"monitor", VALUE_LIST},
    {"priority", VALUE_ATOM},
    {"fullsweep_after", VALUE_INTEGER},
    {"min_heap_size", VALUE_INTEGER},
    {"min_bin_vheap_size", VALUE_INTEGER},
    {"max_heap_size", VALUE_ANY}, /* an integer or a map */
    {"message_queue_data", VALUE_ATOM},
    {"async_dist", VALUE_ATOM},
    {"scheduler", VALUE_INTEGER},
    {"reply", VALUE_ATOM},
    {"reply_tag", VALUE_ANY},
};

static bool is_value(struct etf_reader reader, enum value_kind kind)
{
    enum etf_type type;

    if (etf_peek(&reader, &type) != 0) {
        return false;
    }
    switch (kind) {
    case VALUE_ANY:
        return true;
    case VALUE_ATOM:
        return type == ETF_ATOM;
    case VALUE_INTEGER:
        return type == ETF_INTEGER;
    case VALUE_LIST:
        return type == ETF_NIL || type == ETF_LIST;
    }
    return false;
}

/* The name of an option with a value; NULL if there is no such option. */
static const char *find_pair(struct etf_reader option)
{
    if (etf_read_tuple_of(&option, 2) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (etf_take_atom(&option, pairs[i].name)) {
            return is_value(option, pairs[i].kind) ? pairs[i].name : NULL;
        }
    }
    return NULL;
}

static void look_at(struct etf_reader option, struct spawn_options *options)
{
    const char *name;

    if (etf_take_atom(&option, "link")) {
        options->is_linked = true;
        return;
    }
    if (etf_take_atom(&option, "monitor")) {
        options->is_monitored = true;
        return;
    }
    name = find_pair(option);
    if (name == NULL) {
        options->is_bad = true;
    } else if (name == pairs[0].name) {
        options->is_linked = true;
    } else if (name == pairs[1].name) {
        options->is_monitored = true;
    }
}

int spawn_options_read(struct etf_reader *reader,
                       struct spawn_options *ret_options)
{
    struct spawn_options options = {0};
    struct etf_reader copy = *reader;
    struct etf_list list;
    bool has_more = false;
    int rv = etf_list_begin(&copy, &list);

    rv = rv != 0 ? rv : etf_list_next(&list, &has_more);
    while (rv == 0 && has_more) {
        look_at(list.element, &options);
        rv = etf_list_next(&list, &has_more);
    }
    if (rv == 0) {
        *reader = copy;
        *ret_options = options;
    }
    return rv;
}
