/* SPDX-License-Identifier: Apache-2.0
 * Commands as bytes. One table says which fields a command has, in which
 * order they stand and what they may be; encoding, decoding and validation
 * all walk it.
 *
 *   length (32 bits) | type (8) | request id | fields
 *
 * All numbers are big-endian, bytes are blocks. The request id is there if the
 * type has its top bit: member, session, number (64 bits each), none of them
 * 0. */
#include "base/ensure.h"
#include "base/err.h"
#include "command/command.h"
#include "registry/copies.h"

#include <stddef.h>

enum field_kind {
    FIELD_BYTES, /* 32-bit length, bytes */
    FIELD_U8,
    FIELD_U32,
    FIELD_U64,
    FIELD_REPLICAS, /* replica_count ids */
};

struct field {
    uint32_t types; /* set of the commands that have it */
    enum field_kind kind;
    size_t offset; /* in struct command */
    uint64_t min;  /* of the value, or of the size in bytes */
    uint64_t max;
};

enum { HAS_REQUEST = 0x80 /* in the type */ };

#define ON(type) (1U << COMMAND_##type)

#define ON_WORKER                                                    \
    (ON(ATTACH) | ON(RENEW) | ON(EXPIRE) | ON(RELEASE) | ON(CLAIM) | \
     ON(PLACE) | ON(REGISTER))
#define ON_LEASE                                                    \
    (ON(RENEW) | ON(EXPIRE) | ON(RELEASE) | ON(CLAIM) | ON(PLACE) | \
     ON(REGISTER))
#define ON_COPY (ON(DISCARD) | ON(RESTORE) | ON(RESTORED))
#define ON_ID                                                      \
    (ON(CLAIM) | ON(PLACE) | ON(STARTED) | ON(FAILED) | ON(STOP) | \
     ON(STOPPED) | ON(KEEP) | ON_COPY)
#define ON_EPOCH                                                           \
    (ON(PLACE) | ON(STARTED) | ON(FAILED) | ON(STOPPED) | ON(UNREGISTER) | \
     ON(RECOVER) | ON(RESUME) | ON(KEEP) | ON(RESTORED))

#define AT(member) offsetof(struct command, member)

/* In the order in which they are written. New fields go into new commands:
 * the log is read by later versions. */
static const struct field fields[] = {
    {ON_WORKER, FIELD_BYTES, AT(worker), 1, REGISTRY_NODE_SIZE_MAX},
    {ON(ATTACH), FIELD_BYTES, AT(incarnation), REGISTRY_INCARNATION_SIZE,
     REGISTRY_INCARNATION_SIZE},
    {ON_LEASE, FIELD_U64, AT(lease), 0, UINT64_MAX},
    {ON(ATTACH) | ON(RENEW) | ON(KEEP), FIELD_U64, AT(clock), 0, UINT64_MAX},
    {ON(ATTACH), FIELD_U32, AT(term_ms), 0, REGISTRY_TERM_MS_MAX},
    {ON(EXPIRE), FIELD_U64, AT(renewed_index), 0, UINT64_MAX},
    {ON(ATTACH) | ON(PUT_MEMBER) | ON(DROP_MEMBER) | ON(OPEN_SESSION) |
         ON(RECOVER),
     FIELD_U64, AT(member), 1, UINT64_MAX},
    {ON(ATTACH), FIELD_U32, AT(capacity.cpu), 0, UINT32_MAX},
    {ON(ATTACH), FIELD_U32, AT(capacity.memory), 0, UINT32_MAX},
    {ON(ATTACH), FIELD_U32, AT(sandboxes_max), 0, UINT32_MAX},
    {ON_ID, FIELD_BYTES, AT(id), 1, REGISTRY_ID_SIZE_MAX},
    {ON_EPOCH, FIELD_U64, AT(epoch), 0, UINT64_MAX},
    {ON(CLAIM), FIELD_BYTES, AT(spec), 0, REGISTRY_SPEC_SIZE_MAX},
    {ON(CLAIM), FIELD_BYTES, AT(options), 0, REGISTRY_OPTIONS_SIZE_MAX},
    {ON(CLAIM), FIELD_U32, AT(need.cpu), 0, UINT32_MAX},
    {ON(CLAIM), FIELD_U32, AT(need.memory), 0, UINT32_MAX},
    {ON(CLAIM), FIELD_U8, AT(priority), 0, REGISTRY_PRIORITY_MAX},
    {ON(CLAIM) | ON(RECOVER) | ON(KEEP), FIELD_U8, AT(replica_count), 0,
     REGISTRY_REPLICAS_MAX},
    {ON(CLAIM) | ON(RECOVER) | ON(KEEP), FIELD_REPLICAS, AT(replicas), 1,
     UINT64_MAX},
    {ON(STARTED) | ON(REGISTER), FIELD_BYTES, AT(pid), 1,
     REGISTRY_PID_SIZE_MAX},
    {ON(UNREGISTER), FIELD_BYTES, AT(pid), 0, REGISTRY_PID_SIZE_MAX},
    {ON(FAILED) | ON(STOPPED) | ON(RESTORED), FIELD_BYTES, AT(reason), 0,
     REGISTRY_REASON_SIZE_MAX},
    {ON(REGISTER) | ON(UNREGISTER), FIELD_BYTES, AT(name), 1,
     REGISTRY_NAME_SIZE_MAX},
    {ON(REGISTER), FIELD_BYTES, AT(meta), 0, REGISTRY_META_SIZE_MAX},
    {ON(PUT_MEMBER), FIELD_BYTES, AT(node), 1, DIRECTORY_NAME_SIZE_MAX},
    {ON(PUT_MEMBER), FIELD_BYTES, AT(address), 0, DIRECTORY_ADDRESS_SIZE_MAX},
    {ON(PUT_MEMBER) | ON(RECOVER), FIELD_U64, AT(instance), 0, UINT64_MAX},
    {ON(OPEN_SESSION), FIELD_U64, AT(nonce), 1, UINT64_MAX},
    {ON(KEEP), FIELD_BYTES, AT(about), 0, REGISTRY_COPY_ABOUT_SIZE_MAX},
    {ON(KEEP), FIELD_U64, AT(size), 0, REGISTRY_COPY_SIZE_MAX},
    {ON_COPY, FIELD_U64, AT(copy), 1, UINT64_MAX},
    {ON(RESTORE), FIELD_U8, AT(how), COPY_TAKE, COPY_RESOLVE},
};

enum { FIELD_COUNT = sizeof(fields) / sizeof(fields[0]) };

static const void *field_at(const struct command *command,
                            const struct field *field)
{
    return (const uint8_t *)command + field->offset;
}

static bool in_range(const struct field *field, uint64_t value)
{
    return value >= field->min && value <= field->max;
}

static bool field_is_valid(const struct command *command,
                           const struct field *field)
{
    const void *at = field_at(command, field);
    struct bytes bytes;
    uint64_t u64;
    uint32_t u32;

    switch (field->kind) {
    case FIELD_BYTES:
        memcpy(&bytes, at, sizeof(bytes));
        return in_range(field, bytes.size);
    case FIELD_U8:
        return in_range(field, *(const uint8_t *)at);
    case FIELD_U32:
        memcpy(&u32, at, sizeof(u32));
        return in_range(field, u32);
    case FIELD_U64:
        memcpy(&u64, at, sizeof(u64));
        return in_range(field, u64);
    case FIELD_REPLICAS:
        return registry_replicas_are_valid(command->replicas,
                                           command->replica_count);
    }
    unreachable();
}

static bool type_is_known(unsigned type)
{
    return type >= COMMAND_ATTACH && type <= COMMAND_RESTORED;
}

/* All of it or nothing; a session is not opened under an id of itself. */
static bool request_is_valid(const struct command *command)
{
    const struct request_id *id = &command->request;

    if (id->member == 0 && id->session == 0 && id->number == 0) {
        return true;
    }
    return id->member != 0 && id->session != 0 && id->number != 0 &&
           command->type != COMMAND_OPEN_SESSION;
}

int command_validate(const struct command *command)
{
    ensure(type_is_known(command->type));
    if (!request_is_valid(command)) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if ((fields[i].types >> command->type & 1) != 0 &&
            !field_is_valid(command, &fields[i])) {
            return ERR_LIMIT;
        }
    }
    return 0;
}

static void put_field(struct buf *batch, const struct command *command,
                      const struct field *field)
{
    const void *at = field_at(command, field);
    struct bytes bytes;
    uint64_t u64;
    uint32_t u32;

    switch (field->kind) {
    case FIELD_BYTES:
        memcpy(&bytes, at, sizeof(bytes));
        buf_put_block(batch, bytes);
        return;
    case FIELD_U8:
        buf_put_u8(batch, *(const uint8_t *)at);
        return;
    case FIELD_U32:
        memcpy(&u32, at, sizeof(u32));
        buf_put_u32(batch, u32);
        return;
    case FIELD_U64:
        memcpy(&u64, at, sizeof(u64));
        buf_put_u64(batch, u64);
        return;
    case FIELD_REPLICAS:
        for (size_t i = 0; i < command->replica_count; i++) {
            buf_put_u64(batch, command->replicas[i]);
        }
        return;
    }
    unreachable();
}

static void put_type(struct buf *batch, const struct command *command)
{
    const struct request_id *id = &command->request;

    if (id->number == 0) {
        buf_put_u8(batch, (uint8_t)command->type);
        return;
    }
    buf_put_u8(batch, (uint8_t)((unsigned)command->type | HAS_REQUEST));
    buf_put_u64(batch, id->member);
    buf_put_u64(batch, id->session);
    buf_put_u64(batch, id->number);
}

void command_encode(struct buf *batch, const struct command *command)
{
    size_t start = batch->size;

    if (buf_error(batch) != 0) {
        return;
    }
    if (command_validate(command) != 0) {
        batch->error = ERR_LIMIT;
        return;
    }
    buf_put_u32(batch, 0); /* the length, known at the end */
    put_type(batch, command);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if ((fields[i].types >> command->type & 1) != 0) {
            put_field(batch, command, &fields[i]);
        }
    }
    if (buf_error(batch) != 0) {
        batch->size = start;
        return;
    }
    buf_patch_u32(batch, start, (uint32_t)(batch->size - start - 4));
}

static int take_replicas(struct cursor *cursor, struct command *command)
{
    if (command->replica_count > REGISTRY_REPLICAS_MAX) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < command->replica_count; i++) {
        int rv = cursor_u64(cursor, &command->replicas[i]);

        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

static int take_field(struct cursor *cursor, struct command *command,
                      const struct field *field)
{
    uint8_t *at = (uint8_t *)command + field->offset;
    struct bytes bytes;
    uint64_t u64;
    uint32_t u32;
    int rv;

    switch (field->kind) {
    case FIELD_BYTES:
        rv = cursor_block(cursor, &bytes);
        if (rv == 0) {
            memcpy(at, &bytes, sizeof(bytes));
        }
        return rv;
    case FIELD_U8:
        return cursor_u8(cursor, at);
    case FIELD_U32:
        rv = cursor_u32(cursor, &u32);
        if (rv == 0) {
            memcpy(at, &u32, sizeof(u32));
        }
        return rv;
    case FIELD_U64:
        rv = cursor_u64(cursor, &u64);
        if (rv == 0) {
            memcpy(at, &u64, sizeof(u64));
        }
        return rv;
    case FIELD_REPLICAS:
        return take_replicas(cursor, command);
    }
    unreachable();
}

static int take_type(struct cursor *cursor, struct command *command)
{
    struct request_id id = {0};
    uint8_t byte;
    unsigned type;
    int rv = cursor_u8(cursor, &byte);

    if (rv == 0 && (byte & HAS_REQUEST) != 0) {
        rv = cursor_u64(cursor, &id.member);
        rv = rv == 0 ? cursor_u64(cursor, &id.session) : rv;
        rv = rv == 0 ? cursor_u64(cursor, &id.number) : rv;
        if (id.number == 0) {
            return ERR_MALFORMED;
        }
    }
    if (rv != 0) {
        return rv;
    }
    type = byte & ~(unsigned)HAS_REQUEST;
    if (!type_is_known(type)) {
        return ERR_MALFORMED;
    }
    *command = (struct command){.type = (enum command_type)type, .request = id};
    return 0;
}

/* One command that must fill `block`. */
static int decode_block(struct bytes block, struct command *command)
{
    struct cursor cursor = cursor_of(block);

    if (take_type(&cursor, command) != 0) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if ((fields[i].types >> command->type & 1) != 0 &&
            take_field(&cursor, command, &fields[i]) != 0) {
            return ERR_MALFORMED;
        }
    }
    if (cursor_end(&cursor) != 0 || command_validate(command) != 0) {
        return ERR_MALFORMED;
    }
    return 0;
}

int command_decode(struct cursor *batch, struct command *ret_command)
{
    struct cursor cursor = *batch;
    struct command command;
    struct bytes block;
    int rv;

    if (cursor_left(&cursor) == 0) {
        return ERR_NOT_FOUND;
    }
    rv = cursor_block(&cursor, &block);
    if (rv != 0) {
        return rv;
    }
    rv = decode_block(block, &command);
    if (rv != 0) {
        return rv;
    }
    *batch = cursor;
    *ret_command = command;
    return 0;
}
