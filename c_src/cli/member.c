/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/member.h"

#include "base/err.h"
#include "cli/json.h"
#include "etf/reader.h"
#include "etf/writer.h"

bool member_is_command(enum options_command command)
{
    return command == OPTIONS_MEMBER_ADD || command == OPTIONS_MEMBER_REMOVE ||
           command == OPTIONS_MEMBER_TRANSFER;
}

static const char *function_of(enum options_command command)
{
    if (command == OPTIONS_MEMBER_ADD) {
        return "add_member";
    }
    return command == OPTIONS_MEMBER_REMOVE ? "remove_member"
                                            : "transfer_leadership";
}

void member_put_call(struct buf *buf, const struct options *options)
{
    bool is_add = options->command == OPTIONS_MEMBER_ADD;

    etf_put_tuple(buf, 3);
    etf_put_atom(buf, "quorum_manager");
    etf_put_atom(buf, function_of(options->command));
    etf_put_list(buf, 2);
    etf_put_string_binary(buf, options->subject.name);
    etf_put_map(buf, is_add ? 2 : 1);
    etf_put_atom(buf, "timeout");
    /* The member is to answer before we give up. */
    etf_put_u64(buf, options->timeout_ms - options->timeout_ms / 10);
    if (is_add) {
        etf_put_atom(buf, "address");
        etf_put_string_binary(buf, options->subject.address.text);
    }
    etf_put_nil(buf);
}

static int render_json(struct buf *text, const char *key, struct bytes value)
{
    int rv;

    buf_printf(text, "{\"schema\":\"quorate.member/1\",\"%s\":", key);
    rv = json_put_term(text, value);
    buf_printf(text, "}\n");
    return rv != 0 ? rv : buf_error(text);
}

static int render_leader(struct buf *text, struct bytes leader)
{
    struct etf_reader reader = etf_reader_of(leader);
    int rv;

    buf_printf(text, "LEADER\n");
    rv = json_put_plain(text, &reader);
    buf_put_u8(text, '\n');
    return rv != 0 ? rv : buf_error(text);
}

int member_render(struct buf *text, enum options_output output,
                  struct bytes raw)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct etf_list list;
    struct bytes value;
    struct bytes leader;
    bool has_more = false;
    bool is_leader;
    int rv = etf_read_tuple_of(&reader, 2);

    if (rv != 0 || !etf_take_atom(&reader, "ok") ||
        etf_read_raw(&reader, &value) != 0) {
        return ERR_MALFORMED;
    }
    reader = etf_reader_of(value);
    is_leader = etf_read_atom(&reader, &leader) == 0;
    if (output == OPTIONS_JSON) {
        return render_json(text, is_leader ? "leader" : "voters", value);
    }
    if (is_leader) {
        return render_leader(text, value);
    }
    reader = etf_reader_of(value);
    rv = etf_list_begin(&reader, &list);
    rv = rv != 0 ? rv : etf_list_next(&list, &has_more);
    buf_printf(text, "VOTERS\n");
    while (rv == 0 && has_more) {
        rv = json_put_plain(text, &list.element);
        buf_put_u8(text, '\n');
        rv = rv != 0 ? rv : etf_list_next(&list, &has_more);
    }
    return rv != 0 ? rv : buf_error(text);
}

static const struct advice {
    const char *reason;
    const char *detail; /* of {Reason, Detail}; "": any; NULL: Reason alone */
    enum cli_exit exit;
    const char *text;
} advices[] = {
    {"already_member", NULL, CLI_EXIT_CONFIG,
     "it is a voter already; see `quorate members`"},
    {"not_found", NULL, CLI_EXIT_CONFIG,
     "there is no such member; see `quorate members`"},
    {"last_member", NULL, CLI_EXIT_CONFIG,
     "it is the only voter; add another one first"},
    {"limit", NULL, CLI_EXIT_CONFIG,
     "there are 7 voters, the most; remove one first"},
    {"forbidden", NULL, CLI_EXIT_CONFIG,
     "a `role` setting or the certificate does not allow it; use the settings "
     "of a member"},
    {"unreachable", NULL, CLI_EXIT_TEMPFAIL,
     "nobody of that name answers there; start it with --join, and see that "
     "the leader can reach its address with the same cookie"},
    {"stalled", NULL, CLI_EXIT_TEMPFAIL,
     "it stopped taking the log; see whether it runs and what it logs, then "
     "try again"},
    {"too_slow", NULL, CLI_EXIT_TEMPFAIL,
     "it cannot keep up with the log; see its disk and network, then try "
     "again at a quieter time"},
    {"busy", NULL, CLI_EXIT_TEMPFAIL,
     "another change of members is under way, or a leader has just been "
     "elected; try again"},
    {"no_quorum", NULL, CLI_EXIT_TEMPFAIL,
     "no majority can be reached, nothing was changed; try again"},
    {"timeout", NULL, CLI_EXIT_TEMPFAIL,
     "nobody knows whether it was done; see `quorate members`, then try "
     "again"},
    {"not_a_voter", NULL, CLI_EXIT_CONFIG,
     "only a voter can lead; see `quorate members`"},
    {"not_up", NULL, CLI_EXIT_TEMPFAIL,
     "the leader has no link to it; see whether it runs, then try again"},
    {"not_taken_over", NULL, CLI_EXIT_TEMPFAIL,
     "it did not take over in time, and another one leads; nothing was lost; "
     "see whether it keeps up, then try again"},
    {"holds_states", "", CLI_EXIT_CONFIG,
     "too few replicas of so many sandboxes would be left; add members and "
     "create those sandboxes anew, or stop them, first"},
    {"refused", "other_cluster", CLI_EXIT_CONFIG,
     "it is a member of another cluster; start it with an empty --data-dir "
     "and --join"},
    {"refused", "lost_disk", CLI_EXIT_CONFIG,
     "the member of this name had another data directory; remove it, then "
     "add it"},
    {"refused", "unknown_member", CLI_EXIT_CONFIG,
     "it waits for another cluster, or for none; start it with an empty "
     "--data-dir and --join naming a member that runs"},
};

static bool is_reason(struct bytes raw, const struct advice *advice)
{
    struct etf_reader reader = etf_reader_of(raw);

    if (etf_read_tuple_of(&reader, 2) != 0 ||
        !etf_take_atom(&reader, "error")) {
        return false;
    }
    if (advice->detail == NULL) {
        return etf_take_atom(&reader, advice->reason);
    }
    return etf_read_tuple_of(&reader, 2) == 0 &&
           etf_take_atom(&reader, advice->reason) &&
           (advice->detail[0] == '\0' ||
            etf_take_atom(&reader, advice->detail));
}

const char *member_advice(struct bytes raw, enum cli_exit *ret_exit)
{
    for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
        if (is_reason(raw, &advices[i])) {
            *ret_exit = advices[i].exit;
            return advices[i].text;
        }
    }
    *ret_exit = CLI_EXIT_TEMPFAIL;
    return "try again";
}
