/* SPDX-License-Identifier: Apache-2.0 */
#include "store/state_db_env.h"

#include "base/ensure.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    PATH_SIZE_MAX = 4096,
    READERS_MAX = 16,
    RESERVE_MIN = 4 * 1024 * 1024,
    RESERVE_SHARE = 64,          /* a 64th of the map */
    DISK_FULL_MAX = 1024 * 1024, /* bytes; less than a short write needs */
};

/* Shorter than any other key, so it is none of an id's. */
static const char format_key[] = "F";
static const char format_value[] = "quorate state 1";

int state_env_error(int status)
{
    switch (status) {
    case 0:
        return 0;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_NO_SPACE;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        return ERR_CORRUPT;
    case MDB_VERSION_MISMATCH:
        return ERR_UNSUPPORTED;
    case ENOMEM:
        return ERR_NOMEM;
    default:
        return ERR_IO;
    }
}

/* --- Opening -------------------------------------------------------------- */

static int check_format(struct state_env *env, MDB_txn *txn)
{
    MDB_val key = state_val_of(format_key, strlen(format_key));
    MDB_val value;
    MDB_stat stat;
    int status = mdb_dbi_open(txn, NULL, 0, &env->dbi);

    if (status == 0) {
        status = mdb_stat(txn, env->dbi, &stat);
    }
    if (status != 0) {
        return state_env_error(status);
    }
    status = mdb_get(txn, env->dbi, &key, &value);
    if (status == 0) {
        return bytes_is(state_bytes_of_val(&value), format_value)
                   ? 0
                   : ERR_UNSUPPORTED;
    }
    if (status != MDB_NOTFOUND) {
        return state_env_error(status);
    }
    if (stat.ms_entries != 0) {
        return ERR_CORRUPT;
    }
    value = state_val_of(format_value, strlen(format_value));
    return state_env_error(mdb_put(txn, env->dbi, &key, &value, 0));
}

static int open_table(struct state_env *env)
{
    MDB_txn *txn;
    int status = mdb_txn_begin(env->env, NULL, 0, &txn);
    int rv;

    if (status != 0) {
        return state_env_error(status);
    }
    rv = check_format(env, txn);
    if (rv != 0) {
        mdb_txn_abort(txn);
        return rv;
    }
    return state_env_error(mdb_txn_commit(txn));
}

/* A file that lost its end would raise a signal where it is read; with zeros
 * there, checksums tell what was lost. */
static int restore_length(const struct state_env *env, const char *path)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    uint64_t needed;
    int rv = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        return ERR_IO;
    }
    if (mdb_env_info(env->env, &info) != 0 ||
        mdb_env_stat(env->env, &stat) != 0 || fstat(fd, &file) != 0) {
        rv = ERR_IO;
    } else {
        needed = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
        if ((uint64_t)file.st_size < needed &&
            ftruncate(fd, (off_t)needed) != 0) {
            rv = errno == ENOSPC ? ERR_NO_SPACE : ERR_IO;
        }
    }
    return close(fd) == 0 ? rv : ERR_IO;
}

/* Makes the file's name survive a power cut; LMDB sees to its content. */
static int flush_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rv;

    if (fd < 0) {
        return ERR_IO;
    }
    rv = fsync(fd) == 0 ? 0 : ERR_IO;
    return close(fd) == 0 ? rv : ERR_IO;
}

static int open_file(struct state_env *env, const char *dir, const char *path)
{
    int status = mdb_env_create(&env->env);
    int rv;

    if (status != 0) {
        env->env = NULL;
        return state_env_error(status);
    }
    status = mdb_env_set_mapsize(env->env, env->map_size);
    if (status == 0) {
        status = mdb_env_set_maxreaders(env->env, READERS_MAX);
    }
    if (status == 0) {
        status = mdb_env_open(env->env, path,
                              MDB_NOSUBDIR | MDB_NORDAHEAD | MDB_NOTLS, 0600);
    }
    if (status != 0) {
        return state_env_error(status);
    }
    rv = restore_length(env, path);
    if (rv == 0) {
        rv = open_table(env);
    }
    return rv == 0 ? flush_dir(dir) : rv;
}

static void explain(struct buf *error, const char *path, int rv)
{
    const char *remedy = "check the disk and the permissions";

    if (rv == ERR_CORRUPT) {
        remedy = "check the disk, and do not start this member on an empty or "
                 "older directory; docs/operations.md says what can be done";
    } else if (rv == ERR_UNSUPPORTED) {
        remedy = "it was written by another version of Quorate";
    } else if (rv == ERR_NO_SPACE) {
        remedy = "make room on the disk or enlarge the state map";
    }
    if (error != NULL) {
        buf_printf(error, "%s: %s; %s", path, err_text(rv), remedy);
    }
}

int state_env_open(struct state_env *env, const char *dir, uint64_t map_size,
                   struct buf *error)
{
    char path[PATH_SIZE_MAX];
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    int size = snprintf(path, sizeof(path), "%s/state.mdb", dir);
    int rv;

    if (size < 0 || (size_t)size >= sizeof(path)) {
        explain(error, dir, ERR_LIMIT);
        return ERR_IO;
    }
    *env = (struct state_env){.map_size =
                                  (size_t)map_size / page_size * page_size};
    env->reserve = env->map_size / RESERVE_SHARE / page_size * page_size;
    if (env->reserve < RESERVE_MIN) {
        env->reserve = RESERVE_MIN;
    }
    if (pthread_rwlock_init(&env->remap, NULL) != 0) {
        return ERR_NOMEM;
    }
    rv = open_file(env, dir, path);
    if (rv != 0) {
        explain(error, path, rv);
        state_env_close(env);
    }
    return rv;
}

void state_env_close(struct state_env *env)
{
    if (env->env != NULL) {
        mdb_env_close(env->env);
        env->env = NULL;
    }
    (void)pthread_rwlock_destroy(&env->remap);
}

static int move_map(struct state_env *env, size_t size)
{
    int rv = ERR_IO;

    (void)pthread_rwlock_wrlock(&env->remap);
    if (!env->is_lost) {
        /* Not below what is in use: LMDB sees to that. */
        rv = state_env_error(mdb_env_set_mapsize(env->env, size));
        env->is_lost = rv != 0;
    }
    (void)pthread_rwlock_unlock(&env->remap);
    return rv;
}

int state_env_grow(struct state_env *env)
{
    return move_map(env, env->map_size + env->reserve);
}

void state_env_shrink(struct state_env *env)
{
    /* A failure is remembered in the environment. */
    if (move_map(env, env->map_size) != 0) {
        ensure(env->is_lost);
    }
}

void state_env_age(struct state_env *env)
{
    MDB_val key = state_val_of(format_key, strlen(format_key));
    MDB_val value = state_val_of(format_value, strlen(format_value));
    MDB_txn *txn;

    if (mdb_txn_begin(env->env, NULL, 0, &txn) != 0) {
        return;
    }
    if (mdb_put(txn, env->dbi, &key, &value, 0) != 0) {
        mdb_txn_abort(txn);
        return;
    }
    (void)mdb_txn_commit(txn);
}

bool state_env_is_disk_full(const struct state_env *env)
{
    struct statvfs room;
    mdb_filehandle_t fd;

    return mdb_env_get_fd(env->env, &fd) == 0 && fstatvfs(fd, &room) == 0 &&
           (uint64_t)room.f_bavail * room.f_frsize < DISK_FULL_MAX;
}
