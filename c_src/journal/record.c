/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/record.h"

#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"

enum { TYPES = 128, CRC_SIZE = 4, SIZE_OFFSET = CRC_SIZE };

static const uint8_t magic[JOURNAL_MAGIC_SIZE] = {'Q', 'U', 'O', 'R',
                                                  'A', 'T', 'E', 'J'};

enum field {
#define X(kind, name) FIELD_##name,
    JOURNAL_FIELDS(X)
#undef X
        FIELD_COUNT
};

_Static_assert(FIELD_COUNT <= 32, "a set of fields is one number");

#define F(name) (UINT32_C(1) << FIELD_##name)

struct form {
    const char *name; /* NULL: there is no such type */
    uint32_t fields;
};

static const struct form forms[TYPES] = {
    [JOURNAL_OPEN] = {"open", F(code) | F(worker) | F(run) | F(first) | F(pid) |
                                  F(start_time) | F(resolution) | F(boot) |
                                  F(space) | F(text)},
    [JOURNAL_CLOSE] = {"close", 0},
    [JOURNAL_GAP] = {"gap", F(code) | F(count) | F(since)},
    [JOURNAL_LEASE_GRANTED] = {"lease_granted", F(index) | F(worker) | F(run) |
                                                    F(lease) | F(worker_clock) |
                                                    F(until)},
    [JOURNAL_LEASE_ENDED] = {"lease_ended", F(code) | F(index) | F(worker) |
                                                F(run) | F(lease) |
                                                F(worker_clock) | F(until) |
                                                F(heard)},
    [JOURNAL_CLAIMED] = {"claimed", F(index) | F(id) | F(epoch) | F(prior) |
                                        F(worker) | F(run) | F(lease) |
                                        F(mode)},
    [JOURNAL_STARTED] = {"started",
                         F(index) | F(id) | F(epoch) | F(worker) | F(run)},
    [JOURNAL_START_FAILED] = {"start_failed", F(code) | F(index) | F(id) |
                                                  F(epoch) | F(worker) |
                                                  F(run)},
    [JOURNAL_UNPLACED] = {"unplaced", F(code) | F(index) | F(id) | F(epoch)},
    [JOURNAL_STOPPING] = {"stopping", F(code) | F(index) | F(id) | F(epoch)},
    [JOURNAL_REMOVED] = {"removed", F(code) | F(index) | F(id) | F(epoch)},
    [JOURNAL_RESTORED] = {"restored", F(index)},
    [JOURNAL_ORDERED_START] = {"ordered_start",
                               F(id) | F(epoch) | F(worker) | F(run)},
    [JOURNAL_ORDERED_STOP] = {"ordered_stop",
                              F(id) | F(epoch) | F(worker) | F(run)},
    [JOURNAL_DEATH] = {"death", F(code) | F(worker) | F(run) | F(lease)},
    [JOURNAL_KILLED] = {"killed", F(code) | F(worker) | F(run) | F(lease)},
    [JOURNAL_PLACED] = {"placed",
                        F(id) | F(prior) | F(worker) | F(lease) | F(text)},
    [JOURNAL_ACCEPTED] = {"accepted", F(id) | F(epoch) | F(seq)},
    [JOURNAL_PROMISED] = {"promised", F(id) | F(epoch)},
    [JOURNAL_ACKNOWLEDGED] = {"acknowledged", F(id) | F(epoch) | F(seq)},
    [JOURNAL_FORGOTTEN] = {"forgotten", F(id) | F(epoch)},
    [JOURNAL_SEALED] = {"sealed", F(id) | F(epoch) | F(prior) | F(seq)},
    [JOURNAL_LEASE] = {"lease", F(worker) | F(run) | F(lease) |
                                    F(worker_clock) | F(until)},
    [JOURNAL_STARTING] = {"starting", F(id) | F(epoch) | F(run) | F(lease) |
                                          F(until) | F(mode)},
    [JOURNAL_RUNNING] = {"running", F(id) | F(epoch)},
    [JOURNAL_ENDED] = {"ended", F(code) | F(id) | F(epoch) | F(until)},
    [JOURNAL_FENCED] = {"fenced", F(code) | F(run) | F(until) | F(count)},
    [JOURNAL_GONE] = {"gone", F(run) | F(pid) | F(start_time)},
    [JOURNAL_LIVE] = {"live", F(id) | F(epoch) | F(run) | F(lease) | F(until) |
                                  F(since) | F(mode)},
};

static const char *const causes[] = {
    [JOURNAL_CAUSE_NONE] = "none",
    [JOURNAL_CAUSE_EXPIRED] = "expired",
    [JOURNAL_CAUSE_RELEASED] = "released",
    [JOURNAL_CAUSE_REPLACED] = "replaced",
    [JOURNAL_CAUSE_EXITED] = "exited",
    [JOURNAL_CAUSE_DETACHED] = "detached",
    [JOURNAL_CAUSE_FAILED] = "failed",
    [JOURNAL_CAUSE_STOPPED] = "stopped",
    [JOURNAL_CAUSE_KILLED] = "killed",
    [JOURNAL_CAUSE_HANDED_OVER] = "handed_over",
    [JOURNAL_CAUSE_FULL] = "full",
    [JOURNAL_CAUSE_TOO_FAST] = "too_fast",
    [JOURNAL_CAUSE_FENCED] = "fenced",
    [JOURNAL_CAUSE_TAKEN_OVER] = "taken_over",
};

static const char *const modes[] = {
    [JOURNAL_NO_MODE] = "none",
    [JOURNAL_STRONG] = "strong",
    [JOURNAL_AVAILABLE] = "available",
};

bool journal_has_field(enum journal_type type, unsigned field)
{
    return (size_t)type < TYPES && field < FIELD_COUNT &&
           (forms[type].fields & (UINT32_C(1) << field)) != 0;
}

const char *journal_type_name(enum journal_type type)
{
    return (size_t)type < TYPES && forms[type].name != NULL ? forms[type].name
                                                            : "unknown";
}

const char *journal_cause_name(uint8_t cause)
{
    return cause < sizeof(causes) / sizeof(causes[0]) ? causes[cause]
                                                      : "unknown";
}

const char *journal_mode_name(uint8_t mode)
{
    return mode < sizeof(modes) / sizeof(modes[0]) ? modes[mode] : "unknown";
}

/* --- Writing -------------------------------------------------------------- */

static void put_u8(struct buf *buf, uint8_t value)
{
    buf_put_u8(buf, value);
}

static void put_u32(struct buf *buf, uint32_t value)
{
    buf_put_u32(buf, value);
}

static void put_u64(struct buf *buf, uint64_t value)
{
    buf_put_u64(buf, value);
}

static void put_text(struct buf *buf, struct bytes value)
{
    size_t size = size_min(value.size, JOURNAL_TEXT_SIZE_MAX);

    buf_put_u8(buf, (uint8_t)size);
    buf_put(buf, value.data, size);
}

static void put_run(struct buf *buf, struct bytes value)
{
    static const uint8_t zeros[JOURNAL_RUN_SIZE];

    buf_put(buf, value.size == JOURNAL_RUN_SIZE ? value.data : zeros,
            JOURNAL_RUN_SIZE);
}

void journal_record_encode(struct buf *buf, const struct journal_record *record)
{
    size_t begin = buf->size;
    size_t size;
    uint32_t fields;

    ensure((size_t)record->type < TYPES);
    ensure(forms[record->type].name != NULL);
    fields = forms[record->type].fields;
    buf_put_u32(buf, 0);
    buf_put_u16(buf, 0);
    buf_put_u8(buf, (uint8_t)record->type);
    buf_put_u64(buf, record->clock);
#define X(kind, name)                    \
    if ((fields & F(name)) != 0) {       \
        put_##kind(buf, (record)->name); \
    }
    JOURNAL_FIELDS(X)
#undef X
    if (buf_error(buf) != 0) {
        buf->size = begin;
        return;
    }
    size = buf->size - begin - JOURNAL_RECORD_HEAD_SIZE;
    ensure(size <= JOURNAL_FIELDS_SIZE_MAX);
    buf->data[begin + SIZE_OFFSET] = (uint8_t)(size >> 8);
    buf->data[begin + SIZE_OFFSET + 1] = (uint8_t)size;
    buf_patch_u32(buf, begin,
                  crc32c(0, bytes_of(buf->data + begin + CRC_SIZE,
                                     buf->size - begin - CRC_SIZE)));
}

void journal_file_head(struct buf *buf)
{
    buf_put(buf, magic, sizeof(magic));
    buf_put_u16(buf, JOURNAL_VERSION);
}

/* --- Reading -------------------------------------------------------------- */

static int read_u8(struct cursor *cursor, uint8_t *ret_value)
{
    return cursor_u8(cursor, ret_value);
}

static int read_u32(struct cursor *cursor, uint32_t *ret_value)
{
    return cursor_u32(cursor, ret_value);
}

static int read_u64(struct cursor *cursor, uint64_t *ret_value)
{
    return cursor_u64(cursor, ret_value);
}

static int read_text(struct cursor *cursor, struct bytes *ret_value)
{
    uint8_t size;
    int rv = cursor_u8(cursor, &size);

    return rv == 0 ? cursor_take(cursor, size, ret_value) : rv;
}

static int read_run(struct cursor *cursor, struct bytes *ret_value)
{
    return cursor_take(cursor, JOURNAL_RUN_SIZE, ret_value);
}

static int read_fields(struct cursor cursor, uint32_t fields,
                       struct journal_record *record)
{
    int rv = 0;

#define X(kind, name)                             \
    if (rv == 0 && (fields & F(name)) != 0) {     \
        rv = read_##kind(&cursor, &record->name); \
    }
    JOURNAL_FIELDS(X)
#undef X
    return rv == 0 && cursor_end(&cursor) == 0 ? 0 : ERR_MALFORMED;
}

/* The fields that a record of this type has in a file of this version. */
static uint32_t fields_of(uint8_t type, uint16_t version)
{
    return version < JOURNAL_VERSION ? forms[type].fields & ~F(mode)
                                     : forms[type].fields;
}

int journal_record_read(uint16_t version, struct bytes bytes,
                        struct journal_record *ret_record, size_t *ret_size)
{
    struct cursor cursor = cursor_of(bytes);
    struct journal_record record = {.clock = 0};
    struct bytes fields;
    uint32_t crc;
    uint16_t size;
    uint8_t type;
    size_t whole;
    int rv = cursor_u32(&cursor, &crc);

    rv = rv == 0 ? cursor_u16(&cursor, &size) : rv;
    rv = rv == 0 ? cursor_u8(&cursor, &type) : rv;
    rv = rv == 0 ? cursor_u64(&cursor, &record.clock) : rv;
    if (rv == 0 && size > JOURNAL_FIELDS_SIZE_MAX) {
        return ERR_MALFORMED;
    }
    rv = rv == 0 ? cursor_take(&cursor, size, &fields) : rv;
    if (rv != 0) {
        return ERR_TRUNCATED;
    }
    whole = JOURNAL_RECORD_HEAD_SIZE + size;
    if (crc32c(0, bytes_of(bytes.data + CRC_SIZE, whole - CRC_SIZE)) != crc) {
        return ERR_CORRUPT;
    }
    if (type >= TYPES || forms[type].name == NULL) {
        return ERR_UNSUPPORTED;
    }
    record.type = (enum journal_type)type;
    rv = read_fields(cursor_of(fields), fields_of(type, version), &record);
    if (rv == 0) {
        *ret_record = record;
        *ret_size = whole;
    }
    return rv;
}

int journal_file_check(struct bytes bytes, uint16_t *ret_version)
{
    struct cursor cursor = cursor_of(bytes);
    struct bytes start;
    uint16_t version;
    int rv = cursor_take(&cursor, sizeof(magic), &start);

    if (rv == 0 && !bytes_equal(start, bytes_of(magic, sizeof(magic)))) {
        return ERR_MALFORMED;
    }
    rv = rv == 0 ? cursor_u16(&cursor, &version) : rv;
    if (rv != 0) {
        return rv;
    }
    if (version < JOURNAL_VERSION_MIN || version > JOURNAL_VERSION) {
        return ERR_UNSUPPORTED;
    }
    *ret_version = version;
    return 0;
}
