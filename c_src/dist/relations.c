/* SPDX-License-Identifier: Apache-2.0
 * The tables behind links, monitors and spawned calls. */
#include "dist/relations.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"

enum {
    KEY_HEAD_SIZE = 1 + sizeof(void *) + 4 + 4, /* kind, peer, process */
    /* The longest raw pid or reference: tag, count, name, numbers. */
    IDENTIFIER_SIZE_MAX = 1 + 2 + 3 + 255 * 4 + 4 + 5 * 4,
    KEY_SIZE_MAX = KEY_HEAD_SIZE + IDENTIFIER_SIZE_MAX,
};

/* --- Keys ----------------------------------------------------------------- */

static void put_u32(uint8_t *place, uint32_t value)
{
    memcpy(place, &value, sizeof(value));
}

/* The size of the key, which is written to `key`; 0: none is so long. */
static size_t make_key(uint8_t *key, enum relation_kind kind,
                       const struct inbox_peer *peer,
                       const struct process *process, struct bytes identifier)
{
    uintptr_t number = (uintptr_t)peer;
    uint8_t *place = key + 1;

    if (identifier.size == 0 || identifier.size > IDENTIFIER_SIZE_MAX) {
        return 0;
    }
    key[0] = (uint8_t)kind;
    /* Nobody speaks for the processes of another node. */
    memcpy(place, &number, sizeof(number));
    place += sizeof(number);
    put_u32(place, process == NULL ? 0 : process->id);
    put_u32(place + 4, process == NULL ? 0 : process->serial);
    memcpy(key + KEY_HEAD_SIZE, identifier.data, identifier.size);
    return KEY_HEAD_SIZE + identifier.size;
}

static struct relation *find(const struct inbox *inbox,
                             const struct inbox_peer *peer,
                             enum relation_kind kind,
                             const struct process *process,
                             struct bytes identifier)
{
    uint8_t key[KEY_SIZE_MAX];
    size_t size = make_key(key, kind, peer, process, identifier);

    if (size == 0 || inbox->relations.count == 0) {
        return NULL;
    }
    return (struct relation *)map_get(&inbox->relations, bytes_of(key, size));
}

struct relation *relations_find_link(const struct inbox *inbox,
                                     const struct inbox_peer *peer,
                                     const struct process *process,
                                     struct bytes remote)
{
    return find(inbox, peer, RELATION_LINK, process, remote);
}

struct relation *relations_find(const struct inbox *inbox,
                                const struct inbox_peer *peer,
                                enum relation_kind kind, struct bytes reference)
{
    ensure(kind != RELATION_LINK);
    return find(inbox, peer, kind, NULL, reference);
}

/* --- Relations ------------------------------------------------------------ */

static void enter_peer(struct inbox_peer *peer, struct relation *relation)
{
    relation->peer = peer;
    relation->holder = &peer->relations;
    relation->next = peer->relations;
    if (relation->next != NULL) {
        relation->next->holder = &relation->next;
    }
    peer->relations = relation;
    peer->relation_count++;
}

/* The bytes at *place, which has room for them. */
static struct bytes put_bytes(uint8_t **place, struct bytes source)
{
    struct bytes copy = bytes_of(*place, source.size);

    if (source.size > 0) {
        memcpy(*place, source.data, source.size);
    }
    *place += source.size;
    return copy;
}

/* With copies of all three behind it. NULL: no memory. */
static struct relation *new_relation(struct bytes key, struct bytes remote,
                                     struct bytes reference)
{
    struct relation *relation =
        mem_alloc(sizeof(*relation) + key.size + remote.size + reference.size);
    uint8_t *place;

    if (relation == NULL) {
        return NULL;
    }
    place = (uint8_t *)(relation + 1);
    relation->key = put_bytes(&place, key);
    relation->remote = put_bytes(&place, remote);
    relation->reference = put_bytes(&place, reference);
    return relation;
}

int relations_add(struct inbox *inbox, struct inbox_peer *peer,
                  enum relation_kind kind, struct process *process,
                  struct bytes remote, struct bytes reference,
                  struct relation **ret_relation)
{
    bool is_link = kind == RELATION_LINK;
    struct relation *relation;
    uint8_t key[KEY_SIZE_MAX];
    size_t size = make_key(key, kind, peer, is_link ? process : NULL,
                           is_link ? remote : reference);
    int rv;

    if (size == 0 || peer->relation_count >= INBOX_PEER_RELATIONS_MAX) {
        return ERR_LIMIT;
    }
    if (map_get(&inbox->relations, bytes_of(key, size)) != NULL) {
        return ERR_EXISTS;
    }
    relation = new_relation(bytes_of(key, size), remote, reference);
    if (relation == NULL) {
        return ERR_NOMEM;
    }
    rv = map_put(&inbox->relations, relation->key, relation);
    if (rv != 0) {
        mem_free(relation);
        return rv;
    }
    relation->kind = kind;
    relation->process = process;
    list_init(&relation->process_link);
    if (process != NULL) {
        list_append(&process->relations, &relation->process_link);
    }
    enter_peer(peer, relation);
    *ret_relation = relation;
    return 0;
}

void relations_detach(struct inbox *inbox, struct relation *relation)
{
    ensure(map_remove(&inbox->relations, relation->key) == relation);
    list_remove(&relation->process_link);
    *relation->holder = relation->next;
    if (relation->next != NULL) {
        relation->next->holder = relation->holder;
    }
    ensure(relation->peer->relation_count > 0);
    relation->peer->relation_count--;
}

void relations_remove(struct inbox *inbox, struct relation *relation)
{
    relations_detach(inbox, relation);
    mem_free(relation);
}

/* --- Processes ------------------------------------------------------------ */

static void make_process_key(uint8_t key[8], uint32_t id, uint32_t serial)
{
    put_u32(key, id);
    put_u32(key + 4, serial);
}

struct process *processes_find(const struct inbox *inbox, uint32_t id,
                               uint32_t serial)
{
    uint8_t key[8];

    if (inbox->processes.count == 0) {
        return NULL;
    }
    make_process_key(key, id, serial);
    return (struct process *)map_get(&inbox->processes,
                                     bytes_of(key, sizeof(key)));
}

int processes_add(struct inbox *inbox, struct inbox_peer *peer,
                  struct process *process)
{
    int rv;

    ensure(process->holder == NULL);
    make_process_key(process->key, process->id, process->serial);
    if (processes_find(inbox, process->id, process->serial) != NULL) {
        return ERR_EXISTS; /* the numbers have gone around once */
    }
    rv = map_put(&inbox->processes,
                 bytes_of(process->key, sizeof(process->key)), process);
    if (rv != 0) {
        return rv;
    }
    list_init(&process->relations);
    process->peer = peer;
    process->holder = &peer->processes;
    process->next = peer->processes;
    if (process->next != NULL) {
        process->next->holder = &process->next;
    }
    peer->processes = process;
    return 0;
}

void processes_remove(struct inbox *inbox, struct process *process)
{
    if (process->holder == NULL) {
        return;
    }
    ensure(list_is_empty(&process->relations));
    ensure(map_remove(&inbox->processes,
                      bytes_of(process->key, sizeof(process->key))) == process);
    *process->holder = process->next;
    if (process->next != NULL) {
        process->next->holder = process->holder;
    }
    process->holder = NULL;
}
