/* SPDX-License-Identifier: Apache-2.0
 * A row for each entry, and for each record that cuts the log, begins it anew
 * or holds a term or vote alone; in the order in which they were written. */
#include "cli/log_show.h"

#include "base/err.h"
#include "cli/json.h"
#include "command/command.h"
#include "raft/membership.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    FILE_COLUMNS = 6,
    ROW_COLUMNS = 7,
    TEXT_SIZE_MAX = 64 * 1024 * 1024, /* bytes */
    DETAIL_SIZE_MAX = 1024,           /* bytes */
    PAIR = 2,                         /* columns: what, and its value */
    KINDS = COMMAND_RESTORED + 1,
};

/* What is shown in one row. */
struct row {
    const char *type;
    uint64_t index; /* 0: none */
    uint64_t term;
    size_t size;
    const struct wal_walk_record *record;
    struct buf detail; /* a text, or the members of an object */
};

static const char *const kinds[KINDS] = {
    [COMMAND_ATTACH] = "attach",
    [COMMAND_RENEW] = "renew",
    [COMMAND_EXPIRE] = "expire",
    [COMMAND_RELEASE] = "release",
    [COMMAND_CLAIM] = "claim",
    [COMMAND_PLACE] = "place",
    [COMMAND_STARTED] = "started",
    [COMMAND_FAILED] = "failed",
    [COMMAND_STOP] = "stop",
    [COMMAND_STOPPED] = "stopped",
    [COMMAND_REGISTER] = "register",
    [COMMAND_UNREGISTER] = "unregister",
    [COMMAND_PUT_MEMBER] = "put_member",
    [COMMAND_DROP_MEMBER] = "drop_member",
    [COMMAND_OPEN_SESSION] = "open_session",
    [COMMAND_RECOVER] = "recover",
    [COMMAND_RESUME] = "resume",
    [COMMAND_KEEP] = "keep",
    [COMMAND_DISCARD] = "discard",
    [COMMAND_RESTORE] = "restore",
    [COMMAND_RESTORED] = "restored",
};

void log_show_init(struct log_show *show, enum options_output form,
                   uint64_t from, uint64_t limit)
{
    *show = (struct log_show){.form = form, .from = from, .limit = limit};
    columns_init(&show->files, FILE_COLUMNS);
    columns_init(&show->rows, ROW_COLUMNS);
    buf_init(&show->file_texts, TEXT_SIZE_MAX);
    buf_init(&show->row_texts, TEXT_SIZE_MAX);
}

void log_show_close(struct log_show *show)
{
    columns_close(&show->files);
    columns_close(&show->rows);
    buf_close(&show->file_texts);
    buf_close(&show->row_texts);
}

static void PRINTF_LIKE(2, 3)
    put_cell(struct columns *columns, const char *format, ...)
{
    char text[DETAIL_SIZE_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    columns_put(columns, text);
}

/* A number, or "-" if it is 0. */
static void put_number_cell(struct columns *columns, uint64_t number)
{
    put_cell(columns, number == 0 ? "-" : "%" PRIu64, number);
}

/* --- Rows ---------------------------------------------------------------- */

static void put_row(struct log_show *show, const struct row *row)
{
    struct buf *text = &show->row_texts;
    struct bytes detail = buf_bytes(&row->detail);

    if (show->row_count >= show->limit) {
        show->row_count_more++;
        return;
    }
    if (show->form == OPTIONS_JSON) {
        buf_printf(text,
                   "%s{\"type\":\"%s\",\"index\":%" PRIu64 ",\"term\":%" PRIu64
                   ",\"size\":%zu,\"record\":%" PRIu64 ",\"file\":%" PRIu64
                   ",\"offset\":%zu",
                   show->row_count > 0 ? "," : "", row->type, row->index,
                   row->term, row->size, row->record->record->sequence,
                   row->record->number, row->record->offset);
        if (detail.size > 0) {
            buf_put_u8(text, ',');
            buf_put_bytes(text, detail);
        }
        buf_put_u8(text, '}');
    } else {
        put_number_cell(&show->rows, row->index);
        put_number_cell(&show->rows, row->term);
        columns_put(&show->rows, row->type);
        put_number_cell(&show->rows, row->size);
        put_number_cell(&show->rows, row->record->number);
        put_number_cell(&show->rows, row->record->offset);
        buf_put_bytes(&show->rows.text, detail);
        columns_end_cell(&show->rows);
    }
    show->row_count++;
}

/* Counts the commands of a batch; whether all of it was understood. */
static bool count_kinds(struct bytes data, uint64_t counts[KINDS])
{
    struct cursor batch = cursor_of(data);
    struct command command;
    int rv;

    while ((rv = command_decode(&batch, &command)) == 0) {
        counts[command.type]++;
    }
    return rv == ERR_NOT_FOUND;
}

static void describe_commands(struct log_show *show,
                              const struct raft_entry *entry,
                              struct buf *detail)
{
    bool is_json = show->form == OPTIONS_JSON;
    uint64_t counts[KINDS] = {0};
    bool is_good = count_kinds(entry->data, counts);
    bool is_first = true;

    buf_printf(detail, is_json ? "\"commands\":{" : "");
    for (int i = 0; i < KINDS; i++) {
        if (counts[i] > 0) {
            buf_printf(detail, is_json ? "%s\"%s\":%" PRIu64 : "%s%s %" PRIu64,
                       is_first ? "" : (is_json ? "," : ", "), kinds[i],
                       counts[i]);
            is_first = false;
        }
    }
    buf_printf(detail, is_json ? "}" : "");
    if (!is_good) {
        show->bad_index = show->bad_index != 0 ? show->bad_index : entry->index;
        buf_printf(detail, is_json ? ",\"understood\":false"
                                   : " (not all is understood)");
    }
}

static void describe_members(struct log_show *show,
                             const struct raft_entry *entry, struct buf *detail)
{
    struct raft_membership membership;
    bool is_json = show->form == OPTIONS_JSON;

    if (membership_decode(entry->data, &membership) != 0) {
        show->bad_index = show->bad_index != 0 ? show->bad_index : entry->index;
        buf_printf(detail, is_json ? "\"understood\":false" : "not understood");
        return;
    }
    buf_printf(detail,
               is_json ? "\"voters\":%" PRIu32 ",\"voters_old\":%" PRIu32
                         ",\"learners\":%" PRIu32
                       : "voters %" PRIu32 ", leaving %" PRIu32
                         ", learners %" PRIu32,
               membership.voter_count, membership.voter_old_count,
               membership.learner_count);
}

static void show_entry(struct log_show *show,
                       const struct wal_walk_record *record,
                       const struct raft_entry *entry)
{
    struct row row = {.index = entry->index,
                      .term = entry->term,
                      .size = entry->data.size,
                      .record = record};

    buf_init(&row.detail, DETAIL_SIZE_MAX);
    switch (entry->type) {
    case RAFT_ENTRY_NOOP:
        row.type = "noop";
        break;
    case RAFT_ENTRY_COMMAND:
        row.type = "command";
        describe_commands(show, entry, &row.detail);
        break;
    case RAFT_ENTRY_CONFIG:
        row.type = "members";
        describe_members(show, entry, &row.detail);
        break;
    }
    if (entry->index >= show->from) {
        put_row(show, &row);
    }
    buf_close(&row.detail);
}

/* What a record says beside its entries. */
static void show_changes(struct log_show *show,
                         const struct wal_walk_record *record)
{
    const struct wal_payload *payload = record->payload;
    struct row row = {.term = payload->term, .record = record};

    if (show->from != 0) {
        return;
    }
    if (payload->has_base) {
        row.type = "base";
        row.index = payload->base.index;
        put_row(show, &row);
    }
    if (payload->truncate_from != 0) {
        row.type = "cut";
        row.index = payload->truncate_from;
        put_row(show, &row);
    }
    if (payload->entry_count == 0 && !payload->has_base) {
        row.type = "state";
        row.index = 0;
        put_row(show, &row);
    }
}

static int error_of(const struct log_show *show)
{
    const struct buf *bufs[] = {&show->files.text, &show->files.ends,
                                &show->rows.text,  &show->rows.ends,
                                &show->file_texts, &show->row_texts};

    for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++) {
        if (buf_error(bufs[i]) != 0) {
            return buf_error(bufs[i]);
        }
    }
    return 0;
}

int log_show_record(void *arg, const struct wal_walk_record *record)
{
    struct log_show *show = arg;
    const struct wal_payload *payload = record->payload;
    struct cursor cursor = cursor_of(payload->entries);

    show_changes(show, record);
    for (uint32_t i = 0; i < payload->entry_count; i++) {
        struct raft_entry entry = {.index = payload->first_index + i};

        wal_payload_next(&cursor, &entry);
        show_entry(show, record, &entry);
        if (show->file.entries == 0) {
            show->file.first_index = entry.index;
        }
        show->file.last_index = entry.index;
        show->file.entries++;
    }
    show->file.records++;
    show->file.end = record->offset + record->record->size;
    show->record_count++;
    show->entry_count += payload->entry_count;
    return error_of(show);
}

/* --- Files --------------------------------------------------------------- */

static void end_file(struct log_show *show)
{
    const struct log_show_file *file = &show->file;
    char name[WAL_SEGMENT_NAME_SIZE];

    if (!show->has_file) {
        return;
    }
    wal_segment_name(file->file.header.number, name);
    if (show->form == OPTIONS_JSON) {
        buf_printf(&show->file_texts,
                   "%s{\"file\":\"%s\",\"version\":%" PRIu32
                   ",\"first_record\":%" PRIu64 ",\"records\":%" PRIu64
                   ",\"entries\":%" PRIu64 ",\"first_index\":%" PRIu64
                   ",\"last_index\":%" PRIu64 ",\"used\":%zu,\"size\":%zu}",
                   show->file_count > 1 ? "," : "", name,
                   file->file.header.version, file->file.header.first_sequence,
                   file->records, file->entries, file->first_index,
                   file->last_index, file->end, file->file.size);
        return;
    }
    columns_put(&show->files, name);
    put_cell(&show->files, "%" PRIu32, file->file.header.version);
    put_cell(&show->files, "%" PRIu64, file->records);
    put_cell(&show->files, file->entries == 0 ? "-" : "%" PRIu64 "..%" PRIu64,
             file->first_index, file->last_index);
    put_cell(&show->files, "%zu", file->end);
    put_cell(&show->files, "%zu", file->file.size);
}

int log_show_file(void *arg, const struct wal_walk_file *file)
{
    struct log_show *show = arg;

    end_file(show);
    if (show->file_count == 0 && show->form != OPTIONS_JSON) {
        static const char *const heads[FILE_COLUMNS] = {
            "FILE", "VERSION", "RECORDS", "ENTRIES", "USED", "SIZE"};

        for (size_t i = 0; i < FILE_COLUMNS; i++) {
            columns_put(&show->files, heads[i]);
        }
    }
    if (show->file_count == 0 && show->limit > 0 &&
        show->form != OPTIONS_JSON) {
        static const char *const heads[ROW_COLUMNS] = {
            "INDEX", "TERM", "TYPE", "SIZE", "FILE", "OFFSET", "WHAT"};

        for (size_t i = 0; i < ROW_COLUMNS; i++) {
            columns_put(&show->rows, heads[i]);
        }
    }
    show->file =
        (struct log_show_file){.file = *file, .end = WAL_SEGMENT_HEADER_SIZE};
    show->has_file = true;
    show->file_count++;
    return error_of(show);
}

/* --- All ----------------------------------------------------------------- */

/* What the next start cuts; nothing if it refuses to. */
static size_t torn_size(const struct wal_walk *walk, struct bytes problem)
{
    return problem.size > 0 ? 0 : walk->last_dirty_end - walk->last_end;
}

static void print_json(struct log_show *show, const struct wal_walk *walk,
                       struct bytes problem, struct buf *text)
{
    size_t torn = torn_size(walk, problem);

    buf_printf(text, "{\"schema\":\"quorate.log/1\",\"directory\":");
    json_put_string(text, bytes_of_string(walk->dir));
    buf_printf(text, ",\"snapshot\":%" PRIu64, walk->covered);
    buf_printf(text,
               ",\"term\":%" PRIu64 ",\"voted_for\":\"%016" PRIx64
               "\",\"first_index\":%" PRIu64 ",\"last_index\":%" PRIu64
               ",\"records\":%" PRIu64 ",\"torn_bytes\":%zu,\"problem\":",
               walk->term, walk->voted_for, walk->first_index, walk->last_index,
               show->record_count, torn);
    if (problem.size == 0) {
        buf_printf(text, "null");
    } else {
        json_put_string(text, problem);
    }
    buf_printf(text, ",\"files\":[");
    buf_put_bytes(text, buf_bytes(&show->file_texts));
    buf_printf(text, "],\"rows\":[");
    buf_put_bytes(text, buf_bytes(&show->row_texts));
    buf_printf(text, "],\"more\":%" PRIu64 "}\n", show->row_count_more);
}

static void print_summary(const struct log_show *show,
                          const struct wal_walk *walk, size_t torn,
                          struct buf *text)
{
    struct columns columns;

    columns_init(&columns, PAIR);
    columns_put(&columns, "entries");
    if (walk->first_index > walk->last_index) {
        put_cell(&columns, "none, the log ends with %" PRIu64,
                 walk->last_index);
    } else {
        put_cell(&columns, "%" PRIu64 "..%" PRIu64, walk->first_index,
                 walk->last_index);
    }
    if (walk->covered != 0) {
        columns_put(&columns, "snapshot");
        put_cell(&columns, "up to entry %" PRIu64, walk->covered);
    }
    columns_put(&columns, "term");
    put_cell(&columns, "%" PRIu64, walk->term);
    columns_put(&columns, "voted_for");
    put_cell(&columns, walk->voted_for == 0 ? "-" : "%016" PRIx64,
             walk->voted_for);
    columns_put(&columns, "records");
    put_cell(&columns, "%" PRIu64, show->record_count);
    if (torn > 0) {
        columns_put(&columns, "torn_bytes");
        put_cell(&columns, "%zu from %zu on, never acknowledged", torn,
                 walk->last_end);
    }
    columns_print(&columns, text);
    columns_close(&columns);
}

int log_show_print(struct log_show *show, const struct wal_walk *walk,
                   struct bytes problem, struct buf *text)
{
    end_file(show);
    show->has_file = false;
    if (show->form == OPTIONS_JSON) {
        print_json(show, walk, problem, text);
    } else {
        print_summary(show, walk, torn_size(walk, problem), text);
        buf_put_u8(text, '\n');
        columns_print(&show->files, text);
        if (show->limit > 0) {
            buf_put_u8(text, '\n');
            columns_print(&show->rows, text);
        }
        if (show->limit > 0 && show->row_count_more > 0) {
            buf_printf(text, "%" PRIu64 " more rows: --from, --limit\n",
                       show->row_count_more);
        }
    }
    return error_of(show) != 0 ? error_of(show) : buf_error(text);
}
